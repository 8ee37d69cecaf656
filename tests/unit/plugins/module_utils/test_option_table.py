# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of options, held to what glusterd 10.3 and 11.1 took, refused and stored."""

from __future__ import annotations

import itertools
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils._option_table import (
    SHARD,
    SHARD_SIZE,
    OptionTable,
    table_for,
    values_at_creation,
)
from ansible_collections.gfapi.virt.plugins.module_utils._option_values import READERS
from ansible_collections.gfapi.virt.plugins.module_utils._volume import Volume
from ansible_collections.gfapi.virt.plugins.module_utils._volume_options import group_of, to_text
from ansible_collections.gfapi.virt.tests.unit.recorded import OPTION_VALUES

TABLES: t.Final[dict[str, OptionTable]] = {"10.3": table_for(100000), "11.1": table_for(110000)}
QUORUM_RATIO: t.Final = "cluster.server-quorum-ratio"
#: what glusterd takes and we refuse
STRICTER: t.Final = {
    **{
        ("nfs.disable", text): "no translator checks it, and glusterd reads a boolean"
        for text in ("y", "enabled", "2", "t", "on,off", "0x1", "-1")
    },
    **{("transport.address-family", text): "bricks do not start with it" for text in ("inet7", "INET")},
    **{
        ("performance.cache-max-file-size", text): "io-cache is not in the graph, so that glusterd checks nothing"
        for text in ("0x4000000", "64M", "64MiB", "64m", "64KMB", "-1", "-64MB", "MB", "on")
    },
    **{
        ("config.transport", text): "gluster dropped rdma, so that bricks do not start"
        for text in ("rdma", "tcp,rdma", "rdma,tcp")
    },
    **{
        (name, "0x5"): "strtod takes hexadecimal"
        for name in (
            "cluster.min-free-inodes",
            "cluster.min-free-disk",
            "storage.reserve",
            "cluster.server-quorum-ratio",
        )
    },
    ("user.note", "--xml"): "on a command line, gluster takes it for a word of its own",
}
#: what is left to glusterd, which refuses it in these words before anything is set: what the value alone does not tell,
#: and a pattern of its own
LEFT_TO_GLUSTERD: t.Final = {
    "cluster.quorum-count": "is out of range [1 - 3]",  # the bricks of a replica set
    "cluster.rebal-throttle": "should be {lazy|normal|aggressive} or a number",  # up to the number of cores
    "cluster.subvols-per-directory": "is greater than the number of subvolumes",
    "features.snapshot-directory": "features.snapshot-directory",
    "server.statedump-path": "is not a directory",
    "cluster.enable-shared-storage": "required for this operation is not present",  # a hook of gluster
    "cluster.max-op-version": "Not a valid option to set",
    "cluster.op-version": "should not be equal or lower than current",
}


def refused_here(table: OptionTable, option: str, value: str) -> str | None:
    try:
        name = table.full_name(option)
        table.require_valid(name, to_text(name, value))
    except ValueError as exc:
        return str(exc)
    return None


def rows(version: str, option: str) -> list[dict[str, t.Any]]:
    return [row for row in recorded_rows(version) if row["option"] == option]


def recorded_rows(version: str) -> list[dict[str, t.Any]]:
    return [*OPTION_VALUES[version]["set"], *OPTION_VALUES[version]["set_all"]]


OPTIONS: t.Final = sorted({(version, row["option"]) for version in TABLES for row in recorded_rows(version)})


def test_there_are_rows_enough() -> None:
    assert OPTION_VALUES.keys() == TABLES.keys()
    for version, table in TABLES.items():
        assert len(recorded_rows(version)) > 900
        kinds = {option.type for option in map(table.get, table) if option}
        tried = {option.type for other, name in OPTIONS if other == version and (option := table.get(name))}
        assert kinds == tried
        assert kinds <= READERS.keys()


@pytest.mark.parametrize(("version", "option"), OPTIONS)
def test_what_glusterd_refuses_is_refused_here(version: str, option: str) -> None:
    table = TABLES[version]
    if option not in table and "." in option and not option.startswith("user."):
        assert not any(row["taken"] for row in rows(version, option)), "glusterd knows it, and so must the table"
        return
    for row in rows(version, option):
        here = refused_here(table, option, row["value"])
        if row["taken"]:
            assert bool(here) is ((option, row["value"]) in STRICTER), (row, here)
        else:
            assert here or LEFT_TO_GLUSTERD.get(option, "?") in row["words"].replace("\n", " "), row


