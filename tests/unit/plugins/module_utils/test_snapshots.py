# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots, killed before and after each thing that they change: what the guest sees is never lost."""

from __future__ import annotations

import contextlib
import copy
import functools
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _block_jobs, _disk, _snapshot, _snapshot_files, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._disk import DiskSource, Host, Layer
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord
from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._files import Directory
from ansible_collections.gfapi.virt.plugins.module_utils._image import Image, ImageVolume
from ansible_collections.gfapi.virt.plugins.module_utils._snapshot import State, Use
from ansible_collections.gfapi.virt.plugins.module_utils._snapshots import DiskLayers, switch
from ansible_collections.gfapi.virt.plugins.module_utils._use_record import OtherUses, ThisHost, UseRecord

STORAGE_DOMAIN = "00000000-0000-4000-8000-000000000001"
SERVERS = (Host("gluster1"), Host("gluster2"))


def uuid_of(image: str, number: int) -> str:
    return f"{image[:8]}-0000-4000-8000-{number:012d}"


class KilledError(BaseException):
    """The run ends here, and puts nothing in order."""


@dataclass
class World:
    """Images as dicts of blocks, and one domain. Counts what changes, and kills the run at one of them."""

    metas: dict[str, dict[str, ImageVolume]] = field(default_factory=dict)
    data: dict[str, dict[str, dict[int, str]]] = field(default_factory=dict)
    backing: dict[str, dict[str, str]] = field(default_factory=dict)
    #: by image
    live: dict[str, list[str]] | None = None
    configured: dict[str, list[str]] | None = field(default_factory=dict)
    #: image → (base, top) of a job of the active layer
    mirrors: dict[str, tuple[str, str]] = field(default_factory=dict)
    kill_at: int = -1
    changes: int = 0
    made: int = 0

    def change(self) -> None:
        self.changes += 1
        if self.changes == self.kill_at:
            raise KilledError

    def add(self, image: str, **content: str) -> None:
        base = uuid_of(image, 0)
        about = '{"DiskAlias":"' + image[:4] + '","DiskDescription":"kept"}'
        self.metas[image] = {base: ImageVolume(base, image, STORAGE_DOMAIN, about, "raw", 4096, 1)}
        self.data[image] = {base: {}}
        self.backing[image] = {}
        if self.configured is not None:
            self.configured[image] = [base]

    def seen(self, image: str, volume: str) -> dict[int, str]:
        """What a guest on that layer sees, by the headers of the files."""
        below = self.backing[image].get(volume)
        return {**(self.seen(image, below) if below else {}), **self.data[image][volume]}

    def own(self, image: str) -> str:
        """The image volume that the domain has, or would start on."""
        chains = self.configured if self.live is None else self.live
        return chains[image][0] if chains else _snapshot_leaf(self, image)

    def guest_writes(self, text: str) -> None:
        for image in self.metas:
            own = self.own(image)
            self.data[image][own][len(self.data[image][own])] = text
            if image in self.mirrors:
                self.data[image][self.mirrors[image][0]].update(self.seen(image, own))

    def start(self) -> None:
        self.live = {image: list(chain) for image, chain in (self.configured or {}).items()}

    def stop(self) -> None:
        self.live = None
        self.mirrors.clear()


def _snapshot_leaf(world: World, image: str) -> str:
    state = State(image, world.metas[image], {}, frozenset())
    target = state.committed_into
    done = target is not None and _snapshot.mark_of(target) == _snapshot.COMMITTED
    return target.uuid if target and done and target.role == "LEAF" else state.leaf.uuid


