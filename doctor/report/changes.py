"""What differs between two environments, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from doctor.report import sanitize

_MANY = 60


def lines(changes: Sequence[Mapping[str, Any]], *, verbose: bool = False) -> list[str]:
    """One line a change, ``package  keras  2.15.0 → 3.15.1``; a side without a value is a dash."""
    if not changes:
        return ["Nothing differs in what is known of both."]
    shown = changes if verbose else changes[:_MANY]
    rows = [(sanitize.line(row.get("what", "")), sanitize.line(row.get("name") or ""), row) for row in shown]
    kinds, names = (min(40, max(len(row[column]) for row in rows)) for column in (0, 1))
    out = [f"  {kind:{kinds}}  {name:{names}}  {_side(row, 'a')} → {_side(row, 'b')}" for kind, name, row in rows]
    rest = len(changes) - len(shown)
    return [*out, f"  and {rest} more (-v)"] if rest else out


def _side(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return "–" if value is None else sanitize.line(value, 200)
