"""From findings to edits that mend them: placed, held against each other, proven together, shown as a diff."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from doctor.case import Case
from doctor.fix import environment, images, requirements, scripts
from doctor.fix.commands import NOT_RUN, command_of
from doctor.fix.diff import unified
from doctor.fix.proof import Project
from doctor.fix.text import Placed, Text, load
from doctor.fix.write import write
from doctor.model.facts import known
from doctor.model.report import Change, FileFix, Finding, Fix, Fixes, Location, Severity
from doctor.pin.plan import applied
from doctor.pin.spots import Edit

SAFE, MANUAL = "safe", "manual"
# Edits that are proven one by one, where all together do not hold; each costs a reading of the project.
MOST_SINGLE = 60
# Of processor time. Ordinary projects take a fraction of a second; this ends one that was made to take hours.
MOST_SECONDS = 15.0
MOST_LOOKS = 400
UNPROVEN = "the finding would stay, or another would come: look at it by hand"
_SCRIPTS = ("argument", "method", "keyword", "seed")
_ASKED = ("requirement", "group")


@dataclass
class _Step:
    """One finding's change of one file."""

    finding: Finding
    change: Change
    path: str
    edits: tuple[Edit, ...]

    @property
    def row(self) -> Fix:
        """The fix, before it is known whether it stands."""
        line = self.finding.location.line if self.finding.location else None
        return _row(self.finding, "edit", SAFE, self.change.why, self.path, line)


@dataclass
class Plan:
    """The fixes of a run, and the new texts of the files."""

    folder: Path
    rows: list[Fix] = field(default_factory=list)
    files: dict[str, tuple[Text, str]] = field(default_factory=dict)

    def fixes(self, written: Mapping[str, str | None] | None = None) -> Fixes:
        """The report's part. ``written``: by path, None where the file was written, else why not."""
        done = written or {}
        files = tuple(
            FileFix(path, unified(path, file.text, text), path in done and done[path] is None, done.get(path))
            for path, (file, text) in self.files.items()
        )
        applied_to = {file.path for file in files if file.written}
        rows = tuple(
            msgspec.structs.replace(row, written=True) if row.replacements and row.path in applied_to else row
            for row in self.rows
        )
        return Fixes(rows, files)

    def write(self) -> Fixes:
        """Write the files, each whole or not at all, and tell."""
        return self.fixes({path: write(self.folder, file, text) for path, (file, text) in self.files.items()})


def plan(folder: Path, findings: Iterable[Finding], case: Case, build_args: Mapping[str, str]) -> Plan:
    """The plan for these findings, of which those that a file of ``folder`` can mend become edits.

    Of two edits of one place the first stands: findings come in the order in which a person should deal with them.
    """
    return _Planning(folder, case, build_args).run(list(findings))