class FakeLayers:
    """Stands in for `Layers`; each of its changes may be the one at which the run is killed."""

    def __init__(self, world: World, image: str) -> None:
        self.world, self.image_uuid, self.name = world, image, image[:4]
        self.metas, self.data, self.backing = world.metas[image], world.data[image], world.backing[image]

    def read(self, use: Use | None) -> State:
        empty = frozenset(uuid for uuid in self.backing if uuid in self.data and not self.data[uuid])
        return State(self.name, dict(self.metas), dict(self.backing), empty, use)

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[None]:
        yield

    def is_open(self) -> bool:
        return False

    def write(self, volume: ImageVolume) -> None:
        self.world.change()
        self.metas[volume.uuid] = volume

    def overlay(self, parent: ImageVolume, like: ImageVolume | None = None) -> None:
        self.world.made += 1
        volume = _snapshot.overlay_of(parent, uuid_of(self.image_uuid, self.world.made), created_at=2, like=like)
        self.world.change()
        self.data[volume.uuid] = {}
        self.backing[volume.uuid] = parent.uuid
        self.write(volume)

    def sweep(self) -> None:
        for stray in self.data.keys() - self.metas.keys():
            self.world.change()
            del self.data[stray]

    def commit(self, target: ImageVolume, child: ImageVolume, upper: ImageVolume | None) -> None:
        for block, text in self.data[child.uuid].items():
            self.world.change()
            self.data[target.uuid][block] = text
        self.world.change()
        if upper:
            self.backing[upper.uuid] = target.uuid

    def pad(self, volume: ImageVolume) -> None:
        self.world.change()

    def remove(self, volume: ImageVolume) -> None:
        self.world.change()
        self.data.pop(volume.uuid, None)
        self.world.change()
        self.metas.pop(volume.uuid, None)
        self.backing.pop(volume.uuid, None)


class FakeJobs:
    """Stands in for `BlockJobs`: a domain in real XML."""

    def __init__(self, world: World) -> None:
        self.world = world

    def domain(self, name: str) -> DomainRecord | None:
        world = self.world
        if world.configured is None:
            return None
        live = None if world.live is None else self._xml(name, world.live)
        inactive = self._xml(name, world.configured)
        return DomainRecord(name, "u", "running" if world.live else "shut_off", inactive, live, autostart=False)

    def _xml(self, name: str, chains: dict[str, list[str]]) -> _xml.Element:
        root = _xml.parse(f"<domain type='qemu'><name>{name}</name><devices/></domain>")
        devices = t.cast(t.Any, root.find("devices"))
        for number, (image, chain) in enumerate(chains.items()):
            layers = [self._layer(image, volume) for volume in chain]
            target = _disk.target_name("vd", number)
            disk = _disk.gluster_disk(layers[0].source, layers[0].format, target=target, backing=tuple(layers[1:]))
            element = _disk.to_element(disk)
            for place, source in enumerate(list(element.iter("source"))):
                source.set("index", str(place))
            if chains is self.world.live and image in self.world.mirrors:
                element.append(_xml.element("mirror", {"job": "active-commit", "ready": "yes"}))
            devices.append(element)
        return root

    def _layer(self, image: str, volume: str) -> Layer:
        source = DiskSource(protocol="gluster", name=f"vol/{STORAGE_DOMAIN}/images/{image}/{volume}", hosts=SERVERS)
        return Layer(source, "qcow2" if volume in self.world.backing[image] else "raw")

    def define(self, element: _xml.Element) -> None:
        self.world.change()
        self.world.configured = _chains(element)

    def snapshot(self, name: str, element: _xml.Element, *, quiesce: bool) -> None:
        self.world.change()
        for disk in element.iterfind("disks/disk[@snapshot='external']"):
            place = _snapshot.image_of(_disk.source_from(disk.find("source")))
            assert place is not None
            for chains in (self.world.live, self.world.configured):
                assert chains is not None
                chains[place[1]].insert(0, place[2])

    def commit(self, name: str, target: str, base: str, top: str, *, active: bool) -> None:
        assert self.world.live is not None
        image = list(self.world.live)[_disk.target_index(target, "vd")]
        chain = self.world.live[image]
        below, above = (chain[int(layer.split("[")[1][:-1])] for layer in (base, top))
        self.world.change()
        if active:
            assert chain[0] == above
            self.world.mirrors[image] = (below, above)
        self.world.data[image][below].update(self.world.data[image][above])
        self.world.change()
        if not active:
            upper = chain[chain.index(above) - 1]
            self.world.backing[image][upper] = below
            for chains in (self.world.live, self.world.configured):
                assert chains is not None
                chains[image].remove(above)

    def pivot(self, name: str, target: str) -> None:
        assert self.world.live is not None
        assert self.world.configured is not None
        image = list(self.world.live)[_disk.target_index(target, "vd")]
        self.world.change()
        _base, top = self.world.mirrors.pop(image)
        for chains in (self.world.live, self.world.configured):
            chains[image].remove(top)


