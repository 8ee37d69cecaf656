# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: the gluster command line, always `--mode=script --xml`.

With `--xml` most failures exit 0, so `opRet` decides; standard error is full of alarming lines on success and counts
for nothing. Seen on 10.3 and 11.1.
"""

from __future__ import annotations

import socket
import time
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _xml
from ansible_collections.gfapi.virt.plugins.module_utils._command import Completed, Run, run
from ansible_collections.gfapi.virt.plugins.module_utils._errors import CommandError, GlusterError
from ansible_collections.gfapi.virt.plugins.module_utils._volume import Volume, effective_options, volumes_from

GROUPS_DIRECTORY: t.Final = "/var/lib/glusterd/groups"
GLUSTERD_SOCKET: t.Final = "/var/run/glusterd.socket"
#: glusterd gives a client's transaction 120 s
TIMEOUT_S: t.Final = 120
ANOTHER_TRANSACTION: t.Final = "30802"
BUSY_WORDS: t.Final = ("Another transaction is in progress", "Locking failed on")
MENDS: t.Final = {
    "Connection failed": "is glusterd running here? (systemctl start glusterd)",
    "option : ": "see gluster volume set help",
    "does not exist": "see gluster volume list",
    "not in cluster": "see gluster peer status",
}


class Gluster:
    """The gluster program of this host."""

    def __init__(self, run_program: Run = run, *, lock_timeout_s: float = 0) -> None:
        self._run = run_program
        self._lock_timeout_s = lock_timeout_s

    def volume(self, name: str, *, remote_host: str | None = None) -> Volume:
        """A volume, asked of this host's glusterd or of another's (`remote_host`; `volume info` alone can do that)."""
        remote = [f"--remote-host={remote_host}"] if remote_host else []
        return _only(name, self._call(f"read volume {name}", *remote, "volume", "info", name))

    def servers(self, name: str, *, volfile_server: str) -> tuple[str, ...]:
        """Every server of a volume that is mounted through `volfile_server`, that one first."""
        volume = self.volume(name, remote_host=volfile_server)
        return tuple(dict.fromkeys((volfile_server, *volume.servers)))

    def volume_and_options(self, name: str) -> tuple[Volume, dict[str, str]]:
        """A volume and every option in force on it, read by one process."""
        doing = f"read volume {name}"
        if not _listens(GLUSTERD_SOCKET):
            # fed from standard input the program would wait for glusterd for ever; this says what is wrong
            self.volume(name)
        # the program takes commands on standard input, one a line; names are checked, so no line can be smuggled in
        done = self._program(doing, [], stdin=f"volume info {name}\nvolume get {name} all\n")
        info, options = _documents(doing, done, count=2)
        volume = _only(name, info)
        _require_success(doing, options)
        return volume, {**effective_options(options), **volume.options}

    def set_options(self, name: str, options: t.Mapping[str, str]) -> None:
        """Set any number of options in one transaction; glusterd takes all or none."""
        pairs = [word for pair in options.items() for word in pair]
        self._transaction(f"set {', '.join(options)} on volume {name}", "volume", "set", name, *pairs)

    def set_granular_entry_heal(self, name: str, *, enable: bool) -> None:
        """The one option that has its own command once the volume was started."""
        word = "enable" if enable else "disable"
        doing = f"{word} granular-entry-heal on volume {name}"
        self._transaction(doing, "volume", "heal", name, "granular-entry-heal", word, xml=False)

    def group(self, name: str) -> dict[str, str]:
        """The options in one of this host's group files, which differ between releases of gluster."""
        path = f"{GROUPS_DIRECTORY}/{name}"
        try:
            with open(path, encoding="utf-8") as file:
                lines = [line.strip() for line in file]
        except OSError as exc:
            raise GlusterError(
                f"cannot read option group {name} ({path}): {exc.strerror}; the gluster server package installs it"
            ) from exc
        pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
        return {key.strip(): value.strip() for key, _equals, value in pairs}

    def _transaction(self, doing: str, *words: str, xml: bool = True) -> None:
        """A call that changes something; tried again while another transaction holds the lock."""
        started = time.monotonic()
        pause_s = 0.2
        while True:
            try:
                if xml:
                    self._call(doing, *words)
                else:
                    self._call_text(doing, *words)
                return
            except GlusterError as exc:
                waited_s = time.monotonic() - started
                if not exc.busy or waited_s + pause_s > self._lock_timeout_s:
                    suffix = f" (waited {waited_s:.0f} s for the lock)" if exc.busy else ""
                    raise GlusterError(f"{exc}{suffix}", busy=exc.busy) from exc
            # glusterd tells nobody when it lets go of a lock
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 5)

    def _call(self, doing: str, *words: str) -> _xml.Element:
        (document,) = _documents(doing, self._program(doing, list(words)), count=1)
        _require_success(doing, document)
        return document

    def _call_text(self, doing: str, *words: str) -> None:
        """A call that prints text even with --xml, as `volume heal` does; its exit status tells."""
        done = self._program(doing, list(words))
        if done.returncode != 0:
            raise _failure(doing, done.words or f"gluster ended with status {done.returncode} and said nothing")

    def _program(self, doing: str, words: t.Sequence[str], *, stdin: str = "") -> Completed:
        try:
            return self._run(["gluster", "--mode=script", "--xml", *words], stdin=stdin, timeout_s=TIMEOUT_S)
        except CommandError as exc:
            raise GlusterError(f"cannot {doing}: {exc}") from exc


def _only(name: str, info: _xml.Element) -> Volume:
    doing = f"read volume {name}"
    _require_success(doing, info)
    for volume in volumes_from(info):
        if volume.name == name:
            return volume
    raise GlusterError(f"cannot {doing}: gluster volume info does not list it; see gluster volume list")


def _documents(doing: str, done: Completed, *, count: int) -> list[_xml.Element]:
    """The XML documents printed; there are fewer where the program failed before it could write one."""
    texts = ["<?xml" + text for text in done.stdout.split("<?xml")[1:]]
    if len(texts) != count:
        raise _failure(doing, done.words or f"gluster ended with status {done.returncode} and said nothing")
    try:
        return [_xml.parse(_without_declaration(text)) for text in texts]
    except ValueError as exc:
        raise _failure(doing, f"gluster printed {exc}") from exc


def _without_declaration(text: str) -> str:
    return text.partition("?>")[2].strip()


def _require_success(doing: str, document: _xml.Element) -> None:
    if document.findtext("opRet") == "0":
        return
    words = (document.findtext("opErrstr") or document.findtext("output") or "").strip()
    raise _failure(doing, words or "gluster gave no reason", errno=document.findtext("opErrno", ""))


def _failure(doing: str, words: str, *, errno: str = "") -> GlusterError:
    text = " ".join(words.split())
    mend = next((mend for part, mend in MENDS.items() if part in text), None)
    busy = errno == ANOTHER_TRANSACTION or any(part in text for part in BUSY_WORDS)
    return GlusterError(f"cannot {doing}: {text}" + (f"; {mend}" if mend else ""), busy=busy)


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
