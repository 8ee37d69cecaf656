# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gfapi_snapshot
short_description: Keep a snapshot of a VM's disks in a storage domain
version_added: 0.2.0
description:
  - Takes, removes and goes back to external snapshots of disks in storage domains. All disks of a VM are taken at one
    moment, be it running or shut off.
  - A snapshot is a layer of the image, a file of its own. What the guest writes afterwards goes to a new layer on top
    of it, and the VM goes on with that one through gfapi. The layers are as oVirt has them.
  - The names of snapshots are in the images themselves, so every host sees them; M(gfapi.virt.glusterfs_domain_info)
    lists them. libvirt is told nothing of them.
  - A run that was killed is finished by the same task again, or taken back with O(state=absent). Until then other
    modules refuse an image that is between two states.
  - The disks only; neither the VM's memory nor its configuration.
author:
  - gfapi.virt contributors (@gfapi-virt)
extends_documentation_fragment:
  - gfapi.virt._attributes
  - gfapi.virt._attributes.actiongroup_both
  - gfapi.virt._libvirt
requirements:
  - qemu-img
  - lxml
  - libvirt-python
  - libvirt's reader of images on gluster (libvirt-daemon-driver-storage-gluster), to remove any but the newest snapshot
    of a running VM
options:
  name:
    description:
      - Name of the snapshot. Any text in one line; with O(description) and the name and description of the disk it must
        fit into 210 characters of JSON.
    type: str
    required: true
  vm:
    description:
      - The libvirt domain of this host whose disks are meant; all that it can write to, unless O(disks) names some.
      - All of them must be images of storage domains that are mounted on this host.
      - A definition of the same VM that is left on another host is not seen, and goes on naming the layer that was the
        leaf; define it there again.
    type: str
  disks:
    description:
      - Names, or image uuids, of disks. With O(vm) those of its disks that are meant, without it disks of
        O(storage_domain), and the VM is the one that uses them, if any.
    type: list
    elements: str
  storage_domain:
    description:
      - Storage domain of O(disks) by name, uuid or mount point. Needed without O(vm).
    type: str
  description:
    description:
      - What the snapshot is for. Written when it is taken.
    type: str
    default: ''
  state:
    description:
      - V(present) has it taken if there is none of that name. One that is there stays as it is.
      - V(absent) removes it, and keeps what the disk holds now. The layer above it is written into the snapshot's, live
        where the VM runs, and then deleted.
      - V(reverted) goes back to it, with the VM shut off. What was written since is lost, and so are the snapshots that
        were taken after it; the snapshot itself stays. Nothing is done where nothing was written since.
      - All are refused while anybody else has the image open, on whatever host, and while a VM of another host is noted
        as its user. V(absent) and V(reverted) are refused where a layer that would change is a template of other
        images.
    type: str
    choices: [present, absent, reverted]
    default: present
  force:
    description:
      - Go on although a VM of another host that does not run is noted as a user of a disk. Meant for a host that is
        gone for good. A disk that is open is refused all the same.
    type: bool
    default: false
  quiesce:
    description:
      - Whether the guest's file systems are frozen while a snapshot of a running VM is taken. V(auto) does so where the
        guest agent answers within 5 s. Without it the disks are as after a power cut.
      - libvirt opens each disk once meanwhile, which takes 10 s a disk on gluster, and the guest cannot write for so
        long. Without freezing the guest goes on.
      - A guest agent that has not frozen or thawed within 120 s fails the task; the guest is thawed then, and the
        snapshot taken back.
    type: str
    choices: [auto, 'true', 'false']
    default: auto
  mount_root:
    description:
      - Directory below which storage domains are mounted. An absolute path without blanks.
    type: path
    default: /rhev/data-center/mnt/glusterSD
seealso:
  - module: gfapi.virt.gfapi_disk
  - module: gfapi.virt.glusterfs_domain_info
  - module: gfapi.virt.libvirt_vm
