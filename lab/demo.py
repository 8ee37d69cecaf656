# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo behind `make demo`: lab up, playbooks/site.yml run on it, and a summary of what is really there.

Called by lab/demo with three times: start, system packages there, virtualenv there; and with the folder that the
collection is installed in, unless it is the checkout's. The summary asks gluster, virsh, QEMU's monitor and the mount
on the host; nothing in it is what the playbook said or meant to do. It fails if a disk does not go through gfapi.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / ".cache" / "lab" / "demo"
HOST = "gfapi-lab-demo-1"
VENV = ROOT / ".cache" / "venv" / "bin"
PLAYBOOK = f"{(VENV / 'ansible-playbook').relative_to(ROOT)} -i {(LAB / 'inventory.yml').relative_to(ROOT)}"


# --- the steps ------------------------------------------------------------------------------------


def headline(text: str) -> None:
    print(f"\n=== {text}", flush=True)


def timed(title: str, command: list[str], folder: Path = ROOT, **environment: str) -> float:
    headline(title)
    begin = time.monotonic()
    status = subprocess.run(command, cwd=folder, env=os.environ | environment).returncode
    if status != 0:
        sys.exit(f"demo: {title} failed: {shlex.join(command)} ended with status {status}")
    return time.monotonic() - begin


def run_site(collections: Path | None) -> tuple[dict[str, float], int]:
    """playbooks/site.yml on the lab: seconds per step, and how many tasks changed something."""
    steps = LAB / "steps.json"
    command = [str(VENV / "ansible-playbook"), "gfapi.virt.site"]
    command += ["--inventory", str(LAB / "inventory.yml"), "--extra-vars", f"@{ROOT}/lab/demo.yml"]
    # away from the checkout's ansible.cfg, Ansible finds what is installed there and nothing else
    elsewhere = {"ANSIBLE_COLLECTIONS_PATH": str(collections)} if collections else {}
    spent = timed(
        "The collection's playbook gfapi.virt.site on the host",
        command,
        collections or ROOT,
        **elsewhere,
        PATH=f"{VENV}:{os.environ['PATH']}",
        ANSIBLE_CALLBACK_PLUGINS=str(ROOT / "lab" / "callback"),
        ANSIBLE_CALLBACKS_ENABLED="steps",
        ANSIBLE_DISPLAY_SKIPPED_HOSTS="false",
        GFAPI_LAB_STEPS=str(steps),
    )
    report = json.loads(steps.read_text())
    seconds = report["seconds"]
    return seconds | {"Ansible's start, facts": spent - sum(seconds.values())}, report["changes"]


# --- what is there --------------------------------------------------------------------------------


