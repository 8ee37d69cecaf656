# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: files and directories by descriptor, so that no symbolic link is followed, and all or nothing.

Root works here on a tree that a less trusted user (36:36) owns; paths are therefore walked one name at a time.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import time
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _errors

#: uid and gid
Owner = tuple[int, int]
Asked = t.TypeVar("Asked")
Answer = t.TypeVar("Answer")
Found = t.TypeVar("Found")

_DIRECTORY: t.Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: t.Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: a rename onto a directory that is there says one or the other
ALREADY_THERE: t.Final = (errno.EEXIST, errno.ENOTEMPTY)
#: of storage/posix, for a file on a mount (10.3, 11.1): whether anybody has it open on the brick that answers
OPEN_COUNT: t.Final = "glusterfs.open-fd-count"
#: how long the bricks may have a file open after the last user closed it
LINGERS_S: t.Final = 3
#: how long a host may take a name for the file that it was; the kernel asks again after one second
REMEMBERED_S: t.Final = 5
#: a listing that crosses a rename has a brick (10.3) list the file that is gone, for good, and every host look for it
REWRITES: t.Final = 5
#: how much a FUSE client serves at once; more gain nothing
READERS: t.Final = 8
#: as many are asked for one after the other sooner than threads are started
FEW: t.Final = 16
MENDS: t.Final = {
    errno.ENOSPC: "free space or add bricks to the volume",
    errno.EDQUOT: "raise the quota or free space",
    errno.ENOTCONN: "the mount has lost its volume; is it started? gfapi.virt.glusterfs_domain mounts it again",
    errno.ESTALE: "it changed on the volume meanwhile; run again",
    errno.EROFS: "the volume is mounted or served read-only; see its quorum (gluster volume heal VOLUME info)",
    errno.EACCES: "run as root",
    errno.EPERM: "run as root",
    errno.ELOOP: "it is a symbolic link, and none is followed here; take it away, or put the file back",
    errno.ENOTDIR: "a symbolic link to one is not followed here; take it away, or put the directory back",
}


@contextlib.contextmanager
def explained(doing: str) -> t.Iterator[None]:
    """Turns a failure of the system or of a program inside into `cannot <doing>: <its words>; <mend>`."""
    try:
        yield
    except (OSError, _errors.CommandError) as exc:
        words = getattr(exc, "strerror", None) or str(exc)
        mends = (mend for number, mend in MENDS.items() if os.strerror(number) in words)
        raise _errors.StorageError("; ".join([f"cannot {doing}: {words}", *mends])) from exc


def at_once(function: t.Callable[[Asked], Answer], asked: t.Sequence[Asked]) -> list[Answer]:
    """`map` of what mostly waits for the bricks, several at once where they are many."""
    if len(asked) <= FEW:
        return list(map(function, asked))
    # not at the top: its import takes as long as the bricks do for a few
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(function, asked))


