# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils import _seeds
from ansible_collections.gfapi.virt.plugins.module_utils._errors import GfapiError
from ansible_collections.gfapi.virt.plugins.module_utils._files import Directory
from ansible_collections.gfapi.virt.plugins.module_utils._seeds import Seeds

FILES = {"user-data": "#cloud-config\nü: <&>\n", "meta-data": "instance-id: a\n"}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(_seeds, "GROUP", tmp_path.stat().st_gid)
    return str(tmp_path / "seeds" / "web.iso")


@given(st.text(max_size=5000), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_seed_holds_what_was_put_in(path: str, text: str, has_network: bool) -> None:
    files = {**FILES, "user-data": text, **({"network-config": text} if has_network else {})}
    Seeds().write(path, files)
    assert Seeds().read(path) == files


def test_seed_is_for_its_owner_and_the_group_only(path: str) -> None:
    Seeds().write(path, FILES)
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o640
    assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o750


def test_seed_belongs_to_whom_the_storage_belongs(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(_seeds, "GROUP", 36)
    monkeypatch.setattr(Directory, "owner", lambda _directory: (1036, 7))
    monkeypatch.setattr(os, "fchown", lambda descriptor, *owner: given.update({os.fstat(descriptor).st_ino: owner}))
    for _new_then_old in range(2):
        given.clear()
        Seeds().write(path, FILES)
        assert [given.get(place.stat().st_ino) for place in (Path(path).parent, Path(path))] == [(1036, 36)] * 2


def test_the_group_is_that_of_vdsm() -> None:
    assert _seeds.GROUP == 36


def test_seed_has_the_label_that_cloud_init_looks_for(path: str) -> None:
    Seeds().write(path, FILES)
    assert Path(path).read_bytes()[0x8028 : 0x8028 + 6] == b"cidata"


def test_seed_that_is_not_there(path: str) -> None:
    assert Seeds().read(path) is None
    Seeds().remove(path)
    Seeds().write(path, FILES)
    Seeds().remove(path)
    assert Seeds().read(path) is None


@given(st.binary(max_size=4000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_anything_else_is_no_seed(path: str, tail: bytes) -> None:
    Seeds().write(path, FILES)
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[: 0x8000 + len(tail)] + tail + whole[0x8000 + 2 * len(tail) :])
    found = Seeds().read(path)
    assert found is None or set(found) <= {"user-data", "meta-data", "network-config"}


@pytest.mark.parametrize("length", [0, 1, 0x8000, 0x8028, 0x8830])
def test_a_seed_that_is_cut_off_is_none(path: str, length: int) -> None:
    Seeds().write(path, FILES)
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[:length] + bytes(0x400))
    assert Seeds().read(path) is None


@pytest.mark.parametrize("opened", ["file", "folder"])
def test_seed_that_anybody_may_read_is_made_anew(path: str, opened: str) -> None:
    Seeds().write(path, FILES)
    place = Path(path) if opened == "file" else Path(path).parent
    place.chmod(0o777)
    assert Seeds().read(path) == {}
    Seeds().write(path, FILES)
    assert Seeds().read(path) == FILES
    assert not stat.S_IMODE(place.stat().st_mode) & 0o007


@pytest.mark.parametrize("kind", ["link", "folder link", "pipe", "directory"])
def test_what_stands_in_the_place_of_a_seed_is_named(path: str, kind: str, tmp_path: Path) -> None:
    """And nothing is written where a link leads to."""
    folder, other = Path(path).parent, tmp_path / "other"
    other.mkdir()
    if kind == "folder link":
        folder.symlink_to(other)
    else:
        folder.mkdir()
    {
        "link": lambda: Path(path).symlink_to(other / "x"),
        "folder link": lambda: None,
        "pipe": lambda: os.mkfifo(path),
        "directory": lambda: Path(path).mkdir(),
    }[kind]()
    with pytest.raises(GfapiError, match=f"cannot read cloud-init's seed {path}"):
        Seeds().read(path)
    assert list(other.iterdir()) == []
