# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a new storage domain, as VDSM makes them. Pure: no I/O."""

from __future__ import annotations

import posixpath
import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _leases, _storage_domain, _xleases

#: the resource that the host holds which changes the storage domain for its data center
SPM_LEASE: t.Final = "SDM"


@dataclass(frozen=True)
class Content:
    """What a file holds: `data` from `offset` on, allocated to the end; what is before is a hole, all if no data."""

    data: bytes = b""
    size_bytes: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Entry:
    """One file or directory of a storage domain, relative to its root; `content` is `None` for a directory.

    `content` gets the seconds of the epoch as well. VDSM makes the entry in versions from `since` on.
    """

    path: str
    mode: int
    content: t.Callable[[_storage_domain.StorageDomain, int], Content] | None = None
    since: int = 3


def _ids(domain: _storage_domain.StorageDomain, _now: int) -> Content:
    return Content(_leases.lockspace(domain.uuid, domain.geometry))


def _lockspace_of(domain: _storage_domain.StorageDomain, _now: int) -> Content:
    # the first unit is left to the locks of version 2
    unit = domain.alignment_bytes
    return Content(_leases.resource(domain.uuid, SPM_LEASE, domain.geometry), 2 * unit, offset=unit)


def _mailboxes(_domain: _storage_domain.StorageDomain, _now: int) -> Content:
    return Content(size_bytes=16 * _leases.MIB)


def _index_of(domain: _storage_domain.StorageDomain, now: int) -> Content:
    return Content(_xleases.XLeaseIndex(domain.uuid, now).to_bytes(), offset=domain.alignment_bytes)


def _metadata(domain: _storage_domain.StorageDomain, _now: int) -> Content:
    return Content(domain.to_text().encode())


#: in the order they are made
LAYOUT: t.Final = (
    Entry("", 0o755),
    Entry(_storage_domain.FOLDER, 0o755),
    Entry(_storage_domain.IMAGES, 0o755),
    Entry("dom_md/inbox", 0o660, _mailboxes),
    Entry("dom_md/outbox", 0o660, _mailboxes),
    Entry("dom_md/leases", 0o660, _lockspace_of),
    Entry("dom_md/ids", 0o660, _ids),
    Entry(_storage_domain.XLEASES, 0o660, _index_of, since=4),
    Entry(_storage_domain.METADATA, _storage_domain.METADATA_MODE, _metadata),
)


#: VDSM tries these, and takes the first that direct I/O takes
PROBED_BYTES: t.Final = (1, 512, 4096)


def block_size_of(taken_bytes: int | None) -> int:
    """The block size of storage whose direct I/O takes so many bytes at least; one byte means that nothing is asked."""
    if taken_bytes is None:
        words = ", ".join(map(str, PROBED_BYTES))
        raise ValueError(f"direct I/O takes none of {words} bytes, and a storage domain has blocks of 512 or 4096")
    return max(taken_bytes, 512)


def missing_from(domain: _storage_domain.StorageDomain, names: t.Collection[str]) -> tuple[Entry, ...]:
    """The files in `dom_md` that its version has and that are not among these."""
    return tuple(
        entry
        for entry in LAYOUT
        if entry.content and entry.since <= domain.version and posixpath.basename(entry.path) not in names
    )
