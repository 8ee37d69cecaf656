# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _mounter
from ansible_collections.gfapi.virt.plugins.module_utils._command import Completed
from ansible_collections.gfapi.virt.plugins.module_utils._errors import CommandError, StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._mount_table import Mount, Space
from ansible_collections.gfapi.virt.plugins.module_utils._mounter import Mounter
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec

SPEC = VolumeSpec(("2001:db8::10", "gl2"), "gv0", "sub")
ERROR_LINE = "[2026-11-22 15:46:42.8 +0000] E [x.c:1:f] 0-mgmt: failed to fetch volume file (key:/gv0)\n"


class Host:
    """A mount table, logs, and a `mount` that writes both."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.table = root / "mounts"
        self.table.write_text("")
        self.argvs: list[t.Sequence[str]] = []
        self.answer = Completed(0, "", "")
        self.errors: list[CommandError] = []
        self.log_line = ""
        self.mounts = Mounter(self.run, table=str(self.table), logs=str(root), visits=str(root / "visits"))

    @property
    def point(self) -> str:
        return str(self.root / "point")

    def run(
        self, argv: t.Sequence[str], *, stdin: str = "", timeout_s: float = 60, cwd: str | None = None
    ) -> Completed:
        self.argvs.append(argv)
        for error in self.errors:
            raise error
        if argv[0] == "mount":
            if self.log_line:
                log = next((part[9:] for part in ",".join(argv).split(",") if part.startswith("log-file=")), None)
                with open(log or f"{self.root}/{argv[-1].strip('/').replace('/', '-')}.log", "a") as file:
                    file.write(self.log_line)
            if self.answer.returncode == 0:
                self.table.write_text(self.table.read_text() + f"{argv[-2]} {argv[-1]} fuse.glusterfs rw 0 0\n")
        if argv[0] == "umount" and self.answer.returncode == 0:
            lines = self.table.read_text().splitlines(keepends=True)
            self.table.write_text("".join(line for line in lines if f" {argv[-1]} " not in line))
        return self.answer


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_mounting_names_the_first_server_bare_and_the_others_in_an_option(host: Host) -> None:
    host.mounts.mount(SPEC, host.point, ["log-level=INFO"])
    options = "log-level=INFO,backup-volfile-servers=gl2"
    assert host.argvs == [["mount", "-t", "glusterfs", "-o", options, "2001:db8::10:/gv0/sub", host.point]]
    assert host.mounts.at(host.point) == Mount(VolumeSpec(("2001:db8::10",), "gv0", "sub"), host.point)


def test_a_failed_mount_tells_the_new_error_in_the_log_and_takes_its_directory_away(host: Host) -> None:
    log = host.root / f"{host.point.strip('/').replace('/', '-')}.log"
    log.write_text("[2026-11-21 15:46:42.8 +0000] E [x.c:1:f] 0-mgmt: an old error\n")
    host.log_line = ERROR_LINE
    host.answer = Completed(1, "", "Mount failed. Check the log file  for more details.\n")
    with pytest.raises(StorageError) as caught:
        host.mounts.mount(SPEC, host.point)
    assert str(caught.value) == (
        f"cannot mount [2001:db8::10]:/gv0/sub on {host.point}: Mount failed; {log} says: failed to fetch volume file"
        " (key:/gv0); does 2001:db8::10 or gl2 serve a volume gv0? see gluster volume list"
    )
    assert not os.path.exists(host.point)


FEW_BRICKS = (
    "[2026-11-27 20:36:45.248115 +0000] E [fuse-bridge.c:5364:fuse_first_lookup] 0-fuse:"
    " first lookup on root failed (Transport endpoint is not connected)\n"
)


@pytest.mark.parametrize("is_reached", [True, False])
def test_a_client_that_reaches_too_few_bricks_is_begun_once_more(host: Host, is_reached: bool) -> None:
    host.log_line = FEW_BRICKS
    host.answer = Completed(1, "", "Mount failed.\n")
    run = host.run

    def answer(argv: t.Sequence[str], **limits: t.Any) -> Completed:
        done = run(argv, **limits)
        if is_reached:
            host.answer = Completed(0, "", "")
        return done

    mounts = Mounter(answer, table=str(host.table), logs=str(host.root), visits=str(host.root / "visits"))
    with contextlib.nullcontext() if is_reached else pytest.raises(StorageError, match="are its bricks up"):
        mounts.mount(SPEC, host.point)
    assert (len(host.argvs), bool(mounts.at(host.point)), os.path.exists(host.point)) == (2, is_reached, is_reached)


def test_it_is_begun_once_more_within_the_time_for_both(host: Host) -> None:
    host.log_line = FEW_BRICKS
    host.answer = Completed(1, "", "Mount failed.\n")
    with pytest.raises(StorageError, match="are its bricks up"):
        host.mounts.mount(SPEC, host.point, timeout_s=0)
    assert len(host.argvs) == 1


def test_another_failure_is_not_tried_again(host: Host) -> None:
    host.log_line = ERROR_LINE
    host.answer = Completed(1, "", "Mount failed.\n")
    with pytest.raises(StorageError, match="failed to fetch volume file"):
        host.mounts.mount(SPEC, host.point)
    assert len(host.argvs) == 1


def test_a_failed_mount_leaves_a_directory_that_was_there(host: Host) -> None:
    os.mkdir(host.point)
    host.answer = Completed(1, "", "no")
    with pytest.raises(StorageError, match="is glusterd running"):
        host.mounts.mount(SPEC, host.point)
    assert os.path.isdir(host.point)


def test_a_mount_that_takes_too_long_is_ended_and_told(host: Host) -> None:
    host.errors = [CommandError("mount: no answer within 60 s")]
    with pytest.raises(StorageError, match="cannot mount .*: mount: no answer within 60 s; is glusterd running"):
        host.mounts.mount(SPEC, host.point)


@pytest.fixture
def client_of() -> t.Iterator[t.Callable[[str], subprocess.Popen[bytes]]]:
    """Starts what looks like the client of a mount point."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(point: str) -> subprocess.Popen[bytes]:
        code = "import time; time.sleep(600)"
        begun.append(subprocess.Popen(["glusterfs", "-c", code, point], executable=sys.executable))
        # for a moment after its start a process has no command line
        while not Path(f"/proc/{begun[-1].pid}/cmdline").read_bytes():
            assert begun[-1].poll() is None
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


