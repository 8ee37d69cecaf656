# SPDX-License-Identifier: GPL-3.0-or-later
"""Eight plays at once on the same VM, disks, storage domain and options: all succeed, and each thing is done once."""

from __future__ import annotations

import collections
import itertools
import json
import subprocess
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hosts import System
from modules import ANSIBLE, ROOT

from conftest import LAB

PLAYS = 8
#: of the volume, the storage domain and the VM
NAME = "race"
GLUSTER = ("gluster", "--mode=script", "volume")
PLAYBOOK = Path(__file__).with_name("race.yml")
DISKS = ("race-1", "race-2", "race-3")
Asked = dict[str, t.Any]


class Hosts(t.NamedTuple):
    nodes: list[System]
    hypervisors: list[System]


@pytest.fixture(scope="module")
def hosts() -> t.Iterator[Hosts]:
    """A volume of their own; what the plays leave is gone afterwards."""
    nodes, hypervisors = LAB.group("gluster_nodes"), LAB.group("hypervisors")
    folder = f"/bricks/{NAME}"
    nodes[0].run(*GLUSTER, "create", NAME, "replica", "3", *(f"{node.name}:{folder}" for node in nodes), "force")
    nodes[0].run(*GLUSTER, "set", NAME, "storage.owner-uid", "36", "storage.owner-gid", "36")
    nodes[0].run(*GLUSTER, "start", NAME)
    yield Hosts(nodes, hypervisors)
    for system in hypervisors:
        system.host.run(
            f"virsh destroy {NAME}; virsh undefine {NAME}; umount -l /rhev/data-center/mnt/glusterSD/*:_{NAME}"
        )
    for words in (("stop", NAME, "force"), ("delete", NAME)):
        nodes[0].run(*GLUSTER, *words)
    for node in nodes:
        node.run("rm", "-rf", folder)


def disks(state: str, **more: str) -> list[Asked]:
    return [{"name": name, "state": state, **more} for name in DISKS]


def machine(memory: str, *attached: str) -> Asked:
    vm: Asked = {"name": NAME, "state": "running", "virt_type": "qemu", "storage_domain": NAME}
    return {**vm, "memory": memory, "disks": [{"name": name} for name in attached]}


def phases(number: int) -> dict[str, Asked]:
    """What all plays ask for, one after the other."""
    return {
        "made": {
            "race_options": {"user.race": f"{number}", "network.ping-timeout": 30 + number},
            "race_domain": "active",
            "race_disks": disks("present", size="16MiB"),
            "race_gone": False,
            "race_vm": machine("64MiB", *DISKS[:2]),
        },
        "changed": {
            "race_options": {"user.race": f"{number} again", "network.ping-timeout": 42},
            "race_domain": "active",
            "race_disks": disks("present", size="32MiB"),
            "race_gone": False,
            "race_vm": machine("80MiB", *DISKS),
        },
        "gone": {
            "race_options": {"user.race": "over"},
            "race_domain": "maintenance",
            "race_disks": disks("absent"),
            "race_gone": True,
            "race_vm": {"name": NAME, "state": "absent", "force_stop": True, "shutdown_timeout": 0},
        },
    }


def play(told: Path, asked: Asked, node: str, hypervisor: str) -> t.Any:
    """One play; what it did."""
    variables = {**asked, "race_node": node, "race_hypervisor": hypervisor, "race_told": str(told)}
    command = [f"{ANSIBLE}-playbook", "-i", str(LAB.inventory), str(PLAYBOOK), "-e", json.dumps(variables)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(told.read_text(encoding="utf-8"))


def all_at_once(hosts: Hosts, folder: Path, asked: Asked, count: int) -> list[t.Any]:
    pairs = itertools.cycle(itertools.product(hosts.nodes, hosts.hypervisors))
    with ThreadPoolExecutor(count) as pool:
        jobs = [
            pool.submit(play, folder / f"{number}.json", asked, node.name, hypervisor.name)
            for number, (node, hypervisor) in zip(range(count), pairs, strict=False)
        ]
        return [job.result() for job in jobs]


def is_as_asked(hosts: Hosts, asked: Asked) -> None:
    """By the hosts' own tools."""
    info = hosts.nodes[0].lines("gluster", "volume", "info", NAME)
    for name, value in asked["race_options"].items():
        assert f"{name}: {value}" in info
    mounts = [f":/{NAME} " in system.run("cat", "/proc/mounts") for system in hosts.hypervisors]
    running = hosts.hypervisors[0].lines("virsh", "list", "--name")
    if asked["race_gone"]:
        assert mounts == [False, False]
        assert NAME not in hosts.hypervisors[0].lines("virsh", "list", "--all", "--name")
        return
    assert mounts == [True, True]
    assert NAME in running
    attached = hosts.hypervisors[0].lines("virsh", "domblklist", NAME)
    assert len([line for line in attached if f"{NAME}/" in line]) == len(asked["race_vm"]["disks"])
    sizes = hosts.hypervisors[0].run("sh", "-c", "cat /rhev/data-center/mnt/glusterSD/*_race/*/images/*/*.meta")
    assert sizes.count(f"CAP={int(asked['race_disks'][0]['size'][:2]) << 20}\n") == len(DISKS)


@pytest.mark.gate
def test_races(hosts: Hosts, round_number: int, tmp_path: Path) -> None:
    for name, asked in phases(round_number).items():
        folder = tmp_path / name
        folder.mkdir()
        told = all_at_once(hosts, folder, asked, PLAYS)
        is_as_asked(hosts, asked)
        done = [action for one in told for action in one["shared"]]
        done += [f"{host}: {action}" for one in told for host, actions in one["hosts"].items() for action in actions]
        twice = {action: count for action, count in collections.Counter(done).items() if count > 1}
        assert not twice, f"{name}: done more than once"
        assert done
        (again,) = all_at_once(hosts, folder, asked, 1)
        assert again["shared"] == []
        assert not any(again["hosts"].values())
