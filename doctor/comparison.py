"""Two targets side by side: what differs, what the rules say of each and of both, and what their canaries compute."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from doctor.canary.record import Record
from doctor.canary.record_file import MAX_BYTES, load_record
from doctor.canary.runs import Options, runner_for, snapshot_of
from doctor.canary.sides import Drift, Side, Watch, drift_between, explained, recorded_changes
from doctor.canary.start import Runner
from doctor.canary.verdict import compare_changes
from doctor.case import Case, Comparison
from doctor.changes import Change, changes, ranked
from doctor.diagnosis import join, named
from doctor.errors import DoctorError
from doctor.model.facts import known
from doctor.model.report import Note
from doctor.model.snapshot import Snapshot
from doctor.model.wire import load_snapshot
from doctor.report.verdicts import short_digest
from doctor.scan import Request, look_at
from doctor.targets.inside_options import Inside
from doctor.targets.words import Target, parse

RECORDS = ("kdoctor/canary", "kdoctor/reference")
AT_REST = ("snapshot", "archive")


@dataclass(frozen=True)
class Asked:
    """What to compare and how. ``canary``: run it, run it not, or (None) where both sides can be run."""

    a: str
    b: str
    canary: bool | None = None
    options: Options = field(default_factory=Options)
    tolerance: float = 0.01
    machine: Path | None = None
    offline: bool = False
    python: str | None = None
    inside: Inside = field(default_factory=Inside)


@dataclass(frozen=True)
class Compared:
    """Two cases and their differences; ``drift``: the two records and what they say, where there are any.

    ``unmet``: what was asked for and could not be had; ``notes``: other things that were not looked at. ``judged``:
    the sides whose facts the rules can judge (a canary record holds too few).
    """

    pair: Comparison
    changes: tuple[Change, ...]
    drift: Drift | None = None
    judged: tuple[Case, ...] = ()
    unmet: tuple[Note, ...] = ()
    notes: tuple[Note, ...] = ()


def compare_targets(asked: Asked, watch: Watch) -> Compared:
    """Look at two targets, put them side by side, and compare what their canaries compute.

    Raises:
        TargetError: one of them cannot be looked at.
        DocumentError: one of them is a document that cannot be read.
    """
    targets = [parse(word) for word in (asked.a, asked.b)]
    names = _names(targets)
    records = [_record(target) for target in targets]
    other = load_snapshot(asked.machine) if asked.machine else None
    cases, notes = [], []
    for target, name, record in zip(targets, names, records, strict=True):
        snapshot, remarks = _facts(target, name, record, asked)
        cases.append(Case(join(snapshot, other) if other else snapshot))
        notes += remarks
    bare = [case.subject.name for case, record in zip(cases, records, strict=True) if _has_none(case, record)]
    drift, unmet, remarks = _canaries(targets, names, records, bare, asked, watch)
    if drift is None and unmet:
        unmet += [Note(case.subject.name, why) for case in cases if (why := _foreign(case))]
    if drift is not None and all(records):
        found = compare_changes(drift.a, drift.b)
    else:
        found = [*changes(cases[0], cases[1]), *(recorded_changes(drift) if drift is not None else ())]
    found = ranked(found)
    return Compared(
        Comparison(cases[0], cases[1], None if drift is None else explained(drift, found)),
        tuple(found),
        drift,
        tuple(case for case, record in zip(cases, records, strict=True) if record is None),
        tuple(unmet),
        (*notes, *remarks),
    )


def _facts(target: Target, name: str, record: Record | None, asked: Asked) -> tuple[Snapshot, list[Note]]:
    if record is not None:
        return snapshot_of(record, name), []
    looked = look_at(Request(targets=(str(target),), inside=asked.inside), offline=asked.offline, strict=True)
    return named(looked.snapshots[0], name), [Note(f"{name}: {note.what}", note.why) for note in looked.notes]


def _has_none(case: Case, record: Record | None) -> bool:
    """Whether a side that the canary would run in is known to have no TensorFlow."""
    return record is None and known(case.software.tensorflow.present) is False


def _foreign(case: Case) -> str | None:
    """That an image is for other machines than this one, which may be why its canary does not run."""
    words = (known(case.software.image.platform) or "").split("/")
    own = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    if len(words) < 2 or words[1] == own:
        return None
    return f"{case.subject.name}: the image is for {'/'.join(words)}, and this machine is {own}"


def _canaries(
    targets: list[Target], names: list[str], records: list[Record | None], bare: list[str], asked: Asked, watch: Watch
) -> tuple[Drift | None, list[Note], list[Note]]:
    """The drift, what is unmet, and remarks on why there is none; ``bare``: sides without TensorFlow."""
    if asked.canary is False:
        return None, [], []
    if bare:
        return None, [Note("canary", f"not run: TensorFlow is not installed in {' and '.join(bare)}")], []
    idle = [name for t, name, r in zip(targets, names, records, strict=True) if r is None and t.kind in AT_REST]
    if idle:
        note = Note("canary", f"not run: {' and '.join(idle)}: facts at rest, nothing that a sandbox could start")
        return None, [note] if asked.canary else [], [] if asked.canary else [note]
    try:
        sides = [
            Side(name, record, None if record is not None else _runner(target, asked))
            for target, name, record in zip(targets, names, records, strict=True)
        ]
        drift = drift_between(sides[0], sides[1], asked.options, asked.tolerance, watch)
    except DoctorError as error:
        return None, [Note("canary", str(error))], []
    unmet = [Note("canary", drift.facts["reason"])] if drift.facts["class"] == "not-comparable" else []
    return drift, unmet, []


def _runner(target: Target, asked: Asked) -> Runner:
    inside = msgspec.structs.replace(asked.inside, offline=asked.offline)
    return runner_for(target, os.environ, Path.cwd(), asked.python, inside, gpus=asked.options.device == "gpu")


def _record(target: Target) -> Record | None:
    """The canary record that a target's file holds; None for everything else.

    Raises:
        DocumentError: it is one, and cannot be used.
    """
    path = Path(target.name)
    return load_record(path) if target.kind == "snapshot" and _kind(path) in RECORDS else None


def _kind(path: Path) -> str | None:
    class Header(msgspec.Struct):
        kind: str | None = None

    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MAX_BYTES + 1), type=Header).kind
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # whoever reads it as a snapshot says what is wrong with it


def _names(targets: list[Target]) -> list[str]:
    """Short names for the two sides: a file's stem, twelve figures of a digest, where that tells them apart."""
    short = [_short(target) for target in targets]
    if short[0] != short[1]:
        return short
    full = [str(t) for t in targets]
    return full if full[0] != full[1] else [f"{full[0]} (a)", f"{full[1]} (b)"]


def _short(target: Target) -> str:
    if target.kind == "snapshot":
        return Path(target.name).stem
    if target.kind == "image":
        return short_digest(target.name)
    return str(target)