@pytest.mark.parametrize("answer", [Completed(1, "", "Killed"), CommandError("no answer within 60 s")], ids=str)
def test_a_failed_mount_leaves_no_client_and_no_mount(
    host: Host, client_of: t.Callable[[str], subprocess.Popen[bytes]], answer: Completed | CommandError
) -> None:
    """The helper was killed, and its client mounted after that; one that was there before is somebody's."""
    earlier = client_of(host.point)
    later: list[subprocess.Popen[bytes]] = []
    run = host.run

    def run_killed(argv: t.Sequence[str], *, timeout_s: float = 60, **_rest: t.Any) -> Completed:
        if argv[0] != "mount":
            return run(argv)
        run(argv)
        later.append(client_of(host.point))
        if isinstance(answer, CommandError):
            raise answer
        return answer

    mounts = Mounter(run_killed, table=str(host.table), logs=str(host.root), visits=str(host.root / "visits"))
    with pytest.raises(StorageError, match="cannot mount "):
        mounts.mount(SPEC, host.point)
    assert later[0].wait(10) == -signal.SIGKILL
    assert earlier.poll() is None
    assert mounts.at(host.point) is None
    assert not os.path.exists(host.point)


def test_what_is_mounted_elsewhere_is_unmounted(host: Host) -> None:
    """As through a link: it is not in the table under the name that was asked for."""
    run = host.run

    def run_elsewhere(argv: t.Sequence[str], **_rest: t.Any) -> Completed:
        return run(argv) if argv[0] != "mount" else Completed(0, "", "")

    host.mounts = Mounter(run_elsewhere, table=str(host.table), logs=str(host.root), visits=str(host.root / "visits"))
    with pytest.raises(StorageError, match="mount ended with 0, and the mount table does not have it"):
        host.mounts.mount(SPEC, host.point)
    assert host.argvs == [["umount", host.point]]


