# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _xml
from ansible_collections.gfapi.virt.plugins.module_utils._conversion import (
    BothWays,
    Reached,
    converted,
    copy_element,
    gone_over,
    require_convertible,
    to_convert,
)
from ansible_collections.gfapi.virt.plugins.module_utils._disk import DiskSource, Layer

DOMAIN = """<domain type='kvm'><name>web</name><devices>
  <disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none' io='native'/>
    <source file='/mnt/vms/web.qcow2' index='3'/><backingStore/><target dev='vda' bus='virtio'/><serial>old</serial>
    <alias name='virtio-disk0'/><address type='pci' bus='0x04'/></disk>
  <disk type='block' device='disk'><source dev='/dev/sdb'/><target dev='vdb' bus='virtio'/></disk>
  <disk type='file' device='cdrom'><source file='/mnt/vms/cd.iso'/><target dev='sda' bus='sata'/></disk>
</devices><seclabel type='dynamic' model='dac' relabel='yes'/></domain>"""
GLUSTER = DiskSource.gluster("vmstore", "vms/web.qcow2", ["g1", "g2"])
FILE = DiskSource(file="/mnt/vms/web.qcow2")
BELOW = (Layer(DiskSource.gluster("vmstore", "vms/base", ["g1", "g2"]), "raw"),)
IMAGE = BothWays(Reached(FILE, (Layer(DiskSource(file="/mnt/vms/base"), "raw"),)), Reached(GLUSTER, BELOW))


def test_which_disks_may_go_over() -> None:
    domain = _xml.parse(DOMAIN)
    assert [disk.target for disk in to_convert(domain, "gfapi")] == ["vda"]
    assert to_convert(domain, "fuse") == ()
    assert to_convert(domain, "auto") == ()
    assert to_convert(None, "gfapi") == ()
    over = converted(domain, {"vda": IMAGE.by("gfapi")}, "gfapi")
    assert [disk.target for disk in to_convert(over, "fuse")] == ["vda"]
    assert to_convert(over, "gfapi") == ()


def test_a_disk_goes_over_and_the_guest_sees_the_same() -> None:
    domain = _xml.parse(DOMAIN)
    over = converted(domain, {"vda": IMAGE.by("gfapi")}, "gfapi")
    disk, before = (_disk.from_element(one.findall("devices/disk")[0]) for one in (over, domain))
    assert (disk.source, disk.backing) == (GLUSTER, BELOW)
    assert (disk.target, disk.bus, disk.serial, disk.cache) == (before.target, before.bus, before.serial, before.cache)
    assert over.find("devices/disk/address[@bus='0x04']") is not None
    assert not _disk.is_relabelled(over)
    assert _xml.to_text(over.findall("devices/disk")[1]) == _xml.to_text(domain.findall("devices/disk")[1])
    back = converted(over, {"vda": IMAGE.by("fuse")}, "fuse")
    assert _disk.from_element(back.findall("devices/disk")[0]).source == FILE
    # QEMU's user may open what is 36:36 now, so nothing has to be given to it
    assert not _disk.is_relabelled(back)


def test_what_is_to_be_mended_before() -> None:
    domain = _xml.parse(DOMAIN)
    over = converted(domain, {"vda": IMAGE.by("gfapi")}, "gfapi")
    assert [disk.source for disk in gone_over(domain, over)] == [FILE]
    assert gone_over(over, over) == []
    assert gone_over(over, domain) == []
    other = DiskSource.gluster("vmstore", "vms/another", ["g1"])
    assert gone_over(domain, converted(domain, {"vda": Reached(other, ())}, "gfapi")) == []


def test_what_a_disk_is_copied_into() -> None:
    (disk,) = to_convert(_xml.parse(DOMAIN), "gfapi")
    element = copy_element(disk, "qcow2", GLUSTER)
    assert element.get("type") == "network"
    label = element.find("source/seclabel")
    assert label is not None
    assert (label.get("model"), label.get("relabel")) == ("dac", "no")
    assert element.find("backingStore") is not None
    assert _disk.from_element(element).format == "qcow2"


def test_the_files_of_an_image() -> None:
    assert IMAGE.paths == ["/mnt/vms/web.qcow2", "/mnt/vms/base"]


def test_what_a_way_needs() -> None:
    assert require_convertible("web", "block_copy", None, "vms") == "vms"
    assert require_convertible("web", "on_restart", None, None) == ""
    with pytest.raises(ValueError, match="domain web: convert: live_migrate needs host"):
        require_convertible("web", "live_migrate", None, "vms")
    with pytest.raises(ValueError, match="domain web: convert: block_copy needs storage_domain"):
        require_convertible("web", "block_copy", None, None)
    with pytest.raises(ValueError, match="domain web: convert: block_copy copies on this host"):
        require_convertible("web", "block_copy", "hv2", "vms")
