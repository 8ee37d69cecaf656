# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gluster mounts as values, and the mount table. Pure: no I/O."""

from __future__ import annotations

import contextlib
import posixpath
import re
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _uri


class Mount(t.NamedTuple):
    """A gluster mount as the table has it: of several servers it names the first."""

    spec: _uri.VolumeSpec
    point: str

    def file_of(self, volume: str, path: str) -> str | None:
        """Where a path of a volume is below the mount point; `None` for what is not mounted here."""
        directory = f"{self.spec.directory}/" if self.spec.directory else ""
        if self.spec.volume != volume or not path.startswith(directory):
            return None
        return posixpath.join(self.point, path[len(directory) :])


class Space(t.NamedTuple):
    """How large the volume behind a mount is, and how much of it is free."""

    size_bytes: int
    free_bytes: int


def parse_table(text: str) -> tuple[Mount, ...]:
    """The gluster mounts in `/proc/self/mounts`, in the order they were made."""
    found = []
    for row in (line.split(" ") for line in text.split("\n")):
        if len(row) > 2 and row[2] == "fuse.glusterfs" and ":" in row[0]:
            # somebody else's, with a name that we would not take
            with contextlib.suppress(ValueError):
                found.append(Mount(_spec_in_table(unescape(row[0])), unescape(row[1])))
    return tuple(found)


def parse_info(text: str) -> dict[tuple[int, int], Mount]:
    """The gluster mounts in `/proc/self/mountinfo`, by the device number of their files; bind mounts have the same."""
    found: dict[tuple[int, int], Mount] = {}
    for line in text.split("\n"):
        fields, _dash, rest = line.partition(" - ")
        left, right = fields.split(" "), rest.split(" ")
        if right[0] == "fuse.glusterfs" and len(left) > 4 and len(right) > 1 and ":" in right[1]:
            major, _colon, minor = left[2].partition(":")
            with contextlib.suppress(ValueError):
                mount = Mount(_spec_in_table(unescape(right[1])), unescape(left[4]))
                found.setdefault((int(major), int(minor)), mount)
    return found


def _spec_in_table(text: str) -> _uri.VolumeSpec:
    # an IPv6 server stands there without brackets; the last colon is the one before the volume
    server, _colon, location = text.rpartition(":")
    volume, _slash, directory = location.strip("/").partition("/")
    return _uri.VolumeSpec((server,), volume.removesuffix(".rdma"), directory)


def mount_points(text: str) -> list[str]:
    """Where anything is mounted, of any type."""
    return [unescape(row[1]) for row in (line.split(" ") for line in text.splitlines()) if len(row) > 1]


def unescape(text: str) -> str:
    """A field of the mount table or of `/etc/fstab`: blanks and the like are octal there."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
