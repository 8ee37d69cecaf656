# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses a volume, so that it is not stopped under them. Pure: no I/O.

`gluster volume status NAME client-list` names the kinds of clients, and only as text: with --xml (10.3, 11.1) it tells
of bricks alone.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _volume

REBALANCE: t.Final = "rebalance"
#: gluster's own processes, which come back by themselves
INTERNAL: t.Final = frozenset(("glustershd", "quotad", "bitd", "scrub", "scrubber", REBALANCE, "gfapi.glfsheal"))
#: what `clients` says below a brick whose process is gone
DOWN: t.Final = "Brick is offline"

_KIND = re.compile(r"(\S+)\s+(\d+)")
_ADDRESS = re.compile(r"(\S+):\d+\s+\d+\s+\d+\s+\d+")


@dataclass(frozen=True)
class Clients:
    """The clients that are connected: how many of each kind, and the addresses of all; the bricks that answered.

    Of a volume without any client gluster may not tell which bricks answer.
    """

    kinds: t.Mapping[str, int]
    addresses: tuple[str, ...] = ()
    bricks: frozenset[str] | None = None

    @classmethod
    def parse(cls, text: str) -> Clients:
        """From the text of `volume status NAME client-list` and `volume status NAME clients`."""
        lines = [line.strip() for line in text.splitlines()]
        kinds = {match[1]: int(match[2]) for match in map(_KIND.fullmatch, lines) if match}
        addresses = [match[1] for match in map(_ADDRESS.fullmatch, lines) if match]
        answers = [line for line, then in zip(lines, [*lines[1:], ""]) if then != DOWN]
        bricks = [line.partition(":")[2].strip() for line in answers if line.startswith("Brick :")]
        return cls(kinds, tuple(dict.fromkeys(addresses)), frozenset(bricks))

    @property
    def users(self) -> dict[str, int]:
        """The kinds that are not gluster's own."""
        return {kind: count for kind, count in self.kinds.items() if kind not in INTERNAL}


@dataclass(frozen=True)
class HostUse:
    """What of this host uses a volume: mount points, and virtual machines by name."""

    mounts: tuple[str, ...] = ()
    vms: tuple[str, ...] = ()


def reasons_not_to_stop(volume: _volume.Volume, clients: Clients, here: HostUse) -> list[str]:
    """Each user by name; and bricks that a stop and start would miss."""
    found = []
    if clients.users:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(clients.users.items()))
        found.append(f"clients are connected: {kinds} (connections come from {', '.join(clients.addresses)})")
    if here.mounts:
        found.append(f"it is mounted here at {', '.join(here.mounts)}")
    if here.vms:
        found.append(f"virtual machines run on it here: {', '.join(here.vms)}")
    if REBALANCE in clients.kinds:
        found.append("a rebalance of it is running")
    bricks = [f"{brick.host}:{brick.path}" for brick in volume.bricks]
    away = [brick for brick in bricks if clients.bricks is not None and brick not in clients.bricks]
    if away:
        found.append(f"bricks that would miss it are down or out of reach: {', '.join(away)}")
    return found


def vm_of(argv: t.Sequence[str], volume: str, mounts: t.Sequence[str]) -> str | None:
    """The name of the virtual machine that a process is, if it is QEMU's with a disk on the volume."""
    program = argv[0].rpartition("/")[2] if argv else ""
    if not program.startswith(("qemu-system", "qemu-kvm")):
        return None
    places = (f'"volume":"{volume}"', *(f"{point}/" for point in mounts))
    spec = re.compile(rf"gluster(\+\w+)?://[^/]*/{re.escape(volume)}/")
    if not any(spec.search(word) or any(place in word for place in places) for word in argv):
        return None
    named = dict(zip(argv, argv[1:])).get("-name", program)
    return named.partition(",")[0].removeprefix("guest=")
