# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills glusterfs_domain at each call by which it changes something, on this host, with a volume of its own.

After each kill nothing may be lost; one more run must end in a right storage domain, and a further one find nothing to
do. What is right is asked of the mount table, /etc/fstab and the three bricks, which no client's cache stands before.
`tests/torture/run` copies this to a host and starts it there; it leaves the host as it was.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

import tracing

HERE: t.Final = Path(__file__).resolve().parent
#: the collection's plugins, and what they need of Ansible
LIBRARY: t.Final = HERE / "library"
NAME: t.Final = "torture"
SPEC: t.Final = f"{socket.gethostname()}:/{NAME}"
BRICKS: t.Final = tuple(Path(f"/bricks/{NAME}{number}") for number in (1, 2, 3))
POINT: t.Final = Path(f"/rhev/data-center/mnt/glusterSD/{socket.gethostname()}:_{NAME}")
VISITS: t.Final = Path("/run/gfapi-virt")
#: our own mount, through which an empty volume is made
BACK_DOOR: t.Final = HERE / "volume"
OUTPUT: t.Final = Path("/tmp/gfapi-torture-output")
FSTAB: t.Final = Path("/etc/fstab")
OTHER_LINES: t.Final = "# other lines\n/dev/torture-1 /mnt/torture-1 ext4 noauto 0 2\n"
CLAIM: t.Final = ".gfapi-virt-uuid"
LOCK: t.Final = ".gfapi-virt-lock"
#: what hosts note of their use of a storage domain, and goes with it
USERS: t.Final = ".gfapi-users"
#: gluster's own
HIDDEN: t.Final = (".glusterfs", ".shard", ".trashcan")
MIB: t.Final = 1 << 20
DATA_CENTER: t.Final = "2a1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11"
SIZES: t.Final = {"ids": MIB, "leases": 2 * MIB, "xleases": 1302528, "inbox": 16 * MIB, "outbox": 16 * MIB}
ENVIRONMENT: t.Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "PYTHONPATH": str(LIBRARY),
    # the same calls in each run
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}
#: what a client that was killed has sent may reach the bricks a moment later
SETTLED_S: t.Final = 5

Names = dict[str, tuple[int, int, int, int, str]]


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


@dataclass(frozen=True)
class Operation:
    name: str
    start: State
    params: dict[str, t.Any]
    end: State


OPERATIONS: t.Final = (
    Operation("active", EMPTY, {"boot": True}, NEW),
    Operation("upgrade", OLD, {"version": 5, "create": False}, WHOLE),
    Operation("attach", WHOLE, {"data_center": DATA_CENTER}, ATTACHED),
    Operation("detach", ATTACHED, {"data_center": DATA_CENTER, "state": "detached"}, WHOLE),
    Operation("maintenance", BOOTED, {"state": "maintenance"}, UNMOUNTED),
    Operation("absent", BOOTED, {"state": "absent", "confirm": "old"}, EMPTY),
    Operation("absent-unmounted", UNMOUNTED, {"state": "absent", "confirm": "old"}, EMPTY),
)


class TortureError(Exception):
    """The torture itself cannot go on."""


def say(text: str) -> None:
    print(text, flush=True)


def command(*words: str | Path, timeout_s: float = 120) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode:
        raise TortureError(f"{' '.join(map(str, words))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def gluster(*words: str | Path) -> str:
    return command("gluster", "--mode=script", "volume", *words)


# --- the module -----------------------------------------------------------------------------------


def module_command(operation: Operation) -> list[str]:
    params = {"name": "old", "spec": SPEC, **operation.params}
    file = HERE / "params.json"
    file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": params}))
    module = "ansible_collections.gfapi.virt.plugins.modules.glusterfs_domain"
    return [sys.executable, "-m", module, str(file)]


def run_module(operation: Operation) -> dict[str, t.Any]:
    """The module's result; a run that fails raises `TortureError`."""
    words = module_command(operation)
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=180, check=False)
    try:
        result: dict[str, t.Any] = json.loads(done.stdout)
    except ValueError:
        result = {"failed": True, "msg": done.stdout + done.stderr}
    if result.get("failed"):
        raise TortureError(f"{operation.name}: the module fails: {result['msg']}")
    return result


def traced(operation: Operation, stop: tracing.Point | None = None) -> tracing.Traced:
    """A run under the tracer; raises `TortureError` for one that fails by itself."""
    found = tracing.trace(module_command(operation), OUTPUT, environment=ENVIRONMENT, stop=stop)
    if found.status not in (0, None):
        raise TortureError(f"{operation.name}: the traced module fails: {OUTPUT.read_text()}")
    return found


# --- the state of the host ------------------------------------------------------------------------


