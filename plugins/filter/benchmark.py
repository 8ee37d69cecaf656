# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter: what fio measured on both ways to one image → how they compare. It runs on the controller."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.gfapi.virt.plugins.module_utils import _benchmark

#: of a task's loop item
KEYS: t.Final = (*_benchmark.JOB, "way")


def benchmark(results: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """One row for each job and depth, of the results of a task that ran fio in a loop."""
    measurements = []
    for result in results:
        item = result["item"]
        missing = [key for key in KEYS if key not in item]
        if missing:
            raise AnsibleFilterError(f"benchmark: an item has no {', '.join(missing)}")
        if item["way"] not in _benchmark.WAYS:
            raise AnsibleFilterError(f"benchmark: way {item['way']!r} is none of {', '.join(_benchmark.WAYS)}")
        try:
            values = _benchmark.measured(result["stdout"])
        except ValueError as exc:
            raise AnsibleFilterError(
                f"benchmark: {item['title']}, depth {item['depth']}, {item['way']}: {exc}"
            ) from exc
        measurements.append({**{key: item[key] for key in KEYS}, **values})
    return _benchmark.compared(measurements)


class FilterModule:
    """Ansible finds the filter by this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"benchmark": benchmark}
