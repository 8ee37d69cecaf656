# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import fcntl
import os
import stat
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_files as files
from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_read as storage_domain_read
from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._files import Directory
from ansible_collections.gfapi.virt.plugins.module_utils._leases import lockspace, resource
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import (
    CLAIM,
    IMAGES,
    LOCK,
    METADATA,
    REMOVED,
    SEAL,
    StorageDomain,
    seals_of,
)
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain_state import attached, require_free
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec
from ansible_collections.gfapi.virt.plugins.module_utils._xleases import XLeaseIndex
from ansible_collections.gfapi.virt.tests.unit.killing import is_synced, killed_at, noted_by_name

OWNER = (os.getuid(), os.getgid())
SPEC = VolumeSpec(("gl1",), "data")
UUID = "5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11"


def free(_found: StorageDomain) -> None:
    """Anybody may remove it."""


def lay_out(root: Path, name: str = "vmstore") -> StorageDomain:
    return files.lay_out(str(root), name, SPEC, OWNER)


def test_an_empty_volume_has_none(tmp_path: Path) -> None:
    (tmp_path / "some file").write_text("x")
    (tmp_path / "lost+found").mkdir()
    assert storage_domain_read.read(str(tmp_path)) is None


def test_all_of_it_is_on_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = noted_by_name(monkeypatch)
    made = lay_out(tmp_path)
    root = tmp_path / made.uuid
    names = {path.name for path in root.rglob("*") if path.is_file() or any(path.iterdir())}
    # it is called so until it is whole
    for name in (*names, "whole"):
        assert is_synced(calls, name, before=f"rename {made.uuid}"), name


def test_it_has_the_directories_and_modes_of_vdsm(tmp_path: Path) -> None:
    made = lay_out(tmp_path)
    root = tmp_path / made.uuid
    modes = {str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*"))}
    leases = {f"dom_md/{name}": 0o660 for name in ("ids", "inbox", "leases", "outbox", "xleases")}
    assert modes == {".": 0o755, "dom_md": 0o755, IMAGES: 0o755, METADATA: 0o644, **leases}
    assert (root / METADATA).read_text() == made.to_text()
    assert (made.name, made.spec, made.version, made.pool_uuid) == ("vmstore", "gl1:/data", 5, "")


def test_its_lease_files_hold_what_sanlock_and_vdsm_look_for(tmp_path: Path) -> None:
    made = lay_out(tmp_path)
    files_of = {path.name: path for path in (tmp_path / made.uuid / "dom_md").iterdir()}
    unit = made.alignment_bytes
    assert files_of["ids"].read_bytes() == lockspace(made.uuid, made.geometry)
    spm = resource(made.uuid, "SDM", made.geometry)
    assert files_of["leases"].read_bytes() == bytes(unit) + spm.ljust(unit, b"\0")
    index = files_of["xleases"].read_bytes()
    assert not any(index[:unit])
    assert XLeaseIndex.from_bytes(index[unit:]).lockspace == made.uuid
    for mailbox in (files_of["inbox"], files_of["outbox"]):
        assert (mailbox.stat().st_size, mailbox.stat().st_blocks) == (16 << 20, 0)


@pytest.mark.parametrize(("least", "block_size"), [(1, 512), (512, 512), (4096, 4096)])
def test_blocks_are_as_large_as_direct_io_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: int, block_size: int
) -> None:
    tried: list[int] = []

    def pwrite(_descriptor: int, block: memoryview, _offset: int) -> int:
        tried.append(len(block))
        if len(block) < least:
            raise OSError(errno.EINVAL, "Invalid argument")
        return len(block)

    monkeypatch.setattr(os, "pwrite", pwrite)
    made = lay_out(tmp_path)
    assert (made.block_size_bytes, tried[-1]) == (block_size, least)
    assert (tmp_path / made.uuid / "dom_md/ids").read_bytes() == lockspace(made.uuid, (block_size, 1 << 20))


