# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._image_source import GRAPH, Servers
from ansible_collections.gfapi.virt.plugins.module_utils._mount_table import Mount
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec

#: addresses for documentation, that no host has, and one that each has
FAR: t.Final = ("203.0.113.1", "203.0.113.2", "2001:db8::3")
OWN: t.Final = "127.0.0.9"


def servers(point: Path, volfile_server: str, *bricks: str) -> tuple[str, ...]:
    """The servers of volume gv0, whose client shows these hosts of its bricks."""
    for number, host in enumerate(bricks):
        # others of a graph are told apart by their names
        for name in (f"gv0-client-{number}", f"gv0-replicate-{number}"):
            options = point / GRAPH / name / "options"
            options.mkdir(parents=True)
            (options / "remote-host").write_text(f"{host}\n")
    return Servers().of(Mount(VolumeSpec((volfile_server,), "gv0"), str(point)))


def test_the_volfile_server_comes_first(tmp_path: Path) -> None:
    assert servers(tmp_path, FAR[1], *FAR, *FAR) == (FAR[1], FAR[0], FAR[2])


def test_this_host_comes_before_it_where_it_has_a_brick(tmp_path: Path) -> None:
    assert servers(tmp_path, FAR[1], FAR[0], OWN, FAR[1]) == (OWN, FAR[1], FAR[0])


def test_bricks_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    hosts = [f"203.0.113.{number}" for number in range(1, 13)]
    assert servers(tmp_path, hosts[0], *hosts) == tuple(hosts)


@pytest.mark.parametrize("name", ["host.invalid", "", "a" * 300])
def test_a_name_that_leads_nowhere_is_not_this_host(tmp_path: Path, name: str) -> None:
    assert servers(tmp_path, FAR[1], name, FAR[1]) == (FAR[1], name)


def test_a_mount_that_tells_nothing_leaves_the_volfile_server_and_a_warning(tmp_path: Path) -> None:
    asked = Servers()
    assert asked.of(Mount(VolumeSpec((FAR[0],), "gv0"), str(tmp_path))) == (FAR[0],)
    assert f"disks on volume gv0 name no server but {FAR[0]}" in asked.warnings[0]
