# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""I/O edge: seeds for cloud-init, small ISO 9660 images with the label cidata (its NoCloud data source).

They hold secrets: only their owner, who is that of the storage domain, and group 36, which QEMU's user is in, may read
them.
"""

from __future__ import annotations

import contextlib
import io
import os
import typing as t

from ansible_collections.gfapi.virt.plugins.module_utils import _errors, _files

try:
    import pycdlib
    from pycdlib.pycdlibexception import PyCdlibException
except ImportError:
    HAS_PYCDLIB = False
else:
    HAS_PYCDLIB = True

#: file of cloud-init → its name by ISO 9660's oldest rules
NAMES: t.Final = {"meta-data": "METADATA", "network-config": "NETWORK", "user-data": "USERDATA"}
LABEL: t.Final = "cidata"
#: more than three files of some kilobytes are not ours
LIMIT_BYTES: t.Final = 16 << 20
GROUP: t.Final = 36
MODE: t.Final = 0o640
FOLDER_MODE: t.Final = 0o750


class Seeds:
    """Raises `MissingLibraryError` where a seed has to be read or written without the library."""

    def read(self, path: str) -> dict[str, str] | None:
        """The files of a seed, none of one that anybody may read; `None` where there is none, or no seed of ours."""
        folder, name = os.path.split(path)
        doing = _files.explained(f"read cloud-init's seed {path}")
        with doing, contextlib.suppress(FileNotFoundError), _files.Directory.open(folder) as directory:
            files = _files_in(directory.read(name, LIMIT_BYTES))
            modes = (os.fstat(directory.descriptor).st_mode, directory.statuses()[name].st_mode)
            return files if files is None or not any(mode & 0o007 for mode in modes) else {}
        return None

    def write(self, path: str, files: t.Mapping[str, str]) -> None:
        """Make or replace a seed. A VM that has it open goes on with the old one."""
        folder, name = os.path.split(path)
        data = _image_of(files)
        with _files.explained(f"write cloud-init's seed {path}"):
            parent, own = os.path.split(folder)
            with _files.Directory.open(parent) as above:
                uid = above.owner()[0]
                with contextlib.suppress(FileExistsError):
                    above.make(own, FOLDER_MODE, (uid, GROUP)).close()
                with above.child(own) as directory:
                    os.fchown(directory.descriptor, uid, GROUP)
                    os.fchmod(directory.descriptor, FOLDER_MODE)
                    directory.replace(name, data, MODE, (uid, GROUP))

    def remove(self, path: str) -> None:
        """Remove a seed; one that is gone is well."""
        folder, name = os.path.split(path)
        doing = _files.explained(f"remove cloud-init's seed {path}")
        with doing, contextlib.suppress(FileNotFoundError), _files.Directory.open(folder) as directory:
            directory.remove(name)


def _require_library() -> None:
    if not HAS_PYCDLIB:
        raise _errors.MissingLibraryError("pycdlib")


def _image_of(files: t.Mapping[str, str]) -> bytes:
    _require_library()
    image, out = pycdlib.PyCdlib(), io.BytesIO()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    for name, text in sorted(files.items()):
        data = text.encode()
        image.add_fp(io.BytesIO(data), len(data), f"/{NAMES[name]}.;1", rr_name=name, joliet_path=f"/{name}")
    image.write_fp(out)
    image.close()
    return out.getvalue()


def _files_in(data: bytes) -> dict[str, str] | None:
    _require_library()
    image = pycdlib.PyCdlib()
    try:
        image.open_fp(io.BytesIO(data))
        found = {}
        for name in NAMES:
            text = io.BytesIO()
            with contextlib.suppress(PyCdlibException):
                image.get_file_from_iso_fp(text, joliet_path=f"/{name}")
                found[name] = text.getvalue().decode()
    # a file that somebody else put there may break the library's reader in any way
    except Exception:
        return None
    return found
