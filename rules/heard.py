"""The log's side of every rule: what a rule says where its facts are missing and a log speaks of it.

A rule judges by facts first. Only where it cannot (or where a message is stronger than what it saw) the log speaks, and
then a message that fits several rules counts for one: the likeliest whose facts do not speak against it. A finding of
any of them explains the message. What rests on a log alone is said with less confidence and with the command that
makes sure; what is only a guess is never an error.

Nothing here registers a rule: the catalogue passes the rules through :func:`listening`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import msgspec

from doctor.case import CanaryRun, Case
from doctor.model.facts import Inapplicable, known
from doctor.model.report import Confidence, Evidence, Finding, Severity
from doctor.rule import Rule

from .advice import ADVICE, Advice
from .resolved import Meaning, in_container, meaning
from .tables.messages import Message, Remark, Said, said

MOST_EVIDENCE = 3
MOST_OF_A_LINE = 300
_SURE, _FAIR = 85, 60
_GPU = re.compile(r"KD(?:10[1-9]|111|20[1-7]|30[12]|409|50\d)")

Check = Callable[[Any], Iterator[Finding]]


class Verdict(msgspec.Struct, frozen=True):
    """What a rule says by the facts alone: ``findings``, else ``ended``: why it did not look, or None: it passed."""

    findings: tuple[Finding, ...] = ()
    ended: Exception | None = None


class Signal(msgspec.Struct, frozen=True):
    """A message of the log and what it comes to in this case; ``place``: which line of the log, from 0."""

    said: Said
    row: Message
    meaning: Meaning
    place: int


def listening(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The same rules, each of which hears the log too.

    A rule on canary runs that a log may speak for judges cases as well.
    """
    by_code = {rule.code: rule for rule in rules}
    return tuple(_listener(rule, by_code) for rule in rules)


def _listener(rule: Rule, by_code: dict[str, Rule]) -> Rule:
    if rule.code not in ADVICE or not (rule.judges(Case) or rule.judges(CanaryRun)):
        return rule

    def check(case: Any) -> Iterator[Finding]:
        if not isinstance(case, Case) or not known(case.snapshot.log):
            if isinstance(case, rule.of):
                yield from rule.check(case)
                return
            raise Inapplicable("judged on canary runs and logs")
        verdict = _verdict(case, rule)
        yield from verdict.findings
        heard = None if verdict.findings else _heard(case, by_code).get(rule.code)
        if heard is not None:
            yield heard
        elif verdict.ended is not None:
            _leave(verdict.ended)

    check.__doc__ = rule.check.__doc__
    of = Case if rule.judges(Case) else (Case, CanaryRun)
    return msgspec.structs.replace(rule, check=check, of=of)


def _leave(ended: Exception) -> NoReturn:
    raise ended


def _verdict(case: Case, rule: Rule) -> Verdict:
    """The rule's own judgement, made once for a case."""
    return case.once(f"verdict {rule.code}", lambda: _judged(case, rule))


def _judged(case: Case, rule: Rule) -> Verdict:
    if not rule.judges(Case):
        return Verdict(ended=Inapplicable("judged on canary runs and logs"))
    found: list[Finding] = []
    try:
        for finding in rule.check(case):
            found.append(finding)
    except Exception as ended:  # the engine says it; here it is no judgement
        return Verdict(tuple(found), ended)
    return Verdict(tuple(found))


def signals(case: Case) -> tuple[Signal, ...]:
    """The messages of the log that speak for rules, the strongest first; repeated ones once."""
    return case.once("signals", lambda: _signals(case))


def _signals(case: Case) -> tuple[Signal, ...]:
    found: dict[tuple[str, str], Signal] = {}
    for place, line in enumerate(known(case.snapshot.log) or ()):
        text = said(line)
        if text is None or isinstance(text.row, Remark):
            continue
        what = meaning(case, text, text.row)
        if what is not None:
            found.setdefault((text.row.id, what.thing), Signal(text, text.row, what, place))
    return tuple(sorted(found.values(), key=lambda s: (s.row.symptom, -s.row.likely, s.place)))


def remarks(log: Sequence[str]) -> tuple[Said, ...]:
    """The lines of a log that point to no rule and whose meaning is known, each meaning once."""
    found = [text for line in log if (text := said(line)) is not None and isinstance(text.row, Remark)]
    return tuple({text.row.id: text for text in reversed(found)}.values())[::-1]


def _heard(case: Case, rules: dict[str, Rule]) -> dict[str, Finding]:
    """The findings that rest on the log, by code."""
    return case.once("heard", lambda: _listen(case, rules))


def _listen(case: Case, rules: dict[str, Rule]) -> dict[str, Finding]:
    chosen: dict[str, Finding] = {}
    unheard: list[tuple[Signal, str]] = case.once("unheard", list)
    every = signals(case)
    for index, signal in enumerate(every):
        if _explained_by_facts(case, signal, rules):
            continue
        explained = [
            code for code in chosen if code in signal.meaning.codes or (signal.row.symptom and _GPU.match(code))
        ]
        if explained:
            chosen[explained[0]] = _also(chosen[explained[0]], signal)
            continue
        fitting = [code for code in signal.meaning.codes if code in rules and _holds(case, code, signal, rules)]
        if fitting:
            chosen[fitting[0]] = _finding(case, signal, fitting, rules, index)
        else:
            unheard.append((signal, _why_not(case, signal, rules)))
    return chosen


