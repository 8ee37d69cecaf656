# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How volumes are: peers, bricks, clients, heal, quorum, space; `None` is what is not known. Pure: no I/O.

Read from `pool list`, `volume status` and `volume heal info summary`, all `--xml` (seen on 10.3 and 11.1).
"""

from __future__ import annotations

import collections
import math
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils import _option_values, _volume, _xml

LOCALHOST: t.Final = "localhost"


@dataclass(frozen=True)
class Peer:
    """A host of the pool; `name` is gluster's, and `localhost` for the host that was asked."""

    uuid: str
    name: str
    is_connected: bool


@dataclass(frozen=True)
class Heal:
    """What one brick says is to be healed; no counts from a brick that a client cannot reach."""

    is_connected: bool
    pending: int | None = None
    split_brain: int | None = None


@dataclass(frozen=True)
class BrickState:
    """A brick. `free_bytes` is what root finds free, `available_bytes` what others do (a file system keeps some back).

    `sector_bytes` is the least that its disk reads or writes.
    """

    brick: _volume.Brick
    online: bool | None = None
    pid: int | None = None
    port: int | None = None
    size_bytes: int | None = None
    free_bytes: int | None = None
    available_bytes: int | None = None
    device: str | None = None
    filesystem: str | None = None
    block_bytes: int | None = None
    sector_bytes: int | None = None
    heal: Heal | None = None


@dataclass(frozen=True)
class Client:
    """A host that has the volume open, with so many processes."""

    host: str
    processes: int


@dataclass(frozen=True)
class Status:
    """What glusterd tells about a started volume; `clients` is `None` where it could not tell."""

    bricks: t.Mapping[tuple[str, str], BrickState]
    #: uuid of a peer → how many of gluster's own daemons there have the volume open
    daemons: t.Mapping[str, int]
    #: brick → address → connections
    connections: t.Mapping[tuple[str, str], t.Mapping[str, int]] | None
    rebalance: str | None


def peers_from(pool: _xml.Element) -> tuple[Peer, ...]:
    """The peers in `pool list`, which leaves the host that was asked last."""
    return tuple(
        Peer(node.findtext("uuid", ""), node.findtext("hostname", ""), node.findtext("connected") == "1")
        for node in pool.iterfind("peerStatus/peer")
    )


def status_from(detail: _xml.Element, plain: _xml.Element, clients: t.Sequence[_xml.Element]) -> Status:
    """`volume status V detail`, `volume status V` and `volume status V clients`, the last for all or for each brick."""
    answered = [document for document in clients if document.findtext("opRet") == "0"]
    nodes = [node for document in answered for node in document.iterfind(".//node")]
    return Status(
        {_key(node): _brick_state(node) for node in detail.iterfind(".//node")},
        collections.Counter(
            node.findtext("peerid", "")
            for node in plain.iterfind(".//node")
            if not node.findtext("path", "").startswith("/") and node.findtext("status") == "1"
        ),
        {_key(node): _connections(node) for node in nodes} if _are_known(clients) else None,
        next((task.findtext("statusStr") for task in plain.iterfind(".//task") if _is_rebalance(task)), None),
    )


def _are_known(clients: t.Sequence[_xml.Element]) -> bool:
    """Asked of one brick, `Commit failed` is how glusterd says that it has no client; of all, it says nothing."""
    failed = [document for document in clients if document.findtext("opRet") != "0"]
    return not failed or (len(clients) > 1 and all("Commit failed" in words_of(document) for document in failed))


def words_of(document: _xml.Element) -> str:
    return document.findtext("opErrstr", "")


def _is_rebalance(task: _xml.Element) -> bool:
    return task.findtext("type") in ("Rebalance", "Remove brick")


def _key(node: _xml.Element) -> tuple[str, str]:
    return node.findtext("peerid", ""), node.findtext("path", "")


def _connections(node: _xml.Element) -> dict[str, int]:
    names = [client.findtext("hostname", "") for client in node.iterfind("clientsStatus/client")]
    # address:port, an IPv6 address without brackets
    return dict(collections.Counter(name.rpartition(":")[0] for name in names))


