# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine of a domain: memory, processors, firmware and boot order, and our own metadata. Pure: no I/O.

Source: libvirt formatdomain. libvirt 9.0 adds a missing currentMemory, `dies` to a topology, and a boot device.
"""

from __future__ import annotations

import math
import re
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _xml

if t.TYPE_CHECKING:
    from ansible_collections.gfapi.virt.plugins.module_utils import _domain

_UNIT_KIB: t.Final = {
    "b": 1 / 1024, "bytes": 1 / 1024, "KB": 1000 / 1024, "k": 1, "KiB": 1, "MB": 1e6 / 1024, "M": 1024, "MiB": 1024,
    "GB": 1e9 / 1024, "G": 1024**2, "GiB": 1024**2, "TB": 1e12 / 1024, "T": 1024**3, "TiB": 1024**3,
}  # fmt: skip

#: the namespace of what we keep in a domain's metadata; libvirt keeps one element a namespace
NAMESPACE: t.Final = "urn:gfapi.virt:vm:1"
_OURS: t.Final = f"{{{NAMESPACE}}}vm"
_ENTRY: t.Final = f"{{{NAMESPACE}}}entry"


def read(element: _xml.Element) -> dict[str, t.Any]:
    """The machine's part of a domain's model."""
    memory_max, vcpu = _memory_kib(element.find("memory")), element.find("vcpu")
    vcpus_max = None if vcpu is None else int(vcpu.text or 1)
    plugged = None if vcpu is None else vcpu.get("current")
    return {
        "metadata": _metadata(element),
        "memory_kib": _memory_kib(element.find("currentMemory")) or memory_max,
        "memory_max_kib": memory_max,
        "vcpus": int(plugged) if plugged else vcpus_max,
        "vcpus_max": vcpus_max,
        "firmware": _firmware(element),
        "secure_boot": _has_secure_boot(element),
        "boot": tuple(boot.get("dev", "") for boot in element.iterfind("os/boot")),
        "cpu_mode": next((cpu.get("mode", "custom") for cpu in element.iterfind("cpu")), None),
        "cpu_model": element.findtext("cpu/model"),
        "topology": _topology(element.find("cpu/topology")),
    }


def write(element: _xml.Element, current: _domain.Domain, domain: _domain.Domain) -> None:
    """Change the machine of a `<domain>` to agree with the model, at the places that differ only."""
    if domain.metadata is not None and domain.metadata != (current.metadata or ()):
        _write_metadata(element, domain.metadata or ())
    _write_memory(element, current, domain)
    _write_vcpus(element, current, domain)
    _write_firmware(element, current, domain)
    _write_cpu(element, current, domain)
    if domain.boot not in (None, current.boot):
        _write_boot(element, domain.boot or ())


def _memory_kib(element: _xml.Element | None) -> int | None:
    text = "" if element is None else (element.text or "").strip()
    if element is None or not text:
        return None
    return round(int(text) * _UNIT_KIB.get(element.get("unit", "KiB"), 1))


def _write_memory(element: _xml.Element, current: _domain.Domain, domain: _domain.Domain) -> None:
    given, at_most = _with_room(
        (current.memory_kib, current.memory_max_kib), (domain.memory_kib, domain.memory_max_kib)
    )
    if at_most not in (None, current.memory_max_kib):
        if element.find("cpu/numa/cell") is not None:
            # libvirt would go on with their sum
            raise ValueError(
                f"domain {domain.name}: its NUMA cells have {current.memory_max_kib} KiB in all, which bounds its"
                " memory; change the cells (virsh edit) first"
            )
        _replace(element, _xml.element("memory", {"unit": "KiB"}, text=str(at_most)))
    # libvirt fills a missing one in
    is_there = element.find("currentMemory") is not None
    if (is_there and given not in (None, current.memory_kib)) or (not is_there and given != at_most):
        _replace(element, _xml.element("currentMemory", {"unit": "KiB"}, text=str(given)))


def _write_vcpus(element: _xml.Element, current: _domain.Domain, domain: _domain.Domain) -> None:
    given, at_most = _with_room((current.vcpus, current.vcpus_max), (domain.vcpus, domain.vcpus_max))
    node = element.find("vcpu")
    if node is None or (given, at_most) == (current.vcpus, current.vcpus_max):
        return
    for each in element.findall("vcpus"):
        # which of them are plugged in; libvirt says so anew
        element.remove(each)
    node.text = str(at_most)
    node.attrib.pop("current", "")
    if given != at_most:
        node.set("current", str(given))


def _with_room(current: tuple[int | None, int | None], wanted: tuple[int | None, int | None]) -> tuple[t.Any, t.Any]:
    """What a guest gets and at most can get; room that it has is kept where that is enough."""
    (has, at_most), (given, limit) = current, wanted
    if given is None and limit is None:
        return current
    if given is None:
        given = has or limit
    if given is not None and limit is None:
        limit = at_most if at_most and has and given <= at_most and has < at_most else given
    return given, limit


def _firmware(element: _xml.Element) -> str:
    kinds = [node.get("firmware") for node in element.iterfind("os")]
    loaders = [node.get("type") for node in element.iterfind("os/loader")]
    return "uefi" if "efi" in kinds or "pflash" in loaders else "bios"


def _has_secure_boot(element: _xml.Element) -> bool | None:
    """`None` where libvirt 9.0 chooses at each start."""
    said = [
        node.get("enabled") for node in element.iterfind("os/firmware/feature") if node.get("name") == "secure-boot"
    ]
    loaders = element.findall("os/loader")
    if not said and not loaders and _firmware(element) == "uefi":
        return None
    return "yes" in said or any(node.get("secure") == "yes" for node in loaders)


def _write_firmware(element: _xml.Element, current: _domain.Domain, domain: _domain.Domain) -> None:
    """Let libvirt find the firmware of a kind. What the old one kept for its machine is of no use to the new one."""
    wanted = domain.firmware or current.firmware
    secure = current.secure_boot if domain.secure_boot is None else domain.secure_boot
    if (wanted, secure) == (current.firmware, current.secure_boot):
        return
    if wanted == "bios" and domain.secure_boot:
        raise ValueError(f"domain {domain.name} has no UEFI, which secure boot needs; set firmware: uefi")
    for node in element.findall("os"):
        for old in (*node.findall("loader"), *node.findall("nvram"), *node.findall("firmware")):
            node.remove(old)
        node.attrib.pop("firmware", "")
        if wanted == "uefi":
            node.set("firmware", "efi")
        if wanted == "uefi" and domain.secure_boot is not None:
            words = {"enabled": "yes" if secure else "no"}
            names = ("enrolled-keys", "secure-boot") if secure else ("secure-boot",)
            node.append(_xml.element("firmware", None, *(_xml.element("feature", {**words, "name": n}) for n in names)))


def _topology(element: _xml.Element | None) -> tuple[int, int, int] | None:
    if element is None:
        return None
    sockets, cores, threads = (int(element.get(name, "1")) for name in ("sockets", "cores", "threads"))
    return sockets, cores, threads


def _write_cpu(element: _xml.Element, current: _domain.Domain, domain: _domain.Domain) -> None:
    """The mode and its model; all else of it stays."""
    if domain.cpu_mode not in (None, current.cpu_mode) or domain.cpu_model not in (None, current.cpu_model):
        cpu = _xml.child(element, "cpu")
        for attribute in ("match", "check", "migratable"):
            cpu.attrib.pop(attribute, "")
        for node in (*cpu.findall("model"), *cpu.findall("vendor")):
            cpu.remove(node)
        mode = domain.cpu_mode or "custom"
        cpu.set("mode", mode)
        if mode == "custom":
            cpu.set("match", "exact")
        if domain.cpu_model:
            cpu.insert(0, _xml.element("model", {"fallback": "forbid"}, text=domain.cpu_model))
    if domain.topology not in (None, current.topology):
        node = _xml.child(_xml.child(element, "cpu"), "topology")
        for name in list(node.attrib):
            del node.attrib[name]
        for name, number in zip(("sockets", "cores", "threads"), domain.topology or ()):
            node.set(name, str(number))


def _metadata(element: _xml.Element) -> tuple[tuple[str, str], ...] | None:
    entries = element.iterfind(f"metadata/{_OURS}/{_ENTRY}")
    return tuple(sorted((entry.get("name", ""), entry.text or "") for entry in entries)) or None


def _write_metadata(element: _xml.Element, entries: t.Sequence[tuple[str, str]]) -> None:
    metadata = _xml.child(element, "metadata")
    for old in metadata.findall(_OURS):
        metadata.remove(old)
    if entries:
        nodes = [_xml.element(_ENTRY, {"name": name}, text=text) for name, text in entries]
        metadata.append(_xml.element(_OURS, None, *nodes))
    if not len(metadata):
        element.remove(metadata)


def require_consistent(element: _xml.Element, domain: _domain.Domain, asked: _domain.Domain) -> None:
    """Raises `ValueError` for numbers that contradict one another, where libvirt's own words name neither."""
    topology = element.find("cpu/topology")
    parts = {} if topology is None else {name: int(number) for name, number in topology.items() if number.isdigit()}
    is_asked = (asked.vcpus, asked.vcpus_max, asked.topology) != (None, None, None)
    if parts and is_asked and math.prod(parts.values()) != domain.vcpus_max:
        words = " x ".join(f"{parts[name]} {name}" for name in map(str, parts))
        raise ValueError(
            f"domain {domain.name}: cpu_topology of {words} is {math.prod(parts.values())} CPUs and the domain has"
            f" {domain.vcpus_max} (vcpus_max, or else vcpus); make them agree"
        )
    for word, given, at_most in (
        ("memory", domain.memory_kib, domain.memory_max_kib),
        ("vcpus", domain.vcpus, domain.vcpus_max),
    ):
        if given and at_most and given > at_most:
            raise ValueError(f"domain {domain.name}: {word} is more than {word}_max; raise {word}_max, or leave it out")
    on_ide = [disk.target for disk in domain.disks or () if disk.bus == "ide"]
    if on_ide and str(domain.machine).startswith(("q35", "pc-q35")):
        raise ValueError(
            f"domain {domain.name}: disk {', '.join(on_ide)} is on bus ide, and machine {domain.machine} has none; take"
            " virtio, scsi or sata"
        )
    threads = [disk.iothread for disk in domain.disks or () if disk.iothread]
    # where an administrator numbered them, the highest says nothing
    if threads and max(threads) > (domain.iothreads or 0) and element.find("iothreadids") is None:
        raise ValueError(f"domain {domain.name}: a disk has iothread {max(threads)}; set iothreads to that or more")


def _replace(element: _xml.Element, new: _xml.Element) -> None:
    old = element.find(new.tag)
    if old is None:
        element.append(new)
    else:
        element.replace(old, new)


def _write_boot(element: _xml.Element, devices: t.Sequence[str]) -> None:
    for node in element.findall("os"):
        for boot in node.findall("boot"):
            node.remove(boot)
        node.extend([_xml.element("boot", {"dev": device}) for device in devices])


def parse_memory_kib(value: str | int) -> int:
    """Memory as users write it, in KiB: `2GiB`, `512M`, `524288KiB`; a bare number is MiB, as in virt-install."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGTP])?(?:i?B)?\s*", str(value), re.IGNORECASE)
    if match is None:
        raise ValueError(f"memory {value!r} is not a size; write 2GiB, 512MiB or a number of MiB")
    kib = float(match[1]) * 1024.0 ** "KMGTP".index((match[2] or "M").upper())
    if kib < 1:
        raise ValueError(f"memory {value!r} is too small; write 512MiB or more")
    if kib >= 2**53:
        raise ValueError(f"memory {value!r} is more than any machine has; write less than 8 EiB")
    return round(kib)
