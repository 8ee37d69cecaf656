# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of a VM that libvirt would refuse, or keep as other ones. Pure: no I/O.

Source: libvirt's schema (domaincommon.rng, 9.0), of whose own words none names the place or the value.
"""

from __future__ import annotations

import re
import typing as t

Params = t.Mapping[str, t.Any]

#: libvirt makes a file NAME.xml.new of it
NAME_LIMIT_BYTES: t.Final = 240
#: the most that QEMU takes for a limit of a disk
IOTUNE_LIMIT: t.Final = 10**15
_MACHINE: t.Final = (re.compile(r"[\w.-]+", re.ASCII), "a machine type, as in q35")
_CPU_MODEL: t.Final = (re.compile(r"[^\x00-\x1f]+"), "a CPU model, as in Haswell")
#: libvirt prints a carriage return as it is, and reads a line end
_TEXT: t.Final = (re.compile(r"[^\r]*"), "text with plain line ends; take the carriage returns out")
#: of a line end or a tab in an attribute libvirt makes a blank
_NAME: t.Final = (re.compile(r"[^\x00-\x1f]*"), "a name on one line, without tabs")
_TITLE: t.Final = (re.compile(r"[^\r\n]*"), "one line")
_PATH: t.Final = (re.compile(r"(/[^\x00-\x1f]+)?"), "an absolute path on one line")
_SERIAL: t.Final = (re.compile(r"[A-Za-z0-9_.+ -]*"), "a serial: ASCII letters, digits, blanks and _ . + - are")
_TARGET: t.Final = (re.compile(r"((fd|hd|sd|vd|xvd|ubd)[a-z]{1,6})?"), "a target, as in vda")
_MODEL: t.Final = (re.compile(r"[A-Za-z0-9_-]*"), "a model, as in virtio")
_LISTEN: t.Final = (re.compile(r"[A-Za-z0-9.:-]+"), "an address, as in 127.0.0.1; leave it out for libvirt's own")
_MAC: t.Final = (
    re.compile(r"([0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5})?"),
    "a MAC address of one device, as in 52:54:00:12:34:56",
)


def require_values(vm: Params) -> None:
    """Raises `ValueError` naming the place, the value and what would do."""
    place = f"domain {vm['name']}: "
    for key, pattern in {
        **dict.fromkeys(("description", "cmdline"), _TEXT),
        "title": _TITLE,
        "machine": _MACHINE,
        "cpu_model": _CPU_MODEL,
    }.items():
        _require(place, key, vm[key], pattern)
    for key in ("kernel", "initrd", "serial_log"):
        _require(place, key, vm[key], _PATH)
    _require_least(place, vm, {"vcpus": 1, "vcpus_max": 1, "iothreads": 0, "scsi_queues": 1, "shutdown_timeout": 0})
    for disk in vm["disks"] or ():
        _require_disk(place, disk)
    macs: list[str] = []
    for interface in vm["interfaces"] or ():
        _require(f"{place}interface: ", "mac", interface["mac"], _MAC)
        _require(f"{place}interface: ", "source", interface["source"], _NAME)
        _require(f"{place}interface: ", "model", interface["model"], _MODEL)
        _require_least(f"{place}interface: ", interface, {"queues": 1, "boot_order": 1})
        macs += [interface["mac"].lower()] if interface["mac"] else []
    _require_each_once(f"{place}mac", macs, "interfaces")
    orders = [entry["boot_order"] for key in ("disks", "interfaces") for entry in vm[key] or () if entry["boot_order"]]
    _require_each_once(f"{place}boot_order", orders, "devices")
    for entry in vm["xml_overrides"] or ():
        rule = _NAME if "/@" in entry["path"] or entry["path"].startswith("@") else _TEXT
        _require(f"{place}xml_overrides: {entry['path']}: ", "value", entry["value"], rule)
    for one in vm["graphics"] or ():
        _require(f"{place}{one['type']} display: ", "listen", one["listen"], _LISTEN)
        if not (one["password"] or "").isprintable():
            # never the value
            raise ValueError(f"{place}{one['type']} display: its password holds a character that cannot be typed")


def require_no_contradiction(vm: Params) -> None:
    """Raises `ValueError` naming two options that do not go together."""
    if vm["cpu_model"] and vm["cpu_mode"] not in (None, "custom"):
        raise ValueError(f"domain {vm['name']}: cpu_model is for cpu_mode custom; leave one of the two out")
    if vm["cpu_mode"] == "custom" and not vm["cpu_model"]:
        raise ValueError(f"domain {vm['name']}: cpu_mode custom needs the model (cpu_model)")
    if vm["secure_boot"] and vm["firmware"] == "bios":
        raise ValueError(f"domain {vm['name']}: secure_boot needs firmware uefi")
    if vm["host"] and vm["state"] != "running":
        raise ValueError(f"domain {vm['name']}: host {vm['host']} is where it is to run; it goes with state: running")
    if vm["delete_disks"] and vm["state"] != "absent":
        raise ValueError(f"domain {vm['name']}: delete_disks goes with state: absent, not {vm['state']}; leave it out")


def _require_disk(place: str, disk: Params) -> None:
    where = disk["name"] or disk["uri"] or disk["file"] or disk["target"] or "without a medium"
    place += f"{disk['device']} {where}: "
    for key, pattern in {"file": _PATH, "serial": _SERIAL, "target": _TARGET}.items():
        _require(place, key, disk[key], pattern)
    _require_least(place, disk, {"queues": 1, "iothread": 1, "boot_order": 1})
    virtio = disk["bus"] == "virtio" or (not disk["bus"] and (disk["target"] or "vd").startswith("vd"))
    if disk["device"] == "cdrom" and virtio and (disk["bus"] or disk["target"]):
        raise ValueError(f"{place}a CD-ROM drive is on no virtio bus; take sata or scsi, or leave bus and target out")
    for key in ("queues", "iothread"):
        if disk[key] and (not virtio or disk["device"] == "cdrom"):
            raise ValueError(f"{place}{key} is for a disk on the virtio bus; leave it out")
    limits = {name for name, value in (disk["iotune"] or {}).items() if str(value).strip() not in ("0", "")}
    for name in sorted(limits):
        kind = name.partition("_")[2]
        if name.startswith("total_") and limits & {f"read_{kind}", f"write_{kind}"}:
            raise ValueError(f"{place}iotune has {name}, and {kind} of reads or writes; name either, not both")


def _require(place: str, key: str, value: str | None, rule: tuple[re.Pattern[str], str]) -> None:
    pattern, words = rule
    if value is not None and not pattern.fullmatch(value):
        raise ValueError(f"{place}{key} {value!r} is not {words}")


def _require_least(place: str, values: Params, least: t.Mapping[str, int]) -> None:
    for key, number in least.items():
        if values[key] is not None and values[key] < number:
            raise ValueError(f"{place}{key} {values[key]} is less than {number}")


def _require_each_once(what: str, values: t.Sequence[object], devices: str) -> None:
    doubled = next((value for value in values if values.count(value) > 1), None)
    if doubled is not None:
        raise ValueError(f"{what} {doubled} is given to two {devices}; give each its own")


def require_domain_name(name: str) -> str:
    """The name, if libvirt can hold it and make files of it."""
    if not name or "/" in name or not name.isprintable() or name != name.strip() or name in (".", ".."):
        raise ValueError(f"domain name {name!r} must be printable, without slashes and blanks at its ends, and no dot")
    if len(name.encode()) > NAME_LIMIT_BYTES:
        raise ValueError(f"domain name {name!r} has more than {NAME_LIMIT_BYTES} bytes; take a shorter one")
    return name
