# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene of gluster_volume_options: a started volume that was never tuned. What is right is asked of gluster."""

from __future__ import annotations

import socket
import typing as t

import host
from host import BRICKS, NAME, Operation, gluster, remove_volume

OPERATIONS: t.Final = (
    Operation("options-set", "gluster_volume_options", {"volume": NAME, "presets": ["virt_store"]}, None, None),
)


class Scene(host.Scene):
    """The volume, made anew each time."""

    operations: t.ClassVar[tuple[Operation, ...]] = OPERATIONS
    #: gluster's daemon does the work: a run is killed before each command to it
    calls: t.ClassVar[frozenset[str]] = frozenset({"execve"})

    def __init__(self) -> None:
        self.end: list[str] = []

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_exc: object) -> None:
        remove_volume()

    def reset(self, operation: Operation) -> None:
        """Whatever is there, the volume as a run is to find it."""
        remove_volume()
        bricks = [f"{socket.gethostname()}:{brick}" for brick in BRICKS]
        gluster("create", NAME, "replica", "3", *bricks, "force")
        gluster("start", NAME)

    def loss_faults(self, operation: Operation) -> list[str]:
        """What a kill has cost."""
        return [] if "Status: Started" in lines() else [f"volume {NAME} is not started"]

    def end_faults(self, operation: Operation) -> list[str]:
        """What is not as it should be after all is done: the options are those of a run that nothing disturbs."""
        found = lines()
        options = sorted(found[found.index("Options Reconfigured:") + 1 :])
        self.end = self.end or options
        differing = sorted({*options} ^ {*self.end})
        return self.loss_faults(operation) + ([f"options differ: {differing}"] if differing else [])


def lines() -> list[str]:
    return [line.strip() for line in gluster("info", NAME).splitlines()]
