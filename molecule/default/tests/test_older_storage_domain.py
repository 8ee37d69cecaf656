# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage domain of version 3, as an oVirt of long ago leaves it, planted on a volume: read, used and upgraded."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from hosts import System
from modules import ROOT, Modules

from conftest import HOST

VOLUME = "older"
WRITE = """
import pathlib, sys
from ansible_collections.gfapi.virt.tests.unit import older_domain
print(older_domain.write(pathlib.Path(sys.argv[1]), 3))
"""


@pytest.fixture
def volume(system: System) -> t.Iterator[str]:
    """A started volume of one brick."""
    gluster = ("gluster", "--mode=script", "volume")
    system.run(*gluster, "create", VOLUME, f"{HOST}:/bricks/{VOLUME}", "force")
    system.run(*gluster, "start", VOLUME)
    yield VOLUME
    system.run(*gluster, "stop", VOLUME, "force")
    system.run(*gluster, "delete", VOLUME)
    system.run("rm", "-rf", f"/bricks/{VOLUME}")


@pytest.fixture
def uuid(system: System, volume: str, tmp_path: Path) -> str:
    """The storage domain `old`, written here and unpacked there, through a mount that is gone then."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / ".cache/collections")}
    command = [sys.executable, "-c", WRITE, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    packed = subprocess.run(
        ["tar", "--create", "--gzip", "--owner=36", "--group=36", "--directory", str(tmp_path), done.stdout.strip()],
        capture_output=True,
        timeout=60,
        check=True,
    )
    script = (
        'place=$(mktemp -d) && mount -t glusterfs "$1" "$place" && chown 36:36 "$place"'
        ' && echo "$2" | base64 -d | tar -xz --numeric-owner -C "$place" && umount "$place" && rmdir "$place"'
    )
    system.run("sh", "-c", script, "sh", f"{HOST}:/{volume}", base64.b64encode(packed.stdout).decode())
    return done.stdout.strip()


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
