# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A libvirt domain: the part of `<domain>` that we manage, edited in place. Pure: no I/O.

Source: libvirt formatdomain. What `define` adds or rewrites was seen on libvirt 9.0: MiB become KiB, a machine `q35`
becomes `pc-q35-7.2`, a serial device is doubled as a console.
"""

from __future__ import annotations

import math
import posixpath
import re
import typing as t
from dataclasses import dataclass, fields, replace

from ansible_collections.gfapi.virt.plugins.module_utils import _devices, _disk, _machine, _xml

#: the machine types that name the newest of their kind
MACHINE_ALIASES: t.Final = {"q35": "pc-q35-", "pc": "pc-i440fx-"}
DEFAULT_MACHINES: t.Final = {"x86_64": "q35", "aarch64": "virt"}


@dataclass(frozen=True)
class Domain:
    """What we manage of a domain. Writing leaves what is `None` here as it stands.

    `memory_kib` and `vcpus` are what the guest has, `memory_max_kib` and `vcpus_max` what it can be given while it
    runs; where only the first are asked for, room that the domain has is kept and none is made.
    `disks` are those of device disk and lun, all of them; `drives` are CD-ROM drives, of which others may be there.
    `topology` is sockets, cores and threads.
    """

    name: str
    uuid: str | None = None
    type: str | None = None
    title: str | None = None
    description: str | None = None
    metadata: tuple[tuple[str, str], ...] | None = None
    memory_kib: int | None = None
    memory_max_kib: int | None = None
    vcpus: int | None = None
    vcpus_max: int | None = None
    iothreads: int | None = None
    arch: str | None = None
    machine: str | None = None
    firmware: str | None = None
    secure_boot: bool | None = None
    kernel: str | None = None
    initrd: str | None = None
    cmdline: str | None = None
    boot: tuple[str, ...] | None = None
    cpu_mode: str | None = None
    cpu_model: str | None = None
    topology: tuple[int, int, int] | None = None
    disks: tuple[_disk.Disk, ...] | None = None
    drives: tuple[_disk.Disk, ...] | None = None
    scsi_queues: int | None = None
    interfaces: tuple[_devices.Interface, ...] | None = None
    graphics: tuple[_devices.Graphics, ...] | None = None
    serial_log: str | None = None
    rng: bool | None = None
    guest_agent: bool | None = None
    tpm: str | None = None
    watchdog: str | None = None
    balloon: bool | None = None

    @property
    def has_gluster_disk(self) -> bool:
        return any(disk.source.is_gluster for disk in self.disks or ())


FIELDS: t.Final = (
    _xml.Field("type", "@type"),
    _xml.Field("name", "name"),
    _xml.Field("uuid", "uuid"),
    _xml.Field("title", "title"),
    _xml.Field("description", "description"),
    _xml.Field("iothreads", "iothreads", kind=int),
    _xml.Field("arch", "os/type/@arch"),
    _xml.Field("machine", "os/type/@machine"),
    _xml.Field("kernel", "os/kernel"),
    _xml.Field("initrd", "os/initrd"),
    _xml.Field("cmdline", "os/cmdline"),
    _xml.Field("serial_log", "devices/serial/log/@file"),
)
#: a q35 machine has one free slot for hot-plug otherwise; as many as virt-install makes
ROOT_PORTS: t.Final = 14


def from_element(element: _xml.Element) -> Domain:
    """The model of a `<domain>`."""
    return Domain(
        **_xml.read_fields(FIELDS, element),
        **_machine.read(element),
        disks=tuple(_disk.from_element(disk) for disk in _disk_elements(element)),
        drives=tuple(_disk.from_element(drive) for drive in _drive_elements(element)),
        scsi_queues=_scsi_queues(element),
        interfaces=_devices.interfaces_from(element),
        graphics=_devices.graphics_from(element),
        watchdog=_devices.watchdog_from(element),
        **{single.name: single.read(element) for single in _devices.SINGLES},
    )


def write_into(element: _xml.Element, domain: Domain) -> None:
    """Change a `<domain>` to agree with the model, at the places that differ only."""
    current = from_element(element)
    if domain.machine in MACHINE_ALIASES and (current.machine or "").startswith(MACHINE_ALIASES[domain.machine]):
        domain = replace(domain, machine=current.machine)
    if domain.boot and element.find("devices/*/boot") is not None:
        raise ValueError(f"domain {domain.name} has a boot order of its devices; take it out, or leave boot out")
    _require_same_bus(element, current, domain)
    if domain.iothreads == 0 and not current.iothreads:
        # none is a missing element to libvirt
        domain = replace(domain, iothreads=None)
    _xml.write_fields(FIELDS, element, vars(domain))
    for serial in element.iterfind("devices/serial"):
        serial.set("type", serial.get("type", "pty"))
    _machine.write(element, current, domain)
    if domain.disks is not None:
        _write_disks(element, domain.disks)
    for drive in domain.drives or ():
        _write_drive(element, drive)
    _write_scsi(element, domain.scsi_queues)
    if domain.interfaces is not None:
        _devices.write_interfaces(element, domain.interfaces)
    if domain.graphics is not None:
        _devices.write_graphics(element, domain.graphics)
    for single in _devices.SINGLES:
        single.write(element, getattr(domain, single.name))
    _devices.write_watchdog(element, domain.watchdog)
    if element.find("os/boot") is not None and element.find("devices/*/boot") is not None:
        raise ValueError(
            f"domain {domain.name} boots by {', '.join(current.boot or domain.boot or ())}, which excludes a boot_order"
            " of its devices; take it out with boot: [], or leave boot_order out"
        )
    written = from_element(element)
    _machine.require_consistent(element, written, domain)
    if written.has_gluster_disk:
        refuse_relabelling(element)


def _require_same_bus(element: _xml.Element, current: Domain, domain: Domain) -> None:
    """Raises `ValueError` for a machine with another PCI bus than the one that the devices have their addresses on."""
    roots = {"pc-q35": "pcie-root", "q35": "pcie-root", "pc": "pci-root"}
    wanted = next((root for name, root in roots.items() if (domain.machine or "").startswith(name)), None)
    root = element.find("devices/controller[@type='pci'][@index='0']")
    if root is not None and wanted and root.get("model") in roots.values() and root.get("model") != wanted:
        raise ValueError(
            f"domain {domain.name} has its devices on the PCI bus of machine {current.machine}, and {domain.machine}"
            " has another; leave machine out, or define the domain anew (state: absent first)"
        )


def new_element(domain: Domain) -> _xml.Element:
    """A new `<domain>`: a server without display, with a serial console, entropy, and ACPI to be asked to shut down."""
    kind = {"arch": domain.arch, "machine": domain.machine}
    element = _xml.element(
        "domain",
        {"type": domain.type},
        _xml.element("name", text=domain.name),
        _xml.element("memory", {"unit": "KiB"}, text=str(domain.memory_kib)),
        _xml.element("vcpu", text=str(domain.vcpus)),
        _xml.element("os", None, _xml.element("type", kind, text="hvm")),
        _xml.element("features", None, _xml.element("acpi"), _xml.element("apic")),
        _xml.element("clock", {"offset": "utc"}),
        _xml.element("on_poweroff", text="destroy"),
        _xml.element("on_reboot", text="restart"),
        _xml.element("on_crash", text="destroy"),
        _xml.element(
            "devices",
            None,
            _xml.element("serial", {"type": "pty"}),
            _xml.element("console", {"type": "pty"}),
        ),
    )
    if str(domain.machine).startswith(("q35", "pc-q35", "virt")):
        models = ("pcie-root", *["pcie-root-port"] * ROOT_PORTS)
        ports = [_xml.element("controller", {"type": "pci", "model": model}) for model in models]
        _xml.child(element, "devices").extend(ports)
    write_into(element, replace(domain, rng=domain.rng is not False))
    if not domain.disks and not any(drive.source.type for drive in domain.drives or ()):
        # so that a gluster disk can be attached while it runs
        refuse_relabelling(element)
    return element


def edited(element: _xml.Element, domain: Domain) -> _xml.Element:
    """A copy of the host's `<domain>` that agrees with the model; itself where it does."""
    copy = _xml.clone(element)
    write_into(copy, domain)
    return element if _xml.is_same(copy, element) else copy


