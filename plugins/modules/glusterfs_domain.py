# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: glusterfs_domain
short_description: Keep a storage domain on a Gluster volume
version_added: 0.1.0
description:
  - Mounts a Gluster volume and lays out a storage domain on it, in the format of oVirt's GLUSTERFS_DOMAIN (version 5),
    with the lease files that sanlock and VDSM look for.
  - The storage domain appears as a whole or not at all. Hosts that run this at the same moment end up with the
    same one.
  - A mount that has lost its volume is replaced, and so is one whose client hangs. Where the volume does not answer
    either, that is reported within 10 seconds instead of waited for.
  - To see what is on a volume that is not mounted, the module mounts it below C(/run/gfapi-virt) for a moment, in check
    mode too.
  - Never formats over what is there. A storage domain of another name is refused by its name.
  - Runs on several hosts that change the same storage domain do it one after the other, each from what the one before
    left. So of two that name different data centers one is told that the other has it.
  - Whatever the O(state), what an interrupted run left on a volume that is looked at is removed. In maintenance that is
    only the rest of an interrupted O(state=absent).
author:
  - gfapi.virt contributors (@gfapi-virt)
extends_documentation_fragment:
  - gfapi.virt._attributes
  - gfapi.virt._attributes.actiongroup_gluster
requirements:
  - Gluster client (mount.glusterfs)
  - lxml
  - libvirt-python (for any other O(state) than V(active), on a host with libvirt)
