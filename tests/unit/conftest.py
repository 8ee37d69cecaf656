# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the properties are tried: few examples, the same ones every time, nothing written into the checkout.

`pytest --hypothesis-profile=search` looks for new ones.
"""

from __future__ import annotations

import os
import tempfile

from hypothesis import HealthCheck, settings

os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", os.path.join(tempfile.gettempdir(), "gfapi-virt-hypothesis"))

# how long an example takes is the machine's business
settings.register_profile(
    "gate",
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", max_examples=3000, database=None, deadline=None)
settings.load_profile("gate")