"""

EXAMPLES = r"""
- name: There is a snapshot of all disks of VM db1, running or not
  gfapi.virt.gfapi_snapshot:
    vm: db1
    name: before-upgrade
    description: Release 41

- name: There is a snapshot of one of its disks
  gfapi.virt.gfapi_snapshot:
    vm: db1
    disks: [db1-data]
    name: before-import

- name: That one is not kept any longer, and what the disk holds now is
  gfapi.virt.gfapi_snapshot:
    vm: db1
    disks: [db1-data]
    name: before-import
    state: absent

- name: VM db1 is shut off
  gfapi.virt.libvirt_vm:
    name: db1
    state: shut_off
    shutdown_timeout: 30
    force_stop: true

- name: Its disks are as they were
  gfapi.virt.gfapi_snapshot:
    vm: db1
    name: before-upgrade
    state: reverted
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode, in order.
  returned: always
  type: list
  elements: str
  sample:
    - create snapshot before-upgrade of disk web-root
    - have domain web go on with the new layer of disk web-root live
snapshot:
  description: The snapshot after the run.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the snapshot.
      type: str
      returned: always
      sample: before-upgrade
    state:
      description: As in O(state).
      type: str
      returned: always
      sample: present
    vm:
      description: The VM that uses the disks; V(null) for none.
      type: str
      returned: always
      sample: web
    disks:
      description: The disks, with all of their snapshots.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: Name of the disk.
          type: str
          returned: always
          sample: web-root
        storage_domain:
          description: Name of its storage domain.
          type: str
          returned: always
          sample: vms
        image_uuid:
          description: UUID of the image.
          type: str
          returned: always
          sample: 6b1ccf2f-4e0c-5f28-9f36-0a3a6b3f8d11
        snapshots:
          description: Names of its snapshots, the oldest first.
          type: list
          elements: str
          returned: always
          sample: [before-upgrade]
        volumes:
          description: The chain of image volumes, the leaf first; before the run in check mode.
          type: list
          elements: dict
          returned: always
          contains:
            volume_uuid:
              description: UUID of the image volume, the file's name.
              type: str
              returned: always
              sample: 9d2070d1-8a4f-5a53-8f0e-34f1d4f0f9c2
            path:
              description: The file on the mount.
              type: str
              returned: always
              sample: "/rhev/data-center/mnt/glusterSD/gluster1:_vmstore/5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11/images/\
                6b1ccf2f-4e0c-5f28-9f36-0a3a6b3f8d11/9d2070d1-8a4f-5a53-8f0e-34f1d4f0f9c2"
            format:
              description: V(qcow2) or V(raw).
              type: str
              returned: always
              sample: qcow2
            snapshot:
              description: Name of the snapshot that it is; empty for none, as of the leaf.
              type: str
              returned: always
              sample: before-upgrade
            snapshot_description:
              description: What the snapshot is for.
              type: str
              returned: always
              sample: Release 41
