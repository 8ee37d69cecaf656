# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON that others wrote. Pure: no I/O."""

from __future__ import annotations

import json
import typing as t


def parse(text: str) -> t.Any:
    """The value; raises `ValueError` for what is none, and for what is nested too deep to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deep") from None


def table(value: object) -> dict[str, t.Any]:
    """The value, if it is an object; an empty one for all else."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[dict[str, t.Any]]:
    """The objects in a list; none in all else."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
