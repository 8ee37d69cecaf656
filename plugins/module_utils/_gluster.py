# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: the gluster command line, always `--mode=script --xml`.

With `--xml` most failures exit 0, so `opRet` decides; standard error is full of alarming lines on success and counts
for nothing. Seen on 10.3 and 11.1.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _command,
    _errors,
    _volume,
    _volume_state,
    _volume_use,
    _xml,
)

#: what gluster calls every volume at once, where an option is the cluster's
ALL: t.Final = "all"
OP_VERSION: t.Final = "cluster.op-version"
#: listed with the cluster's options, though glusterd keeps them itself
TRANSPORT: t.Final = "config.transport"
NOT_SET_BY_ANYONE: t.Final = (OP_VERSION, "cluster.max-op-version")
WORKING_DIRECTORY: t.Final = "/var/lib/glusterd"
VOLUMES_DIRECTORY: t.Final = f"{WORKING_DIRECTORY}/vols"
GROUPS_DIRECTORY: t.Final = f"{WORKING_DIRECTORY}/groups"
GLUSTERD_SOCKET: t.Final = "/var/run/glusterd.socket"
GLUSTERD_LOG: t.Final = "/var/log/glusterfs/glusterd.log"
#: glusterd gives a client's transaction 120 s
TIMEOUT_S: t.Final = 120
ANSWER_TIMEOUT_S: t.Final = 5
ANOTHER_TRANSACTION: t.Final = "30802"
BUSY_WORDS: t.Final = ("Another transaction is in progress", "Locking failed on")
#: a peer that was probed a moment ago
NEW_PEER_WORDS: t.Final = ("is not in 'Peer in Cluster' state", "not in cluster")
PARTIAL_WORDS: t.Final = ("Commit failed on",)
MENDS: t.Final = {
    "Connection failed": "is glusterd running here? (systemctl start glusterd)",
    "option : ": "see gluster volume set help",
    "does not exist": "see gluster volume list",
    "not in cluster": "see gluster peer status",
    "Peer in Cluster": "see gluster peer status",
    "Quorum not met": "too few of the cluster's glusterds are connected; see gluster peer status",
    "is not connected": "see gluster peer status",
    "bricks could be down": "see gluster volume status and gluster volume heal NAME info",
}
_LOCK_HOLDER = re.compile(r"Lock for (\S+) held by ([0-9a-f-]{36})")


T = t.TypeVar("T")


class Found(t.NamedTuple):
    """A volume, every option in force on it, and the cluster's op-version (100000 is 10.x)."""

    volume: _volume.Volume
    in_force: dict[str, str]
    op_version: int


