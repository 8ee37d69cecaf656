# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The glue: parameters → items with plans → diff, actions, changed → carried out unless in check mode.

The only file that ends a module, and the only one that looks at check mode.
"""

from __future__ import annotations

import importlib.util
import sys
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gfapi.virt.plugins.module_utils import _errors, _plan

Params = dict[str, t.Any]
Result = dict[str, t.Any]

#: Debian's package of each library; Fedora and EL name them alike
PACKAGES: t.Final = {"lxml": "python3-lxml", "libvirt": "python3-libvirt", "pycdlib": "python3-pycdlib"}
SYSTEM_PYTHONS: t.Final = ("/usr/bin/python3", "/usr/libexec/platform-python")
#: items that wait side by side; what a daemon does not serve at once, its edge holds back
MAX_WAITING: t.Final = 64


class Module(AnsibleModule):  # type: ignore[misc] # ansible says nothing of its types
    """Hides secrets also where they stand as Python writes them: those of suboptions in the host's log, with `\\n`."""

    def _log_invocation(self) -> None:
        self.no_log_values |= {repr(value)[1:-1] for value in self.no_log_values}
        super()._log_invocation()


def require_libraries(module: AnsibleModule, names: t.Sequence[str]) -> None:
    """Go on under the system's Python where it alone has the libraries, else fail with the packages to install."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if not missing:
        return
    # not at the top: hosts as a rule have them
    from ansible.module_utils.common.respawn import has_respawned, probe_interpreters_for_module, respawn_module

    if not has_respawned():
        for interpreter in SYSTEM_PYTHONS:
            if all(probe_interpreters_for_module([interpreter], name) for name in names):
                respawn_module(interpreter)
    packages = ", ".join(PACKAGES[name] for name in missing)
    module.fail_json(
        msg=f"the Python library {', '.join(missing)} is missing on this host; install {packages}"
        f" (looked with {', '.join(dict.fromkeys((sys.executable, *SYSTEM_PYTHONS)))})"
    )


def run(
    make_items: t.Callable[[Params], _plan.Item | t.Sequence[_plan.Item]],
    argument_spec: t.Mapping[str, t.Any],
    *,
    one: str,
    many: str | None = None,
    libraries: t.Sequence[str] = (),
    **rules: t.Any,
) -> None:
    """Plan, show, carry out unless in check mode, and end the module.

    The result holds the thing under the key `one`, or a list of things under `many` when `make_items` gives a list.
    """
    module = Module(argument_spec=dict(argument_spec), supports_check_mode=True, **rules)
    require_libraries(module, libraries)
    try:
        made = make_items(module.params)
    except _errors.MissingLibraryError as exc:
        require_libraries(module, [*libraries, exc.library])
        raise
    except (ValueError, _errors.GfapiError) as exc:
        module.fail_json(msg=_one_line(exc), actions=[])
    items = [made] if isinstance(made, _plan.Item) else list(made)
    for warning in dict.fromkeys(warning for item in items for warning in item.warnings):
        module.warn(warning)
    progress = [_Progress(item) for item in items]
    real = not module.check_mode
    if real:
        _carry_out(progress, stop=module.params.get("on_error", "stop") == "stop")
    results = [entry.result(real=real) for entry in progress]
    result: Result = {
        "changed": any(entry["changed"] for entry in results),
        "actions": [action for entry in results for action in entry["actions"]],
    }
    errors = [entry.error for entry in progress if entry.error]
    if not isinstance(made, _plan.Item):
        result[many or one] = results
        result["diff"] = [_diff(item) for item in items if item.plan.changed]
    elif not errors:
        result[one] = {key: value for key, value in results[0].items() if key not in ("changed", "actions")}
        result["diff"] = {"before": made.plan.before, "after": made.plan.after}
    if errors:
        module.fail_json(msg="; ".join(errors), **result)
    module.exit_json(**result)


def _diff(item: _plan.Item) -> Result:
    header = {"before_header": item.name, "after_header": item.name}
    return {"before": item.plan.before, "after": item.plan.after, **header}


def run_info(
    read: t.Callable[[Params], Result], argument_spec: t.Mapping[str, t.Any], *, libraries: t.Sequence[str] = ()
) -> None:
    """End the module with what was read."""
    module = AnsibleModule(argument_spec=dict(argument_spec), supports_check_mode=True)
    require_libraries(module, libraries)
    try:
        result = read(module.params)
    except _errors.MissingLibraryError as exc:
        require_libraries(module, [*libraries, exc.library])
        raise
    except (ValueError, _errors.GfapiError) as exc:
        module.fail_json(msg=_one_line(exc))
    for warning in result.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(**{"changed": False, **result})


class _Progress:
    """How far one item has come."""

    def __init__(self, item: _plan.Item) -> None:
        self.item = item
        self.done: list[_plan.Action] = []
        self.error: str | None = None

    def carry_out(self, actions: t.Sequence[_plan.Action]) -> None:
        """The actions in turn, up to the first that fails; what can be taken back of those before it then is."""
        for action in actions:
            try:
                action.run()
            except (ValueError, _errors.GfapiError) as exc:
                begun = [action] if isinstance(exc, _errors.GfapiError) and exc.partial else []
                self.error = "; ".join([_one_line(exc), *self._put_back(begun)])
                return
            self.done.append(action)

    def _put_back(self, begun: t.Sequence[_plan.Action]) -> list[str]:
        """What was taken back, and what could not be, which stays done; the action that failed halfway comes last."""
        words = []
        halves = [action._replace(summary=f"{action.summary} (in part)") for action in begun]
        turn = [*reversed(self.done), *halves]
        self.done += halves
        for action in turn:
            if action.undo is None:
                continue
            try:
                action.undo.run()
            except (ValueError, _errors.GfapiError) as exc:
                words.append(f"not put back: {_one_line(exc)}")
            else:
                words.append(f"put back: {action.undo.summary}")
                place = self.done.index(action)
                self.done[place : place + 1] = [action._replace(summary=left)] if (left := action.undo.leaves) else []
        return words

    def result(self, *, real: bool) -> Result:
        """The thing, with what was or would be done to it; of one that failed only its name is sure."""
        actions = [action.summary for action in self.done] if real else self.item.plan.summaries
        value = {"name": self.item.name} if self.error else dict(self.item.predicted)
        if real and actions and self.item.read and not self.error:
            try:
                value = dict(self.item.read())
            except (ValueError, _errors.GfapiError) as exc:
                self.error = _one_line(exc)
        state: Result = {"changed": bool(actions), "actions": actions}
        return {**value, **state, **({"failed": True, "msg": self.error} if self.error else {})}


def _carry_out(progress: t.Sequence[_Progress], *, stop: bool) -> None:
    """Every item's actions: up to the first that waits in turn, the rest of all items side by side.

    After a failure `stop` holds back every item whose turn, or place among those that wait, had not come.
    """
    waiting: list[tuple[_Progress, tuple[_plan.Action, ...]]] = []
    for entry in progress:
        now, later = entry.item.plan.split()
        entry.carry_out(now)
        if entry.error and stop:
            return
        if later and not entry.error:
            waiting.append((entry, later))

    def carry_out_rest(job: tuple[_Progress, tuple[_plan.Action, ...]]) -> None:
        entry, later = job
        if not (stop and any(other.error for other in progress)):
            entry.carry_out(later)

    if waiting:
        # not at the top: its import is a tenth of what a run costs that changes nothing
        import concurrent.futures

        with concurrent.futures.ThreadPoolExecutor(min(len(waiting), MAX_WAITING)) as pool:
            list(pool.map(carry_out_rest, waiting))


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split())
