# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene of gluster_volume_options: a started volume, never tuned or tuned. What is right is asked of gluster."""

from __future__ import annotations

import socket
import typing as t
from dataclasses import dataclass, field

import host
from host import BRICKS, NAME, Operation, gluster, remove_volume


@dataclass(frozen=True)
class Start:
    """Options that are set; volumes have others of gluster's own."""

    options: t.Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """What is set at the end, and what is not any more; of other options a run that nothing disturbs tells."""

    options: t.Mapping[str, str] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()


#: of clients, of bricks, and one that is nobody's
TUNED: t.Final = {
    "performance.io-cache": "off",
    "performance.quick-read": "off",
    "network.ping-timeout": "20",
    "storage.owner-uid": "36",
    "user.purpose": "torture",
}
#: those of `TUNED` that a purge takes away
PURGED: t.Final = frozenset(TUNED) - {"user.purpose"}


def operation(name: str, start: Start, end: End, **params: t.Any) -> Operation:
    return Operation(f"options-{name}", "gluster_volume_options", {"volume": NAME, **params}, start, end)


OPERATIONS: t.Final = (
    operation("set", Start(), End({"storage.owner-uid": "36"}), presets=["virt_store"]),
    operation(
        "reset",
        Start(TUNED),
        End(
            {"storage.owner-uid": "36", "user.purpose": "torture", "network.ping-timeout": "30"},
            gone=frozenset({"performance.io-cache", "performance.quick-read"}),
        ),
        options={"network.ping-timeout": 30},
        reset=["performance.io-cache", "performance.quick-read"],
    ),
    operation("purge", Start(TUNED), End({"user.purpose": "torture"}, gone=PURGED), purge=True),
)


class Scene(host.Scene):
    """The volume, made anew each time."""

    operations: t.ClassVar[tuple[Operation, ...]] = OPERATIONS
    #: gluster's daemon does the work: a run is killed before each command to it
    calls: t.ClassVar[frozenset[str]] = frozenset({"execve"})

    def __init__(self) -> None:
        #: by operation: what a run that nothing disturbs ends in
        self.ends: dict[str, list[str]] = {}

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_exc: object) -> None:
        remove_volume()

    def reset(self, operation: Operation) -> None:
        """Whatever is there, the volume as a run is to find it."""
        remove_volume()
        bricks = [f"{socket.gethostname()}:{brick}" for brick in BRICKS]
        gluster("create", NAME, "replica", "3", *bricks, "force")
        for option, value in operation.start.options.items():
            gluster("set", NAME, option, value)
        gluster("start", NAME)

    def loss_faults(self, operation: Operation) -> list[str]:
        """What a kill has cost."""
        return [] if "Status: Started" in lines() else [f"volume {NAME} is not started"]

    def end_faults(self, operation: Operation) -> list[str]:
        """What is not as it should be after all is done: the options are those of a run that nothing disturbs."""
        found = lines()
        options = sorted(found[found.index("Options Reconfigured:") + 1 :])
        faults = self.loss_faults(operation)
        has = dict(line.split(": ", 1) for line in options)
        end: End = operation.end
        faults += [
            f"{key} is {has.get(key)}, not {value}" for key, value in end.options.items() if has.get(key) != value
        ]
        faults += [f"{key} is still {has[key]}" for key in sorted(end.gone & {*has})]
        differing = sorted({*options} ^ {*self.ends.setdefault(operation.name, options)})
        return faults + ([f"options differ: {differing}"] if differing else [])


def lines() -> list[str]:
    return [line.strip() for line in gluster("info", NAME).splitlines()]
