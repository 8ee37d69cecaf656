# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet by the role: clones of a template, cloud-init, UEFI and TPMs, from two names and defaults."""

from __future__ import annotations

import json
import subprocess
import typing as t

import pytest
import yaml
from hosts import System
from modules import ANSIBLE, ROOT

from conftest import HOST, INVENTORY, MOUNT_POINT

NAMES: t.Final = ("fleet1", "fleet2")
SECRETS: t.Final = ("S3cretA", "S3cretB-of-user-data", "S3cretC-of-network")
ROLE: t.Final = {
    "vm_gfapi_storage_domain": "vms",
    "vm_gfapi_disks": [{"name": "fleet-template", "size": "64MiB"}],
    "vm_gfapi_vm_defaults": {
        "state": "running",
        "virt_type": "qemu",
        "memory": "128MiB",
        "kernel": "/var/lib/gfapi-lab/guest/vmlinuz",
        "initrd": "/var/lib/gfapi-lab/guest/initrd.img",
        "cmdline": "console=ttyS0 quiet no_timer_check",
        "disks": [{"name": "{name}-root", "clone_of": "fleet-template", "clone_mode": "backing"}],
        "graphics": [{"password": SECRETS[0]}, {"type": "spice", "port": 0}],
        "tpm": "2.0",
        "cloud_init": {
            "user_data": f"#cloud-config\n# ${{name}} {SECRETS[1]}\n",
            "network_config": f"version: 2\n# {SECRETS[2]}\n",
        },
        "serial_log": "/var/log/libvirt/qemu/{name}-console.log",
        "wait_for": {"console": "GFAPI-GUEST: ready"},
    },
    # of the second no boot is waited for
    "vm_gfapi_vms": [{"name": NAMES[0]}, {"name": NAMES[1], "state": "present", "firmware": "uefi", "graphics": None}],
}


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> t.Callable[..., str]:
    """Run the role; what it said with -vvv, which holds no secret."""
    path = tmp_path_factory.mktemp("fleet") / "play.yml"

    def run(variables: dict[str, t.Any], *words: str) -> str:
        role = {"role": "gfapi.virt.vm_gfapi", "vars": variables}
        path.write_text(yaml.safe_dump([{"hosts": HOST, "gather_facts": False, "roles": [role]}]), encoding="utf-8")
        command = [f"{ANSIBLE}-playbook", "-i", str(INVENTORY), "-vvv", "--diff", *words, str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
        said = done.stdout + done.stderr
        assert not [secret for secret in SECRETS if secret in said]
        assert done.returncode == 0, said
        return said

    return run


@pytest.fixture(scope="module")
def fleet(system: System, play: t.Callable[..., str]) -> t.Iterator[str]:
    """The machines; what the role said that made them."""
    play(ROLE, "--check")
    yield play(ROLE)
    gone = {"state": "absent", "force_stop": True, "shutdown_timeout": 0}
    vms = [{"name": name, **gone} for name in NAMES]
    play({"vm_gfapi_storage_domain": "vms", "vm_gfapi_vms": vms})
    # clones first: apart, for their template cannot go before them
    for names in ([f"{name}-root" for name in NAMES], ["fleet-template"]):
        disks = [{"name": name, "state": "absent"} for name in names]
        play({"vm_gfapi_storage_domain": "vms", "vm_gfapi_disks": disks})
    assert not system.host.run(f"ls {MOUNT_POINT}/.gfapi-seeds/*.iso").stdout


@pytest.mark.usefixtures("fleet")
def test_second_run_changes_nothing(play: t.Callable[..., str]) -> None:
    assert "changed=0 " in play(ROLE)


def test_summary_is_for_people(fleet: str) -> None:
    assert f'"virtual machine {NAMES[0]}: running"' in fleet
    assert f'"{NAMES[0]} vda: gfapi, gluster://{HOST}/' in fleet
    assert f'"virtual machine {NAMES[1]}: shut_off"' in fleet


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("name", NAMES)
def test_machine_has_a_clone_of_the_template_and_its_own_seed(system: System, name: str) -> None:
    source = next(line.split()[1] for line in system.lines("virsh", "domblklist", name) if "vda" in line)
    disk = f"{MOUNT_POINT}/{source.partition('/')[2]}"
    chain = json.loads(system.run("qemu-img", "info", "-U", "--backing-chain", "--output=json", disk))
    assert [image["virtual-size"] for image in chain] == [64 << 20] * 2
    seed = next(line.split()[1] for line in system.lines("virsh", "domblklist", name) if ".gfapi-seeds" in line)
    said = system.run("grep", "-a", "-e", "local-hostname", "-e", SECRETS[1], seed)
    assert f"local-hostname: {name}" in said
    assert "${name}" in said


@pytest.mark.usefixtures("fleet")
def test_machine_with_a_tpm_starts_again_and_swtpm_is_of_the_user_of_qemu(system: System) -> None:
    name = NAMES[0]
    for _again in range(2):
        owners = system.lines("ps", "-C", "swtpm", "-o", "user:32=")
        assert owners == ["libvirt-qemu"]
        system.run("virsh", "destroy", name)
        system.wait("swtpm ends", lambda: not system.host.run("pgrep -x swtpm").stdout)
        system.run("virsh", "start", name)


@pytest.mark.usefixtures("fleet")
def test_secrets_are_in_no_process_and_no_log(system: System) -> None:
    seen = system.run("ps", "axww") + system.run("cat", f"/var/log/libvirt/qemu/{NAMES[0]}.log")
    assert not [secret for secret in SECRETS if secret in seen]
