# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on while something fails: a guest that writes without end, and plays; and what is looked at afterwards."""

from __future__ import annotations

import base64
import gzip
import itertools
import subprocess
import threading
import time
import typing as t

import looping
from hosts import Lab, System, are_alike
from looping import Looping
from modules import ROOT
from work import Work, do

DOMAIN, VOLUME = "vms", "vmstore"
VM, DISK = "looper", "looper-root"
#: what the plays make and remove
WORKER, WORK = "worker", "work"
WORKING = {"name": WORKER, "memory": "64MiB", "virt_type": "qemu", "state": "running", "disks": [{"name": WORK}]}
#: the guest writes its rounds to so many blocks, one after the other; each holds its round's number
BLOCKS, BLOCK_BYTES = 4096, 512
#: how long anything may take, the longest of gluster's own timeouts (network.ping-timeout, 42 s) more than once
LIMIT_S = 240
#: the command line of the guest's QEMU, as a regular expression
QEMU = f"^/usr/bin/qemu-system-x86_64 .*guest={VM},"
#: within which all clients have connected to a brick that is back
SETTLED_S = 30
GLUSTER = ("gluster", "--mode=script", "volume")
#: 0: which brick missed a write is noted with the write, not a second later
NOTED_AT_ONCE = "cluster.post-op-delay-secs"
#: what `libvirt_vm` says of a VM whose QEMU closed a disk after a flush that failed
GIVEN_UP = "has given up a disk"


class Meanwhile(threading.Thread):
    """Goes on for as long as the context lasts."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()

    def __enter__(self) -> t.Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.ended.set()
        self.join()


class Watch(Meanwhile):
    """When the guest's console told of rounds, by this machine's clock, to a quarter of a second."""

    def __init__(self, guest: Looping) -> None:
        super().__init__()
        self.guest = guest
        self.seen: list[tuple[float, int]] = []

    def run(self) -> None:
        while not self.ended.wait(0.1):
            try:
                told = self.guest.system.host.run(f"tail -n 2 {self.guest.log}").stdout.split("\n")
            except RuntimeError:  # testinfra's of a host that it cannot reach
                continue
            number = next((int(line.split()[2]) for line in told[:-1] if "GFAPI-GUEST: round " in line), None)
            if number and (not self.seen or self.seen[-1][1] != number):
                self.seen.append((time.monotonic(), number))

    def first_after(self, moment: float) -> float | None:
        return next((when for when, _number in list(self.seen) if when > moment), None)

    def longest_pause(self, since: float) -> float:
        before = [when for when, _number in self.seen if when <= since][-1:]
        times = before + [when for when, _number in self.seen if when > since]
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)


class Tried(t.NamedTuple):
    module: str
    seconds: float
    #: None: it did what it was to do
    message: str | None

    @property
    def is_clear(self) -> bool:
        """One line of ours, or Ansible's own of a host that it cannot reach."""
        message = self.message or ""
        return "MODULE FAILURE" not in message and (message.count("\n") == 0 or message.startswith("Failed to connect"))


