# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import struct
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_files as storage_domain_files
from ansible_collections.gfapi.virt.plugins.module_utils._errors import LibvirtError
from ansible_collections.gfapi.virt.plugins.module_utils._files import Directory, staging
from ansible_collections.gfapi.virt.plugins.module_utils._image import ImageVolume
from ansible_collections.gfapi.virt.plugins.module_utils._image_users import ImageUser
from ansible_collections.gfapi.virt.plugins.module_utils._leases import MIB
from ansible_collections.gfapi.virt.plugins.module_utils._storage import Storage
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import MARK, NO_UUID, REMOVED
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain_users import ImageReference
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec
from ansible_collections.gfapi.virt.plugins.module_utils._xleases import XLeaseIndex
from ansible_collections.gfapi.virt.plugins.modules import glusterfs_domain_info
from ansible_collections.gfapi.virt.tests.unit import older_domain
from ansible_collections.gfapi.virt.tests.unit.fakes import (
    SPACE,
    FakeImageUsers,
    FakeMounts,
    FakeQemuImg,
    hold_open,
    note_elsewhere,
)

GIB = 1 << 30
OWNER = (os.getuid(), os.getgid())
NOWHERE = "99999999-0000-4000-8000-000000000000"


class Host:
    """A host with storage domain vms on volume gv0, and libvirt domains that name its images."""

    def __init__(self, root: Path) -> None:
        (root / "volumes").mkdir()
        self.mounts = FakeMounts(root / "volumes")
        self.users = FakeImageUsers()
        self.root = root / "mnt"
        self.path = self.add("vms", VolumeSpec(("gl1",), "gv0"))
        self.uuid = self.path.name

    def add(self, name: str, spec: VolumeSpec) -> Path:
        """One more storage domain: its directory."""
        point = self.mount(spec)
        return point / storage_domain_files.lay_out(str(point), name, spec, OWNER).uuid

    def mount(self, spec: VolumeSpec) -> Path:
        self.mounts.make_volume(spec.location)
        self.mounts.mount(spec, str(self.root / spec.mount_name))
        return self.root / spec.mount_name

    def create(self, name: str, image_format: str = "qcow2") -> ImageVolume:
        storage = Storage(t.cast("t.Any", self.mounts), t.cast("t.Any", FakeQemuImg()), mount_root=str(self.root))
        values: dict[str, t.Any] = {"format": image_format, "capacity_bytes": GIB, "created_at": 1700000000}
        volume = ImageVolume.base(self.uuid, name, note="a note", **values)
        storage.create(storage.find("vms"), volume)
        return volume

    def file_of(self, volume: ImageVolume, suffix: str = "") -> Path:
        return self.path / "images" / volume.image_uuid / (volume.uuid + suffix)

    def use(self, vm: str, image: str, volume: str, *, running: bool = False) -> None:
        source = f"gv0/{self.uuid}/images/{image}/{volume}"
        user = ImageUser(vm, running, "vda")
        self.users.named.append(ImageReference(user, source, self.uuid, image, volume))

    def read(self, **params: t.Any) -> dict[str, t.Any]:
        given = {name: option.get("default") for name, option in glusterfs_domain_info.ARGUMENT_SPEC.items()}
        given.update({"mount_root": str(self.root), **params})
        return glusterfs_domain_info.read(given, t.cast("t.Any", self.mounts), t.cast("t.Any", self.users))

    def one(self, **params: t.Any) -> dict[str, t.Any]:
        (found,) = self.read(**params)["storage_domains"]
        return t.cast("dict[str, t.Any]", found)

    def codes(self) -> list[str]:
        found = self.one()
        return [finding["code"] for finding in (*found["problems"], *found["warnings"])]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


# --- a storage domain -----------------------------------------------------------------------------------------------


def test_a_storage_domain_is_told_whole(host: Host) -> None:
    found = host.one()
    point = f"{host.root}/gl1:_gv0"
    assert (found["name"], found["uuid"], found["state"], found["version"]) == ("vms", host.uuid, "active", 5)
    assert (found["mount_point"], found["path"]) == (point, f"{point}/{host.uuid}")
    assert (found["spec"], found["volume"]) == ("gl1:/gv0", "gv0")
    assert (found["class"], found["role"], found["pool_uuid"]) == ("Data", "Regular", "")
    assert found["alignment_bytes"] == MIB and found["block_size_bytes"] in (512, 4096)
    assert (found["size_bytes"], found["free_bytes"]) == (SPACE.size_bytes, SPACE.free_bytes)
    assert found["seal"]["intact"] is True and found["seal"]["stored"] == found["seal"]["computed"]
    empty: list[str] = []
    assert found["orphans"] == dict.fromkeys(("images", "vm_disks", "removed", "staging", "temporary"), empty)
    assert (found["images"], found["problems"], found["warnings"]) == ([], [], [])


