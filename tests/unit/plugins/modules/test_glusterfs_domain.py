# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _files,
    _storage_domain,
    _storage_domain_upgrade,
    _storage_domain_volume,
)
from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_files as storage_domain_files
from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_read as storage_domain_read
from ansible_collections.gfapi.virt.plugins.module_utils import _use_notes as use_notes
from ansible_collections.gfapi.virt.plugins.module_utils import _use_records as use_records
from ansible_collections.gfapi.virt.plugins.module_utils._command import Completed
from ansible_collections.gfapi.virt.plugins.module_utils._errors import GlusterError, StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._files import Directory, is_staging, staging
from ansible_collections.gfapi.virt.plugins.module_utils._fstab import Fstab
from ansible_collections.gfapi.virt.plugins.module_utils._image import ImageVolume
from ansible_collections.gfapi.virt.plugins.module_utils._image_users import ImageUser
from ansible_collections.gfapi.virt.plugins.module_utils._mount_table import Mount
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Item
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import (
    IMAGES,
    LOCK,
    METADATA,
    REMOVED,
    USERS,
    StorageDomain,
)
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain_mount import Host
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec
from ansible_collections.gfapi.virt.plugins.module_utils._use_record import OtherUses, ThisHost, UseRecord
from ansible_collections.gfapi.virt.plugins.module_utils._volume_use import Clients, HostUse
from ansible_collections.gfapi.virt.plugins.modules import glusterfs_domain
from ansible_collections.gfapi.virt.tests.unit import older_domain
from ansible_collections.gfapi.virt.tests.unit.fakes import (
    SPACE,
    FakeHere,
    FakeImageUsers,
    FakeMounts,
    FakeServers,
    hold_open,
    note_elsewhere,
)

OTHER_LINES = "# comment\nUUID=1 / ext4 defaults 0 1\n"


class Lab:
    """A host, and volumes gv0 and gv1 that it can mount."""

    def __init__(self, root: Path) -> None:
        (root / "volumes").mkdir()
        self.mounts = FakeMounts(root / "volumes")
        for volume in ("gv0", "gv1"):
            self.mounts.make_volume(volume)
        self.users = FakeImageUsers()
        self.gluster: t.Any = FakeServers("gl2", "gl3")
        self.here: t.Any = FakeHere()
        self.mount_root = str(root / "mnt")
        self.fstab = Fstab(lambda *_words, **_limits: Completed(0, "", ""), path=str(root / "fstab"))
        (root / "fstab").write_text(OTHER_LINES)

    @property
    def point(self) -> str:
        return f"{self.mount_root}/gl1:_gv0"

    def item(self, **params: t.Any) -> Item:
        defaults = {name: option.get("default") for name, option in glusterfs_domain.ARGUMENT_SPEC.items()}
        owner = {"owner_uid": os.getuid(), "owner_gid": os.getgid(), "mount_root": self.mount_root}
        given = {"name": "vmstore", **({} if "volume" in params else {"spec": "gl1:/gv0"}), **owner, **params}
        host = Host(t.cast("t.Any", self.mounts), self.fstab, self.gluster, t.cast("t.Any", self.users), self.here)
        return glusterfs_domain.make_item({**defaults, **given}, host)

    def run(self, **params: t.Any) -> Item:
        """The item, its plan carried out; a second plan then finds nothing to do."""
        item = self.item(**params)
        for action in item.plan.actions:
            action.run()
        assert self.item(**params).plan.summaries == []
        return item


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(_files, "LINGERS_S", 0)
    return Lab(tmp_path)


# --- active ---------------------------------------------------------------------------------------------------------


def test_an_empty_volume_becomes_a_storage_domain(host: Lab) -> None:
    item = host.run()
    assert item.plan.summaries == [
        f"mount gl1:/gv0 on {host.point}",
        "lay out storage domain vmstore on gl1:/gv0",
    ]
    owner = f"{os.getuid()}:{os.getgid()}"
    before = {
        "state": "absent",
        "mounted": False,
        "owner": owner,
        "name": None,
        "version": None,
        "complete": False,
        "data_center": None,
    }
    after = {
        "state": "active",
        "mounted": True,
        "owner": owner,
        "name": "vmstore",
        "version": 5,
        "complete": True,
        "data_center": None,
    }
    assert (item.plan.before, item.plan.after) == (before, after)
    found = storage_domain_read.read(host.point)
    assert found is not None
    assert item.read is not None
    assert item.read() == {
        "uuid": found.uuid,
        "name": "vmstore",
        "version": 5,
        "data_center": None,
        "spec": "gl1:/gv0",
        "servers": ["gl1"],
        "volume": "gv0",
        "mount_point": host.point,
        "path": f"{host.point}/{found.uuid}",
        "state": "active",
        "size_bytes": SPACE.size_bytes,
        "free_bytes": SPACE.free_bytes,
    }


def test_what_is_predicted_is_what_comes_but_for_the_uuid(host: Lab) -> None:
    item = host.run()
    assert item.read is not None
    assert {**item.read(), "uuid": None, "path": None} == item.predicted


