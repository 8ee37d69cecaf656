# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The laws that CONTRIBUTING.md states: decide in pure code, act at the edge, glue once; and parts that must agree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml
from jinja2 import StrictUndefined
from jinja2.nativetypes import NativeEnvironment

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "gfapi.virt"
UTILS = "ansible_collections.gfapi.virt.plugins.module_utils"
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text())
RUNTIME = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())

PLUGIN_FILES = sorted((ROOT / "plugins").rglob("*.py"))
UTIL_FILES = sorted((ROOT / "plugins/module_utils").glob("*.py"))
MODULE_FILES = sorted((ROOT / "plugins/modules").glob("*.py"))
ROLES = sorted(path for path in (ROOT / "roles").glob("*") if path.is_dir())

#: What a file of module_utils may be, by the words that its docstring must hold.
PURE, OTHER_KINDS = "Pure: no I/O", ("I/O edge: ", "The glue: ", "Joins two edges: ")
NOT_IN_PURE_FILES = {"ansible", "libvirt", "libvirt_qemu", "os", "socket", "subprocess"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def is_pure(path: Path) -> bool:
    return PURE in (ast.get_docstring(tree(path)) or "")


# --- What a file does, by its syntax tree ---------------------------------------------------------


def attributes(code: ast.AST, *names: str) -> list[int]:
    """Lines that read or call one of these attributes or names."""
    return [
        node.lineno
        for node in ast.walk(code)
        if (isinstance(node, ast.Attribute) and node.attr in names) or (isinstance(node, ast.Name) and node.id in names)
    ]


def imports(code: ast.AST) -> set[str]:
    """Every module imported anywhere in the file, under full names; `from a import b` counts as `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def libraries(code: ast.AST) -> set[str]:
    return {module.partition(".")[0] for module in imports(code)}


def assignments_of_changed(code: ast.AST) -> list[int]:
    """Lines that give a value to something called changed: a name, an attribute, an entry or an update."""

    def is_changed(target: ast.AST) -> bool:
        if isinstance(target, ast.Subscript):
            return isinstance(target.slice, ast.Constant) and target.slice.value == "changed"
        return getattr(target, "id", getattr(target, "attr", None)) == "changed"

    stores = (ast.Store, ast.Del)
    return [
        node.lineno for node in ast.walk(code) if isinstance(getattr(node, "ctx", None), stores) and is_changed(node)
    ] + [
        node.value.lineno
        for node in ast.walk(code)
        if isinstance(node, ast.keyword) and node.arg == "changed" and isinstance(node.value, ast.Constant)
    ]


@pytest.mark.parametrize(
    "source",
    [
        "changed = True",
        "changed: bool = True",
        "changed |= x",
        "self.changed = x",
        "result['changed'] = x",
        "if changed := x: pass",
        "for changed in x: pass",
        "a, changed = x",
        "f(changed=True)",
        "dict(changed=False)",
    ],
)
def test_an_assignment_of_changed_is_seen(source: str) -> None:
    assert assignments_of_changed(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "def changed(self): return bool(self.actions)",
        "if plan.changed: pass",
        "x = result['changed']",
        "f(changed=plan.changed)",
        "changes = 1",
    ],
)
def test_other_uses_of_changed_are_not(source: str) -> None:
    assert not assignments_of_changed(ast.parse(source))


def test_imports_are_seen_wherever_they_stand() -> None:
    code = ast.parse(
        "import os.path\ndef f():\n    from libvirt import open\ntry:\n    from a.b import _c\nfinally: pass"
    )
    assert libraries(code) == {"os", "libvirt", "a"}
    assert "a.b._c" in imports(code)


# --- The laws -------------------------------------------------------------------------------------


def test_there_are_plugins_to_look_at() -> None:
    assert PLUGIN_FILES
    assert UTIL_FILES
    assert MODULE_FILES
    assert ROLES


def test_law_1_check_mode_is_read_once() -> None:
    lines = [f"{name(path)}:{line}" for path in PLUGIN_FILES for line in attributes(tree(path), "check_mode")]
    assert len(lines) == 1, lines


def test_law_2_only_the_glue_ends_a_module() -> None:
    lines = [
        f"{name(path)}:{line}"
        for path in PLUGIN_FILES
        if path.name != "_module.py"
        for line in attributes(tree(path), "fail_json", "exit_json")
    ]
    assert not lines


@pytest.mark.parametrize("path", UTIL_FILES, ids=name)
def test_a_shared_file_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(tree(path)) or ""
    kinds = [kind for kind in (PURE, *OTHER_KINDS) if kind in docstring]
    assert len(kinds) == 1, f"the docstring says none, or more than one, of {(PURE, *OTHER_KINDS)}"


@pytest.mark.parametrize("path", [path for path in UTIL_FILES if is_pure(path)], ids=name)
def test_law_3_a_pure_file_reaches_nothing_outside(path: Path) -> None:
    assert not libraries(tree(path)) & NOT_IN_PURE_FILES
    ours = {f"{UTILS}.{other.stem}": other for other in UTIL_FILES}
    impure = {module for module in imports(tree(path)) if module in ours and not is_pure(ours[module])}
    assert not impure


@pytest.mark.parametrize(("library", "importer"), [("lxml", "_xml.py"), ("libvirt", "_libvirt.py")])
def test_law_4_a_library_has_one_importer(library: str, importer: str) -> None:
    importers = [name(path) for path in PLUGIN_FILES if {library, f"{library}_qemu"} & libraries(tree(path))]
    assert importers == [f"plugins/module_utils/{importer}"]


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=name)
def test_law_5_changed_is_never_assigned(path: Path) -> None:
    assert not assignments_of_changed(tree(path))


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=name)
def test_law_6_our_files_are_imported_whole(path: Path) -> None:
    whole = {UTILS, *(f"{UTILS}.{other.stem}" for other in UTIL_FILES)}
    assert {module for module in imports(tree(path)) if module.startswith(UTILS)} <= whole
    froms = {node.module for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom)}
    assert not froms & (whole - {UTILS})


# --- Modules: documentation, fragments, action groups ---------------------------------------------


def documentation(path: Path, variable: str) -> object:
    """The YAML in one of a module's documentation strings; None where it has none."""
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == variable:
            return yaml.safe_load(ast.literal_eval(node.value))
    return None


def fragments(path: Path) -> list[str]:
    found = documentation(path, "DOCUMENTATION").get("extends_documentation_fragment", [])
    return [found] if isinstance(found, str) else found


def groups_of_fragment(fragment: str) -> set[str]:
    """The action groups that a fragment, such as gfapi.virt._attributes.actiongroup_libvirt, gives its modules."""
    *_namespace, file, part = (
        fragment.split(".") if fragment.count(".") == 3 else (*fragment.split("."), "documentation")
    )
    for node in ast.walk(tree(ROOT / f"plugins/doc_fragments/{file}.py")):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == part.upper():
            attributes_of_it = yaml.safe_load(ast.literal_eval(node.value)).get("attributes", {})
            return set(attributes_of_it.get("action_group", {}).get("membership", []))
    raise AssertionError(f"there is no documentation fragment {fragment}")


def is_released_or_next(version: str) -> bool:
    """Whether a version is one of the changelog's, or one that is to come."""
    released = yaml.safe_load((ROOT / "changelogs/changelog.yaml").read_text())["releases"]
    numbers = [tuple(map(int, text.split("."))) for text in (version, GALAXY["version"])]
    return version in released or numbers[0] > numbers[1]


@pytest.mark.parametrize("path", MODULE_FILES, ids=name)
class TestModule:
    def test_documentation(self, path: Path) -> None:
        found = documentation(path, "DOCUMENTATION")
        assert found["module"] == path.stem
        assert is_released_or_next(str(found["version_added"]))
        assert found["author"]
        assert f"{COLLECTION}._attributes" in {".".join(fragment.split(".")[:3]) for fragment in fragments(path)}

    def test_every_example_is_a_named_task_and_one_uses_the_module(self, path: Path) -> None:
        examples = documentation(path, "EXAMPLES")
        assert all(example["name"] for example in examples)
        assert any(f"{COLLECTION}.{path.stem}" in example for example in examples)

    def test_every_returned_value_says_when_and_has_a_type(self, path: Path) -> None:
        returned = documentation(path, "RETURN")
        assert returned
        assert all(value["returned"] and value["type"] and value["description"] for value in returned.values())

    def test_action_groups_are_those_of_the_fragments(self, path: Path) -> None:
        documented = set().union(*(groups_of_fragment(fragment) for fragment in fragments(path)))
        in_force = {
            f"{COLLECTION}.{group}" for group, members in RUNTIME["action_groups"].items() if path.stem in members
        }
        assert documented == in_force
        assert in_force


@pytest.mark.parametrize("group", RUNTIME["action_groups"])
def test_an_action_group_holds_modules_that_exist_in_order(group: str) -> None:
    members = RUNTIME["action_groups"][group]
    assert members == sorted(members)
    assert set(members) <= {path.stem for path in MODULE_FILES}


def test_sanity_has_nothing_to_ignore() -> None:
    assert not list((ROOT / "tests").rglob("ignore*.txt"))


# --- Roles: argument specs and defaults -----------------------------------------------------------


def load(path: Path) -> dict[str, object]:
    return yaml.safe_load(path.read_text()) or {} if path.exists() else {}


def options_of(role: Path) -> dict[str, dict[str, object]]:
    """The options of all entry points together."""
    specs = load(role / "meta/argument_specs.yml")["argument_specs"]
    assert "main" in specs
    return {option: spec for entry in specs.values() for option, spec in entry["options"].items()}


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def taken_from_the_system(role: Path) -> set[str]:
    """The internal variables that a role reads and sets nowhere but in the files of systems."""
    files = [*(role / "tasks").glob("*.yml"), *(role / "handlers").glob("*.yml"), role / "vars/main.yml"]
    text = "\n".join(path.read_text() for path in files)
    internal = rf"__{role.name}_\w+"
    set_here = set(
        re.findall(rf"^ *(?:- )?({internal}):|register: ({internal})|loop_var: ({internal})", text, re.MULTILINE)
    )
    return {found for found in words(text) if re.fullmatch(internal, found)} - {
        one for three in set_here for one in three
    }


#: of a host whose variables take most from them
FACTS = {"distribution_major_version": "13", "python": {"version": {"major": 3, "minor": 13}}}


def evaluated(value: object, variables: dict[str, object]) -> object:
    """A value of a variables file as Ansible would have it."""
    if isinstance(value, dict):
        return {key: evaluated(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [evaluated(one, variables) for one in value]
    return NativeEnvironment(undefined=StrictUndefined).from_string(value).render(variables)


@pytest.mark.parametrize("role", ROLES, ids=name)
class TestRole:
    def test_every_option_is_required_or_has_its_default(self, role: Path) -> None:
        specified = {option: spec["default"] for option, spec in options_of(role).items() if "default" in spec}
        required = {option for option, spec in options_of(role).items() if spec.get("required")}
        assert load(role / "defaults/main.yml") == specified
        assert options_of(role).keys() == specified.keys() | required
        assert not required & specified.keys()

    def test_every_entry_point_is_described(self, role: Path) -> None:
        for entry in load(role / "meta/argument_specs.yml")["argument_specs"].values():
            assert is_released_or_next(str(entry["version_added"]))
            assert entry["short_description"]
            assert entry["description"]
            assert all(option["description"] for option in entry["options"].values())

    def test_names_carry_the_role(self, role: Path) -> None:
        assert all(option.startswith(f"{role.name}_") for option in options_of(role))
        internal = {variable for path in (role / "vars").glob("*.yml") for variable in load(path)}
        assert all(variable.removeprefix("__").startswith(f"{role.name}_") for variable in internal)

    def test_every_system_has_all_that_the_tasks_take_from_one(self, role: Path) -> None:
        systems = {path.stem: load(path) for path in (role / "vars").glob("*.yml") if path.stem != "main"}
        assert {"Debian", "RedHat", "Suse", "default"} <= systems.keys()
        needed = taken_from_the_system(role)
        assert needed
        for system, given in systems.items():
            assert needed <= given.keys(), system
            assert not given.keys() - needed - words(yaml.safe_dump(list(given.values()))), system
            for name in needed if system != "default" else ():
                assert given[name], f"{system}: {name} says nothing"

    @pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
    def test_packages_are_names(self, role: Path, architecture: str) -> None:
        for path in (role / "vars").glob("*.yml"):
            variables = {"ansible_facts": {**FACTS, "architecture": architecture}}
            for variable, value in load(path).items() if path.stem != "main" else ():
                variables[variable] = evaluated(value, variables)
            named = variables.get(f"__{role.name}_packages", [])
            for more in variables.get(f"__{role.name}_packages_for", {}).values():
                named = named + more
            assert all(re.fullmatch(r"[a-z][a-z0-9_.+-]+", package) for package in named), (path, named)
            assert len(set(named)) == len(named)

    def test_systems_name_packages_for_the_same_needs(self, role: Path) -> None:
        needs = {path.stem: load(path).get(f"__{role.name}_packages_for", {}) for path in (role / "vars").glob("*.yml")}
        del needs["main"]
        known = needs.pop("default").keys()
        assert all(named.keys() == known for named in needs.values())


# --- The collection -------------------------------------------------------------------------------


def test_every_source_file_names_its_licence() -> None:
    folders = ("plugins", "roles", "playbooks", "meta", "changelogs/fragments", "tests")
    files = [path for folder in folders for end in ("py", "yml") for path in (ROOT / folder).rglob(f"*.{end}")]
    assert files
    silent = [name(path) for path in files if "SPDX-License-Identifier: GPL-3.0-or-later" not in path.read_text()]
    assert not silent


def test_versions_agree() -> None:
    released = load(ROOT / "changelogs/changelog.yaml")["releases"]
    assert GALAXY["version"] in released
    assert f"gfapi-virt-{GALAXY['version']}.tar.gz" in (ROOT / "execution-environment.yml").read_text()