"""

import functools
import posixpath
import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _block_jobs,
    _domain,
    _domain_record,
    _errors,
    _found_image,
    _image,
    _image_users,
    _module,
    _plan,
    _snapshot,
    _snapshot_files,
    _snapshots,
    _storage,
    _storage_domain,
    _turns,
)

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "vm": {"type": "str"},
    "disks": {"type": "list", "elements": "str"},
    "storage_domain": {"type": "str"},
    "description": {"type": "str", "default": ""},
    "state": {"type": "str", "choices": ["present", "absent", "reverted"], "default": "present"},
    "force": {"type": "bool", "default": False},
    "quiesce": {"type": "str", "choices": ["auto", "true", "false"], "default": "auto"},
    "mount_root": {"type": "path", "default": _storage_domain.MOUNT_ROOT},
    "uri": {"type": "str", "default": "qemu:///system"},
}

#: what a disk has before and after: the names of its snapshots, and whether its leaf holds anything
Shown = dict[str, dict[str, t.Any]]


@dataclass(frozen=True)
class Found:
    """A disk that is meant."""

    place: _found_image.MountedStorageDomain
    image: _image.Image


# --- which disks ----------------------------------------------------------------------------------------------------


def find_disks(
    params: _module.Params, storage: _storage.Storage, record: _domain_record.DomainRecord | None
) -> list[Found]:
    """The disks that are meant: those of the domain, or those that are named."""
    names = params["disks"]
    if names == []:
        raise ValueError(
            f"snapshot {params['name']!r} is of no disk, for disks is empty; name disks, or leave disks out"
        )
    if record is None:
        if not params["storage_domain"]:
            raise ValueError(f"disks {', '.join(names)}: name the storage domain that they are in (storage_domain)")
        return [find_disk(storage, params["storage_domain"], name) for name in names]
    found, others = disks_of(storage, record)
    if names is None:
        if others:
            raise ValueError(
                f"domain {record.name} has disks that are no images of a storage domain mounted here"
                f" ({', '.join(others)}), so a snapshot would not be of one moment; name those to take in disks"
            )
        if not found:
            raise ValueError(f"domain {record.name} has no disk in a storage domain; there is nothing to take")
        return found
    by_name = {key: disk for disk in found for key in (disk.image.uuid, disk.image.name)}
    missing = [name for name in names if name not in by_name]
    if missing:
        known = ", ".join(disk.image.name for disk in found) or "none"
        raise ValueError(f"domain {record.name} has no disk {', '.join(missing)} in a storage domain (it has {known})")
    return [by_name[name] for name in names]


def find_disk(storage: _storage.Storage, storage_domain: str, name: str) -> Found:
    place = storage.find(storage_domain)
    listing = storage.listing(place)
    image = listing.image(name)
    if image is None:
        fault = listing.faults.get(name)
        known = ", ".join(listing.names[:10]) or "no disk"
        raise _errors.StorageError(
            f"disk {name!r} in storage domain {place.name}: {fault}"
            if fault
            else f"storage domain {place.name} ({place.path}) has no disk {name!r}; it has {known}"
        )
    return Found(place, image)


def disks_of(storage: _storage.Storage, record: _domain_record.DomainRecord) -> tuple[list[Found], list[str]]:
    """The images that a domain may write to, and the targets of its disks that are none."""
    found: dict[str, Found] = {}
    others = []
    for configuration in (record.live, record.inactive):
        for disk in () if configuration is None else _domain.from_element(configuration).disks or ():
            place = _snapshot.image_of(disk.source)
            if disk.readonly:
                continue
            if place is None:
                others.append(disk.target)
            elif place[1] not in found:
                found[place[1]] = find_disk(storage, place[0], place[1])
    return list(found.values()), list(dict.fromkeys(others))


def find_domain(
    params: _module.Params, jobs: _block_jobs.BlockJobs, users: _image_users.ImageUsers, storage: _storage.Storage
) -> _domain_record.DomainRecord | None:
    """The domain that is named, else the one that uses the disks."""
    if params["vm"]:
        record = jobs.domain(params["vm"])
        if record is None:
            raise ValueError(f"there is no domain {params['vm']!r} on this host; name one that is there")
        return record
    disks = find_disks(params, storage, None)
    names = {user.name for disk in disks for user in users.of(disk.image.uuid, disk.image.leaf.uuid)}
    if len(names) > 1:
        raise _errors.StorageError(
            f"the disks are in use by several domains ({', '.join(sorted(names))}); name one with vm"
        )
    return jobs.domain(names.pop()) if names else None


def require_only_user(found: Found, record: _domain_record.DomainRecord | None, users: _image_users.ImageUsers) -> None:
    """Raises `StorageError` where another domain of this host has the image."""
    others = [
        user for user in users.of(found.image.uuid, found.image.leaf.uuid) if record is None or user.name != record.name
    ]
    if others:
        raise _errors.StorageError(
            f"disk {found.image.name!r} is in use by {', '.join(map(str, others))}; take it out of that domain first"
        )


def require_named(found: Found, record: _domain_record.DomainRecord | None, users: _image_users.ImageUsers) -> None:
    """Raises `StorageError` where the domain has the image under a name by which it goes on with no new layer."""
    if record is None or _snapshot.use_of(record.name, record.live, record.inactive, found.image.uuid):
        return
    here = [user for user in users.of(found.image.uuid, found.image.leaf.uuid) if user.name == record.name]
    if here:
        raise _errors.StorageError(
            f"disk {found.image.name!r} is in use by {here[0]} under another name, a link or the like, so the domain"
            " would not go on with its snapshot; have gfapi.virt.libvirt_vm name the disk (disks) first"
        )


def require_own(found: Found, state: _snapshot.State, storage: _storage.Storage, changed: t.Collection[str]) -> None:
    """Raises `StorageError` where a layer that would change, or go, is one of another image too."""
    for other in storage.listing(found.place).images.values():
        shared = {volume.uuid for volume in other.volumes} & set(changed)
        if other.uuid != found.image.uuid and shared:
            raise _errors.StorageError(
                f"disk {state.name!r}: its image volume {shared.pop()} is a layer of disk {other.name!r} too; delete"
                " that one first"
            )


def require_idle(record: _domain_record.DomainRecord | None) -> None:
    """Raises `StorageError` for a domain whose disks cannot be changed under it."""
    if record and record.saved is not None:
        raise _errors.StorageError(
            f"domain {record.name} has a managed save, which goes on with its disks as they are; start it first, or"
            f" drop the save (virsh managedsave-remove {record.name})"
        )
    if record and not record.persistent:
        raise _errors.StorageError(
            f"domain {record.name} is transient, so nothing keeps which layer is its disk; define it"
        )


# --- plans ----------------------------------------------------------------------------------------------------------


def plan_present(
    params: _module.Params,
    jobs: _block_jobs.BlockJobs,
    record: _domain_record.DomainRecord | None,
    disks: list[_snapshots.DiskLayers],
) -> _plan.Plan:
    """New leaves, one a disk, and the domain on all of them at one moment."""
    name, note = params["name"], params["description"]
    states = [disk.state() for disk in disks]
    steps = [_snapshot.creation_step(state, name) for state in states]
    missing = [disk for disk, step in zip(disks, steps) if step]
    behind = [disk for disk, state, step in zip(disks, states, steps) if not step and _snapshot.is_behind(state, name)]
    taken = [state for state, step in zip(states, steps) if not step]
    _snapshot.require_one_moment(states, taken, name)
    actions = []
    for disk, step in zip(disks, steps):
        if step is None:
            continue
        _snapshot.require_room(step.volume, name, note, disk.layers.place.version)
        disk.require_free("taken a snapshot of")
        remove = _plan.Action(f"take back snapshot {name} of disk {disk.name}", removal(disk, name))
        actions.append(
            _plan.Action(f"create snapshot {name} of disk {disk.name}", creation(disk, name, note), undo=remove)
        )
    if record and (missing or behind):
        switched = [disk for disk in disks if disk in missing or disk in behind]
        quiesce = is_quiesced(params["quiesce"], jobs, record)
        how = " live" if record.is_active else " at its next start"
        how += ", its file systems frozen meanwhile" if quiesce else ""
        words = f"have domain {record.name} go on with the new layer of disk {', '.join(d.name for d in switched)}{how}"
        actions.append(
            _plan.Action(words, lambda: _snapshots.switch(jobs, record.name, switched, name, quiesce=quiesce))
        )
    before = shown(states)
    after = {
        key: {"snapshots": list(dict.fromkeys((*value["snapshots"], name))), "holds_changes": False} if step else value
        for (key, value), step in zip(before.items(), steps)
    }
    return _plan.Plan(before, after, tuple(actions))


def clearing(storage: _storage.Storage, found: t.Sequence[Found]) -> list[_plan.Action]:
    """What takes away where killed runs built layers."""
    return [
        _plan.Action(
            f"remove what a killed run left of disk {one.image.name or one.image.uuid}",
            functools.partial(storage.clear, one.place, one.image.uuid),
        )
        for one in found
        if storage.is_left(one.place, one.image.uuid)
    ]


def creation(disk: _snapshots.DiskLayers, name: str, note: str) -> t.Callable[[], None]:
    def run() -> None:
        if not disk.create(name, note):
            # it is of that run's moment, and goes should that run take it back
            raise _errors.StorageError(
                f"disk {disk.name!r}: another run took snapshot {name} of it meanwhile; run again"
            )

    return run


def removal(disk: _snapshots.DiskLayers, name: str) -> t.Callable[[], None]:
    return lambda: disk.carry_out(lambda state: _snapshot.removal_step(state, name))


def revert(disk: _snapshots.DiskLayers, name: str) -> t.Callable[[], None]:
    return lambda: disk.carry_out(lambda state: _snapshot.revert_step(state, name))


def is_quiesced(word: str, jobs: _block_jobs.BlockJobs, record: _domain_record.DomainRecord) -> bool:
    """Whether to freeze; raises `ValueError` where it must be and nobody would do it."""
    if word == "false" or record.live is None:
        return False
    answers = _snapshot.has_agent(record.live) and jobs.agent_answers(record.name)
    if word == "true" and not answers:
        raise ValueError(
            f"domain {record.name}: quiesce is true, and no guest agent answers; start qemu-guest-agent in the guest,"
            " or leave quiesce out"
        )
    return answers


def plan_absent(
    params: _module.Params, storage: _storage.Storage, pairs: list[tuple[Found, _snapshots.DiskLayers]]
) -> _plan.Plan:
    """The layer above into the snapshot's, disk by disk."""
    name = params["name"]
    states = [disk.state() for _found, disk in pairs]
    actions = []
    after = shown(states)
    for (found, disk), state in zip(pairs, states):
        step = _snapshot.removal_step(state, name)
        if step is None:
            continue
        require_own(found, state, storage, _snapshot.changed_by_removal(state, name))
        _snapshot.require_removable(state, name, disk.layers.place.version)
        disk.require_free("committed")
        disk.require_live_commit(state, name)
        live = " live" if state.use and state.use.live is not None else ""
        actions.append(_plan.Action(f"remove snapshot {name} of disk {disk.name}{live}", removal(disk, name)))
        kept = [one for one in after[state.name]["snapshots"] if one != name]
        after[state.name] = {**after[state.name], "snapshots": kept}
    return _plan.Plan(shown(states), after, tuple(actions))


