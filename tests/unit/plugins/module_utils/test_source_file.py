# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._errors import StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._image import Source
from ansible_collections.gfapi.virt.plugins.module_utils._source_file import CHUNK_BYTES, read_source
from ansible_collections.gfapi.virt.tests.unit.fakes import FakeQemuImg, hold_open

TEXT = b"x" * (CHUNK_BYTES + 700)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(TEXT)
    return path


def read(path: object, image_format: str | None = None, checksum: str | None = None) -> Source:
    return read_source(t.cast("t.Any", FakeQemuImg()), str(path), image_format=image_format, checksum=checksum)


def test_a_file_without_a_mark_is_raw(file: Path) -> None:
    assert read(file) == Source(str(file), "raw", len(TEXT))


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha1", "md5"])
def test_checksum_is_that_of_the_whole_file(file: Path, algorithm: str) -> None:
    digest = hashlib.new(algorithm, TEXT).hexdigest()
    assert read(file, checksum=f"{algorithm}:{digest.upper()}").format == "raw"
    with pytest.raises(ValueError, match=f"has the {algorithm} {digest}, not 00; fetch it anew"):
        read(file, checksum=f"{algorithm}:00")


def test_an_image_that_names_other_files_is_refused_before_qemu_img_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"QFI\xfb\0\0\0\x03" + bytes(6) + b"\x02\x10" + bytes(100))
    qemu_img = FakeQemuImg()
    with pytest.raises(ValueError, match="has a backing file"):
        read_source(t.cast("t.Any", qemu_img), str(path), image_format=None, checksum=None)
    assert qemu_img.runs == []
    assert read(path, "raw").format == "raw"


def test_an_image_that_is_cut_short_is_refused(file: Path) -> None:
    qemu_img = FakeQemuImg(whole=False)
    with pytest.raises(ValueError, match=f"source {file} is damaged or cut short, as qemu-img check says; fetch it"):
        read_source(t.cast("t.Any", qemu_img), str(file), image_format="qcow2", checksum=None)
    # of a raw one nobody can tell
    assert read_source(t.cast("t.Any", qemu_img), str(file), image_format="raw", checksum=None).format == "raw"


def test_a_file_that_somebody_has_open_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_open(monkeypatch, file.name)
    monkeypatch.setattr(os, "getxattr", lambda path, _name: b"1\0" if path == str(file) else b"0\0")
    with pytest.raises(ValueError, match=f"source {file} is open, for a VM or another program, so a copy would not be"):
        read(file)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not an absolute path"):
        read("image.qcow2")
    with pytest.raises(StorageError, match=f"cannot read source {tmp_path}/no: No such file"):
        read(tmp_path / "no")
    with pytest.raises(StorageError, match="Is a directory"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is no regular file"):
        read(tmp_path / "pipe")
