# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: what is asked of VMs, and the hosts that they are on or go to, before anything is changed."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _block_copies,
    _conversion,
    _domain,
    _domain_record,
    _host,
    _image_paths,
    _image_source,
    _libvirt,
    _libvirt_jobs,
    _migration,
    _one_name,
    _plan,
    _requirements,
    _seeds,
    _storage,
    _vm_conversion,
    _vm_course,
    _vm_params,
    _vm_plan,
    _vm_uses,
    _xml,
)


class RunningImages:
    """Which domain of this host writes to which image. QEMU takes no lock on a gluster image, so nobody else asks."""

    def __init__(self, libvirt: _libvirt.Libvirt) -> None:
        self._libvirt = libvirt
        #: image → domain → whether it shares it on purpose
        self._users: dict[str, dict[str, bool]] | None = None

    def claim(self, name: str, configured: _xml.Element, doing: str = _vm_uses.START) -> None:
        """Raises `ValueError` where a domain is to take an image that one which runs has, or which is to run.

        Two may have it where both share it on purpose.
        """
        users = self._read() if self._users is None else self._users
        self._users = users
        images = _domain.writable_images(_one_name.OneName().of(configured))
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
        for record in _one_name.OneName().of_records(self._libvirt.domains()):
            for used in (record.live, record.saved):
                found = {} if used is None else _domain.writable_images(used)
                for image, is_shared in found.items():
                    known = users.setdefault(image, {})
                    known[record.name] = is_shared and known.get(record.name, True)
        return users


def warnings_for(current: _domain_record.DomainRecord | None, configured: _xml.Element | None) -> tuple[str, ...]:
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

    def __init__(self, storage: _storage.Storage, paths: _image_paths.ImagePaths) -> None:
        self._storage = storage
        self._paths = paths
        self._known: dict[str, _libvirt_jobs.LibvirtJobs] = {}

    def other(self, libvirt: _libvirt_jobs.LibvirtJobs, host: str | None) -> _libvirt_jobs.LibvirtJobs | None:
        """The libvirt of a host; `None` for the one that is asked already."""
        if host is None:
            return None
        uri = _migration.uri_of(host)
        if uri not in self._known:
            self._known[uri] = _libvirt_jobs.LibvirtJobs(uri)
        there = self._known[uri]
        return None if there.host_uuid == libvirt.host_uuid else there

    def uses(self, there: _libvirt_jobs.LibvirtJobs) -> _vm_uses.VmUses:
        return _vm_uses.VmUses(self._storage, there)

    def conversions(self, libvirt: _libvirt_jobs.LibvirtJobs) -> _vm_conversion.Conversions:
        return _vm_conversion.Conversions(self._paths, _block_copies.BlockCopies(self._storage, self._paths), libvirt)


class Planned(t.NamedTuple):
    """A domain with its plan, and its configuration in the end; none of one that goes."""

    item: _plan.Item
    configured: _xml.Element | None


def item_on(
    libvirt: _libvirt_jobs.LibvirtJobs,
    desired: _vm_params.Desired,
    running: RunningImages,
    uses: _vm_uses.VmUses,
    seeds: _seeds.Seeds,
    hypervisors: Hypervisors,
) -> Planned:
    """One domain with its plan, on the host that it is to run on."""
    there = hypervisors.other(libvirt, desired.host)
    if there is None:
        return item_for(libvirt, desired, running, uses, seeds, hypervisors.conversions(libvirt))
    name, host = desired.domain.name, t.cast(str, desired.host)
    here, other = libvirt.domain(name), there.domain(name)
    if _migration.is_there(here, other):
        return item_for(
            there, desired, RunningImages(there), hypervisors.uses(there), seeds, hypervisors.conversions(there)
        )
    _migration.require_movable(name, host, here, other)
    return item_for(libvirt, desired, running, uses, seeds, hypervisors.conversions(libvirt), there)