def test_a_plan_alone_changes_nothing(host: Lab, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    host.item()
    assert sorted(tmp_path.rglob("*")) == before
    assert host.mounts.table() == ()


def test_what_another_host_made_is_only_mounted(host: Lab) -> None:
    host.run()
    made = storage_domain_read.read(host.point)
    host.mounts.unmount(host.point)
    assert host.run().plan.summaries == [f"mount gl1:/gv0 on {host.point}"]
    assert storage_domain_read.read(host.point) == made


def test_a_dead_mount_is_replaced(host: Lab) -> None:
    host.run()
    host.mounts.dead.add(host.point)
    assert host.run().plan.summaries == [
        f"unmount {host.point}, which has lost its volume",
        f"mount gl1:/gv0 on {host.point}",
    ]


def test_a_hung_mount_is_replaced_where_the_volume_answers(host: Lab) -> None:
    host.run()
    host.mounts.hung.add(host.point)
    assert host.run().plan.summaries == [
        f"unmount {host.point}, whose client does not answer",
        f"mount gl1:/gv0 on {host.point}",
    ]


def test_a_hung_mount_is_reported_where_the_volume_does_not_answer(host: Lab) -> None:
    host.run()
    host.mounts.hung.add(host.point)
    host.mounts.down.add("gv0")
    words = rf"mount {host.point} does not answer, nor does its volume: cannot mount .* no answer within 3 s"
    with pytest.raises(StorageError, match=words):
        host.item()


@pytest.mark.parametrize("broken", ["dead", "hung"])
@pytest.mark.parametrize("state", ["active", "maintenance"])
def test_a_broken_mount_that_is_held_is_left(host: Lab, broken: str, state: str) -> None:
    host.run()
    getattr(host.mounts, broken).add(host.point)
    host.mounts.holders[host.point] = ["qemu-system-x86 (7)"]
    with pytest.raises(StorageError, match=rf"mount {host.point} is in use by qemu-system-x86 \(7\); end them first"):
        host.item(state=state)


# --- mount options and boot -----------------------------------------------------------------------------------------


def test_a_mount_with_other_options_is_replaced(host: Lab) -> None:
    host.run(mount_options=["log-level=INFO"])
    item = host.run(mount_options=["log-level=debug", "noatime"])
    assert item.plan.summaries == [
        f"unmount {host.point}, which has other options",
        f"mount gl1:/gv0 on {host.point}",
    ]
    assert host.mounts.options[host.point] == ("log-level=debug", "noatime")
    assert host.run(mount_options=[]).plan.actions


def test_a_mount_that_is_held_keeps_its_options(host: Lab) -> None:
    host.run(mount_options=["log-level=INFO"])
    host.mounts.holders[host.point] = ["sleep (7)"]
    item = host.item(mount_options=["acl"])
    assert item.plan.summaries == []
    assert item.warnings == (
        f"{host.point} is mounted with other options than acl, and in use by sleep (7); it gets them when it is mounted"
        " next",
    )


@pytest.mark.parametrize("options", [None, ["volume-name=gv0"]], ids=["none asked for", "one that we do not know"])
def test_options_that_cannot_be_told_change_nothing(host: Lab, options: list[str] | None) -> None:
    host.run(mount_options=["log-level=INFO"])
    assert host.item(mount_options=options).plan.summaries == []


def fstab(host: Lab) -> str:
    return Path(host.mount_root).with_name("fstab").read_text()


def test_it_is_mounted_at_boot_when_asked(host: Lab) -> None:
    item = host.run(boot=True, mount_options=["acl"])
    assert item.plan.summaries[-1] == f"mount {host.point} at boot (/etc/fstab)"
    options = "acl,backup-volfile-servers=gl2:gl3,_netdev,nofail,x-systemd.after=glusterd.service"
    assert fstab(host) == f"{OTHER_LINES}gl1:/gv0 {host.point} glusterfs {options} 0 0\n"
    assert host.item(boot=None).plan.summaries == []
    assert host.run(boot=True, mount_options=["ro"]).plan.actions
    assert fstab(host).count("gl1:/gv0") == 1
    assert host.run(boot=False).plan.summaries == [f"mount {host.point} at boot no longer (/etc/fstab)"]
    assert fstab(host) == OTHER_LINES


@pytest.mark.parametrize("params", [{"state": "maintenance"}, {"state": "absent", "confirm": "vmstore"}])
def test_what_is_not_mounted_is_not_mounted_at_boot(host: Lab, params: dict[str, t.Any]) -> None:
    host.run(boot=True)
    item = host.run(**params)
    assert item.plan.summaries[-1] == f"mount {host.point} at boot no longer (/etc/fstab)"
    assert fstab(host) == OTHER_LINES


# --- maintenance ----------------------------------------------------------------------------------------------------

MAINTENANCE = {"state": "maintenance"}


def test_maintenance_unmounts_and_active_mounts_again(host: Lab) -> None:
    host.run()
    item = host.run(**MAINTENANCE)
    assert item.plan.summaries == [f"unmount {host.point}"]
    assert item.plan.before == {"state": "active", "mounted": True, "running": []}
    assert item.plan.after == {"state": "maintenance", "mounted": False, "running": []}
    assert (item.predicted["state"], item.predicted["uuid"], item.predicted["size_bytes"]) == (
        "maintenance",
        None,
        None,
    )
    item = host.run()
    assert item.plan.summaries == [f"mount gl1:/gv0 on {host.point}"]
    assert item.plan.before["state"] == "maintenance"


def test_maintenance_needs_no_volume(host: Lab) -> None:
    assert host.run(spec="gl1:/nope", **MAINTENANCE).plan.summaries == []


@pytest.mark.parametrize(("broken", "words"), [("dead", "has lost its volume"), ("hung", "client does not answer")])
def test_maintenance_takes_a_broken_mount_away(host: Lab, broken: str, words: str) -> None:
    host.run()
    getattr(host.mounts, broken).add(host.point)
    host.mounts.down.add("gv0")
    (summary,) = host.run(**MAINTENANCE).plan.summaries
    assert summary.endswith(words)


def test_maintenance_is_refused_for_another_storage_domain(host: Lab) -> None:
    host.run()
    with pytest.raises(StorageError, match="holds storage domain 'vmstore'"):
        host.item(name="other", **MAINTENANCE)


def test_maintenance_is_refused_while_domains_run(host: Lab) -> None:
    host.run()
    host.users.users["i"] = [ImageUser("web", True, "vda"), ImageUser("web", True, "vdb"), ImageUser("db", True, "vda")]
    words = r"vmstore is in use by running domains: db, web; stop them first, .*running_vms: shutdown or destroy"
    for state in ("maintenance", "detached"):
        host.run(data_center="dc")
        with pytest.raises(StorageError, match=words):
            host.item(state=state, data_center="dc")
    host.mounts.unmount(host.point)
    with pytest.raises(StorageError, match=words):
        host.item(**MAINTENANCE)


@pytest.mark.parametrize(("how", "word"), [("shutdown", "shut down"), ("destroy", "end")])
def test_maintenance_stops_domains_when_asked(host: Lab, how: str, word: str) -> None:
    host.run()
    host.users.users["i"] = [ImageUser("web", True, "vda"), ImageUser("db", False, "vda")]
    host.mounts.holders[host.point] = ["qemu-system-x86 (7)"]
    item = host.run(running_vms=how, **MAINTENANCE)
    assert item.plan.summaries == [f"{word} domain web", f"unmount {host.point}"]
    assert item.plan.before["running"] == ["web"]
    assert host.users.stopped == [(("web",), how == "destroy")]


def test_maintenance_is_refused_while_a_process_holds_the_mount(host: Lab) -> None:
    host.run()
    host.users.users["i"] = [ImageUser("web", True, "vda")]
    host.mounts.holders[host.point] = ["sleep (7)", "qemu-system-x86 (8)"]
    with pytest.raises(StorageError, match=r"is in use by sleep \(7\); end them first"):
        host.item(running_vms="shutdown", **MAINTENANCE)


# --- data centers ---------------------------------------------------------------------------------------------------

DATA_CENTER = "2a1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11"


def metadata(host: Lab) -> StorageDomain:
    found = storage_domain_read.read(host.point)
    assert found is not None
    return found


def test_a_data_center_gets_the_storage_domain(host: Lab) -> None:
    item = host.run(data_center=DATA_CENTER)
    assert item.plan.summaries[-1] == f"attach storage domain vmstore to data center {DATA_CENTER}"
    assert metadata(host).pool_uuid == DATA_CENTER
    assert item.read is not None
    assert item.read()["data_center"] == item.predicted["data_center"] == DATA_CENTER
    assert host.run().predicted["data_center"] == DATA_CENTER


def test_a_name_stands_for_a_uuid(host: Lab) -> None:
    host.run(data_center="Default")
    assert metadata(host).pool_uuid == "81e926d2-c5d0-5ac7-ac31-98033880aaac"


@pytest.mark.parametrize("text", ["00000000-0000-0000-0000-000000000000", "a,b", "", "a\nb"])
def test_a_data_center_has_a_name_or_uuid(host: Lab, text: str) -> None:
    with pytest.raises(ValueError, match="data_center"):
        host.item(data_center=text)


def test_another_data_centers_storage_domain_is_left(host: Lab) -> None:
    host.run(data_center=DATA_CENTER)
    words = rf"belongs to data center {DATA_CENTER} \(POOL_UUID\); .*state: detached, data_center: {DATA_CENTER}\)"
    for params in ({"data_center": "other"}, {"state": "detached"}, {"state": "detached", "data_center": "other"}):
        with pytest.raises(StorageError, match=words):
            host.item(**params)


def test_a_storage_domain_is_detached(host: Lab) -> None:
    host.run(data_center="dc")
    storage_domain_files.change(host.point, "vmstore", lambda found: replace(found, role="Master"))
    item = host.run(state="detached", data_center="dc")
    assert len(item.plan.summaries) == 1
    assert (item.plan.before["state"], item.plan.after["state"]) == ("active", "detached")
    assert (item.plan.before["data_center"] is None, item.plan.after["data_center"]) == (False, None)
    assert (metadata(host).role, metadata(host).pools) == ("Regular", ())
    assert host.run(state="detached").plan.before["state"] == "detached"
    assert item.read is not None
    assert item.read() == item.predicted


def test_detaching_mounts(host: Lab) -> None:
    host.run(data_center="dc")
    host.run(**MAINTENANCE)
    assert len(host.run(state="detached", data_center="dc").plan.summaries) == 2


def test_nothing_cannot_be_detached(host: Lab) -> None:
    with pytest.raises(StorageError, match="no storage domain vmstore on gl1:/gv0 to detach"):
        host.item(state="detached")


def test_absent_takes_our_own_data_centers(host: Lab) -> None:
    host.run(data_center="dc")
    host.run(data_center="dc", **ABSENT)


def test_the_root_of_the_mount_gets_its_owner(host: Lab) -> None:
    item = host.item(owner_uid=12345)
    assert f"set the owner of gl1:/gv0 to 12345:{os.getgid()}" in item.plan.summaries


def test_servers_back_the_first_one_up(host: Lab) -> None:
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
    host: Lab, monkeypatch: pytest.MonkeyPatch, params: dict[str, t.Any], servers: tuple[str, ...]
) -> None:
    mounted = []
    monkeypatch.setattr(host.mounts, "mount", lambda spec, _point, _options: mounted.append(spec.servers))
    host.item(**params).plan.actions[0].run()
    assert mounted == [servers]


