# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM whose disk is a file on a mount of the volume goes over to gfapi and back, while its guest writes and reads."""

from __future__ import annotations

import typing as t
from xml.etree import ElementTree

import pytest
from hosts import System, states, way_to
from looping import Looping

from conftest import LAB, VOLUME

VM = "legacy"
#: a mount that is nobody's storage domain, of the volume that has one
POINT = "/mnt/plain"
PATH = "legacy/disk.qcow2"
FILE = f"{POINT}/{PATH}"
LOG = f"/var/log/libvirt/qemu/{VM}-console.log"


@pytest.fixture(scope="module")
def mounted(hypervisors: list[System], nodes: list[System]) -> t.Iterator[str]:
    """The volume once more, from another server."""
    for system in hypervisors:
        system.run("mkdir", "-p", POINT)
        system.run("mount", "-t", "glusterfs", f"{nodes[1].name}:/{VOLUME}", POINT)
    yield POINT
    for system in hypervisors:
        system.run("umount", POINT)


@pytest.fixture(scope="module")
def vm(hypervisors: list[System], mounted: str, looping_guest: dict[str, str]) -> t.Iterator[str]:
    """What people have: an image that qemu-img left on the mount, root's, and a domain as virsh defines it."""
    here = hypervisors[0]
    here.run("mkdir", "-p", f"{POINT}/legacy")
    here.run("qemu-img", "create", "-q", "-f", "qcow2", FILE, "1G")
    assert here.lines("stat", "-c", "%s %u:%g", FILE) == ["196624 0:0"]
    kernel, initrd, cmdline = (looping_guest[key] for key in ("kernel", "initrd", "cmdline"))
    here.host.check_output(
        f"""cat > /tmp/{VM}.xml << 'end'
<domain type='qemu'><name>{VM}</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type><kernel>{kernel}</kernel><initrd>{initrd}</initrd>
<cmdline>{cmdline}</cmdline></os><features><acpi/></features>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='{FILE}'/>
<target dev='vda' bus='virtio'/><serial>of-old</serial></disk>
<serial type='pty'><log file='{LOG}'/></serial><console type='pty'/></devices></domain>
end
virsh define /tmp/{VM}.xml"""
    )
    yield VM
    for system in hypervisors:
        system.host.run(f"virsh destroy {VM}; virsh undefine {VM}")
    here.run("rm", "-r", f"{POINT}/legacy")
    LAB.modules(here.name).done("gfapi_disk", storage_domain="vms", name=f"{VM}-vda", state="absent", force=True)


def reached(system: System) -> str:
    """By which driver QEMU itself reaches the disk, of which there is one."""
    drivers = {node["drv"] for node in Looping(system, VM).monitor("query-named-block-nodes")} & {"gluster", "file"}
    assert len(drivers) == 1, drivers
    return t.cast(str, drivers.pop())


def file_of(system: System) -> str:
    """The file that the disk is in the configuration, on whichever mount of the volume."""
    source = ElementTree.fromstring(system.run("virsh", "dumpxml", "--inactive", VM)).find("devices/disk/source")
    assert source is not None
    return source.get("file", "")


def test_one_that_is_shut_off_is_mended_and_starts(hypervisors: list[System], vm: str) -> None:
    here = hypervisors[0]
    modules = LAB.modules(here.name)
    assert modules.as_promised("libvirt_vm", name=VM, access="gfapi")["actions"] == [
        f"lengthen image {FILE} from 196624 to 200704 bytes, for domain {VM}",
        f"give image {FILE} to 36:36 with mode 660 (was 0:0 644), for domain {VM}",
        f"change disks, relabelling of domain {VM}",
    ]
    assert here.lines("stat", "-c", "%s %u:%g %a", FILE) == ["200704 36:36 660"]
    source = ElementTree.fromstring(here.run("virsh", "dumpxml", VM)).find("devices/disk/source")
    assert source is not None
    assert (source.get("protocol"), source.get("name")) == ("gluster", f"{VOLUME}/{PATH}")
    assert len(source.findall("host")) == 3
    here.run("virsh", "start", VM)
    assert reached(here) == "gluster"
    Looping(here, VM).goes_on()


def test_back_with_a_restart(hypervisors: list[System], vm: str) -> None:
    here = hypervisors[0]
    modules = LAB.modules(here.name)
    later = modules.as_promised("libvirt_vm", name=VM, access="fuse")
    assert later["actions"] == [f"change disks of domain {VM}"]
    assert later["vm"]["restart_required"] == ["disks: takes effect at the next start"]
    assert reached(here) == "gluster"
    done = modules.as_promised("libvirt_vm", name=VM, access="fuse", restart="if_required")
    assert done["actions"] == [
        f"shut down domain {VM}",
        f"start domain {VM}",
        f"see that QEMU reaches vda of domain {VM} by fuse",
    ]
    assert reached(here) == "file"
    assert file_of(here).endswith(f"/{PATH}")
    Looping(here, VM).goes_on()


