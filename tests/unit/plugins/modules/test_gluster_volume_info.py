# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _gluster
from ansible_collections.gfapi.virt.plugins.module_utils._brick_disks import BrickDisks
from ansible_collections.gfapi.virt.plugins.module_utils._command import Completed
from ansible_collections.gfapi.virt.plugins.module_utils._errors import CommandError, GlusterError
from ansible_collections.gfapi.virt.plugins.module_utils._gluster import Gluster
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec
from ansible_collections.gfapi.virt.plugins.modules.gluster_volume_info import Reader, read, read_remote
from ansible_collections.gfapi.virt.tests.unit.recorded import STATE_VERSIONS, Cluster, gluster_text, state_xml

GIB: t.Final = 2**30
DEFAULTS: t.Final = {"names": ["vmstore"], "options": "set", "remote_host": None, "timeout": 60}
PEER_DOWN: t.Final = {
    "pool_and_info": "pool_peer_down",
    "status_vmstore": "status_peer_down",
    "heal_summary_vmstore": "heal_summary_peer_down",
}
HUNG: t.Final = CommandError("gluster --mode=script --xml: no answer within 60 s")


class Disks(BrickDisks):
    """A host whose bricks have 40 GiB for users, on disks with small sectors; gl1 is this host."""

    def available_bytes(self, paths: t.Sequence[str]) -> dict[str, int]:
        return dict.fromkeys(paths, 40 * GIB)

    def sector_bytes(self, device: str) -> int | None:
        return 512

    def addresses(self, hosts: t.Iterable[str]) -> dict[str, str]:
        known = {"gl1": "192.0.2.1", "gl2": "192.0.2.2", "gl3": "192.0.2.3"}
        return {known[host]: host for host in hosts if host in known}


