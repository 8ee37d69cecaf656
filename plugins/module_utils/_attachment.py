# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One disk given to a domain, or taken out of it, in the running domain and in its configuration. Pure: no I/O."""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _xml

if t.TYPE_CHECKING:
    from ansible_collections.gfapi.virt.plugins.module_utils import _domain_record

LIVE: t.Final = "live"
NEXT: t.Final = "next"
#: what QEMU lets a guest gain and lose while it runs
HOT_BUSES: t.Final = ("virtio", "scsi", "usb")


@dataclass(frozen=True)
class Attachment:
    """A disk of a domain, and where it is lacking or to be taken out: `LIVE`, `NEXT` (its configuration)."""

    domain: str
    image_uuid: str
    target: str
    places: tuple[str, ...]

    @property
    def words(self) -> str:
        """Domain, target and places for a person."""
        where = {(LIVE,): ", running only", (NEXT,): "", (LIVE, NEXT): ", live and in its configuration"}
        return f"domain {self.domain} as {self.target}{where.get(self.places, '')}"


def targets(record: _domain_record.DomainRecord, image_uuid: str) -> dict[str, str | None]:
    """Where a domain has an image, at any layer: target by place, `None` where it has not."""
    found: dict[str, str | None] = {}
    if record.live is not None:
        found[LIVE] = _target_in(record.live, image_uuid)
    if record.persistent:
        found[NEXT] = _target_in(record.inactive, image_uuid)
    return found


def to_attach(
    record: _domain_record.DomainRecord,
    disk: _disk.Disk,
    image_uuid: str,
    promised: t.Mapping[str, str | None] | None = None,
) -> tuple[Attachment, _xml.Element]:
    """How the domain gets the disk, and its `<disk>`, at the target that it names or that is free.

    `promised` are targets that other disks are to have, with the bus that was named for them.

    Raises `ValueError` where it cannot: another target, a target in use, a managed save, images that get relabelled, or
    a running domain that takes none on that bus.
    """
    name = record.name
    there = targets(record, image_uuid)
    target = next(filter(None, there.values()), None)
    if target and disk.target not in ("", target):
        raise ValueError(
            f"image {image_uuid} is disk {target} of domain {name}, not {disk.target}; take it out first (state:"
            " detached)"
        )
    used = {_disk.from_element(one).target for one in _disks(record)}
    if not target and disk.target in used:
        raise ValueError(f"domain {name} has another disk {disk.target}; name another target, or none")
    others = {one: bus for one, bus in (promised or {}).items() if one not in used}
    target = target or disk.target or _disk.free_target({*used, *others}, _disk.prefix_of(disk.bus))
    places = tuple(place for place, found in there.items() if found is None)
    placed = replace(disk, target=target, bus=disk.bus or _disk.bus_of(target))
    if places:
        _require_fit(record)
    if LIVE in places:
        others.pop(target, None)
        _require_hot(record, placed, [bus or _disk.bus_of(one) for one, bus in others.items()].count("virtio"))
    return Attachment(name, image_uuid, target, places), _disk.to_element(placed)


def to_detach(record: _domain_record.DomainRecord, image_uuid: str) -> Attachment | None:
    """How the domain loses the disk; `None` where it has none of the image."""
    there = targets(record, image_uuid)
    places = tuple(place for place, target in there.items() if target)
    if not places:
        return None
    _require_unsaved(record)
    return Attachment(record.name, image_uuid, next(filter(None, there.values())) or "", places)


def devices_for(disk: _xml.Element, configuration: _xml.Element) -> list[_xml.Element]:
    """What a domain gets for a disk: before it the SCSI controller that it lacks.

    libvirt 9.0 would add an LSI one, which few guests can drive and a running q35 machine has no slot for.
    """
    if disk.find("target[@bus='scsi']") is None or _controller_in(configuration) is not None:
        return [disk]
    return [_xml.element("controller", {"type": "scsi", "index": "0", "model": "virtio-scsi"}), disk]


def with_address(device: _xml.Element, live: _xml.Element, inactive: _xml.Element) -> _xml.Element:
    """A device for the configuration, at the address that it has in the running domain unless that is taken there."""
    is_disk = device.tag == "disk"
    running = _disk_at(live, _disk.from_element(device).target) if is_disk else _controller_in(live)
    address = None if running is None else running.find("address")
    placed = copy.deepcopy(device)
    if address is not None and address.items() not in [one.items() for one in inactive.iterfind(".//address")]:
        placed.append(copy.deepcopy(address))
    return placed


def free_slots(live: _xml.Element) -> int | None:
    """How many devices a running PCI Express machine can still get; `None` for a bus of the older kind, with 32."""
    controllers = live.findall("devices/controller[@type='pci']")
    ports = {node.get("index") for node in controllers if node.get("model") == "pcie-root-port"}
    if not ports:
        return None
    used = {str(int(node.get("bus", "0"), 16)) for node in live.iterfind(".//address[@type='pci']")}
    return len(ports - used)


def disk_of(configuration: _xml.Element, image_uuid: str) -> _xml.Element | None:
    """The `<disk>` with a layer of an image; its target may be another one in the running domain."""
    part = f"/images/{image_uuid}/"
    for disk in configuration.iterfind("devices/disk"):
        if any(part in (source.get("name") or source.get("file") or "") for source in disk.iter("source")):
            return disk
    return None


def _disk_at(configuration: _xml.Element, target: str) -> _xml.Element | None:
    disks = configuration.iterfind("devices/disk")
    return next((disk for disk in disks if _disk.from_element(disk).target == target), None)


def _controller_in(configuration: _xml.Element) -> _xml.Element | None:
    return configuration.find("devices/controller[@type='scsi']")


def _disks(record: _domain_record.DomainRecord) -> list[_xml.Element]:
    configurations = [record.inactive] if record.live is None else [record.live, record.inactive]
    return [disk for one in configurations for disk in one.iterfind("devices/disk")]


def _target_in(configuration: _xml.Element, image_uuid: str) -> str | None:
    disk = disk_of(configuration, image_uuid)
    return None if disk is None else _disk.from_element(disk).target


def _require_unsaved(record: _domain_record.DomainRecord) -> None:
    if record.saved is not None:
        raise ValueError(
            f"domain {record.name} has a managed save, which goes on as it was; start the domain first, or drop the"
            f" save (virsh managedsave-remove {record.name})"
        )


def _require_hot(record: _domain_record.DomainRecord, disk: _disk.Disk, promised: int) -> None:
    """`promised` is how many other disks the running domain is to get on the virtio bus."""
    if disk.bus not in HOT_BUSES:
        raise ValueError(
            f"domain {record.name} runs, and QEMU takes no disk on bus {disk.bus} then; give bus virtio or scsi, or"
            " shut the domain down first"
        )
    free = None if record.live is None else free_slots(record.live)
    if disk.bus == "virtio" and free is not None and promised >= free:
        raise ValueError(
            f"domain {record.name} runs with no PCI Express port left for disk {disk.target} on the virtio bus; give"
            " bus scsi, or shut the domain down first, which then gets more ports"
        )


def _require_fit(record: _domain_record.DomainRecord) -> None:
    _require_unsaved(record)
    configurations = [one for one in (record.live, record.inactive) if one is not None]
    if any(_disk.is_relabelled(one) for one in configurations):
        raise ValueError(
            f"domain {record.name} would have libvirt change the owner of the image, for it has no <seclabel"
            " type='none' model='dac'/>; have gfapi.virt.libvirt_vm manage its disks, and stop and start it"
        )
