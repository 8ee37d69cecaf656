# SPDX-License-Identifier: GPL-3.0-or-later
"""gluster_volume_options on several nodes: runs at one moment, peers that are down. What a test breaks, it mends."""

from __future__ import annotations

import contextlib
import typing as t
from concurrent.futures import ThreadPoolExecutor

import pytest
from hosts import System

from conftest import LAB, VOLUME, ask

NAME = "shared"


def options_of(node: System, volume: str = NAME) -> dict[str, str]:
    """What is set on a volume, as that node's glusterd has it."""
    rows = ask(node, "volume", "info", volume).iter("option")
    return {row.findtext("name", ""): row.findtext("value", "") for row in rows}


@pytest.fixture(scope="module")
def shared(nodes: list[System]) -> t.Iterator[str]:
    """A started volume over all nodes, for which a lost server quorum counts."""
    bricks = [f"{node.name}:/bricks/{NAME}" for node in nodes]
    gluster = ("gluster", "--mode=script", "volume")
    nodes[0].run(*gluster, "create", NAME, "replica", "3", *bricks)
    nodes[0].run(*gluster, "set", NAME, "cluster.server-quorum-type", "server")
    nodes[0].run(*gluster, "start", NAME)
    yield NAME
    nodes[0].run(*gluster, "stop", NAME, "force")
    nodes[0].run(*gluster, "delete", NAME)
    for node in nodes:
        node.run("rm", "-rf", f"/bricks/{NAME}")


def is_whole(node: System) -> bool:
    peers = ask(node, "pool", "list").findall(".//peer")
    bricks = [found for volume in (NAME, VOLUME) for found in ask(node, "volume", "status", volume).findall(".//node")]
    return [peer.findtext("connected") for peer in peers] == ["1"] * 3 and all(
        found.findtext("status") == "1" for found in bricks
    )


@contextlib.contextmanager
def stopped(nodes: list[System], *down: System) -> t.Iterator[None]:
    """The glusterd of some nodes; bricks and guests go on. All is whole afterwards."""
    for node in down:
        node.run("systemctl", "stop", "glusterd")
    try:
        yield
    finally:
        for node in down:
            node.run("systemctl", "start", "glusterd")
        for node in nodes:
            node.wait("peers and bricks back", lambda node=node: is_whole(node), timeout_s=180)


def test_runs_on_several_nodes_at_one_moment(nodes: list[System], shared: str) -> None:
    """Each waits for the lock that another holds."""

    def run(number: int) -> dict[str, t.Any]:
        modules = LAB.modules(nodes[number].name)
        options = {f"user.node{number}": "set"}
        return t.cast("dict[str, t.Any]", modules.run("gluster_volume_options", volume=shared, options=options))

    with ThreadPoolExecutor(len(nodes)) as pool:
        results = list(pool.map(run, range(len(nodes))))
    assert [(result["failed"], result.get("msg")) for result in results] == [(False, None)] * len(nodes)
    for node in nodes:
        assert {f"user.node{number}" for number in range(len(nodes))} <= options_of(node).keys()


def test_options_are_set_while_one_peer_is_down(nodes: list[System], shared: str) -> None:
    asked = {"volume": shared, "options": {"network.ping-timeout": 21}}
    with stopped(nodes, nodes[2]):
        LAB.modules(nodes[0].name).as_promised("gluster_volume_options", **asked)
        assert options_of(nodes[1])["network.ping-timeout"] == "21"
    assert options_of(nodes[2])["network.ping-timeout"] == "21"


def test_options_are_refused_without_server_quorum(nodes: list[System], shared: str) -> None:
    before = options_of(nodes[0])
    with stopped(nodes, nodes[1], nodes[2]):
        modules = LAB.modules(nodes[0].name)
        result = modules.run("gluster_volume_options", volume=shared, options={"network.ping-timeout": 22})
        assert (result["failed"], result["changed"], result["actions"]) == (True, False, [])
        assert "uorum" in result["msg"]
    assert options_of(nodes[0]) == before
