# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make bench` writes into docs is made of the JSON file that it measured, and says what that holds."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest
from lxml import etree

from ansible_collections.gfapi.virt.tests.bench import plots
from ansible_collections.gfapi.virt.tests.bench.page import DATA, PAGE, PARTS, files
from ansible_collections.gfapi.virt.tests.bench.part import seconds, times

DOCS = Path(__file__).resolve().parents[2] / "docs"
SVG = "{http://www.w3.org/2000/svg}"
PACKAGE = "ansible==1.2.3"


def tuned(fresh_s: float, again_s: float, processes: float) -> dict[str, t.Any]:
    return {
        when: {"seconds": value_s, "processes": processes, "transactions": processes - 1}
        for when, value_s in (("fresh", fresh_s), ("again", again_s))
    }


#: all parts, invented
TOLD: dict[str, t.Any] = {
    "made": {
        "date": "2026-11-26",
        "commit": "0123abc",
        "cores": 2,
        "turns": 5,
        "versions": ["glusterfs 10.3", "qemu-img version 7.2"],
    },
    "parts": {
        "start": {
            name: {"start": start_s, "stop": 10.0, "owner": owner}
            for name, start_s, owner in (("ours", 0.5, "36:36"), ("plain", 21.0, "0:0"), ("bare", 0.4, ""))
        },
        "disk": {"ping": 1.0, "gfapi_disk": 1.3, "again": 1.2, "gfapi": 21.0, "mount": 0.07},
        "disks": {
            "each": {
                "command": {"of": 20, "each": 0.3},
                "gfapi_disk": {"of": 10, "each": 0.4},
                "gluster": {"of": 2, "each": 21.0},
            },
            "rows": [
                {"count": count, "turns": 1, "ping": 1.0, "first": 1 + count / 10, "again": 1.25, "script": count / 8}
                for count in (1, 10, 100)
            ],
        },
        "live": {"ping": 1.0, "attach": 1.2, "grow": 1.17},
        "vms": {
            "community": {"of": 2, "package": PACKAGE, "first": 23.0},
            "virsh": [
                {"count": count, "start": count * 0.6, "info": count * 0.1, "stop": count * 5.0} for count in (1, 10)
            ],
            "rows": [
                {
                    "count": count,
                    "turns": 3,
                    "ping": 1.0,
                    "first": 1 + count * 0.4,
                    "again": 1.5,
                    "info": 1.2,
                    "stop": 11.0,
                }
                for count in (1, 10, 100)
            ],
        },
        "right": {
            "count": 100,
            "package": PACKAGE,
            "ping": 1.0,
            "disks": 1.5,
            "vms": 3.0,
            "both": 3.5,
            "community": 51.0,
        },
        "conversion": {
            "rows": [{"count": count, "ping": 1.0, "gfapi": 1.5, "fuse": 1.4, "by_hand": 0.1} for count in (1, 10)]
        },
        "options": {
            "options": 27,
            "community": PACKAGE,
            "ping": 1.0,
            "ours": tuned(2.0, 1.5, 3),
            "theirs": tuned(4.0, 1.25, 30),
            "cli": tuned(3.0, 3.0, 27),
        },
        "looks": {
            "rows": [{"count": count, "looks": 5, "with": 1 + count / 100, "without": 1.0} for count in (52, 502)]
        },
    },
}


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """Name → text, of data that went through a file."""
    return files(json.loads(json.dumps(TOLD)))


def rows_of(page: str, heading: str) -> list[list[str]]:
    """The cells of the tables below a heading, without the heads."""
    section = page.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("|")]
    rules = [number for number, cells in enumerate(lines) if set(cells) == {"---"}]
    return [cells for number, cells in enumerate(lines) if not {number, number + 1} & set(rules)]


@pytest.mark.skipif(not (DOCS / DATA).exists(), reason=f"the next `make bench` writes docs/{DATA}")
def test_documentation_is_what_the_data_says() -> None:
    made = files(json.loads((DOCS / DATA).read_text(encoding="utf-8")))
    assert {name: (DOCS / name).read_text(encoding="utf-8") for name in made} == made


def test_every_part_has_its_section_and_its_tables_are_whole(made: dict[str, str]) -> None:
    assert set(TOLD["parts"]) == {part.name for part in PARTS}
    assert made[PAGE].count("\n## ") == len(PARTS)
    for block in made[PAGE].split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1
        else:
            assert max(map(len, block.splitlines())) <= 140


def test_some_parts_can_be_told(made: dict[str, str]) -> None:
    some = files({**TOLD, "parts": {"live": TOLD["parts"]["live"]}})
    assert set(some) == {PAGE}
    assert [line for line in some[PAGE].splitlines() if line.startswith("## ")] == ["## Disks of a running VM"]


