# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything here that reads what others wrote: its name, how inputs are made, and what reads them."""

from __future__ import annotations

import functools
import json
import random
import typing as t
from pathlib import Path

import mutate
from lxml import etree

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _attachment,
    _benchmark,
    _conversion,
    _disk,
    _domain,
    _domain_facts,
    _gluster,
    _image,
    _image_paths,
    _io_path,
    _leases,
    _libvirt,
    _libvirt_domains,
    _live,
    _machine,
    _mount_options,
    _mount_table,
    _option_values,
    _overrides,
    _qemu_connections,
    _qemu_img,
    _seeds,
    _snapshot,
    _source,
    _storage_domain,
    _storage_domain_users,
    _uri,
    _use_record,
    _versions,
    _vm_params,
    _volfile,
    _volume_state,
    _volume_use,
    _xleases,
    _xml,
)
from ansible_collections.gfapi.virt.plugins.module_utils._command import Completed
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord

FIXTURES: t.Final = Path(__file__).resolve().parents[1] / "unit/fixtures"
UUID: t.Final = "5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11"
IMAGE: t.Final = "11111111-2222-3333-4444-555555555555"
POINT: t.Final = "/rhev/data-center/mnt/glusterSD/gl1:_vmstore"


class Parser(t.NamedTuple):
    """`make` gives an input by chance, of which `read` may raise `ValueError` or an error of ours."""

    name: str
    make: mutate.Make
    read: t.Callable[[t.Any], object]


def _texts(pattern: str) -> list[str]:
    found = [path.read_text("utf-8") for path in sorted(FIXTURES.glob(pattern))]
    if not found:
        raise LookupError(f"no fixture is like {pattern}")
    return found


def _jsons(pattern: str) -> list[t.Any]:
    return [json.loads(text) for text in _texts(pattern)]


# --- gluster --------------------------------------------------------------------------------------------------------


def _documents(*names: str) -> list[list[etree._Element]]:
    """Each recording that matches as its documents."""
    found = []
    for name in names:
        for text in _texts(f"gluster/{name}"):
            parts = text.split("<?xml")[1:]
            if parts:
                found.append([etree.fromstring(part.partition("?>")[2].strip()) for part in parts])
    return found


def _answers(chance: random.Random, documents: list[etree._Element]) -> str:
    """What a call printed, one of its documents changed."""
    at = chance.randrange(len(documents))
    texts = [etree.tostring(document, encoding="unicode") for document in documents]
    texts[at] = mutate.tree_text(chance, documents[at])
    if chance.random() < 0.02:
        texts[at] = mutate.bombs(chance)
    return "\n".join(f"<?xml version='1.0'?>\n{text}" for text in texts)


def _gluster_of(printed: str) -> _gluster.Gluster:
    return _gluster.Gluster(lambda *_args, **_options: Completed(0, printed, ""))


def _volumes(printed: str) -> object:
    gluster = _gluster_of(printed)
    volume = gluster.volume("vmstore")
    return volume.servers, volume.sets, _gluster._documents("x", Completed(0, printed, ""), count=1)


def _status(printed: str) -> object:
    document = _gluster._documents("x", Completed(0, printed, ""), count=printed.count("<?xml"))[-1]
    status = _volume_state.status_from(document, document, [document])
    return _volume_state.clients_from(status, {"10.0.0.1": "p"}), status


def _whole_state(printed: str) -> object:
    """Peers and volumes, and what is said of all bricks of these."""
    peers, volumes = _gluster_of(printed).pool_and_volumes()
    for volume in volumes:
        bricks = _volume_state.brick_states(volume, peers, None, {})
        _volume_state.client_quorum(volume, volume.options, bricks)
        _volume_state.server_quorum(volume.options, peers)
        _volume_state.space_of(volume, bricks, "1%")
        _volume_state.heal_sums(volume, bricks)
    return volumes


# --- domains --------------------------------------------------------------------------------------------------------


@functools.cache
def _domains() -> list[etree._Element]:
    parser = etree.XMLParser(remove_blank_text=True)
    texts = [text for text in _texts("libvirt/domains/*_9.0.xml") if len(text) < 12_000]
    return [etree.fromstring(text.encode(), parser) for text in texts]


@functools.cache
def _plain() -> _xml.Element:
    return _domain.new_element(_domain.Domain("web", type="qemu", memory_kib=1 << 20, vcpus=1, machine="q35"))


