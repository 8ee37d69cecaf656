# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: all that lies in a storage domain, in one pass and without a write. What it means is said elsewhere.

Each directory is listed once, and of each file no more is read than tells what it is.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _bounded,
    _files,
    _image,
    _mount_table,
    _seen,
    _storage_domain,
    _storage_domain_layout,
    _storage_domain_read,
    _use_records,
)

Files = dict[str, _seen.SeenFile]


def look(point: str, space: _mount_table.Space, *, images: bool, beat: _bounded.Beat) -> _seen.Seen:
    """What a mount holds that has answered; `beat` is called for each image."""
    with _files.explained(f"read what is on {point}"), _files.Directory.open(point) as root:
        names = root.statuses()
        folders = [name for name, status in names.items() if stat.S_ISDIR(status.st_mode)]
        found = [name for name in folders if not name.startswith(".") and _has(root, name, _storage_domain.FOLDER)]
        seen = _seen.Seen(space, tuple(found), tuple(names), abandoned=_abandoned(root, folders))
        if len(found) != 1:
            return seen
        with root.below(found[0]) as directory:
            seen = seen.with_folder(*look_at_folder(directory))
            with contextlib.suppress(FileNotFoundError), directory.child(_storage_domain.IMAGES) as parent:
                seen = _look_at_images(seen, parent, images=images, beat=beat)
                return _look_at_uses(seen, point, parent) if images else seen
        return seen


def _has(root: _files.Directory, name: str, part: str) -> bool:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), root.child(name) as directory:
        return directory.is_there(part)
    return False


def _abandoned(parent: _files.Directory, folders: t.Iterable[str]) -> tuple[str, ...]:
    """The staging directories of runs that are dead."""
    staging = (name for name in folders if _files.is_staging(name) and not name.startswith(_storage_domain.REMOVED))
    return tuple(name for name in staging if not _files.has_owner(parent, name))


def look_at_folder(directory: _files.Directory) -> tuple[Files, int | None]:
    """The files of `dom_md` with the bytes that tell what they are, and the least that direct I/O takes there."""
    with directory.child(_storage_domain.FOLDER) as folder:
        statuses = folder.statuses()
        files = {name: _seen_file(status) for name, status in statuses.items()}
        if "metadata" in files:
            files["metadata"] = _read(folder, "metadata", files["metadata"], _storage_domain_read.METADATA_LIMIT)
        for name, (offset, size) in _seen.records_of(files.get("metadata")).items():
            if name in files:
                files[name] = _read(folder, name, files[name], size, offset)
        return files, _least_bytes(folder, "ids") if "ids" in files else None


def _look_at_images(seen: _seen.Seen, parent: _files.Directory, *, images: bool, beat: _bounded.Beat) -> _seen.Seen:
    statuses = parent.statuses()
    folders = [name for name, status in statuses.items() if stat.S_ISDIR(status.st_mode)]
    seen = seen.with_names(tuple(statuses), _abandoned(parent, folders))
    if not images:
        return seen

    def read(name: str) -> tuple[str, Files | None]:
        files = _look_at_image(parent, name)
        beat()
        return name, files

    found = _files.at_once(read, list(filter(_image.is_image_directory, folders)))
    return seen.with_images({name: files for name, files in found if files is not None})


def _look_at_uses(seen: _seen.Seen, point: str, parent: _files.Directory) -> _seen.Seen:
    """What other hosts noted, and which of the images that they name are open."""
    uses = _use_records.read_others(point, _use_records.this_host())
    noted = {image for record in uses.records for image in record.images}
    return seen.with_uses(uses, frozenset(name for name in noted & set(seen.image_names) if _is_open(parent, name)))


def _is_open(parent: _files.Directory, name: str) -> bool:
    """Whether any file of an image is open."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), parent.child(name) as directory:
        return any(map(directory.is_open, directory.names()))
    return False


def _look_at_image(parent: _files.Directory, name: str) -> Files | None:
    """The files of an image; `None` if it is deleted meanwhile."""
    with contextlib.suppress(FileNotFoundError), parent.child(name) as directory:
        files = {name: _seen_file(status) for name, status in directory.statuses().items()}
        # the .meta files come first, for they tell which data has a header
        for name in sorted(files, key=lambda name: not name.endswith(".meta")):
            size = _seen.bytes_of_image(files, name)
            if size:
                files[name] = _read(directory, name, files[name], size)
        return files
    return None


def _seen_file(status: os.stat_result) -> _seen.SeenFile:
    return _seen.SeenFile(status.st_size, status.st_blocks * 512)


def _read(directory: _files.Directory, name: str, file: _seen.SeenFile, size: int, offset: int = 0) -> _seen.SeenFile:
    """The file with some of its bytes, or with the reason why they cannot be read."""
    try:
        return file.with_head(directory.read(name, size, offset))
    except OSError as exc:
        if exc.errno == errno.ENOTCONN:
            raise
        return file.with_fault(exc.strerror or str(exc))


def _least_bytes(folder: _files.Directory, name: str) -> int | None:
    """The least that direct I/O reads there at once; `None` where that cannot be told."""
    try:
        descriptor = folder.open_file(name, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        return None
    try:
        with mmap.mmap(-1, max(_storage_domain_layout.PROBED_BYTES)) as aligned, memoryview(aligned) as memory:
            return next(
                (size for size in _storage_domain_layout.PROBED_BYTES if _reads(descriptor, memory, size)), None
            )
    finally:
        os.close(descriptor)


def _reads(descriptor: int, memory: memoryview, size: int) -> bool:
    try:
        with memory[:size] as block:
            return os.preadv(descriptor, [block], 0) == size
    except OSError:
        return False
