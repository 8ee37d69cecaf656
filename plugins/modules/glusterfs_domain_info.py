# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: glusterfs_domain_info
short_description: Read storage domains with their images, who uses these, and what is wrong
version_added: 0.2.0
description:
  - Tells of the storage domains that are mounted on this host what they are, how full they are, and their images with
    size, chain and the domains of this host that use them.
  - Finds orphans (images without a VM, disks of VMs without an image), what interrupted work left, and files that are
    missing or damaged. Each finding has a code, a message and a mend.
  - Reads only. The block size is found by reading, where VDSM writes a probe.
  - Mounts are read side by side. One that is dead or hangs is named within 10 seconds and hides no other.
  - Each directory is listed once, and libvirt is asked once, whatever the number of images.
  - What cannot be known is none, never a guess.
author:
  - gfapi.virt contributors (@gfapi-virt)
extends_documentation_fragment:
  - gfapi.virt._attributes.info
  - gfapi.virt._attributes.actiongroup_both
  - gfapi.virt._libvirt
requirements:
  - lxml
  - libvirt-python (on a host with libvirt)
options:
  names:
    description:
      - Storage domains to read, by name, uuid or mount point; all of them below O(mount_root) if left out. One that is
        not mounted is left out of the result.
      - While one of them is not found, mounts whose name cannot be told are in the result too.
    type: list
    elements: str
  images:
    description:
      - Whether to look at each image, and to ask libvirt. If V(false), RV(storage_domains[].images) is none, and what
        is returned costs the same for any number of images.
    type: bool
    default: true
  mount_root:
    description:
      - Directory below which storage domains are mounted. An absolute path without blanks.
    type: path
    default: /rhev/data-center/mnt/glusterSD
seealso:
  - module: gfapi.virt.glusterfs_domain
  - module: gfapi.virt.gfapi_disk
  - module: gfapi.virt.gluster_volume_info
"""

EXAMPLES = r"""
- name: Storage domains of this host
  gfapi.virt.glusterfs_domain_info:
  register: storage

- name: All of them answer and can be read
  ansible.builtin.assert:
    that: item.state == 'active'
    quiet: true
  loop: "{{ storage.storage_domains }}"
  loop_control:
    label: "{{ item.mount_point }}"

- name: Images and VMs of storage domain vms
  gfapi.virt.glusterfs_domain_info:
    names: [vms]
  register: vms

- name: Nothing is wrong with storage domain vms
  ansible.builtin.assert:
    that: vms.storage_domains[0].problems | length == 0
    fail_msg: "{{ vms.storage_domains[0].problems | map(attribute='message') | join('; ') }}"

- name: Every VM has its disks
  ansible.builtin.assert:
    that: vms.storage_domains[0].orphans.vm_disks | length == 0

- name: Images that no VM is known to use
  ansible.builtin.debug:
    msg: "{{ vms.storage_domains[0].orphans.images | map(attribute='name') }}"

- name: Nothing that interrupted work left
  ansible.builtin.assert:
    that: vms.storage_domains[0].orphans[item] | length == 0
    quiet: true
  loop: [removed, staging, temporary]

- name: How full storage domain vms is, without a look at its images
  gfapi.virt.glusterfs_domain_info:
    names: [vms]
    images: false
