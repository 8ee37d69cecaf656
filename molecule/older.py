# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage domains as others left them, put on a volume. For the tests of all scenarios."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile

from hosts import System
from modules import ROOT

WRITE = """
import pathlib, sys
from ansible_collections.gfapi.virt.tests.unit import older_domain
print(older_domain.write(pathlib.Path(sys.argv[1]), int(sys.argv[2])))
"""
UNPACK = (
    'place=$(mktemp -d) && mount -t glusterfs "$1" "$place" && chown 36:36 "$place"'
    ' && echo "$2" | base64 -d | tar -xz --numeric-owner -C "$place" && umount "$place" && rmdir "$place"'
)


def plant_older(system: System, spec: str, version: int) -> str:
    """The storage domain `old` of that version on a volume, written here and unpacked there; its uuid."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / ".cache/collections")}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", WRITE, folder, str(version)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        uuid = done.stdout.strip()
        pack = ["tar", "--create", "--gzip", "--owner=36", "--group=36", "--directory", folder, uuid]
        packed = subprocess.run(pack, capture_output=True, timeout=60, check=True)
    unpack(system, spec, packed.stdout)
    return uuid


def unpack(system: System, spec: str, packed: bytes) -> None:
    """A tar file of what a volume is to hold, unpacked on it."""
    system.run("sh", "-c", UNPACK, "sh", spec, base64.b64encode(packed).decode())
