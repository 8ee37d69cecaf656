# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils._mount_options import (
    boot_entry,
    does_mount,
    entry_in,
    last_error,
    mend_for,
    mount_options,
    told_by,
    told_options,
    with_entry,
)
from ansible_collections.gfapi.virt.plugins.module_utils._mount_table import Mount, mount_points, parse_table
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec

#: /proc/self/mounts of glusterfs 10.3 on Debian 12, with an IPv6 server, a directory and a blank added by hand
TABLE = """\
overlay / overlay rw,relatime,lowerdir=/a:/b 0 0
gl1:/gv0 /mnt/a fuse.glusterfs rw,relatime,user_id=0,group_id=0,default_permissions,allow_other,max_read=131072 0 0
2001:db8::10:/vm_s/sub/dir /mnt/b fuse.glusterfs rw 0 0
gl1:gv0 /mnt/with\\040blank fuse.glusterfs rw 0 0
gl1:/gv0.rdma /mnt/c fuse.glusterfs rw 0 0
/dev/fuse /mnt/d fuse.other rw 0 0
"""
SPEC = VolumeSpec(("gl1", "2001:db8::11", "gl3"), "gv0", "sub")


@pytest.mark.parametrize("device", ["my_host:/v1", "fe80::1%eth0:/vm", "gl1:/my.vol"])
def test_mounts_of_others_with_names_that_we_would_not_take_are_passed_over(device: str) -> None:
    text = f"{device} /mnt/a fuse.glusterfs rw 0 0\ngl1:/v /mnt/b fuse.glusterfs rw 0 0\n"
    assert [mount.point for mount in parse_table(text)] == ["/mnt/b"]


def test_other_lines_of_fstab_stay_as_they_are() -> None:
    lines = "# ff\x0cUUID=1 /old ext4 defaults 0 0\n# caf\udce9\n\n"
    assert with_entry(lines, "/x", None) == lines
    assert with_entry(lines, "/x", "a /x") == f"{lines}a /x\n"


def test_gluster_mounts_are_read_from_the_table() -> None:
    assert parse_table(TABLE) == (
        Mount(VolumeSpec(("gl1",), "gv0"), "/mnt/a"),
        Mount(VolumeSpec(("2001:db8::10",), "vm_s", "sub/dir"), "/mnt/b"),
        Mount(VolumeSpec(("gl1",), "gv0"), "/mnt/with blank"),
        Mount(VolumeSpec(("gl1",), "gv0"), "/mnt/c"),
    )


@given(st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), min_size=1))
def test_any_mount_point_is_read_back(point: str) -> None:
    escaped = "".join(f"\\{ord(character):03o}" if character in " \t\n\\#" else character for character in point)
    (mount,) = parse_table(f"gl1:/gv0 {escaped} fuse.glusterfs rw 0 0\n")
    assert mount.point == point


# --- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "asked", "options"),
    [
        (VolumeSpec(("gl1",), "v"), [], []),
        (SPEC, [], ["backup-volfile-servers=[2001:db8::11]:gl3"]),
        (SPEC, ["log-level=INFO"], ["log-level=INFO", "backup-volfile-servers=[2001:db8::11]:gl3"]),
        (SPEC, ["backup-volfile-servers=gl9"], ["backup-volfile-servers=gl9"]),
        (VolumeSpec(("gl1", "gl1"), "v"), ["ro"], ["ro"]),
    ],
)
def test_further_servers_back_the_first_one_up(spec: VolumeSpec, asked: list[str], options: list[str]) -> None:
    assert mount_options(spec, asked) == options


@pytest.mark.parametrize("option", ["", "a b", "a,b", "a=b,c", "-o x", "a=b\nc", "a="])
def test_what_would_be_split_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match="mount option"):
        mount_options(SPEC, [option])


# --- the client's log -----------------------------------------------------------------------------------------------

LOGS = Path(__file__).parents[2] / "fixtures/glusterfs"


