# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults: how each is brought about and ended, and what becomes of a guest that writes meanwhile."""

from __future__ import annotations

import contextlib
import enum
import re
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hosts import System, states, way_to
from scene import GLUSTER, QEMU, VM, VOLUME, Scene

Struck = contextlib.AbstractContextManager[None]


class Guest(enum.Enum):
    """What becomes of a guest, in the words of the page."""

    GOES_ON = "goes on by itself while the fault lasts"
    PAUSED = "is paused, and `state: running` resumes it when it is over"
    ENDED = "has ended, and `state: running` starts it"


@dataclass(frozen=True)
class Fault:
    name: str
    guest: Guest
    strike: t.Callable[[Scene], Struck]
    #: one of the few that strike whenever the project is tested
    gate: bool = False

    @property
    def slug(self) -> str:
        """What `pytest -k` takes."""
        return re.sub(r"\W+", "_", self.name)


def signal(system: System, word: str, pattern: str) -> None:
    """Send a signal to the processes whose command line matches."""
    system.run("pkill", f"-{word}", "-f", pattern)


def restarted(system: System, unit: str) -> None:
    system.run("systemctl", "reset-failed", unit)
    system.run("systemctl", "restart", unit)


#: five rounds of the guest, each of some calls; two seconds otherwise
SLOWED_S = 5
GLUSTERD_PROCESS = "^/usr/sbin/glusterd "
BRICK_PROCESS = f"^/usr/sbin/glusterfsd .*{VOLUME}"
MOUNT_PROCESS = f"^/usr/sbin/glusterfs .*--volfile-id=/?{VOLUME} "
REJECT = ("meta", "l4proto", "tcp", "reject", "with", "tcp", "reset")


# --- daemons of the storage nodes ---


@contextlib.contextmanager
def without_glusterd(*systems: System, kill: bool = False) -> t.Iterator[None]:
    for system in systems:
        if kill:
            signal(system, "KILL", GLUSTERD_PROCESS)
        else:
            system.run("systemctl", "stop", "glusterd")
    try:
        yield
    finally:
        for system in systems:
            restarted(system, "glusterd")


@contextlib.contextmanager
def bricks_killed(scene: Scene, *systems: System) -> t.Iterator[None]:
    for system in systems:
        signal(system, "KILL", BRICK_PROCESS)
    try:
        yield
    finally:
        scene.nodes[0].run(*GLUSTER, "start", VOLUME, "force")


@contextlib.contextmanager
def held(system: System, pattern: str) -> t.Iterator[None]:
    """It runs, and does nothing."""
    signal(system, "STOP", pattern)
    try:
        yield
    finally:
        signal(system, "CONT", pattern)


@contextlib.contextmanager
def powered_off(scene: Scene, *systems: System) -> t.Iterator[None]:
    scene.kill(*systems)
    try:
        yield
    finally:
        scene.power()


@contextlib.contextmanager
def volume_stopped(scene: Scene) -> t.Iterator[None]:
    scene.nodes[0].run(*GLUSTER, "stop", VOLUME, "force")
    try:
        yield
    finally:
        scene.nodes[0].run(*GLUSTER, "start", VOLUME)


@contextlib.contextmanager
def options_set(scene: Scene, options: t.Mapping[str, str]) -> t.Iterator[None]:
    node = scene.nodes[0]
    node.run(*GLUSTER, "set", VOLUME, *(word for pair in options.items() for word in pair))
    try:
        yield
    finally:
        for name in options:
            node.run(*GLUSTER, "reset", VOLUME, name, "force")


@contextlib.contextmanager
def storage_slowed(scene: Scene) -> t.Iterator[None]:
    """Bricks load the translator when they start, so they are started anew, one after the other."""

    def started_anew() -> None:
        for node in scene.nodes:
            with bricks_killed(scene, node):
                pass
            scene.await_alike()

    delay = {"debug.delay-gen": "posix", "delay-gen.delay-duration": "200000", "delay-gen.delay-percentage": "50"}
    try:
        with options_set(scene, delay):
            started_anew()
            begin = time.monotonic()
            scene.goes_on(by=5)
            assert time.monotonic() - begin > SLOWED_S, "the bricks are not slow"
            yield
    finally:
        started_anew()


@contextlib.contextmanager
def bricks_full(scene: Scene, *systems: System) -> t.Iterator[None]:
    filler = f"{scene.brick.rpartition('/')[0]}/filler"
    for system in systems:
        assert system.host.run(f"dd if=/dev/zero of={filler} bs=64k").rc != 0
    try:
        yield
    finally:
        for system in systems:
            system.run("rm", filler)


