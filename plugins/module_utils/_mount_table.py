# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gluster mounts as values: the mount table, mount options, and what a client's log tells. Pure: no I/O.

mount.glusterfs (10.3) reads an IPv6 volfile server without brackets and backup servers with them.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec, format_host

BACKUP_OPTION: t.Final = "backup-volfile-servers"

_OPTION = re.compile(r"[A-Za-z0-9_-]+(=[^\s,]+)?")
_LOG_LINE = re.compile(r"\[[0-9- :.+]+\] E (?:\[MSGID: [0-9]+\] )?\[[^\]]*\] [^ ]*: (.*)")
#: words of the log → mend
MENDS: t.Final = (
    ("failed to fetch volume file", "does {server} serve a volume {volume}? see gluster volume list"),
    ("failed to get the port number", "start it: gluster volume start {volume}"),
    ("first lookup on root failed", "are its bricks up? see gluster volume status {volume}"),
    ("DNS resolution failed", "name a server that resolves on this host"),
    ("subdirectory for mount", "is there a directory /{directory} on volume {volume}?"),
)
UNREACHABLE: t.Final = "is glusterd running on {server}, and does this host reach its port 24007?"


@dataclass(frozen=True)
class Mount:
    """A gluster mount as the table has it: of several servers it names the first."""

    spec: VolumeSpec
    point: str


@dataclass(frozen=True)
class Space:
    """How large the volume behind a mount is, and how much of it is free."""

    size_bytes: int
    free_bytes: int


def parse_table(text: str) -> tuple[Mount, ...]:
    """The gluster mounts in `/proc/self/mounts`, in the order they were made."""
    rows = (line.split(" ") for line in text.splitlines())
    return tuple(
        Mount(_spec_in_table(_unescape(row[0])), _unescape(row[1]))
        for row in rows
        if len(row) > 2 and row[2] == "fuse.glusterfs" and ":" in row[0]
    )


def _spec_in_table(text: str) -> VolumeSpec:
    # an IPv6 server stands there without brackets; the last colon is the one before the volume
    server, _colon, location = text.rpartition(":")
    volume, _slash, directory = location.strip("/").partition("/")
    return VolumeSpec((server,), volume.removesuffix(".rdma"), directory)


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def mount_options(spec: VolumeSpec, options: t.Sequence[str]) -> list[str]:
    """The options as asked for, and the spec's further servers as backups unless the user named some.

    Raises `ValueError` for what mount.glusterfs would split or refuse.
    """
    for option in options:
        if not _OPTION.fullmatch(option):
            raise ValueError(f"mount option {option!r} is not name or name=value without blanks and commas")
    backups = [format_host(server) for server in spec.servers[1:]]
    if not backups or any(option.startswith(f"{BACKUP_OPTION}=") for option in options):
        return list(options)
    return [*options, f"{BACKUP_OPTION}={':'.join(backups)}"]


def last_error(log: str) -> str:
    """The last error in a client's log that tells the cause, else the last one; without time and place, maybe empty."""
    errors = [match[1] for match in map(_LOG_LINE.fullmatch, log.splitlines()) if match]
    errors = [error for error in errors if any(words in error for words, _mend in MENDS)] or errors
    return errors[-1].strip().removesuffix("[]").strip() if errors else ""


def mend_for(log: str, spec: VolumeSpec) -> str:
    """What to do about the errors in a client's log."""
    text = next((mend for words, mend in MENDS if words in log), UNREACHABLE)
    return text.format(server=" or ".join(spec.servers), volume=spec.volume, directory=spec.directory)