def _domain_text(chance: random.Random) -> str:
    if chance.random() < 0.01:
        return mutate.bombs(chance)
    domains = _domains()
    return mutate.tree_text(chance, domains[chance.randrange(len(domains))])


def _model(text: str) -> object:
    element = _xml.parse(text)
    return _domain.from_element(element), _domain_facts.facts(element, None), _domain_facts.masked(element)


def _edit(text: str) -> object:
    wanted = _domain.Domain(
        "web",
        memory_kib=1 << 20,
        vcpus=2,
        disks=(_disk.gluster_disk(_disk.DiskSource.gluster("v", "p", ["h"]), "qcow2", target="vda", backing=()),),
        interfaces=(),
        graphics=(),
        rng=True,
    )
    return _domain.edited(_xml.parse(text), wanted)


def _live_changes(text: str) -> object:
    """A domain that runs so, and is asked to become another; and the other way round."""
    element = _xml.parse(text)
    changes = _live.live_changes(element, element, _plain())
    _live.applied(element, changes)
    _live.pending_fields(element, _plain())
    return _live.live_changes(_plain(), _plain(), element), _attachment.free_slots(element)


def _record(text: str) -> DomainRecord:
    element = _xml.parse(text)
    return DomainRecord("web", UUID, "running", element, element, False, element)


def _uses(text: str) -> object:
    record = _record(text)
    _storage_domain_users._references(record)
    _domain.written_images(record.inactive)
    _conversion.to_convert(record.live, _conversion.GFAPI)
    _snapshot.use_of("web", record.live, record.inactive, IMAGE)
    _snapshot.snapshot_element(record.inactive, {IMAGE: UUID})
    _snapshot.has_agent(record.inactive)
    _attachment.targets(record, IMAGE)
    return _storage_domain_users.images_in(record.inactive)


OVERRIDES: t.Final = (
    _overrides.parse_override("features/hyperv/relaxed/@state", value="on", xml=None, absent=False),
    _overrides.parse_override("devices", value=None, xml="<sound model='ich9'/>", absent=False),
    _overrides.parse_override("clock/@offset", value=None, xml=None, absent=True),
)


def _overridden(text: str) -> None:
    _overrides.apply(_xml.parse(text), OVERRIDES)


def _override(given: str) -> None:
    path, _bar, value = given.partition("|")
    for kind in ({"value": value, "xml": None}, {"value": None, "xml": value}):
        _overrides.apply(_xml.clone(_plain()), [_overrides.parse_override(path, **kind, absent=False)])


class _Connection:
    """libvirt with these capabilities."""

    def __init__(self, text: str) -> None:
        self._text = text

    def getCapabilities(self) -> str:
        return self._text


def _capabilities(text: str) -> object:
    libvirt = _libvirt_domains.LibvirtDomains.__new__(_libvirt_domains.LibvirtDomains)
    libvirt.__dict__["connection"] = _Connection(text)
    return libvirt.host_architecture(), libvirt.has_kvm("x86_64")


CAPABILITIES: t.Final = etree.fromstring(
    "<capabilities><host><cpu><arch>x86_64</arch></cpu></host><guest><os_type>hvm</os_type>"
    "<arch name='x86_64'><domain type='qemu'/><domain type='kvm'/></arch></guest></capabilities>"
)


# --- QEMU -----------------------------------------------------------------------------------------------------------


@functools.cache
def _qmp() -> list[t.Any]:
    (devices,), (nodes,) = _jsons("qemu/query-block_*.json"), _jsons("qemu/query-named-block-nodes_*.json")
    return [[devices["return"], nodes["return"]]]


def _answers_of_qemu(text: str) -> object:
    devices, nodes = json.loads(text) if text.startswith("[[{") and len(text) < 1 << 20 else ([], [])
    aliases = ("virtio-disk0", "virtio-disk1", "scsi0-0-0-0", "ua-x")
    return [_io_path.io_path(alias, devices, nodes, [POINT]) for alias in aliases]


FILE_NAMES: t.Final = (
    "/var/lib/images/a", "gluster://h/v/p", "gluster+unix:///v/p?socket=/s", "gluster://[::1]:24007/v/p",
    'json:{"driver": "qcow2", "file": {"driver": "gluster", "volume": "v", "path": "p", "server": [{"type": "inet",'
    ' "host": "h", "port": "24007"}]}}',
    'json:{"driver":"raw","file":{"server.0.host":"h","server.0.port":"1","driver":"gluster","path":"p","volume":"v"}}',
    'json:{"driver": "host_device", "filename": "/dev/sda"}',
)  # fmt: skip

