# SPDX-License-Identifier: GPL-3.0-or-later
"""Three storage nodes, two hypervisors, and what is on them.

GFAPI_LAB names another lab of that shape, in which converge.yml was run by hand.
"""

from __future__ import annotations

import json
import os
import typing as t
from xml.etree import ElementTree

import looping
import pytest
from hosts import Guest, Lab, System

LAB = Lab(os.environ.get("GFAPI_LAB", "cluster"))
VOLUME = "vmstore"
BRICK = "/bricks/vmstore"


@pytest.fixture(scope="session")
def nodes() -> list[System]:
    return LAB.group("gluster_nodes")


@pytest.fixture(scope="session")
def hypervisors() -> list[System]:
    return LAB.group("hypervisors")


@pytest.fixture(scope="session")
def mount_point(nodes: list[System]) -> str:
    """Where each hypervisor has the volume."""
    return f"/rhev/data-center/mnt/glusterSD/{nodes[0].name}:_{VOLUME}"


@pytest.fixture(scope="session")
def guests(hypervisors: list[System]) -> list[Guest]:
    """The virtual machine on each hypervisor."""
    return [Guest(system, f"guest{number}") for number, system in enumerate(hypervisors, 1)]


def ask(system: System, *command: str) -> ElementTree.Element:
    """What gluster says on a node."""
    return ElementTree.fromstring(system.run("gluster", "--mode=script", "--xml", *command))


def own_folder(system: System) -> str:
    return f"{system.run('uname', '-n').strip()}.{system.run('cat', '/etc/machine-id').strip()}"


def records(system: System, mount_point: str) -> dict[str, dict[str, t.Any]]:
    """What a host noted of its VMs, by name."""
    folder = f"{mount_point}/.gfapi-users/{own_folder(system)}"
    found = [json.loads(system.run("cat", f"{folder}/{name}")) for name in system.lines("ls", folder)]
    return {record["vm"]: record for record in found if record["vm"]}


@pytest.fixture(scope="session")
def looping_guest(hypervisors: list[System]) -> dict[str, str]:
    """What a VM boots whose guest writes and reads without end."""
    for system in hypervisors:
        looping.install(system)
    return looping.BOOT
