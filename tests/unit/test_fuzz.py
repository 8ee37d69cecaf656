# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make fuzz` tells of a parser that fails, hangs or takes too much, and of nothing that parsers are to do."""

from __future__ import annotations

import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[2] / "tests/fuzz/run"
#: the runner itself, in a process of its own, to which it gives its limits, over one parser that is given as text
DRIVER = """
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

path, does, *words = sys.argv[1:]
loader = SourceFileLoader("fuzz_run", path)
run = module_from_spec(spec_from_loader(loader.name, loader))
loader.exec_module(run)
run.LIMIT_S = 0.5

from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError

def read(number):
    if number % 50 == 7:
        exec(does, {**globals(), "number": number})

run.parsers = lambda: (run.Parser("invented", lambda chance: chance.randrange(1000), read),)
sys.argv[1:] = ["--count", "2000", *words]
sys.exit(run.main())
"""


def told(does: str, *words: str) -> tuple[int, str]:
    """How the runner ends, and what it says, of a parser that does that with some inputs."""
    command = [sys.executable, "-c", DRIVER, str(RUN), does, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("{}['length']", "KeyError: 'length'"),
        ("while True: pass", "Hang: not read within 0.5 s"),
        ("f = lambda: f(); f()", "RecursionError"),
        ("bytes(2 << 30)", "MemoryError"),
        ("assert False, 'not that'", "AssertionError: not that"),
    ],
    ids=["a mistake", "hangs", "goes too deep", "takes too much", "is wrong"],
)
def test_what_a_parser_must_not_do_is_found_with_its_input(does: str, words: str) -> None:
    status, said = told(does)
    assert status == 1
    assert f"invented: {words}" in said
    found = said.partition("    from ")[2].split()[0]
    assert int(found) % 50 == 7
    assert "1 findings" in said


@pytest.mark.parametrize("does", ["raise ValueError", "raise StorageError('x')", "pass"])
def test_what_a_parser_may_do_is_none(does: str) -> None:
    status, said = told(does)
    assert status == 0
    assert "2000 inputs over 1 parsers, 0 findings" in said


def test_a_word_that_no_parser_has_in_its_name_is_no_success() -> None:
    assert told("pass", "other") == (1, "no parser is called other\n")


def test_one_seed_makes_the_same_inputs() -> None:
    def finding(*words: str) -> t.Any:
        return told("{}[number]", *words)[1].partition("    from ")[2].splitlines()[0]

    assert finding("--seed", "1") == finding("--seed", "1")
    assert finding("--seed", "1") != finding("--seed", "2")
