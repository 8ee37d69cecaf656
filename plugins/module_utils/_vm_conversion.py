# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: domains of this host's libvirt, and the mounts that their disks lie on. What a conversion takes."""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _block_copies,
    _conversion,
    _disk,
    _domain_record,
    _errors,
    _image_paths,
    _io_path,
    _libvirt_jobs,
    _mounts,
    _plan,
    _vm_params,
    _xml,
)


@dataclass(frozen=True)
class Conversion:
    """What becomes of a domain's disks: its configuration, and those of the running one that go over, by target."""

    access: str
    #: the next configuration: of the fields that we model, and with what was asked for beyond them
    modelled: _xml.Element
    after: _xml.Element
    convert: str = _conversion.ON_RESTART
    live: t.Mapping[str, _conversion.BothWays] = field(default_factory=dict)
    repairs: tuple[_plan.Action, ...] = ()
    #: disks of the configuration that were reached another way
    targets: frozenset[str] = frozenset()
    copies: tuple[_block_copies.Copy, ...] = ()
    #: what copies disks and has the domain go on with the copies; and what deletes the old files after the proof
    copying: tuple[_plan.Action, ...] = ()
    deletions: tuple[_plan.Action, ...] = ()

    @property
    def carries(self) -> str:
        """How the running domain goes over now, configuration and all; empty where a restart, or nothing, does it."""
        return self.convert if self.live and self.convert in (_conversion.LIVE_MIGRATE, _conversion.BLOCK_COPY) else ""

    def seen(self, current: _domain_record.DomainRecord | None) -> _domain_record.DomainRecord | None:
        """A domain as it is but for disks that go over while it runs, and so wait for no restart."""
        if current is None or current.live is None or not self.carries:
            return current
        return replace(current, live=_conversion.converted(current.live, self._reached, self.access))

    def there(self, migratable: _xml.Element) -> _xml.Element:
        """The running domain as it is on the host that it is migrated to."""
        return _conversion.converted(migratable, self._reached, self.access)

    @property
    def _reached(self) -> dict[str, _conversion.Reached]:
        images = {copy.disk.target: copy.image for copy in self.copies}
        return {target: both.by(self.access) for target, both in {**self.live, **images}.items()}


