# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: a libvirt domain as it is and as it is asked for, and the storage domains of its images."""

from __future__ import annotations

import functools
import typing as t
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _console,
    _domain,
    _domain_facts,
    _domain_record,
    _libvirt_domains,
    _libvirt_jobs,
    _live,
    _overrides,
    _plan,
    _power,
    _running_domain,
    _seeds,
    _vm_conversion,
    _vm_course,
    _vm_params,
    _vm_uses,
    _xml,
)


def configuration(
    libvirt: _libvirt_domains.LibvirtDomains,
    current: _domain_record.DomainRecord | None,
    wanted: _domain.Domain,
    own: str = "",
) -> _xml.Element:
    """The domain's next configuration; `own` is the medium of cloud-init."""
    was = _domain.from_element(current.inactive) if current else _domain.Domain(wanted.name)
    if wanted.disks is not None:
        drives = _domain.drive_targets(current.inactive) if current else ()
        wanted = replace(wanted, disks=_domain.place_disks(wanted.disks, was.disks or (), drives=drives))
    if wanted.drives:
        taken = {disk.target for disk in (was.disks if wanted.disks is None else wanted.disks) or ()}
        wanted = replace(wanted, drives=_domain.place_drives(wanted.drives, was.drives or (), taken=taken, own=own))
    if current:
        made = _domain.edited(current.inactive, wanted)
    else:
        arch = libvirt.host_architecture()
        made = _domain.new_element(_domain.with_defaults(wanted, arch=arch, has_kvm=libvirt.has_kvm(arch)))
    if wanted.boot == () and made.find("devices/*/boot") is None:
        # what libvirt puts there where nothing says what to boot from
        made = _domain.edited(made, _domain.Domain(wanted.name, boot=("hd",)))
    return made


def overridden(element: _xml.Element, desired: _vm_params.Desired) -> _xml.Element:
    """The configuration with what is asked for beyond the model."""
    if not desired.overrides:
        return element
    copy = _xml.clone(element)
    _overrides.apply(copy, desired.overrides)
    return copy


def differing_fields(before: _xml.Element, modelled: _xml.Element, after: _xml.Element) -> list[str]:
    """What a change is about: fields of the model, and `xml_overrides` for what is beyond them."""
    fields = _domain.differing_fields(before, modelled)
    return fields + ([] if _xml.is_same(modelled, after) else ["xml_overrides"])


def seed_actions(seeds: _seeds.Seeds, desired: _vm_params.Desired) -> list[_plan.Action]:
    """What makes cloud-init's medium hold what it should. What it holds is shown nowhere."""
    seed, name = desired.seed, desired.domain.name
    if seed is None:
        return []
    there = seeds.read(seed.path)
    if there == seed.files:
        return []
    word = "make" if there is None else "renew"
    return [_plan.Action(f"{word} cloud-init's seed of domain {name}", lambda: seeds.write(seed.path, seed.files))]


def unseed_actions(
    libvirt: _libvirt_domains.LibvirtDomains, seeds: _seeds.Seeds, current: _domain_record.DomainRecord
) -> list[_plan.Action]:
    """What takes away the seeds of a domain that goes, but for those that another one has, as a copy of it does."""
    paths = list(filter(_vm_params.is_seed, media(current)))
    if paths:
        others = {path for record in libvirt.domains() if record.uuid != current.uuid for path in media(record)}
        paths = [path for path in paths if path not in others]
    return [
        _plan.Action(
            f"remove cloud-init's seed of domain {current.name}",
            functools.partial(seeds.remove, path),
            waits=current.is_active,
        )
        for path in paths
    ]


def media(record: _domain_record.DomainRecord) -> list[str]:
    """What a domain has in its CD-ROM drives, now and at the next start."""
    seen = [element for element in (record.inactive, record.live) if element is not None]
    found = [drive.source.file or "" for element in seen for drive in _domain.from_element(element).drives or ()]
    return list(dict.fromkeys(found))


def plan_absent(
    libvirt: _libvirt_domains.LibvirtDomains,
    current: _domain_record.DomainRecord | None,
    desired: _vm_params.Desired,
    uses: _vm_uses.VmUses,
    seeds: _seeds.Seeds,
) -> _plan.Plan:
    """Undefine, after an allowed stop, images and seeds: a run that was cut short finds the rest by the VM."""
    if current is None:
        return _plan.Plan("", "", tuple(uses.forgetting(desired.domain.name)))
    name = current.name
    if current.is_active and not desired.force_stop:
        raise ValueError(
            f"domain {name} is {current.state}; shut it down first (state: shut_off), or allow it with force_stop: true"
        )
    if current.saved is not None and not desired.force_stop:
        raise ValueError(
            f"domain {name} has a managed save, and the memory of its guest would go with it; start it and shut it down"
            " first, or allow it with force_stop: true"
        )
    actions = stop_actions(libvirt, current, desired)
    if desired.delete_disks:
        actions += uses.disks.deletions(current)
    if current.persistent:
        actions += [] if libvirt.is_remote else unseed_actions(libvirt, seeds, current)
        actions.append(_plan.Action(f"undefine domain {name}", lambda: libvirt.undefine(name), waits=current.is_active))
    return _plan.Plan(shown(current.inactive, current.state), "", tuple(actions))


