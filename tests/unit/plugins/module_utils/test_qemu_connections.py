# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Against the kernel of this machine: this process is the QEMU."""

from __future__ import annotations

import os
import socket
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _qemu_connections, _uri
from ansible_collections.gfapi.virt.plugins.module_utils._qemu_connections import QemuConnections

ADDRESSES = ("127.0.0.1", "127.0.0.2")


@pytest.fixture
def pid_files(tmp_path: Path) -> str:
    (tmp_path / "web.pid").write_text(f"{os.getpid()}\n")
    # one that has no such sockets, and one that is gone
    (tmp_path / "db.pid").write_text(f"{os.getppid()}")
    (tmp_path / "old.pid").write_text(f"{2**22 + 1}")
    return str(tmp_path)


@pytest.fixture
def brick() -> t.Iterator[socket.socket]:
    """Listens on the second address, and has a client; not accepted, so that its own end is nobody's."""
    with socket.create_server((ADDRESSES[1], 0)) as server, socket.create_connection(server.getsockname()):
        yield server


@pytest.mark.usefixtures("brick")
def test_servers_that_a_socket_leads_to(pid_files: str) -> None:
    asked = QemuConnections(pid_files=pid_files)
    assert asked.servers("web", [*ADDRESSES, "host.invalid"]) == [ADDRESSES[1]]
    assert asked.servers("db", ADDRESSES) == []
    assert asked.servers("old", ADDRESSES) == []
    assert asked.servers("none", ADDRESSES) == []


def test_glusterd_is_no_brick(pid_files: str, brick: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_uri, "DEFAULT_PORT", brick.getsockname()[1])
    assert QemuConnections(pid_files=pid_files).servers("web", ADDRESSES) == []


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_addresses_of_both_families(pid_files: str) -> None:
    def connected() -> list[str]:
        return QemuConnections(pid_files=pid_files).servers("web", ["::1", ADDRESSES[1]])

    server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    with server, socket.create_connection(server.getsockname()[:2]):
        assert connected() == ["::1"]
    server = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    with server, socket.create_connection((ADDRESSES[1], server.getsockname()[1])):
        assert connected() == [ADDRESSES[1]]


def test_rows_that_are_no_sockets_are_passed_over() -> None:
    row = "0: 0100007F:1F90 0200007F:C001 01 0:0 0:0 0 0 0 4242 1 0"
    assert _qemu_connections.peers_in(f"  sl ...\n\n0: 0100007F:1F90 0200007F:C001 01\n{row}\n") == {
        "4242": "127.0.0.2"
    }
