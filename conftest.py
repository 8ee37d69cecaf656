# SPDX-License-Identifier: GPL-3.0-or-later
"""Let ``pytest`` import the collection from a plain checkout.

Ansible finds a collection only under ``ansible_collections/NAMESPACE/NAME``. In a checkout that lies
elsewhere this makes one link, ``.cache/collections/ansible_collections/gfapi/virt``, to the checkout.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent
IN_A_TREE = CHECKOUT.parts[-3:] == ("ansible_collections", "gfapi", "virt")


def collections_folder() -> Path:
    """The folder that holds ``ansible_collections``, made first where the checkout is not in one."""
    if IN_A_TREE:
        return CHECKOUT.parents[2]
    folder = CHECKOUT / ".cache" / "collections"
    link = folder / "ansible_collections" / "gfapi" / "virt"
    link.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(CHECKOUT, link.parent)
    if not link.is_symlink() or os.readlink(link) != target:
        fresh = link.with_name(f".virt-{os.getpid()}")
        fresh.symlink_to(target)
        if link.is_dir() and not link.is_symlink():  # `ansible-galaxy collection install`, run here, puts it there
            shutil.rmtree(link)
        fresh.replace(link)
    return folder


sys.path.insert(0, str(collections_folder()))
