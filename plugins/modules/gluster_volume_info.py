# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gluster_volume_info
short_description: Read Gluster volumes, and how fit each is as a storage domain
version_added: 0.2.0
description:
  - Tells type, bricks, options, quorum, what is to be healed, space and clients of volumes, and which peers are down.
  - Judges for each volume whether it can be a storage domain, with reasons that have a code, a message and a mend.
  - Gives what M(gfapi.virt.glusterfs_domain) takes as O(gfapi.virt.glusterfs_domain#module:spec) and
    O(gfapi.virt.glusterfs_domain#module:mount_options).
  - Runs on a storage node, a host whose glusterd is in the pool. On other hosts O(remote_host) serves.
  - What cannot be known is none, never a guess.
  - Starts a gluster process for peers and volumes, one for options and one for the state of all volumes, and one for
    each started volume that heals (replicate and disperse).
author:
  - gfapi.virt contributors (@gfapi-virt)
extends_documentation_fragment:
  - gfapi.virt._attributes.info
  - gfapi.virt._attributes.actiongroup_gluster
requirements:
  - gluster command line
  - lxml
options:
  names:
    description:
      - Volumes to read; all of them if left out. One that does not exist is left out of the result.
    type: list
    elements: str
  options:
    description:
      - V(set) returns the options that were set on a volume, as they are spelled there.
      - V(in_force) returns every option, over three hundred for each volume, with defaults.
    type: str
    choices: [set, in_force]
    default: set
  remote_host:
    description:
      - A storage node to ask, from a host without glusterd.
      - glusterd tells others only what C(gluster volume info) prints, so peers, state of the bricks, quorum, heal,
        space and clients are none then, and RV(volumes[].eligible_for_storage_domain) is V(false) or none.
    type: str
  timeout:
    description:
      - Seconds that the peers have to tell how their bricks are, and again as many for what is to be healed.
      - A peer that is down costs no time. One that hangs without having closed its connections does, and glusterd may
        refuse other transactions on the volume for minutes then.
      - What is to be healed is counted entry by entry, about 300 in a second.
      - What did not come in time is none, with a warning. What this host knows by itself is there.
    type: int
    default: 60
seealso:
  - module: gfapi.virt.gluster_volume_options
  - module: gfapi.virt.glusterfs_domain
  - name: Gluster command line
    description: Upstream reference of gluster volume status and gluster volume heal.
    link: https://docs.gluster.org/en/latest/CLI-Reference/cli-main/
"""

EXAMPLES = r"""
- name: What the pool has
  gfapi.virt.gluster_volume_info:
  register: gluster

- name: Volumes that can be a storage domain
  ansible.builtin.debug:
    msg: "{{ gluster.volumes | selectattr('eligible_for_storage_domain', 'eq', true) | map(attribute='spec') }}"

- name: Volume vmstore can be a storage domain
  ansible.builtin.assert:
    that: "'vmstore' in gluster.volumes | selectattr('eligible_for_storage_domain', 'eq', true) | map(attribute='name')"

- name: What a hypervisor learns of volume vmstore from a storage node
  gfapi.virt.gluster_volume_info:
    names: [vmstore]
    remote_host: gluster1
  register: vmstore

- name: Storage domain vms is active on volume vmstore
  gfapi.virt.glusterfs_domain:
    name: vms
    spec: "{{ vmstore.volumes[0].spec }}"
    mount_options: "{{ vmstore.volumes[0].mount_options }}"
"""

RETURN = r"""
peers:
  description:
    - The hosts of the pool, this one last. None with O(remote_host).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name that gluster has for the host.
      type: str
      returned: success
      sample: gluster2
    uuid:
      description: UUID of the peer.
      type: str
      returned: success
      sample: 550724e3-73c3-4603-b1ec-16f01cac28ce
    connected:
      description: Whether its glusterd is connected to that of this host, and does not hang.
      type: bool
      returned: success
    local:
      description: Whether it is this host.
      type: bool
      returned: success
volumes:
  description: The volumes, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the volume.
      type: str
      returned: success
      sample: vmstore
    uuid:
      description: UUID of the volume.
      type: str
      returned: success
      sample: c1c344c6-cf20-42eb-b1f4-d657ae8c7b80
    type:
      description: Type, in gluster's words.
      type: str
      returned: success
      sample: Replicate
    status:
      description: V(Created) (never started), V(Started) or V(Stopped).
      type: str
      returned: success
      sample: Started
    replica:
      description: Copies of a file, an arbiter's included; 1 where there is one.
      type: int
      returned: success
      sample: 3
    arbiter:
      description: Whether one brick of each set is an arbiter, which holds no data.
      type: bool
      returned: success
    thin_arbiter:
      description: Whether the volume has a thin arbiter. None with O(remote_host).
      type: bool
      returned: success
    disperse:
      description: Bricks of a dispersed set, 0 for other types.
      type: int
      returned: success
      sample: 0
    redundancy:
      description: Bricks of a dispersed set that may be missing.
      type: int
      returned: success
      sample: 0
    transport:
      description: V(tcp), V(rdma) or V(tcp,rdma).
      type: str
      returned: success
      sample: tcp
    servers:
      description: Every host with a brick, in brick order.
      type: list
      elements: str
      returned: success
      sample: [gluster1, gluster2, gluster3]
    spec:
      description: What to mount, through the first server. It stays the same when that one is down.
      type: str
      returned: success
      sample: gluster1:/vmstore
    mount_options:
      description: Options for the mount that name the other servers.
      type: list
      elements: str
      returned: success
      sample: ["backup-volfile-servers=gluster2:gluster3"]
    bricks:
      description:
        - The bricks, in gluster's order.
        - C(online) is none where nobody could tell. A brick whose host's glusterd is down is not online, for no new
          client reaches it.
        - C(free_bytes) is what root finds free. C(available_bytes) is what others find, without what the file system
          keeps back. C(block_bytes) is of the file system. C(sector_bytes) is the least that the disk reads or writes.
          C(available_bytes) and C(sector_bytes) are known of the bricks of this host.
        - C(heal_pending) and C(split_brain) are the entries that this brick lists.
      type: list
      elements: dict
      returned: success
      sample:
        - host: gluster1
          path: /bricks/vmstore
          arbiter: false
          online: true
          pid: 442
          port: 54953
          size_bytes: 270553174016
          free_bytes: 235689115648
          available_bytes: 235689115648
          device: /dev/vda
          filesystem: xfs
          block_bytes: 4096
          sector_bytes: 512
          heal_pending: 0
          split_brain: 0
    options:
      description: Options, as O(options) says.
      type: dict
      returned: success
      sample: {storage.owner-uid: "36", storage.owner-gid: "36", features.shard: "on"}
    quorum:
      description:
        - C(client) is what clients want of each replica set. C(type) is V(none), V(auto), V(fixed), or none where the
          volume does not replicate. C(count) goes with V(fixed). C(met) tells whether every file can be written.
        - C(server) is what glusterd wants of the pool. C(type) is V(none) or V(server), C(ratio) is in percent.
      type: dict
      returned: success
      sample:
        client: {type: auto, count: null, met: true}
        server: {type: server, ratio: "51", met: true}
    heal:
      description:
        - Entries that wait to be healed, and that are in split-brain, so far as bricks that are up tell.
        - None for volumes that do not heal or are not started, and where it could not be told.
      type: dict
      returned: success
      sample: {pending: 0, split_brain: 0}
    space:
      description:
        - Size, and free space as a client finds it. The smallest brick of each set counts, less what
          C(storage.reserve) keeps back. What the file systems of other hosts' bricks keep back is not known.
        - None for a volume that is not started or has a set with no brick up.
      type: dict
      returned: success
      sample: {size_bytes: 270553174016, free_bytes: 232983583907}
    clients:
      description:
        - Hosts that have the volume open, by address, with the number of processes (a mount or a VM each). Gluster's
          own daemons are left out.
        - None where it could not be told, as for a volume that is not started.
      type: list
      elements: dict
      returned: success
      sample: [{host: 192.0.2.11, processes: 2}]
    rebalance:
      description: State of the last rebalance or removal of bricks, in gluster's words. None where there was none.
      type: str
      returned: success
      sample: completed
    eligible_for_storage_domain:
      description:
        - Whether the volume can be a storage domain. It is V(false) if there is any of RV(volumes[].problems), and
          none where there is none and not all could be known.
      type: bool
      returned: success
    problems:
      description:
        - What refuses the volume. A C(code) stays the same over releases.
        - V(disperse), V(sharding_off), V(strict_o_direct_off), V(remote_dio_on) are refused by oVirt's engine too.
        - V(owner_not_36), V(insecure_ports_off), V(block_size_4k) keep QEMU from opening or writing images.
        - V(stopped), V(no_quorum), V(no_server_quorum), V(bricks_down) (of a volume with one copy) keep images away.
      type: list
      elements: dict
      returned: success
      sample:
        - code: stopped
          message: volume vmstore is Stopped
          mend: gluster volume start vmstore
    warnings:
      description:
        - What does not refuse the volume and should be seen to. The form is that of RV(volumes[].problems).
        - V(not_replica_3), V(replica_2), V(thin_arbiter), V(peers_down), V(bricks_down), V(client_quorum_off),
          V(server_quorum_off), V(heal_pending), V(split_brain), V(rebalance_running), V(low_space).
      type: list
      elements: dict
      returned: success
      sample: []
"""

import time
import typing as t
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _brick_disks,
    _eligibility,
    _errors,
    _gluster,
    _module,
    _mount_options,
    _uri,
    _volume,
    _volume_state,
)

ARGUMENT_SPEC = {
    "names": {"type": "list", "elements": "str"},
    "options": {"type": "str", "choices": ["set", "in_force"], "default": "set"},
    "remote_host": {"type": "str"},
    "timeout": {"type": "int", "default": 60},
}


class Reader:
    """Asks glusterd and this host, and keeps what did not answer."""

    def __init__(self, gluster: _gluster.Gluster, disks: _brick_disks.BrickDisks, timeout_s: float) -> None:
        self.gluster, self.disks, self.timeout_s = gluster, disks, timeout_s
        self.warnings: list[str] = []

    def options(self, volumes: t.Sequence[_volume.Volume]) -> dict[str, dict[str, str]]:
        """Every option in force on each volume."""
        names = [volume.name for volume in volumes]
        return dict(zip(names, self.gluster.options_in_force(names) if names else []))

    def addresses(self, peers: t.Sequence[_volume_state.Peer], local: str) -> dict[str, str]:
        """Address → uuid of the peer that has it."""
        uuids = {_volume_state.LOCALHOST: local, **{peer.name: peer.uuid for peer in peers}}
        return {address: uuids[host] for address, host in self.disks.addresses(uuids).items()}

    def status(self, volumes: t.Sequence[_volume.Volume]) -> dict[str, _volume_state.Status] | None:
        """The state of each volume; `None` where a peer hangs."""
        try:
            found = self.gluster.status(volumes, timeout_s=self.timeout_s) if volumes else []
        except _errors.GlusterError as exc:
            self.warnings.append(str(exc))
            return None
        return {volume.name: status for volume, status in zip(volumes, found)}

    def without_silent(self, peers: t.Sequence[_volume_state.Peer], local: str) -> tuple[_volume_state.Peer, ...]:
        """The peers, those that hang as not connected."""
        asked = [peer for peer in peers if peer.is_connected and peer.uuid != local]
        silent = [peer for peer in asked if not self.gluster.answers(peer.name)]
        for peer in silent:
            words = f"glusterd of peer {peer.name} does not answer, though its connection stands"
            self.warnings.append(f"{words}; look at that host, and start glusterd there again")
        return tuple(replace(peer, is_connected=False) if peer in silent else peer for peer in peers)

    def heal(self, volumes: t.Sequence[_volume.Volume]) -> dict[str, dict[str, _volume_state.Heal]]:
        """What each brick of each volume says is to be healed."""
        found = {}
        deadline = time.monotonic() + self.timeout_s
        for volume in volumes:
            try:
                found[volume.name] = self.gluster.heal(volume.name, timeout_s=max(deadline - time.monotonic(), 1))
            except _errors.GlusterError as exc:
                self.warnings.append(str(exc))
        return found

    def with_disks(
        self, states: t.Sequence[_volume_state.BrickState], local: str
    ) -> tuple[_volume_state.BrickState, ...]:
        """The bricks of this host with what only this host knows; `local` is the uuid of its peer."""
        ours = [state for state in states if state.brick.peer == local and state.device]
        available = self.disks.available_bytes([state.brick.path for state in ours])
        known = {
            state.brick: replace(
                state,
                available_bytes=available.get(state.brick.path),
                sector_bytes=self.disks.sector_bytes(state.device or ""),
            )
            for state in ours
        }
        return tuple(known.get(state.brick, state) for state in states)


def local_uuid(peers: t.Sequence[_volume_state.Peer]) -> str:
    return next((peer.uuid for peer in peers if peer.name == _volume_state.LOCALHOST), "")


def named(peers: t.Sequence[_volume_state.Peer], volumes: t.Sequence[_volume.Volume]) -> tuple[_volume_state.Peer, ...]:
    """The peers, this host under the name that its bricks have, if there are any."""
    names = {brick.peer: brick.host for volume in volumes for brick in volume.bricks}
    return tuple(
        replace(peer, name=names.get(peer.uuid, _volume_state.LOCALHOST))
        if peer.name == _volume_state.LOCALHOST
        else peer
        for peer in peers
    )


def state_of(
    volume: _volume.Volume,
    options: t.Mapping[str, str],
    peers: t.Sequence[_volume_state.Peer],
    bricks: tuple[_volume_state.BrickState, ...],
    status: _volume_state.Status | None,
) -> _eligibility.VolumeState:
    """What a volume is judged by."""
    pending, split_brain = _volume_state.heal_sums(volume, bricks) or (None, None)
    return _eligibility.VolumeState(
        volume,
        options,
        bricks,
        tuple(peers),
        client_quorum=_volume_state.client_quorum(volume, options, bricks),
        server_quorum=_volume_state.server_quorum(options, peers),
        pending=pending,
        split_brain=split_brain,
        space=_volume_state.space_of(volume, bricks, options.get("storage.reserve", "1")),
        rebalance=status.rebalance if status else None,
    )


def facts(
    state: _eligibility.VolumeState, options: t.Mapping[str, str], clients: t.Sequence[_volume_state.Client] | None
) -> _module.Result:
    """A volume as the module returns it."""
    volume, client, server = state.volume, state.client_quorum, state.server_quorum
    spec = _uri.VolumeSpec(volume.servers, volume.name)
    healing = None if state.pending is None else {"pending": state.pending, "split_brain": state.split_brain}
    return {
        "name": volume.name,
        "uuid": volume.uuid,
        "type": volume.type,
        "status": volume.status,
        "replica": volume.replica,
        "arbiter": any(brick.is_arbiter for brick in volume.bricks),
        "thin_arbiter": state.has_thin_arbiter,
        "disperse": volume.disperse,
        "redundancy": volume.redundancy,
        "transport": volume.transport,
        "servers": list(volume.servers),
        "spec": str(spec),
        "mount_options": _mount_options.mount_options(spec, []),
        "bricks": [brick_facts(brick) for brick in state.bricks],
        "options": dict(options),
        "quorum": {
            "client": {"type": client.type, "count": client.wanted, "met": client.met},
            "server": {"type": server.type, "ratio": server.wanted, "met": server.met},
        },
        "heal": healing,
        "space": state.space and vars(state.space),
        "clients": None if clients is None else [vars(found) for found in clients],
        "rebalance": state.rebalance,
        "eligible_for_storage_domain": _eligibility.eligible(state),
        "problems": [vars(found) for found in _eligibility.problems(state)],
        "warnings": [vars(found) for found in _eligibility.warnings(state)],
    }


def brick_facts(state: _volume_state.BrickState) -> _module.Result:
    values = {name: value for name, value in vars(state).items() if name not in ("brick", "heal")}
    return {
        "host": state.brick.host,
        "path": state.brick.path,
        "arbiter": state.brick.is_arbiter,
        **values,
        "heal_pending": state.heal.pending if state.heal else None,
        "split_brain": state.heal.split_brain if state.heal else None,
    }


def asked_for(params: _module.Params, volumes: t.Sequence[_volume.Volume]) -> list[_volume.Volume]:
    return [volume for volume in volumes if params["names"] is None or volume.name in params["names"]]


def read_remote(params: _module.Params, gluster: _gluster.Gluster) -> _module.Result:
    """The volumes as another host's glusterd tells them."""
    if params["options"] == "in_force":
        raise ValueError("options: glusterd tells remote_host only those that were set; leave options at 'set'")
    _peers, volumes = gluster.pool_and_volumes(remote_host=_uri.parse_host(params["remote_host"]))
    states = (
        _eligibility.VolumeState(volume, volume.options, tuple(map(_volume_state.BrickState, volume.bricks)))
        for volume in asked_for(params, volumes)
    )
    return {"peers": None, "volumes": [facts(state, state.options, None) for state in states]}


def read(params: _module.Params, reader: Reader) -> _module.Result:
    """The peers, and the volumes asked for."""
    found, everything = reader.gluster.pool_and_volumes()
    peers, local = named(found, everything), local_uuid(found)
    volumes = asked_for(params, everything)
    in_force = reader.options(volumes)
    started = [volume for volume in volumes if volume.is_started]
    status = reader.status(started)
    if status is None:
        status, peers = {}, reader.without_silent(peers, local)
    heal = reader.heal([volume for volume in started if volume.is_replicate or volume.is_disperse])
    addresses = reader.addresses(peers, local)
    results = []
    for volume in volumes:
        options, its = {**in_force[volume.name], **volume.options}, status.get(volume.name)
        bricks = _volume_state.brick_states(volume, peers, its, heal.get(volume.name, {}))
        state = state_of(volume, options, peers, reader.with_disks(bricks, local), its)
        state = replace(state, has_thin_arbiter=reader.gluster.has_thin_arbiter(volume.name))
        shown = options if params["options"] == "in_force" else volume.options
        results.append(facts(state, shown, _volume_state.clients_from(its, addresses)))
    return {
        "peers": [
            {"name": peer.name, "uuid": peer.uuid, "connected": peer.is_connected, "local": peer.uuid == local}
            for peer in peers
        ],
        "volumes": results,
        "warnings": reader.warnings,
    }


def run(params: _module.Params) -> _module.Result:
    """The volumes, asked here or of another host."""
    if params["remote_host"]:
        return read_remote(params, _gluster.Gluster())
    return read(params, Reader(_gluster.Gluster(), _brick_disks.BrickDisks(), params["timeout"]))


def main() -> None:
    _module.run_info(run, ARGUMENT_SPEC, libraries=["lxml"])


if __name__ == "__main__":
    main()
