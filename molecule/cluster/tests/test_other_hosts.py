# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts do to one another: images that another host has open, and many runs at one moment."""

from __future__ import annotations

import subprocess
import typing as t
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import yaml
from hosts import Guest, System
from modules import ANSIBLE, ROOT

from conftest import LAB, VOLUME

#: runs at one moment, on all hypervisors together
RUNS = 10
CROWD = "crowd"


def test_an_image_that_another_host_has_open_is_left_alone(guests: list[Guest], hypervisors: list[System]) -> None:
    here, there = guests
    assert (here.state, there.state) == ("running", "running")
    modules = LAB.modules(hypervisors[0].name)
    disk = {"storage_domain": "vms", "name": f"{there.name}-root"}
    used_there = f"it is used by VM {there.name} on host {there.system.name}"
    assert f"{used_there} (running)" in modules.refused("gfapi_disk", **disk, state="absent")
    assert f"{used_there} (running)" in modules.refused("gfapi_disk", **disk, size="2GiB", force=True)
    there.shut_down()
    assert f"{used_there} (not running)" in modules.refused("gfapi_disk", **disk, size="2GiB")
    # not grown for real: converge.yml has its size
    planned = modules.done("gfapi_disk", check=True, **disk, size="2GiB", force=True)
    assert planned["actions"] == [f"grow disk {there.name}-root from 1 GiB to 2 GiB"]
    there.start()


def test_a_storage_domain_that_another_host_runs_on_is_left_alone(
    guests: list[Guest], hypervisors: list[System], nodes: list[System], mount_point: str
) -> None:
    """A node has no libvirt domain of its own, and mounts nothing."""
    assert [guest.state for guest in guests] == ["running", "running"]
    ending = {"name": "vms", "spec": f"{nodes[0].name}:/{VOLUME}", "state": "absent", "confirm": "vms"}
    words = LAB.modules(nodes[2].name).refused("glusterfs_domain", **ending)
    assert words.startswith("storage domain vms is in use: its bricks have images open, for VMs of other hosts")
    assert all(f"{guest.name}-root" in words for guest in guests)
    assert hypervisors[0].host.file(f"{mount_point}").exists


@pytest.fixture
def both(
    hypervisors: list[System],
) -> t.Iterator[t.Callable[[t.Mapping[str, t.Any], t.Mapping[str, t.Any]], list[t.Any]]]:
    """Runs gfapi_disk on both hypervisors at one moment; the disks `same-*` are gone afterwards."""

    def run(*args: t.Mapping[str, t.Any]) -> list[t.Any]:
        with ThreadPoolExecutor() as pool:
            runs = [
                pool.submit(LAB.modules(system.name).done, "gfapi_disk", storage_domain="vms", **each)
                for system, each in zip(hypervisors, args)
            ]
            return [one.result() for one in runs]

    yield run
    gone = [{"name": f"same-{number}", "state": "absent"} for number in range(RUNS)]
    LAB.modules(hypervisors[0].name).done("gfapi_disk", storage_domain="vms", disks=gone)


def test_two_hosts_make_the_same_disks_and_grow_them_at_one_moment(
    both: t.Callable[..., list[t.Any]], hypervisors: list[System]
) -> None:
    formats = ("qcow2", "raw")
    disks = [{"name": f"same-{number}", "size": "1GiB", "format": formats[number % 2]} for number in range(RUNS)]
    first, second = (made["disks"] for made in both({"disks": disks}, {"disks": disks}))
    assert [disk["image_uuid"] for disk in first] == [disk["image_uuid"] for disk in second]
    for disk in first:
        folder, _slash, volume = disk["path"].rpartition("/")
        assert hypervisors[0].lines("ls", "-A", folder) == [volume, f"{volume}.lease", f"{volume}.meta"]
    for gibibytes in (2, 30, 31):
        larger = {"disks": [{**disk, "size": f"{gibibytes}GiB"} for disk in disks]}
        both(larger, larger)
        for system in hypervisors:
            again = LAB.modules(system.name).done("gfapi_disk", storage_domain="vms", **larger)
            assert not again["changed"], again["actions"]
            assert {disk["virtual_size_bytes"] for disk in again["disks"]} == {gibibytes << 30}
        for disk in first:
            assert f"CAP={gibibytes << 30}" in hypervisors[1].lines("cat", f"{disk['path']}.meta")
            if disk["format"] == "qcow2":
                hypervisors[1].run("qemu-img", "check", "-q", "-f", "qcow2", disk["path"])


