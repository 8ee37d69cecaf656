# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _console
from ansible_collections.gfapi.virt.plugins.module_utils._console import wait_for_line
from ansible_collections.gfapi.virt.plugins.module_utils._errors import LibvirtError


class Guest:
    """Writes to its console while somebody waits; time passes only then."""

    def __init__(self, path: Path, *writes: str) -> None:
        self.path = path
        self.writes = list(writes)
        self.now = 0.0

    def sleep(self, pause_s: float) -> None:
        self.now += pause_s
        if self.writes:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(self.writes.pop(0))


@pytest.fixture
def boots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> t.Callable[..., Guest]:
    def boot(*writes: str) -> Guest:
        guest = Guest(tmp_path / "console.log", *writes)
        monkeypatch.setattr(_console, "time", types.SimpleNamespace(sleep=guest.sleep, monotonic=lambda: guest.now))
        return guest

    return boot


def test_line_that_is_there_is_found_at_once(boots: t.Callable[..., Guest]) -> None:
    guest = boots()
    guest.path.write_bytes(b"boot\r\n\xff GFAPI-GUEST: ready \r\nmore\r\n")
    assert wait_for_line(str(guest.path), r"GFAPI-GUEST: ready$", timeout_s=0).endswith("GFAPI-GUEST: ready")
    assert guest.now == 0


def test_line_is_waited_for(boots: t.Callable[..., Guest]) -> None:
    guest = boots("boot\n", "rea", "dy\n")
    assert wait_for_line(str(guest.path), "ready", timeout_s=60) == "ready"


def test_line_that_does_not_come_is_said_with_the_last_one(boots: t.Callable[..., Guest]) -> None:
    guest = boots("boot\n", "Kernel panic\n")
    words = r"^no line matching 'ready' on the console \(.*\) within 5 s; last was 'Kernel panic'$"
    with pytest.raises(LibvirtError, match=words):
        wait_for_line(str(guest.path), "ready", timeout_s=5)
    assert 5 <= guest.now < 6


def test_console_that_says_nothing(boots: t.Callable[..., Guest]) -> None:
    with pytest.raises(LibvirtError, match="last was nothing"):
        wait_for_line(str(boots().path), "ready", timeout_s=1)


def test_long_log_is_read_from_its_end(boots: t.Callable[..., Guest], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_console, "TAIL_BYTES", 20)
    guest = boots()
    guest.path.write_text("ready long ago\n" + "x" * 50 + "\nready now\n", "utf-8")
    assert wait_for_line(str(guest.path), "ready", timeout_s=0) == "ready now"


def test_log_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LibvirtError, match=r"^cannot read the console log .*: Is a directory$"):
        wait_for_line(str(tmp_path), "ready", timeout_s=0)
