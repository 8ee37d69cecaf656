# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk of a domain: libvirt's `<disk>`, QEMU's blockdev, and the source that both name. Pure: no I/O.

Sources: libvirt formatdomain, "Hard drives, floppy disks, CDROMs"; QEMU's QAPI BlockdevOptionsGluster. What
`define` does to a disk was seen on libvirt 9.0: transport='tcp' goes, a missing port becomes 24007.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _uri, _xml

#: cdrom and floppy reach their medium through the mount: libvirt takes no gluster source there without pain
DISK_DEVICES: t.Final = ("disk", "lun")
BUS_OF_PREFIX: t.Final = {"vd": "virtio", "sd": "scsi", "hd": "ide", "xvd": "xen", "fd": "fdc", "ubd": "uml"}


class Host(t.NamedTuple):
    """One server of a network source; for transport unix only the socket counts."""

    name: str | None = None
    port: int | None = _uri.DEFAULT_PORT
    transport: str = "tcp"
    socket: str | None = None


HOST_FIELDS: t.Final = (
    _xml.Field("name", "@name"),
    _xml.Field("port", "@port", kind=int, absent=_uri.DEFAULT_PORT),
    _xml.Field("transport", "@transport", absent="tcp"),
    _xml.Field("socket", "@socket"),
)


def _host_from(element: _xml.Element) -> Host:
    host = Host(**_xml.read_fields(HOST_FIELDS, element))
    return host._replace(port=None if host.transport == "unix" else host.port or _uri.DEFAULT_PORT)


@dataclass(frozen=True)
class DiskSource:
    """Where the bytes are: a `file`, a block device `dev`, or a network `protocol` with `name` and `hosts`.

    All `None` is an empty drive, or a kind of source that we do not model.
    """

    file: str | None = None
    dev: str | None = None
    protocol: str | None = None
    name: str | None = None
    hosts: tuple[Host, ...] = ()

    @classmethod
    def gluster(cls, volume: str, path: str, servers: t.Sequence[str]) -> DiskSource:
        """An image on a volume through all of its servers over tcp, the volfile server first."""
        if not servers:
            raise ValueError(f"image {path!r} on volume {volume!r}: a gluster disk needs at least one server")
        hosts = tuple(dict.fromkeys(Host(_uri.parse_host(server)) for server in servers))
        return cls._checked(volume, path, hosts)

    @classmethod
    def from_uri(cls, uri: _uri.GlusterURI) -> DiskSource:
        """The source that a URI names. Raises `ValueError` for rdma, which QEMU dropped in 9.1."""
        if uri.transport == "rdma":
            raise ValueError(f"{uri}: transport rdma cannot be used for a disk (QEMU dropped it in 9.1); use tcp")
        host = Host(uri.host, uri.port, uri.transport, uri.socket)
        return cls._checked(uri.volume, uri.path, (host,))

    @classmethod
    def _checked(cls, volume: str, path: str, hosts: tuple[Host, ...]) -> DiskSource:
        _uri.require_volume_name(volume)
        if not path or path.startswith("/") or path.endswith("/"):
            raise ValueError(f"image path {path!r} must name a file, relative to the volume's root")
        if any(step in ("", ".", "..") for step in path.split("/")):
            # two spellings of one image would be two images for whoever asks who uses it
            raise ValueError(f"image path {path!r} has a step that is empty, '.' or '..'; write it without")
        for text in (path, *(host.socket or "" for host in hosts)):
            if any(ord(character) < 32 for character in _xml.require_printable(text)):
                # seen on 9.0: libvirt prints it raw, so the XML that it gives back names another file
                raise ValueError(f"{text!r} holds a line end, a tab or the like, which libvirt turns into a blank")
        return cls(protocol="gluster", name=f"{volume}/{path}", hosts=hosts)

    @property
    def is_gluster(self) -> bool:
        return self.protocol == "gluster"

    @property
    def type(self) -> str | None:
        """libvirt's word for the kind of source; `None` where we do not model it."""
        return "network" if self.protocol else "file" if self.file else "block" if self.dev else None

    @property
    def volume_and_path(self) -> tuple[str, str]:
        """The volume and the image's path in it: libvirt's name, split at its first slash."""
        volume, _slash, path = (self.name or "").partition("/")
        return volume, path.lstrip("/")

    @property
    def uris(self) -> tuple[str, ...]:
        """One URI a server; none for anything but gluster, and for what others defined and no URI can say."""
        if not self.is_gluster:
            return ()
        volume, path = self.volume_and_path
        try:
            return tuple(str(_uri.GlusterURI(volume, path, h.transport, h.name, h.port, h.socket)) for h in self.hosts)
        except ValueError:
            return ()


