"""SARIF 2.1.0, as code scanning reads it.

GitHub takes 25,000 results a run and keeps the first 5,000: the gravest come first, and what is left out is said.
Sources: OASIS SARIF 2.1.0; GitHub's page "SARIF support for code scanning".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from doctor import catalogue
from doctor.model.report import Confidence, Finding, Fixes, Replacement, Report, Severity
from doctor.report import drift, sanitize, totals, verdicts
from doctor.report import json as plain
from doctor.report.context import Context
from doctor.report.evidence import details
from doctor.report.place import Place, distinct_identities, place_of, worst_first
from doctor.rule import Rule

SCHEMA_URI = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MAX_RESULTS = 5_000
MAX_NOTIFICATIONS = 5_000
_MAX_DESCRIPTION = 1_000
_MAX_PAGE = 20_000
_BASE = "%SRCROOT%"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_PROBLEMS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "recommendation"}

# In a message "[words](target)" is a link and "{0}" a place for an argument; nothing here means either.
_LINK = re.compile(r"\[(?=[^\[\]]*\]\()")
_ARGUMENT = re.compile(r"\{(\d+)\}")


def render(report: Report, context: Context) -> str:
    """One log of one run; ends with a newline."""
    shown = worst_first(report)[:MAX_RESULTS]
    rules = _rules(shown, report)
    order = {rule["id"]: number for number, rule in enumerate(rules)}
    identities = distinct_identities(shown)
    names = {finding.code: finding.name for finding in report.findings}
    run = {
        "tool": {"driver": _driver(report, rules)},
        "invocations": [_invocation(report, context, len(report.findings) - len(shown))],
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(finding, order[finding.code], identity, names, report, context)
            for finding, identity in zip(shown, identities, strict=True)
        ],
        "properties": {"verdict": report.verdict, "summary": report.summary, **_more(report)},
    }
    return plain.document({"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]})


def _more(report: Report) -> dict[str, Any]:
    """What SARIF has no place for: the gate's verdicts, and what the canary came to, in one line each."""
    found: dict[str, Any] = {}
    if report.cases:
        found["cases"] = [sanitize.line(f"{area.name}{area.text}") for area in verdicts.areas(report)]
    if report.drift is not None:
        found["drift"] = [f"{name}: {text}" for _, name, text in drift.lines(report.drift)]
    return found


def _driver(report: Report, rules: list[dict[str, Any]]) -> dict[str, Any]:
    version = report.tool.get("version", "0")
    return {
        "name": "kdoctor",
        "version": version,
        "semanticVersion": version,
        "rules": rules,
        "notifications": [
            {"id": "rule-skipped", "shortDescription": {"text": "A rule could not be judged"}},
            {"id": "not-looked-at", "shortDescription": {"text": "Something could not be looked at"}},
            {"id": "log-line", "shortDescription": {"text": "A line of the log that is no finding, and its meaning"}},
            {"id": "findings-left-out", "shortDescription": {"text": "There are more findings than stand here"}},
        ],
        "properties": {"tables": report.tool.get("tables", "")},
    }


def _rules(shown: Iterable[Finding], report: Report) -> list[dict[str, Any]]:
    """The rules that the results and the skips name, in the order of codes."""
    known = {rule.code: rule for rule in catalogue.rules()}
    named = {skip.code: skip.name for skip in report.skipped} | {finding.code: finding.name for finding in shown}
    return [_rule(code, named[code], known.get(code)) for code in sorted(named)]


def _rule(code: str, name: str, rule: Rule | None) -> dict[str, Any]:
    if rule is None:  # a saved report may name a rule that this version does not have
        return {"id": code, "name": sanitize.line(name, 200)}
    summary = _cut(rule.summary)
    return {
        "id": code,
        "name": name,
        "shortDescription": {"text": summary},
        "fullDescription": {"text": summary},
        "help": {"text": rule.page[:_MAX_PAGE], "markdown": rule.page[:_MAX_PAGE]},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {
            "tags": ["environment", "tensorflow"],
            "precision": "high",
            "problem.severity": _PROBLEMS[rule.severity],
        },
    }