"""

RETURN = r"""
storage_domains:
  description: The storage domains, by mount point. A mount without one is left out.
  returned: success
  type: list
  elements: dict
  contains:
    mount_point:
      description: Where it is mounted.
      type: str
      returned: success
      sample: /rhev/data-center/mnt/glusterSD/gluster1:_vmstore
    spec:
      description: What is mounted there.
      type: str
      returned: success
      sample: gluster1:/vmstore
    volume:
      description: The Gluster volume.
      type: str
      returned: success
      sample: vmstore
    state:
      description:
        - V(active) is mounted, answers and can be read. V(broken) cannot be read.
        - V(dead) is a mount whose client or volume is gone. V(hung) is one that does not answer.
        - Of the last three only what could be read is not none.
      type: str
      returned: success
      sample: active
    uuid:
      description: UUID of the storage domain.
      type: str
      returned: success
      sample: 5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11
    name:
      description: Name of the storage domain.
      type: str
      returned: success
      sample: vms
    path:
      description: Its directory on the mount.
      type: str
      returned: success
      sample: /rhev/data-center/mnt/glusterSD/gluster1:_vmstore/5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11
    version:
      description: Version of the format.
      type: int
      returned: success
      sample: 5
    class:
      description: V(Data), V(Iso) or V(Backup).
      type: str
      returned: success
      sample: Data
    role:
      description: V(Regular), or V(Master) for the one that keeps its data center's tasks.
      type: str
      returned: success
      sample: Regular
    pool_uuid:
      description: UUID of the data center that it belongs to, several separated by commas; empty if none.
      type: str
      returned: success
      sample: ""
    block_size_bytes:
      description: Sector size of its leases.
      type: int
      returned: success
      sample: 512
    alignment_bytes:
      description: Alignment of its leases.
      type: int
      returned: success
      sample: 1048576
    direct_io_bytes:
      description: The least that direct I/O on the volume takes at once; 1 where it asks for nothing.
      type: int
      returned: success
      sample: 512
    seal:
      description:
        - The checksum of C(dom_md/metadata), as it stands there and as the text gives it.
        - C(stored) is none where there is no checksum, which VDSM takes too.
      type: dict
      returned: success
      sample:
        stored: 1ccb56d1cb7b63a25ca6bcf75ab4be0b8f2b2bf9
        computed: 1ccb56d1cb7b63a25ca6bcf75ab4be0b8f2b2bf9
        intact: true
    size_bytes:
      description: Size of the volume.
      type: int
      returned: success
      sample: 270553174016
    free_bytes:
      description: What is free on the volume.
      type: int
      returned: success
      sample: 232983583907
    images:
      description:
        - The images that can be read, by name. None with O(images=false).
        - C(description) is what the disk is for. C(disk_type) is V(DATA), or oVirt's word for what is no disk of a VM.
        - C(actual_size_bytes) counts all of C(volumes), the chain, leaf first and base last, each with the name of the
          C(snapshot) that it is, if any. An image volume without a file has no size.
        - C(legality) is V(LEGAL) if all image volumes are usable.
        - C(template) is the image whose image volume this one holds a link to, C(template_of) are those that hold one
          to this.
        - C(used_by) are the libvirt domains of this host with a disk whose chain holds the image, V(running),
          V(saved) (managed save) or V(defined). It is none where this host has no libvirt, or it did not answer.
        - C(used_elsewhere) are the VMs of other hosts whose definition has the image, as far as
          M(gfapi.virt.libvirt_vm) noted them there, and whether anybody has the image C(open). Of one that is not, the
          VM is shut off, or its host is gone.
      type: list
      elements: dict
      returned: success
      sample:
        - uuid: 6b1ccf2f-4e0c-5f28-9f36-0a3a6b3f8d11
          name: web-root
          description: ""
          format: qcow2
          preallocation: 'off'
          disk_type: DATA
          legality: LEGAL
          virtual_size_bytes: 21474836480
          actual_size_bytes: 200704
          template: null
          template_of: []
          used_by: [{name: web, state: running, target: vda}]
          used_elsewhere: []
          volumes:
            - uuid: 9d2070d1-8a4f-5a53-8f0e-34f1d4f0f9c2
              path: "/rhev/data-center/mnt/glusterSD/gluster1:_vmstore/5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11/images/\
                6b1ccf2f-4e0c-5f28-9f36-0a3a6b3f8d11/9d2070d1-8a4f-5a53-8f0e-34f1d4f0f9c2"
              format: qcow2
              role: LEAF
              legality: LEGAL
              parent: null
              snapshot: ""
              virtual_size_bytes: 21474836480
              actual_size_bytes: 200704
    orphans:
      description:
        - C(images) are those that no libvirt domain of this host uses, no other host noted a user of, and no image is
          made from. None with O(images=false), and where C(used_by) is none.
        - C(vm_disks) are the disks of domains of this host whose image volume is not there. None like C(images).
        - C(removed), C(staging) and C(temporary) are what interrupted deletions, killed runs and replaced files left,
          as paths. A temporary file may be of a run that is at work.
      type: dict
      returned: success
      sample:
        images: [{uuid: 27f4d28b-0895-5d53-b128-3ea86ac6e607, name: old-root}]
        vm_disks:
          - vm: web
            state: defined
            target: vdb
            source: vmstore/5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11/images/9afaee71-40f4-5a03-96c9-d3a9b64af14a/11ecee4b
            image_uuid: 9afaee71-40f4-5a03-96c9-d3a9b64af14a
        removed: []
        staging: []
        temporary: []
    problems:
      description:
        - What keeps the storage domain or one of its images from being used. A C(code) stays the same over releases.
        - Of the mount V(hung), V(dead), V(unreadable). Of the storage domain V(several), V(metadata_broken) (the seal
          included), V(file_missing), V(file_too_small), V(record_broken), V(block_size_differs).
        - Of an image V(meta_unreadable), V(data_missing), V(data_unreadable), V(not_legal), V(lease_missing),
          V(lease_too_small), V(lease_broken). V(image_missing) is a disk of a VM without its image.
      type: list
      elements: dict
      returned: success
      sample:
        - code: file_missing
          message: dom_md/leases is missing
          mend: gfapi.virt.glusterfs_domain adds it
    warnings:
      description:
        - What should be seen to. The form is that of RV(storage_domains[].problems).
        - V(no_seal), V(old_version), V(upgrade_unfinished), V(removal_unfinished), V(staging_left),
          V(temporary_left), V(use_unreadable) (what another host noted).
        - Of an image V(size_differs), V(not_padded), V(backing_differs), V(image_unfinished).
      type: list
      elements: dict
      returned: success
      sample: []
