# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module so that its tracer sees each libvirt call by which it changes something: before it, and when sent.

libvirt does its work in a daemon, whether or not the module lives; what the tracer sees of that is bytes on a socket.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
import threading
import typing as t

import libvirt
from tracing import LIBVIRT, SENT

#: all that plugins call; tests/unit/test_torture_calls.py holds them together
CHANGES: t.Final = {
    libvirt.virConnect: ("defineXMLFlags",),
    libvirt.virDomain: (
        *("snapshotCreateXML", "blockCommit", "blockCopy", "blockJobAbort", "blockResize", "createWithFlags"),
        *("destroy", "shutdown", "suspend", "resume", "undefineFlags", "setAutostart", "attachDeviceFlags"),
        *("detachDeviceFlags", "updateDeviceFlags", "setMemoryFlags", "setVcpusFlags", "setBlockIoTune", "fsThaw"),
        *("agentSetResponseTimeout", "migrate3", "abortJob"),
    ),
}
#: by then the daemon has what was sent, and works on it if it takes long
SENT_S: t.Final = 0.5


def mark(words: str) -> None:
    # there is no such folder
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(LIBVIRT + words)


def told(name: str, call: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    def calling(*arguments: t.Any, **words: t.Any) -> t.Any:
        mark(name)
        sent = threading.Timer(SENT_S, mark, [name + SENT])
        sent.start()
        try:
            return call(*arguments, **words)
        finally:
            # the same marks in each run, however fast the daemon is
            sent.join()

    return calling


def main() -> None:
    for kind, names in CHANGES.items():
        for name in names:
            setattr(kind, name, told(name, getattr(kind, name)))
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