def test_a_storage_domain_is_found_by_name_uuid_and_mount_point(host: Host) -> None:
    other = host.add("other", VolumeSpec(("gl1",), "gv1"))
    assert [found["name"] for found in host.read()["storage_domains"]] == ["vms", "other"]
    for name in ("other", other.name, f"{other.parent}/"):
        assert [found["name"] for found in host.read(names=[name])["storage_domains"]] == ["other"], name
    assert host.read(names=["none"])["storage_domains"] == []
    assert host.read(names=["/none"])["storage_domains"] == []
    assert host.one(names=[str(other.parent)], mount_root="/elsewhere")["name"] == "other"
    assert host.read(mount_root="/elsewhere")["storage_domains"] == []


def test_a_mount_without_a_storage_domain_is_left_out(host: Host) -> None:
    host.mount(VolumeSpec(("gl1",), "empty"))
    assert [found["name"] for found in host.read()["storage_domains"]] == ["vms"]


def test_mounts_that_hang_or_are_dead_are_named_and_hide_nothing(host: Host) -> None:
    hung, dead = (host.mount(VolumeSpec(("gl1",), name)) for name in ("hung", "dead"))
    host.mounts.hung.add(str(hung))
    host.mounts.dead.add(str(dead))
    found = {one["mount_point"]: one for one in host.read()["storage_domains"]}
    assert {one["state"] for one in found.values()} == {"active", "hung", "dead"}
    assert (found[str(hung)]["state"], found[str(dead)]["state"]) == ("hung", "dead")
    assert found[str(hung)]["problems"][0]["message"] == f"mount {hung} does not answer within 5 s"
    assert found[str(dead)]["problems"][0]["code"] == "dead"
    assert found[str(hung)]["name"] is None and found[str(hung)]["images"] is None
    assert host.one(names=["vms"])["state"] == "active", "the one that is asked for is known"
    assert len(host.read(names=["vms", "lost"])["storage_domains"]) == 3, "one of them may be the lost one"


def test_a_broken_seal_is_told_with_both_sums(host: Host) -> None:
    path = host.path / "dom_md/metadata"
    path.write_text(path.read_text().replace("DESCRIPTION=vms", "DESCRIPTION=vmz"))
    found = host.one()
    assert (found["state"], found["uuid"], found["name"]) == ("broken", host.uuid, None)
    assert found["seal"]["intact"] is False
    (problem,) = found["problems"]
    assert problem["code"] == "metadata_broken"
    assert found["seal"]["stored"] in problem["message"] and found["seal"]["computed"] in problem["message"]


def test_metadata_without_a_seal_are_taken(host: Host) -> None:
    path = host.path / "dom_md/metadata"
    path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines() if "_SHA_CKSUM" not in line))
    found = host.one()
    assert (found["state"], found["seal"]["stored"], found["seal"]["intact"]) == ("active", None, True)
    assert host.codes() == ["no_seal"]


def test_what_was_never_finished_is_broken(host: Host) -> None:
    (host.path / "dom_md/metadata").unlink()
    found = host.one()
    assert (found["state"], found["seal"]) == ("broken", None)
    assert "metadata is not usable: it is missing" in found["problems"][0]["message"]


def test_two_storage_domains_on_a_mount_are_refused(host: Host) -> None:
    shutil.copytree(host.path, host.path.parent / NOWHERE)
    found = host.one()
    assert (found["state"], found["uuid"]) == ("broken", None)
    assert host.uuid in found["problems"][0]["message"] and NOWHERE in found["problems"][0]["message"]


