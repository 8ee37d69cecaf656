# SPDX-License-Identifier: GPL-3.0-or-later
"""Users on other hosts, by name: what hosts note of their VMs, and what that forbids on the others."""

from __future__ import annotations

import json
import typing as t

import pytest
from hosts import Guest, System, states, way_to

from conftest import LAB, VOLUME, own_folder, records

VM = "roamer"
DISK = f"{VM}-root"
BOOT = {
    "virt_type": "qemu",
    "memory": "128MiB",
    "kernel": "/var/lib/gfapi-lab/guest/vmlinuz",
    "initrd": "/var/lib/gfapi-lab/guest/initrd.img",
    "cmdline": "console=ttyS0 quiet no_timer_check",
}
GONE = {"host": "gone", "machine_id": "0" * 32, "vm": "lost", "uuid": "11111111-2222-4333-8444-555555555555"}


@pytest.fixture
def disk(hypervisors: list[System]) -> t.Iterator[dict[str, str]]:
    """A disk that no VM has yet; it and its VM are gone afterwards."""
    wanted = {"storage_domain": "vms", "name": DISK}
    LAB.modules(hypervisors[0].name).done("gfapi_disk", **wanted, size="64MiB")
    yield wanted
    for system in hypervisors:
        if VM in states(system):
            LAB.modules(system.name).done("libvirt_vm", name=VM, state="absent", force_stop=True)
    LAB.modules(hypervisors[0].name).done("gfapi_disk", **wanted, state="absent", force=True)


@pytest.fixture
def vm(disk: dict[str, str]) -> dict[str, t.Any]:
    return {"name": VM, **BOOT, "storage_domain": "vms", "disks": [{"name": disk["name"]}]}


def test_a_vm_is_noted_while_it_is_defined(hypervisors: list[System], vm: dict[str, t.Any], mount_point: str) -> None:
    here = hypervisors[0]
    modules = LAB.modules(here.name)
    assert modules.as_promised("libvirt_vm", **vm)["actions"] == [f"define domain {VM}"]
    noted = records(here, mount_point)[VM]
    assert noted["uuid"] == here.run("virsh", "domuuid", VM).strip()
    (image,) = noted["images"]
    assert f"/images/{image}/" in here.run("virsh", "dumpxml", VM)
    modules.as_promised("libvirt_vm", name=VM, disks=[])
    assert VM not in records(here, mount_point)
    here.run("virsh", "undefine", VM)


def test_a_vm_that_was_defined_by_others_is_noted_once(
    hypervisors: list[System], vm: dict[str, t.Any], mount_point: str
) -> None:
    here = hypervisors[0]
    modules = LAB.modules(here.name)
    modules.done("libvirt_vm", **vm)
    uuid = here.run("virsh", "domuuid", VM).strip()
    here.run("rm", f"{mount_point}/.gfapi-users/{own_folder(here)}/{uuid}")
    done = modules.as_promised("libvirt_vm", **vm)
    assert done["actions"] == [f"note domain {VM} as a user of its images in storage domain vms"]


def test_a_vm_that_is_off_on_another_host_keeps_its_disk(
    hypervisors: list[System], vm: dict[str, t.Any], disk: dict[str, str]
) -> None:
    here, there = hypervisors
    LAB.modules(there.name).done("libvirt_vm", **vm)
    modules = LAB.modules(here.name)
    snapshot = {"storage_domain": "vms", "disks": [DISK], "name": "before"}
    for module, change in (
        ("gfapi_disk", {**disk, "state": "absent"}),
        ("gfapi_disk", {**disk, "size": "128MiB"}),
        ("gfapi_snapshot", snapshot),
    ):
        words = modules.refused(module, **change)
        assert f"it is used by VM {VM} on host {there.name} (not running)" in words
        assert "set force: true if that host is gone for good" in words
    (found,) = modules.done("glusterfs_domain_info", names=["vms"])["storage_domains"]
    (image,) = [image for image in found["images"] if image["name"] == DISK]
    assert image["used_elsewhere"] == [{"host": there.name, "name": VM, "open": False}]
    assert DISK not in [orphan["name"] for orphan in found["orphans"]["images"]]
    LAB.modules(there.name).done("libvirt_vm", name=VM, state="absent")
    modules.done("gfapi_disk", **disk, state="absent")


def test_a_note_of_a_host_that_is_gone_needs_force(
    hypervisors: list[System], disk: dict[str, str], mount_point: str
) -> None:
    here = hypervisors[0]
    modules = LAB.modules(here.name)
    image = modules.done("gfapi_disk", **disk)["disk"]["image_uuid"]
    folder = f"{mount_point}/.gfapi-users/gone.{GONE['machine_id']}"
    record = json.dumps({**GONE, "name": GONE["host"], "format": 1, "images": [image]})
    here.run("mkdir", folder)
    try:
        here.host.check_output(f"echo '{record}' > {folder}/{GONE['uuid']}")
        words = modules.refused("gfapi_disk", **disk, state="absent")
        assert "it is used by VM lost on host gone (not running)" in words
        modules.as_promised("gfapi_disk", **disk, state="absent", force=True)
        here.host.check_output(f"echo nothing > {folder}/{GONE['uuid']}")
        modules.done("gfapi_disk", **disk, size="64MiB")
        assert f"{folder}/{GONE['uuid']}" in modules.refused("gfapi_disk", **disk, state="absent")
    finally:
        here.run("rm", "-r", folder)


