# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_read as storage_domain_read
from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_upgrade as upgrade
from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._files import Directory
from ansible_collections.gfapi.virt.plugins.module_utils._image_files import ImageFiles
from ansible_collections.gfapi.virt.plugins.module_utils._leases import MIB, resource
from ansible_collections.gfapi.virt.plugins.module_utils._qemu_img import QemuImg
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import LOCK, MARK, METADATA, XLEASES
from ansible_collections.gfapi.virt.plugins.module_utils._xleases import XLeaseIndex
from ansible_collections.gfapi.virt.tests.unit import older_domain
from ansible_collections.gfapi.virt.tests.unit.killing import killed_at, noted_by_name
from ansible_collections.gfapi.virt.tests.unit.older_domain import GEOMETRY, IMAGES, UUID


def texts(root: Path) -> dict[str, str]:
    """What every `.meta` says, and `metadata`."""
    found = {path.name: path.read_text("utf-8") for path in (root / UUID / "images").rglob("[!.]*.meta")}
    return {**found, "metadata": (root / UUID / METADATA).read_text("utf-8")}


def sizes(root: Path) -> dict[str, int]:
    """Virtual sizes, as every reader of ours sees them."""
    with Directory.open(str(root / UUID / "images")) as images:
        listing = ImageFiles(QemuImg()).read(images)
        assert list(listing.faults) == [older_domain.BROKEN]
        for image in listing.images.values():
            ImageFiles(QemuImg()).sizes(images, image)
    return {volume.uuid: volume.capacity_bytes for image in listing.images.values() for volume in image.volumes}


SIZES = {volume: size for volumes in IMAGES.values() for volume, _word, _role, size in volumes}


def expected(root: Path, version: int) -> dict[str, str]:
    """The texts after an upgrade of what is there."""
    before = texts(root)
    after = {
        f"{volume}.meta": older_domain.meta_in_version_5(before[f"{volume}.meta"], size)
        for volume, size in SIZES.items()
    }
    head = {key: value for key, value in before.items() if not key.startswith("metadata")}
    return {**head, **(after if version == 5 else {})}


@pytest.mark.parametrize("version", [3, 4])
def test_what_an_older_ovirt_made_is_read(tmp_path: Path, version: int) -> None:
    older_domain.write(tmp_path, version)
    found = storage_domain_read.require_named(str(tmp_path), "old")
    assert (found.version, upgrade.missing(str(tmp_path), found)) == (version, ())
    assert sizes(tmp_path) == SIZES


@pytest.mark.parametrize(("found", "wanted"), [(3, 4), (3, 5), (4, 5)])
def test_it_becomes_what_vdsm_would_make_of_it(tmp_path: Path, found: int, wanted: int) -> None:
    older_domain.write(tmp_path, found)
    after = expected(tmp_path, wanted)
    upgrade.bring_up(str(tmp_path), "old", wanted)
    domain = storage_domain_read.require_named(str(tmp_path), "old")
    assert (domain.version, upgrade.missing(str(tmp_path), domain)) == (wanted, ())
    assert {key: value for key, value in texts(tmp_path).items() if key != "metadata"} == after
    metadata = texts(tmp_path)["metadata"]
    assert ("BLOCK_SIZE=512\n" in metadata, "ALIGNMENT=1048576\n" in metadata) == ((wanted == 5,) * 2)
    assert "POOL_DESCRIPTION=dépôt\n" in metadata
    index = XLeaseIndex.from_bytes((tmp_path / UUID / XLEASES).read_bytes()[MIB:])
    assert (index.lockspace, index.leases) == (UUID, ())
    assert sizes(tmp_path) == SIZES
    assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK, UUID]


def test_external_leases_of_version_4_stay(tmp_path: Path) -> None:
    older_domain.write(tmp_path, 4)
    before = (tmp_path / UUID / XLEASES).read_bytes()
    upgrade.bring_up(str(tmp_path), "old", 5)
    assert (tmp_path / UUID / XLEASES).read_bytes() == before


def test_version_3_has_none_so_what_an_interrupted_upgrade_left_is_replaced(tmp_path: Path) -> None:
    older_domain.write(tmp_path, 3)
    (tmp_path / UUID / XLEASES).write_bytes(b"half")
    upgrade.bring_up(str(tmp_path), "old", 4)
    assert XLeaseIndex.from_bytes((tmp_path / UUID / XLEASES).read_bytes()[MIB:]).lockspace == UUID


