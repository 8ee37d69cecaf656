# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils._leases import MAX_HOSTS, MIB
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import (
    FIELDS,
    METADATA,
    SEAL,
    StorageDomain,
    is_uuid,
    mount_point,
    require_name,
    seal,
)
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain_layout import LAYOUT, block_size_of
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec

UUID = "5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11"
#: the sum was made with sha1sum from the lines, joined, é as &#233; and the disk as &#128190;
TEXT = f"""\
ALIGNMENT=1048576
BLOCK_SIZE=512
CLASS=Data
DESCRIPTION=café \U0001f4be
IOOPTIMEOUTSEC=10
LEASERETRIES=3
LEASETIMESEC=60
LOCKPOLICY=
LOCKRENEWALINTERVALSEC=5
POOL_UUID=
REMOTE_PATH=gl1:/data
ROLE=Regular
SDUUID={UUID}
TYPE=GLUSTERFS
VERSION=5
_SHA_CKSUM=55066d8b94cec0a12d9dc9138c9493d36d5821da
"""
STORAGE_DOMAIN = StorageDomain.new(UUID, "café \U0001f4be", VolumeSpec(("gl1",), "data"))

printable = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))).map(str.strip)
keys = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789", min_size=1).filter(
    lambda key: key not in {"TYPE", "_SHA_CKSUM", *(field.key for field in FIELDS)}
)
storage_domains = st.builds(
    StorageDomain,
    uuid=st.uuids().map(str),
    name=printable,
    spec=printable,
    pool_uuid=st.lists(st.uuids().map(str)).map(",".join),
    role=st.sampled_from(["Regular", "Master"]),
    domain_class=st.sampled_from(["Data", "Iso", "Backup"]),
    other=st.dictionaries(keys, printable).map(lambda pairs: tuple(sorted(pairs.items()))),
)


# --- the file -------------------------------------------------------------------------------------------------------


def test_seal_is_of_the_sorted_lines_without_ends_and_with_references_for_what_is_not_ascii() -> None:
    assert seal({"B": "é", "A": "1"}) == "9ab1afffebcc97cffd5dc8a45766d72b5f04a742"


def test_a_new_storage_domain_is_written_as_vdsm_writes_it() -> None:
    assert STORAGE_DOMAIN.to_text() == TEXT


def test_what_was_written_is_read() -> None:
    assert StorageDomain.from_text(TEXT) == STORAGE_DOMAIN


@given(storage_domains, st.sampled_from(list(MAX_HOSTS)))
def test_text_holds_all_of_it(storage_domain: StorageDomain, geometry: tuple[int, int]) -> None:
    storage_domain = replace(storage_domain, block_size_bytes=geometry[0], alignment_bytes=geometry[1])
    assert StorageDomain.from_text(storage_domain.to_text()) == storage_domain


@given(storage_domains, st.sampled_from([3, 4]))
def test_older_versions_have_neither_block_size_nor_alignment(storage_domain: StorageDomain, version: int) -> None:
    text = replace(storage_domain, version=version).to_text()
    assert "\nBLOCK_SIZE=" not in text
    assert "\nALIGNMENT=" not in f"\n{text}"
    assert StorageDomain.from_text(text).to_text() == text


@pytest.mark.parametrize(
    ("version", "total"),
    # the sums were made with sha1sum, as above
    [(3, "9c5094fa015314c1242e472c86431a27f67e155e"), (4, "b15174c2ad95698b738b2e85ed4997aa7ca89f2e")],
)
def test_what_vdsm_wrote_in_older_versions_is_read_and_written_back(version: int, total: str) -> None:
    text = (
        "CLASS=Data\nDESCRIPTION=old\nIOOPTIMEOUTSEC=10\nLEASERETRIES=3\nLEASETIMESEC=60\nLOCKPOLICY=\n"
        "LOCKRENEWALINTERVALSEC=5\nMASTER_VERSION=1\nPOOL_DESCRIPTION=dépôt\n"
        "POOL_DOMAINS=3a9b1c52-58c5-4f0d-a4a3-3f0a1e7d2b11:Active\nPOOL_SPM_ID=-1\nPOOL_SPM_LVER=-1\nPOOL_UUID=\n"
        "REMOTE_PATH=gl1:/gv0\nROLE=Regular\nSDUUID=3a9b1c52-58c5-4f0d-a4a3-3f0a1e7d2b11\nTYPE=GLUSTERFS\n"
        f"VERSION={version}\n_SHA_CKSUM={total}\n"
    )
    found = StorageDomain.from_text(text)
    assert (found.version, found.name, found.geometry) == (version, "old", (512, MIB))
    assert found.to_text() == text