@pytest.mark.parametrize(("version", "option"), OPTIONS)
def test_what_was_set_is_no_change(version: str, option: str) -> None:
    table = TABLES[version]
    taken = [row for row in rows(version, option) if row["taken"] and (option, row["value"]) not in STRICTER]
    for row in taken:
        name = table.full_name(option)
        stored = row["stored"] if name == option else row["value"]
        assert table.differences({name: to_text(name, row["value"])}, {name: stored}) == {}


@pytest.mark.parametrize("version", TABLES)
def test_spellings_are_the_same_exactly_where_they_stand_for_the_same(version: str) -> None:
    """Each pair of spellings that glusterd took, by what libglusterfs makes of them."""
    table, parsed = TABLES[version], OPTION_VALUES[version]["parsed"]
    wrong = []
    for name in (name for other, name in OPTIONS if other == version):
        option = table.get(name)
        numbers = parsed.get(option.type) if option else None
        taken = [row["value"] for row in rows(version, name) if row["taken"] and (name, row["value"]) not in STRICTER]
        for left, right in itertools.combinations(["".join(text.split()) for text in taken], 2):
            if numbers and left in numbers and right in numbers:
                same = numbers[left] == numbers[right]
                wrong += [(name, left, right)] if table.is_same(name, left, right) is not same else []
    assert wrong == []


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", TABLES)
def test_short_name_is_what_glusterd_makes_of_it(version: str) -> None:
    table, recorded = TABLES[version], OPTION_VALUES[version]["short"]
    clear = {short: full for short, full in recorded.items() if full is not None}
    assert {short: table.full_name(short) for short in clear} == clear
    for short in recorded.keys() - clear.keys():
        if "." in short:
            assert table.full_name(short) == short
        else:
            with pytest.raises(ValueError, match="is ambiguous: it may be"):
                table.full_name(short)


def test_name_that_is_not_known_stays() -> None:
    table = TABLES["10.3"]
    assert [table.full_name(name) for name in ("nope", "nope.nope", "compression.debug")] == [
        "nope",
        "nope.nope",
        "compression.debug",
    ]


# --- the tables -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", TABLES)
def test_every_option_that_gluster_lists_is_in_the_table(version: str) -> None:
    assert TABLES[version].version == version
    assert OPTION_VALUES[version]["defaults"].keys() - set(TABLES[version]) == set()


#: that of a replica 3 volume, and the second of two translators that have an option of this name
DEPENDS: t.Final = ("auto", "128MB")


@pytest.mark.parametrize("version", TABLES)
def test_defaults_are_those_that_gluster_says(version: str) -> None:
    table, recorded = TABLES[version], OPTION_VALUES[version]
    told = {
        name: text.removesuffix(" (DEFAULT)")
        for name, text in recorded["defaults"].items()
        if name not in recorded["at_creation"]
    }
    assert (told.pop("cluster.quorum-type"), told.pop("performance.cache-size")) == DEPENDS
    other = {
        name: (text, table.default_of(name))
        for name, text in told.items()
        if text != "(null)" and not table.is_same(name, text, table.default_of(name) or "")
    }
    assert other == {}


@pytest.mark.parametrize("version", TABLES)
def test_every_default_is_a_value_of_the_option(version: str) -> None:
    table = TABLES[version]
    for name in table:
        default = table.default_of(name)
        # `off` is what gluster says of a server-quorum-type that is not set, and what it does not take
        if default is not None and "{{" not in default and name != "cluster.server-quorum-type":
            table.require_valid(name, default)


@pytest.mark.parametrize("version", TABLES)
def test_columns_hold_what_they_may(version: str) -> None:
    table = TABLES[version]
    for option in map(table.get, table):
        assert option is not None
        assert option.applies in ("live", "mount", "volume", "stopped")
        assert option.reset in ("", "forced", "never")
        assert bool(option.words) == (option.type == "enum")
        assert not option.volfile or option.applies == "volume"
        assert option.minimum is None or option.maximum is None or option.minimum <= option.maximum


def test_table_is_the_nearest() -> None:
    wanted = {31200: "10.3", 90000: "10.3", 100000: "10.3", 104999: "10.3", 110000: "11.1", 120000: "11.1"}
    assert {version: table_for(version).version for version in wanted} == wanted


