# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import struct
import typing as t

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._image import Source
from ansible_collections.gfapi.virt.plugins.module_utils._source import (
    HEAD_BYTES,
    parse_checksum,
    probe,
    require_alone,
    source_from_info,
)
from ansible_collections.gfapi.virt.tests.unit.recorded import FIXTURES

#: made and asked by record_sources.py
RECORDED: t.Final[dict[str, dict[str, t.Any]]] = json.loads((FIXTURES / "qemu" / "sources_7.2.22.json").read_text())
#: files that name others, and the words on it
NOT_ALONE: t.Final = {
    "backed.qcow2": "has a backing file",
    "data.qcow2": "keeps its data in another file",
    "flat.vmdk": "is the descriptor of a VMDK in several files",
    "split.vmdk": "is the descriptor of a VMDK in several files",
}


def head_of(name: str) -> bytes:
    return bytes.fromhex(RECORDED[name]["head"]).ljust(HEAD_BYTES, b"\0")


@pytest.mark.parametrize("name", [name for name, one in RECORDED.items() if one["given"] is None])
def test_formats_are_told_as_qemu_tells_them(name: str) -> None:
    assert probe(head_of(name)) == RECORDED[name]["info"]["format"]


def test_nothing_has_no_mark() -> None:
    assert probe(b"") == "raw"


@pytest.mark.parametrize("name", RECORDED)
def test_files_that_name_others_are_refused_by_their_header(name: str) -> None:
    told = RECORDED[name]["given"] or probe(head_of(name))
    if name in NOT_ALONE:
        with pytest.raises(ValueError, match=f"source /x {NOT_ALONE[name]}.*make one file of it first"):
            require_alone("/x", told, head_of(name))
    else:
        require_alone("/x", told, head_of(name))


@pytest.mark.parametrize("name", RECORDED)
def test_files_that_name_others_are_refused_by_what_qemu_says(name: str) -> None:
    text = json.dumps(RECORDED[name]["info"])
    if name == "encrypted.qcow2":
        with pytest.raises(ValueError, match=r"source /tmp/encrypted.qcow2 is encrypted, .* decrypt it first"):
            source_from_info(f"/tmp/{name}", text)
    elif name in NOT_ALONE or name == "backed.vmdk":
        with pytest.raises(ValueError, match=r"has the backing file|keeps its data in"):
            source_from_info(f"/tmp/{name}", text)
    else:
        info = RECORDED[name]["info"]
        assert source_from_info(f"/tmp/{name}", text) == Source(f"/tmp/{name}", info["format"], info["virtual-size"])


def test_a_raw_image_may_begin_like_another() -> None:
    require_alone("/x", "raw", head_of("hostile.raw"))


@pytest.mark.parametrize(
    ("text", "parsed"), [("sha256:00ff", ("sha256", "00ff")), (" SHA1:AB ", ("sha1", "ab")), ("md5:0", ("md5", "0"))]
)
def test_checksum(text: str, parsed: tuple[str, str]) -> None:
    assert parse_checksum(text) == parsed


@pytest.mark.parametrize("text", ["", "00ff", "sha256:", "sha256:xyz", "crc32:00", "sha256 00ff"])
def test_malformed_checksum(text: str) -> None:
    with pytest.raises(ValueError, match="is not ALGORITHM:DIGEST"):
        parse_checksum(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"format": "raw"}',
        '{"virtual-size": 1}',
        '{"format": "raw", "virtual-size": "1"}',
        "[" * 9999,
    ],
    ids=lambda text: text[:20],
)
def test_what_qemu_img_never_says_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        source_from_info("/x", text)


@pytest.mark.parametrize(("capacity", "is_refused"), [(0, True), (2048, False)])
def test_a_sparse_vmdk_that_is_a_descriptor_is_refused(capacity: int, is_refused: bool) -> None:
    head = b"KDMV" + struct.pack("<IIQ", 1, 3, capacity).ljust(508, b"\0")
    assert probe(head) == "vmdk"
    if not is_refused:
        require_alone("/x", "vmdk", head)
        return
    with pytest.raises(ValueError, match="is the descriptor of a VMDK in several files"):
        require_alone("/x", "vmdk", head)
