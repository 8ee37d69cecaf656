# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make torture` knows each call to libvirt by which plugins change something, and so kills a run there."""

from __future__ import annotations

import ast
import typing as t
from pathlib import Path

import libvirt
import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
#: for a checkout only
CALLS = ROOT / "tests/torture/libvirt_calls.py"
#: what has libvirt's own objects in hands: others have them from here
EDGE = "_libvirt"
#: what changes nothing but the connection itself; whatever is not named here is taken for a change
READS = {
    *("UUIDString", "XMLDesc", "autostart", "blockJobInfo", "diskErrors", "domainListGetStats", "getCapabilities"),
    *("getHostname", "getLibVersion", "getTime", "getType", "getVersion", "hasManagedSaveImage", "info", "isActive"),
    *("isPersistent", "jobStats", "listAllDomains", "lookupByName", "managedSaveGetXMLDesc", "name", "setKeepAlive"),
    *("get_error_code", "state"),
}
METHODS = {name for kind in vars(libvirt).values() if isinstance(kind, type) for name in vars(kind) if name[0] != "_"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_edge(path: Path) -> bool:
    """Whether a file is the edge, or asks libvirt with what turns its errors."""
    names = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute) and node.attr == "asking")
    return path.stem == EDGE or any(isinstance(node.value, ast.Name) and node.value.id == EDGE for node in names)


def called(path: Path) -> set[str]:
    """Methods of libvirt's objects that a file calls; what it calls of its own `self` is none."""
    calls = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    methods = [call for call in calls if isinstance(call, ast.Attribute)]
    return {
        call.attr for call in methods if not (isinstance(call.value, ast.Name) and call.value.id == "self")
    } & METHODS


def known() -> set[str]:
    """What the torture names, of whatever kind."""
    (table,) = (
        node.value
        for node in tree(CALLS).body
        if isinstance(node, ast.AnnAssign) and t.cast(ast.Name, node.target).id == "CHANGES"
    )
    return {node.value for node in ast.walk(t.cast(ast.Dict, table)) if isinstance(node, ast.Constant)}


FILES = sorted(PLUGINS.rglob("*.py"))
EDGES = [path for path in FILES if is_edge(path)]


def test_libvirts_objects_are_in_the_hands_of_the_edge_alone() -> None:
    assert {"_libvirt", "_libvirt_jobs", "_block_jobs", "_running_domain"} <= {path.stem for path in EDGES}
    for path in FILES:
        if path not in EDGES:
            assert not called(path) & {"lookupByName", "listAllDomains", "XMLDesc", "defineXMLFlags"}, path.name


@pytest.mark.skipif(not CALLS.exists(), reason="the torture is for a checkout only")
def test_the_torture_knows_each_call_that_changes_something() -> None:
    assert set().union(*map(called, EDGES)) - READS == known()
