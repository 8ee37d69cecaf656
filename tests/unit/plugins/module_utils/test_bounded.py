# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import select
import signal
import typing as t

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._bounded import Beat, Readers
from ansible_collections.gfapi.virt.plugins.module_utils._errors import HungError, StorageError


def test_each_mount_is_read_by_a_process_of_its_own() -> None:
    got = Readers(["/a", "/b"], lambda point, _beat: (point, os.getpid())).results()
    assert [t.cast("t.Any", got[point])[0] for point in ("/a", "/b")] == ["/a", "/b"]
    assert len({os.getpid(), *(t.cast("t.Any", value)[1] for value in got.values())}) == 3


def test_a_large_result_arrives_whole() -> None:
    assert Readers(["/a"], lambda _point, _beat: b"x" * (5 << 20)).results() == {"/a": b"x" * (5 << 20)}


@pytest.mark.parametrize("error", [StorageError("cannot read"), ValueError("cannot read")])
def test_a_failure_arrives_as_one(error: Exception) -> None:
    def fail(_point: str, _beat: Beat) -> t.NoReturn:
        raise error

    (got,) = Readers(["/a"], fail).results().values()
    assert isinstance(got, StorageError) and str(got) == "cannot read"


def test_one_that_is_silent_is_given_up_and_holds_up_no_other() -> None:
    def read(point: str, beat: Beat) -> str:
        beat()
        if point == "/hung":
            signal.pause()
        return point

    got = Readers(["/hung", "/well"], read, silence_s=0.2).results()
    assert got["/well"] == "/well"
    assert str(got["/hung"]) == ("mount /hung has stopped answering for 0.2 s; are the servers of its volume up?")


def test_one_that_is_slow_and_not_silent_is_waited_for() -> None:
    def read(point: str, beat: Beat) -> str:
        for _step in range(20):
            select.select([], [], [], 0.1)
            beat()
        return point

    assert Readers(["/slow"], read, silence_s=1.5).results() == {"/slow": "/slow"}


def test_a_reader_that_ends_without_a_word_is_an_error() -> None:
    (got,) = Readers(["/a"], lambda _point, _beat: os.kill(os.getpid(), signal.SIGKILL)).results().values()
    assert isinstance(got, StorageError) and not isinstance(got, HungError)
    assert str(got) == "the process that reads mount /a has ended without a result"


def test_a_reader_lets_go_of_the_output(capfd: pytest.CaptureFixture[str]) -> None:
    Readers(["/a"], lambda _point, _beat: os.write(1, b"loud")).results()
    assert capfd.readouterr().out == ""
