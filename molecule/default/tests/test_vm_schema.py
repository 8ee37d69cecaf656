# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains as libvirt_vm writes them, against the schema of the host's own libvirt."""

from __future__ import annotations

import base64
import json
import lzma
import os
import subprocess
import sys

from hosts import System
from modules import ROOT

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


def test_every_domain_that_we_write_is_valid(system: System) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / ".cache/collections")}
    command = [sys.executable, "-c", WRITE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    packed = base64.b64encode(lzma.compress(done.stdout.encode())).decode()
    number, complaints = json.loads(system.run("python3", "-c", VALIDATE, packed))
    assert complaints == {}
    assert number > 150
