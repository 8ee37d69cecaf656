# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of a volume that go away and change: VMs run on and start, and their lists of servers follow."""

from __future__ import annotations

import contextlib
import typing as t
from xml.etree import ElementTree

import pytest
from hosts import Guest, System, are_alike
from modules import Modules

from conftest import BRICK, LAB, VOLUME, ask

MOVING = "moving"


@pytest.fixture(scope="module")
def modules(hypervisors: list[System]) -> Modules:
    return LAB.modules(hypervisors[0].name)


@pytest.fixture
def guest(guests: list[Guest]) -> Guest:
    return guests[0]


def names(systems: t.Iterable[System]) -> list[str]:
    return [system.name for system in systems]


def bricks_online(node: System) -> int:
    status = ask(node, "volume", "status", VOLUME)
    return [one.findtext("status") for one in status.iter("node") if one.findtext("path") == BRICK].count("1")


@contextlib.contextmanager
def without(node: System, *, glusterd: bool) -> t.Iterator[None]:
    """The brick of a node is dead meanwhile, and its glusterd if asked for."""
    if glusterd:
        node.run("systemctl", "stop", "glusterd")
    node.host.run("pkill -x glusterfsd")
    node.wait("the brick is gone", lambda: node.host.run("pgrep -x glusterfsd").rc != 0)
    try:
        yield
    finally:
        node.run("systemctl", "restart", "glusterd")
        node.wait("all bricks are back", lambda: bricks_online(node) == 3)
        node.wait("all copies are alike", lambda: are_alike(node, VOLUME))


def boots_again(guest: Guest) -> None:
    """Under the same QEMU: what the guest wrote is found, and written anew."""
    ready = guest.says().count("ready")
    guest.system.run("virsh", "reset", guest.name)
    guest.wait("ready once more", lambda: guest.says().count("ready") > ready)
    assert guest.checksum("found") == guest.checksum("written")


def connected(modules: Modules, vm: str) -> list[str]:
    (found,) = modules.done("libvirt_vm_info", names=[vm])["vms"]
    return t.cast("list[str]", found["disks"][0]["connected"])


def servers(system: System, vm: str, *words: str) -> list[str]:
    """Those in the disk of a VM's XML."""
    domain = ElementTree.fromstring(system.run("virsh", "dumpxml", vm, *words))
    return [host.get("name", "") for host in domain.iterfind("devices/disk/source/host")]


def test_vm_outlives_its_volfile_server_and_starts_without_it(
    modules: Modules, nodes: list[System], guest: Guest
) -> None:
    assert servers(guest.system, guest.name) == names(nodes)
    assert connected(modules, guest.name) == names(nodes)
    with without(nodes[0], glusterd=True):
        boots_again(guest)
        assert connected(modules, guest.name) == names(nodes[1:])
        guest.shut_down()
        guest.start()
        assert guest.checksum("found") == guest.checksum("written")
        assert connected(modules, guest.name) == names(nodes[1:])
    # it looks for the lost brick every three seconds
    guest.system.wait("QEMU has it again", lambda: connected(modules, guest.name) == names(nodes))


def test_vm_outlives_a_brick(modules: Modules, nodes: list[System], guest: Guest) -> None:
    with without(nodes[1], glusterd=False):
        boots_again(guest)
        assert connected(modules, guest.name) == names([nodes[0], nodes[2]])


@pytest.fixture
def moving(modules: Modules, nodes: list[System]) -> t.Iterator[dict[str, t.Any]]:
    """A running VM on a volume of its own, on the first two nodes."""
    gluster = ("gluster", "--mode=script", "volume")
    first = nodes[0]
    bricks = [f"{node.name}:/bricks/{MOVING}" for node in nodes[:2]]
    first.run(*gluster, "create", MOVING, "replica", "2", *bricks, "force")
    first.run(*gluster, "set", MOVING, "storage.owner-uid", "36", "storage.owner-gid", "36")
    first.run(*gluster, "start", MOVING)
    spec = f"{first.name}:/{MOVING}"
    modules.done("glusterfs_domain", name=MOVING, spec=spec)
    modules.done("gfapi_disk", storage_domain=MOVING, name=MOVING, size="64MiB")
    vm = {"name": MOVING, "storage_domain": MOVING, "disks": [{"name": MOVING}], "memory": "64MiB", "virt_type": "qemu"}
    modules.done("libvirt_vm", **vm, state="running")
    yield vm
    modules.done("libvirt_vm", name=MOVING, state="absent", force_stop=True, shutdown_timeout=0)
    modules.done("gfapi_disk", storage_domain=MOVING, name=MOVING, state="absent")
    modules.done("glusterfs_domain", name=MOVING, spec=spec, state="absent", confirm=MOVING)
    first.run(*gluster, "stop", MOVING, "force")
    first.run(*gluster, "delete", MOVING)
    for node in nodes:
        node.run("rm", "-rf", f"/bricks/{MOVING}")


def test_the_list_follows_the_volume(
    modules: Modules, nodes: list[System], hypervisors: list[System], moving: dict[str, t.Any]
) -> None:
    first, second, third = names(nodes)
    host = hypervisors[0]
    assert servers(host, MOVING, "--inactive") == [first, second]
    places = (f"{second}:/bricks/{MOVING}", f"{third}:/bricks/{MOVING}")
    nodes[0].run("gluster", "--mode=script", "volume", "replace-brick", MOVING, *places, "commit", "force")
    graph = host.find(f"/rhev/data-center/mnt/glusterSD/*:_{MOVING}") + "/.meta/graphs/active"
    told = f"grep -qx {third} {graph}/{MOVING}-client-*/options/remote-host"
    host.wait("the mount has followed", lambda: host.host.run(told).rc == 0)
    result = modules.as_promised("libvirt_vm", **moving)
    assert result["actions"] == [f"change disks of domain {MOVING}"]
    assert result["vm"]["restart_required"] == []
    assert servers(host, MOVING, "--inactive") == [first, third]
    assert servers(host, MOVING) == [first, second]
    modules.done("libvirt_vm", name=MOVING, state="shut_off", force_stop=True, shutdown_timeout=0)
    modules.done("libvirt_vm", **moving, state="running")
    assert servers(host, MOVING) == [first, third]
