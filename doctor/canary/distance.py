"""How far two canary records are apart, stage by stage and probe by probe; and what is still rounding.

The largest distance in ULP is a bad statistic (2e5 ULP on near-zero gradients at an L2-relative distance of 1.6e-7):
stages are compared by their L2 distance relative to the first record. All thresholds were measured, see each table.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence

import msgspec

from doctor.canary.draws import changed_how
from doctor.canary.record import Arm, InitializerProbe, Probes, Record
from doctor.errors import DocumentError

STAGES = ("forward", "gradient", "update", "final")
PINNED = ("init", *STAGES)  # the pinned arm's first weights are given: what differs there was changed when set

# L2-relative. Largest seen by rounding: 1.2e-7, 2e-7, 2e-5, 4e-6; smallest seen by a real change: 7e-4 (float16
# policy), 4e-2 (the same), 1e-2 (epsilon 1e-8), 3e-3 (amsgrad).
STAGE_THRESHOLDS = {"init": 1e-5, "forward": 1e-5, "gradient": 1e-5, "update": 1e-3, "final": 1e-4}

# Largest relative difference of one value. Optimizer: rounding up to 7e-6, amsgrad 8e-4, epsilon 0.9.
PROBE_THRESHOLDS = {
    "optimizer": 1e-4,
    "resting": 1e-6,
    "loss": 1e-5,
    "layer": 1e-5,
    "identity": 1e-6,
    "training": 1e-4,
    "data": 1e-7,
    "dtype": 0.5,
}
_ABSOLUTE = 1e-6  # below this a loss or activation of order one does not matter

# One layer of 15360 weights. Standard error of its spread 0.4 %, of a normal's kurtosis 0.04; the reach (largest value
# by spread) separates uniform (1.73) from truncated normal (2.29) and means nothing for unbounded distributions.
SPREAD_THRESHOLD = 0.03
KURTOSIS_THRESHOLD = 0.15
REACH_THRESHOLD = 0.15
BOUNDED_REACH = 2.6
UNIFORM_REACH = 1.76  # sqrt(3) and a little: the largest of so many uniform values is within 0.1 % of the limit
LIMIT_THRESHOLD = 0.005


class Divergence(msgspec.Struct, frozen=True):
    """The first place where two records are no longer bit for bit the same."""

    arm: str
    stage: str
    epoch: int | None = None


class Distances(msgspec.Struct, frozen=True):
    """Everything that is far or near between two records; infinite where a number is none in one of them only."""

    pinned: dict[str, float]
    default: dict[str, float]
    probes: dict[str, float]
    initializer: tuple[str, ...]
    same_draws: bool
    draws: str | None = None  # how the second draws follow from the first
    ways: tuple[str, ...] = ()  # of training, that only one of two thorough records finds near the reference

    def exceeded(self) -> tuple[str, ...]:
        """The stages over their thresholds, `stages.pinned.gradient`, in the order of the computation."""
        arms = [("pinned", self.pinned)] + ([("default", self.default)] if self.same_draws else [])
        stages = tuple(
            f"stages.{arm}.{stage}"
            for stage in PINNED
            for arm, stages in arms
            if stages.get(stage, 0.0) > STAGE_THRESHOLDS[stage]
        )
        return stages + tuple(f"thorough.{way}" for way in self.ways)

    def fired(self) -> tuple[str, ...]:
        """The probes over their thresholds; the initializer's carries what differs."""
        over = [name for name, value in self.probes.items() if value > PROBE_THRESHOLDS[name.partition(".")[0]]]
        return tuple(over) + (("initializer",) if self.initializer else ())


def measure(a: Record, b: Record) -> Distances:
    """The distances between two comparable records.

    Raises:
        DocumentError: raw values cannot be read, or are of another number.
    """
    default = _arm_distances(a.stages.default, b.stages.default)
    same_draws = default["init"] <= STAGE_THRESHOLDS["init"]
    pinned = _arm_distances(a.stages.pinned, b.stages.pinned)
    draws = changed_how(a.stages.default.init.values(), b.stages.default.init.values())
    return Distances(
        pinned={stage: pinned[stage] for stage in PINNED},
        default=default if same_draws else {"init": default["init"]},
        probes=_probe_distances(a, b),
        initializer=_initializer_differences(a.probes.initializer, b.probes.initializer)
        + _fixed_draws(a.probes, b.probes)
        + (("draws",) if draws is not None else ()),
        same_draws=same_draws,
        draws=draws,
        ways=_ways(a, b),
    )


def first_divergence(a: Record, b: Record) -> Divergence | None:
    """Where the two records part, by their hashes; None where no stage does."""
    if a.data_sha256 != b.data_sha256:
        return Divergence("default", "data")
    arms = [("default", a.stages.default, b.stages.default), ("pinned", a.stages.pinned, b.stages.pinned)]
    for stage in ("init", "forward", "gradient", "update"):
        for name, first, second in arms:
            if getattr(first, stage).sha256 != getattr(second, stage).sha256:
                return Divergence(name, stage)
    for name, first, second in arms:
        for number, (one, other) in enumerate(zip(first.epochs, second.epochs, strict=False), 1):
            if one.weights_sha256 != other.weights_sha256:
                return Divergence(name, "epoch", number)
    for name, first, second in arms:
        if first.final.sha256 != second.final.sha256:
            return Divergence(name, "final")
    return None


def bitwise_equal(a: Record, b: Record) -> bool:
    """Whether every hash and every probe is the same; of the seeds, those that both records have."""
    others = {seed.seed: seed for seed in b.seeds}
    if a.training.get("by") != b.training.get("by"):  # the loop and the stacked training round otherwise
        others = {}
    return (
        first_divergence(a, b) is None
        and a.probes == b.probes
        and (a.thorough is None or b.thorough is None or a.thorough == b.thorough)
        and all(
            seed.final_sha256 == others[seed.seed].final_sha256 and seed.predictions == others[seed.seed].predictions
            for seed in a.seeds
            if seed.seed in others
        )
    )


