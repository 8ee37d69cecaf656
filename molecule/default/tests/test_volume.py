# SPDX-License-Identifier: GPL-3.0-or-later
"""The volume, as gluster sees it."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree as ET

import pytest
from modules import Modules

from conftest import GLUSTER, System

VOLUME = "vmstore"
GROUP_FILE = "/var/lib/glusterd/groups/virt"
SYNONYMS = {"enable": "on", "true": "on", "yes": "on", "disable": "off", "false": "off", "no": "off"}


def normal(value: str) -> str:
    value = value.removesuffix(" (DEFAULT)").strip().lower()
    return SYNONYMS.get(value, value)


def ask(system: t.Any, *command: str) -> ET.Element:
    return ET.fromstring(system.run("gluster", "--mode=script", "--xml", "volume", *command))


@pytest.fixture(scope="module")
def in_force(system: t.Any) -> dict[str, str]:
    """Every option's value: `get all`, which leaves out user.*, and what `info` lists as set."""
    got = {row.findtext("Option"): row.findtext("Value") for row in ask(system, "get", VOLUME, "all").iter("Opt")}
    listed = {row.findtext("name"): row.findtext("value") for row in ask(system, "info", VOLUME).iter("option")}
    return {name or "": normal(value or "") for name, value in (got | listed).items()}


def test_volume_is_replica_3_and_started(system: t.Any) -> None:
    info = ask(system, "info", VOLUME)
    assert info.findtext(".//volume/statusStr") == "Started"
    assert info.findtext(".//volume/typeStr") == "Replicate"
    assert info.findtext(".//volume/replicaCount") == "3"


def test_all_bricks_are_online(system: t.Any) -> None:
    status = ask(system, "status", VOLUME)
    bricks = [node for node in status.iter("node") if (node.findtext("path") or "").startswith("/bricks/")]
    assert [brick.findtext("status") for brick in bricks] == ["1", "1", "1"]


def test_every_option_of_group_virt_is_in_force(system: t.Any, in_force: dict[str, str]) -> None:
    lines = [line for line in system.lines("cat", GROUP_FILE) if "=" in line]
    assert len(lines) > 20
    expected = {name.strip(): normal(value) for name, _, value in (line.partition("=") for line in lines)}
    assert {name: in_force.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("option", "value"),
    [("storage.owner-uid", "36"), ("storage.owner-gid", "36"), ("server.allow-insecure", "on")],
)
def test_option_beside_group_virt_is_in_force(in_force: dict[str, str], option: str, value: str) -> None:
    assert in_force[option] == value


@pytest.mark.parametrize("brick", ["/bricks/b1", "/bricks/b2", "/bricks/b3"])
def test_brick_belongs_to_36_36(host: t.Any, brick: str) -> None:
    root = host.file(brick)
    assert (root.uid, root.gid) == (36, 36)


def test_glusterd_starts_with_the_host(host: t.Any) -> None:
    assert host.service("glusterd").is_running
    assert host.service("glusterd").is_enabled


# --- gluster_volume_options, on a volume of its own ---

MODULE = "gluster_volume_options"
#: in force after the volume was stopped and started
SLOW = "transport.listen-backlog"
MOUNT = "/mnt/scratch"


def gluster(system: System, *words: str) -> None:
    system.run(GLUSTER, "--mode=script", "volume", *words)


def set_options(system: System, volume: str) -> dict[str, str]:
    """What somebody set, spelled as it was given."""
    return {row.findtext("name", ""): row.findtext("value", "") for row in ask(system, "info", volume).iter("option")}


def bricks(system: System, volume: str) -> list[str]:
    """The processes of the volume's bricks."""
    return sorted(system.lines("pgrep", "-f", f"glusterfsd .*--volfile-id {volume}[.]"))


@pytest.fixture
def started(system: System, volume: str) -> str:
    gluster(system, "start", volume)
    return volume


@pytest.fixture
def mounted(system: System, started: str) -> t.Iterator[str]:
    system.run("mkdir", "-p", MOUNT)
    system.run("mount", "-t", "glusterfs", f"localhost:/{started}", MOUNT)
    yield started
    system.run("umount", "-l", MOUNT)


def values(system: System, volume: str) -> dict[str, str]:
    """The options of a volume, as gluster tells them: set ones, and defaults where nothing is set."""
    got = ET.fromstring(system.run(GLUSTER, "volume", "get", volume, "all", "--xml"))
    return {
        option.findtext("Option", ""): option.findtext("Value", "").removesuffix(" (DEFAULT)")
        for option in got.iter("Opt")
    }


def test_preset_on_a_new_volume_takes_three_processes(
    modules: Modules, system: System, volume: str, calls: t.Callable[[], int]
) -> None:
    asked = {
        "volume": volume,
        "presets": ["virt_store"],
        "options": {"features.shard-block-size": "64MB", "shard": True},
    }
    modules.done(MODULE, **asked)
    assert 1 <= calls() <= 3
    modules.done(MODULE, **asked)
    assert 1 <= calls() <= 2
    options = values(system, volume)
    assert options["storage.owner-uid"] == options["storage.owner-gid"] == "36"
    assert options["cluster.granular-entry-heal"] in ("enable", "on")
    assert options["cluster.quorum-type"] == "auto"
    assert options["server.allow-insecure"] == "on"


