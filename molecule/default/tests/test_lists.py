# SPDX-License-Identifier: GPL-3.0-or-later
"""What a list asks of one disk and of another, and images under other names: nothing is lost by either."""

from __future__ import annotations

import posixpath
import typing as t

import pytest
from hosts import Guest, System
from modules import Modules

LINK = "/var/tmp/gfapi-link"
BOUND = "/mnt/gfapi-bound"
VM: t.Final = {"memory": "64MiB", "virt_type": "qemu"}


@pytest.fixture
def shared(modules: Modules, system: System) -> t.Iterator[dict[str, t.Any]]:
    """A raw disk of VM first, and a link to it."""
    disk = modules.done("gfapi_disk", storage_domain="vms", name="shared", size="1GiB", format="raw")["disk"]
    modules.done("libvirt_vm", storage_domain="vms", name="first", disks=[{"name": "shared"}], **VM)
    system.run("ln", "-sf", disk["path"], LINK)
    yield disk
    system.run("rm", LINK)
    gone = [{"name": name, "state": "absent", "force_stop": True} for name in ("second", "first")]
    modules.done("libvirt_vm", vms=gone)
    modules.done("gfapi_disk", storage_domain="vms", name="shared", state="absent")


def test_a_list_does_not_make_a_template_of_what_it_gives_to_a_vm(
    modules: Modules, guest: Guest, shared: dict[str, t.Any]
) -> None:
    clone = {"name": "clone", "clone_of": "other", "clone_mode": "backing"}
    modules.done("gfapi_disk", storage_domain="vms", name="other", size="1GiB")
    for change in ({"vm": guest.name}, {"state": "absent"}):
        for disks in ([clone, {"name": "other", **change}], [{"name": "other", **change}, clone]):
            message = modules.refused("gfapi_disk", storage_domain="vms", disks=disks)
            assert "disk 'clone' is to be made from disk 'other', which the same list changes (" in message
    modules.done("gfapi_disk", storage_domain="vms", name="other", state="absent")
    # and of two VMs, one does not lose its disk with the other
    second = {"name": "second", "disks": [{"name": "shared"}], **VM}
    message = modules.refused(
        "libvirt_vm", storage_domain="vms", vms=[{"name": "first", "state": "absent", "delete_disks": True}, second]
    )
    assert "disk 'shared' cannot be deleted: domain second is to have it" in message


def test_an_image_has_one_user_whatever_it_is_called(
    modules: Modules, system: System, shared: dict[str, t.Any]
) -> None:
    by_link = {"name": "second", "disks": [{"file": LINK, "format": "raw"}], **VM}
    modules.as_promised("libvirt_vm", **by_link)
    modules.done("libvirt_vm", name="first", state="running")
    words = "domain second cannot start on image"
    assert words in modules.refused("libvirt_vm", name="second", state="running")
    uri, path = shared["uri"], shared["path"]
    inside = uri[uri.index("/vmstore/") + len("/vmstore/") :]
    point = path.removesuffix(f"/{inside}")
    system.run("ln", "-s", inside, f"{point}/link.raw")
    system.run("mkdir", BOUND)
    system.run("mount", "--bind", posixpath.dirname(path), BOUND)
    others = ({"uri": uri.replace(inside, "link.raw")}, {"file": f"{BOUND}/{posixpath.basename(path)}"})
    for other in others:
        message = modules.refused(
            "libvirt_vm", **{**by_link, "disks": [{**other, "format": "raw"}], "state": "running"}
        )
        assert words in message
        assert "domain first writes to it" in message
    system.run("umount", BOUND)
    system.run("rmdir", BOUND)
    system.run("rm", f"{point}/link.raw")
    shares = {**by_link, "disks": [{"name": "shared", "shareable": True}]}
    assert words in modules.refused("libvirt_vm", storage_domain="vms", **shares, state="running")
    modules.done("libvirt_vm", name="first", state="absent", force_stop=True, shutdown_timeout=0)
    message = modules.refused("gfapi_disk", storage_domain="vms", name="shared", state="absent")
    assert "disk 'shared' is in use by domain second (defined, disk vda)" in message


def test_what_somebody_gave_to_the_running_vm_alone_stays(modules: Modules, system: System, guest: Guest) -> None:
    image = "/var/lib/libvirt/images/alone.raw"
    system.run("qemu-img", "create", "-q", "-f", "raw", image, "8M")
    system.run("chown", "libvirt-qemu", image)
    system.run("virsh", "attach-disk", guest.name, image, "vdy", "--live")
    modules.as_promised("libvirt_vm", name=guest.name, state="running")
    assert "vdy" in system.run("virsh", "domblklist", guest.name)
    system.run("virsh", "detach-disk", guest.name, "vdy", "--live")
    system.wait("disk gone", lambda: "vdy" not in system.run("virsh", "domblklist", guest.name))
    system.run("rm", image)
