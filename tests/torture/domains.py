# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene of glusterfs_domain: a volume that is empty or holds a storage domain.

What is right is asked of the mount table, /etc/fstab and the three bricks, which no client's cache stands before.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

import host
from host import (
    BACK_DOOR,
    BRICKS,
    HERE,
    HIDDEN,
    LIBRARY,
    LOCK,
    MIB,
    POINT,
    SPEC,
    VISITS,
    Names,
    Operation,
    clients,
    command,
    difference,
    is_mine,
    make_volume,
    mount_points,
    names_below,
    remove_volume,
    run_module,
    unmount,
)

FSTAB: t.Final = Path("/etc/fstab")
OTHER_LINES: t.Final = "# other lines\n/dev/torture-1 /mnt/torture-1 ext4 noauto 0 2\n"
CLAIM: t.Final = ".gfapi-virt-uuid"
#: what hosts note of their use of a storage domain, and goes with it
USERS: t.Final = ".gfapi-users"
DATA_CENTER: t.Final = "2a1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11"
SIZES: t.Final = {"ids": MIB, "leases": 2 * MIB, "xleases": 1302528, "inbox": 16 * MIB, "outbox": 16 * MIB}


@dataclass(frozen=True)
class State:
    """Of the host and the volume; `content` names a template, `None` is for an empty volume."""

    content: str | None
    mounted: bool
    boot: bool = False


EMPTY: t.Final = State(None, mounted=False)
OLD: t.Final = State("old", mounted=True)
WHOLE: t.Final = State("whole", mounted=True)
ATTACHED: t.Final = State("attached", mounted=True)
BOOTED: t.Final = State("whole", mounted=True, boot=True)
#: a new one, with a uuid that nobody knows before
NEW: t.Final = State("new", mounted=True, boot=True)
UNMOUNTED: t.Final = State("whole", mounted=False)


def operation(name: str, start: State, params: dict[str, t.Any], end: State) -> Operation:
    return Operation(name, "glusterfs_domain", {"name": "old", "spec": SPEC, **params}, start, end)


OPERATIONS: t.Final = (
    operation("active", EMPTY, {"boot": True}, NEW),
    operation("upgrade", OLD, {"version": 5, "create": False}, WHOLE),
    operation("attach", WHOLE, {"data_center": DATA_CENTER}, ATTACHED),
    operation("detach", ATTACHED, {"data_center": DATA_CENTER, "state": "detached"}, WHOLE),
    operation("maintenance", BOOTED, {"state": "maintenance"}, UNMOUNTED),
    operation("absent", BOOTED, {"state": "absent", "confirm": "old"}, EMPTY),
    operation("absent-unmounted", UNMOUNTED, {"state": "absent", "confirm": "old"}, EMPTY),
)


def template(content: str) -> Path:
    return HERE / "templates" / content


class Scene(host.Scene):
    """The volume, and the way back to each state."""

    operations: t.ClassVar[tuple[Operation, ...]] = OPERATIONS

    def __init__(self) -> None:
        self.fstab = FSTAB.read_text() if FSTAB.exists() else None
        self.other_lines = (self.fstab or "") + OTHER_LINES
        self.boot_line = ""
        self.images: dict[str, Names] = {}
        self.all: dict[str, Names] = {}

    def __enter__(self) -> Scene:
        try:
            make_volume()
            BACK_DOOR.mkdir()
            command("mount", "-t", "glusterfs", SPEC, BACK_DOOR)
            self._make_templates()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        remove_volume()
        if self.fstab is None:
            FSTAB.unlink(missing_ok=True)
        else:
            FSTAB.write_text(self.fstab)
        command("systemctl", "daemon-reload")

    def _make_templates(self) -> None:
        """One of version 3 is written, the others are made of it by runs that nothing disturbs."""
        write_old(template("old"))
        self._learn("old")
        by_name = {operation.name: operation for operation in OPERATIONS}
        for content, start, name in (("whole", OLD, "upgrade"), ("attached", WHOLE, "attach")):
            self._reset(start)
            run_module(by_name[name])
            shutil.copytree(POINT, template(content), symlinks=True, ignore=shutil.ignore_patterns(*HIDDEN, LOCK))
            for path in template(content).rglob("*"):
                os.chown(path, 36, 36)
            self._learn(content)
        FSTAB.write_text(self.other_lines)
        run_module(operation("boot", WHOLE, {"boot": True}, BOOTED))
        self.boot_line = FSTAB.read_text().removeprefix(self.other_lines)

    def _learn(self, content: str) -> None:
        self.all[content] = names_below(template(content))
        self.images[content] = {name: entry for name, entry in self.all[content].items() if "/images/" in name}

    def reset(self, operation: Operation) -> None:
        """Whatever is there, the host and the volume as a run is to find them."""
        self._reset(operation.start)

    def loss_faults(self, operation: Operation) -> list[str]:
        """What a kill has cost."""
        return [fault for brick in BRICKS for fault in loss_faults(self, brick, operation)] + fstab_faults(self)

    def end_faults(self, operation: Operation) -> list[str]:
        """What is not as it should be after all is done."""
        end = operation.end
        faults = [fault for brick in BRICKS for fault in volume_faults(self, brick, end)] + host_faults(self, end)
        return faults or lease_faults(end)

    def _reset(self, state: State) -> None:
        if not state.mounted:
            unmount()
        elif POINT not in mount_points():
            unmount()
            POINT.mkdir(parents=True)
            command("mount", "-t", "glusterfs", SPEC, POINT)
        self._fill(POINT if state.mounted else BACK_DOOR, state.content)
        FSTAB.write_text(self.other_lines + (self.boot_line if state.boot else ""))
        for path in FSTAB.parent.glob(".fstab.*"):
            path.unlink()
        shutil.rmtree(VISITS, ignore_errors=True)

    def _fill(self, root: Path, content: str | None) -> None:
        if content and names_below(BRICKS[0]) == self.all[content]:
            return
        for path in root.iterdir():
            if path.name not in HIDDEN:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if content:
            command("cp", "--archive", "--sparse=always", f"{template(content)}/.", root)
        owner = 36 if content else 0
        os.chown(root, owner, owner)


