# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: storage domains and their images, through a mount of their volume.

Everything appears by one rename of a directory that is whole, so a killed run leaves nothing that looks like a storage
domain or an image, and of two hosts that make the same thing one wins and the other finds it.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import typing as t
import uuid
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._files import Directory, Owner, explained, staging
from ansible_collections.gfapi.virt.plugins.module_utils._image import Image
from ansible_collections.gfapi.virt.plugins.module_utils._image_files import ImageFiles, Listing
from ansible_collections.gfapi.virt.plugins.module_utils._mounts import Mount, Mounts, Space
from ansible_collections.gfapi.virt.plugins.module_utils._qemu_img import QemuImg
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import (
    IMAGES,
    LAYOUT,
    METADATA,
    MOUNT_ROOT,
    OWNER_ID,
    StorageDomain,
    is_uuid,
)
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec

#: a link whose target is the uuid that all hosts agree on; made exclusively, so the first one decides
CLAIM: t.Final = ".gfapi-virt-uuid"
REMOVED: t.Final = ".gfapi-virt-removed-"
WHOLE: t.Final = "whole"
#: far above any metadata file; VDSM reads 4096 bytes of it
METADATA_LIMIT: t.Final = 1 << 20


@dataclass(frozen=True)
class MountedStorageDomain:
    """A storage domain and the mount that it was found on."""

    storage_domain: StorageDomain
    mount: Mount

    @property
    def name(self) -> str:
        return self.storage_domain.name

    @property
    def path(self) -> str:
        return posixpath.join(self.mount.point, self.storage_domain.uuid)


@dataclass(frozen=True)
class Layer:
    """One image volume as a file: on the mount, and within the Gluster volume."""

    path: str
    volume_path: str
    format: str


@dataclass(frozen=True)
class FoundImage:
    """An image that is there: where each layer lies, and how large it is."""

    place: MountedStorageDomain
    image: Image
    #: the leaf first, the base last
    layers: tuple[Layer, ...]
    virtual_size_bytes: int
    actual_size_bytes: int
    #: of the leaf's file
    length_bytes: int

    @property
    def name(self) -> str:
        return self.image.name

    @property
    def image_uuid(self) -> str:
        return self.image.uuid

    @property
    def volume_uuid(self) -> str:
        return self.image.leaf.uuid

    @property
    def format(self) -> str:
        return self.image.format

    @property
    def path(self) -> str:
        return self.layers[0].path

    @property
    def volume_path(self) -> str:
        """The path inside the Gluster volume."""
        return self.layers[0].volume_path

    @property
    def backing(self) -> tuple[Layer, ...]:
        """What the image builds on, nearest first; nothing for an image that stands alone."""
        return self.layers[1:]

    @property
    def volume(self) -> str:
        """The Gluster volume."""
        return self.place.mount.spec.volume

    @property
    def server(self) -> str:
        """The volfile server of the mount."""
        return self.place.mount.spec.servers[0]


