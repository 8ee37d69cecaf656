# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible_collections.gfapi.virt.plugins.module_utils._brick_disks import BrickDisks
from ansible_collections.gfapi.virt.plugins.module_utils._command import Completed
from ansible_collections.gfapi.virt.plugins.module_utils._errors import CommandError


def test_space_is_what_users_find_free(tmp_path: Path) -> None:
    folder = tmp_path / "a brick"
    folder.mkdir()
    found = BrickDisks().available_bytes([str(folder), str(tmp_path / "gone")])
    space = os.statvfs(folder)
    assert found.keys() == {str(folder)}
    # others write to this file system too
    assert abs(found[str(folder)] - space.f_bavail * space.f_frsize) < 2**30


def test_disk_that_hangs_is_not_waited_for() -> None:
    asked = []

    def hang(argv: t.Sequence[str], *, timeout_s: float = 60, **_more: object) -> Completed:
        asked.append(timeout_s)
        raise CommandError("stat: no answer")

    assert BrickDisks(hang).available_bytes(["/bricks/b"]) == {}  # type: ignore[arg-type]
    assert asked == [5]


def test_nothing_is_asked_for_no_brick() -> None:
    def fail(*_args: object, **_more: object) -> Completed:
        raise AssertionError

    assert BrickDisks(fail).available_bytes([]) == {}


def test_sectors_are_those_of_the_disk(tmp_path: Path) -> None:
    """/sys/class/block holds links into the tree of devices, where a partition lies below its disk."""
    disk = tmp_path / "devices/sda"
    (disk / "sda1").mkdir(parents=True)
    (disk / "queue").mkdir()
    (disk / "queue/logical_block_size").write_text("4096\n")
    block = tmp_path / "class"
    block.mkdir()
    (block / "sda").symlink_to(disk)
    (block / "sda1").symlink_to(disk / "sda1")
    (tmp_path / "mapper").symlink_to("/dev/sda")
    disks = BrickDisks(block_devices=str(block))
    devices = ["/dev/sda", "/dev/sda1", str(tmp_path / "mapper"), "/dev/sdb", "tank/bricks"]
    assert [disks.sector_bytes(device) for device in devices] == [4096, 4096, 4096, None, None]


def test_addresses_of_this_host_are_found_by_what_others_see() -> None:
    found = BrickDisks().addresses(["127.0.0.1", "::1", "no.such.host.invalid"])
    assert found["127.0.0.1"] == "127.0.0.1"
    assert set(found.values()) <= {"127.0.0.1", "::1", "localhost"}
