# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _libvirt, _libvirt_domains, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord
from ansible_collections.gfapi.virt.plugins.module_utils._image_users import ImageUser
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain_users import (
    ImageReference,
    StorageDomainUsers,
)

SD = "5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11"
IMG = "6b1ccf2f-4e0c-5f28-9f36-0a3a6b3f8d11"
OTHER = "11111111-1111-1111-1111-111111111111"


def domain(*sources: str) -> _xml.Element:
    disks = (
        f"<disk><source {source}/><target dev='vd{'abc'[number]}'/></disk>" for number, source in enumerate(sources)
    )
    return _xml.parse(f"<domain><devices>{''.join(disks)}</devices></domain>")


def record(
    name: str, inactive: _xml.Element, live: _xml.Element | None = None, saved: _xml.Element | None = None
) -> DomainRecord:
    return DomainRecord(name, "u", "running" if live is not None else "shut_off", inactive, live, False, saved)


def overlay(top: str, below: str) -> _xml.Element:
    return _xml.parse(
        f"<domain><devices><disk><source {top}/><backingStore><source {below}/></backingStore>"
        "<target dev='vda'/></disk></devices></domain>"
    )


GFAPI = f"protocol='gluster' name='gv0/{SD}/images/{IMG}/v'"
FUSE = f"file='/mnt/{SD}/images/{IMG}/v'"
ELSEWHERE = f"file='/mnt/{SD}/images/{OTHER}/v'"


class FakeLibvirt:
    records: t.ClassVar[tuple[DomainRecord, ...]] = ()
    asked: t.ClassVar[int] = 0
    resized: t.ClassVar[list[tuple[str, str, int]]] = []
    stopped: t.ClassVar[list[tuple[str, float, bool]]] = []

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def domains(self) -> tuple[DomainRecord, ...]:
        FakeLibvirt.asked += 1
        return self.records

    def shut_down(self, name: str, *, timeout_s: float, force: bool, allowed_by: str) -> None:
        self.stopped.append((name, timeout_s, force))

    def block_resize(self, name: str, target: str, size_bytes: int) -> None:
        self.resized.append((name, target, size_bytes))


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StorageDomainUsers:
    monkeypatch.setattr(_libvirt, "Libvirt", FakeLibvirt)
    monkeypatch.setattr(_libvirt_domains, "LibvirtDomains", FakeLibvirt)
    monkeypatch.setattr(FakeLibvirt, "asked", 0)
    monkeypatch.setattr(FakeLibvirt, "resized", [])
    monkeypatch.setattr(FakeLibvirt, "stopped", [])
    (tmp_path / "libvirtd").touch()
    return StorageDomainUsers("qemu:///system", daemons=[str(tmp_path / "libvirtd")])


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ((), []),
        ((record("web", domain(ELSEWHERE)),), []),
        ((record("web", domain(ELSEWHERE, GFAPI)),), [ImageUser("web", False, "vdb")]),
        ((record("web", domain(FUSE), domain(FUSE)),), [ImageUser("web", True, "vda")]),
        ((record("web", domain(), domain(GFAPI)),), [ImageUser("web", True, "vda")]),
        (
            (record("a", domain(GFAPI)), record("b", domain(GFAPI), domain(GFAPI))),
            [ImageUser("b", True, "vda"), ImageUser("a", False, "vda")],
        ),
    ],
    ids=["none", "another image", "defined", "running through the mount", "only in the running one", "two"],
)
def test_users_are_found_in_both_configurations(
    users: StorageDomainUsers,
    monkeypatch: pytest.MonkeyPatch,
    records: tuple[DomainRecord, ...],
    found: list[ImageUser],
) -> None:
    monkeypatch.setattr(FakeLibvirt, "records", records)
    assert list(users.of(IMG, "v")) == found


def test_a_layer_below_counts(users: StorageDomainUsers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLibvirt, "records", (record("web", overlay(ELSEWHERE, GFAPI)),))
    assert users.of(IMG, "v") == (ImageUser("web", False, "vda"),)


def test_a_managed_save_counts(users: StorageDomainUsers, monkeypatch: pytest.MonkeyPatch) -> None:
    records = (record("a", domain(), saved=domain(FUSE)), record("b", domain(GFAPI), saved=domain(ELSEWHERE)))
    monkeypatch.setattr(FakeLibvirt, "records", records)
    saved, defined = users.of(IMG, "v")
    assert (saved, defined) == (ImageUser("a", False, "vda", saved=True), ImageUser("b", False, "vda"))
    assert str(saved) == "domain a (saved, disk vda)"
    assert [user.saved for user in users.in_storage_domain(SD)] == [True, True]


SNAPSHOT = f"file='/mnt/{SD}/images/{IMG}/v.snapshot'"


