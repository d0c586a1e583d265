"""The canary of two sides: run one after the other, or taken from saved records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from doctor.canary.record import Record
from doctor.canary.runs import Options, run_with, settle
from doctor.canary.series import series
from doctor.canary.start import Progress, Runner
from doctor.canary.verdict import compare_changes, compare_records
from doctor.changes import Change

# What only a record knows of its environment: what was replaced at run time, edited files, settings in force.
_ONLY_RECORDED = ("replaced", "source", "keras-json", "setting")
_SUSPECT_FACTS = ("tensorflow", "keras", "package", "library", "environment", "python", "base")
_DEFAULTS = ("initializer", "optimizer", "loss", "layer", "precision")
MOST_SUSPECTS = 8

Watch = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Side:
    """One of two environments: its name, and a saved record or what runs the canary there."""

    name: str
    record: Record | None = None
    runner: Runner | None = None


@dataclass(frozen=True)
class Drift:
    """Two records and the contract's ``drift`` between them."""

    a: Record
    b: Record
    facts: dict[str, Any]


def drift_between(a: Side, b: Side, options: Options, tolerance: float, watch: Watch) -> Drift:
    """Both records and their drift; more seeds are run on both sides while accuracy is inconclusive.

    A saved record has the seeds that it has: the other side runs as many, and no more. ``watch`` shows progress.

    Raises:
        CanaryError: a side has no record; the text names it.
        DocumentError: a record cannot be read.
    """
    if a.record is not None and b.record is not None:
        return Drift(a.record, b.record, compare_records(a.record, b.record, tolerance))
    saved = next((side.record for side in (a, b) if side.record is not None), None)
    seeds = options.seeds if saved is None else len(saved.seeds)

    def run(side: Side) -> Callable[[int], Record]:
        def at(count: int) -> Record:
            if side.runner is None:
                assert side.record is not None
                return side.record
            with watch(f"canary in {side.name}, {count} seeds") as progress:
                return run_with(side.runner, options, count, progress)

        return at

    first, second, drift = settle(run(a), run(b), seeds, None if saved is None else seeds, tolerance)
    return Drift(first, second, drift)


def explained(found: Drift, changes: Sequence[Change]) -> dict[str, Any]:
    """The drift with suspects for every changed default: where the records name none, what differs otherwise."""
    others = [
        f"{row['name']} {_shown(row['a'])} → {_shown(row['b'])}" for row in changes if row["what"] in _SUSPECT_FACTS
    ]
    causes = []
    for cause in found.facts["causes"]:
        lacking = cause["what"] in _DEFAULTS and not cause["suspects"]
        causes.append({**cause, "suspects": others[:MOST_SUSPECTS]} if lacking else cause)
    return {**with_series(found), "causes": causes}


def with_series(found: Drift) -> dict[str, Any]:
    """The drift with the numbers behind its plots."""
    return {**found.facts, "series": series(found.a, found.b)}


def recorded_changes(found: Drift) -> list[Change]:
    """The changes that no static look sees."""
    return [row for row in compare_changes(found.a, found.b) if row["what"] in _ONLY_RECORDED]


def _shown(value: Any) -> str:
    return "absent" if value is None else str(value)[:100]
