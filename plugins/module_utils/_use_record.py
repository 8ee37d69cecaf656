# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host notes on a storage domain: that it has it active, and which images its VMs are defined with.

Pure: no I/O.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils import _errors, _json

FORMAT: t.Final = 1


class ThisHost(t.NamedTuple):
    """A host by both, for hosts may share a name, and those made from one image share a machine-id."""

    name: str
    machine_id: str

    @property
    def folder(self) -> str:
        """The directory of its records."""
        return re.sub(r"[^A-Za-z0-9.-]", "_", f"{self.name}.{self.machine_id}").lstrip(".")


@dataclass(frozen=True)
class UseRecord:
    """One record: of a VM with the images of its definition, or of the host itself, which has no VM."""

    host: ThisHost
    vm: str | None = None
    uuid: str | None = None
    images: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"VM {self.vm} on host {self.host.name}"

    def to_text(self) -> str:
        values = {**self.host._asdict(), "vm": self.vm, "uuid": self.uuid, "images": sorted(self.images)}
        return json.dumps({"format": FORMAT, **values}, sort_keys=True) + "\n"

    @classmethod
    def from_text(cls, text: str) -> UseRecord:
        """Raises `ValueError` for what no host of ours wrote."""
        values = _json.parse(text)
        if not isinstance(values, dict):
            raise ValueError("it is no record")
        if values.get("format") != FORMAT:
            raise ValueError(f"its format is {values.get('format')!r}, and {FORMAT} is known")
        host, machine_id, vm, uuid = (values.get(key) for key in ("name", "machine_id", "vm", "uuid"))
        images = values.get("images")
        if not (isinstance(host, str) and isinstance(machine_id, str) and isinstance(images, list)):
            raise ValueError("name, machine_id or images is missing")
        if not all(isinstance(value, str) for value in images) or not isinstance(vm, (str, type(None))):
            raise ValueError("vm or images is no text")
        return cls(ThisHost(host, machine_id), vm, uuid if isinstance(uuid, str) else None, frozenset(images))


@dataclass(frozen=True)
class OtherUses:
    """The records of all other hosts, and what is wrong with those that cannot be read."""

    records: tuple[UseRecord, ...] = ()
    faults: tuple[str, ...] = ()

    def of(self, image_uuid: str) -> tuple[UseRecord, ...]:
        return tuple(record for record in self.records if image_uuid in record.images)

    def without(self, vm_uuid: str) -> OtherUses:
        """But for the records of one VM, which came from there to this host."""
        return replace(self, records=tuple(record for record in self.records if record.uuid != vm_uuid))

    def staying(self, leaving: t.Container[str]) -> OtherUses:
        """But for hosts, by `ThisHost.folder`, that will have left it, and are asked for their VMs themselves."""
        return replace(self, records=tuple(record for record in self.records if record.host.folder not in leaving))

    @property
    def vms(self) -> tuple[UseRecord, ...]:
        return tuple(record for record in self.records if record.vm is not None)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Those that have the storage domain active."""
        return tuple(record.host.name for record in self.records if record.vm is None)

    def running(self, image_uuid: str) -> str:
        """The users of an image that is open, in words; for which of them, nobody tells. Empty where none is noted."""
        users = self.of(image_uuid)
        state = "running" if len(users) == 1 else "one of them running"
        return f"{', '.join(map(str, users))} ({state})" if users else ""

    def require_readable(self, doing: str) -> None:
        """Raises `StorageError` where a record may say what cannot be read."""
        if self.faults:
            raise _errors.StorageError(
                f"{doing}: a record of another host's use cannot be read: {'; '.join(self.faults)}; take it away if it"
                " is of no use, or set force: true"
            )

    def require_none(self, image_uuid: str, doing: str, mend: str = "undefine it there") -> None:
        """Raises `StorageError` naming the VMs of other hosts, none of which runs, that an image belongs to."""
        self.require_readable(doing)
        users = self.of(image_uuid)
        if users:
            raise _errors.StorageError(
                f"{doing}: it is used by {', '.join(map(str, users))} (not running); {mend}, or set force: true if"
                " that host is gone for good"
            )
