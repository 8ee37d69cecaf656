# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import posixpath
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _files, _image_files, _turns, _xml
from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_files as storage_domain_files
from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_read as storage_domain_read
from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._export_file import LOCKED_BYTE
from ansible_collections.gfapi.virt.plugins.module_utils._files import Directory, staging
from ansible_collections.gfapi.virt.plugins.module_utils._image import image_uuid_of
from ansible_collections.gfapi.virt.plugins.module_utils._image_source import ImageSources
from ansible_collections.gfapi.virt.plugins.module_utils._image_users import ImageUser
from ansible_collections.gfapi.virt.plugins.module_utils._mount_table import Space
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Item
from ansible_collections.gfapi.virt.plugins.module_utils._qemu_img import Backing
from ansible_collections.gfapi.virt.plugins.module_utils._storage import Storage
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import METADATA, StorageDomain
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec
from ansible_collections.gfapi.virt.plugins.modules import gfapi_disk
from ansible_collections.gfapi.virt.tests.unit.fakes import (
    FakeImageUsers,
    FakeMounts,
    FakeQemuImg,
    FakeServers,
    hold_open,
    note_elsewhere,
)
from ansible_collections.gfapi.virt.tests.unit.killing import is_synced, killed_at, noted_by_name

GIB = 1 << 30
SPEC = VolumeSpec(("gl1",), "gv0")


class Host:
    """A host with the storage domain vmstore."""

    def __init__(self, root: Path) -> None:
        (root / "volumes").mkdir()
        self.mounts = FakeMounts(root / "volumes")
        self.qemu_img = FakeQemuImg()
        self.users = FakeImageUsers()
        self.mount_root = root / "mnt"
        point = str(self.mount_root / SPEC.mount_name)
        self.mounts.make_volume(SPEC.location)
        self.mounts.mount(SPEC, point)
        made = storage_domain_files.lay_out(point, "vmstore", SPEC, (os.getuid(), os.getgid()))
        self.uuid = made.uuid
        self.path = Path(point, made.uuid)

    @property
    def storage(self) -> Storage:
        """As a new run sees it."""
        return Storage(t.cast("t.Any", self.mounts), t.cast("t.Any", self.qemu_img), mount_root=str(self.mount_root))

    def items(self, **params: t.Any) -> list[Item]:
        """As a new run plans them."""
        given = {name: option.get("default") for name, option in gfapi_disk.ARGUMENT_SPEC.items()}
        given.update({"storage_domain": "vmstore", **params})
        if given["disks"] is not None:
            defaults = {name: option.get("default") for name, option in gfapi_disk.DISK_SPEC.items()}
            given["disks"] = [{**defaults, **disk} for disk in given["disks"]]
        storage = self.storage
        servers = t.cast("t.Any", FakeServers("gl2"))
        made = gfapi_disk.make_items(given, storage, servers, t.cast("t.Any", self.users))
        return [made] if isinstance(made, Item) else made

    def run(self, **params: t.Any) -> list[Item]:
        """The items, their plans carried out; a second plan then finds nothing to do."""
        items = self.items(**params)
        for item in items:
            for action in item.plan.actions:
                action.run()
        assert [item.plan.summaries for item in self.items(**params)] == [[] for _item in items]
        return items

    def uses(self, name: str, *users: ImageUser) -> None:
        self.users.users[image_uuid_of(self.uuid, name)] = list(users)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


# --- filled ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "system.raw"
    path.write_bytes(b"system" * 1000)
    return path


def data_of(host: Host, item: Item) -> bytes:
    return Path(item.predicted["path"]).read_bytes()


def test_a_disk_is_filled_from_a_file(host: Host, source: Path) -> None:
    (item,) = host.run(name="web", source=str(source), format="raw")
    assert item.plan.summaries == [f"create raw disk web of 8 KiB in storage domain vmstore and fill it from {source}"]
    data = data_of(host, item)
    assert data == source.read_bytes().ljust(8192, b"\0")
    source.write_bytes(b"changed")
    host.run(name="web", source=str(source))
    assert data_of(host, item) == data


@pytest.mark.parametrize(
    ("params", "runs"),
    [
        ({}, ["info", "create", "convert compat=1.1", "resize"]),
        ({"preallocation": "full"}, ["info", "create", "convert compat=1.1,preallocation=falloc", "resize"]),
        ({"format": "raw", "preallocation": "full"}, ["info", "convert preallocation=falloc"]),
    ],
)
def test_a_filled_disk_has_the_size_asked_for(
    host: Host, source: Path, params: dict[str, str], runs: list[str]
) -> None:
    (item,) = host.run(name="web", source=str(source), size="1M", **params)
    assert item.read is not None
    assert item.read()["virtual_size_bytes"] == 1 << 20
    assert host.qemu_img.runs[: len(runs)] == runs