def test_pictures_are_on_the_page(made: dict[str, str]) -> None:
    assert set(re.findall(r"!\[[^\]]+\]\(([^)]+)\)", made[PAGE])) == set(made) - {PAGE}
    assert len(made) > 3


def test_page_says_what_was_measured_with(made: dict[str, str]) -> None:
    head = " ".join(made[PAGE].split("\n## ", 1)[0].split())
    assert "on 2026-11-26, of commit 0123abc" in head
    assert "glusterfs 10.3, qemu-img version 7.2; one lab host of 2 cores" in head


def test_disks_are_counted_up_and_compared(made: dict[str, str]) -> None:
    assert rows_of(made[PAGE], "Making ever more images")[-1] == [
        "100", "10.0 s", "0.25 s", "12.5 s", "40.0 s", "30.0 s", "2100 s",
    ]  # fmt: skip
    text = " ".join(made[PAGE].split())
    assert "Of 100, the script takes **1.2 times** as long as the one task" in text
    assert "`qemu-img create` over gfapi **210 times**" in text


def test_loops_of_virsh_are_counted_up_from_the_most_that_were_tried(made: dict[str, str]) -> None:
    starting, later = (rows_of(made[PAGE], "Ever more VMs")[number] for number in (2, 5))
    assert starting == ["100", "40.0 s", "0.50 s", "60.0 s", "2300 s"]
    assert later == ["100", "0.20 s", "10.0 s", "10.0 s", "500 s"]
    assert "for up to 10 VMs, and is counted up beyond" in " ".join(made[PAGE].split())


def test_what_is_right_is_compared_beyond_the_ping(made: dict[str, str]) -> None:
    assert [row[1] for row in rows_of(made[PAGE], "100 right VMs")] == ["2.50 s", "0.50 s", "2.00 s", "50.0 s"]
    assert "take **20 times** as long as both tasks" in " ".join(made[PAGE].split())


def test_options_tell_processes_and_transactions(made: dict[str, str]) -> None:
    ours, _theirs, cli = rows_of(made[PAGE], "Setting 27 options")
    assert ours[1:] == ["1.00 s", "3", "2", "0.50 s", "3", "2"]
    assert cli[1:] == ["3.00 s", "27", "26", "3.00 s", "27", "26"]


def test_lines_are_where_their_numbers_are_and_can_be_read_in_the_dark() -> None:
    lines = (
        plots.Line("slow & plain", ((1, 0.1), (10, 1.0), (100, 1000.0)), counted=True),
        plots.Line("fast", ((1, 0.1), (100, 1.0))),
    )
    picture = etree.fromstring(plots.svg(plots.Plot("any", "Any <title>", "things", lines)).encode())
    assert picture.findtext(f"{SVG}title") == "Any <title>"
    assert "slow & plain: 1e+03 s for 100" in picture.findtext(f"{SVG}desc", "")
    assert "@media (prefers-color-scheme: dark)" in picture.findtext(f"{SVG}style", "")
    drawn = {
        node.get("class"): [tuple(map(float, place.split(","))) for place in node.get("points", "").split()]
        for node in picture.iter(f"{SVG}polyline")
        if float(node.get("points", "").partition(",")[0]) < plots.LEGEND_X
    }
    left, right, bottom = plots.LEFT, plots.LEFT + plots.ACROSS, plots.TOP + plots.DOWN
    # from 0.1 to 1000 s are four decades
    assert drawn["line colour-0 counted"] == [
        (left, bottom), ((left + right) / 2, bottom - plots.DOWN / 4), (right, plots.TOP),
    ]  # fmt: skip
    assert drawn["line colour-1"] == [(left, bottom), (right, bottom - plots.DOWN / 4)]
    labels = [node.text for node in picture.iter(f"{SVG}text")]
    assert [label for label in labels if label in ("slow & plain", "fast")] == ["slow & plain", "fast"]
    assert {"0.1 s", "1000 s", "1", "10", "100", "things"} <= set(labels)


def test_one_number_can_be_drawn() -> None:
    picture = etree.fromstring(
        plots.svg(plots.Plot("any", "Any", "things", (plots.Line("one", ((3, 2.0),)),))).encode()
    )
    assert len(list(picture.iter(f"{SVG}circle"))) == 3


@pytest.mark.parametrize(
    ("value_s", "text"),
    [(0.0143, "14.3 ms"), (0.1, "0.10 s"), (9.994, "9.99 s"), (20.04, "20.0 s"), (2105.2, "2105 s")],
)
def test_seconds_have_three_digits_or_so(value_s: float, text: str) -> None:
    assert seconds(value_s) == text


def test_ratios_are_round() -> None:
    assert times(21, 0.5) == "**42 times**"
    assert times(3, 2) == "**1.5 times**"
