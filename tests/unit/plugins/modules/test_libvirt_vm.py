# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils import _xml
from ansible_collections.gfapi.virt.plugins.module_utils._conversion import BothWays, Reached
from ansible_collections.gfapi.virt.plugins.module_utils._disk import DiskSource, ImageSource
from ansible_collections.gfapi.virt.plugins.module_utils._image_paths import ImagePaths
from ansible_collections.gfapi.virt.plugins.module_utils._image_source import Servers
from ansible_collections.gfapi.virt.plugins.module_utils._live import disk_at
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Item
from ansible_collections.gfapi.virt.plugins.module_utils._storage import Storage
from ansible_collections.gfapi.virt.plugins.module_utils._vm_items import Hypervisors, make_items
from ansible_collections.gfapi.virt.plugins.module_utils._vm_uses import VmUses
from ansible_collections.gfapi.virt.plugins.modules.libvirt_vm import (
    DISK_SPEC,
    GRAPHICS_SPEC,
    INTERFACE_SPEC,
    OVERRIDE_SPEC,
    VM_SPEC,
)
from ansible_collections.gfapi.virt.tests.unit.fake_daemons import FakeLibvirt

SERVERS = ("gluster1", "gluster2", "gluster3")


class FakeImages:
    """A storage domain that has every image."""

    warnings: t.ClassVar[list[str]] = []

    def find(self, storage_domain: str, name: str) -> ImageSource:
        source = DiskSource.gluster("vmstore", f"{storage_domain}/images/{name}/leaf", SERVERS)
        return ImageSource(source, f"/mnt/{storage_domain}/{name}", "qcow2", name, ())


class FakeHost:
    def __init__(self, *, driver: bool = True, swtpm: str = "") -> None:
        self.driver = driver
        self.swtpm = swtpm

    def gluster_driver(self) -> tuple[bool, str]:
        return (True, "") if self.driver else (False, "Unknown protocol 'gluster'")

    def swtpm_problem(self) -> str:
        return self.swtpm


def filled(spec: dict[str, t.Any], values: dict[str, t.Any]) -> dict[str, t.Any]:
    """Values as Ansible hands them over, defaults filled in."""
    return {**{name: rules.get("default") for name, rules in spec.items()}, **values}


def vm(**values: t.Any) -> dict[str, t.Any]:
    made = filled(VM_SPEC, {"name": "web", **values})
    if made["disks"] is not None:
        made["disks"] = [filled(DISK_SPEC, disk) for disk in made["disks"]]
    for name, spec in (("interfaces", INTERFACE_SPEC), ("graphics", GRAPHICS_SPEC), ("xml_overrides", OVERRIDE_SPEC)):
        if made[name] is not None:
            made[name] = [filled(spec, entry) for entry in made[name]]
    if made["cloud_init"] is not None:
        made["cloud_init"] = filled(VM_SPEC["cloud_init"]["options"], made["cloud_init"])
    return made


class FakePaths(ImagePaths):
    """A host that has volume vmstore mounted, with every image on it."""

    def __init__(self) -> None:
        super().__init__(Servers())

    def of_file(self, path: str, image_format: str) -> BothWays | None:
        if not path.startswith("/mnt/"):
            return None
        gluster = DiskSource.gluster("vmstore", path[len("/mnt/") :], SERVERS)
        return BothWays(Reached(DiskSource(file=path), ()), Reached(gluster, ()))

    def of_gluster(self, source: DiskSource, image_format: str) -> BothWays:
        return t.cast(BothWays, self.of_file(f"/mnt/{source.volume_and_path[1]}", image_format))

    def faults(self, path: str) -> list[str]:
        return [f"give image {path} to 36:36"] if "root-owned" in path else []


def items(libvirt: FakeLibvirt, *vms: dict[str, t.Any], host: FakeHost | None = None) -> list[Item]:
    params = {"vms": list(vms), "storage_domain": "vms"}
    uses = VmUses(Storage(), t.cast("t.Any", libvirt))
    given: t.Any = (libvirt, FakeImages(), host or FakeHost(), uses, libvirt.seeds, Hypervisors(Storage(), FakePaths()))
    return t.cast("list[Item]", make_items(params, *given))


def carry_out(made: t.Sequence[Item]) -> list[t.Mapping[str, t.Any]]:
    for item in made:
        for action in item.plan.actions:
            action.run()
    return [item.read() for item in made if item.read]


def planned(libvirt: FakeLibvirt, **values: t.Any) -> list[str]:
    (item,) = items(libvirt, vm(**values))
    return item.plan.summaries


@pytest.fixture
def libvirt() -> FakeLibvirt:
    return FakeLibvirt()


WEB = {
    "memory": "2GiB",
    "disks": [{"name": "root"}, {"name": "data", "bus": "scsi"}],
    "interfaces": [{"type": "network", "source": "default"}],
    "serial_log": "/var/log/web",
}

