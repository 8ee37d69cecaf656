# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet: VMs and disks with their defaults → what `libvirt_vm` and `gfapi_disk` are given. Pure: no I/O.

No value is ever shown: passwords and cloud-init's texts are among them.
"""

from __future__ import annotations

import typing as t

Entry = t.Mapping[str, t.Any]

#: options of a VM's disk by which gfapi_disk makes it, and those that gfapi_disk and libvirt_vm both have
MADE_BY: t.Final = (
    "size", "preallocation", "source", "source_format", "checksum", "clone_of", "clone_mode", "description",
)  # fmt: skip
SHARED: t.Final = ("name", "storage_domain", "format")
#: stands for the VM's name in the texts of its defaults
NAME: t.Final = "{name}"
#: options whose texts are somebody else's, and may hold braces of their own
VERBATIM: t.Final = ("cloud_init", "graphics")
#: what a host must have for some VMs: when
NEEDS: t.Final[t.Mapping[str, t.Callable[[Entry], bool]]] = {
    "cloud_init": lambda vm: bool(vm.get("cloud_init")),
    "spice": lambda vm: any(isinstance(one, t.Mapping) and one.get("type") == "spice" for one in _displays(vm)),
    "tpm": lambda vm: str(vm.get("tpm") or "none") != "none",
    "uefi": lambda vm: vm.get("firmware") == "uefi",
}


def fleet(
    vms: t.Sequence[Entry], disks: t.Sequence[Entry], vm_defaults: Entry, disk_defaults: Entry
) -> dict[str, list[t.Any]]:
    """`disks` that stand for themselves, `vm_disks` that VMs bring, `vms`, and what these `need` of a host."""
    own = [_merged(disk_defaults, _require_named(disk, "vm_gfapi_disks", at)) for at, disk in enumerate(disks, 1)]
    whole = [_vm(vm_defaults, _require_named(vm, "vm_gfapi_vms", at)) for at, vm in enumerate(vms, 1)]
    there = [vm for vm in whole if vm.get("state") != "absent"]
    return {
        "disks": own,
        "vm_disks": [_made(disk, vm["name"], disk_defaults) for vm in there for disk in _disks(vm) if _is_made(disk)],
        "vms": [_without_making(vm) for vm in whole],
        "needs": [need for need, has in NEEDS.items() if any(has(vm) for vm in there)],
    }


def _require_named(entry: object, where: str, at: int) -> Entry:
    if not isinstance(entry, t.Mapping) or not entry.get("name"):
        raise ValueError(f"{where}: entry {at} has no name; write each as {{name: ..., further options}}")
    return entry


def _merged(defaults: Entry, entry: Entry) -> dict[str, t.Any]:
    """Option by option; one that is null is as if it were not there, the default of that name too."""
    return {key: value for key, value in {**defaults, **entry}.items() if value is not None}


def _vm(defaults: Entry, entry: Entry) -> dict[str, t.Any]:
    name = str(entry["name"])
    named = {key: value if key in VERBATIM else _named(value, name) for key, value in defaults.items()}
    return _merged(named, entry)


def _named(value: t.Any, name: str) -> t.Any:
    if isinstance(value, str):
        return value.replace(NAME, name)
    if isinstance(value, t.Mapping):
        return {key: _named(one, name) for key, one in value.items()}
    return [_named(one, name) for one in value] if isinstance(value, list) else value


def _disks(vm: Entry) -> list[Entry]:
    disks = vm.get("disks") or []
    if not isinstance(disks, list) or not all(isinstance(disk, t.Mapping) for disk in disks):
        raise ValueError(f"vm {vm['name']}: its disks are no list of dictionaries; write each as {{name: ...}}")
    return disks


def _displays(vm: Entry) -> list[t.Any]:
    found = vm.get("graphics")
    return found if isinstance(found, list) else []


def _is_made(disk: Entry) -> bool:
    return any(disk.get(key) is not None for key in MADE_BY)


def _made(disk: Entry, vm: str, defaults: Entry) -> dict[str, t.Any]:
    given = {key: disk[key] for key in (*SHARED, *MADE_BY) if key in disk}
    if not given.get("name"):
        what = ", ".join(key for key in MADE_BY if disk.get(key) is not None)
        raise ValueError(f"vm {vm}: a disk with {what} has no name, by which it would be made; give it one")
    return _merged(defaults, given)


def _without_making(vm: Entry) -> dict[str, t.Any]:
    if vm.get("disks") is None:
        return dict(vm)
    return {**vm, "disks": [{k: v for k, v in disk.items() if k not in MADE_BY} for disk in _disks(vm)]}
