# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume that fills up while a disk is filled, and one with a quota: what is said, and the space given back."""

from __future__ import annotations

import typing as t

import pytest
from hosts import System
from modules import Modules
from volumes import GLUSTER, NO_HEALTH_CHECK

from conftest import HOST, MOUNT_POINT

NAME = "small"
SPEC = f"{HOST}:/{NAME}"
FOLDERS = tuple(f"/bricks/{NAME}{number}" for number in (1, 2))
SOURCE = f"/var/tmp/{NAME}.raw"
MIB = 1 << 20
#: of a brick, and of a source that is more than one brick holds and less than the volume says is free
BRICK_MIB, SOURCE_MIB = 125, 130


@pytest.fixture(scope="module")
def small(system: System, modules: Modules) -> t.Iterator[str]:
    """A storage domain on two small bricks, and a source that nothing makes smaller."""
    for folder in FOLDERS:
        system.run("truncate", f"--size={BRICK_MIB}M", image_of(folder))
        system.run("mkfs.ext4", "-q", "-m", "0", image_of(folder))
        system.run("mkdir", folder)
        system.run("mount", "-o", "loop", image_of(folder), folder)
    system.run("dd", "if=/dev/urandom", f"of={SOURCE}", "bs=1M", f"count={SOURCE_MIB}", "status=none")
    system.run(*GLUSTER, "create", NAME, *(f"{HOST}:{folder}/brick" for folder in FOLDERS), "force")
    # with shards a file would be on both bricks
    system.run(*GLUSTER, "set", NAME, "features.shard", "off", *NO_HEALTH_CHECK)
    system.run(*GLUSTER, "start", NAME)
    modules.done("glusterfs_domain", name=NAME, spec=SPEC)
    yield NAME
    modules.done("glusterfs_domain", name=NAME, spec=SPEC, state="absent", confirm=NAME)
    system.run(*GLUSTER, "stop", NAME, "force")
    system.run(*GLUSTER, "delete", NAME)
    for folder in FOLDERS:
        system.host.run(f"umount -l {folder}; rmdir {folder}; rm -f {image_of(folder)} {SOURCE}")


def image_of(folder: str) -> str:
    return f"/var/tmp/{folder.rpartition('/')[2]}.img"


def images(system: System) -> list[str]:
    """What the bricks hold of images, hidden files too."""
    return system.lines("find", *FOLDERS, "-path", "*/images/*")


def free_bytes(system: System) -> int:
    return sum(map(int, system.lines("df", "-B1", "--output=avail", *FOLDERS)[1:]))


@pytest.mark.parametrize("image_format", ["qcow2", "raw"])
def test_a_brick_that_fills_up_meanwhile(modules: Modules, system: System, small: str, image_format: str) -> None:
    before = free_bytes(system)
    words = modules.refused("gfapi_disk", storage_domain=small, name="huge", source=SOURCE, format=image_format)
    assert words.startswith(f"cannot create disk huge in storage domain {small}: qemu-img: error while writing")
    assert "No space left on device" in words
    assert words.endswith("; free space or add bricks to the volume")
    assert images(system) == []
    assert abs(free_bytes(system) - before) < 8 * MIB


def test_a_volume_with_a_quota(modules: Modules, system: System, small: str) -> None:
    quota = ("gluster", "--mode=script", "volume", "quota", NAME)
    system.run(*quota, "enable")
    try:
        system.run(*quota, "limit-usage", "/", f"{BRICK_MIB // 2}MB")
        for option, value in (("quota-deem-statfs", "off"), ("hard-timeout", "0"), ("soft-timeout", "0")):
            system.run(*GLUSTER, "set", NAME, f"features.{option}", value)
        # used up beforehand: gluster accounts later than it writes, so one file may go well beyond the limit
        filler = f"{MOUNT_POINT.rpartition(':_')[0]}:_{NAME}/filler"
        system.host.run(f"dd if=/dev/zero of={filler} bs=1M count={BRICK_MIB // 2 + 1}")
        # each brick hears of it in its own time, and which has a folder depends on its name
        probe = f"for n in 1 2 3 4 5 6 7 8; do ! mkdir {filler}$n || {{ rmdir {filler}$n; exit 1; }}; done"
        system.wait("the quota is in force", lambda: system.host.run(probe).rc == 0)
        for wanted in ({"source": SOURCE}, {"size": "80M", "format": "raw", "preallocation": "full"}):
            words = modules.refused("gfapi_disk", storage_domain=small, name="huge", **wanted)
            assert words.startswith(f"cannot create disk huge in storage domain {small}: ")
            assert "Disk quota exceeded" in words
            assert words.endswith("; raise the quota or free space")
            assert images(system) == []
        # what the volume itself says is asked before anything is made
        system.run(*GLUSTER, "set", NAME, "features.quota-deem-statfs", "on")
        words = modules.refused("gfapi_disk", storage_domain=small, name="huge", source=SOURCE)
        assert f"does not fit into storage domain {small}: " in words
        system.run("rm", filler)
    finally:
        system.run(*quota, "disable")