@pytest.mark.parametrize(
    ("live", "is_live"),
    [
        (domain(GFAPI), True),
        (overlay(GFAPI, ELSEWHERE), True),
        (overlay(ELSEWHERE, GFAPI), False),
        (overlay(SNAPSHOT, FUSE), False),
        (domain(ELSEWHERE), False),
        (domain(), False),
    ],
    ids=["alone", "on a template", "below another image", "below a snapshot beside it", "replaced", "taken out"],
)
def test_what_the_running_domain_has_it_as_is_told(
    users: StorageDomainUsers, monkeypatch: pytest.MonkeyPatch, live: _xml.Element, is_live: bool
) -> None:
    monkeypatch.setattr(FakeLibvirt, "records", (record("web", domain(GFAPI), live),))
    assert users.of(IMG, "v") == (ImageUser("web", True, "vda", is_live=is_live),)


def test_all_images_of_a_storage_domain_are_asked_at_once(
    users: StorageDomainUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeLibvirt, "records", (record("web", domain(ELSEWHERE, GFAPI)),))
    assert [user.target for user in users.in_storage_domain(SD)] == ["vda", "vdb"]
    assert users.in_storage_domain(OTHER) == ()
    assert FakeLibvirt.asked == 1


def test_a_host_without_libvirt_has_no_users_and_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_libvirt, "Libvirt", None)
    assert StorageDomainUsers("qemu:///system", daemons=["/nonexistent"]).of(IMG, "v") == ()


def test_another_host_is_asked_in_any_case(users: StorageDomainUsers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLibvirt, "records", (record("web", domain(GFAPI)),))
    assert len(StorageDomainUsers("qemu+ssh://other/system", daemons=[]).of(IMG, "v")) == 1


def test_a_disk_is_resized_through_its_domain(users: StorageDomainUsers) -> None:
    users.block_resize(ImageUser("web", True, "vda"), 4096)
    assert FakeLibvirt.resized == [("web", "vda", 4096)]


def test_users_of_a_volume_are_found_by_its_name_and_its_mounts(
    users: StorageDomainUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {
        "a": GFAPI,
        "b": FUSE,
        "c": "protocol='gluster' name='gv01/x'",
        "d": "protocol='rbd' name='gv0/x'",
        "e": "file='/mnt2/x'",
        "f": "protocol='gluster' name='gv0/elsewhere'",
    }
    records = tuple(record(name, domain(source), domain(source)) for name, source in sources.items())
    monkeypatch.setattr(FakeLibvirt, "records", records)
    assert [user.name for user in users.on_volume("gv0", ["/mnt"])] == ["a", "b", "f"]
    assert [user.name for user in users.on_volume(f"gv0/{SD}", [])] == ["a"]


@pytest.mark.parametrize(("destroy", "how"), [(False, (60, False)), (True, (0, True))])
def test_domains_are_stopped_and_then_asked_for_anew(
    users: StorageDomainUsers, monkeypatch: pytest.MonkeyPatch, destroy: bool, how: tuple[float, bool]
) -> None:
    monkeypatch.setattr(FakeLibvirt, "records", (record("a", domain(GFAPI), domain(GFAPI)),))
    users.on_volume("gv0", [])
    users.stop(["a", "b"], timeout_s=60, destroy=destroy)
    assert sorted(FakeLibvirt.stopped) == [("a", *how), ("b", *how)]
    users.on_volume("gv0", [])
    assert FakeLibvirt.asked == 2


def test_every_image_volume_that_a_disk_names_is_told_once(
    users: StorageDomainUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = "9d2070d1-8a4f-5a53-8f0e-34f1d4f0f9c2"
    gfapi, link = f"gv0/dir/{SD}/images/{IMG}/{volume}", f"/run/vdsm/storage/{SD}/{OTHER}/{volume}"
    top, below = f"protocol='gluster' name='{gfapi}'", f"file='{link}'"
    found = (
        record("web", overlay(top, below), overlay(top, below)),
        record("db", domain(), None, domain(top)),
        record("else", domain("file='/srv/x.img'", "protocol='rbd' name='pool/image'")),
    )
    monkeypatch.setattr(FakeLibvirt, "records", found)
    assert users.references() == (
        ImageReference(ImageUser("web", True, "vda"), gfapi, SD, IMG, volume),
        ImageReference(ImageUser("web", True, "vda"), link, SD, OTHER, volume),
        ImageReference(ImageUser("db", False, "vda", saved=True), gfapi, SD, IMG, volume),
    )


def test_without_libvirt_no_one_can_tell(users: StorageDomainUsers) -> None:
    assert StorageDomainUsers("qemu:///system", daemons=["/nonexistent"]).references() is None
    assert FakeLibvirt.asked == 0
