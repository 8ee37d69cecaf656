# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._report import report

#: of a real cluster; kvm1, on which VM looper runs, was cut off from gluster1 and gluster2
TOLD = Path(__file__).resolve().parents[2] / "fixtures/report/told.json"
Result = dict[str, t.Any]
Told = dict[str, dict[str, Result]]
#: what a disk of a VM is called in a finding
DISK = "disk vda (looper-root)"


@pytest.fixture
def told() -> Told:
    found = t.cast(Told, json.loads(TOLD.read_text(encoding="utf-8")))
    # the module that was recorded did not tell it yet
    found["kvm1"]["vms"]["vms"][0]["disks"][0]["device"] = "disk"
    return found


@pytest.fixture
def well(told: Told) -> Told:
    """As if nobody had been cut off: kvm1 sees what kvm2 sees, with the VM as its own."""
    (seen,) = copy.deepcopy(told["kvm2"]["storage_domains"]["storage_domains"])
    image = seen["images"][0]
    image["used_by"], image["used_elsewhere"] = [{"name": "looper", "state": "running", "target": "vda"}], []
    told["kvm1"]["storage_domains"]["storage_domains"] = [seen]
    (disk,) = vm_of(told)["disks"]
    disk["connected"] = disk["servers"]
    for host in ("gluster2", "gluster3"):
        told[host]["volumes"] = {"skipped": True, "changed": False}
    return told


def vm_of(told: Told) -> Result:
    (vm,) = told["kvm1"]["vms"]["vms"]
    return t.cast(Result, vm)


def image_of(found: Result) -> Result:
    """The VM's; the other one is of nobody."""
    return next(image for image in found["images"] if image["name"] == "looper-root")


def told_of(found: Result) -> list[tuple[str, str, str, str]]:
    return [(one["severity"], one["kind"], one["name"], one["code"]) for one in found["findings"]]


def test_nothing_is_found_where_all_is_well(well: Told) -> None:
    found = report(well)
    assert found["findings"] == []
    assert [host["name"] for host in found["hosts"]] == list(well)
    assert {host["name"]: host["jobs"] for host in found["hosts"] if host["answers"]} == {
        **{name: ["hypervisor"] for name in ("kvm1", "kvm2")},
        **{name: ["storage node"] for name in ("gluster1", "gluster2", "gluster3")},
    }
    (volume,) = found["volumes"]
    assert volume["name"] == "vmstore"
    (place,) = found["storage_domains"]
    assert [(host["name"], host["state"]) for host in place["hosts"]] == [("kvm1", "active"), ("kvm2", "active")]
    image = image_of(found)
    assert (image["storage_domain"], image["orphan"]) == ("vms", False)
    (vm,) = found["vms"]
    assert (vm["host"], [disk["image"] for disk in vm["disks"]]) == ("kvm1", ["looper-root"])


def test_what_a_cut_off_host_cannot_read_is_told_by_another(told: Told) -> None:
    found = report(told)
    assert told_of(found) == [
        ("problem", "storage domain", "vms", "hung"),
        ("warning", "virtual machine", "looper", "not_connected"),
    ]
    assert [one["hosts"] for one in found["findings"]] == [["kvm1"], ["kvm1"]]
    words = f"its QEMU has no connection to gluster1, gluster2 for {DISK}"
    assert found["findings"][1]["message"] == words
    assert found["findings"][1]["text"].startswith(f"warning: virtual machine looper: {words}; ")
    (place,) = found["storage_domains"]
    assert (place["name"], place["state"]) == ("vms", "active")
    assert [(host["name"], host["state"]) for host in place["hosts"]] == [("kvm1", "hung"), ("kvm2", "active")]
    image = image_of(found)
    assert image["users"] == [{"host": "kvm1", "name": "looper", "state": "running", "target": "vda"}]
    assert {image["orphan"] for image in found["images"]} == {False}


def test_a_storage_domain_that_nobody_can_read_is_called_by_its_mount_point(told: Told) -> None:
    del told["kvm2"]
    assert told_of(report(told))[0] == (
        "problem", "storage domain", "/rhev/data-center/mnt/glusterSD/gluster1:_vmstore", "hung",
    )  # fmt: skip


def test_a_vm_that_reaches_its_image_without_a_mount_is_told_as_its_user(well: Told) -> None:
    well["kvm1"]["storage_domains"]["storage_domains"] = []
    image = image_of(report(well))
    assert image["users"] == [{"host": "kvm1", "name": "looper", "state": "running", "target": "vda"}]
    assert image["orphan"] is False


def test_users_of_an_image_are_told_once(well: Told) -> None:
    """kvm2 has kvm1's note of the VM that kvm1 itself tells of, and may call kvm1 by another name."""
    (seen,) = well["kvm2"]["storage_domains"]["storage_domains"]
    seen["images"][0]["used_elsewhere"] = [
        {"host": "kvm1.example.org", "name": "looper", "open": True},
        {"host": "kvm3", "name": "other", "open": False},
    ]
    image = image_of(report(well))
    assert [(user["host"], user["name"], user["state"]) for user in image["users"]] == [
        ("kvm1", "looper", "running"),
        ("kvm3", "other", "noted"),
    ]


def test_an_image_is_an_orphan_where_all_hosts_answer_and_none_knows_a_user(well: Told) -> None:
    well["kvm1"]["vms"]["vms"] = []
    for host in ("kvm1", "kvm2"):
        (seen,) = well[host]["storage_domains"]["storage_domains"]
        seen["images"][0].update(used_by=[], used_elsewhere=[])
        seen["orphans"]["images"] = [{"uuid": seen["images"][0]["uuid"], "name": "looper-root"}]
    assert image_of(report(well))["orphan"] is True
    (seen,) = well["kvm1"]["storage_domains"]["storage_domains"]
    told, seen["orphans"]["images"] = seen["orphans"]["images"], []
    assert image_of(report(well))["orphan"] is False
    seen["orphans"]["images"] = told
    well["kvm1"]["vms"] = {"failed": True, "msg": "libvirt does not answer"}
    assert image_of(report(well))["orphan"] is None


