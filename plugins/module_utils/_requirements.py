# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each job needs of a host, and what is missing, one line a problem. Pure: no I/O."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _versions

#: the packages that hold QEMU's gluster block driver
DRIVER_PACKAGES: t.Final = (
    "qemu-block-extra (Debian), qemu-block-supplemental (Ubuntu 24.04) or qemu-block-gluster (Fedora, openSUSE, Arch);"
    " EL builds QEMU without it, and QEMU 11.1 has it no more: name the image's file on the mount there (disks[].file)"
)


@dataclass(frozen=True)
class HostState:
    """What was found on a host."""

    qemu: _versions.Version | None
    libvirt: _versions.Version | None
    libvirt_reason: str
    driver: bool
    driver_reason: str
    mounts_gluster: bool
    gluster_cli: bool
    glusterd_installed: bool
    glusterd_runs: bool
    lxml: bool
    libvirt_library: bool
    qemu_user: str | None
    in_storage_group: bool
    storage_group: str | None
    kvm: bool
    kvm_usable: bool


def problems(host: HostState) -> dict[str, list[str]]:
    """Job → what keeps the host from it: `storage_node`, `storage_domain`, `gfapi`, `fuse`."""
    storage_domain = [*_client(host), *_lxml(host)]
    hypervisor = [*_hypervisor(host), *_storage_group(host), *_kvm(host), *_lxml(host)]
    return {
        "storage_node": [*_storage_node(host), *_lxml(host)],
        "storage_domain": storage_domain,
        "gfapi": [*hypervisor, *_driver(host)],
        "fuse": hypervisor,
    }


def _storage_node(host: HostState) -> t.Iterator[str]:
    if not host.glusterd_installed:
        yield "glusterd was not found; install glusterfs-server"
    elif not host.glusterd_runs:
        yield "glusterd does not answer; systemctl start glusterd"


def _client(host: HostState) -> t.Iterator[str]:
    if not host.mounts_gluster:
        yield "mount.glusterfs was not found; install glusterfs-client (Debian) or glusterfs-fuse"
    if not host.gluster_cli:
        yield "the gluster command line was not found, so a volume's servers cannot be asked; install glusterfs-cli"


def _lxml(host: HostState) -> t.Iterator[str]:
    if not host.lxml:
        yield "the Python library lxml was not found; install python3-lxml"


def _hypervisor(host: HostState) -> t.Iterator[str]:
    if not host.libvirt_library:
        yield "the Python library libvirt was not found; install python3-libvirt"
    elif host.libvirt is None:
        yield host.libvirt_reason
    else:
        yield from filter(None, [_versions.LIBVIRT.problem(host.libvirt)])
    yield from filter(None, [_versions.QEMU.problem(host.qemu)])


def _storage_group(host: HostState) -> t.Iterator[str]:
    if host.qemu_user is None:
        yield "the user that QEMU runs as was not found; install libvirt's QEMU driver"
    elif not host.in_storage_group:
        group = host.storage_group
        make = "" if group else "groupadd -g 36 gfapi; "
        yield (
            f"user {host.qemu_user} is in no group with gid 36 and so cannot open images of 36:36;"
            f" {make}usermod -aG {group or 'gfapi'} {host.qemu_user}"
        )


def _kvm(host: HostState) -> t.Iterator[str]:
    # seen on libvirt 9.0: the capability cache is thrown away then, and every define takes 36 s or more
    if host.kvm and not host.kvm_usable and host.qemu_user:
        yield (
            f"user {host.qemu_user} may not open /dev/kvm, so VMs run slowly and every define takes over 30 s;"
            " give /dev/kvm group kvm and mode 0660"
        )


def _driver(host: HostState) -> t.Iterator[str]:
    if not host.driver:
        version = f" {host.qemu}" if host.qemu else ""
        yield f"QEMU{version} has no gluster block driver ({host.driver_reason}); install {DRIVER_PACKAGES}"
