# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter: what the info modules told on each host → one report of all of them. It runs on the controller."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.gfapi.virt.plugins.module_utils import _report


def report(told: t.Mapping[str, t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """Volumes, storage domains, images, VMs, hosts and findings."""
    for host, results in told.items():
        unknown = set(results) - set(_report.ASKED)
        if unknown:
            raise AnsibleFilterError(f"{host}: {', '.join(sorted(unknown))} is none of {', '.join(_report.ASKED)}")
    return _report.report(told)


class FilterModule:
    """Ansible finds the filter by this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"report": report}
