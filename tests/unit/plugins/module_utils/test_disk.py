# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json
import string
import typing as t

import libvirt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._disk import (
    Disk,
    DiskSource,
    Host,
    Layer,
    free_target,
    from_element,
    gluster_disk,
    target_index,
    target_name,
    to_blockdev,
    to_element,
    write_into,
)
from ansible_collections.gfapi.virt.plugins.module_utils._io_path import from_qemu_filename
from ansible_collections.gfapi.virt.plugins.module_utils._uri import GlusterURI
from ansible_collections.gfapi.virt.tests.unit.libvirt_checks import complaints, defined, domain_around

UUID: t.Final = "5d1b8f5e-6a4a-4f7e-9a34-1f0f5f1d2c3b"
PATH: t.Final = f"8e2d/images/{UUID}/6c11"
THREE: t.Final = DiskSource.gluster("vmstore", PATH, ["gl1", "2001:db8::2", "192.0.2.3"])
SOCKET: t.Final = DiskSource.from_uri(GlusterURI.parse("gluster+unix:///vmstore/a%20b?socket=/run/g.sock"))
BASE: t.Final = DiskSource.gluster("vmstore", "base", ["gl1"])


# --- one disk, as text ----------------------------------------------------------------------------------------------


def test_gfapi_disk_is_written_as_it_ought_to_be() -> None:
    disk = gluster_disk(THREE, "qcow2", target="vda", serial=UUID)
    assert _xml.to_text(to_element(disk)) == (
        '<disk type="network" device="disk">\n'
        '  <driver name="qemu" type="qcow2" cache="none" error_policy="stop" discard="unmap"/>\n'
        f'  <source protocol="gluster" name="vmstore/{PATH}">\n'
        '    <host name="gl1" port="24007"/>\n'
        '    <host name="2001:db8::2" port="24007"/>\n'
        '    <host name="192.0.2.3" port="24007"/>\n'
        "  </source>\n"
        "  <backingStore/>\n"
        '  <target dev="vda" bus="virtio"/>\n'
        f"  <serial>{UUID}</serial>\n"
        "</disk>\n"
    )


def test_chain_is_spelled_out_to_its_end() -> None:
    layers = (Layer(THREE, "qcow2"), Layer(SOCKET, "raw"))
    element = to_element(gluster_disk(BASE, "qcow2", target="sda", backing=layers)).find("backingStore")
    assert _xml.to_text(element) == (
        '<backingStore type="network">\n'
        '  <format type="qcow2"/>\n'
        f'  <source protocol="gluster" name="vmstore/{PATH}">\n'
        '    <host name="gl1" port="24007"/>\n'
        '    <host name="2001:db8::2" port="24007"/>\n'
        '    <host name="192.0.2.3" port="24007"/>\n'
        "  </source>\n"
        '  <backingStore type="network">\n'
        '    <format type="raw"/>\n'
        '    <source protocol="gluster" name="vmstore/a b">\n'
        '      <host transport="unix" socket="/run/g.sock"/>\n'
        "    </source>\n"
        "    <backingStore/>\n"
        "  </backingStore>\n"
        "</backingStore>\n"
    )


#: what libvirt makes of a disk, or an administrator writes, and what it means
SPELLINGS: t.Final = {
    "transport said": ('<host name="h" transport="tcp" port="24007"/>', Host("h")),
    "transport and port unsaid": ('<host name="h"/>', Host("h")),
    "port 0": ('<host name="h" port="0"/>', Host("h")),
    "another port": ('<host name="h" port="24008"/>', Host("h", 24008)),
    "rdma": ('<host name="h" transport="rdma"/>', Host("h", transport="rdma")),
    "socket": ('<host transport="unix" socket="/s"/>', Host(None, None, "unix", "/s")),
}


