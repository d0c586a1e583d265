"""What many tests need: a case out of a plain snapshot, and one rule run on it."""

from __future__ import annotations

from typing import Any

from doctor import catalogue
from doctor.case import Case, Comparison
from doctor.engine import Outcome, judge
from doctor.model.wire import decode_snapshot


def case(snapshot: dict[str, Any]) -> Case:
    """The case of a snapshot given as plain data, as it would be read from a file."""
    return Case(decode_snapshot({"schema": 1, **snapshot}))


def compute(code: str, snapshot: dict[str, Any]) -> Outcome:
    """What one rule says of a snapshot; a rule that fails fails the test."""
    return _only(judge(case(snapshot), [catalogue.find(code)]))


def compute_pair(code: str, a: dict[str, Any], b: dict[str, Any], drift: dict[str, Any] | None = None) -> Outcome:
    """What one rule says of two snapshots side by side."""
    return _only(judge(Comparison(case(a), case(b), drift), [catalogue.find(code)]))


def diagnose(snapshot: dict[str, Any]) -> Outcome:
    """What all rules together say of a snapshot, in the order of the report."""
    return _only(judge(case(snapshot), catalogue.rules()))


def _only(outcome: Outcome) -> Outcome:
    assert not outcome.failures, outcome.failures
    return outcome
