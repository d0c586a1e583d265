"""What differs between two environments, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from doctor.report import sanitize
from doctor.report.totals import count

_MANY = 60
_NAMED = 6


def lines(changes: Sequence[Mapping[str, Any]], *, verbose: bool = False) -> list[str]:
    """One line a change, ``package  keras  2.15.0 → 3.15.1``; a side without a value is a dash."""
    if not changes:
        return ["Nothing differs in what is known of both."]
    others = [] if verbose else [row for row in changes if row.get("computes") is False]
    changes = [row for row in changes if row not in others] if others else changes
    shown = changes if verbose else changes[:_MANY]
    rows = [(sanitize.line(row.get("what", "")), sanitize.line(row.get("name") or ""), row) for row in shown]
    kinds, names = (min(40, max((len(row[column]) for row in rows), default=0)) for column in (0, 1))
    out = [f"  {kind:{kinds}}  {name:{names}}  {_side(row, 'a')} → {_side(row, 'b')}" for kind, name, row in rows]
    rest = len(changes) - len(shown)
    if rest:
        out.append(f"  and {rest} more (-v)")
    if others:
        listed = ", ".join(sanitize.line(row.get("name") or "") for row in others[:_NAMED])
        listed += ", …" if len(others) > _NAMED else ""
        out.append(f"  and {not_computing(len(others))} (-v): {listed}")
    return out


def not_computing(number: int) -> str:
    """``3 packages that take no part in computing``."""
    return f"{count(number, 'package')} that take{'s' * (number == 1)} no part in computing"


def _side(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return "–" if value is None else sanitize.line(value, 200)
