# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _volume_state as volume_state
from ansible_collections.gfapi.virt.plugins.module_utils import _xml
from ansible_collections.gfapi.virt.plugins.module_utils._volume import Brick, Volume, volumes_from
from ansible_collections.gfapi.virt.plugins.module_utils._volume_state import (
    BrickState,
    Client,
    Heal,
    Peer,
    Quorum,
    Space,
    Status,
)
from ansible_collections.gfapi.virt.tests.unit.recorded import STATE_VERSIONS, state_xml

GIB: t.Final = 2**30
#: peers of a pool of three, by number; the first is the host that is asked
POOL: t.Final = tuple(Peer(f"u{number}", f"gl{number}", True) for number in (1, 2, 3))
ADDRESSES: t.Final = {f"192.0.2.{number}": f"u{number}" for number in (1, 2, 3)}


@pytest.fixture(params=STATE_VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return t.cast("str", request.param)


def volumes(version: str) -> dict[str, Volume]:
    return {volume.name: volume for volume in volumes_from(state_xml("pool_and_info", version, document=1))}


def peers(version: str, recording: str = "pool_and_info") -> tuple[Peer, ...]:
    return volume_state.peers_from(state_xml(recording, version))


def addresses(version: str) -> dict[str, str]:
    numbers = {"gl2": 2, "gl3": 3, "localhost": 1}
    return {f"192.0.2.{numbers[peer.name]}": peer.uuid for peer in peers(version)}


def status(recording: str, version: str, *, bricks: int = 1) -> Status:
    documents = [state_xml(recording, version, document=number) for number in range(2 + bricks)]
    return volume_state.status_from(documents[0], documents[1], documents[2:])


def states(recording: str, version: str, heal: str | None = None, pool: str = "pool_and_info") -> list[BrickState]:
    """Bricks of vmstore."""
    healed = volume_state.heal_from(state_xml(heal, version)) if heal else {}
    found = volume_state.brick_states(
        volumes(version)["vmstore"], peers(version, pool), status(recording, version), healed
    )
    return list(found)


# --- what glusterd says ---------------------------------------------------------------------------------------------


def test_peers_are_read_and_the_host_that_was_asked_is_last(version: str) -> None:
    found = peers(version)
    assert [(peer.name, peer.is_connected) for peer in found] == [("gl2", True), ("gl3", True), ("localhost", True)]
    assert len({peer.uuid for peer in found}) == 3


def test_peer_that_is_down_is_seen(version: str) -> None:
    assert [peer.name for peer in peers(version, "pool_peer_down") if not peer.is_connected] == ["gl3"]


def test_bricks_of_a_healthy_volume(version: str) -> None:
    found = states("status_vmstore", version, "heal_summary_vmstore")
    assert [str(state.brick) for state in found] == [f"gl{n}:/bricks/vmstore-{n - 1}" for n in (1, 2, 3)]
    for state in found:
        assert (state.online, state.heal) == (True, Heal(True, 0, 0))
        assert state.pid and state.port and state.device and state.filesystem == "ext4" and state.block_bytes == 4096
        assert state.size_bytes and state.free_bytes and state.free_bytes < state.size_bytes


def test_brick_that_was_killed_is_down_and_the_others_list_what_it_misses(version: str) -> None:
    first, second, third = states("status_brick_down", version, "heal_summary_brick_down")
    assert (first.online, second.online, third.online) == (True, False, True)
    assert (second.pid, second.port, second.heal) == (None, None, Heal(False))
    assert second.size_bytes, "its file system is told all the same"
    assert first.heal and first.heal.pending and first.heal == third.heal


def test_bricks_of_a_peer_that_is_down_are_not_told_and_count_as_down(version: str) -> None:
    found = states("status_peer_down", version, "heal_summary_peer_down", "pool_peer_down")
    assert [state.online for state in found] == [True, True, False]
    assert found[2].size_bytes is None
    assert found[2].heal == Heal(False)


def test_client_that_counts_what_to_heal_tells_where_glusterd_does_not(version: str) -> None:
    """A peer that hangs is still called connected."""
    healed = volume_state.heal_from(state_xml("heal_summary_peer_down", version))
    found = volume_state.brick_states(volumes(version)["vmstore"], peers(version), None, healed)
    assert [state.online for state in found] == [True, True, False]


def test_nothing_is_guessed_where_nobody_tells(version: str) -> None:
    found = volume_state.brick_states(volumes(version)["vmstore"], peers(version), None, {})
    assert [state.online for state in found] == [None, None, None]


def test_bricks_of_a_stopped_volume_are_down(version: str) -> None:
    found = volume_state.brick_states(volumes(version)["stopped"], peers(version), None, {})
    assert [state.online for state in found] == [False, False, False]


def test_rebalance_is_told(version: str) -> None:
    assert status("status_rebalanced", version).rebalance in ("in progress", "completed")
    assert status("status_vmstore", version).rebalance is None


# --- clients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recording", "clients"),
    [
        ("status_vmstore", (Client("192.0.2.4", 1),)),
        ("status_brick_down", (Client("192.0.2.4", 1),)),
        ("status_arbitrated", ()),
        ("status_dispersed", ()),
        ("status_dist-rep", ()),
    ],
)
def test_clients_are_those_that_are_not_glusters_own(version: str, recording: str, clients: tuple[Client, ...]) -> None:
    assert volume_state.clients_from(status(recording, version), addresses(version)) == clients


