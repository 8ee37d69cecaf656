# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""glusterd and libvirtd that keep real state, for tests of what modules plan."""

from __future__ import annotations

import typing as t
import uuid
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import _xml
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord
from ansible_collections.gfapi.virt.plugins.module_utils._errors import GlusterError
from ansible_collections.gfapi.virt.plugins.module_utils._gluster import Found
from ansible_collections.gfapi.virt.plugins.module_utils._live import device_like, disk_at
from ansible_collections.gfapi.virt.plugins.module_utils._volume import Brick, Volume
from ansible_collections.gfapi.virt.plugins.module_utils._volume_use import Clients, HostUse


class FakeGluster:
    """One volume. Stores values as they are spelled, and takes all options of a transaction or none."""

    def __init__(self, *, volume_type: str = "Replicate", status: str = "Created", replica: int = 3) -> None:
        self.type, self.status, self.replica = volume_type, status, replica
        self.defaults = {
            "server.allow-insecure": "on",
            "network.ping-timeout": "42",
            "cluster.granular-entry-heal": "on",
            "config.transport": "tcp",
        }
        self.options: dict[str, str] = {}
        self.groups = {
            name: {"features.shard": "on", "network.remote-dio": "disable", "network.ping-timeout": "20"}
            for name in ("virt", "distributed-virt")
        }
        #: options that it refuses to set
        self.refused: set[str] = set()
        #: name of a call → what it says instead of doing it
        self.fails: dict[str, GlusterError] = {}
        self.connected = Clients({"glustershd": 3})
        #: uid and gid of the brick roots
        self.roots = (0, 0)
        self.calls: list[str] = []

    def volume_and_options(self, name: str) -> Found:
        self._called("read")
        bricks = tuple(Brick(f"gluster{number}", "/bricks/b") for number in (1, 2, 3))
        volume = Volume(name, self.type, self.status, self.replica, bricks, dict(self.options))
        return Found(volume, {**self.defaults, **self.options}, 100000)

    def volume(self, name: str) -> Volume:
        return self.volume_and_options(name).volume

    def own_uuid(self) -> str:
        return "11111111-1111-1111-1111-111111111111"

    def set_options(self, name: str, options: dict[str, str]) -> None:
        self._called("set")
        bad = sorted(self.refused & options.keys())
        if bad:
            raise GlusterError(f"cannot set {', '.join(options)} on volume {name}: option : {bad[0]} does not exist")
        self.options.update(options)
        if self.status == "Started":
            self._own()

    def _own(self) -> None:
        uid, gid = (int(self.options.get(f"storage.owner-{kind}", "-1")) for kind in ("uid", "gid"))
        self.roots = (self.roots[0] if uid < 0 else uid, self.roots[1] if gid < 0 else gid)

    def reset_options(self, name: str, options: t.Sequence[str], *, protected: t.Collection[str] = ()) -> None:
        for option in options:
            self._called(f"reset {option}")
            self.options.pop(option, None)

    def set_granular_entry_heal(self, name: str, *, enable: bool) -> None:
        self._called("heal")
        if enable and self.status != "Started":
            raise GlusterError(f"cannot enable heal on volume {name}: Not able to fetch volfile from glusterd")
        self.options["cluster.granular-entry-heal"] = "enable" if enable else "disable"

    def restart(self, name: str) -> None:
        self.status = "Stopped"
        self._called("restart")
        self.start(name)

    def start(self, name: str) -> None:
        self._called("start")
        self.status = "Started"
        self._own()

    def clients(self, name: str) -> Clients:
        self._called("clients")
        return self.connected

    def group(self, name: str) -> dict[str, str]:
        self._called(f"group {name}")
        return self.groups[name]

    def _called(self, call: str) -> None:
        self.calls.append(call)
        if call in self.fails:
            raise self.fails[call]


class FakeVolumeHere:
    """What a host shows of a volume."""

    def __init__(self) -> None:
        self.used = HostUse()
        self.differences: dict[tuple[str, str], tuple[str | None, str | None]] = {}
        self.moving: set[str] = set()
        self.found: list[str] | None = None
        self.gluster: FakeGluster | None = None

    def root_owner(self, _volume: Volume, _own_uuid: str) -> tuple[int, int] | None:
        return self.gluster.roots if self.gluster else None

    def rebalances(self, volume: str) -> bool:
        return volume in self.moving

    def storage_domains(self, _volume: Volume, _directory: str, _own_uuid: str) -> list[str] | None:
        return self.found

    def use(self, volume: str) -> HostUse:
        return self.used

    def left_behind(self, volume: str) -> dict[tuple[str, str], tuple[str | None, str | None]]:
        return self.differences