SOURCE_FIELDS: t.Final = (
    _xml.Field("file", "@file"),
    _xml.Field("dev", "@dev"),
    _xml.Field("protocol", "@protocol"),
    _xml.Field("name", "@name"),
)


def source_from(element: _xml.Element | None) -> DiskSource:
    """The source in a `<source>`; an empty one for `None`."""
    if element is None:
        return DiskSource()
    hosts = tuple(_host_from(host) for host in element.findall("host"))
    return DiskSource(**_xml.read_fields(SOURCE_FIELDS, element), hosts=hosts)


def source_element(source: DiskSource) -> _xml.Element:
    """A new `<source>`."""
    element = _xml.element("source")
    _xml.write_fields(SOURCE_FIELDS, element, vars(source))
    for host in source.hosts:
        child = _xml.element("host")
        # the port is spelled out, as libvirt prints it: QEMU's JSON form insists on one
        _xml.write_fields(HOST_FIELDS, child, host._replace(port=None)._asdict())
        if host.port:
            child.set("port", str(host.port))
        element.append(child)
    return element


class Layer(t.NamedTuple):
    """One backing image below the active one."""

    source: DiskSource
    format: str


class ImageSource(t.NamedTuple):
    """An image as a disk needs it; `path` is that of its file on the mount."""

    source: DiskSource
    path: str
    format: str
    image_uuid: str
    backing: tuple[Layer, ...]


@dataclass(frozen=True)
class Disk:
    """The part of a `<disk>` that we manage; the rest of the element stays as it is.

    Writing leaves what is `None` here as it stands in the element; `False` and empty text take a node out.
    `backing` is the whole chain below the image, nearest first: empty says that there is none, and `None` that libvirt
    must open the image to find out, which costs 10 s on gluster.
    """

    source: DiskSource
    target: str
    format: str = "raw"
    bus: str | None = None
    device: str = "disk"
    cache: str | None = None
    io: str | None = None
    discard: str | None = None
    error_policy: str | None = None
    serial: str | None = None
    boot_order: int | None = None
    readonly: bool | None = None
    shareable: bool | None = None
    queues: int | None = None
    iothread: int | None = None
    #: libvirt's names of limits → bytes, or operations, a second; none in an empty one
    iotune: tuple[tuple[str, int], ...] | None = None
    backing: tuple[Layer, ...] | None = None


FIELDS: t.Final = (
    _xml.Field("device", "@device", absent="disk", explicit=True),
    _xml.Field("format", "driver/@type", absent="raw", explicit=True),
    _xml.Field("cache", "driver/@cache"),
    _xml.Field("error_policy", "driver/@error_policy"),
    _xml.Field("io", "driver/@io"),
    _xml.Field("discard", "driver/@discard"),
    _xml.Field("target", "target/@dev"),
    _xml.Field("bus", "target/@bus"),
    _xml.Field("serial", "serial"),
    _xml.Field("boot_order", "boot/@order", kind=int),
    _xml.Field("readonly", "readonly", flag=True),
    _xml.Field("shareable", "shareable", flag=True),
    _xml.Field("queues", "driver/@queues", kind=int),
    _xml.Field("iothread", "driver/@iothread", kind=int),
)


