# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: the gluster mounts of this host, and the files there that domains have as disks.

Any gluster mount will do, be it of a storage domain or not.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _command,
    _conversion,
    _disk,
    _errors,
    _files,
    _image,
    _image_source,
    _json,
    _mount_table,
    _mounts,
)

#: vdsm's user and group, who own every image of an oVirt
OWNER: t.Final = (36, 36)
MODE: t.Final = 0o660
#: where libvirt's DAC driver keeps, while a domain runs, who owned a file before (since 5.0)
REMEMBERED: t.Final = "trusted.libvirt.security.dac"
LOOK_TIMEOUT_S: t.Final = 10
#: more of an image is not read to see whether it is empty
ALLOCATED_BYTES: t.Final = 1 << 20
#: no file is longer
MOST_BYTES: t.Final = 1 << 63


class ImagePaths:
    """Finds the image behind a file and the file behind an image, and has QEMU's user be able to open it."""

    def __init__(
        self,
        servers: _image_source.Servers,
        mounts: _mounts.Mounts | None = None,
        run_program: _command.Run = _command.run,
    ) -> None:
        self.servers = servers
        self._mounts = mounts or _mounts.Mounts()
        self._run = run_program

    def of_file(self, path: str, image_format: str) -> _conversion.BothWays | None:
        """The image; `None` for a file that lies on no gluster mount, or is not there."""
        found = self._place(path)
        if found is None:
            return None
        real, mount = found
        files = [(real, image_format), *self._below(real, image_format)]
        layers = []
        for file, kind in files:
            place = self._place(file)
            if place is None or place[1].spec.volume != mount.spec.volume:
                raise _errors.StorageError(f"image {real} builds on {file}, which is not on volume {mount.spec.volume}")
            relative = posixpath.relpath(place[0], place[1].point)
            inside = posixpath.join(place[1].spec.directory, relative)
            gluster = _disk.DiskSource.gluster(place[1].spec.volume, inside, self.servers.of(place[1]))
            layers.append((_disk.Layer(_disk.DiskSource(file=place[0]), kind), _disk.Layer(gluster, kind)))
        as_files, through = zip(*layers)
        return _conversion.BothWays(
            _conversion.Reached(as_files[0].source, as_files[1:]), _conversion.Reached(through[0].source, through[1:])
        )

    def of_gluster(self, source: _disk.DiskSource, image_format: str) -> _conversion.BothWays:
        """The same for a network disk; raises `StorageError` where its volume is not mounted on this host."""
        volume, path = source.volume_and_path
        hosts = {host.name for host in source.hosts}
        for mount in self._mounts.table():
            file = mount.file_of(volume, path)
            if file and hosts & set(self.servers.of(mount)):
                both = self.of_file(file, image_format)
                if both is not None:
                    return both
        raise _errors.StorageError(
            f"image {volume}/{path} is on no gluster mount of this host, of volume {volume} from"
            f" {', '.join(sorted(filter(None, hosts)))}; mount its volume (gfapi.virt.glusterfs_domain)"
        )

    def _place(self, path: str) -> tuple[str, _mount_table.Mount] | None:
        """A file without links on the way, and the gluster mount that it lies on."""
        # a child may hang on a dead mount instead of us
        with _files.explained(f"look for image {path}"):
            done = self._run(["realpath", "-e", "--", path], timeout_s=LOOK_TIMEOUT_S)
        if done.returncode != 0:
            return None
        real = done.stdout.rstrip("\n")
        table = _mounts.text_of(_mounts.TABLE)
        around = [point for point in _mount_table.mount_points(table) if real.startswith(point.rstrip("/") + "/")]
        mount = self._mounts.at(max(around, key=len, default=""))
        return (real, mount) if mount else None

    def _below(self, path: str, image_format: str) -> list[tuple[str, str]]:
        """What an image builds on, nearest first, with the formats that the headers name."""
        if image_format != "qcow2":
            return []
        argv = ["qemu-img", "info", "-U", "--backing-chain", "--output=json", "-f", "qcow2", path]
        with _files.explained(f"read the layers of image {path}"):
            done = self._run(argv, timeout_s=LOOK_TIMEOUT_S)
        if done.returncode != 0:
            raise _errors.StorageError(f"cannot read the layers of image {path}: {done.words}")
        chain = _json.rows(_json.parse(done.stdout))
        layers = []
        for above, below in zip(chain, chain[1:]):
            if "backing-filename-format" not in above:
                raise _errors.StorageError(
                    f"image {above.get('filename')} does not name the format of {below.get('filename')}, which it"
                    " builds on; a guest can forge what would be guessed; write it (qemu-img rebase -u -F)"
                )
            layers.append((str(below.get("filename")), str(above["backing-filename-format"])))
        return layers

    def sizes(self, image: _conversion.BothWays, image_format: str) -> tuple[int, int]:
        """What the guest sees of an image, and what all its layers take."""
        path = image.paths[0]
        with _files.explained(f"look at image {path}"):
            with _opened(path) as file:
                virtual = (
                    _image.virtual_size_in(file.read(32))
                    if image_format == "qcow2"
                    else os.fstat(file.fileno()).st_size
                )
            return virtual, sum(os.stat(layer).st_blocks * 512 for layer in image.paths)

    def is_empty(self, image: _conversion.BothWays, image_format: str) -> bool:
        """Whether nothing was ever written into an image."""
        path = image.paths[0]
        argv = ["qemu-img", "map", "-U", "--output=json", "-f", image_format, path]
        with _files.explained(f"look at image {path}"):
            done = self._run(argv, timeout_s=LOOK_TIMEOUT_S)
            if done.returncode != 0:
                raise _errors.StorageError(f"cannot look at image {path}: {done.words}")
            told = _json.rows(_mapped(path, done.stdout))
            parts = [_extent(path, part) for part in told if part.get("data") and not part.get("zero")]
            # the first block of a raw image is allocated when it is made
            if not told or sum(length for _offset, length in parts) > ALLOCATED_BYTES:
                return False
            with _opened(path) as file:
                return not any(any(os.pread(file.fileno(), length, offset)) for offset, length in parts)

    def require_apart(self, source: _conversion.BothWays, copy: _conversion.BothWays) -> None:
        """Raises `StorageError` where a copy would be written over what it is copied from, whatever it is called."""
        (volume, path), (other, new_path) = (one.gluster.source.volume_and_path for one in (source, copy))
        with _files.explained(f"compare image {source.paths[0]} with its copy"):
            # a file has one number on all mounts of its volume
            same = os.stat(source.paths[0]).st_ino == os.stat(copy.paths[0]).st_ino
        if volume == other and (path == new_path or same):
            raise _errors.StorageError(f"image {source.paths[0]} cannot be copied onto itself ({copy.paths[0]})")

    def faults(self, path: str) -> list[str]:
        """What keeps QEMU from opening a file through libgfapi, as what is to be done about it."""
        with _files.explained(f"look at image {path}"):
            status = os.stat(path)
            found = []
            if status.st_size % _image.BLOCK_BYTES:
                larger = status.st_size + -status.st_size % _image.BLOCK_BYTES
                found.append(f"lengthen image {path} from {status.st_size} to {larger} bytes")
            owner = _remembered(path) or (status.st_uid, status.st_gid)
            if owner != OWNER or status.st_mode & MODE != MODE:
                was = f"{owner[0]}:{owner[1]} {status.st_mode & 0o777:o}"
                found.append(f"give image {path} to {OWNER[0]}:{OWNER[1]} with mode {MODE:o} (was {was})")
            return found

    def repair(self, path: str) -> None:
        """Mend length, owner and mode, also of a file that QEMU has open through the same mount."""
        folder, _slash, name = path.rpartition("/")
        # no link on the way was one when it was found, and none that somebody put there since is followed
        with (
            _files.explained(f"repair image {path}"),
            _files.Directory.open("/") as root,
            root.below(folder) as directory,
        ):
            descriptor = directory.open_file(name, os.O_RDWR)
            try:
                _files.pad(descriptor, _image.BLOCK_BYTES)
                if _remembered(path):
                    # libvirt gives the file to this one when the domain ends
                    value = "+{}:+{}".format(*OWNER).encode()
                    os.setxattr(descriptor, REMEMBERED, value, os.XATTR_REPLACE)
                else:
                    os.fchown(descriptor, *OWNER)
                os.fchmod(descriptor, MODE)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _mapped(path: str, text: str) -> object:
    try:
        return _json.parse(text)
    except ValueError as exc:
        raise _errors.StorageError(f"cannot look at image {path}: qemu-img map: {exc}") from None


def _extent(path: str, part: dict[str, t.Any]) -> tuple[int, int]:
    """Where data of an image begin in its file, and how long they are."""
    offset, length = (_number(part.get(key)) for key in ("offset", "length"))
    # compressed data have no offset
    if offset < 0 or length < 0 or offset >= MOST_BYTES:
        raise _errors.StorageError(f"cannot look at image {path}: qemu-img map does not say where its data are: {part}")
    return offset, length


def _opened(path: str) -> t.BinaryIO:
    """A file of somebody's mount, to be read; a pipe put in its place would hold us for ever."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _errors.StorageError(f"image {path} is no regular file; put the image back")
    return file


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _remembered(path: str) -> tuple[int, int] | None:
    """Who owned a file before libvirt gave it to QEMU's user; `None` where it is nobody's now."""
    with contextlib.suppress(OSError, ValueError):
        uid, gid = os.getxattr(path, REMEMBERED).decode().rstrip("\0").split(":")
        return int(uid), int(gid)
    return None
