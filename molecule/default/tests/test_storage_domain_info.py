# SPDX-License-Identifier: GPL-3.0-or-later
"""What glusterfs_domain_info tells, held to what the host's own tools show; with damage and leftovers planted."""

from __future__ import annotations

import posixpath
import typing as t

import pytest
from hosts import Guest, System
from modules import Modules

from conftest import HOST, MOUNT_POINT

NOWHERE = "99999999-0000-4000-8000-000000000000"
VOLUME = "infovol"
POINT = f"/rhev/data-center/mnt/glusterSD/{HOST}:_{VOLUME}"


def read(modules: Modules, **args: t.Any) -> dict[str, dict[str, t.Any]]:
    """The storage domains by mount point."""
    result = modules.done("glusterfs_domain_info", images=args.pop("images", True), **args)
    assert not result["changed"]
    assert not result.get("warnings")
    return {found["mount_point"]: found for found in result["storage_domains"]}


def codes(found: dict[str, t.Any]) -> list[str]:
    return [finding["code"] for finding in (*found["problems"], *found["warnings"])]


@pytest.fixture
def scratch(system: System, modules: Modules) -> t.Iterator[dict[str, t.Any]]:
    """A storage domain `scratch` with a disk, on a volume of its own."""
    gluster = ("gluster", "--mode=script", "volume")
    system.run(*gluster, "create", VOLUME, f"{HOST}:/bricks/{VOLUME}", "force")
    system.run(*gluster, "start", VOLUME)
    try:
        modules.done("glusterfs_domain", name="scratch", spec=f"{HOST}:/{VOLUME}")
        modules.done("gfapi_disk", storage_domain="scratch", name="disk", size="2TiB")
        yield read(modules)[POINT]
    finally:
        system.host.run(f"umount -l {POINT}; rmdir {POINT}")
        system.run(*gluster, "stop", VOLUME, "force")
        system.run(*gluster, "delete", VOLUME)
        system.run("rm", "-rf", f"/bricks/{VOLUME}")


def test_the_storage_domain_and_its_images_are_told(
    modules: Modules, system: System, guest: Guest, storage_domain: str
) -> None:
    found = read(modules, names=["vms"])[MOUNT_POINT]
    assert (found["name"], found["path"], found["state"]) == ("vms", storage_domain, "active")
    assert found["block_size_bytes"] == found["direct_io_bytes"] == 512
    assert (found["problems"], found["warnings"], found["orphans"]["vm_disks"]) == ([], [], [])
    block, blocks, free = map(int, system.run("stat", "-f", "-c", "%S %b %a", MOUNT_POINT).split())
    assert found["size_bytes"] == block * blocks
    assert abs(found["free_bytes"] - block * free) < 1 << 28
    images = {image["name"]: image for image in found["images"]}
    root = images["guest1-root"]
    disks = [line.split() for line in system.lines("virsh", "domblklist", "guest1") if "/images/" in line]
    state = "running" if guest.state == "running" else "defined"
    for target, source in disks:
        image = next(image for image in found["images"] if f"/images/{image['uuid']}/" in source)
        assert image["used_by"] == [{"name": "guest1", "state": state, "target": target}]
    assert len(disks) >= 2
    assert (root["virtual_size_bytes"], images["guest1-data"]["virtual_size_bytes"]) == (10 << 30, 64 << 20)
    path = root["volumes"][0]["path"]
    assert root["actual_size_bytes"] == int(system.run("stat", "-c", "%b", path)) * 512
    assert not {"guest1-root", "guest1-data"} & {image["name"] for image in found["orphans"]["images"]}


def test_an_image_of_2_tib_is_an_orphan_until_a_vm_has_it(
    modules: Modules, system: System, scratch: dict[str, t.Any]
) -> None:
    (image,) = scratch["images"]
    assert (image["name"], image["virtual_size_bytes"], image["used_by"]) == ("disk", 2 << 40, [])
    assert image["actual_size_bytes"] < 1 << 20
    assert scratch["orphans"]["images"] == [{"uuid": image["uuid"], "name": "disk"}]
    assert codes(scratch) == []
    disks = [{"storage_domain": "scratch", "name": "disk"}]
    modules.done("libvirt_vm", name="info1", memory="64MiB", virt_type="qemu", disks=disks, state="shut_off")
    try:
        found = read(modules)[POINT]
        assert found["images"][0]["used_by"] == [{"name": "info1", "state": "defined", "target": "vda"}]
        assert found["orphans"]["images"] == []
        system.run("mv", posixpath.dirname(image["volumes"][0]["path"]), f"{POINT}/aside")
        found = read(modules)[POINT]
        (disk,) = found["orphans"]["vm_disks"]
        assert (disk["vm"], disk["target"], disk["image_uuid"]) == ("info1", "vda", image["uuid"])
        assert codes(found) == ["image_missing"]
    finally:
        modules.done("libvirt_vm", name="info1", state="absent")


