"""Markdown for a comment on a pull request: the verdict, what was found, what differs; never longer than a comment.

Each part is written as long as there is room: findings (gravest first) before drift's changes, skips last; what is left
out is counted. The first line is a mark by which a CI job finds its own comment again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from doctor.model.report import Finding, Report, Severity
from doctor.report import drift, totals
from doctor.report.context import Context
from doctor.report.evidence import details
from doctor.report.place import worst_first
from doctor.report.sanitize import markdown as text
from doctor.report.sanitize import markdown_code as code
from doctor.report.verdicts import areas

MARK = "<!-- kdoctor report -->"
MAX_COMMENT = 65_536
_TAIL = 200
_MAX_TEXT = 600


def render(report: Report, context: Context) -> str:
    """A comment; ends with a newline."""
    return compose(report, context, MAX_COMMENT)


def compose(report: Report, context: Context, limit: int) -> str:
    """The report in at most ``limit`` bytes of UTF-8, of which the head needs about a thousand."""
    writer = _Writer(limit)
    writer.add(_head(report, context))
    if report.notes:
        writer.section("### Not looked at", (f"- {text(n.what)}: {text(n.why)}\n" for n in report.notes), "more")
    if report.cases:
        verdicts = (f"- **{text(area.name, 300)}** {text(area.text)}\n" for area in areas(report))
        writer.section("### Verdicts", verdicts, "more")
    if report.drift is not None:
        rows = (
            f"- **{name}** {text(said, _MAX_TEXT)}\n"
            for _, name, said in drift.facts(report.drift)
            if name != drift.SHORT
        )
        writer.section("### Drift", rows, "more lines")
    names = {finding.code: finding.name for finding in report.findings}
    told = [finding for finding in worst_first(report) if _matters(finding, report, context)]
    if told:
        items = (_finding(finding, names, report) for finding in told)
        writer.section("### Findings", items, "more findings, in the full report")
    if report.changes:
        writer.section(
            "### Changes\n\n| | name | a | b |\n| --- | --- | --- | --- |", _changes(report.changes), "more changes"
        )
    infos = [finding for finding in worst_first(report) if not _matters(finding, report, context)]
    if infos:
        items = (_finding(finding, names, report) for finding in infos)
        title = f"<details><summary>{totals.count(len(infos), 'info')}</summary>"
        writer.section(title, items, "more", close="\n</details>\n")
    if report.log:
        title = "<details><summary>Lines of the log that are no findings</summary>"
        lines = (f"- {code(row.line, 300)}: {text(totals.meaning(row), 300)}\n" for row in report.log)
        writer.section(title, lines, "more", close="\n</details>\n")
    if report.skipped:
        title = f"<details><summary>{totals.count(len(report.skipped), 'rule')} skipped</summary>"
        writer.section(title, _skips(report), "more", close="\n</details>\n")
    return writer.text()


def _matters(finding: Finding, report: Report, context: Context) -> bool:
    """Whether a reviewer should read it: all but infos that do not fail the run, which are folded away."""
    return finding.severity is not Severity.INFO or totals.fails(finding, report, context)


class _Writer:
    """Text that grows up to a limit; what would not fit is counted."""

    def __init__(self, limit: int) -> None:
        self.room = limit - _TAIL
        self.parts: list[str] = []

    def add(self, part: str) -> bool:
        size = len(part.encode(errors="backslashreplace"))
        if size > self.room:
            return False
        self.room -= size
        self.parts.append(part)
        return True

    def section(self, title: str, items: Iterable[str], rest: str, close: str = "") -> None:
        """A heading and as many of its items as there is room for; ``close`` always follows where it was opened."""
        room = len(close.encode()) + len(rest) + 40
        if self.room < room + len(title.encode()) + 4:
            return
        glue = "\n" if title.endswith("|") else "\n\n"
        self.add(f"\n{title}{glue}")
        self.room -= room
        left_out = 0
        for item in items:
            if left_out or not self.add(item):
                left_out += 1
        self.room += room
        if left_out:
            self.add(f"\n… and {left_out} {rest}\n")
        if close:
            self.add(close)

    def text(self) -> str:
        return "".join(self.parts)


def _head(report: Report, context: Context) -> str:
    word = {"fail": "failed", "incomplete": "incomplete"}.get(report.verdict, "passed")
    found = f"{totals.findings_line(report)} {totals.rules_line(report)}."
    short = drift.sentence(report.drift) if report.drift is not None else None
    why = [f"**{text(short, _MAX_TEXT)}**", ""] if short is not None else []
    gate = text(totals.gate_line(report, context))
    lines = [MARK, f"## kdoctor: {word}", "", *why, gate if why else f"**{gate}**", "", text(found)]
    return "\n".join(lines) + "\n"


def _finding(finding: Finding, names: Mapping[str, str], report: Report) -> str:
    severity = (finding.severity or Severity.INFO).value
    place = finding.location
    where = [code(totals.judged_on(finding, report), 300)] if place is None or len(report.subjects) > 1 else []
    if place is not None:
        where.append(code(":".join(str(p) for p in (place.path, place.line, place.column) if p is not None), 300))
    lines = [f"- **{severity} {finding.code}** {text(finding.message, _MAX_TEXT)} ({', '.join(where)})"]
    lines += [f"  - {label}: {text(said, _MAX_TEXT)}" for label, said in details(finding, names)]
    return "\n".join(lines) + "\n"


def _changes(changes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in changes:
        cells = [text(row.get("what", ""), 80), text(row.get("name") or "", 120)]
        cells += [text("–" if row.get(side) is None else row[side], 200) for side in ("a", "b")]
        yield f"| {' | '.join(cells)} |\n"


def _skips(report: Report) -> Iterator[str]:
    for rules, reason, helps in totals.skips(report):
        help_ = f" Would help: {text(helps, 200)}" if helps else ""
        yield f"- {text(rules, 600)}: {text(reason, 300)}.{help_}\n"
