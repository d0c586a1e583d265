"""Student's t without scipy, held against published tables."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctor.canary.statistics import incomplete_beta, mean, paired_t, t_quantile, t_two_sided, variance, welch_t


@pytest.mark.parametrize(
    ("probability", "freedom", "t"),
    [  # Abramowitz and Stegun, table 26.10, and NIST's engineering handbook, section 1.3.6.7.2
        (0.95, 1, 6.314),
        (0.95, 5, 2.015),
        (0.95, 15, 1.753),
        (0.975, 10, 2.228),
        (0.975, 30, 2.042),
        (0.995, 15, 2.947),
        (0.995, 63, 2.656),
        (0.999, 3, 10.215),
    ],
)
def test_quantiles_are_those_of_the_published_tables(probability: float, freedom: float, t: float) -> None:
    """To the three decimals that the tables have."""
    assert t_quantile(probability, freedom) == pytest.approx(t, abs=6e-4)


def test_one_and_two_degrees_of_freedom_have_closed_forms() -> None:
    """The distribution is arctan at one degree of freedom, and algebraic at two."""
    for t in (0.01, 0.5, 1.0, 3.7, 40.0, 1e4):
        assert t_two_sided(t, 1) == pytest.approx(1 - 2 * math.atan(t) / math.pi, rel=1e-9)
        assert t_two_sided(t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-7)


def test_very_small_probabilities_keep_their_digits() -> None:
    """A p of 1e-20 is not rounded to zero."""
    assert t_two_sided(40.0, 15) == pytest.approx(1.2e-16, rel=0.2)
    assert 0 < t_two_sided(1e3, 15) < 1e-35


@given(st.floats(0.1, 200), st.floats(0.1, 200), st.floats(1e-6, 1 - 1e-6))
def test_the_incomplete_beta_function_is_a_distribution(a: float, b: float, x: float) -> None:
    """Between 0 and 1, and symmetric: I_x(a, b) + I_1-x(b, a) = 1."""
    value = incomplete_beta(a, b, x)
    assert -1e-12 <= value <= 1 + 1e-12
    assert value + incomplete_beta(b, a, 1 - x) == pytest.approx(1.0, abs=1e-9)


@given(st.floats(0.5, 0.9999), st.floats(1, 500))
def test_quantile_and_tail_undo_each_other(probability: float, freedom: float) -> None:
    """The tail beyond a quantile is what was asked for."""
    assert 1 - t_two_sided(t_quantile(probability, freedom), freedom) / 2 == pytest.approx(probability, abs=1e-9)


def test_both_tests_agree_with_scipy() -> None:
    """On twenty random pairs of samples, to nine digits."""
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed; the tables above were checked")
    numbers = random.Random(5)
    for _ in range(20):
        a = [numbers.gauss(0.93, 0.01) for _ in range(16)]
        b = [numbers.gauss(0.92, 0.02) for _ in range(16)]
        assert paired_t(a, b).p == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-9)
        assert welch_t(a, b).p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, rel=1e-9)


def test_a_worked_paired_example() -> None:
    """Student's own sleep data (1908): t = 4.0621, p = 0.00283, with nine degrees of freedom."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    result = paired_t(first, second)
    assert result.difference == pytest.approx(1.58)
    assert result.p == pytest.approx(0.00283, abs=1e-5)
    assert welch_t(first, second).p == pytest.approx(0.07939, abs=1e-5)


def test_where_nothing_varies_a_difference_is_certain() -> None:
    """No division by zero: equal constants are the same for sure, unequal ones differ for sure."""
    assert paired_t([0.9] * 4, [0.9] * 4).p == 1.0
    certain = paired_t([0.5] * 4, [0.75] * 4)
    assert (certain.p, certain.interval90) == (0.0, (0.25, 0.25))
    assert welch_t([0.5] * 4, [0.75] * 4).p == 0.0


def test_mean_and_variance() -> None:
    """Exactly rounded, and unbiased."""
    assert mean([0.1] * 10) == 0.1
    assert variance([1.0, 2.0, 3.0, 4.0]) == pytest.approx(5 / 3)


def test_a_quantile_below_the_middle_is_refused() -> None:
    """Only the upper half is implemented, and says so."""
    with pytest.raises(ValueError, match=r"at least 0\.5"):
        t_quantile(0.2, 5)
