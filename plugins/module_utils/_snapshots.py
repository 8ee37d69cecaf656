# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins two edges: the layers of images, and the domain of this host that uses them."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.gfapi.virt.plugins.module_utils import (
    _block_jobs,
    _domain,
    _domain_record,
    _errors,
    _image,
    _snapshot,
    _snapshot_files,
    _use_record,
)

#: more than any way from one state to another takes
MOST_STEPS: t.Final = 1000

NextStep = t.Callable[[_snapshot.State], t.Optional[_snapshot.Step]]


class DiskLayers:
    """One image with the domain that uses it, `None` where no domain does. Every step begins with a look at both.

    `others` are the uses that other hosts noted; `force` is for those of a host that is gone.
    """

    def __init__(
        self,
        layers: _snapshot_files.Layers,
        jobs: _block_jobs.BlockJobs,
        domain: str | None,
        others: _use_record.OtherUses,
        *,
        force: bool = False,
    ) -> None:
        self.layers = layers
        self._others = others
        self._force = force
        self._jobs = jobs
        self._domain = domain

    @property
    def name(self) -> str:
        return self.layers.name

    @property
    def image_uuid(self) -> str:
        return self.layers.image_uuid

    def state(self) -> _snapshot.State:
        record = self._record()
        use = record and _snapshot.use_of(record.name, record.live, record.inactive, self.image_uuid)
        return self.layers.read(use or None)

    def require_free(self, what: str) -> None:
        """Raises `StorageError` where somebody has the image whom no running domain of this host explains."""
        record = self._record()
        if record is not None and record.is_active:
            return
        others = self._others.without(record.uuid) if record else self._others
        doing = f"disk {self.name!r} cannot be {what}"
        if self.layers.is_open():
            users = others.running(self.image_uuid)
            if users:
                raise _errors.StorageError(f"{doing}: it is used by {users}; shut that down first")
            raise _errors.StorageError(
                f"{doing}: its bricks have image {self.image_uuid} open, for a VM of another host or another program;"
                " stop that first"
            )
        if not self._force:
            others.require_none(self.image_uuid, doing)

    def require_live_commit(self, state: _snapshot.State, name: str) -> None:
        """Raises `LibvirtError` where libvirt lacks what it takes to remove a snapshot of a running domain."""
        if _snapshot.is_between_layers(state, name):
            self._jobs.require_reader(f"disk {self.name!r}: snapshot {name} cannot be removed live")

    def carry_out(self, next_step: NextStep) -> None:
        """Step by step until there is none left; what a killed run did is not done again."""
        with self.layers.locked():
            for _count in range(MOST_STEPS):
                state = self.state()
                step = next_step(state)
                if step is None:
                    return
                getattr(self, f"_{step.do}")(state, step.volume, step.other)
        raise _errors.StorageError(f"disk {self.name!r}: its layers do not become what they should; last step {step}")

    def create(self, name: str, note: str) -> bool:
        """A new leaf; the one until now is called `name`. `False` if it was there already."""
        with self.layers.locked():
            step = _snapshot.creation_step(self.state(), name)
            if step is None:
                return False
            self.require_free("taken a snapshot of")
            volume = step.volume
            if volume.snapshot != name:
                volume = _snapshot.named(volume, name, note)
                self.layers.write(volume)
            self.layers.overlay(volume)
            return True

    def _overlay(self, _state: _snapshot.State, volume: _image.ImageVolume, like: _image.ImageVolume | None) -> None:
        self.require_free("reverted")
        self.layers.overlay(volume, like)

    def _forget(self, _state: _snapshot.State, volume: _image.ImageVolume, _other: _image.ImageVolume | None) -> None:
        self.layers.sweep()
        self.layers.write(_snapshot.unnamed(volume))

    def _mark_commit(
        self, _state: _snapshot.State, volume: _image.ImageVolume, _other: _image.ImageVolume | None
    ) -> None:
        self.layers.write(_snapshot.marked(volume, _snapshot.COMMIT))

    def _mark_pivot(
        self, _state: _snapshot.State, volume: _image.ImageVolume, _other: _image.ImageVolume | None
    ) -> None:
        self.layers.write(_snapshot.marked(volume, _snapshot.PIVOT))

    def _mark_discard(
        self, _state: _snapshot.State, volume: _image.ImageVolume, _other: _image.ImageVolume | None
    ) -> None:
        self.layers.write(_snapshot.marked(volume, _snapshot.DISCARD))

    def _settle(self, _state: _snapshot.State, volume: _image.ImageVolume, _other: _image.ImageVolume | None) -> None:
        self.layers.pad(volume)
        self.layers.write(_snapshot.marked(volume, ""))

    def _adopt(self, _state: _snapshot.State, volume: _image.ImageVolume, child: _image.ImageVolume) -> None:
        self.layers.write(_snapshot.adopted(volume, child))

    def _reparent(self, _state: _snapshot.State, volume: _image.ImageVolume, parent: _image.ImageVolume) -> None:
        self.layers.write(replace(volume, parent_uuid=parent.uuid))

    def _remove(self, _state: _snapshot.State, volume: _image.ImageVolume, _other: _image.ImageVolume | None) -> None:
        self.layers.remove(volume)

    def _commit_offline(self, state: _snapshot.State, volume: _image.ImageVolume, child: _image.ImageVolume) -> None:
        self.require_free("committed")
        self.layers.commit(volume, child, next(iter(state.children(child.uuid)), None))
        # at once: from here on the layer may be written to by whoever starts on it
        self.layers.write(_snapshot.adopted(volume, child))

    def _commit_live(self, state: _snapshot.State, volume: _image.ImageVolume, child: _image.ImageVolume) -> None:
        record, use = self._require_record(), t.cast(_snapshot.Use, state.use)
        live = t.cast(t.Any, record.live)
        base = _snapshot.index_of(live, use.target, volume.uuid)
        top = _snapshot.index_of(live, use.target, child.uuid)
        is_leaf = not state.children(child.uuid)
        self._jobs.commit(record.name, use.target, base, top, active=is_leaf)

    def _pivot(self, state: _snapshot.State, _volume: _image.ImageVolume, _child: _image.ImageVolume) -> None:
        use = t.cast(_snapshot.Use, state.use)
        self._jobs.pivot(use.domain, use.target)

    def _repoint(self, state: _snapshot.State, leaf: _image.ImageVolume, _other: _image.ImageVolume | None) -> None:
        record = self._require_record()
        self._jobs.define(_snapshot.repointed(record.inactive, {self.image_uuid: state.chain(leaf)}))

    def _record(self) -> _domain_record.DomainRecord | None:
        return None if self._domain is None else self._jobs.domain(self._domain)

    def _require_record(self) -> _domain_record.DomainRecord:
        record = self._record()
        if record is None:
            raise _errors.StorageError(
                f"disk {self.name!r}: domain {self._domain} is gone; define it again, and run again"
            )
        return record