def test_a_disk_smaller_than_its_source_is_refused(host: Host, source: Path) -> None:
    with pytest.raises(ValueError, match=f"disk 'web' of 4096 bytes would not hold {source}, which has 6000"):
        host.items(name="web", source=str(source), size="4096")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"source": "/x", "clone_of": "y"}, "cannot be filled from source and as clone_of at once"),
        ({"checksum": "md5:00"}, "has no source, of which checksum speaks; give source"),
        ({"source_format": "raw", "clone_of": "y"}, "has no source, of which source_format speaks"),
        ({"target": "vdb"}, "has no vm, for which target and bus are; give vm and state present"),
        ({"bus": "scsi", "vm": "web", "state": "detached"}, "has no vm, for which target and bus are"),
        ({"state": "detached"}, "disk 'web' cannot be detached from nowhere; name the vm"),
        ({"vm": "web", "state": "absent"}, "disk 'web' cannot be deleted and kept in vm web; take it out first"),
        ({"vm": "web", "target": "VDA"}, "cannot have target 'VDA'; a target is as in vdb"),
        ({"clone_mode": "backing"}, "is no clone, of which clone_mode speaks"),
        ({"clone_mode": "backing", "clone_of": "y", "format": "raw"}, "which is sparse qcow2; leave format"),
        ({"clone_mode": "backing", "clone_of": "y", "preallocation": "full"}, "which is sparse qcow2; leave format"),
        ({}, "give the size to make it with, or a source"),
    ],
)
def test_options_of_a_source_go_together(host: Host, params: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        host.items(name="web", **params)


def test_a_source_that_does_not_fit_is_refused(host: Host, source: Path) -> None:
    host.mounts.space = Space(size_bytes=8192, free_bytes=4096)
    with pytest.raises(StorageError, match="disk 'web' takes 6000 bytes and does not fit"):
        host.items(name="web", source=str(source))


def test_a_clone_has_the_format_size_and_bytes_of_its_origin(host: Host, source: Path) -> None:
    host.run(name="web", source=str(source), format="raw")
    (item,) = host.run(name="web2", clone_of="web")
    assert item.plan.summaries == ["create raw disk web2 of 8 KiB in storage domain vmstore and fill it from disk web"]
    assert data_of(host, item) == data_of(host, host.run(name="web")[0])


def test_a_clone_of_nothing_is_refused(host: Host) -> None:
    with pytest.raises(StorageError, match="has no disk 'web'; it has no disk"):
        host.items(name="web2", clone_of="web")


@pytest.mark.parametrize(("running", "saved"), [(True, False), (False, True)])
def test_a_disk_that_is_written_to_is_not_copied(host: Host, running: bool, saved: bool) -> None:
    host.run(name="web", size="1G")
    host.uses("web", ImageUser("web", running, "vda", saved=saved))
    with pytest.raises(StorageError, match="so a copy would not be whole; shut the domain down first"):
        host.items(name="web2", clone_of="web")
    host.uses("web", ImageUser("web", False, "vda"))
    host.run(name="web2", clone_of="web")


def test_a_disk_that_another_host_writes_to_is_not_copied(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (item,) = host.run(name="web", size="1G")
    hold_open(monkeypatch, item.predicted["volume_uuid"])
    with pytest.raises(StorageError, match="disk 'web' cannot be cloned: its bricks have image .* open"):
        host.items(name="web2", clone_of="web")


@pytest.mark.parametrize(
    "params", [{"name": "web2", "clone_of": "web"}, {"dest": "x.img"}, {"size": "2G"}], ids=["clone", "export", "grow"]
)
@pytest.mark.parametrize("late", [False, True], ids=["before the plan", "after it"])
def test_a_disk_that_names_a_file_of_the_host_is_not_opened(
    host: Host, tmp_path: Path, params: dict[str, str], late: bool
) -> None:
    host.run(name="web", size="1G")
    path = Path(host.storage.require_image("vmstore", "web").path)
    dest = {"dest": str(tmp_path / params["dest"])} if "dest" in params else {}
    items = host.items(**{"name": "web", **params, **dest}) if late else []
    forged = FakeQemuImg().empty_qcow2(1 << 30, "1.1", Backing("/etc/shadow", "raw"))
    path.write_bytes(forged)
    words = "disk 'web' is not opened: .*its header names '/etc/shadow' as its backing file, and its .meta none"
    with pytest.raises(StorageError, match=words):
        (items or host.items(**{"name": "web", **params, **dest}))[0].plan.actions[0].run()
    assert path.read_bytes() == forged
    assert not dest or not Path(dest["dest"]).exists()


def test_a_disk_is_exported_once(host: Host, source: Path, tmp_path: Path) -> None:
    host.run(name="web", source=str(source), format="raw")
    path = tmp_path / "web.img"
    (item,) = host.run(name="web", dest=str(path), dest_format="raw")
    assert item.plan.summaries == [f"export disk web to {path} (raw)"]
    assert path.read_bytes() == data_of(host, item)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("another's")
    host.run(name="web", dest=str(path))
    assert path.read_text() == "another's"
    assert sorted(file.name for file in tmp_path.iterdir() if "web" in file.name) == ["web.img"]


def test_an_export_is_on_disk_before_it_gets_its_name(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.run(name="web", size="1M", format="raw")
    (item,) = host.items(name="web", dest=str(tmp_path / "web.img"), dest_format="raw")
    calls = noted_by_name(monkeypatch)
    item.plan.actions[0].run()
    assert is_synced(calls, ".web.img.gfapi-virt", before="link web.img")
    linked = calls[calls.index("link web.img") :]
    assert is_synced(linked, tmp_path.name, before="unlink .web.img.gfapi-virt")


@contextlib.contextmanager
def locked_by_another_run(path: Path) -> t.Iterator[None]:
    """A lock of the kind that a process never has against itself."""
    words = "import fcntl, sys; file = open(sys.argv[1], 'rb+'); fcntl.lockf(file, fcntl.LOCK_EX, 1, int(sys.argv[2]));"
    argv = [sys.executable, "-c", f"{words} print('locked', flush=True); sys.stdin.read()"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*argv, str(path), str(LOCKED_BYTE)], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        yield
        other.kill()


@pytest.mark.parametrize("folder", ["images", "images/6b1ccf2f-4e0c-5f28-9f36-0a3a6b3f8d11"])
def test_nothing_is_exported_among_images(host: Host, tmp_path: Path, folder: str) -> None:
    host.run(name="web", size="1M")
    (host.path / folder).mkdir(exist_ok=True)
    (tmp_path / "link").symlink_to(host.path / folder)
    for place in (host.path / folder, tmp_path / "link"):
        with pytest.raises(ValueError, match=f"dest {place}/web.img is among the images of a storage domain; name"):
            host.items(name="web", dest=str(place / "web.img"))


def test_two_exports_by_links_to_one_file_are_refused(host: Host, tmp_path: Path) -> None:
    host.run(disks=[{"name": name, "size": "1M"} for name in "ab"])
    (tmp_path / "link").symlink_to(tmp_path)
    disks = [{"name": name, "dest": f"{folder}/x.img"} for name, folder in (("a", tmp_path), ("b", tmp_path / "link"))]
    with pytest.raises(ValueError, match=f"dest {tmp_path}/x.img is given to two disks"):
        host.items(disks=disks)


def test_a_killed_export_is_begun_again(host: Host, tmp_path: Path) -> None:
    host.run(name="web", size="1M", format="raw")
    left = tmp_path / ".web.img.gfapi-virt"
    left.write_bytes(b"half" * (1 << 20))
    left.chmod(0o666)
    (item,) = host.items(name="web", dest=str(tmp_path / "web.img"), dest_format="raw")
    with locked_by_another_run(left), pytest.raises(StorageError, match="another run exports to .*/web.img at this"):
        item.plan.actions[0].run()
    item.plan.actions[0].run()
    assert (tmp_path / "web.img").stat().st_size == 1 << 20
    assert (tmp_path / "web.img").stat().st_mode & 0o777 == 0o600
    assert not left.exists()


def test_what_a_killed_export_left_beside_the_file_goes(host: Host, tmp_path: Path) -> None:
    host.run(name="web", size="1M", format="raw")
    path, left = tmp_path / "web.img", tmp_path / ".web.img.gfapi-virt"
    host.run(name="web", dest=str(path), dest_format="raw")
    os.link(path, left)
    with locked_by_another_run(left):
        assert host.items(name="web", dest=str(path))[0].plan.summaries == []
    (item,) = host.run(name="web", dest=str(path))
    assert item.plan.summaries == [f"remove what a killed run left of the export to {path}"]
    assert (left.exists(), path.stat().st_size) == (False, 1 << 20)
    left.mkdir()
    assert host.items(name="web", dest=str(path))[0].plan.summaries == []


def test_an_export_writes_into_no_file_of_another(host: Host, tmp_path: Path) -> None:
    host.run(name="web", size="1M", format="raw")
    other, growing = tmp_path / "another's", tmp_path / ".web.img.gfapi-virt"
    other.write_text("kept")
    os.link(other, growing)
    (item,) = host.items(name="web", dest=str(tmp_path / "web.img"), dest_format="raw")
    with pytest.raises(StorageError, match="gfapi-virt is another's file; take it away, or name another dest than"):
        item.plan.actions[0].run()
    assert (other.read_text(), (tmp_path / "web.img").exists()) == ("kept", False)
    growing.unlink()
    growing.symlink_to(other)
    with pytest.raises(StorageError, match="symbolic link"):
        host.items(name="web", dest=str(tmp_path / "web.img"), dest_format="raw")[0].plan.actions[0].run()
    assert other.read_text() == "kept"


def test_an_export_writes_into_no_file_of_another_user(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.run(name="web", size="1M", format="raw")
    growing, me = tmp_path / ".web.img.gfapi-virt", os.geteuid()
    growing.write_text("theirs")
    (item,) = host.items(name="web", dest=str(tmp_path / "web.img"), dest_format="raw")
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(StorageError, match="gfapi-virt is another's file; take it away, or name another dest than"):
        item.plan.actions[0].run()
    assert (growing.read_text(), (tmp_path / "web.img").exists()) == ("theirs", False)


def test_a_file_that_came_meanwhile_stays(host: Host, tmp_path: Path) -> None:
    host.run(name="web", size="1M")
    (item,) = host.items(name="web", dest=str(tmp_path / "web.img"))
    (tmp_path / "web.img").write_text("another's")
    with pytest.raises(StorageError, match="web.img was made meanwhile by another program; it stays"):
        item.plan.actions[0].run()
    assert (tmp_path / "web.img").read_text() == "another's"
    assert not (tmp_path / ".web.img.gfapi-virt").exists()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"dest": "web.img"}, "dest 'web.img' is not an absolute path of a file on this host"),
        ({"dest": "/nowhere/web.img"}, "dest /nowhere/web.img: there is no directory /nowhere on this host; make it"),
        ({"dest": "/dev/null"}, "dest /dev/null is no regular file; name another"),
        ({"dest": "/x", "state": "absent"}, "cannot be exported to dest with state absent; export"),
        ({"dest": "/x", "name": "other"}, "there is no disk 'other' in storage domain vmstore that could be exported"),
    ],
)
def test_an_export_that_cannot_be_is_refused(host: Host, params: dict[str, str], words: str) -> None:
    host.run(name="web", size="1M")
    with pytest.raises(ValueError, match=words):
        host.items(**{"name": "web", **params})