@pytest.mark.parametrize(("text", "host"), SPELLINGS.values(), ids=SPELLINGS)
def test_server_is_read(text: str, host: Host) -> None:
    disk = from_element(_xml.parse(f'<disk><source protocol="gluster" name="v/p">{text}</source></disk>'))
    assert disk.source.hosts == (host,)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        pytest.param("<disk/>", "device", "disk", id="no device"),
        pytest.param('<disk device="lun"/>', "device", "lun", id="device"),
        pytest.param("<disk/>", "format", "raw", id="no format"),
        pytest.param("<disk/>", "target", "", id="no target"),
        pytest.param('<disk><target dev="vdb"/></disk>', "bus", "virtio", id="bus follows vd"),
        pytest.param('<disk><target dev="sdb"/></disk>', "bus", "scsi", id="bus follows sd"),
        pytest.param('<disk><target dev="hdb"/></disk>', "bus", "ide", id="bus follows hd"),
        pytest.param('<disk><target dev="sdb" bus="usb"/></disk>', "bus", "usb", id="bus said"),
        pytest.param('<disk><driver cache="default"/></disk>', "cache", None, id="cache default is none said"),
        pytest.param('<disk><driver cache="writeback"/></disk>', "cache", "writeback", id="cache"),
        pytest.param("<disk/>", "backing", None, id="chain not said"),
        pytest.param("<disk><backingStore/></disk>", "backing", (), id="no chain"),
        pytest.param("<disk/>", "readonly", None, id="not read-only"),
        pytest.param("<disk><readonly/></disk>", "readonly", True, id="read-only"),
    ],
)
def test_element_is_read(text: str, name: str, value: object) -> None:
    assert getattr(from_element(_xml.parse(text)), name) == value


def test_every_field_is_read_from_its_own_place() -> None:
    """A document that says something else than the default in every field of the table."""
    disk = from_element(
        _xml.parse(
            '<disk type="network" device="lun">'
            '<driver name="qemu" type="qcow2" cache="none" error_policy="stop" io="native" discard="unmap"'
            ' queues="4" iothread="1"/><iotune><total_iops_sec>9</total_iops_sec></iotune>'
            '<source protocol="gluster" name="v/p"><host name="h"/></source>'
            '<backingStore type="file"><format type="qcow2"/><source file="/b"/><backingStore/></backingStore>'
            '<target dev="sda" bus="sata"/><serial>s</serial><boot order="2"/><readonly/><shareable/></disk>'
        )
    )
    assert disk == Disk(
        DiskSource(protocol="gluster", name="v/p", hosts=(Host("h"),)), "sda", "qcow2", "sata", "lun", "none", "native",
        "unmap", "stop", "s", 2, True, True, 4, 1, (("total_iops_sec", 9),), (Layer(DiskSource(file="/b"), "qcow2"),),
    )  # fmt: skip
    unsaid = Disk(DiskSource(), "")
    assert [f.name for f in dataclasses.fields(Disk) if getattr(disk, f.name) == getattr(unsaid, f.name)] == []


# --- sources --------------------------------------------------------------------------------------------------------


