# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: the images of a VM that is to go with them, and everybody else who may use one."""

from __future__ import annotations

import functools
import threading
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _domain,
    _domain_record,
    _errors,
    _found_image,
    _libvirt,
    _one_name,
    _plan,
    _storage,
    _storage_domain_users,
    _use_record,
    _xml,
)

_MEND: t.Final = "take it out there, or leave delete_disks out"


class VmDisks:
    """Deletes the images that a VM writes to and nobody else uses. Others of it stay: shared and read-only ones."""

    def __init__(self, storage: _storage.Storage, libvirt: _libvirt.Libvirt) -> None:
        self._storage = storage
        self._libvirt = libvirt
        # a storage domain's listing is kept in step with what is deleted, for one deletion at a time
        self._turn = threading.Lock()
        #: the images that are deleted: the domain that they go with, and their names
        self._going: dict[str, tuple[str, str]] = {}

    def deletions(self, current: _domain_record.DomainRecord) -> list[_plan.Action]:
        """Raises `StorageError` naming an image that somebody else uses, before anything is changed."""
        (current,) = _one_name.OneName().of_records([current])
        begun, there = [], []
        for storage_domain, image in sorted(_parts(current)):
            found = self._storage.find_image(storage_domain, image)
            place = self._storage.find(storage_domain)
            if found:
                there.append(found)
            elif image in self._storage.listing(place).removed:
                begun.append(self._finish(place, image, current))
        there.sort(key=lambda found: found.name)
        return [*begun, *(self._deletion(found, current) for found in there)]

    def _finish(
        self, place: _found_image.MountedStorageDomain, image_uuid: str, current: _domain_record.DomainRecord
    ) -> _plan.Action:
        """Delete what a killed run left of an image."""

        def run() -> None:
            with self._turn:
                self._storage.delete(place, image_uuid)

        words = f"finish deleting image {image_uuid} from storage domain {place.name}"
        return _plan.Action(words, run, waits=current.is_active)

    def _deletion(self, found: _found_image.FoundImage, current: _domain_record.DomainRecord) -> _plan.Action:
        self._require_no_other(found, current, self._users, self._storage.other_uses(found.place))
        if not current.is_active:
            self._storage.require_closed(found, "deleted")
        self._going[found.image_uuid] = (current.name, found.name)

        def again() -> None:
            # it may have been given to another meanwhile
            uses = self._storage.other_uses(found.place, anew=True)
            self._require_no_other(found, current, self._read_users(), uses)

        def run() -> None:
            with self._turn:
                self._storage.delete(found.place, found.image_uuid, found, again)

        words = f"delete disk {found.name} from storage domain {found.place.name}"
        return _plan.Action(words, run, waits=current.is_active)

    def _require_no_other(
        self,
        found: _found_image.FoundImage,
        current: _domain_record.DomainRecord,
        here: t.Mapping[str, dict[str, str]],
        other_uses: _use_record.OtherUses,
    ) -> None:
        refused = f"domain {current.name}: disk {found.name!r} cannot be deleted"
        users = [name for uuid, name in here.get(found.image_uuid, {}).items() if uuid != current.uuid]
        if users:
            raise _errors.StorageError(f"{refused}: it is used by domain {', '.join(users)} of this host; {_MEND}")
        clones = self._storage.listing(found.place).sharers(found.image)
        if clones:
            names = ", ".join(image.name or image.uuid for image in clones)
            raise _errors.StorageError(f"{refused}: it is the template of {names}; delete them first")
        uses = other_uses.without(current.uuid)
        if uses.faults:
            raise _errors.StorageError(
                f"{refused}: a record of another host's use cannot be read: {'; '.join(uses.faults)}; take it away if"
                " it is of no use, or leave delete_disks out"
            )
        elsewhere = uses.of(found.image_uuid)
        if elsewhere:
            raise _errors.StorageError(f"{refused}: it is used by {', '.join(map(str, elsewhere))}; {_MEND}")

    def require_unwanted(self, name: str, configured: _xml.Element | None) -> None:
        """Raises `StorageError` where a domain is to have an image that goes with another of its list."""
        if not self._going or configured is None:
            return
        for images in _storage_domain_users.images_in(_one_name.OneName().of(configured)).values():
            for image in sorted(images & self._going.keys()):
                owner, disk = self._going[image]
                raise _errors.StorageError(
                    f"domain {owner}: disk {disk!r} cannot be deleted: domain {name} is to have it; {_MEND}"
                )

    @functools.cached_property
    def _users(self) -> dict[str, dict[str, str]]:
        return self._read_users()

    def _read_users(self) -> dict[str, dict[str, str]]:
        """Image → the domains of this host that name it at any layer, by uuid."""
        found: dict[str, dict[str, str]] = {}
        for record in _one_name.OneName().of_records(self._libvirt.domains()):
            for configuration in (record.live, record.saved, record.inactive):
                for images in _storage_domain_users.images_in(configuration).values():
                    for image in images:
                        found.setdefault(image, {})[record.uuid] = record.name
        return found


def _parts(current: _domain_record.DomainRecord) -> set[tuple[str, str]]:
    """Storage domain and uuid of each image that a VM writes to."""
    keys: set[str] = set()
    for configuration in (current.live, current.saved, current.inactive):
        if configuration is not None:
            keys |= _domain.written_images(configuration)
    # an image has several keys where a running VM is on another layer of it
    return {(key.split("/")[0], key.split("/")[2]) for key in keys if key.count("/") == 3}
