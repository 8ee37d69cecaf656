# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan: what is, what will be, and the actions between. Pure: no I/O of its own."""

from __future__ import annotations

import typing as t


class Action(t.NamedTuple):
    """One step. The summary is the same in check mode and in a real run."""

    summary: str
    run: t.Callable[[], object]
    #: spends its time waiting on the outside; may run beside the waiting actions of other items
    waits: bool = False
    #: takes it back, however much of it was done, should a later action fail
    undo: Action | None = None
    #: of an undo: what stays of what it takes back, in words
    leaves: str = ""


class Plan(t.NamedTuple):
    """How to get from `before` to `after`: both plain data, or text, for the diff."""

    before: t.Any
    after: t.Any
    actions: tuple[Action, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.actions)

    @property
    def summaries(self) -> list[str]:
        return [action.summary for action in self.actions]

    def split(self) -> tuple[tuple[Action, ...], tuple[Action, ...]]:
        """The actions before the first one that waits, and the rest."""
        for position, action in enumerate(self.actions):
            if action.waits:
                return self.actions[:position], self.actions[position:]
        return self.actions, ()


class Item(t.NamedTuple):
    """One thing that a module keeps true, with its plan and what to return about it."""

    name: str
    plan: Plan
    #: the thing as it is (nothing to do) or as it will be (check mode)
    predicted: t.Mapping[str, t.Any]
    #: reads the thing again after the actions, for values that the outside made
    read: t.Callable[[], t.Mapping[str, t.Any]] | None = None
    warnings: tuple[str, ...] = ()
