# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests: whether a text is a gluster URI, or a volume spec, that this collection takes. They run on the controller."""

from __future__ import annotations

import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _uri


def gluster_uri(text: object) -> bool:
    """Whether it names an image for a disk."""
    return _is(_uri.GlusterURI.parse, text) and _uri.GlusterURI.parse(str(text)).transport != "rdma"


def gluster_spec(text: object) -> bool:
    """Whether it names a volume, or a directory of one, for a mount."""
    return _is(_uri.VolumeSpec.parse, text)


def _is(parse: t.Callable[[str], object], text: object) -> bool:
    try:
        return isinstance(text, str) and bool(parse(text))
    except ValueError:
        return False


class TestModule:
    """Ansible finds the tests by this class."""

    __test__ = False

    def tests(self) -> dict[str, t.Callable[[object], bool]]:
        return {"gluster_uri": gluster_uri, "gluster_spec": gluster_spec}
