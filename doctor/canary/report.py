"""From canary records to what a report is built of: the rules' outcomes, the drift and the changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from doctor import gate
from doctor.canary.alone import run_alone, summary
from doctor.canary.record import Record
from doctor.canary.runs import snapshot_of
from doctor.canary.verdict import compare_changes
from doctor.case import CanaryRun, Case, Comparison
from doctor.engine import Outcome, judge
from doctor.model.report import Note
from doctor.rule import Rule
from doctor.settings import Settings

REFERENCE = "the reference"


def judged(
    record: Record,
    repeats: Sequence[Record],
    name: str,
    settings: Settings,
    *,
    reference: Record | None = None,
    drift: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The parts of a report on one canary, alone or against a reference, for ``Session.finish``.

    `name` is the subject's; `repeats` are further runs in the same environment.

    Raises:
        DocumentError: the raw values of a record cannot be read.
    """
    case = Case(snapshot_of(record, name))
    rules = canary_rules(settings)
    outcomes = [judge(CanaryRun(name, run_alone(record, repeats)), rules)]
    parts: dict[str, Any] = {"canary": summary(record, repeats)}
    if reference is not None:
        pair = Comparison(Case(snapshot_of(reference, REFERENCE)), case, drift)
        outcomes.append(judge(pair, rules, subject=name))
        parts |= {"drift": drift, "changes": compare_changes(reference, record)}
    if drift is not None and drift["class"] == "not-comparable":
        parts["unmet"] = [Note("canary", drift["reason"])]
    whole = Outcome()
    for outcome in outcomes:
        whole.extend(outcome)
    return {"judged": [(case, whole)], **parts}


def canary_rules(settings: Settings) -> tuple[Rule, ...]:
    """The chosen rules that speak of the canary; others on two environments need facts that no record holds."""
    return tuple(
        rule
        for rule in gate.select_rules(settings)
        if rule.judges(CanaryRun) or (rule.judges(Comparison) and "KD801" <= rule.code <= "KD810")
    )
