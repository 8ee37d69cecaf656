# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a module's `main` in this process, through a real `AnsibleModule`.

`ansible.module_utils.testing.patch_module_args` does this from ansible-core 2.19 on; this works with 2.15 too.
"""

from __future__ import annotations

import contextlib
import io
import json
import typing as t
from unittest import mock

from ansible.module_utils import basic
from ansible.module_utils.common import warnings


def run_module(
    main: t.Callable[[], object],
    params: t.Mapping[str, t.Any] | None = None,
    *,
    check_mode: bool = False,
    logs: bool = False,
) -> dict[str, t.Any]:
    """What the module told Ansible; `exit_status` is that of its process."""
    # with _ansible_no_log nothing goes to the machine's log
    settings = {"_ansible_check_mode": check_mode, "_ansible_diff": True, "_ansible_no_log": not logs}
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {**(params or {}), **settings}}).encode()
    printed = io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(basic, "_ANSIBLE_ARGS", arguments))
        if hasattr(basic, "_ANSIBLE_PROFILE"):
            stack.enter_context(mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy"))
        # warnings outlive a module that runs in this process
        for name in ("_global_warnings", "_global_deprecations"):
            if hasattr(warnings, name):
                value = getattr(warnings, name)
                stack.enter_context(mock.patch.object(warnings, name, type(value)()))
        stack.enter_context(contextlib.redirect_stdout(printed))
        try:
            main()
        except SystemExit as exc:
            result = json.loads(printed.getvalue())
            # from 2.19 on a warning is an event with more than its words
            told = [w if isinstance(w, str) else w["event"]["msg"] for w in result.get("warnings", [])]
            return {**result, "warnings": told, "exit_status": exc.code}
    raise AssertionError("the module did not end")
