# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from unittest import mock

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _bricks, _gluster
from ansible_collections.gfapi.virt.plugins.module_utils._errors import GlusterError
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Item
from ansible_collections.gfapi.virt.plugins.module_utils._volume_use import Clients, HostUse
from ansible_collections.gfapi.virt.plugins.modules import gluster_volume_options
from ansible_collections.gfapi.virt.plugins.modules.gluster_volume_options import make_item
from ansible_collections.gfapi.virt.tests.unit.fake_daemons import FakeGluster, FakeVolumeHere
from ansible_collections.gfapi.virt.tests.unit.recorded import gluster_json
from ansible_collections.gfapi.virt.tests.unit.running import run_module

DEFAULTS: t.Final[dict[str, t.Any]] = {
    "volume": "vmstore",
    "options": {},
    "presets": [],
    "reset": [],
    "purge": False,
    "restart": "never",
    "force": False,
    "lock_timeout": 0,
}
SSL: t.Final = {"server.ssl": True}
#: what a brick shows that was started before server.ssl was set
SSL_LEFT: t.Final = {("protocol/server", "transport.socket.ssl-enabled"): ("on", None)}


def item(
    gluster: FakeGluster,
    options: dict[str, t.Any] | None = None,
    *,
    preset: bool = False,
    here: FakeVolumeHere | None = None,
    **params: t.Any,
) -> Item:
    asked = {**DEFAULTS, "options": options or {}, "presets": ["virt_store"] if preset else [], **params}
    return make_item(asked, gluster, here or FakeVolumeHere())  # type: ignore[arg-type]


def carry_out(made: Item) -> t.Mapping[str, t.Any]:
    for action in made.plan.actions:
        action.run()
    assert made.read
    return made.read()


def run(gluster: FakeGluster, here: FakeVolumeHere | None = None, **params: t.Any) -> dict[str, t.Any]:
    """The whole module, with the fakes in the place of the real gluster and host."""
    found = here or FakeVolumeHere()
    with (
        mock.patch.object(_gluster, "Gluster", return_value=gluster),
        mock.patch.object(_bricks, "VolumeHere", return_value=found),
    ):
        return run_module(gluster_volume_options.main, {"volume": "vmstore", **params})


# --- what is set ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["Created", "Started", "Stopped"])
@pytest.mark.parametrize("volume_type", ["Replicate", "Distributed-Replicate", "Distribute", "Disperse"])
def test_nothing_is_left_to_do_after_a_run(volume_type: str, status: str) -> None:
    gluster = FakeGluster(volume_type=volume_type, status=status)
    asked = {"client.event-threads": 8, "user.note": "a b", "features.shard-block-size": "64MB"}
    gluster.options = {"client.event-threads": "4", "network.frame-timeout": "30m"}
    made = item(gluster, asked, preset=True, reset=["frame-timeout"])
    assert made.plan.changed
    assert carry_out(made) == made.predicted
    assert not item(gluster, asked, preset=True, reset=["frame-timeout"]).plan.changed


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


@pytest.mark.parametrize("asked", [{"granular-entry-heal": True}, {}])
def test_granular_entry_heal_of_a_stopped_volume_waits_for_its_start(asked: dict[str, t.Any]) -> None:
    gluster = FakeGluster(status="Stopped")
    gluster.defaults["cluster.granular-entry-heal"] = "off"
    asked, preset = {**asked, "user.note": "x"}, not asked
    for summaries in (["set "], []):
        made = item(gluster, asked, preset=preset)
        assert [summary[:4] for summary in made.plan.summaries] == summaries
        assert carry_out(made) == made.predicted
        assert made.predicted["after_start"] == ["cluster.granular-entry-heal"]
        assert made.predicted["options"]["cluster.granular-entry-heal"] == "off"
        assert "cannot be enabled while volume vmstore is stopped" in made.warnings[-1]
    gluster.status = "Started"
    made = item(gluster, asked, preset=preset)
    assert made.plan.summaries == ["enable granular-entry-heal on volume vmstore"]
    assert carry_out(made)["after_start"] == []
    assert made.warnings == ()


def test_granular_entry_heal_of_a_stopped_volume_can_be_disabled() -> None:
    gluster = FakeGluster(status="Stopped")
    made = item(gluster, {"granular-entry-heal": "disable"})
    assert carry_out(made) == made.predicted
    assert (made.predicted["after_start"], made.warnings) == ([], ())