def _chains(element: _xml.Element) -> dict[str, list[str]]:
    found = {}
    for node in element.iterfind("devices/disk"):
        disk = _disk.from_element(node)
        assert disk.source.hosts == SERVERS
        places = [_snapshot.image_of(source) for source in (disk.source, *(one.source for one in disk.backing or ()))]
        found[places[0][1]] = [place[2] for place in places if place]
    return found


IMAGES = ("aaaa0000-0000-4000-8000-000000000000", "bbbb0000-0000-4000-8000-000000000000")


def disks_of(world: World) -> list[DiskLayers]:
    domain = None if world.configured is None else "web"
    return [
        DiskLayers(t.cast(t.Any, FakeLayers(world, image)), t.cast(t.Any, FakeJobs(world)), domain, OtherUses())
        for image in IMAGES
    ]


def take(world: World, name: str) -> None:
    disks = disks_of(world)
    for disk in disks:
        _snapshot.creation_step(disk.state(), name)
    for disk in disks:
        disk.create(name, "")
    if world.configured is not None:
        switch(t.cast(t.Any, FakeJobs(world)), "web", disks, name, quiesce=False)


def remove(world: World, name: str) -> None:
    for disk in disks_of(world):
        disk.carry_out(lambda state: _snapshot.removal_step(state, name))


def revert(world: World, name: str) -> None:
    for disk in disks_of(world):
        disk.carry_out(lambda state: _snapshot.revert_step(state, name))


def new_world(*, running: bool, domain: bool = True) -> World:
    return copy.deepcopy(_new_world(running, domain))


@functools.cache
def _new_world(running: bool, domain: bool) -> World:
    """Two disks with snapshots one, two and three, the guest having written before and after each."""
    world = World(configured={} if domain else None)
    for image in IMAGES:
        world.add(image)
    if running:
        world.start()
    world.guest_writes("base")
    for name in ("one", "two", "three"):
        take(world, name)
        world.guest_writes(name)
    return world


def assert_right(world: World, snapshots: list[str]) -> None:
    """Every chain is the same by `.meta`, header and domain; nothing is left over, and all of it is usable."""
    for image in IMAGES:
        metas = world.metas[image]
        chain = Image.from_volumes(image, metas.values()).volumes
        names = [volume.uuid for volume in chain]
        assert [volume.snapshot for volume in chain] == ["", *reversed(snapshots)]
        assert {volume.legality for volume in chain} == {"LEGAL"}
        assert not any(volume.other for volume in chain)
        assert [volume.role for volume in chain] == ["LEAF"] + ["INTERNAL"] * len(snapshots)
        assert (chain[0].alias, chain[0].note) == (image[:4], "kept")
        assert set(metas) == set(names) == set(world.data[image])
        assert [world.backing[image].get(name) for name in names] == [*names[1:], None]
        for chains in (world.live, world.configured):
            assert chains is None or chains[image] == names
    assert not world.mirrors


CASES = {
    "take": (take, "four", ["one", "two", "three", "four"]),
    "remove the oldest": (remove, "one", ["two", "three"]),
    "remove one between": (remove, "two", ["one", "three"]),
    "remove the newest": (remove, "three", ["one", "two"]),
    "revert to the newest": (revert, "three", ["one", "two", "three"]),
    "revert to the oldest": (revert, "one", ["one"]),
}


