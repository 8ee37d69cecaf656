# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk image in a storage domain: sizes, `.meta` files and what qemu-img and a qcow2 header tell. Pure: no I/O.

The format of `.meta` is oVirt's (VDSM's lib/vdsm/storage/volumemetadata.py): lines `KEY=VALUE` sorted by key, UTF-8,
the last line `EOF`, 512 bytes at most. oVirt's "volume", one layer of an image, is called image volume here.
"""

from __future__ import annotations

import functools
import json
import posixpath
import re
import struct
import typing as t
import uuid
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils import _json, _storage_domain

#: sizes are rounded up to this: gfapi may crash on others (glusterfs #3429), and so does VDSM
BLOCK_BYTES: t.Final = 4096
#: QEMU opens an image with cache=none only if its length is a multiple of this
SECTOR_BYTES: t.Final = 512
META_LIMIT_BYTES: t.Final = 512
#: with clusters of 64 KiB: QEMU takes no longer table of them than 32 MiB (block/qcow2.h, tried on 7.2)
QCOW2_MOST_BYTES: t.Final = 2 << 50
#: VDSM cuts a longer description off without a word
DESCRIPTION_LIMIT: t.Final = 210
#: what `.meta` calls the formats
FORMATS: t.Final = {"raw": "RAW", "qcow2": "COW"}
#: VOLTYPE of a template's image volume, to which every clone has a hard link
SHARED: t.Final = "SHARED"
#: of the features in a qcow2 header
EXTERNAL_DATA: t.Final = 1 << 2
#: VDSM removes such directories whenever it loads the storage domain
REMOVED_PREFIX: t.Final = "_remove_me_"
DIRECTORY_MODE: t.Final = 0o755
DATA_MODE: t.Final = 0o660
META_MODE: t.Final = 0o644
LEASE_MODE: t.Final = 0o660

_SIZE = re.compile(r"([0-9]+)(?:\.([0-9]+))?\s*(?:([KMGTP])(?:I?B)?|B)?", re.IGNORECASE)
_EXPONENTS: t.Final = {"K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def parse_size(value: str | int) -> int:
    """The size of an image, as `parse_bytes` reads it, rounded up to 4096; raises `ValueError` for nothing at all."""
    size_bytes = parse_bytes(value)
    if not 0 < size_bytes < 2**63 - BLOCK_BYTES:
        raise ValueError(f"size {value!r} is out of range; it must be more than nothing and less than 8 EiB")
    return padded(size_bytes)


def parse_bytes(value: str | int) -> int:
    """`10GiB`, `10G`, `10GB`, `512 M`, `1.5T` or a number of bytes → bytes; 1024-based. Raises `ValueError`."""
    match = _SIZE.fullmatch(str(value).strip())
    if match is None or isinstance(value, bool):
        raise ValueError(f"size {value!r} is not a number of bytes or a text such as 10GiB or 512M")
    whole, fraction, unit = match.groups()
    scale = 1024 ** _EXPONENTS[unit.upper()] if unit else 1
    size_bytes: int = int(whole) * scale + int(fraction or 0) * scale // 10 ** len(fraction or "")
    return size_bytes


def require_held(name: str, image_format: str, size_bytes: int) -> None:
    """Raises `ValueError` for a disk that is larger than its format can say."""
    if image_format == "qcow2" and size_bytes > QCOW2_MOST_BYTES:
        raise ValueError(
            f"disk {name!r} of {size_text(size_bytes)} is more than qcow2 holds, {size_text(QCOW2_MOST_BYTES)}; give"
            " less, or make it raw (format: raw)"
        )


def padded(size_bytes: int) -> int:
    """The next multiple of 4096."""
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def is_padded(length_bytes: int) -> bool:
    """Whether QEMU's gluster driver can read a file of that length to its end."""
    return length_bytes % SECTOR_BYTES == 0