options:
  name:
    description:
      - Name of the storage domain, any text in one line. That of a new one has at most 50 characters, no blank at its
        ends and no control characters. One that is there is named as it is.
    type: str
    required: true
  spec:
    description:
      - What to mount, as C(server:/volume) or C(server:/volume/directory). The directory must exist.
      - A directory of a volume with C(features.shard) on is refused, for its mount would cost the volume's other images
        their shards. The gluster command of this host asks the first server for that.
      - An IPv6 address stands in brackets. Several servers are separated by commas; the first is the volfile server.
      - The mount point has the server as it is spelled here, and no slash where none stands here, as oVirt's has.
    type: str
  volume:
    description:
      - The volume, or C(volume/directory), instead of O(spec). Needs O(servers).
    type: str
  servers:
    description:
      - Servers of the volume. The first is the volfile server, the others back it up. Added to those in O(spec).
      - With a single server, the others are asked of it.
    type: list
    elements: str
    default: []
  vfs_type:
    description:
      - Type of the file system, as oVirt calls it.
    type: str
    choices: [glusterfs]
    default: glusterfs
  version:
    description:
      - Version of the format. A new storage domain is made in version 5.
      - One of version 3 or 4 stays as it is and is used as it is, unless a later version is given here; then it is
        upgraded, as oVirt does it. A storage domain is never downgraded.
      - Refused while a data center has the storage domain. The upgrade is for its oVirt to do, or detach it first.
    type: int
    choices: [3, 4, 5]
    version_added: 0.2.0
  data_center:
    description:
      - The data center that has the storage domain (C(POOL_UUID)), by its uuid or by a name.
      - Without it, V(active) leaves that as it is. A new storage domain belongs to none, so an oVirt can import it.
      - A name stands for its UUID of version 5 in the namespace C(a1a96696-7c7b-523c-9978-d548b02309b8).
      - A storage domain that belongs to a data center is detached or deleted only where that one is named here.
    type: str
    version_added: 0.2.0
  mount_options:
    description:
      - Options for mount.glusterfs, as a list or separated by commas.
      - Where they are not given, a mount that is there may have any.
      - A mount whose client was started with other options is replaced, unless something holds it; then the module
        warns. Which servers it was told does not matter.
    type: list
    elements: str
  mount_root:
    description:
      - Directory below which the volume is mounted, under the name that oVirt gives it.
      - An absolute path without blanks. Links in it are followed, and the mount point is told without them.
    type: path
    default: /rhev/data-center/mnt/glusterSD
  boot:
    description:
      - Whether the host mounts the storage domain again when it starts, by a line in C(/etc/fstab).
      - Without it, the file is left as it is.
      - V(maintenance) and V(absent) take the line away in any case.
    type: bool
    version_added: 0.2.0
  owner_uid:
    description:
      - Owner of all files of the storage domain, and of the root of the mount. oVirt wants 36.
    type: int
    default: 36
  owner_gid:
    description:
      - Group of all files of the storage domain, and of the root of the mount. oVirt wants 36.
    type: int
    default: 36
  state:
    description:
      - V(active) has it made if there is none, and mounted. With O(data_center) it is attached to that one.
        One that is there is checked. Wrong owners and modes are mended, but for an image that somebody has open; files
        that it lacks or that are empty are made; what else is wrong with its own files is warned of.
      - V(maintenance) has it not mounted on this host. The volume need not be there. Other hosts are not touched.
      - V(detached) has it mounted, and in no data center.
      - V(absent) deletes the storage domain B(with all its images) and unmounts it. Refused without O(confirm), while a
        data center other than O(data_center) has it, and while a libvirt domain of this host uses an image in it.
        Images that a VM of another host or another program has open are refused by name too, for the bricks tell.
      - Nor is one deleted that another host has active, or has a VM with a disk in, as far as
        M(gfapi.virt.glusterfs_domain) and M(gfapi.virt.libvirt_vm) noted that in it. They are named.
    type: str
    choices: [active, maintenance, detached, absent]
    default: active
  force:
    description:
      - Have O(state=absent) disregard what other hosts noted of their use. Meant for a host that is gone for good.
        Images that are open, and what uses it on this host, are refused all the same.
    type: bool
    default: false
    version_added: 0.2.0
  create:
    description:
      - Whether V(active) makes a storage domain where there is none. With V(false) that is refused, for one that an
        oVirt or somebody else made.
    type: bool
    default: true
    version_added: 0.2.0
  running_vms:
    description:
      - What to do about libvirt domains of this host that run on the storage domain before O(state=maintenance), and
        before O(state=detached) where it still belongs to a data center.
      - V(refuse) fails and names them, V(shutdown) asks their guests to power off, V(destroy) ends them.
    type: str
    choices: [refuse, shutdown, destroy]
    default: refuse
    version_added: 0.2.0
  shutdown_timeout:
    description:
      - How many seconds the guests get to power off, with O(running_vms=shutdown). Then the module fails.
    type: int
    default: 180
    version_added: 0.2.0
  optimize:
    description:
      - Whether the volume first gets the options of the preset C(virt_store) of M(gfapi.virt.gluster_volume_options),
        for any O(state) but V(absent). It is not stopped for that; what has to wait for it is warned of.
    type: bool
    default: false
    version_added: 0.2.0
  start_volume:
    description:
      - Whether the volume is started before O(state=active) or O(state=detached). A stopped one cannot be mounted, so
        this is the order, whatever a wish of oVirt's says. With O(state=maintenance) it is started for other hosts.
      - What stands behind a stopped volume cannot be seen. The module then plans in one step what it does after that.
      - This and all other work on the volume is done by the glusterd of this host, so in check mode too it is refused
        where that does not have the volume in its pool. The message names hosts to delegate the task to.
    type: bool
    default: false
    version_added: 0.2.0
  stop_volume:
    description:
      - Whether the volume is stopped after O(state=maintenance). Refused while another mount, a virtual machine or
        another host uses it, so have the storage domain in maintenance on the other hosts first.
    type: bool
    default: false
    version_added: 0.2.0
  leaving_clients:
    description:
      - What other hosts have of the volume and will have given up when it is stopped, so that a check can be asked
        whether others are in the way before anything is changed. Each host's RV(storage_domain.clients), added up.
      - When the volume is really stopped, or the storage domain deleted, nobody may use it any more.
    type: dict
    suboptions:
      mounts:
        description:
          - Number of mounts.
        type: int
        default: 0
      domains:
        description:
          - Number of running domains.
        type: int
        default: 0
      hosts:
        description:
          - Hosts that have the storage domain active and will have left it, by RV(storage_domain.clients.host). Their
            VMs are for them to tell of.
        type: list
        elements: str
        default: []
    version_added: 0.2.0
  volume_policy:
    description:
      - What becomes of the volume after O(state=absent). With V(stop) and V(delete) it is stopped, with V(delete) it is
        gone then. Refused while anybody else uses it, and where O(spec) names a directory.
      - Refused too where the volume holds anything else than the storage domain, be that there or not.
      - A volume that is stopped already is only dealt with where a brick of this host shows that nothing is on it.
    type: str
    choices: [keep, stop, delete]
    default: keep
    version_added: 0.2.0
  purge_data:
    description:
      - Whether all data of the stopped volume is removed from the bricks of B(this host), for ever.
      - For a volume with bricks on several hosts, run O(volume_policy=stop) with this on each, then
        O(volume_policy=delete) on one. Bricks that do not carry the volume's mark are left.
    type: bool
    default: false
    version_added: 0.2.0
  lock_timeout:
    description:
      - How many seconds to try again while another transaction of gluster's holds the volume's lock.
    type: int
    default: 60
    version_added: 0.2.0
  confirm:
    description:
      - The name of the storage domain once more, to allow O(state=absent).
    type: str
  uri:
    description:
      - The libvirt that is asked for users of the images before any other state than V(active).
    type: str
    default: qemu:///system
seealso:
  - module: gfapi.virt.gluster_volume_options
  - module: gfapi.virt.gfapi_disk
  - name: Gluster client options
    description: Upstream manual of the mount and its options.
    link: https://docs.gluster.org/en/latest/Administrator-Guide/Setting-Up-Clients/
"""

EXAMPLES = r"""
- name: Storage domain vms is active
  gfapi.virt.glusterfs_domain:
    name: vms
    spec: gluster1:/vmstore

- name: Storage domain trial is active, with two servers to fall back on
  gfapi.virt.glusterfs_domain:
    name: trial
    volume: trial
    servers: [gluster1, gluster2, gluster3]
    mount_options: log-level=WARNING

- name: Storage domain old, made by an oVirt of long ago, is upgraded
  gfapi.virt.glusterfs_domain:
    name: old
    spec: gluster1:/old
    create: false
    version: 5

