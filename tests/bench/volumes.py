# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts about a volume: its options, and a look at all images on it."""

from __future__ import annotations

import json
import re
import typing as t
from functools import partial

from ansible_collections.gfapi.virt.tests.bench.lab import (
    ANSIBLE,
    HOST,
    MOUNT,
    PING,
    Data,
    Lab,
    Tasks,
    disk_tasks,
    medians,
)
from ansible_collections.gfapi.virt.tests.bench.part import Part, beyond, seconds, table, times

TUNED = "tuned"
#: in front of gluster on the PATH, and what it was called with
COUNTER, CALLS = "/usr/local/sbin/gluster", "/run/gluster-calls"
#: what takes the lock of the cluster and changes the volume
TRANSACTION = re.compile(r"\bvolume (?:set|reset) |\bgranular-entry-heal ")
LOOKS = 5

#: sets options on the host, one a process; prints seconds
OPTIONS = """
import json, subprocess, sys, time
volume, options = sys.argv[1], json.loads(sys.argv[2])
begin = time.perf_counter()
for pair in options.items():
    subprocess.run(["gluster", "--mode=script", "volume", "set", volume, *pair], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=300)
print(json.dumps(time.perf_counter() - begin))
"""


# --- options --------------------------------------------------------------------------------------


def measure_options(lab: Lab, _counts: t.Sequence[int]) -> Data:
    """Options set three ways on the same started volume: seconds and gluster's processes, fresh and again."""
    make_volume(lab)
    lines = lab.host.check_output("cat /var/lib/glusterd/groups/virt").splitlines()
    options = dict(line.strip().split("=", 1) for line in lines if "=" in line)
    options.update({"storage.owner-uid": "36", "storage.owner-gid": "36"})
    ours: Tasks = [{"gfapi.virt.gluster_volume_options": {"volume": TUNED, "options": options}}]
    theirs: Tasks = [{"gluster.gluster.gluster_volume": {"name": TUNED, "state": "present", "options": options}}]
    ways: dict[str, t.Callable[[], float]] = {
        "ours": lambda: lab.play(ours),
        "theirs": lambda: lab.play(theirs),
        "cli": lambda: float(lab.python(OPTIONS, TUNED, json.dumps(options))),
    }
    found: dict[str, dict[str, dict[str, list[float]]]] = {way: {"fresh": {}, "again": {}} for way in ways}
    pings = []
    for _turn in range(lab.turns):
        pings.append(lab.play(PING))
        for way, act in ways.items():
            lab.host.check_output(f"/usr/sbin/gluster --mode=script volume reset {TUNED}")
            for when in found[way].values():
                for what, number in {"seconds": act(), **calls(lab)}.items():
                    when.setdefault(what, []).append(number)
    remove_volume(lab)
    return {"options": len(options), "community": ANSIBLE, **medians({"ping": pings, **found})}


def make_volume(lab: Lab) -> None:
    bricks = " ".join(f"{HOST}:/bricks/{TUNED}{number}" for number in (1, 2, 3))
    lab.host.check_output(f"gluster --mode=script volume create {TUNED} replica 3 {bricks} force")
    lab.host.check_output(f"gluster --mode=script volume start {TUNED}")
    script = f'#!/bin/sh\necho "$*" >> {CALLS}\nexec /usr/sbin/gluster "$@"\n'
    lab.host.check_output(f"printf %%s %s > {COUNTER} && chmod 755 {COUNTER}", script)


def remove_volume(lab: Lab) -> None:
    lab.host.check_output(f"rm -f {COUNTER}")
    for word in ("stop", "delete"):
        lab.host.check_output(f"gluster --mode=script volume {word} {TUNED}")
    lab.host.check_output(f"rm -r /bricks/{TUNED}[123]")


def calls(lab: Lab) -> dict[str, float]:
    """How many gluster processes were started since the last look, and how many of them changed the volume."""
    lines = lab.host.check_output(f"cat {CALLS} && rm {CALLS}").splitlines()
    return {"processes": len(lines), "transactions": len([line for line in lines if TRANSACTION.search(line)])}


def tell_options(data: Data) -> str:
    """What a play costs anyhow is taken off, the command line has no such cost."""
    names = {
        "ours": "a play with one `gluster_volume_options` task",
        "theirs": f"a play with one `gluster.gluster.gluster_volume` task (of `{data['community']}`)",
        "cli": "`gluster volume set`, one option a call",
    }

    def own_s(way: str, when: str) -> float:
        found = {**data[way][when], "ping": 0 if way == "cli" else data["ping"]}
        return beyond(found, "seconds")

    def cells(way: str, when: str) -> list[str]:
        counted = (f"{data[way][when][what]:.0f}" for what in ("processes", "transactions"))
        return [seconds(own_s(way, when)), *counted]

    heads = ["way", "first", "processes", "transactions", "again", "processes", "transactions"]
    rows = ([name, *cells(way, "fresh"), *cells(way, "again")] for way, name in names.items())
    theirs, cli = (
        " and ".join(times(own_s(way, when), own_s("ours", when)) for when in ("fresh", "again"))
        for way in ("theirs", "cli")
    )
    return f"""
## Setting {data["options"]} options of a started volume

Option group `virt` and the owner, on a volume where none is set, and again where all are. Of the plays, the time of one
with only `ansible.builtin.ping` is taken off. A transaction is a process that sets something, for which the cluster is
locked.

{table(heads, rows)}

`gluster_volume` takes {theirs} as long (first, again), one `volume set` per option {cli}.
"""


# --- looks ----------------------------------------------------------------------------------------


def measure_looks(lab: Lab, counts: t.Sequence[int]) -> Data:
    """What a look at all images takes, and one that leaves them out; both more than once in a play."""
    rows = []
    for count in counts:
        lab.play(disk_tasks((f"image-{number}" for number in range(count)), size="2TiB"))
        plays = lab.in_turns({"with": partial(look, images=True), "without": partial(look, images=False)})
        there = int(lab.host.check_output(f"ls -d {MOUNT}/*/images/*-* | wc -l"))
        rows.append({"count": there, "looks": LOOKS, **plays})
    lab.play(disk_tasks((f"image-{number}" for number in range(max(counts))), state="absent"))
    return {"rows": rows}


def look(_turn: int, *, images: bool) -> Tasks:
    # more than once, for a play's own start varies by more than 50 images take
    task = {"gfapi.virt.glusterfs_domain_info": {"names": ["vms"], "images": images}}
    return [{**task, "loop": list(range(LOOKS)), "no_log": True}]


def tell_looks(data: Data) -> str:
    found = {row["count"]: max((row["with"] - row["without"]) / row["looks"], 0.001) for row in data["rows"]}
    each = {count: value_s / count for count, value_s in found.items()}
    few, many = min(found), max(found)
    rows = ((count, seconds(found[count]), seconds(each[count])) for count in found)
    return f"""
## Looking at images of 2 TiB

{table(["images", "`glusterfs_domain_info` beyond `images: false`", "for each"], rows)}

With {many} images each takes {times(each[many], each[few])} what it takes with {few}.
"""


OPTIONS_SET = Part("options", "volume options, three ways", measure_options, tell_options)
LOOK = Part("looks", "looks at all images", measure_looks, tell_looks, (50, 500))
