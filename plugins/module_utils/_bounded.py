# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: reads several mounts side by side, each in a child process, so that one that hangs holds up nobody.

A process that waits for a hung mount cannot be ended, not even by SIGKILL; so it must not be this one.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import time
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _errors

#: longer than it takes to find out that a mount does not answer, for a child that finds out says more
SILENCE_S: t.Final = 8
_BEAT: t.Final = b"."
_CHUNK_BYTES: t.Final = 1 << 20

T = t.TypeVar("T")
#: called by a reader whenever it got something
Beat = t.Callable[[], None]
Read = t.Callable[[str, Beat], T]


class Readers(t.Generic[T]):
    """Children that read one mount point each; they are at work while the caller does something else."""

    def __init__(self, points: t.Iterable[str], read: Read[T], *, silence_s: float = SILENCE_S) -> None:
        self._silence_s = silence_s
        self._children = {point: _start(point, read) for point in points}
        self._deadlines = dict.fromkeys(self._children, time.monotonic() + silence_s)

    def results(self) -> dict[str, T | _errors.StorageError]:
        """By mount point, what was read, or why not; a child that is silent for too long is given up."""
        waiting = {pipe: point for point, (_process, pipe) in self._children.items()}
        silent: set[str] = set()
        got = dict.fromkeys(self._children, b"")
        while waiting:
            left_s = min(self._deadlines[point] for point in waiting.values()) - time.monotonic()
            ready = select.select(list(waiting), [], [], max(left_s, 0))[0]
            for pipe in ready:
                point = waiting[pipe]
                data = os.read(pipe, _CHUNK_BYTES)
                got[point] += data
                self._deadlines[point] = time.monotonic() + self._silence_s
                if not data:
                    del waiting[pipe]
            if not ready:
                silent.update(point for point in waiting.values() if self._deadlines[point] <= time.monotonic())
                waiting = {pipe: point for pipe, point in waiting.items() if point not in silent}
        return {point: self._result(point, got[point], silent=point in silent) for point in self._children}

    def _result(self, point: str, data: bytes, *, silent: bool) -> T | _errors.StorageError:
        process, pipe = self._children[point]
        os.close(pipe)
        os.kill(process, signal.SIGKILL)
        # it is gone, or waits for its mount and is left to init
        os.waitpid(process, os.WNOHANG)
        if silent:
            words = f"mount {point} has stopped answering for {self._silence_s:g} s; are the servers of its volume up?"
            return _errors.HungError(words)
        try:
            return t.cast("T | _errors.StorageError", pickle.loads(data.lstrip(_BEAT)))
        except (EOFError, pickle.UnpicklingError):
            return _errors.StorageError(f"the process that reads mount {point} has ended without a result")


def _start(point: str, read: Read[T]) -> tuple[int, int]:
    """A child's process id, and the pipe that it writes beats and at last its result to."""
    pipe, end = os.pipe()
    process = os.fork()
    if process:
        os.close(end)
        return process, pipe
    try:
        _detach(end)
        _send(end, _attempt(point, read, lambda: _send(end, _BEAT)))
    finally:
        # nothing of the parent's shall be flushed, run or waited for here
        os._exit(0)


def _detach(keep: int) -> None:
    # whoever holds the module's output holds the connection that waits for its end
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        if descriptor != keep:
            os.dup2(nothing, descriptor)


def _attempt(point: str, read: Read[T], beat: Beat) -> bytes:
    try:
        return pickle.dumps(read(point, beat))
    except _errors.StorageError as exc:
        return pickle.dumps(exc)
    except (_errors.GfapiError, ValueError) as exc:
        return pickle.dumps(_errors.StorageError(str(exc)))


def _send(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]
