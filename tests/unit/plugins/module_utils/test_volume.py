# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _xml
from ansible_collections.gfapi.virt.plugins.module_utils._volume import (
    Brick,
    Volume,
    effective_options,
    volumes_from,
)
from ansible_collections.gfapi.virt.tests.unit.recorded import gluster_text, gluster_xml

#: what is set on every new volume of 10.3, and on a replicate one besides
NEW = {"storage.fips-mode-rchecksum": "on", "transport.address-family": "inet", "nfs.disable": "on"}
REPLICATE = {**NEW, "cluster.granular-entry-heal": "on", "performance.client-io-threads": "off"}


def bricks(name: str, count: int, *, arbiter: int | None = None) -> tuple[Brick, ...]:
    return tuple(Brick("gl1", f"/bricks/{name}-{number}", number == arbiter) for number in range(count))


@pytest.mark.parametrize(
    ("recording", "volume"),
    [
        ("volume_info_vmstore", Volume("vmstore", "Replicate", "Created", 3, bricks("vmstore", 3), REPLICATE)),
        (
            "volume_info_arbitrated",
            Volume("arbitrated", "Replicate", "Created", 3, bricks("arbitrated", 3, arbiter=2), REPLICATE),
        ),
        ("volume_info_distributed", Volume("distributed", "Distribute", "Created", 1, bricks("distributed", 2), NEW)),
        (
            "volume_info_dispersed",
            Volume("dispersed", "Disperse", "Created", 1, bricks("dispersed", 3), NEW, disperse=3, redundancy=1),
        ),
        (
            "volume_info_dist-rep",
            Volume("dist-rep", "Distributed-Replicate", "Created", 3, bricks("dist-rep", 6), REPLICATE),
        ),
        ("volume_info_pair", Volume("pair", "Replicate", "Created", 2, bricks("pair", 2), REPLICATE)),
    ],
)
def test_volume_is_read(recording: str, volume: Volume) -> None:
    assert volumes_from(gluster_xml(recording)) == (volume,)


@pytest.mark.parametrize(
    ("recording", "status", "started", "never"),
    [
        ("volume_info_vmstore", "Created", False, True),
        ("volume_info_started", "Started", True, False),
        ("volume_info_stopped", "Stopped", False, False),
    ],
)
def test_status_of_a_volume(recording: str, status: str, started: bool, never: bool) -> None:
    (volume,) = volumes_from(gluster_xml(recording))
    assert (volume.status, volume.is_started, volume.was_never_started) == (status, started, never)


@pytest.mark.parametrize(
    ("recording", "replicate", "disperse"),
    [
        ("volume_info_vmstore", True, False),
        ("volume_info_dist-rep", True, False),
        ("volume_info_distributed", False, False),
        ("volume_info_dispersed", False, True),
    ],
)
def test_type_of_a_volume(recording: str, replicate: bool, disperse: bool) -> None:
    (volume,) = volumes_from(gluster_xml(recording))
    assert (volume.is_replicate, volume.is_disperse) == (replicate, disperse)


def test_options_are_spelled_as_they_were_given() -> None:
    (volume,) = volumes_from(gluster_xml("volume_info_started"))
    assert volume.options == {
        **REPLICATE,
        "storage.owner-uid": "36",
        "storage.owner-gid": "36",
        "performance.stat-prefetch": "YES",
        "user.note": "a: b <c> & d",
    }


def test_unknown_volume_is_no_volume() -> None:
    assert volumes_from(gluster_xml("volume_info_unknown")) == ()


def test_bricks_are_mixed_content() -> None:
    """The recording holds it; the host is what stands before the first ':/', an IPv6 address included."""
    assert "gl1:/bricks/vmstore-0<name>" in gluster_text("volume_info_vmstore")
    text = gluster_text("volume_info_vmstore").partition("?>")[2].strip().replace("gl1:/bricks/", "2001:db8::1:/a:/")
    (volume,) = volumes_from(_xml.parse(text))
    assert volume.bricks[0] == Brick("2001:db8::1", "/a:/vmstore-0")


@pytest.mark.parametrize(
    ("recording", "sets"),
    [
        ("volume_info_vmstore", [(0, 1, 2)]),
        ("volume_info_arbitrated", [(0, 1, 2)]),
        ("volume_info_distributed", [(0,), (1,)]),
        ("volume_info_dispersed", [(0, 1, 2)]),
        ("volume_info_dist-rep", [(0, 1, 2), (3, 4, 5)]),
        ("volume_info_pair", [(0, 1)]),
    ],
)
def test_bricks_that_hold_the_same_files(recording: str, sets: list[tuple[int, ...]]) -> None:
    (volume,) = volumes_from(gluster_xml(recording))
    assert [tuple(volume.bricks.index(brick) for brick in one) for one in volume.sets] == sets


def test_volume_and_bricks_have_the_uuids_of_gluster() -> None:
    (volume,) = volumes_from(gluster_xml("volume_info_vmstore"))
    assert (len(volume.uuid), {len(brick.peer) for brick in volume.bricks}) == (36, {36})
    assert (volume.transport, str(volume.bricks[0])) == ("tcp", "gl1:/bricks/vmstore-0")


def test_servers_are_the_hosts_of_the_bricks_once_each() -> None:
    volume = Volume("v", "Replicate", "Started", 3, tuple(Brick(host, "/b") for host in ("b", "a", "b", "c", "a")))
    assert volume.servers == ("b", "a", "c")


def test_options_in_force_are_without_the_mark_of_a_default() -> None:
    document = gluster_xml("info_and_get_started", document=1)
    assert "<Value>on (DEFAULT)</Value>" in gluster_text("info_and_get_started")
    options = effective_options(document)
    assert len(options) > 300
    assert (options["storage.owner-uid"], options["performance.stat-prefetch"]) == ("36", "YES")
    assert options["features.shard-block-size"] == "64MB"
    assert not any("(DEFAULT)" in value for value in options.values())
