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
  - A running domain gets at once what it can have without a restart, as disks, interfaces, media, limits, passwords of
    displays, and memory and processors where there is room for more. The rest is named in RV(vm.restart_required).
  - Takes one domain, or a list of them in O(vms). Those of a list start and stop side by side.
  - With a O(uri) of another host it defines, changes, starts, stops and undefines there. Disks are named by
    O(vms[].disks[].uri) or O(vms[].disks[].file) then, for what needs the mount of a storage domain or a file of the
    hypervisor has to run on it, which is an error that says so. Such a domain is not noted as the next paragraph says.
  - Runs that work on one domain from the same host go one after the other, also a check. One that has waited for 300 s
    fails, naming it.
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
  - pycdlib, for O(cloud_init)
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
            - V(running) starts it too, or resumes it when it is paused, also by storage trouble that is over. It is not
              started while another host has an image open that it would write to.
            - V(paused) starts it with its processors stopped, or stops those of a running one.
            - V(shut_off) asks the guest to power off and waits for it.
            - V(absent) undefines it. Its images stay unless O(delete_disks=true). A running domain is refused unless
              O(force_stop=true).
          type: str
          choices: [present, running, paused, shut_off, absent]
          default: present
        host:
          description:
            - The hypervisor to run on, with O(state=running). A domain that runs here is migrated there live, with its
              configuration and O(autostart), and is no longer defined here. One that is shut off here is started first.
              Whatever fails, it runs on where it was.
            - A host name stands for C(qemu+ssh://HOST/system). A libvirt URI is taken as it is, as in
              C(qemu+ssh://root@hv2/system?keyfile=/root/.ssh/id_hv2). This host, or the one that O(uri) is reached
              from, connects to it; the hypervisors need no keys for each other. QEMU itself goes from one to the other
              by TCP, ports 49152 and up.
            - Once it is there, the same task keeps it true there.
          type: str
        access:
          description:
            - How the domain's images on Gluster are reached. V(gfapi) makes network disks (libgfapi), V(fuse) files on
              the mount of the volume. Both also have the disks go over that O(vms[].disks) does not name and that an
              existing domain reaches the other way. Files on B(any) gluster mount of the host are found, be it one of
              ours or not.
            - V(auto) is V(gfapi) for the images of O(vms[].disks) where QEMU has the gluster driver, and V(fuse), with
              a warning that says why, where it has not. It leaves other disks as they are.
            - Before a file is reached through libgfapi, its length is brought up to a multiple of 4096 bytes, and it is
              given to 36:36 with mode 0660.
          type: str
          choices: [auto, gfapi, fuse]
          default: auto
        convert:
          description:
            - How a B(running) domain goes over to what O(vms[].access) asks for. Afterwards QEMU is asked how it really
              reaches each disk. A conversion that fails leaves the domain as it was, running.
            - V(on_restart) changes the configuration. The next start brings it, at once with
              O(vms[].restart=if_required), else RV(vms[].restart_required) names the disks. The files stay where they
              are.
            - V(live_migrate) has the domain go to another hypervisor (O(vms[].host)), whose QEMU reaches the same files
              the other way. The guest notices nothing.
            - V(block_copy) copies each such disk of the running domain into a B(new) image, called C(DOMAIN-TARGET), in
              O(storage_domain), and has the domain go on with that. The old files are kept, unless
              O(vms[].delete_source=true).
          type: str
          choices: [on_restart, live_migrate, block_copy]
          default: on_restart
        delete_source:
          description:
            - After O(vms[].convert=block_copy), delete the files that were copied, once QEMU has been seen to use the
              new images and the configuration names them. An image of a storage domain is left for
              M(gfapi.virt.gfapi_disk) to delete.
          type: bool
          default: false
        title:
          description:
            - Title of the domain, one line.
          type: str
        description:
          description:
            - Description of the domain.
          type: str
        metadata:
          description:
            - Names and values that are kept with the domain, in a namespace of their own, C(urn:gfapi.virt:vm:1).
              Metadata of other programs stay as they are.
          type: dict
        memory:
          description:
            - Memory that the guest has, as in V(2GiB) or V(512MiB). A bare number is MiB.
            - Needed when the domain is first defined.
          type: str
        memory_max:
          description:
            - Memory that the guest can be given while it runs. Without it a domain keeps what room it has.
          type: str
        vcpus:
          description:
            - Number of virtual CPUs that the guest has. A new domain gets one if none is given.
          type: int
        vcpus_max:
          description:
            - Number of virtual CPUs that the guest can be given while it runs. Without it a domain keeps what room it
              has.
          type: int
        cpu_mode:
          description:
            - CPU mode. A new KVM domain gets V(host-model) if none is given.
          type: str
          choices: [host-model, host-passthrough, maximum, custom]
        cpu_model:
          description:
            - CPU model by libvirt's name, for O(vms[].cpu_mode=custom), as in V(Haswell).
          type: str
        cpu_topology:
          description:
            - What the guest sees of the processors. Their product is O(vms[].vcpus_max), or else O(vms[].vcpus).
          type: dict
          suboptions:
            sockets:
              description:
                - Number of sockets.
              type: int
              default: 1
            cores:
              description:
                - Cores in a socket.
              type: int
              default: 1
            threads:
              description:
                - Threads of a core.
              type: int
              default: 1
        iothreads:
          description:
            - Number of threads of QEMU that serve disks, see O(vms[].disks[].iothread).
          type: int
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
        firmware:
          description:
            - Kind of firmware. libvirt chooses the file. The one that an existing domain names goes when the kind
              changes.
          type: str
          choices: [bios, uefi]
        secure_boot:
          description:
            - Whether a domain with O(vms[].firmware=uefi) starts signed systems only, by keys that the firmware has.
          type: bool
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
            - All disks of the domain. A disk that is not listed is taken out, its image stays. A running guest loses it
              at once, unless it is the first one, or the one that was booted from.
            - Leave it out to leave the disks alone. CD-ROM drives that are not listed, and floppy drives, are never
              touched.
            - Each disk is named by O(vms[].disks[].name), O(vms[].disks[].uri) or O(vms[].disks[].file).
          type: list
          elements: dict
          suboptions:
            device:
              description:
                - V(cdrom) is a CD-ROM drive, whose medium is reached through the mount. Without a name or a file it is
                  empty.
              type: str
              choices: [disk, cdrom]
              default: disk
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
                - Gluster URI of an image outside any storage domain, C(gluster://server/volume/path), without empty
                  steps, C(.) and C(..) in the path.
              type: str
            file:
              description:
                - Path of an image file on the hypervisor, for a disk that does not go through gfapi. One that is a link
                  to an image, or leads through one, counts as that image for all who ask whether it is in use.
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
            serial:
              description:
                - Serial number that the guest sees. An image of a storage domain has its uuid for one.
              type: str
            boot_order:
              description:
                - Place in the order of devices to boot from, 1 first. It excludes O(vms[].boot).
              type: int
            queues:
              description:
                - Number of queues of a disk on the V(virtio) bus. For the V(scsi) bus see O(vms[].scsi_queues).
              type: int
            iothread:
              description:
                - Which of O(vms[].iothreads) serves a disk on the V(virtio) bus, 1 for the first.
              type: int
            iotune:
              description:
                - Limits by libvirt's names, as in C(total_iops_sec) or C(read_bytes_sec), of which bytes may be sizes
                  (V(100MiB)). An empty one takes them away.
              type: dict
            shareable:
              description:
                - Whether several domains may write to it at once. Only a cluster file system survives that.
                - Each of them has to say so, and the image has to be V(raw). Of a VM on another host it is not known.
              type: bool
        scsi_queues:
          description:
            - Number of queues of the virtio-scsi controller.
          type: int
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
              choices: [network, bridge, direct, user]
              default: network
            source:
              description:
                - Name of the libvirt network, of the bridge, or of the host's device for V(direct). V(user) takes none.
              type: str
            mode:
              description:
                - Mode of a V(direct) one; V(bridge) if none is given.
              type: str
              choices: [bridge, vepa, private, passthrough]
            mac:
              description:
                - MAC address. A new interface without one gets one made from the domain's name and its position.
              type: str
            model:
              description:
                - Model. A new interface gets V(virtio) if none is given.
              type: str
            queues:
              description:
                - Number of queues.
              type: int
            boot_order:
              description:
                - Place in the order of devices to boot from, 1 first. It excludes O(vms[].boot).
              type: int
        graphics:
          description:
            - All displays of the domain. Leave it out to leave them alone. A domain's first one brings a video card.
          type: list
          elements: dict
          suboptions:
            type:
              description:
                - Kind of display.
              type: str
              choices: [vnc, spice]
              default: vnc
            listen:
              description:
                - Address of the host to listen at. libvirt's own default is C(127.0.0.1).
              type: str
            port:
              description:
                - Port, or V(0) for one that libvirt chooses at each start.
              type: int
            password:
              description:
                - Password, at most 8 characters for VNC. It is shown nowhere. An empty one takes it away.
              type: str
        serial_log:
          description:
            - File on the hypervisor that the serial console is logged to, from each start anew.
            - Below C(/var/log/libvirt/qemu) it is rotated with libvirt's own logs.
          type: path
        guest_agent:
          description:
            - Whether there is a channel for the guest agent of QEMU.
          type: bool
        rng:
          description:
            - Whether the guest gets entropy from the host. A new domain does if nothing is said.
          type: bool
        balloon:
          description:
            - Whether memory can be taken from the guest and given back. A new domain has that if nothing is said.
          type: bool
        tpm:
          description:
            - Version of an emulated TPM.
            - With disks on gfapi, swtpm must run as QEMU's user, which C(swtpm_user) and C(swtpm_group) of
              C(/etc/libvirt/qemu.conf) say.
          type: str
          choices: [none, "1.2", "2.0"]
        watchdog:
          description:
            - What is done with a guest that does not answer its watchdog.
          type: str
          choices: [none, reset, poweroff, shutdown, pause, dump, inject-nmi]
        cloud_init:
          description:
            - What cloud-init of the guest finds on a CD-ROM of its own (NoCloud), made anew when it changes. It is read
              when the guest boots.
            - The medium lies in C(.gfapi-seeds) on the mount of the domain's first image, where every hypervisor finds
              it, else in C(/var/lib/libvirt/gfapi-seeds). It goes with the domain.
            - Needs the Python library C(pycdlib) on the hypervisor.
          type: dict
          suboptions:
            user_data:
              description:
                - Text of the user data, as from V(#cloud-config) on. It is shown nowhere.
              type: str
              required: true
            meta_data:
              description:
                - Text of the meta data. Without it the domain's name is both the instance's id and its host name.
              type: str
            network_config:
              description:
                - Text of the network configuration.
              type: str
        xml_overrides:
          description:
            - What no option of this module says, at places of the domain's XML below C(<domain>).
            - Values are compared as libvirt prints them, so write them as C(virsh dumpxml --inactive) shows them.
          type: list
          elements: dict
          suboptions:
            path:
              description:
                - Names of elements with what attributes they have, and of an attribute in the end, as in
                  V(features/hyperv/relaxed/@state) or V(devices/controller[@type='usb']/@model). What lacks is made.
              type: str
              required: true
            value:
              description:
                - Value of the attribute, or text of the element.
              type: str
            xml:
              description:
                - An element that is to be below the path. One that says all of it already, and more, is left as it is.
              type: str
            state:
              description:
                - V(absent) takes out what the path finds.
              type: str
              choices: [present, absent]
              default: present
        autostart:
          description:
            - Whether the domain starts with its host.
          type: bool
        live:
          description:
            - Whether a running domain gets at once what it can. The rest waits for its next start.
          type: bool
          default: true
        restart:
          description:
            - Whether a running domain is shut down and started for what it cannot get otherwise.
            - With O(state=running), the next run starts a domain that a run which was killed between the two has left
              shut off.
          type: str
          choices: [never, if_required]
          default: never
        shutdown_timeout:
          description:
            - Seconds to wait for the guest to power off. A paused guest does not answer, and is not waited for.
            - V(0) with O(force_stop=true) ends it at once, without asking it.
          type: int
          default: 120
        force_stop:
          description:
            - End a domain that did not power off in time, and allow O(state=absent) for a running one, and for one with
              a managed save, which goes with it.
          type: bool
          default: false
        delete_disks:
          description:
            - With O(state=absent), delete the images that the domain writes to, in storage domains mounted on this
              host, before it is undefined.
            - Refused by name, before anything is changed, while another domain uses one of them, or is to have it by
              the same list, or a clone builds on it, on any host as far as that is known. Read-only and shareable disks
              stay, and so do images outside any storage domain.
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

- name: VM web has a second disk with limits at once, and more processors after its next start
  gfapi.virt.libvirt_vm:
    name: web
    vcpus: 4
    storage_domain: vms
    disks:
      - name: web-root
      - name: web-data
        iotune: {total_iops_sec: 500}
  register: web

- name: What of VM web waits for its next start
  ansible.builtin.debug:
    var: web.vm.restart_required

- name: VM app1 boots with secure boot from a CD-ROM, has a TPM and a display with a password
  gfapi.virt.libvirt_vm:
    name: app1
    memory: 4GiB
    firmware: uefi
    secure_boot: true
    tpm: "2.0"
    guest_agent: true
    storage_domain: vms
    disks:
      - name: app1-root
        boot_order: 2
      - device: cdrom
        file: /var/lib/images/installer.iso
        boot_order: 1
    graphics:
      - type: vnc
        password: "{{ app1_password }}"

- name: VM app2 is told its user's key by cloud-init
  gfapi.virt.libvirt_vm:
    name: app2
    memory: 1GiB
    storage_domain: vms
    disks:
      - name: app2-root
    cloud_init:
      user_data: |
        #cloud-config
        ssh_authorized_keys:
          - {{ app_key }}
      network_config: |
        version: 2
        ethernets:
          all:
            match: {name: "en*"}
            dhcp4: true

- name: VM web hides from its guest that it is one
  gfapi.virt.libvirt_vm:
    name: web
    xml_overrides:
      - path: features/kvm/hidden/@state
        value: "on"

- name: VM web is shut down, by force if it does not answer within half a minute
  gfapi.virt.libvirt_vm:
    name: web
    state: shut_off
    shutdown_timeout: 30
    force_stop: true

- name: VM web reaches its disks through gfapi, whatever it was defined with
  gfapi.virt.libvirt_vm:
    name: web
    access: gfapi
    restart: if_required

- name: VM web runs on the second hypervisor; from the first one it goes there live
  gfapi.virt.libvirt_vm:
    name: web
    state: running
    host: hv2

- name: VM far is shut off from the controller, without Ansible on its hypervisor
  gfapi.virt.libvirt_vm:
    uri: qemu+ssh://root@kvm1/system
    name: far
    state: shut_off
  delegate_to: localhost

- name: VM web is gone, its images stay
  gfapi.virt.libvirt_vm:
    name: web
    state: absent

- name: VM test is gone with its images, though it runs
  gfapi.virt.libvirt_vm:
    name: test
    state: absent
    force_stop: true
    delete_disks: true
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
      sample:
        - {type: network, source: default, mac: "52:54:00:04:e6:22", model: virtio, mode: null, queues: 2}
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

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _host,
    _image_paths,
    _image_source,
    _libvirt_jobs,
    _module,
    _plan,
    _seeds,
    _storage,
    _turns,
    _vm_items,
    _vm_uses,
)

DISK_SPEC = {
    "device": {"type": "str", "choices": ["disk", "cdrom"], "default": "disk"},
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
    "serial": {"type": "str"},
    "boot_order": {"type": "int"},
    "queues": {"type": "int"},
    "iothread": {"type": "int"},
    "iotune": {"type": "dict"},
    "shareable": {"type": "bool"},
}
INTERFACE_SPEC = {
    "type": {"type": "str", "choices": ["network", "bridge", "direct", "user"], "default": "network"},
    "source": {"type": "str"},
    "mode": {"type": "str", "choices": ["bridge", "vepa", "private", "passthrough"]},
    "mac": {"type": "str"},
    "model": {"type": "str"},
    "queues": {"type": "int"},
    "boot_order": {"type": "int"},
}
GRAPHICS_SPEC = {
    "type": {"type": "str", "choices": ["vnc", "spice"], "default": "vnc"},
    "listen": {"type": "str"},
    "port": {"type": "int"},
    "password": {"type": "str", "no_log": True},
}
OVERRIDE_SPEC = {
    "path": {"type": "str", "required": True},
    "value": {"type": "str"},
    "xml": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
VM_SPEC = {
    "name": {"type": "str"},
    "state": {
        "type": "str",
        "choices": ["present", "running", "paused", "shut_off", "absent"],
        "default": "present",
    },
    "host": {"type": "str"},
    "access": {"type": "str", "choices": ["auto", "gfapi", "fuse"], "default": "auto"},
    "convert": {"type": "str", "choices": ["on_restart", "live_migrate", "block_copy"], "default": "on_restart"},
    "delete_source": {"type": "bool", "default": False},
    "title": {"type": "str"},
    "description": {"type": "str"},
    "metadata": {"type": "dict"},
    "memory": {"type": "str"},
    "memory_max": {"type": "str"},
    "vcpus": {"type": "int"},
    "vcpus_max": {"type": "int"},
    "cpu_mode": {"type": "str", "choices": ["host-model", "host-passthrough", "maximum", "custom"]},
    "cpu_model": {"type": "str"},
    "cpu_topology": {
        "type": "dict",
        "options": {name: {"type": "int", "default": 1} for name in ("sockets", "cores", "threads")},
    },
    "iothreads": {"type": "int"},
    "machine": {"type": "str"},
    "virt_type": {"type": "str", "choices": ["auto", "kvm", "qemu"], "default": "auto"},
    "firmware": {"type": "str", "choices": ["bios", "uefi"]},
    "secure_boot": {"type": "bool"},
    "kernel": {"type": "path"},
    "initrd": {"type": "path"},
    "cmdline": {"type": "str"},
    "boot": {"type": "list", "elements": "str", "choices": ["hd", "network", "cdrom"]},
    "disks": {
        "type": "list",
        "elements": "dict",
        "options": DISK_SPEC,
        "mutually_exclusive": [("name", "uri", "file")],
    },
    "scsi_queues": {"type": "int"},
    "interfaces": {"type": "list", "elements": "dict", "options": INTERFACE_SPEC},
    "graphics": {"type": "list", "elements": "dict", "options": GRAPHICS_SPEC},
    "serial_log": {"type": "path"},
    "guest_agent": {"type": "bool"},
    "rng": {"type": "bool"},
    "balloon": {"type": "bool"},
    "tpm": {"type": "str", "choices": ["none", "1.2", "2.0"]},
    "watchdog": {
        "type": "str",
        "choices": ["none", "reset", "poweroff", "shutdown", "pause", "dump", "inject-nmi"],
    },
    "cloud_init": {
        "type": "dict",
        "options": {
            "user_data": {"type": "str", "required": True, "no_log": True},
            "meta_data": {"type": "str"},
            "network_config": {"type": "str", "no_log": True},
        },
    },
    "xml_overrides": {"type": "list", "elements": "dict", "options": OVERRIDE_SPEC},
    "autostart": {"type": "bool"},
    "live": {"type": "bool", "default": True},
    "restart": {"type": "str", "choices": ["never", "if_required"], "default": "never"},
    "shutdown_timeout": {"type": "int", "default": 120},
    "force_stop": {"type": "bool", "default": False},
    "delete_disks": {"type": "bool", "default": False},
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


def on_host(params: _module.Params) -> _plan.Item | list[_plan.Item]:
    """The domains with their plans, on this host."""
    names = [vm["name"] for vm in ([params] if params["vms"] is None else params["vms"])]
    libvirt, storage = _libvirt_jobs.LibvirtJobs(params["uri"]), _storage.Storage(mount_root=params["mount_root"])
    servers = _image_source.Servers()
    images, paths = _image_source.ImageSources(storage, servers), _image_paths.ImagePaths(servers)
    uses, hypervisors = _vm_uses.VmUses(storage, libvirt), _vm_items.Hypervisors(storage, paths)
    return _turns.in_turn(
        (_turns.domain_turn(name, params["uri"]) for name in names),
        lambda: _vm_items.make_items(params, libvirt, images, _host.Host(), uses, _seeds.Seeds(), hypervisors),
    )


def main() -> None:
    _module.run(
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
