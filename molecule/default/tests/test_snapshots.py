# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of a VM's disks, running and shut off: what the guest wrote is there before and after, layer by layer."""

from __future__ import annotations

import base64
import gzip
import json
import typing as t

import pytest
from hosts import Guest, System
from modules import Modules
from test_filled_images import assert_opens

MIB = 1 << 20
BOOT = "/var/lib/gfapi-lab/guest"
INITRD = "/var/tmp/gfapi-counter.img"
BLOCK = 4096
#: no multiple of anything that QEMU or gluster likes
ODD = 2 * BLOCK + 512
SIZE = 32 * MIB + ODD
#: where the guest writes its counter: in what both disks have of a last cluster; and how many blocks it has in turn
COUNTER = 32 * MIB + BLOCK
BLOCKS = 4 * MIB
TURN = 64
#: a megabyte that it writes once
AREA = 8
INIT = f"""#!/bin/busybox sh
/bin/busybox mkdir -p /etc/acpi/PWRF /tmp /var/run
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
exec < /dev/console > /dev/console 2>&1
echo 3 > /proc/sys/kernel/printk
report() {{ echo "GFAPI-GUEST: $*"; }}
for module in $(cat /modules); do modprobe "$module" 2> /dev/null; done
printf '#!/bin/sh\\ntouch /tmp/stop\\n' > /etc/acpi/PWRF/00000080
chmod +x /etc/acpi/PWRF/00000080
acpid -f -l /dev/null &
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do sleep 0.1; done
n=$(dd if=/dev/vda bs=512 skip={COUNTER // 512} count=1 2> /dev/null | tr -d '\\0 ')
n=${{n:-0}}
report start "$n"
sums() {{
    for disk in /dev/vda /dev/vdb; do
        dd if=$disk bs=1M skip={AREA} count=1 iflag=direct 2> /dev/null | sha256sum | cut -c 1-16
    done
}}
if [ "$n" = 0 ]; then
    for disk in /dev/vda /dev/vdb; do
        dd if=/dev/urandom of=$disk bs=1M seek={AREA} count=1 oflag=direct conv=notrunc 2> /tmp/error ||
            report error writing $disk: $(tail -n 1 /tmp/error)
    done
fi
whole=$(sums)
report sums $whole
while [ ! -e /tmp/stop ]; do
    n=$((n + 1))
    printf '%-4096s' "$n" > /tmp/n
    for disk in /dev/vda /dev/vdb; do
        for place in {COUNTER // 4096} $(({BLOCKS // 4096} + n % {TURN})); do
            dd if=/tmp/n of=$disk bs=4096 seek=$place oflag=direct conv=notrunc 2> /tmp/error ||
                report error writing $disk: $(tail -n 1 /tmp/error)
            dd if=$disk bs=4096 skip=$place count=1 iflag=direct 2> /dev/null | cmp -s - /tmp/n ||
                report error reading $disk
        done
    done
    [ $((n % 10)) = 0 ] || continue
    [ "$(sums)" = "$whole" ] || report error: the area has changed
    report count $n
done
report stopped $n
poweroff -f
"""


def archive(name: str, data: bytes) -> bytes:
    """An initramfs of one program, to be put behind another one (cpio, newc)."""

    def entry(name: str, mode: int, data: bytes) -> bytes:
        numbers = (1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08x" % number for number in numbers) + name.encode() + b"\0"
        return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)

    return gzip.compress(entry(name, 0o100755, data) + entry("TRAILER!!!", 0, b""))


class Counter(Guest):
    """A VM that counts on both of its disks."""

    #: the checksums that it found of its areas, at each of its starts
    sums: t.ClassVar[set[str]] = set()

    @property
    def counts(self) -> list[int]:
        return [int(line.split()[1]) for line in self.says() if line.startswith("count ")]

    @property
    def last(self) -> int:
        """What it had counted to when it was shut down."""
        return next(int(line.split()[1]) for line in self.says() if line.startswith("stopped "))

    @property
    def errors(self) -> list[str]:
        return [line for line in self.says() if line.startswith("error")]

    def start(self) -> None:
        self.system.run("truncate", "--size=0", self.log)
        self.system.run("virsh", "start", self.name)
        self.go_on()
        self.sums.update(line for line in self.says() if line.startswith("sums "))

    def go_on(self) -> None:
        """Wait until it has counted on from here."""
        seen = len(self.counts)
        self.system.wait("the guest counts", lambda: len(self.counts) > seen + 1)

    def chain(self, target: str, *flags: str) -> list[str]:
        """The sources that libvirt has for a disk, the disk's own first."""
        words = ("virsh", "dumpxml", *flags, self.name, "--xpath", f"//disk[target/@dev='{target}']//source/@name")
        return [line.split('"')[1].rpartition("/")[2] for line in self.system.lines(*words) if '"' in line]


