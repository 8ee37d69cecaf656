# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the playbooks as AWX does: under ansible-runner, with a survey's answers as extra variables.

AWX marks what a survey gives as `!unsafe`, so that nothing in it is ever a template; and all of it is text.
"""

from __future__ import annotations

import json
import os
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

import ansible_runner
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("gluster_volume_prep", "gluster_storage_domain", "vm_gfapi")
Step = tuple[str, str]  # role and task file


def as_text(value: object) -> str:
    """What a person would type into a survey for this value."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return json.dumps(value)


def survey(answers: t.Mapping[str, object], *, playbook: str = "site") -> dict[str, str]:
    """Every question of the playbook's survey as text: the answers given here, and the defaults of all others."""
    (play,) = yaml.safe_load((ROOT / "docs/awx/job_templates.yml").read_text())
    templates = {one["playbook"]: one["survey"]["spec"] for one in play["vars"]["awx_job_templates"]}
    asked = {one["variable"]: one["default"] for one in templates[f"playbooks/{playbook}.yml"]}
    return {name: as_text(value) for name, value in {**asked, **answers}.items()}


def extra_variables(answers: t.Mapping[str, str]) -> str:
    """The answers marked as AWX marks them, as a file of variables."""
    return "".join(f"{name}: !unsafe {json.dumps(text)}\n" for name, text in answers.items())


@dataclass(frozen=True)
class Job:
    """What a run told the runner."""

    status: str
    output: str
    events: tuple[dict[str, t.Any], ...]

    @property
    def failures(self) -> list[str]:
        """Each task that failed or could not reach its host, in its own words."""
        failed = (e for e in self.events if e["event"] in ("runner_on_failed", "runner_on_unreachable"))
        return [f"{e['event_data']['task']}: {e['event_data']['res'].get('msg')}" for e in failed]

    def results(self) -> t.Iterator[tuple[Step, dict[str, t.Any]]]:
        for event in self.events:
            if event["event"] == "runner_on_ok":
                data = event["event_data"]
                yield (data.get("role", ""), Path(data["task_path"].rpartition(":")[0]).name), data["res"]

    @property
    def changed(self) -> set[Step]:
        return {step for step, result in self.results() if result.get("changed")}

    @property
    def planned(self) -> set[Step]:
        """The steps that a check left because an earlier one would first make what they read."""
        return {step for step, result in self.results() if str(result.get("msg", "")).startswith("planned after ")}

    @property
    def summary(self) -> dict[str, t.Any]:
        """What AWX would show as the job's artifacts."""
        stats = [e for e in self.events if e["event"] == "playbook_on_stats"]
        return stats[-1]["event_data"]["artifact_data"]["gfapi_virt"]


def environment() -> dict[str, str]:
    collections = (
        ROOT.parents[2] if ROOT.parts[-3:] == ("ansible_collections", "gfapi", "virt") else ROOT / ".cache/collections"
    )
    return {
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_HOME": str(ROOT / ".cache/ansible"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def run(
    folder: Path,
    inventory: Path,
    answers: t.Mapping[str, str],
    *,
    check: bool,
    playbook: str = "site",
    skip_tags: str = "",
    limit: str = "",
) -> Job:
    """One run of a playbook in a folder of its own. The answers are marked as AWX marks them."""
    (folder / "env").mkdir(parents=True)
    (folder / "env/extravars").write_text(extra_variables(answers))
    done = ansible_runner.run(
        private_data_dir=str(folder),
        inventory=str(inventory),
        playbook=str(ROOT / f"playbooks/{playbook}.yml"),
        limit=limit or None,
        cmdline=" ".join(["--diff", *["--check"] * check, *[f"--skip-tags={skip_tags}"] * bool(skip_tags)]),
        envvars=environment(),
        quiet=True,
    )
    with done.stdout as output:
        return Job(done.status, output.read(), tuple(done.events))


def run_shell(folder: Path, inventory: Path, group: str, command: str) -> str:
    """A command on the hosts of a group, whatever comes of it; what it printed."""
    folder.mkdir()
    done = ansible_runner.run(
        private_data_dir=str(folder),
        inventory=str(inventory),
        host_pattern=group,
        module="ansible.builtin.shell",
        module_args=command,
        envvars=environment(),
        quiet=True,
    )
    results = (event["event_data"].get("res", {}) for event in done.events)
    return "\n".join(result["stdout"] for result in results if "stdout" in result)


def group(inventory: Path, name: str) -> list[str]:
    """The hosts of a group, in the inventory's order."""
    data, _unused = ansible_runner.get_inventory(
        action="list", inventories=[str(inventory)], response_format="json", quiet=True, envvars=environment()
    )
    return data[name]["hosts"]