def plan_reverted(
    params: _module.Params,
    storage: _storage.Storage,
    record: _domain_record.DomainRecord | None,
    pairs: list[tuple[Found, _snapshots.DiskLayers]],
) -> _plan.Plan:
    """An empty leaf on the snapshot, and nothing else above it, disk by disk."""
    name = params["name"]
    states = [disk.state() for _found, disk in pairs]
    steps = [_snapshot.revert_step(state, name) for state in states]
    actions = []
    after = shown(states)
    for (found, disk), state, step in zip(pairs, states, steps):
        if step is None:
            continue
        if record and record.is_active:
            raise _errors.StorageError(
                f"domain {record.name} is {record.state}, and a disk goes back to a snapshot under nobody; shut it down"
                " first (gfapi.virt.libvirt_vm, state: shut_off)"
            )
        above = state.above(t.cast(t.Any, state.snapshot(name)).uuid)
        require_own(found, state, storage, {volume.uuid for volume in above})
        disk.require_free("reverted")
        lost = [volume.snapshot for volume in above if volume.snapshot]
        words = f", without snapshot {', '.join(lost)}, which was taken later" if lost else ""
        actions.append(_plan.Action(f"revert disk {disk.name} to snapshot {name}{words}", revert(disk, name)))
        kept = [one for one in after[state.name]["snapshots"] if one not in lost]
        after[state.name] = {"snapshots": kept, "holds_changes": False}
    return _plan.Plan(shown(states), after, tuple(actions))


