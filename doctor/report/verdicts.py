"""The gate's verdicts as the lines that open a screen: one a subject and machine."""

from __future__ import annotations

import re

from doctor.model.report import CaseRow, Report
from doctor.report.context import Area

_MARKS = {"pass": "ok", "fail": "error", "incomplete": "warning"}
_MOST = 6


def areas(report: Report) -> list[Area]:
    """One line a case: its verdict, the codes of what stands against it, and what its canary came to."""
    return [Area(_MARKS.get(row.verdict, "none"), short_digest(row.subject), f" {_text(row)}") for row in report.cases]


def short_digest(name: str) -> str:
    """An image's name with twelve figures of its digest, as engines show it."""
    return re.sub(r"@sha256:([0-9a-f]{12})[0-9a-f]{52}$", r"@sha256:\1", name)


def _text(row: CaseRow) -> str:
    parts = [f"on {row.machine}: {_verdict(row)}" if row.machine else _verdict(row)]
    if row.drift is not None:
        parts.append(f"canary {row.drift}" + (f", accuracy {row.accuracy}" if row.accuracy else ""))
    return "; ".join(parts)


def _verdict(row: CaseRow) -> str:
    if row.verdict == "incomplete":
        return "could not be looked at in full"
    if row.verdict == "pass":
        return "passes"
    more = f" and {len(row.against) - _MOST} more" if len(row.against) > _MOST else ""
    return f"fails by {', '.join(row.against[:_MOST])}{more}"
