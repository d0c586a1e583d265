"""GitLab Code Quality: a list of issues, each at a line of a file.

The format has no place for what could not be looked at: where that makes a run incomplete, it is an issue of its own.
Source: GitLab's documentation, "Code Quality report format".
"""

from __future__ import annotations

import hashlib
from typing import Any

from doctor.model.report import Finding, Note, Report, Severity
from doctor.report import json as plain
from doctor.report import sanitize, totals
from doctor.report.context import Context
from doctor.report.place import FALLBACK, distinct_identities, place_of, worst_first

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "minor", Severity.INFO: "info"}
_MAX_PATH = 4096


def render(report: Report, context: Context) -> str:
    """The list as JSON; ends with a newline."""
    findings = worst_first(report)
    issues = [
        _issue(finding, identity, report, context)
        for finding, identity in zip(findings, distinct_identities(findings), strict=True)
    ]
    if report.incomplete:
        issues += [_unseen(note, context) for note in report.notes]
    return plain.document(issues)


def _issue(finding: Finding, identity: str, report: Report, context: Context) -> dict[str, Any]:
    place = place_of(finding, context.anchors)
    said = [finding.message, finding.effect, f"Fix: {finding.fix}" if finding.fix else ""]
    text = ". ".join(sanitize.line(part).rstrip(".") for part in said if part)
    on = totals.judged_on(finding, report) if place.logical is not None or len(report.subjects) > 1 else ""
    return {
        "type": "issue",
        "check_name": f"{finding.code} {finding.name}",
        "description": f"{text}. On: {sanitize.line(on)}" if on else text,
        "fingerprint": identity,
        "severity": _severity(finding, report, context),
        "location": {
            "path": sanitize.line(place.path, _MAX_PATH),
            "lines": {"begin": place.line, "end": place.end_line or place.line},
        },
    }


def _severity(finding: Finding, report: Report, context: Context) -> str:
    """What fails the run shows as an error, also where the policy denies what is a warning by itself."""
    failing = totals.fails(finding, report, context)
    return _SEVERITIES[Severity.ERROR if failing else finding.severity or Severity.INFO]


def _unseen(note: Note, context: Context) -> dict[str, Any]:
    what, why = sanitize.line(note.what), sanitize.line(note.why)
    anchor = context.anchors.policy
    return {
        "type": "issue",
        "check_name": "not-looked-at",
        "description": f"Not looked at: {what}: {why}",
        "fingerprint": hashlib.sha256(f"not-looked-at|{what}".encode()).hexdigest(),
        "severity": "critical",
        "location": {"path": anchor.path if anchor else FALLBACK, "lines": {"begin": (anchor and anchor.line) or 1}},
    }
