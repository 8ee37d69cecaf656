# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils import _domain, _domain_facts, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._devices import Interface, stable_mac
from ansible_collections.gfapi.virt.plugins.module_utils._disk import Disk, DiskSource, gluster_disk
from ansible_collections.gfapi.virt.plugins.module_utils._domain import (
    Domain,
    differing_fields,
    edited,
    from_element,
    new_element,
    place_disks,
    with_defaults,
)
from ansible_collections.gfapi.virt.plugins.module_utils._domain_facts import masked
from ansible_collections.gfapi.virt.plugins.module_utils._live import pending_fields
from ansible_collections.gfapi.virt.plugins.module_utils._machine import parse_memory_kib
from ansible_collections.gfapi.virt.tests.unit.libvirt_checks import complaints, defined

UUID: t.Final = "5d1b8f5e-6a4a-4f7e-9a34-1f0f5f1d2c3b"
OURS: t.Final = DiskSource.gluster("vmstore", f"8e2d/images/{UUID}/6c11", ["gl1", "gl2"])
OTHER: t.Final = DiskSource.gluster("vmstore", "8e2d/images/other/1", ["gl1"])
FULL: t.Final = Domain(
    name="web",
    uuid="0f9c2a5e-3d0b-4c55-9c1e-1f2b7a6d8e90",
    type="qemu",
    memory_kib=524288,
    memory_max_kib=524288,
    vcpus=2,
    vcpus_max=2,
    firmware="bios",
    secure_boot=False,
    arch="x86_64",
    machine="q35",
    kernel="/boot/vmlinuz",
    initrd="/boot/initrd",
    cmdline="console=ttyS0 a='b' <c>",
    boot=("hd", "network"),
    cpu_mode="host-model",
    disks=(gluster_disk(OURS, "qcow2", target="vda", serial=UUID), gluster_disk(OTHER, "raw", target="sda")),
    interfaces=(
        Interface("network", "default", "52:54:00:00:00:01", "virtio"),
        Interface("bridge", "br0", "52:54:00:00:00:02", "e1000"),
        Interface("user", None, "52:54:00:00:00:03", "virtio"),
    ),
    serial_log="/var/log/web.log",
    drives=(),
    graphics=(),
    rng=True,
    guest_agent=False,
    tpm="none",
    watchdog="none",
    balloon=True,
)
#: what libvirt's test driver takes: its own type and processor
TRIED: t.Final = replace(FULL, type="test", arch="i686", machine=None, cpu_mode=None)

THEIRS: t.Final = """\
<domain type="kvm">
  <name>web</name>
  <uuid>0f9c2a5e-3d0b-4c55-9c1e-1f2b7a6d8e90</uuid>
  <title>by hand</title>
  <metadata>
    <x:note xmlns:x="urn:x">kept</x:note>
  </metadata>
  <memory unit="GiB">1</memory>
  <currentMemory unit="KiB">1048576</currentMemory>
  <vcpu placement="static" cpuset="0-3">2</vcpu>
  <iothreads>1</iothreads>
  <os>
    <type arch="x86_64" machine="pc-q35-7.2">hvm</type>
    <loader readonly="yes">/ovmf</loader>
    <boot dev="hd"/>
    <bootmenu enable="yes"/>
  </os>
  <cpu mode="custom" match="exact">
    <model>Nehalem</model>
  </cpu>
  <devices>
    <emulator>/usr/bin/qemu</emulator>
    <disk type="network" device="disk" snapshot="no">
      <driver name="qemu" type="qcow2" queues="4"/>
      <source protocol="gluster" name="vmstore/a">
        <host name="gl1" port="24007"/>
      </source>
      <target dev="vda" bus="virtio"/>
      <address type="pci" domain="0x0000" bus="0x04" slot="0x00" function="0x0"/>
    </disk>
    <disk type="file" device="cdrom">
      <target dev="sda" bus="sata"/>
      <readonly/>
    </disk>
    <interface type="network">
      <mac address="52:54:00:aa:bb:cc"/>
      <source network="default" portgroup="g"/>
      <model type="virtio"/>
      <driver queues="2"/>
    </interface>
    <graphics type="vnc" passwd="secret"/>
  </devices>
  <seclabel type="none" model="dac"/>
</domain>
"""


