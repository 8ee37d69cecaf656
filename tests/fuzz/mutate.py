# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inputs for parsers: recorded ones with something wrong in them, each made by one `random.Random`."""

from __future__ import annotations

import copy
import json
import random
import re
import typing as t

from lxml import etree

#: what breaks parsers: numbers at and past every edge, text that is no text, bits of other grammars
TOKENS: t.Final = (
    "", " ", "\n", "\0", "\t", "\r", "\x0b", "\x0c", "\u2028", "\ud800", "é", "\u0661", "²", "🐘", "-", "-1", "0",
    "00", "+1", "1.5", "1e999", "nan", "inf", "0x10", "1_000", "4294967296", "18446744073709551616", "9" * 25,
    "9" * 5000, "A" * 3000, "[" * 3000, "(" * 3000, "=", "==", ":", "::1", "[", "]", "[::1]", "fe80::1%eth0", "/",
    "//", "/..", "../../etc/shadow", "\\", "\\040", "\\377", "%", "%00", "%2F", "%ff", "?", "#", ",", ";", "'", '"',
    "<", ">", "&", "&lt;", "&#0;", "&a;", "]]>", "<!--", "-->", "<?xml version='1.0'?>",
    "<!DOCTYPE a [<!ENTITY a 'aaaa'>]>", "<a xmlns='urn:x'/>", "{", "}", "[]", "{}", "null", "true", "json:",
    "json:{}", "gluster://", "gluster+unix:///v/p?socket=/s", "EOF", "EOF\n", "_SHA_CKSUM=", "yes", "no", "on", "KiB",
    "EiB", "(DEFAULT)", "00000000-0000-0000-0000-000000000000", "localhost", "Brick :", "Final graph:", "type ",
)  # fmt: skip
VALUES: t.Final = (
    None, True, False, 0, -1, 1 << 70, 1.5, float("inf"), "", "x", "\ud800", "9" * 5000, [], [None], {}, {"": None},
    [[[]]], "json:{", 'json:{"driver": "gluster"}', 'json:{"file": []}', "gluster://h/v/p", "/a",
)  # fmt: skip
_VALUE = re.compile(r"""(?<=")[^"<>]*(?=")|(?<=')[^'<>]*(?=')|(?<=>)[^<>]+(?=<)|[0-9]+""")

Make = t.Callable[[random.Random], t.Any]


def text(chance: random.Random, given: str) -> str:
    """A text with one to four things wrong in it."""
    for _change in range(chance.choice((1, 1, 2, 4))):
        given = _CHANGES[chance.randrange(len(_CHANGES))](chance, given)
    return given


def _place(chance: random.Random, given: str) -> tuple[int, int]:
    start = chance.randrange(len(given) + 1)
    return start, min(len(given), start + chance.choice((0, 1, 1, 3, 10, 100, 5000)))


def _replace(chance: random.Random, given: str) -> str:
    start, end = _place(chance, given)
    return given[:start] + chance.choice(TOKENS) + given[end:]


def _remove(chance: random.Random, given: str) -> str:
    start, end = _place(chance, given)
    return given[:start] + given[end:]


def _double(chance: random.Random, given: str) -> str:
    start, end = _place(chance, given)
    return given[:end] + given[start:end] * chance.choice((1, 1, 3)) + given[end:]


def _value(chance: random.Random, given: str) -> str:
    """Another value where one stands, so that what is round it is still read."""
    at = chance.randrange(len(given) + 1)
    found = _VALUE.search(given, at) or _VALUE.search(given)
    return given[: found.start()] + chance.choice(TOKENS) + given[found.end() :] if found else _replace(chance, given)


def _line(chance: random.Random, given: str) -> str:
    lines = given.split("\n")
    at = chance.randrange(len(lines))
    lines[at : at + 1] = chance.choice(([], [lines[at]] * 2, [lines[at][::-1]], [lines[-1 - at]], [""]))
    return "\n".join(lines)


def _noise(chance: random.Random, given: str) -> str:
    start, end = _place(chance, given)
    return (
        given[:start]
        + "".join(chr(chance.choice((chance.randrange(128), chance.randrange(0x2FFF)))) for _character in range(4))
        + given[end:]
    )


_CHANGES: t.Final = (_replace, _remove, _double, _value, _value, _value, _line, _noise)


