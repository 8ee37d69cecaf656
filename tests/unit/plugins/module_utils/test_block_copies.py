# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that running disks are copied into: made anew, or gone on with after a kill."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _domain, _mounts, _xml
from ansible_collections.gfapi.virt.plugins.module_utils import _use_records as use_records
from ansible_collections.gfapi.virt.plugins.module_utils._block_copies import BlockCopies, Copy
from ansible_collections.gfapi.virt.plugins.module_utils._command import run
from ansible_collections.gfapi.virt.plugins.module_utils._conversion import BothWays
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord
from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._image_paths import ImagePaths
from ansible_collections.gfapi.virt.plugins.module_utils._mounts import Mounts
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Action
from ansible_collections.gfapi.virt.tests.unit.fake_daemons import FakeLibvirt
from ansible_collections.gfapi.virt.tests.unit.fakes import FakeServers, hold_open
from ansible_collections.gfapi.virt.tests.unit.killing import noted_by_name
from ansible_collections.gfapi.virt.tests.unit.plugins.module_utils.test_vm_uses import Cluster, HostOf

CREATE = "create disk web-vda of 4096 bytes (raw) in storage domain vms"
COPY = "copy disk vda of domain web into disk web-vda"
REST = ["have disk vda of domain web go on with image web-vda", "change disks of domain web"]


class Paths:
    """Images whose files are looked at."""

    servers = FakeServers("gl2")

    def sizes(self, _image: object, _format: str) -> tuple[int, int]:
        return 4096, 4096

    def require_apart(self, _source: object, _copy: object) -> None:
        pass

    def is_empty(self, image: BothWays, _format: str) -> bool:
        return not any(Path(image.paths[0]).read_bytes())


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(tmp_path, monkeypatch)


@pytest.fixture
def hv1(cluster: Cluster) -> HostOf:
    cluster.hv1.run(disks=["a"], state="running")
    return cluster.hv1


def planned(hv1: HostOf) -> tuple[Copy, list[str]]:
    """As a new run plans it."""
    copy, actions = plan(hv1)
    return copy, [action.summary for action in actions]


def plan(hv1: HostOf) -> tuple[Copy, list[Action]]:
    hv1.cluster.monkeypatch.setattr(use_records, "this_host", lambda: hv1.me)
    copies = BlockCopies(hv1.cluster.storage(), t.cast("t.Any", Paths()))
    record = hv1.libvirt.records["web"]
    (disk,) = _domain.from_element(record.inactive).disks or ()
    libvirt = t.cast("t.Any", hv1.libvirt)
    copy = copies.plan(libvirt, record, disk, t.cast("t.Any", None), "vms")
    return copy, copies.actions(libvirt, "web", [copy], "gfapi", record.inactive)


def made(hv1: HostOf) -> Path:
    """As a run leaves the image that is killed after it made it; the image's file."""
    storage = hv1.cluster.storage()
    copy, summaries = planned(hv1)
    assert summaries == [CREATE, COPY, *REST]
    storage.create(copy.place, copy.volume)
    return Path(copy.image.paths[0])


def test_an_empty_image_that_a_killed_run_made_is_copied_into(hv1: HostOf) -> None:
    image = made(hv1).parent
    left = image.with_name(f".gfapi-virt-{image.name}-0123abcd")
    left.mkdir()
    assert planned(hv1)[1] == [COPY, *REST]
    copied: list[str] = []
    hv1.cluster.monkeypatch.setattr(
        FakeLibvirt, "copy_disk", lambda _self, _name, target, _element: copied.append(target), raising=False
    )
    plan(hv1)[1][0].run()
    assert (copied, left.exists(), image.exists()) == (["vda"], False, True)