def _brick_state(node: _xml.Element) -> BrickState:
    is_online = node.findtext("status") == "1"
    return BrickState(
        _volume.Brick(node.findtext("hostname", ""), node.findtext("path", ""), peer=node.findtext("peerid", "")),
        online=is_online,
        pid=_number(node, "pid") if is_online else None,
        port=_number(node, "port") if is_online else None,
        size_bytes=_number(node, "sizeTotal"),
        free_bytes=_number(node, "sizeFree"),
        device=node.findtext("device"),
        filesystem=node.findtext("fsName"),
        block_bytes=_number(node, "blockSize"),
    )


def _number(node: _xml.Element, path: str) -> int | None:
    text = node.findtext(path, "")
    return int(text) if re.fullmatch(r"[0-9]+", text) else None


def heal_from(summary: _xml.Element) -> dict[str, Heal]:
    """Brick (`host:/path`) → what it says is to be healed, from `volume heal V info summary`."""
    return {
        node.findtext("name", ""): Heal(
            node.findtext("status") == "Connected",
            _number(node, "numberOfEntriesInHealPending"),
            _number(node, "numberOfEntriesInSplitBrain"),
        )
        for node in summary.iterfind("healInfo/bricks/brick")
    }


def brick_states(
    volume: _volume.Volume, peers: t.Sequence[Peer], status: Status | None, heal: t.Mapping[str, Heal]
) -> tuple[BrickState, ...]:
    """Every brick of a volume.

    glusterd leaves out the bricks of peers that are down: no new client reaches those, so they count as offline.
    Where glusterd did not answer, a brick is online if the client that counts what is to be healed reached it.
    """
    down = {peer.uuid for peer in peers if not peer.is_connected}
    states = []
    for brick in volume.bricks:
        found = status.bricks.get((brick.peer, brick.path)) if status else None
        state = replace(found, brick=brick) if found else BrickState(brick)
        healed = heal.get(str(brick))
        if found is None and (brick.peer in down or (peers and not volume.is_started)):
            state = replace(state, online=False)
        elif found is None and healed:
            state = replace(state, online=healed.is_connected)
        states.append(replace(state, heal=healed))
    return tuple(states)


def clients_from(status: Status | None, addresses: t.Mapping[str, str]) -> tuple[Client, ...] | None:
    """The hosts that have the volume open, without gluster's own daemons; `addresses` tells which peer has one.

    A daemon has one connection to every brick, or to some. So of a peer's connections to a brick at most as many are
    gluster's own as it runs daemons, and on the brick where the most are left those are the clients.
    """
    if status is None or status.connections is None:
        return None
    found: dict[str, int] = {}
    for (brick_peer, _path), connections in status.connections.items():
        for host, count in connections.items():
            peer = brick_peer if host.startswith("127.") or host == "::1" else addresses.get(host, "")
            others = count - status.daemons.get(peer, 0)
            found[host] = max(found.get(host, 0), others)
    return tuple(Client(host, count) for host, count in sorted(found.items()) if count > 0)


# --- quorum ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quorum:
    """What must be there for writes: `type` none, auto or fixed (client), none or server (server)."""

    type: str | None
    #: bricks of a replica set (fixed), or percent of the peers (server)
    wanted: str | None
    met: bool | None


UNKNOWN_QUORUM: t.Final = Quorum(None, None, None)


def client_quorum(volume: _volume.Volume, options: t.Mapping[str, str], bricks: t.Sequence[BrickState]) -> Quorum:
    """Whether every set of bricks takes writes."""
    kind, count = options.get("cluster.quorum-type"), options.get("cluster.quorum-count")
    number = _option_values.integer(count or "")
    online = {state.brick: state.online for state in bricks}
    answers = [_takes_writes(volume, bricks_of, online, kind, number) for bricks_of in volume.sets]
    met = False if False in answers else None if None in answers else True
    if not volume.is_replicate:
        return Quorum(None, None, met)
    return Quorum(kind, count if kind == "fixed" else None, met)


