# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: mounts volumes of gluster, and unmounts them."""

from __future__ import annotations

import contextlib
import glob
import os
import signal
import time
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _command,
    _errors,
    _files,
    _mount_options,
    _mount_table,
    _mounts,
    _uri,
)

LOGS: t.Final = "/var/log/glusterfs"
#: where volumes are looked at that are not mounted
VISITS: t.Final = "/run/gfapi-virt"
#: one log for all of them, which gluster's own logrotate rule covers
VISIT_LOG: t.Final = "gfapi-virt-look.log"
#: a client with backup servers tries each of them
MOUNT_TIMEOUT_S: t.Final = 60
UNMOUNT_TIMEOUT_S: t.Final = 30


#: a client tries again every three seconds
RETURN_TIMEOUT_S: t.Final = 15


class Mounter(_mounts.Mounts):
    """Mounts and unmounts; apart from `Mounts`, for most modules only read and pay for every line of theirs."""

    def __init__(
        self,
        run_program: _command.Run = _command.run,
        *,
        table: str = _mounts.TABLE,
        logs: str = LOGS,
        visits: str = VISITS,
    ) -> None:
        super().__init__(run_program, table=table)
        self._logs = logs
        self._visits = visits

    def await_return(self, point: str) -> None:
        """Wait a little for a mount whose volume was just started, if there is one: bricks come back one by one."""
        end = time.monotonic() + RETURN_TIMEOUT_S
        while self.at(point) and not self._lists(point) and time.monotonic() < end:
            time.sleep(0.5)  # the client tells nobody of a brick that it reaches again

    def _lists(self, point: str) -> bool:
        with contextlib.suppress(_errors.CommandError):
            return self._run(["ls", point], timeout_s=_mounts.ANSWER_TIMEOUT_S).returncode == 0
        return False

    def mount(
        self, spec: _uri.VolumeSpec, point: str, options: t.Sequence[str] = (), *, timeout_s: float = MOUNT_TIMEOUT_S
    ) -> None:
        """Mount a volume, making the directory; raises `StorageError` with the last error in the client's log.

        One that is there already is well. A client that reaches too few bricks is begun once more.
        """
        mount = self.at(point)
        if mount and mount.spec.location != spec.location:
            raise _errors.StorageError(
                f"cannot mount {spec} on {point}: {mount.spec} is mounted there; unmount it first"
            )
        if mount:
            return
        end = time.monotonic() + timeout_s
        failure = self._try(spec, point, options, timeout_s)
        left_s = end - time.monotonic()
        if failure and _mount_options.FEW_BRICKS in str(failure) and left_s > 0:
            # it waits ten seconds for them (AFR, 10.3), and a glusterd at work may tell it later where they listen
            failure = self._try(spec, point, options, left_s)
        if failure:
            raise failure

    def _try(
        self, spec: _uri.VolumeSpec, point: str, options: t.Sequence[str], timeout_s: float
    ) -> _errors.StorageError | None:
        """Why it cannot be mounted; nothing of the attempt is left then."""
        is_ours = _make_directory(point)
        known = {pid for pid, _words in _clients(point)}
        words = _mount_options.mount_options(spec, options)
        log = self._log_of(point, words)
        position = _size_of(log)
        argv = [
            "mount",
            "-t",
            "glusterfs",
            *(["-o", ",".join(words)] if words else []),
            _mount_options.source_of(spec),
            point,
        ]
        try:
            done = self._run(argv, timeout_s=timeout_s)
        except _errors.CommandError as exc:
            fault = str(exc)
        else:
            if done.returncode == 0 and self.at(point):
                return None
            fault = done.words or f"{argv[0]} ended with {done.returncode}, and the mount table does not have it"
            if done.returncode == 0:
                self._run(["umount", point], timeout_s=UNMOUNT_TIMEOUT_S)
        self._undo(point, known)
        if is_ours:
            with contextlib.suppress(OSError):
                os.rmdir(point)
        return _failure(spec, point, fault, log, position)

    def _undo(self, point: str, known: t.Collection[int]) -> None:
        """End the clients that a mount has begun, and their mount: they live on, and mount, without the helper."""
        end = time.monotonic() + UNMOUNT_TIMEOUT_S
        while time.monotonic() < end:
            begun = [pid for pid, _words in _clients(point) if pid not in known]
            is_mounted = self.at(point) is not None
            if not begun and not is_mounted:
                return
            for pid in begun:
                _kill(pid)
            if is_mounted:
                with contextlib.suppress(_errors.CommandError):
                    self._run(["umount", point], timeout_s=UNMOUNT_TIMEOUT_S)
            time.sleep(0.1)  # a client that ends tells nobody

    def unmount(self, point: str) -> None:
        """Unmount and remove the directory; raises `StorageError` naming the processes that hold it."""
        done = self._run(["umount", point], timeout_s=UNMOUNT_TIMEOUT_S)
        # somebody may have unmounted it meanwhile
        if done.returncode != 0 and point in self._all_points():
            holders = ", ".join(self.read_holders(point)[:5])
            suffix = f"; in use by {holders}" if holders else ""
            raise _errors.StorageError(f"cannot unmount {point}: {done.words}{suffix}")
        with contextlib.suppress(OSError):
            os.rmdir(point)

    def abandon(self, point: str) -> None:
        """Unmount what hangs: without its client, the kernel gives up what it waits for."""
        for pid, _words in _clients(point):
            _kill(pid)
        self.unmount(point)

    def client_options(self, point: str) -> frozenset[str] | None:
        """What the client of a mount was told on its command line; `None` where there is no such process."""
        return next((_mount_options.told_options(words) for _pid, words in _clients(point)), None)

    def read_holders(self, point: str) -> list[str]:
        """What has something open below a directory; nothing is asked of the mount itself.

        Processes as `name (pid)`, then mounts and loop devices.
        """
        processes = [
            f"{os.path.basename(words[0])} ({pid})"
            for pid, words in _processes()
            if any(_is_below(path, point) for path in _open_paths(pid))
        ]
        mounts = [f"mount {path}" for path in self._all_points() if path.startswith(f"{point}/")]
        return [*processes, *mounts, *(f"{device}" for device, file in _loop_devices() if _is_below(file, point))]

    def _all_points(self) -> list[str]:
        with _files.explained(f"read the mount table {self._table}"):
            return _mount_table.mount_points(_mounts.text_of(self._table))

    @contextlib.contextmanager
    def visit(
        self, spec: _uri.VolumeSpec, options: t.Sequence[str] = (), *, timeout_s: float = MOUNT_TIMEOUT_S
    ) -> t.Iterator[str]:
        """The volume on a mount point of our own, for as long as the context lasts: to look at what is on it."""
        self._end_visits()
        point = os.path.join(self._visits, str(os.getpid()))
        log = f"log-file={os.path.join(self._logs, VISIT_LOG)}"
        self.mount(spec, point, [log, *options], timeout_s=timeout_s)
        try:
            yield point
        finally:
            self.unmount(point)

    def _end_visits(self) -> None:
        """Unmount what killed runs left, and remove their directories, for they may have come no further."""
        for mount in self.table():
            folder, pid = os.path.split(mount.point)
            if folder == self._visits and not _is_alive(pid):
                # it may hang, and nobody looks through it any more
                with contextlib.suppress(_errors.StorageError, _errors.CommandError):
                    self.abandon(mount.point)
        mounted = [mount.point for mount in self.table()]
        for client, words in _processes():
            folder, pid = os.path.split(words[-1])
            if folder == self._visits and _is_client(words) and not _is_alive(pid) and words[-1] not in mounted:
                _kill(client)
        for path in glob.iglob(os.path.join(self._visits, "*")):
            if not _is_alive(os.path.basename(path)):
                with contextlib.suppress(OSError):
                    os.rmdir(path)

    def _log_of(self, point: str, options: t.Sequence[str]) -> str:
        named = [option.partition("=")[2] for option in options if option.startswith("log-file=")]
        return named[-1] if named else os.path.join(self._logs, f"{point.strip('/').replace('/', '-')}.log")