LIBVIRT_WORDS: t.Final = (
    "internal error: process exited while connecting to monitor: [2026-01-01 00:00:00.0] E [MSGID: 1] 0-x: y\n"
    '2026-01-01T00:00:00Z qemu-system-x86_64: -blockdev {"driver":"gluster","volume":"v","path":"p","server":[]}:'
    " Could not open 'v/p': No such file or directory",
)


def _heads() -> list[bytes]:
    (sources,) = _jsons("qemu/sources_*.json")
    return [bytes.fromhex(source["head"]) for source in sources.values()]


def _header(head: bytes) -> None:
    for image_format in (_source.probe(head), *_source.FORMATS):
        try:
            _source.require_alone("/x", image_format, head)
        except ValueError:
            continue
    _snapshot.is_without_data(head, lambda _offset, length: bytes(min(length, 1 << 20)))
    _image.backing_file_in(head)
    _image.virtual_size_in(head)


def _infos() -> list[t.Any]:
    (sources,) = _jsons("qemu/sources_*.json")
    return [found for source in sources.values() for found in source.values() if isinstance(found, dict)]


_INFO: t.Final = {"filename": "/a/b", "format": "qcow2", "virtual-size": 1048576}
INFOS: t.Final = (
    {**_INFO, "backing-filename": "c", "backing-filename-format": "raw"},
    {**_INFO, "format-specific": {"data": {"extents": [{"filename": "b"}]}}},
    {**_INFO, "format-specific": {"data": {"data-file": "/x"}}},
)


def _required(text: str) -> object:
    qemu_img = _qemu_img.QemuImg(lambda *_args, **_options: Completed(0, text, ""))
    return qemu_img.required_bytes(_image.Source("/a", "raw", 1), "qcow2")


def _chain(text: str) -> object:
    paths = _image_paths.ImagePaths(t.cast(t.Any, None), run_program=lambda *_args, **_options: Completed(0, text, ""))
    return paths._below("/a", "qcow2")


#: of an image that has a hole, something in it and compressed data
MAP: t.Final = [
    {"start": 0, "length": 4096, "depth": 0, "present": True, "zero": False, "data": True, "offset": 0},
    {"start": 4096, "length": 65536, "depth": 0, "present": True, "zero": True, "data": False, "offset": 4096},
    {"start": 69632, "length": 4096, "depth": 0, "present": True, "zero": False, "data": True, "offset": 327680},
    {"start": 73728, "length": 65536, "depth": 0, "present": True, "zero": False, "data": True, "compressed": True},
]


def _map(text: str) -> bool:
    paths = _image_paths.ImagePaths(t.cast(t.Any, None), run_program=lambda *_args, **_options: Completed(0, text, ""))
    # any file that can be read
    reached = _conversion.Reached(_disk.DiskSource(file=__file__), ())
    return paths.is_empty(_conversion.BothWays(reached, reached), "raw")


# --- files of a storage domain --------------------------------------------------------------------------------------

METADATA: t.Final = _storage_domain.StorageDomain(UUID, "vmstore", "gl1:/vmstore", pool_uuid=IMAGE).to_text()
VOLUME: t.Final = _image.ImageVolume.base(
    UUID, "web", note="a ü", format="qcow2", capacity_bytes=1 << 30, created_at=1700000000
)
RECORD: t.Final = _use_record.UseRecord(
    _use_record.ThisHost("hv1", "0" * 32), "web", IMAGE, frozenset((IMAGE, UUID))
).to_text()


def _sealed(chance: random.Random, given: str) -> str:
    """Wrong text under a seal that is right, for another would be all that is seen of it."""
    changed = mutate.text(chance, given)
    if chance.random() < 0.1:
        return changed
    body = "".join(line for line in changed.splitlines(keepends=True) if not line.startswith(_storage_domain.SEAL))
    return f"{body}\n{_storage_domain.SEAL}={_storage_domain.seals_of(body).computed}\n"


def _summed(chance: random.Random, given: bytes) -> bytes:
    """The same of a record: its checksum is right, mostly."""
    changed = mutate.data(chance, given)
    size = _leases._BODY.size
    if len(changed) < size + 4 or chance.random() < 0.1:
        return changed
    return changed[:size] + _leases._checksum(changed[:size]).to_bytes(4, "little") + changed[size + 4 :]


