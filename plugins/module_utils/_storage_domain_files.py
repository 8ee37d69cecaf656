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
import fcntl
import os
import posixpath
import time
import typing as t
import uuid as uuids

from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._files import (
    Directory,
    Owner,
    explained,
    remove_unowned,
    staging,
    take_lock,
    unowned,
)
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import (
    CLAIM,
    FOLDER,
    LOCK,
    MARK,
    METADATA,
    METADATA_MODE,
    REMOVED,
    SEEDS,
    USERS,
    StorageDomain,
    foreign,
    is_uuid,
)
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain_layout import (
    LAYOUT,
    PROBED_BYTES,
    Entry,
    block_size_of,
)
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain_read import read, require_named
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec

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
    with explained(f"read what is on {point}"), Directory.open(point) as root:
        return foreign(root.names(), uuid)


def read_owner(point: str) -> Owner:
    """Who owns the root of the mount."""
    with explained(f"read the owner of {point}"):
        status = os.stat(point)
        return status.st_uid, status.st_gid


def own(point: str, owner: Owner) -> None:
    """Give the root of the mount away."""
    with explained(f"set the owner of {point}"):
        os.chown(point, *owner)


def lay_out(point: str, name: str, spec: VolumeSpec, owner: Owner) -> StorageDomain:
    """Make a storage domain, or find the one that another host makes at this moment."""
    with explained(f"lay out storage domain {name} on {point}"), Directory.open(point) as root:
        uuid = _claimed_uuid(root)
        with staging(root, "storage-domain") as stage:
            made = StorageDomain.new(uuid, name, spec, _block_size(stage))
            _build(stage, made, owner)
            # VDSM knows nothing of our claim
            if read(point) is None:
                stage.move(WHOLE, root, made.uuid)
    return require_named(point, name)


def change(point: str, name: str, changed_from: t.Callable[[StorageDomain], StorageDomain]) -> None:
    """Rewrite the metadata of a storage domain in one step, from what they are at that moment."""
    doing = f"change the metadata of storage domain {name} on {point}"
    with explained(doing), Directory.open(point) as root, locked(root):
        found = as_it_is(root, name)
        write(root, found, changed_from(found))


def write(root: Directory, found: StorageDomain, wanted: StorageDomain) -> None:
    """The metadata, where they are to be others; the caller has the lock."""
    folder, file = posixpath.split(METADATA)
    with root.below(f"{found.uuid}/{folder}") as directory:
        if wanted != found:
            directory.replace_text(file, wanted.to_text(), METADATA_MODE, directory.owner())


@contextlib.contextmanager
def locked(root: Directory) -> t.Iterator[None]:
    """Alone, among the runs of all hosts, in what changes a storage domain.

    Gluster passes the lock on to the other hosts, and ends it with the process or the client that has it.
    """
    lock = _locked(root)
    try:
        yield
    finally:
        os.close(lock)


def _locked(root: Directory) -> int:
    end = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        lock = os.open(LOCK, _LOCK_FLAGS, 0o600, dir_fd=root.descriptor)
        if not take_lock(lock, end):
            os.close(lock)
            raise StorageError(
                f"another run has changed what is on {root.path} for {LOCK_TIMEOUT_S} s (it holds {LOCK}); wait for it,"
                " or end it"
            )
        with contextlib.suppress(FileNotFoundError):
            # the run that had it may have removed the storage domain, and the lock's file with it
            if _fresh_status(root, LOCK).st_ino == os.fstat(lock).st_ino:
                return lock
        os.close(lock)


def _fresh_status(root: Directory, name: str) -> os.stat_result:
    root.names()  # asks the bricks, see Directory.lists
    return os.stat(name, dir_fd=root.descriptor, follow_symlinks=False)


def as_it_is(root: Directory, name: str) -> StorageDomain:
    """The storage domain as another host that just had the lock left it."""
    with root.below(f"{require_named(root.path, name).uuid}/{FOLDER}") as folder:
        folder.names()  # as above
    return require_named(root.path, name)