def test_a_template_tells_its_clones_by_name(well: Told) -> None:
    (seen,) = well["kvm1"]["storage_domains"]["storage_domains"]
    seen["images"][0]["template_of"] = [seen["images"][1]["uuid"], "8f0e"]
    assert image_of(report(well))["template_of"] == [seen["images"][1]["name"], "8f0e"]


def test_what_several_hosts_see_is_told_once_with_all_of_them(well: Told) -> None:
    finding = {"code": "lease_missing", "message": "it has no lease", "mend": "make one"}
    for host in ("kvm1", "kvm2"):
        well[host]["storage_domains"]["storage_domains"][0]["problems"] = [finding]
    (found,) = report(well)["findings"]
    assert found == {
        **finding, "severity": "problem", "kind": "storage domain", "name": "vms", "hosts": ["kvm1", "kvm2"],
        "text": "problem: storage domain vms: it has no lease; make one",
    }  # fmt: skip


def test_findings_of_a_volume_come_problems_first(well: Told) -> None:
    (volume,) = well["gluster1"]["volumes"]["volumes"]
    volume["warnings"] = [{"code": "low_space", "message": "it is full", "mend": "add bricks"}]
    volume["problems"] = [{"code": "stopped", "message": "it is Stopped", "mend": "start it"}]
    assert told_of(report(well)) == [
        ("problem", "volume", "vmstore", "stopped"),
        ("warning", "volume", "vmstore", "low_space"),
    ]


def test_a_host_that_is_not_reached_is_told_once(well: Told) -> None:
    lost = {"unreachable": True, "changed": False, "msg": "Failed to connect\nto the host"}
    well["kvm2"] = {"host": lost, "storage_domains": lost, "vms": lost}
    found = report(well)
    assert told_of(found) == [("problem", "host", "kvm2", "unreachable")]
    assert found["findings"][0]["message"] == "Failed to connect to the host"
    assert {host["name"]: host["answers"] for host in found["hosts"]}["kvm2"] is False
    assert [host["name"] for host in found["storage_domains"][0]["hosts"]] == ["kvm1"]


def test_a_question_that_failed_is_told_and_the_next_node_asked(well: Told) -> None:
    well["gluster2"]["volumes"] = well["gluster1"]["volumes"]
    well["gluster1"]["volumes"] = {"failed": True, "msg": "glusterd does not answer"}
    well["kvm1"]["vms"] = {"failed": True, "msg": "cannot connect to libvirt"}
    found = report(well)
    assert [one["message"] for one in found["findings"]] == [
        "does not tell volumes (gluster_volume_info): glusterd does not answer",
        "does not tell virtual machines (libvirt_vm_info): cannot connect to libvirt",
    ]
    assert [volume["name"] for volume in found["volumes"]] == ["vmstore"]
    assert found["vms"] == []


def test_what_keeps_a_host_from_its_job_is_told_and_from_others_not(well: Told) -> None:
    needed = well["kvm1"]["host"]["host"]["requirements"]
    for job in ("storage_domain", "gfapi"):
        needed[job]["problems"] = ["lxml was not found; install python3-lxml"]
    (found,) = report(well)["findings"]
    assert (found["name"], found["message"], found["mend"]) == ("kvm1", "lxml was not found", "install python3-lxml")


@pytest.mark.parametrize(
    ("vm", "disk", "expected"),
    [
        ({}, {"io_path": "fuse"}, ("warning", f"{DISK} is reached through a FUSE mount")),
        ({}, {"io_path": "file"}, None),
        ({}, {"error": "nospace"}, ("problem", f"a request of {DISK} found no space left")),
        ({}, {"error": "io"}, ("problem", f"a request of {DISK} failed")),
        ({}, {"error": "given_up"}, ("problem", f"QEMU has given up {DISK}")),
        ({}, {"connected": []}, ("warning", f"its QEMU has no connection to gluster1, gluster2, gluster3 for {DISK}")),
        ({"state": "shut_off"}, {"connected": []}, None),
        # the seed of cloud-init
        ({}, {"io_path": "fuse", "device": "cdrom"}, None),
        ({"state": "paused", "pause_reason": "user"}, {}, ("warning", "it is paused (user)")),
        ({"state": "crashed"}, {}, ("problem", "its guest has crashed")),
        (
            {"restart_required": ["memory", "vcpus"]},
            {},
            ("warning", "it runs with another configuration than is defined: memory, vcpus"),
        ),
    ],
)
def test_what_is_wrong_with_a_vm(well: Told, vm: Result, disk: Result, expected: tuple[str, str] | None) -> None:
    vm_of(well).update(vm)
    vm_of(well)["disks"][0].update(disk)
    found = [(one["severity"], one["message"]) for one in report(well)["findings"]]
    assert found == ([expected] if expected else [])


def test_a_paused_vm_whose_disk_failed_is_one_problem(well: Told) -> None:
    vm_of(well).update(state="paused", pause_reason="io_error")
    vm_of(well)["disks"][0]["error"] = "io"
    assert told_of(report(well)) == [("problem", "virtual machine", "looper", "disk_error")]


def test_nothing_is_asked_nothing_is_told() -> None:
    assert report({}) == {
        name: [] for name in ("findings", "hosts", "peers", "volumes", "storage_domains", "images", "vms")
    }
