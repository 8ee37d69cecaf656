# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Normal forms of values, held to what libglusterfs itself makes of each spelling (10.3 and 11.1)."""

from __future__ import annotations

import contextlib
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils._option_values import (
    FALSE_WORDS,
    READERS,
    TRUE_WORDS,
    boolean,
    integer,
    is_true,
    percent_or_size,
    size_bytes,
    time_s,
)
from ansible_collections.gfapi.virt.tests.unit.recorded import OPTION_VALUES

#: what libglusterfs reads and we do not, so that it is refused: nobody means it
STRICTER: t.Final = {
    ("percent", "0x5"): "strtod takes hexadecimal",
    ("size", "16384PB"): "2 to the 64th, which libglusterfs takes for nought",
}


def test_there_is_enough_to_compare() -> None:
    assert list(OPTION_VALUES) == ["10.3", "11.1"]
    assert sum(map(len, OPTION_VALUES["10.3"]["parsed"].values())) > 150


@pytest.mark.parametrize("kind", ["boolean", "int", "size", "percent", "time"])
@pytest.mark.parametrize("version", OPTION_VALUES)
def test_spelling_stands_for_what_gluster_makes_of_it(version: str, kind: str) -> None:
    recorded = OPTION_VALUES[version]["parsed"][kind]
    read = {text: READERS[kind](text) for text in recorded}
    strict = {text: None for other, text in STRICTER if other == kind}
    assert read == {**recorded, **strict}
    assert all(recorded[text] is not None for text in strict)


# --- properties -----------------------------------------------------------------------------------------------------

junk = st.text(st.sampled_from("0123456789xXabefmskMKGBiTPno%.+- ,/"), max_size=6)


@given(st.sampled_from(sorted(READERS)), junk)
def test_reading_never_raises(kind: str, text: str) -> None:
    assert READERS[kind](text) == READERS[kind](text)


@given(st.integers(-(2**63), 2**63 - 1))
def test_integer_in_any_base(number: int) -> None:
    sign, digits = ("-", -number) if number < 0 else ("", number)
    assert integer(str(number)) == integer(f"{sign}{digits:#x}") == integer(f"{sign}0{digits:o}") == number


@given(st.integers(2**63, 2**70) | st.integers(-(2**70), -(2**63) - 1))
def test_integer_beyond_64_bits_is_none(number: int) -> None:
    assert integer(str(number)) is None


@given(st.integers(0, 1 << 40), st.sampled_from(["", "B", "KB", "MB", "GB", "kb", "Mb"]))
def test_size_counts_in_powers_of_1024(count: int, unit: str) -> None:
    factor = 1024 ** ("KMG".find(unit[:1].upper()) + 1 if unit and unit != "B" else 0)
    size = size_bytes(f"{count}{unit}")
    assert size == count * factor if count * factor < 1 << 53 else size is None or size > 1 << 52


@given(st.integers(0, 50000), st.sampled_from([("s", 1), ("min", 60), ("hr", 3600), ("days", 86400)]))
def test_time_counts_in_seconds(count: int, unit: tuple[str, int]) -> None:
    seconds = count * unit[1]
    assert time_s(f"{count}{unit[0]}") == seconds


@given(st.sampled_from((*TRUE_WORDS, *FALSE_WORDS)), st.booleans())
def test_boolean_in_any_case(word: str, upper: bool) -> None:
    text = word.upper() if upper else word.title()
    assert boolean(text) is (word in TRUE_WORDS)
    assert is_true(text) is (word in TRUE_WORDS)


@given(st.integers(0, 99), st.integers(100, 1 << 40))
def test_number_below_a_hundred_is_a_percentage(low: int, high: int) -> None:
    assert percent_or_size(str(low)) == percent_or_size(f"{low}%")
    assert percent_or_size(str(high)) != percent_or_size(f"{high}%")


@pytest.mark.parametrize("kind", sorted(READERS))
def test_a_long_number_that_is_none_is_not_tried_in_every_way(kind: str) -> None:
    # with a reader that does, this would take hours
    with contextlib.suppress(ValueError):
        READERS[kind]("9" * 300_000 + "x")
