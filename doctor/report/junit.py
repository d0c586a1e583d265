"""JUnit XML as Jenkins and GitLab read it: a suite a subject and machine, a test case a rule that was judged on it.

A rule whose findings fail the run is a failure (the type is their severity); what a rule found besides is told by a
case that passes, so that a job whose gate passes shows no failed test. One that could not be judged is skipped with its
reason. Inapplicable rules are no test cases; each suite counts them in its properties. What should have been looked at
and could not be is an error in a suite of its own.
Source: junit-10.xsd of the Jenkins xUnit plugin.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from doctor import catalogue
from doctor.model.report import Finding, NotApplied, Passed, Report, Severity, Skip
from doctor.report import drift, sanitize, totals
from doctor.report.context import Context
from doctor.report.evidence import details
from doctor.report.place import place_of

Key = tuple[str, str]
Row = Finding | Skip | Passed | NotApplied


class _Judged:
    """What the rules said of one subject on one machine."""

    def __init__(self) -> None:
        self.findings: dict[str, list[Finding]] = {}
        self.skips: dict[str, Skip] = {}
        self.codes: set[str] = set()
        self.inapplicable = 0

    def take(self, row: Row) -> None:
        """Add one outcome."""
        if isinstance(row, NotApplied):
            self.inapplicable += 1
            return
        self.codes.add(row.code)
        if isinstance(row, Finding):
            self.findings.setdefault(row.code, []).append(row)
        elif isinstance(row, Skip):
            self.skips[row.code] = row


def render(report: Report, context: Context) -> str:
    """One document; ends with a newline."""
    root = ET.Element("testsuites", name="kdoctor")
    names = _names(report)
    for key, judged in _suites(report).items():
        _suite(root, key, judged, names, report, context)
    if report.notes:
        _notes(root, report)
    if report.log:
        lines = [_text(f"{row.line}: {totals.meaning(row)}") for row in report.log]
        _said(root, "lines of the log that are no findings", lines)
    if report.drift is not None:
        _said(root, "canary", [_text(f"{name}: {text}") for _, name, text in drift.lines(report.drift)])
    for total in ("tests", "failures", "errors"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    if context.seconds is not None:
        root.set("time", f"{context.seconds:.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _names(report: Report) -> dict[str, str]:
    known = {rule.code: rule.name for rule in catalogue.rules()}
    return known | {row.code: row.name for rows in (report.findings, report.skipped) for row in rows}


def _suites(report: Report) -> dict[Key, _Judged]:
    """What was judged, by subject and machine: in the order of the subjects, then what else there is (the policy)."""
    found: dict[Key, _Judged] = {}
    for rows in (report.findings, report.skipped, report.passed, report.inapplicable):
        for row in rows:
            found.setdefault((row.subject, row.machine or ""), _Judged()).take(row)
    judged = {subject for subject, _ in found}
    for subject in report.subjects:
        if subject.name not in judged:
            found[subject.name, ""] = _Judged()
    order = {subject.name: number for number, subject in enumerate(report.subjects)}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0][0], len(order))))


def _suite(
    root: ET.Element, key: Key, judged: _Judged, names: dict[str, str], report: Report, context: Context
) -> None:
    subject, machine = key
    title = _text(f"{subject} on {machine}" if machine not in ("", subject) else subject)
    suite = ET.SubElement(root, "testsuite", name=title)
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", name="inapplicable", value=str(judged.inapplicable))
    for code in sorted(judged.codes):
        case = ET.SubElement(suite, "testcase", classname=title, name=_text(f"{code} {names.get(code, '')}"))
        if code in judged.findings:
            _found(case, judged.findings[code], names, report, context)
        elif code in judged.skips:
            skip = judged.skips[code]
            helps = f"; would help: {skip.would_help}" if skip.would_help else ""
            ET.SubElement(case, "skipped", message=_text(f"{skip.reason}{helps}"))
    _count(suite)


def _found(case: ET.Element, found: list[Finding], names: dict[str, str], report: Report, context: Context) -> None:
    """What fails the run is a failed case; what does not, is told by a case that passes."""
    worst = max((finding.severity or Severity.INFO for finding in found), key=lambda severity: severity.weight)
    message = found[0].message if len(found) == 1 else f"{found[0].message} (and {len(found) - 1} more)"
    failing = any(totals.fails(finding, report, context) for finding in found)
    lines = [] if failing else [f"{worst.value}, which does not fail the run"]
    for finding in found:
        place = place_of(finding, context.anchors)
        lines.append(f"{finding.message} ({place.path}:{place.line})")
        lines += [f"  {label}: {text}" for label, text in details(finding, names)]
    told = ET.SubElement(case, "failure", message=_text(message), type=worst.value) if failing else None
    told = ET.SubElement(case, "system-out") if told is None else told
    told.text = "\n".join(_text(line) for line in lines)


def _said(root: ET.Element, name: str, lines: list[str]) -> None:
    """A suite without cases that only tells something."""
    suite = ET.SubElement(root, "testsuite", name=name)
    ET.SubElement(suite, "system-out").text = "\n".join(lines)
    _count(suite)


def _notes(root: ET.Element, report: Report) -> None:
    suite = ET.SubElement(root, "testsuite", name="not looked at")
    for note in report.notes:
        case = ET.SubElement(suite, "testcase", classname="not looked at", name=_text(note.what))
        ET.SubElement(case, "error" if report.incomplete else "skipped", message=_text(note.why))
    _count(suite)


def _count(suite: ET.Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(kind) is not None for case in cases)))


def _text(text: object) -> str:
    return sanitize.line(text).rstrip()
