# SPDX-License-Identifier: GPL-3.0-or-later
"""gluster_volume_info on a host that has all bricks of the volume, its mount and a machine, and what the host says."""

from __future__ import annotations

import typing as t

import pytest
from hosts import Guest, System
from modules import Modules

from conftest import MOUNT_POINT, VOLUME

Info = dict[str, t.Any]


@pytest.fixture(scope="module")
def volume(modules: Modules) -> Info:
    (found,) = modules.done("gluster_volume_info", names=[VOLUME])["volumes"]
    return t.cast("Info", found)


def test_volume_made_by_the_role_is_fit(volume: Info) -> None:
    assert (volume["problems"], volume["warnings"]) == ([], [])
    assert volume["eligible_for_storage_domain"] is True


def test_bricks_are_what_runs(system: System, volume: Info) -> None:
    commands = [system.run("ps", "-ww", "-o", "args=", "-p", str(brick["pid"])) for brick in volume["bricks"]]
    assert all(f"--brick-name {brick['path']} " in told for brick, told in zip(volume["bricks"], commands))
    assert len(commands) == 3


def test_disk_under_the_bricks_is_read(system: System, volume: Info) -> None:
    for brick in volume["bricks"]:
        available = int(system.lines("df", "--block-size=1", "--output=avail", brick["path"])[1])
        # others write to this disk too
        assert abs(brick["available_bytes"] - available) < brick["size_bytes"] / 100
        assert brick["sector_bytes"] in (512, 4096)


def test_space_of_bricks_that_share_a_disk_is_what_the_mount_shows(system: System, volume: Info) -> None:
    shown = system.lines("df", "--block-size=1", "--output=size,avail", MOUNT_POINT)[1].split()
    size, free = map(int, shown)
    # a mount counts blocks of a share, so it rounds
    assert abs(volume["space"]["size_bytes"] - size) < 2**20
    assert abs(volume["space"]["free_bytes"] - free) < size / 100


def test_mount_and_machine_are_told_apart_from_the_daemon_that_heals(guest: Guest, volume: Info) -> None:
    assert guest.state == "running"
    (client,) = volume["clients"]
    assert client["processes"] == 2


def test_what_is_told_is_what_the_storage_domain_has(modules: Modules, volume: Info) -> None:
    """One host serves it, so there is no other to fall back on; what is mounted by that spec is not changed."""
    assert volume["mount_options"] == []
    made = modules.done(
        "glusterfs_domain", check=True, name="vms", spec=volume["spec"], mount_options=volume["mount_options"]
    )
    assert made["changed"] is False


def test_unknown_volume_is_left_out(modules: Modules) -> None:
    assert modules.done("gluster_volume_info", names=["nope"])["volumes"] == []
