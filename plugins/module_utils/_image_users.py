# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: images of a storage domain, and the libvirt domains of this host that use them."""

from __future__ import annotations

import os
import posixpath
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _errors, _xml

if t.TYPE_CHECKING:
    from ansible_collections.gfapi.virt.plugins.module_utils import _attachment, _domain_record, _libvirt

#: one of them serves every local libvirt that runs QEMU
DAEMONS: t.Final = ("/usr/sbin/libvirtd", "/usr/sbin/virtqemud")

IsMeant = t.Callable[[_xml.Element], bool]


class ImageUser(t.NamedTuple):
    """A domain on this host with a disk whose chain holds an image."""

    name: str
    running: bool
    target: str
    #: the next start goes on with a managed save that holds the image
    saved: bool = False
    #: the running domain has the image as the disk itself, neither below an overlay nor only in its next configuration
    is_live: bool = True

    @property
    def state(self) -> str:
        return "running" if self.running else "saved" if self.saved else "defined"

    def __str__(self) -> str:
        return f"domain {self.name} ({self.state}, disk {self.target})"


class ImageUsers:
    """Asks libvirt once, and only when something would be grown or removed.

    A host without a libvirt daemon runs no domains, so nothing is asked there, not even for the Python library.
    """

    def __init__(self, uri: str, *, daemons: t.Sequence[str] = DAEMONS) -> None:
        self._uri = uri
        self._daemons = daemons
        self._records: tuple[_domain_record.DomainRecord, ...] | None = None

    def of(self, image_uuid: str, volume_uuid: str) -> tuple[ImageUser, ...]:
        """The domains with a disk whose chain holds an image, running ones first; `volume_uuid` is that of its leaf."""
        part = f"/images/{image_uuid}/"
        return self._with(part, leaf=part + volume_uuid)

    def _with(self, part: str, *, leaf: str = "") -> tuple[ImageUser, ...]:
        return self._that(lambda source: part in path_of(source), leaf=leaf)

    def _that(self, is_meant: IsMeant, *, leaf: str = "") -> tuple[ImageUser, ...]:
        users = [user for record in self._domains() for user in _users(record, is_meant, leaf)]
        return tuple(sorted(users, key=lambda user: not user.running))

    def block_resize(self, user: ImageUser, size_bytes: int) -> None:
        """Grow the disk of a running domain, the image included."""
        self._libvirt().block_resize(user.name, user.target, size_bytes)

    def domain(self, name: str) -> _domain_record.DomainRecord:
        """A domain of this host; raises `StorageError` where there is none."""
        found = next((record for record in self._domains() if record.name == name), None)
        if found is None:
            names = ", ".join(record.name for record in self._domains()) or "none"
            raise _errors.StorageError(f"there is no domain {name} on this host (there is {names}); define it first")
        return found

    def forget(self) -> None:
        """Ask libvirt anew when next asked."""
        self._records = None

    def attach(self, attachment: _attachment.Attachment, element: _xml.Element) -> None:
        """Give a domain a disk."""
        self._records = None
        self._libvirt().attach_disk(attachment, element)

    def detach(self, attachment: _attachment.Attachment) -> None:
        """Take a disk out of a domain."""
        self._records = None
        self._libvirt().detach_disk(attachment)

    def _libvirt(self) -> _libvirt.Libvirt:
        # importing libvirt takes longer than all else that a run over right disks does, and that run asks it nothing
        from ansible_collections.gfapi.virt.plugins.module_utils import _libvirt

        return _libvirt.Libvirt(self._uri)

    def _domains(self) -> tuple[_domain_record.DomainRecord, ...]:
        if self._records is None:
            # not at the top: as libvirt itself, most runs do not need it
            from ansible_collections.gfapi.virt.plugins.module_utils import _one_name

            domains = self._libvirt().domains() if self._is_here else ()
            self._records = _one_name.OneName().of_records(domains)
        return self._records

    @property
    def is_local(self) -> bool:
        """Whether the domains are this host's own."""
        return self._uri.endswith("///system")

    @property
    def _is_here(self) -> bool:
        return not self.is_local or any(map(os.path.exists, self._daemons))


def _users(record: _domain_record.DomainRecord, is_meant: IsMeant, leaf: str) -> list[ImageUser]:
    live, saved, inactive = (_sources(element, is_meant) for element in (record.live, record.saved, record.inactive))
    return [
        ImageUser(
            record.name,
            record.live is not None,
            target,
            saved=target in saved,
            is_live=record.live is None or live.get(target, "").endswith(leaf),
        )
        for target in {**live, **saved, **inactive}
    ]


def _sources(configuration: _xml.Element | None, is_meant: IsMeant) -> dict[str, str]:
    """Target → path of the disk's own source, of the disks that name a source that is meant at any layer."""
    found = {}
    for disk in () if configuration is None else configuration.iterfind("devices/disk"):
        if any(map(is_meant, disk.iter("source"))):
            own = disk.find("source")
            found[target_of(disk)] = "" if own is None else path_of(own)
    return found


def target_of(disk: _xml.Element) -> str:
    """The target of a `<disk>`."""
    target = disk.find("target")
    return "" if target is None else target.get("dev", "")


def path_of(source: _xml.Element) -> str:
    """What a `<source>` names, be that a file or an image on a volume, without steps that lead nowhere."""
    path = source.get("name") or source.get("file") or ""
    return posixpath.normpath(path) if path else ""
