# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Seconds over numbers of things, as SVG: both axes logarithmic, light or dark as the reader has it. Pure: no I/O."""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

from lxml import etree

Point = tuple[int, float]

WIDTH, HEIGHT = 900, 420
LEFT, TOP, ACROSS, DOWN = 80, 20, 470, 340
LEGEND_X, LEGEND_STEP = LEFT + ACROSS + 30, 26
COUNTED = "broken: of a few, counted up"
#: of each line in the light and in the dark; told apart by people who see no red or no green (Okabe and Ito)
COLOURS = (
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#ff9a52"),
    ("#007a5a", "#3ad1a4"),
    ("#a3478a", "#e59cc9"),
    ("#8a6d00", "#f0e442"),
    ("#555555", "#bbbbbb"),
)
STYLE = """
text { font: 13px sans-serif; fill: #24292f }
.grid { stroke: #d0d7de }
.dot, .line { fill: none; stroke-width: 2 }
.counted { stroke-dasharray: 6 4 }
"""
DARK_STYLE = "text { fill: #e6edf3 } .grid { stroke: #444c56 }"


@dataclass(frozen=True)
class Line:
    label: str
    points: tuple[Point, ...]
    #: drawn broken, and said so
    counted: bool = False


@dataclass(frozen=True)
class Plot:
    #: its name in docs, without the ending
    name: str
    title: str
    #: what is counted
    things: str
    lines: tuple[Line, ...]

    @property
    def description(self) -> str:
        """The same in words, for who does not see it."""
        ends = "; ".join(f"{line.label}: {line.points[-1][1]:.3g} s for {line.points[-1][0]}" for line in self.lines)
        return f"Seconds over the number of {self.things}, both axes logarithmic. {ends}."


class Scale:
    """Numbers → a length from 0 to `length`, by their logarithm."""

    def __init__(self, low: float, high: float, length: float) -> None:
        self.low, self.length = math.log10(low), length
        self.span = (math.log10(high) - self.low) or 1

    def __call__(self, value: float) -> float:
        return (math.log10(value) - self.low) / self.span * self.length


def svg(plot: Plot) -> str:
    """The file's text."""
    picture = etree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {HEIGHT}"})
    for key, value in (("width", str(WIDTH)), ("height", str(HEIGHT)), ("role", "img")):
        picture.set(key, value)
    for tag, words in (("title", plot.title), ("desc", plot.description), ("style", _style())):
        _words(picture, tag, words)
    across, down = _scales(plot)
    _draw_grid(picture, plot, across, down)
    # those that take longest come first, as in the plot
    ranked = sorted(enumerate(plot.lines), key=lambda pair: -pair[1].points[-1][1])
    for row, (number, line) in enumerate(ranked):
        places = [(LEFT + across(count), TOP + DOWN - down(value_s)) for count, value_s in line.points]
        _draw_line(picture, number, line, places)
        height = TOP + 10 + row * LEGEND_STEP
        _draw_line(picture, number, line, [(LEGEND_X, height), (LEGEND_X + 34, height)])
        _text(picture, line.label, LEGEND_X + 44, height + 4, "start")
    if any(line.counted for line in plot.lines):
        _text(picture, COUNTED, LEGEND_X, TOP + DOWN, "start")
    etree.indent(picture)
    licence = "<!-- SPDX-License-Identifier: GPL-3.0-or-later -->\n"
    return licence + etree.tostring(picture, encoding="unicode") + "\n"


def _style() -> str:
    light, dark = (
        " ".join(f".colour-{number} {{ stroke: {pair[shade]} }}" for number, pair in enumerate(COLOURS))
        for shade in (0, 1)
    )
    return f"{STYLE}{light}\n@media (prefers-color-scheme: dark) {{ {DARK_STYLE} {dark} }}\n"


def _scales(plot: Plot) -> tuple[Scale, Scale]:
    points = [point for line in plot.lines for point in line.points]
    counts, values = zip(*points)
    return Scale(min(counts), max(counts), ACROSS), Scale(10 ** _decades(values)[0], 10 ** _decades(values)[-1], DOWN)


def _decades(values: t.Sequence[float]) -> range:
    """Exponents of ten, from at most the least value to at least the greatest."""
    low = math.floor(math.log10(min(values)))
    return range(low, max(math.ceil(math.log10(max(values))), low + 1) + 1)


def _draw_grid(picture: etree._Element, plot: Plot, across: Scale, down: Scale) -> None:
    right, bottom = LEFT + ACROSS, TOP + DOWN
    for exponent in _decades([value_s for line in plot.lines for _count, value_s in line.points]):
        height = bottom - down(10**exponent)
        _stroke(picture, (LEFT, height), (right, height))
        _text(picture, f"{10**exponent:g} s", LEFT - 8, height + 4, "end")
    for count in sorted({count for line in plot.lines for count, _value_s in line.points}):
        place = LEFT + across(count)
        _stroke(picture, (place, TOP), (place, bottom))
        _text(picture, str(count), place, bottom + 18, "middle")
    _text(picture, plot.things, LEFT + ACROSS / 2, bottom + 42, "middle")


def _draw_line(picture: etree._Element, number: int, line: Line, places: t.Sequence[tuple[float, float]]) -> None:
    colour = f"colour-{number % len(COLOURS)}"
    node = etree.SubElement(picture, "polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places))
    node.set("class", f"line {colour}{' counted' if line.counted else ''}")
    for x, y in places:
        etree.SubElement(picture, "circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="3").set("class", f"dot {colour}")


def _stroke(picture: etree._Element, begin: tuple[float, float], end: tuple[float, float]) -> None:
    ends = {"x1": begin[0], "y1": begin[1], "x2": end[0], "y2": end[1]}
    etree.SubElement(picture, "line", {key: f"{value:.1f}" for key, value in ends.items()}).set("class", "grid")


def _text(picture: etree._Element, words: str, x: float, y: float, anchor: str) -> None:
    node = _words(picture, "text", words)
    for key, value in (("x", f"{x:.1f}"), ("y", f"{y:.1f}"), ("text-anchor", anchor)):
        node.set(key, value)


def _words(picture: etree._Element, tag: str, words: str) -> etree._Element:
    node = etree.SubElement(picture, tag)
    node.text = words
    return node
