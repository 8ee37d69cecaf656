# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A libvirt domain: the part of `<domain>` that we manage, edited in place. Pure: no I/O.

Source: libvirt formatdomain. What `define` adds or rewrites was seen on libvirt 9.0: MiB become KiB, a machine `q35`
becomes `pc-q35-7.2`, a serial device is doubled as a console.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._disk import Disk
from ansible_collections.gfapi.virt.plugins.module_utils._xml import Field

#: the machine types that name the newest of their kind
MACHINE_ALIASES: t.Final = {"q35": "pc-q35-", "pc": "pc-i440fx-"}
DEFAULT_MACHINES: t.Final = {"x86_64": "q35", "aarch64": "virt"}
_UNIT_KIB: t.Final = {
    "b": 1 / 1024, "bytes": 1 / 1024, "KB": 1000 / 1024, "k": 1, "KiB": 1, "MB": 1e6 / 1024, "M": 1024, "MiB": 1024,
    "GB": 1e9 / 1024, "G": 1024**2, "GiB": 1024**2, "TB": 1e12 / 1024, "T": 1024**3, "TiB": 1024**3,
}  # fmt: skip


@dataclass(frozen=True)
class Interface:
    """A network interface; `source` is the network's or the bridge's name, `None` for type user."""

    type: str
    source: str | None = None
    mac: str | None = None
    model: str | None = None


INTERFACE_FIELDS: t.Final = (
    Field("mac", "mac/@address"),
    Field("model", "model/@type"),
)


@dataclass(frozen=True)
class Domain:
    """What we manage of a domain. Writing leaves what is `None` here as it stands.

    `disks` are those of device disk and lun; cdrom and floppy drives are nobody's business but the administrator's.
    """

    name: str
    uuid: str | None = None
    type: str | None = None
    memory_kib: int | None = None
    vcpus: int | None = None
    arch: str | None = None
    machine: str | None = None
    kernel: str | None = None
    initrd: str | None = None
    cmdline: str | None = None
    boot: tuple[str, ...] | None = None
    cpu_mode: str | None = None
    disks: tuple[Disk, ...] | None = None
    interfaces: tuple[Interface, ...] | None = None
    serial_log: str | None = None

    @property
    def has_gluster_disk(self) -> bool:
        return any(disk.source.is_gluster for disk in self.disks or ())


FIELDS: t.Final = (
    Field("type", "@type"),
    Field("name", "name"),
    Field("uuid", "uuid"),
    Field("vcpus", "vcpu", kind=int),
    Field("arch", "os/type/@arch"),
    Field("machine", "os/type/@machine"),
    Field("kernel", "os/kernel"),
    Field("initrd", "os/initrd"),
    Field("cmdline", "os/cmdline"),
    Field("serial_log", "devices/serial/log/@file"),
)


def from_element(element: _xml.Element) -> Domain:
    """The model of a `<domain>`."""
    return Domain(
        **_xml.read_fields(FIELDS, element),
        memory_kib=_memory_kib(element.find("memory")),
        boot=tuple(boot.get("dev", "") for boot in element.iterfind("os/boot")),
        cpu_mode=next((cpu.get("mode", "custom") for cpu in element.iterfind("cpu")), None),
        disks=tuple(_disk.from_element(disk) for disk in _disk_elements(element)),
        interfaces=tuple(_interface_from(interface) for interface in element.iterfind("devices/interface")),
    )


