# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: the life of the volume below a storage domain, and who uses it, here and elsewhere.

Volume work is done where the glusterd of this host knows the volume, and refused elsewhere before anything is changed.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _errors,
    _plan,
    _storage_domain,
    _storage_domain_mount,
    _storage_domain_state,
    _volume,
    _volume_use,
)

GONE: t.Final = "does not exist"
FUSE: t.Final = "fuse"
QEMU: t.Final = "gfapi.qemu"
#: bricks notice within moments that a client went away
GOING_TIMEOUT_S: t.Final = 10


def volume_here(host: _storage_domain_mount.Host, desired: _storage_domain_state.Desired) -> _volume.Volume | None:
    """The volume, if the glusterd of this host has it in its pool; `None` for one that no server has any more.

    Raises `GlusterError` that names hosts to delegate to.
    """
    name, servers = desired.spec.volume, desired.spec.servers
    try:
        return host.gluster.volume(name)
    except _errors.GlusterError as here:
        try:
            servers = host.gluster.servers(name, volfile_server=servers[0])
        except _errors.GlusterError as there:
            if GONE in str(here) and GONE in str(there) and desired.state == "absent":
                return None
        raise _errors.GlusterError(
            f"the work on volume {name} that is asked for cannot be done on this host: {here}; delegate the task to"
            f" {' or '.join(servers)}"
        ) from here


def start_action(host: _storage_domain_mount.Host, volume: _volume.Volume) -> _plan.Action:
    return _plan.Action(f"start volume {volume.name}", lambda: host.gluster.start(volume.name))


def optimize_actions(
    host: _storage_domain_mount.Host, desired: _storage_domain_state.Desired, starting: _volume.Volume | None = None
) -> tuple[list[_plan.Action], list[str]]:
    """Preset virt_store, as gluster_volume_options sets it; with what makes the volume a poor home all the same.

    A volume that is `starting` is started between: most is set before, and some cannot be set before.
    """
    start = [start_action(host, starting)] if starting else []
    if not desired.optimize:
        return start, []
    # not at the top: seldom asked for, and a twentieth of what a run costs that changes nothing
    from ansible_collections.gfapi.virt.plugins.module_utils import (
        _option_table,
        _volume_change,
        _volume_options,
        _volume_tuning,
    )

    found = host.gluster.volume_and_options(desired.spec.volume)
    volume, table = found.volume, _option_table.table_for(found.op_version)
    preset = _volume_tuning.preset_options(host.gluster, volume, [_volume_tuning.VIRT_STORE])
    wanted = {option: _volume_options.to_text(option, value) for option, value in preset.items()}
    _volume_options.require_shards_kept(volume, found.in_force, wanted)
    change = _volume_tuning.with_roots(
        _volume_tuning.change_of(table, found, wanted, resets=()), host.gluster, host.here
    )
    pending = _volume_change.volume_restart_reasons(table, change, {})
    actions = [*_volume_tuning.option_actions(host.gluster, table, change, found.in_force), *start]
    if starting and change.after_start:
        actions.append(_volume_tuning.heal_action(host.gluster, volume.name, enable=True))
    waiting = [] if starting else _volume_change.start_warnings(change)
    return actions, [*_volume_options.warnings_for(volume), *pending, *waiting]


def end_actions(
    host: _storage_domain_mount.Host,
    desired: _storage_domain_state.Desired,
    volume: _volume.Volume | None,
    condition: _storage_domain_state.Condition,
    going: t.Sequence[str] = (),
) -> list[_plan.Action]:
    """Stop, purge, delete, as far as asked for. Raises `StorageError` while any use it but we, and those that leave."""
    if volume is None or not (desired.stop_volume or desired.volume_policy != "keep"):
        return []
    name, actions = volume.name, []
    if volume.is_started:
        # the client of a dead mount is gone already, and one that is connected is somebody else's
        mounted = condition in (_storage_domain_state.Condition.WORKS, _storage_domain_state.Condition.HUNG)
        require_idle(host, volume, mounted=mounted, point=desired.mount_point, going=going, leaving=desired.leaving)
        actions.append(_plan.Action(f"stop volume {name}", lambda: _stop(host, volume)))
    bricks = host.here.bricks(volume, host.gluster.own_uuid()) if desired.purge_data else []
    if bricks:
        words = f"remove the data of volume {name} on this host: {', '.join(bricks)}"
        actions.append(_plan.Action(words, lambda: host.here.purge(volume, bricks)))
    if desired.volume_policy == "delete":
        actions.append(_plan.Action(f"delete volume {name}", lambda: host.gluster.delete(name)))
    return actions


