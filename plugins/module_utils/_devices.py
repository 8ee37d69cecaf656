# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The devices of a domain besides its disks: interfaces, displays, and those that it has once. Pure: no I/O.

Source: libvirt formatdomain, "Devices". What `define` adds was seen on libvirt 9.0 and 11.3.
"""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.gfapi.virt.plugins.module_utils import _xml

AGENT_CHANNEL: t.Final = "org.qemu.guest_agent.0"


@dataclass(frozen=True)
class Interface:
    """A network interface. `source` is the name of the network, the bridge or the host's device; none for type user.

    `mode` is that of a `direct` one: bridge, vepa, private or passthrough.
    """

    type: str
    source: str | None = None
    mac: str | None = None
    model: str | None = None
    mode: str | None = None
    queues: int | None = None
    boot_order: int | None = None


INTERFACE_FIELDS: t.Final = (
    _xml.Field("mac", "mac/@address"),
    _xml.Field("model", "model/@type"),
    _xml.Field("mode", "source/@mode"),
    _xml.Field("queues", "driver/@queues", kind=int),
    _xml.Field("boot_order", "boot/@order", kind=int),
)
#: the attribute of `<source>` that names where an interface leads, where it is not called like the type
SOURCE_ATTRIBUTES: t.Final = {"direct": "dev"}


@dataclass(frozen=True)
class Graphics:
    """A display: `vnc` or `spice`. Port 0 is one that libvirt chooses at each start; an empty password is none."""

    type: str
    listen: str | None = None
    port: int | None = None
    password: str | None = field(default=None, repr=False)


def interface_from(element: _xml.Element) -> Interface:
    """The model of an `<interface>`."""
    kind = element.get("type", "")
    source = element.find("source")
    return Interface(
        type=kind,
        source=None if source is None else source.get(SOURCE_ATTRIBUTES.get(kind, kind)),
        **_xml.read_fields(INTERFACE_FIELDS, element),
    )


def interfaces_from(domain: _xml.Element) -> tuple[Interface, ...]:
    """The interfaces of a `<domain>`."""
    return tuple(interface_from(node) for node in domain.iterfind("devices/interface"))


def write_interfaces(domain: _xml.Element, interfaces: t.Sequence[Interface]) -> None:
    """The domain's interfaces become these, matched by MAC address, else by where they lead, else by position."""
    devices = _xml.child(domain, "devices")
    present = {(interface_from(node).mac or "").lower(): node for node in devices.findall("interface")}
    wanted = {(interface.mac or "").lower() for interface in interfaces}
    # an interface that is asked for by its address is nobody else's
    free = [node for node in devices.findall("interface") if (interface_from(node).mac or "").lower() not in wanted]
    for index, interface in enumerate(interfaces):
        node = present.get(interface.mac.lower()) if interface.mac else None
        if node is None and free:
            alike = [other for other in free if _leads_alike(interface_from(other), interface)]
            node = (alike or free)[0]
            free.remove(node)
        if node is None:
            node = _xml.element("interface", {"type": interface.type})
            devices.append(node)
            mac = interface.mac or _free_mac(domain.findtext("name", ""), index, {*present, *wanted})
            interface = replace(interface, mac=mac, model=interface.model or "virtio")
        _write_interface(node, interface)
        model = interface_from(node).model
        if interface.queues and model != "virtio":
            raise ValueError(
                f"domain {domain.findtext('name')}: an interface of model {model} has no queues; write model: virtio"
            )
    for node in free:
        devices.remove(node)


def _leads_alike(left: Interface, right: Interface) -> bool:
    return (left.type, left.source) == (right.type, right.source)


def stable_mac(domain_name: str, index: int) -> str:
    """A MAC address that a domain's interface keeps when it is made again, in QEMU's range 52:54:00."""
    digest = hashlib.sha256(f"{domain_name}/{index}".encode()).hexdigest()
    return "52:54:00:" + ":".join(digest[position : position + 2] for position in (0, 2, 4))


def _free_mac(domain_name: str, index: int, taken: t.Container[str]) -> str:
    while stable_mac(domain_name, index) in taken:
        index += 1
    return stable_mac(domain_name, index)


def _write_interface(node: _xml.Element, interface: Interface) -> None:
    current = interface_from(node)
    if interface.type != current.type:
        node.set("type", interface.type)
        for source in node.findall("source"):
            node.remove(source)
    if interface.source and (interface.type, interface.source) != (current.type, current.source):
        name = SOURCE_ATTRIBUTES.get(interface.type, interface.type)
        _xml.child(node, "source").set(name, _xml.require_printable(interface.source))
    if interface.mac and interface.mac.lower() == (current.mac or "").lower():
        interface = replace(interface, mac=None)
    _xml.write_fields(INTERFACE_FIELDS, node, vars(interface))


def graphics_from(domain: _xml.Element) -> tuple[Graphics, ...]:
    """The displays of a `<domain>`, with their passwords where libvirt was asked for them."""
    return tuple(_graphics(node) for node in domain.iterfind("devices/graphics"))


def _graphics(node: _xml.Element) -> Graphics:
    address = node.find("listen[@type='address']")
    listen = node.get("listen") or (None if address is None else address.get("address"))
    is_chosen = node.get("autoport") == "yes" or node.get("port", "-1") == "-1"
    return Graphics(node.get("type", ""), listen, 0 if is_chosen else int(node.get("port", "0")), node.get("passwd"))


