# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual machine and its images: libvirt, QEMU, the guest and the mount have to tell the same story."""

from __future__ import annotations

import hashlib
import json
import typing as t
from xml.etree import ElementTree

import pytest

from conftest import HOST, VOLUME, image_path

GIB = 1024**3
MIB = 1024**2
SIZES = {"vda": 10 * GIB, "vdb": 64 * MIB}


@pytest.fixture(scope="module")
def disks(system: t.Any, guest: t.Any) -> dict[str, ElementTree.Element]:
    """<disk> of the defined VM, by target."""
    domain = ElementTree.fromstring(system.run("virsh", "dumpxml", "--inactive", guest.name))
    return {disk.find("target").get("dev"): disk for disk in domain.iter("disk")}


@pytest.fixture(scope="module")
def images(system: t.Any, disks: dict[str, ElementTree.Element]) -> dict[str, str]:
    """The images' files on the mount, by target."""
    return {target: image_path(system, disk.find("source").get("name")) for target, disk in disks.items()}


def pattern(serial: str) -> bytes:
    """What the guest writes (lab/image/guest/init); virtio hands it the first 20 characters of the serial."""
    line = f"gfapi-virt {serial[:20]}\n".encode()
    return (line * (4 * MIB // len(line) + 1))[: 4 * MIB]


def read_pattern(system: t.Any, path: str) -> str:
    """sha256 of the 4 MiB at 1 MiB of a qcow2 image, read through the mount."""
    part = "/tmp/gfapi-virt-pattern"
    read = f"qemu-img dd -f qcow2 -O raw bs=1M skip=1 count=5 if={path} of={part}"
    return system.host.check_output(f"{read} && head -c {4 * MIB} {part} | sha256sum && rm {part}").split()[0]


def ownership(system: t.Any, path: str) -> str:
    return system.run("stat", "--format=%u:%g %a", path).strip()


def test_every_disk_is_a_gluster_network_disk(disks: dict[str, ElementTree.Element]) -> None:
    assert sorted(disks) == ["vda", "vdb"]
    for disk in disks.values():
        source = disk.find("source")
        assert disk.get("type") == "network"
        assert source.get("protocol") == "gluster"
        assert source.get("name").startswith(f"{VOLUME}/")
        assert [host.get("name") for host in source.iter("host")] == [HOST]
        assert disk.find("driver").get("cache") == "none"


def test_qemu_reads_every_disk_through_gfapi(guest: t.Any) -> None:
    nodes = guest.monitor("query-named-block-nodes", flat=True)
    protocols = sorted(node["drv"] for node in nodes if node["drv"] not in ("qcow2", "raw"))
    assert protocols == ["gluster", "gluster"]
    assert not [node["file"] for node in nodes if "/rhev/" in node["file"]]
    assert {device["inserted"]["cache"]["direct"] for device in guest.monitor("query-block")} == {True}


def test_guest_finds_its_disks(guest: t.Any) -> None:
    said = guest.says()
    assert said[0] == "start"
    assert [line for line in said if line.startswith("disk ")] == [f"disk {name} {SIZES[name]}" for name in SIZES]
    assert said[-1] == "ready"


@pytest.mark.parametrize("target", SIZES)
def test_image_is_whole_sectors_and_belongs_to_36_36(system: t.Any, images: dict[str, str], target: str) -> None:
    path = images[target]
    assert ownership(system, path) == "36:36 660"
    assert int(system.run("stat", "--format=%s", path)) % 512 == 0
    info = json.loads(system.run("qemu-img", "info", "--force-share", "--output=json", path))
    assert info["virtual-size"] == SIZES[target]


def test_what_the_guest_wrote_is_in_the_image(
    system: t.Any, stopped_guest: t.Any, disks: dict[str, ElementTree.Element], images: dict[str, str]
) -> None:
    expected = hashlib.sha256(pattern(disks["vda"].findtext("serial", ""))).hexdigest()
    assert stopped_guest.checksum("written") == expected
    assert read_pattern(system, images["vda"]) == expected
    system.run("qemu-img", "check", "-f", "qcow2", images["vda"])


def test_vm_starts_three_times_in_a_row(system: t.Any, guest: t.Any, images: dict[str, str]) -> None:
    """Stop and start: what belongs to 36:36 stays so, and every boot finds what the one before it wrote."""
    written = guest.checksum("written")
    for _ in range(3):
        guest.shut_down()
        assert {ownership(system, path) for path in images.values()} == {"36:36 660"}
        guest.start()
        assert guest.state == "running"
        assert guest.checksum("found") == written
        assert {ownership(system, path) for path in images.values()} == {"36:36 660"}


def test_qemu_runs_unprivileged(system: t.Any) -> None:
    owners = system.lines("ps", "-C", "qemu-system-x86_64", "-o", "user:32=")
    assert {owner.strip() for owner in owners} == {"libvirt-qemu"}
