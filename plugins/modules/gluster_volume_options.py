# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gluster_volume_options
short_description: Keep options of a Gluster volume
version_added: 0.1.0
description:
  - Sets and resets options of a volume, or of the whole cluster, and only those whose value in force differs from the
    one asked for.
  - Values are compared by what they mean, by the type that the option has in gluster. V(on), V(enable), V(yes), V(true)
    and V(1) are the same boolean, V(64MB) and V(67108864) the same size, a short name and the full one the same option,
    and a default the same as that value set.
  - A value that the option does not take is refused before anything is asked of gluster, which takes junk for many
    options.
  - All options that are set go in one transaction, so that a bad one leaves all as they were. When a later step fails
    (a reset, granular entry heal, the restart), the old values are put back, and the message says so. The values are
    read back at the end.
  - Options of a volume whose glusterd has too few connected peers (server quorum) are refused by gluster, and the
    message says it. With a peer down and quorum met they are set; the peer takes them over when it comes back.
  - Runs on a storage node, a host whose glusterd is in the volume's pool.
  - Warns of a rebalance that runs while the volume shards, of a storage domain on a volume that does not, and where the
    volume's type is not replicate with three copies.
  - On a stopped volume everything is set but granular entry heal, which gluster enables on a volume that was never
    started, or is started now. A warning and RV(volume.after_start) say so; the next run after the start enables it.
  - Never makes a volume, never starts one that is stopped, and stops a started one only to start it again (O(restart)).
author:
  - gfapi.virt contributors (@gfapi-virt)
extends_documentation_fragment:
  - gfapi.virt._attributes
  - gfapi.virt._attributes.actiongroup_gluster
requirements:
  - gluster command line and a running glusterd
  - lxml
options:
  volume:
    description:
      - Name of the volume.
      - V(all) stands for the cluster, for the options that it has once for all volumes, such as
        C(cluster.server-quorum-ratio).
    type: str
    required: true
  options:
    description:
      - Option name to value, as YAML writes them; V(36), V(true) and V(64MB) need no quotes.
      - Short names such as V(owner-uid) are understood where gluster itself understands them.
      - An option here wins over the same one in O(presets).
      - Each value is sent as text. Blanks are taken out, as glusterd does, save in C(user.*) options.
    type: dict
    default: {}
  presets:
    description:
      - Named sets of options; a later one wins over an earlier one.
      - V(virt_store) is what oVirt's "Optimize for Virt Store" sets. It takes the option group that the volume's type
        calls for from this host's gluster (C(virt) for replicate, C(distributed-virt) for distribute), and adds
        ownership 36:36, strict O_DIRECT, granular entry heal (replicate) and access from unprivileged ports.
      - V(group:NAME) is the option group of that name of this host's gluster, a file in C(/var/lib/glusterd/groups).
        Each of its options is compared, so what a newer package adds to the group shows as a change.
    type: list
    elements: str
    default: []
  reset:
    description:
      - Names of options to reset to what gluster has by default. Those that are not set stay as they are. A name that
        gluster does not know is refused.
      - An option of O(presets) that is named here is reset, not set.
      - Bricks keep the owner that C(storage.owner-uid) and C(storage.owner-gid) gave them; a warning says so. To give
        them another one, set it.
      - A single C(user.*) option cannot be reset; gluster knows no such command.
    type: list
    elements: str
    default: []
  purge:
    description:
      - Resets every option that is set and not asked for by O(options) or O(presets).
      - C(user.*) options stay, and so do those that have commands of their own, such as quota and bitrot.
      - TLS stays (C(client.ssl), C(server.ssl), C(ssl.*), C(auth.ssl-*)), for its clients would be locked out, or
        everybody let in. O(reset) resets it.
    type: bool
    default: false
  restart:
    description:
      - Most options are in force at once. Some only after the volume was stopped and started.
      - V(never) leaves that to you. RV(volume.restart_required) says what for.
      - V(if_required) stops and starts a started volume when an option that is changed needs it, or when the volume's
        bricks on this host still run with an older value of such an option. A volume that is in use is not stopped, and
        then nothing else is changed either. In use means that clients are connected (gluster's own daemons do not
        count), that it is mounted here, or that a virtual machine here has a disk on it. So does a brick that is down
        or out of reach, for it would miss the restart. The message names them. Gluster stops no volume during a
        rebalance, with O(force) neither.
    type: str
    choices: [never, if_required]
    default: never
  force:
    description:
      - With O(restart=if_required), stops and starts the volume although it is in use. Virtual machines on it then see
        input and output errors.
    type: bool
    default: false
  lock_timeout:
    description:
      - Seconds to go on trying while another transaction holds the volume's lock, or while a node that was just added
        is not known everywhere. After that the message says which node holds the lock, where gluster tells.
    type: int
    default: 60