class Directory:
    """An open directory; every name is one step below it. Use it as a context, or `close` it."""

    def __init__(self, descriptor: int, path: str) -> None:
        self.descriptor = descriptor
        #: for programs and messages
        self.path = path

    @classmethod
    def open(cls, path: str) -> Directory:
        return cls(_open_directory(path, path), path)

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self.descriptor)

    def child(self, name: str) -> Directory:
        path = os.path.join(self.path, name)
        return Directory(_open_directory(name, path, self.descriptor), path)

    def below(self, path: str) -> Directory:
        """The directory some steps down; itself, opened once more, for an empty path."""
        current = Directory(os.dup(self.descriptor), self.path)
        for step in filter(None, path.split("/")):
            with current:
                current = current.child(step)
        return current

    def names(self) -> list[str]:
        return sorted(os.listdir(self.descriptor))

    def statuses(self) -> dict[str, os.stat_result]:
        """Every name with its status, in one pass: what the listing told need not be asked for one by one."""
        found = {}
        with os.scandir(self.descriptor) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    found[entry.name] = entry.stat(follow_symlinks=False)
        return dict(sorted(found.items()))

    def is_there(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def lists(self, name: str) -> bool:
        """Whether the bricks have it: a look at a name alone is answered for a second by what this host remembers."""
        return name in self.names()

    def stays(self, name: str) -> bool:
        """Whether the bricks have it and keep it: what another host takes away they may still list for a moment."""
        return lasting(lambda: self.lists(name))

    def as_it_is(self, name: str, look: t.Callable[[], Found]) -> Found:
        """The answer of a look at a name, asked again while this host takes it for a file that another one replaced.

        That fails as stale, or as missing though the bricks have it. `FileNotFoundError` is said of what they have not.
        """
        path = os.path.join(self.path, name)
        end = time.monotonic() + REMEMBERED_S
        listed = False
        while True:
            try:
                return look()
            except OSError as exc:
                if exc.errno not in (errno.ENOENT, errno.ESTALE):
                    raise
                late = time.monotonic() > end
                # not each time: a listing may bring back what is to be forgotten
                if not listed or late:
                    listed = self.lists(name)
                if not listed:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
                if late:
                    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path) from None
            time.sleep(0.02)  # the kernel tells nobody when it forgets

    def is_open(self, name: str) -> bool:
        """Whether a process of any host, also QEMU over gfapi, has a file open. Bricks tell; off Gluster it is not."""
        path = f"/proc/self/fd/{self.descriptor}/{name}"
        try:
            count = self.as_it_is(name, lambda: os.getxattr(path, OPEN_COUNT, follow_symlinks=False))
        except OSError as exc:
            if exc.errno in (errno.ENOTSUP, errno.ENODATA, errno.ENOENT):
                return False
            raise
        return count.rstrip(b"\0") != b"0"

    def make(self, name: str, mode: int, owner: Owner) -> Directory:
        """A new directory, open."""
        with _no_umask():
            os.mkdir(name, mode, dir_fd=self.descriptor)
        made = self.child(name)
        os.fchown(made.descriptor, *owner)
        return made

    def owner(self) -> Owner:
        status = os.fstat(self.descriptor)
        return status.st_uid, status.st_gid

    def open_file(self, name: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of a regular file."""
        # without O_NONBLOCK a pipe put there would hold us for ever
        path = os.path.join(self.path, name)
        try:
            descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.descriptor)
        except OSError as exc:
            if exc.errno == errno.ELOOP:
                raise OSError(errno.ELOOP, f"{path}: {os.strerror(errno.ELOOP)}") from None
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, f"{path} is no regular file")
        return descriptor

    def new_file(self, name: str, mode: int, owner: Owner) -> int:
        """A descriptor of a file that was not there."""
        with _no_umask():
            descriptor = os.open(name, _NEW_FILE, mode, dir_fd=self.descriptor)
        os.fchown(descriptor, *owner)
        return descriptor

    def read(self, name: str, limit_bytes: int, offset: int = 0) -> bytes:
        """What a file holds; one that another host replaces meanwhile is opened anew."""
        # performance.open-behind opens a file on the bricks when it is first read, and by then it may be another
        return self.as_it_is(name, lambda: self._read(name, limit_bytes, offset))

    def _read(self, name: str, limit_bytes: int, offset: int) -> bytes:
        descriptor = self.open_file(name)
        with os.fdopen(descriptor, "rb") as file:
            file.seek(offset)
            return file.read(limit_bytes)

    def write_new(
        self, name: str, data: bytes, mode: int, owner: Owner, *, offset: int = 0, size_bytes: int = 0
    ) -> None:
        """A new file with that data from `offset` on, on disk when this returns; what is behind is zero, and allocated.

        Without data it is a hole of that size.
        """
        with os.fdopen(self.new_file(name, mode, owner), "wb") as file:
            if not data:
                os.ftruncate(file.fileno(), size_bytes)
            elif size_bytes > offset + len(data):
                os.posix_fallocate(file.fileno(), offset, size_bytes - offset)
            file.seek(offset)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def replace_text(self, name: str, text: str, mode: int, owner: Owner) -> None:
        """The file's text anew, as `replace` has it."""
        self.replace(name, text.encode(errors="surrogateescape"), mode, owner)

    def replace(self, name: str, data: bytes, mode: int, owner: Owner) -> None:
        """The file anew: readers see the old one or the new one, after a crash too.

        It is written beside under a name of its own. What killed runs left of that kind is removed first.
        """
        _sweep_files(self, name)
        before = self._listed_inode(name)
        for _attempt in range(REWRITES):
            self._put(name, data, mode, owner)
            if before is None or self._listed_inode(name) != before:
                break
        self.sync()

    def _listed_inode(self, name: str) -> int | None:
        with os.scandir(self.descriptor) as entries:
            return next((entry.inode() for entry in entries if entry.name == name), None)

    def _put(self, name: str, data: bytes, mode: int, owner: Owner) -> None:
        fresh, descriptor = _locked_file(self, name, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchown(descriptor, *owner)
                file.write(data)
                file.flush()
                os.fsync(descriptor)
                # still locked
                self.as_it_is(fresh, lambda: self._rename(fresh, name))
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(fresh, dir_fd=self.descriptor)
            raise

    def _rename(self, name: str, new_name: str) -> None:
        os.rename(name, new_name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def sweep_files(self) -> None:
        """Remove what killed runs left of all files that were to be replaced."""
        _sweep_files(self, None)

    def sync(self) -> None:
        os.fsync(self.descriptor)

    def move(self, name: str, destination: Directory, new_name: str) -> bool:
        """Rename a directory; `False` if one with something in it is there already."""
        try:
            os.rename(name, new_name, src_dir_fd=self.descriptor, dst_dir_fd=destination.descriptor)
        except OSError as exc:
            if exc.errno in ALREADY_THERE:
                return False
            raise
        destination.sync()
        return True

    def remove_tree(self, name: str) -> None:
        """Remove a directory and all below it; what is gone already is well, or what another run removes."""
        with _unless_gone(), self.child(name) as directory:
            for entry in directory.names():
                directory.remove(entry)
            os.rmdir(name, dir_fd=self.descriptor)

    def remove(self, name: str) -> None:
        """Remove a file, a link (not what it points to) or a whole directory."""
        with _unless_gone():
            kind = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mode
            if stat.S_ISDIR(kind):
                self.remove_tree(name)
            else:
                os.unlink(name, dir_fd=self.descriptor)


def _open_directory(name: str, path: str, parent: int | None = None) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except NotADirectoryError:
        raise NotADirectoryError(errno.ENOTDIR, f"{path}: {os.strerror(errno.ENOTDIR)}") from None


@contextlib.contextmanager
def _no_umask() -> t.Iterator[None]:
    # one round trip to the bricks less than a chmod
    previous = os.umask(0)
    try:
        yield
    finally:
        os.umask(previous)


def lasting(look: t.Callable[[], Found]) -> Found:
    """What a look for open files, dead runs' finds or a name tells once what has just gone is out of it."""
    end = time.monotonic() + LINGERS_S
    while True:
        found = look()
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.1)  # a brick tells nobody of a close, or of what another host takes away


#: VDSM looks for names that begin with no dot
def _random_name() -> str:
    # the secrets module would cost more to import than an image to make
    return os.urandom(4).hex()


_STAGING: t.Final = ".gfapi-virt-"
#: the first to come and, by its name, the last to go: a directory without it is empty
_LOCK: t.Final = "~lock"


@contextlib.contextmanager
def staging(parent: Directory, key: str) -> t.Iterator[Directory]:
    """A new directory in which to build what is renamed into place when whole; gone at the end.

    What killed runs left under the same key is removed first. A run holds a lock in its directory while it lives
    (gluster passes it on to the other hosts), so a directory whose lock is free has lost its owner.
    """
    sweep(parent, key)
    directory, lock = _locked_directory(parent, f"{_STAGING}{key}-")
    try:
        with directory:
            yield directory
    finally:
        with contextlib.suppress(OSError):
            parent.remove_tree(os.path.basename(directory.path))
        release(lock)


@contextlib.contextmanager
def _unless_gone() -> t.Iterator[None]:
    """What is in a directory that another run removes at this moment, be that of another host: stale for us then."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in (errno.ENOENT, errno.ESTALE):
            raise


def _locked_directory(parent: Directory, prefix: str) -> tuple[Directory, int]:
    while True:
        name = prefix + _random_name()
        os.mkdir(name, 0o700, dir_fd=parent.descriptor)
        # another run takes it for a dead one's if it looks between two of our steps
        with _unless_gone():
            directory = parent.child(name)
            lock = _lock_in(directory)
            if lock is not None:
                return directory, lock
            directory.close()


def _lock_in(directory: Directory) -> int | None:
    """A lock in a new directory; `None` if another run removes it."""
    with _unless_gone():
        lock = os.open(_LOCK, _NEW_FILE, 0o600, dir_fd=directory.descriptor)
        with contextlib.suppress(BlockingIOError), _unless_gone():
            _try_lock(lock)
            if directory.is_there(_LOCK):
                return lock
        release(lock)
    return None


def unowned(parent: Directory, key: str | None = None) -> list[str]:
    """The staging directories whose runs are dead; of one key, or of all."""
    prefix = _STAGING if key is None else f"{_STAGING}{key}-"
    names = (name for name in parent.names() if name.startswith(prefix) and _is_directory(parent, name))
    found = [name for name in names if not has_owner(parent, name)]
    # one that its run removes at this moment has lost its lock, and is gone by now
    return [name for name in found if _is_directory(parent, name)]


def remove_unowned(parent: Directory, name: str) -> None:
    """Remove such a directory, if it still has no owner."""
    with contextlib.suppress(OSError):
        _remove_if_ownerless(parent, name)


def _is_directory(parent: Directory, name: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return stat.S_ISDIR(os.stat(name, dir_fd=parent.descriptor, follow_symlinks=False).st_mode)
    return False


def sweep(parent: Directory, key: str) -> None:
    """Remove what killed runs left of that key."""
    for name in parent.names():
        if staging_key(name) == key:
            remove_unowned(parent, name)


def _remove_if_ownerless(parent: Directory, name: str) -> None:
    with parent.child(name) as directory:
        if not directory.is_there(_LOCK):
            # not all below it: its owner may be about to make the lock
            os.rmdir(name, dir_fd=parent.descriptor)
            return
        lock = directory.open_file(_LOCK, os.O_RDWR)
    try:
        _try_lock(lock)
        parent.remove_tree(name)
    finally:
        release(lock)


def _locked_file(parent: Directory, name: str, mode: int) -> tuple[str, int]:
    """A new file to become `name`: its own name, and a descriptor that holds its lock."""
    while True:
        fresh = f".{name}.{_random_name()}"
        with _no_umask():
            descriptor = os.open(fresh, _NEW_FILE, mode, dir_fd=parent.descriptor)
        # another run takes it for a dead one's if it looks before the lock is there
        with contextlib.suppress(BlockingIOError):
            _try_lock(descriptor)
            if parent.is_there(fresh):
                return fresh, descriptor
        release(descriptor)


def _sweep_files(parent: Directory, name: str | None) -> None:
    """Remove what was to become `name`, or any file (`None`), and whose lock is free."""
    left = re.compile((r"\..+\." if name is None else re.escape(f".{name}.")) + "[0-9a-f]{8}")
    for found in filter(left.fullmatch, parent.names()):
        with contextlib.suppress(OSError):
            descriptor = parent.open_file(found, os.O_RDWR)
            try:
                _try_lock(descriptor)
                os.unlink(found, dir_fd=parent.descriptor)
            finally:
                release(descriptor)


def is_staging(name: str) -> bool:
    """Whether a name is that of a directory that a run builds in, or built in before it was killed."""
    return name.startswith(_STAGING)


def staging_key(name: str) -> str:
    """What is built in a staging directory of that name; empty for any other name."""
    return name[len(_STAGING) :].rpartition("-")[0] if is_staging(name) else ""


def has_owner(parent: Directory, name: str) -> bool:
    """Whether the run that builds in a staging directory lives."""
    with _unless_gone(), contextlib.suppress(NotADirectoryError), parent.child(name) as directory:
        return is_locked(directory, _LOCK)
    return False


def is_locked(directory: Directory, name: str) -> bool:
    """Whether a run has the lock of a file; nobody has that of one that is not there, or goes at this moment."""
    with _unless_gone():
        lock = directory.open_file(name)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            # the bricks hear of a close later, and whoever wants to remove it then would take us for the owner
            fcntl.flock(lock, fcntl.LOCK_UN)
        except BlockingIOError:
            return True
        finally:
            release(lock)
    return False


def _try_lock(descriptor: int) -> None:
    """Raises `BlockingIOError` while another open file has it, and `FileNotFoundError` once the file is deleted."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        # performance.open-behind opens a file on the bricks when it is first locked, and by then it may be gone
        if exc.errno == errno.ESTALE:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
        raise


def release(lock: int) -> None:
    """Close a file that was open for its lock. It is closed also where that fails, as it does when it was deleted."""
    with contextlib.suppress(OSError):
        os.close(lock)


def take_lock(descriptor: int, end: float) -> bool:
    """Wait for the lock of a file until a time of the monotonic clock (0 for one attempt); whether it was given.

    Raises `FileNotFoundError` where the file was deleted after it was opened.
    """
    while True:
        with contextlib.suppress(BlockingIOError):
            _try_lock(descriptor)
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.2)  # a call that waits for the lock itself could not be ended


def pad(descriptor: int, multiple: int) -> int:
    """Lengthen a file to a multiple, and its length then; it can only grow, even where QEMU is allocating at its end.

    QEMU's gluster driver cannot read the last bytes of a file whose length is not a multiple of 512.
    """
    size_bytes = os.fstat(descriptor).st_size
    excess = size_bytes % multiple
    if excess:
        os.posix_fallocate(descriptor, size_bytes + multiple - excess - 1, 1)
    return os.fstat(descriptor).st_size
