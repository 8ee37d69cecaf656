# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import socket
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _gluster
from ansible_collections.gfapi.virt.plugins.module_utils._command import Completed
from ansible_collections.gfapi.virt.plugins.module_utils._errors import CommandError, GlusterError
from ansible_collections.gfapi.virt.plugins.module_utils._gluster import Gluster
from ansible_collections.gfapi.virt.plugins.module_utils._volume import Brick, Volume
from ansible_collections.gfapi.virt.tests.unit.recorded import (
    GLUSTER,
    PROGRAM,
    VERSION,
    Cluster,
    Replay,
    gluster_text,
)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses pass at once; what is kept is how long each would have been."""
    pauses: list[float] = []
    monkeypatch.setattr(_gluster.time, "sleep", pauses.append)
    monkeypatch.setattr(_gluster.time, "monotonic", lambda: sum(pauses))
    return pauses


@pytest.fixture
def glusterd(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket answers; what it says is recorded."""
    monkeypatch.setattr(_gluster, "_listens", lambda _path: True)


class Says:
    """A program that gives these answers in turn, and keeps what it was asked."""

    def __init__(self, *answers: Completed | CommandError) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[list[str], str]] = []

    def __call__(
        self, argv: t.Sequence[str], *, stdin: str = "", timeout_s: float = 60, cwd: str | None = None
    ) -> Completed:
        self.asked.append((list(argv), stdin))
        answer = self.answers.pop(0)
        if isinstance(answer, CommandError):
            raise answer
        return answer


def printed(recording: str) -> Completed:
    return Completed(0, gluster_text(recording), "")


# --- reading --------------------------------------------------------------------------------------------------------


def test_volume_is_read() -> None:
    volume = Gluster(Replay("volume_info_started")).volume("vmstore")
    assert (volume.name, volume.status, len(volume.bricks)) == ("vmstore", "Started", 3)


def test_another_host_is_asked_for_a_volume() -> None:
    says = Says(printed("volume_info_started"))
    Gluster(says).volume("vmstore", remote_host="2001:db8::1")
    assert says.asked == [([*PROGRAM, "--remote-host=2001:db8::1", "volume", "info", "vmstore"], "")]


def test_servers_begin_with_the_one_that_was_asked() -> None:
    says = Says(printed("volume_info_started"))
    assert Gluster(says).servers("vmstore", volfile_server="alias") == ("alias", "gl1")
    assert "--remote-host=alias" in says.asked[0][0]


@pytest.mark.usefixtures("glusterd")
def test_volume_and_its_options_are_read_by_one_process() -> None:
    replay = Replay("read_started")
    volume, options, op_version = Gluster(replay).volume_and_options("vmstore")
    assert options["config.transport"] == "tcp"
    assert (replay.left, volume.is_started, op_version) == ([], True, 100000)
    # in force by default, set and listed, and set but not listed by `volume get`
    assert options["features.shard-block-size"] == "64MB"
    assert options["client.event-threads"] == "8"
    assert options["user.note"] == "a: b <c>"


@pytest.mark.parametrize(
    ("recording", "own"), [("read_all", {}), ("read_all_set", {"cluster.server-quorum-ratio": "60"})]
)
def test_options_of_the_cluster_are_read_as_those_of_a_volume(recording: str, own: dict[str, str]) -> None:
    volume, options, op_version = Gluster(Replay(recording)).volume_and_options("all")
    assert (volume.name, volume.options, op_version) == ("all", own, 100000)
    assert options["cluster.brick-multiplex"] == "disable"
    assert options["cluster.server-quorum-ratio"] == own.get("cluster.server-quorum-ratio", "51")


@pytest.mark.parametrize("recording", ["volume_info_unknown", "volume_info_vmstore"])
def test_unknown_volume_is_named(recording: str) -> None:
    with pytest.raises(GlusterError, match=r"^cannot read volume unknown: .*; see gluster volume list$"):
        Gluster(Says(printed(recording))).volume("unknown")


