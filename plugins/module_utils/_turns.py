# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: runs that work on the same thing of this host, one after the other.

Seen from another run, a domain that is just being started is paused, a disk that is just being attached is neither
there nor not there, and a mount that is just being looked at is in use.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t
import uuid

from ansible_collections.gfapi.virt.plugins.module_utils import _errors, _files

#: root's, and empty after a boot
FOLDER: t.Final = "/run/gfapi-virt"
#: longer than a guest gets to power off; a long migration, or copy, of another run is told sooner than waited for
TIMEOUT_S: t.Final = 300
_NAMES: t.Final = uuid.UUID("5c1f6a0e-6f0a-5d0c-8d0b-3a3c5b6f5d0e")

T = t.TypeVar("T")


def domain_turn(name: str, uri: str) -> str:
    """A libvirt domain as the thing that runs take turns on."""
    return f"domain {name} of {uri}"


def in_turn(
    things: t.Iterable[str], plan: t.Callable[[], T], *, folder: str = FOLDER, timeout_s: float = TIMEOUT_S
) -> T:
    """What `plan` returns, once no other run of this host works on these things; none will until this process ends.

    A thing is told as it is named here: raises `BusyError` for one that another
    run works on for long. Who may not write to the folder is not kept from anything.
    """
    with contextlib.ExitStack() as held:
        _take_turns(held, things, folder, timeout_s)
        planned = plan()
        held.pop_all()
        return planned


def _take_turns(held: contextlib.ExitStack, things: t.Iterable[str], folder: str, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        # in one order for all, so that no two wait for each other
        for thing in sorted(set(things)):
            path = os.path.join(folder, str(uuid.uuid5(_NAMES, thing)))
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            held.callback(os.close, descriptor)
            if not _files.take_lock(descriptor, end):
                raise _errors.BusyError(
                    f"another run works on {thing}, and {timeout_s:g} s were waited; let it end, and run again"
                )
    except OSError:
        return
