# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A storage domain as an older oVirt leaves it, version 3 or 4: made from what is known of the format, not by VDSM."""

from __future__ import annotations

import os
import struct
import typing as t
from pathlib import Path

from ansible_collections.gfapi.virt.plugins.module_utils._leases import MIB, lockspace, resource
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import StorageDomain
from ansible_collections.gfapi.virt.plugins.module_utils._xleases import XLeaseIndex

UUID: t.Final = "3a9b1c52-58c5-4f0d-a4a3-3f0a1e7d2b11"
GEOMETRY: t.Final = (512, MIB)
NONE: t.Final = "00000000-0000-0000-0000-000000000000"
#: image → its image volumes from the base on: uuid, format, role, size
RAW = ("11111111-0000-4000-8000-000000000000", [("11111111-0000-4000-8000-000000000001", "RAW", "LEAF", 4 * MIB)])
CHAIN = (
    "22222222-0000-4000-8000-000000000000",
    [
        ("22222222-0000-4000-8000-000000000001", "RAW", "INTERNAL", 8 * MIB),
        ("22222222-0000-4000-8000-000000000002", "COW", "LEAF", 8 * MIB),
    ],
)
BROKEN: t.Final = "33333333-0000-4000-8000-000000000000"
IMAGES: t.Final = dict((RAW, CHAIN))


def meta(image: str, volume: str, word: str, role: str, size: int, parent: str) -> str:
    return (
        f'CTIME=1500000000\nDESCRIPTION={{"DiskAlias":"disk-{image[:2]}","DiskDescription":"é"}}\nDISKTYPE=2\n'
        f"DOMAIN={UUID}\nFORMAT={word}\nGEN=3\nIMAGE={image}\nLEGALITY=LEGAL\nMTIME=0\nPOOL_UUID=\nPUUID={parent}\n"
        f"SIZE={size // 512}\nTYPE=SPARSE\nVOLTYPE={role}\nEOF\n"
    )


def meta_in_version_5(text: str, size: int) -> str:
    """What the upgrade makes of it, by hand."""
    lines = [line for line in text.splitlines() if not line.startswith(("SIZE=", "MTIME=", "EOF"))]
    return "".join(f"{line}\n" for line in [*sorted([*lines, f"CAP={size}", "SEQ=0"]), "EOF"])


def write(root: Path, version: int, *, pool_uuid: str = "") -> str:
    """The whole tree below the root of a mount, and its uuid."""
    keys = {"MASTER_VERSION": "1", "POOL_DESCRIPTION": "dépôt", "POOL_SPM_ID": "-1", "POOL_SPM_LVER": "-1"}
    domain = StorageDomain(UUID, "old", "gl1:/gv0", version, pool_uuid)
    domain = StorageDomain(
        UUID, "old", "gl1:/gv0", version, pool_uuid, other=tuple(sorted({**dict(domain.other), **keys}.items()))
    )
    folder = root / UUID / "dom_md"
    folder.mkdir(parents=True)
    (folder / "metadata").write_text(domain.to_text(), "utf-8")
    (folder / "ids").write_bytes(lockspace(UUID, GEOMETRY))
    (folder / "leases").write_bytes(bytes(MIB) + resource(UUID, "SDM", GEOMETRY).ljust(MIB, b"\0"))
    for name in ("inbox", "outbox"):
        os.truncate(os.open(folder / name, os.O_CREAT | os.O_WRONLY), 16 * MIB)
    if version >= 4:
        (folder / "xleases").write_bytes(bytes(MIB) + XLeaseIndex(UUID, 1500000000).to_bytes())
    for image, volumes in IMAGES.items():
        write_image(root / UUID / "images" / image, volumes)
    broken = root / UUID / "images" / BROKEN
    broken.mkdir()
    (broken / "x.meta").write_text("NONE=" + "#" * 500 + "\nEOF\n")
    for path in (root / UUID, *(root / UUID).rglob("*")):
        text = path.name == "metadata" or path.suffix == ".meta"
        path.chmod(0o755 if path.is_dir() else 0o644 if text else 0o660)
    return UUID


def write_image(directory: Path, volumes: list[tuple[str, str, str, int]]) -> None:
    directory.mkdir(parents=True)
    parent = NONE
    for volume, word, role, size in volumes:
        with open(directory / volume, "wb") as file:
            if word == "COW":
                file.write(b"QFI\xfb" + struct.pack(">I", 2) + bytes(16) + struct.pack(">Q", size))
            file.truncate(size if word == "RAW" else 65536)
        (directory / f"{volume}.meta").write_text(meta(directory.name, volume, word, role, size, parent), "utf-8")
        (directory / f"{volume}.lease").write_bytes(resource(UUID, volume, GEOMETRY).ljust(MIB, b"\0"))
        parent = volume