def test_storage_that_takes_no_direct_io_is_refused_and_left_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pwrite(*_args: t.Any) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(StorageError, match="direct I/O takes none of 1, 512, 4096 bytes.*; look at the disks"):
        lay_out(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [CLAIM]


def test_the_second_host_finds_what_the_first_one_made(tmp_path: Path) -> None:
    assert lay_out(tmp_path) == lay_out(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == [lay_out(tmp_path).uuid]


def test_the_second_name_is_refused_by_the_first(tmp_path: Path) -> None:
    made = lay_out(tmp_path)
    with pytest.raises(StorageError, match=rf"holds storage domain vmstore \({made.uuid}\), not other"):
        lay_out(tmp_path, "other")


def test_many_at_once_make_one(tmp_path: Path) -> None:
    children = []
    for _child in range(8):
        pid = os.fork()
        if pid == 0:
            try:
                lay_out(tmp_path)
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8
    assert storage_domain_read.read(str(tmp_path)) is not None
    assert len([path for path in tmp_path.iterdir() if not path.is_symlink()]) == 1


def test_killed_anywhere_the_next_run_ends_in_one_whole_storage_domain(tmp_path: Path) -> None:
    point = 0
    while True:
        root = tmp_path / str(point)
        root.mkdir()
        killed = killed_at(point, lambda: lay_out(root))  # noqa: B023
        before = storage_domain_read.read(str(root))
        after = lay_out(root)
        assert before in (None, after)
        assert sorted(path.name for path in root.iterdir()) == [CLAIM, after.uuid]
        if not killed:
            break
        point += 1
    assert point > 15


def test_a_change_that_is_killed_anywhere_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    made = lay_out(tmp_path)

    def attach() -> None:
        files.change(str(tmp_path), "vmstore", lambda found: replace(found, pool_uuid=UUID))

    point, seen = 0, []
    while killed_at(point, attach):
        seen.append(storage_domain_read.read(str(tmp_path)))
        files.change(str(tmp_path), "vmstore", lambda _found: made)
        point += 1
    assert point > 3
    assert {found.pool_uuid for found in seen if found} == {"", UUID}
    assert storage_domain_read.read(str(tmp_path)) == replace(made, pool_uuid=UUID)


def refused_in_a_child(act: t.Callable[[], object]) -> str:
    """What a process of its own is told, empty if nothing."""
    pipe, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except StorageError as exc:
            os.write(end, str(exc).encode())
        finally:
            os._exit(0)
    os.close(end)
    with os.fdopen(pipe) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


def test_of_two_data_centers_at_one_moment_one_wins_and_the_other_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have seen it free when they planned; the second comes between the look and the change of the first."""
    made, other = lay_out(tmp_path), UUID.replace("5", "6")
    monkeypatch.setattr(files, "LOCK_TIMEOUT_S", 0)
    told = []

    def attach_other() -> None:
        files.change(str(tmp_path), "vmstore", lambda found: attached(found, other))

    def attach(found: StorageDomain) -> StorageDomain:
        told.append(refused_in_a_child(attach_other))
        return attached(found, UUID)

    files.change(str(tmp_path), "vmstore", attach)
    told.append(refused_in_a_child(attach_other))
    words = f"another run has changed what is on {tmp_path} for 0 s (it holds {LOCK}); wait for it, or end it"
    assert told[0] == words
    assert told[1].startswith(f"storage domain vmstore belongs to data center {UUID}")
    assert storage_domain_read.read(str(tmp_path)) == replace(made, pool_uuid=UUID)


def test_the_lock_goes_with_its_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path)
    monkeypatch.setattr(files, "LOCK_TIMEOUT_S", 0)
    assert killed_at(2, lambda: files.change(str(tmp_path), "vmstore", lambda found: attached(found, UUID)))
    assert (tmp_path / LOCK).exists()
    files.change(str(tmp_path), "vmstore", lambda found: attached(found, UUID))


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE])
def test_a_lock_that_another_host_removes_before_it_is_taken_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Gluster opens it on the bricks when it is locked (open-behind). One that fails for good ends the wait."""
    lay_out(tmp_path)
    flock = fcntl.flock
    asked: list[int] = []

    def gone(descriptor: int, operation: int) -> None:
        asked.append(descriptor)
        if len(asked) == 1 or files.LOCK_TIMEOUT_S == 0:
            raise OSError(number, os.strerror(number))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", gone)
    files.change(str(tmp_path), "vmstore", lambda found: attached(found, UUID))
    assert len(asked) > 1
    monkeypatch.setattr(files, "LOCK_TIMEOUT_S", 0)
    with pytest.raises(StorageError, match="cannot change the metadata of storage domain vmstore .*: No such file"):
        files.change(str(tmp_path), "vmstore", lambda found: found)


def test_what_was_attached_meanwhile_is_not_removed(tmp_path: Path) -> None:
    made = lay_out(tmp_path)
    files.change(str(tmp_path), "vmstore", lambda found: attached(found, UUID))
    with pytest.raises(StorageError, match="belongs to data center"):
        files.remove(str(tmp_path), made.uuid, lambda found: require_free(found, None))
    assert storage_domain_read.read(str(tmp_path)) == replace(made, pool_uuid=UUID)


def test_a_removal_that_goes_on_is_no_leftover(tmp_path: Path) -> None:
    (tmp_path / (REMOVED + UUID)).mkdir()
    assert files.leftovers(str(tmp_path)) == [REMOVED + UUID]
    with Directory.open(str(tmp_path)) as root, files.locked(root):
        assert files.leftovers(str(tmp_path)) == []
    files.sweep(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_removed_means_nothing_is_left(tmp_path: Path) -> None:
    made = lay_out(tmp_path)
    (tmp_path / made.uuid / IMAGES / "i").mkdir()
    (tmp_path / made.uuid / IMAGES / "i" / "f").write_text("x")
    files.remove(str(tmp_path), made.uuid, free)
    assert list(tmp_path.iterdir()) == []


def test_killed_anywhere_the_next_run_removes_the_rest(tmp_path: Path) -> None:
    point = 0
    while True:
        root = tmp_path / str(point)
        root.mkdir()
        made = lay_out(root)
        killed = killed_at(point, lambda: files.remove(str(root), made.uuid, free))  # noqa: B023
        left = storage_domain_read.read(str(root))
        assert left in (None, made)
        rest = [path.name for path in root.iterdir()]
        assert left is not None or not killed or files.leftovers(str(root)) or rest in ([], [LOCK])
        files.remove(str(root), left.uuid if left else None, free)
        assert list(root.iterdir()) == []
        if not killed:
            break
        point += 1
    assert point > 5


def _metadata(root: Path, text: str | None, uuid: str = UUID) -> None:
    (root / uuid / "dom_md").mkdir(parents=True)
    if text is not None:
        (root / uuid / METADATA).write_bytes(text.encode("latin-1"))


def _sealed(text: str) -> str:
    """As somebody forges it who knows how the seal is made."""
    body = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(SEAL))
    return f"{body}{SEAL}={seals_of(body).computed}\n"


GOOD = StorageDomain.new(UUID, "vmstore", SPEC).to_text()
FAULTS: dict[str, tuple[t.Callable[[Path], None], str]] = {
    "unfinished": (lambda root: _metadata(root, None), "metadata is missing: a storage domain that was never finished"),
    "broken seal": (lambda root: _metadata(root, GOOD.replace("vmstore", "vmstore2")), "the seal is broken"),
    "no text": (lambda root: _metadata(root, "DESCRIPTION=\xff\n"), "not usable: .*utf-8"),
    "another uuid": (lambda root: _metadata(root, GOOD, UUID.replace("5", "6")), f"SDUUID is {UUID}, its directory 6"),
    "geometry": (
        lambda root: _metadata(root, _sealed(GOOD.replace("BLOCK_SIZE=512", "BLOCK_SIZE=1024"))),
        "BLOCK_SIZE 1024 with ALIGNMENT 1048576 is nothing that version 5 has",
    ),
    "two": (lambda root: (_metadata(root, GOOD), _metadata(root, GOOD, "x"))[0], "holds 2 storage domains"),
}


@pytest.mark.parametrize(("make", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_what_is_damaged_is_refused_and_left_alone(tmp_path: Path, make: t.Callable[[Path], None], fault: str) -> None:
    make(tmp_path)
    before = {path: path.read_bytes() if path.is_file() else b"" for path in tmp_path.rglob("*")}
    with pytest.raises(StorageError, match=fault):
        storage_domain_read.read(str(tmp_path))
    assert {path: path.read_bytes() if path.is_file() else b"" for path in tmp_path.rglob("*")} == before


def test_links_are_no_storage_domains(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    _metadata(outside, GOOD)
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / UUID).symlink_to(outside / UUID)
    assert storage_domain_read.read(str(volume)) is None


def test_a_claim_that_is_no_uuid_is_refused(tmp_path: Path) -> None:
    (tmp_path / CLAIM).symlink_to("../../etc")
    with pytest.raises(StorageError, match="names '../../etc', not a uuid"):
        lay_out(tmp_path)


def test_the_owner_of_the_root_is_read_and_set(tmp_path: Path) -> None:
    files.own(str(tmp_path), OWNER)
    assert files.read_owner(str(tmp_path)) == OWNER


def test_one_that_another_run_removed_meanwhile_is_gone(tmp_path: Path) -> None:
    made = lay_out(tmp_path)
    files.remove(str(tmp_path), made.uuid, free)
    files.remove(str(tmp_path), made.uuid, free)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seen", [None, UUID])
def test_one_that_was_made_meanwhile_is_not_touched(tmp_path: Path, seen: str | None) -> None:
    lay_out(tmp_path)
    (tmp_path / ".gfapi-users").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StorageError, match="another run has made storage domain vmstore meanwhile; run again"):
        files.remove(str(tmp_path), seen, free)
    assert sorted(path for path in tmp_path.rglob("*") if path.name != LOCK) == before


def test_a_directory_that_goes_while_it_is_looked_for_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = lay_out(tmp_path)
    monkeypatch.setattr(Directory, "names", lambda _directory: ["gone", made.uuid])
    assert storage_domain_read.read(str(tmp_path)) == made


def test_one_that_somebody_else_made_since_the_plan_gets_no_other_beside_it(tmp_path: Path) -> None:
    theirs = StorageDomain.new(UUID, "vmstore", SPEC)
    _metadata(tmp_path, theirs.to_text())
    assert lay_out(tmp_path) == theirs
    with pytest.raises(StorageError, match="holds storage domain vmstore"):
        lay_out(tmp_path, "other")
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == [UUID]