def switch(
    jobs: _block_jobs.BlockJobs, domain: str, disks: t.Sequence[DiskLayers], name: str, *, quiesce: bool
) -> None:
    """Have a domain go on with the new leaves of disks, all at one moment, running or at its next start."""
    states = {disk.image_uuid: disk.state() for disk in disks}
    behind = {uuid: state for uuid, state in states.items() if _snapshot.is_behind(state, name)}
    if not behind:
        return
    record = jobs.domain(domain)
    if record is None:
        raise _errors.StorageError(f"domain {domain} is gone; define it again, and run again")
    snapshots = {uuid: t.cast(_image.ImageVolume, state.snapshot(name)).uuid for uuid, state in behind.items()}
    running = {
        uuid: behind[uuid].leaf.uuid
        for uuid, snapshot in snapshots.items()
        if record.live is not None and _snapshot.runs_on(behind[uuid], snapshot)
    }
    if running and record.live is not None:
        jobs.snapshot(domain, _snapshot.snapshot_element(record.live, running), quiesce=quiesce)
        record = t.cast(_domain_record.DomainRecord, jobs.domain(domain))
    chains = {uuid: state.chain(state.leaf) for uuid, state in behind.items()}
    after = _snapshot.repointed(record.inactive, chains)
    if _domain.differing_fields(record.inactive, after):
        jobs.define(after)
