# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage domain from the first start of its volume to its end, by the playbooks as AWX runs them: values as text."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import job
import pytest
from hosts import Guest, System

from conftest import LAB, ask

VOLUME = "life"
NAME = "life of a storage domain"
GUEST = "mortal"
KERNEL = "/var/lib/gfapi-lab/guest"
DATA_CENTER = "Default"
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

    def run_playbook(playbook: str, *, check: bool = False, **answers: object) -> job.Job:
        which = {"name": NAME, "volume": volume, "servers": [node.name for node in nodes], **answers}
        asked = {f"gluster_storage_domain_{name}": value for name, value in which.items()}
        text = job.survey(asked, playbook=playbook, roles=["gluster_storage_domain"])
        assert all(isinstance(answer, str) for answer in text.values())
        return job.run(tmp_path / str(next(count)), LAB.inventory, text, check=check, playbook=playbook)

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
    """What a run that must fail says; in check mode it says the same."""

    def twice(playbook: str, **answers: object) -> str:
        foreseen, done = (run(playbook, check=check, **answers) for check in (True, False))
        said = [[re.sub(r"/run/gfapi-virt/\d+", "a look", words) for words in job.failures] for job in (foreseen, done)]
        assert said[0] == said[1] != []
        assert done.changed == set()
        return " | ".join(said[1])

    return twice


def mounted(hypervisors: list[System]) -> list[bool]:
    return [f":/{VOLUME} " in system.run("cat", "/proc/mounts") for system in hypervisors]


def status(node: System) -> str | None:
    return ask(node, "volume", "info").findtext(f".//volume[name='{VOLUME}']/statusStr")


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

    modules = LAB.modules(first.name)
    modules.done("gfapi_disk", storage_domain=NAME, name=GUEST, size="64MiB")
    modules.done(
        "libvirt_vm",
        name=GUEST,
        storage_domain=NAME,
        state="running",
        virt_type="qemu",
        memory="256MiB",
        kernel=f"{KERNEL}/vmlinuz",
        initrd=f"{KERNEL}/initrd.img",
        cmdline="console=ttyS0 quiet",
        disks=[{"name": GUEST}],
        serial_log=guest.log,
        wait_for={"console": "GFAPI-GUEST: ready", "timeout": 180},
    )
    written = guest.checksum("written")
    found = run("import_storage_domain")
    assert (found.failures, found.changed) == ([], set())
    assert [image["name"] for image in found.summary["storage_domains"][0]["images"]] == [GUEST]
    assert "".join(second.lines("sh", "-c", f"cat {point}/{uuid}/images/*/*.meta")).count(GUEST) == 1

    # in use on the first hypervisor: the second does not leave it either
    assert f"in use by running domains: {GUEST}" in refused("storage_domain_maintenance")
    assert f"in use by running domains: {GUEST}" in refused("stop_volume")
    assert (guest.state, mounted(hypervisors), status(nodes[0])) == ("running", [True, True], "Started")

    step("storage_domain_maintenance", running_vms="shutdown")
    assert (guest.state, mounted(hypervisors), status(nodes[0])) == ("shut off", [False, False], "Started")

    step("stop_volume")
    assert status(nodes[0]) == "Stopped"

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
    assert f"in use by domain {GUEST}" in refused("delete_volume", **ending)
    assert (mounted(hypervisors), status(nodes[0])) == ([True, True], "Started")
    first.run("virsh", "undefine", GUEST)

    assert step("destroy_storage_domain", confirm=NAME).planned == set()
    assert (mounted(hypervisors), status(nodes[0])) == ([False, False], "Started")
    assert f"there is no storage domain {NAME}" in refused("import_storage_domain")

    step("delete_volume", **ending)
    assert (mounted(hypervisors), status(nodes[0])) == ([False, False], None)
    assert [node.host.file(f"/bricks/{VOLUME}").exists for node in nodes] == [False] * 3
