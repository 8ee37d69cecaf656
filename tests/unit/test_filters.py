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

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".cache" / "collections"
PATH = "images/web root.qcow2"
#: answers lines of JSON, [name, argument, ...]; apart, for these plugins load the controller's Ansible
CHILD = """
import json, sys
from ansible.errors import AnsibleFilterError
from ansible_collections.gfapi.virt.plugins.filter.gluster_uri import FilterModule
from ansible_collections.gfapi.virt.plugins.filter.benchmark import FilterModule as Benchmark
from ansible_collections.gfapi.virt.plugins.filter.report import FilterModule as Report
from ansible_collections.gfapi.virt.plugins.filter.vm_fleet import FilterModule as Fleet
from ansible_collections.gfapi.virt.plugins.test.gluster_uri import TestModule
known = {"is_" + name: test for name, test in TestModule().tests().items()}
known.update({**Benchmark().filters(), **Report().filters(), **Fleet().filters(), **FilterModule().filters()})
for line in sys.stdin:
    name, *args = json.loads(line)
    try:
        print(json.dumps({"made": known[name](*args)}), flush=True)
    except AnsibleFilterError as exc:
        print(json.dumps({"error": str(exc)}), flush=True)
"""
#: what the example of the filter benchmark gives
FASTER = "4 KiB random reads, depth 16: 5839 operations a second through gfapi, 2558 through FUSE, 2.28 times as many"
Ask = t.Callable[..., t.Any]


@pytest.fixture(scope="module")
def ask() -> t.Iterator[Ask]:
    """What a filter makes, or the error as text; a test's name begins with `is_`."""
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", CHILD], env=environment, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        questions, answers = child.stdin, child.stdout

        def asked(*words: t.Any) -> t.Any:
            questions.write(json.dumps(words) + "\n")
            questions.flush()
            (answer,) = json.loads(answers.readline()).values()
            return answer

        yield asked
        questions.close()


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
def test_uris(ask: Ask, where: str, path: str | None, uris: list[str]) -> None:
    assert ask("gluster_uri", where, path) == uris[0]
    assert ask("gluster_uri", where, path, True) == uris
    assert all(ask("is_gluster_uri", uri) for uri in uris)


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
        ("report", ({"kvm1": {"vm": {}}},), "kvm1: vm is none of host, volumes, storage_domains, vms"),
        ("vm_fleet", ("{name: a}",), "vm_gfapi_vms is no list of dictionaries"),
        ("vm_fleet", ([], [], "secret"), "vm_gfapi_vm_defaults is no dictionary"),
        ("vm_fleet", ("- name: a\n  x: 'secret", []), "vm_gfapi_vms is neither JSON nor YAML: found unexpected end"),
        ("vm_fleet", ([], [{"size": "secret"}]), "vm_gfapi_disks: entry 1 has no name"),
    ],
)
def test_what_is_none_is_refused(ask: Ask, name: str, args: tuple[t.Any, ...], words: str) -> None:
    said = ask(name, *args)
    assert words in said
    assert "secret" not in said


def test_fleet_in_text_is_the_same_as_in_data(ask: Ask) -> None:
    given = ([{"name": "a"}], [{"name": "base", "size": "1GiB"}], {"disks": [{"name": "{name}", "clone_of": "base"}]})
    made = ask("vm_fleet", *given)
    assert made == ask("vm_fleet", *map(json.dumps, given), "")
    assert made == ask("vm_fleet", *map(yaml.safe_dump, given), None)
    assert made["vm_disks"] == [{"name": "a", "clone_of": "base"}]
    assert ask("vm_fleet", "", "", "", "") == {"disks": [], "vm_disks": [], "vms": [], "needs": []}


@pytest.mark.parametrize(
    "other", [None, 7, "", "gl1:/v", "http://gl1/v/x", "gluster+rdma://gl1/v/x", "gluster://gl1/v"]
)
def test_no_uri(ask: Ask, other: object) -> None:
    assert ask("is_gluster_uri", other) is False


@pytest.mark.parametrize(("text", "holds"), [("gl1,gl2:/v/d", True), ("gl1:v", True), ("gl1", False), (None, False)])
def test_specs(ask: Ask, text: object, holds: bool) -> None:
    assert ask("is_gluster_spec", text) is holds


def test_mount_options(ask: Ask) -> None:
    assert ask("gluster_mount_options", "gl1:/v") == ""
    made = ask("gluster_mount_options", "gl1,gl2,[fd00::2]:/v", "ro,acl")
    assert made == "ro,acl,backup-volfile-servers=gl2:[fd00::2]"


def examples(kind: str) -> dict[str, t.Any]:
    """The examples that are documented, each under its plugin's and its own name."""
    found = {}
    for file in (ROOT / "plugins" / kind).glob("*.yml"):
        parts = yaml.safe_load(yaml.safe_load(file.read_text(encoding="utf-8"))["EXAMPLES"])
        found[file.stem] = parts
    return found


def test_examples_do_what_they_say(ask: Ask, tmp_path: Path) -> None:
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
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    made = {name: json.loads((tmp_path / name).read_text(encoding="utf-8"))[0] for name in values}
    disks = [{"name": f"web{number}-root", "clone_of": "debian12"} for number in (1, 2)]
    assert (made.pop("fleet")["vm_disks"], made.pop("defaults")["memory"]) == (disks, "2GiB")
    assert (list(made.pop("measured")), made.pop("lines")) == (["results"], [FASTER])
    assert list(made.pop("told")) == ["kvm1", "kvm2"]
    assert made.pop("findings") == [
        "problem: host kvm2: Failed to connect; is it up? what it knows is missing here",
    ]
    assert json.loads(made.pop("blockdev")) == ask("gluster_blockdev", "gl1,gl2,gl3:/vmstore", "web.raw", "raw")
    assert made == {
        "uri": "gluster://gl1/vmstore/images/web%20root.qcow2",
        "uris": ["gluster://gl1/vmstore/vms/web.raw", "gluster://[fd00::2]/vmstore/vms/web.raw"],
        "options": "_netdev,backup-volfile-servers=gl2:gl3",
    }
