# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible callback of the demo: how long each role took and how much changed, as JSON in $GFAPI_LAB_STEPS."""

from __future__ import annotations

import json
import os
import time
import typing as t
from pathlib import Path

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: steps
type: aggregate
short_description: Time per role, for the demo's summary
description: Writes the seconds per role and the number of changes to the file named by E(GFAPI_LAB_STEPS).
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "steps"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}
        self.step: str | None = None
        self.begin = time.monotonic()

    def close_step(self) -> None:
        now = time.monotonic()
        if self.step:
            self.seconds[self.step] = self.seconds.get(self.step, 0.0) + now - self.begin
        self.begin = now

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        self.close_step()
        role = getattr(task, "_role", None)
        self.step = f"role {role.get_name().rpartition('.')[2]}" if role else None

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        self.close_step()
        changes = sum(stats.summarize(host)["changed"] for host in stats.processed)
        Path(os.environ["GFAPI_LAB_STEPS"]).write_text(json.dumps({"seconds": self.seconds, "changes": changes}))