def theirs() -> _xml.Element:
    return _xml.parse(THEIRS)


# --- a new domain ---------------------------------------------------------------------------------------------------


def test_new_domain_is_what_was_asked_for() -> None:
    assert from_element(new_element(FULL)) == FULL


def test_new_domain_is_valid() -> None:
    assert complaints(new_element(FULL)) == []


def test_new_domain_can_be_asked_to_shut_down_and_has_a_console() -> None:
    element = new_element(FULL)
    assert element.find("features/acpi") is not None
    assert element.find("devices/serial") is not None
    assert element.find("devices/graphics") is None


def test_libvirt_holds_what_was_asked_for_and_asking_again_changes_nothing() -> None:
    held = defined(new_element(TRIED))
    found = from_element(held)
    different = {
        name: (value, getattr(found, name))
        for name, value in vars(TRIED).items()
        if value is not None and value != getattr(found, name)
    }
    assert different == {}
    again = edited(held, TRIED)
    assert differing_fields(held, again) == []
    assert _xml.to_text(again) == _xml.to_text(held)


def test_smallest_domain_that_can_be_defined() -> None:
    domain = with_defaults(Domain("a", type="test", memory_kib=8192), arch="i686", has_kvm=False)
    assert from_element(defined(new_element(domain))).boot == ("hd",)


@pytest.mark.parametrize(
    ("asked", "has_kvm", "filled"),
    [
        pytest.param({}, True, {"type": "kvm", "cpu_mode": "host-model"}, id="kvm"),
        pytest.param({}, False, {"type": "qemu", "cpu_mode": None}, id="no kvm"),
        pytest.param({"type": "qemu"}, True, {"type": "qemu", "cpu_mode": None}, id="qemu asked for"),
        pytest.param({"cpu_mode": "maximum"}, True, {"cpu_mode": "maximum"}, id="cpu asked for"),
        pytest.param({}, True, {"vcpus": 1, "arch": "x86_64", "machine": "q35", "boot": ("hd",)}, id="the rest"),
        pytest.param({"kernel": "/k"}, True, {"boot": None}, id="kernel needs no boot order"),
        pytest.param({"boot": ("network",), "vcpus": 4}, True, {"boot": ("network",), "vcpus": 4}, id="boot asked for"),
        pytest.param({"machine": "pc"}, True, {"machine": "pc"}, id="machine asked for"),
        pytest.param({"arch": "aarch64"}, True, {"machine": "virt"}, id="another architecture"),
    ],
)
def test_what_was_not_asked_for_is_filled_in(asked: dict[str, t.Any], has_kvm: bool, filled: dict[str, t.Any]) -> None:
    domain = with_defaults(Domain("a", memory_kib=1, **asked), arch="x86_64", has_kvm=has_kvm)
    assert {name: getattr(domain, name) for name in filled} == filled


def test_domain_without_memory_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="domain a does not exist yet and memory is not given; write memory: 2GiB"):
        with_defaults(Domain("a"), arch="x86_64", has_kvm=True)


# --- in place -------------------------------------------------------------------------------------------------------


def test_domain_that_agrees_is_not_touched() -> None:
    assert _xml.to_text(edited(theirs(), from_element(theirs()))) == THEIRS
    assert _xml.to_text(edited(theirs(), Domain("web"))) == THEIRS


def test_editing_leaves_the_original_alone() -> None:
    element = theirs()
    edited(element, FULL)
    assert _xml.to_text(element) == THEIRS


def test_elements_by_hand_survive_everything_that_we_change() -> None:
    after = _xml.to_text(edited(theirs(), replace(FULL, interfaces=None)))
    for kept in (
        'cpuset="0-3"',
        "by hand",
        "kept",
        "<iothreads>",
        "/ovmf",
        "bootmenu",
        "<emulator>",
        'device="cdrom"',
        'slot="0x00"',
        'queues="4"',
        'snapshot="no"',
        "portgroup",
        "<driver queues",
    ):
        assert kept in after