def test_keys_that_are_not_modelled_stay() -> None:
    text = TEXT.replace("ROLE=", "POOL_SPM_ID=-1\nROLE=").partition("_SHA_CKSUM")[0]
    rewritten = StorageDomain.from_text(text).to_text()
    assert "POOL_SPM_ID=-1\n" in rewritten
    assert StorageDomain.from_text(rewritten).to_text() == rewritten


def test_a_broken_seal_is_refused_with_both_sums() -> None:
    with pytest.raises(
        ValueError,
        match=r"seal is broken: _SHA_CKSUM is 55066d8b94cec0a12d9dc9138c9493d36d5821da, the text gives [0-9a-f]{40}",
    ):
        StorageDomain.from_text(TEXT.replace("POOL_UUID=", f"POOL_UUID={UUID}"))


def test_a_file_without_seal_is_taken_as_vdsm_takes_it() -> None:
    assert StorageDomain.from_text(TEXT.partition("_SHA_CKSUM")[0]) == STORAGE_DOMAIN


def test_padding_and_lines_without_a_key_do_not_count() -> None:
    assert StorageDomain.from_text("junk\n" + TEXT + "\0" * 100) == STORAGE_DOMAIN


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no KEY=VALUE line"),
        ("TYPE=NFS\n", "TYPE is 'NFS'"),
        ("SDUUID=x\n", "TYPE is ''"),
        ("TYPE=GLUSTERFS\n", "there is no SDUUID"),
        (f"TYPE=GLUSTERFS\nSDUUID={UUID}\n", "there is no VERSION"),
        (f"TYPE=GLUSTERFS\nSDUUID={UUID}\nVERSION=six\n", "'six' is not a number"),
        (f"TYPE=GLUSTERFS\nSDUUID={UUID}\nVERSION=6\n", "VERSION 6 is not one of 3, 4, 5"),
        ("TYPE=GLUSTERFS\nSDUUID=../etc\nVERSION=5\n", "not a uuid"),
        (f"TYPE=GLUSTERFS\nSDUUID={UUID}\nVERSION=5\nBLOCK_SIZE=1024\n", "BLOCK_SIZE 1024 with ALIGNMENT 1048576"),
        (f"TYPE=GLUSTERFS\nSDUUID={UUID}\nVERSION=5\nALIGNMENT=2097152\n", "BLOCK_SIZE 512 with ALIGNMENT 2097152"),
        (f"TYPE=GLUSTERFS\nSDUUID={UUID}\nVERSION=4\nBLOCK_SIZE=4096\n", "nothing that version 4 has"),
    ],
)
def test_what_is_no_storage_domain_is_refused_by_its_fault(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        StorageDomain.from_text(text)


@pytest.mark.parametrize(
    ("pool_uuid", "pools"),
    [("", ()), (UUID, (UUID,)), ("00000000-0000-0000-0000-000000000000", ()), (f"{UUID},x", (UUID, "x"))],
)
def test_data_centers_that_have_it(pool_uuid: str, pools: tuple[str, ...]) -> None:
    assert StorageDomain(UUID, "n", "s", pool_uuid=pool_uuid).pools == pools


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "vm store", "-rf", "../x", "<&'\"%n>", "ünï", "👩‍💻", "x" * 50])
def test_any_text_in_one_line_is_a_name(name: str) -> None:
    text = StorageDomain.new(UUID, name, VolumeSpec(("gl1",), "data")).to_text()
    assert StorageDomain.from_text(text).name == name


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        (" a", "begins or ends with a blank"),
        ("a\n", "begins or ends with a blank"),
        ("a\nROLE=Master", "holds '\\\\n'"),
        ("a\0b", "holds"),
        ("a\u2028b", "holds"),
        ("a\udcffb", "holds"),
        ("x" * 51, "51 characters long; 50 fit"),
    ],
)
def test_other_names_are_refused_with_the_reason(name: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        StorageDomain.new(UUID, name, VolumeSpec(("gl1",), "data"))


@given(st.text())
def test_a_name_that_is_taken_survives_the_file(name: str) -> None:
    try:
        require_name(name, "x")
    except ValueError:
        return
    assert StorageDomain.from_text(StorageDomain(UUID, name, "s").to_text()).name == name


@pytest.mark.parametrize(
    ("text", "verdict"), [(UUID, True), (UUID.upper(), False), (UUID + "\n", False), ("..", False)]
)
def test_uuids_are_lower_case(text: str, verdict: bool) -> None:
    assert is_uuid(text) is verdict


# --- layout ---------------------------------------------------------------------------------------------------------


def test_metadata_is_made_last_and_parents_before_children() -> None:
    paths = [entry.path for entry in LAYOUT]
    assert paths[-1] == METADATA
    for position, path in enumerate(paths):
        assert not path or path.rpartition("/")[0] in paths[:position]


@pytest.mark.parametrize(
    ("geometry", "sizes"),
    [
        ((512, MIB), {"ids": MIB, "leases": 2 * MIB, "xleases": 1302528}),
        ((4096, MIB), {"ids": MIB, "leases": 2 * MIB, "xleases": 1302528}),
        ((4096, 2 * MIB), {"ids": 2 * MIB, "leases": 4 * MIB, "xleases": 2351104}),
    ],
)
def test_files_have_the_sizes_of_vdsm(geometry: tuple[int, int], sizes: dict[str, int]) -> None:
    domain = replace(STORAGE_DOMAIN, block_size_bytes=geometry[0], alignment_bytes=geometry[1])
    contents = {entry.path: entry.content(domain, 0) for entry in LAYOUT if entry.content}
    made = {
        path.partition("/")[2]: max(content.size_bytes, content.offset + len(content.data))
        for path, content in contents.items()
    }
    mailbox = 16 * MIB
    assert made == {**sizes, "inbox": mailbox, "outbox": mailbox, "metadata": len(domain.to_text().encode())}


@pytest.mark.parametrize(("taken", "block_size"), [(1, 512), (512, 512), (4096, 4096)])
def test_the_block_size_is_the_least_that_direct_io_takes(taken: int, block_size: int) -> None:
    assert block_size_of(taken) == block_size


def test_storage_without_direct_io_is_refused() -> None:
    with pytest.raises(ValueError, match="direct I/O takes none of 1, 512, 4096 bytes"):
        block_size_of(None)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("gl1:/data", "gl1:_data"),
        ("gl1:/data_1/", "gl1:_data__1"),
        ("gl1:/data/sub_dir", "gl1:_data_sub__dir"),
        ("[2001:db8::10]:/vm_store", "[2001:db8::10]:_vm__store"),
    ],
)
def test_mount_point_is_the_one_of_ovirt(spec: str, name: str) -> None:
    assert mount_point("/rhev/data-center/mnt/glusterSD/", VolumeSpec.parse(spec)) == (
        f"/rhev/data-center/mnt/glusterSD/{name}"
    )


def test_a_key_of_a_later_version_stays() -> None:
    lines = replace(STORAGE_DOMAIN, version=4).to_text().splitlines()
    keys = {**dict(line.split("=", 1) for line in lines[:-1]), "BLOCK_SIZE": "512"}
    text = "".join(f"{key}={value}\n" for key, value in sorted(keys.items())) + f"{SEAL}={seal(keys)}\n"
    found = StorageDomain.from_text(text)
    assert found.to_text() == text
    upgraded = replace(found, version=5).to_text()
    assert upgraded.count("BLOCK_SIZE=512\n") == 1
    assert StorageDomain.from_text(upgraded).version == 5


def test_what_vdsm_has_written_is_written_again_whatever_it_holds() -> None:
    name = "a\tb\x0b\r\u2028 "
    found = StorageDomain.from_text(replace(STORAGE_DOMAIN, name=name).to_text())
    assert found.name == name
    with pytest.raises(ValueError, match="holds a line break"):
        replace(STORAGE_DOMAIN, name="a\nb").to_text()
