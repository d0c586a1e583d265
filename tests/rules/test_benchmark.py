"""The rules held against the diagnosis benchmark, where the checkout has it beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from doctor import catalogue
from doctor.case import Comparison
from doctor.engine import judge
from tests.support import case

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "benchmark"
Found = list[tuple[str, str]]

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the benchmark is not there: {FOLDER}")


def cases(name: str, *, without_log: bool) -> Iterator[dict[str, Any]]:
    """The cases of a file; without their logs only those that the facts alone decide."""
    for line in (FOLDER / name).read_text("utf-8").splitlines():
        row = json.loads(line)
        if without_log:
            if row["kind"] != "healthy" and row.get("decidable_from") != "facts":
                continue
            row.get("snapshot", {}).pop("log", None)
        yield row


def diagnosed(row: dict[str, Any]) -> Found:
    """Severity and name of every finding, in the order of the report."""
    if "snapshot" in row:
        outcome = judge(case(row["snapshot"]), catalogue.rules())
    else:
        pair = row["compare"]
        outcome = judge(Comparison(case(pair["a"]), case(pair["b"])), catalogue.rules())
    assert not outcome.failures, (row["id"], outcome.failures)
    return [(f.severity.value if f.severity else "", f.name) for f in outcome.findings]


def is_right(row: dict[str, Any], found: Found) -> bool:
    """Whether the first loud finding is an accepted one (of a comparison: any finding)."""
    accepted = {row["expect"]["rule"], *(row["expect"].get("also_acceptable") or ())}
    if "compare" in row:
        return any(name in accepted for _, name in found)
    infos = row["kind"] == "reproducibility" or row["expect"].get("severity") == "info"
    ranked = [name for severity, name in found if infos or severity != "info"]
    return bool(ranked) and ranked[0] in accepted


@pytest.mark.parametrize(
    ("name", "without_log", "bar"), [("table_cases.jsonl", False, 0.95), ("cases.jsonl", True, 0.9)]
)
def test_the_root_cause_comes_first(name: str, without_log: bool, bar: float) -> None:
    """At least this share of the faults is named first; single misses are listed."""
    faults = [row for row in cases(name, without_log=without_log) if row["kind"] != "healthy"]
    missed = [row["id"] for row in faults if not is_right(row, diagnosed(row))]
    assert 1 - len(missed) / len(faults) >= bar, missed


@pytest.mark.parametrize(("name", "without_log"), [("table_cases.jsonl", False), ("cases.jsonl", True)])
def test_a_healthy_environment_raises_no_alarm(name: str, without_log: bool) -> None:
    """No finding that a healthy case forbids."""
    alarms = []
    for row in cases(name, without_log=without_log):
        forbidden = set(row["expect"].get("must_not") or ())
        if row["kind"] == "healthy":
            alarms += [(row["id"], rule) for severity, rule in diagnosed(row) if {severity, rule} & forbidden]
    assert not alarms
