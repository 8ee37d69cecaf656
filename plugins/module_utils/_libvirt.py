# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: libvirt. The only importer of the library."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import threading
import time
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _attachment,
    _domain_record,
    _errors,
    _json,
    _power,
    _xml,
)

try:
    import libvirt
    import libvirt_qemu
except ImportError:
    HAS_LIBVIRT = False
else:
    HAS_LIBVIRT = True

#: how long a daemon may take to let us in
CONNECT_S: t.Final = 30
#: a daemon that does not answer this often, this many times, is given up
KEEPALIVE_INTERVAL_S: t.Final = 5
KEEPALIVE_COUNT: t.Final = 6
#: a guest that was still booting does not see the power button, so it is pressed again
PRESS_AGAIN_S: t.Final = 10
UNPLUG_TIMEOUT_S: t.Final = 60
POLL_S: t.Final = 0.2
#: a start with a plain gluster disk takes 20 s
STARTED_S: t.Final = 30
#: libvirtd's default max_workers: more calls that take seconds only queue there, and everybody's short ones with them
LONG_CALLS: t.Final = 20
#: with max_client_requests (5) unanswered it reads no more from a connection, keepalive included
LONG_CALLS_A_CONNECTION: t.Final = 4
#: QEMU's last words on an image that it could not open; gluster's before them, where there is no such volume
_IMAGE_REFUSED: t.Final = re.compile(r"qemu-\S+: -blockdev (\{.*\}): (.*)\Z", re.DOTALL)
_NO_VOLFILE: t.Final = "failed to get the volume file"
_SEE_LOGS: t.Final = "Please refer to gluster logs for more info"


def flag(name: str, family: str = "DOMAIN") -> int:
    """The value of a flag of the library, as in `SNAPSHOT_CREATE_ATOMIC`."""
    return int(getattr(libvirt, f"VIR_{family}_{name}"))


