# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was seen of a storage domain, and what is wrong with it. Pure: no I/O."""

from __future__ import annotations

import posixpath
import typing as t
from dataclasses import dataclass, field

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _image,
    _leases,
    _seen,
    _storage_domain,
    _storage_domain_layout,
    _use_record,
    _xleases,
)

META: t.Final = ".meta"
LEASE: t.Final = ".lease"
MAILBOX_BYTES: t.Final = 16 * _leases.MIB
#: VDSM's, while it finds out the block size
PROBE_PREFIX: t.Final = ".prob-"
MISSING: t.Final = "file_missing"
#: of a list in a message
SHOWN: t.Final = 5
#: those of VMs; others (OVF stores, memory of snapshots, hosted engine) belong to oVirt. Old versions have numbers
DISK_TYPES: t.Final = ("DATA", "1", "2")


class Finding(t.NamedTuple):
    """What is wrong, by a code that stays the same, and the mend."""

    code: str
    message: str
    mend: str


@dataclass(frozen=True)
class Layer:
    """An image volume as its files show it; `None` is what is missing or cannot be read."""

    volume: _image.ImageVolume
    data: _seen.SeenFile | None
    virtual_bytes: int | None
    backing_file: str | None

    @property
    def used_bytes(self) -> int:
        return self.data.used_bytes if self.data else 0


@dataclass(frozen=True)
class ImageState:
    """An image that can be read, the leaf first."""

    image: _image.Image
    layers: tuple[Layer, ...]

    @property
    def uuid(self) -> str:
        return self.image.uuid

    @property
    def actual_bytes(self) -> int:
        return sum(layer.used_bytes for layer in self.layers)

    @property
    def template_uuid(self) -> str | None:
        """The image that it holds an image volume of, as a link."""
        others = (layer.volume.image_uuid for layer in self.layers)
        return next((uuid for uuid in others if uuid != self.uuid), None)

    @property
    def is_of_a_vm(self) -> bool:
        """Whether it is one that VMs have as a disk, and not oVirt's own."""
        return self.image.leaf.disk_type in DISK_TYPES


@dataclass(frozen=True)
class Leftovers:
    """What interrupted work left, as paths relative to the mount."""

    #: deletions of images and of whole storage domains
    removed: tuple[str, ...] = ()
    #: directories that dead runs were building in
    staging: tuple[str, ...] = ()
    #: files to be renamed into place, and probes
    temporary: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """A storage domain as its files show it; `None` is what cannot be told."""

    uuid: str | None = None
    storage_domain: _storage_domain.StorageDomain | None = None
    seals: _storage_domain.Seals | None = None
    images: tuple[ImageState, ...] | None = None
    leftovers: Leftovers = Leftovers()
    problems: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    #: what other hosts noted of their use, and which of those images somebody has open
    uses: _use_record.OtherUses = field(default_factory=_use_record.OtherUses)
    opened: frozenset[str] = frozenset()


def state_of(seen: _seen.Seen) -> State | None:
    """What was seen, judged; `None` for a mount without a storage domain."""
    left = leftovers_of(seen)
    if not seen.found:
        return None
    if len(seen.found) > 1:
        message = f"the mount holds {len(seen.found)} storage domains, one is allowed: {', '.join(seen.found)}"
        several = Finding("several", message, "move all but one to a volume of their own")
        return State(leftovers=left, problems=(several,))
    uuid = seen.found[0]
    metadata = seen.files.get(posixpath.basename(_storage_domain.METADATA), _seen.SeenFile(0, fault="it is missing"))
    seals = _storage_domain.seals_of(metadata.head.decode(errors="replace")) if metadata.head else None
    try:
        domain = _storage_domain_from(metadata, uuid)
    except ValueError as exc:
        broken = Finding(
            "metadata_broken", f"{uuid}/{_storage_domain.METADATA} is not usable: {exc}", "restore it from a copy"
        )
        return State(uuid, None, seals, None, left, (broken,))
    images, problems, warnings = _images_from(seen, domain)
    problems[:0] = [*file_problems(seen, domain), *block_size_problems(seen, domain)]
    warnings[:0] = [*domain_warnings(seen, domain, seals), *leftover_warnings(left), *use_warnings(seen)]
    return State(
        uuid, domain, seals, images, left, tuple(problems), tuple(warnings), uses=seen.uses, opened=seen.opened
    )