def test_what_is_written_to_or_does_not_fit_is_not_exported(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (item,) = host.run(name="web", size="1M")
    path = str(tmp_path / "web.img")
    host.uses("web", ImageUser("web", True, "vda"))
    with pytest.raises(StorageError, match="is in use by domain web .*, so a copy would not be whole"):
        host.items(name="web", dest=path)
    host.uses("web")
    hold_open(monkeypatch, item.predicted["volume_uuid"])
    with pytest.raises(StorageError, match="disk 'web' cannot be exported: its bricks have image .* open"):
        host.items(name="web", dest=path)
    hold_open(monkeypatch, "another")
    monkeypatch.setattr(host.qemu_img, "required_bytes", lambda _source, _format: 1 << 60)
    with pytest.raises(StorageError, match="dest .*web.img would take 1024 PiB, and .* are free in"):
        host.items(name="web", dest=path)


@pytest.fixture
def template(host: Host) -> Item:
    """Disk base with clones one and two."""
    (item,) = host.run(name="base", size="1G", description="a system")
    host.run(disks=[{"name": name, "clone_of": "base", "clone_mode": "backing"} for name in ("one", "two")])
    return item


def test_a_clone_on_top_of_another_disk_holds_links_to_it(host: Host, template: Item) -> None:
    origin = Path(template.predicted["path"])
    (item,) = host.run(name="three", size="2G", clone_of="base", clone_mode="backing", description="the third")
    assert item.plan.summaries == ["create qcow2 disk three of 2 GiB in storage domain vmstore on top of disk base"]
    own = Path(item.predicted["path"])
    assert sorted(path.name for path in own.parent.iterdir()) == sorted(
        volume + end for volume in (own.name, origin.name) for end in ("", ".lease", ".meta")
    )
    for end in ("", ".lease", ".meta"):
        assert own.with_name(origin.name + end).samefile(origin.with_name(origin.name + end))
    assert origin.name.encode() in own.read_bytes()
    assert "VOLTYPE=SHARED" in origin.with_name(f"{origin.name}.meta").read_text()
    leaf = own.with_name(f"{own.name}.meta").read_text()
    assert f"PUUID={origin.name}" in leaf
    assert "VOLTYPE=LEAF" in leaf
    assert item.read is not None
    found = item.read()
    assert (found["virtual_size_bytes"], found["description"]) == (2 << 30, "the third")
    (below,) = found["backing_blockdevs"]
    assert found["blockdev"]["backing"] == below["node-name"]
    assert below["file"]["path"].endswith(f"/{own.parent.name}/{origin.name}")


def test_a_template_is_read_only_and_stays_while_it_has_clones(host: Host, template: Item) -> None:
    with pytest.raises(StorageError, match="disk 'base' is the template of one, two; delete them first"):
        host.items(name="base", state="absent")
    with pytest.raises(ValueError, match="disk 'base' is a template of 1073741824 bytes, .*; grow the clones"):
        host.items(name="base", size="2G")
    host.run(name="one", size="2G")
    host.run(name="copy", clone_of="one")
    sources = ImageSources(host.storage, t.cast("t.Any", FakeServers("gl2")))
    with pytest.raises(StorageError, match="disk 'base' in storage domain vmstore is a template, which no VM may"):
        sources.find("vmstore", "base")
    assert [layer.source.name for layer in sources.find("vmstore", "one").backing] != []
    host.run(name="one", state="absent")
    assert Path(template.predicted["path"]).exists()
    host.run(disks=[{"name": name, "state": "absent"} for name in ("two", "base")])
    assert not Path(template.predicted["path"]).exists()


def test_open_clones_hold_neither_the_template_nor_other_clones(
    host: Host, template: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_open(monkeypatch, template.predicted["volume_uuid"])
    host.run(name="three", clone_of="base", clone_mode="backing")
    host.run(name="copy", clone_of="base")
    host.run(name="one", state="absent")


@pytest.mark.parametrize("running", [True, False])
def test_a_disk_of_a_domain_becomes_no_template(host: Host, running: bool) -> None:
    host.run(name="base", size="1G")
    host.uses("base", ImageUser("web", running, "vda"))
    with pytest.raises(StorageError, match="is in use by domain web .* so it cannot become a template; make a full"):
        host.items(name="one", clone_of="base", clone_mode="backing")


def test_a_clone_is_no_template(host: Host, template: Item) -> None:
    with pytest.raises(StorageError, match="disk 'one' has 2 layers, and a template has one; make a full copy"):
        host.items(name="three", clone_of="one", clone_mode="backing")


# --- of a domain ----------------------------------------------------------------------------------------------------


def test_a_new_disk_is_given_to_a_running_domain(host: Host) -> None:
    host.users.define("web", running=True)
    (item,) = host.run(name="data", size="1G", vm="web")
    assert item.plan.summaries[1:] == ["attach disk data to domain web as vda, live and in its configuration"]
    assert item.read is not None
    told = item.read()
    assert (told["vm"], told["target"]) == ("web", "vda")
    record = host.users.domain("web")
    for configuration in (record.live, record.inactive):
        assert configuration is not None
        (disk,) = configuration.iterfind("devices/disk")
        assert _disk.from_element(disk).serial == told["image_uuid"]
    (note,) = Path(host.path).parent.glob(".gfapi-users/*/*")
    assert json.loads(note.read_text())["images"] == [told["image_uuid"]]
    (out,) = host.run(name="data", vm="web", state="detached")
    assert not note.exists()
    assert out.plan.summaries == ["detach disk data from domain web as vda, live and in its configuration"]
    assert Path(told["path"]).exists()
    host.run(name="data", state="absent")


def test_what_a_killed_detachment_noted_is_taken_back(host: Host) -> None:
    host.users.define("web", running=True)
    host.run(name="data", size="1G", vm="web")
    for configuration in (host.users.records["web"].live, host.users.records["web"].inactive):
        devices = t.cast(_xml.Element, configuration).find("devices")
        devices.remove(devices.find("disk"))
    (out,) = host.run(name="data", vm="web", state="detached")
    assert out.plan.summaries == ["forget domain web as a user of disk data in storage domain vmstore"]
    assert list(Path(host.path).parent.glob(".gfapi-users/*/*")) == []
    host.run(name="data", state="absent")


def test_disks_of_one_list_get_targets_of_their_own(host: Host) -> None:
    host.users.define("web", running=False)
    disks = [{"name": name, "size": "1G", "vm": "web"} for name in ("a", "b")]
    items = host.run(disks=[*disks, {"name": "c", "size": "1G", "vm": "web", "target": "sdc"}])
    assert [item.plan.summaries[1] for item in items] == [
        f"attach disk {name} to domain web as {target}" for name, target in (("a", "vda"), ("b", "vdb"), ("c", "sdc"))
    ]
    host.run(name="b", vm="web", state="detached")
    assert host.run(name="d", size="1G", vm="web")[0].predicted["target"] == "vdb"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"vm": "db"}, "there is no domain db on this host .there is saved, unlabelled, web.; define it first"),
        ({"vm": "web", "target": "vdb"}, "is disk vda of domain web, not vdb; take it out first"),
        ({"vm": "web", "name": "b", "target": "vda"}, "domain web has another disk vda; name another target, or none"),
        ({"vm": "saved", "name": "b"}, "domain saved has a managed save, which goes on as it was; start the domain"),
        (
            {"vm": "unlabelled", "name": "b"},
            "have libvirt change the owner of the image, for it has no <seclabel",
        ),
    ],
)
def test_what_no_domain_can_have_is_refused(host: Host, params: dict[str, str], words: str) -> None:
    host.users.define("web", running=True)
    host.users.define("saved", running=False, saved=True)
    host.users.define("unlabelled", running=False, labelled=False)
    host.run(disks=[{"name": "a", "size": "1G", "vm": "web"}, {"name": "b", "size": "1G"}])
    with pytest.raises((ValueError, StorageError), match=words):
        host.items(**{"name": "a", **params})