def test_clients_of_visits_that_were_killed_are_ended(
    host: Host, client_of: t.Callable[[str], subprocess.Popen[bytes]]
) -> None:
    orphan = client_of(str(host.root / "visits/999999999"))
    living = client_of(str(host.root / f"visits/{os.getpid()}"))
    with host.mounts.visit(SPEC):
        assert orphan.wait(10) == -signal.SIGKILL
        assert living.poll() is None


@pytest.mark.parametrize(
    ("answer", "space"),
    [
        (Completed(0, "4096 100 40\n", ""), Space(409600, 163840)),
        (Completed(1, "", "stat: cannot read: Transport endpoint is not connected"), None),
    ],
)
def test_space_is_read_by_a_child_and_none_means_dead(host: Host, answer: Completed, space: Space | None) -> None:
    host.answer = answer
    assert host.mounts.read_space("/mnt") == space


def test_a_dead_mount_and_a_hung_one_are_told_apart(host: Host) -> None:
    host.answer = Completed(1, "", "stat: Transport endpoint is not connected")
    with pytest.raises(StorageError, match="mount /mnt is dead: Transport endpoint"):
        host.mounts.require_answer("/mnt")
    host.errors = [CommandError("stat: no answer within 5 s")]
    with pytest.raises(StorageError, match="mount /mnt does not answer within 5 s"):
        host.mounts.require_answer("/mnt")
    host.errors, host.answer = [], Completed(1, "", "stat: Permission denied")
    with pytest.raises(StorageError, match="cannot read mount /mnt: stat: Permission denied"):
        host.mounts.require_answer("/mnt")


def test_unmounting_takes_the_directory_away(host: Host) -> None:
    host.mounts.mount(SPEC, host.point)
    host.mounts.unmount(host.point)
    assert not os.path.exists(host.point)
    assert host.mounts.table() == ()


def test_a_busy_mount_is_refused_with_its_holders(host: Host) -> None:
    host.mounts.mount(SPEC, host.point)
    host.answer = Completed(32, "", "umount: target is busy.")
    with subprocess.Popen(["sleep", "60"], cwd=host.point) as holder:
        with pytest.raises(StorageError, match=rf"target is busy.; in use by sleep \({holder.pid}\)"):
            host.mounts.unmount(host.point)
        holder.kill()


def test_what_another_run_unmounts_at_this_moment_is_unmounted(host: Host) -> None:
    host.mounts.mount(SPEC, host.point)
    host.table.write_text("")
    host.answer = Completed(32, "", f"umount: {host.point}: no mount point specified.")
    host.mounts.unmount(host.point)
    assert not os.path.exists(host.point)


def test_a_visit_ends_with_the_look_and_takes_away_what_killed_ones_left(host: Host) -> None:
    os.makedirs(host.root / "visits/999999999")
    host.table.write_text(f"gl1:/old {host.root}/visits/999999999 fuse.glusterfs rw 0 0\n")
    with host.mounts.visit(SPEC) as point:
        assert [mount.point for mount in host.mounts.table()] == [point]
        assert point == str(host.root / "visits" / str(os.getpid()))
    assert host.mounts.table() == ()
    assert os.listdir(host.root / "visits") == []


def test_a_visit_takes_away_directories_of_runs_that_were_killed_beside_their_mount(host: Host) -> None:
    for name in ("999999998", "999999999", "1"):
        os.makedirs(host.root / "visits" / name)
    (host.root / "visits/999999999/file").touch()
    with host.mounts.visit(SPEC):
        pass
    assert sorted(os.listdir(host.root / "visits")) == ["1", "999999999"]


def test_visits_share_one_log(host: Host) -> None:
    host.log_line, host.answer = ERROR_LINE, Completed(1, "", "failed.")
    with pytest.raises(StorageError, match="gfapi-virt-look.log says: failed to fetch"), host.mounts.visit(SPEC):
        pass
    assert (host.root / "gfapi-virt-look.log").read_text() == ERROR_LINE