def write_graphics(domain: _xml.Element, wanted: t.Sequence[Graphics]) -> None:
    """The domain's displays become these, matched by type. A domain's first display brings a video card with it."""
    devices = _xml.child(domain, "devices")
    free = devices.findall("graphics")
    for one in wanted:
        node = next((node for node in free if node.get("type") == one.type), None)
        if node is None:
            node = _xml.element("graphics", {"type": one.type, "port": "-1", "autoport": "yes"})
            _with_video(devices)
            devices.append(node)
        else:
            free.remove(node)
        _write_graphics(node, one)
    for node in free:
        devices.remove(node)


def _with_video(devices: _xml.Element) -> None:
    if devices.find("video") is None:
        # libvirt 9.0 would take cirrus, which no firmware of today drives
        devices.append(_xml.element("video", None, _xml.element("model", {"type": "vga"})))


def _write_graphics(node: _xml.Element, wanted: Graphics) -> None:
    current = _graphics(node)
    moves, has_other_port = wanted.listen not in (None, current.listen), wanted.port not in (None, current.port)
    if moves or has_other_port:
        # with a socket, or nothing to listen on, there is neither address nor port
        node.attrib.pop("socket", "")
        for listen in node.findall("listen"):
            if moves or listen.get("type") in ("socket", "none"):
                node.remove(listen)
        if node.get("port") is None:
            node.set("port", "-1")
            node.set("autoport", "yes")
    if moves:
        node.set("listen", _xml.require_printable(wanted.listen or ""))
        node.append(_xml.element("listen", {"type": "address", "address": wanted.listen}))
    if has_other_port:
        node.set("autoport", "no" if wanted.port else "yes")
        node.set("port", str(wanted.port or -1))
    if wanted.password is not None and wanted.password != (current.password or ""):
        # an empty attribute would be a password that nobody can give
        node.attrib.pop("passwd", "")
        if wanted.password:
            node.set("passwd", _xml.require_printable(wanted.password))


@dataclass(frozen=True)
class Single:
    """A device that a domain has once, or not at all, which the value `none` says."""

    name: str
    tag: str
    none: t.Any
    value: t.Callable[[_xml.Element], t.Any]
    make: t.Callable[[t.Any], _xml.Element]

    def nodes(self, domain: _xml.Element) -> list[_xml.Element]:
        """The elements of a `<domain>` that are this device."""
        return [node for node in domain.iterfind(f"devices/{self.tag}") if self.value(node) is not None]

    def read(self, domain: _xml.Element) -> t.Any:
        """What a `<domain>` has of it."""
        return next((self.value(node) for node in self.nodes(domain)), self.none)

    def write(self, domain: _xml.Element, wanted: t.Any) -> None:
        """Have it, not have it, or have another; `None` leaves what is there."""
        if wanted is None or wanted == self.read(domain):
            return
        devices = _xml.child(domain, "devices")
        made = None if wanted == self.none else self.make(wanted)
        for node in self.nodes(domain):
            if made is not None and made.getparent() is None:
                devices.replace(node, made)
            else:
                devices.remove(node)
        if made is not None and made.getparent() is None:
            devices.append(made)


def _agent(node: _xml.Element) -> bool | None:
    target = node.find("target")
    return True if target is not None and target.get("name") == AGENT_CHANNEL else None


def _channel(_value: object) -> _xml.Element:
    return _xml.element("channel", {"type": "unix"}, _xml.element("target", {"type": "virtio", "name": AGENT_CHANNEL}))


def _rng(_value: object) -> _xml.Element:
    return _xml.element("rng", {"model": "virtio"}, _xml.element("backend", {"model": "random"}, text="/dev/urandom"))


def _tpm(version: str) -> _xml.Element:
    # the older kind knows no CRB interface
    model = "tpm-tis" if version == "1.2" else "tpm-crb"
    return _xml.element("tpm", {"model": model}, _xml.element("backend", {"type": "emulator", "version": version}))


def _tpm_version(node: _xml.Element) -> str:
    backend = node.find("backend")
    kind = "" if backend is None else backend.get("type", "")
    return kind if backend is None or kind != "emulator" else backend.get("version", "2.0")


RNG: t.Final = Single("rng", "rng", False, lambda _node: True, _rng)
GUEST_AGENT: t.Final = Single("guest_agent", "channel", False, _agent, _channel)
TPM: t.Final = Single("tpm", "tpm", "none", _tpm_version, _tpm)
#: a domain without the element gets one of model virtio
BALLOON: t.Final = Single(
    "balloon",
    "memballoon",
    True,
    lambda node: node.get("model") != "none",
    lambda _value: _xml.element("memballoon", {"model": "none"}),
)
SINGLES: t.Final = (RNG, GUEST_AGENT, TPM, BALLOON)


def watchdog_from(domain: _xml.Element) -> str:
    """What the watchdog of a `<domain>` does, or `none`."""
    own, fixed = _watchdogs(domain)
    return next((node.get("action", "reset") for node in (*own, *fixed)), "none")


def _watchdogs(domain: _xml.Element) -> tuple[list[_xml.Element], list[_xml.Element]]:
    """Those that somebody put there, and the one that libvirt 11.3 adds to a q35 machine, which nobody can take out."""
    nodes = domain.findall("devices/watchdog")
    fixed = [node for node in nodes if node.get("model") == "itco"]
    return [node for node in nodes if node not in fixed], fixed


def write_watchdog(domain: _xml.Element, action: str | None) -> None:
    """Have the watchdog do this; `none` takes out what can be taken out, and makes the other idle."""
    if action is None or action == watchdog_from(domain):
        return
    own, fixed = _watchdogs(domain)
    devices = _xml.child(domain, "devices")
    if action == "none":
        for node in own:
            devices.remove(node)
        own = []
    # libvirt 11.3 refuses two that do different things
    for node in (*own, *fixed):
        node.set("action", action)
    if action != "none" and not own and not fixed:
        devices.append(_xml.element("watchdog", {"model": "i6300esb", "action": action}))