def _is_alive(pid: str) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _clients(point: str) -> list[tuple[int, list[str]]]:
    """The processes that serve a mount: pid and command line."""
    return [(pid, words) for pid, words in _processes() if _is_client(words) and words[-1] == point]


def _is_client(words: t.Sequence[str]) -> bool:
    return os.path.basename(words[0]) == "glusterfs"


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _make_directory(point: str) -> bool:
    """Make a mount point where there is none; whether it was made."""
    with _files.explained(f"make mount point {point}"):
        if os.path.isdir(point):
            return False
        os.makedirs(point)
        return True


def _failure(spec: _uri.VolumeSpec, point: str, words: str, log: str, position: int) -> _errors.StorageError:
    """What mount said, the last error that its client logged, and the mend."""
    try:
        text = _mounts.text_of(log, position)
    except OSError:
        text = ""
    reason = _mount_options.last_error(text)
    said = words.partition(" Check the log file")[0].rstrip(".")
    logged = f"; {log} says: {reason}" if reason else ""
    return _errors.StorageError(
        f"cannot mount {spec} on {point}: {said}{logged}; {_mount_options.mend_for(text, spec)}"
    )


def _is_below(path: str, point: str) -> bool:
    return path == point or path.startswith(f"{point}/")


def _loop_devices() -> t.Iterator[tuple[str, str]]:
    """Every loop device with the file behind it."""
    for path in glob.iglob("/sys/block/loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            yield f"/dev/{path.split('/')[3]}", _mounts.text_of(path).rstrip("\n")


def _open_paths(pid: int) -> t.Iterator[str]:
    links = [f"/proc/{pid}/cwd", f"/proc/{pid}/root", f"/proc/{pid}/exe"]
    with contextlib.suppress(OSError):
        links.extend(f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd"))
    for link in links:
        with contextlib.suppress(OSError):
            yield os.readlink(link)
    with contextlib.suppress(OSError):
        # mapped files need no descriptor
        yield from {
            line.split(None, 5)[5] for line in _mounts.text_of(f"/proc/{pid}/maps").splitlines() if " /" in line
        }


def _processes() -> t.Iterator[tuple[int, list[str]]]:
    """All processes of this host: pid and command line."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                words = _mounts.text_of(f"/proc/{name}/cmdline").rstrip("\0").split("\0")
                yield int(name), words


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
