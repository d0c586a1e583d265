"""Concise: one line a finding."""

from __future__ import annotations

import msgspec

from doctor.model.report import Note, Report
from doctor.report import render
from doctor.report.context import Context


def test_one_line_a_finding_then_totals_and_gate(report: Report) -> None:
    """``path:line:col: severity[code] message``; the subject where there is no path."""
    assert render("concise", report, Context()).splitlines() == [
        "host: error[KD201] TensorFlow cannot load cuDNN",
        "Dockerfile:1:6: warning[KD403] base image is not pinned to a digest",
        "2 findings: 1 error, 1 warning. 6 rules: 2 passed, 2 failed, 1 skipped, 1 inapplicable.",
        "Gate failed: 1 finding at or above error (--fail-on error)",
    ]


def test_of_many_subjects_each_line_names_its_own(fleet: Report) -> None:
    """Nothing is grouped: every line stands alone, for grep."""
    lines = render("concise", fleet, Context()).splitlines()
    assert lines[0].startswith("node-a: error[KD201]")
    assert lines[3].startswith("node-b: Dockerfile:1:6: warning[KD403]")


def test_what_was_not_looked_at_is_a_line_too(report: Report) -> None:
    """Notes always, skips on request."""
    report = msgspec.structs.replace(report, notes=(Note("b.json", "not JSON"),))
    assert "b.json: not looked at: not JSON" in render("concise", report, Context())
    assert "skipped[KD108]" not in render("concise", report, Context())
    assert "host: skipped[KD108] machine.gpus: not known" in render("concise", report, Context(show_skipped=True))
