# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one module of the collection on a host of the lab, as `ansible` does. For the tests of all scenarios."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import multiprocessing.forkserver
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import ad_hoc

ROOT = Path(__file__).parents[1]
ANSIBLE = str(Path(sys.executable).with_name("ansible"))
LIMIT_S = 300
#: forks for each call from a process that has Ansible loaded, which takes half of what a call takes
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["__main__", "ansible.cli.adhoc"])
# it looks for ansible.cfg where it starts
with contextlib.chdir(ROOT):
    multiprocessing.forkserver.ensure_running()


class Modules:
    """`modules.run("gfapi_disk", name="a")` → the module's result; a failed module is a result too."""

    def __init__(self, inventory: Path, host: str) -> None:
        self.inventory = inventory
        self.host = host

    def run(self, module: str, *, check: bool = False, variables: dict[str, str] | None = None, **args: t.Any) -> t.Any:
        words = [self.host, "-i", str(self.inventory), "-m", f"gfapi.virt.{module}"]
        words += ["-a", json.dumps(args)] if args else []
        words += ["--check"] if check else []
        words += ["--diff", *(f"-e{name}={value}" for name, value in (variables or {}).items())]
        with tempfile.TemporaryDirectory() as folder:
            told, results = Path(folder, "told"), Path(folder, "results")
            process = SERVER.Process(target=ad_hoc.ansible, args=([*words, "--tree", str(results)], str(told)))
            process.start()
            process.join(LIMIT_S)
            if process.is_alive():
                process.terminate()
                raise subprocess.TimeoutExpired(words, LIMIT_S)
            try:
                result = json.loads(Path(results, self.host).read_text(encoding="utf-8"))
            except FileNotFoundError:
                raise AssertionError(told.read_text(encoding="utf-8")) from None
        return {**result, "failed": process.exitcode != 0}  # the file does not tell

    def done(self, module: str, **args: t.Any) -> t.Any:
        """The result of a run that must succeed."""
        result = self.run(module, **args)
        assert not result.get("failed"), result["msg"]
        return result

    def as_promised(self, module: str, **args: t.Any) -> t.Any:
        """Check mode, the run, and the run again: the check says what the run does, the second run does nothing."""
        planned = self.done(module, check=True, **args)
        result = self.done(module, **args)
        again = self.done(module, **args)
        assert planned["actions"] == result["actions"]
        assert planned["changed"] == result["changed"]
        assert (again["actions"], again["changed"]) == ([], False)
        return result

    def refused(self, module: str, **args: t.Any) -> str:
        """The message of a run that must fail before it changes anything, in check mode and for real."""
        result = self.run(module, **args)
        assert result.get("failed"), f"{module} took {args}"
        assert not result.get("changed"), result
        assert "\n" not in result["msg"]
        return t.cast(str, result["msg"])