def test_default_in_force_is_not_set_again() -> None:
    gluster = FakeGluster()
    made = item(gluster, {"server.allow-insecure": True})
    assert (made.plan.changed, made.plan.before) == (False, {})
    assert made.predicted["options"] == {"server.allow-insecure": "on"}


def test_transport_of_the_volume_is_in_force() -> None:
    assert not item(FakeGluster(), {"config.transport": "tcp"}).plan.changed


def test_diff_has_what_differs_only() -> None:
    gluster = FakeGluster()
    gluster.options = {"client.event-threads": "4"}
    plan = item(gluster, {"ping-timeout": 42, "user.note": "x", "client.event-threads": 8}).plan
    assert plan.before == {"client.event-threads": "4"}
    assert plan.after == {"client.event-threads": "8", "user.note": "x"}


def test_asked_option_wins_over_the_preset() -> None:
    gluster = FakeGluster()
    carry_out(item(gluster, {"ping-timeout": 30}, preset=True))
    assert gluster.options["network.ping-timeout"] == "30"


def test_group_is_expanded_and_a_later_preset_wins() -> None:
    gluster = FakeGluster()
    gluster.groups["ours"] = {"network.ping-timeout": "33", "client.event-threads": "4"}
    carry_out(item(gluster, presets=["virt_store", "group:ours"]))
    assert gluster.options["network.ping-timeout"] == "33"
    assert gluster.options["features.shard"] == "on"
    gluster.groups["ours"]["client.event-threads"] = "6"
    assert item(gluster, presets=["virt_store", "group:ours"]).plan.after == {"client.event-threads": "6"}


def test_options_of_the_cluster() -> None:
    gluster = FakeGluster(volume_type="", status="", replica=0)
    made = item(gluster, {"server-quorum-ratio": 67}, volume="all")
    carry_out(made)
    assert made.plan.summaries == ["set cluster.server-quorum-ratio=67 on volume all"]
    assert gluster.options == {"cluster.server-quorum-ratio": "67"}


# --- what is reset --------------------------------------------------------------------------------------------------


def test_set_options_are_reset_and_others_are_let_be() -> None:
    gluster = FakeGluster(status="Started")
    gluster.options = {"network.ping-timeout": "20", "client.event-threads": "4"}
    made = item(gluster, reset=["ping-timeout", "network.frame-timeout"])
    assert made.plan.summaries == ["reset network.ping-timeout on volume vmstore"]
    assert (made.plan.before, made.plan.after) == ({"network.ping-timeout": "20"}, {"network.ping-timeout": "42"})
    carry_out(made)
    assert gluster.options == {"client.event-threads": "4"}
    assert not item(gluster, reset=["ping-timeout"]).plan.changed


def test_option_that_only_gluster_knows_is_reset() -> None:
    gluster = FakeGluster()
    gluster.options = {"newer.option": "1"}
    gluster.defaults["newer.default"] = "1"
    made = item(gluster, reset=["newer.option", "newer.default", "user.note"])
    assert "newer.option is not known" in made.warnings[0]
    assert carry_out(made) == made.predicted
    assert gluster.options == {}


@pytest.mark.parametrize(("status", "after"), [("Created", "on"), ("Started", "no"), ("Stopped", "no")])
def test_granular_entry_heal_is_reset_to_what_gluster_makes_it(status: str, after: str) -> None:
    gluster = FakeGluster(status=status)
    gluster.options = {"cluster.granular-entry-heal": "disable"}
    assert item(gluster, reset=["granular-entry-heal"]).plan.after == {"cluster.granular-entry-heal": after}


def test_reset_wins_over_the_preset() -> None:
    gluster = FakeGluster()
    carry_out(item(gluster, preset=True, reset=["network.ping-timeout"]))
    assert "network.ping-timeout" not in gluster.options
    assert "features.shard" in gluster.options


def test_purge_resets_what_is_not_asked_for() -> None:
    gluster = FakeGluster()
    gluster.options = {"network.ping-timeout": "20", "client.event-threads": "4", "user.note": "x", "nfs.disable": "on"}
    made = item(gluster, {"client.event-threads": "4"}, purge=True)
    assert made.plan.summaries == ["reset network.ping-timeout on volume vmstore"]


@pytest.mark.parametrize("params", [{"reset": ["shard"]}, {"purge": True}, {"options": {"shard": "disable"}}])
def test_sharding_is_not_turned_off_under_images(params: dict[str, t.Any]) -> None:
    gluster = FakeGluster(status="Started")
    gluster.options = {"features.shard": "enable"}
    with pytest.raises(ValueError, match="loses all but its first shard"):
        item(gluster, **params)
    gluster.status = "Created"
    assert item(gluster, **params).plan.changed