def write_old(root: Path) -> None:
    """A storage domain of version 3 with images, of which one holds what nobody could guess."""
    sys.path.insert(0, str(LIBRARY))
    from ansible_collections.gfapi.virt.tests.unit import older_domain

    root.mkdir(parents=True)
    uuid = older_domain.write(root, 3)
    image, volumes = older_domain.RAW
    (root / uuid / "images" / image / volumes[0][0]).write_bytes(os.urandom(volumes[0][3]))
    for path in (root, *root.rglob("*")):
        os.chown(path, 36, 36)


# --- what is right --------------------------------------------------------------------------------


def seal(lines: t.Iterable[str]) -> str:
    """VDSM's `_SHA_CKSUM` over the sorted lines of `metadata`."""
    joined = "".join(sorted(lines, key=lambda line: line.partition("=")[0]))
    return hashlib.sha1(joined.encode("ascii", "xmlcharrefreplace")).hexdigest()


def metadata_faults(path: Path, expected: dict[str, str]) -> list[str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return [f"{path} is missing"]
    words = dict(line.split("=", 1) for line in lines)
    found = words.pop("_SHA_CKSUM", None)
    faults = [
        f"{path}: {key} is {words.get(key)!r}, not {value!r}"
        for key, value in expected.items()
        if words.get(key) != value
    ]
    if found != seal(line for line in lines if not line.startswith("_SHA_CKSUM=")):
        faults.append(f"{path}: the seal is broken")
    return faults


def storage_domains(brick: Path) -> list[Path]:
    """What VDSM and the module would take for one."""
    return [path.parent for path in brick.glob("*/dom_md") if not path.parent.name.startswith(".")]


def file_faults(domain: Path) -> list[str]:
    """Names, modes, owners and sizes in `dom_md`, as VDSM makes them in version 5."""
    folder = domain / "dom_md"
    expected = {name: (0o660, 36, 36, size) for name, size in SIZES.items()}
    found = {}
    for path in folder.iterdir():
        status = path.lstat()
        found[path.name] = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_size)
    kept = found.pop("metadata", (0, 0, 0, 0))[:3]
    faults = [] if kept == (0o644, 36, 36) else [f"{folder}/metadata has mode and owner {kept}"]
    faults += [
        f"{folder}: {name} is {found.get(name)}, not {expected.get(name)}"
        for name in {*found, *expected}
        if found.get(name) != expected.get(name)
    ]
    for path in (domain, folder, domain / "images"):
        status = path.stat()
        if (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) != (0o755, 36, 36):
            faults.append(f"{path} has mode {status.st_mode:o} and owner {status.st_uid}:{status.st_gid}")
    return faults


