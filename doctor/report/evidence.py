"""The lines under a finding: found, expected, effect, fix, verify, cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from doctor.model.facts import Facts, is_known
from doctor.model.report import KNOWN_CHANGE, Confidence, Evidence, Finding
from doctor.report import sanitize

_SHOWN = 6
_ITEMS = 5


def details(finding: Finding, names: Mapping[str, str], *, verbose: bool = False) -> Iterator[tuple[str, str]]:
    """Label and text of each line, ready for a terminal. ``names``: the names of the codes that stand in the report."""
    found = list(_found(finding, verbose=verbose))
    for text in found if verbose else found[:_SHOWN]:
        yield "found", text
    if len(found) > _SHOWN and not verbose:
        yield "found", f"and {len(found) - _SHOWN} more (-v)"
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


def _found(finding: Finding, *, verbose: bool) -> Iterator[str]:
    """One text a fact; what both sides of a comparison say of one thing is one.

    Where the message lists such pairs (and counts those that it has no room for), they are not listed again.
    """
    rows = [row for row in finding.evidence if not is_expectation(row)]
    if verbose:
        yield from (_fact(row, verbose=True) for row in rows)
        return
    sides = {(row.fact[:2], row.fact[2:]): row for row in rows if row.fact.startswith(("a.", "b."))}
    pairs = {}
    for name in dict.fromkeys(name for _, name in sides):
        a, b = sides.get(("a.", name)), sides.get(("b.", name))
        if a is not None and b is not None:
            pairs[name] = sanitize.line(f"{_name(name)} {_value(a.value)} → {_value(b.value)}")
    if any(text.replace("none", "(none)") in finding.message for text in pairs.values()):
        pairs = dict.fromkeys(pairs, "")
    told = set()
    for row in rows:
        name = row.fact[2:]
        if row.fact[:2] not in ("a.", "b.") or name not in pairs:
            yield _fact(row, verbose=False)
        elif name not in told:
            told.add(name)
            if pairs[name]:
                yield pairs[name]


def is_expectation(row: Evidence) -> bool:
    """Whether a row of evidence says what should be there, not what is: a fact named ``expected`` or from a table."""
    return row.fact == "expected" or row.fact.startswith(("expected.", "tables.")) or row.source.startswith("tables")


def _fact(row: Evidence, *, verbose: bool) -> str:
    value = sanitize.line(_value(row.value))
    if row.fact == "found":
        return value
    text = f"{sanitize.line(row.fact if verbose else _name(row.fact))} {value}"
    return text if row.source in ("snapshot", KNOWN_CHANGE) else f"{text} ({sanitize.line(row.source)})"


def _name(fact: str) -> str:
    return fact.removeprefix("machine.").removeprefix("software.")


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
