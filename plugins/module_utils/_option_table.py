# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that a version of gluster has: names, types, defaults, and what differs. Pure: no I/O.

The tables are recorded from gluster itself. glusterd stores a value as it was spelled and compares nothing, so `on`
beside `enable` is for us to see; and it checks only what a translator in the volume's graph takes, so a value is
checked here before it is sent.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _option_values, _volume

SHARD: t.Final = "features.shard"
SHARD_SIZE: t.Final = "features.shard-block-size"
GRANULAR_ENTRY_HEAL: t.Final = "cluster.granular-entry-heal"
CLIENT_IO_THREADS: t.Final = "performance.client-io-threads"
#: what `volume:` names to mean the options of the whole cluster
EVERY_VOLUME: t.Final = "all"

#: glusterd sets these when it makes a volume, and all but CLIENT_IO_THREADS again when they are reset (10.3, 11.1), but
#: GRANULAR_ENTRY_HEAL only before the first start (10.3)
_AT_CREATION: t.Final = {"nfs.disable": "on", "storage.fips-mode-rchecksum": "on"}
_AT_CREATION_REPLICATE: t.Final = {GRANULAR_ENTRY_HEAL: "on", CLIENT_IO_THREADS: "off"}
_FROM_FAMILY: t.Final = "transport.address-family"
#: TLS of a volume, with `ssl.*` and `auth.ssl-*`: it goes on and off together with every client and all nodes
_ENCRYPTION: t.Final = ("client.ssl", "server.ssl")


@dataclass(frozen=True)
class Option:
    """An option as gluster's own tables have it; bounds are in the unit that the type counts in."""

    name: str
    type: str
    minimum: int | None
    maximum: int | None
    #: what an enum takes
    words: tuple[str, ...]
    default: str | None
    #: when a change is in force: `live`, or after clients have mounted again (`mount`), or the volume was stopped and
    #: started (`volume`); `stopped`: glusterd refuses it while the volume is started
    applies: str
    #: set through one volume, it changes every volume
    every_volume: bool
    #: an option of the cluster, set for `all` and never for one volume
    cluster_wide: bool
    #: gluster resets it with `force` only, or never: other commands (quota, bitrot, geo-replication) set it
    reset: str
    #: where applies is `volume`: the translator, and mostly the key, that have it in a brick's volfile
    volfile: str

    @property
    def takes(self) -> str:
        """What a value may be, in words."""
        if self.type == "enum":
            return " or ".join(self.words)
        bounds = {"from": self.minimum, "to": self.maximum}
        return " ".join(
            [
                _option_values.TAKES[self.type],
                *(f"{word} {bound}" for word, bound in bounds.items() if bound is not None),
            ]
        )

    def read(self, text: str) -> object:
        """What a spelling stands for; None where it is no value of this type."""
        return _option_values.READERS[self.type](text)

    def is_valid(self, text: str) -> bool:
        value = self.read(text)
        if self.type == "enum":
            return text in self.words
        if self.type == "percent" or (self.type == "percent_or_size" and text.endswith("%")):
            number = value[1] if isinstance(value, tuple) else value
            return isinstance(number, float) and 0 <= number <= 100
        number = value[1] if isinstance(value, tuple) else value
        return value is not None and (not isinstance(number, (int, float)) or self._is_within(number))

    def _is_within(self, number: float) -> bool:
        return not (
            (self.minimum is not None and number < self.minimum) or (self.maximum is not None and number > self.maximum)
        )


def _option(line: str) -> Option:
    fields = (line.split("|") + [""] * 9)[:9]
    name, kind, minimum, maximum, words, default, applies, flags, volfile = fields
    return Option(
        name,
        kind,
        int(minimum) if minimum else None,
        int(maximum) if maximum else None,
        tuple(words.split()),
        default or None,
        applies or "live",
        every_volume="every" in flags,
        cluster_wide="all" in flags,
        reset=next((word for word in ("forced", "never") if word in flags), ""),
        volfile=volfile,
    )