class Libvirt:
    """A connection, opened when it is first needed, and more of them for many calls at once that take seconds.

    Raises `MissingLibraryError` without the library.
    """

    def __init__(self, uri: str = "qemu:///system") -> None:
        if not HAS_LIBVIRT:
            raise _errors.MissingLibraryError("libvirt")
        self.uri = uri
        self._turns = threading.BoundedSemaphore(LONG_CALLS)
        self._opening = threading.Lock()
        #: a connection for each long call that it may carry and does not
        self._spare: list[t.Any] | None = None

    @property
    def is_remote(self) -> bool:
        """Whether the URI names another host, whose files this one does not see."""
        return bool(re.match(r"[a-z]+(\+[a-z]+)?://[^/]", self.uri))

    @functools.cached_property
    def connection(self) -> t.Any:
        return self._connect()

    @contextlib.contextmanager
    def _for_long_call(self) -> t.Iterator[t.Any]:
        """A connection that carries few enough of them, once there are few enough in all."""
        with self._turns:
            with self._opening:
                if self._spare is None:
                    self._spare = [self.connection] * LONG_CALLS_A_CONNECTION
                elif not self._spare:
                    self._spare = [self._connect()] * LONG_CALLS_A_CONNECTION
                connection = self._spare.pop()
            try:
                yield connection
            finally:
                self._spare.append(connection)

    def _connect(self) -> t.Any:
        _run_event_loop()
        opened: list[t.Any] = []
        failed: list[Exception] = []

        def connect() -> None:
            try:
                opened.append(libvirt.open(self.uri))
            except libvirt.libvirtError as exc:
                failed.append(exc)

        # the library itself waits without end for a daemon that hangs, and ssh long for a host that is off
        thread = threading.Thread(target=connect, name="libvirt-connect", daemon=True)
        thread.start()
        thread.join(CONNECT_S)
        if failed:
            raise _errors.LibvirtError(
                f"cannot connect to libvirt at {self.uri}: {failed[0]}; is libvirtd running there?"
                " (systemctl start libvirtd, or virtqemud)"
            ) from failed[0]
        if not opened:
            raise _errors.LibvirtError(
                f"cannot connect to libvirt at {self.uri}: no answer within {CONNECT_S} s; is it up, or does its daemon"
                " hang? (systemctl restart libvirtd, or virtqemud; VMs run on)"
            )
        (connection,) = opened
        # the test driver knows no keepalive
        with contextlib.suppress(libvirt.libvirtError):
            connection.setKeepAlive(KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT)
        return connection

    def domain(self, name: str) -> _domain_record.DomainRecord | None:
        """A domain by name; `None` if libvirt says that there is none.

        One that is just being started, which libvirt goes on with where the run that asked for it was killed, is waited
        for.
        """
        with asking(f"look for domain {name}"):
            try:
                found = self.connection.lookupByName(name)
            except libvirt.libvirtError as exc:
                if exc.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    return None
                raise
        record, end = _record_if_there(found), time.monotonic() + STARTED_S
        while record and record.pause_reason == "starting_up" and time.monotonic() < end:
            time.sleep(POLL_S)  # an event would need a loop, which a look at one domain does not have
            record = _record_if_there(found)
        return record

    def domains(self) -> tuple[_domain_record.DomainRecord, ...]:
        """Every domain, running or defined, by name."""
        with asking("list domains"):
            found = self.connection.listAllDomains(0)
        records = map(_record_if_there, sorted(found, key=lambda domain: t.cast(str, domain.name())))
        return tuple(record for record in records if record)

    def uuids(self) -> set[str]:
        """The uuid of every domain, running or defined."""
        with asking("list domains"):
            return {domain.UUIDString() for domain in self.connection.listAllDomains(0)}

    def block_resize(self, name: str, target: str, size_bytes: int) -> None:
        """Grow a running domain's disk, image and all; one that is as large already stays."""
        with asking(f"grow disk {target} of domain {name}"):
            domain = self.connection.lookupByName(name)
            # of the mount, which may tell an old length, nobody can be sure that this does not shrink it
            if self._capacity_bytes(domain, target) < size_bytes:
                domain.blockResize(target, size_bytes, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)

    def _capacity_bytes(self, domain: t.Any, target: str) -> int:
        """What QEMU says a disk's size is; 0 for none that it knows. blockInfo would open the image, for 10 s."""
        ((_domain, stats),) = self.connection.domainListGetStats([domain], libvirt.VIR_DOMAIN_STATS_BLOCK, 0)
        numbers = range(stats.get("block.count", 0))
        sizes = {stats.get(f"block.{number}.name"): stats.get(f"block.{number}.capacity", 0) for number in numbers}
        return int(sizes.get(target, 0))

    def attach_disk(self, wanted: _attachment.Attachment, element: _xml.Element) -> None:
        """Give a domain a disk: the running one first, and its configuration the address that it got there."""
        with asking(f"attach disk {wanted.target} to domain {wanted.domain}"):
            domain = self.connection.lookupByName(wanted.domain)
            if _attachment.LIVE in wanted.places:
                for device in _attachment.devices_for(element, _xml.parse(domain.XMLDesc(0))):
                    domain.attachDeviceFlags(_xml.to_text(device), libvirt.VIR_DOMAIN_AFFECT_LIVE)
            if _attachment.NEXT in wanted.places:
                record = _record(domain)
                for device in _attachment.devices_for(element, record.inactive):
                    placed = (
                        device
                        if record.live is None
                        else _attachment.with_address(device, record.live, record.inactive)
                    )
                    domain.attachDeviceFlags(_xml.to_text(placed), libvirt.VIR_DOMAIN_AFFECT_CONFIG)

    def detach_disk(self, wanted: _attachment.Attachment) -> None:
        """Take a disk out of a domain. The guest of a running one is asked for it, and has to let it go."""
        with asking(f"detach disk {wanted.target} from domain {wanted.domain}"):
            domain = self.connection.lookupByName(wanted.domain)
            if _attachment.LIVE in wanted.places:
                image = wanted.image_uuid
                unplug(domain, f"image {image}", lambda live: _attachment.disk_of(live, image))
            disk = (
                _attachment.disk_of(_record(domain).inactive, wanted.image_uuid)
                if _attachment.NEXT in wanted.places
                else None
            )
            if disk is not None:
                domain.detachDeviceFlags(_xml.to_text(disk), libvirt.VIR_DOMAIN_AFFECT_CONFIG)

    def qmp(self, name: str, command: str) -> t.Any:
        """What a running domain's QEMU returns for a QMP command without arguments."""
        with asking(f"ask the QEMU of domain {name}: {command}"):
            domain = self.connection.lookupByName(name)
            text = libvirt_qemu.qemuMonitorCommand(domain, json.dumps({"execute": command}), 0)
        answer = _json.table(_json.parse(text))
        if "return" not in answer:
            words = _json.table(answer.get("error")).get("desc", text)
            raise _errors.LibvirtError(f"cannot ask the QEMU of domain {name}: {command}: {words}")
        return answer["return"]


