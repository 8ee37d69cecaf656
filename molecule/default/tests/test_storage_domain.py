# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage domain, as it lies on the mount."""

from __future__ import annotations

import posixpath
import typing as t

import pytest
from hosts import System
from modules import Modules

from conftest import HOST, MOUNT_POINT, VOLUME

MIB = 1 << 20


def test_volume_is_mounted(host: t.Any) -> None:
    mount = host.mount_point(MOUNT_POINT)
    assert mount.exists
    assert mount.filesystem == "fuse.glusterfs"
    assert mount.device in (f"{HOST}:/{VOLUME}", f"{HOST}:{VOLUME}")


def test_metadata_describe_the_storage_domain(host: t.Any, storage_domain: str) -> None:
    text = host.file(f"{storage_domain}/dom_md/metadata").content_string
    metadata = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert metadata["SDUUID"] == posixpath.basename(storage_domain)
    assert metadata["DESCRIPTION"] == "vms"
    assert metadata["TYPE"] == "GLUSTERFS"
    assert metadata["CLASS"] == "Data"
    assert metadata["REMOTE_PATH"] == f"{HOST}:/{VOLUME}"


def test_everything_in_it_belongs_to_36_36(system: System, storage_domain: str) -> None:
    assert system.lines("find", storage_domain, "!", "(", "-uid", "36", "-gid", "36", ")") == []


def test_files_have_the_modes_and_sizes_of_vdsm(system: System, storage_domain: str) -> None:
    found = system.lines("find", storage_domain, "-path", "*/dom_md*", "-printf", "%f %m %s\\n")
    sizes = {"ids": MIB, "leases": 2 * MIB, "xleases": 1302528, "inbox": 16 * MIB, "outbox": 16 * MIB}
    rest = {line.split()[0]: line.split()[1] for line in found if line.split()[0] not in sizes}
    assert {f"{name} 660 {size}" for name, size in sizes.items()} <= set(found)
    assert rest == {"dom_md": "755", "metadata": "644"}


@pytest.fixture
def leader(system: System, storage_domain: str) -> t.Callable[..., dict[str, str]]:
    """What sanlock says of a record: `leader("-s", name, 1, "dom_md/ids")`. Paths from the storage domain's folder."""

    def read(*words: t.Any, offset: int = 0) -> dict[str, str]:
        # from within the folder, for its name holds a colon
        kind, *names = map(str, words)
        record = ":".join([*names, str(offset)])
        command = f'cd "$1" && sanlock direct read_leader {kind} {record} -Z 512 -A 1M'
        done, *lines = system.lines("sh", "-c", command, "sh", storage_domain)
        assert done == "read_leader done 0", (record, done)
        return dict(line.partition(" ")[::2] for line in lines)

    return read


def test_sanlock_reads_the_lockspace(leader: t.Callable[..., dict[str, str]], storage_domain: str) -> None:
    uuid = posixpath.basename(storage_domain)
    for host_id in (1, 250, 2000):
        read = leader("-s", uuid, host_id, "dom_md/ids")
        assert (read["magic"], read["space_name"], read["resource_name"]) == ("0x12212010", uuid, "")
        assert (read["owner_id"], read["timestamp"], read["io_timeout"]) == ("0", "0", "10")


def test_sanlock_reads_the_lease_of_the_spm(
    leader: t.Callable[..., dict[str, str]], system: System, storage_domain: str
) -> None:
    uuid = posixpath.basename(storage_domain)
    read = leader("-r", uuid, "SDM", "dom_md/leases", offset=MIB)
    assert (read["magic"], read["space_name"], read["resource_name"]) == ("0x6152010", uuid, "SDM")
    assert (read["max_hosts"], read["owner_id"], read["timestamp"]) == ("2000", "0", "0")
    dump = system.lines("sh", "-c", 'cd "$1/dom_md" && sanlock direct dump leases:1048576', "sh", storage_domain)
    assert [line.split()[:3] for line in dump[1:]] == [["01048576", uuid, "SDM"]]


def test_sanlock_reads_the_lease_of_every_image_volume(
    leader: t.Callable[..., dict[str, str]], system: System, storage_domain: str
) -> None:
    uuid = posixpath.basename(storage_domain)
    metas = system.lines("find", f"{storage_domain}/images", "-name", "*.meta")
    assert len(metas) >= 2
    for meta in metas:
        lease = meta.removesuffix(".meta") + ".lease"
        volume = posixpath.basename(meta).removesuffix(".meta")
        read = leader("-r", uuid, volume, posixpath.relpath(lease, storage_domain))
        assert (read["space_name"], read["resource_name"], read["timestamp"]) == (uuid, volume, "0")
        assert system.run("stat", "-c", "%a %u:%g %s", lease).strip() == f"660 36:36 {MIB}"


def test_nothing_half_made_is_left(system: System, storage_domain: str) -> None:
    folders = system.lines("find", f"{storage_domain}/images", "-mindepth", "1", "-maxdepth", "1", "-printf", "%f\\n")
    assert len(folders) >= 2
    assert all(len(name) == 36 for name in folders), folders


@pytest.fixture
def big_sectors(system: System) -> t.Iterator[str]:
    """A started volume of one brick on a disk with sectors of 4096 bytes: direct I/O in smaller pieces fails there."""
    name, image, folder = "sectors4k", "/var/tmp/sectors4k.img", "/mnt/sectors4k"
    system.run("truncate", "--size=256M", image)
    device = system.run("losetup", "--find", "--show", "--sector-size=4096", image).strip()
    try:
        system.run("mkfs.ext4", "-q", "-b", "4096", device)
        system.run("mkdir", "-p", folder)
        system.run("mount", device, folder)
        gluster = ("gluster", "--mode=script", "volume")
        system.run(*gluster, "create", name, f"{HOST}:{folder}/brick", "force")
        for option, value in (("network.remote-dio", "off"), ("performance.strict-o-direct", "on")):
            system.run(*gluster, "set", name, option, value)
        system.run(*gluster, "start", name)
        yield name
        system.run(*gluster, "stop", name, "force")
        system.run(*gluster, "delete", name)
    finally:
        system.host.run(f"umount -l {folder}; rmdir {folder}; losetup --detach {device}; rm -f {image}")


def test_block_size_is_that_of_the_disks_below(modules: Modules, system: System, big_sectors: str) -> None:
    args = {"name": "big", "spec": f"{HOST}:/{big_sectors}"}
    found = modules.done("glusterfs_domain", **args)["storage_domain"]
    assert "BLOCK_SIZE=4096" in system.lines("cat", f"{found['path']}/dom_md/metadata")
    modules.done("gfapi_disk", storage_domain="big", name="one", size="16M", format="raw")
    lease = system.find(f"{found['path']}/images/*/*.lease")
    for folder, record in (
        ("dom_md", f"-s {found['uuid']}:250:ids:0"),
        ("dom_md", f"-r {found['uuid']}:SDM:leases:{MIB}"),
        (
            posixpath.dirname(lease),
            f"-r {found['uuid']}:{posixpath.basename(lease)[:-6]}:{posixpath.basename(lease)}:0",
        ),
    ):
        command = f'cd "$1" && cd "$2" && sanlock direct read_leader {record} -Z 4096 -A 1M'
        said = system.lines("sh", "-c", command, "sh", found["path"], folder)
        assert said[0] == "read_leader done 0"
        assert "sector_size 4096" in said
    modules.done("glusterfs_domain", **args, state="absent", confirm="big")
