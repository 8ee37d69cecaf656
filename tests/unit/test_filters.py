# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters and tests, as Python and as a playbook reaches them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.gfapi.virt.plugins.filter.gluster_uri import FilterModule
from ansible_collections.gfapi.virt.plugins.test.gluster_uri import TestModule

ROOT = Path(__file__).resolve().parents[2]
FILTERS = FilterModule().filters()
TESTS = TestModule().tests()
PATH = "images/web root.qcow2"


@pytest.mark.parametrize(
    ("where", "path", "uris"),
    [
        ("gl1:/vmstore", PATH, ["gluster://gl1/vmstore/images/web%20root.qcow2"]),
        ("gl1:vmstore/a/", "b", ["gluster://gl1/vmstore/a/b"]),
        ("gl1,[fd00::2]:/v", "%", ["gluster://gl1/v/%25", "gluster://[fd00::2]/v/%25"]),
        ("gluster+tcp://gl1:24007/v/x%41", None, ["gluster://gl1/v/xA"]),
        ("gluster+unix:///v/x?socket=/run/s", None, ["gluster+unix:///v/x?socket=/run/s"]),
    ],
)
def test_uris(where: str, path: str | None, uris: list[str]) -> None:
    assert FILTERS["gluster_uri"](where, path) == uris[0]
    assert FILTERS["gluster_uri"](where, path, wantlist=True) == uris
    assert all(map(TESTS["gluster_uri"], uris))


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("gluster_uri", ("gl1:/v",), "gfapi.virt.gluster_uri: 'gl1:/v' names a volume; give the path of the image"),
        ("gluster_uri", ("gluster://gl1/v/x", "y"), "path 'y' beside 'gluster://gl1/v/x': a URI names its image"),
        ("gluster_uri", ("gl1", "y"), "malformed volume spec 'gl1'"),
        ("gluster_uri", ("gl1:/v", "a\nb"), "holds a line end, a tab or the like"),
        ("gluster_uri", (None, "y"), "None is not a text; give a spec"),
        ("gluster_blockdev", ("gl1:/v", "y", "vmdk"), "image_format 'vmdk' is not one of qcow2, raw"),
        ("gluster_blockdev", ("gluster+rdma://gl1/v/x",), "transport rdma cannot be used for a disk"),
        ("gluster_mount_options", ("gl1:/v", ["a b"]), "mount option 'a b' is not name or name=value"),
        ("gluster_mount_options", ("gluster://gl1/v/x",), "it is a URI"),
    ],
)
def test_what_is_none_is_refused(name: str, args: tuple[t.Any, ...], words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=words):
        FILTERS[name](*args)


@pytest.mark.parametrize(
    "other", [None, 7, "", "gl1:/v", "http://gl1/v/x", "gluster+rdma://gl1/v/x", "gluster://gl1/v"]
)
def test_no_uri(other: object) -> None:
    assert not TESTS["gluster_uri"](other)


@pytest.mark.parametrize(("text", "holds"), [("gl1,gl2:/v/d", True), ("gl1:v", True), ("gl1", False), (None, False)])
def test_specs(text: object, holds: bool) -> None:
    assert TESTS["gluster_spec"](text) is holds


def test_mount_options() -> None:
    options = FILTERS["gluster_mount_options"]
    assert options("gl1:/v") == ""
    assert options("gl1,gl2,[fd00::2]:/v", "ro,acl") == "ro,acl,backup-volfile-servers=gl2:[fd00::2]"


def examples(kind: str) -> dict[str, t.Any]:
    """The examples that are documented, each under its plugin's and its own name."""
    found = {}
    for file in (ROOT / "plugins" / kind).glob("*.yml"):
        parts = yaml.safe_load(yaml.safe_load(file.read_text(encoding="utf-8"))["EXAMPLES"])
        found[file.stem] = parts
    return found


def test_examples_do_what_they_say(tmp_path: Path) -> None:
    shown = [
        {"ansible.builtin.copy": {"content": "{{ " + f"[{name}] | to_json" + " }}", "dest": str(tmp_path / name)}}
        for parts in examples("filter").values()
        for name in parts
    ]
    values = {name: text for parts in examples("filter").values() for name, text in parts.items()}
    asserted = [task for tasks in examples("test").values() for task in tasks]
    play = [{"hosts": "localhost", "gather_facts": False, "vars": values, "tasks": [*shown, *asserted]}]
    (tmp_path / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    command = [Path(sys.executable).with_name("ansible-playbook"), "-c", "local", tmp_path / "play.yml"]
    collections = ROOT / ".cache" / "collections"
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    made = {name: json.loads((tmp_path / name).read_text(encoding="utf-8"))[0] for name in values}
    assert json.loads(made.pop("blockdev")) == FILTERS["gluster_blockdev"]("gl1,gl2,gl3:/vmstore", "web.raw", "raw")
    assert made == {
        "uri": "gluster://gl1/vmstore/images/web%20root.qcow2",
        "uris": ["gluster://gl1/vmstore/vms/web.raw", "gluster://[fd00::2]/vmstore/vms/web.raw"],
        "options": "_netdev,backup-volfile-servers=gl2:gl3",
    }
