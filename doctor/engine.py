"""Case to findings: runs the rules, keeps their four outcomes apart, and puts the root cause first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from doctor.case import CanaryRun, Case, Comparison
from doctor.helping import would_help
from doctor.model.facts import NOT_KNOWN, Inapplicable, Unknown
from doctor.model.report import Finding, NotApplied, Passed, Severity, Skip
from doctor.rule import Rule
from doctor.verifying import here

_OF_PROJECT = ("project.", "software.requested:")


class Outcome(msgspec.Struct):
    """What the rules said of one subject."""

    findings: list[Finding] = []
    skipped: list[Skip] = []
    inapplicable: list[NotApplied] = []
    passed: list[Passed] = []
    failures: list[str] = []

    def extend(self, other: Outcome) -> None:
        """Add another subject's outcome."""
        self.findings += other.findings
        self.skipped += other.skipped
        self.inapplicable += other.inapplicable
        self.passed += other.passed
        self.failures += other.failures


def judge(
    case: Case | Comparison | CanaryRun,
    rules: Iterable[Rule],
    *,
    subject: str | None = None,
    machine: str | None = None,
) -> Outcome:
    """Run every rule that judges this kind of case.

    A rule that fails in an unforeseen way is skipped and named in ``failures``: one rule's fault costs one rule.
    """
    outcome = Outcome()
    name = subject or _name(case)
    chosen = [rule for rule in rules if isinstance(case, rule.of)]
    for rule in chosen:
        _run(rule, case, outcome, name, machine)
    by_code = {rule.code: rule for rule in chosen}
    outcome.findings = order(outcome.findings, by_code)
    return outcome


def without_project(outcome: Outcome, why: str = "no project is looked at") -> Outcome:
    """The same of a case that has no project and needs none: rules that only lack one do not apply to it."""
    lacking = [row for row in outcome.skipped if row.reason.startswith(_OF_PROJECT) and row.reason.endswith(NOT_KNOWN)]
    outcome.skipped = [row for row in outcome.skipped if row not in lacking]
    outcome.inapplicable += [NotApplied(row.code, row.subject, row.machine, why) for row in lacking]
    return outcome


def _name(case: Case | Comparison | CanaryRun) -> str:
    if isinstance(case, CanaryRun):
        return case.name
    return case.subject.name if isinstance(case, Case) else f"{case.a.subject.name}..{case.b.subject.name}"


def _run(rule: Rule, case: Case | Comparison | CanaryRun, outcome: Outcome, subject: str, machine: str | None) -> None:
    found: list[Finding] = []
    reason: str | None = None
    helps = rule.would_help
    try:
        for finding in rule.check(case):
            found.append(finding)  # kept, should the rule be skipped later on
    except Unknown as unknown:
        reason, helps = str(unknown), would_help(unknown, helps) if isinstance(case, Case) else helps
    except Inapplicable as why:
        if not found:
            outcome.inapplicable.append(NotApplied(rule.code, subject, machine, str(why)))
            return
    except Exception as error:
        outcome.failures.append(f"{rule.code}: {type(error).__name__}: {error}")
        reason = f"the rule itself failed: {type(error).__name__}"
    if found:
        outcome.findings += [_complete(finding, rule, case, subject, machine) for finding in found]
    elif reason is not None:
        outcome.skipped.append(Skip(rule.code, rule.name, subject, machine, reason, helps))
    else:
        outcome.passed.append(Passed(rule.code, subject, machine))


def _complete(
    finding: Finding, rule: Rule, case: Case | Comparison | CanaryRun, subject: str, machine: str | None
) -> Finding:
    severity = finding.severity if finding.severity is not None else rule.severity
    if severity.weight > rule.severity.weight:
        severity = rule.severity
    verify = here(case, finding.verify) if isinstance(case, Case) else finding.verify
    full = msgspec.structs.replace(
        finding,
        code=rule.code,
        name=rule.name,
        severity=severity,
        subject=subject,
        machine=machine,
        verify=verify,
    )
    return msgspec.structs.replace(full, fingerprint=full.identity())


def order(findings: Sequence[Finding], rules: dict[str, Rule]) -> list[Finding]:
    """Findings as a person should deal with them: the likeliest root cause of the gravest effect first.

    A finding that follows from another that stands here too names it in ``caused_by`` and comes after it.
    """
    present = {f.code for f in findings}
    linked = []
    for finding in findings:
        causes = finding.caused_by or (rules[finding.code].follows if finding.code in rules else ())
        causes = tuple(code for code in causes if code in present and code != finding.code)
        linked.append(msgspec.structs.replace(finding, caused_by=causes))
    return sorted(linked, key=_rank)


def _rank(finding: Finding) -> tuple[int, bool, float, str]:
    severity = finding.severity or Severity.INFO
    return (-severity.weight, bool(finding.caused_by), -finding.likely, finding.code)
