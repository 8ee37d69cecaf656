# SPDX-License-Identifier: GPL-3.0-or-later
"""What each module promises, on the real stack: check mode = run, a second run does nothing, and what it costs."""

from __future__ import annotations

import hashlib
import typing as t
import xml.etree.ElementTree as ET

import pytest
from modules import Modules

from conftest import HOST, System

GLUSTER = "/usr/sbin/gluster"
COUNTER = "/usr/local/sbin/gluster"
CALLS = "/run/gluster-calls"
STORAGE_DOMAIN = "vms"


@pytest.fixture
def volume(system: System) -> t.Iterator[str]:
    """A replica 3 volume that was never started."""
    name = "scratch"
    bricks = [f"{HOST}:/bricks/{name}{number}" for number in (1, 2, 3)]
    system.run("gluster", "--mode=script", "volume", "create", name, "replica", "3", *bricks, "force")
    yield name
    system.host.run(f"gluster --mode=script volume stop {name} force")
    system.run("gluster", "--mode=script", "volume", "delete", name)
    for number in (1, 2, 3):
        system.run("rm", "-rf", f"/bricks/{name}{number}")


@pytest.fixture
def calls(system: System) -> t.Iterator[t.Callable[[], int]]:
    """How many gluster processes were started since the last look, counted by a program in front on PATH."""
    script = f'#!/bin/sh\necho "$*" >> {CALLS}\nexec {GLUSTER} "$@"\n'
    system.run("sh", "-c", f"rm -f {CALLS}; printf '%s' \"$1\" > {COUNTER}; chmod 755 {COUNTER}", "sh", script)

    def count() -> int:
        found = len(system.lines("sh", "-c", f"cat {CALLS} 2>/dev/null || true"))
        system.run("rm", "-f", CALLS)
        return found

    yield count
    system.run("rm", "-f", COUNTER, CALLS)


def in_force(system: System, volume: str) -> dict[str, str]:
    """The options of a volume, as gluster tells them: set ones, and defaults where nothing is set."""
    got = ET.fromstring(system.run(GLUSTER, "volume", "get", volume, "all", "--xml"))
    return {
        option.findtext("Option", ""): option.findtext("Value", "").removesuffix(" (DEFAULT)")
        for option in got.iter("Opt")
    }


def test_preset_on_a_new_volume_takes_three_processes(
    modules: Modules, system: System, volume: str, calls: t.Callable[[], int]
) -> None:
    asked = {
        "volume": volume,
        "presets": ["virt_store"],
        "options": {"features.shard-block-size": "64MB", "shard": True},
    }
    modules.done("gluster_volume_options", **asked)
    assert 1 <= calls() <= 3
    modules.done("gluster_volume_options", **asked)
    assert 1 <= calls() <= 2
    options = in_force(system, volume)
    assert options["storage.owner-uid"] == options["storage.owner-gid"] == "36"
    assert options["cluster.granular-entry-heal"] in ("enable", "on")
    assert options["cluster.quorum-type"] == "auto"
    assert options["server.allow-insecure"] == "on"


def test_preset_on_a_started_volume_takes_four_processes(
    modules: Modules, system: System, volume: str, calls: t.Callable[[], int]
) -> None:
    system.run(GLUSTER, "--mode=script", "volume", "set", volume, "cluster.granular-entry-heal", "off")
    system.run(GLUSTER, "--mode=script", "volume", "start", volume)
    asked = {"volume": volume, "presets": ["virt_store"], "options": {"client.event-threads": 8}}
    result = modules.done("gluster_volume_options", **asked)
    assert 1 <= calls() <= 4
    assert "enable granular-entry-heal on volume scratch" in result["actions"]
    modules.done("gluster_volume_options", **asked)
    assert 1 <= calls() <= 2
    options = in_force(system, volume)
    assert options["cluster.granular-entry-heal"] in ("enable", "on")
    assert options["client.event-threads"] == "8"


def test_options_in_any_spelling_are_idempotent(modules: Modules, system: System, volume: str) -> None:
    first = {
        "owner-uid": 36,
        "features.shard": True,
        "features.shard-block-size": "64MB",
        "performance.strict-o-direct": "on",
    }
    modules.as_promised("gluster_volume_options", volume=volume, options=first)
    assert in_force(system, volume)["features.shard"] == "on"
    second = {
        "storage.owner-uid": "0x24",
        "features.shard": "enable",
        "features.shard-block-size": "67108864",
        "performance.strict-o-direct": "Yes",
    }
    assert modules.done("gluster_volume_options", volume=volume, options=second)["actions"] == []


def test_storage_domain_comes_and_goes(modules: Modules, system: System, volume: str) -> None:
    modules.done("gluster_volume_options", volume=volume, presets=["virt_store"])
    system.run(GLUSTER, "--mode=script", "volume", "start", volume)
    asked = {"name": "second", "spec": f"{HOST}:/{volume}"}
    made = modules.as_promised("glusterfs_domain", **asked)["storage_domain"]
    metadata = system.run("cat", f"{made['mount_point']}/{made['uuid']}/dom_md/metadata")
    assert f"SDUUID={made['uuid']}\n" in metadata
    assert system.run("stat", "-c", "%u:%g", f"{made['mount_point']}/{made['uuid']}/dom_md").strip() == "36:36"

    words = modules.refused("glusterfs_domain", **asked, state="absent")
    assert "confirm" in words
    assert "second" in words
    assert system.host.file(f"{made['path']}/dom_md/metadata").exists

    modules.as_promised("glusterfs_domain", **asked, state="absent", confirm="second")
    assert not system.host.mount_point(made["mount_point"]).exists


