# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils import _xml
from ansible_collections.gfapi.virt.plugins.module_utils._xml import Field

# --- reading and writing text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "text", "<!-- only a comment -->", '<?xml version="1.0" encoding="UTF-16"?><a/>'),
        *("<a>", "<a></b>", "<a/><b/>", "<a b='1' b='2'/>", "<a>&unknown;</a>"),
        *("<a>\0</a>", "<a>\udcff</a>", "\udcff", "\ud800"),
    ],
)
def test_text_that_is_no_xml_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"malformed XML|surrogates"):
        _xml.parse(text)


def test_text_is_read_as_utf_8() -> None:
    assert _xml.parse('<?xml version="1.0" encoding="UTF-8"?><a b="é">\U0001f600</a>').get("b") == "é"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('<!DOCTYPE a [<!ENTITY e "boo">]><a>&e;</a>', id="in text"),
        pytest.param('<!DOCTYPE a [<!ENTITY e "boo">]><a b="&e;"/>', id="in an attribute"),
        pytest.param('<!DOCTYPE a [<!ATTLIST a b CDATA "boo">]><a/>', id="default of an attribute"),
        pytest.param("<!DOCTYPE a><a/>", id="not used"),
    ],
)
def test_entities_are_not_expanded(text: str) -> None:
    with pytest.raises(ValueError, match="document type, which is refused"):
        _xml.parse(text)


def test_entities_that_multiply_are_refused_at_once() -> None:
    layers = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    with pytest.raises(ValueError, match="malformed XML"):
        _xml.parse(f'<!DOCTYPE a [<!ENTITY e0 "boo">{layers}]><a b="&e11;">&e11;</a>')


@pytest.mark.parametrize("kind", ["SYSTEM", "PUBLIC '-//x//y'"])
def test_external_entities_are_not_fetched(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("<this would be another error>", encoding="ascii")
    with pytest.raises(ValueError, match="document type, which is refused"):
        _xml.parse(f"<!DOCTYPE a [<!ENTITY e {kind} '{secret.as_uri()}'>]><a>&e;</a>")


def test_five_entities_of_xml_itself_are_read() -> None:
    assert _xml.parse("<a>&lt;&gt;&amp;&quot;&apos;&#233;</a>").text == "<>&\"'é"


def test_element_leaves_out_what_is_none() -> None:
    made = _xml.element("a", {"b": 1, "c": None, "d": ""}, _xml.element("e", text="f"), text="")
    assert _xml.to_text(made) == '<a b="1" d="">\n  <e>f</e>\n</a>\n'


@pytest.mark.parametrize("bad", ["\0", "\x01", "\x1f", "\ufffe", "\ud800"])
@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda bad: _xml.element("a", {"b": bad}), id="element attribute"),
        pytest.param(lambda bad: _xml.element("a", text=bad), id="element text"),
        pytest.param(lambda bad: Field("f", "@b").write(_xml.element("a"), bad), id="field attribute"),
        pytest.param(lambda bad: Field("f", "b").write(_xml.element("a"), bad), id="field text"),
    ],
)
def test_character_that_xml_cannot_hold_is_named(write: t.Callable[[str], object], bad: str) -> None:
    with pytest.raises(ValueError, match="which XML cannot; take it out") as caught:
        write(f"a{bad}b")
    assert repr(bad) in str(caught.value)