def use_warnings(seen: _seen.Seen) -> t.Iterator[Finding]:
    """What other hosts noted and nobody can read."""
    for fault in seen.uses.faults:
        yield Finding("use_unreadable", f"what another host noted of its use cannot be read: {fault}", "take it away")


def _storage_domain_from(metadata: _seen.SeenFile, uuid: str) -> _storage_domain.StorageDomain:
    if metadata.fault:
        raise ValueError(metadata.fault)
    domain = _storage_domain.StorageDomain.from_text(metadata.head.decode())
    if domain.uuid != uuid:
        raise ValueError(f"SDUUID is {domain.uuid}, its directory {uuid}")
    return domain


# --- dom_md ---------------------------------------------------------------------------------------------------------


def file_problems(seen: _seen.Seen, domain: _storage_domain.StorageDomain) -> t.Iterator[Finding]:
    """Lease files and mailboxes that are missing, too small, or hold no record that sanlock or VDSM would take."""
    filled = {name: file for name, file in seen.files.items() if file.size_bytes or file.fault}
    for entry in _storage_domain_layout.missing_from(domain, filled):
        word = "empty" if posixpath.basename(entry.path) in seen.files else "missing"
        yield Finding(MISSING, f"{entry.path} is {word}", "gfapi.virt.glusterfs_domain adds it")
    unit = domain.alignment_bytes
    sizes = {"ids": unit, "leases": 2 * unit, "inbox": MAILBOX_BYTES, "outbox": MAILBOX_BYTES}
    checks: dict[str, t.Callable[[bytes], None]] = {
        "ids": lambda head: _require_record(head, domain.uuid, None),
        "leases": lambda head: _require_record(head, domain.uuid, _storage_domain_layout.SPM_LEASE),
        "xleases": lambda head: _require_index(head, domain.uuid),
    }
    if domain.version >= 4:
        sizes["xleases"] = unit + _xleases.INDEX_BYTES
    for name, size in sizes.items():
        file = filled.get(name)
        if file:
            yield from _lease_problems(f"{_storage_domain.FOLDER}/{name}", file, size, checks.get(name))


def _lease_problems(
    path: str, file: _seen.SeenFile, size: int, require: t.Callable[[bytes], None] | None
) -> t.Iterator[Finding]:
    mend = "while no host uses it, move it away; gfapi.virt.glusterfs_domain makes it anew"
    if file.size_bytes < size:
        yield Finding("file_too_small", f"{path} has {file.size_bytes} bytes, {size} belong there", mend)
        return
    try:
        if file.fault:
            raise ValueError(file.fault)
        if require:
            require(file.head)
    except ValueError as exc:
        yield Finding("record_broken", f"{path} is not usable: {exc}", mend)


def _require_record(head: bytes, lockspace: str, resource: str | None) -> None:
    """Raises `ValueError` for what is no record of that lockspace, or resource in it, that sanlock takes."""
    leader = _leases.Leader.from_bytes(head)
    if leader.lockspace != lockspace:
        raise ValueError(f"its lockspace is {leader.lockspace!r}, not {lockspace!r}")
    if resource is not None and leader.resource != resource:
        raise ValueError(f"its resource is {leader.resource!r}, not {resource!r}")


def _require_index(head: bytes, lockspace: str) -> None:
    index = _xleases.XLeaseIndex.from_bytes(head)
    if index.lockspace != lockspace:
        raise ValueError(f"its lockspace is {index.lockspace!r}, not {lockspace!r}")
    if index.updating:
        raise ValueError("it says that it is being rewritten, and VDSM takes none that does")


def block_size_problems(seen: _seen.Seen, domain: _storage_domain.StorageDomain) -> t.Iterator[Finding]:
    """A storage that asks for other blocks than the storage domain was made with."""
    if (
        seen.least_bytes in (None, 1)
        or _storage_domain_layout.block_size_of(seen.least_bytes) == domain.block_size_bytes
    ):
        return
    message = f"BLOCK_SIZE is {domain.block_size_bytes}, and direct I/O on the volume takes {seen.least_bytes} bytes"
    mend = "oVirt refuses it; put the bricks on disks like those that it was made on, or make it anew"
    yield Finding("block_size_differs", message, mend)


