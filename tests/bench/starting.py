# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part about one start of a VM, and domains as somebody defines them who does not know what libgfapi takes."""

from __future__ import annotations

import typing as t

from lxml import etree

from ansible_collections.gfapi.virt.tests.bench.lab import MOUNT, VOLUME, Data, Lab
from ansible_collections.gfapi.virt.tests.bench.part import Part, seconds, table, times

#: started and ended in turns, on the host; prints a JSON list of seconds for each
STARTS = """
import json, subprocess, sys, time
names, runs = sys.argv[1].split(","), int(sys.argv[2])
seconds = {name: {"start": [], "stop": []} for name in names}
for _ in range(runs):
    for name in names:
        for verb, step in (("start", "start"), ("destroy", "stop")):
            begin = time.perf_counter()
            subprocess.run(["virsh", verb, name], check=True, stdout=subprocess.DEVNULL, timeout=300)
            seconds[name][step].append(time.perf_counter() - begin)
print(json.dumps(seconds))
"""


def domain_xml(lab: Lab, domain: str) -> etree._Element:
    return etree.fromstring(lab.host.check_output("virsh dumpxml --inactive %s", domain))


def without_care(lab: Lab, domain: str) -> etree._Element:
    """A domain's XML without what spares libvirt the opening of its images."""
    xml = domain_xml(lab, domain)
    for label in xml.findall("seclabel"):
        xml.remove(label)
    for disk in xml.iterfind("devices/disk"):
        for backing in disk.findall("backingStore"):
            disk.remove(backing)
    return xml


def plain_xml(lab: Lab, domain: str, name: str) -> str:
    """The XML of a domain under another name, with the disk on the image of that name as a newcomer writes it."""
    xml = without_care(lab, domain)
    images = lab.host.check_output("grep -l %s %s/*/images/*/*.meta", f'"DiskAlias":"{name}"', MOUNT).split()
    image = images[0].removeprefix(f"{MOUNT}/").removesuffix(".meta")
    for node in xml.findall("uuid"):
        xml.remove(node)
    for node in xml.findall("name"):
        node.text = name
    for source in xml.iterfind("devices/disk/source"):
        source.set("name", f"{VOLUME}/{image}")
    return etree.tostring(xml, encoding="unicode")


def owner(lab: Lab, domain: str) -> str:
    """uid:gid of a domain's image, on the mount."""
    source = domain_xml(lab, domain).find("devices/disk/source")
    if source is None:
        return ""
    path = source.get("name", "").partition("/")[2]
    return str(lab.host.check_output("stat -c %%u:%%g %s", f"{MOUNT}/{path}").strip())


def measure(lab: Lab, _counts: t.Sequence[int]) -> Data:
    """Our VM, one with the disk that a newcomer writes, and one without a disk."""
    text = etree.tostring(without_care(lab, "plain"), encoding="unicode")
    lab.host.check_output("printf %%s %s > /run/plain.xml && virsh define /run/plain.xml", text)
    found = lab.python(STARTS, "ours,plain,bare", str(lab.turns))
    return {name: {**found[name], "owner": owner(lab, name)} for name in found}


def tell(data: Data) -> str:
    domains = {
        "bare": "without any disk",
        "ours": "as `libvirt_vm` defines it",
        "plain": "the same with a plain `<disk>` (no `<backingStore>`, no seclabel)",
    }
    bare_s = data["bare"]["start"]
    rows = (
        (
            words,
            seconds(data[name]["start"]),
            "" if name == "bare" else f"{data[name]['start'] - bare_s:.2f} s",
            data[name]["owner"],
        )
        for name, words in domains.items()
    )
    longer = times(data["plain"]["start"], data["ours"]["start"])
    return f"""
## Starting a VM

{table(["domain", "`virsh start`", "beyond QEMU's own start", "owner of the image afterwards"], rows)}

The plain disk takes {longer} as long: libvirt opens the image twice, to probe its chain and to change its owner, and
libgfapi takes 10 s to close.
"""


START = Part("start", "start of a VM", measure, tell)