seealso:
  - module: gfapi.virt.glusterfs_domain
  - name: Gluster volume options
    description: Upstream list of options.
    link: https://docs.gluster.org/en/latest/Administrator-Guide/Tuning-Volume-Options/
"""

EXAMPLES = r"""
- name: Volume vmstore is tuned for images
  gfapi.virt.gluster_volume_options:
    volume: vmstore
    presets: [virt_store]

- name: Volume vmstore is tuned for images, with larger shards and more event threads
  gfapi.virt.gluster_volume_options:
    volume: vmstore
    presets: [virt_store]
    options:
      features.shard-block-size: 128MB
      client.event-threads: 8

- name: Files of volume vmstore belong to 36:36
  gfapi.virt.gluster_volume_options:
    volume: vmstore
    options:
      owner-uid: 36
      owner-gid: 36

- name: Volume data is tuned as a database store, but its clients cache as gluster has it by default
  gfapi.virt.gluster_volume_options:
    volume: data
    presets: ["group:db-workload"]
    reset: [performance.io-cache]

- name: Volume vmstore has the preset and nothing else; a note of ours stays
  gfapi.virt.gluster_volume_options:
    volume: vmstore
    presets: [virt_store]
    options:
      user.purpose: images of the test VMs
    purge: true

- name: Volume data is tuned for images, and is stopped and started for what needs it unless somebody uses it
  gfapi.virt.gluster_volume_options:
    volume: data
    presets: [virt_store]
    restart: if_required

- name: Volume data gives up silent clients sooner, and is stopped and started for it whoever uses it
  gfapi.virt.gluster_volume_options:
    volume: data
    options:
      server.tcp-user-timeout: 30
    restart: if_required
    force: true

- name: Bricks go on only while more than two thirds of the nodes are connected
  gfapi.virt.gluster_volume_options:
    volume: all
    options:
      cluster.server-quorum-ratio: 67

- name: What volume vmstore is
  gfapi.virt.gluster_volume_options:
    volume: vmstore
  register: vmstore
"""

RETURN = r"""
actions:
  description:
    - What was done, or would be in check mode. After a failure, what was put back is not in it, and what was done
      halfway and could not be put back is followed by C((in part)).
  returned: always
  type: list
  elements: str
  sample: ["set storage.owner-uid=36, storage.owner-gid=36 on volume vmstore"]
volume:
  description: The volume after the run.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the volume.
      type: str
      returned: success
      sample: vmstore
    type:
      description: Type, in gluster's words; empty for V(all).
      type: str
      returned: success
      sample: Replicate
    status:
      description: V(Created) (never started), V(Started) or V(Stopped); empty for V(all).
      type: str
      returned: success
      sample: Started
    servers:
      description: Every host with a brick, in brick order.
      type: list
      elements: str
      returned: success
      sample: [gluster1, gluster2, gluster3]
    options:
      description: The options asked for, by full name, with the value in force as glusterd spells it.
      type: dict
      returned: success
      sample: {storage.owner-uid: "36", storage.owner-gid: "36"}
    restart_required:
      description:
        - What is not in force yet, and what has to be restarted for it. Empty when all is in force.
        - Options that need a stopped and started volume are told from this run, and from the bricks of this host while
          their logs reach back to their start.
      type: list
      elements: str
      returned: success
      sample: ["option server.ssl is in force after volume vmstore was stopped and started"]
    after_start:
      description:
        - The options asked for that gluster sets on a started volume only, so that they are left as they were while it
          is stopped. Run this again after its start.
        - Only C(cluster.granular-entry-heal) of a volume that was started before is such an option.
      type: list
      elements: str
      returned: success
      sample: [cluster.granular-entry-heal]
