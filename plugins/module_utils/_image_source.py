# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: an image found on the mount of its storage domain, with the servers of the volume it lies on."""

from __future__ import annotations

import contextlib
import os
import posixpath
import socket
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _disk,
    _errors,
    _files,
    _found_image,
    _mount_table,
    _storage,
)

GRAPH: t.Final = ".meta/graphs/active"


class Servers:
    """The servers of mounted volumes, the nearest first; looked up once a mount.

    That is this host where it has a brick, else the server that the volume is mounted from.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}
        self.warnings: list[str] = []

    def of(self, mount: _mount_table.Mount) -> tuple[str, ...]:
        if mount.point not in self._known:
            self._known[mount.point] = self._look(mount)
        return self._known[mount.point]

    def _look(self, mount: _mount_table.Mount) -> tuple[str, ...]:
        volume, volfile_server = mount.spec.volume, mount.spec.servers[0]
        hosts = _hosts_in_client(mount)
        if hosts:
            nearest = next(filter(_is_this_host, dict.fromkeys(hosts)), volfile_server)
            return tuple(dict.fromkeys((nearest, volfile_server, *hosts)))
        self.warnings.append(
            f"disks on volume {volume} name no server but {volfile_server}: {mount.point}/{GRAPH} tells no"
            " other; is the mount alive?"
        )
        return (volfile_server,)


def _hosts_in_client(mount: _mount_table.Mount) -> list[str]:
    """The hosts of the bricks that a mount's client talks to, in brick order.

    The client shows its graph below `.meta` (meta translator, since 3.6), which costs milliseconds where the command
    line costs a tenth of a second, and is there where no glusterd is.
    """
    graph = posixpath.join(mount.point, GRAPH)
    try:
        names = [name for name in os.listdir(graph) if name.startswith(f"{mount.spec.volume}-client-")]
        names.sort(key=lambda name: int(name.rpartition("-")[2]))
        return [_read_line(f"{graph}/{name}/options/remote-host") for name in names]
    except (OSError, ValueError):
        return []


def _read_line(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.readline().strip()


def _is_this_host(name: str) -> bool:
    """Whether a name leads to this host: a socket can be bound to an address of its own only."""
    with contextlib.suppress(OSError, UnicodeError):
        for family, kind, _protocol, _canonical, address in socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM):
            with contextlib.suppress(OSError), socket.socket(family, kind) as own:
                own.bind(address)
                return True
    return False


class ImageSources:
    """Finds images by storage domain and name."""

    def __init__(self, storage: _storage.Storage, servers: Servers) -> None:
        self._storage = storage
        self._servers = servers

    @property
    def warnings(self) -> t.Sequence[str]:
        return self._servers.warnings

    def find(self, storage_domain: str, name: str) -> _disk.ImageSource:
        """Raises `StorageError` naming both when there is no such image, or it is a template."""
        found = self._storage.require_listed(storage_domain, name)
        _require_there(found)
        if found.image.is_template:
            raise _errors.StorageError(
                f"disk {name!r} in storage domain {storage_domain} is a template, which no VM may write to; give the VM"
                " a clone of it (gfapi.virt.gfapi_disk with clone_of)"
            )
        servers = self._servers.of(found.place.mount)

        def source(path: str) -> _disk.DiskSource:
            return _disk.DiskSource.gluster(found.volume, path, servers)

        backing = tuple(_disk.Layer(source(layer.volume_path), layer.format) for layer in found.backing)
        return _disk.ImageSource(source(found.volume_path), found.path, found.format, found.image_uuid, backing)


def _require_there(found: _found_image.ListedImage) -> None:
    """Raises `StorageError` for an image whose leaf has no file, only its `.meta`."""
    with _files.explained(f"read disk {found.name} in storage domain {found.place.name}"):
        os.stat(found.path, follow_symlinks=False)