@contextlib.contextmanager
def brick_emptied(scene: Scene, system: System) -> t.Iterator[None]:
    """Its disk was replaced by a new one."""
    place = f"{system.name}:{scene.brick}"
    scene.nodes[0].run(*GLUSTER, "reset-brick", VOLUME, place, "start")
    system.run("rm", "-rf", scene.brick)
    system.run("mkdir", scene.brick)
    try:
        yield
    finally:
        scene.nodes[0].run(*GLUSTER, "reset-brick", VOLUME, place, place, "commit", "force")
        # refused until the self-heal daemons know the new brick
        heal = scene.nodes[0].host
        scene.wait("a full heal", lambda: heal.run(" ".join((*GLUSTER, "heal", VOLUME, "full"))).rc == 0)


# --- network ---


@contextlib.contextmanager
def cut(one: System, others: t.Sequence[System], *verdict: str) -> t.Iterator[None]:
    """Nothing passes between one host and the others; with REJECT they are told so."""
    addresses = ", ".join(one.run("getent", "hosts", other.name).split()[0] for other in others)
    one.run("nft", "add", "table", "inet", "faults")
    try:
        for chain, direction in (("input", "saddr"), ("output", "daddr")):
            hook = f"{{ type filter hook {chain} priority -400; policy accept; }}"
            one.run("nft", "add", "chain", "inet", "faults", chain, hook)
            rule = ("ip", direction, f"{{ {addresses} }}", *(verdict or ("drop",)))
            one.run("nft", "add", "rule", "inet", "faults", chain, *rule)
        yield
    finally:
        one.run("nft", "delete", "table", "inet", "faults")


# --- hypervisor ---


@contextlib.contextmanager
def libvirtd_restarted(system: System) -> t.Iterator[None]:
    system.run("systemctl", "restart", "libvirtd")
    yield


@contextlib.contextmanager
def libvirtd_killed(system: System) -> t.Iterator[None]:
    signal(system, "KILL", "^/usr/sbin/libvirtd")
    try:
        yield
    finally:
        restarted(system, "libvirtd")


@contextlib.contextmanager
def libvirtd_stopped(system: System) -> t.Iterator[None]:
    units = ["libvirtd.service", "libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket"]
    system.run("systemctl", "stop", *units)
    try:
        yield
    finally:
        system.run("systemctl", "start", *units[1:], units[0])


@contextlib.contextmanager
def qemu_killed(system: System) -> t.Iterator[None]:
    signal(system, "KILL", QEMU)
    yield


@contextlib.contextmanager
def mount_killed(system: System) -> t.Iterator[None]:
    signal(system, "KILL", MOUNT_PROCESS)
    yield


@contextlib.contextmanager
def clock_skewed(scene: Scene, by: str) -> t.Iterator[None]:
    """The clock of the plays' own processes on the hosts, by libfaketime; not that of the daemons."""
    interpreter = "/usr/local/bin/python3-faketime"
    for system in (scene.here, scene.nodes[1]):
        text = f'#!/bin/sh\nexec faketime -f {by} /usr/bin/python3 "$@"\n'
        system.host.check_output("printf %%s %s > %s && chmod 755 %s", text, interpreter, interpreter)
        there = int(system.run(interpreter, "-c", "import time; print(int(time.time()))"))
        assert abs(there - int(system.run("date", "+%s"))) > 399 * 24 * 3600
    scene.variables["ansible_python_interpreter"] = interpreter
    try:
        yield
    finally:
        scene.variables.clear()


@contextlib.contextmanager
def migrating(scene: Scene, strike: t.Callable[[Scene], Struck]) -> t.Iterator[None]:
    """It strikes while the guest is on its way to the other hypervisor; it has to stay, with nothing of it there."""
    here, there = scene.here, scene.there
    # MiB/s, so that there is time
    here.run("virsh", "migrate-setspeed", VM, "4")
    way = way_to(there, here)
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(scene.attempt, here, "libvirt_vm", {"name": VM, "state": "running", "host": way})
        scene.wait("the other hypervisor's QEMU", lambda: there.host.run(f"pgrep -f '{QEMU}'").rc == 0)
        with strike(scene):
            tried = task.result()
            assert tried.message is not None
            scene.own.append(tried)
            yield
    scene.wait("nothing is left over there", lambda: VM not in states(there))


