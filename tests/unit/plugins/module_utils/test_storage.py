# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import re
import shutil
import stat
import threading
from pathlib import Path
from uuid import uuid4

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _files, _image_files
from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_files as storage_domain_files
from ansible_collections.gfapi.virt.plugins.module_utils._errors import CommandError, StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._files import FEW, Directory
from ansible_collections.gfapi.virt.plugins.module_utils._found_image import Layer, MountedStorageDomain
from ansible_collections.gfapi.virt.plugins.module_utils._image import Image, ImageVolume, Sizes, Source, image_uuid_of
from ansible_collections.gfapi.virt.plugins.module_utils._leases import MIB, resource
from ansible_collections.gfapi.virt.plugins.module_utils._storage import Storage
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import METADATA, StorageDomain
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec
from ansible_collections.gfapi.virt.tests.unit.fakes import FakeMounts, FakeQemuImg
from ansible_collections.gfapi.virt.tests.unit.killing import is_synced, killed_at, noted, noted_by_name

OWNER = (os.getuid(), os.getgid())
GIB = 1 << 30


class Host:
    """A host with one storage domain, `vmstore`, mounted."""

    def __init__(self, root: Path) -> None:
        self.mounts = FakeMounts(root / "volumes")
        self.qemu_img = FakeQemuImg()
        self.root = root / "mnt"
        self.add("vmstore", VolumeSpec(("gl1", "gl2"), "gv0", "dir"))

    def add(self, name: str, spec: VolumeSpec) -> str:
        point = str(self.root / spec.mount_name)
        self.mounts.make_volume(spec.location)
        self.mounts.mount(spec, point)
        storage_domain_files.lay_out(point, name, spec, OWNER)
        return point

    @property
    def storage(self) -> Storage:
        """As a new run has it."""
        return Storage(self.mounts, self.qemu_img, mount_root=str(self.root))  # type: ignore[arg-type]

    @property
    def place(self) -> MountedStorageDomain:
        return self.storage.find("vmstore")

    @property
    def images(self) -> Path:
        return Path(self.place.path) / "images"

    def volume(self, name: str = "web", image_format: str = "qcow2", *, preallocated: bool = False) -> ImageVolume:
        return ImageVolume.base(
            self.place.storage_domain.uuid,
            name,
            note="",
            format=image_format,
            capacity_bytes=GIB,
            created_at=1700000000,
            preallocated=preallocated,
        )

    def create(self, name: str = "web", image_format: str = "qcow2", *, preallocated: bool = False) -> ImageVolume:
        volume = self.volume(name, image_format, preallocated=preallocated)
        self.storage.create(self.place, volume)
        return volume


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "volumes").mkdir()
    return Host(tmp_path)


# --- storage domains ------------------------------------------------------------------------------------------------


def test_a_storage_domain_is_found_by_name_uuid_and_mount_point(host: Host) -> None:
    place = host.place
    assert place.mount.spec == VolumeSpec(("gl1",), "gv0", "dir")
    for wanted in ("vmstore", place.storage_domain.uuid, place.mount.point, place.mount.point + "/"):
        assert host.storage.find(wanted) == place


@pytest.mark.parametrize("mount_root", ["", "mnt", "./mnt", "/mnt/a b", "/mnt\n"])
def test_a_mount_root_that_mounts_do_not_lie_in_is_refused_by_name(host: Host, mount_root: str) -> None:
    with pytest.raises(ValueError, match=f"mount_root {re.escape(repr(mount_root))} is not an absolute path"):
        Storage(host.mounts, host.qemu_img, mount_root=mount_root)  # type: ignore[arg-type]


def test_another_name_is_refused_with_those_that_are_there(host: Host) -> None:
    host.add("other", VolumeSpec(("gl1",), "gv1"))
    with pytest.raises(StorageError, match=r"no storage domain 'nope' is mounted below .*\(mounted: vmstore, other\)"):
        host.storage.find("nope")


def test_two_of_a_name_are_told_apart_by_uuid(host: Host) -> None:
    point = host.add("vmstore", VolumeSpec(("gl1",), "gv1"))
    with pytest.raises(StorageError, match="2 storage domains are called 'vmstore': .*; give the uuid"):
        host.storage.find("vmstore")
    assert host.storage.find(point).mount.spec.volume == "gv1"