class Disk:
    """An image's files, read with qemu-img through the mount."""

    def __init__(self, system: System, volumes: t.Sequence[t.Mapping[str, t.Any]]) -> None:
        self.system = system
        self.volumes = volumes
        self.folder = volumes[0]["path"].rpartition("/")[0]

    def raw(self, index: int = 0) -> str:
        """A raw copy of what the guest sees at one layer."""
        volume = self.volumes[index]
        self.system.run(
            "qemu-img", "convert", "-U", "-f", volume["format"], "-O", "raw", volume["path"], "/var/tmp/raw"
        )
        return "/var/tmp/raw"

    def digest(self, index: int = 0) -> str:
        return self.system.run("sha256sum", self.raw(index)).split()[0]

    def count(self, index: int = 0) -> int:
        """The counter; every block that was written in its turn has its own."""
        script = (
            "import sys; data = open(sys.argv[1], 'rb').read();"
            f"number = lambda at: int(data[at:at + 4096].strip(b'\\0 ') or b'0');"
            f"print(number({COUNTER}), *(number({BLOCKS} + 4096 * i) for i in range({TURN})))"
        )
        count, *blocks = map(int, self.system.run("python3", "-c", script, self.raw(index)).split())
        # a snapshot may fall between the two writes
        assert blocks[count % TURN] in (count, max(count - TURN, 0))
        assert all(blocks[number % TURN] == number for number in range(max(1, count - TURN + 1), count))
        return count

    def files(self) -> set[str]:
        return set(self.system.lines("ls", "-A", self.folder))

    def assert_whole(self) -> None:
        """The files that belong there and no other, each as every image volume is."""
        names = [volume["volume_uuid"] for volume in self.volumes]
        assert self.files() == {f"{name}{end}" for name in names for end in ("", ".meta", ".lease")}
        for place, volume in enumerate(self.volumes):
            owner, length = self.system.run("stat", "-c", "%a %u:%g,%s", volume["path"]).strip().split(",")
            assert (owner, int(length) % 512) == ("660 36:36", 0)
            keys = dict(line.split("=", 1) for line in self.system.lines("cat", f"{volume['path']}.meta")[:-1])
            below = self.volumes[place + 1 : place + 2]
            parent = below[0]["volume_uuid"] if below else "00000000-0000-0000-0000-000000000000"
            assert (keys["PUUID"], keys["LEGALITY"]) == (parent, "LEGAL")
            assert keys["VOLTYPE"] == ("INTERNAL" if place else "LEAF")
            assert "GFAPI" not in keys
            if volume["format"] == "qcow2":
                self.system.run("qemu-img", "check", "-U", "-q", "-f", "qcow2", volume["path"])
                words = ("qemu-img", "info", "-U", "--output=json", "-f", "qcow2", volume["path"])
                info = json.loads(self.system.run(*words))
                assert info.get("backing-filename") == (parent if below else None)
                assert info.get("backing-filename-format") == (below[0]["format"] if below else None)
                # the one that others made has its own size until something is committed to it
                assert int(keys["CAP"]) - info["virtual-size"] in (0, -SIZE % BLOCK)


@pytest.fixture(scope="module")
def counter(system: System, modules: Modules) -> t.Iterator[Counter]:
    """Shut off, with a qcow2 disk of large clusters and a raw one, of odd sizes."""
    extra = base64.b64encode(archive("init", INIT.encode())).decode()
    build = f'{{ cat {BOOT}/initrd.img; printf %s "$1" | base64 -d; }} > {INITRD}'
    system.run("sh", "-c", build, "sh", extra)
    vms = {"storage_domain": "vms"}
    sizes = [{"name": "counter-a", "size": SIZE}, {"name": "counter-b", "size": SIZE, "format": "raw"}]
    made = modules.done("gfapi_disk", **vms, disks=sizes)["disks"]
    # as other programs may have made it
    system.run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", made[0]["path"], str(SIZE))
    mended = modules.done("gfapi_disk", **vms, name="counter-a")["disk"]
    assert mended["virtual_size_bytes"] == SIZE
    guest = Counter(system, "counter")
    vm = {"name": "counter", "virt_type": "qemu", "memory": "256MiB", "kernel": f"{BOOT}/vmlinuz", "initrd": INITRD}
    vm |= {"cmdline": "console=ttyS0 quiet no_timer_check", "serial_log": guest.log, "storage_domain": "vms"}
    modules.done("libvirt_vm", **vm, disks=[{"name": "counter-a"}, {"name": "counter-b"}], state="shut_off")
    yield guest
    modules.done("libvirt_vm", name="counter", state="absent", force_stop=True, shutdown_timeout=1)
    gone = [{"name": name, "state": "absent"} for name in ("counter-a", "counter-b")]
    modules.done("gfapi_disk", storage_domain="vms", disks=gone)
    system.run("rm", "-f", INITRD, "/var/tmp/raw")