@pytest.mark.parametrize(
    ("log", "error", "mend"),
    [
        (
            "no_volume",
            "failed to fetch volume file (key:/nope)",
            "does gl1 or 2001:db8::11 or gl3 serve a volume gv0? see gluster volume list",
        ),
        (
            "stopped",
            "first lookup on root failed (Transport endpoint is not connected)",
            "start it: gluster volume start gv0",
        ),
        ("no_host", "DNS resolution failed on host nohost", "name a server that resolves on this host"),
        (
            "nobody_there",
            "",
            "is glusterd running on gl1 or 2001:db8::11 or gl3, and does this host reach its port 24007?",
        ),
        (
            "no_directory",
            'SETVOLUME on remote-host failed [{remote-error=subdirectory for mount "/nodir" is not found}, {errno=2},'
            " {error=No such file or directory}]",
            "is there a directory /sub on volume gv0?",
        ),
    ],
)
def test_the_log_tells_the_reason_and_the_mend(log: str, error: str, mend: str) -> None:
    text = (LOGS / f"mount_{log}_10.3.log").read_text()
    assert last_error(text) == error
    assert mend_for(text, SPEC) == mend


# --- what a client was told, and /etc/fstab -------------------------------------------------------------------------

#: as seen on 10.3, mounted with OPTIONS
SEEN = (
    "/usr/sbin/glusterfs --acl --volfile-max-fetch-attempts=3 --fopen-keep-cache=true --log-level=WARNING"
    " --direct-io-mode=enable --background-qlen=32 --fuse-mountopts=noatime,nodev --process-name fuse"
    " --io-engine=legacy --volfile-server=gl1 --volfile-id=/vmstore --fuse-mountopts=noatime,nodev /mnt/t"
)
CLIENT = SEEN.split(" ")
GIVEN = (
    "log-level=warning,noatime,nodev,fetch-attempts=3,direct-io-mode=enable,acl,background-qlen=32,_netdev,x-a=b,"
    "io-engine=legacy,fopen-keep-cache"
)
OPTIONS = GIVEN.split(",")
POINT = "/rhev/data-center/mnt/glusterSD/gl1:_gv0"
BOOT = "_netdev,nofail,x-systemd.after=glusterd.service"


def test_a_client_was_told_what_its_options_say() -> None:
    assert told_options(CLIENT) == told_by(OPTIONS)
    assert told_options(CLIENT) != told_by(OPTIONS[1:])
    assert told_options(["/usr/sbin/glusterfs", "--process-name", "fuse", "--volfile-server=gl1", "/mnt"]) == told_by(
        []
    )


@pytest.mark.parametrize("option", ["volume-name=gv0", "transport=rdma", "log-level", "nonsense"])
def test_options_of_unknown_effect_are_not_compared(option: str) -> None:
    assert told_by([option]) is None


def test_a_line_of_fstab_mounts_at_boot() -> None:
    spec = VolumeSpec(("2001:db8::10", "2001:db8::11"), "gv0")
    line = boot_entry(spec, POINT, ["acl"])
    assert line == f"2001:db8::10:/gv0 {POINT} glusterfs acl,backup-volfile-servers=[2001:db8::11],{BOOT} 0 0"
    assert does_mount(line, spec, ["acl"])
    assert does_mount(line, VolumeSpec(("2001:db8::10",), "gv0"), None)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        f"gl1:/gv0 {POINT} glusterfs",
        f"gl2:/gv0 {POINT} glusterfs acl 0 0",
        f"gl1:/gv0 {POINT} nfs acl 0 0",
        f"gl1:/gv0 {POINT} glusterfs acl,noauto 0 0",
        f"gl1:/gv0 {POINT} glusterfs defaults 0 0",
        f"gl1:/gv0 {POINT} glusterfs acl,ro 0 0",
    ],
)
def test_another_line_does_not(entry: str | None) -> None:
    assert not does_mount(entry, VolumeSpec(("gl1",), "gv0"), ["acl"])


def test_lines_of_fstab_are_found_and_replaced_by_mount_point() -> None:
    text = "# gl1:/gv0 /mnt/a\\040b x\n\nUUID=1 / ext4\ngl1:/gv0\t/mnt/a\\040b glusterfs ro 0 0\n/dev/x /y xfs 0 0"
    assert entry_in(text, "/mnt/a b") == "gl1:/gv0\t/mnt/a\\040b glusterfs ro 0 0"
    assert entry_in(text, "/mnt") is None
    lines = text.splitlines()
    assert with_entry(text, "/mnt/a b", "new").splitlines() == [*lines[:3], "new", lines[4]]
    assert with_entry(text, "/mnt/a b", None).splitlines() == [*lines[:3], lines[4]]
    assert with_entry(text, "/mnt", "new") == f"{text}\nnew\n"


def test_mount_points_of_any_type_are_listed() -> None:
    assert mount_points("proc /proc proc rw 0 0\nx /mnt/a\\040b ext4 rw 0 0\n") == ["/proc", "/mnt/a b"]
