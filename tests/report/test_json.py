"""JSON: the contract's document, safe to print."""

from __future__ import annotations

import json

import msgspec

from doctor.model.facts import Missing
from doctor.model.report import Evidence, Report
from doctor.model.snapshot import Toolkit
from doctor.report import render
from doctor.report.context import Context

KEYS = [
    "kind",
    "schema",
    "tool",
    "subjects",
    "machines",
    "findings",
    "skipped",
    "inapplicable",
    "passed",
    "suppressed",
    "notes",
    "log",
    "canary",
    "drift",
    "changes",
    "cases",
    "denied",
    "summary",
    "verdict",
    "incomplete",
    "exit_code",
]


def document(report: Report) -> dict[str, object]:
    value: dict[str, object] = json.loads(render("json", report, Context()))
    return value


def test_the_document_has_all_keys_in_a_stable_order(report: Report) -> None:
    """Header first; nothing is left out because it is empty."""
    value = document(report)
    assert list(value) == KEYS
    assert value["kind"] == "kdoctor/report"
    assert render("json", report, Context()) == render("json", report, Context())
    assert render("json", report, Context()).endswith("}\n")


def test_strings_come_back_as_they_were_and_nothing_in_them_acts(report: Report) -> None:
    """Controls, overrides and workflow commands are escaped as JSON escapes them: reading gives the same text."""
    hostile = "\x1b[31m \x9b31m \u202egnp \u2028 \U000e0041 ##[error]x ##vso[task] ::error:: é 日本 😀"
    finding = msgspec.structs.replace(report.findings[0], message=hostile)
    text = render("json", msgspec.structs.replace(report, findings=(finding,)), Context())
    assert json.loads(text)["findings"][0]["message"] == hostile
    for raw in ("\x1b", "\x9b", "\u202e", "\u2028", "\U000e0041", "##[", "##vso["):
        assert raw not in text
    assert "é 日本 😀" in text


def test_a_file_name_that_is_not_utf8_does_not_break_the_document(report: Report) -> None:
    """Its bytes are shown as escapes."""
    finding = msgspec.structs.replace(
        report.findings[0], message="no \udc80 text", evidence=(Evidence("\udcff", ["\udc80"]),)
    )
    value = json.loads(render("json", msgspec.structs.replace(report, findings=(finding,)), Context()))
    assert value["findings"][0]["message"] == "no \\udc80 text"


def test_evidence_may_hold_facts_and_missing_facts(report: Report) -> None:
    """A fact is its plain data, a missing one says why."""
    evidence = (
        Evidence("software.cuda.toolkits", (Toolkit("12.2"),)),
        Evidence("machine.gpus", Missing("machine.gpus", "denied")),
    )
    finding = msgspec.structs.replace(report.findings[0], evidence=evidence)
    value = json.loads(render("json", msgspec.structs.replace(report, findings=(finding,)), Context()))
    rows = value["findings"][0]["evidence"]
    assert rows[0]["value"] == [{"version": "12.2"}]
    assert rows[1]["value"] == {"missing": "denied"}
