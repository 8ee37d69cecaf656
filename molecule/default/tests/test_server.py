# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a server may be asked to have, on a real VM: what it gets at once, what by a restart, what stays secret."""

from __future__ import annotations

import json
import typing as t
from xml.etree import ElementTree

import pytest
from hosts import Guest, System
from modules import Modules

NAME: t.Final = "server"
IMAGES: t.Final = ("server-root", "server-more")
MEDIA: t.Final = ("/var/tmp/server-a.iso", "/var/tmp/server-b.iso")
PASSWORDS: t.Final = ("Tr0ub4d", "c0rrect")
ROOT_DISK: t.Final = {"name": "server-root", "iothread": 1}


@pytest.fixture(scope="module")
def server(modules: Modules, system: System) -> t.Iterator[dict[str, t.Any]]:
    """The options of a VM whose images and media are there."""
    modules.done("gfapi_disk", storage_domain="vms", disks=[{"name": name, "size": "64MiB"} for name in IMAGES])
    for path in MEDIA:
        system.run("truncate", "-s", "1M", path)
    yield {
        "name": NAME,
        "storage_domain": "vms",
        "virt_type": "qemu",
        "state": "running",
        "title": "a server",
        "metadata": {"owner": "tests <&>", "ü": "1"},
        "memory": "224MiB",
        "memory_max": "256MiB",
        "vcpus": 1,
        "vcpus_max": 2,
        "cpu_mode": "maximum",
        "cpu_topology": {"cores": 2},
        "iothreads": 1,
        "kernel": "/var/lib/gfapi-lab/guest/vmlinuz",
        "initrd": "/var/lib/gfapi-lab/guest/initrd.img",
        "cmdline": "console=ttyS0 quiet no_timer_check",
        "serial_log": f"/var/log/libvirt/qemu/{NAME}-console.log",
        "disks": [ROOT_DISK, {"device": "cdrom", "file": MEDIA[0]}],
        "interfaces": [{"type": "user"}],
        "graphics": [{"type": "vnc", "password": PASSWORDS[0]}],
        "guest_agent": True,
        "watchdog": "poweroff",
        "xml_overrides": [{"path": "features/kvm/hidden/@state", "value": "on"}],
        "wait_for": {"console": "GFAPI-GUEST: ready", "timeout": 120},
    }
    modules.done("libvirt_vm", name=NAME, state="absent", force_stop=True, shutdown_timeout=1)
    modules.done("gfapi_disk", storage_domain="vms", disks=[{"name": name, "state": "absent"} for name in IMAGES])
    system.run("rm", *MEDIA)


def xml_of(system: System, *words: str) -> ElementTree.Element:
    return ElementTree.fromstring(system.run("virsh", "dumpxml", "--security-info", *words, NAME))


def device(xml: ElementTree.Element, path: str) -> ElementTree.Element:
    found = xml.find(f"devices/{path}")
    assert found is not None, path
    return found


def shown_nowhere(system: System, *results: t.Any) -> bool:
    """Whether no password is in what modules return, in what runs, and in QEMU's log."""
    seen = [json.dumps(results), system.run("ps", "axww"), system.run("cat", f"/var/log/libvirt/qemu/{NAME}.log")]
    return not any(password in text for password in PASSWORDS for text in seen)


@pytest.fixture(scope="module")
def first(modules: Modules, server: dict[str, t.Any]) -> t.Any:
    return modules.as_promised("libvirt_vm", **server)


def test_server_runs_with_all_of_it(system: System, first: t.Any) -> None:
    assert first["actions"][:2] == [f"define domain {NAME}", f"start domain {NAME}"]
    assert first["vm"]["restart_required"] == []
    live = xml_of(system)
    assert live.findtext("title") == "a server"
    assert (live.find("vcpu").text, live.find("vcpu").get("current")) == ("2", "1")
    assert device(live, "graphics").get("passwd") == PASSWORDS[0]
    assert device(live, "disk[@device='cdrom']/source").get("file") == MEDIA[0]
    assert device(live, "disk[@type='network']/driver").get("iothread") == "1"
    assert device(live, "watchdog").get("action") == "poweroff"
    assert shown_nowhere(system, first)


