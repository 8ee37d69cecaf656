# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import gzip
import os
import shutil
import typing as t
import uuid as uuids
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._bricks import MARKS, VolumeHere
from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._mounts import Mounts
from ansible_collections.gfapi.virt.plugins.module_utils._volume import Brick, Volume
from ansible_collections.gfapi.virt.plugins.module_utils._volume_use import HostUse
from ansible_collections.gfapi.virt.tests.unit.recorded import GLUSTER, VERSION

SSL = ("protocol/server", "transport.socket.ssl-enabled")
IDENTITY = "vmstore.gl1.bricks-vmstore"


class Host:
    """A host in a folder: /proc, glusterd's files and a brick's log, as recorded."""

    def __init__(self, root: Path) -> None:
        self.processes, self.volumes = root / "proc", root / "vols"
        self.log, self.mounts = root / "brick.log", root / "mounts"
        (self.volumes / "vmstore").mkdir(parents=True)
        self.volfile = self.volumes / "vmstore" / f"{IDENTITY}.vol"
        shutil.copy(GLUSTER / f"brick_{VERSION}.vol", self.volfile)
        shutil.copy(GLUSTER / f"brick_{VERSION}.log", self.log)
        self.mounts.write_text("")
        self.process(7, "/usr/sbin/glusterfsd", "-s", "gl1", "--volfile-id", IDENTITY, "-l", str(self.log))
        self.process(8, "/usr/sbin/glusterfsd", "-s", "gl1", "--volfile-id", "other.gl1.b", "-l", str(self.log))
        (self.processes / "9").mkdir()
        (self.processes / "9" / "cmdline").write_text("")

    def process(self, pid: int, *argv: str) -> None:
        (self.processes / str(pid)).mkdir(parents=True)
        (self.processes / str(pid) / "cmdline").write_text("\0".join(argv) + "\0")

    def here(self) -> VolumeHere:
        mounts = Mounts(table=str(self.mounts))
        return VolumeHere(volumes=str(self.volumes), processes=str(self.processes), mounts=mounts)

    def turn_ssl_on(self) -> None:
        text = self.volfile.read_text()
        assert "ssl-enabled off" in text
        self.volfile.write_text(text.replace("ssl-enabled off", "ssl-enabled on"))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_brick_runs_with_what_it_logged(host: Host) -> None:
    assert SSL not in host.here().left_behind("vmstore")
    host.turn_ssl_on()
    assert host.here().left_behind("vmstore")[SSL] == ("on", "off")


@pytest.mark.parametrize("packed", [False, True])
def test_log_that_was_put_aside_is_read_too(host: Host, *, packed: bool) -> None:
    host.turn_ssl_on()
    aside = host.log.with_name("brick.log.2.gz" if packed else "brick.log.1")
    text = host.log.read_bytes()
    aside.write_bytes(gzip.compress(text) if packed else text)
    host.log.write_text("")
    assert host.here().left_behind("vmstore")[SSL] == ("on", "off")