def test_source_has_each_server_once_in_the_order_given() -> None:
    source = DiskSource.gluster("v", "p", ["b", "[2001:DB8::1]", "a", "b", "2001:db8::1"])
    assert [host.name for host in source.hosts] == ["b", "2001:db8::1", "a"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("v", "p", []), "needs at least one server", id="no server"),
        pytest.param(("v.1", "p", ["h"]), "volume 'v.1'", id="volume"),
        pytest.param(("v", "", ["h"]), "must name a file", id="no path"),
        pytest.param(("v", "/p", ["h"]), "must name a file", id="absolute path"),
        pytest.param(("v", "p/", ["h"]), "must name a file", id="directory"),
        pytest.param(("v", "p", ["a b"]), "host 'a b'", id="host"),
        pytest.param(("v", "p\x01", ["h"]), "which XML cannot", id="control character"),
        pytest.param(("v", "a\tb", ["h"]), "which libvirt turns into a blank", id="tab"),
        pytest.param(("v", "a\nb", ["h"]), "which libvirt turns into a blank", id="line end"),
    ],
)
def test_source_that_libvirt_cannot_hold_is_refused(arguments: tuple[t.Any, ...], says: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        DiskSource.gluster(*arguments)
    assert says in str(caught.value)


def test_rdma_is_refused_for_a_disk_and_names_tcp() -> None:
    with pytest.raises(ValueError, match="transport rdma cannot be used for a disk .*; use tcp"):
        DiskSource.from_uri(GlusterURI.parse("gluster+rdma://h/v/p"))


def test_socket_that_libvirt_would_change_is_refused() -> None:
    with pytest.raises(ValueError, match="which libvirt turns into a blank"):
        DiskSource.from_uri(GlusterURI.parse("gluster+unix:///v/p?socket=/a%0Ab"))


def test_source_has_one_uri_a_server() -> None:
    assert THREE.uris == (
        f"gluster://gl1/vmstore/{PATH}",
        f"gluster://[2001:db8::2]/vmstore/{PATH}",
        f"gluster://192.0.2.3/vmstore/{PATH}",
    )
    assert SOCKET.uris == ("gluster+unix:///vmstore/a%20b?socket=/run/g.sock",)
    assert DiskSource(file="/v/p").uris == ()


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(dataclasses.replace(BASE, name="v.1/p"), id="volume with dot"),
        pytest.param(dataclasses.replace(BASE, name="v"), id="no path"),
        pytest.param(dataclasses.replace(BASE, hosts=(Host("h_1"),)), id="host with underscore"),
        pytest.param(dataclasses.replace(BASE, hosts=(Host(None),)), id="no host"),
    ],
)
def test_source_of_others_that_no_uri_can_say_has_none(source: DiskSource) -> None:
    """One odd domain on a host must not keep the others from being listed."""
    assert source.uris == ()


@pytest.mark.parametrize(
    ("source", "kind"),
    [(THREE, "network"), (DiskSource(file="/a"), "file"), (DiskSource(dev="/dev/a"), "block"), (DiskSource(), None)],
    ids=["network", "file", "block", "none"],
)
def test_kind_of_source(source: DiskSource, kind: str | None) -> None:
    assert source.type == kind


@pytest.mark.parametrize(
    ("name", "parts"),
    [("v/p", ("v", "p")), ("v/a/b", ("v", "a/b")), ("v//a//b", ("v", "a//b")), (None, ("", ""))],
)
def test_name_is_split_at_its_first_slash(name: str | None, parts: tuple[str, str]) -> None:
    assert DiskSource(protocol="gluster", name=name).volume_and_path == parts


# --- in place -------------------------------------------------------------------------------------------------------

OURS_AND_THEIRS: t.Final = """\
<disk type="network" device="disk" snapshot="external">
  <driver name="qemu" type="raw" cache="writeback" queues="2" iothread="1"/>
  <auth username="u"/>
  <source protocol="gluster" name="v/p" index="3">
    <host name="h" port="24007"/>
    <reservations managed="yes"/>
  </source>
  <backingStore/>
  <target dev="vda" bus="virtio" removable="on"/>
  <iotune>
    <total_bytes_sec>1</total_bytes_sec>
  </iotune>
  <wwn>5000c50015ea71aa</wwn>
  <alias name="ua-1"/>
  <address type="pci" slot="0x04"/>
</disk>
"""


def test_disk_that_agrees_is_not_touched() -> None:
    element = _xml.parse(OURS_AND_THEIRS)
    write_into(element, from_element(element))
    assert _xml.to_text(element) == OURS_AND_THEIRS


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        pytest.param({"cache": "none"}, "writeback", "none", id="cache"),
        pytest.param({"cache": ""}, ' cache="writeback"', "", id="no cache"),
        pytest.param({"format": "qcow2"}, '"raw"', '"qcow2"', id="format"),
        pytest.param({"device": "lun"}, '"disk" snap', '"lun" snap', id="device"),
        pytest.param({"backing": None}, "", "", id="chain left as it is"),
        pytest.param(
            {"backing": (Layer(DiskSource(file="/b"), "raw"),)},
            "  <backingStore/>",
            '  <backingStore type="file">\n    <format type="raw"/>\n    <source file="/b"/>\n    <backingStore/>\n'
            "  </backingStore>",
            id="chain",
        ),
        pytest.param({"readonly": True}, "</disk", "  <readonly/>\n</disk", id="read-only"),
        pytest.param({"serial": "s"}, "</disk", "  <serial>s</serial>\n</disk", id="serial"),
    ],
)
def test_what_differs_is_changed_and_the_rest_survives(change: dict[str, t.Any], old: str, new: str) -> None:
    element = _xml.parse(OURS_AND_THEIRS)
    write_into(element, dataclasses.replace(from_element(element), **change))
    assert _xml.to_text(element) == OURS_AND_THEIRS.replace(old, new, 1)


