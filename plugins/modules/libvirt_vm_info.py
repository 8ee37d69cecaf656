# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_vm_info
short_description: Read libvirt domains, and the I/O path that each disk really takes
version_added: 0.1.0
description:
  - Tells power state, disks and interfaces of domains.
  - For each disk of a running domain it asks QEMU's own block graph which way the data goes, over gfapi or over a
    mount. The XML says only what was asked for.
author:
  - gfapi.virt contributors (@gfapi-virt)
extends_documentation_fragment:
  - gfapi.virt._attributes.info
  - gfapi.virt._attributes.actiongroup_libvirt
  - gfapi.virt._libvirt
requirements:
  - libvirt-python
  - lxml
options:
  names:
    description:
      - Domains to read; all of them if left out. One that does not exist is left out of the result.
    type: list
    elements: str
seealso:
  - module: gfapi.virt.libvirt_vm
  - name: QEMU QMP reference
    description: Upstream reference of query-block and query-named-block-nodes.
    link: https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html
"""

EXAMPLES = r"""
- name: What runs on this host
  gfapi.virt.libvirt_vm_info:
  register: host

- name: How the disks of VM web are reached
  gfapi.virt.libvirt_vm_info:
    names: [web]
  register: web

- name: Every disk of VM web goes through gfapi
  ansible.builtin.assert:
    that: item.io_path == 'gfapi'
    quiet: true
  loop: "{{ web.vms | map(attribute='disks') | flatten }}"
"""

RETURN = r"""
vms:
  description: The domains, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the domain.
      type: str
      returned: success
      sample: web
    uuid:
      description: UUID of the domain.
      type: str
      returned: success
      sample: 420f72ed-f354-40bb-96f0-fb2dd96d8517
    state:
      description: Power state.
      type: str
      returned: success
      sample: running
    pause_reason:
      description: Why a paused domain is, as libvirt has it (V(user), V(io_error), V(migration), ...); else none.
      type: str
      returned: success
      sample: io_error
    autostart:
      description: Whether the domain starts with its host.
      type: bool
      returned: success
    disks:
      description:
        - The disks, those of the running domain if it runs.
        - C(io_path) is V(gfapi), V(fuse) (a file on a gluster mount), V(file), V(block), V(other), or none where the
          domain does not run.
        - C(device) is V(disk), V(cdrom), V(floppy) or V(lun). A medium of a CD-ROM is reached through the mount.
        - C(servers) are the gluster servers that QEMU was given, and C(connected) those of them whose bricks it has
          a connection to at this moment; empty for a remote O(uri).
        - C(error) is what a request failed with, where that has paused the domain, V(nospace) (no space left) or V(io)
          (anything else, as a quota). V(given_up) says that QEMU closed a gluster disk of the domain after a flush that
          failed; it does not tell which, nor anything else of its disks, and the domain has to be ended.
      type: list
      elements: dict
      returned: success
      sample:
        - target: vda
          source: vmstore/f3a1/images/6b1c/9d20
          uri: gluster://gluster1/vmstore/f3a1/images/6b1c/9d20
          uris: ["gluster://gluster1/vmstore/f3a1/images/6b1c/9d20"]
          format: qcow2
          serial: 6b1c
          device: disk
          io_path: gfapi
          servers: [gluster1, gluster2, gluster3]
          connected: [gluster1, gluster3]
          error:
    interfaces:
      description: The network interfaces.
      type: list
      elements: dict
      returned: success
      sample: [{type: network, source: default, mac: "52:54:00:04:e6:22", model: virtio}]
    restart_required:
      description: What differs between the running domain and its configuration, and so takes a restart.
      type: list
      elements: str
      returned: success
      sample: []
"""

import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _command,
    _disk,
    _domain_facts,
    _domain_record,
    _io_path,
    _libvirt_domains,
    _module,
    _mounts,
    _power,
    _qemu_connections,
)

#: in place of an error of QEMU's, which tells nothing of its disks any more
GIVEN_UP = "given_up"
ARGUMENT_SPEC = {
    "names": {"type": "list", "elements": "str"},
    "uri": {"type": "str", "default": "qemu:///system"},
}


def disks_of(
    libvirt: _libvirt_domains.LibvirtDomains,
    record: _domain_record.DomainRecord,
    fuse_mounts: t.Sequence[str],
    connections: _qemu_connections.QemuConnections,
) -> list[dict[str, t.Any]]:
    """The disks with their I/O path."""
    if record.live is None:
        return [with_path(_disk.from_element(disk), None) for disk in record.inactive.iterfind("devices/disk")]
    found = libvirt.block_devices(record.name)
    disks = []
    for element in record.live.iterfind("devices/disk"):
        disk = _disk.from_element(element)
        path = _io_path.io_path(_disk.alias_of(element), *found, fuse_mounts) if found else None
        facts = with_path(disk, path)
        if found is None and disk.source.is_gluster:
            facts["error"] = GIVEN_UP
        elif record.pause_reason != _power.IO_ERROR:
            # QEMU 7.2 still names what failed before it went on
            facts["error"] = None
        if not libvirt.is_remote:
            facts["connected"] = connections.servers(record.name, facts["servers"])
        disks.append(facts)
    return disks


def with_path(disk: _disk.Disk, path: _io_path.IOPath | None) -> dict[str, t.Any]:
    """A disk as the module returns it."""
    return {
        **_domain_facts.disk_facts(disk),
        "device": disk.device,
        "io_path": path.kind if path else None,
        "servers": list(path.servers) if path else [],
        "connected": [],
        "error": path.error if path else None,
    }


def read(
    params: _module.Params,
    libvirt: _libvirt_domains.LibvirtDomains,
    mounts: _mounts.Mounts,
    connections: _qemu_connections.QemuConnections,
) -> _module.Result:
    """The domains asked for."""
    names = params["names"]
    records = libvirt.domains() if names is None else [found for found in map(libvirt.domain, names) if found]
    fuse_mounts = [mount.point for mount in mounts.table()]
    return {
        "vms": [
            {
                "name": record.name,
                "uuid": record.uuid,
                "state": record.state,
                "pause_reason": record.pause_reason,
                "autostart": record.autostart,
                **_domain_facts.facts(record.inactive, record.live),
                "disks": disks_of(libvirt, record, fuse_mounts, connections),
            }
            for record in records
        ]
    }


def main() -> None:
    _module.run_info(
        lambda params: read(
            params,
            _libvirt_domains.LibvirtDomains(params["uri"]),
            _mounts.Mounts(_command.run),
            _qemu_connections.QemuConnections(),
        ),
        ARGUMENT_SPEC,
        libraries=["lxml", "libvirt"],
    )


if __name__ == "__main__":
    main()