def unplug(domain: t.Any, what: str, find: t.Callable[[_xml.Element], _xml.Element | None]) -> None:
    """Take the device out of a running domain that `find` finds in its XML, if it is there."""
    end = time.monotonic() + UNPLUG_TIMEOUT_S
    press = 0.0
    while (device := find(_xml.parse(domain.XMLDesc(0)))) is not None:
        if time.monotonic() >= end:
            raise _errors.LibvirtError(
                f"cannot detach {what} from domain {domain.name()}: the guest did not let go of it within"
                f" {UNPLUG_TIMEOUT_S} s; see that its system is up and does not use it, and run again"
            )
        if time.monotonic() >= press:
            _ask_for(domain, device, again=bool(press))
            press = time.monotonic() + PRESS_AGAIN_S
        time.sleep(POLL_S)  # the guest lets go when it likes, and is asked again meanwhile


def _ask_for(domain: t.Any, disk: _xml.Element, *, again: bool) -> None:
    try:
        domain.detachDeviceFlags(_xml.to_text(disk), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError:
        # QEMU may refuse a second request while the guest has the first, and the disk may be gone by now
        if not again:
            raise


@contextlib.contextmanager
def unless_gone() -> t.Iterator[None]:
    """Takes it well that a domain has stopped meanwhile."""
    # between a look at it and this the guest may have powered off, and a transient domain be gone
    try:
        yield
    except libvirt.libvirtError as exc:
        if exc.get_error_code() not in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN):
            raise


def state_and_reason(domain: t.Any) -> tuple[str, str | None]:
    """The power state, and why it is paused."""
    try:
        number, reason = domain.state()
    except libvirt.libvirtError as exc:
        # a transient one is gone when it stops
        if exc.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return "shut_off", None
        raise
    state = _power.STATES[number]
    return state, _power.pause_reason(reason) if state == "paused" else None


def _record_if_there(domain: t.Any) -> _domain_record.DomainRecord | None:
    """A domain that was there a moment ago; `None` if somebody has undefined it since."""
    try:
        return _record(domain)
    except _errors.LibvirtError as exc:
        cause = t.cast(t.Any, exc.__cause__)
        if cause.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _record(domain: t.Any) -> _domain_record.DomainRecord:
    with asking(f"read domain {domain.name()}"):
        secure = libvirt.VIR_DOMAIN_XML_SECURE
        persistent = bool(domain.isPersistent())
        state, reason = state_and_reason(domain)
        return _domain_record.DomainRecord(
            name=domain.name(),
            uuid=domain.UUIDString(),
            state=state,
            inactive=_xml.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | secure)),
            live=_xml.parse(domain.XMLDesc(secure)) if domain.isActive() else None,
            autostart=persistent and bool(domain.autostart()),
            saved=_xml.parse(domain.managedSaveGetXMLDesc(0)) if domain.hasManagedSaveImage(0) else None,
            persistent=persistent,
            pause_reason=reason,
        )


@contextlib.contextmanager
def asking(doing: str) -> t.Iterator[None]:
    """Turns libvirt's error inside into `cannot <doing>: <its words>`."""
    try:
        yield
    except libvirt.libvirtError as exc:
        raise _errors.LibvirtError(f"cannot {doing}: {without_log(str(exc))}") from exc


def without_log(text: str) -> str:
    """libvirt's words without what QEMU and libgfapi logged before QEMU gave a gluster image up; with the mend.

    Seen on libvirt 9.0 with QEMU 7.2 and gluster 10.3.
    """
    said = _IMAGE_REFUSED.search(text)
    node: dict[str, t.Any] = {}
    with contextlib.suppress(ValueError):
        node = _json.table(_json.parse(said[1])) if said else {}
    if said is None or node.get("driver") != "gluster":
        return text
    volume = node.get("volume")
    words = " ".join(said[2].replace(_SEE_LOGS, "").split())
    if _NO_VOLFILE in text:
        mend = f"the server has no volume {volume}; mend the disk's source"
    else:
        mend = f"is volume {volume} started, and the image on it? (gluster volume status {volume})"
    return f"QEMU cannot open {volume}/{node.get('path')}: {words}; {mend}"


@functools.cache
def _run_event_loop() -> None:
    """Keepalive needs an event loop; libvirt wants it before the first connection, and its own errors off stderr."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    libvirt.virEventRegisterDefaultImpl()

    def loop() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=loop, name="libvirt-events", daemon=True).start()