def test_a_disk_of_one_domain_is_not_given_to_another(host: Host) -> None:
    host.users.define("web", running=False)
    host.run(name="a", size="1G")
    host.uses("a", ImageUser("db", False, "vda"))
    with pytest.raises(StorageError, match="is in use by domain db .*, and two would destroy it; take it out there"):
        host.items(name="a", vm="web")


# --- made -----------------------------------------------------------------------------------------------------------


def test_a_disk_is_made_and_described(host: Host) -> None:
    (item,) = host.run(name="web", size="10GiB", description="Web server")
    assert item.plan.summaries == ["create qcow2 disk web of 10 GiB in storage domain vmstore"]
    assert item.plan.before == {}
    shown = {"name": "web", "format": "qcow2", "virtual_size_bytes": 10 * GIB, "description": "Web server"}
    assert item.plan.after == shown
    assert item.read is not None
    disk = item.read()
    image_uuid = image_uuid_of(host.uuid, "web")
    tail = f"{host.uuid}/images/{image_uuid}/{disk['volume_uuid']}"
    assert disk["path"] == f"{host.mount_root}/gl1:_gv0/{tail}"
    assert disk["uris"] == [f"gluster://gl1/gv0/{tail}", f"gluster://gl2/gv0/{tail}"]
    assert disk["uri"] == disk["uris"][0]
    assert (disk["image_uuid"], disk["storage_domain"], disk["state"]) == (image_uuid, "vmstore", "present")
    source = _disk.DiskSource.gluster("gv0", tail, ["gl1", "gl2"])
    assert disk["blockdev"] == _disk.to_blockdev(source, "qcow2")
    model = _disk.from_element(_xml.parse(disk["disk_xml"]))
    assert (model.source, model.format, model.cache, model.serial) == (source, "qcow2", "none", image_uuid)
    assert model.backing == ()
    assert {**item.predicted, "actual_size_bytes": disk["actual_size_bytes"]} == disk