- name: Storage domain trial is active, also after a reboot, and belongs to data center Default
  gfapi.virt.glusterfs_domain:
    name: trial
    spec: gluster1:/trial
    data_center: Default
    boot: true

- name: Storage domain trial is not mounted on this host, whose guests power off for that
  gfapi.virt.glusterfs_domain:
    name: trial
    spec: gluster1:/trial
    state: maintenance
    running_vms: shutdown

# on a storage node, once no hypervisor mounts it
- name: Volume trial is stopped
  gfapi.virt.glusterfs_domain:
    name: trial
    spec: gluster1:/trial
    state: maintenance
    stop_volume: true

- name: Volume trial is started, and storage domain trial active
  gfapi.virt.glusterfs_domain:
    name: trial
    spec: gluster1:/trial
    start_volume: true

- name: Storage domain trial belongs to no data center, so that an oVirt can import it
  gfapi.virt.glusterfs_domain:
    name: trial
    spec: gluster1:/trial
    data_center: Default
    state: detached

- name: Storage domain trial is gone, with every image in it
  gfapi.virt.glusterfs_domain:
    name: trial
    spec: gluster1:/trial
    state: absent
    confirm: trial

# on a storage node
- name: Volume trial is gone too, and all data that it has on this host
  gfapi.virt.glusterfs_domain:
    name: trial
    spec: gluster1:/trial
    state: absent
    confirm: trial
    volume_policy: delete
    purge_data: true
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample:
    - mount gluster1:/vmstore on /rhev/data-center/mnt/glusterSD/gluster1:_vmstore
    - lay out storage domain vmstore on gluster1:/vmstore
storage_domain:
  description: The storage domain after the run.
  returned: success
  type: dict
  contains:
    uuid:
      description: UUID; none before it is made, when it is absent and in maintenance.
      type: str
      returned: success
      sample: 5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11
    name:
      description: Name.
      type: str
      returned: success
      sample: vmstore
    version:
      description: Version of the format, V(5) for a new one.
      type: int
      returned: success
      sample: 5
    data_center:
      description: UUID of the data center that has it; none where none has, and in maintenance.
      type: str
      returned: success
      sample: 81e926d2-c5d0-5ac7-ac31-98033880aaac
    spec:
      description: What is mounted, with its volfile server.
      type: str
      returned: success
      sample: gluster1:/vmstore
    servers:
      description: The servers asked for, the volfile server first.
      type: list
      elements: str
      returned: success
      sample: [gluster1, gluster2, gluster3]
    volume:
      description: Name of the Gluster volume.
      type: str
      returned: success
      sample: vmstore
    mount_point:
      description: Where it is mounted.
      type: str
      returned: success
      sample: /rhev/data-center/mnt/glusterSD/gluster1:_vmstore
    path:
      description: Directory of the storage domain; none where there is no uuid.
      type: str
      returned: success
      sample: /rhev/data-center/mnt/glusterSD/gluster1:_vmstore/5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11
    state:
      description: The state, as asked for.
      type: str
      returned: success
      sample: active
    clients:
      description: What this host had of the volume before the run, for O(leaving_clients) on a storage node.
      type: dict
      returned: success, with O(state=maintenance)
      contains:
        mounts:
          description: V(1) if the storage domain was mounted, else V(0).
          type: int
          returned: success
          sample: 1
        host:
          description: What this host is called in its note that it has the storage domain active.
          type: str
          returned: success
          sample: hv1.0f1d4c1ba9d34d4c8a2d4b0a7a0f5e11
        domains:
          description: Number of libvirt domains that ran on it.
          type: int
          returned: success
          sample: 2
    size_bytes:
      description: Size of the volume; none in maintenance and of one that is stopped.
      type: int
      returned: success
      sample: 1099511627776
    free_bytes:
      description: Free space on the volume; none in maintenance and of one that is stopped.
      type: int
      returned: success
      sample: 549755813888