DISKS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"name": st.sampled_from("abc")},
            optional={
                "bus": st.sampled_from(["virtio", "scsi", "sata"]),
                "iotune": st.sampled_from([{}, {"total_iops_sec": 100}, {"read_bytes_sec": "1MiB"}]),
            },
        ),
        st.fixed_dictionaries({"name": st.sampled_from("abc"), "bus": st.just("virtio"), "queues": st.just(2)}),
        st.fixed_dictionaries({"file": st.just("/images/x"), "format": st.just("raw")}),
        st.fixed_dictionaries({"uri": st.just("gluster://h/v/p"), "format": st.just("qcow2")}),
        st.fixed_dictionaries(
            {"device": st.just("cdrom")},
            optional={"file": st.sampled_from(["/a.iso", "/b.iso"]), "bus": st.just("sata")},
        ),
    ),
    max_size=4,
    unique_by=lambda disk: disk.get("name") or disk.get("uri") or disk.get("file"),
)
INTERFACES = st.lists(
    st.sampled_from(
        [
            {"type": "user"},
            {"source": "default"},
            {"type": "bridge", "source": "br0", "queues": 2},
            {"type": "direct", "source": "eth0"},
        ]
    ),
    max_size=3,
)
DESIRED = st.fixed_dictionaries(
    {
        "memory": st.sampled_from(["512", "2GiB", "1048576KiB"]),
        "state": st.sampled_from(["present", "running", "paused", "shut_off"]),
    },
    optional={
        "memory_max": st.sampled_from(["2GiB", "3GiB"]),
        "vcpus": st.integers(1, 4),
        "vcpus_max": st.just(6),
        "cpu_mode": st.sampled_from(["host-model", "host-passthrough", "maximum"]),
        "iothreads": st.integers(0, 2),
        "machine": st.sampled_from(["q35", "pc"]),
        "virt_type": st.sampled_from(["auto", "kvm", "qemu"]),
        "firmware": st.sampled_from(["bios", "uefi"]),
        "kernel": st.just("/boot/vmlinuz"),
        "cmdline": st.sampled_from(["console=ttyS0", "a=<&>\"'"]),
        "boot": st.lists(st.sampled_from(["hd", "network", "cdrom"]), max_size=3, unique=True),
        "disks": DISKS,
        "scsi_queues": st.integers(1, 3),
        "interfaces": INTERFACES,
        "graphics": st.sampled_from(
            [[], [{}], [{"password": "a"}], [{"type": "spice", "port": 5910}], [{"listen": "::1"}, {"type": "spice"}]]
        ),
        "serial_log": st.just("/var/log/web"),
        "guest_agent": st.booleans(),
        "rng": st.booleans(),
        "balloon": st.booleans(),
        "tpm": st.sampled_from(["none", "1.2", "2.0"]),
        "watchdog": st.sampled_from(["none", "reset", "pause"]),
        "title": st.sampled_from(["", "a"]),
        "metadata": st.sampled_from([{}, {"a": "<b>", "ü": ""}]),
        "cloud_init": st.sampled_from([{"user_data": "#!/bin/sh\n"}, {"user_data": "#cloud-config\n"}]),
        "xml_overrides": st.sampled_from(
            [
                [{"path": "features/kvm/hidden/@state", "value": "on"}],
                [{"path": "devices", "xml": "<sound model='ich9'/>"}],
                [{"path": "clock/@offset", "state": "absent"}],
            ]
        ),
        "autostart": st.booleans(),
        "live": st.booleans(),
        "restart": st.sampled_from(["never", "if_required"]),
    },
)


@given(DESIRED, DESIRED)
def test_nothing_is_left_to_do_after_a_run(first: dict[str, t.Any], second: dict[str, t.Any]) -> None:
    """And check mode says what the run does and returns, but for what libvirt makes up."""
    libvirt = FakeLibvirt()
    for values in (first, second):
        made = items(libvirt, vm(**values))
        (result,) = carry_out(made)
        assert {**result, "uuid": None} == {**made[0].predicted, "uuid": None}
        assert planned(libvirt, **values) == []


def test_new_vm_is_defined_and_started(libvirt: FakeLibvirt) -> None:
    assert planned(libvirt, **WEB, state="running") == ["define domain web", "start domain web"]


def test_start_and_stop_wait_so_that_many_go_side_by_side(libvirt: FakeLibvirt) -> None:
    (item,) = items(libvirt, vm(**WEB, state="running"))
    assert [action.waits for action in item.plan.actions] == [False, True]


def test_what_is_not_managed_survives(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB)))
    by_hand = _xml.clone(libvirt.records["web"].inactive)
    by_hand.find("devices").append(_xml.element("watchdog", {"model": "itco", "action": "reset"}))  # type: ignore[union-attr]
    by_hand.append(_xml.element("metadata", None, _xml.element("note", text="mine")))
    disk = by_hand.find("devices/disk")
    assert disk is not None
    disk.append(_xml.element("iotune", None, _xml.element("total_iops_sec", text="100")))
    libvirt.define(by_hand)
    uuid = libvirt.records["web"].uuid
    assert planned(libvirt, **WEB) == []
    carry_out(items(libvirt, vm(**{**WEB, "memory": "4GiB"}, vcpus=4)))
    after = libvirt.records["web"].inactive
    assert after.findtext("uuid") == uuid
    for path in ("devices/watchdog", "metadata/note", "devices/disk/iotune/total_iops_sec", "devices/disk/address"):
        assert after.find(path) is not None, path


def test_gluster_disk_names_every_server_and_is_not_relabelled(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB)))
    xml = libvirt.records["web"].inactive
    disk = xml.find("devices/disk")
    assert disk is not None
    assert [host.get("name") for host in disk.iterfind("source/host")] == list(SERVERS)
    assert disk.find("backingStore") is not None
    assert [(label.get("type"), label.get("model")) for label in xml.findall("seclabel")] == [("none", "dac")]


def test_plain_gluster_disk_of_an_administrator_is_mended(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB)))
    plain = _xml.clone(libvirt.records["web"].inactive)
    for node in [*plain.findall("seclabel"), *plain.iterfind("devices/disk/backingStore")]:
        parent = node.getparent()
        assert parent is not None
        parent.remove(node)
    libvirt.define(plain)
    assert planned(libvirt, **WEB) == ["change disks, relabelling of domain web"]


def test_disk_keeps_its_target_when_another_comes_before_it(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(memory="1GiB", disks=[{"name": "root"}])))
    (result,) = carry_out(items(libvirt, vm(disks=[{"name": "new"}, {"name": "root"}])))
    assert {disk["serial"]: disk["target"] for disk in result["disks"]} == {"root": "vda", "new": "vdb"}


