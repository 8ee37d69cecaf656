# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import time
import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _host, _libvirt_domains
from ansible_collections.gfapi.virt.plugins.module_utils._command import Completed
from ansible_collections.gfapi.virt.plugins.module_utils._errors import CommandError, LibvirtError, MissingLibraryError
from ansible_collections.gfapi.virt.plugins.module_utils._host import Host, Peer, Pool, QemuUser
from ansible_collections.gfapi.virt.plugins.module_utils._versions import Version

MISSING: t.Final = CommandError("cannot run x: No such file or directory; install it or mend PATH")


class Says:
    """A program that gives one answer, and keeps what it was asked."""

    def __init__(self, answer: Completed | CommandError) -> None:
        self.answer = answer
        self.asked: list[list[str]] = []

    def __call__(
        self, argv: t.Sequence[str], *, stdin: str = "", timeout_s: float = 60, cwd: str | None = None
    ) -> Completed:
        self.asked.append(list(argv))
        if isinstance(self.answer, CommandError):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (Completed(0, "glusterfs 10.3\nCopyright\n", ""), Version((10, 3))),
        (Completed(0, "odd\n", ""), None),
        (MISSING, None),
    ],
)
def test_version_of_a_program(answer: Completed | CommandError, version: Version | None) -> None:
    assert Host(Says(answer)).version_of("gluster", "--version") == version


@pytest.mark.parametrize(
    ("answer", "driver"),
    [
        pytest.param(Completed(0, "Supported options:\n", ""), (True, ""), id="there"),
        pytest.param(
            Completed(1, "", "qemu-img: Unknown protocol 'gluster'\n"),
            (False, "qemu-img: Unknown protocol 'gluster'"),
            id="not there",
        ),
        pytest.param(
            Completed(-11, "", "qemu-img: Unable to load module gluster. Perhaps you want to install x?\n"),
            (False, "qemu-img: Unable to load module gluster. Perhaps you want to install x?"),
            id="not there, QEMU 10.0 crashes",
        ),
        pytest.param(MISSING, (False, str(MISSING)), id="no qemu-img"),
    ],
)
def test_driver_is_there_if_qemu_loads_it(answer: Completed | CommandError, driver: tuple[bool, str]) -> None:
    says = Says(answer)
    assert Host(says).gluster_driver() == driver
    # the options are asked for; nothing is created and nothing is connected to
    assert says.asked == [["qemu-img", "create", "-f", "qcow2", "-o", "help", "gluster://x/y/z"]]


@pytest.mark.parametrize(
    ("answer", "runs"),
    [(Completed(0, "", ""), True), (Completed(1, "Connection failed.", ""), False), (MISSING, False)],
)
def test_glusterd_runs_if_it_answers(answer: Completed | CommandError, runs: bool) -> None:
    assert Host(Says(answer)).glusterd_runs() is runs


# --- the pool -------------------------------------------------------------------------------------------------------

NODE2: t.Final = "b745be6f-cc00-4636-8bd4-c6471d9f6c56"
#: `ip -o address show`, of a host with a second address on the same network
ADDRESSES: t.Final = """\
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
1: lo    inet6 ::1/128 scope host \\       valid_lft forever preferred_lft forever
2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0\\       valid_lft forever preferred_lft forever
2: eth0    inet 192.0.2.8/24 brd 192.0.2.255 scope global secondary eth0\\       valid_lft forever preferred_lft forever
2: eth0    inet6 fe80::a45e:a7ff:fe72:92e3/64 scope link \\       valid_lft forever preferred_lft forever
"""


@pytest.fixture
def glusterd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Glusterd's folder, before it was ever started."""
    monkeypatch.setattr(_host, "GLUSTERD_DIRECTORY", str(tmp_path))
    return tmp_path


def test_a_host_without_gluster_is_in_no_pool(glusterd: Path) -> None:
    assert Host().pool() == Pool(None, (), ())


def test_pool_is_read_from_what_glusterd_keeps(glusterd: Path) -> None:
    (glusterd / "glusterd.info").write_text("UUID=1046fca5-3a62-4473-aeaa-80a8fae57503\noperating-version=100000\n")
    (glusterd / "peers").mkdir()
    (glusterd / "peers" / NODE2).write_text(f"uuid={NODE2}\nstate=3\nhostname1=node2\nhostname2=192.0.2.9\n")
    (glusterd / "vols" / "vmstore").mkdir(parents=True)
    pool = Host().pool()
    assert pool == Pool("1046fca5-3a62-4473-aeaa-80a8fae57503", (Peer(NODE2, ("node2", "192.0.2.9")),), ("vmstore",))


