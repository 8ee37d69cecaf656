# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fork of the process that has Ansible loaded does (modules.py)."""

from __future__ import annotations

import os
import sys


def ansible(words: list[str], told: str) -> None:
    """What the program `ansible` does; what it tells goes to that file."""
    from ansible.cli.adhoc import AdHocCLI

    descriptor = os.open(told, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    AdHocCLI.cli_executor(["ansible", *words])
