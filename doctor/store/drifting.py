"""When did it drift, and what changed then? The first run beyond tolerance, the run before, and their differences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from doctor.canary.accuracy import TOLERANCE
from doctor.canary.verdict import compare_changes, compare_records
from doctor.case import Case
from doctor.changes import changes
from doctor.store import tables
from doctor.store.entry import bare_name
from doctor.store.opening import Store
from doctor.store.reading import Filter, Row, conditions, load_record_of, load_run, load_snapshot_of
from doctor.store.steps import Point, Series, Step

_MOST_MOVES = 5
_IMAGES = ("image", "container", "archive")
_OF_RUN = ("model", "optimizer", "device", "data_sha256", "weights_path")


def load_series(store: Store, wanted: Filter, *, across_hosts: bool = False) -> list[Series]:
    """The series of runs with an accuracy: canaries (alone, or in the gate) and trainings.

    ``across_hosts``: runs of one subject on several hosts are one series; those of an image are always.

    Raises:
        StoreError: the history cannot be read.
    """
    runs, accepted = tables.runs.c, sa.select(tables.references.c.run_id)
    columns = (runs.id, runs.ran_at, runs.accuracy, runs.environment_id, runs.kind, runs.subject, runs.subject_kind)
    query = (
        sa.select(
            *(*columns, runs.model, runs.host, runs.device, runs.data_sha256, runs.accuracy_metric),
            runs.id.in_(accepted).label("accepted"),
        )
        .join(tables.environments, tables.environments.c.id == runs.environment_id)
        .where(*conditions(wanted), runs.accuracy.is_not(None))
        .order_by(runs.ran_at, runs.id)
    )
    found: dict[tuple[Any, ...], list[Point]] = {}
    with store.reading() as connection:
        for row in connection.execute(query).mappings():
            training = row["kind"] == "training"
            host = None if across_hosts or row["subject_kind"] in _IMAGES else row["host"]
            subject = None if training else bare_name(row["subject"])
            key = ("training" if training else "canary", subject, row["model"], host, row["device"])
            # Other data make a canary's numbers incomparable; of a training they are one more thing that changed.
            comparable = (row["accuracy_metric"], None if training else row["data_sha256"])
            found.setdefault(key, []).append(
                Point(row["id"], row["ran_at"], row["accuracy"], row["accepted"], row["environment_id"], comparable)
            )
    return [Series(key, tuple(points)) for key, points in found.items()]


def explain(store: Store, step: Step, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """A drift as plain data: when, how much, and what changed between the run before and the first run beyond.

    Where those two ran in one and the same environment with the same inputs, the run that set the level is compared
    instead, and ``since`` says so.

    Raises:
        StoreError: the history cannot be read.
    """
    after = load_run(store, step.after.id)
    since, told = "run before", difference(store, load_run(store, step.before.id), after, tolerance)
    begun = step.level.point
    if not told["changes"] and begun.id != step.before.id:
        since, told = "level", difference(store, load_run(store, begun.id), after, tolerance)
    return {
        "series": step.series.name,
        "first_beyond": _told(step.after),
        "before": _told(step.before),
        "level": {**_told(begun), "accuracy": round(step.level.accuracy, 6)},
        "difference": round(step.difference, 6),
        "tolerance": tolerance,
        "runs_beyond": step.lasted,
        "passing": step.passing,
        "over": step.ended,
        "since": since,
        "environments": _environments(step) if since == "level" else [],
        **told,
    }


def difference(store: Store, a: Row, b: Row, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """What differs between two recorded runs, each as ``load_run`` gives it, with ``drift`` where both have records.

    Raises:
        StoreError: the history cannot be read.
    """
    found = _inputs(a, b)
    if a["environment_id"] != b["environment_id"]:
        sides = [Case(load_snapshot_of(store, run["environment_id"])) for run in (a, b)]
        found += changes(*sides)
    one, other = load_record_of(store, a), load_record_of(store, b)
    drift = None
    if one is not None and other is not None:
        known = {(row["what"], row["name"]) for row in found}
        found += [row for row in compare_changes(one, other) if (row["what"], row["name"]) not in known]
        drift = compare_records(one, other, tolerance)
    return {"changes": found, "drift": drift}


def _inputs(a: Row, b: Row) -> list[dict[str, Any]]:
    """What differs in what was trained: data, model, optimizer, hyperparameters."""
    found = [
        {"what": "run", "name": name, "a": a[name], "b": b[name]}
        for name in _OF_RUN
        if a[name] != b[name] and name in _comparable_columns(a, b)
    ]
    if a["kind"] == b["kind"] == "training":
        left, right = a["parameters"] or {}, b["parameters"] or {}
        found += [
            {"what": "parameter", "name": name, "a": left.get(name), "b": right.get(name)}
            for name in sorted(left.keys() | right.keys())
            if left.get(name) != right.get(name)
        ]
    return found


def _comparable_columns(a: Row, b: Row) -> Sequence[str]:
    """A canary's optimizer and data are told better by its record; a weights file is another one each time."""
    return ("model", "optimizer", "device", "data_sha256") if "training" in (a["kind"], b["kind"]) else ("device",)


def _environments(step: Step) -> list[dict[str, Any]]:
    """Where, between the run that began the level and the first beyond, the environment became another one."""
    points = step.series.points
    between = points[points.index(step.level.point) : points.index(step.after) + 1]
    moved = [(one, other) for one, other in pairwise(between) if one.environment_id != other.environment_id]
    return [{"before": one.id, **_told(other)} for one, other in moved[-_MOST_MOVES:]]


def _told(point: Point) -> dict[str, Any]:
    return {"run": point.id, "ran_at": point.ran_at, "accuracy": round(point.accuracy, 6)}
