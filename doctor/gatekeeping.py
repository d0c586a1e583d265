"""The pre-deploy gate: every image of the policy on every machine of it, the project, and the canary.

What the gate could not look at makes it incomplete (exit code 3), never green: a named image or machine, a machine
whose driver nobody knows, a rule that the policy denies and that could not be judged, a canary without a verdict.
"""

from __future__ import annotations

import datetime
import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from doctor import gate, requirements, suppression
from doctor.case import Case
from doctor.diagnosis import expecting, join, machine_name, named
from doctor.engine import Outcome, judge, without_project
from doctor.errors import DoctorError, UsageError
from doctor.model.facts import known
from doctor.model.report import CaseRow, Finding, MachineRow, Note
from doctor.model.snapshot import Snapshot, Subject
from doctor.model.wire import decode_snapshot, load_snapshot
from doctor.policy import THIS_MACHINE
from doctor.rule import Rule
from doctor.scan import Request, look_at, project_facts, with_project
from doctor.settings import Settings
from doctor.suppression import Suppression

PROJECT = "project"
_OF_PROJECT = ("project", "registry")
_ELSEWHERE = ("software", "machine", "container")  # what is judged on the images, not on the project alone

Judged = tuple[Case, Outcome]


@dataclass(frozen=True)
class Machine:
    """A machine to judge on; without a name none was named, and nothing is known of it."""

    name: str | None
    snapshot: Snapshot


@dataclass
class Gathered:
    """Everything that the policy names, looked at. ``words``: the targets of ``software``, in the same order."""

    words: list[str] = field(default_factory=list)
    software: list[Snapshot] = field(default_factory=list)
    machines: list[Machine] = field(default_factory=list)
    project: Snapshot | None = None
    lost: list[str] = field(default_factory=list)
    unmet: list[Note] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    header: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdicts:
    """What the rules said, for the report; one case a subject and machine."""

    judged: list[Judged]
    cases: list[CaseRow]
    machines: list[MachineRow]
    unmet: list[Note]
    suppressions: list[Suppression]
    notes: list[Note]


def check_policy(settings: Settings) -> None:
    """Refuse a policy that suppresses without saying why.

    Raises:
        UsageError: with the suppression's code.
    """
    for row in settings.suppressions:
        if not row.reason.strip():
            place = settings.origin("suppressions")
            raise UsageError(f"{place}: suppressions: {row.code} has no reason; the gate wants one")


def gather(request: Request, settings: Settings) -> Gathered:
    """Look at all that the policy names, or the command line in its stead.

    Where neither names a target, this environment is judged together with the project.

    Raises:
        UsageError: the folder is none, or a target is not understood.
    """
    if not request.folder.is_dir():
        raise UsageError(f"{request.folder}: no such folder; name the project's folder")
    found = Gathered()
    words = chosen(request, settings)
    if words:
        section = project_facts(request, offline=settings.offline)
        bare = Snapshot(subject=Subject(kind="project", name=PROJECT, collected="static"), collected_at=_now())
        found.project = with_project(bare, section)
        found.header = (f"project {request.folder}",)
    for word in words or ("host",):
        own = Request(
            folder=request.folder,
            python=None if words else request.python,
            targets=(word,),
            build_args=request.build_args,
            with_project=not words,
            inside=request.inside,
            history=request.history,
            all_dependencies=request.all_dependencies,
        )
        try:
            looked = look_at(own, offline=settings.offline, strict=True)
        except UsageError:
            raise
        except DoctorError as error:
            found.lost.append(word)
            found.unmet.append(Note(word, str(error)))
            continue
        found.words.append(word)
        found.software.append(named(looked.snapshots[0], word) if words else looked.snapshots[0])
        found.notes += looked.notes
        found.header = found.header or looked.header
    if not words and found.software:
        _say_if_empty(found, found.software[0])
    found.machines = _machines(settings, found)
    return found


