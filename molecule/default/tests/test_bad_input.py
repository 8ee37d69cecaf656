# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input and broken hosts: one line with the thing, the tool's words and the mend, and nothing changed."""

from __future__ import annotations

import typing as t

import pytest
from modules import Modules

from conftest import HOST, MOUNT_POINT, System

STORAGE_DOMAIN = "vms"
VM = {"name": "never", "memory": "64MiB", "virt_type": "qemu"}


@pytest.fixture(autouse=True)
def nothing_changed(system: System) -> t.Iterator[None]:
    """Volumes with their options, mounts, images and domains are after each test what they were before it."""

    volumes = ("gluster", "--mode=script", "volume", "info", "all")

    def look() -> tuple[list[str], ...]:
        return (
            # Gluster 11.1, built without an NFS server of its own, forgets nfs.disable when glusterd first starts again
            sorted(line for line in system.lines(*volumes) if not line.startswith("nfs.disable: ")),
            sorted(line for line in system.lines("cat", "/proc/mounts") if "glusterfs" in line),
            sorted(system.lines("sh", "-c", "find /rhev/data-center/mnt/glusterSD -mindepth 2 | sort")),
            sorted(system.lines("virsh", "list", "--all", "--name")),
        )

    before = look()
    yield
    assert look() == before


def moved_away(system: System, path: str) -> t.Iterator[None]:
    """As if what lies at the path was never installed."""
    system.run("mv", path, f"{path}.away")
    yield
    system.run("mv", f"{path}.away", path)


@pytest.fixture
def no_lxml(system: System) -> t.Iterator[None]:
    yield from moved_away(system, "/usr/lib/python3/dist-packages/lxml")


@pytest.fixture
def no_driver(system: System) -> t.Iterator[None]:
    yield from moved_away(system, system.find("/usr/lib/*/qemu/block-gluster.so"))


def scratch_volume(system: System, name: str, bricks: str) -> None:
    places = [f"{HOST}:{bricks}/{name}{number}" for number in (1, 2, 3)]
    system.run("gluster", "--mode=script", "volume", "create", name, "replica", "3", *places, "force")


def remove_volume(system: System, name: str, bricks: str) -> None:
    system.host.run(f"gluster --mode=script volume stop {name} force")
    system.run("gluster", "--mode=script", "volume", "delete", name)
    system.run("sh", "-c", f"rm -rf {bricks}/{name}?")


@pytest.fixture
def stopped_volume(system: System) -> t.Iterator[str]:
    scratch_volume(system, "stopped", "/bricks")
    yield "stopped"
    remove_volume(system, "stopped", "/bricks")


@pytest.fixture
def small_storage_domain(modules: Modules, system: System) -> t.Iterator[str]:
    """A storage domain with 64 MiB of room."""
    system.run("mkdir", "-p", "/small")
    system.run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", "/small")
    scratch_volume(system, "small", "/small")
    modules.done("gluster_volume_options", volume="small", options={"owner-uid": 36, "owner-gid": 36})
    system.run("gluster", "--mode=script", "volume", "start", "small")
    asked = {"name": "small", "spec": f"{HOST}:/small"}
    modules.done("glusterfs_domain", **asked)
    yield "small"
    modules.done("glusterfs_domain", **asked, state="absent", confirm="small")
    remove_volume(system, "small", "/small")
    system.run("umount", "/small")


def test_unknown_volume(modules: Modules) -> None:
    for check in (True, False):
        words = modules.refused("gluster_volume_options", volume="nope", presets=["virt_store"], check=check)
        assert words == "cannot read volume nope: Volume does not exist; see gluster volume list"
        words = modules.refused("glusterfs_domain", name="x", spec=f"{HOST}:/nope", check=check)
        assert "nope" in words
        assert "gluster volume list" in words


def test_stopped_volume(modules: Modules, stopped_volume: str) -> None:
    words = modules.refused("glusterfs_domain", name="x", spec=f"{HOST}:/{stopped_volume}")
    assert stopped_volume in words
    assert f"gluster volume start {stopped_volume}" in words


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("gluster://host:70000/v/p", "port"),
        ("gluster://host/volume", "image path"),
        ("gluster+unix://host/v/p?socket=/s", "host"),
        ("http://host/v/p", "scheme"),
        ("gluster+rdma://host/v/p", "use tcp"),
        ("gluster://ho st/v/p", "percent-escaped"),
    ],
)
def test_malformed_uri(modules: Modules, uri: str, part: str) -> None:
    words = modules.refused("libvirt_vm", **VM, disks=[{"uri": uri, "format": "raw"}])
    assert uri in words
    assert part in words


@pytest.mark.parametrize("text", ["", "host", "host:", "host:/a b", "::1:/v", "[::1:/v"])
def test_malformed_spec(modules: Modules, text: str) -> None:
    words = modules.refused("glusterfs_domain", name="x", spec=text)
    assert "server:/volume" in words


def test_unknown_option(modules: Modules) -> None:
    options = {"storage.owner-uid": 37, "cluster.no-such-thing": 1}
    words = modules.refused("gluster_volume_options", volume="vmstore", options=options)
    assert "cluster.no-such-thing does not exist" in words
    assert "gluster volume set help" in words