def test_a_plan_alone_changes_nothing(host: Host, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    host.items(name="web", size="10GiB")
    assert sorted(tmp_path.rglob("*")) == before
    assert host.qemu_img.runs == []


def test_many_disks_take_one_look_and_one_qemu_img_each_and_none_the_second_time(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    read = storage_domain_read.read
    monkeypatch.setattr(storage_domain_read, "read", lambda point: looks.append(point) or read(point))
    disks = [{"name": f"web{number}", "size": "1G"} for number in range(20)]
    for item in host.items(disks=disks):
        item.plan.actions[0].run()
    assert (len(looks), host.qemu_img.runs) == (1, ["create"] * 20)
    assert not any(item.plan.changed for item in host.items(disks=disks))
    assert (len(looks), host.qemu_img.runs) == (2, ["create"] * 20)
    assert host.users.asked == 0


def test_a_raw_disk_needs_no_qemu_img(host: Host) -> None:
    (item,) = host.run(name="web", size="1G", format="raw")
    assert item.plan.summaries == ["create raw disk web of 1 GiB in storage domain vmstore"]
    assert host.qemu_img.runs == []


def test_data_in_a_disk_survives_a_second_run(host: Host) -> None:
    host.run(name="web", size="1G", format="raw")
    (item,) = host.items(name="web")
    path = Path(t.cast(str, item.predicted["path"]))
    with path.open("r+b") as file:
        file.write(b"precious")
    host.run(name="web", size="1G", format="raw")
    assert path.read_bytes()[:8] == b"precious"


def test_a_disk_is_described_anew_without_losing_the_rest(host: Host) -> None:
    host.run(name="web", size="1G")
    (item,) = host.run(name="web", description="new")
    assert item.plan.summaries == ["describe disk web"]
    (both,) = host.run(name="web", description="newer", size="2G")
    assert both.plan.summaries == ["describe disk web", "grow disk web from 1 GiB to 2 GiB"]
    (kept,) = host.run(name="web")
    assert (kept.predicted["description"], kept.predicted["virtual_size_bytes"]) == ("newer", 2 * GIB)


# --- grown ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_a_disk_grows(host: Host, image_format: str) -> None:
    host.run(name="web", size="1G", format=image_format)
    host.uses("web", ImageUser("web", False, "vda"))
    (item,) = host.run(name="web", size="1.5G")
    assert item.plan.summaries == ["grow disk web from 1 GiB to 1536 MiB"]
    assert host.users.resized == []


def test_a_disk_of_a_running_domain_grows_live(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run(name="web", size="1G", format="raw")
    host.uses("web", ImageUser("web", True, "vdb"))
    path = host.storage.require_image("vmstore", "web").path
    monkeypatch.setattr(host.users, "lengthen", functools.partial(os.truncate, path))
    (item,) = host.run(name="web", size="2G")
    assert item.plan.summaries == ["grow disk web from 1 GiB to 2 GiB live in domain web"]
    assert host.users.resized == [("web", "vdb", 2 * GIB)]


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (
            ImageUser("db", False, "vda", saved=True),
            r"db \(saved, disk vda\); start .* or drop its managed save",
        ),
        (
            ImageUser("db", True, "vda", is_live=False),
            r"db \(running, disk vda\), which has it below an overlay",
        ),
    ],
)
def test_a_disk_that_cannot_grow_with_its_domain_stays(host: Host, user: ImageUser, words: str) -> None:
    host.run(name="web", size="1G")
    host.uses("web", ImageUser("web", False, "vda"), user)
    with pytest.raises(StorageError, match=f"disk 'web' is in use by domain {words}"):
        host.items(name="web", size="2G")
    host.run(name="web", size="1G")


LENGTHENED = "lengthen the files of disk {} so that libgfapi reads their end"


def test_what_a_killed_growth_left_is_finished(host: Host) -> None:
    host.run(name="web", size="1G")
    path = Path(t.cast(str, host.items(name="web")[0].predicted["path"]))
    meta = path.with_name(f"{path.name}.meta")
    meta.write_text(meta.read_text().replace(f"CAP={1 << 30}", f"CAP={1 << 29}"))
    with path.open("ab") as file:
        file.write(b"odd")
    assert host.run(name="web", size="1G")[0].plan.summaries == ["finish growing disk web"]
    assert f"CAP={1 << 30}\n" in meta.read_text()
    assert path.stat().st_size % 4096 == 0
    assert host.run(name="web")[0].plan.summaries == []


@pytest.mark.parametrize("layer", [0, 1])
def test_files_that_libgfapi_cannot_read_to_their_end_are_lengthened(host: Host, template: Item, layer: int) -> None:
    """As qemu-img leaves them on a mount: of any layer, for QEMU opens them all."""
    own = Path(t.cast(str, host.items(name="one")[0].predicted["path"]))
    path = (own, own.with_name(template.predicted["volume_uuid"]))[layer]
    data = path.read_bytes() + b"odd"
    path.write_bytes(data)
    assert host.run(name="one")[0].plan.summaries == [LENGTHENED.format("one")]
    assert (path.stat().st_size % 4096, path.read_bytes()[: len(data)]) == (0, data)
    assert host.run(name="one")[0].plan.summaries == []


# --- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"name": "web", "size": "1023M"}, "would lose data with 1072693248; a disk is never shrunk"),
        ({"name": "web", "format": "raw"}, "is qcow2, not raw"),
        ({"name": "new"}, "no disk 'new' in storage domain vmstore; give the size"),
        ({"name": "new", "size": "ten"}, "size 'ten' is not"),
        ({"name": "a\nb", "size": "1G"}, "holds"),
        ({"name": "x" * 174, "size": "1G"}, "too long"),
        ({"name": "new", "size": "1G", "storage_domain": None}, "name the storage domain"),
        ({"disks": [{"name": "a"}, {"name": "a"}]}, "disk a is listed twice"),
    ],
)
def test_bad_input_is_refused_with_the_reason(host: Host, params: dict[str, t.Any], fault: str) -> None:
    host.run(name="web", size="1G")
    before = sorted(host.path.rglob("*"))
    with pytest.raises(ValueError, match=fault):
        host.items(**params)
    assert sorted(host.path.rglob("*")) == before


def test_a_disk_in_two_spellings_is_listed_twice(host: Host) -> None:
    point = str(host.path.parent)
    for place in (host.uuid, point):
        with pytest.raises(ValueError, match="disk web is listed twice"):
            host.items(disks=[{"name": "web", "size": "1G"}, {"name": "web", "size": "2G", "storage_domain": place}])
    host.run(name="web", size="1G")
    image_uuid = image_uuid_of(host.uuid, "web")
    with pytest.raises(ValueError, match=f"disk {image_uuid}, web is listed twice"):
        host.items(disks=[{"name": "web", "state": "absent"}, {"name": image_uuid, "size": "2G"}])


def test_one_bad_disk_of_a_list_stops_all_before_anything_is_changed(host: Host) -> None:
    before = sorted(host.path.rglob("*"))
    with pytest.raises(ValueError, match="give the size"):
        host.items(disks=[{"name": "a", "size": "1G"}, {"name": "b"}])
    assert sorted(host.path.rglob("*")) == before


