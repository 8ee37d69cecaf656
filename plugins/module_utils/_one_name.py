# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: what domains have as disks, each under one name, so that one image is not taken for two.

A link, a bind mount, another mount of the volume or of a part of it, and a link on the volume lead to the same file.
Gluster gives a file one inode number on all mounts, made of its gfid.
"""

from __future__ import annotations

import os
import posixpath
import re
import typing as t
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _command,
    _files,
    _image,
    _mount_table,
    _mounts,
    _storage_domain,
    _xml,
)

if t.TYPE_CHECKING:
    from ansible_collections.gfapi.virt.plugins.module_utils import _domain_record

_UUID: t.Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: in a Gluster volume, on a mount, or through the links that VDSM makes on its hosts
IMAGE_VOLUME: t.Final = re.compile(rf"(?:.*/)?({_UUID})/(?:images/)?({_UUID})/({_UUID})")
INFO: t.Final = "/proc/self/mountinfo"
LOOK_TIMEOUT_S: t.Final = 10
#: STORAGE_DOMAIN/images/IMAGE/IMAGE_VOLUME
DEPTH: t.Final = 4


class OneName:
    """Finds out which file each is; what it knows of a name it keeps, so make a new one to look again."""

    def __init__(self, run_program: _command.Run = _command.run) -> None:
        self._run = run_program
        #: (attribute, name) → the other name
        self._known: dict[tuple[str, str], str] = {}

    def of(self, configuration: _xml.Element) -> _xml.Element:
        """A `<domain>` with its disks under those names; itself where it has no other.

        What is called as an image volume is called is not looked at, and what is not there keeps its name.
        """
        return self._all([configuration])[0]

    def of_records(self, records: t.Iterable[_domain_record.DomainRecord]) -> tuple[_domain_record.DomainRecord, ...]:
        """Domains with all of their configurations so."""
        records = tuple(records)
        wanted = [one for record in records for one in (record.live, record.saved, record.inactive) if one is not None]
        named = dict(zip(map(id, wanted), self._all(wanted)))

        def other(one: t.Any) -> t.Any:
            return None if one is None else named[id(one)]

        return tuple(
            replace(record, live=other(record.live), saved=other(record.saved), inactive=other(record.inactive))
            for record in records
        )

    def _all(self, configurations: t.Sequence[_xml.Element]) -> list[_xml.Element]:
        odd = {key for one in configurations for source in _sources(one) if (key := _odd(source))}
        unknown = sorted(odd - self._known.keys())
        if unknown:
            with _files.explained(f"look which file {', '.join(name for _attribute, name in unknown)} is"):
                self._known.update({**{key: key[1] for key in unknown}, **self._look(unknown)})
        return [self._renamed(one) if odd else one for one in configurations]

    def _renamed(self, configuration: _xml.Element) -> _xml.Element:
        keys = [_odd(source) for source in _sources(configuration)]
        if all(key is None or self._known[key] == key[1] for key in keys):
            return configuration
        copy = _xml.clone(configuration)
        for source, key in zip(_sources(copy), keys):
            if key:
                source.set(key[0], self._known[key])
        return copy

    def _look(self, keys: t.Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        mounts = _mount_table.parse_table(_mounts.text_of(_mounts.TABLE))
        paths = {key: _files_of(*key, mounts) for key in keys}
        files = self._stat([path for found in paths.values() for path in found])
        devices = _mount_table.parse_info(_mounts.text_of(INFO))
        volumes = {os.makedev(*device): mount.spec.volume for device, mount in devices.items()}
        #: of files on gluster: volume and inode number
        known = {path: (volumes[device], inode) for path, (device, inode) in files.items() if device in volumes}
        images = self._find({inode for _volume, inode in known.values()}, mounts)
        names: dict[tuple[str, str], str] = {}
        for (attribute, name), found in paths.items():
            place = next((known[path] for path in found if path in known), None)
            if place is None:
                continue
            volume, inode = place
            image = images.get(inode)
            # outside any storage domain all that matters is that the name is one
            other = f"{volume}:{inode}" if image is None else image[0] if attribute == "file" else image[1]
            names[attribute, name] = other
        return names

    def _stat(self, paths: t.Sequence[str]) -> dict[str, tuple[int, int]]:
        """Path → device and inode number of what it leads to."""
        if not paths:
            return {}
        # a child may hang on a dead mount instead of us
        done = self._run(["stat", "-L", "--printf=%d %i %n\\0", "--", *paths], timeout_s=LOOK_TIMEOUT_S)
        rows = [row.split(" ", 2) for row in done.stdout.split("\0") if row]
        return {path: (int(device), int(inode)) for device, inode, path in rows}

    def _find(self, inodes: t.Collection[int], mounts: t.Sequence[_mount_table.Mount]) -> dict[int, tuple[str, str]]:
        """Inode number → an image volume of a storage domain: its file on a mount, and its name in the volume."""
        if not inodes or not mounts:
            return {}
        wanted = [word for inode in sorted(inodes) for word in ("-o", "-inum", str(inode))][1:]
        aside = ["(", "-name", ".?*", "-o", "-name", _storage_domain.FOLDER, ")", "-prune", "-o"]
        points = [mount.point for mount in mounts]
        words = ["-maxdepth", str(DEPTH), *aside, "(", *wanted, ")", "-printf", "%i %p\\0"]
        done = self._run(["find", *points, *words], timeout_s=LOOK_TIMEOUT_S)
        found: dict[int, tuple[str, str]] = {}
        for row in filter(None, done.stdout.split("\0")):
            number, _blank, path = row.partition(" ")
            match = IMAGE_VOLUME.fullmatch(path)
            # a template's image volume lies with its clones too
            if match and (int(number) not in found or _image.base_volume_uuid_of(match[2]) == match[3]):
                mount = next(one for one in mounts if path.startswith(f"{one.point}/"))
                inside = posixpath.join(mount.spec.location, posixpath.relpath(path, mount.point))
                found[int(number)] = (path, inside)
        return found


def _sources(configuration: _xml.Element) -> list[_xml.Element]:
    return [source for disk in configuration.iterfind("devices/disk") for source in disk.iter("source")]


def _odd(source: _xml.Element) -> tuple[str, str] | None:
    """Attribute and name of what may be an image under another name."""
    attribute = "name" if source.get("protocol") == "gluster" else "file"
    name = source.get(attribute)
    if not name or IMAGE_VOLUME.fullmatch(posixpath.normpath(name)) or f"/{_storage_domain.SEEDS}/" in name:
        return None
    return attribute, name


def _files_of(attribute: str, name: str, mounts: t.Sequence[_mount_table.Mount]) -> list[str]:
    """Where a name leads on this host: a file, or an image of a volume on the mounts of that."""
    if attribute == "file":
        return [name]
    volume, _slash, path = posixpath.normpath(name).partition("/")
    return [file for mount in mounts if (file := mount.file_of(volume, path))]
