# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages of the playbook `benchmark`, as text; a browser looks at one in tests/runner/test_benchmark.py."""

from __future__ import annotations

import typing as t

import pytest
from lxml import html

from ansible_collections.gfapi.virt.plugins.module_utils._benchmark import compared
from ansible_collections.gfapi.virt.tests.unit.rendering import render

HOSTILE = '<script>alert(1)</script>" onclick="alert(1)" &amp;'
#: title → block, and operations a second of fuse and gfapi in two rounds
ROUNDS: dict[tuple[str, int], dict[str, tuple[float, float]]] = {
    ("4 KiB random reads", 4096): {"fuse": (100, 200), "gfapi": (300, 400)},
    ("1 MiB reads in a row", 1 << 20): {"fuse": (50, 70), "gfapi": (60, 40)},
}


def told() -> dict[str, t.Any]:
    measurements = [
        {
            "title": title,
            "rw": "read",
            "block_bytes": block_bytes,
            "depth": depth,
            "way": way,
            "operations_per_second": operations,
            "bytes_per_second": operations * block_bytes,
            "latency_us": 1e6 / operations,
            "latency_99_us": 2e6 / operations,
        }
        for (title, block_bytes), ways in ROUNDS.items()
        for depth in (1, 16)
        for way, rounds in ways.items()
        for operations in rounds
    ]
    head = {"made_at": "2026-11-26T12:00:00Z", "host": "kvm1", "storage_domain": HOSTILE, "rounds": 2}
    return {**head, "how": ["as it was"], "rows": compared(measurements)}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Kind → text."""
    names = ("benchmark.html", "benchmark.md")
    texts = render(tmp_path_factory.mktemp("pages"), told(), names, __benchmark="{{ told }}")
    return dict(zip(("html", "md"), texts))


def test_bars_are_as_long_as_what_was_measured(pages: dict[str, str]) -> None:
    figures = html.fromstring(pages["html"]).xpath("//figure")
    assert {figure.find("figcaption").text for figure in figures} == {title for title, _bytes in ROUNDS}
    for figure in figures:
        ways = next(ways for (title, _bytes), ways in ROUNDS.items() if title == figure.find("figcaption").text)
        most = max(max(rounds) for rounds in ways.values())
        expected = [round(sum(ways[way]) / 2 / most * 300, 1) for way in ("gfapi", "fuse")]
        assert [float(drawn.get("width")) for drawn in figure.iter("rect")] == expected * 2
        for line, way in zip(figure.iter("line"), ("gfapi", "fuse") * 2):
            ends = [round(end(ways[way]) / most * 300, 1) for end in (min, max)]
            assert [float(line.get("x1")), float(line.get("x2"))] == ends


def test_numbers_are_told(pages: dict[str, str]) -> None:
    rows = html.fromstring(pages["html"]).xpath("//section[@id='measured']//tbody/tr")
    cells = [[" ".join(" ".join(cell.itertext()).split()) for cell in row.xpath("td")] for row in rows]
    assert cells[0] == [
        "4 KiB random reads", "1", "350 IOPS 300 to 400", "150 IOPS 100 to 200", "2.33",
        "2.92 ms 99 %: 5.83 ms", "7.50 ms 99 %: 15.00 ms",
    ]  # fmt: skip
    assert cells[2][2:5] == ["50 MiB/s 40 to 60", "60 MiB/s 50 to 70", "0.83 (rounds overlap)"]


def test_names_are_text_on_the_page(pages: dict[str, str]) -> None:
    page = html.fromstring(pages["html"])
    assert HOSTILE in page.xpath("//h1")[0].text_content()
    assert page.xpath("//script | //@onclick") == []


def test_markdown_is_a_table(pages: dict[str, str]) -> None:
    lines = pages["md"].splitlines()
    rows = [line for line in lines if line.startswith("| ") and "depth" not in line]
    assert len(rows) == 4
    assert {line.count("|") for line in lines if line.startswith("|")} == {10}
    assert rows[0].startswith("| 4 KiB random reads | 1 | 350 (300 to 400) | 150 (100 to 200) | 2.33 | 1.4 | 0.6 | ")
    assert lines[-1] == "- as it was"
