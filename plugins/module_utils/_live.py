# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a new configuration a running domain gets at once, and what takes a restart. Pure: no I/O."""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils import _attachment, _devices, _disk, _domain, _xml

#: what is compared as it stands; a running domain has its own view of the rest
_PLAIN: t.Final = (
    "memory_kib", "memory_max_kib", "vcpus", "vcpus_max", "iothreads", "machine", "firmware", "secure_boot", "kernel",
    "initrd", "cmdline", "boot", "topology", "scsi_queues", "serial_log", "rng", "guest_agent", "tpm", "watchdog",
    "balloon",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One change of a running domain.

    `kind` is attach, detach or update (of the device `element`), or iotune (limits in `value`), memory (KiB) or vcpus.
    """

    kind: str
    what: str
    element: _xml.Element | None = None
    value: t.Any = None

    def words(self, domain: str) -> str:
        """The change for a person."""
        how = {"attach": ("attach", "to"), "detach": ("detach", "from")}.get(self.kind, ("change", "of"))
        return f"{how[0]} {self.what} {how[1]} running domain {domain}"


def live_changes(
    live: _xml.Element, before: _xml.Element, after: _xml.Element, asked: _domain.Domain | None = None
) -> tuple[Change, ...]:
    """What brings a running domain nearer to its next configuration without a restart.

    Devices are compared with the running domain itself. One that only the running domain has, for somebody gave it to
    that alone, is taken out where devices of its kind are `asked` for. Memory and processors follow a change of the
    configuration only, for whether the guest complies is its own affair.
    """
    running, new = _domain.from_element(live), _domain.from_element(after)
    old = new if after is before else _domain.from_element(before)
    slots = _attachment.free_slots(live)
    changes = [*_disk_changes(live, after, running, new), *_interface_changes(live, after, running, new)]
    changes += _single_changes(live, after)
    changes = [one for one in changes if one.kind != "detach" or asked is None or _is_for_us(one, before, asked)]
    attached = [change for change in changes if change.kind == "attach" and _takes_slot(change.element)]
    late = attached[slots:] if slots is not None else []
    changes = [change for change in changes if change not in late]
    changes += [*_drive_changes(after, running, new), *_display_changes(live, running, new)]
    given, room = new.memory_kib or 0, running.memory_max_kib or 0
    if old.memory_kib != given != running.memory_kib and given <= room and new.balloon and running.balloon:
        changes.append(Change("memory", "memory", value=given))
    # fewer is for the guest to allow, which few do
    if new.vcpus != old.vcpus and (running.vcpus or 0) < (new.vcpus or 0) <= (running.vcpus_max or 0):
        changes.append(Change("vcpus", "vcpus", value=new.vcpus))
    return tuple(changes)


def _is_for_us(change: Change, before: _xml.Element, asked: _domain.Domain) -> bool:
    element = t.cast(_xml.Element, change.element)
    kinds = {"disk": asked.disks, "interface": asked.interfaces, "channel": asked.guest_agent, "rng": asked.rng}
    return kinds.get(element.tag) is not None or device_like(before, element) is not None


def _disk_changes(
    live: _xml.Element, after: _xml.Element, running: _domain.Domain, new: _domain.Domain
) -> list[Change]:
    has, wanted = running.disks or (), new.disks or ()
    targets = {disk.target for disk in (*has, *(running.drives or ()))}
    changes = []
    for disk in wanted:
        there = _alike(disk, has)
        # libvirt would open a gluster image to change its owner
        fits = not (disk.source.is_gluster and _disk.is_relabelled(live))
        if there is None and disk.bus in _attachment.HOT_BUSES and disk.target not in targets and fits:
            changes += [Change("attach", f"disk {disk.target}", disk_at(after, disk.target))]
        elif there is not None and (there.iotune or ()) != (disk.iotune or ()):
            limits = {**dict.fromkeys(dict(there.iotune or ()), 0), **dict(disk.iotune or ())}
            changes += [Change("iotune", f"limits of disk {there.target}", disk_at(live, there.target), limits)]
    kept = {disk.target for disk in wanted} | {_system_target(running)}
    gone = [
        disk
        for disk in has
        if disk.bus in _attachment.HOT_BUSES and disk.target not in kept and not _alike(disk, wanted)
    ]
    return changes + [Change("detach", f"disk {disk.target}", disk_at(live, disk.target)) for disk in gone]


def _system_target(running: _domain.Domain) -> str:
    """The disk that a guest's system is on, as far as anybody can tell: pulled out, it takes the guest with it."""
    disks = running.disks or ()
    booted = sorted((disk for disk in disks if disk.boot_order), key=lambda disk: disk.boot_order or 0)
    return next((disk.target for disk in (*booted, *disks)), "")


def _alike(disk: _disk.Disk, others: t.Iterable[_disk.Disk]) -> _disk.Disk | None:
    """The disk of the same image, whichever layer of it is on top."""
    for other in others:
        same_image = disk.serial is not None and disk.serial == other.serial
        if same_image or _domain.image_key(disk.source) == _domain.image_key(other.source) != "":
            return other
    return None


def disk_at(domain: _xml.Element, target: str) -> _xml.Element:
    """The `<disk>` or drive at a target."""
    return next(node for node in domain.iterfind("devices/disk") if _disk.from_element(node).target == target)


def _interface_changes(
    live: _xml.Element, after: _xml.Element, running: _domain.Domain, new: _domain.Domain
) -> list[Change]:
    has = {(one.mac or "").lower(): one for one in running.interfaces or ()}
    wanted = {(one.mac or "").lower(): one for one in new.interfaces or ()}
    changes = []
    for mac, one in wanted.items():
        node = _interface_at(after, mac)
        if mac not in has:
            changes.append(Change("attach", f"interface {mac}", node))
        elif replace(has[mac], type=one.type, source=one.source) == one != has[mac] and _is_switched(has[mac], one):
            changes.append(Change("update", f"interface {mac}", node))
    gone = [mac for mac in has if mac not in wanted]
    return changes + [Change("detach", f"interface {mac}", _interface_at(live, mac)) for mac in gone]


def _is_switched(left: _devices.Interface, right: _devices.Interface) -> bool:
    # from one to the other is a tap device on another bridge
    return {left.type, right.type} <= {"network", "bridge"}


def _interface_at(domain: _xml.Element, mac: str) -> _xml.Element:
    nodes = domain.iterfind("devices/interface")
    return next(node for node in nodes if (_devices.interface_from(node).mac or "").lower() == mac)


def _single_changes(live: _xml.Element, after: _xml.Element) -> list[Change]:
    changes = []
    for single, words in ((_devices.GUEST_AGENT, "channel of the guest agent"), (_devices.RNG, "entropy source")):
        has, wanted = single.nodes(live), single.nodes(after)
        # QEMU takes no virtio-serial controller while it runs
        fits = single.tag != "channel" or live.find("devices/controller[@type='virtio-serial']") is not None
        if wanted and not has and fits:
            changes.append(Change("attach", words, wanted[0]))
        elif has and not wanted:
            changes += [Change("detach", words, node) for node in has]
    return changes


def _drive_changes(after: _xml.Element, running: _domain.Domain, new: _domain.Domain) -> list[Change]:
    """Media: the drive itself stays."""
    has = {drive.target: drive for drive in running.drives or ()}
    return [
        Change("update", f"medium of drive {drive.target}", disk_at(after, drive.target))
        for drive in new.drives or ()
        if drive.target in has and has[drive.target].source != drive.source
    ]


def _display_changes(live: _xml.Element, running: _domain.Domain, new: _domain.Domain) -> list[Change]:
    """Passwords; where a display listens is settled at the start."""
    changes = []
    for node, has in zip(live.findall("devices/graphics"), running.graphics or ()):
        wanted = next((one for one in new.graphics or () if one.type == has.type), has)
        if (wanted.password or "") != (has.password or ""):
            other = _xml.clone(node)
            other.attrib.pop("passwd", "")
            if wanted.password:
                other.set("passwd", wanted.password)
            changes.append(Change("update", f"password of the {has.type} display", other))
    return changes


def _takes_slot(element: _xml.Element | None) -> bool:
    if element is None or element.tag == "channel":
        return False
    return element.tag != "disk" or _disk.from_element(element).bus == "virtio"


def applied(live: _xml.Element, changes: t.Iterable[Change]) -> _xml.Element:
    """The running domain after the changes, as far as its model goes."""
    domain = copy.deepcopy(live)
    devices = _xml.child(domain, "devices")
    for change in changes:
        if change.kind in ("memory", "vcpus"):
            node = _xml.child(domain, "currentMemory" if change.kind == "memory" else "vcpu")
            _set_number(node, change)
            continue
        element = t.cast(_xml.Element, change.element)
        there = device_like(domain, element)
        if there is not None:
            devices.remove(there)
        if change.kind != "detach":
            devices.append(copy.deepcopy(element))
    return domain


def _set_number(node: _xml.Element, change: Change) -> None:
    if change.kind == "vcpus":
        node.attrib.pop("current", "")
        if str(change.value) != node.text:
            node.set("current", str(change.value))
        return
    node.text = str(change.value)
    node.set("unit", "KiB")


def device_like(domain: _xml.Element, element: _xml.Element) -> _xml.Element | None:
    """The device of a `<domain>` that is the same: a disk at that target, an interface with that MAC address, ..."""
    nodes = domain.iterfind(f"devices/{element.tag}")
    return next((node for node in nodes if _identity(node) == _identity(element)), None)


def with_addresses(configured: _xml.Element, live: _xml.Element) -> _xml.Element:
    """A new configuration whose devices without an address have that of the running domain, where it is free."""
    copied = _xml.clone(configured)
    for element in copied.iterfind("devices/*"):
        there = device_like(live, element) if element.tag in ("disk", "interface") else None
        if there is not None and element.find("address") is None:
            take_address(element, there, copied)
    return copied


def take_address(element: _xml.Element, placed: _xml.Element, configured: _xml.Element) -> None:
    """Give a device the address that it has in the running domain, unless the configuration has it elsewhere."""
    found = placed.find("address")
    if found is None or _bus(element) != _bus(placed):
        return
    for old in element.findall("address"):
        element.remove(old)
    if found.items() not in [one.items() for one in configured.iterfind(".//address")]:
        element.append(_xml.clone(found))


def _bus(element: _xml.Element) -> str:
    return _disk.from_element(element).bus or "" if element.tag == "disk" else ""


def _identity(element: _xml.Element) -> str:
    if element.tag == "disk":
        return _disk.from_element(element).target
    if element.tag == "interface":
        return (_devices.interface_from(element).mac or "").lower()
    if element.tag == "graphics":
        return element.get("type", "")
    if element.tag == "controller":
        return f"{element.get('type')}/{element.get('index', '0')}"
    target = element.find("target")
    return "" if target is None else target.get("name", "")


def pending_fields(live: _xml.Element, configured: _xml.Element) -> list[str]:
    """The fields in which a running domain differs from its configuration, and that only a restart brings over."""
    running, wanted = _domain.from_element(live), _domain.from_element(configured)
    fields = _domain.named(running, wanted, _PLAIN)
    if "memory" in fields and running.memory_max_kib == wanted.memory_max_kib:
        # whether the guest gives it back is its own affair, after a restart too
        fields.remove("memory")
    if "secure_boot" in fields and wanted.secure_boot is None:
        fields.remove("secure_boot")
    # a running domain shows host-model as the custom model that it became
    modes = {"custom" if mode in (None, "host-model") else mode for mode in (running.cpu_mode, wanted.cpu_mode)}
    if len(modes) > 1:
        fields.append("cpu_mode")
    if _guest_views(running.disks) != _guest_views(wanted.disks):
        fields.append("disks")
    if _guest_views(running.drives) != _guest_views(wanted.drives):
        fields.append("drives")
    if _by_mac(running) != _by_mac(wanted):
        fields.append("interfaces")
    if _displays(running, wanted) != _displays(wanted, running):
        fields.append("graphics")
    return fields


def _guest_views(disks: t.Iterable[_disk.Disk] | None) -> list[tuple[object, ...]]:
    """What the guest and QEMU see of disks; the servers of a gluster disk are a matter of the next start."""
    views = [
        (
            disk.target, disk.bus, disk.format, disk.cache, disk.discard, disk.queues, disk.iothread, disk.boot_order,
            disk.serial,
            replace(disk.source, hosts=()),
        )
        for disk in disks or ()
    ]  # fmt: skip
    return sorted(views, key=str)


def _by_mac(domain: _domain.Domain) -> dict[str, _devices.Interface]:
    return {(one.mac or "").lower(): replace(one, mac=None) for one in domain.interfaces or ()}


def _displays(domain: _domain.Domain, other: _domain.Domain) -> list[tuple[str, str | None, int | None]]:
    """Where displays are; an address that one side leaves to libvirt is no difference."""
    named = {one.type for one in other.graphics or () if one.listen}
    return sorted((one.type, one.listen if one.type in named else None, one.port) for one in domain.graphics or ())
