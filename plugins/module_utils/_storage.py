# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: the storage domains that this host has mounted, and their images."""

from __future__ import annotations

import contextlib
import posixpath
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _errors,
    _files,
    _found_image,
    _image,
    _image_files,
    _mounts,
    _qemu_img,
    _storage_domain,
    _storage_domain_read,
)

if t.TYPE_CHECKING:
    from ansible_collections.gfapi.virt.plugins.module_utils import _use_record


class Storage:
    """Finds storage domains and images. Each storage domain is looked at once, however often it is asked for."""

    def __init__(
        self,
        mounts: _mounts.Mounts | None = None,
        qemu_img: _qemu_img.QemuImg | None = None,
        *,
        mount_root: str = _storage_domain.MOUNT_ROOT,
    ) -> None:
        self._mounts = mounts or _mounts.Mounts()
        self.qemu_img = qemu_img or _qemu_img.QemuImg()
        self._files = _image_files.ImageFiles(self.qemu_img)
        self._mount_root = _mounts.real_mount_root(mount_root)
        self._found: dict[str, _found_image.MountedStorageDomain] = {}
        #: free on the volume and not yet spoken for, by the storage domain's uuid
        self._left_bytes: dict[str, int] = {}
        self._listings: dict[str, _image_files.Listing] = {}
        self._uses: dict[str, _use_record.OtherUses] = {}
        #: looked at ahead, by the image's uuid
        self._sizes: dict[str, _image.Sizes] = {}

    def find(self, wanted: str) -> _found_image.MountedStorageDomain:
        """The storage domain of that name, uuid or mount point; raises `StorageError` if it is not mounted here.

        By name and uuid only mounts right below the mount root are looked at.
        """
        if wanted not in self._found:
            place = self._find(wanted)
            self._found.update({wanted: place, place.storage_domain.uuid: place})
        return self._found[wanted]

    def reserve(self, place: _found_image.MountedStorageDomain, name: str, size_bytes: int) -> None:
        """Count a disk that will take so much; raises `StorageError` once they do not all fit."""
        uuid = place.storage_domain.uuid
        left_bytes = self._left_bytes[uuid]
        if size_bytes > left_bytes:
            raise _errors.StorageError(
                f"disk {name!r} takes {size_bytes} bytes and does not fit into storage domain {place.name}:"
                f" {left_bytes} bytes are free; free space or add bricks"
            )
        self._left_bytes[uuid] = left_bytes - size_bytes

    def listing(self, place: _found_image.MountedStorageDomain) -> _image_files.Listing:
        """All images of a storage domain, read once."""
        if place.path not in self._listings:
            with self._images_of(place, "list the disks") as images:
                self._listings[place.path] = self._files.read(images)
        return self._listings[place.path]

    def find_image(self, wanted: str, name: str) -> _found_image.FoundImage | None:
        """The image of that name, or uuid, in that storage domain; `None` if there is none."""
        place = self.find(wanted)
        image = self.listing(place).image(name)
        return None if image is None else self._with_sizes(place, image)

    def require_image(self, wanted: str, name: str) -> _found_image.FoundImage:
        """The same; raises `StorageError` for one that is not there or not usable."""
        listed = self.require_listed(wanted, name)
        found = self._with_sizes(listed.place, listed.image)
        if found is None:
            raise _errors.StorageError(
                f"disk {name!r} was deleted from storage domain {listed.place.name} meanwhile; run again"
            )
        return found

    def require_listed(self, wanted: str, name: str) -> _found_image.ListedImage:
        """The same without its sizes, which take a few round trips to the bricks an image."""
        place = self.find(wanted)
        image = self.listing(place).image(name)
        if image is None:
            known = ", ".join(self.listing(place).names[:10]) or "no disk"
            raise _errors.StorageError(
                f"storage domain {place.name} ({place.path}) has no disk {name!r}; it has {known}"
            )
        listed = _found_image.ListedImage(place, image)
        require_legal(listed)
        return listed

    def look_ahead(self, wanted: str, names: t.Iterable[str]) -> None:
        """Read the sizes of many images at once, for the next `find_image` of each."""
        place = self.find(wanted)
        found = list(filter(None, map(self.listing(place).image, names)))
        if not found:
            return
        # what cannot be read is told by `find_image`
        with contextlib.suppress(_errors.StorageError), self._images_of(place, "read disks") as images:
            sizes = _files.at_once(lambda image: self._files.sizes(images, image), found)
            self._sizes.update(zip((image.uuid for image in found), sizes))

    def _with_sizes(
        self, place: _found_image.MountedStorageDomain, image: _image.Image
    ) -> _found_image.FoundImage | None:
        """An image of the listing; `None` where another run has deleted it meanwhile."""
        sizes = self._sizes.pop(image.uuid, None)
        if sizes is None:
            with self._images_of(place, f"read how large disk {image.name} is") as images:
                try:
                    sizes = self._files.sizes(images, image)
                except OSError:
                    if images.stays(image.uuid):
                        raise
                    self.listing(place).put(image.uuid, None)
                    return None
        return _found_image.FoundImage.at(place, image, sizes)

    def source(self, found: _found_image.FoundImage) -> _image.Source:
        """What a copy of an image is made from; raises `StorageError` where qemu-img would open other files too."""
        self._require_as_told(found.place, found.image)
        return found.source

    def _require_as_told(self, place: _found_image.MountedStorageDomain, image: _image.Image) -> None:
        with self._images_of(place, f"look at the layers of disk {image.name}") as images:
            try:
                self._files.require_as_told(images, image)
            except ValueError as exc:
                raise _errors.StorageError(f"disk {image.name!r} is not opened: {exc}") from exc

    def require_closed(self, found: _found_image.FoundImage, what: str) -> None:
        """Raises `StorageError` while somebody whom this host's libvirt does not know has an image open."""
        with self._images_of(found.place, f"look at disk {found.name}") as images:
            if not _files.lasting(lambda: self._files.is_open(images, found.image_uuid)):
                return
        users = self.other_uses(found.place).running(found.image_uuid)
        refused = f"disk {found.name!r} cannot be {what}: "
        if users:
            raise _errors.StorageError(f"{refused}it is used by {users}; shut that down first")
        raise _errors.StorageError(
            f"{refused}its bricks have image {found.image_uuid} open, for a VM of another host or another program; stop"
            " that first"
        )

    @contextlib.contextmanager
    def closed(self, found: _found_image.FoundImage, doing: str, what: str) -> t.Iterator[_image.Image]:
        """Keeps everybody from an image that nobody has open: other runs, and VMs that one of them would start."""
        with self._layers_of(found, doing) as (_images, image):
            self.require_closed(found, what)
            yield image

    def other_uses(self, place: _found_image.MountedStorageDomain, *, anew: bool = False) -> _use_record.OtherUses:
        """What other hosts noted of their use of a storage domain, read once, or anew."""
        if anew or place.path not in self._uses:
            # not at the top: only what takes an image away, or changes it in place, asks
            from ansible_collections.gfapi.virt.plugins.module_utils import _use_records

            self._uses[place.path] = _use_records.read_others(place.mount.point, _use_records.this_host())
        return self._uses[place.path]

    def note_use(
        self, place: _found_image.MountedStorageDomain, vm: str, vm_uuid: str, image_uuid: str, *, used: bool
    ) -> None:
        """Have other hosts know that a VM of this host uses an image, or that it does no longer."""
        # not at the top: only a disk that is attached or taken out needs it
        from ansible_collections.gfapi.virt.plugins.module_utils import _use_notes, _use_record, _use_records

        _use_notes.note_image(
            place.mount.point, _use_record.UseRecord(_use_records.this_host(), vm, vm_uuid), image_uuid, used=used
        )

    def is_noted(self, place: _found_image.MountedStorageDomain, vm_uuid: str, image_uuid: str) -> bool:
        """Whether other hosts are told that a VM of this host uses an image."""
        from ansible_collections.gfapi.virt.plugins.module_utils import _use_notes, _use_records

        return image_uuid in _use_notes.images_noted(place.mount.point, _use_records.this_host(), vm_uuid)

    def create(
        self,
        place: _found_image.MountedStorageDomain,
        volume: _image.ImageVolume,
        source: _image.Source | None = None,
        template: _found_image.FoundImage | None = None,
    ) -> None:
        """Make an image: empty, filled, or on top of another, which is a template from then on.

        One that another run makes at this moment is well if it is alike.
        """
        if template and not template.image.is_template:
            with self._changing_layers(template, f"make disk {template.name} a template") as (images, below):
                self.require_closed(template, "made a template")
                self._files.write_meta(images, below, below.leaf.shared(), place.version)
        origin = template.image if template else None
        with self._changing(place, volume.image_uuid, f"create disk {volume.alias}") as images:
            made = self._files.create(images, volume, place.storage_domain, source, origin)
        if made:
            return
        image = self.listing(place).images.get(volume.image_uuid)
        there = "something that is no image; take it away"
        if image:
            kind = (image.name, image.format, image.leaf.capacity_bytes)
            if kind == (volume.alias, volume.format, volume.capacity_bytes):
                return
            there = "{1} disk {0} of {2} bytes, which another run made meanwhile; run again".format(*kind)
        raise _errors.StorageError(
            f"cannot create disk {volume.alias} in storage domain {place.name}: {place.path}/{_storage_domain.IMAGES}/"
            f"{volume.image_uuid} is {there}"
        )

    def grow(
        self, found: _found_image.FoundImage, size_bytes: int, *, resize_live: t.Callable[[], None] | None
    ) -> None:
        """Grow an image: its file, the guest's view of it where a VM runs (`resize_live`), and what `.meta` says.

        One that another run has made larger meanwhile stays as large.
        """
        with self._changing_layers(found, f"grow disk {found.name}") as (images, image):
            if image.is_template:
                raise _errors.StorageError(
                    f"disk {found.name!r} is a template, which its clones build on; grow the clones"
                )
            if resize_live is None:
                self.require_closed(found, "grown")
            there_bytes = self._files.sizes(images, image).virtual_bytes
            if there_bytes < size_bytes and resize_live is not None:
                # with shards each client adds to the length that it saw last, so one alone must change it
                resize_live()
                self._files.allocate(images, image, size_bytes)
            elif there_bytes < size_bytes and image.format == "raw":
                self._files.lengthen(images, image, size_bytes)
            elif there_bytes < size_bytes:
                self._require_as_told(found.place, image)
                self._files.resize_qcow2(images, image, size_bytes)
            self._files.pad(images, image)
            leaf = image.leaf.resized(max(there_bytes, size_bytes))
            self._files.write_meta(images, image, leaf, found.place.version)

    def mend(self, found: _found_image.FoundImage) -> None:
        """Mend the length of the files, and the size in `.meta`: an interrupted run, or another tool, left them so."""
        with self._changing_layers(found, f"mend disk {found.name}") as (images, image):
            self._files.pad(images, image)
            virtual_bytes = self._files.sizes(images, image).virtual_bytes
            self._files.allocate(images, image, virtual_bytes)
            leaf = image.leaf.resized(virtual_bytes)
            self._files.write_meta(images, image, leaf, found.place.version)

    def change_meta(
        self, found: _found_image.FoundImage, changed_from: t.Callable[[_image.ImageVolume], _image.ImageVolume]
    ) -> None:
        """Replace what `.meta` says of an image's leaf, from what it says at that moment."""
        with self._changing_layers(found, f"write the .meta of disk {found.name}") as (images, image):
            self._files.write_meta(images, image, changed_from(image.leaf), found.place.version)

    def as_it_is(self, place: _found_image.MountedStorageDomain, image_uuid: str) -> _image.Image | None:
        """An image read anew; `None` where there is none, or none that can be read."""
        with self._images_of(place, f"look at image {image_uuid}") as images:
            return self._files.read_one(images, image_uuid)

    def is_there(self, place: _found_image.MountedStorageDomain, image_uuid: str) -> bool:
        """Whether an image is there at this moment, whole or not."""
        with self._images_of(place, f"look for image {image_uuid}") as images:
            return images.is_there(image_uuid)

    def noted_at(self, place: _found_image.MountedStorageDomain) -> dict[str, int]:
        """When each host last noted what its VMs use: its folder of notes, and the time of that, in ns."""
        # not at the top: only what takes an image away asks
        from ansible_collections.gfapi.virt.plugins.module_utils import _use_records

        return _use_records.noted_at(place.mount.point)

    def is_left(self, place: _found_image.MountedStorageDomain, image_uuid: str) -> bool:
        """Whether a killed run left where it built an image, or a layer of it."""
        if image_uuid not in self.listing(place).staged:
            return False
        with self._images_of(place, f"look for what a killed run left of image {image_uuid}") as images:
            # one that ends at this moment has no lock any more
            return bool(_files.lasting(lambda: _files.unowned(images, image_uuid)))

    def clear(self, place: _found_image.MountedStorageDomain, image_uuid: str) -> None:
        """Remove what a killed run left there."""
        with self._images_of(place, f"remove what a killed run left of image {image_uuid}") as images:
            _files.sweep(images, image_uuid)

    def delete(
        self,
        place: _found_image.MountedStorageDomain,
        image_uuid: str,
        found: _found_image.FoundImage | None = None,
        require: t.Callable[[], None] = lambda: None,
    ) -> None:
        """Delete an image that nobody has open, and what an interrupted deletion left of it (`found` is `None`).

        `require` is called once nobody else can take it, and may refuse.
        """
        with contextlib.ExitStack() as held, self._changing(place, image_uuid, f"delete image {image_uuid}") as images:
            try:
                if found:
                    held.enter_context(self.closed(found, f"delete disk {found.name}", "deleted"))
                    require()
            except _errors.StorageError:
                # another run may have deleted it meanwhile
                if images.stays(image_uuid):
                    raise
            self._files.delete(images, image_uuid)

    @contextlib.contextmanager
    def _images_of(self, place: _found_image.MountedStorageDomain, doing: str) -> t.Iterator[_files.Directory]:
        with (
            _files.explained(f"{doing} in storage domain {place.name}"),
            _files.Directory.open(place.path) as directory,
        ):
            images = directory.child(_storage_domain.IMAGES)
            with images:
                yield images

    @contextlib.contextmanager
    def _changing(
        self, place: _found_image.MountedStorageDomain, image_uuid: str, doing: str
    ) -> t.Iterator[_files.Directory]:
        """The open `images` directory; the image is read anew after, and after a failure all are."""
        listing = self._listings.pop(place.path, None)
        with self._images_of(place, doing) as images:
            yield images
            if listing:
                self._files.reread(images, listing, image_uuid)
                self._listings[place.path] = listing

    @contextlib.contextmanager
    def _changing_layers(
        self, found: _found_image.FoundImage, doing: str
    ) -> t.Iterator[tuple[_files.Directory, _image.Image]]:
        """The same, and the image as it is while no other run can change it."""
        with self._changing(found.place, found.image_uuid, doing), self._layers_of(found, doing) as (images, image):
            yield images, image

    @contextlib.contextmanager
    def _layers_of(
        self, found: _found_image.FoundImage, doing: str
    ) -> t.Iterator[tuple[_files.Directory, _image.Image]]:
        """The open `images` directory, and the image as it is while no other run can change it."""
        with self._images_of(found.place, doing) as images, contextlib.ExitStack() as held:
            try:
                image = held.enter_context(self._files.locked(images, found.image))
            except FileNotFoundError:
                raise _errors.StorageError(
                    f"cannot {doing} in storage domain {found.place.name}: it was deleted meanwhile; run again"
                ) from None
            except (_errors.StorageError, ValueError) as exc:
                # a ValueError: another run removes its layers at this moment, or somebody broke it
                raise _errors.StorageError(f"cannot {doing} in storage domain {found.place.name}: {exc}") from exc
            yield images, image

    def mounted(self) -> list[_found_image.MountedStorageDomain]:
        """All that are mounted below the mount root and answer."""
        return list(self._seen(lambda point: posixpath.dirname(point) == self._mount_root, []).values())

    def _find(self, wanted: str) -> _found_image.MountedStorageDomain:
        by_point = wanted.startswith("/")
        wanted_point = posixpath.normpath(wanted)
        faults: list[str] = []
        seen = self._seen(
            lambda point: point == wanted_point if by_point else posixpath.dirname(point) == self._mount_root, faults
        )
        matches = [place for uuid, place in seen.items() if by_point or wanted in (uuid, place.name)]
        if len(matches) != 1:
            raise self._not_one(wanted, matches, list(seen.values()), faults)
        return matches[0]

    def _seen(
        self, is_meant: t.Callable[[str], bool], faults: list[str]
    ) -> dict[str, _found_image.MountedStorageDomain]:
        """The storage domains at mount points, by uuid; what is wrong with the others is added to `faults`."""
        seen: dict[str, _found_image.MountedStorageDomain] = {}
        for mount in self._mounts.table():
            if not is_meant(mount.point):
                continue
            try:
                space = self._mounts.require_answer(mount.point)
                storage_domain = _storage_domain_read.read(mount.point)
            except _errors.StorageError as exc:
                faults.append(str(exc))
                continue
            if storage_domain is not None:
                self._left_bytes.setdefault(storage_domain.uuid, space.free_bytes)
                seen.setdefault(storage_domain.uuid, _found_image.MountedStorageDomain(storage_domain, mount))
        return seen

    def _not_one(
        self,
        wanted: str,
        matches: t.Sequence[_found_image.MountedStorageDomain],
        seen: t.Sequence[_found_image.MountedStorageDomain],
        faults: t.Sequence[str],
    ) -> _errors.StorageError:
        if matches:
            uuids = ", ".join(place.storage_domain.uuid for place in matches)
            return _errors.StorageError(f"{len(matches)} storage domains are called {wanted!r}: {uuids}; give the uuid")
        known = ", ".join(place.name for place in seen) or "none"
        where = "there" if wanted.startswith("/") else f"below {self._mount_root}"
        mend = "; ".join(faults) or "gfapi.virt.glusterfs_domain mounts one"
        return _errors.StorageError(
            f"no storage domain {wanted!r} is mounted {where} on this host (mounted: {known}); {mend}"
        )


def require_legal(found: _found_image.ListedImage) -> None:
    """Raises `StorageError` for an image that an interrupted operation left between two states."""
    illegal = [volume.uuid for volume in found.image.volumes if volume.legality != "LEGAL"]
    if illegal:
        raise _errors.StorageError(
            f"disk {found.name!r} in storage domain {found.place.name} is not usable: {illegal[0]} is not LEGAL; finish"
            " what was interrupted (gfapi.virt.gfapi_snapshot, or oVirt)"
        )
