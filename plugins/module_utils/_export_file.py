# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: a file of this host that a disk is exported to. It appears whole, and one that is there stays."""

from __future__ import annotations

import contextlib
import fcntl
import os
import posixpath
import re
import stat
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _errors, _files, _image, _qemu_img

MODE: t.Final = 0o600
LOCKED_BYTE: t.Final = 1 << 62
#: where the images of a storage domain are, and nothing else
_IMAGES: t.Final = re.compile(r"/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/images(/|$)")


def is_exported(path: str) -> bool:
    """Whether there is a file; raises `ValueError` for what cannot become one."""
    if not path.startswith("/"):
        raise ValueError(f"dest {path!r} is not an absolute path of a file on this host")
    folder = posixpath.dirname(path)
    if not os.path.isdir(folder):
        raise ValueError(f"dest {path}: there is no directory {folder} on this host; make it first")
    if _IMAGES.search(os.path.realpath(folder)):
        raise ValueError(f"dest {path} is among the images of a storage domain; name another place")
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            raise ValueError(f"dest {path} is a symbolic link to nothing; take it away, or name another") from None
        if len(posixpath.basename(_growing(path)).encode()) > os.pathconf(folder, "PC_NAME_MAX"):
            raise ValueError(
                f"dest {path} has too long a name for what it is called while it grows; name another"
            ) from None
        return False
    except OSError as exc:
        raise ValueError(f"dest {path}: {exc.strerror}; name another") from exc
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"dest {path} is no regular file; name another")
    return True


def is_left(path: str) -> bool:
    """Whether a killed run left its own name of the file, which no run exports to at this moment."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(OSError), os.fdopen(os.open(_growing(path), flags), "rb+") as file:
        _lock(file)
        found = os.fstat(file.fileno())
        return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
    return False


def clear(path: str) -> None:
    """Remove that name, if it is still such a one."""
    if is_left(path):
        os.unlink(_growing(path))


def _lock(file: t.BinaryIO) -> None:
    """Raises `BlockingIOError` where another run has it.

    Of one byte far behind those that qemu-img locks: on gluster a lock of the whole file keeps it out (7.2 on 10.3).
    """
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, LOCKED_BYTE)


def _growing(path: str) -> str:
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".{name}.gfapi-virt")


def _sync_folder(path: str) -> None:
    descriptor = os.open(posixpath.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_room(qemu_img: _qemu_img.QemuImg, path: str, source: _image.Source) -> None:
    """Raises `StorageError` where what the image holds does not fit."""
    folder = posixpath.dirname(path)
    with _files.explained(f"read how much is free in {folder}"):
        space = os.statvfs(folder)
    free_bytes = space.f_bavail * space.f_frsize
    needed_bytes = qemu_img.required_bytes(source, "qcow2")
    if needed_bytes > free_bytes:
        raise _errors.StorageError(
            f"dest {path} would take {_image.size_text(needed_bytes)},"
            f" and {_image.size_text(free_bytes)} are free in {folder}"
        )


def export(qemu_img: _qemu_img.QemuImg, source: _image.Source, path: str, image_format: str) -> None:
    """One file with all that an image and the layers below it hold; raises `StorageError` where one came meanwhile."""
    growing = _growing(path)
    # nobody else may have read what a killed run left, nor put it there
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with _files.explained(f"export to {path}"), os.fdopen(os.open(growing, flags, MODE), "rb+") as file:
        try:
            _lock(file)
        except BlockingIOError:
            raise _errors.StorageError(f"another run exports to {path} at this moment; wait for it") from None
        opened = os.fstat(file.fileno())
        is_ours = opened.st_uid == os.geteuid() and opened.st_nlink == 1
        if not is_ours or not os.path.samestat(opened, os.stat(growing, follow_symlinks=False)):
            raise _errors.StorageError(f"{growing} is another's file; take it away, or name another dest than {path}")
        try:
            os.fchmod(file.fileno(), MODE)
            qemu_img.convert(source, growing, image_format, "", doing=f"export {source.path} to {path}")
            os.fsync(file.fileno())
            os.link(growing, path, follow_symlinks=False)
            _sync_folder(path)
        except FileExistsError:
            raise _errors.StorageError(f"{path} was made meanwhile by another program; it stays as it is") from None
        finally:
            os.unlink(growing)
