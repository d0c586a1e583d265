"""What Adam was set to, read off its answers: each known change by name, and nothing where nothing known fits."""

from __future__ import annotations

import math

import pytest

from doctor.canary.adam import FACTORS, FORMS, GRADIENTS, Adam, setting

Row = list[float | None]


def rows(adam: Adam, ending: float = 1.0) -> list[Row]:
    """A probe's record: both signs, the steps kept, and the end of training."""
    found: list[Row] = [[signed for value in row for signed in (value, -value)] for row in adam.answers()]
    return [*found, [None if value is None else value * ending for value in found[-1]]]


def test_the_documented_adam_is_known() -> None:
    """Two steps by hand, from Keras' documentation: the first is the learning rate wherever epsilon does not matter."""
    answers = Adam().answers()
    assert answers[0][-1] == pytest.approx(-1e-3, rel=1e-6)
    first, second = 0.1 * 0.9 + 0.5 * 0.1, 0.001 * 0.999 + 0.25 * 0.001
    step = 1e-3 * math.sqrt(1 - 0.999**2) / (1 - 0.9**2) * first / (math.sqrt(second) + 1e-7)
    at = GRADIENTS.index(1.0)
    assert answers[1][at] == pytest.approx(answers[0][at] - step, rel=1e-9)
    assert setting(rows(Adam())) == ("", "")
    assert len(FACTORS) == 8


@pytest.mark.parametrize(
    ("adam", "before", "after"),
    [
        (Adam(rate=2e-3), "learning_rate=0.001", "learning_rate=0.002"),
        (Adam(rate=1.001e-3), "learning_rate=0.001", "learning_rate=0.001001"),
        (Adam(epsilon=1e-8), "epsilon=1e-07", "epsilon=1e-08, or gradients 10 times as large"),
        (Adam(epsilon=1e-3), "epsilon=1e-07", "epsilon=0.001, or gradients 0.0001 times as large"),
        (Adam(late_rate=1e-4), "learning_rate=0.001 after 1000 steps", "learning_rate=0.0001 after 1000 steps"),
        *[(Adam(form=form), "Adam as documented", f"Adam: {form}") for form in FORMS],
    ],
)
def test_each_known_change_is_named(adam: Adam, before: str, after: str) -> None:
    """By its number where it is one."""
    assert setting(rows(adam)) == (before, after)


def test_an_average_at_the_end_of_training_is_named() -> None:
    """It shows in nothing else."""
    assert setting(rows(Adam(), ending=0.9)) == (
        "the last weights are kept",
        "an average replaces them when training ends",
    )


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [[0.0] * 32] * 6,
        [[None] * 32] * 6,
        [[1.0]] * 6,
        rows(Adam(beta_1=0.95)),
        rows(Adam(rate=2e-3, epsilon=1e-3)),
        rows(Adam(rate=2e-3), ending=0.9),
    ],
)
def test_what_is_not_known_is_not_named(answers: list[Row]) -> None:
    """No optimizer, lost numbers, other momenta, two changes at once."""
    assert setting(answers) is None