def test_interface_keeps_its_mac(libvirt: FakeLibvirt) -> None:
    (first,) = carry_out(items(libvirt, vm(**WEB)))
    libvirt.undefine("web")
    (again,) = carry_out(items(libvirt, vm(**WEB)))
    assert again["interfaces"] == first["interfaces"]
    assert first["interfaces"][0]["mac"].startswith("52:54:00:")


def test_change_to_a_running_vm_names_what_takes_a_restart(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, state="running")))
    (result,) = carry_out(items(libvirt, vm(memory="4GiB", disks=[{"name": "root"}], live=False)))
    assert [reason.split(":")[0] for reason in result["restart_required"]] == ["memory", "disks"]


LIVE: t.Final = [
    pytest.param({"memory": "1GiB", "memory_max": "2GiB"}, ["change memory of running domain web"], [], id="memory"),
    pytest.param({"memory": "4GiB"}, [], ["memory"], id="more memory than there is room for"),
    pytest.param({"vcpus": 3}, ["change vcpus of running domain web"], [], id="processors"),
    pytest.param({"vcpus": 1}, [], ["vcpus"], id="fewer processors"),
    pytest.param({"vcpus": 6}, [], ["vcpus", "vcpus_max"], id="more processors than there is room for"),
    pytest.param({"disks": [{"name": "root"}]}, ["detach disk sda from running domain web"], [], id="disk taken out"),
    pytest.param(
        {"disks": [{"name": "root"}, {"name": "data", "bus": "scsi"}, {"name": "more"}]},
        ["attach disk vdb to running domain web"],
        [],
        id="disk added",
    ),
    pytest.param(
        {"disks": [{"name": "root", "iotune": {"total_iops_sec": 100}}, {"name": "data", "bus": "scsi"}]},
        ["change limits of disk vda of running domain web"],
        [],
        id="limits of a disk",
    ),
    pytest.param(
        {"disks": [{"name": "root"}, {"name": "data", "bus": "scsi"}, {"name": "more", "bus": "sata"}]},
        [],
        ["disks"],
        id="disk on a bus that takes none while it runs",
    ),
    pytest.param(
        {"disks": [{"name": "data", "bus": "scsi"}]}, [], ["disks"], id="the disk that the system is on, taken out"
    ),
    pytest.param(
        {"disks": [{"name": "other", "target": "vda"}, {"name": "data", "bus": "scsi"}]},
        [],
        ["disks"],
        id="another disk in its place",
    ),
    pytest.param(
        {"interfaces": [{"source": "other"}]},
        ["change interface MAC of running domain web"],
        [],
        id="interface elsewhere",
    ),
    pytest.param({"interfaces": []}, ["detach interface MAC from running domain web"], [], id="interface taken out"),
    pytest.param(
        {"interfaces": [{"source": "default", "model": "e1000"}]}, [], ["interfaces"], id="model of an interface"
    ),
    pytest.param({"guest_agent": True}, [], ["guest_agent"], id="guest agent without a controller for it"),
    pytest.param({"rng": False}, ["detach entropy source from running domain web"], [], id="entropy"),
    pytest.param(
        {"graphics": [{"password": "new"}]},
        ["change password of the vnc display of running domain web"],
        [],
        id="password",
    ),
    pytest.param({"graphics": [{"port": 5999}]}, [], ["graphics"], id="port of a display"),
    pytest.param({"watchdog": "reset", "tpm": "2.0"}, [], ["tpm", "watchdog"], id="devices that stay"),
    pytest.param(
        {"disks": [{"device": "cdrom", "file": "/b.iso"}, {"name": "root"}, {"name": "data", "bus": "scsi"}]},
        ["change medium of drive sdb of running domain web"],
        [],
        id="medium",
    ),
    pytest.param({"title": "shop"}, [], [], id="title"),
]


@pytest.mark.parametrize("change", [{"memory": "1GiB"}, {"vcpus": 3}, {"disks": [{"name": "root"}, {"name": "more"}]}])
def test_a_running_vm_gets_more_before_its_configuration_says_so(
    libvirt: FakeLibvirt, change: dict[str, t.Any]
) -> None:
    """One that was killed in between leaves to the next run what it has not done."""
    carry_out(items(libvirt, vm(**{**WEB, "disks": [{"name": "root"}]}, vcpus=2, vcpus_max=4, state="running")))
    asked = vm(**change, **({} if "disks" in change else {"title": "shop"}))
    whole = items(libvirt, asked)[0].plan
    assert [summary.split()[0] for summary in whole.summaries] in (["change", "change"], ["attach", "change"])
    whole.actions[0].run()
    (rest,) = items(libvirt, asked)
    assert rest.plan.summaries == whole.summaries[1:]


@pytest.mark.parametrize(("change", "live", "pending"), LIVE)
def test_running_vm_gets_what_it_can_at_once(
    libvirt: FakeLibvirt, change: dict[str, t.Any], live: list[str], pending: list[str]
) -> None:
    drive = {"device": "cdrom", "file": "/a.iso"}
    room = {"vcpus": 2, "vcpus_max": 4, "graphics": [{"password": "old"}]}
    (before,) = carry_out(items(libvirt, vm(**{**WEB, **room, "disks": [*WEB["disks"], drive]}, state="running")))  # type: ignore[misc]
    mac = before["interfaces"][0]["mac"]
    (item,) = items(libvirt, vm(**change))
    (result,) = carry_out([item])
    summaries = [summary for summary in item.plan.summaries if "running" in summary]
    assert summaries == [words.replace("MAC", mac) for words in live]
    assert [reason.split(":")[0] for reason in result["restart_required"]] == pending
    assert item.predicted["restart_required"] == result["restart_required"]
    assert planned(libvirt, **change) == []
    stopped = planned(libvirt, **change, restart="if_required")
    assert stopped == (["shut down domain web", "start domain web"] if pending else [])


