# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts about images: one, ever more of them, and those of a running VM."""

from __future__ import annotations

import statistics
import typing as t

from ansible_collections.gfapi.virt.tests.bench.lab import (
    FEW,
    HOST,
    MOUNT,
    PING,
    VOLUME,
    Data,
    Lab,
    Tasks,
    disk_tasks,
)
from ansible_collections.gfapi.virt.tests.bench.part import Part, beyond, of_turns, seconds, table, times
from ansible_collections.gfapi.virt.tests.bench.plots import Line, Plot

#: how many are made one by one, to count up from
COMMANDS, MODULES, GLUSTER = 20, 10, 2

#: creates and removes an image by gfapi and on the mount, in turns
CREATES = """
import json, os, subprocess, sys, time
uri, path, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
seconds = {"gfapi": [], "mount": []}
for _ in range(runs):
    for how, place in (("gfapi", uri), ("mount", path)):
        begin = time.perf_counter()
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", place, "10G"], check=True, timeout=300,
                       stderr=subprocess.DEVNULL)
        seconds[how].append(time.perf_counter() - begin)
        os.unlink(path)
print(json.dumps(seconds))
"""

#: makes images on the mount as a shell script would, with files as large as `.meta` and `.lease`; prints seconds
SCRIPT = """
import json, os, shutil, subprocess, sys, time
folder, count = sys.argv[1], int(sys.argv[2])
os.mkdir(folder)
begin = time.perf_counter()
for number in range(count):
    os.mkdir(f"{folder}/{number}")
    path = f"{folder}/{number}/image"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "10G"], check=True, timeout=300)
    with open(f"{path}.meta", "wb") as file:
        file.write(bytes(512))
    with open(f"{path}.lease", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
print(json.dumps(time.perf_counter() - begin))
shutil.rmtree(folder)
"""


def creates(lab: Lab, name: str, turns: int) -> dict[str, float]:
    """The median seconds of `qemu-img create` by gfapi and on the mount."""
    found = lab.python(CREATES, f"gluster://{HOST}/{VOLUME}/{name}", f"{MOUNT}/{name}", str(turns))
    return t.cast("dict[str, float]", found)


# --- one ------------------------------------------------------------------------------------------


def measure_one(lab: Lab, _counts: t.Sequence[int]) -> Data:
    def name(turn: int) -> str:
        return f"bench-{turn}"

    def task(turn: int) -> Tasks:
        return [{"gfapi.virt.gfapi_disk": {"storage_domain": "vms", "name": name(turn), "size": "10GiB"}}]

    plays = lab.in_turns({"gfapi_disk": task, "again": task})
    lab.play(disk_tasks(map(name, range(lab.turns)), state="absent"))
    return {**plays, **creates(lab, "bench.qcow2", lab.turns)}


def tell_one(data: Data) -> str:
    own_s = beyond(data, "gfapi_disk")
    ways = {
        "`qemu-img create gluster://…`": data["gfapi"],
        "`qemu-img create` on the mount": data["mount"],
        "a play with one `gfapi_disk` task": data["gfapi_disk"],
        "a play with one `ansible.builtin.ping` task": data["ping"],
        "so `gfapi_disk` itself": own_s,
        "a play with the same `gfapi_disk` task again": data["again"],
    }
    return f"""
## Making an image of 10 GiB

{table(["way", "seconds"], ((way, seconds(value_s)) for way, value_s in ways.items()))}

`qemu-img create` over gfapi takes {times(data["gfapi"], own_s)} as long as the task.
"""


# --- ever more ------------------------------------------------------------------------------------


def measure_many(lab: Lab, counts: t.Sequence[int]) -> Data:
    return {"each": one_by_one(lab), "rows": [make_many(lab, count) for count in counts]}


def make_many(lab: Lab, count: int) -> Data:
    """So many disks by one task, the same again, and by a script."""
    names = [f"many-{number}" for number in range(count)]
    turns = lab.turns if count <= FEW else 1
    made, scripted = [], []
    for _turn in range(turns):
        lab.play(disk_tasks(names, state="absent"))
        made.append(lab.play(disk_tasks(names, size="10GiB")))
    again = lab.in_turns({"again": lambda _turn: disk_tasks(names, size="10GiB")})
    lab.play(disk_tasks(names, state="absent"))
    for _turn in range(turns):
        scripted.append(lab.python(SCRIPT, f"{MOUNT}/.bench", str(count)))
    found = {"first": statistics.median(made), "script": statistics.median(scripted), **again}
    return {"count": count, "turns": turns, **found}


