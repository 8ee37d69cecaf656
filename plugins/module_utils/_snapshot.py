# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of an image: which layer is which, and the next step to a wanted one. Pure: no I/O.

A snapshot is an image volume that was the leaf until then; its `.meta` holds the name, in DESCRIPTION. Layers that are
between two states are ILLEGAL, which keeps everybody (VDSM too) from the image, and a key of ours in their `.meta` says
how far a killed run came:

- `COMMIT`: gets the data of the layer above it. `PIVOT`: has them, and the running domain is about to go on with it.
  `COMMITTED`: has them, and the name of the layer above it too.
- `DISCARD`: goes.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.gfapi.virt.plugins.module_utils import _disk, _domain, _errors, _image, _xml

NAME: t.Final = "Snapshot"
NOTE: t.Final = "SnapshotDescription"
LEGAL: t.Final = "LEGAL"
ILLEGAL: t.Final = "ILLEGAL"
#: the key in `.meta`, which VDSM reads over
MARK: t.Final = "GFAPI"
COMMIT: t.Final = "COMMIT"
PIVOT: t.Final = "PIVOT"
COMMITTED: t.Final = "COMMITTED"
DISCARD: t.Final = "DISCARD"
#: QEMU refuses an image with a longer one
TABLE_LIMIT_BYTES: t.Final = 32 << 20
_UUID: t.Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: storage domain, image, image volume
_IMAGE_VOLUME: t.Final = re.compile(rf"(?:.*/)?({_UUID})/(?:images/)?({_UUID})/({_UUID})")


def note_of(volume: _image.ImageVolume) -> str:
    return _image.described(volume.description, NOTE)


def named(volume: _image.ImageVolume, name: str, note: str) -> _image.ImageVolume:
    """The leaf as it is once it is a snapshot."""
    return replace(volume, role="INTERNAL", description=_description(volume, {NAME: name, NOTE: note}))


def unnamed(volume: _image.ImageVolume) -> _image.ImageVolume:
    """A snapshot as it is once it is the leaf again."""
    return replace(volume, role="LEAF", description=_description(volume, {}))


def overlay_of(
    volume: _image.ImageVolume, uuid: str, *, created_at: int, like: _image.ImageVolume | None = None
) -> _image.ImageVolume:
    """A new leaf on an image volume, named and described like another, as a rule the leaf until now."""
    return _image.ImageVolume(
        uuid=uuid,
        image_uuid=volume.image_uuid,
        storage_domain_uuid=volume.storage_domain_uuid,
        description=_description(like or volume, {}),
        format="qcow2",
        capacity_bytes=volume.capacity_bytes,
        created_at=created_at,
        parent_uuid=volume.uuid,
        disk_type=volume.disk_type,
        sequence=max(volume.sequence, like.sequence if like else 0) + 1,
    )


def adopted(volume: _image.ImageVolume, child: _image.ImageVolume) -> _image.ImageVolume:
    """A layer that got all data of the one above it: called and as large as that one."""
    return replace(
        marked(volume, COMMITTED),
        role="LEAF" if child.role == "LEAF" else "INTERNAL",
        description=child.description,
        capacity_bytes=child.capacity_bytes,
    )


def mark_of(volume: _image.ImageVolume) -> str:
    return dict(volume.other).get(MARK, "")


def marked(volume: _image.ImageVolume, mark: str) -> _image.ImageVolume:
    """A layer between two states; without a mark, one that is usable again."""
    other = {**dict(volume.other), MARK: mark}
    kept = tuple(sorted((key, value) for key, value in other.items() if value or key != MARK))
    return replace(volume, legality=ILLEGAL if mark else LEGAL, other=kept)


def _description(volume: _image.ImageVolume, keys: dict[str, str]) -> str:
    alias, note = volume.alias, volume.note
    about = {"DiskAlias": alias, "DiskDescription": note, **{key: value for key, value in keys.items() if value}}
    text = json.dumps(about, ensure_ascii=False, separators=(",", ":"))
    if len(text) > _image.DESCRIPTION_LIMIT:
        raise ValueError(
            f"the names and descriptions of disk {alias!r} and snapshot {keys.get(NAME, '')!r} are too long for its"
            f" .meta by {len(text) - _image.DESCRIPTION_LIMIT} characters"
        )
    return text


@dataclass(frozen=True)
class Use:
    """A domain's disk: the image volumes that it names, its own first; `None` where it has no such configuration."""

    domain: str
    target: str
    live: tuple[str, ...] | None
    configured: tuple[str, ...] | None
    #: of a block job that copies into another layer: `""` for none, else whether it is ready (`yes`, `no`)
    mirror: str = ""

    @property
    def current(self) -> tuple[str, ...]:
        return self.live or self.configured or ()


