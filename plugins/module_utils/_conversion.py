# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks that go over from a gluster mount to gfapi, and back: which, and what becomes of them. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _domain, _image, _storage_domain, _xml

GFAPI: t.Final = "gfapi"
FUSE: t.Final = "fuse"
AUTO: t.Final = "auto"
ON_RESTART: t.Final = "on_restart"
LIVE_MIGRATE: t.Final = "live_migrate"
BLOCK_COPY: t.Final = "block_copy"


@dataclass(frozen=True)
class Reached:
    """An image by one of the two ways, with what it builds on."""

    source: _disk.DiskSource
    backing: tuple[_disk.Layer, ...]


@dataclass(frozen=True)
class BothWays:
    """An image on a gluster mount: as a file of this host, and through libgfapi."""

    file: Reached
    gluster: Reached

    def by(self, access: str) -> Reached:
        return self.gluster if access == GFAPI else self.file

    @property
    def paths(self) -> list[str]:
        """Its files on the mount, the leaf first."""
        return [source.file or "" for source in (self.file.source, *(layer.source for layer in self.file.backing))]


def is_reached(disk: _disk.Disk, access: str) -> bool:
    return disk.source.is_gluster if access == GFAPI else not disk.source.is_gluster


def to_convert(configuration: _xml.Element | None, access: str) -> tuple[_disk.Disk, ...]:
    """The disks that may have to go over: for gfapi all files, of which some may lie on no gluster mount."""
    if configuration is None or access not in (GFAPI, FUSE):
        return ()
    disks = _domain.from_element(configuration).disks or ()
    return tuple(
        disk for disk in disks if not is_reached(disk, access) and (access == FUSE or disk.source.file is not None)
    )


def converted(configuration: _xml.Element, reached: t.Mapping[str, Reached], access: str) -> _xml.Element:
    """A copy of a `<domain>` whose disks of these targets are reached as said. Nothing that the guest sees changes."""
    copy = _xml.clone(configuration)
    for element in copy.iterfind("devices/disk"):
        disk = _disk.from_element(element)
        if disk.target in reached:
            way = reached[disk.target]
            _disk.write_into(element, replace(disk, source=way.source, backing=way.backing))
    if access == GFAPI and reached:
        _domain.refuse_relabelling(copy)
    return copy


def gone_over(before: _xml.Element, after: _xml.Element) -> list[_disk.Disk]:
    """The disks that were files, and whose images are reached through libgfapi afterwards."""
    if after is before:
        return []
    now = {disk.target: disk.source for disk in _domain.from_element(after).disks or () if disk.source.is_gluster}
    files = [disk for disk in _domain.from_element(before).disks or () if disk.source.file and disk.target in now]
    return [disk for disk in files if _same(disk.source.file or "", now[disk.target])]


def _same(file: str, source: _disk.DiskSource) -> bool:
    """Whether a file may be that image: its path ends as the one in the volume does."""
    _volume, path = source.volume_and_path
    return file.endswith(f"/{path}") or _domain.image_key(_disk.DiskSource(file=file)) == _domain.image_key(source)


def went_over(domain: str, configured: _xml.Element, live: _xml.Element | None) -> dict[str, Reached]:
    """The disks of a running domain that are copies by now, where its configuration has what they were copied from."""
    if live is None or _ways(configured) == _ways(live):
        return {}
    running = {disk.target: disk for disk in _domain.from_element(live).disks or ()}
    return {
        disk.target: Reached(running[disk.target].source, running[disk.target].backing or ())
        for disk in _domain.from_element(configured).disks or ()
        if disk.target in running
        and _is_copy(domain, disk.target, running[disk.target].source)
        and running[disk.target].source.is_gluster != disk.source.is_gluster
    }


def _ways(configuration: _xml.Element) -> dict[str | None, str | None]:
    """Target → protocol of each disk that is reached through the network."""
    disks = configuration.iterfind("devices/disk[@type='network']")
    return {
        target.get("dev"): source.get("protocol")
        for disk in disks
        for target in disk.iterfind("target")
        for source in disk.iterfind("source")
    }


def _is_copy(domain: str, target: str, source: _disk.DiskSource) -> bool:
    """Whether it is the image that a disk is copied to, by its uuid: nobody else gives one of that name another."""
    parts = _domain.image_key(source).split("/")
    return (
        len(parts) == 4
        and _storage_domain.is_uuid(parts[0])
        and parts[2] == _image.image_uuid_of(parts[0], copy_name(domain, target))
    )


def copy_name(domain: str, target: str) -> str:
    """The name of the image that a disk is copied to."""
    return f"{domain}-{target}"


def is_copying(live: _xml.Element | None, target: str, source: _disk.DiskSource) -> bool:
    """Whether a running disk is being copied into that image."""
    found = [] if live is None else live.iterfind("devices/disk")
    mirrors = [node.find("mirror/source") for node in found if _disk.from_element(node).target == target]
    names = [node.get("name") or node.get("file") or "" for node in mirrors if node is not None]
    return any(_domain.image_key(_disk.DiskSource(file=name)) == _domain.image_key(source) for name in names)


def copy_element(disk: _disk.Disk, image_format: str, source: _disk.DiskSource) -> _xml.Element:
    """The `<disk>` that a running disk is copied to. libvirt leaves its owner alone, for as long as the VM runs."""
    element = _disk.to_element(_disk.Disk(source, disk.target, image_format, cache=disk.cache, backing=()))
    for node in element.iterfind("source"):
        node.append(_xml.element("seclabel", {"model": "dac", "relabel": "no"}))
    return element


def require_convertible(name: str, convert: str, host: str | None, storage_domain: str | None) -> str:
    """The storage domain for new images, if any. Raises `ValueError` where a way of converting lacks what it needs."""
    if convert == LIVE_MIGRATE and not host:
        raise ValueError(f"domain {name}: convert: live_migrate needs host, another hypervisor")
    if convert == BLOCK_COPY and not storage_domain:
        raise ValueError(f"domain {name}: convert: block_copy needs storage_domain, which the new images are made in")
    if convert == BLOCK_COPY and host:
        raise ValueError(f"domain {name}: convert: block_copy copies on this host; migrate in a task of its own (host)")
    return storage_domain or ""
