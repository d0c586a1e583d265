"""``kdoctor init``: a commented policy and a CI file out of what a project holds. Nothing is ever overwritten."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from doctor import __version__, gate
from doctor.case import Case
from doctor.configuration import PROJECT_FILE, PYPROJECT, read_project
from doctor.engine import judge
from doctor.errors import DoctorError, UsageError
from doctor.io.files import write_new
from doctor.model.facts import known
from doctor.model.report import Finding
from doctor.model.snapshot import Snapshot, Subject
from doctor.model.wire import load_snapshot
from doctor.policy import DENIED, REFERENCE_FILE
from doctor.report.sanitize import line
from doctor.scan import Request, project_facts, with_project
from doctor.settings import Settings

CI = {"github": ".github/workflows/kdoctor.yml", "gitlab": ".gitlab-ci.yml"}
BESIDE = ".gitlab/kdoctor.yml"  # where the project has a .gitlab-ci.yml of its own
_NODES = ("*.json", "nodes/*.json", "machines/*.json", "kdoctor/*.json")
_DEPLOYED = ("compose", "kubernetes")
_PYTHON = "3.12"
_MOST = 8
_MAX_NODE = 4 << 20
_MONTHS = 90
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")


@dataclass(frozen=True)
class Written:
    """A file that init wrote, or left as it was (``text`` is then None), and what to do with it."""

    path: str
    text: str | None
    advice: str = ""


@dataclass(frozen=True)
class Holds:
    """What a project holds that a policy can speak of."""

    images: tuple[str, ...]
    machines: tuple[str, ...]
    reference: bool
    denied: tuple[str, ...]
    install: str


def start(folder: Path, ci: str | None, today: datetime.date) -> list[Written]:
    """Write the policy and the CI file into ``folder``; ``ci``: github, gitlab, none, or None to conclude it.

    Raises:
        UsageError: the folder is none, or a file cannot be written.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; name the project's folder")
    own = read_project(folder)
    name = own.path.name if own is not None else PROJECT_FILE
    holds = look(folder)
    written = []
    if own is not None:
        written.append(Written(name, None, "holds a policy already"))
    else:
        written.append(_write(folder, PROJECT_FILE, policy_text(holds, today)))
    service = ci or concluded(folder)
    if service != "none":
        place = CI[service]
        advice = ""
        if service == "gitlab" and (folder / place).exists():
            place, advice = BESIDE, f"add to .gitlab-ci.yml: include: [{{local: {BESIDE}}}]"
        written.append(_write(folder, place, ci_text(service, holds.install, name), advice))
    return written


def concluded(folder: Path) -> str:
    """The CI that a project uses: GitLab's where its file is there and no workflows are, else GitHub's."""
    gitlab = (folder / ".gitlab-ci.yml").exists() and not (folder / ".github").is_dir()
    return "gitlab" if gitlab else "github"


def look(folder: Path) -> Holds:
    """What the project holds; no network is used."""
    section = project_facts(Request(folder=folder), offline=True)
    bare = Snapshot(subject=Subject(kind="project", name="project", collected="static"))
    settings = Settings()
    rules = [rule for rule in gate.select_rules(settings) if rule.code in gate.denied_codes(DENIED, settings)]
    findings = judge(Case(with_project(bare, section)), rules).findings
    images = [
        f"{row['reference']} ({row['path']}:{row['line']})"
        for row in section.get("images", ())
        if row.get("use") in _DEPLOYED and not row.get("error")
    ]
    return Holds(
        tuple(dict.fromkeys(images)),
        tuple(_machines(folder)),
        (folder / REFERENCE_FILE).is_file(),
        tuple(map(_place, findings)),
        _install(folder, section),
    )


def policy_text(holds: Holds, today: datetime.date) -> str:
    """The policy, with what was found in its place and everything else as a comment that says how."""
    images = ["# images = []", *_found("Found in this project:", holds.images)]
    machines = f"machines = {json.dumps(list(holds.machines))}" if holds.machines else '# machines = ["nodes/*.json"]'
    reference = f"reference = {json.dumps(REFERENCE_FILE)}"
    until = today + datetime.timedelta(days=_MONTHS)
    return _filled(
        "policy.toml",
        DENY=json.dumps(list(DENIED)),
        IMAGES="\n".join(images),
        MACHINES=machines,
        REFERENCE=reference if holds.reference else f"# {reference}",
        UNTIL=until.isoformat(),
        TODAY="\n".join(["", *_found(f"What the gate denies on {today.isoformat()}:", holds.denied)]).rstrip(),
    )


def ci_text(service: str, install: str, policy: str) -> str:
    """The CI file of a service, for a project whose policy stands in the file of this name."""
    return _filled(f"{service}.yml", VERSION=__version__, PYTHON=_PYTHON, INSTALL=install, POLICY=policy)


def _filled(template: str, **values: str) -> str:
    text = resources.files("doctor.templates").joinpath(template).read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text.rstrip() + "\n"


def _found(head: str, rows: Iterable[str]) -> list[str]:
    """Rows as comments; what comes out of the project's files stays one line each."""
    listed = list(rows)
    if not listed:
        return []
    more = [f"#   and {len(listed) - _MOST} more"] if len(listed) > _MOST else []
    return [f"# {head}", *(f"#   {line(row, 300)}" for row in listed[:_MOST]), *more]


def _machines(folder: Path) -> Iterable[str]:
    """Saved snapshots of machines, as patterns where a folder holds several."""
    for pattern in _NODES:
        names = [file for file in sorted(folder.glob(pattern))[:100] if _is_machine(file)]
        if len(names) > 1 and pattern != "*.json":
            yield pattern
        else:
            yield from (file.relative_to(folder).as_posix() for file in names)


def _is_machine(file: Path) -> bool:
    try:
        if not file.is_file() or file.stat().st_size > _MAX_NODE:
            return False
        machine = load_snapshot(file).machine
    except (OSError, DoctorError):
        return False
    return known(machine.driver.present) is not None or known(machine.driver.version) is not None


def _place(finding: Finding) -> str:
    place = finding.location
    where = f"{place.path}:{place.line}: " if place is not None else ""
    return f"{where}{finding.code} {finding.message}"


def _install(folder: Path, section: Mapping[str, Any]) -> str:
    """What pip installs for this project: its own requirements, those of the part that asks for TensorFlow, or itself.

    A path out of the project gets into the CI file only where no shell could take it for anything else.
    """
    if (folder / "requirements.txt").is_file():
        return "-r requirements.txt"
    asking = [
        str(row.get("path"))
        for row in section.get("requirements", ())
        if str(row.get("name")).startswith(("tensorflow", "keras", "tf-keras"))
    ]
    files = [path for path in asking if path.endswith(".txt") and _PLAIN_PATH.fullmatch(path)]
    if files:
        return f"-r {files[0]}"
    return "." if (folder / PYPROJECT).is_file() else "tensorflow"


def _write(folder: Path, name: str, text: str, advice: str = "") -> Written:
    """A new file; one that is there already stays."""
    if not write_new(folder / name, text.encode()):
        return Written(name, None, "is there already, and was left as it is")
    return Written(name, text, advice)