def test_live_by_going_to_the_other_hypervisor_and_back(hypervisors: list[System], vm: str) -> None:
    here, there = hypervisors
    assert reached(here) == "file"
    seen = Looping(here, VM).goes_on()
    for source, target, access, driver in ((here, there, "gfapi", "gluster"), (there, here, "fuse", "file")):
        asked = {"name": VM, "state": "running", "access": access, "convert": "live_migrate"}
        modules = LAB.modules(source.name)
        if source is here:
            assert "needs host, another hypervisor" in modules.refused("libvirt_vm", **asked)
        done = modules.as_promised("libvirt_vm", **asked, host=way_to(target, source))
        assert done["actions"][-1] == f"see that QEMU reaches vda of domain {VM} by {access}"
        assert f"its disks vda by {access}" in done["actions"][-2]
        assert VM not in states(source)
        assert reached(target) == driver
        guest = Looping(target, VM)
        now = guest.goes_on(after=seen)
        assert now > seen
        seen = now
    assert file_of(here).endswith(f"/{PATH}")
    assert "of-old" in here.run("virsh", "dumpxml", "--inactive", VM)


def test_one_that_fails_goes_on_as_it_was(hypervisors: list[System], vm: str) -> None:
    """As at first, libvirt giving the file to QEMU's user. The other QEMU lacks the driver, ours may not open."""
    here, there = hypervisors
    here.host.check_output(f"virsh destroy {VM} && virsh undefine {VM} && chown root:root {FILE}")
    here.host.check_output(f"virsh define /tmp/{VM}.xml && virsh start {VM}")
    assert reached(here) == "file"
    before = here.run("virsh", "dumpxml", "--inactive", VM)
    modules = LAB.modules(here.name)
    seen = Looping(here, VM).goes_on()
    asked = {"name": VM, "state": "running", "access": "gfapi"}
    driver = there.find("/usr/lib/*/qemu/block-gluster.so")
    there.run("mv", driver, f"{driver}.away")
    try:
        failed = modules.run("libvirt_vm", **asked, convert="live_migrate", host=way_to(there, here))
    finally:
        there.run("mv", f"{driver}.away", driver)
    assert failed["failed"]
    assert failed["msg"].endswith("the domain is running here"), failed["msg"]
    assert VM not in states(there)
    guest = Looping(here, VM)
    assert guest.goes_on(after=seen) > seen
    assert guest.starts() == 1
    here.run("gpasswd", "--delete", "libvirt-qemu", "gfapi")
    try:
        failed = modules.run("libvirt_vm", **asked, restart="if_required")
    finally:
        here.run("gpasswd", "--add", "libvirt-qemu", "gfapi")
    assert failed["failed"]
    assert f"put back: define domain {VM} as it was, and start it again" in failed["msg"]
    assert here.run("virsh", "dumpxml", "--inactive", VM) == before
    assert reached(here) == "file"
    Looping(here, VM).goes_on()


def test_live_into_a_new_image(hypervisors: list[System], vm: str, mount_point: str) -> None:
    here = hypervisors[0]
    assert reached(here) == "file"
    modules = LAB.modules(here.name)
    file = file_of(here)
    asked = {"name": VM, "access": "gfapi", "convert": "block_copy", "delete_source": True}
    assert "block_copy needs storage_domain" in modules.refused("libvirt_vm", **asked)
    # QEMU has been without the group since the test before
    words = modules.refused("libvirt_vm", **asked, storage_domain="vms")
    assert "its QEMU was started before its user was in group 36" in words
    here.host.check_output(f"virsh destroy {VM} && truncate --size=0 {LOG} && virsh start {VM}")
    seen, starts = Looping(here, VM).goes_on(), 1
    disk = {"storage_domain": "vms", "name": f"{VM}-vda"}
    modules.done("gfapi_disk", **disk, size="1MiB")
    words = modules.refused("libvirt_vm", **asked, storage_domain="vms")
    assert "storage domain vms has a disk of that name" in words
    modules.done("gfapi_disk", **disk, state="absent")

    done = modules.as_promised("libvirt_vm", **asked, storage_domain="vms")
    assert done["actions"] == [
        f"create disk {VM}-vda of 1073741824 bytes (qcow2) in storage domain vms",
        f"copy disk vda of domain {VM} into disk {VM}-vda",
        f"have disk vda of domain {VM} go on with image {VM}-vda",
        f"change disks of domain {VM}",
        f"see that QEMU reaches vda of domain {VM} by gfapi",
        f"delete image {file}, which domain {VM} had",
    ]
    assert reached(here) == "gluster"
    assert not here.host.file(FILE).exists
    for words in ((), ("--inactive",)):
        source = ElementTree.fromstring(here.run("virsh", "dumpxml", *words, VM)).find("devices/disk/source")
        assert source is not None
        assert "/images/" in source.get("name", "")
    image = here.find(f"{mount_point}/*/images/*/{source.get('name', '').rpartition('/')[2]}")
    assert here.lines("stat", "-c", "%u:%g %a", image) == ["36:36 660"]
    guest = Looping(here, VM)
    assert guest.goes_on(after=seen) > seen
    assert guest.starts() == starts
    # libvirt is not to change its owner, neither then nor before
    here.run("virsh", "destroy", VM)
    assert here.lines("stat", "-c", "%u:%g %a", image) == ["36:36 660"]
    here.run("virsh", "start", VM)
    Looping(here, VM).goes_on()
