# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: the files of images, in the open `images` directory of a storage domain."""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _errors,
    _files,
    _image,
    _leases,
    _qemu_img,
    _storage_domain,
)

META: t.Final = ".meta"
LEASE: t.Final = ".lease"
WHOLE: t.Final = "whole"
#: above the limit of 512 bytes, to see that a file breaks it
META_READ_BYTES: t.Final = 4096
HEAD_BYTES: t.Final = 4096
#: how long a run waits for another that grows the same image
LOCK_TIMEOUT_S: t.Final = 60
#: how long it waits until this host sees what QEMU, another client of the volume, has made longer
SEEN_TIMEOUT_S: t.Final = 10
#: what opening a link, a directory, a pipe or a socket in place of a file says
NO_FILE: t.Final = (errno.ELOOP, errno.EINVAL, errno.ENXIO)


@dataclass
class Listing:
    """The images of a storage domain: by uuid, what is wrong with the unreadable ones, and half removed ones.

    `staged` are those that a run builds at, or built at when it was killed.
    """

    images: dict[str, _image.Image] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    staged: set[str] = field(default_factory=set)

    def put(self, uuid: str, found: _image.Image | str | None) -> None:
        """An image in place of what was known of it; or what is wrong with it, or that there is none."""
        self.images.pop(uuid, None)
        self.faults.pop(uuid, None)
        if isinstance(found, _image.Image):
            self.images[uuid] = found
        elif found is not None:
            self.faults[uuid] = found

    @property
    def names(self) -> list[str]:
        return sorted(image.name for image in self.images.values() if image.name)

    def image(self, name: str) -> _image.Image | None:
        """The image of that name, or of that uuid; raises `StorageError` when several have the name."""
        found = [image for image in self.images.values() if image.name == name]
        if len(found) > 1:
            uuids = ", ".join(image.uuid for image in found)
            raise _errors.StorageError(f"{len(found)} disks are called {name!r}: images {uuids}; give the uuid")
        return found[0] if found else self.images.get(name)

    def sharers(self, image: _image.Image) -> list[_image.Image]:
        """The other images that hold a link to an image volume of this one (made from it as a template)."""
        ours = {volume.uuid for volume in image.volumes if volume.image_uuid == image.uuid}
        others = (other for other in self.images.values() if other.uuid != image.uuid)
        found = (other for other in others if ours & {volume.uuid for volume in other.volumes})
        return sorted(found, key=lambda other: other.name)