def volume_faults(scene: Scene, brick: Path, end: State) -> list[str]:
    """What is not as it should be on a brick after all is done."""
    known = {CLAIM, LOCK, *HIDDEN, *([USERS] if end.content else [])}
    hidden = [
        path.name for path in brick.glob(".*") if path.name not in known and not path.name.startswith(".glusterfs-")
    ]
    faults = [f"{brick}: {', '.join(hidden)} is left"] if hidden else []
    others = [path.name for path in brick.iterdir() if not path.name.startswith(".")]
    wanted = 1 if end.content else 0
    if len(others) != wanted or len(storage_domains(brick)) != wanted:
        return [*faults, f"{brick} holds {others}, not {wanted} storage domain"]
    if not wanted:
        return faults
    domain = storage_domains(brick)[0]
    status = brick.stat()
    if (status.st_uid, status.st_gid) != (36, 36):
        faults.append(f"{brick} belongs to {status.st_uid}:{status.st_gid}")
    expected = {"SDUUID": domain.name, "VERSION": "5", "DESCRIPTION": "old", "TYPE": "GLUSTERFS", "CLASS": "Data"}
    expected["POOL_UUID"] = DATA_CENTER if end.content == "attached" else ""
    faults += metadata_faults(domain / "dom_md" / "metadata", expected) + file_faults(domain)
    names = names_below(brick)
    images = {name: entry for name, entry in names.items() if "/images/" in name}
    return faults + difference(images, scene.images.get(end.content or "", {}))


def loss_faults(scene: Scene, brick: Path, operation: Operation) -> list[str]:
    """What a kill has cost: at no moment is there a storage domain that cannot be read, or lacks an image's bytes."""
    found = storage_domains(brick)
    if len(found) != 1:
        is_well = not found and (operation.start.content is None or operation.end.content is None)
        return [] if is_well else [f"{brick} holds {len(found)} storage domains after the kill"]
    faults = metadata_faults(found[0] / "dom_md" / "metadata", {"SDUUID": found[0].name})
    if operation.start.content is None:
        return faults + file_faults(found[0])
    names = names_below(brick)
    expected = scene.all[operation.start.content]
    data = {name: entry for name, entry in expected.items() if "/images/" in name and not name.endswith(".meta")}
    return faults + difference({name: names[name] for name in data if name in names}, data)


def host_faults(scene: Scene, end: State) -> list[str]:
    """Mounts, their clients, /etc/fstab and what runs leave on the host."""
    faults = []
    wanted = [POINT] if end.mounted else []
    for what, points in (("mounts", mount_points()), ("clients", [point for _pid, point in clients()])):
        found = [point for point in points if is_mine(point)]
        if found != wanted:
            faults.append(f"{what}: {', '.join(map(str, found)) or 'none'}")
    # a mount point may stay, where the kill came between unmounting and removing it, but nothing was put below it
    if not end.mounted and POINT.is_dir() and list(POINT.iterdir()):
        faults.append(f"{POINT} is not empty")
    # a file there is whose turn it is, and stays
    left = [*FSTAB.parent.glob(".fstab.*"), *(path for path in VISITS.glob("*") if path.is_dir())]
    if left:
        faults.append(f"left on the host: {', '.join(map(str, left))}")
    lines = [line for line in FSTAB.read_text().splitlines() if str(POINT) in line]
    if end.boot and not (len(lines) == 1 and is_boot_line(lines[0])):
        faults.append(f"{FSTAB} has {lines}")
    return faults + fstab_faults(scene) + ([f"{FSTAB} has {lines}"] if lines and not end.boot else [])


def is_boot_line(line: str) -> bool:
    words = line.split()
    return words[0].lstrip("/") == SPEC and words[1:3] == [str(POINT), "glusterfs"] and "_netdev" in words[3].split(",")


def fstab_faults(scene: Scene) -> list[str]:
    """Other lines of the file are as they were, at all times."""
    others = [line for line in FSTAB.read_text().splitlines() if str(POINT) not in line]
    return [] if others == scene.other_lines.splitlines() else [f"{FSTAB} has lost lines: {others}"]


def lease_faults(end: State) -> list[str]:
    """What sanlock reads on the mount, where there is sanlock."""
    sanlock = shutil.which("sanlock")
    if not (sanlock and end.mounted):
        return []
    domain = storage_domains(POINT)[0]
    faults = []
    for kind, record in (("-s", f"{domain.name}:1:dom_md/ids:0"), ("-r", f"{domain.name}:SDM:dom_md/leases:{MIB}")):
        # from within the folder, for its name holds a colon
        words = [sanlock, "direct", "read_leader", kind, record, "-Z", "512", "-A", "1M"]
        done = subprocess.run(words, cwd=domain, capture_output=True, text=True, timeout=60, check=False)
        if "read_leader done 0" not in done.stdout or f"space_name {domain.name}" not in done.stdout:
            faults.append(f"sanlock does not read {record}: {done.stdout}{done.stderr}")
    return faults