def _say_if_empty(found: Gathered, snapshot: Snapshot) -> None:
    """Where no target is named and this environment has no TensorFlow, hardly anything was judged.

    That is incomplete where the project asks for TensorFlow or Keras, and a remark where it does not.
    """
    case = Case(snapshot)
    framework = (case.software.tensorflow, case.software.keras)
    if any(known(one.present) or known(one.version) is not None for one in framework):
        return
    asking = next((row for row in known(case.project.requirements) or () if _is_framework(row)), None)
    name = snapshot.subject.name
    help_ = "name images in the policy, or an interpreter with --python"
    if asking is None:
        found.notes.append(Note(name, f"no TensorFlow is found in this environment, so that little is judged: {help_}"))
    else:
        found.unmet.append(
            Note(
                name,
                f"{name}: no TensorFlow is found in this environment, which {asking.get('path')} asks for: {help_}",
            )
        )


def _is_framework(row: Mapping[str, Any]) -> bool:
    return str(row.get("name")).startswith(("tensorflow", "tf-nightly", "keras", "tf-keras"))


def chosen(request: Request, settings: Settings) -> tuple[str, ...]:
    """The targets: those of the command line, else the policy's images; a named interpreter comes on top of them."""
    words = request.targets or settings.images
    return (*words, f"python:{request.python}") if words and request.python is not None else words


def judge_all(found: Gathered, settings: Settings, today: datetime.date, had: Sequence[str] = ()) -> Verdicts:
    """Judge every software on every machine, and the project; ``had``: runs that took place (``canary``)."""
    rules = gate.select_rules(settings)
    judged: list[Judged] = []
    cases = [CaseRow(word, machine.name, gate.UNSURE) for word in found.lost for machine in found.machines]
    unmet, blind = list(found.unmet), {machine.name for machine in found.machines if _unknown_driver(machine)}
    unmet += [
        Note(f"machine {name}", f"{name}: nothing is known of its driver; take the snapshot anew") for name in blind
    ]
    if found.project is not None:
        judged.append(_judge_project(found.project, rules))
        cases.append(CaseRow(found.project.subject.name))
    for snapshot in [expecting(one, settings.require) for one in found.software]:
        judged += _on_each(snapshot, found.machines, rules, apart=found.project is not None)
        name = snapshot.subject.name
        cases += [CaseRow(name, m.name, gate.UNSURE if m.name in blind else gate.OK) for m in found.machines]
    bearing = judged[:1]  # the project is judged once: alone, or with this environment
    unmet += [note for case, outcome in bearing for note in _denied_unjudged(case, outcome, settings)]
    unmet += _lacking(judged, bearing, settings, had)
    sound, notes = _suppressions(bearing, today)
    machines = [gate.machine_row(Case(m.snapshot), m.name) for m in found.machines if m.name is not None]
    return Verdicts(judged, cases, machines, list(dict.fromkeys(unmet)), sound, [*found.notes, *notes])


def _machines(settings: Settings, found: Gathered) -> list[Machine]:
    machines: list[Machine] = []
    for word in settings.machines:
        if word == THIS_MACHINE:
            machines.append(_named(_this_machine(settings), THIS_MACHINE, machines))
            continue
        files = sorted(glob.glob(word)) if glob.has_magic(word) else [word]  # noqa: PTH207 -- an absolute pattern, too
        if not files:
            found.unmet.append(Note(word, f"{word}: no such machine snapshot"))
        for file in files:
            try:
                machines.append(_named(load_snapshot(Path(file)), Path(file).stem, machines))
            except DoctorError as error:
                found.unmet.append(Note(file, str(error)))
    if not settings.machines:
        found.notes.append(Note("machines", "none named in the policy: drivers and GPUs are not judged"))
        return [Machine(None, Snapshot())]
    return machines


def _this_machine(settings: Settings) -> Snapshot:
    from doctor.targets.machine import collect_machine  # noqa: PLC0415 -- NVML and the engine, where they are asked

    half = collect_machine(offline=settings.offline)
    return decode_snapshot({key: half[key] for key in ("machine", "partial", "derived") if key in half})


