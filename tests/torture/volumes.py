# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene of glusterfs_domain where it has the volume stopped, deleted or started: one with a disk, made each time.

What is right is asked of gluster, the mount table and the three bricks, beside which lies what is nobody's.
"""

from __future__ import annotations

import shutil
import typing as t
from dataclasses import dataclass
from pathlib import Path

import host
from domains import CLAIM, metadata_faults, storage_domains
from host import (
    BRICKS,
    HERE,
    HIDDEN,
    LOCK,
    MIB,
    NAME,
    POINT,
    SPEC,
    VISITS,
    Names,
    Operation,
    difference,
    gluster,
    is_mine,
    make_volume,
    mount_points,
    names_below,
    remove_volume,
    run_module,
)
from images import unknown
from tracing import Point

#: what the disk is filled from
SOURCE: t.Final = HERE / "source"
#: in the folder of the bricks, and no brick
NEIGHBOUR: t.Final = BRICKS[0].with_name(f"{NAME}-other")
#: which of the names that bricks lose, of hundreds: amid the first brick, late in it, and amid the second
NAMES_LOST: t.Final = (100, 250, 500)


@dataclass(frozen=True)
class State:
    """The volume (`None`: there is none), its bricks' folders, the storage domain on it, and the mount."""

    volume: str | None
    bricks: bool = True
    storage_domain: bool = True
    mounted: bool = False


ACTIVE: t.Final = State("Started", mounted=True)
RESTING: t.Final = State("Stopped")
EMPTY: t.Final = State("Stopped", storage_domain=False)
PURGED: t.Final = State("Stopped", storage_domain=False, bricks=False)
GONE: t.Final = State(None, storage_domain=False, bricks=False)


def operation(name: str, start: State, end: State, **params: t.Any) -> Operation:
    return Operation(f"volume-{name}", "glusterfs_domain", {"name": NAME, "spec": SPEC, **params}, start, end)


def absent(name: str, end: State, **params: t.Any) -> Operation:
    return operation(name, ACTIVE, end, state="absent", confirm=NAME, **params)


OPERATIONS: t.Final = (
    operation("rest", ACTIVE, RESTING, state="maintenance", stop_volume=True),
    operation("start", RESTING, ACTIVE, start_volume=True),
    absent("empty", EMPTY, volume_policy="stop"),
    absent("purge", PURGED, volume_policy="stop", purge_data=True),
    absent("delete", GONE, volume_policy="delete", purge_data=True),
)


class Scene(host.Scene):
    """The volume, made anew each time."""

    operations: t.ClassVar[tuple[Operation, ...]] = OPERATIONS
    #: what comes to the volume and its bricks; where names and mounts change, `domains` kills
    calls: t.ClassVar[frozenset[str]] = frozenset({"execve", "rmdir", "fremovexattr"})

    def __init__(self) -> None:
        self.images: Names = {}
        self.neighbour: Names = {}

    def __enter__(self) -> Scene:
        NEIGHBOUR.mkdir()
        (NEIGHBOUR / "file").write_bytes(unknown(MIB))
        self.neighbour = names_below(NEIGHBOUR)
        SOURCE.write_bytes(unknown(MIB))
        return self

    def __exit__(self, *_exc: object) -> None:
        remove_volume()
        shutil.rmtree(NEIGHBOUR)

    def picks(self, point: Point) -> bool:
        """Of what a brick loses only some, and no call of the programs that mount."""
        if point.program != "module":
            return False
        return super().picks(point) or (point.call == "unlinkat" and point.number in NAMES_LOST)

    def reset(self, operation: Operation) -> None:
        """Whatever is there, the host and the volume as a run is to find them."""
        remove_volume()
        shutil.rmtree(VISITS, ignore_errors=True)
        make_volume()
        place = {"name": NAME, "spec": SPEC, "boot": False}
        run_module(Operation("active", "glusterfs_domain", place, None, None))
        filled = {"storage_domain": NAME, "name": "disk", "source": str(SOURCE), "source_format": "raw"}
        run_module(Operation("disk", "gfapi_disk", filled, None, None))
        self.images = images_on(BRICKS[0])
        if operation.start == RESTING:
            resting = {**place, "state": "maintenance", "stop_volume": True}
            run_module(Operation("resting", "glusterfs_domain", resting, None, None))

    def loss_faults(self, operation: Operation) -> list[str]:
        """What a kill has cost: a storage domain is whole as long as it is one, and goes only where it is to."""
        end: State = operation.end
        faults = difference(names_below(NEIGHBOUR), self.neighbour)
        for brick in BRICKS:
            found = storage_domains(brick)
            if end.storage_domain and len(found) != 1:
                faults.append(f"{brick} holds {len(found)} storage domains after the kill")
            for domain in found:
                faults += metadata_faults(domain / "dom_md" / "metadata", {"SDUUID": domain.name})
                faults += [f"{brick}: {fault}" for fault in difference(images_on(brick), self.images)]
        return faults

    def end_faults(self, operation: Operation) -> list[str]:
        """What is not as it should be after all is done."""
        end: State = operation.end
        faults = self.loss_faults(operation)
        state = state_of_volume()
        faults += [] if state == end.volume else [f"the volume is {state}, not {end.volume}"]
        points = [point for point in mount_points() if is_mine(point)]
        faults += (
            [] if points == ([POINT] if end.mounted else []) else [f"mounts: {', '.join(map(str, points)) or 'none'}"]
        )
        for brick in BRICKS:
            if brick.exists() != end.bricks:
                faults.append(f"{brick} is {'there' if brick.exists() else 'missing'}")
            if not end.storage_domain and (left := names_left(brick)):
                faults.append(f"{brick}: {', '.join(left)} is left")
        left_here = [path for path in VISITS.glob("*") if path.is_dir()]
        return faults + ([f"left on the host: {', '.join(map(str, left_here))}"] if left_here else [])


def images_on(brick: Path) -> Names:
    """All that belongs to disks."""
    return {name: entry for name, entry in names_below(brick).items() if "/images/" in name}


def names_left(brick: Path) -> list[str]:
    """What a storage domain has left on a brick that stays; gluster's own is none of it."""
    names = {path.name for path in brick.glob("*")} - {CLAIM, LOCK, *HIDDEN}
    return sorted(name for name in names if not name.startswith(".glusterfs-"))


def state_of_volume() -> str | None:
    if NAME not in gluster("list").split():
        return None
    lines = (line.strip() for line in gluster("info", NAME).splitlines())
    return next(line.removeprefix("Status: ") for line in lines if line.startswith("Status: "))