def from_element(element: _xml.Element) -> Disk:
    """The model of a `<disk>`."""
    values = _xml.read_fields(FIELDS, element)
    values["target"] = values["target"] or ""
    values["bus"] = values["bus"] or bus_of(values["target"])
    if values["cache"] == "default":
        values["cache"] = None
    backing = _backing_from(element.find("backingStore"))
    return Disk(
        source=source_from(element.find("source")),
        backing=backing,
        iotune=_iotune_from(element.find("iotune")),
        **values,
    )


def write_into(element: _xml.Element, disk: Disk) -> None:
    """Change a `<disk>` to agree with the model, at the fields that differ only."""
    current = from_element(element)
    if all(value in (None, getattr(current, name)) for name, value in vars(disk).items()):
        return
    if element.find("driver") is None:
        element.insert(0, _xml.element("driver", {"name": "qemu"}))
    bus = disk.bus or bus_of(disk.target)
    if bus != current.bus:
        # an address belongs to a bus; libvirt gives a new one
        for address in element.findall("address"):
            element.remove(address)
    _xml.write_fields(FIELDS, element, {**vars(disk), "bus": bus})
    if disk.iotune is not None and disk.iotune != (current.iotune or ()):
        _write_iotune(element, disk.iotune or ())
    if disk.source != current.source:
        _write_source(element, disk.source)
    if disk.backing is not None and disk.backing != current.backing:
        _replace_child(element, "backingStore", _backing_element(disk.backing))


def to_element(disk: Disk) -> _xml.Element:
    """A new `<disk>`, its children in the order of libvirt's own output."""
    element = _xml.element("disk", {"type": disk.source.type or "file", "device": disk.device})
    element.extend(
        (
            _xml.element("driver", {"name": "qemu", "type": disk.format}),
            *([source_element(disk.source)] if disk.source.type else []),
            *([] if disk.backing is None else [_backing_element(disk.backing)]),
        )
    )
    write_into(element, disk)
    return element


def gluster_disk(
    source: DiskSource,
    image_format: str,
    *,
    target: str,
    bus: str | None = None,
    serial: str | None = None,
    backing: tuple[Layer, ...] = (),
    cache: str = "none",
    discard: str = "unmap",
) -> Disk:
    """A gfapi disk as it ought to be.

    The spelled-out chain spares libvirt 10 s at every start; cache=none keeps two hosts from disagreeing after a
    migration; the VM pauses on storage errors instead of telling its guest.
    """
    return Disk(
        source=source,
        target=target,
        format=image_format,
        bus=bus or bus_of(target),
        cache=cache,
        discard=discard,
        error_policy="stop",
        serial=serial,
        backing=backing,
    )


def _replace_child(element: _xml.Element, tag: str, new: _xml.Element) -> None:
    old = element.find(tag)
    if old is None:
        element.append(new)
    else:
        element.replace(old, new)


def _iotune_from(element: _xml.Element | None) -> tuple[tuple[str, int], ...] | None:
    if element is None:
        return None
    limits = [(node.tag, (node.text or "").strip()) for node in element.iterchildren("*")]
    return tuple(sorted((name, int(text)) for name, text in limits if text.isdigit() and int(text))) or None


def _write_iotune(element: _xml.Element, limits: t.Sequence[tuple[str, int]]) -> None:
    iotune = element.find("iotune")
    if iotune is None:
        iotune = _xml.element("iotune")
        element.append(iotune)
    for node in list(iotune):
        # the rest is the name of a group
        if (node.text or "").strip().isdigit():
            iotune.remove(node)
    iotune.extend([_xml.element(name, text=str(number)) for name, number in limits])
    if not limits:
        element.remove(iotune)


def _write_source(element: _xml.Element, source: DiskSource) -> None:
    """Another source, or none, as of an empty CD-ROM drive.

    What stands in a source of the same kind stays; of another kind only the key that the image is encrypted with.
    """
    old = element.find("source")
    current = source_from(old)
    if not source.type:
        for node in element.findall("source"):
            element.remove(node)
        return
    element.set("type", source.type)
    new = source_element(source)
    if old is None or (source.type, source.protocol) != (current.type, current.protocol):
        new.extend([] if old is None else old.findall("encryption"))
        _replace_child(element, "source", new)
        return
    for host in old.findall("host"):
        old.remove(host)
    old[:0] = list(new)
    old.attrib.update(new.attrib)


