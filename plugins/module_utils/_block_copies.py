# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: running disks of this host's libvirt, and the new images of a storage domain they are copied to."""

from __future__ import annotations

import contextlib
import functools
import os
import posixpath
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _conversion,
    _disk,
    _domain_record,
    _errors,
    _files,
    _found_image,
    _image,
    _image_files,
    _image_paths,
    _libvirt_jobs,
    _plan,
    _storage,
    _storage_domain,
    _storage_domain_users,
    _xml,
)

#: vdsm's group, which every image belongs to
STORAGE_GID: t.Final = 36
MADE: t.Final = "made"
COPYING: t.Final = "copying"
_UUID: t.Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_IN_STORAGE_DOMAIN: t.Final = re.compile(rf"/{_UUID}/{_storage_domain.IMAGES}/{_UUID}/{_UUID}$")


def _may_open_images(domain: str) -> bool:
    """Whether a running QEMU is root or in the group of images; true where nobody tells."""
    with contextlib.suppress(OSError, ValueError):
        with open(f"/run/libvirt/qemu/{domain}.pid", encoding="ascii") as file:
            process = int(file.read())
        with open(f"/proc/{process}/status", encoding="utf-8", errors="replace") as file:
            rows = dict(line.split(":", 1) for line in file if ":" in line)
        return "0" in rows["Uid"].split() or str(STORAGE_GID) in (rows["Gid"] + rows["Groups"]).split()
    return True


@dataclass(frozen=True)
class Copy:
    """A running disk, and the new image that it goes on with."""

    disk: _disk.Disk
    source: _conversion.BothWays
    place: _found_image.MountedStorageDomain
    volume: _image.ImageVolume
    image: _conversion.BothWays
    #: how far a killed run has come with it: it made the image, or QEMU copies since
    begun: str = ""


