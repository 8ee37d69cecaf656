# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parameters of a VM → what is asked of its libvirt domain. Pure: no I/O but the look-up of images that it is given."""

from __future__ import annotations

import contextlib
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _devices,
    _disk,
    _domain,
    _image,
    _machine,
    _overrides,
    _storage_domain,
    _uri,
    _vm_values,
)

Params = t.Mapping[str, t.Any]


class Images(t.Protocol):
    """Where images are looked up."""

    def find(self, storage_domain: str, name: str) -> _disk.ImageSource:
        """The image of that name."""


class Seed(t.NamedTuple):
    """What cloud-init finds on a medium of its own: the path of that, and the text of each file."""

    path: str
    files: dict[str, str]


@dataclass(frozen=True)
class Desired:
    """What is asked of one domain. `console` is the pattern to wait for after a start, with its time limit.

    `live` is whether a running domain gets at once what it can, and `restarts` whether it is stopped and started for
    the rest. `seed` is what cloud-init gets, by file. `delete_disks` is whether its images go with a VM.
    """

    domain: _domain.Domain
    seed: Seed | None
    overrides: tuple[_overrides.Override, ...]
    state: str
    autostart: bool | None
    live: bool
    restarts: bool
    shutdown_timeout_s: int
    force_stop: bool
    delete_disks: bool
    console: tuple[str, int] | None
    #: the hypervisor to run on, as it was given
    host: str | None = None
    access: str = "auto"
    convert: str = "on_restart"
    delete_source: bool = False
    storage_domain: str | None = None


def disk_from(entry: Params, images: Images, storage_domain: str | None) -> _disk.Disk:
    """One entry of `disks`, its image looked up."""
    target = entry["target"] or ""
    is_drive = entry["device"] == "cdrom"
    place = entry["storage_domain"] or storage_domain
    where = entry["name"] or entry["uri"] or entry["file"]
    if not where and not is_drive:
        raise ValueError(
            "a disk needs one of name (of an image of a storage domain), uri and file; only a cdrom may lack it"
        )
    if entry["name"] and not place:
        raise ValueError(f"disk {where}: name the storage domain that the image is in (storage_domain)")
    common = {key: entry[key] for key in ("bus", "queues", "iothread", "boot_order", "serial", "shareable")}
    common["iotune"] = None if entry["iotune"] is None else iotune_from(entry["iotune"], where)
    if is_drive:
        return _drive_from(entry, images, place, common)
    modes = {"cache": entry["cache"], "discard": entry["discard"]}
    if entry["name"]:
        image = images.find(place or "", where)
        _require_sharable(where, entry, image.format)
        common["serial"] = common["serial"] or image.image_uuid
        return replace(
            _disk.gluster_disk(image.source, image.format, target=target, backing=image.backing, **modes),
            **_given(common),
        )
    if not entry["format"]:
        raise ValueError(f"disk {where}: name its format (raw or qcow2); a guest can forge what would be guessed")
    _require_sharable(where, entry, entry["format"])
    if entry["uri"]:
        source = _disk.DiskSource.from_uri(_uri.GlusterURI.parse(where))
        return replace(_disk.gluster_disk(source, entry["format"], target=target, **modes), **_given(common))
    return _disk.Disk(_disk.DiskSource(file=where), target, entry["format"], **modes, **common)


def _require_sharable(disk: str, entry: Params, image_format: str) -> None:
    # libvirt refuses it, too, when the domain is defined
    if entry["shareable"] and image_format != "raw":
        raise ValueError(
            f"disk {disk} is {image_format}, which one VM at a time can write to; a disk that is shareable is raw"
        )


def _given(values: Params) -> dict[str, t.Any]:
    return {key: value for key, value in values.items() if value is not None}


def _drive_from(entry: Params, images: Images, place: str | None, common: dict[str, t.Any]) -> _disk.Disk:
    """A CD-ROM drive: its medium is reached through the mount, for libvirt opens it each time it is changed."""
    if entry["uri"]:
        raise ValueError(f"cdrom {entry['uri']}: a CD-ROM's medium is a file, or an image of a storage domain (name)")
    image = images.find(place or "", entry["name"]) if entry["name"] else None
    path, image_format = (image.path, image.format) if image else (entry["file"], entry["format"] or "raw")
    return _disk.Disk(
        _disk.DiskSource(file=path), entry["target"] or "", image_format, device="cdrom", readonly=True, **common
    )


