# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests ask: the host's own tools, over ssh. Never what a module of the collection answered."""

from __future__ import annotations

import json
import shlex
import time
import typing as t
from pathlib import Path

import pytest
import testinfra
from modules import Modules

INVENTORY = Path(__file__).parents[3] / ".cache/lab/default/inventory.yml"
HOST = "gfapi-lab-default-1"
VOLUME = "vmstore"
MOUNT_POINT = f"/rhev/data-center/mnt/glusterSD/{HOST}:_{VOLUME}"


class System:
    """The host of the scenario, asked with its own tools."""

    def __init__(self, host: t.Any) -> None:
        self.host = host

    def run(self, *command: str) -> str:
        return self.host.check_output(shlex.join(command))

    def lines(self, *command: str) -> list[str]:
        return self.run(*command).splitlines()

    def find(self, pattern: str) -> str:
        """The one path that a shell pattern stands for."""
        paths = self.host.check_output(f"ls -d {pattern}").splitlines()
        assert len(paths) == 1, paths
        return paths[0]

    def wait(self, what: str, reached: t.Callable[[], bool], timeout_s: int = 90) -> None:
        end = time.monotonic() + timeout_s
        while not reached():
            assert time.monotonic() < end, f"{what}: not within {timeout_s} s"
            time.sleep(0.5)


class Guest:
    """The VM, asked through virsh, its serial log and QEMU's own monitor."""

    name = "guest1"
    log = "/var/log/libvirt/qemu/guest1-console.log"

    def __init__(self, system: System) -> None:
        self.system = system

    @property
    def state(self) -> str:
        return self.system.run("virsh", "domstate", self.name).strip()

    def says(self) -> list[str]:
        """What the guest reported on its serial console, without the label."""
        label = "GFAPI-GUEST: "
        text = self.system.host.check_output(f"tr -d '\\r' < {self.log}")
        return [line.split(label, 1)[1] for line in text.splitlines() if label in line]

    def checksum(self, word: str) -> str | None:
        """The sha256 the guest named after "written" or "found"; None where it said no such thing."""
        found = [line.split("=", 1)[1] for line in self.says() if line.startswith(f"{word} sha256=")]
        return found[-1] if found else None

    def shut_down(self) -> None:
        self.system.run("virsh", "shutdown", self.name)
        self.system.wait("guest shut off", lambda: self.state == "shut off")

    def start(self) -> None:
        """Start it and wait until it is ready; its log then holds this boot only."""
        self.system.run("truncate", "--size=0", self.log)
        self.system.run("virsh", "start", self.name)
        self.system.wait("guest ready", lambda: "ready" in self.says())

    def monitor(self, command: str, **arguments: t.Any) -> t.Any:
        request = json.dumps({"execute": command, "arguments": arguments})
        return json.loads(self.system.run("virsh", "qemu-monitor-command", self.name, request))["return"]


@pytest.fixture(scope="session")
def host() -> t.Any:
    return testinfra.get_host(f"ansible://{HOST}?ansible_inventory={INVENTORY}")


@pytest.fixture(scope="session")
def system(host: t.Any) -> System:
    return System(host)


@pytest.fixture(scope="session")
def modules() -> Modules:
    return Modules(INVENTORY, HOST)


@pytest.fixture(scope="session")
def guest(system: System) -> Guest:
    return Guest(system)


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
