# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: which storage domain lies on a mount that answers."""

from __future__ import annotations

import contextlib
import posixpath
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _errors, _files, _storage_domain

#: far above any metadata file; VDSM reads 4096 bytes of it
METADATA_LIMIT: t.Final = 1 << 20


def read(point: str) -> _storage_domain.StorageDomain | None:
    """The storage domain on a mount that answers; `None` if none, `StorageError` for a bad one or several."""
    with _files.explained(f"read what is on {point}"), _files.Directory.open(point) as root:
        found = [name for name in root.names() if _holds_storage_domain(root, name)]
        if not found:
            return None
        if len(found) > 1:
            raise _errors.StorageError(
                f"{point} holds {len(found)} storage domains, one is allowed: {', '.join(found)}"
            )
        return _storage_domain_in(root, found[0])


def require_named(point: str, name: str) -> _storage_domain.StorageDomain:
    """The storage domain on a mount; raises `StorageError` if there is none or another."""
    found = read(point)
    if found is None or found.name != name:
        there = f"storage domain {found.name} ({found.uuid})" if found else "no storage domain"
        raise _errors.StorageError(f"{point} holds {there}, not {name}")
    return found


def _holds_storage_domain(root: _files.Directory, name: str) -> bool:
    # VDSM takes any directory with a dom_md for one and makes no other beside it
    if name.startswith("."):
        return False
    with contextlib.suppress(NotADirectoryError, FileNotFoundError), root.child(name) as directory:
        return directory.is_there("dom_md")
    return False


def _storage_domain_in(root: _files.Directory, uuid: str) -> _storage_domain.StorageDomain:
    path = posixpath.join(root.path, uuid, _storage_domain.METADATA)
    folder, name = posixpath.split(_storage_domain.METADATA)
    try:
        with root.below(f"{uuid}/{folder}") as directory:
            found = _storage_domain.StorageDomain.from_text(directory.read(name, METADATA_LIMIT).decode())
    except FileNotFoundError:
        raise _errors.StorageError(
            f"{path} is missing: a storage domain that was never finished; take {root.path}/{uuid} away if it holds"
            " nothing of yours"
        ) from None
    except ValueError as exc:
        raise _errors.StorageError(f"{path} is not usable: {exc}") from exc
    if found.uuid != uuid:
        raise _errors.StorageError(f"{path} is not usable: SDUUID is {found.uuid}, its directory {uuid}")
    return found
