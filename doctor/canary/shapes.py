"""Activations and losses read off what they gave for known inputs, where no configuration names them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

Values = Sequence[float | None]

# The inputs of the payload's layer probe; its two units give x and -x/2 + 1/4.
POINTS = (-1e4, -50.0, -3.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 3.0, 50.0)
INPUTS = tuple((x, -0.5 * x + 0.25) for x in POINTS)
_FIT = 1e-5  # of the larger of the value and 1

_PROBABILITIES = (((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), ((0.7, 0.2, 0.1), (0.1, 0.2, 0.7)))
CASES = (
    (*_PROBABILITIES[0], *_PROBABILITIES[1]),
    _PROBABILITIES[1],
    _PROBABILITIES[0][:1],
    _PROBABILITIES[0][1:],
    ((1.4, 0.4, 0.2),),
)  # of the payload's loss probe; the right class is the first
_LOSS_FIT = 1e-5
_UNLIKELIEST = 1e-30


def activation(values: Values) -> str | None:
    """The name of the activation that gives these values at the probe's points; None where none is known that does."""
    if len(values) != 2 * len(POINTS) or None in values:
        return None
    found = [value for value in values if value is not None]
    plain = [x for pair in INPUTS for x in pair]
    for name, function in _ACTIVATIONS.items():
        if _near([function(x) for x in plain], found):
            return name
    slope = found[2 * POINTS.index(-1.0)]
    if -1.0 < slope < 0.0 and _near([x if x > 0 else -slope * x for x in plain], found):
        return f"leaky_relu({-slope:.3g})"
    return _softmax(found)


def _softmax(found: list[float]) -> str | None:
    """Softmax over the two units, of any temperature."""
    at = POINTS.index(-1.0)
    one, two = found[2 * at : 2 * at + 2]
    if one <= 0.0 or two <= 0.0 or one == two:
        return None
    x, y = INPUTS[at]
    temperature = (x - y) / math.log(one / two)
    if temperature <= 0.0 or not _near(list(_pairs(temperature)), found):
        return None
    return "softmax" if abs(temperature - 1.0) < _FIT else f"softmax of temperature {temperature:.4g}"


def _pairs(temperature: float) -> Iterator[float]:
    for x, y in INPUTS:
        share = _sigmoid((x - y) / temperature)
        yield from (share, 1.0 - share)


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x)) if x > -700 else 0.0


def _elu(x: float) -> float:
    return x if x > 0 else math.expm1(x)


_ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "tanh": math.tanh,
    "sigmoid": _sigmoid,
    "elu": _elu,
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "gelu": lambda x: 0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0))),
    "gelu (by tanh)": lambda x: 0.5 * x * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x * _sigmoid(x),
    "softplus": lambda x: x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x)),
    "softsign": lambda x: x / (1.0 + abs(x)),
}


def loss(values: Values) -> list[str] | None:
    """Reduction, clipping, scale of the cross-entropy that gives these values; None where none is known that does.

    The two words of the default are `reduction=sum_over_batch_size` and `epsilon=1e-07`.
    """
    if len(values) != len(CASES) or any(value is None or value <= 0.0 for value in values[3:]):
        return None
    found = [value for value in values if value is not None]
    for logits in (False, True):
        for reduction in ("sum_over_batch_size", "sum"):
            for scale in (1.0, _scale(found, reduction, logits)):
                epsilon = math.exp(-found[3] / scale) if scale > 0 and found[3] / scale < 60 else _UNLIKELIEST
                epsilon = float(f"{epsilon:.2g}")
                expected = [_cross_entropy(case, reduction, logits, epsilon) * scale for case in CASES]
                if _near(expected, found, _LOSS_FIT * 10):
                    return _words(reduction, logits, epsilon, scale)
    return None


def _scale(found: list[float], reduction: str, logits: bool) -> float:
    return found[4] / _cross_entropy(CASES[4], reduction, logits, 1e-7)


def _words(reduction: str, logits: bool, epsilon: float, scale: float) -> list[str]:
    words = [f"reduction={reduction}"]
    words += ["from_logits=True"] if logits else [f"epsilon={epsilon:g}"]
    return words + ([f"{scale:.4g} times the cross-entropy"] if abs(scale - 1.0) > _LOSS_FIT * 10 else [])


def _cross_entropy(case: Sequence[Sequence[float]], reduction: str, logits: bool, epsilon: float) -> float:
    total = 0.0
    for row in case:
        # Keras clips what it takes for probabilities and does not ask whether they add up to one.
        weights = [math.exp(one) if logits else min(max(one, epsilon), 1.0 - epsilon) for one in row]
        shares = [weight / sum(weights) for weight in weights]
        total -= math.log(shares[0])
    return total if reduction == "sum" else total / len(case)


def _near(expected: Sequence[float], found: Sequence[float], fit: float = _FIT) -> bool:
    return all(abs(x - y) <= fit * max(1.0, abs(x), abs(y)) for x, y in zip(expected, found, strict=True))
