# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage domain of version 3, as an oVirt of long ago leaves it, planted on a volume: read, used and upgraded."""

from __future__ import annotations

import typing as t

import pytest
from hosts import System
from modules import Modules
from older import plant_older
from volumes import started_volume

from conftest import HOST


@pytest.fixture
def volume(system: System) -> t.Iterator[str]:
    with started_volume(system, "older") as name:
        yield name


@pytest.fixture
def uuid(system: System, volume: str) -> str:
    return plant_older(system, f"{HOST}:/{volume}", 3)


def test_it_is_used_as_it_is_and_upgraded_when_asked(modules: Modules, system: System, volume: str, uuid: str) -> None:
    asked = {"name": "old", "spec": f"{HOST}:/{volume}"}
    found = modules.done("glusterfs_domain", **asked)["storage_domain"]
    assert (found["uuid"], found["version"]) == (uuid, 3)

    modules.done("gfapi_disk", storage_domain="old", name="disk-11", size="8M", description="grown")
    disk = modules.done("gfapi_disk", storage_domain="old", name="new", size="4M")["disk"]
    grown = system.find(f"{found['path']}/images/11111111-*/*.meta")
    assert "SIZE=16384" in system.lines("cat", grown)
    assert system.run("qemu-img", "info", "-U", disk["path"]).find("compat: 0.10") > 0

    upgraded = modules.as_promised("glusterfs_domain", **asked, version=5)
    assert upgraded["actions"] == ["upgrade storage domain old from version 3 to 5"]
    metadata = system.lines("cat", f"{found['path']}/dom_md/metadata")
    assert {"VERSION=5", "BLOCK_SIZE=512", "ALIGNMENT=1048576", "POOL_DESCRIPTION=dépôt"} <= set(metadata)
    assert system.run("stat", "-c", "%s %a %u:%g", f"{found['path']}/dom_md/xleases").strip() == "1302528 660 36:36"
    for meta, size_bytes in ((grown, 8 << 20), (f"{disk['path']}.meta", 4 << 20)):
        lines = system.lines("cat", meta)
        assert {f"CAP={size_bytes}", "SEQ=0"} <= set(lines)
        assert not any(line.startswith(("SIZE=", "MTIME=")) for line in lines)

    modules.done("gfapi_disk", storage_domain="old", name="disk-11", size="12M")
    modules.done("glusterfs_domain", **asked, state="absent", confirm="old")
