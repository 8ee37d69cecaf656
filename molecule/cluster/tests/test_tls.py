# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS as one switch: a pool that runs without it gets it, guests and all, and who has no certificate stays outside.

What openssl, ss, the mounts, QEMU and its monitor say. The pool keeps TLS; the other tests hold with and without it.
"""

from __future__ import annotations

import json
import subprocess
import typing as t

import pytest
from hosts import Guest, System
from modules import ANSIBLE, ROOT

from conftest import LAB, VOLUME

FILES = "/etc/ssl/glusterfs"
SIGN = "/var/lib/glusterd/secure-access"
QEMU_USER = ("setpriv", "--reuid=libvirt-qemu", "--regid=libvirt-qemu", "--init-groups")
VARIABLES = {
    "gluster_volume_prep_tls": "true",
    "gluster_volume_prep_tls_trial_ca": "{{ groups.gluster_nodes[0] }}",
    "gluster_volume_prep_tls_allow": "{{ groups.hypervisors }}",
}


def converge(*words: str) -> subprocess.CompletedProcess[str]:
    """converge.yml once more, now with TLS."""
    command = [f"{ANSIBLE}-playbook", "-i", str(LAB.inventory), str(ROOT / "molecule/cluster/converge.yml")]
    command += ["-e", json.dumps(VARIABLES), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def certificate_at(system: System, address: str) -> str:
    """What a TLS client hears at host:port: the subject of its certificate, or nothing."""
    said = system.host.run(f"timeout 10 openssl s_client -connect {address} < /dev/null").stdout
    return next((line for line in said.splitlines() if line.startswith("subject=")), "")


def speaks_tls(system: System) -> bool:
    return bool(certificate_at(system, "localhost:24007"))


def connections(system: System, program: str) -> list[str]:
    """The far ends, host:port, of a program's connections."""
    return [line.split()[4] for line in system.lines("ss", "-tnpH") if f'(("{program}' in line]


@pytest.fixture(scope="module")
def refusal(nodes: list[System]) -> str:
    """What the run says while guests run; nothing on a pool that has TLS from an earlier verification."""
    if speaks_tls(nodes[0]):
        return ""
    done = converge("--limit", "gluster_nodes")
    return done.stdout + done.stderr  # under molecule, failures go to the latter


@pytest.fixture(scope="module")
def switched(refusal: str, guests: list[Guest], mount_point: str) -> None:
    """The pool with TLS: guests and storage domain out of the way, then converge.yml does the rest."""
    if refusal:
        for guest in guests:
            guest.shut_down()
            guest.system.run("umount", mount_point)
    done = converge()
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_volume_in_use_is_not_switched(refusal: str, nodes: list[System], guests: list[Guest]) -> None:
    if not refusal:
        # only a verification that is run again: the gate's hosts are fresh, and nothing there takes TLS away again
        pytest.skip("the pool has TLS from an earlier verification")
    assert f"volume {VOLUME} has to be stopped to switch TLS on, and has clients on " in refusal
    assert [guest.state for guest in guests] == ["running", "running"]
    assert not any(node.host.file(SIGN).exists or speaks_tls(node) for node in nodes)
    recap = [line for line in refusal.splitlines() if "unreachable=" in line]
    assert len(recap) == 3
    assert all(" changed=0 " in line for line in recap), refusal[-3000:]
    assert not any(node.host.file(f"{FILES}.key").exists for node in nodes)


