# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The edge against libvirt's own test driver, which runs in this process."""

from __future__ import annotations

import concurrent.futures
import threading
import types
import typing as t

import libvirt
import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _libvirt, _libvirt_domains, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._disk import DiskSource, Layer, gluster_disk
from ansible_collections.gfapi.virt.plugins.module_utils._domain import Domain, new_element, with_defaults
from ansible_collections.gfapi.virt.plugins.module_utils._errors import LibvirtError, MissingLibraryError
from ansible_collections.gfapi.virt.plugins.module_utils._image_users import ImageUser, ImageUsers
from ansible_collections.gfapi.virt.plugins.module_utils._libvirt import without_log
from ansible_collections.gfapi.virt.plugins.module_utils._libvirt_domains import LibvirtDomains
from ansible_collections.gfapi.virt.tests.unit.recorded import FIXTURES

URI: t.Final = "test:///default"
UUID: t.Final = "5d1b8f5e-6a4a-4f7e-9a34-1f0f5f1d2c3b"
IMAGE: t.Final = DiskSource.gluster("vmstore", f"8e2d/images/{UUID}/6c11", ["gl1"])
OTHER: t.Final = DiskSource.gluster("vmstore", "8e2d/images/other/1", ["gl1"])


@pytest.fixture
def edge() -> t.Iterator[LibvirtDomains]:
    """A connection; what a test leaves behind goes."""
    found = LibvirtDomains(URI)
    yield found
    connection = libvirt.open(URI)
    for domain in connection.listAllDomains(0):
        if domain.name() != "test":
            if domain.isActive():
                domain.destroy()
            domain.undefine()


def element(name: str, *sources: DiskSource, backing: tuple[Layer, ...] = ()) -> _xml.Element:
    disks = tuple(
        gluster_disk(source, "qcow2", target=f"vd{chr(ord('a') + index)}", backing=backing)
        for index, source in enumerate(sources)
    )
    domain = Domain(name, type="test", memory_kib=8192, disks=disks)
    return new_element(with_defaults(domain, arch="i686", has_kvm=False))


def test_a_daemon_that_lets_nobody_in_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(libvirt, "open", lambda _uri: over.wait())
    monkeypatch.setattr(_libvirt, "CONNECT_S", 0.01)
    with pytest.raises(LibvirtError, match="cannot connect to libvirt at test:///default: no answer within .* hang"):
        LibvirtDomains(URI).domains()
    over.set()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (
            "stopped_volume",
            "QEMU cannot open st/x: Gluster connection for volume st, path x failed to connect hint: failed on host gl1"
            " and port 24007; is volume st started, and the image on it? (gluster volume status st)",
        ),
        (
            "unknown_volume",
            "QEMU cannot open nosuch/x: Gluster connection for volume nosuch, path x failed to connect hint: failed on"
            " host gl1 and port 24007; the server has no volume nosuch; mend the disk's source",
        ),
        (
            "missing_image",
            "QEMU cannot open vmstore/x: Could not open image: No such file or directory; is volume vmstore started,"
            " and the image on it? (gluster volume status vmstore)",
        ),
    ],
)
def test_why_a_domain_does_not_start_is_said_without_logs(what: str, words: str) -> None:
    text = (FIXTURES / "libvirt" / f"start_{what}_9.0.txt").read_text()
    assert without_log(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "Domain not found",
        'qemu-system-x86_64: -blockdev {"driver":"file","filename":"/x"}: Could not open',
        'qemu-system-x86_64: -blockdev {"driver":"gluster",}: Could not open',
        "qemu-system-x86_64: -blockdev " + '{"a":' * 9999 + "}" * 9999 + ": Could not open",
    ],
    ids=["not of QEMU", "a file", "no JSON", "nested too deep"],
)
def test_other_words_of_libvirt_stay(text: str) -> None:
    assert without_log(text) == text


def test_a_refusal_that_lacks_a_name_is_told_all_the_same() -> None:
    text = 'qemu-system-x86_64: -blockdev {"driver":"gluster"}: Could not open'
    assert without_log(text).startswith("QEMU cannot open None/None: Could not open; is volume None started")


def test_domain_that_is_not_there_is_none(edge: LibvirtDomains) -> None:
    assert edge.domain("none") is None


