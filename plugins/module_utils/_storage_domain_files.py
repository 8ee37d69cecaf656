# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: the files of a storage domain, on a mount that answers.

It appears and goes by one rename of a whole directory, so a killed run leaves nothing that looks like a storage domain,
and of two hosts that make it at the same moment one wins and the other finds it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import time
import typing as t
import uuid as uuids

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _errors,
    _files,
    _storage_domain,
    _storage_domain_layout,
    _storage_domain_read,
    _uri,
)

if t.TYPE_CHECKING:
    import mmap

WHOLE: t.Final = "whole"
PROBE: t.Final = "probe"
_LOCK_FLAGS: t.Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: an upgrade rewrites the .meta of every image
LOCK_TIMEOUT_S: t.Final = 60
_PROBE_FLAGS: t.Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_DIRECT | os.O_DSYNC | os.O_CLOEXEC


def others(point: str, uuid: str | None) -> tuple[str, ...]:
    """What else than a storage domain lies on a mount."""
    with _files.explained(f"read what is on {point}"), _files.Directory.open(point) as root:
        return _storage_domain.foreign(root.names(), uuid)


def read_owner(point: str) -> _files.Owner:
    """Who owns the root of the mount."""
    with _files.explained(f"read the owner of {point}"):
        status = os.stat(point)
        return status.st_uid, status.st_gid


def own(point: str, owner: _files.Owner) -> None:
    """Give the root of the mount away."""
    with _files.explained(f"set the owner of {point}"):
        os.chown(point, *owner)


def lay_out(point: str, name: str, spec: _uri.VolumeSpec, owner: _files.Owner) -> _storage_domain.StorageDomain:
    """Make a storage domain, or find the one that another host makes at this moment."""
    with _files.explained(f"lay out storage domain {name} on {point}"), _files.Directory.open(point) as root:
        uuid = _claimed_uuid(root)
        with _files.staging(root, "storage-domain") as stage:
            made = _storage_domain.StorageDomain.new(uuid, name, spec, _block_size(stage))
            _build(stage, made, owner)
            # VDSM knows nothing of our claim
            if _storage_domain_read.read(point) is None:
                stage.move(WHOLE, root, made.uuid)
    return _storage_domain_read.require_named(point, name)


def change(
    point: str, name: str, changed_from: t.Callable[[_storage_domain.StorageDomain], _storage_domain.StorageDomain]
) -> None:
    """Rewrite the metadata of a storage domain in one step, from what they are at that moment."""
    doing = f"change the metadata of storage domain {name} on {point}"
    with _files.explained(doing), _files.Directory.open(point) as root, locked(root):
        found = as_it_is(root, name)
        write(root, found, changed_from(found))


def write(root: _files.Directory, found: _storage_domain.StorageDomain, wanted: _storage_domain.StorageDomain) -> None:
    """The metadata, where they are to be others; the caller has the lock."""
    folder, file = posixpath.split(_storage_domain.METADATA)
    with root.below(f"{found.uuid}/{folder}") as directory:
        if wanted != found:
            directory.replace_text(file, wanted.to_text(), _storage_domain.METADATA_MODE, directory.owner())


@contextlib.contextmanager
def locked(root: _files.Directory) -> t.Iterator[None]:
    """Alone, among the runs of all hosts, in what changes a storage domain.

    Gluster passes the lock on to the other hosts, and ends it with the process or the client that has it.
    """
    lock = _locked(root)
    try:
        yield
    finally:
        _files.release(lock)


def _locked(root: _files.Directory) -> int:
    end = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        with contextlib.ExitStack() as held:
            lock = os.open(_storage_domain.LOCK, _LOCK_FLAGS, 0o600, dir_fd=root.descriptor)
            held.callback(_files.release, lock)
            try:
                if not _files.take_lock(lock, end):
                    raise _errors.StorageError(
                        f"another run has changed what is on {root.path} for {LOCK_TIMEOUT_S} s"
                        f" (it holds {_storage_domain.LOCK}); wait for it, or end it"
                    )
                if _fresh_status(root, _storage_domain.LOCK).st_ino == os.fstat(lock).st_ino:
                    held.pop_all()
                    return lock
            except FileNotFoundError:
                # the run that had it may have removed the storage domain, and the lock's file with it
                if time.monotonic() > end:
                    raise


def _fresh_status(root: _files.Directory, name: str) -> os.stat_result:
    root.names()  # asks the bricks, see Directory.lists
    return os.stat(name, dir_fd=root.descriptor, follow_symlinks=False)


def as_it_is(root: _files.Directory, name: str) -> _storage_domain.StorageDomain:
    """The storage domain as another host that just had the lock left it."""
    with root.below(f"{_storage_domain_read.require_named(root.path, name).uuid}/{_storage_domain.FOLDER}") as folder:
        folder.names()  # as above
    return _storage_domain_read.require_named(root.path, name)


