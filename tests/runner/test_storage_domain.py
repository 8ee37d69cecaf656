# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a storage domain and its volume by the playbooks for it, as AWX runs them: checked, then done."""

from __future__ import annotations

import typing as t
import uuid
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.tests.runner import job
from ansible_collections.gfapi.virt.tests.runner.test_site import inventory_in

Run = t.Callable[..., dict[str, t.Any]]


@pytest.fixture(scope="module")
def inventory() -> Path:
    return inventory_in("GFAPI_LAB_INVENTORY")


@pytest.fixture
def volume(inventory: Path, tmp_path: Path) -> t.Iterator[str]:
    """A volume that somebody made, of three bricks on one host."""
    name = f"life-{uuid.uuid4().hex[:6]}"
    node = job.group(inventory, "gluster_nodes")[0]
    bricks = " ".join(f"{node}:/bricks/{name}-{number}" for number in (1, 2, 3))
    made = f"gluster --mode=script volume create {name} replica 3 {bricks} force && gluster volume start {name}"
    assert "success" in job.run_shell(tmp_path / "made", inventory, "gluster_nodes", made)
    yield name
    gone = (
        f"umount /rhev/data-center/mnt/glusterSD/*:_{name}; gluster --mode=script volume stop {name};"
        f" gluster --mode=script volume delete {name}; rm -rf /bricks/{name}-*"
    )
    job.run_shell(tmp_path / "gone", inventory, "all", gone)


@pytest.fixture
def run(volume: str, inventory: Path, tmp_path: Path) -> Run:
    """A playbook as a check and as a run; the artifact of the run."""
    node = job.group(inventory, "gluster_nodes")[0]

    def both(playbook: str, **more: str) -> dict[str, t.Any]:
        known = {"gluster_storage_domain_name": volume, "gluster_storage_domain_spec": f"{node}:/{volume}"}
        answers = job.survey({**known, **more}, playbook=playbook)
        for check in (True, False):
            result = job.run(tmp_path / uuid.uuid4().hex, inventory, answers, check=check, playbook=playbook)
            assert result.failures == []
            assert result.status == "successful", result.output
            assert result.summary["check_mode"] is check
            assert result.changed
        return result.summary

    return both


def test_life_of_a_storage_domain(run: Run, volume: str, inventory: Path, tmp_path: Path) -> None:
    def told(command: str) -> str:
        return job.run_shell(tmp_path / uuid.uuid4().hex, inventory, "gluster_nodes", command)

    def is_mounted() -> bool:
        return f":/{volume} " in told("cat /proc/mounts")

    made = run("create_storage_domain")
    assert (made["storage_domain"]["name"], made["storage_domain"]["state"]) == (volume, "active")
    assert is_mounted()
    assert "features.shard: on" in told(f"gluster volume info {volume}")
    run("storage_domain_maintenance")
    assert not is_mounted()
    found = run("import_storage_domain")
    assert found["storage_domain"]["uuid"] == made["storage_domain"]["uuid"]
    assert is_mounted()
    run("stop_volume")
    assert "Status: Stopped" in told(f"gluster volume info {volume}")
    run("start_volume")
    assert is_mounted()
    run("destroy_storage_domain", gluster_storage_domain_confirm=volume)
    assert not is_mounted()
    assert "Status: Started" in told(f"gluster volume info {volume}")
    run("create_storage_domain")
    run("delete_volume", gluster_storage_domain_confirm=volume, gluster_storage_domain_purge_data="true")
    assert volume not in told("gluster volume list").split()