def test_domain_is_defined_started_and_shut_down(edge: LibvirtDomains) -> None:
    edge.define(element("web", IMAGE))
    record = edge.domain("web")
    assert record is not None
    assert (record.name, record.state, record.is_active, record.autostart) == ("web", "shut_off", False, False)
    assert record.inactive.find("devices/disk/source").get("name") == IMAGE.name
    edge.start("web")
    running = edge.domain("web")
    assert running is not None
    assert (running.state, running.is_active, running.uuid) == ("running", True, record.uuid)
    edge.shut_down("web", timeout_s=10, force=False)
    stopped = edge.domain("web")
    assert stopped is not None
    assert (stopped.state, stopped.live) == ("shut_off", None)


def test_domain_is_redefined_under_its_name(edge: LibvirtDomains) -> None:
    edge.define(element("web", IMAGE))
    record = edge.domain("web")
    assert record is not None
    record.inactive.find("memory").text = "16384"
    edge.define(record.inactive)
    again = edge.domain("web")
    assert again is not None
    assert (again.uuid, again.inactive.findtext("memory")) == (record.uuid, "16384")


def test_managed_save_is_read_with_its_own_configuration(edge: LibvirtDomains, monkeypatch: pytest.MonkeyPatch) -> None:
    # the test driver saves, but does not show what
    monkeypatch.setattr(libvirt.virDomain, "managedSaveGetXMLDesc", lambda _domain, _flags: "<domain type='saved'/>")
    edge.define(element("web", IMAGE))
    before = edge.domain("web")
    assert before is not None
    assert before.saved is None
    edge.start("web")
    web = libvirt.open(URI).lookupByName("web")
    web.managedSave(0)
    record = edge.domain("web")
    web.managedSaveRemove(0)
    assert record is not None
    assert record.saved is not None
    assert (record.is_active, record.saved.get("type")) == (False, "saved")


def test_what_fails_the_schema_is_not_defined(edge: LibvirtDomains) -> None:
    bad = element("web", IMAGE)
    bad.find("devices/disk/source/host").set("name", "h_1")
    with pytest.raises(
        LibvirtError, match=r"^cannot define domain web: .*XML document failed to validate against schema"
    ):
        edge.define(bad)
    assert edge.domain("web") is None


@pytest.mark.parametrize(("looks", "reason"), [(3, None), (10**6, "starting_up")])
def test_a_domain_that_is_just_being_started_is_waited_for(
    edge: LibvirtDomains, clock: list[float], monkeypatch: pytest.MonkeyPatch, looks: int, reason: str | None
) -> None:
    edge.define(element("web"))
    seen: list[str] = []

    def state_and_reason(_domain: object) -> tuple[str, str | None]:
        seen.append("")
        return ("paused", "starting_up") if len(seen) <= looks else ("running", None)

    monkeypatch.setattr(_libvirt, "state_and_reason", state_and_reason)
    record = edge.domain("web")
    assert record is not None
    assert record.pause_reason == reason
    assert sum(clock) <= _libvirt.STARTED_S + 1
    assert len(clock) == (3 if reason is None else len(seen) - 1)


def test_domains_are_listed_by_name(edge: LibvirtDomains) -> None:
    edge.define(element("web"))
    edge.define(element("db"))
    assert [record.name for record in edge.domains()] == ["db", "test", "web"]


def test_a_domain_that_goes_while_it_is_read_is_gone(edge: LibvirtDomains, monkeypatch: pytest.MonkeyPatch) -> None:
    edge.define(element("web"))
    gone = edge.connection.lookupByName("web")
    gone.undefine()
    listed = [gone, edge.connection.lookupByName("test")]
    connection = types.SimpleNamespace(listAllDomains=lambda _flags: listed, lookupByName=lambda _name: gone)
    monkeypatch.setattr(edge, "connection", connection)
    assert [record.name for record in edge.domains()] == ["test"]
    assert edge.domain("web") is None


