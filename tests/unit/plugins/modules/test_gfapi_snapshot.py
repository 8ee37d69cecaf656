# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import os
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _files, _snapshot, _xml
from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_files as storage_domain_files
from ansible_collections.gfapi.virt.plugins.module_utils._disk import DiskSource, Layer
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord
from ansible_collections.gfapi.virt.plugins.module_utils._errors import LibvirtError, StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._image import ImageVolume, image_uuid_of
from ansible_collections.gfapi.virt.plugins.module_utils._image_users import ImageUser
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Item
from ansible_collections.gfapi.virt.plugins.module_utils._qemu_img import Backing
from ansible_collections.gfapi.virt.plugins.module_utils._snapshot_files import Layers
from ansible_collections.gfapi.virt.plugins.module_utils._storage import Storage
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec
from ansible_collections.gfapi.virt.plugins.modules import gfapi_disk, gfapi_snapshot
from ansible_collections.gfapi.virt.tests.unit.fakes import (
    FakeImageUsers,
    FakeMounts,
    FakeQemuImg,
    FakeServers,
    hold_open,
)
from ansible_collections.gfapi.virt.tests.unit.killing import killed_at, noted_by_name

SPEC = VolumeSpec(("gl1",), "gv0")
AGENT = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>"


class Jobs:
    """libvirt with one domain, in real XML; live commits do nothing, as fake images have no data."""

    def __init__(self) -> None:
        self.record: DomainRecord | None = None
        self.quiesced: list[bool] = []
        self.has_reader = True
        self.agent_hangs = False

    def agent_answers(self, _name: str) -> bool:
        return not self.agent_hangs

    def require_reader(self, what: str) -> None:
        if not self.has_reader:
            raise LibvirtError(what)

    def domain(self, name: str) -> DomainRecord | None:
        return self.record if self.record and self.record.name == name else None

    def define(self, element: _xml.Element) -> None:
        self.record = replace(t.cast(DomainRecord, self.record), inactive=element)

    def snapshot(self, name: str, element: _xml.Element, *, quiesce: bool) -> None:
        self.quiesced.append(quiesce)
        record = t.cast(DomainRecord, self.record)
        sources = {}
        for disk in element.iterfind("disks/disk[@snapshot='external']"):
            sources[disk.get("name")] = _disk.source_from(disk.find("source"))
        live = _xml.clone(t.cast(_xml.Element, record.live))
        for node in live.iterfind("devices/disk"):
            old = _disk.from_element(node)
            backing = (Layer(old.source, old.format), *(old.backing or ()))
            if old.target in sources:
                _disk.write_into(node, replace(old, source=sources[old.target], format="qcow2", backing=backing))
        self.record = replace(record, live=live)


