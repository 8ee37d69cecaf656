# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volfiles: the translators of a brick with their options, as glusterd writes them and as a brick logs them.

A brick logs the graph that it starts with under "Final graph:", each line numbered (10.3, 11.1). Pure: no I/O.
"""

from __future__ import annotations

import re
import typing as t

#: translator and option, as in ("protocol/server", "transport.socket.ssl-enabled") → value
Graph = t.Mapping["tuple[str, str]", str]

FINAL_GRAPH: t.Final = "Final graph:"
#: before it a brick has no graph
STARTED: t.Final = "Started running"
_LOGGED_LINE = re.compile(r"\s*\d+: ?(.*)")
_FRAME: t.Final = "+---"


def parse(text: str) -> dict[tuple[str, str], str]:
    """The options of every translator in a volfile."""
    translator, found = "", {}
    for line in text.splitlines():
        word, _blank, rest = line.strip().partition(" ")
        if word == "type":
            translator = rest
        elif word == "option":
            name, _blank, value = rest.partition(" ")
            found[translator, name] = value
    return found


def last_logged(log: str) -> dict[tuple[str, str], str] | None:
    """The graph that a brick logged last, which is the one it runs with; `None` where none is whole."""
    _before, found, after = log.rpartition(FINAL_GRAPH)
    if not found:
        return None
    frame, *lines = after.strip().splitlines() or [""]
    body: list[str] = []
    for line in lines:
        if line.startswith(_FRAME):
            return parse("\n".join(body)) if frame.startswith(_FRAME) else None
        match = _LOGGED_LINE.fullmatch(line)
        body.append(match[1] if match else "")
    return None


def differences(written: Graph, running: Graph) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    """Translator and option → the value written for the brick and the one it runs with, where these differ."""
    return {
        key: (written.get(key), running.get(key))
        for key in sorted({*written, *running})
        if written.get(key) != running.get(key)
    }
