# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a gluster volume is mounted: options, the line of `/etc/fstab`, what a client's log tells. Pure: no I/O.

mount.glusterfs (10.3) reads an IPv6 volfile server without brackets and backup servers with them.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _mount_table, _uri

BACKUP_OPTION: t.Final = "backup-volfile-servers"

#: a host that serves the volume itself starts its glusterd first
BOOT_OPTIONS: t.Final = ("_netdev", "nofail", "x-systemd.after=glusterd.service")
#: on every client's command line
NOT_OPTIONS: t.Final = ("--process-name", "--volfile-server=", "--volfile-id=", "--subdir-mount=")
KERNEL: t.Final = "--fuse-mountopts="
#: mount options that no client is told as an option
SILENT: t.Final = frozenset(("_netdev", "rw", "auto", "noauto", "nofail", BACKUP_OPTION, "backupvolfile-server"))
_KERNEL: t.Final = (
    "atime noatime diratime nodiratime relatime norelatime strictatime nostrictatime lazyatime nolazyatime"
    " dev nodev exec noexec suid nosuid auto_unmount"
)
KERNEL_OPTIONS: t.Final = frozenset(_KERNEL.split())
_FLAGS: t.Final = ("acl", "selinux", "worm", "enable-ino32", "mem-accounting", "aux-gfid-mount", "thin-client")
#: mount option → option of the client
FLAGS: t.Final = {
    **{name: name for name in (*_FLAGS, "resolve-gids", "global-threading", "localtime-logging")},
    "ro": "read-only",
    "fopen-keep-cache": "fopen-keep-cache=true",
}
_VALUED: t.Final = (
    "log-level log-file direct-io-mode use-readdirp event-history reader-thread-count auto-invalidation"
    " attribute-timeout entry-timeout negative-timeout gid-timeout lru-limit invalidate-limit background-qlen"
    " congestion-threshold oom-score-adj kernel-writeback-cache attr-times-granularity dump-fuse"
    " fuse-flush-handle-interrupt io-engine"
)
VALUED: t.Final = {
    **{name: name for name in _VALUED.split()},
    "fetch-attempts": "volfile-max-fetch-attempts",
    "server-port": "volfile-server-port",
}

_OPTION = re.compile(r"[A-Za-z0-9_-]+(=[^\s,]+)?")
_LOG_LINE = re.compile(r"\[[0-9- :.+]+\] E (?:\[MSGID: [0-9]+\] )?\[[^\]]*\] [^ ]*: (.*)")
#: of the log: bricks that are down, or that the client did not reach in time
FEW_BRICKS: t.Final = "first lookup on root failed"
#: words of the log → mend
MENDS: t.Final = (
    ("failed to fetch volume file", "does {server} serve a volume {volume}? see gluster volume list"),
    ("failed to get the port number", "start it: gluster volume start {volume}"),
    (FEW_BRICKS, "are its bricks up? see gluster volume status {volume}"),
    ("DNS resolution failed", "name a server that resolves on this host"),
    ("subdirectory for mount", "is there a directory /{directory} on volume {volume}?"),
)
UNREACHABLE: t.Final = "is glusterd running on {server}, and does this host reach its port 24007?"


def mount_options(spec: _uri.VolumeSpec, options: t.Sequence[str]) -> list[str]:
    """The options as asked for, and the spec's further servers as backups unless the user named some.

    Raises `ValueError` for what mount.glusterfs would split or refuse.
    """
    for option in options:
        if not _OPTION.fullmatch(option):
            raise ValueError(f"mount option {option!r} is not name or name=value without blanks and commas")
    backups = [_uri.format_host(server) for server in spec.servers[1:]]
    if not backups or any(option.startswith(f"{BACKUP_OPTION}=") for option in options):
        return list(options)
    return [*options, f"{BACKUP_OPTION}={':'.join(backups)}"]


def source_of(spec: _uri.VolumeSpec) -> str:
    """What mount is told to mount."""
    return str(spec).replace("[", "").replace("]", "")


