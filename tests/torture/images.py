# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene of gfapi_disk and gfapi_snapshot: a mounted storage domain with disks that hold what nobody could guess.

What is right is asked of the three bricks and of qemu-img: each image that VDSM would take for one is whole, reads as
it did or as it was to, and none but the one that the run was about has changed by a byte.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree import ElementTree

import host
from host import (
    BRICKS,
    HERE,
    MIB,
    NAME,
    POINT,
    SPEC,
    Names,
    Operation,
    command,
    difference,
    make_volume,
    names_below,
    remove_volume,
    run_module,
)

#: what disks are filled from
SOURCES: t.Final = HERE / "sources"
EXPORTS: t.Final = HERE / "exports"
DEST: t.Final = EXPORTS / "plain.qcow2"
TEMPLATE: t.Final = HERE / "templates" / "images"
SCRATCH: t.Final = Path("/tmp/gfapi-torture-scratch")
NONE: t.Final = "00000000-0000-0000-0000-000000000000"
VM: t.Final = NAME
#: its definition, which it has again before each run
DEFINITION: t.Final = HERE / "vm.xml"
UUID: t.Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
GONE: t.Final = "DISCARD"


@dataclass(frozen=True)
class Disk:
    """A disk as its user knows it; `data` ends with the last byte that is not zero."""

    format: str
    size: int
    data: bytes = b""
    snapshots: t.Mapping[str, bytes] = field(default_factory=dict)
    note: str = ""
    is_template: bool = False
    preallocated: bool = False

    def taken(self, name: str) -> Disk:
        return replace(self, snapshots={**self.snapshots, name: self.data})

    def without(self, *names: str) -> Disk:
        return replace(self, snapshots={name: data for name, data in self.snapshots.items() if name not in names})

    def reverted(self, name: str) -> Disk:
        return replace(self, data=self.snapshots[name])

    def written(self, offset: int, data: bytes) -> Disk:
        return replace(self, data=self.data[:offset].ljust(offset, b"\0") + data + self.data[offset + len(data) :])


Disks = dict[str, Disk]
#: what an operation makes of disks, by name; `None` of one that goes
End = t.Callable[[Disks], t.Mapping[str, t.Optional[Disk]]]


def disk(operation: str, end: End, **params: t.Any) -> Operation:
    return Operation(operation, "gfapi_disk", {"storage_domain": NAME, "name": "new", **params}, None, end)


def snapshot(operation: str, end: End, **params: t.Any) -> Operation:
    place = {} if "vm" in params else {"storage_domain": NAME}
    return Operation(f"snapshot-{operation}", "gfapi_snapshot", {**place, **params}, None, end)


def absent(place: str, name: str) -> Operation:
    def end(disks: Disks) -> t.Mapping[str, Disk | None]:
        return {"chain": disks["chain"].without(name)}

    return snapshot(f"absent-{place}", end, disks=["chain"], name=name, state="absent")


def of_vm(change: t.Callable[[Disk], Disk]) -> End:
    return lambda disks: {name: change(disks[name]) for name in ("vm-root", "vm-data")}