def test_users_of_an_image_are_named_running_ones_first(edge: LibvirtDomains) -> None:
    edge.define(element("a", IMAGE))
    edge.define(element("b", OTHER, OTHER))
    edge.define(element("c", OTHER, backing=(Layer(IMAGE, "qcow2"),)))
    edge.define(element("d", OTHER, IMAGE))
    edge.start("d")
    asked = ImageUsers(URI, daemons=[__file__])
    users = asked.of(UUID, "6c11")
    assert users == (ImageUser("d", True, "vdb"), ImageUser("a", False, "vda"), ImageUser("c", False, "vda"))
    assert str(users[0]) == "domain d (running, disk vdb)"
    assert str(users[1]) == "domain a (defined, disk vda)"
    assert asked.of("none", "6c11") == ()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that passes only in pauses, which are kept."""
    pauses: list[float] = []
    time = types.SimpleNamespace(monotonic=lambda: sum(pauses), sleep=pauses.append)
    for module in (_libvirt, _libvirt_domains):
        monkeypatch.setattr(module, "time", time)
    return pauses


@pytest.mark.usefixtures("clock")
def test_guest_that_does_not_power_off_is_left_or_ended(edge: LibvirtDomains, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt.virDomain, "shutdown", lambda _domain: 0)
    edge.define(element("web"))
    edge.start("web")
    words = r"^cannot shut down domain web: the guest did not power off within 60 s; .*force_stop: true$"
    with pytest.raises(LibvirtError, match=words):
        edge.shut_down("web", timeout_s=60, force=False)
    still = edge.domain("web")
    assert still is not None
    assert still.state == "running"
    edge.shut_down("web", timeout_s=60, force=True)
    ended = edge.domain("web")
    assert ended is not None
    assert ended.state == "shut_off"


def test_power_button_is_pressed_again(
    edge: LibvirtDomains, monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    """A guest that was still booting did not see the first press."""
    presses: list[float] = []
    shut_down = libvirt.virDomain.shutdown

    def press(domain: t.Any) -> None:
        presses.append(round(sum(clock)))
        if len(presses) == 3:
            shut_down(domain)

    monkeypatch.setattr(libvirt.virDomain, "shutdown", press)
    edge.define(element("web"))
    edge.start("web")
    edge.shut_down("web", timeout_s=60, force=False)
    assert presses == [0, 10, 20]


@pytest.mark.usefixtures("clock")
def test_guest_that_is_gone_before_the_button_is_pressed_is_no_failure(
    edge: LibvirtDomains, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge.define(element("web"))
    edge.shut_down("web", timeout_s=60, force=False)
    # which says the same of one that does not run as QEMU's driver of both
    monkeypatch.setattr(libvirt.virDomain, "shutdown", libvirt.virDomain.destroy)
    seen = iter(["running", "shut_off"])
    monkeypatch.setattr(_libvirt, "state_and_reason", lambda _domain: (next(seen), None))
    edge.shut_down("web", timeout_s=60, force=False)


@pytest.mark.usefixtures("clock")
def test_guest_that_powers_off_before_it_is_ended_is_no_failure(
    edge: LibvirtDomains, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge.define(element("web"))
    monkeypatch.setattr(_libvirt, "state_and_reason", lambda _domain: ("running", None))
    edge.shut_down("web", timeout_s=0, force=True)


def test_no_button_is_pressed_where_no_time_is_given(
    edge: LibvirtDomains, monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    monkeypatch.delattr(libvirt.virDomain, "shutdown")
    edge.define(element("web"))
    edge.start("web")
    edge.shut_down("web", timeout_s=0, force=True)
    ended = edge.domain("web")
    assert ended is not None
    assert (ended.state, clock) == ("shut_off", [])


def test_paused_guest_is_not_waited_for(edge: LibvirtDomains, clock: list[float]) -> None:
    edge.define(element("web"))
    edge.start("web")
    libvirt.open(URI).lookupByName("web").suspend()
    with pytest.raises(LibvirtError, match=r"^cannot shut down domain web: it is paused, .*; resume it first"):
        edge.shut_down("web", timeout_s=60, force=False)
    edge.shut_down("web", timeout_s=60, force=True)
    ended = edge.domain("web")
    assert ended is not None
    assert (ended.state, clock) == ("shut_off", [])


class Daemon:
    """libvirtd with domains that start together only, as many as it is to serve at once."""

    def __init__(self) -> None:
        self.all_there = threading.Barrier(_libvirt.LONG_CALLS, timeout=30)
        self.lock = threading.Lock()
        #: the most calls at once that each connection, in the order they were opened, had unanswered
        self.most: list[int] = []

    def open(self, _uri: str) -> t.Any:
        number, now = len(self.most), [0]
        self.most.append(0)

        def create(_flags: int) -> None:
            with self.lock:
                now[0] += 1
                self.most[number] = max(self.most[number], now[0])
            self.all_there.wait()
            with self.lock:
                now[0] -= 1

        domain = types.SimpleNamespace(createWithFlags=create)
        return types.SimpleNamespace(lookupByName=lambda _name: domain, setKeepAlive=lambda *_numbers: None)


def test_many_starts_share_what_libvirtd_serves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than its workers would hang here: the barrier lets no more than those through together."""
    daemon = Daemon()
    monkeypatch.setattr(libvirt, "open", daemon.open)
    edge = LibvirtDomains()
    assert edge.connection
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        list(pool.map(edge.start, map(str, range(3 * _libvirt.LONG_CALLS))))
    limit = _libvirt.LONG_CALLS_A_CONNECTION
    assert daemon.most == [limit] * (_libvirt.LONG_CALLS // limit)


def test_a_single_start_needs_no_connection_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon()
    daemon.all_there = threading.Barrier(1)
    monkeypatch.setattr(libvirt, "open", daemon.open)
    edge = LibvirtDomains()
    for name in "abc":
        edge.start(name)
    assert daemon.most == [1]


REFUSED: t.Final[dict[str, tuple[t.Callable[[LibvirtDomains], object], str]]] = {
    "start": (lambda edge: edge.start("none"), "start domain none"),
    "undefine": (lambda edge: edge.undefine("none"), "undefine domain none"),
    "autostart": (lambda edge: edge.set_autostart("none", autostart=True), "set autostart of domain none"),
    "resume": (lambda edge: edge.resume("none"), "resume domain none"),
    "shut down": (lambda edge: edge.shut_down("none", timeout_s=1, force=True), "shut down domain none"),
    "grow": (lambda edge: edge.block_resize("none", "vda", 1), "grow disk vda of domain none"),
    "QMP": (lambda edge: edge.qmp("none", "query-block"), "ask the QEMU of domain none: query-block"),
}


@pytest.mark.parametrize(("call", "doing"), REFUSED.values(), ids=REFUSED)
def test_refusal_keeps_the_words_of_libvirt(
    edge: LibvirtDomains, call: t.Callable[[LibvirtDomains], object], doing: str
) -> None:
    with pytest.raises(LibvirtError, match=rf"^cannot {doing}: .*(Domain not found|no domain with matching name)"):
        call(edge)


def test_daemon_that_is_not_there_is_said_with_the_mend() -> None:
    uri = "qemu+unix:///system?socket=/nonexistent/sock"
    with pytest.raises(
        LibvirtError, match=r"^cannot connect to libvirt at qemu\+unix:.*: Failed to connect socket .*; is libvirtd"
    ):
        LibvirtDomains(uri).domain("web")


def test_nothing_is_connected_until_it_is_asked() -> None:
    LibvirtDomains("qemu+unix:///system?socket=/nonexistent/sock")


@pytest.mark.parametrize(
    ("uri", "remote"),
    [
        ("qemu:///system", False),
        ("test:///default", False),
        ("qemu+unix:///system?socket=/s", False),
        ("qemu+ssh://root@h/system", True),
        ("qemu://h/system", True),
        ("qemu+tls://[::1]/system", True),
    ],
)
def test_uri_of_another_host_is_remote(uri: str, remote: bool) -> None:
    assert LibvirtDomains(uri).is_remote is remote


def test_versions_are_text(edge: LibvirtDomains) -> None:
    library, hypervisor = edge.version()
    number = libvirt.getVersion()
    assert library == f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"
    assert hypervisor is None


def test_host_is_described(edge: LibvirtDomains) -> None:
    assert edge.host_architecture() == "i686"
    assert not edge.has_kvm("i686")


def test_missing_library_is_told_to_the_glue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_libvirt, "HAS_LIBVIRT", False)
    with pytest.raises(MissingLibraryError) as caught:
        LibvirtDomains(URI)
    assert caught.value.library == "libvirt"


