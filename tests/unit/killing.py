# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kills a piece of code right before one of its state-changing system calls, for real: in a child that is gone then."""

from __future__ import annotations

import os
import stat
import traceback
import typing as t
import warnings

if t.TYPE_CHECKING:
    import pytest

CHANGING = (
    *("mkdir", "open", "symlink", "link", "rename", "unlink", "rmdir", "chown", "fchown", "fchmod"),
    *("ftruncate", "pwrite", "posix_fallocate", "fsync"),
)
KILLED = 9


def killed_at(point: int, act: t.Callable[[], object]) -> bool:
    """Whether `act` was killed before its `point`-th call (from 0); `False` once it makes fewer and ends by itself."""
    with warnings.catch_warnings():
        # libvirt's event loop of another test may run in a thread; the child only makes system calls
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _end(point, act)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code not in (0, KILLED):
        raise AssertionError(f"killed at {point}: the child failed by itself; see its traceback")
    return code == KILLED


def _end(point: int, act: t.Callable[[], object]) -> t.NoReturn:
    calls = 0

    def counted(function: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def call(*args: t.Any, **kwargs: t.Any) -> t.Any:
            nonlocal calls
            if calls == point:
                os._exit(KILLED)
            calls += 1
            return function(*args, **kwargs)

        return call

    for name in CHANGING:
        setattr(os, name, counted(getattr(os, name)))
    try:
        act()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is called from now on of that by which something stays or gets its name, in order."""
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def note_fsync(descriptor: int) -> None:
        calls.append("fsync directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync file")
        fsync(descriptor)

    def note_rename(*args: t.Any, **kwargs: t.Any) -> None:
        calls.append("rename")
        rename(*args, **kwargs)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "rename", note_rename)
    return calls


def noted_by_name(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The same, with the last name of each, and with what gets a second name or loses one."""
    calls: list[str] = []

    def note(word: str, place: int) -> None:
        function = getattr(os, word)

        def call(*args: t.Any, **kwargs: t.Any) -> None:
            path = os.readlink(f"/proc/self/fd/{args[0]}") if word == "fsync" else args[place]
            calls.append(f"{word} {os.path.basename(path)}")
            function(*args, **kwargs)

        monkeypatch.setattr(os, word, call)

    for word, place in (("fsync", 0), ("rename", 1), ("link", 1), ("unlink", 0)):
        note(word, place)
    return calls


def is_synced(calls: list[str], name: str, *, before: str) -> bool:
    """Whether a file or directory of what was noted was written to the disks before the first such call."""
    return f"fsync {name}" in calls[: calls.index(before)]
