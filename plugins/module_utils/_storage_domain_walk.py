# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: one walk over all that lies in a storage domain, for owners and modes; and their mending."""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _errors,
    _files,
    _image,
    _storage_domain,
    _storage_domain_rights,
)

Statuses = dict[str, os.stat_result]


def look(
    point: str, uuid: str, owner: _files.Owner
) -> tuple[tuple[_storage_domain_rights.Wrong, ...], tuple[str, ...]]:
    """What can be mended of all that lies in a storage domain, and what cannot, in words."""
    with (
        _files.explained(f"look at the owners in {point}/{uuid}"),
        _files.Directory.open(point) as root,
        root.child(uuid) as top,
    ):
        for name in (_storage_domain.FOLDER, _storage_domain.IMAGES):
            # without them it is no storage domain that can be used
            if not top.is_there(name):
                raise _errors.StorageError(
                    f"{top.path}/{name} is missing; put it back, or make an empty directory of that name"
                )
            top.child(name).close()
        wrong: list[_storage_domain_rights.Wrong] = []
        faults: list[str] = []
        for path, status in _walk(top):
            found = _wrong(path, status, owner)
            fault = _fault(top, path, status, found)
            if fault:
                faults.append(f"{top.path}/{path} {fault}")
            elif found:
                wrong.append(found)
        return tuple(wrong), tuple(faults)


def _walk(top: _files.Directory) -> t.Iterator[tuple[str, os.stat_result]]:
    """Every path, but for what is being made, renamed into place or removed; each directory is listed once."""
    yield "", os.fstat(top.descriptor)
    folders = [""]
    while folders:
        found = {
            posixpath.join(folder, name): status
            for folder, statuses in _listed(top, folders)
            for name, status in statuses.items()
            if not name.startswith((".", _image.REMOVED_PREFIX))
        }
        yield from found.items()
        folders = [path for path, status in found.items() if stat.S_ISDIR(status.st_mode)]


def _wrong(path: str, status: os.stat_result, owner: _files.Owner) -> _storage_domain_rights.Wrong | None:
    return _storage_domain_rights.wrong_in(path, stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid), owner)


def _fault(
    top: _files.Directory, path: str, status: os.stat_result, found: _storage_domain_rights.Wrong | None
) -> str | None:
    """Why a path is left as it is, where that is not because it is well."""
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link, and none is followed; take it away"
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        return "is no file; take it away"
    if found and path.startswith(f"{_storage_domain.IMAGES}/") and _is_open(top, path):
        has = f"has owner {status.st_uid}:{status.st_gid} and mode {stat.S_IMODE(status.st_mode):04o}"
        return f"{has}, and is left so while somebody has it open; run again when nobody has"
    return None


def _is_open(top: _files.Directory, path: str) -> bool:
    folder, name = posixpath.split(path)
    try:
        with top.below(folder) as directory:
            return directory.is_open(name)
    except FileNotFoundError:
        return False


def _listed(top: _files.Directory, folders: t.Sequence[str]) -> t.Iterable[tuple[str, Statuses]]:
    return list(zip(folders, _files.at_once(lambda folder: _statuses(top, folder), folders)))


def _statuses(top: _files.Directory, folder: str) -> Statuses:
    try:
        with top.below(folder) as directory:
            return directory.statuses()
    except (FileNotFoundError, NotADirectoryError):
        return {}  # removed meanwhile


def mend(point: str, uuid: str, owner: _files.Owner, wrong: t.Sequence[_storage_domain_rights.Wrong]) -> None:
    """Give it all its owner, and its mode where that is wrong; what is gone meanwhile is well."""
    with (
        _files.explained(f"set owners and modes in {point}/{uuid}"),
        _files.Directory.open(point) as root,
        root.child(uuid) as top,
    ):
        for path, mode in wrong:
            with contextlib.suppress(FileNotFoundError):
                _give(top, path, owner, mode)


def _give(top: _files.Directory, path: str, owner: _files.Owner, mode: int | None) -> None:
    folder, name = posixpath.split(path)
    with top.below(folder) as directory:
        if not path or stat.S_ISDIR(os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False).st_mode):
            with directory.below(name) as found:
                _set(found.descriptor, owner, mode)
            return
        descriptor = directory.open_file(name)
    try:
        _set(descriptor, owner, mode)
    finally:
        os.close(descriptor)


def _set(descriptor: int, owner: _files.Owner, mode: int | None) -> None:
    os.fchown(descriptor, *owner)
    if mode is not None:
        os.fchmod(descriptor, mode)