def test_preset_on_a_started_volume_takes_four_processes(
    modules: Modules, system: System, volume: str, calls: t.Callable[[], int]
) -> None:
    gluster(system, "set", volume, "cluster.granular-entry-heal", "off")
    gluster(system, "start", volume)
    asked = {"volume": volume, "presets": ["virt_store"], "options": {"client.event-threads": 8}}
    result = modules.done(MODULE, **asked)
    assert 1 <= calls() <= 4
    assert "enable granular-entry-heal on volume scratch" in result["actions"]
    modules.done(MODULE, **asked)
    assert 1 <= calls() <= 2
    options = values(system, volume)
    assert options["cluster.granular-entry-heal"] in ("enable", "on")
    assert options["client.event-threads"] == "8"


def test_options_in_any_spelling_are_idempotent(modules: Modules, system: System, volume: str) -> None:
    first = {
        "owner-uid": 36,
        "features.shard": True,
        "features.shard-block-size": "64MB",
        "performance.strict-o-direct": "on",
    }
    modules.as_promised(MODULE, volume=volume, options=first)
    assert values(system, volume)["features.shard"] == "on"
    second = {
        "storage.owner-uid": "0x24",
        "features.shard": "enable",
        "features.shard-block-size": "67108864",
        "performance.strict-o-direct": "Yes",
    }
    assert modules.done(MODULE, volume=volume, options=second)["actions"] == []


def test_resets_take_two_processes_more(
    modules: Modules, system: System, started: str, calls: t.Callable[[], int]
) -> None:
    gluster(system, "set", started, "network.frame-timeout", "900", "client.event-threads", "4", "user.note", "x")
    asked = {"volume": started, "presets": ["virt_store"], "reset": ["frame-timeout", "client.event-threads"]}
    modules.done(MODULE, **asked, check=True)
    assert 1 <= calls() <= 2
    result = modules.done(MODULE, **asked)
    assert 1 <= calls() <= 6
    assert "reset client.event-threads, network.frame-timeout" in str(result["actions"]).replace(
        "network.frame-timeout, client.event-threads", "client.event-threads, network.frame-timeout"
    )
    modules.done(MODULE, **asked)
    assert 1 <= calls() <= 2
    options = set_options(system, started)
    assert "network.frame-timeout" not in options
    assert "client.event-threads" not in options
    assert options["user.note"] == "x"


def test_restart_takes_two_processes_more(
    modules: Modules, system: System, started: str, calls: t.Callable[[], int]
) -> None:
    before = bricks(system, started)
    asked = {"volume": started, "presets": ["virt_store"], "options": {SLOW: 2048}, "restart": "if_required"}
    planned = modules.done(MODULE, **asked, check=True)
    assert 1 <= calls() <= 2
    result = modules.done(MODULE, **asked)
    assert 1 <= calls() <= 6
    assert planned["actions"] == result["actions"]
    assert result["actions"][-1] == f"stop and start volume {started}"
    assert result["volume"]["restart_required"] == []
    assert len(bricks(system, started)) == 3
    assert not set(bricks(system, started)) & set(before)
    assert modules.done(MODULE, **asked)["actions"] == []
    assert 1 <= calls() <= 2


def test_restart_that_was_left_pending_is_told_and_done(modules: Modules, system: System, started: str) -> None:
    before = bricks(system, started)
    gluster(system, "set", started, SLOW, "4096")
    asked = {"volume": started, "options": {SLOW: 4096}}
    found = modules.done(MODULE, **asked)
    assert found["actions"] == []
    assert SLOW in found["volume"]["restart_required"][0]
    result = modules.as_promised(MODULE, **asked, restart="if_required")
    assert result["actions"] == [f"stop and start volume {started}"]
    assert result["volume"]["restart_required"] == []
    assert not set(bricks(system, started)) & set(before)


def test_volume_that_is_mounted_is_not_restarted(modules: Modules, system: System, mounted: str) -> None:
    before, processes = set_options(system, mounted), bricks(system, mounted)
    asked = {"volume": mounted, "options": {SLOW: 2048, "user.note": "x"}, "restart": "if_required"}
    for check in (True, False):
        words = modules.refused(MODULE, **asked, check=check)
        assert "1 fuse" in words
        assert MOUNT in words
        assert "force: true" in words
    assert (set_options(system, mounted), bricks(system, mounted)) == (before, processes)
    result = modules.as_promised(MODULE, **asked, force=True)
    assert result["actions"][-1] == f"stop and start volume {mounted}"
    assert not set(bricks(system, mounted)) & set(processes)
    system.wait("client is back", lambda: system.host.run(f"ls {MOUNT}").rc == 0)


def test_volume_that_is_in_use_by_what_needs_no_restart_is_let_be(modules: Modules, mounted: str) -> None:
    asked = {"volume": mounted, "options": {"network.ping-timeout": 33}, "restart": "if_required"}
    assert modules.done(MODULE, **asked)["actions"] == [f"set network.ping-timeout=33 on volume {mounted}"]


