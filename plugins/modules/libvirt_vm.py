# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_vm
short_description: Keep a libvirt domain whose disks are reached through gfapi
version_added: 0.1.0
description:
  - Defines a domain, edits it in place, and keeps its power state.
  - Images of a storage domain become network disks (libgfapi) that name every server of their volume, spell out
    their backing chain and are never relabelled, so that the domain starts in well under a second and its images stay
    owned by 36:36.
  - An existing domain is changed only at the places named here. What an administrator added by hand stays, and so do
    uuid, MAC and PCI addresses.
  - Takes one domain, or a list of them in O(vms). Those of a list start and stop side by side.
  - A domain is noted as a user of its images in their storage domain, so that M(gfapi.virt.gfapi_disk) and
    M(gfapi.virt.glusterfs_domain) leave them alone on other hosts, and name it.
author:
  - gfapi.virt contributors (@gfapi-virt)
extends_documentation_fragment:
  - gfapi.virt._attributes
  - gfapi.virt._attributes.actiongroup_libvirt
  - gfapi.virt._libvirt
requirements:
  - libvirt 1.0.1 or newer, with a QEMU 1.3 or newer that has the gluster block driver
  - libvirt-python
  - lxml
options:
  vms:
    description:
      - Several domains, each with the options that a single one has.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Name of the domain.
        type: str
        required: true
      <<: &vm
        state:
          description:
            - V(present) defines the domain and leaves its power state alone.
            - V(running) starts it too, or resumes it when it is paused. A domain is not started while another host has
              an image open that it would write to.
            - V(shut_off) asks the guest to power off and waits for it.
            - V(absent) undefines it. Its images stay. A running domain is refused unless O(force_stop=true).
          type: str
          choices: [present, running, shut_off, absent]
          default: present
        memory:
          description:
            - Memory, as in V(2GiB) or V(512MiB). A bare number is MiB.
            - Needed when the domain is first defined.
          type: str
        vcpus:
          description:
            - Number of virtual CPUs. A new domain gets one if none is given.
          type: int
        cpu_mode:
          description:
            - CPU mode. A new KVM domain gets V(host-model) if none is given.
          type: str
          choices: [host-model, host-passthrough, maximum]
        machine:
          description:
            - Machine type. V(q35) and V(pc) mean the newest of their kind and leave a versioned one of that kind be.
            - A new x86_64 domain gets V(q35) if none is given.
          type: str
        virt_type:
          description:
            - V(auto) takes KVM for a new domain where libvirt offers it, and leaves an existing domain as it is.
          type: str
          choices: [auto, kvm, qemu]
          default: auto
        kernel:
          description:
            - Kernel file on the hypervisor, for direct boot.
          type: path
        initrd:
          description:
            - Initial RAM disk on the hypervisor, for direct boot.
          type: path
        cmdline:
          description:
            - Kernel command line, for direct boot.
          type: str
        boot:
          description:
            - What to boot from, in order. A new domain without O(kernel) boots from its first disk.
          type: list
          elements: str
          choices: [hd, network, cdrom]
        disks:
          description:
            - All disks of the domain. A disk that is not listed is taken out of the configuration, its image stays.
            - Leave it out to leave the disks alone. CD-ROM and floppy drives are never touched.
            - Each disk is named by O(vms[].disks[].name), O(vms[].disks[].uri) or O(vms[].disks[].file).
          type: list
          elements: dict
          suboptions:
            storage_domain:
              description:
                - Storage domain of the image, by name, uuid or mount point; else the one of the whole task.
              type: str
            name:
              description:
                - Name of an image in the storage domain.
              type: str
            uri:
              description:
                - Gluster URI of an image outside any storage domain, C(gluster://server/volume/path).
              type: str
            file:
              description:
                - Path of an image file on the hypervisor, for a disk that does not go through gfapi.
              type: path
            format:
              description:
                - Format of the image. Known for an image of a storage domain, needed otherwise, because a format found
                  by looking at the first bytes can be forged by the guest.
              type: str
              choices: [raw, qcow2]
            target:
              description:
                - Target, as in V(vda). A disk without one keeps that of the same image, or gets the next free one.
              type: str
            bus:
              description:
                - Bus. By default the one that the target stands for, and V(virtio) without a target.
              type: str
              choices: [virtio, scsi, sata, ide, usb]
            cache:
              description:
                - Cache mode. V(none) and V(directsync) bypass the page cache of the servers too.
              type: str
              choices: [none, writeback, writethrough, directsync, unsafe]
              default: none
            discard:
              description:
                - Whether what the guest trims is given back.
              type: str
              choices: [unmap, ignore]
              default: unmap
        interfaces:
          description:
            - All network interfaces of the domain, matched by MAC address where given, else by position.
            - Leave it out to leave them alone.
          type: list
          elements: dict
          suboptions:
            type:
              description:
                - Kind of interface.
              type: str
              choices: [network, bridge, user]
              default: network
            source:
              description:
                - Name of the libvirt network or of the bridge. V(user) takes none.
              type: str
            mac:
              description:
                - MAC address. A new interface without one gets one made from the domain's name and its position.
              type: str
            model:
              description:
                - Model. A new interface gets V(virtio) if none is given.
              type: str
        serial_log:
          description:
            - File on the hypervisor that the serial console is logged to, from each start anew.
            - Below C(/var/log/libvirt/qemu) it is rotated with libvirt's own logs.
          type: path
        autostart:
          description:
            - Whether the domain starts with its host.
          type: bool
        shutdown_timeout:
          description:
            - Seconds to wait for the guest to power off.
          type: int
          default: 120
        force_stop:
          description:
            - End a domain that did not power off in time, and allow O(state=absent) for a running one.
          type: bool
          default: false
        wait_for:
          description:
            - What to wait for after a start. A domain that runs already is not waited for.
            - Needs O(serial_log), here or in the domain, and a local O(uri).
          type: dict
          suboptions:
            console:
              description:
                - Regular expression for a line on the serial console.
              type: str
              required: true
            timeout:
              description:
                - Seconds to wait for the line.
              type: int
              default: 120
  # a single domain takes the same options
  <<: *vm
  name:
    description:
      - Name of the domain.
    type: str
  storage_domain:
    description:
      - Storage domain of the disks that name none, by name, uuid or mount point. It must be mounted on this host.
    type: str
  mount_root:
    description:
      - Directory below which storage domains are mounted.
    type: path
    default: /rhev/data-center/mnt/glusterSD
  on_error:
    description:
      - Whether to go on with the other domains of O(vms) after one failed.
    type: str
    choices: [stop, continue]
    default: stop
seealso:
  - module: gfapi.virt.gfapi_disk
  - module: gfapi.virt.libvirt_vm_info
  - name: libvirt's domain XML format
    description: Upstream reference of the elements that this module edits.
    link: https://libvirt.org/formatdomain.html
"""

EXAMPLES = r"""
- name: VM web runs
  gfapi.virt.libvirt_vm:
    name: web
    state: running
    memory: 2GiB
    vcpus: 2
    storage_domain: vms
    disks:
      - name: web-root
    interfaces:
      - type: network
        source: default

- name: Two VMs run, each with a disk
  gfapi.virt.libvirt_vm:
    storage_domain: vms
    vms:
      - name: db1
        state: running
        memory: 4GiB
        disks: [{name: db1-root}, {name: db1-data}]
      - name: db2
        state: running
        memory: 4GiB
        disks: [{name: db2-root}, {name: db2-data}]

- name: VM probe boots a kernel directly, and its console says that it is up
  gfapi.virt.libvirt_vm:
    name: probe
    state: running
    memory: 256MiB
    kernel: /var/lib/images/vmlinuz
    initrd: /var/lib/images/initrd.img
    cmdline: console=ttyS0
    serial_log: /var/log/libvirt/qemu/probe-serial.log
    wait_for:
      console: "login:|ready"
      timeout: 90

- name: VM web is shut down, by force if it does not answer within half a minute
  gfapi.virt.libvirt_vm:
    name: web
    state: shut_off
    shutdown_timeout: 30
    force_stop: true

- name: VM web is gone, its images stay
  gfapi.virt.libvirt_vm:
    name: web
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode, in order.
  returned: always
  type: list
  elements: str
  sample: [define domain web, start domain web]
vm:
  description: The domain after the run, when a single one was asked for.
  returned: when O(name) is given
  type: dict
  contains: &vm
    name:
      description: Name of the domain.
      type: str
      returned: always
      sample: web
    uuid:
      description: UUID; none before the domain is first defined.
      type: str
      returned: always
      sample: 420f72ed-f354-40bb-96f0-fb2dd96d8517
    state:
      description: Power state (V(running), V(paused), V(shut_off), ...), or V(absent).
      type: str
      returned: always
      sample: running
    autostart:
      description: Whether the domain starts with its host.
      type: bool
      returned: always
    disks:
      description: Disks in the configuration.
      type: list
      elements: dict
      returned: always
      sample:
        - target: vda
          source: vmstore/f3a1/images/6b1c/9d20
          uri: gluster://gluster1/vmstore/f3a1/images/6b1c/9d20
          uris: ["gluster://gluster1/vmstore/f3a1/images/6b1c/9d20"]
          format: qcow2
          serial: 6b1c
    interfaces:
      description: Network interfaces in the configuration.
      type: list
      elements: dict
      returned: always
      sample: [{type: network, source: default, mac: "52:54:00:04:e6:22", model: virtio}]
    restart_required:
      description: What differs between the running domain and its configuration, and so takes a restart.
      type: list
      elements: str
      returned: always
      sample: ["memory: takes effect at the next start"]
vms:
  description: The domains after the run, in the order of O(vms), each with C(changed) and C(actions), and on failure
    C(failed) and C(msg).
  returned: when O(vms) is given
  type: list
  elements: dict
  contains: *vm
"""

import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils import _domain, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._console import wait_for_line
from ansible_collections.gfapi.virt.plugins.module_utils._disk import Disk, DiskSource, gluster_disk
from ansible_collections.gfapi.virt.plugins.module_utils._domain import Domain, Interface
from ansible_collections.gfapi.virt.plugins.module_utils._domain_record import DomainRecord
from ansible_collections.gfapi.virt.plugins.module_utils._host import Host
from ansible_collections.gfapi.virt.plugins.module_utils._image_source import ImageSources, Servers
from ansible_collections.gfapi.virt.plugins.module_utils._libvirt import Libvirt
from ansible_collections.gfapi.virt.plugins.module_utils._module import Params, run
from ansible_collections.gfapi.virt.plugins.module_utils._plan import Action, Item, Plan
from ansible_collections.gfapi.virt.plugins.module_utils._requirements import DRIVER_PACKAGES
from ansible_collections.gfapi.virt.plugins.module_utils._storage import Storage
from ansible_collections.gfapi.virt.plugins.module_utils._uri import GlusterURI
from ansible_collections.gfapi.virt.plugins.module_utils._vm_uses import VmUses

DISK_SPEC = {
    "storage_domain": {"type": "str"},
    "name": {"type": "str"},
    "uri": {"type": "str"},
    "file": {"type": "path"},
    "format": {"type": "str", "choices": ["raw", "qcow2"]},
    "target": {"type": "str"},
    "bus": {"type": "str", "choices": ["virtio", "scsi", "sata", "ide", "usb"]},
    "cache": {
        "type": "str",
        "choices": ["none", "writeback", "writethrough", "directsync", "unsafe"],
        "default": "none",
    },
    "discard": {"type": "str", "choices": ["unmap", "ignore"], "default": "unmap"},
}
INTERFACE_SPEC = {
    "type": {"type": "str", "choices": ["network", "bridge", "user"], "default": "network"},
    "source": {"type": "str"},
    "mac": {"type": "str"},
    "model": {"type": "str"},
}
VM_SPEC = {
    "name": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "running", "shut_off", "absent"], "default": "present"},
    "memory": {"type": "str"},
    "vcpus": {"type": "int"},
    "cpu_mode": {"type": "str", "choices": ["host-model", "host-passthrough", "maximum"]},
    "machine": {"type": "str"},
    "virt_type": {"type": "str", "choices": ["auto", "kvm", "qemu"], "default": "auto"},
    "kernel": {"type": "path"},
    "initrd": {"type": "path"},
    "cmdline": {"type": "str"},
    "boot": {"type": "list", "elements": "str", "choices": ["hd", "network", "cdrom"]},
    "disks": {
        "type": "list",
        "elements": "dict",
        "options": DISK_SPEC,
        "mutually_exclusive": [("name", "uri", "file")],
        "required_one_of": [("name", "uri", "file")],
    },
    "interfaces": {"type": "list", "elements": "dict", "options": INTERFACE_SPEC},
    "serial_log": {"type": "path"},
    "autostart": {"type": "bool"},
    "shutdown_timeout": {"type": "int", "default": 120},
    "force_stop": {"type": "bool", "default": False},
    "wait_for": {
        "type": "dict",
        "options": {"console": {"type": "str", "required": True}, "timeout": {"type": "int", "default": 120}},
    },
}
ARGUMENT_SPEC = {
    **VM_SPEC,
    "vms": {"type": "list", "elements": "dict", "options": {**VM_SPEC, "name": {"type": "str", "required": True}}},
    "storage_domain": {"type": "str"},
    "mount_root": {"type": "path", "default": "/rhev/data-center/mnt/glusterSD"},
    "uri": {"type": "str", "default": "qemu:///system"},
    "on_error": {"type": "str", "choices": ["stop", "continue"], "default": "stop"},
}


@dataclass(frozen=True)
class Desired:
    """What is asked of one domain. `console` is the pattern to wait for after a start, with its time limit."""

    domain: Domain
    state: str
    autostart: bool | None
    shutdown_timeout_s: int
    force_stop: bool
    console: tuple[str, int] | None


def disk_from(entry: Params, images: ImageSources, storage_domain: str | None) -> Disk:
    """One entry of `disks`, its image looked up."""
    target, bus, cache, discard = (entry[key] for key in ("target", "bus", "cache", "discard"))
    if target and not re.fullmatch(r"[a-z]{3,8}", target):
        raise ValueError(f"target {target!r} is not a target, as in vda")
    if entry["name"]:
        place = entry["storage_domain"] or storage_domain
        if not place:
            raise ValueError(f"disk {entry['name']}: name the storage domain that the image is in (storage_domain)")
        image = images.find(place, entry["name"])
        return gluster_disk(
            image.source,
            image.format,
            target=target or "",
            bus=bus,
            serial=image.image_uuid,
            backing=image.backing,
            cache=cache,
            discard=discard,
        )
    where = entry["uri"] or entry["file"]
    if not entry["format"]:
        raise ValueError(f"disk {where}: name its format (raw or qcow2); a guest can forge what would be guessed")
    if entry["uri"]:
        source = DiskSource.from_uri(GlusterURI.parse(where))
        return gluster_disk(source, entry["format"], target=target or "", bus=bus, cache=cache, discard=discard)
    return Disk(DiskSource(file=where), target or "", entry["format"], bus, cache=cache, discard=discard)


def interface_from(entry: Params) -> Interface:
    """One entry of `interfaces`."""
    if (entry["type"] == "user") == bool(entry["source"]):
        need = "takes no source" if entry["type"] == "user" else f"needs the name of a {entry['type']} as its source"
        raise ValueError(f"interface of type {entry['type']} {need}")
    if entry["mac"] and not re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", entry["mac"]):
        raise ValueError(f"interface: mac {entry['mac']!r} is not a MAC address, as in 52:54:00:12:34:56")
    return Interface(**{key: entry[key] for key in ("type", "source", "mac", "model")})


def desired_from(vm: Params, images: ImageSources, storage_domain: str | None) -> Desired:
    """One domain's parameters in normal form."""
    disks, interfaces = vm["disks"], vm["interfaces"]
    if vm["vcpus"] is not None and vm["vcpus"] < 1:
        raise ValueError(f"domain {vm['name']}: vcpus {vm['vcpus']} is less than 1")
    keep_disks = disks is None or vm["state"] == "absent"
    domain = Domain(
        name=require_domain_name(vm["name"]),
        type=None if vm["virt_type"] == "auto" else vm["virt_type"],
        memory_kib=None if vm["memory"] is None else _domain.parse_memory_kib(vm["memory"]),
        boot=None if vm["boot"] is None else tuple(vm["boot"]),
        disks=None if keep_disks else tuple(disk_from(entry, images, storage_domain) for entry in disks),
        interfaces=None if interfaces is None else tuple(interface_from(entry) for entry in interfaces),
        **{key: vm[key] for key in ("vcpus", "machine", "kernel", "initrd", "cmdline", "cpu_mode", "serial_log")},
    )
    wait_for = vm["wait_for"]
    console = (require_pattern(wait_for["console"]), wait_for["timeout"]) if wait_for else None
    return Desired(domain, vm["state"], vm["autostart"], vm["shutdown_timeout"], vm["force_stop"], console)


def require_pattern(text: str) -> str:
    """The text, if it is a regular expression."""
    try:
        re.compile(text)
    except re.error as exc:
        raise ValueError(f"wait_for: console {text!r} is not a regular expression: {exc}") from None
    return text


def require_domain_name(name: str) -> str:
    """The name, if libvirt can hold it: no slash, no newline, not blank."""
    if not name or "/" in name or not name.isprintable() or name != name.strip():
        raise ValueError(f"domain name {name!r} must be printable, without slashes and blanks at its ends")
    return name


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


def on_host(params: Params) -> Item | list[Item]:
    """The domains with their plans, on this host."""
    libvirt, storage = Libvirt(params["uri"]), Storage(mount_root=params["mount_root"])
    return make_items(params, libvirt, ImageSources(storage, Servers()), Host(), VmUses(storage, libvirt))


def main() -> None:
    run(
        on_host,
        ARGUMENT_SPEC,
        one="vm",
        many="vms",
        libraries=["lxml", "libvirt"],
        mutually_exclusive=[("name", "vms")],
        required_one_of=[("name", "vms")],
    )


if __name__ == "__main__":
    main()
