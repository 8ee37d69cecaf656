# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _fstab
from ansible_collections.gfapi.virt.plugins.module_utils._command import Completed
from ansible_collections.gfapi.virt.plugins.module_utils._errors import CommandError, StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._fstab import Fstab

LINE = "gl1:/gv0 /mnt/a glusterfs _netdev 0 0"


@pytest.fixture
def argvs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[t.Sequence[str]]:
    monkeypatch.setattr(_fstab, "SYSTEMD", str(tmp_path))
    return []


@pytest.fixture
def fstab(tmp_path: Path, argvs: list[t.Sequence[str]]) -> Fstab:
    def run(argv: t.Sequence[str], **_limits: t.Any) -> Completed:
        argvs.append(argv)
        raise CommandError("systemctl: no answer within 60 s")

    (tmp_path / "link").symlink_to("fstab")
    return Fstab(run, path=str(tmp_path / "link"))


def test_a_line_is_put_and_taken_away(fstab: Fstab, tmp_path: Path, argvs: list[t.Sequence[str]]) -> None:
    path = tmp_path / "fstab"
    path.write_text("# mine\n")
    path.chmod(0o640)
    before = path.stat().st_ino
    fstab.put("/mnt/a", LINE)
    assert path.read_text() == f"# mine\n{LINE}\n"
    assert (path.stat().st_mode & 0o777, path.stat().st_ino == before) == (0o640, False)
    assert fstab.entry("/mnt/a") == LINE
    fstab.put("/mnt/a", None)
    assert path.read_text() == "# mine\n"
    assert fstab.entry("/mnt/a") is None
    assert argvs == [["systemctl", "daemon-reload"]] * 2
    assert sorted(os.listdir(tmp_path)) == ["fstab", "link"]


@pytest.mark.parametrize(
    "others",
    [b"# d\xe9p\xf4t\r\n/dev/a / ext4 defaults 0 1\r\n", b"\n\n# \x0c \r alone\n", b"/dev/a / ext4 defaults 0 1\r"],
    ids=["CRLF", "odd", "no end"],
)
def test_other_lines_stay_byte_for_byte(fstab: Fstab, tmp_path: Path, others: bytes) -> None:
    path = tmp_path / "fstab"
    path.write_bytes(others)
    fstab.put("/mnt/b", None)
    assert path.read_bytes() == others
    fstab.put("/mnt/a", LINE)
    ended = others if others.endswith(b"\n") else others + b"\n"
    assert path.read_bytes() == ended + LINE.encode() + b"\n"
    path.write_bytes(LINE.encode() + b"\r\n" + others)
    fstab.put("/mnt/a", f"{LINE} # new")
    assert path.read_bytes() == LINE.encode() + b" # new\n" + others
    fstab.put("/mnt/a", None)
    assert path.read_bytes() == others


def test_a_host_without_the_file_gets_one(fstab: Fstab, tmp_path: Path) -> None:
    assert fstab.entry("/mnt/a") is None
    fstab.put("/mnt/a", LINE)
    assert (tmp_path / "fstab").read_text() == f"{LINE}\n"


def test_what_cannot_be_read_is_an_error(fstab: Fstab, tmp_path: Path) -> None:
    (tmp_path / "fstab").mkdir()
    with pytest.raises(StorageError, match="cannot read .*fstab: Is a directory"):
        fstab.entry("/mnt/a")


def test_lines_of_two_runs_at_one_moment_are_both_kept(tmp_path: Path) -> None:
    (tmp_path / "fstab").write_text("# mine\n")
    children = []
    for number in range(4):
        pid = os.fork()
        if not pid:
            with contextlib.suppress(BaseException):
                one = Fstab(lambda *_words, **_limits: Completed(0, "", ""), path=str(tmp_path / "fstab"))
                for again in range(10):
                    one.put(f"/mnt/{number}{again}", LINE.replace("/mnt/a", f"/mnt/{number}{again}"))
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert len((tmp_path / "fstab").read_text().splitlines()) == 41