def test_leases_that_an_earlier_release_left_out_are_made(tmp_path: Path) -> None:
    older_domain.write(tmp_path, 4)
    kept = next((tmp_path / UUID).rglob("*.lease"))
    kept.write_bytes(b"in use")
    lacking = [path for path in (tmp_path / UUID).rglob("*.lease") if path != kept]
    for path in [*lacking, tmp_path / UUID / "dom_md/leases"]:
        path.unlink()
    upgrade.bring_up(str(tmp_path), "old", 4)
    assert kept.read_bytes() == b"in use"
    for path in lacking:
        assert path.read_bytes() == resource(UUID, path.stem, GEOMETRY).ljust(MIB, b"\0")
        assert path.stat().st_mode & 0o777 == 0o660
    assert (tmp_path / UUID / "dom_md/leases").stat().st_size == 2 * MIB


def test_killed_anywhere_all_is_readable_and_the_next_run_ends_the_same(tmp_path: Path) -> None:
    point = 0
    while True:
        root = tmp_path / str(point)
        root.mkdir()
        older_domain.write(root, 3)
        (root / UUID / f"images/{next(iter(IMAGES))}/{next(iter(SIZES))}.lease").unlink()
        (root / UUID / "dom_md/ids").unlink()
        after = expected(root, 5)
        killed = killed_at(point, lambda: upgrade.bring_up(str(root), "old", 5))  # noqa: B023
        assert sizes(root) == SIZES
        halfway = storage_domain_read.require_named(str(root), "old")
        changed = halfway.version == 5 and upgrade.missing(str(root), halfway) == ()
        assert not changed or upgrade.is_unfinished(str(root)) or texts(root).items() >= after.items()
        upgrade.bring_up(str(root), "old", 5)
        assert texts(root).items() >= after.items()
        assert len(list((root / UUID).rglob("[!.]*.lease"))) == len(SIZES)
        assert sorted(path.name for path in root.iterdir()) == [LOCK, UUID]
        if not killed:
            break
        point += 1
    assert point > 25


def test_the_end_of_an_upgrade_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older_domain.write(tmp_path, 4)
    calls = noted_by_name(monkeypatch)
    upgrade.bring_up(str(tmp_path), "old", 5)
    assert calls[-2:] == [f"unlink {MARK}", f"fsync {tmp_path.name}"]


def test_what_is_empty_is_made_anew(tmp_path: Path) -> None:
    older_domain.write(tmp_path, 4)
    for name in ("xleases", "ids"):
        (tmp_path / UUID / "dom_md" / name).write_bytes(b"")
    domain = storage_domain_read.require_named(str(tmp_path), "old")
    assert sorted(upgrade.missing(str(tmp_path), domain)) == ["dom_md/ids", XLEASES]
    upgrade.bring_up(str(tmp_path), "old", 4)
    assert upgrade.missing(str(tmp_path), domain) == ()
    assert XLeaseIndex.from_bytes((tmp_path / UUID / XLEASES).read_bytes()[MIB:]).lockspace == UUID


def test_what_was_attached_meanwhile_is_not_upgraded(tmp_path: Path) -> None:
    older_domain.write(tmp_path, 3, pool_uuid=older_domain.BROKEN)
    with pytest.raises(StorageError, match="belongs to data center"):
        upgrade.bring_up(str(tmp_path), "old", 5)
    assert not upgrade.is_unfinished(str(tmp_path))


def test_many_at_once_upgrade_once(tmp_path: Path) -> None:
    older_domain.write(tmp_path, 3)
    after = expected(tmp_path, 5)
    children = []
    for _child in range(8):
        pid = os.fork()
        if pid == 0:
            try:
                upgrade.bring_up(str(tmp_path), "old", 5)
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8
    assert texts(tmp_path).items() >= after.items()
    assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK, UUID]


def test_an_image_whose_meta_has_room_for_one_size_only_keeps_nobody_from_upgrading(tmp_path: Path) -> None:
    older_domain.write(tmp_path, 4)
    image, ((volume, *_rest),) = older_domain.RAW
    meta = tmp_path / UUID / "images" / image / f"{volume}.meta"
    text = meta.read_text("utf-8")
    meta.write_text(text.replace("é", "é" + "x" * (512 - len(text.encode()))), "utf-8")
    assert meta.stat().st_size == 512
    upgrade.bring_up(str(tmp_path), "old", 5)
    assert storage_domain_read.require_named(str(tmp_path), "old").version == 5
    assert sizes(tmp_path) == SIZES
