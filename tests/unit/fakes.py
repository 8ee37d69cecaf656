# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edges that keep real state, for tests: volumes are directories, and an image of qemu-img's is its header."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import posixpath
import struct
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

from ansible_collections.gfapi.virt.plugins.module_utils import _files, _xml
from ansible_collections.gfapi.virt.plugins.module_utils import _use_notes as use_notes
from ansible_collections.gfapi.virt.plugins.module_utils._attachment import LIVE, NEXT, Attachment, disk_of
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord
from ansible_collections.gfapi.virt.plugins.module_utils._errors import (
    CommandError,
    GlusterError,
    HungError,
    StorageError,
)
from ansible_collections.gfapi.virt.plugins.module_utils._gluster import Found
from ansible_collections.gfapi.virt.plugins.module_utils._image_users import ImageUser, ImageUsers
from ansible_collections.gfapi.virt.plugins.module_utils._mount_options import told_by
from ansible_collections.gfapi.virt.plugins.module_utils._mount_table import Mount, Space
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain_users import ImageReference
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec
from ansible_collections.gfapi.virt.plugins.module_utils._use_record import ThisHost, UseRecord
from ansible_collections.gfapi.virt.plugins.module_utils._volume import Brick, Volume
from ansible_collections.gfapi.virt.plugins.module_utils._volume_use import Clients, HostUse

if t.TYPE_CHECKING:
    import pytest

    from ansible_collections.gfapi.virt.plugins.module_utils._image import Source
    from ansible_collections.gfapi.virt.plugins.module_utils._qemu_img import Backing

#: a new qcow2 of qemu-img has this odd length, whatever its size
QCOW2_LENGTH = 196624
QCOW2_HEADER = 112
SPACE = Space(size_bytes=100 << 30, free_bytes=40 << 30)


def hold_open(monkeypatch: pytest.MonkeyPatch, *files: str) -> None:
    """Bricks that have the files of these names open for another host, and no other."""

    def getxattr(path: str, _name: str, *, follow_symlinks: bool) -> bytes:
        assert not follow_symlinks
        return b"1\0" if posixpath.basename(path) in files else b"0\0"

    monkeypatch.setattr(os, "getxattr", getxattr)
    monkeypatch.setattr(_files, "LINGERS_S", 0)


def note_elsewhere(point: str | Path, vm: str | None, *images: str) -> None:
    """What host hv2 notes of a VM that it defines, or of itself, on a mount."""
    host = ThisHost("hv2", "2" * 32)
    with use_notes.own_records(str(point), host) as directory:
        use_notes.note(directory, vm or use_notes.HOST, UseRecord(host, vm, vm, frozenset(images)))