def write_into(element: _xml.Element, domain: Domain) -> None:
    """Change a `<domain>` to agree with the model, at the places that differ only."""
    current = from_element(element)
    if domain.machine in MACHINE_ALIASES and (current.machine or "").startswith(MACHINE_ALIASES[domain.machine]):
        domain = replace(domain, machine=current.machine)
    if domain.boot and element.find("devices/*/boot") is not None:
        raise ValueError(f"domain {domain.name} has a boot order of its devices; take it out, or leave boot out")
    if domain.vcpus not in (None, current.vcpus):
        # fewer plugged in at the start than there can be: a number of its own, that may not exceed the new one
        for vcpu in element.findall("vcpu"):
            if "current" in vcpu.attrib:
                del vcpu.attrib["current"]
    _xml.write_fields(FIELDS, element, vars(domain))
    for serial in element.iterfind("devices/serial"):
        serial.set("type", serial.get("type", "pty"))
    if domain.memory_kib not in (None, current.memory_kib):
        # libvirt fills a missing currentMemory in
        for tag in ("memory", *(node.tag for node in element.findall("currentMemory"))):
            _replace(element, _xml.element(tag, {"unit": "KiB"}, text=str(domain.memory_kib)))
    if domain.cpu_mode not in (None, current.cpu_mode):
        _replace(element, _xml.element("cpu", {"mode": domain.cpu_mode}))
    if domain.boot not in (None, current.boot):
        _write_boot(element, domain.boot or ())
    if domain.disks is not None:
        _write_disks(element, domain.disks)
    if domain.interfaces is not None:
        _write_interfaces(element, domain.interfaces)
    if from_element(element).has_gluster_disk:
        _refuse_relabelling(element)


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
            _xml.element("rng", {"model": "virtio"}, _xml.element("backend", {"model": "random"}, text="/dev/urandom")),
        ),
    )
    write_into(element, domain)
    return element


def edited(element: _xml.Element, domain: Domain) -> _xml.Element:
    """A copy of the host's `<domain>` that agrees with the model."""
    copy = _xml.clone(element)
    write_into(copy, domain)
    return copy


def differing_fields(before: _xml.Element, after: _xml.Element) -> list[str]:
    """The names of what differs between two `<domain>`s, in the model's order; `relabelling` for the seclabel."""
    left, right = vars(from_element(before)), vars(from_element(after))
    names = [name for name in left if left[name] != right[name]]
    names = [name.removesuffix("_kib") for name in names]
    return names + (["relabelling"] if _disk.is_relabelled(before) != _disk.is_relabelled(after) else [])


def pending_fields(live: _xml.Element, configured: _xml.Element) -> list[str]:
    """The fields in which a running domain differs from its configuration, and that only a restart brings over."""
    running, wanted = from_element(live), from_element(configured)
    names = ("memory_kib", "vcpus", "machine", "kernel", "initrd", "cmdline", "boot", "serial_log")
    fields = [name for name in names if getattr(running, name) != getattr(wanted, name)]
    # a running domain shows host-model as the custom model that it became
    if len({"custom" if mode in (None, "host-model") else mode for mode in (running.cpu_mode, wanted.cpu_mode)}) > 1:
        fields.append("cpu_mode")
    if [_guest_view(disk) for disk in running.disks or ()] != [_guest_view(disk) for disk in wanted.disks or ()]:
        fields.append("disks")
    if running.interfaces != wanted.interfaces:
        fields.append("interfaces")
    return fields


def _guest_view(disk: Disk) -> tuple[object, ...]:
    return (disk.target, disk.bus, disk.format, disk.cache, disk.discard, replace(disk.source, hosts=()))


def with_defaults(domain: Domain, *, arch: str, has_kvm: bool) -> Domain:
    """A domain that can be defined: what was not asked for is filled in. Raises `ValueError` without memory."""
    if domain.memory_kib is None:
        raise ValueError(f"domain {domain.name} does not exist yet and memory is not given; write memory: 2GiB")
    kind = domain.type or ("kvm" if has_kvm else "qemu")
    return replace(
        domain,
        type=kind,
        vcpus=domain.vcpus or 1,
        arch=domain.arch or arch,
        machine=domain.machine or DEFAULT_MACHINES.get(domain.arch or arch),
        # QEMU's own default CPU lacks what today's distributions ask for
        cpu_mode=domain.cpu_mode or ("host-model" if kind == "kvm" else None),
        boot=domain.boot or (None if domain.kernel else ("hd",)),
    )


