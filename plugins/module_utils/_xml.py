# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""XML as a tree, and one table of fields that reads and writes it. Pure: no I/O. The only importer of lxml."""

from __future__ import annotations

import functools
import re
import typing as t

try:
    from lxml import etree
except ImportError:
    # _module.require_libraries says what to install
    HAS_LXML = False
else:
    HAS_LXML = True

if t.TYPE_CHECKING:
    from lxml.etree import _Element

    Element = _Element
else:
    Element = t.Any

#: what XML 1.0 cannot hold at all
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def parse(text: str) -> Element:
    """The root element; raises `ValueError` if the text is not well-formed.

    A document type is refused, so no entity is ever expanded, and nothing is fetched: neither gluster nor libvirt
    writes one.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_blank_text=True, remove_comments=False)
    try:
        root = etree.fromstring(text.encode("utf-8", "surrogateescape"), parser)
    except etree.XMLSyntaxError as exc:
        raise ValueError(f"malformed XML: {exc}") from None
    if root is None:
        raise ValueError("malformed XML: no element in it")
    if root.getroottree().docinfo.internalDTD is not None:
        raise ValueError("malformed XML: it has a document type, which is refused")
    return root


def element(tag: str, attributes: t.Mapping[str, object] | None = None, *children: Element, text: str = "") -> Element:
    """A new element; attributes that are `None` are left out."""
    made = etree.Element(tag)
    for name, value in (attributes or {}).items():
        if value is not None:
            made.set(name, require_printable(str(value)))
    made.extend(children)
    if text:
        made.text = require_printable(text)
    return made


def to_text(root: Element) -> str:
    """The tree as text, indented by two spaces, children in the order they stand."""
    copy = clone(root)
    etree.indent(copy)
    return etree.tostring(copy, encoding="unicode") + "\n"


def clone(root: Element) -> Element:
    """A copy that shares nothing."""
    text = etree.tostring(root, with_tail=False, encoding="utf-8")
    return etree.fromstring(text, etree.XMLParser(remove_blank_text=True, resolve_entities=False))


def is_same(left: Element, right: Element) -> bool:
    """Whether two trees are written alike."""
    texts = [etree.tostring(root, with_tail=False, encoding="utf-8") for root in (left, right)]
    return bool(texts[0] == texts[1])


def require_printable(text: str) -> str:
    """The text, if XML can hold it; raises `ValueError` naming the character otherwise."""
    match = _UNPRINTABLE.search(text)
    if match:
        raise ValueError(f"{text!r} holds {match[0]!r}, which XML cannot; take it out")
    return text


def child(root: Element, tag: str) -> Element:
    """The first child with a tag, made where there is none."""
    found = root.find(tag)
    return etree.SubElement(root, tag) if found is None else found


@functools.cache
def _parts(path: str) -> tuple[str, str | None]:
    """Where the node is, and the attribute of it."""
    where, at, attribute = path.partition("@")
    return where.rstrip("/"), attribute if at else None


class Field(t.NamedTuple):
    """Where one attribute of a model lives: `driver/@cache`, `serial`, or `readonly` (a flag: there or not).

    `absent` is the value that a missing node stands for; unless `explicit`, it is written as a missing node too.
    """

    name: str
    path: str
    absent: t.Any = None
    flag: bool = False
    explicit: bool = False
    kind: t.Callable[[str], t.Any] = str

    def read(self, root: Element) -> t.Any:
        """The value found: text or what `kind` makes of it; `True` for a flag; `None` for a missing node."""
        where, attribute = _parts(self.path)
        node = root.find(where) if where else root
        if self.flag:
            return True if node is not None else None
        # blanks round a text may be of somebody's editor; those in an attribute are part of it
        value = None if node is None else node.get(attribute) if attribute else (node.text or "").strip()
        return self.kind(value) if value else self.absent

    def write(self, root: Element, value: t.Any) -> None:
        """Put the value there, making what lies on the way.

        `None` leaves what is there. Empty text, `False` and a value that `absent` stands for take the node out.
        """
        if value is None:
            return
        where, attribute = _parts(self.path)
        steps = where.split("/") if where else []
        if value is False or value == "" or (value == self.absent and not self.explicit):
            self._remove(root, steps, attribute)
            return
        node = root
        for step in steps:
            below = node.find(step)
            if below is None:
                below = etree.SubElement(node, step)
            node = below
        if attribute:
            node.set(attribute, require_printable(str(value)))
        elif not self.flag:
            node.text = require_printable(str(value))

    @staticmethod
    def _remove(root: Element, steps: list[str], attribute: str | None) -> None:
        node = root.find("/".join(steps)) if steps else root
        if node is None or (attribute and attribute not in node.attrib):
            return
        if attribute:
            del node.attrib[attribute]
        parent = node.getparent()
        if steps and parent is not None and not (attribute and (node.attrib or len(node) or node.text)):
            parent.remove(node)


def read_fields(fields: t.Iterable[Field], root: Element) -> dict[str, t.Any]:
    """Field name → value."""
    return {field.name: field.read(root) for field in fields}


def write_fields(fields: t.Iterable[Field], root: Element, values: t.Mapping[str, t.Any]) -> None:
    """Write the fields that `values` names and that are not `None`; the rest of the tree stays as it is."""
    for field in fields:
        if field.name in values:
            field.write(root, values[field.name])
