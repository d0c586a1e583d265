"""Two targets side by side: what differs, what the rules say of each, and of the pair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from doctor.case import Case, Comparison
from doctor.changes import Change, changes
from doctor.diagnosis import join, named
from doctor.model.report import Note
from doctor.model.snapshot import Snapshot
from doctor.model.wire import load_snapshot
from doctor.scan import Request, look_at
from doctor.targets.words import Target, parse

RUNNABLE = ("host", "python")


@dataclass(frozen=True)
class Compared:
    """Two cases and their differences; ``notes`` say what was not looked at."""

    pair: Comparison
    changes: tuple[Change, ...]
    notes: tuple[Note, ...] = ()


def compare_targets(
    a: str, b: str, *, canary: bool = False, offline: bool = False, machine: Path | None = None
) -> Compared:
    """Look at two targets and put them side by side.

    Raises:
        TargetError: one of them cannot be looked at.
        DocumentError: one of them is a document that cannot be read.
    """
    targets = [parse(word) for word in (a, b)]
    names = _names(targets)
    other = load_snapshot(machine) if machine else None
    cases, notes = [], []
    for word, name in zip((a, b), names, strict=True):
        looked = look_at(Request(targets=(word,)), offline=offline, strict=True)
        snapshot: Snapshot = named(looked.snapshots[0], name)
        cases.append(Case(join(snapshot, other) if other else snapshot))
        notes += [Note(f"{name}: {note.what}", note.why) for note in looked.notes]
    if canary:
        notes.append(Note("canary", _why_no_canary(targets)))
    return Compared(Comparison(cases[0], cases[1]), changes(cases[0], cases[1]), tuple(notes))


def _names(targets: list[Target]) -> list[str]:
    """Short names for the two sides: a file's stem where it tells them apart."""
    short = [Path(t.name).stem if t.kind == "snapshot" else str(t) for t in targets]
    if short[0] != short[1]:
        return short
    full = [str(t) for t in targets]
    return full if full[0] != full[1] else [f"{full[0]} (a)", f"{full[1]} (b)"]


def _why_no_canary(targets: list[Target]) -> str:
    idle = [str(t) for t in targets if t.kind not in RUNNABLE]
    if idle:
        return f"not run: {', '.join(idle)} holds nothing that could be started"
    return "not run: this version compares facts; run 'kdoctor canary' in each and compare the records"
