# SPDX-License-Identifier: GPL-3.0-or-later
"""The volume, as gluster sees it."""

from __future__ import annotations

import typing as t
from xml.etree import ElementTree

import pytest

VOLUME = "vmstore"
GROUP_FILE = "/var/lib/glusterd/groups/virt"
SYNONYMS = {"enable": "on", "true": "on", "yes": "on", "disable": "off", "false": "off", "no": "off"}


def normal(value: str) -> str:
    value = value.removesuffix(" (DEFAULT)").strip().lower()
    return SYNONYMS.get(value, value)


def ask(system: t.Any, *command: str) -> ElementTree.Element:
    return ElementTree.fromstring(system.run("gluster", "--mode=script", "--xml", "volume", *command))


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
