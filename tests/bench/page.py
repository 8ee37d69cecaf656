# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page: all parts in its order, and what it and its pictures are made of."""

from __future__ import annotations

import textwrap
import typing as t

from ansible_collections.gfapi.virt.tests.bench import conversion, disks, starting, vms, volumes
from ansible_collections.gfapi.virt.tests.bench.lab import Data
from ansible_collections.gfapi.virt.tests.bench.part import Part
from ansible_collections.gfapi.virt.tests.bench.plots import svg

PARTS: tuple[Part, ...] = (
    starting.START,
    disks.ONE,
    disks.MANY,
    disks.LIVE,
    vms.MANY,
    vms.RIGHT,
    conversion.CONVERSION,
    volumes.OPTIONS_SET,
    volumes.LOOK,
)
DATA, PAGE = "performance.json", "performance.md"
WIDTH = 140
#: what begins a table, a heading, a picture and a comment
NO_PROSE = ("|", "#", "!", "<")
WHOLE_WORDS: dict[str, t.Any] = {"break_long_words": False, "break_on_hyphens": False}


def files(told: Data) -> dict[str, str]:
    """Name → text of the page and its pictures, from what the JSON file holds alone."""
    measured = [(part, told["parts"][part.name]) for part in PARTS if part.name in told["parts"]]
    pictures = {f"{plot.name}.svg": svg(plot) for part, data in measured for plot in part.plots(data)}
    return {PAGE: wrapped(head(told["made"]) + "".join(part.text(data) for part, data in measured)), **pictures}


def wrapped(text: str) -> str:
    """Paragraphs of prose get lines of their own length, whatever was put into them."""
    return (
        "\n\n".join(
            block if block.startswith(NO_PROSE) else textwrap.fill(block, WIDTH, **WHOLE_WORDS)
            for block in text.rstrip().split("\n\n")
        )
        + "\n"
    )


def head(made: t.Mapping[str, t.Any]) -> str:
    return f"""<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
# Performance

Written by `make bench` on {made["date"]}, of commit {made["commit"]}, from what it measured ([{DATA}]({DATA})):
{", ".join(made["versions"])}; one lab host of {made["cores"]} cores, guests without KVM. Medians of {made["turns"]}
where nothing else is said. Seconds depend on the machine, ratios hardly do.
"""