def test_leftovers_and_damage_are_told(modules: Modules, system: System, scratch: dict[str, t.Any]) -> None:
    path, lease = scratch["path"], scratch["images"][0]["volumes"][0]["path"] + ".lease"
    system.run("mkdir", f"{path}/images/_remove_me_{NOWHERE}", f"{path}/images/.gfapi-virt-{NOWHERE}-0badcafe")
    system.run("touch", f"{path}/dom_md/metadata.new", f"{path}/images/.gfapi-virt-{NOWHERE}-0badcafe/~lock")
    system.run("truncate", "--size=1M", f"{path}/dom_md/inbox")
    system.run("rm", f"{path}/dom_md/xleases", lease)
    system.run("dd", "if=/dev/urandom", f"of={path}/dom_md/leases", "bs=512", "count=1", "seek=2048", "conv=notrunc")
    found = read(modules)[POINT]
    assert found["orphans"]["removed"] == [f"{path}/images/_remove_me_{NOWHERE}"]
    assert found["orphans"]["staging"] == [f"{path}/images/.gfapi-virt-{NOWHERE}-0badcafe"]
    assert found["orphans"]["temporary"] == [f"{path}/dom_md/metadata.new"]
    assert [problem["code"] for problem in found["problems"]] == [
        "file_missing",
        "record_broken",
        "file_too_small",
        "lease_missing",
    ]
    assert [finding["code"] for finding in found["warnings"]] == [
        "removal_unfinished",
        "staging_left",
        "temporary_left",
    ]


def test_a_broken_seal_is_told_with_both_sums(modules: Modules, system: System, scratch: dict[str, t.Any]) -> None:
    system.run("sed", "-i", "s/^ROLE=.*/ROLE=Master/", f"{scratch['path']}/dom_md/metadata")
    found = read(modules)[POINT]
    assert (found["state"], found["uuid"], found["name"]) == ("broken", scratch["uuid"], None)
    assert found["seal"]["stored"] == scratch["seal"]["stored"] != found["seal"]["computed"]
    assert codes(found) == ["metadata_broken"]


def test_a_lock_of_a_living_run_is_seen(modules: Modules, system: System, scratch: dict[str, t.Any]) -> None:
    folder = f"{scratch['path']}/images/.gfapi-virt-{NOWHERE}-0badcafe"
    system.run("mkdir", folder)
    holder = system.run("sh", "-c", 'flock "$1/~lock" sleep 120 > /dev/null 2>&1 & echo $!', "sh", folder).strip()
    try:
        system.wait("lock held", lambda: system.host.run(f"flock -n '{folder}/~lock' true").rc == 1)
        assert read(modules)[POINT]["orphans"]["staging"] == []
    finally:
        system.host.run(f"pkill -P {holder}; kill {holder}")


def test_a_mount_that_hangs_is_named_in_time_and_a_dead_one_too(
    modules: Modules, system: System, scratch: dict[str, t.Any]
) -> None:
    client = system.run("pgrep", "--full", f"volfile-id=/{VOLUME} ").split()[0]
    system.run("kill", "-STOP", client)
    try:
        found = read(modules)  # would never end if it waited
    finally:
        system.run("kill", "-CONT", client)
    assert (found[POINT]["state"], codes(found[POINT])) == ("hung", ["hung"])
    assert POINT in found[POINT]["problems"][0]["message"]
    assert (found[MOUNT_POINT]["state"], found[MOUNT_POINT]["name"]) == ("active", "vms")
    system.run("kill", "-KILL", client)
    system.wait("mount dead", lambda: system.host.run(f"stat {POINT}").rc != 0)
    found = read(modules)
    assert (found[POINT]["state"], codes(found[POINT])) == ("dead", ["dead"])
    assert found[MOUNT_POINT]["state"] == "active"
    modules.done("glusterfs_domain", name="scratch", spec=f"{HOST}:/{VOLUME}")
    assert read(modules)[POINT]["uuid"] == scratch["uuid"]


def test_the_images_may_be_left_out(modules: Modules) -> None:
    found = read(modules, names=["vms"], images=False)[MOUNT_POINT]
    assert (found["images"], found["orphans"]["images"], found["state"]) == (None, None, "active")