def one_by_one(lab: Lab) -> Data:
    """The seconds that each disk takes where it has a task or a process of its own."""
    folder = f"{MOUNT}/.bench-tasks"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", f"{folder}/{{{{ item }}}}", "10G"]
    disk = {"storage_domain": "vms", "name": "each-{{ item }}", "size": "10GiB"}
    lab.host.check_output("mkdir %s", folder)
    ping_s = lab.play(PING)
    command_s = lab.play([{"ansible.builtin.command": {"argv": create}, "loop": list(range(COMMANDS))}])
    module_s = lab.play([{"gfapi.virt.gfapi_disk": disk, "loop": list(range(MODULES))}])
    lab.host.check_output("rm -r %s", folder)
    lab.play(disk_tasks((f"each-{number}" for number in range(MODULES)), state="absent"))
    return {
        "command": {"of": COMMANDS, "each": (command_s - ping_s) / COMMANDS},
        "gfapi_disk": {"of": MODULES, "each": (module_s - ping_s) / MODULES},
        "gluster": {"of": GLUSTER, "each": creates(lab, "each.qcow2", GLUSTER)["gfapi"]},
    }


#: how each way is called in the table and the plot
DISK_WAYS = {
    "first": "one `gfapi_disk` task",
    "again": "the same again",
    "script": "a script with `qemu-img` on the mount",
    "gfapi_disk": "a `gfapi_disk` task each",
    "command": "a `qemu-img` task each, on the mount",
    "gluster": "`qemu-img create gluster://…`",
}


def disk_way_s(data: Data, way: str, row: Data) -> float:
    """Seconds of a row's disks, counted up where each has its own task or process."""
    if way in data["each"]:
        return float(data["each"][way]["each"] * row["count"])
    return float(row[way]) if way == "script" else beyond(row, way)


def tell_many(data: Data) -> str:
    rows = data["rows"]
    few, many = rows[0], rows[-1]
    cells = ([row["count"], *(seconds(disk_way_s(data, way, row)) for way in DISK_WAYS)] for row in rows)
    first_s, again_s = (disk_way_s(data, way, many) for way in ("first", "again"))
    longer = {way: times(disk_way_s(data, way, many), first_s) for way in ("script", *data["each"])}
    counted = "; ".join(f"{DISK_WAYS[way]} (of {found['of']})" for way, found in data["each"].items())
    few_each, many_each = (seconds(disk_way_s(data, "first", row) / row["count"]) for row in (few, many))
    return f"""
## Making ever more images of 10 GiB

![Seconds over the number of images](performance-disks.svg)

{table(["images", *DISK_WAYS.values()], cells)}

Of the plays, the time of one with only `ansible.builtin.ping` is taken off. The script also makes files as large as
`.meta` and `.lease`. Counted up: {counted}. {of_turns(rows)}

Of {many["count"]}, the script takes {longer["script"]} as long as the one task, a `gfapi_disk` task each
{longer["gfapi_disk"]}, a `qemu-img` task each {longer["command"]}, and `qemu-img create` over gfapi
{longer["gluster"]}.

How the cost grows: the one task takes {many_each} for each of {many["count"]}, and {few_each} for {few["count"]}. A
second run over {many["count"]} takes {times(again_s, disk_way_s(data, "again", few))} what one over {few["count"]}
takes.
"""


def plot_many(data: Data) -> t.Sequence[Plot]:
    lines = (
        Line(
            label.replace("`", ""),
            tuple((row["count"], disk_way_s(data, way, row)) for row in data["rows"]),
            counted=way in data["each"],
        )
        for way, label in DISK_WAYS.items()
    )
    return [Plot("performance-disks", "Making images of 10 GiB", "images", tuple(lines))]


# --- of a running VM ------------------------------------------------------------------------------


def measure_live(lab: Lab, _counts: t.Sequence[int]) -> Data:
    """The median seconds of plays that give a running VM a disk, and that grow it there; with those of a ping."""
    names = [f"live-{number}" for number in range(lab.turns)]
    lab.play(disk_tasks(names, size="1GiB"))
    lab.host.check_output("virsh start ours")

    def task(turn: int, **wanted: str) -> Tasks:
        disk = {"storage_domain": "vms", "name": names[turn], "vm": "ours", "bus": "scsi"}
        return [{"gfapi.virt.gfapi_disk": {**disk, **wanted}}]

    found = lab.in_turns({"attach": task, "grow": lambda turn: task(turn, size="2GiB")})
    lab.play(disk_tasks(names, vm="ours", state="detached"))
    lab.host.check_output("virsh destroy ours")
    lab.play(disk_tasks(names, state="absent"))
    return found


def tell_live(data: Data) -> str:
    changes = {"attach": "attach a disk, live and in the configuration", "grow": "grow it from 1 to 2 GiB"}
    rows = ((words, seconds(beyond(data, name))) for name, words in changes.items())
    return f"""
## Disks of a running VM

`gfapi_disk` tasks beyond a play with one `ansible.builtin.ping`, which takes {seconds(data["ping"])}.

{table(["change", "seconds"], rows)}
"""


ONE = Part("disk", "one disk", measure_one, tell_one)
MANY = Part("disks", "ever more disks", measure_many, tell_many, (1, 10, 100, 500), plot_many)
LIVE = Part("live", "disks of a running VM", measure_live, tell_live)
