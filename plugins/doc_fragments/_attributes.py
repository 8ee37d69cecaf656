# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module says about check mode, diff and repeated runs."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Predicts what a run would do, without changing anything.
    support: full
  diff_mode:
    description: Shows what differs, before and after.
    support: full
  idempotent:
    description: A second run with the same values changes nothing.
    support: full
"""

    # what the modules that only read say of themselves
    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Reads only, so check mode makes no difference.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: N/A
  idempotent:
    description: Changes nothing.
    support: full
"""

    ACTIONGROUP_GLUSTER = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/gfapi.virt.gluster) in C(module_defaults) to set options for all of this group.
    support: full
    membership:
      - gfapi.virt.gluster
"""

    ACTIONGROUP_LIBVIRT = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/gfapi.virt.libvirt) in C(module_defaults) to set options for all of this group.
    support: full
    membership:
      - gfapi.virt.libvirt
"""

    # gfapi_disk is in both groups
    ACTIONGROUP_BOTH = r"""
options: {}
attributes:
  action_group:
    description:
      - Use C(group/gfapi.virt.gluster) or C(group/gfapi.virt.libvirt) in C(module_defaults) to set options for all of
        a group.
    support: full
    membership:
      - gfapi.virt.gluster
      - gfapi.virt.libvirt
"""
