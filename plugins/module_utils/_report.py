# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report: what the info modules told on each host → one picture of all of them, and what to see to. Pure: no I/O."""

from __future__ import annotations

import typing as t

Told = t.Mapping[str, t.Any]
Result = dict[str, t.Any]

#: what a host was asked → in words, for one that did not answer
ASKED: t.Final[t.Mapping[str, str]] = {
    "host": "what it has (gfapi_host_info)",
    "volumes": "volumes (gluster_volume_info)",
    "storage_domains": "storage domains (glusterfs_domain_info)",
    "vms": "virtual machines (libvirt_vm_info)",
}
#: devices whose media are reached through the mount
MEDIA: t.Final = ("cdrom", "floppy")
PROBLEM: t.Final = "problem"
WARNING: t.Final = "warning"
#: jobs in the words of gfapi_host_info: of a host that was asked for volumes, of one that was asked for VMs
NODE_JOBS: t.Final = ("storage_node",)
HYPERVISOR_JOBS: t.Final = ("storage_domain", "gfapi")


def report(told: t.Mapping[str, Told]) -> Result:
    """Host → {asked: result of the module} to volumes, storage domains, images, VMs, hosts and findings.

    A result may be that of a task that failed, or of a host that was not reached. Findings are
    `{severity, kind, name, hosts, code, message, mend, text}`, problems first, each once, with all hosts that see it.
    """
    findings = _Findings()
    for host, results in told.items():
        _note_host(findings, host, results)
    pool: Told = next((results["volumes"] for results in told.values() if _answered(results.get("volumes"))), {})
    for volume in pool.get("volumes", []):
        findings.add_all("volume", volume["name"], volume)
    found = list(_each(told, "vms"))
    storage_domains, images = _storage_domains(told, findings, found)
    names = {image["uuid"]: image["name"] for image in images}
    vms = [_vm(vm, host, names) for host, vm in found]
    for vm in vms:
        _note_vm(findings, vm)
    return {
        "findings": findings.sorted(),
        "hosts": [_host(host, results) for host, results in told.items()],
        "peers": pool.get("peers") or [],
        "volumes": pool.get("volumes", []),
        "storage_domains": storage_domains,
        "images": images,
        "vms": sorted(vms, key=lambda vm: (vm["name"], vm["host"])),
    }


class _Findings:
    """What to see to, told once however many hosts see it."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], Result] = {}

    def add(self, severity: str, kind: str, name: str, host: str | None, code: str, message: str, mend: str) -> None:
        finding = {"severity": severity, "kind": kind, "name": name, "code": code, "message": message, "mend": mend}
        text = f"{severity}: {kind} {name}: {'; '.join(filter(None, (message, mend)))}"
        found = self._found.setdefault(tuple(finding.values()), {**finding, "text": text, "hosts": []})
        if host is not None and host not in found["hosts"]:
            found["hosts"].append(host)

    def add_all(self, kind: str, name: str, facts: Told, host: str | None = None) -> None:
        """The `problems` and `warnings` of a module's result."""
        for severity in (PROBLEM, WARNING):
            for one in facts[f"{severity}s"]:
                self.add(severity, kind, name, host, one["code"], one["message"], one["mend"])

    def sorted(self) -> list[Result]:
        order = (PROBLEM, WARNING)
        return sorted(self._found.values(), key=lambda found: order.index(found["severity"]))


def _answered(result: Told | None) -> bool:
    return bool(result and not any(result.get(key) for key in ("failed", "unreachable", "skipped")))


def _each(told: t.Mapping[str, Told], asked: str) -> t.Iterator[tuple[str, Result]]:
    """Every host, and every one of what it told."""
    for host, results in told.items():
        if _answered(results.get(asked)):
            for one in results[asked][asked]:
                yield host, one


def _host(name: str, results: Told) -> Result:
    facts = results["host"].get("host", {}) if _answered(results.get("host")) else {}
    return {
        "name": name,
        "answers": any(map(_answered, results.values())),
        "jobs": _jobs(results),
        "versions": facts.get("versions", {}),
    }


def _jobs(results: Told) -> list[str]:
    words = {"volumes": "storage node", "vms": "hypervisor"}
    return [word for asked, word in words.items() if asked in results]


def _note_host(findings: _Findings, host: str, results: Told) -> None:
    if any(result.get("unreachable") for result in results.values()):
        words = next(result["msg"] for result in results.values() if result.get("unreachable"))
        findings.add(
            PROBLEM, "host", host, host, "unreachable", _line(words), "is it up? what it knows is missing here"
        )
        return
    for asked, result in results.items():
        if result.get("failed"):
            message = f"does not tell {ASKED[asked]}: {_line(result['msg'])}"
            findings.add(PROBLEM, "host", host, host, "no_answer", message, "")
    jobs = [*NODE_JOBS * ("volumes" in results), *HYPERVISOR_JOBS * ("vms" in results)]
    if _answered(results.get("host")):
        requirements = results["host"]["host"]["requirements"]
        for problem in dict.fromkeys(problem for job in jobs for problem in requirements[job]["problems"]):
            message, _semicolon, mend = problem.partition("; ")
            findings.add(PROBLEM, "host", host, host, "requirement", message, mend)


def _line(text: str) -> str:
    return " ".join(text.split())


