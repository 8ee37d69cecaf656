# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab of the faults. GFAPI_LAB names another one of the cluster's shape, on which the cluster's converge.yml ran.

--turns N: each fault so often; --rounds N: so many races; --write: docs/reliability.json keeps what was measured, and
docs/reliability.md is made of it; --add: with what is kept there.
"""

from __future__ import annotations

import os
import typing as t

import page
import pytest
from hosts import Lab
from scene import Scene

LAB = Lab(os.environ.get("GFAPI_LAB", "faults"))
Record = t.Callable[[page.Outcome], None]
RESULTS = pytest.StashKey[page.Results]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rounds", type=int, default=1, help="how many rounds of races")
    parser.addoption("--turns", type=int, default=1, help="how often each fault strikes")
    parser.addoption("--add", action="store_true", help="to what docs/reliability.json has")
    parser.addoption("--write", action="store_true", help="write docs/reliability.md")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = page.Results.kept() if config.getoption("add") else page.Results()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in ("turn", "round_number"):
        if name in metafunc.fixturenames:
            count = metafunc.config.getoption("turns" if name == "turn" else "rounds")
            metafunc.parametrize(name, range(1, count + 1))


@pytest.fixture(scope="session")
def scene() -> t.Iterator[Scene]:
    scene = Scene(LAB)
    scene.set_up()
    yield scene
    scene.tear_down()


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    return request.config.stash[RESULTS].outcomes.append


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> t.Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and item.name.startswith("test_races"):
        item.config.stash[RESULTS].races.append(report.passed)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    results = session.config.stash[RESULTS]
    add, write = session.config.getoption("add"), session.config.getoption("write")
    if add or write:
        results.keep()
    if write and results.outcomes:
        made = page.made_today(results, LAB.group("gluster_nodes")[0], LAB.group("hypervisors")[0])
        made.keep()
        page.PAGE.write_text(page.text(made), encoding="utf-8")