def test_an_unknown_storage_domain_is_named(host: Host) -> None:
    with pytest.raises(StorageError, match="no storage domain 'nope' is mounted"):
        host.items(name="web", storage_domain="nope")


def test_what_cannot_be_reserved_is_refused_before_it_is_tried(host: Host) -> None:
    host.mounts.space = Space(GIB, GIB - 1)
    with pytest.raises(StorageError, match="does not fit into storage domain vmstore: 1073741823 bytes are free"):
        host.items(name="web", size="1G", preallocation="full")
    host.run(name="web", size="1G")
    host.mounts.space = Space(3 * GIB, GIB + GIB // 2)
    disk = {"size": "1G", "preallocation": "full"}
    with pytest.raises(StorageError, match="disk 'b' .* does not fit .*: 536870912 bytes are free"):
        host.items(disks=[{"name": "a", **disk}, {"name": "b", **disk}])


def test_a_sparse_disk_stays_so_with_a_warning(host: Host) -> None:
    (made,) = host.run(name="web", size="1G")
    (item,) = host.run(name="web", size="1G", preallocation="full")
    words = "disk 'web' is sparse and stays so: only a new disk is made preallocated"
    assert (made.warnings, item.warnings) == ((), (words,))
    (new,) = host.run(name="db", size="4096", preallocation="full")
    assert (new.warnings, host.items(name="db", preallocation="full")[0].warnings) == ((), ())


def test_a_disk_that_was_renamed_elsewhere_is_not_made_again(host: Host) -> None:
    host.run(name="web", size="1G")
    (meta,) = host.path.rglob("*.meta")
    meta.write_text(meta.read_text().replace('"web"', '"www"'))
    with pytest.raises(StorageError, match="was made as disk 'web' and is called 'www' now"):
        host.items(name="web", size="1G")


@pytest.mark.parametrize("params", [{"size": "1G"}, {"state": "absent"}])
def test_a_damaged_disk_is_neither_made_again_nor_taken_for_gone(host: Host, params: dict[str, str]) -> None:
    host.run(name="web", size="1G")
    (meta,) = host.path.rglob("*.meta")
    meta.write_text("junk")
    for name in ("web", image_uuid_of(host.uuid, "web")):
        with pytest.raises(StorageError, match=rf"disk '{name}' in storage domain vmstore: .*\.meta: there is no"):
            host.items(name=name, **params)


def test_older_storage_domains_get_disks_too(host: Host) -> None:
    older = StorageDomain(host.uuid, "vmstore", "gl1:/gv0", version=4)
    (host.path / METADATA).write_text(older.to_text())
    host.run(name="web", size="1G", description="old")
    (meta,) = host.path.rglob("*.meta")
    assert "SIZE=2097152\n" in meta.read_text()


def test_what_a_killed_run_left_goes_with_the_next_one(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "LINGERS_S", 0)
    point, said = 0, set()
    while True:
        (item,) = host.items(name="web", size="1M")
        killed = killed_at(point, item.plan.actions[0].run)
        said |= set(host.run(name="web", size="1M")[0].plan.summaries)
        uuid = item.predicted["image_uuid"]
        assert [path.name for path in (host.path / "images").iterdir()] == [uuid]
        if not killed:
            break
        host.run(name="web", state="absent")
        killed_at(point, item.plan.actions[0].run)
        host.run(name="web", state="absent")
        assert list((host.path / "images").iterdir()) == []
        point += 1
    assert point > 12
    assert said == {
        "create qcow2 disk web of 1 MiB in storage domain vmstore",
        "remove what a killed run left of disk web",
    }


def test_what_a_living_run_builds_stays(host: Host) -> None:
    (item,) = host.run(name="web", size="1M")
    with Directory.open(str(host.path / "images")) as images, staging(images, item.predicted["image_uuid"]):
        assert host.items(name="web", size="1M")[0].plan.summaries == []


# --- deleted --------------------------------------------------------------------------------------------------------


def test_absent_deletes_the_image(host: Host) -> None:
    host.run(name="web", size="1G")
    (item,) = host.run(name="web", state="absent")
    assert item.plan.summaries == ["delete disk web from storage domain vmstore"]
    assert item.predicted == {"name": "web", "storage_domain": "vmstore", "state": "absent"}
    assert list((host.path / "images").iterdir()) == []


def test_absent_where_nothing_is_does_nothing(host: Host) -> None:
    assert host.run(name="web", state="absent")[0].plan.summaries == []
    assert host.users.asked == 0


def test_absent_finishes_an_interrupted_deletion(host: Host) -> None:
    image_uuid = image_uuid_of(host.uuid, "web")
    (host.path / "images" / f"_remove_me_{image_uuid}").mkdir()
    assert host.run(name="web", state="absent")[0].plan.summaries == [
        "delete what an interrupted run left of disk web in storage domain vmstore"
    ]


@pytest.mark.parametrize(
    ("running", "saved", "words"), [(True, False, "running"), (False, False, "defined"), (False, True, "saved")]
)
def test_a_disk_in_use_is_not_deleted(host: Host, running: bool, saved: bool, words: str) -> None:
    host.run(name="web", size="1G")
    host.uses("web", ImageUser("web", running, "vda", saved=saved))
    with pytest.raises(StorageError, match=rf"disk 'web' is in use by domain web \({words}, disk vda\)"):
        host.items(name="web", state="absent")


@pytest.mark.parametrize("is_linked", [False, True], ids=["plain", "backup by hard links"])
@pytest.mark.parametrize(
    ("params", "words"), [({"state": "absent"}, "deleted"), ({"size": "2G"}, "grown")], ids=["absent", "grow"]
)
def test_a_disk_that_another_host_has_open_is_left_alone(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, params: dict[str, str], words: str, is_linked: bool
) -> None:
    host.run(name="web", size="1G")
    (found,) = host.run(name="web")
    if is_linked:
        shutil.copytree(posixpath.dirname(found.predicted["path"]), tmp_path / "backup", copy_function=os.link)
    hold_open(monkeypatch, found.predicted["volume_uuid"])
    with pytest.raises(StorageError, match=f"disk 'web' cannot be {words}: its bricks have image .* open, for a VM of"):
        host.items(name="web", **params)
    hold_open(monkeypatch, "another")
    assert len(host.run(name="web", **params)[0].plan.summaries) == 1


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"state": "absent"}, "disk 'web' cannot be deleted"),
        ({"size": "2G"}, "disk 'web' cannot be grown"),
        ({"name": "web2", "clone_of": "web", "clone_mode": "backing"}, "disk 'web' cannot be made a template"),
    ],
)
def test_a_disk_of_a_vm_on_another_host_is_left_alone_by_name(
    host: Host, monkeypatch: pytest.MonkeyPatch, params: dict[str, str], words: str
) -> None:
    host.run(name="web", size="1G", format="qcow2")
    (found,) = host.run(name="web")
    note_elsewhere(host.path.parent, "db", found.predicted["image_uuid"])
    given = {"name": "web", **params}
    with pytest.raises(StorageError, match=rf"{words}: it is used by VM db on host hv2 \(not running\); .*force: true"):
        host.items(**given)
    hold_open(monkeypatch, found.predicted["volume_uuid"])
    for force in (False, True):
        with pytest.raises(StorageError, match=r"it is used by VM db on host hv2 \(running\); shut that down first"):
            host.items(**given, force=force)
    hold_open(monkeypatch)
    assert len(host.run(**given, force=True)[0].plan.summaries) == 1


