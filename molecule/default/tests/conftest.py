# SPDX-License-Identifier: GPL-3.0-or-later
"""The one host of the scenario, and what is on it."""

from __future__ import annotations

import typing as t

import pytest
from hosts import Guest, Lab, System
from modules import Modules

LAB = Lab("default")
INVENTORY = LAB.inventory
HOST = "gfapi-lab-default-1"
VOLUME = "vmstore"
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
