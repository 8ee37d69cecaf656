# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import struct
import typing as t
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils._image import (
    Image,
    ImageVolume,
    base_volume_uuid_of,
    describe,
    image_uuid_of,
    is_image_directory,
    is_padded,
    padded,
    parse_size,
    require_as_told,
    size_text,
    virtual_size_in,
)

SD = "5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11"
IMG = "6b1ccf2f-4e0c-5f28-9f36-0a3a6b3f8d11"
VOL = "9d2070d1-8a4f-5a53-8f0e-34f1d4f0f9c2"
META = f"""\
CAP=10737418240
CTIME=1700000000
DESCRIPTION={{"DiskAlias":"web","DiskDescription":"täst"}}
DISKTYPE=DATA
DOMAIN={SD}
FORMAT=COW
GEN=0
IMAGE={IMG}
LEGALITY=LEGAL
PUUID=00000000-0000-0000-0000-000000000000
SEQ=0
TYPE=SPARSE
VOLTYPE=LEAF
EOF
"""
VOLUME = ImageVolume(VOL, IMG, SD, describe("web", "täst"), "qcow2", 10 << 30, 1700000000)


# --- sizes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("10GiB", 10 << 30),
        ("10G", 10 << 30),
        ("10GB", 10 << 30),
        ("10 gib", 10 << 30),
        ("1.5T", 3 << 39),
        ("0.5m", 1 << 19),
        ("512MiB", 512 << 20),
        ("4k", 4096),
        ("2P", 2 << 50),
        ("4096", 4096),
        ("4096B", 4096),
        (4097, 8192),
        ("1", 4096),
        (" 1G ", 1 << 30),
        ("1.0001M", 1048576 + 4096),
    ],
)
def test_sizes_are_1024_based_and_rounded_up(text: str | int, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "ten", "-1", "0", "0.0G", "10Gi B", "1e9", "8E", "16384P", "G", "1G\n1", True, "٣G"]
)
def test_what_is_no_size_is_refused_with_an_example(text: t.Any) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@given(st.integers(1, 1 << 60))
def test_padding_adds_less_than_a_block(size_bytes: int) -> None:
    assert padded(size_bytes) % 4096 == 0
    assert 0 <= padded(size_bytes) - size_bytes < 4096


@given(st.integers(1, 1 << 50))
def test_the_text_of_a_size_means_that_size(blocks: int) -> None:
    text = size_text(blocks * 4096)
    assert parse_size(text.replace(" bytes", "")) == blocks * 4096


@pytest.mark.parametrize(("length", "verdict"), [(0, True), (196624, False), (200704, True), (196608 + 512, True)])
def test_lengths_that_qemu_can_read_to_the_end(length: int, verdict: bool) -> None:
    assert is_padded(length) is verdict


# --- uuids ----------------------------------------------------------------------------------------------------------


def test_uuids_follow_from_storage_domain_and_name() -> None:
    # python3 -c 'import uuid; print(uuid.uuid5(uuid.UUID(SD), "web"))'
    assert image_uuid_of(SD, "web") == "83ea4615-7eb0-53d5-801c-af379debf08d"
    assert base_volume_uuid_of(IMG) == "3620f58f-efed-57f2-87fa-377eb1a5c428"


@given(st.text(max_size=40), st.text(max_size=40))
def test_two_names_have_two_uuids(one: str, other: str) -> None:
    # surrogates are refused before: they are no name
    try:
        pair = {image_uuid_of(SD, one), image_uuid_of(SD, other)}
    except UnicodeEncodeError:
        return
    assert len(pair) == len({one, other})
    assert all(map(is_image_directory, pair))


@pytest.mark.parametrize("name", ["_remove_me_" + IMG, ".gfapi-virt-x", "..", IMG.upper()])
def test_other_directories_are_no_images(name: str) -> None:
    assert not is_image_directory(name)


# --- .meta ----------------------------------------------------------------------------------------------------------


def test_meta_is_written_as_vdsm_writes_it() -> None:
    assert VOLUME.to_text() == META