def _storage_domains(
    told: t.Mapping[str, Told], findings: _Findings, vms: t.Sequence[tuple[str, Result]]
) -> tuple[list[Result], list[Result]]:
    """One entry for what several hosts have mounted, told as the first that can read it does; and the images."""
    asked = [results[what] for results in told.values() for what in ("storage_domains", "vms") if what in results]
    all_answered = all(map(_answered, asked))
    read = {_place(facts): facts for _host, facts in _each(told, "storage_domains") if facts["uuid"]}
    by_key: dict[str, list[tuple[str, Result]]] = {}
    for host, facts in _each(told, "storage_domains"):
        known = facts if facts["uuid"] else read.get(_place(facts), facts)
        by_key.setdefault(known["uuid"] or known["mount_point"], []).append((host, facts))
        findings.add_all("storage domain", known["name"] or known["mount_point"], facts, host)
    storage_domains, images = [], []
    for seen in by_key.values():
        first = next((facts for _host, facts in seen if facts["state"] == "active"), seen[0][1])
        kept = {key: value for key, value in first.items() if key not in ("images", "orphans", "problems", "warnings")}
        orphans = _orphans(seen) if all_answered else None
        entry = {
            **kept,
            "hosts": [{"name": host, "state": facts["state"], "spec": facts["spec"]} for host, facts in seen],
            "images": len(first["images"] or ()),
            "orphans": orphans,
        }
        storage_domains.append(entry)
        images += [_image(image, first, seen, vms, orphans) for image in first["images"] or ()]
    return storage_domains, images


def _place(facts: Result) -> str:
    """Volume and directory, whichever server it was mounted from: one that a host cannot read may be read by others."""
    return str(facts["spec"].rpartition(":")[2])


def _orphans(seen: t.Sequence[tuple[str, Result]]) -> list[str] | None:
    """The uuids of images that no host knows a user of; `None` where some host cannot tell."""
    told = [facts["orphans"] and facts["orphans"]["images"] for _host, facts in seen]
    if any(images is None for images in told):
        return None
    uuids = [{image["uuid"] for image in images} for images in told]
    return sorted(set.intersection(*uuids))


def _image(
    image: Result,
    place: Result,
    seen: t.Sequence[tuple[str, Result]],
    vms: t.Sequence[tuple[str, Result]],
    orphans: list[str] | None,
) -> Result:
    """An image with its users of all hosts, those too that reach it without a mount."""
    same = [(host, _same(facts, image)) for host, facts in seen]
    users = [{"host": host, **one} for host, told in same for one in told.get("used_by") or ()]
    known = {(user["host"], user["name"]) for user in users}
    users += [
        {"host": host, "name": vm["name"], "state": vm["state"], "target": disk["target"]}
        for host, vm in vms
        for disk in vm["disks"]
        if disk["serial"] == image["uuid"] and (host, vm["name"]) not in known
    ]
    # hosts note themselves by a name that need not be the inventory's, so the VM's tells whether it is known already
    told_of = {user["name"] for user in users}
    names = {one["uuid"]: one["name"] for one in place["images"]}
    noted = {(one["host"], one["name"]) for _host, told in same for one in told.get("used_elsewhere") or ()}
    users += [
        {"host": host, "name": name, "state": "noted", "target": None}
        for host, name in sorted(noted)
        if name not in told_of
    ]
    return {
        **image,
        "storage_domain": place["name"],
        "users": users,
        "template_of": [names.get(uuid) or uuid for uuid in image["template_of"]],
        "orphan": False if users else None if orphans is None else image["uuid"] in orphans,
    }


def _same(facts: Result, image: Result) -> Result:
    return next((one for one in facts["images"] or () if one["uuid"] == image["uuid"]), {})


def _vm(vm: Result, host: str, names: t.Mapping[str, str]) -> Result:
    """A VM whose disks tell the `image` that they are, `None` for what is none of ours."""
    return {**vm, "host": host, "disks": [{**disk, "image": names.get(disk["serial"])} for disk in vm["disks"]]}


def _note_vm(findings: _Findings, vm: Result) -> None:
    def add(severity: str, code: str, message: str, mend: str) -> None:
        findings.add(severity, "virtual machine", vm["name"], vm["host"], code, message, mend)

    for disk in vm["disks"]:
        where = f"disk {disk['target']} ({disk['image'] or disk['source']})"
        if disk["error"] == "given_up":
            add(
                PROBLEM, "given_up", f"QEMU has given up {where}", "end it and start it anew (state: shut_off, running)"
            )
        elif disk["error"]:
            words = {"nospace": "found no space left"}.get(disk["error"], "failed")
            add(
                PROBLEM,
                "disk_error",
                f"a request of {where} {words}",
                "mend its volume, then state: running resumes it",
            )
        # the medium of a CD-ROM always is, as the seed of cloud-init
        if disk["io_path"] == "fuse" and disk["device"] not in MEDIA:
            add(WARNING, "fuse", f"{where} is reached through a FUSE mount", "gfapi.virt.convert_to_gfapi")
        missing = [server for server in disk["servers"] if server not in disk["connected"]]
        if missing and vm["state"] == "running":
            add(
                WARNING,
                "not_connected",
                f"its QEMU has no connection to {', '.join(missing)} for {where}",
                "is the brick there up? (gluster volume status)",
            )
    if vm["state"] == "paused" and vm["pause_reason"] != "io_error":
        add(WARNING, "paused", f"it is paused ({vm['pause_reason']})", "state: running resumes it")
    if vm["state"] == "crashed":
        add(PROBLEM, "crashed", "its guest has crashed", "end it (state: shut_off with force_stop: true)")
    if vm["restart_required"]:
        changes = ", ".join(vm["restart_required"])
        add(WARNING, "restart_required", f"it runs with another configuration than is defined: {changes}", "restart it")
