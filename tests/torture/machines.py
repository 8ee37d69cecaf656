# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene of libvirt_vm, and of gfapi_disk with a VM that runs: one without a system on disks of a storage domain.

What is right is asked of libvirt, of QEMU itself, of the notes of use and the seeds on the mount, and of the bricks. A
run that was killed and done again ends in the very definition that one makes which nothing disturbs.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import shutil
import stat
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree import ElementTree

import images
from host import BRICKS, HERE, MIB, NAME, POINT, Operation, TortureError, command, difference, names_below, run_module
from images import UUID, VM, left_on_host, unknown

USERS: t.Final = POINT / ".gfapi-users"
SEEDS: t.Final = POINT / ".gfapi-seeds"
#: kept of each way to start: the definition, notes and seeds
STARTS: t.Final = HERE / "templates" / "starts"
#: an image of no storage domain, as an administrator made it: with an odd length, and root's own
FILE: t.Final = POINT / "torture.raw"
FILE_BYTES: t.Final = MIB + 512
AUTOSTART: t.Final = Path("/etc/libvirt/qemu/autostart") / f"{VM}.xml"
USER_DATA: t.Final = "#cloud-config\n# torture\n"
INTERFACE: t.Final = {"type": "user", "model": "virtio"}
BLOCK_COPIED: t.Final = f"{VM}-vda"
FRESH: t.Final = "fresh"
GROWN: t.Final = {"root": 16 * MIB, "data": 6 * MIB}
#: QEMU's own user may not be in group 36 here
OVERRIDES: t.Final = [
    {"path": "seclabel[@model='dac']/@type", "value": "static"},
    {"path": "seclabel[@model='dac']/@relabel", "value": "no"},
    {"path": "seclabel[@model='dac']/label", "value": "+0:+36"},
]


@dataclass(frozen=True)
class Machine:
    """A VM as an operation finds or leaves it: what a run of the module is asked for, and `disks` by target."""

    params: t.Mapping[str, t.Any]
    disks: t.Mapping[str, str]

    @property
    def state(self) -> str:
        return str(self.params["state"])


@dataclass(frozen=True)
class End:
    """How it is to end; `machine` is `None` for a VM that goes. `gone` are images that go with it.

    `grown` are images that get so large, and `live` is what QEMU itself is to say, see `qemu_facts`.
    """

    machine: Machine | None
    gone: frozenset[str] = frozenset()
    new: frozenset[str] = frozenset()
    grown: t.Mapping[str, int] = field(default_factory=dict)
    live: t.Mapping[str, t.Any] = field(default_factory=dict)


def machine(state: str, disks: t.Mapping[str, str], **params: t.Any) -> Machine:
    """A VM with these disks by target; a path is a file."""
    listed = [
        {"target": target, **({"file": name, "format": "raw"} if "/" in name else {"name": name})}
        for target, name in disks.items()
    ]
    every = {"name": VM, "memory": "64MiB", "virt_type": "qemu", "storage_domain": NAME, "xml_overrides": OVERRIDES}
    forced = {"force_stop": True, "shutdown_timeout": 0}
    return Machine({**every, **forced, "state": state, "disks": listed, **params}, disks)


def to(
    name: str, start: Machine | None, end: Machine, live: t.Mapping[str, t.Any] | None = None, **params: t.Any
) -> Operation:
    return Operation(f"vm-{name}", "libvirt_vm", {**end.params, **params}, start, End(end, live=live or {}))


def on_disk(operation: str, start: Machine, end: End, **params: t.Any) -> Operation:
    return Operation(f"vm-{operation}", "gfapi_disk", {"storage_domain": NAME, **params}, start, end)


def limited(iops: int) -> Machine:
    """A running VM whose disk has a limit."""
    disk = {"target": "vda", "name": "root", "iotune": {"total_iops_sec": iops}}
    return Machine({**RUNNING.params, "disks": [disk]}, ROOT)


def sized(vcpus: int, memory: str) -> Machine:
    """A running VM with room for more."""
    return machine("running", ROOT, interfaces=[], vcpus=vcpus, vcpus_max=2, memory=memory, memory_max="128MiB")


