# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The glue, tried on a small module of our own, through a real `AnsibleModule`."""

from __future__ import annotations

import sys
import threading
import types
import typing as t

import pytest
from ansible.module_utils.common import respawn as ansible_respawn

from ansible_collections.gfapi.virt.plugins.module_utils import _module
from ansible_collections.gfapi.virt.plugins.module_utils._errors import (
    CommandError,
    GfapiError,
    GlusterError,
    LibvirtError,
    MissingLibraryError,
    StorageError,
)
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Action, Item, Plan
from ansible_collections.gfapi.virt.tests.unit.running import run_module

#: what the small module keeps: lamps that are on or off
LAMP: t.Final = {"name": {"type": "str"}, "lit": {"type": "bool", "default": True}}
SPEC: t.Final = {
    **LAMP,
    "lamps": {"type": "list", "elements": "dict", "options": LAMP},
    "on_error": {"type": "str", "choices": ["stop", "continue"], "default": "stop"},
}


class House:
    """The outside: lamps by name, and what was done to them, in order."""

    def __init__(self, *lit: str, broken: t.Mapping[str, Exception] | None = None) -> None:
        self.lit = set(lit)
        self.broken = dict(broken or {})
        self.log: list[str] = []
        self.barrier: threading.Barrier | None = None
        self.slow = False

    def walk(self, name: str) -> None:
        if f"walk {name}" in self.broken:
            raise self.broken[f"walk {name}"]
        self.log.append(f"walk {name}")

    def switch(self, name: str, *, lit: bool) -> None:
        if self.barrier:
            # broken, and not one of our errors, unless all are here at the same time
            self.barrier.wait(timeout=10)
        if name in self.broken:
            raise self.broken[name]
        (self.lit.add if lit else self.lit.discard)(name)
        self.log.append(name)

    def item(self, name: str, *, lit: bool) -> Item:
        if not name.isalpha():
            raise ValueError(f"lamp {name!r} has an odd name;\n  use letters")
        before = {"name": name, "lit": name in self.lit}
        word = "on" if lit else "off"
        actions = (
            ()
            if before["lit"] == lit
            else (
                Action(f"walk to {name}", lambda: self.walk(name)),
                Action(f"switch {name} {word}", lambda: self.switch(name, lit=lit), waits=self.slow),
                Action(f"leave {name}", lambda: self.log.append(f"leave {name}")),
            )
        )
        return Item(
            name=name,
            plan=Plan(before, {"name": name, "lit": lit}, actions),
            predicted={"name": name, "lit": lit},
            read=lambda: {"name": name, "lit": name in self.lit, "seen": True},
            warnings=("lamps are hot", f"{name} is old") if name == "old" else ("lamps are hot",),
        )

    def items(self, params: dict[str, t.Any]) -> Item | list[Item]:
        if params["lamps"] is None:
            return self.item(params["name"], lit=params["lit"])
        return [self.item(lamp["name"], lit=lamp["lit"]) for lamp in params["lamps"]]

    def main(self) -> None:
        _module.run(self.items, SPEC, one="lamp", many="lamps", required_one_of=[("name", "lamps")])

    def keep(self, *, check_mode: bool = False, **params: t.Any) -> dict[str, t.Any]:
        """What the module says when it is run."""
        return run_module(self.main, params, check_mode=check_mode)

    def keep_all(self, *names: str, check_mode: bool = False, on_error: str = "stop") -> dict[str, t.Any]:
        return self.keep(lamps=[{"name": name} for name in names], on_error=on_error, check_mode=check_mode)


def brief(result: dict[str, t.Any]) -> dict[str, list[str]]:
    """What was done to each item of a list, in the result's order."""
    return {lamp["name"]: lamp["actions"] for lamp in result["lamps"]}


def all_of(name: str) -> list[str]:
    return [f"walk to {name}", f"switch {name} on", f"leave {name}"]


