# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains that others made, taken over and edited; and all that libvirt_vm writes, against the host's own schema."""

from __future__ import annotations

import base64
import json
import lzma
import os
import re
import subprocess
import sys
import typing as t

import pytest
from hosts import System
from modules import ROOT, Modules

#: recorded domains → what is changed in them, and the elements of which lines go
EDITED: t.Final = {
    "osinfo_linux": (
        {"memory": "192MiB", "cpu_mode": "host-passthrough", "tpm": "none"},
        {"cpu", "currentMemory", "memory"},
    ),
    "nics_detailed": ({"description": "edited", "watchdog": "poweroff"}, set[str]()),
    "vcpus_each": ({"vcpus": 3}, {"vcpu", "vcpus"}),
    "disks_iothreads": ({"iothreads": 9, "balloon": True}, {"iothreads", "memballoon"}),
    "graphics_vnc": ({"graphics": [{"type": "vnc", "port": 0, "listen": "127.0.0.1"}]}, {"graphics", "listen"}),
    "sysinfo": ({"cmdline": "console=ttyS0", "kernel": "/boot/vmlinuz", "title": "edited"}, set[str]()),
}
#: libvirt → the recordings of it
RECORDED: t.Final = {"9": "9.0", "11": "11.3"}
PARAMETERS = """
import json, sys
from ansible_collections.gfapi.virt.tests.unit import test_adoption
print(json.dumps([test_adoption.parameters_of(test_adoption.domain_of(name)) for name in sys.argv[1:]]))
"""
SPICE = "qemu-system-modules-spice"
DEFINE = 'echo "$1" | base64 -d > /run/gfapi-adopted.xml && virsh define /run/gfapi-adopted.xml'

#: domains made from what is asked for, and domains of others after an edit of each kind, none twice
WRITE = """
import json
from hypothesis import given, settings
from ansible_collections.gfapi.virt.plugins.module_utils import _domain, _xml
from ansible_collections.gfapi.virt.tests.unit import test_adoption
from ansible_collections.gfapi.virt.tests.unit.plugins.module_utils import test_domain
written = {}

@settings(max_examples=150, derandomize=True, database=None, deadline=None)
@given(test_domain.domains)
def new(domain):
    written[f"new {len(written)}"] = [_xml.to_text(_domain.new_element(domain))]

new()
tried = set()
for name in test_adoption.NAMES:
    element = test_adoption.domain_of(name)
    for edit in test_adoption.edits(test_adoption.marked(element)):
        if edit.name not in tried and (after := test_adoption.edited(element, edit.desired)) is not None:
            written[f"{edit.name} of {name}"] = [_xml.to_text(after), test_adoption.recorded(name)]
            tried.add(edit.name)
print(json.dumps(written))
"""
VALIDATE = """
import base64, json, lzma, sys
from lxml import etree
schema = etree.RelaxNG(etree.parse("/usr/share/libvirt/schemas/domain.rng"))
domains = json.loads(lzma.decompress(base64.b64decode(sys.argv[1])))
valid, complaints = 0, {}
for name, (text, *before) in domains.items():
    # a newer libvirt's own domain may be beyond this one's schema
    if all(schema.validate(etree.fromstring(other)) for other in before):
        valid += 1
        if not schema.validate(etree.fromstring(text)):
            complaints[name] = [str(entry) for entry in schema.error_log]
print(json.dumps([valid, complaints]))
"""


def python(program: str, *arguments: str) -> str:
    """What a program prints that uses the collection's unit tests."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / ".cache/collections")}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True).stdout


def said(value: t.Any) -> t.Any:
    """The same without keys that say nothing."""
    if isinstance(value, dict):
        return {key: said(one) for key, one in value.items() if one is not None}
    return [said(one) for one in value] if isinstance(value, list) else value


@pytest.fixture
def adopted(system: System) -> t.Iterator[list[dict[str, t.Any]]]:
    """Recorded domains on the host, as parameters of the module."""
    # displays for SPICE: a package of its own since Debian 13, which the role installs for machines that have one
    install = f"apt-get -q -y install --no-install-recommends {SPICE}"
    system.run("sh", "-c", f"if apt-cache show {SPICE} >/dev/null 2>&1; then {install}; fi")
    # as the host's own libvirt has them: a newer one adds devices to what an older one wrote
    version = RECORDED[system.run("virsh", "--version").partition(".")[0]]
    names = [f"{name}_{version}" for name in EDITED]
    asked = said(json.loads(python(PARAMETERS, *names)))
    for name in names:
        text = (ROOT / f"tests/unit/fixtures/libvirt/domains/{name}.xml").read_bytes()
        system.run("sh", "-c", DEFINE, "sh", base64.b64encode(text).decode())
    yield asked
    for one in asked:
        system.run("virsh", "undefine", one["name"])


def test_domains_of_others_are_taken_over_and_edited(
    modules: Modules, system: System, adopted: list[dict[str, t.Any]]
) -> None:
    def lines() -> dict[str, list[str]]:
        return {one["name"]: system.lines("virsh", "dumpxml", "--inactive", one["name"]) for one in adopted}

    before = lines()
    assert modules.done("libvirt_vm", vms=adopted)["actions"] == []
    assert lines() == before
    edits = [{"name": one["name"], **changes} for one, (changes, _gone) in zip(adopted, EDITED.values(), strict=True)]
    assert len(modules.as_promised("libvirt_vm", vms=edits)["actions"]) == len(EDITED)
    for (name, now), (_changes, gone) in zip(lines().items(), EDITED.values(), strict=True):
        lost = [line for line in before[name] if line not in now]
        assert {re.findall(r"\w+", line)[0] for line in lost} == gone, lost


def test_every_domain_that_we_write_is_valid(system: System) -> None:
    packed = base64.b64encode(lzma.compress(python(WRITE).encode())).decode()
    number, complaints = json.loads(system.run("python3", "-c", VALIDATE, packed))
    assert complaints == {}
    assert number > 150
