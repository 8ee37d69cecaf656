# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: mounts volumes of gluster, and unmounts them."""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils._command import Run, run
from ansible_collections.gfapi.virt.plugins.module_utils._errors import CommandError, StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._files import explained
from ansible_collections.gfapi.virt.plugins.module_utils._mount_table import last_error, mend_for, mount_options
from ansible_collections.gfapi.virt.plugins.module_utils._mounts import TABLE, Mounts, text_of
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec

LOGS: t.Final = "/var/log/glusterfs"
#: where volumes are looked at that are not mounted
VISITS: t.Final = "/run/gfapi-virt"
#: one log for all of them, which gluster's own logrotate rule covers
VISIT_LOG: t.Final = "gfapi-virt-look.log"
#: a client with backup servers tries each of them
MOUNT_TIMEOUT_S: t.Final = 60
UNMOUNT_TIMEOUT_S: t.Final = 30


class Mounter(Mounts):
    """Mounts and unmounts; apart from `Mounts`, for most modules only read and pay for every line of theirs."""

    def __init__(self, run_program: Run = run, *, table: str = TABLE, logs: str = LOGS, visits: str = VISITS) -> None:
        super().__init__(run_program, table=table)
        self._logs = logs
        self._visits = visits

    def mount(self, spec: VolumeSpec, point: str, options: t.Sequence[str] = ()) -> None:
        """Mount a volume, making the directory; raises `StorageError` with the last error in the client's log."""
        is_ours = _make_directory(point)
        words = mount_options(spec, options)
        log = self._log_of(point, words)
        position = _size_of(log)
        source = f"{spec.servers[0]}:/{spec.location}"
        argv = ["mount", "-t", "glusterfs", *(["-o", ",".join(words)] if words else []), source, point]
        try:
            done = self._run(argv, timeout_s=MOUNT_TIMEOUT_S)
        except CommandError as exc:
            self._end_client(point)
            raise _failure(spec, point, str(exc), log, position) from exc
        if done.returncode != 0 or self.at(point) is None:
            if is_ours:
                with contextlib.suppress(OSError):
                    os.rmdir(point)
            raise _failure(spec, point, done.words, log, position)

    def unmount(self, point: str) -> None:
        """Unmount and remove the directory; raises `StorageError` naming the processes that hold it."""
        done = self._run(["umount", point], timeout_s=UNMOUNT_TIMEOUT_S)
        if done.returncode != 0:
            holders = ", ".join(self.read_holders(point)[:5])
            suffix = f"; in use by {holders}" if holders else ""
            raise StorageError(f"cannot unmount {point}: {done.words}{suffix}")
        with contextlib.suppress(OSError):
            os.rmdir(point)

    def read_holders(self, point: str) -> list[str]:
        """The processes with a file open below a directory, as `name (pid)`; nothing is asked of the mount itself."""
        return [
            f"{os.path.basename(words[0])} ({pid})"
            for pid, words in _processes()
            if any(path == point or path.startswith(f"{point}/") for path in _open_paths(pid))
        ]

    @contextlib.contextmanager
    def visit(self, spec: VolumeSpec, options: t.Sequence[str] = ()) -> t.Iterator[str]:
        """The volume on a mount point of our own, for as long as the context lasts: to look at what is on it."""
        self._end_visits()
        point = os.path.join(self._visits, str(os.getpid()))
        self.mount(spec, point, [f"log-file={os.path.join(self._logs, VISIT_LOG)}", *options])
        try:
            yield point
        finally:
            self.unmount(point)

    def _end_visits(self) -> None:
        """Unmount what killed runs left."""
        for mount in self.table():
            folder, pid = os.path.split(mount.point)
            if folder == self._visits and not os.path.exists(f"/proc/{pid}"):
                with contextlib.suppress(StorageError):
                    self.unmount(mount.point)

    def _log_of(self, point: str, options: t.Sequence[str]) -> str:
        named = [option.partition("=")[2] for option in options if option.startswith("log-file=")]
        return named[-1] if named else os.path.join(self._logs, f"{point.strip('/').replace('/', '-')}.log")

    @staticmethod
    def _end_client(point: str) -> None:
        """End the client that we started for that directory and that goes on trying by itself."""
        for pid, words in _processes():
            if os.path.basename(words[0]) == "glusterfs" and words[-1] == point:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGTERM)


def _make_directory(point: str) -> bool:
    """Make a mount point where there is none; whether it was made."""
    with explained(f"make mount point {point}"):
        if os.path.isdir(point):
            return False
        os.makedirs(point)
        return True


def _failure(spec: VolumeSpec, point: str, words: str, log: str, position: int) -> StorageError:
    """What mount said, the last error that its client logged, and the mend."""
    try:
        text = text_of(log, position)
    except OSError:
        text = ""
    reason = last_error(text)
    said = words.partition(" Check the log file")[0].rstrip(".")
    logged = f"; {log} says: {reason}" if reason else ""
    return StorageError(f"cannot mount {spec} on {point}: {said}{logged}; {mend_for(text, spec)}")


def _open_paths(pid: int) -> t.Iterator[str]:
    links = [f"/proc/{pid}/cwd", f"/proc/{pid}/root"]
    with contextlib.suppress(OSError):
        links.extend(f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd"))
    for link in links:
        with contextlib.suppress(OSError):
            yield os.readlink(link)


def _processes() -> t.Iterator[tuple[int, list[str]]]:
    """All processes of this host: pid and command line."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                words = text_of(f"/proc/{name}/cmdline").rstrip("\0").split("\0")
                yield int(name), words


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