def leftovers(point: str) -> list[str]:
    """What interrupted removals left on a mount; not what a run is removing at this moment."""
    with _files.explained(f"read what is on {point}"), _files.Directory.open(point) as root:
        found = [name for name in root.names() if name.startswith(_storage_domain.REMOVED)]
        return [] if found and _files.is_locked(root, _storage_domain.LOCK) else found


def abandoned(point: str) -> list[str]:
    """Where killed runs built on a mount."""
    with _files.explained(f"read what is on {point}"), _files.Directory.open(point) as root:
        return [name for name in _files.unowned(root) if not name.startswith(_storage_domain.REMOVED)]


def sweep(point: str) -> None:
    """Remove where killed runs built, and what they had begun to remove."""
    with (
        _files.explained(f"remove what killed runs left on {point}"),
        _files.Directory.open(point) as root,
        locked(root),
    ):
        _sweep(root)


def _sweep(root: _files.Directory) -> None:
    for name in _files.unowned(root):
        if not name.startswith(_storage_domain.REMOVED):
            _files.remove_unowned(root, name)
    for name in root.names():
        if name.startswith(_storage_domain.REMOVED):
            root.remove(name)


def remove(point: str, uuid: str | None, require: t.Callable[[_storage_domain.StorageDomain], object]) -> None:
    """Remove a storage domain with all its images, and what earlier removals left.

    `require` raises for one that another run has made something else of meanwhile.
    """
    with (
        _files.explained(f"remove storage domain {uuid} from {point}"),
        _files.Directory.open(point) as root,
        locked(root),
    ):
        found = _storage_domain_read.read(point)
        if found and found.uuid != uuid:
            raise _errors.StorageError(
                f"{point}: another run has made storage domain {found.name} meanwhile; run again"
            )
        if found:
            require(as_it_is(root, found.name))
            if not root.move(found.uuid, root, _storage_domain.REMOVED + found.uuid):
                root.remove(_storage_domain.REMOVED + found.uuid)
                root.move(found.uuid, root, _storage_domain.REMOVED + found.uuid)
        root.remove(_storage_domain.CLAIM)
        root.remove(_storage_domain.MARK)
        root.remove(_storage_domain.USERS)
        root.remove(_storage_domain.SEEDS)
        _sweep(root)
        root.remove(_storage_domain.LOCK)


def _claimed_uuid(root: _files.Directory) -> str:
    """The uuid for the storage domain to be made: ours, if no other host was first."""
    with contextlib.suppress(FileExistsError):
        os.symlink(str(uuids.uuid4()), _storage_domain.CLAIM, dir_fd=root.descriptor)
    claimed = os.readlink(_storage_domain.CLAIM, dir_fd=root.descriptor)
    if not _storage_domain.is_uuid(claimed):
        raise _errors.StorageError(f"{root.path}/{_storage_domain.CLAIM} names {claimed!r}, not a uuid; take it away")
    return claimed


def _block_size(stage: _files.Directory) -> int:
    """Asked of the bricks as VDSM asks: O_DSYNC has them do direct I/O where the volume's options alone would not."""
    # not at the top: only a new storage domain needs it
    import mmap

    probe = os.open(PROBE, _PROBE_FLAGS, 0o600, dir_fd=stage.descriptor)
    try:
        with mmap.mmap(-1, max(_storage_domain_layout.PROBED_BYTES)) as aligned:
            taken = (size for size in _storage_domain_layout.PROBED_BYTES if _takes(probe, aligned, size))
            return _storage_domain_layout.block_size_of(next(taken, None))
    except ValueError as exc:
        raise _errors.StorageError(
            f"{posixpath.dirname(stage.path)}: {exc}; look at the disks below the bricks"
        ) from exc
    finally:
        os.close(probe)


def _takes(probe: int, aligned: mmap.mmap, size_bytes: int) -> bool:
    try:
        with memoryview(aligned)[:size_bytes] as block:
            os.pwrite(probe, block, 0)
    except OSError as exc:
        if exc.errno != errno.EINVAL:
            raise
        return False
    return True


def _build(stage: _files.Directory, storage_domain: _storage_domain.StorageDomain, owner: _files.Owner) -> None:
    """The whole tree of a storage domain, under `whole`."""
    for entry in _storage_domain_layout.LAYOUT:
        folder, name = posixpath.split(posixpath.join(WHOLE, entry.path).rstrip("/"))
        with stage.below(folder) as parent:
            make(parent, name, entry, storage_domain, owner)
            parent.sync()


def make(
    parent: _files.Directory,
    name: str,
    entry: _storage_domain_layout.Entry,
    storage_domain: _storage_domain.StorageDomain,
    owner: _files.Owner,
) -> None:
    """One entry of the layout, new, under that name."""
    if entry.content is None:
        parent.make(name, entry.mode, owner).close()
        return
    content = entry.content(storage_domain, int(time.time()))
    parent.write_new(name, content.data, entry.mode, owner, offset=content.offset, size_bytes=content.size_bytes)
