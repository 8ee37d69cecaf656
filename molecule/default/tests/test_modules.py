# SPDX-License-Identifier: GPL-3.0-or-later
"""What each module promises, on the real stack: check mode = run, a second run does nothing, and what it costs."""

from __future__ import annotations

import hashlib
import typing as t
import xml.etree.ElementTree as ET

import pytest
from modules import Modules

from conftest import GLUSTER, HOST, System

STORAGE_DOMAIN = "vms"


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


def test_images_go_with_their_vm_unless_another_has_them(modules: Modules, system: System) -> None:
    disks = [{"name": "scratch-own", "size": "1GiB"}, {"name": "scratch-both", "size": "1GiB"}]
    modules.done("gfapi_disk", storage_domain=STORAGE_DOMAIN, disks=disks)
    common = {"memory": "64MiB", "virt_type": "qemu", "storage_domain": STORAGE_DOMAIN}
    both = [{"name": disk["name"]} for disk in disks]
    modules.done("libvirt_vm", name="scratch", state="running", disks=both, **common)
    modules.done("libvirt_vm", name="other", disks=both[1:], **common)
    gone = {"name": "scratch", "state": "absent", "force_stop": True, "shutdown_timeout": 0, "delete_disks": True}
    words = modules.refused("libvirt_vm", **gone)
    assert words.startswith("domain scratch: disk 'scratch-both' cannot be deleted: it is used by domain other of this")
    assert system.run("virsh", "domstate", "scratch").strip() == "running"
    modules.done("libvirt_vm", name="other", state="absent")
    result = modules.as_promised("libvirt_vm", **gone)
    deleted = [f"delete disk scratch-{name} from storage domain {STORAGE_DOMAIN}" for name in ("both", "own")]
    assert result["actions"] == ["shut down domain scratch", *deleted, "undefine domain scratch"]
    absent = [{**disk, "state": "absent"} for disk in both]
    assert modules.done("gfapi_disk", storage_domain=STORAGE_DOMAIN, disks=absent)["actions"] == []


def test_start_opens_the_image_once(guest: t.Any, system: System) -> None:
    """The cause of a start in well under a second: libvirt itself opens nothing, neither to probe nor to chown."""
    xml = ET.fromstring(system.run("virsh", "dumpxml", "--inactive", guest.name))
    for disk in xml.iterfind("devices/disk[@type='network']"):
        assert disk.find("backingStore") is not None
    assert [(label.get("type"), label.get("model")) for label in xml.iterfind("seclabel")] == [("none", "dac")]
