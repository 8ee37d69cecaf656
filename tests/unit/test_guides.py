# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the guides show can be written: options of modules, variables of roles and playbooks, names of playbooks.

And the messages that docs/troubleshooting.md says are ours are in our source.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("[a-z]*.py"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
PAGES = [
    page
    for pattern in ("README.md", "docs/**/*.md", "playbooks/README.md", "roles/*/README.md")
    for page in sorted(ROOT.glob(pattern))
]
#: a block of code, in a list too, in its language
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
#: of a disk of vm_gfapi_vms, beside those of libvirt_vm's
MAKES_A_DISK = ("size", "preallocation", "source", "source_format", "checksum", "clone_of", "clone_mode", "description")


def blocks(page: Path, language: str) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, word, text in found if word == language]


@functools.cache
def module_spec(name: str) -> dict[str, t.Any]:
    module = importlib.import_module(f"ansible_collections.gfapi.virt.plugins.modules.{name}")
    return dict(module.ARGUMENT_SPEC)


@functools.cache
def role_spec(name: str) -> dict[str, t.Any]:
    """The options of all entry points. A page need not show those that are required."""
    specs = yaml.safe_load((ROOT / "roles" / name / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    options = {key: value for spec in specs["argument_specs"].values() for key, value in spec["options"].items()}
    return {key: {"type": value["type"], "choices": value.get("choices")} for key, value in options.items()}


def faults(where: str, spec: t.Mapping[str, t.Any], values: object) -> t.Iterator[str]:
    for message in ArgumentSpecValidator(dict(spec)).validate(values).error_messages:
        yield f"{where}: {message}"


def mappings(node: object) -> t.Iterator[dict[str, t.Any]]:
    """All dictionaries of a document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from mappings(child)


def faults_of_a_machine(machine: dict[str, t.Any]) -> t.Iterator[str]:
    disks = [disk for disk in machine.get("disks") or [] if isinstance(disk, dict)]
    made = [{key: disk[key] for key in ("name", "format", *MAKES_A_DISK) if key in disk} for disk in disks]
    yield from faults("disks", module_spec("gfapi_disk"), {"disks": made})
    used = [{key: value for key, value in disk.items() if key not in MAKES_A_DISK} for disk in disks]
    yield from faults("vm", module_spec("libvirt_vm"), {"vms": [{"name": "any", **machine, "disks": used}]})


def faults_of_variables(values: dict[str, t.Any]) -> t.Iterator[str]:
    """Of the variables of roles among the keys of a dictionary."""
    for role in ROLES:
        given = {key: value for key, value in values.items() if str(key).startswith(f"{role}_")}
        yield from faults(role, role_spec(role), given)
    if isinstance(disks := values.get("vm_gfapi_disks"), list):
        yield from faults("vm_gfapi_disks", module_spec("gfapi_disk"), {"disks": disks})
    machines = values.get("vm_gfapi_vms")
    for machine in [*(machines if isinstance(machines, list) else []), values.get("vm_gfapi_vm_defaults")]:
        if isinstance(machine, dict):
            yield from faults_of_a_machine(machine)


def faults_of_a_document(document: object) -> t.Iterator[str]:
    for values in mappings(document):
        yield from faults_of_variables(values)
        for name in MODULES:
            if f"gfapi.virt.{name}" in values:
                yield from faults(name, module_spec(name), values[f"gfapi.virt.{name}"] or {})


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_yaml_of_the_guides_can_be_meant(page: Path) -> None:
    documents = [yaml.safe_load(text) for text in blocks(page, "yaml")]
    assert [fault for document in documents for fault in faults_of_a_document(document)] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- gfapi.virt.gfapi_disk: {storage_domain: vms, nam: web}", "nam"),
        ("- gfapi.virt.libvirt_vm: {name: web, disks: [{name: a, bus: scsy}]}", "scsy"),
        ("- hosts: all\n  vars: {gluster_volume_prep_brick: []}", "gluster_volume_prep_brick"),
        ("vm_gfapi_vms: [{name: web, disks: [{name: a, sise: 1GiB}]}]", "sise"),
        ("vm_gfapi_vm_defaults: {memori: 1GiB}", "memori"),
        ("vm_gfapi_disks: [{name: web, source_format: qcow}]", "qcow"),
    ],
)
def test_what_cannot_be_meant_is_found(text: str, words: str) -> None:
    (fault,) = faults_of_a_document(yaml.safe_load(text))
    assert words in fault


# --- commands -------------------------------------------------------------------------------------------------------


def commands(page: Path) -> t.Iterator[list[str]]:
    """Those of `ansible-playbook`, in blocks and in the text, whose lines may be broken."""
    text = page.read_text(encoding="utf-8")
    inline = re.findall(r"`(ansible-playbook [^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    for command in [*inline, *(line for line in lines if line.startswith("ansible-playbook "))]:
        yield command.partition("#")[0].split()


@functools.cache
def variables_of(playbook: str) -> str:
    """What a playbook and those that it imports read."""
    text = (ROOT / "playbooks" / f"{playbook}.yml").read_text(encoding="utf-8")
    imported = re.findall(r"import_playbook: (\w+)\.yml", text)
    return "\n".join([text, *map(variables_of, imported)])


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_playbooks_of_the_guides_and_their_variables_are_there(page: Path) -> None:
    for words in commands(page):
        playbooks = [word.removeprefix("gfapi.virt.") for word in words if word.startswith("gfapi.virt.")]
        if not playbooks:  # those of a checkout, by their path; or an option that the text tells of
            paths = [word for word in words[1:] if word.endswith((".yml", ".yaml"))]
            assert all((ROOT / path).exists() for path in paths), words
            assert paths or words[1].startswith("-"), words
            continue
        given = [words[at + 1].partition("=")[::2] for at, word in enumerate(words) if word == "-e"]
        for playbook in playbooks:
            assert (ROOT / "playbooks" / f"{playbook}.yml").exists(), words
        for name, value in given:
            role = next((role for role in ROLES if name.startswith(f"{role}_")), None)
            if role:
                assert list(faults(role, role_spec(role), {name: value})) == [], words
            else:
                assert any(re.search(rf"\b{name}\b", variables_of(playbook)) for playbook in playbooks), words


def test_there_are_commands() -> None:
    assert sum(1 for page in PAGES for _words in commands(page)) > 20


# --- messages -------------------------------------------------------------------------------------------------------

ROW_OF_OURS = re.compile(r"^\| message of ours \|.*\n\|---\|---\|\n((?:\|.*\n)+)", re.MULTILINE)


def text_of(node: ast.AST) -> str | None:
    """A text, with … for what is only known when it runs."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@functools.cache
def texts() -> frozenset[str]:
    """All texts in the code of plugins but their documentation, and what is written in the YAML of roles."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "plugins").rglob("*.py"))
    found = {text for tree in trees for node in ast.walk(tree) if (text := text_of(node)) and len(text) < 1000}
    for path in [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/vars/*.yml")]:
        text = re.sub(r"\{\{.*?\}\}", "…", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        found.add(re.sub(r"\s+", " ", text))
    return frozenset(found)


def is_ours(message: str) -> bool:
    pattern = re.compile(".*".join(map(re.escape, message.split("…"))))
    return any(pattern.search(text) for text in texts())


def quoted() -> list[str]:
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    rows = [row for table in ROW_OF_OURS.findall(page) for row in table.splitlines()]
    return [row.split("`")[1] for row in rows]


@pytest.mark.parametrize("message", quoted())
def test_messages_that_are_said_to_be_ours_are(message: str) -> None:
    assert is_ours(message)


def test_a_message_that_nothing_says_is_found() -> None:
    assert len(quoted()) > 60
    assert not is_ours("the moon is in use by …; end it first")
