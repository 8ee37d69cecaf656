# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _use_notes as use_notes
from ansible_collections.gfapi.virt.plugins.module_utils import _use_records as use_records
from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._use_record import OtherUses, ThisHost, UseRecord

ME = ThisHost("hv1", "a" * 32)
#: hosts made from one image share the machine-id
TWIN = ThisHost("hv2", ME.machine_id)
UUID = "11111111-2222-4333-8444-555555555555"


def write(point: Path, host: ThisHost, vm: str, *images: str) -> UseRecord:
    record = UseRecord(host, vm, UUID, frozenset(images))
    with use_notes.own_records(str(point), host) as directory:
        use_notes.note(directory, UUID, record)
    return record


def test_a_mount_without_records_has_no_users(tmp_path: Path) -> None:
    assert use_records.read_others(str(tmp_path), ME) == OtherUses()
    assert use_notes.read_own(str(tmp_path), ME, UUID) == ""
    use_notes.leave(str(tmp_path), ME, ())
    assert list(tmp_path.iterdir()) == []


def test_only_others_are_read_and_hosts_that_share_a_machine_id_are_others(tmp_path: Path) -> None:
    mine, theirs = write(tmp_path, ME, "web", "image"), write(tmp_path, TWIN, "db", "image")
    use_notes.note_host(str(tmp_path), TWIN)
    assert use_records.read_others(str(tmp_path), ME) == OtherUses((theirs, UseRecord(TWIN)))
    assert use_records.read_others(str(tmp_path), TWIN) == OtherUses((mine,))
    assert use_notes.read_own(str(tmp_path), ME, UUID) == mine.to_text()


def test_a_record_is_for_all_to_read_and_written_once(tmp_path: Path) -> None:
    write(tmp_path, ME, "web", "image")
    path = tmp_path / ".gfapi-users" / ME.folder / UUID
    before = path.stat()
    assert stat.S_IMODE(before.st_mode) == 0o644
    write(tmp_path, ME, "web", "image")
    assert path.stat().st_ino == before.st_ino
    write(tmp_path, ME, "web", "other")
    assert path.stat().st_ino != before.st_ino
    assert os.listdir(path.parent) == [UUID]


def test_a_host_that_leaves_keeps_the_notes_of_its_vms(tmp_path: Path) -> None:
    mine = write(tmp_path, ME, "web", "image")
    write(tmp_path, TWIN, "db", "image")
    use_notes.note_host(str(tmp_path), ME)
    assert use_records.read_others(str(tmp_path), TWIN) == OtherUses((mine, UseRecord(ME)))
    use_notes.leave(str(tmp_path), ME, {UUID})
    assert use_records.read_others(str(tmp_path), TWIN) == OtherUses((mine,))
    use_notes.leave(str(tmp_path), ME, {"another"})
    assert use_records.read_others(str(tmp_path), TWIN) == OtherUses()
    assert len(use_records.read_others(str(tmp_path), ME).records) == 1


@pytest.mark.parametrize("content", [b"nothing", b"\xff", b"[" * 100000])
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    theirs = write(tmp_path, TWIN, "db", "image")
    path = tmp_path / ".gfapi-users" / TWIN.folder / "x"
    path.write_bytes(content)
    found = use_records.read_others(str(tmp_path), ME)
    assert found.records == (theirs,)
    (fault,) = found.faults
    assert fault.startswith(f"{path}: ")


def test_what_is_no_file_is_named_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    write(tmp_path, TWIN, "db", "image")
    folder = tmp_path / ".gfapi-users" / TWIN.folder
    (folder / f".{UUID}.01234567").write_text("half")
    (folder / "link").symlink_to(folder / UUID)
    (tmp_path / ".gfapi-users" / "README").write_text("of somebody")
    assert [fault.partition(": ")[0] for fault in use_records.read_others(str(tmp_path), ME).faults] == [
        str(folder / "link")
    ]


def test_another_run_of_this_host_waits(tmp_path: Path) -> None:
    with use_notes.own_records(str(tmp_path), ME) as directory:
        descriptor = os.open(directory.path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


def test_this_host_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert use_records.this_host().name == os.uname().nodename


def test_another_run_of_this_host_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, ME, "web", "image")
    monkeypatch.setattr(use_notes, "LOCK_TIMEOUT_S", 0)
    folder = os.open(tmp_path / ".gfapi-users" / ME.folder, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    for act in (lambda: write(tmp_path, ME, "web"), lambda: use_notes.leave(str(tmp_path), ME, ())):
        with pytest.raises(StorageError, match=f"another run of this host notes what it uses in .*{ME.folder} for 0 s"):
            act()
    os.close(folder)