@pytest.mark.parametrize("domain", ["running", "shut off", "none"])
@pytest.mark.parametrize("case", CASES)
def test_killed_anywhere_the_next_run_ends_right(case: str, domain: str) -> None:
    work, name, snapshots = CASES[case]
    if work is revert and domain == "running":
        return
    world = new_world(running=domain == "running", domain=domain != "none")
    begun = world.changes
    seen = {image: world.seen(image, world.own(image)) for image in IMAGES}
    expected = {image: _blocks_at(world, image, name) for image in IMAGES} if work is revert else seen
    work(world, name)
    assert {image: world.seen(image, world.own(image)) for image in IMAGES} == expected
    assert_right(world, snapshots)
    needed = world.changes - begun
    work(world, name)
    assert world.changes == begun + needed
    for point in range(1, needed + 1):
        world = new_world(running=domain == "running", domain=domain != "none")
        world.kill_at = begun + point
        with pytest.raises(KilledError):
            work(world, name)
        if work is not revert:
            assert {image: world.seen(image, world.own(image)) for image in IMAGES} == seen, point
        work(world, name)
        assert {image: world.seen(image, world.own(image)) for image in IMAGES} == expected, point
        _sweep(world)
        assert_right(world, snapshots)


def _blocks_at(world: World, image: str, name: str) -> dict[int, str]:
    volume = next(volume for volume in world.metas[image].values() if volume.snapshot == name)
    return world.seen(image, volume.uuid)


def _sweep(world: World) -> None:
    """What `Layers` sweeps away when it makes the next layer: empty, and without a `.meta`."""
    for image in IMAGES:
        for uuid in set(world.data[image]) - set(world.metas[image]):
            assert not world.data[image].pop(uuid)
            world.backing[image].pop(uuid)


@pytest.mark.parametrize("after", ["writes", "stops", "stops and starts"])
def test_a_guest_that_goes_on_after_a_killed_live_removal_loses_nothing(after: str) -> None:
    world = new_world(running=True)
    begun = world.changes
    remove(world, "three")
    for point in range(1, world.changes - begun + 1):
        world = new_world(running=True)
        world.kill_at = begun + point
        with pytest.raises(KilledError):
            remove(world, "three")
        world.guest_writes("later")
        if "stops" in after:
            world.stop()
        if "starts" in after:
            world.start()
            world.guest_writes("again")
        seen = {image: world.seen(image, world.own(image)) for image in IMAGES}
        remove(world, "three")
        assert {image: world.seen(image, world.own(image)) for image in IMAGES} == seen, point
        assert_right(world, ["one", "two"])


def test_a_killed_take_is_taken_back() -> None:
    world = new_world(running=True)
    begun = world.changes
    take(world, "four")
    for point in range(1, world.changes - begun + 1):
        world = new_world(running=True)
        world.kill_at = begun + point
        with pytest.raises(KilledError):
            take(world, "four")
        world.guest_writes("later")
        seen = {image: world.seen(image, world.own(image)) for image in IMAGES}
        remove(world, "four")
        _sweep(world)
        assert {image: world.seen(image, world.own(image)) for image in IMAGES} == seen, point
        assert_right(world, ["one", "two", "three"])


def test_what_was_interrupted_is_named_by_all_that_is_not_its_end() -> None:
    world = new_world(running=False)
    world.kill_at = world.changes + 3
    with pytest.raises(KilledError):
        remove(world, "two")
    for work, name in ((take, "four"), (revert, "one"), (remove, "one")):
        with pytest.raises(StorageError, match="removal of a snapshot was interrupted"):
            work(world, name)
    world = new_world(running=False)
    world.kill_at = world.changes + 3
    with pytest.raises(KilledError):
        revert(world, "two")
    for work, name in ((take, "four"), (revert, "three"), (remove, "two")):
        with pytest.raises(StorageError, match="revert to a snapshot was interrupted"):
            work(world, name)


def test_where_no_domain_tells_whether_it_went_over_nothing_is_written() -> None:
    world = new_world(running=True)
    image = IMAGES[0]
    base = next(volume for volume in world.metas[image].values() if volume.snapshot == "three")
    world.metas[image][base.uuid] = _snapshot.marked(base, _snapshot.PIVOT)
    leaf = world.own(image)
    world.metas[image][leaf] = _snapshot.marked(world.metas[image][leaf], _snapshot.DISCARD)
    world.stop()
    world.configured = None
    with pytest.raises(StorageError, match="no domain of this host tells whether"):
        remove(world, "three")


