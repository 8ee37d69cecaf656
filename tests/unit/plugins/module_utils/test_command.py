# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real programs, from a POSIX shell."""

from __future__ import annotations

import gc
import os
import select
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._command import Completed, run
from ansible_collections.gfapi.virt.plugins.module_utils._errors import CommandError


def shell(script: str, *arguments: str, stdin: str = "", timeout_s: float = 60, cwd: str | None = None) -> Completed:
    return run(["sh", "-c", script, "sh", *arguments], stdin=stdin, timeout_s=timeout_s, cwd=cwd)


def test_outcome_is_told_whatever_it_is() -> None:
    assert shell("echo out; echo err >&2; exit 3") == Completed(3, "out\n", "err\n")


def test_end_by_signal_is_a_negative_status() -> None:
    assert shell("kill -TERM $$").returncode == -15


def test_program_reads_its_input() -> None:
    assert shell("cat", stdin="a\nb é\n").stdout == "a\nb é\n"


def test_input_is_empty_unless_given() -> None:
    assert shell("cat; echo end").stdout == "end\n"


def test_program_need_not_read_its_input() -> None:
    assert shell(":", stdin="x" * 1_000_000).returncode == 0


def test_much_output_on_both_streams_is_read() -> None:
    done = shell("yes out | head -c 300000; yes err | head -c 300000 >&2")
    assert (len(done.stdout), len(done.stderr)) == (300000, 300000)


def test_output_that_is_no_text_survives() -> None:
    assert shell(r"printf '\377a'").stdout.encode("utf-8", "surrogateescape") == b"\xffa"


def test_arguments_reach_the_program_unchanged() -> None:
    words = ["a b", "", "$HOME", "*", "'\"", "é", "a\nb"]
    assert shell(r'printf "%s\0" "$@"', *words).stdout.split("\0") == [*words, ""]


def test_program_speaks_the_c_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LANGUAGE", "LANG", "LC_MESSAGES"):
        monkeypatch.setenv(name, "de_DE.UTF-8")
    assert shell('echo "$LC_ALL $LANGUAGE"').stdout == "C C\n"
    assert os.environ["LC_ALL"] == "de_DE.UTF-8"


def test_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GFAPI_TEST", "here")
    assert shell('echo "$GFAPI_TEST"').stdout == "here\n"


def test_program_runs_in_the_folder_given(tmp_path: Path) -> None:
    assert shell("pwd -P", cwd=str(tmp_path)).stdout.strip() == str(tmp_path.resolve())


def test_missing_program_is_named_with_the_mend() -> None:
    with pytest.raises(
        CommandError, match=r"^cannot run gfapi-none: No such file or directory; install it or mend PATH$"
    ):
        run(["gfapi-none", "--version"])


def test_program_that_may_not_be_run_is_named(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n", encoding="ascii")
    with pytest.raises(CommandError, match=r"cannot run .*/program: Permission denied"):
        run([str(program)])


def test_missing_folder_is_not_taken_for_a_missing_program() -> None:
    with pytest.raises(CommandError, match=r"^cannot run sh in /gfapi-none: No such file or directory$"):
        run(["sh"], cwd="/gfapi-none")


@pytest.mark.parametrize(
    ("stdout", "stderr", "words"),
    [
        ("out\n", "err\n", "err"),
        ("out\n", " \n", "out"),
        ("", "", ""),
        ("", "  first\n\n\tsecond \n", "first second"),
    ],
)
def test_words_are_one_line(stdout: str, stderr: str, words: str) -> None:
    assert Completed(1, stdout, stderr).words == words


def test_time_limit_is_named() -> None:
    with pytest.raises(CommandError, match=r"^sleep 20: no answer within 0\.05 s$"):
        run(["sleep", "20"], timeout_s=0.05)


@pytest.mark.parametrize("parent", ["waits", "has ended"])
def test_time_limit_ends_the_program_and_all_that_it_started(tmp_path: Path, parent: str) -> None:
    """A grandchild says that it is there and holds a pipe open; the pipe ends when the last of them has."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = '(echo up >&3; exec sleep 300) 3>"$1" & ' + ("wait" if parent == "waits" else "exit 0")
    # a busy machine may not even have started the grandchild in a short time
    for timeout_s in (0.1, 1, 10):
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with pytest.raises(CommandError, match="no answer within"):
                shell(script, str(fifo), timeout_s=timeout_s)
            heard = b""
            while select.select([reader], [], [], 5)[0]:
                piece = os.read(reader, 100)
                if not piece:
                    break
                heard += piece
            else:
                pytest.fail("the grandchild is still there")
        finally:
            os.close(reader)
        if heard:
            break
    assert heard == b"up\n"


def test_time_limit_leaves_no_open_pipe() -> None:
    """Python warns of files that nobody closed; pytest makes that an error."""
    with pytest.raises(CommandError):
        run(["sleep", "300"], timeout_s=0.01)
    gc.collect()


def test_program_cannot_end_our_own_process_group() -> None:
    assert shell("kill -TERM 0").returncode == -15


def test_what_a_quiet_program_says_of_errors_is_dropped() -> None:
    done = run(["sh", "-c", "echo said; echo error >&2; exit 3"], quiet=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "said\n", "")


def test_output_is_shown_as_it_comes(tmp_path: Path) -> None:
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    seen: list[str] = []

    def watch(text: str) -> None:
        seen.append(text)
        if "first" in text:
            fifo.write_text("go on")

    done = run(["sh", "-c", 'echo first; cat "$1" >&2; echo last', "sh", str(fifo)], timeout_s=20, watch=watch)
    assert (done.stdout, done.stderr, "".join(seen)) == ("", "go on", "first\nlast\n")
