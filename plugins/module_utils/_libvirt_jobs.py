# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: libvirt's long jobs on a running domain: it goes to another host, or its disk to another image."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _block_jobs,
    _errors,
    _libvirt,
    _migration,
    _qemu_img,
    _xml,
)


class LibvirtJobs(_block_jobs.BlockJobs):
    """A host's libvirt, with the jobs that take their time."""

    @functools.cached_property
    def host_uuid(self) -> str:
        """What libvirt tells hosts apart by."""
        with _libvirt.asking(f"ask libvirt at {self.uri} for its host"):
            return _xml.parse(self.connection.getCapabilities()).findtext("host/uuid", "")

    @property
    def hostname(self) -> str:
        with _libvirt.asking(f"ask libvirt at {self.uri} for its host"):
            return str(self.connection.getHostname())

    def migratable(self, name: str) -> _xml.Element:
        """A running domain as another host takes it."""
        with _libvirt.asking(f"read domain {name}"):
            text = self.connection.lookupByName(name).XMLDesc(
                _libvirt.flag("XML_MIGRATABLE") | _libvirt.flag("XML_SECURE")
            )
        return _xml.parse(text)

    def migrate(self, name: str, to: LibvirtJobs, *, live: str | None = None, configured: str | None = None) -> None:
        """Have a running domain go to another host; after a failure it runs here as before.

        `live` and `configured` are what it is there, running and defined, where that differs.
        """
        doing = f"migrate domain {name} to {to.uri}"
        with _libvirt.asking(doing):
            domain = self.connection.lookupByName(name)
            persistent = bool(domain.isPersistent())
            was_running, autostart = (
                domain.state()[0] == _libvirt.flag("RUNNING"),
                bool(persistent and domain.autostart()),
            )
        flags = sum(
            _libvirt.flag(word, "MIGRATE")
            for word in (*_migration.FLAGS, *(_migration.PERSISTENT_FLAGS if persistent else ()))
        )
        # libvirt's names of VIR_MIGRATE_PARAM_DEST_XML and _PERSIST_XML
        texts = {"destination_xml": live, "persistent_xml": configured if persistent else None}
        parameters = {key: text for key, text in texts.items() if text is not None}
        supervisor = _Supervisor(domain, doing)
        try:
            with supervisor, _libvirt.asking(doing), self._for_long_call() as connection, to._for_long_call() as other:
                there = connection.lookupByName(name).migrate3(other, parameters, flags)
        except _errors.LibvirtError as exc:
            words = f"{exc}; {supervisor.words}" if supervisor.words else str(exc)
            raise _errors.LibvirtError(f"{words}; {self._back(name, was_running=was_running)}") from exc
        if autostart:
            with _libvirt.asking(f"set autostart of domain {name} at {to.uri}"):
                there.setAutostart(1)

    def _back(self, name: str, *, was_running: bool) -> str:
        """What became of a domain whose migration failed; one that libvirt left paused goes on."""
        record = self.domain(name)
        if record is not None and record.state == "paused" and was_running:
            self.resume(name)
            record = self.domain(name)
        return f"the domain is {record.state} here" if record else "the domain is not here any more"

    def copy_disk(self, name: str, target: str, element: _xml.Element) -> None:
        """Copy a running disk into an image that is there; returns when both hold the same, ready for `pivot`.

        A copy that fails, or copies nothing for long, is ended.
        """
        doing = f"copy disk {target} of domain {name}"
        flags = _libvirt.flag("BLOCK_COPY_REUSE_EXT") | _libvirt.flag("BLOCK_COPY_TRANSIENT_JOB")
        with _libvirt.asking(doing):
            domain = self.connection.lookupByName(name)
            domain.blockCopy(target, _xml.to_text(element), {}, flags)
        self.await_copy(name, target)

    def await_copy(self, name: str, target: str) -> None:
        """Return when a copy that goes on is ready for `pivot`; end one that fails, or copies nothing for long."""
        doing = f"copy disk {target} of domain {name}"
        try:
            with _libvirt.asking(doing):
                self._await_copy(self.connection.lookupByName(name), target, doing)
        except _errors.LibvirtError:
            self.end_copy(name, target)
            raise

    def _await_copy(self, domain: t.Any, target: str, doing: str) -> None:
        progress = _qemu_img.Progress(doing)
        seen, moved = -1, time.monotonic()
        while not _block_jobs.is_ready(domain, target):
            job = domain.blockJobInfo(target, 0)
            if not job:
                raise _errors.LibvirtError(
                    f"cannot {doing}: it has ended before its time; see the domain's log of QEMU"
                )
            if job["cur"] != seen:
                seen, moved = job["cur"], time.monotonic()
            if job["end"] > 1:
                progress.at(100 * job["cur"] // job["end"])
            if time.monotonic() - moved > _block_jobs.STANDS_STILL_S:
                raise _errors.LibvirtError(
                    f"cannot {doing}: it stood still at {job['cur']} of {job['end']} bytes, and was ended"
                )
            time.sleep(
                _block_jobs.POLL_S
            )  # events of a job need a loop of their own, and would not tell of one that hangs

    def end_copy(self, name: str, target: str) -> None:
        """Have a disk go on with what it has, where it is being copied."""
        with _libvirt.asking(f"end the copy of disk {target} of domain {name}"):
            domain = self.connection.lookupByName(name)
            if domain.blockJobInfo(target, 0):
                domain.blockJobAbort(target, 0)


class _Supervisor:
    """Tells how far a migration is, and ends one that stands still."""

    def __init__(self, domain: t.Any, doing: str) -> None:
        self._domain = domain
        self._progress = _qemu_img.Progress(doing)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="libvirt-migration", daemon=True)
        self.words = ""

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        seen = -1
        moved = time.monotonic()
        while not self._over.wait(_block_jobs.POLL_S):
            with contextlib.suppress(_errors.LibvirtError), _libvirt.asking("read the migration's progress"):
                stats = self._domain.jobStats()
                processed, total = stats.get("data_processed", 0), stats.get("data_total", 0)
                if processed != seen:
                    seen, moved = processed, time.monotonic()
                if total:
                    self._progress.at(100 * (total - stats.get("data_remaining", total)) // total)
            if time.monotonic() - moved > _block_jobs.STANDS_STILL_S and not self.words:
                self.words = f"it stood still for {_block_jobs.STANDS_STILL_S} s and was ended"
                with contextlib.suppress(_errors.LibvirtError), _libvirt.asking("end the migration"):
                    self._domain.abortJob()
