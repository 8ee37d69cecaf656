# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: what this host has. Starts small programs, reads small files, changes nothing."""

from __future__ import annotations

import contextlib
import grp
import importlib.util
import ipaddress
import os
import pwd
import re
import shutil
import socket
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _command, _errors, _libvirt_domains, _versions

#: vdsm's group, and so that of every oVirt storage domain
STORAGE_GID: t.Final = 36
SYSTEM_PYTHON: t.Final = "/usr/bin/python3"
QEMU_CONF: t.Final = "/etc/libvirt/qemu.conf"
#: where swtpm_setup keeps the keys that it signs new TPMs with
SWTPM_CA: t.Final = "/var/lib/swtpm-localca"
QEMU_USERS: t.Final = ("libvirt-qemu", "qemu")
GLUSTERD_VOL: t.Final = "/etc/glusterfs/glusterd.vol"
GLUSTERD_DIRECTORY: t.Final = "/var/lib/glusterd"
GLUSTERD_PID: t.Final = "/var/run/glusterd.pid"
#: the option's default became `on` here, and no restart is needed any more
INSECURE_BY_DEFAULT: t.Final = _versions.Version((3, 7, 3))
#: of /proc/PID/stat (proc(5)), counted after the program's name: the start, in ticks after boot
STARTED: t.Final = 19
TIMEOUT_S: t.Final = 20


@dataclass(frozen=True)
class QemuUser:
    """The user that libvirt runs QEMU as, with every group it is in."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Peer:
    """Another node of the pool, by the names that glusterd keeps for it."""

    uuid: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Pool:
    """What glusterd wrote down of its pool. `uuid` is this node's own, `None` until glusterd has needed one."""

    uuid: str | None
    peers: tuple[Peer, ...]
    volumes: tuple[str, ...]


