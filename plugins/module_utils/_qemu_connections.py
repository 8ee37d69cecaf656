# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: the servers whose bricks the QEMU of a running domain of this host is connected to, from /proc.

libgfapi tells nobody which of the servers that it was given it has; the kernel knows its sockets.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import socket
import sys
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _uri

PID_FILES: t.Final = "/run/libvirt/qemu"
PROC: t.Final = "/proc"
_ESTABLISHED: t.Final = "01"


class QemuConnections:
    """Reads the kernel's tables once, however many domains are asked for."""

    def __init__(self, proc: str = PROC, pid_files: str = PID_FILES) -> None:
        self._proc = proc
        self._pid_files = pid_files

    def servers(self, domain: str, servers: t.Sequence[str]) -> list[str]:
        """Those of the servers that the domain's QEMU has a connection to, other than to glusterd."""
        peers = self._peers(domain)
        return [server for server in servers if _addresses(server) & peers]

    def _peers(self, domain: str) -> set[str]:
        inodes = set()
        with contextlib.suppress(OSError, ValueError):
            with open(f"{self._pid_files}/{domain}.pid", encoding="ascii") as file:
                folder = f"{self._proc}/{int(file.read())}/fd"
            for name in os.listdir(folder):
                # the QEMU may end, and any of its files be closed, meanwhile
                with contextlib.suppress(OSError):
                    inodes.add(os.readlink(f"{folder}/{name}"))
        return {address for inode, address in self._sockets.items() if f"socket:[{inode}]" in inodes}

    @functools.cached_property
    def _sockets(self) -> dict[str, str]:
        """Inode → address of the other side, of connections to anything but glusterd."""
        found: dict[str, str] = {}
        for table in ("tcp", "tcp6"):
            with contextlib.suppress(OSError), open(f"{self._proc}/net/{table}", encoding="ascii") as file:
                found.update(peers_in(file.read()))
        return found


def peers_in(table: str) -> dict[str, str]:
    """The same, of the kernel's table of TCP sockets."""
    found = {}
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) < 10:
            continue
        address, _colon, port = words[2].partition(":")
        if words[3] == _ESTABLISHED and int(port, 16) != _uri.DEFAULT_PORT:
            found[words[9]] = _address(address)
    return found


def _address(text: str) -> str:
    # words of the processor's own order
    words = [bytes.fromhex(text[at : at + 8]) for at in range(0, len(text), 8)]
    packed = b"".join(int.from_bytes(word, "big").to_bytes(4, sys.byteorder) for word in words)
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


@functools.cache
def _addresses(server: str) -> frozenset[str]:
    with contextlib.suppress(OSError):
        return frozenset(str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(server, None))
    return frozenset()