def test_another_source_changes_the_kind_of_disk_too() -> None:
    element = _xml.parse(OURS_AND_THEIRS)
    write_into(element, dataclasses.replace(from_element(element), source=DiskSource(file="/mnt/p")))
    assert element.get("type") == "file"
    assert [child.tag for child in element][:4] == ["driver", "auth", "source", "backingStore"]
    assert dict(element.find("source").attrib) == {"file": "/mnt/p"}
    assert len(element.find("source")) == 0


# --- what libvirt itself says ---------------------------------------------------------------------------------------

WRITTEN: t.Final = {
    "three servers": gluster_disk(THREE, "qcow2", target="vda", serial=UUID),
    "socket": gluster_disk(SOCKET, "raw", target="sdb"),
    "ide": gluster_disk(BASE, "raw", target="hda", cache="directsync", discard="ignore"),
    "chain": gluster_disk(THREE, "qcow2", target="vdb", backing=(Layer(THREE, "qcow2"), Layer(SOCKET, "raw"))),
    "sata": gluster_disk(BASE, "qcow2", target="sda", bus="sata"),
    "port": gluster_disk(DiskSource.from_uri(GlusterURI("v", "p", port=1)), "raw", target="vda"),
    "file": Disk(DiskSource(file="/mnt/a b"), "vda", "raw", cache="none", io="native", backing=()),
    "block device": Disk(DiskSource(dev="/dev/sda"), "sda", "raw", "scsi", "lun", shareable=True, boot_order=1),
    "read-only": Disk(DiskSource(file="/mnt/a"), "vdc", readonly=True),
}


@pytest.mark.parametrize("disk", WRITTEN.values(), ids=WRITTEN)
def test_disk_is_valid_and_libvirt_holds_the_same(disk: Disk) -> None:
    domain = domain_around(to_element(disk))
    assert complaints(domain) == []
    held = defined(domain).find("devices/disk")
    model = from_element(held)
    # libvirt fills in the bus, and does not say that there is no chain on a drive of the test driver
    assert model == dataclasses.replace(disk, bus=disk.bus or _disk.bus_of(disk.target))
    before = _xml.to_text(held)
    write_into(held, disk)
    assert _xml.to_text(held) == before


def test_schema_is_one_that_can_complain() -> None:
    element = to_element(WRITTEN["three servers"])
    element.find("source/host").set("name", "[::1]")
    assert complaints(domain_around(element))
    with pytest.raises(libvirt.libvirtError):
        defined(domain_around(element))


# --- targets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "index", "target"),
    [
        ("vd", 0, "vda"),
        ("vd", 25, "vdz"),
        ("sd", 26, "sdaa"),
        ("hd", 51, "hdaz"),
        ("vd", 52, "vdba"),
        ("vd", 702, "vdaaa"),
    ],
)
def test_target_name(prefix: str, index: int, target: str) -> None:
    assert target_name(prefix, index) == target
    assert target_index(target, prefix) == index


@given(st.integers(0, 100000))
def test_target_index_is_the_inverse_of_its_name(index: int) -> None:
    assert target_index(target_name("vd", index), "vd") == index


ALL_OF_VD: t.Final = tuple(map("vd{}".format, string.ascii_lowercase))


@pytest.mark.parametrize(
    ("taken", "prefix", "target"),
    [((), "vd", "vda"), (("vda", "vdc"), "vd", "vdb"), (("vda",), "sd", "sda"), (ALL_OF_VD, "vd", "vdaa")],
)
def test_first_free_target(taken: t.Sequence[str], prefix: str, target: str) -> None:
    assert free_target(taken, prefix) == target