@pytest.mark.parametrize("secret", ["#cloud-config\npassword: hunter2\n", "\"hunter2'"])
def test_secret_of_a_suboption_is_not_in_the_hosts_log(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    """Ansible writes suboptions there as Python does, and looks for the secret as it is."""
    logged: list[str] = []
    monkeypatch.setattr(_module.AnsibleModule, "log", lambda _self, msg, **more: logged.append(f"{msg} {more}"))
    lamp = {**LAMP, "key": {"type": "str", "no_log": True}}
    spec = {**lamp, "lamps": {"type": "list", "elements": "dict", "options": lamp}}
    run_module(
        lambda: _module.run(House().items, spec, one="lamp", many="lamps"),
        {"lamps": [{"name": "a", "key": secret}]},
        logs=True,
    )
    assert "Invoked with" in logged[0]
    assert "hunter2" not in str(logged)


# --- one thing ------------------------------------------------------------------------------------------------------


def test_check_mode_says_what_the_run_does_and_does_nothing() -> None:
    house = House()
    checked = house.keep(name="hall", check_mode=True)
    assert (house.lit, house.log) == (set(), [])
    done = house.keep(name="hall")
    assert house.log == ["walk hall", "hall", "leave hall"]
    assert checked["actions"] == done["actions"] == all_of("hall")
    assert checked["diff"] == done["diff"]
    assert checked["changed"] is done["changed"] is True
    assert checked["exit_status"] == done["exit_status"] == 0


def test_result_of_check_mode_is_predicted_and_that_of_a_run_is_read() -> None:
    house = House()
    assert house.keep(name="hall", check_mode=True)["lamp"] == {"name": "hall", "lit": True}
    assert house.keep(name="hall")["lamp"] == {"name": "hall", "lit": True, "seen": True}


def test_diff_is_before_and_after() -> None:
    assert House().keep(name="hall")["diff"] == {
        "before": {"name": "hall", "lit": False},
        "after": {"name": "hall", "lit": True},
    }


@pytest.mark.parametrize("check_mode", [True, False])
def test_second_run_changes_nothing_and_reads_nothing_again(check_mode: bool) -> None:
    result = House("hall").keep(name="hall", check_mode=check_mode)
    assert (result["changed"], result["actions"]) == (False, [])
    assert result["lamp"] == {"name": "hall", "lit": True}


@pytest.mark.parametrize("kind", [GfapiError, CommandError, GlusterError, LibvirtError, StorageError, ValueError])
def test_failure_in_the_middle_tells_what_was_done(kind: type[Exception]) -> None:
    house = House(broken={"hall": kind("cannot switch hall:\n  no power;\n\tpay the bill")})
    result = house.keep(name="hall")
    assert result["failed"] is True
    assert result["exit_status"] == 1
    assert result["msg"] == "cannot switch hall: no power; pay the bill"
    assert (result["changed"], result["actions"]) == (True, ["walk to hall"])
    assert house.log == ["walk hall"]
    # nobody knows what it is like now
    assert "lamp" not in result


def lamps(*undos: Action | None, partial: bool) -> dict[str, t.Any]:
    """Of lamps `1` and so on, with these ways back, the last fails."""

    def fail() -> None:
        error = GfapiError("no power")
        error.partial = partial
        raise error

    runs = [*([lambda: None] * (len(undos) - 1)), fail]
    actions = [Action(f"light {number}", step, undo=undo) for number, (step, undo) in enumerate(zip(runs, undos), 1)]
    return run_module(lambda: _module.run(lambda _params: Item("a", Plan(0, 1, tuple(actions)), {}), {}, one="lamp"))


def refuse() -> None:
    raise GfapiError("no way back")


DARK: t.Final = Action("put out", lambda: None)
STUCK: t.Final = Action("put out", refuse)
WARM: t.Final = Action("put out", lambda: None, leaves="warm up")


@pytest.mark.parametrize(
    ("undos", "partial", "left"),
    [
        ((DARK, DARK), True, []),
        ((STUCK, DARK), True, ["light 1"]),
        ((DARK, STUCK), False, []),
        ((DARK, STUCK), True, ["light 2 (in part)"]),
        ((STUCK, STUCK), True, ["light 1", "light 2 (in part)"]),
        ((None, None), True, ["light 1", "light 2 (in part)"]),
        ((WARM, DARK, STUCK), True, ["warm up", "light 3 (in part)"]),
    ],
)
def test_what_is_not_put_back_was_done(undos: t.Sequence[Action | None], partial: bool, left: list[str]) -> None:
    result = lamps(*undos, partial=partial)
    assert (result["failed"], result["actions"], result["changed"]) == (True, left, bool(left))


def test_failure_while_planning_is_one_line_and_nothing_is_done() -> None:
    house = House()
    result = house.keep(name="h4ll")
    assert result["failed"] is True
    assert result["msg"] == "lamp 'h4ll' has an odd name; use letters"
    assert result["actions"] == []
    assert house.log == []


def test_failure_while_reading_again_does_not_hide_the_change() -> None:
    def main() -> None:
        def read() -> t.Mapping[str, t.Any]:
            raise LibvirtError("gone")

        plan = Plan(None, None, (Action("do", lambda: None),))
        _module.run(lambda _params: Item("a", plan, {}, read), {}, one="thing")

    result = run_module(main)
    assert (result["failed"], result["msg"], result["changed"], result["actions"]) == (True, "gone", True, ["do"])


def test_mistake_of_ours_is_not_dressed_up_as_a_failure() -> None:
    with pytest.raises(KeyError):
        House(broken={"hall": KeyError("bug")}).keep(name="hall")


def test_rules_of_the_argument_spec_reach_ansible() -> None:
    result = House().keep()
    assert result["failed"] is True
    assert "one of the following is required: name, lamps" in result["msg"]


# --- many things ----------------------------------------------------------------------------------------------------


def test_list_keeps_the_order_of_the_request_and_skips_what_is_right() -> None:
    house = House("b")
    checked = house.keep_all("c", "b", "a", check_mode=True)
    done = house.keep_all("c", "b", "a")
    assert list(brief(done).items()) == [("c", all_of("c")), ("b", []), ("a", all_of("a"))]
    assert brief(done) == brief(checked)
    assert [lamp["changed"] for lamp in done["lamps"]] == [True, False, True]
    assert done["actions"] == checked["actions"] == [*all_of("c"), *all_of("a")]
    assert done["diff"] == checked["diff"]
    assert [part["before_header"] for part in done["diff"]] == ["c", "a"]


def test_list_that_is_right_changes_nothing() -> None:
    result = House("a", "b").keep_all("a", "b")
    assert (result["changed"], result["actions"], result["diff"]) == (False, [], [])


def test_empty_list_is_nothing_to_do() -> None:
    result = House().keep_all()
    assert (result["changed"], result["lamps"], result["exit_status"]) == (False, [], 0)


def test_failure_stops_the_list() -> None:
    house = House(broken={"b": LibvirtError("b is broken")})
    result = house.keep_all("a", "b", "c")
    assert list(brief(result).items()) == [("a", all_of("a")), ("b", ["walk to b"]), ("c", [])]
    assert [lamp.get("failed", False) for lamp in result["lamps"]] == [False, True, False]
    assert [lamp["changed"] for lamp in result["lamps"]] == [True, True, False]
    assert result["lamps"][1]["msg"] == result["msg"] == "b is broken"
    assert (result["failed"], result["changed"]) == (True, True)
    assert house.lit == {"a"}


def test_list_goes_on_after_a_failure_if_told_so() -> None:
    house = House(broken={"b": LibvirtError("b is broken"), "d": LibvirtError("d is broken")})
    result = house.keep_all("a", "b", "c", "d", "e", on_error="continue")
    assert [(name, len(actions)) for name, actions in brief(result).items()] == [
        *(("a", 3), ("b", 1), ("c", 3), ("d", 1), ("e", 3))
    ]
    assert result["msg"] == "b is broken; d is broken"
    assert result["actions"] == [*all_of("a"), "walk to b", *all_of("c"), "walk to d", *all_of("e")]
    assert house.lit == {"a", "c", "e"}


def test_warnings_are_given_once() -> None:
    assert House().keep_all("a", "old", "b")["warnings"] == ["lamps are hot", "old is old"]


# --- what waits -----------------------------------------------------------------------------------------------------


def test_waiting_actions_run_side_by_side() -> None:
    """Each waits until all are there: one after the other they would never get on."""
    house = House()
    house.slow = True
    house.barrier = threading.Barrier(_module.MAX_WAITING)
    names = ["a" * number for number in range(1, _module.MAX_WAITING + 1)]
    result = house.keep_all(*names)
    assert list(brief(result).items()) == [(name, all_of(name)) for name in names]
    assert house.lit == set(names)


def test_what_does_not_wait_is_done_first_and_in_turn() -> None:
    house = House()
    house.slow = True
    house.keep_all("a", "b", "c")
    assert house.log[:3] == ["walk a", "walk b", "walk c"]
    assert all(house.log.index(name) < house.log.index(f"leave {name}") for name in "abc")


def test_failed_wait_leaves_those_beside_it_alone() -> None:
    house = House(broken={"a": LibvirtError("a is broken")})
    house.slow = True
    house.barrier = threading.Barrier(3)
    result = house.keep_all("a", "b", "c")
    assert list(brief(result).items()) == [("a", ["walk to a"]), ("b", all_of("b")), ("c", all_of("c"))]
    assert result["msg"] == "a is broken"


def test_nothing_waits_for_an_item_that_failed_before() -> None:
    house = House(broken={"walk a": LibvirtError("no way to a")})
    house.slow = True
    result = house.keep_all("a", "b", on_error="continue")
    assert list(brief(result).items()) == [("a", []), ("b", all_of("b"))]
    assert house.lit == {"b"}


@pytest.mark.parametrize(("on_error", "lit"), [("stop", set()), ("continue", {"b", "c"})])
def test_failed_wait_holds_back_what_has_not_begun(
    monkeypatch: pytest.MonkeyPatch, on_error: str, lit: set[str]
) -> None:
    monkeypatch.setattr(_module, "MAX_WAITING", 1)
    house = House(broken={"a": LibvirtError("a is broken")})
    house.slow = True
    result = house.keep_all("a", "b", "c", on_error=on_error)
    assert house.lit == lit
    assert result["lamps"][0]["failed"] is True
    assert [lamp["changed"] for lamp in result["lamps"]] == [True, True, True]


def test_failure_before_the_waits_stops_them_too() -> None:
    house = House(broken={"b": LibvirtError("b is broken")})

    def main() -> None:
        def items(_params: dict[str, t.Any]) -> list[Item]:
            house.slow = True
            slow = house.item("a", lit=True)
            house.slow = False
            return [slow, house.item("b", lit=True)]

        _module.run(items, {}, one="lamp", many="lamps")

    result = run_module(main)
    assert list(brief(result).items()) == [("a", ["walk to a"]), ("b", ["walk to b"])]
    assert house.lit == set()


def test_mistake_of_ours_in_a_thread_is_not_lost() -> None:
    house = House(broken={"a": KeyError("bug")})
    house.slow = True
    with pytest.raises(KeyError):
        house.keep_all("a", "b")


# --- modules that only read -----------------------------------------------------------------------------------------


def test_info_is_returned_unchanged_with_its_warnings() -> None:
    result = run_module(
        lambda: _module.run_info(lambda params: {"seen": params["name"], "warnings": ["old"]}, LAMP), {"name": "a"}
    )
    assert result["changed"] is False
    assert (result["seen"], result["warnings"]) == ("a", ["old"])


def test_info_can_be_read_in_check_mode() -> None:
    assert run_module(lambda: _module.run_info(lambda _params: {"a": 1}, {}), check_mode=True)["a"] == 1


@pytest.mark.parametrize("kind", [ValueError, LibvirtError])
def test_failed_look_is_one_line(kind: type[Exception]) -> None:
    def read(_params: dict[str, t.Any]) -> dict[str, t.Any]:
        raise kind("cannot\n look")

    result = run_module(lambda: _module.run_info(read, {}))
    assert (result["failed"], result["msg"]) == (True, "cannot look")


# --- libraries ------------------------------------------------------------------------------------------------------


class Respawned(Exception):
    pass


@pytest.fixture
def pythons(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., None]:
    """Which libraries this Python lacks, and which Pythons of the system have everything."""

    def set_up(
        missing: t.Collection[str], system: t.Mapping[str, t.Collection[str]], *, respawned: bool = False
    ) -> None:
        def probe(interpreters: t.Sequence[str], name: str) -> str | None:
            return next((python for python in interpreters if name in system[python]), None)

        def respawn(interpreter: str) -> None:
            raise Respawned(interpreter)

        find = types.SimpleNamespace(find_spec=lambda name: None if name in missing else object())
        monkeypatch.setattr(_module, "importlib", types.SimpleNamespace(util=find))
        monkeypatch.setattr(_module, "SYSTEM_PYTHONS", tuple(system))
        monkeypatch.setattr(ansible_respawn, "probe_interpreters_for_module", probe)
        monkeypatch.setattr(ansible_respawn, "respawn_module", respawn)
        monkeypatch.setattr(ansible_respawn, "has_respawned", lambda: respawned)

    return set_up


def look(*libraries: str) -> dict[str, t.Any]:
    return run_module(lambda: _module.run_info(lambda _params: {"seen": True}, {}, libraries=libraries))


def test_libraries_that_are_there_are_enough(pythons: t.Callable[..., None]) -> None:
    pythons(missing=(), system={})
    assert look("lxml", "libvirt")["seen"] is True


def test_missing_library_is_named_with_its_package(pythons: t.Callable[..., None]) -> None:
    pythons(missing=["libvirt"], system={"/usr/bin/python3": ["lxml"]})
    result = look("lxml", "libvirt")
    assert result["failed"] is True
    assert result["msg"] == (
        "the Python library libvirt is missing on this host; install python3-libvirt"
        f" (looked with {sys.executable}, /usr/bin/python3)"
    )


def test_missing_libraries_are_named_together(pythons: t.Callable[..., None]) -> None:
    pythons(missing=["lxml", "libvirt"], system={"/usr/bin/python3": []})
    assert (
        "library lxml, libvirt is missing on this host; install python3-lxml, python3-libvirt"
        in look("lxml", "libvirt")["msg"]
    )


def test_module_goes_on_under_the_first_python_that_has_them_all(pythons: t.Callable[..., None]) -> None:
    pythons(
        missing=["libvirt"], system={"/one": ["libvirt"], "/two": ["libvirt", "lxml"], "/three": ["libvirt", "lxml"]}
    )
    with pytest.raises(Respawned, match="^/two$"):
        look("lxml", "libvirt")


def test_module_does_not_go_on_under_another_python_twice(pythons: t.Callable[..., None]) -> None:
    pythons(missing=["libvirt"], system={"/usr/bin/python3": ["libvirt"]}, respawned=True)
    assert "library libvirt is missing" in look("libvirt")["msg"]


@pytest.mark.parametrize("what", ["run", "run_info"])
def test_library_found_missing_while_planning_is_named(pythons: t.Callable[..., None], what: str) -> None:
    def plan(_params: dict[str, t.Any]) -> t.Any:
        raise MissingLibraryError("libvirt")

    pythons(missing=["libvirt"], system={"/usr/bin/python3": []})
    main = (lambda: _module.run_info(plan, {})) if what == "run_info" else (lambda: _module.run(plan, {}, one="lamp"))
    assert "library libvirt is missing on this host; install python3-libvirt" in run_module(main)["msg"]


def test_pythons_are_really_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_module, "PACKAGES", {"gfapi_none": "python3-gfapi-none"})
    monkeypatch.setattr(_module, "SYSTEM_PYTHONS", (sys.executable, "/nonexistent/python3"))
    assert "install python3-gfapi-none" in look("gfapi_none")["msg"]