def unheard(case: Case) -> tuple[tuple[str, str], ...]:
    """The complaints of the log that the facts speak against, each with the reason; empty before the rules ran."""
    rows: list[tuple[Signal, str]] = case.once("unheard", list)
    return tuple((signal.said.line, why) for signal, why in rows)


def _why_not(case: Case, signal: Signal, rules: dict[str, Rule]) -> str:
    ended = [_verdict(case, rules[code]).ended for code in signal.meaning.codes if code in rules]
    reasons = [str(reason) for reason in ended if isinstance(reason, Inapplicable)]
    return reasons[0] if reasons else "the facts show nothing of the kind now"


def _explained_by_facts(case: Case, signal: Signal, rules: dict[str, Rule]) -> bool:
    codes = [code for code in rules if code in signal.meaning.codes or (signal.row.symptom and _GPU.match(code))]
    return any(_verdict(case, rules[code]).findings for code in codes)


def _holds(case: Case, code: str, signal: Signal, rules: dict[str, Rule]) -> bool:
    """Whether the facts leave room for this rule, or the message is stronger than they are."""
    ended, stands = _verdict(case, rules[code]).ended, signal.meaning.stands
    if stands < 2 and not _fits_here(case, code, signal):
        return False
    if ended is None:
        return stands >= 2
    return stands >= 1 or not isinstance(ended, Inapplicable) or not rules[code].judges(Case)


def _fits_here(case: Case, code: str, signal: Signal) -> bool:
    """Rules that speak of a place: nothing is said of WSL or of a container where nothing tells that this is one."""
    if code == "KD105":
        return bool(known(case.machine.wsl))
    if code == "KD501":
        return signal.meaning.inside or in_container(case)
    return True


def _finding(case: Case, signal: Signal, fitting: list[str], rules: dict[str, Rule], index: int) -> Finding:
    code, row = fitting[0], signal.row
    advice = ADVICE.get(code, Advice("", ""))
    confidence = _confidence(case, signal, rules[code], fitting)
    others = ", ".join(rules[other].name for other in fitting[1:3])
    hint = f"to be sure, run: {advice.sure}" if advice.sure and confidence is not Confidence.HIGH else ""
    return Finding(
        _sentence(signal) + (f" (or {others})" if others and confidence is not Confidence.HIGH else ""),
        severity=_severity(signal, confidence, rules[code]),
        confidence=confidence,
        effect=advice.effect,
        fix="; ".join(text for text in (advice.fix, hint) if text),
        verify=advice.sure,
        evidence=(_evidence(signal),),
        likely=max(0.05, row.likely / 100 - 0.001 * index),
        thing=signal.meaning.thing,
    )


def _confidence(case: Case, signal: Signal, rule: Rule, fitting: list[str]) -> Confidence:
    """How sure the log makes it: less where facts speak against it, or where several rules fit."""
    likely = signal.row.likely
    contradicted = _verdict(case, rule).ended is None
    if likely >= _SURE and not contradicted and (len(fitting) == 1 or signal.meaning.stands > 0):
        return Confidence.HIGH
    return Confidence.MEDIUM if likely >= _FAIR else Confidence.LOW


def _severity(signal: Signal, confidence: Confidence, rule: Rule) -> Severity:
    """The rule's own, or lower: as the message tells, and never an error on a guess."""
    told = Severity(signal.row.severity) if signal.row.severity else rule.severity
    most = Severity.WARNING if confidence is Confidence.LOW else Severity.ERROR
    return min((told, most, rule.severity), key=lambda severity: severity.weight)


class _Words(dict[str, str]):
    """The groups of a message; what it did not tell is left open."""

    def __missing__(self, key: str) -> str:
        return "" if key.startswith("for_") or key == "needs" else "something"


def _sentence(signal: Signal) -> str:
    groups = {name: value[:120] for name, value in signal.said.groups.items()}
    words = _Words(groups, **signal.meaning.words)
    if "need" in groups:
        words["needs"] = f" ({groups['need']})"
    if "name" in groups:
        words["for_name"] = f" ({groups['name']})"
    if "symbol" in groups:
        words["for_symbol"] = f" ({groups['symbol']})"
    return "the log: " + signal.row.says.format_map(words)


def _evidence(signal: Signal) -> Evidence:
    return Evidence("log", signal.said.line[:MOST_OF_A_LINE], "log")


def _also(finding: Finding, signal: Signal) -> Finding:
    """The finding with another line that says the same."""
    if len(finding.evidence) >= MOST_EVIDENCE:
        return finding
    return msgspec.structs.replace(finding, evidence=(*finding.evidence, _evidence(signal)))