def item_for(
    libvirt: _libvirt_jobs.LibvirtJobs,
    desired: _vm_params.Desired,
    running: RunningImages,
    uses: _vm_uses.VmUses,
    seeds: _seeds.Seeds,
    conversions: _vm_conversion.Conversions,
    there: _libvirt_jobs.LibvirtJobs | None = None,
) -> Planned:
    """One domain with its plan; `there` is the host that it goes to in the end."""
    name = desired.domain.name
    current = libvirt.domain(name)
    if desired.state == "absent":
        course = _vm_course.Course(current, desired, None)
        plan = _vm_plan.plan_absent(libvirt, current, desired, uses, seeds)
    else:
        modelled = _vm_plan.configuration(libvirt, current, desired.domain, desired.seed.path if desired.seed else "")
        conversion = conversions.of(desired, current, modelled, _vm_plan.overridden(modelled, desired))
        course = _vm_course.Course(conversion.seen(current), desired, conversion.after)
        plan = _vm_plan.plan_vm(libvirt, course, uses, seeds, conversion, there)
    current, configured = course.current, course.after
    if there is not None:
        shown_on = (f"host: {libvirt.hostname}\n{plan.before}", f"host: {there.hostname}\n{plan.after}")
        plan = _plan.Plan(*shown_on, plan.actions)
    if configured is not None and course.comes_up:
        running.claim(name, configured)
        uses.require_startable(name, _vm_plan.next_used(current, configured))
    elif configured is not None:
        for given in map(_vm_plan.taken, course.changes):
            running.claim(name, given, _vm_uses.GIVEN)
            uses.require_startable(name, (given,), _vm_uses.GIVEN)
    plan = uses.noting(plan, current, configured, course.running, leaves=there is not None)

    warnings = (*warnings_for(current, configured), *(uses.warnings_for(name, configured) if plan.changed else ()))
    item = _plan.Item(
        name,
        plan,
        _vm_plan.predicted(course),
        lambda: _vm_plan.facts(name, (there or libvirt).domain(name)),
        warnings,
    )
    return Planned(item, configured)


def without_driver(host: _host.Host, items: t.Sequence[_plan.Item], desired: t.Sequence[_vm_params.Desired]) -> str:
    """Why the domains that leave it to us are to reach their images through the mount; empty where none has to.

    Raises `ValueError`, before anything is changed, for those that ask for gfapi where QEMU lacks the driver.
    """
    users = [item.name for item in items if item.plan.changed and any(disk["uri"] for disk in item.predicted["disks"])]
    present, words = host.gluster_driver() if users else (True, "")
    if present:
        return ""
    strict = [one.domain.name for one in desired if one.access == _conversion.GFAPI and one.domain.name in users]
    reason = f"QEMU on this host has no gluster block driver ({words})"
    if strict:
        raise ValueError(f"domain {', '.join(strict)}: {reason}; install {_requirements.DRIVER_PACKAGES}")
    return reason


def tpm_warnings(
    host: _host.Host,
    libvirt: _libvirt_jobs.LibvirtJobs,
    items: t.Sequence[_plan.Item],
    desired: t.Sequence[_vm_params.Desired],
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
    params: _vm_params.Params,
    libvirt: _libvirt_jobs.LibvirtJobs,
    images: _image_source.ImageSources,
    host: _host.Host,
    uses: _vm_uses.VmUses,
    seeds: _seeds.Seeds,
    hypervisors: Hypervisors,
) -> _plan.Item | list[_plan.Item]:
    """Parameters → the domains with their plans, everything looked up before anything is changed."""
    wanted = params["vms"] if params["vms"] is not None else [params]
    if libvirt.is_remote:
        _vm_params.require_no_files(wanted, libvirt.uri)
    desired = [_vm_params.desired_from(vm, images, params["storage_domain"]) for vm in wanted]
    names = [one.domain.name for one in desired]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ValueError(f"domain {', '.join(doubled)} is listed twice in vms; list each once")

    def planned() -> list[_plan.Item]:
        running = RunningImages(libvirt)
        found = [item_on(libvirt, one, running, uses, seeds, hypervisors) for one in desired]
        for one in found:
            uses.disks.require_unwanted(one.item.name, one.configured)
        return [one.item for one in found]

    items = planned()
    warnings = [*images.warnings]
    if not libvirt.is_remote and (reason := without_driver(host, items, desired)):
        desired = [replace(one, access=_conversion.FUSE) if one.access == _conversion.AUTO else one for one in desired]
        items = planned()
        users = ", ".join(item.name for item in items)
        warnings.append(
            f"domain {users}: images are reached through the mount (access: fuse): {reason};"
            f" install {_requirements.DRIVER_PACKAGES}"
        )
    if not libvirt.is_remote:
        warnings += tpm_warnings(host, libvirt, items, desired)
    items = [item._replace(warnings=(*item.warnings, *warnings)) for item in items]
    return items if params["vms"] is not None else items[0]
