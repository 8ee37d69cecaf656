# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils._option_table import table_for
from ansible_collections.gfapi.virt.plugins.module_utils._volfile import differences, last_logged, parse
from ansible_collections.gfapi.virt.plugins.module_utils._volume_change import left_in_bricks
from ansible_collections.gfapi.virt.tests.unit.recorded import GLUSTER, VERSION

LOG = (GLUSTER / f"brick_{VERSION}.log").read_text("utf-8")
WRITTEN = parse((GLUSTER / f"brick_{VERSION}.vol").read_text("utf-8"))
SSL = ("protocol/server", "transport.socket.ssl-enabled")


def test_volfile_has_the_options_of_each_translator() -> None:
    assert WRITTEN["protocol/server", "transport.address-family"] == "inet"
    assert WRITTEN["storage/posix", "directory"] == "/bricks/vmstore"
    assert WRITTEN[SSL] == "off"


def test_brick_that_was_just_started_runs_with_what_is_written() -> None:
    running = last_logged(LOG)
    assert running
    # translators add options of their own, but none that a restart is for
    assert left_in_bricks(table_for(100000), differences(WRITTEN, running)) == {}


def test_value_written_since_is_seen() -> None:
    running = last_logged(LOG)
    assert running
    found = differences({**WRITTEN, SSL: "on"}, running)
    assert found[SSL] == ("on", "off")
    assert left_in_bricks(table_for(100000), found) == {"server.ssl": "off"}


@pytest.mark.parametrize(
    "log", ["", "no graph\n", LOG[: LOG.rindex("+---")], "Final graph:\n", "Final graph:\n 1: x\n+---"]
)
def test_graph_that_is_not_whole_is_none(log: str) -> None:
    assert last_logged(log) is None
