# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils._plan import Action, Item, Plan


def act(name: str, *, waits: bool = False) -> Action:
    return Action(name, lambda: None, waits=waits)


FIRST, SECOND, WAIT, AFTER = act("first"), act("second"), act("wait", waits=True), act("after")


@pytest.mark.parametrize(
    ("actions", "now", "later"),
    [
        pytest.param((), (), (), id="nothing to do"),
        pytest.param((FIRST, SECOND), (FIRST, SECOND), (), id="nothing waits"),
        pytest.param((WAIT,), (), (WAIT,), id="only waits"),
        pytest.param((FIRST, WAIT), (FIRST,), (WAIT,), id="waits at the end"),
        pytest.param((FIRST, WAIT, AFTER), (FIRST,), (WAIT, AFTER), id="what follows stays behind it"),
        pytest.param((WAIT, AFTER, WAIT), (), (WAIT, AFTER, WAIT), id="waits twice"),
    ],
)
def test_plan_is_split_before_the_first_wait(
    actions: tuple[Action, ...], now: tuple[Action, ...], later: tuple[Action, ...]
) -> None:
    assert Plan(None, None, actions).split() == (now, later)


@given(st.lists(st.sampled_from([FIRST, SECOND, WAIT, AFTER])).map(tuple))
def test_split_loses_and_reorders_nothing(actions: tuple[Action, ...]) -> None:
    now, later = Plan(None, None, actions).split()
    assert now + later == actions
    assert not any(action.waits for action in now)


def test_plan_changes_something_if_it_has_an_action() -> None:
    assert not Plan({"a": 1}, {"a": 1}).changed
    assert Plan(None, None, (FIRST,)).changed


def test_summaries_are_in_the_order_of_the_actions() -> None:
    assert Plan(None, None, (SECOND, WAIT, FIRST)).summaries == ["second", "wait", "first"]


def test_action_does_not_wait_unless_it_says_so() -> None:
    assert not Action("a", print).waits


@pytest.mark.parametrize("value", [FIRST, Plan(None, None), Item("a", Plan(None, None), {})])
def test_values_cannot_be_changed(value: object) -> None:
    with pytest.raises(AttributeError):
        value.name = "other"  # type: ignore[attr-defined]
