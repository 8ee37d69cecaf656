# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills modules at each call by which they change something, on this host, with a volume of their own.

After each kill nothing may be lost; one more run must end in what was asked for, and a further one find nothing to do.
`tests/torture/run` copies this to a host and starts it there; it leaves the host as it was.
"""

from __future__ import annotations

import argparse
import collections
import re
import sys
import time
import typing as t
from dataclasses import dataclass, replace

import domains
import images
import live
import machines
import options
import tracing
import volumes
from host import POINT, Operation, Scene, TortureError, run_module, say, traced

SCENES: t.Final[tuple[type[Scene], ...]] = (
    domains.Scene,
    images.Scene,
    live.Scene,
    machines.Scene,
    options.Scene,
    volumes.Scene,
)
#: what a client that was killed has sent may reach the bricks a moment later
SETTLED_S: t.Final = 5
#: a program that does its work whether or not the run lives: the run waits for it, at each of its calls alike
WORKER: t.Final = "qemu-img"

#: an operation, and how many points of each call were tried
Tried = list[tuple[Operation, "collections.Counter[str]"]]


def settled(look: t.Callable[[], list[str]]) -> list[str]:
    """Faults that stay."""
    end = time.monotonic() + SETTLED_S
    while (faults := look()) and time.monotonic() < end:
        time.sleep(0.1)  # nobody tells when the bricks have written what a killed client sent
    return faults


def points_of(scene: Scene, operation: Operation) -> list[tracing.Point]:
    """Where a run that nothing disturbs changes something; that it ends well is looked at too."""
    scene.reset(operation)
    points = list(traced(operation).points)
    before = ["", *(point.program for point in points)]
    points += [
        replace(point, alone=True)
        for point, previous in zip(points, before)
        if point.program not in ("module", *([WORKER] if previous == WORKER else []))
    ]
    scene.go_on()
    faults = settled(lambda: scene.end_faults(operation))
    if faults:
        raise TortureError(f"{operation.name} without a kill: {'; '.join(faults)}")
    return [point for point in points if scene.picks(point)]


def shape(path: str) -> str:
    """A path without what differs from run to run: uuids, random names, process ids, what gluster keeps them by."""
    return re.sub(r"(?<=/\.glusterfs/).*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8}|[0-9]+", "*", path)


def kill_at(scene: Scene, operation: Operation, point: tracing.Point) -> list[str]:
    """Kill a run there, and what is wrong after that."""
    scene.reset(operation)
    killed = traced(operation, stop=point)
    if killed.status is not None:
        return [f"the run never came to {point}"]
    if shape(killed.points[-1].what) != shape(point.what):
        return [f"{point} was {killed.points[-1].what}, not {point.what}"]
    faults = []
    # a look would wait for what still goes on, and the next run is to meet that
    if point.is_at_rest:
        faults = [f"after the kill: {fault}" for fault in settled(lambda: scene.loss_faults(operation))]
        scene.go_on()
    try:
        run_module(operation)
        again = run_module(operation)
    except TortureError as exc:
        return [*faults, str(exc)]
    if again["changed"]:
        faults.append(f"the run after the next one changes something: {again['actions']}")
    scene.go_on()
    return faults + settled(lambda: scene.end_faults(operation))


@dataclass(frozen=True)
class Sample:
    """Operations or points by name, or all of them; and each `every`-th point, other ones for another `turn`."""

    only: t.Sequence[str] = ()
    every: int = 1
    turn: int = 0

    def of(self, operation: Operation, points: list[tracing.Point]) -> list[tracing.Point]:
        """One point of an operation at least."""
        if self.only and operation.name not in self.only:
            return [point for point in points if f"{operation.name}:{point}" in self.only]
        return points[self.turn % max(min(self.every, len(points)), 1) :: self.every]


def torture(scene: Scene, operation: Operation, sample: Sample) -> tuple[collections.Counter[str], int]:
    """The points tried, how many of each call; and how many of them failed."""
    begin = time.monotonic()
    points = points_of(scene, operation)
    picked = sample.of(operation, points)
    say(f"{operation.name}: {len(points)} points, {len(picked)} to try")
    failed = 0
    for number, point in enumerate(picked, 1):
        faults = kill_at(scene, operation, point)
        what = point.what.replace(str(POINT), "MOUNT")
        say(f"{operation.name} {number} of {len(picked)}: {point} {what}{': FAILED' if faults else ''}")
        for fault in faults:
            say(f"    {fault}")
        if faults:
            failed += 1
            say(f"    try it again: tests/torture/run --only {operation.name}:{point}")
    say(f"{operation.name}: {time.monotonic() - begin:.0f} s")
    return collections.Counter(point.call for point in picked), failed


def torture_all(sample: Sample) -> tuple[Tried, int]:
    """The same for all operations that are meant, each scene set up once."""
    names = {words.partition(":")[0] for words in sample.only}
    tried: Tried = []
    failed = 0
    for kind in SCENES:
        operations = [operation for operation in kind.operations if not names or operation.name in names]
        if not operations:
            continue
        with kind() as scene:
            for operation in operations:
                counts, count = torture(scene, operation, sample)
                tried.append((operation, counts))
                failed += count
    return tried, failed


def table(tried: Tried) -> str:
    """How many points of each call, by operation; and how many of each module."""
    calls = sorted({call for _operation, counts in tried for call in counts})
    rows = [["points", *calls, "all"]]
    rows += [
        [operation.name, *(str(counts[call] or "") for call in calls), str(sum(counts.values()))]
        for operation, counts in tried
    ]
    modules: collections.Counter[str] = collections.Counter()
    for operation, counts in tried:
        modules[operation.module] += sum(counts.values())
    rows += [[module, *("" for _call in calls), str(count)] for module, count in modules.items()]
    width = max(len(row[0]) for row in rows)
    heads = [" " * width, *rows[0][1:]]
    lines = [[row[0].ljust(width), *row[1:]] for row in rows]
    return "\n".join("  ".join(cell.rjust(len(head)) for cell, head in zip(line, heads)) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="OPERATION[:PROGRAM:CALL:N]",
        help="an operation, or one point of it; may be given again",
    )
    parser.add_argument("--every", type=int, default=1, metavar="K", help="each K-th point only")
    parser.add_argument("--turn", type=int, default=0, metavar="N", help="which of them: other ones for another N")
    arguments = parser.parse_args()
    tried, failed = torture_all(Sample(arguments.only, arguments.every, arguments.turn))
    count = sum(sum(counts.values()) for _operation, counts in tried)
    if not count:
        sys.exit(f"torture: there is no point {' '.join(arguments.only)}")
    say(table(tried))
    if failed:
        sys.exit(f"torture: {count} points tried, {failed} of them failed")
    say(f"{count} points tried, none lost data")


if __name__ == "__main__":
    try:
        main()
    except TortureError as problem:
        sys.exit(f"torture: {problem}")
