"""Whether two records' accuracies differ, and which predictions changed; what made them differ is another question."""

from __future__ import annotations

from typing import Any

from doctor.canary.record import Record, Seed
from doctor.canary.statistics import MeanDifference, mean, paired_t, welch_t

TOLERANCE = 0.01
ALPHA = 0.01
ESCALATION = (16, 32, 64)  # seeds; in turn, while the label is inconclusive


def judge_accuracy(a: Record, b: Record, same_draws: bool, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """The contract's `drift.accuracy`: the difference b minus a, its 90 % interval, p, label and test.

    Seeds are paired where both sides start from the same weights, else Welch's test takes all of them. *Equivalent*:
    two one-sided tests at ±tolerance pass. *Drift*: the difference is larger than the tolerance and real (p < 1 %).
    """
    pairs = common_seeds(a, b)
    paired = same_draws and len(pairs) >= 2
    if paired:
        result = paired_t([one.accuracy for one, _ in pairs], [other.accuracy for _, other in pairs])
        means = mean([one.accuracy for one, _ in pairs]), mean([other.accuracy for _, other in pairs])
    else:
        values = [seed.accuracy for seed in a.seeds], [seed.accuracy for seed in b.seeds]
        result = welch_t(*values)
        means = mean(values[0]), mean(values[1])
    return {
        "a": round(means[0], 6),
        "b": round(means[1], 6),
        "difference": round(result.difference, 6),
        "interval90": [round(bound, 6) for bound in result.interval90],
        "p": float(f"{result.p:.3g}"),
        "label": label(result, tolerance),
        "test": result.test,
        "seeds": len(pairs) if paired else min(len(a.seeds), len(b.seeds)),
        "tolerance": tolerance,
    }


def label(result: MeanDifference, tolerance: float = TOLERANCE) -> str:
    """`equivalent`, `drift` or `inconclusive`."""
    if result.equivalent(tolerance):
        return "equivalent"
    real = result.p < ALPHA and abs(result.difference) > tolerance
    return "drift" if real else "inconclusive"


def next_seeds(seeds: int) -> int | None:
    """How many seeds to run where so many were inconclusive; None where more are not worth it."""
    return next((more for more in ESCALATION if more > seeds), None)


def common_seeds(a: Record, b: Record) -> list[tuple[Seed, Seed]]:
    """The seeds that both records have."""
    others = {seed.seed: seed for seed in b.seeds}
    return [(seed, others[seed.seed]) for seed in a.seeds if seed.seed in others]


def changed_predictions(a: Record, b: Record) -> dict[str, Any] | None:
    """The share of test samples predicted otherwise, overall and by right class.

    `between_seeds` is the share that already differs between two seeds of the first record: the yardstick where the
    draws are not the same. None where the records cannot say.

    Raises:
        DocumentError: predictions cannot be read.
    """
    pairs, labels = common_seeds(a, b), a.labels()
    rows = [(one.errors(), other.errors()) for one, other in pairs]
    if not rows or labels != b.labels() or any(len(side) != len(labels) for row in rows for side in row):
        return None
    totals, changed, right_a, right_b = ([0] * (max(labels) + 1) for _ in range(4))
    for one, other in rows:
        for truth, x, y in zip(labels, one, other, strict=True):
            totals[truth] += 1
            changed[truth] += x != y
            right_a[truth] += x == 0
            right_b[truth] += y == 0
    first, second = (seed.errors() for seed in a.seeds[:2])
    apart = sum(x != y for x, y in zip(first, second, strict=False))
    return {
        "changed": round(sum(changed) / sum(totals), 6),
        "between_seeds": round(apart / len(labels), 6),
        "classes": [
            {
                "class": at,
                "changed": round(changed[at] / total, 6),
                "a": round(right_a[at] / total, 6),
                "b": round(right_b[at] / total, 6),
            }
            for at, total in enumerate(totals)
            if total
        ],
    }
