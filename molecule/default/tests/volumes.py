# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that a test makes."""

from __future__ import annotations

import contextlib
import shlex
import typing as t

from hosts import System

from conftest import HOST

GLUSTER = ("gluster", "--mode=script", "volume")
#: of a volume that is filled: half a minute after its start a brick makes a file for its health, and where there is
#: no space for that it goes down (Gluster 10)
NO_HEALTH_CHECK = ("storage.health-check-interval", "0")


@contextlib.contextmanager
def started_volume(system: System, name: str, *, replica: int = 1) -> t.Iterator[str]:
    """A volume of as many bricks as copies, for as long as the context lasts, unless it is deleted earlier."""
    bricks = [f"/bricks/{name}-{number}" for number in range(replica)]
    copies = ["replica", str(replica)] if replica > 1 else []
    system.run(*GLUSTER, "create", name, *copies, *(f"{HOST}:{brick}" for brick in bricks), "force")
    system.run(*GLUSTER, "start", name)
    yield name
    for words in (("stop", name, "force"), ("delete", name)):
        system.host.run(shlex.join((*GLUSTER, *words)))
    assert name not in system.lines(*GLUSTER, "list")
    system.run("rm", "-rf", *bricks)