class Host:
    """A host with the storage domain vmstore, and domain web on its disks."""

    def __init__(self, root: Path) -> None:
        (root / "volumes").mkdir()
        self.mounts = FakeMounts(root / "volumes")
        self.qemu_img = FakeQemuImg()
        self.users = FakeImageUsers()
        self.jobs = Jobs()
        self.mount_root = root / "mnt"
        point = str(self.mount_root / SPEC.mount_name)
        self.mounts.make_volume(SPEC.location)
        self.mounts.mount(SPEC, point)
        self.uuid = storage_domain_files.lay_out(point, "vmstore", SPEC, (os.getuid(), os.getgid())).uuid
        self.images = Path(point, self.uuid, "images")

    def storage(self) -> Storage:
        return Storage(t.cast("t.Any", self.mounts), t.cast("t.Any", self.qemu_img), mount_root=str(self.mount_root))

    def make(self, *names: str) -> None:
        storage = self.storage()
        place = storage.find("vmstore")
        for name in names:
            values = {"format": "qcow2", "capacity_bytes": 1 << 20, "created_at": 1}
            storage.create(place, ImageVolume.base(self.uuid, name, note="of web", **values))

    def define(self, *names: str, running: bool = False, devices: str = "") -> None:
        root = _xml.parse(f"<domain type='kvm'><name>web</name><devices>{devices}</devices></domain>")
        for number, name in enumerate(names):
            leaf = t.cast(t.Any, self.storage().find_image("vmstore", name)).image.leaf
            path = f"{self.uuid}/images/{leaf.image_uuid}/{leaf.uuid}"
            source = DiskSource.gluster("gv0", path, ["gl1", "gl2"])
            disk = _disk.gluster_disk(source, "qcow2", target=_disk.target_name("vd", number))
            t.cast(t.Any, root.find("devices")).append(_disk.to_element(disk))
        live = _xml.clone(root) if running else None
        state = "running" if running else "shut_off"
        self.jobs.record = DomainRecord("web", "u", state, root, live, autostart=False)

    def plan(self, name: str = "one", **params: t.Any) -> Item:
        given = {key: option.get("default") for key, option in gfapi_snapshot.ARGUMENT_SPEC.items()}
        given.update({"name": name, **({} if "disks" in params else {"vm": "web"}), **params})
        jobs, users = t.cast("t.Any", self.jobs), t.cast("t.Any", self.users)
        return gfapi_snapshot.make_item(given, self.storage(), jobs, users)

    def run(self, name: str = "one", **params: t.Any) -> Item:
        """Carried out as planned; a second plan finds nothing to do."""
        item = self.plan(name, **params)
        for action in item.plan.actions:
            action.run()
        again = self.plan(name, **params)
        assert again.plan.summaries == []
        assert [disk["snapshots"] for disk in again.predicted["disks"]] == [
            disk["snapshots"] for disk in item.predicted["disks"]
        ]
        return item

    def files(self, name: str) -> list[str]:
        return sorted(path.name for path in (self.images / image_uuid_of(self.uuid, name)).iterdir())

    def chain(self, target: str) -> list[str]:
        record = t.cast(DomainRecord, self.jobs.record)
        node = next(
            n for n in record.inactive.iterfind("devices/disk") if n.find(f"target[@dev='{target}']") is not None
        )
        disk = _disk.from_element(node)
        assert {host.name for host in disk.source.hosts} == {"gl1", "gl2"}
        sources = (disk.source, *(layer.source for layer in disk.backing or ()))
        return [t.cast(str, source.name).rpartition("/")[2] for source in sources]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.make("a", "b")
    made.define("a", "b")
    return made


def test_taken_reverted_and_removed_with_the_domain_shut_off(host: Host) -> None:
    taken = host.run(description="before all")
    assert taken.plan.summaries == [
        "create snapshot one of disk a",
        "create snapshot one of disk b",
        "have domain web go on with the new layer of disk a, b at its next start",
    ]
    assert taken.plan.after == {name: {"snapshots": ["one"], "holds_changes": False} for name in "ab"}
    assert taken.read
    volumes = taken.read()["disks"][0]["volumes"]
    assert [(one["snapshot"], one["snapshot_description"]) for one in volumes] == [("", ""), ("one", "before all")]
    names = [volume["volume_uuid"] for volume in volumes]
    assert host.chain("vda") == names
    assert host.files("a") == sorted(f"{name}{end}" for name in names for end in ("", ".meta", ".lease"))
    assert Path(volumes[0]["path"]).stat().st_size % 4096 == 0
    assert host.run(state="reverted").plan.summaries == []
    host.run("two")
    assert len(host.chain("vda")) == 3
    back = host.run(state="reverted")
    assert back.plan.summaries == [
        f"revert disk {name} to snapshot one, without snapshot two, which was taken later" for name in "ab"
    ]
    assert len(host.chain("vda")) == 2
    gone = host.run(state="absent")
    assert gone.plan.summaries == [f"remove snapshot one of disk {name}" for name in "ab"]
    assert host.chain("vda") == [names[-1]]
    assert host.files("a") == sorted(f"{names[-1]}{end}" for end in ("", ".meta", ".lease"))
    assert sorted(path.name for path in host.images.iterdir()) == sorted(image_uuid_of(host.uuid, n) for n in "ab")
    found = host.storage().require_image("vmstore", "a")
    assert (found.image.leaf.note, found.image.leaf.role) == ("of web", "LEAF")


def test_a_failed_switch_is_taken_back(host: Host) -> None:
    before = host.files("a")
    item = host.plan()
    for action in item.plan.actions[:2]:
        action.run()
    for action in item.plan.actions[:2]:
        assert action.undo
        action.undo.run()
    assert host.files("a") == before
    assert not host.storage().require_image("vmstore", "a").image.leaf.snapshot


