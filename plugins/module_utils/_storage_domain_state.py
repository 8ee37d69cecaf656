# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of a storage domain, what is there, and what forbids the way between. Pure: no I/O."""

from __future__ import annotations

import enum
import typing as t
import uuid as uuids
from dataclasses import dataclass, field, replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _errors,
    _mount_table,
    _storage_domain,
    _storage_domain_rights,
    _uri,
    _use_record,
)

#: a data center that is named gets its uuid5 under this one
DATA_CENTERS: t.Final = uuids.UUID("a1a96696-7c7b-523c-9978-d548b02309b8")
STATES: t.Final = ("active", "maintenance", "detached", "absent")

Params = t.Mapping[str, t.Any]


class Condition(enum.Enum):
    """How the mount on the mount point is."""

    NONE = "not mounted"
    WORKS = "mounted"
    #: its client or its volume is gone
    DEAD = "dead"
    #: its client says nothing
    HUNG = "hung"


@dataclass(frozen=True)
class Desired:
    """What is asked for, in normal form."""

    name: str
    spec: _uri.VolumeSpec
    mount_point: str
    #: `None` where a mount that is there may have any
    options: tuple[str, ...] | None
    owner: tuple[int, int]
    version: int | None
    state: str
    #: whether one that is not there is made
    create: bool
    data_center: str | None
    #: `None` leaves /etc/fstab as it is
    boot: bool | None
    running_vms: str
    shutdown_timeout_s: int
    optimize: bool
    start_volume: bool
    stop_volume: bool
    volume_policy: str
    purge_data: bool
    #: mounts and domains of other hosts that are gone before the volume is stopped
    leaving: tuple[int, int]
    #: hosts that will have the storage domain active no more
    leaving_hosts: frozenset[str] = frozenset()
    #: whether what other hosts noted is disregarded
    force: bool = False

    @property
    def is_for_volume(self) -> bool:
        """Whether work on the volume is asked for."""
        return self.optimize or self.start_volume or self.stop_volume or self.volume_policy != "keep"


@dataclass(frozen=True)
class Current:
    """What is there. Behind a mount that does not work, it was seen through another."""

    mount: Condition
    storage_domain: _storage_domain.StorageDomain | None
    owner: tuple[int, int]
    space: _mount_table.Space
    #: of interrupted removals
    leftovers: tuple[str, ...] = ()
    #: of interrupted runs that built something
    abandoned: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    #: owners and modes; asked only before it is active, as are `faults`, which nothing here mends
    wrong: tuple[_storage_domain_rights.Wrong, ...] = ()
    faults: tuple[str, ...] = ()
    is_unfinished: bool = False
    #: images that somebody on some host has open, with who that is; asked only before they are deleted
    opened: tuple[str, ...] = ()
    #: what other hosts noted; asked only then too
    uses: _use_record.OtherUses = field(default_factory=_use_record.OtherUses)
    #: whether this host is noted as one that has the storage domain active
    is_noted: bool = False
    #: what else lies on the volume; asked only before that is gone
    others: tuple[str, ...] = ()

    @property
    def is_mounted(self) -> bool:
        return self.mount is Condition.WORKS

    def is_detached(self) -> bool:
        """Whether nothing is to be done to have it detached."""
        return self.storage_domain is not None and self.storage_domain == detached(self.storage_domain)


def spec_from(params: Params) -> _uri.VolumeSpec:
    """The spec with all servers; raises `ValueError` where parts are missing or malformed."""
    if params["spec"] is not None:
        spec = _uri.VolumeSpec.parse(params["spec"])
        return replace(spec, servers=(*spec.servers, *params["servers"]))
    if not params["servers"]:
        raise ValueError(f"volume {params['volume']!r}: name a server of it (servers)")
    volume, _slash, directory = params["volume"].strip("/").partition("/")
    return _uri.VolumeSpec(tuple(params["servers"]), volume, directory)


def data_center_uuid(text: str) -> str:
    """POOL_UUID for a data center: its uuid, or one made of its name."""
    if text.lower() == _storage_domain.NO_UUID or "," in text:
        raise ValueError(f"data_center {text!r} is neither a data center's name nor its uuid")
    if _storage_domain.is_uuid(text.lower()):
        return text.lower()
    return str(uuids.uuid5(DATA_CENTERS, _storage_domain.require_name(text, "data_center")))


def desired_from(params: Params) -> Desired:
    """Parameters in normal form."""
    spec = spec_from(params)
    _storage_domain.require_line(params["name"], "the name of storage domain")
    require_suited(params, spec)
    if params["boot"] and "noauto" in (params["mount_options"] or ()):
        raise ValueError("boot is asked for, and mount option noauto is for no boot; leave one of them out")
    if params["state"] == "absent" and params["confirm"] != params["name"]:
        given = f"is {params['confirm']!r}" if params["confirm"] else "is missing"
        raise ValueError(
            f"storage domain {params['name']} would be deleted with all its images; confirm {given};"
            " give its name there"
        )
    return Desired(
        params["name"],
        spec,
        _storage_domain.mount_point(params["mount_root"], spec),
        None if params["mount_options"] is None else tuple(params["mount_options"]),
        (params["owner_uid"], params["owner_gid"]),
        params["version"],
        params["state"],
        params["create"],
        None if params["data_center"] is None else data_center_uuid(params["data_center"]),
        params["boot"],
        params["running_vms"],
        params["shutdown_timeout"],
        params["optimize"],
        params["start_volume"],
        params["stop_volume"],
        params["volume_policy"],
        params["purge_data"],
        leaving_from(params["leaving_clients"] or {}),
        frozenset((params["leaving_clients"] or {}).get("hosts") or ()),
        params["force"],
    )


