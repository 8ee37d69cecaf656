# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that writes to its first disk and reads it back without end, and says so on its console."""

from __future__ import annotations

import base64
import gzip

from hosts import Guest, System

FOLDER = "/var/lib/gfapi-lab/guest"
#: what the kernel unpacks: the lab's guest, and this program with it
INITRD = f"{FOLDER}/looping.img"
BOOT = {
    "virt_type": "qemu",
    "memory": "128MiB",
    "kernel": f"{FOLDER}/vmlinuz",
    "initrd": INITRD,
    "cmdline": "console=ttyS0 quiet no_timer_check rdinit=/looping",
}
#: for the kernel's command line: rounds are counted on from the clock, so that no start has the numbers of one before,
#: and follow each other sooner. For faults, which measure by them how long it was held up; a guest that is migrated
#: should rest (lab/README.md).
COUNTED_ON = "clock=1"
PROGRAM = r"""#!/bin/busybox sh
/bin/busybox mkdir -p /bin /etc/acpi/PWRF /tmp /var/run
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec < /dev/console > /dev/console 2>&1
echo 3 > /proc/sys/kernel/printk
report() { echo "GFAPI-GUEST: $*"; }
for module in $(cat /modules); do modprobe "$module" 2> /dev/null; done
printf '#!/bin/sh\npoweroff -f\n' > /etc/acpi/PWRF/00000080
chmod +x /etc/acpi/PWRF/00000080
acpid -f -l /dev/null &
until ls /sys/block | grep -q '^[vs]d'; do sleep 0.1; done
disk=/dev/$(ls /sys/block | grep -m1 '^[vs]d')
report start
number=0 rest=1
grep -q clock= /proc/cmdline && number=$(($(date +%s) * 6)) rest=0.2
while true; do
    number=$((number + 1))
    place=$((number % 4096))
    printf 'block %012d' $number > /tmp/out
    dd if=/tmp/out of=$disk bs=512 seek=$place conv=sync,fsync 2> /tmp/error || report "error: write of $number"
    echo 3 > /proc/sys/vm/drop_caches
    dd if=$disk bs=512 skip=$place count=1 2> /tmp/error | head -c 18 > /tmp/in
    cmp -s /tmp/out /tmp/in || report "error: read of $number"
    report "round $number"
    sleep $rest
done
"""


def _newc(name: str, mode: int, data: bytes) -> bytes:
    """An entry of a cpio archive, as the kernel reads it (Documentation/driver-api/early-userspace)."""
    label = name.encode() + b"\0"
    fields = (1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(label), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + label
    head += bytes(-len(head) % 4)
    return head + data + bytes(-len(data) % 4)


def install(system: System) -> None:
    """Put the guest on a hypervisor."""
    archive = _newc("looping", 0o100755, PROGRAM.encode()) + _newc("TRAILER!!!", 0, b"")
    text = base64.b64encode(gzip.compress(archive)).decode()
    system.host.check_output(f"(cat {FOLDER}/initrd.img; echo {text} | base64 -d) > {INITRD}")


class Looping(Guest):
    """A VM with that guest."""

    def rounds(self) -> int:
        """The last round that it told of; none of them, on any host, had an error."""
        said = self.says()
        assert not [words for words in said if words.startswith("error")], said
        # the last line may be cut
        return max((int(words.split()[1]) for words in said[:-1] if words.startswith("round ")), default=0)

    def goes_on(self, after: int = 0) -> int:
        """Wait until it has done more rounds, which a guest that was started anew has not for long."""
        first = max(after, self.rounds())
        self.wait(f"after round {first}", lambda: self.rounds() > first)
        return self.rounds()

    def starts(self) -> int:
        """How often the guest was started, as far as this host's log tells."""
        return self.says().count("start")
