# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault strikes while a guest writes and plays run: no write is lost, and one more run repairs all."""

from __future__ import annotations

import time
import typing as t

import pytest
from faults import FAULTS, Fault, Guest
from page import Outcome
from scene import GIVEN_UP, VM, Plays, Scene, Watch

from conftest import Record


class RoundsLostError(AssertionError):
    """The image does not hold what the guest said that it had written."""

    def __init__(self, words: str, acknowledged: int, lost: int) -> None:
        super().__init__(words)
        self.acknowledged = acknowledged
        self.lost = lost


def until_seen(scene: Scene, fault: Fault) -> None:
    """Until the fault has had its effect on the guest."""
    if fault.guest is Guest.GOES_ON:
        scene.goes_on(by=5)
    elif fault.guest is Guest.PAUSED:
        scene.wait("the guest is paused", lambda: scene.guest.state == "paused")
    else:
        scene.wait("the guest has ended", lambda: not scene.is_running())


def goes_on_where_it_was(scene: Scene, fault: Fault) -> bool:
    """Whether the guest does when the fault is over, for a task that resumes it if it was paused."""
    if fault.guest is not Guest.PAUSED:
        return fault.guest is Guest.GOES_ON
    said: list[str] = []

    def is_decided() -> bool:
        said.append(scene.attempt(scene.here, "libvirt_vm", {"name": VM, "state": "running"}).message or "")
        return not said[-1] or GIVEN_UP in said[-1]

    scene.wait("the guest can be resumed", is_decided)
    return not said[-1]


def struck(scene: Scene, fault: Fault) -> Outcome:
    scene.begin()
    scene.own.clear()
    starts = scene.guest.starts()
    with Watch(scene.guest) as watch, Plays(scene) as plays:
        plays.under_way()
        begin, before = time.monotonic(), len(plays.tried)
        with fault.strike(scene):
            until_seen(scene, fault)
            plays.whole_cycle()
        over = time.monotonic()
        anew = not goes_on_where_it_was(scene, fault)
        if anew:
            acknowledged = scene.acknowledged()
            lost = scene.lost(acknowledged)
            errors = scene.said("error")
            scene.start_anew()
        scene.wait("the guest writes again", lambda: watch.first_after(over) is not None)
        scene.await_alike()
        whole = time.monotonic()
    if not anew:
        scene.goes_on(by=1)
        acknowledged = scene.acknowledged()
        lost = scene.lost(acknowledged)
        assert scene.guest.starts() == starts, "the guest was started anew"
        errors = scene.said("error")
    given_up = anew and fault.guest is Guest.PAUSED
    assert given_up or not errors, "the guest had input/output errors"
    if lost:
        words = f"{len(lost)} of {len(acknowledged)} rounds were lost, {lost[0]} first; {scene.on_bricks(lost[0])}"
        raise RoundsLostError(words, len(acknowledged), len(lost))
    tried = plays.tried[before:] + scene.own
    for one in tried:
        assert one.message is None or one.is_clear, one
    scene.repair()
    return Outcome(
        fault=fault.name,
        guest=fault.guest.value,
        pause_s=watch.longest_pause(since=begin),
        resumed_s=t.cast(float, watch.first_after(over)) - over,
        whole_s=whole - over,
        given_up=given_up,
        acknowledged=len(acknowledged),
        lost=len(lost),
        tasks=len(tried),
        failed=sum(one.message is not None for one in tried),
        slowest_s=max(one.seconds for one in tried),
        messages=tuple(sorted({f"`{one.module}`: {one.message}" for one in tried if one.message})),
    )


CASES = [pytest.param(one, id=one.slug, marks=[pytest.mark.gate] if one.gate else []) for one in FAULTS]


@pytest.mark.parametrize("fault", CASES)
def test_fault(scene: Scene, fault: Fault, turn: int, record: Record) -> None:
    try:
        record(struck(scene, fault))
    except AssertionError as broken:
        words = str(broken).splitlines()[0]
        acknowledged, lost = (broken.acknowledged, broken.lost) if isinstance(broken, RoundsLostError) else (0, 0)
        record(Outcome(fault.name, fault.guest.value, acknowledged=acknowledged, lost=lost, broken=words))
        raise