def test_device_has_the_same_address_in_both_configurations(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, state="running")))
    carry_out(items(libvirt, vm(disks=[*WEB["disks"], {"name": "more"}])))  # type: ignore[misc]
    record = libvirt.records["web"]
    found = [disk_at(t.cast("t.Any", one), "vdb").find("address") for one in (record.inactive, record.live)]
    assert found[0].get("bus") == found[1].get("bus") == "0x40"  # type: ignore[union-attr]


def test_devices_that_a_killed_run_attached_have_the_same_addresses_in_both(libvirt: FakeLibvirt) -> None:
    wanted = {**WEB, "disks": [*WEB["disks"], {"name": "more"}], "interfaces": [*WEB["interfaces"], {"type": "user"}]}  # type: ignore[misc]
    carry_out(items(libvirt, vm(**WEB, state="running")))
    attach_disk, attach_interface, _change = items(libvirt, vm(**wanted))[0].plan.actions
    attach_disk.run()
    attach_interface.run()
    carry_out(items(libvirt, vm(**wanted)))
    record = libvirt.records["web"]
    assert record.live is not None
    for path in ("devices/disk[@device='disk']", "devices/interface"):
        both = [
            [dict(node.items()) for node in one.iterfind(f"{path}/address")] for one in (record.live, record.inactive)
        ]
        assert both[0][-1:] == both[1][-1:] != []


def test_machine_without_a_free_slot_gets_its_disk_at_the_next_start(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, state="running")))
    live = t.cast("t.Any", libvirt.records["web"].live)
    for port in live.findall("devices/controller[@model='pcie-root-port']")[1:]:
        live.find("devices").remove(port)
    live.find("devices").append(_xml.element("address", {"type": "pci", "bus": "0x01"}))
    change = {"disks": [*WEB["disks"], {"name": "more"}]}  # type: ignore[misc]
    (item,) = items(libvirt, vm(**change))
    assert item.plan.summaries == ["change disks of domain web"]
    (result,) = carry_out([item])
    assert [reason.split(":")[0] for reason in result["restart_required"]] == ["disks"]


def test_tpm_that_qemu_could_not_reach_is_told_before_anything_is_changed(libvirt: FakeLibvirt) -> None:
    host = FakeHost(swtpm="swtpm is another's; mend it")
    words = "domain web has a TPM and a gluster disk, and swtpm is another's; mend it"
    for state in ("running", "paused"):
        with pytest.raises(ValueError, match=words):
            items(libvirt, vm(**WEB, tpm="2.0", state=state), host=host)
    (item,) = items(libvirt, vm(**WEB, tpm="2.0"), host=host)
    assert item.warnings == (words,)
    carry_out([item])
    with pytest.raises(ValueError, match=words):
        items(libvirt, vm(state="running"), host=host)
    # none of it is in the way of what has no TPM, no gluster disk, or does not change
    (same,) = items(libvirt, vm(**WEB, tpm="2.0"), host=host)
    (without,) = items(libvirt, vm(**WEB, tpm="none", state="running"), host=host)
    (local,) = items(libvirt, vm(tpm="2.0", memory="1GiB", disks=[], state="running"), host=host)
    assert [item.warnings for item in (same, without, local)] == [(), (), ()]


def test_image_that_another_vm_writes_to_is_given_to_no_running_vm(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, state="running")))
    carry_out(items(libvirt, vm(name="db", memory="1GiB", disks=[{"name": "db"}], state="running")))
    with pytest.raises(ValueError, match="domain db cannot be given image .*/data/leaf: domain web writes to it"):
        items(libvirt, vm(name="db", disks=[{"name": "db"}, {"name": "data"}]))
    swapped = [{"name": "root", "target": "vda"}]
    with pytest.raises(ValueError, match="domain db cannot start on image .*/root/leaf: domain web writes to it"):
        items(libvirt, vm(name="db", disks=swapped, restart="if_required"))


def test_vm_that_restarts_keeps_its_pause(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, state="paused")))
    assert libvirt.records["web"].state == "paused"
    carry_out(items(libvirt, vm(tpm="2.0", restart="if_required")))
    assert libvirt.records["web"].state == "paused"
    assert planned(libvirt, state="paused") == []
    assert planned(libvirt, state="running") == ["resume domain web"]


def test_paused_vm_is_resumed(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, state="running")))
    libvirt.suspend("web")
    assert planned(libvirt, state="running") == ["resume domain web"]


@pytest.mark.parametrize(("state", "reason"), [("crashed", None), ("paused", "migration")])
def test_vm_that_cannot_go_on_is_told_why(libvirt: FakeLibvirt, state: str, reason: str | None) -> None:
    carry_out(items(libvirt, vm(**WEB, state="running")))
    libvirt.records["web"] = replace(libvirt.records["web"], state=state, pause_reason=reason)
    with pytest.raises(ValueError, match=f"domain web is {state} and cannot be resumed: "):
        planned(libvirt, state="running")
    assert planned(libvirt, state="shut_off") == ["shut down domain web"]


def test_password_does_not_show_in_the_diff(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB)))
    secret = _xml.clone(libvirt.records["web"].inactive)
    secret.find("devices").append(_xml.element("graphics", {"type": "vnc", "passwd": "hunter2"}))  # type: ignore[union-attr]
    libvirt.define(secret)
    made = items(libvirt, vm(memory="4GiB"))
    assert "hunter2" not in made[0].plan.before + made[0].plan.after
    carry_out(made)
    assert libvirt.records["web"].inactive.find("devices/graphics[@passwd='hunter2']") is not None


def test_secrets_are_never_logged() -> None:
    """Ansible keeps the values of these options out of its output and of the hosts' logs."""
    secret = {(option, name) for option, spec in VM_SPEC.items() for name in secrets_of(spec)}
    assert secret == {("graphics", "password"), ("cloud_init", "user_data"), ("cloud_init", "network_config")}


def secrets_of(spec: dict[str, t.Any]) -> list[str]:
    return [name for name, below in spec.get("options", {}).items() if below.get("no_log")]


