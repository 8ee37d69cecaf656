# SPDX-License-Identifier: GPL-3.0-or-later
"""gluster_volume_info against three storage nodes, and what the nodes themselves say. What a test breaks, it mends."""

from __future__ import annotations

import typing as t
from xml.etree import ElementTree

import pytest
from hosts import Guest, System, are_alike

from conftest import BRICK, LAB, VOLUME

Info = dict[str, t.Any]


def gluster(system: System, *command: str) -> ElementTree.Element:
    return ElementTree.fromstring(system.run("gluster", "--mode=script", "--xml", *command))


def info(system: System, **args: t.Any) -> Info:
    return t.cast("Info", LAB.modules(system.name).done("gluster_volume_info", **args))


def vmstore(system: System, **args: t.Any) -> Info:
    (volume,) = info(system, names=[VOLUME], **args)["volumes"]
    return t.cast("Info", volume)


def codes(findings: list[dict[str, str]]) -> list[str]:
    return [found["code"] for found in findings]


def is_whole(node: System) -> bool:
    """Every peer connected, every brick and every self-heal daemon up, and nothing to heal."""
    peers = gluster(node, "pool", "list").findall(".//peer")
    status = gluster(node, "volume", "status", VOLUME).findall(".//node")
    return (
        [peer.findtext("connected") for peer in peers] == ["1"] * 3
        and [found.findtext("status") for found in status] == ["1"] * 6
        and are_alike(node, VOLUME)
    )


@pytest.fixture
def whole(nodes: list[System]) -> t.Iterator[None]:
    """The cluster is whole before a test, and again after it."""
    nodes[0].wait("cluster whole", lambda: is_whole(nodes[0]))
    yield
    nodes[0].wait("cluster whole again", lambda: is_whole(nodes[0]), timeout_s=180)


@pytest.fixture(scope="module")
def healthy(nodes: list[System]) -> Info:
    nodes[0].wait("cluster whole", lambda: is_whole(nodes[0]))
    return info(nodes[0])


@pytest.fixture(scope="module")
def volume(healthy: Info) -> Info:
    return next(found for found in healthy["volumes"] if found["name"] == VOLUME)


# --- a whole cluster ------------------------------------------------------------------------------


def test_every_volume_and_peer_is_told(nodes: list[System], healthy: Info) -> None:
    assert [found["name"] for found in healthy["volumes"]] == nodes[0].lines("gluster", "volume", "list")
    assert {peer["name"] for peer in healthy["peers"]} == {node.name for node in nodes}
    assert all(peer["connected"] for peer in healthy["peers"])
    assert [peer["name"] for peer in healthy["peers"] if peer["local"]] == [nodes[0].name]


def test_bricks_are_what_runs_on_the_nodes(nodes: list[System], volume: Info) -> None:
    for node, brick in zip(nodes, volume["bricks"]):
        assert (brick["host"], brick["path"], brick["online"]) == (node.name, BRICK, True)
        command = node.run("ps", "-ww", "-o", "args=", "-p", str(brick["pid"]))
        assert f"--brick-name {BRICK}" in command
        assert f"--brick-port {brick['port']}" in command


def test_volume_made_by_the_role_is_fit(volume: Info) -> None:
    assert (volume["problems"], volume["warnings"]) == ([], [])
    assert volume["eligible_for_storage_domain"] is True
    assert (volume["quorum"]["client"]["met"], volume["quorum"]["server"]["met"]) == (True, True)
    assert volume["heal"] == {"pending": 0, "split_brain": 0}


def test_space_is_what_a_mount_shows(hypervisors: list[System], mount_point: str, volume: Info) -> None:
    shown = hypervisors[0].lines("df", "--block-size=1", "--output=size,avail", mount_point)[1].split()
    size, free = map(int, shown)
    assert volume["space"]["size_bytes"] == size
    # others write to the disk under the bricks
    assert abs(volume["space"]["free_bytes"] - free) < size / 100


