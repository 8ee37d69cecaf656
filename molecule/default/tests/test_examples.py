# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of the modules' documentation and of the README, run as it is written.

They speak of servers gluster1 to gluster3, volumes vmstore, data, trial and old (with an old storage domain), a storage
domain vms, a libvirt network default, a kernel and images in /var/lib/images; here that is the scenario's one host
under other names.
"""

from __future__ import annotations

import ast
import contextlib
import re
import subprocess
import typing as t

import pytest
import yaml
from modules import ANSIBLE, ROOT, Modules
from older import plant_older
from volumes import GLUSTER, started_volume

from conftest import HOST, INVENTORY, MOUNT_POINT, System

#: in an order in which each finds what it needs
MODULES = (
    "gfapi_host_info",
    "gluster_volume_options",
    "gluster_volume_info",
    "glusterfs_domain",
    "gfapi_disk",
    "glusterfs_domain_info",
    "libvirt_vm",
    "gfapi_snapshot",
    "libvirt_vm_info",
)
#: what they leave to whoever uses them
VARIABLES = {"app1_password": "Tr0ub4d", "app_key": "ssh-ed25519 AAAA app"}
MOUNTS = [MOUNT_POINT.replace(HOST, "gluster1"), MOUNT_POINT.replace(f"{HOST}:_vmstore", "gluster1:_old")]


def examples_of(module: str) -> list[dict[str, t.Any]]:
    """The tasks in a module's EXAMPLES."""
    tree = ast.parse((ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES":
            return yaml.safe_load(ast.literal_eval(node.value))
    raise AssertionError(f"{module} has no examples")


def readme_tasks() -> list[dict[str, t.Any]]:
    """The tasks in the README."""
    blocks = re.findall(r"```yaml\n(- name:.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    return [task for block in blocks for task in yaml.safe_load(block)]


def play(tasks: list[dict[str, t.Any]], tmp_path: t.Any) -> None:
    path = tmp_path / "play.yml"
    path.write_text(
        yaml.safe_dump([{"hosts": HOST, "gather_facts": False, "vars": VARIABLES, "tasks": tasks}]), encoding="utf-8"
    )
    command = [f"{ANSIBLE}-playbook", "-i", str(INVENTORY), str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module", autouse=True)
def volumes(system: System) -> t.Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name, replica in (("trial", 3), ("data", 3), ("old", 1)):
            stack.enter_context(started_volume(system, name, replica=replica))
        plant_older(system, f"{HOST}:/old", 3)
        yield
        for mount in MOUNTS:
            system.host.run(f"umount {mount}; rmdir {mount}")
        system.run(*GLUSTER, "reset", "all", "cluster.server-quorum-ratio")


@pytest.fixture(scope="module", autouse=True)
def named_as_in_the_examples(system: System, modules: Modules, volumes: None) -> t.Iterator[None]:
    """The names that the examples use, and nothing of them left afterwards."""
    address = system.run("hostname", "-I").split()[0]
    system.run("cp", "/etc/hosts", "/run/hosts")
    system.run("sh", "-c", f"echo {address} gluster1 gluster2 gluster3 >> /etc/hosts")
    system.run("virsh", "net-start", "default")
    system.run("ln", "-sfn", "/var/lib/gfapi-lab/guest", "/var/lib/images")
    system.run("qemu-img", "create", "-q", "-f", "vmdk", "/var/lib/images/system.vmdk", "16M")
    system.run("truncate", "-s", "1M", "/var/lib/images/installer.iso")
    # for UEFI, TPM and cloud-init; the role vm_gfapi does that where machines need it
    packages = ("ovmf", "python3-pycdlib", "swtpm", "swtpm-tools")
    system.run("apt-get", "-qy", "install", "--no-install-recommends", *packages)
    modules.done("gfapi_disk", storage_domain="vms", name="app1-root", size="64MiB")
    yield
    for name in ("app1", "app2", "db1", "db2", "probe", "web"):
        system.host.run(f"virsh destroy {name}; virsh undefine --nvram {name}")
    left = f"grep -lE '(web|app[0-9]*|db[12])-(root|data|scratch)' {MOUNT_POINT}/*/images/*/*.meta"
    system.run("sh", "-c", f"{left} | xargs -r dirname | sort -u | xargs -r rm -r")
    system.run("virsh", "net-destroy", "default")
    system.run("cp", "/run/hosts", "/etc/hosts")
    system.run("sh", "-c", f"rm -f {MOUNT_POINT}/.gfapi-seeds/*.iso")
    system.run("rm", "/var/lib/images/system.vmdk", "/var/lib/images/installer.iso", "/var/tmp/app-root.vmdk")
    system.run("rm", "/var/lib/images")


def is_of_a_vm(task: dict[str, t.Any]) -> bool:
    """Whether it gives a disk to a VM, which the examples of other modules define, or takes it out."""
    return "vm" in task.get("gfapi.virt.gfapi_disk", {})


def is_of_two_hosts(task: dict[str, t.Any]) -> bool:
    """Whether it wants another hypervisor; molecule/cluster has one, and migrates by tests of its own."""
    return bool({"host", "uri"} & set(task.get("gfapi.virt.libvirt_vm", {})))


@pytest.mark.parametrize("module", MODULES)
def test_examples_of(module: str, tmp_path: t.Any) -> None:
    play([task for task in examples_of(module) if not is_of_a_vm(task) and not is_of_two_hosts(task)], tmp_path)


def test_examples_of_disks_of_vms(tmp_path: t.Any) -> None:
    tasks = [task for task in examples_of("gfapi_disk") if is_of_a_vm(task)]
    assert len(tasks) == 2
    play(tasks, tmp_path)


def test_tasks_of_the_readme(tmp_path: t.Any) -> None:
    play(readme_tasks(), tmp_path)


def test_every_module_is_among_them() -> None:
    assert sorted(MODULES) == sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("[a-z]*.py"))
