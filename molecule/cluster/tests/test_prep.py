# SPDX-License-Identifier: GPL-3.0-or-later
"""Role gluster_volume_prep beyond what converge.yml asks of it: what it refuses, other layouts, a node added later."""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml
from hosts import System
from modules import ANSIBLE, ROOT

from conftest import BRICK, LAB, VOLUME, ask

GLUSTER = ("gluster", "--mode=script")
Values = t.Mapping[str, str]


class Role:
    """Runs the role on some hosts, once for each set of values, all of them text."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _play(self, hosts: t.Sequence[System], tasks: list[dict[str, t.Any]], **keywords: t.Any) -> str:
        play = {"hosts": [host.name for host in hosts], "gather_facts": False, "tasks": tasks, **keywords}
        path = self.folder / "play.yml"
        path.write_text(yaml.safe_dump([play]), encoding="utf-8")
        command = [f"{ANSIBLE}-playbook", "-i", str(LAB.inventory), str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, hosts: t.Sequence[System], *asked: Values, **keywords: t.Any) -> str:
        return self._play(hosts, [_with(values) for values in asked], **keywords)

    def refusals(self, hosts: t.Sequence[System], cases: t.Mapping[str, Values]) -> dict[str, str]:
        """What the role said to each case, by the case's name."""
        said = {"content": "{{ ansible_failed_result.msg }}", "mode": "0600"}
        tasks = [
            {
                "block": [_with(values), {"ansible.builtin.fail": {"msg": "not refused"}}],
                "rescue": [
                    {
                        "ansible.builtin.copy": {**said, "dest": f"{self.folder}/{name}.{{{{ inventory_hostname }}}}"},
                        "delegate_to": "localhost",
                        "when": "ansible_failed_result.msg is defined",
                    }
                ],
            }
            for name, values in cases.items()
        ]
        self._play(hosts, tasks)
        texts = {name: {path.read_text() for path in self.folder.glob(f"{name}.*")} for name in cases}
        return {name: " | ".join(sorted(text)) for name, text in texts.items()}


def _with(values: Values) -> dict[str, t.Any]:
    variables = {f"gluster_volume_prep_{name}": value for name, value in values.items()}
    return {"ansible.builtin.include_role": {"name": "gfapi.virt.gluster_volume_prep"}, "vars": variables}


@pytest.fixture
def role(tmp_path: Path) -> Role:
    return Role(tmp_path)


def bricks(nodes: t.Iterable[System], *paths: str) -> str:
    nodes = list(nodes)
    return ", ".join(f"{node.name}:{path}" for path in paths for node in nodes)


def state_of(nodes: t.Sequence[System]) -> list[str]:
    """What a refused volume could have left behind."""
    looks = "gluster pool list | sort; gluster volume list; ls /bricks; cat /var/lib/glusterd/peers/* | sort"
    return [node.run("sh", "-c", looks) for node in nodes]


def remove(nodes: t.Sequence[System], volume: str, *paths: str) -> None:
    nodes[0].run(*GLUSTER, "volume", "stop", volume)
    nodes[0].run(*GLUSTER, "volume", "delete", volume)
    for node in nodes:
        node.run("rm", "-rf", *paths)


def test_what_cannot_be_a_good_volume_is_refused_before_anything_is_changed(role: Role, nodes: list[System]) -> None:
    one, two, three = (node.name for node in nodes)
    good = bricks(nodes, "/bricks/bad")
    cases: dict[str, tuple[dict[str, str], str]] = {
        "name": ({"volume": "n 2", "bricks": good}, 'gluster_volume_prep_volume "n 2" is no name of a volume'),
        "word": ({"volume": "all", "bricks": good}, 'gluster_volume_prep_volume "all" is no name of a volume'),
        "options": (
            {"bricks": good, "options": "network.ping-timeout=26"},
            '"network.ping-timeout=26" is no dictionary',
        ),
        "used": ({"bricks": bricks(nodes, BRICK)}, f"{BRICK} on gfapi-lab"),
        "form": ({"bricks": f"{one}:bricks, {two}:/bricks/bad"}, f"brick {one}:bricks is not host:/path"),
        "local": ({"bricks": "127.0.0.1:/bricks/bad"}, "brick 127.0.0.1:/bricks/bad would be looked for by each node"),
        "twice": ({"bricks": f"{good}, {good}"}, "a brick is twice"),
        "count": ({"bricks": f"{good}, {one}:/bricks/bad2"}, "4 bricks do not make replica sets of 3"),
        "pair": ({"bricks": f"{one}:/bricks/bad, {two}:/bricks/bad", "replica": "2"}, "gluster_volume_prep_replica_2"),
        "arbiter": ({"bricks": good, "replica": "2", "arbiter": "yes"}, "it is one of 3 copies"),
        "stranger": ({"bricks": f"{one}:/bricks/bad, {two}:/bricks/bad, nobody:/bricks/bad"}, "host nobody of"),
        "doubled": ({"bricks": f"{good}, {one}:/bricks/b2, {one}:/bricks/b3, {three}:/bricks/b2"}, f"one node, {one}"),
        "parent": ({"bricks": bricks(nodes, "/bricks/none/bad")}, "has no folder /bricks/none"),
        "root": ({"bricks": bricks(nodes, "/srv/bad")}, "/srv on gfapi-lab"),
    }
    before = state_of(nodes)
    said = role.refusals(nodes, {name: {"volume": "bad", **values} for name, (values, _words) in cases.items()})
    assert {name: words for name, (_values, words) in cases.items() if words not in said[name]} == {}, said
    assert not [text for text in said.values() if "\n" in text]
    assert state_of(nodes) == before


