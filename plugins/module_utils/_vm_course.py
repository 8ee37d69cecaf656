# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of a domain between how it is and how it is asked for. Pure: no I/O."""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _live

if t.TYPE_CHECKING:
    from ansible_collections.gfapi.virt.plugins.module_utils import _domain_record, _vm_params, _xml


@dataclass(frozen=True)
class Course:
    """A domain as it is, as it is asked for, and its next configuration; `None` of those that there are not.

    To compare two configurations costs a millisecond, so each answer is found once.
    """

    current: _domain_record.DomainRecord | None
    desired: _vm_params.Desired
    after: _xml.Element | None

    @functools.cached_property
    def changes(self) -> tuple[_live.Change, ...]:
        """What a running domain gets at once; nothing when it is to stop, or to be left alone."""
        if self.current is None or self.current.live is None or self.after is None:
            return ()
        if not self.desired.live or self.desired.state == "shut_off":
            return ()
        changes = _live.live_changes(self.current.live, self.current.inactive, self.after, self.desired.domain)
        if self.current.state == "paused" and self.desired.state != "running":
            # its guest lets nothing go, so that waits until it runs
            return tuple(change for change in changes if change.kind != "detach")
        return changes

    @functools.cached_property
    def live(self) -> _xml.Element | None:
        """The running domain as the live changes leave it; none where nothing runs."""
        if self.current is None or self.current.live is None:
            return None
        return _live.applied(self.current.live, self.changes) if self.changes else self.current.live

    @functools.cached_property
    def is_restarted(self) -> bool:
        """Whether a running domain is stopped and started for what it cannot get otherwise."""
        if not self.desired.restarts or self.desired.state == "shut_off" or self.live is None or self.after is None:
            return False
        return bool(_live.pending_fields(self.live, self.after))

    @property
    def is_resumed(self) -> bool:
        """Whether a paused domain goes on, as it is."""
        is_paused = self.current is not None and self.current.state == "paused"
        return is_paused and self.desired.state == "running" and not self.is_restarted

    @property
    def comes_up(self) -> bool:
        """Whether the domain is started, now or anew."""
        is_off = self.current is None or not self.current.is_active
        return (is_off and self.desired.state in ("running", "paused")) or self.is_restarted

    @property
    def running(self) -> _xml.Element | None:
        """The running domain when all is done; none where it does not run, or did not before."""
        if self.after is None or self.desired.state == "shut_off":
            return None
        return self.after if self.is_restarted else self.live

    @property
    def state(self) -> str:
        """The power state when all is done."""
        if self.desired.state != "present":
            return self.desired.state
        return self.current.state if self.current else "shut_off"
