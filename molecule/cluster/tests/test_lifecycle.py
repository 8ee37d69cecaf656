# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage domain from the first start of its volume to its end, by the playbooks as AWX runs them: values as text.

One that this collection made, and those that an older oVirt did.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import typing as t
from pathlib import Path

import job
import pytest
from hosts import Guest, System
from older import plant_older

from conftest import LAB, ask

VOLUME = "life"
NAME = "life of a storage domain"
GUEST = "mortal"
KERNEL = "/var/lib/gfapi-lab/guest"
DATA_CENTER = "Default"
#: an image of a storage domain that an older oVirt left, with its layers
CHAIN = "22222222-0000-4000-8000-000000000000"
BASE = "22222222-0000-4000-8000-000000000001"
LEAF = "22222222-0000-4000-8000-000000000002"
Run = t.Callable[..., job.Job]


@pytest.fixture
def volume(nodes: list[System], hypervisors: list[System]) -> t.Iterator[str]:
    """A volume that was never started. It is gone afterwards, whatever became of it."""
    bricks = [f"{node.name}:/bricks/{VOLUME}" for node in nodes]
    nodes[0].run("gluster", "--mode=script", "volume", "create", VOLUME, "replica", "3", *bricks)
    yield VOLUME
    for hypervisor in hypervisors:
        gone = f"virsh destroy {GUEST}; virsh undefine {GUEST}; umount -l /rhev/data-center/mnt/glusterSD/*:_{VOLUME}"
        hypervisor.host.run(gone)
    for verb in ("stop", "delete"):
        nodes[0].host.run(f"gluster --mode=script volume {verb} {VOLUME}")
    for node in nodes:
        node.host.run(f"rm -rf /bricks/{VOLUME}")


@pytest.fixture
def run(tmp_path: Path, nodes: list[System], volume: str) -> Run:
    """`run("stop_volume", check=True)` runs one playbook once, with the answers and what else is given."""
    count = iter(range(1000))

    def run_playbook(playbook: str, *, check: bool = False, limit: str = "", **answers: object) -> job.Job:
        which = {"name": NAME, "volume": volume, "servers": [node.name for node in nodes], **answers}
        asked = {f"gluster_storage_domain_{name}": value for name, value in which.items()}
        text = job.survey(asked, playbook=playbook)
        assert all(isinstance(answer, str) for answer in text.values())
        folder = tmp_path / str(next(count))
        return job.run(folder, LAB.inventory, text, check=check, playbook=playbook, limit=limit)

    return run_playbook


@pytest.fixture
def step(run: Run) -> Run:
    """A check, the run and the run again: the check tells what the run does, the second run does nothing."""

    def all_three(playbook: str, **answers: object) -> job.Job:
        foreseen, done, again = (run(playbook, check=check, **answers) for check in (True, False, False))
        for result in (foreseen, done, again):
            assert (result.failures, result.status) == ([], "successful")
        assert foreseen.changed
        assert foreseen.changed <= done.changed
        assert done.changed <= foreseen.changed | foreseen.planned
        assert (again.changed, again.planned) == (set(), set())
        return done

    return all_three


@pytest.fixture
def refused(run: Run) -> t.Callable[..., str]:
    """What a run that must fail says; `in_check`: in check mode it says the same."""

    def failing(playbook: str, *, in_check: bool = False, **answers: object) -> str:
        done = run(playbook, **answers)
        assert (done.failures == [], done.changed) == (False, set())
        said = _without_numbers(done.failures)
        if in_check:
            assert _without_numbers(run(playbook, check=True, **answers).failures) == said
        return " | ".join(said)

    return failing


def _without_numbers(failures: list[str]) -> list[str]:
    return [re.sub(r"/run/gfapi-virt/\d+", "a look", words) for words in failures]


def boot(guest: Guest, storage_domain: str, *disks: str) -> None:
    """A machine that runs from images of a storage domain."""
    LAB.modules(guest.system.name).done(
        "libvirt_vm",
        name=guest.name,
        storage_domain=storage_domain,
        state="running",
        virt_type="qemu",
        memory="256MiB",
        kernel=f"{KERNEL}/vmlinuz",
        initrd=f"{KERNEL}/initrd.img",
        cmdline="console=ttyS0 quiet no_timer_check",
        disks=[{"name": disk} for disk in disks],
        serial_log=guest.log,
        wait_for={"console": "GFAPI-GUEST: ready", "timeout": 180},
    )


def mounted(hypervisors: list[System]) -> list[bool]:
    return [f":/{VOLUME} " in system.run("cat", "/proc/mounts") for system in hypervisors]


def status(node: System) -> str | None:
    return ask(node, "volume", "info").findtext(f".//volume[name='{VOLUME}']/statusStr")


