"""Prediction against observation: what TensorFlow reports when it is started, and what the facts say it must."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import msgspec

from doctor import catalogue
from doctor.model.facts import Inapplicable, Unknown, known, need
from doctor.model.report import Confidence
from doctor.rule import Case, Finding, Rule, Severity, rule

from . import requirements as reqs
from .builds import tensorflow_facts
from .proof import evidence
from .shared import nvidia_hardware

OBSERVED = "software.tensorflow.observed"
TRY = "kdoctor scan --try"

# Errors of these rules mean that TensorFlow cannot register a GPU; KD109 hides it on purpose.
_BLOCKING = frozenset(
    {
        *("KD101", "KD102", "KD103", "KD104", "KD105", "KD106", "KD109", "KD111"),
        *("KD201", "KD202", "KD203", "KD205", "KD207", "KD301", "KD302", "KD501", "KD503"),
    }
)
_SHOWN = 160  # characters of the error
_LIKELY = ("KD305", "KD306", "KD307", "KD308", "KD309")  # warnings of these may be the reason why it fails
# Errors of these mean that the import itself fails.
_FATAL = frozenset({"KD110", "KD303", "KD305", "KD306", "KD307", "KD309", "KD310", "KD312"})


@rule("KD809", "observation-contradicts", Severity.ERROR, would_help=TRY)
def observation_contradicts(case: Case) -> Iterator[Finding]:
    """What TensorFlow reports (`--try`) is not what the facts predict.

    `kdoctor scan --try` starts TensorFlow in a child process and asks for its devices. The other rules predict the
    answer from files alone. Where both disagree, one of them is wrong, and neither should be trusted unseen.

    ## Why is this bad?
    Either kdoctor overlooked something, or the environment behaves otherwise than its files say: another interpreter,
    a sitecustomize, a wrapper that sets LD_LIBRARY_PATH.

    ## How to fix
    Compare the interpreter and the variables of the shell in which it works with those of the report; send
    `kdoctor snapshot --share` with a bug report where they agree.

    ## References
    The public contract of kdoctor, section 3 (`--try`).
    """
    observed = case.software.tensorflow.observed
    gpus, error, signal = known(observed.gpus), known(observed.error), known(observed.signal)
    if gpus is None and not error and not signal:
        need(observed.gpus)
    yield from _another_version(case)
    if error or signal:
        yield from _failed(case, str(signal or error))
        return
    found, open_ = _predicted(case, _BLOCKING)
    if gpus and found:
        yield _contradiction(
            case,
            f"TensorFlow sees {len(gpus)} GPU{'s' if len(gpus) != 1 else ''}, though {', '.join(found)} "
            f"{'say' if len(found) != 1 else 'says'} that it cannot",
            found,
        )
    elif not gpus and not found:
        if not nvidia_hardware(case):
            return  # none was predicted, and none was seen
        build = tensorflow_facts(case)
        if build.cuda_build is None:
            need(case.software.tensorflow.cuda_build)
        if open_:
            raise Unknown(open_[0], f"{open_[1]}, so nothing was predicted")
        yield _contradiction(case, "TensorFlow sees no GPU, though nothing in the facts prevents it", ())


def _another_version(case: Case) -> Iterator[Finding]:
    seen, told = known(case.software.tensorflow.observed.version), reqs.tensorflow_version(case)
    if seen is not None and told is not None and seen != told and not seen.startswith(told + "."):
        yield _contradiction(case, f"TensorFlow {seen} was imported, and the files say {told}", ())


def _failed(case: Case, why: str) -> Iterator[Finding]:
    """The import failed, and no rule said that it would; a warning may name the reason all the same."""
    absent = known(case.software.tensorflow.present) is False and "No module named 'tensorflow'" in why
    found, _ = _predicted(case, _FATAL)
    if found or absent:
        return
    what = f"TensorFlow could not be started ({' '.join(why.split())[:_SHOWN]})"
    warned = [(code, finding) for code in _LIKELY for finding in _findings_of(code, case)]
    if not warned:
        yield _contradiction(case, f"{what}, and nothing in the facts says why", ())
        return
    code, reason = max(warned, key=lambda pair: (_named_in(pair[1], why), pair[1].likely))
    contradiction = _contradiction(case, f"{what}: the likeliest reason is {code}, {reason.message}", (code,))
    yield msgspec.structs.replace(
        contradiction,
        effect="TensorFlow cannot be used as it is installed",
        fix=reason.fix or contradiction.fix,
        caused_by=(code,),
    )


def _findings_of(code: str, case: Case) -> list[Finding]:
    found: list[Finding] = []
    with contextlib.suppress(Unknown, Inapplicable):
        found += catalogue.find(code).check(case)
    return found


def _named_in(finding: Finding, why: str) -> bool:
    """Whether the error names what the finding is about: a package, or the module that it brings."""
    names = {name for thing in finding.thing.split(",") for name in (thing, thing.replace("-", "_"))}
    if "setuptools" in names:
        names |= {"distutils", "pkg_resources"}  # it stands in for the one and brings the other
    return any(re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", why) for name in names - {"", "tensorflow", "keras"})


def _contradiction(case: Case, message: str, codes: tuple[str, ...]) -> Finding:
    return Finding(
        message,
        confidence=Confidence.MEDIUM,
        effect="either the report or the environment is not what it seems",
        fix="run kdoctor with the very interpreter and shell that the program uses: kdoctor scan --python PATH --try",
        verify=TRY,
        evidence=evidence(
            case,
            f"{OBSERVED}.gpus",
            f"{OBSERVED}.version",
            f"{OBSERVED}.error",
            f"{OBSERVED}.signal",
            "software.tensorflow.version",
            "software.python.executable",
        ),
        likely=0.4,
        thing=",".join(codes) or "observation",
    )


def _predicted(case: Case, codes: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, str] | None]:
    """The rules among ``codes`` that find an error (or, for KD109, anything), and the first fact that one lacks."""
    found: list[str] = []
    lacking: tuple[str, str] | None = None
    for item in catalogue.rules():
        if item.code not in codes:
            continue
        hits, unknown = _run(item, case)
        if hits:
            found.append(item.code)
        elif unknown is not None and lacking is None:
            lacking = (unknown.path, unknown.why)
    return tuple(found), lacking


def _run(item: Rule, case: Case) -> tuple[bool, Unknown | None]:
    hits = []
    try:
        for finding in item.check(case):
            hits.append(finding.severity in (None, Severity.ERROR) or item.code == "KD109")
    except Unknown as unknown:
        return any(hits), unknown
    except Inapplicable:
        pass
    return any(hits), None
