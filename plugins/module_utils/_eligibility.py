# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fit a volume is as a storage domain. Pure: no I/O.

What refuses is what oVirt's engine refuses (GlusterUtil.validateVolumeForStorageDomain), what keeps QEMU from opening
an image through gfapi, and what keeps images from being written. What oVirt only warns of is a warning here.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _option_values, _volume, _volume_state

VIRT_STORE: t.Final = "set preset virt_store with gfapi.virt.gluster_volume_options"
OWNER: t.Final = 36
#: percent free below which oVirt warns
LOW_SPACE_PERCENT: t.Final = 10
#: what an option is that was never set, alike in every release since 3.12
DEFAULTS: t.Final = {
    "features.shard": "off",
    "network.remote-dio": "off",
    "performance.strict-o-direct": "off",
    "storage.owner-uid": "-1",
    "storage.owner-gid": "-1",
    "server.allow-insecure": "on",
}


@dataclass(frozen=True)
class Finding:
    """What is wrong, by a code that stays the same, and the mend."""

    code: str
    message: str
    mend: str


@dataclass(frozen=True)
class VolumeState:
    """What a volume is judged by; `None`, or an option that is missing, is what is not known."""

    volume: _volume.Volume
    options: t.Mapping[str, str]
    bricks: tuple[_volume_state.BrickState, ...]
    peers: tuple[_volume_state.Peer, ...] = ()
    client_quorum: _volume_state.Quorum = _volume_state.UNKNOWN_QUORUM
    server_quorum: _volume_state.Quorum = _volume_state.UNKNOWN_QUORUM
    has_thin_arbiter: bool | None = None
    pending: int | None = None
    split_brain: int | None = None
    space: _volume_state.Space | None = None
    rebalance: str | None = None

    def is_on(self, option: str) -> bool:
        return _option_values.is_true(self.options.get(option, DEFAULTS[option]))


def eligible(state: VolumeState) -> bool | None:
    """Whether the volume can be a storage domain; `None` where nothing speaks against it and not all is known."""
    if any(problems(state)):
        return False
    return None if state.client_quorum.met is None else True


# --- what refuses ---------------------------------------------------------------------------------------------------


def problems(state: VolumeState) -> t.Iterator[Finding]:
    """What refuses the volume."""
    name = state.volume.name
    if state.volume.is_disperse:
        yield Finding(
            "disperse",
            f"volume {name} is {state.volume.type}, which is slow and unsafe for images written at random",
            "make a replica 3 volume",
        )
    yield from _option_problems(state)
    if not state.volume.is_started:
        yield Finding("stopped", f"volume {name} is {state.volume.status}", f"gluster volume start {name}")
    else:
        yield from _quorum_problems(state)
    yield from _sector_problems(state)


def _option_problems(state: VolumeState) -> t.Iterator[Finding]:
    name = state.volume.name
    if not state.is_on("features.shard"):
        mend = f"{VIRT_STORE}, before the first image is written"
        yield Finding("sharding_off", f"features.shard of volume {name} is off: a heal locks whole images", mend)
    if not state.is_on("performance.strict-o-direct"):
        words = f"performance.strict-o-direct of volume {name} is off: bricks cache what guests took for written"
        yield Finding("strict_o_direct_off", words, VIRT_STORE)
    if state.is_on("network.remote-dio"):
        words = f"network.remote-dio of volume {name} is on: clients drop O_DIRECT, and bricks cache"
        yield Finding("remote_dio_on", words, VIRT_STORE)
    owner = [state.options.get(f"storage.owner-{kind}", "-1") for kind in ("uid", "gid")]
    if not all(_option_values.integer(one) == OWNER for one in owner):
        words = f"storage.owner-uid and -gid of volume {name} are {' and '.join(owner)}, not {OWNER}"
        yield Finding("owner_not_36", words, VIRT_STORE)
    if not state.is_on("server.allow-insecure"):
        words = f"server.allow-insecure of volume {name} is off: QEMU opens images from unprivileged ports"
        yield Finding("insecure_ports_off", words, VIRT_STORE)


def _quorum_problems(state: VolumeState) -> t.Iterator[Finding]:
    name = state.volume.name
    down = ", ".join(str(found.brick) for found in state.bricks if found.online is False)
    mend = f"bring the bricks back: gluster volume start {name} force, and see gluster peer status"
    if state.client_quorum.met is False and len(state.volume.bricks) == len(state.volume.sets):
        yield Finding("bricks_down", f"volume {name} keeps one copy, and without {down} files are missing", mend)
    elif state.client_quorum.met is False:
        yield Finding("no_quorum", f"volume {name} takes no writes without {down}", mend)
    if state.server_quorum.met is False:
        lost = ", ".join(peer.name for peer in state.peers if not peer.is_connected)
        words = f"server quorum of volume {name} is lost without {lost}: glusterd stops its bricks"
        yield Finding("no_server_quorum", words, "bring the peers back; see gluster peer status")


