# SPDX-License-Identifier: GPL-3.0-or-later
"""What all scenes of the torture share: this host, a volume of their own, and modules that run under the tracer."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import typing as t
from dataclasses import dataclass
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
LOCK: t.Final = ".gfapi-virt-lock"
#: gluster's own
HIDDEN: t.Final = (".glusterfs", ".shard", ".trashcan")
MIB: t.Final = 1 << 20
ENVIRONMENT: t.Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "PYTHONPATH": str(LIBRARY),
    # the same calls in each run
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}

Names = dict[str, tuple[int, int, int, int, str]]


@dataclass(frozen=True)
class Operation:
    """A run of a module; its scene knows what `start` and `end` are."""

    name: str
    module: str
    params: t.Mapping[str, t.Any]
    start: t.Any
    end: t.Any


class Scene(t.Protocol):
    """A volume with all that its operations need, and the way back to how each starts; gone at the end."""

    operations: t.ClassVar[tuple[Operation, ...]]
    #: the calls at which runs are killed; none: at all
    calls: t.ClassVar[frozenset[str]] = frozenset()

    def __enter__(self) -> t.Any:
        """The volume is made."""

    def __exit__(self, *exc: object) -> None:
        """It is gone."""

    def picks(self, point: tracing.Point) -> bool:
        """Whether runs are killed there."""
        return not self.calls or point.call in self.calls

    def reset(self, operation: Operation) -> None:
        """Whatever is there, the host and the volume as a run is to find them."""

    def go_on(self) -> None:
        """What others do with the volume, from time to time."""

    def loss_faults(self, operation: Operation) -> list[str]:
        """What a kill has cost."""

    def end_faults(self, operation: Operation) -> list[str]:
        """What is not as it should be after all is done."""


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


# --- modules --------------------------------------------------------------------------------------


def module_command(operation: Operation) -> list[str]:
    file = HERE / "params.json"
    file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": operation.params}))
    module = f"ansible_collections.gfapi.virt.plugins.modules.{operation.module}"
    return [sys.executable, str(HERE / "libvirt_calls.py"), module, str(file)]


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


# --- mounts and the volume ------------------------------------------------------------------------


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


def unmount() -> None:
    """All mounts of the modules, whatever killed runs left of them."""
    for point in filter(is_mine, mount_points()):
        command("umount", point)
    for pid, point in clients():
        if is_mine(point):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    if POINT.is_dir():
        POINT.rmdir()


def make_volume() -> None:
    bricks = [f"{socket.gethostname()}:{brick}" for brick in BRICKS]
    gluster("create", NAME, "replica", "3", *bricks, "force")
    # as volumes for images are, but for the shards: with them, no brick tells a file's size
    gluster("set", NAME, "group", "virt")
    gluster("set", NAME, "features.shard", "off")
    gluster("start", NAME)


def remove_volume() -> None:
    unmount()
    if BACK_DOOR in mount_points():
        command("umount", BACK_DOOR)
    if NAME in gluster("list").split():
        gluster("stop", NAME, "force")
        gluster("delete", NAME)
    for brick in BRICKS:
        shutil.rmtree(brick, ignore_errors=True)
    for folder in (BACK_DOOR, HERE / "templates"):
        shutil.rmtree(folder, ignore_errors=True)
    OUTPUT.unlink(missing_ok=True)


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


def difference(found: Names, expected: Names) -> list[str]:
    return [
        f"{name} is {found.get(name, 'missing')}, not {expected.get(name, 'there')}"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]