def test_a_layer_above_the_domains_disk_that_holds_data_is_left_alone() -> None:
    world = new_world(running=True)
    assert world.live is not None
    for image in IMAGES:
        del world.live[image][0]
    for work in (take, remove):
        with pytest.raises(StorageError, match="layers above it hold data"):
            work(world, "three")
    with pytest.raises(StorageError, match="and the leaf is"):
        take(world, "four")


def test_one_moment_is_asked_for() -> None:
    world = new_world(running=False)
    states = [disk.state() for disk in disks_of(world)]
    lacking = replace(states[0], volumes={})
    with pytest.raises(StorageError, match="of another moment"):
        _snapshot.require_one_moment([lacking, states[1]], [states[1]], "three")
    _snapshot.require_one_moment(states, states, "three")


def test_a_name_that_does_not_fit_is_refused() -> None:
    base = next(iter(new_world(running=False).metas[IMAGES[0]].values()))
    with pytest.raises(ValueError, match="too long for its .meta by 12 characters"):
        _snapshot.require_room(base, "n" * 163, "", 5)
    with pytest.raises(ValueError, match="too long"):
        _snapshot.require_room(base, "\u4e16" * 100, "", 5)


def test_users_on_other_hosts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_world(running=False)
    there = ThisHost("hv2", "m")
    noted = OtherUses((UseRecord(there, "db", "other", frozenset(IMAGES)),))
    migrated = OtherUses((UseRecord(there, "web", "u", frozenset(IMAGES)),))

    def disk(others: OtherUses, *, force: bool = False) -> DiskLayers:
        layers = t.cast(t.Any, FakeLayers(world, IMAGES[0]))
        return DiskLayers(layers, t.cast(t.Any, FakeJobs(world)), "web", others, force=force)

    with pytest.raises(StorageError, match="reverted: it is used by VM db on host hv2 .not running.; undefine"):
        disk(noted).require_free("reverted")
    disk(noted, force=True).require_free("reverted")
    disk(migrated).require_free("reverted")
    monkeypatch.setattr(FakeLayers, "is_open", lambda _layers: True)
    for force in (False, True):
        with pytest.raises(StorageError, match="it is used by VM db on host hv2 .running.; shut that down first"):
            disk(noted, force=force).require_free("reverted")
        with pytest.raises(StorageError, match="its bricks have image .* open, for a VM of another host"):
            disk(migrated, force=force).require_free("reverted")
    world.live = dict(t.cast(t.Any, world.configured))
    disk(noted).require_free("reverted")


def test_a_table_that_no_qemu_takes_is_not_read() -> None:
    head = b"QFI\xfb" + bytes(32) + b"\xff" * 4 + bytes(8)
    assert not _snapshot.is_without_data(head, lambda _offset, _length: pytest.fail("32 GiB were read"))


def test_layers_in_a_circle_end() -> None:
    ring = {
        one: ImageVolume(one, "i", "d", "", "qcow2", 4096, 1, parent_uuid=other)
        for one, other in (("a", "b"), ("b", "a"))
    }
    assert [volume.uuid for volume in State("web", ring, {}, frozenset()).above("a")] == ["b", "a"]


def test_libvirt_that_cannot_read_layers_is_known_by_its_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_block_jobs, "FOLDERS", (f"{tmp_path}/lib/*/libvirt", f"{tmp_path}/lib*/libvirt"))
    folder = tmp_path / "lib" / "x86_64-linux-gnu" / "libvirt"
    assert _block_jobs.has_reader(), "a libvirt somewhere else is not judged"
    for name, expected in ((_block_jobs.QEMU_DRIVER, False), (_block_jobs.READER, True)):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
        assert _block_jobs.has_reader() is expected


@pytest.mark.parametrize(("offset", "length"), [(0, 0), (0, 4096), (4095, 2), (5000, 3192), (8190, 100), (9000, 5)])
def test_direct_reads_need_not_be_aligned(tmp_path: Path, offset: int, length: int) -> None:
    data = bytes(range(256)) * 32
    (tmp_path / "layer").write_bytes(data)
    with Directory.open(str(tmp_path)) as directory:
        assert _snapshot_files._read_direct(directory, "layer", offset, length) == data[offset : offset + length]
