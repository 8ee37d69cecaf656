# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._volume import Brick, Volume
from ansible_collections.gfapi.virt.plugins.module_utils._volume_use import (
    Clients,
    HostUse,
    reasons_not_to_stop,
    vm_of,
)
from ansible_collections.gfapi.virt.tests.unit.recorded import gluster_text

BRICKS = tuple(Brick(f"gl{number}", "/bricks/vmstore") for number in (1, 2, 3))
VOLUME = Volume("vmstore", "Replicate", "Started", 3, BRICKS)
MOUNT = "/rhev/data-center/mnt/glusterSD/h:_vmstore"


def clients(recording: str) -> Clients:
    return Clients.parse(gluster_text(recording))


def test_daemons_of_gluster_are_no_users() -> None:
    assert clients("clients_none").kinds == {"glustershd": 3}
    assert reasons_not_to_stop(VOLUME, clients("clients_none"), HostUse()) == []


def test_clients_are_named_by_kind_and_address() -> None:
    found = clients("clients_mounted")
    (reason,) = reasons_not_to_stop(VOLUME, found, HostUse())
    assert reason.startswith("clients are connected: 1 fuse (connections come from ")
    assert len(found.addresses) == 3


def test_bricks_that_do_not_answer_are_named() -> None:
    (reason,) = reasons_not_to_stop(VOLUME, clients("clients_peer_down"), HostUse())
    assert reason.endswith("down or out of reach: gl3:/bricks/vmstore")


def test_brick_whose_process_is_gone_is_named() -> None:
    bricks = tuple(Brick("gl1", f"/bricks/replicate{number}") for number in (1, 2, 3))
    volume = Volume("replicate", "Replicate", "Started", 3, bricks)
    (reason,) = reasons_not_to_stop(volume, clients("clients_brick_down"), HostUse())
    assert reason.endswith("down or out of reach: gl1:/bricks/replicate2")


def test_rebalance_by_another_host_is_named() -> None:
    assert reasons_not_to_stop(VOLUME, Clients({"rebalance": 1}), HostUse()) == ["a rebalance of it is running"]


def test_mounts_and_virtual_machines_are_named() -> None:
    here = HostUse((MOUNT,), ("guest1", "guest2"))
    assert reasons_not_to_stop(VOLUME, Clients({}), here) == [
        f"it is mounted here at {MOUNT}",
        "virtual machines run on it here: guest1, guest2",
    ]


@pytest.mark.parametrize(
    ("disk", "is_on_it"),
    [
        ('{"driver":"gluster","volume":"vmstore","path":"a/b","server":[]}', True),
        ('{"driver":"gluster","volume":"vmstore2","path":"a/b","server":[]}', False),
        ("file=gluster://h/vmstore/a.qcow2,if=virtio", True),
        ("file=gluster+tcp://h:24007/vmstore/a.qcow2", True),
        ("file=gluster://h/other/vmstore/a.qcow2", False),
        (f'{{"driver":"file","filename":"{MOUNT}/x"}}', True),
        (f'{{"driver":"file","filename":"{MOUNT}2/x"}}', False),
    ],
)
def test_virtual_machine_is_told_by_its_command(disk: str, *, is_on_it: bool) -> None:
    argv = ["/usr/bin/qemu-system-x86_64", "-name", "guest=guest1,debug-threads=on", "-blockdev", disk]
    assert vm_of(argv, "vmstore", [MOUNT]) == ("guest1" if is_on_it else None)


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["qemu-img", "info", "gluster://h/vmstore/a"], None),
        ([], None),
        (["qemu-kvm", "gluster://h/vmstore/a"], "qemu-kvm"),
        (["/usr/libexec/qemu-kvm", "-name", "a", "gluster://h/vmstore/a"], "a"),
    ],
)
def test_only_virtual_machines_count(argv: list[str], name: str | None) -> None:
    assert vm_of(argv, "vmstore", []) == name
