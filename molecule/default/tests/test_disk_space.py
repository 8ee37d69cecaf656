# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume that fills up while a disk is filled, and one with a quota: what is said, and the space given back."""

from __future__ import annotations

import concurrent.futures
import typing as t

import pytest
from hosts import System
from modules import Modules
from volumes import GLUSTER

from conftest import HOST

NAME = "small"
SPEC = f"{HOST}:/{NAME}"
IMAGE, FOLDER = f"/var/tmp/{NAME}.img", f"/bricks/{NAME}"
BRICK = f"{FOLDER}/brick"
SOURCE = f"/var/tmp/{NAME}.raw"
MIB = 1 << 20


@pytest.fixture(scope="module")
def small(system: System, modules: Modules) -> t.Iterator[str]:
    """A storage domain on a brick of 300 MiB, and a source of 150 MiB that nothing makes smaller."""
    system.run("truncate", "--size=300M", IMAGE)
    system.run("mkfs.xfs", "-q", IMAGE)
    device = system.run("losetup", "--find", "--show", IMAGE).strip()
    system.run("mkdir", FOLDER)
    system.run("mount", device, FOLDER)
    system.run("dd", "if=/dev/urandom", f"of={SOURCE}", "bs=1M", "count=150", "status=none")
    system.run(*GLUSTER, "create", NAME, f"{HOST}:{BRICK}", "force")
    # with shards the brick would not tell of the file that grows
    system.run(*GLUSTER, "set", NAME, "features.shard", "off")
    system.run(*GLUSTER, "start", NAME)
    modules.done("glusterfs_domain", name=NAME, spec=SPEC)
    yield NAME
    modules.done("glusterfs_domain", name=NAME, spec=SPEC, state="absent", confirm=NAME)
    system.run(*GLUSTER, "stop", NAME, "force")
    system.run(*GLUSTER, "delete", NAME)
    system.host.run(f"umount -l {FOLDER}; rmdir {FOLDER}; losetup --detach {device}; rm -f {IMAGE} {SOURCE}")


def images(system: System) -> list[str]:
    """What the brick holds of images, hidden files too."""
    return system.lines("find", BRICK, "-path", "*/images/*")


def free_bytes(system: System) -> int:
    return int(system.lines("df", "-B1", "--output=avail", FOLDER)[-1])


@pytest.mark.parametrize("image_format", ["qcow2", "raw"])
def test_a_volume_that_fills_up_meanwhile(modules: Modules, system: System, small: str, image_format: str) -> None:
    before = free_bytes(system)
    # as soon as the image grows, somebody else takes nearly all that is left
    take = (
        f"until [ -n \"$(find {BRICK} -path '*/images/*' -type f -size +4M)\" ]; do sleep 0.05; done;"
        f" fallocate -l $(($(df -B1 --output=avail {FOLDER} | tail -1) - {4 * MIB})) {FOLDER}/other"
    )
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        other = pool.submit(system.run, "timeout", "120", "sh", "-c", take)
        words = modules.refused("gfapi_disk", storage_domain=small, name="huge", source=SOURCE, format=image_format)
        other.result()
    system.run("rm", f"{FOLDER}/other")
    assert words.startswith(f"cannot create disk huge in storage domain {small}: qemu-img: error while writing")
    assert "No space left on device" in words
    assert words.endswith("; free space or add bricks to the volume")
    assert images(system) == []
    assert abs(free_bytes(system) - before) < 8 * MIB


def test_a_volume_with_a_quota(modules: Modules, system: System, small: str) -> None:
    system.run(*GLUSTER, "quota", NAME, "enable")
    try:
        system.run(*GLUSTER, "quota", NAME, "limit-usage", "/", "60MB")
        for option, value in (("features.quota-deem-statfs", "off"), ("features.hard-timeout", "0")):
            system.run(*GLUSTER, "set", NAME, option, value)
        system.run(*GLUSTER, "set", NAME, "features.soft-timeout", "0")
        for wanted in ({"source": SOURCE}, {"size": "100M", "format": "raw", "preallocation": "full"}):
            words = modules.refused("gfapi_disk", storage_domain=small, name="huge", **wanted)
            assert words.startswith(f"cannot create disk huge in storage domain {small}: ")
            assert "Disk quota exceeded" in words
            assert words.endswith("; raise the quota or free space")
            assert images(system) == []
        # what the volume itself says is asked before anything is made
        system.run(*GLUSTER, "set", NAME, "features.quota-deem-statfs", "on")
        words = modules.refused("gfapi_disk", storage_domain=small, name="huge", source=SOURCE)
        assert f"does not fit into storage domain {small}: " in words
    finally:
        system.run(*GLUSTER, "quota", NAME, "disable")