# --- QEMU's forms ---------------------------------------------------------------------------------------------------


def test_blockdev_names_every_server() -> None:
    assert to_blockdev(THREE, "qcow2") == {
        "driver": "qcow2",
        "file": {
            "driver": "gluster",
            "volume": "vmstore",
            "path": PATH,
            "server": [
                {"type": "inet", "host": "gl1", "port": "24007"},
                {"type": "inet", "host": "2001:db8::2", "port": "24007"},
                {"type": "inet", "host": "192.0.2.3", "port": "24007"},
            ],
        },
    }


def test_blockdev_of_a_socket() -> None:
    assert to_blockdev(SOCKET, "raw")["file"]["server"] == [{"type": "unix", "path": "/run/g.sock"}]


V_P: t.Final = DiskSource(protocol="gluster", name="v/p", hosts=(Host("h"),))
V_P_SOCKET: t.Final = dataclasses.replace(V_P, hosts=(Host(None, None, "unix", "/s"),))
V_P_TWO: t.Final = dataclasses.replace(V_P, hosts=(Host("h"), Host("k")))


def gluster(**options: object) -> dict[str, object]:
    return {"driver": "gluster", "volume": "v", "path": "p", **options}


INET: t.Final = {"type": "inet", "host": "h", "port": "24007"}


@pytest.mark.parametrize(
    ("text", "source"),
    [
        pytest.param("/mnt/a", DiskSource(file="/mnt/a"), id="path"),
        pytest.param("gluster://h/v/p", V_P, id="URI"),
        pytest.param("gluster+unix:///v/p?socket=/s", V_P_SOCKET, id="URI of a socket"),
        pytest.param("gluster://u@h_1/v/p", DiskSource(protocol="gluster"), id="URI that we would not write"),
        pytest.param("nbd://h/p", DiskSource(), id="another protocol"),
        pytest.param("", DiskSource(), id="nothing"),
    ],
)
def test_file_name_of_qemu_is_read(text: str, source: DiskSource) -> None:
    assert from_qemu_filename(text) == source


@pytest.mark.parametrize(
    ("options", "source"),
    [
        pytest.param(gluster(server=[INET]), V_P, id="server"),
        pytest.param({"driver": "qcow2", "file": gluster(server=[INET])}, V_P, id="nested"),
        pytest.param(gluster(server=[{"type": "tcp", "host": "h", "port": "0"}]), V_P, id="tcp is the old word"),
        pytest.param(gluster(server=[{"type": "inet", "host": "h"}]), V_P, id="no port"),
        pytest.param(gluster(server=[{"type": "unix", "path": "/s"}]), V_P_SOCKET, id="socket"),
        pytest.param(gluster(server=[{"type": "unix", "socket": "/s"}]), V_P_SOCKET, id="socket is the old word"),
        pytest.param(gluster(**{f"server.0.{key}": value for key, value in INET.items()}), V_P, id="dotted"),
        pytest.param(gluster(**{"server.10.host": "k", "server.9.host": "h"}), V_P_TWO, id="dotted, ten and more"),
        pytest.param({"driver": "raw", "file": {"driver": "file", "filename": "/a"}}, DiskSource(file="/a"), id="file"),
        pytest.param({"driver": "host_device", "filename": "/dev/a"}, DiskSource(dev="/dev/a"), id="device"),
        pytest.param({"driver": "null-co"}, DiskSource(), id="another driver"),
    ],
)
def test_options_of_qemu_are_read(options: dict[str, object], source: DiskSource) -> None:
    assert from_qemu_filename("json:" + json.dumps(options)) == source


# --- properties -----------------------------------------------------------------------------------------------------

