# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: what this host notes of its use of a storage domain, in a directory of its own among the records of use.

A host writes in that one only, but for the VMs that it migrates to another.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _errors,
    _files,
    _storage_domain,
    _use_record,
    _use_records,
)

#: the record of the host itself, among those of its VMs
HOST: t.Final = "host"
MODE: t.Final = 0o644
FOLDER_MODE: t.Final = 0o755
#: longer than libvirt takes to define a VM
LOCK_TIMEOUT_S: t.Final = 60


def _own(me: _use_record.ThisHost) -> str:
    return f"{_storage_domain.USERS}/{me.folder}"


def open_own(point: str, me: _use_record.ThisHost) -> _files.Directory | None:
    """The directory of this host's records, to read in; `None` where there is none."""
    doing = _files.explained(f"read what this host uses on {point}")
    with doing, contextlib.suppress(*_use_records.GONE), _files.Directory.open(point) as root:
        return root.below(_own(me))
    return None


def read_in(directory: _files.Directory, name: str) -> str:
    """The text of a record; empty where there is none."""
    with _files.explained(f"read what this host uses in {directory.path}"), contextlib.suppress(*_use_records.GONE):
        return directory.read(name, _use_records.LIMIT_BYTES).decode(errors="replace")
    return ""


def read_own(point: str, me: _use_record.ThisHost, name: str) -> str:
    """The text of a record of this host; empty where there is none."""
    directory = open_own(point, me)
    if directory is None:
        return ""
    with directory:
        return read_in(directory, name)


def images_noted(point: str, me: _use_record.ThisHost, name: str) -> frozenset[str]:
    """The images of a record of this host; none where there is none, or no whole one."""
    with contextlib.suppress(ValueError):
        return _use_record.UseRecord.from_text(read_own(point, me, name)).images
    return frozenset()


def names_of_vms(point: str, me: _use_record.ThisHost) -> dict[str, str]:
    """The VMs that this host noted, uuid → name."""
    found: dict[str, str] = {}
    directory = open_own(point, me)
    if directory is None:
        return found
    with directory:
        for uuid in (name for name in directory.names() if not name.startswith(".")):
            with contextlib.suppress(ValueError):
                found[uuid] = _use_record.UseRecord.from_text(read_in(directory, uuid)).vm or ""
    return found


def note(directory: _files.Directory, name: str, record: _use_record.UseRecord) -> None:
    """Write a record of this host, if there is another or none."""
    text = record.to_text()
    with contextlib.suppress(FileNotFoundError):
        if directory.read(name, _use_records.LIMIT_BYTES) == text.encode():
            return
    directory.replace_text(name, text, MODE, directory.owner())


def note_image(point: str, wanted: _use_record.UseRecord, image_uuid: str, *, used: bool) -> None:
    """Have the record of a VM of this host, of which there may be none, say that it uses an image, or not."""
    name = t.cast(str, wanted.uuid)
    with own_records(point, wanted.host) as directory:
        record = wanted
        with contextlib.suppress(FileNotFoundError, ValueError):
            record = _use_record.UseRecord.from_text(directory.read(name, _use_records.LIMIT_BYTES).decode())
        images = record.images | {image_uuid} if used else record.images - {image_uuid}
        if images:
            note(directory, name, replace(wanted, images=images))
        else:
            directory.remove(name)


def note_arrival(point: str, record: _use_record.UseRecord) -> None:
    """Have another host's records say that a VM is there now, which was migrated to it and which its libvirt knows."""
    with own_records(point, record.host) as directory:
        note(directory, t.cast(str, record.uuid), record)


def note_host(point: str, me: _use_record.ThisHost) -> None:
    """Write that this host has the storage domain active."""
    with own_records(point, me) as directory:
        note(directory, HOST, _use_record.UseRecord(me))


def leave(point: str, me: _use_record.ThisHost, vms: t.Container[str]) -> None:
    """Remove that this host has the storage domain active, and what it noted of other VMs than these."""
    doing = _files.explained(f"remove what this host noted on {point}")
    with (
        doing,
        contextlib.suppress(*_use_records.GONE),
        _files.Directory.open(point) as root,
        root.below(_own(me)) as directory,
    ):
        _lock(directory)
        sweep(directory, vms)


def sweep(directory: _files.Directory, known: t.Container[str]) -> None:
    """Remove the other records of this host: of VMs that were migrated away, or undefined by others, and half ones."""
    directory.sweep_files()
    for name in directory.names():
        if not name.startswith(".") and name not in known:
            directory.remove(name)


@contextlib.contextmanager
def own_records(point: str, me: _use_record.ThisHost) -> t.Iterator[_files.Directory]:
    """The directory of this host's records, made if missing; other runs of this host wait for its end."""
    with _files.explained(f"note what this host uses on {point}"), _files.Directory.open(point) as root:
        for path, name in (("", _storage_domain.USERS), (_storage_domain.USERS, me.folder)):
            with root.below(path) as parent, contextlib.suppress(FileExistsError):
                parent.make(name, FOLDER_MODE, root.owner()).close()
        with root.below(_own(me)) as directory:
            _lock(directory)
            yield directory


def _lock(directory: _files.Directory) -> None:
    # of this host alone: gluster passes no lock of a directory on
    if not _files.take_lock(directory.descriptor, time.monotonic() + LOCK_TIMEOUT_S):
        raise _errors.StorageError(
            f"another run of this host notes what it uses in {directory.path} for {LOCK_TIMEOUT_S} s; wait for it, or"
            " end it"
        )