def _meta(text: str) -> object:
    volume = _image.ImageVolume.from_text(IMAGE, text)
    told = volume.alias, volume.note, volume.snapshot, volume.to_text()
    return told, _image.Image.from_volumes(IMAGE, [volume])


def _seed() -> bytes:
    return _seeds._image_of({"user-data": "#cloud-config\n", "meta-data": "instance-id: web\n"})


# --- this host ------------------------------------------------------------------------------------------------------

TABLE: t.Final = (
    "gl1:/vmstore /rhev/data-center/mnt/glusterSD/gl1:_vmstore fuse.glusterfs rw,relatime,user_id=0 0 0\n"
    "::1:/gv0/a\\040b /mnt/a\\011b fuse.glusterfs rw 0 0\ntmpfs /run tmpfs rw,nosuid 0 0\n/dev/sda1 / ext4 rw 0 0\n"
)
FSTAB: t.Final = (
    "# a comment\nUUID=1 / ext4 defaults 0 1\n\ngl1:/vmstore /mnt/a\\040b glusterfs _netdev,nofail,log-level=INFO 0 0\n"
)
SOCKETS: t.Final = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 0100007F:5DC7 0100007F:C0DE 01 00000000:00000000 00:00000000 00000000     0        0 12345 1 0\n"
    "   1: 00000000000000000000000001000000:1F90 0000000000000000FFFF00000100007F:C001 01 00000000:00000000"
    " 00:00000000 00000000     0        0 4242 1 0\n"
)
VERSIONS: t.Final = (
    "glusterfs 10.3\nRepository revision: git://x",
    "qemu-img version 7.2.22 (Debian 1:7.2+dfsg-7)",
    "9.0.0",
)
CLIENTS: t.Final = (
    "Client connections for volume vmstore\nName    count\n-----  ------\nfuse        2\nglustershd  3\n\ntotal clients"
    " for volume vmstore : 5\n-----\nBrick : gl1:/bricks/a\nClients connected : 2\nHostname   BytesRead   BytesWritten"
    "    OpVersion\n10.0.0.1:49151     1024       2048     100000\nBrick is offline\n"
)


def _fstab(text: str) -> object:
    spec = _uri.VolumeSpec(("gl1",), "vmstore")
    entry = _mount_options.entry_in(text, "/mnt/a b")
    kept = _mount_options.with_entry(text, "/mnt/a b", None)
    if _mount_options.entry_in(kept, "/mnt/a b") is not None:
        raise AssertionError("a line for the mount point is left")
    return _mount_options.does_mount(entry, spec, ["log-level=INFO"]), _mount_options.with_entry(text, "/x", "y")


def _spec(text: str) -> object:
    spec = _uri.VolumeSpec.parse(text)
    return spec.mount_name, spec.location, str(spec)


def _sizes(text: str) -> None:
    for read in (
        _image.parse_size,
        _machine.parse_memory_kib,
        lambda one: _vm_params.iotune_from({"read_bytes_sec": one}, "x"),
    ):
        try:
            read(text)
        except ValueError:
            continue


def _options(text: str) -> object:
    return [read(text) for read in _option_values.READERS.values()]


def _uris() -> list[str]:
    (recorded,) = _jsons("qemu/uri_*.json")
    return list(recorded["uris"])


def _spellings() -> list[str]:
    (recorded,) = _jsons("gluster/spellings_*.json")
    return sorted({word for words in recorded.values() for word in words})


COMMAND_LINE: t.Final = (
    '/usr/bin/qemu-system-x86_64 -name guest=web,debug-threads=on -blockdev {"driver":"gluster","volume":"vmstore"}'
    f" -drive file={POINT}/x"
)


def _argv(text: str) -> object:
    argv = text.split(" ")
    return _volume_use.vm_of(argv, "vmstore", [POINT]), _mount_options.told_options(argv)


def _of(change: t.Any, corpus: t.Sequence[t.Any]) -> mutate.Make:
    return mutate.of(change, corpus)