class FakeMounts:
    """Gluster mounts. A volume is a directory; to mount it is to move it to the mount point."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.mounted: dict[str, Mount] = {}
        self.options: dict[str, tuple[str, ...]] = {}
        self.dead: set[str] = set()
        self.hung: set[str] = set()
        #: locations whose servers do not answer
        self.down: set[str] = set()
        self.holders: dict[str, list[str]] = {}
        self.space = SPACE

    def make_volume(self, location: str) -> Path:
        """A volume, or a directory on one, that can be mounted."""
        path = self._volume(location)
        path.mkdir(parents=True)
        return path

    def table(self) -> tuple[Mount, ...]:
        return tuple(self.mounted.values())

    def at(self, point: str) -> Mount | None:
        return self.mounted.get(point)

    def read_space(self, point: str) -> Space | None:
        if point in self.hung:
            raise HungError(f"mount {point} does not answer within 5 s")
        return None if point in self.dead else self.space

    def await_return(self, point: str) -> None:
        """Nothing to wait for."""

    def require_answer(self, point: str) -> Space:
        space = self.read_space(point)
        if space is None:
            raise StorageError(f"mount {point} is dead")
        return space

    def mount(self, spec: VolumeSpec, point: str, options: t.Sequence[str] = (), *, timeout_s: float = 60) -> None:
        volume = self._volume(spec.location)
        if not volume.is_dir() or spec.location in self.down:
            raise StorageError(f"cannot mount {spec} on {point}: no such volume")
        os.makedirs(os.path.dirname(point), exist_ok=True)
        volume.rename(point)
        self.mounted[point] = Mount(replace(spec, servers=spec.servers[:1]), point)
        self.options[point] = tuple(options)

    def unmount(self, point: str) -> None:
        mount = self.mounted.pop(point)
        self.dead.discard(point)
        Path(point).rename(self._volume(mount.spec.location))

    def abandon(self, point: str) -> None:
        assert point in self.hung
        self.hung.discard(point)
        self.unmount(point)

    def client_options(self, point: str) -> frozenset[str] | None:
        return told_by(self.options[point])

    def read_holders(self, point: str) -> list[str]:
        return self.holders.get(point, [])

    @contextlib.contextmanager
    def visit(self, spec: VolumeSpec, options: t.Sequence[str] = (), *, timeout_s: float = 60) -> t.Iterator[str]:
        if spec.location in self.down:
            raise StorageError(f"cannot mount {spec}: no answer within {timeout_s:g} s")
        held = [mount.point for mount in self.table() if mount.spec.location == spec.location]
        volume = held[0] if held else str(self._volume(spec.location))
        if not os.path.isdir(volume):
            raise StorageError(f"cannot mount {spec} on {volume}: no such volume")
        away = self.dead & {volume}, self.hung & {volume}
        self.dead -= away[0]
        self.hung -= away[1]
        try:
            yield volume
        finally:
            self.dead |= away[0]
            self.hung |= away[1]

    def _volume(self, location: str) -> Path:
        return self._root / location.replace("/", "!")


@dataclass
class FakeQemuImg:
    """qemu-img: writes the header of a qcow2 and counts its runs."""

    runs: list[str] = field(default_factory=list)
    error: CommandError | None = None
    whole: bool = True

    def empty_qcow2(self, size_bytes: int, compat: str, backing: Backing | None = None) -> bytes:
        """The header, and the name of the backing file where QEMU has it."""
        self._run(f"create on {backing.name} {backing.format}" if backing else "create")
        name = backing.name.encode() if backing else b""
        place = (QCOW2_HEADER, len(name)) if backing else (0, 0)
        version = {"0.10": 2, "1.1": 3}[compat]
        header = b"QFI\xfb" + struct.pack(">IQIIQ", version, *place, 16, size_bytes)
        return (header.ljust(QCOW2_HEADER, b"\0") + name).ljust(QCOW2_LENGTH, b"\0")

    def create_preallocated_qcow2(self, path: str, size_bytes: int, compat: str) -> None:
        with open(path, "wb") as file:
            file.write(self.empty_qcow2(size_bytes, compat))

    def info(self, path: str, image_format: str) -> str:
        """Of a raw image only."""
        self._run("info")
        return json.dumps({"filename": path, "format": image_format, "virtual-size": os.path.getsize(path)})

    def is_whole(self, path: str, image_format: str) -> bool:
        return self.whole

    def required_bytes(self, source: Source, image_format: str) -> int:
        return source.virtual_size_bytes

    def convert(self, source: Source, path: str, image_format: str, options: str, *, doing: str) -> None:
        """Of a qcow2 image, only the header is as it would be."""
        compat = dict(word.split("=") for word in options.split(",") if word).get("compat", "1.1")
        header = b"" if image_format == "raw" else self.empty_qcow2(source.virtual_size_bytes, compat)
        self._run(f"convert {options}".strip())
        with open(path, "wb") as file:
            file.write(header)
            file.write(Path(source.path).read_bytes())

    def commit(self, path: str, size_bytes: int) -> None:
        """The data stay where they are: a fake image has none."""
        self._run("commit")

    def name_backing(self, path: str, backing: Backing) -> None:
        self._run(f"rebase {backing.name} {backing.format}")
        head = self.empty_qcow2(int.from_bytes(Path(path).read_bytes()[24:32], "big"), "1.1", backing)
        with open(path, "r+b") as file:
            file.write(head[: 2 * QCOW2_HEADER])

    def resize_qcow2(self, path: str, size_bytes: int, *, preallocated: bool) -> None:
        self._run("resize")
        with open(path, "r+b") as file:
            file.seek(24)
            file.write(struct.pack(">Q", size_bytes))
            file.seek(0, os.SEEK_END)
            file.write(b"grown")

    def _run(self, what: str) -> None:
        self.runs.append(what)
        if self.error:
            raise self.error


@dataclass
class FakeImageUsers:
    """Domains that use images; a live resize is only noted down."""

    users: dict[str, list[ImageUser]] = field(default_factory=dict)
    asked: int = 0
    resized: list[tuple[str, str, int]] = field(default_factory=list)
    stopped: list[tuple[tuple[str, ...], bool]] = field(default_factory=list)
    named: list[ImageReference] = field(default_factory=list)
    has_libvirt: bool = True
    is_local: bool = True
    records: dict[str, DomainRecord] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    def uuids(self) -> set[str]:
        return self.known

    def define(self, name: str, *, running: bool, saved: bool = False, labelled: bool = True) -> None:
        """A domain that disks can be given to."""
        label = "<seclabel type='none' model='dac'/>" if labelled else ""

        def element() -> _xml.Element:
            return _xml.parse(f"<domain><name>{name}</name><devices/>{label}</domain>")

        live, kept = element() if running else None, element() if saved else None
        self.records[name] = DomainRecord(
            name, "u", "running" if running else "shut_off", element(), live, False, saved=kept
        )

    def domain(self, name: str) -> DomainRecord:
        # as the real one says it
        users = ImageUsers("qemu:///system")
        users._records = tuple(self.records[known] for known in sorted(self.records))
        return users.domain(name)

    def forget(self) -> None:
        """The fake knows everything at once."""

    def attach(self, attachment: Attachment, element: _xml.Element) -> None:
        for configuration in self._configurations(attachment):
            configuration.find("devices").append(copy.deepcopy(element))

    def detach(self, attachment: Attachment) -> None:
        for configuration in self._configurations(attachment):
            disk = disk_of(configuration, attachment.image_uuid)
            disk.getparent().remove(disk)

    def _configurations(self, attachment: Attachment) -> list[t.Any]:
        record = self.records[attachment.domain]
        places = {LIVE: record.live, NEXT: record.inactive}
        return [places[place] for place in attachment.places]

    def references(self) -> tuple[ImageReference, ...] | None:
        self.asked += 1
        return tuple(self.named) if self.has_libvirt else None

    def of(self, image_uuid: str, volume_uuid: str) -> tuple[ImageUser, ...]:
        self.asked += 1
        return tuple(self.users.get(image_uuid, ()))

    def in_storage_domain(self, storage_domain_uuid: str) -> tuple[ImageUser, ...]:
        self.asked += 1
        return tuple(user for users in self.users.values() for user in users)

    def on_volume(self, location: str, points: t.Sequence[str]) -> tuple[ImageUser, ...]:
        return self.in_storage_domain(location)

    def stop(self, names: t.Sequence[str], *, timeout_s: float, destroy: bool) -> None:
        self.stopped.append((tuple(names), destroy))
        for image, users in self.users.items():
            self.users[image] = [user._replace(running=user.running and user.name not in names) for user in users]

    def lengthen(self, size_bytes: int) -> None:
        """What QEMU does to the file; a test puts there what it needs."""

    def block_resize(self, user: ImageUser, size_bytes: int) -> None:
        self.resized.append((user.name, user.target, size_bytes))
        self.lengthen(size_bytes)


class FakeServers:
    """The servers and options of any volume."""

    def __init__(self, *servers: str) -> None:
        self._servers = servers
        self.options: dict[str, str] = {}
        self.warnings: list[str] = []
        #: `None` for a volume that is deleted
        self.status: str | None = "Started"
        #: why the glusterd of this host cannot tell
        self.away = ""
        self.connected = Clients({"glustershd": 1})

    def of(self, mount: Mount) -> tuple[str, ...]:
        return self.servers(mount.spec.volume, volfile_server=mount.spec.servers[0])

    def servers(self, name: str, *, volfile_server: str) -> tuple[str, ...]:
        """As `Gluster` answers."""
        self.volume(name, remote_host=volfile_server)
        return tuple(dict.fromkeys((volfile_server, *self._servers)))

    def volume(self, name: str, *, remote_host: str | None = None) -> Volume:
        """As `Gluster` answers."""
        if self.away and remote_host is None:
            raise GlusterError(f"cannot read volume {name}: {self.away}")
        if self.status is None:
            raise GlusterError(f"cannot read volume {name}: Volume {name} does not exist")
        bricks = tuple(Brick(server, "/bricks/b", peer=f"uuid of {server}") for server in self._servers)
        return Volume(name, "Replicate", self.status, 3, bricks, dict(self.options))

    def volume_and_options(self, name: str) -> Found:
        volume = self.volume(name)
        in_force = {"cluster.granular-entry-heal": "off", "features.shard": "off", "server.allow-insecure": "on"}
        return Found(volume, {**in_force, **volume.options}, 100000)

    def group(self, name: str) -> dict[str, str]:
        return {"features.shard": "on"}

    def set_options(self, name: str, options: t.Mapping[str, str]) -> None:
        self.options.update(options)

    def set_granular_entry_heal(self, name: str, *, enable: bool) -> None:
        if enable and self.status != "Started":
            raise GlusterError(f"cannot enable heal on volume {name}: Not able to fetch volfile from glusterd")
        self.options["cluster.granular-entry-heal"] = "enable" if enable else "disable"

    def own_uuid(self) -> str:
        return f"uuid of {self._servers[0]}"

    def clients(self, name: str) -> Clients:
        assert self.status == "Started"
        return self.connected

    def start(self, name: str) -> None:
        self.status = "Started"

    def stop(self, name: str) -> None:
        assert self.status == "Started"
        self.status = "Stopped"

    def delete(self, name: str) -> None:
        assert self.status == "Stopped"
        self.status = None


class FakeHere:
    """What a host shows of a volume: its brick, and who uses the volume."""

    def __init__(self) -> None:
        self.used = HostUse()
        self.found: list[str] | None = []
        self.data = ["/bricks/b"]
        self.inside = [".glusterfs", ".shard"]

    def names(self, volume: Volume, own_uuid: str) -> list[str]:
        assert own_uuid == "uuid of gl2"
        return self.inside

    def use(self, volume: str) -> HostUse:
        return self.used

    def storage_domains(self, volume: Volume, directory: str, own_uuid: str) -> list[str] | None:
        return self.found

    def root_owner(self, volume: Volume, own_uuid: str) -> tuple[int, int] | None:
        assert own_uuid == "uuid of gl2"
        return (0, 0)

    def bricks(self, volume: Volume, own_uuid: str) -> list[str]:
        assert own_uuid == "uuid of gl2"
        return list(self.data)

    def purge(self, volume: Volume, paths: t.Sequence[str]) -> None:
        self.data = [path for path in self.data if path not in paths]