def test_a_dead_or_hung_mount_is_named_and_does_not_hide_the_others(host: Host) -> None:
    dead, hung = (host.add(name, VolumeSpec(("gl1",), name)) for name in ("dead", "hung"))
    host.mounts.dead.add(dead)
    host.mounts.hung.add(hung)
    assert host.storage.find("vmstore").name == "vmstore"
    with pytest.raises(StorageError, match="mount .*dead is dead; mount .*hung does not answer"):
        host.storage.find("dead")


def test_mounts_outside_the_mount_root_are_not_looked_at_by_name(host: Host, tmp_path: Path) -> None:
    spec = VolumeSpec(("gl1",), "gv1")
    host.mounts.make_volume(spec.location)
    elsewhere = str(tmp_path / "elsewhere/x")
    host.mounts.mount(spec, elsewhere)
    storage_domain_files.lay_out(elsewhere, "far", spec, OWNER)
    with pytest.raises(StorageError, match="no storage domain 'far'"):
        host.storage.find("far")
    assert host.storage.find(elsewhere).name == "far"


def test_one_look_serves_all(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.create()
    storage = host.storage
    storage.require_image("vmstore", "web")
    monkeypatch.setattr(host.mounts, "table", None)
    place = storage.find("vmstore")
    listing = storage.listing(place)
    assert storage.require_image("vmstore", "web").name == "web"
    assert storage.listing(place) is listing


def test_space_is_spoken_for_once_however_the_storage_domain_is_spelled(host: Host) -> None:
    storage = host.storage
    place = storage.find("vmstore")
    free = host.mounts.space.free_bytes
    storage.reserve(place, "a", free)
    for wanted in (place.storage_domain.uuid, place.mount.point):
        with pytest.raises(StorageError, match="disk 'b' takes 1 bytes and does not fit .*: 0 bytes are free"):
            storage.reserve(storage.find(wanted), "b", 1)


# --- images ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", ["qcow2", "raw"])
@pytest.mark.parametrize("preallocated", [False, True])
def test_an_image_is_made_as_vdsm_wants_it(host: Host, image_format: str, preallocated: bool) -> None:
    if preallocated and image_format == "raw" and os.statvfs(host.images).f_bavail * 4096 < 2 * GIB:
        pytest.skip("too little room here to reserve 1 GiB")
    volume = host.create("web", image_format, preallocated=preallocated)
    directory = host.images / volume.image_uuid
    data, lease, meta = directory / volume.uuid, directory / f"{volume.uuid}.lease", directory / f"{volume.uuid}.meta"
    assert sorted(directory.iterdir()) == [data, lease, meta]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (directory, data, lease, meta)]
    assert modes == [0o755, 0o660, 0o660, 0o644]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (directory, data, lease, meta)} == {OWNER}
    assert data.stat().st_size == (GIB if image_format == "raw" else 200704)
    assert meta.read_text() == volume.to_text()
    record = resource(host.place.storage_domain.uuid, volume.uuid, (512, MIB))
    assert lease.read_bytes() == record.ljust(MIB, b"\0")
    assert lease.stat().st_blocks * 512 >= MIB
    assert [path.name for path in host.images.iterdir()] == [volume.image_uuid]


