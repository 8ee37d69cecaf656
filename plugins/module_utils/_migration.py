# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A live migration: where to, what forbids it, and what of the domain the other host gets. Pure: no I/O."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _uri

if t.TYPE_CHECKING:
    from ansible_collections.gfapi.virt.plugins.module_utils import _domain_record, _use_record

#: of a running domain: while it runs on, and afterwards defined there and no longer here
FLAGS: t.Final = ("LIVE", "AUTO_CONVERGE", "ABORT_ON_ERROR")
PERSISTENT_FLAGS: t.Final = ("PERSIST_DEST", "UNDEFINE_SOURCE")


def uri_of(host: str) -> str:
    """libvirt's URI of a hypervisor: one that is given, or that of a host's system daemon over ssh."""
    if "://" in host:
        if not re.match(r"qemu(\+[a-z0-9]+)?://[^/]+/system\b", host):
            raise ValueError(f"host {host!r} is no libvirt of another hypervisor, as in qemu+ssh://hv2/system")
        return host
    name = _uri.parse_host(host)
    return f"qemu+ssh://{f'[{name}]' if ':' in name else name}/system"


def require_movable(
    name: str, host: str, here: _domain_record.DomainRecord | None, there: _domain_record.DomainRecord | None
) -> _domain_record.DomainRecord:
    """The domain as it is here; raises `ValueError` where it cannot go there."""
    if here is None:
        raise ValueError(f"domain {name} is neither on this host nor on {host}; define it on one of them first")
    if there is None:
        return here
    if there.uuid != here.uuid:
        raise ValueError(
            f"{host} has another domain {name}: uuid {there.uuid}, and {here.uuid} here; rename or undefine one"
        )
    if here.is_active and there.is_active:
        raise ValueError(f"domain {name} runs here and on {host} at once; shut one of them down first")
    return here


def is_there(here: _domain_record.DomainRecord | None, there: _domain_record.DomainRecord | None) -> bool:
    """Whether a domain is to be dealt with on the other host, for it runs there, or is on that one alone."""
    if there is None or (here is not None and here.is_active):
        return False
    return here is None or there.is_active


def host_called(hostname: str, records: t.Iterable[_use_record.UseRecord]) -> _use_record.ThisHost | None:
    """The one host of that name among those that note what they use; `None` where none or several have it."""
    short = hostname.partition(".")[0]
    found = {record.host for record in records if record.host.name.partition(".")[0] == short}
    exact = {host for host in found if host.name == hostname}
    chosen = exact or found
    return next(iter(chosen)) if len(chosen) == 1 else None
