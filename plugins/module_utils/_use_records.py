# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: the records of use in the root of a storage domain's mount, `.gfapi-users/HOST.MACHINE-ID/VM-UUID`.

Beside the storage domain, where VDSM does not look. Reads those of the others.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _files, _storage_domain, _use_record

#: 10000 images
LIMIT_BYTES: t.Final = 1 << 20
GONE: t.Final = (FileNotFoundError, NotADirectoryError)


def this_host() -> _use_record.ThisHost:
    """This host, as its records name it."""
    machine_id = ""
    with contextlib.suppress(OSError), open("/etc/machine-id", encoding="ascii") as file:
        machine_id = file.read().strip()
    return _use_record.ThisHost(os.uname().nodename, machine_id)


def read_others(point: str, me: _use_record.ThisHost) -> _use_record.OtherUses:
    """The records of the other hosts. What one of our own says, this host's libvirt knows better."""
    records: list[_use_record.UseRecord] = []
    faults: list[str] = []
    with _files.explained(f"read who uses what is on {point}"), _files.Directory.open(point) as root:
        for folder in _names(root, _storage_domain.USERS):
            if folder == me.folder:
                continue
            with contextlib.suppress(*GONE), root.below(f"{_storage_domain.USERS}/{folder}") as directory:
                for name in _names(directory, ""):
                    try:
                        records.append(_use_record.UseRecord.from_text(directory.read(name, LIMIT_BYTES).decode()))
                    except FileNotFoundError:
                        pass  # dropped meanwhile
                    except (OSError, ValueError) as exc:
                        faults.append(f"{directory.path}/{name}: {exc}")
    return _use_record.OtherUses(tuple(records), tuple(faults))


def noted_at(point: str) -> dict[str, int]:
    """The folder of each host's records, and when one was last written or removed there, in ns."""
    doing = _files.explained(f"read who uses what is on {point}")
    with (
        doing,
        contextlib.suppress(*GONE),
        _files.Directory.open(point) as root,
        root.below(_storage_domain.USERS) as folders,
    ):
        return {name: status.st_mtime_ns for name, status in folders.statuses().items()}
    return {}


def _names(root: _files.Directory, path: str) -> list[str]:
    """What is in a directory; those with a dot are to be renamed into place."""
    with contextlib.suppress(*GONE), root.below(path) as directory:
        return [name for name in directory.names() if not name.startswith(".")]
    return []