@pytest.mark.parametrize("good", ["", "\t\n\r", " \x7f\x85é", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff"])
def test_character_that_xml_holds_is_taken(good: str) -> None:
    assert _xml.require_printable(good) == good


def test_text_is_indented_whatever_it_was() -> None:
    assert _xml.to_text(_xml.parse("<a>\n<b>\n\n <c/></b> </a>")) == "<a>\n  <b>\n    <c/>\n  </b>\n</a>\n"


def test_writing_text_leaves_the_tree_alone() -> None:
    root = _xml.parse("<a><b><c/></b></a>")
    _xml.to_text(root)
    assert root.text is None


def test_clone_shares_nothing() -> None:
    root = _xml.parse("<a><b>x</b></a>")
    _xml.clone(root)[0].text = "y"
    assert root[0].text == "x"


def test_clone_keeps_names_of_any_script() -> None:
    text = '<metadata>\n  <größe ä="1"/>\n</metadata>\n'
    assert _xml.to_text(_xml.clone(_xml.parse(text))) == text


def test_clone_of_a_child_is_the_child_alone() -> None:
    root = _xml.parse("<brick>h:/path<name>n</name>and more</brick>")
    assert _xml.to_text(_xml.clone(root[0])) == "<name>n</name>\n"


# --- fields: tables -------------------------------------------------------------------------------------------------

DOCUMENT: t.Final = """\
<disk type="network" device="lun">
  <driver name="qemu" type="qcow2"/>
  <source>
    <host port="1"/>
  </source>
  <serial>s</serial>
  <readonly/>
  <empty/>
</disk>
"""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(Field("f", "@device"), "lun", id="attribute of the root"),
        pytest.param(Field("f", "driver/@type"), "qcow2", id="attribute"),
        pytest.param(Field("f", "source/host/@port", kind=int), 1, id="attribute two steps down, as a number"),
        pytest.param(Field("f", "serial"), "s", id="text"),
        pytest.param(Field("f", "readonly", flag=True), True, id="flag"),
        pytest.param(Field("f", "shareable", flag=True), None, id="flag that is not there"),
        pytest.param(Field("f", "driver/@io"), None, id="no attribute"),
        pytest.param(Field("f", "target/@bus"), None, id="no element"),
        pytest.param(Field("f", "empty"), None, id="empty element"),
        pytest.param(Field("f", "driver/@cache", absent="default"), "default", id="what a missing attribute means"),
        pytest.param(Field("f", "driver/@type", absent="raw"), "qcow2", id="what is there counts more"),
    ],
)
def test_field_is_read(field: Field, value: object) -> None:
    assert field.read(_xml.parse(DOCUMENT)) == value


@pytest.mark.parametrize(
    ("field", "value", "old", "new"),
    [
        pytest.param(Field("f", "@device"), "disk", 'device="lun"', 'device="disk"', id="attribute of the root"),
        pytest.param(Field("f", "driver/@type"), "raw", 'type="qcow2"', 'type="raw"', id="attribute"),
        pytest.param(Field("f", "serial"), "é<", "<serial>s<", "<serial>é&lt;<", id="text"),
        pytest.param(Field("f", "source/host/@port"), 2, 'port="1"', 'port="2"', id="number"),
        pytest.param(Field("f", "driver/@io"), "native", '"qcow2"/', '"qcow2" io="native"/', id="new attribute"),
        pytest.param(Field("f", "a/b/@c"), "d", "</disk", '  <a>\n    <b c="d"/>\n  </a>\n</disk', id="new elements"),
        pytest.param(Field("f", "shareable", flag=True), True, "</disk", "  <shareable/>\n</disk", id="new flag"),
        pytest.param(Field("f", "readonly", flag=True), True, "", "", id="flag that is there"),
        pytest.param(Field("f", "readonly", flag=True), False, "  <readonly/>\n", "", id="flag off"),
        pytest.param(Field("f", "shareable", flag=True), False, "", "", id="flag off that was off"),
        pytest.param(Field("f", "driver/@type"), None, "", "", id="None leaves an attribute"),
        pytest.param(Field("f", "serial"), None, "", "", id="None leaves a text"),
        pytest.param(Field("f", "readonly", flag=True), None, "", "", id="None leaves a flag"),
        pytest.param(Field("f", "target/@bus"), None, "", "", id="None makes nothing"),
        pytest.param(Field("f", "serial"), "", "  <serial>s</serial>\n", "", id="empty text takes out"),
        pytest.param(Field("f", "driver/@type"), "", ' type="qcow2"', "", id="empty attribute, others stay"),
        pytest.param(
            Field("f", "source/host/@port"),
            "",
            '<source>\n    <host port="1"/>\n  </source>',
            "<source/>",
            id="last attribute",
        ),
        pytest.param(Field("f", "driver/@io"), "", "", "", id="empty attribute that was not there"),
        pytest.param(Field("f", "target/@bus"), "", "", "", id="empty attribute of no element"),
        pytest.param(Field("f", "driver/@type", absent="raw"), "raw", ' type="qcow2"', "", id="what absence means"),
        pytest.param(
            Field("f", "driver/@type", absent="raw", explicit=True), "raw", '"qcow2"', '"raw"', id="said all the same"
        ),
    ],
)
def test_field_is_written(field: Field, value: object, old: str, new: str) -> None:
    root = _xml.parse(DOCUMENT)
    field.write(root, value)
    assert _xml.to_text(root) == DOCUMENT.replace(old, new, 1)


def test_attribute_goes_and_the_text_beside_it_stays() -> None:
    root = _xml.parse("<domain><memory unit='KiB'>1024</memory></domain>")
    Field("unit", "memory/@unit").write(root, "")
    assert _xml.to_text(root) == "<domain>\n  <memory>1024</memory>\n</domain>\n"