class FakeSeeds:
    """Seeds for cloud-init: path → what is in it."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, str]] = {}

    def read(self, path: str) -> dict[str, str] | None:
        return self.files.get(path)

    def write(self, path: str, files: dict[str, str]) -> None:
        self.files[path] = dict(files)

    def remove(self, path: str) -> None:
        self.files.pop(path, None)


class FakeLibvirt:
    """Domains by name. `define` rewrites a domain the way libvirt 9.0 does."""

    is_remote = False
    uri = "qemu:///system"

    def __init__(self, *, kvm: bool = True) -> None:
        self.kvm = kvm
        self.seeds = FakeSeeds()
        self.records: dict[str, DomainRecord] = {}

    def host_architecture(self) -> str:
        return "x86_64"

    def has_kvm(self, arch: str) -> bool:
        return self.kvm

    def domain(self, name: str) -> DomainRecord | None:
        return self.records.get(name)

    def domains(self) -> tuple[DomainRecord, ...]:
        return tuple(self.records.values())

    def uuids(self) -> set[str]:
        return {record.uuid for record in self.records.values()}

    def define(self, element: _xml.Element) -> None:
        made = _xml.clone(element)
        old = self.records.get(made.findtext("name", ""))
        if made.find("uuid") is None:
            made.append(_xml.element("uuid", text=str(uuid.uuid4())))
        if made.find("currentMemory") is None:
            made.append(_xml.element("currentMemory", {"unit": "KiB"}, text=made.findtext("memory", "")))
        for kind in made.iterfind("os/type"):
            machine = kind.get("machine", "pc")
            kind.set("machine", {"q35": "pc-q35-7.2", "pc": "pc-i440fx-7.2"}.get(machine, machine))
        for index, port in enumerate(made.iterfind("devices/controller[@model='pcie-root-port']"), start=1):
            port.set("index", str(index))
        for number, disk in enumerate(made.iterfind("devices/disk")):
            if disk.find("address") is None:
                disk.append(_xml.element("address", {"type": "pci", "bus": f"0x{number + 4:02x}"}))
        record = DomainRecord(
            made.findtext("name", ""),
            made.findtext("uuid", ""),
            old.state if old else "shut_off",
            made,
            old.live if old else None,
            old.autostart if old else False,
        )
        self.records[record.name] = record

    def undefine(self, name: str) -> None:
        del self.records[name]

    def set_autostart(self, name: str, *, autostart: bool) -> None:
        self._change(name, autostart=autostart)

    def start(self, name: str, *, paused: bool = False) -> None:
        live = _xml.clone(self.records[name].inactive)
        self._change(name, state="paused" if paused else "running", live=live, saved=None)

    @property
    def connection(self) -> FakeConnection:
        return FakeConnection(self)

    def managed_save(self, name: str) -> None:
        self._change(name, state="shut_off", live=None, saved=self.records[name].live)

    def make_transient(self, name: str) -> None:
        self._change(name, persistent=False)

    def suspend(self, name: str) -> None:
        self._change(name, state="paused")

    def resume(self, name: str) -> None:
        self._change(name, state="running")

    def shut_down(self, name: str, *, timeout_s: float, force: bool) -> None:
        self._change(name, state="shut_off", live=None)

    def _change(self, name: str, **values: t.Any) -> None:
        self.records[name] = replace(self.records[name], **values)


class FakeConnection:
    """libvirt's own interface to the domains of a `FakeLibvirt`."""

    def __init__(self, libvirt: FakeLibvirt) -> None:
        self._libvirt = libvirt

    def lookupByName(self, name: str) -> FakeRunningDomain:
        return FakeRunningDomain(self._libvirt.records[name])


class FakeRunningDomain:
    """A running domain whose guest lets go of devices at once, and whose driver gives memory back."""

    def __init__(self, record: DomainRecord) -> None:
        assert record.live is not None
        self._live, self._name = record.live, record.name

    def name(self) -> str:
        return self._name

    def info(self) -> list[int]:
        return [1, 0, int(self._live.findtext("currentMemory", "0"))]

    def XMLDesc(self, _flags: int) -> str:
        return _xml.to_text(self._live)

    def attachDeviceFlags(self, text: str, _flags: int) -> None:
        device = _xml.parse(text)
        assert device_like(self._live, device) is None, "libvirt refuses a device that is there"
        used = {node.get("bus") for node in self._live.iterfind(".//address[@type='pci']")}
        free = next(f"0x{bus:02x}" for bus in range(0x40, 0xFF) if f"0x{bus:02x}" not in used)
        device.append(_xml.element("address", {"type": "pci", "bus": free}))
        _xml.child(self._live, "devices").append(device)

    def detachDeviceFlags(self, text: str, _flags: int) -> None:
        self._remove(_xml.parse(text))

    def updateDeviceFlags(self, text: str, _flags: int) -> None:
        device = _xml.parse(text)
        self._remove(device)
        _xml.child(self._live, "devices").append(device)

    def setMemoryFlags(self, memory_kib: int, _flags: int) -> None:
        _xml.child(self._live, "currentMemory").text = str(memory_kib)

    def setVcpusFlags(self, number: int, _flags: int) -> None:
        vcpu = _xml.child(self._live, "vcpu")
        vcpu.attrib.pop("current", "")
        if vcpu.text != str(number):
            vcpu.set("current", str(number))

    def setBlockIoTune(self, target: str, limits: dict[str, int], _flags: int) -> None:
        disk = disk_at(self._live, target)
        for old in disk.findall("iotune"):
            disk.remove(old)
        nodes = [_xml.element(name, text=str(value)) for name, value in sorted(limits.items()) if value]
        if nodes:
            disk.append(_xml.element("iotune", None, *nodes))

    def _remove(self, device: _xml.Element) -> None:
        there = device_like(self._live, device)
        assert there is not None, "libvirt knows no such device"
        _xml.child(self._live, "devices").remove(there)