@pytest.fixture
def running(counter: Counter) -> t.Iterator[Counter]:
    counter.start()
    yield counter
    if counter.state != "shut off":
        counter.shut_down()


def of(system: System, result: t.Mapping[str, t.Any]) -> list[Disk]:
    return [Disk(system, disk["volumes"]) for disk in result["snapshot"]["disks"]]


def snapshots_listed(modules: Modules) -> dict[str, list[str]]:
    """What glusterfs_domain_info tells of them, by disk."""
    info = modules.done("glusterfs_domain_info", names=["vms"])["storage_domains"][0]
    assert (info["problems"], info["warnings"]) == ([], [])
    images = (image for image in info["images"] if image["name"].startswith("counter-"))
    return {image["name"]: [volume["snapshot"] for volume in image["volumes"]] for image in images}


def test_snapshots_of_a_running_vm(modules: Modules, system: System, running: Counter) -> None:
    """Taken of both disks at one moment, removed from the middle and from the top, and the guest notices nothing."""
    vm = {"vm": "counter"}
    first = modules.as_promised("gfapi_snapshot", **vm, name="first", description="the first")
    assert first["actions"] == [
        "create snapshot first of disk counter-a",
        "create snapshot first of disk counter-b",
        "have domain counter go on with the new layer of disk counter-a, counter-b live",
    ]
    running.go_on()
    second = modules.as_promised("gfapi_snapshot", **vm, name="second")
    running.go_on()
    a, b = of(system, second)
    for disk, target in ((a, "vda"), (b, "vdb")):
        disk.assert_whole()
        names = [volume["volume_uuid"] for volume in disk.volumes]
        assert running.chain(target) == running.chain(target, "--inactive") == names
    assert {node["drv"] for node in running.monitor("query-named-block-nodes", flat=True)} <= {
        "gluster", "qcow2", "raw",
    }  # fmt: skip
    moments = {}
    for index, name in ((2, "first"), (1, "second")):
        moments[name] = counts = (a.count(index), b.count(index))
        assert counts[0] - counts[1] in (0, 1), f"{name} is not of one moment"
    assert 0 < moments["first"][0] < moments["second"][0] < running.counts[-1]
    assert snapshots_listed(modules) == {f"counter-{disk}": ["", "second", "first"] for disk in "ab"}
    kept = [disk.digest(1) for disk in (a, b)]

    words = modules.refused("gfapi_snapshot", **vm, name="first", state="reverted")
    assert "domain counter is running" in words

    removed = modules.as_promised("gfapi_snapshot", **vm, name="first", state="absent")
    assert removed["actions"] == [f"remove snapshot first of disk counter-{disk} live" for disk in "ab"]
    running.go_on()
    a, b = of(system, removed)
    assert [disk.digest(1) for disk in (a, b)] == kept
    for disk in (a, b):
        disk.assert_whole()
    a, b = of(system, modules.as_promised("gfapi_snapshot", **vm, name="second", state="absent"))
    running.go_on()
    larger = [{"name": "counter-a", "size": 80 * MIB + ODD}, {"name": "counter-b", "size": 40 * MIB + ODD}]
    grown = modules.as_promised("gfapi_disk", storage_domain="vms", disks=larger)
    assert ["live in domain counter" in words for words in grown["actions"]] == [True, True]
    running.go_on()
    running.shut_down()
    assert running.errors == []
    for disk, target in ((a, "vda"), (b, "vdb")):
        disk.assert_whole()
        assert running.chain(target, "--inactive") == [disk.volumes[0]["volume_uuid"]]
        assert disk.count() == running.last
    count = running.last
    assert [disk.volumes[0]["format"] for disk in (a, b)] == ["qcow2", "raw"]
    running.start()
    assert f"start {count}" in running.says()


def opened(modules: Modules) -> list[dict[str, t.Any]]:
    """What gfapi_disk returns of the disks, to be opened by gfapi with their chains."""
    names = [{"name": name} for name in ("counter-a", "counter-b")]
    return modules.done("gfapi_disk", storage_domain="vms", disks=names)["disks"]