def differing_fields(before: _xml.Element, after: _xml.Element) -> list[str]:
    """The names of what differs between two `<domain>`s, in the model's order; `relabelling` for the seclabel."""
    if after is before:
        return []
    names = named(from_element(before), from_element(after), [field.name for field in fields(Domain)])
    return names + (["relabelling"] if _disk.is_relabelled(before) != _disk.is_relabelled(after) else [])


def named(left: Domain, right: Domain, among: t.Iterable[str]) -> list[str]:
    """Those of the model's fields that differ, without what only follows another."""
    found = [name for name in among if getattr(left, name) != getattr(right, name)]
    for name, leader in (("memory_max_kib", "memory_kib"), ("vcpus_max", "vcpus")):
        # without room for more the limit is the figure itself
        if leader in found and all(getattr(one, name) == getattr(one, leader) for one in (left, right)):
            found.remove(name)
    if "cpu_mode" in found and "cpu_model" in found:
        found.remove("cpu_model")
    return [name.removesuffix("_kib") for name in found]


def with_defaults(domain: Domain, *, arch: str, has_kvm: bool) -> Domain:
    """A domain that can be defined: what was not asked for is filled in. Raises `ValueError` without memory."""
    if domain.memory_kib is None:
        raise ValueError(f"domain {domain.name} does not exist yet and memory is not given; write memory: 2GiB")
    kind = domain.type or ("kvm" if has_kvm else "qemu")
    return replace(
        domain,
        type=kind,
        vcpus=domain.vcpus or domain.vcpus_max or math.prod(domain.topology or (1,)),
        arch=domain.arch or arch,
        machine=domain.machine or DEFAULT_MACHINES.get(domain.arch or arch),
        # QEMU's own default CPU lacks what today's distributions ask for
        cpu_mode=domain.cpu_mode or ("host-model" if kind == "kvm" else None),
        boot=domain.boot or (None if domain.kernel or _has_boot_order(domain) else ("hd",)),
    )


