# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks filled from image files of every kind, and from one another: their bytes, and that QEMU opens them by gfapi."""

from __future__ import annotations

import concurrent.futures
import json
import shlex
import typing as t

import pytest
from hosts import Guest, System
from modules import ROOT, Modules

FOLDER = "/var/tmp/gfapi-sources"
#: no multiple of anything that QEMU or gluster likes
SIZE = 5 * (1 << 20) + 512
GROWN = 17 * (1 << 20) + 1
#: file → how qemu-img makes it of the raw one
KINDS = {
    "s.qcow2": ("-O", "qcow2"),
    "s.v2.qcow2": ("-O", "qcow2", "-o", "compat=0.10"),
    "s.packed.qcow2": ("-c", "-O", "qcow2"),
    "s.large.qcow2": ("-O", "qcow2", "-o", "cluster_size=2M"),
    "s.vmdk": ("-O", "vmdk"),
    "s.vdi": ("-O", "vdi"),
    "s.vhdx": ("-O", "vhdx"),
    "s.vpc": ("-O", "vpc"),
}
RAW = f"{FOLDER}/s.raw"


@pytest.fixture(scope="module")
def sources(system: System) -> t.Iterator[dict[str, str]]:
    """Image files with the same bytes, by the name of the disk that is filled from each."""
    system.run("mkdir", "-p", FOLDER)
    system.run("truncate", f"--size={SIZE}", RAW)
    for block in (0, 1, 300, 1280):
        command = ["dd", "if=/dev/urandom", f"of={RAW}", "bs=4096", "count=1", f"seek={block}", "conv=notrunc"]
        system.run(*command, "status=none")
    system.run("truncate", f"--size={SIZE}", RAW)
    for name, words in KINDS.items():
        system.run("qemu-img", "convert", "-f", "raw", *words, RAW, f"{FOLDER}/{name}")
    yield {f"filled-{name}": f"{FOLDER}/{name}" for name in ("s.raw", *KINDS)}
    system.run("rm", "-r", FOLDER)


@pytest.fixture
def disks(modules: Modules) -> t.Iterator[list[str]]:
    """Names of disks; they are gone afterwards."""
    names: list[str] = []
    yield names
    modules.done("gfapi_disk", storage_domain="vms", disks=[{"name": name, "state": "absent"} for name in names])


def assert_holds(system: System, disk: t.Mapping[str, t.Any]) -> None:
    """What the source holds, in a file as every image of a storage domain is."""
    path, image_format = disk["path"], disk["format"]
    system.run("qemu-img", "compare", "-q", "-f", "raw", "-F", image_format, RAW, path)
    if image_format == "qcow2":
        system.run("qemu-img", "check", "-q", "-f", "qcow2", path)
    owner, length = system.run("stat", "-c", "%a %u:%g,%s", path).strip().split(",")
    assert (owner, int(length) % 512) == ("660 36:36", 0)
    assert disk["virtual_size_bytes"] % 4096 == 0


