# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list of `make mutants` is about code and tests that are there; whether they are killed, that tells."""

from __future__ import annotations

import ast
import importlib.util
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def mutants() -> tuple[t.Any, ...]:
    spec = importlib.util.spec_from_file_location("guards", ROOT / "tests/mutants/guards.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return t.cast("tuple[t.Any, ...]", module.MUTANTS)


MUTANTS = mutants()


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.loses for mutant in MUTANTS])
def test_the_lines_of_a_mutant_stand_once(mutant: t.Any) -> None:
    text = (ROOT / "plugins" / mutant.file).read_text()
    assert text.count(mutant.lines) == 1
    assert mutant.lines != mutant.become
    ast.parse(text.replace(mutant.lines, mutant.become))


@pytest.mark.parametrize("test", sorted({mutant.test for mutant in MUTANTS}))
def test_the_test_of_a_mutant_is_there(test: str) -> None:
    file, _colons, name = test.partition("::")
    text = (ROOT / "tests/unit/plugins" / file).read_text()
    assert not name or f"\ndef {name}(" in text


def test_there_are_many_and_each_is_named_once() -> None:
    names = [mutant.loses for mutant in MUTANTS]
    assert len(names) >= 30
    assert len(set(names)) == len(names)
