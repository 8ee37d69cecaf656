# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a program under ptrace, sees each call by which it or a child of it changes something, and kills it there.

Needs root and Linux 5.3 (PTRACE_GET_SYSCALL_INFO), on x86_64 or aarch64. strace would do the same for one process; it
counts calls for each process apart, and so cannot say "the third of mount.glusterfs".
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import signal
import struct
import traceback
import typing as t
from dataclasses import asdict, dataclass
from pathlib import Path

#: system call → number on x86_64, on aarch64 (`None`: it has none), and which argument tells what is changed
CALLS: t.Final[dict[str, tuple[int, int | None, str]]] = {
    "open": (2, None, "path"),
    "creat": (85, None, "path"),
    "openat": (257, 56, "at"),
    "mkdir": (83, None, "path"),
    "mkdirat": (258, 34, "at"),
    "rename": (82, None, "path"),
    "renameat": (264, 38, "at"),
    "renameat2": (316, 276, "at"),
    "unlink": (87, None, "path"),
    "unlinkat": (263, 35, "at"),
    "rmdir": (84, None, "path"),
    "link": (86, None, "path"),
    "linkat": (265, 37, "at"),
    "symlink": (88, None, "second"),
    "symlinkat": (266, 36, "at second"),
    "mknod": (133, None, "path"),
    "mknodat": (259, 33, "at"),
    "write": (1, 64, "fd"),
    "writev": (20, 66, "fd"),
    "pwrite64": (18, 68, "fd"),
    "pwritev": (296, 70, "fd"),
    "copy_file_range": (326, 285, "third fd"),
    "sendfile": (40, 71, "fd"),
    "truncate": (76, 45, "path"),
    "ftruncate": (77, 46, "fd"),
    "fallocate": (285, 47, "fd"),
    "fsync": (74, 82, "fd"),
    "fdatasync": (75, 83, "fd"),
    "chmod": (90, None, "path"),
    "fchmod": (91, 52, "fd"),
    "fchmodat": (268, 53, "at"),
    "chown": (92, None, "path"),
    "lchown": (94, None, "path"),
    "fchown": (93, 55, "fd"),
    "fchownat": (260, 54, "at"),
    "setxattr": (188, 5, "path"),
    "lsetxattr": (189, 6, "path"),
    "fsetxattr": (190, 7, "fd"),
    "removexattr": (197, 14, "path"),
    "lremovexattr": (198, 15, "path"),
    "fremovexattr": (199, 16, "fd"),
    "mount": (165, 40, "second"),
    "umount2": (166, 39, "path"),
    "execve": (59, 221, "path"),
}
NUMBERS: t.Final = {
    number: name for name, numbers in CALLS.items() if (number := numbers[platform.machine() == "aarch64"]) is not None
}
#: logs, what the kernel shows as files, and what no run finds again
IGNORED: t.Final = (
    "/dev/",
    "/proc/",
    "/sys/",
    "/var/log/",
    "/tmp/",
    "/run/mount",
    "pipe:",
    "socket:",
    "anon_inode:",
    "/memfd:",
)
#: what `libvirt_calls` puts before the name of a libvirt call
LIBVIRT: t.Final = "/gfapi-torture-libvirt/"
#: what it puts behind the name of one that the daemon works on
SENT: t.Final = "-sent"
#: of the programs that shell scripts start, those that change something
EXECUTED: t.Final = ("mount", "umount", "gluster", "fusermount", "systemctl")
WRITING: t.Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
OPENS: t.Final = {"open": 1, "openat": 2}
#: longest that a run may take, traced, on a slow machine
LIMIT_S: t.Final = 180

_SEIZE, _INTERRUPT, _SYSCALL, _SYSCALL_INFO = 0x4206, 0x4207, 24, 0x420E
#: TRACESYSGOOD, and the children by fork, vfork and clone are traced too
_OPTIONS: t.Final = 0x1 | 0x2 | 0x4 | 0x8
_ALL: t.Final = 0x40000000
_AT_FDCWD: t.Final = -100
_ENTRY: t.Final = 1
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


