# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of the playbook `report`, as text; a browser looks at it in tests/runner/test_report.py."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from lxml import html

from ansible_collections.gfapi.virt.tests.unit.rendering import render

ROOT = Path(__file__).resolve().parents[2]
TOLD = ROOT / "tests/unit/fixtures/report/told.json"
#: what others may have written where the page shows it
HOSTILE = '<script>alert(1)</script>" onclick="alert(1)" \'&amp;{{ 7 * 7 }}'
Page = t.Callable[[dict[str, t.Any]], t.Any]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    """The page of what hosts told, as a tree."""

    def made(told: dict[str, t.Any]) -> t.Any:
        whole = "{{ told | gfapi.virt.report | combine({'made_at': '2026-11-26T12:00:00Z'}) }}"
        (text,) = render(tmp_path, told, ["report.html"], __report=whole)
        return html.fromstring(text)

    return made


@pytest.fixture
def told() -> dict[str, t.Any]:
    found = t.cast("dict[str, t.Any]", json.loads(TOLD.read_text(encoding="utf-8")))
    # the module that was recorded did not tell it yet
    found["kvm1"]["vms"]["vms"][0]["disks"][0]["device"] = "disk"
    return found


def rows(page: t.Any, section: str) -> list[list[str]]:
    """The texts of a table's cells."""
    found = page.xpath(f"//section[@id='{section}']//tbody/tr")
    return [[" ".join(" ".join(cell.itertext()).split()) for cell in row.xpath("td")] for row in found]


def test_page_tells_what_hosts_told(page: Page, told: dict[str, t.Any]) -> None:
    found = page(told)
    assert [tile.xpath("b")[0].text_content() for tile in found.find_class("tile")] == [
        "1", "1", "3 of 3", "1", "1 of 1", "1 of 1",
    ]  # fmt: skip
    first, second = (
        " ".join(one.text_content().split()) for one in found.xpath("//ul[contains(@class, 'findings')]/li")
    )
    assert first.startswith("problem storage domain vms: mount ")
    assert first.endswith("(kvm1)")
    assert second.startswith(
        "warning virtual machine looper: its QEMU has no connection to gluster1, gluster2 for disk"
    )
    assert rows(found, "volumes")[0][:3] == ["vmstore", "Started", "Replicate 3"]
    assert [row[1] for row in rows(found, "bricks")] == [
        f"gluster{number}:/bricks/small/vmstore" for number in (1, 2, 3)
    ]
    assert rows(found, "storage-domains")[0][2] == "kvm1 hung kvm2 active"
    ((name, host, state, disks),) = rows(found, "vms")
    assert (name.split()[0], host, state, disks) == ("looper", "kvm1", "running", "vda gfapi looper-root")
    images = {row[0].split()[0]: row[1:] for row in rows(found, "images")}
    assert images["looper-root"] == ["vms", "16.0 MiB", "16.0 MiB", "raw", "looper on kvm1 running"]
    assert [row[0] for row in rows(found, "hosts")] == ["gluster1", "gluster2", "gluster3", "kvm1", "kvm2"]


def test_what_others_wrote_is_shown_and_does_nothing(page: Page, told: dict[str, t.Any]) -> None:
    (seen,) = told["kvm2"]["storage_domains"]["storage_domains"]
    seen["images"][0].update(name=HOSTILE, description=HOSTILE)
    seen["problems"] = [{"code": "x", "message": HOSTILE, "mend": HOSTILE}]
    seen["images"][0].update(virtual_size_bytes=HOSTILE, actual_size_bytes=HOSTILE)
    seen.update(free_bytes=HOSTILE, size_bytes=HOSTILE)
    (vm,) = told["kvm1"]["vms"]["vms"]
    vm["name"] = HOSTILE
    found = page(told)
    assert not found.xpath("//@onclick")
    assert len(found.xpath("//script")) == 1
    assert HOSTILE in found.xpath("//section[@id='findings']")[0].text_content()
    assert [row[0].startswith(HOSTILE) for row in rows(found, "vms")] == [True]
    assert f"{HOSTILE} {HOSTILE}" in rows(found, "images")[0][0]


def test_page_of_nothing(page: Page) -> None:
    found = page({})
    assert "nothing was found" in found.text_content()
    assert not found.xpath("//tbody")
