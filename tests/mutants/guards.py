# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guards of ours, each with how it would be lost, and the test that then turns red. `tests/mutants/run` tries them."""

from __future__ import annotations

import typing as t


class Mutant(t.NamedTuple):
    """`lines` of a file below `plugins` become others; `test` is below `tests/unit/plugins`, as pytest names it."""

    loses: str
    file: str
    lines: str
    become: str
    test: str


def _unsynced(loses: str, file: str, before: str, sync: str, test: str, *, instead: str = "") -> Mutant:
    """What was done before is not seen to get to the disks."""
    return Mutant(loses, file, before + sync, before + instead, test)


def _dropped(loses: str, file: str, condition: str, test: str) -> Mutant:
    """A guard whose condition is never met."""
    return Mutant(loses, file, condition, f"{condition[: condition.index('if ')]}if False:", test)


_DISK = "modules/test_gfapi_disk.py"
_DOMAIN = "modules/test_glusterfs_domain.py"
_OPTIONS = "modules/test_gluster_volume_options.py"
_VM = "modules/test_libvirt_vm.py"
_SNAPSHOT = "modules/test_gfapi_snapshot.py"
_UTILS = "module_utils/"

MUTANTS: t.Final = (
    _dropped(
        "no disk is filled from an image that is cut short",
        "module_utils/_source_file.py",
        "        if known in CHECKED and not qemu_img.is_whole(path, known):",
        f"{_UTILS}test_source_file.py::test_an_image_that_is_cut_short_is_refused",
    ),
    _dropped(
        "no VM starts on a layer that a snapshot builds on",
        "module_utils/_vm_uses.py",
        "        if image and volume.volume_uuid != image.leaf.uuid:",
        f"{_UTILS}test_vm_uses.py::test_no_vm_starts_on_a_layer_below_a_snapshot",
    ),
    Mutant(
        "a VM is given no image that was deleted meanwhile",
        "module_utils/_vm_uses.py",
        "                    self._require_there(name, images, {})\n",
        "",
        f"{_UTILS}test_vm_uses.py::test_no_vm_is_defined_with_an_image_that_was_deleted_since_the_plan",
    ),
    Mutant(
        "a disk that a VM got meanwhile is not deleted",
        "module_utils/_storage.py",
        "                    require()\n",
        "",
        f"{_DISK}::test_a_disk_that_a_vm_got_since_the_plan_is_not_deleted",
    ),
    Mutant(
        "a disk that another VM got meanwhile is given to no second one",
        "modules/gfapi_disk.py",
        "                require_no_other(users.of(found.image_uuid, found.volume_uuid), found, name)\n",
        "",
        f"{_DISK}::test_a_disk_that_another_vm_got_since_the_plan_is_not_attached",
    ),
    _dropped(
        "no disk is filled from what somebody writes to",
        "module_utils/_source_file.py",
        "    if _files.lasting(lambda: _is_open(path)):",
        f"{_UTILS}test_source_file.py::test_a_file_that_somebody_has_open_is_refused",
    ),
    _dropped(
        "nothing is exported among the images of a storage domain",
        "module_utils/_export_file.py",
        "    if _IMAGES.search(os.path.realpath(folder)):",
        f"{_DISK}::test_nothing_is_exported_among_images",
    ),
    _dropped(
        "no snapshot is taken of a disk that its VM has under another name",
        "modules/gfapi_snapshot.py",
        "    if here:",
        f"{_SNAPSHOT}::test_a_disk_that_its_vm_has_under_another_name_is_left_alone",
    ),
    # --- what a list asks of several --------------------------------------------------------------------------------
    Mutant(
        "a disk that a list changes is not cloned by it",
        "modules/gfapi_disk.py",
        "    before.require_still()\n",
        "",
        f"{_DISK}::test_a_disk_that_a_list_changes_is_cloned_by_a_list_of_its_own",
    ),
    _dropped(
        "two disks of a list never get one target, or one file",
        "modules/gfapi_disk.py",
        "        if (*targets, *dests).count(what) > 1:",
        f"{_DISK}::test_what_two_disks_of_a_list_cannot_both_have_is_refused",
    ),
    Mutant(
        "an image that another VM of a list is to have is not deleted",
        "module_utils/_vm_items.py",
        "            uses.disks.require_unwanted(one.item.name, one.configured)\n",
        "            pass\n",
        f"{_UTILS}test_vm_uses.py::test_an_image_that_another_vm_of_the_list_is_to_have_is_not_deleted",
    ),
    # --- what came since the plan -----------------------------------------------------------------------------------
    Mutant(
        "a disk that became a template meanwhile is given to no domain",
        "modules/gfapi_disk.py",
        "                require_no_template(image, found, name)\n",
        "",
        f"{_DISK}::test_a_disk_that_became_a_template_since_the_plan_is_neither_attached_nor_grown",
    ),
    _dropped(
        "a disk that became a template meanwhile does not grow",
        "module_utils/_storage.py",
        "            if image.is_template:",
        f"{_DISK}::test_a_disk_that_became_a_template_since_the_plan_is_neither_attached_nor_grown",
    ),
    Mutant(
        "an image that another VM got meanwhile does not go with the first",
        "module_utils/_vm_disks.py",
        "            self._require_no_other(found, current, self._read_users(), uses)\n",
        "",
        f"{_UTILS}test_vm_uses.py::test_an_image_that_another_vm_got_since_the_plan_is_not_deleted",
    ),
    # --- what is in use ---------------------------------------------------------------------------------------------
    Mutant(
        "a link to an image is that image when a VM starts",
        "module_utils/_vm_items.py",
        "        images = _domain.writable_images(_one_name.OneName().of(configured))\n",
        "        images = _domain.writable_images(configured)\n",
        f"{_UTILS}test_vm_uses.py::test_a_link_to_an_image_is_that_image",
    ),
    Mutant(
        "a link to an image is that image when it is deleted",
        "module_utils/_vm_disks.py",
        "        for record in _one_name.OneName().of_records(self._libvirt.domains()):\n",
        "        for record in self._libvirt.domains():\n",
        f"{_UTILS}test_vm_uses.py::test_a_link_to_an_image_is_that_image",
    ),
    _dropped(
        "a managed save goes by its word",
        "module_utils/_vm_plan.py",
        "    if current.saved is not None and not desired.force_stop:",
        f"{_VM}::test_a_managed_save_goes_with_its_vm_by_the_word_that_allows_it",
    ),
    Mutant(
        "what the running VM alone has stays",
        "module_utils/_live.py",
        " asked is None or _is_for_us(one, before, asked)]",
        " True]",
        f"{_VM}::test_what_the_running_vm_alone_has_stays_unless_its_kind_is_asked_for",
    ),
    Mutant(
        "an image that one VM shares and the other does not is started on once",
        "module_utils/_vm_uses.py",
        "shares and not (volume.is_shared and all(shares)):",
        "shares and not (volume.is_shared or any(shares)):",
        f"{_UTILS}test_vm_uses.py::test_an_image_that_only_one_of_two_shares_is_started_on_once",
    ),
    Mutant(
        "a disk whose users cannot be asked for is not taken for closed",
        "module_utils/_image_files.py",
        "            if images.stays(uuid):\n                raise\n            return False\n",
        "            return False\n",
        f"{_UTILS}test_storage.py::test_a_disk_whose_users_cannot_be_asked_for_is_not_closed",
    ),
    Mutant(
        "a refusal to delete holds while the disk is there",
        "module_utils/_storage.py",
        "                if images.stays(image_uuid):\n                    raise\n",
        "                pass\n",
        f"{_UTILS}test_storage.py::test_a_disk_that_cannot_be_looked_at_is_not_deleted",
    ),
    Mutant(
        "a disk that cannot be measured is there",
        "module_utils/_storage.py",
        "                    if images.stays(image.uuid):\n                        raise\n",
        "                    pass\n",
        f"{_UTILS}test_storage.py::test_a_disk_that_cannot_be_measured_is_there",
    ),
    Mutant(
        "a mount that is busy is not taken for unmounted",
        "module_utils/_mounter.py",
        "        if done.returncode != 0 and point in self._all_points():",
        "        if False:",
        f"{_UTILS}test_mounts.py::test_a_busy_mount_is_refused_with_its_holders",
    ),
    Mutant(
        "one run at a time works on a domain or a mount",
        "module_utils/_turns.py",
        "            if not _files.take_lock(descriptor, end):",
        "            if False:",
        f"{_UTILS}test_turns.py::test_a_thing_is_one_runs_at_a_time",
    ),
    Mutant(
        "the bricks are asked before a disk is deleted, in the plan",
        "modules/gfapi_disk.py",
        '    storage.require_closed(found, "deleted")\n',
        "",
        f"{_DISK}::test_a_disk_that_another_host_has_open_is_left_alone",
    ),
    Mutant(
        "the bricks are asked once more, under the image's lock",
        "module_utils/_storage.py",
        'held.enter_context(self.closed(found, f"delete disk {found.name}", "deleted"))',
        "pass",
        f"{_DISK}::test_a_vm_that_started_elsewhere_since_the_plan_is_seen",
    ),
    Mutant(
        "the lock of an image that is deleted",
        "module_utils/_storage.py",
        "        with self._layers_of(found, doing) as (_images, image):\n"
        "            self.require_closed(found, what)\n",
        "        with contextlib.nullcontext((None, found.image)) as (_images, image):\n"
        "            self.require_closed(found, what)\n",
        f"{_DISK}::test_a_disk_that_a_vm_is_being_started_on_is_not_deleted",
    ),
    Mutant(
        "the bricks are asked once more before a layer is committed",
        "module_utils/_snapshots.py",
        '        self.require_free("committed")\n',
        "",
        f"{_SNAPSHOT}::test_layers_of_a_vm_that_started_elsewhere_since_the_plan_stay",
    ),
    Mutant(
        "the bricks are asked once more before an image is reverted",
        "module_utils/_snapshots.py",
        '        self.require_free("reverted")\n',
        "",
        f"{_SNAPSHOT}::test_layers_of_a_vm_that_started_elsewhere_since_the_plan_stay",
    ),
    _dropped(
        "a snapshot that another run may take back is none of this run",
        "modules/gfapi_snapshot.py",
        "        if not disk.create(name, note):",
        f"{_SNAPSHOT}::test_a_snapshot_that_another_run_takes_meanwhile_is_that_runs",
    ),
    _dropped(
        "one run at a time works on the layers of an image",
        "module_utils/_snapshot_files.py",
        "                if not _files.take_lock(lock, 0):",
        f"{_SNAPSHOT}::test_layers_that_another_run_works_on_are_left_to_it",
    ),
    _dropped(
        "domains of this host that have a copied image which is deleted",
        "module_utils/_block_copies.py",
        "        if users:",
        f"{_UTILS}test_block_copies.py::test_an_old_file_that_another_domain_has_stays",
    ),
    _dropped(
        "the bricks are asked before a copied image is deleted",
        "module_utils/_block_copies.py",
        "            if _files.lasting(lambda: directory.is_open(name)):",
        f"{_UTILS}test_block_copies.py::test_an_old_file_that_somebody_has_open_stays",
    ),
    Mutant(
        "domains of this host that have a disk which is deleted",
        "modules/gfapi_disk.py",
        "    using = users.of(found.image_uuid, found.volume_uuid)\n    if using:\n",
        "    using = users.of(found.image_uuid, found.volume_uuid)\n    if False:\n",
        f"{_DISK}::test_a_disk_in_use_is_not_deleted",
    ),
    Mutant(
        "notes of other hosts on a disk that is deleted",
        "modules/gfapi_disk.py",
        'require_not_noted(storage, found, "deleted", "undefine it there or take the disk out")',
        "pass",
        f"{_DISK}::test_a_disk_of_a_vm_on_another_host_is_left_alone_by_name",
    ),
    _dropped(
        "a note that cannot be read counts as one",
        "module_utils/_use_record.py",
        "        if self.faults:",
        f"{_DISK}::test_a_note_that_cannot_be_read_is_in_the_way_of_what_needs_it_alone",
    ),
    _dropped(
        "a disk of one domain is not given to another",
        "modules/gfapi_disk.py",
        "    if others:",
        f"{_DISK}::test_a_disk_of_one_domain_is_not_given_to_another",
    ),
    Mutant(
        "the bricks are asked before a disk is given to a domain",
        "modules/gfapi_disk.py",
        'held.enter_context(storage.closed(found, f"attach disk {found.name}", "attached"))',
        "found.image",
        f"{_DISK}::test_a_vm_that_started_elsewhere_since_the_plan_is_seen",
    ),
    Mutant(
        "the bricks are asked before a disk grows",
        "module_utils/_storage.py",
        '                self.require_closed(found, "grown")',
        "                pass",
        f"{_DISK}::test_a_vm_that_started_elsewhere_since_the_plan_is_seen",
    ),
    Mutant(
        "the bricks are asked before a storage domain is deleted",
        "modules/glusterfs_domain.py",
        "opened=_opened(point, found, uses) if found and ends else (),",
        "opened=(),",
        f"{_DOMAIN}::test_absent_is_refused_while_another_host_has_an_image_open",
    ),
    _dropped(
        "two domains of one host never start on one image",
        "module_utils/_vm_items.py",
        "                if other != name and not (shares and is_shared):",
        f"{_VM}::test_two_vms_never_start_on_one_image",
    ),
    Mutant(
        "the bricks are asked before a start, under the lock",
        "module_utils/_vm_uses.py",
        "            self._require_ours(written)\n            yield",
        "            yield",
        f"{_UTILS}test_vm_uses.py::test_two_domains_of_one_host_that_start_at_one_moment_do_not_share_an_image",
    ),
    Mutant(
        "the lock on start",
        "module_utils/_vm_uses.py",
        "locks.enter_context(_starting(volume))",
        "pass",
        f"{_UTILS}test_vm_uses.py::test_of_two_that_start_at_one_moment_one_is_refused",
    ),
    Mutant(
        "a VM is noted before libvirt has it",
        "module_utils/_vm_uses.py",
        "                    self._note(name, uuid, images, images, held)\n",
        "                    action.run()\n                    self._note(name, uuid, images, images, held)\n",
        f"{_UTILS}test_vm_uses.py::test_the_note_is_there_before_libvirt_has_the_vm",
    ),
    _dropped(
        "an image of another VM does not go with this one",
        "module_utils/_vm_disks.py",
        "        if users:",
        f"{_UTILS}test_vm_uses.py::test_image_of_another_vm_is_not_deleted",
    ),
    _dropped(
        "a template does not go with a VM",
        "module_utils/_vm_disks.py",
        "        if clones:",
        f"{_UTILS}test_vm_uses.py::test_image_that_clones_build_on_is_not_deleted",
    ),
    Mutant(
        "an open layer without .meta is not swept",
        "module_utils/_snapshot_files.py",
        "if not directory.is_there(name + _image_files.META) and not directory.is_open(name):",
        "if not directory.is_there(name + _image_files.META):",
        f"{_SNAPSHOT}::test_a_layer_without_meta_that_somebody_has_open_is_left_alone",
    ),
    _dropped(
        "a volume in use is not stopped",
        "modules/gluster_volume_options.py",
        "    if reasons:",
        f"{_OPTIONS}::test_volume_in_use_is_not_stopped_and_nothing_is_changed",
    ),
    Mutant(
        "force is a word that has to be given (volume)",
        "modules/gluster_volume_options.py",
        "    if force:\n        return\n",
        "    return\n",
        f"{_OPTIONS}::test_volume_in_use_is_not_stopped_and_nothing_is_changed",
    ),
    # --- templates, sizes, data -------------------------------------------------------------------------------------
    _dropped(
        "a template with clones is not deleted",
        "modules/gfapi_disk.py",
        "    if sharers:",
        f"{_DISK}::test_a_template_is_read_only_and_stays_while_it_has_clones",
    ),
    Mutant(
        "a template is given to no domain",
        "modules/gfapi_disk.py",
        "    if image.is_template:\n"
        '        raise _errors.StorageError(\n            f"disk {found.name!r} is a template',
        '    if False:\n        raise _errors.StorageError(\n            f"disk {found.name!r} is a template',
        f"{_DISK}::test_a_template_is_given_to_no_domain",
    ),
    Mutant(
        "no VM starts on a template",
        "module_utils/_vm_uses.py",
        "        if image and image.is_template:",
        "        if False:",
        f"{_UTILS}test_vm_uses.py::test_no_vm_starts_on_what_became_a_template",
    ),
    _dropped(
        "a disk is never shrunk",
        "modules/gfapi_disk.py",
        "    if desired.size_bytes is not None and desired.size_bytes < found.virtual_size_bytes:",
        f"{_DISK}::test_bad_input_is_refused_with_the_reason",
    ),
    Mutant(
        "a live resize never shrinks",
        "module_utils/_libvirt.py",
        "if self._capacity_bytes(domain, target) < size_bytes:",
        "if self._capacity_bytes(domain, target) != size_bytes:",
        f"{_UTILS}test_libvirt.py",
    ),
    Mutant(
        "what another run made larger stays as large",
        "module_utils/_storage.py",
        "leaf = image.leaf.resized(max(there_bytes, size_bytes))",
        "leaf = image.leaf.resized(size_bytes)",
        f"{_UTILS}test_storage.py::test_a_disk_that_another_run_made_larger_stays_as_large",
    ),
    Mutant(
        "the exclusive create",
        "module_utils/_files.py",
        "_NEW_FILE: t.Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | ",
        "_NEW_FILE: t.Final = os.O_RDWR | os.O_CREAT | ",
        f"{_UTILS}test_files.py::test_a_new_file_is_never_an_old_one",
    ),
    Mutant(
        "file and directory are on disk before and after a rename",
        "module_utils/_files.py",
        "                os.fsync(descriptor)\n                # still locked",
        "                # still locked",
        f"{_UTILS}test_files.py::test_what_is_replaced_is_on_disk_before_and_after_it_gets_its_name",
    ),
    Mutant(
        "a new name is on disk",
        "module_utils/_files.py",
        "                break\n        self.sync()",
        "                break",
        f"{_UTILS}test_files.py::test_what_is_replaced_is_on_disk_before_and_after_it_gets_its_name",
    ),
    Mutant(
        "a brick that lists what was replaced is put right",
        "module_utils/_files.py",
        "if before is None or self._listed_inode(name) != before:",
        "if True:",
        f"{_UTILS}test_files.py::test_a_file_of_which_a_brick_lists_the_old_one_is_replaced_again",
    ),
    Mutant(
        "what the bricks have is not missing",
        "module_utils/_files.py",
        "                if not listed:\n                    raise FileNotFoundError",
        "                if True:\n                    raise FileNotFoundError",
        f"{_UTILS}test_files.py::test_a_file_that_is_replaced_meanwhile_is_opened_anew",
    ),
    Mutant(
        "a new image is on disk before it gets its name",
        "module_utils/_image_files.py",
        "            _files.pad(descriptor, _image.BLOCK_BYTES)\n            os.fsync(descriptor)\n",
        "            _files.pad(descriptor, _image.BLOCK_BYTES)\n",
        f"{_UTILS}test_storage.py::test_an_image_is_on_disk_before_it_gets_its_name",
    ),
    _unsynced(
        "an export is on disk before it gets its name",
        "module_utils/_export_file.py",
        "",
        "            os.fsync(file.fileno())\n",
        f"{_DISK}::test_an_export_is_on_disk_before_it_gets_its_name",
    ),
    _unsynced(
        "what was allocated is on disk before the .meta says so",
        "module_utils/_image_files.py",
        "            os.posix_fallocate(descriptor, start, size_bytes - start)\n",
        "            os.fsync(descriptor)\n",
        f"{_UTILS}test_storage.py::test_what_an_image_grew_by_is_on_disk_before_its_meta_says_so",
    ),
    _unsynced(
        "a new length is on disk before the .meta says so",
        "module_utils/_image_files.py",
        "            if _lengthen(descriptor, size_bytes, preallocated=image.leaf.preallocated):\n",
        "                os.fsync(descriptor)\n",
        f"{_UTILS}test_storage.py::test_what_an_image_grew_by_is_on_disk_before_its_meta_says_so",
        instead="                pass\n",
    ),
    _unsynced(
        "a new layer is on disk before it gets its name",
        "module_utils/_snapshot_files.py",
        "                os.ftruncate(descriptor, _image.padded(len(data)))\n",
        "                os.fsync(descriptor)\n",
        f"{_SNAPSHOT}::test_a_new_layer_is_on_disk_before_it_gets_its_name_and_its_meta_comes_last",
    ),
    _unsynced(
        "the names of a new layer are on disk one after the other",
        "module_utils/_snapshot_files.py",
        "src_dir_fd=stage.descriptor, dst_dir_fd=directory.descriptor)\n",
        "                directory.sync()\n",
        f"{_SNAPSHOT}::test_a_new_layer_is_on_disk_before_it_gets_its_name_and_its_meta_comes_last",
    ),
    Mutant(
        "the .meta of a new layer comes last",
        "module_utils/_snapshot_files.py",
        "            # the .meta last: with it the layer is there\n"
        "            for name in (volume.uuid, volume.uuid + _image_files.LEASE, volume.uuid + _image_files.META):\n"
        "                os.rename(",
        "            for name in (volume.uuid + _image_files.META, volume.uuid, volume.uuid + _image_files.LEASE):\n"
        "                os.rename(",
        f"{_SNAPSHOT}::test_a_new_layer_is_on_disk_before_it_gets_its_name_and_its_meta_comes_last",
    ),
    _unsynced(
        "what was committed is on disk before the .meta says so",
        "module_utils/_snapshot_files.py",
        "            _files.pad(descriptor, _image.BLOCK_BYTES)\n",
        "            os.fsync(descriptor)\n",
        f"{_SNAPSHOT}::test_what_is_committed_is_on_disk_before_the_meta_says_so_and_what_is_removed_stays_removed",
    ),
    _unsynced(
        "the end of a layer is on disk",
        "module_utils/_snapshot_files.py",
        "                directory.remove(name)\n",
        "            directory.sync()\n",
        f"{_SNAPSHOT}::test_what_is_committed_is_on_disk_before_the_meta_says_so_and_what_is_removed_stays_removed",
    ),
    _unsynced(
        "an image that was mended is on disk",
        "module_utils/_image_paths.py",
        "                os.fchmod(descriptor, MODE)\n",
        "                os.fsync(descriptor)\n",
        f"{_UTILS}test_image_paths.py::test_what_is_mended_is_on_disk",
    ),
    _unsynced(
        "the end of an image that was copied is on disk",
        "module_utils/_block_copies.py",
        "            directory.remove(name)\n",
        "            directory.sync()\n",
        f"{_UTILS}test_block_copies.py::test_the_end_of_an_old_file_is_on_disk",
    ),
    _unsynced(
        "the end of an upgrade is on disk",
        "module_utils/_storage_domain_upgrade.py",
        "    root.remove(_storage_domain.MARK)\n",
        "    root.sync()\n",
        f"{_UTILS}test_storage_domain_upgrade.py::test_the_end_of_an_upgrade_is_on_disk",
    ),
    _unsynced(
        "a new storage domain is on disk before it gets its name",
        "module_utils/_storage_domain_files.py",
        "            make(parent, name, entry, storage_domain, owner)\n",
        "            parent.sync()\n",
        f"{_UTILS}test_storage_domain_files.py::test_all_of_it_is_on_disk_before_it_gets_its_name",
    ),
    _dropped(
        "the padding",
        "module_utils/_files.py",
        "    if excess:",
        f"{_UTILS}test_files.py::test_padding_lengthens_and_keeps_the_bytes",
    ),
    Mutant(
        "the padding of what was grown",
        "module_utils/_storage.py",
        "            self._files.pad(images, image)\n            leaf = image.leaf.resized(max(",
        "            leaf = image.leaf.resized(max(",
        f"{_UTILS}test_storage.py::test_growing_keeps_length_and_meta_in_step",
    ),
    Mutant(
        "the padding of a source's copy",
        "module_utils/_image_files.py",
        "            _files.pad(descriptor, _image.BLOCK_BYTES)\n            os.fsync(descriptor)\n",
        "            os.fsync(descriptor)\n",
        f"{_UTILS}test_storage.py::test_an_image_is_padded_whatever_its_source_left",
    ),
    _dropped(
        "an image is not taken for empty where nobody says where its data are",
        "module_utils/_image_paths.py",
        "    if offset < 0 or length < 0 or offset >= MOST_BYTES:",
        f"{_UTILS}test_image_paths.py::test_a_map_that_does_not_say_where_data_are_is_named_with_its_image",
    ),
    Mutant(
        "an image is not copied onto itself",
        "module_utils/_image_paths.py",
        "if volume == other and (path == new_path or same):",
        "if volume == other and path == new_path:",
        f"{_UTILS}test_image_paths.py",
    ),
    _dropped(
        "a directory of a volume that shards is not mounted",
        "modules/glusterfs_domain.py",
        "    if _option_values.is_true(sharding):",
        f"{_DOMAIN}::test_a_directory_of_a_volume_that_shards_is_never_mounted",
    ),
    Mutant(
        "only bricks that carry the volume's mark are purged",
        "module_utils/_bricks.py",
        "return [path for path in mine if _mark_of(path) == uuids.UUID(volume.uuid).bytes]",
        "return list(mine)",
        f"{_UTILS}test_bricks.py",
    ),
    # --- storage domains --------------------------------------------------------------------------------------------
    _dropped(
        "the seal check",
        "module_utils/_storage_domain.py",
        "    if seals.is_broken:",
        f"{_UTILS}test_storage_domain.py::test_a_broken_seal_is_refused_with_both_sums",
    ),
    Mutant(
        "the confirm word",
        "module_utils/_storage_domain_state.py",
        'if params["state"] == "absent" and params["confirm"] != params["name"]:',
        "if False:",
        f"{_DOMAIN}::test_bad_input_is_refused_before_a_look",
    ),
    _dropped(
        "another storage domain is refused by its name",
        "module_utils/_storage_domain_state.py",
        "    if found and found.name != desired.name:",
        f"{_DOMAIN}::test_another_storage_domain_is_refused_by_its_name",
    ),
    Mutant(
        "one that a data center has is not deleted nor given away",
        "module_utils/_storage_domain_state.py",
        "others = [pool for pool in found.pools if pool != data_center]",
        "others: list[str] = []",
        f"{_DOMAIN}::test_absent_is_refused_while_a_data_center_has_it",
    ),
    Mutant(
        "a removal asks once more under the lock",
        "module_utils/_storage_domain_files.py",
        "            require(as_it_is(root, found.name))\n",
        "",
        f"{_UTILS}test_storage_domain_files.py::test_what_was_attached_meanwhile_is_not_removed",
    ),
    Mutant(
        "the lock of a storage domain's metadata",
        "module_utils/_storage_domain_files.py",
        "    with _files.explained(doing), _files.Directory.open(point) as root, locked(root):\n"
        "        found = as_it_is",
        "    with _files.explained(doing), _files.Directory.open(point) as root:\n        found = as_it_is",
        f"{_UTILS}test_storage_domain_files.py::test_of_two_data_centers_at_one_moment_one_wins_and_the_other_is_told",
    ),
    _dropped(
        "the directory of a storage domain is named as its metadata say",
        "module_utils/_storage_domain_read.py",
        "    if found.uuid != uuid:",
        f"{_UTILS}test_storage_domain_files.py::test_what_is_damaged_is_refused_and_left_alone",
    ),
    # --- paths ------------------------------------------------------------------------------------------------------
    Mutant(
        "no link in place of a file is followed",
        "module_utils/_files.py",
        "flags | os.O_NOFOLLOW | os.O_NONBLOCK",
        "flags | os.O_NONBLOCK",
        f"{_UTILS}test_files.py::test_links_are_not_followed",
    ),
    Mutant(
        "no link in place of a directory is followed",
        "module_utils/_files.py",
        "_DIRECTORY: t.Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | ",
        "_DIRECTORY: t.Final = os.O_RDONLY | os.O_DIRECTORY | ",
        f"{_UTILS}test_files.py::test_links_are_not_followed",
    ),
    _dropped(
        "a pipe in place of a file is refused",
        "module_utils/_files.py",
        "        if not stat.S_ISREG(os.fstat(descriptor).st_mode):",
        f"{_UTILS}test_files.py::test_a_pipe_does_not_hold_us",
    ),
    Mutant(
        "a mount point that is a link is refused",
        "module_utils/_mounts.py",
        "        target = os.readlink(point)\n        raise _errors.StorageError",
        "        target = os.readlink(point)\n        _errors.StorageError",
        f"{_DOMAIN}::test_a_mount_point_that_is_a_link_is_refused",
    ),
    Mutant(
        "an export takes no other user's file",
        "module_utils/_export_file.py",
        "is_ours = opened.st_uid == os.geteuid() and",
        "is_ours =",
        f"{_DISK}::test_an_export_writes_into_no_file_of_another_user",
    ),
    Mutant(
        "what a killed export left is for nobody else",
        "module_utils/_export_file.py",
        "            os.fchmod(file.fileno(), MODE)\n",
        "",
        f"{_DISK}::test_a_killed_export_is_begun_again",
    ),
    Mutant(
        "a forged geometry",
        "module_utils/_storage_domain.py",
        "        if self.geometry not in _leases.MAX_HOSTS or",
        "        if",
        f"{_UTILS}test_storage_domain_files.py::test_what_is_damaged_is_refused_and_left_alone",
    ),
    Mutant(
        "an export takes nobody else's file",
        "module_utils/_export_file.py",
        "is_ours = opened.st_uid == os.geteuid() and opened.st_nlink == 1",
        "is_ours = True",
        f"{_DISK}::test_an_export_writes_into_no_file_of_another",
    ),
    Mutant(
        "a file that came meanwhile is not overwritten by an export",
        "module_utils/_export_file.py",
        "os.link(growing, path, follow_symlinks=False)",
        "os.rename(growing, path), os.close(os.open(growing, os.O_CREAT, 0o600))",
        f"{_DISK}::test_a_file_that_came_meanwhile_stays",
    ),
    # --- what others wrote ------------------------------------------------------------------------------------------
    _dropped(
        "a document type is refused",
        "module_utils/_xml.py",
        "    if root.getroottree().docinfo.internalDTD is not None:",
        f"{_UTILS}test_xml.py::test_entities_are_not_expanded",
    ),
    _dropped(
        "a source with a backing file is refused",
        "module_utils/_source.py",
        "        if any(head[_QCOW2_BACKING]):",
        f"{_UTILS}test_source.py::test_files_that_name_others_are_refused_by_their_header",
    ),
    _dropped(
        "a wrong checksum is refused",
        "module_utils/_source_file.py",
        "    if state.hexdigest() != digest:",
        f"{_UTILS}test_source_file.py::test_checksum_is_that_of_the_whole_file",
    ),
    _dropped(
        "no format is guessed that a guest could forge (a disk by its file or URI)",
        "module_utils/_vm_params.py",
        '    if not entry["format"]:',
        f"{_VM}::test_bad_input_is_refused",
    ),
    _dropped(
        "no format is guessed that a guest could forge (a layer)",
        "module_utils/_image_paths.py",
        '            if "backing-filename-format" not in above:',
        f"{_UTILS}test_image_paths.py::test_a_layer_whose_format_nobody_wrote_is_refused",
    ),
    Mutant(
        "the spelled-out backing chain",
        "module_utils/_disk.py",
        "        _backing_element(layers[1:]),\n",
        "",
        f"{_UTILS}test_disk.py::test_chain_is_spelled_out_to_its_end",
    ),
    Mutant(
        "the seclabel",
        "module_utils/_domain.py",
        "    if written.has_gluster_disk:\n        refuse_relabelling(element)",
        "    if False:\n        refuse_relabelling(element)",
        f"{_UTILS}test_domain.py::test_domain_with_a_gluster_disk_is_not_relabelled",
    ),
    Mutant(
        "the seclabel of a disk that goes over",
        "module_utils/_conversion.py",
        "    if access == GFAPI and reached:\n        _domain.refuse",
        "    if False:\n        _domain.refuse",
        f"{_UTILS}test_conversion.py",
    ),
    Mutant(
        "a disk that names a file of the host is not copied",
        "module_utils/_storage.py",
        "        self._require_as_told(found.place, found.image)\n        return",
        "        return",
        f"{_DISK}::test_a_disk_that_names_a_file_of_the_host_is_not_opened",
    ),
    Mutant(
        "a disk that names a file of the host is not grown",
        "module_utils/_storage.py",
        "                self._require_as_told(found.place, image)\n",
        "",
        f"{_DISK}::test_a_disk_that_names_a_file_of_the_host_is_not_opened",
    ),
    Mutant(
        "a layer that names a file of the host is not committed into it",
        "module_utils/_snapshot_files.py",
        "                    _image.require_as_told(_read_direct(directory, volume.uuid, 0, HEAD_BYTES), volume)",
        "                    pass",
        f"{_SNAPSHOT}::test_a_layer_that_names_a_file_of_the_host_is_not_committed",
    ),
    Mutant(
        "no link that came on the way to an image is followed",
        "module_utils/_image_paths.py",
        '            _files.Directory.open("/") as root,\n            root.below(folder) as directory,\n',
        "            _files.Directory.open(folder) as directory,\n",
        f"{_UTILS}test_image_paths.py::test_a_link_that_came_on_the_way_is_not_followed",
    ),
    _dropped(
        "mount options hold no comma and no blank",
        "module_utils/_mount_options.py",
        "        if not _OPTION.fullmatch(option):",
        f"{_UTILS}test_mount_table.py",
    ),
    _dropped(
        "a volume's name is one word of what libgfapi opens",
        "module_utils/_uri.py",
        "    if not _VOLUME_NAME.fullmatch(name):",
        f"{_UTILS}test_uri.py::test_volume_name_is_refused",
    ),
    # --- programs and plans -----------------------------------------------------------------------------------------
    Mutant(
        "the time limit of programs",
        "module_utils/_command.py",
        "program.communicate(stdin, timeout=timeout_s)",
        "program.communicate(stdin)",
        f"{_UTILS}test_command.py::test_time_limit_is_named",
    ),
    Mutant(
        "all that a program started ends with it",
        "module_utils/_command.py",
        "os.killpg(self.pid, signal.SIGKILL)",
        "self.kill()",
        f"{_UTILS}test_command.py",
    ),
    Mutant(
        "opRet decides, not the exit status",
        "module_utils/_gluster.py",
        '    if document.findtext("opRet") == "0":',
        "    if document is not None:",
        f"{_UTILS}test_gluster.py::test_refusal_keeps_the_words_of_gluster",
    ),
    Mutant(
        "options are verified after they were set",
        "modules/gluster_volume_options.py",
        "    require_as_planned(found, _volume_tuning.change_of(table, found, desired, resets), desired)\n",
        "",
        f"{_OPTIONS}::test_option_that_is_not_in_force_after_all_is_an_error",
    ),
    Mutant(
        "a value is checked before it is sent",
        "modules/gluster_volume_options.py",
        "        table.require_valid(name, text)",
        "        pass",
        f"{_OPTIONS}::test_bad_input_is_refused",
    ),
    _dropped(
        "a domain goes to a host only where its name is no other domain's",
        "module_utils/_migration.py",
        "    if there.uuid != here.uuid:",
        f"{_UTILS}test_migration.py::test_what_cannot_go",
    ),
    Mutant(
        "check mode changes nothing",
        "module_utils/_module.py",
        "    real = not module.check_mode",
        "    real = True",
        f"{_UTILS}test_module.py",
    ),
    # --- secrets ----------------------------------------------------------------------------------------------------
    Mutant(
        "passwords are masked in the diff",
        "module_utils/_domain_facts.py",
        'node.set("passwd", "********")',
        "pass",
        f"{_VM}::test_password_does_not_show_in_the_diff",
    ),
    Mutant(
        "a display's password is no_log",
        "modules/libvirt_vm.py",
        '"password": {"type": "str", "no_log": True}',
        '"password": {"type": "str", "no_log": False}',
        f"{_VM}::test_secrets_are_never_logged",
    ),
    Mutant(
        "cloud-init's texts are no_log",
        "modules/libvirt_vm.py",
        '"user_data": {"type": "str", "required": True, "no_log": True}',
        '"user_data": {"type": "str", "required": True}',
        f"{_VM}::test_secrets_are_never_logged",
    ),
    Mutant(
        "a seed is for root and QEMU's group only",
        "module_utils/_seeds.py",
        "MODE: t.Final = 0o640\n",
        "MODE: t.Final = 0o644\n",
        f"{_UTILS}test_seeds.py",
    ),
)
