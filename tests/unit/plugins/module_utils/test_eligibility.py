# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._eligibility import (
    VolumeState,
    eligible,
    problems,
    warnings,
)
from ansible_collections.gfapi.virt.plugins.module_utils._volume import Brick, Volume
from ansible_collections.gfapi.virt.plugins.module_utils._volume_state import BrickState, Peer, Quorum, Space

BRICKS: t.Final = tuple(Brick(f"gl{number}", "/b") for number in (1, 2, 3))
ARBITER: t.Final = (*BRICKS[:2], Brick("gl3", "/b", True))
VIRT: t.Final = {
    "features.shard": "on",
    "network.remote-dio": "off",
    "performance.strict-o-direct": "on",
    "storage.owner-uid": "36",
    "storage.owner-gid": "36",
    "server.allow-insecure": "on",
}
GOOD: t.Final = VolumeState(
    Volume("v", "Replicate", "Started", 3, BRICKS),
    VIRT,
    tuple(BrickState(brick, True, sector_bytes=512) for brick in BRICKS),
    tuple(Peer(f"u{number}", f"gl{number}", True) for number in (1, 2, 3)),
    client_quorum=Quorum("auto", None, True),
    server_quorum=Quorum("server", "51", True),
    has_thin_arbiter=False,
    pending=0,
    split_brain=0,
    space=Space(100, 50),
)


def with_volume(**changes: t.Any) -> dict[str, t.Any]:
    return {"volume": dataclasses.replace(GOOD.volume, **changes)}


def with_options(**changes: str | None) -> dict[str, t.Any]:
    """Options with `.` and `-` written as `__` and `_`; None is one that was not set."""
    named = {name.replace("__", ".").replace("_", "-"): value for name, value in changes.items()}
    return {"options": {name: value for name, value in {**VIRT, **named}.items() if value is not None}}


def with_bricks(up: str, met: bool | None, bricks: tuple[Brick, ...] = BRICKS, **changes: t.Any) -> dict[str, t.Any]:
    """`+-?` for each brick, and whether that is enough."""
    answers = {"+": True, "-": False, "?": None}
    states = tuple(BrickState(brick, answers[one], sector_bytes=512) for brick, one in zip(bricks, up))
    quorum = dataclasses.replace(GOOD.client_quorum, met=met)
    return {**with_volume(bricks=bricks, **changes), "bricks": states, "client_quorum": quorum}


def one_peer_down() -> dict[str, t.Any]:
    return {"peers": (*GOOD.peers[:2], dataclasses.replace(GOOD.peers[2], is_connected=False))}


CASES: t.Final = [
    pytest.param({}, [], [], id="made for it"),
    # what refuses
    pytest.param(with_volume(status="Stopped"), ["stopped"], [], id="stopped"),
    pytest.param(with_volume(status="Created"), ["stopped"], [], id="never started"),
    pytest.param(with_volume(type="Disperse", replica=1, disperse=3, redundancy=1), ["disperse"], [], id="disperse"),
    pytest.param(
        with_volume(type="Distributed-Disperse", replica=1, disperse=3), ["disperse"], [], id="distributed disperse"
    ),
    pytest.param(with_options(features__shard="off"), ["sharding_off"], [], id="shard off"),
    pytest.param(with_options(features__shard=None), ["sharding_off"], [], id="shard not set"),
    pytest.param(with_options(features__shard="Enable"), [], [], id="shard in another spelling"),
    pytest.param(with_options(performance__strict_o_direct="no"), ["strict_o_direct_off"], [], id="strict-o-direct"),
    pytest.param(
        with_options(performance__strict_o_direct=None), ["strict_o_direct_off"], [], id="strict-o-direct not set"
    ),
    pytest.param(with_options(network__remote_dio="enable"), ["remote_dio_on"], [], id="remote-dio"),
    pytest.param(with_options(network__remote_dio=None), [], [], id="remote-dio not set"),
    pytest.param(with_options(storage__owner_uid="0"), ["owner_not_36"], [], id="owner"),
    pytest.param(with_options(storage__owner_gid=None), ["owner_not_36"], [], id="group not set"),
    pytest.param(with_options(storage__owner_uid="0x24"), [], [], id="owner in another spelling"),
    pytest.param(with_options(storage__owner_uid="036"), ["owner_not_36"], [], id="octal 36 is 30"),
    pytest.param(with_options(server__allow_insecure="off"), ["insecure_ports_off"], [], id="insecure ports"),
    pytest.param(with_options(server__allow_insecure=None), [], [], id="insecure ports by default"),
    pytest.param(
        {"bricks": (*GOOD.bricks[:2], dataclasses.replace(GOOD.bricks[2], sector_bytes=4096))},
        ["block_size_4k"],
        [],
        id="4K disk",
    ),
    pytest.param(
        {"bricks": tuple(dataclasses.replace(brick, sector_bytes=None) for brick in GOOD.bricks)},
        [],
        [],
        id="disks not known",
    ),
    pytest.param(with_bricks("+--", False), ["no_quorum"], [], id="no quorum"),
    pytest.param(with_bricks("--+", False, ARBITER), ["no_quorum"], [], id="arbiter alone"),
    pytest.param(
        with_bricks("+-", False, BRICKS[:2], type="Distribute", replica=1),
        ["bricks_down"],
        ["not_replica_3"],
        id="distribute without a brick",
    ),
    pytest.param(
        {"server_quorum": Quorum("server", "51", False), **one_peer_down()},
        ["no_server_quorum"],
        ["peers_down"],
        id="no server quorum",
    ),
    # what warns
    pytest.param(with_bricks("++", True, BRICKS[:2], type="Distribute", replica=1), [], ["not_replica_3"], id="1 copy"),
    pytest.param(with_bricks("++", True, BRICKS[:2], replica=2), [], ["replica_2"], id="two copies"),
    pytest.param(
        {**with_bricks("++", True, BRICKS[:2], replica=2), "has_thin_arbiter": True},
        [],
        ["thin_arbiter"],
        id="thin arbiter",
    ),
    pytest.param(with_bricks("+++", True, ARBITER), [], [], id="an arbiter counts"),
    pytest.param(with_bricks("+-+", True), [], ["bricks_down"], id="brick down"),
    pytest.param(with_bricks("+-+", True, ARBITER), [], ["bricks_down"], id="one copy left"),
    pytest.param(
        {**with_bricks("++-", True), **one_peer_down()}, [], ["peers_down", "bricks_down"], id="peer with a brick"
    ),
    pytest.param(one_peer_down(), [], ["peers_down"], id="peer without a brick"),
    pytest.param({"client_quorum": Quorum("none", None, True)}, [], ["client_quorum_off"], id="no client quorum"),
    pytest.param({"client_quorum": Quorum("fixed", "1", True)}, [], ["client_quorum_off"], id="client quorum of 1"),
    pytest.param({"client_quorum": Quorum("fixed", "2", True)}, [], [], id="client quorum of 2"),
    pytest.param({"server_quorum": Quorum("none", None, None)}, [], ["server_quorum_off"], id="server quorum"),
    pytest.param({"pending": 8}, [], ["heal_pending"], id="heal pending"),
    pytest.param({"pending": 3, "split_brain": 1}, [], ["split_brain", "heal_pending"], id="split brain"),
    pytest.param({"rebalance": "in progress"}, [], ["rebalance_running"], id="rebalance"),
    pytest.param({"rebalance": "completed"}, [], [], id="rebalance over"),
    pytest.param({"space": Space(100, 9)}, [], ["low_space"], id="nearly full"),
    pytest.param({"space": Space(100, 10)}, [], [], id="a tenth left"),
]