def _has_boot_order(domain: Domain) -> bool:
    disks, interfaces = (*(domain.disks or ()), *(domain.drives or ())), domain.interfaces or ()
    return any(disk.boot_order for disk in disks) or any(interface.boot_order for interface in interfaces)


def place_disks(
    wanted: t.Sequence[_disk.Disk], current: t.Sequence[_disk.Disk], *, drives: t.Collection[str] = ()
) -> tuple[_disk.Disk, ...]:
    """The wanted disks, each with a target: its own, else that of the same image in the domain, else the next free.

    `drives` are the targets of the domain's cdrom and floppy drives.
    """
    _refuse_doubles("image", [image_key(disk.source) for disk in wanted])
    _refuse_doubles("serial", [disk.serial for disk in wanted if disk.serial])
    clash = sorted({disk.target for disk in wanted} & set(drives))
    if clash:
        raise ValueError(f"target {', '.join(clash)} belongs to a cdrom or floppy drive of the domain; take another")
    taken = {disk.target for disk in wanted if disk.target} | set(drives)
    placed = []
    for disk in wanted:
        target = disk.target or next((old.target for old in current if _is_same_image(old, disk)), "")
        if not disk.target and (not target or target in taken):
            target = _disk.free_target(taken | {old.target for old in current}, _disk.prefix_of(disk.bus))
        taken.add(target)
        placed.append(replace(disk, target=target, bus=disk.bus or _disk.bus_of(target)))
    _refuse_doubles("target", [disk.target for disk in placed])
    return tuple(placed)


def place_drives(
    wanted: t.Sequence[_disk.Disk], current: t.Sequence[_disk.Disk], *, taken: t.Collection[str] = (), own: str = ""
) -> tuple[_disk.Disk, ...]:
    """The wanted CD-ROM drives, each with a target: its own, else of the drive with that medium, else of the next.

    `taken` are the targets of disks, and `own` is a medium for which no drive of another is taken.
    """
    named = {drive.target for drive in wanted if drive.target}
    free = [drive for drive in current if drive.target not in named]
    placed: list[_disk.Disk] = []
    for drive in wanted:
        target = drive.target
        if not target:
            alike = [other for other in free if image_key(other.source) == image_key(drive.source)]
            others = free if drive.source.file != own else []
            found = next(iter(alike or others), None)
            if found:
                free.remove(found)
            used = {*taken, *named, *(other.target for other in current), *(other.target for other in placed)}
            target = found.target if found else _disk.free_target(used, _disk.prefix_of(drive.bus or "sata"))
        there = next((other.bus for other in current if other.target == target), None)
        placed.append(replace(drive, target=target, bus=drive.bus or there or "sata"))
    _refuse_doubles("target", [*(drive.target for drive in placed), *taken])
    return tuple(placed)