def test_arbiter_and_two_replica_sets(role: Role, nodes: list[System]) -> None:
    options = {"options": "client.event-threads: 8", "reset": "server.event-threads", "restart": "if_required"}
    arbiter = {"volume": "arbited", "arbiter": "true", "bricks": bricks(nodes, "/bricks/arbited"), **options}
    sets = {"volume": "wide", "bricks": bricks(nodes, "/bricks/wide1", "/bricks/wide2"), "start": "no"}
    role.run(nodes, arbiter, sets)
    info = nodes[1].lines(*GLUSTER, "volume", "info", "arbited")
    assert "Number of Bricks: 1 x (2 + 1) = 3" in info
    assert "Status: Started" in info
    assert "client.event-threads: 8" in info
    assert not [line for line in info if line.startswith("server.event-threads")]
    assert nodes[0].run("stat", "--format=%u:%g", "/bricks/arbited").strip() == "36:36"
    info = nodes[1].lines(*GLUSTER, "volume", "info", "wide")
    assert "Number of Bricks: 2 x 3 = 6" in info
    assert "Status: Created" in info
    remove(nodes, "arbited", "/bricks/arbited")
    nodes[0].run(*GLUSTER, "volume", "delete", "wide")
    for node in nodes:
        node.run("rm", "-rf", "/bricks/wide1", "/bricks/wide2")


def test_a_node_added_later_and_one_of_another_pool(role: Role, nodes: list[System], hypervisors: list[System]) -> None:
    """Hypervisors stand in for them. The new node is the first of the play, and known by its address."""
    new = hypervisors[-1]
    address = new.run("hostname", "-I").split()[0]
    asked = {"volume": "late", "bricks": f"{bricks(nodes[:2], '/bricks/late')}, {address}:/bricks/late"}
    try:
        new.run("systemctl", "start", "glusterd")
        new.run(*GLUSTER, "volume", "create", "other", f"{new.name}:/bricks/other")
        said = role.refusals([*nodes, new], {"pool": asked})["pool"]
        assert f"{new.name} is in another Gluster pool than {nodes[0].name} (peers: none; volumes: other)" in said
        new.run(*GLUSTER, "volume", "delete", "other")
        role.run([*nodes, new], asked, order="reverse_inventory")
        assert f"Brick3: {address}:/bricks/late" in nodes[2].lines(*GLUSTER, "volume", "info", "late")
        remove([*nodes, new], "late", "/bricks/late")
    finally:
        nodes[0].host.run(f"gluster --mode=script peer detach {address}")
        new.host.run("systemctl disable --now glusterd; rm -rf /bricks/other /bricks/late")


def test_firewalls_let_gluster_in_after_a_boot_too(nodes: list[System]) -> None:
    for command in (["firewall-cmd", "--list-ports"], ["firewall-cmd", "--permanent", "--list-ports"]):
        assert nodes[1].run(*command).split() == ["24007-24008/tcp", "49152-60999/tcp"]
    rules = [line.split()[:3] for line in nodes[2].lines("ufw", "status") if "/tcp" in line and "v6" not in line]
    assert sorted(rules)[:2] == [[ports, "ALLOW", "Anywhere"] for ports in ("22/tcp", "24007:24008/tcp")]
    assert ["49152:60999/tcp", "ALLOW", "Anywhere"] in rules


def test_glusterd_is_restarted_one_node_at_a_time(role: Role, nodes: list[System]) -> None:
    file = "/etc/glusterfs/glusterd.vol"
    for node in nodes:
        node.run("sed", "-i", "/end-volume/i\\    option rpc-auth-allow-insecure off", file)
    role.run(nodes, {"volume": VOLUME})
    moments = ("-p", "ActiveExitTimestampMonotonic", "-p", "ActiveEnterTimestampMonotonic")
    shown = [dict(line.split("=") for line in node.lines("systemctl", "show", *moments, "glusterd")) for node in nodes]
    stops, starts = (
        sorted(int(times[f"Active{what}TimestampMonotonic"]) for times in shown) for what in ("Exit", "Enter")
    )
    assert all(start < stop for start, stop in zip(starts, stops[1:]))
    status = ask(nodes[0], "volume", "status", VOLUME)
    assert [node.findtext("status") for node in status.iter("node") if node.findtext("path") == BRICK] == ["1"] * 3
    assert all("option rpc-auth-allow-insecure on" in node.run("cat", file) for node in nodes)
    for node in nodes:
        node.run("sed", "-i", "/rpc-auth-allow-insecure/d", file)


def test_a_node_that_is_down_is_named(role: Role, nodes: list[System]) -> None:
    nodes[2].run("systemctl", "stop", "glusterd")
    try:
        said = role.run(nodes[:2], {"volume": VOLUME})
    finally:
        nodes[2].run("systemctl", "start", "glusterd")
    assert f"peers of this host are down: {nodes[2].name}; see gluster peer status" in said
    nodes[0].wait("peers connected", lambda: "Disconnected" not in nodes[0].run(*GLUSTER, "pool", "list"))