# --- restarts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "restarted"), [("Started", True), ("Stopped", False), ("Created", False)])
def test_restart_is_for_started_volumes_only(status: str, *, restarted: bool) -> None:
    gluster = FakeGluster(status=status)
    made = item(gluster, SSL, restart="if_required")
    assert carry_out(made) == made.predicted
    assert ("restart" in gluster.calls) == restarted
    assert gluster.status == status
    assert made.predicted["restart_required"] == []


def test_restart_is_left_to_the_user_unless_allowed() -> None:
    made = item(FakeGluster(status="Started"), SSL)
    assert made.plan.summaries == ["set server.ssl=on on volume vmstore"]
    (reason,) = made.predicted["restart_required"]
    assert reason == "option server.ssl is in force after volume vmstore was stopped and started"


@pytest.mark.parametrize("restart", ["never", "if_required"])
def test_restart_for_an_option_of_the_cluster_is_left_to_the_user(restart: str) -> None:
    gluster = FakeGluster(volume_type="", status="", replica=0)
    made = item(gluster, {"cluster.brick-multiplex": True}, volume="all", restart=restart)
    assert carry_out(made) == made.predicted
    reason = "option cluster.brick-multiplex is in force after each volume was stopped and started"
    assert made.predicted["restart_required"] == [reason]
    assert "restart" not in gluster.calls


def test_no_restart_for_what_is_in_force_at_once() -> None:
    gluster = FakeGluster(status="Started")
    carry_out(item(gluster, {"network.ping-timeout": 20}, restart="if_required"))
    assert gluster.calls == ["read", "set", "read"]


def test_bricks_that_run_with_the_old_value_are_restarted() -> None:
    gluster, here = FakeGluster(status="Started"), FakeVolumeHere()
    gluster.options, here.differences = {"server.ssl": "on"}, SSL_LEFT
    (reason,) = item(gluster, SSL, here=here).predicted["restart_required"]
    assert "its bricks run with off" in reason
    made = item(gluster, SSL, here=here, restart="if_required")
    assert made.plan.summaries == ["stop and start volume vmstore"]
    here.differences = {}
    assert not item(gluster, SSL, here=here, restart="if_required").plan.changed


def test_volume_in_use_is_not_stopped_and_nothing_is_changed() -> None:
    gluster, here = FakeGluster(status="Started"), FakeVolumeHere()
    gluster.connected = Clients({"glustershd": 3, "fuse": 1, "gfapi.qemu-system-x86": 2}, ("10.0.0.7",))
    here.used = HostUse(("/rhev/data-center/mnt/glusterSD/h:_vmstore",), ("guest1",))
    with pytest.raises(ValueError, match="has to be stopped and started, but") as caught:
        item(gluster, {**SSL, "user.note": "x"}, here=here, restart="if_required")
    for part in ("1 fuse", "2 gfapi.qemu-system-x86", "10.0.0.7", "glusterSD/h:_vmstore", "guest1", "force: true"):
        assert part in str(caught.value)
    assert "glustershd" not in str(caught.value)
    assert gluster.calls == ["read", "clients"]


def test_force_stops_a_volume_in_use() -> None:
    gluster = FakeGluster(status="Started")
    gluster.connected = Clients({"fuse": 1})
    carry_out(item(gluster, SSL, restart="if_required", force=True))
    assert gluster.calls == ["read", "set", "restart", "start", "read"]


@pytest.mark.parametrize("force", [True, False])
def test_rebalance_keeps_a_volume_from_being_restarted(force: bool) -> None:
    gluster, here = FakeGluster(status="Started"), FakeVolumeHere()
    here.moving.add("vmstore")
    with pytest.raises(ValueError, match="a rebalance of it is running"):
        item(gluster, SSL, here=here, restart="if_required", force=force)
    assert item(gluster, SSL, here=here).plan.changed
    assert gluster.calls == ["read", "read"]


def test_volume_with_a_brick_out_of_reach_is_not_restarted() -> None:
    gluster = FakeGluster(status="Started")
    gluster.connected = Clients({}, (), frozenset({"gluster1:/bricks/b", "gluster2:/bricks/b"}))
    with pytest.raises(ValueError, match="bricks that would miss it are down or out of reach: gluster3:/bricks/b"):
        item(gluster, SSL, restart="if_required")


