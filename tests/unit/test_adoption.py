# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domains that others made are taken over as they are, and edited without losing a line.

fixtures/libvirt/domains holds what libvirt 9.0 and 11.3 said of domains of every kind. The gate edits some fields of
each of them; `pytest --hypothesis-profile=search` edits all.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t
from dataclasses import replace

import pytest
from hypothesis import settings
from lxml import etree

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _domain, _vm_items, _vm_params, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._disk import Disk, DiskSource, Host, Layer
from ansible_collections.gfapi.virt.plugins.module_utils._domain import Domain
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord
from ansible_collections.gfapi.virt.plugins.module_utils._image_paths import ImagePaths
from ansible_collections.gfapi.virt.plugins.module_utils._image_source import Servers
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Item
from ansible_collections.gfapi.virt.plugins.module_utils._storage import Storage
from ansible_collections.gfapi.virt.plugins.module_utils._vm_uses import VmUses
from ansible_collections.gfapi.virt.plugins.modules.libvirt_vm import VM_SPEC
from ansible_collections.gfapi.virt.tests.unit.fake_daemons import FakeLibvirt
from ansible_collections.gfapi.virt.tests.unit.recorded import FIXTURES

GLUSTER: t.Final = DiskSource.gluster("other", "image", ["gl8", "gl9"])
FOLDER: t.Final = FIXTURES / "libvirt" / "domains"
NAMES: t.Final = sorted(path.stem for path in FOLDER.glob("*.xml"))
NEXT: t.Final = [name for name in NAMES if re.search(r"_next_[0-9.]+$", name)]


@functools.cache
def recorded(name: str) -> str:
    return (FOLDER / f"{name}.xml").read_text("utf-8")


def domain_of(name: str) -> _xml.Element:
    return _xml.parse(recorded(name))


# --- taken over -----------------------------------------------------------------------------------------------------


def item_for(element: _xml.Element, domain: Domain, libvirt: FakeLibvirt, live: _xml.Element | None = None) -> Item:
    """The plan for a domain of this XML that is to be like that."""
    record = DomainRecord(
        element.findtext("name", ""),
        element.findtext("uuid", ""),
        "shut_off" if live is None else "running",
        element,
        live,
        False,
    )
    libvirt.records[record.name] = record
    edges: t.Any = (libvirt, VmUses(Storage(), t.cast("t.Any", libvirt)))
    desired = replace(desired_from({"name": record.name}), domain=domain)
    hypervisors = _vm_items.Hypervisors(Storage(), ImagePaths(Servers()))
    running = _vm_items.RunningImages(edges[0])
    return _vm_items.item_on(edges[0], desired, running, edges[1], edges[0].seeds, hypervisors).item


def carried_out(item: Item) -> list[str]:
    """What the plan says, once it is carried out."""
    for action in item.plan.actions:
        action.run()
    return item.plan.summaries


def on_purpose(element: _xml.Element) -> list[str]:
    """The one thing that is changed unasked: libvirt is kept from giving gluster images to another owner."""
    relabelled = _domain.from_element(element).has_gluster_disk and _disk.is_relabelled(element)
    return [f"change relabelling of domain {element.findtext('name')}"] if relabelled else []


def as_users_write(domain: Domain) -> Domain:
    """The same with what users leave out: targets of disks, addresses of interfaces, the version of a machine."""
    machine = next((a for a, of in _domain.MACHINE_ALIASES.items() if str(domain.machine).startswith(of)), None)
    return replace(
        domain,
        uuid=None,
        machine=machine or domain.machine,
        interfaces=tuple(replace(nic, mac=None) for nic in domain.interfaces or ()),
    )


def parameters_of(element: _xml.Element) -> dict[str, t.Any]:
    """The parameters of libvirt_vm that say what a domain of this XML is, as far as they can."""
    model = vars(_domain.from_element(element))
    words = {"memory": "memory_kib", "memory_max": "memory_max_kib", "cpu_topology": "topology", "virt_type": "type"}
    found: dict[str, t.Any] = {}
    for key, rules in VM_SPEC.items():
        value = model.get(words.get(key, key))
        if value is not None and (value in rules.get("choices", (value,)) or isinstance(value, tuple)):
            found[key] = value
    # disks are asked for as ours are, with cache and all
    del found["disks"]
    for key in ("interfaces", "graphics"):
        rules = VM_SPEC[key]["options"]
        if all(one.type in rules["type"]["choices"] for one in found[key]):
            found[key] = [{name: getattr(one, name) for name in rules} for one in found[key]]
        else:
            del found[key]
    found.update({key: f"{found[key]}KiB" for key in ("memory", "memory_max") if key in found})
    if "cpu_topology" in found:
        found["cpu_topology"] = dict(zip(("sockets", "cores", "threads"), found["cpu_topology"], strict=True))
    if found.get("cpu_mode") != "custom":
        found.pop("cpu_model", None)
    return found


