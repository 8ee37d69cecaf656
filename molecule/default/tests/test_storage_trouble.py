# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM whose storage fails while it writes: what is told of it, and that it goes on once the trouble is over."""

from __future__ import annotations

import typing as t

import pytest
from hosts import Guest, System
from modules import Modules
from volumes import GLUSTER, NO_HEALTH_CHECK

from conftest import HOST

NAME = "tight"
SPEC = f"{HOST}:/{NAME}"
FOLDERS = tuple(f"/bricks/{NAME}{number}" for number in (1, 2, 3))
BRICK_MIB = 64
VM: t.Final[dict[str, t.Any]] = {
    "name": NAME,
    "storage_domain": NAME,
    "memory": "256MiB",
    "virt_type": "qemu",
    "kernel": "/var/lib/gfapi-lab/guest/vmlinuz",
    "initrd": "/var/lib/gfapi-lab/guest/initrd.img",
    "cmdline": "console=ttyS0 quiet no_timer_check",
    "disks": [{"name": NAME}],
    "serial_log": f"/var/log/libvirt/qemu/{NAME}-console.log",
}


@pytest.fixture(scope="module")
def tight(system: System, modules: Modules) -> t.Iterator[str]:
    """A VM, shut off, on a tuned volume of three copies on small bricks; its guest writes once it has booted."""
    for folder in FOLDERS:
        file = f"/var/tmp/{folder.rpartition('/')[2]}.img"
        system.run("truncate", f"--size={BRICK_MIB}M", file)
        system.run("mkfs.ext4", "-q", "-m", "0", file)
        system.run("mkdir", folder)
        system.run("mount", "-o", "loop", file, folder)
    bricks = [f"{HOST}:{folder}/brick" for folder in FOLDERS]
    system.run(*GLUSTER, "create", NAME, "replica", "3", *bricks, "force")
    system.run(*GLUSTER, "set", NAME, *NO_HEALTH_CHECK)
    system.run(*GLUSTER, "start", NAME)
    modules.done("gluster_volume_options", volume=NAME, presets=["virt_store"])
    modules.done("glusterfs_domain", name=NAME, spec=SPEC)
    modules.done("gfapi_disk", storage_domain=NAME, name=NAME, size="16MiB", format="raw")
    modules.done("libvirt_vm", **VM)
    yield NAME
    modules.done("libvirt_vm", name=NAME, state="absent", force_stop=True, shutdown_timeout=0)
    modules.done("gfapi_disk", storage_domain=NAME, name=NAME, state="absent")
    modules.done("glusterfs_domain", name=NAME, spec=SPEC, state="absent", confirm=NAME)
    system.run(*GLUSTER, "stop", NAME, "force")
    system.run(*GLUSTER, "delete", NAME)
    for folder in FOLDERS:
        system.host.run(f"umount -l {folder}; rmdir {folder}; rm -f /var/tmp/{NAME}*.img")


@pytest.fixture
def guest(system: System, modules: Modules, tight: str) -> t.Iterator[Guest]:
    yield Guest(system, tight)
    modules.done("libvirt_vm", name=NAME, state="shut_off", force_stop=True, shutdown_timeout=0)


def told(modules: Modules) -> tuple[str | None, ...]:
    """State, reason of the pause, and the disk's path and error."""
    (vm,) = modules.done("libvirt_vm_info", names=[NAME])["vms"]
    (disk,) = vm["disks"]
    return vm["state"], vm["pause_reason"], disk["io_path"], disk["error"]


def require_written(guest: Guest) -> None:
    """The guest went on, and has what it wrote."""
    guest.wait("ready", lambda: "ready" in guest.says())
    assert guest.checksum("written")


def await_pause(system: System, guest: Guest) -> None:
    system.wait("the VM is paused", lambda: guest.state == "paused")


@pytest.fixture
def full(system: System, tight: str) -> t.Iterator[list[str]]:
    """Files beside the bricks that leave no space on them; gluster itself could not remove a file now."""
    fillers = [f"{folder}/filler" for folder in FOLDERS]
    for filler in fillers:
        assert system.host.run(f"dd if=/dev/zero of={filler} bs=64k").rc != 0
    yield fillers
    system.run("rm", "-f", *fillers)


def test_a_disk_that_qemu_gave_up_is_not_gone_on_with(
    modules: Modules, system: System, guest: Guest, full: list[str]
) -> None:
    """On a volume that is not tuned what the guest wrote is lost with the flush."""
    option = "performance.strict-o-direct"
    system.run(*GLUSTER, "set", NAME, option, "off")
    try:
        modules.done("libvirt_vm", name=NAME, state="running")
        await_pause(system, guest)
        assert told(modules) == ("paused", "io_error", None, "given_up")
        words = modules.refused("libvirt_vm", name=NAME, state="running")
        assert words.startswith(f"domain {NAME} cannot be resumed: QEMU has given up a disk after a flush that failed")
        assert guest.state == "paused"
    finally:
        system.run(*GLUSTER, "set", NAME, option, "on")


def test_a_full_volume_pauses_the_vm_until_there_is_space(
    modules: Modules, system: System, guest: Guest, full: list[str]
) -> None:
    modules.done("libvirt_vm", name=NAME, state="running")
    await_pause(system, guest)
    assert told(modules) == ("paused", "io_error", "gfapi", "nospace")
    words = modules.refused("libvirt_vm", name=NAME, state="running")
    assert words.startswith(f"domain {NAME} was resumed and is paused again: disk vda ({NAME}/")
    assert "): no space left; free space on its volume, or raise the quota" in words
    assert guest.state == "paused"
    words = modules.refused("libvirt_vm", name=NAME, state="shut_off")
    assert f"cannot shut down domain {NAME}: it is paused" in words
    system.run("rm", *full)
    result = modules.as_promised("libvirt_vm", name=NAME, state="running")
    assert result["actions"] == [f"resume domain {NAME}"]
    require_written(guest)
    assert told(modules) == ("running", None, "gfapi", None)


def test_a_lost_quorum_pauses_the_vm_until_it_is_back(modules: Modules, system: System, guest: Guest) -> None:
    system.run("virsh", "start", "--paused", NAME)
    assert told(modules) == ("paused", "user", "gfapi", None)
    for folder in FOLDERS[1:]:
        system.run("pkill", "-f", f"glusterfsd .*--brick-name {folder}/brick ")
    assert modules.done("libvirt_vm", name=NAME, state="running")["actions"] == [f"resume domain {NAME}"]
    await_pause(system, guest)
    assert told(modules) == ("paused", "io_error", "gfapi", "io")
    words = modules.refused("libvirt_vm", name=NAME, state="running")
    assert words.startswith(f"domain {NAME} was resumed and is paused again: disk vda ({NAME}/")
    assert "): input/output error; see that its volume is up and has its quorum" in words
    system.run(*GLUSTER, "start", NAME, "force")
    # QEMU's client looks for the bricks every three seconds
    system.wait("the VM goes on", lambda: not modules.run("libvirt_vm", name=NAME, state="running")["failed"])
    require_written(guest)
    assert told(modules) == ("running", None, "gfapi", None)
