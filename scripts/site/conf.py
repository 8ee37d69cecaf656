# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx makes the site of the guides and the reference, see `make site`."""

from __future__ import annotations

import typing as t

from docutils import nodes

project = "gfapi.virt"
html_title = project
html_theme = "furo"
html_copy_source = False
html_show_copyright = False

extensions = ["myst_parser", "sphinx_antsibull_ext"]
# links lead to other files too: those can be downloaded
include_patterns = ["*.md", "docs/**.md", "playbooks/*.md", "roles/*/README.md", "reference/*.rst"]
nitpicky = True
# headings have the anchors that they have on GitHub and GitLab
myst_heading_anchors = 4

#: what the reference speaks of in Ansible's own documentation, which is not asked: the build needs no network
OF_ANSIBLE = {
    "common_return_values": "https://docs.ansible.com/ansible/latest/reference_appendices/common_return_values.html",
    "ansible_configuration_settings": "https://docs.ansible.com/ansible/latest/reference_appendices/config.html",
}


def link_to_ansible(_app: t.Any, _env: t.Any, node: t.Any, content: nodes.TextElement) -> nodes.reference | None:
    address = OF_ANSIBLE.get(node["reftarget"])
    return nodes.reference("", "", content, refuri=address, internal=False) if address else None


def leave_contents_out(_app: t.Any, _page: str, source: list[str]) -> None:
    """The theme has a page's contents at its side, and calls them an error elsewhere."""
    source[0] = source[0].replace(".. contents::\n   :local:\n   :depth: 1\n", "")


def setup(app: t.Any) -> None:
    app.connect("source-read", leave_contents_out)
    app.connect("missing-reference", link_to_ansible)