def shown(states: t.Sequence[_snapshot.State]) -> Shown:
    """The disks for the diff."""
    return {
        state.name: {
            "snapshots": [volume.snapshot for volume in state.snapshots],
            "holds_changes": state.leaf.parent_uuid is not None and state.leaf.uuid not in state.empty,
        }
        for state in states
    }


def facts(
    params: _module.Params,
    record: _domain_record.DomainRecord | None,
    disks: list[_snapshots.DiskLayers],
    expected: Shown | None = None,
) -> dict[str, t.Any]:
    """What the module returns."""
    return {
        "name": params["name"],
        "state": params["state"],
        "vm": record.name if record else None,
        "disks": [disk_facts(disk, expected and expected[disk.name]) for disk in disks],
    }


def disk_facts(disk: _snapshots.DiskLayers, expected: dict[str, t.Any] | None) -> dict[str, t.Any]:
    state, place = disk.state(), disk.layers.place
    return {
        "name": disk.name,
        "storage_domain": place.name,
        "image_uuid": disk.image_uuid,
        "snapshots": expected["snapshots"] if expected else [volume.snapshot for volume in state.snapshots],
        "volumes": [
            {
                "volume_uuid": volume.uuid,
                "path": posixpath.join(place.path, _storage_domain.IMAGES, disk.image_uuid, volume.uuid),
                "format": volume.format,
                "snapshot": volume.snapshot,
                "snapshot_description": _snapshot.note_of(volume),
            }
            for volume in state.chain(state.leaf)
        ],
    }