def test_clients_are_the_mount_and_the_machine_of_each_hypervisor(
    nodes: list[System], hypervisors: list[System], guests: list[Guest]
) -> None:
    assert {guest.state for guest in guests} == {"running"}
    expected = {hypervisor.run("hostname", "-I").split()[0]: 2 for hypervisor in hypervisors}

    def told() -> dict[str, int]:
        return {client["host"]: client["processes"] for client in vmstore(nodes[0])["clients"] or ()}

    nodes[0].wait(f"clients {expected}", lambda: told() == expected)  # they may be connecting again


def test_options_in_force_are_those_of_volume_get(nodes: list[System]) -> None:
    told = vmstore(nodes[1], options="in_force")["options"]
    got = {
        row.findtext("Option"): row.findtext("Value", "")
        for row in gluster(nodes[1], "volume", "get", VOLUME, "all").iter("Opt")
    }
    for name in ("features.shard", "cluster.quorum-type", "performance.write-behind", "storage.owner-uid"):
        assert told[name] == got[name].removesuffix(" (DEFAULT)")


# --- from a hypervisor ----------------------------------------------------------------------------


def test_hypervisor_asks_a_node_and_guesses_nothing(
    nodes: list[System], hypervisors: list[System], volume: Info
) -> None:
    result = info(hypervisors[0], names=[VOLUME], remote_host=nodes[1].name)
    (told,) = result["volumes"]
    known = ("name", "uuid", "type", "status", "replica", "arbiter", "servers", "spec", "mount_options", "options")
    assert {name: told[name] for name in known} == {name: volume[name] for name in known}
    unknown = ("thin_arbiter", "heal", "space", "clients", "rebalance", "eligible_for_storage_domain")
    assert [told[name] for name in unknown] == [None] * len(unknown)
    assert {brick["online"] for brick in told["bricks"]} == {None}
    assert (result["peers"], told["problems"]) == (None, [])


@pytest.fixture
def trial(nodes: list[System], hypervisors: list[System]) -> t.Iterator[str]:
    """A volume that nothing was done to."""
    name = "trial-info"
    bricks = [f"{node.name}:/bricks/{name}" for node in nodes]
    nodes[0].run("gluster", "--mode=script", "volume", "create", name, "replica", "3", *bricks)
    yield name
    hypervisors[0].host.run(f"umount -l /rhev/data-center/mnt/glusterSD/{nodes[0].name}:_{name}")
    nodes[0].host.run(f"gluster --mode=script volume stop {name} force")
    nodes[0].run("gluster", "--mode=script", "volume", "delete", name)
    for node in nodes:
        node.run("rm", "-rf", f"/bricks/{name}")


def test_new_volume_becomes_a_storage_domain_by_what_is_told(
    nodes: list[System], hypervisors: list[System], trial: str
) -> None:
    """Every problem goes by its mend; then spec and mount options are given to glusterfs_domain as they are."""
    node, hypervisor = LAB.modules(nodes[0].name), LAB.modules(hypervisors[0].name)
    (told,) = info(nodes[0], names=[trial])["volumes"]
    assert codes(told["problems"]) == ["sharding_off", "strict_o_direct_off", "owner_not_36", "stopped"]
    assert told["eligible_for_storage_domain"] is False
    node.done("gluster_volume_options", volume=trial, presets=["virt_store"])
    nodes[0].run("gluster", "--mode=script", "volume", "start", trial)
    (told,) = info(nodes[0], names=[trial])["volumes"]
    assert (told["problems"], told["eligible_for_storage_domain"], told["clients"]) == ([], True, [])

    place = {"name": trial, "spec": told["spec"], "mount_options": told["mount_options"]}
    made = hypervisor.done("glusterfs_domain", **place)["storage_domain"]
    client = hypervisors[0].run("pgrep", "-af", f"glusterfs .*{trial}")
    assert all(f"--volfile-server={system.name}" in client for system in nodes)
    assert hypervisors[0].host.mount_point(made["mount_point"]).filesystem == "fuse.glusterfs"
    hypervisor.done("glusterfs_domain", **place, state="absent", confirm=trial)


