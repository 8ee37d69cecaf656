# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The link that lets Ansible find the collection in a checkout is made, whatever lies in its place."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = ".cache/collections/ansible_collections/gfapi/virt"
Make = t.Callable[[Path], None]


def by_conftest(checkout: Path) -> None:
    spec = importlib.util.spec_from_file_location("checkout_conftest", checkout / "conftest.py")
    assert spec
    assert spec.loader
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def by_script(checkout: Path) -> None:
    subprocess.run(["sh", str(checkout / "scripts/collections")], check=True, timeout=60)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "scripts").mkdir()
    for name in ("conftest.py", "scripts/collections"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("make", [by_conftest, by_script])
@pytest.mark.parametrize("found", ["nothing", "link", "other link", "folder", "file"])
def test_the_link_is_made(make: Make, found: str, checkout: Path) -> None:
    link = checkout / LINK
    if found != "nothing":
        link.parent.mkdir(parents=True)
    if found == "folder":  # as `ansible-galaxy collection install` leaves it
        (link / "plugins").mkdir(parents=True)
        (link / "plugins/away").symlink_to(checkout / "scripts")
    elif found == "file":
        link.touch()
    elif found != "nothing":
        link.symlink_to("../../../.." if found == "link" else "..")
    make(checkout)
    assert os.readlink(link) == "../../../.."
    assert [path.name for path in link.parent.iterdir()] == ["virt"]
    assert (checkout / "scripts/collections").exists()