def desired_from(params: t.Mapping[str, t.Any]) -> _vm_params.Desired:
    defaults = {name: rules.get("default") for name, rules in VM_SPEC.items()}
    return _vm_params.desired_from({**defaults, **params}, t.cast("t.Any", None), None)


def asked_for(element: _xml.Element) -> tuple[Domain, ...]:
    """A domain of this XML, as people ask for it who want it as it is."""
    model = _domain.from_element(element)
    return Domain(model.name), model, as_users_write(model), desired_from(parameters_of(element)).domain


@pytest.mark.parametrize("name", NAMES)
def test_domain_is_taken_over_as_it_is(name: str) -> None:
    element = domain_of(name)
    for desired in asked_for(element):
        libvirt = FakeLibvirt()
        assert carried_out(item_for(element, desired, libvirt)) == on_purpose(element)
        assert carried_out(item_for(libvirt.records[desired.name].inactive, desired, libvirt)) == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_touched_where_nothing_differs(name: str) -> None:
    element = domain_of(name)
    for desired in asked_for(element):
        kept = lines(_domain.edited(element, desired))
        if on_purpose(element):
            kept = [line for line in kept if not line.path.startswith("seclabel")]
        assert kept == [line for line in lines(element) if not line.path.startswith("seclabel") or line in kept]


@pytest.mark.parametrize("name", NEXT)
def test_running_domain_is_taken_over_without_a_restart(name: str) -> None:
    element = domain_of(name)
    for desired in asked_for(element):
        item = item_for(element, desired, FakeLibvirt(), domain_of(name.replace("_next_", "_")))
        assert item.predicted["restart_required"] == []
        assert carried_out(item) == on_purpose(element)


# --- lines ----------------------------------------------------------------------------------------------------------


class Line(t.NamedTuple):
    """An element, an attribute (`memory@unit`), a text, or a comment."""

    path: str
    value: str | None


MARK: t.Final = "mark"


def lines(element: _xml.Element, path: str = "") -> list[Line]:
    """Everything that an element holds, in order. A marked element is told from others of its name."""
    found = [Line(path, None)] if path else []
    for name, value in sorted(element.attrib.items()):
        if name != MARK:
            found.append(Line(f"{path}@{name}", value))
    if element.text and element.text.strip():
        found.append(Line(path, element.text.strip()))
    for node in element:
        if isinstance(node.tag, str):
            mark = f"[{node.get(MARK, 'new')}]" if path == "devices" else ""
            found += lines(node, f"{path}/{node.tag}{mark}".lstrip("/"))
        else:
            found.append(Line(f"{path}#", node.text))
        if node.tail and node.tail.strip():
            found.append(Line(f"{path}#", node.tail.strip()))
    return found


# --- edited ---------------------------------------------------------------------------------------------------------


def without(found: t.Sequence[Line], owned: re.Pattern[str]) -> list[Line]:
    """The lines that are not owned; elements that hold owned ones and nothing else go too."""
    kept = [line for line in found if not owned.fullmatch(line.path)]
    holders = {
        line.path[:end]
        for line in found
        if owned.fullmatch(line.path)
        for end in (match.start() for match in re.finditer("[/@#]", line.path))
    }

    def is_empty(path: str) -> bool:
        return not any(line.path != path and re.match(re.escape(path) + "[/@#]", line.path) for line in kept)

    return [line for line in kept if line.value is not None or line.path not in holders or not is_empty(line.path)]


def marked(element: _xml.Element) -> _xml.Element:
    """A copy in which each device is told from the others, and with a comment wherever there can be one."""
    copy = _xml.clone(element)
    for number, node in enumerate(copy.findall("devices/*")):
        node.set(MARK, str(number))
    for node in list(copy.iter("*")):
        if len(node):
            node.insert(0, etree.Comment(f"about {node.tag}"))
    return copy


