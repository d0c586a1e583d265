"""The gate: what counts, the verdict, and the exit code."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import pytest

from doctor import baseline, catalogue, gate
from doctor.engine import Outcome
from doctor.model.report import (
    Finding,
    Location,
    MachineRow,
    NotApplied,
    Note,
    Passed,
    Report,
    Severity,
    Skip,
    SubjectRow,
)
from doctor.settings import PolicySuppression, Settings
from doctor.suppression import Suppression
from tests.support import case

TODAY = datetime.date(2026, 11, 21)
HOST = (SubjectRow("host", "host"),)
UNMET = (Note("--require gpu", "host: machine.gpus: not known"),)


def finding(code: str = "KD102", severity: Severity = Severity.ERROR, subject: str = "host", **more: Any) -> Finding:
    one = Finding(f"{code} is wrong", code=code, name=f"name-{code}", severity=severity, subject=subject, **more)
    return Finding(**{**{f: getattr(one, f) for f in one.__struct_fields__}, "fingerprint": one.identity()})


def report(*findings: Finding, settings: Settings | None = None, **more: Any) -> Report:
    outcome = Outcome(findings=list(findings))
    return gate.build_report([outcome], HOST, (), settings or Settings(), today=TODAY, **more)


WARNING = finding("KD403", Severity.WARNING)


@pytest.mark.parametrize(
    ("found", "fail_on", "unmet", "verdict", "code"),
    [
        ([], "error", False, "pass", 0),
        ([finding()], "error", False, "fail", 1),
        ([WARNING], "error", False, "pass", 0),
        ([WARNING], "warning", False, "fail", 1),
        ([finding("KD704", Severity.INFO)], "info", False, "fail", 1),
        ([finding()], "never", False, "pass", 0),
        ([], "error", True, "incomplete", 3),
        ([WARNING], "error", True, "incomplete", 3),
        ([finding()], "error", True, "fail", 1),
        ([finding()], "never", True, "incomplete", 3),
    ],
)
def test_verdict_and_exit_code(found: list[Finding], fail_on: Any, unmet: bool, verdict: str, code: int) -> None:
    """1 at or above the level, 3 where something asked for could not be had, and 1 wins over 3."""
    result = report(*found, settings=Settings(fail_on=fail_on), unmet=UNMET if unmet else ())
    assert (result.verdict, result.exit_code, result.incomplete) == (verdict, code, unmet)


def test_skips_and_notes_alone_do_not_make_a_run_incomplete() -> None:
    """Facts nobody asked for by name are skips, never 3."""
    outcome = Outcome(skipped=[Skip("KD108", "ptx", "host", None, "machine.gpus: not known")])
    result = gate.build_report([outcome], HOST, (), Settings(), today=TODAY, notes=[Note("engine", "no socket")])
    assert (result.verdict, result.exit_code, result.incomplete) == ("pass", 0, False)
    assert result.notes == (Note("engine", "no socket"),)


def test_a_rule_that_failed_is_an_internal_error_and_never_a_pass() -> None:
    """The report names it; what is proven bad still wins."""
    broken = Outcome(failures=["KD102: ZeroDivisionError: division by zero"])
    result = gate.build_report([broken], HOST, (), Settings(), today=TODAY)
    assert (result.verdict, result.exit_code, result.incomplete) == ("incomplete", 4, True)
    assert "ZeroDivisionError" in result.notes[0].why
    both = gate.build_report([broken, Outcome(findings=[finding()])], HOST, (), Settings(), today=TODAY)
    assert (both.verdict, both.exit_code) == ("fail", 1)


def test_each_subject_has_its_own_verdict() -> None:
    """One node fails, one could not be looked at, one is well."""
    subjects = [SubjectRow("host", name) for name in ("bad", "dark", "good")]
    result = gate.build_report(
        [Outcome(findings=[finding(subject="bad")])],
        subjects,
        (),
        Settings(),
        today=TODAY,
        unmet=[Note("--require gpu", "dark: machine.gpus: not known")],
    )
    assert [row.verdict for row in result.subjects] == ["fail", "incomplete", "pass"]
    assert result.verdict == "fail"


def test_suppressed_and_known_findings_do_not_count_and_are_not_hidden() -> None:
    """A comment, a policy and a baseline: each leaves a row with its reason."""
    at = Location("Dockerfile", 3)
    found = [finding("KD401", location=at), finding("KD402"), finding("KD403"), finding("KD404")]
    result = report(
        *found,
        settings=Settings(suppressions=(PolicySuppression("KD402", reason="vendored"),)),
        suppressions=[Suppression(("KD401",), path="Dockerfile", lines=frozenset((3,)), reason="soon")],
        known_findings=baseline.Baseline({found[2].fingerprint: 1}),
    )
    assert [f.code for f in result.findings] == ["KD404"]
    assert [(row.code, row.reason) for row in result.suppressed] == [
        ("KD401", "soon"),
        ("KD402", "vendored"),
        ("KD403", "in the baseline"),
    ]
    assert result.summary["suppressed"] == 3


def test_an_expired_suppression_of_the_policy_is_a_finding_and_suppresses_nothing() -> None:
    """The finding stands again, and KD904 says whose decision is over, where it is written."""
    settings = Settings(
        suppressions=(PolicySuppression("KD102", until=datetime.date(2026, 11, 20)),),
        origins={"suppressions": "pyproject.toml:7"},
    )
    result = report(finding(), settings=settings)
    assert [f.code for f in result.findings] == ["KD102", "KD904"]
    assert result.findings[1].location == Location("pyproject.toml", 7)
    assert result.findings[1].subject == "pyproject.toml"
    assert [f.code for f in report(settings=msgspec.structs.replace(settings, ignore=("KD904",))).findings] == []


def test_the_policy_sets_any_severity_and_the_nearest_name_wins() -> None:
    """A rule's own code or name wins over a prefix, a longer prefix over a shorter one."""
    chosen = {"KD": Severity.INFO, "KD10": Severity.WARNING, "driver-missing": Severity.ERROR}
    result = report(
        finding("KD102"), finding("KD101", Severity.INFO), finding("KD904"), settings=Settings(severity=chosen)
    )
    assert {f.code: f.severity for f in result.findings} == {
        "KD101": Severity.ERROR,
        "KD102": Severity.WARNING,
        "KD904": Severity.INFO,
    }
    assert [f.code for f in result.findings] == ["KD101", "KD102", "KD904"]


