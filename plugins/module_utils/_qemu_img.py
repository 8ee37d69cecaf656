# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: qemu-img, on files of this host and its mounts only.

Never on a `gluster://` URI: closing a volume through libgfapi takes qemu-img 10 s (glusterfs #1962, wontfix).
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _command, _errors, _json

if t.TYPE_CHECKING:
    from ansible_collections.gfapi.virt.plugins.module_utils import _image

TIMEOUT_S: t.Final = 60
#: reserving the space of a large image takes as long as the bricks need
RESERVE_TIMEOUT_S: t.Final = 3600
#: whose words these are in the journal
JOURNAL: t.Final = "gfapi.virt"
#: a copy that is slower than this has hung
SLOWEST_BYTES_S: t.Final = 1 << 20


class Backing(t.NamedTuple):
    """What an image builds on: the name that its header gives it, seen from its own directory, and the format."""

    name: str
    format: str


class Progress:
    """Tells the journal, in steps of ten, how far something is; called with what qemu-img says of it."""

    def __init__(self, doing: str, tell: t.Callable[[str], None] | None = None) -> None:
        self._doing = doing
        self._told = 0
        self._tell = tell or _tell_journal

    def __call__(self, text: str) -> None:
        for percent in re.findall(r"\(([0-9]+)\.[0-9]+/100%\)", text):
            self.at(int(percent))

    def at(self, percent: int) -> None:
        step = percent // 10 * 10
        if step > self._told:
            self._told = step
            self._tell(f"{self._doing}: {step} %")


def _tell_journal(text: str) -> None:
    # not at the top: most disks are made empty
    import syslog

    syslog.openlog(JOURNAL)
    syslog.syslog(syslog.LOG_INFO, text)


class QemuImg:
    """The qemu-img program of this host. Paths are absolute. Raises `CommandError` with its words."""

    def __init__(self, run_program: _command.Run = _command.run) -> None:
        self._run = run_program
        self._empty: dict[tuple[int, str, Backing | None], bytes] = {}

    def empty_qcow2(self, size_bytes: int, compat: str, backing: Backing | None = None) -> bytes:
        """The bytes of an empty image on top of another or alone; those of one size are all alike.

        Made in memory: the small writes of qemu-img to a replicated mount take it five times as long, and of a file of
        this host a killed run would leave the rest.
        """
        key = (size_bytes, compat, backing)
        if key not in self._empty:
            with os.fdopen(os.memfd_create("empty.qcow2"), "rb") as file:
                options = f"compat={compat}"
                if backing:
                    options += f",backing_file={backing.name},backing_fmt={backing.format}"
                self._create_qcow2(f"/proc/{os.getpid()}/fd/{file.fileno()}", size_bytes, options)
                self._empty[key] = file.read()
        return self._empty[key]

    def commit(self, path: str, size_bytes: int) -> None:
        """Write what an image holds into the one that it builds on, which is grown to its size. It stays as it is."""
        timeout_s = RESERVE_TIMEOUT_S + size_bytes // SLOWEST_BYTES_S
        self._call(path, "commit", "-q", "-d", "-f", "qcow2", path, timeout_s=timeout_s)

    def name_backing(self, path: str, backing: Backing) -> None:
        """Have an image build on another one that holds the same data: only its header changes."""
        self._call(path, "rebase", "-q", "-u", "-f", "qcow2", "-b", backing.name, "-F", backing.format, path)

    def create_preallocated_qcow2(self, path: str, size_bytes: int, compat: str) -> None:
        """Format an empty file as qcow2 that takes its whole size. Empties what is there: pass a new file."""
        options = f"compat={compat},preallocation=falloc"
        self._create_qcow2(path, size_bytes, options, timeout_s=RESERVE_TIMEOUT_S)

    def _create_qcow2(self, path: str, size_bytes: int, options: str, *, timeout_s: float = TIMEOUT_S) -> None:
        # -u: the backing file lies elsewhere, or there is none
        words = ("create", "-q", "-u", "-f", "qcow2", "-o", options, path, str(size_bytes))
        self._call(path, *words, timeout_s=timeout_s)

    def info(self, path: str, image_format: str) -> str:
        """What `info` says of an image, as JSON. Opens what the image names besides, so look at its header first."""
        return self._call(path, "info", "--output=json", "-f", image_format, path)

    def is_whole(self, path: str, image_format: str) -> bool:
        """Whether an image has all the blocks that its tables name; a copy of one cut short reads them as zero."""
        words = ("qemu-img", "check", "--output=json", "-f", image_format, path)
        done = self._run(words, timeout_s=RESERVE_TIMEOUT_S, quiet=True)
        # 3 is of blocks that nothing names, which do no harm
        return done.returncode in (0, 3)

    def required_bytes(self, source: _image.Source, image_format: str) -> int:
        """How much space a copy of an image takes in another format."""
        words = ("measure", "--output=json", "-f", source.format, "-O", image_format, source.path)
        found = _json.table(_json.parse(self._call(source.path, *words))).get("required")
        if not isinstance(found, int):
            raise _errors.CommandError(f"qemu-img does not tell what a copy of {source.path} takes")
        return found

    def convert(self, source: _image.Source, path: str, image_format: str, options: str, *, doing: str) -> None:
        """Fill a file, which is emptied first, with an image and the chain behind it; the journal tells how far."""
        words = ("-p", "-f", source.format, "-O", image_format, *(["-o", options] if options else []))
        timeout_s = RESERVE_TIMEOUT_S + source.virtual_size_bytes // SLOWEST_BYTES_S
        self._call(path, "convert", *words, source.path, path, timeout_s=timeout_s, watch=Progress(doing))

    def resize_qcow2(self, path: str, size_bytes: int, *, preallocated: bool) -> None:
        """Grow an image that no QEMU has open."""
        reserve = ["--preallocation=falloc"] if preallocated else []
        timeout_s = RESERVE_TIMEOUT_S if preallocated else TIMEOUT_S
        words = ("resize", "-q", *reserve, "-f", "qcow2", path, str(size_bytes))
        self._call(path, *words, timeout_s=timeout_s)

    def _call(self, path: str, *words: str, timeout_s: float = TIMEOUT_S, watch: _command.Watch | None = None) -> str:
        done = self._run(["qemu-img", *words], timeout_s=timeout_s, watch=watch)
        if done.returncode != 0:
            # the caller names the disk; the path is that of an image in the making
            said = done.words.replace(f"{path}: ", "")
            raise _errors.CommandError(said or f"qemu-img ended with status {done.returncode}")
        return done.stdout
