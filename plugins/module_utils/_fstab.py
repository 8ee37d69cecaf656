# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: `/etc/fstab`, what this host mounts when it starts."""

from __future__ import annotations

import contextlib
import os
import stat
import time
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _command, _errors, _files, _mount_options, _mounts

FSTAB: t.Final = "/etc/fstab"
LOCK_TIMEOUT_S: t.Final = 60
#: there where systemd runs the host
SYSTEMD: t.Final = "/run/systemd/system"


class Fstab:
    """The file, and systemd that reads it."""

    def __init__(self, run_program: _command.Run = _command.run, *, path: str = FSTAB) -> None:
        self._run = run_program
        self._path = os.path.realpath(path)

    def entry(self, point: str) -> str | None:
        """The line for a mount point."""
        with _files.explained(f"read {self._path}"):
            return _mount_options.entry_in(self._text(), point)

    def put(self, point: str, entry: str | None) -> None:
        """Have this line for a mount point, or none; the file is replaced as a whole."""
        folder, name = os.path.split(self._path)
        with _files.explained(f"write {self._path}"), _files.Directory.open(folder) as directory:
            # for other runs; the file itself is replaced
            if not _files.take_lock(directory.descriptor, time.monotonic() + LOCK_TIMEOUT_S):
                raise _errors.StorageError(
                    f"another run writes {self._path} for {LOCK_TIMEOUT_S} s; wait for it, or end it"
                )
            mode, owner = 0o644, directory.owner()
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(self._path)
                mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
            directory.replace_text(name, _mount_options.with_entry(self._text(), point, entry), mode, owner)
        if os.path.isdir(SYSTEMD):
            # it reads the file at the next start in any case
            with contextlib.suppress(_errors.CommandError):
                self._run(["systemctl", "daemon-reload"])

    def _text(self) -> str:
        try:
            return _mounts.text_of(self._path)
        except FileNotFoundError:
            return ""