class Gluster:
    """The gluster program of this host."""

    def __init__(self, run_program: _command.Run = _command.run, *, lock_timeout_s: float = 0) -> None:
        self._run = run_program
        self._lock_timeout_s = lock_timeout_s

    def volume(self, name: str, *, remote_host: str | None = None) -> _volume.Volume:
        """A volume, asked of this host's glusterd or of another's (`remote_host`; `volume info` alone can do that)."""
        remote = [f"--remote-host={remote_host}"] if remote_host else []
        return _only(name, self._call(f"read volume {name}", *remote, "volume", "info", name))

    def servers(self, name: str, *, volfile_server: str) -> tuple[str, ...]:
        """Every server of a volume that is mounted through `volfile_server`, that one first."""
        volume = self.volume(name, remote_host=volfile_server)
        return tuple(dict.fromkeys((volfile_server, *volume.servers)))

    def volume_and_options(self, name: str) -> Found:
        """A volume and every option in force on it, read by one process; `all` has the options of the cluster."""
        doing = f"read volume {name}"
        if name == ALL:
            return _cluster(self._call(doing, "volume", "get", ALL, "all"))
        lines = [f"volume info {name}", f"volume get {name} all", f"volume get {ALL} {OP_VERSION}"]
        self._require_glusterd(doing, name)
        info, options, version = self._feed(doing, lines)
        volume = _only(name, info)
        for document in (options, version):
            _require_success(doing, document)
        # it is told as the volume's, not as an option
        in_force = {TRANSPORT: volume.transport, **_volume.effective_options(options), **volume.options}
        return Found(volume, in_force, _op_version(_volume.effective_options(version)))

    def clients(self, name: str) -> _volume_use.Clients:
        """Who is connected to a volume, asked by one process. glusterd takes the volume's lock for it."""
        return self._patiently(lambda: self._clients(name))

    def _clients(self, name: str) -> _volume_use.Clients:
        doing = f"read the clients of volume {name}"
        lines = f"volume status {name} client-list\nvolume status {name} clients\n"
        self._require_glusterd(doing, name)
        done = self._program(doing, [], stdin=lines, xml=False)
        refusals = [line for line in done.stderr.splitlines() if any(words in line for words in BUSY_WORDS)]
        if refusals:
            raise _failure(doing, refusals[0])
        if "Client connections for volume" in done.stdout:
            return _volume_use.Clients.parse(done.stdout)
        if "Commit failed on" in done.stdout + done.stderr:
            # what gluster says where a brick of another node has no client; one that uses a volume is on all bricks
            return _volume_use.Clients({})
        raise _failure(doing, done.stdout.strip() or done.words or "gluster said nothing")

    def set_options(self, name: str, options: t.Mapping[str, str]) -> None:
        """Set any number of options in one transaction; glusterd takes all or none."""
        pairs = [word for pair in options.items() for word in pair]
        doing = f"set {', '.join(options)} on volume {name}"
        self._patiently(lambda: self._call(doing, "volume", "set", name, *pairs))

    def reset_options(self, name: str, options: t.Sequence[str], *, protected: t.Collection[str] = ()) -> None:
        """Reset options, each a transaction of its own, by one process; those that found the lock taken go again.

        The protected ones are reset only by force.
        """
        left = list(options)
        force = dict.fromkeys(protected, " force")

        def reset() -> None:
            doing = f"reset {', '.join(left)} on volume {name}"
            self._require_glusterd(doing, name)
            documents = self._feed(doing, [f"volume reset {name} {option}{force.get(option, '')}" for option in left])
            failures = {option: _problem(doing, document) for option, document in zip(left, documents)}
            left[:] = [option for option, problem in failures.items() if problem]
            problems = sorted((problem for problem in failures.values() if problem), key=lambda problem: problem.busy)
            if problems:
                problems[0].partial = len(left) < len(options)
                raise problems[0]

        self._patiently(reset)

    def restart(self, name: str) -> None:
        """Stop and start a volume, by one process; without the first the second does nothing."""
        left = ["stop", "start"]

        def stop_and_start() -> None:
            doing = f"restart volume {name}"
            self._require_glusterd(doing, name)
            documents = self._feed(doing, [f"volume {verb} {name}" for verb in left])
            for verb, document in zip(tuple(left), documents):
                problem = _problem(f"{verb} volume {name}", document)
                if problem:
                    problem.partial = verb == "start"
                    raise problem
                left.remove(verb)

        self._patiently(stop_and_start)

    def start(self, name: str) -> None:
        self._patiently(lambda: self._call(f"start volume {name}", "volume", "start", name))

    def stop(self, name: str) -> None:
        self._patiently(lambda: self._call(f"stop volume {name}", "volume", "stop", name))

    def delete(self, name: str) -> None:
        """Forget a stopped volume; what its bricks hold stays."""
        self._patiently(lambda: self._call(f"delete volume {name}", "volume", "delete", name))

    def own_uuid(self) -> str:
        """The uuid of this host's glusterd; empty where there is none."""
        return _entries("glusterd.info").get("UUID", "")

    def set_granular_entry_heal(self, name: str, *, enable: bool) -> None:
        """The one option that has its own command once the volume was started."""
        word = "enable" if enable else "disable"
        doing = f"{word} granular-entry-heal on volume {name}"
        self._patiently(lambda: self._call_text(doing, "volume", "heal", name, "granular-entry-heal", word))

    def group(self, name: str) -> dict[str, str]:
        """The options in one of this host's group files, which differ between releases of gluster."""
        path = f"{GROUPS_DIRECTORY}/{name}"
        try:
            with open(path, encoding="utf-8") as file:
                lines = [line.strip() for line in file]
        except OSError as exc:
            raise _errors.GlusterError(
                f"cannot read option group {name} ({path}): {exc.strerror}; the gluster server package installs it"
            ) from exc
        pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
        return {key.strip(): value.strip() for key, _equals, value in pairs}

    def pool_and_volumes(
        self, *, remote_host: str | None = None
    ) -> tuple[tuple[_volume_state.Peer, ...], tuple[_volume.Volume, ...]]:
        """The peers and every volume; of another host's (`remote_host`) only the volumes can be asked."""
        doing = f"read volumes{f' of {remote_host}' if remote_host else ''}"
        if remote_host or not _listens(GLUSTERD_SOCKET):
            # as in volume_and_options
            remote = [f"--remote-host={remote_host}"] if remote_host else []
            return (), _volume.volumes_from(self._call(doing, *remote, "volume", "info"))
        pool, info = self._feed(doing, ["pool list", "volume info"])
        _require_success(doing, pool)
        _require_success(doing, info)
        return _volume_state.peers_from(pool), _volume.volumes_from(info)

    def options_in_force(self, names: t.Sequence[str]) -> list[dict[str, str]]:
        """Every option in force on each of the volumes; glusterd asks no peer for that."""
        doing = f"read options of volume {', '.join(names)}"
        documents = self._feed(doing, [f"volume get {name} all" for name in names])
        for document in documents:
            _require_success(doing, document)
        return [_volume.effective_options(document) for document in documents]

    def status(self, volumes: t.Sequence[_volume.Volume], *, timeout_s: float) -> list[_volume_state.Status]:
        """How each of the volumes is, which all are started; every peer is asked.

        Raises `GlusterError` where a peer says nothing, or another transaction goes on, for as long as `timeout_s`.
        """
        doing = f"read status of volume {', '.join(volume.name for volume in volumes)}"
        commands = [_status_commands(volume) for volume in volumes]
        flat = [command for several in commands for command in several]
        deadline = time.monotonic() + timeout_s
        pause_s = 0.2
        while True:
            left_s = deadline - time.monotonic()
            documents = self._feed(doing, flat, timeout_s=max(left_s, 1))
            busy = [
                words for words in map(_volume_state.words_of, documents) if any(part in words for part in BUSY_WORDS)
            ]
            if not busy:
                break
            if left_s < pause_s:
                raise _errors.GlusterError(
                    f"cannot {doing}: {busy[0]} (waited {timeout_s:g} s for the lock)", busy=True
                )
            time.sleep(pause_s)  # glusterd tells nobody when it lets go of a lock
            pause_s = min(pause_s * 2, 5)
        answers = iter(documents)
        return [_status_of(doing, [next(answers) for _one in several]) for several in commands]

    def heal(self, name: str, *, timeout_s: float) -> dict[str, _volume_state.Heal]:
        """What each brick of a started volume says is to be healed; a client that gluster starts asks the bricks."""
        doing = f"read what is to be healed on volume {name}"
        words = ["volume", "heal", name, "info", "summary"]
        (document,) = _documents(doing, self._program(doing, words, timeout_s=timeout_s), count=1)
        _require_success(doing, document)
        return _volume_state.heal_from(document)

    def answers(self, host: str) -> bool:
        """Whether the glusterd of another host does; one that hangs is called connected by `pool list`."""
        try:
            words = [f"--remote-host={host}", "volume", "info"]
            _documents(f"ask {host}", self._program(f"ask {host}", words, timeout_s=ANSWER_TIMEOUT_S), count=1)
        except _errors.GlusterError:
            return False
        return True

    def has_thin_arbiter(self, name: str) -> bool | None:
        """Whether a volume has a thin arbiter, which no XML tells; `None` where this host has no record of it."""
        try:
            with open(f"{VOLUMES_DIRECTORY}/{name}/info", encoding="utf-8", errors="replace") as file:
                return "thin_arbiter_count=1" in file.read().splitlines()
        except OSError:
            return None

    def _patiently(self, change: t.Callable[[], T]) -> T:
        """A change, tried again while another transaction holds the lock or a new peer is not known everywhere."""
        started = time.monotonic()
        pause_s = 0.2
        while True:
            try:
                return change()
            except _errors.GlusterError as exc:
                waited_s = time.monotonic() - started
                if not exc.busy or waited_s + pause_s > self._lock_timeout_s:
                    suffix = f"{_lock_holder(str(exc))} (waited {waited_s:.0f} s for the lock)" if exc.busy else ""
                    raise _errors.GlusterError(f"{exc}{suffix}", busy=exc.busy, partial=exc.partial) from exc
            time.sleep(pause_s)  # glusterd tells nobody when it lets go of a lock
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

    def _require_glusterd(self, doing: str, name: str) -> None:
        """Says what is wrong where glusterd is away: the program that takes commands would wait for it for ever."""
        if not _listens(GLUSTERD_SOCKET):
            self._call(doing, "volume", "info", name)

    def _feed(self, doing: str, commands: t.Sequence[str], *, timeout_s: float = TIMEOUT_S) -> list[_xml.Element]:
        """The answers of one process to commands, which it takes on standard input; after most failures it goes on.

        Names are checked, so no command can be smuggled in.
        """
        stdin = "".join(f"{command}\n" for command in commands)
        return _documents(doing, self._program(doing, [], stdin=stdin, timeout_s=timeout_s), count=len(commands))

    def _program(
        self, doing: str, words: t.Sequence[str], *, stdin: str = "", timeout_s: float = TIMEOUT_S, xml: bool = True
    ) -> _command.Completed:
        argv = ["gluster", "--mode=script", *(["--xml"] if xml else []), *words]
        try:
            return self._run(argv, stdin=stdin, timeout_s=timeout_s)
        except _errors.CommandError as exc:
            raise _errors.GlusterError(f"cannot {doing}: {exc}") from exc


