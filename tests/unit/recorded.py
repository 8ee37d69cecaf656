# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recorded answers of real tools; fixtures/README.md says how each was captured."""

from __future__ import annotations

import functools
import json
import typing as t
from pathlib import Path

from ansible_collections.gfapi.virt.plugins.module_utils import _xml
from ansible_collections.gfapi.virt.plugins.module_utils._command import Completed

GLUSTER: t.Final = Path(__file__).parent / "fixtures" / "gluster"
VERSION: t.Final = "10.3"
PROGRAM: t.Final = ["gluster", "--mode=script", "--xml"]


@functools.cache
def gluster_json(name: str) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads((GLUSTER / f"{name}_{VERSION}.json").read_text("utf-8")))


@functools.cache
def gluster_text(name: str) -> str:
    """What gluster printed in one recorded call."""
    return (GLUSTER / f"{name}_{VERSION}.xml").read_text("utf-8")


def gluster_xml(name: str, *, document: int = 0) -> _xml.Element:
    """One of the documents that gluster printed in a call."""
    text = gluster_text(name).split("<?xml")[1:][document]
    return _xml.parse(text.partition("?>")[2].strip())


class Replay:
    """A `run` that gives recorded answers, one after the other, to exactly the calls that were recorded."""

    def __init__(self, *names: str) -> None:
        self.left = list(names)

    def __call__(
        self, argv: t.Sequence[str], *, stdin: str = "", timeout_s: float = 60, cwd: str | None = None
    ) -> Completed:
        name = self.left.pop(0)
        call = gluster_json("calls")[name]
        if [list(argv), stdin] != [PROGRAM + call["words"], call["stdin"]]:
            raise AssertionError(f"{argv} with input {stdin!r} is not the recorded call {name}: {call}")
        return Completed(call["returncode"], gluster_text(name), call["stderr"])
