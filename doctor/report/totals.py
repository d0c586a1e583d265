"""Sentences that several formats share: what was found, what was judged, and what the gate says of it."""

from __future__ import annotations

from collections import Counter

from doctor.model.report import Finding, NotApplied, Passed, Report, Severity, Skip, Suppressed
from doctor.report.context import Context


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 finding``, ``2 findings``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def by_severity(findings: list[Finding] | tuple[Finding, ...]) -> str:
    """``1 error, 2 warnings``; empty where there is none."""
    numbers = Counter(f.severity for f in findings)
    names = {Severity.ERROR: ("error", None), Severity.WARNING: ("warning", None), Severity.INFO: ("info", "infos")}
    return ", ".join(count(numbers[s], *names[s]) for s in Severity if numbers[s])


def findings_line(report: Report) -> str:
    """``2 findings: 1 error, 1 warning. 3 suppressed.``"""
    number = len(report.findings)
    head = f"{count(number, 'finding')}: {by_severity(report.findings)}." if number else "No findings."
    return f"{head} {len(report.suppressed)} suppressed." if report.suppressed else head


def judged_on(finding: Finding, report: Report) -> str:
    """The subject, and its machine where the run looks at several: ``app on prod-node``."""
    several = len(report.machines) > 1 and finding.machine not in (None, finding.subject)
    hosts = {row.name for row in report.subjects if row.kind == "host"} if several else set()
    return f"{finding.subject} on {finding.machine}" if several and finding.subject not in hosts else finding.subject


def judged(report: Report) -> dict[str, int]:
    """How many judgements (rule times subject) ended how. Each is counted once; one that found something, as failed.

    Findings on the policy itself are no judgement of a subject and stand in the list of findings only.
    """
    others: tuple[tuple[Passed | Skip | NotApplied, ...], ...] = (report.passed, report.skipped, report.inapplicable)
    names = {row.name for row in report.subjects} | {row.subject for rows in others for row in rows}
    failed = {(f.code, f.subject, f.machine) for f in report.findings if f.subject in names}
    places = {(code, subject) for code, subject, _ in failed}
    hidden = {(s.code, s.subject) for s in report.suppressed if s.subject in names} - places
    return {
        "passed": len(report.passed),
        "failed": len(failed),
        "suppressed": len(hidden),
        "skipped": len(report.skipped),
        "inapplicable": len(report.inapplicable),
    }


def rules_line(report: Report, hint: str = "") -> str:
    """``58 rules: 49 passed, 2 failed, 7 skipped``; for many subjects ``58 rules on 3 subjects: ...``.

    Passed, failed and skipped are always named, even where they are none.
    """
    numbers = judged(report)
    lists: tuple[tuple[Finding | Passed | Skip | NotApplied | Suppressed, ...], ...]
    lists = (report.passed, report.skipped, report.inapplicable, report.findings, report.suppressed)
    rules = len({row.code for rows in lists for row in rows})
    where = f" on {len(report.subjects)} subjects" if len(report.subjects) > 1 else ""
    parts = []
    for name, number in numbers.items():
        if number or name in ("passed", "failed", "skipped"):
            parts.append(f"{number} {name}{hint if name == 'skipped' and number else ''}")
    return f"{count(rules, 'rule')}{where}: {', '.join(parts)}"


def gate_line(report: Report, context: Context) -> str:
    """The verdict and the option that decided it."""
    if context.fail_on == "never":
        what = "nothing fails the run"
    else:
        level = Severity(context.fail_on).weight
        grave = [f for f in report.findings if (f.severity or Severity.INFO).weight >= level]
        denied = [f for f in report.findings if f not in grave and f.code in report.denied]
        what = f"{count(len(grave), 'finding') if grave else 'no finding'} at or above {context.fail_on}"
        if denied:
            what += f", {len(denied)} denied by the policy ({', '.join(sorted({f.code for f in denied}))})"
    word = {"fail": "failed", "incomplete": "incomplete"}.get(report.verdict, "passed")
    if report.incomplete:
        what += ", and not all that was asked for could be looked at"
    return f"Gate {word}: {what} ({context.gate})"
