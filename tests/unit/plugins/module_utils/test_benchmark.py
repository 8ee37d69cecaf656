# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._benchmark import compared, measured

FIO = Path(__file__).resolve().parents[2] / "fixtures" / "fio"


def recorded(name: str) -> str:
    return (FIO / f"{name}-3.33.json").read_text(encoding="utf-8")


def one(way: str, operations: float, **more: t.Any) -> dict[str, t.Any]:
    job = {"title": "4 KiB random reads", "rw": "randread", "block_bytes": 4096, "depth": 16, "way": way}
    values = {"bytes_per_second": operations * 4096, "latency_us": 1e6 / operations, "latency_99_us": 2e6 / operations}
    return {**job, "operations_per_second": operations, **values, **more}


def test_what_fio_printed_is_read() -> None:
    reads = measured(recorded("fuse-randread"))
    assert reads["operations_per_second"] == pytest.approx(2557.66, abs=0.01)
    assert reads["bytes_per_second"] == 10476189
    assert reads["latency_us"] == pytest.approx(6247.69, abs=0.01)
    assert reads["latency_99_us"] == pytest.approx(104333.312)
    assert measured(recorded("gfapi-randwrite")) != reads


def test_what_fio_says_before_its_result_does_not_disturb() -> None:
    assert measured(f"note: both iodepth and engine\n{recorded('fuse-randread')}")["bytes_per_second"] == 10476189


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "fio gave no result: "),
        ("fio: no such engine", "fio gave no result: fio: no such engine"),
        ('{"jobs": []}', "fio gave no result: "),
        ('{"jobs": 7}', "fio gave no result: "),
        ("{" * 100_000, "fio gave no result: "),
        (recorded("gfapi-refused"), "fio failed: fio: pid=.*, err=-5/"),
        ('{"jobs": [{"error": 5}]}', "fio failed: 5"),
        ('{"jobs": [{"error": 0}]}', "fio did nothing in the time that it had"),
        ('{"jobs": [{"error": 0, "read": {"total_ios": 1, "iops": "7"}}]}', "'7' is no number above 0"),
        ('{"jobs": [{"error": 0, "read": {"total_ios": 1, "iops": NaN}}]}', "nan is no number above 0"),
    ],
)
def test_what_is_no_result_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        measured(text)


def test_rounds_are_medians_with_their_range() -> None:
    (row,) = compared([one("fuse", 100), one("gfapi", 300), one("gfapi", 250), one("fuse", 120), one("fuse", 110)])
    assert row["fuse"]["operations_per_second"] == {"median": 110, "least": 100, "most": 120}
    assert row["gfapi"]["operations_per_second"] == {"median": 275, "least": 250, "most": 300}
    assert (row["times"], row["overlap"]) == (2.5, False)
    assert row["text"] == (
        "4 KiB random reads, depth 16: 275 operations a second through gfapi, 110 through FUSE, 2.50 times as many"
    )


@pytest.mark.parametrize("fuse", [(90, 110), (50, 300), (120, 130), (95, 100)])
def test_rounds_that_overlap_are_told(fuse: tuple[int, int]) -> None:
    (row,) = compared([*(one("fuse", value) for value in fuse), one("gfapi", 100), one("gfapi", 120)])
    assert row["overlap"] is True
    assert row["text"].endswith("(their rounds overlap)")


def test_of_one_round_nobody_knows_whether_they_overlap() -> None:
    (row,) = compared([one("fuse", 100), one("gfapi", 300)])
    assert row["overlap"] is None


def test_jobs_and_depths_are_apart_in_their_order() -> None:
    found = compared(
        [
            one(way, 10, depth=depth, title=title)
            for title in ("b", "a")
            for depth in (16, 1)
            for way in ("gfapi", "fuse")
        ]
    )
    assert [(row["title"], row["depth"]) for row in found] == [("b", 16), ("b", 1), ("a", 16), ("a", 1)]


def test_what_one_way_alone_did_is_no_comparison() -> None:
    assert compared([one("gfapi", 10)]) == []
    assert json.dumps(compared([])) == "[]"