def domain_warnings(
    seen: _seen.Seen, domain: _storage_domain.StorageDomain, seals: _storage_domain.Seals | None
) -> t.Iterator[Finding]:
    """What does not keep the storage domain from being used."""
    if seals and seals.stored is None:
        yield Finding(
            "no_seal",
            f"{_storage_domain.METADATA} has no seal",
            "the next change by gfapi.virt.glusterfs_domain writes it",
        )
    if _storage_domain.MARK in seen.names:
        mend = f"run gfapi.virt.glusterfs_domain with version {_storage_domain.VERSION}, which finishes it"
        yield Finding("upgrade_unfinished", f"an upgrade of version {domain.version} was interrupted, or runs", mend)
    elif domain.version < _storage_domain.VERSION:
        mend = f"gfapi.virt.glusterfs_domain with version {_storage_domain.VERSION} upgrades it"
        yield Finding("old_version", f"it is of version {domain.version}", mend)


# --- what interrupted work left -------------------------------------------------------------------------------------


def leftovers_of(seen: _seen.Seen) -> Leftovers:
    """Sorted by what they were for, as paths from the root of the mount."""
    removed = [name for name in seen.names if name.startswith(_storage_domain.REMOVED)]
    temporary = [name for name in seen.names if name.startswith(PROBE_PREFIX)]
    if len(seen.found) == 1:
        uuid = seen.found[0]
        folder = f"{uuid}/{_storage_domain.IMAGES}"
        removed += [f"{folder}/{name}" for name in seen.image_names if name.startswith(_image.REMOVED_PREFIX)]
        temporary += [f"{uuid}/{_storage_domain.FOLDER}/{name}" for name in seen.files if is_temporary(name)]
        for image, files in (seen.images or {}).items():
            temporary += [f"{folder}/{image}/{name}" for name in files if is_temporary(name)]
    return Leftovers(tuple(removed), seen.abandoned, tuple(temporary))


def is_temporary(name: str) -> bool:
    """Whether a file is one that was to be renamed over another, by us or by VDSM."""
    return name.startswith(".") or name.endswith(".new")


def leftover_warnings(left: Leftovers) -> t.Iterator[Finding]:
    if left.removed:
        mend = (
            "gfapi.virt.glusterfs_domain finishes a storage domain's; delete a disk once more, or let VDSM do it, which"
            " removes images' when it loads the storage domain"
        )
        yield Finding("removal_unfinished", f"deletions were interrupted: {_some(left.removed)}", mend)
    if left.staging:
        mend = "the next run that makes the same removes it"
        yield Finding("staging_left", f"killed runs left {_some(left.staging)}", mend)
    if left.temporary:
        mend = "remove them if no run is at work"
        yield Finding("temporary_left", f"files that were to be renamed into place: {_some(left.temporary)}", mend)


