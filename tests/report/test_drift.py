"""Drift in words."""

from __future__ import annotations

import msgspec
import pytest

from doctor.model.report import Report
from doctor.report import drift, render
from doctor.report.context import Context

SCREEN = """\
Drift
  ✗ Mechanism     default-changed: a framework default changed
  ✗ Accuracy      drift: -0.0199 (90 % interval -0.0241 to -0.0157), 0.9290 → 0.9091; welch-t over
                  16 seeds, p = 2e-07, tolerance 0.01
  – First differs init, with own initial weights
  – Cause         initializer: glorot_uniform → he_normal; suspects: keras 2.15.0 → 2.15.1
  – Predictions   8.00% of the test samples get another class (5.00% between two seeds of the first)

Changes
"""


def test_the_screen_says_what_drifted_how_far_and_why(compared: Report) -> None:
    """Mechanism, accuracy with its interval and test, where it begins, causes with suspects; then what differs."""
    assert SCREEN in render("text", compared, Context())


def test_records_that_must_not_be_compared_say_why(compared: Report) -> None:
    """There is no accuracy then, only the reason."""
    found = {"class": "not-comparable", "accuracy": None, "causes": [], "reason": "other data", "stages": {}}
    lines = drift.lines(found)
    assert lines == [
        ("error", "Mechanism", "not-comparable: the two records must not be compared"),
        ("none", "Reason", "other data"),
    ]
    assert "– Reason        other data" in render("text", msgspec.structs.replace(compared, drift=found), Context())


@pytest.mark.parametrize(
    ("name", "mark"),
    [("bitwise", "ok"), ("rounding", "ok"), ("random-stream", "warning"), ("unexplained", "error"), ("new", "error")],
)
def test_a_class_that_is_not_known_is_never_good(name: str, mark: str) -> None:
    """Each class has its mark; one of a later version counts as bad."""
    assert drift.lines({"class": name})[0][0] == mark


def test_an_epoch_is_named() -> None:
    """Divergence within training names the epoch and the arm."""
    first = {"arm": "pinned", "stage": "epoch", "epoch": 2}
    assert drift.divergence_text(first) == "epoch 2, with given initial weights"
    assert drift.divergence_text({"arm": "default", "stage": "data", "epoch": None}) == "data"


def test_nothing_from_outside_acts_on_the_screen(hostile: Report) -> None:
    """Controls in causes and suspects are shown as escapes."""
    screen = render("text", hostile, Context())
    assert "\x1b" not in screen
    assert "\u202e" not in screen
    assert "##[" not in screen