"""

import typing as t
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _bricks,
    _errors,
    _files,
    _fstab,
    _gluster,
    _module,
    _mount_table,
    _mounter,
    _mounts,
    _option_values,
    _plan,
    _seen,
    _storage_domain,
    _storage_domain_files,
    _storage_domain_findings,
    _storage_domain_look,
    _storage_domain_mount,
    _storage_domain_read,
    _storage_domain_rights,
    _storage_domain_state,
    _storage_domain_upgrade,
    _storage_domain_users,
    _storage_domain_uses,
    _storage_domain_volume,
    _storage_domain_walk,
    _turns,
    _uri,
    _use_record,
    _volume,
)

#: of a list in a message
SHOWN: t.Final = 5
SHARD: t.Final = "features.shard"
#: with what the mount itself gets, this tells a hung one within 10 s
SECOND_LOOK_TIMEOUT_S: t.Final = 3
ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "spec": {"type": "str"},
    "volume": {"type": "str"},
    "servers": {"type": "list", "elements": "str", "default": []},
    "vfs_type": {"type": "str", "choices": ["glusterfs"], "default": "glusterfs"},
    "version": {"type": "int", "choices": [3, 4, 5]},
    "data_center": {"type": "str"},
    "mount_options": {"type": "list", "elements": "str"},
    "mount_root": {"type": "path", "default": _storage_domain.MOUNT_ROOT},
    "boot": {"type": "bool"},
    "owner_uid": {"type": "int", "default": _storage_domain.OWNER_ID},
    "owner_gid": {"type": "int", "default": _storage_domain.OWNER_ID},
    "state": {"type": "str", "choices": list(_storage_domain_state.STATES), "default": "active"},
    "create": {"type": "bool", "default": True},
    "running_vms": {"type": "str", "choices": ["refuse", "shutdown", "destroy"], "default": "refuse"},
    "shutdown_timeout": {"type": "int", "default": 180},
    "optimize": {"type": "bool", "default": False},
    "start_volume": {"type": "bool", "default": False},
    "stop_volume": {"type": "bool", "default": False},
    "leaving_clients": {
        "type": "dict",
        "options": {
            "mounts": {"type": "int", "default": 0},
            "domains": {"type": "int", "default": 0},
            "hosts": {"type": "list", "elements": "str", "default": []},
        },
    },
    "volume_policy": {"type": "str", "choices": ["keep", "stop", "delete"], "default": "keep"},
    "purge_data": {"type": "bool", "default": False},
    "lock_timeout": {"type": "int", "default": 60},
    "confirm": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "uri": {"type": "str", "default": "qemu:///system"},
}


def require_no_shards(gluster: _gluster.Gluster, spec: _uri.VolumeSpec) -> None:
    """Raises `ValueError` for a directory of a volume that shards, `GlusterError` where that cannot be told.

    The client of a directory makes a `.shard` there with the gfid that the volume's own has, and the bricks believe it.
    """
    if not spec.directory:
        return
    sharding = gluster.volume(spec.volume, remote_host=spec.servers[0]).options.get(SHARD, "off")
    if _option_values.is_true(sharding):
        raise ValueError(
            f"cannot mount directory {spec.directory!r} of volume {spec.volume}: {SHARD} is {sharding}, and images"
            f" elsewhere on it would lose their shards; give the storage domain a volume of its own, or turn {SHARD}"
            " off before any image is made"
        )


def read_current(mounts: _mounter.Mounter, desired: _storage_domain_state.Desired) -> _storage_domain_state.Current:
    """What is on the volume; where its mount does not show it, through a mount of our own that ends with the look."""
    condition, space = _storage_domain_mount.read_mount(mounts, desired)
    if space:
        return _read_at(desired.mount_point, space, condition, desired)
    limits = {"timeout_s": SECOND_LOOK_TIMEOUT_S} if condition is _storage_domain_state.Condition.HUNG else {}
    try:
        with mounts.visit(desired.spec, desired.options or (), **limits) as point:
            return _read_at(point, mounts.require_answer(point), condition, desired)
    except _errors.StorageError as exc:
        if condition is _storage_domain_state.Condition.HUNG:
            raise _errors.StorageError(
                f"mount {desired.mount_point} does not answer, nor does its volume: {exc}"
            ) from exc
        raise


def _read_at(
    point: str,
    space: _mount_table.Space,
    condition: _storage_domain_state.Condition,
    desired: _storage_domain_state.Desired,
) -> _storage_domain_state.Current:
    """What is there; looked at again where another host has removed it meanwhile."""
    before = set(_storage_domain_files.others(point, None))
    try:
        return _looked_at(point, space, condition, desired)
    except _errors.StorageError:
        if _files.lasting(lambda: before.issubset(_storage_domain_files.others(point, None))):
            raise
    return _read_at(point, space, condition, desired)


def _looked_at(
    point: str,
    space: _mount_table.Space,
    condition: _storage_domain_state.Condition,
    desired: _storage_domain_state.Desired,
) -> _storage_domain_state.Current:
    found = _storage_domain_read.read(point)
    wrong, faults = _checked(point, found, space, desired.owner) if found and desired.state == "active" else ((), ())
    ends = desired.state == "absent"
    uses = _storage_domain_uses.read_others(point) if ends else _use_record.OtherUses()
    return _storage_domain_state.Current(
        mount=condition,
        storage_domain=found,
        owner=_storage_domain_files.read_owner(point),
        space=space,
        leftovers=tuple(_storage_domain_files.leftovers(point)),
        abandoned=tuple(_storage_domain_files.abandoned(point)),
        missing=_storage_domain_upgrade.missing(point, found) if found else (),
        is_unfinished=_storage_domain_upgrade.is_unfinished(point),
        opened=_opened(point, found, uses) if found and ends else (),
        uses=uses,
        is_noted=_storage_domain_uses.is_noted(point),
        wrong=wrong,
        faults=faults,
        others=_storage_domain_files.others(point, found.uuid if found else None) if ends else (),
    )


def _checked(
    point: str, found: _storage_domain.StorageDomain, space: _mount_table.Space, owner: tuple[int, int]
) -> tuple[tuple[_storage_domain_rights.Wrong, ...], tuple[str, ...]]:
    """What is to be mended, and what is wrong and is not: what those files hold may be somebody's."""
    wrong, faults = _storage_domain_walk.look(point, found.uuid, owner)
    with (
        _files.explained(f"read what is on {point}"),
        _files.Directory.open(point) as root,
        root.child(found.uuid) as top,
    ):
        files, least_bytes = _storage_domain_look.look_at_folder(top)
    seen = _seen.Seen(space, (found.uuid,), files=files, least_bytes=least_bytes)
    findings = [
        *_storage_domain_findings.file_problems(seen, found),
        *_storage_domain_findings.block_size_problems(seen, found),
    ]
    words = (
        f"{finding.message}; {finding.mend}" for finding in findings if finding.code != _storage_domain_findings.MISSING
    )
    return wrong, (*faults, *words)