def test_a_copy_that_goes_on_is_waited_for(hv1: HostOf) -> None:
    path = made(hv1)
    path.write_bytes(b"x" * 4096)
    mirror = _xml.element("mirror", {"job": "copy"}, _xml.element("source", {"file": str(path)}))
    t.cast("t.Any", hv1.libvirt.records["web"].live).find("devices/disk").append(mirror)
    assert planned(hv1)[1] == [f"go on copying{COPY.removeprefix('copy')}", *REST]


@pytest.mark.parametrize("whose", ["data", "size", "vm"])
def test_an_image_that_may_be_of_somebody_else_is_left_alone(hv1: HostOf, whose: str) -> None:
    path = made(hv1)
    if whose == "data":
        path.write_bytes(b"x".ljust(4096, b"\0"))
    elif whose == "size":
        meta = path.with_name(f"{path.name}.meta")
        meta.write_text(meta.read_text().replace("CAP=4096", "CAP=8192"))
    else:
        cluster = hv1.cluster
        cluster.volumes["web-vda"] = replace(cluster.volumes["a"], image_uuid=path.parent.name)
        cluster.hv2.run("db", disks=["web-vda"])
    with pytest.raises(ValueError, match="has a disk of that name, with something in it or another user"):
        planned(hv1)


class Old:
    """A file on another gluster mount, with what a copied domain had there, and a libvirt."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = root / "old" / "web.raw"
        self.file.parent.mkdir()
        self.file.write_bytes(b"x" * 4096)
        (root / "link.raw").symlink_to(self.file)
        (root / "table").write_text(f"gl1:/old/sub {self.file.parent} fuse.glusterfs rw 0 0\n")
        monkeypatch.setattr(_mounts, "TABLE", str(root / "table"))
        self.libvirt = FakeLibvirt()
        self.paths = ImagePaths(FakeServers("gl2"), Mounts(run, table=str(root / "table")))

    def delete(self) -> None:
        source, other = self.paths.of_file(str(self.file), "raw"), t.cast("t.Any", None)
        assert source is not None
        copies = BlockCopies(other, self.paths)
        copy = Copy(other, source, other, other, other)
        (action,) = copies.deletions(t.cast("t.Any", self.libvirt), "web", [copy])
        action.run()

    def define(self, source: str, *, running: bool) -> None:
        """A domain whose disk builds on that; a running one has it until it ends."""
        disk = f"<disk type='file'><source file='/other'/><backingStore type='file'>{source}</backingStore></disk>"
        having = _xml.parse(f"<domain><name>db</name><devices>{disk}</devices></domain>")
        without = _xml.parse("<domain><name>db</name><devices/></domain>")
        state, inactive, live = ("running", without, having) if running else ("shut_off", having, None)
        self.libvirt.records["db"] = DomainRecord("db", "u", state, inactive, live, autostart=False)


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Old:
    return Old(tmp_path, monkeypatch)


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize(
    "source",
    [
        "<source file='{folder}/old/web.raw'/>",
        "<source file='{folder}/link.raw'/>",
        "<source protocol='gluster' name='old/sub/web.raw'/>",
    ],
    ids=["file", "link", "gfapi"],
)
def test_an_old_file_that_another_domain_has_stays(old: Old, tmp_path: Path, source: str, running: bool) -> None:
    old.define(source.format(folder=tmp_path), running=running)
    with pytest.raises(StorageError, match=rf"cannot delete image {old.file}: domain db has it too"):
        old.delete()
    assert old.file.exists()
    del old.libvirt.records["db"]
    old.delete()
    assert not old.file.exists()


def test_an_old_file_that_somebody_has_open_stays(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        hold_open(patch, old.file.name)
        with pytest.raises(
            StorageError, match=f"cannot delete image {old.file}: its bricks have it open, for somebody"
        ):
            old.delete()
    assert old.file.exists()
    old.delete()
    assert not old.file.exists()


def test_the_end_of_an_old_file_is_on_disk(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = noted_by_name(monkeypatch)
    old.delete()
    assert calls == ["unlink web.raw", "fsync old"]
