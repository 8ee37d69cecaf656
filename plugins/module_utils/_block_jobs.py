# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: what libvirt does to the layers of a running domain's disks."""

from __future__ import annotations

import contextlib
import glob
import os
import posixpath
import time
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _errors, _libvirt, _libvirt_domains, _xml

POLL_S: t.Final = 0.5
#: a job that copies nothing for so long is not waited for any longer; it goes on, and the next run looks for it
STANDS_STILL_S: t.Final = 120
#: how long a guest agent may take to answer at all, and how long to freeze and to thaw, which writes what is cached
ANSWER_S: t.Final = 5
FREEZE_S: t.Final = 120
#: libvirt's own way with an agent: it waits for ever (VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK)
WITHOUT_END: t.Final = -2
#: libvirt's numbers of the errors that an agent does not answer (VIR_ERR_AGENT_UNRESPONSIVE), and with 11.3, where it
#: had answered before, that a command to it does not end (VIR_ERR_AGENT_COMMAND_TIMEOUT)
UNRESPONSIVE: t.Final = (86, 112)

#: where distributions put libvirt's drivers, and its own reader of images on gluster among them, which it needs to keep
#: the names that layers have for one another
FOLDERS: t.Final = ("/usr/lib/*/libvirt", "/usr/lib*/libvirt")
QEMU_DRIVER: t.Final = "connection-driver/libvirt_driver_qemu.so"
READER: t.Final = "storage-file/libvirt_storage_file_gluster.so"
READER_PACKAGE: t.Final = "libvirt-daemon-driver-storage-gluster"
#: libvirt's words without it
NOT_READ: t.Final = "can't keep relative backing relationship"


def has_reader() -> bool:
    """Whether libvirt here can read images on gluster; true where its files are not in a place that is known."""
    folders = [folder for pattern in FOLDERS for folder in glob.glob(pattern)]
    with_qemu = [folder for folder in folders if os.path.exists(posixpath.join(folder, QEMU_DRIVER))]
    return not with_qemu or any(os.path.exists(posixpath.join(folder, READER)) for folder in with_qemu)


