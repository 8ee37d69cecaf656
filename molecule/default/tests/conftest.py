# SPDX-License-Identifier: GPL-3.0-or-later
"""The one host of the scenario, and what is on it."""

from __future__ import annotations

import os
import typing as t

import pytest
from hosts import Guest, Lab, System
from modules import Modules

#: another scenario of the lab that converge.yml was run on
NAME = os.environ.get("GFAPI_LAB", "default")
LAB = Lab(NAME)
INVENTORY = LAB.inventory
HOST = f"gfapi-lab-{NAME}-1"
VOLUME = "vmstore"
GLUSTER = "/usr/sbin/gluster"
#: stands before it on PATH
COUNTER = "/usr/local/sbin/gluster"
CALLS = "/run/gluster-calls"
MOUNT_POINT = f"/rhev/data-center/mnt/glusterSD/{HOST}:_{VOLUME}"


@pytest.fixture(scope="session")
def system() -> System:
    return LAB.group(HOST)[0]


@pytest.fixture(scope="session")
def host(system: System) -> t.Any:
    return system.host


@pytest.fixture(scope="session")
def modules() -> Modules:
    return LAB.modules(HOST)


@pytest.fixture(scope="session")
def guest(system: System) -> Guest:
    return Guest(system, "guest1")


@pytest.fixture
def stopped_guest(guest: Guest) -> t.Iterator[Guest]:
    """The guest shut off, and running again afterwards."""
    if guest.state == "running":
        guest.shut_down()
    yield guest
    if guest.state == "shut off":
        guest.start()


@pytest.fixture(scope="session")
def storage_domain(system: System) -> str:
    """The folder of the storage domain."""
    return system.find(f"{MOUNT_POINT}/*-*-*-*-*")


def image_path(system: System, source_name: str) -> str:
    """The file on the mount that a gluster disk's source name ("volume/path") stands for."""
    volume, _, path = source_name.partition("/")
    assert volume == VOLUME
    return f"{MOUNT_POINT}/{path}"


@pytest.fixture
def volume(system: System) -> t.Iterator[str]:
    """A replica 3 volume that was never started."""
    name = "scratch"
    bricks = [f"{HOST}:/bricks/{name}{number}" for number in (1, 2, 3)]
    system.run("gluster", "--mode=script", "volume", "create", name, "replica", "3", *bricks, "force")
    yield name
    system.host.run(f"gluster --mode=script volume stop {name} force")
    system.run("gluster", "--mode=script", "volume", "delete", name)
    for number in (1, 2, 3):
        system.run("rm", "-rf", f"/bricks/{name}{number}")


@pytest.fixture
def calls(system: System) -> t.Iterator[t.Callable[[], int]]:
    """How many gluster processes were started since the last look, counted by a program in front on PATH."""
    script = f'#!/bin/sh\necho "$*" >> {CALLS}\nexec {GLUSTER} "$@"\n'
    system.run("sh", "-c", f"rm -f {CALLS}; printf '%s' \"$1\" > {COUNTER}; chmod 755 {COUNTER}", "sh", script)

    def count() -> int:
        found = len(system.lines("sh", "-c", f"cat {CALLS} 2>/dev/null || true"))
        system.run("rm", "-f", CALLS)
        return found

    yield count
    system.run("rm", "-f", COUNTER, CALLS)
