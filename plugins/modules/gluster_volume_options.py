# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gluster_volume_options
short_description: Keep options of a Gluster volume
version_added: 0.1.0
description:
  - Sets options of a volume, and only those whose value in force differs from the one asked for.
  - Values are compared by what they mean. V(on), V(enable), V(yes), V(true) and V(1) are the same, so are V(64MB) and
    V(67108864), a short and a full name, and a default and the same value set.
  - All options are set in one transaction, so that a bad one leaves all as they were. The values are read back after.
  - Runs on a storage node, a host whose glusterd is in the volume's pool.
  - Never starts, stops or makes a volume.
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
      - Named sets of options.
      - V(virt_store) is what oVirt's "Optimize for Virt Store" sets. It takes the option group that the volume's type
        calls for from this host's gluster (C(virt) for replicate, C(distributed-virt) for distribute), and adds
        ownership 36:36, strict O_DIRECT, granular entry heal (replicate) and access from unprivileged ports.
    type: list
    elements: str
    choices:
      - virt_store
    default: []
  lock_timeout:
    description:
      - Seconds to go on trying while another transaction holds the volume's lock.
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

- name: What volume vmstore is
  gfapi.virt.gluster_volume_options:
    volume: vmstore
  register: vmstore
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode.
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
      description: Type, in gluster's words.
      type: str
      returned: success
      sample: Replicate
    status:
      description: V(Created) (never started), V(Started) or V(Stopped).
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
"""

import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _volume_options as volume_options
from ansible_collections.gfapi.virt.plugins.module_utils._errors import GlusterError
from ansible_collections.gfapi.virt.plugins.module_utils._gluster import Gluster
from ansible_collections.gfapi.virt.plugins.module_utils._module import Params, run
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Action, Item, Plan
from ansible_collections.gfapi.virt.plugins.module_utils._uri import require_volume_name
from ansible_collections.gfapi.virt.plugins.module_utils._volume import Volume

ARGUMENT_SPEC = {
    "volume": {"type": "str", "required": True},
    "options": {"type": "dict", "default": {}},
    "presets": {"type": "list", "elements": "str", "choices": ["virt_store"], "default": []},
    "lock_timeout": {"type": "int", "default": 60},
}


def desired_options(
    volume: Volume, in_force: dict[str, str], asked: dict[str, object], preset: dict[str, str]
) -> dict[str, str]:
    """Full option name → text, what was asked for by name winning over the preset."""
    known = {*in_force, *preset}
    named = {
        volume_options.full_name(name, known): volume_options.to_text(name, value) for name, value in asked.items()
    }
    if len(named) < len(asked):
        raise ValueError(f"options of volume {volume.name}: the same option is given twice, by its full and short name")
    return {**preset, **named}


def plan_options(gluster: Gluster, volume: Volume, in_force: dict[str, str], desired: dict[str, str]) -> Plan:
    """One transaction for all, and granular-entry-heal apart where the volume was started before."""
    changes = volume_options.differences(desired, in_force)
    before = {name: in_force[name] for name in desired if name in in_force}
    after = {name: value if name in changes else in_force[name] for name, value in desired.items()}
    heal = None if volume.was_never_started else changes.pop(volume_options.GRANULAR_ENTRY_HEAL, None)
    actions = []
    if changes:
        pairs = ", ".join(f"{name}={value}" for name, value in changes.items())
        actions.append(
            Action(f"set {pairs} on volume {volume.name}", lambda: gluster.set_options(volume.name, changes))
        )
    if heal is not None:
        enable = volume_options.is_same(volume_options.GRANULAR_ENTRY_HEAL, heal, "on")
        word = "enable" if enable else "disable"
        actions.append(
            Action(
                f"{word} granular-entry-heal on volume {volume.name}",
                lambda: gluster.set_granular_entry_heal(volume.name, enable=enable),
            )
        )
    return Plan(before, after, tuple(actions))


def facts(volume: Volume, options: t.Mapping[str, str]) -> dict[str, t.Any]:
    """What the module returns about a volume."""
    return {
        "name": volume.name,
        "type": volume.type,
        "status": volume.status,
        "servers": list(volume.servers),
        "options": dict(options),
    }


def read_back(gluster: Gluster, name: str, desired: dict[str, str]) -> dict[str, t.Any]:
    """The volume as it is now. Raises `GlusterError` when an option that was set is not in force."""
    volume, in_force = gluster.volume_and_options(name)
    left = volume_options.differences(desired, in_force)
    if left:
        wrong = ", ".join(f"{key} is {in_force.get(key, 'unset')} instead of {value}" for key, value in left.items())
        raise GlusterError(f"volume {name} took the options but {wrong}")
    return facts(volume, {key: in_force[key] for key in desired})


def make_item(params: Params, gluster: Gluster) -> Item:
    """Parameters → the volume with its plan."""
    name, asked = require_volume_name(params["volume"]), params["options"]
    volume_options.require_names(asked)
    volume, in_force = gluster.volume_and_options(name)
    preset: dict[str, str] = {}
    if params["presets"]:
        group = volume_options.virt_store_group(volume)
        preset = volume_options.virt_store(volume, gluster.group(group) if group else {})
    desired = desired_options(volume, in_force, asked, preset)
    volume_options.require_shards_kept(volume, in_force, desired)
    plan = plan_options(gluster, volume, in_force, desired)
    warnings = tuple(volume_options.warnings_for(volume)) if params["presets"] else ()
    return Item(name, plan, facts(volume, plan.after), lambda: read_back(gluster, name, desired), warnings)


def main() -> None:
    run(
        lambda params: make_item(params, Gluster(lock_timeout_s=params["lock_timeout"])),
        ARGUMENT_SPEC,
        one="volume",
        libraries=["lxml"],
    )


if __name__ == "__main__":
    main()