@pytest.mark.parametrize("image_format", ["qcow2", "raw"])
def test_disk_is_made_grown_and_deleted(modules: Modules, system: System, image_format: str) -> None:
    asked = {"storage_domain": STORAGE_DOMAIN, "name": f"scratch-{image_format}", "format": image_format}
    disk = modules.as_promised("gfapi_disk", **asked, size="10GiB")["disk"]
    assert system.run("stat", "-c", "%u:%g %a", disk["path"]).split() == ["36:36", "660"]
    assert int(system.run("stat", "-c", "%s", disk["path"])) % 4096 == 0
    modules.as_promised("gfapi_disk", **asked, size="12GiB")
    assert '"virtual-size": 12884901888' in system.run("qemu-img", "info", "--output=json", disk["path"])
    words = modules.refused("gfapi_disk", **asked, size="11GiB")
    assert "never shrunk" in words
    modules.as_promised("gfapi_disk", **asked, state="absent")
    assert not system.host.file(disk["path"]).exists


def test_existing_image_is_never_truncated(modules: Modules, system: System) -> None:
    """Data put into an image is still there after it is asked for again, in any format and size."""
    asked = {"storage_domain": STORAGE_DOMAIN, "name": "precious", "size": "64MiB", "format": "raw"}
    path = modules.done("gfapi_disk", **asked)["disk"]["path"]
    system.run("sh", "-c", f"dd if=/dev/urandom of={path} bs=1M count=64 conv=notrunc,fsync 2>/dev/null")
    digest = system.run("sha256sum", path).split()[0]
    assert digest != hashlib.sha256(bytes(64 << 20)).hexdigest()
    modules.done("gfapi_disk", **asked)
    for other in ({"size": "32MiB"}, {"format": "qcow2"}, {"preallocation": "full", "size": "16MiB"}):
        modules.run("gfapi_disk", **{**asked, **other})
    assert system.run("sha256sum", path).split()[0] == digest
    modules.done("gfapi_disk", storage_domain=STORAGE_DOMAIN, name="precious", size="128MiB", format="raw")
    assert system.run("sh", "-c", f"head -c {64 << 20} {path} | sha256sum").split()[0] == digest
    modules.done("gfapi_disk", storage_domain=STORAGE_DOMAIN, name="precious", state="absent")


def test_vm_is_defined_changed_started_stopped_and_undefined(modules: Modules, system: System) -> None:
    modules.done("gfapi_disk", storage_domain=STORAGE_DOMAIN, name="scratch-vm", size="1GiB")
    asked = {
        "name": "scratch",
        "memory": "64MiB",
        "virt_type": "qemu",
        "storage_domain": STORAGE_DOMAIN,
        "disks": [{"name": "scratch-vm"}],
        "interfaces": [{"type": "user"}],
    }
    vm = modules.as_promised("libvirt_vm", **asked)["vm"]
    system.run("virsh", "dumpxml", "--inactive", "scratch")
    modules.as_promised("libvirt_vm", **asked, state="running")
    assert system.run("virsh", "domstate", "scratch").strip() == "running"
    words = modules.refused("libvirt_vm", name="scratch", state="absent")
    assert "running" in words
    assert "force_stop" in words
    words = modules.refused("gfapi_disk", storage_domain=STORAGE_DOMAIN, name="scratch-vm", state="absent")
    assert "scratch" in words

    modules.as_promised("libvirt_vm", **{**asked, "memory": "96MiB"}, vcpus=2, autostart=True)
    (info,) = modules.done("libvirt_vm_info", names=["scratch"])["vms"]
    assert (info["uuid"], info["interfaces"][0]["mac"]) == (vm["uuid"], vm["interfaces"][0]["mac"])
    assert [disk["io_path"] for disk in info["disks"]] == ["gfapi"]
    assert [reason.split(":")[0] for reason in info["restart_required"]] == ["memory", "vcpus"]

    modules.done("gfapi_disk", storage_domain=STORAGE_DOMAIN, name="scratch-vm", size="2GiB")
    assert "Capacity:       2147483648" in system.run("virsh", "domblkinfo", "scratch", "vda")

    # there is no guest in it that could answer the power button
    modules.as_promised("libvirt_vm", name="scratch", state="shut_off", shutdown_timeout=1, force_stop=True)
    modules.as_promised("libvirt_vm", name="scratch", state="absent")
    assert "scratch" not in system.lines("virsh", "list", "--all", "--name")
    kept = modules.done("gfapi_disk", storage_domain=STORAGE_DOMAIN, name="scratch-vm", size="2GiB")
    assert kept["actions"] == []
    modules.done("gfapi_disk", storage_domain=STORAGE_DOMAIN, name="scratch-vm", state="absent")


def test_start_opens_the_image_once(guest: t.Any, system: System) -> None:
    """The cause of a start in well under a second: libvirt itself opens nothing, neither to probe nor to chown."""
    xml = ET.fromstring(system.run("virsh", "dumpxml", "--inactive", guest.name))
    for disk in xml.iterfind("devices/disk[@type='network']"):
        assert disk.find("backingStore") is not None
    assert [(label.get("type"), label.get("model")) for label in xml.iterfind("seclabel")] == [("none", "dac")]
