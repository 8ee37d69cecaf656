# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that a test makes, and what was there before this collection came."""

from __future__ import annotations

import base64
import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import typing as t

from hosts import System
from modules import ROOT

from conftest import HOST

GLUSTER = ("gluster", "--mode=script", "volume")
WRITE = """
import pathlib, sys
from ansible_collections.gfapi.virt.tests.unit import older_domain
print(older_domain.write(pathlib.Path(sys.argv[1]), 3))
"""
UNPACK = (
    'place=$(mktemp -d) && mount -t glusterfs "$1" "$place" && chown 36:36 "$place"'
    ' && echo "$2" | base64 -d | tar -xz --numeric-owner -C "$place" && umount "$place" && rmdir "$place"'
)


@contextlib.contextmanager
def started_volume(system: System, name: str, *, replica: int = 1) -> t.Iterator[str]:
    """A volume of as many bricks as copies, for as long as the context lasts, unless it is deleted earlier."""
    bricks = [f"/bricks/{name}-{number}" for number in range(replica)]
    copies = ["replica", str(replica)] if replica > 1 else []
    system.run(*GLUSTER, "create", name, *copies, *(f"{HOST}:{brick}" for brick in bricks), "force")
    system.run(*GLUSTER, "start", name)
    yield name
    for words in (("stop", name, "force"), ("delete", name)):
        system.host.run(shlex.join((*GLUSTER, *words)))
    assert name not in system.lines(*GLUSTER, "list")
    system.run("rm", "-rf", *bricks)


def plant_older(system: System, volume: str) -> str:
    """The storage domain `old` of version 3 on a volume, written here and unpacked there; its uuid."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / ".cache/collections")}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", WRITE, folder]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        uuid = done.stdout.strip()
        pack = ["tar", "--create", "--gzip", "--owner=36", "--group=36", "--directory", folder, uuid]
        packed = subprocess.run(pack, capture_output=True, timeout=60, check=True)
    system.run("sh", "-c", UNPACK, "sh", f"{HOST}:/{volume}", base64.b64encode(packed.stdout).decode())
    return uuid