@dataclass(frozen=True)
class Point:
    """A state-changing call: by which program (`module` is the run itself), and its how manieth of that name."""

    program: str
    call: str
    number: int
    what: str

    #: the run alone is killed there, and the program that it has started, which makes the call, lives on
    alone: bool = False

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing that a run has begun goes on after the kill."""
        return not self.what.endswith(SENT)

    def __str__(self) -> str:
        return f"{self.program}:{self.call}:{self.number}{':alone' if self.alone else ''}"


@dataclass(frozen=True)
class Traced:
    """How a traced run ended: its points in order, and its exit status (`None`: it was killed at the last of them)."""

    points: tuple[Point, ...]
    status: int | None


def trace(
    argv: t.Sequence[str], output: Path, *, environment: t.Mapping[str, str], stop: Point | None = None
) -> Traced:
    """Run a program, its output into a file; killed right before the point `stop`.

    A process of its own traces: when it ends, a daemon that the run has left behind is let go and lives on.
    """
    reading, writing = os.pipe()
    tracer = os.fork()
    if tracer == 0:
        _trace_and_end(stop, argv, output, environment, writing)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    if os.waitstatus_to_exitcode(os.waitpid(tracer, 0)[1]) != 0:
        raise RuntimeError(f"the tracer of {' '.join(argv)} failed, or the run took more than {LIMIT_S} s")
    found = json.loads(text)
    return Traced(tuple(Point(**point) for point in found["points"]), found["status"])


def _trace_and_end(
    stop: Point | None, argv: t.Sequence[str], output: Path, environment: t.Mapping[str, str], pipe: int
) -> t.NoReturn:
    code = 1
    try:
        signal.alarm(LIMIT_S)
        found = _Tracer(stop).run(argv, output, environment)
        with os.fdopen(pipe, "w") as file:
            json.dump(asdict(found), file)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


class _Tracer:
    def __init__(self, stop: Point | None) -> None:
        self._stop = stop
        self._points: list[Point] = []
        self._counts: dict[tuple[str, str], int] = {}
        self._killed: set[int] = set()
        self._tracees: set[int] = set()
        self._main = 0
        #: the program that was killed
        self._caller = ""

    def run(self, argv: t.Sequence[str], output: Path, environment: t.Mapping[str, str]) -> Traced:
        """Until the run has ended, or all that was killed is gone."""
        self._main = _start(argv, output, environment)
        self._tracees = {self._main}
        status = None
        while True:
            pid, word = os.waitpid(-1, _ALL)
            if os.WIFSTOPPED(word):
                self._tracees.add(pid)
                self._go_on(pid, word)
                continue
            self._tracees.discard(pid)
            self._killed.discard(pid)
            if pid == self._main:
                status = os.waitstatus_to_exitcode(word)
            if self._main not in self._tracees and not self._killed & self._tracees:
                self._kill_born_meanwhile()
                killed = status == -signal.SIGKILL
                return Traced(tuple(self._points), None if killed else status)

    def _go_on(self, pid: int, word: int) -> None:
        number, event = os.WSTOPSIG(word), word >> 16
        is_call = number == signal.SIGTRAP | 0x80
        if is_call and not self._killed:
            self._look(pid)
        _ptrace(_SYSCALL, pid, 0, 0 if is_call or event else number)

    def _look(self, pid: int) -> None:
        info = ctypes.create_string_buffer(88)
        if _libc.ptrace(_SYSCALL_INFO, pid, len(info), info) < 0 or info.raw[0] != _ENTRY:
            return
        call, *arguments = struct.unpack_from("=7Q", info.raw, 24)
        name = NUMBERS.get(call)
        if name is None or (name in OPENS and not arguments[OPENS[name]] & WRITING):
            return
        with contextlib.suppress(OSError):
            what = _what(pid, CALLS[name][2], arguments)
            if what is not None and not what.startswith(IGNORED) and (name != "execve" or _is_of_interest(what)):
                self._count(pid, "libvirt" if what.startswith(LIBVIRT) else name, what.replace(LIBVIRT, ""))

    def _count(self, pid: int, name: str, what: str) -> None:
        program = "module" if pid == self._main or _program(pid) == _program(self._main) else _program(pid)
        if name == "mkdir" and program != "module" and os.path.isdir(what):
            return  # gluster's programs make every directory of a path, there or not
        number = self._counts[program, name] = self._counts.get((program, name), 0) + 1
        point = Point(program, name, number, what)
        self._points.append(point)
        if self._stop and (program, name, number) == (self._stop.program, self._stop.call, self._stop.number):
            self._caller = _program(pid)
            self._killed = {self._main} if self._stop.alone else self._run_with(pid)
            for victim in self._killed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)

    def _kill_born_meanwhile(self) -> None:
        """What the killed program started at that moment, and has not told us of: it is traced from its birth."""
        if not self._stop or self._stop.alone or not self._caller:
            return
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                pid = int(status.parent.name)
                if f"TracerPid:\t{os.getpid()}\n" in status.read_text() and _program(pid) == self._caller:
                    os.kill(pid, signal.SIGKILL)

    def _run_with(self, caller: int) -> set[int]:
        """The whole run, and all of the program that makes the call.

        Not a daemon of another one: a client that serves a mount. glusterfs makes itself one while its child mounts.
        """
        sessions = {_session(self._main), *(pid for pid in self._tracees if _parent(pid) == self._main)}
        program = _program(caller)
        return {pid for pid in self._tracees if _session(pid) in sessions or _program(pid) == program}


def _start(argv: t.Sequence[str], output: Path, environment: t.Mapping[str, str]) -> int:
    """The pid of the program, stopped before it does anything; in a session of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.read(reading, 1)
        os.execve(argv[0], list(argv), dict(environment))
    _ptrace(_SEIZE, pid, 0, _OPTIONS)
    _ptrace(_INTERRUPT, pid, 0, 0)
    os.write(writing, b".")
    os.close(reading)
    os.close(writing)
    return pid


