"""What a probe that fired shows on each side, in words: by a known change where one fits, else by the numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from doctor.canary import adam, shapes
from doctor.canary.distance import PROBE_THRESHOLDS
from doctor.canary.record import Record


def optimizers(a: Record, b: Record) -> tuple[str, str]:
    """By what is known to change in Adam, else the first gradient that is answered otherwise."""
    known = [adam.setting(record.probes.optimizer.response) for record in (a, b)]
    if known[0] is not None and known[1] is not None and known[0] != known[1]:
        usual = known[0][0] or known[1][0]
        return known[0][1] or usual, known[1][1] or usual
    return _answers(a, b)


def _answers(a: Record, b: Record) -> tuple[str, str]:
    """The first gradient that is answered otherwise; gradients stand in pairs of both signs, 1e-12 to 1e3."""
    times = ("", " after 2 steps", " after 7 steps", " after 8 steps", " after 1000 steps", " when training ends")
    for when, first, second in zip(times, a.probes.optimizer.response, b.probes.optimizer.response, strict=False):
        for at in range(len(first) - 2, -1, -2):
            x, y = first[at], second[at]
            if x is None or y is None or abs(x - y) > PROBE_THRESHOLDS["optimizer"] * max(abs(x), abs(y)):
                words = f"for a gradient of {10.0 ** (at // 2 - 12):g}{when}"
                return f"{_value(x)} {words}", f"{_value(y)} {words}"
    resting = a.probes.optimizer.resting[0], b.probes.optimizer.resting[0]
    return f"{_value(resting[0])} where nothing pulls", f"{_value(resting[1])} where nothing pulls"


def losses(a: Record, b: Record) -> tuple[str, str]:
    """By reduction, clipping and scale, else the first fixed predictions whose loss is another one."""
    known = [shapes.loss(record.probes.loss) for record in (a, b)]
    if known[0] is not None and known[1] is not None and known[0] != known[1]:
        only = [[word for word in known[at] or () if word not in (known[1 - at] or ())] for at in (0, 1)]
        return ", ".join(only[0]) or "the cross-entropy", ", ".join(only[1]) or "the cross-entropy"
    pairs = list(zip(a.probes.loss, b.probes.loss, strict=False))
    x, y = next(((x, y) for x, y in pairs if x != y), (None, None))
    return f"loss {_value(x)} on fixed predictions", f"loss {_value(y)} on fixed predictions"


def layers(a: Record, b: Record) -> tuple[str, str]:
    """By the activation's name, the weights, or what only training does; else the first value that is another one."""
    for name in ("relu", "softmax", "none"):
        first, second = getattr(a.probes.layer, name), getattr(b.probes.layer, name)
        pair = next(((x, y) for x, y in zip(first, second, strict=False) if _apart(x, y)), None)
        if pair is None:
            continue
        known = shapes.activation(first), shapes.activation(second)
        if None not in known and known[0] != known[1]:
            return f"activation={known[0]}", f"activation={known[1]}"
        words = f"Dense({'activation=' + name if name != 'none' else ''}) gives"
        return f"{words} {_value(pair[0])}", f"{words} {_value(pair[1])}"
    return weights(a, b) or _training(a, b) or ("Dense passes its input on", "Dense changes its input")


def _apart(x: float | None, y: float | None) -> bool:
    return x is None or y is None or abs(x - y) > PROBE_THRESHOLDS["layer"] * max(1.0, abs(x), abs(y))


def weights(a: Record, b: Record) -> tuple[str, str] | None:
    """The shapes of the weights that only one side's model has."""
    told = [record.config.get("weights") for record in (a, b)]
    sides: list[list[Any]] = [one for one in told if isinstance(one, list)]
    if len(sides) < 2 or sides[0] == sides[1]:
        return None
    counts = [Counter("x".join(map(str, shape if isinstance(shape, list) else ())) for shape in side) for side in sides]
    words = [f"a model of {len(side)} weights" for side in sides]
    for at, extra in enumerate((counts[0] - counts[1], counts[1] - counts[0])):
        if extra:
            words[at] += f", with {', '.join(sorted(extra.elements())[:8])} more"
    return words[0], words[1]


def _training(a: Record, b: Record) -> tuple[str, str] | None:
    sides = [record.stages.pinned.inference for record in (a, b)]
    if _same(sides[0], sides[1]):
        return None
    words = [
        "outputs agree in training and inference"
        if side is not None and side <= PROBE_THRESHOLDS["training"]
        else f"outputs differ between training and inference by {_value(side)} of their size"
        for side in sides
    ]
    return words[0], words[1]


def _same(x: float | None, y: float | None) -> bool:
    return x is y or (x is not None and y is not None and abs(x - y) <= PROBE_THRESHOLDS["training"])


def _value(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.6g}"
