# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make release` refuses, and which files name the version afterwards."""

from __future__ import annotations

import subprocess
import types
import typing as t
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "release"
FILES = {
    "galaxy.yml": "---\nname: virt\nversion: 1.2.3\nreadme: README.md\n",
    "README.md": "install gfapi-virt-1.2.3.tar.gz, and then gfapi-virt-1.2.3.tar.gz\n",
    "other.txt": "since 1.2.3\n",
    "changelogs/fragments/one.yml": "---\nbugfixes:\n  - One.\n",
}


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    command = ["git", *identity, *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The script, for a repository of its own."""
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader = SourceFileLoader("release_script", str(SCRIPT))
    module = types.ModuleType(loader.name)
    module.__file__ = str(SCRIPT)
    loader.exec_module(module)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=first")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


@pytest.mark.parametrize("version", ["1.2.4", "1.3.0", "2.0.0", "1.10.0", "1.2.4-rc.1"])
def test_a_greater_version_is_none_to_refuse(release: types.ModuleType, version: str) -> None:
    assert list(release.refusals(version, "1.2.3")) == []


@pytest.mark.parametrize(
    "version", ["1.2.3", "1.2.2", "0.9.9", "1.2.3-rc.1", "1.3", "v1.3.0", "1.3.0 ", "01.3.0", "", "x"]
)
def test_what_is_no_greater_version_is_refused(release: types.ModuleType, version: str) -> None:
    (refused,) = release.refusals(version, "1.2.3")
    assert "no semantic version greater than 1.2.3" in refused


def untracked(folder: Path) -> None:
    (folder / "new").touch()


def changed(folder: Path) -> None:
    (folder / "README.md").write_text("other\n")


def branched(folder: Path) -> None:
    git(folder, "switch", "--quiet", "--create", "other")


def detached(folder: Path) -> None:
    git(folder, "switch", "--quiet", "--detach")


def tagged(folder: Path) -> None:
    git(folder, "tag", "v1.3.0")


def without_fragments(folder: Path) -> None:
    git(folder, "rm", "--quiet", "changelogs/fragments/one.yml")
    git(folder, "commit", "--quiet", "--message=none")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (untracked, "?? new"),
        (changed, "M README.md"),
        (branched, "this is other"),
        (detached, "this is none"),
        (tagged, "the tag v1.3.0 is there already"),
        (without_fragments, "changelogs/fragments is empty"),
    ],
)
def test_refused(release: types.ModuleType, tmp_path: Path, make: t.Callable[[Path], None], words: str) -> None:
    make(tmp_path)
    (refused,) = release.refusals("1.3.0", "1.2.3")
    assert words in refused


def test_the_version_is_named_where_it_was(release: types.ModuleType, tmp_path: Path) -> None:
    assert release.version_of(FILES["galaxy.yml"]) == "1.2.3"
    release.name_version(tmp_path, "1.2.3", "1.3.0")
    named = {name: (tmp_path / name).read_text() for name in FILES}
    assert named["galaxy.yml"] == FILES["galaxy.yml"].replace("1.2.3", "1.3.0")
    assert named["README.md"] == FILES["README.md"].replace("1.2.3", "1.3.0")
    assert named["other.txt"] == FILES["other.txt"]
