"""From probes, stages and configurations to the name of what changed, from what to what."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from doctor.canary import described
from doctor.canary.canonical import Plain, canonical, changes, snake
from doctor.canary.changes import same_versions
from doctor.canary.distance import KURTOSIS_THRESHOLD, PROBE_THRESHOLDS, STAGE_THRESHOLDS, Distances
from doctor.canary.draws import bits_used, kept_to
from doctor.canary.record import InitializerProbe, Record

# The scale of an initializer whose spread is within 3 % of it; the closest two (glorot and lecun here) are 11 % apart.
_SCALE_TOLERANCE = 0.03
_FLOAT32_BITS = 24
_BFLOAT16_PRECISION = 2.0**-8
_COARSEST = 2.0**-3
_ROUNDING = 0.01  # L2-relative; more than any number format loses of data of order one


class Cause(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One thing that changed: what, from what, to what, and the probes and stages that show it."""

    what: str
    from_: str
    to: str
    evidence: tuple[str, ...]
    suspects: tuple[str, ...] = ()


def changed_defaults(a: Record, b: Record, distances: Distances) -> list[Cause]:
    """Every default that changed, seeds first, as far as it can be named.

    A probe that fires names its default. A stage over its threshold with no probe behind it is named only by a
    configuration, or weights, that differ in that part; else it stays unexplained.
    """
    fired, exceeded = distances.fired(), distances.exceeded()
    # On other samples the output in training differs from that in inference whatever the layers do.
    believed = tuple(name for name in fired if name != "training" or "data.batch" not in fired)
    found = _seeds(a, b)
    precision = _precision(a, b, distances, fired, exceeded)
    if precision is not None:
        found.append(precision)
    probed = distances.initializer != ("draws",)
    # What rounds every number rounds the draws too.
    if "initializer" in fired and (probed or precision is None):
        seen = "probes.initializer" if probed else "stages.default.init"
        found.append(Cause("initializer", *_initializers(a, b, distances), evidence=(seen,)))
    for what, probes, describe in (
        ("optimizer", ("optimizer", "resting"), described.optimizers),
        ("loss", ("loss",), described.losses),
        ("layer", ("layer.relu", "layer.softmax", "layer.none", "identity", "training"), described.layers),
    ):
        evidence = tuple(f"probes.{name}" for name in probes if name in believed)
        configured = _configured(a, b, what, rounded=precision is not None)
        # In another precision every probe fires: only what is also configured otherwise is a cause of its own.
        if evidence and (precision is None or configured):
            found.append(Cause(what, *(configured or describe(a, b)), evidence=evidence))
    if not found and exceeded:
        found += _by_configuration(a, b, exceeded)
    if precision is None and same_versions(a.environment, b.environment):
        found += _told_only(a, b, {cause.what for cause in found})
    return found


def initializer_name(probe: InitializerProbe) -> str:
    """The family and scale that a layer's weights show: `glorot_uniform`, or what is nearest to it."""
    if not probe.sd or probe.kurtosis is None:
        return f"constant {probe.mean:g}" if probe.mean is not None else "not finite"
    fan_in, fan_out = probe.shape
    scales = {
        "glorot": math.sqrt(2.0 / (fan_in + fan_out)),
        "he": math.sqrt(2.0 / fan_in),
        "lecun": math.sqrt(1.0 / fan_in),
    }
    family = "uniform" if probe.kurtosis < 2.1 else "normal" if probe.kurtosis < 2.7 else "untruncated_normal"
    name, scale = min(scales.items(), key=lambda item: abs(probe.sd / item[1] - 1.0) if probe.sd else math.inf)
    ratio = probe.sd / scale
    if abs(ratio - 1.0) <= _SCALE_TOLERANCE:
        return f"{name}_{family}"
    return f"{family} of standard deviation {probe.sd:.3g} ({ratio:.3g} times {name}'s)"