def plan_vm(
    libvirt: _libvirt_jobs.LibvirtJobs,
    course: _vm_course.Course,
    uses: _vm_uses.VmUses,
    seeds: _seeds.Seeds,
    conversion: _vm_conversion.Conversion,
    there: _libvirt_jobs.LibvirtJobs | None = None,
) -> _plan.Plan:
    """The plan for one domain; `there` is the host that it goes to in the end."""
    current, desired, after = course.current, course.desired, conversion.after
    name = desired.domain.name
    live = current.live if current else None

    def define() -> None:
        # of a device that the running domain has from a run that was killed before this
        libvirt.define(after if live is None else _live.with_addresses(after, live))

    # before the configuration says so: of a run that is killed between the two the next one finds the rest to do
    gains = [change for change in course.changes if change.kind in ("attach", "memory", "vcpus")]
    actions = [*seed_actions(seeds, desired), *conversion.repairs, *change_actions(libvirt, name, gains, after, uses)]
    if current is None:
        actions.append(_plan.Action(f"define domain {name}", lambda: libvirt.define(after)))
    else:
        fields = differing_fields(current.inactive, conversion.modelled, after)
        if fields and current.saved is not None:
            raise ValueError(
                f"domain {name} would change ({', '.join(fields)}) but has a managed save, which goes on as it was;"
                f" start it first as it is, or drop the save (virsh managedsave-remove {name})"
            )
        if fields and not conversion.carries:
            undo = _vm_conversion.restoring(libvirt, current, lambda: uses.start(name, (current.inactive,)))
            words = f"change {', '.join(fields)} of domain {name}"
            actions.append(_plan.Action(words, define, undo=undo if conversion.targets else None))
    autostart = bool(current and current.autostart)
    if desired.autostart not in (None, autostart):
        word = "enable" if desired.autostart else "disable"
        switch = bool(desired.autostart)
        actions.append(
            _plan.Action(f"{word} autostart of domain {name}", lambda: libvirt.set_autostart(name, autostart=switch))
        )
    later = [change for change in course.changes if change not in gains]
    steps = [*change_actions(libvirt, name, later, after, uses), *conversion.copying]
    power = power_actions(libvirt, course, after, uses)
    # a guest that does not run lets no device go
    actions += [*power, *steps] if course.is_resumed else [*steps, *power]
    if there is not None and current is not None:
        actions.append(migration(libvirt, current, desired, uses, conversion, there))
    if conversion.targets and (conversion.carries or course.comes_up):
        actions.append(_vm_conversion.proof(there or libvirt, name, conversion))
    actions += conversion.deletions
    before = shown(current.inactive, current.state) if current else ""
    is_as_it_was = current is not None and after is current.inactive and course.state == current.state
    return _plan.Plan(before, before if is_as_it_was else shown(after, course.state), tuple(actions))


def change_actions(
    libvirt: _libvirt_domains.LibvirtDomains,
    name: str,
    changes: t.Iterable[_live.Change],
    after: _xml.Element,
    uses: _vm_uses.VmUses,
) -> list[_plan.Action]:
    """The actions of changes to a running domain; those wait in which the guest has a say."""
    running = _running_domain.RunningDomain(libvirt, name)

    def carry_out(change: _live.Change) -> None:
        with uses.taking(name, (taken(change),), _vm_uses.GIVEN):
            running.carry_out(change, after)

    return [
        _plan.Action(
            change.words(name),
            functools.partial(carry_out, change),
            waits=change.kind in ("detach", "memory", "vcpus"),
        )
        for change in changes
    ]


def taken(change: _live.Change) -> _xml.Element:
    """A `<domain>` that has only what a running one is to be given."""
    given = [] if change.kind != "attach" or change.element is None else [_xml.clone(change.element)]
    return _xml.element("domain", None, _xml.element("devices", None, *given))


