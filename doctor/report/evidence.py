"""The lines under a finding: found, expected, effect, fix, verify, cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from doctor.model.facts import Facts, is_known
from doctor.model.report import Confidence, Evidence, Finding
from doctor.report import sanitize

_SHOWN = 4
_ITEMS = 5


def details(finding: Finding, names: Mapping[str, str], *, verbose: bool = False) -> Iterator[tuple[str, str]]:
    """Label and text of each line, ready for a terminal. ``names``: the names of the codes that stand in the report."""
    found = [row for row in finding.evidence if not is_expectation(row)]
    shown = found if verbose else found[:_SHOWN]
    for row in shown:
        yield "found", _fact(row, verbose=verbose)
    if len(found) > len(shown):
        yield "found", f"and {len(found) - len(shown)} more (-v)"
    for row in finding.evidence:
        if is_expectation(row):
            yield "expected", sanitize.line(_value(row.value))
    if finding.effect:
        yield "effect", sanitize.line(finding.effect)
    if finding.fix:
        yield "fix", sanitize.line(finding.fix)
    if finding.verify:
        yield "verify", sanitize.line(finding.verify)
    if finding.caused_by:
        yield "cause", sanitize.line(", ".join(f"{code} {names.get(code, '')}".strip() for code in finding.caused_by))
    if verbose or finding.confidence is Confidence.LOW:
        yield "certainty", finding.confidence.value


def is_expectation(row: Evidence) -> bool:
    """Whether a row of evidence says what should be there, not what is: a fact named ``expected`` or from a table."""
    return row.fact == "expected" or row.fact.startswith(("expected.", "tables.")) or row.source.startswith("tables")


def _fact(row: Evidence, *, verbose: bool) -> str:
    value = sanitize.line(_value(row.value))
    if row.fact == "found":
        return value
    name = row.fact if verbose else row.fact.removeprefix("machine.").removeprefix("software.")
    text = f"{sanitize.line(name)} {value}"
    return text if row.source == "snapshot" else f"{text} ({sanitize.line(row.source)})"


def _value(value: Any) -> str:
    """A fact as a person writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Facts):
        known_fields = (getattr(value, field) for field in value.__struct_fields__)
        return ", ".join(
            _value(item) for item in known_fields if is_known(item) and not isinstance(item, (bool, tuple))
        )
    if isinstance(value, dict):
        pairs = [f"{key} {_value(item)}" for key, item in list(value.items())[:_ITEMS] if item is not None]
        return ", ".join(pairs) + (", …" if len(value) > _ITEMS else "")
    if isinstance(value, (list, tuple)):
        if not value:
            return "none"
        more = f" and {len(value) - _ITEMS} more" if len(value) > _ITEMS else ""
        divider = "; " if isinstance(value[0], (Facts, dict)) else ", "
        return divider.join(_value(item) for item in value[:_ITEMS]) + more
    return str(value) if value != "" else "(empty)"