@pytest.mark.usefixtures("glusterd")
def test_unknown_volume_is_named_when_its_options_are_read_too() -> None:
    with pytest.raises(
        GlusterError, match=r"^cannot read volume unknown: Volume does not exist; see gluster volume list$"
    ):
        Gluster(Replay("read_unknown")).volume_and_options("unknown")


@pytest.mark.usefixtures("glusterd")
def test_options_that_cannot_be_read_are_an_error() -> None:
    parts = ("volume_info_vmstore", "volume_get_unknown", "volume_get_unknown")
    with pytest.raises(GlusterError, match=r"^cannot read volume vmstore: Volume unknown does not exist"):
        Gluster(Says(Completed(1, "".join(map(gluster_text, parts)), ""))).volume_and_options("vmstore")


# --- glusterd is not there ------------------------------------------------------------------------------------------


def test_glusterd_that_is_down_is_said_with_the_mend() -> None:
    with pytest.raises(
        GlusterError, match=r"^cannot read volume vmstore: Connection failed\. .*systemctl start glusterd"
    ) as caught:
        Gluster(Replay("glusterd_down_info")).volume("vmstore")
    assert not caught.value.busy


def test_setting_says_it_too() -> None:
    with pytest.raises(GlusterError, match=r"^cannot set storage\.owner-uid on volume vmstore: Connection failed"):
        Gluster(Replay("glusterd_down_set")).set_options("vmstore", {"storage.owner-uid": "36"})


def test_commands_are_not_fed_to_a_program_that_would_wait_for_glusterd(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_gluster, "GLUSTERD_SOCKET", str(tmp_path / "none"))
    with pytest.raises(GlusterError, match="Connection failed"):
        Gluster(Replay("glusterd_down_info")).volume_and_options("vmstore")


def test_socket_that_listens_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    monkeypatch.setattr(_gluster, "GLUSTERD_SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen()
        Gluster(Replay("read_started")).volume_and_options("vmstore")


def test_missing_program_is_an_error_of_gluster() -> None:
    error = CommandError("cannot run gluster: No such file or directory; install it or mend PATH")
    with pytest.raises(GlusterError, match=r"^cannot read volume v: cannot run gluster: No such file"):
        Gluster(Says(error)).volume("v")


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recording", "options", "says"),
    [
        pytest.param(
            "volume_set_bad_value",
            {"storage.owner-gid": "junk"},
            'cannot set storage.owner-gid on volume vmstore: invalid number format "junk" in option "brick-gid"',
            id="bad value",
        ),
        pytest.param(
            "volume_set_unknown_option",
            {"nope.nope": "1"},
            "cannot set nope.nope on volume vmstore: option : nope.nope does not exist Did you mean nfs.nlm or ...port?"
            "; see gluster volume set help",
            id="unknown option",
        ),
        pytest.param(
            "volume_set_ambiguous_option",
            {"event-threads": "4"},
            "cannot set event-threads on volume vmstore: option : event-threads does not exist"
            " Did you mean event-threads?; see gluster volume set help",
            id="ambiguous option",
        ),
    ],
)
def test_exit_status_0_is_no_success(recording: str, options: dict[str, str], says: str) -> None:
    with pytest.raises(GlusterError) as caught:
        Gluster(Replay(recording)).set_options("vmstore", options)
    assert str(caught.value) == says
    assert not caught.value.busy


def test_unknown_volume_is_named_when_options_are_set() -> None:
    with pytest.raises(GlusterError, match=r"Volume unknown does not exist; see gluster volume list$"):
        Gluster(Replay("volume_set_unknown_volume")).set_options("unknown", {"storage.owner-uid": "36"})


def test_options_are_set_by_one_process() -> None:
    replay = Replay("volume_set")
    Gluster(replay).set_options("vmstore", {"storage.owner-uid": "36", "storage.owner-gid": "36"})
    assert replay.left == []


