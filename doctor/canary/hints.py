"""What is seen of a difference that no default explains: steps, batches, the factor of a stage."""

from __future__ import annotations

import math
from collections.abc import Iterator

from doctor.canary.distance import PROBE_THRESHOLDS, STAGE_THRESHOLDS, Distances
from doctor.canary.record import Record

_FOLLOWED = ("forward", "gradient")  # stages that a factor can run through; later ones are no longer proportional


def hints(a: Record, b: Record, distances: Distances) -> list[str]:
    """What a person should know who looks for the cause, in words; evidence, not a verdict."""
    return list(_hints(a, b, distances))


def _hints(a: Record, b: Record, distances: Distances) -> Iterator[str]:
    steps = a.stages.pinned.steps, b.stages.pinned.steps
    if None not in steps and steps[0] != steps[1]:
        yield f"{steps[1]} optimizer steps for {steps[0]}"
    if distances.probes["data.samples"] > PROBE_THRESHOLDS["data"]:
        yield "TensorFlow's copy of the samples is not what it was given"
    elif distances.probes["data.batch"] > PROBE_THRESHOLDS["data"]:
        yield "the first batch holds other samples, or in another order"
    for stage in _FOLLOWED:
        apart = distances.pinned[stage]
        if STAGE_THRESHOLDS[stage] < apart < math.inf:
            first, second = (list(getattr(one.stages.pinned, stage).values()) for one in (a, b))
            size = math.fsum(x * x for x in first)
            factor = math.fsum(x * y for x, y in zip(first, second, strict=True)) / size
            rest = math.sqrt(math.fsum((y - factor * x) ** 2 for x, y in zip(first, second, strict=True)) / size)
            if rest < 0.01 * abs(factor - 1.0):
                yield f"the {stage} is {factor:.6g} times the other"
            return
