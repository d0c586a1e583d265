"""GitHub Actions: annotations by workflow commands, and the step's summary in Markdown.

GitHub shows ten annotations a level and step: the gravest findings get them, the rest is counted and stands in the
summary, whose file (GITHUB_STEP_SUMMARY) holds 1 MiB a step. Source: GitHub's pages "Workflow commands" and "Limits".
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from doctor.model.report import Finding, Report, Severity
from doctor.report import markdown, sanitize, totals
from doctor.report.context import Context
from doctor.report.evidence import details
from doctor.report.place import place_of, worst_first

MAX_ANNOTATIONS = 10
MAX_SUMMARY = 1024 * 1024
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def render(report: Report, context: Context) -> str:
    """The lines for a step's log. Where GITHUB_STEP_SUMMARY names a file, the summary is appended to it."""
    problem = write_summary(report, context, os.environ)
    lines = [*_annotations(report, context), *([] if problem is None else [problem])]
    ending = [totals.findings_line(report), totals.rules_line(report), totals.gate_line(report, context)]
    lines.append(sanitize.screen("\n".join(sanitize.line(line) for line in ending)))
    return "\n".join(lines) + "\n"


def write_summary(report: Report, context: Context, environ: Mapping[str, str]) -> str | None:
    """Append the summary to the step's file; a workflow command that says why where that fails.

    What other commands of the step wrote counts against the limit too: beyond it GitHub shows nothing at all.
    """
    name = environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return None
    path = Path(name)
    try:
        there = path.stat().st_size if path.exists() else 0
        room = MAX_SUMMARY - there
        if room < 4096:
            return "::warning title=kdoctor::the step summary is full; the annotations are all there is"
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(markdown.compose(report, context, room))
    except OSError as error:
        said = sanitize.workflow_data(error.strerror or error)
        return f"::warning title=kdoctor::the step summary could not be written: {said}"
    return None


def _annotations(report: Report, context: Context) -> Iterator[str]:
    names = {finding.code: finding.name for finding in report.findings}
    # Notes come first: what could not be looked at must not be pushed out by what was found.
    errors = [_note(note.what, note.why) for note in report.notes] if report.incomplete else []
    by_level: dict[str, list[str]] = {"error": errors, "warning": [], "notice": []}
    for finding in worst_first(report):
        level = "error" if totals.fails(finding, report, context) else _LEVELS[finding.severity or Severity.INFO]
        by_level[level].append(_annotation(level, finding, names, report, context))
    for level, lines in by_level.items():
        shown = lines if len(lines) <= MAX_ANNOTATIONS else lines[: MAX_ANNOTATIONS - 1]
        yield from shown
        if len(shown) < len(lines):
            rest = totals.count(len(lines) - len(shown), f"more {level}")
            yield f"::{level} title=kdoctor::{rest}: GitHub shows {MAX_ANNOTATIONS} a step; see the summary"


def _note(what: str, why: str) -> str:
    return f"::error title=kdoctor%3A not looked at::{sanitize.workflow_data(f'{what}: {why}')}"


def _annotation(level: str, finding: Finding, names: Mapping[str, str], report: Report, context: Context) -> str:
    place = place_of(finding, context.anchors)
    properties = {
        "file": place.path,
        "line": place.line,
        "col": place.column,
        "endLine": place.end_line,
        "endColumn": place.end_column - 1 if place.end_column is not None else None,
        "title": f"{finding.code} {finding.name}",
    }
    said = ",".join(f"{k}={sanitize.workflow_property(v)}" for k, v in properties.items() if v is not None)
    parts = [finding.message]
    if place.logical is not None or len(report.subjects) > 1:
        parts.append(f"on: {totals.judged_on(finding, report)}")
    parts += [f"{label}: {text}" for label, text in details(finding, names)]
    return f"::{level} {said}::{'%0A'.join(sanitize.workflow_data(part) for part in parts)}"
