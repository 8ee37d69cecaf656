# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: what glusterd does not tell of bricks. Disks and file systems of this host, addresses of the peers."""

from __future__ import annotations

import contextlib
import os
import socket
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _command, _errors, _volume_state

BLOCK_DEVICES: t.Final = "/sys/class/block"
TIMEOUT_S: t.Final = 5


class BrickDisks:
    """The disks under the bricks of this host."""

    def __init__(self, run_program: _command.Run = _command.run, *, block_devices: str = BLOCK_DEVICES) -> None:
        self._run = run_program
        self._block_devices = block_devices

    def available_bytes(self, paths: t.Sequence[str]) -> dict[str, int]:
        """What users other than root find free: a child process asks, which a dead disk may hold instead of us.

        glusterd tells what root finds free, and that is more where a file system keeps blocks back.
        """
        if not paths:
            return {}
        try:
            done = self._run(["stat", "-f", "-c", "%S %a %n", *paths], timeout_s=TIMEOUT_S)
        except _errors.CommandError:
            return {}
        rows = (line.split(" ", 2) for line in done.stdout.splitlines())
        return {path: int(block) * int(free) for block, free, path in rows}

    def sector_bytes(self, device: str) -> int | None:
        """The least that a disk reads or writes; a partition says what its disk does."""
        folder = os.path.join(self._block_devices, os.path.basename(os.path.realpath(device)))
        for path in (f"{folder}/queue", f"{os.path.realpath(folder)}/../queue"):
            with contextlib.suppress(OSError, ValueError), open(f"{path}/logical_block_size", encoding="ascii") as file:
                return int(file.read())
        return None

    def addresses(self, hosts: t.Iterable[str]) -> dict[str, str]:
        """Address → host, of those that resolve; `localhost` is found by the address that others see of this host."""
        found: dict[str, str] = {}
        for host in hosts:
            with contextlib.suppress(OSError):
                for family, kind, protocol, _name, address in socket.getaddrinfo(host, 24007, type=socket.SOCK_DGRAM):
                    found[str(address[0])] = host
                    found.setdefault(_own_address(family, kind, protocol, address), _volume_state.LOCALHOST)
        return found


def _own_address(family: int, kind: int, protocol: int, address: t.Any) -> str:
    """The address that this host has towards another; nothing is sent."""
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])