@contextlib.contextmanager
def foreign_client(system: System) -> t.Iterator[None]:
    """A mount of the volume that is nobody's business here, for as long as the context lasts."""
    place = system.run("mktemp", "--directory").strip()
    system.run("mount", "-t", "glusterfs", f"{system.name}:/{VOLUME}", place)
    yield
    system.run("umount", place)


UNSUITED = {
    "active": {"stop_volume": True, "running_vms": "shutdown", "volume_policy": "delete", "purge_data": True},
    "maintenance": {"start_volume": True, "optimize": True, "volume_policy": "stop"},
    "detached": {"stop_volume": True, "purge_data": True},
    "absent": {"optimize": True, "start_volume": True, "stop_volume": True, "running_vms": "destroy"},
}


@pytest.mark.parametrize("state", UNSUITED)
def test_what_the_state_has_no_use_for_is_refused(state: str, refused: t.Callable[..., str]) -> None:
    said = refused("storage_domain", in_check=True, state=state, confirm=NAME, **UNSUITED[state])
    for option, value in UNSUITED[state].items():
        assert f"gluster_storage_domain_{option} {job.as_text(value)} is for state " in said
    assert said.count(f", not {state}; ") == len(UNSUITED[state])
    assert said.endswith("leave that out, or mend gluster_storage_domain_state")


def test_life_of_a_storage_domain(
    nodes: list[System], hypervisors: list[System], run: Run, step: Run, refused: t.Callable[..., str]
) -> None:
    first, second = hypervisors
    guest = Guest(first, GUEST)
    point = f"/rhev/data-center/mnt/glusterSD/{nodes[0].name}:_{VOLUME}"

    # nothing there yet: not made by what only takes what is there
    assert f"start it: gluster volume start {VOLUME}" in refused("import_storage_domain")
    assert status(nodes[0]) == "Created"

    made = step("create_storage_domain", start_volume=True, data_center=DATA_CENTER).summary
    uuid = made["storage_domain"]["uuid"]
    assert made["storage_domains"][0]["problems"] == []
    assert mounted(hypervisors) == [True, True]
    assert [system.find(f"{point}/*-*-*-*-*") for system in hypervisors] == [f"{point}/{uuid}"] * 2
    info = ask(nodes[0], "volume", "info", VOLUME)
    options = {option.findtext("name"): option.findtext("value") for option in info.iter("option")}
    assert (options["features.shard"], options["storage.owner-uid"]) == ("on", "36")

    LAB.modules(first.name).done("gfapi_disk", storage_domain=NAME, name=GUEST, size="64MiB")
    boot(guest, NAME, GUEST)
    written = guest.checksum("written")
    found = run("import_storage_domain")
    assert (found.failures, found.changed) == ([], set())
    assert [image["name"] for image in found.summary["storage_domains"][0]["images"]] == [GUEST]
    assert "".join(second.lines("sh", "-c", f"cat {point}/{uuid}/images/*/*.meta")).count(GUEST) == 1

    # in use on the first hypervisor: the second does not leave it either
    assert f"in use by running domains: {GUEST}" in refused("storage_domain_maintenance", in_check=True)
    assert f"in use by running domains: {GUEST}" in refused("stop_volume")
    assert (guest.state, mounted(hypervisors), status(nodes[0])) == ("running", [True, True], "Started")

    # in use on a host that nobody asks: the storage node's bricks tell, before any machine is shut down
    with foreign_client(nodes[1]):
        assert "cannot be stopped: clients are connected: 1 fuse" in refused(
            "stop_volume", in_check=True, running_vms="shutdown"
        )
    assert (guest.state, mounted(hypervisors), status(nodes[0])) == ("running", [True, True], "Started")

    step("storage_domain_maintenance", running_vms="shutdown")
    assert (guest.state, mounted(hypervisors), status(nodes[0])) == ("shut off", [False, False], "Started")

    step("stop_volume")
    assert status(nodes[0]) == "Stopped"
    assert "confirm is missing" in refused("delete_volume", purge_data=True)

    back = step("start_volume").summary
    assert (back["storage_domain"]["uuid"], status(nodes[0])) == (uuid, "Started")
    assert mounted(hypervisors) == [True, True]
    guest.start()
    assert guest.checksum("found") == written
    guest.shut_down()

    ending = {"confirm": NAME, "purge_data": True}
    assert "confirm is missing" in refused("delete_volume", purge_data=True)
    assert "confirm is 'life'" in refused("delete_volume", **{**ending, "confirm": "life"})
    assert "belongs to data center" in refused("delete_volume", **ending)

    step("storage_domain", state="detached", data_center=DATA_CENTER)
    metadata = second.lines("cat", f"{point}/{uuid}/dom_md/metadata")
    assert {"POOL_UUID=", "ROLE=Regular"} <= set(metadata)

    # defined on the first hypervisor, and not on the second
    assert f"in use by domain {GUEST}" in refused("delete_volume", in_check=True, **ending)
    assert (mounted(hypervisors), status(nodes[0])) == ([True, True], "Started")
    first.run("virsh", "undefine", GUEST)

    with foreign_client(nodes[1]):
        assert "cannot be stopped: clients are connected: 1 fuse" in refused("delete_volume", **ending)
    assert (mounted(hypervisors), status(nodes[0])) == ([True, True], "Started")
    assert "purge_data needs volume_policy" in refused("destroy_storage_domain", confirm=NAME, purge_data=True)

    # active on a host that is not in the play
    told = refused("destroy_storage_domain", in_check=True, confirm=NAME, limit=f"gluster_nodes:{first.name}")
    assert f"it is active on host {second.name}" in told
    assert mounted(hypervisors) == [True, True]

    assert step("destroy_storage_domain", confirm=NAME).planned == set()
    assert (mounted(hypervisors), status(nodes[0])) == ([False, False], "Started")
    assert f"there is no storage domain {NAME}" in refused("import_storage_domain")

    step("delete_volume", **ending)
    assert (mounted(hypervisors), status(nodes[0])) == ([False, False], None)
    assert [node.host.file(f"/bricks/{VOLUME}").exists for node in nodes] == [False] * 3