def _cluster(document: _xml.Element) -> Found:
    """The cluster's options, as if it were a volume with those that somebody set."""
    in_force = _volume.effective_options(document)
    marked = _volume.effective_options(document, keep_mark=True)
    own = {name: value for name, value in in_force.items() if marked[name] == value and name not in NOT_SET_BY_ANYONE}
    return Found(_volume.Volume(ALL, "", "", 0, (), own), in_force, _op_version(in_force))


def _op_version(options: t.Mapping[str, str]) -> int:
    text = options.get(OP_VERSION, "")
    return int(text) if text.isdigit() else 0


def _status_commands(volume: _volume.Volume) -> list[str]:
    """Three questions; clients of a volume without self-heal daemons are asked of each brick.

    Asked of such a volume as a whole, glusterd 10.3 says `Commit failed` for a brick that has no client at all.
    """
    status = f"volume status {volume.name}"
    has_daemons = volume.is_replicate or volume.is_disperse
    bricks = [""] if has_daemons else [f"{brick} " for brick in volume.bricks]
    return [f"{status} detail", status, *(f"{status} {brick}clients" for brick in bricks)]


def _status_of(doing: str, documents: t.Sequence[_xml.Element]) -> _volume_state.Status:
    detail, plain, *clients = documents
    _require_success(doing, detail)
    _require_success(doing, plain)
    return _volume_state.status_from(detail, plain, clients)


