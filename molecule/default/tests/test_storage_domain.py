# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage domain, as it lies on the mount."""

from __future__ import annotations

import posixpath
import typing as t

from conftest import HOST, MOUNT_POINT, VOLUME


def test_volume_is_mounted(host: t.Any) -> None:
    mount = host.mount_point(MOUNT_POINT)
    assert mount.exists
    assert mount.filesystem == "fuse.glusterfs"
    assert mount.device in (f"{HOST}:/{VOLUME}", f"{HOST}:{VOLUME}")


def test_metadata_describe_the_storage_domain(host: t.Any, storage_domain: str) -> None:
    text = host.file(f"{storage_domain}/dom_md/metadata").content_string
    metadata = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert metadata["SDUUID"] == posixpath.basename(storage_domain)
    assert metadata["DESCRIPTION"] == "vms"
    assert metadata["TYPE"] == "GLUSTERFS"
    assert metadata["CLASS"] == "Data"
    assert metadata["REMOTE_PATH"] == f"{HOST}:/{VOLUME}"


def test_everything_in_it_belongs_to_36_36(system: t.Any, storage_domain: str) -> None:
    assert system.lines("find", storage_domain, "!", "(", "-uid", "36", "-gid", "36", ")") == []


def test_nothing_half_made_is_left(system: t.Any, storage_domain: str) -> None:
    folders = system.lines("find", f"{storage_domain}/images", "-mindepth", "1", "-maxdepth", "1", "-printf", "%f\\n")
    assert len(folders) >= 2
    assert all(len(name) == 36 for name in folders), folders