ROOT: t.Final = {"vda": "root"}
BOTH: t.Final = {"vda": "root", "vdb": "data"}
SCSI: t.Final = {"vda": "root", "sda": "data"}
SEED: t.Final = {"user_data": USER_DATA}
RUNNING: t.Final = machine("running", ROOT, interfaces=[])
OFF: t.Final = machine("shut_off", ROOT)
ON_FILE: t.Final = machine("running", {"vda": str(FILE)}, access="fuse")
WHOLE: t.Final = machine("running", BOTH, cloud_init=SEED, autostart=True)
PAUSED: t.Final = machine("paused", ROOT, interfaces=[])


def forget(name: str, end: End, **params: t.Any) -> Operation:
    return Operation(
        f"vm-{name}", "libvirt_vm", {"name": VM, "state": "absent", "force_stop": True, **TIMES, **params}, WHOLE, end
    )


TIMES: t.Final = {"shutdown_timeout": 0}
OPERATIONS: t.Final = (
    to("define", None, WHOLE),
    to("change-live", RUNNING, machine("running", BOTH, interfaces=[INTERFACE], vcpus=2, description="changed")),
    to("detach-live", machine("running", SCSI), machine("running", ROOT)),
    to("change-off", OFF, machine("shut_off", BOTH, vcpus=2, cloud_init=SEED, autostart=True)),
    to("restart", RUNNING, machine("running", ROOT, vcpus=2, interfaces=[]), restart="if_required"),
    # its guest is asked to power off once, which it does not
    to("shut-off", WHOLE, machine("shut_off", BOTH, cloud_init=SEED, autostart=True), shutdown_timeout=1),
    to("pause", RUNNING, PAUSED, live={"running": False}),
    to("resume", PAUSED, RUNNING, live={"running": True}),
    to("start-paused", OFF, machine("paused", ROOT), live={"running": False}),
    to("limit-live", limited(50), limited(100), live={"iops": {"root": 100}}),
    to("more-live", sized(1, "64MiB"), sized(2, "96MiB"), live={"vcpus": 2}),
    forget("absent", End(None)),
    forget("absent-with-disks", End(None, gone=frozenset(BOTH.values())), delete_disks=True),
    Operation(
        "vm-to-gfapi",
        "libvirt_vm",
        {"name": VM, "state": "running", "access": "gfapi", "restart": "if_required", "force_stop": True, **TIMES},
        ON_FILE,
        End(Machine({"state": "running"}, {"vda": str(FILE)})),
    ),
    Operation(
        "vm-block-copy",
        "libvirt_vm",
        {"name": VM, "state": "running", "access": "gfapi", "convert": "block_copy", "storage_domain": NAME},
        ON_FILE,
        End(Machine({"state": "running"}, {"vda": BLOCK_COPIED}), new=frozenset([BLOCK_COPIED])),
    ),
    on_disk("disk-attach", RUNNING, End(machine("running", BOTH)), name="data", vm=VM),
    on_disk(
        "disk-attach-new",
        RUNNING,
        End(machine("running", {"vda": "root", "vdb": FRESH}), new=frozenset([FRESH])),
        name=FRESH,
        size="4MiB",
        format="raw",
        vm=VM,
    ),
    on_disk("disk-attach-off", OFF, End(machine("shut_off", BOTH)), name="data", vm=VM),
    on_disk(
        "disk-detach",
        machine("running", SCSI),
        End(machine("running", ROOT)),
        name="data",
        vm=VM,
        state="detached",
    ),
    on_disk(
        "disk-grow",
        machine("running", BOTH, interfaces=[]),
        End(machine("running", BOTH), grown=GROWN, live={"sizes": GROWN}),
        disks=[{"name": name, "size": size} for name, size in GROWN.items()],
    ),
)


