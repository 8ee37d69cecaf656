# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Owners and modes in a storage domain: what is wrong with them. Pure: no I/O."""

from __future__ import annotations

import posixpath
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _image, _storage_domain, _storage_domain_layout

#: uid and gid
Owner = tuple[int, int]

_MODES: t.Final = {entry.path: entry.mode for entry in _storage_domain_layout.LAYOUT}
_OTHERS: t.Final = 0o007


class Wrong(t.NamedTuple):
    """What gets the owner, and a mode where that is wrong too; the path is relative to the storage domain."""

    path: str
    mode: int | None


def mode_of(path: str) -> int | None:
    """The mode that VDSM gives a file or directory; `None` where any will do."""
    if path in _MODES:
        return _MODES[path]
    folder, name = posixpath.split(path)
    above, image = posixpath.split(folder)
    if folder == _storage_domain.IMAGES and _image.is_image_directory(name):
        return _image.DIRECTORY_MODE
    if above == _storage_domain.IMAGES and _image.is_image_directory(image):
        if name.endswith(".meta"):
            return _image.META_MODE
        return (
            _image.LEASE_MODE
            if name.endswith(".lease")
            else _image.DATA_MODE
            if _storage_domain.is_uuid(name)
            else None
        )
    return None


def _is_wrong(mode: int, expected: int) -> bool:
    return bool(expected & ~mode or mode & _OTHERS & ~expected)


def wrong_in(path: str, mode: int, owner: Owner, wanted: Owner) -> Wrong | None:
    """What is to be mended about a file or directory: more for the group does no harm, more for others does."""
    expected = mode_of(path)
    is_mode_wrong = expected is not None and _is_wrong(mode, expected)
    if owner == wanted and not is_mode_wrong:
        return None
    return Wrong(path, expected if is_mode_wrong else None)
