# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: the images of a VM that is to go with them, and everybody else who may use one."""

from __future__ import annotations

import functools
import threading
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _xml
from ansible_collections.gfapi.virt.plugins.module_utils._domain import written_images
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord
from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._found_image import FoundImage, MountedStorageDomain
from ansible_collections.gfapi.virt.plugins.module_utils._libvirt import Libvirt
from ansible_collections.gfapi.virt.plugins.module_utils._one_name import OneName
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Action
from ansible_collections.gfapi.virt.plugins.module_utils._storage import Storage
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain_users import images_in
from ansible_collections.gfapi.virt.plugins.module_utils._use_record import OtherUses

_MEND: t.Final = "take it out there, or leave delete_disks out"


class VmDisks:
    """Deletes the images that a VM writes to and nobody else uses. Others of it stay: shared and read-only ones."""

    def __init__(self, storage: Storage, libvirt: Libvirt) -> None:
        self._storage = storage
        self._libvirt = libvirt
        # a storage domain's listing is kept in step with what is deleted, for one deletion at a time
        self._turn = threading.Lock()
        #: the images that are deleted: the domain that they go with, and their names
        self._going: dict[str, tuple[str, str]] = {}

    def deletions(self, current: DomainRecord) -> list[Action]:
        """Raises `StorageError` naming an image that somebody else uses, before anything is changed."""
        (current,) = OneName().of_records([current])
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

    def _finish(self, place: MountedStorageDomain, image_uuid: str, current: DomainRecord) -> Action:
        """Delete what a killed run left of an image."""

        def run() -> None:
            with self._turn:
                self._storage.delete(place, image_uuid)

        words = f"finish deleting image {image_uuid} from storage domain {place.name}"
        return Action(words, run, waits=current.is_active)

    def _deletion(self, found: FoundImage, current: DomainRecord) -> Action:
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
        return Action(words, run, waits=current.is_active)

    def _require_no_other(
        self, found: FoundImage, current: DomainRecord, here: t.Mapping[str, dict[str, str]], other_uses: OtherUses
    ) -> None:
        refused = f"domain {current.name}: disk {found.name!r} cannot be deleted"
        users = [name for uuid, name in here.get(found.image_uuid, {}).items() if uuid != current.uuid]
        if users:
            raise StorageError(f"{refused}: it is used by domain {', '.join(users)} of this host; {_MEND}")
        clones = self._storage.listing(found.place).sharers(found.image)
        if clones:
            names = ", ".join(image.name or image.uuid for image in clones)
            raise StorageError(f"{refused}: it is the template of {names}; delete them first")
        uses = other_uses.without(current.uuid)
        if uses.faults:
            raise StorageError(
                f"{refused}: a record of another host's use cannot be read: {'; '.join(uses.faults)}; take it away if"
                " it is of no use, or leave delete_disks out"
            )
        elsewhere = uses.of(found.image_uuid)
        if elsewhere:
            raise StorageError(f"{refused}: it is used by {', '.join(map(str, elsewhere))}; {_MEND}")

    def require_unwanted(self, name: str, configured: _xml.Element | None) -> None:
        """Raises `StorageError` where a domain is to have an image that goes with another of its list."""
        if not self._going or configured is None:
            return
        for images in images_in(OneName().of(configured)).values():
            for image in sorted(images & self._going.keys()):
                owner, disk = self._going[image]
                raise StorageError(
                    f"domain {owner}: disk {disk!r} cannot be deleted: domain {name} is to have it; {_MEND}"
                )

    @functools.cached_property
    def _users(self) -> dict[str, dict[str, str]]:
        return self._read_users()

    def _read_users(self) -> dict[str, dict[str, str]]:
        """Image → the domains of this host that name it at any layer, by uuid."""
        found: dict[str, dict[str, str]] = {}
        for record in OneName().of_records(self._libvirt.domains()):
            for configuration in (record.live, record.saved, record.inactive):
                for images in images_in(configuration).values():
                    for image in images:
                        found.setdefault(image, {})[record.uuid] = record.name
        return found


def _parts(current: DomainRecord) -> set[tuple[str, str]]:
    """Storage domain and uuid of each image that a VM writes to."""
    keys: set[str] = set()
    for configuration in (current.live, current.saved, current.inactive):
        if configuration is not None:
            keys |= written_images(configuration)
    # an image has several keys where a running VM is on another layer of it
    return {(key.split("/")[0], key.split("/")[2]) for key in keys if key.count("/") == 3}