# --- what fails -----------------------------------------------------------------------------------------------------


def test_refused_transaction_sets_nothing() -> None:
    gluster = FakeGluster()
    gluster.refused = {"cluster.nope"}
    result = run(gluster, options={"cluster.nope": 1, "user.note": "x"})
    assert (result["failed"], result["changed"], gluster.options) == (True, False, {})
    assert "option : cluster.nope does not exist" in result["msg"]


@pytest.mark.parametrize("call", ["heal", "reset network.frame-timeout", "restart"])
def test_old_values_are_put_back_when_a_later_step_fails(call: str) -> None:
    gluster = FakeGluster(status="Started")
    gluster.defaults["cluster.granular-entry-heal"] = "off"
    gluster.options = {
        "network.ping-timeout": "0x14",
        "network.frame-timeout": "30m",
        "diagnostics.latency-measurement": "on",
    }
    before = dict(gluster.options)
    partial = call != "heal"
    gluster.fails = {call: GlusterError("gluster said no", partial=partial)}
    options = {"ping-timeout": 30, "client.event-threads": 8, "server.ssl": "on"}
    heal = {"cluster.granular-entry-heal": "on"} if call == "heal" else {}
    result = run(
        gluster, options={**options, **heal}, reset=["latency-measurement", "frame-timeout"], restart="if_required"
    )
    assert (result["failed"], result["changed"], result["actions"]) == (True, False, [])
    assert gluster.options == before
    assert gluster.status == "Started"
    assert result["msg"].startswith("gluster said no; put back: ")
    assert "set network.ping-timeout=0x14 and reset client.event-threads, server.ssl on volume vmstore" in result["msg"]


def test_what_cannot_be_put_back_is_said() -> None:
    gluster = FakeGluster(status="Started")
    gluster.defaults["cluster.granular-entry-heal"] = "off"
    gluster.fails = {"heal": GlusterError("no heal"), "reset client.event-threads": GlusterError("no reset")}
    options = {"user.note": "x", "client.event-threads": 8, "granular-entry-heal": "on"}
    result = run(gluster, options=options)
    assert result["msg"] == "no heal; not put back: no reset"
    assert result["actions"] == ["set user.note=x, client.event-threads=8 on volume vmstore"]
    del gluster.fails["reset client.event-threads"]
    gluster.options = {}
    result = run(gluster, options=options)
    assert "leave user.note, which gluster cannot reset" in result["msg"]
    assert (result["changed"], result["actions"]) == (True, ["set user.note=x on volume vmstore"])


OWNED: t.Final = {"storage.owner-uid": 36, "owner-gid": 36}


@pytest.mark.parametrize(
    ("set_before", "roots"), [({}, (0, 0)), ({}, (107, 0)), ({"storage.owner-uid": "5"}, (5, 107))]
)
def test_bricks_get_their_old_owner_back(set_before: dict[str, str], roots: tuple[int, int]) -> None:
    gluster, here = FakeGluster(status="Started"), FakeVolumeHere()
    here.gluster, gluster.roots, gluster.options = gluster, roots, {"network.frame-timeout": "30", **set_before}
    before = dict(gluster.options)
    gluster.fails = {"reset network.frame-timeout": GlusterError("no reset")}
    result = run(gluster, here, options=OWNED, reset=["frame-timeout"])
    assert (result["changed"], gluster.roots, gluster.options) == (False, roots, before)
    assert f"storage.owner-gid={roots[1]}" in result["msg"]


def test_owner_that_the_bricks_of_a_volume_keep_that_was_stopped_is_told() -> None:
    gluster, here = FakeGluster(status="Started"), FakeVolumeHere()
    here.gluster, gluster.fails = gluster, {"restart": GlusterError("no start", partial=True)}
    result = run(gluster, here, options={**OWNED, **SSL}, restart="if_required")
    assert (gluster.roots, gluster.options, gluster.status) == ((36, 36), {}, "Started")
    assert "the bricks of volume vmstore keep the owner that they have now: it is stopped" in result["msg"]
    assert result["actions"] == ["set storage.owner-uid=36, storage.owner-gid=36, server.ssl=on on volume vmstore"]