def make_item(
    params: _module.Params, storage: _storage.Storage, jobs: _block_jobs.BlockJobs, users: _image_users.ImageUsers
) -> _plan.Item:
    """Parameters → the snapshot with its plan, everything looked up before anything is changed."""
    _storage_domain.require_name(params["name"], "snapshot")
    _storage_domain.require_printable(params["description"], f"the description of snapshot {params['name']!r}")
    record = find_domain(params, jobs, users, storage)
    named = params if params["vm"] else {**params, "vm": None}
    found = find_disks(named, storage, record if params["vm"] else None)
    doubled = sorted({one.image.name for one in found if found.count(one) > 1})
    if doubled:
        raise ValueError(f"disk {', '.join(doubled)} is listed twice in disks; list each once")
    require_idle(record)
    for one in found:
        require_only_user(one, record, users)
        require_named(one, record, users)
    domain = record.name if record else None
    disks = [
        _snapshots.DiskLayers(
            _snapshot_files.Layers(storage.qemu_img, one.place, one.image),
            jobs,
            domain,
            storage.other_uses(one.place),
            force=params["force"],
        )
        for one in found
    ]
    pairs = list(zip(found, disks))
    if params["state"] == "present":
        plan = plan_present(params, jobs, record, disks)
    elif params["state"] == "absent":
        plan = plan_absent(params, storage, pairs)
    else:
        plan = plan_reverted(params, storage, record, pairs)
    plan = _plan.Plan(plan.before, plan.after, (*clearing(storage, found), *plan.actions))
    return _plan.Item(
        params["name"], plan, facts(params, record, disks, plan.after), lambda: facts(params, record, disks)
    )


def on_host(params: _module.Params) -> _plan.Item:
    """The snapshot with its plan, on this host; whoever works on its domain is waited for."""
    jobs = _block_jobs.BlockJobs(params["uri"])

    def seen() -> tuple[_storage.Storage, _block_jobs.BlockJobs, _image_users.ImageUsers]:
        return _storage.Storage(mount_root=params["mount_root"]), jobs, _image_users.ImageUsers(params["uri"])

    storage, _jobs, users = seen()
    record = find_domain(params, jobs, users, storage)
    if record is None:
        return make_item(params, storage, jobs, users)
    return _turns.in_turn([_turns.domain_turn(record.name, params["uri"])], lambda: make_item(params, *seen()))


def main() -> None:
    _module.run(
        on_host,
        ARGUMENT_SPEC,
        one="snapshot",
        libraries=["lxml", "libvirt"],
        required_one_of=[("vm", "disks")],
    )


if __name__ == "__main__":
    main()