class Host:
    """This host."""

    def __init__(self, run_program: _command.Run = _command.run, *, uri: str = "qemu:///system") -> None:
        self._run = run_program
        self._uri = uri

    def version_of(self, *argv: str) -> _versions.Version | None:
        """The version that a program prints; `None` if it is missing."""
        with contextlib.suppress(_errors.CommandError):
            return _versions.Version.find(self._run(argv, timeout_s=TIMEOUT_S).stdout)
        return None

    def gluster_driver(self) -> tuple[bool, str]:
        """Whether QEMU loads its gluster block driver, and its own words if not.

        Neither a version nor `qemu-img --help` nor QMP's schema tells: a modular QEMU lists the driver with the file
        gone. Asking for its options loads it and connects to nothing.
        """
        try:
            argv = ["qemu-img", "create", "-f", "qcow2", "-o", "help", "gluster://x/y/z"]
            done = self._run(argv, timeout_s=TIMEOUT_S)
        except _errors.CommandError as exc:
            return False, str(exc)
        return done.returncode == 0, "" if done.returncode == 0 else done.words

    def libvirt_versions(self) -> tuple[_versions.Version | None, _versions.Version | None, str]:
        """Version of libvirt and of its QEMU, and why they could not be asked.

        Raises `MissingLibraryError` where the system's Python has the library and this one has not.
        """
        try:
            library, hypervisor = _libvirt_domains.LibvirtDomains(self._uri).version()
        except _errors.MissingLibraryError as exc:
            if self.has_library("libvirt"):
                raise
            return None, None, f"{exc}; install python3-libvirt"
        except _errors.LibvirtError as exc:
            return None, None, str(exc)
        return _versions.Version.find(library), _versions.Version.find(hypervisor or ""), ""

    def has_library(self, name: str) -> bool:
        """Whether this Python or the system's has a library."""
        if importlib.util.find_spec(name):
            return True
        with contextlib.suppress(_errors.CommandError):
            return self._run([SYSTEM_PYTHON, "-c", f"import {name}"], timeout_s=TIMEOUT_S).returncode == 0
        return False

    def has_program(self, name: str) -> bool:
        return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None

    def glusterd_runs(self) -> bool:
        """Whether the local glusterd answers."""
        try:
            return self._run(["gluster", "--mode=script", "volume", "list"], timeout_s=TIMEOUT_S).returncode == 0
        except _errors.CommandError:
            return False

    def pool(self) -> Pool:
        """The pool that this host is a node of, whether glusterd runs or not; alone where it is in none."""
        names = _names_in(f"{GLUSTERD_DIRECTORY}/peers")
        records = [_fields(_read(f"{GLUSTERD_DIRECTORY}/peers/{name}")) for name in names]
        return Pool(
            uuid=_fields(_read(f"{GLUSTERD_DIRECTORY}/glusterd.info")).get("UUID"),
            peers=tuple(Peer(record["uuid"], _hostnames(record)) for record in records if "uuid" in record),
            volumes=tuple(_names_in(f"{GLUSTERD_DIRECTORY}/vols")),
        )

    def own_names(self, names: t.Iterable[str]) -> list[str]:
        """Those names and addresses that mean this host, as resolved here."""
        names = list(names)
        addresses = self._addresses() if names else set()
        return [name for name in names if any(_is_loopback(a) or a in addresses for a in _resolve(name))]

    def _addresses(self) -> set[str]:
        shown = self._run(["ip", "-o", "address", "show"], timeout_s=TIMEOUT_S).stdout
        return set(re.findall(r"\sinet6?\s([^/\s]+)", shown))

    def qemu_user(self) -> QemuUser | None:
        """The user from qemu.conf, else the one that the distribution's package made."""
        configured = re.search(r'^\s*user\s*=\s*"\+?([^"]+)"', _read(QEMU_CONF), re.MULTILINE)
        for name in (configured[1],) if configured else QEMU_USERS:
            with contextlib.suppress(KeyError):
                entry = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
                groups = tuple(sorted(set(os.getgrouplist(entry.pw_name, entry.pw_gid))))
                return QemuUser(entry.pw_name, entry.pw_uid, entry.pw_gid, groups)
        return None

    def swtpm_user(self) -> str | None:
        """The user, by name or number, that qemu.conf names for swtpm; empty if it names none.

        `None` where that is of no matter, for QEMU is root, or cannot be told.
        """
        user = self.qemu_user()
        if user is None or user.uid == 0 or not os.access(QEMU_CONF, os.R_OK):
            return None
        configured = re.search(r'^\s*swtpm_user\s*=\s*"\+?([^"]+)"', _read(QEMU_CONF), re.MULTILINE)
        return configured[1] if configured else ""

    def swtpm_problem(self) -> str:
        """Why QEMU cannot reach an emulated TPM that libvirt does not relabel; empty where it can, or nobody can tell.

        qemu.conf says who swtpm runs as, which is another user by default.
        """
        user = self.qemu_user()
        if user is None or user.uid == 0 or not os.access(QEMU_CONF, os.R_OK):
            return ""
        configured = re.search(r'^\s*swtpm_user\s*=\s*"\+?([^"]+)"', _read(QEMU_CONF), re.MULTILINE)
        if configured and configured[1] in (user.name, str(user.uid)):
            return ""
        return (
            f'swtpm does not run as QEMU\'s user, who may not open its socket; set swtpm_user = "{user.name}" in'
            f" {QEMU_CONF}, let {user.name} own {SWTPM_CA} and what is in it, and restart libvirt; the role vm_gfapi"
            " does all that"
        )

    def storage_group(self) -> str | None:
        """The name of the group with gid 36."""
        with contextlib.suppress(KeyError):
            return grp.getgrgid(STORAGE_GID).gr_name
        return None

    def kvm(self, user: QemuUser | None) -> tuple[bool, bool]:
        """Whether there is a /dev/kvm, and whether the qemu user may open it."""
        try:
            found = os.stat("/dev/kvm")
        except OSError:
            return False, False
        as_group = user is not None and found.st_gid in user.groups and found.st_mode & 0o060 == 0o060
        as_owner = user is not None and found.st_uid == user.uid and found.st_mode & 0o600 == 0o600
        return True, as_group or as_owner or found.st_mode & 0o006 == 0o006

    def configured_insecure_rpc(self) -> str | None:
        """`rpc-auth-allow-insecure` as glusterd.vol has it; `None` if it has no such line."""
        match = re.search(r"^\s*option\s+rpc-auth-allow-insecure\s+(\S+)", _read(GLUSTERD_VOL), re.MULTILINE)
        return match[1] if match else None

    def glusterd_has_read_its_file(self) -> bool:
        """Whether glusterd.vol was last written before the running glusterd was started. True where none runs."""
        # not the time of /proc/PID, which is that of somebody's first look at it, nor of the pid file: glusterd (10.3)
        # has read its file by then
        status = _read(f"/proc/{_read(GLUSTERD_PID).strip() or '-'}/stat").rpartition(")")[2].split()
        try:
            return os.stat(GLUSTERD_VOL).st_mtime <= _booted_at() + int(status[STARTED]) / os.sysconf("SC_CLK_TCK")
        except (OSError, IndexError):
            return True


def _booted_at() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _names_in(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _fields(text: str) -> dict[str, str]:
    """Lines of `name=value`, which is how glusterd writes its files."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _equals, value in pairs}


def _hostnames(record: t.Mapping[str, str]) -> tuple[str, ...]:
    return tuple(value for name, value in record.items() if name.startswith("hostname"))


def _resolve(name: str) -> set[str]:
    """A name's addresses; none where nobody knows it. An address is its own."""
    try:
        return {str(found[4][0]).partition("%")[0] for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return set()


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