def ask(*command: str) -> str:
    done = subprocess.run(["podman", "exec", HOST, *command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"demo: {shlex.join(command)} on {HOST}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def ask_xml(*command: str) -> ElementTree.Element:
    return ElementTree.fromstring(ask(*command))


def human(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB" if size >= 1024**3 else f"{size / 1024**2:.0f} MiB"


def describe_volume(name: str) -> Iterator[str]:
    gluster = ("gluster", "--mode=script", "--xml", "volume")
    volume = ask_xml(*gluster, "info", name).find(".//volume")
    if volume is None:
        sys.exit(f"demo: gluster knows no volume {name}")
    status = ask_xml(*gluster, "status", name)
    online = {node.findtext("path") for node in status.iter("node") if node.findtext("status") == "1"}
    yield f"{name}: {volume.findtext('typeStr')} x{volume.findtext('replicaCount')}, {volume.findtext('statusStr')}"
    for brick in volume.findall("bricks/brick"):
        where = brick.findtext("name", "")
        yield f"  brick {where}  {'online' if where.partition(':')[2] in online else 'OFFLINE'}"
    yield f"  {len(volume.findall('options/option'))} options set"


@functools.cache
def mount_points() -> list[str]:
    return ask("findmnt", "--raw", "--noheadings", "--types", "fuse.glusterfs", "--output", "TARGET").split()


def describe_storage_domains() -> Iterator[str]:
    for line in mount_points():
        size, free = (int(number) for number in ask("stat", "-f", "--format=%b %a", line).split())
        block = int(ask("stat", "-f", "--format=%S", line))
        for metadata in ask("find", line, "-path", "*/dom_md/metadata").split():
            pairs = dict(text.split("=", 1) for text in ask("cat", metadata).splitlines() if "=" in text)
            yield f"{pairs.get('DESCRIPTION')}: {pairs.get('TYPE')} {pairs.get('CLASS')}, {pairs.get('SDUUID')}"
        yield f"  mounted on {line}, {human(free * block)} of {human(size * block)} free"


@dataclass(frozen=True)
class Disk:
    target: str
    size_bytes: int
    driver: str
    io_path: str
    source: str


def read_io_path(filename: str) -> tuple[str, str]:
    """How QEMU reaches an image, from the file name that it gives itself: (io_path, where)."""
    if filename.startswith("json:"):
        node = json.loads(filename.removeprefix("json:"))
        while "file" in node:
            node = node["file"]
        if node["driver"] == "gluster":
            server = node.get("server.0.host") or node["server"][0]["host"]
            return "gfapi", f"gluster://{server}/{node['volume']}/{node['path']}"
        return node["driver"], node.get("filename", filename)
    if filename.startswith("gluster"):
        return "gfapi", filename
    return ("fuse" if "/glusterSD/" in filename else "file"), filename


def disks_of(vm: str) -> list[Disk]:
    """The disks of a running VM, from QEMU's own monitor."""
    aliases = {
        disk.find("alias").get("name", ""): disk.find("target").get("dev", "")  # type: ignore[union-attr]
        for disk in ask_xml("virsh", "dumpxml", vm).iter("disk")
    }
    answer = json.loads(ask("virsh", "qemu-monitor-command", vm, '{"execute": "query-block"}'))
    disks = []
    for device in answer["return"]:
        inserted = device["inserted"]
        io_path, source = read_io_path(inserted["file"])
        target = next((dev for alias, dev in aliases.items() if alias in device["qdev"].split("/")), "?")
        disks.append(Disk(target, inserted["image"]["virtual-size"], inserted["drv"], io_path, source))
    return sorted(disks, key=lambda disk: disk.target)


def alias_of(source: str) -> str:
    """The image's name, from the metadata that the storage domain keeps beside it."""
    path = source.split("/", 4)[-1]
    for mount_point in mount_points():
        for line in ask("sh", "-c", f"cat '{mount_point}/{path}.meta' 2>/dev/null || true").splitlines():
            if line.startswith("DESCRIPTION="):
                return str(json.loads(line.partition("=")[2])["DiskAlias"])
    return "no storage domain's"


def describe_vms() -> Iterator[str]:
    for vm in ask("virsh", "list", "--all", "--name").split():
        state = ask("virsh", "domstate", vm).strip()
        domain = ask_xml("virsh", "dumpxml", vm)
        memory_kib, vcpus = domain.findtext("memory", "0"), domain.findtext("vcpu")
        yield f"{vm}: {state}, {int(memory_kib) // 1024} MiB, {vcpus} vCPU ({domain.get('type')})"
        for disk in disks_of(vm) if state == "running" else ():
            image = f"{alias_of(disk.source)}, {human(disk.size_bytes)} {disk.driver}"
            yield f"  {disk.target}  io_path: {disk.io_path}  {image}"
            yield f"       {disk.source}"
        log = domain.find("devices/serial/log")
        if log is not None:
            said = [line for line in ask("cat", log.get("file", "")).splitlines() if "GFAPI-GUEST: written" in line]
            yield from (f"  the guest wrote and read back {line.split(': written ')[1].strip()}" for line in said[-1:])


def summary(seconds: dict[str, float], changes: int) -> None:
    headline("What was built, as the host itself tells it")
    volumes = ask("gluster", "--mode=script", "volume", "list").split()
    parts = {
        "Volume": [line for name in volumes for line in describe_volume(name)],
        "Storage domain": list(describe_storage_domains()),
        "Virtual machines": list(describe_vms()),
        "Time": [f"{step:<42} {spent:6.1f} s" for step, spent in seconds.items()]
        + [f"{'all in all':<42} {sum(seconds.values()):6.1f} s"],
        "Changes": [f"{changes} tasks changed something" if changes else "none: all was as it should be"],
        "Look around": [
            f"podman exec -it {HOST} bash",
            f"ssh -i {LAB.relative_to(ROOT)}/id_ed25519 root@{address()}",
            f"podman exec {HOST} virsh list --all",
            f"podman exec {HOST} gluster volume info",
            f"podman exec {HOST} tail -f /var/log/libvirt/qemu/guest1-console.log",
            "edit lab/demo.yml, and `make demo` again",
        ],
        "Pages of it": [
            f"{PLAYBOOK} gfapi.virt.report",
            f"{PLAYBOOK} gfapi.virt.benchmark -e benchmark_storage_domain=vms -e benchmark_seconds=2",
            "(in seconds and in eight minutes; each tells where its page is)",
        ],
        "Remove it": [
            "lab/lab down demo      (the host and all it holds)",
            "make clean             (the lab as a whole)",
        ],
    }
    for title, lines in parts.items():
        print(f"\n{title}")
        for line in lines:
            print(f"  {line}")


def address() -> str:
    return ask("hostname", "-i").split()[0]


def prove() -> None:
    vms = ask("virsh", "list", "--name").split()
    paths = {f"{vm} {disk.target}": disk.io_path for vm in vms for disk in disks_of(vm)}
    if not paths or set(paths.values()) != {"gfapi"}:
        sys.exit(f"demo: not every disk goes through gfapi: {paths}")


def main() -> None:
    os.environ["CONTAINERS_CONF"] = str(ROOT / "lab" / "containers.conf")
    started, packages, virtualenv = (float(argument) for argument in sys.argv[1:4])
    collections = Path(sys.argv[4]).resolve() if sys.argv[4:] else None
    seconds = {"system packages": packages - started, "virtualenv": virtualenv - packages}
    seconds["lab image"] = timed("Image of the lab's host", ["lab/lab", "image", "--variant", "bare"])
    seconds["lab host up"] = timed(
        "A host in the lab, with nothing of Gluster, QEMU or libvirt", ["lab/lab", "up", "demo"]
    )
    roles, changes = run_site(collections)
    summary(seconds | roles, changes)
    prove()


if __name__ == "__main__":
    main()
