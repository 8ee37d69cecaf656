# SPDX-License-Identifier: GPL-3.0-or-later
"""gluster_volume_options on several nodes: runs at one moment, peers that are down. What a test breaks, it mends."""

from __future__ import annotations

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


def are_peers_back(node: System) -> bool:
    return [peer.findtext("connected") for peer in ask(node, "pool", "list").findall(".//peer")] == ["1"] * 3


def is_whole(node: System) -> bool:
    """Bricks and self-heal daemons of the volume that the guests are on."""
    return [each.findtext("status") for each in ask(node, "volume", "status", VOLUME).findall(".//node")] == ["1"] * 6


@pytest.fixture
def mended(nodes: list[System]) -> t.Iterator[None]:
    """Peers, bricks and self-heal daemons are back after a test that stops glusterd; guests go on meanwhile."""
    yield
    for node in nodes:
        node.run("systemctl", "start", "glusterd")
    for node in nodes:
        node.wait("peers back", lambda node=node: are_peers_back(node))
    for node in nodes:
        node.wait("volume whole", lambda node=node: is_whole(node), timeout_s=180)


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


@pytest.mark.usefixtures("mended")
def test_options_follow_the_quorum_of_servers(nodes: list[System], shared: str) -> None:
    """Set with one of three down, and refused in gluster's words with two of three down."""
    modules = LAB.modules(nodes[0].name)
    nodes[2].run("systemctl", "stop", "glusterd")
    modules.as_promised("gluster_volume_options", volume=shared, options={"network.ping-timeout": 21})
    before = options_of(nodes[1])
    assert before["network.ping-timeout"] == "21"
    nodes[1].run("systemctl", "stop", "glusterd")
    result = modules.run("gluster_volume_options", volume=shared, options={"network.ping-timeout": 22})
    assert (result["failed"], result["changed"], result["actions"]) == (True, False, [])
    assert "uorum not met" in result["msg"]
    assert options_of(nodes[0]) == before
    for node in nodes[1:]:
        node.run("systemctl", "start", "glusterd")
    for node in nodes[1:]:
        node.wait("peers back", lambda node=node: are_peers_back(node))
        node.wait("the change seen", lambda node=node: options_of(node) == before)