@dataclass(frozen=True)
class State:
    """An image as its files and the domain that uses it show it. By uuid: the image volumes, and what qcow2 say."""

    name: str
    volumes: t.Mapping[str, _image.ImageVolume]
    #: the image volume that a qcow2 layer's header names
    backing: t.Mapping[str, str]
    #: qcow2 layers that hold no data of their own
    empty: frozenset[str]
    use: Use | None = None

    def snapshot(self, name: str) -> _image.ImageVolume | None:
        return next((volume for volume in self.volumes.values() if volume.snapshot == name), None)

    def children(self, uuid: str) -> list[_image.ImageVolume]:
        return [volume for volume in self.volumes.values() if volume.parent_uuid == uuid]

    def above(self, uuid: str) -> list[_image.ImageVolume]:
        """All that builds on an image volume, nearest first."""
        found = self.children(uuid)
        for volume in found:
            found.extend(child for child in self.children(volume.uuid) if child not in found)
        return found

    @property
    def leaf(self) -> _image.ImageVolume:
        leaves = [volume for volume in self.volumes.values() if not self.children(volume.uuid)]
        usable = [volume for volume in leaves if volume.legality == LEGAL] if len(leaves) > 1 else leaves
        if len(usable) != 1:
            raise _errors.StorageError(
                f"disk {self.name!r} has {len(usable)} image volumes that no other builds on, not one"
            )
        return usable[0]

    @property
    def committed_into(self) -> _image.ImageVolume | None:
        """The layer that an unfinished removal commits into."""
        return next((one for one in self.volumes.values() if mark_of(one) in (COMMIT, PIVOT, COMMITTED)), None)

    @property
    def discarded(self) -> list[_image.ImageVolume]:
        """What is to go."""
        return [volume for volume in self.volumes.values() if mark_of(volume) == DISCARD]

    @property
    def snapshots(self) -> list[_image.ImageVolume]:
        """The oldest first."""
        base = next(volume for volume in self.volumes.values() if volume.parent_uuid not in self.volumes)
        return [volume for volume in (base, *self.above(base.uuid)) if volume.snapshot]

    def chain(self, leaf: _image.ImageVolume) -> list[_image.ImageVolume]:
        """An image volume and what it builds on, the base last."""
        found = [leaf]
        while found[-1].parent_uuid in self.volumes:
            found.append(self.volumes[t.cast(str, found[-1].parent_uuid)])
        return found


class Step(t.NamedTuple):
    """One change to an image. `do` names a method of the edge; the rest are its arguments."""

    do: str
    volume: _image.ImageVolume
    other: _image.ImageVolume | None = None


def require_settled(state: State) -> None:
    """Raises `StorageError` for an image that another operation left between two states."""
    if state.committed_into:
        raise _errors.StorageError(
            f"disk {state.name!r}: the removal of a snapshot was interrupted"
            f" ({_name(state.committed_into)}); finish it first, with state: absent"
        )
    if state.discarded:
        below = state.volumes.get(state.discarded[0].parent_uuid or "")
        raise _errors.StorageError(
            f"disk {state.name!r}: its revert to a snapshot was interrupted ({_name(below)}); finish it first, with"
            " state: reverted"
        )
    illegal = [volume.uuid for volume in state.volumes.values() if volume.legality != LEGAL]
    if illegal:
        raise _errors.StorageError(f"disk {state.name!r} is not usable: {illegal[0]} is not LEGAL")


def _name(volume: _image.ImageVolume | None) -> str:
    return (volume.snapshot or volume.uuid) if volume else "of one that is gone"


# --- present --------------------------------------------------------------------------------------------------------


def creation_step(state: State, name: str) -> Step | None:
    """What makes a new leaf above the one that is called `name` from then on; `None` where it is there."""
    require_settled(state)
    snapshot = state.snapshot(name)
    if snapshot and state.children(snapshot.uuid):
        return None
    leaf = state.leaf
    if leaf.role == _image.SHARED:
        raise _errors.StorageError(f"disk {state.name!r} is a template, which takes no snapshots")
    require_current(state, leaf)
    return Step("overlay", leaf)


def require_current(state: State, leaf: _image.ImageVolume) -> None:
    """Raises `StorageError` where the domain runs, or would, on something else than the leaf."""
    use = state.use
    for word, chain in (("runs", use.live), ("would start", use.configured)) if use else ():
        if use and chain is not None and chain[:1] != (leaf.uuid,):
            raise _errors.StorageError(
                f"disk {state.name!r}: domain {use.domain} {word} on image volume {''.join(chain[:1]) or 'none'}, and"
                f" the leaf is {leaf.uuid}; {_mend(state, chain)}"
            )