def test_volume_without_daemons_and_clients_has_none(version: str) -> None:
    """Brick by brick: the one of this host answers without a client, that of the other `Commit failed`."""
    found = status("status_distributed", version, bricks=2)
    assert volume_state.clients_from(found, {}) == ()


def test_commit_that_failed_for_all_bricks_tells_nothing(version: str) -> None:
    detail, plain = (state_xml("status_distributed", version, document=number) for number in (0, 1))
    found = volume_state.status_from(detail, plain, [state_xml("status_no_clients", version)])
    assert volume_state.clients_from(found, {}) is None
    assert volume_state.clients_from(None, {}) is None


def connected(connections: t.Mapping[str, t.Mapping[str, int]], daemons: t.Mapping[str, int]) -> Status:
    return Status({}, daemons, {(peer, "/b"): hosts for peer, hosts in connections.items()}, None)


@pytest.mark.parametrize(
    ("connections", "daemons", "clients"),
    [
        pytest.param({"u1": {"192.0.2.1": 3}}, {"u1": 1}, {"192.0.2.1": 2}, id="mount and VM beside the daemon"),
        pytest.param({"u1": {"192.0.2.1": 1}}, {"u1": 1}, {}, id="daemon alone"),
        pytest.param({"u1": {"192.0.2.1": 1}}, {}, {"192.0.2.1": 1}, id="no daemon runs"),
        pytest.param({"u1": {"127.0.0.1": 2}}, {"u1": 1}, {"127.0.0.1": 1}, id="host that calls itself 127.0.0.1"),
        pytest.param({"u1": {"127.0.0.1": 1}, "u2": {"127.0.0.1": 1}}, {"u1": 1, "u2": 1}, {}, id="each for its own"),
        pytest.param({"u1": {"2001:db8::9": 1}}, {"u1": 1}, {"2001:db8::9": 1}, id="IPv6, of no peer"),
        pytest.param(
            {"u1": {"192.0.2.2": 1}, "u2": {"192.0.2.2": 3}}, {"u2": 2}, {"192.0.2.2": 1}, id="daemon of own bricks"
        ),
    ],
)
def test_daemons_are_taken_off_where_they_run(
    connections: dict[str, dict[str, int]], daemons: dict[str, int], clients: dict[str, int]
) -> None:
    found = volume_state.clients_from(connected(connections, daemons), ADDRESSES)
    assert found is not None
    assert {client.host: client.processes for client in found} == clients


def test_address_of_a_client_loses_its_port_alone() -> None:
    node = "<node><peerid>u1</peerid><path>/b</path><clientsStatus>{}</clientsStatus></node>"
    names = ("2001:db8::9:49141", "192.0.2.9:49148", "192.0.2.9:49147")
    clients = "".join(f"<client><hostname>{name}</hostname></client>" for name in names)
    empty = _xml.parse("<cliOutput><opRet>0</opRet></cliOutput>")
    answer = _xml.parse(f"<cliOutput><opRet>0</opRet>{node.format(clients)}</cliOutput>")
    found = volume_state.status_from(empty, empty, [answer])
    assert found.connections == {("u1", "/b"): {"2001:db8::9": 1, "192.0.2.9": 2}}


