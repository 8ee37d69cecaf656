# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part about VMs that go over from FUSE to gfapi."""

from __future__ import annotations

import typing as t

from ansible_collections.gfapi.virt.tests.bench.lab import (
    HOST,
    MOUNT,
    VOLUME,
    Data,
    Lab,
    Play,
    change_tasks,
    disk_tasks,
    vm_tasks,
)
from ansible_collections.gfapi.virt.tests.bench.part import Part, beyond, seconds, table
from ansible_collections.gfapi.virt.tests.bench.vms import DUMP, each

#: rewrites domains as people do by hand, and puts them back, in turns; prints a JSON list of seconds
BY_HAND = """
import json, subprocess, sys, time
convert, restore, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
def shell(script):
    subprocess.run(["sh", "-euc", script], check=True, stdout=subprocess.DEVNULL, timeout=600)
seconds = []
for _ in range(runs):
    begin = time.perf_counter()
    shell(convert)
    seconds.append(time.perf_counter() - begin)
    shell(restore)
print(json.dumps(seconds))
"""
FOLDER = "/run/bench-by-hand"
NETWORK = f"<source protocol='gluster' name='{VOLUME}/\\1'><host name='{HOST}' port='24007'/></source>"
SED = f"""sed -e "s|<disk type='file'|<disk type='network'|" -e "s|<source file='{MOUNT}/\\([^']*\\)'/>|{NETWORK}|\""""


def measure(lab: Lab, counts: t.Sequence[int]) -> Data:
    return {"rows": [convert(lab, [f"way-{number}" for number in range(count)]) for count in counts]}


def convert(lab: Lab, names: t.Sequence[str]) -> Data:
    """VMs that are shut off go over to gfapi and back, by one task; and there by hand."""
    lab.play([*disk_tasks(names, size="1GiB"), *vm_tasks(names, state="present", access="fuse")])
    ways: dict[str, Play] = {
        "gfapi": lambda _turn: change_tasks(names, access="gfapi"),
        "fuse": lambda _turn: change_tasks(names, access="fuse"),
    }
    plays = lab.in_turns(ways)
    found = {**plays, "by_hand": by_hand(lab, names)}
    lab.play([*change_tasks(names, state="absent"), *disk_tasks(names, state="absent")])
    return {"count": len(names), **found}


def by_hand(lab: Lab, names: t.Sequence[str]) -> float:
    dump = f"virsh dumpxml --inactive $name > {FOLDER}/$name.xml"
    lab.host.check_output(f"mkdir -p {FOLDER}; {each(names, dump)}")
    there = each(names, f"virsh dumpxml --inactive $name | {SED} > {FOLDER}/new.xml && virsh define {FOLDER}/new.xml")
    seconds_of_each = lab.python(BY_HAND, there, each(names, f"virsh define {FOLDER}/$name.xml"), str(lab.turns))
    lab.host.check_output(there)
    if left := [name for name, xml in lab.python(DUMP, *names).items() if "protocol='gluster'" not in xml]:
        raise SystemExit(f"bench: by hand {', '.join(left)} did not go over")
    lab.host.check_output(f"rm -r {FOLDER}")
    return float(seconds_of_each)


def tell(data: Data) -> str:
    heads = ["VMs", "to gfapi, one `libvirt_vm` task", "and back", "by hand: `virsh dumpxml`, `sed`, `virsh define`"]
    rows = (
        [row["count"], *(seconds(beyond(row, way)) for way in ("gfapi", "fuse")), seconds(row["by_hand"])]
        for row in data["rows"]
    )
    few, many = data["rows"][0], data["rows"][-1]
    few_each, many_each = (seconds(beyond(row, "gfapi") / row["count"]) for row in (few, many))
    return f"""
## VMs from FUSE to gfapi

VMs that are shut off; the files stay where they are. Of the plays, the time of one with only `ansible.builtin.ping` is
taken off.

{table(heads, rows)}

By hand nothing is asked first, files get no length that libgfapi can read and no owner, and disks name one server. The
task takes {many_each} for each of {many["count"]}, and {few_each} for {few["count"]}.
"""


CONVERSION = Part("conversion", "VMs from FUSE to gfapi", measure, tell, (1, 10))
