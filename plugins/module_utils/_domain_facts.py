# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modules return and show of a domain. Pure: no I/O."""

from __future__ import annotations

import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _domain, _live, _xml


def masked(element: _xml.Element) -> _xml.Element:
    """A copy with the passwords of graphics and of TLS secrets hidden, for people's eyes."""
    copy = _xml.clone(element)
    for node in copy.iter("graphics"):
        if node.get("passwd") is not None:
            node.set("passwd", "********")
    return copy


def facts(configured: _xml.Element | None, live: _xml.Element | None) -> dict[str, t.Any]:
    """Disks, interfaces and what a restart would bring, as modules return them."""
    domain = _domain.Domain("") if configured is None else _domain.from_element(configured)
    pending = [] if live is None or configured is None else _live.pending_fields(live, configured)
    return {
        "disks": [disk_facts(disk) for disk in domain.disks or ()],
        "interfaces": [vars(interface) for interface in domain.interfaces or ()],
        "restart_required": [f"{field}: takes effect at the next start" for field in pending],
    }


def disk_facts(disk: _disk.Disk) -> dict[str, t.Any]:
    """A disk as modules return it."""
    source = disk.source
    uris = list(source.uris)
    return {
        "target": disk.target,
        "source": source.name or source.file or source.dev,
        "uri": uris[0] if uris else None,
        "uris": uris,
        "format": disk.format,
        "serial": disk.serial,
    }