"""

import posixpath
import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _bounded,
    _errors,
    _module,
    _mount_table,
    _mounts,
    _seen,
    _storage_domain,
    _storage_domain_findings,
    _storage_domain_look,
    _storage_domain_users,
)

ARGUMENT_SPEC = {
    "names": {"type": "list", "elements": "str"},
    "images": {"type": "bool", "default": True},
    "mount_root": {"type": "path", "default": _storage_domain.MOUNT_ROOT},
    "uri": {"type": "str", "default": "qemu:///system"},
}

References = t.Optional[t.Sequence[_storage_domain_users.ImageReference]]


@dataclass(frozen=True)
class Place:
    """A mount, its space if it answers, and what is there."""

    mount: _mount_table.Mount
    word: str
    state: _storage_domain_findings.State
    space: _mount_table.Space | None = None
    least_bytes: int | None = None

    @property
    def keys(self) -> tuple[str | None, ...]:
        """What it can be asked for by."""
        domain = self.state.storage_domain
        return self.mount.point, self.state.uuid, domain.name if domain else None


def mounts_to_read(mounts: _mounts.Mounts, params: _module.Params) -> dict[str, _mount_table.Mount]:
    """By mount point: those below the mount root, and those that are asked for by their mount point."""
    root = _mounts.real_mount_root(params["mount_root"])
    points = {posixpath.normpath(name) for name in params["names"] or () if name.startswith("/")}
    below = params["names"] is None or len(points) < len(params["names"])
    return {
        mount.point: mount
        for mount in mounts.table()
        if mount.point in points or (below and posixpath.dirname(mount.point) == root)
    }


def place_from(mount: _mount_table.Mount, got: _seen.Seen | _errors.StorageError | None) -> Place | None:
    """What was read of a mount; `None` for one without a storage domain."""
    if got is None:
        message, mend = f"mount {mount.point} is dead: {_mounts.DEAD}", "gfapi.virt.glusterfs_domain mounts it again"
        return Place(
            mount,
            "dead",
            _storage_domain_findings.State(problems=(_storage_domain_findings.Finding("dead", message, mend),)),
        )
    if isinstance(got, _errors.StorageError):
        code, word = ("hung", "hung") if isinstance(got, _errors.HungError) else ("unreadable", "broken")
        mend = "look at the volume's servers and at the client's log in /var/log/glusterfs"
        return Place(
            mount,
            word,
            _storage_domain_findings.State(problems=(_storage_domain_findings.Finding(code, str(got), mend),)),
        )
    state = _storage_domain_findings.state_of(got)
    if state is None:
        return None
    return Place(mount, "active" if state.storage_domain else "broken", state, got.space, got.least_bytes)


def asked_for(places: t.Sequence[Place], names: t.Sequence[str] | None) -> list[Place]:
    """Those that are asked for; with one of them unknown, those of which it cannot be told too."""
    if names is None:
        return list(places)
    wanted = {posixpath.normpath(name) if name.startswith("/") else name for name in names}
    named = [place for place in places if wanted & set(place.keys)]
    unknown = wanted - {key for place in named for key in place.keys}
    if any(not name.startswith("/") for name in unknown):
        return [place for place in places if place in named or place.state.storage_domain is None]
    return named


def with_users(place: Place, references: References) -> tuple[dict[str, list[_module.Result]], list[_module.Result]]:
    """Image → the domains that use it, and the disks of domains whose image volume is not there."""
    images = {state.uuid: {layer.volume.uuid for layer in state.layers} for state in place.state.images or ()}
    users: dict[str, list[_module.Result]] = {}
    missing = []
    for user, source, storage_domain, image, volume in references or ():
        if storage_domain != place.state.uuid:
            continue
        found = {"name": user.name, "state": user.state, "target": user.target}
        if found not in users.setdefault(image, []):
            users[image].append(found)
        if volume not in images.get(image, ()):
            disk = {"vm": user.name, "state": user.state, "target": user.target}
            missing.append({**disk, "source": source, "image_uuid": image})
    return users, missing


def facts(place: Place, references: References) -> _module.Result:
    """A storage domain as the module returns it."""
    state, domain, mount = place.state, place.state.storage_domain, place.mount
    path = state.uuid and posixpath.join(mount.point, state.uuid)
    users, missing = with_users(place, references)
    templates: dict[str | None, list[str]] = {}
    for image in state.images or ():
        templates.setdefault(image.template_uuid, []).append(image.uuid)
    known = state.images is not None and references is not None
    images = None if state.images is None else [image_facts(image, str(path), templates) for image in state.images]
    for image_result in images or ():
        image_result["used_by"] = users.get(image_result["uuid"], []) if known else None
        image_result["used_elsewhere"] = used_elsewhere(state, image_result["uuid"])
    problems = [*state.problems, *map(missing_problem, missing if known else ())]
    return {
        "mount_point": mount.point,
        "spec": str(mount.spec),
        "volume": mount.spec.volume,
        "state": place.word,
        "uuid": state.uuid,
        "name": domain and domain.name,
        "path": path,
        "version": domain and domain.version,
        "class": domain and domain.domain_class,
        "role": domain and domain.role,
        "pool_uuid": domain and domain.pool_uuid,
        "block_size_bytes": domain and domain.block_size_bytes,
        "alignment_bytes": domain and domain.alignment_bytes,
        "direct_io_bytes": place.least_bytes,
        "seal": state.seals and {**state.seals._asdict(), "intact": not state.seals.is_broken},
        "size_bytes": place.space and place.space.size_bytes,
        "free_bytes": place.space and place.space.free_bytes,
        "images": images,
        "orphans": {
            "images": orphans(state, users, templates) if known else None,
            "vm_disks": missing if known else None,
            **{
                kind: [posixpath.join(mount.point, name) for name in names]
                for kind, names in vars(state.leftovers).items()
            },
        },
        "problems": [finding._asdict() for finding in problems],
        "warnings": [finding._asdict() for finding in state.warnings],
    }


def used_elsewhere(state: _storage_domain_findings.State, image_uuid: str) -> list[_module.Result]:
    """The VMs of other hosts that are noted as users of an image."""
    is_open = image_uuid in state.opened
    return [{"host": user.host.name, "name": user.vm, "open": is_open} for user in state.uses.of(image_uuid)]


def orphans(
    state: _storage_domain_findings.State, users: t.Container[str], templates: t.Container[str | None]
) -> list[_module.Result]:
    """The images of VMs that no domain uses, here or noted by another host, and no image is made from."""
    return [
        {"uuid": image.uuid, "name": image.image.name}
        for image in state.images or ()
        if image.is_of_a_vm and not (image.uuid in users or image.uuid in templates or state.uses.of(image.uuid))
    ]


def missing_problem(disk: _module.Result) -> _storage_domain_findings.Finding:
    message = f"disk {disk['target']} of domain {disk['vm']} ({disk['state']}) has no image: {disk['source']}"
    return _storage_domain_findings.Finding(
        "image_missing", message, "restore the image, or take the disk out of the domain"
    )


def image_facts(
    state: _storage_domain_findings.ImageState, path: str, templates: t.Mapping[str | None, list[str]]
) -> _module.Result:
    leaf = state.image.leaf
    bad = [layer.volume.legality for layer in state.layers if layer.volume.legality != "LEGAL"]
    return {
        "uuid": state.uuid,
        "name": leaf.alias,
        "description": leaf.note,
        "format": leaf.format,
        "preallocation": "full" if leaf.preallocated else "off",
        "disk_type": leaf.disk_type,
        "legality": bad[0] if bad else "LEGAL",
        "virtual_size_bytes": state.layers[0].virtual_bytes,
        "actual_size_bytes": state.actual_bytes,
        "template": state.template_uuid,
        "template_of": templates.get(state.uuid, []),
        "volumes": [layer_facts(layer, f"{path}/images/{state.uuid}") for layer in state.layers],
    }


def layer_facts(layer: _storage_domain_findings.Layer, folder: str) -> _module.Result:
    volume = layer.volume
    return {
        "uuid": volume.uuid,
        "path": f"{folder}/{volume.uuid}",
        "format": volume.format,
        "role": volume.role,
        "legality": volume.legality,
        "parent": volume.parent_uuid,
        "snapshot": volume.snapshot,
        "virtual_size_bytes": layer.virtual_bytes,
        "actual_size_bytes": layer.used_bytes if layer.data else None,
    }


def references_of(users: _storage_domain_users.StorageDomainUsers, warnings: list[str]) -> References:
    """What domains of this host name; `None` where that cannot be told."""
    try:
        return users.references()
    except _errors.LibvirtError as exc:
        warnings.append(f"who uses the images is not known: {exc}")
        return None


def read(
    params: _module.Params, mounts: _mounts.Mounts, users: _storage_domain_users.StorageDomainUsers
) -> _module.Result:
    """The storage domains asked for. Their mounts are read while libvirt is asked."""
    found = mounts_to_read(mounts, params)

    def look(point: str, beat: _bounded.Beat) -> _seen.Seen | None:
        space = mounts.read_space(point)
        beat()
        if space is None:
            return None
        return _storage_domain_look.look(point, space, images=params["images"], beat=beat)

    readers = _bounded.Readers(found, look)
    warnings: list[str] = []
    references = references_of(users, warnings) if params["images"] and found else None
    got = readers.results()
    places = [place_from(found[point], got[point]) for point in sorted(found)]
    here = asked_for([place for place in places if place], params["names"])
    return {"storage_domains": [facts(place, references) for place in here], "warnings": warnings}


def main() -> None:
    _module.run_info(
        lambda params: read(params, _mounts.Mounts(), _storage_domain_users.StorageDomainUsers(params["uri"])),
        ARGUMENT_SPEC,
        libraries=["lxml"],
    )


if __name__ == "__main__":
    main()