def test_select_and_ignore_leave_rules_out() -> None:
    """Prefixes, codes and names; ignore wins."""
    codes = [r.code for r in gate.select_rules(Settings(select=("KD1", "suppression-expired"), ignore=("KD102",)))]
    assert "KD101" in codes
    assert "KD904" in codes
    assert "KD102" not in codes
    assert all(code.startswith("KD1") or code == "KD904" for code in codes)
    assert gate.select_rules(Settings()) == catalogue.rules()


def test_the_gravest_findings_of_all_subjects_come_first() -> None:
    """Within one subject the engine's order stays."""
    one = Outcome(findings=[finding("KD205"), finding("KD201"), finding("KD601", Severity.WARNING)])
    two = Outcome(findings=[finding("KD102", subject="two")])
    subjects = [*HOST, SubjectRow("host", "two")]
    result = gate.build_report([one, two], subjects, (), Settings(), today=TODAY)
    assert [f.code for f in result.findings] == ["KD205", "KD201", "KD102", "KD601"]


def test_the_summary_counts_every_outcome() -> None:
    """Findings by severity, and the rules that passed, were skipped or had nothing to say."""
    outcome = Outcome(
        findings=[finding(), WARNING],
        skipped=[Skip("KD108", "ptx", "host", None, "x")],
        inapplicable=[NotApplied("KD105", "host", None, "no WSL")],
        passed=[Passed("KD101", "host", None), Passed("KD103", "host", None)],
    )
    summary = gate.build_report([outcome], HOST, (), Settings(), today=TODAY).summary
    assert summary == {
        "error": 1,
        "warning": 1,
        "info": 0,
        "skipped": 1,
        "inapplicable": 1,
        "passed": 2,
        "suppressed": 0,
    }


def test_rows_of_subject_and_machine_come_from_the_case() -> None:
    """Digest, driver and GPUs where they are known."""
    one = case(
        {
            "subject": {"kind": "image", "name": "app"},
            "machine": {"name": "prod", "driver": {"version": "535.104.05"}, "gpus": [{"name": "A100"}, {}]},
            "software": {"image": {"digest": "sha256:1"}},
        }
    )
    assert gate.subject_row(one) == SubjectRow("image", "app", "sha256:1")
    assert gate.machine_row(one) == MachineRow("prod", "535.104.05", ("A100", "GPU"))
    assert gate.machine_row(case({})) == MachineRow("unnamed")


def test_the_deciding_option_is_named_with_its_origin() -> None:
    """A person can find what made the run fail."""
    assert gate.deciding_option(Settings()) == "--fail-on error"
    settings = Settings(fail_on="info", origins={"fail_on": "kdoctor.toml:3"})
    assert gate.deciding_option(settings) == "--fail-on info, from kdoctor.toml:3"


def test_a_baseline_is_used_up_over_all_subjects() -> None:
    """A finding known once does not cover the same one on a second machine."""
    found = finding()
    outcomes = [Outcome(findings=[found]), Outcome(findings=[msgspec.structs.replace(found, machine="other")])]
    known = baseline.Baseline({found.fingerprint: 1})
    result = gate.build_report(outcomes, HOST, (), Settings(), today=TODAY, known_findings=known)
    assert (len(result.findings), len(result.suppressed)) == (1, 1)