def _mend(state: State, chain: tuple[str, ...]) -> str:
    begun = state.volumes.get("".join(chain[:1]))
    if begun and begun.snapshot:
        return f"finish snapshot {begun.snapshot} with state: present, or take it back with state: absent"
    return "mend the domain's disk, or restart the domain, first"


def is_behind(state: State, name: str) -> bool:
    """Whether the domain still has the snapshot itself where its new leaf belongs."""
    snapshot, use = state.snapshot(name), state.use
    if use is None or snapshot is None:
        return False
    chains = [chain for chain in (use.live, use.configured) if chain is not None]
    if not any(chain[:1] == (snapshot.uuid,) for chain in chains):
        return False
    if not _is_empty_leaf(state, snapshot):
        raise _errors.StorageError(
            f"disk {state.name!r}: domain {use.domain} has snapshot {name} itself as its disk, and layers above it hold"
            " data; mend the domain's disk first"
        )
    return True


def runs_on(state: State, volume_uuid: str) -> bool:
    """Whether a running domain has an image volume as the disk itself."""
    return state.use is not None and (state.use.live or ())[:1] == (volume_uuid,)


def _is_empty_leaf(state: State, snapshot: _image.ImageVolume) -> bool:
    above = state.above(snapshot.uuid)
    return len(above) == 1 and above[0].uuid in state.empty


# --- absent ---------------------------------------------------------------------------------------------------------


def removal_step(state: State, name: str) -> Step | None:
    """The next step on the way of a snapshot's layer taking in the one above it; `None` where there is none left."""
    target = state.committed_into
    if target and mark_of(target) != COMMITTED and target.snapshot != name:
        require_settled(state)
    if target and mark_of(target) == COMMITTED:
        return _step_after_commit(state, target)
    target = target or state.snapshot(name)
    if target is None:
        return None
    above = state.children(target.uuid)
    if not mark_of(target):
        require_settled(state)
        if not above:
            return Step("forget", target)
        _require_committable(state, target, above[0])
        return Step("mark_commit", target)
    child = next((volume for volume in above if mark_of(volume) == DISCARD), None)
    if child is None:
        return Step("mark_discard", above[0])
    upper = next(iter(state.children(child.uuid)), None)
    return _commit_leaf(state, target, child) if upper is None else _commit_middle(state, target, child, upper)


def is_between_layers(state: State, name: str) -> bool:
    """Whether the removal commits one layer into another below those of a running domain."""
    target = state.committed_into or state.snapshot(name)
    if target is None or mark_of(target) == COMMITTED or state.use is None or state.use.live is None:
        return False
    return any(state.children(child.uuid) for child in state.children(target.uuid))


def _require_committable(state: State, target: _image.ImageVolume, child: _image.ImageVolume) -> None:
    if target.role == _image.SHARED:
        raise _errors.StorageError(
            f"disk {state.name!r}: snapshot {target.snapshot} is a template, and nothing goes into it"
        )
    use = state.use
    if use and target.uuid in (use.current[:1]) and not _is_empty_leaf(state, target):
        raise _errors.StorageError(
            f"disk {state.name!r}: domain {use.domain} has snapshot {target.snapshot} itself as its disk, and"
            " layers above it hold data; mend the domain's disk first"
        )
    if use and target.uuid not in use.current[:1]:
        require_current(state, state.leaf)


def _commit_leaf(state: State, target: _image.ImageVolume, child: _image.ImageVolume) -> Step:
    use = state.use
    if use is None:
        if mark_of(target) == PIVOT:
            raise _errors.StorageError(
                f"disk {state.name!r}: the removal of snapshot {target.snapshot} was interrupted while a domain"
                f" went over from image volume {child.uuid} to {target.uuid}, and no domain of this host tells"
                " whether it did; define the domain again as it was"
            )
        return Step("commit_offline", target, child)
    if use.current[:1] == (target.uuid,):
        return Step("adopt", target, child)
    if use.current[:1] != (child.uuid,):
        require_current(state, child)
    if use.live is None:
        return Step("commit_offline", target, child)
    if not use.mirror:
        return Step("commit_live", target, child)
    if mark_of(target) != PIVOT:
        return Step("mark_pivot", target)
    return Step("pivot", target, child)


