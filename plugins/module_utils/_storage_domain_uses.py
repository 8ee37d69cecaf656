# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: a storage domain's mount, and what hosts note there of their use of it."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _errors,
    _plan,
    _storage_domain_users,
    _use_notes,
    _use_record,
    _use_records,
)

#: of a list in a message
SHOWN: t.Final = 10


def is_noted(point: str) -> bool:
    """Whether this host is noted as one that has the storage domain active."""
    return bool(_use_notes.read_own(point, _use_records.this_host(), _use_notes.HOST))


def name_of_notes() -> str:
    """What this host is called in the notes, for others to know it by."""
    return _use_records.this_host().folder


def read_others(point: str) -> _use_record.OtherUses:
    return _use_records.read_others(point, _use_records.this_host())


def noted(actions: t.Sequence[_plan.Action], name: str, point: str) -> list[_plan.Action]:
    """The actions that make a storage domain active, and at their end the note that this host has it so."""
    me = _use_records.this_host()

    def note() -> None:
        _use_notes.note_host(point, me)

    if not actions:
        return [_plan.Action(f"note that host {me.name} has storage domain {name} active", note)]
    *before, last = actions

    def run() -> None:
        last.run()
        note()

    return [*before, last._replace(run=run)]


def forgotten(
    unmounting: t.Sequence[_plan.Action], point: str, users: _storage_domain_users.StorageDomainUsers
) -> list[_plan.Action]:
    """The actions that unmount a storage domain, before which this host drops its note, and those of VMs that are gone.

    A note that cannot be dropped stays, for others to override: the host leaves all the same.
    """
    if not unmounting:
        return []
    first, *others = unmounting
    me = _use_records.this_host()

    def run() -> None:
        with contextlib.suppress(_errors.StorageError):
            _use_notes.leave(point, me, users.uuids())
        try:
            first.run()
        except _errors.StorageError:
            with contextlib.suppress(_errors.StorageError):
                _use_notes.note_host(point, me)
            raise

    return [first._replace(run=run), *others]


def opened_words(opened: t.Mapping[str, str], others: _use_record.OtherUses) -> list[str]:
    """The images that somebody has open, each with who is noted as its user."""
    words = []
    for image_uuid, name in opened.items():
        users = others.running(image_uuid)
        words.append(f"{name} by {users}" if users else name)
    return words


def require_no_others(name: str, others: _use_record.OtherUses) -> None:
    """Raises `StorageError` naming VMs of other hosts that have disks there, and hosts that have it active."""
    refused = f"storage domain {name} cannot be deleted"
    others.require_readable(refused)
    if others.vms:
        vms = ", ".join(map(str, others.vms[:SHOWN]))
        raise _errors.StorageError(
            f"{refused}: it is used by {vms} (not running); undefine them there, or set force: true if that host is"
            " gone for good"
        )
    if others.hosts:
        raise _errors.StorageError(
            f"{refused}: it is active on host {', '.join(others.hosts[:SHOWN])}; have it in maintenance there first, or"
            " set force: true if that host is gone for good"
        )