def test_a_disk_that_runs_on_another_host_is_given_to_no_domain(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run(name="web", size="1G")
    (found,) = host.run(name="web")
    host.users.define("vm", running=True)
    note_elsewhere(host.path.parent, "db", found.predicted["image_uuid"])
    hold_open(monkeypatch, found.predicted["volume_uuid"])
    with pytest.raises(StorageError, match=r"'web' cannot be attached: it is used by VM db on host hv2 \(running\)"):
        host.items(name="web", vm="vm")
    hold_open(monkeypatch)
    assert host.items(name="web", vm="vm")[0].plan.changed


def test_other_disks_of_a_storage_domain_that_other_hosts_use_are_changed(host: Host) -> None:
    host.run(name="web", size="1G")
    note_elsewhere(host.path.parent, "db", image_uuid_of(host.uuid, "other"))
    note_elsewhere(host.path.parent, None)
    host.run(name="web", size="2G")
    host.run(name="web2", clone_of="web")
    host.run(name="web", state="absent")


def test_a_note_that_cannot_be_read_is_in_the_way_of_what_needs_it_alone(host: Host) -> None:
    host.run(name="web", size="1G")
    note_elsewhere(host.path.parent, "db", image_uuid_of(host.uuid, "web"))
    next((host.path.parent / ".gfapi-users").glob("hv2*/db")).write_text("broken")
    host.run(name="web", description="a note")
    host.run(name="web2", clone_of="web")
    with pytest.raises(StorageError, match="cannot be deleted: a record of another host's use cannot be read"):
        host.items(name="web", state="absent")
    host.run(name="web", state="absent", force=True)


def test_a_forged_note_keeps_a_disk_from_being_deleted_and_deletes_nothing(host: Host) -> None:
    for name in ("web", "other"):
        host.run(name=name, size="1G")
    web, other = (image_uuid_of(host.uuid, name) for name in ("web", "other"))
    note_elsewhere(host.path.parent, "db", web, f"../images/{other}", "../../..", "*", "")
    before = {path for path in host.path.parent.rglob("*") if web not in path.parts}
    with pytest.raises(StorageError, match=r"'web' cannot be deleted: it is used by VM db on host hv2 \(not running\)"):
        host.items(name="web", state="absent")
    assert (host.path / "images" / web).exists()
    host.run(name="web", state="absent", force=True)
    assert set(host.path.parent.rglob("*")) == before


# --- what came since the plan ---------------------------------------------------------------------------------------


def test_a_template_is_given_to_no_domain(host: Host, template: Item) -> None:
    host.users.define("web", running=True)
    words = "disk 'base' is a template, which no VM may write to; give web a clone of it"
    with pytest.raises(StorageError, match=words):
        host.items(name="base", vm="web")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"state": "absent"}, "'web' cannot be deleted"),
        ({"size": "2G"}, "'web' cannot be grown"),
        ({"vm": "vm"}, "'web' cannot be attached"),
        ({"name": "web2", "clone_of": "web", "clone_mode": "backing"}, "'web' cannot be made a template"),
        ({"name": "web2", "clone_of": "web"}, "'web' cannot be cloned"),
        ({"dest": "web.qcow2"}, "'web' cannot be exported"),
    ],
    ids=["absent", "grow", "attach", "template", "clone", "export"],
)
def test_a_vm_that_started_elsewhere_since_the_plan_is_seen(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, params: dict[str, str], words: str
) -> None:
    host.run(name="web", size="1G")
    host.users.define("vm", running=True)
    dest = {"dest": str(tmp_path / params["dest"])} if "dest" in params else {}
    (item,) = host.items(**{"name": "web", **params, **dest})
    path = Path(host.storage.require_image("vmstore", "web").path)
    before = path.read_bytes(), path.with_name(f"{path.name}.meta").read_text()
    hold_open(monkeypatch, path.name)
    with pytest.raises(StorageError, match=f"{words}: its bricks have image"):
        item.plan.actions[0].run()
    assert (path.read_bytes(), path.with_name(f"{path.name}.meta").read_text()) == before


def test_what_another_run_wrote_since_the_plan_is_kept(host: Host) -> None:
    host.run(name="web", size="1G")
    (late,) = host.items(name="web", description="a note")
    assert (late.plan.before["description"], late.plan.after["description"]) == ("", "a note")
    host.run(name="web", size="2G")
    late.plan.actions[0].run()
    found = host.storage.require_image("vmstore", "web")
    assert (found.image.leaf.note, found.image.leaf.capacity_bytes) == ("a note", 2 * GIB)


def test_two_runs_may_delete_a_disk_at_one_moment(host: Host) -> None:
    host.run(name="web", size="1G")
    (late,) = host.items(name="web", state="absent")
    host.run(name="web", state="absent")
    late.plan.actions[0].run()


def test_a_disk_that_a_vm_is_being_started_on_is_not_deleted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run(name="web", size="1G")
    (item,) = host.items(name="web", state="absent")
    path = host.storage.require_image("vmstore", "web").path
    monkeypatch.setattr(_image_files, "LOCK_TIMEOUT_S", 0.1)
    with open(f"{path}.lease", "rb") as lease:
        fcntl.flock(lease, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="another run works on it"):
            item.plan.actions[0].run()
    assert Path(path).exists()


@pytest.mark.parametrize("attached", [True, False])
def test_a_disk_that_a_vm_got_since_the_plan_is_not_deleted(host: Host, *, attached: bool) -> None:
    host.run(name="web", size="1G")
    host.users.define("vm", running=False)
    (late,) = host.items(name="web", state="absent")
    if attached:
        host.run(name="web", vm="vm")
    else:
        # libvirt_vm of another host
        note_elsewhere(host.path.parent, "db", image_uuid_of(host.uuid, "web"))
    host.uses("web", *([ImageUser("vm", False, "vda")] if attached else []))
    words = "in use by domain vm" if attached else "cannot be deleted: it is used by VM db on host hv2"
    with pytest.raises(StorageError, match=words):
        late.plan.actions[0].run()
    assert host.storage.find_image("vmstore", "web")