def test_owner_that_bricks_keep_is_told() -> None:
    gluster = FakeGluster(status="Started")
    gluster.options = {"network.frame-timeout": "30"}
    gluster.fails = {"reset network.frame-timeout": GlusterError("no reset")}
    result = run(gluster, options={**OWNED, "ping-timeout": 30}, reset=["frame-timeout"])
    assert gluster.roots == (36, 36)
    assert "(its bricks keep what storage.owner-uid and storage.owner-gid made them)" in result["msg"]
    assert result["actions"] == ["set storage.owner-uid=36, storage.owner-gid=36 on volume vmstore"]


@pytest.mark.parametrize(("status", "count"), [("Created", 0), ("Stopped", 1), ("Started", 1)])
@pytest.mark.parametrize("params", [{"reset": ["owner-uid"]}, {"purge": True}])
def test_reset_that_leaves_the_owner_has_a_warning(status: str, count: int, params: dict[str, t.Any]) -> None:
    gluster = FakeGluster(status=status)
    gluster.options = {"storage.owner-uid": "36"}
    made = item(gluster, **params)
    assert len([words for words in made.warnings if "keep the owner that they have" in words]) == count
    assert made.plan.summaries == ["reset storage.owner-uid on volume vmstore"]


def test_volume_that_is_left_stopped_is_a_change() -> None:
    gluster = FakeGluster(status="Started")
    gluster.fails = {"start": GlusterError("no start", partial=True)}
    result = run(gluster, options=SSL, restart="if_required")
    assert (gluster.status, gluster.options) == ("Stopped", {})
    assert "not put back: no start" in result["msg"]
    assert (result["changed"], result["actions"]) == (True, ["stop and start volume vmstore (in part)"])


def test_first_of_two_transactions_is_put_back_when_the_second_fails() -> None:
    gluster = FakeGluster(status="Created")
    gluster.options = {"features.shard-block-size": "1"}
    gluster.refused = {"features.shard"}
    result = run(gluster, options={"features.shard-block-size": "64MB", "features.shard": True})
    assert gluster.options == {"features.shard-block-size": "1"}
    assert (result["failed"], result["changed"]) == (True, False)


def test_option_that_is_not_in_force_after_all_is_an_error() -> None:
    made = item(FakeGluster(), {"user.note": "x"})
    assert made.read
    with pytest.raises(GlusterError, match=r"user\.note is unset instead of x"):
        made.read()


def test_option_that_is_not_reset_after_all_is_an_error() -> None:
    gluster = FakeGluster()
    gluster.options = {"network.ping-timeout": "20"}
    made = item(gluster, reset=["ping-timeout"])
    assert made.read
    with pytest.raises(GlusterError, match=r"network\.ping-timeout is 20 instead of reset"):
        made.read()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"options": {"x": None}}, "not a text, number or boolean"),
        ({"options": {"a.b": "two\nlines"}}, "control character"),
        ({"options": {"a.b": " "}}, "empty"),
        ({"options": {"group": "virt"}}, "presets"),
        ({"options": {"bad name": 1}}, "not an option's name"),
        ({"reset": ["bad name"]}, "not an option's name"),
        ({"options": {"ping-timeout": 1, "network.ping-timeout": 2}}, "given twice"),
        ({"options": {"ping-timeout": 1}, "reset": ["network.ping-timeout"]}, "network.ping-timeout"),
        ({"reset": ["cluster.shd-max-thread"]}, "not known in glusterfs 10.3; is it cluster.shd-max-threads?"),
        ({"reset": ["pingtimeout"]}, "option pingtimeout is .* is it network.ping-timeout?"),
        ({"reset": ["shd-max-thread"]}, "is it cluster.shd-max-threads or disperse.shd-max-threads?"),
        ({"reset": ["qwxz.qwxz"]}, "not known in glusterfs 10.3; see gluster volume set help"),
        ({"reset": ["all"]}, "option all is to be reset and not known"),
        ({"options": {"features.shard-block-size": "64M"}}, "64M"),
        ({"options": {"config.transport": "rdma"}}, "'rdma' is no value of it; it takes tcp"),
        ({"options": {"config.transport": "tcp,rdma"}}, "it takes tcp"),
        ({"options": {"storage.linux-aio": True}}, "only while the volume is stopped"),
        ({"presets": ["virt"]}, "neither virt_store nor an option group"),
        ({"presets": ["group:../virt"]}, "not the name of an option group"),
        ({"volume": "all", "presets": ["virt_store"]}, "presets are for one volume"),
        ({"volume": "all", "options": {"user.note": "x"}}, "name the volume"),
        ({"volume": "all", "options": {"storage.owner-uid": 36}}, "one volume"),
        ({"options": {"cluster.server-quorum-ratio": 51}}, "the whole cluster"),
        ({"volume": "a b"}, "a b"),
    ],
)
def test_bad_input_is_refused(params: dict[str, t.Any], words: str) -> None:
    gluster = FakeGluster(status="Started")
    with pytest.raises(ValueError, match=words):
        item(gluster, **params)
    assert gluster.calls in ([], ["read"])