def _takes_writes(
    volume: _volume.Volume,
    bricks: t.Sequence[_volume.Brick],
    online: t.Mapping[_volume.Brick, bool | None],
    kind: str | None,
    number: int | None,
) -> bool | None:
    if any(online[brick] is None for brick in bricks) or (volume.is_replicate and kind is None):
        return None
    up = [brick for brick in bricks if online[brick]]
    if volume.is_disperse:
        return len(up) >= volume.disperse - volume.redundancy
    if not any(not brick.is_arbiter for brick in up):
        return False
    if not volume.is_replicate or kind == "none":
        return True
    if kind == "fixed":
        return len(up) >= (number or 1)
    # of an even number half is enough if the first brick is among them
    return 2 * len(up) > len(bricks) or (2 * len(up) == len(bricks) and bricks[0] in up)


def server_quorum(options: t.Mapping[str, str], peers: t.Sequence[Peer]) -> Quorum:
    """Whether enough peers see one another; glusterd stops the bricks of a host where they do not."""
    kind = options.get("cluster.server-quorum-type", "none")
    if kind != "server":
        # 10.3 lists `off` for a volume that has none
        return Quorum("none" if kind in ("off", "none") else kind, None, None)
    ratio = options.get("cluster.server-quorum-ratio", "51")
    wanted = math.ceil(len(peers) * (_option_values.percent(ratio) or 51) / 100)
    return Quorum(kind, ratio, sum(peer.is_connected for peer in peers) >= wanted if peers else None)


# --- sums -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Space:
    size_bytes: int
    free_bytes: int


def space_of(volume: _volume.Volume, bricks: t.Sequence[BrickState], reserve: str) -> Space | None:
    """What a client sees: the smallest brick of every set, less what the bricks keep back, shared disks counted once.

    An arbiter holds no data. `reserve` is storage.reserve.
    """
    states = {state.brick: state for state in bricks}
    disks = collections.Counter(_disk(state) for state in bricks)
    factor = volume.disperse - volume.redundancy if volume.is_disperse else 1
    size = free = 0.0
    for bricks_of in volume.sets:
        data = [states[brick] for brick in bricks_of if not brick.is_arbiter and states[brick].online]
        spaces = [(_brick_space(state, reserve), disks[_disk(state)]) for state in data if state.size_bytes]
        if not spaces:
            return None
        size += factor * min(space.size_bytes / sharing for space, sharing in spaces)
        free += factor * min(space.free_bytes / sharing for space, sharing in spaces)
    return Space(int(size), int(free))


def _disk(state: BrickState) -> tuple[str, str]:
    return state.brick.host, state.device or state.brick.path


def _brick_space(state: BrickState, reserve: str) -> Space:
    size, free = state.size_bytes or 0, state.free_bytes or 0
    left = max(free - int(_reserved_bytes(reserve, size)), 0)
    return Space(size, left if state.available_bytes is None else min(left, state.available_bytes))


def _reserved_bytes(reserve: str, size_bytes: int) -> float:
    """Up to 100, a number without a unit is a percentage (posix_set_disk_reserve)."""
    percent = _option_values.percent(reserve)
    if percent is not None and (reserve.endswith("%") or percent <= 100):
        return size_bytes * percent / 100
    return _option_values.size_bytes(reserve) or 0


def heal_sums(volume: _volume.Volume, bricks: t.Sequence[BrickState]) -> tuple[int, int] | None:
    """Entries to be healed, and in split-brain: the most that a brick of each set tells, for each has its own list."""
    heal = {state.brick: state.heal for state in bricks}
    pending = split = 0
    for bricks_of in volume.sets:
        told = [found for brick in bricks_of if (found := heal[brick]) and found.pending is not None]
        if not told:
            return None
        pending += max(found.pending or 0 for found in told)
        split += max(found.split_brain or 0 for found in told)
    return pending, split