@pytest.mark.parametrize(
    ("asked", "changes"),
    [
        pytest.param({"memory_kib": 1048576}, [], id="memory in another unit"),
        pytest.param({"memory_kib": 1048577}, ["memory"], id="memory"),
        pytest.param({"machine": "q35"}, [], id="alias of the machine"),
        pytest.param({"machine": "pc"}, ["machine"], id="another machine"),
        pytest.param({"machine": "pc-q35-8.0"}, ["machine"], id="another version of the machine"),
        pytest.param({"vcpus": 2}, [], id="same vcpus"),
        pytest.param({"vcpus": 3}, ["vcpus"], id="vcpus"),
        pytest.param({"cpu_mode": "custom"}, [], id="same cpu mode"),
        pytest.param({"cpu_mode": "maximum"}, ["cpu_mode"], id="cpu mode"),
        pytest.param({"boot": ("network", "hd")}, ["boot"], id="boot order"),
        pytest.param({"boot": ()}, ["boot"], id="no boot order"),
        pytest.param({"kernel": "/k", "cmdline": "a"}, ["kernel", "cmdline"], id="kernel"),
        pytest.param({"serial_log": "/l"}, ["serial_log"], id="serial log"),
        pytest.param({"disks": ()}, ["disks"], id="no disks"),
        pytest.param({"interfaces": ()}, ["interfaces"], id="no interfaces"),
    ],
)
def test_what_differs_is_named_and_changed(asked: dict[str, t.Any], changes: list[str]) -> None:
    before = theirs()
    after = edited(before, Domain("web", **asked))
    assert differing_fields(before, after) == changes
    assert (_xml.to_text(before) == _xml.to_text(after)) is not bool(changes)
    assert differing_fields(after, edited(after, Domain("web", **asked))) == []
    name = next(iter(asked))
    if name != "machine":
        assert getattr(from_element(after), name) == asked[name]


def test_memory_changes_both_figures() -> None:
    after = edited(theirs(), Domain("web", memory_kib=2097152))
    assert [(after.find(tag).text, after.find(tag).get("unit")) for tag in ("memory", "currentMemory")] == [
        ("2097152", "KiB"),
        ("2097152", "KiB"),
    ]


def test_disks_are_edited_added_and_taken_out_by_target() -> None:
    before = theirs()
    (old,) = from_element(before).disks or ()
    new = gluster_disk(OURS, "qcow2", target="vdb")
    after = edited(before, Domain("web", disks=(new, replace(old, cache="none"))))
    targets = [target.get("dev") for target in after.iterfind("devices/disk/target")]
    assert targets == ["vda", "sda", "vdb"]
    assert after.find("devices/disk/address") is not None
    assert after.find("devices/disk/driver").get("cache") == "none"
    gone = edited(after, Domain("web", disks=(new,)))
    assert [target.get("dev") for target in gone.iterfind("devices/disk/target")] == ["sda", "vdb"]


# --- owner of the images --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels", ["", "<seclabel type='dynamic' model='dac' relabel='yes'/>", "<seclabel type='none' model='selinux'/>"]
)
def test_domain_with_a_gluster_disk_is_not_relabelled(labels: str) -> None:
    before = _xml.parse(THEIRS.replace('<seclabel type="none" model="dac"/>', labels))
    after = edited(before, Domain("web"))
    assert [label.get("type") for label in after.findall("seclabel") if label.get("model") == "dac"] == ["none"]
    assert len(after.findall("seclabel[@model='selinux']")) == labels.count("selinux")
    assert differing_fields(before, after) == ["relabelling"]
    assert differing_fields(after, edited(after, Domain("web"))) == []


def test_a_user_for_qemu_stays_where_nothing_is_relabelled() -> None:
    label = "<seclabel type='static' model='dac' relabel='no'><label>+0:+36</label></seclabel>"
    before = _xml.parse(THEIRS.replace('<seclabel type="none" model="dac"/>', label))
    after = edited(before, Domain("web"))
    assert [one.findtext("label") for one in after.findall("seclabel[@model='dac']")] == ["+0:+36"]
    assert differing_fields(before, after) == []