def test_what_was_written_is_read() -> None:
    assert ImageVolume.from_text(VOL, META) == VOLUME
    assert (VOLUME.alias, VOLUME.note) == ("web", "täst")


uuids = st.uuids().map(str)


@given(
    st.builds(
        ImageVolume,
        uuid=uuids,
        image_uuid=uuids,
        storage_domain_uuid=uuids,
        description=st.builds(describe, st.sampled_from(["a", "é=x", '"\\']), st.sampled_from(["", "EOF", "ü"])),
        format=st.sampled_from(["raw", "qcow2"]),
        capacity_bytes=st.integers(0, 1 << 62),
        created_at=st.integers(0, 1 << 33),
        preallocated=st.booleans(),
        parent_uuid=st.none() | uuids.filter(lambda text: set(text) != {"0", "-"}),
        role=st.sampled_from(["LEAF", "INTERNAL", "SHARED"]),
        legality=st.sampled_from(["LEGAL", "ILLEGAL", "FAKE"]),
        disk_type=st.sampled_from(["DATA", "OVFS"]),
        generation=st.integers(0, 999),
        sequence=st.integers(0, 2**32 - 1),
        other=st.sampled_from([(), (("POOL", "0"),)]),
    )
)
def test_text_holds_all_of_it(volume: ImageVolume) -> None:
    assert ImageVolume.from_text(volume.uuid, volume.to_text()) == volume
    older = replace(volume, capacity_bytes=volume.capacity_bytes // 512 * 512, sequence=0)
    for version in (3, 4):
        assert ImageVolume.from_text(volume.uuid, older.to_text(version)) == older


#: the same in versions 3 and 4: blocks of 512 bytes instead of bytes
OLDER = META.replace("CAP=10737418240\n", "").replace("SEQ=0\n", "SIZE=20971520\n").replace("PUUID", "MTIME=0\nPUUID")


@pytest.mark.parametrize("version", [3, 4])
def test_older_versions_count_blocks(version: int) -> None:
    assert ImageVolume.from_text(VOL, OLDER) == VOLUME
    assert VOLUME.to_text(version) == OLDER


def test_a_file_on_its_way_from_version_4_to_5_says_both() -> None:
    assert ImageVolume.from_text(VOL, f"CAP=10737418240\n{OLDER}") == VOLUME


@pytest.mark.parametrize(
    "key", ["CAP", "CTIME", "DESCRIPTION", "DOMAIN", "FORMAT", "IMAGE", "PUUID", "TYPE", "VOLTYPE"]
)
def test_a_missing_key_is_named(key: str) -> None:
    text = "".join(line for line in META.splitlines(keepends=True) if not line.startswith(f"{key}="))
    with pytest.raises(ValueError, match=f"there is no {key}"):
        ImageVolume.from_text(VOL, text)


@pytest.mark.parametrize(("old", "new"), [("FORMAT=COW", "FORMAT=VMDK"), ("CAP=1", "CAP=x"), ("CTIME=1", "CTIME=-1")])
def test_a_wrong_value_is_named(old: str, new: str) -> None:
    with pytest.raises(ValueError, match=new.partition("=")[0]):
        ImageVolume.from_text(VOL, META.replace(old, new))


def test_nothing_is_read_after_the_end() -> None:
    assert ImageVolume.from_text(VOL, META + "CAP=1\n") == VOLUME


@pytest.mark.parametrize(
    "description", ["", "OVF_STORE", "[1]", '{"DiskAlias":1}', '{"Disk Description":"OVF_STORE"}', "{"]
)
def test_a_description_without_a_name_gives_none(description: str) -> None:
    volume = dataclasses.replace(VOLUME, description=description)
    assert (volume.alias, volume.note) == ("", "")
    assert ImageVolume.from_text(VOL, volume.to_text()) == volume


@pytest.mark.parametrize("name", ["../x", "-rf", "a'b\"c", "<x>", "%n", "ünï 👩‍💻", "a=b", "EOF", "x" * 173, "{}"])
def test_any_text_in_one_line_is_kept_exactly(name: str) -> None:
    made = ImageVolume.base(SD, name, note="", format="raw", capacity_bytes=4096, created_at=0)
    assert ImageVolume.from_text(made.uuid, made.to_text()).alias == name


@pytest.mark.parametrize(
    ("name", "note", "fault"),
    [
        ("", "", "is empty"),
        (" x", "", "blank"),
        ("a\nb", "", "holds"),
        ("a", "b\nc", "the description of disk 'a'"),
        ("x" * 174, "", "by 1 characters"),
        ("x", "y" * 200, "by 28 characters"),
        ("ü" * 170, "", "by [0-9]+ bytes"),
    ],
)
def test_what_does_not_fit_is_refused_not_cut_off(name: str, note: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        ImageVolume.base(SD, name, note=note, format="qcow2", capacity_bytes=10 << 40, created_at=1700000000)


# --- chains ---------------------------------------------------------------------------------------------------------


def _layer(uuid: str, parent: str | None) -> ImageVolume:
    return dataclasses.replace(VOLUME, uuid=uuid, parent_uuid=parent)


def test_a_chain_stands_from_leaf_to_base() -> None:
    image = Image.from_volumes(IMG, [_layer("b", "a"), _layer("c", "b"), _layer("a", None)])
    assert [volume.uuid for volume in image.volumes] == ["c", "b", "a"]
    assert (image.leaf.uuid, image.name, image.format) == ("c", "web", "qcow2")
    assert image.path_of(image.volumes[2]) == f"{SD}/images/{IMG}/a"


@pytest.mark.parametrize(
    ("pairs", "fault"),
    [
        ([], "0 image volumes"),
        ([("a", None), ("b", None)], "2 image volumes"),
        ([("a", "gone")], "no parent gone"),
        ([("a", "b"), ("b", "a")], "0 image volumes"),
        ([("c", "a"), ("a", "b"), ("b", "a")], "no parent a"),
    ],
)
def test_what_is_no_single_chain_is_refused(pairs: list[tuple[str, str | None]], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Image.from_volumes(IMG, [_layer(*pair) for pair in pairs])


# --- qemu-img and qcow2 ---------------------------------------------------------------------------------------------


def test_the_virtual_size_stands_in_the_header() -> None:
    header = b"QFI\xfb" + struct.pack(">IQIIQ", 3, 0, 0, 16, 10 << 30)
    assert virtual_size_in(header) == 10 << 30


@pytest.mark.parametrize("header", [b"", b"QFI\xfb", bytes(32), b"qfi\xfb" + bytes(28)])
def test_other_bytes_are_no_qcow2(header: bytes) -> None:
    with pytest.raises(ValueError, match="no qcow2 image"):
        virtual_size_in(header)


def qcow2_head(name: str, *, version: int = 3, features: int = 0) -> bytes:
    head = b"QFI\xfb" + struct.pack(">IQIIQ", version, 112 if name else 0, len(name), 16, 1 << 30)
    return (head.ljust(72, b"\0") + struct.pack(">Q", features)).ljust(112, b"\0") + name.encode()


PARENT = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("name", "parent", "features", "is_refused"),
    [
        ("", None, 0, False),
        (PARENT, PARENT, 0, False),
        (f"../{PARENT}/{PARENT}", PARENT, 1, False),
        ("", PARENT, 0, True),
        (PARENT, None, 0, True),
        ("/etc/shadow", None, 0, True),
        (f"/tmp/{PARENT}", PARENT, 0, True),
        (f"../../{PARENT}/{PARENT}", PARENT, 0, True),
        ("json:{}", None, 0, True),
        ("", None, 4, True),
    ],
)
def test_a_layer_names_its_parent_and_nothing_else(
    name: str, parent: str | None, features: int, is_refused: bool
) -> None:
    volume = dataclasses.replace(VOLUME, format="qcow2", parent_uuid=parent)
    head = qcow2_head(name, features=features)
    if not is_refused:
        require_as_told(head, volume)
        return
    with pytest.raises(ValueError, match="its header (names|says)"):
        require_as_told(head, volume)


def test_what_a_raw_layer_holds_is_its_guests_affair() -> None:
    require_as_told(qcow2_head("/etc/shadow"), dataclasses.replace(VOLUME, format="raw"))
