# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts about many VMs: ever more of them made, looked at and ended; and a hundred that are right already."""

from __future__ import annotations

import statistics
import typing as t

from ansible_collections.gfapi.virt.tests.bench.lab import (
    ANSIBLE,
    FEW,
    Data,
    Lab,
    Play,
    Tasks,
    change_tasks,
    disk_tasks,
    vm_tasks,
)
from ansible_collections.gfapi.virt.tests.bench.part import Part, beyond, of_turns, seconds, table, times
from ansible_collections.gfapi.virt.tests.bench.plots import Line, Plot
from ansible_collections.gfapi.virt.tests.bench.starting import plain_xml

#: turns of a few VMs, which take 10 s and more to end
TURNS = 3
#: up to so many are ended one by one, and how many the community's module starts, to count up from
VIRSH, COMMUNITY_VMS = 50, 2
#: how a script would ask what a VM's disks really are
QUERY = '{"execute": "query-named-block-nodes"}'
FOLDER = "/run/bench-vms"

#: the configurations of domains; prints JSON, name → XML
DUMP = """
import json, subprocess, sys
command = ["virsh", "dumpxml", "--inactive"]
print(json.dumps({name: subprocess.check_output([*command, name], text=True, timeout=60) for name in sys.argv[1:]}))
"""


def each(names: t.Iterable[str], words: str) -> str:
    """A shell's loop; it ends with the first command that fails."""
    return f"for name in {' '.join(names)}; do {words} || exit 1; done"


def by_community(xml: t.Mapping[str, str]) -> Tasks:
    """The domains defined and running, each step a loop of its module."""
    return [
        {"community.libvirt.virt": {"command": "define", "xml": "{{ item }}"}, "loop": list(xml.values())},
        {"community.libvirt.virt": {"name": "{{ item }}", "state": "running"}, "loop": list(xml)},
    ]


# --- ever more ------------------------------------------------------------------------------------


def measure_many(lab: Lab, counts: t.Sequence[int]) -> Data:
    names = [f"fleet-{number}" for number in range(max(counts))]
    lab.play(disk_tasks(names, size="1GiB"))
    found = {
        "community": start_by_community(lab),
        "virsh": loop_virsh(lab, names, counts),
        "rows": [run_many(lab, names[:count]) for count in counts],
    }
    lab.play(disk_tasks(names, state="absent"))
    return found


def run_many(lab: Lab, names: t.Sequence[str]) -> Data:
    """VMs started, asked for again and ended, by one task each."""
    once: dict[str, list[float]] = {"first": [], "stop": []}
    turns = min(TURNS, lab.turns) if len(names) <= FEW else 1
    running: Data = {}
    for _turn in range(turns):
        lab.play(change_tasks(names, state="absent"))
        once["first"].append(lab.play(vm_tasks(names, state="running")))
        # the same whichever turn it is
        running = running or lab.in_turns(plays_of_running(names))
        once["stop"].append(lab.play(change_tasks(names, state="shut_off", force_stop=True, shutdown_timeout=0)))
    lab.play(change_tasks(names, state="absent"))
    once_s = {name: statistics.median(values) for name, values in once.items()}
    return {"count": len(names), "turns": turns, **once_s, **running}


def plays_of_running(names: t.Sequence[str]) -> dict[str, Play]:
    return {
        "again": lambda _turn: vm_tasks(names, state="running"),
        "info": lambda _turn: [{"gfapi.virt.libvirt_vm_info": {"names": list(names)}}],
    }