class ImageFiles:
    """Reads, makes, grows and deletes images. Every method gets the open `images` directory, whose owner owns all."""

    def __init__(self, qemu_img: _qemu_img.QemuImg) -> None:
        self._qemu_img = qemu_img

    def read(self, images: _files.Directory) -> Listing:
        """All images."""
        listing = Listing()
        names = images.names()
        uuids = list(filter(_image.is_image_directory, names))
        for uuid, found in zip(uuids, _files.at_once(lambda uuid: _read(images, uuid), uuids)):
            listing.put(uuid, found)
        listing.removed.update(
            name[len(_image.REMOVED_PREFIX) :] for name in names if name.startswith(_image.REMOVED_PREFIX)
        )
        listing.staged.update(filter(None, map(_files.staging_key, names)))
        return listing

    def read_one(self, images: _files.Directory, uuid: str) -> _image.Image | None:
        """One image; `None` where there is none, or none that can be read."""
        found = _read(images, uuid)
        return found if isinstance(found, _image.Image) else None

    def reread(self, images: _files.Directory, listing: Listing, uuid: str) -> None:
        """Read one image anew into a listing."""
        listing.put(uuid, _read(images, uuid))
        listing.removed.discard(uuid)
        if images.is_there(_image.REMOVED_PREFIX + uuid):
            listing.removed.add(uuid)

    def sizes(self, images: _files.Directory, image: _image.Image) -> _image.Sizes:
        """How large an image is; a qcow2 header is read here, for a qemu-img an image would cost most of a run."""
        with images.child(image.uuid) as directory:
            descriptor = directory.open_file(image.leaf.uuid)
            with os.fdopen(descriptor, "rb") as file:
                is_qcow2 = image.format == "qcow2"
                virtual = _image.virtual_size_in(file.read(32)) if is_qcow2 else os.fstat(descriptor).st_size
            layers = [
                os.stat(volume.uuid, dir_fd=directory.descriptor, follow_symlinks=False) for volume in image.volumes
            ]
        actual = sum(status.st_blocks * 512 for status in layers)
        return _image.Sizes(virtual, actual, tuple(status.st_size for status in layers))

    def require_as_told(self, images: _files.Directory, image: _image.Image) -> None:
        """Raises `ValueError` where a layer's file is none, or names other files than its `.meta` does."""
        with images.child(image.uuid) as directory:
            for volume in image.volumes:
                try:
                    _image.require_as_told(directory.read(volume.uuid, HEAD_BYTES), volume)
                except ValueError as exc:
                    raise ValueError(f"{directory.path}/{volume.uuid}: {exc}") from None

    def is_open(self, images: _files.Directory, uuid: str) -> bool:
        """Whether anybody on any host has a layer of an image open, but for what it shares with others.

        A template is only read, and its bricks tell of the VMs of all clones. One that is deleted meanwhile is closed.
        """
        try:
            with images.child(uuid) as directory:
                return any(map(directory.is_open, own_layers(directory)))
        except OSError:
            if images.stays(uuid):
                raise
            return False

    def open_images(self, images: _files.Directory) -> dict[str, str]:
        """The images that anybody on any host has open: directory → name, or the directory's where there is none."""
        listing = self.read(images)
        opened = {}
        for name in images.names():
            with contextlib.suppress(NotADirectoryError, FileNotFoundError):
                if self.is_open(images, name):
                    image = listing.images.get(name)
                    opened[name] = (image and image.name) or name
        return opened

    def create(
        self,
        images: _files.Directory,
        volume: _image.ImageVolume,
        domain: _storage_domain.StorageDomain,
        source: _image.Source | None = None,
        template: _image.Image | None = None,
    ) -> bool:
        """Make an image of one image volume, empty or filled from another image; or on top of a template.

        `False` if another run made it first. An image that is there stays.
        """
        with _files.staging(images, volume.image_uuid) as stage:
            owner = images.owner()
            with stage.make(WHOLE, _image.DIRECTORY_MODE, owner) as directory:
                if template:
                    _link_template(images, template, directory)
                self._make_data(directory, volume, owner, domain.qcow2_compat, source, template)
                meta = volume.to_text(domain.version).encode()
                directory.write_new(volume.uuid + META, meta, _image.META_MODE, owner)
                make_lease(directory, volume.uuid, domain, owner)
                directory.sync()
            return stage.move(WHOLE, images, volume.image_uuid)

    def _make_data(
        self,
        directory: _files.Directory,
        volume: _image.ImageVolume,
        owner: _files.Owner,
        compat: str,
        source: _image.Source | None,
        template: _image.Image | None,
    ) -> None:
        descriptor = directory.new_file(volume.uuid, _image.DATA_MODE, owner)
        try:
            if source:
                self._fill(posixpath.join(directory.path, volume.uuid), descriptor, volume, compat, source)
            elif volume.format == "qcow2" and volume.preallocated:
                path = posixpath.join(directory.path, volume.uuid)
                self._qemu_img.create_preallocated_qcow2(path, volume.capacity_bytes, compat)
            elif volume.format == "qcow2":
                backing = _qemu_img.Backing(template.leaf.uuid, template.format) if template else None
                empty = self._qemu_img.empty_qcow2(volume.capacity_bytes, compat, backing)
                # the table of the clusters, at the end and all zero, may stay a hole, as may what pads it
                os.pwrite(descriptor, empty.rstrip(b"\0"), 0)
                os.ftruncate(descriptor, _image.padded(len(empty)))
            elif volume.preallocated:
                os.posix_fallocate(descriptor, 0, volume.capacity_bytes)
            else:
                os.ftruncate(descriptor, volume.capacity_bytes)
                # as qemu-img does: alignment is probed on allocated bytes
                os.pwrite(descriptor, bytes(_image.BLOCK_BYTES), 0)
            _files.pad(descriptor, _image.BLOCK_BYTES)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _fill(self, path: str, descriptor: int, volume: _image.ImageVolume, compat: str, source: _image.Source) -> None:
        options = [f"compat={compat}"] * (volume.format == "qcow2") + ["preallocation=falloc"] * volume.preallocated
        doing = f"fill disk {volume.alias} from {source.path}"
        self._qemu_img.convert(source, path, volume.format, ",".join(options), doing=doing)
        if volume.format == "raw":
            # a hole at the start would hide from QEMU what alignment the storage asks for
            os.posix_fallocate(descriptor, 0, _image.BLOCK_BYTES)
            _lengthen(descriptor, volume.capacity_bytes, preallocated=volume.preallocated)
        elif volume.capacity_bytes > source.virtual_size_bytes:
            self._qemu_img.resize_qcow2(path, volume.capacity_bytes, preallocated=volume.preallocated)

    @contextlib.contextmanager
    def locked(self, images: _files.Directory, image: _image.Image) -> t.Iterator[_image.Image]:
        """Keeps other runs from an image's layers, on all hosts; the image as the last of them left it.

        Raises `StorageError` where another run works on it for long, or has put another leaf on it, and
        `FileNotFoundError` where another has deleted it.
        """
        with contextlib.ExitStack() as held:
            lock = None
            # one without a lease is used all the same
            with contextlib.suppress(FileNotFoundError), images.child(image.uuid) as directory:
                # the first layer stays as long as its image, and QEMU opens no lease
                lock = directory.open_file(image.first.uuid + LEASE, os.O_RDWR)
                held.callback(_files.release, lock)
            if lock is not None and not _files.take_lock(lock, time.monotonic() + LOCK_TIMEOUT_S):
                raise _errors.StorageError(
                    f"another run works on it for {LOCK_TIMEOUT_S} s; run again when that is done"
                )
            volumes = _volumes_in(images, image.uuid)
            if not volumes:
                # half removed
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            fresh = _image.Image.from_volumes(image.uuid, volumes)
            if fresh.leaf.uuid != image.leaf.uuid:
                raise _errors.StorageError("another run has put a layer on it meanwhile; run again")
            yield fresh

    def allocate(self, images: _files.Directory, image: _image.Image, size_bytes: int) -> None:
        """The part of a preallocated raw image that is new since its `.meta`, once this host sees the file's length.

        Raises `StorageError` where it does not see it soon.
        """
        start = image.leaf.capacity_bytes
        if image.format != "raw" or not image.leaf.preallocated or start >= size_bytes:
            return
        with _layer(images, image, image.leaf) as descriptor:
            end = time.monotonic() + SEEN_TIMEOUT_S
            while os.fstat(descriptor).st_size < size_bytes:
                if time.monotonic() > end:
                    raise _errors.StorageError(
                        f"{image.leaf.uuid} of {size_bytes} bytes is not seen by the mount, so what is new of it is"
                        " not allocated yet; run again"
                    )
                time.sleep(0.1)  # the kernel asks for a length again after a second
            os.posix_fallocate(descriptor, start, size_bytes - start)
            os.fsync(descriptor)

    def lengthen(self, images: _files.Directory, image: _image.Image, size_bytes: int) -> None:
        """Make the file of a raw image that no VM uses at least that long."""
        with _layer(images, image, image.leaf) as descriptor:
            if _lengthen(descriptor, size_bytes, preallocated=image.leaf.preallocated):
                os.fsync(descriptor)

    def resize_qcow2(self, images: _files.Directory, image: _image.Image, size_bytes: int) -> None:
        """Grow a qcow2 image that no VM uses."""
        path = posixpath.join(images.path, image.uuid, image.leaf.uuid)
        self._qemu_img.resize_qcow2(path, size_bytes, preallocated=image.leaf.preallocated)

    def pad(self, images: _files.Directory, image: _image.Image) -> None:
        """Mend the length of every layer's file."""
        for volume in image.volumes:
            with _layer(images, image, volume) as descriptor:
                _files.pad(descriptor, _image.BLOCK_BYTES)

    def write_meta(
        self, images: _files.Directory, image: _image.Image, volume: _image.ImageVolume, version: int
    ) -> None:
        """Replace the `.meta` of one of an image's image volumes."""
        with images.child(image.uuid) as directory:
            write_meta(directory, volume.uuid, volume.to_text(version), images.owner())

    def delete(self, images: _files.Directory, uuid: str) -> None:
        """Remove an image, also one whose removal was interrupted, and what killed runs built at it."""
        _files.sweep(images, uuid)
        removed = _image.REMOVED_PREFIX + uuid
        images.remove_tree(removed)
        try:
            images.move(uuid, images, removed)
        except OSError:
            # another run may take it away at this moment
            if images.stays(uuid):
                raise
        images.remove_tree(removed)