@pytest.mark.parametrize(
    ("done", "says"),
    [
        pytest.param(Completed(1, "", "\nUsage:\nvolume set <VOLNAME>\n\n"), "Usage: volume set <VOLNAME>", id="usage"),
        pytest.param(Completed(1, "", ""), "gluster ended with status 1 and said nothing", id="nothing said"),
        pytest.param(
            Completed(0, "<?xml version='1.0'?><a><b></a>", ""), "gluster printed malformed XML", id="bad XML"
        ),
        pytest.param(Completed(0, "<?xml version='1.0'?><a/>", ""), "gluster gave no reason", id="no opRet"),
        pytest.param(
            Completed(0, gluster_text("volume_set") * 2, ""), "Set volume successful", id="more than was asked for"
        ),
    ],
)
def test_answer_that_makes_no_sense_is_an_error(done: Completed, says: str) -> None:
    with pytest.raises(GlusterError, match=r"^[^\n]*$") as caught:
        Gluster(Says(done)).set_options("v", {"a.b": "c"})
    assert str(caught.value).startswith("cannot set a.b on volume v: ")
    assert says in str(caught.value)


def test_standard_error_counts_for_nothing_on_success() -> None:
    Gluster(Says(Completed(0, gluster_text("volume_set"), "E [rpc-clnt.c] All subvolumes are down"))).set_options(
        "v", {"a.b": "c"}
    )


# --- granular-entry-heal, which answers in plain text ---------------------------------------------------------------


def test_granular_entry_heal_succeeds_without_xml() -> None:
    assert "<?xml" not in gluster_text("heal_enable")
    replay = Replay("heal_enable")
    Gluster(replay).set_granular_entry_heal("vmstore", enable=True)
    assert replay.left == []


def test_granular_entry_heal_is_disabled() -> None:
    says = Says(Completed(0, "Disable granular entry heal on volume v has been successful\n", ""))
    Gluster(says).set_granular_entry_heal("v", enable=False)
    assert says.asked == [([*PROGRAM, "volume", "heal", "v", "granular-entry-heal", "disable"], "")]


def test_granular_entry_heal_fails_by_its_exit_status() -> None:
    with pytest.raises(
        GlusterError,
        match=r"^cannot enable granular-entry-heal on volume vmstore: vmstore: Not able to fetch volfile",
    ):
        Gluster(Replay("heal_not_started")).set_granular_entry_heal("vmstore", enable=True)


# --- the lock -------------------------------------------------------------------------------------------------------

MINE: t.Final = {"user.mine": "1"}


def test_lock_is_waited_for(clock: list[float]) -> None:
    says = Says(printed("volume_set_busy"), printed("volume_set_busy"), printed("volume_set"))
    Gluster(says, lock_timeout_s=60).set_options("vmstore", MINE)
    assert (says.answers, clock) == ([], [0.2, 0.4])


def test_lock_is_waited_for_no_longer_than_allowed(clock: list[float]) -> None:
    says = Says(*[printed("volume_set_busy")] * 100)
    with pytest.raises(
        GlusterError, match=r"Another transaction is in progress for vmstore.* \(waited 26 s for the lock\)$"
    ) as caught:
        Gluster(says, lock_timeout_s=30).set_options("vmstore", MINE)
    assert caught.value.busy
    assert sum(clock) <= 30
    assert max(clock) <= 5


def test_lock_is_not_waited_for_unless_allowed(clock: list[float]) -> None:
    with pytest.raises(GlusterError, match="Another transaction") as caught:
        Gluster(Replay("volume_set_busy")).set_options("vmstore", MINE)
    assert (caught.value.busy, clock) == (True, [])


