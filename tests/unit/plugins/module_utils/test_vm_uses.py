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

from ansible_collections.gfapi.virt.plugins.module_utils import _mounts, _one_name
from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_files as storage_domain_files
from ansible_collections.gfapi.virt.plugins.module_utils import _use_notes as use_notes
from ansible_collections.gfapi.virt.plugins.module_utils import _use_records as use_records
from ansible_collections.gfapi.virt.plugins.module_utils._errors import LibvirtError, StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._image import ImageVolume
from ansible_collections.gfapi.virt.plugins.module_utils._image_paths import ImagePaths
from ansible_collections.gfapi.virt.plugins.module_utils._image_source import ImageSources
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Item
from ansible_collections.gfapi.virt.plugins.module_utils._storage import Storage
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec
from ansible_collections.gfapi.virt.plugins.module_utils._use_record import ThisHost
from ansible_collections.gfapi.virt.plugins.module_utils._vm_items import Hypervisors, make_items
from ansible_collections.gfapi.virt.plugins.module_utils._vm_uses import VmUses
from ansible_collections.gfapi.virt.plugins.modules.libvirt_vm import DISK_SPEC, VM_SPEC
from ansible_collections.gfapi.virt.tests.unit.fake_daemons import FakeLibvirt
from ansible_collections.gfapi.virt.tests.unit.fakes import (
    FakeMounts,
    FakeQemuImg,
    FakeServers,
    hold_open,
    note_elsewhere,
)

SPEC = VolumeSpec(("gl1",), "gv0")


class Cluster:
    """A storage domain vms with disks a and b, mounted by hosts hv1 and hv2."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        (root / "volumes").mkdir()
        self.mounts = FakeMounts(root / "volumes")
        self.mount_root = root / "mnt"
        self.point = str(self.mount_root / SPEC.mount_name)
        self.mounts.make_volume(SPEC.location)
        self.mounts.mount(SPEC, self.point)
        self.uuid = storage_domain_files.lay_out(self.point, "vms", SPEC, (os.getuid(), os.getgid())).uuid
        self.hv1, self.hv2 = HostOf(self, "hv1"), HostOf(self, "hv2")
        storage = self.storage()
        values: dict[str, t.Any] = {"format": "raw", "capacity_bytes": 4096, "created_at": 1, "note": ""}
        self.volumes = {name: ImageVolume.base(self.uuid, name, **values) for name in "ab"}
        for volume in self.volumes.values():
            storage.create(storage.find("vms"), volume)

    def storage(self) -> Storage:
        given: t.Any = (self.mounts, FakeQemuImg())
        return Storage(*given, mount_root=str(self.mount_root))

    def image(self, name: str) -> str:
        return self.volumes[name].image_uuid


class HostOf:
    """A host with its own libvirt, that sees the storage domain."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.me = ThisHost(name, "0" * 32)
        self.libvirt = FakeLibvirt()

    def item(self, name: str = "web", **values: t.Any) -> Item:
        """As a new run plans it."""
        return self.items({"name": name, **values})[0]

    def items(self, *asked: dict[str, t.Any]) -> list[Item]:
        """Several VMs of one list; a disk is its name, or what is said of it."""
        vms = []
        for values in asked:
            vm = {**{key: rules.get("default") for key, rules in VM_SPEC.items()}, "memory": "1GiB", **values}
            if vm["disks"] is not None:
                defaults = {key: rules.get("default") for key, rules in DISK_SPEC.items()}
                named = ({"name": disk} if isinstance(disk, str) else disk for disk in vm["disks"])
                vm["disks"] = [{**defaults, **disk} for disk in named]
            vms.append(vm)
        self.cluster.monkeypatch.setattr(use_records, "this_host", lambda: self.me)
        storage, libvirt = self.cluster.storage(), t.cast("t.Any", self.libvirt)
        host = t.cast(
            "t.Any", type("Host", (), {"gluster_driver": lambda _self: (True, ""), "swtpm_problem": lambda _self: ""})()
        )
        images = ImageSources(storage, t.cast("t.Any", FakeServers("gl2")))
        params = {"vms": vms, "storage_domain": "vms"}
        made = make_items(
            params,
            libvirt,
            images,
            host,
            VmUses(storage, libvirt),
            libvirt.seeds,
            Hypervisors(storage, ImagePaths(t.cast("t.Any", FakeServers("gl2")))),
        )
        return t.cast("list[Item]", made)

    def run(self, name: str = "web", **values: t.Any) -> list[str]:
        """What was done; a second plan then finds nothing to do."""
        item = self.item(name, **values)
        for action in item.plan.actions:
            action.run()
        assert self.item(name, **values).plan.summaries == []
        return item.plan.summaries

    @property
    def notes(self) -> dict[str, set[str]]:
        """VM → the disks that others believe it has."""
        found = use_records.read_others(self.cluster.point, ThisHost("", "")).records
        names = {self.cluster.image(name): name for name in "ab"}
        mine = [record for record in found if record.host == self.me and record.vm]
        return {str(record.vm): {names[image] for image in record.images} for record in mine}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(tmp_path, monkeypatch)


