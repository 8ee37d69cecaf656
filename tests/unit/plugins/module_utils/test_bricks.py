# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._bricks import VolumeHere
from ansible_collections.gfapi.virt.plugins.module_utils._mounts import Mounts
from ansible_collections.gfapi.virt.plugins.module_utils._volume_use import HostUse
from ansible_collections.gfapi.virt.tests.unit.recorded import GLUSTER, VERSION

SSL = ("protocol/server", "transport.socket.ssl-enabled")
IDENTITY = "vmstore.gl1.bricks-vmstore"


class Host:
    """A host in a folder: /proc, glusterd's files and a brick's log, as recorded."""

    def __init__(self, root: Path) -> None:
        self.processes, self.volumes = root / "proc", root / "vols"
        self.log, self.mounts = root / "brick.log", root / "mounts"
        (self.volumes / "vmstore").mkdir(parents=True)
        self.volfile = self.volumes / "vmstore" / f"{IDENTITY}.vol"
        shutil.copy(GLUSTER / f"brick_{VERSION}.vol", self.volfile)
        shutil.copy(GLUSTER / f"brick_{VERSION}.log", self.log)
        self.mounts.write_text("")
        self.process(7, "/usr/sbin/glusterfsd", "-s", "gl1", "--volfile-id", IDENTITY, "-l", str(self.log))
        self.process(8, "/usr/sbin/glusterfsd", "-s", "gl1", "--volfile-id", "other.gl1.b", "-l", str(self.log))
        (self.processes / "9").mkdir()
        (self.processes / "9" / "cmdline").write_text("")

    def process(self, pid: int, *argv: str) -> None:
        (self.processes / str(pid)).mkdir(parents=True)
        (self.processes / str(pid) / "cmdline").write_text("\0".join(argv) + "\0")

    def here(self) -> VolumeHere:
        mounts = Mounts(table=str(self.mounts))
        return VolumeHere(volumes=str(self.volumes), processes=str(self.processes), mounts=mounts)

    def turn_ssl_on(self) -> None:
        text = self.volfile.read_text()
        assert "ssl-enabled off" in text
        self.volfile.write_text(text.replace("ssl-enabled off", "ssl-enabled on"))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_brick_runs_with_what_it_logged(host: Host) -> None:
    assert SSL not in host.here().left_behind("vmstore")
    host.turn_ssl_on()
    assert host.here().left_behind("vmstore")[SSL] == ("on", "off")


@pytest.mark.parametrize("packed", [False, True])
def test_log_that_was_put_aside_is_read_too(host: Host, *, packed: bool) -> None:
    host.turn_ssl_on()
    aside = host.log.with_name("brick.log.2.gz" if packed else "brick.log.1")
    text = host.log.read_bytes()
    aside.write_bytes(gzip.compress(text) if packed else text)
    host.log.write_text("")
    assert host.here().left_behind("vmstore")[SSL] == ("on", "off")


def test_brick_whose_log_does_not_tell_shows_nothing(host: Host) -> None:
    host.turn_ssl_on()
    host.log.write_text("[2026-11-22] I nothing of a graph\n")
    assert host.here().left_behind("vmstore") == {}
    host.log.unlink()
    assert host.here().left_behind("vmstore") == {}


def test_brick_that_is_just_starting_shows_nothing(host: Host) -> None:
    host.turn_ssl_on()
    with host.log.open("a") as file:
        file.write("[2026-11-22] I [MSGID: 100030] 0-/usr/sbin/glusterfsd: Started running version [{arg=...}]\n")
    assert host.here().left_behind("vmstore") == {}


def test_volume_without_a_brick_here_shows_nothing(host: Host) -> None:
    assert host.here().left_behind("nowhere") == {}


def test_use_is_told_from_mounts_and_processes(host: Host) -> None:
    host.mounts.write_text(
        "h:/vmstore /mnt/v fuse.glusterfs rw 0 0\nh:/vmstore2 /mnt/w fuse.glusterfs rw 0 0\n/dev/sda / ext4 rw 0 0\n"
    )
    host.process(20, "/usr/bin/qemu-system-x86_64", "-name", "guest=b,x=y", "-blockdev", '{"filename":"/mnt/v/a"}')
    host.process(21, "/usr/bin/qemu-system-x86_64", "-name", "guest=c", "-blockdev", '{"filename":"/mnt/w/a"}')
    assert host.here().use("vmstore") == HostUse(("/mnt/v",), ("b",))
