# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be set and reset on a volume, what it was before, and what comes into force only later. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils._volume import Volume
from ansible_collections.gfapi.virt.plugins.module_utils._volume_options import GRANULAR_ENTRY_HEAL, OptionTable

#: glusterd resets none of them by name
USER: t.Final = "user."

#: option that needs a stop and start → its name in the server translator of a brick, as volfiles have it (10.3, 11.1)
IN_VOLFILES: t.Final = {
    "server.own-thread": "transport.socket.own-thread",
    "server.ssl": "transport.socket.ssl-enabled",
    "server.tcp-user-timeout": "transport.tcp-user-timeout",
    "ssl.ca-list": "transport.socket.ssl-ca-list",
    "ssl.certificate-depth": "transport.socket.ssl-cert-depth",
    "ssl.cipher-list": "transport.socket.ssl-cipher-list",
    "ssl.crl-path": "transport.socket.ssl-crl-path",
    "ssl.dh-param": "transport.socket.ssl-dh-param",
    "ssl.ec-curve": "transport.socket.ssl-ec-curve",
    "ssl.own-cert": "transport.socket.ssl-own-cert",
    "ssl.private-key": "transport.socket.ssl-private-key",
    "transport.address-family": "transport.address-family",
    "transport.listen-backlog": "transport.listen-backlog",
}
_SERVER: t.Final = "protocol/server"

#: translator and key in a volfile → the value written for the brick, and the one it runs with
Differences = t.Mapping["tuple[str, str]", "tuple[str | None, str | None]"]


@dataclass(frozen=True)
class Change:
    """What glusterd is asked for: `sets` in one transaction, each of `resets` in its own, and healing apart."""

    volume: Volume
    sets: t.Mapping[str, str]
    resets: tuple[str, ...] = ()
    #: granular entry heal of a volume that was started has a command of its own
    heal: bool | None = None

    @property
    def names(self) -> tuple[str, ...]:
        heal = () if self.heal is None else (GRANULAR_ENTRY_HEAL,)
        return (*self.sets, *heal, *self.resets)

    @property
    def old_values(self) -> dict[str, str]:
        """What was set before, of what is set now."""
        return {name: self.volume.options[name] for name in self.sets if name in self.volume.options}

    @property
    def unset_before(self) -> tuple[str, ...]:
        return tuple(name for name in self.sets if name not in self.volume.options and not name.startswith(USER))

    @property
    def reset_values(self) -> dict[str, str]:
        """What was set before, of what is reset now."""
        return {name: self.volume.options[name] for name in self.resets}

    @property
    def undo_of_sets(self) -> str:
        """The words on taking back the first transaction."""
        parts = [f"set {pairs_of(self.old_values)}"] if self.old_values else []
        parts += [f"reset {', '.join(self.unset_before)}"] if self.unset_before else []
        stay = [name for name in self.sets if name not in self.volume.options and name.startswith(USER)]
        parts += [f"leave {', '.join(stay)}, which gluster cannot reset,"] if stay else []
        return f"{' and '.join(parts)} on volume {self.volume.name}"


def pairs_of(options: t.Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())


def left_in_bricks(table: OptionTable, differences: Differences) -> dict[str, str]:
    """Option → the value that bricks still run with, of those options that need a stop and start."""
    found = {}
    for name in table.after_restart(IN_VOLFILES, of="volume"):
        written, running = differences.get((_SERVER, IN_VOLFILES[name]), (None, None))
        default = table.default_of(name) or ""
        if not table.is_same(name, written or default, running or default):
            found[name] = running or default
    return found


def volume_restart_reasons(table: OptionTable, change: Change, left: t.Mapping[str, str]) -> list[str]:
    """Why a started volume would have to be stopped and started; `left` is what its bricks run with instead."""
    if not change.volume.is_started:
        return []
    in_force = f"is in force after volume {change.volume.name} was stopped and started"
    planned = table.after_restart(change.names, of="volume")
    reasons = [f"option {name} {in_force}" for name in planned]
    return reasons + [
        f"option {name} {in_force}: its bricks run with {value}" for name, value in left.items() if name not in planned
    ]


def other_restart_reasons(table: OptionTable, change: Change) -> list[str]:
    """What else has to be restarted, by somebody else: glusterd, or clients."""
    glusterd, mount = (table.after_restart(change.names, of=what) for what in ("glusterd", "mount"))
    reasons = [f"option {name} is in force after glusterd was restarted on each node" for name in glusterd]
    if change.volume.is_started:
        reasons += [f"option {name} is in force on clients that connect from now on" for name in mount]
    return reasons
