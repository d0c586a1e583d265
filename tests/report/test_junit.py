"""JUnit XML: one test case a rule and subject."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

from doctor.model.report import LogRemark, Note, Report
from doctor.report import render
from doctor.report.context import Context

SCHEMA = Path(__file__).resolve().parent.parent / "data" / "junit-10.xsd"


def suites(report: Report, fail_on: str = "error") -> list[ET.Element]:
    return list(ET.fromstring(render("junit", report, Context(fail_on=fail_on))))


@pytest.mark.parametrize("name", ["report", "fleet", "hostile", "crowd", "compared"])
def test_every_report_holds_to_the_schema(name: str, request: pytest.FixtureRequest) -> None:
    """Whatever it holds, the document is what Jenkins accepts."""
    etree = pytest.importorskip("lxml.etree", reason="lxml, which validates XML schemas, is not installed")
    schema = etree.XMLSchema(etree.parse(str(SCHEMA)))
    document = etree.fromstring(render("junit", request.getfixturevalue(name), Context(seconds=1.25)).encode())
    assert schema.validate(document), schema.error_log


def test_outcomes_become_cases(report: Report) -> None:
    """Failures, skips with reason and help, passes; inapplicable rules are counted and no cases.

    A warning that does not fail the run is told by a case that passes.
    """
    (suite,) = suites(report)
    cases = {case.get("name"): case for case in suite.findall("testcase")}
    assert list(cases) == [
        "KD101 driver-missing",
        "KD102 driver-too-old",
        "KD108 ptx-newer-than-driver",
        "KD201 cuda-library-missing",
        "KD403 digest-missing",
    ]
    failure = cases["KD201 cuda-library-missing"].find("failure")
    assert failure is not None
    assert failure.get("type") == "error"
    assert "fix: pip install" in (failure.text or "")
    skipped = cases["KD108 ptx-newer-than-driver"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "machine.gpus: not known; would help: kdoctor snapshot"
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "1", "1")
    warning = cases["KD403 digest-missing"]
    assert warning.find("failure") is None
    assert (warning.findtext("system-out") or "").startswith("warning, which does not fail the run\nbase image is not")
    (count,) = suite.findall("properties/property")
    assert (count.get("name"), count.get("value")) == ("inapplicable", "1")


def test_each_subject_is_a_suite_in_the_order_of_the_report(fleet: Report) -> None:
    """A node that is well has a suite too, and its own skip."""
    found = suites(fleet)
    assert [suite.get("name") for suite in found] == ["node-a", "node-b", "node-c", "node-d"]
    assert [suite.get("failures") for suite in found] == ["1", "1", "1", "0"]
    assert [suite.get("failures") for suite in suites(fleet, "warning")] == ["1", "2", "1", "0"]
    assert [suite.get("failures") for suite in suites(fleet, "never")] == ["0"] * 4
    assert found[3].get("skipped") == "1"


def test_findings_of_one_rule_on_one_subject_are_one_case(report: Report) -> None:
    """Two images without a digest in one project, which the policy denies: one failed test that names both."""
    other = msgspec.structs.replace(report.findings[1], message="another image")
    denied = msgspec.structs.replace(report, findings=(report.findings[1], other), denied=("KD403",))
    (suite,) = suites(denied)
    (failure,) = suite.iter("failure")
    assert failure.get("message") == "base image is not pinned to a digest (and 1 more)"
    assert "another image (Dockerfile:1)" in (failure.text or "")


@pytest.mark.parametrize(("incomplete", "kind"), [(True, "error"), (False, "skipped")])
def test_what_could_not_be_looked_at_is_a_case(report: Report, incomplete: bool, kind: str) -> None:
    """An error where it was asked for, else a skip: never a pass."""
    changed = msgspec.structs.replace(report, notes=(Note("canary", "no interpreter"),), incomplete=incomplete)
    case = suites(changed)[-1].find("testcase")
    assert case is not None
    assert [child.tag for child in case] == [kind]
    assert case[0].get("message") == "no interpreter"


def test_nothing_from_outside_breaks_the_document(hostile: Report) -> None:
    """Characters that no XML holds are shown as escapes; markup is text."""
    text = render("junit", hostile, Context())
    assert "<script" not in text
    for raw in ("\x1b", "\x00", "\ufffe", "\udc80", "\u202e", "##["):
        assert raw not in text
    (failure,) = suites(hostile)[0].iter("failure")
    assert "<script>alert(1)</script>" in (failure.text or "")


def test_the_log_and_the_canary_are_told(compared: Report) -> None:
    """Suites without cases: what lines of the log mean, and what the drift is."""
    row = LogRemark("Could not find TensorRT", "TensorRT is optional", True)
    *_, log, canary = suites(msgspec.structs.replace(compared, log=(row,)))
    assert log.findtext("system-out") == "Could not find TensorRT: harmless, TensorRT is optional"
    assert "Mechanism: default-changed" in (canary.findtext("system-out") or "")
    assert (log.get("tests"), canary.get("tests")) == ("0", "0")