def _opened(point: str, found: _storage_domain.StorageDomain, uses: _use_record.OtherUses) -> tuple[str, ...]:
    # not at the top: only a deletion asks
    from ansible_collections.gfapi.virt.plugins.module_utils import _image_files, _qemu_img

    path = f"{found.uuid}/{_storage_domain.IMAGES}"
    with (
        _files.explained(f"look at images of {found.name}"),
        _files.Directory.open(point) as root,
        root.below(path) as images,
    ):
        opened = _files.lasting(lambda: _image_files.ImageFiles(_qemu_img.QemuImg()).open_images(images))
        return tuple(_storage_domain_uses.opened_words(opened, uses))


def plan_upgrade(current: _storage_domain_state.Current, desired: _storage_domain_state.Desired) -> list[_plan.Action]:
    """A later version, where one is asked for, and what an earlier run or an earlier release left out."""
    found = current.storage_domain
    if found is None:
        return []
    version = _storage_domain_state.version_after(found, desired)
    words = []
    if version > found.version:
        words.append(f"upgrade storage domain {found.name} from version {found.version} to {version}")
    elif current.is_unfinished and version == _storage_domain.VERSION:
        words.append(f"finish the upgrade of storage domain {found.name} to version {version}")
    if current.missing:
        words.append(f"add what storage domain {found.name} lacks: {', '.join(current.missing)}")
    if not words:
        return []
    return [
        _plan.Action(
            "; ".join(words), lambda: _storage_domain_upgrade.bring_up(desired.mount_point, desired.name, version)
        )
    ]


def change_action(
    desired: _storage_domain_state.Desired,
    words: str,
    changed_from: t.Callable[[_storage_domain.StorageDomain], _storage_domain.StorageDomain],
) -> _plan.Action:
    """A change of the metadata alone."""
    return _plan.Action(words, lambda: _storage_domain_files.change(desired.mount_point, desired.name, changed_from))


def attach_actions(
    current: _storage_domain_state.Current, desired: _storage_domain_state.Desired
) -> list[_plan.Action]:
    """POOL_UUID, where a data center is named; raises `StorageError` while another has the storage domain."""
    data_center, found = desired.data_center, current.storage_domain
    if data_center is None or (found and _storage_domain_state.attached(found, data_center) == found):
        return []
    words = f"attach storage domain {desired.name} to data center {data_center}"
    return [change_action(desired, words, lambda found: _storage_domain_state.attached(found, data_center))]


def layout_actions(
    current: _storage_domain_state.Current, desired: _storage_domain_state.Desired
) -> list[_plan.Action]:
    """The owner of the root, and the storage domain where there is none."""
    point, spec, (uid, gid) = desired.mount_point, desired.spec, desired.owner
    actions = []
    if current.owner != desired.owner:
        words = f"set the owner of {spec} to {uid}:{gid}"
        actions.append(_plan.Action(words, lambda: _storage_domain_files.own(point, desired.owner)))
    if current.storage_domain is None:
        words = f"lay out storage domain {desired.name} on {spec}"
        actions.append(
            _plan.Action(words, lambda: _storage_domain_files.lay_out(point, desired.name, spec, desired.owner))
        )
    return actions


def noted_actions(
    current: _storage_domain_state.Current, desired: _storage_domain_state.Desired, *actions: _plan.Action
) -> t.Sequence[_plan.Action]:
    """The actions, with the note that this host has the storage domain active where that is missing."""
    return actions if current.is_noted else _storage_domain_uses.noted(actions, desired.name, desired.mount_point)


def rights_actions(
    current: _storage_domain_state.Current, desired: _storage_domain_state.Desired
) -> list[_plan.Action]:
    """Owners and modes in the storage domain."""
    found, wrong = current.storage_domain, current.wrong
    if found is None or not wrong:
        return []
    uid, gid = desired.owner
    named = ", ".join(path or found.uuid for path, _mode in wrong[:SHOWN])
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    words = f"set owner {uid}:{gid} and oVirt's modes in storage domain {found.name}: {named}{more}"
    point, uuid = desired.mount_point, found.uuid
    return [_plan.Action(words, lambda: _storage_domain_walk.mend(point, uuid, desired.owner, wrong))]


def sweep_actions(current: _storage_domain_state.Current, desired: _storage_domain_state.Desired) -> list[_plan.Action]:
    """What killed runs left beside a storage domain; where none is, laying it out takes away where they built."""
    return _sweep(desired) if current.leftovers or (current.storage_domain and current.abandoned) else []


def _sweep(desired: _storage_domain_state.Desired) -> list[_plan.Action]:
    words = f"delete what an interrupted run left on {desired.spec}"
    return [_plan.Action(words, lambda: _storage_domain_files.sweep(desired.mount_point))]


