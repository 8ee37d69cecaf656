# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The index of `xleases`, VDSM's text in fixed places (lib/vdsm/storage/xlease.py). Pure: no I/O."""

from __future__ import annotations

import struct
import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _leases

_INDEX: t.Final = struct.Struct(">Ix4sx48sx10sxc440xc")
_XLEASE: t.Final = struct.Struct("48sx11sxccc")
_INDEX_MAGIC: t.Final = 0x12152016
_INDEX_VERSION: t.Final = 1
_XLEASES: t.Final = 3960
INDEX_BYTES: t.Final = _INDEX.size + _XLEASES * _XLEASE.size


class XLease(t.NamedTuple):
    """An external lease: its place in the index, which alone says where it lies, and what its record says."""

    position: int
    resource: str
    offset: int
    updating: bool = False


@dataclass(frozen=True)
class XLeaseIndex:
    """The index of `xleases`, without the free records. VDSM takes one that says `updating` for broken."""

    lockspace: str
    #: in seconds of the epoch
    changed_at: int
    updating: bool = False
    leases: tuple[XLease, ...] = ()

    @classmethod
    def from_bytes(cls, data: bytes) -> XLeaseIndex:
        """Raises `ValueError` for what is no index."""
        if len(data) < INDEX_BYTES:
            raise ValueError(f"an index takes {INDEX_BYTES} bytes; there are {len(data)}")
        magic, version, name, changed_at, flag, _end = _INDEX.unpack_from(data)
        if (magic, version) != (_INDEX_MAGIC, b"%04d" % _INDEX_VERSION):
            raise ValueError(f"it begins with {magic:#010x} and version {version!r}, which is no index of leases")
        records = _XLEASE.iter_unpack(data[_INDEX.size : INDEX_BYTES])
        leases = tuple(
            XLease(position, _leases.text_of(resource), int(offset), updating == b"u")
            for position, (resource, offset, updating, _reserved, _end) in enumerate(records)
            if resource.strip(b"\0")
        )
        return cls(_leases.text_of(name), int(changed_at), flag == b"u", leases)

    def to_bytes(self) -> bytes:
        """The whole index."""
        version, changed_at = b"%04d" % _INDEX_VERSION, b"%010d" % self.changed_at
        head = _INDEX.pack(
            _INDEX_MAGIC, version, _leases.name_bytes(self.lockspace), changed_at, _flag(self.updating), b"\n"
        )
        records = [_XLEASE.pack(b"", b"%011d" % 0, b"-", b"-", b"\n")] * _XLEASES
        for lease in self.leases:
            words = (_leases.name_bytes(lease.resource), b"%011d" % lease.offset, _flag(lease.updating))
            records[lease.position] = _XLEASE.pack(*words, b"-", b"\n")
        return head + b"".join(records)


def _flag(updating: bool) -> bytes:
    return b"u" if updating else b"-"
