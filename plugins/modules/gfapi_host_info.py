# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gfapi_host_info
short_description: Read whether a host can store or run gfapi VMs, and if not, why
version_added: 0.1.0
description:
  - Tells versions, drivers, daemons and groups of a host, and for each job what is missing and what to do about it.
  - Whether QEMU really loads its gluster block driver is found by loading it. A version does not tell.
  - Works on a host that has none of it yet.
author:
  - gfapi.virt contributors (@gfapi-virt)
extends_documentation_fragment:
  - gfapi.virt._attributes.info
  - gfapi.virt._attributes.actiongroup_libvirt
  - gfapi.virt._libvirt
options:
  names:
    description:
      - Names and addresses of storage nodes. Those that mean this host, as resolved on it, are returned.
    type: list
    elements: str
    default: []
seealso:
  - module: gfapi.virt.libvirt_vm
  - module: gfapi.virt.glusterfs_domain
"""

EXAMPLES = r"""
- name: What this host can do
  gfapi.virt.gfapi_host_info:
  register: result

- name: The host can run VMs over gfapi
  ansible.builtin.assert:
    that: result.host.requirements.gfapi.met
    fail_msg: "{{ result.host.requirements.gfapi.problems | join('; ') }}"
"""

RETURN = r"""
host:
  description: The host.
  returned: success
  type: dict
  contains:
    versions:
      description: Versions by tool, none where it was not found. C(qemu) is the one that libvirt runs.
      type: dict
      returned: success
      sample: {glusterfs: "10.3", libvirt: 9.0.0, qemu: 7.2.22, qemu_img: 7.2.22}
    gluster_driver:
      description: Whether QEMU loads its gluster block driver, and its own words if not.
      type: dict
      returned: success
      sample: {present: true, reason: ""}
    glusterfs_client:
      description: Whether the host can mount gluster volumes.
      type: bool
      returned: success
    glusterd:
      description: The management daemon of storage nodes.
      type: dict
      returned: success
      sample: {installed: true, running: true}
    pool:
      description:
        - The Gluster pool as glusterd keeps it on disk, running or not.
        - This node's C(uuid) (none until glusterd has needed one), the other nodes under all names that glusterd
          has for them, and the pool's volumes.
      type: dict
      returned: success
      sample:
        uuid: 1046fca5-3a62-4473-aeaa-80a8fae57503
        peers: [{uuid: b745be6f-cc00-4636-8bd4-c6471d9f6c56, names: [gluster2]}]
        volumes: [vmstore]
    names:
      description: Those of O(names) that mean this host.
      type: list
      elements: str
      returned: success
      sample: [gluster1]
    libvirtd:
      description: Whether libvirt answers at O(uri), and if not why.
      type: dict
      returned: success
      sample: {running: true, reason: ""}
    qemu_user:
      description: The user that QEMU runs as, none where there is none.
      type: dict
      returned: success
      sample: {name: libvirt-qemu, uid: 64055, gid: 104, groups: [36, 104, 64055], in_storage_group: true}
    storage_group:
      description: The group with gid 36, which images belong to.
      type: str
      returned: success
      sample: gfapi
    kvm:
      description: Whether there is a C(/dev/kvm), and whether the qemu user may open it.
      type: dict
      returned: success
      sample: {present: true, usable_by_qemu: true}
    python:
      description: Python libraries, in Ansible's Python or the system's.
      type: dict
      returned: success
      sample: {libvirt: true, lxml: true}
    rpc_auth_allow_insecure:
      description: Whether glusterd takes calls from unprivileged ports, which gfapi makes.
      type: dict
      returned: success
      sample: {configured: null, glusterd_vol: /etc/glusterfs/glusterd.vol, in_force: true}
    requirements:
      description:
        - For each job (C(storage_node), C(storage_domain), C(gfapi), C(fuse)) whether the host can do it (C(met)) and
          what keeps it from it (C(problems)), one line each with the mend.
      type: dict
      returned: success
      sample:
        storage_node: {met: false, problems: [glusterd does not answer; systemctl start glusterd]}
"""

import typing as t
from dataclasses import asdict

from ansible_collections.gfapi.virt.plugins.module_utils import _host, _module, _option_values, _requirements, _versions

ARGUMENT_SPEC = {
    "uri": {"type": "str", "default": "qemu:///system"},
    "names": {"type": "list", "elements": "str", "default": []},
}


def read_state(host: _host.Host) -> _requirements.HostState:
    """What the requirements are judged by."""
    libvirt, qemu, reason = host.libvirt_versions()
    driver, driver_reason = host.gluster_driver()
    user = host.qemu_user()
    kvm, kvm_usable = host.kvm(user)
    return _requirements.HostState(
        qemu=qemu or host.version_of("qemu-system-x86_64", "--version"),
        libvirt=libvirt,
        libvirt_reason=reason,
        driver=driver,
        driver_reason=driver_reason,
        mounts_gluster=host.has_program("mount.glusterfs"),
        gluster_cli=host.has_program("gluster"),
        glusterd_installed=host.has_program("glusterd"),
        glusterd_runs=host.glusterd_runs(),
        lxml=host.has_library("lxml"),
        libvirt_library=host.has_library("libvirt"),
        qemu_user=user.name if user else None,
        in_storage_group=user is not None and _host.STORAGE_GID in user.groups,
        storage_group=host.storage_group(),
        kvm=kvm,
        kvm_usable=kvm_usable,
    )


def insecure_rpc(configured: str | None, gluster: _versions.Version | None, *, is_read: bool) -> dict[str, t.Any]:
    """Whether glusterd takes calls from unprivileged ports: as configured and read, else by its version's default."""
    by_default = gluster is not None and gluster >= _host.INSECURE_BY_DEFAULT
    in_force = by_default if configured is None else is_read and _option_values.is_true(configured)
    return {"configured": configured, "in_force": in_force, "glusterd_vol": _host.GLUSTERD_VOL}


def read(host: _host.Host, names: t.Sequence[str] = ()) -> _module.Result:
    """The host, as the module returns it."""
    state, user = read_state(host), host.qemu_user()
    gluster, qemu_img = host.version_of("glusterfs", "--version"), host.version_of("qemu-img", "--version")
    versions = {"qemu": state.qemu, "qemu_img": qemu_img, "libvirt": state.libvirt, "glusterfs": gluster}
    return {
        "host": {
            "versions": {tool: None if version is None else str(version) for tool, version in versions.items()},
            "gluster_driver": {"present": state.driver, "reason": state.driver_reason},
            "glusterfs_client": state.mounts_gluster,
            "glusterd": {"installed": state.glusterd_installed, "running": state.glusterd_runs},
            "pool": asdict(host.pool()),
            "names": host.own_names(names),
            "libvirtd": {"running": state.libvirt is not None, "reason": state.libvirt_reason},
            "qemu_user": user and {**vars(user), "in_storage_group": state.in_storage_group},
            "storage_group": state.storage_group,
            "kvm": {"present": state.kvm, "usable_by_qemu": state.kvm_usable},
            "python": {"libvirt": state.libvirt_library, "lxml": state.lxml},
            "rpc_auth_allow_insecure": insecure_rpc(
                host.configured_insecure_rpc(), gluster, is_read=host.glusterd_has_read_its_file()
            ),
            "requirements": {
                job: {"met": not found, "problems": found} for job, found in _requirements.problems(state).items()
            },
        }
    }


def main() -> None:
    _module.run_info(lambda params: read(_host.Host(uri=params["uri"]), params["names"]), ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
