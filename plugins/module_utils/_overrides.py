# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users want of a `<domain>` beyond our model: a value at a path, or an element below one. Pure: no I/O."""

from __future__ import annotations

import copy
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _xml

_STEP: t.Final = re.compile(r"([A-Za-z_][\w.-]*)((?:\[@[\w.-]+='[^']*'\])*)")
_PREDICATE: t.Final = re.compile(r"\[@([\w.-]+)='([^']*)'\]")
#: what makes a domain the one that was asked for
_IDENTITY: t.Final = ("name", "uuid")


@dataclass(frozen=True)
class Step:
    """One element of a path, and the attributes that it must have, as in `controller[@type='usb']`."""

    tag: str
    attributes: tuple[tuple[str, str], ...] = ()

    def matches(self, node: _xml.Element) -> bool:
        return node.tag == self.tag and all(node.get(name) == value for name, value in self.attributes)


@dataclass(frozen=True)
class Override:
    """A place, and what it holds: a `value` (of an element, or of its `attribute`), an element below it, or nothing."""

    path: str
    steps: tuple[Step, ...]
    attribute: str | None = None
    value: str | None = None
    xml: _xml.Element | None = None


def parse_override(path: str, *, value: str | None, xml: str | None, absent: bool) -> Override:
    """Raises `ValueError` for a path that is none, or names what makes the domain the one asked for."""
    steps, at, attribute = path.partition("/@") if not path.startswith("@") else ("", "@", path[1:])
    names = [_STEP.fullmatch(step) for step in steps.split("/")] if steps else []
    if not path or None in names or (at and not re.fullmatch(r"[\w.-]+", attribute)):
        raise ValueError(
            f"xml_overrides: {path!r} is not a path below <domain>, as in features/hyperv/relaxed/@state or"
            " devices/controller[@type='usb']/@model"
        )
    if sum((value is not None, xml is not None, absent)) != 1:
        raise ValueError(f"xml_overrides: {path}: give one of value, xml and state: absent")
    if at and xml is not None:
        raise ValueError(f"xml_overrides: {path}: an attribute holds no element; name the element that it goes below")
    found = tuple(Step(match[1], tuple(_PREDICATE.findall(match[2]))) for match in names if match)
    if found and found[0].tag in _IDENTITY:
        raise ValueError(f"xml_overrides: {path} is what the domain is known by, and is not overridden")
    if absent and path == "devices":
        raise ValueError("xml_overrides: devices holds every device, and libvirt makes it anew; name the device in it")
    return Override(path, found, attribute or None, value, None if xml is None else _xml.parse(xml))


def apply(domain: _xml.Element, overrides: t.Iterable[Override]) -> None:
    """Change a `<domain>` where it does not agree."""
    for override in overrides:
        if override.value is not None:
            _set(_made(domain, override.steps), override.attribute, override.value)
        elif override.xml is not None:
            parent = _made(domain, override.steps)
            if not any(contains(node, override.xml) for node in parent.iterchildren("*")):
                parent.append(copy.deepcopy(override.xml))
        else:
            _remove(domain, override)


def contains(node: _xml.Element, wanted: _xml.Element) -> bool:
    """Whether an element says all that is wanted. What libvirt adds, as addresses and aliases, is no difference."""
    text = (wanted.text or "").strip()
    return (
        node.tag == wanted.tag
        and all(node.get(name) == value for name, value in wanted.items())
        and (not text or text == (node.text or "").strip())
        and all(any(contains(child, part) for child in node.iterchildren("*")) for part in wanted.iterchildren("*"))
    )


def _set(node: _xml.Element, attribute: str | None, value: str) -> None:
    if attribute:
        node.set(attribute, _xml.require_printable(value))
    elif (node.text or "").strip() != value:
        node.text = _xml.require_printable(value)


def _made(domain: _xml.Element, steps: t.Sequence[Step]) -> _xml.Element:
    node = domain
    for step in steps:
        below = next((child for child in node.iterchildren("*") if step.matches(child)), None)
        if below is None:
            below = _xml.element(step.tag, dict(step.attributes))
            node.append(below)
        node = below
    return node


def _remove(domain: _xml.Element, override: Override) -> None:
    nodes = [domain]
    for step in override.steps:
        nodes = [child for node in nodes for child in node.iterchildren("*") if step.matches(child)]
    for node in nodes:
        parent = node.getparent()
        if override.attribute:
            node.attrib.pop(override.attribute, "")
        elif parent is not None:
            parent.remove(node)
