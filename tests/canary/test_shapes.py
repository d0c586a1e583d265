"""Activations and losses by what they gave, and draws by what they were made of."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable

import pytest

from doctor.canary.draws import bits_used, changed_how, kept_to
from doctor.canary.shapes import CASES, INPUTS, activation, loss


def plain(function: Callable[[float], float]) -> list[float | None]:
    """What a layer gives that applies a function to each unit."""
    return [function(x) for pair in INPUTS for x in pair]


def softmax(temperature: float) -> list[float | None]:
    """What a softmax over the two units gives, of the larger exponent first."""
    found: list[float | None] = []
    for pair in INPUTS:
        weights = [math.exp((x - max(pair)) / temperature) for x in pair]
        found += [weight / sum(weights) for weight in weights]
    return found


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (plain(lambda x: x), "linear"),
        (plain(lambda x: max(x, 0.0)), "relu"),
        (plain(lambda x: min(max(x, 0.0), 6.0)), "relu6"),
        (plain(lambda x: x if x > 0 else 0.2 * x), "leaky_relu(0.2)"),
        (plain(math.tanh), "tanh"),
        (plain(lambda x: x if x > 0 else math.expm1(x)), "elu"),
        (plain(lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2)))), "gelu"),
        (softmax(1.0), "softmax"),
        (softmax(1.25), "softmax of temperature 1.25"),
        (plain(lambda x: 1.01 * x), None),
        ([0.0] * 20, None),
        ([None] * 20, None),
        ([], None),
    ],
)
def test_activations_are_told_by_their_values(values: list[float | None], name: str | None) -> None:
    """At ten points of two units; a layer that only scales has no name."""
    assert activation(values) == name


def entropy(reduction: str = "mean", epsilon: float = 1e-7, scale: float = 1.0) -> list[float | None]:
    """The cross-entropy of the right class, clipped as Keras does."""
    found: list[float | None] = []
    for case in CASES:
        clipped = [[min(max(value, epsilon), 1 - epsilon) for value in row] for row in case]
        losses = [-math.log(row[0] / sum(row)) for row in clipped]
        found.append(scale * (sum(losses) if reduction == "sum" else sum(losses) / len(losses)))
    return found


def test_the_loss_measured_in_real_environments_is_the_documented_one() -> None:
    """TensorFlow 2.12 and 2.21 on fixed predictions."""
    measured = [4.694338798522949, 1.3296300172805786, 2.3841855067985307e-07, 16.11809539794922, 0.47000372409820557]
    assert loss(measured) == ["reduction=sum_over_batch_size", "epsilon=1e-07"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (entropy(), ["reduction=sum_over_batch_size", "epsilon=1e-07"]),
        (entropy("sum"), ["reduction=sum", "epsilon=1e-07"]),
        (entropy(epsilon=1e-4), ["reduction=sum_over_batch_size", "epsilon=0.0001"]),
        (entropy(scale=1.02), ["reduction=sum_over_batch_size", "epsilon=1e-07", "1.02 times the cross-entropy"]),
        ([1.0, 2.0, 3.0, 4.0, 5.0], None),
        ([None] * 5, None),
        ([0.0] * 5, None),
        ([], None),
    ],
)
def test_losses_are_told_by_their_values(values: list[float | None], words: list[str] | None) -> None:
    """Reduction, clipping and scale; what is no cross-entropy has no words."""
    assert loss(values) == words


FIRST = [random.Random(1).uniform(-1, 1) * (n + 1) / 400 for n in range(400)]
NUMBERS = random.Random(2)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (FIRST, None),
        ([x * (1 + 1e-7) for x in FIRST], None),
        ([x * 1.0005 for x in FIRST], "1.0005 times as wide"),
        ([x + 0.125 for x in FIRST], "shifted by 0.125"),
        ([x * (1 + 2.0**-9.5 * (-1) ** n) for n, x in enumerate(FIRST)], "kept to 9 bits"),
        ([x if n % 20 else 0.0 for n, x in enumerate(FIRST)], "changed by 0.22 of their size"),
        ([NUMBERS.uniform(-1, 1) for _ in FIRST], None),
        ([float("nan")] * 400, None),
        ([0.0] * 400, None),
        ([], None),
    ],
)
def test_draws_that_follow_from_others_are_told(second: list[float], words: str | None) -> None:
    """Scaled, shifted, rounded or masked; other draws of the same family follow from nothing."""
    assert changed_how(FIRST, second) == words


def test_what_was_rounded_before_is_told_the_right_way_round() -> None:
    """By the length of the significands: the short ones are the rounded ones."""
    single = list(array("f", FIRST))
    short = [math.ldexp(round(math.ldexp(math.frexp(x)[0], 8)), math.frexp(x)[1] - 8) for x in single]
    assert (bits_used(short), bits_used(single)) == (8, 24)
    assert changed_how(single, short) == "kept to 8 bits"
    assert changed_how(short, single) == "no longer kept to 8 bits"


def test_bits_are_counted_only_where_numbers_were_rounded() -> None:
    """Equal numbers lost nothing; what is far off, or was zero, was not rounded."""
    assert kept_to([1.0, 3.0], [1.0, 3.0]) is None
    assert kept_to([1.0, 3.0], [1.0, 3.0 + 3 * 2.0**-12]) == 12
    assert kept_to([1.0, 3.0], [1.0, 4.0]) is None
    assert kept_to([0.0, 3.0], [1e-9, 3.0]) is None
