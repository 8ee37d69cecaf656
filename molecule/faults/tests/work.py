# SPDX-License-Identifier: GPL-3.0-or-later
"""A play that asks for options of a volume, a storage domain, disks and a VM: work.yml."""

from __future__ import annotations

import json
import subprocess
import tempfile
import typing as t
from dataclasses import asdict, dataclass
from pathlib import Path

from hosts import Lab
from modules import ANSIBLE, ROOT

PLAYBOOK = Path(__file__).with_name("work.yml")
LIMIT_S = 600
Asked = dict[str, t.Any]


@dataclass(frozen=True)
class Work:
    """What is asked for; `gone`: VM and disks are to be absent."""

    volume: str
    domain: str
    options: t.Mapping[str, t.Any]
    disks: t.Sequence[Asked]
    vm: Asked
    domain_state: str = "active"
    gone: bool = False


class Done(t.NamedTuple):
    """The actions of a play, and of each hypervisor those that were its own."""

    shared: list[str]
    hosts: dict[str, list[str]]

    def all(self) -> list[str]:
        return self.shared + [f"{host}: {action}" for host, actions in self.hosts.items() for action in actions]


def do(lab: Lab, work: Work, node: str, hypervisor: str) -> Done:
    """One play, which must succeed."""
    with tempfile.NamedTemporaryFile() as told:
        asked = {**asdict(work), "node": node, "hypervisor": hypervisor, "told": told.name}
        variables = json.dumps({f"work_{name}": value for name, value in asked.items()})
        command = [f"{ANSIBLE}-playbook", "-i", str(lab.inventory), str(PLAYBOOK), "-e", variables]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return Done(**json.loads(Path(told.name).read_text(encoding="utf-8")))
