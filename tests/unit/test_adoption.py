# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domains that others made are taken over as they are.

fixtures/libvirt/domains holds what libvirt 9.0 and 11.3 said of domains of every kind.
"""

from __future__ import annotations

import functools
import re
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _domain, _vm_params, _vm_plan, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._domain import Domain
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord
from ansible_collections.gfapi.virt.plugins.module_utils._image_paths import ImagePaths
from ansible_collections.gfapi.virt.plugins.module_utils._image_source import Servers
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Item
from ansible_collections.gfapi.virt.plugins.module_utils._storage import Storage
from ansible_collections.gfapi.virt.plugins.module_utils._vm_uses import VmUses
from ansible_collections.gfapi.virt.plugins.modules.libvirt_vm import VM_SPEC
from ansible_collections.gfapi.virt.tests.unit.fake_daemons import FakeLibvirt
from ansible_collections.gfapi.virt.tests.unit.recorded import FIXTURES

FOLDER: t.Final = FIXTURES / "libvirt" / "domains"
NAMES: t.Final = sorted(path.stem for path in FOLDER.glob("*.xml"))
NEXT: t.Final = [name for name in NAMES if re.search(r"_next_[0-9.]+$", name)]


@functools.cache
def recorded(name: str) -> str:
    return (FOLDER / f"{name}.xml").read_text("utf-8")


def domain_of(name: str) -> _xml.Element:
    return _xml.parse(recorded(name))


# --- taken over -----------------------------------------------------------------------------------------------------


def item_for(element: _xml.Element, domain: Domain, libvirt: FakeLibvirt, live: _xml.Element | None = None) -> Item:
    """The plan for a domain of this XML that is to be like that."""
    record = DomainRecord(
        element.findtext("name", ""),
        element.findtext("uuid", ""),
        "shut_off" if live is None else "running",
        element,
        live,
        False,
    )
    libvirt.records[record.name] = record
    params = {**{name: rules.get("default") for name, rules in VM_SPEC.items()}, "name": record.name}
    edges: t.Any = (libvirt, VmUses(Storage(), t.cast("t.Any", libvirt)))
    desired = replace(_vm_params.desired_from(params, edges[0], None), domain=domain)
    hypervisors = _vm_plan.Hypervisors(Storage(), ImagePaths(Servers()))
    return _vm_plan.item_on(edges[0], desired, _vm_plan.RunningImages(edges[0]), edges[1], edges[0].seeds, hypervisors)


def carried_out(item: Item) -> list[str]:
    """What the plan says, once it is carried out."""
    for action in item.plan.actions:
        action.run()
    return item.plan.summaries


def on_purpose(element: _xml.Element) -> list[str]:
    """The one thing that is changed unasked: libvirt is kept from giving gluster images to another owner."""
    relabelled = _domain.from_element(element).has_gluster_disk and _disk.is_relabelled(element)
    return [f"change relabelling of domain {element.findtext('name')}"] if relabelled else []


def as_users_write(domain: Domain) -> Domain:
    """The same with what users leave out: targets of disks, addresses of interfaces, the version of a machine."""
    machine = next((a for a, of in _domain.MACHINE_ALIASES.items() if str(domain.machine).startswith(of)), None)
    return replace(
        domain,
        uuid=None,
        machine=machine or domain.machine,
        interfaces=tuple(replace(nic, mac=None) for nic in domain.interfaces or ()),
    )


def asked_for(element: _xml.Element) -> tuple[Domain, ...]:
    """A domain of this XML, as people ask for it who want it as it is."""
    model = _domain.from_element(element)
    return Domain(model.name), model, as_users_write(model)


@pytest.mark.parametrize("name", NAMES)
def test_domain_is_taken_over_as_it_is(name: str) -> None:
    element = domain_of(name)
    for desired in asked_for(element):
        libvirt = FakeLibvirt()
        assert carried_out(item_for(element, desired, libvirt)) == on_purpose(element)
        assert carried_out(item_for(libvirt.records[desired.name].inactive, desired, libvirt)) == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_touched_where_nothing_differs(name: str) -> None:
    element = domain_of(name)
    for desired in asked_for(element):
        kept = lines(_domain.edited(element, desired))
        if on_purpose(element):
            kept = [line for line in kept if not line.path.startswith("seclabel")]
        assert kept == [line for line in lines(element) if not line.path.startswith("seclabel") or line in kept]


@pytest.mark.parametrize("name", NEXT)
def test_running_domain_is_taken_over_without_a_restart(name: str) -> None:
    element = domain_of(name)
    for desired in asked_for(element):
        item = item_for(element, desired, FakeLibvirt(), domain_of(name.replace("_next_", "_")))
        assert item.predicted["restart_required"] == []
        assert carried_out(item) == on_purpose(element)


# --- lines ----------------------------------------------------------------------------------------------------------


class Line(t.NamedTuple):
    """An element, an attribute (`memory@unit`), a text, or a comment."""

    path: str
    value: str | None


MARK: t.Final = "mark"


def lines(element: _xml.Element, path: str = "") -> list[Line]:
    """Everything that an element holds, in order. A marked element is told from others of its name."""
    found = [Line(path, None)] if path else []
    for name, value in sorted(element.attrib.items()):
        if name != MARK:
            found.append(Line(f"{path}@{name}", value))
    if element.text and element.text.strip():
        found.append(Line(path, element.text.strip()))
    for node in element:
        if isinstance(node.tag, str):
            mark = f"[{node.get(MARK, 'new')}]" if path == "devices" else ""
            found += lines(node, f"{path}/{node.tag}{mark}".lstrip("/"))
        else:
            found.append(Line(f"{path}#", node.text))
        if node.tail and node.tail.strip():
            found.append(Line(f"{path}#", node.tail.strip()))
    return found