OPERATIONS: t.Final = (
    disk(
        "create-qcow2", lambda _disks: {"new": Disk("qcow2", 64 * MIB, note="fresh")}, size="64MiB", description="fresh"
    ),
    disk(
        "create-raw",
        lambda _disks: {"new": Disk("raw", 4 * MIB, preallocated=True)},
        size="4MiB",
        format="raw",
        preallocation="full",
    ),
    disk(
        "fill",
        lambda disks: {"new": Disk("qcow2", 8 * MIB, disks["plain"].data)},
        size="8MiB",
        source=str(SOURCES / "plain"),
        source_format="raw",
    ),
    disk("clone", lambda disks: {"new": Disk("raw", 2 * MIB, disks["flat"].data)}, clone_of="flat"),
    disk(
        "clone-backing",
        lambda disks: {
            "new": Disk("qcow2", 4 * MIB, disks["plain"].data),
            "plain": replace(disks["plain"], is_template=True),
        },
        clone_of="plain",
        clone_mode="backing",
    ),
    disk("grow-qcow2", lambda disks: {"plain": replace(disks["plain"], size=1024 * MIB)}, name="plain", size="1GiB"),
    disk("grow-raw", lambda disks: {"flat": replace(disks["flat"], size=4 * MIB)}, name="flat", size="4MiB"),
    disk("describe", lambda disks: {"plain": replace(disks["plain"], note="known")}, name="plain", description="known"),
    disk("export", lambda _disks: {}, name="plain", dest=str(DEST)),
    disk("delete", lambda _disks: {"flat": None}, name="flat", state="absent"),
    disk("delete-clone", lambda _disks: {"child": None}, name="child", state="absent"),
    snapshot("present", lambda disks: {"plain": disks["plain"].taken("new")}, disks=["plain"], name="new"),
    *(absent(place, name) for place, name in (("top", "three"), ("middle", "two"), ("base", "one"))),
    snapshot(
        "reverted",
        lambda disks: {"chain": disks["chain"].reverted("one").without("two", "three")},
        disks=["chain"],
        name="one",
        state="reverted",
    ),
    snapshot("vm-present", of_vm(lambda disk: disk.taken("new")), vm=VM, name="new"),
    snapshot("vm-absent", of_vm(lambda disk: disk.without("first")), vm=VM, name="first", state="absent"),
    snapshot("vm-reverted", of_vm(lambda disk: disk.reverted("first")), vm=VM, name="first", state="reverted"),
)


# --- what an image on a brick is ------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """An image volume by its `.meta`, and what qemu-img says of its file; `data` is `None` where it has none."""

    uuid: str
    words: t.Mapping[str, str]
    format: str
    virtual_size: int = 0
    backing: str = ""
    data: bytes | None = None

    @property
    def about(self) -> dict[str, str]:
        return dict(json.loads(self.words["DESCRIPTION"]))

    @property
    def mark(self) -> str:
        return self.words.get("GFAPI", "")


@dataclass(frozen=True)
class Image:
    """An image directory. `faults` are there never, `rough` not once all is done."""

    uuid: str
    layers: t.Mapping[str, Layer]
    faults: tuple[str, ...]
    rough: tuple[str, ...]

    @property
    def leaves(self) -> list[Layer]:
        """Where a reader may begin: no other builds on it, or it has just got all of the one that does."""
        parents = {layer.words["PUUID"] for layer in self.layers.values()}
        tops = [layer for layer in self.layers.values() if layer.uuid not in parents]
        legal = [layer for layer in tops if layer.words["LEGALITY"] == "LEGAL"] or tops
        return legal + [layer for layer in self.layers.values() if layer.mark == "COMMITTED" and layer not in legal]

    @property
    def name(self) -> str:
        return next((leaf.about.get("DiskAlias", "") for leaf in self.leaves), "")

    @property
    def snapshots(self) -> dict[str, bytes | None]:
        """Those that can be gone back to."""
        legal = (layer for layer in self.layers.values() if layer.words["LEGALITY"] == "LEGAL")
        return {layer.about["Snapshot"]: layer.data for layer in legal if layer.about.get("Snapshot")}


_read: dict[tuple[t.Any, ...], Image] = {}


def read(folder: Path) -> Image:
    """An image directory; one of which nothing has changed, as on the other bricks, is not read again."""
    names = names_below(folder)
    key = (folder.name, *names.items())
    if key not in _read:
        _read[key] = _read_image(folder, names)
    return _read[key]


def _read_image(folder: Path, names: Names) -> Image:
    layers, faults, rough = {}, [], []
    for name in sorted(names):
        if name.startswith("."):
            rough.append(f"{name} is left")
        elif name.endswith(".meta"):
            uuid = name[: -len(".meta")]
            try:
                words = meta(folder / name)
                layers[uuid] = read_layer(folder, uuid, words)
            except (KeyError, ValueError, subprocess.CalledProcessError) as exc:
                faults.append(f"{name}: {exc} {getattr(exc, 'stderr', '')}")
                continue
            may_go = words.get("GFAPI") == GONE
            faults += [f"{uuid}: {fault}" for fault in file_faults(names, uuid, may_go=may_go)]
            if words["LEGALITY"] != "LEGAL" or words.get("GFAPI"):
                rough.append(f"{uuid} is {words['LEGALITY']} {words.get('GFAPI', '')}")
            backing = words["PUUID"] if words["PUUID"] != NONE else ""
            layer = layers[uuid]
            if layer.data is not None and (layer.backing != backing or layer.virtual_size != int(words["CAP"])):
                told = f"qemu-img says {layer.virtual_size} and {layer.backing or NONE}"
                rough.append(f"{uuid} has CAP {words['CAP']} and PUUID {words['PUUID']}; {told}")
        elif f"{name.removesuffix('.lease')}.meta" not in names:
            rough.append(f"{name} is left")
    if not layers:
        faults.append("there is no image volume")
    return Image(folder.name, layers, tuple(faults), tuple(rough))


