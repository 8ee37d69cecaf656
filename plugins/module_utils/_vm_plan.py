# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: a libvirt domain as it is and as it is asked for, and the storage domains of its images."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import _domain, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._console import wait_for_line
from ansible_collections.gfapi.virt.plugins.module_utils._domain import Domain
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord
from ansible_collections.gfapi.virt.plugins.module_utils._host import Host
from ansible_collections.gfapi.virt.plugins.module_utils._image_source import ImageSources
from ansible_collections.gfapi.virt.plugins.module_utils._libvirt import Libvirt
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Action, Item, Plan
from ansible_collections.gfapi.virt.plugins.module_utils._requirements import DRIVER_PACKAGES
from ansible_collections.gfapi.virt.plugins.module_utils._vm_params import Desired, Params, desired_from
from ansible_collections.gfapi.virt.plugins.module_utils._vm_uses import VmUses


def configuration(libvirt: Libvirt, current: DomainRecord | None, wanted: Domain) -> _xml.Element:
    """The domain's next configuration."""
    old = _domain.from_element(current.inactive).disks if current else ()
    if wanted.disks is not None:
        drives = _domain.drive_targets(current.inactive) if current else ()
        wanted = replace(wanted, disks=_domain.place_disks(wanted.disks, old or (), drives=drives))
    if current:
        return _domain.edited(current.inactive, wanted)
    arch = libvirt.host_architecture()
    return _domain.new_element(_domain.with_defaults(wanted, arch=arch, has_kvm=libvirt.has_kvm(arch)))


def plan_absent(libvirt: Libvirt, current: DomainRecord | None, desired: Desired) -> Plan:
    """Undefine, after an allowed stop."""
    if current is None:
        return Plan("", "")
    name = current.name
    if current.is_active and not desired.force_stop:
        raise ValueError(
            f"domain {name} is {current.state}; shut it down first (state: shut_off), or allow it with force_stop: true"
        )
    actions = stop_actions(libvirt, current, desired)
    if current.persistent:
        actions.append(Action(f"undefine domain {name}", lambda: libvirt.undefine(name), waits=current.is_active))
    return Plan(shown(current.inactive, current.state), "", tuple(actions))


def plan_vm(
    libvirt: Libvirt, current: DomainRecord | None, desired: Desired, uses: VmUses
) -> tuple[Plan, _xml.Element | None]:
    """The plan for one domain, and its configuration afterwards."""
    if desired.state == "absent":
        return plan_absent(libvirt, current, desired), None
    name = desired.domain.name
    after = configuration(libvirt, current, desired.domain)
    actions = []
    if current is None:
        actions.append(Action(f"define domain {name}", lambda: libvirt.define(after)))
    else:
        fields = _domain.differing_fields(current.inactive, after)
        if fields and current.saved is not None:
            raise ValueError(
                f"domain {name} would change ({', '.join(fields)}) but has a managed save, which goes on as it was;"
                f" start it first as it is, or drop the save (virsh managedsave-remove {name})"
            )
        if fields:
            actions.append(Action(f"change {', '.join(fields)} of domain {name}", lambda: libvirt.define(after)))
    autostart = bool(current and current.autostart)
    if desired.autostart not in (None, autostart):
        word = "enable" if desired.autostart else "disable"
        switch = bool(desired.autostart)
        actions.append(
            Action(f"{word} autostart of domain {name}", lambda: libvirt.set_autostart(name, autostart=switch))
        )
    actions.extend(power_actions(libvirt, current, desired, after, uses))
    before = shown(current.inactive, current.state) if current else ""
    return Plan(before, shown(after, state_after(current, desired)), tuple(actions)), after


def power_actions(
    libvirt: Libvirt, current: DomainRecord | None, desired: Desired, after: _xml.Element, uses: VmUses
) -> list[Action]:
    """From the power state that is to the one asked for."""
    name = desired.domain.name
    if desired.state == "shut_off" and current:
        return stop_actions(libvirt, current, desired)
    if desired.state != "running" or (current and current.state == "running"):
        return []
    if current and current.state == "paused":
        return [Action(f"resume domain {name}", lambda: libvirt.resume(name), waits=True)]
    used = next_used(current, after)
    return [Action(f"start domain {name}", lambda: uses.start(name, used), waits=True), *wait_actions(desired, after)]


def next_used(current: DomainRecord | None, after: _xml.Element) -> tuple[_xml.Element, ...]:
    """The configurations whose images the next start takes."""
    return (after,) if current is None or current.saved is None else (after, current.saved)


