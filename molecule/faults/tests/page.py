# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/reliability.md, made of what was measured. Run by itself, it makes the page anew of docs/reliability.json."""

from __future__ import annotations

import collections
import dataclasses
import json
import typing as t
from dataclasses import dataclass
from datetime import date
from pathlib import Path

if t.TYPE_CHECKING:
    from hosts import System

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "docs" / "reliability.json"
PAGE = ROOT / "docs" / "reliability.md"

#: so many rounds of the guest its image holds (BLOCKS of scene.py), so no more can be looked for
HELD = 4096

HEAD = """\
# Reliability

Written by `make faults` on {date}, on a lab of three storage nodes and two hypervisors: {versions}; a volume of three
copies, tuned by `virt_store`, with `cluster.post-op-delay-secs: 0` ([why](how-it-works.md#when-storage-fails)). Each
of {faults} faults struck {turns}, while

- a guest wrote block after block to its disk, each with a flush, read it back, and told of it on its console; and
- plays ran without end: a storage domain, an option of the volume, a disk and a running VM on it came and went.

After each fault the blocks of which the guest had told since it was started, over several faults, were looked for in
the image, from another host and past all caches: the last {held}, all that the image holds. One more run of the tasks
had to do all that was asked for, a further one to find nothing to do, and nothing was to be left over: no image without
its metadata, no problem that `glusterfs_domain_info` knows of. A task that failed meanwhile had to say why in one line.
A host loses its power by the end of all its processes at once (`podman kill`); what its kernel had not yet written to
its disks is not lost by that. Times are seconds; those of `podman` hosts on a slow machine, with guests that are
emulated: look at what waits for what, not at the digits.
"""

COLUMNS = (
    "fault",
    "the guest",
    "held",
    "longest pause of its writes",
    "it wrote again after the end",
    "all copies alike after the end",
    "tasks that failed",
    "slowest task",
    "writes lost",
)

SAID = """
## What tasks said meanwhile

Each message once for each fault. When it is over, one more run does what such tasks were to do; none migrates again.

"""


RACES = """
## Eight plays at once

{rounds} rounds. In each, eight plays at once asked for the same options of a volume, storage domain on two hypervisors,
three disks and running VM with two of them; then for other options, larger disks, more memory and the third disk in the
running VM; then for an end of VM and disks, and at last for maintenance. They set options on three storage nodes and
worked on disks on both hypervisors, but for disks that grew, which they did on the one that the VM ran on. All had to
succeed, the hosts' own tools to tell what was asked for, and a further play to find nothing to do. It was so in {good}.
What two of them planned at the same moment both report, though it is done once; what is done to a VM is reported by
one.
"""


@dataclass(frozen=True)
class Outcome:
    """One fault, once. Seconds; `resumed_s` and `whole_s` from the end of the fault."""

    fault: str
    guest: str
    #: the longest time in which the guest wrote nothing
    pause_s: float = 0.0
    #: QEMU had closed its disk after a flush that failed, and it was ended and started
    given_up: bool = False
    #: until the guest wrote
    resumed_s: float = 0.0
    #: until all bricks were there and alike
    whole_s: float = 0.0
    #: rounds of which the guest said that they are on the disk, and those of them that are not
    acknowledged: int = 0
    lost: int = 0
    #: tasks of plays meanwhile, those that failed, and the slowest
    tasks: int = 0
    failed: int = 0
    slowest_s: float = 0.0
    messages: tuple[str, ...] = ()
    #: what did not hold
    broken: str | None = None


@dataclass(frozen=True)
class Results:
    """What faults came to, and of each round of the races whether it ended as it should."""

    outcomes: list[Outcome] = dataclasses.field(default_factory=list)
    races: list[bool] = dataclasses.field(default_factory=list)
    #: when the page was last written after a run, and what ran on the lab then
    date: str = ""
    versions: str = ""

    @classmethod
    def kept(cls) -> Results:
        """Those of earlier runs."""
        if not RESULTS.exists():
            return cls()
        data = json.loads(RESULTS.read_text(encoding="utf-8"))
        outcomes = [Outcome(**{**one, "messages": tuple(one["messages"])}) for one in data["outcomes"]]
        return cls(outcomes, data["races"], data.get("date", ""), data.get("versions", ""))

    def keep(self) -> None:
        """Raw, for runs that add to them, and for a look at what the page does not tell."""
        RESULTS.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")


def made_today(results: Results, storage: System, hypervisor: System) -> Results:
    """The same, of today and of the versions on those hosts."""
    told = [storage.lines("glusterfs", "--version")[0]]
    told += [hypervisor.lines(program, "--version")[0] for program in ("qemu-img", "libvirtd")]
    return dataclasses.replace(results, date=date.today().isoformat(), versions=", ".join(told))


def span(values: t.Iterable[float]) -> str:
    """The smallest and the largest of seconds."""
    low, high = min(values := list(values)), max(values)
    return f"{high:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"


def guest(turns: list[Outcome]) -> str:
    """What became of it."""
    given_up = sum(one.given_up for one in turns)
    if not given_up:
        return turns[0].guest
    if given_up == len(turns):
        return "is paused; QEMU had given up its disk each time, so it was started anew"
    anew = f"{given_up} of {len(turns)} times: QEMU had given up its disk, so it was started anew"
    return f"{turns[0].guest}, but for {anew}"


def row(name: str, turns: list[Outcome]) -> str:
    broken = next((one.broken for one in turns if one.broken), None)
    good = [one for one in turns if not one.broken]
    cells = [name, guest(turns), f"**no**: {broken}" if broken else "yes"]
    if good:
        cells += [span(one.pause_s for one in good), span(one.resumed_s for one in good)]
        cells += [span(one.whole_s for one in good)]
        cells += [f"{sum(one.failed for one in good)} of {sum(one.tasks for one in good)}"]
        cells += [span(one.slowest_s for one in good)]
    else:
        cells += [""] * 5
    looked_for = sum(min(one.acknowledged, HELD) for one in turns)
    cells.append(f"{sum(one.lost for one in turns)} of {looked_for}")
    return line(cells)


def line(cells: t.Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def text(results: Results) -> str:
    """The page."""
    races = results.races
    faults: dict[str, list[Outcome]] = collections.defaultdict(list)
    for one in results.outcomes:
        faults[one.fault].append(one)
    times = {len(turns) for turns in faults.values()}
    turns = " or ".join("once" if count == 1 else f"{count} times" for count in sorted(times))
    head = {"date": results.date, "versions": results.versions, "faults": len(faults), "turns": turns, "held": HELD}
    lines = [HEAD.format(**head)]
    lines += [line(COLUMNS), line("---" for _column in COLUMNS)]
    lines += [row(name, turns) for name, turns in faults.items()]
    said = [
        f"- {name}\n" + "\n".join(f"  - {message}" for message in messages)
        for name, turns in faults.items()
        if (messages := sorted({message for one in turns for message in one.messages}))
    ]
    raced = RACES.format(rounds=len(races), good="all" if all(races) else f"{sum(races)} of them") if races else ""
    return "\n".join(lines) + "\n" + SAID + "\n".join(said) + "\n" + raced


if __name__ == "__main__":
    PAGE.write_text(text(Results.kept()), encoding="utf-8")