def mount_points() -> list[Path]:
    """Where gluster is mounted."""
    rows = (line.split(" ") for line in Path("/proc/self/mounts").read_text().splitlines())
    return [Path(row[1]) for row in rows if row[2] == "fuse.glusterfs"]


def clients() -> list[tuple[int, Path]]:
    """The clients on this host, and what each serves, by their command lines."""
    found = []
    for path in glob.iglob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = Path(path).read_text().rstrip("\0").split("\0")
            if os.path.basename(words[0]) == "glusterfs":
                found.append((int(path.split("/")[2]), Path(words[-1])))
    return found


def is_mine(point: Path) -> bool:
    return point == POINT or point.parent == VISITS


def names_below(folder: Path) -> Names:
    """Every path below a folder, gluster's own left out: mode, uid, gid, size, sha256 (size and sum: of files)."""
    found: Names = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.startswith((*HIDDEN, LOCK)):
            continue
        status = path.lstat()
        is_file = stat.S_ISREG(status.st_mode)
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else ""
        size = status.st_size if is_file else 0
        found[name] = (status.st_mode, status.st_uid, status.st_gid, size, digest)
    return found


def template(content: str) -> Path:
    return HERE / "templates" / content


class Scene:
    """The volume of the torture, and the way back to each state."""

    def __init__(self) -> None:
        self.fstab = FSTAB.read_text() if FSTAB.exists() else None
        self.other_lines = (self.fstab or "") + OTHER_LINES
        self.boot_line = ""
        self.images: dict[str, Names] = {}
        self.all: dict[str, Names] = {}

    def __enter__(self) -> Scene:
        bricks = [f"{socket.gethostname()}:{brick}" for brick in BRICKS]
        gluster("create", NAME, "replica", "3", *bricks, "force")
        try:
            # as volumes for images are, but for the shards: with them, no brick tells a file's size
            gluster("set", NAME, "group", "virt")
            gluster("set", NAME, "features.shard", "off")
            gluster("start", NAME)
            BACK_DOOR.mkdir()
            command("mount", "-t", "glusterfs", SPEC, BACK_DOOR)
            self._make_templates()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self._unmount()
        if BACK_DOOR in mount_points():
            command("umount", BACK_DOOR)
        gluster("stop", NAME, "force")
        gluster("delete", NAME)
        for brick in BRICKS:
            shutil.rmtree(brick)
        if self.fstab is None:
            FSTAB.unlink(missing_ok=True)
        else:
            FSTAB.write_text(self.fstab)
        OUTPUT.unlink(missing_ok=True)
        command("systemctl", "daemon-reload")

    def _make_templates(self) -> None:
        """One of version 3 is written, the others are made of it by runs that nothing disturbs."""
        write_old(template("old"))
        self._learn("old")
        by_name = {operation.name: operation for operation in OPERATIONS}
        for content, start, name in (("whole", OLD, "upgrade"), ("attached", WHOLE, "attach")):
            self.reset(start)
            run_module(by_name[name])
            shutil.copytree(POINT, template(content), symlinks=True, ignore=shutil.ignore_patterns(*HIDDEN, LOCK))
            for path in template(content).rglob("*"):
                os.chown(path, 36, 36)
            self._learn(content)
        FSTAB.write_text(self.other_lines)
        run_module(Operation("boot", WHOLE, {"boot": True}, BOOTED))
        self.boot_line = FSTAB.read_text().removeprefix(self.other_lines)

    def _learn(self, content: str) -> None:
        self.all[content] = names_below(template(content))
        self.images[content] = {name: entry for name, entry in self.all[content].items() if "/images/" in name}

    def reset(self, state: State) -> None:
        """Whatever is there, the host and the volume as a run is to find them."""
        if not state.mounted:
            self._unmount()
        elif POINT not in mount_points():
            self._unmount()
            POINT.mkdir(parents=True)
            command("mount", "-t", "glusterfs", SPEC, POINT)
        self._fill(POINT if state.mounted else BACK_DOOR, state.content)
        FSTAB.write_text(self.other_lines + (self.boot_line if state.boot else ""))
        for path in FSTAB.parent.glob(".fstab.*"):
            path.unlink()
        shutil.rmtree(VISITS, ignore_errors=True)

    def _unmount(self) -> None:
        for point in filter(is_mine, mount_points()):
            command("umount", point)
        for pid, point in clients():
            if is_mine(point):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if POINT.is_dir():
            POINT.rmdir()

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


def difference(found: Names, expected: Names) -> list[str]:
    return [
        f"{name} is {found.get(name, 'missing')}, not {expected.get(name, 'there')}"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]


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
    left = [*FSTAB.parent.glob(".fstab.*"), *VISITS.glob("*")]
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


