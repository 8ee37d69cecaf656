# SPDX-License-Identifier: GPL-3.0-or-later
"""What a storage domain and its mount may have come to, and what a run makes of it."""

from __future__ import annotations

import posixpath
import typing as t

import pytest
from hosts import System
from modules import Modules
from volumes import started_volume

from conftest import HOST

NAME = "mends"
ARGS = {"name": NAME, "spec": f"{HOST}:/{NAME}"}
POINT = f"/rhev/data-center/mnt/glusterSD/{HOST}:_{NAME}"
IMAGE = "11111111-0000-4000-8000-000000000000"
#: before /usr/bin on PATH
SHIM = "/usr/local/sbin/mount"
#: the helper goes on without it, and so does the client
KILLED_MOUNT = '#!/bin/sh\n/usr/bin/mount "$@" &\nkill -KILL $$\n'


@pytest.fixture(scope="module")
def path(modules: Modules, system: System) -> t.Iterator[str]:
    """The folder of a storage domain with a disk, on a volume of its own."""
    with started_volume(system, NAME) as name:
        made = modules.done("glusterfs_domain", **ARGS)["storage_domain"]
        modules.done("gfapi_disk", storage_domain=name, name="one", size="4M", format="raw")
        yield made["path"]
        system.host.run(f"umount {POINT}; rmdir {POINT}")


def clients(system: System) -> list[str]:
    """The clients of the volume, by what each serves."""
    lines = system.lines("sh", "-c", "for pid in $(pidof glusterfs); do tr '\\0' ' ' < /proc/$pid/cmdline; echo; done")
    return [line.split()[-1] for line in lines if f"--volfile-id=/{NAME} " in line]


def test_owners_modes_and_empty_files_are_mended(modules: Modules, system: System, path: str) -> None:
    spoil = 'cd "$1" && chown -R 0:0 images && chmod 600 dom_md/ids && chmod 777 . && : > dom_md/xleases'
    system.run("sh", "-c", spoil, "sh", path)
    actions = modules.as_promised("glusterfs_domain", **ARGS)["actions"]
    assert actions[0].startswith("set owner 36:36 and oVirt's modes in storage domain mends: ")
    assert actions[1:] == ["add what storage domain mends lacks: dom_md/xleases"]
    assert system.lines("find", path, "!", "(", "-uid", "36", "-gid", "36", ")") == []
    found = system.lines("find", path, "-printf", "%m %y %f\\n")
    assert {line.split()[0] for line in found if " d " in line} == {"755"}
    assert {line.split()[0] for line in found if " f " in line and line.endswith(("meta", "metadata"))} == {"644"}
    assert {line.split()[0] for line in found if " f " in line and not line.endswith(("meta", "metadata"))} == {"660"}
    assert system.run("stat", "-c", "%s", f"{path}/dom_md/xleases").strip() == "1302528"


def test_an_image_that_is_open_keeps_its_owner(modules: Modules, system: System, path: str) -> None:
    data = system.find(f"{path}/images/*/*.lease").removesuffix(".lease")
    system.run("chown", "0:0", data)
    # bricks have it open from the first access on that no cache answers
    hold = 'exec 9<> "$1" && head -c 4096 /dev/zero >&9 && { sleep 600 > /dev/null 2>&1 & echo $!; }'
    pid = system.run("sh", "-c", hold, "sh", data).strip()
    try:
        assert modules.done("glusterfs_domain", **ARGS)["actions"] == []
    finally:
        system.run("kill", pid)
    assert system.run("stat", "-c", "%u:%g", data).strip() == "0:0"
    # a brick has it open for a moment longer
    system.wait("owner set", lambda: modules.done("glusterfs_domain", **ARGS)["changed"])
    assert system.run("stat", "-c", "%u:%g", data).strip() == "36:36"


def test_a_mount_root_that_is_a_link_is_where_it_leads(modules: Modules, system: System, path: str) -> None:
    system.run("sh", "-c", "mkdir -p /srv/mends && ln -sfn mends /srv/mends-link")
    try:
        args = {**ARGS, "mount_root": "//srv/mends-link/../mends-link"}
        found = modules.as_promised("glusterfs_domain", **args)["storage_domain"]
        assert found["path"] == path.replace(POINT, f"/srv/mends/{HOST}:_{NAME}")
        modules.as_promised("glusterfs_domain", **args, state="maintenance")
        system.run("ln", "-s", "/srv", found["mount_point"])
        words = modules.refused("glusterfs_domain", **args)
        assert words.startswith(f"mount point {found['mount_point']} is a symbolic link to /srv; take it away")
    finally:
        system.run("rm", "-rf", "--one-file-system", "/srv/mends", "/srv/mends-link")


@pytest.mark.usefixtures("path")
def test_a_mount_that_is_killed_leaves_no_client(modules: Modules, system: System) -> None:
    modules.done("glusterfs_domain", **ARGS, state="maintenance")
    assert clients(system) == []
    system.run("sh", "-c", f'printf %s "$1" > {SHIM} && chmod 755 {SHIM}', "sh", KILLED_MOUNT)
    try:
        assert "mount ended with -9" in modules.refused("glusterfs_domain", **ARGS)
    finally:
        system.run("rm", SHIM)
    assert clients(system) == []
    assert f" {POINT} " not in system.run("cat", "/proc/mounts")
    modules.as_promised("glusterfs_domain", **ARGS)
    assert clients(system) == [POINT]


def test_an_interrupted_removal_is_finished(modules: Modules, system: System, path: str) -> None:
    removed = f"{POINT}/.gfapi-virt-removed-{IMAGE}"
    system.run("mkdir", "-p", f"{removed}/images/{IMAGE}")
    actions = modules.as_promised("glusterfs_domain", **ARGS)["actions"]
    assert actions == [f"delete what an interrupted run left on {ARGS['spec']}"]
    assert not system.host.file(removed).exists
    assert system.host.file(path).exists


def test_planted_links_are_named_and_not_followed(modules: Modules, system: System, path: str) -> None:
    absent = {**ARGS, "state": "absent", "confirm": NAME}
    before = system.run("stat", "-c", "%a %U %Y", "/etc", "/etc/passwd")
    for name in ("dom_md", "images"):
        system.run("sh", "-c", f"mv {path}/{name} /root/{name} && ln -s /root/{name} {path}/{name}")
        for args in (ARGS, absent):
            assert f"{path}/{name}: Not a directory; a symbolic link" in modules.refused("glusterfs_domain", **args)
        system.run("sh", "-c", f"rm {path}/{name} && mv /root/{name} {path}/{name} && chown -R 36:36 {path}/{name}")
    image = posixpath.dirname(system.find(f"{path}/images/*/*.lease"))
    system.run("ln", "-s", "/etc", f"{path}/images/{IMAGE}")
    system.run("ln", "-s", "/etc/passwd", f"{image}/x.meta")
    assert modules.done("glusterfs_domain", **ARGS)["actions"] == []
    modules.as_promised("glusterfs_domain", **absent)
    assert system.run("stat", "-c", "%a %U %Y", "/etc", "/etc/passwd") == before
