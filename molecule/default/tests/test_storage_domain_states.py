# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a storage domain: maintenance, data centers, mounts that are broken or have other options, boot."""

from __future__ import annotations

import time
import typing as t

import pytest
from hosts import Guest, System
from modules import Modules

from conftest import HOST, MOUNT_POINT, VOLUME

VMS = {"name": "vms", "spec": f"{HOST}:/{VOLUME}"}
DATA_CENTER = "2a1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11"


def client(system: System) -> str:
    """The pid of the mount's client."""
    for pid in system.run("pidof", "glusterfs").split():
        words = system.run("cat", f"/proc/{pid}/cmdline").rstrip("\0").split("\0")
        if words[-1] == MOUNT_POINT:
            return pid
    raise AssertionError("no client")


def is_mounted(system: System) -> bool:
    return f" {MOUNT_POINT} fuse.glusterfs " in system.run("cat", "/proc/mounts")


def metadata(system: System, folder: str) -> dict[str, str]:
    lines = system.lines("cat", f"{folder}/dom_md/metadata")
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def active(modules: Modules) -> t.Iterator[None]:
    """Active and in no data center, before and after."""
    yield
    modules.done("glusterfs_domain", **VMS, mount_options=[], boot=False)
    modules.done("glusterfs_domain", **VMS, state="detached", data_center=DATA_CENTER, running_vms="destroy")


def test_maintenance_is_refused_while_a_guest_runs(modules: Modules, system: System, guest: Guest) -> None:
    assert guest.state == "running"
    words = modules.refused("glusterfs_domain", **VMS, state="maintenance")
    assert words.startswith(f"storage domain vms is in use by running domains: {guest.name}; stop them first")
    assert is_mounted(system)
    assert guest.state == "running"


@pytest.mark.usefixtures("active")
def test_maintenance_shuts_guests_down_and_active_mounts_again(
    modules: Modules, system: System, guest: Guest, storage_domain: str
) -> None:
    maintenance = {**VMS, "state": "maintenance", "running_vms": "shutdown"}
    try:
        result = modules.as_promised("glusterfs_domain", **maintenance)
        assert result["actions"] == [f"shut down domain {guest.name}", f"unmount {MOUNT_POINT}"]
        assert not is_mounted(system)
        assert guest.state == "shut off"
        modules.as_promised("glusterfs_domain", **VMS)
        assert system.find(f"{MOUNT_POINT}/*-*-*-*-*") == storage_domain
    finally:
        modules.done("glusterfs_domain", **VMS)
        guest.start()


def test_what_holds_the_mount_is_named(modules: Modules, system: System, stopped_guest: Guest) -> None:
    assert stopped_guest.state == "shut off"
    pid = system.run("sh", "-c", f"cd {MOUNT_POINT} && {{ sleep 600 >/dev/null 2>&1 & echo $!; }}").strip()
    try:
        words = modules.refused("glusterfs_domain", **VMS, state="maintenance")
        assert words == f"mount {MOUNT_POINT} is in use by sleep ({pid}); end them first"
    finally:
        system.run("kill", pid)
    assert is_mounted(system)


@pytest.mark.usefixtures("active")
def test_a_data_center_has_it_until_it_is_detached(
    modules: Modules, system: System, stopped_guest: Guest, storage_domain: str
) -> None:
    assert stopped_guest.state == "shut off"
    before = metadata(system, storage_domain)
    modules.as_promised("glusterfs_domain", **VMS, data_center=DATA_CENTER)
    assert metadata(system, storage_domain)["POOL_UUID"] == DATA_CENTER
    assert system.run("stat", "-c", "%a %u:%g", f"{storage_domain}/dom_md/metadata").strip() == "644 36:36"
    for params in ({"state": "detached"}, {"data_center": "other"}):
        assert DATA_CENTER in modules.refused("glusterfs_domain", **VMS, **params)
    modules.as_promised("glusterfs_domain", **VMS, state="detached", data_center=DATA_CENTER)
    assert metadata(system, storage_domain) == before


@pytest.mark.usefixtures("active")
def test_a_frozen_client_is_replaced(modules: Modules, system: System, guest: Guest) -> None:
    frozen = client(system)
    system.run("kill", "-STOP", frozen)
    actions = modules.done("glusterfs_domain", **VMS)["actions"]
    assert actions[0] == f"unmount {MOUNT_POINT}, whose client does not answer"
    assert client(system) != frozen
    assert modules.done("glusterfs_domain", **VMS)["actions"] == []
    assert guest.state == "running"


