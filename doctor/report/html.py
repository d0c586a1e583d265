"""HTML: one self-contained page that asks no network and needs no script; for phones, dark screens and paper.

A policy in its head forbids scripts and every request, so that nothing that slips into a string can act or phone home.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from doctor import __version__, catalogue
from doctor.errors import UsageError
from doctor.model.report import Finding, Report, Severity
from doctor.report import drift, excerpt, sanitize, totals
from doctor.report.changes import not_computing
from doctor.report.context import Context
from doctor.report.evidence import details
from doctor.report.place import worst_first
from doctor.report.plots import Plot, plots

MAX_FINDINGS = 2_000
MAX_SKIPS = 2_000
_TEMPLATES = Path(__file__).resolve().parent / "templates"
_EXCERPT_WIDTH = 160
_MAX_TEXT = 600
_INSTALL = "pip install 'keras-doctor[report]'"
_FIGURES = {
    "accuracy": "mean accuracy",
    "seeds": "seeds",
    "device": "device",
    "determinism": "determinism",
    "final_sha256": "final weights, own start",
    "pinned_sha256": "final weights, given start",
    "seconds": "seconds",
}
_WORDS = {"fail": "failed", "incomplete": "incomplete", "pass": "passed"}


def render(report: Report, context: Context) -> str:
    """The page; ends with a newline.

    Raises:
        UsageError: the template engine, an optional dependency, is not installed.
    """
    try:
        import jinja2  # noqa: PLC0415 - only this format needs it
    except ImportError:
        raise UsageError(f"--format html: jinja2 is not installed: {_INSTALL}") from None

    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["line"] = sanitize.line
    return templates.get_template("report.html").render(**_values(report, context)).rstrip() + "\n"


def _values(report: Report, context: Context) -> dict[str, Any]:
    """What the template shows. Strings from outside go through its filter ``line``, or were made harmless here."""
    findings = worst_first(report)
    names = {finding.code: finding.name for finding in findings}
    shown = findings[:MAX_FINDINGS]
    drawn, undrawn = _plots(report.drift)
    skips = totals.skips(report)
    others = [row for row in report.changes or () if row.get("computes") is False]
    return {
        "report": report,
        "context": context,
        "version": report.tool.get("version", __version__),
        "word": _WORDS.get(report.verdict, report.verdict),
        "words": _WORDS,
        "totals": [totals.findings_line(report), totals.rules_line(report)],
        "gate": totals.gate_line(report, context),
        "findings": [_finding(finding, names, report) for finding in shown],
        "findings_left_out": len(findings) - len(shown),
        "skips": skips[:MAX_SKIPS],
        "skips_left_out": max(0, len(skips) - MAX_SKIPS),
        "meaning": totals.meaning,
        "changes": report.changes or (),
        "others": others,
        "folded": not_computing(len(others)),
        "canaries": _canaries(report),
        "short": drift.sentence(report.drift) if report.drift is not None else None,
        "passed": sorted({row.code for row in report.passed}),
        "inapplicable": sorted({row.code for row in report.inapplicable}),
        "drift": [row for row in drift.facts(report.drift) if row[1] != drift.SHORT] if report.drift else [],
        "plots": drawn,
        "undrawn": undrawn,
        "sides": _sides(report),
        "pages": [rule for rule in catalogue.rules() if rule.code in names],
    }


def _sides(report: Report) -> tuple[str, str]:
    """Names of the first and the second environment; a gate's, or a single one, was held against a record."""
    held = (report.drift or {}).get("subject")
    if held:
        return "the accepted reference", str(held)
    names = [row.name for row in report.subjects]
    if len(names) == 1:
        return "what it was held against", names[0]
    return (names[0], names[1]) if names else ("the first", "the second")


def _canaries(report: Report) -> list[tuple[str, str, str]]:
    """What each canary's run came to, side by side; empty where a comparison has not both."""
    sides = [(report.canary or {}).get(side) for side in ("a", "b")]
    if not all(isinstance(side, Mapping) for side in sides):
        return []
    rows = [(words, *(_figure(side, key) for side in sides)) for key, words in _FIGURES.items()]
    return [(words, a, b) for words, a, b in rows if a or b]


def _figure(side: Any, key: str) -> str:
    value = side.get(key)
    if value is None:
        return ""
    if key == "accuracy":
        return f"{drift.fixed(value, 4)} ± {drift.fixed(side.get('accuracy_sd'), 4)} between seeds"
    if key == "seconds":
        return drift.fixed(value, 1)
    return str(value)[:12] if key.endswith("sha256") else str(value)


def _plots(found: Mapping[str, Any] | None) -> tuple[list[Plot], str]:
    """The plots, and why there are none."""
    if found is None:
        return [], ""
    try:
        return plots(found), ""
    except ImportError:
        return [], f"matplotlib is not installed: {_INSTALL}"


def _finding(finding: Finding, names: Mapping[str, str], report: Report) -> dict[str, Any]:
    place = finding.location
    where = ""
    if place is not None:
        where = ":".join(str(part) for part in (place.path, place.line, place.column) if part is not None)
    lines, labelled = excerpt.lines(finding, _EXCERPT_WIDTH)
    rows = details(finding, names)
    return {
        "code": finding.code,
        "severity": (finding.severity or Severity.INFO).value,
        "message": finding.message,
        "where": where,
        "subject": totals.judged_on(finding, report) if len(report.subjects) > 1 or not where else "",
        "excerpt": "\n".join(_short(line) for line in lines[1:]),
        "details": [(label, _short(text)) for label, text in rows if not (label == "effect" and labelled)],
    }


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"