def place_disks(
    wanted: t.Sequence[Disk], current: t.Sequence[Disk], *, drives: t.Collection[str] = ()
) -> tuple[Disk, ...]:
    """The wanted disks, each with a target: its own, else that of the same image in the domain, else the next free.

    `drives` are the targets of the domain's cdrom and floppy drives.
    """
    _refuse_doubles("image", [image_key(disk.source) for disk in wanted])
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


def _refuse_doubles(what: str, names: t.Sequence[str]) -> None:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ValueError(f"{what} {', '.join(doubled)} is given to two disks; give each disk its own")


def stable_mac(domain_name: str, index: int) -> str:
    """A MAC address that a domain's interface keeps when it is made again, in QEMU's range 52:54:00."""
    digest = hashlib.sha256(f"{domain_name}/{index}".encode()).hexdigest()
    return "52:54:00:" + ":".join(digest[position : position + 2] for position in (0, 2, 4))


def _is_same_image(left: Disk, right: Disk) -> bool:
    return image_key(left.source) == image_key(right.source) != "" or (
        left.serial is not None and left.serial == right.serial
    )


def image_key(source: _disk.DiskSource) -> str:
    """What names the bytes, however they are reached: for an image of a storage domain its place in it."""
    name = source.name or source.file or source.dev or ""
    found = re.search(r"[^/]+/images/[^/]+/[^/]+$", name)
    return found[0] if found else name


def drive_targets(element: _xml.Element) -> set[str]:
    """The targets of a domain's cdrom and floppy drives."""
    disks = {_disk.from_element(disk).target for disk in _disk_elements(element)}
    return {target.get("dev", "") for target in element.iterfind("devices/disk/target")} - disks


def written_images(element: _xml.Element) -> set[str]:
    """The keys of the images that a domain may write to and does not share on purpose."""
    disks = from_element(element).disks or ()
    return {image_key(disk.source) for disk in disks if not disk.readonly and not disk.shareable} - {""}


def _memory_kib(element: _xml.Element | None) -> int | None:
    text = "" if element is None else (element.text or "").strip()
    if element is None or not text:
        return None
    return round(int(text) * _UNIT_KIB.get(element.get("unit", "KiB"), 1))


def _replace(element: _xml.Element, new: _xml.Element) -> None:
    old = element.find(new.tag)
    if old is None:
        element.append(new)
    else:
        element.replace(old, new)


def _write_boot(element: _xml.Element, devices: t.Sequence[str]) -> None:
    for node in element.findall("os"):
        for boot in node.findall("boot"):
            node.remove(boot)
        node.extend([_xml.element("boot", {"dev": device}) for device in devices])


def _disk_elements(element: _xml.Element) -> list[_xml.Element]:
    return [disk for disk in element.iterfind("devices/disk") if disk.get("device", "disk") in _disk.DISK_DEVICES]


def _devices(element: _xml.Element) -> _xml.Element:
    devices = element.find("devices")
    if devices is None:
        devices = _xml.element("devices")
        element.append(devices)
    return devices


def _write_disks(element: _xml.Element, disks: t.Sequence[Disk]) -> None:
    """The domain's disks become these: edited where the target is there, added, or taken out."""
    devices = _devices(element)
    present = {_disk.from_element(disk).target: disk for disk in _disk_elements(element)}
    for target in present.keys() - {disk.target for disk in disks}:
        devices.remove(present[target])
    for disk in disks:
        if disk.target in present:
            _disk.write_into(present[disk.target], disk)
        else:
            devices.append(_disk.to_element(disk))


def _interface_from(element: _xml.Element) -> Interface:
    kind = element.get("type", "")
    source = element.find("source")
    return Interface(
        type=kind,
        source=None if source is None else source.get(kind),
        **_xml.read_fields(INTERFACE_FIELDS, element),
    )