def _named(snapshot: Snapshot, stem: str, others: Sequence[Machine]) -> Machine:
    """The machine by its own name, or by its file's where that name is taken or absent."""
    name = machine_name(snapshot, stem)
    return Machine(stem if name in {other.name for other in others} else name, snapshot)


def _unknown_driver(machine: Machine) -> bool:
    return machine.name is not None and bool(requirements.unmet(Case(machine.snapshot), ("driver",)))


def _judge_project(snapshot: Snapshot, rules: Sequence[Rule]) -> Judged:
    """The project alone: what needs an environment is judged where there is one, on the images."""
    case = Case(snapshot)
    outcome = judge(case, rules)
    outcome.skipped = [row for row in outcome.skipped if row.reason.split(".", 1)[0] not in _ELSEWHERE]
    return case, outcome


def _on_each(snapshot: Snapshot, machines: Sequence[Machine], rules: Sequence[Rule], *, apart: bool) -> list[Judged]:
    """One software on all machines; what is found on each of several in the same words is found once, on none.

    ``apart``: the project is judged by itself, so that rules which need one do not apply here.
    """
    judged = []
    for machine in machines:
        case = Case(join(snapshot, machine.snapshot))
        outcome = judge(case, rules, machine=machine.name)
        judged.append((case, without_project(outcome, "the project is judged by itself") if apart else outcome))
    if len(judged) > 1:
        common = [_alike(finding) for finding in judged[0][1].findings]
        common = [one for one in common if all(one in map(_alike, outcome.findings) for _, outcome in judged)]
        for number, (_, outcome) in enumerate(judged):
            outcome.findings = [
                _alike(finding) if _alike(finding) in common else finding
                for finding in outcome.findings
                if number == 0 or _alike(finding) not in common
            ]
    return judged


def _alike(finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, machine=None)


def _denied_unjudged(case: Case, outcome: Outcome, settings: Settings) -> list[Note]:
    """A rule that the policy denies, and that could not look at the project, leaves the gate incomplete."""
    denied = gate.denied_codes(settings.deny, settings)
    return [
        Note(
            f"{row.code} {row.name}",
            f"{case.subject.name}: denied by the policy, and could not be judged: {row.reason}",
        )
        for row in outcome.skipped
        if row.code in denied
    ]


def _lacking(judged: Sequence[Judged], bearing: Sequence[Judged], settings: Settings, had: Sequence[str]) -> list[Note]:
    """Required facts: those of a project asked of the case that bears it, all others of each environment."""
    lacking: list[Note] = []
    environments = [case for case, _ in judged if case.subject.kind != PROJECT]
    for word in settings.require:
        of_project = word.split(".", 1)[0] in _OF_PROJECT
        for case in [case for case, _ in bearing] if of_project else environments:
            lacking += requirements.unmet(case, (word,), had)
    return lacking


def _suppressions(bearing: Iterable[Judged], today: datetime.date) -> tuple[list[Suppression], list[Note]]:
    """The suppressions in the project's files that say why; of the others, that they do not count here."""
    sound: list[Suppression] = []
    notes = []
    for case, _ in bearing:
        for one in suppression.from_files(case, today):
            if one.reason.strip():
                sound.append(one)
            else:
                where = f"{suppression.plain_path(one.path)}:{min(one.lines or (0,))}"
                notes.append(
                    Note(where, f"the suppression of {', '.join(one.codes)} gives no reason: it does not count here")
                )
    return sound, notes


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def with_canaries(
    cases: Iterable[CaseRow], drifts: Mapping[str, Mapping[str, Any]], unmet: Iterable[Note]
) -> list[CaseRow]:
    """The cases with what their canaries came to; one without a verdict is incomplete on every machine."""
    open_ = {note.why.split(": ", 1)[0] for note in unmet}
    rows = []
    for row in cases:
        found = drifts.get(row.subject)
        told = row
        if found is not None:
            label = (found.get("accuracy") or {}).get("label")
            told = msgspec.structs.replace(row, drift=found["class"], accuracy=label)
        rows.append(msgspec.structs.replace(told, verdict=gate.UNSURE) if row.subject in open_ else told)
    return rows
