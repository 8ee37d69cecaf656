# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that would break a shell, a path or XML: kept to the letter, or refused before anything is made."""

from __future__ import annotations

import json
import typing as t

import pytest
from hosts import System
from modules import Modules

KEPT = (
    "../../../etc/passwd",
    "-rf",
    "--help",
    "$(reboot) `reboot` ; reboot",
    "<disk a='b' c=\"d\">&amp;</disk>",
    "%n%s%d",
    "DiskAlias=x",
    "ünïcødé ☃ 日本",
    "a\\nb",
)
REFUSED = {
    "x" * 300: "are too long for its .meta by",
    "a\nEOF": r"holds '\n'; line breaks and control characters are not allowed",
    "a\x07": r"holds '\x07'; line breaks and control characters are not allowed",
    " a": "begins or ends with a blank; take it away",
    "": "the name of disk is empty",
}


@pytest.fixture
def vms(modules: Modules) -> t.Iterator[dict[str, str]]:
    yield {"storage_domain": "vms"}
    modules.done("gfapi_disk", storage_domain="vms", disks=[{"name": name, "state": "absent"} for name in KEPT])


def test_hostile_names_are_kept_and_usable(
    modules: Modules, system: System, storage_domain: str, vms: dict[str, str]
) -> None:
    before = set(system.lines("ls", "-A", f"{storage_domain}/images"))
    disks = [{"name": name, "size": "1MiB", "format": "raw", "description": name[:40]} for name in KEPT]
    made = modules.as_promised("gfapi_disk", **vms, disks=disks)["disks"]
    assert [disk["name"] for disk in made] == list(KEPT)
    there = set(system.lines("ls", "-A", f"{storage_domain}/images")) - before
    assert there == {disk["image_uuid"] for disk in made}
    for disk, name in zip(made, KEPT):
        meta = system.host.file(f"{disk['path']}.meta").content.decode()
        description = next(line for line in meta.splitlines() if line.startswith("DESCRIPTION=")).partition("=")[2]
        assert json.loads(description) == {"DiskAlias": name, "DiskDescription": name[:40]}
    listed = modules.done("glusterfs_domain_info", names=["vms"])["storage_domains"][0]["images"]
    assert set(KEPT) <= {image["name"] for image in listed}
    vm = {**vms, "name": "hostile", "memory": "64MiB", "virt_type": "qemu"}
    modules.as_promised("libvirt_vm", **vm, disks=[{"name": name} for name in KEPT])
    serials = [disk["image_uuid"] for disk in made]
    xml = system.run("virsh", "dumpxml", "hostile")
    assert all(f"<serial>{serial}</serial>" in xml for serial in serials)
    modules.done("libvirt_vm", name="hostile", state="absent")


@pytest.mark.parametrize("name", REFUSED, ids=["long", "line", "bell", "blank", "empty"])
def test_other_names_are_refused(modules: Modules, system: System, storage_domain: str, name: str) -> None:
    before = system.run("ls", "-A", f"{storage_domain}/images")
    assert REFUSED[name] in modules.refused("gfapi_disk", storage_domain="vms", name=name, size="1MiB")
    assert system.run("ls", "-A", f"{storage_domain}/images") == before
