# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gfapi_disk
short_description: Keep a disk image in a storage domain
version_added: 0.1.0
description:
  - Creates, grows and deletes disk images of a storage domain, and returns what a VM needs to reach them through
    libgfapi.
  - Images are made through the mount, which takes a fraction of a second; through C(gluster://) it would take 20 to 30.
  - An image appears as a whole or not at all. One that is there is never truncated, and never shrunk. What a killed run
    left of a disk is removed by the next one for that disk.
  - The uuid of an image is made from its storage domain and its name, so that every run on every host means the same.
  - While a disk is filled, copied or exported, the host's journal tells how far that is (C(journalctl -ft gfapi.virt)).
  - Takes one disk, or a list of them in O(disks). The storage domain is looked at once, whatever the number.
author:
  - gfapi.virt contributors (@gfapi-virt)
extends_documentation_fragment:
  - gfapi.virt._attributes
  - gfapi.virt._attributes.actiongroup_both
  - gfapi.virt._libvirt
requirements:
  - qemu-img (for V(qcow2))
  - lxml
  - libvirt-python (to grow or delete a disk on a host with libvirt)
options:
  disks:
    description:
      - Several disks, each with the options that a single one has.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Name of the disk, oVirt's alias. Any text in one line; with O(description) it must fit into 210
            characters of JSON.
          - The uuid of an image names it too, as long as no disk has that name.
        type: str
        required: true
      storage_domain:
        description:
          - Storage domain by name, uuid or mount point. It must be mounted on this host.
        type: str
      <<: &disk
        size:
          description:
            - Size that the guest sees, as in V(10GiB), V(10G) or V(512MiB), 1024-based, or a number of bytes. Rounded
              up to 4096.
            - Needed when the disk is first made, unless it is filled. A larger one grows the disk, live where a VM of
              this host runs on it.
            - A smaller one is refused. So is a larger one while a saved VM has the disk, or a running one has it
              below an overlay. While it is grown offline, no VM of another host may have it; grow it there.
          type: str
        format:
          description:
            - Format of the image. A new one is V(qcow2) if none is given; one that is there is never converted.
          type: str
          choices: [qcow2, raw]
        preallocation:
          description:
            - Whether a new image's space is reserved when it is made. One that is there stays as it is,
              with a warning.
          type: str
          choices: ['off', full]
          default: 'off'
        source:
          description:
            - An image file of this host, by its absolute path, that a new disk is filled from. A disk that is there
              stays as it is.
            - Of the formats qcow2 (compressed too), raw, VMDK, VDI, VHDX and VPC. One that has a backing file or keeps
              its data in other files is refused, and so is one that is encrypted, empty, open on its bricks, or cut
              short. Of raw and VDI only O(checksum) tells whether they are whole.
          type: path
          version_added: 0.2.0
        source_format:
          description:
            - Format of O(source). Without it the file's first bytes tell. Say V(raw) for a raw image that others wrote
              to, who may have put the mark of another format there. A VPC image of fixed size has to be named as one.
          type: str
          choices: [qcow2, raw, vmdk, vdi, vhdx, vpc]
          version_added: 0.2.0
        checksum:
          description:
            - What O(source) must have, as C(sha256:DIGEST), C(sha512:), C(sha1:) or C(md5:). The file is looked at only
              before the disk is made, in check mode too.
          type: str
          version_added: 0.2.0
        clone_of:
          description:
            - Another disk of the storage domain, by name or uuid, that a new disk becomes a copy of. No VM may have
              that one open meanwhile, unless it is a template.
            - The new disk has its size, unless a larger O(size) is given, and its format if it is a full copy.
            - A list that makes a clone does not attach, grow or delete the other disk too; that is for a task of its
              own.
          type: str
          version_added: 0.2.0
        clone_mode:
          description:
            - V(copy) makes a full copy.
            - V(backing) makes a small C(qcow2) image that holds what differs from O(clone_of), in a moment and whatever
              the size. The other disk becomes a template for good, as in oVirt. No VM can have it as a disk, so it is
              refused while a domain does. It cannot be grown, nor deleted before its clones.
          type: str
          choices: [copy, backing]
          default: copy
          version_added: 0.2.0
        dest:
          description:
            - A file of this host, by its absolute path, that the disk is exported to, in one piece with all that it is
              built on. One that is there stays as it is.
            - No VM may have the disk open meanwhile, unless it is a template. The file is the user's own (mode 0600).
          type: path
          version_added: 0.2.0
        dest_format:
          description:
            - Format of O(dest).
          type: str
          choices: [qcow2, raw, vmdk, vdi, vhdx, vpc]
          default: qcow2
          version_added: 0.2.0
        vm:
          description:
            - A domain of this host that has the disk, or with O(state=detached) has not. A running one gets it live,
              and in its configuration at the same address.
            - The domain must leave the owner of images alone, as one does that M(gfapi.virt.libvirt_vm) gave a disk.
          type: str
          version_added: 0.2.0
        target:
          description:
            - Target in O(vm), as in V(vdb), or as in V(sdb) on another bus than V(virtio). By default the next that is
              free and that no other disk of the list names.
          type: str
          version_added: 0.2.0
        bus:
          description:
            - Bus in O(vm). By default the one that O(target) stands for, and V(virtio) without a target.
            - A running domain takes none on V(sata), and on V(virtio) as many as it has PCI Express ports for.
          type: str
          choices: [virtio, scsi, sata, usb]
          version_added: 0.2.0
        description:
          description:
            - What the disk is for. Left alone if not given.
          type: str
        state:
          description:
            - V(present) has it made if there is none.
            - V(absent) deletes it. Refused while a libvirt domain of this host uses it, be it running, saved or only
              defined, while anybody on any host has it open, for the volume's bricks tell, and while a VM of another
              host is noted as its user. M(gfapi.virt.libvirt_vm) notes those that it defines.
            - V(detached) takes it out of O(vm), whose guest has to let go of it, and keeps it.
          type: str
          choices: [present, absent, detached]
          default: present
        force:
          description:
            - Delete a disk, grow it or make O(clone_of) a template although a VM of another host that does not run is
              noted as its user. Meant for a host that is gone for good. A disk that is open, or that a domain of this
              host uses, is refused all the same.
          type: bool
          default: false
          version_added: 0.2.0
  # a single disk takes the same options
  <<: *disk
  name:
    description:
      - Name of the disk.
    type: str
  storage_domain:
    description:
      - Storage domain by name, uuid or mount point. It must be mounted on this host. With O(disks), that of the
        disks that name none.
    type: str
  mount_root:
    description:
      - Directory below which storage domains are mounted. An absolute path without blanks.
    type: path
    default: /rhev/data-center/mnt/glusterSD
  on_error:
    description:
      - Whether to go on with the other disks of O(disks) after one failed.
    type: str
    choices: [stop, continue]
    default: stop
seealso:
  - module: gfapi.virt.glusterfs_domain
  - module: gfapi.virt.libvirt_vm
  - name: QEMU's gluster driver
    description: The URIs that this module returns.
    link: https://www.qemu.org/docs/master/system/qemu-block-drivers.html#glusterfs-disk-images
"""

EXAMPLES = r"""
- name: Disk web-root of 20 GiB is there
  gfapi.virt.gfapi_disk:
    storage_domain: vms
    name: web-root
    size: 20GiB

- name: Disks of VMs db1 and db2 are there
  gfapi.virt.gfapi_disk:
    storage_domain: vms
    disks:
      - {name: db1-root, size: 20GiB}
      - {name: db1-data, size: 200GiB, format: raw}
      - {name: db2-root, size: 20GiB}
      - {name: web-data, size: 50GiB, format: raw}
      - {name: db2-data, size: 200GiB, description: A copy of db1-data}

- name: Disk db-log is there, with all its space taken at once
  gfapi.virt.gfapi_disk:
    storage_domain: vms
    name: db-log
    size: 1GiB
    format: raw
    preallocation: full

- name: Disk app-root holds the image of a system, in a disk of 10 GiB
  gfapi.virt.gfapi_disk:
    storage_domain: vms
    name: app-root
    source: /var/lib/images/system.vmdk
    size: 10GiB

- name: Disk app2-root is a copy of app-root
  gfapi.virt.gfapi_disk:
    storage_domain: vms
    name: app2-root
    clone_of: app-root

- name: Disks of ten VMs are clones of app-root, which becomes their template
  gfapi.virt.gfapi_disk:
    storage_domain: vms
    name: "app{{ item }}-root"
    clone_of: app-root
    clone_mode: backing
  loop: "{{ range(10, 20) | list }}"

- name: Disk db1-data has 300 GiB, and a running VM sees it
  gfapi.virt.gfapi_disk:
    storage_domain: vms
    name: db1-data
    size: 300GiB

- name: How QEMU opens disk web-root through gfapi
  gfapi.virt.gfapi_disk:
    storage_domain: vms
    name: web-root
  register: web_root

- name: Running VM db1 has disk db1-scratch, and sees it at once
  gfapi.virt.gfapi_disk:
    storage_domain: vms
    name: db1-scratch
    size: 50GiB
    vm: db1

- name: VM db1 has disk db1-scratch no more
  gfapi.virt.gfapi_disk:
    storage_domain: vms
    name: db1-scratch
    vm: db1
    state: detached

- name: File /var/tmp/app-root.vmdk holds what disk app-root does
  gfapi.virt.gfapi_disk:
    storage_domain: vms
    name: app-root
    dest: /var/tmp/app-root.vmdk
    dest_format: vmdk

- name: Disk db-log is gone
  gfapi.virt.gfapi_disk:
    storage_domain: vms
    name: db-log
    state: absent

- name: Disk old-root is gone, whose VM was on a host that burnt down
  gfapi.virt.gfapi_disk:
    storage_domain: vms
    name: old-root
    state: absent
    force: true
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode, in order.
  returned: always
  type: list
  elements: str
  sample: [create qcow2 disk web-root of 20 GiB in storage domain vmstore]
disk:
  description: The disk after the run, when a single one was asked for.
  returned: when O(name) is given
  type: dict
  contains: &disk
    name:
      description: Name of the disk.
      type: str
      returned: always
      sample: web-root
    storage_domain:
      description: Name of its storage domain.
      type: str
      returned: always
      sample: vmstore
    vm:
      description: The domain that has it; none after it was taken out.
      type: str
      returned: when O(vm) is given
      sample: web
    target:
      description: Target in that domain.
      type: str
      returned: when O(vm) is given
      sample: vdb
    state:
      description: V(present) or V(absent).
      type: str
      returned: always
      sample: present
    description:
      description: What the disk is for.
      type: str
      returned: when present
      sample: ""
    image_uuid:
      description: UUID of the image, and serial number of the disk.
      type: str
      returned: when present
      sample: 6b1ccf2f-4e0c-5f28-9f36-0a3a6b3f8d11
    volume_uuid:
      description: UUID of the image volume, the file's name.
      type: str
      returned: when present
      sample: 9d2070d1-8a4f-5a53-8f0e-34f1d4f0f9c2
    path:
      description: The file on the mount.
      type: str
      returned: when present
      sample: "/rhev/data-center/mnt/glusterSD/gluster1:_vmstore/5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11/images/\
        6b1ccf2f-4e0c-5f28-9f36-0a3a6b3f8d11/9d2070d1-8a4f-5a53-8f0e-34f1d4f0f9c2"
    uri:
      description: QEMU's URI of it, through the volfile server.
      type: str
      returned: when present
      sample: "gluster://gluster1/vmstore/5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11/images/\
        6b1ccf2f-4e0c-5f28-9f36-0a3a6b3f8d11/9d2070d1-8a4f-5a53-8f0e-34f1d4f0f9c2"
    uris:
      description: The same through each server of the volume, the nearest first.
      type: list
      elements: str
      returned: when present
    blockdev:
      description: Arguments for QEMU's C(blockdev-add), with all servers. Put C(json:) before it for a file name. Of an
        image with a template or snapshots, C(backing) names the node of the layer below.
      type: dict
      returned: when present
      sample:
        driver: qcow2
        file:
          driver: gluster
          volume: vmstore
          path: 5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11/images/6b1ccf2f-4e0c-5f28-9f36-0a3a6b3f8d11/9d2070d1
          server: [{type: inet, host: gluster1, port: "24007"}]
    backing_blockdevs:
      description: The same for the layers below, each with its C(node-name), in the order to add them.
      type: list
      elements: dict
      returned: when present
    disk_xml:
      description: A C(<disk>) for libvirt, with its target in O(vm), else V(vda).
      type: str
      returned: when present
    format:
      description: V(qcow2) or V(raw).
      type: str
      returned: when present
      sample: qcow2
    virtual_size_bytes:
      description: Size that the guest sees.
      type: int
      returned: when present
      sample: 21474836480
    actual_size_bytes:
      description: Space that the image takes, with all layers; V(0) before it is made.
      type: int
      returned: when present
      sample: 200704
disks:
  description: The disks after the run, in the order of O(disks), each with C(changed) and C(actions), and on failure
    C(failed) and C(msg).
  returned: when O(disks) is given
  type: list
  elements: dict
  contains: *disk
"""

import contextlib
import os
import posixpath
import re
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _disk,
    _errors,
    _found_image,
    _image,
    _image_files,
    _image_source,
    _image_users,
    _module,
    _plan,
    _storage,
    _storage_domain,
    _xml,
)

DISK_SPEC = {
    "name": {"type": "str", "required": True},
    "size": {"type": "str"},
    "format": {"type": "str", "choices": ["qcow2", "raw"]},
    "preallocation": {"type": "str", "choices": ["off", "full"], "default": "off"},
    "source": {"type": "path"},
    "source_format": {"type": "str", "choices": ["qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc"]},
    "checksum": {"type": "str"},
    "clone_of": {"type": "str"},
    "clone_mode": {"type": "str", "choices": ["copy", "backing"], "default": "copy"},
    "dest": {"type": "path"},
    "dest_format": {"type": "str", "choices": ["qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc"], "default": "qcow2"},
    "vm": {"type": "str"},
    "target": {"type": "str"},
    "bus": {"type": "str", "choices": ["virtio", "scsi", "sata", "usb"]},
    "description": {"type": "str"},
    "storage_domain": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent", "detached"], "default": "present"},
    "force": {"type": "bool", "default": False},
}
ARGUMENT_SPEC = {
    **DISK_SPEC,
    "name": {"type": "str"},
    "disks": {"type": "list", "elements": "dict", "options": DISK_SPEC},
    "mount_root": {"type": "path", "default": _storage_domain.MOUNT_ROOT},
    "uri": {"type": "str", "default": "qemu:///system"},
    "on_error": {"type": "str", "choices": ["stop", "continue"], "default": "stop"},
}


class Desired(t.NamedTuple):
    """One disk as it is asked for, in normal form; `None` leaves what is there."""

    storage_domain: str
    name: str
    state: str
    size_bytes: int | None
    format: str | None
    preallocated: bool
    note: str | None
    #: what a new disk is filled from: a file of this host, or another disk
    source: str | None
    source_format: str | None
    checksum: str | None
    clone_of: str | None
    #: on top of the other disk, not a full copy
    backed: bool
    #: a file of this host that it is exported to
    dest: str | None
    dest_format: str
    #: a domain of this host, and how it has the disk
    vm: str | None
    target: str | None
    bus: str | None
    #: whether records of other hosts, whose VMs do not run, are disregarded
    force: bool


#: what cannot be asked for: when, and the words about it
CONTRADICTIONS: tuple[tuple[t.Callable[[_module.Params], t.Any], str], ...] = (
    (
        lambda disk: disk["source"] and disk["clone_of"],
        "cannot be filled from source and as clone_of at once; leave one of them out",
    ),
    (
        lambda disk: disk["source_format"] and not disk["source"],
        "has no source, of which source_format speaks; give source, or leave it out",
    ),
    (
        lambda disk: disk["checksum"] and not disk["source"],
        "has no source, of which checksum speaks; give source, or leave it out",
    ),
    (
        lambda disk: is_backed(disk) and not disk["clone_of"],
        "is no clone, of which clone_mode speaks; give clone_of, or leave it out",
    ),
    (
        lambda disk: is_backed(disk) and (disk["format"] == "raw" or disk["preallocation"] == "full"),
        "would hold only what differs from disk {clone_of}, which is sparse qcow2; leave format and preallocation out,"
        " or make a full copy (clone_mode: copy)",
    ),
    (
        lambda disk: disk["dest"] and disk["state"] != "present",
        "cannot be exported to dest with state {state}; export it first",
    ),
    (
        lambda disk: (disk["target"] or disk["bus"]) and (disk["state"] != "present" or not disk["vm"]),
        "has no vm, for which target and bus are; give vm and state present, or leave them out",
    ),
    (
        lambda disk: disk["state"] == "detached" and not disk["vm"],
        "cannot be detached from nowhere; name the vm",
    ),
    (
        lambda disk: disk["state"] == "absent" and disk["vm"],
        "cannot be deleted and kept in vm {vm}; take it out first (state: detached), or leave vm out",
    ),
    (
        lambda disk: disk["target"] and not re.fullmatch(r"[sv]d[a-z]{1,6}", disk["target"]),
        "cannot have target {target!r}; a target is as in vdb, or as in sdb on another bus than virtio",
    ),
)


def is_backed(disk: _module.Params) -> bool:
    """Whether a new disk is a layer on top of another one."""
    return bool(disk["clone_mode"] == "backing")


def desired_from(disk: _module.Params, storage_domain: str | None) -> Desired:
    """One disk's parameters in normal form; raises `ValueError` for what does not fit together."""
    name, place = disk["name"], disk["storage_domain"] or storage_domain
    if not place:
        raise ValueError(f"disk {name!r}: name the storage domain that it belongs in (storage_domain)")
    _image.describe(name, disk["description"] or "")
    if disk["checksum"]:
        # not at the top: most disks are made empty
        from ansible_collections.gfapi.virt.plugins.module_utils import _source

        _source.parse_checksum(disk["checksum"])
    for is_asked, words in CONTRADICTIONS:
        if is_asked(disk):
            raise ValueError(f"disk {name!r} {words.format(**disk)}")
    return Desired(
        storage_domain=place,
        name=name,
        state=disk["state"],
        size_bytes=None if disk["size"] is None else _image.parse_size(disk["size"]),
        format=disk["format"],
        preallocated=disk["preallocation"] == "full",
        note=disk["description"],
        source=disk["source"],
        source_format=disk["source_format"],
        checksum=disk["checksum"],
        clone_of=disk["clone_of"],
        backed=is_backed(disk),
        **{key: disk[key] for key in ("dest", "dest_format", "vm", "target", "bus")},
        force=disk["force"],
    )


def plan_new(
    storage: _storage.Storage,
    users: _image_users.ImageUsers,
    place: _found_image.MountedStorageDomain,
    desired: Desired,
    before: Before,
) -> tuple[_plan.Plan, _found_image.FoundImage]:
    """The plan for a disk that is not there, and the image that it will be."""
    require_no_image(storage, place, desired)
    if desired.dest:
        raise ValueError(
            f"there is no disk {desired.name!r} in storage domain {place.name} that could be exported to {desired.dest}"
        )
    origin = origin_of(storage, users, desired)
    if origin:
        before.origins[desired.name] = origin
    template = origin if desired.backed else None
    source = None if template else source_of(storage, desired, origin)
    size_bytes = size_of_new(place, desired, template.source if template else source)
    name = desired.name
    # a full copy has the format of what it is a copy of
    image_format = desired.format or (source.format if source and origin else "qcow2")
    _image.require_held(name, image_format, size_bytes)
    reserve(storage, place, desired, size_bytes, source)
    volume = _image.ImageVolume.base(
        place.storage_domain.uuid,
        name,
        note=desired.note or "",
        version=place.version,
        format=image_format,
        capacity_bytes=size_bytes,
        created_at=_image_files.now(),
        preallocated=desired.preallocated,
        parent_uuid=template.volume_uuid if template else None,
    )
    volumes = (volume, *(template.image.volumes if template else ()))
    planned = _found_image.FoundImage.at(
        place, _image.Image(volume.image_uuid, volumes), _image.Sizes(size_bytes, 0, ())
    )
    words = f"create {image_format} disk {name} of {_image.size_text(size_bytes)} in storage domain {place.name}"
    if template:
        words += f" on top of disk {template.name}"
    elif source:
        words += f" and fill it from {f'disk {desired.clone_of}' if origin else source.path}"

    def create() -> None:
        if origin and not origin.image.is_template and not template:
            storage.require_closed(origin, "cloned")
        if source and origin:
            storage.source(origin)
        storage.create(place, volume, source, template)

    return _plan.Plan({}, shown(planned), (_plan.Action(words, create),)), planned


def origin_of(
    storage: _storage.Storage, users: _image_users.ImageUsers, desired: Desired
) -> _found_image.FoundImage | None:
    """The disk that a new one is a clone of; raises `StorageError` where somebody may write to it meanwhile."""
    if desired.clone_of is None:
        return None
    found = storage.require_image(desired.storage_domain, desired.clone_of)
    if found.image.is_template:
        return found
    using = users.of(found.image_uuid, found.volume_uuid)
    if desired.backed and using:
        raise _errors.StorageError(
            f"disk {found.name!r} is in use by {', '.join(map(str, using))}, so it cannot become a template;"
            " make a full copy (clone_mode: copy), or take the disk out of the domain"
        )
    if desired.backed and found.backing:
        raise _errors.StorageError(
            f"disk {found.name!r} has {len(found.layers)} layers, and a template has one; make a full copy (clone_mode:"
            " copy), which can be a template, or remove its snapshots"
        )
    require_still(storage, using, found, "cloned")
    if desired.backed and not desired.force:
        require_not_noted(storage, found, "made a template", "make a full copy (clone_mode: copy)")
    return found


def require_still(
    storage: _storage.Storage, using: t.Sequence[_image_users.ImageUser], found: _found_image.FoundImage, what: str
) -> None:
    """Raises `StorageError` where somebody may write to a disk while it is read."""
    writing = [user for user in using if user.running or user.saved]
    if writing:
        raise _errors.StorageError(
            f"disk {found.name!r} is in use by {', '.join(map(str, writing))}, so a copy would not be whole; shut the"
            " domain down first"
        )
    storage.require_closed(found, what)


def export_actions(
    storage: _storage.Storage, users: _image_users.ImageUsers, found: _found_image.FoundImage, desired: Desired
) -> list[_plan.Action]:
    """Write the disk to a file, where that is asked for and there is none."""
    path = desired.dest
    if path is None:
        return []
    # not at the top: most disks are not exported
    from ansible_collections.gfapi.virt.plugins.module_utils import _export_file

    if _export_file.is_exported(path):
        words = f"remove what a killed run left of the export to {path}"
        return [_plan.Action(words, lambda: _export_file.clear(path))] if _export_file.is_left(path) else []
    if not found.image.is_template:
        require_still(storage, users.of(found.image_uuid, found.volume_uuid), found, "exported")
    _export_file.require_room(storage.qemu_img, path, storage.source(found))

    def run() -> None:
        if not found.image.is_template:
            storage.require_closed(found, "exported")
        _export_file.export(storage.qemu_img, storage.source(found), path, desired.dest_format)

    return [_plan.Action(f"export disk {found.name} to {path} ({desired.dest_format})", run)]


def source_of(
    storage: _storage.Storage, desired: Desired, origin: _found_image.FoundImage | None
) -> _image.Source | None:
    """What a new disk is filled from."""
    if origin:
        return storage.source(origin)
    if not desired.source:
        return None
    # not at the top: most disks are made empty
    from ansible_collections.gfapi.virt.plugins.module_utils import _source_file

    given = {"image_format": desired.source_format, "checksum": desired.checksum}
    return _source_file.read_source(storage.qemu_img, desired.source, **given)


def size_of_new(place: _found_image.MountedStorageDomain, desired: Desired, source: _image.Source | None) -> int:
    """The size asked for, or that of the source; raises `ValueError` where there is none, or it is too small."""
    if source is None:
        if desired.size_bytes is None:
            raise ValueError(
                f"there is no disk {desired.name!r} in storage domain {place.name}; give the size to make it with, or a"
                " source to fill it from"
            )
        return desired.size_bytes
    if not source.virtual_size_bytes:
        raise ValueError(f"disk {desired.name!r} would be filled from {source.path}, which is empty; fetch it anew")
    least = _image.padded(source.virtual_size_bytes)
    if desired.size_bytes is not None and desired.size_bytes < least:
        raise ValueError(
            f"disk {desired.name!r} of {desired.size_bytes} bytes would not hold {source.path}, which has"
            f" {source.virtual_size_bytes}; give that size or more, or none"
        )
    return desired.size_bytes or least


def reserve(
    storage: _storage.Storage,
    place: _found_image.MountedStorageDomain,
    desired: Desired,
    size_bytes: int,
    source: _image.Source | None,
) -> None:
    """Raises `StorageError` where what the disk takes at once does not fit beside those before it."""
    if desired.preallocated:
        storage.reserve(place, desired.name, size_bytes)
    elif source:
        # what is sparse stays sparse, which qemu-img tells of qcow2 only
        storage.reserve(place, desired.name, storage.qemu_img.required_bytes(source, "qcow2"))


def require_no_image(storage: _storage.Storage, place: _found_image.MountedStorageDomain, desired: Desired) -> None:
    """Raises `StorageError` where an image of ours cannot be made."""
    image_uuid = _image.image_uuid_of(place.storage_domain.uuid, desired.name)
    listing = storage.listing(place)
    taken = listing.images.get(image_uuid)
    if taken:
        raise _errors.StorageError(
            f"image {image_uuid} in storage domain {place.name} was made as disk {desired.name!r} and is called"
            f" {taken.name!r} now; rename it back or give its uuid"
        )
    require_readable(storage, place, desired)


def require_readable(storage: _storage.Storage, place: _found_image.MountedStorageDomain, desired: Desired) -> None:
    """Raises `StorageError` where the disk seems not to be there because its `.meta` cannot be read."""
    faults = storage.listing(place).faults
    for image_uuid in (desired.name, _image.image_uuid_of(place.storage_domain.uuid, desired.name)):
        if image_uuid in faults:
            raise _errors.StorageError(f"disk {desired.name!r} in storage domain {place.name}: {faults[image_uuid]}")


def plan_existing(
    storage: _storage.Storage, users: _image_users.ImageUsers, found: _found_image.FoundImage, desired: Desired
) -> tuple[_plan.Plan, _found_image.FoundImage]:
    """The plan for a disk that is there, and the image that it will be."""
    _storage.require_legal(found)
    require_fit(found, desired)
    actions = []
    after = found
    leaf = found.image.leaf
    place, image_uuid = found.place, found.image_uuid
    if storage.is_left(place, image_uuid):
        words = f"remove what a killed run left of disk {found.name}"
        actions.append(_plan.Action(words, lambda: storage.clear(place, image_uuid)))
    if desired.note is not None and desired.note != leaf.note:
        text = _image.describe(found.name, desired.note)
        leaf = replace(leaf, description=text)
        leaf.to_text(found.place.version)  # raises where it does not fit

        def note() -> None:
            storage.change_meta(found, lambda leaf: replace(leaf, description=text))

        actions.append(_plan.Action(f"describe disk {found.name}", note))
        after = replace(found, image=replace(found.image, volumes=(leaf, *found.image.volumes[1:])))
    if desired.size_bytes is not None and desired.size_bytes > found.virtual_size_bytes:
        actions.append(grow_action(storage, users, found, desired.size_bytes, force=desired.force))
        after = replace(after, virtual_size_bytes=desired.size_bytes)
    elif leaf.capacity_bytes != found.virtual_size_bytes:
        actions.append(_plan.Action(f"finish growing disk {found.name}", lambda: storage.mend(found)))
    elif not all(map(_image.is_padded, found.layer_bytes)):
        # of a grower that was killed, or of another tool: qemu-img, and so oVirt, leave such files
        words = f"lengthen the files of disk {found.name} so that libgfapi reads their end"
        actions.append(_plan.Action(words, lambda: storage.mend(found)))
    actions += export_actions(storage, users, after, desired)
    return _plan.Plan(shown(found), shown(after), tuple(actions)), after


def require_fit(found: _found_image.FoundImage, desired: Desired) -> None:
    """Raises `ValueError` for what no run does: convert, shrink, change a template."""
    # what is above the first layer are snapshots
    if desired.format not in (None, found.format, found.image.first.format):
        raise ValueError(
            f"disk {found.name!r} is {found.format}, not {desired.format}; an image is never converted in place"
        )
    if desired.size_bytes is not None and desired.size_bytes < found.virtual_size_bytes:
        raise ValueError(
            f"disk {found.name!r} has {found.virtual_size_bytes} bytes and would lose data with {desired.size_bytes};"
            " a disk is never shrunk"
        )
    if desired.size_bytes is not None and desired.size_bytes > found.virtual_size_bytes and found.image.is_template:
        raise ValueError(
            f"disk {found.name!r} is a template of {found.virtual_size_bytes} bytes, which its clones build on;"
            " grow the clones"
        )


def grow_action(
    storage: _storage.Storage,
    users: _image_users.ImageUsers,
    found: _found_image.FoundImage,
    size_bytes: int,
    *,
    force: bool,
) -> _plan.Action:
    """Grow through the VM that runs on the image, or the file where none does.

    A saved VM goes on with the size that it knows, and a live resize would grow the overlay in front of the image.
    """
    _image.require_held(found.name, found.format, size_bytes)
    using = users.of(found.image_uuid, found.volume_uuid)
    saved = [user for user in using if user.saved]
    if saved:
        raise _errors.StorageError(
            f"disk {found.name!r} is in use by {', '.join(map(str, saved))}; start the domain or drop its managed save"
            " first (virsh managedsave-remove)"
        )
    running = [user for user in using if user.running]
    behind = [user for user in running if not user.is_live]
    if behind:
        raise _errors.StorageError(
            f"disk {found.name!r} is in use by {', '.join(map(str, behind))}, which has it below an overlay or only in"
            " its next configuration; shut the domain down first"
        )
    if len(running) > 1:
        raise _errors.StorageError(
            f"disk {found.name!r} is in use by {', '.join(map(str, running))}; one that several VMs run on is not grown"
        )
    if not running:
        storage.require_closed(found, "grown")
        if not force:
            # one of them may have a managed save, which knows the size that the disk had
            require_not_noted(storage, found, "grown", "grow it there")
    resize_live = (lambda: users.block_resize(running[0], size_bytes)) if running else None
    live = f" live in domain {running[0].name}" if running else ""
    sizes = f"from {_image.size_text(found.virtual_size_bytes)} to {_image.size_text(size_bytes)}"
    words = f"grow disk {found.name} {sizes}{live}"
    return _plan.Action(words, lambda: storage.grow(found, size_bytes, resize_live=resize_live))


def plan_absent(
    storage: _storage.Storage,
    users: _image_users.ImageUsers,
    place: _found_image.MountedStorageDomain,
    found: _found_image.FoundImage | None,
    desired: Desired,
    leaving: t.Container[str],
) -> _plan.Plan:
    """Delete the image, or what an interrupted deletion left of it."""
    image_uuid = found.image_uuid if found else _image.image_uuid_of(place.storage_domain.uuid, desired.name)
    words = f"delete disk {desired.name} from storage domain {place.name}"
    if found is None:
        require_readable(storage, place, desired)
        if image_uuid not in storage.listing(place).removed and not storage.is_left(place, image_uuid):
            return _plan.Plan({}, {})
        words = f"delete what an interrupted run left of disk {desired.name} in storage domain {place.name}"
        return _plan.Plan({}, {}, (_plan.Action(words, lambda: storage.delete(place, image_uuid)),))
    noted_at = storage.noted_at(place)
    require_unused(storage, users, found, leaving, force=desired.force)

    def again() -> None:
        # whoever gave it to a VM meanwhile has noted that; to ask libvirt for each of many disks would take long
        if storage.noted_at(place) != noted_at:
            users.forget()
            storage.other_uses(place, anew=True)
            require_unused(storage, users, found, leaving, force=desired.force)

    delete = _plan.Action(words, lambda: storage.delete(place, image_uuid, found, again))
    return _plan.Plan(shown(found), {}, (delete,))


def require_unused(
    storage: _storage.Storage,
    users: _image_users.ImageUsers,
    found: _found_image.FoundImage,
    leaving: t.Container[str],
    *,
    force: bool,
) -> None:
    """Raises `StorageError` naming who uses an image, but for clones that go before it."""
    using = users.of(found.image_uuid, found.volume_uuid)
    if using:
        raise _errors.StorageError(
            f"disk {found.name!r} is in use by {', '.join(map(str, using))};"
            " undefine the domain or take the disk out first"
        )
    sharers = [image for image in storage.listing(found.place).sharers(found.image) if image.uuid not in leaving]
    if sharers:
        names = ", ".join(image.name or image.uuid for image in sharers)
        raise _errors.StorageError(f"disk {found.name!r} is the template of {names}; delete them first")
    storage.require_closed(found, "deleted")
    if not force:
        require_not_noted(storage, found, "deleted", "undefine it there or take the disk out")


def require_not_noted(storage: _storage.Storage, found: _found_image.FoundImage, what: str, mend: str) -> None:
    """Raises `StorageError` naming the VMs of other hosts that the image belongs to though they do not run."""
    storage.other_uses(found.place).require_none(found.image_uuid, f"disk {found.name!r} cannot be {what}", mend)


def attachment_of(
    storage: _storage.Storage,
    users: _image_users.ImageUsers,
    disk: _disk.Disk,
    found: _found_image.FoundImage,
    desired: Desired,
    before: Before,
) -> tuple[list[_plan.Action], str]:
    """Give the disk to a domain where it has it not yet, or not everywhere; and its target there."""
    # not at the top: most disks come with the definition of their domain
    from ansible_collections.gfapi.virt.plugins.module_utils import _attachment

    name = t.cast(str, desired.vm)
    require_no_template(found.image, found, name)
    using = users.of(found.image_uuid, found.volume_uuid)
    require_no_other(using, found, name)
    wanted = replace(disk, target=desired.target or "", bus=desired.bus)
    promised = before.targets.setdefault(name, {})
    domain = users.domain(name)
    attachment, element = _attachment.to_attach(domain, wanted, found.image_uuid, promised)
    promised[attachment.target] = desired.bus
    if not attachment.places:
        return [], attachment.target

    def attach() -> None:
        with contextlib.ExitStack() as held:
            if not any(user.running for user in using):
                image = held.enter_context(storage.closed(found, f"attach disk {found.name}", "attached"))
                require_no_template(image, found, name)
                users.forget()
                require_no_other(users.of(found.image_uuid, found.volume_uuid), found, name)
            if users.is_local:
                storage.note_use(found.place, name, domain.uuid, found.image_uuid, used=True)
            users.attach(attachment, element)

    return [_plan.Action(f"attach disk {found.name} to {attachment.words}", attach)], attachment.target


def require_no_other(using: t.Iterable[_image_users.ImageUser], found: _found_image.FoundImage, vm: str) -> None:
    """Raises `StorageError` for an image that another domain of this host has."""
    others = [user for user in using if user.name != vm]
    if others:
        raise _errors.StorageError(
            f"disk {found.name!r} is in use by {', '.join(map(str, others))}, and two would destroy it; take it out"
            f" there first, or give {vm} a clone"
        )


def require_no_template(image: _image.Image, found: _found_image.FoundImage, vm: str) -> None:
    """Raises `StorageError` for an image that clones build on."""
    if image.is_template:
        raise _errors.StorageError(
            f"disk {found.name!r} is a template, which no VM may write to; give {vm} a clone of it (clone_of)"
        )


def plan_detached(
    storage: _storage.Storage,
    users: _image_users.ImageUsers,
    place: _found_image.MountedStorageDomain,
    found: _found_image.FoundImage | None,
    desired: Desired,
) -> _plan.Plan:
    """Take the disk out of a domain."""
    from ansible_collections.gfapi.virt.plugins.module_utils import _attachment

    image_uuid = found.image_uuid if found else _image.image_uuid_of(place.storage_domain.uuid, desired.name)
    name = t.cast(str, desired.vm)
    domain = users.domain(name)
    attachment = _attachment.to_detach(domain, image_uuid)

    def forget() -> None:
        storage.note_use(place, name, domain.uuid, image_uuid, used=False)

    if attachment is None:
        # a run that was killed behind the detachment has left the note
        if not users.is_local or not storage.is_noted(place, domain.uuid, image_uuid):
            return _plan.Plan({}, {})
        words = f"forget domain {name} as a user of disk {desired.name} in storage domain {place.name}"
        return _plan.Plan({}, {}, (_plan.Action(words, forget),))

    def detach() -> None:
        users.detach(attachment)
        if users.is_local:
            forget()

    words = f"detach disk {desired.name} from {attachment.words}"
    before = {"name": desired.name, "vm": name, "target": attachment.target}
    after = {"name": desired.name, "vm": None, "target": None}
    return _plan.Plan(before, after, (_plan.Action(words, detach),))


def shown(found: _found_image.FoundImage) -> dict[str, t.Any]:
    """A disk for the diff."""
    return {
        "name": found.name,
        "format": found.format,
        "virtual_size_bytes": found.virtual_size_bytes,
        "description": found.image.leaf.note,
    }


def disk_for(found: _found_image.FoundImage, servers: _image_source.Servers) -> _disk.Disk:
    """The disk that an image is for a domain, through all servers of its volume."""
    hosts = servers.of(found.place.mount)
    source, *backing = (
        _disk.Layer(_disk.DiskSource.gluster(found.volume, layer.volume_path, hosts), layer.format)
        for layer in found.layers
    )
    serial = found.image_uuid
    return _disk.gluster_disk(source.source, source.format, target="vda", serial=serial, backing=tuple(backing))


def facts(found: _found_image.FoundImage, disk: _disk.Disk) -> dict[str, t.Any]:
    """What the module returns about a disk."""
    source = disk.source
    blockdev, *below = _disk.to_blockdevs((_disk.Layer(source, found.format), *(disk.backing or ())))
    return {
        **shown(found),
        "storage_domain": found.place.name,
        "state": "present",
        "image_uuid": found.image_uuid,
        "volume_uuid": found.volume_uuid,
        "path": found.path,
        "uri": source.uris[0],
        "uris": list(source.uris),
        "blockdev": blockdev,
        "backing_blockdevs": below[::-1],
        "disk_xml": _xml.to_text(_disk.to_element(disk)),
        "actual_size_bytes": found.actual_size_bytes,
    }


def require_once(storage: _storage.Storage, desired: t.Sequence[Desired]) -> None:
    """Raises `ValueError` where two of a list are the same disk, however they spell it and its storage domain."""
    spelled: dict[tuple[str, str], list[str]] = {}
    for one in desired:
        place = storage.find(one.storage_domain)
        image = storage.listing(place).image(one.name)
        image_uuid = image.uuid if image else _image.image_uuid_of(place.storage_domain.uuid, one.name)
        spelled.setdefault((place.storage_domain.uuid, image_uuid), []).append(one.name)
    doubled = sorted({name for names in spelled.values() if len(names) > 1 for name in names})
    if doubled:
        raise ValueError(f"disk {', '.join(doubled)} is listed twice in disks; list each once")


def require_apart(desired: t.Sequence[Desired]) -> None:
    """Raises `ValueError` where two of a list are to have the same target of a domain, or be exported to one file."""
    targets = [f"target {one.target} of domain {one.vm}" for one in desired if one.vm and one.target]
    dests = [f"dest {real_path(one.dest)}" for one in desired if one.dest]
    for what in (*targets, *dests):
        if (*targets, *dests).count(what) > 1:
            raise ValueError(f"{what} is given to two disks; give each its own")


def real_path(dest: str) -> str:
    """A file that is to be, without links on the way to it."""
    folder, name = posixpath.split(dest)
    return posixpath.join(os.path.realpath(folder), name)


@dataclass
class Before:
    """What the disks before it in a list will have done."""

    #: uuids of the images that are deleted
    leaving: set[str] = field(default_factory=set)
    #: domain → target → bus that it was given; those that any disk of the list names are there from the start
    targets: dict[str, dict[str, str | None]] = field(default_factory=dict)
    #: image → what is done to it that no clone of it may be made beside
    changing: dict[str, str] = field(default_factory=dict)
    #: new disk → the image that it is made from
    origins: dict[str, _found_image.FoundImage] = field(default_factory=dict)

    def require_still(self) -> None:
        """Raises `ValueError` where one disk of a list is made from another that the list changes.

        Whether it would come before or after, what fails or was killed in between would leave the other order.
        """
        for name, origin in self.origins.items():
            words = self.changing.get(origin.image_uuid)
            if words:
                raise ValueError(
                    f"disk {name!r} is to be made from disk {origin.name!r}, which the same list changes ({words}); do"
                    " that in a task of its own"
                )


def item_for(
    storage: _storage.Storage,
    servers: _image_source.Servers,
    users: _image_users.ImageUsers,
    desired: Desired,
    before: Before,
) -> _plan.Item:
    """One disk with its plan."""
    place = storage.find(desired.storage_domain)
    found = storage.find_image(desired.storage_domain, desired.name)
    if desired.state == "absent":
        plan = plan_absent(storage, users, place, found, desired, before.leaving)
        if found:
            before.leaving.add(found.image_uuid)
            before.changing[found.image_uuid] = plan.summaries[0]
        return _plan.Item(desired.name, plan, {"name": desired.name, "storage_domain": place.name, "state": "absent"})
    if desired.state == "detached":
        plan = plan_detached(storage, users, place, found, desired)
        told = facts(found, disk_for(found, servers)) if found else {"name": desired.name, "state": "absent"}
        return _plan.Item(desired.name, plan, {**told, "vm": None, "target": None})
    warnings = []
    if found is None:
        plan, after = plan_new(storage, users, place, desired, before)
    else:
        plan, after = plan_existing(storage, users, found, desired)
        if after.virtual_size_bytes != found.virtual_size_bytes:
            before.changing[found.image_uuid] = f"grow disk {found.name}"
        if desired.preallocated and not found.image.first.preallocated:
            warnings.append(f"disk {desired.name!r} is sparse and stays so: only a new disk is made preallocated")

    disk = disk_for(after, servers)
    had: dict[str, t.Any] = {}
    if desired.vm:
        actions, target = attachment_of(storage, users, disk, after, desired, before)
        if actions:
            before.changing[after.image_uuid] = actions[0].summary
        if actions and found and not any(user.running for user in users.of(found.image_uuid, found.volume_uuid)):
            storage.require_closed(found, "attached")
        had = {"vm": desired.vm, "target": target}
        disk = replace(disk, target=target, bus=desired.bus)
        old, new = (
            {**side, "target": place}
            for side, place in ((plan.before, None if actions else target), (plan.after, target))
        )
        plan = _plan.Plan(old, new, (*plan.actions, *actions))

    def read() -> dict[str, t.Any]:
        return {**facts(storage.require_image(desired.storage_domain, desired.name), disk), **had}

    return _plan.Item(desired.name, plan, {**facts(after, disk), **had}, read, tuple(warnings))


def make_items(
    params: _module.Params, storage: _storage.Storage, servers: _image_source.Servers, users: _image_users.ImageUsers
) -> _plan.Item | list[_plan.Item]:
    """Parameters → the disks with their plans, everything looked up before anything is changed."""
    wanted = params["disks"] if params["disks"] is not None else [params]
    desired = [desired_from(disk, params["storage_domain"]) for disk in wanted]
    require_once(storage, desired)
    require_apart(desired)
    for place in dict.fromkeys(one.storage_domain for one in desired):
        storage.look_ahead(place, [one.name for one in desired if one.storage_domain == place])
    before = Before()
    for one in desired:
        if one.vm and one.target:
            before.targets.setdefault(one.vm, {})[one.target] = one.bus
    items = [item_for(storage, servers, users, one, before) for one in desired]
    before.require_still()
    items = [item._replace(warnings=(*item.warnings, *servers.warnings)) for item in items]
    return items if params["disks"] is not None else items[0]


def on_host(params: _module.Params) -> _plan.Item | list[_plan.Item]:
    """The disks with their plans, on this host; whoever works on the domains that they are for is waited for."""

    def items() -> _plan.Item | list[_plan.Item]:
        return make_items(
            params,
            _storage.Storage(mount_root=params["mount_root"]),
            _image_source.Servers(),
            _image_users.ImageUsers(params["uri"]),
        )

    disks = [params] if params["disks"] is None else params["disks"]
    domains = {disk["vm"] for disk in disks if disk["vm"]}
    if not domains:
        return items()
    # not at the top: most disks come with the definition of their domain
    from ansible_collections.gfapi.virt.plugins.module_utils import _turns

    return _turns.in_turn((_turns.domain_turn(name, params["uri"]) for name in domains), items)


def main() -> None:
    _module.run(
        on_host,
        ARGUMENT_SPEC,
        one="disk",
        many="disks",
        libraries=["lxml"],
        mutually_exclusive=[("name", "disks")],
        required_one_of=[("name", "disks")],
    )


if __name__ == "__main__":
    main()
