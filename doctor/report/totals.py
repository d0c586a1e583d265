"""Sentences that several formats share: what was found, what was judged, and what the gate says of it."""

from __future__ import annotations

from collections import Counter

from doctor.model.report import (
    PROVES_NOTHING,
    Finding,
    LogRemark,
    NotApplied,
    Passed,
    Report,
    Severity,
    Skip,
    Suppressed,
)
from doctor.report.context import Context

_MOST = 3


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 finding``, ``2 findings``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def by_severity(findings: list[Finding] | tuple[Finding, ...]) -> str:
    """``1 error, 2 warnings``; empty where there is none."""
    numbers = Counter(f.severity for f in findings)
    names = {Severity.ERROR: ("error", None), Severity.WARNING: ("warning", None), Severity.INFO: ("info", "infos")}
    return ", ".join(count(numbers[s], *names[s]) for s in Severity if numbers[s])


def meaning(row: LogRemark) -> str:
    """What a line of the log means, and that it is harmless where it is."""
    return f"harmless, {row.meaning}" if row.harmless else row.meaning


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


def fails(finding: Finding, report: Report, context: Context) -> bool:
    """Whether this finding is among those that fail the run: by its severity, or because the policy denies it."""
    if finding.code in PROVES_NOTHING or context.fail_on == "never":
        return False
    return finding.code in report.denied or _grave(finding, context)


def _grave(finding: Finding, context: Context) -> bool:
    return (finding.severity or Severity.INFO).weight >= Severity(context.fail_on).weight


def skips(report: Report) -> list[tuple[str, str, str]]:
    """The skips by what they lack: the rules' codes, the reason, and what would help.

    A rule that lacks the same on several subjects is named once.
    """
    groups: dict[tuple[str, str], dict[str, dict[str, None]]] = {}
    for skip in report.skipped:
        rules = groups.setdefault((skip.reason, skip.would_help or ""), {})
        rules.setdefault(skip.code, {})[skip.subject] = None
    several = len(report.subjects) > 1
    rows = []
    for (reason, helps), rules in groups.items():
        subjects = list(dict.fromkeys(subject for ones in rules.values() for subject in ones))
        on = f" on {', '.join(subjects[:_MOST])}" if several else ""
        more = f" and {len(subjects) - _MOST} more" if several and len(subjects) > _MOST else ""
        rows.append((f"{' '.join(rules)}{on}{more}", reason, helps))
    return rows


def gate_line(report: Report, context: Context) -> str:
    """The verdict and the option that decided it."""
    if context.fail_on == "never":
        what = "nothing fails the run"
    else:
        failing = [f for f in report.findings if fails(f, report, context)]
        grave = [f for f in failing if _grave(f, context)]
        denied = [f for f in failing if not _grave(f, context)]
        what = f"{count(len(grave), 'finding') if grave else 'no finding'} at or above {context.fail_on}"
        if denied:
            what += f", {len(denied)} denied by the policy ({', '.join(sorted({f.code for f in denied}))})"
    word = {"fail": "failed", "incomplete": "incomplete"}.get(report.verdict, "passed")
    if report.incomplete:
        what += ", and not all that was asked for could be looked at"
    return f"Gate {word}: {what} ({context.gate})"