def test_domain_without_a_gluster_disk_keeps_its_labels() -> None:
    element = new_element(replace(FULL, disks=(Disk(DiskSource(file="/a"), "vda"),)))
    assert element.find("seclabel") is None


# --- interfaces -----------------------------------------------------------------------------------------------------


def macs(element: _xml.Element) -> list[str]:
    return [mac.get("address") for mac in element.iterfind("devices/interface/mac")]


def test_new_interface_gets_an_address_that_it_keeps() -> None:
    domain = replace(FULL, interfaces=(Interface("network", "default"), Interface("user")))
    first, second = new_element(domain), new_element(domain)
    assert macs(first) == macs(second) == [stable_mac("web", 0), stable_mac("web", 1)]
    assert [model.get("type") for model in first.iterfind("devices/interface/model")] == ["virtio", "virtio"]
    assert complaints(first) == []


def test_addresses_differ_by_domain_and_by_position() -> None:
    addresses = {stable_mac(name, index) for name in ("a", "b", "a/1") for index in range(20)}
    assert len(addresses) == 60
    assert all(address.startswith("52:54:00:") and len(address) == 17 for address in addresses)


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        pytest.param([Interface("network", "default")], True, id="by position"),
        pytest.param([Interface("network", "default", "52:54:00:AA:BB:CC")], True, id="by address, in capitals"),
        pytest.param([Interface("bridge", "br0")], False, id="another source"),
        pytest.param([Interface("network", "default", None, "e1000")], False, id="another model"),
        pytest.param([Interface("network", "default", "52:54:00:00:00:09")], False, id="another address"),
        pytest.param([Interface("network", "default"), Interface("user")], False, id="one more"),
    ],
)
def test_interface_that_agrees_is_kept(wanted: list[Interface], kept: bool) -> None:
    before = theirs()
    after = edited(before, Domain("web", interfaces=tuple(wanted)))
    assert (_xml.to_text(after) == THEIRS) is kept
    assert len(macs(after)) == len(wanted)
    assert differing_fields(after, edited(after, Domain("web", interfaces=tuple(wanted)))) == []
    # what an administrator tuned stays
    assert after.find("devices/interface/driver").get("queues") == "2"


def test_interface_is_found_by_its_address_wherever_it_stands() -> None:
    element = new_element(FULL)
    first, second, third = FULL.interfaces or ()
    after = edited(element, Domain("web", interfaces=(third, replace(first, source="other"))))
    assert macs(after) == [first.mac, third.mac]
    assert after.find("devices/interface/source").get("network") == "other"
    assert second.mac not in _xml.to_text(after)


def test_new_interface_before_one_that_stays_takes_nothing_from_it() -> None:
    new = Interface("network", "other", "52:54:00:00:00:09")
    old = Interface("network", "default", "52:54:00:aa:bb:cc")
    after = edited(theirs(), Domain("web", interfaces=(new, old)))
    assert macs(after) == [old.mac, new.mac]
    assert after.find("devices/interface/driver").get("queues") == "2"


def test_new_interface_never_gets_the_address_of_another() -> None:
    both = new_element(replace(FULL, interfaces=(Interface("user"), Interface("user"))))
    second = edited(both, Domain("web", interfaces=(Interface("user", mac=stable_mac("web", 1)),)))
    assert macs(second) == [stable_mac("web", 1)]
    again = edited(second, Domain("web", interfaces=(Interface("user"), Interface("user"))))
    assert macs(again) == [stable_mac("web", 1), stable_mac("web", 2)]


def test_memory_that_was_written_once_stays_valid() -> None:
    assert complaints(edited(new_element(FULL), Domain("web", memory_kib=1))) == []


# --- disks and their targets ----------------------------------------------------------------------------------------


def disk(source: DiskSource, target: str = "", bus: str | None = None, serial: str | None = None) -> Disk:
    return gluster_disk(source, "raw", target=target, bus=bus, serial=serial)