def _sector_problems(state: VolumeState) -> t.Iterator[Finding]:
    large = [str(found.brick) for found in state.bricks if (found.sector_bytes or 0) > 512]
    if large:
        yield Finding(
            "block_size_4k",
            f"the disks of {', '.join(large)} have sectors of 4096 bytes: QEMU through gfapi with cache none fails on"
            " writes of 512",
            "use disks that take 512 (512e), or run VMs with access: fuse",
        )


# --- what warns -----------------------------------------------------------------------------------------------------


def warnings(state: VolumeState) -> t.Iterator[Finding]:
    """What does not refuse the volume, and should be seen to."""
    yield from _replica_warnings(state)
    yield from _down_warnings(state)
    yield from _quorum_warnings(state)
    yield from _heal_warnings(state)
    name = state.volume.name
    if state.rebalance == "in progress" and state.is_on("features.shard"):
        words = f"a rebalance of volume {name} is running, which has damaged images of volumes that shard"
        yield Finding("rebalance_running", words, f"let it end; see gluster volume rebalance {name} status")
    if state.space and state.space.free_bytes * 100 < state.space.size_bytes * LOW_SPACE_PERCENT:
        words = f"volume {name} has {state.space.free_bytes} of {state.space.size_bytes} bytes left"
        yield Finding("low_space", words, "add bricks, or delete images")


def _replica_warnings(state: VolumeState) -> t.Iterator[Finding]:
    volume = state.volume
    mend = "add bricks up to replica 3 (replica 2 with an arbiter counts)"
    if volume.is_disperse:
        return
    if state.has_thin_arbiter:
        words = f"volume {volume.name} has two copies and a thin arbiter, which oVirt does not know"
        yield Finding("thin_arbiter", words, mend)
    elif volume.replica == 2:
        words = f"volume {volume.name} has two copies: with one host away it stops, or splits"
        yield Finding("replica_2", words, mend)
    elif volume.replica != 3:
        copies = "one copy" if volume.replica == 1 else f"{volume.replica} copies"
        yield Finding("not_replica_3", f"volume {volume.name} has {copies} and not three", mend)


def _down_warnings(state: VolumeState) -> t.Iterator[Finding]:
    lost = [peer.name for peer in state.peers if not peer.is_connected]
    if lost:
        yield Finding("peers_down", f"peers of this host are down: {', '.join(lost)}", "see gluster peer status")
    down = [found.brick for found in state.bricks if found.online is False]
    if not down or not state.volume.is_started or state.client_quorum.met is False:
        return
    alone = [bricks for bricks in state.volume.sets if sum(not (b.is_arbiter or b in down) for b in bricks) == 1]
    words = f"bricks of volume {state.volume.name} are down: {', '.join(map(str, down))}"
    single = "; some images have a single copy left" if alone and state.volume.is_replicate else ""
    yield Finding("bricks_down", words + single, _way_back(state))


def _way_back(state: VolumeState) -> str:
    """How bricks come back. With its default Gluster may not have noted what they missed (seen with 10.3)."""
    name, option = state.volume.name, "cluster.post-op-delay-secs"
    start = f"gluster volume start {name} force"
    if not state.volume.is_replicate or state.options.get(option) == "0":
        return start
    return f"gluster volume set {name} {option} 0, or guests may read what was there before; then {start}"


def _quorum_warnings(state: VolumeState) -> t.Iterator[Finding]:
    name = state.volume.name
    if not state.volume.is_replicate:
        return
    if state.client_quorum.type == "none" or state.client_quorum.wanted in ("0", "1"):
        words = f"volume {name} has no client quorum: two halves of it may be written apart (split-brain)"
        yield Finding("client_quorum_off", words, VIRT_STORE)
    if state.server_quorum.type == "none":
        words = f"volume {name} has no server quorum: hosts cut off from the others go on serving it"
        yield Finding("server_quorum_off", words, VIRT_STORE)


def _heal_warnings(state: VolumeState) -> t.Iterator[Finding]:
    name = state.volume.name
    if state.split_brain:
        words = f"{state.split_brain} entries of volume {name} are in split-brain and cannot be read"
        yield Finding("split_brain", words, f"gluster volume heal {name} info split-brain names them")
    if state.pending:
        words = f"{state.pending} entries of volume {name} wait to be healed: keep every brick up until they are"
        yield Finding("heal_pending", words, f"gluster volume heal {name} info names them")
