"""When did it drift, and what changed then? The first run beyond tolerance, the run before, and their differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from doctor.canary.accuracy import TOLERANCE
from doctor.canary.verdict import compare_changes, compare_records
from doctor.case import Case
from doctor.changes import changes
from doctor.store import tables
from doctor.store.entry import bare_name
from doctor.store.opening import Store
from doctor.store.reading import Filter, Row, conditions, load_record_of, load_run, load_snapshot_of

_IMAGES = ("image", "container", "archive")
_OF_RUN = ("model", "optimizer", "device", "data_sha256", "weights_path")


class Point(msgspec.Struct, frozen=True):
    """One run in a series: only what finding a step needs."""

    id: int
    ran_at: Any
    accuracy: float
    accepted: bool
    environment_id: int
    comparable: tuple[Any, ...]


class Series(msgspec.Struct, frozen=True):
    """Runs that are held against each other, in order of time: one kind, subject, model, device and (mostly) host."""

    key: tuple[Any, ...]
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """The series for a person."""
        kind, subject, model, host, device = self.key
        what = f"training {model}" if kind == "training" else f"canary {subject}"
        return what + (f" ({device})" if device else "") + (f" on {host}" if host else "")


class Step(msgspec.Struct, frozen=True):
    """A drift: the first run beyond tolerance, the run before, and the run that set the level.

    ``lasted``: how many runs in a row, this one included, stayed beyond. ``ended``: a later run was not, or somebody
    accepted this one or a later one.
    """

    series: Series
    level: Point
    before: Point
    after: Point
    lasted: int
    ended: bool = False

    @property
    def difference(self) -> float:
        """Accuracy of the first run beyond, minus the level's."""
        return self.after.accuracy - self.level.accuracy


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


def find_steps(series: Series, tolerance: float = TOLERANCE) -> list[Step]:
    """Every drift of a series. The level is set by its first run, by each accepted run, and anew by each drift.

    A slow slide is found where it has added up to more than the tolerance, against the run that set the level.
    """
    steps: list[Step] = []
    level: Point | None = None
    before: Point | None = None
    for index, point in enumerate(series.points):
        if level is None or before is None or point.comparable != level.comparable:
            level = point
        elif _beyond(point, level, tolerance):
            later = series.points[index:]
            lasted = _lasting(later, level, tolerance)
            ended = lasted < len(later) or any(one.accepted for one in later)
            steps.append(Step(series, level, before, point, lasted, ended))
            level = point
        if point.accepted:
            level = point
        before = point
    return steps


def _beyond(point: Point, level: Point, tolerance: float) -> bool:
    return abs(point.accuracy - level.accuracy) > tolerance + 1e-9


def _lasting(points: Iterable[Point], level: Point, tolerance: float) -> int:
    count = 0
    for point in points:
        if point.comparable != level.comparable or not _beyond(point, level, tolerance):
            break
        count += 1
    return count


def explain(store: Store, step: Step, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """A drift as plain data: when, how much, and what changed between the run before and the first run beyond.

    Where those two ran in one and the same environment with the same inputs, the run that set the level is compared
    instead, and ``since`` says so.

    Raises:
        StoreError: the history cannot be read.
    """
    after = load_run(store, step.after.id)
    since, told = "run before", difference(store, load_run(store, step.before.id), after, tolerance)
    if not told["changes"] and step.level.id != step.before.id:
        since, told = "level", difference(store, load_run(store, step.level.id), after, tolerance)
    return {
        "series": step.series.name,
        "first_beyond": _told(step.after),
        "before": _told(step.before),
        "level": _told(step.level),
        "difference": round(step.difference, 6),
        "tolerance": tolerance,
        "runs_beyond": step.lasted,
        "since": since,
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


def _told(point: Point) -> dict[str, Any]:
    return {"run": point.id, "ran_at": point.ran_at, "accuracy": round(point.accuracy, 6)}
