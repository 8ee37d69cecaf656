# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image that was found on a mount, and where its layers lie on the mount and in the Gluster volume. Pure: no I/O."""

from __future__ import annotations

import posixpath
import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _image, _mount_table, _storage_domain


class MountedStorageDomain(t.NamedTuple):
    """A storage domain and the mount that it was found on."""

    storage_domain: _storage_domain.StorageDomain
    mount: _mount_table.Mount

    @property
    def name(self) -> str:
        return self.storage_domain.name

    @property
    def version(self) -> int:
        """Of the format."""
        return self.storage_domain.version

    @property
    def path(self) -> str:
        return posixpath.join(self.mount.point, self.storage_domain.uuid)


class Layer(t.NamedTuple):
    """One image volume as a file: on the mount, and within the Gluster volume."""

    path: str
    volume_path: str
    format: str


@dataclass(frozen=True)
class ListedImage:
    """An image of a listing, and where each layer lies."""

    place: MountedStorageDomain
    image: _image.Image

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The leaf first, the base last."""
        point, directory = self.place.mount.point, self.place.mount.spec.directory
        paths = [(self.image.path_of(volume), volume.format) for volume in self.image.volumes]
        return tuple(
            Layer(posixpath.join(point, path), posixpath.join(directory, path), image_format)
            for path, image_format in paths
        )

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


@dataclass(frozen=True)
class FoundImage(ListedImage):
    """An image that is there, and how large it is."""

    virtual_size_bytes: int
    actual_size_bytes: int
    #: how long the file of each layer is, the leaf's first
    layer_bytes: tuple[int, ...]

    @classmethod
    def at(cls, place: MountedStorageDomain, image: _image.Image, sizes: _image.Sizes) -> FoundImage:
        return cls(place, image, sizes.virtual_bytes, sizes.actual_bytes, sizes.layer_bytes)

    @property
    def source(self) -> _image.Source:
        """What a copy of it is made from."""
        return _image.Source(self.path, self.format, self.virtual_size_bytes)