@pytest.mark.usefixtures("switched")
class TestSwitched:
    def test_a_second_run_changes_nothing(self) -> None:
        done = converge()
        assert done.returncode == 0, done.stdout[-3000:]
        recap = [line for line in done.stdout.splitlines() if "unreachable=" in line]
        assert len(recap) == 5
        assert all(" changed=0 " in line for line in recap), done.stdout[-3000:]

    def test_every_glusterd_and_every_brick_speaks_tls(self, nodes: list[System]) -> None:
        for node in nodes:
            ports = {line.split()[3].rpartition(":")[2] for line in node.lines("ss", "-tlnpH") if '(("gluster' in line}
            assert len(ports) == 2  # glusterd's and the brick's
            for port in ports:
                assert node.name in certificate_at(node, f"localhost:{port}")

    def test_guests_run_on_gfapi_over_tls(self, guests: list[Guest]) -> None:
        for guest in guests:
            assert guest.says()[-1] == "ready"
            assert "gluster" in {node["drv"] for node in guest.monitor("query-named-block-nodes", flat=True)}
            reached = connections(guest.system, "qemu-system")
            assert len(reached) == 4  # glusterd and three bricks
            assert all("CN" in certificate_at(guest.system, address) for address in reached)

    def test_the_key_is_for_root_and_qemu(self, hypervisors: list[System]) -> None:
        for system in hypervisors:
            assert system.run("stat", "--format=%u:%g %a", f"{FILES}.key").strip() == "0:36 640"
            assert system.host.run(" ".join([*QEMU_USER, "cat", f"{FILES}.key"])).rc == 0
            assert system.host.run(f"setpriv --reuid=nobody --regid=nogroup --clear-groups cat {FILES}.key").rc != 0


@pytest.fixture
def image(guests: list[Guest]) -> str:
    """The path on the volume of the first guest's disk."""
    (name,) = guests[0].system.lines("virsh", "domblklist", guests[0].name, "--details")[2].split()[3:]
    return name


def opens(system: System, image: str, node: System) -> bool:
    """Whether qemu-img, as QEMU's user, gets at the image through libgfapi."""
    command = [*QEMU_USER, "timeout", "60", "qemu-img", "info", "--force-share", f"gluster://{node.name}/{image}"]
    return system.host.run(" ".join(command)).rc == 0


def mounts(system: System, node: System) -> bool:
    """Whether the volume can be mounted and listed."""
    folder = "/mnt/tls"
    command = (
        f"mkdir -p {folder}; timeout 60 mount -t glusterfs {node.name}:/{VOLUME} {folder} && timeout 20 ls -A {folder}/"
    )
    listed = system.host.run(command)
    system.host.run(f"umount --lazy {folder}")
    return listed.rc == 0 and bool(listed.stdout.strip())


LOST: dict[str, str] = {
    "no certificate": f"mv {FILES}.pem {FILES}.pem.aside",
    "no management encryption": f"mv {SIGN} {SIGN}.aside",
    "a certificate of another CA": (
        f"mv {FILES}.pem {FILES}.pem.aside && mv {FILES}.key {FILES}.key.aside && "
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=$(hostname) -keyout {FILES}.key -out {FILES}.pem"
        f" && chmod 644 {FILES}.key"
    ),
}


@pytest.mark.usefixtures("switched")
class TestWithoutACertificate:
    @pytest.fixture(params=LOST)
    def outsider(self, request: pytest.FixtureRequest, hypervisors: list[System]) -> t.Iterator[System]:
        """The second hypervisor, without what would let it in. Its guest runs on: it got in before."""
        system = hypervisors[1]
        system.host.check_output(LOST[request.param])
        yield system
        for path in (f"{FILES}.pem", f"{FILES}.key", SIGN):
            system.host.run(f"test ! -e {path}.aside || mv -f {path}.aside {path}")

    def test_it_cannot_mount_nor_open(self, outsider: System, nodes: list[System], image: str) -> None:
        assert not mounts(outsider, nodes[0])
        assert not opens(outsider, image, nodes[0])

    def test_with_all_of_it_it_can(self, hypervisors: list[System], nodes: list[System], image: str) -> None:
        assert mounts(hypervisors[1], nodes[0])
        assert opens(hypervisors[1], image, nodes[0])

    def test_a_certificate_that_is_not_let_in_does_not_help(
        self, hypervisors: list[System], nodes: list[System], image: str
    ) -> None:
        name = hypervisors[1].name
        allowed = nodes[0].run("gluster", "volume", "get", VOLUME, "auth.ssl-allow").split()[-1]
        assert name in allowed.split(",")
        others = ",".join(other for other in allowed.split(",") if other != name)
        nodes[0].run("gluster", "--mode=script", "volume", "set", VOLUME, "auth.ssl-allow", others)
        try:
            assert not mounts(hypervisors[1], nodes[0])
        finally:
            nodes[0].run("gluster", "--mode=script", "volume", "set", VOLUME, "auth.ssl-allow", allowed)
        assert mounts(hypervisors[1], nodes[0])
