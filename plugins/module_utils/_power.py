# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Power states of a domain: which of them can go on, and what storage trouble is called. Pure: no I/O.

Source: libvirt's virDomainState, virDomainPausedReason, virDomainDiskErrorCode (9.0, 11.3).
"""

from __future__ import annotations

import typing as t

STATES: t.Final = ("no_state", "running", "blocked", "paused", "shutting_down", "shut_off", "crashed", "suspended")
IO_ERROR: t.Final = "io_error"
PAUSE_REASONS: t.Final = (
    "unknown", "user", "migration", "save", "dump", IO_ERROR, "watchdog", "from_snapshot", "shutting_down", "snapshot",
    "crashed", "starting_up", "postcopy", "postcopy_failed", "api_error",
)  # fmt: skip
#: what keeps a domain from running though it is active; what to do about it
_HELD: t.Final = {
    "crashed": "its guest has crashed and is kept to be looked at; end it (state: shut_off with force_stop: true)",
    "suspended": "its guest sleeps; wake it (virsh dompmwakeup NAME)",
    "shutting_down": "it is shutting down; run again when that is done",
    "migration": "it is being migrated; run again when that is done",
    "postcopy": "it is being migrated; run again when that is done",
    "postcopy_failed": "its migration failed halfway; resume that (virsh migrate --postcopy --postcopy-resume)",
    "save": "it is being saved; run again when that is done",
    "dump": "its memory is being dumped; run again when that is done",
    "snapshot": "a snapshot of it is being taken; run again when that is done",
    "starting_up": "another run is starting it; run again when that is done",
}
#: by virDomainDiskErrorCode: in words, and the mend
_DISK_ERRORS: t.Final = {
    1: ("input/output error", "see that its volume is up and has its quorum (gluster volume status {volume})"),
    2: ("no space left", "free space on its volume, or raise the quota (gluster volume quota {volume} list)"),
}


def pause_reason(number: int) -> str:
    """libvirt's reason of a pause by name, as in `io_error`."""
    return PAUSE_REASONS[number] if 0 <= number < len(PAUSE_REASONS) else "unknown"


def require_resumable(name: str, state: str, reason: str | None) -> None:
    """Raises `ValueError` for a domain that does not run and cannot be made to by resuming it."""
    held = _HELD.get(reason or "" if state == "paused" else state)
    if held:
        raise ValueError(f"domain {name} is {state} and cannot be resumed: {held.replace('NAME', name)}")


def disk_trouble(target: str, source: str, error: int) -> str:
    """What is wrong with a disk, and the mend."""
    words, mend = _DISK_ERRORS.get(error, _DISK_ERRORS[1])
    return f"disk {target} ({source}): {words}; {mend.format(volume=source.partition('/')[0])}"


#: QEMU closes a gluster image for good once a flush of it failed, and from then on lists no block device at all
GIVEN_UP: t.Final = (
    "QEMU has given up a disk after a flush that failed, and its guest would get input/output errors for ever; end it"
    " (state: shut_off with force_stop: true) and start it anew, and tune its volume (gfapi.virt.gluster_volume_options"
    " with presets: [virt_store]), so that the write fails instead and the VM can go on"
)


def is_given_up(words: str) -> bool:
    """Whether QEMU's refusal to list its block devices says that it has given one up (7.2, 10.0)."""
    return "No medium found" in words or "is ejected" in words
