"""The drift in one sentence: what accuracy does, because of what, and who is suspected."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.report.drift import facts, lines, sentence

CAUSE = {
    "what": "initializer",
    "from": "glorot_uniform",
    "to": "he_normal",
    "suspects": ["keras 2.15.0 → 2.15.1", "b", "c", "d"],
}
ACCURACY = {"label": "drift", "difference": -0.0199, "interval90": [-0.0241, -0.0157]}


def test_drift_and_its_cause_are_one_sentence() -> None:
    """Difference, interval, cause and suspects, the first three of them."""
    found = sentence({"class": "default-changed", "accuracy": ACCURACY, "causes": [CAUSE]})
    assert found == (
        "accuracy -1.99 % (90 % interval -2.41 % to -1.57 %), because Dense's default initializer changed from "
        "glorot_uniform to he_normal; suspects: keras 2.15.0 → 2.15.1, b, c and 1 more"
    )


@pytest.mark.parametrize("label", ["equivalent", "inconclusive"])
def test_a_changed_default_is_said_whatever_accuracy_does(label: str) -> None:
    """No "because" where accuracy did not drift."""
    found = sentence({"class": "default-changed", "accuracy": {**ACCURACY, "label": label}, "causes": [CAUSE]})
    assert found is not None
    assert "because" not in found
    assert f"accuracy is {label}" in found


@pytest.mark.parametrize(
    "drift",
    [
        {"class": "bitwise", "causes": []},
        {"class": "rounding", "causes": [{**CAUSE, "what": "library"}]},
        {"class": "not-comparable", "accuracy": None},
        {"causes": "x"},
        {},
    ],
)
def test_nothing_is_said_where_no_default_changed(drift: dict[str, Any]) -> None:
    """Rounding, other draws and what cannot be compared have no such sentence; the other lines stand."""
    assert sentence(drift) is None
    assert "In short" not in {name for _, name, _ in facts(drift)}


def test_the_sentence_opens_the_lines() -> None:
    """It is the first line, and what comes from records cannot command a terminal."""
    cause = {**CAUSE, "to": "he\x1b[31m"}
    mark, name, text = lines({"class": "default-changed", "accuracy": ACCURACY, "causes": [cause]})[0]
    assert (mark, name) == ("error", "In short")
    assert "\x1b" not in text
