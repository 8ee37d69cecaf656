# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the examples of modules assert, as the controller evaluates it; that they run is tested on real hosts."""

from __future__ import annotations

import typing as t

import jinja2
import pytest
import yaml

from ansible_collections.gfapi.virt.plugins.modules.gluster_volume_info import EXAMPLES


@pytest.mark.parametrize(
    ("volumes", "holds"),
    [
        ([{"name": "vmstore", "problems": [], "eligible_for_storage_domain": True}], True),
        ([{"name": "vmstore", "problems": [], "eligible_for_storage_domain": None}], False),
        ([{"name": "vmstore", "problems": [{"code": "stopped"}], "eligible_for_storage_domain": False}], False),
        ([{"name": "other", "problems": [], "eligible_for_storage_domain": True}], False),
        ([], False),
    ],
)
def test_the_example_of_gluster_volume_info_fails_for_a_volume_that_is_not_there(
    volumes: list[dict[str, t.Any]], holds: bool
) -> None:
    (said,) = (task["ansible.builtin.assert"] for task in yaml.safe_load(EXAMPLES) if "ansible.builtin.assert" in task)
    assert jinja2.Environment().compile_expression(said["that"])(gluster={"volumes": volumes}) is holds