def loop_virsh(lab: Lab, names: t.Sequence[str], counts: t.Iterable[int]) -> list[Data]:
    """The seconds that loops of a shell take, with the XML that `libvirt_vm` made."""
    file = f"{FOLDER}/$name.xml"
    lab.play(vm_tasks(names[:VIRSH], state="present"))
    lab.host.check_output(f"mkdir -p {FOLDER}; {each(names[:VIRSH], f'virsh dumpxml --inactive $name > {file}')}")
    lab.play(change_tasks(names[:VIRSH], state="absent"))
    steps = {
        "start": f"virsh define {file} && virsh start $name",
        "info": f"virsh domstate $name && virsh dumpxml $name && virsh qemu-monitor-command $name '{QUERY}'",
        # all of them, for one takes between 1 and 10 s
        "stop": "virsh destroy $name",
    }
    rows = []
    for count in sorted({min(count, VIRSH) for count in counts}):
        rows.append(
            {"count": count, **{step: lab.shell_s(each(names[:count], words)) for step, words in steps.items()}}
        )
        lab.host.check_output(each(names[:count], "virsh undefine $name"))
    lab.host.check_output(f"rm -r {FOLDER}")
    return rows


def start_by_community(lab: Lab) -> Data:
    """The seconds that each VM takes with a plain network disk, defined and started."""
    names = [f"plain-{number}" for number in range(COMMUNITY_VMS)]
    lab.play(disk_tasks(names, size="1GiB"))
    first_s = lab.play(by_community({name: plain_xml(lab, "ours", name) for name in names}))
    ping_s = lab.in_turns({})["ping"]
    lab.host.check_output(each(names, "virsh destroy $name && virsh undefine $name"))
    lab.play(disk_tasks(names, state="absent"))
    return {"of": COMMUNITY_VMS, "package": ANSIBLE, "first": (first_s - ping_s) / COMMUNITY_VMS}


#: how each way is called in the tables and the plots
VM_WAYS = {
    "first": "one `libvirt_vm` task",
    "again": "the same again",
    "virsh_start": "`virsh define` and `start`, a loop",
    "community_first": "`community.libvirt.virt`, a loop",
    "info": "one `libvirt_vm_info` task",
    "virsh_info": "what `virsh` tells, a loop",
    "stop": "one `libvirt_vm` task that stops",
    "virsh_stop": "`virsh destroy`, a loop",
}
STARTING = ("first", "again", "virsh_start", "community_first")
LATER = ("info", "virsh_info", "stop", "virsh_stop")


def vm_way_s(data: Data, way: str, row: Data) -> float:
    """Seconds of a row's VMs, counted up where so many were not tried."""
    kind, _underscore, when = way.partition("_")
    if kind == "community":
        return float(data["community"][when] * row["count"])
    if kind == "virsh":
        loop = next((one for one in data["virsh"] if one["count"] == row["count"]), data["virsh"][-1])
        return float(loop[when] / loop["count"] * row["count"])
    return beyond(row, way)


def tell_many(data: Data) -> str:
    few, many = data["rows"][0], data["rows"][-1]
    took = {way: vm_way_s(data, way, many) for way in VM_WAYS}
    longer = {way: times(took[way], took["first"]) for way in ("community_first", "virsh_start")}
    few_each, many_each = (
        {way: seconds(vm_way_s(data, way, row) / row["count"]) for way in VM_WAYS} for row in (few, many)
    )
    looped = data["virsh"][-1]["count"]
    return f"""
## Ever more VMs of 64 MiB

![Seconds over the number of VMs started](performance-vms.svg)

{vm_table(data, STARTING)}

Of the plays, the time of one with only `ansible.builtin.ping` is taken off. Each VM has a gfapi disk of its own. The
loop of virsh has the XML that `libvirt_vm` made, for up to {looped} VMs, and is counted up beyond. The community's
module (of `{data["community"]["package"]}`) defines and starts plain network disks; of {data["community"]["of"]},
counted up.
{of_turns(data["rows"])}

Of {many["count"]}, the community's module takes {longer["community_first"]} as long to start them, the loop of virsh
{longer["virsh_start"]}.

How the cost grows: a start takes {many_each["first"]} for each of {many["count"]} and {few_each["first"]} for
{few["count"]}; again, {many_each["again"]} and {few_each["again"]}; a look, {many_each["info"]} and {few_each["info"]}.

![Seconds over the number of VMs looked at and stopped](performance-stop.svg)

{vm_table(data, LATER)}

`virsh` tells power state, XML and QEMU's block nodes; `libvirt_vm_info` makes of them what each disk's way is, and asks
which servers QEMU is connected to. Stopping {many["count"]} one by one takes
{times(took["virsh_stop"], took["stop"])} as long as the task.

What takes up to 10 s of a stop is QEMU closing its image over libgfapi, and one of libvirtd's workers waits for it. So
libvirtd's `max_workers`, 20 by default, is the limit that binds: that many are ended at once, and the next as one is
done. A connection may have `max_client_requests` unanswered, 5 by default, so `libvirt_vm` opens one for every 4.
Guests that power off by themselves occupy no worker; 64 of them are waited for side by side. Starting is bound by the
processor.
"""