class BlockJobs(_libvirt_domains.LibvirtDomains):
    """Snapshots and commits, named by libvirt's own terms."""

    def require_reader(self, what: str) -> None:
        """Raises `LibvirtError` where libvirt would refuse to commit between two layers of a running domain."""
        if not self.is_remote and not has_reader():
            raise _errors.LibvirtError(
                f"{what}: libvirt cannot read the names of the layers without {READER_PACKAGE}; install it, restart"
                " libvirtd (or virtqemud; the VM runs on), and run again"
            )

    def snapshot(self, name: str, element: _xml.Element, *, quiesce: bool) -> None:
        """All disks of a `<domainsnapshot>` go on with files that are there, at one moment or none of them."""
        words = ["DISK_ONLY", "ATOMIC", "REUSE_EXT", "NO_METADATA", *(["QUIESCE"] if quiesce else [])]
        flags = sum(_libvirt.flag(f"SNAPSHOT_CREATE_{word}") for word in words)
        waiting = self._agent_within(name, FREEZE_S) if quiesce else contextlib.nullcontext()
        with waiting:
            try:
                with _libvirt.asking(f"take a snapshot of domain {name}"):
                    self.connection.lookupByName(name).snapshotCreateXML(_xml.to_text(element), flags)
            except _errors.LibvirtError as exc:
                if quiesce and _is_unresponsive(exc):
                    raise _errors.LibvirtError(f"{exc}; {self._thaw(name)}; or set quiesce to false") from exc
                raise

    def agent_answers(self, name: str) -> bool:
        """Whether the guest agent of a running domain does, in a few seconds; a hung one counts as connected too."""
        with self._agent_within(name, ANSWER_S):
            try:
                with _libvirt.asking(f"ask the guest agent of domain {name}"):
                    self.connection.lookupByName(name).getTime()
            except _errors.LibvirtError as exc:
                # one may have its reasons to tell no time
                return not _is_unresponsive(exc)
        return True

    def _thaw(self, name: str) -> str:
        """Undo a freezing that came to no end; what is to be done then."""
        end = time.monotonic() + FREEZE_S
        while True:
            try:
                # an agent that was late has frozen after all, and takes this up next
                with _libvirt.asking(f"thaw domain {name}"):
                    self.connection.lookupByName(name).fsThaw()
            except _errors.LibvirtError as exc:
                # libvirt asks for 5 s whether it is there
                if _is_unresponsive(exc) and time.monotonic() < end:
                    time.sleep(POLL_S)  # an agent that goes on tells libvirt only, when it is asked
                    continue
                return (
                    f"{exc}; its file systems may freeze once the agent goes on: thaw them then (virsh domfsthaw"
                    f" {name}), and run again"
                )
            break
        return "the guest is thawed; see what keeps its agent, and run again"

    @contextlib.contextmanager
    def _agent_within(self, name: str, timeout_s: int) -> t.Iterator[None]:
        """libvirt waits so long for each answer of a running domain's guest agent."""
        self._set_agent_timeout(name, timeout_s)
        try:
            yield
        finally:
            # the domain may have ended meanwhile, and this with it
            with contextlib.suppress(_errors.LibvirtError):
                self._set_agent_timeout(name, WITHOUT_END)

    def _set_agent_timeout(self, name: str, timeout_s: int) -> None:
        with _libvirt.asking(f"limit the time of domain {name}'s guest agent"):
            self.connection.lookupByName(name).agentSetResponseTimeout(timeout_s, 0)

    def commit(self, name: str, target: str, base: str, top: str, *, active: bool) -> None:
        """Write one layer of a running disk into another, as in `vda[3]`; returns when the data are there.

        A job that an earlier run began is waited for. The active layer's is then ready for `pivot`.
        """
        with self._with_mend(), _libvirt.asking(f"commit {top} into {base} of domain {name}"):
            domain = self.connection.lookupByName(name)
            job = domain.blockJobInfo(target, 0)
            kind = "ACTIVE_COMMIT" if active else "COMMIT"
            if job and job["type"] != _libvirt.flag(f"BLOCK_JOB_TYPE_{kind}"):
                raise _errors.LibvirtError(
                    f"disk {target} of domain {name} has another block job (virsh blockjob {name} {target}); wait for"
                    " its end, or end it"
                )
            if not job:
                # relative: what is above keeps the name of its backing file as it is on every host
                how = _libvirt.flag("BLOCK_COMMIT_ACTIVE" if active else "BLOCK_COMMIT_RELATIVE")
                domain.blockCommit(target, base, top, 0, how)
            self._await(domain, name, target, active=active)

    @staticmethod
    @contextlib.contextmanager
    def _with_mend() -> t.Iterator[None]:
        try:
            yield
        except _errors.LibvirtError as exc:
            if NOT_READ not in str(exc):
                raise
            raise _errors.LibvirtError(
                f"{exc}; libvirt was started without {READER_PACKAGE}: see that it is installed, restart libvirtd (or"
                " virtqemud; the VM runs on), and run again"
            ) from exc

    def _await(self, domain: t.Any, name: str, target: str, *, active: bool) -> None:
        seen: tuple[int, int] | None = None
        moved = time.monotonic()
        while True:
            job = domain.blockJobInfo(target, 0)
            if not job and not active:
                return
            if not job:
                raise _errors.LibvirtError(
                    f"the commit of disk {target} of domain {name} has ended before its time; see"
                    f" /var/log/libvirt/qemu/{name}.log"
                )
            if active and is_ready(domain, target):
                return
            now = (job["cur"], job["end"])
            if now != seen:
                seen, moved = now, time.monotonic()
            if time.monotonic() - moved > STANDS_STILL_S:
                raise _errors.LibvirtError(
                    f"the commit of disk {target} of domain {name} stands still at {now[0]} of {now[1]} bytes; run"
                    " again to wait for it, or end it with virsh blockjob --abort"
                )
            time.sleep(POLL_S)  # events of a job need a loop of their own, and would not tell of one that hangs

    def pivot(self, name: str, target: str) -> None:
        """Have a running disk go on with what it was committed into."""
        with _libvirt.asking(f"pivot disk {target} of domain {name}"):
            self.connection.lookupByName(name).blockJobAbort(target, _libvirt.flag("BLOCK_JOB_ABORT_PIVOT"))


def is_ready(domain: t.Any, target: str) -> bool:
    """Whether a disk's job has copied all there is, and keeps up since."""
    root = _xml.parse(domain.XMLDesc(0))
    disks = (disk for disk in root.iterfind("devices/disk") if disk.find(f"target[@dev='{target}']") is not None)
    return any(mirror.get("ready") == "yes" for disk in disks for mirror in disk.iterfind("mirror"))


def _is_unresponsive(exc: _errors.LibvirtError) -> bool:
    code: t.Callable[[], int | None] = getattr(exc.__cause__, "get_error_code", lambda: None)
    return code() in UNRESPONSIVE
