# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Owners and modes in a storage domain: what is wrong with them. Pure: no I/O."""

from __future__ import annotations

import posixpath
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils._image import (
    DATA_MODE,
    DIRECTORY_MODE,
    LEASE_MODE,
    META_MODE,
    is_image_directory,
)
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import IMAGES, is_uuid
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain_layout import LAYOUT

#: uid and gid
Owner = tuple[int, int]

_MODES: t.Final = {entry.path: entry.mode for entry in LAYOUT}
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
    if folder == IMAGES and is_image_directory(name):
        return DIRECTORY_MODE
    if above == IMAGES and is_image_directory(image):
        if name.endswith(".meta"):
            return META_MODE
        return LEASE_MODE if name.endswith(".lease") else DATA_MODE if is_uuid(name) else None
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