@pytest.mark.parametrize(
    ("name", "text", "sent"),
    [
        ("cluster.localtime-logging", "on", "enable"),
        ("cluster.localtime-logging", "no", "disable"),
        ("cluster.lookup-unhashed", "TRUE", "yes"),
        ("cluster.lookup-unhashed", "auto", "auto"),
        ("locks.mandatory-locking", "no", "off"),
        ("locks.mandatory-locking", "on", "on"),
        ("cluster.quorum-type", "on", "on"),
        (SHARD, "enable", "enable"),
        ("nope.nope", "on", "on"),
    ],
)
def test_boolean_is_spelled_as_the_option_takes_it(name: str, text: str, sent: str) -> None:
    assert TABLES["10.3"].spelled(name, text) == sent


def test_options_of_the_cluster_and_of_every_volume() -> None:
    table = TABLES["10.3"]
    cluster = {name for name in table if (option := table.get(name)) and option.cluster_wide}
    assert {"cluster.brick-multiplex", "cluster.op-version", "cluster.server-quorum-ratio"} <= cluster
    assert len(cluster) == 10
    assert table.warnings(["client.strict-locks", "nope.nope", "user.x", "storage.owner-uid"]) == [
        "option client.strict-locks is set through one volume and changes every volume of the cluster",
        "option nope.nope is not known in glusterfs 10.3: its value is compared as text and not checked",
    ]
    table.require_scope(["cluster.brick-multiplex", "nope.nope"], volume="all")
    table.require_scope(["storage.owner-uid", "user.x"], volume="vmstore")
    with pytest.raises(ValueError, match="cluster.brick-multiplex is an option of the whole cluster; set it with"):
        table.require_scope(["cluster.brick-multiplex"], volume="vmstore")
    with pytest.raises(ValueError, match="storage.owner-uid is an option of one volume; name it"):
        table.require_scope(["storage.owner-uid"], volume="all")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "storage.owner-uid",
            "-2",
            "option storage.owner-uid: '-2' is no value of it; it takes a whole number from -1",
        ),
        ("client.event-threads", "33", "it takes a whole number from 1 to 32"),
        (SHARD, "maybe", "it takes on or off (or enable, yes, true, 1; disable, no, false, 0)"),
        (SHARD_SIZE, "64M", "it takes a size in bytes, or with KB, MB, GB, TB or PB, as 64MB from 4194304 to"),
        ("cluster.quorum-type", "some", "it takes none or auto or fixed"),
        ("server.statedump-path", "run", "it takes an absolute path"),
        ("nfs.disable", "x", "it takes on or off"),
        ("transport.address-family", "inet7", "it takes inet or inet6 or unix or inet-sdp"),
    ],
)
def test_message_names_option_value_and_what_it_takes(name: str, text: str, says: str) -> None:
    assert says in (refused_here(TABLES["10.3"], name, text) or "")


# --- steps, reset, purge --------------------------------------------------------------------------------------------


def volume(kind: str = "Replicate", **options: str) -> Volume:
    return Volume("vmstore", kind, "Created", 3, (), {name.replace("__", "."): text for name, text in options.items()})


def test_options_are_set_in_one_transaction() -> None:
    changes = {SHARD: "on", SHARD_SIZE: "64MB", "a.b": "c"}
    for in_force in ({}, {SHARD_SIZE: "4MB"}):
        assert TABLES["10.3"].steps(changes, in_force) == (changes,)
    assert TABLES["10.3"].steps({}, {}) == ()


def test_shard_size_that_is_none_goes_before_sharding() -> None:
    """glusterd took 1MB while sharding was off; it then refuses to turn it on, with a good size in the same command."""
    steps = TABLES["10.3"].steps({SHARD: "on", SHARD_SIZE: "64MB", "a.b": "c"}, {SHARD_SIZE: "1MB"})
    assert steps == ({SHARD_SIZE: "64MB"}, {SHARD: "on", "a.b": "c"})


@pytest.mark.parametrize("version", TABLES)
def test_a_new_volume_has_nothing_to_purge(version: str) -> None:
    table, recorded = TABLES[version], OPTION_VALUES[version]["at_creation"]
    made = Volume("vmstore", "Replicate", "Created", 3, (), recorded)
    assert table.to_reset(made, asked=(), kept=(), purge=True) == ()
    assert values_at_creation(made).items() >= recorded.items()


