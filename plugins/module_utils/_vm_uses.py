# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: the VMs of this host's libvirt, and what hosts note of them on the storage domains of their images.

A storage domain that is not mounted here gets no note, and its images are not looked at.
"""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t
import uuid as uuids

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _domain,
    _domain_record,
    _errors,
    _files,
    _found_image,
    _image_files,
    _libvirt_domains,
    _migration,
    _one_name,
    _plan,
    _storage,
    _storage_domain,
    _storage_domain_users,
    _use_notes,
    _use_record,
    _use_records,
    _vm_disks,
    _xml,
)

START: t.Final = "start on"
GIVEN: t.Final = "be given"
#: storage domain → images
Images = dict[str, frozenset[str]]


class ImageVolumeOf(t.NamedTuple):
    """An image volume that a VM writes to, or is to: it is to `start on` it, or to `be given` it while it runs."""

    vm: str
    doing: str
    place: _found_image.MountedStorageDomain
    image_uuid: str
    volume_uuid: str
    #: with other VMs, on purpose
    is_shared: bool = False

    @property
    def refusal(self) -> str:
        """How a refusal begins; the image's name follows."""
        return f"domain {self.vm} cannot {self.doing} image"


class VmUses:
    """Notes what the VMs of this host use, and keeps a second host from starting on the same images."""

    def __init__(self, storage: _storage.Storage, libvirt: _libvirt_domains.LibvirtDomains) -> None:
        self._storage = storage
        self._libvirt = libvirt
        self._me = _use_records.this_host()
        self._places: dict[str, _found_image.MountedStorageDomain | None] = {}
        self._swept: set[str] = set()
        #: opened once: each step to it costs a round trip to the bricks, for every VM
        self._own: dict[str, _files.Directory | None] = {}
        self._names = _one_name.OneName()

    @property
    def _is_noted(self) -> bool:
        return self._libvirt.uri.endswith("///system")

    def warnings_for(self, name: str, configured: _xml.Element | None) -> tuple[str, ...]:
        """That no host will know of the images of a VM which is not noted."""
        if self._is_noted or not _storage_domain_users.images_in(configured):
            return ()
        return (
            f"domain {name}: what it uses is noted by a run on its hypervisor with uri qemu:///system only, so while it"
            " does not run, other hosts do not know that its images are used",
        )

    @functools.cached_property
    def disks(self) -> _vm_disks.VmDisks:
        """The images that go with a VM."""
        return _vm_disks.VmDisks(self._storage, self._libvirt)

    def noting(
        self,
        plan: _plan.Plan,
        current: _domain_record.DomainRecord | None,
        after: _xml.Element | None,
        running: _xml.Element | None,
        *,
        leaves: bool = False,
    ) -> _plan.Plan:
        """The plan with the notes: what a VM is to use before its first action, what it uses after its last.

        A VM without a note gets one, also where nothing else is to be done. `after` is the configuration in the end,
        `running` the running domain then, and `leaves` whether it is on another host then.
        """
        if not self._is_noted:
            return plan
        live, saved, inactive = (current.live, current.saved, current.inactive) if current else (None, None, None)
        # undefining takes the managed save along
        last = self._images(running, None if after is None else saved, after)
        first = _union(last, self._images(live, saved, inactive))
        if leaves:
            last = {}
        if not first:
            return plan
        name = current.name if current else t.cast(_xml.Element, after).findtext("name", "")
        if not plan.actions:
            uuid = t.cast(_domain_record.DomainRecord, current).uuid
            late = [sd for sd in first if self._noted(sd, uuid) != _text(self._record(name, uuid, last.get(sd)))]
            names = ", ".join(t.cast(_found_image.MountedStorageDomain, self._place(sd)).name for sd in late)
            words = f"note domain {name} as a user of its images in storage domain {names}"
            note = _plan.Action(words, lambda: self._note(name, uuid, first, last))
            return plan._replace(actions=(note,)) if late else plan
        actions = list(plan.actions)
        actions[0] = self._before(actions[0], name, current, t.cast(_xml.Element, after), first)
        actions[-1] = self._behind(actions[-1], name, current, t.cast(_xml.Element, after), first, last)
        return plan._replace(actions=tuple(actions))

    def _before(
        self,
        action: _plan.Action,
        name: str,
        current: _domain_record.DomainRecord | None,
        after: _xml.Element,
        images: Images,
    ) -> _plan.Action:
        def run() -> None:
            if current:
                self._note(name, current.uuid, images, images)
                self._require_there(name, images, self._images(current.live, current.saved, current.inactive))
                action.run()
                return
            # libvirt takes the uuid that is there, so the note comes first
            uuid = str(uuids.uuid4())
            after.insert(0, _xml.element("uuid", text=uuid))
            try:
                with contextlib.ExitStack() as held:
                    self._note(name, uuid, images, images, held)
                    self._require_there(name, images, {})
                    action.run()
            except _errors.GfapiError:
                self._note(name, uuid, images, {})
                raise

        return action._replace(run=run)

    def _require_there(self, name: str, images: Images, had: Images) -> None:
        """Raises `StorageError` where an image that a VM is to get was deleted since, before its note told of it."""
        for storage_domain, wanted in images.items():
            place = t.cast(_found_image.MountedStorageDomain, self._place(storage_domain))
            for image in sorted(wanted - had.get(storage_domain, frozenset())):
                if not self._storage.is_there(place, image):
                    raise _errors.StorageError(
                        f"domain {name}: image {image} of storage domain {place.name} was deleted meanwhile; run again"
                    )

    def _behind(
        self,
        action: _plan.Action,
        name: str,
        current: _domain_record.DomainRecord | None,
        after: _xml.Element,
        first: Images,
        last: Images,
    ) -> _plan.Action:
        def run() -> None:
            action.run()
            if first != last:
                self._note(name, current.uuid if current else after.findtext("uuid", ""), first, last)

        return action._replace(run=run)

    def forgetting(self, name: str) -> list[_plan.Action]:
        """What drops the notes of a VM that is not here any more, which a killed run left."""
        found: list[_plan.Action] = []
        if not self._is_noted:
            return found
        for place in self._storage.mounted():
            left = [
                uuid
                for uuid, vm in _use_notes.names_of_vms(place.mount.point, self._me).items()
                if vm == name and uuid not in self._uuids
            ]
            if left:
                words = f"forget domain {name} as a user of images in storage domain {place.name}"
                found.append(_plan.Action(words, functools.partial(self._forget, place)))
        return found

    def _forget(self, place: _found_image.MountedStorageDomain) -> None:
        with _use_notes.own_records(place.mount.point, self._me) as directory:
            self._sweep(place.storage_domain.uuid, directory)

    @functools.cached_property
    def _uuids(self) -> set[str]:
        return self._libvirt.uuids()

    def note_arrival(self, hostname: str, name: str, uuid: str, after: _xml.Element) -> None:
        """Note a VM that was migrated as one of the other host, where that one is known to have its images' domain."""
        for storage_domain, images in self._images(after).items():
            place = t.cast(_found_image.MountedStorageDomain, self._place(storage_domain))
            host = _migration.host_called(hostname, _use_records.read_others(place.mount.point, self._me).records)
            if host is not None:
                _use_notes.note_arrival(place.mount.point, _use_record.UseRecord(host, name, uuid, images))

    def _note(
        self, name: str, uuid: str, known: Images, images: Images, held: contextlib.ExitStack | None = None
    ) -> None:
        """Have the notes of a VM say what it uses, on every storage domain where it may have one.

        `held` keeps other runs of this host from clearing away the note of a VM that libvirt does not know yet.
        """
        for storage_domain in known:
            place = self._place(storage_domain)
            record = self._record(name, uuid, images.get(storage_domain))
            if place is None or self._noted(storage_domain, uuid) == _text(record):
                continue
            with contextlib.ExitStack() as own:
                entered = held or own
                directory = entered.enter_context(_use_notes.own_records(place.mount.point, self._me))
                self._sweep(storage_domain, directory)
                if record:
                    _use_notes.note(directory, uuid, record)
                else:
                    directory.remove(uuid)

    def _sweep(self, storage_domain: str, directory: _files.Directory) -> None:
        """Drop the notes of VMs that are not here any more."""
        if storage_domain not in self._swept:
            self._swept.add(storage_domain)
            _use_notes.sweep(directory, {_use_notes.HOST, *self._libvirt.uuids()})

    def _record(self, name: str, uuid: str, images: frozenset[str] | None) -> _use_record.UseRecord | None:
        return _use_record.UseRecord(self._me, name, uuid, images) if images else None

    def _noted(self, storage_domain: str, uuid: str) -> str:
        place = self._place(storage_domain)
        if place and not self._own.get(storage_domain):
            self._own[storage_domain] = _use_notes.open_own(place.mount.point, self._me)
        directory = self._own.get(storage_domain)
        return _use_notes.read_in(directory, uuid) if directory else ""

    def _images(self, *configurations: _xml.Element | None) -> Images:
        """What configurations name, of the storage domains that are mounted here."""
        found: Images = {}
        for configuration in configurations:
            if configuration is None:
                continue
            configuration = self._names.of(configuration)
            found = _union(
                found,
                {key: frozenset(images) for key, images in _storage_domain_users.images_in(configuration).items()},
            )
        return {key: images for key, images in found.items() if self._place(key)}

    def _place(self, storage_domain: str) -> _found_image.MountedStorageDomain | None:
        if storage_domain not in self._places:
            self._places[storage_domain] = None
            with contextlib.suppress(_errors.StorageError):
                self._places[storage_domain] = self._storage.find(storage_domain)
        return self._places[storage_domain]

    # --- starting ---------------------------------------------------------------------------------------------------

    def require_startable(self, name: str, used: t.Sequence[_xml.Element], doing: str = START) -> None:
        """Raises `StorageError` while another host has an image open that a VM would write to."""
        self._require_ours(self._written(name, used, doing))

    def start(self, name: str, used: t.Sequence[_xml.Element], *, paused: bool = False) -> None:
        """Start a VM, if no other host does so meanwhile."""
        with self.taking(name, used, START):
            self._libvirt.start(name, paused=paused)

    @contextlib.contextmanager
    def taking(self, name: str, used: t.Sequence[_xml.Element], doing: str) -> t.Iterator[None]:
        """Nobody else takes the images that a VM is to write to: their leases are locked, on all hosts."""
        written = self._written(name, used, doing)
        with contextlib.ExitStack() as locks:
            for volume in written:
                # those who share an image may start side by side
                if not volume.is_shared:
                    locks.enter_context(_starting(volume))
            self._require_ours(written)
            yield

    def _written(self, name: str, used: t.Sequence[_xml.Element], doing: str) -> list[ImageVolumeOf]:
        found: dict[str, bool] = {}
        for configuration in map(_one_name.OneName().of, used):
            for key, is_shared in _domain.writable_images(configuration).items():
                found[key] = is_shared and found.get(key, True)
        volumes = []
        for key in sorted(key for key in found if key.count("/") == 3):
            storage_domain, _images, image, volume = key.split("/")
            place = self._place(storage_domain)
            if place:
                volumes.append(ImageVolumeOf(name, doing, place, image, volume, found[key]))
        return volumes

    def _require_ours(self, volumes: t.Sequence[ImageVolumeOf]) -> None:
        """Raises `StorageError` for a template, and for an image that is open, and not by a VM of this host.

        One of this host may read it, or share it on purpose where both do. Of what is shared nobody knows whether a VM
        of another host shares it, too.
        """
        for volume in volumes:
            self._require_top(volume)
        opened = _opened(volumes)
        if not opened:
            return
        running = _one_name.OneName().of_records(
            record for record in self._libvirt.domains() if record.live is not None
        )
        here = [_storage_domain_users.images_in(record.live) for record in running]
        for volume in opened:
            uuid = volume.place.storage_domain.uuid
            file = f"/{volume.image_uuid}/{volume.volume_uuid}"
            for record in running:
                written = _domain.writable_images(t.cast(_xml.Element, record.live))
                shares = [is_shared for key, is_shared in written.items() if key.endswith(file)]
                if record.name != volume.vm and shares and not (volume.is_shared and all(shares)):
                    raise _errors.StorageError(
                        f"{volume.refusal} {self._name_of(volume)}: domain {record.name} of"
                        " this host writes to it; two would destroy it; stop that first"
                    )
            if volume.is_shared or any(volume.image_uuid in images.get(uuid, ()) for images in here):
                continue
            users = self._storage.other_uses(volume.place).running(volume.image_uuid)
            who = f"used by {users}" if users else "open on its bricks, for a VM of another host or a program"
            raise _errors.StorageError(
                f"{volume.refusal} {self._name_of(volume)}: it is {who}; two would destroy it; stop that first"
            )

    def _require_top(self, volume: ImageVolumeOf) -> None:
        """Raises `StorageError` for an image that clones build on, and for a layer that others of its image build on.

        It was neither when the VM got it.
        """
        image = self._storage.as_it_is(volume.place, volume.image_uuid)
        if image and image.is_template:
            raise _errors.StorageError(
                f"{volume.refusal} {image.name or image.uuid}: it is a template, and to write to it would destroy its"
                " clones; give the domain a clone of it (gfapi.virt.gfapi_disk with clone_of)"
            )
        if image and volume.volume_uuid != image.leaf.uuid:
            raise _errors.StorageError(
                f"{volume.refusal} {image.name or image.uuid}: the domain has {volume.volume_uuid} of it, which is"
                f" below a snapshot, and to write to it would destroy what {image.leaf.uuid} builds on; finish the"
                " snapshot (gfapi.virt.gfapi_snapshot), or name the disk once more (disks)"
            )

    def _name_of(self, volume: ImageVolumeOf) -> str:
        image = self._storage.listing(volume.place).images.get(volume.image_uuid)
        return (image and image.name) or volume.image_uuid


