# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: what the files that domains have as disks are called without links, so that one image has one name."""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import _xml
from ansible_collections.gfapi.virt.plugins.module_utils._command import Run, run
from ansible_collections.gfapi.virt.plugins.module_utils._disk import DISK_DEVICES
from ansible_collections.gfapi.virt.plugins.module_utils._files import explained

if t.TYPE_CHECKING:
    from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord

_UUID: t.Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: in a Gluster volume, on a mount, or through the links that VDSM makes on its hosts
IMAGE_VOLUME: t.Final = re.compile(rf"(?:.*/)?({_UUID})/(?:images/)?({_UUID})/({_UUID})")
LOOK_TIMEOUT_S: t.Final = 10


def without_links(configuration: _xml.Element, run_program: Run = run) -> _xml.Element:
    """A `<domain>` whose disks name files as they are called without links; itself where none needs another name.

    What is called as an image volume is called is not looked at, and what is not there keeps its name.
    """
    paths = dict.fromkeys(path for path in _files(configuration) if not IMAGE_VOLUME.fullmatch(path))
    real = _real_paths(list(paths), run_program) if paths else {}
    if all(path == name for path, name in real.items()):
        return configuration
    copy = _xml.clone(configuration)
    for source in _sources(copy):
        path = source.get("file", "")
        source.set("file", real.get(path, path))
    return copy


def record_without_links(record: DomainRecord) -> DomainRecord:
    """A domain with all of its configurations so."""
    live, saved = (None if one is None else without_links(one) for one in (record.live, record.saved))
    return replace(record, live=live, saved=saved, inactive=without_links(record.inactive))


def _sources(configuration: _xml.Element) -> list[_xml.Element]:
    disks = [disk for disk in configuration.iterfind("devices/disk") if disk.get("device", "disk") in DISK_DEVICES]
    return [source for disk in disks for source in disk.iter("source") if source.get("file")]


def _files(configuration: _xml.Element) -> list[str]:
    return [source.get("file", "") for source in _sources(configuration)]


def _real_paths(paths: t.Sequence[str], run_program: Run) -> dict[str, str]:
    # a child may hang on a dead mount instead of us
    with explained(f"look where {', '.join(paths)} leads"):
        done = run_program(["realpath", "-m", "-z", "--", *paths], timeout_s=LOOK_TIMEOUT_S)
    found = done.stdout.split("\0")[:-1]
    return dict(zip(paths, found)) if len(found) == len(paths) else {}
