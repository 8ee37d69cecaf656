# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which path a disk's bytes really take, from QEMU's own block graph. Pure: no I/O.

Source: QMP `query-block` and `query-named-block-nodes` (QEMU 7.2 and 10.0). The XML says what was asked for; QEMU's
nodes say what is.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils._disk import DiskSource, from_qemu_filename

#: QEMU's protocol drivers → the path; any other is `other`
DRIVER_PATHS: t.Final = {"gluster": "gfapi", "host_device": "block"}


Answer = dict[str, t.Any]


@dataclass(frozen=True)
class IOPath:
    """`gfapi`, `fuse`, `file`, `block` or `other`, and for gfapi the servers that QEMU was given."""

    kind: str
    servers: tuple[str, ...] = ()


def io_path(
    alias: str, devices: t.Sequence[Answer], nodes: t.Sequence[Answer], fuse_mounts: t.Iterable[str]
) -> IOPath | None:
    """The path of the disk with a libvirt alias; `None` if QEMU has no such device or nothing is in it.

    `devices` is the answer to `query-block`, `nodes` that to `query-named-block-nodes`; `fuse_mounts` are the mount
    points of gluster volumes.
    """
    inserted = next((d.get("inserted") for d in devices if alias and alias in _names(d)), None)
    if not inserted:
        return None
    source = from_qemu_filename(str(inserted.get("file", "")))
    drivers = {node.get("drv") for node in nodes if from_qemu_filename(str(node.get("file", ""))) == source}
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


def _lies_below(source: DiskSource, mounts: t.Iterable[str]) -> bool:
    return any((source.file or "").startswith(mount.rstrip("/") + "/") for mount in mounts)