@pytest.fixture
def crowd(nodes: list[System], hypervisors: list[System]) -> t.Iterator[str]:
    """A started volume with nothing on it."""
    bricks = [f"{node.name}:/bricks/{CROWD}" for node in nodes]
    nodes[0].run("gluster", "--mode=script", "volume", "create", CROWD, "replica", "3", *bricks)
    nodes[0].run("gluster", "--mode=script", "volume", "start", CROWD)
    yield f"{nodes[0].name}:/{CROWD}"
    for system in hypervisors:
        system.host.run("for point in $(grep -o '[^ ]*/crowd-mount-[0-9]*/[^ ]*' /proc/mounts); do umount $point; done")
        system.run("rm", "-rf", "/mnt/crowd-mount-*")
    for verb in ("stop", "delete"):
        nodes[0].run("gluster", "--mode=script", "volume", verb, CROWD)
    for node in nodes:
        node.run("rm", "-rf", f"/bricks/{CROWD}")


def test_of_ten_hosts_at_one_moment_one_makes_it(crowd: str, hypervisors: list[System], tmp_path: Path) -> None:
    """Each run has a mount of its own, as a host of its own would have."""
    inventory = yaml.safe_load(LAB.inventory.read_text())["all"]
    addresses = [inventory["hosts"][system.name]["ansible_host"] for system in hypervisors]
    runs = {f"run{n}": {"ansible_host": addresses[n % 2], "root": f"/mnt/crowd-mount-{n}"} for n in range(RUNS)}
    hosts = tmp_path / "inventory.yml"
    hosts.write_text(yaml.safe_dump({"all": {"vars": inventory["vars"], "hosts": runs}}))
    module = {"name": CROWD, "spec": crowd, "mount_root": "{{ root }}"}
    tasks = [
        {"gfapi.virt.glusterfs_domain": module, "register": "made"},
        {
            "ansible.builtin.copy": {
                "content": "{{ made.storage_domain.uuid }}",
                "dest": f"{tmp_path}/{{{{ inventory_hostname }}}}",
            },
            "delegate_to": "localhost",
            "connection": "local",
        },
    ]
    play = tmp_path / "play.yml"
    play.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "strategy": "free", "tasks": tasks}]))
    command = [f"{ANSIBLE}-playbook", "-i", str(hosts), "--forks", str(RUNS), str(play)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    uuids = {(tmp_path / name).read_text() for name in runs}
    assert len(uuids) == 1
    root = f"/mnt/crowd-mount-0/{crowd.replace('/', '_')}"
    left = hypervisors[0].lines("ls", "-A", root)
    assert [name for name in left if not name.startswith(".") or name.startswith(".gfapi-virt-storage")] == list(uuids)


@pytest.fixture
def pair(crowd: str, hypervisors: list[System]) -> t.Iterator[str]:
    """A storage domain that both hypervisors have mounted: its mount point."""
    for system in hypervisors:
        LAB.modules(system.name).done("glusterfs_domain", name=CROWD, spec=crowd)
    yield f"/rhev/data-center/mnt/glusterSD/{crowd.replace('/', '_')}"
    for system in hypervisors:
        LAB.modules(system.name).done("glusterfs_domain", name=CROWD, spec=crowd, state="maintenance")


def test_of_two_data_centers_at_one_moment_one_gets_it(pair: str, crowd: str, hypervisors: list[System]) -> None:
    """Both hosts have planned when they wait for the lock, which a program on the second one has until then."""
    centers = ("2a1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11", "3a1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11")
    args = {"name": CROWD, "spec": crowd}
    lock = f"{pair}/.gfapi-virt-lock"
    hold = 'exec 9<> "$1" && flock 9 && { sleep 600 > /dev/null 2>&1 & echo $!; }'
    # the first change of all makes the file
    for state in ("active", "detached"):
        LAB.modules(hypervisors[0].name).done("glusterfs_domain", **args, data_center=centers[0], state=state)
    holder = hypervisors[1].run("sh", "-c", hold, "sh", lock).strip()

    def attach(system: System, data_center: str) -> t.Any:
        return LAB.modules(system.name).run("glusterfs_domain", **args, data_center=data_center)

    def waiting(system: System) -> bool:
        found = system.host.run(f"for file in /proc/[0-9]*/fd/*; do readlink $file; done | grep -c '^{lock}$'").stdout
        return int(found) > (1 if system is hypervisors[1] else 0)

    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(attach, system, center) for system, center in zip(hypervisors, centers)]
        for system in hypervisors:
            system.wait("run at the lock", partial(waiting, system), timeout_s=50)
        hypervisors[1].run("kill", holder)
        results = [run.result() for run in runs]
    (winner,) = [center for center, result in zip(centers, results) if not result["failed"]]
    (told,) = [result["msg"] for result in results if result["failed"]]
    assert told.startswith(f"storage domain {CROWD} belongs to data center {winner}")
    metadata = hypervisors[0].find(f"{pair}/*/dom_md/metadata")
    for system in hypervisors:
        assert f"POOL_UUID={winner}" in system.lines("cat", metadata)
