# SPDX-License-Identifier: GPL-3.0-or-later
"""A browser that looks at the pages of playbooks: of a desk and a phone, light and dark."""

from __future__ import annotations

import json
import os
import shutil
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium import webdriver

#: pixels: of a phone, of a desk
WIDTHS = (375, 1280)
SCHEMES = ("light", "dark")
#: what WCAG 2.1 asks of small text (AA)
CONTRAST = 4.5
#: the least contrast of any text with what is behind it, and that text
LEAST_CONTRAST = """
const linear = (part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
const light = (color) => {
  const [r, g, b] = color.match(/[\\d.]+/g).map((part) => linear(part / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  const color = getComputedStyle(element).backgroundColor;
  return color === "rgba(0, 0, 0, 0)" && element.parentElement ? behind(element.parentElement) : color;
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
  if (!text || !element.checkVisibility() || element.closest("script, option")) continue;
  const [one, other] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
  found.push([(one + 0.05) / (other + 0.05), text]);
}
return found.sort((a, b) => a[0] - b[0])[0];
"""


@dataclass(frozen=True)
class View:
    """A browser of some width and scheme."""

    driver: webdriver.Chrome
    width: int
    scheme: str

    def open(self, page: Path) -> None:
        self.driver.get(page.as_uri())
        found = self.driver.execute_script(
            "return [innerWidth, matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light']"
        )
        assert found == [self.width, self.scheme]

    def require_readable(self) -> None:
        """Nothing is wider than the window, and all text stands out."""
        assert self.driver.execute_script("return document.documentElement.scrollWidth") <= self.width
        contrast, text = self.driver.execute_script(LEAST_CONTRAST)
        assert contrast >= CONTRAST, text

    def require_alone(self, page: Path) -> None:
        """Since the page was opened, nobody else was asked for anything, and nothing was complained of."""
        told = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = {one["params"]["request"]["url"] for one in told if one["method"] == "Network.requestWillBeSent"}
        assert page.as_uri() in asked
        assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}
        assert self.driver.get_log("browser") == []


@pytest.fixture(scope="session")
def chromium() -> t.Iterator[webdriver.Chrome]:
    driver = shutil.which("chromedriver")
    if driver is None:
        said = "there is no chromedriver (apt: chromium-driver): no browser has looked at the playbooks' pages"
        pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)
    options = webdriver.ChromeOptions()
    for word in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as found:
        yield found


@pytest.fixture(
    params=[(width, scheme) for width in WIDTHS for scheme in SCHEMES], ids=lambda pair: "{}-{}".format(*pair)
)
def view(request: pytest.FixtureRequest, chromium: webdriver.Chrome) -> View:
    width, scheme = request.param
    chromium.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    chromium.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    chromium.get("about:blank")
    for log in ("performance", "browser"):
        chromium.get_log(log)
    return View(chromium, width, scheme)
