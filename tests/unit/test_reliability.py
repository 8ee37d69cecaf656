# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/reliability.md is made of its JSON file, and that has each fault of `make faults`, as the list now names it."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
import sys
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "molecule/faults/tests"

pytestmark = pytest.mark.skipif(
    not TESTS.exists(), reason="the scenarios are no part of the copy that ansible-test makes"
)


@pytest.fixture(scope="module")
def page() -> t.Any:
    spec = importlib.util.spec_from_file_location("faults_page", TESTS / "page.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # dataclasses look there
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def value_of(file: str, name: str) -> ast.expr:
    """What a file of the scenario gives a name; it is not imported, for it needs a lab's tools."""
    for node in ast.parse((TESTS / file).read_text()).body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        for target in targets:
            value: t.Any = getattr(node, "value", None)
            named: dict[str, ast.expr]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                named = dict(zip((getattr(one, "id", "") for one in target.elts), value.elts))
            else:
                named = {getattr(target, "id", ""): value}
            if name in named:
                return named[name]
    raise LookupError(name)


def faults() -> dict[str, str]:
    """The faults of the list, and what becomes of a guest in each, in the words of the page."""
    code = ast.parse((TESTS / "faults.py").read_text())
    (guest,) = (node for node in code.body if isinstance(node, ast.ClassDef) and node.name == "Guest")
    words = {t.cast("t.Any", one).targets[0].id: ast.literal_eval(t.cast("t.Any", one).value) for one in guest.body[1:]}
    calls = t.cast("list[t.Any]", t.cast("t.Any", value_of("faults.py", "FAULTS")).elts)
    found = {ast.literal_eval(call.args[0]): words[call.args[1].attr] for call in calls}
    assert len(found) == len(calls), "two faults have one name"
    return found


def test_page_is_made_of_what_was_measured(page: t.Any) -> None:
    assert page.PAGE.read_text() == page.text(page.Results.kept()), "run python molecule/faults/tests/page.py"


def test_each_fault_of_the_list_was_measured_and_no_other(page: t.Any) -> None:
    assert {one.fault: one.guest for one in page.Results.kept().outcomes} == faults()


@pytest.mark.parametrize("name", ["README.md", "docs/README.md", "docs/reliability.md"])
def test_so_many_faults_are_named(name: str) -> None:
    assert re.findall(r"\b([0-9]+) faults\b", (ROOT / name).read_text()) == [str(len(faults()))]


def test_so_many_faults_strike_in_the_gate() -> None:
    calls = t.cast("t.Any", value_of("faults.py", "FAULTS")).elts
    in_gate = [call for call in calls if any(word.arg == "gate" for word in call.keywords)]
    words = {3: "Three faults and one round of the plays strike in the gate"}
    assert words[len(in_gate)] in (ROOT / "CONTRIBUTING.md").read_text()


def test_no_more_is_looked_for_than_an_image_holds(page: t.Any) -> None:
    assert ast.literal_eval(value_of("scene.py", "BLOCKS")) == page.HELD
    outcome = page.Outcome("f", "goes on", acknowledged=page.HELD + 1, lost=1)
    assert page.row("f", [outcome, outcome]).endswith(f"| 2 of {2 * page.HELD} |")


@pytest.mark.parametrize(
    ("given_up", "words"),
    [
        ([False, False], "is paused, and a task resumes it"),
        ([True, False], "is paused, and a task resumes it, but for 1 of 2 times: QEMU had given up its disk, so"),
        ([True, True], "is paused; QEMU had given up its disk each time, so it was started anew"),
        ([True], "is paused; QEMU had given up its disk each time, so it was started anew"),
    ],
)
def test_a_guest_that_was_started_anew_was_not_resumed(page: t.Any, given_up: list[bool], words: str) -> None:
    turn = page.Outcome("f", "is paused, and a task resumes it")
    told = page.row("f", [dataclasses.replace(turn, given_up=one) for one in given_up])
    assert told.startswith(f"| f | {words}")
    assert ("resumes it" in told) is not all(given_up)


def test_a_fault_of_which_something_did_not_hold_says_what(page: t.Any) -> None:
    good, bad = page.Outcome("f", "goes on", pause_s=3), page.Outcome("f", "goes on", pause_s=99, broken="3 were lost")
    assert page.row("f", [good, bad]).startswith("| f | goes on | **no**: 3 were lost | 3 | 0 |")
    assert page.row("f", [bad]).count("|") == page.line(page.COLUMNS).count("|")
    results = page.Results([good, bad], [True, False], "2026-11-27", "glusterfs 10.3")
    assert "It was so in 1 of them." in page.text(results)
    assert "of 1 faults struck 2 times" in page.text(results)