@pytest.mark.parametrize(
    ("errno", "words"),
    [
        pytest.param("30800", "Locking failed on gl2. Please check log file for details.", id="a peer's words"),
        pytest.param("30802", "in words of a later release", id="number alone"),
    ],
)
def test_lock_is_told_by_its_number_or_its_words(clock: list[float], errno: str, words: str) -> None:
    busy = gluster_text("volume_set_busy").replace("30802", errno)
    busy = busy.replace("Another transaction is in progress for vmstore. Please try again after some time.", words)
    Gluster(Says(Completed(0, busy, ""), printed("volume_set")), lock_timeout_s=60).set_options("vmstore", MINE)
    assert clock == [0.2]


def test_other_failures_are_not_tried_again(clock: list[float]) -> None:
    with pytest.raises(GlusterError, match="invalid number"):
        Gluster(Replay("volume_set_bad_value"), lock_timeout_s=60).set_options("vmstore", {"storage.owner-gid": "junk"})
    assert clock == []


def test_who_holds_the_lock_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_gluster, "GLUSTERD_LOG", str(GLUSTER / f"lock_{VERSION}.log"))
    monkeypatch.setattr(_gluster, "WORKING_DIRECTORY", str(tmp_path))
    uuid = re.findall(r"held by (\S+)", (GLUSTER / f"lock_{VERSION}.log").read_text("utf-8"))[-1]
    peers = (GLUSTER / f"peers_{VERSION}.txt").read_text("utf-8")
    (tmp_path / "peers").mkdir()
    for peer in peers.split("uuid=")[1:]:
        (tmp_path / "peers" / peer[:36]).write_text(f"uuid={peer}", "utf-8")
    words = rf"again after some time\.; a transaction of gl[23] \({uuid}\) holds it \(waited 0 s"
    with pytest.raises(GlusterError, match=words):
        Gluster(Replay("lock_here")).set_options("vmstore", MINE)
    (tmp_path / "glusterd.info").write_text(f"UUID={uuid}\noperating-version=100000\n", "utf-8")
    with pytest.raises(GlusterError, match=rf"a transaction of this host \({uuid}\) holds it"):
        Gluster(Replay("lock_here")).set_options("vmstore", MINE)


def test_peer_that_is_locked_is_named_by_gluster() -> None:
    with pytest.raises(
        GlusterError, match=r"Locking failed on gl\d\. Please .* \(waited 0 s for the lock\)$"
    ) as caught:
        Gluster(Replay("lock_on_peer")).set_options("vmstore", MINE)
    assert caught.value.busy


# --- resets, restart, and what cannot be ----------------------------------------------------------------------------


@pytest.mark.usefixtures("glusterd")
def test_options_are_reset_by_one_process() -> None:
    replay = Replay("reset_two")
    Gluster(replay).reset_options("vmstore", ["client.event-threads", "network.ping-timeout"])
    assert replay.left == []


@pytest.mark.usefixtures("glusterd")
def test_reset_that_fails_is_named_though_another_was_done() -> None:
    with pytest.raises(GlusterError, match=r"^cannot reset .*: Option user\.note does not exist") as caught:
        Gluster(Replay("reset_bad")).reset_options("vmstore", ["user.note", "network.ping-timeout"])
    assert caught.value.partial


@pytest.mark.usefixtures("glusterd")
def test_only_resets_that_found_the_lock_taken_go_again() -> None:
    done, busy = gluster_text("reset_two").split("<?xml")[1], gluster_text("lock_here")
    says = Says(Completed(0, f"<?xml{done}{busy}", ""), Completed(0, f"<?xml{done}", ""))
    Gluster(says, lock_timeout_s=60).reset_options("v", ["a.b", "c.d"], protected=["c.d"])
    again = "volume reset v c.d force\n"
    assert [stdin for _argv, stdin in says.asked] == [f"volume reset v a.b\n{again}", again]


@pytest.mark.usefixtures("glusterd")
def test_volume_is_restarted_by_one_process() -> None:
    replay = Replay("restart")
    Gluster(replay).restart("vmstore")
    assert replay.left == []