def test_a_killed_run_is_finished(host: Host) -> None:
    host.plan().plan.actions[0].run()
    stray = next(
        path
        for path in host.images.glob("*/*.meta")
        if '"Snapshot"' not in path.read_text() and "COW" in path.read_text()
    )
    assert stray
    assert host.run().plan.summaries == [
        "create snapshot one of disk b",
        "have domain web go on with the new layer of disk a, b at its next start",
    ]


def test_a_run_killed_anywhere_leaves_nothing_after_the_next_one(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "LINGERS_S", 0)
    point, killed = 0, True
    while killed:
        item = host.plan(str(point))
        killed = killed_at(point, item.plan.actions[0].run)
        host.run(str(point))
        uuids = {volume["volume_uuid"] for volume in host.plan(str(point)).predicted["disks"][0]["volumes"]}
        suffixes = ("", ".lease", ".meta")
        assert set(host.files("a")) == {f"{uuid}{suffix}" for uuid in uuids for suffix in suffixes}
        assert not list(host.images.glob(".*"))
        host.run(str(point), state="absent")
        point += 1
    assert point > 20


def test_what_killed_runs_left_goes_with_the_next_one(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "LINGERS_S", 0)
    image = image_uuid_of(host.uuid, "a")
    (host.images / f".gfapi-virt-{image}-01234567").mkdir()
    item = host.plan()
    assert item.plan.summaries[0] == "remove what a killed run left of disk a"
    host.run()
    (host.images / f".gfapi-virt-{image}-01234567").mkdir()
    assert host.run().plan.summaries == ["remove what a killed run left of disk a"]
    assert not list(host.images.glob(".*"))


def test_a_layer_without_meta_is_swept_by_the_next(host: Host) -> None:
    host.plan().plan.actions[0].run()
    image = image_uuid_of(host.uuid, "a")
    leaf = host.storage().require_image("vmstore", "a").image.leaf
    (host.images / image / f"{leaf.uuid}.meta").unlink()
    host.run()
    assert leaf.uuid not in host.files("a")
    assert len(host.files("a")) == 6


def test_a_layer_without_meta_that_somebody_has_open_is_left_alone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.plan().plan.actions[0].run()
    found = host.storage().require_image("vmstore", "a")
    leaf = found.image.leaf.uuid
    (host.images / found.image_uuid / f"{leaf}.meta").unlink()
    layers = Layers(FakeQemuImg(), found.place, found.image)  # type: ignore[arg-type]
    hold_open(monkeypatch, leaf)
    layers.sweep()
    assert leaf in host.files("a")
    hold_open(monkeypatch)
    layers.sweep()
    assert leaf not in host.files("a")


def test_a_layer_that_names_a_file_of_the_host_is_not_committed(host: Host) -> None:
    host.run()
    found = host.storage().require_image("vmstore", "a")
    forged = FakeQemuImg().empty_qcow2(found.image.leaf.capacity_bytes, "1.1", Backing("/etc/shadow", "raw"))
    Path(found.path).write_bytes(forged)
    layers = Layers(FakeQemuImg(), found.place, found.image)  # type: ignore[arg-type]
    with pytest.raises(StorageError, match="its header names '/etc/shadow' as its backing file, and its .meta"):
        layers.commit(found.image.volumes[1], found.image.leaf, None)


def test_a_layer_without_meta_goes_when_its_snapshot_is_taken_back(host: Host) -> None:
    before = host.files("a")
    host.plan().plan.actions[0].run()
    leaf = host.storage().require_image("vmstore", "a").image.leaf
    (host.images / leaf.image_uuid / f"{leaf.uuid}.meta").unlink()
    host.run(state="absent")
    assert host.files("a") == before


def test_taken_live_at_one_moment(host: Host) -> None:
    host.define("a", "b", running=True)
    item = host.run()
    assert item.plan.summaries[-1] == "have domain web go on with the new layer of disk a, b live"
    assert host.jobs.quiesced == [False]
    record = t.cast(DomainRecord, host.jobs.record)
    use = _snapshot.use_of("web", record.live, record.inactive, image_uuid_of(host.uuid, "a"))
    assert use
    assert use.live == use.configured
    host.run("two")
    with pytest.raises(StorageError, match="domain web is running.*shut it down"):
        host.plan(state="reverted")


