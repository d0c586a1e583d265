"""The gate: from what the rules said to a report with a verdict and an exit code (contract, sections 3 to 5)."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from doctor import __version__, baseline, catalogue, suppression
from doctor.baseline import Baseline
from doctor.case import Case
from doctor.engine import Outcome, judge, order
from doctor.model.facts import known
from doctor.model.report import (
    PROVES_NOTHING,
    CaseRow,
    Finding,
    LogRemark,
    MachineRow,
    Note,
    Report,
    Severity,
    SubjectRow,
    Suppressed,
)
from doctor.rule import Rule
from doctor.settings import Settings
from doctor.suppression import Suppression

PASSED, FAILED, INTERNAL, INCOMPLETE = 0, 1, 4, 3
FAIL, OK, UNSURE = "fail", "pass", "incomplete"


def select_rules(settings: Settings) -> tuple[Rule, ...]:
    """The rules that ``select`` and ``ignore`` leave."""
    return tuple(
        rule
        for rule in catalogue.rules()
        if (not settings.select or catalogue.matches(rule.code, rule.name, settings.select))
        and not catalogue.matches(rule.code, rule.name, settings.ignore)
    )


def subject_row(case: Case) -> SubjectRow:
    """A case's subject as a row of the report."""
    return SubjectRow(case.subject.kind, case.subject.name, known(case.software.image.digest))


def machine_row(case: Case, name: str | None = None) -> MachineRow:
    """A case's machine as a row of the report."""
    machine = case.machine
    gpus = tuple(known(gpu.name) or "GPU" for gpu in known(machine.gpus) or ())
    return MachineRow(name or known(machine.name) or "unnamed", known(machine.driver.version), gpus)


def build_report(
    outcomes: Sequence[Outcome],
    subjects: Sequence[SubjectRow],
    machines: Sequence[MachineRow],
    settings: Settings,
    *,
    today: datetime.date,
    suppressions: Iterable[Suppression] = (),
    known_findings: Baseline | None = None,
    unmet: Sequence[Note] = (),
    notes: Sequence[Note] = (),
    tables: str = "",
    canary: dict[str, Any] | None = None,
    drift: dict[str, Any] | None = None,
    changes: Sequence[dict[str, Any]] | None = None,
    cases: Sequence[CaseRow] = (),
    deny: Sequence[str] = (),
    log: Sequence[LogRemark] = (),
) -> Report:
    """The report on these subjects.

    ``outcomes``: one a judged case, in the order of the subjects. ``suppressions``: those in the project's files
    (``suppression.from_files``); the policy's come from the settings. ``known_findings``: the baseline. ``unmet``:
    required facts and named targets that could not be had; they make the report incomplete. ``notes``: other things
    that could not be looked at, for the reader only. ``cases``: each subject on each machine, with "incomplete" where
    it is known to be so. ``deny``: rules whose findings fail the run whatever their severity. ``log``: lines of a log
    that are no findings.
    """
    denied = denied_codes(deny, settings)
    active = (*suppression.from_policy(settings, today), *suppressions)
    total = Outcome()
    for outcome in (*outcomes, *_policy_outcome(settings, today)):
        total.extend(msgspec.structs.replace(outcome, findings=_with_severities(outcome.findings, settings)))
    standing, hidden = suppression.apply(total.findings, active)
    standing, covered = baseline.apply(standing, known_findings)
    gone = hidden + covered
    # Within one subject the engine's order stands; between subjects the gravest effects come first.
    standing.sort(key=lambda finding: -_weight(finding))
    failures = [Note("a rule failed", failure) for failure in total.failures]
    incomplete = bool(unmet or failures)
    failing = [finding for finding in standing if blocks(finding, settings, denied)]
    verdict = FAIL if failing else UNSURE if incomplete else OK
    return Report(
        tool={"name": "kdoctor", "version": __version__, "tables": tables},
        subjects=_judged(subjects, failing, unmet),
        machines=tuple({row.name: row for row in machines}.values()),
        findings=tuple(standing),
        skipped=tuple(total.skipped),
        inapplicable=tuple(total.inapplicable),
        passed=tuple(total.passed),
        suppressed=tuple(row for _, row in gone),
        notes=(*unmet, *failures, *notes),
        log=tuple(log),
        canary=canary,
        drift=drift,
        changes=None if changes is None else tuple(changes),
        cases=_judged_cases(cases, failing),
        denied=denied,
        summary=_summary(standing, total, gone),
        verdict=verdict,
        incomplete=incomplete,
        exit_code=_exit_code(verdict, internal=bool(failures)),
    )


