# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be set and reset on a volume, what it was before, and what comes into force only later. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _option_table, _volume

#: glusterd resets none of them by name
USER: t.Final = "user."

#: what bricks do to their roots while they run; a reset leaves the roots as they are
OWNERS: t.Final = ("storage.owner-uid", "storage.owner-gid")

#: translator and key in a volfile → the value written for the brick, and the one it runs with
Differences = t.Mapping["tuple[str, str]", "tuple[str | None, str | None]"]


@dataclass(frozen=True)
class Change:
    """What glusterd is asked for: `sets` in one transaction, each of `resets` in its own, and healing apart."""

    volume: _volume.Volume
    sets: t.Mapping[str, str]
    resets: tuple[str, ...] = ()
    #: granular entry heal of a volume that was started has a command of its own
    heal: bool | None = None
    #: what cannot be set on a volume that is stopped, so is set by the next run after its start
    after_start: tuple[str, ...] = ()
    #: uid and gid of the brick roots, where the volume is started and this host has a brick
    roots: tuple[int, int] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        heal = () if self.heal is None else (_option_table.GRANULAR_ENTRY_HEAL,)
        return (*self.sets, *heal, *self.resets)

    @property
    def old_values(self) -> dict[str, str]:
        """What was set before, of what is set now."""
        return {name: self.volume.options[name] for name in self.sets if name in self.volume.options}

    @property
    def unset_before(self) -> tuple[str, ...]:
        return tuple(name for name in self.sets if name not in self.volume.options and not name.startswith(USER))

    @property
    def reset_values(self) -> dict[str, str]:
        """What was set before, of what is reset now."""
        return {name: self.volume.options[name] for name in self.resets}

    @property
    def old_owner(self) -> dict[str, str]:
        """What gives the brick roots their old owner back, of what was not set before."""
        owner = dict(zip(OWNERS, map(str, self.roots or ())))
        return {name: owner[name] for name in self.unset_before if name in owner}

    @property
    def _kept_owner(self) -> tuple[str, ...]:
        """What the brick roots keep, where nobody knows what they had before."""
        owners = OWNERS if self.volume.is_started and self.roots is None else ()
        return tuple(name for name in self.unset_before if name in owners)

    @property
    def stays_set(self) -> str:
        """The words on what cannot be taken back of the first transaction; empty where all can."""
        users = {name for name in self.sets if name.startswith(USER) and name not in self.volume.options}
        stays = {name: text for name, text in self.sets.items() if name in users or name in self._kept_owner}
        return f"set {pairs_of(stays)} on volume {self.volume.name}" if stays else ""

    @property
    def undo_of_sets(self) -> str:
        """The words on taking back the first transaction."""
        sets = {**self.old_values, **self.old_owner}
        parts = [f"set {pairs_of(sets)}"] if sets else []
        parts += [f"reset {', '.join(self.unset_before)}"] if self.unset_before else []
        stay = [name for name in self.sets if name not in self.volume.options and name.startswith(USER)]
        parts += [f"leave {', '.join(stay)}, which gluster cannot reset,"] if stay else []
        kept = f" (its bricks keep what {' and '.join(self._kept_owner)} made them)" if self._kept_owner else ""
        return f"{' and '.join(parts)} on volume {self.volume.name}{kept}"


def pairs_of(options: t.Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())


def left_in_bricks(table: _option_table.OptionTable, differences: Differences) -> dict[str, str]:
    """Option → the value that bricks still run with, of those options that need a stop and start."""
    found = {}
    for option in filter(None, map(table.get, table.after_restart(table, of="volume") if differences else ())):
        translator, _blank, key = option.volfile.partition(" ")
        written, running = differences.get((translator, key), (None, None))
        default = option.default or ""
        if not table.is_same(option.name, written or default, running or default):
            found[option.name] = running or default
    return found


def require_stopped(table: _option_table.OptionTable, change: Change) -> None:
    """Raises `ValueError` for an option that glusterd changes on a stopped volume only."""
    for name in table.after_restart(change.names, of="stopped") if change.volume.is_started else ():
        raise ValueError(
            f"option {name} of volume {change.volume.name} can be changed only while the volume is stopped; stop it,"
            " run this again, and start it"
        )


def require_healed_by_entries(change: Change) -> None:
    """Raises `ValueError` for granular entry heal of a volume that was started and does not replicate."""
    if (change.heal is not None or change.after_start) and not change.volume.is_replicate:
        raise ValueError(
            f"option {_option_table.GRANULAR_ENTRY_HEAL} is for replicate volumes, and volume {change.volume.name} is"
            f" {change.volume.type}; leave it out"
        )


def volume_restart_reasons(table: _option_table.OptionTable, change: Change, left: t.Mapping[str, str]) -> list[str]:
    """Why a started volume would have to be stopped and started; `left` is what its bricks run with instead."""
    if not change.volume.is_started:
        return []
    in_force = f"is in force after volume {change.volume.name} was stopped and started"
    planned = table.after_restart(change.names, of="volume")
    reasons = [f"option {name} {in_force}" for name in planned]
    return reasons + [
        f"option {name} {in_force}: its bricks run with {value}" for name, value in left.items() if name not in planned
    ]


def other_restart_reasons(table: _option_table.OptionTable, change: Change) -> list[str]:
    """What else has to be restarted, by somebody else: glusterd, or clients."""
    glusterd, mount = (table.after_restart(change.names, of=what) for what in ("glusterd", "mount"))
    reasons = [f"option {name} is in force after glusterd was restarted on each node" for name in glusterd]
    if change.volume.name == _option_table.EVERY_VOLUME:
        bricks = table.after_restart(change.names, of="volume")
        reasons += [f"option {name} is in force after each volume was stopped and started" for name in bricks]
    if change.volume.is_started:
        reasons += [f"option {name} is in force on clients that connect from now on" for name in mount]
    return reasons


def start_warnings(change: Change) -> list[str]:
    """What is asked for and cannot be done yet."""
    words = f"cannot be enabled while volume {change.volume.name} is stopped; the next run after its start does it"
    return [f"option {name} {words}" for name in change.after_start]


def owner_warnings(change: Change) -> list[str]:
    """What a reset does not do."""
    names = [name for name in change.resets if name in OWNERS and not change.volume.was_never_started]
    words = (
        f"is reset, and the bricks of volume {change.volume.name} keep the owner that they have; set it to change that"
    )
    return [f"option {name} {words}" for name in names]