def power_actions(
    libvirt: _libvirt_domains.LibvirtDomains, course: _vm_course.Course, after: _xml.Element, uses: _vm_uses.VmUses
) -> list[_plan.Action]:
    """From the power state that is to the one asked for, by way of a stop where that is needed and allowed."""
    current, desired = course.current, course.desired
    name, state = desired.domain.name, desired.state
    if state == "shut_off" and current:
        return stop_actions(libvirt, current, desired)
    before = current.state if current else "shut_off"
    stops = []
    if current and course.is_restarted:
        stops = stop_actions(libvirt, current, desired)
        before, state = "shut_off", before if state == "present" else state
    if state not in ("running", "paused") or before == state:
        return stops
    if current and before != "shut_off":
        _power.require_resumable(name, before, current.pause_reason)
    if before == "paused":
        return [_plan.Action(f"resume domain {name}", lambda: libvirt.resume(name), waits=True)]
    if before == "running":
        return [_plan.Action(f"pause domain {name}", lambda: libvirt.suspend(name))]
    used, paused = next_used(current, after), state == "paused"
    words = f"start domain {name}, paused" if paused else f"start domain {name}"
    start = _plan.Action(words, lambda: uses.start(name, used, paused=paused), waits=True)
    return [*stops, start, *([] if paused else wait_actions(desired, after))]


def migration(
    libvirt: _libvirt_jobs.LibvirtJobs,
    current: _domain_record.DomainRecord,
    desired: _vm_params.Desired,
    uses: _vm_uses.VmUses,
    conversion: _vm_conversion.Conversion,
    there: _libvirt_jobs.LibvirtJobs,
) -> _plan.Action:
    """Go to another host, be noted there, and have the disks reached another way on it if that is asked for."""
    name = current.name

    def run() -> None:
        if conversion.carries:
            live = _xml.to_text(conversion.there(libvirt.migratable(name)))
            libvirt.migrate(name, there, live=live, configured=_xml.to_text(conversion.after))
        else:
            libvirt.migrate(name, there)
        uses.note_arrival(there.hostname, name, current.uuid, conversion.after)

    how = f", its disks {', '.join(sorted(conversion.live))} by {conversion.access}" if conversion.carries else ""
    return _plan.Action(f"migrate domain {name} to {desired.host}{how}", run, waits=True)


def next_used(current: _domain_record.DomainRecord | None, after: _xml.Element) -> tuple[_xml.Element, ...]:
    """The configurations whose images the next start takes."""
    return (after,) if current is None or current.saved is None else (after, current.saved)


def stop_actions(
    libvirt: _libvirt_domains.LibvirtDomains, current: _domain_record.DomainRecord, desired: _vm_params.Desired
) -> list[_plan.Action]:
    if not current.is_active:
        return []
    return [
        _plan.Action(
            f"shut down domain {current.name}",
            lambda: libvirt.shut_down(current.name, timeout_s=desired.shutdown_timeout_s, force=desired.force_stop),
            waits=True,
        )
    ]


def wait_actions(desired: _vm_params.Desired, configured: _xml.Element) -> list[_plan.Action]:
    """Wait for the console after a start where that is asked for."""
    if desired.console is None:
        return []
    pattern, timeout_s = desired.console
    path = _domain.from_element(configured).serial_log
    if not path:
        raise ValueError(
            f"domain {desired.domain.name}: wait_for needs the file that the serial console is logged to (serial_log)"
        )
    return [
        _plan.Action(
            f"wait for {pattern!r} on the console of domain {desired.domain.name}",
            lambda: _console.wait_for_line(path, pattern, timeout_s=timeout_s),
            waits=True,
        )
    ]


def shown(configured: _xml.Element, state: str) -> str:
    """A domain for the diff: its power state and its XML, secrets masked."""
    return f"state: {state}\n{_xml.to_text(_domain_facts.masked(configured))}"


def facts(name: str, record: _domain_record.DomainRecord | None) -> dict[str, t.Any]:
    """What the module returns about a domain as it is."""
    if record is None:
        return {"name": name, "uuid": None, "state": "absent", "autostart": False, **_domain_facts.facts(None, None)}
    known = {"name": name, "uuid": record.uuid, "state": record.state, "autostart": record.autostart}
    return {**known, **_domain_facts.facts(record.inactive, record.live)}


def predicted(course: _vm_course.Course) -> dict[str, t.Any]:
    """What it will return when the plan is carried out."""
    current, desired = course.current, course.desired
    name = desired.domain.name
    if course.after is None:
        return facts(name, None)
    autostart = bool(current and current.autostart) if desired.autostart is None else desired.autostart
    known = {"name": name, "uuid": current.uuid if current else None, "state": course.state, "autostart": autostart}
    return {**known, **_domain_facts.facts(course.after, course.running)}