def test_no_table_is_an_error_not_no_mounts(host: Host) -> None:
    host.table.unlink()
    with pytest.raises(StorageError, match="cannot read the mount table .*: No such file"):
        host.mounts.table()


def test_what_hangs_is_unmounted_when_its_client_is_gone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.mounts.mount(SPEC, host.point)
    with subprocess.Popen(["sleep", "60"]) as client:
        line = [(client.pid, ["/usr/sbin/glusterfs", "--acl", "--volfile-server=gl1", host.point])]
        monkeypatch.setattr(_mounter, "_processes", lambda: line)
        assert host.mounts.client_options(host.point) == {"--acl"}
        host.mounts.abandon(host.point)
        assert client.wait(timeout=30) == -signal.SIGKILL
    assert host.mounts.table() == ()
    assert host.mounts.client_options("/elsewhere") is None


def test_mapped_files_and_mounts_hold_a_mount(host: Host) -> None:
    os.mkdir(host.point)
    path = host.root / "point/file"
    path.write_bytes(bytes(4096))
    host.table.write_text(f"x {host.point}/deeper ext4 rw 0 0\nx {host.point} fuse.glusterfs rw 0 0\n")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        file.close()
        first, second = host.mounts.read_holders(host.point)
    assert first.endswith(f"({os.getpid()})")
    assert second == f"mount {host.point}/deeper"


@pytest.mark.parametrize("away", [0, 2])
def test_a_mount_is_waited_for_after_its_volume_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: int
) -> None:
    host = Host(tmp_path)
    monkeypatch.setattr(_mounter.time, "sleep", lambda _seconds: None)
    host.mounts.await_return(host.point)
    assert host.argvs == []
    host.table.write_text(f"gl1:/gv0 {host.point} fuse.glusterfs rw 0 0\n")
    answers = [Completed(2, "", "ls: Transport endpoint is not connected")] * away + [Completed(0, "", "")]
    monkeypatch.setattr(host.mounts, "_run", lambda *_words, **_limits: answers.pop(0))
    host.mounts.await_return(host.point)
    assert answers == []


def test_a_mount_that_does_not_return_is_not_waited_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path)
    monkeypatch.setattr(_mounter, "RETURN_TIMEOUT_S", -1)
    host.table.write_text(f"gl1:/gv0 {host.point} fuse.glusterfs rw 0 0\n")
    host.answer = Completed(2, "", "no")
    host.mounts.await_return(host.point)


def test_a_look_that_was_killed_and_hangs_keeps_nobody_from_looking(
    host: Host, client_of: t.Callable[[str], subprocess.Popen[bytes]]
) -> None:
    left = f"{host.root}/visits/999999999"
    os.makedirs(left)
    client = client_of(left)
    host.table.write_text(f"gl1:/old {left} fuse.glusterfs rw 0 0\n")

    def run(argv: t.Sequence[str], **limits: t.Any) -> Completed:
        if argv == ["umount", left]:
            raise CommandError(f"umount {left}: no answer within 30 s")
        return host.run(argv, **limits)

    mounts = Mounter(run, table=str(host.table), logs=str(host.root), visits=str(host.root / "visits"))
    with mounts.visit(SPEC) as point:
        assert point != left
    assert client.wait(timeout=30) == -signal.SIGKILL


def test_what_is_mounted_already_is_taken(host: Host) -> None:
    os.mkdir(host.point)
    host.table.write_text(f"gl1:/gv0/sub {host.point} fuse.glusterfs rw 0 0\n")
    host.mounts.mount(SPEC, host.point)
    assert host.argvs == []
    with pytest.raises(StorageError, match=f"cannot mount gl1:/gv1 on {host.point}: gl1:/gv0/sub is mounted there"):
        host.mounts.mount(VolumeSpec(("gl1",), "gv1"), host.point)
    assert host.mounts.at(host.point)
