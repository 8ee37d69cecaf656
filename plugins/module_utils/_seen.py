# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one look at a storage domain saw: names, sizes and the first bytes of files. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _image,
    _leases,
    _mount_table,
    _storage_domain,
    _use_record,
    _xleases,
)

#: a leader record, whatever its sector
RECORD_BYTES: t.Final = 512
#: above the limit of 512 bytes, to see that a file breaks it
META_BYTES: t.Final = 4096
#: a qcow2 header, and what qemu-img writes behind it: extensions and the name of the backing file
HEADER_BYTES: t.Final = 1024


@dataclass(frozen=True)
class SeenFile:
    """A file: how long, what it takes, and some of its bytes or why they cannot be read."""

    size_bytes: int
    used_bytes: int = 0
    head: bytes = b""
    fault: str = ""

    def with_head(self, head: bytes) -> SeenFile:
        return replace(self, head=head)

    def with_fault(self, fault: str) -> SeenFile:
        return replace(self, fault=fault)


Files = t.Mapping[str, SeenFile]


@dataclass(frozen=True)
class Seen:
    """What is on a mount. With other than one storage domain there, the fields below those are empty."""

    space: _mount_table.Space
    #: the directories that hold a dom_md
    found: tuple[str, ...]
    #: in the root of the mount
    names: tuple[str, ...] = ()
    #: staging directories of dead runs, relative to the root
    abandoned: tuple[str, ...] = ()
    #: of dom_md
    files: Files = field(default_factory=dict)
    least_bytes: int | None = None
    #: in `images`
    image_names: tuple[str, ...] = ()
    #: image → its files; `None` where they were not looked at
    images: t.Mapping[str, Files] | None = None
    #: what other hosts noted of their use, and which of those images somebody has open
    uses: _use_record.OtherUses = field(default_factory=_use_record.OtherUses)
    opened: frozenset[str] = frozenset()

    def with_folder(self, files: Files, least_bytes: int | None) -> Seen:
        return replace(self, files=files, least_bytes=least_bytes)

    def with_names(self, names: tuple[str, ...], abandoned: tuple[str, ...]) -> Seen:
        paths = tuple(f"{self.found[0]}/images/{name}" for name in abandoned)
        return replace(self, image_names=names, abandoned=self.abandoned + paths)

    def with_uses(self, uses: _use_record.OtherUses, opened: frozenset[str]) -> Seen:
        return replace(self, uses=uses, opened=opened)

    def with_images(self, images: t.Mapping[str, Files]) -> Seen:
        return replace(self, images=images)


def records_of(metadata: SeenFile | None) -> dict[str, tuple[int, int]]:
    """Where in the files of `dom_md` the records stand that tell whether these are well: offset and bytes."""
    try:
        unit = (
            _storage_domain.StorageDomain.from_text(metadata.head.decode()).alignment_bytes if metadata else _leases.MIB
        )
    except ValueError:
        unit = _leases.MIB
    return {"ids": (0, RECORD_BYTES), "leases": (unit, RECORD_BYTES), "xleases": (unit, _xleases.INDEX_BYTES)}


def bytes_of_image(files: Files, name: str) -> int:
    """How much of a file of an image tells what it is, once the `.meta` files are read; 0 for raw data."""
    if name.endswith(".meta"):
        return META_BYTES
    if name.endswith(".lease"):
        return RECORD_BYTES
    meta = files.get(f"{name}.meta")
    is_qcow2 = meta is not None and f"FORMAT={_image.FORMATS['qcow2']}".encode() in meta.head
    return HEADER_BYTES if is_qcow2 else 0