def data(chance: random.Random, given: bytes) -> bytes:
    """Bytes with one to four things wrong in them."""
    changed = bytearray(given)
    for _change in range(chance.choice((1, 1, 2, 4))):
        at = _filled(chance, changed)
        kind = chance.randrange(5)
        if kind == 0:
            del changed[at:]
        elif kind == 1:
            changed[at : at + 8] = chance.choice((0, 1, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1)).to_bytes(
                8, "big"
            )
        elif kind == 2:
            # where formats have their numbers
            at = chance.randrange(0, 128, 4)
            changed[at : at + 4] = chance.randrange(1 << 32).to_bytes(4, "big")
        elif kind == 3:
            changed[at : at + 1] = bytes((chance.randrange(256),))
        else:
            del changed[at : at + chance.choice((1, 4, 512))]
    return bytes(changed)


def _filled(chance: random.Random, given: bytes | bytearray) -> int:
    """A place in bytes, rather not in the zeros between them."""
    at = 0
    for _try in range(20):
        at = chance.randrange(len(given) + 1)
        if any(given[at : at + 1]):
            break
    return at


def value(chance: random.Random, given: t.Any) -> t.Any:
    """A JSON value with one to three of its parts gone or others."""
    changed = copy.deepcopy(given)
    for _change in range(chance.choice((1, 1, 3))):
        node, above = changed, []
        while isinstance(node, (dict, list)) and node and (not above or chance.random() < 0.8):
            key = chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))
            above.append((node, key))
            node = node[key]
        if not above:
            return copy.deepcopy(chance.choice(VALUES))
        node, key = above[-1]
        if chance.random() < 0.3:
            del node[key]
        else:
            node[key] = copy.deepcopy(chance.choice(VALUES))
    return changed


def json_text(chance: random.Random, given: t.Any) -> str:
    """The same as text, or that text with something wrong in it; now and then nested too deep for any parser."""
    kind = chance.random()
    if kind < 0.01:
        return "[" * 100_000
    if kind < 0.02:
        return '{"a":' * 100_000
    return json.dumps(value(chance, given)) if kind < 0.7 else text(chance, json.dumps(given))


def tree_text(chance: random.Random, given: etree._Element) -> str:
    """An XML document whose elements are gone, double, elsewhere, or say other things; or with wrong text in it."""
    if chance.random() < 0.3:
        return text(chance, etree.tostring(given, encoding="unicode"))
    root = copy.deepcopy(given)
    for _change in range(chance.choice((1, 2, 4))):
        nodes = list(root.iter("*"))
        node = chance.choice(nodes)
        parent, kind = node.getparent(), chance.randrange(6)
        try:
            if kind == 0 and parent is not None:
                parent.remove(node)
            elif kind == 1 and parent is not None:
                parent.append(copy.deepcopy(node))
            elif kind == 2 and node.attrib:
                node.set(chance.choice(list(node.attrib)), chance.choice(TOKENS))
            elif kind == 3 and node.attrib:
                del node.attrib[chance.choice(list(node.attrib))]
            elif kind == 4:
                node.text = chance.choice(TOKENS)
            else:
                chance.choice(nodes).append(copy.deepcopy(chance.choice(nodes)))
        except ValueError:
            continue  # what XML cannot hold
        if len(nodes) > 2000:
            break
    return etree.tostring(root, encoding="unicode")


def bombs(chance: random.Random) -> str:
    """What is small and grows: entities in entities, and elements in elements."""
    depth = chance.choice((5, 12, 300, 5000))
    names = [f"e{number}" for number in range(min(depth, 12))]
    lines = [f'<!ENTITY {name} "{f"&{below};" * 10}">' for name, below in zip(names[1:], names)]
    return chance.choice(
        (
            f'<!DOCTYPE a [<!ENTITY e0 "ha">{"".join(lines)}]><a>&{names[-1]};</a>',
            '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
            '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>',
            "<a>" * depth + "</a>" * depth,
            "<a " + " ".join(f"b{number}=''" for number in range(depth)) + "/>",
        )
    )


def of(change: t.Callable[[random.Random, t.Any], t.Any], corpus: t.Sequence[t.Any]) -> Make:
    """One of a corpus with something wrong in it."""

    def make(chance: random.Random) -> t.Any:
        given = corpus[chance.randrange(len(corpus))]
        return change(chance, given)

    return make