@pytest.mark.parametrize("image_format", ["qcow2", "raw"])
def test_an_image_is_on_disk_before_it_gets_its_name(
    host: Host, image_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, place, volume = host.storage, host.place, host.volume("web", image_format)
    calls = noted(monkeypatch)
    storage.create(place, volume)
    # its data, .meta and .lease, and their names; then its own
    assert calls == ["fsync file"] * 3 + ["fsync directory", "rename", "fsync directory"]


def test_an_image_is_padded_whatever_its_source_left(host: Host, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x" * 5000)
    volume = host.volume()
    host.storage.create(host.place, volume, Source(str(tmp_path / "source"), "raw", GIB))
    found = host.storage.require_image("vmstore", "web")
    assert (found.layer_bytes[0] > 5000, found.layer_bytes[0] % 4096) == (True, 0)


@pytest.mark.parametrize(("version", "qcow2_version"), [(3, 2), (4, 3)])
def test_an_older_storage_domain_is_used_in_its_own_way(host: Host, version: int, qcow2_version: int) -> None:
    older = StorageDomain(host.place.storage_domain.uuid, "vmstore", "gl1:/gv0", version=version)
    Path(host.place.path, METADATA).write_text(older.to_text())
    volume = host.create()
    directory = host.images / volume.image_uuid
    assert "\nSIZE=2097152\n" in (directory / f"{volume.uuid}.meta").read_text()
    assert (directory / volume.uuid).read_bytes()[4:8] == bytes([0, 0, 0, qcow2_version])
    host.storage.grow(host.storage.require_image("vmstore", "web"), 2 * GIB, resize_live=None)
    text = (directory / f"{volume.uuid}.meta").read_text()
    assert "\nSIZE=4194304\n" in text
    assert "CAP=" not in text


def test_an_image_without_a_lease_is_used_and_deleted(host: Host) -> None:
    volume = host.create()
    (host.images / volume.image_uuid / f"{volume.uuid}.lease").unlink()
    host.storage.grow(host.storage.require_image("vmstore", "web"), 2 * GIB, resize_live=None)
    assert host.storage.require_image("vmstore", "web").virtual_size_bytes == 2 * GIB
    host.storage.delete(host.place, volume.image_uuid)
    assert list(host.images.iterdir()) == []


def test_a_found_image_names_its_file_on_the_mount_and_in_the_volume(host: Host) -> None:
    volume = host.create()
    found = host.storage.require_image("vmstore", "web")
    tail = f"{host.place.storage_domain.uuid}/images/{volume.image_uuid}/{volume.uuid}"
    assert (found.volume, found.server, found.volume_path) == ("gv0", "gl1", f"dir/{tail}")
    assert found.path == f"{host.place.mount.point}/{tail}"
    assert (found.name, found.format, found.image_uuid) == ("web", "qcow2", volume.image_uuid)
    assert (found.virtual_size_bytes, found.layer_bytes[0], found.backing) == (GIB, 200704, ())
    assert host.storage.require_image("vmstore", volume.image_uuid) == found


def test_a_chain_is_found_from_its_leaf_down(host: Host) -> None:
    base = host.create()
    directory = host.images / base.image_uuid
    leaf = dataclasses.replace(base, uuid="leaf", parent_uuid=base.uuid)
    (directory / "leaf.meta").write_text(leaf.to_text())
    (directory / "leaf").write_bytes((directory / base.uuid).read_bytes())
    found = host.storage.require_image("vmstore", "web")
    prefix = f"{host.place.storage_domain.uuid}/images/{base.image_uuid}"
    assert found.volume_uuid == "leaf"
    assert found.backing == (Layer(str(directory / base.uuid), f"dir/{prefix}/{base.uuid}", "qcow2"),)


def test_an_image_that_is_there_is_never_touched(host: Host) -> None:
    volume = host.create()
    data = host.images / volume.image_uuid / volume.uuid
    data.write_bytes(data.read_bytes() + b"precious".ljust(512))
    before = data.read_bytes()
    host.create()
    assert data.read_bytes() == before


def test_another_image_in_the_place_is_an_error(host: Host) -> None:
    host.create("web", "raw")
    words = r"cannot create disk web .* is raw disk web of \d+ bytes, which another run made meanwhile; run again"
    with pytest.raises(StorageError, match=words):
        host.create("web", "qcow2")


def test_another_size_in_the_place_is_an_error(host: Host) -> None:
    volume = host.create()
    with pytest.raises(StorageError, match="which another run made meanwhile"):
        host.storage.create(host.place, volume.resized(volume.capacity_bytes + 4096))


def test_a_failure_leaves_nothing(host: Host) -> None:
    host.qemu_img.error = CommandError("qemu-img: Could not resize: No space left on device")
    words = "cannot create disk web in storage domain vmstore: qemu-img: Could not resize: No space left on device; f"
    with pytest.raises(StorageError, match=words):
        host.create()
    assert list(host.images.iterdir()) == []


@pytest.mark.parametrize("image_format", ["qcow2", "raw"])
def test_killed_anywhere_nothing_half_made_is_seen(host: Host, image_format: str) -> None:
    point = 0
    while True:
        name = f"web{point}"
        volume = host.volume(name, image_format)
        killed = killed_at(point, lambda: host.storage.create(host.place, volume))  # noqa: B023
        found = host.storage.find_image("vmstore", name)
        assert found is None or (found.virtual_size_bytes, found.layer_bytes[0] % 4096) == (GIB, 0)
        host.create(name, image_format)
        assert host.storage.require_image("vmstore", name).virtual_size_bytes == GIB
        assert not [path.name for path in host.images.iterdir() if path.name.startswith(".")]
        if not killed:
            break
        point += 1
    assert point > 12


@pytest.mark.parametrize("image_format", ["qcow2", "raw"])
def test_growing_keeps_length_and_meta_in_step(host: Host, image_format: str) -> None:
    volume = host.create("web", image_format)
    host.storage.grow(host.storage.require_image("vmstore", "web"), 2 * GIB, resize_live=None)
    found = host.storage.require_image("vmstore", "web")
    assert (found.virtual_size_bytes, found.image.leaf.capacity_bytes) == (2 * GIB, 2 * GIB)
    assert found.layer_bytes[0] % 4096 == 0
    meta = host.images / volume.image_uuid / f"{volume.uuid}.meta"
    assert meta.read_text() == volume.resized(2 * GIB).to_text()
    assert stat.S_IMODE(meta.stat().st_mode) == 0o644


@pytest.mark.parametrize("running", [False, True])
def test_what_an_image_grew_by_is_on_disk_before_its_meta_says_so(
    host: Host, running: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = dataclasses.replace(host.volume("web", "raw", preallocated=True), capacity_bytes=MIB)
    host.storage.create(host.place, small)
    found = host.storage.require_image("vmstore", "web")
    calls = noted_by_name(monkeypatch)
    # the length is QEMU's to change where a VM runs; what is new of it we allocate
    host.storage.grow(found, 2 * MIB, resize_live=(lambda: os.truncate(found.path, 2 * MIB)) if running else None)
    assert is_synced(calls, small.uuid, before=f"rename {small.uuid}.meta")
    assert os.stat(found.path).st_blocks * 512 >= 2 * MIB


@pytest.mark.parametrize("image_format", ["qcow2", "raw"])
def test_a_killed_growth_is_finished_or_begun_again(host: Host, image_format: str) -> None:
    point = 0
    while True:
        host.create(name := f"web{point}", image_format)
        found = host.storage.require_image("vmstore", name)
        killed = killed_at(point, lambda: host.storage.grow(found, 2 * GIB, resize_live=None))  # noqa: B023
        now = host.storage.require_image("vmstore", name)
        if now.virtual_size_bytes < 2 * GIB:
            host.storage.grow(now, 2 * GIB, resize_live=None)
        else:
            host.storage.mend(now)
        after = host.storage.require_image("vmstore", name)
        assert (after.virtual_size_bytes, after.image.leaf.capacity_bytes) == (2 * GIB, 2 * GIB)
        assert after.layer_bytes[0] % 4096 == 0
        if not killed:
            break
        point += 1
    assert point > 5


def test_growing_live_leaves_the_image_to_qemu(host: Host) -> None:
    host.create()
    calls: list[str] = []
    host.storage.grow(host.storage.require_image("vmstore", "web"), 2 * GIB, resize_live=lambda: calls.append("live"))
    assert (calls, host.qemu_img.runs) == (["live"], ["create"])


def test_what_qemu_made_longer_is_allocated_once_it_is_seen(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = host.create(image_format="raw", preallocated=True)
    found = host.storage.require_image("vmstore", "web")
    monkeypatch.setattr(_image_files, "SEEN_TIMEOUT_S", 0)
    with pytest.raises(StorageError, match="is not seen by the mount, so what is new of it is not allocated yet"):
        host.storage.grow(found, found.virtual_size_bytes + 4096, resize_live=lambda: None)
    assert host.storage.require_image("vmstore", "web").image.leaf.capacity_bytes == volume.capacity_bytes
    size_bytes = volume.capacity_bytes + (1 << 20)
    # QEMU makes it longer, and no shorter run of ours does
    host.storage.grow(found, size_bytes, resize_live=lambda: os.truncate(found.path, size_bytes))
    assert os.stat(found.path).st_blocks * 512 >= size_bytes
    assert host.storage.require_image("vmstore", "web").image.leaf.capacity_bytes == size_bytes


def test_deleting_goes_by_the_name_that_vdsm_removes(host: Host) -> None:
    volume = host.create()
    point = 0
    while True:
        killed = killed_at(point, lambda: host.storage.delete(host.place, volume.image_uuid))
        left = [path.name for path in host.images.iterdir()]
        assert left in ([volume.image_uuid], [f"_remove_me_{volume.image_uuid}"], [])
        listing = host.storage.listing(host.place)
        assert (volume.image_uuid in listing.removed) is (left == [f"_remove_me_{volume.image_uuid}"])
        host.storage.delete(host.place, volume.image_uuid)
        assert list(host.images.iterdir()) == []
        if not killed:
            break
        host.create()
        point += 1
    assert point > 4


def test_what_is_no_image_is_passed_over_and_a_bad_one_does_not_hide_the_others(host: Host) -> None:
    host.create()
    uuid = "11111111-1111-1111-1111-111111111111"
    (host.images / uuid).mkdir()
    (host.images / uuid / "v.meta").write_text("junk\n")
    (host.images / "22222222-2222-2222-2222-222222222222").mkdir()
    (host.images / "33333333-3333-3333-3333-333333333333").write_text("a file")
    (host.images / ".gfapi-virt-x").mkdir()
    listing = host.storage.listing(host.place)
    assert listing.names == ["web"]
    assert "v.meta: there is no" in listing.faults[uuid]


def test_a_description_nested_too_deep_does_not_hide_the_others(host: Host) -> None:
    bad = host.create("bad")
    host.create("web")
    meta = host.images / bad.image_uuid / f"{bad.uuid}.meta"
    meta.write_text(meta.read_text().replace(bad.description, "[" * 3500))
    assert host.storage.listing(host.place).names == ["web"]
    assert host.storage.listing(host.place).images[bad.image_uuid].name == ""


def test_two_disks_of_a_name_are_told_apart_by_uuid(host: Host) -> None:
    volume = host.create()
    copy = host.images / "11111111-1111-1111-1111-111111111111"
    copy.mkdir()
    for path in (host.images / volume.image_uuid).iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    with pytest.raises(StorageError, match="2 disks are called 'web': images .*; give the uuid"):
        host.storage.find_image("vmstore", "web")
    listing = host.storage.listing(host.place)
    assert [image.uuid for image in listing.sharers(listing.images[volume.image_uuid])] == [copy.name]


def test_a_missing_disk_is_named_with_those_that_are_there(host: Host) -> None:
    host.create()
    with pytest.raises(StorageError, match=r"storage domain vmstore \(.*\) has no disk 'db'; it has web"):
        host.storage.require_image("vmstore", "db")


def test_an_illegal_image_is_not_used(host: Host) -> None:
    volume = host.create()
    meta = host.images / volume.image_uuid / f"{volume.uuid}.meta"
    meta.write_text(meta.read_text().replace("=LEGAL", "=ILLEGAL"))
    with pytest.raises(StorageError, match="is not LEGAL"):
        host.storage.require_image("vmstore", "web")
    assert isinstance(host.storage.listing(host.place).image("web"), Image)


def test_a_disk_that_another_run_made_larger_stays_as_large(host: Host) -> None:
    host.create()
    first, second = host.storage, host.storage
    found = first.require_image("vmstore", "web")
    late = second.require_image("vmstore", "web")
    first.grow(found, 4 << 30, resize_live=None)
    second.grow(late, 2 << 30, resize_live=lambda: pytest.fail("smaller than it is"))
    grown = host.storage.require_image("vmstore", "web")
    assert (grown.virtual_size_bytes, grown.image.leaf.capacity_bytes) == (4 << 30, 4 << 30)


def test_a_disk_that_another_run_works_on_is_waited_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.create()
    found = host.storage.require_image("vmstore", "web")
    with open(f"{found.path}.lease", "rb") as lease:
        fcntl.flock(lease, fcntl.LOCK_EX)
        monkeypatch.setattr(_image_files, "LOCK_TIMEOUT_S", 0.3)
        with pytest.raises(StorageError, match="cannot grow disk web .*: another run works on it for 0.3 s; run again"):
            host.storage.grow(found, 4 << 30, resize_live=None)
        monkeypatch.setattr(_image_files, "LOCK_TIMEOUT_S", 60)
        threading.Timer(0.5, lambda: fcntl.flock(lease, fcntl.LOCK_UN)).start()
        host.storage.grow(found, 4 << 30, resize_live=None)


def test_a_disk_that_another_run_deletes_is_deleted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the disk's lock, and then there is none."""
    host.create()
    found = host.storage.require_image("vmstore", "web")
    late = host.storage
    late.listing(host.place)
    take_lock = _files.take_lock

    def wait(descriptor: int, end: float) -> bool:
        monkeypatch.setattr(_files, "take_lock", take_lock)
        host.storage.delete(host.place, found.image_uuid, found)
        return take_lock(descriptor, end)

    monkeypatch.setattr(_files, "take_lock", wait)
    late.delete(host.place, found.image_uuid, found)
    assert list(host.images.iterdir()) == []
    host.storage.delete(host.place, found.image_uuid, found)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE])
def test_a_disk_that_another_host_deletes_before_its_lease_is_locked_is_deleted(
    host: Host, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Gluster opens the lease on the bricks when it is locked (open-behind); it fails then, and at its close again."""
    host.create()
    found = host.storage.require_image("vmstore", "web")
    flock, close = fcntl.flock, os.close
    rest = threading.Timer(0.2, lambda: shutil.rmtree(host.images / found.image_uuid))
    failed: list[str] = []

    def lock(descriptor: int, _operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        monkeypatch.setattr(os, "close", lambda other: close_late(other, descriptor))
        os.unlink(f"{found.path}.lease")
        rest.start()
        failed.append("lock")
        raise OSError(number, os.strerror(number))

    def close_late(descriptor: int, lease: int) -> None:
        close(descriptor)
        if descriptor == lease:
            monkeypatch.setattr(os, "close", close)
            failed.append("close")
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", lock)
    host.storage.delete(host.place, found.image_uuid, found)
    rest.join()
    assert failed == ["lock", "close"]
    assert list(host.images.iterdir()) == []


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ((), "it was deleted meanwhile; run again"),
        # whoever deletes it unlinks that last
        ((".meta",), "No such file or directory"),
    ],
)
def test_a_disk_of_which_another_host_has_deleted_a_part_is_not_changed(
    host: Host, left: tuple[str, ...], words: str
) -> None:
    host.create()
    found = host.storage.require_image("vmstore", "web")
    late = host.storage
    late.listing(host.place)
    for path in (host.images / found.image_uuid).iterdir():
        if path.suffix not in left:
            path.unlink()
    with pytest.raises(StorageError, match=f"cannot grow disk web in storage domain vmstore: {words}"):
        late.grow(found, 4 << 30, resize_live=None)


def test_a_disk_that_another_host_deletes_may_be_listed_for_a_moment(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.create()
    found = host.storage.require_image("vmstore", "web")
    late = host.storage
    late.listing(host.place)
    take_lock, lists = _files.take_lock, Directory.lists
    old = iter([True, True])

    def wait(descriptor: int, end: float) -> bool:
        monkeypatch.setattr(_files, "take_lock", take_lock)
        host.storage.delete(host.place, found.image_uuid, found)
        monkeypatch.setattr(Directory, "lists", lambda self, name: next(old, False) or lists(self, name))
        return take_lock(descriptor, end)

    monkeypatch.setattr(_files, "take_lock", wait)
    late.delete(host.place, found.image_uuid, found)
    assert next(old, None) is None
    assert list(host.images.iterdir()) == []


def test_a_disk_that_another_run_deleted_since_the_listing_is_not_there(host: Host) -> None:
    host.create()
    late = host.storage
    found = late.require_image("vmstore", "web")
    host.storage.delete(host.place, found.image_uuid, found)
    late.look_ahead("vmstore", ["web"])
    assert late.find_image("vmstore", "web") is None
    late.require_closed(found, "deleted")
    assert host.storage.find_image("vmstore", "web") is None


def test_a_disk_that_is_needed_and_was_deleted_since_the_listing_is_named(host: Host) -> None:
    host.create()
    late = host.storage
    found = late.require_image("vmstore", "web")
    host.storage.delete(host.place, found.image_uuid, found)
    with pytest.raises(StorageError, match="disk 'web' was deleted from storage domain vmstore meanwhile; run again"):
        late.require_image("vmstore", "web")


def test_a_disk_that_cannot_be_looked_at_is_not_deleted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.create()
    found = host.storage.require_image("vmstore", "web")
    monkeypatch.setattr(Directory, "is_open", lambda *_name: True)
    monkeypatch.setattr(_files, "LINGERS_S", 0)
    with pytest.raises(StorageError, match="disk 'web' cannot be deleted: its bricks have"):
        host.storage.delete(host.place, found.image_uuid, found)
    assert host.storage.require_image("vmstore", "web") == found


def test_a_disk_that_another_host_just_deleted_is_deleted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a second, this host's kernel remembers the name."""
    host.create()
    found = host.storage.require_image("vmstore", "web")
    shutil.rmtree(host.images / found.image_uuid)
    monkeypatch.setattr(Directory, "is_there", lambda *_name: True)
    host.storage.delete(host.place, found.image_uuid, found)
    assert host.storage.find_image("vmstore", "web") is None


def test_a_disk_that_loses_a_layer_while_it_is_read_is_there(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.create()
    gone = host.images / host.storage.require_image("vmstore", "web").image_uuid / f"{uuid4()}.meta"
    gone.touch()
    read = Directory.read

    def read_after_the_layer_went(directory: Directory, name: str, limit_bytes: int) -> bytes:
        gone.unlink(missing_ok=True)
        return read(directory, name, limit_bytes)

    monkeypatch.setattr(Directory, "read", read_after_the_layer_went)
    assert host.storage.find_image("vmstore", "web")
    assert not gone.exists()


def test_a_disk_that_cannot_be_measured_is_there(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.create()
    storage = host.storage

    def broken(*_what: object) -> Sizes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(_image_files.ImageFiles, "sizes", broken)
    storage.look_ahead("vmstore", ["web"])
    with pytest.raises(
        StorageError, match="cannot read how large disk web is in storage domain vmstore: Input/output error"
    ):
        storage.find_image("vmstore", "web")


def test_a_disk_whose_users_cannot_be_asked_for_is_not_closed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bricks say so of what changes at this moment, which it may do and stay."""
    host.create()
    found = host.storage.require_image("vmstore", "web")

    def stale(_directory: Directory, _name: str) -> bool:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(Directory, "is_open", stale)
    with pytest.raises(StorageError, match="Stale file handle; it changed on the volume meanwhile; run again"):
        host.storage.delete(host.place, found.image_uuid, found)
    assert host.storage.require_image("vmstore", "web") == found


def test_many_images_are_listed_and_measured_as_few_are(host: Host) -> None:
    names = [f"web-{number}" for number in range(2 * FEW)]
    for name in names:
        host.create(name, "raw")
    broken = host.images / image_uuid_of(host.place.storage_domain.uuid, "web-5")
    next(broken.glob("*.meta")).write_text("EOF\n")

    storage = host.storage
    storage.look_ahead("vmstore", names)

    assert storage.listing(host.place).names == sorted(set(names) - {"web-5"})
    assert list(storage.listing(host.place).faults) == [broken.name]
    singly = [host.storage.find_image("vmstore", name) for name in names]
    assert [storage.find_image("vmstore", name) for name in names] == singly


def test_sizes_looked_at_ahead_are_used_once(host: Host) -> None:
    host.create("web", "raw")
    storage = host.storage
    storage.look_ahead("vmstore", ["web", "none"])
    found = storage.require_image("vmstore", "web")

    storage.grow(found, 2 * GIB, resize_live=None)

    assert storage.require_image("vmstore", "web").virtual_size_bytes == 2 * GIB
