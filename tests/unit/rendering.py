# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks' templates, as Ansible renders them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def render(folder: Path, told: object, templates: t.Sequence[str], **variables: str) -> list[str]:
    """The text of each template, where the variables are expressions of `told`, which came from a host."""
    (folder / "told.json").write_text(json.dumps(told), encoding="utf-8")
    tasks: list[dict[str, t.Any]] = [
        # what comes from a host is never a template
        {"ansible.builtin.command": {"argv": ["cat", str(folder / "told.json")]}, "register": "read"},
        {"ansible.builtin.set_fact": {"told": "{{ read.stdout | from_json }}"}},
    ]
    for name in templates:
        copied = {"src": str(ROOT / "playbooks/templates" / f"{name}.j2"), "dest": str(folder / name)}
        tasks.append({"ansible.builtin.template": copied, "vars": variables})
    play = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
    (folder / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), str(folder / "play.yml")]
    local = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache" / "collections"), "ANSIBLE_LOCALHOST_WARNING": "0"}
    environment = {**os.environ, **local, "ANSIBLE_HOME": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [(folder / name).read_text(encoding="utf-8") for name in templates]