def _commit_middle(
    state: State, target: _image.ImageVolume, child: _image.ImageVolume, upper: _image.ImageVolume
) -> Step:
    use = state.use
    if use and use.live is not None and child.uuid in use.live:
        return Step("commit_live", target, child)
    if use and use.live is not None and state.backing.get(upper.uuid) != target.uuid:
        require_current(state, child)
    return Step("adopt" if state.backing.get(upper.uuid) == target.uuid else "commit_offline", target, child)


def _step_after_commit(state: State, target: _image.ImageVolume) -> Step:
    """All data are in the layer, which has the name of the one above it already."""
    child = next((volume for volume in state.children(target.uuid) if mark_of(volume) == DISCARD), None)
    if child is None:
        return Step("settle", target)
    upper = next(iter(state.children(child.uuid)), None)
    if upper:
        return Step("reparent", upper, target)
    if state.use and state.use.configured and child.uuid in state.use.configured:
        return Step("repoint", target if target.role == "LEAF" else state.leaf)
    return Step("remove", child)


# --- reverted -------------------------------------------------------------------------------------------------------


def revert_step(state: State, name: str) -> Step | None:
    """The next step on the way back to a snapshot; `None` where an empty leaf on it is all that is above it."""
    if state.committed_into:
        require_settled(state)
    snapshot = state.snapshot(name)
    if snapshot is None:
        known = ", ".join(volume.snapshot for volume in state.snapshots) or "none"
        raise _errors.StorageError(
            f"disk {state.name!r} has no snapshot {name!r} (it has {known}); name one that is there"
        )
    above = state.above(snapshot.uuid)
    gone = state.discarded
    if gone and any(volume not in above for volume in gone):
        require_settled(state)
    if not gone:
        require_settled(state)
        if not above:
            return Step("overlay", snapshot)
        if not _is_empty_leaf(state, snapshot):
            require_current(state, state.leaf)
            return Step("mark_discard", state.leaf)
        fresh = above[0]
    else:
        old = [volume for volume in above if any(one in (volume, *state.above(volume.uuid)) for one in gone)]
        unmarked = [volume for volume in old if not mark_of(volume)]
        if unmarked:
            return Step("mark_discard", unmarked[-1])
        new = [volume for volume in above if volume not in old]
        if not new:
            return Step("overlay", snapshot, old[-1])
        fresh = new[0]
    if state.use and state.use.configured and state.use.configured[:1] != (fresh.uuid,):
        return Step("repoint", fresh)
    return Step("remove", _top(state, gone)) if gone else None


def _top(state: State, volumes: t.Sequence[_image.ImageVolume]) -> _image.ImageVolume:
    return next(volume for volume in volumes if not state.children(volume.uuid))


# --- domains --------------------------------------------------------------------------------------------------------


def image_of(source: _disk.DiskSource) -> tuple[str, str, str] | None:
    """The storage domain, image and image volume that a source is; `None` for anything else."""
    match = _IMAGE_VOLUME.fullmatch(source.name or source.file or "")
    return t.cast("tuple[str, str, str]", match.groups()) if match else None


def use_of(domain: str, live: _xml.Element | None, inactive: _xml.Element | None, image_uuid: str) -> Use | None:
    """How a domain has an image; `None` if it has not."""
    found = [(_disk_with(live, image_uuid), live), (_disk_with(inactive, image_uuid), inactive)]
    first = next((disk for disk, _configuration in found if disk is not None), None)
    if first is None:
        return None
    chains = [None if root is None else _chain(disk) for disk, root in found]
    mirror = None if found[0][0] is None else found[0][0].find("mirror[@job='active-commit']")
    words = "" if mirror is None else mirror.get("ready", "no")
    return Use(domain, _disk.from_element(first).target, chains[0], chains[1], words)


def _disk_with(configuration: _xml.Element | None, image_uuid: str) -> _xml.Element | None:
    for element in () if configuration is None else configuration.iterfind("devices/disk"):
        place = image_of(_disk.source_from(element.find("source")))
        if place and place[1] == image_uuid:
            return element
    return None


def _chain(element: _xml.Element | None) -> tuple[str, ...]:
    if element is None:
        return ()
    disk = _disk.from_element(element)
    places = [image_of(source) for source in (disk.source, *(layer.source for layer in disk.backing or ()))]
    return tuple(place[2] for place in places if place)


def moved(source: _disk.DiskSource, volume_uuid: str) -> _disk.DiskSource:
    """The same source, with another image volume of the image."""

    def other(path: str | None) -> str | None:
        return None if path is None else f"{path.rpartition('/')[0]}/{volume_uuid}"

    return replace(source, name=other(source.name), file=other(source.file))