@pytest.mark.parametrize("verb", ["start", "stop", "delete"])
def test_a_volume_is_started_stopped_and_deleted_by_a_call_each(verb: str) -> None:
    done = gluster_text("restart").split("<?xml")[1]
    says = Says(Completed(0, f"<?xml{done}", ""))
    getattr(Gluster(says), verb)("vmstore")
    assert says.asked == [(["gluster", "--mode=script", "--xml", "volume", verb, "vmstore"], "")]


def test_a_volume_that_cannot_be_stopped_is_told() -> None:
    with pytest.raises(GlusterError, match=r"^cannot stop volume vmstore: Quorum not met"):
        Gluster(Says(Completed(0, gluster_text("quorum_set"), ""))).stop("vmstore")


def test_the_uuid_of_this_hosts_glusterd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gluster, "WORKING_DIRECTORY", str(tmp_path))
    assert Gluster().own_uuid() == ""
    (tmp_path / "glusterd.info").write_text("UUID=u-1\noperating-version=100000\n")
    assert Gluster().own_uuid() == "u-1"


@pytest.mark.usefixtures("glusterd")
def test_volume_that_was_stopped_but_not_started_is_started_only() -> None:
    stopped = gluster_text("restart").split("<?xml")[1]
    says = Says(Completed(0, f"<?xml{stopped}{gluster_text('lock_here')}", ""), Completed(0, f"<?xml{stopped}", ""))
    Gluster(says, lock_timeout_s=60).restart("vmstore")
    assert says.asked[-1][1] == "volume start vmstore\n"


@pytest.mark.usefixtures("glusterd")
def test_volume_that_could_not_be_stopped_is_as_it_was() -> None:
    with pytest.raises(GlusterError, match=r"^cannot stop volume vmstore: Quorum not met\. .*peer status$") as caught:
        Gluster(Replay("quorum_restart")).restart("vmstore")
    assert not caught.value.partial


@pytest.mark.usefixtures("glusterd")
def test_volume_that_could_not_be_started_is_half_done() -> None:
    stopped = gluster_text("restart").split("<?xml")[1]
    says = Says(Completed(0, f"<?xml{stopped}{gluster_text('quorum_set')}", ""))
    with pytest.raises(GlusterError, match=r"^cannot start volume vmstore: Quorum not met") as caught:
        Gluster(says).restart("vmstore")
    assert caught.value.partial


@pytest.mark.parametrize(
    ("recording", "options", "says"),
    [
        ("quorum_set", {"user.mine": "3"}, "Quorum not met. Volume operation not allowed.; too few of the cluster's"),
        ("set_wide_on_volume", {"cluster.server-quorum-ratio": "55"}, "Not a valid option for single volume"),
        ("set_while_started", {"storage.linux-aio": "on"}, "Please stop the volume first."),
    ],
)
def test_refusal_keeps_the_words_of_gluster(recording: str, options: dict[str, str], says: str) -> None:
    with pytest.raises(GlusterError) as caught:
        Gluster(Replay(recording)).set_options("vmstore", options)
    assert says in str(caught.value)
    assert not caught.value.partial


def test_options_are_set_with_a_peer_down() -> None:
    Gluster(Replay("peer_down_set")).set_options("vmstore", {"user.mine": "2"})


def test_failed_commit_may_have_left_something() -> None:
    with pytest.raises(GlusterError, match="Commit failed on localhost") as caught:
        Gluster(Replay("set_user_on_all")).set_options("all", {"user.note": "x"})
    assert caught.value.partial


def test_brick_that_is_down_keeps_granular_entry_heal_from_being_enabled() -> None:
    with pytest.raises(GlusterError, match=r"One or more bricks could be down.*see gluster volume status"):
        Gluster(Replay("heal_brick_down")).set_granular_entry_heal("vmstore", enable=True)