@pytest.mark.parametrize(("size_bytes", "resized"), [(3 << 30, [("vdb", 3 << 30)]), (2 << 30, []), (1 << 30, [])])
def test_a_disk_that_is_as_large_already_is_not_resized(size_bytes: int, resized: list[tuple[str, int]]) -> None:
    asked = []

    class Domain:
        def blockResize(self, target: str, size: int, _flags: int) -> None:
            asked.append((target, size))

    class Connection:
        def lookupByName(self, _name: str) -> Domain:
            return Domain()

        def domainListGetStats(
            self, domains: list[Domain], _stats: int, _flags: int
        ) -> list[tuple[Domain, dict[str, t.Any]]]:
            # as libvirt 9.0 tells it
            disks = {
                "block.0.name": "vda",
                "block.0.capacity": 1 << 30,
                "block.1.name": "vdb",
                "block.1.capacity": 2 << 30,
            }
            return [(domains[0], {"block.count": 2, **disks})]

    edge = LibvirtDomains()
    edge.__dict__["connection"] = Connection()
    edge.block_resize("web", "vdb", size_bytes)
    assert asked == resized


class TroubledDomain:
    """Paused by an I/O error, which comes back as often as it is told.

    Once QEMU has given its disk up, after some attempts to resume it, it refuses one command.
    """

    def __init__(self, *, failures: int = 0, given_up: str = "", attempts: int = 0) -> None:
        self.failures = failures
        self.given_up = given_up
        self.attempts = attempts
        self.resumed = 0
        self.now = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR)

    def state(self) -> tuple[int, int]:
        return self.now

    def resume(self) -> None:
        self.resumed += 1
        if self.resumed > self.failures:
            self.now = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_UNPAUSED)

    def diskErrors(self) -> dict[str, int]:
        return {"vda": libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE}

    def qmp(self, _name: str, command: str) -> list[t.Any]:
        if command == self.given_up and self.resumed >= self.attempts:
            raise LibvirtError(f"unable to execute QEMU command '{command}': Can't get image size '': No medium found")
        return []

    def XMLDesc(self, _flags: int) -> str:
        return _xml.to_text(element("web", IMAGE))


