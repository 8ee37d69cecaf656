# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A storage domain on a Gluster volume: its names on the mount, and `dom_md/metadata` as a value. Pure: no I/O.

The format is oVirt's (VDSM's lib/vdsm/storage/{sd,fileSD,persistent}.py): lines `KEY=VALUE` sorted by key, UTF-8,
the last one the seal `_SHA_CKSUM`.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
import typing as t
import unicodedata
from dataclasses import dataclass

from ansible_collections.gfapi.virt.plugins.module_utils import _leases, _uri

#: what this collection makes; 3 and 4 are used and upgraded
VERSION: t.Final = 5
READABLE_VERSIONS: t.Final = (3, 4, 5)
MOUNT_ROOT: t.Final = "/rhev/data-center/mnt/glusterSD"
#: vdsm:kvm on every oVirt host
OWNER_ID: t.Final = 36
#: the longest that oVirt lets a storage domain be renamed to
NAME_LIMIT: t.Final = 50
SEAL: t.Final = "_SHA_CKSUM"
NO_UUID: t.Final = "00000000-0000-0000-0000-000000000000"
#: kept for VDSM, which writes them and asks for nothing in them
LEGACY: t.Final = (
    ("IOOPTIMEOUTSEC", "10"),
    ("LEASERETRIES", "3"),
    ("LEASETIMESEC", "60"),
    ("LOCKPOLICY", ""),
    ("LOCKRENEWALINTERVALSEC", "5"),
)

FOLDER: t.Final = "dom_md"
METADATA: t.Final = "dom_md/metadata"
METADATA_MODE: t.Final = 0o644
XLEASES: t.Final = "dom_md/xleases"
IMAGES: t.Final = "images"

#: on the root of the mount: a link whose target is the uuid that all hosts agree on; made exclusively
CLAIM: t.Final = ".gfapi-virt-uuid"
#: on the root of the mount too: locked by whoever changes the storage domain; stays until that goes
LOCK: t.Final = ".gfapi-virt-lock"
#: stands there while an upgrade runs, and after one that was killed
MARK: t.Final = ".gfapi-virt-upgrade"
#: begins the name that a storage domain has there while it is removed
REMOVED: t.Final = ".gfapi-virt-removed-"
#: who uses the storage domain, by host; no name that a killed run could have left
USERS: t.Final = ".gfapi-users"
#: what VMs hand to cloud-init, by image
SEEDS: t.Final = ".gfapi-seeds"
#: what else than data lies in the root of a volume or of a brick: gluster's, ours, a file system's, and VDSM's probe
_NO_DATA: t.Final = (
    ".glusterfs", ".trashcan", ".shard", ".gfapi-virt-", USERS, SEEDS, "lost+found", "__DIRECT_IO_TEST__",
)  # fmt: skip

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: control characters, surrogates (bytes that are no UTF-8), line and paragraph separators
_UNPRINTABLE: t.Final = ("Cc", "Cs", "Zl", "Zp")


def is_uuid(text: str) -> bool:
    """Whether the text is a uuid as oVirt spells it: lower case, with dashes."""
    return _UUID.fullmatch(text) is not None


def require_name(text: str, thing: str) -> str:
    """The text, if it can name something in one line of a metadata file; raises `ValueError` naming the fault."""
    if not text:
        raise ValueError(f"the name of {thing} is empty")
    if text != text.strip():
        raise ValueError(f"the name of {thing} {text!r} begins or ends with a blank; take it away")
    return require_printable(text, f"the name of {thing}")


def require_new_name(text: str) -> str:
    """The text, if a storage domain can be made with that name; VDSM and its Engine made some with others."""
    if len(text) > NAME_LIMIT:
        raise ValueError(f"the name of storage domain {text!r} is {len(text)} characters long; {NAME_LIMIT} fit")
    return require_name(text, "storage domain")


def require_line(text: str, what: str) -> str:
    """The text, if it is one line, whatever else is in it: what VDSM has written is written again."""
    if "\n" in text:
        raise ValueError(f"{what} {text!r} holds a line break")
    return text


def require_printable(text: str, what: str) -> str:
    """The text, if it has no line breaks, control characters or bytes that are no UTF-8."""
    wrong = next((character for character in text if unicodedata.category(character) in _UNPRINTABLE), None)
    if wrong is not None:
        raise ValueError(f"{what} {text!r} holds {wrong!r}; line breaks and control characters are not allowed")
    return text