def starting_item(
    host: _storage_domain_mount.Host, desired: _storage_domain_state.Desired, volume: _volume.Volume
) -> _plan.Item:
    """A volume that has to be started before anybody can see what is on it."""

    if volume.was_never_started:
        _storage_domain_state.require_ours(None, desired)

    def then() -> _plan.Item:
        return ITEMS[desired.state](host, desired, replace(volume, status="Started"))

    def go_on() -> None:
        host.mounts.await_return(desired.mount_point)
        for action in then().plan.actions:
            action.run()

    rest = _plan.Action(f"make storage domain {desired.name} on {desired.spec} {desired.state}", go_on)
    before = {"state": "absent" if volume.was_never_started else "unknown", "volume": volume.status}
    setting, warnings = _storage_domain_volume.optimize_actions(host, desired, volume)
    actions = (*setting, rest)
    plan = _plan.Plan(before, {"state": desired.state, "volume": "Started"}, actions)
    return _plan.Item(desired.name, plan, facts(None, desired, None), lambda: then().predicted, tuple(warnings))


def active_item(
    host: _storage_domain_mount.Host, desired: _storage_domain_state.Desired, volume: _volume.Volume | None
) -> _plan.Item:
    """Mount, own, lay out, upgrade, attach: what is missing of it."""
    if volume and desired.start_volume and not volume.is_started:
        return starting_item(host, desired, volume)
    current = read_current(host.mounts, desired)
    _storage_domain_state.require_ours(current.storage_domain, desired)
    setting, poor = _storage_domain_volume.optimize_actions(host, desired)
    mounting, warnings = _storage_domain_mount.mount_actions(host, current, desired)
    warnings.extend((*poor, *current.faults))
    actions = (
        *setting,
        *noted_actions(
            current,
            desired,
            *mounting,
            *layout_actions(current, desired),
            *rights_actions(current, desired),
            *plan_upgrade(current, desired),
            *attach_actions(current, desired),
            *sweep_actions(current, desired),
        ),
        *_storage_domain_mount.boot_actions(host, desired, boot=desired.boot),
    )
    version = _storage_domain_state.version_after(current.storage_domain, desired)
    pools = current.storage_domain.pools if current.storage_domain else ()
    after = {
        **_shown(current, desired),
        "state": "active",
        "mounted": True,
        "owner": f"{desired.owner[0]}:{desired.owner[1]}",
        "name": desired.name,
        "version": version,
        "complete": True,
        "data_center": desired.data_center or _joined(pools),
    }
    found = current.storage_domain and replace(current.storage_domain, version=version)
    plan = _plan.Plan(_shown(current, desired), after, actions)
    return mounted_item(host, plan, current, found, desired, warnings)


def detached_item(
    host: _storage_domain_mount.Host, desired: _storage_domain_state.Desired, volume: _volume.Volume | None
) -> _plan.Item:
    """Mount, and take it from its data center."""
    if volume and desired.start_volume and not volume.is_started:
        return starting_item(host, desired, volume)
    current = read_current(host.mounts, desired)
    _storage_domain_state.require_ours(current.storage_domain, desired)
    found = t.cast(_storage_domain.StorageDomain, current.storage_domain)
    _storage_domain_state.require_free(found, desired.data_center)
    mounting, warnings = _storage_domain_mount.mount_actions(host, current, desired)
    freeing = []
    if not current.is_detached():
        freeing = _storage_domain_mount.stop_actions(host, desired, _storage_domain_mount.running_vms(host, desired))
        words = f"detach storage domain {found.name} from {_joined(found.pools) or 'no data center'}"
        freeing.append(change_action(desired, words, lambda found: _detached(found, desired)))
    setting, poor = _storage_domain_volume.optimize_actions(host, desired)
    warnings.extend(poor)
    sweeping = sweep_actions(current, desired)
    actions = (
        *setting,
        *noted_actions(current, desired, *mounting, *freeing, *sweeping),
        *_storage_domain_mount.boot_actions(host, desired, boot=desired.boot),
    )
    before = _shown(current, desired)
    plan = _plan.Plan(before, {**before, "state": "detached", "mounted": True, "data_center": None}, actions)
    return mounted_item(host, plan, current, _storage_domain_state.detached(found), desired, warnings)


def _detached(
    found: _storage_domain.StorageDomain, desired: _storage_domain_state.Desired
) -> _storage_domain.StorageDomain:
    _storage_domain_state.require_free(found, desired.data_center)
    return _storage_domain_state.detached(found)


def mounted_item(
    host: _storage_domain_mount.Host,
    plan: _plan.Plan,
    current: _storage_domain_state.Current,
    found: _storage_domain.StorageDomain | None,
    desired: _storage_domain_state.Desired,
    warnings: t.Sequence[str],
) -> _plan.Item:
    """A storage domain that is mounted in the end."""

    def read() -> dict[str, t.Any]:
        space = host.mounts.require_answer(desired.mount_point)
        found = _storage_domain_read.require_named(desired.mount_point, desired.name)
        return facts(found, desired, space, data_center=_joined(found.pools))

    predicted = facts(found, desired, current.space, data_center=plan.after["data_center"])
    return _plan.Item(desired.name, plan, predicted, read, tuple(warnings))