class _Planning:
    def __init__(self, folder: Path, case: Case, build_args: Mapping[str, str]) -> None:
        self._folder = folder
        self._case = case
        self._build_args = build_args
        self._texts: dict[str, Text | str] = {}
        self._plan = Plan(folder)
        self._deadline = time.process_time() + MOST_SECONDS
        self._looked = 0

    def run(self, findings: Sequence[Finding]) -> Plan:
        steps: list[_Step] = []
        for finding in findings:
            if isinstance(change := finding.change, Change) and finding.subject in ("", self._case.subject.name):
                for path, placed in self._placed(finding, change):
                    if isinstance(placed, str) or path is None:
                        self._refuse(finding, path, placed if isinstance(placed, str) else environment.NOWHERE)
                    else:
                        self._add(_Step(finding, change, path, placed), steps)
            command = command_of(finding)
            if command is not None and not _is_edited(finding, steps):
                row = _row(finding, "command", MANUAL, NOT_RUN, command=command)
                self._plan.rows.append(row)
        self._keep(steps)
        order = {finding.fingerprint: number for number, finding in reversed(list(enumerate(findings)))}
        self._plan.rows.sort(key=lambda row: (order[row.fingerprint], row.line or 0, row.kind == "command"))
        return self._plan

    def _placed(self, finding: Finding, change: Change) -> list[tuple[str | None, Placed]]:
        location = finding.location
        if change.kind == "bound":
            return self._bounds(change)
        if change.kind == "environment":
            path = environment.file_of(known(self._case.project.environment) or ())
            return [
                (path, self._of(path, lambda file: environment.place(file, change)) if path else environment.NOWHERE)
            ]
        if location is None:
            return []
        if change.kind == "digest":
            where = location
            return [
                (where.path, self._of(where.path, lambda file: images.place(file, change, where, self._build_args)))
            ]
        if change.kind in _SCRIPTS:
            return [(location.path, self._script(change, location))]
        rows = [
            r for r in self._requests(change.name) if (r.get("path"), r.get("line")) == (location.path, location.line)
        ]
        return [(location.path, self._requested(location.path, rows, change.value))]

    def _script(self, change: Change, location: Location) -> Placed:
        rows = [row for row in known(self._case.project.scripts) or () if row.get("path") == location.path]
        if not rows:
            return "changed since it was read"
        return self._of(location.path, lambda file: scripts.place(file, change, location, rows[0]))

    def _bounds(self, change: Change) -> list[tuple[str | None, Placed]]:
        """The requests that allow what is installed and does not work, each in its file."""
        package = self._case.package(change.name)
        have = known(package.version) if package is not None else None
        rows = [r for r in self._requests(change.name) if r.get("kind") in _ASKED and have and _allows(r, have)]
        found: list[tuple[str | None, Placed]] = []
        for path in dict.fromkeys(str(row["path"]) for row in rows):
            mine = [row for row in rows if row["path"] == path]
            found.append((path, self._requested(path, mine, change.value)))
        return found

    def _requests(self, name: str) -> list[dict[str, Any]]:
        return [row for row in known(self._case.project.requirements) or () if row.get("name") == name]

    def _requested(self, path: str, rows: list[dict[str, Any]], value: str) -> Placed:
        if not rows:
            return "changed since it was read"
        return self._of(path, lambda file: requirements.place(file, rows, value, self._build_args))

    def _of(self, path: str, place: Any) -> Placed:
        self._looked += 1
        if self._looked > MOST_LOOKS:
            return f"more than {MOST_LOOKS} fixes in one run: run it again"
        if time.process_time() > self._deadline:
            return f"not looked at: {MOST_SECONDS:g} s for all fixes are over"
        if path not in self._texts:
            self._texts[path] = load(self._folder, path)
        file = self._texts[path]
        found: Placed = file if isinstance(file, str) else place(file)
        return found

    def _refuse(self, finding: Finding, path: str | None, why: str) -> None:
        line = finding.location.line if finding.location and finding.location.path == path else None
        self._plan.rows.append(_row(finding, "edit", MANUAL, why, path, line))

    def _add(self, step: _Step, steps: list[_Step]) -> None:
        """Take a step, unless it wants a place that another one has."""
        other = next((one for one in steps if one.path == step.path and _collide(one.edits, step.edits)), None)
        if other is None:
            steps.append(step)
        else:
            why = f"the fix of {other.finding.code} changes the same words: run it again"
            self._refuse(step.finding, step.path, why)

    def _keep(self, steps: list[_Step]) -> None:
        """The steps that hold: all at once, else one by one."""
        project = Project(self._folder, self._case, self._build_args)
        kept = steps if self._holds(project, [], steps) else []
        if not kept:
            for step in steps[:MOST_SINGLE]:
                if time.process_time() > self._deadline + MOST_SECONDS:
                    break
                same = [other for other in steps if other.path == step.path and other.edits == step.edits]
                if all(step is not one for one in kept) and self._holds(project, kept, same):
                    kept += same
        stand = {id(step) for step in kept}
        for step in steps:
            file = self._texts[step.path]
            if id(step) not in stand or isinstance(file, str):
                self._refuse(step.finding, step.path, UNPROVEN)
            else:
                row = msgspec.structs.replace(step.row, replacements=file.replacements(step.edits))
                self._plan.rows.append(row)
        for path, text in self._edited(kept).items():
            before = self._texts[path]
            if isinstance(before, Text):
                self._plan.files[path] = (before, text)

    def _holds(self, project: Project, kept: list[_Step], more: list[_Step]) -> bool:
        """Whether with more steps the rules say less."""
        proven = [step for step in more if step.change.kind != "digest"]
        mended = Counter(step.finding.fingerprint for step in proven if step.change.mends)
        weight = min((_weight(step.finding) for step in proven), default=0)
        return not proven or project.better(self._edited(kept), self._edited([*kept, *more]), mended, weight)

    def _edited(self, steps: list[_Step]) -> dict[str, str]:
        edits: dict[str, dict[Edit, None]] = {}
        for step in steps:
            edits.setdefault(step.path, {}).update(dict.fromkeys(step.edits))
        texts = {path: self._texts[path] for path in edits}
        return {path: applied(file.text, edits[path]) for path, file in texts.items() if isinstance(file, Text)}


def _row(
    finding: Finding,
    kind: str,
    safety: str,
    reason: str,
    path: str | None = None,
    line: int | None = None,
    command: str | None = None,
) -> Fix:
    return Fix(finding.code, finding.fingerprint, finding.subject, kind, safety, reason, path, line, command=command)


def _is_edited(finding: Finding, steps: list[_Step]) -> bool:
    """Whether an edit alone mends the finding."""
    return any(step.finding is finding and step.change.mends for step in steps)


def _collide(some: tuple[Edit, ...], others: tuple[Edit, ...]) -> bool:
    """Whether two edits touch each other, and are not the same."""
    return any(a != b and a.start <= b.end and b.start <= a.end for a in some for b in others)


def _weight(finding: Finding) -> int:
    return (finding.severity or Severity.INFO).weight


def _allows(row: dict[str, Any], version: str) -> bool:
    """Whether a request lets a version be installed."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 (50 ms)

    try:
        return SpecifierSet(str(row.get("specifier") or "")).contains(version, prereleases=True)
    except InvalidSpecifier:
        return str(row.get("specifier")).lstrip("=^~ ") in ("", "*", version)