class Storage:
    """The storage domains that this host has mounted. Each is looked at once, however often it is asked for."""

    def __init__(
        self,
        mounts: Mounts | None = None,
        qemu_img: QemuImg | None = None,
        *,
        mount_root: str = MOUNT_ROOT,
        owner: Owner = (OWNER_ID, OWNER_ID),
    ) -> None:
        self.mounts = mounts or Mounts()
        self.files = ImageFiles(qemu_img or QemuImg(), owner)
        self._mount_root = posixpath.normpath(mount_root)
        self._owner = owner
        self._found: dict[str, MountedStorageDomain] = {}
        self._listings: dict[str, Listing] = {}

    def find(self, wanted: str) -> MountedStorageDomain:
        """The storage domain of that name, uuid or mount point; raises `StorageError` if it is not mounted here.

        By name and uuid only mounts right below the mount root are looked at.
        """
        if wanted not in self._found:
            self._found[wanted] = self._find(wanted)
        return self._found[wanted]

    def find_image(self, wanted: str, name: str) -> FoundImage | None:
        """The image of that name, or uuid, in that storage domain; `None` if there is none."""
        place = self.find(wanted)
        listing = self.listing(place)
        image = listing.image(name)
        if image is None:
            return None
        with self._images_of(place) as images:
            return self._found_image(place, image, images)

    def require_image(self, wanted: str, name: str) -> FoundImage:
        """The same; raises `StorageError` for one that is not there or not usable."""
        found = self.find_image(wanted, name)
        if found is None:
            place = self.find(wanted)
            known = ", ".join(self.listing(place).names[:10]) or "none"
            raise StorageError(
                f"there is no disk {name!r} in storage domain {place.name} ({place.path}); there is: {known}"
            )
        illegal = [volume.uuid for volume in found.image.volumes if volume.legality != "LEGAL"]
        if illegal:
            raise StorageError(f"disk {name!r} in storage domain {wanted} is not usable: {illegal[0]} is not LEGAL")
        return found

    def listing(self, place: MountedStorageDomain) -> Listing:
        """All images of a storage domain, read once."""
        if place.path not in self._listings:
            with self._images_of(place) as images:
                self._listings[place.path] = self.files.read(images)
        return self._listings[place.path]

    @contextlib.contextmanager
    def changing(self, place: MountedStorageDomain) -> t.Iterator[Directory]:
        """The open `images` directory; the listing is read anew after."""
        try:
            with self._images_of(place) as images:
                yield images
        finally:
            self._listings.pop(place.path, None)

    def read(self, point: str) -> StorageDomain | None:
        """The storage domain on a mount that answers; `None` if none. Raises `StorageError` for a bad one, or several."""
        with explained(f"read what is on {point}"), Directory.open(point) as root:
            uuids = [name for name in root.names() if _holds_storage_domain(root, name)]
            if not uuids:
                return None
            if len(uuids) > 1:
                raise StorageError(f"{point} holds {len(uuids)} storage domains, one is allowed: {', '.join(uuids)}")
            return _storage_domain_in(root, uuids[0])

    def read_owner(self, point: str) -> Owner:
        """Who owns the root of the mount."""
        with explained(f"read the owner of {point}"):
            status = os.stat(point)
            return status.st_uid, status.st_gid

    def own(self, point: str, owner: Owner) -> None:
        """Give the root of the mount away."""
        with explained(f"set the owner of {point}"):
            os.chown(point, *owner)

    def lay_out(self, point: str, name: str, spec: VolumeSpec, owner: Owner) -> StorageDomain:
        """Make a storage domain, or find the one that another host makes at this moment."""
        with explained(f"lay out storage domain {name} on {point}"), Directory.open(point) as root:
            made = StorageDomain.new(_claimed_uuid(root), name, spec)
            with staging(root, "storage-domain") as stage:
                _build(stage, made, owner)
                stage.move(WHOLE, root, made.uuid)
        return self.require_named(point, name)

    def require_named(self, point: str, name: str) -> StorageDomain:
        """The storage domain on a mount; raises `StorageError` if there is none or another."""
        found = self.read(point)
        if found is None or found.name != name:
            there = f"storage domain {found.name} ({found.uuid})" if found else "no storage domain"
            raise StorageError(f"{point} holds {there}, not {name}")
        return found

    def leftovers(self, point: str) -> list[str]:
        """What interrupted removals left on a mount."""
        with explained(f"read what is on {point}"), Directory.open(point) as root:
            return [name for name in root.names() if name.startswith(REMOVED)]

    def remove(self, point: str, uuid: str | None) -> None:
        """Remove a storage domain with all its images, and what earlier removals left."""
        with explained(f"remove storage domain {uuid} from {point}"), Directory.open(point) as root:
            if uuid and not root.move(uuid, root, REMOVED + uuid):
                root.remove_tree(REMOVED + uuid)
                root.move(uuid, root, REMOVED + uuid)
            root.remove(CLAIM)
            for name in root.names():
                if name.startswith(REMOVED):
                    root.remove_tree(name)

    def space(self, place: MountedStorageDomain) -> Space:
        return self.mounts.require_answer(place.mount.point)

    def _find(self, wanted: str) -> MountedStorageDomain:
        by_point = wanted.startswith("/")
        point = posixpath.normpath(wanted)
        seen: dict[str, MountedStorageDomain] = {}
        faults: list[str] = []
        for mount in self.mounts.table():
            if not (mount.point == point if by_point else posixpath.dirname(mount.point) == self._mount_root):
                continue
            try:
                self.mounts.require_answer(mount.point)
                found = self.read(mount.point)
            except StorageError as exc:
                faults.append(str(exc))
                continue
            if found is not None:
                seen.setdefault(found.uuid, MountedStorageDomain(found, mount))
        matches = [place for uuid, place in seen.items() if by_point or wanted in (uuid, place.name)]
        if len(matches) == 1:
            return matches[0]
        raise self._not_found(wanted, matches, seen.values(), faults)

    def _not_found(
        self,
        wanted: str,
        matches: t.Sequence[MountedStorageDomain],
        seen: t.Iterable[MountedStorageDomain],
        faults: t.Sequence[str],
    ) -> StorageError:
        if matches:
            uuids = ", ".join(place.storage_domain.uuid for place in matches)
            return StorageError(f"{len(matches)} storage domains are called {wanted!r}: {uuids}; give the uuid")
        known = ", ".join(place.name for place in seen) or "none"
        where = "there" if wanted.startswith("/") else f"below {self._mount_root}"
        also = "".join(f"; {fault}" for fault in faults)
        return StorageError(
            f"no storage domain {wanted!r} is mounted {where} on this host (mounted: {known}){also};"
            " gfapi.virt.glusterfs_domain mounts one"
        )

    @contextlib.contextmanager
    def _images_of(self, place: MountedStorageDomain) -> t.Iterator[Directory]:
        with explained(f"use the images of storage domain {place.name}"), Directory.open(place.path) as directory:
            images = directory.child(IMAGES)
            with images:
                yield images

    def _found_image(self, place: MountedStorageDomain, image: Image, images: Directory) -> FoundImage:
        directory = place.mount.spec.directory
        paths = [(image.path_of(volume), volume.format) for volume in image.volumes]
        sizes = self.files.sizes(images, image)
        return FoundImage(
            place,
            image,
            tuple(
                Layer(posixpath.join(place.mount.point, path), posixpath.join(directory, path), image_format)
                for path, image_format in paths
            ),
            sizes.virtual_bytes,
            sizes.actual_bytes,
            sizes.length_bytes,
        )