def relative(first: Sequence[float], second: Sequence[float]) -> float:
    """The L2 distance of two vectors relative to the first; infinite where only one of them is finite."""
    if len(first) != len(second):
        raise DocumentError("the records hold stages of different sizes; run the canary again")
    apart = math.sqrt(math.fsum((x - y) * (x - y) for x, y in zip(first, second, strict=True)))
    size = math.sqrt(math.fsum(x * x for x in first))
    if not math.isfinite(apart) or not math.isfinite(size):
        return math.inf
    return apart / size if size else apart


def _arm_distances(a: Arm, b: Arm) -> dict[str, float]:
    raw = {stage: (getattr(a, stage).values(), getattr(b, stage).values()) for stage in ("init", *STAGES)}
    found = {}
    for stage, (first, second) in raw.items():
        if first.tobytes() == second.tobytes():  # also where both hold the same NaN
            found[stage] = 0.0
        elif stage in ("update", "final"):
            found[stage] = relative(_moved(first, raw["init"][0]), _moved(second, raw["init"][1]))
        else:
            found[stage] = relative(first, second)
    return found


def _moved(later: array[float], earlier: array[float]) -> list[float]:
    if len(later) != len(earlier):
        raise DocumentError("a record holds stages of different sizes; run the canary again")
    return [x - y for x, y in zip(later, earlier, strict=True)]


def _ways(a: Record, b: Record) -> tuple[str, ...]:
    """The ways of training that are near the reference in one of two thorough records only."""
    if a.thorough is None or b.thorough is None:
        return ()
    sides = [
        {name: value is not None and value <= STAGE_THRESHOLDS["final"] for name, value in one.ways.items()}
        for one in (a.thorough, b.thorough)
    ]
    return tuple(sorted(name for name in sides[0] if sides[0][name] != sides[1].get(name, sides[0][name])))


def _probe_distances(one: Record, other: Record) -> dict[str, float]:
    a, b = one.probes, other.probes
    found = {
        "optimizer": max(map(_largest, a.optimizer.response, b.optimizer.response), default=0.0),
        "resting": _largest(a.optimizer.resting, b.optimizer.resting),
        "loss": _largest(a.loss, b.loss, _ABSOLUTE),
    }
    for activation in ("relu", "softmax", "none"):
        found[f"layer.{activation}"] = _largest(getattr(a.layer, activation), getattr(b.layer, activation), _ABSOLUTE)
    found["identity"] = max(_absolute(a.layer.identity, b.layer.identity), default=0.0)
    if len(a.optimizer.response) != len(b.optimizer.response):
        found["optimizer"] = math.inf
    found["training"] = _one(one.stages.pinned.inference, other.stages.pinned.inference)
    found["data.samples"], found["data.batch"] = _one(a.data.samples, b.data.samples), _one(a.data.batch, b.data.batch)
    found["dtype"] = float(a.layer.output_dtype != b.layer.output_dtype)
    return found


def _one(x: float | None, y: float | None) -> float:
    return max(_absolute((x,), (y,)))


def _largest(first: Sequence[float | None], second: Sequence[float | None], floor: float = 0.0) -> float:
    """The largest relative difference of two values, those closer than `floor` left out."""
    if len(first) != len(second):
        return math.inf
    worst = 0.0
    for x, y in zip(first, second, strict=True):
        if x is None or y is None:
            worst = worst if x is y else math.inf
        elif abs(x - y) > floor:
            worst = max(worst, abs(x - y) / max(abs(x), abs(y)))
    return worst


def _absolute(first: Sequence[float | None], second: Sequence[float | None]) -> Iterable[float]:
    for x, y in zip(first, second, strict=False):
        yield (0.0 if x is y else math.inf) if x is None or y is None else abs(x - y)


def _fixed_draws(a: Probes, b: Probes) -> tuple[str, ...]:
    """Whether one of two initializers has a seed of its own, where seeding itself works."""
    works = a.seed.honoured and b.seed.honoured
    return ("fixed",) if works and a.seed.varies != b.seed.varies else ()


def _initializer_differences(a: InitializerProbe, b: InitializerProbe) -> tuple[str, ...]:
    """What tells two initializers apart that do not draw the same numbers: spread, kurtosis, reach, bias."""
    if a.sha256 == b.sha256:
        return ()
    found = []
    if not a.sd or not b.sd or a.kurtosis is None or b.kurtosis is None or a.max is None or b.max is None:
        found += [] if (a.sd, a.kurtosis) == (b.sd, b.kurtosis) else ["spread"]
    else:
        reach = a.max / a.sd, b.max / b.sd
        if abs(b.sd / a.sd - 1.0) > SPREAD_THRESHOLD:
            found.append("spread")
        if abs(b.kurtosis - a.kurtosis) > KURTOSIS_THRESHOLD:
            found.append("kurtosis")
        if min(reach) < BOUNDED_REACH and abs(reach[0] - reach[1]) > REACH_THRESHOLD:
            found.append("reach")
        if max(reach) < UNIFORM_REACH and abs(b.max / a.max - 1.0) > LIMIT_THRESHOLD:
            found.append("limit")
        if abs((a.mean or 0.0) - (b.mean or 0.0)) > 6.0 * a.sd / math.sqrt(a.shape[0] * a.shape[1]) * math.sqrt(2.0):
            found.append("mean")
    if a.bias is not None and b.bias is not None and _largest(a.bias, b.bias, 1e-7) > SPREAD_THRESHOLD:
        found.append("bias")
    return tuple(found)
