# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: a storage domain brought to a later version of the format, or given the files that it lacks.

The order is VDSM's (lib/vdsm/storage/formatconverter.py): after each step all images can be read, by VDSM and by us. A
mark on the mount stands from the first step to the last, so that a run that was killed is seen and finished.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import typing as t
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _files,
    _image,
    _image_files,
    _storage_domain,
    _storage_domain_files,
    _storage_domain_layout,
    _storage_domain_state,
)

_MARK_FLAGS: t.Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def is_unfinished(point: str) -> bool:
    """Whether an upgrade was interrupted, or runs at this moment."""
    return os.path.lexists(os.path.join(point, _storage_domain.MARK))


def missing(point: str, domain: _storage_domain.StorageDomain) -> tuple[str, ...]:
    """The files that its version has and it lacks; one with nothing in it has nothing to lose, and is made anew."""
    path = f"{domain.uuid}/{_storage_domain.FOLDER}"
    with (
        _files.explained(f"read {posixpath.join(point, path)}"),
        _files.Directory.open(point) as root,
        root.below(path) as folder,
    ):
        return tuple(entry.path for entry in _storage_domain_layout.missing_from(domain, _names(folder)))


def bring_up(point: str, name: str, version: int) -> None:
    """To that version, with all files that it has; waits for another run that does the same."""
    doing = f"upgrade storage domain {name} on {point}"
    with _files.explained(doing), _files.Directory.open(point) as root, _storage_domain_files.locked(root):
        # another run may have done it all, or attached it
        found = _storage_domain_files.as_it_is(root, name)
        wanted = replace(found, version=max(version, found.version))
        _storage_domain_state.require_upgradable(found, wanted.version)
        _bring_up(root, found, wanted)


def _bring_up(
    root: _files.Directory, found: _storage_domain.StorageDomain, wanted: _storage_domain.StorageDomain
) -> None:
    os.close(os.open(_storage_domain.MARK, _MARK_FLAGS, 0o600, dir_fd=root.descriptor))
    with (
        root.below(f"{found.uuid}/{_storage_domain.FOLDER}") as folder,
        root.below(f"{found.uuid}/{_storage_domain.IMAGES}") as images,
    ):
        with _files.staging(root, "upgrade") as stage:
            _add_files(stage, folder, images, found, wanted)
        if found.version < 5 <= wanted.version:
            _rewrite(images, _with_both_sizes)
        _storage_domain_files.write(root, found, wanted)
        if wanted.version >= 5:
            _rewrite(images, _image.ImageVolume.to_text)
    root.remove(_storage_domain.MARK)
    root.sync()


def _add_files(
    stage: _files.Directory,
    folder: _files.Directory,
    images: _files.Directory,
    found: _storage_domain.StorageDomain,
    wanted: _storage_domain.StorageDomain,
) -> None:
    """The files that are not there; the leases of images first, for nothing else would tell that they lack."""
    if _storage_domain_layout.missing_from(found, _names(folder)):
        for directory, volume, _text in _volumes(images):
            lease = volume.uuid + _image_files.LEASE
            if not directory.is_there(lease):
                _image_files.make_lease(stage, volume.uuid, found, images.owner())
                stage.move(lease, directory, lease)
    for entry in _storage_domain_layout.missing_from(
        wanted, _names(folder) if found.version >= 4 else _without_xleases(folder)
    ):
        name = posixpath.basename(entry.path)
        _storage_domain_files.make(stage, name, entry, wanted, folder.owner())
        stage.move(name, folder, name)


def _names(folder: _files.Directory) -> list[str]:
    """But for files with nothing in them."""
    return [name for name, status in folder.statuses().items() if status.st_size]


def _without_xleases(folder: _files.Directory) -> list[str]:
    """The names, but for what an interrupted upgrade left: version 3 has no external leases."""
    return [name for name in _names(folder) if name != posixpath.basename(_storage_domain.XLEASES)]


def _with_both_sizes(volume: _image.ImageVolume) -> str:
    """`.meta` that version 4 and version 5 read alike."""
    return replace(volume, other=(*volume.other, ("CAP", str(volume.capacity_bytes)))).to_text(4)


def _rewrite(images: _files.Directory, text_of: t.Callable[[_image.ImageVolume], str]) -> None:
    owner = images.owner()
    for directory, volume, text in _volumes(images):
        wanted = text
        # one without room for another key stays as it is: every reader takes either size
        with contextlib.suppress(ValueError):
            wanted = text_of(volume)
        if wanted != text:
            _image_files.write_meta(directory, volume.uuid, wanted, owner)


def _volumes(images: _files.Directory) -> t.Iterator[tuple[_files.Directory, _image.ImageVolume, str]]:
    """Every image volume with its directory and the text of its `.meta`; what cannot be read stays as it is."""
    for image_uuid in filter(_image.is_image_directory, images.names()):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), images.child(image_uuid) as directory:
            for name in directory.names():
                if name.endswith(_image_files.META) and not name.startswith("."):
                    with contextlib.suppress(ValueError):
                        text = directory.read(name, _image_files.META_READ_BYTES).decode()
                        yield directory, _image.ImageVolume.from_text(name[: -len(_image_files.META)], text), text
