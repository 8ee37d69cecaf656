# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A domain as libvirt holds it, as a value. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _xml


@dataclass(frozen=True)
class DomainRecord:
    """A domain as libvirt holds it: its next configuration, the running one (or `None`), and its power state.

    `saved` is the configuration of its managed save, which the next start goes on with.
    """

    name: str
    uuid: str
    state: str
    inactive: _xml.Element
    live: _xml.Element | None
    autostart: bool
    saved: _xml.Element | None = None
    #: one that was only ever created is gone when it stops
    persistent: bool = True
    #: why a paused one is, as in `io_error`
    pause_reason: str | None = None

    @property
    def is_active(self) -> bool:
        return self.live is not None