def _only(name: str, info: _xml.Element) -> _volume.Volume:
    doing = f"read volume {name}"
    _require_success(doing, info)
    for volume in _volume.volumes_from(info):
        if volume.name == name:
            return volume
    raise _errors.GlusterError(f"cannot {doing}: gluster volume info does not list it; see gluster volume list")


def _documents(doing: str, done: _command.Completed, *, count: int) -> list[_xml.Element]:
    """The XML documents printed; there are fewer where the program failed before it could write one."""
    texts = ["<?xml" + text for text in done.stdout.split("<?xml")[1:]]
    try:
        documents = [_xml.parse(_without_declaration(text)) for text in texts]
    except ValueError as exc:
        raise _failure(doing, f"gluster printed {exc}") from exc
    if len(documents) < count:
        # some commands end the program when they fail (10.3: volume get)
        for document in documents:
            _require_success(doing, document)
    if len(documents) != count:
        raise _failure(doing, done.words or f"gluster ended with status {done.returncode} and said nothing")
    return documents


def _without_declaration(text: str) -> str:
    return text.partition("?>")[2].strip()


def _require_success(doing: str, document: _xml.Element) -> None:
    problem = _problem(doing, document)
    if problem:
        raise problem


def _problem(doing: str, document: _xml.Element) -> _errors.GlusterError | None:
    if document.findtext("opRet") == "0":
        return None
    words = (document.findtext("opErrstr") or document.findtext("output") or "").strip()
    return _failure(doing, words or "gluster gave no reason", errno=document.findtext("opErrno", ""))


def _failure(doing: str, words: str, *, errno: str = "") -> _errors.GlusterError:
    text = " ".join(words.split())
    mend = next((mend for part, mend in MENDS.items() if part in text), None)
    busy = errno == ANOTHER_TRANSACTION or any(part in text for part in (*BUSY_WORDS, *NEW_PEER_WORDS))
    partial = any(part in text for part in PARTIAL_WORDS)
    return _errors.GlusterError(f"cannot {doing}: {text}" + (f"; {mend}" if mend else ""), busy=busy, partial=partial)


def _lock_holder(words: str) -> str:
    """Who held the lock, from glusterd's log: its answer does not tell. Where a peer refused, the answer names it."""
    match = re.search(r"in progress for (\S+?)\.", words)
    if match is None:
        return ""
    with contextlib.suppress(OSError), open(GLUSTERD_LOG, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 65536))
        held = [uuid for name, uuid in _LOCK_HOLDER.findall(file.read().decode("utf-8", "replace")) if name == match[1]]
        if held:
            return f"; a transaction of {_node(held[-1])} holds it"
    return ""


def _node(uuid: str) -> str:
    """A node of the cluster by its name, as this one knows it."""
    if _entries("glusterd.info").get("UUID") == uuid:
        return f"this host ({uuid})"
    name = _entries(f"peers/{uuid}").get("hostname1")
    return f"{name} ({uuid})" if name else f"node {uuid}"


def _entries(file_name: str) -> dict[str, str]:
    """A file of key=value lines in glusterd's working directory; empty where it cannot be read."""
    with contextlib.suppress(OSError), open(f"{WORKING_DIRECTORY}/{file_name}", encoding="utf-8") as file:
        return dict(line.strip().partition("=")[::2] for line in file)
    return {}


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