class OptionTable:
    """Every option that one version of gluster has."""

    def __init__(self, version: str, lines: str) -> None:
        self.version = version
        self._lines = {line.partition("|")[0]: line for line in lines.strip().split("\n")}

    def __contains__(self, full_name: object) -> bool:
        return full_name in self._lines

    def __iter__(self) -> t.Iterator[str]:
        return iter(self._lines)

    def get(self, full_name: str) -> Option | None:
        """None for an option that this version does not have."""
        line = self._lines.get(full_name)
        return _option(line) if line else None

    def default_of(self, full_name: str) -> str | None:
        option = self.get(full_name)
        return option.default if option else None

    def full_name(self, name: str) -> str:
        """The full name of an option given short (`owner-uid`); a name that is not known stays as it is.

        Raises `ValueError` where the short name fits several options, as gluster does.
        """
        return full_name(name, self._lines)

    def is_same(self, full_name: str, left: str, right: str) -> bool:
        """Whether two spellings stand for the same value; of an option that is not known, only the same text does."""
        option = self.get(full_name)
        if left == right or option is None:
            return left == right
        value = option.read(left)
        return value is not None and value == option.read(right)

    def spelled(self, full_name: str, text: str) -> str:
        """A value as the option takes it: an enum that has `enable` and no `on` gets `enable` where YAML had `true`."""
        option = self.get(full_name)
        if option is None or text in option.words or _option_values.boolean(text) is None:
            return text
        return next(
            (word for word in option.words if _option_values.boolean(word) is _option_values.boolean(text)), text
        )

    def require_valid(self, full_name: str, text: str) -> None:
        """Raises `ValueError` for a value that the option's type does not have, which glusterd may well take."""
        option = self.get(full_name)
        if option is not None and not option.is_valid(text):
            raise ValueError(f"option {full_name}: {text!r} is no value of it; it takes {option.takes}")

    def require_scope(self, names: t.Iterable[str], *, volume: str) -> None:
        """Raises `ValueError` for an option of the cluster on a volume, and the other way round."""
        for option in filter(None, map(self.get, names)):
            if option.cluster_wide != (volume == EVERY_VOLUME):
                where = "the whole cluster; set it with volume: all" if option.cluster_wide else "one volume; name it"
                raise ValueError(f"option {option.name} is an option of {where}")

    def require_known(self, names: t.Iterable[str], in_force: t.Collection[str]) -> None:
        """Raises `ValueError` for a name to reset that is no option's, neither here nor on the volume."""
        for name in names:
            if not (name in self or name in in_force or name.startswith("user.")):
                nearest = self._nearest(name)
                mend = f"; is it {nearest}?" if nearest else "; see gluster volume set help"
                raise ValueError(f"option {name} is to be reset and not known in glusterfs {self.version}{mend}")

    def _nearest(self, name: str) -> str | None:
        # not at the top: for a message only
        import difflib

        spelled = {key: key if "." in name else key.partition(".")[2] for key in self}
        found = difflib.get_close_matches(name, spelled.values(), 1)
        return " or ".join(key for key, spelling in spelled.items() if spelling in found) or None

    def differences(self, desired: t.Mapping[str, str], in_force: t.Mapping[str, str]) -> dict[str, str]:
        """The options whose value in force is another one, in the order asked for."""
        return {
            name: text
            for name, text in desired.items()
            if name not in in_force or not self.is_same(name, text, in_force[name])
        }

    def complete(self, in_force: t.Mapping[str, str], names: t.Iterable[str]) -> dict[str, str]:
        """What is in force, with the defaults of those names that `volume get all` leaves out until they are set."""
        left_out = {name: self.default_of(name) for name in names if name not in in_force}
        return {**in_force, **{name: text for name, text in left_out.items() if text is not None}}

    def after_restart(self, names: t.Iterable[str], *, of: str) -> tuple[str, ...]:
        """Those of the options whose change is in force only after a restart of the `volume`, or a new `mount`."""
        return tuple(name for name in names if (option := self.get(name)) and option.applies == of)

    def steps(self, changes: t.Mapping[str, str], in_force: t.Mapping[str, str]) -> tuple[dict[str, str], ...]:
        """The transactions that set the options: one, but where glusterd would check a shard size that is to go.

        It took a shard size that is no size while sharding was off, and turns sharding on only after that is mended.
        """
        size = in_force.get(SHARD_SIZE)
        option = self.get(SHARD_SIZE)
        if not {SHARD, SHARD_SIZE} <= changes.keys() or size is None or option is None or option.is_valid(size):
            return (dict(changes),) if changes else ()
        rest = {name: text for name, text in changes.items() if name != SHARD_SIZE}
        return ({SHARD_SIZE: changes[SHARD_SIZE]}, rest)

    def to_reset(
        self, volume: _volume.Volume, *, asked: t.Iterable[str], kept: t.Collection[str], purge: bool
    ) -> tuple[str, ...]:
        """The options set on a volume that are to be reset: those asked for, and with `purge` all that are not kept.

        What glusterd sets itself when it makes a volume is as good as not set, keys of users stay (gluster resets them
        only all at once, with every option), and so do TLS and what other commands set. Raises `ValueError` for an
        option that is also asked to be set, and for one that gluster does not reset alone.
        """
        names = {self.full_name(name) for name in asked}
        for name in sorted(names):
            self._require_resettable(name, volume, kept)
        if purge:
            names |= {name for name in volume.options if name not in kept and self._is_purged(name)}
        original = values_at_creation(volume)
        return tuple(
            name
            for name, text in volume.options.items()
            if name in names and not (name in original and self.is_same(name, text, original[name]))
        )

    def _is_purged(self, name: str) -> bool:
        option = self.get(name)
        stays = name in _ENCRYPTION or name.startswith(("user.", "ssl.", "auth.ssl-"))
        return not stays and not (option and option.reset)

    def _require_resettable(self, name: str, volume: _volume.Volume, kept: t.Collection[str]) -> None:
        option = self.get(name)
        if name in kept:
            raise ValueError(f"option {name} is asked to be set and to be reset; name it once")
        if name.startswith("user.") and name in volume.options:
            raise ValueError(f"option {name}: gluster resets no single user.* key; set it to another value")
        if option is not None and option.reset == "never":
            raise ValueError(f"option {name} is not reset as an option; use gluster volume quota {volume.name} disable")

    def after_reset(self, volume: _volume.Volume, names: t.Iterable[str]) -> dict[str, str | None]:
        """Option → value in force after it was reset; None where gluster does not say what its default is."""
        original = values_at_creation(volume)
        once = (CLIENT_IO_THREADS,) if volume.was_never_started else (CLIENT_IO_THREADS, GRANULAR_ENTRY_HEAL)
        again = {name: text for name, text in original.items() if name not in once}
        return {name: again.get(name, self.default_of(name)) for name in names}

    def warnings(self, names: t.Iterable[str]) -> list[str]:
        """What a user should know of options: it changes every volume, or it is not known here."""
        found = []
        for name in names:
            option = self.get(name)
            if option is None and not name.startswith("user."):
                found.append(
                    f"option {name} is not known in glusterfs {self.version}: its value is compared as text and not"
                    " checked"
                )
            elif option is not None and option.every_volume:
                found.append(f"option {name} is set through one volume and changes every volume of the cluster")
        return found


