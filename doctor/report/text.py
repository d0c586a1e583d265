"""Text: what a person reads on a terminal.

One header line, one line an area, one block a finding, the totals, the gate's verdict. Written with plain escape
sequences: importing a library for it would cost a third of the time that a whole ``check`` may take.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from doctor import __version__
from doctor.model.report import Finding, Fixes, Report, Severity
from doctor.report import changes, drift, excerpt, fixes, sanitize, totals
from doctor.report.context import Context
from doctor.report.evidence import details

_STYLES = {
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "info": "\x1b[1;34m",
    "ok": "\x1b[32m",
    "none": "\x1b[2m",
    "dim": "\x1b[2m",
    "bold": "\x1b[1m",
}
_RESET = "\x1b[0m"
_MARKS = {"ok": "✓", "warning": "!", "error": "✗", "info": "✓", "none": "–"}
_AREA_WIDTH = 14
_LABEL_WIDTH = 10
_MANY = 40
_MOST_ALIKE = 3  # findings of mere information by one rule that are shown in full
_MOST_PLACES = 6


def render(report: Report, context: Context) -> str:
    """The report as a screen of ``context.width`` columns; a path or a command longer than that stays whole."""
    screen = _Screen(context)
    lines: list[str] = []
    if not context.quiet:
        head = _head(report, screen)
        lines += [*_header(report, screen), "", *head, *([""] if head else [])]
    if report.drift is not None:
        lines += [screen.paint("Drift", "bold")]
        for mark, name, said in drift.lines(report.drift):
            lines += _area(mark, name, said, _AREA_WIDTH, screen)
        lines.append("")
    if report.changes is not None:
        listed = changes.lines(report.changes, verbose=context.verbose)
        lines += [screen.paint("Changes", "bold"), *(part for row in listed for part in screen.wrap_row(row)), ""]
    for group, alike in _folded(_groups(report.findings), verbose=context.verbose):
        lines += [*_block(group, report, screen), *_alike(alike, screen), ""]
    lines += _fixes(report, screen)
    lines += _log(report, screen)
    lines += _notes(report, screen)
    if context.show_skipped:
        lines += _skipped(report, screen)
    if context.verbose:
        lines += _quiet_outcomes(report, screen)
    lines += _totals(report, screen)
    text = sanitize.screen("\n".join(lines) + "\n")
    return text if context.unicode else sanitize.ascii_only(text)


class _Screen:
    """Painting and wrapping for one terminal."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def paint(self, text: str, style: str) -> str:
        """``text`` in a colour, where colours are wanted."""
        return f"{_STYLES[style]}{text}{_RESET}" if self.context.color and text else text

    def wrap(self, text: str, first: str = "", rest: str = "") -> list[str]:
        """Lines of at most the width; words are never broken, so that a command can be copied."""
        return textwrap.wrap(
            text,
            self.context.width,
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [first.rstrip()]

    def wrap_row(self, row: str) -> list[str]:
        """A row of a table; one that is too long goes on below, indented."""
        return [row] if len(row) <= self.context.width else self.wrap(row.strip(), "  ", "      ")


def _header(report: Report, screen: _Screen) -> list[str]:
    tables = report.tool.get("tables")
    parts = (*screen.context.header, *((f"tables {tables}",) if tables else ()))
    shown = [f"kdoctor {report.tool.get('version', __version__)}", *(sanitize.line(part) for part in parts)]
    lines, width = [shown[0]], screen.context.width
    for part in shown[1:]:
        if len(lines[-1]) + 2 + len(part) <= width:
            lines[-1] += f"  {part}"
        else:
            lines += screen.wrap(part, "  ", "    ")
    lines[0] = lines[0].replace("kdoctor", screen.paint("kdoctor", "bold"), 1)
    return lines


def _head(report: Report, screen: _Screen) -> list[str]:
    if len(report.subjects) > 1 and not screen.context.areas:
        return _subjects(report, screen)
    lines = []
    for area in screen.context.areas:
        lines += _area(area.mark, area.name, area.text, _AREA_WIDTH, screen)
    return lines


def _area(mark: str, name: str, text: str, width: int, screen: _Screen) -> list[str]:
    """A line with its mark; the mark is painted after wrapping, so that colour takes no room."""
    sign, title = _MARKS[mark], sanitize.line(name)
    gap = "  " if len(title) >= width else ""
    lines = screen.wrap(sanitize.line(text), f"  {sign} {title:{width}}{gap}", " " * (width + 4))
    lines[0] = lines[0].replace(sign, screen.paint(sign, mark), 1)
    return lines


def _subjects(report: Report, screen: _Screen) -> list[str]:
    """One line a subject; of very many, those with something to say."""
    mine: dict[str, list[Finding]] = {}
    for finding in report.findings:
        mine.setdefault(finding.subject, []).append(finding)
    skips: dict[str, int] = {}
    for skip in report.skipped:
        skips[skip.subject] = skips.get(skip.subject, 0) + 1
    rows = list(report.subjects)
    if len(rows) > _MANY:
        rows = [row for row in rows if row.name in mine or row.verdict != "pass"][:_MANY]
    width = min(40, max((len(sanitize.line(row.name)) for row in rows), default=0) + 3)
    lines = []
    for row in rows:
        findings = mine.get(row.name, [])
        worst = max((f.severity or Severity.INFO for f in findings), key=lambda s: s.weight, default=None)
        mark = worst.value if worst else "none" if row.verdict == "incomplete" else "ok"
        text = totals.by_severity(findings) or "nothing found"
        if skips.get(row.name):
            text += f", {totals.count(skips[row.name], 'rule')} skipped"
        lines += _area(mark, row.name, text, width, screen)
    rest = len(report.subjects) - len(rows)
    return lines + ([f"    and {totals.count(rest, 'more subject')}"] if rest else [])


def _groups(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Findings that say the same of several subjects stand in one block, at the place of the first."""
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        place = finding.location
        where = (place.path, place.line, place.column) if place else None
        key = (finding.code, finding.severity, finding.message, finding.effect, finding.fix, where)
        groups.setdefault(key, []).append(finding)
    return list(groups.values())


def _folded(groups: list[list[Finding]], *, verbose: bool) -> Iterator[tuple[list[Finding], list[list[Finding]]]]:
    """The groups that are shown in full, each with those that it stands for.

    What is mere information would fill the screen where a project has many scripts: of one rule only the first few are
    shown, and the last of them names the places of the rest.
    """
    alike: dict[str, list[list[Finding]]] = {}
    for group in groups:
        if group[0].severity is Severity.INFO and group[0].location is not None:
            alike.setdefault(group[0].code, []).append(group)
    rest = {id(some[_MOST_ALIKE - 1]): some[_MOST_ALIKE:] for some in alike.values() if len(some) > _MOST_ALIKE + 1}
    hidden = set() if verbose else {id(group) for some in rest.values() for group in some}
    for group in groups:
        if id(group) not in hidden:
            yield group, [] if verbose else rest.get(id(group), [])


def _alike(groups: list[list[Finding]], screen: _Screen) -> list[str]:
    """One line for findings that are not shown in full: where they are."""
    if not groups:
        return []
    places = [group[0].location for group in groups]
    named = [f"{place.path}:{place.line}" if place.line else place.path for place in places if place is not None]
    more = len(named) - _MOST_PLACES
    shown = ", ".join(named[:_MOST_PLACES]) + (f" and {more} more" if more > 0 else "")
    return screen.wrap(sanitize.line(f"{len(named)} more like it (-v shows each): {shown}"), "   + ", "     ")


def _block(group: list[Finding], report: Report, screen: _Screen) -> Iterator[str]:
    finding = group[0]
    severity = (finding.severity or Severity.INFO).value
    code = f"{severity}[{finding.code}]"
    head = screen.wrap(f"{code} {sanitize.line(finding.message)}", "", "  ")
    head[0] = head[0].replace(code, screen.paint(code, severity), 1)
    yield from head
    arrow = screen.wrap(sanitize.line(_place(group, report)), "  --> ", "      ")
    arrow[0] = arrow[0].replace("-->", screen.paint("-->", "dim"), 1)
    yield from arrow
    lines, labelled = excerpt.lines(finding, screen.context.width)
    yield from lines
    names = {other.code: other.name for other in report.findings}
    for label, text in details(finding, names, verbose=screen.context.verbose):
        if label == "effect" and labelled:
            continue
        first = f"   = {label:{_LABEL_WIDTH}}"
        wrapped = screen.wrap(text, first, " " * len(first))
        wrapped[0] = wrapped[0].replace("=", screen.paint("=", "dim"), 1)
        yield from wrapped


def _place(group: list[Finding], report: Report) -> str:
    """Where: the file, and the subjects (with their machines) unless there is only one and it needs no naming."""
    place = group[0].location
    path = ""
    if place is not None:
        path = ":".join(str(part) for part in (place.path, place.line, place.column) if part is not None)
    names = list(dict.fromkeys(totals.judged_on(finding, report) for finding in group))
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    only = len(report.subjects) <= 1 and len(names) == 1
    if path and (only or path.split(":", 1)[0] == shown):
        return path
    return f"{shown}: {path}" if path else shown


def _fixes(report: Report, screen: _Screen) -> list[str]:
    """What was offered to be mended, or was: a diff is never wrapped."""
    if not isinstance(report.fixes, Fixes):
        return []
    lines = [screen.paint("Fixes", "bold")]
    for kind, text in fixes.lines(report.fixes):
        if kind == "diff":
            style = {"+": "ok", "-": "error", "@": "info"}.get(text[:1])
            lines.append("  " + (screen.paint(text, style) if style and text[:3] not in ("+++", "---") else text))
        elif kind == "command":
            lines.append("    " + text)
        else:
            lines += screen.wrap(sanitize.line(text), "  – " if kind == "item" else "  ", "    ")
    return [*lines, ""]


def _log(report: Report, screen: _Screen) -> list[str]:
    """Lines of the log that are no findings, with what they mean."""
    if not report.log:
        return []
    lines = [screen.paint("Log, no findings", "bold")]
    for row in report.log:
        mark, word = ("✓", "harmless, ") if row.harmless else ("–", "")
        lines += screen.wrap(f"{sanitize.line(row.line)}: {word}{sanitize.line(row.meaning)}", f"  {mark} ", "    ")
    return [*lines, ""]


def _notes(report: Report, screen: _Screen) -> list[str]:
    if not report.notes:
        return []
    lines = [screen.paint("Not looked at", "bold")]
    for note in report.notes:
        lines += screen.wrap(f"{sanitize.line(note.what)}: {sanitize.line(note.why)}", "  ! ", "    ")
    return [*lines, ""]


def _skipped(report: Report, screen: _Screen) -> list[str]:
    """The rules that could not be judged, one line for each reason, with what would help."""
    if not report.skipped:
        return []
    many = len(report.subjects) > 1
    lines = [screen.paint("Skipped", "bold")]
    for skip in report.skipped:
        subject = f"{skip.subject}: " if many else ""
        lines += screen.wrap(sanitize.line(f"{skip.code} {skip.name}: {subject}{skip.reason}"), "  – ", "    ")
        if skip.would_help:
            lines += screen.wrap(sanitize.line(skip.would_help), "      would help: ", "        ")
    return [*lines, ""]


def _quiet_outcomes(report: Report, screen: _Screen) -> list[str]:
    """Passed and inapplicable rules by code, for the reader who asked for everything."""
    lines = []
    passed = sorted({row.code for row in report.passed})
    if passed:
        lines += screen.wrap(f"Passed: {' '.join(passed)}", "", "  ")
    reasons: dict[str, set[str]] = {}
    for row in report.inapplicable:
        reasons.setdefault(row.reason, set()).add(row.code)
    for reason, codes in sorted(reasons.items()):
        lines += screen.wrap(f"Inapplicable ({sanitize.line(reason)}): {' '.join(sorted(codes))}", "", "  ")
    return [*lines, ""] if lines else []


def _totals(report: Report, screen: _Screen) -> list[str]:
    context = screen.context
    hint = "" if context.show_skipped else " (--show-skipped)"
    found, rules = totals.findings_line(report), totals.rules_line(report, hint)
    fits = len(found) + 2 + len(rules) <= context.width
    lines = [f"{found}  {rules}"] if fits else [*screen.wrap(found), *screen.wrap(rules, "", "  ")]
    gate = screen.wrap(totals.gate_line(report, context), "", "  ")
    word = {"fail": "error", "incomplete": "warning"}.get(report.verdict, "ok")
    head, colon, tail = gate[0].partition(":")
    lines += [screen.paint(head, word) + colon + tail, *gate[1:]]
    time = "" if context.seconds is None else f", {context.seconds:.2f} s"
    return [*lines, screen.paint(f"exit code {report.exit_code}{time}", "dim")]
