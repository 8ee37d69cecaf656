# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions of the tools, and what is needed of them. Pure: no I/O."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Version:
    """A dotted version, compared by its numbers: 9.0 < 10."""

    numbers: tuple[int, ...]

    @classmethod
    def find(cls, text: str) -> Version | None:
        """The first dotted number in what a tool prints about itself; `None` if there is none."""
        match = re.search(r"\b(\d+(?:\.\d+)+)\b", text)
        return cls(tuple(int(number) for number in match[1].split("."))) if match else None

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers))


@dataclass(frozen=True)
class Requirement:
    """A tool, the oldest version that does, why, and what to install."""

    tool: str
    minimum: Version
    why: str
    install: str

    def problem(self, found: Version | None) -> str | None:
        """One line that names the tool, what was found, what is needed and the mend; `None` if all is well."""
        if found is None:
            return f"{self.tool} was not found; {self.minimum} or newer is needed {self.why}; install {self.install}"
        if found < self.minimum:
            old = f"{self.tool} {found} is too old"
            return f"{old}; {self.minimum} or newer is needed {self.why}; upgrade {self.install}"
        return None


#: the minima of oVirt's feature page; libvirt takes several servers a disk since 2.1.0, QEMU since 2.7
QEMU: t.Final = Requirement("QEMU", Version((1, 3)), "for its gluster driver", "qemu-system-x86 (Debian) or qemu-kvm")
LIBVIRT: t.Final = Requirement("libvirt", Version((1, 0, 1)), "for gluster disks", "libvirt-daemon-system or libvirt")