def test_an_older_version_is_read_with_its_images(host: Host) -> None:
    older_domain.write(host.mount(VolumeSpec(("gl1",), "old")), 3, pool_uuid=NOWHERE)
    found = host.one(names=["old"])
    assert (found["version"], found["pool_uuid"], found["block_size_bytes"]) == (3, NOWHERE, 512)
    assert [image["name"] for image in found["images"]] == ["disk-11", "disk-22"]
    chain = found["images"][1]["volumes"]
    assert [(layer["role"], layer["format"]) for layer in chain] == [("LEAF", "qcow2"), ("INTERNAL", "raw")]
    assert [layer["parent"] for layer in chain] == [chain[1]["uuid"], None]
    assert [problem["code"] for problem in found["problems"]] == ["meta_unreadable"]
    assert older_domain.BROKEN in found["problems"][0]["message"]
    # the sample's header names no backing file
    assert [warning["code"] for warning in found["warnings"]] == ["old_version", "backing_differs"]


# --- lease files and mailboxes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ids", "leases", "inbox", "outbox", "xleases"])
def test_lease_files_and_mailboxes_that_are_missing_or_short_are_told(host: Host, name: str) -> None:
    path = host.path / "dom_md" / name
    os.truncate(path, path.stat().st_size - 4096)
    assert host.codes() == ["file_too_small"]
    path.unlink()
    assert host.codes() == ["file_missing"]
    assert host.one()["problems"][0]["message"] == f"dom_md/{name} is missing"


@pytest.mark.parametrize(("name", "offset"), [("ids", 0x38), ("leases", MIB + 0x68), ("xleases", MIB)])
def test_a_record_that_does_not_read_is_told(host: Host, name: str, offset: int) -> None:
    with open(host.path / "dom_md" / name, "r+b") as file:
        file.seek(offset)
        file.write(b"\xff")
    assert host.codes() == ["record_broken"]


def test_a_record_of_another_storage_domain_is_told(host: Host) -> None:
    other = host.add("other", VolumeSpec(("gl1",), "gv1"))
    for name in ("ids", "leases", "xleases"):
        shutil.copy(other / "dom_md" / name, host.path / "dom_md" / name)
    found = host.one(names=["vms"])
    assert [problem["code"] for problem in found["problems"]] == ["record_broken"] * 3
    assert all(f"its lockspace is '{other.name}'" in problem["message"] for problem in found["problems"])


def test_an_index_that_is_being_rewritten_is_told(host: Host) -> None:
    with open(host.path / "dom_md/xleases", "r+b") as file:
        file.seek(MIB)
        file.write(XLeaseIndex(host.uuid, 1700000000, updating=True).to_bytes())
    assert "being rewritten" in host.one()["problems"][0]["message"]


# --- images ---------------------------------------------------------------------------------------------------------


def test_images_are_told_by_name_with_size_and_chain(host: Host) -> None:
    web, data = host.create("web"), host.create("data", "raw")
    host.use("web", web.image_uuid, web.uuid, running=True)
    first, second = host.one()["images"]
    assert (first["name"], second["name"]) == ("data", "web")
    assert (second["uuid"], second["format"], second["description"]) == (web.image_uuid, "qcow2", "a note")
    assert (second["virtual_size_bytes"], second["preallocation"], second["legality"]) == (GIB, "off", "LEGAL")
    assert second["used_by"] == [{"name": "web", "state": "running", "target": "vda"}]
    assert (first["used_by"], first["virtual_size_bytes"]) == ([], GIB)
    (layer,) = second["volumes"]
    assert (layer["uuid"], layer["path"], layer["parent"]) == (web.uuid, str(host.file_of(web)), None)
    assert layer["actual_size_bytes"] == second["actual_size_bytes"] > 0
    assert host.one()["orphans"]["images"] == [{"uuid": data.image_uuid, "name": "data"}]
    assert host.codes() == []


def test_disks_of_vms_whose_image_is_missing_are_told(host: Host) -> None:
    web = host.create("web")
    host.use("web", web.image_uuid, web.uuid)
    host.use("web", NOWHERE, NOWHERE)
    host.use("copy", web.image_uuid, NOWHERE)
    disks = host.one()["orphans"]["vm_disks"]
    assert [(disk["vm"], disk["image_uuid"], disk["state"]) for disk in disks] == [
        ("web", NOWHERE, "defined"),
        ("copy", web.image_uuid, "defined"),
    ]
    assert host.codes() == ["image_missing", "image_missing"]
    assert f"gv0/{host.uuid}/images/{NOWHERE}/{NOWHERE}" in host.one()["problems"][0]["message"]


def test_without_libvirt_who_uses_images_is_not_known(host: Host) -> None:
    host.create("web")
    host.users.has_libvirt = False
    found = host.one()
    assert found["images"][0]["used_by"] is None
    assert (found["orphans"]["images"], found["orphans"]["vm_disks"]) == (None, None)


