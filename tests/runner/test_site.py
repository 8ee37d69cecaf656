# SPDX-License-Identifier: GPL-3.0-or-later
"""`playbooks/site.yml` on a lab host, as AWX runs it: every value text, as a check and as a run.

Set GFAPI_LAB_INVENTORY to the inventory of a lab in which molecule/default converged, and GFAPI_CLUSTER_INVENTORY to
that of molecule/cluster:

    GFAPI_LAB_INVENTORY=.cache/lab/default/inventory.yml pytest tests/runner
"""

from __future__ import annotations

import os
import typing as t
import uuid
from pathlib import Path

import pytest
import yaml

from ansible_collections.gfapi.virt.tests.runner import job

CONVERGE = job.ROOT / "molecule/default/converge.yml"
GUEST = "/var/lib/gfapi-lab/guest"


def inventory_in(variable: str) -> Path:
    """The lab. In CI it has to be there; elsewhere what was not run is named."""
    given = os.environ.get(variable, "")
    path = Path(given).resolve()
    if given and path.is_file():
        return path
    said = f"{variable} ({given or 'not set'}) names no lab: site.yml was not run there under ansible-runner"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)


@pytest.fixture(scope="module")
def inventory() -> Path:
    return inventory_in("GFAPI_LAB_INVENTORY")


@pytest.fixture(scope="module")
def node(inventory: Path) -> str:
    return job.group(inventory, "gluster_nodes")[0]


@pytest.fixture
def site(tmp_path: Path, inventory: Path) -> t.Callable[..., job.Job]:
    """Run site.yml and see that it passes."""

    def run(answers: t.Mapping[str, str], *, check: bool) -> job.Job:
        result = job.run(tmp_path / uuid.uuid4().hex, inventory, answers, check=check)
        assert result.failures == []
        assert result.status == "successful", result.output
        assert result.summary["check_mode"] is check
        return result

    return run


def assert_proven(summary: t.Mapping[str, t.Any], machine: str) -> None:
    """The machine runs, and QEMU said that it reaches all its disks through libgfapi."""
    vm = next(vm for vm in summary["vms"] if vm["name"] == machine)
    assert vm["state"] == "running"
    assert vm["disks"]
    assert {disk["io_path"] for disk in vm["disks"]} == {"gfapi"}


def converged(node: str) -> dict[str, str]:
    """What molecule/default/converge.yml asks for, as text."""
    written = CONVERGE.read_text().replace("{{ groups.gluster_nodes[0] }}", node)
    assert "{{" not in written
    return job.survey(yaml.safe_load(written)[0]["vars"])


def test_what_molecule_converged_is_as_asked_in_text_too(site: t.Callable[..., job.Job], node: str) -> None:
    answers = converged(node)
    for check in (True, False):
        result = site(answers, check=check)
        assert result.changed == set()
        assert result.planned == set()
        assert_proven(result.summary, "guest1")


@pytest.fixture
def new(inventory: Path, node: str, tmp_path: Path) -> t.Iterator[tuple[str, dict[str, str]]]:
    """A name that the lab has not seen, and the answers that make a volume, a storage domain and a machine of it."""
    name = f"survey-{uuid.uuid4().hex[:6]}"
    answers = {
        "gluster_volume_prep_volume": name,
        "gluster_volume_prep_bricks": [f"{node}:/bricks/{name}-{number}" for number in (1, 2, 3)],
        "gluster_volume_prep_force": True,
        "gluster_volume_prep_options": {"features.shard-block-size": "64MB", "cluster.eager-lock": True},
        "gluster_storage_domain_name": name,
        "gluster_storage_domain_volume": name,
        "gluster_storage_domain_servers": [node],
        "vm_gfapi_disks": f"- name: {name}\n  size: 64MiB\n",
        "vm_gfapi_vms": [
            {
                "name": name,
                "state": "running",
                "virt_type": "qemu",
                "memory": "256",
                "vcpus": "1",
                "kernel": f"{GUEST}/vmlinuz",
                "initrd": f"{GUEST}/initrd.img",
                "disks": [{"name": name}],
            }
        ],
    }
    yield name, job.survey(answers)
    gone = f"virsh destroy {name}; virsh undefine {name}; umount /rhev/data-center/mnt/glusterSD/*:_{name}"
    job.run_shell(tmp_path / "hypervisors", inventory, "hypervisors", gone)
    gone = (
        f"gluster --mode=script volume stop {name}; gluster --mode=script volume delete {name}; rm -rf /bricks/{name}-*"
    )
    job.run_shell(tmp_path / "nodes", inventory, "gluster_nodes", gone)


def test_a_new_volume_with_its_machine(site: t.Callable[..., job.Job], new: tuple[str, dict[str, str]]) -> None:
    name, answers = new
    assert all(isinstance(answer, str) for answer in answers.values())

    foreseen = site(answers, check=True)
    done = site(answers, check=False)
    assert foreseen.changed
    assert foreseen.changed <= done.changed
    assert done.changed <= foreseen.changed | foreseen.planned
    assert foreseen.summary["planned"] == f"the creation of volume {name}"
    assert_proven(done.summary, name)

    again = site(answers, check=False)
    assert again.changed == set()
    assert_proven(again.summary, name)


# Off by hand, as docs/tls.md has it. Mounts and bricks of a pool that changes over do not come back by themselves.
ASIDE = """
virsh list --name | xargs -r -n1 virsh destroy
umount /rhev/data-center/mnt/glusterSD/*
gluster volume list | xargs -r -I@ gluster --mode=script volume stop @ force
"""
OFF = """
systemctl stop glusterd; pkill gluster
rm -rf /var/lib/glusterd/secure-access /etc/ssl/glusterfs.* /usr/lib/ssl/glusterfs.* /etc/ssl/gluster-trial-ca
systemctl start glusterd
for try in $(seq 30); do gluster --mode=script volume start vmstore force && break; sleep 1; done
"""


