# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt itself says to a domain: its schema, and its test driver, which needs no daemon and no rights."""

from __future__ import annotations

import functools
import typing as t
from pathlib import Path

import libvirt
from lxml import etree

from ansible_collections.gfapi.virt.plugins.module_utils import _xml

#: installed with the library itself (Debian: libvirt0; Fedora: libvirt-libs)
SCHEMA: t.Final = Path("/usr/share/libvirt/schemas/domain.rng")


@functools.cache
def schema() -> etree.RelaxNG:
    """libvirt's schema of a domain."""
    return etree.RelaxNG(etree.parse(str(SCHEMA)))


def complaints(domain: _xml.Element) -> list[str]:
    """What the schema has against a `<domain>`, once it is text and read again."""
    found = schema()
    found.validate(etree.fromstring(_xml.to_text(domain)))
    return [str(entry) for entry in found.error_log]


def domain_around(*devices: _xml.Element) -> _xml.Element:
    """The smallest domain that holds the devices."""
    return _xml.element(
        "domain",
        {"type": "test"},
        _xml.element("name", text="probe"),
        _xml.element("uuid", text="0f9c2a5e-3d0b-4c55-9c1e-1f2b7a6d8e90"),
        _xml.element("memory", {"unit": "KiB"}, text="8192"),
        _xml.element("os", None, _xml.element("type", text="hvm")),
        _xml.element("devices", None, *devices),
    )


@functools.cache
def connection() -> t.Any:
    """The test driver."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    return libvirt.open("test:///default")


def defined(domain: _xml.Element) -> _xml.Element:
    """The domain as libvirt holds it after it was defined and checked against the schema."""
    made = connection().defineXMLFlags(_xml.to_text(domain), libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    try:
        return _xml.parse(made.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    finally:
        made.undefine()
