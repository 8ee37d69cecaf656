# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest with QEMU's real agent: its file systems are frozen for a snapshot."""

from __future__ import annotations

import base64
import json
import typing as t

import pytest
from hosts import Guest, System
from modules import ROOT, Modules
from test_snapshots import archive

FOLDER = "/var/tmp/gfapi-agent"
OUTPUT = {"capture-output": True}
#: for the agent's channel, beside what the lab's guests have
MODULE = "virtio_console"
CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /disk
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
exec < /dev/console > /dev/console 2>&1
for module in $(cat /modules); do modprobe "$module" 2> /dev/null; done
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /disk
cd /disk
mkdir -p proc dev tmp
mount -t proc proc proc; mount -t devtmpfs dev dev; mount -t tmpfs tmp tmp
cp /bin/busybox tmp
printf '#!/tmp/busybox sh\\necho "GFAPI-GUEST: $1" > /dev/console\\n' > tmp/hook
chmod +x tmp/hook
chroot . /qemu-ga -p /dev/vport*p1 -t /tmp -f /tmp/pid -F/tmp/hook &
while true; do echo $((n = n + 1)) > n; sync n; echo "GFAPI-GUEST: count $n"; sleep 0.2; done
"""
#: the guest's kernel with one module more, and Debian's agent with its libraries in a file system
BUILD = f"""set -e
bash {FOLDER}/build {FOLDER}/guest > /dev/null
cat {FOLDER}/init.gz >> {FOLDER}/guest/initrd.img
cd {FOLDER}
apt-get -qq -o APT::Sandbox::User=root download qemu-guest-agent
dpkg-deb -x qemu-guest-agent_*.deb package
mkdir tree
cp package/usr/sbin/qemu-ga tree
for library in $(ldd tree/qemu-ga | grep -o '/lib[^ ]*'); do cp -L --parents "$library" tree; done
mkfs.ext4 -q -d tree root.raw 48M
"""


class AgentGuest(Guest):
    """A VM that writes to its file system all the time."""

    def ask(self, command: str, **arguments: t.Any) -> t.Any:
        request = json.dumps({"execute": command, "arguments": arguments})
        return json.loads(self.system.run("virsh", "qemu-agent-command", self.name, request))["return"]

    def tell(self, script: str) -> None:
        """Have a shell in the guest begin; the agent answers first."""
        words = ["sh", "-c", f"sleep 1; {script}"]
        self.ask("guest-exec", path="/tmp/busybox", arg=words)

    def sh(self, script: str) -> str:
        """What a shell in the guest prints; `$b` is its busybox."""
        begun = self.ask("guest-exec", path="/tmp/busybox", arg=["sh", "-ec", f"b=/tmp/busybox; {script}"], **OUTPUT)
        told: dict[str, t.Any] = {}

        def has_ended() -> bool:
            told.update(self.ask("guest-exec-status", pid=begun["pid"]))
            return t.cast(bool, told["exited"])

        self.system.wait(f"{script} has ended in the guest", has_ended)
        assert told["exitcode"] == 0, told
        return base64.b64decode(told.get("out-data", "")).decode()

    def go_on(self) -> None:
        seen = self.says()[-1]
        self.system.wait("the guest writes", lambda: self.says()[-1] != seen)


@pytest.fixture(scope="module")
def agent(system: System, modules: Modules) -> t.Iterator[AgentGuest]:
    guest = ROOT / "lab/image/guest"
    build = (guest / "build").read_text(encoding="utf-8").replace('\nmodules="', f'\nmodules="{MODULE} ', 1)
    init = (guest / "init").read_text(encoding="utf-8")
    system.run("mkdir", FOLDER)
    for name, text in (("build", build), ("init", init), ("channel.xml", CHANNEL)):
        system.run("sh", "-c", 'printf %s "$1" > "$2"', "sh", text, f"{FOLDER}/{name}")
    packed = base64.b64encode(archive("init", INIT.encode())).decode()
    system.run("sh", "-c", f'printf %s "$1" | base64 -d > {FOLDER}/init.gz', "sh", packed)
    system.run("sh", "-c", BUILD)
    disk = {"storage_domain": "vms", "name": "agent-root"}
    modules.done("gfapi_disk", **disk, source=f"{FOLDER}/root.raw")
    found = AgentGuest(system, "agent")
    vm = {"name": "agent", "virt_type": "qemu", "memory": "256MiB", "serial_log": found.log, "storage_domain": "vms"}
    vm |= {
        "kernel": f"{FOLDER}/guest/vmlinuz",
        "initrd": f"{FOLDER}/guest/initrd.img",
        "cmdline": "console=ttyS0 quiet no_timer_check",
    }
    modules.done("libvirt_vm", **vm, disks=[{"name": "agent-root"}], state="shut_off")
    system.run("virsh", "attach-device", "agent", f"{FOLDER}/channel.xml", "--config")
    system.run("virsh", "start", "agent")
    channel = ("virsh", "dumpxml", "agent", "--xpath", "//channel/target/@state")
    system.wait("the agent is there", lambda: '"connected"' in system.run(*channel))
    yield found
    modules.done("libvirt_vm", name="agent", state="absent", force_stop=True, shutdown_timeout=1)
    modules.done("gfapi_disk", **disk, state="absent")
    system.run("rm", "-r", FOLDER)


def test_file_systems_are_frozen_for_a_snapshot(modules: Modules, system: System, agent: AgentGuest) -> None:
    """ext4 that was frozen needs no recovery, which one that is mounted and not frozen always does."""
    taken = modules.done("gfapi_snapshot", vm="agent", name="frozen")
    words = "have domain agent go on with the new layer of disk agent-root live, its file systems frozen meanwhile"
    assert taken["actions"] == ["create snapshot frozen of disk agent-root", words]
    said = [line for line in agent.says() if not line.startswith("count ")]
    assert said == ["freeze", "thaw"]
    assert agent.ask("guest-fsfreeze-status") == "thawed"
    agent.go_on()
    leaf, snapshot = taken["snapshot"]["disks"][0]["volumes"]
    features = {}
    for volume in (snapshot, leaf):
        system.run("qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", volume["path"], f"{FOLDER}/seen.raw")
        told = system.run("dumpe2fs", "-h", f"{FOLDER}/seen.raw")
        features[volume["snapshot"]] = "needs_recovery" in told
    assert features == {"frozen": False, "": True}


def test_data_is_whole_in_the_guest_when_its_disk_comes_and_goes(
    modules: Modules, system: System, agent: AgentGuest
) -> None:
    """Of the disk, and of the one that stays; a guest that lost a disk sees it as it comes back."""
    disk = {"storage_domain": "vms", "name": "agent-data", "vm": "agent"}
    is_there = "if [ -b /dev/vdb ]; then echo yes; fi"
    sums = (
        "sync; echo 3 > /proc/sys/vm/drop_caches; $b sha256sum /random; $b dd if=/dev/vdb bs=1M count=4 | $b sha256sum"
    )
    agent.sh("$b dd if=/dev/urandom of=/random bs=1M count=4")
    modules.as_promised("gfapi_disk", **disk, size=16 * (1 << 20) + 512)
    system.wait("the guest has the disk", lambda: agent.sh(is_there) != "")
    agent.sh("$b cat /random | $b tr '\\000-\\177' '\\200-\\377' > /dev/vdb; sync")
    before = agent.sh(sums)
    assert len(set(before.split())) == 4
    modules.as_promised("gfapi_disk", **disk, state="detached")
    assert agent.sh(is_there) == ""
    modules.as_promised("gfapi_disk", **disk)
    system.wait("the guest has the disk again", lambda: agent.sh(is_there) != "")
    assert agent.sh(sums) == before
    agent.go_on()
    modules.done("gfapi_disk", **disk, state="detached")
    modules.done("gfapi_disk", storage_domain="vms", name="agent-data", state="absent")


def test_an_agent_that_hangs_is_not_waited_for(modules: Modules, agent: AgentGuest) -> None:
    """Its channel is open all the same."""
    agent.tell("/tmp/busybox killall -STOP qemu-ga; echo 'GFAPI-GUEST: stopped' > /dev/console")
    # virsh would wait for its agent for ever
    agent.system.wait("the agent has stopped", lambda: "stopped" in agent.says())
    words = modules.refused("gfapi_snapshot", vm="agent", name="more", quiesce="true")
    assert words.startswith("domain agent: quiesce is true, and no guest agent answers; start qemu-guest-agent")
