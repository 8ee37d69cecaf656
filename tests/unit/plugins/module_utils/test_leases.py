# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils._leases import (
    LOCKSPACE,
    MAX_HOSTS,
    MIB,
    RESOURCE,
    Leader,
    crc32c,
    lockspace,
    resource,
)
from ansible_collections.gfapi.virt.plugins.module_utils._xleases import INDEX_BYTES, XLease, XLeaseIndex

NAME = "5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11"
LEASE = "9d2070d1-8a4f-5a53-8f0e-34f1d4f0f9c2"
SMALL = (512, MIB)
FIXTURE = Path(__file__).parents[2] / "fixtures/sanlock/records_3.8.5.json"
RECORDED: list[dict[str, t.Any]] = json.loads(FIXTURE.read_text("utf-8"))
#: sanlock leaves 7 bytes of the request record as they were in memory
UNINITIALISED = slice(0x11, 0x18)


def written_by_sanlock(recorded: dict[str, t.Any]) -> bytearray:
    size = recorded["sector_bytes"]
    return bytearray(b"".join(bytes.fromhex(text).ljust(size, b"\0") * count for count, text in recorded["runs"]))


def written_by_us(recorded: dict[str, t.Any]) -> bytes:
    geometry = (recorded["sector_bytes"], recorded["alignment_bytes"])
    if recorded["kind"] == "lockspace":
        return lockspace(NAME, geometry)
    return resource(NAME, LEASE, geometry).ljust(geometry[1], b"\0")


def label(recorded: dict[str, t.Any]) -> str:
    return f"{recorded['kind']} {recorded['sector_bytes']} {recorded['alignment_bytes'] // MIB} MiB"


# --- CRC-32C --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        # the check value of the Castagnoli polynomial, and RFC 3720 B.4
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_crc32c_gives_the_known_answers(data: bytes, crc: int) -> None:
    assert crc32c(data, 0xFFFFFFFF) ^ 0xFFFFFFFF == crc


# --- sanlock's records ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", RECORDED, ids=label)
def test_our_files_are_those_of_sanlock_byte_by_byte(recorded: dict[str, t.Any]) -> None:
    theirs = written_by_sanlock(recorded)
    if recorded["kind"] == "resource":
        sector = theirs[recorded["sector_bytes"] :]
        sector[UNINITIALISED] = bytes(7)
        theirs[recorded["sector_bytes"] :] = sector
    assert written_by_us(recorded) == bytes(theirs)


@pytest.mark.parametrize("recorded", RECORDED, ids=label)
def test_a_record_is_read_as_sanlock_reads_it(recorded: dict[str, t.Any]) -> None:
    said = recorded["read_leader"]
    read = Leader.from_bytes(bytes(written_by_sanlock(recorded)))
    assert [int(said[key], 0) for key in ("magic", "version", "flags", "sector_size", "num_hosts", "max_hosts")] == [
        *read[:6]
    ]
    assert (read.lockspace, read.resource) == (said["space_name"], said["resource_name"])
    numbers = (read.owner_id, read.owner_generation, read.lver, read.timestamp, read.io_timeout_s)
    assert numbers == tuple(
        int(said[key]) for key in ("owner_id", "owner_generation", "lver", "timestamp", "io_timeout")
    )


def test_fields_stand_where_the_format_has_them() -> None:
    leader = Leader(
        RESOURCE, 0x00060001, 0x20, 4096, 7, 8, 9, 10, 11, NAME, LEASE, 12, io_timeout_s=13, writer=(14, 15, 16)
    )
    data = leader.to_bytes()
    numbers = {0x00: (4, RESOURCE), 0x04: (4, 0x00060001), 0x08: (4, 0x20), 0x0C: (4, 4096), 0x10: (8, 7)}
    numbers |= {0x18: (8, 8), 0x20: (8, 9), 0x28: (8, 10), 0x30: (8, 11), 0x98: (8, 12), 0xA0: (8, 0)}
    numbers |= {0xA8: (4, crc32c(data[:0xA8], 0xFFFFFFFE)), 0xAC: (2, 0), 0xAE: (2, 13)}
    numbers |= {0xB0: (8, 14), 0xB8: (8, 15), 0xC0: (8, 16)}
    for offset, (size, number) in numbers.items():
        assert int.from_bytes(data[offset : offset + size], "little") == number, hex(offset)
    assert (data[0x38:0x68], data[0x68:0x98]) == (NAME.encode().ljust(48, b"\0"), LEASE.encode().ljust(48, b"\0"))
    assert len(data) == 0xC8


words = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=48)


@given(
    st.builds(
        Leader,
        st.sampled_from([LOCKSPACE, RESOURCE]),
        st.integers(0, 0xFFFF),
        *[st.integers(0, 2**32 - 1)] * 2,
        *[st.integers(0, 2**64 - 1)] * 5,
        words,
        words,
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**16 - 1),
        st.tuples(*[st.integers(0, 2**64 - 1)] * 3),
    )
)
def test_a_record_holds_all_of_it(leader: Leader) -> None:
    leader = leader._replace(version=leader.version | (0x00030000 if leader.magic == LOCKSPACE else 0x00060000))
    assert Leader.from_bytes(leader.to_bytes()) == leader


GOOD = Leader.free(RESOURCE, NAME, LEASE, SMALL).to_bytes()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "a record takes 200 bytes; there are 0"),
        (bytes(512), "first bytes are 0x00000000, not those of a sanlock record"),
        (GOOD[:6] + b"\x07" + GOOD[7:], "its version is 0x00070004, not 0x00060004"),
        (
            GOOD[:0x20] + b"\1" + GOOD[0x21:],
            "its checksum is 0x9792f948, the bytes give 0x[0-9a-f]{8}",
        ),
    ],
)
def test_what_sanlock_would_refuse_is_refused_by_its_fault(data: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Leader.from_bytes(data)


def test_a_name_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="takes 49 bytes; the name of a lease may take 48"):
        resource(NAME, "x" * 49, SMALL)


@pytest.mark.parametrize(("geometry", "hosts"), MAX_HOSTS.items())
def test_a_lockspace_has_a_record_for_each_host(geometry: tuple[int, int], hosts: int) -> None:
    sector, alignment = geometry
    data = lockspace(NAME, geometry)
    assert len(data) == alignment
    records = {data[start : start + sector] for start in range(0, hosts * sector, sector)}
    assert [Leader.from_bytes(record).resource for record in records] == [""]
    assert not any(data[hosts * sector :])


# --- the index of xleases -------------------------------------------------------------------------------------------


def test_an_empty_index_is_the_one_of_vdsm() -> None:
    data = XLeaseIndex(NAME, 1700000000).to_bytes()
    assert len(data) == INDEX_BYTES == 253952
    head = b"\x12\x15\x20\x16\0" + b"0001\0" + NAME.encode().ljust(48, b"\0") + b"\0" + b"1700000000\0" + b"-"
    assert data[:512] == head.ljust(511, b"\0") + b"\n"
    assert data[512:] == (bytes(49) + b"00000000000\0--\n") * 3960


def test_an_index_with_leases_has_them_in_their_places() -> None:
    index = XLeaseIndex(NAME, 0, updating=True, leases=(XLease(1, LEASE, 4 * MIB, updating=True),))
    data = index.to_bytes()
    assert data[:71].endswith(b"0000000000\0u")
    assert data[512 + 64 : 512 + 128] == LEASE.encode().ljust(49, b"\0") + b"00004194304\0u-\n"


@given(
    st.builds(
        XLeaseIndex,
        st.uuids().map(str),
        st.integers(0, 9_999_999_999),
        st.booleans(),
        st.dictionaries(
            st.integers(0, 3959), st.tuples(st.uuids().map(str), st.integers(0, 99_999_999_999), st.booleans())
        ).map(lambda places: tuple(XLease(position, *rest) for position, rest in sorted(places.items()))),
    )
)
def test_an_index_holds_all_of_it(index: XLeaseIndex) -> None:
    assert XLeaseIndex.from_bytes(index.to_bytes()) == index


@pytest.mark.parametrize(
    ("data", "fault"),
    [(b"", "takes 253952 bytes; there are 0"), (bytes(INDEX_BYTES), "begins with 0x00000000 and version b'")],
)
def test_what_is_no_index_is_refused(data: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        XLeaseIndex.from_bytes(data)