def resuming(domain: TroubledDomain) -> LibvirtDomains:
    edge = LibvirtDomains()
    edge.__dict__["connection"] = types.SimpleNamespace(lookupByName=lambda _name: domain)
    edge.__dict__["qmp"] = domain.qmp
    return edge


@pytest.mark.usefixtures("clock")
def test_domain_goes_on_once_the_trouble_is_over() -> None:
    domain = TroubledDomain()
    resuming(domain).resume("web")
    assert domain.resumed == 1


@pytest.mark.usefixtures("clock")
def test_trouble_that_remains_is_named_with_the_disk() -> None:
    domain = TroubledDomain(failures=1)
    words = (
        rf"^domain web was resumed and is paused again: disk vda \(vmstore/8e2d/images/{UUID}/6c11\): no space left; "
    )
    with pytest.raises(LibvirtError, match=words):
        resuming(domain).resume("web")
    resuming(domain).resume("web")


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("refused", ["query-block", "query-named-block-nodes"])  # by QEMU 7.2, and by 10.0
def test_domain_whose_disk_qemu_gave_up_is_not_resumed(refused: str) -> None:
    domain = TroubledDomain(given_up=refused)
    with pytest.raises(LibvirtError, match="^domain web cannot be resumed: QEMU has given up a disk"):
        resuming(domain).resume("web")
    assert domain.resumed == 0


@pytest.mark.usefixtures("clock")
def test_disk_that_qemu_gives_up_when_it_goes_on_is_told() -> None:
    domain = TroubledDomain(failures=1, given_up="query-named-block-nodes", attempts=1)
    words = "^domain web was resumed and is paused again: QEMU has given up a disk"
    with pytest.raises(LibvirtError, match=words):
        resuming(domain).resume("web")


def test_domain_that_somebody_paused_is_not_watched(edge: LibvirtDomains, clock: list[float]) -> None:
    edge.define(element("web"))
    edge.start("web")
    libvirt.open(URI).lookupByName("web").suspend()
    paused = edge.domain("web")
    assert paused is not None
    assert (paused.state, paused.pause_reason) == ("paused", "user")
    edge.resume("web")
    running = edge.domain("web")
    assert running is not None
    assert (running.state, running.pause_reason, clock) == ("running", None, [])


@pytest.mark.parametrize(
    ("words", "given_up"), [("query-block: Can't get image size '': No medium found", True), ("no such command", False)]
)
def test_block_devices_of_a_domain_whose_disk_was_given_up(
    monkeypatch: pytest.MonkeyPatch, words: str, given_up: bool
) -> None:
    def qmp(_edge: LibvirtDomains, _name: str, _command: str) -> t.Any:
        raise LibvirtError(words)

    monkeypatch.setattr(LibvirtDomains, "qmp", qmp)
    if given_up:
        assert LibvirtDomains().block_devices("web") is None
        return
    with pytest.raises(LibvirtError, match=words):
        LibvirtDomains().block_devices("web")
