# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: processes and files of this host that tell how a volume runs: its bricks here, mounts and QEMU."""

from __future__ import annotations

import contextlib
import glob
import gzip
import mmap
import os
import typing as t
import uuid as uuids
import zlib

from ansible_collections.gfapi.virt.plugins.module_utils import _files, _mounts, _volfile, _volume, _volume_use

VOLUMES: t.Final = "/var/lib/glusterd/vols"
PROCESSES: t.Final = "/proc"
#: a brick's graph has some 6 KiB
GRAPH_LIMIT: t.Final = 1 << 20
#: uuid of the volume
VOLUME_MARK: t.Final = "trusted.glusterfs.volume-id"
#: in this order
MARKS: t.Final = ("trusted.gfid", VOLUME_MARK)


class VolumeHere:
    """What this host shows of a volume. All that is told is read, nothing asked."""

    def __init__(
        self, *, volumes: str = VOLUMES, processes: str = PROCESSES, mounts: _mounts.Mounts | None = None
    ) -> None:
        self._volumes = volumes
        self._processes = processes
        self._mounts = mounts or _mounts.Mounts()

    def use(self, volume: str) -> _volume_use.HostUse:
        """Mounts of the volume, and virtual machines with a disk on it."""
        mounts = tuple(mount.point for mount in self._mounts.table() if mount.spec.volume == volume)
        vms = [_volume_use.vm_of(argv, volume, mounts) for argv in self._commands()]
        return _volume_use.HostUse(mounts, tuple(sorted(name for name in vms if name)))

    def rebalances(self, volume: str) -> bool:
        """Whether this host moves files of the volume, to new bricks or off old ones."""
        return any(argv[0].endswith("/glusterfs") and f"rebalance/{volume}" in argv for argv in self._commands())

    def left_behind(self, volume: str) -> dict[tuple[str, str], tuple[str | None, str | None]]:
        """Options of translators that a brick here runs with otherwise than glusterd has them written.

        A brick whose log does not reach back to its start (they are kept for a week) shows none.
        """
        found: dict[tuple[str, str], tuple[str | None, str | None]] = {}
        for argv in self._commands():
            words = dict(zip(argv, argv[1:]))
            identity = words.get("--volfile-id", "")
            if not (argv[0].endswith("glusterfsd") and identity.startswith(f"{volume}.")):
                continue
            running = _logged_graph(words.get("-l", ""))
            with contextlib.suppress(OSError):
                written = _volfile.parse(_text_of(f"{self._volumes}/{volume}/{identity}.vol"))
                found.update(_volfile.differences(written, running) if running else {})
        return found

    def root_owner(self, volume: _volume.Volume, own_uuid: str) -> tuple[int, int] | None:
        """Uid and gid of the root of a volume, told by a brick of this host; `None` without one."""
        for path in _paths_here(volume, own_uuid):
            with contextlib.suppress(OSError):
                found = os.stat(path)
                return found.st_uid, found.st_gid
        return None

    def storage_domains(self, volume: _volume.Volume, directory: str, own_uuid: str) -> list[str] | None:
        """The storage domains on a volume, told by a brick of this host, stopped or not; `None` without a brick.

        Each brick has all directories.
        """
        mine = _paths_here(volume, own_uuid)
        if not mine:
            return None
        found = {path.split("/")[-2] for root in mine for path in glob.iglob(_dom_md(root, directory))}
        return sorted(found)

    def names(self, volume: _volume.Volume, own_uuid: str) -> list[str]:
        """What lies in the roots of the bricks of this host."""
        mine = _paths_here(volume, own_uuid)
        found = set()
        for path in mine:
            with _files.explained(f"read what is in brick {path}"), contextlib.suppress(FileNotFoundError):
                found.update(os.listdir(path))
        return sorted(found)

    def bricks(self, volume: _volume.Volume, own_uuid: str) -> list[str]:
        """The bricks of this host that carry the volume's mark, so hold its data."""
        mine = _paths_here(volume, own_uuid)
        return [path for path in mine if _mark_of(path) == uuids.UUID(volume.uuid).bytes]

    def purge(self, volume: _volume.Volume, paths: t.Sequence[str]) -> None:
        """Remove the data in bricks of a stopped volume. The mark goes last, so that the next run goes on."""
        for path in paths:
            with (
                _files.explained(f"remove the data in brick {path} of volume {volume.name}"),
                _files.Directory.open(path) as brick,
            ):
                for name in brick.names():
                    brick.remove(name)
                try:
                    os.rmdir(path)
                except OSError:
                    # one that is a mount point stays
                    for attribute in MARKS:
                        with contextlib.suppress(OSError):
                            os.removexattr(brick.descriptor, attribute)

    def _commands(self) -> t.Iterator[list[str]]:
        for name in os.listdir(self._processes):
            if name.isdigit():
                with contextlib.suppress(OSError):
                    text = _text_of(f"{self._processes}/{name}/cmdline").rstrip("\0")
                    if text:
                        yield text.split("\0")


def _paths_here(volume: _volume.Volume, own_uuid: str) -> list[str]:
    """The bricks that this host has; none where there is no glusterd."""
    return [brick.path for brick in volume.bricks if own_uuid and brick.peer == own_uuid]


def _dom_md(brick: str, directory: str) -> str:
    return os.path.join(glob.escape(os.path.join(brick, directory)), "*", "dom_md")


def _mark_of(path: str) -> bytes:
    """Which volume a directory is a brick of."""
    try:
        return os.getxattr(path, VOLUME_MARK)
    except OSError:
        return b""


def _logged_graph(log: str) -> dict[tuple[str, str], str] | None:
    """The graph that was logged last, be it in a log that was put aside since."""
    aside = sorted(glob.glob(f"{glob.escape(log)}.*"), key=_age_s) if log else []
    for path in (log, *aside):
        with contextlib.suppress(OSError, EOFError, zlib.error):
            tail = _tail_of(path)
            if tail:
                return _volfile.last_logged(tail)
    return None


def _age_s(path: str) -> float:
    with contextlib.suppress(OSError):
        return -os.stat(path).st_mtime
    return 0


def _tail_of(log: str) -> str:
    """A log from its last graph on, or from the start of a brick that has none yet."""
    with open(log, "rb") as file:
        if log.endswith(".gz"):
            return _tail(gzip.GzipFile(fileobj=file).read())
        if os.fstat(file.fileno()).st_size == 0:
            return ""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            return _tail(text)


def _tail(text: bytes | mmap.mmap) -> str:
    start = max(text.rfind(words.encode()) for words in (_volfile.FINAL_GRAPH, _volfile.STARTED))
    return text[start : start + GRAPH_LIMIT].decode("utf-8", "replace") if start >= 0 else ""


def _text_of(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
