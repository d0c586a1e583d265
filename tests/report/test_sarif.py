"""SARIF: what code scanning shows, where, and what it must never take for a clean run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from doctor.model.report import CaseRow, Finding, Location, LogRemark, Note, Report, Severity
from doctor.report import render, sarif
from doctor.report.context import Anchor, Anchors, Context

SCHEMA = Path(__file__).resolve().parent.parent / "data" / "sarif-2.1.0-rtm.5.json"


def run(report: Report, context: Context | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render("sarif", report, context or Context()))
    return found["runs"][0]  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def validator() -> jsonschema.Draft4Validator:
    return jsonschema.Draft4Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", ["report", "fleet", "hostile", "crowd", "compared"])
def test_every_report_holds_to_the_schema(
    name: str, validator: jsonschema.Draft4Validator, request: pytest.FixtureRequest
) -> None:
    """Whatever it holds, the log is valid SARIF 2.1.0."""
    log = json.loads(render("sarif", request.getfixturevalue(name), Context()))
    assert [error.message for error in validator.iter_errors(log)] == []


def test_the_schema_refuses_what_is_not_sarif(report: Report, validator: jsonschema.Draft4Validator) -> None:
    """The schema can fail: a level that does not exist is refused."""
    log = json.loads(render("sarif", report, Context()))
    log["runs"][0]["results"][0]["level"] = "grave"
    assert not validator.is_valid(log)


def test_a_finding_in_a_file_names_its_region(report: Report) -> None:
    """Line, column from 1, the end of what is meant, and the line itself."""
    result = run(report)["results"][1]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "Dockerfile", "uriBaseId": "%SRCROOT%"}
    assert place["region"]["startLine"] == 1
    assert (place["region"]["startColumn"], place["region"]["endColumn"]) == (6, 38)
    assert place["region"]["snippet"]["text"].startswith("FROM tensorflow")
    assert "logicalLocations" not in result["locations"][0]


def test_a_finding_without_a_file_points_at_the_policy_and_says_what_is_meant(report: Report) -> None:
    """The host has no line: the policy's stands for it, with a logical location beside it."""
    anchors = Anchors(policy=Anchor("policy", "kdoctor.toml", 4))
    result = run(report, Context(anchors=anchors))["results"][0]
    location = result["locations"][0]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "kdoctor.toml"
    assert location["physicalLocation"]["region"]["startLine"] == 4
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "host"
    assert "On: host" in result["message"]["text"]


