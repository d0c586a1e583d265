"""The verdict on two records: the class speaks of the mechanism, the accuracy label is independent of it."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from doctor.canary import distance
from doctor.canary.accuracy import TOLERANCE, changed_predictions, judge_accuracy
from doctor.canary.causes import Cause, changed_defaults
from doctor.canary.changes import Change, environment_changes, other_hardware, same_versions, suspects
from doctor.canary.distance import Distances, Divergence
from doctor.canary.hints import hints
from doctor.canary.kinship import alike
from doctor.canary.record import Record

CLASSES = (
    "bitwise",
    "rounding",
    "random-stream",
    "default-changed",
    "unexplained",
    "seed-ignored",
    "not-comparable",
)


def compare_records(a: Record, b: Record, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """The contract's `drift`: record a is before or here, record b after or there.

    Raises:
        DocumentError: the raw values of a record cannot be read.
    """
    reason = incomparable(a, b)
    if reason is not None:
        same_data = a.data_sha256 == b.data_sha256
        return _drift("not-comparable", None if same_data else Divergence("default", "data"), reason=reason)
    distances = distance.measure(a, b)
    changes = environment_changes(a.environment, b.environment)
    causes = changed_defaults(a, b, distances)
    name = _class(a, b, distances, causes)
    causes += _mechanical(name, a, b)
    return _drift(
        name,
        distance.first_divergence(a, b),
        accuracy=judge_accuracy(a, b, distances.same_draws, tolerance),
        causes=[msgspec.structs.replace(cause, suspects=tuple(suspects(cause.what, changes))) for cause in causes],
        distances=distances,
        predictions=changed_predictions(a, b),
        hints=hints(a, b, distances) if name == "unexplained" else None,
        not_finite={"a": msgspec.to_builtins(a.non_finite), "b": msgspec.to_builtins(b.non_finite)},
    )


def compare_changes(a: Record, b: Record) -> list[dict[str, Any]]:
    """The contract's `changes`: what differs between the two environments."""
    return [msgspec.to_builtins(change) for change in _changes(a, b)]


def _changes(a: Record, b: Record) -> list[Change]:
    return environment_changes(a.environment, b.environment)


def incomparable(a: Record, b: Record) -> str | None:
    """Why two records must not be compared; None where they may."""
    if a.canary.version != b.canary.version:
        return f"canary versions {a.canary.version} and {b.canary.version} differ; run the older one again"
    if a.data_sha256 != b.data_sha256:
        return (
            "the records were measured on different data; a NumPy that computes integers otherwise, or an edited canary"
        )
    if not alike(a.canary, b.canary):
        return "the records were measured by different canary code; run both with one kdoctor"
    if len(a.stages.pinned.epochs) != len(b.stages.pinned.epochs):
        return "the records have a different number of epochs; run both with one kdoctor"
    return None


def _class(a: Record, b: Record, distances: Distances, causes: list[Cause]) -> str:
    if not (a.probes.seed.honoured and b.probes.seed.honoured):
        return "seed-ignored"
    if distance.bitwise_equal(a, b) and not causes:
        return "bitwise"
    if distances.fired() or distances.exceeded() or causes:
        return "default-changed" if causes else "unexplained"
    return "rounding" if distances.same_draws else "random-stream"


def _mechanical(name: str, a: Record, b: Record) -> list[Cause]:
    """The cause of a difference that is no changed default: hardware or libraries, or another stream of draws."""
    if name == "random-stream":
        return [Cause("random-stream", "one sequence of draws", "another one", ("stages.default.init",))]
    if name != "rounding":
        return []
    changes = _changes(a, b)
    what = "library"
    # Hardware is named only where it is the one thing that can have done it.
    if other_hardware(a.environment, b.environment) and same_versions(a.environment, b.environment):
        what = "hardware"
    said = [change for change in changes if suspects(what, [change])]
    if not said:
        return []
    first, second = (", ".join(_side(change, side) for change in said[:3]) for side in ("a", "b"))
    return [Cause(what, first, second, ("stages",))]


def _side(change: Change, side: str) -> str:
    value = getattr(change, side)
    if isinstance(value, list | tuple):
        value = "/".join(map(str, value)) or "none"
    return f"{change.name} {'unset' if value is None else value}"[:120]


def _drift(
    name: str,
    divergence: Divergence | None,
    *,
    accuracy: dict[str, Any] | None = None,
    causes: list[Cause] | None = None,
    distances: Distances | None = None,
    predictions: dict[str, Any] | None = None,
    not_finite: dict[str, Any] | None = None,
    hints: list[str] | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "class": name,
        "accuracy": accuracy,
        "first_divergence": msgspec.to_builtins(divergence) if divergence is not None else None,
        "causes": [msgspec.to_builtins(cause) for cause in causes or []],
        "stages": {},
    }
    if reason is not None:
        found["reason"] = reason
    if distances is not None:
        found["stages"] = {"pinned": _rounded(distances.pinned), "default": _rounded(distances.default)}
        found["probes"] = _rounded(distances.probes)
        found["fired"] = [f"probes.{name}" for name in distances.fired()]
        found["exceeded"] = list(distances.exceeded())
    if predictions is not None:
        found["predictions"] = predictions
    if hints is not None:
        found["hints"] = hints
    if not_finite is not None and any(not_finite.values()):
        found["not_finite"] = not_finite
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return plain


def _rounded(values: dict[str, float]) -> dict[str, float | None]:
    """Distances to three digits; None where one of the two records holds no number."""
    return {key: float(f"{value:.3g}") if math.isfinite(value) else None for key, value in values.items()}