def blocks(finding: Finding, settings: Settings, denied: Sequence[str] = ()) -> bool:
    """Whether this finding fails the run; that nothing could be compared proves nothing bad (exit code 3 says it).

    ``denied``: codes that do, whatever their severity. With ``fail-on = "never"`` nothing does.
    """
    if finding.code in PROVES_NOTHING or settings.fail_on == "never":
        return False
    return finding.code in denied or _weight(finding) >= Severity(settings.fail_on).weight


def denied_codes(deny: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """The codes that these words (codes, names or prefixes) stand for, of the rules that run."""
    return tuple(rule.code for rule in select_rules(settings) if catalogue.matches(rule.code, rule.name, tuple(deny)))


def deciding_option(settings: Settings) -> str:
    """The option that the verdict hangs on, and where it was set, for the gate line."""
    origin = settings.origin("fail_on")
    option = f"--fail-on {settings.fail_on}"
    return option if origin == "--fail-on" else f"{option}, from {origin}"


def _policy_outcome(settings: Settings, today: datetime.date) -> tuple[Outcome, ...]:
    """What the rules on suppressions say of the policy's own; only findings count, the policy is no subject."""
    case = suppression.policy_case(settings, today)
    if case is None:
        return ()
    rules = [rule for rule in select_rules(settings) if rule.name == "suppression-expired"]
    return (Outcome(findings=judge(case, rules).findings),)


def _with_severities(findings: list[Finding], settings: Settings) -> list[Finding]:
    """The findings with the policy's severities, put in order anew where one changed."""
    if not settings.severity:
        return findings
    chosen = _chosen_severities(settings.severity)
    changed = [
        msgspec.structs.replace(finding, severity=chosen[finding.code]) if finding.code in chosen else finding
        for finding in findings
    ]
    return order(changed, {rule.code: rule for rule in catalogue.rules()})


def _chosen_severities(severities: dict[str, Severity]) -> dict[str, Severity]:
    """Code to severity: a longer prefix wins over a shorter one, a rule's own code or name over any prefix."""
    chosen = {}
    for rule in catalogue.rules():
        own = (rule.code.lower(), rule.name)
        words = [word for word in severities if catalogue.matches(rule.code, rule.name, (word,))]
        if words:
            chosen[rule.code] = severities[max(words, key=lambda word: (word.lower() in own, len(word)))]
    return chosen


def _weight(finding: Finding) -> int:
    return (finding.severity or Severity.INFO).weight


def _judged_cases(cases: Sequence[CaseRow], failing: Sequence[Finding]) -> tuple[CaseRow, ...]:
    """The cases; one fails by a finding on its subject that is of its machine, or of none."""
    rows = []
    for row in cases:
        mine = [f.code for f in failing if f.subject == row.subject and f.machine in (None, row.machine)]
        against = tuple(dict.fromkeys(mine))
        rows.append(msgspec.structs.replace(row, verdict=FAIL, against=against) if against else row)
    return tuple(rows)


def _judged(subjects: Sequence[SubjectRow], failed: Iterable[Finding], unmet: Sequence[Note]) -> tuple[SubjectRow, ...]:
    """The subjects, each once, with the verdict on it alone."""
    failing = {finding.subject for finding in failed}
    lacking = {note.what for note in unmet} | {note.why.split(": ", 1)[0] for note in unmet}
    return tuple(
        msgspec.structs.replace(row, verdict=FAIL if row.name in failing else UNSURE if row.name in lacking else OK)
        for row in {row.name: row for row in subjects}.values()
    )


def _exit_code(verdict: str, *, internal: bool) -> int:
    """1 wins: what is proven bad stays bad. A rule that failed is an internal error, and graver than a missing fact."""
    if verdict == FAIL:
        return FAILED
    if internal:
        return INTERNAL
    return INCOMPLETE if verdict == UNSURE else PASSED


def _summary(findings: list[Finding], total: Outcome, gone: list[tuple[Finding, Suppressed]]) -> dict[str, int]:
    return {
        **{s.value: sum(f.severity is s for f in findings) for s in Severity},
        "skipped": len(total.skipped),
        "inapplicable": len(total.inapplicable),
        "passed": len(total.passed),
        "suppressed": len(gone),
    }