@pytest.fixture(params=STATE_VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return t.cast("str", request.param)


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """glusterd's records of its volumes."""
    monkeypatch.setattr(_gluster, "_listens", lambda _path: True)
    monkeypatch.setattr(_gluster, "VOLUMES_DIRECTORY", str(tmp_path))
    (tmp_path / "vmstore").mkdir()
    (tmp_path / "vmstore/info").write_text("type=2\nthin_arbiter_count=0\n")
    return tmp_path


def run(cluster: Cluster, **params: t.Any) -> dict[str, t.Any]:
    return read({**DEFAULTS, **params}, Reader(Gluster(cluster), Disks(), 60))


def vmstore(cluster: Cluster) -> dict[str, t.Any]:
    (volume,) = run(cluster)["volumes"]
    return t.cast("dict[str, t.Any]", volume)


def codes(findings: t.Sequence[t.Mapping[str, str]]) -> list[str]:
    return [found["code"] for found in findings]


def test_a_healthy_volume_is_told_whole(version: str) -> None:
    volume = vmstore(Cluster(version))
    assert volume["name"] == "vmstore" and volume["uuid"]
    assert (volume["type"], volume["status"], volume["replica"], volume["transport"]) == (
        "Replicate",
        "Started",
        3,
        "tcp",
    )
    assert (volume["arbiter"], volume["thin_arbiter"], volume["disperse"], volume["redundancy"]) == (False, False, 0, 0)
    assert [brick["online"] for brick in volume["bricks"]] == [True, True, True]
    assert [brick["sector_bytes"] for brick in volume["bricks"]] == [512, None, None]
    assert [brick["available_bytes"] for brick in volume["bricks"]] == [40 * GIB, None, None]
    assert volume["quorum"] == {
        "client": {"type": "auto", "count": None, "met": True},
        "server": {"type": "server", "ratio": "51", "met": True},
    }
    assert volume["heal"] == {"pending": 0, "split_brain": 0}
    assert volume["space"]["free_bytes"] == 40 * GIB < volume["space"]["size_bytes"]
    assert volume["clients"] == [{"host": "192.0.2.4", "processes": 1}]
    assert volume["rebalance"] is None
    assert volume["options"]["features.shard"] == "on" and len(volume["options"]) < 10
    assert (codes(volume["problems"]), codes(volume["warnings"])) == (["strict_o_direct_off", "owner_not_36"], [])
    assert volume["eligible_for_storage_domain"] is False


def test_four_processes_tell_it(version: str) -> None:
    cluster = Cluster(version)
    run(cluster)
    assert cluster.asked == ["pool_and_info", "options", "status_vmstore", "heal_summary_vmstore"]


def test_two_processes_tell_of_a_pool_without_the_volume(version: str) -> None:
    cluster = Cluster(version)
    assert run(cluster, names=["none"])["volumes"] == []
    assert cluster.asked == ["pool_and_info"]


def test_peers_are_told_this_host_by_its_name(version: str) -> None:
    peers = run(Cluster(version))["peers"]
    assert [(peer["name"], peer["connected"], peer["local"]) for peer in peers] == [
        ("gl2", True, False),
        ("gl3", True, False),
        ("gl1", True, True),
    ]


def test_spec_and_options_are_what_glusterfs_domain_takes(version: str) -> None:
    volume = vmstore(Cluster(version))
    assert VolumeSpec.parse(volume["spec"]) == VolumeSpec(("gl1",), "vmstore")
    assert volume["mount_options"] == ["backup-volfile-servers=gl2:gl3"]


def test_every_option_in_force_is_told_when_asked_for(version: str) -> None:
    (volume,) = run(Cluster(version), options="in_force")["volumes"]
    assert len(volume["options"]) > 300
    assert volume["options"]["performance.strict-o-direct"] == "off"
    assert volume["options"]["cluster.server-quorum-type"] == "server"


def test_brick_down(version: str) -> None:
    instead = {"status_vmstore": "status_brick_down", "heal_summary_vmstore": "heal_summary_brick_down"}
    volume = vmstore(Cluster(version, instead))
    assert [brick["online"] for brick in volume["bricks"]] == [True, False, True]
    assert volume["heal"]["pending"] > 0
    assert codes(volume["warnings"]) == ["bricks_down", "heal_pending"]
    assert "gl2:/bricks/vmstore-1" in volume["warnings"][0]["message"]
    assert volume["quorum"]["client"]["met"] is True


def test_peer_down(version: str) -> None:
    result = run(Cluster(version, PEER_DOWN))
    (volume,) = result["volumes"]
    assert [peer["name"] for peer in result["peers"] if not peer["connected"]] == ["gl3"]
    assert [brick["online"] for brick in volume["bricks"]] == [True, True, False]
    assert codes(volume["warnings"])[:2] == ["peers_down", "bricks_down"]
    assert (volume["quorum"]["client"]["met"], volume["quorum"]["server"]["met"]) == (True, True)
    assert (volume["spec"], result["warnings"]) == ("gl1:/vmstore", [])


class Hanging(Gluster):
    """A glusterd with a peer, gl3, that hangs and is still called connected."""

    def answers(self, host: str) -> bool:
        return host != "gl3"


def test_peer_that_hangs_is_named(version: str) -> None:
    instead = {"status_vmstore": HUNG, "heal_summary_vmstore": "heal_summary_peer_down"}
    result = read(DEFAULTS, Reader(Hanging(Cluster(version, instead)), Disks(), 60))
    (volume,) = result["volumes"]
    assert [peer["name"] for peer in result["peers"] if not peer["connected"]] == ["gl3"]
    assert [brick["online"] for brick in volume["bricks"]] == [True, True, False], "the client that heals tells"
    assert (volume["clients"], volume["space"]) == (None, None)
    assert codes(volume["warnings"])[:2] == ["peers_down", "bricks_down"]
    assert result["warnings"] == [
        "cannot read status of volume vmstore: gluster --mode=script --xml: no answer within 60 s",
        "glusterd of peer gl3 does not answer, though its connection stands; look at that host, and start glusterd"
        " there again",
    ]


def test_what_nobody_tells_is_none(version: str) -> None:
    instead = {"status_vmstore": HUNG, "heal_summary_vmstore": HUNG}
    result = read(DEFAULTS, Reader(Hanging(Cluster(version, instead)), Disks(), 60))
    (volume,) = result["volumes"]
    assert [brick["online"] for brick in volume["bricks"]] == [None, None, False]
    assert (volume["heal"], volume["clients"], volume["space"], volume["quorum"]["client"]["met"]) == (None,) * 4
    assert len(result["warnings"]) == 3


def test_pool_that_cannot_be_read_is_an_error(version: str) -> None:
    with pytest.raises(GlusterError, match=r"^cannot read volumes: .*no answer"):
        run(Cluster(version, {"pool_and_info": HUNG}))


def test_thin_arbiter_is_told_by_glusterds_record(version: str, store: Path) -> None:
    (store / "vmstore/info").write_text("thin_arbiter_count=1\n")
    assert vmstore(Cluster(version))["thin_arbiter"] is True
    (store / "vmstore/info").unlink()
    assert vmstore(Cluster(version))["thin_arbiter"] is None


# --- asked of another host ------------------------------------------------------------------------------------------


class Remote:
    """Another host's glusterd, which tells `volume info` alone."""

    def __init__(self, printed: str) -> None:
        self.printed = printed
        self.asked: list[list[str]] = []

    def __call__(self, argv: t.Sequence[str], **_more: object) -> Completed:
        self.asked.append(list(argv))
        return Completed(0, self.printed, "")


def remote(printed: str, **params: t.Any) -> tuple[dict[str, t.Any], Remote]:
    program = Remote(printed)
    result = read_remote({**DEFAULTS, "names": None, "remote_host": "gl1", **params}, Gluster(program))  # type: ignore[arg-type]
    return result, program


def test_another_host_tells_what_is_set_and_nothing_of_the_state() -> None:
    result, program = remote(gluster_text("volume_info_started"))
    (volume,) = result["volumes"]
    assert program.asked == [["gluster", "--mode=script", "--xml", "--remote-host=gl1", "volume", "info"]]
    assert result["peers"] is None
    assert (volume["name"], volume["status"], volume["replica"]) == ("vmstore", "Started", 3)
    unknown = ("thin_arbiter", "heal", "space", "clients", "rebalance")
    assert [volume[name] for name in unknown] == [None] * 5
    assert {brick["online"] for brick in volume["bricks"]} == {None}
    assert volume["quorum"]["client"] == {"type": None, "count": None, "met": None}
    assert volume["options"]["storage.owner-uid"] == "36"


def test_another_host_cannot_tell_that_a_volume_is_fit() -> None:
    made_for_it = "".join(
        f"<option><name>{name}</name><value>on</value></option>"
        for name in ("features.shard", "performance.strict-o-direct")
    )
    printed = gluster_text("volume_info_started").replace("</options>", f"{made_for_it}</options>")
    (volume,) = remote(printed)[0]["volumes"]
    assert (volume["eligible_for_storage_domain"], volume["problems"]) == (None, [])
    (volume,) = remote(gluster_text("volume_info_stopped"))[0]["volumes"]
    assert volume["eligible_for_storage_domain"] is False
    assert "stopped" in codes(volume["problems"])


def test_another_host_tells_no_options_in_force() -> None:
    with pytest.raises(ValueError, match="only those that were set"):
        remote(gluster_text("volume_info_started"), options="in_force")


def test_name_of_another_host_is_looked_at() -> None:
    with pytest.raises(ValueError, match="neither a name nor an address"):
        remote(gluster_text("volume_info_started"), remote_host="--help")


@pytest.mark.parametrize(
    ("host", "spec", "options"),
    [
        ("2001:db8::1", "[2001:db8::1]:/vmstore", []),
        ("gl1.example.org", "gl1.example.org:/vmstore", []),
    ],
)
def test_spec_of_other_hosts(host: str, spec: str, options: list[str]) -> None:
    printed = gluster_text("volume_info_started").replace("gl1:/", f"{host}:/")
    (volume,) = remote(printed)[0]["volumes"]
    assert (volume["spec"], volume["mount_options"]) == (spec, options)
    assert volume["bricks"][0]["host"] == host


def test_backup_servers_with_ipv6_stand_in_brackets() -> None:
    printed = gluster_text("volume_info_started").replace("gl1:/bricks/vmstore-1", "2001:db8::2:/bricks/vmstore-1")
    (volume,) = remote(printed)[0]["volumes"]
    assert volume["mount_options"] == ["backup-volfile-servers=[2001:db8::2]"]


def test_recorded_pool_has_every_type_of_volume(version: str) -> None:
    """What the other tests take for granted of the recording."""
    types = {
        node.findtext("name"): node.findtext("typeStr")
        for node in state_xml("pool_and_info", version, document=1).iter("volume")
    }
    assert set(types.values()) == {"Replicate", "Distributed-Replicate", "Distribute", "Disperse"}
