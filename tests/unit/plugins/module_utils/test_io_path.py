# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a real QEMU said of a domain with a disk of every kind (fixtures/README.md)."""

from __future__ import annotations

import copy
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._io_path import IOPath, from_qemu_filename, io_path

QEMU: t.Final = Path(__file__).parents[2] / "fixtures" / "qemu"
DOMAIN: t.Final = _xml.parse((QEMU / "domain_7.2.22.xml").read_text("utf-8"))
ALIASES: t.Final = {disk.find("target").get("dev"): _disk.alias_of(disk) for disk in DOMAIN.iterfind("devices/disk")}
MOUNTS: t.Final = ["/mnt/other", "/mnt/vmstore"]


def answer(command: str) -> list[dict[str, t.Any]]:
    return t.cast("list[dict[str, t.Any]]", json.loads((QEMU / f"{command}_7.2.22.json").read_text("utf-8"))["return"])


DEVICES: t.Final = answer("query-block")
NODES: t.Final = answer("query-named-block-nodes")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        pytest.param("vda", IOPath("gfapi", ("gl1", "127.0.0.1")), id="gfapi, two servers"),
        pytest.param("sda", IOPath("gfapi", ("gl1",)), id="gfapi, scsi"),
        pytest.param("vdb", IOPath("gfapi", ("gl1",)), id="gfapi, qcow2"),
        pytest.param("vdc", IOPath("fuse"), id="fuse"),
        pytest.param("vdd", IOPath("file"), id="file"),
        pytest.param("vde", IOPath("block"), id="block"),
        pytest.param("sdb", None, id="empty drive"),
    ],
)
def test_path_is_what_qemu_says(target: str, path: IOPath | None) -> None:
    assert io_path(ALIASES[target], DEVICES, NODES, MOUNTS) == path


@pytest.mark.parametrize(("status", "error"), [("ok", None), ("nospace", "nospace"), ("failed", "io")])
def test_error_is_what_qemu_keeps_of_it(status: str, error: str | None) -> None:
    devices = [{**device, "io-status": status} for device in DEVICES]
    assert io_path(ALIASES["vdb"], devices, NODES, MOUNTS) == IOPath("gfapi", ("gl1",), error)


def test_file_on_no_mount_of_gluster_is_a_file() -> None:
    assert io_path(ALIASES["vdc"], DEVICES, NODES, ["/mnt/vm", "/mnt/vmstore/fuse/x"]) == IOPath("file")


def test_mount_may_end_in_a_slash() -> None:
    assert io_path(ALIASES["vdc"], DEVICES, NODES, ["/mnt/vmstore/"]) == IOPath("fuse")


def test_unknown_alias_has_no_path() -> None:
    assert io_path("virtio-disk9", DEVICES, NODES, MOUNTS) is None
    assert io_path("", DEVICES, NODES, MOUNTS) is None


def test_alias_is_not_found_in_a_longer_one() -> None:
    """virtio-disk1 is not virtio-disk10."""
    devices = copy.deepcopy(DEVICES)
    devices[0]["qdev"] = "/machine/peripheral/virtio-disk10/virtio-backend"
    assert io_path("virtio-disk1", devices, NODES, MOUNTS) == IOPath("gfapi", ("gl1",))
    assert io_path("virtio-disk10", devices, NODES, MOUNTS) == IOPath("gfapi", ("gl1", "127.0.0.1"))


def test_name_alone_does_not_make_gfapi() -> None:
    """QEMU's node must be driven by gluster: what the device is called proves nothing."""
    nodes = [node for node in NODES if node["drv"] != "gluster"]
    assert io_path(ALIASES["vda"], DEVICES, nodes, MOUNTS) == IOPath("other")


def test_drive_of_an_old_libvirt_is_found() -> None:
    devices = [{"device": "drive-virtio-disk0", "inserted": {"file": "gluster://gl1/vmstore/a"}}]
    nodes = [{"drv": "gluster", "file": "gluster://gl1/vmstore/a"}]
    assert io_path("virtio-disk0", devices, nodes, MOUNTS) == IOPath("gfapi", ("gl1",))


@pytest.mark.parametrize("file", ["nbd://h/p", "", 'json:{"driver":"null-co"}', "gluster://u@h/v/p"])
def test_other_drivers_are_other(file: str) -> None:
    devices = [{"device": "", "qdev": "a", "inserted": {"file": file}}]
    assert io_path("a", devices, [{"drv": "nbd", "file": file}], MOUNTS) == IOPath("other")


@pytest.mark.parametrize(
    "text",
    ["json:", "json:[]", 'json:{"driver": ', "json:" + '{"file":' * 9999, 'json:{"driver": "file", "filename": 1}'],
    ids=["empty", "a list", "cut off", "nested too deep", "a number"],
)
def test_what_is_no_name_of_qemu_is_no_source(text: str) -> None:
    assert from_qemu_filename(text) == _disk.DiskSource()


def test_a_gluster_node_that_lacks_its_parts_is_gluster_all_the_same() -> None:
    source = from_qemu_filename('json:{"driver": "gluster", "server": ["h", {"type": "unix", "path": []}]}')
    assert source.is_gluster
    assert source.hosts == (_disk.Host(None, None, "unix", None),)


@pytest.mark.parametrize("devices", [None, [None], [{"qdev": "x"}, "x"], [{"qdev": "x", "inserted": []}]])
def test_answers_of_another_shape_tell_nothing(devices: t.Any) -> None:
    assert io_path("x", devices, devices, []) is None