def test_libvirt_that_does_not_answer_is_a_warning(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.create("web")

    def refuse() -> t.NoReturn:
        raise LibvirtError("cannot connect to libvirt")

    monkeypatch.setattr(host.users, "references", refuse)
    result = host.read()
    assert result["warnings"] == ["who uses the images is not known: cannot connect to libvirt"]
    assert result["storage_domains"][0]["images"][0]["used_by"] is None


def test_images_can_be_left_out_and_libvirt_with_them(host: Host) -> None:
    web = host.create("web")
    (host.path / "images" / f"_remove_me_{NOWHERE}").mkdir()
    host.file_of(web, ".meta").unlink()
    found = host.one(images=False)
    assert found["images"] is None
    assert (found["orphans"]["images"], found["orphans"]["vm_disks"]) == (None, None)
    assert [warning["code"] for warning in found["warnings"]] == ["removal_unfinished"]
    assert host.users.asked == 0


def test_libvirt_is_asked_once_for_any_number_of_images(host: Host) -> None:
    host.add("other", VolumeSpec(("gl1",), "gv1"))
    for number in range(5):
        host.create(f"web{number}")
    host.read()
    assert host.users.asked == 1


def test_an_image_made_from_a_template_and_the_template_are_no_orphans_of_each_other(host: Host) -> None:
    web = host.create("web")
    derived = host.path / "images" / NOWHERE
    derived.mkdir()
    for suffix in ("", ".meta", ".lease"):
        os.link(host.file_of(web, suffix), derived / (web.uuid + suffix))
    leaf = "99999999-0000-4000-8000-000000000001"
    meta = host.file_of(web, ".meta").read_text().replace(web.image_uuid, NOWHERE)
    meta = meta.replace(f"PUUID={'0' * 8}-0000-0000-0000-{'0' * 12}", f"PUUID={web.uuid}").replace("web", "derived")
    (derived / f"{leaf}.meta").write_text(meta)
    header = b"QFI\xfb" + struct.pack(">IQI", 3, 104, 36) + bytes(4) + struct.pack(">Q", GIB)
    (derived / leaf).write_bytes((header.ljust(104, b"\0") + web.uuid.encode()).ljust(4096, b"\0"))
    images = {image["name"]: image for image in host.one()["images"]}
    assert (images["derived"]["template"], images["web"]["template_of"]) == (web.image_uuid, [NOWHERE])
    assert host.one()["orphans"]["images"] == [{"uuid": NOWHERE, "name": "derived"}]
    assert host.codes() == ["lease_missing"]


def test_a_layer_below_that_is_not_padded_is_told(host: Host) -> None:
    web = host.create("web")
    leaf = "99999999-0000-4000-8000-000000000001"
    for suffix in ("", ".meta", ".lease"):
        shutil.copy(host.file_of(web, suffix), host.file_of(web, suffix).with_name(leaf + suffix))
    meta = host.file_of(web, ".meta").with_name(f"{leaf}.meta")
    meta.write_text(meta.read_text().replace(f"PUUID={NO_UUID}", f"PUUID={web.uuid}"))
    base = host.file_of(web, ".meta")
    base.write_text(base.read_text().replace("VOLTYPE=LEAF", "VOLTYPE=INTERNAL"))
    before = host.codes()
    os.truncate(host.file_of(web, ""), 196608 + 100)
    assert sorted(host.codes()) == sorted([*before, "not_padded"])
    (finding,) = (one for one in host.one()["warnings"] if one["code"] == "not_padded")
    assert f"its file {web.uuid} of 196708 bytes is no multiple of 512" in finding["message"]


@pytest.mark.parametrize(
    ("suffix", "damage", "code"),
    [
        (".meta", lambda path: path.write_text("NONE=1\nEOF\n"), "meta_unreadable"),
        (".meta", lambda path: path.write_bytes(b"\xff"), "meta_unreadable"),
        (".meta", lambda path: path.write_text(path.read_text().replace("=LEGAL", "=ILLEGAL")), "not_legal"),
        (".meta", lambda path: path.write_text(path.read_text().replace(f"CAP={GIB}", "CAP=4096")), "size_differs"),
        (".meta", lambda path: path.unlink(), "image_unfinished"),
        (".lease", lambda path: path.unlink(), "lease_missing"),
        (".lease", lambda path: os.truncate(path, 4096), "lease_too_small"),
        (".lease", lambda path: path.write_bytes(bytes(MIB)), "lease_broken"),
        ("", lambda path: path.unlink(), "data_missing"),
        ("", lambda path: path.write_bytes(bytes(4096)), "data_unreadable"),
        ("", lambda path: os.truncate(path, 196608 + 100), "not_padded"),
    ],
)
def test_damage_to_an_image_is_told(host: Host, suffix: str, damage: t.Callable[[Path], object], code: str) -> None:
    damage(host.file_of(host.create("web"), suffix))
    assert host.codes() == [code]


def test_a_lease_of_another_image_is_told(host: Host) -> None:
    shutil.copy(host.file_of(host.create("web"), ".lease"), host.file_of(host.create("data"), ".lease"))
    (problem,) = host.one()["problems"]
    assert problem["code"] == "lease_broken"
    assert "disk 'data'" in problem["message"] and "its resource is" in problem["message"]


# --- what interrupted work left -------------------------------------------------------------------------------------


def test_leftovers_are_told_apart(host: Host) -> None:
    root, images = host.path.parent, host.path / "images"
    web = host.create("web")
    (root / f"{REMOVED}x").mkdir()
    (images / f"_remove_me_{NOWHERE}").mkdir()
    (images / f".gfapi-virt-{NOWHERE}-0badcafe").mkdir()
    (root / ".gfapi-virt-storage-domain-0badcafe").mkdir()
    (root / ".gfapi-virt-storage-domain-0badcafe/~lock").touch()
    (root / ".prob-0").touch()
    (host.path / "dom_md/metadata.new").touch()
    host.file_of(web).with_name(f".{web.uuid}.meta.0badcafe").touch()
    orphans = host.one()["orphans"]
    assert orphans["removed"] == [f"{root}/{REMOVED}x", f"{images}/_remove_me_{NOWHERE}"]
    assert orphans["staging"] == [
        f"{root}/.gfapi-virt-storage-domain-0badcafe",
        f"{images}/.gfapi-virt-{NOWHERE}-0badcafe",
    ]
    assert orphans["temporary"] == [
        f"{root}/.prob-0",
        f"{host.path}/dom_md/metadata.new",
        f"{images}/{web.image_uuid}/.{web.uuid}.meta.0badcafe",
    ]
    assert host.codes() == ["removal_unfinished", "staging_left", "temporary_left"]


def test_what_a_living_run_builds_is_no_leftover(host: Host) -> None:
    with Directory.open(str(host.path / "images")) as images, staging(images, NOWHERE):
        assert host.codes() == []
        assert len(list((host.path / "images").iterdir())) == 1


def test_an_upgrade_that_was_interrupted_is_told(host: Host) -> None:
    (host.path.parent / MARK).touch()
    assert host.codes() == ["upgrade_unfinished"]


def test_nothing_is_written(host: Host) -> None:
    host.create("web")
    before = sorted((str(path), path.stat().st_mtime_ns) for path in host.root.rglob("*"))
    host.read()
    assert sorted((str(path), path.stat().st_mtime_ns) for path in host.root.rglob("*")) == before


# --- other hosts ----------------------------------------------------------------------------------------------------


def test_users_on_other_hosts_are_told_and_keep_an_image_from_being_an_orphan(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    web, _free = host.create("web"), host.create("free")
    note_elsewhere(host.path.parent, "db", web.image_uuid, NOWHERE)
    note_elsewhere(host.path.parent, None)
    users = [{"host": "hv2", "name": "db", "open": False}]
    found = host.one()
    assert {image["name"]: image["used_elsewhere"] for image in found["images"]} == {"web": users, "free": []}
    assert [orphan["name"] for orphan in found["orphans"]["images"]] == ["free"]
    hold_open(monkeypatch, web.uuid)
    assert [image["used_elsewhere"] for image in host.one()["images"]] == [[], [{**users[0], "open": True}]]
    assert found["warnings"] == []


def test_a_note_that_cannot_be_read_is_a_warning(host: Host) -> None:
    note_elsewhere(host.path.parent, "db", NOWHERE)
    note = next((host.path.parent / ".gfapi-users").glob("*/db"))
    note.write_text("broken")
    (warning,) = host.one()["warnings"]
    assert warning["code"] == "use_unreadable"
    assert str(note) in warning["message"]