def kept_bits(record: Record) -> int | None:
    """How many bits of its input a Dense with weight 1 keeps: 24 in float32, 11 in float16 and TF32, 8 in bfloat16."""
    errors = [abs(error) for error in record.probes.layer.identity if error is not None]
    worst = max(errors, default=0.0)
    if len(errors) < len(record.probes.layer.identity):
        return None
    if worst > _COARSEST:  # no number format: the layer does something else
        return None
    # Rounding to n bits errs by at most 2**-n of the value; eight irrational values come close to half of that or more.
    return min(_FLOAT32_BITS, math.floor(-math.log2(worst))) if worst else _FLOAT32_BITS


def _seeds(a: Record, b: Record) -> list[Cause]:
    honoured = a.probes.seed.honoured, b.probes.seed.honoured
    if all(honoured):
        return []
    names = [_seed_name(record) for record in (a, b)]
    return [Cause("seed", names[0], names[1], evidence=("probes.seed",))]


def _seed_name(record: Record) -> str:
    return record.probes.seed.fault or "honoured"


def _precision(
    a: Record, b: Record, distances: Distances, fired: tuple[str, ...], exceeded: tuple[str, ...]
) -> Cause | None:
    """Another number format, if numbers differ with it: by policy, floatx, output type, or bits lost on the way."""
    if not fired and not exceeded:
        return None
    evidence = tuple(f"probes.{name}" for name in fired if name.startswith(("layer", "identity"))) + exceeded[:1]
    for key in ("policy", "floatx"):
        first, second = (str(record.config.get(key)) for record in (a, b))
        if first != second:
            return Cause("precision", first, second, (f"config.{key}", *evidence))
    types = a.probes.layer.output_dtype, b.probes.layer.output_dtype
    if types[0] != types[1]:
        return Cause("precision", *types, evidence=("probes.layer.output_dtype", *evidence))
    stored = _stored(a, b, distances)
    if stored is not None:
        return stored
    if distances.probes["identity"] <= PROBE_THRESHOLDS["identity"]:
        return None
    bits = kept_bits(a), kept_bits(b)
    # A layer that scales or shifts its output loses bits of the identity too, but of every layer's result alike.
    if None in bits or bits[0] == bits[1] or not _rounds_only(a, b):
        return None
    return Cause("precision", f"{bits[0]} bits", f"{bits[1]} bits", ("probes.identity", *evidence))


def _stored(a: Record, b: Record, distances: Distances) -> Cause | None:
    """Given weights or samples that come back with fewer bits than they were handed over with."""
    if distances.pinned["init"] > STAGE_THRESHOLDS["init"]:
        given = a.stages.pinned.init.values(), b.stages.pinned.init.values()
        bits = kept_to(*given)
        if bits is not None:
            sides = ["weights as given", f"weights kept to {bits} bits"]
            if bits_used(given[0]) < bits_used(given[1]):
                sides.reverse()
            return Cause("precision", sides[0], sides[1], ("stages.pinned.init",))
    apart = [math.inf if one is None else one for one in (a.probes.data.samples, b.probes.data.samples)]
    if distances.probes["data.samples"] > PROBE_THRESHOLDS["data"] and max(apart) < _ROUNDING:
        words = [f"changed by {one:.2g} of their size" if one else "as given" for one in apart]
        return Cause("precision", f"samples {words[0]}", f"samples {words[1]}", ("probes.data.samples",))
    return None


def _rounds_only(a: Record, b: Record) -> bool:
    """Whether exact inputs (small integers) pass unharmed in both records: then only rounding was added."""
    exact = [
        (x, y)
        for x, y in zip(a.probes.layer.none, b.probes.layer.none, strict=False)
        if x is not None and y is not None
    ]
    whole = [(x, y) for x, y in exact if 0 < max(abs(x), abs(y)) <= 64 and (x == int(x) or y == int(y))]
    return bool(whole) and all(x == y for x, y in whole)