@dataclasses.dataclass(frozen=True)
class Case:
    """Values for a field, of which one that differs is tried, and the pattern of the paths that belong to the field.

    A function makes a value of the item that the field is in. `where` tells the items that can have them.
    """

    values: tuple[t.Any, ...]
    owns: str
    where: t.Callable[[t.Any], bool] = lambda _item: True

    def other(self, item: t.Any, name: str) -> t.Any:
        """The item with another value."""
        made = [value(item) if callable(value) else value for value in self.values]
        return replace(item, **{name: next(value for value in made if value != getattr(item, name))})


#: what makes a domain this one, and its disks, drives and displays those
IDENTITY: t.Final = {"name", "uuid"}
TOLD_BY: t.Final = {"disks": {"target"}, "drives": {"target", "device", "readonly"}, "graphics": {"type"}}
FIRMWARE: t.Final = r"os(@firmware|/(loader|nvram|firmware)([@/#].*)?)"
CPU: t.Final = "cpu(@(mode|match|check|migratable)|/(model|vendor)(@.*)?)"
DOMAIN: t.Final = {
    "type": Case(("kvm", "qemu"), "@type"),
    "title": Case(("other title",), "title"),
    "description": Case(("other\ndescription",), "description"),
    "metadata": Case(((("role", "db"),),), r"metadata/\{urn:gfapi\.virt.*"),
    "memory_kib": Case((65536,), "(memory|currentMemory)(@unit)?"),
    "memory_max_kib": Case((8388608,), "(memory|currentMemory)(@unit)?"),
    "vcpus": Case((1, 3), "vcpu(@current)?|vcpus.*"),
    "vcpus_max": Case((16,), "vcpu(@current)?|vcpus.*"),
    "iothreads": Case((12,), "iothreads"),
    "arch": Case(("i686", "x86_64"), "os/type@arch"),
    "machine": Case(("pc-q35-6.1", "q35", "pc"), "os/type@machine"),
    "firmware": Case(("bios", "uefi"), FIRMWARE),
    "secure_boot": Case((True, False), FIRMWARE),
    "kernel": Case(("/other/kernel",), "os/kernel"),
    "initrd": Case(("/other/initrd",), "os/initrd"),
    "cmdline": Case(("other <command> line",), "os/cmdline"),
    "boot": Case((("hd",), ("network", "hd")), "os/boot(@dev)?"),
    "cpu_mode": Case(("host-passthrough", "maximum"), CPU),
    "cpu_model": Case(("Westmere", "Nehalem"), CPU),
    "topology": Case(((1, 1, 1), (1, 2, 1), (2, 4, 1)), "cpu/topology(@.*)?"),
    "scsi_queues": Case((3,), r"devices/controller\[\d+\]/driver(@queues)?"),
    "serial_log": Case(("/var/log/other.log",), r"devices/serial\[\w+\]/log@file|devices/serial\[new\].*"),
    "rng": Case((True, False), r"devices/rng.*"),
    "guest_agent": Case((True, False), r"devices/channel\[\w+\].*"),
    "tpm": Case(("none", "2.0"), "devices/tpm.*"),
    "watchdog": Case(("poweroff", "none"), "devices/watchdog.*"),
    "balloon": Case((False, True), "devices/memballoon.*"),
}


def elsewhere(item: Disk) -> DiskSource:
    """Another source of the kind that a disk has."""
    old = item.source
    hosts = (Host("other"), *old.hosts) if old.is_gluster else old.hosts
    name = old.name and f"{old.name}-2"
    return replace(old, file=old.file and "/other", dev=old.dev and "/dev/other", name=name, hosts=hosts)


def has_name(item: Disk) -> bool:
    return bool(item.source.file or item.source.dev or item.source.name)