def _stop(host: _storage_domain_mount.Host, volume: _volume.Volume) -> None:
    # the last word before it: somebody may have come since the plan
    require_idle(host, volume)
    host.gluster.stop(volume.name)


def require_idle(
    host: _storage_domain_mount.Host,
    volume: _volume.Volume,
    *,
    mounted: bool = False,
    point: str = "",
    going: t.Sequence[str] = (),
    leaving: tuple[int, int] = (0, 0),
) -> None:
    """Raises `StorageError` that names who uses a volume.

    Our own mount does not count, nor domains that are going, nor as many mounts and domains of others as are `leaving`.
    """
    fuse, qemu = int(mounted) + leaving[0], len(going) + leaving[1]
    deadline = time.monotonic() + GOING_TIMEOUT_S
    while True:
        clients = _without(host.gluster.clients(volume.name), fuse=fuse, qemu=qemu)
        use = host.here.use(volume.name)
        mounts = tuple(path for path in use.mounts if path != point)
        vms = tuple(name for name in use.vms if name not in going)
        reasons = _volume_use.reasons_not_to_stop(volume, clients, _volume_use.HostUse(mounts, vms))
        if not reasons:
            return
        if use != _volume_use.HostUse() or time.monotonic() > deadline:
            raise _errors.StorageError(
                f"volume {volume.name} cannot be stopped: {'; '.join(reasons)}; end that use first"
            )
        time.sleep(0.5)  # a brick tells nobody that a client went away


def _without(clients: _volume_use.Clients, *, fuse: int, qemu: int) -> _volume_use.Clients:
    """The clients without as many mounts and QEMUs as are to go; which of them those are, gluster cannot tell."""
    kinds = dict(clients.kinds)
    kinds[FUSE] = kinds.get(FUSE, 0) - fuse
    for kind in [kind for kind in kinds if kind.startswith(QEMU)]:
        gone = min(qemu, kinds[kind])
        kinds[kind], qemu = kinds[kind] - gone, qemu - gone
    return _volume_use.Clients({kind: count for kind, count in kinds.items() if count > 0}, clients.addresses)


def require_no_storage_domain(
    host: _storage_domain_mount.Host, desired: _storage_domain_state.Desired, volume: _volume.Volume
) -> None:
    """Raises `StorageError` unless a brick of this host shows that a stopped volume holds none, or nothing at all."""
    found = host.here.storage_domains(volume, desired.spec.directory, host.gluster.own_uuid())
    if found is None:
        raise _errors.StorageError(
            f"volume {volume.name} is stopped, and this host has no brick of it that would tell whether there is a"
            f" storage domain on it; start it first, or delegate the task to {' or '.join(volume.servers)}"
        )
    if found:
        raise _errors.StorageError(
            f"volume {volume.name} is stopped and holds storage domain {', '.join(found)}; start it first, so that it"
            " can be looked at before it is deleted"
        )
    require_nothing_else(host, desired, _storage_domain.foreign(host.here.names(volume, host.gluster.own_uuid()), None))


def require_nothing_else(
    host: _storage_domain_mount.Host, desired: _storage_domain_state.Desired, others: t.Sequence[str]
) -> None:
    """Raises `StorageError` for a volume that would go with more than the storage domain, or under a domain's disk."""
    volume = desired.spec.volume
    if others:
        raise _errors.StorageError(
            f"volume {volume} holds more than a storage domain {desired.name}: {', '.join(others[:10])}; take that away"
            " first if it may go, or keep the volume (volume_policy: keep)"
        )
    users = host.users.on_volume(desired.spec.location, [desired.mount_point])
    if users:
        raise _errors.StorageError(f"volume {volume} is in use by {', '.join(map(str, users))}; undefine them first")