@pytest.fixture
def hv1(cluster: Cluster) -> HostOf:
    return cluster.hv1


NOTING = "note domain web as a user of its images in storage domain vms"


# --- notes ----------------------------------------------------------------------------------------------------------


def test_a_note_comes_with_the_definition_and_goes_with_it(hv1: HostOf) -> None:
    assert hv1.run(disks=["a"], state="running") == ["define domain web", "start domain web"]
    assert hv1.notes == {"web": {"a"}}
    hv1.run(state="absent", force_stop=True)
    assert hv1.notes == {}


def test_a_plan_alone_notes_nothing(hv1: HostOf) -> None:
    hv1.item(disks=["a"])
    assert hv1.notes == {}


def test_the_note_is_there_before_libvirt_has_the_vm(hv1: HostOf, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    define = hv1.libvirt.define
    monkeypatch.setattr(hv1.libvirt, "define", lambda element: (seen.append(dict(hv1.notes)), define(element)))
    hv1.run(disks=["a"])
    hv1.run(disks=["b"])
    assert seen == [{"web": {"a"}}, {"web": {"a", "b"}}]
    assert hv1.notes == {"web": {"b"}}


def test_a_vm_that_libvirt_refuses_leaves_no_note(hv1: HostOf, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_element: object) -> None:
        raise LibvirtError("no")

    monkeypatch.setattr(hv1.libvirt, "define", refuse)
    with pytest.raises(LibvirtError):
        hv1.run(disks=["a"])
    assert hv1.notes == {}


def test_a_vm_that_lost_its_last_disk_has_no_note(hv1: HostOf) -> None:
    hv1.run(disks=["a"])
    hv1.run(disks=[])
    assert hv1.notes == {}


def test_what_a_running_vm_still_has_stays_noted_until_it_stops(hv1: HostOf) -> None:
    hv1.run(disks=["a"], state="running")
    hv1.run(disks=["b"], live=False)
    assert hv1.notes == {"web": {"a", "b"}}
    hv1.run(state="shut_off")
    assert hv1.notes == {"web": {"b"}}


def test_disks_that_a_running_vm_gets_and_loses_at_once_are_noted(hv1: HostOf) -> None:
    hv1.run(disks=["a"], state="running")
    hv1.run(disks=["a", "b"])
    assert hv1.notes == {"web": {"a", "b"}}
    hv1.run(disks=["a"])
    assert hv1.notes == {"web": {"a"}}
    assert hv1.run(disks=["a"]) == []


def test_what_a_saved_vm_goes_on_with_stays_noted(hv1: HostOf) -> None:
    hv1.run(disks=["a"], state="running")
    hv1.libvirt.managed_save("web")
    hv1.run(state="shut_off")
    assert hv1.notes == {"web": {"a"}}
    hv1.run(state="absent", force_stop=True)
    assert hv1.notes == {}


def test_a_vm_without_a_note_gets_it(hv1: HostOf) -> None:
    hv1.run(disks=["a"])
    (uuid,) = hv1.libvirt.uuids()
    assert uuid
    use_notes.leave(hv1.cluster.point, hv1.me, ())
    assert hv1.run(disks=["a"]) == [NOTING]
    assert hv1.notes == {"web": {"a"}}


def test_a_renamed_vm_is_noted_by_its_new_name(hv1: HostOf) -> None:
    hv1.run(disks=["a"])
    record = hv1.libvirt.records.pop("web")
    record.inactive.find("name").text = "www"
    hv1.libvirt.records["www"] = replace(record, name="www")
    hv1.run("www", disks=["a"])
    assert hv1.notes == {"www": {"a"}}


def test_the_next_change_drops_notes_of_vms_that_are_elsewhere(hv1: HostOf) -> None:
    hv1.run("gone", disks=["b"])
    hv1.libvirt.undefine("gone")
    use_notes.note_host(hv1.cluster.point, hv1.me)
    hv1.run(disks=["a"])
    assert hv1.notes == {"web": {"a"}}
    assert use_notes.read_own(hv1.cluster.point, hv1.me, use_notes.HOST)


def test_a_vm_that_is_to_be_absent_is_forgotten_where_a_killed_run_left_its_note(cluster: Cluster) -> None:
    for host in (cluster.hv1, cluster.hv2):
        host.run("gone", disks=["b"])
        host.libvirt.undefine("gone")
    assert cluster.hv1.run("web", state="absent") == []
    assert cluster.hv1.run("gone", state="absent") == ["forget domain gone as a user of images in storage domain vms"]
    assert (cluster.hv1.notes, cluster.hv2.notes) == ({}, {"gone": {"b"}})


def test_half_a_note_that_a_killed_run_left_goes_with_the_next_note(hv1: HostOf) -> None:
    with use_notes.own_records(hv1.cluster.point, hv1.me) as directory:
        folder = Path(directory.path)
    left = folder / ".0f6b0c6e-8b40-4d1c-8d46-1f2b6f0e7c55.0123abcd"
    left.write_text('{"vm": "web"')
    assert hv1.run("web", state="absent") == []
    hv1.run(disks=["a"])
    (uuid,) = hv1.libvirt.uuids()
    assert [path.name for path in folder.iterdir()] == [uuid]


def test_a_host_leaves_the_notes_of_others_alone(cluster: Cluster) -> None:
    cluster.hv2.run("db", disks=["b"])
    cluster.hv1.run(disks=["a"])
    cluster.hv1.run(state="absent")
    assert cluster.hv2.notes == {"db": {"b"}}


def test_what_is_not_mounted_here_is_not_noted(hv1: HostOf) -> None:
    hv1.run(disks=["a"])
    hv1.cluster.mounts.unmount(hv1.cluster.point)
    assert hv1.run(state="absent") == ["undefine domain web"]


def test_a_libvirt_of_another_user_or_host_notes_nothing(hv1: HostOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLibvirt, "uri", "qemu+ssh://hv3/system")
    hv1.run(disks=["a"])
    assert hv1.notes == {}


# --- starting -------------------------------------------------------------------------------------------------------


def open_elsewhere(cluster: Cluster, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_open(monkeypatch, cluster.volumes[name].uuid)


def test_a_vm_does_not_start_on_an_image_that_another_host_has_open(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.hv2.run("db", disks=["a"], state="running")
    open_elsewhere(cluster, "a", monkeypatch)
    with pytest.raises(
        StorageError, match=r"^domain web cannot start on image a: it is used by VM db on host hv2 \(running\); two"
    ):
        cluster.hv1.item(disks=["a"], state="running")
    assert cluster.hv1.item(disks=["b"], state="running").plan.changed
    assert cluster.hv1.item(disks=["a"], state="present").plan.changed


def test_an_image_that_somebody_without_a_note_has_open_is_refused_too(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_elsewhere(cluster, "a", monkeypatch)
    with pytest.raises(StorageError, match="cannot start on image a: it is open on its bricks, for a VM of another"):
        cluster.hv1.item(disks=["a"], state="running")


def test_a_vm_may_start_where_the_other_is_off(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.hv2.run("db", disks=["a"])
    hold_open(monkeypatch)
    assert cluster.hv1.run(disks=["a"], state="running") == ["define domain web", "start domain web"]


def test_a_vm_that_came_by_migration_is_left_running(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.hv1.run(disks=["a"], state="running")
    cluster.hv2.libvirt.records = cluster.hv1.libvirt.records
    cluster.hv1.libvirt.records = {}
    open_elsewhere(cluster, "a", monkeypatch)
    assert cluster.hv2.run(disks=["a"], state="running") == [NOTING]
    with pytest.raises(StorageError, match=r"used by VM web on host hv2 \(running\)"):
        cluster.hv1.item(disks=["a"], state="running")


def test_an_image_that_a_vm_of_this_host_reads_is_no_other_hosts(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    hv1 = cluster.hv1
    hv1.run("reader", disks=["a"], state="running")
    reader = hv1.libvirt.records["reader"]
    for configuration in (reader.live, reader.inactive):
        assert configuration is not None
        for disk in configuration.iterfind("devices/disk"):
            disk.append(disk.makeelement("readonly", {}))
    open_elsewhere(cluster, "a", monkeypatch)
    assert hv1.item(disks=["a"], state="running").plan.changed


def test_of_two_that_start_at_one_moment_one_is_refused(cluster: Cluster) -> None:
    item = cluster.hv1.item(disks=["a"], state="running")
    volume = cluster.volumes["a"]
    lease = Path(cluster.point, cluster.uuid, "images", volume.image_uuid, f"{volume.uuid}.lease")
    define, start = item.plan.actions
    define.run()
    with lease.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="cannot start on image .*: another domain is being started on it"):
            start.run()
    start.run()


def test_no_vm_starts_on_an_image_while_a_run_works_on_its_layers(cluster: Cluster) -> None:
    define, start = cluster.hv1.item(disks=["a"], state="running").plan.actions
    define.run()
    folder = Path(cluster.point, cluster.uuid, "images", cluster.image("a"))
    (meta,) = folder.glob("*.meta")
    for name, role in (("template", "SHARED"), ("below", "INTERNAL")):
        for path in (folder / name, folder / f"{name}.lease"):
            path.touch()
            # a clone has links to its template, and a backup may have made some
            os.link(path, f"{cluster.point}/{path.name}")
        (folder / f"{name}.meta").write_text(meta.read_text().replace("VOLTYPE=LEAF", f"VOLTYPE={role}"))
    with (folder / "template.lease").open("r+b") as shared, (folder / "below.lease").open("r+b") as other:
        fcntl.flock(shared, fcntl.LOCK_EX)
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="or another run works on it; run again"):
            start.run()
        fcntl.flock(other, fcntl.LOCK_UN)
        start.run()


def test_no_vm_starts_on_what_became_a_template(cluster: Cluster) -> None:
    cluster.hv1.run(disks=["a"])
    late = cluster.hv1.item(state="running")
    storage = cluster.storage()
    storage.change_meta(storage.require_image("vms", "a"), lambda leaf: leaf.shared())
    words = "domain web cannot start on image .*: it is a template, .*; give the domain a clone of it"
    with pytest.raises(StorageError, match=words):
        cluster.hv1.item(state="running")
    with pytest.raises(StorageError, match=words):
        late.plan.actions[0].run()


def test_no_vm_starts_on_a_layer_below_a_snapshot(cluster: Cluster) -> None:
    cluster.hv1.run(disks=["a"])
    late = cluster.hv1.item(state="running")
    image = cluster.storage().require_image("vms", "a")
    folder = Path(image.path).parent
    leaf = replace(image.image.leaf, uuid="11111111-1111-1111-1111-111111111111", parent_uuid=image.volume_uuid)
    (folder / leaf.uuid).write_bytes(b"")
    (folder / f"{leaf.uuid}.meta").write_text(replace(leaf, format="qcow2").to_text(5))
    words = f"domain web cannot start on image a: the domain has {image.volume_uuid} of it, which is below a snapshot"
    with pytest.raises(StorageError, match=words):
        cluster.hv1.item(state="running")
    with pytest.raises(StorageError, match=words):
        late.plan.actions[0].run()
    cluster.hv1.run(disks=["a"], state="running")


def test_no_vm_is_defined_with_an_image_that_was_deleted_since_the_plan(cluster: Cluster, hv1: HostOf) -> None:
    hv1.run("db", disks=["b"])
    new, changed = hv1.item(disks=["a"]), hv1.item("db", disks=["a", "b"])
    storage = cluster.storage()
    found = storage.require_image("vms", "a")
    storage.delete(found.place, found.image_uuid, found)
    for late in (new, changed):
        with pytest.raises(StorageError, match="image .* of storage domain vms was deleted meanwhile; run again"):
            late.plan.actions[0].run()
    assert set(hv1.libvirt.records) == {"db"}


def test_an_image_outside_any_storage_domain_is_one_by_uri_and_by_file(
    cluster: Cluster, hv1: HostOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted_as(monkeypatch, tmp_path, cluster.point)
    Path(cluster.point, "free.raw").write_bytes(b"")
    Path(cluster.point, "other.raw").write_bytes(b"")
    os.link(Path(cluster.point, "free.raw"), Path(cluster.point, "hard.raw"))
    first = {"name": "web", "disks": [{"uri": "gluster://gl1/gv0/free.raw", "format": "raw"}], "state": "running"}
    for action in hv1.items(first)[0].plan.actions:
        action.run()

    def second(source: dict[str, str]) -> list[Item]:
        return hv1.items({"name": "db", "disks": [{**source, "format": "raw"}], "state": "running"})

    for source in (
        {"file": f"{cluster.point}/free.raw"},
        {"file": f"{cluster.point}/hard.raw"},
        {"uri": "gluster://gl2/gv0/hard.raw"},
    ):
        with pytest.raises(ValueError, match="domain db cannot start on image gv0:.*: domain web writes to it"):
            second(source)
    assert second({"file": f"{cluster.point}/other.raw"})


def test_an_image_is_one_by_a_link_on_its_volume_and_in_a_cdrom_drive(
    cluster: Cluster, hv1: HostOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted_as(monkeypatch, tmp_path, cluster.point)
    image = Path(cluster.point, cluster.uuid, "images", cluster.image("a"), cluster.volumes["a"].uuid)
    Path(cluster.point, "link.raw").symlink_to(image)
    hv1.run(disks=["a"], state="running")
    by_link = {"name": "db", "disks": [{"uri": "gluster://gl1/gv0/link.raw", "format": "raw"}], "state": "running"}
    with pytest.raises(ValueError, match=f"cannot start on image {cluster.uuid}/images/.*: domain web writes to it"):
        hv1.items(by_link)
    hv1.run(state="shut_off")
    drive = {"name": "db", "disks": [{"device": "cdrom", "file": f"{cluster.point}/link.raw"}]}
    with pytest.raises(StorageError, match="domain web: disk 'a' cannot be deleted: domain db is to have it"):
        hv1.items({"name": "web", **GONE}, drive)
    late = hv1.item(**GONE)
    for action in hv1.items(drive)[0].plan.actions:
        action.run()
    with pytest.raises(StorageError, match="disk 'a' cannot be deleted: it is used by domain db of this host"):
        late.plan.actions[0].run()


def test_two_domains_of_one_host_that_start_at_one_moment_do_not_share_an_image(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (cluster.hv1.item(name, disks=["a"], state="running") for name in ("web", "db"))
    for action in first.plan.actions:
        action.run()
    open_elsewhere(cluster, "a", monkeypatch)
    define, start = second.plan.actions
    define.run()
    with pytest.raises(
        StorageError, match="domain db cannot start on image a: domain web of this host writes to it; two"
    ):
        start.run()


def test_one_that_started_since_the_plan_is_seen(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    item = cluster.hv1.item(disks=["a"], state="running")
    open_elsewhere(cluster, "a", monkeypatch)
    item.plan.actions[0].run()
    with pytest.raises(StorageError, match="cannot start on image a"):
        item.plan.actions[1].run()
    assert cluster.hv1.libvirt.records["web"].state == "shut_off"
    # the note stays, for the definition does
    assert cluster.hv1.notes == {"web": {"a"}}


# --- images that go with their VM -----------------------------------------------------------------------------------


GONE: t.Final[dict[str, t.Any]] = {"state": "absent", "delete_disks": True, "force_stop": True}


def there(cluster: Cluster) -> set[str]:
    """The disks whose images are there."""
    folder = Path(cluster.point, cluster.uuid, "images")
    return {name for name, volume in cluster.volumes.items() if (folder / volume.image_uuid / volume.uuid).exists()}


def test_images_go_with_their_vm(cluster: Cluster, hv1: HostOf) -> None:
    hv1.run(disks=["a", "b"])
    hv1.run(disks=["a"])
    deleting = "delete disk a from storage domain vms"
    assert hv1.run(**GONE) == [deleting, "undefine domain web"]
    assert (there(cluster), hv1.notes, hv1.libvirt.records) == ({"b"}, {}, {})


def test_images_of_a_running_vm_go_after_its_end(
    cluster: Cluster, hv1: HostOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    hv1.run(disks=["a"], state="running")
    open_elsewhere(cluster, "a", monkeypatch)
    item = hv1.item(**GONE)
    stop, delete, undefine = item.plan.actions
    assert (item.plan.split()[1], stop.summary) == ((stop, delete, undefine), "shut down domain web")
    with pytest.raises(StorageError, match="its bricks have image .* open"):
        delete.run()
    assert there(cluster) == {"a", "b"}


def test_images_stay_without_the_word(cluster: Cluster, hv1: HostOf) -> None:
    hv1.run(disks=["a"])
    hv1.run(state="absent")
    assert there(cluster) == {"a", "b"}


def test_a_run_that_was_cut_short_is_finished(cluster: Cluster, hv1: HostOf) -> None:
    hv1.run(disks=["a", "b"])
    hv1.item(**GONE).plan.actions[0].run()
    assert there(cluster) == {"b"}
    assert hv1.run(**GONE) == ["delete disk b from storage domain vms", "undefine domain web"]


def test_an_image_that_a_killed_run_deleted_in_part_is_deleted_to_the_end(cluster: Cluster, hv1: HostOf) -> None:
    hv1.run(disks=["a", "b"])
    folder, uuid = Path(cluster.point, cluster.uuid, "images"), cluster.image("a")
    left = (folder / uuid).rename(folder / f"_remove_me_{uuid}")
    (left / cluster.volumes["a"].uuid).unlink()
    finishing = f"finish deleting image {uuid} from storage domain vms"
    assert hv1.run(**GONE) == [finishing, "delete disk b from storage domain vms", "undefine domain web"]
    assert list(folder.iterdir()) == []


def test_image_of_another_vm_is_not_deleted(cluster: Cluster, hv1: HostOf) -> None:
    hv1.run(disks=["a", "b"])
    hv1.run("db", disks=["b"])
    words = "domain web: disk 'b' cannot be deleted: it is used by domain db of this host; take it out there, or leave"
    with pytest.raises(StorageError, match=words):
        hv1.item(**GONE)
    hv1.run("db", disks=[])
    cluster.hv2.run("db", disks=["a"])
    with pytest.raises(StorageError, match="disk 'a' cannot be deleted: it is used by VM db on host hv2; take it out"):
        hv1.item(**GONE)
    cluster.hv2.run("db", state="absent")
    hv1.run(**GONE)
    assert there(cluster) == set()


def test_image_that_somebody_has_open_is_not_deleted(
    cluster: Cluster, hv1: HostOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    hv1.run(disks=["a"])
    open_elsewhere(cluster, "a", monkeypatch)
    with pytest.raises(StorageError, match="disk 'a' cannot be deleted: its bricks have image"):
        hv1.item(**GONE)


def test_image_that_clones_build_on_is_not_deleted(cluster: Cluster, hv1: HostOf) -> None:
    hv1.run(disks=["a"])
    storage = cluster.storage()
    template = storage.require_image("vms", "a")
    values: dict[str, t.Any] = {"format": "qcow2", "capacity_bytes": 4096, "created_at": 1, "note": ""}
    clone = ImageVolume.base(cluster.uuid, "clone", parent_uuid=template.volume_uuid, **values)
    storage.create(template.place, clone, template=template)
    with pytest.raises(StorageError, match="disk 'a' cannot be deleted: it is the template of clone; delete them"):
        hv1.item(**GONE)


def test_record_that_cannot_be_read_keeps_images(cluster: Cluster, hv1: HostOf) -> None:
    hv1.run(disks=["a"])
    note_elsewhere(cluster.point, "db", cluster.image("b"))
    (record,) = Path(cluster.point).glob(".gfapi-users/hv2.2*/db")
    record.write_text("?")
    with pytest.raises(StorageError, match="disk 'a' cannot be deleted: a record of another host's use cannot be read"):
        hv1.item(**GONE)


@pytest.mark.parametrize("turn", [1, -1])
def test_an_image_that_another_vm_of_the_list_is_to_have_is_not_deleted(
    cluster: Cluster, hv1: HostOf, turn: int
) -> None:
    hv1.run("old", disks=["a"])
    listed: list[dict[str, t.Any]] = [{"name": "new", "disks": ["a"]}, {"name": "old", **GONE}]
    with pytest.raises(StorageError, match="domain old: disk 'a' cannot be deleted: domain new is to have it; take it"):
        hv1.items(*listed[::turn])
    hv1.items({"name": "new", "disks": ["b"]}, listed[1])


def test_an_image_that_another_vm_got_since_the_plan_is_not_deleted(cluster: Cluster, hv1: HostOf) -> None:
    hv1.run("old", disks=["a"])
    delete = hv1.item("old", **GONE).plan.actions[0]
    hv1.run("new", disks=["a"])
    with pytest.raises(StorageError, match="disk 'a' cannot be deleted: it is used by domain new of this host"):
        delete.run()
    hv1.run("new", state="absent")
    delete = hv1.item("old", **GONE).plan.actions[0]
    cluster.hv2.run("far", disks=["a"])
    cluster.monkeypatch.setattr(use_records, "this_host", lambda: hv1.me)
    with pytest.raises(StorageError, match="disk 'a' cannot be deleted: it is used by VM far on host hv2"):
        delete.run()
    assert there(cluster) == {"a", "b"}


def mounted_as(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, point: str) -> None:
    """What the kernel says of a gluster mount at a directory of this test."""
    device = os.stat(point).st_dev
    (tmp_path / "mounts").write_text(f"gl1:/gv0 {point} fuse.glusterfs rw 0 0\n")
    info = f"49 1 {os.major(device)}:{os.minor(device)} / {point} rw shared:1 - fuse.glusterfs gl1:/gv0 rw\n"
    (tmp_path / "mountinfo").write_text(info)
    monkeypatch.setattr(_mounts, "TABLE", str(tmp_path / "mounts"))
    monkeypatch.setattr(_one_name, "INFO", str(tmp_path / "mountinfo"))


def test_a_link_to_an_image_is_that_image(
    cluster: Cluster, hv1: HostOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(cluster.point, cluster.uuid, "images", cluster.image("a"))
    mounted_as(monkeypatch, tmp_path, cluster.point)
    (tmp_path / "link").symlink_to(folder / cluster.volumes["a"].uuid)
    (tmp_path / "folder").symlink_to(folder)
    names = [
        str(tmp_path / "link"),
        f"{tmp_path}/folder/{cluster.volumes['a'].uuid}",
        f"{folder}/./{cluster.volumes['a'].uuid}",
    ]
    hv1.run(disks=["a"], state="running")
    for name in names:
        other = {"name": "db", "disks": [{"file": name, "format": "raw"}]}
        with pytest.raises(ValueError, match="domain db cannot start on image .*: domain web writes to it"):
            hv1.items({**other, "state": "running"})
        for action in hv1.items(other)[0].plan.actions:
            action.run()
        assert hv1.notes == {"web": {"a"}, "db": {"a"}}
        open_elsewhere(cluster, "a", monkeypatch)
        hv1.libvirt.undefine("db")
    late = hv1.items({"name": "db", "disks": [{"file": names[0], "format": "raw"}]})
    for action in late[0].plan.actions:
        action.run()
    hv1.run(state="shut_off")
    hold_open(monkeypatch)
    with pytest.raises(StorageError, match="disk 'a' cannot be deleted: it is used by domain db of this host"):
        hv1.item(**GONE)


# --- images that VMs share on purpose -------------------------------------------------------------------------------


SHARED: t.Final = {"name": "a", "shareable": True}


@pytest.mark.parametrize("disks", [(SHARED, "a"), ("a", SHARED)])
def test_an_image_that_only_one_of_two_shares_is_started_on_once(
    cluster: Cluster, hv1: HostOf, monkeypatch: pytest.MonkeyPatch, disks: tuple[t.Any, t.Any]
) -> None:
    first, second = ({"name": name, "disks": [disk], "state": "running"} for name, disk in zip(("web", "db"), disks))
    with pytest.raises(ValueError, match="domain db cannot start on image .*: domain web writes to it"):
        hv1.items(first, second)
    late = hv1.items(second)[0]
    hv1.run("web", **{key: value for key, value in first.items() if key != "name"})
    open_elsewhere(cluster, "a", monkeypatch)
    with pytest.raises(ValueError, match="domain db cannot start on image .*: domain web writes to it"):
        hv1.items(second)
    define, start = late.plan.actions
    define.run()
    with pytest.raises(StorageError, match="domain db cannot start on image a: domain web of this host writes to it"):
        start.run()


def test_an_image_that_both_share_is_started_on_twice(
    cluster: Cluster, hv1: HostOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    hv1.run(disks=[SHARED], state="running")
    open_elsewhere(cluster, "a", monkeypatch)
    hv1.run("db", disks=[SHARED], state="running")
    assert {name: record.state for name, record in hv1.libvirt.records.items()} == {"web": "running", "db": "running"}


def test_a_template_is_shared_with_no_vm(cluster: Cluster, hv1: HostOf) -> None:
    hv1.run(disks=[SHARED])
    storage = cluster.storage()
    storage.change_meta(storage.require_image("vms", "a"), lambda leaf: leaf.shared())
    with pytest.raises(StorageError, match="it is a template, and to write to it would destroy its clones"):
        hv1.items({"name": "web", "state": "running"})


def test_read_only_image_stays(cluster: Cluster, hv1: HostOf) -> None:
    hv1.run(disks=["a", "b"])
    disk = hv1.libvirt.records["web"].inactive.find("devices/disk")
    disk.append(disk.makeelement("readonly", {}))
    hv1.run(**GONE)
    assert there(cluster) == {"a"}


def test_images_go_with_a_vm_that_goes_only(hv1: HostOf) -> None:
    with pytest.raises(ValueError, match="domain web: delete_disks goes with state: absent, not running"):
        hv1.item(disks=["a"], state="running", delete_disks=True)