def test_levels_rules_help_and_fixes(report: Report) -> None:
    """Each result leads to its rule, whose page is the help; the fix stands in the message."""
    found = run(report)
    rules = found["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["KD108", "KD201", "KD403"]
    for result in found["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert [result["level"] for result in found["results"]] == ["error", "warning"]
    assert "## How to fix" in rules[1]["help"]["markdown"]
    assert "Fix: pip install 'tensorflow[and-cuda]==2.21.0'" in found["results"][0]["message"]["text"]


def test_what_the_policy_denies_shows_as_failing(report: Report) -> None:
    """A warning that fails the gate is an error to code scanning; its own severity stands beside it."""
    denied = msgspec.structs.replace(report, denied=("KD403",))
    warning = next(result for result in run(denied)["results"] if result["ruleId"] == "KD403")
    assert (warning["level"], warning["properties"]["severity"], warning["properties"]["denied"]) == (
        "error",
        "warning",
        True,
    )
    for fail_on, level in (("warning", "error"), ("error", "warning"), ("never", "warning")):
        assert run(report, Context(fail_on=fail_on))["results"][1]["level"] == level
    assert run(denied, Context(fail_on="never"))["results"][1]["level"] == "warning"


def test_log_verdicts_and_drift_are_not_lost(compared: Report) -> None:
    """Lines of the log are notifications; the gate's verdicts and the drift stand in the run's properties."""
    row = LogRemark("Could not find TensorRT", "TensorRT is optional", True)
    found = run(msgspec.structs.replace(compared, log=(row,), cases=(CaseRow("app", "node-a", "fail", ("KD102",)),)))
    assert found["invocations"][0]["toolExecutionNotifications"][0] == {
        "descriptor": {"id": "log-line"},
        "level": "note",
        "message": {"text": "Could not find TensorRT: harmless, TensorRT is optional"},
    }
    assert found["properties"]["cases"] == ["app on node-a: fails by KD102"]
    assert found["properties"]["drift"][1] == "Mechanism: default-changed: a framework default changed"


def test_fingerprints_are_the_reports_and_never_twice_the_same(report: Report) -> None:
    """Two findings with one identity, and one finding on two machines, stay apart; a run again gives the same."""
    same = (report.findings[0], msgspec.structs.replace(report.findings[0], machine="node-b"), report.findings[0])
    report = msgspec.structs.replace(report, findings=same)
    results = run(report)["results"]
    hashes = [result["partialFingerprints"]["primaryLocationLineHash"] for result in results]
    assert len(set(hashes)) == 3
    assert {r["partialFingerprints"]["kdoctorFingerprint/v1"] for r in results} == {report.findings[0].identity()}
    assert hashes == [r["partialFingerprints"]["primaryLocationLineHash"] for r in run(report)["results"]]


def test_skips_are_notifications(report: Report) -> None:
    """A rule that could not be judged is said, with its rule, reason and what would help."""
    (note,) = run(report)["invocations"][0]["toolExecutionNotifications"]
    assert note["level"] == "note"
    assert note["associatedRule"] == {"id": "KD108"}
    assert "machine.gpus: not known" in note["message"]["text"]
    assert "kdoctor snapshot" in note["message"]["text"]


@pytest.mark.parametrize(
    ("incomplete", "code", "successful"), [(False, 0, True), (False, 1, True), (True, 3, False), (False, 4, False)]
)
def test_a_run_that_could_not_look_was_not_successful(
    report: Report, incomplete: bool, code: int, successful: bool
) -> None:
    """Findings are no failure of the run; what could not be looked at, and internal errors, are."""
    notes = (Note("canary", "no interpreter"),) if incomplete else ()
    changed = msgspec.structs.replace(report, incomplete=incomplete, exit_code=code, notes=notes)
    invocation = run(changed)["invocations"][0]
    assert invocation["executionSuccessful"] is successful
    assert invocation["exitCode"] == code
    if incomplete:
        assert invocation["toolExecutionNotifications"][0]["level"] == "error"


def test_the_gravest_stay_where_there_are_too_many(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code scanning keeps so many: the error that stands last in the report is among them, the rest is counted."""
    monkeypatch.setattr(sarif, "MAX_RESULTS", 3)
    info = Finding("m", code="KD602", name="hash-missing", severity=Severity.INFO, subject="host")
    changed = msgspec.structs.replace(report, findings=(*[info] * 9, report.findings[0]))
    found = run(changed)
    assert [result["level"] for result in found["results"]] == ["error", "note", "note"]
    assert "7 findings less grave left out" in str(found["invocations"][0]["toolExecutionNotifications"])


def test_messages_hold_no_links_and_no_arguments(hostile: Report) -> None:
    """What a viewer would turn into a link or replace is escaped."""
    message = run(hostile)["results"][0]["message"]["text"]
    assert r"\[click](http" in message
    assert "{{0}}" in message
    assert "\u202e" not in message


def test_a_path_outside_the_project_is_no_place_in_it(report: Report) -> None:
    """An absolute path, or one that leads out, is named logically only."""
    for path in ("/etc/ld.so.conf", "../other/Dockerfile"):
        finding = msgspec.structs.replace(report.findings[1], location=Location(path, 3))
        location = run(msgspec.structs.replace(report, findings=(finding,)))["results"][0]["locations"][0]
        assert location["physicalLocation"]["artifactLocation"]["uri"] == "pyproject.toml"
        assert location["logicalLocations"][0]["fullyQualifiedName"] == f"host:{path}"