def _refuse_doubles(what: str, names: t.Sequence[str]) -> None:
    # a kind of source that we do not model has no name
    doubled = sorted({name for name in names if name and names.count(name) > 1})
    if doubled:
        raise ValueError(f"{what} {', '.join(doubled)} is given to two disks; give each disk its own")


def _is_same_image(left: _disk.Disk, right: _disk.Disk) -> bool:
    return image_key(left.source) == image_key(right.source) != "" or (
        left.serial is not None and left.serial == right.serial
    )


def image_key(source: _disk.DiskSource) -> str:
    """What names the bytes, however they are reached: for an image of a storage domain its place in it."""
    name = source.name or source.file or source.dev or ""
    name = posixpath.normpath(name) if name else ""
    found = re.search(r"[^/]+/images/[^/]+/[^/]+$", name)
    return found[0] if found else name


def drive_targets(element: _xml.Element) -> set[str]:
    """The targets of a domain's cdrom and floppy drives."""
    disks = {_disk.from_element(disk).target for disk in _disk_elements(element)}
    return {target.get("dev", "") for target in element.iterfind("devices/disk/target")} - disks


def written_images(element: _xml.Element) -> set[str]:
    """The keys of the images that a domain may write to and does not share on purpose."""
    return {key for key, is_shared in writable_images(element).items() if not is_shared}


def writable_images(element: _xml.Element) -> dict[str, bool]:
    """The keys of the images that a domain may write to, each with whether it shares it on purpose."""
    disks = [disk for disk in from_element(element).disks or () if not disk.readonly]
    return {key: bool(disk.shareable) for disk in disks if (key := image_key(disk.source))}


def _disk_elements(element: _xml.Element) -> list[_xml.Element]:
    return [disk for disk in element.iterfind("devices/disk") if disk.get("device", "disk") in _disk.DISK_DEVICES]


def _drive_elements(element: _xml.Element) -> list[_xml.Element]:
    return [disk for disk in element.iterfind("devices/disk") if disk.get("device") == "cdrom"]


def _write_drive(element: _xml.Element, drive: _disk.Disk) -> None:
    for node in _drive_elements(element):
        if _disk.from_element(node).target == drive.target:
            _disk.write_into(node, drive)
            return
    _xml.child(element, "devices").append(_disk.to_element(drive))


def _scsi_controllers(element: _xml.Element) -> list[_xml.Element]:
    return element.findall("devices/controller[@type='scsi']")


def _with_queues(element: _xml.Element) -> list[_xml.Element]:
    return [node for node in _scsi_controllers(element) if node.get("model", "virtio-scsi") == "virtio-scsi"][:1]


def _scsi_queues(element: _xml.Element) -> int | None:
    found = [driver.get("queues") for node in _with_queues(element) for driver in node.findall("driver")]
    return int(found[0]) if found and found[0] else None


def _write_scsi(element: _xml.Element, queues: int | None) -> None:
    """A virtio-scsi controller for disks that need one: libvirt 9.0 would take an LSI one, which few guests drive."""
    controllers = _scsi_controllers(element)
    if not controllers and element.find("devices/disk/target[@bus='scsi']") is not None:
        controllers = [_xml.element("controller", {"type": "scsi", "index": "0", "model": "virtio-scsi"})]
        _xml.child(element, "devices").extend(controllers)
    if queues is not None and queues != _scsi_queues(element):
        for node in _with_queues(element):
            _xml.child(node, "driver").set("queues", str(queues))


def _write_disks(element: _xml.Element, disks: t.Sequence[_disk.Disk]) -> None:
    """The domain's disks become these: edited where the target is there, added, or taken out."""
    devices = _xml.child(element, "devices")
    present = {_disk.from_element(disk).target: disk for disk in _disk_elements(element)}
    for target in present.keys() - {disk.target for disk in disks}:
        devices.remove(present[target])
    for disk in disks:
        if disk.target in present:
            _disk.write_into(present[disk.target], disk)
        else:
            devices.append(_disk.to_element(disk))


def refuse_relabelling(element: _xml.Element) -> None:
    """Keep libvirt from opening gluster images to chown them, which costs 10 s a start and loses 36:36 at the stop.

    Only a label of the whole domain lasts: one inside a network source is parsed and never written back.
    """
    if not _disk.is_relabelled(element):
        return
    for label in element.findall("seclabel"):
        if label.get("model") == "dac":
            element.remove(label)
    element.append(_xml.element("seclabel", {"type": "none", "model": "dac"}))
