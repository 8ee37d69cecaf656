# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs that go to another host, and whose disks go over to gfapi: what is planned, and what comes of it."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _conversion, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._conversion import Reached
from ansible_collections.gfapi.virt.plugins.module_utils._disk import DiskSource
from ansible_collections.gfapi.virt.plugins.module_utils._image import image_uuid_of
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Item
from ansible_collections.gfapi.virt.plugins.module_utils._storage import Storage
from ansible_collections.gfapi.virt.plugins.module_utils._vm_items import Hypervisors, make_items
from ansible_collections.gfapi.virt.plugins.module_utils._vm_uses import VmUses
from ansible_collections.gfapi.virt.tests.unit.fake_daemons import FakeLibvirt
from ansible_collections.gfapi.virt.tests.unit.plugins.modules.test_libvirt_vm import (
    FakeHost,
    FakeImages,
    FakePaths,
    vm,
)

FILE = "/mnt/old/root-owned"
GIVE = f"give image {FILE} to 36:36, for domain web"
PROOF = "see that QEMU reaches vda of domain web by gfapi"


class FakeHypervisor(FakeLibvirt):
    """A host that others migrate domains to."""

    def __init__(self, hostname: str, *, is_remote: bool = False) -> None:
        super().__init__()
        self.hostname = self.host_uuid = hostname
        self.is_remote = is_remote
        self.uri = f"qemu+ssh://{hostname}/system" if is_remote else FakeLibvirt.uri

    def migratable(self, name: str) -> _xml.Element:
        return t.cast(_xml.Element, self.records[name].live)

    def migrate(self, name: str, to: FakeHypervisor, *, live: str | None = None, configured: str | None = None) -> None:
        record = self.records.pop(name)
        texts = {"live": live, "inactive": configured}
        to.records[name] = replace(record, **{key: _xml.parse(text) for key, text in texts.items() if text})


@pytest.fixture
def here() -> FakeHypervisor:
    made = FakeHypervisor("hv1")
    for action in plan(
        made, made, state="running", memory="1GiB", disks=[{"file": FILE, "format": "raw"}]
    ).plan.actions:
        action.run()
    return made


@pytest.fixture
def there() -> FakeHypervisor:
    return FakeHypervisor("hv2", is_remote=True)


def plan(here: FakeHypervisor, there: FakeHypervisor, **values: t.Any) -> Item:
    hypervisors = Hypervisors(Storage(), FakePaths())
    hypervisors._known["qemu+ssh://hv2/system"] = t.cast("t.Any", there)
    uses = VmUses(Storage(), t.cast("t.Any", here))
    given: t.Any = (here, FakeImages(), FakeHost(), uses, here.seeds, hypervisors)
    return t.cast("list[Item]", make_items({"vms": [vm(**values)], "storage_domain": None}, *given))[0]


def sources(configuration: _xml.Element | None) -> list[str | None]:
    assert configuration is not None
    return [source.get("file") or source.get("name") for source in configuration.iterfind("devices/disk/source")]


def test_a_vm_goes_to_another_host_once(here: FakeHypervisor, there: FakeHypervisor) -> None:
    item = plan(here, there, state="running", host="hv2")
    assert item.plan.summaries == ["migrate domain web to hv2"]
    assert item.plan.before.startswith("host: hv1\n")
    assert item.plan.after.startswith("host: hv2\n")
    for action in item.plan.actions:
        action.run()
    assert (list(here.records), list(there.records)) == ([], ["web"])
    assert not plan(here, there, state="running", host="hv2").plan.changed
    # it is edited where it is
    there_too = plan(here, there, state="running", host="hv2", memory="2GiB", live=False)
    assert there_too.plan.summaries == ["change memory of domain web"]


def test_a_vm_that_is_off_is_started_first(here: FakeHypervisor, there: FakeHypervisor) -> None:
    here.shut_down("web", timeout_s=0, force=True)
    summaries = plan(here, there, state="running", host="hv2").plan.summaries
    assert summaries == ["start domain web", "migrate domain web to hv2"]


def test_a_host_goes_with_a_vm_that_runs(here: FakeHypervisor, there: FakeHypervisor) -> None:
    with pytest.raises(ValueError, match="domain web: host hv2 is where it is to run; it goes with state: running"):
        plan(here, there, host="hv2")