@pytest.mark.parametrize(
    ("wanted", "current", "targets"),
    [
        pytest.param([disk(OURS), disk(OTHER)], [], ["vda", "vdb"], id="new"),
        pytest.param([disk(OURS), disk(OTHER, "vda")], [], ["vdb", "vda"], id="one says its target"),
        pytest.param([disk(OURS, bus="scsi"), disk(OTHER, bus="ide")], [], ["sda", "hda"], id="bus"),
        pytest.param([disk(OURS, bus="sata")], [], ["sda"], id="sata"),
        pytest.param([disk(OURS, bus="usb")], [], ["sda"], id="usb"),
        pytest.param([disk(OTHER), disk(OURS)], [disk(OURS, "vda"), disk(OTHER, "vdb")], ["vdb", "vda"], id="turned"),
        pytest.param([disk(OURS)], [disk(replace(OURS, hosts=()), "vdc")], ["vdc"], id="other servers"),
        pytest.param([disk(OURS, serial=UUID)], [disk(OTHER, "vdd", serial=UUID)], ["vdd"], id="same serial"),
        pytest.param([disk(OURS)], [disk(OTHER, "vda")], ["vdb"], id="in the place of another"),
        pytest.param([disk(OTHER, "vda"), disk(OURS)], [disk(OURS, "vda")], ["vda", "vdb"], id="target given away"),
    ],
)  # fmt: skip
def test_disks_are_placed(wanted: list[Disk], current: list[Disk], targets: list[str]) -> None:
    placed = place_disks(wanted, current)
    assert [one.target for one in placed] == targets
    assert [one.source for one in placed] == [one.source for one in wanted]
    assert place_disks(wanted, placed) == placed


def test_target_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="target vda is given to two disks"):
        place_disks([disk(OURS, "vda"), disk(OTHER, "vda")], [])


# --- what a restart brings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({}, []),
        ({"memory_kib": 1, "memory_max_kib": 1}, ["memory"]),
        ({"memory_max_kib": 1048576}, ["memory_max"]),
        ({"vcpus": 3, "vcpus_max": 3, "cmdline": "x"}, ["vcpus", "cmdline"]),
        ({"disks": ()}, ["disks"]),
        ({"disks": (replace(FULL.disks[0], cache="writeback"), FULL.disks[1])}, ["disks"]),  # type: ignore[index]
        ({"disks": (replace(FULL.disks[0], source=OTHER), FULL.disks[1])}, ["disks"]),  # type: ignore[index]
        ({"interfaces": ()}, ["interfaces"]),
        ({"uuid": UUID}, []),
    ],
)
def test_what_only_a_restart_brings(change: dict[str, t.Any], fields: list[str]) -> None:
    assert pending_fields(new_element(FULL), new_element(replace(FULL, **change))) == fields


def test_facts_name_what_a_restart_brings() -> None:
    facts = _domain_facts.facts(new_element(replace(FULL, memory_kib=1, memory_max_kib=1)), new_element(FULL))
    assert facts["restart_required"] == ["memory: takes effect at the next start"]
    assert _domain_facts.facts(new_element(FULL), None)["restart_required"] == []
    assert [one["uri"] for one in facts["disks"]] == [OURS.uris[0], OTHER.uris[0]]
    assert facts["interfaces"][1] == {
        "type": "bridge",
        "source": "br0",
        "mac": "52:54:00:00:00:02",
        "model": "e1000",
        "mode": None,
        "queues": None,
        "boot_order": None,
    }


def test_passwords_are_hidden_in_a_copy() -> None:
    element = theirs()
    assert "secret" not in _xml.to_text(masked(element))
    assert _xml.to_text(element) == THEIRS


# --- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kib"),
    [
        ("2GiB", 2097152), ("2G", 2097152), ("2GB", 2097152), ("2 gib", 2097152), ("512M", 524288), ("512MiB", 524288),
        ("512", 524288), (512, 524288), ("524288KiB", 524288), ("1.5GiB", 1572864), ("1T", 1073741824), (" 1 ", 1024),
        ("1PiB", 1 << 40),
    ],
)  # fmt: skip
def test_memory_is_read(value: str | int, kib: int) -> None:
    assert parse_memory_kib(value) == kib


@pytest.mark.parametrize("value", ["", "GiB", "-1", "1X", "1GiBB", "1,5G", "2G 1M", "0x10", "٣"])
def test_memory_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write 2GiB, 512MiB or a number of MiB"):
        parse_memory_kib(value)