def test_purge_resets_what_is_set_and_not_asked_for() -> None:
    found = volume(
        **{"storage.owner-uid": "36", "user.note": "x", "nfs.disable": "off", "features.quota": "on", "a.b": "c"},
        **{"performance.client-io-threads": "off", "cluster.granular-entry-heal": "enable"},
    )
    table = TABLES["10.3"]
    assert table.to_reset(found, asked=(), kept={"a.b"}, purge=True) == ("storage.owner-uid", "nfs.disable")
    assert table.to_reset(found, asked=["owner-uid", "owner-gid"], kept=(), purge=False) == ("storage.owner-uid",)
    assert table.after_reset(found, ["nfs.disable", "storage.owner-uid", "a.b", "performance.client-io-threads"]) == {
        "nfs.disable": "on",
        "storage.owner-uid": "-1",
        "a.b": None,
        "performance.client-io-threads": "on",
    }


@pytest.mark.parametrize("version", TABLES)
def test_purge_leaves_tls_and_reset_takes_it(version: str) -> None:
    table = TABLES[version]
    encryption = {
        "auth.ssl-allow": "node1,kvm1",
        "client.ssl": "on",
        "server.ssl": "on",
        **{name: "/etc/ssl/x" for name in table if name.startswith("ssl.")},
    }
    assert len(encryption) > 10
    found = volume(**encryption, **{"storage.owner-uid": "36", "client.event-threads": "8"})
    purged = ("storage.owner-uid", "client.event-threads")
    assert table.to_reset(found, asked=(), kept=(), purge=True) == purged
    assert table.to_reset(found, asked=["server.ssl"], kept=(), purge=True) == ("server.ssl", *purged)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("user.note", "gluster resets no single user.* key"),
        ("features.quota", "use gluster volume quota vmstore disable"),
        ("a.b", "is asked to be set and to be reset"),
    ],
)
def test_what_cannot_be_reset_is_refused(name: str, says: str) -> None:
    found = volume(**{"user.note": "x", "features.quota": "on"})
    with pytest.raises(ValueError, match=says.replace("*", ".")):
        TABLES["10.3"].to_reset(found, asked=[name], kept={"a.b"}, purge=False)


def test_reset_of_a_user_key_that_is_not_there_is_nothing() -> None:
    assert TABLES["10.3"].to_reset(volume(), asked=["user.note"], kept=(), purge=False) == ()


def test_what_is_in_force_only_later_is_told() -> None:
    names = ["server.ssl", "storage.owner-uid", "client.own-thread", "nope.nope"]
    assert TABLES["10.3"].after_restart(names, of="volume") == ("server.ssl",)
    assert TABLES["10.3"].after_restart(names, of="mount") == ("client.own-thread",)
    assert TABLES["10.3"].get("server.ssl").volfile == "protocol/server transport.socket.ssl-enabled"


def test_default_stands_in_for_what_gluster_leaves_out() -> None:
    in_force = {"storage.owner-uid": "36"}
    wanted = ["storage.owner-uid", "nfs.disable", "nope.nope"]
    assert TABLES["10.3"].complete(in_force, wanted) == {**in_force, "nfs.disable": "on"}


def test_group_of_a_preset() -> None:
    assert [group_of(preset) for preset in ("group:virt", "virt_store")] == ["virt", None]
    for preset in ("group:", "group:../x", "group:a b"):
        with pytest.raises(ValueError, match="is not the name of an option group"):
            group_of(preset)


# --- properties -----------------------------------------------------------------------------------------------------

names = st.sampled_from(sorted(TABLES["11.1"]))
texts = st.text(st.sampled_from("0123456789xXabefmskMKGBiTPno%.+-,/"), min_size=1, max_size=5)


@given(names, texts, texts, texts)
def test_sameness_is_an_equivalence(name: str, one: str, two: str, three: str) -> None:
    table = TABLES["11.1"]
    assert table.is_same(name, one, one)
    assert table.is_same(name, one, two) == table.is_same(name, two, one)
    if table.is_same(name, one, two) and table.is_same(name, two, three):
        assert table.is_same(name, one, three)


@given(names, texts, texts)
def test_spellings_that_are_the_same_are_both_valid_or_both_not(name: str, one: str, two: str) -> None:
    table = TABLES["11.1"]
    option = table.get(name)
    if option and option.type != "enum" and table.is_same(name, one, two):
        assert option.is_valid(one) == option.is_valid(two)


@given(st.dictionaries(names, texts), st.dictionaries(names, texts))
def test_nothing_differs_after_what_differed_was_set(desired: dict[str, str], in_force: dict[str, str]) -> None:
    table = TABLES["11.1"]
    changes = table.differences(desired, in_force)
    assert table.differences(desired, {**in_force, **changes}) == {}
    joined = {name: text for step in table.steps(changes, in_force) for name, text in step.items()}
    assert joined == changes
