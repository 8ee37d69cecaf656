# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: the file that a domain's serial console is logged to."""

from __future__ import annotations

import re
import time
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _errors

POLL_S: t.Final = 0.2
#: what is looked at, from the end
TAIL_BYTES: t.Final = 1024 * 1024


def wait_for_line(path: str, pattern: str, *, timeout_s: float) -> str:
    """The first line that the pattern matches. Raises `LibvirtError` with the last line seen if none comes in time."""
    line_pattern = re.compile(pattern)
    end = time.monotonic() + timeout_s
    while True:
        lines = _lines(path)
        found = next((line for line in lines if line_pattern.search(line)), None)
        if found is not None:
            return found
        if time.monotonic() > end:
            last = repr(lines[-1]) if lines else "nothing"
            raise _errors.LibvirtError(
                f"no line matching {pattern!r} on the console ({path}) within {timeout_s:g} s; last was {last}"
            )
        time.sleep(POLL_S)  # virtlogd tells nobody of a line


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise _errors.LibvirtError(f"cannot read the console log {path}: {exc.strerror}") from exc
    return [line.strip() for line in text.splitlines() if line.strip()]
