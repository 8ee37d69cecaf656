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

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _bricks,
    _errors,
    _fstab,
    _gluster,
    _mount_options,
    _mount_table,
    _mounter,
    _plan,
    _storage_domain_state,
    _storage_domain_users,
    _uri,
)


@dataclass(frozen=True)
class Host:
    """What this host mounts and runs, and how the volume is asked."""

    mounts: _mounter.Mounter
    fstab: _fstab.Fstab
    gluster: _gluster.Gluster
    users: _storage_domain_users.StorageDomainUsers
    here: _bricks.VolumeHere


def read_mount(
    mounts: _mounter.Mounter, desired: _storage_domain_state.Desired
) -> tuple[_storage_domain_state.Condition, _mount_table.Space | None]:
    """How the mount is, and its space where it works; raises `StorageError` for that of another volume."""
    mount = mounts.at(desired.mount_point)
    if mount is None:
        return _storage_domain_state.Condition.NONE, None
    if mount.spec.location != desired.spec.location:
        raise _errors.StorageError(
            f"cannot use {desired.mount_point}: {mount.spec} is mounted there, not {desired.spec}"
        )
    try:
        space = mounts.read_space(desired.mount_point)
    except _errors.HungError:
        return _storage_domain_state.Condition.HUNG, None
    return (_storage_domain_state.Condition.WORKS, space) if space else (_storage_domain_state.Condition.DEAD, None)


def unmount_actions(
    host: Host, condition: _storage_domain_state.Condition, point: str, *, going: bool = False
) -> list[_plan.Action]:
    """The way to no mount. Raises `StorageError` while something holds it, but for VMs that are `going`."""
    if condition is _storage_domain_state.Condition.NONE:
        return []
    require_unheld(host.mounts, point, going=going)
    if condition is _storage_domain_state.Condition.HUNG:
        return [_plan.Action(f"unmount {point}, whose client does not answer", lambda: host.mounts.abandon(point))]
    suffix = ", which has lost its volume" if condition is _storage_domain_state.Condition.DEAD else ""
    return [_plan.Action(f"unmount {point}{suffix}", lambda: host.mounts.unmount(point))]


def require_unheld(mounts: _mounter.Mounter, point: str, *, going: bool = False) -> None:
    """Raises `StorageError` naming what has something open below a mount point."""
    holders = [holder for holder in mounts.read_holders(point) if not (going and holder.startswith("qemu"))]
    if holders:
        raise _errors.StorageError(f"mount {point} is in use by {', '.join(holders[:5])}; end them first")


def mount_actions(
    host: Host, current: _storage_domain_state.Current, desired: _storage_domain_state.Desired
) -> tuple[list[_plan.Action], list[str]]:
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
        actions.append(_plan.Action(f"unmount {point}, which has other options", lambda: host.mounts.unmount(point)))
    else:
        actions.extend(unmount_actions(host, current.mount, point))
    words = f"mount {spec} on {point}"
    options = desired.options or ()
    actions.append(_plan.Action(words, lambda: host.mounts.mount(with_all_servers(host.gluster, spec), point, options)))
    return actions, warnings


def has_other_options(mounts: _mounter.Mounter, desired: _storage_domain_state.Desired) -> bool:
    """Whether the client was told something else; not if that cannot be said."""
    wanted = None if desired.options is None else _mount_options.told_by(desired.options)
    told = None if wanted is None else mounts.client_options(desired.mount_point)
    return told is not None and told != wanted


def boot_actions(host: Host, desired: _storage_domain_state.Desired, *, boot: bool | None) -> list[_plan.Action]:
    """The line in /etc/fstab, or none."""
    point = desired.mount_point
    entry = host.fstab.entry(point) if boot is not None else None
    if boot and not _mount_options.does_mount(entry, desired.spec, desired.options):

        def write() -> None:
            spec = with_all_servers(host.gluster, desired.spec)
            host.fstab.put(point, _mount_options.boot_entry(spec, point, desired.options or ()))

        return [_plan.Action(f"mount {point} at boot (/etc/fstab)", write)]
    if not boot and entry is not None:
        return [_plan.Action(f"mount {point} at boot no longer (/etc/fstab)", lambda: host.fstab.put(point, None))]
    return []


def running_vms(host: Host, desired: _storage_domain_state.Desired) -> list[str]:
    """The domains of this host that run on the volume or the directory of it."""
    points = [desired.mount_point, *shown_at(host.mounts, desired.spec, desired.mount_point)]
    users = host.users.on_volume(desired.spec.location, points)
    return sorted({user.name for user in users if user.running})


def stop_actions(host: Host, desired: _storage_domain_state.Desired, names: t.Sequence[str]) -> list[_plan.Action]:
    """Raises `StorageError` where domains run and may not be stopped."""
    if not names:
        return []
    if desired.running_vms == "refuse":
        raise _errors.StorageError(
            f"storage domain {desired.name} is in use by running domains: {', '.join(names)}; stop them first, or have"
            " it done (running_vms: shutdown or destroy)"
        )
    destroy = desired.running_vms == "destroy"
    words = f"{'end' if destroy else 'shut down'} domain {', '.join(names)}"
    return [_plan.Action(words, lambda: host.users.stop(names, timeout_s=desired.shutdown_timeout_s, destroy=destroy))]


def with_all_servers(gluster: _gluster.Gluster, spec: _uri.VolumeSpec) -> _uri.VolumeSpec:
    """The spec with every server of its volume, if one alone was named and it can be asked."""
    if len(spec.servers) > 1:
        return spec
    try:
        return replace(spec, servers=gluster.servers(spec.volume, volfile_server=spec.servers[0]))
    except _errors.GlusterError:
        # the mount works without backups too, and says better what is wrong if it does not
        return spec


def shown_at(mounts: _mounter.Mounter, spec: _uri.VolumeSpec, point: str) -> list[str]:
    """Where mounts other than that on `point` show the same files: of the location, or of a directory above it."""
    location = f"/{spec.location}/"
    return [
        posixpath.join(mount.point, location.removeprefix(f"/{mount.spec.location}/")).rstrip("/")
        for mount in mounts.table()
        if mount.point != point and location.startswith(f"/{mount.spec.location}/")
    ]