def test_blanks_round_a_text_go_and_those_in_an_attribute_stay() -> None:
    root = _xml.parse("<a b=' x '>\n  y\n  <c/></a>")
    assert (Field("f", "@b").read(root), Field("f", ".").read(root)) == (" x ", "y")


def test_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal for int"):
        Field("f", "@port", kind=int).read(_xml.parse("<host port='x'/>"))


def test_fields_that_are_not_named_are_left() -> None:
    root = _xml.parse("<a b='1' c='2'/>")
    fields = (Field("b", "@b"), Field("c", "@c"))
    _xml.write_fields(fields, root, {"b": "3", "unknown": "4"})
    assert _xml.read_fields(fields, root) == {"b": "3", "c": "2"}


# --- fields: properties ---------------------------------------------------------------------------------------------

FIELDS: t.Final = (
    Field("device", "@device", absent="disk"),
    Field("format", "driver/@type", absent="raw", explicit=True),
    Field("cache", "driver/@cache"),
    Field("target", "target/@dev"),
    Field("port", "source/host/@port", kind=int, absent=24007),
    Field("serial", "serial"),
    Field("title", "metadata/deep/title"),
    Field("readonly", "readonly", flag=True),
)
UNKNOWN: t.Final = """\
<disk type="network" x="1">
  <!-- kept -->
  <driver name="qemu" x="2"/>
  <source x="3">
    <host name="h" x="4"/>
    <host name="second" port="7"/>
  </source>
  <target x="5"/>
  <metadata x="6">
    <other>text</other>
    <deep x="7"/>
  </metadata>
  <address type="pci" x="8"/>
</disk>
"""

words = st.text(
    (st.integers(0x20, 0x7E) | st.integers(0xA1, 0x167F) | st.integers(0x10000, 0x10FFFF)).map(chr)
    | st.sampled_from("&<>\"'\n\t"),
    min_size=1,
    max_size=6,
).filter(lambda text: text == text.strip())
#: text that a round trip through text keeps: XML turns line ends and tabs in attributes into blanks unless escaped
values = st.fixed_dictionaries(
    {
        **dict.fromkeys(("device", "format", "cache", "target", "serial", "title"), words),
        "port": st.integers(1, 65535) | st.just(24007),
        "readonly": st.booleans(),
    }
)
some_values = values.flatmap(
    lambda full: st.sets(st.sampled_from(sorted(full))).map(lambda names: {name: full[name] for name in names})
)


def read(root: _xml.Element) -> dict[str, t.Any]:
    return _xml.read_fields(FIELDS, root)


@given(values)
def test_what_is_written_is_read_again(written: dict[str, t.Any]) -> None:
    root = _xml.element("disk")
    _xml.write_fields(FIELDS, root, written)
    expected = {**written, "readonly": written["readonly"] or None}
    assert read(root) == expected
    assert read(_xml.parse(_xml.to_text(root))) == expected


@given(values, some_values)
def test_later_writing_changes_what_it_names_alone(first: dict[str, t.Any], second: dict[str, t.Any]) -> None:
    root = _xml.element("disk")
    _xml.write_fields(FIELDS, root, first)
    before = read(root)
    _xml.write_fields(FIELDS, root, second)
    assert read(root) == {**before, **second, "readonly": {**first, **second}["readonly"] or None}


@given(some_values)
def test_what_is_unknown_survives(written: dict[str, t.Any]) -> None:
    root = _xml.parse(UNKNOWN)
    _xml.write_fields(FIELDS, root, written)
    nothing: dict[str, t.Any] = {**dict.fromkeys(written, ""), "readonly": False}
    _xml.write_fields(FIELDS, root, nothing)
    assert _xml.to_text(root) == UNKNOWN


@given(some_values)
def test_writing_what_is_there_changes_nothing(written: dict[str, t.Any]) -> None:
    root = _xml.parse(UNKNOWN)
    _xml.write_fields(FIELDS, root, written)
    text = _xml.to_text(root)
    found = {name: value for name, value in read(root).items() if name in written or name != "format"}
    _xml.write_fields(FIELDS, root, found)
    assert _xml.to_text(root) == text


ANY_TEXT: t.Final = st.text((st.integers(1, 0xD7FF) | st.integers(0xD800, 0x10FFFF)).map(chr))
PIECES: t.Final = (
    "<a>",
    "</a>",
    "<b/>",
    "&lt;",
    "<",
    "&",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<a b='",
    "'>",
    "<!DOCTYPE a>",
    "x",
)


@given(ANY_TEXT | st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_is_xml_or_refused(text: str) -> None:
    try:
        root = _xml.parse(text)
    except ValueError:
        return
    assert _xml.to_text(_xml.parse(_xml.to_text(root))) == _xml.to_text(root)