def _write_interfaces(element: _xml.Element, interfaces: t.Sequence[Interface]) -> None:
    """The domain's interfaces become these, matched by MAC address, else by where they lead, else by position."""
    devices = _devices(element)
    present = {(_interface_from(node).mac or "").lower(): node for node in devices.findall("interface")}
    wanted = {(interface.mac or "").lower() for interface in interfaces}
    # an interface that is asked for by its address is nobody else's
    free = [node for node in devices.findall("interface") if (_interface_from(node).mac or "").lower() not in wanted]
    for index, interface in enumerate(interfaces):
        node = present.get(interface.mac.lower()) if interface.mac else None
        if node is None and free:
            alike = [other for other in free if _leads_alike(_interface_from(other), interface)]
            node = (alike or free)[0]
            free.remove(node)
        if node is None:
            node = _xml.element("interface", {"type": interface.type})
            devices.append(node)
            mac = interface.mac or _free_mac(element.findtext("name", ""), index, {*present, *wanted})
            interface = replace(interface, mac=mac, model=interface.model or "virtio")
        _write_interface(node, interface)
    for node in free:
        devices.remove(node)


def _leads_alike(left: Interface, right: Interface) -> bool:
    return (left.type, left.source) == (right.type, right.source)


def _free_mac(domain_name: str, index: int, taken: t.Container[str]) -> str:
    while stable_mac(domain_name, index) in taken:
        index += 1
    return stable_mac(domain_name, index)


def _write_interface(node: _xml.Element, interface: Interface) -> None:
    current = _interface_from(node)
    if (interface.type, interface.source) != (current.type, current.source):
        node.set("type", interface.type)
        for source in node.findall("source"):
            node.remove(source)
        if interface.source:
            node.append(_xml.element("source", {interface.type: interface.source}))
    if interface.mac and interface.mac.lower() == (current.mac or "").lower():
        interface = replace(interface, mac=None)
    _xml.write_fields(INTERFACE_FIELDS, node, vars(interface))


def _refuse_relabelling(element: _xml.Element) -> None:
    """Keep libvirt from opening gluster images to chown them, which costs 10 s a start and loses 36:36 at the stop.

    Only a label of the whole domain lasts: one inside a network source is parsed and never written back.
    """
    if not _disk.is_relabelled(element):
        return
    for label in element.findall("seclabel"):
        if label.get("model") == "dac":
            element.remove(label)
    element.append(_xml.element("seclabel", {"type": "none", "model": "dac"}))


def parse_memory_kib(value: str | int) -> int:
    """Memory as users write it, in KiB: `2GiB`, `512M`, `524288KiB`; a bare number is MiB, as in virt-install."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT])?(?:i?B)?\s*", str(value), re.IGNORECASE)
    if match is None:
        raise ValueError(f"memory {value!r} is not a size; write 2GiB, 512MiB or a number of MiB")
    kib = float(match[1]) * 1024.0 ** "KMGT".index((match[2] or "M").upper())
    if kib < 1:
        raise ValueError(f"memory {value!r} is too small; write 512MiB or more")
    return round(kib)


def masked(element: _xml.Element) -> _xml.Element:
    """A copy with the passwords of graphics and of TLS secrets hidden, for people's eyes."""
    copy = _xml.clone(element)
    for node in copy.iter("graphics"):
        if node.get("passwd") is not None:
            node.set("passwd", "********")
    return copy


def facts(configured: _xml.Element | None, live: _xml.Element | None) -> dict[str, t.Any]:
    """Disks, interfaces and what a restart would bring, as modules return them."""
    domain = Domain("") if configured is None else from_element(configured)
    pending = [] if live is None or configured is None else pending_fields(live, configured)
    return {
        "disks": [disk_facts(disk) for disk in domain.disks or ()],
        "interfaces": [vars(interface) for interface in domain.interfaces or ()],
        "restart_required": [f"{field.removesuffix('_kib')}: takes effect at the next start" for field in pending],
    }


def disk_facts(disk: Disk) -> dict[str, t.Any]:
    """A disk as modules return it."""
    source = disk.source
    uris = list(source.uris)
    return {
        "target": disk.target,
        "source": source.name or source.file or source.dev,
        "uri": uris[0] if uris else None,
        "uris": uris,
        "format": disk.format,
        "serial": disk.serial,
    }