# --- clients --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("glusterd")
@pytest.mark.parametrize(
    ("recording", "users", "bricks"),
    [
        ("clients_mounted", {"fuse": 1}, {"gl1:/bricks/vmstore", "gl2:/bricks/vmstore", "gl3:/bricks/vmstore"}),
        ("clients_none", {}, {"gl1:/bricks/vmstore", "gl2:/bricks/vmstore", "gl3:/bricks/vmstore"}),
        ("clients_peer_down", {}, {"gl1:/bricks/vmstore", "gl2:/bricks/vmstore"}),
    ],
)
def test_clients_are_read_with_the_bricks_that_answer(recording: str, users: dict[str, int], bricks: set[str]) -> None:
    clients = Gluster(Replay(recording)).clients("vmstore")
    assert (clients.users, clients.bricks) == (users, bricks)
    assert all(re.fullmatch(r"[0-9.]+", address) for address in clients.addresses)


@pytest.mark.usefixtures("glusterd")
def test_volume_without_any_client_may_not_tell_its_bricks() -> None:
    clients = Gluster(Replay("clients_distributed")).clients("spread")
    assert (clients.users, clients.bricks) == ({}, None)


@pytest.mark.usefixtures("glusterd")
def test_clients_are_asked_for_again_while_the_lock_is_taken(clock: list[float]) -> None:
    busy = "Another transaction is in progress for vmstore. Please try again after some time.\n"
    half = gluster_text("clients_none").partition("-----\n\n")[0]
    says = Says(Completed(1, "", busy), Completed(1, half, busy), printed("clients_none"))
    assert Gluster(says, lock_timeout_s=60).clients("vmstore").bricks
    assert (says.answers, clock) == ([], [0.2, 0.4])


@pytest.mark.usefixtures("glusterd")
def test_clients_that_cannot_be_read_are_an_error() -> None:
    with pytest.raises(
        GlusterError, match=r"^cannot read the clients of volume v: Volume v does not exist; see gluster"
    ):
        Gluster(Says(Completed(1, "", "Volume v does not exist"))).clients("v")


# --- option groups --------------------------------------------------------------------------------------------------


def test_group_is_read_from_the_file_of_this_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_gluster, "GROUPS_DIRECTORY", str(tmp_path))
    (tmp_path / "virt").write_text("performance.quick-read=off\n\n# a=b\nuser.x = y=z \nnot an option\n", "utf-8")
    assert Gluster().group("virt") == {"performance.quick-read": "off", "user.x": "y=z"}


def test_missing_group_is_named_with_the_mend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_gluster, "GROUPS_DIRECTORY", str(tmp_path))
    with pytest.raises(
        GlusterError, match=r"^cannot read option group virt \(.*/virt\): No such file or directory; the gluster"
    ):
        Gluster().group("virt")


# --- the state of volumes -------------------------------------------------------------------------------------------

STARTED: t.Final = Volume("vmstore", "Replicate", "Started", 3, ())
ALONE: t.Final = Volume("v", "Distribute", "Started", 1, (Brick("gl1", "/b1"), Brick("2001:db8::1", "/b2")))


def status_printed(*, busy: bool = False) -> Completed:
    text = (GLUSTER / "status_vmstore_10.3.xml").read_text("utf-8")
    refused = gluster_text("volume_set_busy")
    return Completed(0, refused * 3 if busy else text, "")


@pytest.mark.usefixtures("glusterd")
def test_peers_and_volumes_are_read_by_one_process() -> None:
    cluster = Cluster("10.3")
    peers, volumes = Gluster(cluster).pool_and_volumes()
    assert (len(peers), len(volumes), cluster.asked) == (3, 8, ["pool_and_info"])


def test_pool_without_glusterd_is_said_with_the_mend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_gluster, "GLUSTERD_SOCKET", str(tmp_path / "none"))
    down = Completed(1, gluster_text("glusterd_down_info"), "")
    with pytest.raises(GlusterError, match=r"^cannot read volumes: Connection failed\. .*systemctl start glusterd"):
        Gluster(Says(down)).pool_and_volumes()


