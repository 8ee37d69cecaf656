# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: the layers of one image, through the mount."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import posixpath
import typing as t
import uuid

from ansible_collections.gfapi.virt.plugins.module_utils import _snapshot
from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._files import Directory, explained, lasting, pad, staging
from ansible_collections.gfapi.virt.plugins.module_utils._found_image import MountedStorageDomain
from ansible_collections.gfapi.virt.plugins.module_utils._image import (
    BLOCK_BYTES,
    DATA_MODE,
    META_MODE,
    Image,
    ImageVolume,
    backing_file_in,
    padded,
    require_as_told,
)
from ansible_collections.gfapi.virt.plugins.module_utils._image_files import (
    LEASE,
    META,
    META_READ_BYTES,
    make_lease,
    now,
    own_layers,
    write_meta,
)
from ansible_collections.gfapi.virt.plugins.module_utils._qemu_img import Backing, QemuImg
from ansible_collections.gfapi.virt.plugins.module_utils._snapshot import State, Use
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import IMAGES, is_uuid

#: what direct I/O may have to be aligned to
DIRECT_BYTES: t.Final = 4096
#: the header of a qcow2 file and the name of its backing file
HEAD_BYTES: t.Final = 4096


class Layers:
    """Reads and changes the image volumes of one image. Each change is whole or not there, whenever it is killed."""

    def __init__(self, qemu_img: QemuImg, place: MountedStorageDomain, image: Image) -> None:
        self._qemu_img = qemu_img
        self.place = place
        self.image_uuid = image.uuid
        self.name = image.name or image.uuid
        self._first_uuid = image.first.uuid

    def read(self, use: Use | None) -> State:
        """The image as its files show it now."""
        volumes: dict[str, ImageVolume] = {}
        backing: dict[str, str] = {}
        empty: set[str] = set()
        with self._directory("read the layers") as directory:
            names = [name for name in directory.names() if name.endswith(META) and not name.startswith(".")]
            for name in names:
                with _named(name):
                    text = directory.read(name, META_READ_BYTES).decode()
                    volume = ImageVolume.from_text(name[: -len(META)], text)
                volumes[volume.uuid] = volume
                if volume.format == "qcow2" and directory.is_there(volume.uuid):
                    head = _read_direct(directory, volume.uuid, 0, HEAD_BYTES)
                    with _named(volume.uuid):
                        backing[volume.uuid] = posixpath.basename(backing_file_in(head) or "")
                    if _snapshot.is_without_data(head, _reader(directory, volume.uuid)):
                        empty.add(volume.uuid)
        return State(self.name, volumes, backing, frozenset(empty), use)

    def is_open(self) -> bool:
        """Whether anybody on any host has a layer open, but for a template's, which all clones have."""
        with self._directory("look for users") as directory:
            names = own_layers(directory)
            return lasting(lambda: any(map(directory.is_open, names)))

    def overlay(self, parent: ImageVolume, like: ImageVolume | None = None) -> None:
        """A new empty leaf; there once its `.meta` is, and swept away by the next one otherwise."""
        volume = _snapshot.overlay_of(parent, str(uuid.uuid4()), created_at=now(), like=like)
        domain = self.place.storage_domain
        below = Backing(parent.uuid, parent.format)
        with (
            explained(self._doing("make a layer")),
            self._images() as images,
            staging(images, self.image_uuid) as stage,
            images.child(self.image_uuid) as directory,
        ):
            data = self._qemu_img.empty_qcow2(volume.capacity_bytes, domain.qcow2_compat, below)
            self._sweep(directory)
            owner = directory.owner()
            descriptor = stage.new_file(volume.uuid, DATA_MODE, owner)
            try:
                os.pwrite(descriptor, data.rstrip(b"\0"), 0)
                os.ftruncate(descriptor, padded(len(data)))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            make_lease(stage, volume.uuid, domain, owner)
            stage.write_new(volume.uuid + META, volume.to_text(self.place.version).encode(), META_MODE, owner)
            # the .meta last: with it the layer is there
            for name in (volume.uuid, volume.uuid + LEASE, volume.uuid + META):
                os.rename(name, name, src_dir_fd=stage.descriptor, dst_dir_fd=directory.descriptor)
                directory.sync()

    def sweep(self) -> None:
        """Remove layers that a killed run had not made whole: empty, closed, and without a `.meta`."""
        with self._directory("remove what a killed run left") as directory:
            self._sweep(directory)

    def _sweep(self, directory: Directory) -> None:
        for name in filter(is_uuid, directory.names()):
            if not directory.is_there(name + META) and not directory.is_open(name):
                # one that is no qcow2 file is not ours
                with contextlib.suppress(ValueError):
                    head = _read_direct(directory, name, 0, HEAD_BYTES)
                    if backing_file_in(head) and _snapshot.is_without_data(head, _reader(directory, name)):
                        directory.remove(name + LEASE)
                        directory.remove(name)

    def write(self, volume: ImageVolume) -> None:
        """Replace the `.meta` of an image volume."""
        text = volume.to_text(self.place.version)
        with self._directory("write the .meta of a layer") as directory:
            write_meta(directory, volume.uuid, text, directory.owner())

    def commit(self, target: ImageVolume, child: ImageVolume, upper: ImageVolume | None) -> None:
        """Write a layer into the one below it, and have the one above build on that one."""
        with self._directory("commit a layer") as directory:
            for volume in (child, target):
                with _named(volume.uuid):
                    require_as_told(_read_direct(directory, volume.uuid, 0, HEAD_BYTES), volume)
            path = posixpath.join(directory.path, child.uuid)
            self._qemu_img.commit(path, child.capacity_bytes)
            self._pad(directory, target)
            if upper:
                path = posixpath.join(directory.path, upper.uuid)
                self._qemu_img.name_backing(path, Backing(target.uuid, target.format))

    def pad(self, volume: ImageVolume) -> None:
        """Mend the length of a file that QEMU may have grown."""
        with self._directory("pad a layer") as directory:
            self._pad(directory, volume)

    def _pad(self, directory: Directory, volume: ImageVolume) -> None:
        descriptor = directory.open_file(volume.uuid, os.O_RDWR)
        try:
            pad(descriptor, BLOCK_BYTES)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, volume: ImageVolume) -> None:
        """Take away a layer that is marked to go; its `.meta`, which says so, last."""
        with self._directory("remove a layer") as directory:
            # the .meta last: with it the layer is there
            for name in (volume.uuid, volume.uuid + LEASE, volume.uuid + META):
                directory.remove(name)
            directory.sync()

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[None]:
        """Keeps the runs of all hosts but one from the image's layers. Raises `StorageError` where another has it."""
        # the first layer stays as long as its image, and QEMU opens no lease
        with self._directory("lock the layers") as directory:
            lock = directory.open_file(self._first_uuid + LEASE, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise StorageError(
                f"disk {self.name!r}: another run works on its snapshots; run again when it is done"
            ) from None
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def _directory(self, doing: str) -> t.Iterator[Directory]:
        with explained(self._doing(doing)), self._images() as images, images.child(self.image_uuid) as directory:
            try:
                yield directory
            except ValueError as exc:
                raise StorageError(f"disk {self.name!r}: {exc}") from exc

    @contextlib.contextmanager
    def _images(self) -> t.Iterator[Directory]:
        with Directory.open(self.place.path) as top, top.child(IMAGES) as images:
            yield images

    def _doing(self, doing: str) -> str:
        return f"{doing} of disk {self.name} in storage domain {self.place.name}"


@contextlib.contextmanager
def _named(name: str) -> t.Iterator[None]:
    try:
        yield
    except ValueError as exc:
        raise ValueError(f"{name}: {exc}") from None


def _reader(directory: Directory, name: str) -> t.Callable[[int, int], bytes]:
    return lambda offset, length: _read_direct(directory, name, offset, length)


def _read_direct(directory: Directory, name: str, offset: int, length: int) -> bytes:
    """Part of a file past all caches, those of the bricks too: QEMU writes directly, and through another client."""
    skipped = offset % DIRECT_BYTES
    blocks = -(-(skipped + length) // DIRECT_BYTES) or 1
    descriptor = directory.open_file(name, os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, blocks * DIRECT_BYTES) as aligned:
            read_bytes = os.preadv(descriptor, [aligned], offset - skipped)
            return aligned[skipped : min(skipped + length, read_bytes)]
    finally:
        os.close(descriptor)