@pytest.mark.usefixtures("active")
def test_a_volume_that_does_not_answer_is_reported(modules: Modules, system: System) -> None:
    """All that serves it is frozen: bricks, glusterd and the client of the mount."""
    everything = [*system.run("pidof", "glusterfsd", "glusterd").split(), client(system)]
    started = time.monotonic()
    system.run("kill", "-STOP", *everything)
    try:
        words = modules.refused("glusterfs_domain", **VMS)
    finally:
        system.run("kill", "-CONT", *everything)
    assert words.startswith(f"mount {MOUNT_POINT} does not answer, nor does its volume: ")
    print(f"told after {time.monotonic() - started:.1f} s")
    assert modules.done("glusterfs_domain", **VMS)["storage_domain"]["state"] == "active"


@pytest.mark.usefixtures("active")
def test_a_dead_mount_is_replaced(modules: Modules, system: System) -> None:
    system.run("kill", "-KILL", client(system))
    system.wait("mount dead", lambda: "not connected" in system.host.run(f"stat {MOUNT_POINT}").stderr)
    modules.as_promised("glusterfs_domain", **VMS)


@pytest.mark.usefixtures("active")
def test_options_are_compared_with_what_the_client_was_told(modules: Modules, system: System) -> None:
    options = ["log-level=info", "noatime", "attribute-timeout=2", "direct-io-mode=enable"]
    actions = modules.as_promised("glusterfs_domain", **VMS, mount_options=options)["actions"]
    assert actions[0] == f"unmount {MOUNT_POINT}, which has other options"
    assert "--attribute-timeout=2" in system.run("cat", f"/proc/{client(system)}/cmdline").split("\0")
    pid = system.run("sh", "-c", f"cd {MOUNT_POINT} && {{ sleep 600 >/dev/null 2>&1 & echo $!; }}").strip()
    try:
        assert modules.done("glusterfs_domain", **VMS, mount_options=["acl"])["actions"] == []
    finally:
        system.run("kill", pid)
    assert "--acl" not in system.run("cat", f"/proc/{client(system)}/cmdline").split("\0")


@pytest.mark.usefixtures("active")
def test_systemd_mounts_it_at_boot(modules: Modules, system: System) -> None:
    before = system.run("cat", "/etc/fstab")
    modules.as_promised("glusterfs_domain", **VMS, boot=True)
    system.run("umount", MOUNT_POINT)
    unit = system.run("systemd-escape", "--path", "--suffix=mount", MOUNT_POINT).strip()
    system.run("systemctl", "start", unit)
    assert modules.done("glusterfs_domain", **VMS, boot=True)["actions"] == []
    modules.as_promised("glusterfs_domain", **VMS, boot=False)
    assert system.run("cat", "/etc/fstab") == before
    assert is_mounted(system)


@pytest.fixture
def trial(system: System) -> t.Iterator[str]:
    """A volume of its own, never started."""
    name, gluster = "trial", ("gluster", "--mode=script", "volume")
    system.run(*gluster, "create", name, f"{HOST}:/bricks/{name}", "force")
    yield name
    system.host.run(f"gluster --mode=script volume stop {name} force; gluster --mode=script volume delete {name}")
    system.run("rm", "-rf", f"/bricks/{name}")


def test_the_volume_is_taken_along(modules: Modules, system: System, trial: str) -> None:
    args = {"name": "trial", "spec": f"{HOST}:/{trial}"}
    point = MOUNT_POINT.replace(VOLUME, trial)
    made = modules.as_promised("glusterfs_domain", **args, optimize=True, start_volume=True)["storage_domain"]
    assert "performance.strict-o-direct: on" in system.lines("gluster", "volume", "info", trial)
    modules.as_promised("glusterfs_domain", **args, state="maintenance", stop_volume=True)
    assert "Status: Stopped" in system.lines("gluster", "volume", "info", trial)
    ending = {**args, "state": "absent", "confirm": "trial", "volume_policy": "delete", "purge_data": True}
    assert f"holds storage domain {made['uuid']}" in modules.refused("glusterfs_domain", **ending)
    again = modules.as_promised("glusterfs_domain", **args, start_volume=True)["storage_domain"]
    assert again["uuid"] == made["uuid"]
    system.run("mkdir", "-p", "/mnt/other")
    system.run("mount", "-t", "glusterfs", f"{HOST}:/{trial}", "/mnt/other")
    try:
        assert "it is mounted here at /mnt/other" in modules.refused("glusterfs_domain", **ending)
        system.run("test", "-d", f"{point}/{made['uuid']}")
    finally:
        system.run("umount", "/mnt/other")
    modules.as_promised("glusterfs_domain", **ending)
    assert trial not in system.lines("gluster", "volume", "list")
    assert not system.host.file(f"/bricks/{trial}").exists
    assert not system.host.file(point).exists