FAULTS: t.Final[tuple[Fault, ...]] = (
    # its unit has KillMode=control-group on Debian: bricks end with it
    Fault("glusterd of the volfile server stops, its brick too", Guest.GOES_ON, lambda s: without_glusterd(s.nodes[0])),
    Fault("glusterd of another node stops, its brick too", Guest.GOES_ON, lambda s: without_glusterd(s.nodes[2])),
    Fault(
        "glusterd is killed where options are set, its brick too",
        Guest.GOES_ON,
        lambda s: without_glusterd(s.nodes[1], kill=True),
    ),
    Fault("glusterd of a node hangs", Guest.GOES_ON, lambda s: held(s.nodes[2], GLUSTERD_PROCESS)),
    Fault(
        "glusterd of two nodes stops, their bricks too: no quorum",
        Guest.PAUSED,
        lambda s: without_glusterd(*s.nodes[:2]),
    ),
    Fault("glusterd of all nodes stops, the bricks too", Guest.PAUSED, lambda s: without_glusterd(*s.nodes)),
    Fault("a brick process is killed", Guest.GOES_ON, lambda s: bricks_killed(s, s.nodes[0]), gate=True),
    Fault("a brick process hangs", Guest.GOES_ON, lambda s: held(s.nodes[1], BRICK_PROCESS)),
    Fault("two of three brick processes are killed", Guest.PAUSED, lambda s: bricks_killed(s, *s.nodes[:2])),
    Fault("all brick processes are killed", Guest.PAUSED, lambda s: bricks_killed(s, *s.nodes)),
    Fault("the volume is stopped by force", Guest.PAUSED, volume_stopped),
    Fault("a storage node loses its power", Guest.GOES_ON, lambda s: powered_off(s, s.nodes[2])),
    Fault("the volfile server loses its power", Guest.GOES_ON, lambda s: powered_off(s, s.nodes[0])),
    Fault("two storage nodes lose their power", Guest.PAUSED, lambda s: powered_off(s, *s.nodes[:2])),
    Fault("all storage nodes lose their power", Guest.PAUSED, lambda s: powered_off(s, *s.nodes)),
    Fault("the disk of one brick is full", Guest.GOES_ON, lambda s: bricks_full(s, s.nodes[2])),
    Fault("the disks of all bricks are full", Guest.GOES_ON, lambda s: bricks_full(s, *s.nodes)),
    Fault("the disk of a brick is replaced by an empty one", Guest.GOES_ON, lambda s: brick_emptied(s, s.nodes[2])),
    Fault("storage is slow: 0.2 s more for each of half of the calls (delay-gen)", Guest.GOES_ON, storage_slowed),
    Fault("the volume is read-only", Guest.PAUSED, lambda s: options_set(s, {"features.read-only": "on"})),
    Fault("cut between hypervisor and a node, packets vanish", Guest.GOES_ON, lambda s: cut(s.here, s.nodes[1:2])),
    Fault(
        "cut between hypervisor and a node, connections are reset",
        Guest.GOES_ON,
        lambda s: cut(s.here, s.nodes[:1], *REJECT),
    ),
    Fault("cut between hypervisor and two nodes", Guest.PAUSED, lambda s: cut(s.here, s.nodes[:2])),
    Fault("cut between hypervisor and all nodes", Guest.PAUSED, lambda s: cut(s.here, s.nodes)),
    Fault("cut between a node and the other nodes", Guest.GOES_ON, lambda s: cut(s.nodes[0], s.nodes[1:])),
    Fault("a node is cut off from all", Guest.GOES_ON, lambda s: cut(s.nodes[2], [*s.nodes[:2], s.here, s.there])),
    Fault("libvirtd is restarted", Guest.GOES_ON, lambda s: libvirtd_restarted(s.here)),
    Fault("libvirtd is killed", Guest.GOES_ON, lambda s: libvirtd_killed(s.here)),
    Fault("libvirtd is stopped", Guest.GOES_ON, lambda s: libvirtd_stopped(s.here)),
    Fault("libvirtd hangs", Guest.GOES_ON, lambda s: held(s.here, "^/usr/sbin/libvirtd")),
    Fault("QEMU is killed", Guest.ENDED, lambda s: qemu_killed(s.here), gate=True),
    Fault("the hypervisor loses its power", Guest.ENDED, lambda s: powered_off(s, s.here)),
    Fault("the FUSE client of the mount is killed", Guest.GOES_ON, lambda s: mount_killed(s.here), gate=True),
    Fault("the FUSE client of the mount hangs", Guest.GOES_ON, lambda s: held(s.here, MOUNT_PROCESS)),
    Fault("the clock of the plays is 400 days ahead (libfaketime)", Guest.GOES_ON, lambda s: clock_skewed(s, "+400d")),
    Fault("the clock of the plays is 400 days behind (libfaketime)", Guest.GOES_ON, lambda s: clock_skewed(s, "-400d")),
    Fault(
        "QEMU of the other hypervisor is killed during a live migration",
        Guest.GOES_ON,
        lambda s: migrating(s, lambda s: qemu_killed(s.there)),
    ),
    Fault(
        "libvirtd of the other hypervisor is killed during a live migration",
        Guest.GOES_ON,
        lambda s: migrating(s, lambda s: libvirtd_killed(s.there)),
    ),
    Fault(
        "the other hypervisor loses its power during a live migration",
        Guest.GOES_ON,
        lambda s: migrating(s, lambda s: powered_off(s, s.there)),
    ),
)
