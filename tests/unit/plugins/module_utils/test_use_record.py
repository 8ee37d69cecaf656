# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._use_record import OtherUses, ThisHost, UseRecord

HV1 = ThisHost("hv1", "0" * 32)
WEB = UseRecord(HV1, "web", "u", frozenset({"image"}))


@given(st.text(), st.text(), st.one_of(st.none(), st.text()), st.frozensets(st.text(), max_size=3))
def test_any_name_survives(host: str, machine_id: str, vm: str | None, images: frozenset[str]) -> None:
    record = UseRecord(ThisHost(host, machine_id), vm, vm, images)
    text = record.to_text()
    assert text.isascii()
    assert UseRecord.from_text(text) == record


@given(st.text())
def test_a_folder_is_one_step_and_in_sight(name: str) -> None:
    folder = ThisHost(name, "0" * 32).folder
    assert "/" not in folder
    assert folder and not folder.startswith(".")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("nothing", "Expecting value"),
        ("[]", "it is no record"),
        ("{}", "its format is None, and 1 is known"),
        ('{"format": 2}', "its format is 2, and 1 is known"),
        ('{"format": 1}', "name, machine_id or images is missing"),
        ('{"format": 1, "name": "h", "machine_id": "m", "images": "image"}', "images is missing"),
        ('{"format": 1, "name": "h", "machine_id": "m", "images": [1]}', "vm or images is no text"),
        ('{"format": 1, "name": "h", "machine_id": "m", "images": [], "vm": {}}', "vm or images is no text"),
    ],
)
def test_what_no_host_of_ours_wrote_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        UseRecord.from_text(text)


def test_what_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        UseRecord.from_text("[" * 9999)


def test_what_a_later_release_adds_is_no_fault() -> None:
    text = json.dumps({**json.loads(WEB.to_text()), "more": 1})
    assert UseRecord.from_text(text) == WEB


def test_users_are_told_by_image() -> None:
    uses = OtherUses((UseRecord(HV1), WEB))
    assert (uses.of("image"), uses.of("other")) == ((WEB,), ())
    assert (uses.vms, uses.hosts) == ((WEB,), ("hv1",))


def test_of_one_user_of_an_open_image_it_is_known_that_it_runs_of_several_not_which() -> None:
    other = UseRecord(ThisHost("hv2", ""), "web2", "u2", WEB.images)
    assert OtherUses().running("image") == ""
    assert OtherUses((WEB,)).running("image") == "VM web on host hv1 (running)"
    assert OtherUses((WEB, other)).running("image") == "VM web on host hv1, VM web2 on host hv2 (one of them running)"


def test_a_user_that_does_not_run_is_refused_by_name() -> None:
    OtherUses((WEB,)).require_none("other", "x")
    with pytest.raises(StorageError, match=r"^x: it is used by VM web on host hv1 \(not running\); undefine it there,"):
        OtherUses((WEB,)).require_none("image", "x")


def test_what_cannot_be_read_may_be_of_any_image() -> None:
    with pytest.raises(StorageError, match=r"^x: a record .* cannot be read: f; take it away .* force: true$"):
        OtherUses(faults=("f",)).require_none("image", "x")