# --- a cluster that is not whole ------------------------------------------------------------------


@pytest.mark.usefixtures("whole")
def test_brick_that_was_killed_and_what_it_misses_are_told(
    nodes: list[System], hypervisors: list[System], mount_point: str
) -> None:
    nodes[1].run("pkill", "-KILL", "-f", f"glusterfsd .*--brick-name {BRICK} ")
    try:
        hypervisors[0].run("sh", "-c", f"echo 1 > {mount_point}/__trial_of_info")
        nodes[0].wait("brick down", lambda: not vmstore(nodes[0])["bricks"][1]["online"])
        told = vmstore(nodes[0])
        hypervisors[0].run("rm", f"{mount_point}/__trial_of_info")
    finally:
        nodes[0].run("gluster", "--mode=script", "volume", "start", VOLUME, "force")
    assert [brick["online"] for brick in told["bricks"]] == [True, False, True]
    assert (told["eligible_for_storage_domain"], told["quorum"]["client"]["met"]) == (True, True)
    assert codes(told["warnings"]) == ["bricks_down", "heal_pending"]
    assert f"{nodes[1].name}:{BRICK}" in told["warnings"][0]["message"]
    assert told["heal"]["pending"] > 0


@pytest.mark.usefixtures("whole")
def test_peer_that_is_down_is_named_and_the_rest_is_told(nodes: list[System]) -> None:
    nodes[2].run("systemctl", "stop", "glusterd")
    try:
        nodes[0].wait("peer gone", lambda: not all(peer["connected"] for peer in info(nodes[0])["peers"]))
        result = info(nodes[0], names=[VOLUME])
    finally:
        nodes[2].run("systemctl", "start", "glusterd")
    (told,) = result["volumes"]
    assert [peer["name"] for peer in result["peers"] if not peer["connected"]] == [nodes[2].name]
    assert [brick["online"] for brick in told["bricks"]] == [True, True, False]
    assert codes(told["warnings"])[:2] == ["peers_down", "bricks_down"]
    assert nodes[2].name in told["warnings"][0]["message"]
    assert (told["problems"], told["quorum"]["server"]["met"]) == ([], True)
    assert None not in (told["heal"], told["space"])
    assert told["clients"]


@pytest.mark.usefixtures("whole")
def test_peer_that_hangs_is_named_within_the_time_allowed(nodes: list[System]) -> None:
    """Its kernel keeps the connections, so that the others take it for connected and wait for its answer."""
    nodes[2].run("pkill", "-STOP", "-x", "glusterd")
    try:
        result = info(nodes[0], names=[VOLUME], timeout=10)
    finally:
        nodes[2].run("pkill", "-CONT", "-x", "glusterd")
    (told,) = result["volumes"]
    assert [peer["name"] for peer in result["peers"] if not peer["connected"]] == [nodes[2].name]
    assert nodes[2].name in next(found["message"] for found in told["warnings"] if found["code"] == "peers_down")
    assert (told["bricks"][2]["online"], told["clients"]) == (False, None)
    assert told["options"]["storage.owner-uid"] == "36"


@pytest.mark.usefixtures("whole")
def test_status_waits_its_turn_behind_another_transaction(nodes: list[System]) -> None:
    """Both lock the volume; the module tries again instead of failing."""
    option = "diagnostics.client-log-buf-size"
    steps = "; ".join(
        f"gluster --mode=script volume {words}" for words in (f"set {VOLUME} {option} 6", f"reset {VOLUME} {option}")
    )
    nodes[1].run("sh", "-c", f"(for turn in 1 2 3 4; do {steps}; done) >/dev/null 2>&1 </dev/null &")
    told = vmstore(nodes[0])
    nodes[1].wait("changes done", lambda: nodes[1].host.run(f"pgrep -f {option}").rc == 1)
    assert [brick["online"] for brick in told["bricks"]] == [True, True, True]