@pytest.mark.parametrize("value", ["9" * 400, "8388608T", 1 << 70])
def test_more_memory_than_there_can_be_is_refused(value: str | int) -> None:
    with pytest.raises(ValueError, match="is more than any machine has; write less than 8 EiB"):
        parse_memory_kib(value)


@pytest.mark.parametrize("value", ["0", 0, "0.5K"])
def test_no_memory_is_refused(value: str | int) -> None:
    with pytest.raises(ValueError, match="is too small"):
        parse_memory_kib(value)


@pytest.mark.parametrize(
    ("text", "kib"),
    [
        ("<memory>1024</memory>", 1024),
        ("<memory unit='KiB'>\n 1024 \n</memory>", 1024),
        ("<memory unit='b'>2048</memory>", 2),
        ("<memory unit='MB'>1</memory>", 977),
        ("<memory unit='TiB'>1</memory>", 1073741824),
        ("<memory/>", None),
        ("<x/>", None),
    ],
)
def test_memory_of_a_domain_is_read_in_every_unit(text: str, kib: int | None) -> None:
    assert from_element(_xml.parse(f"<domain>{text}</domain>")).memory_kib == kib


# --- properties -----------------------------------------------------------------------------------------------------

words = st.text(st.integers(0x21, 0x7E).map(chr) | st.sampled_from("é<&>"), min_size=1, max_size=6)
local_paths = words.map("/{}".format)
# few, so that two domains share some
mac_addresses = st.integers(0, 5).map("52:54:00:00:00:{:02x}".format)
interfaces = st.builds(Interface, st.just("network"), words, mac_addresses, st.sampled_from(["virtio", "e1000"]))
images = st.sampled_from([OURS, OTHER, DiskSource(file="/mnt/a")])
disks = st.lists(
    st.builds(gluster_disk, images, st.sampled_from(["raw", "qcow2"]), target=st.sampled_from(["vda", "vdb", "sdc"])),
    max_size=3,
    unique_by=lambda one: one.target,
).map(tuple)
domains = st.builds(
    Domain,
    name=st.just("web"),
    uuid=st.just(FULL.uuid),
    type=st.sampled_from(["kvm", "qemu"]),
    memory_kib=st.integers(1, 1 << 40),
    vcpus=st.integers(1, 99),
    arch=st.just("x86_64"),
    machine=st.sampled_from(["q35", "pc", "pc-q35-7.2"]),
    kernel=st.none() | local_paths,
    initrd=st.none() | local_paths,
    cmdline=st.none() | words,
    boot=st.lists(st.sampled_from(["hd", "network", "cdrom"]), unique=True).map(tuple),
    cpu_mode=st.sampled_from([None, "host-model", "host-passthrough", "maximum"]),
    disks=disks,
    interfaces=st.lists(interfaces, max_size=3, unique_by=lambda nic: nic.mac).map(tuple),
    serial_log=st.none() | local_paths,
)


@given(domains)
def test_domain_round_trip_and_valid(domain: Domain) -> None:
    element = new_element(domain)
    found = from_element(_xml.parse(_xml.to_text(element)))
    assert replace(found, **{name: value for name, value in vars(domain).items() if value is None}) == domain
    assert complaints(element) == []


@given(domains, domains)
def test_domain_becomes_another_and_stays_so(first: Domain, second: Domain) -> None:
    """The plan of what was applied is empty: what is asked for is there, and asking again changes nothing."""
    element = new_element(first)
    after = edited(element, second)
    found = from_element(after)
    alias = _domain.MACHINE_ALIASES.get(second.machine or "", "-")
    for field in dataclasses.fields(Domain):
        value = getattr(second, field.name)
        if value is None or (field.name == "machine" and str(found.machine).startswith(alias)):
            continue
        found_value = getattr(found, field.name)
        if field.name in ("disks", "interfaces"):
            # what was there stands first
            found_value, value = sorted(map(repr, found_value)), sorted(map(repr, value))
        assert found_value == value
    assert differing_fields(after, edited(after, second)) == []
    assert _xml.to_text(edited(after, second)) == _xml.to_text(after)
    assert complaints(after) == []