def vm_table(data: Data, ways: t.Sequence[str]) -> str:
    rows = ([row["count"], *(seconds(vm_way_s(data, way, row)) for way in ways)] for row in data["rows"])
    return table(["VMs", *(VM_WAYS[way] for way in ways)], rows)


def plot_many(data: Data) -> t.Sequence[Plot]:
    def line(way: str) -> Line:
        # of virsh's loops only what was measured, for those are drawn whole
        rows = data["virsh"] if way.startswith("virsh") else data["rows"]
        points = tuple((row["count"], vm_way_s(data, way, row)) for row in rows)
        return Line(VM_WAYS[way].replace("`", ""), points, counted=way.startswith("community"))

    return [
        Plot(name, title, "VMs", tuple(line(way) for way in ways))
        for name, title, ways in (
            ("performance-vms", "Defining and starting VMs", STARTING),
            ("performance-stop", "Looking at VMs that run, and stopping them", LATER),
        )
    ]


# --- all of it right already ----------------------------------------------------------------------


def measure_right(lab: Lab, counts: t.Sequence[int]) -> Data:
    """VMs that run, each with its disk, asked for once more: ours, and a loop of the community's module."""
    names = [f"right-{number}" for number in range(max(counts))]
    disks, vms = disk_tasks(names, size="1GiB"), vm_tasks(names, state="running")
    lab.play([*disks, *vms])
    found = lab.in_turns({"disks": lambda _turn: disks, "vms": lambda _turn: vms, "both": lambda _turn: [*disks, *vms]})
    found["community"] = lab.play(by_community(lab.python(DUMP, *names)))
    lab.play(change_tasks(names, state="shut_off", force_stop=True, shutdown_timeout=0))
    lab.play([*change_tasks(names, state="absent"), *disk_tasks(names, state="absent")])
    return {"count": len(names), "package": ANSIBLE, **found}


def tell_right(data: Data) -> str:
    count = data["count"]
    ways = {
        "a `gfapi_disk` task and a `libvirt_vm` task": "both",
        f"only the `gfapi_disk` task, {count} disks": "disks",
        f"only the `libvirt_vm` task, {count} VMs": "vms",
        f"`community.libvirt.virt` in loops, define and running, {count} VMs": "community",
    }
    rows = ((words, seconds(beyond(data, way))) for words, way in ways.items())
    return f"""
## {count} right VMs with {count} disks, again

All of them run and are as they should be. Beyond a play with only `ansible.builtin.ping`, which takes
{seconds(data["ping"])}:

{table(["play", "seconds"], rows)}

The loops (of `{data["package"]}`, one turn), which look at no disk, take
{times(beyond(data, "community"), beyond(data, "both"))} as long as both tasks.
"""


MANY = Part("vms", "ever more VMs", measure_many, tell_many, (1, 10, 50, 100), plot_many)
RIGHT = Part("right", "VMs with disks that are right already", measure_right, tell_right, (100,))
