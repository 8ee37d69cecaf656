# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: the image file of this host that a new disk is filled from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _files, _image, _qemu_img, _source

CHUNK_BYTES = 1 << 20
#: of which qemu-img sees that they are cut short, and would copy zeros; it opens no such VHDX and VPC (tried on 7.2)
CHECKED: t.Final = ("qcow2", "vmdk")


def read_source(
    qemu_img: _qemu_img.QemuImg, path: str, *, image_format: str | None, checksum: str | None
) -> _image.Source:
    """What a file holds; raises `ValueError` for a wrong checksum, and for an image that names other files."""
    if not path.startswith("/"):
        raise ValueError(f"source {path!r} is not an absolute path of a file on this host")
    if _files.lasting(lambda: _is_open(path)):
        raise ValueError(
            f"source {path} is open, for a VM or another program, so a copy would not be whole; stop that first, and"
            " name a disk of a storage domain by clone_of"
        )
    # without O_NONBLOCK a pipe would hold us for ever
    with _files.explained(f"read source {path}"), os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"source {path} is no regular file")
        head = file.read(_source.HEAD_BYTES)
        if checksum is not None:
            _require_checksum(path, checksum, head, file)
        known = image_format or _source.probe(head)
        _source.require_alone(path, known, head)
        found = _source.source_from_info(path, qemu_img.info(path, known))
        if known in CHECKED and not qemu_img.is_whole(path, known):
            raise ValueError(
                f"source {path} is damaged or cut short, as qemu-img check says; fetch it anew, with its checksum"
            )
        return found


def _is_open(path: str) -> bool:
    """Whether any host has a file on a gluster mount open, for QEMU takes no lock that another would meet."""
    with contextlib.suppress(OSError):
        return os.getxattr(path, _files.OPEN_COUNT).rstrip(b"\0") != b"0"
    return False


def _require_checksum(path: str, wanted: str, head: bytes, file: t.BinaryIO) -> None:
    algorithm, digest = _source.parse_checksum(wanted)
    state = hashlib.new(algorithm, head)
    while chunk := file.read(CHUNK_BYTES):
        state.update(chunk)
    if state.hexdigest() != digest:
        raise ValueError(f"source {path} has the {algorithm} {state.hexdigest()}, not {digest}; fetch it anew")
