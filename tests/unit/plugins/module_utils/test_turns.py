# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _turns
from ansible_collections.gfapi.virt.plugins.module_utils._errors import BusyError, MissingLibraryError
from ansible_collections.gfapi.virt.plugins.module_utils._turns import in_turn

#: a run that works on things until its input ends
OTHER = """
import sys
from ansible_collections.gfapi.virt.plugins.module_utils._turns import in_turn
in_turn(sys.argv[2:], lambda: print("begun", flush=True), folder=sys.argv[1])
sys.stdin.read()
"""
THINGS = ("domain web", "domain db")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "turns")


@contextlib.contextmanager
def another_run(folder: str, *things: str) -> t.Iterator[None]:
    """As long as the context lasts."""
    library = Path(_turns.__file__).parents[5]
    command = [sys.executable, "-c", OTHER, folder, *things]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=library, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        yield
        other.communicate()


def now(folder: str, *things: str) -> str:
    return in_turn(things, lambda: "planned", folder=folder, timeout_s=0)


def test_a_thing_is_one_runs_at_a_time(folder: str) -> None:
    with another_run(folder, *THINGS):
        with pytest.raises(BusyError, match="another run works on domain db, and 0 s were waited"):
            now(folder, *THINGS)
        assert now(folder, "domain mail") == "planned"
    assert now(folder, *THINGS) == "planned"


def test_it_stays_ours_until_this_process_ends(folder: str) -> None:
    assert now(folder, *THINGS) == "planned"
    with pytest.raises(BusyError):
        now(folder, "domain web")


def test_what_was_not_planned_is_free(folder: str) -> None:
    """The module may begin anew under another Python while this process waits for it."""

    def plan() -> None:
        raise MissingLibraryError("lxml")

    with pytest.raises(MissingLibraryError):
        in_turn(THINGS, plan, folder=folder)
    assert now(folder, *THINGS) == "planned"


def test_any_name_has_a_lock(folder: str) -> None:
    now(folder, "../x", "n" * 300, "a\nb", "é")
    assert len(list(Path(folder).iterdir())) == 4
    assert [path.name for path in Path(folder).parent.iterdir()] == ["turns"]


def test_who_may_not_write_there_is_kept_from_nothing(folder: str) -> None:
    Path(folder).write_text("no folder", encoding="utf-8")
    for again in (folder, folder, f"{folder}/below"):
        assert now(again, "domain web") == "planned"
