# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of all scenarios ask: a host's own tools, over ssh. Never what a module of the collection answered."""

from __future__ import annotations

import json
import shlex
import time
import typing as t

import testinfra
from modules import ROOT, Modules

#: with which one hypervisor reaches the other
KEY = "/root/.ssh/id_migrate"


class System:
    """A host of the lab, asked with its own tools."""

    def __init__(self, host: t.Any) -> None:
        self.host = host  # testinfra's
        self.name: str = host.backend.host

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
            time.sleep(0.5)  # the hosts' daemons tell nobody outside what they have reached


class Guest:
    """A VM, asked through virsh, its serial log and QEMU's own monitor."""

    def __init__(self, system: System, name: str) -> None:
        self.system = system
        self.name = name
        self.log = f"/var/log/libvirt/qemu/{name}-console.log"

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

    def wait(self, what: str, reached: t.Callable[[], bool]) -> None:
        """As its host waits; a guest that does not get there is described, for nobody can ask it later."""
        try:
            self.system.wait(f"guest {self.name} {what}", reached)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.stands()}") from None

    def stands(self) -> str:
        """What libvirt, QEMU, the console and the host know of it, for a person."""
        asked = [
            f"virsh domstate --reason {self.name}",
            *(f"virsh qemu-monitor-command --hmp {self.name} 'info {words}'" for words in ("status", "blockstats")),
            f"virsh qemu-monitor-command --hmp {self.name} 'info registers' | grep RIP",
            f"virsh qemu-monitor-command --hmp {self.name} 'info lapic'",
            f"tail -n 5 {self.log}",
            f"tail -n 20 /var/log/libvirt/qemu/{self.name}.log",
            "cat /proc/loadavg",
        ]
        # what it did not do in time may be that QEMU or libvirt hangs
        told = [self.system.host.run(f"timeout 10 sh -c {shlex.quote(command)} 2>&1").stdout for command in asked]
        return "\n".join(f"$ {command}\n{words}" for command, words in zip(asked, told, strict=True))

    def shut_down(self) -> None:
        self.system.run("virsh", "shutdown", self.name)
        self.wait("shut off", lambda: self.state == "shut off")

    def start(self) -> None:
        """Start it and wait until it is ready; its log then holds this boot only."""
        self.system.run("truncate", "--size=0", self.log)
        self.system.run("virsh", "start", self.name)
        self.wait("ready", lambda: "ready" in self.says())

    def monitor(self, command: str, **arguments: t.Any) -> t.Any:
        request = json.dumps({"execute": command, "arguments": arguments})
        return json.loads(self.system.run("virsh", "qemu-monitor-command", self.name, request))["return"]


class Lab:
    """The hosts that `lab/lab up NAME` started."""

    def __init__(self, name: str) -> None:
        self.inventory = ROOT / f".cache/lab/{name}/inventory.yml"

    def group(self, name: str) -> list[System]:
        """The hosts of a group in the inventory's order; or the one host of that name."""
        return [System(host) for host in testinfra.get_hosts([f"ansible://{name}?ansible_inventory={self.inventory}"])]

    def modules(self, host: str) -> Modules:
        return Modules(self.inventory, host)


def states(system: System) -> dict[str, str]:
    """The domains that a host's libvirt knows."""
    names = [name for name in system.lines("virsh", "list", "--all", "--name") if name]
    return {name: Guest(system, name).state for name in names}


def way_to(there: System, here: System) -> str:
    """The URI of a hypervisor's libvirt, as another one reaches it."""
    if not here.host.file(KEY).exists:
        here.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY)
    public = here.run("cat", f"{KEY}.pub").strip()
    there.host.check_output(
        f"grep -qF '{public}' /root/.ssh/authorized_keys || echo '{public}' >> /root/.ssh/authorized_keys"
    )
    return f"qemu+ssh://root@{there.name}/system?no_verify=1&keyfile={KEY}"


def are_alike(node: System, volume: str, copies: int = 3) -> bool:
    """Every brick of a replica is there and holds what the others do.

    If not, the self-heal daemon is told to look: what it could not lock at first it would take up after ten minutes
    (cluster.heal-timeout).
    """
    told = node.host.run(f"gluster volume heal {volume} info").stdout.splitlines()
    if all(told.count(line) == copies for line in ("Status: Connected", "Number of entries: 0")):
        return True
    node.host.run(f"gluster volume heal {volume}")
    return False