def test_absent_refuses_a_running_vm_without_the_word(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, state="running")))
    with pytest.raises(ValueError, match="web is running.*force_stop: true"):
        items(libvirt, vm(state="absent"))
    assert planned(libvirt, state="absent", force_stop=True) == ["shut down domain web", "undefine domain web"]
    carry_out(items(libvirt, vm(state="absent", force_stop=True)))
    assert planned(libvirt, state="absent") == []


def test_kvm_is_taken_for_a_new_vm_where_it_is_offered() -> None:
    for offered, kind, mode in ((True, "kvm", "host-model"), (False, "qemu", None)):
        libvirt = FakeLibvirt(kvm=offered)
        carry_out(items(libvirt, vm(memory="1GiB")))
        xml = libvirt.records["web"].inactive
        cpu = xml.find("cpu")
        assert (xml.get("type"), None if cpu is None else cpu.get("mode")) == (kind, mode)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "memory is not given"),
        ({"memory": "lots"}, "not a size"),
        ({"memory": "1GiB", "name": "a/b"}, "without slashes"),
        ({"memory": "1GiB", "disks": [{"file": "/x"}]}, "name its format"),
        ({"memory": "1GiB", "disks": [{"uri": "gluster+rdma://h/v/p", "format": "raw"}]}, "use tcp"),
        ({"memory": "1GiB", "disks": [{"name": "a", "target": "vda"}, {"name": "b", "target": "vda"}]}, "vda"),
        ({"memory": "1GiB", "disks": [{"name": "a"}, {"name": "a"}]}, "a/leaf is given to two disks"),
        ({"memory": "1GiB", "interfaces": [{"type": "bridge"}]}, "needs the name of a bridge"),
        ({"memory": "1GiB", "interfaces": [{"type": "user", "source": "x"}]}, "takes no source"),
        ({"memory": "1GiB", "state": "running", "wait_for": {"console": "x", "timeout": 1}}, "serial_log"),
        ({"memory": "1GiB", "wait_for": {"console": "(x", "timeout": 1}}, "not a regular expression"),
        ({"memory": "1GiB", "vcpus": 0}, "less than 1"),
        ({"memory": "1GiB", "interfaces": [{"type": "user", "mac": "zz"}]}, "not a MAC address"),
        ({"memory": "1GiB", "disks": [{"name": "a", "target": "../x"}]}, "not a target"),
        # of these libvirt's schema says "Extra element devices in interleave", or keeps another value
        ({"memory": "1GiB", "name": ".."}, "'..' must be"),
        ({"memory": "1GiB", "name": "n" * 241}, "more than 240 bytes"),
        ({"memory": "1GiB", "title": "a\nb"}, r"title 'a\\nb' is not one line"),
        ({"memory": "1GiB", "description": "a\r\nb"}, "take the carriage returns out"),
        ({"memory": "1GiB", "machine": ""}, "machine '' is not a machine type"),
        ({"memory": "1GiB", "kernel": "vmlinuz"}, "kernel 'vmlinuz' is not an absolute path"),
        ({"memory": "1GiB", "disks": [{"name": "a", "target": "zza"}]}, "'zza' is not a target"),
        ({"memory": "1GiB", "disks": [{"name": "a", "serial": "a/b"}]}, "disk a: serial 'a/b' is not a serial"),
        ({"memory": "1GiB", "disks": [{"name": "a", "queues": 0}]}, "disk a: queues 0 is less than 1"),
        (
            {"memory": "1GiB", "disks": [{"name": "a", "bus": "sata", "queues": 2}]},
            "queues is for a disk on the virtio",
        ),
        ({"memory": "1GiB", "disks": [{"device": "cdrom", "bus": "virtio"}]}, "is on no virtio bus"),
        (
            {"memory": "1GiB", "disks": [{"name": "a", "iotune": {"total_iops_sec": 1, "read_iops_sec": 1}}]},
            "total_iops_sec, and iops_sec of reads or writes",
        ),
        ({"memory": "1GiB", "disks": [{"name": "a", "iotune": {"total_iops_sec": 10**16}}]}, "is not a number up to"),
        (
            {"memory": "1GiB", "disks": [{"name": "a", "iotune": {"total_bytes_sec": "1X"}}]},
            "disk a: iotune total_bytes_sec '1X' is not a number up to .*, or a size as in 100MiB",
        ),
        (
            {"memory": "1GiB", "disks": [{"name": "a", "shareable": True}]},
            "disk a is qcow2, which one VM at a time can",
        ),
        (
            {"memory": "1GiB", "disks": [{"file": "/x", "format": "qcow2", "shareable": True}]},
            "disk /x is qcow2, which one VM at a time can",
        ),
        *(
            (
                {"memory": "1GiB", "disks": [{"uri": f"gluster://h/v/{path}", "format": "raw"}]},
                f"image path '{path}' has a",
            )
            for path in ("a//b", "./a", "a/../b")
        ),
        ({"memory": "1GiB", "disks": [{"name": "a", "bus": "ide"}]}, "disk .* is on bus ide, and machine q35 has none"),
        ({"memory": "1GiB", "xml_overrides": [{"path": "devices", "state": "absent"}]}, "devices holds every device"),
        (
            {"memory": "1GiB", "disks": [{"name": "a", "boot_order": 1}, {"name": "b", "boot_order": 1}]},
            "boot_order 1 is given to two devices",
        ),
        ({"memory": "1GiB", "interfaces": [{"source": "a\nb"}]}, "is not a name on one line"),
        ({"memory": "1GiB", "interfaces": [{"type": "user", "mac": "01:00:00:00:00:01"}]}, "not a MAC address of one"),
        (
            {"memory": "1GiB", "interfaces": [{"type": "user", "mac": f"52:54:00:00:00:0{end}"} for end in "aA"]},
            "mac 52:54:00:00:00:0a is given to two interfaces",
        ),
        ({"memory": "1GiB", "graphics": [{"listen": ""}]}, "listen '' is not an address"),
        ({"memory": "1GiB", "xml_overrides": [{"path": "clock/@x", "value": "a\nb"}]}, "clock/@x: value"),
    ],
)
def test_bad_input_is_refused(libvirt: FakeLibvirt, values: dict[str, t.Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        items(libvirt, vm(**values))
    assert libvirt.records == {}


def test_limits_are_what_was_asked_for(libvirt: FakeLibvirt) -> None:
    limits = {"total_bytes_sec": 0, "read_iops_sec": 7, "write_bytes_sec_max": 5000}
    carry_out(items(libvirt, vm(memory="1GiB", disks=[{"name": "a", "iotune": limits}])))
    found = libvirt.records["web"].inactive.find("devices/disk/iotune")
    assert {node.tag: node.text for node in found} == {"read_iops_sec": "7", "write_bytes_sec_max": "5000"}


def test_refused_password_is_not_said(libvirt: FakeLibvirt) -> None:
    with pytest.raises(ValueError, match="vnc display: its password holds") as caught:
        items(libvirt, vm(memory="1GiB", graphics=[{"password": "hunt\x01"}]))
    assert "hunt" not in str(caught.value)


def test_no_boot_order_of_a_vm_is_the_one_that_libvirt_takes(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB)))
    assert planned(libvirt, boot=[]) == []
    orders = [{"name": "root", "boot_order": 1}, {"name": "data", "bus": "scsi"}]
    assert planned(libvirt, boot=[], disks=orders) == ["change boot, disks of domain web"]


