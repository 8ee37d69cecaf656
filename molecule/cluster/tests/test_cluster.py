# SPDX-License-Identifier: GPL-3.0-or-later
"""What converge.yml made of five hosts, as gluster, the mounts, libvirt and QEMU see it."""

from __future__ import annotations

import typing as t
from xml.etree import ElementTree

from hosts import Guest, System

from conftest import BRICK, VOLUME, ask


def names(systems: t.Iterable[System]) -> list[str]:
    return [system.name for system in systems]


def test_every_node_is_connected_to_the_two_others(nodes: list[System]) -> None:
    for node in nodes:
        peers = ask(node, "peer", "status").findall(".//peer")
        assert {peer.findtext("stateStr") for peer in peers} == {"Peer in Cluster"}
        assert [peer.findtext("connected") for peer in peers] == ["1", "1"]


def test_every_node_starts_gluster_with_the_host(nodes: list[System]) -> None:
    for node in nodes:
        assert node.host.service("glusterd").is_running
        assert node.host.service("glusterd").is_enabled


def test_volume_has_one_copy_on_each_node(nodes: list[System]) -> None:
    volume = ask(nodes[0], "volume", "info", VOLUME).find(".//volume")
    assert volume is not None
    assert (volume.findtext("typeStr"), volume.findtext("replicaCount")) == ("Replicate", "3")
    assert [brick.findtext("name") for brick in volume.iter("brick")] == [f"{name}:{BRICK}" for name in names(nodes)]


def test_all_bricks_are_online_and_belong_to_36_36(nodes: list[System]) -> None:
    status = ask(nodes[0], "volume", "status", VOLUME)
    assert [node.findtext("status") for node in status.iter("node") if node.findtext("path") == BRICK] == ["1"] * 3
    assert {node.run("stat", "--format=%u:%g", BRICK).strip() for node in nodes} == {"36:36"}


def test_options_of_the_preset_are_in_force(nodes: list[System]) -> None:
    listed = {o.findtext("name"): o.findtext("value") for o in ask(nodes[2], "volume", "info", VOLUME).iter("option")}
    assert (listed["storage.owner-uid"], listed["storage.owner-gid"]) == ("36", "36")
    assert listed["features.shard"] in ("on", "enable")


def test_storage_domain_is_one_and_on_both_hypervisors(hypervisors: list[System], mount_point: str) -> None:
    for hypervisor in hypervisors:
        assert hypervisor.host.mount_point(mount_point).filesystem == "fuse.glusterfs"
    found = {hypervisor.find(f"{mount_point}/*-*-*-*-*/dom_md/metadata") for hypervisor in hypervisors}
    assert len(found) == 1
    assert "DESCRIPTION=vms" in hypervisors[1].lines("cat", found.pop())


def test_each_hypervisor_has_its_virtual_machine(guests: list[Guest]) -> None:
    for guest in guests:
        assert guest.system.run("virsh", "list", "--all", "--name").split() == [guest.name]
        assert guest.state == "running"
        assert guest.says()[-1] == "ready"


def test_qemu_reads_every_disk_through_gfapi_and_knows_all_servers(guests: list[Guest], nodes: list[System]) -> None:
    for guest in guests:
        opened = guest.monitor("query-named-block-nodes", flat=True)
        assert sorted(node["drv"] for node in opened) == ["gluster", "qcow2"]
        domain = ElementTree.fromstring(guest.system.run("virsh", "dumpxml", guest.name))
        (source,) = domain.iterfind("devices/disk/source")
        assert [host.get("name") for host in source.iter("host")] == names(nodes)
        command = guest.system.run(
            "sh", "-c", f"tr '\\0' '\\n' < /proc/$(cat /run/libvirt/qemu/{guest.name}.pid)/cmdline"
        )
        (blockdev,) = [line for line in command.splitlines() if '"driver":"gluster"' in line]
        assert [name for name in names(nodes) if f'"host":"{name}"' in blockdev] == names(nodes)