def table_for(op_version: int) -> OptionTable:
    """The table of the version nearest to the cluster's op-version (100000 for 10.x, 110000 for 11.x)."""
    # each file is read only when it is wanted
    if op_version < 105000:
        from ansible_collections.gfapi.virt.plugins.module_utils import _options_10

        return OptionTable(_options_10.VERSION, _options_10.OPTIONS)
    from ansible_collections.gfapi.virt.plugins.module_utils import _options_11

    return OptionTable(_options_11.VERSION, _options_11.OPTIONS)


def values_at_creation(volume: _volume.Volume) -> dict[str, str]:
    """Option → value that glusterd sets by itself when it makes such a volume."""
    family = volume.options.get(_FROM_FAMILY)
    return {
        **_AT_CREATION,
        **({_FROM_FAMILY: family} if family else {}),
        **(_AT_CREATION_REPLICATE if volume.is_replicate else {}),
    }


def full_name(name: str, known: t.Collection[str]) -> str:
    """The full name of an option given short (`owner-uid`); a name that is not known stays as it is.

    Raises `ValueError` where the short name fits several options, as gluster does.
    """
    if "." in name:
        return name
    found = sorted({key for key in known if key.partition(".")[2] == name})
    if len(found) > 1:
        raise ValueError(f"option {name!r} is ambiguous: it may be {' or '.join(found)}; give the full name")
    return found[0] if found else name
