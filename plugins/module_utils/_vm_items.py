# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: what is asked of VMs, and the hosts that they are on or go to, before anything is changed."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import _domain, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._block_copies import BlockCopies
from ansible_collections.gfapi.virt.plugins.module_utils._conversion import AUTO, FUSE, GFAPI
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord
from ansible_collections.gfapi.virt.plugins.module_utils._host import Host
from ansible_collections.gfapi.virt.plugins.module_utils._image_paths import ImagePaths
from ansible_collections.gfapi.virt.plugins.module_utils._image_source import ImageSources
from ansible_collections.gfapi.virt.plugins.module_utils._libvirt import Libvirt
from ansible_collections.gfapi.virt.plugins.module_utils._libvirt_jobs import LibvirtJobs
from ansible_collections.gfapi.virt.plugins.module_utils._migration import is_there, require_movable, uri_of
from ansible_collections.gfapi.virt.plugins.module_utils._one_name import OneName
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Item, Plan
from ansible_collections.gfapi.virt.plugins.module_utils._requirements import DRIVER_PACKAGES
from ansible_collections.gfapi.virt.plugins.module_utils._seeds import Seeds
from ansible_collections.gfapi.virt.plugins.module_utils._storage import Storage
from ansible_collections.gfapi.virt.plugins.module_utils._vm_conversion import Conversions
from ansible_collections.gfapi.virt.plugins.module_utils._vm_course import Course
from ansible_collections.gfapi.virt.plugins.module_utils._vm_params import (
    Desired,
    Params,
    desired_from,
    require_no_files,
)
from ansible_collections.gfapi.virt.plugins.module_utils._vm_plan import (
    configuration,
    facts,
    next_used,
    overridden,
    plan_absent,
    plan_vm,
    predicted,
    taken,
)
from ansible_collections.gfapi.virt.plugins.module_utils._vm_uses import GIVEN, START, VmUses


class RunningImages:
    """Which domain of this host writes to which image. QEMU takes no lock on a gluster image, so nobody else asks."""

    def __init__(self, libvirt: Libvirt) -> None:
        self._libvirt = libvirt
        #: image → domain → whether it shares it on purpose
        self._users: dict[str, dict[str, bool]] | None = None

    def claim(self, name: str, configured: _xml.Element, doing: str = START) -> None:
        """Raises `ValueError` where a domain is to take an image that one which runs has, or which is to run.

        Two may have it where both share it on purpose.
        """
        users = self._read() if self._users is None else self._users
        self._users = users
        images = _domain.writable_images(OneName().of(configured))
        for image, is_shared in sorted(images.items()):
            known = users.setdefault(image, {})
            for other, shares in known.items():
                if other != name and not (shares and is_shared):
                    raise ValueError(
                        f"domain {name} cannot {doing} image {image}: domain {other} writes to it, and two would"
                        " destroy it; shut that one down first, or give each its own disk"
                    )
            known[name] = is_shared and known.get(name, True)

    def _read(self) -> dict[str, dict[str, bool]]:
        users: dict[str, dict[str, bool]] = {}
        for record in OneName().of_records(self._libvirt.domains()):
            for used in (record.live, record.saved):
                found = {} if used is None else _domain.writable_images(used)
                for image, is_shared in found.items():
                    known = users.setdefault(image, {})
                    known[record.name] = is_shared and known.get(record.name, True)
        return users


def warnings_for(current: DomainRecord | None, configured: _xml.Element | None) -> tuple[str, ...]:
    """What an administrator would want to know before a change."""
    if current is None or configured is None:
        return ()
    if "relabelling" not in _domain.differing_fields(current.inactive, configured):
        return ()
    files = [disk.source.file or disk.source.dev for disk in _domain.from_element(configured).disks or ()]
    local = [path for path in files if path]
    if not local:
        return ()
    return (
        f"domain {current.name} has a gluster disk now, so libvirt no longer gives {', '.join(local)} to QEMU's user at"
        " its start; see that this user can open it",
    )


class Hypervisors:
    """Other hosts that domains are to run on, each connected to once; and what is needed to deal with domains there."""

    def __init__(self, storage: Storage, paths: ImagePaths) -> None:
        self._storage = storage
        self._paths = paths
        self._known: dict[str, LibvirtJobs] = {}

    def other(self, libvirt: LibvirtJobs, host: str | None) -> LibvirtJobs | None:
        """The libvirt of a host; `None` for the one that is asked already."""
        if host is None:
            return None
        uri = uri_of(host)
        if uri not in self._known:
            self._known[uri] = LibvirtJobs(uri)
        there = self._known[uri]
        return None if there.host_uuid == libvirt.host_uuid else there

    def uses(self, there: LibvirtJobs) -> VmUses:
        return VmUses(self._storage, there)

    def conversions(self, libvirt: LibvirtJobs) -> Conversions:
        return Conversions(self._paths, BlockCopies(self._storage, self._paths), libvirt)


class Planned(t.NamedTuple):
    """A domain with its plan, and its configuration in the end; none of one that goes."""

    item: Item
    configured: _xml.Element | None


def item_on(
    libvirt: LibvirtJobs,
    desired: Desired,
    running: RunningImages,
    uses: VmUses,
    seeds: Seeds,
    hypervisors: Hypervisors,
) -> Planned:
    """One domain with its plan, on the host that it is to run on."""
    there = hypervisors.other(libvirt, desired.host)
    if there is None:
        return item_for(libvirt, desired, running, uses, seeds, hypervisors.conversions(libvirt))
    name, host = desired.domain.name, t.cast(str, desired.host)
    here, other = libvirt.domain(name), there.domain(name)
    if is_there(here, other):
        return item_for(
            there, desired, RunningImages(there), hypervisors.uses(there), seeds, hypervisors.conversions(there)
        )
    require_movable(name, host, here, other)
    return item_for(libvirt, desired, running, uses, seeds, hypervisors.conversions(libvirt), there)