class Conversions:
    """Looks disks up, and repairs what is to be opened through libgfapi."""

    def __init__(
        self, paths: _image_paths.ImagePaths, copies: _block_copies.BlockCopies, libvirt: _libvirt_jobs.LibvirtJobs
    ) -> None:
        self._paths = paths
        self._copies = copies
        self._libvirt = libvirt
        #: what another host has mounted is not known here
        self._is_remote = libvirt.is_remote

    def of(
        self,
        desired: _vm_params.Desired,
        current: _domain_record.DomainRecord | None,
        modelled: _xml.Element,
        after: _xml.Element,
    ) -> Conversion:
        """What a domain's conversion takes; the configurations are the next ones but for that."""
        access, name = desired.access, desired.domain.name
        if current is not None and (desired.convert == _conversion.BLOCK_COPY or _is_cut_short(current)):
            # what the disks were copied from is older by now
            copies_in_use = _conversion.went_over(name, after, current.live)
            if copies_in_use:
                way = (
                    _conversion.GFAPI
                    if any(one.source.is_gluster for one in copies_in_use.values())
                    else _conversion.FUSE
                )
                modelled, after = (_conversion.converted(one, copies_in_use, way) for one in (modelled, after))
        reached = {target: both.by(access) for target, both in self._look(after, access).items()}
        if reached:
            modelled, after = (_conversion.converted(one, reached, access) for one in (modelled, after))
        if current is None:
            return Conversion(access, modelled, after)
        running = self._look(current.live, access)
        copies: tuple[_block_copies.Copy, ...] = ()
        if running:
            place = _conversion.require_convertible(name, desired.convert, desired.host, desired.storage_domain)
            if desired.convert == _conversion.BLOCK_COPY:
                disks = (disk for disk in _conversion.to_convert(current.live, access) if disk.target in running)
                copies = tuple(
                    self._copies.plan(self._libvirt, current, disk, running[disk.target], place) for disk in disks
                )
                images = {copy.disk.target: copy.image.by(access) for copy in copies}
                modelled, after = (_conversion.converted(one, images, access) for one in (modelled, after))
        mended = [] if copies else self._gone_over(current.inactive, after)
        if desired.convert == _conversion.LIVE_MIGRATE and access != _conversion.FUSE:
            mended += running.values()
        return Conversion(
            access,
            modelled,
            after,
            desired.convert,
            running,
            tuple(self._repairs(name, mended)),
            frozenset([*reached, *running]),
            copies,
            tuple(self._copies.actions(self._libvirt, name, copies, access, after)),
            tuple(self._copies.deletions(self._libvirt, name, copies) if desired.delete_source else ()),
        )

    def _look(self, configuration: _xml.Element | None, access: str) -> dict[str, _conversion.BothWays]:
        """The disks that go over, by target; a file on no gluster mount has nowhere to go."""
        found: dict[str, _conversion.BothWays] = {}
        if access != _conversion.FUSE and self._is_remote:
            return found
        for disk in _conversion.to_convert(configuration, access):
            if access == _conversion.FUSE:
                found[disk.target] = self._paths.of_gluster(disk.source, disk.format)
                continue
            both = self._paths.of_file(disk.source.file or "", disk.format)
            if both is not None:
                found[disk.target] = both
        return found

    def _gone_over(self, before: _xml.Element, after: _xml.Element) -> list[_conversion.BothWays]:
        disks = [] if self._is_remote else _conversion.gone_over(before, after)
        found = [self._paths.of_file(disk.source.file or "", disk.format) for disk in disks]
        return [both for both in found if both is not None]

    def _repairs(self, name: str, images: t.Iterable[_conversion.BothWays]) -> t.Iterator[_plan.Action]:
        """What QEMU could not open, or libgfapi not read to the end, is mended; each file once."""
        for path in dict.fromkeys(path for both in images for path in both.paths):
            for words in self._paths.faults(path):
                yield _plan.Action(f"{words}, for domain {name}", functools.partial(self._paths.repair, path))


def _is_cut_short(current: _domain_record.DomainRecord) -> bool:
    """Whether a copying run was killed after disks went over, and before the configuration named the copies."""
    return bool(_conversion.went_over(current.name, current.inactive, current.live))


def restoring(
    libvirt: _libvirt_jobs.LibvirtJobs, current: _domain_record.DomainRecord, start: t.Callable[[], None]
) -> _plan.Action:
    """The configuration that was, and the domain running with it if it did and does no more."""

    def run() -> None:
        libvirt.define(current.inactive)
        now = libvirt.domain(current.name)
        if current.is_active and now is not None and not now.is_active:
            start()

    again = ", and start it again" if current.is_active else ""
    return _plan.Action(f"define domain {current.name} as it was{again}", run)


def proof(libvirt: _libvirt_jobs.LibvirtJobs, name: str, conversion: Conversion) -> _plan.Action:
    """QEMU itself says how it reaches each disk that went over."""

    def run() -> None:
        record = libvirt.domain(name)
        if record is None or record.live is None:
            raise _errors.LibvirtError(
                f"domain {name} does not run any more, so nobody can say how its disks are reached"
            )
        devices, nodes = libvirt.qmp(name, "query-block"), libvirt.qmp(name, "query-named-block-nodes")
        points = [mount.point for mount in _mounts.Mounts().table()]
        for element in record.live.iterfind("devices/disk"):
            target = _disk.from_element(element).target
            path = _io_path.io_path(_disk.alias_of(element), devices, nodes, points)
            kind = path.kind if path else "nothing"
            # the mounts of another host are not known here
            expected = (
                conversion.access,
                *(("file",) if conversion.access == _conversion.FUSE and libvirt.is_remote else ()),
            )
            if target in conversion.targets and kind not in expected:
                raise _errors.LibvirtError(
                    f"QEMU reaches disk {target} of domain {name} by {kind}, not by {conversion.access}"
                )

    return _plan.Action(
        f"see that QEMU reaches {_disks(conversion)} of domain {name} by {conversion.access}", run, waits=True
    )


def _disks(conversion: Conversion) -> str:
    return ", ".join(sorted(conversion.targets))