def test_vm_is_named_that_would_lose_its_volume(modules: Modules, system: System) -> None:
    words = modules.refused(MODULE, volume=VOLUME, options={SLOW: 512}, restart="if_required")
    assert "guest1" in words
    assert "gfapi" in words


def test_stopped_volume_is_not_started(modules: Modules, system: System, started: str) -> None:
    gluster(system, "stop", started)
    modules.as_promised(MODULE, volume=started, options={SLOW: 512}, restart="if_required", force=True)
    assert ask(system, "info", started).findtext(".//volume/statusStr") == "Stopped"


def test_one_bad_option_of_thirty_sets_nothing(modules: Modules, system: System, volume: str) -> None:
    before = set_options(system, volume)
    good = {f"user.note{number}": number for number in range(20)}
    group = dict(line.split("=", 1) for line in system.lines("cat", GROUP_FILE) if "=" in line)
    options = {**good, **dict(list(group.items())[:9]), "cluster.no-such-option": 1}
    assert len(options) == 30
    words = modules.refused(MODULE, volume=volume, options=options)
    assert "option : cluster.no-such-option does not exist" in words
    assert set_options(system, volume) == before


def test_old_values_are_put_back_when_a_later_step_fails(modules: Modules, system: System, volume: str) -> None:
    """A brick that is down keeps granular entry heal from being enabled."""
    gluster(system, "set", volume, "cluster.granular-entry-heal", "off", "network.ping-timeout", "0x14")
    gluster(system, "start", volume)
    before = set_options(system, volume)
    system.run("kill", "-9", bricks(system, volume)[0])
    options = {"granular-entry-heal": True, "ping-timeout": 30, "client.event-threads": 8}
    words = modules.refused(MODULE, volume=volume, options=options)
    assert "One or more bricks could be down" in words
    assert f"put back: set network.ping-timeout=0x14 and reset client.event-threads on volume {volume}" in words
    assert set_options(system, volume) == before


def test_two_runs_at_the_same_time_both_succeed(modules: Modules, system: System, started: str) -> None:
    def run(number: int) -> t.Any:
        options = {f"user.from{number}": number, "client.event-threads": 8, "network.ping-timeout": 25}
        return modules.run(MODULE, volume=started, options=options, lock_timeout=60)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, (1, 2)))
    assert [result.get("msg") for result in results] == [None, None]
    options = set_options(system, started)
    assert (options["user.from1"], options["user.from2"]) == ("1", "2")


def test_who_holds_the_lock_is_told(modules: Modules, system: System, started: str) -> None:
    both = " && ".join(f"{GLUSTER} --mode=script volume {verb} {started}" for verb in ("stop", "start"))
    system.run(
        "sh", "-c", f"touch /run/go /run/on; (while test -e /run/go; do {both}; done; rm /run/on) >/dev/null 2>&1 &"
    )
    said: list[str] = []

    def is_refused() -> bool:
        said.append(
            modules.run(MODULE, volume=started, options={"user.mine": len(said)}, lock_timeout=0).get("msg", "")
        )
        return bool(said[-1])

    try:
        system.wait("lock found taken", is_refused)
    finally:
        system.run("rm", "-f", "/run/go")
        system.wait("holder ends", lambda: not system.host.file("/run/on").exists)
    assert "Another transaction is in progress" in said[-1]
    assert "a transaction of this host" in said[-1]
    assert "s for the lock)" in said[-1]


def test_options_of_the_cluster(modules: Modules, system: System, calls: t.Callable[[], int]) -> None:
    asked = {"volume": "all", "options": {"server-quorum-ratio": 52}}
    modules.as_promised(MODULE, **asked)
    assert calls() <= 3 + 1 + 1
    assert values(system, "all")["cluster.server-quorum-ratio"] == "52"
    modules.as_promised(MODULE, volume="all", reset=["cluster.server-quorum-ratio"])
    assert values(system, "all")["cluster.server-quorum-ratio"] == "51"


def test_group_of_the_host_is_a_preset_and_drift_shows(modules: Modules, system: System, volume: str) -> None:
    path = "/var/lib/glusterd/groups/ours"
    system.run("sh", "-c", f"printf 'client.event-threads=4\\nnetwork.ping-timeout=33\\n' > {path}")
    try:
        modules.as_promised(MODULE, volume=volume, presets=["group:ours"])
        system.run("sh", "-c", f"echo performance.io-cache=on >> {path}")
        result = modules.as_promised(MODULE, volume=volume, presets=["group:ours"])
    finally:
        system.run("rm", path)
    assert result["actions"] == [f"set performance.io-cache=on on volume {volume}"]


def test_purge_leaves_what_is_asked_for_and_notes(modules: Modules, system: System, volume: str) -> None:
    gluster(system, "set", volume, "user.note", "a b", "client.event-threads", "8", "network.ping-timeout", "33")
    modules.as_promised(MODULE, volume=volume, options={"client.event-threads": "0x8"}, purge=True)
    options = set_options(system, volume)
    assert options["user.note"] == "a b"
    assert options["client.event-threads"] == "8"
    assert "network.ping-timeout" not in options