@dataclass(frozen=True)
class StorageDomain:
    """What `dom_md/metadata` says. `pool_uuid` is comma separated, empty while no data center has it.

    `other` holds the keys that are not modelled, as they were read, so that rewriting the file keeps them.
    """

    uuid: str
    name: str
    spec: str
    version: int = VERSION
    pool_uuid: str = ""
    role: str = "Regular"
    domain_class: str = "Data"
    block_size_bytes: int = 512
    alignment_bytes: int = _leases.MIB
    other: tuple[tuple[str, str], ...] = LEGACY

    def __post_init__(self) -> None:
        if not is_uuid(self.uuid):
            raise ValueError(f"SDUUID {self.uuid!r} is not a uuid")
        if self.version not in READABLE_VERSIONS:
            raise ValueError(f"VERSION {self.version} is not one of {', '.join(map(str, READABLE_VERSIONS))}")
        if self.geometry not in _leases.MAX_HOSTS or (self.version < VERSION and self.geometry != (512, _leases.MIB)):
            raise ValueError(
                f"BLOCK_SIZE {self.block_size_bytes} with ALIGNMENT {self.alignment_bytes} is nothing that version"
                f" {self.version} has"
            )

    @classmethod
    def new(cls, uuid: str, name: str, spec: _uri.VolumeSpec, block_size_bytes: int = 512) -> StorageDomain:
        """One that no data center has, for 250 hosts; raises `ValueError` for a name that does not fit."""
        require_new_name(name)
        return cls(uuid, name, str(spec), block_size_bytes=block_size_bytes)

    @property
    def geometry(self) -> tuple[int, int]:
        """Sector size and alignment of its leases."""
        return self.block_size_bytes, self.alignment_bytes

    @property
    def qcow2_compat(self) -> str:
        """What its qcow2 images are made with: before version 4, what every QEMU can read."""
        return "1.1" if self.version >= 4 else "0.10"

    @property
    def pools(self) -> tuple[str, ...]:
        """The data centers that have it."""
        return tuple(pool for pool in self.pool_uuid.split(",") if pool not in ("", NO_UUID))

    @classmethod
    def from_text(cls, text: str) -> StorageDomain:
        """`dom_md/metadata` → value; raises `ValueError`, with both sums where the seal is broken."""
        keys = _unsealed(text)
        kind = keys.pop("TYPE", "")
        if kind != "GLUSTERFS":
            raise ValueError(f"TYPE is {kind!r}, not 'GLUSTERFS'")
        values: dict[str, t.Any] = {}
        for field in FIELDS:
            word = keys.get(field.key, field.absent)
            if word is None:
                raise ValueError(f"there is no {field.key}")
            values[field.name] = field.parse(word)
        # a key of a later version is kept too
        modelled = {field.key for field in FIELDS if field.since <= values["version"]}
        return cls(**values, other=tuple(sorted(item for item in keys.items() if item[0] not in modelled)))

    def to_text(self) -> str:
        """The file's whole text, sealed."""
        fields = (field for field in FIELDS if self.version >= field.since)
        keys = {"TYPE": "GLUSTERFS", **dict(self.other), **{f.key: str(getattr(self, f.name)) for f in fields}}
        lines = [f"{key}={require_line(value, key)}" for key, value in sorted(keys.items())]
        return "".join(f"{line}\n" for line in [*lines, f"{SEAL}={seal(keys)}"])


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


class Field(t.NamedTuple):
    """Where one attribute of a storage domain stands; without `absent` the key must be there."""

    name: str
    key: str
    absent: str | None = None
    parse: t.Callable[[str], t.Any] = str
    since: int = 3


FIELDS: t.Final = (
    Field("uuid", "SDUUID"),
    Field("name", "DESCRIPTION", ""),
    Field("spec", "REMOTE_PATH", ""),
    Field("version", "VERSION", parse=_number),
    Field("pool_uuid", "POOL_UUID", ""),
    Field("role", "ROLE", "Regular"),
    Field("domain_class", "CLASS", "Data"),
    Field("block_size_bytes", "BLOCK_SIZE", "512", parse=_number, since=5),
    Field("alignment_bytes", "ALIGNMENT", str(_leases.MIB), parse=_number, since=5),
)


def seal(keys: t.Mapping[str, str]) -> str:
    """SHA-1 over the lines in order of their keys, without line ends; non-ASCII enters as `&#233;`."""
    joined = "".join(f"{key}={value}" for key, value in sorted(keys.items()))
    # not for secrecy: VDSM looks for damage with it
    return hashlib.sha1(joined.encode("ascii", "xmlcharrefreplace"), usedforsecurity=False).hexdigest()


class Seals(t.NamedTuple):
    """The seal that a text has (`None`: none, which VDSM takes too) and the one that it ought to have."""

    stored: str | None
    computed: str

    @property
    def is_broken(self) -> bool:
        return self.stored not in (None, self.computed)


def seals_of(text: str) -> Seals:
    """Both seals of `dom_md/metadata`, whatever else it says."""
    keys = _keys(text)
    stored = keys.pop(SEAL, None)
    return Seals(stored, seal(keys))


def _keys(text: str) -> dict[str, str]:
    lines = (line.partition("=") for line in text.rstrip("\0").split("\n") if "=" in line)
    return {key: value for key, _equals, value in lines}


def _unsealed(text: str) -> dict[str, str]:
    """Key → value without the seal, which must be right where there is one (VDSM takes a file without)."""
    keys = _keys(text)
    if not keys:
        raise ValueError("there is no KEY=VALUE line")
    seals = seals_of(text)
    if seals.is_broken:
        raise ValueError(f"the seal is broken: {SEAL} is {seals.stored}, the text gives {seals.computed}")
    keys.pop(SEAL, None)
    return keys


def mount_point(mount_root: str, spec: _uri.VolumeSpec) -> str:
    """Where oVirt mounts it, so that its hosts and ours mean the same directory."""
    return posixpath.join(mount_root, spec.mount_name)


def foreign(names: t.Iterable[str], uuid: str | None) -> tuple[str, ...]:
    """What in the root of a volume is neither the storage domain's nor known to be nobody's."""
    return tuple(name for name in names if name != uuid and not name.startswith(_NO_DATA))
