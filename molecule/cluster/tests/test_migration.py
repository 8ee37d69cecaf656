# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM goes from one hypervisor to the other, by nothing but libvirt, while its guest writes and reads."""

from __future__ import annotations

import typing as t

import pytest
from hosts import System, states, way_to
from looping import Looping

from conftest import LAB, records

VM = "mover"
DISK = f"{VM}-root"


@pytest.fixture(scope="module")
def vm(hypervisors: list[System], looping_guest: dict[str, str]) -> t.Iterator[dict[str, t.Any]]:
    """A VM on the first hypervisor; it and its disk are gone afterwards."""
    here, there = (LAB.modules(system.name) for system in hypervisors)
    here.done("gfapi_disk", storage_domain="vms", name=DISK, size="64MiB")
    log = f"/var/log/libvirt/qemu/{VM}-console.log"
    wanted = {"name": VM, **looping_guest, "serial_log": log, "autostart": True}
    wanted.update(storage_domain="vms", disks=[{"name": DISK}])
    here.done("libvirt_vm", **wanted)
    yield wanted
    for modules in (here, there):
        modules.done("libvirt_vm", name=VM, state="absent", force_stop=True, shutdown_timeout=0)
    here.done("gfapi_disk", storage_domain="vms", name=DISK, state="absent", force=True)


def test_it_goes_there_and_back_while_its_guest_works(
    hypervisors: list[System], vm: dict[str, t.Any], mount_point: str
) -> None:
    """Shut off at first; a host whose VM it is not starts none on its image."""
    here, there = hypervisors
    modules = LAB.modules(here.name)
    modules.done("libvirt_vm", name=VM, state="running")
    guest = Looping(here, VM)
    seen = guest.goes_on()
    words = LAB.modules(there.name).refused("libvirt_vm", **vm, state="running")
    assert f"cannot start on image {DISK}: it is used by VM {VM} on host {here.name} (running)" in words

    moved = modules.as_promised("libvirt_vm", name=VM, state="running", host=way_to(there, here))
    (action,) = moved["actions"]
    assert action.startswith(f"migrate domain {VM} to ")
    assert moved["vm"]["state"] == "running"
    assert VM not in states(here)
    assert there.lines("virsh", "list", "--name", "--persistent", "--autostart", "--state-running")[0] == VM
    assert VM in records(there, mount_point)
    assert VM not in records(here, mount_point)
    assert Looping(there, VM).goes_on(after=seen) > seen
    # it is edited where it is
    both = {"name": VM, "state": "running", "host": way_to(there, here), "vcpus": 2}
    assert modules.as_promised("libvirt_vm", **both)["actions"] == [f"change vcpus of domain {VM}"]

    back = LAB.modules(there.name).as_promised("libvirt_vm", name=VM, state="running", host=way_to(here, there))
    assert len(back["actions"]) == 1
    assert VM not in states(there)
    assert states(here)[VM] == "running"
    assert VM in records(here, mount_point)


def test_one_that_fails_leaves_it_where_it_was(hypervisors: list[System], vm: dict[str, t.Any]) -> None:
    here, there = hypervisors
    modules = LAB.modules(here.name)
    modules.done("libvirt_vm", name=VM, state="running")
    moving = {"name": VM, "state": "running", "host": way_to(there, here)}
    seen = Looping(here, VM).goes_on()
    there.run("mv", "/var/lib/gfapi-lab/guest/vmlinuz", "/var/lib/gfapi-lab/guest/away")
    try:
        failed = modules.run("libvirt_vm", **moving)
    finally:
        there.run("mv", "/var/lib/gfapi-lab/guest/away", "/var/lib/gfapi-lab/guest/vmlinuz")
    assert failed["failed"]
    assert failed["msg"].startswith(f"cannot migrate domain {VM} to ")
    assert failed["msg"].endswith("the domain is running here")
    assert VM not in states(there)
    assert Looping(here, VM).goes_on(after=seen) > seen


def test_what_cannot_go_there_is_refused(hypervisors: list[System], vm: dict[str, t.Any]) -> None:
    here, there = hypervisors
    modules = LAB.modules(here.name)
    way = way_to(there, here)
    assert "it goes with state: running" in modules.refused("libvirt_vm", name=VM, host=way)
    words = modules.refused("libvirt_vm", name="nobody", state="running", host=way)
    assert words.startswith("domain nobody is neither on this host nor on ")
    assert "cannot connect to libvirt at" in modules.refused("libvirt_vm", name=VM, state="running", host="nowhere")
    there.host.run(
        f"echo '<domain type=\"qemu\"><name>{VM}</name><memory>1024</memory><os><type>hvm</type></os></domain>'"
        f" > /tmp/{VM}.xml && virsh define /tmp/{VM}.xml"
    )
    try:
        assert f"has another domain {VM}: uuid " in modules.refused("libvirt_vm", name=VM, state="running", host=way)
    finally:
        there.run("virsh", "undefine", VM)
