"""Concise: one line a finding, as editors and grep like it; the totals in the last line."""

from __future__ import annotations

from doctor.model.report import Finding, Report, Severity
from doctor.report import sanitize, totals
from doctor.report.context import Context


def render(report: Report, context: Context) -> str:
    """One line a finding: ``path:line:col: severity[KD…] message``; the subject stands where there is no path."""
    many = len(report.subjects) > 1
    lines = [_line(finding, totals.judged_on(finding, report), many=many) for finding in report.findings]
    lines += [f"{sanitize.line(note.what)}: not looked at: {sanitize.line(note.why)}" for note in report.notes]
    if context.show_skipped:
        lines += [
            f"{sanitize.line(skip.subject)}: skipped[{skip.code}] {sanitize.line(skip.reason)}"
            for skip in report.skipped
        ]
    lines.append(f"{totals.findings_line(report)} {totals.rules_line(report)}.")
    if not context.quiet:
        lines.append(totals.gate_line(report, context))
    text = sanitize.screen("\n".join(lines) + "\n")
    return text if context.unicode else sanitize.ascii_only(text)


def _line(finding: Finding, subject: str, *, many: bool) -> str:
    place = finding.location
    if place is None:
        where = subject
    else:
        where = ":".join(str(part) for part in (place.path, place.line, place.column) if part is not None)
        where = f"{subject}: {where}" if many else where
    severity = (finding.severity or Severity.INFO).value
    return f"{sanitize.line(where)}: {severity}[{finding.code}] {sanitize.line(finding.message)}"