class BlockCopies:
    """Copies running disks."""

    def __init__(self, storage: _storage.Storage, paths: _image_paths.ImagePaths) -> None:
        self._storage = storage
        self._paths = paths

    def plan(
        self,
        libvirt: _libvirt_jobs.LibvirtJobs,
        current: _domain_record.DomainRecord,
        disk: _disk.Disk,
        source: _conversion.BothWays,
        storage_domain: str,
    ) -> Copy:
        """The image that a disk is to be copied to, or that a killed run has begun with.

        Raises where there is another image of its name, or no space.
        """
        place, domain = self._storage.find(storage_domain), current.name
        name = _conversion.copy_name(domain, disk.target)
        if not _may_open_images(domain):
            raise ValueError(
                f"domain {domain}: its QEMU was started before its user was in group {STORAGE_GID}, and cannot open an"
                " image of the storage domain; restart the domain first, or convert it another way"
            )
        virtual_bytes, taken_bytes = self._paths.sizes(source, disk.format)
        volume = _image.ImageVolume.base(
            place.storage_domain.uuid,
            name,
            note="",
            version=place.version,
            format=disk.format,
            capacity_bytes=_image.padded(virtual_bytes),
            created_at=_image_files.now(),
        )
        path = f"{place.storage_domain.uuid}/{_storage_domain.IMAGES}/{volume.image_uuid}/{volume.uuid}"
        inside = posixpath.join(place.mount.spec.directory, path)
        gluster = _disk.DiskSource.gluster(place.mount.spec.volume, inside, self._paths.servers.of(place.mount))
        file = _disk.DiskSource(file=posixpath.join(place.mount.point, path))
        copy = Copy(
            disk,
            source,
            place,
            volume,
            _conversion.BothWays(_conversion.Reached(file, ()), _conversion.Reached(gluster, ())),
        )
        found = self._storage.find_image(place.storage_domain.uuid, name)
        if found is None:
            self._storage.reserve(place, name, virtual_bytes if disk.format == "raw" else taken_bytes)
            return copy
        if _conversion.is_copying(current.live, disk.target, file):
            return replace(copy, begun=COPYING)
        alike = (volume.uuid, volume.format, volume.capacity_bytes)
        leaf = found.image.leaf
        is_alike = len(found.image.volumes) == 1 and (leaf.uuid, leaf.format, leaf.capacity_bytes) == alike
        is_free = is_alike and not self._is_used(libvirt, place, volume.image_uuid)
        if is_free and self._paths.is_empty(copy.image, disk.format):
            return replace(copy, begun=MADE)
        raise ValueError(
            f"disk {disk.target} of domain {domain} would be copied into a new image {name}, but storage domain"
            f" {place.name} has a disk of that name, with something in it or another user; if an"
            " interrupted copy left it, delete it (gfapi.virt.gfapi_disk with state: absent); else"
            " convert the domain another way"
        )

    def _is_used(
        self, libvirt: _libvirt_jobs.LibvirtJobs, place: _found_image.MountedStorageDomain, image_uuid: str
    ) -> bool:
        """Whether a VM names an image, here or on another host."""
        for record in libvirt.domains():
            for configuration in (record.live, record.saved, record.inactive):
                if any(image_uuid in images for images in _storage_domain_users.images_in(configuration).values()):
                    return True
        uses = self._storage.other_uses(place)
        return bool(uses.faults or uses.of(image_uuid))

    def actions(
        self,
        libvirt: _libvirt_jobs.LibvirtJobs,
        domain: str,
        copies: t.Sequence[Copy],
        access: str,
        after: _xml.Element,
    ) -> list[_plan.Action]:
        """All images are made and filled before any disk goes over to its own; until then nothing has changed."""
        if not copies:
            return []
        made = [self._making(libvirt, domain, copy) for copy in copies if not copy.begun]
        copied = [self._copying(libvirt, domain, copy, access) for copy in copies]
        gone_over = [
            _plan.Action(
                f"have disk {copy.disk.target} of domain {domain} go on with image {copy.volume.alias}",
                functools.partial(self._go_over, libvirt, domain, copy),
                waits=True,
            )
            for copy in copies
        ]
        defining = _plan.Action(f"change disks of domain {domain}", lambda: libvirt.define(after), waits=True)
        return [*made, *copied, *gone_over, defining]

    @staticmethod
    def _go_over(libvirt: _libvirt_jobs.LibvirtJobs, domain: str, copy: Copy) -> None:
        libvirt.pivot(domain, copy.disk.target)

    def _making(self, libvirt: _libvirt_jobs.LibvirtJobs, domain: str, copy: Copy) -> _plan.Action:
        volume, place = copy.volume, copy.place
        kind = f"{volume.capacity_bytes} bytes ({volume.format})"
        words = f"create disk {volume.alias} of {kind} in storage domain {place.name}"
        undo = _plan.Action(
            f"delete disk {volume.alias} in storage domain {place.name}", lambda: self._unmake(libvirt, domain, copy)
        )
        return _plan.Action(words, lambda: self._storage.create(place, volume), undo=undo)

    def _unmake(self, libvirt: _libvirt_jobs.LibvirtJobs, domain: str, copy: Copy) -> None:
        volume, place = copy.volume, copy.place
        # a disk that went over before another one failed stays with it
        record = libvirt.domain(domain)
        if record is not None and record.live is not None and volume.image_uuid in _xml.to_text(record.live):
            raise _errors.StorageError(f"disk {volume.alias}: domain {domain} uses it by now")
        self._storage.delete(
            place, volume.image_uuid, self._storage.find_image(place.storage_domain.uuid, volume.alias)
        )

    def _copying(self, libvirt: _libvirt_jobs.LibvirtJobs, domain: str, copy: Copy, access: str) -> _plan.Action:
        disk, new = copy.disk, copy.image.by(access).source
        element = _conversion.copy_element(disk, copy.volume.format, new)

        def run() -> None:
            if copy.begun == COPYING:
                libvirt.await_copy(domain, disk.target)
                return
            if copy.begun:
                self._storage.require_closed(
                    self._storage.require_image(copy.place.storage_domain.uuid, copy.volume.alias), "copied into"
                )
                # where the killed run made it
                self._storage.clear(copy.place, copy.volume.image_uuid)
            self._paths.require_apart(copy.source, copy.image)
            libvirt.copy_disk(domain, disk.target, element)

        def undo() -> None:
            libvirt.end_copy(domain, disk.target)
            if copy.begun:
                self._unmake(libvirt, domain, copy)

        word = "go on copying" if copy.begun == COPYING else "copy"
        return _plan.Action(
            f"{word} disk {disk.target} of domain {domain} into disk {copy.volume.alias}",
            run,
            waits=True,
            undo=_plan.Action(f"end the copy of disk {disk.target}", undo),
        )

    def deletions(
        self, libvirt: _libvirt_jobs.LibvirtJobs, domain: str, copies: t.Sequence[Copy]
    ) -> list[_plan.Action]:
        """The old files go; an image of a storage domain belongs to more than this, and stays."""
        paths = [copy.source.paths[0] for copy in copies]
        return [
            _plan.Action(
                f"delete image {path}, which domain {domain} had",
                functools.partial(self._delete, libvirt, path),
                waits=True,
            )
            for path in paths
            if not _IN_STORAGE_DOMAIN.search(path)
        ]

    def _delete(self, libvirt: _libvirt_jobs.LibvirtJobs, path: str) -> None:
        folder, _slash, name = path.rpartition("/")
        users = [record.name for record in libvirt.domains() if self._names(record.inactive, record.live, path)]
        if users:
            raise _errors.StorageError(f"cannot delete image {path}: domain {', '.join(users)} has it too")
        with (
            _files.explained(f"delete image {path}"),
            _files.Directory.open("/") as root,
            root.below(folder) as directory,
        ):
            if _files.lasting(lambda: directory.is_open(name)):
                raise _errors.StorageError(f"cannot delete image {path}: its bricks have it open, for somebody else")
            directory.remove(name)
            directory.sync()

    def _names(self, inactive: _xml.Element, live: _xml.Element | None, path: str) -> bool:
        both = self._paths.of_file(path, "raw")
        names = {path, both.gluster.source.name if both else None}
        configurations = [one for one in (inactive, live) if one is not None]
        sources = (node for one in configurations for node in one.iter("source"))
        return any(os.path.realpath(node.get("file", "/")) in names or node.get("name") in names for node in sources)
