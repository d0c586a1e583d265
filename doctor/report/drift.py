"""The drift between two environments in words: what the mechanism is, what accuracy does, where it begins, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from doctor.report import sanitize
from doctor.report.verdicts import short_digest

CLASSES = {
    "bitwise": "bit for bit the same",
    "rounding": "differs by rounding only",
    "random-stream": "other random draws from the same distribution",
    "default-changed": "a framework default changed",
    "unexplained": "more than rounding, and no default that would explain it",
    "seed-ignored": "a seed is ignored",
    "not-comparable": "the two records must not be compared",
}
MARKS = {
    "bitwise": "ok",
    "rounding": "ok",
    "random-stream": "warning",
    "equivalent": "ok",
    "inconclusive": "warning",
}

_DEFAULTS = ("initializer", "optimizer", "loss", "layer", "precision")
_MOST_SUSPECTS = 3
SHORT = "In short"


def facts(drift: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Mark (ok, warning, error, none), name and text of each line, not yet sanitised."""
    name = str(drift.get("class"))
    short = sentence(drift)
    if short is not None:
        yield "error", SHORT, short
    if drift.get("subject"):
        yield "none", "Of", f"{short_digest(str(drift['subject']))}, held against the accepted reference"
    yield MARKS.get(name, "error"), "Mechanism", f"{name}: {CLASSES.get(name, 'not a class that is known here')}"
    if drift.get("reason"):
        yield "none", "Reason", str(drift["reason"])
    accuracy = drift.get("accuracy")
    if isinstance(accuracy, Mapping):
        yield MARKS.get(str(accuracy.get("label")), "error"), "Accuracy", accuracy_text(accuracy)
    first = drift.get("first_divergence")
    if isinstance(first, Mapping):
        yield "none", "First differs", divergence_text(first)
    for cause in drift.get("causes") or ():
        if isinstance(cause, Mapping):
            yield "none", "Cause", cause_text(cause)
    predictions = drift.get("predictions")
    if isinstance(predictions, Mapping) and _number(predictions.get("changed")) is not None:
        between = _number(predictions.get("between_seeds"))
        beside = "" if between is None else f" ({between:.2%} between two seeds of the first)"
        yield "none", "Predictions", f"{predictions['changed']:.2%} of the test samples get another class{beside}"


def sentence(drift: Mapping[str, Any]) -> str | None:
    """What accuracy does and because of what, with the first suspects; None where no default changed.

    ``accuracy -1.99 % (90 % interval -2.41 % to -1.57 %), because the default initializer changed from glorot_uniform
    to he_normal; suspects: keras 2.15.0 → 2.15.1``.
    """
    causes = [c for c in drift.get("causes") or () if isinstance(c, Mapping) and c.get("what") in _DEFAULTS]
    if not causes:
        return None
    changed = " and ".join(f"{_default(c)} changed from {c.get('from')} to {c.get('to')}" for c in causes)
    accuracy = drift.get("accuracy")
    label = accuracy.get("label") if isinstance(accuracy, Mapping) else None
    if isinstance(accuracy, Mapping) and label == "drift":
        text = f"accuracy {_percent(accuracy.get('difference'))}{_interval(accuracy)}, because {changed}"
    else:
        said = {"equivalent": "accuracy is equivalent", "inconclusive": "accuracy is inconclusive"}
        text = f"{changed}; {said.get(str(label), 'accuracy was not compared')}"
    suspects = list(dict.fromkeys(str(one) for c in causes for one in c.get("suspects") or ()))
    more = f" and {len(suspects) - _MOST_SUSPECTS} more" if len(suspects) > _MOST_SUSPECTS else ""
    return text + (f"; suspects: {', '.join(suspects[:_MOST_SUSPECTS])}{more}" if suspects else "")


def _default(cause: Mapping[str, Any]) -> str:
    what = cause.get("what")
    if what == "precision":
        return "the precision"
    return "Dense's default initializer" if what == "initializer" else f"the default {what}"


def _interval(accuracy: Mapping[str, Any]) -> str:
    bounds = accuracy.get("interval90")
    if not isinstance(bounds, (list, tuple)) or len(bounds) != 2:
        return ""
    return f" (90 % interval {_percent(bounds[0])} to {_percent(bounds[1])})"


def _percent(value: Any) -> str:
    number = _number(value)
    return "not known" if number is None else f"{100 * number:+.2f} %"


def accuracy_text(accuracy: Mapping[str, Any]) -> str:
    """``drift: -0.0199 (90 % interval -0.0241 to -0.0157), 0.9290 → 0.9091; paired-t over 16 seeds, …``."""
    parts = f"{accuracy.get('label')}: {_signed(accuracy.get('difference'))}"
    interval = accuracy.get("interval90")
    if isinstance(interval, (list, tuple)) and len(interval) == 2:
        parts += f" (90 % interval {_signed(interval[0])} to {_signed(interval[1])})"
    a, b = _number(accuracy.get("a")), _number(accuracy.get("b"))
    if a is not None and b is not None:
        parts += f", {a:.4f} → {b:.4f}"
    p = _number(accuracy.get("p"))
    test = f"{accuracy.get('test')} over {accuracy.get('seeds')} seeds" + ("" if p is None else f", p = {p:.2g}")
    return f"{parts}; {test}, tolerance {accuracy.get('tolerance')}"


def divergence_text(first: Mapping[str, Any]) -> str:
    """``in epoch 2 of the default arm``; the pinned arm is the one whose weights the framework does not draw."""
    stage = str(first.get("stage"))
    where = f"epoch {first.get('epoch')}" if stage == "epoch" else stage
    weights = {"default": "own initial weights", "pinned": "given initial weights"}.get(str(first.get("arm")))
    return where if stage == "data" or weights is None else f"{where}, with {weights}"


def cause_text(cause: Mapping[str, Any]) -> str:
    """``initializer: glorot_uniform → he_normal; suspects: keras 2.15.0 → 2.15.1``."""
    text = f"{cause.get('what')}: {cause.get('from')} → {cause.get('to')}"
    suspects = cause.get("suspects") or ()
    return text + (f"; suspects: {', '.join(map(str, suspects))}" if suspects else "")


def lines(drift: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The facts, made harmless for a terminal."""
    return [(mark, name, sanitize.line(text)) for mark, name, text in facts(drift)]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def fixed(value: Any, figures: int) -> str:
    """A number with so many figures behind the point; a dash where it is none."""
    number = _number(value)
    return "–" if number is None else f"{number:.{figures}f}"


def _signed(value: Any) -> str:
    number = _number(value)
    return "not known" if number is None else f"{number:+.4f}"
