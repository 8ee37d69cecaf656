# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._errors import GlusterError
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Item
from ansible_collections.gfapi.virt.plugins.modules.gluster_volume_options import make_item
from ansible_collections.gfapi.virt.tests.unit.fake_daemons import FakeGluster


def item(gluster: FakeGluster, options: dict[str, t.Any] | None = None, *, preset: bool = False) -> Item:
    presets = ["virt_store"] if preset else []
    params = {"volume": "vmstore", "options": options or {}, "presets": presets, "lock_timeout": 0}
    return make_item(params, gluster)  # type: ignore[arg-type]


def carry_out(made: Item) -> t.Mapping[str, t.Any]:
    for action in made.plan.actions:
        action.run()
    assert made.read
    return made.read()


@pytest.mark.parametrize("status", ["Created", "Started", "Stopped"])
@pytest.mark.parametrize("volume_type", ["Replicate", "Distributed-Replicate", "Distribute", "Disperse"])
def test_nothing_is_left_to_do_after_a_run(volume_type: str, status: str) -> None:
    gluster = FakeGluster(volume_type=volume_type, status=status)
    asked = {"client.event-threads": 8, "user.note": "a b", "features.shard-block-size": "64MB"}
    gluster.options = {"client.event-threads": "4"}
    made = item(gluster, asked, preset=True)
    assert made.plan.changed
    assert carry_out(made) == made.predicted
    assert not item(gluster, asked, preset=True).plan.changed


def test_all_go_in_one_transaction_before_the_first_start() -> None:
    gluster = FakeGluster(status="Created")
    gluster.defaults["cluster.granular-entry-heal"] = "off"
    carry_out(item(gluster, {"client.event-threads": 8}, preset=True))
    assert gluster.calls == ["read", "group virt", "set", "read"]
    assert gluster.options["cluster.granular-entry-heal"] == "enable"


def test_granular_entry_heal_has_its_own_command_once_started() -> None:
    gluster = FakeGluster(status="Started")
    gluster.defaults["cluster.granular-entry-heal"] = "off"
    carry_out(item(gluster, preset=True))
    assert gluster.calls == ["read", "group virt", "set", "heal", "read"]


def test_default_in_force_is_not_set_again() -> None:
    gluster = FakeGluster()
    made = item(gluster, {"server.allow-insecure": True})
    assert (made.plan.changed, made.plan.before) == (False, {"server.allow-insecure": "on"})


def test_asked_option_wins_over_the_preset() -> None:
    gluster = FakeGluster()
    carry_out(item(gluster, {"ping-timeout": 30}, preset=True))
    assert gluster.options["network.ping-timeout"] == "30"


@pytest.mark.parametrize("asked", [{"features.shard": False}, {"shard": "disable"}])
def test_sharding_is_not_turned_off_under_images(asked: dict[str, t.Any]) -> None:
    gluster = FakeGluster(status="Started")
    gluster.options = {"features.shard": "enable"}
    with pytest.raises(ValueError, match="loses all but its first shard"):
        item(gluster, asked)
    gluster.status = "Created"
    assert item(gluster, asked).plan.changed


def test_disperse_has_no_option_group_and_a_warning() -> None:
    made = item(FakeGluster(volume_type="Disperse", replica=1), preset=True)
    assert "features.shard" not in made.plan.after
    assert "Disperse" in made.warnings[0]


def test_replica_2_has_a_warning_with_the_preset_only() -> None:
    assert "replica 2" in item(FakeGluster(replica=2), preset=True).warnings[0]
    assert item(FakeGluster(replica=2)).warnings == ()


def test_refused_transaction_sets_nothing() -> None:
    gluster = FakeGluster()
    gluster.refused = {"cluster.nope"}
    made = item(gluster, {"cluster.nope": 1, "user.note": "x"})
    with pytest.raises(GlusterError, match=r"cluster\.nope does not exist"):
        carry_out(made)
    assert gluster.options == {}


def test_option_that_is_not_in_force_after_all_is_an_error() -> None:
    gluster = FakeGluster()
    made = item(gluster, {"user.note": "x"})
    assert made.read
    with pytest.raises(GlusterError, match=r"user\.note is unset instead of x"):
        made.read()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"x": None}, "not a text, number or boolean"),
        ({"a.b": "two\nlines"}, "control character"),
        ({"a.b": " "}, "empty"),
        ({"group": "virt"}, "presets"),
        ({"bad name": 1}, "not an option's name"),
        ({"ping-timeout": 1, "network.ping-timeout": 2}, "given twice"),
    ],
)
def test_bad_options_are_refused(options: dict[str, t.Any], words: str) -> None:
    gluster = FakeGluster()
    with pytest.raises(ValueError, match=words):
        item(gluster, options)
    assert "set" not in gluster.calls
