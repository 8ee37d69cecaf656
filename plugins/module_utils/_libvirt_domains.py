# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: the life of libvirt domains, from their definition on, and what their QEMU answers."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _errors, _libvirt, _power, _xml

#: QEMU tries what had failed again at once when it is resumed
RESUMED_S: t.Final = 3


class LibvirtDomains(_libvirt.Libvirt):
    """A host's libvirt, with what makes domains and has them run."""

    def host_architecture(self) -> str:
        """The host's processor architecture, as in `x86_64`."""
        with _libvirt.asking("ask libvirt for the host's capabilities"):
            return _xml.parse(self.connection.getCapabilities()).findtext("host/cpu/arch", "x86_64")

    def has_kvm(self, arch: str) -> bool:
        """Whether libvirt can start KVM domains of this architecture."""
        with _libvirt.asking("ask libvirt for the host's capabilities"):
            capabilities = _xml.parse(self.connection.getCapabilities())
        guests = [guest for guest in capabilities.iterfind("guest/arch") if guest.get("name") == arch]
        return any(kind.get("type") == "kvm" for guest in guests for kind in guest.iterfind("domain"))

    def version(self) -> tuple[str, str | None]:
        """libvirt's version, and that of its QEMU if it has one."""
        with _libvirt.asking("ask libvirt for its version"):
            hypervisor = self.connection.getVersion() if self.connection.getType() == "QEMU" else None
            return _version_text(self.connection.getLibVersion()), hypervisor and _version_text(hypervisor)

    def define(self, element: _xml.Element) -> None:
        """Define or redefine a domain; libvirt checks it against its own schema."""
        name = element.findtext("name", "")
        with _libvirt.asking(f"define domain {name}"):
            self.connection.defineXMLFlags(_xml.to_text(element), _libvirt.flag("DEFINE_VALIDATE"))

    def undefine(self, name: str) -> None:
        """Forget a domain with its NVRAM, managed save and snapshot metadata; never its images."""
        whats = ("MANAGED_SAVE", "SNAPSHOTS_METADATA", "CHECKPOINTS_METADATA", "NVRAM")
        flags = sum(_libvirt.flag(f"UNDEFINE_{what}") for what in whats)
        with _libvirt.asking(f"undefine domain {name}"):
            self.connection.lookupByName(name).undefineFlags(flags)

    def set_autostart(self, name: str, *, autostart: bool) -> None:
        with _libvirt.asking(f"set autostart of domain {name}"):
            self.connection.lookupByName(name).setAutostart(int(autostart))

    def start(self, name: str, *, paused: bool = False) -> None:
        flags = _libvirt.flag("START_PAUSED") if paused else 0
        with _libvirt.asking(f"start domain {name}"), self._for_long_call() as connection:
            connection.lookupByName(name).createWithFlags(flags)

    def suspend(self, name: str) -> None:
        with _libvirt.asking(f"pause domain {name}"):
            self.connection.lookupByName(name).suspend()

    def resume(self, name: str) -> None:
        """Raises `LibvirtError` naming the disks where storage trouble that paused a domain does so again."""
        with _libvirt.asking(f"resume domain {name}"):
            domain = self.connection.lookupByName(name)
            troubled = _libvirt.state_and_reason(domain)[1] == _power.IO_ERROR
            if troubled and self.block_devices(name) is None:
                raise _errors.LibvirtError(f"domain {name} cannot be resumed: {_power.GIVEN_UP}")
            domain.resume()
            end = time.monotonic() + RESUMED_S
            while troubled and time.monotonic() < end:
                time.sleep(_libvirt.POLL_S)  # that a request succeeds is told by nobody
                if _libvirt.state_and_reason(domain)[1] == _power.IO_ERROR:
                    given_up = self.block_devices(name) is None
                    troubles = (
                        _power.GIVEN_UP if given_up else "; ".join(_disk_troubles(domain)) or "an input/output error"
                    )
                    raise _errors.LibvirtError(
                        f"domain {name} was resumed and is paused again: {troubles}; then run again"
                    )

    def shut_down(self, name: str, *, timeout_s: float, force: bool, allowed_by: str = "force_stop: true") -> None:
        """Ask the guest to power off and wait for it; after `timeout_s` end it if `force`, else raise."""
        with _libvirt.asking(f"shut down domain {name}"):
            domain = self.connection.lookupByName(name)
            end = time.monotonic() + timeout_s
            press = time.monotonic()
            state = _libvirt.state_and_reason(domain)[0]
            while state not in ("shut_off", "paused", "crashed") and time.monotonic() < end:
                if time.monotonic() >= press:
                    with _libvirt.unless_gone():
                        domain.shutdown()
                    press = time.monotonic() + _libvirt.PRESS_AGAIN_S
                time.sleep(_libvirt.POLL_S)  # a guest powers off when it likes, and is asked again meanwhile
                state = _libvirt.state_and_reason(domain)[0]
            if state == "shut_off":
                return
            if not force:
                reason = f"the guest did not power off within {timeout_s:g} s; raise shutdown_timeout"
                if state in ("paused", "crashed"):
                    reason = f"it is {state}, so its guest does nothing; resume it first (state: running)"
                raise _errors.LibvirtError(
                    f"cannot shut down domain {name}: {reason}, or allow it to be ended with {allowed_by}"
                )
            with self._for_long_call() as connection, _libvirt.unless_gone():
                connection.lookupByName(name).destroy()

    def block_devices(self, name: str) -> tuple[t.Any, t.Any] | None:
        """What QEMU answers to query-block and query-named-block-nodes; `None` where it has given a disk up.

        QEMU 7.2 refuses the first then, and 10.0 the second, while libvirt has it that a request failed.
        """
        try:
            return self.qmp(name, "query-block"), self.qmp(name, "query-named-block-nodes")
        except _errors.LibvirtError as exc:
            if _power.is_given_up(str(exc)):
                return None
            raise


def _disk_troubles(domain: t.Any) -> list[str]:
    live = _xml.parse(domain.XMLDesc(0))
    disks = {disk.target: disk.source for disk in map(_disk.from_element, live.iterfind("devices/disk"))}
    return [
        _power.disk_trouble(target, disks[target].name or disks[target].file or "", error)
        for target, error in sorted(domain.diskErrors().items())
        if target in disks
    ]


def _version_text(number: int) -> str:
    return f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"
