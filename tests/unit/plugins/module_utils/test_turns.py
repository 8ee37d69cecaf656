# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _turns
from ansible_collections.gfapi.virt.plugins.module_utils._errors import LibvirtError
from ansible_collections.gfapi.virt.plugins.module_utils._turns import take_turns

URI = "qemu:///system"
#: a run that works on a domain until its input ends
OTHER = """
import sys
from ansible_collections.gfapi.virt.plugins.module_utils._turns import take_turns
take_turns(sys.argv[1], sys.argv[3:], folder=sys.argv[2])
print("begun", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "turns")


def test_a_domain_is_one_runs_at_a_time(folder: str) -> None:
    library = Path(_turns.__file__).parents[5]
    command = [sys.executable, "-c", OTHER, URI, folder, "web", "db"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=library, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        with pytest.raises(LibvirtError, match="another run works on domain db, and 0 s were waited"):
            take_turns(URI, ["db", "web"], folder=folder, timeout_s=0)
        take_turns(URI, ["mail"], folder=folder, timeout_s=0)
        take_turns("qemu+ssh://kvm2/system", ["web"], folder=folder, timeout_s=0)
        other.communicate()
    held = take_turns(URI, ["db", "web"], folder=folder, timeout_s=0)
    with pytest.raises(LibvirtError):
        take_turns(URI, ["web"], folder=folder, timeout_s=0)
    held.close()
    take_turns(URI, ["web"], folder=folder, timeout_s=0)


def test_any_name_has_a_lock(folder: str) -> None:
    take_turns(URI, ["../x", "n" * 300, "a\nb", "é"], folder=folder)
    assert len(list(Path(folder).iterdir())) == 4
    assert [path.name for path in Path(folder).parent.iterdir()] == ["turns"]


def test_who_may_not_write_there_is_kept_from_nothing(folder: str) -> None:
    Path(folder).write_text("no folder", encoding="utf-8")
    take_turns(URI, ["web"], folder=folder)
    take_turns(URI, ["web"], folder=f"{folder}/below")