def test_without_the_gluster_command_the_given_server_has_to_do(host: Lab) -> None:
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
        ({"boot": True, "mount_options": ["noauto"]}, "mount option noauto is for no boot; leave one of them out"),
        ({"state": "absent"}, "would be deleted with all its images; confirm is missing"),
        ({"state": "absent", "confirm": "vmstor"}, "confirm is 'vmstor'"),
    ],
)
def test_bad_input_is_refused_before_a_look(host: Lab, params: dict[str, t.Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        host.item(**params)
    assert host.mounts.options == {}


@pytest.mark.parametrize("params", [{"spec": "gl1:/gv0/dir"}, {"volume": "gv0/dir", "servers": ["gl1"]}])
@pytest.mark.parametrize("state", [{}, {"state": "absent", "confirm": "vmstore"}])
def test_a_directory_of_a_volume_that_shards_is_never_mounted(
    host: Lab, monkeypatch: pytest.MonkeyPatch, params: dict[str, t.Any], state: dict[str, t.Any]
) -> None:
    host.gluster.options["features.shard"] = "enable"
    monkeypatch.setattr(host.mounts, "visit", None)
    words = (
        "cannot mount directory 'dir' of volume gv0: features.shard is enable, .* a volume of its own,"
        " or turn features.shard off before any image is made"
    )
    with pytest.raises(ValueError, match=words):
        host.item(**params, **state)


def test_a_directory_is_not_mounted_where_sharding_cannot_be_told(host: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def volume(name: str, *, remote_host: str) -> None:
        raise GlusterError(f"cannot read volume {name} on {remote_host}")

    monkeypatch.setattr(host.gluster, "volume", volume)
    monkeypatch.setattr(host.mounts, "visit", None)
    with pytest.raises(GlusterError, match="cannot read volume gv0 on gl1"):
        host.item(spec="gl1:/gv0/dir")


@pytest.mark.parametrize("options", [{}, {"features.shard": "off"}])
def test_a_directory_of_a_volume_without_shards_is_used(host: Lab, options: dict[str, str]) -> None:
    host.mounts.make_volume("gv0/dir")
    host.gluster.options = options
    assert host.run(spec="gl1:/gv0/dir").plan.actions


def test_an_unknown_volume_is_an_error_in_the_plan(host: Lab) -> None:
    with pytest.raises(StorageError, match="cannot mount gl1:/nope"):
        host.item(spec="gl1:/nope")


def test_another_storage_domain_is_refused_by_its_name(host: Lab) -> None:
    host.run()
    for params in ({"name": "other"}, {"name": "other", "state": "absent", "confirm": "other"}):
        with pytest.raises(StorageError, match=r"gl1:/gv0 holds storage domain 'vmstore' \(.*\), not 'other'"):
            host.item(**params)


def test_another_volume_on_the_mount_point_is_refused(host: Lab) -> None:
    host.run()
    mount = host.mounts.mounted[host.point]
    host.mounts.mounted[host.point] = type(mount)(type(mount.spec)(("gl1",), "gv1"), host.point)
    with pytest.raises(StorageError, match="gl1:/gv1 is mounted there, not gl1:/gv0"):
        host.item()


# --- versions -------------------------------------------------------------------------------------------------------


def older(host: Lab, version: int, **values: t.Any) -> Path:
    """The mounted storage domain, as if an oVirt of that version had made it."""
    host.run()
    root = Path(host.point)
    uuid = older_domain.write(root, version, **values)
    for path in root.iterdir():
        if path.name not in (uuid, _storage_domain.CLAIM, USERS):
            shutil.rmtree(path)
    return root / uuid


@pytest.mark.parametrize("version", [3, 4])
def test_an_older_storage_domain_is_left_as_it_is(host: Lab, version: int) -> None:
    older(host, version)
    item = host.item(name="old")
    assert (item.plan.summaries, item.predicted["version"]) == ([], version)


@pytest.mark.parametrize(("found", "wanted"), [(3, 4), (3, 5), (4, 5)])
def test_an_older_storage_domain_is_upgraded_when_asked(host: Lab, found: int, wanted: int) -> None:
    older(host, found)
    item = host.run(name="old", version=wanted)
    assert item.plan.summaries == [f"upgrade storage domain old from version {found} to {wanted}"]
    assert (item.plan.before["version"], item.plan.after["version"]) == (found, wanted)
    assert item.read is not None
    assert item.read() == item.predicted
    assert item.predicted["version"] == wanted


def test_an_interrupted_upgrade_is_finished_unasked(host: Lab) -> None:
    older(host, 4)
    host.run(name="old", version=5)
    Path(host.point, _storage_domain.MARK).touch()
    assert host.run(name="old").plan.summaries == ["finish the upgrade of storage domain old to version 5"]


def test_what_an_earlier_release_left_out_is_added(host: Lab) -> None:
    path = Path(host.point, older(host, 4).name)
    for name in ("ids", "xleases"):
        (path / "dom_md" / name).unlink()
    item = host.run(name="old")
    assert item.plan.summaries == ["add what storage domain old lacks: dom_md/ids, dom_md/xleases"]
    assert (item.plan.before["complete"], item.plan.after["complete"]) == (False, True)


def test_a_storage_domain_is_never_downgraded(host: Lab) -> None:
    host.run()
    with pytest.raises(ValueError, match="storage domain vmstore is of version 5, not 4; it is never downgraded"):
        host.item(version=4)


def test_a_new_storage_domain_has_the_newest_version(host: Lab) -> None:
    with pytest.raises(ValueError, match="no storage domain vmstore on .*; a new one is made in version 5, not 3"):
        host.item(version=3)
    host.run(version=5)


def test_the_upgrade_of_a_data_centers_storage_domain_is_left_to_it(host: Lab) -> None:
    older(host, 4, pool_uuid="p-1")
    with pytest.raises(StorageError, match="version 4 belongs to data center p-1 .*; let its oVirt upgrade it"):
        host.item(name="old", version=5)
    host.run(name="old")


# --- absent ---------------------------------------------------------------------------------------------------------

ABSENT = {"state": "absent", "confirm": "vmstore"}


def test_absent_deletes_and_unmounts(host: Lab, tmp_path: Path) -> None:
    host.run()
    item = host.run(**ABSENT)
    assert item.plan.summaries == [
        "delete storage domain vmstore with all its images from gl1:/gv0",
        f"unmount {host.point}",
    ]
    assert item.predicted["state"] == "absent"
    assert list((tmp_path / "volumes/gv0").iterdir()) == []


def test_absent_works_without_a_mount(host: Lab, tmp_path: Path) -> None:
    host.run()
    host.mounts.unmount(host.point)
    assert host.run(**ABSENT).plan.summaries == ["delete storage domain vmstore with all its images from gl1:/gv0"]
    assert list((tmp_path / "volumes/gv0").iterdir()) == []


def test_absent_where_nothing_is_does_nothing(host: Lab) -> None:
    assert host.run(**ABSENT).plan.summaries == []
    assert host.users.asked == 0


def test_absent_finishes_an_interrupted_deletion(host: Lab, tmp_path: Path) -> None:
    (tmp_path / "volumes/gv0" / f"{_storage_domain.REMOVED}x").mkdir()
    assert host.run(**ABSENT).plan.summaries == ["delete what an interrupted run left on gl1:/gv0"]


@pytest.mark.parametrize("params", [{}, ABSENT])
def test_what_a_run_left_that_was_killed_after_its_work_is_taken_away(
    host: Lab, tmp_path: Path, params: dict[str, str]
) -> None:
    """`absent` too where there is nothing else; what a living run builds stays."""
    root = tmp_path / "volumes/gv0"
    if not params:
        host.run()
        root = Path(host.point)
    (root / ".gfapi-virt-storage-domain-01234567").mkdir()
    (root / ".gfapi-virt-upgrade-01234567").mkdir()
    (root / ".gfapi-virt-upgrade-01234567/~lock").touch()
    with Directory.open(str(root)) as directory, staging(directory, "storage-domain") as living:
        assert host.run(**params).plan.summaries == ["delete what an interrupted run left on gl1:/gv0"]
        left = [path.name for path in root.iterdir() if is_staging(path.name) and not path.is_symlink()]
        assert set(left) - {LOCK} == {Path(living.path).name}


def _absent_is_refused(host: Lab, fault: str) -> None:
    before = sorted(Path(host.point).rglob("*"))
    with pytest.raises(StorageError, match=fault):
        host.item(**ABSENT)
    assert sorted(Path(host.point).rglob("*")) == before


def test_absent_is_refused_while_a_data_center_has_it(host: Lab) -> None:
    host.run()
    found = storage_domain_read.read(host.point)
    assert found is not None
    text = StorageDomain(found.uuid, found.name, found.spec, pool_uuid="p-1").to_text()
    Path(host.point, found.uuid, METADATA).write_text(text)
    _absent_is_refused(host, r"belongs to data center p-1 \(POOL_UUID\)")


def test_absent_is_refused_while_a_domain_uses_an_image(host: Lab) -> None:
    host.run()
    host.users.users["i"] = [ImageUser("web", True, "vda")]
    _absent_is_refused(host, r"is in use by domain web \(running, disk vda\)")


def test_absent_is_refused_while_a_process_holds_the_mount(host: Lab) -> None:
    host.run()
    host.mounts.holders[host.point] = ["sleep (7)"]
    _absent_is_refused(host, r"is in use by sleep \(7\)")


@pytest.mark.parametrize(
    ("mounted", "held"),
    [("gv0/dir", "/mnt/x"), ("gv0", "/mnt/x/dir")],
    ids=["the same location", "a directory above it"],
)
def test_absent_is_refused_while_a_process_holds_another_mount(host: Lab, mounted: str, held: str) -> None:
    host.mounts.make_volume("gv0/dir")
    host.run(spec="gl1:/gv0/dir")
    host.mounts.mounted["/mnt/x"] = Mount(VolumeSpec.parse(f"gl9:/{mounted}"), "/mnt/x")
    host.mounts.holders[held] = ["qemu (7)"]
    with pytest.raises(StorageError, match=rf"is in use by qemu \(7\) on {held}; end them first"):
        host.item(spec="gl1:/gv0/dir", **ABSENT)


def test_absent_asks_nothing_of_mounts_that_show_other_files(host: Lab) -> None:
    host.run()
    for number, location in enumerate(("gv1", "gv", "gv0/dir")):
        point = f"/mnt/{number}"
        host.mounts.mounted[point] = Mount(VolumeSpec.parse(f"gl1:/{location}"), point)
        host.mounts.holders[point] = ["sleep (7)"]
    assert host.item(**ABSENT).plan.actions


@pytest.mark.parametrize("state", ["absent", "active"])
def test_one_that_another_host_removes_while_it_is_looked_at_is_not_there(
    host: Lab, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    host.run()
    uuid = metadata(host).uuid
    missing = _storage_domain_upgrade.missing

    def missing_late(point: str, domain: StorageDomain) -> tuple[str, ...]:
        monkeypatch.setattr(_storage_domain_upgrade, "missing", missing)
        storage_domain_files.remove(point, uuid, lambda _found: None)
        return missing(point, domain)

    monkeypatch.setattr(_storage_domain_upgrade, "missing", missing_late)
    item = host.run(**(ABSENT if state == "absent" else {"state": state}))
    assert not any(words.startswith("delete") for words in item.plan.summaries)
    assert (metadata(host).uuid != uuid) if state == "active" else not host.mounts.table()


def test_absent_is_refused_for_a_damaged_one(host: Lab) -> None:
    host.run()
    found = storage_domain_read.read(host.point)
    assert found is not None
    path = Path(host.point, found.uuid, METADATA)
    path.write_text(path.read_text().replace("ROLE=Regular", "ROLE=Master"))
    _absent_is_refused(host, "the seal is broken")


@pytest.mark.parametrize("unmounted", [False, True])
def test_absent_is_refused_while_another_host_has_an_image_open(
    host: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unmounted: bool
) -> None:
    host.run()
    uuid = metadata(host).uuid
    volume = ImageVolume.base(uuid, "web", note="", version=5, format="raw", capacity_bytes=4096, created_at=0)
    folder = Path(host.point, uuid, IMAGES, volume.image_uuid)
    folder.mkdir()
    (folder / f"{volume.uuid}.meta").write_text(volume.to_text(5))
    (folder / volume.uuid).write_bytes(bytes(4096))
    if unmounted:
        host.run(state="maintenance")
        folder = tmp_path / "volumes" / "gv0" / folder.relative_to(host.point)
    hold_open(monkeypatch, volume.uuid)
    with pytest.raises(StorageError, match="is in use: its bricks have images open, .* stop those first: web"):
        host.item(**ABSENT)
    (folder / f"{volume.uuid}.meta").write_text("broken")
    with pytest.raises(StorageError, match=f"stop those first: {volume.image_uuid}"):
        host.item(**ABSENT)
    hold_open(monkeypatch)
    late = host.item(**ABSENT)
    hold_open(monkeypatch, volume.uuid)
    with pytest.raises(StorageError, match=f"stop those first: {volume.image_uuid}"):
        late.plan.actions[0].run()
    assert folder.exists()
    hold_open(monkeypatch)
    assert host.run(**ABSENT).plan.summaries[0].startswith("delete storage domain vmstore")


def test_a_directory_that_is_missing_is_named(host: Lab, tmp_path: Path) -> None:
    host.run()
    path = Path(host.point, metadata(host).uuid, "images")
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match=f"{path} is missing; "):
        host.item()


def others_of(host: Lab) -> OtherUses:
    """What another host reads."""
    return use_records.read_others(host.point, ThisHost("hv2", ""))


def test_a_host_is_noted_while_it_has_it_active(host: Lab) -> None:
    host.run()
    assert others_of(host).hosts == (os.uname().nodename,)
    host.run(state="maintenance")
    host.mounts.mount(VolumeSpec(("gl1",), "gv0"), host.point)
    assert others_of(host).hosts == ()


@pytest.mark.parametrize("state", ["active", "detached"])
def test_a_host_that_has_it_active_without_a_note_gets_one(host: Lab, state: str) -> None:
    host.run()
    shutil.rmtree(f"{host.point}/{USERS}")
    words = f"note that host {os.uname().nodename} has storage domain vmstore active"
    assert host.run(state=state).plan.summaries == [words]
    assert len(others_of(host).hosts) == 1


def test_a_host_whose_unmount_fails_stays_noted(host: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run()

    def refuse(_point: str) -> None:
        raise StorageError("busy")

    monkeypatch.setattr(host.mounts, "unmount", refuse)
    with pytest.raises(StorageError, match="busy"):
        host.run(state="maintenance")
    assert len(others_of(host).hosts) == 1


def test_maintenance_needs_no_note_that_can_be_dropped(host: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run()

    def refuse(*_given: object) -> None:
        raise StorageError("read-only")

    monkeypatch.setattr(use_notes, "leave", refuse)
    host.run(state="maintenance")
    assert host.mounts.at(host.point) is None


def test_maintenance_drops_the_notes_of_vms_that_are_gone(host: Lab) -> None:
    host.run()
    me = use_records.this_host()
    with use_notes.own_records(host.point, me) as directory:
        for name in ("here", "gone"):
            use_notes.note(directory, name, UseRecord(me, name, name, frozenset({"image"})))
    host.users.known = {"here"}
    host.run(state="maintenance")
    host.run()
    assert [record.vm for record in others_of(host).vms] == ["here"]


def test_maintenance_leaves_what_others_noted(host: Lab) -> None:
    host.run()
    note_elsewhere(host.point, "db", "image")
    host.run(state="maintenance")
    host.run()
    assert use_records.read_others(host.point, use_records.this_host()).vms[0].vm == "db"


def test_one_that_other_hosts_use_is_not_deleted_by_name(host: Lab) -> None:
    host.run()
    note_elsewhere(host.point, None)
    with pytest.raises(StorageError, match=r"vmstore cannot be deleted: it is active on host hv2; .*force: true"):
        host.item(**ABSENT)
    note_elsewhere(host.point, "db", "image")
    with pytest.raises(StorageError, match=r"it is used by VM db on host hv2 \(not running\); .*force: true"):
        host.item(**ABSENT)
    host.run(**ABSENT, force=True)
    host.mounts.mount(VolumeSpec(("gl1",), "gv0"), host.point)
    assert os.listdir(host.point) == []


def test_hosts_that_will_leave_are_left_out_before_they_do(host: Lab) -> None:
    host.run()
    note_elsewhere(host.point, None)
    leaving = {"leaving_clients": {"hosts": [f"hv2.{'2' * 32}"]}}
    note_elsewhere(host.point, "db", "image")
    item = host.item(**ABSENT, **leaving)
    # it is really deleted only when they are gone
    with pytest.raises(StorageError, match="it is used by VM db on host hv2"):
        item.plan.actions[0].run()
    with pytest.raises(StorageError, match="it is used by VM db on host hv2"):
        host.item(**ABSENT, leaving_clients={"hosts": ["hv3.0"]})


def test_who_has_images_open_is_named_and_not_forced(host: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run()
    found = storage_domain_read.read(host.point)
    assert found is not None
    image = Path(host.point, found.uuid, IMAGES, "11111111-2222-4333-8444-555555555555")
    image.mkdir()
    (image / "data").touch()
    note_elsewhere(host.point, "db", image.name)
    hold_open(monkeypatch, "data")
    for force in (False, True):
        with pytest.raises(StorageError, match=rf"stop those first: {image.name} by VM db on host hv2 \(running\)"):
            host.item(**ABSENT, force=force)


# --- the volume -----------------------------------------------------------------------------------------------------

STOPPING = {"state": "maintenance", "stop_volume": True}
ENDING = {**ABSENT, "volume_policy": "delete", "purge_data": True}


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_storage_domain_volume, "GOING_TIMEOUT_S", -1)


@pytest.mark.parametrize("status", ["Created", "Stopped"])
def test_a_stopped_volume_is_started_when_asked(host: Lab, status: str) -> None:
    host.gluster.status = status
    item = host.run(start_volume=True)
    assert item.plan.summaries == ["start volume gv0", "make storage domain vmstore on gl1:/gv0 active"]
    assert item.plan.before["volume"] == status
    assert item.plan.after == {"state": "active", "volume": "Started"}
    assert item.read is not None
    assert item.read()["uuid"] == metadata(host).uuid


@pytest.mark.parametrize("state", ["active", "detached"])
def test_a_volume_is_optimized_when_asked(host: Lab, state: str) -> None:
    host.run()
    item = host.run(optimize=True, state=state)
    setting, healing = item.plan.summaries
    assert setting.startswith("set features.shard=on, ")
    assert setting.endswith(" on volume gv0")
    assert healing == "enable granular-entry-heal on volume gv0"
    assert host.gluster.options["storage.owner-uid"] == "36"


def test_a_volume_is_optimized_before_its_start(host: Lab) -> None:
    host.gluster.status = "Created"
    item = host.run(optimize=True, start_volume=True)
    setting, start, _rest = item.plan.summaries
    assert "cluster.granular-entry-heal=enable" in setting
    assert start == "start volume gv0"


@pytest.mark.parametrize("state", ["active", "maintenance"])
def test_what_a_stopped_volume_does_not_take_is_set_after_its_start(host: Lab, state: str) -> None:
    host.gluster.status = "Stopped"
    item = host.run(state=state, optimize=True, start_volume=True)
    setting, start, healing, *_rest = item.plan.summaries
    assert setting.startswith("set ")
    assert (start, healing) == ("start volume gv0", "enable granular-entry-heal on volume gv0")
    assert host.gluster.options["cluster.granular-entry-heal"] == "enable"
    assert not any("granular-entry-heal" in words for words in item.warnings)


def test_a_volume_that_stays_stopped_is_optimized_but_for_what_has_to_wait(host: Lab) -> None:
    host.gluster.status = "Stopped"
    item = host.run(state="maintenance", optimize=True)
    assert [summary[:4] for summary in item.plan.summaries] == ["set "]
    assert any("the next run after its start does it" in words for words in item.warnings)


def test_what_has_to_wait_for_a_restart_is_warned_of(host: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run()
    monkeypatch.setattr(host.gluster, "group", lambda _name: {"transport.listen-backlog": "2048"})
    assert any(
        "transport.listen-backlog is in force after volume gv0" in words for words in host.item(optimize=True).warnings
    )


def test_a_stopped_volume_is_detached_after_its_start(host: Lab) -> None:
    host.run(data_center="dc")
    host.run(**STOPPING)
    item = host.run(start_volume=True, state="detached", data_center="dc")
    assert len(item.plan.summaries) == 2
    assert metadata(host).pools == ()


def test_maintenance_stops_the_volume_when_asked(host: Lab) -> None:
    host.run()
    host.gluster.connected = Clients({"fuse": 1, "gfapi.qemu-system-x86": 1, "glustershd": 1})
    host.users.users["i"] = [ImageUser("web", True, "vda")]
    host.here.used = HostUse((host.point,), ("web",))
    item = host.item(running_vms="shutdown", **STOPPING)
    assert item.plan.summaries == ["shut down domain web", f"unmount {host.point}", "stop volume gv0"]
    assert (item.plan.before["volume"], item.plan.after["volume"]) == ("Started", "Stopped")
    for action in item.plan.actions[:-1]:
        action.run()
    host.gluster.connected, host.here.used = Clients({"glustershd": 1}), HostUse()
    item.plan.actions[-1].run()
    assert host.item(**STOPPING).plan.summaries == []


def test_a_volume_is_made_ready_for_other_hosts(host: Lab) -> None:
    host.gluster.status = "Created"
    item = host.run(state="maintenance", optimize=True, start_volume=True)
    setting, start = item.plan.summaries
    assert setting.startswith("set features.shard=on, ")
    assert start == "start volume gv0"
    assert (item.plan.before["volume"], item.plan.after["volume"]) == ("Created", "Started")
    assert host.mounts.table() == ()


@pytest.mark.parametrize("start_volume", [True, False])
def test_none_is_made_where_that_is_not_wanted(host: Lab, start_volume: bool) -> None:
    words = "there is no storage domain vmstore on gl1:/gv0, and none is to be made"
    with pytest.raises(StorageError, match=words):
        host.run(create=False, start_volume=start_volume)
    host.run()
    assert host.run(create=False).plan.summaries == []


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("clients", "use", "words"),
    [
        (
            {"fuse": 2},
            HostUse(),
            r"connected: 1 fuse \(connections come from 10.0.0.2\); end that use first",
        ),
        ({"fuse": 1, "gfapi.qemu-system-x86": 1}, HostUse(), "clients are connected: 1 gfapi.qemu"),
        ({"fuse": 1}, HostUse(("/mnt/x",)), "mounted here at /mnt/x"),
        ({"fuse": 1}, HostUse((), ("db",)), "virtual machines run on it here: db"),
    ],
)
@pytest.mark.parametrize("params", [STOPPING, ENDING])
def test_a_volume_that_others_use_is_not_stopped(
    host: Lab, clients: dict[str, int], use: HostUse, words: str, params: dict[str, t.Any]
) -> None:
    host.run()
    host.gluster.connected = Clients(clients, ("10.0.0.2",))
    host.here.used = use
    with pytest.raises(StorageError, match=f"volume gv0 cannot be stopped: .*{words}"):
        host.item(**params)


@pytest.mark.usefixtures("no_waiting")
def test_who_comes_after_the_plan_counts_too(host: Lab) -> None:
    host.run()
    item = host.item(**STOPPING)
    host.gluster.connected = Clients({"fuse": 1}, ("10.0.0.2",))
    item.plan.actions[0].run()
    with pytest.raises(StorageError, match="volume gv0 cannot be stopped"):
        item.plan.actions[1].run()


def test_absent_ends_the_volume_when_asked(host: Lab) -> None:
    host.run(boot=True)
    item = host.run(**ENDING)
    assert item.plan.summaries == [
        "delete storage domain vmstore with all its images from gl1:/gv0",
        f"unmount {host.point}",
        f"mount {host.point} at boot no longer (/etc/fstab)",
        "stop volume gv0",
        "remove the data of volume gv0 on this host: /bricks/b",
        "delete volume gv0",
    ]
    assert (item.plan.before["volume"], item.plan.after["volume"]) == ("Started", None)
    assert (host.gluster.status, host.here.data) == (None, [])


def test_absent_is_refused_while_a_file_without_metadata_is_open(host: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """oVirt's ISO files have none, nor has an image that is just being made."""
    host.run()
    folder = Path(host.point, metadata(host).uuid, IMAGES, "11111111-1111-1111-1111-111111111111")
    folder.mkdir()
    (folder / "debian.iso").write_bytes(b"x")
    (folder.parent / "a file").write_bytes(b"x")
    hold_open(monkeypatch, "debian.iso")
    with pytest.raises(StorageError, match=f"stop those first: {folder.name}"):
        host.item(**ABSENT)


@pytest.mark.parametrize("name", ["customers.db", "team1", ".hidden"])
@pytest.mark.parametrize("policy", ["stop", "delete"])
def test_a_volume_that_holds_more_is_not_ended(host: Lab, tmp_path: Path, name: str, policy: str) -> None:
    ending = {**ABSENT, "volume_policy": policy, "purge_data": True}
    words = f"volume gv0 holds more than a storage domain vmstore: {name}; take that away first"
    (tmp_path / "volumes" / "gv0" / name).mkdir()
    with pytest.raises(StorageError, match=words):
        host.item(**ending)
    host.run()
    with pytest.raises(StorageError, match=words):
        host.item(**ending)
    assert host.run(**ABSENT).plan.summaries[0].startswith("delete storage domain vmstore")
    host.gluster.status, host.here.inside = "Stopped", [".glusterfs", name]
    with pytest.raises(StorageError, match=words):
        host.item(**ending)
    assert host.here.data == ["/bricks/b"]


@pytest.mark.parametrize("made", [True, False])
def test_a_volume_that_a_domain_is_defined_on_is_not_ended(host: Lab, made: bool) -> None:
    """Its disk lies beside the storage domain, or there is none."""
    if made:
        host.run()
    host.users.in_storage_domain = lambda _uuid: ()  # type: ignore[method-assign]
    host.users.on_volume = lambda _location, _points: (ImageUser("legacy", False, "vda"),)  # type: ignore[method-assign]
    with pytest.raises(StorageError, match=r"volume gv0 is in use by domain legacy \(defined, disk vda\)"):
        host.item(**ENDING)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("params", [STOPPING, ENDING])
def test_the_client_that_is_left_is_not_that_of_a_dead_mount(host: Lab, params: dict[str, t.Any]) -> None:
    host.run()
    host.mounts.dead.add(host.point)
    host.gluster.connected = Clients({"fuse": 1}, ("10.0.0.2",))
    with pytest.raises(StorageError, match="clients are connected: 1 fuse"):
        host.item(**params)


@pytest.mark.usefixtures("no_waiting")
def test_only_as_many_machines_as_are_stopped_are_left_out(host: Lab) -> None:
    host.run()
    host.gluster.connected = Clients({"fuse": 1, "gfapi.qemu-system-x86": 2}, ("10.0.0.2",))
    host.users.users["i"] = [ImageUser("web", True, "vda")]
    host.here.used = HostUse((host.point,), ("web",))
    with pytest.raises(StorageError, match="clients are connected: 1 gfapi.qemu-system-x86"):
        host.item(running_vms="shutdown", **STOPPING)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("params", [STOPPING, ENDING])
def test_clients_of_other_hosts_that_leave_are_left_out_before_they_do(host: Lab, params: dict[str, t.Any]) -> None:
    host.run()
    found = host.item(state="maintenance").predicted["clients"]
    assert found == {"mounts": 1, "domains": 0, "host": use_records.this_host().folder}
    leaving = {"leaving_clients": {"mounts": 2, "domains": 1}}
    host.gluster.connected = Clients({"fuse": 3, "gfapi.qemu-system-x86": 1}, ("10.0.0.2",))
    item = host.item(**params, **leaving)
    for clients in ({"fuse": 4, "gfapi.qemu-system-x86": 1}, {"fuse": 3, "gfapi.qemu-system-x86": 2}):
        host.gluster.connected = Clients(clients, ("10.0.0.2",))
        with pytest.raises(StorageError, match="clients are connected: 1 "):
            host.item(**params, **leaving)
    # it is really stopped only when they are gone
    host.gluster.connected = Clients({"fuse": 1}, ("10.0.0.2",))
    stop = next(action for action in item.plan.actions if action.summary == "stop volume gv0")
    with pytest.raises(StorageError, match="clients are connected: 1 fuse"):
        stop.run()
    assert host.gluster.status == "Started"


def test_clients_are_counted_before_they_go(host: Lab) -> None:
    host.run()
    host.users.users["i"] = [
        ImageUser("web", True, "vda"),
        ImageUser("web", True, "vdb"),
        ImageUser("off", False, "vda"),
    ]
    item = host.run(state="maintenance", running_vms="shutdown")
    me = {"host": use_records.this_host().folder}
    assert item.predicted["clients"] == {**me, "mounts": 1, "domains": 1}
    assert host.item(state="maintenance").predicted["clients"] == {**me, "mounts": 0, "domains": 0}
    host.run()
    host.mounts.dead.add(host.point)
    assert host.item(state="maintenance").predicted["clients"] == {**me, "mounts": 0, "domains": 0}


def test_a_volume_is_not_started_for_what_cannot_be_there(host: Lab) -> None:
    host.gluster.status = "Created"
    for params in ({"create": False}, {"state": "detached"}):
        with pytest.raises(StorageError, match="there is no storage domain vmstore"):
            host.item(start_volume=True, **params)


def test_absent_that_was_interrupted_anywhere_goes_on(host: Lab) -> None:
    host.run(boot=True)
    count = len(host.item(**ENDING).plan.actions)
    for left in range(count, 0, -1):
        actions = host.item(**ENDING).plan.actions
        assert len(actions) == left
        actions[0].run()
    assert host.item(**ENDING).plan.summaries == []


def test_absent_stops_the_volume_when_asked(host: Lab) -> None:
    host.run()
    assert host.run(**ABSENT, volume_policy="stop").plan.summaries[-1] == "stop volume gv0"
    assert host.here.data == ["/bricks/b"]
    assert host.run(**ABSENT, volume_policy="stop", purge_data=True).plan.summaries == [
        "remove the data of volume gv0 on this host: /bricks/b"
    ]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "is stopped, and this host has no brick of it .*; start it first, or delegate the task to gl2 or gl3"),
        (["u-1"], "is stopped and holds storage domain u-1; start it first"),
    ],
)
def test_a_stopped_volume_is_not_deleted_unseen(host: Lab, found: list[str] | None, words: str) -> None:
    host.gluster.status, host.here.found = "Stopped", found
    with pytest.raises(StorageError, match=words):
        host.item(**ENDING)


def test_a_stopped_volume_that_a_domain_is_defined_on_is_not_deleted(host: Lab) -> None:
    host.gluster.status = "Stopped"
    host.users.users["i"] = [ImageUser("web", False, "vda")]
    with pytest.raises(StorageError, match=r"volume gv0 is in use by domain web \(defined, disk vda\)"):
        host.item(**ENDING)


@pytest.mark.parametrize("params", [{"start_volume": True}, {"optimize": True}, STOPPING, ENDING])
@pytest.mark.parametrize("away", ["Connection failed", "Volume gv0 does not exist"])
def test_volume_work_is_refused_where_the_volume_is_not(host: Lab, params: dict[str, t.Any], away: str) -> None:
    host.run()
    host.gluster.away = away
    words = f"the work on volume gv0 .* on this host: .*{away}; delegate the task to gl1 or gl2 or gl3"
    with pytest.raises(GlusterError, match=words):
        host.item(**params)


@pytest.mark.parametrize("params", [{"start_volume": True}, STOPPING])
def test_a_volume_that_is_gone_cannot_be_started_or_stopped(host: Lab, params: dict[str, t.Any]) -> None:
    host.gluster.status = None
    with pytest.raises(GlusterError, match="does not exist"):
        host.item(**params)


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({**ABSENT, "start_volume": True}, "start_volume is for a storage domain that is there, not for state absent"),
        ({**ABSENT, "optimize": True}, "optimize is for a storage domain that is there, not for state absent"),
        ({**STOPPING, "start_volume": True}, "start_volume and stop_volume are asked for at once"),
        ({"optimize": True, "spec": "gl1:/gv0/dir"}, "optimize would have volume gv0 shard, and /dir is a directory"),
        ({"stop_volume": True}, "stop_volume is for state maintenance, not active"),
        ({"volume_policy": "stop"}, "volume_policy stop is for state absent"),
        ({**ENDING, "spec": "gl1:/gv0/dir"}, "volume gv0 holds more than /dir"),
        ({**ABSENT, "purge_data": True}, "purge_data needs volume_policy"),
        ({**STOPPING, "leaving_clients": {"mounts": -1}}, "leaving_clients: -1 mounts cannot leave; give 0 or more"),
    ],
)
def test_volume_work_has_to_suit_the_state(host: Lab, params: dict[str, t.Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        host.item(**params)


@pytest.mark.parametrize("params", [{}, {"state": "detached"}, MAINTENANCE, ABSENT], ids=str)
def test_an_interrupted_removal_is_finished_by_the_next_run(host: Lab, params: dict[str, str]) -> None:
    host.run()
    removed = Path(host.point, REMOVED + DATA_CENTER)
    (removed / "images/i").mkdir(parents=True)
    (removed / "images/i/f").write_text("x")
    summaries = host.run(**params).plan.summaries
    assert not Path(host.mount_root).parent.joinpath("volumes/gv0", removed.name).exists()
    assert not removed.exists()
    assert params == ABSENT or summaries[0] == "delete what an interrupted run left on gl1:/gv0"


def test_a_removal_that_was_interrupted_whole_is_finished_where_a_new_one_is_made(host: Lab) -> None:
    removed = Path(host.mounts.make_volume("gv2"), REMOVED + DATA_CENTER)
    (removed / "images").mkdir(parents=True)
    item = host.run(spec="gl1:/gv2")
    assert item.plan.summaries[-1] == "delete what an interrupted run left on gl1:/gv2"


# --- links ----------------------------------------------------------------------------------------------------------


def replace_by_link(path: Path, target: Path) -> None:
    path.rename(target)
    path.symlink_to(target)


@pytest.mark.parametrize("name", ["dom_md", "images"])
@pytest.mark.parametrize("params", [{}, ABSENT], ids=["active", "absent"])
def test_a_link_in_place_of_a_directory_is_named_and_not_followed(
    host: Lab, tmp_path: Path, name: str, params: dict[str, str]
) -> None:
    host.run()
    uuid = metadata(host).uuid
    path = Path(host.point, uuid, name)
    replace_by_link(path, tmp_path / "elsewhere")
    before = sorted((tmp_path / "elsewhere").rglob("*"))
    with pytest.raises(StorageError, match=rf"{path}: Not a directory; a symbolic link .* put the directory back"):
        host.item(**params)
    assert sorted((tmp_path / "elsewhere").rglob("*")) == before


def test_links_among_the_images_go_with_them_and_are_not_followed(host: Lab, tmp_path: Path) -> None:
    host.run()
    images = Path(host.point, metadata(host).uuid, IMAGES)
    kept = tmp_path / "kept"
    (kept / "deep").mkdir(parents=True)
    (kept / "deep/file").write_text("x")
    (images / "11111111-0000-4000-8000-000000000000").symlink_to(kept)
    (images / "planted").symlink_to(kept / "deep/file")
    image = images / "22222222-0000-4000-8000-000000000000"
    image.mkdir()
    for name in ("v.meta", "v", "v.lease"):
        (image / name).symlink_to(kept / "deep/file")
    host.run(**ABSENT)
    assert (kept / "deep/file").read_text() == "x"


# --- what active checks and mends -----------------------------------------------------------------------------------

OWNER = f"{os.getuid()}:{os.getgid()}"


def image_in(host: Lab) -> Path:
    """The directory of an image, as VDSM and `gfapi_disk` make it."""
    image = Path(host.point, metadata(host).uuid, IMAGES, "11111111-0000-4000-8000-000000000000")
    image.mkdir(0o755)
    for suffix, mode in (("", 0o660), (".meta", 0o644), (".lease", 0o660)):
        path = image / f"11111111-0000-4000-8000-000000000001{suffix}"
        path.touch()
        path.chmod(mode)
    return image


def test_wrong_modes_are_mended_and_more_for_the_group_is_left(host: Lab) -> None:
    host.run()
    image = image_in(host)
    top = image.parent.parent
    data = image / "11111111-0000-4000-8000-000000000001"
    wrong = {top / "dom_md/ids": 0o600, data: 0o666, image: 0o700, top: 0o777}
    kept = {top / "dom_md": 0o775, top / METADATA: 0o664}
    for path, mode in {**wrong, **kept}.items():
        path.chmod(mode)
    assert host.item().plan.before["complete"] is False
    (summary,) = host.run().plan.summaries
    names = f"{top.name}, dom_md/ids, {image.relative_to(top)}, {data.relative_to(top)}"
    assert summary == f"set owner {OWNER} and oVirt's modes in storage domain vmstore: {names}"
    assert [path.stat().st_mode & 0o777 for path in wrong] == [0o660, 0o660, 0o755, 0o755]
    assert [path.stat().st_mode & 0o777 for path in kept] == list(kept.values())


def test_another_owner_is_given_to_all_of_it(host: Lab) -> None:
    host.run()
    image_in(host)
    summaries = host.item(owner_uid=12345).plan.summaries
    assert summaries[0] == f"set the owner of gl1:/gv0 to 12345:{os.getgid()}"
    # itself, dom_md and images, six files there, an image and its three
    assert summaries[1].startswith(f"set owner 12345:{os.getgid()} and oVirt's modes in storage domain vmstore: ")
    assert summaries[1].endswith(" and 8 more")


def test_an_image_that_somebody_has_open_is_left_and_told(host: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run()
    image = image_in(host)
    data = image / "11111111-0000-4000-8000-000000000001"
    data.chmod(0o600)
    hold_open(monkeypatch, data.name)
    item = host.run()
    assert item.plan.summaries == []
    assert item.warnings == (
        f"{data} has owner {OWNER} and mode 0600, and is left so while somebody has it open; run again when nobody has",
    )


def test_what_runs_and_removals_work_on_is_left(host: Lab) -> None:
    host.run()
    images = Path(host.point, metadata(host).uuid, IMAGES)
    for name in (".gfapi-virt-x-01234567", "_remove_me_11111111-0000-4000-8000-000000000000"):
        (images / name).mkdir(0o700)
    assert host.run().plan.summaries == []


def test_links_are_told_and_not_followed(host: Lab, tmp_path: Path) -> None:
    host.run()
    kept = tmp_path / "kept"
    kept.mkdir(0o700)
    link = Path(host.point, metadata(host).uuid, IMAGES, "11111111-0000-4000-8000-000000000000")
    link.symlink_to(kept)
    item = host.run()
    assert item.warnings == (f"{link} is a symbolic link, and none is followed; take it away",)
    assert kept.stat().st_mode & 0o777 == 0o700


def test_an_empty_file_is_made_anew_and_a_broken_one_told(host: Lab) -> None:
    host.run()
    folder = Path(host.point, metadata(host).uuid, "dom_md")
    (folder / "xleases").write_bytes(b"")
    (folder / "ids").write_bytes(b"mine")
    item = host.run()
    assert item.plan.summaries == ["add what storage domain vmstore lacks: dom_md/xleases"]
    assert len(item.warnings) == 1
    assert item.warnings[0].startswith("dom_md/ids has 4 bytes, 1048576 belong there; while no host uses it, move it")
    assert (folder / "ids").read_bytes() == b"mine"


def test_each_directory_is_listed_once_however_many_images(host: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run()
    images = Path(host.point, metadata(host).uuid, IMAGES)
    for number in range(50):
        (images / f"11111111-0000-4000-8000-{number:012}").mkdir()
    listed: list[str] = []
    statuses = Directory.statuses
    monkeypatch.setattr(Directory, "statuses", lambda self: listed.append(self.path) or statuses(self))
    host.item()
    assert len([path for path in listed if path.startswith(f"{images}/")]) == 50


# --- mount roots and what VDSM has written ---------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["/{real}", "{link}", "{real}/../real/", "{link}/new/../more"])
def test_a_mount_root_is_the_directory_that_it_leads_to(host: Lab, tmp_path: Path, root: str) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    path = root.format(real=real, link=link)
    item = host.run(mount_root=path)
    point = os.path.join(real, "more" if path.endswith("more") else "", "gl1:_gv0")
    assert list(host.mounts.mounted) == [point]
    assert item.predicted["mount_point"] == point


def test_a_mount_point_that_is_a_link_is_refused(host: Lab, tmp_path: Path) -> None:
    Path(host.mount_root).mkdir()
    Path(host.point).symlink_to(tmp_path)
    words = f"mount point {host.point} is a symbolic link to {tmp_path}; take it away, or mend mount_root"
    with pytest.raises(StorageError, match=words):
        host.item()


@pytest.mark.parametrize("name", ["x" * 51, "data ", "a\tb"])
def test_what_vdsm_named_otherwise_can_be_named_but_not_made(host: Lab, name: str) -> None:
    with pytest.raises(ValueError, match="the name of storage domain"):
        host.item(name=name)
    host.run()
    made = metadata(host)
    Path(host.point, made.uuid, METADATA).write_text(replace(made, name=name).to_text())
    assert host.run(name=name).plan.summaries == []
    host.run(name=name, data_center=DATA_CENTER)
    assert metadata(host) == replace(made, name=name, pool_uuid=DATA_CENTER)
    host.run(name=name, state="absent", confirm=name, data_center=DATA_CENTER)
