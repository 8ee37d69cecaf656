# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which path a disk's bytes really take, from QEMU's own block graph. Pure: no I/O.

Source: QMP `query-block` and `query-named-block-nodes` (QEMU 7.2 and 10.0). The XML says what was asked for; QEMU's
nodes say what is.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _json, _uri

#: QEMU's protocol drivers → the path; any other is `other`
DRIVER_PATHS: t.Final = {"gluster": "gfapi", "host_device": "block"}
#: QEMU's io-status of a device
ERRORS: t.Final = {"nospace": "nospace", "failed": "io"}

Answer = dict[str, t.Any]


@dataclass(frozen=True)
class IOPath:
    """`gfapi`, `fuse`, `file`, `block` or `other`, and for gfapi the servers that QEMU was given.

    `error` is what a request failed with at some time, `nospace` or `io`.
    """

    kind: str
    servers: tuple[str, ...] = ()
    error: str | None = None


def io_path(
    alias: str, devices: t.Sequence[Answer], nodes: t.Sequence[Answer], fuse_mounts: t.Iterable[str]
) -> IOPath | None:
    """The path of the disk with a libvirt alias; `None` if QEMU has no such device or nothing is in it.

    `devices` is the answer to `query-block`, `nodes` that to `query-named-block-nodes`; `fuse_mounts` are the mount
    points of gluster volumes.
    """
    device = next((device for device in _json.rows(devices) if alias and alias in _names(device)), {})
    inserted = _json.table(device.get("inserted"))
    if not inserted:
        return None
    return replace(_path(inserted, _json.rows(nodes), fuse_mounts), error=ERRORS.get(str(device.get("io-status"))))


def _path(inserted: Answer, nodes: t.Sequence[Answer], fuse_mounts: t.Iterable[str]) -> IOPath:
    source = from_qemu_filename(str(inserted.get("file", "")))
    drivers = {str(node.get("drv")) for node in nodes if from_qemu_filename(str(node.get("file", ""))) == source}
    if source.is_gluster and "gluster" in drivers:
        return IOPath("gfapi", tuple(host.name or host.socket or "" for host in source.hosts))
    if source.dev or "host_device" in drivers:
        return IOPath("block")
    if source.file and "file" in drivers:
        return IOPath("fuse" if _lies_below(source, fuse_mounts) else "file")
    return IOPath("other")


def _names(device: Answer) -> list[str]:
    # -blockdev: /machine/peripheral/virtio-disk0/virtio-backend, or the bare alias (scsi); -drive: drive-virtio-disk0
    names = str(device.get("qdev", "")).split("/")
    return [*names, str(device.get("device", "")).replace("drive-", "", 1)]


def _lies_below(source: _disk.DiskSource, mounts: t.Iterable[str]) -> bool:
    return any((source.file or "").startswith(mount.rstrip("/") + "/") for mount in mounts)


def from_qemu_filename(text: str) -> _disk.DiskSource:
    """The source that QEMU names for a node: a path, a URI, or `json:{...}` with nested or dotted keys.

    An empty source stands for what is neither a file nor gluster.
    """
    if text.startswith("json:"):
        try:
            return _from_options(_json.table(_json.parse(text[len("json:") :])))
        except ValueError:
            return _disk.DiskSource()
    if text.startswith("gluster"):
        try:
            return _disk.DiskSource.from_uri(_uri.GlusterURI.parse(text))
        except ValueError:
            # QEMU takes more than we write; that it is gluster is certain all the same
            return _disk.DiskSource(protocol="gluster")
    return _disk.DiskSource(file=text) if text.startswith("/") else _disk.DiskSource()


def _from_options(options: dict[str, t.Any]) -> _disk.DiskSource:
    below = options.get("file")
    if isinstance(below, dict):
        return _from_options(below)
    if options.get("driver") == "gluster":
        hosts = tuple(_host_from_options(server) for server in _servers_of(options))
        return _disk.DiskSource(protocol="gluster", name=f"{options.get('volume')}/{options.get('path')}", hosts=hosts)
    if options.get("driver") == "file":
        return _disk.DiskSource(file=_text(options, "filename"))
    if options.get("driver") == "host_device":
        return _disk.DiskSource(dev=_text(options, "filename"))
    return _disk.DiskSource()


def _servers_of(options: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """The server list, also where QEMU printed it as `server.0.host`."""
    if "server" in options:
        return _json.rows(options["server"])
    servers: dict[int, dict[str, t.Any]] = {}
    for key, value in options.items():
        match = re.fullmatch(r"server\.([0-9]+)\.([a-z]+)", key)
        if match:
            servers.setdefault(int(match[1]), {})[match[2]] = value
    return [servers[index] for index in sorted(servers)]


def _host_from_options(server: dict[str, t.Any]) -> _disk.Host:
    # `tcp` and `socket` are the spellings of QEMU 2.7 and 2.8
    if server.get("type") == "unix":
        return _disk.Host(None, None, "unix", _text(server, "path") or _text(server, "socket"))
    return _disk.Host(_text(server, "host"), _uri.parse_port(str(server.get("port", _uri.DEFAULT_PORT))))


def _text(options: Answer, key: str) -> str | None:
    found = options.get(key)
    return found if isinstance(found, str) else None
