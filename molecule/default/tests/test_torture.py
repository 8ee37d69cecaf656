# SPDX-License-Identifier: GPL-3.0-or-later
"""A sample of `make torture`, another one each day: modules are killed where they change something, nothing is lost."""

from __future__ import annotations

import datetime
import re
import subprocess

from hosts import System
from modules import ROOT

from conftest import NAME

#: each so manieth point, and of every operation one at least
EVERY = 20
TODAY = datetime.date.today().toordinal()
#: half of them each day
QUICK = (
    *("active", "upgrade", "attach", "detach", "maintenance", "absent", "absent-unmounted"),
    *("create-qcow2", "create-raw", "fill", "clone", "clone-backing", "grow-qcow2", "grow-raw", "describe", "export"),
    *("delete", "delete-clone", "snapshot-present", "snapshot-absent-top", "snapshot-absent-middle"),
    *("snapshot-absent-base", "snapshot-reverted", "snapshot-vm-present", "snapshot-vm-absent", "snapshot-vm-reverted"),
)
#: one of them each day: those of a running VM take half a minute a point; vm-block-copy takes minutes
SLOW = (
    *("vm-define", "vm-change-live", "vm-detach-live", "vm-change-off", "vm-restart", "vm-shut-off", "vm-pause"),
    *("vm-more-live", "vm-disk-detach", "volume-purge", "volume-delete"),
    *("vm-resume", "vm-start-paused", "vm-limit-live", "vm-absent", "vm-absent-with-disks", "vm-to-gfapi"),
    *("vm-disk-attach", "vm-disk-attach-new", "vm-disk-attach-off", "vm-disk-grow", "live-grow"),
    *("options-set", "options-reset", "options-purge"),
    *("volume-rest", "volume-start", "volume-empty"),
)
OPERATIONS = (*QUICK[TODAY % 2 :: 2], SLOW[TODAY % len(SLOW)])


def remains(system: System) -> dict[str, list[str]]:
    """What the torture uses on the host, and must leave as it was."""
    return {
        "fstab": system.lines("cat", "/etc/fstab"),
        "mounts": [line for line in system.lines("cat", "/proc/mounts") if " fuse.glusterfs " in line],
        "volumes": sorted(system.lines("gluster", "volume", "list")),
        "bricks": system.lines("ls", "-A", "/bricks"),
        "domains": system.lines("virsh", "list", "--all", "--name"),
        "files": system.lines("ls", "-A", "/opt", "/rhev/data-center/mnt/glusterSD"),
    }


def test_a_killed_run_loses_nothing_and_the_next_one_ends_well(system: System) -> None:
    before = remains(system)
    command = [str(ROOT / "tests/torture/run"), "--lab", NAME, "--every", str(EVERY), "--turn", str(TODAY)]
    command += [f"--only={operation}" for operation in OPERATIONS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    tried = dict(re.findall(r"^(\S+): \d+ points, (\d+) to try$", said, re.MULTILINE))
    assert tuple(tried) == OPERATIONS
    assert all(int(count) > 0 for count in tried.values()), tried
    assert f"\n{sum(map(int, tried.values()))} points tried, none lost data\n" in said
    assert remains(system) == before
    print(said.rpartition("\npoints")[2])