def iotune_from(limits: Params, disk: str) -> tuple[tuple[str, int], ...]:
    """Limits by libvirt's names, sorted as the model has them. Bytes may be sizes, as in 100MiB."""
    found = []
    for name, value in limits.items():
        if not re.fullmatch(r"(total|read|write)_(bytes|iops)_sec(_max(_length)?)?|size_iops_sec", name):
            raise ValueError(
                f"disk {disk}: iotune {name!r} is no limit of libvirt, as in total_iops_sec, read_bytes_sec"
            )
        is_size = "bytes" in name and not name.endswith("length")
        number = -1
        with contextlib.suppress(ValueError):
            number = _image.parse_bytes(str(value)) if is_size else int(value) if str(value).isdigit() else -1
        if not 0 <= number <= _vm_values.IOTUNE_LIMIT:
            size = ", or a size as in 100MiB" if is_size else ""
            raise ValueError(
                f"disk {disk}: iotune {name} {value!r} is not a number up to {_vm_values.IOTUNE_LIMIT}{size}"
            )
        if number:
            found.append((name, number))
    return tuple(sorted(found))


def interface_from(entry: Params) -> _devices.Interface:
    """One entry of `interfaces`."""
    if (entry["type"] == "user") == bool(entry["source"]):
        what = {"direct": "device of the host"}.get(entry["type"], entry["type"])
        need = "takes no source" if entry["type"] == "user" else f"needs the name of a {what} as its source"
        raise ValueError(f"interface of type {entry['type']} {need}")
    if entry["mode"] and entry["type"] != "direct":
        raise ValueError(f"interface of type {entry['type']} has no mode; only a direct one has")
    names = ("type", "source", "mac", "model", "mode", "queues", "boot_order")
    mode = "bridge" if entry["type"] == "direct" else None
    return _devices.Interface(**{**{key: entry[key] for key in names}, "mode": entry["mode"] or mode})


def graphics_from(entry: Params) -> _devices.Graphics:
    """One entry of `graphics`."""
    port, password = entry["port"], entry["password"]
    if port is not None and port and not 1 <= port <= 65535:
        raise ValueError(f"{entry['type']} display: port {port} is no port; 0 is one that libvirt chooses")
    if password and len(password) > 8 and entry["type"] == "vnc":
        # the protocol's own limit; QEMU cuts the rest off without a word
        raise ValueError("vnc display: its password has more than 8 characters, and VNC knows no longer one")
    return _devices.Graphics(entry["type"], entry["listen"], port, password)


def topology_from(entry: Params) -> tuple[int, int, int]:
    """The option `cpu_topology`."""
    sockets, cores, threads = (entry[key] for key in ("sockets", "cores", "threads"))
    if min(sockets, cores, threads) < 1:
        raise ValueError("cpu_topology: sockets, cores and threads are 1 or more")
    return sockets, cores, threads


def _memory(vm: Params, key: str) -> int | None:
    return None if vm[key] is None else _machine.parse_memory_kib(vm[key])


def desired_from(vm: Params, images: Images, storage_domain: str | None) -> Desired:
    """One domain's parameters in normal form."""
    _vm_values.require_domain_name(vm["name"])
    _vm_values.require_values(vm)
    _vm_values.require_no_contradiction(vm)
    is_kept = vm["state"] == "absent"
    entries = [] if is_kept else [disk_from(entry, images, storage_domain) for entry in vm["disks"] or ()]
    drives = tuple(disk for disk in entries if disk.device == "cdrom")
    plain = (
        "title", "description", "vcpus", "vcpus_max", "iothreads", "machine", "firmware", "kernel", "initrd", "cmdline",
        "cpu_model", "scsi_queues", "serial_log", "rng", "guest_agent", "tpm", "watchdog", "balloon",
    )  # fmt: skip
    domain = _domain.Domain(
        name=vm["name"],
        type=None if vm["virt_type"] == "auto" else vm["virt_type"],
        memory_kib=_memory(vm, "memory"),
        memory_max_kib=_memory(vm, "memory_max"),
        secure_boot=vm["secure_boot"],
        cpu_mode="custom" if vm["cpu_model"] else vm["cpu_mode"],
        topology=None if vm["cpu_topology"] is None else topology_from(vm["cpu_topology"]),
        metadata=None if vm["metadata"] is None else tuple(sorted((k, str(v)) for k, v in vm["metadata"].items())),
        boot=None if vm["boot"] is None else tuple(vm["boot"]),
        disks=None if is_kept or vm["disks"] is None else tuple(disk for disk in entries if disk not in drives),
        drives=drives or None,
        interfaces=None if vm["interfaces"] is None else tuple(interface_from(entry) for entry in vm["interfaces"]),
        graphics=None if vm["graphics"] is None else tuple(graphics_from(entry) for entry in vm["graphics"]),
        **{key: vm[key] for key in plain},
    )
    wait_for = vm["wait_for"]
    seed = None if vm["cloud_init"] is None or is_kept else seed_from(vm, images, storage_domain)
    if seed:
        medium = _disk.Disk(_disk.DiskSource(file=seed.path), "", "raw", device="cdrom", readonly=True)
        domain = replace(domain, drives=(*drives, medium))
    return Desired(
        domain,
        seed,
        tuple(override_from(entry) for entry in vm["xml_overrides"] or ()),
        vm["state"],
        vm["autostart"],
        vm["live"],
        vm["restart"] == "if_required",
        vm["shutdown_timeout"],
        vm["force_stop"],
        vm["delete_disks"],
        (require_pattern(wait_for["console"]), wait_for["timeout"]) if wait_for else None,
        host=vm["host"] or None,
        **{key: vm[key] for key in ("access", "convert", "delete_source")},
        storage_domain=storage_domain,
    )