def _ptrace(request: int, pid: int, address: int, data: int) -> None:
    # a tracee that was killed meanwhile is told by waitpid
    _libc.ptrace(request, pid, address, data)


def _what(pid: int, kind: str, arguments: t.Sequence[int]) -> str | None:
    """The path that a call changes. Asks /proc and the process's memory only: a mount may wait for a traced client."""
    words = kind.split()
    if "fd" in words:
        return _file(pid, arguments[2 if "third" in words else 0])
    if "at" in words:
        place = 1 if "second" in words else 0
        return _path(pid, arguments[place], arguments[place + 1])
    return _path(pid, _AT_FDCWD, arguments[1 if "second" in words else 0])


def _file(pid: int, descriptor: int) -> str | None:
    return os.readlink(f"/proc/{pid}/fd/{descriptor}")


def _path(pid: int, folder: int, address: int) -> str | None:
    if not address:
        return None
    path = os.fsdecode(_text(pid, address))
    if path.startswith("/"):
        return path
    number = ctypes.c_int(folder & 0xFFFFFFFF).value
    base = os.readlink(f"/proc/{pid}/cwd" if number == _AT_FDCWD else f"/proc/{pid}/fd/{number}")
    return os.path.join(base, path)


def _text(pid: int, address: int) -> bytes:
    """The bytes there up to the first zero; read page by page, for the next one may not be there."""
    found = b""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        while b"\0" not in found:
            memory.seek(address + len(found))
            found += memory.read(4096 - (address + len(found)) % 4096)
    return found.partition(b"\0")[0]


def _is_of_interest(path: str) -> bool:
    """Whether it is a program that is there (a shell tries each place of PATH) and changes something."""
    return os.path.basename(path).startswith(EXECUTED) and os.path.exists(path)


def _program(pid: int) -> str:
    with contextlib.suppress(OSError):
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    return ""


def _session(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid)
    return 0


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0
