# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: gluster's commands and this host's bricks. What is set on a volume, and the way back."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _bricks,
    _errors,
    _gluster,
    _option_table,
    _plan,
    _volume,
    _volume_change,
    _volume_options,
)

VIRT_STORE: t.Final = "virt_store"


def preset_options(gluster: _gluster.Gluster, volume: _volume.Volume, presets: t.Sequence[str]) -> dict[str, str]:
    """What the presets stand for; a later one wins."""
    found: dict[str, str] = {}
    for preset in presets:
        group = _volume_options.group_of(preset)
        if group is not None:
            found.update(gluster.group(group))
        else:
            suited = _volume_options.virt_store_group(volume)
            found.update(_volume_options.virt_store(volume, gluster.group(suited) if suited else {}))
    return found


def change_of(
    table: _option_table.OptionTable, found: _gluster.Found, desired: t.Mapping[str, str], resets: t.Sequence[str]
) -> _volume_change.Change:
    """What differs; granular entry heal goes apart where the volume was started before.

    To enable it, gluster asks the bricks first, so a stopped volume has to wait for its start.
    """
    sets = table.differences(desired, found.in_force)
    heal = None if found.volume.was_never_started else sets.pop(_option_table.GRANULAR_ENTRY_HEAL, None)
    enable = None if heal is None else table.is_same(_option_table.GRANULAR_ENTRY_HEAL, heal, "on")
    if enable and not found.volume.is_started:
        return _volume_change.Change(
            found.volume, sets, tuple(resets), after_start=(_option_table.GRANULAR_ENTRY_HEAL,)
        )
    return _volume_change.Change(found.volume, sets, tuple(resets), enable)


def with_roots(
    change: _volume_change.Change, gluster: _gluster.Gluster, here: _bricks.VolumeHere
) -> _volume_change.Change:
    """A change that knows what its bricks' roots are like before it, where it is one of their owner."""
    if not change.volume.is_started or not set(_volume_change.OWNERS) & set(change.unset_before):
        return change
    return replace(change, roots=here.root_owner(change.volume, gluster.own_uuid()))


def option_actions(
    gluster: _gluster.Gluster,
    table: _option_table.OptionTable,
    change: _volume_change.Change,
    in_force: t.Mapping[str, str],
) -> list[_plan.Action]:
    """First what gluster refuses most, so that little is to be put back then."""
    name, actions = change.volume.name, []
    if change.sets:
        actions.append(set_action(gluster, table, change, in_force))
    if change.resets:
        actions.append(reset_action(gluster, table, change))
    if change.heal is not None:
        actions.append(heal_action(gluster, name, enable=change.heal))
    return actions


def set_action(
    gluster: _gluster.Gluster,
    table: _option_table.OptionTable,
    change: _volume_change.Change,
    in_force: t.Mapping[str, str],
) -> _plan.Action:
    """All that is set, in one transaction, and the way back."""
    name = change.volume.name

    def set_all() -> None:
        for step, pairs in enumerate(table.steps(change.sets, in_force)):
            try:
                gluster.set_options(name, pairs)
            except _errors.GlusterError as exc:
                exc.partial |= step > 0
                raise

    def put_back() -> None:
        before = {**change.old_values, **change.old_owner}
        if before:
            gluster.set_options(name, before)
        if change.unset_before:
            gluster.reset_options(name, change.unset_before)
        if change.old_owner and not gluster.volume(name).is_started:
            raise _errors.GlusterError(f"the bricks of volume {name} keep the owner that they have now: it is stopped")

    words = f"set {_volume_change.pairs_of(change.sets)} on volume {name}"
    return _plan.Action(words, set_all, undo=_plan.Action(change.undo_of_sets, put_back, leaves=change.stays_set))


def reset_action(
    gluster: _gluster.Gluster, table: _option_table.OptionTable, change: _volume_change.Change
) -> _plan.Action:
    name, old = change.volume.name, change.reset_values
    protected = [option.name for option in map(table.get, change.resets) if option and option.reset == "forced"]
    undo = _plan.Action(f"set {_volume_change.pairs_of(old)} on volume {name}", lambda: gluster.set_options(name, old))
    words = f"reset {', '.join(change.resets)} on volume {name}"
    return _plan.Action(words, lambda: gluster.reset_options(name, change.resets, protected=protected), undo=undo)


def heal_action(gluster: _gluster.Gluster, name: str, *, enable: bool) -> _plan.Action:
    def step(*, enable: bool) -> _plan.Action:
        words = f"{'enable' if enable else 'disable'} granular-entry-heal on volume {name}"
        return _plan.Action(words, lambda: gluster.set_granular_entry_heal(name, enable=enable))

    return step(enable=enable)._replace(undo=step(enable=not enable))