"""

import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _bricks,
    _errors,
    _gluster,
    _module,
    _option_table,
    _option_values,
    _plan,
    _uri,
    _volume,
    _volume_change,
    _volume_options,
    _volume_tuning,
    _volume_use,
)

ARGUMENT_SPEC = {
    "volume": {"type": "str", "required": True},
    "options": {"type": "dict", "default": {}},
    "presets": {"type": "list", "elements": "str", "default": []},
    "reset": {"type": "list", "elements": "str", "default": []},
    "purge": {"type": "bool", "default": False},
    "restart": {"type": "str", "choices": ["never", "if_required"], "default": "never"},
    "force": {"type": "bool", "default": False},
    "lock_timeout": {"type": "int", "default": 60},
}


def require_params(params: _module.Params) -> str:
    """The volume's name. Raises `ValueError` for what cannot be, before anything is asked."""
    _volume_options.require_names((*params["options"], *params["reset"]))
    for preset in params["presets"]:
        if preset != _volume_tuning.VIRT_STORE and _volume_options.group_of(preset) is None:
            raise ValueError(f"preset {preset!r} is neither virt_store nor an option group, as in group:virt")
    if params["volume"] != _option_table.EVERY_VOLUME:
        return _uri.require_volume_name(params["volume"])
    if params["presets"]:
        raise ValueError("presets are for one volume; for all of them name the options")
    if any(name.startswith("user.") for name in params["options"]):
        raise ValueError("options user.* are kept for one volume only, not for all; name the volume")
    return _option_table.EVERY_VOLUME


def desired_options(
    table: _option_table.OptionTable, params: _module.Params, preset: t.Mapping[str, str]
) -> dict[str, str]:
    """Full option name → text; what is asked for by name, or to be reset, wins over the preset."""
    asked, resets = params["options"], set(map(table.full_name, params["reset"]))
    full = {name: table.full_name(name) for name in asked}
    if len(set(full.values())) < len(full):
        raise ValueError(
            f"options of volume {params['volume']}: the same option is given twice, by its full and short name"
        )
    sets = {name: _volume_options.to_text(name, value) for name, value in preset.items() if name not in resets}
    return {**sets, **{full[name]: _volume_options.to_text(full[name], value) for name, value in asked.items()}}


def restart_action(gluster: _gluster.Gluster, name: str) -> _plan.Action:
    undo = _plan.Action(f"start volume {name}", lambda: gluster.start(name))
    return _plan.Action(f"stop and start volume {name}", lambda: gluster.restart(name), undo=undo)


def require_unused(gluster: _gluster.Gluster, here: _bricks.VolumeHere, volume: _volume.Volume, *, force: bool) -> None:
    """Raises `ValueError` that names who uses a volume that has to be stopped; no force stops it during a rebalance."""
    if here.rebalances(volume.name):
        raise ValueError(
            f"volume {volume.name} has to be stopped and started, but a rebalance of it is running, under which gluster"
            f" stops no volume; nothing was changed; let it end (gluster volume rebalance {volume.name} status)"
        )
    if force:
        return
    reasons = _volume_use.reasons_not_to_stop(volume, gluster.clients(volume.name), here.use(volume.name))
    if reasons:
        raise ValueError(
            f"volume {volume.name} has to be stopped and started, but {'; '.join(reasons)}; nothing was changed; end"
            " that use first, or restart later (restart: never), or take the volume away from them (force: true)"
        )


def facts(
    change: _volume_change.Change,
    volume: _volume.Volume,
    options: t.Mapping[str, str],
    restart_required: t.Sequence[str],
) -> dict[str, t.Any]:
    """What the module returns about a volume."""
    return {
        "name": volume.name,
        "type": volume.type,
        "status": volume.status,
        "servers": list(volume.servers),
        "options": dict(options),
        "restart_required": list(restart_required),
        "after_start": list(change.after_start),
    }


def require_as_planned(found: _gluster.Found, left: _volume_change.Change, desired: t.Mapping[str, str]) -> None:
    """Raises `GlusterError` when an option is not what it was made."""
    if left.names:
        wrong = [
            f"{name} is {found.in_force.get(name, 'unset')} instead of {desired.get(name, 'reset')}"
            for name in left.names
        ]
        raise _errors.GlusterError(
            f"volume {found.volume.name} took the options but {', '.join(wrong)}; does somebody else change them?"
        )


def read_back(
    gluster: _gluster.Gluster,
    table: _option_table.OptionTable,
    change: _volume_change.Change,
    desired: t.Mapping[str, str],
    reasons: t.Sequence[str],
) -> dict[str, t.Any]:
    """The volume as it is after the actions."""
    found = gluster.volume_and_options(change.volume.name)
    resets = table.to_reset(found.volume, asked=change.resets, kept=desired, purge=False)
    require_as_planned(found, _volume_tuning.change_of(table, found, desired, resets), desired)
    in_force = {name: found.in_force.get(name, text) for name, text in desired.items()}
    return facts(change, found.volume, in_force, reasons)