def _holds_storage_domain(root: Directory, name: str) -> bool:
    # VDSM takes any directory with a dom_md for one and makes no other beside it
    if name.startswith("."):
        return False
    with contextlib.suppress(NotADirectoryError), root.child(name) as directory:
        return directory.is_there("dom_md")
    return False


def _storage_domain_in(root: Directory, uuid: str) -> StorageDomain:
    path = posixpath.join(root.path, uuid, METADATA)
    folder, name = posixpath.split(METADATA)
    try:
        with root.below(f"{uuid}/{folder}") as directory:
            found = StorageDomain.from_text(directory.read(name, METADATA_LIMIT).decode())
    except FileNotFoundError:
        raise StorageError(
            f"{path} is missing: a storage domain that was never finished; take {root.path}/{uuid} away if it holds"
            " nothing of yours"
        ) from None
    except ValueError as exc:
        raise StorageError(f"{path} is not usable: {exc}") from exc
    if found.uuid != uuid:
        raise StorageError(f"{path} is not usable: SDUUID is {found.uuid}, its directory {uuid}")
    return found


def _claimed_uuid(root: Directory) -> str:
    """The uuid for the storage domain to be made: ours, if no other host was first."""
    with contextlib.suppress(FileExistsError):
        os.symlink(str(uuid.uuid4()), CLAIM, dir_fd=root.descriptor)
    claimed = os.readlink(CLAIM, dir_fd=root.descriptor)
    if not is_uuid(claimed):
        raise StorageError(f"{root.path}/{CLAIM} names {claimed!r}, not a uuid; take it away")
    return claimed


def _build(stage: Directory, storage_domain: StorageDomain, owner: Owner) -> None:
    """The whole tree of a storage domain, under `whole`."""
    for entry in LAYOUT:
        folder, name = posixpath.split(posixpath.join(WHOLE, entry.path).rstrip("/"))
        with stage.below(folder) as parent:
            if entry.text is None:
                parent.make(name, entry.mode, owner).close()
            else:
                parent.write_new(name, entry.text(storage_domain), entry.mode, owner)
            parent.sync()
