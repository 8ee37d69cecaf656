# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong at an edge. Bad input is a `ValueError` instead. Pure: no I/O."""

from __future__ import annotations


class GfapiError(Exception):
    """A call to the outside failed. The text names the thing, keeps the tool's own words and says the mend."""

    #: some of what was asked may be done all the same
    partial: bool = False


class CommandError(GfapiError):
    """A program is missing, did not end in time, or said no."""


class GlusterError(GfapiError):
    """The gluster command line or glusterd said no."""

    def __init__(self, message: str, *, busy: bool = False, partial: bool = False) -> None:
        super().__init__(message)
        #: another transaction holds the volume's lock, or a new peer is not known yet; the same call may succeed later
        self.busy = busy
        self.partial = partial


class BusyError(GfapiError):
    """Another run works on the same thing for long."""


class LibvirtError(GfapiError):
    """libvirt said no, or could not be asked."""


class StorageError(GfapiError):
    """A mount, a storage domain's files or an image could not be read or changed."""


class HungError(StorageError):
    """A mount did not answer in time."""


class MissingLibraryError(GfapiError):
    """A Python library is needed after all; raised before anything is changed."""

    def __init__(self, library: str) -> None:
        super().__init__(f"the Python library {library} is missing on this host")
        self.library = library