ALNUM: t.Final = string.ascii_letters + string.digits
characters = (st.integers(0x20, 0x7E) | st.integers(0xA1, 0x167F) | st.integers(0x10000, 0x10FFFF)).map(chr)
odd = st.sampled_from("&<>\"' %?#[]\x7f\x85é")
paths = st.text(characters | odd, min_size=1, max_size=8).map(lambda text: text.strip("/")).filter(bool)
volumes = st.text(ALNUM + "-_", min_size=1, max_size=8)
host_names = st.builds(
    "{}{}{}".format, st.sampled_from(ALNUM), st.text(ALNUM + ".-", max_size=6), st.sampled_from(ALNUM)
)
hosts = host_names | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
one_server = st.builds(GlusterURI, volumes, paths, st.just("tcp"), hosts, st.integers(1, 65535))
local_paths = paths.map("/{}".format)
one_socket = st.builds(lambda v, p, s: GlusterURI(v, p, "unix", None, None, s), volumes, paths, local_paths)
gluster_sources = st.one_of(
    st.builds(DiskSource.gluster, volumes, paths, st.lists(hosts, min_size=1, max_size=3)),
    one_server.map(DiskSource.from_uri),
    one_socket.map(DiskSource.from_uri),
)
sources = gluster_sources | st.builds(DiskSource, local_paths)
formats = st.sampled_from(["raw", "qcow2"])
layers = st.lists(st.builds(Layer, sources, formats), max_size=3).map(tuple)
targets = st.builds(target_name, st.sampled_from(["vd", "sd", "hd"]), st.integers(0, 30))
our_disks = st.builds(
    gluster_disk, gluster_sources, formats, target=targets, backing=layers, serial=st.none() | st.uuids().map(str),
    cache=st.sampled_from(["none", "writeback", "directsync", "unsafe"]), discard=st.sampled_from(["unmap", "ignore"]),
)  # fmt: skip


def unsaid_or(*values: object) -> st.SearchStrategy[t.Any]:
    return st.sampled_from([None, *values])


all_disks = st.builds(
    Disk,
    source=sources,
    target=targets,
    format=formats,
    bus=st.sampled_from(["virtio", "scsi", "sata", "usb"]),
    device=st.sampled_from(["disk", "lun"]),
    cache=unsaid_or("none", "writethrough"),
    io=unsaid_or("native", "threads", "io_uring"),
    discard=unsaid_or("unmap"),
    error_policy=unsaid_or("stop", "report"),
    serial=st.none() | st.uuids().map(str),
    boot_order=unsaid_or(1, 12),
    readonly=unsaid_or(True),
    shareable=unsaid_or(True),
    backing=st.none() | layers,
)


@given(all_disks)
def test_disk_round_trip(disk: Disk) -> None:
    assert from_element(to_element(disk)) == disk
    assert from_element(_xml.parse(_xml.to_text(to_element(disk)))) == disk


@given(all_disks, all_disks)
def test_disk_becomes_another(first: Disk, second: Disk) -> None:
    """What the second leaves open stays as it was; doing it again changes nothing."""
    element = to_element(first)
    write_into(element, second)
    expected = {name: getattr(first, name) if value is None else value for name, value in vars(second).items()}
    assert from_element(element) == Disk(**expected)
    text = _xml.to_text(element)
    write_into(element, second)
    assert _xml.to_text(element) == text


@given(all_disks)
def test_every_disk_is_valid_against_the_schema(disk: Disk) -> None:
    assume(disk.device == "disk" or disk.source.file is None)  # a file is never a LUN, says the schema
    assert complaints(domain_around(to_element(disk))) == []


@given(our_disks)
def test_libvirt_holds_every_gfapi_disk_as_it_was_written(disk: Disk) -> None:
    held = defined(domain_around(to_element(disk))).find("devices/disk")
    assert from_element(held) == disk


@given(gluster_sources, formats)
def test_blockdev_round_trip(source: DiskSource, image_format: str) -> None:
    assert from_qemu_filename("json:" + json.dumps(to_blockdev(source, image_format))) == source


@given(one_server | one_socket)
def test_uri_round_trip(uri: GlusterURI) -> None:
    assert DiskSource.from_uri(uri).uris == (str(uri),)
    assert from_qemu_filename(str(uri)) == DiskSource.from_uri(uri)