@contextlib.contextmanager
def _directory_of(volume: ImageVolumeOf) -> t.Iterator[_files.Directory]:
    path = f"{_storage_domain.IMAGES}/{volume.image_uuid}"
    with _files.Directory.open(volume.place.path) as root, root.below(path) as directory:
        yield directory


@contextlib.contextmanager
def _starting(volume: ImageVolumeOf) -> t.Iterator[None]:
    """Holds the locks of an image while a VM starts on it; gluster has them for all hosts.

    Whoever works on its layers has the lock of the lowest that is its own; a template's is that of all clones.
    """
    doing = f"lock image {volume.image_uuid} for domain {volume.vm}"
    with _files.explained(doing), contextlib.ExitStack() as opened:
        with contextlib.suppress(FileNotFoundError):
            directory = opened.enter_context(_directory_of(volume))
            for name in _image_files.own_layers(directory):
                with contextlib.suppress(FileNotFoundError):
                    opened.enter_context(_locked(directory, name + _image_files.LEASE, volume))
        yield


@contextlib.contextmanager
def _locked(directory: _files.Directory, name: str, volume: ImageVolumeOf) -> t.Iterator[None]:
    lease = directory.open_file(name, os.O_RDWR)
    try:
        if not _files.take_lock(lease, 0):
            raise _errors.StorageError(
                f"{volume.refusal} {volume.image_uuid}: another domain is being started on it, or"
                " another run works on it; run again when that is done"
            )
        yield
    finally:
        _files.release(lease)


def _opened(volumes: t.Sequence[ImageVolumeOf]) -> list[ImageVolumeOf]:
    return _files.lasting(lambda: [volume for volume in volumes if _is_open(volume)])


def _is_open(volume: ImageVolumeOf) -> bool:
    doing = _files.explained(f"look at image {volume.image_uuid}")
    with doing, contextlib.suppress(FileNotFoundError), _directory_of(volume) as directory:
        return directory.is_open(volume.volume_uuid)
    return False


def _text(record: _use_record.UseRecord | None) -> str:
    return record.to_text() if record else ""


def _union(left: Images, right: Images) -> Images:
    return {key: left.get(key, frozenset()) | right.get(key, frozenset()) for key in {**left, **right}}
