# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A benchmark: what fio measured on both ways to one image → how they compare. Pure: no I/O."""

from __future__ import annotations

import math
import statistics
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _json

Result = dict[str, t.Any]

#: the ways to an image: through the mount, and past it
WAYS: t.Final = ("fuse", "gfapi")
#: what tells one job from another
JOB: t.Final = ("title", "rw", "block_bytes", "depth")
#: what is told of each measurement
VALUES: t.Final = ("operations_per_second", "bytes_per_second", "latency_us", "latency_99_us")


def measured(text: str) -> Result:
    """The output of `fio --output-format=json`, for one job → `VALUES`, of its reads or its writes.

    Latency is the mean from submission to completion, and the 99th percentile of what comes after the submission, of
    which alone fio has any. Raises `ValueError` for other text, for a job that failed, which fio may tell by its output
    alone, and for one that did nothing.
    """
    # what fio has to say of errors stands before its JSON
    said, brace, rest = text.partition("{")
    try:
        job = _json.rows(_json.table(_json.parse(brace + rest)).get("jobs"))[0]
    except (ValueError, IndexError):
        raise ValueError(f"fio gave no result: {_shown(text)}") from None
    if job.get("error") != 0:
        raise ValueError(f"fio failed: {_shown(said) or job.get('error')}")
    done = [side for side in (_json.table(job.get(name)) for name in ("read", "write")) if side.get("total_ios")]
    if not done:
        raise ValueError("fio did nothing in the time that it had; give it more")
    latency = _json.table(done[0].get("clat_ns"))
    percentiles = _json.table(latency.get("percentile"))
    numbers = (
        _number(done[0].get("iops")),
        _number(done[0].get("bw_bytes")),
        _number(_json.table(done[0].get("lat_ns")).get("mean")) / 1000,
        _number(percentiles.get("99.000000")) / 1000,
    )
    return dict(zip(VALUES, numbers))


def compared(measurements: t.Sequence[t.Mapping[str, t.Any]]) -> list[Result]:
    """`{title, rw, block_bytes, depth, way, **VALUES}` of every round → one row for each job and depth.

    A row has for each way the values as `{median, least, most}`, how many times as many operations gfapi did (`times`,
    medians), and whether the rounds of the two overlap (`overlap`, `None` where there was one round alone).
    """
    jobs: dict[tuple[t.Any, ...], dict[str, list[t.Mapping[str, t.Any]]]] = {}
    for one in measurements:
        jobs.setdefault(tuple(one[key] for key in JOB), {way: [] for way in WAYS})[one["way"]].append(one)
    return [_row(dict(zip(JOB, key)), ways) for key, ways in jobs.items() if all(ways.values())]


def _row(job: Result, ways: t.Mapping[str, list[t.Mapping[str, t.Any]]]) -> Result:
    told = {way: {name: _spread([one[name] for one in rounds]) for name in VALUES} for way, rounds in ways.items()}
    fuse, gfapi = (told[way]["operations_per_second"] for way in WAYS)
    times = gfapi["median"] / fuse["median"]
    several = all(len(rounds) > 1 for rounds in ways.values())
    overlap = fuse["least"] <= gfapi["most"] and gfapi["least"] <= fuse["most"] if several else None
    text = (
        f"{job['title']}, depth {job['depth']}: {gfapi['median']:.0f} operations a second through gfapi,"
        f" {fuse['median']:.0f} through FUSE, {times:.2f} times as many"
    )
    if overlap:
        text += " (their rounds overlap)"
    return {**job, **told, "times": times, "overlap": overlap, "text": text}


def _spread(values: t.Sequence[float]) -> Result:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def _number(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        return float(value)
    raise ValueError(f"fio gave no result: {value!r} is no number above 0")


def _shown(text: str) -> str:
    return " ".join(text.split())[:300]
