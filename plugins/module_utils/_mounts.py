# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: the gluster mounts of this host, as they are."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _command, _errors, _files, _mount_table

TABLE: t.Final = "/proc/self/mounts"
DEAD: t.Final = "Transport endpoint is not connected"
ANSWER_TIMEOUT_S: t.Final = 5


def real_mount_root(path: str) -> str:
    """The directory as the mount table has it: without links, `..` and doubled slashes, as far as it is there.

    Raises `ValueError` for a path that is not absolute or holds a blank.
    """
    if not path.startswith("/") or any(character.isspace() for character in path):
        raise ValueError(f"mount_root {path!r} is not an absolute path without blanks, as in /rhev/data-center/mnt")
    return os.path.realpath(path)


def require_no_link(point: str) -> None:
    """Raises `StorageError` for a mount point that is a link: what is mounted there would be found elsewhere."""
    # asks nothing of what is mounted there, which may hang
    with contextlib.suppress(OSError):
        target = os.readlink(point)
        raise _errors.StorageError(
            f"mount point {point} is a symbolic link to {target}; take it away, or mend mount_root"
        )


class Mounts:
    """Reads the gluster mounts of this host."""

    def __init__(self, run_program: _command.Run = _command.run, *, table: str = TABLE) -> None:
        self._run = run_program
        self._table = table

    def table(self) -> tuple[_mount_table.Mount, ...]:
        with _files.explained(f"read the mount table {self._table}"):
            return _mount_table.parse_table(text_of(self._table))

    def at(self, point: str) -> _mount_table.Mount | None:
        """The gluster mount on that directory."""
        return next((mount for mount in reversed(self.table()) if mount.point == point), None)

    def read_space(self, point: str) -> _mount_table.Space | None:
        """The space of the volume, asked of its bricks by a child process that may hang instead of us.

        `None` for a mount whose client or volume is gone; raises `HungError` when there is no answer in time.
        """
        try:
            done = self._run(["stat", "-f", "-c", "%S %b %a", point], timeout_s=ANSWER_TIMEOUT_S)
        except _errors.CommandError as exc:
            raise _errors.HungError(
                f"mount {point} does not answer within {ANSWER_TIMEOUT_S} s; are the servers of its volume up?"
            ) from exc
        if DEAD in done.stderr:
            return None
        if done.returncode != 0:
            raise _errors.StorageError(f"cannot read mount {point}: {done.words}")
        block, blocks, free = (int(word) for word in done.stdout.split())
        return _mount_table.Space(block * blocks, block * free)

    def require_answer(self, point: str) -> _mount_table.Space:
        """The same, but a dead mount is an error too."""
        space = self.read_space(point)
        if space is None:
            raise _errors.StorageError(f"mount {point} is dead: {DEAD}; gfapi.virt.glusterfs_domain mounts it again")
        return space


def text_of(path: str, position: int = 0) -> str:
    """A file's text from a position on, with the ends of lines that it has."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.seek(position)
        return file.read()
