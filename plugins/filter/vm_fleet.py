# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter: what the role vm_gfapi was given → what its modules are given. It runs on the controller."""

from __future__ import annotations

import typing as t

import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.gfapi.virt.plugins.module_utils import _fleet

KINDS: t.Final[dict[type, str]] = {list: "list of dictionaries", dict: "dictionary"}


def _data(value: t.Any, kind: type, name: str) -> t.Any:
    """The value as data; JSON and YAML text are what a survey can give. Shows nothing of it, secrets may be in it."""
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError as exc:
            mark = getattr(exc, "problem_mark", None)
            where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            raise ValueError(
                f"{name} is neither JSON nor YAML: {getattr(exc, 'problem', 'unreadable')}{where}"
            ) from None
    if value in (None, ""):
        return kind()
    if not isinstance(value, kind):
        raise ValueError(f"{name} is no {KINDS[kind]}")
    return value


def vm_fleet(
    vms: t.Any, disks: t.Any = None, vm_defaults: t.Any = None, disk_defaults: t.Any = None
) -> dict[str, list[t.Any]]:
    """VMs and disks, each with its defaults, apart for the modules."""
    try:
        return _fleet.fleet(
            _data(vms, list, "vm_gfapi_vms"),
            _data(disks, list, "vm_gfapi_disks"),
            _data(vm_defaults, dict, "vm_gfapi_vm_defaults"),
            _data(disk_defaults, dict, "vm_gfapi_disk_defaults"),
        )
    except ValueError as exc:
        raise AnsibleFilterError(str(exc)) from None


class FilterModule:
    """Ansible finds the filter by this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"vm_fleet": vm_fleet}
