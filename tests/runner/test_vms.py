# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators run for virtual machines, on the hosts of molecule/cluster, as AWX runs it: all values text.

Set GFAPI_CLUSTER_INVENTORY as for test_site.py.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.tests.runner import job
from ansible_collections.gfapi.virt.tests.runner.test_site import inventory_in

pytestmark = pytest.mark.cluster
MACHINE = "guest1"
OLD = "runner-old"
MAKE = f"""
point=$(awk '$3 == "fuse.glusterfs" && $2 ~ /_vmstore$/ {{ print $2; exit }}' /proc/mounts)
truncate -s 1000 $point/{OLD}.raw
cat > /tmp/{OLD}.xml << end
<domain type='qemu'><name>{OLD}</name><memory unit='MiB'>64</memory>
<os><type arch='x86_64' machine='q35'>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/><source file='$point/{OLD}.raw'/>
<target dev='vda' bus='virtio'/></disk></devices></domain>
end
virsh define /tmp/{OLD}.xml
"""
GONE = f"virsh undefine {OLD}; rm -f /rhev/data-center/mnt/glusterSD/*_vmstore/{OLD}.raw"


@pytest.fixture(scope="module")
def inventory() -> Path:
    return inventory_in("GFAPI_CLUSTER_INVENTORY")


@pytest.fixture
def run(inventory: Path, tmp_path: Path) -> t.Callable[..., dict[str, t.Any]]:
    """A job that must succeed; its artifact."""

    def one(playbook: str, *, check: bool, **answers: str) -> dict[str, t.Any]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        result = job.run(folder, inventory, job.survey(answers, playbook=playbook), check=check, playbook=playbook)
        assert result.failures == []
        assert result.status == "successful", result.output
        assert result.summary["check_mode"] is check
        return result.summary

    return one


@pytest.mark.parametrize("turn", [1, 0])
def test_a_machine_goes_to_the_other_hypervisor(
    run: t.Callable[..., dict[str, t.Any]], inventory: Path, tmp_path: Path, turn: int
) -> None:
    target = job.group(inventory, "hypervisors")[turn]
    answers = {"migrate_vm_names": MACHINE, "migrate_vm_host": target}
    planned = run("migrate_vm", check=True, **answers)
    assert planned["actions"] == [f"migrate domain {MACHINE} to {target}"]
    assert planned["planned"] == "the migration"
    done = run("migrate_vm", check=False, **answers)
    assert done["actions"] == planned["actions"]
    (vm,) = done["vms"]
    assert (vm["name"], vm["state"]) == (MACHINE, "running")
    assert {disk["io_path"] for disk in vm["disks"]} == {"gfapi"}
    assert run("migrate_vm", check=False, **answers)["actions"] == []
    left = job.run_shell(tmp_path / "left", inventory, "hypervisors", "cat /root/.ssh/authorized_keys; ls /tmp")
    assert "migrate_vm" not in left


@pytest.fixture
def old(inventory: Path, tmp_path: Path) -> t.Iterator[str]:
    """A machine as virsh defines it, with a file on the mount that is 1000 bytes long."""
    host = job.group(inventory, "hypervisors")[0]
    job.run_shell(tmp_path / "made", inventory, host, MAKE)
    yield OLD
    job.run_shell(tmp_path / "gone", inventory, host, GONE)


def test_a_machine_of_files_goes_over(run: t.Callable[..., dict[str, t.Any]], old: str) -> None:
    answers = {"convert_to_gfapi_names": f"{old}, {MACHINE}", "convert_to_gfapi_restart": "never"}
    planned = run("convert_to_gfapi", check=True, **answers)
    lengthened, given, changed = planned["actions"]
    assert "from 1000 to 4096 bytes" in lengthened
    assert "36:36" in given
    assert changed == f"change disks, relabelling of domain {old}"
    done = run("convert_to_gfapi", check=False, **answers)
    assert done["actions"] == planned["actions"]
    (vm,) = [vm for vm in done["vms"] if vm["name"] == old]
    assert vm["disks"][0]["uri"].startswith("gluster://")
    assert done["restart_required"] == []
    assert run("convert_to_gfapi", check=False, **answers)["actions"] == []