@pytest.mark.parametrize(
    ("option", "value", "part"),
    [
        ("storage.owner-uid", "junk", "junk"),
        ("network.ping-timeout", "99999999", "99999999"),
        ("features.shard-block-size", "64M", "64M"),
        ("cluster.quorum-type", "line1\nline2", "control character"),
        ("event-threads", 4, "ambiguous"),
        ("storage.owner-gid", "", "empty"),
    ],
)
def test_bad_value(modules: Modules, option: str, value: t.Any, part: str) -> None:
    options = {"user.note": "not set either", option: value}
    words = modules.refused("gluster_volume_options", volume="vmstore", options=options)
    assert part in words
    assert option in words


def test_missing_library(modules: Modules, no_lxml: None) -> None:
    for module, args in (("gluster_volume_options", {"volume": "vmstore"}), ("libvirt_vm", VM)):
        words = modules.refused(module, **args)
        assert "lxml" in words
        assert "install python3-lxml" in words


def test_host_without_the_gluster_driver(modules: Modules, no_driver: None) -> None:
    disk = {"uri": f"gluster://{HOST}/vmstore/x", "format": "raw"}
    words = modules.refused("libvirt_vm", **VM, disks=[disk], state="running", access="gfapi")
    # QEMU 7.2, and Debian's 10.0, which crashes then
    assert "Unknown protocol 'gluster'" in words or "Unable to load module gluster" in words
    assert "qemu-block-extra" in words
    # who leaves the way to us gets the mount
    other = modules.run("libvirt_vm", check=True, **VM, storage_domain="vms", disks=[{"name": "guest1-data"}])
    assert other["vm"]["disks"][0]["source"].startswith(MOUNT_POINT)
    host = modules.done("gfapi_host_info")["host"]
    assert not host["gluster_driver"]["present"]
    assert not host["requirements"]["gfapi"]["met"]
    assert host["requirements"]["fuse"]["met"]


def test_libvirtd_down(modules: Modules, system: System) -> None:
    units = ["libvirtd.service", "libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket"]
    system.run("systemctl", "stop", *units)
    try:
        words = modules.refused("libvirt_vm", **VM)
        problems = modules.done("gfapi_host_info")["host"]["requirements"]["gfapi"]["problems"]
    finally:
        system.run("systemctl", "start", "libvirtd.socket", "libvirtd.service")
    assert "cannot connect to libvirt at qemu:///system" in words
    assert "systemctl start libvirtd" in words
    assert any("systemctl start libvirtd" in problem for problem in problems)


def test_glusterd_down(modules: Modules, system: System) -> None:
    system.run("systemctl", "stop", "glusterd")
    try:
        words = modules.refused("gluster_volume_options", volume="vmstore", presets=["virt_store"])
    finally:
        system.run("systemctl", "start", "glusterd")
        system.wait("glusterd answers", lambda: system.host.run("gluster volume list").rc == 0)
        # the volume's only glusterd was away: its mounts are empty for a moment
        system.wait("mount is back", lambda: system.host.run(f"ls -d {MOUNT_POINT}/*-*-*-*-*").rc == 0)
    assert "Connection failed" in words
    assert "systemctl start glusterd" in words


def test_no_space(modules: Modules, system: System, small_storage_domain: str) -> None:
    mount_point = modules.done("glusterfs_domain", name="small", spec=f"{HOST}:/small")["storage_domain"]["mount_point"]
    before = system.lines("sh", "-c", f"find {mount_point} | sort")
    asked = {"storage_domain": small_storage_domain, "name": "big", "size": "256MiB", "format": "raw"}
    words = modules.refused("gfapi_disk", **asked, preallocation="full")
    assert "big" in words
    assert "No space left" in words or "free" in words
    assert system.lines("sh", "-c", f"find {mount_point} | sort") == before


def test_unknown_storage_domain_and_image(modules: Modules) -> None:
    words = modules.refused("gfapi_disk", storage_domain="nowhere", name="a", size="1GiB")
    assert "nowhere" in words
    words = modules.refused("libvirt_vm", **VM, storage_domain=STORAGE_DOMAIN, disks=[{"name": "no-such-image"}])
    assert "no-such-image" in words
    assert STORAGE_DOMAIN in words


def test_vm_without_memory(modules: Modules) -> None:
    assert "memory" in modules.refused("libvirt_vm", name="never")


def test_sharding_is_not_turned_off_under_images(modules: Modules) -> None:
    words = modules.refused("gluster_volume_options", volume="vmstore", options={"shard": False})
    assert "features.shard of volume vmstore is on" in words


def test_directory_of_a_volume_that_shards(modules: Modules) -> None:
    """Its mount would keep shards of its own, and cut the other images off from theirs."""
    words = modules.refused("glusterfs_domain", name="x", spec=f"{HOST}:/vmstore/directory")
    assert "features.shard" in words
    assert "a volume of its own" in words


def test_image_of_a_vm_that_runs(modules: Modules) -> None:
    disks = [{"name": "guest1-root"}]
    words = modules.refused("libvirt_vm", **VM, storage_domain=STORAGE_DOMAIN, disks=disks, state="running")
    assert "domain guest1 writes to it" in words
