# SPDX-License-Identifier: GPL-3.0-or-later
"""`playbooks/benchmark.yml` on a lab, as AWX runs it, and its page in a browser."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from ansible_collections.gfapi.virt.tests.runner import job
from ansible_collections.gfapi.virt.tests.runner.conftest import View
from ansible_collections.gfapi.virt.tests.runner.test_site import inventory_in

#: what molecule/default made
STORAGE_DOMAIN = "vms"
JOBS = 8


class Made(t.NamedTuple):
    """A run of the playbook: its pages, and the job's artifact."""

    html: Path
    markdown: Path
    told: dict[str, t.Any]
    summary: dict[str, t.Any]


def images(folder: Path, inventory: Path) -> list[str]:
    """What is on the storage domain, by the host's own tools."""
    command = "ls -d /rhev/data-center/mnt/glusterSD/*:_vmstore/*/images/*"
    return job.run_shell(folder, inventory, "hypervisors", command).splitlines()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A check, which writes nothing, and a short run, after which the images are those of before."""
    inventory, folder = inventory_in("GFAPI_LAB_INVENTORY"), tmp_path_factory.mktemp("benchmark")
    html, markdown, told = (folder / f"page.{kind}" for kind in ("html", "md", "json"))
    answers = job.survey(
        {
            "benchmark_storage_domain": STORAGE_DOMAIN,
            "benchmark_size": "16MiB",
            "benchmark_seconds": 1,
            "benchmark_rounds": 1,
            "benchmark_html": str(html),
            "benchmark_markdown": str(markdown),
            "benchmark_json": str(told),
        },
        playbook="benchmark",
    )
    before = images(folder / "before", inventory)
    assert before
    check = job.run(folder / "check", inventory, answers, check=True, playbook="benchmark")
    assert check.status == "successful", check.output
    assert check.summary["measurements"] == 2 * JOBS
    assert not html.exists()
    done = job.run(folder / "job", inventory, answers, check=False, playbook="benchmark")
    assert done.status == "successful", done.output
    assert images(folder / "after", inventory) == before
    return Made(html, markdown, json.loads(told.read_text(encoding="utf-8")), done.summary)


def test_both_ways_are_compared(made: Made) -> None:
    rows = made.told["rows"]
    assert made.summary["benchmark"] == made.told
    assert len(rows) == JOBS
    assert len({(row["title"], row["depth"]) for row in rows}) == JOBS
    for row in rows:
        for way in ("fuse", "gfapi"):
            value = row[way]
            # what one operation moves says whether fio did what was asked
            assert value["bytes_per_second"]["median"] == pytest.approx(
                value["operations_per_second"]["median"] * row["block_bytes"], rel=0.01
            )
    assert made.told["versions"]["fio"]
    text = made.markdown.read_text(encoding="utf-8")
    assert text.count("\n| 4 KiB random reads | ") == 2
    assert all(f"- {line}" in text.splitlines() for line in made.told["how"])


def test_page_can_be_read_and_asks_nobody_for_anything(view: View, made: Made) -> None:
    view.open(made.html)
    view.require_readable()
    view.require_alone(made.html)
    bars = view.driver.find_elements(By.CSS_SELECTOR, "svg rect")
    assert len(bars) == 2 * JOBS
    assert all(drawn.size["width"] > 0 for drawn in bars)
    assert len(view.driver.find_elements(By.CSS_SELECTOR, "#measured tbody tr")) == JOBS


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("benchmark_storage_domain", "", "benchmark_storage_domain () has to name"),
        ("benchmark_seconds", "0", "benchmark_seconds (0)"),
        ("benchmark_rounds", "many", "benchmark_rounds (many)"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, name: str, value: str, words: str) -> None:
    answers = job.survey({"benchmark_storage_domain": STORAGE_DOMAIN, name: value}, playbook="benchmark")
    refused = job.run(tmp_path, inventory_in("GFAPI_LAB_INVENTORY"), answers, check=False, playbook="benchmark")
    assert refused.status == "failed"
    assert len(refused.failures) == 1
    assert words in refused.failures[0]
