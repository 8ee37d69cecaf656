# SPDX-License-Identifier: GPL-3.0-or-later
"""`playbooks/report.yml` on a lab, as AWX runs it, and its page in a browser: of a desk and a phone, light and dark."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from ansible_collections.gfapi.virt.tests.runner import job
from ansible_collections.gfapi.virt.tests.runner.conftest import View
from ansible_collections.gfapi.virt.tests.runner.test_site import inventory_in


class Made(t.NamedTuple):
    """A run of the playbook: the page, what it was made of, and the job's artifact."""

    html: Path
    report: dict[str, t.Any]
    summary: dict[str, t.Any]


@pytest.fixture(
    scope="module", params=["GFAPI_LAB_INVENTORY", pytest.param("GFAPI_CLUSTER_INVENTORY", marks=pytest.mark.cluster)]
)
def inventory(request: pytest.FixtureRequest) -> Path:
    return inventory_in(request.param)


@pytest.fixture(scope="module")
def made(inventory: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """With a storage node and a hypervisor that are not there."""
    folder = tmp_path_factory.mktemp("report")
    both = folder / "inventory"
    both.mkdir()
    (both / "lab.yml").symlink_to(inventory)
    gone = "gone ansible_host=127.0.0.1 ansible_port=1\n"
    (both / "zz-gone.ini").write_text(f"[gluster_nodes]\n{gone}[hypervisors]\n{gone}")
    answers = {
        "report_html": str(folder / "page.html"),
        "report_json": str(folder / "page.json"),
    }
    check = job.run(folder / "check", both, job.survey(answers, playbook="report"), check=True, playbook="report")
    assert check.status == "successful", check.output
    assert not (folder / "page.html").exists()
    done = job.run(folder / "job", both, job.survey(answers, playbook="report"), check=False, playbook="report")
    assert done.status == "successful", done.output
    report = json.loads((folder / "page.json").read_text(encoding="utf-8"))
    return Made(folder / "page.html", report, done.summary)


@pytest.fixture
def page(view: View, made: Made) -> webdriver.Chrome:
    view.open(made.html)
    return view.driver


def rows(page: webdriver.Chrome, section: str) -> list[str]:
    """The first cell of each visible row."""
    found = page.find_elements(By.CSS_SELECTOR, f"#{section} tbody tr")
    return [row.find_element(By.CSS_SELECTOR, "td").text.split("\n")[0] for row in found if row.is_displayed()]


def test_report_tells_of_all_hosts(made: Made) -> None:
    hosts = {host["name"]: host["answers"] for host in made.report["hosts"]}
    assert hosts.pop("gone") is False
    assert hosts
    assert all(hosts.values())
    assert made.summary["findings"] == made.report["findings"]
    codes = [(found["name"], found["code"]) for found in made.report["findings"]]
    assert codes.count(("gone", "unreachable")) == 1
    assert {"volumes", "storage_domains", "images", "vms"} <= {key for key, value in made.report.items() if value}
    known = {image["name"] for image in made.report["images"]}
    assert {disk["image"] for vm in made.report["vms"] for disk in vm["disks"] if disk["image"]} <= known


def test_page_can_be_read_and_asks_nobody_for_anything(view: View, made: Made) -> None:
    view.open(made.html)
    view.require_readable()
    view.require_alone(made.html)


def test_tables_are_put_in_order_and_filtered(page: webdriver.Chrome, made: Made) -> None:
    def sizes() -> list[int]:
        cells = page.find_elements(By.CSS_SELECTOR, "#images tbody td[data-label=Size]")
        return [int(t.cast(str, cell.get_attribute("data-value"))) for cell in cells]

    expected = sorted(image["virtual_size_bytes"] for image in made.report["images"])
    order = Select(page.find_element(By.CSS_SELECTOR, "#images select"))
    for down in (False, True):
        if page.find_element(By.CSS_SELECTOR, "#images thead").is_displayed():
            page.find_elements(By.CSS_SELECTOR, "#images thead button")[2].click()
        else:
            order.select_by_value(f"2 {str(down).lower()}")
        assert sizes() == sorted(expected, reverse=down)

    name = made.report["images"][0]["name"]
    page.find_element(By.CSS_SELECTOR, "#images input").send_keys(name.upper())
    matching = [image["name"] for image in made.report["images"] if name in json.dumps(image)]
    assert sorted(rows(page, "images")) == sorted(matching)
    assert len(rows(page, "hosts")) == len(made.report["hosts"])
