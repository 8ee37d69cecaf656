# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: a storage domain's mount, and what hosts note there of their use of it."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import _use_notes as use_notes
from ansible_collections.gfapi.virt.plugins.module_utils import _use_records as use_records
from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Action
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain_users import StorageDomainUsers
from ansible_collections.gfapi.virt.plugins.module_utils._use_record import OtherUses

#: of a list in a message
SHOWN: t.Final = 10


def is_noted(point: str) -> bool:
    """Whether this host is noted as one that has the storage domain active."""
    return bool(use_notes.read_own(point, use_records.this_host(), use_notes.HOST))


def name_of_notes() -> str:
    """What this host is called in the notes, for others to know it by."""
    return use_records.this_host().folder


def read_others(point: str) -> OtherUses:
    return use_records.read_others(point, use_records.this_host())


def noted(actions: t.Sequence[Action], name: str, point: str) -> list[Action]:
    """The actions that make a storage domain active, and at their end the note that this host has it so."""
    me = use_records.this_host()

    def note() -> None:
        use_notes.note_host(point, me)

    if not actions:
        return [Action(f"note that host {me.name} has storage domain {name} active", note)]
    *before, last = actions

    def run() -> None:
        last.run()
        note()

    return [*before, replace(last, run=run)]


def forgotten(unmounting: t.Sequence[Action], point: str, users: StorageDomainUsers) -> list[Action]:
    """The actions that unmount a storage domain, before which this host drops its note, and those of VMs that are gone.

    A note that cannot be dropped stays, for others to override: the host leaves all the same.
    """
    if not unmounting:
        return []
    first, *others = unmounting
    me = use_records.this_host()

    def run() -> None:
        with contextlib.suppress(StorageError):
            use_notes.leave(point, me, users.uuids())
        try:
            first.run()
        except StorageError:
            with contextlib.suppress(StorageError):
                use_notes.note_host(point, me)
            raise

    return [replace(first, run=run), *others]


def opened_words(opened: t.Mapping[str, str], others: OtherUses) -> list[str]:
    """The images that somebody has open, each with who is noted as its user."""
    words = []
    for image_uuid, name in opened.items():
        users = others.running(image_uuid)
        words.append(f"{name} by {users}" if users else name)
    return words


def require_no_others(name: str, others: OtherUses) -> None:
    """Raises `StorageError` naming VMs of other hosts that have disks there, and hosts that have it active."""
    refused = f"storage domain {name} cannot be deleted"
    others.require_readable(refused)
    if others.vms:
        vms = ", ".join(map(str, others.vms[:SHOWN]))
        raise StorageError(
            f"{refused}: it is used by {vms} (not running); undefine them there, or set force: true if that host is"
            " gone for good"
        )
    if others.hosts:
        raise StorageError(
            f"{refused}: it is active on host {', '.join(others.hosts[:SHOWN])}; have it in maintenance there first, or"
            " set force: true if that host is gone for good"
        )