def test_host_that_cannot_be_asked_is_named() -> None:
    down = Completed(1, gluster_text("glusterd_down_info"), "")
    with pytest.raises(GlusterError, match=r"^cannot read volumes of gl9: Connection failed"):
        Gluster(Says(down)).pool_and_volumes(remote_host="gl9")


def test_options_of_an_unknown_volume_are_an_error() -> None:
    with pytest.raises(GlusterError, match=r"^cannot read options of volume unknown: Volume unknown does not exist"):
        Gluster(Says(printed("volume_get_unknown"))).options_in_force(["unknown"])


def test_status_of_a_volume_is_read_by_one_process() -> None:
    says = Says(status_printed())
    (status,) = Gluster(says).status([STARTED], timeout_s=60)
    assert says.asked[0][1].splitlines() == [
        "volume status vmstore detail",
        "volume status vmstore",
        "volume status vmstore clients",
    ]
    assert len(status.bricks) == 3


def test_clients_of_a_volume_without_daemons_are_asked_of_each_brick() -> None:
    says = Says(Completed(0, gluster_text("volume_set_busy") * 4, ""))
    with pytest.raises(GlusterError, match="Another transaction"):
        Gluster(says).status([ALONE], timeout_s=0)
    assert says.asked[0][1].splitlines()[2:] == [
        "volume status v gl1:/b1 clients",
        "volume status v 2001:db8::1:/b2 clients",
    ]


def test_status_waits_for_another_transaction(clock: list[float]) -> None:
    says = Says(status_printed(busy=True), status_printed(busy=True), status_printed())
    (status,) = Gluster(says).status([STARTED], timeout_s=60)
    assert (len(status.bricks), says.answers, clock) == (3, [], [0.2, 0.4])


def test_status_waits_no_longer_than_allowed(clock: list[float]) -> None:
    says = Says(*[status_printed(busy=True)] * 100)
    with pytest.raises(
        GlusterError,
        match=r"^cannot read status of volume vmstore: Another transaction .* \(waited 30 s for the lock\)$",
    ) as caught:
        Gluster(says).status([STARTED], timeout_s=30)
    assert caught.value.busy
    assert 20 < sum(clock) <= 30


def test_status_of_a_stopped_volume_is_an_error() -> None:
    stopped = Completed(0, (GLUSTER / "status_stopped_10.3.xml").read_text("utf-8"), "")
    with pytest.raises(GlusterError, match=r"^cannot read status of volume vmstore: Volume stopped is not started$"):
        Gluster(Says(stopped)).status([STARTED], timeout_s=60)


def test_gluster_that_gives_up_by_itself_is_quoted() -> None:
    with pytest.raises(GlusterError, match=r"^cannot read status of volume vmstore: Error : Request timed out$"):
        Gluster(Says(Completed(1, "Error : Request timed out\n", ""))).status([STARTED], timeout_s=60)


def test_what_is_to_be_healed_is_read() -> None:
    heal = Gluster(Cluster("10.3")).heal("vmstore", timeout_s=60)
    assert set(heal) == {"gl1:/bricks/vmstore-0", "gl2:/bricks/vmstore-1", "gl3:/bricks/vmstore-2"}


def test_volume_that_does_not_heal_is_an_error() -> None:
    with pytest.raises(GlusterError, match=r"healed on volume distributed: This command is supported for only"):
        Gluster(Cluster("10.3")).heal("distributed", timeout_s=60)


@pytest.mark.parametrize(
    ("answer", "answers"),
    [
        pytest.param(printed("volume_info_started"), True, id="it answers"),
        pytest.param(CommandError("gluster: no answer within 5 s"), False, id="it hangs"),
        pytest.param(Completed(1, gluster_text("glusterd_down_info"), ""), False, id="it is not there"),
    ],
)
def test_another_glusterd_answers_or_not(answer: Completed | CommandError, answers: bool) -> None:
    says = Says(answer)
    assert Gluster(says).answers("gl2") is answers
    assert says.asked == [([*PROGRAM, "--remote-host=gl2", "volume", "info"], "")]