def size_text(size_bytes: int) -> str:
    """Bytes for a person: in the largest unit that needs no fraction, `10 GiB`."""
    for unit, exponent in reversed(_EXPONENTS.items()):
        if size_bytes and size_bytes % 1024**exponent == 0:
            return f"{size_bytes // 1024**exponent} {unit}iB"
    return f"{size_bytes} bytes"


def image_uuid_of(storage_domain_uuid: str, name: str) -> str:
    """The uuid that every run on every host gives the image of that name: uuid5 of the two."""
    return str(uuid.uuid5(uuid.UUID(storage_domain_uuid), name))


def base_volume_uuid_of(image_uuid: str) -> str:
    """The uuid of an image's first image volume: uuid5 of the image's and `base`."""
    return str(uuid.uuid5(uuid.UUID(image_uuid), "base"))


def describe(name: str, note: str) -> str:
    """DESCRIPTION as oVirt's Engine writes it; raises `ValueError` when name and note do not fit."""
    _storage_domain.require_name(name, "disk")
    _storage_domain.require_printable(note, f"the description of disk {name!r}")
    text = json.dumps({"DiskAlias": name, "DiskDescription": note}, ensure_ascii=False, separators=(",", ":"))
    if len(text) > DESCRIPTION_LIMIT:
        excess = len(text) - DESCRIPTION_LIMIT
        raise ValueError(f"the name and description of disk {name!r} are too long for its .meta by {excess} characters")
    return text


