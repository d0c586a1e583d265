"""One environment judged alone: seeds, nondeterminism between runs, and the distance to the float64 reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from doctor.canary.distance import STAGE_THRESHOLDS, bitwise_equal, first_divergence, measure
from doctor.canary.record import Record
from doctor.canary.statistics import mean, variance

# Largest seen by rounding, TensorFlow 2.4 to 2.21 on CPU: forward 1.0e-7, loss 5.2e-8, gradient 1.3e-7, update 3.6e-5;
# over whole epochs 6.5e-6.
REFERENCE_THRESHOLDS = {
    "forward": STAGE_THRESHOLDS["forward"],
    "loss": 1e-5,
    "gradient": STAGE_THRESHOLDS["gradient"],
    "update": STAGE_THRESHOLDS["update"],
}
TRAINING_THRESHOLD = STAGE_THRESHOLDS["final"]


def run_alone(record: Record, repeats: Sequence[Record] = ()) -> dict[str, Any]:
    """What a record says with no other environment beside it, as plain data for the rules.

    `repeats` are further runs in the same environment.

    Raises:
        DocumentError: the raw values of a record cannot be read.
    """
    return {
        "determinism": record.environment.determinism,
        "policy": record.config.get("policy"),
        "seed": {**msgspec.to_builtins(record.probes.seed), "fault": record.probes.seed.fault},
        "deviations": _deviations(record),
        "not_finite": msgspec.to_builtins(record.non_finite),
        "repeats": _repeats(record, repeats),
    }


def summary(record: Record, repeats: Sequence[Record] = ()) -> dict[str, Any]:
    """A run in a few lines: seeds, accuracy and its spread, hashes, seconds."""
    accuracies = [seed.accuracy for seed in record.seeds]
    return {
        "version": record.canary.version,
        "seeds": len(record.seeds),
        "epochs": len(record.stages.pinned.epochs),
        "runs": 1 + len(repeats),
        "device": record.environment.device,
        "determinism": record.environment.determinism,
        "accuracy": round(mean(accuracies), 6),
        "accuracy_sd": round(math.sqrt(variance(accuracies)), 6),
        "training_by": record.training.get("by"),
        "final_sha256": record.seeds[0].final_sha256,
        "pinned_sha256": record.stages.pinned.epochs[-1].weights_sha256,
        "seconds": record.timings.get("total"),
        "seconds_beyond_import": record.timings.get("beyond_import"),
    }


def _deviations(record: Record) -> list[dict[str, Any]]:
    """Every distance to the float64 reference with its threshold, in the order of the computation."""
    rows = [
        {"what": stage, "value": getattr(record.reference, stage), "threshold": threshold}
        for stage, threshold in REFERENCE_THRESHOLDS.items()
    ]
    if record.thorough is not None:
        rows += [
            {"what": f"epoch {number}", "value": value, "threshold": TRAINING_THRESHOLD}
            for number, value in enumerate(record.thorough.epochs, 1)
        ]
        rows += [
            {"what": f"training by {name}", "value": value, "threshold": TRAINING_THRESHOLD}
            for name, value in sorted(record.thorough.ways.items())
        ]
    for row in rows:
        row["exceeded"] = row["value"] is None or row["value"] > row["threshold"]
    return rows


def _repeats(record: Record, repeats: Sequence[Record]) -> dict[str, Any]:
    """How many runs differ from the first, where first, and by how much in the pinned arm."""
    others = [other for other in repeats if not bitwise_equal(record, other)]
    found: dict[str, Any] = {"runs": 1 + len(repeats), "differing": len(others)}
    if others:
        place = first_divergence(record, others[0])
        found["first_divergence"] = None if place is None else msgspec.to_builtins(place)
        largest = max(measure(record, other).pinned["final"] for other in others)
        found["final"] = float(f"{largest:.3g}") if math.isfinite(largest) else None
        accuracies = [mean([seed.accuracy for seed in one.seeds]) for one in (record, *repeats)]
        found["accuracy_range"] = [round(min(accuracies), 6), round(max(accuracies), 6)]
    return found
