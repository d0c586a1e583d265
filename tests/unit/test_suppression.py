"""Suppressions by policy and by comments in files."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from doctor import suppression
from doctor.model.report import Finding, Location
from doctor.settings import PolicySuppression, Settings
from doctor.suppression import Suppression
from tests.support import case

TODAY = datetime.date(2026, 11, 21)


def finding(line: int | None = 3, path: str = "Dockerfile", **more: Any) -> Finding:
    values = {"code": "KD403", "name": "digest-missing", "subject": "host", **more}
    return Finding("not pinned", location=Location(path, line), **values)


def in_file(*rows: dict[str, Any], collected_at: str = "2026-11-21T00:00:00Z") -> tuple[Suppression, ...]:
    snapshot = {"collected_at": collected_at, "project": {"suppressions": list(rows)}}
    return suppression.from_files(case(snapshot), TODAY)


def comment(line: int, codes: tuple[str, ...] = ("KD403",), **more: Any) -> dict[str, Any]:
    return {"path": "Dockerfile", "line": line, "codes": list(codes), "reason": "why not", "until": None, **more}


@pytest.mark.parametrize("line", [3, 2])
def test_a_comment_covers_its_line_and_the_next(line: int) -> None:
    """On the line or above it."""
    (one,) = in_file(comment(line))
    assert one.covers(finding(3))
    assert not one.covers(finding(5))
    assert not one.covers(finding(3, path="other/Dockerfile"))


def test_comments_above_each_other_all_cover_the_line_below_them() -> None:
    """Two suppressions, one a line, above one instruction."""
    both = in_file(comment(1, ("KD403",)), comment(2, ("KD904",)))
    assert both[0].covers(finding(3))
    assert not both[0].covers(finding(4))


def test_a_comment_inside_an_instruction_covers_it() -> None:
    """An instruction of several lines is covered from any of them."""
    place = Location("Dockerfile", 3, end_line=6)
    (one,) = in_file(comment(5))
    assert one.covers(Finding("x", code="KD403", subject="host", location=place))


def test_codes_names_and_prefixes_name_a_rule() -> None:
    """``KD403``, ``digest-missing`` and ``KD4``; no other rule, and no codes suppress nothing."""
    assert in_file(comment(3, ("digest-missing",)))[0].covers(finding())
    assert in_file(comment(3, ("KD4",)))[0].covers(finding())
    assert not in_file(comment(3, ("KD401",)))[0].covers(finding())
    assert not in_file(comment(3, ()))[0].covers(finding())


def test_a_comment_is_in_force_until_its_day_is_over() -> None:
    """The last day counts; an unreadable date is not in force; the snapshot's own day decides."""
    assert in_file(comment(3, until="2026-11-21"))
    assert not in_file(comment(3, until="2026-11-20"))
    assert not in_file(comment(3, until="soon"))
    assert in_file(comment(3, until="2026-11-20"), collected_at="2026-11-01T00:00:00Z")


def test_a_comment_of_one_subject_does_not_cover_another() -> None:
    """Two projects in one run have a Dockerfile each."""
    (one,) = in_file(comment(3))
    assert not one.covers(finding(3, subject="other"))


def test_a_path_in_a_file_is_no_pattern() -> None:
    """A file called ``[a]*`` speaks of itself only."""
    (one,) = in_file(comment(3, path="[a]*"))
    assert one.covers(finding(3, path="[a]*"))
    assert not one.covers(finding(3, path="abc"))


@pytest.mark.parametrize(
    "row",
    [{}, {"path": 1, "line": 3, "codes": ["KD4"]}, {"path": "a", "line": "3", "codes": ["KD4"]}, {"codes": "KD4"}],
)
def test_rows_that_make_no_sense_suppress_nothing(row: dict[str, Any]) -> None:
    """A snapshot from elsewhere may hold anything."""
    assert in_file(row) == ()


def test_the_policy_suppresses_by_pattern_until_its_day() -> None:
    """Path and subject are patterns; without either the whole rule is meant; expired rows are left out."""
    rows = (
        PolicySuppression("KD403", path="legacy/*", reason="archive"),
        PolicySuppression("KD403", subject="test-*"),
        PolicySuppression("KD403", until=datetime.date(2026, 11, 20)),
    )
    by_path, by_subject = suppression.from_policy(Settings(suppressions=rows), TODAY)
    assert by_path.covers(finding(path="legacy/old/Dockerfile"))
    assert not by_path.covers(finding())
    assert not by_path.covers(Finding("x", code="KD403"))
    assert by_subject.covers(finding(subject="test-node"))
    assert not by_subject.covers(finding(subject="prod-node"))


def test_what_is_suppressed_is_kept_with_its_reason() -> None:
    """Nothing disappears: the row names rule, subject, reason, end and fingerprint."""
    one = Suppression(("KD403",), reason="archive", until="2027-01-01")
    standing, gone = suppression.apply([finding(fingerprint="v1:x"), finding(code="KD401")], [one])
    assert [f.code for f in standing] == ["KD401"]
    (_, row) = gone[0]
    assert (row.code, row.subject, row.reason, row.until, row.fingerprint) == (
        "KD403",
        "host",
        "archive",
        "2027-01-01",
        "v1:x",
    )