def test_no_iothreads_are_none(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, iothreads=0)))
    assert libvirt.records["web"].inactive.find("iothreads") is None


def test_other_serial_takes_a_restart(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, state="running")))
    disks = [{"name": "root", "serial": "other"}, {"name": "data", "bus": "scsi"}]
    (result,) = carry_out(items(libvirt, vm(disks=disks)))
    assert result["restart_required"] == ["disks: takes effect at the next start"]


def test_seed_that_a_copy_of_the_vm_has_too_stays(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, cloud_init=CLOUD)))
    copy = _xml.clone(libvirt.records["web"].inactive)
    copy.find("name").text, copy.find("uuid").text = "copy", "00000000-0000-4000-8000-000000000001"  # type: ignore[union-attr]
    libvirt.define(copy)
    assert items(libvirt, vm(name="copy", state="absent"))[0].plan.summaries == ["undefine domain copy"]


def test_two_vms_never_start_on_one_image(libvirt: FakeLibvirt) -> None:
    """QEMU takes no lock on a gluster image, so nothing else would stop them."""
    first, second = (vm(name=name, memory="1GiB", state="running", disks=[{"name": "root"}]) for name in ("a", "b"))
    with pytest.raises(ValueError, match=r"domain b cannot start on image .*images/root/leaf: domain a writes to it"):
        items(libvirt, first, second)
    carry_out(items(libvirt, first))
    with pytest.raises(ValueError, match="domain a writes to it"):
        items(libvirt, second)
    carry_out(items(libvirt, {**second, "state": "present"}))
    libvirt.managed_save("a")
    with pytest.raises(ValueError, match="domain a writes to it"):
        items(libvirt, second)
    carry_out(items(libvirt, first))
    carry_out(items(libvirt, {**first, "state": "shut_off"}))
    carry_out(items(libvirt, second))


def test_a_managed_save_goes_with_its_vm_by_the_word_that_allows_it(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, state="running")))
    libvirt.managed_save("web")
    with pytest.raises(ValueError, match="domain web has a managed save, and the memory of its guest would go with it"):
        items(libvirt, vm(state="absent"))
    assert planned(libvirt, state="absent", force_stop=True) == ["undefine domain web"]


def given_live(libvirt: FakeLibvirt) -> None:
    """Devices that somebody gives to the running VM alone."""
    live = t.cast(_xml.Element, libvirt.records["web"].live).find("devices")
    live.append(
        _xml.parse("<disk type='file' device='disk'><source file='/x'/><target dev='vdz' bus='virtio'/></disk>")
    )
    live.append(_xml.parse("<interface type='user'><mac address='52:54:00:00:00:99'/></interface>"))


def test_what_the_running_vm_alone_has_stays_unless_its_kind_is_asked_for(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, state="running")))
    given_live(libvirt)
    assert planned(libvirt, state="running") == []
    assert planned(libvirt, disks=WEB["disks"]) == ["detach disk vdz from running domain web"]
    assert planned(libvirt, interfaces=WEB["interfaces"]) == [
        "detach interface 52:54:00:00:00:99 from running domain web"
    ]


def test_a_paused_vm_loses_no_device_before_it_runs(libvirt: FakeLibvirt) -> None:
    disks = [{"name": "root"}, {"name": "data"}]
    carry_out(items(libvirt, vm(**{**WEB, "disks": disks}, state="paused")))
    carry_out(items(libvirt, vm(disks=disks[:1], state="paused")))
    assert planned(libvirt, disks=disks[:1], state="paused") == []
    assert planned(libvirt, disks=disks[:1], state="running") == [
        "resume domain web",
        "detach disk vdb from running domain web",
    ]


def test_image_reached_as_a_file_is_the_same_image(libvirt: FakeLibvirt) -> None:
    path = "/rhev/data-center/mnt/glusterSD/g:_v/vms/images/root/leaf"
    as_file = vm(name="a", memory="1GiB", state="running", disks=[{"file": path, "format": "qcow2"}])
    carry_out(items(libvirt, as_file))
    with pytest.raises(ValueError, match="domain a writes to it"):
        items(libvirt, vm(name="b", memory="1GiB", state="running", disks=[{"name": "root"}]))
    (result,) = carry_out(items(libvirt, vm(name="a", disks=[{"name": "root"}])))
    assert [disk["target"] for disk in result["disks"]] == ["vda"]