@pytest.mark.parametrize(
    ("name", "own"),
    [
        pytest.param("192.0.2.7", True, id="address"),
        pytest.param("192.0.2.8", True, id="second address"),
        pytest.param("fe80::a45e:a7ff:fe72:92e3", True, id="IPv6"),
        pytest.param("192.0.2.9", False, id="address of another host"),
        pytest.param("127.0.1.1", True, id="what Debian writes into /etc/hosts for the own name"),
        pytest.param("no-such-host.invalid", False, id="nobody knows it"),
        pytest.param("x" * 300, False, id="no name at all"),
    ],
)
def test_names_of_this_host(name: str, own: bool) -> None:
    assert Host(Says(Completed(0, ADDRESSES, ""))).own_names([name]) == [name] * own


def test_glusterd_has_read_its_file_if_it_was_started_after(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pid, file = tmp_path / "glusterd.pid", tmp_path / "glusterd.vol"
    monkeypatch.setattr(_host, "GLUSTERD_PID", str(pid))
    monkeypatch.setattr(_host, "GLUSTERD_VOL", str(file))
    assert Host().glusterd_has_read_its_file()
    file.touch()
    assert Host().glusterd_has_read_its_file()
    begun = time.time()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as daemon:
        pid.write_text(f"{daemon.pid}\n")
        # the kernel counts starts in hundredths of a second
        for written, read in ((begun - 0.1, True), (0, True), (time.time() + 0.1, False)):
            os.utime(file, (written, written))
            assert Host().glusterd_has_read_its_file() is read
    pid.write_text("4194305\n")  # no process: above the largest that Linux gives
    assert Host().glusterd_has_read_its_file()


def test_nothing_is_asked_where_no_name_is_given() -> None:
    says = Says(MISSING)
    assert Host(says).own_names([]) == []
    assert says.asked == []


@pytest.mark.parametrize(
    ("here", "there", "found"),
    [
        (True, MISSING, True),
        (False, Completed(0, "", ""), True),
        (False, Completed(1, "", ""), False),
        (False, MISSING, False),
    ],
)
def test_library_may_be_here_or_in_the_python_of_the_system(
    monkeypatch: pytest.MonkeyPatch, here: bool, there: Completed | CommandError, found: bool
) -> None:
    finder = types.SimpleNamespace(util=types.SimpleNamespace(find_spec=lambda _name: object() if here else None))
    monkeypatch.setattr(_host, "importlib", finder)
    assert Host(Says(there)).has_library("lxml") is found


def test_program_is_found_where_root_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not Host().has_program("gfapi-none")
    program = tmp_path / "gfapi-none"
    program.touch(mode=0o755)
    assert Host().has_program("gfapi-none")


# --- libvirt --------------------------------------------------------------------------------------------------------


def libvirt_that(monkeypatch: pytest.MonkeyPatch, answer: tuple[str, str | None] | Exception) -> None:
    def version() -> tuple[str, str | None]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(_libvirt_domains, "LibvirtDomains", lambda _uri: types.SimpleNamespace(version=version))


def test_versions_of_libvirt_and_its_qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    libvirt_that(monkeypatch, ("9.0.0", "7.2.22"))
    assert Host().libvirt_versions() == (Version((9, 0, 0)), Version((7, 2, 22)), "")


def test_libvirt_that_does_not_answer_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    libvirt_that(monkeypatch, LibvirtError("cannot connect"))
    assert Host().libvirt_versions() == (None, None, "cannot connect")


def test_library_that_is_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    libvirt_that(monkeypatch, MissingLibraryError("libvirt"))
    monkeypatch.setattr(Host, "has_library", lambda _self, _name: False)
    library, qemu, reason = Host().libvirt_versions()
    assert (library, qemu) == (None, None)
    assert reason.endswith("install python3-libvirt")


def test_library_of_the_system_is_left_to_the_glue(monkeypatch: pytest.MonkeyPatch) -> None:
    libvirt_that(monkeypatch, MissingLibraryError("libvirt"))
    monkeypatch.setattr(Host, "has_library", lambda _self, _name: True)
    with pytest.raises(MissingLibraryError):
        Host().libvirt_versions()


# --- users, groups, files -------------------------------------------------------------------------------------------


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two users; what is returned is qemu.conf."""
    users = {"libvirt-qemu": (64055, 103), "me": (1000, 1000)}

    def by_name(name: str) -> types.SimpleNamespace:
        uid, gid = users[name]
        return types.SimpleNamespace(pw_name=name, pw_uid=uid, pw_gid=gid)

    def by_number(number: int) -> types.SimpleNamespace:
        return by_name({uid: name for name, (uid, _gid) in users.items()}[number])

    monkeypatch.setattr(pwd, "getpwnam", by_name)
    monkeypatch.setattr(pwd, "getpwuid", by_number)
    monkeypatch.setattr(os, "getgrouplist", lambda _name, gid: [36, gid, gid])
    monkeypatch.setattr(_host, "QEMU_CONF", str(tmp_path / "qemu.conf"))
    return tmp_path / "qemu.conf"


DEBIAN: t.Final = QemuUser("libvirt-qemu", 64055, 103, (36, 103))
ME: t.Final = QemuUser("me", 1000, 1000, (36, 1000))


@pytest.mark.parametrize(
    ("conf", "user"),
    [
        pytest.param(None, DEBIAN, id="no file"),
        pytest.param('#user = "me"\n', DEBIAN, id="comment"),
        pytest.param('group = "x"\nuser = "me"\n', ME, id="name"),
        pytest.param('  user="+1000"\n', ME, id="number"),
        pytest.param('remember_owner = 1\nuser = "nobody-knows"\n', None, id="unknown"),
    ],
)
def test_user_that_qemu_runs_as(accounts: Path, conf: str | None, user: QemuUser | None) -> None:
    if conf is not None:
        accounts.write_text(conf, "utf-8")
    assert Host().qemu_user() == user


@pytest.mark.parametrize(
    ("conf", "user"),
    [
        pytest.param('swtpm_user = "libvirt-qemu"\n', None, id="name"),
        pytest.param('  swtpm_user="+64055"\n', None, id="number"),
        pytest.param('#swtpm_user = "libvirt-qemu"\n', "libvirt-qemu", id="comment"),
        pytest.param('user = "me"\nswtpm_user = "libvirt-qemu"\n', "me", id="not the user of this QEMU"),
        pytest.param('user = "nobody-knows"\n', None, id="unknown user"),
        pytest.param(None, None, id="cannot be read"),
    ],
)
def test_swtpm_has_to_run_as_the_user_of_qemu(accounts: Path, conf: str | None, user: str | None) -> None:
    if conf is not None:
        accounts.write_text(conf, "utf-8")
    problem = Host().swtpm_problem()
    assert (f'set swtpm_user = "{user}" in {accounts}' in problem) if user else problem == ""


def test_group_with_gid_36(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {36: "kvm36"}
    monkeypatch.setattr(grp, "getgrgid", lambda gid: types.SimpleNamespace(gr_name=names[gid]))
    assert Host().storage_group() == "kvm36"
    names.clear()
    assert Host().storage_group() is None


@pytest.mark.parametrize(
    ("owner", "group", "mode", "user", "usable"),
    [
        pytest.param(0, 36, 0o660, DEBIAN, True, id="in its group"),
        pytest.param(0, 36, 0o640, DEBIAN, False, id="group may only read"),
        pytest.param(0, 108, 0o660, DEBIAN, False, id="in another group"),
        pytest.param(64055, 0, 0o600, DEBIAN, True, id="owner"),
        pytest.param(0, 0, 0o666, DEBIAN, True, id="everybody"),
        pytest.param(0, 0, 0o666, None, True, id="everybody, no user"),
        pytest.param(0, 36, 0o660, None, False, id="no user"),
    ],
)
def test_kvm_is_usable_by_the_user_of_qemu(
    monkeypatch: pytest.MonkeyPatch, owner: int, group: int, mode: int, user: QemuUser | None, usable: bool
) -> None:
    found = types.SimpleNamespace(st_uid=owner, st_gid=group, st_mode=0o020000 | mode)
    monkeypatch.setattr(_host, "os", types.SimpleNamespace(stat=lambda _path: found))
    assert Host().kvm(user) == (True, usable)


def test_host_without_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(path: str) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr(_host, "os", types.SimpleNamespace(stat=stat))
    assert Host().kvm(DEBIAN) == (False, False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("volume management\n    option rpc-auth-allow-insecure on\nend-volume\n", "on"),
        ("    option  rpc-auth-allow-insecure\toff\n", "off"),
        ("#   option rpc-auth-allow-insecure on\n", None),
        ("volume management\nend-volume\n", None),
        (None, None),
    ],
)
def test_insecure_ports_in_the_file_of_glusterd(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, value: str | None
) -> None:
    path = tmp_path / "glusterd.vol"
    if text is not None:
        path.write_text(text, "utf-8")
    monkeypatch.setattr(_host, "GLUSTERD_VOL", str(path))
    assert Host().configured_insecure_rpc() == value