def planned_change(
    table: _option_table.OptionTable, found: _gluster.Found, params: _module.Params, desired: t.Mapping[str, str]
) -> _volume_change.Change:
    """What differs. Raises `ValueError` for what gluster would refuse, and for what it takes and should not."""
    volume = found.volume
    table.require_scope((*desired, *map(table.full_name, params["reset"])), volume=volume.name)
    table.require_known(map(table.full_name, params["reset"]), found.in_force)
    resets = table.to_reset(volume, asked=params["reset"], kept=desired, purge=params["purge"])
    change = _volume_tuning.change_of(table, found, desired, resets)
    for name, text in change.sets.items():
        table.require_valid(name, text)
    _volume_options.require_suited(
        volume, tuple(change.sets), _option_values.integer(change.sets.get("cluster.quorum-count", ""))
    )
    _volume_change.require_healed_by_entries(change)
    _volume_change.require_stopped(table, change)
    after = {name: text or "" for name, text in table.after_reset(volume, resets).items()}
    _volume_options.require_shards_kept(volume, found.in_force, {**desired, **after})
    return change


def make_item(params: _module.Params, gluster: _gluster.Gluster, here: _bricks.VolumeHere) -> _plan.Item:
    """Parameters → the volume with its plan."""
    name = require_params(params)
    found = gluster.volume_and_options(name)
    volume, in_force, table = found.volume, found.in_force, _option_table.table_for(found.op_version)
    desired = desired_options(table, params, _volume_tuning.preset_options(gluster, volume, params["presets"]))
    change = _volume_tuning.with_roots(planned_change(table, found, params, desired), gluster, here)
    left = _volume_change.left_in_bricks(table, here.left_behind(name) if volume.is_started else {})
    reasons = _volume_change.volume_restart_reasons(table, change, left)
    restart = params["restart"] == "if_required" and bool(reasons)
    if restart:
        require_unused(gluster, here, volume, force=params["force"])
    pending = [*([] if restart else reasons), *_volume_change.other_restart_reasons(table, change)]
    plan = _plan.Plan(
        {option: in_force[option] for option in change.names if option in in_force},
        {**{option: desired[option] for option in change.names if option in desired}, **reset_to(table, change)},
        (
            *_volume_tuning.option_actions(gluster, table, change, in_force),
            *([restart_action(gluster, name)] if restart else []),
        ),
    )
    options = {option: text if option in plan.after else in_force.get(option, text) for option, text in desired.items()}
    warnings = (
        *([] if name == _option_table.EVERY_VOLUME else _volume_options.warnings_for(volume)),
        *(
            []
            if name == _option_table.EVERY_VOLUME
            else sharding_warnings(gluster, here, volume, {**in_force, **plan.after})
        ),
        *table.warnings(change.names),
        *_volume_change.start_warnings(change),
        *_volume_change.owner_warnings(change),
    )
    predicted = facts(change, volume, options, pending)
    return _plan.Item(name, plan, predicted, lambda: read_back(gluster, table, change, desired, pending), warnings)


def sharding_warnings(
    gluster: _gluster.Gluster, here: _bricks.VolumeHere, volume: _volume.Volume, options: t.Mapping[str, str]
) -> list[str]:
    """What endangers images, by whether the volume will shard; as far as this host's bricks and processes tell."""
    if _option_values.is_true(options.get(_option_table.SHARD, "off")):
        if volume.is_started and len(volume.sets) > 1 and here.rebalances(volume.name):
            return [
                f"a rebalance of volume {volume.name} is running, which has damaged images of volumes that shard; let"
                f" it end (gluster volume rebalance {volume.name} status)"
            ]
        return []
    found = here.storage_domains(volume, "", gluster.own_uuid())
    words = f"volume {volume.name} does not shard and holds storage domain"
    return [f"{words} {uuid}: an image is healed as a whole, and no larger than a brick" for uuid in found or ()]


def reset_to(table: _option_table.OptionTable, change: _volume_change.Change) -> dict[str, str]:
    """Option → what it is after its reset, where that is known."""
    return {name: text for name, text in table.after_reset(change.volume, change.resets).items() if text is not None}


def main() -> None:
    _module.run(
        lambda params: make_item(params, _gluster.Gluster(lock_timeout_s=params["lock_timeout"]), _bricks.VolumeHere()),
        ARGUMENT_SPEC,
        one="volume",
        libraries=["lxml"],
    )


if __name__ == "__main__":
    main()