def settled(look: t.Callable[[], list[str]]) -> list[str]:
    """Faults that stay."""
    end = time.monotonic() + SETTLED_S
    while (faults := look()) and time.monotonic() < end:
        time.sleep(0.1)  # nobody tells when the bricks have written what a killed client sent
    return faults


def all_faults(scene: Scene, end: State) -> list[str]:
    faults = [fault for brick in BRICKS for fault in volume_faults(scene, brick, end)]
    return faults + host_faults(scene, end)


# --- the torture ----------------------------------------------------------------------------------


def points_of(scene: Scene, operation: Operation) -> list[tracing.Point]:
    """Where a run that nothing disturbs changes something; that it ends well is looked at too."""
    scene.reset(operation.start)
    points = list(traced(operation).points)
    points += [replace(point, alone=True) for point in points if point.program != "module"]
    faults = settled(lambda: all_faults(scene, operation.end)) or lease_faults(operation.end)
    if faults:
        raise TortureError(f"{operation.name} without a kill: {'; '.join(faults)}")
    return points


def shape(path: str) -> str:
    """A path without what differs from run to run: uuids, random names, process ids."""
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8}|[0-9]+", "*", path)


def kill_at(scene: Scene, operation: Operation, point: tracing.Point) -> list[str]:
    """Kill a run there, and what is wrong after that."""
    scene.reset(operation.start)
    killed = traced(operation, stop=point)
    if killed.status is not None:
        return [f"the run never came to {point}"]
    if shape(killed.points[-1].what) != shape(point.what):
        return [f"{point} was {killed.points[-1].what}, not {point.what}"]
    faults = settled(lambda: [fault for brick in BRICKS for fault in loss_faults(scene, brick, operation)])
    faults = [f"after the kill: {fault}" for fault in [*faults, *fstab_faults(scene)]]
    try:
        run_module(operation)
        again = run_module(operation)
    except TortureError as exc:
        return [*faults, str(exc)]
    if again["changed"]:
        faults.append(f"the run after the next one changes something: {again['actions']}")
    return faults + (settled(lambda: all_faults(scene, operation.end)) or lease_faults(operation.end))


def chosen(operation: Operation, points: list[tracing.Point], only: list[str], every: int) -> list[tracing.Point]:
    if only and operation.name not in only:
        return [point for point in points if f"{operation.name}:{point}" in only]
    return points[every // 2 :: every] or points[-1:]


def torture(scene: Scene, only: list[str], every: int) -> tuple[dict[str, collections.Counter[str]], int]:
    """The points tried: operation → how many of each call; and how many of them failed."""
    tried, failed = {}, 0
    for operation in OPERATIONS:
        if only and operation.name not in {words.partition(":")[0] for words in only}:
            continue
        begin = time.monotonic()
        points = points_of(scene, operation)
        picked = chosen(operation, points, only, every)
        say(f"{operation.name}: {len(points)} points, {len(picked)} to try")
        tried[operation.name] = collections.Counter(point.call for point in picked)
        for number, point in enumerate(picked, 1):
            faults = kill_at(scene, operation, point)
            what = point.what.replace(str(POINT), "MOUNT")
            say(f"{operation.name} {number} of {len(picked)}: {point} {what}{': FAILED' if faults else ''}")
            for fault in faults:
                say(f"    {fault}")
            if faults:
                failed += 1
                say(f"    try it again: tests/torture/run --only {operation.name}:{point}")
        say(f"{operation.name}: {time.monotonic() - begin:.0f} s")
    return tried, failed


def table(tried: dict[str, collections.Counter[str]]) -> str:
    calls = sorted({call for counts in tried.values() for call in counts})
    width = max(map(len, [*tried, "points"]))
    rows = [["points".ljust(width), *calls, "all"]]
    rows += [
        [name.ljust(width), *(str(counts[call] or "") for call in calls), str(sum(counts.values()))]
        for name, counts in tried.items()
    ]
    return "\n".join("  ".join(cell.rjust(len(head)) for cell, head in zip(row, rows[0])) for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="OPERATION[:PROGRAM:CALL:N]",
        help="an operation, or one point of it; may be given again",
    )
    parser.add_argument("--every", type=int, default=1, metavar="K", help="each K-th point only")
    arguments = parser.parse_args()
    with Scene() as scene:
        tried, failed = torture(scene, arguments.only, arguments.every)
    count = sum(sum(counts.values()) for counts in tried.values())
    if not count:
        sys.exit(f"torture: there is no point {' '.join(arguments.only)}")
    say(table(tried))
    if failed:
        sys.exit(f"torture: {count} points tried, {failed} of them failed")
    say(f"{count} points tried, none lost data")


if __name__ == "__main__":
    try:
        main()
    except TortureError as problem:
        sys.exit(f"torture: {problem}")
