# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._requirements import HostState, problems
from ansible_collections.gfapi.virt.plugins.module_utils._versions import Version

GOOD: t.Final = HostState(
    qemu=Version((7, 2)),
    libvirt=Version((9, 0)),
    libvirt_reason="",
    driver=True,
    driver_reason="",
    mounts_gluster=True,
    gluster_cli=True,
    glusterd_installed=True,
    glusterd_runs=True,
    lxml=True,
    libvirt_library=True,
    qemu_user="libvirt-qemu",
    in_storage_group=True,
    storage_group="kvm36",
    kvm=True,
    kvm_usable=True,
)
NODE, DOMAIN, GFAPI, FUSE = "storage_node", "storage_domain", "gfapi", "fuse"
NO_DRIVER: t.Final = {"driver": False, "driver_reason": "Unknown protocol 'gluster'"}


def test_good_host_has_no_problem() -> None:
    assert problems(GOOD) == {NODE: [], DOMAIN: [], GFAPI: [], FUSE: []}


@pytest.mark.parametrize(
    ("change", "jobs", "says"),
    [
        ({"glusterd_installed": False}, {NODE}, "glusterd was not found; install glusterfs-server"),
        ({"glusterd_runs": False}, {NODE}, "glusterd does not answer; systemctl start glusterd"),
        ({"mounts_gluster": False}, {DOMAIN}, "mount.glusterfs was not found; install glusterfs-client"),
        ({"gluster_cli": False}, {DOMAIN}, "install glusterfs-cli"),
        ({"lxml": False}, {NODE, DOMAIN, GFAPI, FUSE}, "library lxml was not found; install python3-lxml"),
        ({"libvirt_library": False}, {GFAPI, FUSE}, "library libvirt was not found; install python3-libvirt"),
        ({"libvirt": None, "libvirt_reason": "is libvirtd running?"}, {GFAPI, FUSE}, "is libvirtd running?"),
        ({"libvirt": Version((1, 0, 0))}, {GFAPI, FUSE}, "libvirt 1.0.0 is too old; 1.0.1 or newer"),
        ({"qemu": None}, {GFAPI, FUSE}, "QEMU was not found; 1.3 or newer"),
        ({"qemu": Version((1, 2))}, {GFAPI, FUSE}, "QEMU 1.2 is too old"),
        ({"qemu_user": None}, {GFAPI, FUSE}, "the user that QEMU runs as was not found"),
        ({"in_storage_group": False}, {GFAPI, FUSE}, "images of 36:36; usermod -aG kvm36 libvirt-qemu"),
        (
            {"in_storage_group": False, "storage_group": None},
            {GFAPI, FUSE},
            "images of 36:36; groupadd -g 36 gfapi; usermod -aG gfapi libvirt-qemu",
        ),
        ({"kvm_usable": False}, {GFAPI, FUSE}, "user libvirt-qemu may not open /dev/kvm"),
        (NO_DRIVER, {GFAPI}, "QEMU 7.2 has no gluster block driver (Unknown protocol 'gluster'); install"),
        ({"kvm": False, "kvm_usable": False}, set(), ""),
        ({"storage_group": None}, set(), ""),
    ],
)
def test_what_is_missing_keeps_the_host_from_these_jobs(change: dict[str, t.Any], jobs: set[str], says: str) -> None:
    found = problems(dataclasses.replace(GOOD, **change))
    assert {job for job, lines in found.items() if lines} == jobs
    assert all(len(found[job]) == 1 and says in found[job][0] and "\n" not in found[job][0] for job in jobs)


def test_all_problems_are_told_at_once() -> None:
    bare = dataclasses.replace(
        GOOD, qemu=None, libvirt_library=False, lxml=False, qemu_user=None, kvm=False, **NO_DRIVER
    )
    assert len(problems(bare)[GFAPI]) == 5
