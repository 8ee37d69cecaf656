# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_files as storage_domain_files
from ansible_collections.gfapi.virt.plugins.module_utils._errors import GlusterError, StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._image_users import ImageUser
from ansible_collections.gfapi.virt.plugins.module_utils._mount_table import Mount
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Item
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import METADATA, StorageDomain
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec
from ansible_collections.gfapi.virt.plugins.modules import glusterfs_domain
from ansible_collections.gfapi.virt.tests.unit import older_domain
from ansible_collections.gfapi.virt.tests.unit.fakes import SPACE, FakeImageUsers, FakeMounts, FakeServers


class Host:
    """A host, and volumes gv0 and gv1 that it can mount."""

    def __init__(self, root: Path) -> None:
        (root / "volumes").mkdir()
        self.mounts = FakeMounts(root / "volumes")
        for volume in ("gv0", "gv1"):
            self.mounts.make_volume(volume)
        self.users = FakeImageUsers()
        self.gluster: t.Any = FakeServers("gl2", "gl3")
        self.mount_root = str(root / "mnt")

    @property
    def point(self) -> str:
        return f"{self.mount_root}/gl1:_gv0"

    def item(self, **params: t.Any) -> Item:
        defaults = {name: option.get("default") for name, option in glusterfs_domain.ARGUMENT_SPEC.items()}
        owner = {"owner_uid": os.getuid(), "owner_gid": os.getgid(), "mount_root": self.mount_root}
        given = {"name": "vmstore", **({} if "volume" in params else {"spec": "gl1:/gv0"}), **owner, **params}
        return glusterfs_domain.make_item(
            {**defaults, **given}, t.cast("t.Any", self.mounts), self.gluster, t.cast("t.Any", self.users)
        )

    def run(self, **params: t.Any) -> Item:
        """The item, its plan carried out; a second plan then finds nothing to do."""
        item = self.item(**params)
        for action in item.plan.actions:
            action.run()
        assert self.item(**params).plan.summaries == []
        return item


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


# --- active ---------------------------------------------------------------------------------------------------------


def test_an_empty_volume_becomes_a_storage_domain(host: Host) -> None:
    item = host.run()
    assert item.plan.summaries == [
        f"mount gl1:/gv0 on {host.point}",
        "lay out storage domain vmstore on gl1:/gv0",
    ]
    owner = f"{os.getuid()}:{os.getgid()}"
    before = {"state": "absent", "mounted": False, "owner": owner, "name": None, "version": None, "complete": False}
    after = {"state": "active", "mounted": True, "owner": owner, "name": "vmstore", "version": 5, "complete": True}
    assert (item.plan.before, item.plan.after) == (before, after)
    found = storage_domain_files.read(host.point)
    assert found is not None
    assert item.read is not None
    assert item.read() == {
        "uuid": found.uuid,
        "name": "vmstore",
        "version": 5,
        "spec": "gl1:/gv0",
        "servers": ["gl1"],
        "volume": "gv0",
        "mount_point": host.point,
        "path": f"{host.point}/{found.uuid}",
        "state": "active",
        "size_bytes": SPACE.size_bytes,
        "free_bytes": SPACE.free_bytes,
    }


def test_what_is_predicted_is_what_comes_but_for_the_uuid(host: Host) -> None:
    item = host.run()
    assert item.read is not None
    assert {**item.read(), "uuid": None, "path": None} == item.predicted


