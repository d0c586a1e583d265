"""Suppressions: findings that somebody chose to live with, by policy or by a comment in a file, until a date.

A suppression whose date has passed suppresses nothing any more; rule KD904 says so.
"""

from __future__ import annotations

import datetime
import fnmatch
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from doctor.case import Case
from doctor.catalogue import matches
from doctor.model.facts import known
from doctor.model.report import Finding, Suppressed
from doctor.model.snapshot import Project, Snapshot, Subject
from doctor.settings import Settings


class Suppression(msgspec.Struct, frozen=True):
    """One suppression in force.

    ``path`` and ``subject`` are patterns. ``owner``: the one subject whose files it stands in; ``lines``: the lines
    that it covers there. None covers all.
    """

    codes: tuple[str, ...]
    path: str | None = None
    subject: str | None = None
    owner: str | None = None
    lines: frozenset[int] | None = None
    reason: str = ""
    until: str | None = None

    def covers(self, finding: Finding) -> bool:
        """Whether this is a finding that it speaks of."""
        if not matches(finding.code, finding.name, self.codes) or self.owner not in (None, finding.subject):
            return False
        if self.subject is not None and not fnmatch.fnmatchcase(finding.subject, self.subject):
            return False
        place = finding.location
        if self.path is not None and (place is None or not fnmatch.fnmatchcase(place.path, self.path)):
            return False
        if self.lines is None:
            return True
        if place is None or place.line is None:
            return False
        return not self.lines.isdisjoint(range(place.line, max(place.line, place.end_line or 0) + 1))


def date_of(text: Any) -> datetime.date | None:
    """The day that an ISO date or time names; None where it names none."""
    try:
        return datetime.date.fromisoformat(str(text)[:10])
    except ValueError:
        return None


def from_policy(settings: Settings, today: datetime.date) -> tuple[Suppression, ...]:
    """The policy's suppressions that are in force on ``today``."""
    return tuple(
        Suppression(
            (row.code,),
            path=row.path,
            subject=row.subject,
            reason=row.reason,
            until=row.until.isoformat() if row.until else None,
        )
        for row in settings.suppressions
        if row.until is None or row.until >= today
    )


def from_files(case: Case, today: datetime.date) -> tuple[Suppression, ...]:
    """The suppressions that stand in the project's files, in force on the day of the snapshot (else ``today``).

    A comment covers its own line and the first line below the block of such comments that it stands in. Rows that
    make no sense cover nothing; one with a date that nobody can read is not in force.
    """
    day = date_of(known(case.snapshot.collected_at)) or today
    rows = [row for row in known(case.project.suppressions) or () if _is_sound(row)]
    comments = {(row["path"], row["line"]) for row in rows}
    found = []
    for row in rows:
        until = row.get("until")
        last = date_of(until) if until is not None else datetime.date.max
        if last is None or last < day:
            continue
        path, line = row["path"], row["line"]
        below = line + 1
        while (path, below) in comments:
            below += 1
        reason = row.get("reason")
        found.append(
            Suppression(
                tuple(row["codes"]),
                path=_literal(path),
                owner=case.subject.name,
                lines=frozenset((line, below)),
                reason=reason if isinstance(reason, str) else "",
                until=str(until) if until is not None else None,
            )
        )
    return tuple(found)


def policy_case(settings: Settings, today: datetime.date) -> Case | None:
    """The policy's own suppressions as a case, so that the rules judge them as they judge those in files."""
    if not settings.suppressions:
        return None
    path, _, line = settings.origin("suppressions").rpartition(":")
    rows = tuple(
        {
            "path": path or line,
            "line": int(line) if path and line.isdigit() else None,
            "codes": [row.code],
            "reason": row.reason,
            "until": row.until.isoformat() if row.until else None,
        }
        for row in settings.suppressions
    )
    return Case(
        Snapshot(
            subject=Subject(kind="policy", name=path or line, collected="static"),
            collected_at=today.isoformat(),
            project=Project(suppressions=rows),
        )
    )


def apply(
    findings: Sequence[Finding], suppressions: Iterable[Suppression]
) -> tuple[list[Finding], list[tuple[Finding, Suppressed]]]:
    """The findings that stand, and those that are suppressed with the row that says why."""
    by_owner: dict[str | None, list[Suppression]] = {}
    for one in suppressions:
        by_owner.setdefault(one.owner, []).append(one)
    standing: list[Finding] = []
    gone: list[tuple[Finding, Suppressed]] = []
    for finding in findings:
        active = (*by_owner.get(None, ()), *by_owner.get(finding.subject, ()))
        by = next((one for one in active if one.covers(finding)), None)
        if by is None:
            standing.append(finding)
        else:
            gone.append((finding, row_of(finding, by.reason or None, by.until)))
    return standing, gone


def row_of(finding: Finding, reason: str | None, until: str | None = None) -> Suppressed:
    """The report's row for a finding that is suppressed."""
    return Suppressed(finding.code, finding.subject, reason, until, finding.fingerprint)


_LITERAL = str.maketrans({"[": "[[]", "*": "[*]", "?": "[?]"})


def _literal(text: str) -> str:
    return text.translate(_LITERAL)


def plain_path(pattern: str | None) -> str:
    """The path that a pattern of one file stands for."""
    return re.sub(r"\[([\[*?])\]", r"\1", pattern or "")


def _is_sound(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("path"), str)
        and isinstance(row.get("line"), int)
        and isinstance(row.get("codes"), (list, tuple))
        and all(isinstance(code, str) for code in row["codes"])
    )