# --- quorum ---------------------------------------------------------------------------------------------------------


def volume(kind: str = "Replicate", bricks: int = 3, replica: int = 3, *, arbiter: bool = False) -> Volume:
    size = max(replica, 1)
    hosts = tuple(Brick(f"gl{n}", "/b", arbiter and n % size == 0, f"u{n}") for n in range(1, bricks + 1))
    disperse = {"disperse": bricks, "redundancy": 1} if "Disperse" in kind else {}
    return Volume("v", kind, "Started", replica, hosts, **disperse)


def online(of: Volume, up: str) -> tuple[BrickState, ...]:
    """`+-?` for each brick."""
    answers = {"+": True, "-": False, "?": None}
    return tuple(BrickState(brick, answers[one]) for brick, one in zip(of.bricks, up))


AUTO: t.Final = {"cluster.quorum-type": "auto"}
NONE: t.Final = {"cluster.quorum-type": "none"}


@pytest.mark.parametrize(
    ("of", "options", "up", "met"),
    [
        pytest.param(volume(), AUTO, "+++", True, id="all"),
        pytest.param(volume(), AUTO, "-++", True, id="two of three"),
        pytest.param(volume(), AUTO, "+--", False, id="one of three"),
        pytest.param(volume(), NONE, "+--", True, id="one of three without quorum"),
        pytest.param(volume(), NONE, "---", False, id="none of three without quorum"),
        pytest.param(volume(), {"cluster.quorum-type": "fixed", "cluster.quorum-count": "1"}, "--+", True, id="fixed"),
        pytest.param(
            volume(), {"cluster.quorum-type": "fixed", "cluster.quorum-count": "3"}, "-++", False, id="3 of 3"
        ),
        pytest.param(volume(arbiter=True), AUTO, "+-+", True, id="arbiter and one copy"),
        pytest.param(volume(arbiter=True), NONE, "--+", False, id="arbiter alone"),
        pytest.param(volume(bricks=2, replica=2), AUTO, "+-", True, id="half with the first"),
        pytest.param(volume(bricks=2, replica=2), AUTO, "-+", False, id="half without the first"),
        pytest.param(volume("Distributed-Replicate", 6), AUTO, "++++--", False, id="one set of two"),
        pytest.param(volume("Distributed-Replicate", 6), AUTO, "-+++-+", True, id="one brick of each set"),
        pytest.param(volume("Distribute", 2, 1), {}, "++", True, id="distribute"),
        pytest.param(volume("Distribute", 2, 1), {}, "+-", False, id="distribute without one"),
        pytest.param(volume("Disperse", 3, 1), {}, "++-", True, id="disperse without one"),
        pytest.param(volume("Disperse", 3, 1), {}, "+--", False, id="disperse without two"),
        pytest.param(volume(), AUTO, "??+", None, id="not known"),
        pytest.param(volume(), {}, "+++", None, id="type of quorum not known"),
        pytest.param(volume("Distributed-Replicate", 6), AUTO, "---++?", False, id="known of one set is enough"),
    ],
)
def test_client_quorum(of: Volume, options: dict[str, str], up: str, met: bool | None) -> None:
    assert volume_state.client_quorum(of, options, online(of, up)).met is met


def test_client_quorum_tells_its_settings() -> None:
    fixed = {"cluster.quorum-type": "fixed", "cluster.quorum-count": "2"}
    assert volume_state.client_quorum(volume(), fixed, online(volume(), "+++")) == Quorum("fixed", "2", True)
    assert volume_state.client_quorum(volume(), AUTO, online(volume(), "+++")) == Quorum("auto", None, True)
    alone = volume("Distribute", 2, 1)
    assert volume_state.client_quorum(alone, AUTO, online(alone, "++")) == Quorum(None, None, True)


SERVER: t.Final = {"cluster.server-quorum-type": "server", "cluster.server-quorum-ratio": "51"}