#: paths below the disk
DISK: t.Final = {
    "source": Case((DiskSource(file="/other/image"), GLUSTER), r"@type|source(?!/encryption).*"),
    "source of its kind": Case((elsewhere,), r"source@(file|dev|name)|source/host.*", has_name),
    "format": Case(("raw", "qcow2"), "driver@type"),
    "bus": Case(("virtio", "scsi"), "target@bus|address.*"),
    "device": Case(("lun", "disk"), "@device", lambda disk: disk.source.dev and disk.device == "disk"),
    "cache": Case(("none", "unsafe"), "driver@cache"),
    "io": Case(("threads", "native"), "driver@io"),
    "discard": Case(("unmap", "ignore"), "driver@discard"),
    "error_policy": Case(("stop", "report"), "driver@error_policy"),
    "serial": Case(("other-serial",), "serial"),
    "boot_order": Case(("7", "8"), "boot@order"),
    "readonly": Case((True, False), "readonly"),
    "shareable": Case((True, False), "shareable"),
    "queues": Case((5,), "driver@queues"),
    "iothread": Case((1, 2), "driver@iothread"),
    "iotune": Case(((("total_iops_sec", 77),),), r"iotune/(?!group_name)\w+"),
    "backing": Case(((), (Layer(GLUSTER, "raw"),)), "backingStore.*"),
}
INTERFACE: t.Final = {
    "type": Case(("bridge", "network"), r"@type|source.*", lambda nic: nic.type in ("network", "bridge")),
    "source": Case(("other",), r"source@(network|bridge|dev)", lambda nic: nic.type in ("network", "bridge", "direct")),
    "mac": Case(("52:54:00:99:99:99",), "mac@address"),
    "model": Case(("virtio", "e1000"), "model@type"),
    "mode": Case(("private",), "source@mode", lambda nic: nic.type == "direct"),
    "queues": Case((6,), "driver@queues"),
    "boot_order": Case((9,), "boot@order"),
}
LISTEN: t.Final = "@(listen|port|autoport|socket)|listen.*"
GRAPHICS: t.Final = {
    "listen": Case(("192.0.2.1",), LISTEN, lambda one: one.type in ("vnc", "spice")),
    "port": Case((0, 5999), LISTEN, lambda one: one.type in ("vnc", "spice")),
    "password": Case(("other", ""), "@passwd", lambda one: one.type in ("vnc", "spice")),
}
ITEMS: t.Final = {
    "disks": DISK,
    "drives": {**DISK, "source": Case((DiskSource(file="/other/image"), DiskSource()), DISK["source"].owns)},
    "interfaces": INTERFACE,
    "graphics": GRAPHICS,
}
#: list → the elements of its items
ELEMENTS: t.Final = {
    "disks": "devices/disk[not(@device) or @device='disk' or @device='lun']",
    "drives": "devices/disk[@device='cdrom']",
    "interfaces": "devices/interface",
    "graphics": "devices/graphics",
}
#: one of so many edits is tried
TRIED_OF_EACH: t.Final = 1 if settings().max_examples > 100 else 7


class Edit(t.NamedTuple):
    """One field of a domain, or of one item of a list, that is to have another value."""

    name: str
    desired: Domain
    owns: re.Pattern[str]


def edits(element: _xml.Element) -> t.Iterator[Edit]:
    """An edit of each field of a marked domain, and of its disks, drives, interfaces and displays."""
    model = _domain.from_element(element)
    for name in DOMAIN:
        value = getattr(DOMAIN[name].other(model, name), name)
        yield Edit(name, replace(Domain(model.name), **{name: value}), re.compile(DOMAIN[name].owns))
    for list_name in ITEMS:
        items = getattr(model, list_name) or ()
        for number, (item, node) in enumerate(zip(items, element.xpath(ELEMENTS[list_name]), strict=True)):
            for words, case in ITEMS[list_name].items():
                name = words.partition(" ")[0]
                if name not in vars(item).keys() - TOLD_BY.get(list_name, set()) or not case.where(item):
                    continue
                wanted = (*items[:number], case.other(item, name), *items[number + 1 :])
                # libvirt would bring an older controller along with the first SCSI disk
                owns = rf"devices/\w+\[{node.get(MARK)}\]/?(?:{case.owns})|devices/controller\[new\].*"
                yield Edit(
                    f"{list_name}: {words}", replace(Domain(model.name), **{list_name: wanted}), re.compile(owns)
                )


def lost(before: _xml.Element, after: _xml.Element, owns: re.Pattern[str]) -> list[Line]:
    """The lines on one side only, or in another order, that do not belong to what was edited."""
    left, right = (without(lines(one), owns) for one in (before, after))
    if on_purpose(before):
        left, right = ([line for line in one if not line.path.startswith("seclabel")] for one in (left, right))
    if left == right:
        return []
    return [line for line in (*left, *right) if (line in left) != (line in right)] or left


def edited(element: _xml.Element, desired: Domain) -> _xml.Element | None:
    """The domain as asked for; `None` where that is refused in plain words."""
    try:
        return _domain.edited(element, desired)
    except ValueError as exc:
        if desired.name not in str(exc):
            raise
        return None