def stop_actions(libvirt: Libvirt, current: DomainRecord, desired: Desired) -> list[Action]:
    if not current.is_active:
        return []
    return [
        Action(
            f"shut down domain {current.name}",
            lambda: libvirt.shut_down(current.name, timeout_s=desired.shutdown_timeout_s, force=desired.force_stop),
            waits=True,
        )
    ]


def wait_actions(desired: Desired, configured: _xml.Element) -> list[Action]:
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
        Action(
            f"wait for {pattern!r} on the console of domain {desired.domain.name}",
            lambda: wait_for_line(path, pattern, timeout_s=timeout_s),
            waits=True,
        )
    ]


def state_after(current: DomainRecord | None, desired: Desired) -> str:
    return desired.state if desired.state != "present" else current.state if current else "shut_off"


def shown(configured: _xml.Element, state: str) -> str:
    """A domain for the diff: its power state and its XML, secrets masked."""
    return f"state: {state}\n{_xml.to_text(_domain.masked(configured))}"


def facts(name: str, state: str, record: DomainRecord | None, configured: _xml.Element | None) -> dict[str, t.Any]:
    """What the module returns about a domain."""
    if configured is None:
        return {"name": name, "uuid": None, "state": "absent", "autostart": False, **_domain.facts(None, None)}
    live = record.live if record and state in ("running", "paused") else None
    return {
        "name": name,
        "uuid": record.uuid if record else None,
        "state": state,
        "autostart": bool(record and record.autostart),
        **_domain.facts(configured, live),
    }


class RunningImages:
    """Which domain of this host writes to which image. QEMU takes no lock on a gluster image, so nobody else asks."""

    def __init__(self, libvirt: Libvirt) -> None:
        self._libvirt = libvirt
        self._users: dict[str, str] | None = None

    def claim(self, name: str, configured: _xml.Element) -> None:
        """Raises `ValueError` where a domain that is to start shares an image with one that runs, or is to."""
        users = self._read() if self._users is None else self._users
        images = _domain.written_images(configured)
        for image in sorted(images):
            if users.get(image, name) != name:
                raise ValueError(
                    f"domain {name} cannot start: domain {users[image]} writes to image {image}, and two would destroy"
                    " it; shut that one down first, or give each its own disk"
                )
        self._users = {**users, **dict.fromkeys(images, name)}

    def _read(self) -> dict[str, str]:
        return {
            image: record.name
            for record in self._libvirt.domains()
            for configuration in (record.live, record.saved)
            if configuration is not None
            for image in _domain.written_images(configuration)
        }


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


def item_for(libvirt: Libvirt, desired: Desired, running: RunningImages, uses: VmUses) -> Item:
    """One domain with its plan."""
    name = desired.domain.name
    current = libvirt.domain(name)
    plan, configured = plan_vm(libvirt, current, desired, uses)
    if desired.state == "running" and configured is not None and not (current and current.is_active):
        running.claim(name, configured)
        uses.require_startable(name, next_used(current, configured))
    plan = uses.noting(plan, current, configured, stops=desired.state in ("shut_off", "absent"))

    def read() -> dict[str, t.Any]:
        now = libvirt.domain(name)
        return facts(name, now.state if now else "absent", now, now.inactive if now else None)

    predicted = facts(name, state_after(current, desired), current, configured)
    if configured is not None and desired.autostart is not None:
        predicted["autostart"] = desired.autostart
    return Item(name, plan, predicted, read, warnings_for(current, configured))


def require_driver(host: Host, items: t.Sequence[Item]) -> None:
    """Raises `ValueError` before anything is changed where a gluster disk would be used and QEMU lacks the driver."""
    users = [item.name for item in items if item.plan.changed and any(disk["uri"] for disk in item.predicted["disks"])]
    present, words = host.gluster_driver() if users else (True, "")
    if not present:
        raise ValueError(
            f"domain {', '.join(users)}: QEMU on this host has no gluster block driver ({words});"
            f" install {DRIVER_PACKAGES}"
        )


def make_items(params: Params, libvirt: Libvirt, images: ImageSources, host: Host, uses: VmUses) -> Item | list[Item]:
    """Parameters → the domains with their plans, everything looked up before anything is changed."""
    wanted = params["vms"] if params["vms"] is not None else [params]
    desired = [desired_from(vm, images, params["storage_domain"]) for vm in wanted]
    names = [one.domain.name for one in desired]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ValueError(f"domain {', '.join(doubled)} is listed twice in vms; list each once")
    running = RunningImages(libvirt)
    items = [item_for(libvirt, one, running, uses) for one in desired]
    items = [replace(item, warnings=(*item.warnings, *images.warnings)) for item in items]
    if not libvirt.is_remote:
        require_driver(host, items)
    return items if params["vms"] is not None else items[0]