def test_saved_vm_is_not_changed(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, state="running")))
    libvirt.managed_save("web")
    with pytest.raises(ValueError, match="memory.* managed save.*managedsave-remove web"):
        items(libvirt, vm(memory="4GiB"))
    assert planned(libvirt, **WEB, state="running") == ["start domain web"]


def test_waiting_for_the_console_is_a_step_of_its_own(libvirt: FakeLibvirt) -> None:
    """So that a wait that fails does not hide the start."""
    wait_for = {"console": "login:", "timeout": 1}
    (item,) = items(libvirt, vm(**WEB, state="running", wait_for=wait_for))
    assert item.plan.summaries[1:] == ["start domain web", "wait for 'login:' on the console of domain web"]


def test_every_change_that_takes_a_restart_is_named(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, state="running")))
    changes = {
        "boot": ["network"],
        "serial_log": "/var/log/other",
        "cpu_mode": "host-passthrough",
        "disks": [{"name": "root", "cache": "writeback"}, {"name": "data", "bus": "scsi"}],
        "interfaces": [{"type": "bridge", "source": "br0"}],
    }
    (result,) = carry_out(items(libvirt, vm(**changes, live=False)))
    assert {reason.split(":")[0] for reason in result["restart_required"]} == changes.keys()


def test_interface_that_stays_keeps_its_address_when_the_one_before_it_goes(libvirt: FakeLibvirt) -> None:
    two = [{"type": "user"}, {"source": "default"}]
    (before,) = carry_out(items(libvirt, vm(memory="1GiB", interfaces=two)))
    (after,) = carry_out(items(libvirt, vm(interfaces=two[1:])))
    assert after["interfaces"] == before["interfaces"][1:]


def test_target_of_a_cdrom_is_not_taken(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB)))
    drive = _xml.clone(libvirt.records["web"].inactive)
    drive.find("devices").append(  # type: ignore[union-attr]
        _xml.element("disk", {"type": "file", "device": "cdrom"}, _xml.element("target", {"dev": "sdb", "bus": "sata"}))
    )
    libvirt.define(drive)
    (result,) = carry_out(items(libvirt, vm(disks=[*WEB["disks"], {"name": "new", "bus": "sata"}])))  # type: ignore[misc]
    assert [disk["target"] for disk in result["disks"]] == ["vda", "sda", "sdc"]
    with pytest.raises(ValueError, match="sdb belongs to a cdrom"):
        items(libvirt, vm(disks=[{"name": "root", "target": "sdb"}]))


def test_other_bus_has_another_address(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(memory="1GiB", disks=[{"name": "root", "target": "vda"}])))
    made = items(libvirt, vm(disks=[{"name": "root", "target": "vda", "bus": "sata"}]))
    assert '<address type="pci" bus="0x04"/>' in made[0].plan.before
    assert "<address" not in made[0].plan.after.partition("<disk")[2].partition("</disk>")[0]


def test_transient_vm_is_only_stopped(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(**WEB, state="running")))
    libvirt.make_transient("web")
    assert planned(libvirt, state="absent", force_stop=True) == ["shut down domain web"]


def test_files_beside_a_first_gluster_disk_bring_a_warning(libvirt: FakeLibvirt) -> None:
    file = {"file": "/images/x", "format": "raw"}
    carry_out(items(libvirt, vm(memory="1GiB", disks=[file])))
    (item,) = items(libvirt, vm(disks=[file, {"name": "root"}]))
    assert "/images/x" in item.warnings[0]


def test_serial_of_two_disks_is_refused(libvirt: FakeLibvirt) -> None:
    with pytest.raises(ValueError, match="serial s is given to two disks; give each disk its own"):
        items(libvirt, vm(memory="1GiB", disks=[{"name": "a", "serial": "s"}, {"name": "b", "serial": "s"}]))


def test_vm_listed_twice_is_refused(libvirt: FakeLibvirt) -> None:
    with pytest.raises(ValueError, match="web is listed twice"):
        items(libvirt, vm(**WEB), vm(**WEB))


def test_host_without_the_driver_refuses_gluster_disks_only(libvirt: FakeLibvirt) -> None:
    bare = FakeHost(driver=False)
    with pytest.raises(ValueError, match=r"domain web: .*Unknown protocol 'gluster'.*qemu-block-extra"):
        items(libvirt, vm(**WEB, access="gfapi"), host=bare)
    assert items(libvirt, vm(memory="1GiB", disks=[{"file": "/x", "format": "raw"}]), host=bare)


# --- cloud-init -----------------------------------------------------------------------------------------------------

CLOUD: t.Final = {"user_data": "#cloud-config\npassword: hunter2\n"}


def test_seed_is_made_once_and_anew_when_its_content_changes(libvirt: FakeLibvirt) -> None:
    wanted = {**WEB, "cloud_init": CLOUD}
    made = items(libvirt, vm(**wanted))
    assert made[0].plan.summaries == ["make cloud-init's seed of domain web", "define domain web"]
    carry_out(made)
    ((path, files),) = libvirt.seeds.files.items()
    assert files["meta-data"] == "instance-id: web\nlocal-hostname: web\n"
    (drive,) = list(libvirt.records["web"].inactive.iterfind("devices/disk[@device='cdrom']"))
    assert drive.find("source").get("file") == path  # type: ignore[union-attr]
    assert planned(libvirt, **wanted) == []
    other = {**wanted, "cloud_init": {**CLOUD, "network_config": "version: 2\n"}}
    assert planned(libvirt, **other) == ["renew cloud-init's seed of domain web"]
    assert "hunter2" not in str(made[0].plan.before) + str(made[0].plan.after) + str(made[0].predicted)