@pytest.mark.parametrize(
    ("options", "up", "quorum"),
    [
        ({"cluster.server-quorum-type": "off"}, "+--", Quorum("none", None, None)),
        ({}, "+++", Quorum("none", None, None)),
        (SERVER, "+++", Quorum("server", "51", True)),
        (SERVER, "+-+", Quorum("server", "51", True)),
        (SERVER, "+--", Quorum("server", "51", False)),
        ({**SERVER, "cluster.server-quorum-ratio": "90%"}, "++-", Quorum("server", "90%", False)),
        (SERVER, "", Quorum("server", "51", None)),
    ],
)
def test_server_quorum(options: dict[str, str], up: str, quorum: Quorum) -> None:
    pool = [dataclasses.replace(peer, is_connected=one == "+") for peer, one in zip(POOL, up)]
    assert volume_state.server_quorum(options, pool) == quorum


# --- sums -----------------------------------------------------------------------------------------------------------


def sized(of: Volume, *sizes: tuple[int, int] | None, device: str = "/dev/sdb") -> tuple[BrickState, ...]:
    """Size and free space of each brick in GiB; None is one that is down."""
    return tuple(
        BrickState(brick, True, size_bytes=size[0] * GIB, free_bytes=size[1] * GIB, device=device)
        if size
        else BrickState(brick, False)
        for brick, size in zip(of.bricks, sizes)
    )


@pytest.mark.parametrize(
    ("of", "sizes", "reserve", "size", "free"),
    [
        pytest.param(volume(), [(100, 50), (90, 60), (100, 70)], "0", 90, 50, id="the smallest counts"),
        pytest.param(volume(), [(100, 50)] * 3, "1", 100, 49, id="less the reserve"),
        pytest.param(volume(), [(100, 50)] * 3, "2GB", 100, 48, id="reserve in bytes"),
        pytest.param(volume(), [(100, 1)] * 3, "5%", 100, 0, id="reserve is used up"),
        pytest.param(volume(), [(100, 50), None, (100, 60)], "0", 100, 50, id="without one that is down"),
        pytest.param(volume(arbiter=True), [(100, 50), (100, 60), (10, 1)], "0", 100, 50, id="arbiter has no data"),
        pytest.param(volume("Distribute", 2, 1), [(100, 50), (90, 60)], "0", 190, 110, id="distribute adds up"),
        pytest.param(volume("Disperse", 3, 1), [(100, 50)] * 3, "0", 200, 100, id="disperse"),
    ],
)
def test_space_is_that_of_a_client(
    of: Volume, sizes: list[tuple[int, int] | None], reserve: str, size: int, free: int
) -> None:
    assert volume_state.space_of(of, sized(of, *sizes), reserve) == Space(size * GIB, free * GIB)


def test_space_is_not_known_without_a_set() -> None:
    assert volume_state.space_of(volume(), sized(volume(), None, None, None), "1") is None


def test_bricks_on_one_disk_share_it() -> None:
    hosts = tuple(Brick("gl1", f"/b{n}") for n in (1, 2))
    of = Volume("v", "Distribute", "Started", 1, hosts)
    assert volume_state.space_of(of, sized(of, (100, 50), (100, 50)), "0") == Space(100 * GIB, 50 * GIB)


def test_what_a_file_system_keeps_back_is_not_free() -> None:
    bricks = [dataclasses.replace(state, available_bytes=20 * GIB) for state in sized(volume(), *[(100, 50)] * 3)]
    assert volume_state.space_of(volume(), bricks, "1") == Space(100 * GIB, 20 * GIB)


@pytest.mark.parametrize(
    ("heal", "sums"),
    [
        ([Heal(True, 8, 0), Heal(False), Heal(True, 8, 1)], (8, 1)),
        ([Heal(True, 3, 0), Heal(True, 5, 0), Heal(True, 0, 0)], (5, 0)),
        ([Heal(False), None, Heal(False)], None),
    ],
)
def test_entries_to_heal_are_not_counted_twice(heal: list[Heal | None], sums: tuple[int, int] | None) -> None:
    bricks = [BrickState(brick, True, heal=one) for brick, one in zip(volume().bricks, heal)]
    assert volume_state.heal_sums(volume(), bricks) == sums


def test_entries_of_every_set_add_up() -> None:
    of = volume("Distributed-Replicate", 6)
    heal = [Heal(True, 2, 0), Heal(True, 1, 0), Heal(True, 0, 0), Heal(True, 0, 0), Heal(True, 4, 1), Heal(False)]
    bricks = [BrickState(brick, True, heal=one) for brick, one in zip(of.bricks, heal)]
    assert volume_state.heal_sums(of, bricks) == (6, 1)