def maintenance_item(
    host: _storage_domain_mount.Host, desired: _storage_domain_state.Desired, volume: _volume.Volume | None
) -> _plan.Item:
    """No mount, now and at boot, and no domain that runs on it. A volume that is not mounted is not looked at."""
    condition, space = _storage_domain_mount.read_mount(host.mounts, desired)
    sweeping = []
    if space:
        _storage_domain_state.require_ours(_storage_domain_read.read(desired.mount_point), desired)
        sweeping = _sweep(desired) if _storage_domain_files.leftovers(desired.mount_point) else []
    names = _storage_domain_mount.running_vms(host, desired)
    stopping = _storage_domain_mount.stop_actions(host, desired, names)
    unmounting = _storage_domain_mount.unmount_actions(host, condition, desired.mount_point, going=bool(names))
    if space:
        unmounting = _storage_domain_uses.forgotten(unmounting, desired.mount_point, host.users)
    starting = volume if volume and desired.start_volume and not volume.is_started else None
    setting, warnings = _storage_domain_volume.optimize_actions(host, desired, starting)
    ending = _storage_domain_volume.end_actions(host, desired, volume, condition, names)
    actions = (
        *stopping,
        *sweeping,
        *unmounting,
        *_storage_domain_mount.boot_actions(host, desired, boot=False),
        *setting,
        *ending,
    )
    mounted = condition is not _storage_domain_state.Condition.NONE
    before = {"state": "active" if mounted or names else "maintenance", "mounted": mounted, "running": names}
    after = {"state": "maintenance", "mounted": False, "running": []}
    if volume:
        status = "Started" if desired.start_volume else "Stopped" if desired.stop_volume else volume.status
        before, after = {**before, "volume": volume.status}, {**after, "volume": status}
    # the client of a dead mount is gone
    mounts = int(condition in (_storage_domain_state.Condition.WORKS, _storage_domain_state.Condition.HUNG))
    clients = {"mounts": mounts, "domains": len(names), "host": _storage_domain_uses.name_of_notes()}
    result = {**facts(None, desired, None), "clients": clients}
    return _plan.Item(desired.name, _plan.Plan(before, after, actions), result, warnings=tuple(warnings))


def gone_item(
    host: _storage_domain_mount.Host, desired: _storage_domain_state.Desired, volume: _volume.Volume | None
) -> _plan.Item:
    """A storage domain whose volume is stopped or deleted already, by an earlier run or somebody else."""
    condition, _space = _storage_domain_mount.read_mount(host.mounts, desired)
    if volume:
        _storage_domain_volume.require_no_storage_domain(host, desired, volume)
    actions = (
        *_storage_domain_mount.unmount_actions(host, condition, desired.mount_point),
        *_storage_domain_mount.boot_actions(host, desired, boot=False),
        *_storage_domain_volume.end_actions(host, desired, volume, condition),
    )
    before = {"state": "absent", "volume": volume.status if volume else None}
    after = {**before, "volume": None if desired.volume_policy == "delete" else before["volume"]}
    return _plan.Item(desired.name, _plan.Plan(before, after, actions), facts(None, desired, None))


def absent_item(
    host: _storage_domain_mount.Host, desired: _storage_domain_state.Desired, volume: _volume.Volume | None
) -> _plan.Item:
    """Delete what is there and unmount."""
    if desired.is_for_volume and not (volume and volume.is_started):
        return gone_item(host, desired, volume)
    current = read_current(host.mounts, desired)
    _storage_domain_state.require_ours(current.storage_domain, desired)
    found = current.storage_domain
    actions = []
    if found:
        require_unused(host, found, desired, current)
    if desired.is_for_volume:
        _storage_domain_volume.require_nothing_else(host, desired, current.others)
    if found or current.leftovers or current.abandoned:
        words = f"delete storage domain {desired.name} with all its images from {desired.spec}"
        if not found:
            words = f"delete what an interrupted run left on {desired.spec}"
        actions.append(_plan.Action(words, lambda: remove(host.mounts, current, desired)))
    actions.extend(_storage_domain_mount.unmount_actions(host, current.mount, desired.mount_point))
    actions.extend(_storage_domain_mount.boot_actions(host, desired, boot=False))
    actions.extend(_storage_domain_volume.end_actions(host, desired, volume, current.mount))
    after = {"state": "absent", "mounted": False, "name": None, "version": None, "complete": False, "data_center": None}
    before = _shown(current, desired)
    if volume:
        before["volume"] = volume.status
        after["volume"] = None if desired.volume_policy == "delete" else "Stopped"
    space = None if volume else current.space
    return _plan.Item(
        desired.name, _plan.Plan(before, {**before, **after}, tuple(actions)), facts(None, desired, space)
    )


