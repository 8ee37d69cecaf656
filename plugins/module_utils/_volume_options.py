# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of a volume: names, values in normal form, presets, and what differs. Pure: no I/O.

glusterd stores a value as it was spelled and compares nothing, so `on` beside `enable` is for us to see. Rules of the
spellings: libglusterfs gf_string2boolean, gf_string2int*, gf_string2bytesize, gf_string2time (10.3).
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils._volume import Volume

TRUE_WORDS: t.Final = ("on", "yes", "true", "enable")
FALSE_WORDS: t.Final = ("off", "no", "false", "disable")
SHARD: t.Final = "features.shard"
GRANULAR_ENTRY_HEAL: t.Final = "cluster.granular-entry-heal"
#: oVirt's "Optimize for Virt Store" after the option group, and the access of unprivileged ports that gfapi needs
VIRT_STORE: t.Final = {
    "storage.owner-uid": "36",
    "storage.owner-gid": "36",
    "performance.strict-o-direct": "on",
    "network.remote-dio": "off",
    "server.allow-insecure": "on",
}

_SIZE_UNITS: t.Final = {"": 0, "B": 0, "KB": 10, "MB": 20, "GB": 30, "TB": 40, "PB": 50}
_TIME_UNITS_S: t.Final = {
    **dict.fromkeys(("s", "sec"), 1),
    **dict.fromkeys(("m", "min"), 60),
    **dict.fromkeys(("h", "hr"), 3600),
    **dict.fromkeys(("d", "days"), 86400),
    **dict.fromkeys(("w", "wk"), 604800),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


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


def require_shards_kept(volume: Volume, in_force: t.Mapping[str, str], desired: t.Mapping[str, str]) -> None:
    """Raises `ValueError` where sharding would be turned off on a volume that was in use: images would lose data."""
    before, after = in_force.get(SHARD, "off"), desired.get(SHARD, "on")
    if not volume.was_never_started and is_same(SHARD, before, "on") and not is_same(SHARD, after, "on"):
        raise ValueError(
            f"option {SHARD} of volume {volume.name} is on, and without it every image there loses all but its first"
            " shard; leave it on, or move the images away and make a new volume"
        )


def full_name(name: str, known: t.Collection[str]) -> str:
    """The full name of an option given short (`owner-uid`); a name that is not known stays as it is.

    Raises `ValueError` where the short name fits several options, as gluster does.
    """
    if "." in name:
        return name
    found = sorted(key for key in known if key.endswith(f".{name}"))
    if len(found) > 1:
        raise ValueError(f"option {name!r} is ambiguous: it may be {' or '.join(found)}; give the full name")
    return found[0] if found else name


def is_same(name: str, left: str, right: str) -> bool:
    """Whether two spellings stand for the same value.

    A percentage is not taken for a bare number: where an option takes percent or size, `10` means ten bytes.
    """
    if left == right:
        return True
    if name.startswith("user."):
        return False
    values = [_value(left), _value(right)]
    booleans = [value for value in values if isinstance(value, bool)]
    if len(booleans) == 1:
        # 1 and 0 are booleans beside one
        values = [bool(value) if value in (0, 1) else value for value in values]
    return values[0] == values[1] and isinstance(values[0], bool) == isinstance(values[1], bool)


def _value(text: str) -> bool | float | str:
    """What a spelling stands for: a boolean word, a number of anything (bytes, seconds), or just itself."""
    if text.lower() in TRUE_WORDS:
        return True
    if text.lower() in FALSE_WORDS:
        return False
    for parse in (_integer, _size_bytes, _time_s):
        number = parse(text)
        if number is not None:
            return number
    return text


def _integer(text: str) -> float | None:
    # strtol with base 0: 0x2a is 42 and 036 is 30
    match = re.fullmatch(r"(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", text)
    if match is None:
        return None
    digits = match[2]
    base = 16 if digits[:2].lower() == "0x" else 8 if digits.startswith("0") else 10
    return int(digits, base) * (-1 if match[1] else 1)


def _size_bytes(text: str) -> float | None:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([KMGTP]?B|)", text.upper())
    return None if match is None else float(match[1]) * 2 ** _SIZE_UNITS[match[2]]


def _time_s(text: str) -> float | None:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([a-z]+)", text)
    unit = _TIME_UNITS_S.get(match[2]) if match else None
    return None if match is None or unit is None else float(match[1]) * unit


def virt_store_group(volume: Volume) -> str | None:
    """The option group that suits the volume's type; disperse volumes have none, and glusterd refuses it there."""
    if volume.is_replicate:
        return "virt"
    return None if volume.is_disperse else "distributed-virt"


def virt_store(volume: Volume, group: t.Mapping[str, str]) -> dict[str, str]:
    """The preset: the host's group file, then oVirt's own options; `group` is empty where there is none."""
    healing = {GRANULAR_ENTRY_HEAL: "enable"} if volume.is_replicate else {}
    return {**group, **VIRT_STORE, **healing}


def differences(desired: t.Mapping[str, str], in_force: t.Mapping[str, str]) -> dict[str, str]:
    """The options whose value in force is another one."""
    return {
        name: value
        for name, value in desired.items()
        if name not in in_force or not is_same(name, value, in_force[name])
    }


def warnings_for(volume: Volume) -> list[str]:
    """What makes the volume a poor home for images."""
    if volume.is_disperse:
        return [f"volume {volume.name} is {volume.type}: images need a replicate volume (replica 3)"]
    if volume.replica != 3:
        return [f"volume {volume.name} has replica {volume.replica}: images need replica 3 (an arbiter counts)"]
    return []
