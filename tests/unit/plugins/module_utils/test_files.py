# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import fcntl
import os
import stat
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _files,
    _fstab,
    _image_files,
    _storage_domain_files,
    _use_notes,
)
from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._files import (
    FEW,
    REWRITES,
    Directory,
    at_once,
    explained,
    has_owner,
    lasting,
    pad,
    staging,
    sweep,
    unowned,
)
from ansible_collections.gfapi.virt.tests.unit.killing import killed_at, noted

OWNER = (os.getuid(), os.getgid())


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory.open(str(tmp_path))


def test_modes_do_not_depend_on_the_umask(directory: Directory, tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        directory.make("d", 0o755, OWNER).close()
        directory.write_new("f", b"text", 0o644, OWNER)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o644
    assert (tmp_path / "f").read_text() == "text"


def test_a_new_file_is_never_an_old_one(directory: Directory, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("precious")
    with pytest.raises(FileExistsError):
        directory.write_new("f", b"text", 0o644, OWNER)
    assert (tmp_path / "f").read_text() == "precious"


def test_links_are_not_followed(directory: Directory, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "f").write_text("precious")
    (tmp_path / "d").symlink_to(outside)
    (tmp_path / "f").symlink_to(outside / "f")
    with pytest.raises(OSError, match="d"):
        directory.child("d")
    with pytest.raises(OSError, match="f"):
        directory.open_file("f")
    directory.replace_text("f", "ours", 0o644, OWNER)
    directory.remove("d")
    assert (outside / "f").read_text() == "precious"
    assert (tmp_path / "f").read_text() == "ours"
    assert not (tmp_path / "f").is_symlink()


def test_no_more_is_read_than_asked_for(directory: Directory, tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"0123456789")
    assert directory.read("long", 4) == b"0123"
    assert directory.read("long", 4, 8) == b"89"


@pytest.mark.parametrize("edge", [_fstab, _image_files, _storage_domain_files, _use_notes])
def test_a_lock_is_waited_for_a_minute_at_most(edge: t.Any) -> None:
    assert 0 < edge.LOCK_TIMEOUT_S <= 60


def test_a_pipe_does_not_hold_us(directory: Directory, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    with pytest.raises(OSError, match="no regular file"):
        directory.open_file("f")


def test_a_device_is_not_read() -> None:
    with Directory.open("/dev") as devices, pytest.raises(OSError, match="/dev/zero is no regular file"):
        devices.read("zero", 4)


class Stale:
    """A host that takes a name for the file that it was, until it was asked that often without a listing between."""

    def __init__(self, directory: Directory, monkeypatch: pytest.MonkeyPatch, number: int, remembered: int) -> None:
        self.number, self.remembered, self.left = number, remembered, remembered
        self._open, self._names = directory.open_file, directory.names
        monkeypatch.setattr(directory, "open_file", self.open_file)
        monkeypatch.setattr(directory, "names", self.names)

    def open_file(self, name: str) -> int:
        if self.left:
            self.left -= 1
            raise OSError(self.number, os.strerror(self.number))
        return self._open(name)

    def names(self) -> list[str]:
        self.left = self.remembered
        return self._names()


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE])
def test_a_file_that_is_replaced_meanwhile_is_opened_anew(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "f").write_text("new")
    Stale(directory, monkeypatch, number, 3)
    assert directory.read("f", 10) == b"new"


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE])
def test_what_the_bricks_have_and_cannot_be_read_is_not_missing(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "f").write_text("new")
    monkeypatch.setattr(_files, "REMEMBERED_S", 0.1)
    Stale(directory, monkeypatch, number, 10**9)
    with pytest.raises(OSError, match=f"{tmp_path}/f") as raised:
        directory.read("f", 10)
    assert raised.value.errno == errno.ESTALE


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE])
def test_what_the_bricks_do_not_have_is_missing_at_once(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def sleep(_seconds: float) -> None:
        raise AssertionError

    monkeypatch.setattr(_files.time, "sleep", sleep)
    Stale(directory, monkeypatch, number, 10**9)
    with pytest.raises(FileNotFoundError):
        directory.read("f", 10)


@pytest.mark.parametrize(("crossed", "written"), [(0, 1), (2, 3), (REWRITES, REWRITES)])
def test_a_file_of_which_a_brick_lists_the_old_one_is_replaced_again(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crossed: int, written: int
) -> None:
    (tmp_path / "f").write_text("old")
    old = (tmp_path / "f").stat().st_ino
    calls = noted(monkeypatch)

    def listed_inode(name: str) -> int:
        return old if calls.count("rename") <= crossed else (tmp_path / name).stat().st_ino

    monkeypatch.setattr(directory, "_listed_inode", listed_inode)
    # a local file system gives the inode of a file that is gone to the next one; gluster's is of the gfid
    with (tmp_path / "f").open():
        directory.replace_text("f", "new", 0o644, OWNER)
    assert calls == ["fsync file", "rename"] * written + ["fsync directory"]
    assert (tmp_path / "f").read_text() == "new"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize(
    ("answer", "opened"),
    [
        (b"1\0", True),
        (b"0\0", False),
        pytest.param(errno.ENOTSUP, False, id="other file system"),
        pytest.param(errno.ENODATA, False, id="no such attribute"),
        pytest.param(errno.ENOENT, False, id="gone"),
    ],
)
def test_bricks_tell_whether_a_file_is_open(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, answer: bytes | int, opened: bool
) -> None:
    def getxattr(path: str, name: str, *, follow_symlinks: bool) -> bytes:
        assert (path, name) == (f"/proc/self/fd/{directory.descriptor}/f", "glusterfs.open-fd-count")
        assert not follow_symlinks
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer

    monkeypatch.setattr(os, "getxattr", getxattr)
    assert directory.is_open("f") is opened


def test_bricks_that_do_not_answer_tell_nothing(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    def getxattr(*_words: str, **_flags: bool) -> bytes:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(os, "getxattr", getxattr)
    with pytest.raises(OSError, match="not connected"):
        directory.is_open("f")


@pytest.mark.parametrize(("looks", "found"), [([["f"], ["f"], []], []), ([[]], [])])
def test_what_was_just_closed_is_not_found(looks: list[list[str]], found: list[str]) -> None:
    assert lasting(iter(looks).__next__) == found
    assert looks


def test_what_stays_open_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "LINGERS_S", 0.2)
    assert lasting(lambda: ["f"]) == ["f"]


def test_a_full_directory_is_not_replaced_and_an_empty_one_is(directory: Directory, tmp_path: Path) -> None:
    for name in ("a", "b", "empty"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        (tmp_path / name / "f").write_text(name)
    assert not directory.move("a", directory, "b")
    assert directory.move("a", directory, "empty")
    assert (tmp_path / "b/f").read_text() == "b"
    assert (tmp_path / "empty/f").read_text() == "a"


def test_removing_what_is_gone_is_well(directory: Directory) -> None:
    directory.remove_tree("none")
    directory.remove("none")
    assert directory.names() == []


def test_text_is_the_old_or_the_new_one_wherever_it_is_killed(tmp_path: Path) -> None:
    point = 0
    while True:
        (tmp_path / "f").write_text("old")
        killed = killed_at(point, lambda: Directory.open(str(tmp_path)).replace_text("f", "new", 0o644, OWNER))
        assert (tmp_path / "f").read_text() in ("old", "new")
        if not killed:
            break
        point += 1
    assert point > 4
    assert (tmp_path / "f").read_text() == "new"


def test_what_is_replaced_is_on_disk_before_and_after_it_gets_its_name(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = noted(monkeypatch)
    directory.replace_text("f", "new", 0o644, OWNER)
    assert calls == ["fsync file", "rename", "fsync directory"]
    assert (tmp_path / "f").read_text() == "new"


def test_what_is_new_is_on_disk(directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = noted(monkeypatch)
    directory.write_new("f", b"new", 0o644, OWNER)
    (tmp_path / "d").mkdir()
    directory.move("d", directory, "e")
    assert calls == ["fsync file", "rename", "fsync directory"]


def test_a_text_that_was_never_finished_is_taken_away_by_the_next_run(directory: Directory, tmp_path: Path) -> None:
    def run() -> None:
        directory.replace_text("f", "new", 0o644, OWNER)

    others = {".f.swp", ".f.0123456z", ".g.01234567"}
    for name in others:
        (tmp_path / name).touch()
    point = 0
    while killed_at(point, run):
        run()
        assert set(os.listdir(tmp_path)) == {"f", *others}
        point += 1
    assert point > 4


def test_a_text_that_a_living_run_writes_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Directory.open(str(tmp_path)), Directory.open(str(tmp_path))
    rename = os.rename

    def meanwhile(*args: object, **kwargs: object) -> None:
        monkeypatch.setattr(os, "rename", rename)
        second.replace_text("f", "second", 0o644, OWNER)
        rename(*args, **kwargs)

    monkeypatch.setattr(os, "rename", meanwhile)
    first.replace_text("f", "first", 0o644, OWNER)
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_text() == "first"


@pytest.mark.parametrize("step", ["open", "flock"])
def test_a_text_that_another_run_takes_for_left_is_written_again(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """It looks right after the step: when there is no lock yet, or before we see that we have it."""
    module = {"open": os, "flock": fcntl}[step]
    real = getattr(module, step)

    def then_it_is_gone(*args: object, **kwargs: object) -> object:
        done = real(*args, **kwargs)
        for path in tmp_path.glob(".f.*"):
            monkeypatch.setattr(module, step, real)
            path.unlink()
        return done

    monkeypatch.setattr(module, step, then_it_is_gone)
    directory.replace_text("f", "new", 0o644, OWNER)
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device; free space or add bricks"),
        (errno.ENOTCONN, "Transport endpoint is not connected; the mount has lost its volume"),
        (errno.EDQUOT, "Disk quota exceeded; raise the quota"),
        (errno.EIO, "Input/output error$"),
    ],
)
def test_errors_keep_the_words_of_the_system_and_say_the_mend(number: int, words: str) -> None:
    with pytest.raises(StorageError, match=f"^cannot do it: {words}"), explained("do it"):
        raise OSError(number, os.strerror(number))


# --- staging --------------------------------------------------------------------------------------------------------


def test_staging_leaves_nothing(directory: Directory, tmp_path: Path) -> None:
    with staging(directory, "key") as stage:
        stage.write_new("f", b"x", 0o644, OWNER)
        assert Path(stage.path).parent == tmp_path
        assert Path(stage.path).name.startswith(".")
    assert directory.names() == []


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE])
@pytest.mark.parametrize("call", ["open", "stat"])
def test_a_staging_directory_that_another_host_sweeps_before_it_is_locked_is_made_anew(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """On gluster what another host removed is stale, seen with 10.3."""
    real, swept = getattr(os, call), []

    def sweep_first(path: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
        if path == "~lock" and not swept:
            swept.extend(tmp_path.glob(".gfapi-virt-*"))
            raise OSError(number, os.strerror(number))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, call, sweep_first)
    with staging(directory, "x") as stage:
        assert [Path(stage.path)] != swept
    assert len(swept) == 1


def test_a_staging_directory_that_goes_while_it_is_looked_at_has_no_owner(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_args: t.Any, **_kwargs: t.Any) -> int:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    (tmp_path / ".gfapi-virt-x-1").mkdir()
    monkeypatch.setattr(Directory, "open_file", gone)
    assert not has_owner(directory, ".gfapi-virt-x-1")


def test_a_look_for_an_owner_does_not_keep_the_lock_until_its_close_is_through(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gfapi-virt-x-1").mkdir()
    (tmp_path / ".gfapi-virt-x-1/~lock").touch()
    with monkeypatch.context() as patched:
        patched.setattr(os, "close", lambda _descriptor: None)
        assert unowned(directory, "x") == [".gfapi-virt-x-1"]
    sweep(directory, "x")
    assert directory.names() == []


def test_staging_leaves_nothing_after_an_error(directory: Directory) -> None:
    with pytest.raises(RuntimeError), staging(directory, "key"):
        raise RuntimeError
    assert directory.names() == []


def test_what_a_killed_run_left_is_taken_away_by_the_next_one_wherever_it_was_killed(tmp_path: Path) -> None:
    def run() -> None:
        with staging(Directory.open(str(tmp_path)), "key") as stage:
            stage.write_new("f", b"x", 0o644, OWNER)

    point = 0
    while killed_at(point, run):
        run()
        assert os.listdir(tmp_path) == []
        point += 1
    assert point > 6


def test_what_a_living_run_builds_stays(directory: Directory, tmp_path: Path) -> None:
    with staging(Directory.open(str(tmp_path)), "key") as first:
        with staging(directory, "key"):
            assert Path(first.path).is_dir()
        first.write_new("f", b"x", 0o644, OWNER)


def test_other_keys_are_left_alone(directory: Directory, tmp_path: Path) -> None:
    (tmp_path / ".gfapi-virt-other-1").mkdir()
    with staging(directory, "key"):
        pass
    assert directory.names() == [".gfapi-virt-other-1"]


# --- padding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "padded"), [(0, 0), (1, 4096), (4096, 4096), (196624, 200704)])
def test_padding_lengthens_and_keeps_the_bytes(tmp_path: Path, length: int, padded: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * length)
    descriptor = os.open(path, os.O_RDWR)
    assert pad(descriptor, 4096) == padded
    os.close(descriptor)
    assert path.read_bytes() == b"x" * length + bytes(padded - length)


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 10 * FEW])
def test_many_are_asked_at_once_and_answer_in_order(count: int) -> None:
    assert at_once(str, range(count)) == [str(number) for number in range(count)]


def test_of_many_asked_at_once_the_first_fault_is_told() -> None:
    def ask(number: int) -> int:
        if number in (3, 7):
            raise OSError(number, "no")
        return number

    with pytest.raises(OSError, match="Errno 3"):
        at_once(ask, range(2 * FEW))