def test_what_libvirt_lacks_is_told_before_layers_below_a_running_domain_change(host: Host) -> None:
    host.define("a", running=True)
    host.run("one")
    host.run("two")
    host.jobs.has_reader = False
    with pytest.raises(LibvirtError, match="disk 'a': snapshot one cannot be removed live"):
        host.plan(state="absent")
    assert host.plan(name="two", state="absent").plan.summaries == ["remove snapshot two of disk a live"]
    host.define("a")
    assert host.plan(state="absent").plan.summaries == ["remove snapshot one of disk a"]


@pytest.mark.parametrize(
    ("word", "agent", "frozen"),
    [("auto", True, True), ("auto", False, False), ("false", True, False), ("true", True, True)],
)
def test_file_systems_are_frozen_where_the_agent_answers(host: Host, word: str, agent: bool, frozen: bool) -> None:
    host.define("a", running=True, devices=AGENT if agent else "")
    assert host.run(quiesce=word).plan.summaries[-1].endswith("frozen meanwhile") == frozen
    assert host.jobs.quiesced == [frozen]


@pytest.mark.parametrize("hangs", [False, True])
def test_without_an_agent_nothing_is_frozen(host: Host, hangs: bool) -> None:
    host.define("a", running=True, devices=AGENT if hangs else "")
    host.jobs.agent_hangs = hangs
    assert host.plan().plan.summaries[-1].endswith(" live")
    with pytest.raises(ValueError, match="quiesce is true, and no guest agent answers"):
        host.plan(quiesce="true")


def test_disks_without_a_domain(host: Host) -> None:
    host.make("c")
    params = {"disks": ["c"], "storage_domain": "vmstore"}
    item = host.run(**params)
    assert (item.plan.summaries, item.predicted["vm"]) == (["create snapshot one of disk c"], None)
    host.run("two", **params)
    host.run(**params, state="absent")
    assert f"rebase {host.storage().require_image('vmstore', 'c').image.volumes[1].uuid} qcow2" in host.qemu_img.runs
    with pytest.raises(ValueError, match="name the storage domain"):
        host.plan(disks=["c"])
    host.users.users[image_uuid_of(host.uuid, "a")] = [ImageUser("web", False, "vda")]
    assert host.run(disks=["a"], storage_domain="vmstore").predicted["vm"] == "web"
    assert [len(host.chain(target)) for target in ("vda", "vdb")] == [2, 1]


def test_what_cannot_be_taken_is_named(host: Host, tmp_path: Path) -> None:
    def refused(words: str, **params: t.Any) -> None:
        with pytest.raises((ValueError, StorageError), match=words):
            host.plan(**params)

    refused("no domain 'db'", vm="db")
    refused("has no disk x in a storage domain", disks=["x"], vm="web")
    refused("listed twice", disks=["a", "a"], vm="web")
    refused("disks is empty", disks=[])
    refused("has no disk 'x'", disks=["x"], storage_domain="vmstore")
    refused("has no snapshot 'one' .it has none.", state="reverted")
    refused("begins or ends with a blank", name=" one")
    refused("too long for its .meta", name="n" * 200)
    host.users.users[image_uuid_of(host.uuid, "a")] = [ImageUser("db", True, "vdc")]
    refused(r"disk 'a' is in use by domain db \(running, disk vdc\)")
    host.users.users.clear()
    file = "<disk type='file' device='disk'><source file='/x.img'/><target dev='vdz'/></disk>"
    host.define("a", devices=file)
    refused(r"are no images of a storage domain mounted here \(vdz\)")
    host.define("a")
    record = t.cast(DomainRecord, host.jobs.record)
    host.jobs.record = replace(record, saved=record.inactive)
    refused("has a managed save")
    host.jobs.record = replace(record, persistent=False)
    refused("is transient")