class Scene(images.Scene):
    """The storage domain with a VM that is defined by the module, and the way back to how an operation starts."""

    operations: t.ClassVar[tuple[Operation, ...]] = OPERATIONS
    #: where files come and go under their names or change hands, and libvirt is told to do something
    calls: t.ClassVar[frozenset[str]] = frozenset(
        (
            *("rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "link", "linkat"),
            *("ftruncate", "fallocate", "fchown", "fchmod", "fsetxattr", "libvirt"),
        )
    )

    def __init__(self) -> None:
        super().__init__()
        self.data = unknown(FILE_BYTES)
        #: by operation: what a run that nothing disturbs ends in
        self.ends: dict[str, str] = {}

    def __exit__(self, *exc: object) -> None:
        forget_vm()
        super().__exit__(*exc)

    def _make_disks(self) -> None:
        self._fill_disks({"root": 4, "data": 2})

    def _define(self) -> None:
        pass

    def reset(self, operation: Operation) -> None:
        """Whatever is there, the host and the volume as a run is to find them."""
        forget_vm()
        self._restore_images()
        start: Machine | None = operation.start
        for folder in (USERS, SEEDS):
            shutil.rmtree(folder, ignore_errors=True)
        # a copy of a running disk with an odd length fails in QEMU 7.2
        FILE.write_bytes(self.data[:MIB] if operation.name == "vm-block-copy" else self.data)
        os.chown(FILE, 0, 0)
        FILE.chmod(0o600)
        if start is None:
            return
        kept = STARTS / operation.name
        if not kept.exists():
            run_module(Operation(f"{operation.name}'s start", "libvirt_vm", start.params, None, None))
            kept.mkdir(parents=True)
            (kept / "vm.xml").write_text(command("virsh", "dumpxml", "--inactive", VM))
            for folder in filter(Path.exists, (USERS, SEEDS)):
                command("cp", "--archive", folder, kept)
            return
        for folder in kept.glob(".gfapi-*"):
            command("cp", "--archive", folder, POINT)
        command("virsh", "define", kept / "vm.xml")
        if start.params.get("autostart"):
            command("virsh", "autostart", VM)
        if start.state != "shut_off":
            command("virsh", "start", VM, *(["--paused"] if start.state == "paused" else []))

    def loss_faults(self, operation: Operation) -> list[str]:
        """What a kill has cost: no image is half or changed, and whatever the VM has is noted as its own."""
        return [
            *self._image_faults(operation, is_end=False),
            *self._disk_faults(),
            *(fault for fault in note_faults(self._names()) if "lacks" in fault),
        ]

    def end_faults(self, operation: Operation) -> list[str]:
        """What is not as it should be after all is done."""
        end: End = operation.end
        faults = [f"{path} is left" for path in left_on_host()]
        faults += self._image_faults(operation, is_end=True) + self._disk_faults()
        faults += note_faults(self._names()) + seed_faults(self._names())
        there = vms("--all")
        if end.machine is None:
            return faults + ([f"there is VM {', '.join(there)}"] if there or AUTOSTART.is_symlink() else [])
        if there != [VM]:
            return [*faults, f"there is VM {', '.join(there) or 'none'}"]
        state = command("virsh", "domstate", VM).strip().replace(" ", "_")
        faults += [] if state == end.machine.state else [f"{VM} is {state}"]
        if AUTOSTART.is_symlink() != bool(end.machine.params.get("autostart")):
            faults.append(f"autostart of {VM} is {AUTOSTART.is_symlink()}")
        names = self._names()
        for flags in (["--inactive"], *([[]] if state != "shut_off" else [])):
            has = {target: names.get(key, key) for target, key in disks_of(*flags).items()}
            wanted = {target: os.path.basename(name) for target, name in end.machine.disks.items()}
            faults += [] if has == wanted else [f"{VM} {flags} has disks {has}, not {wanted}"]
        said = qemu_facts(names) if end.live else {}
        faults += [f"QEMU has {key} {said[key]}, not {value}" for key, value in end.live.items() if said[key] != value]
        definition = self._definition(names)
        first = self.ends.setdefault(operation.name, definition)
        if definition != first:
            differing = difflib.unified_diff(first.splitlines(), definition.splitlines(), "not killed", "killed", n=1)
            faults += ["its definition is another one after a kill:", *differing]
        return faults

    def _names(self) -> dict[str, str]:
        """The names of images by uuid."""
        found = dict(self.owners)
        for folder in self._images(BRICKS[0]).iterdir():
            if UUID.fullmatch(folder.name) and folder.name not in found:
                found[folder.name] = images.read(folder).name
        return found

    def _definition(self, names: t.Mapping[str, str]) -> str:
        text = command("virsh", "dumpxml", "--inactive", VM)
        return UUID.sub(lambda match: names.get(match[0], "*") if match[0] in self.owners else "*", text)

    def _image_faults(self, operation: Operation, *, is_end: bool) -> list[str]:
        end: End = operation.end
        faults = []
        for brick in BRICKS:
            found = names_below(self._images(brick))
            folders = {name.partition("/")[0] for name in {*found, *self.first}}
            for uuid in sorted(folders):
                below = {name: entry for name, entry in found.items() if f"{name}/".startswith(f"{uuid}/")}
                first = {name: entry for name, entry in self.first.items() if f"{name}/".startswith(f"{uuid}/")}
                name = self.owners.get(uuid, "")
                if name in end.gone:
                    faults += [f"{brick}: {name} is left"] if is_end and below else []
                elif name in end.grown:
                    folder = self._images(brick) / uuid
                    before, wanted = self.disks[name], replace(self.disks[name], size=end.grown[name])
                    image = images.read(folder)
                    found_faults = (
                        images.disk_faults(image, wanted, folder) if is_end else images.loss_of(image, (before, wanted))
                    )
                    faults += [f"{brick}: {name}: {fault}" for fault in found_faults]
                elif first:
                    faults += [f"{brick}: {name}: {fault}" for fault in difference(below, first)]
                elif UUID.fullmatch(uuid):
                    image = images.read(self._images(brick) / uuid)
                    faults += [f"{brick}: {image.name}: {fault}" for fault in image.faults]
                    if image.name not in end.new:
                        faults.append(f"{brick}: image {uuid} is {image.name!r}, which nobody wants")
                elif is_end:
                    faults.append(f"{brick}: {uuid} is left")
            if is_end:
                made = [
                    images.read(self._images(brick) / uuid).name
                    for uuid in folders - {*self.owners}
                    if UUID.fullmatch(uuid)
                ]
                faults += [] if sorted(made) == sorted(end.new) else [f"{brick}: new images are {made}"]
            faults += self._file_faults(brick / FILE.name, operation, is_end=is_end)
        return faults

    def _file_faults(self, path: Path, operation: Operation, *, is_end: bool) -> list[str]:
        """The image of no storage domain, which a conversion alone changes: it holds the same, aligned and 36's."""
        status, data = path.stat(), path.read_bytes()
        known = self.data[:MIB] if operation.name == "vm-block-copy" else self.data
        faults = [] if data.rstrip(b"\0") == known.rstrip(b"\0") else [f"{path} has lost data"]
        if is_end and operation.name == "vm-to-gfapi":
            found = (len(data) % 4096, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
            faults += [] if found == (0, 36, 36, 0o660) else [f"{path} has length, owner and mode {found}"]
        return faults

    def _disk_faults(self) -> list[str]:
        """QEMU has what libvirt says, and no image is another VM's too."""
        if VM not in vms():
            return []
        says, has = sorted(disks_of().values()), qemu_disks()
        faults = [] if says == has else [f"libvirt has {VM} on {says}, and QEMU on {has}"]
        return faults + ([f"{VM} has an image twice: {has}"] if len({*has}) != len(has) else [])


def key_of(path: str) -> str:
    """What an image is known by here: its uuid, or the name of its file."""
    found = [match[0] for match in UUID.finditer(path)]
    return found[-2] if len(found) > 1 else os.path.basename(path)


def vms(*flags: str) -> list[str]:
    """Those of ours: the host may have others."""
    return [name for name in command("virsh", "list", "--name", *flags).split() if name.startswith(VM)]


def forget_vm() -> None:
    """No VM; whatever was begun for it is over."""
    if VM in vms():
        with contextlib.suppress(TortureError):
            command("virsh", "destroy", VM)
    if VM in vms("--all"):
        command("virsh", "undefine", VM)


def disks_of(*flags: str) -> dict[str, str]:
    """What libvirt says which image is at which target."""
    root = ElementTree.fromstring(command("virsh", "dumpxml", *flags, VM))
    found = {}
    for element in root.iterfind("devices/disk[@device='disk']"):
        source, target = element.find("source"), element.find("target")
        if source is not None and target is not None:
            found[target.get("dev", "")] = key_of(source.get("name") or source.get("file") or "")
    return found


def ask_qemu(what: str) -> t.Any:
    return json.loads(command("virsh", "qemu-monitor-command", VM, json.dumps({"execute": what})))["return"]


def qemu_drives() -> list[tuple[str, dict[str, t.Any]]]:
    """What QEMU itself says that it has open: each image by what it is known by here."""
    files = [
        (one["inserted"]["image"]["filename"], one["inserted"]) for one in ask_qemu("query-block") if "inserted" in one
    ]
    paths = [
        (re.sub(r'.*"path": "([^"]*)".*', r"\1", name) if name.startswith("json:") else name, told)
        for name, told in files
    ]
    return [(key_of(path), told) for path, told in paths if not path.endswith(".iso")]


def qemu_disks() -> list[str]:
    return sorted(key for key, _told in qemu_drives())


def qemu_facts(names: t.Mapping[str, str]) -> dict[str, t.Any]:
    """How QEMU itself says that the VM is; disks by name. What memory its guest has given back, none here does."""
    drives = {names.get(key, key): told for key, told in qemu_drives()}
    return {
        "running": ask_qemu("query-status")["running"],
        "vcpus": len(ask_qemu("query-cpus-fast")),
        "iops": {name: told["iops"] for name, told in drives.items()},
        "sizes": {name: told["image"]["virtual-size"] for name, told in drives.items()},
    }


def uses_of_vms() -> dict[str, set[str]]:
    """VM → the images of the storage domain that it names, running or not, by uuid."""
    found: dict[str, set[str]] = {}
    running = vms()
    for name in vms("--all"):
        uuid = command("virsh", "domuuid", name).strip()
        keys = {*disks_of("--inactive").values(), *(disks_of().values() if name in running else ())}
        found[uuid] = {key for key in keys if UUID.fullmatch(key)}
    return found


def note_faults(names: t.Mapping[str, str]) -> list[str]:
    """Where what is noted is not what libvirt has; one that lacks something has others take an image away."""
    noted = {}
    faults = []
    for path in USERS.glob("*/*"):
        if path.name.startswith("."):
            faults.append(f"{path} is left")
        elif path.name != "host":
            noted[path.name] = set(json.loads(path.read_text())["images"])
    uses = uses_of_vms()
    for uuid in {*noted, *uses}:
        has, wanted = noted.get(uuid, set()), uses.get(uuid, set())
        if wanted - has:
            faults.append(f"the note of VM {uuid} lacks {[names.get(one, one) for one in wanted - has]}")
        if has - wanted or (uuid not in uses):
            faults.append(
                f"the note of VM {uuid} has {[names.get(one, one) for one in has - wanted]}, which it has not"
            )
    return faults


def seed_faults(names: t.Mapping[str, str]) -> list[str]:
    """Seeds are there for VMs that name them, and none else."""
    found = {path.name for path in SEEDS.glob("*")} | {path.name for path in SEEDS.glob(".*")}
    wanted = set()
    if VM in vms("--all"):
        root = ElementTree.fromstring(command("virsh", "dumpxml", "--inactive", VM))
        files = [node.get("file", "") for node in root.iterfind("devices/disk[@device='cdrom']/source")]
        wanted = {os.path.basename(path) for path in files}
        for path in filter(Path.exists, map(Path, files)):
            status = path.stat()
            is_whole = USER_DATA.encode() in path.read_bytes()
            if not is_whole or stat.S_IMODE(status.st_mode) != 0o640 or (status.st_uid, status.st_gid) != (36, 36):
                return [
                    f"{path} is not whole, or has mode {status.st_mode:o} and owner {status.st_uid}:{status.st_gid}"
                ]
    return [] if found == wanted else [f"seeds are {sorted(found)}, not {sorted(wanted)}"]