def item_for(
    libvirt: LibvirtJobs,
    desired: Desired,
    running: RunningImages,
    uses: VmUses,
    seeds: Seeds,
    conversions: Conversions,
    there: LibvirtJobs | None = None,
) -> Planned:
    """One domain with its plan; `there` is the host that it goes to in the end."""
    name = desired.domain.name
    current = libvirt.domain(name)
    if desired.state == "absent":
        course = Course(current, desired, None)
        plan = plan_absent(libvirt, current, desired, uses, seeds)
    else:
        modelled = configuration(libvirt, current, desired.domain, desired.seed.path if desired.seed else "")
        conversion = conversions.of(desired, current, modelled, overridden(modelled, desired))
        course = Course(conversion.seen(current), desired, conversion.after)
        plan = plan_vm(libvirt, course, uses, seeds, conversion, there)
    current, configured = course.current, course.after
    if there is not None:
        shown_on = (f"host: {libvirt.hostname}\n{plan.before}", f"host: {there.hostname}\n{plan.after}")
        plan = Plan(*shown_on, plan.actions)
    if configured is not None and course.comes_up:
        running.claim(name, configured)
        uses.require_startable(name, next_used(current, configured))
    elif configured is not None:
        for given in map(taken, course.changes):
            running.claim(name, given, GIVEN)
            uses.require_startable(name, (given,), GIVEN)
    plan = uses.noting(plan, current, configured, course.running, leaves=there is not None)

    warnings = (*warnings_for(current, configured), *(uses.warnings_for(name, configured) if plan.changed else ()))
    item = Item(
        name,
        plan,
        predicted(course),
        lambda: facts(name, (there or libvirt).domain(name)),
        warnings,
    )
    return Planned(item, configured)


def without_driver(host: Host, items: t.Sequence[Item], desired: t.Sequence[Desired]) -> str:
    """Why the domains that leave it to us are to reach their images through the mount; empty where none has to.

    Raises `ValueError`, before anything is changed, for those that ask for gfapi where QEMU lacks the driver.
    """
    users = [item.name for item in items if item.plan.changed and any(disk["uri"] for disk in item.predicted["disks"])]
    present, words = host.gluster_driver() if users else (True, "")
    if present:
        return ""
    strict = [one.domain.name for one in desired if one.access == GFAPI and one.domain.name in users]
    reason = f"QEMU on this host has no gluster block driver ({words})"
    if strict:
        raise ValueError(f"domain {', '.join(strict)}: {reason}; install {DRIVER_PACKAGES}")
    return reason


def tpm_warnings(
    host: Host, libvirt: LibvirtJobs, items: t.Sequence[Item], desired: t.Sequence[Desired]
) -> t.Iterator[str]:
    """What will keep domains with a TPM and a gluster disk from a start; raises `ValueError` where one is to start now.

    Such a domain is never relabelled, so libvirt does not give it the socket of swtpm either (seen on 9.0).
    """
    for item, one in zip(items, desired):
        if not item.plan.changed or not any(disk["uri"] for disk in item.predicted["disks"]):
            continue
        current = libvirt.domain(item.name) if one.domain.tpm is None else None
        version = _domain.from_element(current.inactive).tpm if current else one.domain.tpm
        problem = host.swtpm_problem() if version in ("1.2", "2.0") else ""
        if not problem:
            continue
        words = f"domain {item.name} has a TPM and a gluster disk, and {problem}"
        if f"start domain {item.name}" in "\n".join(item.plan.summaries):
            raise ValueError(words)
        yield words


def make_items(
    params: Params,
    libvirt: LibvirtJobs,
    images: ImageSources,
    host: Host,
    uses: VmUses,
    seeds: Seeds,
    hypervisors: Hypervisors,
) -> Item | list[Item]:
    """Parameters → the domains with their plans, everything looked up before anything is changed."""
    wanted = params["vms"] if params["vms"] is not None else [params]
    if libvirt.is_remote:
        require_no_files(wanted, libvirt.uri)
    desired = [desired_from(vm, images, params["storage_domain"]) for vm in wanted]
    names = [one.domain.name for one in desired]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ValueError(f"domain {', '.join(doubled)} is listed twice in vms; list each once")

    def planned() -> list[Item]:
        running = RunningImages(libvirt)
        found = [item_on(libvirt, one, running, uses, seeds, hypervisors) for one in desired]
        for one in found:
            uses.disks.require_unwanted(one.item.name, one.configured)
        return [one.item for one in found]

    items = planned()
    warnings = [*images.warnings]
    if not libvirt.is_remote and (reason := without_driver(host, items, desired)):
        desired = [replace(one, access=FUSE) if one.access == AUTO else one for one in desired]
        items = planned()
        users = ", ".join(item.name for item in items)
        warnings.append(
            f"domain {users}: images are reached through the mount (access: fuse): {reason}; install {DRIVER_PACKAGES}"
        )
    if not libvirt.is_remote:
        warnings += tpm_warnings(host, libvirt, items, desired)
    items = [replace(item, warnings=(*item.warnings, *warnings)) for item in items]
    return items if params["vms"] is not None else items[0]