def _some(paths: t.Sequence[str]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(paths[:SHOWN]) + more


# --- images ---------------------------------------------------------------------------------------------------------


def _images_from(
    seen: _seen.Seen, domain: _storage_domain.StorageDomain
) -> tuple[tuple[ImageState, ...] | None, list[Finding], list[Finding]]:
    """The images, by name, with their problems and warnings."""
    images: list[ImageState] = []
    problems: list[Finding] = []
    warnings: list[Finding] = []
    for uuid, files in (seen.images or {}).items():
        try:
            state = image_from(uuid, files)
        except ValueError as exc:
            mend = "restore the .meta from a copy; until then the image is left alone"
            problems.append(Finding("meta_unreadable", f"image {uuid}: {exc}", mend))
            continue
        if state:
            images.append(state)
            problems += image_problems(state, files, domain)
            warnings += image_warnings(state)
        warnings += file_warnings(uuid, files)
    images.sort(key=lambda state: (state.image.name, state.uuid))
    return None if seen.images is None else tuple(images), problems, warnings


def image_from(uuid: str, files: _seen.Files) -> ImageState | None:
    """An image by its files, `None` where there is no `.meta`; raises `ValueError` for what is no single chain."""
    names = [name for name in files if name.endswith(META) and not is_temporary(name)]
    volumes = [_volume_from(name, files[name]) for name in names]
    if not volumes:
        return None
    image = _image.Image.from_volumes(uuid, volumes)
    return ImageState(image, tuple(_layer_from(volume, files.get(volume.uuid)) for volume in image.volumes))


def _volume_from(name: str, file: _seen.SeenFile) -> _image.ImageVolume:
    try:
        if file.fault:
            raise ValueError(file.fault)
        return _image.ImageVolume.from_text(name[: -len(META)], file.head.decode())
    except ValueError as exc:
        raise ValueError(f"{name}: {exc}") from None


def _layer_from(volume: _image.ImageVolume, data: _seen.SeenFile | None) -> Layer:
    if data is None or data.fault:
        return Layer(volume, data, None, None)
    if volume.format == "raw":
        return Layer(volume, data, data.size_bytes, None)
    try:
        return Layer(volume, data, _image.virtual_size_in(data.head), _image.backing_file_in(data.head))
    except ValueError:
        return Layer(volume, data, None, None)


def image_problems(state: ImageState, files: _seen.Files, domain: _storage_domain.StorageDomain) -> t.Iterator[Finding]:
    """What keeps an image from being used, or its lease from being taken."""
    for layer in state.layers:
        volume = layer.volume
        thing = f"disk {state.image.name!r} (image {state.uuid}), image volume {volume.uuid}"
        if layer.data is None:
            yield Finding("data_missing", f"{thing}: there is a .meta and no data", "restore it from a copy")
        elif layer.virtual_bytes is None:
            words = layer.data.fault or "its first bytes are not those of a qcow2 image"
            yield Finding("data_unreadable", f"{thing}: {words}", "see gluster volume heal VOLUME info")
        if volume.legality != "LEGAL":
            mend = "an operation of gfapi.virt.gfapi_snapshot, or of oVirt, was interrupted; finish it there"
            yield Finding("not_legal", f"{thing}: LEGALITY is {volume.legality}", mend)
        yield from _lease_findings(thing, files.get(volume.uuid + LEASE), volume.uuid, domain)


def _lease_findings(
    thing: str, lease: _seen.SeenFile | None, volume_uuid: str, domain: _storage_domain.StorageDomain
) -> t.Iterator[Finding]:
    mend = "while no VM with a lease runs on it, remove what is there and make the lease with sanlock direct init"
    if lease is None:
        yield Finding("lease_missing", f"{thing}: there is no {LEASE}", mend)
    elif lease.size_bytes < domain.alignment_bytes:
        words = f"its {LEASE} has {lease.size_bytes} bytes, {domain.alignment_bytes} belong there"
        yield Finding("lease_too_small", f"{thing}: {words}", mend)
    else:
        try:
            if lease.fault:
                raise ValueError(lease.fault)
            _require_record(lease.head, domain.uuid, volume_uuid)
        except ValueError as exc:
            yield Finding("lease_broken", f"{thing}: its {LEASE} is not usable: {exc}", mend)


def image_warnings(state: ImageState) -> t.Iterator[Finding]:
    """What an interrupted growth leaves, and chains whose files and `.meta` differ."""
    leaf, thing = state.layers[0], f"disk {state.image.name!r} (image {state.uuid})"
    mend = "gfapi.virt.gfapi_disk for this disk finishes it"
    if leaf.virtual_bytes is not None and leaf.virtual_bytes != leaf.volume.capacity_bytes:
        words = (
            f"its file has a virtual size of {leaf.virtual_bytes} bytes, its .meta says {leaf.volume.capacity_bytes}"
        )
        yield Finding("size_differs", f"{thing}: {words}", mend)
    for layer in state.layers:
        if layer.data and not _image.is_padded(layer.data.size_bytes):
            file = f"its file {layer.volume.uuid} of {layer.data.size_bytes} bytes"
            words = f"{file} is no multiple of 512, and QEMU cannot read its end through libgfapi"
            yield Finding("not_padded", f"{thing}: {words}", mend)
        named = None if layer.backing_file is None else posixpath.basename(layer.backing_file) or "nothing"
        parent = layer.volume.parent_uuid or "nothing"
        if named not in (None, parent):
            words = f"{layer.volume.uuid} builds on {named} by its header, on {parent} by its .meta"
            yield Finding("backing_differs", f"{thing}: {words}", "look at both with qemu-img info before it is used")


def file_warnings(uuid: str, files: _seen.Files) -> t.Iterator[Finding]:
    """Files that belong to no image volume, and a directory with nothing in it."""
    names = [name for name in files if not is_temporary(name)]
    stray = [name for name in names if f"{name.removesuffix(LEASE)}{META}" not in files and not name.endswith(META)]
    if stray or not names:
        words = f"files without a {META}: {_some(stray)}" if stray else "there is nothing in its directory"
        mend = "VDSM was interrupted while it made or deleted it; remove it if no task of oVirt is at work"
        yield Finding("image_unfinished", f"image {uuid}: {words}", mend)
