# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks given to a VM that runs, and taken out of it."""

from __future__ import annotations

import typing as t
from xml.etree import ElementTree

import pytest
from hosts import Guest, System
from modules import Modules

DISK = {"storage_domain": "vms", "name": "hot"}


def disk_of(system: System, guest: Guest, serial: str, *words: str) -> ElementTree.Element | None:
    """A disk of the guest by its serial number, in libvirt's own words."""
    xml = ElementTree.fromstring(system.run("virsh", "dumpxml", *words, guest.name))
    disks = (disk for disk in xml.iterfind("devices/disk") if disk.findtext("serial") == serial)
    return next(disks, None)


@pytest.fixture
def hot(modules: Modules, guest: Guest) -> t.Iterator[dict[str, t.Any]]:
    """A disk attached to the guest while that runs."""
    assert guest.state == "running"
    made = modules.as_promised("gfapi_disk", **DISK, size="1GiB", vm=guest.name)["disk"]
    yield made
    modules.done("gfapi_disk", **DISK, vm=guest.name, state="detached")
    modules.done("gfapi_disk", **DISK, state="absent")


def test_a_running_vm_gets_a_disk_and_loses_it(
    modules: Modules, system: System, guest: Guest, hot: dict[str, t.Any]
) -> None:
    assert (hot["vm"], hot["target"]) == (guest.name, "vdc")
    live, configured = (disk_of(system, guest, hot["image_uuid"], *words) for words in ((), ("--inactive",)))
    assert live is not None
    assert configured is not None
    for disk in (live, configured):
        assert disk.find("target").get("dev") == "vdc"
    assert live.find("address").attrib == configured.find("address").attrib
    (vm,) = modules.done("libvirt_vm_info", names=[guest.name])["vms"]
    assert {disk["io_path"] for disk in vm["disks"]} == {"gfapi"}
    assert len(vm["disks"]) == 3
    # grown while the guest has it
    grown = modules.as_promised("gfapi_disk", **DISK, size="2GiB", vm=guest.name)
    assert grown["actions"] == [f"grow disk hot from 1 GiB to 2 GiB live in domain {guest.name}"]
    assert f"is in use by domain {guest.name} (running, disk vdc)" in modules.refused(
        "gfapi_disk", **DISK, state="absent"
    )
    out = modules.as_promised("gfapi_disk", **DISK, vm=guest.name, state="detached")
    assert out["actions"] == [f"detach disk hot from domain {guest.name} as vdc, live and in its configuration"]
    assert disk_of(system, guest, hot["image_uuid"]) is None
    assert disk_of(system, guest, hot["image_uuid"], "--inactive") is None
    system.run("qemu-img", "check", "-q", "-f", "qcow2", hot["path"])
    assert guest.state == "running"


def test_what_virsh_took_out_of_the_running_vm_only_is_put_back_where_it_was(
    modules: Modules, system: System, guest: Guest, hot: dict[str, t.Any]
) -> None:
    system.run("virsh", "detach-disk", guest.name, hot["target"], "--live")
    system.wait("disk gone", lambda: disk_of(system, guest, hot["image_uuid"]) is None)
    again = modules.as_promised("gfapi_disk", **DISK, vm=guest.name)
    assert again["actions"] == [f"attach disk hot to domain {guest.name} as vdc, running only"]
    assert disk_of(system, guest, hot["image_uuid"]) is not None


def test_a_vm_that_is_not_there_is_named(modules: Modules, guest: Guest) -> None:
    words = modules.refused("gfapi_disk", **DISK, size="1GiB", vm="nobody")
    assert "there is no domain nobody on this host (there is " in words
    assert guest.name in words
