# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: runs that work on the same libvirt domains from this host, one after the other.

Seen from another run, a domain that is just being started is paused, and a disk that is just being attached is neither
there nor not there.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t
import uuid

from ansible_collections.gfapi.virt.plugins.module_utils._errors import LibvirtError
from ansible_collections.gfapi.virt.plugins.module_utils._files import take_lock

#: root's, and empty after a boot
FOLDER: t.Final = "/run/gfapi-virt"
#: longer than a guest gets to power off; a long migration, or copy, of another run is told sooner than waited for
TIMEOUT_S: t.Final = 300
_NAMES: t.Final = uuid.UUID("5c1f6a0e-6f0a-5d0c-8d0b-3a3c5b6f5d0e")


def take_turns(
    uri: str, names: t.Iterable[str], *, folder: str = FOLDER, timeout_s: float = TIMEOUT_S
) -> contextlib.ExitStack:
    """Wait until no other run of this host works on these domains of a libvirt.

    None does until what is returned is closed, or this process ends. Raises `LibvirtError` naming the domain that
    another run works on for long. Who may not write to the folder is not kept from anything.
    """
    held = contextlib.ExitStack()
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
    except OSError:
        return held
    end = time.monotonic() + timeout_s
    # in one order for all, so that no two wait for each other
    for name in sorted(set(names)):
        path = os.path.join(folder, str(uuid.uuid5(_NAMES, f"{uri}\n{name}")))
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return held
        held.callback(os.close, descriptor)
        if not take_lock(descriptor, end):
            held.close()
            raise LibvirtError(
                f"another run works on domain {name}, and {timeout_s:g} s were waited; let it end, and run again"
            )
    return held
