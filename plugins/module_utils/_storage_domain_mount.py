# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: the mount of a storage domain, and what of this host uses it.

Each function gives the actions between what is and what is asked for, and refuses by name what is in the way.
"""

from __future__ import annotations

import posixpath
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils._bricks import VolumeHere
from ansible_collections.gfapi.virt.plugins.module_utils._errors import GlusterError, HungError, StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._fstab import Fstab
from ansible_collections.gfapi.virt.plugins.module_utils._gluster import Gluster
from ansible_collections.gfapi.virt.plugins.module_utils._mount_options import boot_entry, does_mount, told_by
from ansible_collections.gfapi.virt.plugins.module_utils._mount_table import Space
from ansible_collections.gfapi.virt.plugins.module_utils._mounter import Mounter
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Action
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain_state import Condition, Current, Desired
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain_users import StorageDomainUsers
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec


@dataclass(frozen=True)
class Host:
    """What this host mounts and runs, and how the volume is asked."""

    mounts: Mounter
    fstab: Fstab
    gluster: Gluster
    users: StorageDomainUsers
    here: VolumeHere


def read_mount(mounts: Mounter, desired: Desired) -> tuple[Condition, Space | None]:
    """How the mount is, and its space where it works; raises `StorageError` for that of another volume."""
    mount = mounts.at(desired.mount_point)
    if mount is None:
        return Condition.NONE, None
    if mount.spec.location != desired.spec.location:
        raise StorageError(f"cannot use {desired.mount_point}: {mount.spec} is mounted there, not {desired.spec}")
    try:
        space = mounts.read_space(desired.mount_point)
    except HungError:
        return Condition.HUNG, None
    return (Condition.WORKS, space) if space else (Condition.DEAD, None)


def unmount_actions(host: Host, condition: Condition, point: str, *, going: bool = False) -> list[Action]:
    """The way to no mount. Raises `StorageError` while something holds it, but for VMs that are `going`."""
    if condition is Condition.NONE:
        return []
    require_unheld(host.mounts, point, going=going)
    if condition is Condition.HUNG:
        return [Action(f"unmount {point}, whose client does not answer", lambda: host.mounts.abandon(point))]
    suffix = ", which has lost its volume" if condition is Condition.DEAD else ""
    return [Action(f"unmount {point}{suffix}", lambda: host.mounts.unmount(point))]


def require_unheld(mounts: Mounter, point: str, *, going: bool = False) -> None:
    """Raises `StorageError` naming what has something open below a mount point."""
    holders = [holder for holder in mounts.read_holders(point) if not (going and holder.startswith("qemu"))]
    if holders:
        raise StorageError(f"mount {point} is in use by {', '.join(holders[:5])}; end them first")


def mount_actions(host: Host, current: Current, desired: Desired) -> tuple[list[Action], list[str]]:
    """The way to a mount that works and has the options; and a warning where it cannot get them."""
    spec, point = desired.spec, desired.mount_point
    actions, warnings = [], []
    if current.is_mounted:
        if not has_other_options(host.mounts, desired):
            return [], []
        holders = host.mounts.read_holders(point)
        if holders:
            warnings.append(
                f"{point} is mounted with other options than {','.join(desired.options or ()) or 'none'}, and in use by"
                f" {', '.join(holders[:5])}; it gets them when it is mounted next"
            )
            return [], warnings
        actions.append(Action(f"unmount {point}, which has other options", lambda: host.mounts.unmount(point)))
    else:
        actions.extend(unmount_actions(host, current.mount, point))
    words = f"mount {spec} on {point}"
    options = desired.options or ()
    actions.append(Action(words, lambda: host.mounts.mount(with_all_servers(host.gluster, spec), point, options)))
    return actions, warnings


def has_other_options(mounts: Mounter, desired: Desired) -> bool:
    """Whether the client was told something else; not if that cannot be said."""
    wanted = None if desired.options is None else told_by(desired.options)
    told = None if wanted is None else mounts.client_options(desired.mount_point)
    return told is not None and told != wanted


def boot_actions(host: Host, desired: Desired, *, boot: bool | None) -> list[Action]:
    """The line in /etc/fstab, or none."""
    point = desired.mount_point
    entry = host.fstab.entry(point) if boot is not None else None
    if boot and not does_mount(entry, desired.spec, desired.options):

        def write() -> None:
            spec = with_all_servers(host.gluster, desired.spec)
            host.fstab.put(point, boot_entry(spec, point, desired.options or ()))

        return [Action(f"mount {point} at boot (/etc/fstab)", write)]
    if not boot and entry is not None:
        return [Action(f"mount {point} at boot no longer (/etc/fstab)", lambda: host.fstab.put(point, None))]
    return []


def running_vms(host: Host, desired: Desired) -> list[str]:
    """The domains of this host that run on the volume or the directory of it."""
    points = [desired.mount_point, *shown_at(host.mounts, desired.spec, desired.mount_point)]
    users = host.users.on_volume(desired.spec.location, points)
    return sorted({user.name for user in users if user.running})


def stop_actions(host: Host, desired: Desired, names: t.Sequence[str]) -> list[Action]:
    """Raises `StorageError` where domains run and may not be stopped."""
    if not names:
        return []
    if desired.running_vms == "refuse":
        raise StorageError(
            f"storage domain {desired.name} is in use by running domains: {', '.join(names)}; stop them first, or have"
            " it done (running_vms: shutdown or destroy)"
        )
    destroy = desired.running_vms == "destroy"
    words = f"{'end' if destroy else 'shut down'} domain {', '.join(names)}"
    return [Action(words, lambda: host.users.stop(names, timeout_s=desired.shutdown_timeout_s, destroy=destroy))]


def with_all_servers(gluster: Gluster, spec: VolumeSpec) -> VolumeSpec:
    """The spec with every server of its volume, if one alone was named and it can be asked."""
    if len(spec.servers) > 1:
        return spec
    try:
        return replace(spec, servers=gluster.servers(spec.volume, volfile_server=spec.servers[0]))
    except GlusterError:
        # the mount works without backups too, and says better what is wrong if it does not
        return spec


def shown_at(mounts: Mounter, spec: VolumeSpec, point: str) -> list[str]:
    """Where mounts other than that on `point` show the same files: of the location, or of a directory above it."""
    location = f"/{spec.location}/"
    return [
        posixpath.join(mount.point, location.removeprefix(f"/{mount.spec.location}/")).rstrip("/")
        for mount in mounts.table()
        if mount.point != point and location.startswith(f"/{mount.spec.location}/")
    ]