def seal(lines: list[str]) -> str:
    """The checksum that VDSM would put below these lines of metadata."""
    text = "".join(sorted(lines))
    return hashlib.sha1(text.encode("ascii", "xmlcharrefreplace"), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("version", [3, 4])
def test_what_an_older_ovirt_left_is_imported(
    version: int, nodes: list[System], hypervisors: list[System], volume: str, step: Run, refused: t.Callable[..., str]
) -> None:
    first, second = hypervisors
    nodes[0].run("gluster", "--mode=script", "volume", "start", volume)
    uuid = plant_older(nodes[0], f"{nodes[0].name}:/{volume}", version)
    metadata = f"/bricks/{volume}/{uuid}/dom_md/metadata"
    before = nodes[0].lines("cat", metadata)
    kept = {line for line in before if not line.startswith(("VERSION=", "_SHA_CKSUM="))}
    assert {"POOL_DESCRIPTION=dépôt", "MASTER_VERSION=1", "POOL_SPM_LVER=-1", f"SDUUID={uuid}"} <= kept
    assert set(before) - kept == {f"VERSION={version}", f"_SHA_CKSUM={seal(before[:-1])}"}
    assert f"holds storage domain 'old' ({uuid}), not '{NAME}'" in refused("import_storage_domain")

    if version == 3:
        found = step("import_storage_domain", name="old").summary["storage_domains"][0]
        assert (found["uuid"], found["version"]) == (uuid, version)
        assert [image["name"] for image in found["images"]] == ["disk-11", "disk-22"]
        assert nodes[0].lines("cat", metadata) == before

    step("import_storage_domain", name="old", version=5)
    assert mounted(hypervisors) == [True, True]
    after = nodes[0].lines("cat", metadata)
    new = {"VERSION=5", "BLOCK_SIZE=512", "ALIGNMENT=1048576", f"_SHA_CKSUM={seal(after[:-1])}"}
    assert (set(after), after) == (kept | new, sorted(after))
    point = f"/rhev/data-center/mnt/glusterSD/{nodes[0].name}:_{volume}/{uuid}"
    assert second.run("stat", "-c", "%s %a %u:%g", f"{point}/dom_md/xleases").strip() == "1302528 660 36:36"
    assert {"CAP=8388608", "SEQ=0", "GEN=3"} <= set(second.lines("cat", f"{point}/images/{CHAIN}/{LEAF}.meta"))

    # a snapshot over a raw base, as VDSM makes one
    make = ["qemu-img", "create", "-f", "qcow2", "-o", "compat=0.10", "-b", BASE, "-F", "raw", "-u", LEAF, "8M"]
    first.run("sh", "-c", f"cd {point}/images/{CHAIN} && {' '.join(make)} && chown 36:36 {LEAF}")
    LAB.modules(second.name).done("gfapi_disk", storage_domain="old", disks=[{"name": "disk-22"}])
    guest = Guest(second, GUEST)
    boot(guest, "old", "disk-22", "disk-11")
    written = guest.checksum("written")
    guest.shut_down()
    boot(guest, "old", "disk-22", "disk-11")
    assert guest.checksum("found") == written is not None
    guest.shut_down()

    assert f"in use by domain {GUEST}" in refused("destroy_storage_domain", name="old", confirm="old")
    second.run("virsh", "undefine", GUEST)
    step("destroy_storage_domain", name="old", confirm="old")
    assert (mounted(hypervisors), status(nodes[0])) == ([False, False], "Started")
    assert [path for node in nodes for path in node.lines("find", f"/bricks/{volume}", "-name", f"{uuid}*")] == []
