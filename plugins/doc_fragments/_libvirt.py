# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of every module that talks to libvirt."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  uri:
    description:
      - The libvirt to talk to. One of another host, as in C(qemu+ssh://root@kvm1/system), is asked from where the
        module runs, which needs libvirt-python and lxml there and nothing of Ansible's on the hypervisor.
    type: str
    default: qemu:///system
"""