def test_seed_takes_no_drive_of_another(libvirt: FakeLibvirt) -> None:
    drive = {"device": "cdrom", "file": "/installer.iso"}
    carry_out(items(libvirt, vm(**{**WEB, "disks": [*WEB["disks"], drive]})))  # type: ignore[misc]
    carry_out(items(libvirt, vm(**WEB, cloud_init=CLOUD)))
    drives = [disk_at(libvirt.records["web"].inactive, target) for target in ("sdb", "sdc")]
    assert [node.find("source").get("file") == "/installer.iso" for node in drives] == [True, False]  # type: ignore[union-attr]


def test_seed_goes_with_its_vm_and_before_it(libvirt: FakeLibvirt) -> None:
    """A run that is killed between the two finds the seed's path in the definition."""
    carry_out(items(libvirt, vm(**WEB, cloud_init=CLOUD)))
    gone = items(libvirt, vm(state="absent"))
    assert gone[0].plan.summaries == ["remove cloud-init's seed of domain web", "undefine domain web"]
    carry_out(gone)
    assert libvirt.seeds.files == {}


def test_user_data_that_cloud_init_would_not_take_is_refused(libvirt: FakeLibvirt) -> None:
    with pytest.raises(
        ValueError, match="user_data of cloud_init begins with none of cloud-init's words; write #cloud"
    ):
        items(libvirt, vm(**WEB, cloud_init={"user_data": "password: hunter2"}))


def test_vm_without_an_image_of_a_storage_domain_has_its_seed_on_its_host(libvirt: FakeLibvirt) -> None:
    carry_out(items(libvirt, vm(memory="1GiB", cloud_init=CLOUD)))
    assert list(libvirt.seeds.files) == ["/var/lib/libvirt/gfapi-seeds/web.iso"]


def test_host_without_the_driver_reaches_images_through_the_mount_and_says_why(libvirt: FakeLibvirt) -> None:
    (item,) = items(libvirt, vm(**WEB), host=FakeHost(driver=False))
    (warning,) = item.warnings
    assert warning.startswith(
        "domain web: images are reached through the mount (access: fuse): QEMU on this host has no"
    )
    assert "Unknown protocol 'gluster'" in warning
    assert [disk["source"] for disk in item.predicted["disks"]] == [
        "/mnt/vms/images/root/leaf",
        "/mnt/vms/images/data/leaf",
    ]
    for action in item.plan.actions:
        action.run()
    (again,) = items(libvirt, vm(**WEB), host=FakeHost(driver=False))
    assert not again.plan.changed


def legacy(libvirt: FakeLibvirt, file: str = "/mnt/old/root-owned") -> None:
    (item,) = items(libvirt, vm(memory="1GiB", disks=[{"file": file, "format": "raw"}]))
    for action in item.plan.actions:
        action.run()


def test_a_file_on_a_mount_goes_over_to_gfapi_and_back(libvirt: FakeLibvirt) -> None:
    legacy(libvirt)
    assert not items(libvirt, vm())[0].plan.changed
    for access, source, repairs in (
        ("gfapi", "vmstore/old/root-owned", ["give image /mnt/old/root-owned to 36:36, for domain web"]),
        ("fuse", "/mnt/old/root-owned", []),
    ):
        (item,) = items(libvirt, vm(access=access))
        assert item.plan.summaries[:-1] == repairs
        assert item.plan.summaries[-1].startswith("change disks")
        assert [disk["source"] for disk in item.predicted["disks"]] == [source]
        libvirt.define(_xml.parse(item.plan.after.partition("\n")[2]))
        assert not items(libvirt, vm(access=access))[0].plan.changed


def test_a_file_elsewhere_stays(libvirt: FakeLibvirt) -> None:
    legacy(libvirt, "/var/lib/libvirt/images/web.img")
    assert not items(libvirt, vm(access="gfapi"))[0].plan.changed


# --- another host's libvirt -----------------------------------------------------------------------------------------


@pytest.fixture
def remote(libvirt: FakeLibvirt) -> FakeLibvirt:
    libvirt.uri, libvirt.is_remote = "qemu+ssh://root@kvm1/system?keyfile=/k", True
    return libvirt


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"disks": [{"name": "root"}, {"name": "data"}]}, "disk root, data is looked up on the mount .*by its uri"),
        ({"serial_log": "/l", "wait_for": {"console": "x", "timeout": 1}}, "wait_for reads the file"),
        ({"state": "absent", "delete_disks": True}, "delete_disks deletes on the mount"),
    ],
)
def test_what_needs_the_hypervisors_files_is_refused_from_elsewhere(
    remote: FakeLibvirt, values: dict[str, t.Any], words: str
) -> None:
    where = "or run the module on the hypervisor; uri qemu\\+ssh://root@kvm1/system is of another host"
    with pytest.raises(ValueError, match=f"^domain web: {words}.*{where}"):
        items(remote, vm(memory="1GiB", **values))
    assert remote.records == {}


def test_another_hosts_vm_is_kept_true_with_a_warning_once_something_changes(remote: FakeLibvirt) -> None:
    uuids = ["5d1b8f5e-6a4a-4f7e-9a34-1f0f5f1d2c3b"] * 3
    image = {"uri": "gluster://gluster1/vmstore/{}/images/{}/{}".format(*uuids), "format": "qcow2"}
    wanted = vm(memory="1GiB", state="running", disks=[image])
    made = items(remote, wanted, host=FakeHost(driver=False))
    assert "domain web: what it uses is noted by a run on its hypervisor" in made[0].warnings[0]
    carry_out(made)
    (again,) = items(remote, wanted)
    assert (again.plan.summaries, again.warnings) == ([], ())
    elsewhere = {"uri": "gluster://gluster1/vmstore/plain", "format": "raw"}
    assert items(remote, vm(disks=[elsewhere]))[0].warnings == ()
    assert planned(remote, state="absent", force_stop=True) == ["shut down domain web", "undefine domain web"]
