# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: an image found on the mount of its storage domain, and the servers of the volume it lies on."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils._command import run
from ansible_collections.gfapi.virt.plugins.module_utils._disk import DiskSource, Layer
from ansible_collections.gfapi.virt.plugins.module_utils._errors import GlusterError
from ansible_collections.gfapi.virt.plugins.module_utils._gluster import Gluster
from ansible_collections.gfapi.virt.plugins.module_utils._mounts import Mounts
from ansible_collections.gfapi.virt.plugins.module_utils._qemu_img import QemuImg
from ansible_collections.gfapi.virt.plugins.module_utils._storage import Storage


@dataclass(frozen=True)
class ImageSource:
    """An image as a disk needs it."""

    source: DiskSource
    format: str
    image_uuid: str
    backing: tuple[Layer, ...]


class Servers:
    """The servers of volumes, asked once a volume. Where they cannot be asked the mount's own server has to do."""

    def __init__(self, gluster: Gluster) -> None:
        self._gluster = gluster
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}
        self.warnings: list[str] = []

    def of(self, volume: str, *, volfile_server: str) -> tuple[str, ...]:
        key = (volume, volfile_server)
        if key not in self._known:
            try:
                self._known[key] = self._gluster.servers(volume, volfile_server=volfile_server)
            except GlusterError as exc:
                self._known[key] = (volfile_server,)
                self.warnings.append(
                    f"disks on volume {volume} name no server but {volfile_server}, the one it is mounted from: {exc}"
                )
        return self._known[key]


class ImageSources:
    """Finds images by storage domain and name."""

    def __init__(self, storage: Storage, servers: Servers) -> None:
        self._storage = storage
        self._servers = servers

    @classmethod
    def on_host(cls, mount_root: str) -> ImageSources:
        """What this host has mounted."""
        return cls(Storage(Mounts(run), QemuImg(run), mount_root=mount_root), Servers(Gluster()))

    @property
    def warnings(self) -> t.Sequence[str]:
        return self._servers.warnings

    def find(self, storage_domain: str, name: str) -> ImageSource:
        """Raises `StorageError` naming both when there is no such image."""
        found = self._storage.require_image(storage_domain, name)
        servers = self._servers.of(found.volume, volfile_server=found.server)

        def source(path: str) -> DiskSource:
            return DiskSource.gluster(found.volume, path, servers)

        backing = tuple(Layer(source(layer.volume_path), layer.format) for layer in found.backing)
        return ImageSource(source(found.volume_path), found.format, found.image_uuid, backing)
