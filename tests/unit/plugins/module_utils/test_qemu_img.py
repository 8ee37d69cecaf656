# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _qemu_img
from ansible_collections.gfapi.virt.plugins.module_utils._command import Completed
from ansible_collections.gfapi.virt.plugins.module_utils._errors import CommandError
from ansible_collections.gfapi.virt.plugins.module_utils._image import Source
from ansible_collections.gfapi.virt.plugins.module_utils._qemu_img import Backing, QemuImg

#: qemu-img 7.2.22: `qemu-img create -q -f qcow2 x 1G; qemu-img info --output=json -U -f qcow2 x`


class Recorded:
    def __init__(self, answer: Completed | CommandError) -> None:
        self.answer = answer
        self.calls: list[tuple[list[str], float]] = []

    def __call__(
        self,
        argv: t.Sequence[str],
        *,
        timeout_s: float = 60,
        watch: t.Callable[[str], None] | None = None,
        quiet: bool = False,
    ) -> Completed:
        self.calls.append((list(argv), timeout_s))
        if isinstance(self.answer, CommandError):
            raise self.answer
        return self.answer


def test_create_preallocated() -> None:
    run = Recorded(Completed(0, "", ""))
    QemuImg(run).create_preallocated_qcow2("/x", 4096, "1.1")
    ((argv, timeout_s),) = run.calls
    options = "compat=1.1,preallocation=falloc"
    assert argv == ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-o", options, "/x", "4096"]
    assert timeout_s > 60


@pytest.mark.parametrize(("status", "is_whole"), [(0, True), (3, True), (1, False), (2, False), (-9, False)])
def test_an_image_is_whole_when_qemu_img_finds_no_more_than_leaks(status: int, is_whole: bool) -> None:
    run = Recorded(Completed(status, '{"leaks": 1}', ""))
    assert QemuImg(run).is_whole("/x", "vmdk") is is_whole
    assert run.calls[0][0] == ["qemu-img", "check", "--output=json", "-f", "vmdk", "/x"]


def test_one_empty_image_serves_all_of_its_size_and_compatibility() -> None:
    made: list[str] = []

    def run(argv: t.Sequence[str], **_limits: t.Any) -> Completed:
        path = Path(argv[-2])
        assert (argv[:-3], path.stat().st_size) == (["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-o"], 0)
        # in memory, so that a killed run leaves no file
        assert path.readlink().match("memfd:empty.qcow2*")
        path.write_text(" ".join(argv[-3::2]), encoding="ascii")
        made.append(argv[-2])
        return Completed(0, "", "")

    qemu_img = QemuImg(run)
    asked = [(4096, "1.1"), (8192, "1.1"), (4096, "1.1"), (4096, "0.10")]
    assert [qemu_img.empty_qcow2(*one) for one in asked] == [b"compat=%s %d" % (c.encode(), s) for s, c in asked]
    assert len(made) == 3
    on_top = qemu_img.empty_qcow2(4096, "1.1", Backing("base", "raw"))
    assert on_top == b"compat=1.1,backing_file=base,backing_fmt=raw 4096"
    assert qemu_img.empty_qcow2(4096, "1.1") == b"compat=1.1 4096"
    assert len(made) == 4
    assert not any(Path(path).exists() for path in made)


@pytest.mark.parametrize(("preallocated", "words"), [(False, []), (True, ["--preallocation=falloc"])])
def test_resize(preallocated: bool, words: list[str]) -> None:
    run = Recorded(Completed(0, "", ""))
    QemuImg(run).resize_qcow2("/x", 4096, preallocated=preallocated)
    assert run.calls[0][0] == ["qemu-img", "resize", "-q", *words, "-f", "qcow2", "/x", "4096"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            Completed(1, "", "qemu-img: /x: Could not resize: No space left on device\n"),
            "^qemu-img: Could not resize: No space left on device$",
        ),
        (Completed(-9, "", ""), "status -9"),
        (CommandError("cannot run qemu-img: No such file or directory; install it"), "cannot run qemu-img"),
    ],
)
def test_failures_keep_the_words_of_the_tool(answer: Completed | CommandError, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        QemuImg(Recorded(answer)).create_preallocated_qcow2("/x", 4096, "1.1")


def test_a_copy_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(_qemu_img, "_tell_journal", told.append)

    def run(argv: t.Sequence[str], *, timeout_s: float, watch: t.Callable[[str], None]) -> Completed:
        assert argv[-2:] == ["/from", "/to"]
        # as qemu-img 7.2 writes it, in pieces that end anywhere
        pieces = ("    (0.00/100%)\r    (1.01/100%)\r    (12.5", "0/100%)\r    (29.99/100%)\r", "    (100.00/100%)\r\n")
        for piece in pieces:
            watch(piece)
        return Completed(0, "", "")

    QemuImg(run).convert(Source("/from", "raw", 1 << 40), "/to", "qcow2", "", doing="fill disk web")
    assert told == ["fill disk web: 20 %", "fill disk web: 100 %"]


def test_a_layer_is_written_into_the_one_below_and_kept() -> None:
    run = Recorded(Completed(0, "", ""))
    QemuImg(run).commit("/x", 1 << 40)
    QemuImg(run).name_backing("/y", Backing("x", "raw"))
    (commit, timeout_s), (rebase, _limit) = run.calls
    assert commit == ["qemu-img", "commit", "-q", "-d", "-f", "qcow2", "/x"]
    assert timeout_s > 1 << 20
    assert rebase == ["qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-b", "x", "-F", "raw", "/y"]


@pytest.mark.parametrize("text", ["{}", "[]", '{"required": Infinity}', '{"required": "1"}'])
def test_a_copy_of_no_size_is_an_error(text: str) -> None:
    qemu_img = QemuImg(lambda *_args, **_options: Completed(0, text, ""))
    with pytest.raises(CommandError, match="qemu-img does not tell what a copy of /a takes"):
        qemu_img.required_bytes(Source("/a", "raw", 1), "qcow2")
