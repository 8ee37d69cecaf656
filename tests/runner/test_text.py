# SPDX-License-Identifier: GPL-3.0-or-later
"""What people type into a survey for a list or a dictionary, and what the roles make of it. Needs no lab."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import ansible_runner
import pytest

from ansible_collections.gfapi.virt.tests.runner import job

BRICKS = ["h1:/b/1", "h2:/b/1"]
VMS = [{"name": "web", "disks": [{"name": "web"}]}]
ALONE = {"disks": [], "vm_disks": [], "vms": VMS, "needs": []}
ROOT_DISK = {"disks": [{"name": "{name}", "size": "1GiB"}], "tpm": "2.0"}
MADE = {"disks": [], "vm_disks": [{"name": "web", "size": "1GiB"}], "vms": [{**VMS[0], "tpm": "2.0"}], "needs": ["tpm"]}
LISTS = (
    "gluster_volume_prep_bricks",
    "gluster_volume_prep_presets",
    "gluster_volume_prep_reset",
    "gluster_volume_prep_tls_allow",
    "gluster_storage_domain_servers",
    "gluster_storage_domain_mount_options",
    "gluster_storage_domain_nodes",
)
# variable, what was typed, what it means
TYPED: tuple[tuple[str, object, object], ...] = (
    ("gluster_volume_prep_bricks", BRICKS, BRICKS),
    ("gluster_volume_prep_bricks", "", []),
    ("gluster_volume_prep_bricks", "h1:/b/1", ["h1:/b/1"]),
    ("gluster_volume_prep_bricks", " h1:/b/1 ,h2:/b/1, ", BRICKS),
    ("gluster_volume_prep_bricks", '["h1:/b/1", "h2:/b/1"]', BRICKS),
    ("gluster_volume_prep_bricks", "- h1:/b/1\n- h2:/b/1\n", BRICKS),
    ("gluster_volume_prep_bricks", "fd00::1:/b/1", ["fd00::1:/b/1"]),
    ("gluster_volume_prep_bricks", "h1:/b/1/,h2:/b/1//", BRICKS),
    ("gluster_volume_prep_bricks", ["h1:/b/1/", "h2:/b/1"], BRICKS),
    ("gluster_volume_prep_bricks", "h1:/", ["h1:/"]),
    ("gluster_volume_prep_presets", "virt_store,group:mine", ["virt_store", "group:mine"]),
    ("gluster_volume_prep_reset", "nfs.disable, features.shard", ["nfs.disable", "features.shard"]),
    ("gluster_volume_prep_options", {}, {}),
    ("gluster_volume_prep_options", "", {}),
    ("gluster_volume_prep_options", '{"user.note": "a: b"}', {"user.note": "a: b"}),
    (
        "gluster_volume_prep_options",
        "storage.owner-uid: 36\nfeatures.shard: on\n",
        {"storage.owner-uid": 36, "features.shard": True},
    ),
    ("gluster_volume_prep_tls_allow", "", []),
    ("gluster_volume_prep_tls_allow", "kvm1, kvm2", ["kvm1", "kvm2"]),
    ("gluster_volume_prep_tls_allow", '["kvm1", "kvm2"]', ["kvm1", "kvm2"]),
    ("gluster_volume_prep_tls_allow", ["kvm1"], ["kvm1"]),
    ("gluster_storage_domain_servers", "::1, gluster2", ["::1", "gluster2"]),
    ("gluster_storage_domain_mount_options", "ro,log-level=DEBUG", ["ro", "log-level=DEBUG"]),
    # an answer left empty, marked as AWX marks it, is null to ansible-core 2.19
    *((name, None, []) for name in LISTS),
    ("gluster_volume_prep_options", None, {}),
    ("vm_gfapi_fleet", {"vms": None, "disks": None}, {**ALONE, "vms": []}),
    ("vm_gfapi_fleet", {"vms": "", "disks": ""}, {**ALONE, "vms": []}),
    (
        "vm_gfapi_fleet",
        {"vms": [], "disks": "- {name: a, size: 1GiB}"},
        {**ALONE, "vms": [], "disks": [{"name": "a", "size": "1GiB"}]},
    ),
    ("vm_gfapi_fleet", {"vms": VMS}, ALONE),
    ("vm_gfapi_fleet", {"vms": json.dumps(VMS)}, ALONE),
    ("vm_gfapi_fleet", {"vms": "- name: web\n  disks:\n    - name: web\n"}, ALONE),
    ("vm_gfapi_fleet", {"vms": "[{name: web}]", "vm_defaults": json.dumps(ROOT_DISK), "disk_defaults": ""}, MADE),
)

EMPTY = dict.fromkeys(("vm_gfapi_vms", "vm_gfapi_disks", "vm_gfapi_vm_defaults", "vm_gfapi_disk_defaults"), "")


def playbook() -> list[dict[str, t.Any]]:
    """One play for each line of the table: the role's own variables, and what they come to."""
    return [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": [
                {"ansible.builtin.include_vars": str(job.ROOT / "roles" / role_of(name) / "vars/main.yml")},
                {
                    "ansible.builtin.debug": {"msg": f"{{{{ __{name} }}}}"},
                    "name": f"line {number}",
                    "vars": EMPTY | given(name, typed),
                },
            ],
        }
        for number, (name, typed, _meant) in enumerate(TYPED)
    ]


def given(name: str, typed: object) -> dict[str, object]:
    """What was typed, by variable: the fleet is made of several."""
    if name == "vm_gfapi_fleet" and isinstance(typed, dict):
        return {f"vm_gfapi_{key}": text for key, text in typed.items()}
    return {name: typed}


def role_of(variable: str) -> str:
    return next(role for role in job.ROLES if variable.startswith(f"{role}_"))


@pytest.fixture(scope="module")
def meant(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder: Path = tmp_path_factory.mktemp("text")
    run = ansible_runner.run(
        private_data_dir=str(folder),
        playbook=playbook(),
        inventory="localhost ansible_connection=local",
        envvars=job.environment(),
        quiet=True,
    )
    events = (event for event in run.events if event["event"] == "runner_on_ok")
    return {event["event_data"]["task"]: event["event_data"]["res"].get("msg") for event in events}


@pytest.mark.parametrize("number", range(len(TYPED)), ids=[f"{name}={typed!r}" for name, typed, _meant in TYPED])
def test_typed(number: int, meant: dict[str, object]) -> None:
    assert meant[f"line {number}"] == TYPED[number][2]
