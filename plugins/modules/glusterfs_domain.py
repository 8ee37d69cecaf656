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
  - A mount that has lost its volume is replaced; one that hangs is reported within seconds instead of waited for.
  - To see what is on a volume that is not mounted, the module mounts it below C(/run/gfapi-virt) for a moment, in check
    mode too.
  - Never formats over what is there. A storage domain of another name is refused by its name.
author:
  - gfapi.virt contributors (@gfapi-virt)
extends_documentation_fragment:
  - gfapi.virt._attributes
  - gfapi.virt._attributes.actiongroup_gluster
requirements:
  - Gluster client (mount.glusterfs)
  - lxml
  - libvirt-python (for O(state=absent) on a host with libvirt)
options:
  name:
    description:
      - Name of the storage domain, at most 50 characters. Any text in one line.
    type: str
    required: true
  spec:
    description:
      - What to mount, as C(server:/volume) or C(server:/volume/directory). The directory must exist.
      - A directory of a volume with C(features.shard) on is refused, for its mount would cost the volume's other images
        their shards. The gluster command of this host asks the first server for that.
      - An IPv6 address stands in brackets. Several servers are separated by commas; the first is the volfile server.
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
  mount_options:
    description:
      - Options for mount.glusterfs, as a list or separated by commas. They matter when the volume is being mounted; a
        mount that is there is not changed.
    type: list
    elements: str
    default: []
  mount_root:
    description:
      - Directory below which the volume is mounted, under the name that oVirt gives it.
      - An absolute path without blanks.
    type: path
    default: /rhev/data-center/mnt/glusterSD
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
      - V(active) has it made if there is none, and mounted.
      - V(absent) deletes the storage domain B(with all its images) and unmounts it. Refused without O(confirm), while a
        data center has it, and while a libvirt domain of this host uses an image in it.
    type: str
    choices: [active, absent]
    default: active
  confirm:
    description:
      - The name of the storage domain once more, to allow O(state=absent).
    type: str
  uri:
    description:
      - The libvirt that is asked for users of the images before O(state=absent).
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
    version: 5

- name: Storage domain trial is gone, with every image in it
  gfapi.virt.glusterfs_domain:
    name: trial
    spec: gluster1:/trial
    state: absent
    confirm: trial
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
      description: UUID; none before it is made and when it is absent.
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
      description: Directory of the storage domain; none before it is made and when it is absent.
      type: str
      returned: success
      sample: /rhev/data-center/mnt/glusterSD/gluster1:_vmstore/5f1e2c56-58c5-4f0d-a4a3-3f0a1e7d2b11
    state:
      description: V(active) or V(absent).
      type: str
      returned: success
      sample: active
    size_bytes:
      description: Size of the volume.
      type: int
      returned: success
      sample: 1099511627776
    free_bytes:
      description: Free space on the volume.
      type: int
      returned: success
      sample: 549755813888