def test_an_image_that_another_host_has_open_is_left_alone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run()
    host.run("two")
    leaf = host.storage().require_image("vmstore", "a").image.leaf
    hold_open(monkeypatch, leaf.uuid)
    for params in ({"name": "three"}, {"state": "absent"}, {"state": "reverted"}):
        with pytest.raises(StorageError, match="cannot be .*its bricks have image"):
            host.plan(**params)


def test_a_layer_of_another_image_is_left_alone(host: Host) -> None:
    host.run()
    below = host.storage().require_image("vmstore", "a").image.volumes[1]
    clone = host.images / "11111111-1111-4111-8111-111111111111"
    clone.mkdir()
    for path in (host.images / below.image_uuid).iterdir():
        os.link(path, clone / path.name)
    with pytest.raises(StorageError, match="is a layer of disk 'a' too"):
        host.plan(disks=[image_uuid_of(host.uuid, "a")], vm="web", state="absent")


def test_a_disk_with_snapshots_is_what_it_was_made_as(host: Host) -> None:
    storage = host.storage()
    values = {"format": "raw", "capacity_bytes": 1 << 20, "created_at": 1, "preallocated": True}
    storage.create(storage.find("vmstore"), ImageVolume.base(host.uuid, "r", note="", **values))
    host.run(disks=["r"], storage_domain="vmstore")
    disk = {key: option.get("default") for key, option in gfapi_disk.ARGUMENT_SPEC.items()}
    disk |= {"name": "r", "storage_domain": "vmstore", "format": "raw", "preallocation": "full", "size": "1MiB"}

    def item() -> Item:
        servers, users = t.cast("t.Any", FakeServers("gl2")), t.cast("t.Any", host.users)
        return t.cast(Item, gfapi_disk.make_items(disk, host.storage(), servers, users))

    assert (item().plan.summaries, item().warnings) == ([], ())
    assert [node["driver"] for node in item().predicted["backing_blockdevs"]] == ["raw"]
    found = host.storage().require_image("vmstore", "r")
    marked = _snapshot.marked(found.image.volumes[1], _snapshot.COMMIT)
    path = host.images / found.image_uuid / f"{marked.uuid}.meta"
    path.write_text(marked.to_text())
    with pytest.raises(StorageError, match="is not LEGAL; finish what was interrupted .gfapi.virt.gfapi_snapshot"):
        item()