def assert_opens(system: System, disks: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    """QEMU opens all of them at once over gfapi, past the host's cache."""
    words = []
    for number, disk in enumerate(disks):
        for image in (*disk["backing_blockdevs"], disk["blockdev"]):
            named = {key: f"disk{number}{image[key]}" for key in ("node-name", "backing") if key in image}
            direct = {**image["file"], "cache": {"direct": True}}
            words += ["-blockdev", json.dumps({"node-name": f"disk{number}", **image, **named, "file": direct})]
    pid = "/run/gfapi-opens.pid"
    machine = ("-machine", "none", "-display", "none", "-daemonize", "-pidfile", pid)
    # gluster's log goes on to standard error, which would keep the connection open
    quietly = '"$@" >/run/gfapi-opens.log 2>&1 || { cat /run/gfapi-opens.log; exit 1; }'
    system.run("sh", "-c", quietly, "sh", "qemu-system-x86_64", *machine, *words)
    number = system.run("cat", pid).strip()
    # at once: nothing was written, and libgfapi would take 10 s to close each image
    system.run("kill", "-KILL", number)
    system.wait("QEMU ended", lambda: not system.host.file(f"/proc/{number}").exists)


def test_disks_are_filled_from_files_of_every_format(
    modules: Modules, system: System, sources: dict[str, str], disks: list[str]
) -> None:
    wanted = [{"name": name, "source": path} for name, path in sources.items()]
    wanted.append({"name": "filled-raw", "source": f"{FOLDER}/s.vmdk", "format": "raw", "size": "16M"})
    wanted.append({"name": "filled-full", "source": f"{FOLDER}/s.qcow2", "preallocation": "full", "size": "16M"})
    wanted += [{**disk, "name": f"grown-{disk['name']}"} for disk in (wanted[0], *wanted[-2:])]
    wanted.append({"name": "grown-large", "size": SIZE})
    disks += [disk["name"] for disk in wanted]
    made = modules.as_promised("gfapi_disk", storage_domain="vms", disks=wanted)["disks"]
    assert len(made) == len(KINDS) + 7
    large = ("-f", "raw", "-O", "qcow2", "-o", "cluster_size=2M")
    # as other programs may have made it
    system.run("qemu-img", "convert", *large, RAW, made[-1]["path"])
    for disk in made[:-1]:
        assert_holds(system, disk)
    assert [disk["virtual_size_bytes"] for disk in made[-6:-4]] == [16 << 20] * 2
    grown = [{"name": disk["name"], "size": GROWN} for disk in made[-4:]]
    made[-4:] = modules.as_promised("gfapi_disk", storage_domain="vms", disks=grown)["disks"]
    for disk in made[-4:]:
        assert_holds(system, disk)
        assert disk["virtual_size_bytes"] - GROWN in range(4096)
    info = json.loads(system.run("qemu-img", "info", "--output=json", "-f", "qcow2", made[-1]["path"]))
    assert (info["cluster-size"], info["virtual-size"]) == (2 << 20, made[-1]["virtual_size_bytes"])
    assert_opens(system, made)


def test_a_disk_is_a_copy_of_another(
    modules: Modules, system: System, sources: dict[str, str], disks: list[str], guest: Guest
) -> None:
    disks += ["origin", "copy", "copy-raw"]
    digest = system.run("sha256sum", RAW).split()[0]
    origin = {"storage_domain": "vms", "name": "origin", "source": sources["filled-s.raw"]}
    wrong = modules.refused("gfapi_disk", **origin, checksum=f"sha256:{'0' * 64}")
    assert wrong == f"source {RAW} has the sha256 {digest}, not {'0' * 64}; fetch it anew"
    made = modules.as_promised("gfapi_disk", **origin, checksum=f"sha256:{digest}")["disk"]
    clones = [{"name": "copy", "clone_of": "origin"}, {"name": "copy-raw", "clone_of": "origin", "format": "raw"}]
    copies = modules.as_promised("gfapi_disk", storage_domain="vms", disks=clones)["disks"]
    assert len({disk["image_uuid"] for disk in (made, *copies)}) == 3
    for disk in (made, *copies):
        assert_holds(system, disk)
    assert_opens(system, [made, *copies])
    assert guest.state == "running"
    words = modules.refused("gfapi_disk", storage_domain="vms", name="copy2", clone_of=f"{guest.name}-root")
    assert f"is in use by domain {guest.name} (running, disk vda), so a copy would not be whole" in words


def test_a_disk_is_exported(modules: Modules, system: System, sources: dict[str, str], disks: list[str]) -> None:
    vms = {"storage_domain": "vms"}
    disks += ["out2", "out"]
    modules.done("gfapi_disk", **vms, name="out", source=sources["filled-s.raw"])
    modules.done("gfapi_disk", **vms, name="out2", clone_of="out", clone_mode="backing")
    for name, image_format in (("out", "vmdk"), ("out2", "raw"), ("out2", "qcow2")):
        path = f"{FOLDER}/{name}.{image_format}"
        modules.as_promised("gfapi_disk", **vms, name=name, dest=path, dest_format=image_format)
        system.run("qemu-img", "compare", "-q", "-f", "raw", "-F", image_format, RAW, path)
        told = system.run("journalctl", "--no-pager", "-t", "gfapi.virt", "-o", "cat")
        assert f" to {path}: 100 %" in told
    assert f"fill disk out from {RAW}: 100 %" in told
    # in one piece
    assert "backing file" not in system.run("qemu-img", "info", "-f", "qcow2", f"{FOLDER}/out2.qcow2")


@pytest.mark.parametrize("image_format", ["qcow2", "raw"])
def test_clones_on_top_of_a_template(
    modules: Modules, system: System, sources: dict[str, str], disks: list[str], image_format: str
) -> None:
    vms = {"storage_domain": "vms"}
    # deleted in this order: a template goes last
    disks += ["clone1", "clone2", "clone-grown", "full-copy", "template"]
    template = {**vms, "name": "template", "source": sources["filled-s.qcow2"], "format": image_format}
    made = modules.as_promised("gfapi_disk", **template)["disk"]
    clones = [{"name": name, "clone_of": "template", "clone_mode": "backing"} for name in ("clone1", "clone2")]
    clones.append({**clones[0], "name": "clone-grown", "size": "16M"})
    there = modules.as_promised("gfapi_disk", **vms, disks=clones)["disks"]
    for disk in there[:2]:
        assert_holds(system, disk)
    assert there[2]["virtual_size_bytes"] == 16 << 20
    there[1] = modules.done("gfapi_disk", **vms, name="clone2", size=GROWN)["disk"]
    assert_holds(system, there[1])
    digest = system.run("sha256sum", made["path"])
    assert_opens(system, there)
    # a template is open for its clones, and may be read meanwhile
    copy = modules.as_promised("gfapi_disk", **vms, name="full-copy", clone_of="template")["disk"]
    assert_holds(system, copy)
    write = ("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 65536")
    system.run(*write, there[0]["path"])
    assert_holds(system, there[1])
    system.run("qemu-img", "check", "-q", "-f", "qcow2", there[0]["path"])
    assert system.run("sha256sum", made["path"]) == digest
    words = modules.refused("gfapi_disk", **vms, name="template", state="absent")
    assert "disk 'template' is the template of clone-grown, clone1, clone2; delete them first" in words
    assert modules.done("glusterfs_domain_info", names=["vms"])["storage_domains"][0]["problems"] == []
    vm = {**vms, "name": "on-clone", "memory": "64MiB", "virt_type": "qemu", "state": "running"}
    words = modules.refused("libvirt_vm", **vm, disks=[{"name": "template"}])
    assert "disk 'template' in storage domain vms is a template, which no VM may write to" in words
    modules.as_promised("libvirt_vm", **vm, disks=[{"name": "clone1"}])
    (running,) = modules.done("libvirt_vm_info", names=["on-clone"])["vms"]
    assert [disk["io_path"] for disk in running["disks"]] == ["gfapi"]
    # neither is open, but for the template below
    modules.as_promised("gfapi_disk", **vms, name="clone2", state="absent")
    assert "is in use by domain on-clone (running" in modules.refused(
        "gfapi_disk", **vms, name="clone1", state="absent"
    )
    modules.done("libvirt_vm", name="on-clone", state="absent", force_stop=True, shutdown_timeout=1)


#: lengthens a file as the module does, for as long as there is a file GO; prints how often
PADDING = """
import os, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.gfapi.virt.plugins.module_utils._files import pad
descriptor, count = os.open(sys.argv[2], os.O_RDWR), 0
while os.path.exists(sys.argv[3]):
    pad(descriptor, 192 << 10)
    count += 1
print(count)
"""


def test_padding_loses_nothing_of_what_qemu_allocates_meanwhile(
    modules: Modules, system: System, disks: list[str]
) -> None:
    disks.append("padded")
    made = modules.done("gfapi_disk", storage_domain="vms", name="padded", size="64MiB")["disk"]
    library, go = "/var/tmp/gfapi-padding", "/run/gfapi-padding"
    folder = "ansible_collections/gfapi/virt/plugins/module_utils"
    for name in ("_files.py", "_errors.py"):
        text = (ROOT / "plugins/module_utils" / name).read_text(encoding="utf-8")
        system.run("mkdir", "-p", f"{library}/{folder}")
        system.run("sh", "-c", 'printf %s "$1" > "$2"', "sh", text, f"{library}/{folder}/{name}")
    system.run("touch", go)
    # each write allocates a cluster at the end of the file, over gfapi, where nobody knows of the mount's doings
    writes = [word for n in range(400) for word in ("-c", f"write -q -P {1 + n % 250} {n * 128}k 64k")]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        padding = pool.submit(system.run, "timeout", "300", "python3", "-c", PADDING, library, made["path"], go)
        try:
            system.run("qemu-io", "-f", "qcow2", "-t", "none", *writes, made["uri"])
        finally:
            system.run("rm", go)
        assert int(padding.result()) > 100
    system.run("qemu-img", "check", "-q", "-f", "qcow2", made["path"])
    reads = [word for n in range(400) for word in ("-c", f"read -q -P {1 + n % 250} {n * 128}k 64k")]
    assert system.run("qemu-io", "-f", "qcow2", *reads, made["path"]) == ""
    system.run("rm", "-r", library)


@pytest.mark.usefixtures("sources")
def test_what_no_disk_can_be_filled_from_is_refused(modules: Modules, system: System, sources: dict[str, str]) -> None:
    locked, empty = (f"{FOLDER}/{name}" for name in ("locked.qcow2", "empty.raw"))
    kinds = ("qcow2", "vmdk")
    for kind in kinds:
        system.run("cp", sources[f"filled-s.{kind}"], f"{FOLDER}/cut.{kind}")
        system.run("truncate", "--size=-131072", f"{FOLDER}/cut.{kind}")
    secret = ("--object", "secret,id=key,data=abc", "-o", "encrypt.format=luks,encrypt.key-secret=key")
    make = shlex.join(["qemu-img", "create", "-q", "-f", "qcow2", *secret, locked, "1M"])
    # it times itself to choose how dear the key is to guess, and gives up where the clock does not move meanwhile
    attempts = (system.host.run(make).stderr for _attempt in range(100))
    assert next(words for words in attempts if "CPU usage" not in words) == ""
    system.run("touch", empty)
    cut = ((f"{FOLDER}/cut.{kind}", "is damaged or cut short") for kind in kinds)
    for source, words in (*cut, (locked, "is encrypted"), (empty, "which is empty")):
        message = modules.refused("gfapi_disk", storage_domain="vms", name="no", source=source)
        assert words in message
        assert source in message


def test_a_raw_image_that_pretends_to_be_another_stays_raw(modules: Modules, system: System, disks: list[str]) -> None:
    path = f"{FOLDER}/hostile.img"
    system.run("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", path, "1M")
    disk = {"storage_domain": "vms", "name": "hostile", "source": path}
    assert f"source {path} has a backing file, which is not followed" in modules.refused("gfapi_disk", **disk)
    disks.append("hostile")
    made = modules.as_promised("gfapi_disk", **disk, source_format="raw", format="raw")["disk"]
    length = system.run("stat", "-c", "%s", path).strip()
    system.run("cmp", "-n", length, path, made["path"])
    assert made["blockdev"]["driver"] == "raw"
    clone = modules.done("gfapi_disk", storage_domain="vms", name="hostile2", clone_of="hostile")["disk"]
    disks.append("hostile2")
    assert clone["format"] == "raw"
    system.run("cmp", made["path"], clone["path"])