def _configured(a: Record, b: Record, what: str, rounded: bool = False) -> tuple[str, str] | None:
    """What two configurations say differently of one component, as words; None where they agree.

    `rounded`: numbers that are the same but for another number format do not count.
    """
    found = dict(changes(a.config.get(what), b.config.get(what)))
    if rounded:
        found = {key: values for key, values in found.items() if not _same_number(*values)}
    if what == "layer":
        for key in [key for key in found if key == "dtype" or key.endswith("_initializer")]:
            del found[key]
    if what == "optimizer":
        classes = a.config.get("optimizer_class"), b.config.get("optimizer_class")
        if classes[0] != classes[1] and None not in classes:
            # What only one of two classes has says nothing that the name does not.
            both = canonical(a.config.get(what)).keys() & canonical(b.config.get(what)).keys()
            found = {key: values for key, values in found.items() if key in both}
            found = {"class": (str(classes[0]), str(classes[1])), **found}
    if not found:
        return None
    return _settings(found, 0), _settings(found, 1)


def _same_number(x: Plain, y: Plain) -> bool:
    return isinstance(x, float) and isinstance(y, float) and abs(x - y) <= _BFLOAT16_PRECISION * max(abs(x), abs(y))


def _settings(found: dict[str, tuple[Plain, Plain]], side: int) -> str:
    return ", ".join(f"{key}={_shown(values[side])}" for key, values in found.items())


def _shown(value: Plain) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _initializers(a: Record, b: Record, distances: Distances) -> tuple[str, str]:
    weights = {*distances.initializer} - {"draws"} != {"bias"}
    key = "kernel_initializer" if weights else "bias_initializer"
    told = [_option(record.config.get("layer"), key) for record in (a, b)]
    if told[0] != told[1] and None not in told:
        return str(told[0]), str(told[1])
    if not weights:
        ranges = [record.probes.initializer.bias for record in (a, b)]
        return f"bias in {ranges[0]}", f"bias in {ranges[1]}"
    names = [initializer_name(record.probes.initializer) for record in (a, b)]
    if distances.draws is not None and names[0] == names[1]:
        return names[0], f"{names[0]}, {distances.draws}"
    if "limit" in distances.initializer and names[0] == names[1]:
        wide = (b.probes.initializer.max or 0.0) / (a.probes.initializer.max or 1.0)
        return names[0], f"{names[0]}, {wide:.4g} times as wide"
    width = _width(a.probes.initializer, b.probes.initializer)
    if width is not None:
        names[1] = f"{names[0]}, {width:.2f} times as wide"
    names = [
        name if record.probes.seed.varies or not record.probes.seed.honoured else f"{name} with a seed of its own"
        for name, record in zip(names, (a, b), strict=True)
    ]
    return names[0], names[1]


def _width(a: InitializerProbe, b: InitializerProbe) -> float | None:
    """How much wider b is than a, where it is of the same shape and of no known scale; None elsewhere."""
    if not a.sd or not b.sd or a.kurtosis is None or b.kurtosis is None:
        return None
    if abs(a.kurtosis - b.kurtosis) > KURTOSIS_THRESHOLD or " of standard deviation " not in initializer_name(b):
        return None
    return b.sd / a.sd


def _option(config: Any, key: str) -> str | None:
    value = config.get(key) if isinstance(config, dict) else None
    return snake(str(value)) if value is not None else None


def _told_only(a: Record, b: Record, named: set[str]) -> list[Cause]:
    """Settings that one and the same Keras tells differently, though this training does not show it.

    A constraint that never binds here does in a larger model. Between versions such words prove nothing.
    """
    found = []
    for what in ("optimizer", "loss", "layer"):
        configured = None if what in named else _configured(a, b, what)
        if configured is not None:
            found.append(Cause(what, *configured, evidence=(f"config.{what}",)))
    return found


def _by_configuration(a: Record, b: Record, exceeded: tuple[str, ...]) -> list[Cause]:
    found = []
    for what in ("layer", "loss", "optimizer"):
        configured = _configured(a, b, what)
        if configured is not None:
            evidence = (exceeded[0], f"config.{what}")
            found.append(Cause(what, *configured, evidence=evidence))
    layers = described.weights(a, b)
    if not found and layers is not None:
        found.append(Cause("layer", *layers, evidence=(exceeded[0], "config.weights")))
    return found
