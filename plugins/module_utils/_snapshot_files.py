# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: the layers of one image, through the mount."""

from __future__ import annotations

import contextlib
import mmap
import os
import posixpath
import typing as t
import uuid

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _errors,
    _files,
    _found_image,
    _image,
    _image_files,
    _qemu_img,
    _snapshot,
    _storage_domain,
)

#: what direct I/O may have to be aligned to
DIRECT_BYTES: t.Final = 4096
#: the header of a qcow2 file and the name of its backing file
HEAD_BYTES: t.Final = 4096


class Layers:
    """Reads and changes the image volumes of one image. Each change is whole or not there, whenever it is killed."""

    def __init__(
        self, qemu_img: _qemu_img.QemuImg, place: _found_image.MountedStorageDomain, image: _image.Image
    ) -> None:
        self._qemu_img = qemu_img
        self.place = place
        self.image_uuid = image.uuid
        self.name = image.name or image.uuid
        self._first_uuid = image.first.uuid

    def read(self, use: _snapshot.Use | None) -> _snapshot.State:
        """The image as its files show it now."""
        volumes: dict[str, _image.ImageVolume] = {}
        backing: dict[str, str] = {}
        empty: set[str] = set()
        with self._directory("read the layers") as directory:
            names = [
                name for name in directory.names() if name.endswith(_image_files.META) and not name.startswith(".")
            ]
            for name in names:
                with _named(name):
                    text = directory.read(name, _image_files.META_READ_BYTES).decode()
                    volume = _image.ImageVolume.from_text(name[: -len(_image_files.META)], text)
                volumes[volume.uuid] = volume
                if volume.format == "qcow2" and directory.is_there(volume.uuid):
                    head = _read_direct(directory, volume.uuid, 0, HEAD_BYTES)
                    with _named(volume.uuid):
                        backing[volume.uuid] = posixpath.basename(_image.backing_file_in(head) or "")
                    if _snapshot.is_without_data(head, _reader(directory, volume.uuid)):
                        empty.add(volume.uuid)
        return _snapshot.State(self.name, volumes, backing, frozenset(empty), use)

    def is_open(self) -> bool:
        """Whether anybody on any host has a layer open, but for a template's, which all clones have."""
        with self._directory("look for users") as directory:
            names = _image_files.own_layers(directory)
            return _files.lasting(lambda: any(map(directory.is_open, names)))

    def overlay(self, parent: _image.ImageVolume, like: _image.ImageVolume | None = None) -> None:
        """A new empty leaf; there once its `.meta` is, and swept away by the next one otherwise."""
        volume = _snapshot.overlay_of(parent, str(uuid.uuid4()), created_at=_image_files.now(), like=like)
        domain = self.place.storage_domain
        below = _qemu_img.Backing(parent.uuid, parent.format)
        with (
            _files.explained(self._doing("make a layer")),
            self._images() as images,
            _files.staging(images, self.image_uuid) as stage,
            images.child(self.image_uuid) as directory,
        ):
            data = self._qemu_img.empty_qcow2(volume.capacity_bytes, domain.qcow2_compat, below)
            self._sweep(directory)
            owner = directory.owner()
            descriptor = stage.new_file(volume.uuid, _image.DATA_MODE, owner)
            try:
                os.pwrite(descriptor, data.rstrip(b"\0"), 0)
                os.ftruncate(descriptor, _image.padded(len(data)))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            _image_files.make_lease(stage, volume.uuid, domain, owner)
            stage.write_new(
                volume.uuid + _image_files.META, volume.to_text(self.place.version).encode(), _image.META_MODE, owner
            )
            # the .meta last: with it the layer is there
            for name in (volume.uuid, volume.uuid + _image_files.LEASE, volume.uuid + _image_files.META):
                os.rename(name, name, src_dir_fd=stage.descriptor, dst_dir_fd=directory.descriptor)
                directory.sync()

    def sweep(self) -> None:
        """Remove layers that a killed run had not made whole: empty, closed, and without a `.meta`."""
        with self._directory("remove what a killed run left") as directory:
            self._sweep(directory)

    def _sweep(self, directory: _files.Directory) -> None:
        for name in filter(_storage_domain.is_uuid, directory.names()):
            if not directory.is_there(name + _image_files.META) and not directory.is_open(name):
                # one that is no qcow2 file is not ours
                with contextlib.suppress(ValueError):
                    head = _read_direct(directory, name, 0, HEAD_BYTES)
                    if _image.backing_file_in(head) and _snapshot.is_without_data(head, _reader(directory, name)):
                        directory.remove(name + _image_files.LEASE)
                        directory.remove(name)

    def write(self, volume: _image.ImageVolume) -> None:
        """Replace the `.meta` of an image volume."""
        text = volume.to_text(self.place.version)
        with self._directory("write the .meta of a layer") as directory:
            _image_files.write_meta(directory, volume.uuid, text, directory.owner())

    def commit(self, target: _image.ImageVolume, child: _image.ImageVolume, upper: _image.ImageVolume | None) -> None:
        """Write a layer into the one below it, and have the one above build on that one."""
        with self._directory("commit a layer") as directory:
            for volume in (child, target):
                with _named(volume.uuid):
                    _image.require_as_told(_read_direct(directory, volume.uuid, 0, HEAD_BYTES), volume)
            path = posixpath.join(directory.path, child.uuid)
            self._qemu_img.commit(path, child.capacity_bytes)
            self._pad(directory, target)
            if upper:
                path = posixpath.join(directory.path, upper.uuid)
                self._qemu_img.name_backing(path, _qemu_img.Backing(target.uuid, target.format))

    def pad(self, volume: _image.ImageVolume) -> None:
        """Mend the length of a file that QEMU may have grown."""
        with self._directory("pad a layer") as directory:
            self._pad(directory, volume)

    def _pad(self, directory: _files.Directory, volume: _image.ImageVolume) -> None:
        descriptor = directory.open_file(volume.uuid, os.O_RDWR)
        try:
            _files.pad(descriptor, _image.BLOCK_BYTES)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, volume: _image.ImageVolume) -> None:
        """Take away a layer that is marked to go; its `.meta`, which says so, last."""
        with self._directory("remove a layer") as directory:
            # the .meta last: with it the layer is there
            for name in (volume.uuid, volume.uuid + _image_files.LEASE, volume.uuid + _image_files.META):
                directory.remove(name)
            directory.sync()

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[None]:
        """Keeps the runs of all hosts but one from the image's layers. Raises `StorageError` where another has it."""
        with contextlib.ExitStack() as held:
            # the first layer stays as long as its image, and QEMU opens no lease
            with self._directory("lock the layers") as directory:
                lock = directory.open_file(self._first_uuid + _image_files.LEASE, os.O_RDWR)
                held.callback(_files.release, lock)
                if not _files.take_lock(lock, 0):
                    raise _errors.StorageError(
                        f"disk {self.name!r}: another run works on its snapshots; run again when it is done"
                    )
            yield

    @contextlib.contextmanager
    def _directory(self, doing: str) -> t.Iterator[_files.Directory]:
        with _files.explained(self._doing(doing)), self._images() as images, images.child(self.image_uuid) as directory:
            try:
                yield directory
            except ValueError as exc:
                raise _errors.StorageError(f"disk {self.name!r}: {exc}") from exc

    @contextlib.contextmanager
    def _images(self) -> t.Iterator[_files.Directory]:
        with _files.Directory.open(self.place.path) as top, top.child(_storage_domain.IMAGES) as images:
            yield images

    def _doing(self, doing: str) -> str:
        return f"{doing} of disk {self.name} in storage domain {self.place.name}"


@contextlib.contextmanager
def _named(name: str) -> t.Iterator[None]:
    try:
        yield
    except ValueError as exc:
        raise ValueError(f"{name}: {exc}") from None


def _reader(directory: _files.Directory, name: str) -> t.Callable[[int, int], bytes]:
    return lambda offset, length: _read_direct(directory, name, offset, length)


def _read_direct(directory: _files.Directory, name: str, offset: int, length: int) -> bytes:
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
