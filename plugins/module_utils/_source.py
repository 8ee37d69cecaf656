# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The image file that a new disk is filled from: its format, told safely, and its size. Pure: no I/O.

A format is told by the file's first bytes, as QEMU tells it (docs/interop/qcow2.txt, block/vmdk.c, vdi.c, vhdx.c),
before any program opens the file: one that names other files would have qemu-img open those.
"""

from __future__ import annotations

import posixpath
import re
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _image, _json

#: QEMU's names of the formats that are read
FORMATS: t.Final = ("qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc")
#: enough of a file to tell its format
HEAD_BYTES: t.Final = 512
ALGORITHMS: t.Final = ("sha256", "sha512", "sha1", "md5")

_QCOW2: t.Final = b"QFI\xfb"
_QCOW2_BACKING: t.Final = slice(8, 16)
_QCOW2_INCOMPATIBLE: t.Final = slice(72, 80)
#: an external data file, of the incompatible features
_DATA_FILE: t.Final = 1 << 2
_VMDK_DESCRIPTOR: t.Final = b"# Disk DescriptorFile"
#: at their offsets; a `vpc` of fixed size has its mark at the end only, and is not told from raw
_VMDK_SPARSE: t.Final = b"KDMV"
_VMDK_CAPACITY: t.Final = slice(12, 20)
_MARKS: t.Final = (
    ("qcow2", 0, _QCOW2),
    ("vmdk", 0, _VMDK_SPARSE),
    ("vmdk", 0, b"COWD"),
    ("vmdk", 0, _VMDK_DESCRIPTOR),
    ("vdi", 64, b"\x7f\x10\xda\xbe"),
    ("vhdx", 0, b"vhdxfile"),
    ("vpc", 0, b"conectix"),
)
_CHECKSUM: t.Final = re.compile(r"([a-z0-9]+):([0-9a-f]+)", re.IGNORECASE)


def probe(head: bytes) -> str:
    """The format that a file's first bytes tell; `raw` for all that have no mark."""
    found = (name for name, offset, mark in _MARKS if head[offset : offset + len(mark)] == mark)
    return next(found, "raw")


def require_alone(path: str, image_format: str, head: bytes) -> None:
    """Raises `ValueError` for an image whose header says that other files belong to it."""
    if image_format == "qcow2" and head.startswith(_QCOW2):
        version = int.from_bytes(head[4:8], "big")
        if version >= 3 and int.from_bytes(head[_QCOW2_INCOMPATIBLE], "big") & _DATA_FILE:
            raise _not_alone(path, "keeps its data in another file")
        if any(head[_QCOW2_BACKING]):
            raise _not_alone(path, "has a backing file")
    # a sparse one without capacity holds a descriptor, which may name any file
    is_descriptor = head.startswith(_VMDK_SPARSE) and not any(head[_VMDK_CAPACITY])
    if image_format == "vmdk" and (head.startswith(_VMDK_DESCRIPTOR) or is_descriptor):
        raise _not_alone(path, "is the descriptor of a VMDK in several files")


def source_from_info(path: str, text: str) -> _image.Source:
    """From `qemu-img info --output=json`; raises `ValueError` where that names other files."""
    info = _json.table(_json.parse(text))
    if info.get("encrypted"):
        raise ValueError(
            f"source {path} is encrypted, and its key is not known here; decrypt it first (qemu-img convert)"
        )
    if info.get("backing-filename"):
        raise _not_alone(path, f"has the backing file {info['backing-filename']}")
    data = _json.table(_json.table(info.get("format-specific")).get("data"))
    extents = _json.rows(data.get("extents"))
    names = [str(name) for name in (*(extent.get("filename", "") for extent in extents), data.get("data-file", path))]
    others = [name for name in names if posixpath.basename(name) != posixpath.basename(path)]
    if others:
        raise _not_alone(path, f"keeps its data in {', '.join(others)}")
    image_format, size_bytes = info.get("format"), info.get("virtual-size")
    if not isinstance(image_format, str) or not isinstance(size_bytes, int):
        raise ValueError(f"source {path}: qemu-img tells neither its format nor its size")
    return _image.Source(path, image_format, size_bytes)


def _not_alone(path: str, words: str) -> ValueError:
    return ValueError(
        f"source {path} {words}, which is not followed; make one file of it first (qemu-img convert), and if it is a"
        " raw image say so (source_format: raw)"
    )


def parse_checksum(text: str) -> tuple[str, str]:
    """`sha256:HEX` → algorithm and digest in lower case; raises `ValueError`."""
    match = _CHECKSUM.fullmatch(text.strip())
    if match is None or match[1].lower() not in ALGORITHMS:
        raise ValueError(f"checksum {text!r} is not ALGORITHM:DIGEST with an algorithm of {', '.join(ALGORITHMS)}")
    return match[1].lower(), match[2].lower()
