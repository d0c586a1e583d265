"""KD904: suppressions whose date has passed."""

from __future__ import annotations

from typing import Any

from tests.support import compute


def project(*rows: dict[str, Any], collected_at: str | None = "2026-11-21T02:10:00Z") -> dict[str, Any]:
    snapshot: dict[str, Any] = {"project": {"suppressions": list(rows)}}
    return snapshot if collected_at is None else {**snapshot, "collected_at": collected_at}


def row(until: Any, **more: Any) -> dict[str, Any]:
    return {"path": "Dockerfile", "line": 3, "codes": ["KD403"], "reason": "new base", "until": until, **more}


def test_fires_the_day_after_the_last_day() -> None:
    """It names the rule that counts again, the date, and the place of the comment."""
    (finding,) = compute("KD904", project(row("2026-11-20"))).findings
    assert finding.message == "the suppression of KD403 ended on 2026-11-20"
    assert finding.location is not None
    assert (finding.location.path, finding.location.line) == ("Dockerfile", 3)


def test_passes_on_the_last_day_and_without_a_date() -> None:
    """The last day still counts; a suppression without an end never expires."""
    assert [p.code for p in compute("KD904", project(row("2026-11-21"), row(None))).passed] == ["KD904"]


def test_a_date_that_nobody_can_read_does_not_suppress() -> None:
    """``until soon`` is said to be no date."""
    (finding,) = compute("KD904", project(row("soon"))).findings
    assert "'soon' is no date" in finding.message


def test_is_skipped_where_the_day_or_the_files_are_not_known() -> None:
    """Without the snapshot's date, or without the project's files, nothing is claimed."""
    assert compute("KD904", project(row("2020-01-01"), collected_at=None)).skipped[0].reason.startswith("collected_at")
    assert compute("KD904", {}).skipped[0].reason.startswith("project.suppressions")


def test_is_inapplicable_where_nothing_is_suppressed() -> None:
    """An empty list is knowledge: there is no suppression."""
    assert compute("KD904", project()).inapplicable[0].reason == "nothing is suppressed"