def leftovers(point: str) -> list[str]:
    """What interrupted removals left on a mount; not what a run is removing at this moment."""
    with explained(f"read what is on {point}"), Directory.open(point) as root:
        found = [name for name in root.names() if name.startswith(REMOVED)]
        return [] if found and _is_locked(root) else found


def _is_locked(root: Directory) -> bool:
    try:
        lock = root.open_file(LOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def abandoned(point: str) -> list[str]:
    """Where killed runs built on a mount."""
    with explained(f"read what is on {point}"), Directory.open(point) as root:
        return [name for name in unowned(root) if not name.startswith(REMOVED)]


def sweep(point: str) -> None:
    """Remove where killed runs built, and what they had begun to remove."""
    with explained(f"remove what killed runs left on {point}"), Directory.open(point) as root, locked(root):
        _sweep(root)


def _sweep(root: Directory) -> None:
    for name in unowned(root):
        if not name.startswith(REMOVED):
            remove_unowned(root, name)
    for name in root.names():
        if name.startswith(REMOVED):
            root.remove(name)


def remove(point: str, uuid: str | None, require: t.Callable[[StorageDomain], object]) -> None:
    """Remove a storage domain with all its images, and what earlier removals left.

    `require` raises for one that another run has made something else of meanwhile.
    """
    with explained(f"remove storage domain {uuid} from {point}"), Directory.open(point) as root, locked(root):
        found = read(point)
        if found and found.uuid != uuid:
            raise StorageError(f"{point}: another run has made storage domain {found.name} meanwhile; run again")
        if found:
            require(as_it_is(root, found.name))
            if not root.move(found.uuid, root, REMOVED + found.uuid):
                root.remove(REMOVED + found.uuid)
                root.move(found.uuid, root, REMOVED + found.uuid)
        root.remove(CLAIM)
        root.remove(MARK)
        root.remove(USERS)
        root.remove(SEEDS)
        _sweep(root)
        root.remove(LOCK)


def _claimed_uuid(root: Directory) -> str:
    """The uuid for the storage domain to be made: ours, if no other host was first."""
    with contextlib.suppress(FileExistsError):
        os.symlink(str(uuids.uuid4()), CLAIM, dir_fd=root.descriptor)
    claimed = os.readlink(CLAIM, dir_fd=root.descriptor)
    if not is_uuid(claimed):
        raise StorageError(f"{root.path}/{CLAIM} names {claimed!r}, not a uuid; take it away")
    return claimed


def _block_size(stage: Directory) -> int:
    """Asked of the bricks as VDSM asks: O_DSYNC has them do direct I/O where the volume's options alone would not."""
    # not at the top: only a new storage domain needs it
    import mmap

    probe = os.open(PROBE, _PROBE_FLAGS, 0o600, dir_fd=stage.descriptor)
    try:
        with mmap.mmap(-1, max(PROBED_BYTES)) as aligned:
            taken = (size for size in PROBED_BYTES if _takes(probe, aligned, size))
            return block_size_of(next(taken, None))
    except ValueError as exc:
        raise StorageError(f"{posixpath.dirname(stage.path)}: {exc}; look at the disks below the bricks") from exc
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


def _build(stage: Directory, storage_domain: StorageDomain, owner: Owner) -> None:
    """The whole tree of a storage domain, under `whole`."""
    for entry in LAYOUT:
        folder, name = posixpath.split(posixpath.join(WHOLE, entry.path).rstrip("/"))
        with stage.below(folder) as parent:
            make(parent, name, entry, storage_domain, owner)
            parent.sync()


def make(parent: Directory, name: str, entry: Entry, storage_domain: StorageDomain, owner: Owner) -> None:
    """One entry of the layout, new, under that name."""
    if entry.content is None:
        parent.make(name, entry.mode, owner).close()
        return
    content = entry.content(storage_domain, int(time.time()))
    parent.write_new(name, content.data, entry.mode, owner, offset=content.offset, size_bytes=content.size_bytes)
