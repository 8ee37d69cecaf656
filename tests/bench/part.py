# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a part of the benchmark is, and how it says numbers."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.tests.bench.lab import Data, Lab
from ansible_collections.gfapi.virt.tests.bench.plots import Plot

#: what Ansible's own start varies by; no play is said to take less beyond it
LEAST_S = 0.01


@dataclass(frozen=True)
class Part:
    """Something that is measured, and its section of the page."""

    name: str
    about: str
    #: data that JSON can hold, raw seconds; a part that grows gets the numbers to grow by
    measure: t.Callable[[Lab, t.Sequence[int]], Data]
    #: the section, from that data alone
    text: t.Callable[[Data], str]
    counts: tuple[int, ...] = ()
    plots: t.Callable[[Data], t.Sequence[Plot]] = lambda _data: ()


def beyond(data: Data, name: str) -> float:
    """What a play takes beyond one with a ping."""
    return max(float(data[name] - data["ping"]), LEAST_S)


def seconds(value_s: float) -> str:
    if value_s < 0.1:
        return f"{value_s * 1000:.3g} ms"
    return f"{value_s:.{2 if value_s < 10 else 1 if value_s < 100 else 0}f} s"


def times(longer_s: float, shorter_s: float) -> str:
    ratio = longer_s / shorter_s
    return f"**{ratio:.{1 if ratio < 10 else 0}f} times**"


def table(heads: t.Sequence[str], rows: t.Iterable[t.Sequence[object]]) -> str:
    lines = [f"| {' | '.join(map(str, cells))} |".replace("|  |", "| |") for cells in (heads, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(heads)}", *lines[1:]])


def of_turns(rows: t.Sequence[Data]) -> str:
    """How often what is there after the first run was made anew, by the number of things."""
    turns = ", ".join(f"{row['turns']} with {row['count']}" for row in rows)
    return f"Of the first runs the median is taken: {turns}."