def _backing_from(element: _xml.Element | None) -> tuple[Layer, ...] | None:
    if element is None:
        return None
    layers: list[Layer] = []
    node: _xml.Element | None = element
    while node is not None and node.find("source") is not None:
        found = node.find("format")
        layers.append(Layer(source_from(node.find("source")), "raw" if found is None else found.get("type", "raw")))
        node = node.find("backingStore")
    return tuple(layers)


def _backing_element(layers: t.Sequence[Layer]) -> _xml.Element:
    if not layers:
        return _xml.element("backingStore")
    first = layers[0]
    return _xml.element(
        "backingStore",
        {"type": first.source.type},
        _xml.element("format", {"type": first.format}),
        source_element(first.source),
        _backing_element(layers[1:]),
    )


def alias_of(element: _xml.Element) -> str:
    """libvirt's name for a running domain's `<disk>`, which QEMU's device carries too."""
    alias = element.find("alias")
    return "" if alias is None else alias.get("name", "")


def bus_of(target: str) -> str | None:
    """The bus that libvirt takes for a target name when none is given."""
    return next((bus for prefix, bus in BUS_OF_PREFIX.items() if target.startswith(prefix)), None)


def prefix_of(bus: str | None) -> str:
    """How the targets of a bus begin."""
    return next((prefix for prefix, name in BUS_OF_PREFIX.items() if name == bus), "sd" if bus else "vd")


def is_relabelled(domain: _xml.Element) -> bool:
    """Whether libvirt gives the images of a `<domain>` to QEMU's user at its start, and to root at its end."""
    labels = [label for label in domain.findall("seclabel") if label.get("model") == "dac"]
    return not any(label.get("type") == "none" or label.get("relabel") == "no" for label in labels)


def target_name(prefix: str, index: int) -> str:
    """The target for a position: `vd`, 0 → `vda`; 25 → `vdz`; 26 → `vdaa`."""
    letters = ""
    position = index + 1
    while position:
        position, letter = divmod(position - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return prefix + letters


def target_index(target: str, prefix: str) -> int:
    """The position that a target name stands for; the inverse of `target_name`."""
    position = 0
    for letter in target[len(prefix) :]:
        position = position * 26 + ord(letter) - ord("a") + 1
    return position - 1


def free_target(taken: t.Container[str], prefix: str = "vd") -> str:
    """The first target with the prefix that is not taken."""
    index = 0
    while target_name(prefix, index) in taken:
        index += 1
    return target_name(prefix, index)


def to_blockdevs(layers: t.Sequence[Layer]) -> list[dict[str, t.Any]]:
    """QEMU's `blockdev-add` arguments for the layers of an image, the leaf first: base last, and first to be added.

    Each but the leaf has the name of its node, and what builds on it names that. QEMU 7.2 takes the lower layers of a
    gluster image by name only, neither within the arguments nor by the relative name in the image.
    """
    nodes = []
    for number, layer in enumerate(layers):
        node = to_blockdev(layer.source, layer.format)
        name = {"node-name": f"layer{number}"} if number else {}
        below = {"backing": f"layer{number + 1}"} if number + 1 < len(layers) else {}
        nodes.append({**name, **node, **below})
    return nodes


def to_blockdev(source: DiskSource, image_format: str) -> dict[str, t.Any]:
    """QEMU's `blockdev-add` arguments for an image that stands alone, all servers included."""
    volume, path = source.volume_and_path
    server = [
        {"type": "unix", "path": host.socket}
        if host.transport == "unix"
        else {"type": "inet", "host": host.name, "port": str(host.port)}
        for host in source.hosts
    ]
    protocol = {"driver": "gluster", "volume": volume, "path": path, "server": server}
    return {"driver": image_format, "file": protocol}
