# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._fleet import MADE_BY, NEEDS, SHARED, VERBATIM, fleet
from ansible_collections.gfapi.virt.plugins.modules import gfapi_disk, libvirt_vm

#: options of gfapi_disk that a disk of a VM does not have: what VMs have to do with it is libvirt_vm's
ALONE: t.Final = {"state", "force", "dest", "dest_format", "vm"}
#: those that both have and that are libvirt_vm's there
ATTACHED: t.Final = {"target", "bus"}


def test_every_option_of_both_modules_belongs_to_one_or_is_the_same_in_both() -> None:
    making, having = gfapi_disk.DISK_SPEC, libvirt_vm.DISK_SPEC
    assert set(making) == {*MADE_BY, *SHARED} | ALONE | ATTACHED
    assert set(making) & set(having) == {*SHARED} | ATTACHED
    assert all(set(t.cast("t.Any", having[key])) <= set(t.cast("t.Any", making[key])) for key in SHARED)
    assert {"cloud_init", "tpm", "firmware", *VERBATIM} <= set(libvirt_vm.VM_SPEC)
    assert set(NEEDS) == {"cloud_init", "spice", "tpm", "uefi"}


def test_fleet_from_names_and_defaults() -> None:
    defaults = {
        "memory": "2GiB",
        "serial_log": "/log/{name}.log",
        "disks": [{"name": "{name}-root", "clone_of": "debian", "bus": "scsi"}, {"name": "tools"}],
    }
    made = fleet([{"name": "web1"}, {"name": "web2", "memory": "4GiB"}], [], defaults, {})
    assert made["vms"] == [
        {
            "name": name,
            "memory": memory,
            "serial_log": f"/log/{name}.log",
            "disks": [{"name": f"{name}-root", "bus": "scsi"}, {"name": "tools"}],
        }
        for name, memory in (("web1", "2GiB"), ("web2", "4GiB"))
    ]
    assert made["vm_disks"] == [{"name": f"{name}-root", "clone_of": "debian"} for name in ("web1", "web2")]
    assert (made["disks"], made["needs"]) == ([], [])


def test_what_a_vm_says_replaces_its_default_as_a_whole_and_null_takes_it_away() -> None:
    defaults = {"wait_for": {"console": "login", "timeout": 5}, "tpm": "2.0", "boot": ["hd"]}
    (vm,) = fleet([{"name": "a", "wait_for": {"console": "up"}, "tpm": None}], [], defaults, {})["vms"]
    assert vm == {"name": "a", "wait_for": {"console": "up"}, "boot": ["hd"]}


def test_defaults_of_disks_are_for_those_that_are_made() -> None:
    disks = [{"name": "data"}, {"name": "small", "size": "1MiB", "format": None}]
    vm = {"name": "a", "disks": [{"name": "data"}, {"name": "own", "size": "2MiB", "target": "vdb"}]}
    made = fleet([vm], disks, {}, {"size": "1GiB", "format": "raw"})
    assert made["disks"] == [{"name": "data", "size": "1GiB", "format": "raw"}, {"name": "small", "size": "1MiB"}]
    assert made["vm_disks"] == [{"name": "own", "size": "2MiB", "format": "raw"}]
    assert made["vms"] == [{"name": "a", "disks": [{"name": "data"}, {"name": "own", "target": "vdb"}]}]


def test_vm_that_goes_brings_no_disk_and_needs_nothing() -> None:
    defaults = {"tpm": "2.0", "disks": [{"name": "{name}-root", "size": "1GiB"}], "state": "running"}
    made = fleet([{"name": "a", "state": "absent"}], [], defaults, {})
    assert made["vms"] == [{"name": "a", "state": "absent", "tpm": "2.0", "disks": [{"name": "a-root"}]}]
    assert (made["vm_disks"], made["needs"]) == ([], [])


@pytest.mark.parametrize(
    ("vm", "needs"),
    [
        ({}, []),
        ({"tpm": "none", "firmware": "bios", "cloud_init": {}}, []),
        ({"tpm": "2.0"}, ["tpm"]),
        ({"graphics": [{"password": "x"}, {"type": "vnc"}]}, []),
        ({"graphics": [{"type": "vnc"}, {"type": "spice"}]}, ["spice"]),
        ({"graphics": {"type": "spice"}}, []),  # no list, which libvirt_vm will say
        ({"graphics": ["spice"]}, []),
        ({"tpm": 2.0, "firmware": "uefi", "cloud_init": {"user_data": "#"}}, ["cloud_init", "tpm", "uefi"]),
    ],
)
def test_needs(vm: dict[str, t.Any], needs: list[str]) -> None:
    assert fleet([{"name": "a", **vm}, {"name": "b"}], [], {}, {})["needs"] == needs


def test_texts_of_others_keep_their_braces() -> None:
    defaults = {key: [{"text": "${name}"}] for key in VERBATIM} | {"title": "the {name}"}
    vm_own = {"name": "a", "description": "{name}"}
    (vm,) = fleet([vm_own], [], defaults, {})["vms"]
    assert vm == {**vm_own, "title": "the a", **{key: [{"text": "${name}"}] for key in VERBATIM}}


@pytest.mark.parametrize(
    ("vms", "disks", "words"),
    [
        (["a"], [], "vm_gfapi_vms: entry 1 has no name; write each as {name: ..., further options}"),
        ([{"name": "a"}, {"memory": "secret"}], [], "vm_gfapi_vms: entry 2 has no name"),
        ([], [{"size": "1GiB"}], "vm_gfapi_disks: entry 1 has no name"),
        ([{"name": "a", "disks": {"name": "secret"}}], [], "vm a: its disks are no list of dictionaries"),
        (
            [{"name": "a", "disks": [{"file": "secret", "size": "1"}]}],
            [],
            "vm a: a disk with size has no name, by which",
        ),
    ],
)
def test_what_cannot_be_meant_is_told_without_its_values(vms: list[t.Any], disks: list[t.Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}") as told:
        fleet(vms, disks, {}, {})
    assert "secret" not in str(told.value)
