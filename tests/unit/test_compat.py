# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the pages say was tried is what `make compat` found."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SANE = """\
ansible-test with Python: 3.9 3.12 (not on this machine, or not usable: 3.11)
WARNING: Skipping sanity test "compile" on Python 3.10 because it could not be found.
Running sanity test "import" on Python 2.7
Running sanity test "import" on Python 3.9
WARNING: Location 'file:///srv/simple/lxml/' is ignored: it is neither a file nor a directory.
Running sanity test "import" on Python 3.12
WARNING: Reviewing previous 1 warning(s):
WARNING: Skipping sanity test "compile" on Python 3.10 because it could not be found.
"""


@pytest.fixture(scope="module")
def compat() -> t.Any:
    loader = importlib.machinery.SourceFileLoader("compat", str(ROOT / "scripts/compat"))
    spec = importlib.util.spec_from_loader("compat", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_pages_say_what_was_found(compat: t.Any) -> None:
    places = []
    for page in compat.PAGES:
        text = page.read_text(encoding="utf-8")
        assert compat.with_tables(text, compat.results()) == text, f"{page.name}: run scripts/compat tables"
        places += [name for _begin, name, _end in compat.PLACE.findall(text)]
    assert sorted(places) == ["controllers", "hosts", "hosts"]


def test_the_versions_are_those_that_the_collection_takes(compat: t.Any) -> None:
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())
    assert runtime["requires_ansible"] == f">={compat.MINORS[0]}.0"
    said = f"[ansible-core {compat.MINORS[0]} to {compat.MINORS[-1]}](docs/compatibility.md)"
    assert said in (ROOT / "README.md").read_text()
    assert set(compat.results()["controllers"]) <= set(compat.MINORS)


def test_a_failure_is_written_too(compat: t.Any) -> None:
    unit = {"3.12": {"passed": 7, "skipped": 0, "ok": False}}
    told: dict[str, t.Any] = {"version": "2.16.19", "date": "2026-11-26", "unit": unit}
    table = compat.controllers_table({"controllers": {"2.16": told}})
    assert "| 2.21 | not tried | not tried | not tried |  |" in table
    assert "| 2.16.19 | **Python 3.12: fail** | not tried | not tried | 2026-11-26 |" in table
    told["unit"]["3.12"]["ok"] = True
    told["sanity"], told["syntax"] = {"pythons": ["3.9"], "ok": False}, {"playbooks": 12, "ok": False}
    table = compat.controllers_table({"controllers": {"2.16": told}})
    assert "| 2.16.19 | Python 3.12: 7 pass | **fails** | **fails** | 2026-11-26 |" in table
    versions = {"glusterfs": "11.1", "qemu": "10.0.13", "libvirt": "11.3.0"}
    host: dict[str, t.Any] = {"distribution": "Debian 13.8", "python": "3.13.5", "versions": versions, "ok": False}
    for tests, words in (
        ({"passed": 7, "failed": 2}, "**fails, 2 of 9 tests**"),
        ({"passed": 0, "failed": 0}, "**fails before its tests**"),
    ):
        assert "| Debian 12 |  |  |  |  | not tried |  |\n| Debian 13 |  |  |  |  | not tried |  |" in (
            compat.hosts_table({"hosts": {}})
        )
        table = compat.hosts_table({"hosts": {"trixie": {**host, "tests": tests, "date": "2026-11-26"}}})
        assert f"| Debian 13.8 | 11.1 | 10.0.13 | 11.3.0 | 3.13.5 | {words} | 2026-11-26 |" in table


@pytest.mark.parametrize(
    ("said", "ok"),
    [
        (SANE, True),
        (SANE + 'WARNING: Skipping sanity test "pylint" on unsupported Python 3.9.\n', False),
        ("[WARNING]: something\n" + SANE, False),
        ("[DEPRECATION WARNING]: something\n" + SANE, False),
        ("", False),
    ],
)
def test_sanity_is_without_a_warning(compat: t.Any, monkeypatch: pytest.MonkeyPatch, said: str, ok: bool) -> None:
    monkeypatch.setattr(compat, "run", lambda *_command, **_variables: (0, said))
    told = compat.sanity(Path("venv"), "2.16")
    assert told == {"pythons": ["3.9", "3.12"] if said else [], "ok": ok}


def test_sanity_that_ends_badly_is_a_failure(compat: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "run", lambda *_command, **_variables: (1, SANE))
    assert not compat.sanity(Path("venv"), "2.16")["ok"]


def test_tests_of_a_scenario_are_counted_with_those_that_could_not_be_run(compat: t.Any) -> None:
    summary = "============ 1 failed, 166 passed, 2 errors in 2412.55s (0:40:12) ============"
    said = f"plays =====\n{summary}\nCRITICAL Ansible return code was 1\n"
    assert compat.tests(said) == {"passed": 166, "failed": 3}
    assert compat.tests("fatal: [gfapi-lab-default-1]: FAILED!\n") == {"passed": 0, "failed": 0}


def test_tests_are_counted_in_what_pytest_says_last(compat: t.Any) -> None:
    said = "tests/unit/test_x.py: 3 passed\n= 1 failed, 3414 passed, 2 skipped in 96.31s =\n"
    assert [compat.count(word, said) for word in ("failed", "passed", "skipped", "error")] == [1, 3414, 2, 0]


@pytest.mark.parametrize(
    ("status", "said", "ok"),
    [
        (0, "===== 173 passed in 9.01s =====\n", True),
        (1, "===== 173 passed in 9.01s =====\n", False),
        (0, "  │ ===== 173 passed in 9.01s =====\n", False),
    ],
)
def test_a_scenario_of_which_no_test_was_seen_to_pass_does_not_pass(
    compat: t.Any, monkeypatch: pytest.MonkeyPatch, status: int, said: str, ok: bool
) -> None:
    facts = {
        "ansible_distribution": "Debian",
        "ansible_distribution_version": "12.15",
        "ansible_distribution_release": "bookworm",
        "ansible_python_version": "3.11.2",
    }
    given: dict[str, str] = {}

    def run(*_command: t.Any, **variables: str) -> tuple[int, str]:
        given.update(variables)
        return status, said

    monkeypatch.setattr(compat, "run", run)
    monkeypatch.setattr(compat, "ask", lambda *_asked: {"ansible_facts": facts, "host": {"versions": {}}})
    assert compat.host("bookworm", verify=True)["ok"] == ok
    assert given["MOLECULE_COMMAND_BORDERS"] == "false"
