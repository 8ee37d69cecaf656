# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: a storage domain as a whole, and the libvirt domains of this host that use it."""

from __future__ import annotations

import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _image_users, _one_name, _xml

if t.TYPE_CHECKING:
    from ansible_collections.gfapi.virt.plugins.module_utils import _domain_record

#: guests that are asked and waited for side by side
MAX_STOPPED_AT_ONCE: t.Final = 64


class ImageReference(t.NamedTuple):
    """A source of a domain's disk, at any layer, that is an image volume of some storage domain."""

    user: _image_users.ImageUser
    source: str
    storage_domain_uuid: str
    image_uuid: str
    volume_uuid: str


class StorageDomainUsers(_image_users.ImageUsers):
    """Who uses a storage domain, a volume, or anything at all; and how they are stopped."""

    def in_storage_domain(self, storage_domain_uuid: str) -> tuple[_image_users.ImageUser, ...]:
        """The domains with a disk whose chain holds any image of a storage domain, running ones first."""
        return self._with(f"/{storage_domain_uuid}/images/")

    def on_volume(self, location: str, points: t.Sequence[str]) -> tuple[_image_users.ImageUser, ...]:
        """The domains with a disk on a volume, or in a directory of it; and on mounts of that. Running ones first."""
        files = tuple(f"{point}/" for point in points)

        def lies_there(source: _xml.Element) -> bool:
            if source.get("protocol") == "gluster":
                return _image_users.path_of(source).startswith(f"{location}/")
            return source.get("file", "").startswith(files)

        return self._that(lies_there)

    def uuids(self) -> set[str]:
        """The uuid of every domain of this host."""
        return {record.uuid for record in self._domains()}

    def stop(self, names: t.Sequence[str], *, timeout_s: float, destroy: bool) -> None:
        """Shut running domains down, all at once, or end them; raises `LibvirtError` for one whose guest goes on."""
        # not at the top: seldom needed, and dear
        import concurrent.futures

        from ansible_collections.gfapi.virt.plugins.module_utils import _libvirt_domains

        libvirt = _libvirt_domains.LibvirtDomains(self._uri)
        self._records = None

        def stop_one(name: str) -> None:
            limit_s = 0 if destroy else timeout_s
            libvirt.shut_down(name, timeout_s=limit_s, force=destroy, allowed_by="running_vms: destroy")

        with concurrent.futures.ThreadPoolExecutor(MAX_STOPPED_AT_ONCE) as pool:
            list(pool.map(stop_one, names))

    def references(self) -> tuple[ImageReference, ...] | None:
        """Every image volume that a domain of this host names, running or not; `None` on a host without libvirt."""
        if not self._is_here:
            return None
        return tuple(reference for record in self._domains() for reference in _references(record))


def images_in(configuration: _xml.Element | None) -> dict[str, set[str]]:
    """Storage domain → the images of it that a domain's disks name at any layer, all by uuid."""
    found: dict[str, set[str]] = {}
    for _target_name, path in _all_sources(configuration):
        match = _one_name.IMAGE_VOLUME.fullmatch(path)
        if match:
            found.setdefault(match[1], set()).add(match[2])
    return found


def _references(record: _domain_record.DomainRecord) -> list[ImageReference]:
    live, saved, inactive = map(_all_sources, (record.live, record.saved, record.inactive))
    found = []
    for target, path in {**live, **saved, **inactive}:
        match = _one_name.IMAGE_VOLUME.fullmatch(path)
        if match:
            user = _image_users.ImageUser(record.name, record.live is not None, target, saved=(target, path) in saved)
            found.append(ImageReference(user, path, *match.groups()))
    return found


def _all_sources(configuration: _xml.Element | None) -> dict[tuple[str, str], None]:
    """Target and path of every source of every disk, in order, each once."""
    disks = () if configuration is None else configuration.iterfind("devices/disk")
    return {
        (_image_users.target_of(disk), _image_users.path_of(source)): None
        for disk in disks
        for source in disk.iter("source")
    }