def told_options(argv: t.Sequence[str]) -> frozenset[str]:
    """What a client was told beside its servers and volume, as on its command line; kernel options one by one."""
    words = [word for word in argv[1:-1] if word.startswith("--") and not word.startswith(NOT_OPTIONS)]
    kernel = [word for word in words if word.startswith(KERNEL)]
    singly = {KERNEL + option for word in kernel for option in word[len(KERNEL) :].split(",")}
    return frozenset(singly.union(word for word in words if word not in kernel))


def told_by(options: t.Sequence[str]) -> frozenset[str] | None:
    """What mount.glusterfs (10.3, 11.1) tells a client for these options; `None` for one that we do not know."""
    words = set()
    for option in options:
        name, _equals, value = option.partition("=")
        if name in SILENT or name.startswith("x-"):
            continue
        if option in KERNEL_OPTIONS:
            words.add(KERNEL + option)
        elif option in FLAGS:
            words.add(f"--{FLAGS[option]}")
        elif value and name in VALUED:
            words.add(f"--{VALUED[name]}={value.upper() if name == 'log-level' else value}")
        else:
            return None
    return frozenset(words)


def entry_in(fstab: str, point: str) -> str | None:
    """The line of `/etc/fstab` for a mount point."""
    return next((line for line in fstab.split("\n") if _point_of(line) == point), None)


def with_entry(fstab: str, point: str, entry: str | None) -> str:
    """`/etc/fstab` with that line for a mount point instead of those that are there; `None` is for no line."""
    # with their ends; not splitlines(): a form feed in somebody's comment would end it
    lines = re.findall(r"[^\n]*\n|[^\n]+", fstab)
    places = [number for number, line in enumerate(lines) if _point_of(line) == point]
    kept = [line for number, line in enumerate(lines) if number not in places]
    if entry is not None:
        place = places[0] if places else len(kept)
        if place and not kept[place - 1].endswith("\n"):
            kept[place - 1] += "\n"
        kept.insert(place, f"{entry}\n")
    return "".join(kept)


def _point_of(line: str) -> str | None:
    fields = line.split()
    return None if len(fields) < 2 or fields[0].startswith("#") else _mount_table.unescape(fields[1])


def boot_entry(spec: _uri.VolumeSpec, point: str, options: t.Sequence[str]) -> str:
    """The line of `/etc/fstab` that mounts a volume when the host starts, which goes on without it."""
    words = [*mount_options(spec, options), *BOOT_OPTIONS]
    return f"{source_of(spec)} {point} glusterfs {','.join(dict.fromkeys(words))} 0 0"


def does_mount(entry: str | None, spec: _uri.VolumeSpec, options: t.Sequence[str] | None) -> bool:
    """Whether a line mounts that volume, with those options where they matter; it may name more servers."""
    fields = (entry or "").split()
    if len(fields) < 4 or fields[0] != source_of(spec) or fields[2] != "glusterfs":
        return False
    words = set(fields[3].split(","))
    if "noauto" in words or not words.issuperset(mount_options(spec, options or ())):
        return False
    more = {word for word in words.difference(options or (), BOOT_OPTIONS) if not word.startswith(f"{BACKUP_OPTION}=")}
    return options is None or not more


def last_error(log: str) -> str:
    """The last error in a client's log that tells the cause, else the last one; without time and place, maybe empty."""
    errors = [match[1] for match in map(_LOG_LINE.fullmatch, log.splitlines()) if match]
    errors = [error for error in errors if any(words in error for words, _mend in MENDS)] or errors
    return errors[-1].strip().removesuffix("[]").strip() if errors else ""


def mend_for(log: str, spec: _uri.VolumeSpec) -> str:
    """What to do about the errors in a client's log."""
    text = next((mend for words, mend in MENDS if words in log), UNREACHABLE)
    return text.format(server=" or ".join(spec.servers), volume=spec.volume, directory=spec.directory)
