# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said to libvirt while a guest agent freezes and thaws, or does not; its own test driver has no agents."""

from __future__ import annotations

import functools
import typing as t

import libvirt
import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _block_jobs, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._block_jobs import FREEZE_S, BlockJobs
from ansible_collections.gfapi.virt.plugins.module_utils._errors import LibvirtError

#: libvirt 11.3's name for it is not in the Python of older ones (VIR_ERR_AGENT_COMMAND_TIMEOUT)
AGENT_COMMAND_TIMEOUT: t.Final = 112


class Agent:
    """A domain with an agent that hangs for some seconds; libvirt asks for 5 s whether it is there."""

    def __init__(self, hangs_s: int = 0, *, code: int = libvirt.VIR_ERR_AGENT_UNRESPONSIVE) -> None:
        self.now = 0.0
        self.hangs_s = hangs_s
        self.code = code
        self.timeout_s = -2
        self.frozen = False

    def lookupByName(self, _name: str) -> Agent:
        return self

    def agentSetResponseTimeout(self, timeout_s: int, _flags: int) -> None:
        self.timeout_s = timeout_s

    def _ask(self, timeout_s: int) -> None:
        assert self.timeout_s > 0, "libvirt waits for ever"
        if self.now < self.hangs_s:
            self.now += min(timeout_s, self.timeout_s)
            error = libvirt.libvirtError("Guest agent is not responding")
            error.err = (self.code, *error.err[1:]) if error.err else (self.code,)
            raise error

    def getTime(self) -> None:
        self._ask(5)

    def snapshotCreateXML(self, _text: str, _flags: int) -> None:
        self.frozen = True
        self._ask(FREEZE_S)
        self.frozen = False

    def fsThaw(self) -> None:
        self._ask(5)
        self.frozen = False


def jobs_of(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> BlockJobs:
    monkeypatch.setattr(_block_jobs.time, "monotonic", lambda: agent.now)
    monkeypatch.setattr(_block_jobs.time, "sleep", lambda _s: None)
    jobs = BlockJobs()
    jobs.__dict__["connection"] = agent
    return jobs


@pytest.mark.parametrize(
    ("hangs_s", "code", "answers"),
    [
        (0, libvirt.VIR_ERR_AGENT_UNRESPONSIVE, True),
        (9, libvirt.VIR_ERR_AGENT_UNRESPONSIVE, False),
        (9, AGENT_COMMAND_TIMEOUT, False),
        # frozen by another: it says so
        (9, libvirt.VIR_ERR_INTERNAL_ERROR, True),
    ],
)
def test_an_agent_answers_or_hangs(hangs_s: int, code: int, answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(hangs_s, code=code)
    assert jobs_of(agent, monkeypatch).agent_answers("web") == answers
    assert (agent.timeout_s, agent.now <= 5) == (-2, True)


@pytest.mark.parametrize(
    ("hangs_s", "frozen", "words"),
    [
        (FREEZE_S, False, "responding; the guest is thawed; see what keeps its agent, and run again; or set quiesce"),
        (FREEZE_S + 60, False, "the guest is thawed"),
        (9 * FREEZE_S, True, r"cannot thaw domain web: .* thaw them then \(virsh domfsthaw web\), and run again"),
    ],
)
def test_a_guest_whose_agent_is_late_is_thawed(
    hangs_s: int, frozen: bool, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(hangs_s)
    snapshot = functools.partial(jobs_of(agent, monkeypatch).snapshot, "web", _xml.element("domainsnapshot"))
    with pytest.raises(LibvirtError, match=words):
        snapshot(quiesce=True)
    assert (agent.frozen, agent.timeout_s) == (frozen, -2)
    assert agent.now <= 2 * FREEZE_S


def test_a_guest_that_another_froze_is_not_thawed(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(9, code=libvirt.VIR_ERR_INTERNAL_ERROR)
    thaws: list[t.Any] = []
    monkeypatch.setattr(agent, "fsThaw", lambda: thaws.append(1), raising=True)
    with pytest.raises(LibvirtError, match="take a snapshot of domain web"):
        jobs_of(agent, monkeypatch).snapshot("web", _xml.element("domainsnapshot"), quiesce=True)
    assert (thaws, agent.timeout_s) == ([], -2)