def test_a_storage_domain_is_kept_for_vms_of_other_hosts(guests: list[Guest], nodes: list[System]) -> None:
    """The last node has no libvirt domain of its own, and mounts nothing."""
    ending = {"name": "vms", "spec": f"{nodes[0].name}:/{VOLUME}", "state": "absent", "confirm": "vms"}
    modules = LAB.modules(nodes[-1].name)
    for values in (ending, {**ending, "force": True}):
        words = modules.refused("glusterfs_domain", **values)
        assert words.startswith("storage domain vms is in use: its bricks have images open, for VMs of other hosts")
        for guest in guests:
            assert f"{guest.name}-root by VM {guest.name} on host {guest.system.name} (running)" in words


@pytest.fixture
def shelf(nodes: list[System], hypervisors: list[System]) -> t.Iterator[dict[str, str]]:
    """A storage domain on a volume of its own, that both hypervisors have active."""
    volume = ("gluster", "--mode=script", "volume")
    nodes[0].run(*volume, "create", "shelf", f"{nodes[0].name}:/bricks/shelf")
    nodes[0].run(*volume, "start", "shelf")
    wanted = {"name": "shelf", "spec": f"{nodes[0].name}:/shelf"}
    for system in hypervisors:
        LAB.modules(system.name).as_promised("glusterfs_domain", **wanted)
    yield wanted
    for system in hypervisors:
        LAB.modules(system.name).done("glusterfs_domain", **wanted, state="maintenance")
    nodes[0].run(*volume, "stop", "shelf")
    nodes[0].run(*volume, "delete", "shelf")
    nodes[0].run("rm", "-r", "/bricks/shelf")


def test_a_storage_domain_is_kept_while_another_host_has_it_active_or_a_vm_in_it(
    shelf: dict[str, str], hypervisors: list[System]
) -> None:
    here, there = hypervisors
    modules, others = LAB.modules(here.name), LAB.modules(there.name)
    others.done("gfapi_disk", storage_domain="shelf", name=DISK, size="1MiB")
    others.done("libvirt_vm", name=VM, memory="64MiB", virt_type="qemu", storage_domain="shelf", disks=[{"name": DISK}])
    ending = {**shelf, "state": "absent", "confirm": "shelf"}
    assert f"it is used by VM {VM} on host {there.name} (not running)" in modules.refused("glusterfs_domain", **ending)
    others.done("libvirt_vm", name=VM, state="absent")
    assert f"it is active on host {there.name}" in modules.refused("glusterfs_domain", **ending)
    others.as_promised("glusterfs_domain", **shelf, state="maintenance")
    modules.as_promised("glusterfs_domain", **ending)


def test_a_vm_runs_on_one_host_at_a_time_and_migrates(
    hypervisors: list[System], vm: dict[str, t.Any], disk: dict[str, str], mount_point: str
) -> None:
    here, there = hypervisors
    modules, others = LAB.modules(here.name), LAB.modules(there.name)
    modules.done("libvirt_vm", **vm, state="running")
    words = others.refused("libvirt_vm", **vm, state="running")
    assert f"cannot start on image {DISK}: it is used by VM {VM} on host {here.name} (running)" in words
    assert VM not in states(there)
    assert "(running)" in others.refused("gfapi_disk", **disk, state="absent", force=True)
    snapshot = {"storage_domain": "vms", "disks": [DISK], "name": "before"}
    modules.done("gfapi_snapshot", **snapshot, vm=VM)
    words = others.refused("gfapi_snapshot", **snapshot, state="absent")
    assert f"it is used by VM {VM} on host {here.name} (running); shut that down first" in words
    modules.done("gfapi_snapshot", **snapshot, vm=VM, state="absent")
    here.run("virsh", "migrate", "--live", "--persistent", "--undefinesource", VM, way_to(there, here))
    assert states(there)[VM] == "running"
    # nobody noted it there, and the note here is of no VM of this host any more
    words = modules.refused("libvirt_vm", **vm, state="running")
    assert f"cannot start on image {DISK}: it is open on its bricks" in words
    others.done("libvirt_vm", **vm, state="running")
    words = modules.refused("libvirt_vm", **vm, state="running")
    assert f"it is used by VM {VM} on host {there.name} (running)" in words
    assert VM in records(here, mount_point)
    modules.done("libvirt_vm", **{**vm, "name": f"{VM}-2"})
    assert VM not in records(here, mount_point)
    modules.done("libvirt_vm", name=f"{VM}-2", state="absent")