@pytest.mark.parametrize("name", NAMES)
def test_edited_domain_loses_nothing(name: str) -> None:
    element = marked(domain_of(name))
    for number, edit in enumerate(edits(element), start=NAMES.index(name)):
        after = edited(element, edit.desired) if number % TRIED_OF_EACH == 0 else None
        if after is not None:
            assert lost(element, after, edit.owns) == [], edit.name
            assert _xml.to_text(_domain.edited(after, edit.desired)) == _xml.to_text(after), edit.name
            is_named = bool(_domain.differing_fields(element, after))
            assert is_named == (_xml.to_text(element) != _xml.to_text(after)), edit.name


def test_every_field_of_the_model_is_edited_somewhere() -> None:
    """A new field needs its line above."""
    assert {field.name for field in dataclasses.fields(Domain)} == {*IDENTITY, *DOMAIN, *ITEMS}
    wanted = {*DOMAIN}
    everything = _domain.from_element(domain_of("with_everything_9.0"))
    for list_name in ITEMS:
        fields = vars(getattr(everything, list_name)[0]).keys() - TOLD_BY.get(list_name, set())
        assert fields <= ITEMS[list_name].keys(), list_name
        wanted |= {f"{list_name}: {name}" for name in fields}
    for name in NAMES:
        element = domain_of(name)
        tried = [one for one in edits(marked(element)) if one.name in wanted]
        wanted -= {one.name for one in tried if edited(element, one.desired) is not None}
        if not wanted:
            break
    assert wanted == set()


def first(list_name: str, **values: t.Any) -> t.Callable[[Domain], dict[str, t.Any]]:
    """The list with other values in its first item."""
    return lambda model: {list_name: (replace(getattr(model, list_name)[0], **values), *getattr(model, list_name)[1:])}


@pytest.mark.parametrize(
    ("name", "asked", "words"),
    [
        ("machine_pc_9.0", {"machine": "q35"}, "on the PCI bus of machine pc-i440fx-7.2, and q35 has another"),
        ("machine_q35_11.3", {"machine": "pc-i440fx-9.2"}, "on the PCI bus of machine pc-q35-10.0"),
        ("machine_pc_9.0", {"secure_boot": True}, "has no UEFI, which secure boot needs"),
        ("cpu_numa_9.0", {"memory_kib": 2097152}, "NUMA cells have 1048576 KiB"),
        ("machine_pc_9.0", first("disks", boot_order=1), r"boots by hd, .*boot: \[\]"),
        ("boot_devices_9.0", {"boot": ("hd",)}, "has a boot order of its devices"),
        ("running_full_next_9.0", first("interfaces", queues=2), "of model e1000e has no queues; write model: virtio"),
    ],
)
def test_what_libvirt_would_refuse_or_forget_is_refused_before(name: str, asked: t.Any, words: str) -> None:
    """Seen on libvirt 9.0 and 11.3."""
    with pytest.raises(ValueError, match=f"domain .*{words}"):
        after_edit(name, asked)


def after_edit(name: str, asked: t.Any) -> _xml.Element:
    element = domain_of(name)
    model = _domain.from_element(element)
    return _domain.edited(element, replace(Domain(model.name), **(asked(model) if callable(asked) else asked)))


def test_number_of_processors_goes_before_the_list_of_them() -> None:
    after = after_edit("vcpus_each_9.0", {"vcpus": 3})
    assert [(node.tag, node.get("current")) for node in after.xpath("vcpu|vcpus")] == [("vcpu", "3")]


def test_every_watchdog_does_what_is_asked() -> None:
    after = after_edit("running_full_next_11.3", {"watchdog": "poweroff"})
    assert [node.get("action") for node in after.findall("devices/watchdog")] == ["poweroff", "poweroff"]
    (idle,) = after_edit("running_full_next_11.3", {"watchdog": "none"}).findall("devices/watchdog")
    assert (idle.get("model"), idle.get("action")) == ("itco", "none")


def test_key_of_an_encrypted_image_goes_along_to_gluster() -> None:
    after = after_edit("disks_encrypted_9.0", first("disks", source=GLUSTER))
    assert after.find("devices/disk/source[@protocol='gluster']/encryption/secret") is not None


def test_display_on_a_socket_gets_a_port() -> None:
    after = after_edit("graphics_listen_9.0", first("graphics", port=5999)).find("devices/graphics")
    assert after is not None
    assert dict(after.attrib) == {"type": "vnc", "port": "5999", "autoport": "no"}
    assert len(after) == 0