@pytest.mark.parametrize("harm", ["cut", "changed", "no gzip"])
def test_a_packed_log_that_is_damaged_does_not_hide_an_older_one(host: Host, harm: str) -> None:
    host.turn_ssl_on()
    text = host.log.read_bytes()
    packed = bytearray(gzip.compress(text))
    if harm == "cut":
        del packed[len(packed) // 2 :]
    elif harm == "changed":
        packed[10] ^= 0x06  # the kind of the first block becomes one that there is not
    damaged, older = host.log.with_name("brick.log.1.gz"), host.log.with_name("brick.log.2.gz")
    damaged.write_bytes(b"text" if harm == "no gzip" else packed)
    host.log.write_text("")
    assert host.here().left_behind("vmstore") == {}
    older.write_bytes(gzip.compress(text))
    os.utime(older, (0, 0))
    assert host.here().left_behind("vmstore")[SSL] == ("on", "off")


def test_brick_whose_log_does_not_tell_shows_nothing(host: Host) -> None:
    host.turn_ssl_on()
    host.log.write_text("[2026-11-22] I nothing of a graph\n")
    assert host.here().left_behind("vmstore") == {}
    host.log.unlink()
    assert host.here().left_behind("vmstore") == {}


def test_brick_that_is_just_starting_shows_nothing(host: Host) -> None:
    host.turn_ssl_on()
    with host.log.open("a") as file:
        file.write("[2026-11-22] I [MSGID: 100030] 0-/usr/sbin/glusterfsd: Started running version [{arg=...}]\n")
    assert host.here().left_behind("vmstore") == {}


def test_volume_without_a_brick_here_shows_nothing(host: Host) -> None:
    assert host.here().left_behind("nowhere") == {}


def test_use_is_told_from_mounts_and_processes(host: Host) -> None:
    host.mounts.write_text(
        "h:/vmstore /mnt/v fuse.glusterfs rw 0 0\nh:/vmstore2 /mnt/w fuse.glusterfs rw 0 0\n/dev/sda / ext4 rw 0 0\n"
    )
    host.process(20, "/usr/bin/qemu-system-x86_64", "-name", "guest=b,x=y", "-blockdev", '{"filename":"/mnt/v/a"}')
    host.process(21, "/usr/bin/qemu-system-x86_64", "-name", "guest=c", "-blockdev", '{"filename":"/mnt/w/a"}')
    assert host.here().use("vmstore") == HostUse(("/mnt/v",), ("b",))


def test_a_rebalance_is_told_from_its_process(host: Host) -> None:
    assert not host.here().rebalances("vmstore")
    host.process(30, "/usr/sbin/glusterfs", "-s", "localhost", "--volfile-id", "rebalance/vmstore")
    assert host.here().rebalances("vmstore")
    assert not host.here().rebalances("vm")


# --- what the bricks of a stopped volume hold -----------------------------------------------------------------------

UUID = "5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11"


@pytest.fixture
def brick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A brick of this host, whose mark is a file beside it: only root may read the real one."""
    path = tmp_path / "brick[1]"
    (path / "dir/u-2/dom_md").mkdir(parents=True)
    (path / "u-1/dom_md").mkdir(parents=True)
    (path / "u-1/dom_md/metadata").write_text("x")
    (path / "other").mkdir()
    (path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "kept").mkdir()

    def mark(of: str, name: str) -> bytes:
        assert name == "trusted.glusterfs.volume-id"
        if Path(of, "u-1").exists():
            return uuids.UUID(UUID).bytes
        if Path(of, "of another volume").exists():
            return uuids.UUID(int=1).bytes
        raise OSError(errno.ENODATA, "No data available")

    monkeypatch.setattr(os, "getxattr", mark)
    return path


def volume_of(*bricks: tuple[str, Path | str]) -> Volume:
    found = tuple(Brick("gl1", str(path), peer=peer) for peer, path in bricks)
    return Volume("vmstore", "Replicate", "Stopped", 3, found, uuid=UUID)


def test_a_brick_tells_of_storage_domains(host: Host, brick: Path) -> None:
    volume = volume_of(("other", "/nowhere"), ("me", brick))
    here = host.here()
    assert here.storage_domains(volume, "", "me") == ["u-1"]
    assert here.storage_domains(volume, "dir", "me") == ["u-2"]
    assert here.storage_domains(volume, "", "nobody") is None
    assert here.storage_domains(volume, "", "") is None


def test_what_another_volume_has_marked_is_no_brick(host: Host, brick: Path) -> None:
    other = brick.parent / "other volume"
    (other / "of another volume").mkdir(parents=True)
    assert host.here().bricks(volume_of(("me", other), ("me", brick)), "me") == [str(brick)]


def test_a_brick_tells_who_owns_the_root(host: Host, brick: Path) -> None:
    volume = volume_of(("other", "/nowhere"), ("me", brick / "gone"), ("me", brick))
    assert host.here().root_owner(volume, "me") == (brick.stat().st_uid, brick.stat().st_gid)
    assert host.here().root_owner(volume, "nobody") is None
    assert host.here().root_owner(volume, "") is None


def test_data_of_this_hosts_bricks_is_removed_and_no_more(host: Host, brick: Path, tmp_path: Path) -> None:
    volume = volume_of(("me", brick), ("me", tmp_path / "kept"), ("other", brick))
    here = host.here()
    assert here.bricks(volume, "me") == [str(brick)]
    here.purge(volume, [str(brick)])
    assert not brick.exists()
    assert (tmp_path / "kept").is_dir()
    assert here.bricks(volume, "me") == []
    assert here.storage_domains(volume, "", "me") == []


@pytest.mark.parametrize("is_mount_point", [False, True])
def test_the_mark_of_a_brick_goes_with_its_folder_or_where_that_stays(
    host: Host, brick: Path, monkeypatch: pytest.MonkeyPatch, *, is_mount_point: bool
) -> None:
    """A run that is killed before that leaves a brick to the next one, not a folder that nobody knows."""
    calls: list[str] = []
    rmdir = os.rmdir

    def note_rmdir(path: str, **kwargs: t.Any) -> None:
        if path == str(brick):
            calls.append("rmdir")
            if is_mount_point:
                raise OSError(errno.EBUSY, "Device or resource busy")
        rmdir(path, **kwargs)

    monkeypatch.setattr(os, "rmdir", note_rmdir)
    monkeypatch.setattr(os, "removexattr", lambda _file, name: calls.append(name))
    host.here().purge(volume_of(("me", brick)), [str(brick)])
    assert calls == ["rmdir", *(MARKS if is_mount_point else ())]
    assert brick.exists() is is_mount_point


def test_a_brick_that_cannot_be_purged_is_named(host: Host, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot remove the data in brick .*/nope of volume vmstore: No such file"):
        host.here().purge(volume_of(), [str(tmp_path / "nope")])


def test_names_in_bricks_of_this_host(host: Host, tmp_path: Path) -> None:
    """A brick that was purged is gone."""
    (tmp_path / "b1" / "team1").mkdir(parents=True)
    bricks = tuple(Brick("gl1", str(tmp_path / name), peer="own") for name in ("b1", "gone"))
    volume = Volume("vmstore", "Replicate", "Stopped", 3, (*bricks, Brick("gl2", "/", peer="other")))
    assert host.here().names(volume, "own") == ["team1"]
    assert host.here().names(volume, "") == []