class Plays(Meanwhile):
    """Tasks on the first hypervisor and on a storage node, without end: a disk and a VM on it come and go."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.scene = scene
        self.tried: list[Tried] = []

    def run(self) -> None:
        while not self.ended.is_set():
            for host, module, arguments in self.scene.cycle():
                self.tried.append(self.scene.attempt(host, module, arguments))
                if self.ended.is_set():
                    return

    def under_way(self) -> None:
        """Wait until they do something."""
        self.scene.wait("the first tasks", lambda: len(self.tried) > 1)

    def whole_cycle(self) -> None:
        """Wait until all tasks were begun and ended after now."""
        # the task that goes on now began before
        goal = len(self.tried) + 1 + len(self.scene.cycle())
        self.scene.wait("a cycle of plays", lambda: len(self.tried) >= goal, timeout_s=2 * LIMIT_S)


class Scene:
    """The hosts, the VM whose guest writes, and what must hold for them."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.nodes = lab.group("gluster_nodes")
        self.here, self.there = lab.group("hypervisors")
        self.guest = Looping(self.here, VM)
        self.counter = itertools.count(int(time.time()))
        #: variables of the plays' tasks; a fault may set some
        self.variables: dict[str, str] = {}
        #: what became of tasks of a fault's own
        self.own: list[Tried] = []
        self.image = ""
        bricks = [line for line in self.nodes[0].lines(*GLUSTER, "info", VOLUME) if line.startswith("Brick1: ")]
        #: the folder that is a brick, on each node
        self.brick = bricks[0].rpartition(":")[2]

    # --- before ---

    @property
    def domain(self) -> dict[str, t.Any]:
        return {"name": DOMAIN, "volume": VOLUME, "servers": [node.name for node in self.nodes]}

    def set_up(self) -> None:
        # a brick that comes back may cost what was acknowledged otherwise (docs/how-it-works.md)
        self.nodes[0].run(*GLUSTER, "set", VOLUME, NOTED_AT_ONCE, "0")
        for system in (self.here, self.there):
            looping.install(system)
            self.lab.modules(system.name).done("glusterfs_domain", **self.domain)
        image = {"size": "16MiB", "format": "raw", "preallocation": "full"}
        self.image = self.done("gfapi_disk", storage_domain=DOMAIN, name=DISK, **image)["disk"]["path"]
        log = f"/var/log/libvirt/qemu/{VM}-console.log"
        boot = {**looping.BOOT, "cmdline": f"{looping.BOOT['cmdline']} {looping.COUNTED_ON}"}
        vm = {"name": VM, **boot, "serial_log": log, "storage_domain": DOMAIN, "disks": [{"name": DISK}]}
        self.done("libvirt_vm", **vm, state="running")
        self.remove_work()

    def tear_down(self) -> None:
        self.done("libvirt_vm", name=VM, state="absent", force_stop=True, shutdown_timeout=0)
        self.done("gfapi_disk", storage_domain=DOMAIN, name=DISK, state="absent")
        self.nodes[0].run(*GLUSTER, "reset", VOLUME, NOTED_AT_ONCE)

    def begin(self) -> None:
        """All is well, and the guest writes."""
        self.await_alike()
        self.done("libvirt_vm", name=VM, state="running")
        self.goes_on(by=1)

    def start_anew(self) -> None:
        """The guest, whose QEMU has ended or is of no use any more."""
        self.done("glusterfs_domain", **self.domain)
        self.done("libvirt_vm", name=VM, state="shut_off", force_stop=True, shutdown_timeout=0)
        self.done("libvirt_vm", name=VM, state="running")

    def remove_work(self) -> None:
        """What the plays made."""
        for _host, module, arguments in self.cycle()[-2:]:
            self.done(module, **arguments)

    # --- plays ---

    def done(self, module: str, **arguments: t.Any) -> t.Any:
        return self.lab.modules(self.here.name).done(module, **arguments)

    def cycle(self) -> list[tuple[System, str, dict[str, t.Any]]]:
        """The tasks of one cycle; the last two remove what the others made."""
        disk = {"storage_domain": DOMAIN, "name": WORK}
        option = {"user.faults": next(self.counter)}
        absent: dict[str, t.Any] = {"name": WORKER, "state": "absent", "force_stop": True, "shutdown_timeout": 0}
        return [
            (self.here, "glusterfs_domain", self.domain),
            (self.here, "gfapi_disk", {**disk, "size": "16MiB"}),
            (self.here, "libvirt_vm", {**WORKING, "storage_domain": DOMAIN}),
            (self.nodes[1], "gluster_volume_options", {"volume": VOLUME, "options": option}),
            (self.here, "libvirt_vm_info", {"names": [WORKER]}),
            (self.here, "libvirt_vm", absent),
            (self.here, "gfapi_disk", {**disk, "state": "absent"}),
        ]

    def attempt(self, host: System, module: str, arguments: dict[str, t.Any]) -> Tried:
        """A task that may fail, but with a message of ours or with Ansible's of a host that it cannot reach."""
        begin = time.monotonic()
        try:
            result = self.lab.modules(host.name).run(module, variables=self.variables, **arguments)
            message = result.get("msg") if result["failed"] else None
        except (AssertionError, subprocess.TimeoutExpired) as exc:
            message = str(exc)
        return Tried(module, time.monotonic() - begin, message)

    def repair(self) -> None:
        """One more run does all; a further one finds nothing to do; and nothing is left behind."""
        disk: t.Any = {"name": WORK, "size": "16MiB"}
        wanted = Work(VOLUME, DOMAIN, {"user.faults": next(self.counter)}, [disk], WORKING)
        hosts = (self.nodes[1].name, self.here.name)
        self.remove_work()
        do(self.lab, wanted, *hosts)
        assert do(self.lab, wanted, *hosts).all() == []
        self.remove_work()
        (found,) = self.done("glusterfs_domain_info", names=[DOMAIN])["storage_domains"]
        assert not found["problems"], found["problems"]
        assert not found["orphans"]["images"], found["orphans"]

    # --- guest ---

    def said(self, word: str) -> list[int]:
        """The rounds of which the guest said that word since it was started: `round`, or `error`."""
        said = self.guest.says()[:-1]
        since = max((place for place, words in enumerate(said) if words == "start"), default=0)
        return [int(words.split()[-1]) for words in said[since:] if words.startswith(word)]

    def acknowledged(self) -> list[int]:
        """The rounds of which the guest said that they are written and read back, since it was started."""
        errors = set(self.said("error"))
        return [number for number in self.said("round") if number not in errors]

    def goes_on(self, by: int) -> None:
        """Wait for so many more rounds; a hypervisor whose clock or disk is slow gets its time."""
        goal = len(self.acknowledged()) + by
        self.wait(f"{by} more rounds of the guest", lambda: len(self.acknowledged()) >= goal)

    def is_running(self) -> bool:
        """Its QEMU is there, whatever libvirt says, or whether it says anything."""
        try:
            return self.here.host.run(f"pgrep -f '{QEMU}'").rc == 0
        except RuntimeError:  # testinfra's of a host that it cannot reach
            return False

    def lost(self, rounds: list[int]) -> list[int]:
        """Those of them which the image does not hold, read by another host past all caches.

        For some seconds after a brick came back, a client that has it reads from it what one that has not yet connected
        to it again has written to the others only.
        """
        # it may have lost its power meanwhile
        self.lab.modules(self.there.name).done("glusterfs_domain", **self.domain)
        end = time.monotonic() + SETTLED_S
        while (lost := self.missing(rounds)) and time.monotonic() < end:
            time.sleep(0.5)  # nobody tells when QEMU's client has connected
        return lost

    def missing(self, rounds: list[int]) -> list[int]:
        held = self.held(self.there, self.image)
        return [number for number in rounds[-BLOCKS:] if held[number % BLOCKS] < number]

    @staticmethod
    def held(system: System, path: str) -> list[int]:
        """The round that each block of a file on a host holds; -1 where it holds none."""
        read = f"dd if={path} iflag=direct bs=1M count=2 status=none | gzip -c | base64 -w0"
        data = gzip.decompress(base64.b64decode(system.host.check_output(read)))
        assert len(data) == BLOCKS * BLOCK_BYTES, f"{system.name} reads {len(data)} bytes of {path}"
        blocks = (data[place : place + BLOCK_BYTES].strip(b"\0").split() for place in range(0, len(data), BLOCK_BYTES))
        return [int(words[1]) if len(words) == 2 else -1 for words in blocks]

    def on_bricks(self, number: int) -> str:
        """What the bricks hold instead of a round, and what they say of each other's copies."""
        path = f"{self.brick}/{self.image.partition(f':_{VOLUME}/')[2]}"
        told = []
        for node in self.nodes:
            changelog = node.host.run(f"getfattr -d -m trusted.afr -e hex {path} 2> /dev/null | grep =").stdout.split()
            told.append(f"{node.name}: {self.held(node, path)[number % BLOCKS]} {' '.join(changelog)}")
        return "; ".join(told)

    # --- volume ---

    def await_alike(self) -> None:
        self.wait("all copies are alike", lambda: are_alike(self.nodes[0], VOLUME))

    # --- hosts ---

    def kill(self, *systems: System) -> None:
        """As if the power had gone."""
        subprocess.run(["podman", "kill", *(system.name for system in systems)], check=True, capture_output=True)

    def power(self) -> None:
        """All hosts are up."""
        name = self.lab.inventory.parent.name
        subprocess.run([ROOT / "lab/lab", "up", name], check=True, capture_output=True, timeout=LIMIT_S)

    @staticmethod
    def wait(what: str, reached: t.Callable[[], bool], timeout_s: float = LIMIT_S) -> None:
        end = time.monotonic() + timeout_s
        while not reached():
            assert time.monotonic() < end, f"{what}: not within {timeout_s} s"
            time.sleep(0.2)  # nobody outside the hosts is told what they have reached
