# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._versions import LIBVIRT, QEMU, Requirement, Version
from ansible_collections.gfapi.virt.tests.unit.recorded import GLUSTER


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", "7.2.22"),
        ("glusterfs 10.3\nRepository revision: git://git.gluster.org/glusterfs.git", "10.3"),
        ("libvirtd (libvirt) 9.0.0", "9.0.0"),
        ("version 1.2.3.4", "1.2.3.4"),
        ("9.0.0", "9.0.0"),
        ("glusterfs 11", None),
        ("", None),
        ("no number", None),
    ],
)
def test_version_is_found_in_what_a_tool_prints(text: str, version: str | None) -> None:
    found = Version.find(text)
    assert (str(found) if found else None) == version


def test_version_is_found_in_what_qemu_printed() -> None:
    recorded = json.loads((GLUSTER.parent / "qemu" / "uri_7.2.22.json").read_text("utf-8"))["version"]
    assert Version.find(recorded) == Version((7, 2, 22))


def test_versions_are_compared_by_their_numbers() -> None:
    texts = ["11.1", "10.3", "9.0", "7.2.22", "7.2", "3.7.3", "1.3", "1.0.1"]
    versions = [version for version in map(Version.find, texts) if version]
    assert [str(version) for version in sorted(versions)] == texts[::-1]


TOOL = Requirement("tool", Version((2, 7)), "for its driver", "tool-package")


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (None, "tool was not found; 2.7 or newer is needed for its driver; install tool-package"),
        ((2, 6, 9), "tool 2.6.9 is too old; 2.7 or newer is needed for its driver; upgrade tool-package"),
        ((2, 7), None),
        ((2, 7, 0), None),
        ((10, 0), None),
    ],
)
def test_problem_is_one_line_with_the_mend(found: tuple[int, ...] | None, problem: str | None) -> None:
    assert TOOL.problem(Version(found) if found else None) == problem


def test_minima_are_those_of_the_feature_page() -> None:
    assert (str(QEMU.minimum), str(LIBVIRT.minimum)) == ("1.3", "1.0.1")
