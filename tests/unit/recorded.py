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

FIXTURES: t.Final = Path(__file__).parent / "fixtures"
GLUSTER: t.Final = FIXTURES / "gluster"
VERSION: t.Final = "10.3"
PROGRAM: t.Final = ["gluster", "--mode=script", "--xml"]


@functools.cache
def gluster_json(name: str) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads((GLUSTER / f"{name}_{VERSION}.json").read_text("utf-8")))


@functools.cache
def calls() -> dict[str, t.Any]:
    """Every recorded call: its words, standard input, exit status and standard error."""
    simple = {name: {**call, "words": [*PROGRAM[1:], *call["words"]]} for name, call in gluster_json("calls").items()}
    return {**simple, **gluster_json("changes")}


@functools.cache
def gluster_text(name: str) -> str:
    """What gluster printed in one recorded call."""
    return (GLUSTER / f"{name}_{VERSION}.xml").read_text("utf-8")


def gluster_xml(name: str, *, document: int = 0) -> _xml.Element:
    """One of the documents that gluster printed in a call."""
    text = gluster_text(name).split("<?xml")[1:][document]
    return _xml.parse(text.partition("?>")[2].strip())


#: version of gluster → what `record_option_values.py` recorded there
OPTION_VALUES: t.Final[dict[str, dict[str, t.Any]]] = {
    path.stem.rpartition("_")[2]: json.loads(path.read_text("utf-8"))
    for path in sorted(GLUSTER.glob("option_values_*.json"))
}


class Replay:
    """A `run` that gives recorded answers, one after the other, to exactly the calls that were recorded."""

    def __init__(self, *names: str) -> None:
        self.left = list(names)

    def __call__(
        self, argv: t.Sequence[str], *, stdin: str = "", timeout_s: float = 60, cwd: str | None = None
    ) -> Completed:
        name = self.left.pop(0)
        call = calls()[name]
        if [list(argv), stdin] != [[PROGRAM[0], *call["words"]], call["stdin"]]:
            raise AssertionError(f"{argv} with input {stdin!r} is not the recorded call {name}: {call}")
        return Completed(call["returncode"], gluster_text(name), call["stderr"])


#: the versions that record_volume_state.py was run on
STATE_VERSIONS: t.Final = ("10.3", "11.1")


def state_xml(name: str, version: str, *, document: int = 0) -> _xml.Element:
    """One of the documents in a recording of record_volume_state.py."""
    text = (GLUSTER / f"{name}_{version}.xml").read_text("utf-8").split("<?xml")[1:][document]
    return _xml.parse(text.partition("?>")[2].strip())


class Cluster:
    """A `run` that answers every call that record_volume_state.py made; `instead` gives another recording for one."""

    def __init__(self, version: str, instead: t.Mapping[str, str | Exception] | None = None) -> None:
        calls = json.loads((GLUSTER / f"state_calls_{version}.json").read_text("utf-8"))
        self._version, self._instead, self.asked = version, instead or {}, list[str]()
        self._names = {(tuple(call["words"]), call["stdin"]): name for name, call in reversed(calls.items())}
        self._returncodes = {name: call["returncode"] for name, call in calls.items()}

    def __call__(
        self, argv: t.Sequence[str], *, stdin: str = "", timeout_s: float = 60, cwd: str | None = None
    ) -> Completed:
        if list(argv[: len(PROGRAM)]) != PROGRAM:
            raise AssertionError(f"{argv} is not a call of gluster")
        name = self._names[tuple(argv[len(PROGRAM) :]), stdin]
        self.asked.append(name)
        answer = self._instead.get(name, name)
        if isinstance(answer, Exception):
            raise answer
        printed = (GLUSTER / f"{answer}_{self._version}.xml").read_text("utf-8")
        return Completed(self._returncodes[answer], printed, "")
