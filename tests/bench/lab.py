# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's host that is measured on: plays, commands, and how long they take."""

from __future__ import annotations

import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from datetime import date
from pathlib import Path

import testinfra

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".cache" / "venv" / "bin"
HOST = "gfapi-lab-bench-1"
VOLUME = "vmstore"
INVENTORY = ROOT / ".cache" / "lab" / "bench" / "inventory.yml"
#: the community package that has gluster.gluster, of a time when it still had it; only for the comparison
ANSIBLE = "ansible==9.13.0"
COMMUNITY = ROOT / ".cache" / "bench-ansible"
MOUNT = f"/rhev/data-center/mnt/glusterSD/{HOST}:_{VOLUME}"
#: up to so many, what is made is made in every turn; of more, once
FEW = 10

Tasks = list[dict[str, t.Any]]
Data = dict[str, t.Any]
#: what a turn runs, by its number
Play = t.Callable[[int], Tasks]
#: the tasks of a play that tells what Ansible itself costs; measured beside what it is taken off from
PING: Tasks = [{"ansible.builtin.ping": {}}]

VARIABLES: Data = {
    "gluster_volume_prep_volume": VOLUME,
    "gluster_volume_prep_bricks": [f"{HOST}:/bricks/b{number}" for number in (1, 2, 3)],
    "gluster_volume_prep_force": True,
    "gluster_storage_domain_name": "vms",
    "gluster_storage_domain_spec": f"{HOST}:/{VOLUME}",
    # each with an image of its own: libvirt changes the owner of a plain disk's image
    "vm_gfapi_disks": [{"name": name, "size": "1GiB"} for name in ("ours", "plain")],
    "vm_gfapi_vms": [
        {"name": name, "memory": "64MiB", "virt_type": "qemu", "disks": disks}
        for name, disks in (("ours", [{"name": "ours"}]), ("plain", [{"name": "plain"}]), ("bare", []))
    ],
}

#: runs a shell's commands up to the first that fails; prints seconds
TIMED = """
import json, subprocess, sys, time
begin = time.perf_counter()
subprocess.run(["sh", "-euc", sys.argv[1]], check=True, stdout=subprocess.DEVNULL, timeout=1800)
print(json.dumps(time.perf_counter() - begin))
"""


def say(text: str) -> None:
    print(f"=== {text}", flush=True)


def ansible(program: str, *words: str) -> None:
    command = [str(VENV / program), "-i", str(INVENTORY), *words]
    collections = f"{ROOT / '.cache' / 'collections'}:{COMMUNITY}"
    environment = {**os.environ, "PATH": f"{VENV}:{os.environ['PATH']}", "ANSIBLE_COLLECTIONS_PATH": collections}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def disk_tasks(names: t.Iterable[str], **wanted: str) -> Tasks:
    """One task for all the disks."""
    disks = [{"name": name, **wanted} for name in names]
    return [{"gfapi.virt.gfapi_disk": {"storage_domain": "vms", "disks": disks}}]


def change_tasks(names: t.Iterable[str], **wanted: t.Any) -> Tasks:
    """One task for all the VMs, which have whatever they have."""
    vms = [{"name": name, **wanted} for name in names]
    return [{"gfapi.virt.libvirt_vm": {"storage_domain": "vms", "vms": vms}}]


def vm_tasks(names: t.Iterable[str], **wanted: t.Any) -> Tasks:
    """One task for all the VMs, each small and with the disk of its name."""
    vms = [
        {"name": name, "memory": "64MiB", "virt_type": "qemu", "disks": [{"name": name}], **wanted} for name in names
    ]
    return [{"gfapi.virt.libvirt_vm": {"storage_domain": "vms", "vms": vms}}]


def medians(found: t.Any) -> t.Any:
    """Lists of seconds → their median, at any depth."""
    if isinstance(found, dict):
        return {name: medians(value) for name, value in found.items()}
    return statistics.median(found) if isinstance(found, list) else found


class Lab:
    """One host, with a storage domain and three VMs that are shut off: ours, plain and bare."""

    def __init__(self, turns: int) -> None:
        self.turns = turns
        self.host = testinfra.get_host(f"ansible://{HOST}?ansible_inventory={INVENTORY}")

    def play(self, tasks: Tasks) -> float:
        """How long a play of these tasks takes on the host, Ansible's own start included."""
        play = [{"hosts": HOST, "gather_facts": False, "tasks": tasks}]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump(play, file)
            file.flush()
            begin = time.perf_counter()
            ansible("ansible-playbook", file.name)
            return time.perf_counter() - begin

    def in_turns(self, plays: t.Mapping[str, Play]) -> dict[str, float]:
        """The median seconds of each play, one run of each after the other; those of `ping` with them."""
        every: dict[str, Play] = {"ping": lambda _turn: PING, **plays}
        seconds: dict[str, list[float]] = {name: [] for name in every}
        for turn in range(self.turns):
            for name, tasks in every.items():
                seconds[name].append(self.play(tasks(turn)))
        return {name: statistics.median(values) for name, values in seconds.items()}

    def python(self, script: str, *words: str) -> t.Any:
        """What a script on the host prints as JSON, medians in place of lists."""
        output = self.host.check_output("python3 -c %s" + " %s" * len(words), script, *words)
        return medians(json.loads(output))

    def shell_s(self, script: str) -> float:
        """How long a shell on the host takes for it."""
        return float(self.python(TIMED, script))

    def made_with(self) -> dict[str, t.Any]:
        """What was measured, with which programs, when and on what."""
        glusterfs, qemu, libvirt = (
            self.host.check_output(f"{program} --version").splitlines()[0]
            for program in ("glusterfs", "qemu-img", "libvirtd")
        )
        described = ["git", "describe", "--always", "--dirty"]
        commit = subprocess.run(described, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
        return {
            "date": str(date.today()),
            "commit": commit.strip(),
            "cores": os.cpu_count(),
            "turns": self.turns,
            "versions": [glusterfs, qemu, libvirt, f"ansible-core {importlib.metadata.version('ansible-core')}"],
        }


def install_community() -> None:
    """gluster.gluster where only the comparison finds it: the package alone, beside no other Ansible."""
    if not (COMMUNITY / "ansible_collections" / "gluster" / "gluster").is_dir():
        pip = [str(VENV / "pip"), "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--target", str(COMMUNITY), ANSIBLE], check=True, timeout=900)


def bring_up(*, fresh: bool) -> None:
    """The lab's host, made anew or as it is, with volume, storage domain and VMs by playbook site."""
    options = ["--fresh"] if fresh else []
    subprocess.run([ROOT / "lab" / "lab", "up", *options, "bench"], check=True, cwd=ROOT, timeout=1800)
    say("volume, storage domain and VMs by playbook site")
    ansible("ansible-playbook", "gfapi.virt.site", "-e", json.dumps(VARIABLES))