@dataclass(frozen=True)
class ImageVolume:
    """One layer of an image: what `<uuid>.meta` says, and the uuid that its name gives.

    `format` is QEMU's word; `parent_uuid` is `None` for the base; `description` is DESCRIPTION as it stands, and
    `created_at` is in seconds of the epoch. `other` holds keys that are not modelled, so that rewriting keeps them.
    """

    uuid: str
    image_uuid: str
    storage_domain_uuid: str
    description: str
    format: str
    capacity_bytes: int
    created_at: int
    preallocated: bool = False
    parent_uuid: str | None = None
    role: str = "LEAF"
    legality: str = "LEGAL"
    disk_type: str = "DATA"
    generation: int = 0
    sequence: int = 0
    other: tuple[tuple[str, str], ...] = ()

    @classmethod
    def base(
        cls, storage_domain_uuid: str, name: str, *, note: str, version: int = _storage_domain.VERSION, **values: t.Any
    ) -> ImageVolume:
        """The only layer of a new image, or the one on top of a template, in a storage domain of that version."""
        image_uuid = image_uuid_of(storage_domain_uuid, name)
        volume = cls(
            base_volume_uuid_of(image_uuid), image_uuid, storage_domain_uuid, description=describe(name, note), **values
        )
        volume.to_text(version)  # raises where it does not fit
        return volume

    @functools.cached_property
    def alias(self) -> str:
        """The disk's name; empty where DESCRIPTION holds none."""
        return described(self.description, "DiskAlias")

    @property
    def note(self) -> str:
        """The disk's description in words."""
        return described(self.description, "DiskDescription")

    @property
    def snapshot(self) -> str:
        """The name of the snapshot that it is; empty for none."""
        return described(self.description, "Snapshot")

    def resized(self, capacity_bytes: int) -> ImageVolume:
        return replace(self, capacity_bytes=capacity_bytes)

    def shared(self) -> ImageVolume:
        """As that of a template."""
        return replace(self, role=SHARED)

    @classmethod
    def from_text(cls, volume_uuid: str, text: str) -> ImageVolume:
        """`.meta` → value, as VDSM reads it; raises `ValueError` naming the key that is missing or wrong."""
        keys = _meta_keys(text)
        size = keys.pop("SIZE", None)  # blocks of 512 bytes, before version 5
        keys.pop("MTIME", None)
        if "CAP" not in keys and size is not None:
            keys["CAP"] = str(_number("SIZE", size) * 512)
        try:
            word, parent, kind = keys.pop("FORMAT"), keys.pop("PUUID"), keys.pop("TYPE")
            return cls(
                uuid=volume_uuid,
                image_uuid=keys.pop("IMAGE"),
                storage_domain_uuid=keys.pop("DOMAIN"),
                description=keys.pop("DESCRIPTION"),
                format=_format_of(word),
                capacity_bytes=_number("CAP", keys.pop("CAP")),
                created_at=_number("CTIME", keys.pop("CTIME")),
                preallocated=kind == "PREALLOCATED",
                parent_uuid=None if parent == _storage_domain.NO_UUID else parent,
                role=keys.pop("VOLTYPE"),
                legality=keys.pop("LEGALITY"),
                disk_type=keys.pop("DISKTYPE"),
                generation=_number("GEN", keys.pop("GEN", "0")),
                sequence=_number("SEQ", keys.pop("SEQ", "0")),
                other=tuple(sorted(keys.items())),
            )
        except KeyError as exc:
            raise ValueError(f"there is no {exc.args[0]}") from None

    def to_text(self, version: int = _storage_domain.VERSION) -> str:
        """The file's whole text in a version of the format; raises `ValueError` when it is over 512 bytes."""
        size = {"CAP": str(self.capacity_bytes), "SEQ": str(self.sequence)}
        if version < 5:
            size = {"MTIME": "0", "SIZE": str(self.capacity_bytes // 512)}
        keys = {
            **dict(self.other),
            **size,
            "CTIME": str(self.created_at),
            "DESCRIPTION": _storage_domain.require_line(self.description, "DESCRIPTION"),
            "DISKTYPE": self.disk_type,
            "DOMAIN": self.storage_domain_uuid,
            "FORMAT": FORMATS[self.format],
            "GEN": str(self.generation),
            "IMAGE": self.image_uuid,
            "LEGALITY": self.legality,
            "PUUID": self.parent_uuid or _storage_domain.NO_UUID,
            "TYPE": "PREALLOCATED" if self.preallocated else "SPARSE",
            "VOLTYPE": self.role,
        }
        text = "".join(f"{key}={value}\n" for key, value in sorted(keys.items())) + "EOF\n"
        excess = len(text.encode()) - META_LIMIT_BYTES
        if excess > 0:
            raise ValueError(
                f"the name and description of disk {self.alias!r} are too long for its .meta by {excess} bytes"
            )
        return text


def _meta_keys(text: str) -> dict[str, str]:
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith("EOF"):
            break
        lines.append(line)
    parts = (line.partition("=") for line in lines if "=" in line)
    return {key.strip(): value.strip() for key, _equals, value in parts}


def _number(key: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text):
        raise ValueError(f"{key} {text!r} is not a number")
    return int(text)


def _format_of(word: str) -> str:
    for image_format, known in FORMATS.items():
        if word == known:
            return image_format
    raise ValueError(f"FORMAT {word!r} is not one of {', '.join(FORMATS.values())}")


def described(description: str, key: str) -> str:
    """The text of a key in DESCRIPTION; empty where there is none."""
    try:
        text = _json.table(_json.parse(description)).get(key)
    except ValueError:
        return ""
    return text if isinstance(text, str) else ""


@dataclass(frozen=True)
class Image:
    """A disk image: its image volumes, the leaf first and the base last."""

    uuid: str
    volumes: tuple[ImageVolume, ...]

    @classmethod
    def from_volumes(cls, uuid: str, volumes: t.Iterable[ImageVolume]) -> Image:
        """The image volumes of one directory in order; raises `ValueError` where they are no single chain."""
        by_uuid = {volume.uuid: volume for volume in volumes}
        parents = {volume.parent_uuid for volume in by_uuid.values()}
        leaves = [volume for volume in by_uuid.values() if volume.uuid not in parents]
        if len(leaves) > 1:
            # a layer that is being removed
            leaves = [volume for volume in leaves if volume.legality == "LEGAL"]
        if len(leaves) != 1:
            raise ValueError(f"image {uuid} has {len(leaves)} image volumes that no other builds on, not one")
        chain = [leaves[0]]
        while chain[-1].parent_uuid is not None:
            parent = by_uuid.get(chain[-1].parent_uuid)
            if parent is None or parent in chain:
                raise ValueError(f"image volume {chain[-1].uuid} of image {uuid} has no parent {chain[-1].parent_uuid}")
            chain.append(parent)
        return cls(uuid, tuple(chain))

    @property
    def leaf(self) -> ImageVolume:
        return self.volumes[0]

    @property
    def first(self) -> ImageVolume:
        """What the image was made as: the lowest layer that is not a template's."""
        own = (volume for volume in reversed(self.volumes) if volume.image_uuid == self.uuid)
        return next(own, self.volumes[-1])

    @functools.cached_property
    def name(self) -> str:
        return self.leaf.alias

    @property
    def format(self) -> str:
        return self.leaf.format

    @property
    def is_template(self) -> bool:
        """Whether other images build on it, or may: nobody writes to it any more."""
        return self.leaf.role == SHARED

    def path_of(self, volume: ImageVolume) -> str:
        """Where one of its image volumes lies, relative to the root of the mount."""
        # an image made from a template holds a link to the template's image volume, whose .meta names the template
        return posixpath.join(self.leaf.storage_domain_uuid, _storage_domain.IMAGES, self.uuid, volume.uuid)


class Sizes(t.NamedTuple):
    """What the guest sees, what the image takes, and how long the file of each layer is, the leaf's first."""

    virtual_bytes: int
    actual_bytes: int
    layer_bytes: tuple[int, ...]


class Source(t.NamedTuple):
    """An image that a disk is filled from: an absolute path, QEMU's name of its format, and its virtual size."""

    path: str
    format: str
    virtual_size_bytes: int


def virtual_size_in(header: bytes) -> int:
    """The virtual size in the first 32 bytes of a qcow2 file (QEMU's docs/interop/qcow2); raises `ValueError`."""
    _require_qcow2(header)
    return int(struct.unpack(">Q", header[24:32])[0])


def backing_file_in(head: bytes) -> str | None:
    """The backing file that the start of a qcow2 file names, `""` if none; `None` if the name stands further behind.

    Raises `ValueError` for what is no qcow2 file.
    """
    _require_qcow2(head)
    offset, length = struct.unpack(">QI", head[8:20])
    name = head[offset : offset + length] if offset else b""
    return name.decode(errors="replace") if len(name) == length or not offset else None


def require_as_told(head: bytes, volume: ImageVolume) -> None:
    """Raises `ValueError` where the start of a layer's file names other files than its `.meta` does.

    qemu-img opens what a header names, as root; whoever can write to the volume could name any file of the host.
    """
    if volume.format != "qcow2":
        return
    name, parent = backing_file_in(head), volume.parent_uuid or ""
    # older releases of VDSM name the parent's directory too
    plain = re.fullmatch(r"(?:\.\./[0-9a-f-]{36}/)?([0-9a-f-]*)", name or "")
    if name is None or plain is None or plain[1] != parent:
        raise ValueError(f"its header names {name!r} as its backing file, and its .meta {parent or 'none'}")
    if int.from_bytes(head[4:8], "big") > 2 and int.from_bytes(head[72:80], "big") & EXTERNAL_DATA:
        raise ValueError("its header says that its data are in another file")


def _require_qcow2(head: bytes) -> None:
    if len(head) < 32 or head[:4] != b"QFI\xfb":
        raise ValueError("it is no qcow2 image: its first bytes are not those of one")


def is_image_directory(name: str) -> bool:
    """Whether a name in `images` is an image's."""
    return _storage_domain.is_uuid(name)