def test_disks_go_over_on_the_way(here: FakeHypervisor, there: FakeHypervisor) -> None:
    item = plan(here, there, state="running", host="hv2", access="gfapi", convert="live_migrate")
    assert item.plan.summaries == [GIVE, "migrate domain web to hv2, its disks vda by gfapi", PROOF]
    assert item.predicted["restart_required"] == []
    before = here.records["web"]
    item.plan.actions[1].run()
    record = there.records["web"]
    assert sources(record.live) == sources(record.inactive) == ["vmstore/old/root-owned"]
    assert sources(before.live) == [FILE]
    assert not plan(here, there, state="running", host="hv2", access="gfapi", convert="live_migrate").plan.changed


def test_a_restart_brings_it_and_a_start_that_fails_takes_it_back(here: FakeHypervisor, there: FakeHypervisor) -> None:
    later = plan(here, there, access="gfapi")
    assert later.plan.summaries[0] == GIVE
    assert later.plan.summaries[1].startswith("change disks")
    assert later.predicted["restart_required"] == ["disks: takes effect at the next start"]
    item = plan(here, there, access="gfapi", restart="if_required")
    _give, change, stop, start, proof = item.plan.actions
    assert [stop.summary, start.summary, proof.summary] == ["shut down domain web", "start domain web", PROOF]
    change.run()
    stop.run()
    assert change.undo is not None
    assert change.undo.summary == "define domain web as it was, and start it again"
    change.undo.run()
    assert sources(here.records["web"].live) == sources(here.records["web"].inactive) == [FILE]
    assert here.records["web"].state == "running"


STORAGE_DOMAIN: t.Final = "0d6ee1c1-5a5c-4a1c-8f0e-2f6c5c3d9b10"


def running_on_copy(here: FakeHypervisor, name: str) -> str:
    """As a copying run leaves the domain that is killed before it defines it; the image's place."""
    image = (
        f"vmstore/{STORAGE_DOMAIN}/images/{image_uuid_of(STORAGE_DOMAIN, name)}/9d20c9e5-8a1f-4b8e-9a4e-7b8d6b0c1a11"
    )
    record = here.records["web"]
    assert record.live is not None
    way = Reached(DiskSource.gluster("vmstore", image.partition("/")[2], ["gl1"]), ())
    here.records["web"] = replace(record, live=_conversion.converted(record.live, {"vda": way}, "gfapi"))
    return image


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"access": "gfapi", "convert": "block_copy"},
        {"access": "gfapi"},
        {"access": "gfapi", "restart": "if_required"},
    ],
)
def test_a_copy_that_a_vm_runs_on_stays_its_disk_whatever_the_next_run_is_about(
    here: FakeHypervisor, there: FakeHypervisor, values: dict[str, t.Any]
) -> None:
    """The old image lacks what the guest has written since."""
    image = running_on_copy(here, "web-vda")
    asked = {"state": "running", **values}
    item = plan(here, there, **asked)
    (change,) = item.plan.actions
    assert change.summary.startswith("change disks")
    change.run()
    assert sources(here.records["web"].inactive) == [image]
    assert plan(here, there, **asked).plan.summaries == []


def test_a_task_that_names_what_was_copied_does_not_take_it_back(here: FakeHypervisor, there: FakeHypervisor) -> None:
    image = running_on_copy(here, "web-vda")
    disk = {"file": FILE, "format": "raw", "target": "vda"}
    asked: dict[str, t.Any] = {"access": "gfapi", "convert": "block_copy", "disks": [disk]}
    for action in plan(here, there, **asked).plan.actions:
        action.run()
    assert sources(here.records["web"].inactive) == [image]
    assert plan(here, there, **asked).plan.summaries == []


def test_another_image_that_a_vm_runs_on_is_no_copy(here: FakeHypervisor, there: FakeHypervisor) -> None:
    running_on_copy(here, "other")
    assert plan(here, there, state="running").plan.summaries == []
    assert sources(here.records["web"].inactive) == [FILE]


def test_a_copy_that_goes_on_is_known_by_its_image(here: FakeHypervisor) -> None:
    live = here.records["web"].live
    assert live is not None
    image = f"{STORAGE_DOMAIN}/images/{image_uuid_of(STORAGE_DOMAIN, 'web-vda')}/9d20c9e5-8a1f-4b8e-9a4e-7b8d6b0c1a11"
    new = DiskSource(file=f"/mnt/{image}")
    assert not _conversion.is_copying(live, "vda", new)
    mirror = _xml.element("mirror", {"job": "copy"}, _xml.element("source", {"name": f"vmstore/{image}"}))
    t.cast(_xml.Element, live.find("devices/disk")).append(mirror)
    assert _conversion.is_copying(live, "vda", new)
    assert not _conversion.is_copying(live, "vdb", new)
    assert not _conversion.is_copying(live, "vda", DiskSource(file="/mnt/another"))