def leaving_from(clients: Params) -> tuple[int, int]:
    """How many mounts and domains; raises `ValueError` for less than none."""
    mounts, domains = clients.get("mounts") or 0, clients.get("domains") or 0
    for kind, count in (("mounts", mounts), ("domains", domains)):
        if count < 0:
            raise ValueError(f"leaving_clients: {count} {kind} cannot leave; give 0 or more")
    return mounts, domains


def require_suited(params: Params, spec: _uri.VolumeSpec) -> None:
    """Raises `ValueError` for volume work that is no part of the state, or more than the storage domain's."""
    state, policy = params["state"], params["volume_policy"]
    for name in ("optimize", "start_volume"):
        if params[name] and state == "absent":
            raise ValueError(f"{name} is for a storage domain that is there, not for state absent")
    if params["start_volume"] and params["stop_volume"]:
        raise ValueError("start_volume and stop_volume are asked for at once; leave one of them out")
    if params["optimize"] and spec.directory:
        raise ValueError(f"optimize would have volume {spec.volume} shard, and /{spec.directory} is a directory of it")
    if params["stop_volume"] and state != "maintenance":
        raise ValueError(f"stop_volume is for state maintenance, not {state}")
    if policy != "keep" and state != "absent":
        raise ValueError(f"volume_policy {policy} is for state absent, not {state}")
    if policy != "keep" and spec.directory:
        raise ValueError(f"volume_policy {policy}: volume {spec.volume} holds more than /{spec.directory}")
    if params["purge_data"] and policy == "keep":
        raise ValueError("purge_data needs volume_policy stop or delete: a volume that is kept needs its data")


def require_ours(found: _storage_domain.StorageDomain | None, desired: Desired) -> None:
    """Raises `StorageError` for a storage domain of another name, and for none where none is to be made."""
    if found and found.name != desired.name:
        raise _errors.StorageError(
            f"{desired.spec} holds storage domain {found.name!r} ({found.uuid}), not {desired.name!r};"
            " a volume holds one: use its name, or another volume or directory"
        )
    if found is None and desired.state == "detached":
        raise _errors.StorageError(
            f"there is no storage domain {desired.name} on {desired.spec} to detach; state active makes it, and leaves"
            " it without a data center"
        )
    if found is None and desired.state == "active" and desired.create:
        _storage_domain.require_new_name(desired.name)
    if found is None and desired.state == "active" and not desired.create:
        raise _errors.StorageError(
            f"there is no storage domain {desired.name} on {desired.spec}, and none is to be made (create: false); mend"
            " the spec, or let it be made"
        )


def version_after(found: _storage_domain.StorageDomain | None, desired: Desired) -> int:
    """The version that the storage domain will have; raises `ValueError` for one that it cannot get."""
    if found is None:
        if desired.version not in (None, _storage_domain.VERSION):
            raise ValueError(
                f"there is no storage domain {desired.name} on {desired.spec};"
                f" a new one is made in version {_storage_domain.VERSION}, not {desired.version}"
            )
        return _storage_domain.VERSION
    version = desired.version or found.version
    if version < found.version:
        raise ValueError(
            f"storage domain {found.name} is of version {found.version}, not {version}; it is never downgraded"
        )
    require_upgradable(found, version)
    return version


def require_upgradable(found: _storage_domain.StorageDomain, version: int) -> None:
    """Raises `StorageError` for a storage domain that a data center has, unless it is of that version."""
    if version > found.version and found.pools:
        raise _errors.StorageError(
            f"storage domain {found.name} of version {found.version} belongs to data center {', '.join(found.pools)}"
            " (POOL_UUID); let its oVirt upgrade it, or detach it there first"
        )


def attached(found: _storage_domain.StorageDomain, data_center: str) -> _storage_domain.StorageDomain:
    """The storage domain as the data center's; raises `StorageError` while it is another's."""
    require_free(found, data_center)
    return found if found.pools else replace(found, pool_uuid=data_center)


def detached(found: _storage_domain.StorageDomain) -> _storage_domain.StorageDomain:
    """The storage domain as no data center's."""
    return replace(found, role="Regular", pool_uuid="")


def require_free(found: _storage_domain.StorageDomain, data_center: str | None) -> None:
    """Raises `StorageError` while a data center has the storage domain, other than one that was named."""
    others = [pool for pool in found.pools if pool != data_center]
    if others:
        raise _errors.StorageError(
            f"storage domain {found.name} belongs to data center {', '.join(others)} (POOL_UUID); detach it there"
            f" first, or here if that one does without it (state: detached, data_center: {others[0]})"
        )
