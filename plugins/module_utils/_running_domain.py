# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: changes of a running libvirt domain, one connection's worth."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _attachment, _libvirt, _live, _xml

#: how long a guest may take to give memory back, or to take it; one without a driver never does
BALLOON_TIMEOUT_S: t.Final = 5


class RunningDomain:
    """A domain that runs, by name."""

    def __init__(self, libvirt: _libvirt.Libvirt, name: str) -> None:
        self._libvirt = libvirt
        self._name = name

    def carry_out(self, change: _live.Change, after: _xml.Element) -> None:
        """Make one change. A device that the domain gets has the same address in `after`, its next configuration."""
        with _libvirt.asking(change.words(self._name)):
            domain = self._libvirt.connection.lookupByName(self._name)
            if change.kind == "memory":
                self._balloon(domain, change.value)
            elif change.kind == "vcpus":
                domain.setVcpusFlags(change.value, _libvirt.flag("AFFECT_LIVE"))
            elif change.kind == "iotune":
                target = t.cast(_xml.Element, change.element).find("target")
                name = "" if target is None else target.get("dev", "")
                domain.setBlockIoTune(name, change.value, _libvirt.flag("AFFECT_LIVE"))
            elif change.kind == "update":
                domain.updateDeviceFlags(_text(change), _libvirt.flag("AFFECT_LIVE"))
            elif change.kind == "attach":
                self._attach(domain, t.cast(_xml.Element, change.element), after)
            else:
                self.detach(change)

    def detach(self, change: _live.Change) -> None:
        """Take a device out, which the guest has to let go of."""
        element = t.cast(_xml.Element, change.element)
        with _libvirt.asking(change.words(self._name)):
            domain = self._libvirt.connection.lookupByName(self._name)
            _libvirt.unplug(domain, change.what, lambda live: _live.device_like(live, element))

    def _attach(self, domain: t.Any, element: _xml.Element, after: _xml.Element) -> None:
        plain = _xml.clone(element)
        for address in plain.findall("address"):
            # of the next configuration, where the place may be free that something has by now
            plain.remove(address)
        for device in _attachment.devices_for(plain, _running(domain)):
            domain.attachDeviceFlags(_xml.to_text(device), _libvirt.flag("AFFECT_LIVE"))
        configured, placed = _live.device_like(after, element), _live.device_like(_running(domain), element)
        if configured is not None and placed is not None:
            _live.take_address(configured, placed, after)

    def _balloon(self, domain: t.Any, memory_kib: int) -> None:
        domain.setMemoryFlags(memory_kib, _libvirt.flag("AFFECT_LIVE"))
        end = time.monotonic() + BALLOON_TIMEOUT_S
        while domain.info()[2] != memory_kib and time.monotonic() < end:
            time.sleep(_libvirt.POLL_S)  # the guest gives pages back when it likes


def _running(domain: t.Any) -> _xml.Element:
    return _xml.parse(domain.XMLDesc(0))


def _text(change: _live.Change) -> str:
    return _xml.to_text(t.cast(_xml.Element, change.element))
