# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene of a running VM's snapshots and growth: it writes on after each kill, and whatever it wrote is there.

It never gets further than its firmware; QEMU itself writes for it. What is right is asked of the bricks and qemu-img as
in `images`, and of QEMU and libvirt which layers they have.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import replace

import images
from host import MIB, Operation, TortureError, command, run_module
from images import SOURCES, VM, Disk, Image, chain, disk, layers_of_vm, snapshot, unknown

DISK: t.Final = "vm-root"
TARGET: t.Final = "vda"
#: where the VM writes, and how much at a time: each place once
FIRST: t.Final = MIB
STEP: t.Final = MIB // 8
#: how large the disk becomes
GROWN: t.Final = 8 * MIB


def live(operation: str, end: t.Callable[[Disk], Disk], **params: t.Any) -> Operation:
    return snapshot(f"live-{operation}", lambda disks: {DISK: end(disks[DISK])}, vm=VM, **params)


OPERATIONS: t.Final = (
    live("present", lambda disk: disk.taken("new"), name="new"),
    live("absent-middle", lambda disk: disk.without("two"), name="two", state="absent"),
    live("absent-top", lambda disk: disk.without("three"), name="three", state="absent"),
    disk("live-grow", lambda disks: {DISK: replace(disks[DISK], size=GROWN)}, name=DISK, size=GROWN),
)


class Scene(images.Scene):
    """A VM on one disk with three snapshots."""

    operations: t.ClassVar[tuple[Operation, ...]] = OPERATIONS
    #: where files come and go under their names, and libvirt is told to do something: a run takes half a minute
    calls: t.ClassVar[frozenset[str]] = frozenset({"rename", "renameat", "unlink", "unlinkat", "libvirt"})

    def __init__(self) -> None:
        super().__init__()
        self.leaf = ""
        #: what the VM wrote since it was started, and whether before it went over to another leaf
        self.written: list[tuple[int, bytes, bool]] = []

    def __exit__(self, *exc: object) -> None:
        stop()
        super().__exit__(*exc)

    def _make_disks(self) -> None:
        self._fill_disks({DISK: 2})

    def _define(self) -> None:
        self._define_vm({DISK: TARGET})
        for number, name in enumerate(("one", "two", "three")):
            run_module(snapshot(name, dict, vm=VM, name=name))
            self.disks[DISK] = self.disks[DISK].taken(name)
            self._write(DISK, number * MIB // 8)
        self._keep_definition()
        self.leaf = layers_of_vm("--inactive")[0][0]

    def _end(self, operation: Operation) -> t.Mapping[str, Disk | None]:
        begin = self.disks[DISK]
        for offset, data, is_early in self.written:
            begin = begin.written(offset, data) if is_early else begin
        end = t.cast(Disk, operation.end({DISK: begin})[DISK])
        for offset, data, _is_early in self.written:
            end = end.written(offset, data)
        return {DISK: end}

    def reset(self, operation: Operation) -> None:
        """Whatever is there, the host and the volume as a run is to find them; the VM runs."""
        stop()
        self.written = []
        super().reset(operation)
        command("virsh", "start", VM)

    def go_on(self) -> None:
        """The VM writes. QEMU takes this between two jobs of libvirt only."""
        offset, data = FIRST + len(self.written) * STEP, unknown(STEP)
        (SOURCES / "written").write_bytes(data)
        qemu_io(f"write -q -s {SOURCES}/written {offset} {STEP}")
        qemu_io("flush")
        self.written.append((offset, data, layers_of_vm()[0][0] == self.leaf))

    def _vm_faults(
        self, found: t.Mapping[str, Image], end: t.Mapping[str, Disk | None], *, is_end: bool = False
    ) -> list[str]:
        """What the VM runs on, and would start on."""
        faults = super()._vm_faults(found, end, is_end=is_end)
        image, wanted = found.get(DISK), end[DISK]
        if command("virsh", "domstate", VM).strip() != "running":
            return [*faults, f"{VM} does not run"]
        if image is None or wanted is None:
            return faults
        uuids = layers_of_vm()[0]
        first = image.layers.get(uuids[0])
        if first is None or first.data not in (wanted.data, self.disks[DISK].data):
            faults.append(f"{VM} runs on {uuids[0]}, which is not what it holds")
        if is_end:
            expected = chain(image, image.leaves[0])
            for who, layers in (("libvirt", uuids), ("QEMU", qemu_chain())):
                faults += [] if layers == expected else [f"{who} has {VM} on {layers}, not {expected}"]
            size = qemu_image()["virtual-size"]
            faults += [] if size == wanted.size else [f"{VM} sees {size} bytes, not {wanted.size}"]
        return faults


def stop() -> None:
    if VM in command("virsh", "list", "--name").split():
        command("virsh", "destroy", VM)


def monitor(*words: str) -> str:
    return command("virsh", "qemu-monitor-command", VM, *words)


def qemu_image() -> dict[str, t.Any]:
    """What QEMU has for the disk: its top layer, and all below that."""
    (device,) = (one for one in json.loads(monitor('{"execute": "query-block"}'))["return"] if "inserted" in one)
    return t.cast("dict[str, t.Any]", device["inserted"]["image"])


def qemu_chain() -> list[str]:
    image: dict[str, t.Any] | None = qemu_image()
    found = []
    while image:
        found.append([match[0] for match in images.UUID.finditer(image["filename"])][-1])
        image = image.get("backing-image")
    return found


def qemu_io(words: str) -> None:
    said = monitor("--hmp", f'qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend "{words}"').strip()
    if said:
        raise TortureError(f"QEMU: {words}: {said}")