def test_snapshots_of_a_stopped_vm(modules: Modules, system: System, counter: Counter) -> None:
    """Reverted to, grown above, removed: every layer opens by gfapi, and holds what it held."""
    vm = {"vm": "counter"}
    address = ("virsh", "dumpxml", "counter", "--xpath", "//disk/address")
    addresses = system.run(*address)
    counter.start()
    counter.shut_down()
    taken = modules.as_promised("gfapi_snapshot", **vm, name="cold")
    disks = of(system, taken)
    before = [disk.digest() for disk in disks]
    assert system.run(*address) == addresses
    nothing = modules.as_promised("gfapi_snapshot", **vm, name="cold", state="reverted")
    assert nothing["actions"] == []

    counter.start()
    counter.shut_down()
    assert counter.errors == []
    assert [disk.count() for disk in disks] == [counter.last] * 2
    assert [disk.digest(1) for disk in disks] == before
    later = modules.as_promised("gfapi_snapshot", **vm, name="later")
    sizes = {"counter-a": 96 * MIB + ODD, "counter-b": 48 * MIB + ODD}
    grown = [{"name": name, "size": size} for name, size in sizes.items()]
    modules.as_promised("gfapi_disk", storage_domain="vms", disks=grown)
    for disk in of(system, later):
        disk.assert_whole()

    assert_opens(system, opened(modules))

    back = modules.as_promised("gfapi_snapshot", **vm, name="cold", state="reverted")
    assert back["actions"] == [
        f"revert disk counter-{disk} to snapshot cold, without snapshot later, which was taken later" for disk in "ab"
    ]
    disks = of(system, back)
    assert [disk.digest() for disk in disks] == before
    for disk in disks:
        disk.assert_whole()
    counter.start()
    counter.shut_down()
    assert counter.errors == []
    assert len(counter.sums) == 1

    modules.as_promised("gfapi_disk", storage_domain="vms", disks=grown)
    disks = of(system, modules.done("gfapi_snapshot", **vm, name="upper"))
    for disk, size in zip(disks, sizes.values()):
        write = f"write -q -P 7 {size // BLOCK * BLOCK} {BLOCK}"
        system.run("qemu-io", "-f", "qcow2", "-c", write, disk.volumes[0]["path"])
    held = [disk.digest() for disk in disks]
    # out of the middle, and then from the top
    for name, remove in (("cold", modules.as_promised), ("upper", modules.done)):
        gone = remove("gfapi_snapshot", **vm, name=name, state="absent")
        assert gone["actions"] == [f"remove snapshot {name} of disk counter-{disk}" for disk in "ab"]
        disks = of(system, gone)
        assert [disk.digest() for disk in disks] == held
        for disk in disks:
            disk.assert_whole()
        assert_opens(system, opened(modules))
    assert [len(disk.volumes) for disk in disks] == [1, 1]
    assert [disk.volumes[0]["format"] for disk in disks] == ["qcow2", "raw"]
    words = ("qemu-img", "info", "--output=json", "-f", "qcow2", disks[0].volumes[0]["path"])
    info = json.loads(system.run(*words))
    assert (info["cluster-size"], info["virtual-size"] % (2 * MIB)) == (2 * MIB, 3 * BLOCK)
    assert system.run(*address) == addresses
    counter.start()
    counter.shut_down()
    assert counter.errors == []


def test_what_is_in_use_elsewhere_is_left_alone(modules: Modules, system: System, counter: Counter) -> None:
    """A process that libvirt knows nothing of has a layer open, and another VM has the image."""
    vm = {"vm": "counter", "disks": ["counter-a"]}
    (disk,) = of(system, modules.done("gfapi_snapshot", **vm, name="held"))
    files = disk.files()
    unit = "gfapi-holds"
    # open on the bricks from the first read on
    hold = 'exec 3< "$1"; head -c 1 <&3; exec sleep 601'
    system.run("systemd-run", f"--unit={unit}", "sh", "-c", hold, "sh", disk.volumes[1]["path"])
    system.wait("the layer is open", lambda: system.host.run("pgrep -fx 'sleep 601'").rc == 0)
    for task in ({"name": "held", "state": "absent"}, {"name": "more"}):
        assert "its bricks have image" in modules.refused("gfapi_snapshot", **vm, **task)
    system.run("systemctl", "stop", unit)
    other = {"name": "other", "virt_type": "qemu", "memory": "64MiB", "storage_domain": "vms"}
    modules.done("libvirt_vm", **other, disks=[{"name": "counter-a"}])
    for state in ("absent", "reverted"):
        words = modules.refused("gfapi_snapshot", **vm, name="held", state=state)
        assert "disk 'counter-a' is in use by domain other (defined, disk vda)" in words
    modules.done("libvirt_vm", name="other", state="absent")
    assert disk.files() == files
    words = modules.refused("gfapi_snapshot", vm="counter", name="other", state="reverted")
    assert "disk 'counter-a' has no snapshot 'other' (it has held)" in words
    (disk,) = of(system, modules.done("gfapi_snapshot", **vm, name="held", state="absent"))
    disk.assert_whole()