def require_unused(
    host: _storage_domain_mount.Host,
    found: _storage_domain.StorageDomain,
    desired: _storage_domain_state.Desired,
    current: _storage_domain_state.Current,
) -> None:
    """Raises `StorageError` while another data center has the storage domain, or something of any host uses it."""
    _storage_domain_state.require_free(found, desired.data_center)
    using = host.users.in_storage_domain(found.uuid)
    if using:
        raise _errors.StorageError(
            f"storage domain {found.name} is in use by {', '.join(map(str, using))}; undefine them first, or take the"
            " disks out"
        )
    point = desired.mount_point
    for path in (point, *_storage_domain_mount.shown_at(host.mounts, desired.spec, point)):
        holders = host.mounts.read_holders(path)
        if holders:
            raise _errors.StorageError(
                f"storage domain {found.name} is in use by {', '.join(holders)} on {path}; end them first"
            )
    require_closed(found, current.opened)
    if not desired.force:
        _storage_domain_uses.require_no_others(found.name, current.uses.staying(desired.leaving_hosts))


def require_closed(found: _storage_domain.StorageDomain, opened: t.Sequence[str]) -> None:
    """Raises `StorageError` naming images that somebody has open."""
    if opened:
        raise _errors.StorageError(
            f"storage domain {found.name} is in use: its bricks have images open, for VMs of other hosts or other"
            f" programs; stop those first: {', '.join(opened[:10])}"
        )


def remove(
    mounts: _mounter.Mounter, current: _storage_domain_state.Current, desired: _storage_domain_state.Desired
) -> None:
    """Delete the storage domain, through a mount of our own where it is not mounted."""
    uuid = current.storage_domain.uuid if current.storage_domain else None

    def remove_from(point: str) -> None:
        def require(found: _storage_domain.StorageDomain) -> None:
            _storage_domain_state.require_free(found, desired.data_center)
            uses = _storage_domain_uses.read_others(point)
            require_closed(found, _opened(point, found, uses))
            if not desired.force:
                _storage_domain_uses.require_no_others(found.name, uses)

        _storage_domain_files.remove(point, uuid, require)

    if current.is_mounted:
        remove_from(desired.mount_point)
        return
    with mounts.visit(desired.spec, desired.options or ()) as point:
        remove_from(point)


def _shown(current: _storage_domain_state.Current, desired: _storage_domain_state.Desired) -> dict[str, t.Any]:
    found = current.storage_domain
    state = "absent" if found is None else "active" if current.is_mounted else "maintenance"
    if state == "active" and desired.state == "detached" and current.is_detached():
        state = "detached"
    return {
        "state": state,
        "mounted": current.is_mounted,
        "owner": f"{current.owner[0]}:{current.owner[1]}",
        "name": found.name if found else None,
        "version": found.version if found else None,
        "complete": found is not None and not current.missing and not current.wrong,
        "data_center": _joined(found.pools) if found else None,
    }


def _joined(pools: t.Sequence[str]) -> str | None:
    return ",".join(pools) or None


def facts(
    found: _storage_domain.StorageDomain | None,
    desired: _storage_domain_state.Desired,
    space: _mount_table.Space | None,
    *,
    data_center: str | None = None,
) -> dict[str, t.Any]:
    """What the module returns about a storage domain."""
    return {
        "uuid": found.uuid if found else None,
        "name": desired.name,
        "version": found.version if found else _storage_domain.VERSION,
        "data_center": data_center,
        "spec": str(desired.spec),
        "servers": list(desired.spec.servers),
        "volume": desired.spec.volume,
        "mount_point": desired.mount_point,
        "path": f"{desired.mount_point}/{found.uuid}" if found else None,
        "state": desired.state,
        "size_bytes": space.size_bytes if space else None,
        "free_bytes": space.free_bytes if space else None,
    }


ITEMS: t.Final[dict[str, t.Callable[..., _plan.Item]]] = {
    "active": active_item,
    "maintenance": maintenance_item,
    "detached": detached_item,
    "absent": absent_item,
}


def on_host(params: _module.Params) -> _plan.Item:
    """The storage domain with its plan, on this host."""
    point = _storage_domain.mount_point(
        _mounts.real_mount_root(params["mount_root"]), _storage_domain_state.spec_from(params)
    )
    return _turns.in_turn([f"mount point {point}"], lambda: make_item(params, host_of(params)))


def make_item(params: _module.Params, host: _storage_domain_mount.Host) -> _plan.Item:
    """Parameters → the storage domain with its plan."""
    desired = _storage_domain_state.desired_from(
        {**params, "mount_root": _mounts.real_mount_root(params["mount_root"])}
    )
    _mounts.require_no_link(desired.mount_point)
    volume = _storage_domain_volume.volume_here(host, desired) if desired.is_for_volume else None
    if desired.state != "maintenance":
        require_no_shards(host.gluster, desired.spec)
    return ITEMS[desired.state](host, desired, volume)


def host_of(params: _module.Params) -> _storage_domain_mount.Host:
    gluster = _gluster.Gluster(lock_timeout_s=params["lock_timeout"])
    return _storage_domain_mount.Host(
        _mounter.Mounter(),
        _fstab.Fstab(),
        gluster,
        _storage_domain_users.StorageDomainUsers(params["uri"]),
        _bricks.VolumeHere(),
    )


def main() -> None:
    _module.run(
        on_host,
        ARGUMENT_SPEC,
        one="storage_domain",
        libraries=["lxml"],
        mutually_exclusive=[("spec", "volume")],
        required_one_of=[("spec", "volume")],
    )


if __name__ == "__main__":
    main()