def _invocation(report: Report, context: Context, left_out: int) -> dict[str, Any]:
    notifications = [
        _notification("not-looked-at", "error" if report.incomplete else "warning", f"{note.what}: {note.why}")
        for note in report.notes
    ]
    for row in report.log[:MAX_NOTIFICATIONS]:
        notifications.append(_notification("log-line", "note", f"{row.line}: {totals.meaning(row)}"))
    if left_out:
        text = f"{totals.count(left_out, 'finding')} less grave left out: code scanning keeps {MAX_RESULTS}"
        notifications.append(_notification("findings-left-out", "warning", text))
    for skip in report.skipped[:MAX_NOTIFICATIONS]:
        on = skip.subject if skip.machine in (None, skip.subject) else f"{skip.subject} on {skip.machine}"
        helps = f" Would help: {skip.would_help}" if skip.would_help else ""
        text = f"{skip.code} {skip.name} skipped for {on}: {skip.reason}.{helps}"
        notifications.append(_notification("rule-skipped", "note", text, skip.code))
    if len(report.skipped) > MAX_NOTIFICATIONS:
        text = f"{len(report.skipped) - MAX_NOTIFICATIONS} more rules were skipped"
        notifications.append(_notification("rule-skipped", "note", text))
    return {
        "executionSuccessful": not report.incomplete and report.exit_code in (0, 1),
        "exitCode": report.exit_code,
        "exitCodeDescription": sanitize.line(totals.gate_line(report, context)),
        "toolExecutionNotifications": notifications,
    }


def _notification(kind: str, level: str, text: str, code: str | None = None) -> dict[str, Any]:
    found = {"descriptor": {"id": kind}, "level": level, "message": {"text": _message(text)}}
    return found | ({"associatedRule": {"id": code}} if code else {})


def _result(
    finding: Finding, rule: int, identity: str, names: Mapping[str, str], report: Report, context: Context
) -> dict[str, Any]:
    place = place_of(finding, context.anchors)
    subject = totals.judged_on(finding, report)
    told = list(details(finding, names))
    parts = [finding.message, *(f"{label.capitalize()}: {text}" for label, text in told)]
    if place.logical is not None or len(report.subjects) > 1:
        parts.insert(1, f"On: {subject}")
    more = {label: text for label, text in told if label in ("fix", "verify")}
    severity = finding.severity or Severity.INFO
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        # What fails the run shows as failing, also where the policy denies what is a warning by itself.
        "level": "error" if totals.fails(finding, report, context) else _LEVELS[severity],
        "message": {"text": "\n".join(_message(part) for part in parts)},
        "locations": [_location(place, finding)],
        # GitHub reads the first and would else compute one of its own, which is the same for all on one line.
        "partialFingerprints": {
            "primaryLocationLineHash": f"{identity[:16]}:1",
            "kdoctorFingerprint/v1": finding.fingerprint or finding.identity(),
        },
        **_fixes(finding, report),
        "rank": round(100 * min(1.0, max(0.0, finding.likely)), 1),
        "properties": {
            "subject": sanitize.line(subject),
            "severity": severity.value,
            "denied": finding.code in report.denied,
            "confidence": (finding.confidence or Confidence.HIGH).value,
            "causedBy": list(finding.caused_by),
            **more,
        },
    }


def _fixes(finding: Finding, report: Report) -> dict[str, Any]:
    """The edits that would mend the finding, where they were asked for and are not made yet."""
    offered = report.fixes.rows if isinstance(report.fixes, Fixes) else ()
    changes = [
        {
            "artifactLocation": {"uri": _uri(row.path), "uriBaseId": _BASE},
            "replacements": [_replacement(one) for one in row.replacements],
        }
        for row in offered
        if row.fingerprint == finding.fingerprint and row.path and row.replacements and not row.written
    ]
    if not changes:
        return {}
    text = f"{finding.name}: {finding.fix}" if finding.fix else finding.name
    return {"fixes": [{"description": {"text": _message(text)}, "artifactChanges": changes}]}


def _replacement(one: Replacement) -> dict[str, Any]:
    return {
        "deletedRegion": {
            "startLine": one.line,
            "startColumn": one.column,
            "endLine": one.end_line,
            "endColumn": one.end_column,
        },
        "insertedContent": {"text": one.text},
    }


def _location(place: Place, finding: Finding) -> dict[str, Any]:
    region: dict[str, Any] = {"startLine": place.line}
    for key, value in (
        ("startColumn", place.column),
        ("endLine", place.end_line),
        ("endColumn", place.end_column),
    ):
        if value is not None:
            region[key] = value
    if place.text:
        region["snippet"] = {"text": sanitize.source(place.text)}
    found: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": _uri(place.path), "uriBaseId": _BASE}, "region": region}
    }
    if place.logical is not None:
        name = sanitize.line(finding.subject, 500)
        full = sanitize.line(place.logical, 500)
        found["logicalLocations"] = [{"name": name, "fullyQualifiedName": full, "kind": "resource"}]
    return found


def _uri(path: str) -> str:
    """A relative path as a reference; the bytes of one that is not UTF-8 as they are on disk."""
    try:
        return quote(path.encode(errors="surrogateescape"))
    except UnicodeEncodeError:
        return quote(path.encode(errors="backslashreplace"))


def _message(text: str) -> str:
    """A message's text, without links and places for arguments that nobody meant."""
    return _ARGUMENT.sub(r"{{\1}}", _LINK.sub(r"\\[", sanitize.line(text)))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_DESCRIPTION else text[: _MAX_DESCRIPTION - 1] + "…"