def repointed(inactive: _xml.Element, chains: t.Mapping[str, t.Sequence[_image.ImageVolume]]) -> _xml.Element:
    """A domain's configuration whose disks have these chains, by the image's uuid; all else stays."""
    model = _domain.from_element(inactive)
    disks = []
    for disk in model.disks or ():
        place = image_of(disk.source)
        chain = chains.get(place[1], ()) if place else ()
        if chain:
            backing = tuple(_disk.Layer(moved(disk.source, one.uuid), one.format) for one in chain[1:])
            source = moved(disk.source, chain[0].uuid)
            disk = replace(disk, source=source, format=chain[0].format, backing=backing)
        disks.append(disk)
    return _domain.edited(inactive, _domain.Domain(name=model.name, disks=tuple(disks)))


def snapshot_element(live: _xml.Element, leaves: t.Mapping[str, str]) -> _xml.Element:
    """libvirt's `<domainsnapshot>` onto files that are there: by the image's uuid, the image volume to go on with."""
    disks = []
    for element in live.iterfind("devices/disk"):
        disk = _disk.from_element(element)
        place = image_of(disk.source)
        leaf = leaves.get(place[1]) if place else None
        if leaf is None:
            disks.append(_xml.element("disk", {"name": disk.target, "snapshot": "no"}))
            continue
        source = moved(disk.source, leaf)
        kind = {"name": disk.target, "snapshot": "external", "type": source.type}
        driver = _xml.element("driver", {"type": "qcow2"})
        disks.append(_xml.element("disk", kind, driver, _disk.source_element(source)))
    return _xml.element("domainsnapshot", None, _xml.element("disks", None, *disks))


def index_of(live: _xml.Element, target: str, volume_uuid: str) -> str:
    """What libvirt calls a layer of a running domain's disk, as in `vda[3]`; raises `StorageError` if it has none."""
    for element in live.iterfind("devices/disk"):
        if _disk.from_element(element).target != target:
            continue
        for source in element.iter("source"):
            place = image_of(_disk.source_from(source))
            parent = source.getparent()
            index = source.get("index") or (parent.get("index") if parent is not None else None)
            if place and place[2] == volume_uuid and index:
                return f"{target}[{index}]"
    raise _errors.StorageError(f"disk {target} of the domain has no layer {volume_uuid}")


def has_agent(live: _xml.Element) -> bool:
    """Whether the guest agent has its channel open; one that hangs has too."""
    targets = live.iterfind("devices/channel/target")
    return any(
        target.get("name") == "org.qemu.guest_agent.0" and target.get("state") == "connected" for target in targets
    )


def is_without_data(head: bytes, read: t.Callable[[int, int], bytes]) -> bool:
    """Whether a qcow2 layer holds no data of its own: no entry in its first table (QEMU's docs/interop/qcow2)."""
    entries = int.from_bytes(head[36:40], "big")
    offset = int.from_bytes(head[40:48], "big")
    return entries * 8 <= TABLE_LIMIT_BYTES and not any(read(offset, entries * 8))


# --- what would not work --------------------------------------------------------------------------------------------


def require_one_moment(states: t.Sequence[State], taken: t.Sequence[State], name: str) -> None:
    """Raises `StorageError` where some disks have the snapshot, were written to since, and others lack it."""
    lacking = [state.name for state in states if state not in taken]
    for state in taken if lacking else ():
        snapshot = t.cast(_image.ImageVolume, state.snapshot(name))
        is_running = state.use is not None and state.use.live is not None and not is_behind(state, name)
        if is_running or not _is_empty_leaf(state, snapshot):
            raise _errors.StorageError(
                f"snapshot {name} is there of disk {state.name!r} and not of {', '.join(lacking)}, and one taken now"
                " would be of another moment; take one of another name, or remove this one first"
            )


def require_room(volume: _image.ImageVolume, name: str, note: str, version: int) -> None:
    """Raises `ValueError` where the `.meta` has no room for the snapshot's name, or for its removal."""
    marked(named(volume, name, note), COMMITTED).to_text(version)


def require_removable(state: State, name: str, version: int) -> None:
    """The same for what a removal writes."""
    target = state.snapshot(name)
    for child in state.children(target.uuid) if target else ():
        adopted(t.cast(_image.ImageVolume, target), child).to_text(version)
        marked(child, DISCARD).to_text(version)


def changed_by_removal(state: State, name: str) -> set[str]:
    """The layers that a removal writes to, takes away or hangs on another one."""
    target = state.committed_into or state.snapshot(name)
    if target is None:
        return set()
    children = state.children(target.uuid)
    return {
        volume.uuid
        for volume in (target, *children, *(one for child in children for one in state.children(child.uuid)))
    }