def test_a_plan_alone_changes_nothing(host: Host, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    host.item()
    assert sorted(tmp_path.rglob("*")) == before
    assert host.mounts.table() == ()


def test_what_another_host_made_is_only_mounted(host: Host) -> None:
    host.run()
    made = storage_domain_files.read(host.point)
    host.mounts.unmount(host.point)
    assert host.run().plan.summaries == [f"mount gl1:/gv0 on {host.point}"]
    assert storage_domain_files.read(host.point) == made


def test_a_dead_mount_is_replaced(host: Host) -> None:
    host.run()
    host.mounts.dead.add(host.point)
    assert host.run().plan.summaries == [
        f"unmount {host.point}, which has lost its volume",
        f"mount gl1:/gv0 on {host.point}",
    ]


def test_a_hung_mount_is_reported_not_replaced(host: Host) -> None:
    host.run()
    host.mounts.hung.add(host.point)
    with pytest.raises(StorageError, match="does not answer"):
        host.item()


def test_the_root_of_the_mount_gets_its_owner(host: Host) -> None:
    item = host.item(owner_uid=12345)
    assert f"set the owner of gl1:/gv0 to 12345:{os.getgid()}" in item.plan.summaries


def test_servers_back_the_first_one_up(host: Host) -> None:
    host.run(volume="gv0", servers=["gl1", "gl9"], mount_options=["log-level=INFO"])
    assert host.mounts.options[host.point] == ("log-level=INFO",)


@pytest.mark.parametrize(
    ("params", "servers"),
    [
        ({"spec": "gl1:/gv0"}, ("gl1", "gl2", "gl3")),
        ({"spec": "gl1,gl9:/gv0"}, ("gl1", "gl9")),
        ({"spec": "gl1:/gv0", "servers": ["gl9"]}, ("gl1", "gl9")),
        ({"volume": "gv0", "servers": ["gl1"]}, ("gl1", "gl2", "gl3")),
    ],
)
def test_a_single_server_is_asked_for_the_others(
    host: Host, monkeypatch: pytest.MonkeyPatch, params: dict[str, t.Any], servers: tuple[str, ...]
) -> None:
    mounted = []
    monkeypatch.setattr(host.mounts, "mount", lambda spec, _point, _options: mounted.append(spec.servers))
    host.item(**params).plan.actions[0].run()
    assert mounted == [servers]


def test_without_the_gluster_command_the_given_server_has_to_do(host: Host) -> None:
    class NoGluster:
        def servers(self, name: str, *, volfile_server: str) -> tuple[str, ...]:
            raise GlusterError("cannot run gluster")

    host.gluster = NoGluster()
    assert host.run().plan.actions


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"name": "a\nb"}, "holds"),
        ({"name": "x" * 51}, "50 fit"),
        ({"spec": "gv0"}, "malformed volume spec 'gv0'"),
        ({"volume": "gv0", "servers": []}, "name a server of it"),
        ({"volume": "g.v", "servers": ["gl1"]}, "volume 'g.v' may hold only"),
        ({"mount_root": "mnt"}, "mount_root 'mnt' is not an absolute path"),
        ({"mount_root": "/mnt/a b"}, "mount_root '/mnt/a b' is not an absolute path without blanks"),
        ({"state": "absent"}, "would be deleted with all its images; confirm is missing"),
        ({"state": "absent", "confirm": "vmstor"}, "confirm is 'vmstor'"),
    ],
)
def test_bad_input_is_refused_before_a_look(host: Host, params: dict[str, t.Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        host.item(**params)
    assert host.mounts.options == {}


@pytest.mark.parametrize("params", [{"spec": "gl1:/gv0/dir"}, {"volume": "gv0/dir", "servers": ["gl1"]}])
@pytest.mark.parametrize("state", [{}, {"state": "absent", "confirm": "vmstore"}])
def test_a_directory_of_a_volume_that_shards_is_never_mounted(
    host: Host, monkeypatch: pytest.MonkeyPatch, params: dict[str, t.Any], state: dict[str, t.Any]
) -> None:
    host.gluster.options["features.shard"] = "enable"
    monkeypatch.setattr(host.mounts, "visit", None)
    words = (
        "cannot mount directory 'dir' of volume gv0: features.shard is enable, .* a volume of its own,"
        " or turn features.shard off before any image is made"
    )
    with pytest.raises(ValueError, match=words):
        host.item(**params, **state)


def test_a_directory_is_not_mounted_where_sharding_cannot_be_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def volume(name: str, *, remote_host: str) -> None:
        raise GlusterError(f"cannot read volume {name} on {remote_host}")

    monkeypatch.setattr(host.gluster, "volume", volume)
    monkeypatch.setattr(host.mounts, "visit", None)
    with pytest.raises(GlusterError, match="cannot read volume gv0 on gl1"):
        host.item(spec="gl1:/gv0/dir")


@pytest.mark.parametrize("options", [{}, {"features.shard": "off"}])
def test_a_directory_of_a_volume_without_shards_is_used(host: Host, options: dict[str, str]) -> None:
    host.mounts.make_volume("gv0/dir")
    host.gluster.options = options
    assert host.run(spec="gl1:/gv0/dir").plan.actions


def test_an_unknown_volume_is_an_error_in_the_plan(host: Host) -> None:
    with pytest.raises(StorageError, match="cannot mount gl1:/nope"):
        host.item(spec="gl1:/nope")


def test_another_storage_domain_is_refused_by_its_name(host: Host) -> None:
    host.run()
    for params in ({"name": "other"}, {"name": "other", "state": "absent", "confirm": "other"}):
        with pytest.raises(StorageError, match=r"gl1:/gv0 holds storage domain 'vmstore' \(.*\), not 'other'"):
            host.item(**params)


def test_another_volume_on_the_mount_point_is_refused(host: Host) -> None:
    host.run()
    mount = host.mounts.mounted[host.point]
    host.mounts.mounted[host.point] = type(mount)(type(mount.spec)(("gl1",), "gv1"), host.point)
    with pytest.raises(StorageError, match="gl1:/gv1 is mounted there, not gl1:/gv0"):
        host.item()


# --- versions -------------------------------------------------------------------------------------------------------


def older(host: Host, version: int, **values: t.Any) -> Path:
    """The mounted storage domain, as if an oVirt of that version had made it."""
    host.run()
    root = Path(host.point)
    uuid = older_domain.write(root, version, **values)
    for path in root.iterdir():
        if path.name not in (uuid, storage_domain_files.CLAIM):
            shutil.rmtree(path)
    return root / uuid


@pytest.mark.parametrize("version", [3, 4])
def test_an_older_storage_domain_is_left_as_it_is(host: Host, version: int) -> None:
    older(host, version)
    item = host.item(name="old")
    assert (item.plan.summaries, item.predicted["version"]) == ([], version)


@pytest.mark.parametrize(("found", "wanted"), [(3, 4), (3, 5), (4, 5)])
def test_an_older_storage_domain_is_upgraded_when_asked(host: Host, found: int, wanted: int) -> None:
    older(host, found)
    item = host.run(name="old", version=wanted)
    assert item.plan.summaries == [f"upgrade storage domain old from version {found} to {wanted}"]
    assert (item.plan.before["version"], item.plan.after["version"]) == (found, wanted)
    assert item.read is not None
    assert item.read() == item.predicted
    assert item.predicted["version"] == wanted


def test_an_interrupted_upgrade_is_finished_unasked(host: Host) -> None:
    older(host, 4)
    host.run(name="old", version=5)
    Path(host.point, storage_domain_files.MARK).touch()
    assert host.run(name="old").plan.summaries == ["finish the upgrade of storage domain old to version 5"]


def test_what_an_earlier_release_left_out_is_added(host: Host) -> None:
    path = Path(host.point, older(host, 4).name)
    for name in ("ids", "xleases"):
        (path / "dom_md" / name).unlink()
    item = host.run(name="old")
    assert item.plan.summaries == ["add what storage domain old lacks: dom_md/ids, dom_md/xleases"]
    assert (item.plan.before["complete"], item.plan.after["complete"]) == (False, True)


def test_a_storage_domain_is_never_downgraded(host: Host) -> None:
    host.run()
    with pytest.raises(ValueError, match="storage domain vmstore is of version 5, not 4; it is never downgraded"):
        host.item(version=4)


def test_a_new_storage_domain_has_the_newest_version(host: Host) -> None:
    with pytest.raises(ValueError, match="no storage domain vmstore on .*; a new one is made in version 5, not 3"):
        host.item(version=3)
    host.run(version=5)


def test_the_upgrade_of_a_data_centers_storage_domain_is_left_to_it(host: Host) -> None:
    older(host, 4, pool_uuid="p-1")
    with pytest.raises(StorageError, match="version 4 belongs to data center p-1 .*; let its oVirt upgrade it"):
        host.item(name="old", version=5)
    host.run(name="old")


# --- absent ---------------------------------------------------------------------------------------------------------

ABSENT = {"state": "absent", "confirm": "vmstore"}


def test_absent_deletes_and_unmounts(host: Host, tmp_path: Path) -> None:
    host.run()
    item = host.run(**ABSENT)
    assert item.plan.summaries == [
        "delete storage domain vmstore with all its images from gl1:/gv0",
        f"unmount {host.point}",
    ]
    assert item.predicted["state"] == "absent"
    assert list((tmp_path / "volumes/gv0").iterdir()) == []


def test_absent_works_without_a_mount(host: Host, tmp_path: Path) -> None:
    host.run()
    host.mounts.unmount(host.point)
    assert host.run(**ABSENT).plan.summaries == ["delete storage domain vmstore with all its images from gl1:/gv0"]
    assert list((tmp_path / "volumes/gv0").iterdir()) == []


def test_absent_where_nothing_is_does_nothing(host: Host) -> None:
    assert host.run(**ABSENT).plan.summaries == []
    assert host.users.asked == 0


def test_absent_finishes_an_interrupted_deletion(host: Host, tmp_path: Path) -> None:
    (tmp_path / "volumes/gv0" / f"{storage_domain_files.REMOVED}x").mkdir()
    assert host.run(**ABSENT).plan.summaries == ["delete what an interrupted deletion left on gl1:/gv0"]


def _absent_is_refused(host: Host, fault: str) -> None:
    before = sorted(Path(host.point).rglob("*"))
    with pytest.raises(StorageError, match=fault):
        host.item(**ABSENT)
    assert sorted(Path(host.point).rglob("*")) == before


def test_absent_is_refused_while_a_data_center_has_it(host: Host) -> None:
    host.run()
    found = storage_domain_files.read(host.point)
    assert found is not None
    text = StorageDomain(found.uuid, found.name, found.spec, pool_uuid="p-1").to_text()
    Path(host.point, found.uuid, METADATA).write_text(text)
    _absent_is_refused(host, r"belongs to data center p-1 \(POOL_UUID\)")


def test_absent_is_refused_while_a_domain_uses_an_image(host: Host) -> None:
    host.run()
    host.users.users["i"] = [ImageUser("web", True, "vda")]
    _absent_is_refused(host, r"is in use by domain web \(running, disk vda\)")


def test_absent_is_refused_while_a_process_holds_the_mount(host: Host) -> None:
    host.run()
    host.mounts.holders[host.point] = ["sleep (7)"]
    _absent_is_refused(host, r"is in use by sleep \(7\)")


@pytest.mark.parametrize(
    ("mounted", "held"),
    [("gv0/dir", "/mnt/x"), ("gv0", "/mnt/x/dir")],
    ids=["the same location", "a directory above it"],
)
def test_absent_is_refused_while_a_process_holds_another_mount(host: Host, mounted: str, held: str) -> None:
    host.mounts.make_volume("gv0/dir")
    host.run(spec="gl1:/gv0/dir")
    host.mounts.mounted["/mnt/x"] = Mount(VolumeSpec.parse(f"gl9:/{mounted}"), "/mnt/x")
    host.mounts.holders[held] = ["qemu (7)"]
    with pytest.raises(StorageError, match=rf"is in use by qemu \(7\) on {held}; end them first"):
        host.item(spec="gl1:/gv0/dir", **ABSENT)


def test_absent_asks_nothing_of_mounts_that_show_other_files(host: Host) -> None:
    host.run()
    for number, location in enumerate(("gv1", "gv", "gv0/dir")):
        point = f"/mnt/{number}"
        host.mounts.mounted[point] = Mount(VolumeSpec.parse(f"gl1:/{location}"), point)
        host.mounts.holders[point] = ["sleep (7)"]
    assert host.item(**ABSENT).plan.actions


def test_absent_is_refused_for_a_damaged_one(host: Host) -> None:
    host.run()
    found = storage_domain_files.read(host.point)
    assert found is not None
    path = Path(host.point, found.uuid, METADATA)
    path.write_text(path.read_text().replace("ROLE=Regular", "ROLE=Master"))
    _absent_is_refused(host, "the seal is broken")
