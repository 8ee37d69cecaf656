# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters: a volume spec or URI → what QEMU and mount are given for it. They run on the controller."""

from __future__ import annotations

import functools
import posixpath
import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _mount_options, _uri

#: the formats that QEMU opens an image of a storage domain in
FORMATS: t.Final = ("qcow2", "raw")
Made = t.TypeVar("Made")


def _source(where: str, path: str | None) -> _disk.DiskSource:
    if not isinstance(where, str):
        raise ValueError(f"{where!r} is not a text; give a spec such as server:/volume, or a gluster URI")
    if "://" in where:
        if path is not None:
            raise ValueError(f"path {path!r} beside {where!r}: a URI names its image; give a spec, or no path")
        return _disk.DiskSource.from_uri(_uri.GlusterURI.parse(where))
    spec = _uri.VolumeSpec.parse(where)
    if not isinstance(path, str) or not path:
        raise ValueError(f"{where!r} names a volume; give the path of the image on it, as in path='images/web.qcow2'")
    return _disk.DiskSource.gluster(spec.volume, posixpath.join(spec.directory, path), spec.servers)


def gluster_uri(where: str, path: str | None = None, wantlist: bool = False) -> str | list[str]:
    """The URI through the first server, or through each."""
    uris = list(_source(where, path).uris)
    return uris if wantlist else uris[0]


def gluster_blockdev(where: str, path: str | None = None, image_format: str = "qcow2") -> dict[str, t.Any]:
    """QEMU's `blockdev-add` arguments, with all servers."""
    if image_format not in FORMATS:
        raise ValueError(f"image_format {image_format!r} is not one of {', '.join(FORMATS)}")
    return _disk.to_blockdev(_source(where, path), image_format)


def gluster_mount_options(where: str, options: t.Sequence[str] = ()) -> str:
    """Mount options, the spec's further servers as backups."""
    given = options.split(",") if isinstance(options, str) else options
    return ",".join(_mount_options.mount_options(_uri.VolumeSpec.parse(where), [option for option in given if option]))


def _told(function: t.Callable[..., Made]) -> t.Callable[..., Made]:
    @functools.wraps(function)
    def run(*args: t.Any, **kwargs: t.Any) -> Made:
        try:
            return function(*args, **kwargs)
        except (ValueError, TypeError) as exc:
            raise AnsibleFilterError(f"gfapi.virt.{function.__name__}: {exc}") from exc

    return run


class FilterModule:
    """Ansible finds the filters by this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            function.__name__: _told(function) for function in (gluster_uri, gluster_blockdev, gluster_mount_options)
        }