def test_running_server_gets_at_once_what_it_can(
    modules: Modules, system: System, server: dict[str, t.Any], first: t.Any
) -> None:
    more = {
        **server,
        "memory": "240MiB",
        "vcpus": 2,
        "disks": [
            {**ROOT_DISK, "iotune": {"total_iops_sec": 500, "read_bytes_sec": "10MiB"}},
            {"name": "server-more", "bus": "scsi"},
            {"device": "cdrom", "file": MEDIA[1]},
        ],
        "interfaces": [{"type": "user"}, {"type": "user"}],
        "graphics": [{"type": "vnc", "password": PASSWORDS[1]}],
    }
    was = int(system.run("virsh", "domid", NAME))
    result = modules.as_promised("libvirt_vm", **more)
    mac = result["vm"]["interfaces"][1]["mac"]
    assert result["actions"] == [
        f"attach disk sdb to running domain {NAME}",
        f"attach interface {mac} to running domain {NAME}",
        f"change memory of running domain {NAME}",
        f"change vcpus of running domain {NAME}",
        f"change memory, vcpus, disks, drives, interfaces, graphics of domain {NAME}",
        f"change limits of disk vda of running domain {NAME}",
        f"change medium of drive sda of running domain {NAME}",
        f"change password of the vnc display of running domain {NAME}",
    ]
    assert result["vm"]["restart_required"] == []
    assert int(system.run("virsh", "domid", NAME)) == was
    live, configured = xml_of(system), xml_of(system, "--inactive")
    for path in ("disk/target[@dev='sdb']/..", "interface[2]"):
        addresses = [device(xml, path).find("address").attrib for xml in (live, configured)]
        assert addresses[0] == addresses[1]
    for xml in (live, configured):
        assert xml.find("vcpu").get("current") is None
        assert device(xml, "disk[@device='cdrom']/source").get("file") == MEDIA[1]
        assert device(xml, "graphics").get("passwd") == PASSWORDS[1]
        assert device(xml, "disk/iotune/read_bytes_sec").text == str(10 << 20)
    (vm,) = modules.done("libvirt_vm_info", names=[NAME])["vms"]
    assert sorted(disk["io_path"] for disk in vm["disks"]) == ["file", "gfapi", "gfapi"]
    assert shown_nowhere(system, result)


def test_running_server_loses_at_once_what_it_may(modules: Modules, system: System, server: dict[str, t.Any]) -> None:
    result = modules.as_promised("libvirt_vm", name=NAME, storage_domain="vms", disks=[ROOT_DISK], interfaces=[])
    assert [words.split()[0] for words in result["actions"]] == ["change", "detach", "detach", "detach"]
    assert result["vm"]["restart_required"] == []
    live = xml_of(system)
    assert len(live.findall("devices/disk[@type='network']")) == 1
    assert live.find("devices/interface") is None
    # a drive that nobody lists stays
    assert device(live, "disk[@device='cdrom']") is not None


def test_the_rest_is_named_and_comes_with_a_restart_that_is_allowed(modules: Modules, system: System) -> None:
    change = {"name": NAME, "memory_max": "320MiB", "vcpus_max": 4, "cpu_topology": {"cores": 4}}
    (named,) = [modules.as_promised("libvirt_vm", **change)]
    fields = {words.split(":")[0] for words in named["vm"]["restart_required"]}
    assert fields == {"memory_max", "vcpus_max", "topology"}
    done = modules.as_promised("libvirt_vm", **change, restart="if_required", state="running")
    assert done["actions"] == [f"shut down domain {NAME}", f"start domain {NAME}"]
    assert done["vm"]["restart_required"] == []
    assert xml_of(system).findtext("vcpu") == "4"


def test_server_is_paused_and_goes_on(modules: Modules, system: System) -> None:
    modules.as_promised("libvirt_vm", name=NAME, state="paused")
    assert system.run("virsh", "domstate", NAME).strip() == "paused"
    modules.as_promised("libvirt_vm", name=NAME, state="running")
    assert Guest(system, NAME).state == "running"
