# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Gluster volume as `gluster volume info --xml` tells it (seen on 10.3). Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.gfapi.virt.plugins.module_utils import _xml

_TRANSPORTS: t.Final = {"0": "tcp", "1": "rdma", "2": "tcp,rdma"}


@dataclass(frozen=True)
class Brick:
    """One brick: the host as glusterd spells it (no brackets), and the directory."""

    host: str
    path: str
    is_arbiter: bool = False
    #: uuid of the peer that has it
    peer: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.path}"


@dataclass(frozen=True)
class Volume:
    """A volume. `type` and `status` are gluster's words (`Distributed-Replicate`; `Created`, `Started`, `Stopped`).

    `options` holds what was set explicitly, spelled as it was given.
    """

    name: str
    type: str
    status: str
    replica: int
    bricks: tuple[Brick, ...]
    options: t.Mapping[str, str] = field(default_factory=dict)
    #: bricks of a dispersed set, and how many of them may be missing; 0 for other types
    disperse: int = 0
    redundancy: int = 0
    transport: str = "tcp"
    uuid: str = field(default="", compare=False)

    @property
    def is_started(self) -> bool:
        return self.status == "Started"

    @property
    def was_never_started(self) -> bool:
        return self.status == "Created"

    @property
    def is_replicate(self) -> bool:
        return "Replicate" in self.type

    @property
    def is_disperse(self) -> bool:
        return "Disperse" in self.type

    @property
    def sets(self) -> tuple[tuple[Brick, ...], ...]:
        """The bricks that hold the same files: a replica set, a dispersed set, or a brick alone."""
        size = max(self.disperse, self.replica, 1)
        return tuple(self.bricks[first : first + size] for first in range(0, len(self.bricks), size))

    @property
    def servers(self) -> tuple[str, ...]:
        """Every host with a brick, once each, in brick order: each can serve the volfile."""
        return tuple(dict.fromkeys(brick.host for brick in self.bricks))


def volumes_from(info: _xml.Element) -> tuple[Volume, ...]:
    """Every volume in the output of `volume info --xml`."""
    return tuple(_volume_from(node) for node in info.iterfind("volInfo/volumes/volume"))


def _volume_from(node: _xml.Element) -> Volume:
    return Volume(
        name=node.findtext("name", ""),
        type=node.findtext("typeStr", ""),
        status=node.findtext("statusStr", ""),
        replica=int(node.findtext("replicaCount", "1")),
        bricks=tuple(_brick_from(brick) for brick in node.iterfind("bricks/brick")),
        options={row.findtext("name", ""): row.findtext("value", "") for row in node.iterfind("options/option")},
        disperse=int(node.findtext("disperseCount", "0")),
        redundancy=int(node.findtext("redundancyCount", "0")),
        transport=_TRANSPORTS.get(node.findtext("transport", "0"), "unknown"),
        uuid=node.findtext("id", ""),
    )


def _brick_from(node: _xml.Element) -> Brick:
    # mixed content: host:path<name>...</name>...; the path is absolute, so the first ':/' splits, with IPv6 too
    host, _colon, path = (node.text or "").strip().partition(":/")
    return Brick(host, "/" + path, node.findtext("isArbiter") == "1", node.findtext("hostUuid", ""))


def effective_options(get: _xml.Element, *, keep_mark: bool = False) -> dict[str, str]:
    """Option → value in force, from `volume get NAME all --xml`, without gluster's ` (DEFAULT)` mark."""
    mark = "" if keep_mark else " (DEFAULT)"
    return {
        row.findtext("Option", ""): row.findtext("Value", "").removesuffix(mark)
        for row in get.iterfind("volGetopts/Opt")
    }
