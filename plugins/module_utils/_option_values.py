# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the spelling of an option's value stands for, by the option's type. Pure: no I/O.

As libglusterfs reads them: gf_string2boolean, gf_string2int64 (strtoll, base 0), gf_string2bytesize_uint64 and
gf_string2percent (strtod), gf_string2time (strtoul, base 0); compared with it on 10.3 and 11.1.
"""

from __future__ import annotations

import re
import typing as t

TRUE_WORDS: t.Final = ("on", "yes", "true", "enable", "1")
FALSE_WORDS: t.Final = ("off", "no", "false", "disable", "0")

_SIZE_UNITS: t.Final = {"": 0, "B": 0, "KB": 10, "MB": 20, "GB": 30, "TB": 40, "PB": 50}
_TIME_UNITS_S: t.Final = {
    **dict.fromkeys(("", "s", "sec"), 1),
    **dict.fromkeys(("m", "min"), 60),
    **dict.fromkeys(("h", "hr"), 3600),
    **dict.fromkeys(("d", "days"), 86400),
    **dict.fromkeys(("w", "wk"), 604800),
}
_INTEGER = re.compile(r"([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
#: each digit in one way only: a long number that is none would take hours otherwise
_DECIMAL = r"\+?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
#: an exponent is read only after a point
_SIZE = re.compile(r"(\+?(?:[0-9]+|(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?))([KMGTP]?B|)", re.IGNORECASE)
_PERCENT_OR_SIZE = re.compile(rf"({_DECIMAL})(%|[KMGTP]B|)", re.IGNORECASE)
_PERCENT = re.compile(rf"({_DECIMAL})(%?)")
_TIME = re.compile(r"(\+?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*))([a-z]*)")


def boolean(text: str) -> bool | None:
    """None where the text is no boolean."""
    word = text.lower()
    return True if word in TRUE_WORDS else False if word in FALSE_WORDS else None


def is_true(text: str) -> bool:
    return boolean(text) is True


def integer(text: str) -> int | None:
    """Of 64 bits, in base 0: 0x2a is 42 and 036 is 30."""
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    digits = match[2].lower()
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10
    number = int(digits, base) * (-1 if match[1] == "-" else 1)
    return number if -(2**63) <= number < 2**63 else None


def size_bytes(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    number = float(match[1]) * 2 ** _SIZE_UNITS[match[2].upper()]
    return int(number) if number < 2**64 else None


def percent(text: str) -> float | None:
    match = _PERCENT.fullmatch(text)
    return float(match[1]) if match else None


def percent_or_size(text: str) -> tuple[str, float] | None:
    """What it counts (`%` or `B`), and the number.

    Without a unit, the translators take what is below 100 for a percentage, and the rest for bytes: `storage.reserve`
    of `50` and of `50%` reserve the same (tried on 10.3 and 11.1).
    """
    match = _PERCENT_OR_SIZE.fullmatch(text)
    if match is None:
        return None
    if match[2] == "%":
        return ("%", float(match[1]))
    number = float(match[1]) * 2 ** _SIZE_UNITS[match[2].upper()]
    return None if number >= 100 and "." in text else ("%" if number < 100 else "B", number)


def time_s(text: str) -> int | None:
    """Seconds, of 64 bits."""
    match = _TIME.fullmatch(text)
    unit = _TIME_UNITS_S.get(match[2]) if match else None
    number = integer(match[1]) if match else None
    if unit is None or number is None:
        return None
    return number * unit if number * unit < 2**63 else None


def double(text: str) -> float | None:
    match = re.fullmatch(rf"-?{_DECIMAL}", text)
    return float(text) if match else None


def path(text: str) -> str | None:
    return text if text.startswith("/") and "../" not in text else None


def addresses(text: str) -> frozenset[str] | None:
    """Host names, addresses, patterns of them (`192.168.1.*`) and networks, in any order."""
    return names(text) if re.fullmatch(r"[A-Za-z0-9.:*?/,-]+", text) else None


def names(text: str) -> frozenset[str]:
    """In any order."""
    return frozenset(text.split(","))


def word(text: str) -> bool | str:
    """One of an option's own words, some of which may be booleans beside others (`on` beside `auto`)."""
    truth = boolean(text)
    return text if truth is None else truth


#: type → what a text of it stands for; None where it is not of the type
READERS: t.Final[dict[str, t.Callable[[str], object]]] = {
    "boolean": boolean,
    "int": integer,
    "size": size_bytes,
    "percent": percent,
    "percent_or_size": percent_or_size,
    "time": time_s,
    "double": double,
    "path": path,
    "addresses": addresses,
    "names": names,
    "enum": word,
    "string": str,
}
#: type → what it takes, in words
TAKES: t.Final = {
    "boolean": "on or off (or enable, yes, true, 1; disable, no, false, 0)",
    "int": "a whole number",
    "size": "a size in bytes, or with KB, MB, GB, TB or PB, as 64MB",
    "percent": "a percentage from 0 to 100, as 10%",
    "percent_or_size": "a percentage, as 10%, or a size in bytes or with KB, MB, GB, TB or PB, as 10GB",
    "time": "seconds, or a time in s, m, h, d or w, as 30m",
    "double": "a number",
    "path": "an absolute path",
    "addresses": "host names and addresses, as 192.168.1.*, with commas between",
    "names": "names with commas between",
    "string": "a text",
}