REFUSALS: t.Final = gluster_json("refusals")
#: kind, option, value
SETS: t.Final = [(row, *row["call"].split()[3:]) for row in REFUSALS if " set " in row["call"]]


@pytest.mark.parametrize(("row", "option", "value"), SETS)
def test_what_gluster_refuses_for_a_kind_of_volume_is_refused_before(
    row: dict[str, str], option: str, value: str
) -> None:
    gluster = FakeGluster(volume_type=row["kind"], replica=3 if row["kind"] == "Replicate" else 1)
    gluster.groups["virt"]["cluster.shd-max-threads"] = "8"
    asked: dict[str, t.Any] = {"presets": ["group:virt"]} if option == "group" else {"options": {option: value}}
    if row["taken"] == "yes":
        assert item(gluster, **asked).plan.changed
    else:
        with pytest.raises(ValueError, match="cluster.shd-max-threads" if option == "group" else option):
            item(gluster, **asked)


@pytest.mark.parametrize("row", [row for row in REFUSALS if " heal " in row["call"]], ids=lambda row: row["call"])
def test_granular_entry_heal_is_refused_where_gluster_refuses_it(row: dict[str, str]) -> None:
    gluster = FakeGluster(volume_type=row["kind"], status=row["when"])
    word = row["call"].split()[-1]
    gluster.options["cluster.granular-entry-heal"] = "off" if word == "enable" else "on"
    if row["kind"] == "Replicate":
        made = item(gluster, {"granular-entry-heal": word})
        assert made.plan.changed is (row["taken"] == "yes")
    else:
        with pytest.raises(ValueError, match="granular-entry-heal is for replicate volumes"):
            item(gluster, {"granular-entry-heal": word})


def test_what_is_in_force_already_is_not_refused() -> None:
    gluster = FakeGluster()
    gluster.options = {"features.quota": "on"}
    assert not item(gluster, {"features.quota": True}).plan.changed


# --- warnings -------------------------------------------------------------------------------------------------------


def test_disperse_has_no_option_group_and_a_warning() -> None:
    made = item(FakeGluster(volume_type="Disperse", replica=1), preset=True)
    assert "features.shard" not in made.plan.after
    assert "Disperse" in made.warnings[0]


@pytest.mark.parametrize("preset", [True, False])
def test_replica_2_has_a_warning(preset: bool) -> None:
    assert "replica 2" in item(FakeGluster(replica=2), preset=preset).warnings[0]
    assert item(FakeGluster(replica=3), preset=preset).warnings == ()


def test_cluster_has_no_copies_to_warn_of() -> None:
    assert item(FakeGluster(volume_type="", status="", replica=0), volume="all").warnings == ()


@pytest.mark.parametrize(
    ("status", "replica", "shard", "warned"),
    [
        ("Started", 1, "on", True),
        ("Started", 1, "off", False),
        ("Started", 3, "on", False),
        ("Stopped", 1, "on", False),
    ],
)
def test_a_rebalance_has_a_warning_where_images_are_sharded(
    status: str, replica: int, shard: str, warned: bool
) -> None:
    here = FakeVolumeHere()
    here.moving.add("vmstore")
    gluster = FakeGluster(volume_type="Distribute", status=status, replica=replica)
    gluster.options["features.shard"] = shard
    assert (
        any("a rebalance of volume vmstore is running" in words for words in item(gluster, here=here).warnings)
        is warned
    )


@pytest.mark.parametrize(("found", "count"), [(None, 0), ([], 0), (["u-1"], 1)])
def test_a_storage_domain_without_shards_has_a_warning(found: list[str] | None, count: int) -> None:
    here = FakeVolumeHere()
    here.found = found
    warnings = item(FakeGluster(), here=here).warnings
    assert len([words for words in warnings if "does not shard and holds storage domain u-1" in words]) == count
    assert item(FakeGluster(), preset=True, here=here).warnings == ()


def test_option_that_changes_every_volume_has_a_warning() -> None:
    (warning,) = item(FakeGluster(), {"server.outstanding-rpc-limit": 128}).warnings
    assert "every volume" in warning
