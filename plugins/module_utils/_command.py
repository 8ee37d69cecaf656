# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: runs a program, with a time limit and the C locale."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _errors


class Completed(t.NamedTuple):
    """How a program ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def words(self) -> str:
        """What the program said, on one line: standard error first, else standard output."""
        return " ".join((self.stderr.strip() or self.stdout.strip()).split())


Watch = t.Callable[[str], None]


class Run(t.Protocol):
    """How edges run programs. Tests pass one that replays recordings."""

    def __call__(
        self,
        argv: t.Sequence[str],
        *,
        stdin: str = "",
        timeout_s: float = 60,
        cwd: str | None = None,
        watch: Watch | None = None,
        quiet: bool = False,
    ) -> Completed:
        """As `run` below."""


def run(
    argv: t.Sequence[str],
    *,
    stdin: str = "",
    timeout_s: float = 60,
    cwd: str | None = None,
    watch: Watch | None = None,
    quiet: bool = False,
) -> Completed:
    """The outcome of a program, whatever its exit status; `watch` gets its standard output as it comes, instead.

    `quiet` drops what it says on standard error, of one that may say a line for each block of an image.

    Raises `CommandError` when it cannot be started or is still running after `timeout_s` (it is ended then, with
    all that it started).
    """
    if watch:
        with _read_aside(watch) as pipe:
            return _run(argv, stdin, timeout_s, cwd, pipe, quiet=quiet)
    return _run(argv, stdin, timeout_s, cwd, subprocess.PIPE, quiet=quiet)


class _Program(subprocess.Popen[str]):
    """A program in a session of its own, so that all that it started can be ended with it.

    Not `AnsibleModule.run_command`, which waits for ever.
    """

    def __init__(self, argv: t.Sequence[str], cwd: str | None, stdout_to: int, *, quiet: bool) -> None:
        super().__init__(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=stdout_to,
            stderr=subprocess.DEVNULL if quiet else subprocess.PIPE,
            encoding="utf-8",
            errors="surrogateescape",
            env=dict(os.environ, LC_ALL="C", LANGUAGE="C"),
            cwd=cwd,
            start_new_session=True,
        )

    def end(self) -> None:
        os.killpg(self.pid, signal.SIGKILL)
        # a child that waits for a hung mount cannot be ended, and shall not hold us
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(timeout=2)
        for pipe in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()


def _run(
    argv: t.Sequence[str], stdin: str, timeout_s: float, cwd: str | None, stdout_to: int, *, quiet: bool
) -> Completed:
    try:
        program = _Program(argv, cwd, stdout_to, quiet=quiet)
    except OSError as exc:
        if cwd is not None and exc.filename == cwd:
            raise _errors.CommandError(f"cannot run {argv[0]} in {cwd}: {exc.strerror}") from exc
        raise _errors.CommandError(f"cannot run {argv[0]}: {exc.strerror}; install it or mend PATH") from exc
    try:
        stdout, stderr = program.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired as exc:
        program.end()
        raise _errors.CommandError(f"{' '.join(argv)}: no answer within {timeout_s:g} s") from exc
    return Completed(program.returncode, stdout or "", stderr or "")


@contextlib.contextmanager
def _read_aside(watch: Watch) -> t.Iterator[int]:
    """Where a program may write to, with somebody who reads."""
    reading, writing = os.pipe()

    def read() -> None:
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            while chunk := pipe.read(4096):
                watch(chunk.decode(errors="replace"))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield writing
    finally:
        os.close(writing)
        # one that outlived its time limit may hold the pipe open
        reader.join(timeout=2)
