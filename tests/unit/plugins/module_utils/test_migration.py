# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _xml
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord
from ansible_collections.gfapi.virt.plugins.module_utils._migration import (
    host_called,
    is_there,
    require_movable,
    uri_of,
)
from ansible_collections.gfapi.virt.plugins.module_utils._use_record import ThisHost, UseRecord


def record(uuid: str = "1", *, active: bool = True) -> DomainRecord:
    configuration = _xml.element("domain")
    state = "running" if active else "shut_off"
    return DomainRecord("web", uuid, state, configuration, configuration if active else None, autostart=False)


@pytest.mark.parametrize(
    ("host", "uri"),
    [
        ("hv2", "qemu+ssh://hv2/system"),
        ("fd00::2", "qemu+ssh://[fd00::2]/system"),
        ("qemu+ssh://root@hv2/system?keyfile=/k", "qemu+ssh://root@hv2/system?keyfile=/k"),
        ("qemu+tls://hv2/system", "qemu+tls://hv2/system"),
    ],
)
def test_a_host_and_its_libvirt(host: str, uri: str) -> None:
    assert uri_of(host) == uri


@pytest.mark.parametrize("host", ["qemu:///system", "qemu+ssh://hv2/session", "xen://hv2/system", "http://hv2/system"])
def test_what_is_no_other_hypervisor(host: str) -> None:
    with pytest.raises(ValueError, match="is no libvirt of another hypervisor, as in qemu"):
        uri_of(host)


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        (None, None, False),
        (None, record(), True),
        (None, record(active=False), True),
        (record(active=False), record(), True),
        (record(active=False), record(active=False), False),
        (record(), None, False),
        (record(), record(active=False), False),
        (record(), record(), False),
    ],
)
def test_where_a_domain_is_dealt_with(here: DomainRecord | None, there: DomainRecord | None, expected: bool) -> None:
    assert is_there(here, there) is expected


def test_what_cannot_go() -> None:
    assert require_movable("web", "hv2", record(), None).uuid == "1"
    assert require_movable("web", "hv2", record(), record(active=False)).uuid == "1"
    with pytest.raises(ValueError, match="domain web is neither on this host nor on hv2; define it"):
        require_movable("web", "hv2", None, None)
    with pytest.raises(ValueError, match="hv2 has another domain web: uuid 2, and 1 here"):
        require_movable("web", "hv2", record(), record("2"))
    with pytest.raises(ValueError, match="domain web runs here and on hv2 at once"):
        require_movable("web", "hv2", record(), record())


def test_the_host_that_libvirt_names() -> None:
    long, short, other = (ThisHost(name, "0") for name in ("hv2.example.org", "hv1", "hv3"))
    records = [UseRecord(host) for host in (long, short, other)]
    assert host_called("hv2.example.org", records) == long
    assert host_called("hv1.example.org", records) == short
    assert host_called("hv4", records) is None
    twins = [UseRecord(ThisHost("hv1", machine)) for machine in "ab"]
    assert host_called("hv1", twins) is None