def parsers() -> tuple[Parser, ...]:
    text, data, tree, as_json = mutate.text, mutate.data, mutate.tree_text, mutate.json_text
    lease = _leases.resource(UUID, IMAGE, (512, 1 << 20))
    index = _xleases.XLeaseIndex(UUID, 1700000000, leases=(_xleases.XLease(0, IMAGE, 3 << 20),)).to_bytes()
    # without a glusterd, as if there were one
    _gluster._listens = lambda _path: True
    return (
        Parser("gluster URI", _of(text, _uris()), _uri.GlusterURI.parse),
        Parser("volume spec", _of(text, ("gl1:/v", "gl1,gl2:/v/a/b", "[::1]:v", "10.0.0.1:/v_a")), _spec),
        Parser("size and memory", _of(text, ("10GiB", "1.5T", "512 M", "4096", "524288KiB")), _sizes),
        Parser("option value", _of(text, _spellings()), _options),
        Parser("checksum", _of(text, ("sha256:" + "0a" * 32, "MD5:00")), _source.parse_checksum),
        Parser("version", _of(text, VERSIONS), _versions.Version.find),
        Parser("volume info", _of(_answers, _documents("volume_info_*.xml")), _volumes),
        Parser(
            "volume info and get",
            _of(_answers, _documents("read_*.xml")),
            lambda one: _gluster_of(one).volume_and_options("vmstore"),
        ),
        Parser("pool and volumes", _of(_answers, _documents("pool_*.xml")), _whole_state),
        Parser("volume status", _of(_answers, _documents("status_*.xml", "clients_*.xml")), _status),
        Parser(
            "volume heal",
            _of(_answers, _documents("heal_summary_*.xml")),
            lambda one: _gluster_of(one).heal("v", timeout_s=1),
        ),
        Parser(
            "volume set and reset",
            _of(_answers, _documents("volume_set*.xml", "reset_*.xml")),
            lambda one: _gluster_of(one).reset_options("v", ["a"]),
        ),
        Parser("volume clients", _of(text, (CLIENTS,)), _volume_use.Clients.parse),
        Parser("volfile", _of(text, _texts("gluster/*.vol")), _volfile.parse),
        Parser("log of a brick", _of(text, [log[-20_000:] for log in _texts("gluster/*.log")]), _volfile.last_logged),
        Parser("log of a client", _of(text, _texts("glusterfs/*.log")), _mount_options.last_error),
        Parser("domain", _domain_text, _model),
        Parser("domain, edited", _domain_text, _edit),
        Parser("domain, changed while it runs", _domain_text, _live_changes),
        Parser("domain, its images", _domain_text, _uses),
        Parser("domain, overridden", _domain_text, _overridden),
        Parser(
            "override",
            _of(text, ("features/hyperv/relaxed/@state|on", "devices|<sound model='ich9'/>", "a[@b='c']/@d|x")),
            _override,
        ),
        Parser("capabilities", _of(tree, (CAPABILITIES,)), _capabilities),
        Parser("words of libvirt", _of(text, LIBVIRT_WORDS), _libvirt.without_log),
        Parser("QMP's answers", _of(as_json, _qmp()), _answers_of_qemu),
        Parser("file name of QEMU", _of(text, FILE_NAMES), _io_path.from_qemu_filename),
        Parser("qemu-img info", _of(as_json, [*INFOS, *_infos()]), lambda one: _source.source_from_info("/a/b", one)),
        Parser("qemu-img info of a chain", _of(as_json, [list(INFOS)]), _chain),
        Parser("qemu-img map", _of(as_json, (MAP[:1], MAP[:3], MAP)), _map),
        Parser("qemu-img measure", _of(as_json, ({"required": 1, "fully-allocated": 2},)), _required),
        Parser("fio's result", _of(as_json, _jsons("fio/*-rand*.json")), _benchmark.measured),
        Parser("head of an image", _of(data, _heads()), _header),
        Parser("command line", _of(text, (COMMAND_LINE,)), _argv),
        Parser("dom_md/metadata", _of(_sealed, (METADATA,)), _storage_domain.StorageDomain.from_text),
        Parser(".meta", _of(text, (VOLUME.to_text(), VOLUME.to_text(3))), _meta),
        Parser("note of use", _of(as_json, (json.loads(RECORD),)), _use_record.UseRecord.from_text),
        Parser("lease", _of(_summed, (lease,)), _leases.Leader.from_bytes),
        Parser("index of leases", _of(data, (index,)), _xleases.XLeaseIndex.from_bytes),
        Parser("seed", _of(data, (_seed(),)), _seeds._files_in),
        Parser(
            "mount table",
            _of(text, (TABLE,)),
            lambda one: (_mount_table.parse_table(one), _mount_table.mount_points(one)),
        ),
        Parser("fstab", _of(text, (FSTAB,)), _fstab),
        Parser("table of sockets", _of(text, (SOCKETS,)), _qemu_connections.peers_in),
    )
