# SPDX-License-Identifier: GPL-3.0-or-later
"""What version 0.1.0 made, recorded in the folder release-0.1.0: it is as asked, is used, and ends."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from hosts import Guest, System
from modules import Modules
from older import unpack
from volumes import started_volume

from conftest import HOST

RECORDED = Path(__file__).with_name("release-0.1.0")
NAME = "release010"
#: what the guest's kernel gets beside, see lab/README.md
CMDLINE = ("console=ttyS0 quiet", "console=ttyS0 quiet no_timer_check")
ASKED = yaml.safe_load((RECORDED / "asked.yml").read_text(encoding="utf-8").replace(*CMDLINE))
#: the host on which it was recorded
THERE = "gfapi-lab-bench-1"
#: what the guest told of the pattern that it wrote
PATTERN = "d2d0271de4e086bdfad3e56241fb04a0eff5566435f9a9b078142759a5bdb0f3"


@pytest.fixture
def spec(system: System) -> t.Iterator[str]:
    """A volume with what it left, and libvirt with its VM; what is not ended by the test is ended here."""
    xml = (RECORDED / "vm.xml").read_text(encoding="utf-8").replace(THERE, HOST).replace(*CMDLINE)
    with started_volume(system, NAME) as volume:
        unpack(system, f"{HOST}:/{volume}", (RECORDED / "volume.tar.gz").read_bytes())
        system.run("sh", "-c", f"printf '%s' \"$1\" > /run/{NAME}.xml && virsh define /run/{NAME}.xml", "sh", xml)
        yield f"{HOST}:/{volume}"
        system.host.run(
            f"virsh destroy {NAME}; virsh undefine {NAME}; umount /rhev/data-center/mnt/glusterSD/*:_{NAME}"
        )


def test_what_0_1_0_made_is_as_asked_and_is_used(modules: Modules, system: System, spec: str) -> None:
    domain = {"name": NAME, "spec": spec}
    found = modules.as_promised("glusterfs_domain", **domain)["storage_domain"]
    assert (found["state"], found["version"]) == ("active", 5)
    assert f"SDUUID={found['uuid']}" in system.lines("cat", f"{found['path']}/dom_md/metadata")
    for disk in ASKED["vm_gfapi_disks"]:
        assert modules.done("gfapi_disk", storage_domain=NAME, **disk)["actions"] == []
    (vm,) = ASKED["vm_gfapi_vms"]
    asked = {**vm, "storage_domain": NAME}
    before = system.run("virsh", "dumpxml", "--inactive", NAME)
    noted = modules.as_promised("libvirt_vm", **{**asked, "state": "shut_off"})
    assert noted["actions"] == [f"note domain {NAME} as a user of its images in storage domain {NAME}"]
    assert system.run("virsh", "dumpxml", "--inactive", NAME) == before

    assert modules.done("libvirt_vm", **asked)["actions"][0] == f"start domain {NAME}"
    guest = Guest(system, NAME)
    assert guest.checksum("found") == PATTERN
    snapshot = {"storage_domain": NAME, "disks": [f"{NAME}-root"], "name": "before", "vm": NAME}
    modules.done("gfapi_snapshot", **snapshot)
    modules.done("gfapi_snapshot", **snapshot, state="absent")
    modules.done("gfapi_disk", storage_domain=NAME, name=f"{NAME}-data", size="32MiB")
    guest.shut_down()
    guest.start()
    assert guest.checksum("found") == PATTERN
    assert "disk vdb 33554432" in guest.says()

    modules.done("libvirt_vm", name=NAME, state="absent", force_stop=True, shutdown_timeout=0)
    for disk in ASKED["vm_gfapi_disks"]:
        modules.done("gfapi_disk", storage_domain=NAME, name=disk["name"], state="absent")
    modules.done("glusterfs_domain", **domain, state="absent", confirm=NAME)