def write_meta(directory: _files.Directory, volume_uuid: str, text: str, owner: _files.Owner) -> None:
    """Replace a `.meta` in the open directory of an image."""
    directory.replace_text(volume_uuid + META, text, _image.META_MODE, owner)


def make_lease(
    directory: _files.Directory, volume_uuid: str, domain: _storage_domain.StorageDomain, owner: _files.Owner
) -> None:
    """The `.lease` of an image volume, free. Allocated, not written: that would cost as much as all the rest."""
    data = _leases.resource(domain.uuid, volume_uuid, domain.geometry)
    directory.write_new(volume_uuid + LEASE, data, _image.LEASE_MODE, owner, size_bytes=domain.alignment_bytes)


def now() -> int:
    """CTIME of an image made now."""
    return int(time.time())


@contextlib.contextmanager
def _layer(images: _files.Directory, image: _image.Image, volume: _image.ImageVolume) -> t.Iterator[int]:
    with images.child(image.uuid) as directory:
        descriptor = directory.open_file(volume.uuid, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lengthen(descriptor: int, size_bytes: int, *, preallocated: bool) -> bool:
    """Make a raw image's file at least that long, by what cannot shrink it; whether it was shorter."""
    length = os.fstat(descriptor).st_size
    if length >= size_bytes:
        return False
    start = length if preallocated else size_bytes - 1
    os.posix_fallocate(descriptor, start, size_bytes - start)
    return True


def own_layers(directory: _files.Directory) -> list[str]:
    """The layers in the open directory of an image that are no links to a template's, by name."""
    return [
        name
        for name, status in directory.statuses().items()
        if not name.startswith(".")
        and not name.endswith((META, LEASE))
        # a backup may have made links, too
        and not (status.st_nlink > 1 and _is_shared(directory, name))
    ]


def _is_shared(directory: _files.Directory, name: str) -> bool:
    try:
        return _volume(directory, name + META).role == _image.SHARED
    except (ValueError, OSError):
        return False


def _link_template(images: _files.Directory, template: _image.Image, directory: _files.Directory) -> None:
    """Put a template's only image volume, with what belongs to it, into the directory of a new image."""
    with images.child(template.uuid) as origin:
        for name in (template.leaf.uuid, template.leaf.uuid + META, template.leaf.uuid + LEASE):
            os.link(name, name, src_dir_fd=origin.descriptor, dst_dir_fd=directory.descriptor, follow_symlinks=False)


def _read(images: _files.Directory, uuid: str) -> _image.Image | str | None:
    """An image, or what is wrong with it; `None` where it is deleted meanwhile, or holds nothing yet."""
    try:
        # a layer may go, or the whole image be made anew, while it is read
        volumes = images.as_it_is(uuid, lambda: _volumes_in(images, uuid))
        return _image.Image.from_volumes(uuid, volumes) if volumes else None
    except (ValueError, NotADirectoryError) as exc:
        return str(exc)
    except FileNotFoundError:
        return None


def _volumes_in(images: _files.Directory, uuid: str) -> list[_image.ImageVolume]:
    with images.child(uuid) as directory:
        names = [name for name in directory.names() if name.endswith(META) and not name.startswith(".")]
        return [_volume(directory, name) for name in names]


def _volume(directory: _files.Directory, name: str) -> _image.ImageVolume:
    try:
        return _image.ImageVolume.from_text(name[: -len(META)], directory.read(name, META_READ_BYTES).decode())
    except ValueError as exc:
        raise ValueError(f"{directory.path}/{name}: {exc}") from None
    except OSError as exc:
        if exc.errno in NO_FILE:
            raise ValueError(exc.strerror) from None
        raise
