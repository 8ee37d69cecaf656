# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sanlock's records in the lease files of a storage domain, little endian (src/leader.h). Pure: no I/O.

What is written here is free: nobody holds it, and sanlock on any host may take it.
"""

from __future__ import annotations

import functools
import struct
import typing as t

MIB: t.Final = 1 << 20
#: how many hosts a sector size and an alignment serve; sanlock takes no other pairs
MAX_HOSTS: t.Final = {
    (512, MIB): 2000,
    (4096, MIB): 250,
    (4096, 2 * MIB): 500,
    (4096, 4 * MIB): 1000,
    (4096, 8 * MIB): 2000,
}

LOCKSPACE: t.Final = 0x12212010
RESOURCE: t.Final = 0x06152010
#: major and minor version by magic; the minor one may differ
_VERSIONS: t.Final = {LOCKSPACE: 0x00030004, RESOURCE: 0x00060004}
_REQUEST: t.Final = struct.pack("<II", 0x08292011, 0x00010001)
_NAME_BYTES: t.Final = 48
_IO_TIMEOUT_S: t.Final = 10
_BODY: t.Final = struct.Struct("<4I5Q48s48sQ8x")
_TAIL: t.Final = struct.Struct("<I2xH3Q")


@functools.cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for crc in range(256):
        for _bit in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


def crc32c(data: bytes, initial: int) -> int:
    """CRC-32C, not inverted at the end. Its table costs as much as one and a half records without one."""
    crc, table = initial, _crc_table()
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc


class Leader(t.NamedTuple):
    """A leader record: who holds a lockspace's host id or a resource; `timestamp` is 0 while nobody does."""

    magic: int
    version: int
    flags: int
    sector_bytes: int
    num_hosts: int
    max_hosts: int
    owner_id: int
    owner_generation: int
    lver: int
    lockspace: str
    resource: str
    timestamp: int
    io_timeout_s: int
    #: host id, generation and timestamp of the last write
    writer: tuple[int, int, int]

    @classmethod
    def free(cls, magic: int, lockspace: str, resource: str, geometry: tuple[int, int]) -> Leader:
        """A record that nobody holds, for a sector size and an alignment."""
        sector_bytes, alignment_bytes = geometry
        hosts = MAX_HOSTS[geometry]
        num_hosts, max_hosts, timeout_s = (0, 1, _IO_TIMEOUT_S) if magic == LOCKSPACE else (hosts, hosts, 0)
        version, flags = _VERSIONS[magic], alignment_bytes // MIB << 4
        numbers = (version, flags, sector_bytes, num_hosts, max_hosts, 0, 0, 0)
        return cls(magic, *numbers, lockspace, resource, 0, timeout_s, (0, 0, 0))

    @classmethod
    def from_bytes(cls, data: bytes) -> Leader:
        """The record at the start of a sector; raises `ValueError` for what sanlock does not take."""
        if len(data) < _BODY.size + _TAIL.size:
            raise ValueError(f"a record takes {_BODY.size + _TAIL.size} bytes; there are {len(data)}")
        *numbers, lockspace, resource, timestamp = _BODY.unpack_from(data)
        checksum, timeout_s, *writer = _TAIL.unpack_from(data, _BODY.size)
        magic, version = numbers[:2]
        if magic not in _VERSIONS:
            raise ValueError(f"its first bytes are {magic:#010x}, not those of a sanlock record")
        if version >> 16 != _VERSIONS[magic] >> 16:
            raise ValueError(f"its version is {version:#010x}, not {_VERSIONS[magic]:#010x}")
        computed = _checksum(data)
        if checksum != computed:
            raise ValueError(f"its checksum is {checksum:#010x}, the bytes give {computed:#010x}")
        read: t.Any = (*numbers, text_of(lockspace), text_of(resource), timestamp, timeout_s, tuple(writer))
        return cls._make(read)

    def to_bytes(self) -> bytes:
        """The record without what fills its sector; raises `ValueError` for a name over 48 bytes."""
        body = _BODY.pack(*self[:9], name_bytes(self.lockspace), name_bytes(self.resource), self.timestamp)
        return body + _TAIL.pack(_checksum(body), self.io_timeout_s, *self.writer)


def lockspace(name: str, geometry: tuple[int, int]) -> bytes:
    """A lockspace (`ids`), one alignment unit: a free record for each host."""
    sector_bytes, alignment_bytes = geometry
    record = Leader.free(LOCKSPACE, name, "", geometry).to_bytes()
    return (record.ljust(sector_bytes, b"\0") * MAX_HOSTS[geometry]).ljust(alignment_bytes, b"\0")


def resource(lockspace_name: str, name: str, geometry: tuple[int, int]) -> bytes:
    """A free resource (`leases`, `*.lease`): what its alignment unit begins with; the rest is zero."""
    record = Leader.free(RESOURCE, lockspace_name, name, geometry).to_bytes()
    return record.ljust(geometry[0], b"\0") + _REQUEST


def _checksum(body: bytes) -> int:
    return crc32c(body[: _BODY.size], 0xFFFFFFFE)


def name_bytes(text: str) -> bytes:
    """A name as records hold it, without the fill; raises `ValueError` for one over 48 bytes."""
    name = text.encode()
    if len(name) > _NAME_BYTES:
        raise ValueError(f"{text!r} takes {len(name)} bytes; the name of a lease may take {_NAME_BYTES}")
    return name


def text_of(name: bytes) -> str:
    """The name in a field of a record."""
    return name.rstrip(b"\0").decode()
