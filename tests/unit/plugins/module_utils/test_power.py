# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import libvirt
import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _power

NAMES = {"nostate": "no_state", "shutdown": "shutting_down", "shutoff": "shut_off", "pmsuspended": "suspended"}


def test_states_and_reasons_are_those_of_the_library() -> None:
    for number, state in enumerate(_power.STATES):
        assert getattr(libvirt, f"VIR_DOMAIN_{unnamed(state).upper()}") == number
    prefix = "VIR_DOMAIN_PAUSED_"
    known = {name[len(prefix) :].lower(): value for name, value in vars(libvirt).items() if name.startswith(prefix)}
    known.pop("last", None)
    assert {_power.pause_reason(number).replace("io_", "io") for number in known.values()} == known.keys()


def unnamed(state: str) -> str:
    return next((theirs for theirs, ours in NAMES.items() if ours == state), state)


def test_reason_of_a_later_libvirt_is_unknown() -> None:
    assert _power.pause_reason(99) == "unknown"


@pytest.mark.parametrize("reason", ["unknown", "user", "io_error", "watchdog", "from_snapshot", "api_error", None])
def test_what_is_paused_for_good_can_go_on(reason: str | None) -> None:
    _power.require_resumable("web", "paused", reason)


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ("crashed", None, "domain web is crashed and cannot be resumed: .*force_stop: true"),
        ("paused", "crashed", "its guest has crashed"),
        ("paused", "migration", "domain web is paused and cannot be resumed: it is being migrated; run again"),
        ("paused", "starting_up", "another run is starting it"),
        ("suspended", None, "virsh dompmwakeup web"),
        ("shutting_down", None, "it is shutting down"),
    ],
)
def test_what_is_held_otherwise_is_told_why(state: str, reason: str | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _power.require_resumable("web", state, reason)


def test_trouble_names_disk_error_and_mend() -> None:
    assert _power.disk_trouble("vda", "gv0/a/b", 2) == (
        "disk vda (gv0/a/b): no space left; free space on its volume, or raise the quota"
        " (gluster volume quota gv0 list)"
    )
    assert "input/output error; see that its volume is up" in _power.disk_trouble("vda", "gv0/a/b", 1)
