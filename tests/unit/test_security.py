# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/security.md: each claim names a test that is there. And what the syntax tree of all plugins tells."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/security.md"
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
LINKS = sorted(set(re.findall(r"\[`(\w+)`\]\(\.\./(\S+?\.py)\)", DOCUMENT.read_text())))


def names(path: Path) -> set[str]:
    """What a file imports, calls and reads, by its last name."""
    code = ast.walk(ast.parse(path.read_text()))
    found = set()
    for node in code:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(alias.name for alias in node.names)
            found.add(getattr(node, "module", None) or "")
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.keyword):
            found.add(f"{node.arg}=")
    return found


@pytest.mark.parametrize(("test", "file"), LINKS)
def test_a_test_that_a_claim_names_is_there(test: str, file: str) -> None:
    if file.startswith("molecule/") and not (ROOT / "molecule").exists():
        pytest.skip("the scenarios are no part of the copy that ansible-test makes")
    functions = [node for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)]
    assert test in [function.name for function in functions]


def test_every_claim_names_a_test() -> None:
    text = DOCUMENT.read_text()
    tables = re.findall(r"^\| what holds \| seen by \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    claims = [row for table in tables for row in table.splitlines()]
    assert len(claims) >= 40
    assert not [claim for claim in claims if "](../" not in claim]
    assert text.count("](../tests/") + text.count("](../molecule/") >= len(LINKS) >= 40


def test_no_text_becomes_a_program() -> None:
    forbidden = {"shell=", "system", "popen", "getoutput", "getstatusoutput", "eval", "exec", "spawnv", "execv"}
    assert not {path.name: used for path in PLUGINS if (used := names(path) & forbidden)}
    assert [path.name for path in PLUGINS if "subprocess" in names(path)] == ["_command.py"]


def test_nothing_is_made_where_all_may_write() -> None:
    assert not [
        path.name for path in PLUGINS if names(path) & {"tempfile", "mkstemp", "mkdtemp", "mktemp", "gettempdir"}
    ]
    texts = [
        (path.name, node.value)
        for path in PLUGINS
        if path.parent.name == "module_utils"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [found for found in texts if re.match(r"/(var/)?tmp\b|/dev/shm\b", found[1])]
