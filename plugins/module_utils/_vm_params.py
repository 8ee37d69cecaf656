# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parameters of a VM → what is asked of its libvirt domain. Pure: no I/O but the look-up of images that it is given."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _domain
from ansible_collections.gfapi.virt.plugins.module_utils._disk import Disk, DiskSource, ImageSource, gluster_disk
from ansible_collections.gfapi.virt.plugins.module_utils._domain import Domain, Interface
from ansible_collections.gfapi.virt.plugins.module_utils._uri import GlusterURI

Params = t.Mapping[str, t.Any]


class Images(t.Protocol):
    """Where images are looked up."""

    def find(self, storage_domain: str, name: str) -> ImageSource: ...


@dataclass(frozen=True)
class Desired:
    """What is asked of one domain. `console` is the pattern to wait for after a start, with its time limit."""

    domain: Domain
    state: str
    autostart: bool | None
    shutdown_timeout_s: int
    force_stop: bool
    console: tuple[str, int] | None


def disk_from(entry: Params, images: Images, storage_domain: str | None) -> Disk:
    """One entry of `disks`, its image looked up."""
    target, bus, cache, discard = (entry[key] for key in ("target", "bus", "cache", "discard"))
    if target and not re.fullmatch(r"[a-z]{3,8}", target):
        raise ValueError(f"target {target!r} is not a target, as in vda")
    if entry["name"]:
        place = entry["storage_domain"] or storage_domain
        if not place:
            raise ValueError(f"disk {entry['name']}: name the storage domain that the image is in (storage_domain)")
        image = images.find(place, entry["name"])
        return gluster_disk(
            image.source,
            image.format,
            target=target or "",
            bus=bus,
            serial=image.image_uuid,
            backing=image.backing,
            cache=cache,
            discard=discard,
        )
    where = entry["uri"] or entry["file"]
    if not entry["format"]:
        raise ValueError(f"disk {where}: name its format (raw or qcow2); a guest can forge what would be guessed")
    if entry["uri"]:
        source = DiskSource.from_uri(GlusterURI.parse(where))
        return gluster_disk(source, entry["format"], target=target or "", bus=bus, cache=cache, discard=discard)
    return Disk(DiskSource(file=where), target or "", entry["format"], bus, cache=cache, discard=discard)


def interface_from(entry: Params) -> Interface:
    """One entry of `interfaces`."""
    if (entry["type"] == "user") == bool(entry["source"]):
        need = "takes no source" if entry["type"] == "user" else f"needs the name of a {entry['type']} as its source"
        raise ValueError(f"interface of type {entry['type']} {need}")
    if entry["mac"] and not re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", entry["mac"]):
        raise ValueError(f"interface: mac {entry['mac']!r} is not a MAC address, as in 52:54:00:12:34:56")
    return Interface(**{key: entry[key] for key in ("type", "source", "mac", "model")})


def desired_from(vm: Params, images: Images, storage_domain: str | None) -> Desired:
    """One domain's parameters in normal form."""
    disks, interfaces = vm["disks"], vm["interfaces"]
    if vm["vcpus"] is not None and vm["vcpus"] < 1:
        raise ValueError(f"domain {vm['name']}: vcpus {vm['vcpus']} is less than 1")
    keep_disks = disks is None or vm["state"] == "absent"
    domain = Domain(
        name=require_domain_name(vm["name"]),
        type=None if vm["virt_type"] == "auto" else vm["virt_type"],
        memory_kib=None if vm["memory"] is None else _domain.parse_memory_kib(vm["memory"]),
        boot=None if vm["boot"] is None else tuple(vm["boot"]),
        disks=None if keep_disks else tuple(disk_from(entry, images, storage_domain) for entry in disks),
        interfaces=None if interfaces is None else tuple(interface_from(entry) for entry in interfaces),
        **{key: vm[key] for key in ("vcpus", "machine", "kernel", "initrd", "cmdline", "cpu_mode", "serial_log")},
    )
    wait_for = vm["wait_for"]
    console = (require_pattern(wait_for["console"]), wait_for["timeout"]) if wait_for else None
    return Desired(domain, vm["state"], vm["autostart"], vm["shutdown_timeout"], vm["force_stop"], console)


def require_pattern(text: str) -> str:
    """The text, if it is a regular expression."""
    try:
        re.compile(text)
    except re.error as exc:
        raise ValueError(f"wait_for: console {text!r} is not a regular expression: {exc}") from None
    return text


def require_domain_name(name: str) -> str:
    """The name, if libvirt can hold it: no slash, no newline, not blank."""
    if not name or "/" in name or not name.isprintable() or name != name.strip():
        raise ValueError(f"domain name {name!r} must be printable, without slashes and blanks at its ends")
    return name