def seed_from(vm: Params, images: Images, storage_domain: str | None) -> Seed:
    """The option `cloud_init`. The instance's id stays, so that a new seed does not make a VM a new instance."""
    given = vm["cloud_init"]
    user_data = given["user_data"]
    # cloud-init takes what begins otherwise for nothing, with a warning in its log only
    if not user_data.startswith(("#", "Content-Type: ", "MIME-Version: ")):
        raise ValueError(
            f"domain {vm['name']}: user_data of cloud_init begins with none of cloud-init's words; write #cloud-config"
            " in its first line, or that of a script (#!/bin/sh)"
        )
    meta_data = given["meta_data"] or f"instance-id: {vm['name']}\nlocal-hostname: {vm['name']}\n"
    files = {"user-data": user_data, "meta-data": meta_data}
    if given["network_config"]:
        files["network-config"] = given["network_config"]
    named = [entry for entry in vm["disks"] or () if entry["name"] and entry["device"] == "disk"]
    if not named:
        return Seed(seed_path(None, None, vm["name"]), files)
    image = images.find(named[0]["storage_domain"] or storage_domain or "", named[0]["name"])
    return Seed(seed_path(image.path, image.image_uuid, vm["name"]), files)


#: where seeds lie of VMs without an image of a storage domain
LOCAL_SEEDS: t.Final = "/var/lib/libvirt/gfapi-seeds"


def seed_path(image_path: str | None, image_uuid: str | None, name: str) -> str:
    """Where the seed of a VM lies: on the mount of its first image, where every host finds it, else on this host."""
    if image_path and image_uuid:
        # POINT/STORAGE_DOMAIN/images/IMAGE/IMAGE_VOLUME
        point = image_path.rsplit("/", 4)[0]
        return f"{point}/{_storage_domain.SEEDS}/{image_uuid}.iso"
    return f"{LOCAL_SEEDS}/{name}.iso"


def is_seed(path: str) -> bool:
    """Whether a medium is a seed that we made."""
    return path.startswith(f"{LOCAL_SEEDS}/") or f"/{_storage_domain.SEEDS}/" in path


def override_from(entry: Params) -> _overrides.Override:
    """One entry of `xml_overrides`."""
    return _overrides.parse_override(
        entry["path"], value=entry["value"], xml=entry["xml"], absent=entry["state"] == "absent"
    )


def require_pattern(text: str) -> str:
    """The text, if it is a regular expression."""
    try:
        re.compile(text)
    except re.error as exc:
        raise ValueError(f"wait_for: console {text!r} is not a regular expression: {exc}") from None
    return text


def require_no_files(vms: t.Iterable[Params], uri: str) -> None:
    """Raises `ValueError` for what is read or written on the host that the module runs on, and the VM is not."""
    for vm in vms:
        disks = () if vm["state"] == "absent" else vm["disks"] or ()
        named = [str(disk["name"]) for disk in disks if disk["name"]]
        needs = {
            f"disk {', '.join(named)} is looked up on the mount of its storage domain; name it by its uri": named,
            "wait_for reads the file of the serial console; leave it out": vm["wait_for"],
            "cloud_init writes a file for the hypervisor; leave it out": vm["cloud_init"],
            "delete_disks deletes on the mount of the storage domain; leave it out": vm["delete_disks"],
        }
        for words, needed in needs.items():
            if needed:
                raise ValueError(
                    f"domain {vm['name']}: {words}, or run the module on the hypervisor; uri {without_query(uri)} is of"
                    " another host than it runs on"
                )


def without_query(uri: str) -> str:
    """A libvirt URI without its parameters, which may hold what is not for everybody."""
    return uri.partition("?")[0]
