"""What a person would rather look at than read: the accuracies, losses and initial weights of two records."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from doctor.canary.record import Record

BINS = 40


def series(a: Record, b: Record) -> dict[str, Any]:
    """The numbers behind the plots of a drift, as plain data; a side without numbers has an empty list.

    ``accuracy``: pairs of seed and accuracy. ``loss``: for each epoch the mean, least and greatest over the seeds.
    ``weights``: how many initial weights of the first seed lie between two edges, zeros (biases) left out.

    Raises:
        DocumentError: the raw values of a record cannot be read.
    """
    return {
        "accuracy": {side: [[s.seed, round(s.accuracy, 6)] for s in r.seeds] for side, r in (("a", a), ("b", b))},
        "loss": {"a": _losses(a), "b": _losses(b)},
        "weights": _weights(a, b),
    }


def _losses(record: Record) -> list[list[float]]:
    rows = []
    for epoch in zip(*(seed.epochs for seed in record.seeds), strict=False):
        values = _finite(one.loss if one.loss is not None else one.nll for one in epoch)
        if values:
            rows.append([round(v, 6) for v in (sum(values) / len(values), min(values), max(values))])
    return rows


def _weights(a: Record, b: Record) -> dict[str, Any]:
    sides = [[v for v in _finite(record.stages.default.init.values()) if v != 0.0] for record in (a, b)]
    both = sides[0] + sides[1]
    if not both or min(both) == max(both):
        return {"edges": [], "a": [], "b": []}
    low, width = min(both), (max(both) - min(both)) / BINS
    counts = [[0] * BINS, [0] * BINS]
    for side, values in zip(counts, sides, strict=True):
        for value in values:
            side[min(BINS - 1, int((value - low) / width))] += 1
    return {"edges": [round(low + width * n, 6) for n in range(BINS + 1)], "a": counts[0], "b": counts[1]}


def _finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]