def meta(path: Path) -> dict[str, str]:
    *lines, last = path.read_text("utf-8").splitlines()
    if last != "EOF":
        raise ValueError("it is cut off")
    return dict(line.split("=", 1) for line in lines)


def file_faults(names: Names, uuid: str, *, may_go: bool) -> list[str]:
    """Names, modes, owners and sizes, as VDSM makes them in version 5."""
    faults = []
    for suffix, mode in (("", 0o660), (".lease", 0o660), (".meta", 0o644)):
        found = names.get(uuid + suffix)
        if found is None:
            faults += [] if may_go else [f"there is no {uuid}{suffix}"]
        elif (stat.S_IMODE(found[0]), found[1], found[2]) != (mode, 36, 36):
            faults.append(f"{uuid}{suffix} has mode {found[0]:o} and owner {found[1]}:{found[2]}")
    lease = names.get(f"{uuid}.lease")
    if lease and lease[3] != MIB:
        faults.append(f"{uuid}.lease has {lease[3]} bytes")
    return faults


def read_layer(folder: Path, uuid: str, words: t.Mapping[str, str]) -> Layer:
    kind = {"RAW": "raw", "COW": "qcow2"}[words["FORMAT"]]
    path = folder / uuid
    if not path.exists():
        return Layer(uuid, words, kind)
    if kind == "qcow2":
        qemu_img("check", "-q", "-U", "-f", kind, path, well=(0, 3))  # 3: clusters that nothing points to
    told = json.loads(qemu_img("info", "-U", "--output=json", "-f", kind, path))
    return Layer(uuid, words, kind, told["virtual-size"], told.get("backing-filename", ""), content(path, kind))


