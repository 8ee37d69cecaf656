# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_vm and libvirt_vm_info run on this machine, for a hypervisor that they reach by libvirt alone."""

from __future__ import annotations

import typing as t

import pytest
from hosts import System
from modules import Modules

from conftest import INVENTORY, LAB

NAME = "far"


@pytest.fixture(scope="module")
def here() -> Modules:
    return LAB.modules("localhost")


@pytest.fixture
def vm(modules: Modules, system: System, here: Modules) -> t.Iterator[dict[str, t.Any]]:
    """A VM with a disk by URI, and how its libvirt is reached."""
    disk = modules.done("gfapi_disk", storage_domain="vms", name=NAME, size="64MiB")["disk"]
    address = system.host.backend.get_variables()["ansible_host"]
    uri = f"qemu+ssh://root@{address}/system?keyfile={INVENTORY.parent}/id_ed25519&no_verify=1"
    yield {"name": NAME, "uri": uri, "disks": [{"uri": disk["uri"], "format": "qcow2"}]}
    here.done("libvirt_vm", name=NAME, uri=uri, state="absent", force_stop=True, shutdown_timeout=0)
    modules.done("gfapi_disk", storage_domain="vms", name=NAME, state="absent")


def test_vm_of_a_hypervisor_from_elsewhere(here: Modules, system: System, vm: dict[str, t.Any]) -> None:
    made = {**vm, "memory": "64MiB", "virt_type": "qemu"}
    words = here.refused("libvirt_vm", **{**made, "disks": [{"name": NAME, "storage_domain": "vms"}]})
    assert f"domain {NAME}: disk {NAME} is looked up on the mount of its storage domain; name it by its uri" in words
    result = here.as_promised("libvirt_vm", **made, state="running")
    assert result["actions"] == [f"define domain {NAME}", f"start domain {NAME}"]
    assert system.run("virsh", "domstate", NAME).strip() == "running"
    (info,) = here.done("libvirt_vm_info", uri=vm["uri"], names=[NAME])["vms"]
    assert [disk["io_path"] for disk in info["disks"]] == ["gfapi"]
    here.as_promised("libvirt_vm", **vm, state="shut_off", force_stop=True, shutdown_timeout=0)
    here.as_promised("libvirt_vm", name=NAME, uri=vm["uri"], state="absent")
    assert NAME not in system.lines("virsh", "list", "--all", "--name")