def test_a_vm_that_started_elsewhere_since_the_plan_is_seen(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.make("alone")
    item = host.plan(disks=["alone"], storage_domain="vmstore")
    (meta,) = (host.images / image_uuid_of(host.uuid, "alone")).glob("*.meta")
    before = meta.read_text()
    hold_open(monkeypatch, meta.stem)
    with pytest.raises(StorageError, match="disk 'alone' cannot be taken a snapshot of: its bricks have image"):
        item.plan.actions[0].run()
    assert (meta.read_text(), len(list(meta.parent.glob("*.meta")))) == (before, 1)


@pytest.mark.parametrize(("state", "word"), [("absent", "committed"), ("reverted", "reverted")])
def test_layers_of_a_vm_that_started_elsewhere_since_the_plan_stay(
    host: Host, monkeypatch: pytest.MonkeyPatch, state: str, word: str
) -> None:
    params: dict[str, t.Any] = {"disks": ["alone"], "storage_domain": "vmstore"}
    host.make("alone")
    host.run(**params)
    host.run("two", **params)
    item = host.plan(state=state, **params)
    before, leaf = host.files("alone"), host.storage().require_image("vmstore", "alone").image.leaf
    with monkeypatch.context() as patch:
        hold_open(patch, leaf.uuid)
        with pytest.raises(StorageError, match=f"disk 'alone' cannot be {word}: its bricks have image"):
            item.plan.actions[0].run()
    assert host.files("alone") == before
    assert "commit" not in host.qemu_img.runs
    host.run(state=state, **params)
    assert host.files("alone") != before


def test_a_new_layer_is_on_disk_before_it_gets_its_name_and_its_meta_comes_last(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.make("alone")
    item = host.plan(disks=["alone"], storage_domain="vmstore")
    calls = noted_by_name(monkeypatch)
    item.plan.actions[0].run()
    leaf = host.storage().require_image("vmstore", "alone").image.leaf
    files = [f"{leaf.uuid}{end}" for end in ("", ".lease", ".meta")]
    there = [call for name in files for call in (f"rename {name}", f"fsync {leaf.image_uuid}")]
    wanted = [*(f"fsync {name}" for name in files), *there]
    begun = calls.index(f"fsync {leaf.uuid}")
    assert [call for call in calls[begun:] if call in wanted] == wanted


def test_what_is_committed_is_on_disk_before_the_meta_says_so_and_what_is_removed_stays_removed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    params: dict[str, t.Any] = {"disks": ["alone"], "storage_domain": "vmstore"}
    host.make("alone")
    host.run(**params)
    gone, target = host.storage().require_image("vmstore", "alone").image.volumes
    item = host.plan(state="absent", **params)
    calls = noted_by_name(monkeypatch)
    item.plan.actions[0].run()
    # marked, then what it has become
    meta = f"rename {target.uuid}.meta"
    assert [call for call in calls if call in (meta, f"fsync {target.uuid}")][:3] == [
        meta,
        f"fsync {target.uuid}",
        meta,
    ]
    removed = [f"unlink {gone.uuid}", f"unlink {gone.uuid}.lease", f"unlink {gone.uuid}.meta"]
    begun = calls.index(removed[0])
    assert calls[begun : begun + 4] == [*removed, f"fsync {gone.image_uuid}"]


@pytest.mark.parametrize("state", ["present", "absent", "reverted"])
def test_a_disk_that_its_vm_has_under_another_name_is_left_alone(host: Host, state: str) -> None:
    params: dict[str, t.Any] = {"disks": ["alone"], "storage_domain": "vmstore"}
    host.make("alone")
    host.run(**params)
    host.users.users[image_uuid_of(host.uuid, "alone")] = [ImageUser("web", True, "vdc")]
    words = r"disk 'alone' is in use by domain web \(running, disk vdc\) under another name, .*; have gfapi"
    with pytest.raises(StorageError, match=words):
        host.plan("two" if state == "present" else "one", state=state, **params)


@pytest.mark.parametrize("state", ["present", "absent", "reverted"])
def test_layers_that_another_run_works_on_are_left_to_it(host: Host, state: str) -> None:
    params: dict[str, t.Any] = {"disks": ["alone"], "storage_domain": "vmstore"}
    host.make("alone")
    host.run(**params)
    host.run("two", **params)
    item = host.plan("three" if state == "present" else "one", state=state, **params)
    folder = host.images / image_uuid_of(host.uuid, "alone")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    lease = host.storage().require_image("vmstore", "alone").image.first.uuid + ".lease"
    with (folder / lease).open("rb+") as another:
        fcntl.flock(another, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="disk 'alone': another run works on its snapshots; run again when"):
            item.plan.actions[0].run()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    item.plan.actions[0].run()
    assert set(host.files("alone")) != set(before)


def test_a_snapshot_that_another_run_takes_meanwhile_is_that_runs(host: Host) -> None:
    """Which may still take it back; so this run has not done what it said."""
    params: dict[str, t.Any] = {"disks": ["alone"], "storage_domain": "vmstore"}
    host.make("alone")
    late = host.plan(**params)
    host.run(**params)
    files = host.files("alone")
    with pytest.raises(StorageError, match="disk 'alone': another run took snapshot one of it meanwhile; run again"):
        late.plan.actions[0].run()
    assert host.files("alone") == files
    assert host.plan(**params).plan.actions == ()


def test_a_layer_without_a_header_is_named(host: Host) -> None:
    host.make("alone")
    (meta,) = (host.images / image_uuid_of(host.uuid, "alone")).glob("*.meta")
    meta.with_suffix("").write_bytes(b"")
    with pytest.raises(StorageError, match=f"disk 'alone': {meta.stem}: it is no qcow2 image"):
        host.plan(disks=["alone"], storage_domain="vmstore")


def test_a_file_that_somebody_had_begun_is_left_alone(host: Host) -> None:
    host.make("alone")
    (meta,) = (host.images / image_uuid_of(host.uuid, "alone")).glob("*.meta")
    begun = meta.with_name("11111111-1111-1111-1111-111111111111")
    begun.write_bytes(b"")
    host.run(disks=["alone"], storage_domain="vmstore")
    assert begun.exists()
