# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of a volume as a user names them: values out of YAML, presets, what a volume must keep. Pure: no I/O."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _option_table, _option_values, _volume

#: oVirt's "Optimize for Virt Store" after the option group, and the access of unprivileged ports that gfapi needs
VIRT_STORE: t.Final = {
    "storage.owner-uid": "36",
    "storage.owner-gid": "36",
    "performance.strict-o-direct": "on",
    "network.remote-dio": "off",
    "server.allow-insecure": "on",
}
#: what gluster sets on volumes of one kind only (10.3)
KINDS: t.Final = {
    "replicate": (
        *("cluster.data-self-heal", "cluster.metadata-self-heal", "cluster.entry-self-heal"),
        *("cluster.self-heal-daemon", "cluster.shd-max-threads"),
    ),
    "disperse": ("cluster.disperse-self-heal-daemon", "disperse.shd-max-threads", "disperse.quorum-count"),
    "distribute": ("cluster.lock-migration",),
}
#: what has a command of its own, and is no option to gluster
COMMANDS: t.Final = {
    **{f"features.{name}": name for name in ("quota", "inode-quota", "bitrot")},
    **{f"features.{name}": "bitrot" for name in ("scrub", "scrub-freq", "scrub-throttle")},
}
GROUP_PREFIX: t.Final = "group:"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def group_of(preset: str) -> str | None:
    """The option group that a preset `group:NAME` names; None for another preset."""
    if not preset.startswith(GROUP_PREFIX):
        return None
    name = preset[len(GROUP_PREFIX) :]
    if not _NAME.fullmatch(name):
        raise ValueError(f"preset {preset!r}: {name!r} is not the name of an option group, as in group:virt")
    return name


def to_text(name: str, value: object) -> str:
    """A value as YAML gave it (36, true, 64MB) as gluster's command line takes it.

    glusterd drops blanks from every value but those of `user.*` keys; a control character or a newline would corrupt
    the volume's store file, so it raises `ValueError`.
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if not isinstance(value, (str, int, float)):
        raise ValueError(f"option {name}: {value!r} is not a text, number or boolean")
    text = str(value)
    if not text.isprintable():
        raise ValueError(f"option {name}: {text!r} holds a control character, which corrupts gluster's files")
    kept = text if name.startswith("user.") else "".join(text.split())
    if not kept.strip():
        raise ValueError(f"option {name}: the value is empty; name the value that you want")
    if kept.startswith("--"):
        raise ValueError(f"option {name}: {kept!r} starts with '--', which gluster takes for a word of its own")
    return kept


def require_names(options: t.Iterable[str]) -> None:
    """Raises `ValueError` for a key that cannot be an option's name."""
    for name in options:
        if name == "group":
            raise ValueError("option 'group' is a set of options; use presets: [virt_store], or name the options")
        if not _NAME.fullmatch(name):
            raise ValueError(f"option {name!r} is not an option's name, as in storage.owner-uid")


def require_shards_kept(volume: _volume.Volume, in_force: t.Mapping[str, str], desired: t.Mapping[str, str]) -> None:
    """Raises `ValueError` where sharding would be turned off on a volume that was in use: images would lose data."""
    before, after = in_force.get(_option_table.SHARD, "off"), desired.get(_option_table.SHARD, "on")
    if not volume.was_never_started and _option_values.is_true(before) and not _option_values.is_true(after):
        raise ValueError(
            f"option {_option_table.SHARD} of volume {volume.name} is on,"
            " and without it every image there loses all but its first shard;"
            " leave it on, or move the images away and make a new volume"
        )


def require_suited(volume: _volume.Volume, names: t.Collection[str], count: int | None) -> None:
    """Raises `ValueError` for what gluster does not set on such a volume; `count` is the client quorum's."""
    for kind, suits in KINDS.items():
        wrong = [name for name in names if name in suits] if kind != _kind(volume) else []
        if wrong:
            raise ValueError(
                f"option {wrong[0]} is for {kind} volumes, and volume {volume.name} is {volume.type}; leave it out"
                " (of the option groups, preset virt_store takes the one that suits the volume)"
            )
    for name in names:
        if name in COMMANDS:
            command = f"gluster volume {COMMANDS[name]} {volume.name}"
            raise ValueError(f"option {name} is not set as an option; use {command}")
    if count is not None and count > volume.replica:
        raise ValueError(
            f"option cluster.quorum-count: {count} is out of range [1 - {volume.replica}], the copies that volume"
            f" {volume.name} has"
        )


def _kind(volume: _volume.Volume) -> str:
    return "replicate" if volume.is_replicate else "disperse" if volume.is_disperse else "distribute"


def virt_store_group(volume: _volume.Volume) -> str | None:
    """The option group that suits the volume's type; disperse volumes have none, and glusterd refuses it there."""
    if volume.is_replicate:
        return "virt"
    return None if volume.is_disperse else "distributed-virt"


def virt_store(volume: _volume.Volume, group: t.Mapping[str, str]) -> dict[str, str]:
    """The preset: the host's group file, then oVirt's own options; `group` is empty where there is none."""
    healing = {_option_table.GRANULAR_ENTRY_HEAL: "enable"} if volume.is_replicate else {}
    return {**group, **VIRT_STORE, **healing}


def warnings_for(volume: _volume.Volume) -> list[str]:
    """What makes the volume a poor home for images."""
    if volume.is_disperse:
        return [f"volume {volume.name} is {volume.type}: images need a replicate volume (replica 3)"]
    if volume.replica != 3:
        return [f"volume {volume.name} has replica {volume.replica}: images need replica 3 (an arbiter counts)"]
    return []
