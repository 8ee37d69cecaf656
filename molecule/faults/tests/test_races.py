# SPDX-License-Identifier: GPL-3.0-or-later
"""Several at once on the same VM, disks, storage domain and options: all succeed, and all is as they asked."""

from __future__ import annotations

import collections
import itertools
import re
import typing as t
from concurrent.futures import ThreadPoolExecutor

import pytest
from hosts import System
from modules import Modules
from work import Asked, Done, Work, do

from conftest import LAB

PLAYS = 8
#: of the volume, the storage domain and the VM
NAME = "race"
GLUSTER = ("gluster", "--mode=script", "volume")
DISKS = ("race-1", "race-2", "race-3")
#: so many that two hosts meet at all the steps of a deletion
MANY = [f"{NAME}-{number}" for number in range(20)]
#: an action of libvirt_vm; `grow disk ... in domain` is one of gfapi_disk
OF_VM = re.compile(rf"^(?!grow).*(?<!storage) domain {NAME}\b|^\w+ domain {NAME}\b")


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
    vm: Asked = {"name": NAME, "state": "running", "virt_type": "qemu"}
    return {**vm, "memory": memory, "disks": [{"name": name} for name in attached]}


def phases(number: int) -> dict[str, Work]:
    """What all plays ask for, one after the other."""
    made = {"user.race": f"{number}", "network.ping-timeout": 30 + number}
    changed = {"user.race": f"{number} again", "network.ping-timeout": 42}
    gone: Asked = {"name": NAME, "state": "absent", "force_stop": True, "shutdown_timeout": 0}
    return {
        "made": Work(NAME, NAME, made, disks("present", size="16MiB"), machine("64MiB", *DISKS[:2])),
        "changed": Work(NAME, NAME, changed, disks("present", size="32MiB"), machine("80MiB", *DISKS)),
        "gone": Work(NAME, NAME, {"user.race": "over"}, disks("absent"), gone, gone=True),
        # while a play works on disks, none unmounts
        "left": Work(NAME, NAME, {"user.race": "over"}, [], {}, "maintenance", gone=True),
    }


def at_once(hosts: Hosts, work: Work, count: int) -> list[Done]:
    """So many plays, from one pair of hosts after the other."""
    pairs = itertools.islice(itertools.cycle(itertools.product(hosts.nodes, hosts.hypervisors)), count)
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda pair: do(LAB, work, *(system.name for system in pair)), pairs))


def is_as_asked(hosts: Hosts, work: Work) -> None:
    """By the hosts' own tools."""
    info = hosts.nodes[0].lines("gluster", "volume", "info", NAME)
    for name, value in work.options.items():
        assert f"{name}: {value}" in info
    mounts = [f":/{NAME} " in system.run("cat", "/proc/mounts") for system in hosts.hypervisors]
    first = hosts.hypervisors[0]
    assert mounts == [work.domain_state == "active"] * 2
    if work.gone:
        assert NAME not in first.lines("virsh", "list", "--all", "--name")
        return
    assert NAME in first.lines("virsh", "list", "--name")
    attached = [line for line in first.lines("virsh", "domblklist", NAME) if f"{NAME}/" in line]
    assert len(attached) == len(work.vm["disks"])
    sizes = first.run("sh", "-c", f"cat /rhev/data-center/mnt/glusterSD/*:_{NAME}/*/images/*/*.meta")
    assert sizes.count(f"CAP={int(work.disks[0]['size'][:2]) << 20}\n") == len(DISKS)


@pytest.mark.gate
def test_races(hosts: Hosts, round_number: int) -> None:
    for name, work in phases(round_number).items():
        # a disk grows where its VM runs
        at = hosts._replace(hypervisors=hosts.hypervisors[:1]) if name == "changed" else hosts
        done = [action for one in at_once(at, work, PLAYS) for action in one.all()]
        is_as_asked(hosts, work)
        assert done
        # what several planned from the same state each of them tells; of a VM, one plans after the other
        of_vm = collections.Counter(filter(OF_VM.search, done))
        assert set(of_vm.values()) <= {1}, f"{name}: {of_vm}"
        (again,) = at_once(hosts, work, 1)
        assert again.all() == []


@pytest.mark.gate
def test_disks_that_all_hypervisors_delete_at_once(hosts: Hosts) -> None:
    """What one of them sees half deleted is no failure."""
    modules = [LAB.modules(system.name) for system in hosts.hypervisors]
    for each in modules:
        each.done("glusterfs_domain", name=NAME, volume=NAME, servers=[node.name for node in hosts.nodes])

    def delete(each: Modules) -> None:
        each.done("gfapi_disk", storage_domain=NAME, disks=[{"name": name, "state": "absent"} for name in MANY])

    for _turn in range(2):
        made = [{"name": name, "size": "1MiB"} for name in MANY]
        modules[0].done("gfapi_disk", storage_domain=NAME, disks=made)
        with ThreadPoolExecutor(len(modules)) as pool:
            list(pool.map(delete, modules))
        left = hosts.hypervisors[0].run("sh", "-c", f"ls -A /rhev/data-center/mnt/glusterSD/*:_{NAME}/*/images")
        assert left == ""
