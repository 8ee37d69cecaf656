# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on gluster mounts and the images that they are; the mount is a directory, and the table says that it is one."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _image_paths, _mounts
from ansible_collections.gfapi.virt.plugins.module_utils._command import Completed, run
from ansible_collections.gfapi.virt.plugins.module_utils._conversion import BothWays, Reached
from ansible_collections.gfapi.virt.plugins.module_utils._disk import DiskSource
from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._image_paths import ImagePaths
from ansible_collections.gfapi.virt.plugins.module_utils._mounts import Mounts
from ansible_collections.gfapi.virt.tests.unit.killing import noted_by_name


class FakeServers:
    def of(self, mount: t.Any) -> tuple[str, ...]:
        return (mount.spec.servers[0], "g2")


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mount of a directory of a volume; below it another file system is mounted."""
    made = tmp_path / "mnt"
    (made / "other").mkdir(parents=True)
    (tmp_path / "table").write_text(
        f"/dev/sda1 / ext4 rw 0 0\ng1:/vmstore/sub {made} fuse.glusterfs rw 0 0\ntmpfs {made}/other tmpfs rw 0 0\n"
    )
    monkeypatch.setattr(_mounts, "TABLE", str(tmp_path / "table"))
    return made


@pytest.fixture
def paths(point: Path) -> ImagePaths:
    return ImagePaths(t.cast("t.Any", FakeServers()), Mounts(run, table=str(point.parent / "table")))


def test_a_file_is_found_also_through_a_link(paths: ImagePaths, point: Path) -> None:
    (point / "web.raw").write_bytes(bytes(4096))
    (point.parent / "link").symlink_to(point / "web.raw")
    for path in (point / "web.raw", point.parent / "link"):
        both = paths.of_file(str(path), "raw")
        assert both is not None
        assert both.gluster.source == DiskSource.gluster("vmstore", "sub/web.raw", ["g1", "g2"])
        assert both.file.source == DiskSource(file=str(point / "web.raw"))
        assert (both.gluster.backing, both.file.backing) == ((), ())
        assert paths.sizes(both, "raw")[0] == 4096


def test_what_is_on_no_gluster_mount(paths: ImagePaths, point: Path) -> None:
    for path in (point.parent / "local", point / "other" / "file"):
        path.write_bytes(b"")
        assert paths.of_file(str(path), "raw") is None
    assert paths.of_file(str(point / "gone"), "raw") is None


def test_the_way_back(paths: ImagePaths, point: Path) -> None:
    (point / "web.raw").write_bytes(b"")
    both = paths.of_gluster(DiskSource.gluster("vmstore", "sub/web.raw", ["g2"]), "raw")
    assert both.file.source.file == str(point / "web.raw")
    for volume, path, server in (
        ("vmstore", "web.raw", "g1"),
        ("vmstore", "sub/web.raw", "of-another-pool"),
        ("backup", "sub/web.raw", "g1"),
        ("vmstore", "sub/gone", "g1"),
    ):
        with pytest.raises(StorageError, match=f"image {volume}/{path} is on no gluster mount of this host"):
            paths.of_gluster(DiskSource.gluster(volume, path, [server]), "raw")


def test_a_file_is_mended_once(paths: ImagePaths, point: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = point / "web.qcow2"
    file.write_bytes(b"x" * 196624)
    file.chmod(0o644)
    monkeypatch.setattr(_image_paths, "OWNER", (os.getuid(), os.getgid()))
    lengthen, give = paths.faults(str(file))
    assert lengthen == f"lengthen image {file} from 196624 to 200704 bytes"
    assert give.endswith("with mode 660 (was {}:{} 644)".format(*_image_paths.OWNER))
    paths.repair(str(file))
    assert paths.faults(str(file)) == []
    assert file.read_bytes() == (b"x" * 196624).ljust(200704, b"\0")
    assert file.stat().st_mode & 0o777 == 0o660


def test_what_is_mended_is_on_disk(paths: ImagePaths, point: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_image_paths, "OWNER", (os.getuid(), os.getgid()))
    (point / "web.raw").write_bytes(b"x")
    calls = noted_by_name(monkeypatch)
    paths.repair(str(point / "web.raw"))
    assert calls == ["fsync web.raw"]


def test_a_pipe_in_place_of_an_image_holds_up_nobody(paths: ImagePaths, point: Path) -> None:
    (point / "web.raw").write_bytes(b"")
    both = paths.of_file(str(point / "web.raw"), "raw")
    assert both is not None
    (point / "web.raw").unlink()
    os.mkfifo(point / "web.raw")
    with pytest.raises(StorageError, match=f"image {point}/web.raw is no regular file"):
        paths.sizes(both, "raw")


def test_nothing_is_copied_onto_itself(paths: ImagePaths, point: Path) -> None:
    for name in ("web.raw", "copy.raw"):
        (point / name).write_bytes(b"")
    os.link(point / "web.raw", point / "alias.raw")
    web, copy, alias = (paths.of_file(str(point / name), "raw") for name in ("web.raw", "copy.raw", "alias.raw"))
    assert web and copy and alias
    paths.require_apart(web, copy)
    for same in (web, alias):
        with pytest.raises(StorageError, match=r"web\.raw cannot be copied onto itself"):
            paths.require_apart(web, same)


def answered(text: str) -> ImagePaths:
    """Of a qemu-img that says this."""
    return ImagePaths(t.cast("t.Any", FakeServers()), run_program=lambda *_args, **_options: Completed(0, text, ""))


def test_a_layer_whose_format_nobody_wrote_is_refused() -> None:
    top = {"filename": "/mnt/top", "format": "qcow2", "backing-filename": "base", "backing-filename-format": "raw"}
    base = {"filename": "/mnt/base", "format": "raw"}
    assert answered(json.dumps([top, base]))._below("/mnt/top", "qcow2") == [("/mnt/base", "raw")]
    del top["backing-filename-format"]
    with pytest.raises(StorageError, match="/mnt/top does not name the format of /mnt/base, .* a guest can forge"):
        answered(json.dumps([top, base]))._below("/mnt/top", "qcow2")


@pytest.mark.parametrize("text", ["{}", "[]", "[[]]", "null"])
def test_a_chain_of_another_shape_has_no_layers(text: str) -> None:
    assert answered(text)._below("/mnt/top", "qcow2") == []


#: as qemu-img 7.2 tells of a raw image whose first block is allocated, and of one with more
MAP = '[{"start": 0, "length": %d, "depth": 0, "present": true, "zero": false, "data": true, "offset": 0}]'


@pytest.mark.parametrize(
    ("data", "told", "is_empty"),
    [
        (bytes(8192), MAP % 4096, True),
        (b"x" + bytes(8191), MAP % 4096, False),
        (bytes(8192), MAP % (2 << 20), False),
        (bytes(8192), MAP.replace('true, "offset', 'false, "offset') % 8192, True),
    ],
    ids=["first block allocated", "something in it", "too much to read", "hole"],
)
def test_an_image_is_empty_when_nothing_was_written_into_it(
    point: Path, data: bytes, told: str, is_empty: bool
) -> None:
    (point / "web.raw").write_bytes(data)

    def run_program(argv: list[str], **options: t.Any) -> t.Any:
        return run(["echo", told] if argv[0] == "qemu-img" else argv, **options)

    mounts = Mounts(run, table=str(point.parent / "table"))
    paths = ImagePaths(t.cast("t.Any", FakeServers()), mounts, t.cast("t.Any", run_program))
    both = paths.of_file(str(point / "web.raw"), "raw")
    assert both is not None
    assert paths.is_empty(both, "raw") is is_empty


@pytest.mark.parametrize(
    "told",
    [
        '[{"length": 4096, "data": true}]',
        '[{"offset": 0, "data": true}]',
        '[{"length": "4096", "offset": 0, "data": true}]',
        '[{"length": -1, "offset": 0, "data": true}]',
        '[{"length": 4096, "offset": -1, "data": true}]',
        '[{"length": 1, "offset": 9223372036854775808, "data": true}]',
        "no JSON",
    ],
    ids=["no offset", "no length", "text", "negative length", "negative offset", "behind any file", "no JSON"],
)
def test_a_map_that_does_not_say_where_data_are_is_named_with_its_image(point: Path, told: str) -> None:
    (point / "web.raw").write_bytes(bytes(4096))
    source = DiskSource(file=str(point / "web.raw"))
    image = BothWays(Reached(source, ()), Reached(source, ()))
    with pytest.raises(StorageError, match=rf"cannot look at image {point}/web\.raw: qemu-img map"):
        answered(told).is_empty(image, "raw")


def test_a_link_that_came_on_the_way_is_not_followed(paths: ImagePaths, point: Path, tmp_path: Path) -> None:
    (point / "images" / "web").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere" / "web"
    elsewhere.mkdir(parents=True)
    (elsewhere / "web.raw").write_bytes(b"secret")
    (elsewhere / "web.raw").chmod(0o600)
    (point / "images" / "web").rmdir()
    (point / "images").rmdir()
    (point / "images").symlink_to(elsewhere.parent)
    with pytest.raises(StorageError, match="a symbolic link to one is not followed here"):
        paths.repair(str(point / "images" / "web" / "web.raw"))
    assert (elsewhere / "web.raw").read_bytes() == b"secret"
    assert (elsewhere / "web.raw").stat().st_mode & 0o777 == 0o600