def test_a_disk_that_another_vm_got_since_the_plan_is_not_attached(host: Host) -> None:
    host.run(name="web", size="1G")
    host.users.define("vm", running=False)
    (late,) = host.items(name="web", vm="vm")
    host.uses("web", ImageUser("db", False, "vda"))
    with pytest.raises(
        StorageError, match=r"'web' is in use by domain db \(defined, disk vda\), and two would destroy"
    ):
        late.plan.actions[0].run()
    host.uses("web")
    host.run(name="web", state="absent")
    with pytest.raises(
        StorageError, match="cannot attach disk web in storage domain vmstore: it was deleted meanwhile"
    ):
        late.plan.actions[0].run()


def test_a_disk_that_became_a_template_since_the_plan_is_neither_attached_nor_grown(host: Host) -> None:
    host.run(name="base", size="1G")
    host.users.define("vm", running=True)
    (attaching,), (growing,) = host.items(name="base", vm="vm"), host.items(name="base", size="2G")
    host.run(name="one", clone_of="base", clone_mode="backing")
    for late, words in (
        (attaching, "is a template, which no VM may write"),
        (growing, "is a template, which its clon"),
    ):
        with pytest.raises(StorageError, match=words):
            late.plan.actions[0].run()
    assert host.storage.require_image("vmstore", "base").virtual_size_bytes == GIB


# --- what a list asks of one disk and of another --------------------------------------------------------------------


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("mode", ["copy", "backing"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "absent"}, "delete disk base from storage domain vmstore"),
        ({"size": "2G"}, "grow disk base"),
        ({"vm": "vm"}, "attach disk base to domain vm as vda, live and in its configuration"),
    ],
    ids=["absent", "grow", "attach"],
)
def test_a_disk_that_a_list_changes_is_cloned_by_a_list_of_its_own(
    host: Host, change: dict[str, str], words: str, mode: str, turn: int
) -> None:
    host.run(name="base", size="1G")
    host.users.define("vm", running=True)
    clone = {"name": "web", "clone_of": "base", "clone_mode": mode}
    listed = [clone, {"name": "base", **change}]
    with pytest.raises(
        ValueError,
        match=rf"disk 'web' is to be made from disk 'base', which the same list changes \({words}\); do that",
    ):
        host.items(disks=listed[::turn])
    host.run(disks=[clone, {"name": "base", "description": "a system"}])


def test_a_clone_that_is_there_keeps_a_list_from_nothing(host: Host) -> None:
    host.run(name="base", size="1G")
    host.run(name="web", clone_of="base")
    host.run(disks=[{"name": "web", "clone_of": "base"}, {"name": "base", "size": "2G"}])


def test_whoever_works_on_the_domain_of_a_disk_is_waited_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[list[str]] = []

    def in_turn(things: t.Iterable[str], _plan: object) -> list[Item]:
        waited.append(list(things))
        return []

    monkeypatch.setattr(_turns, "in_turn", in_turn)
    defaults = {"vm": None, "state": "present"}
    disks = [{**defaults, "vm": vm} for vm in ("web", None, "web")]
    common = {"mount_root": "/nowhere", "uri": "qemu:///system", "storage_domain": "vms"}
    assert gfapi_disk.on_host({"disks": disks, **common}) == []
    assert gfapi_disk.on_host({"disks": None, **defaults, "vm": "db", **common}) == []
    assert waited == [["domain web of qemu:///system"], ["domain db of qemu:///system"]]
    assert gfapi_disk.on_host({"disks": [], **common}) == []
    assert len(waited) == 2


def test_a_target_that_a_later_disk_names_is_left_to_it(host: Host) -> None:
    host.users.define("vm", running=True)
    host.run(disks=[{"name": name, "size": "1G"} for name in "ab"])
    listed = [{"name": "a", "vm": "vm"}, {"name": "b", "vm": "vm", "target": "vda"}]
    items = host.run(disks=listed)
    assert [item.predicted["target"] for item in items] == ["vdb", "vda"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"vm": "vm", "target": "vdb"}, "target vdb of domain vm is given to two disks; give each its own"),
        ({"dest": "/tmp/a.qcow2"}, "dest /tmp/a.qcow2 is given to two disks; give each its own"),
    ],
    ids=["target", "dest"],
)
def test_what_two_disks_of_a_list_cannot_both_have_is_refused(host: Host, entry: dict[str, str], words: str) -> None:
    host.users.define("vm", running=True)
    host.run(disks=[{"name": name, "size": "1G"} for name in "ab"])
    other = {**entry, "dest": "/tmp/./a.qcow2"} if "dest" in entry else entry
    with pytest.raises(ValueError, match=words):
        host.items(disks=[{"name": "a", **entry}, {"name": "b", **other}])


@pytest.mark.parametrize("target", ["zzz", "hda", "fda", "vd", "vdabcdefg"])
def test_a_target_that_no_disk_can_have_is_refused(host: Host, target: str) -> None:
    with pytest.raises(ValueError, match=f"disk 'web' cannot have target {target!r}; a target is as in vdb"):
        host.items(name="web", size="1G", vm="vm", target=target)


# --- what no disk can hold ------------------------------------------------------------------------------------------


def test_a_disk_larger_than_qcow2_says_is_refused(host: Host) -> None:
    words = "disk 'web' of 3 PiB is more than qcow2 holds, 2 PiB; give less, or make it raw"
    with pytest.raises(ValueError, match=words):
        host.items(name="web", size="3P")
    host.run(name="web", size="1G", format="qcow2")
    with pytest.raises(ValueError, match=words):
        host.items(name="web", size="3P")


def test_an_empty_source_is_refused(host: Host, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ValueError, match=f"disk 'web' would be filled from {tmp_path}/empty, which is empty"):
        host.items(name="web", source=str(tmp_path / "empty"))


def test_a_checksum_that_is_none_is_refused_for_a_disk_that_is_there(host: Host, source: Path) -> None:
    host.run(name="web", source=str(source))
    with pytest.raises(ValueError, match="checksum 'garbage' is not ALGORITHM:DIGEST"):
        host.items(name="web", source=str(source), checksum="garbage")


@pytest.mark.parametrize("name", ["x" * 300, "x" * 250, "loop", "dangling"])
def test_a_dest_that_no_file_can_have_is_refused(host: Host, tmp_path: Path, name: str) -> None:
    host.run(name="web", size="1G")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises((ValueError, StorageError), match=f"dest {tmp_path / name}"):
        host.items(name="web", dest=str(tmp_path / name))
