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


#: what makes a program of text, or another than `_command.py` has it
RUNS = re.compile(
    r"shell=|system|popen\w*|getoutput|getstatusoutput|eval|exec|compile_command|pty|(posix_)?spawn\w*|execl?[vpe]*"
)
SHELLS = re.compile(r"(/(usr/)?bin/)?((ba|da|k|z)?sh|env|su|sudo|runuser|eval|xargs)")
TEMPORARY = {"tempfile", "mkstemp", "mkdtemp", "mktemp", "gettempdir", "NamedTemporaryFile", "TemporaryDirectory"}
FOR_ALL = re.compile(r"(^|[^\w.])(/var)?/tmp\b|/dev/shm\b")


def test_no_text_becomes_a_program() -> None:
    assert not {path.name: used for path in PLUGINS if (used := [one for one in names(path) if RUNS.fullmatch(one)])}
    assert [path.name for path in PLUGINS if "subprocess" in names(path)] == ["_command.py"]


def test_no_program_is_a_shell_or_one_text() -> None:
    calls = [(path.name, node) for path in PLUGINS for node in ast.walk(code_of(path)) if isinstance(node, ast.Call)]
    runs = [(name, call) for name, call in calls if call.args and called(call) in ("run", "_run", "run_program")]
    assert len(runs) >= 10
    assert not [(name, call.lineno) for name, call in runs if isinstance(call.args[0], (ast.Constant, ast.JoinedStr))]
    lists = [(path.name, node) for path in PLUGINS for node in ast.walk(code_of(path)) if isinstance(node, ast.List)]
    first = [(name, one.elts[0].value) for name, one in lists if one.elts and isinstance(one.elts[0], ast.Constant)]
    assert ("_qemu_img.py", "qemu-img") in first
    assert not [found for found in first if isinstance(found[1], str) and SHELLS.fullmatch(found[1])]


def called(call: ast.Call) -> str:
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


def code_of(path: Path) -> ast.Module:
    """A file without its documentation, which may name any path."""
    tree = ast.parse(path.read_text())
    documentation = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.Assign) and documentation & {getattr(one, "id", "") for one in node.targets})
    ]
    return tree


def test_nothing_is_made_where_all_may_write() -> None:
    assert not [path.name for path in PLUGINS if names(path) & TEMPORARY]
    texts = [
        (path.name, node.value)
        for path in PLUGINS
        for node in ast.walk(code_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [found for found in texts if FOR_ALL.search(found[1])]
    tasks = [path for folder in ("roles", "playbooks") for path in (ROOT / folder).rglob("*") if path.is_file()]
    lines = [(path.name, line) for path in tasks if path.suffix != ".md" for line in path.read_text().splitlines()]
    assert len(lines) > 1000
    made = [(name, line.strip()) for name, line in lines if FOR_ALL.search(line) or "tempfile:" in line]
    assert made == [("migrate_vm.yml", "ansible.builtin.tempfile:")]
