# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._attachment import (
    LIVE,
    NEXT,
    Attachment,
    devices_for,
    disk_of,
    targets,
    to_attach,
    to_detach,
    with_address,
)
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord

IMAGE = "6b1ccf2f-4e0c-5f28-9f36-0a3a6b3f8d11"
SOURCE = _disk.DiskSource.gluster("v", f"5f1e2c56/images/{IMAGE}/9d2070d1", ["gl1"])
DISK = _disk.gluster_disk(SOURCE, "qcow2", target="", serial=IMAGE)
OTHER = '<disk type="file" device="{}"><source file="/x"/><target dev="{}"/></disk>'
SNAPSHOT = f"""<disk type="network" device="disk"><target dev="vda"/>
<source protocol="gluster" name="v/d/images/{IMAGE}/top"/>
<backingStore type="network"><source protocol="gluster" name="v/d/images/{IMAGE}/9d2070d1"/></backingStore></disk>"""


def domain(*disks: str) -> _xml.Element:
    return _xml.parse(f"<domain><devices>{''.join(disks)}</devices><seclabel type='none' model='dac'/></domain>")


def record(inactive: _xml.Element, live: _xml.Element | None = None, *, persistent: bool = True) -> DomainRecord:
    return DomainRecord("web", "u", "running", inactive, live, False, persistent=persistent)


def test_what_half_a_run_did_is_finished() -> None:
    half = record(domain(), domain(SNAPSHOT))
    assert targets(half, IMAGE) == {LIVE: "vda", NEXT: None}
    attachment, element = to_attach(half, DISK, IMAGE)
    assert attachment == Attachment("web", IMAGE, "vda", (NEXT,))
    assert _disk.from_element(element).target == "vda"
    assert to_detach(half, IMAGE) == Attachment("web", IMAGE, "vda", (LIVE,))
    whole = record(domain(SNAPSHOT), domain(SNAPSHOT))
    assert to_attach(whole, DISK, IMAGE)[0].places == ()


def test_a_domain_that_was_only_created_has_no_configuration() -> None:
    attachment, _element = to_attach(record(domain(), domain(), persistent=False), DISK, IMAGE)
    assert attachment.places == (LIVE,)
    assert attachment.words == "domain web as vda, running only"


@pytest.mark.parametrize(
    ("bus", "live", "target"),
    [
        (None, (), "vdb"),
        (None, (OTHER.format("disk", "vdb"),), "vdc"),
        ("scsi", (OTHER.format("cdrom", "sda"),), "sdb"),
        ("usb", (), "sda"),
    ],
)
def test_a_target_is_free_in_the_running_domain_and_in_its_configuration(
    bus: str | None, live: tuple[str, ...], target: str
) -> None:
    disk = _disk.Disk(SOURCE, "", "raw", bus)
    found = record(domain(OTHER.format("disk", "vda")), domain(*live))
    attachment, element = to_attach(found, disk, IMAGE)
    assert (attachment.target, _disk.from_element(element).bus) == (target, bus or "virtio")


def test_a_target_that_another_disk_is_to_have_is_not_free() -> None:
    promised: dict[str, str | None] = {"vda": None, "vdb": "virtio"}
    attachment, _element = to_attach(record(domain()), DISK, IMAGE, promised)
    assert attachment.target == "vdc"
    named = replace(DISK, target="vdb")
    assert to_attach(record(domain()), named, IMAGE, promised)[0].target == "vdb"


def test_a_bus_that_takes_no_disk_while_a_domain_runs_is_refused() -> None:
    disk = replace(DISK, bus="sata")
    assert to_attach(record(domain()), disk, IMAGE)[0].target == "sda"
    with pytest.raises(ValueError, match="domain web runs, and QEMU takes no disk on bus sata then; give bus virtio"):
        to_attach(record(domain(), domain()), disk, IMAGE)


def test_a_running_domain_gets_no_more_disks_than_it_has_ports() -> None:
    port = "<controller type='pci' model='pcie-root-port' index='{}'/>"
    taken = OTHER.format("disk", "vda").replace("</disk>", "<address type='pci' bus='0x01'/></disk>")
    running = record(domain(), domain(port.format(1), port.format(2), taken))
    assert to_attach(running, DISK, IMAGE, {"vda": None, "sda": None})[0].target == "vdb"
    with pytest.raises(
        ValueError, match="domain web runs with no PCI Express port left for disk vdc on the virtio bus"
    ):
        to_attach(running, DISK, IMAGE, {"vdb": None})
    assert to_attach(running, replace(DISK, bus="scsi"), IMAGE, {"vdb": None})[0].target == "sda"


@pytest.mark.parametrize("is_taken", [False, True])
def test_the_address_of_the_running_domain_goes_into_the_configuration_if_it_is_free_there(is_taken: bool) -> None:
    address = "<address type='pci' domain='0x0000' bus='0x00' slot='0x07' function='0x0'/>"
    element = _disk.to_element(_disk.Disk(SOURCE, "vdb"))
    live = domain(f"<disk type='network'><target dev='vdb' bus='virtio'/>{address}</disk>")
    inactive = domain(f"<interface type='user'>{address}</interface>" if is_taken else "")
    placed = with_address(element, live, inactive)
    assert len(placed.findall("address")) == (0 if is_taken else 1)
    assert element.find("address") is None


def test_a_scsi_disk_comes_with_the_controller_that_the_domain_lacks() -> None:
    element = _disk.to_element(_disk.Disk(SOURCE, "sda", bus="scsi"))
    controller, disk = devices_for(element, domain("<controller type='usb'/>"))
    assert dict(controller.items()) == {"type": "scsi", "index": "0", "model": "virtio-scsi"}
    assert disk is element
    assert devices_for(element, domain("<controller type='scsi' model='lsilogic'/>")) == [element]
    address = "<address type='pci' domain='0x0000' bus='0x09' slot='0x00' function='0x0'/>"
    live = domain(f"<controller type='scsi'>{address}</controller>")
    assert [one.get("bus") for one in with_address(controller, live, domain("")).iter("address")] == ["0x09"]
    virtio = _disk.to_element(_disk.Disk(SOURCE, "vdb"))
    assert devices_for(virtio, domain("")) == [virtio]


def test_a_disk_is_found_by_its_image_where_its_target_is_another_ones() -> None:
    moved = SNAPSHOT.replace('dev="vda"', 'dev="vdb"')
    found = record(domain(OTHER.format("disk", "vda"), moved), domain(SNAPSHOT, OTHER.format("disk", "vdb")))
    attachment = to_detach(found, IMAGE)
    assert attachment
    for configuration, target in ((found.inactive, "vdb"), (found.live, "vda")):
        disk = disk_of(configuration, attachment.image_uuid)
        assert _disk.from_element(disk).target == target