"""

import posixpath
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_files as storage_domain_files
from ansible_collections.gfapi.virt.plugins.module_utils import _storage_domain_upgrade as storage_domain_upgrade
from ansible_collections.gfapi.virt.plugins.module_utils._errors import GlusterError, StorageError
from ansible_collections.gfapi.virt.plugins.module_utils._gluster import Gluster
from ansible_collections.gfapi.virt.plugins.module_utils._image_users import ImageUsers
from ansible_collections.gfapi.virt.plugins.module_utils._module import Params, run
from ansible_collections.gfapi.virt.plugins.module_utils._mount_table import Space
from ansible_collections.gfapi.virt.plugins.module_utils._mounter import Mounter
from ansible_collections.gfapi.virt.plugins.module_utils._option_values import is_true
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Action, Item, Plan
from ansible_collections.gfapi.virt.plugins.module_utils._storage_domain import (
    MOUNT_ROOT,
    OWNER_ID,
    VERSION,
    StorageDomain,
    mount_point,
)
from ansible_collections.gfapi.virt.plugins.module_utils._uri import VolumeSpec

SHARD: t.Final = "features.shard"
ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "spec": {"type": "str"},
    "volume": {"type": "str"},
    "servers": {"type": "list", "elements": "str", "default": []},
    "vfs_type": {"type": "str", "choices": ["glusterfs"], "default": "glusterfs"},
    "version": {"type": "int", "choices": [3, 4, 5]},
    "mount_options": {"type": "list", "elements": "str", "default": []},
    "mount_root": {"type": "path", "default": MOUNT_ROOT},
    "owner_uid": {"type": "int", "default": OWNER_ID},
    "owner_gid": {"type": "int", "default": OWNER_ID},
    "state": {"type": "str", "choices": ["active", "absent"], "default": "active"},
    "confirm": {"type": "str"},
    "uri": {"type": "str", "default": "qemu:///system"},
}


@dataclass(frozen=True)
class Desired:
    """What is asked for, in normal form."""

    name: str
    spec: VolumeSpec
    mount_point: str
    options: tuple[str, ...]
    owner: tuple[int, int]
    version: int | None


@dataclass(frozen=True)
class Current:
    """What is there. `is_mounted` is false for a mount that `is_dead` too, for it shows nothing."""

    is_mounted: bool
    is_dead: bool
    storage_domain: StorageDomain | None
    owner: tuple[int, int]
    space: Space
    leftovers: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    is_unfinished: bool = False


def spec_from(params: Params) -> VolumeSpec:
    """The spec with all servers; raises `ValueError` where parts are missing or malformed."""
    if params["spec"] is not None:
        spec = VolumeSpec.parse(params["spec"])
        return replace(spec, servers=(*spec.servers, *params["servers"]))
    if not params["servers"]:
        raise ValueError(f"volume {params['volume']!r}: name a server of it (servers)")
    volume, _slash, directory = params["volume"].strip("/").partition("/")
    return VolumeSpec(tuple(params["servers"]), volume, directory)


def desired_from(params: Params) -> Desired:
    """Parameters in normal form."""
    spec = spec_from(params)
    # raises for a name that does not fit, before anything is looked at
    StorageDomain.new("00000000-0000-4000-8000-000000000000", params["name"], spec)
    if params["state"] == "absent" and params["confirm"] != params["name"]:
        given = f"is {params['confirm']!r}" if params["confirm"] else "is missing"
        raise ValueError(
            f"storage domain {params['name']} would be deleted with all its images; confirm {given};"
            " give its name there"
        )
    return Desired(
        params["name"],
        spec,
        mount_point(params["mount_root"], spec),
        tuple(params["mount_options"]),
        (params["owner_uid"], params["owner_gid"]),
        params["version"],
    )


def require_no_shards(gluster: Gluster, spec: VolumeSpec) -> None:
    """Raises `ValueError` for a directory of a volume that shards, `GlusterError` where that cannot be told.

    The client of a directory makes a `.shard` there with the gfid that the volume's own has, and the bricks believe it.
    """
    if not spec.directory:
        return
    sharding = gluster.volume(spec.volume, remote_host=spec.servers[0]).options.get(SHARD, "off")
    if is_true(sharding):
        raise ValueError(
            f"cannot mount directory {spec.directory!r} of volume {spec.volume}: {SHARD} is {sharding}, and images"
            f" elsewhere on it would lose their shards; give the storage domain a volume of its own, or turn {SHARD}"
            " off before any image is made"
        )


def read_current(mounts: Mounter, desired: Desired) -> Current:
    """What is on the volume; where it is not mounted, through a mount of our own that ends with the look."""
    mount = mounts.at(desired.mount_point)
    if mount and mount.spec.location != desired.spec.location:
        raise StorageError(f"cannot use {desired.mount_point}: {mount.spec} is mounted there, not {desired.spec}")
    space = mounts.read_space(desired.mount_point) if mount else None
    if space:
        return _read_at(desired.mount_point, space, is_mounted=True)
    with mounts.visit(desired.spec, desired.options) as point:
        return replace(_read_at(point, mounts.require_answer(point), is_mounted=False), is_dead=mount is not None)


def _read_at(point: str, space: Space, *, is_mounted: bool) -> Current:
    found = storage_domain_files.read(point)
    return Current(
        is_mounted=is_mounted,
        is_dead=False,
        storage_domain=found,
        owner=storage_domain_files.read_owner(point),
        space=space,
        leftovers=tuple(storage_domain_files.leftovers(point)),
        missing=storage_domain_upgrade.missing(point, found) if found else (),
        is_unfinished=storage_domain_upgrade.is_unfinished(point),
    )


def require_ours(current: Current, desired: Desired) -> None:
    """Raises `StorageError` for a storage domain of another name."""
    found = current.storage_domain
    if found and found.name != desired.name:
        raise StorageError(
            f"{desired.spec} holds storage domain {found.name!r} ({found.uuid}), not {desired.name!r};"
            " a volume holds one: use its name, or another volume or directory"
        )


def version_after(current: Current, desired: Desired) -> int:
    """The version that the storage domain will have; raises `ValueError` for one that it cannot get."""
    found = current.storage_domain
    if found is None:
        if desired.version not in (None, VERSION):
            raise ValueError(
                f"there is no storage domain {desired.name} on {desired.spec}; a new one is made in version {VERSION},"
                f" not {desired.version}"
            )
        return VERSION
    version = desired.version or found.version
    if version < found.version:
        raise ValueError(
            f"storage domain {found.name} is of version {found.version}, not {version}; it is never downgraded"
        )
    if version > found.version and found.pools:
        raise StorageError(
            f"storage domain {found.name} of version {found.version} belongs to data center {', '.join(found.pools)}"
            " (POOL_UUID); let its oVirt upgrade it, or detach it there first"
        )
    return version


def plan_upgrade(current: Current, desired: Desired) -> list[Action]:
    """A later version, where one is asked for, and what an earlier run or an earlier release left out."""
    found = current.storage_domain
    if found is None:
        return []
    version = version_after(current, desired)
    words = []
    if version > found.version:
        words.append(f"upgrade storage domain {found.name} from version {found.version} to {version}")
    elif current.is_unfinished and version == VERSION:
        words.append(f"finish the upgrade of storage domain {found.name} to version {version}")
    if current.missing:
        words.append(f"add what storage domain {found.name} lacks: {', '.join(current.missing)}")
    if not words:
        return []
    return [
        Action("; ".join(words), lambda: storage_domain_upgrade.bring_up(desired.mount_point, desired.name, version))
    ]


def plan_active(mounts: Mounter, gluster: Gluster, current: Current, desired: Desired) -> Plan:
    """Mount, own, lay out: what is missing of it."""
    point, spec = desired.mount_point, desired.spec
    actions = []
    if current.is_dead:
        actions.append(Action(f"unmount {point}, which has lost its volume", lambda: mounts.unmount(point)))
    if not current.is_mounted:
        full = with_all_servers(gluster, spec)
        actions.append(Action(f"mount {spec} on {point}", lambda: mounts.mount(full, point, desired.options)))
    if current.owner != desired.owner:
        uid, gid = desired.owner
        actions.append(
            Action(f"set the owner of {spec} to {uid}:{gid}", lambda: storage_domain_files.own(point, desired.owner))
        )
    if current.storage_domain is None:
        actions.append(
            Action(
                f"lay out storage domain {desired.name} on {spec}",
                lambda: storage_domain_files.lay_out(point, desired.name, spec, desired.owner),
            )
        )
    actions.extend(plan_upgrade(current, desired))
    after = {
        "state": "active",
        "mounted": True,
        "owner": _text_of(desired.owner),
        "name": desired.name,
        "version": version_after(current, desired),
        "complete": True,
    }
    return Plan(_shown(current), after, tuple(actions))


def with_all_servers(gluster: Gluster, spec: VolumeSpec) -> VolumeSpec:
    """The spec with every server of its volume, if one alone was named and it can be asked."""
    if len(spec.servers) > 1:
        return spec
    try:
        return replace(spec, servers=gluster.servers(spec.volume, volfile_server=spec.servers[0]))
    except GlusterError:
        # the mount works without backups too, and says better what is wrong if it does not
        return spec


def plan_absent(mounts: Mounter, users: ImageUsers, current: Current, desired: Desired) -> Plan:
    """Delete what is there and unmount."""
    point, found = desired.mount_point, current.storage_domain
    actions = []
    if found:
        require_unused(found, users)
        for path in (point, *shown_at(mounts, desired.spec, point)):
            holders = mounts.read_holders(path)
            if holders:
                raise StorageError(
                    f"storage domain {found.name} is in use by {', '.join(holders)} on {path}; end them first"
                )
    if found or current.leftovers:
        words = f"delete storage domain {desired.name} with all its images from {desired.spec}"
        if not found:
            words = f"delete what an interrupted deletion left on {desired.spec}"
        actions.append(Action(words, lambda: remove(mounts, current, desired)))
    if current.is_mounted or current.is_dead:
        actions.append(Action(f"unmount {point}", lambda: mounts.unmount(point)))
    after = {"state": "absent", "mounted": False, "name": None, "version": None, "complete": False}
    return Plan(_shown(current), after, tuple(actions))


def shown_at(mounts: Mounter, spec: VolumeSpec, point: str) -> list[str]:
    """Where mounts other than that on `point` show the same files: of the location, or of a directory above it."""
    location = f"/{spec.location}/"
    return [
        posixpath.join(mount.point, location.removeprefix(f"/{mount.spec.location}/")).rstrip("/")
        for mount in mounts.table()
        if mount.point != point and location.startswith(f"/{mount.spec.location}/")
    ]


def require_unused(found: StorageDomain, users: ImageUsers) -> None:
    """Raises `StorageError` while a data center has the storage domain or a domain of this host uses an image."""
    if found.pools:
        raise StorageError(
            f"storage domain {found.name} belongs to data center {', '.join(found.pools)} (POOL_UUID);"
            " detach it there first"
        )
    using = users.in_storage_domain(found.uuid)
    if using:
        raise StorageError(
            f"storage domain {found.name} is in use by {', '.join(map(str, using))}; undefine them first, or take the"
            " disks out"
        )


def remove(mounts: Mounter, current: Current, desired: Desired) -> None:
    """Delete the storage domain, through a mount of our own where it is not mounted."""
    uuid = current.storage_domain.uuid if current.storage_domain else None
    if current.is_mounted:
        storage_domain_files.remove(desired.mount_point, uuid)
        return
    with mounts.visit(desired.spec, desired.options) as point:
        storage_domain_files.remove(point, uuid)


def _shown(current: Current) -> dict[str, t.Any]:
    found = current.storage_domain
    shown = {"state": "active" if found and current.is_mounted else "absent", "mounted": current.is_mounted}
    name, version = (found.name, found.version) if found else (None, None)
    complete = found is not None and not current.missing
    return {**shown, "owner": _text_of(current.owner), "name": name, "version": version, "complete": complete}


def _text_of(owner: tuple[int, int]) -> str:
    return f"{owner[0]}:{owner[1]}"


def facts(found: StorageDomain | None, desired: Desired, space: Space, *, state: str) -> dict[str, t.Any]:
    """What the module returns about a storage domain."""
    return {
        "uuid": found.uuid if found else None,
        "name": desired.name,
        "version": found.version if found else VERSION,
        "spec": str(desired.spec),
        "servers": list(desired.spec.servers),
        "volume": desired.spec.volume,
        "mount_point": desired.mount_point,
        "path": f"{desired.mount_point}/{found.uuid}" if found else None,
        "state": state,
        "size_bytes": space.size_bytes,
        "free_bytes": space.free_bytes,
    }


def make_item(params: Params, mounts: Mounter, gluster: Gluster, users: ImageUsers) -> Item:
    """Parameters → the storage domain with its plan."""
    desired = desired_from(params)
    require_no_shards(gluster, desired.spec)
    current = read_current(mounts, desired)
    require_ours(current, desired)
    if params["state"] == "absent":
        plan = plan_absent(mounts, users, current, desired)
        return Item(desired.name, plan, facts(None, desired, current.space, state="absent"))
    plan = plan_active(mounts, gluster, current, desired)
    after = replace(current.storage_domain, version=plan.after["version"]) if current.storage_domain else None

    def read() -> dict[str, t.Any]:
        space = mounts.require_answer(desired.mount_point)
        found = storage_domain_files.require_named(desired.mount_point, desired.name)
        return facts(found, desired, space, state="active")

    return Item(desired.name, plan, facts(after, desired, current.space, state="active"), read)


def main() -> None:
    run(
        lambda params: make_item(params, Mounter(), Gluster(), ImageUsers(params["uri"])),
        ARGUMENT_SPEC,
        one="storage_domain",
        libraries=["lxml"],
        mutually_exclusive=[("spec", "volume")],
        required_one_of=[("spec", "volume")],
    )


if __name__ == "__main__":
    main()