def qemu_img(*words: str | Path, well: tuple[int, ...] = (0,)) -> str:
    argv = ["qemu-img", *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode not in well:
        raise subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
    return done.stdout


def content(path: Path, kind: str) -> bytes:
    """What a guest reads, up to the last byte that is not zero."""
    try:
        qemu_img("convert", "-U", "-f", kind, "-O", "raw", path, SCRATCH)
        with SCRATCH.open("rb") as file:
            return os.pread(file.fileno(), data_end(file.fileno()), 0).rstrip(b"\0")
    finally:
        SCRATCH.unlink(missing_ok=True)


def data_end(descriptor: int) -> int:
    end = 0
    with contextlib.suppress(OSError):  # ENXIO: no data from there on
        while True:
            end = os.lseek(descriptor, os.lseek(descriptor, end, os.SEEK_DATA), os.SEEK_HOLE)
    return end


# --- what is right --------------------------------------------------------------------------------


def disk_faults(image: Image, wanted: Disk, folder: Path) -> list[str]:
    """What is not as it should be of a disk after all is done."""
    if image.faults or image.rough:
        return [*image.faults, *image.rough]
    if len(image.leaves) != 1:
        return [f"it has {len(image.leaves)} leaves"]
    faults = shared_faults(image, folder)
    if wanted.preallocated and (folder / image.leaves[0].uuid).stat().st_blocks * 512 < wanted.size:
        faults.append("its space is not reserved")
    leaf = image.leaves[0]
    if leaf.data != wanted.data:
        faults.append("it does not read as it should")
    if image.snapshots != wanted.snapshots:
        names = [name for name in wanted.snapshots if image.snapshots.get(name) != wanted.snapshots[name]]
        faults.append(f"it has snapshots {list(image.snapshots)}, not {list(wanted.snapshots)}, or differing: {names}")
    found = (leaf.virtual_size, leaf.about.get("DiskDescription", ""), leaf.words["VOLTYPE"])
    expected = (wanted.size, wanted.note, "SHARED" if wanted.is_template else "LEAF")
    if found != expected:
        faults.append(f"its size, description and role are {found}, not {expected}")
    last = image.layers[chain(image, leaf)[-1]]
    if last.words["VOLTYPE"] != "SHARED" and last.format != wanted.format:
        faults.append(f"it is {last.format}, not {wanted.format}")
    kinds = {image.layers[uuid].words["VOLTYPE"] for uuid in chain(image, leaf)[1:]}
    if kinds - {"INTERNAL", "SHARED"} or set(chain(image, leaf)) != set(image.layers):
        faults.append(f"its layers do not hang together: {chain(image, leaf)} of {list(image.layers)}, {kinds}")
    return faults


def chain(image: Image, leaf: Layer) -> list[str]:
    found = [leaf.uuid]
    while (parent := image.layers[found[-1]].words["PUUID"]) in image.layers:
        found.append(parent)
    return found


def loss_of(image: Image, states: t.Sequence[Disk | None]) -> list[str]:
    """What a disk has lost that is on its way from one state to another."""
    known = [state for state in states if state]
    faults = list(image.faults)
    if not any(leaf.data == state.data for leaf in image.leaves for state in known):
        faults.append("it reads neither as before nor as wanted")
    for name, data in set.intersection(*(set(state.snapshots.items()) for state in known)):
        # one that another layer is written into may have its name twice
        named = [layer for layer in image.layers.values() if layer.about.get("Snapshot") == name]
        if not any(layer.data == data for layer in named):
            faults.append(f"snapshot {name} is lost or reads differently")
    return faults


def shared_faults(image: Image, folder: Path) -> list[str]:
    """Layers of a template are the template's own files, not copies."""
    return [
        f"{layer.uuid}{suffix} is not the file of image {layer.words['IMAGE']}"
        for layer in image.layers.values()
        for suffix in ("", ".meta", ".lease")
        if not os.path.samefile(
            folder / f"{layer.uuid}{suffix}", folder.parent / layer.words["IMAGE"] / f"{layer.uuid}{suffix}"
        )
    ]


# --- the scene ------------------------------------------------------------------------------------


class Scene(host.Scene):
    """The storage domain, and the way back to its first state."""

    operations: t.ClassVar[tuple[Operation, ...]] = OPERATIONS

    def __init__(self) -> None:
        self.uuid = ""
        self.disks: Disks = {}
        #: image → which disk it is
        self.owners: dict[str, str] = {}
        self.first: Names = {}

    def __enter__(self) -> Scene:
        make_volume()
        try:
            for folder in (SOURCES, EXPORTS):
                folder.mkdir(exist_ok=True)
            run_module(Operation("active", "glusterfs_domain", {"name": NAME, "spec": SPEC, "boot": False}, None, None))
            (self.uuid,) = (path.name for path in POINT.iterdir() if UUID.fullmatch(path.name))
            self._make_disks()
            self._define()
            TEMPLATE.mkdir(parents=True)
            command("cp", "--archive", "--sparse=always", f"{self._images(POINT)}/.", TEMPLATE)
            self.first = names_below(TEMPLATE)
            self.owners = {folder.name: read(folder).name for folder in TEMPLATE.iterdir()}
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        if VM in command("virsh", "list", "--all", "--name").split():
            command("virsh", "undefine", VM)
        remove_volume()

    def _images(self, root: Path) -> Path:
        return root / self.uuid / "images"

    def _make_disks(self) -> None:
        """All formats, a template with a clone, and disks with snapshots; each holds other bytes."""
        self._fill_disks({"plain": 4, "flat": 2, "golden": 4, "chain": 2, "vm-root": 4, "vm-data": 2})
        run_module(disk("child", dict, name="child", clone_of="golden", clone_mode="backing"))
        self.disks["child"] = self.disks["golden"]
        self.disks["golden"] = replace(self.disks["golden"], is_template=True)
        self._write("child", MIB // 4)
        for number, name in enumerate(("one", "two", "three")):
            run_module(snapshot(name, dict, disks=["chain"], name=name))
            self.disks["chain"] = self.disks["chain"].taken(name)
            self._write("chain", number * MIB // 8)

    def _fill_disks(self, sizes: t.Mapping[str, int]) -> None:
        """Disks of so many MiB."""
        wanted = []
        for name, size in sizes.items():
            # with a hole in it
            data = unknown(MIB // 2) + bytes(MIB // 4) + unknown(MIB // 4)
            (SOURCES / name).write_bytes(data)
            image_format = "raw" if size == 2 else "qcow2"
            self.disks[name] = Disk(image_format, size * MIB, data)
            wanted.append(
                {
                    "name": name,
                    "size": f"{size}MiB",
                    "format": image_format,
                    "source": str(SOURCES / name),
                    "source_format": "raw",
                }
            )
        run_module(Operation("disks", "gfapi_disk", {"storage_domain": NAME, "disks": wanted}, None, None))

    def _write(self, name: str, offset: int) -> None:
        """What a guest writes."""
        data = unknown(MIB // 4)
        (SOURCES / "written").write_bytes(data)
        path = run_module(disk(name, dict, name=name))["disk"]["path"]
        command("qemu-io", "-f", "qcow2", "-c", f"write -q -s {SOURCES}/written {offset} {len(data)}", path)
        self.disks[name] = self.disks[name].written(offset, data)

    def _define(self) -> None:
        """A VM that is shut off, whose disks have a snapshot and were written to since."""
        self._define_vm({"vm-root": "vda", "vm-data": "vdb"})
        run_module(snapshot("first", dict, vm=VM, name="first"))
        for name in ("vm-root", "vm-data"):
            self.disks[name] = self.disks[name].taken("first")
            self._write(name, MIB // 8)
        self._keep_definition()

    def _define_vm(self, disks: t.Mapping[str, str]) -> None:
        elements = ""
        for name, target in disks.items():
            text = run_module(disk(name, dict, name=name))["disk"]["disk_xml"]
            elements += re.sub("'vda'|\"vda\"", f"'{target}'", text)
        DEFINITION.write_text(
            f"<domain type='qemu'><name>{VM}</name><memory unit='MiB'>64</memory><os><type>hvm</type></os>"
            f"<devices>{elements}</devices>"
            # QEMU's own user may not be in group 36 here
            "<seclabel type='static' model='dac' relabel='no'><label>+0:+36</label></seclabel></domain>"
        )
        command("virsh", "define", DEFINITION)

    def _keep_definition(self) -> None:
        DEFINITION.write_text(command("virsh", "dumpxml", "--inactive", VM))

    def reset(self, operation: Operation) -> None:
        """Whatever is there, the host and the volume as a run is to find them."""
        self._restore_images()
        for path in (*EXPORTS.iterdir(), *left_on_host()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        command("virsh", "define", DEFINITION)

    def _restore_images(self) -> None:
        _read.clear()
        differing = set()
        for brick in BRICKS:
            found = names_below(self._images(brick))
            differing |= {name.partition("/")[0] for name, _entry in {*found.items()} ^ {*self.first.items()}}
        linked = {uuid for uuid, name in self.owners.items() if name in ("golden", "child")}
        differing |= linked if differing & linked else set()
        images = self._images(POINT)
        if differing:
            command("rm", "-rf", *(images / name for name in differing))
            copies = [TEMPLATE / name for name in differing if name in self.owners]
            if copies:
                command("cp", "--archive", "--sparse=always", *copies, images)

    def _end(self, operation: Operation) -> t.Mapping[str, Disk | None]:
        """What an operation is to make of disks."""
        end: End = operation.end
        return end(self.disks)

    def loss_faults(self, operation: Operation) -> list[str]:
        """What a kill has cost: whatever has an image's name is one, and reads as before or as wanted."""
        end = self._end(operation)
        faults = []
        for brick in BRICKS:
            found, broken = self._look(brick, end)
            faults += broken
            for name, wanted in end.items():
                before = self.disks.get(name)
                if name in found:
                    faults += [f"{brick}: {name}: {fault}" for fault in loss_of(found[name], (before, wanted))]
                elif before and wanted:
                    faults.append(f"{brick}: {name} is lost")
            if brick == BRICKS[0]:
                faults += self._vm_faults(found, end)
        return faults + (export_faults(self.disks["plain"]) if DEST.exists() else [])

    def end_faults(self, operation: Operation) -> list[str]:
        """What is not as it should be after all is done."""
        end = self._end(operation)
        faults = [f"{path} is left" for path in left_on_host()]
        for brick in BRICKS:
            found, broken = self._look(brick, end)
            faults += broken
            hidden = [path.name for path in self._images(brick).iterdir() if not UUID.fullmatch(path.name)]
            faults += [f"{brick}: {name} is left" for name in hidden]
            for name, wanted in end.items():
                if (name in found) != (wanted is not None):
                    faults.append(f"{brick}: {name} is {'there' if name in found else 'missing'}")
                elif wanted:
                    folder = self._images(brick) / found[name].uuid
                    faults += [f"{brick}: {name}: {fault}" for fault in disk_faults(found[name], wanted, folder)]
            if brick == BRICKS[0]:
                faults += self._vm_faults(found, end, is_end=True)
        files = [path.name for path in EXPORTS.iterdir()]
        expected = [DEST.name] if "dest" in operation.params else []
        if files != expected:
            return [*faults, f"{EXPORTS} has {files}, not {expected}"]
        return faults + (export_faults(self.disks["plain"]) if expected else [])

    def _look(self, brick: Path, end: t.Mapping[str, Disk | None]) -> tuple[dict[str, Image], list[str]]:
        """The disks of an operation on a brick by name, and what is wrong with all others: none has changed."""
        images = self._images(brick)
        names = names_below(images)
        found: dict[str, Image] = {}
        faults = []
        folders = {name.partition("/")[0] for name in {*names, *self.first}}
        for uuid in filter(UUID.fullmatch, sorted(folders)):
            below = {name: entry for name, entry in names.items() if f"{name}/".startswith(f"{uuid}/")}
            owner = self.owners.get(uuid)
            if owner not in {None, *end}:
                first = {name: entry for name, entry in self.first.items() if f"{name}/".startswith(f"{uuid}/")}
                faults += [f"{brick}: {owner}: {fault}" for fault in difference(below, first)]
            elif below:
                image = read(images / uuid)
                name = image.name or owner or uuid
                if name in found or name not in end:
                    faults.append(f"{brick}: image {uuid} is {name!r}, which nobody wants")
                found[name] = image
        return found, faults

    def _vm_faults(
        self, found: t.Mapping[str, Image], end: t.Mapping[str, Disk | None], *, is_end: bool = False
    ) -> list[str]:
        """What the VM would start on."""
        faults = []
        for name, uuids in zip(("vm-root", "vm-data"), layers_of_vm("--inactive")):
            image, wanted = found.get(name), end.get(name)
            if image is None or wanted is None:
                continue
            first = image.layers.get(uuids[0])
            if first is None or first.data not in (wanted.data, self.disks[name].data):
                faults.append(f"{VM} would start on {uuids[0]} of {name}, which is not what it holds")
            elif is_end and uuids != chain(image, image.leaves[0]):
                faults.append(f"{VM} has {name} as {uuids}, not {chain(image, image.leaves[0])}")
        return faults


def layers_of_vm(*flags: str) -> list[list[str]]:
    """What libvirt has for each of its disks: the disk's own layer first."""
    root = ElementTree.fromstring(command("virsh", "dumpxml", *flags, VM))
    return [
        [source.get("name", "").rpartition("/")[2] for source in element.iter("source")]
        for element in root.iterfind("devices/disk")
    ]


def unknown(count: int) -> bytes:
    """Bytes that nobody could guess, the last of them not zero."""
    return os.urandom(count - 1) + b"\xff"


def left_on_host() -> list[Path]:
    return [path for folder in ("/tmp", "/var/tmp") for path in Path(folder).glob("gfapi-virt-*")]


def export_faults(wanted: Disk) -> list[str]:
    """The file is whole and its owner's own."""
    status = DEST.stat()
    if stat.S_IMODE(status.st_mode) != 0o600 or status.st_uid != 0:
        return [f"{DEST} has mode {status.st_mode:o} and owner {status.st_uid}"]
    try:
        is_whole = content(DEST, "qcow2") == wanted.data
    except subprocess.CalledProcessError as exc:
        return [f"{DEST}: {exc.stderr}"]
    return [] if is_whole else [f"{DEST} does not read as it should"]