@pytest.mark.parametrize(("change", "refused", "warned"), CASES)
def test_findings(change: dict[str, t.Any], refused: list[str], warned: list[str]) -> None:
    state = dataclasses.replace(GOOD, **change)
    assert [found.code for found in problems(state)] == refused
    assert [found.code for found in warnings(state)] == warned
    assert eligible(state) is (not refused)


@pytest.mark.parametrize(("change", "refused", "warned"), CASES)
def test_every_finding_has_one_line_with_the_thing_and_a_mend(
    change: dict[str, t.Any], refused: list[str], warned: list[str]
) -> None:
    state = dataclasses.replace(GOOD, **change)
    for found in (*problems(state), *warnings(state)):
        assert found.mend
        assert "\n" not in found.message + found.mend
        assert " v " in f"{found.message} " or "gl3" in found.message or ":/b" in found.message


def test_bricks_and_peers_are_named() -> None:
    (found,) = problems(dataclasses.replace(GOOD, **with_bricks("+--", False)))
    assert found.message == "volume v takes no writes without gl2:/b, gl3:/b"
    peers, bricks = warnings(dataclasses.replace(GOOD, **with_bricks("++-", True), **one_peer_down()))
    assert peers.message.endswith("are down: gl3")
    assert bricks.message == "bricks of volume v are down: gl3:/b"
    assert bricks.mend == (
        "gluster volume set v cluster.post-op-delay-secs 0, or guests may read what was there before; then gluster"
        " volume start v force"
    )
    noted = dataclasses.replace(GOOD, **with_bricks("++-", True), **with_options(cluster__post_op_delay_secs="0"))
    assert [one.mend for one in warnings(noted)] == ["gluster volume start v force"]
    (found,) = warnings(dataclasses.replace(GOOD, **with_bricks("+-+", True, ARBITER)))
    assert found.message == "bricks of volume v are down: gl2:/b; some images have a single copy left"


@pytest.mark.parametrize(("met", "answer"), [(None, None), (True, True)])
def test_nobody_knows_whether_a_volume_is_fit_while_its_bricks_are_not_known(
    met: bool | None, answer: bool | None
) -> None:
    assert eligible(dataclasses.replace(GOOD, client_quorum=Quorum("auto", None, met))) is answer


def test_what_refuses_needs_nothing_else_to_be_known() -> None:
    unknown = VolumeState(GOOD.volume, {}, tuple(BrickState(brick) for brick in BRICKS))
    assert eligible(unknown) is False
    assert [found.code for found in problems(unknown)] == ["sharding_off", "strict_o_direct_off", "owner_not_36"]
    assert list(warnings(unknown)) == []
    assert eligible(dataclasses.replace(unknown, options=VIRT)) is None