@pytest.fixture
def pool_at_rest(inventory: Path, node: str, tmp_path: Path) -> t.Iterator[None]:
    """No guest runs, nothing is mounted, no volume started. Afterwards without TLS, and as molecule converged it."""
    job.run_shell(tmp_path / "aside", inventory, "gluster_nodes", ASIDE)
    yield
    job.run_shell(tmp_path / "aside again", inventory, "gluster_nodes", ASIDE)
    job.run_shell(tmp_path / "off", inventory, "gluster_nodes", OFF)
    result = job.run(tmp_path / "as before", inventory, converged(node), check=False)
    assert result.status == "successful", result.output


@pytest.mark.usefixtures("pool_at_rest")
def test_tls_for_a_new_volume_with_its_machine(
    site: t.Callable[..., job.Job], inventory: Path, node: str, new: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    """The entry point `tls` too: the role gluster_storage_domain gets the hypervisor its certificate from there."""
    name, answers = new
    tls = {"tls": "yes", "tls_trial_ca": node, "tls_allow": f"{node}, nobody"}
    answers |= {f"gluster_volume_prep_{option}": text for option, text in tls.items()}

    foreseen = site(answers, check=True)
    done = site(answers, check=False)
    assert ("gluster_volume_prep", "tls_trial.yml") in foreseen.changed
    assert foreseen.changed <= done.changed
    assert done.changed <= foreseen.changed | foreseen.planned
    assert_proven(done.summary, name)

    again = site(answers, check=False)
    assert again.changed == set()
    assert_proven(again.summary, name)

    # without the switch, and with purge, it stays on
    off = {"gluster_volume_prep_tls": "no", "gluster_volume_prep_tls_trial_ca": "", "gluster_volume_prep_purge": "yes"}
    other_roles = "gluster_storage_domain,vm_gfapi"
    result = job.run(tmp_path / "purge", inventory, answers | off, check=False, skip_tags=other_roles)
    assert (result.failures, result.status, result.changed) == ([], "successful", set())

    look = f"openssl s_client -connect localhost:24007 < /dev/null 2>&1 | grep subject=; gluster volume info {name}"
    said = job.run_shell(tmp_path / "look", inventory, "gluster_nodes", look)
    assert f"CN = {node}" in said
    assert {"client.ssl: on", "server.ssl: on", f"auth.ssl-allow: {node},nobody"} <= set(said.splitlines())


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "name": ({"volume": "n 2"}, 'gluster_volume_prep_volume "n 2" is no name of a volume'),
    "gluster's own word": ({"volume": "all"}, 'gluster_volume_prep_volume "all" is no name of a volume'),
    "options": ({"options": "network.ping-timeout=26"}, '"network.ping-timeout=26" is no dictionary: write it as {'),
    "brick of another volume": ({"bricks": "NODE:/bricks/b1/", "force": "yes"}, "/bricks/b1 on NODE is or was a brick"),
    "brick in a brick": ({"bricks": "NODE:/bricks/b1/inside"}, "volume new could not be made: Brick: NODE:/bricks/b1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_one_line_and_nothing_is_left(case: str, inventory: Path, node: str, tmp_path: Path) -> None:
    values, words = REFUSED[case]
    asked = {"volume": "new", "bricks": f"{node}:/bricks/new", "replica": "1"} | values
    answers = {f"gluster_volume_prep_{name}": text.replace("NODE", node) for name, text in asked.items()}
    left = "find /bricks -maxdepth 2 | sort; gluster volume list; gluster pool list"
    before = job.run_shell(tmp_path / "before", inventory, "gluster_nodes", left)
    result = job.run(tmp_path / "run", inventory, job.survey(answers), check=False)
    assert len(result.failures) == 1
    assert words.replace("NODE", node) in result.failures[0]
    assert "\n" not in result.failures[0]
    assert job.run_shell(tmp_path / "after", inventory, "gluster_nodes", left) == before != ""
    assert case == "brick in a brick" or result.changed == set()


@pytest.mark.parametrize("tags", ["packages,prerequisites", "options"])
def test_tags_can_be_skipped(tags: str, inventory: Path, tmp_path: Path) -> None:
    answers = job.survey({"gluster_volume_prep_volume": "vmstore", "gluster_storage_domain_name": "vms"})
    result = job.run(
        tmp_path / "run", inventory, answers, check=False, skip_tags=f"vm_gfapi,gluster_storage_domain,{tags}"
    )
    assert (result.failures, result.changed) == ([], set())
    assert result.status == "successful", result.output


@pytest.mark.cluster
def test_a_cluster_is_as_asked_in_text_too(tmp_path: Path) -> None:
    """The volume of molecule/cluster over three nodes, and its storage domain on two hypervisors."""
    inventory = inventory_in("GFAPI_CLUSTER_INVENTORY")
    nodes = job.group(inventory, "gluster_nodes")
    answers = {
        "gluster_volume_prep_volume": "vmstore",
        "gluster_volume_prep_bricks": [f"{node}:/bricks/vmstore" for node in nodes],
        "gluster_storage_domain_name": "vms",
        "gluster_storage_domain_volume": "vmstore",
        "gluster_storage_domain_servers": nodes,
        "vm_gfapi_hypervisor": job.group(inventory, "hypervisors")[1],
    }
    for check in (True, False):
        result = job.run(tmp_path / str(check), inventory, job.survey(answers), check=check)
        assert result.failures == []
        assert result.status == "successful", result.output
        assert (result.changed, result.planned) == (set(), set())
        assert result.summary["storage_domain"]["name"] == "vms"
