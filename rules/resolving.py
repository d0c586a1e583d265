"""Requirements that can no longer be installed, or contradict each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
from msgspec import UNSET, UnsetType
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from doctor.model.facts import applies, need
from doctor.model.report import Change
from doctor.rule import Case, Finding, Severity, rule

from . import installers
from . import requirements as reqs
from .cuda import SNAPSHOT
from .fitting import and_cuda_release, requirements_of, unavailable_pin
from .pinning import pinned_or, row_of
from .proof import evidence
from .requested import candidates_of, is_met, is_tensorflow, never_made, pinned, pythons_for, shown, untold_release
from .requested_wheels import wheels_apart
from .requirements import Asked
from .tables.packages import Unresolvable, distribution, tensorflow_for_addon, unresolvable
from .tables.tensorflow import newest_release, releases, tensorflow_release
from .tables.versions import allows, meet, numbers

PYTHON = "software.python.version"


@rule("KD311", "requirement-unresolvable", Severity.ERROR, follows=("KD304",), would_help=SNAPSHOT)
def requirement_unresolvable(case: Case) -> Iterator[Finding]:
    """A requirement can no longer be installed, or contradicts another one.

    `tensorflow-gpu` from 2.12 on is an empty package that fails on purpose; the `and-cuda` extra of 2.14 and 2.15.0
    pins TensorRT packages that the index does not have (for this Python); some versions never existed.

    ## Why is this bad?
    The installation fails, often deep inside the resolver and with a message about another package.

    ## How to fix
    Ask for what exists: the finding names it.

    ## References
    PyPI page of tensorflow-gpu 2.12.0; tensorflow/tensorflow issues 61986 and 66517; METADATA of the wheels.
    """
    need(case.software.requested)
    rows = reqs.asked(case)
    applies(bool(rows), "nothing is requested")
    python = reqs.python_minor(case)
    untold: Asked | None = None
    for wanted in rows:
        if is_met(case, wanted):
            continue
        row = _gone(case, wanted, python)
        if row is not None:
            yield _unresolvable(case, wanted, row.why, instead=_fitting(case, row.instead))
        elif (why := _pins_nothing(case, wanted, python)) is not None:
            yield _unresolvable(case, wanted, why[0], instead=why[1])
        elif (instead := never_made(wanted)) is not None:
            yield _unresolvable(case, wanted, "that release was never made", instead=_fitting(case, instead))
        elif (why := _no_such_extra(case, wanted)) is not None:
            yield msgspec.structs.replace(
                _unresolvable(case, wanted, why[0], fix=why[1]),
                message=f"{shown(wanted)} brings no CUDA: {why[0]}",
                effect="pip installs TensorFlow without CUDA, and only warns",
                severity=Severity.WARNING,
            )
        elif (why := _extra_elsewhere(case, wanted)) is not None:
            yield _unresolvable(case, wanted, why[0], fix=why[1])
        elif is_tensorflow(wanted.name) and not candidates_of(wanted):
            untold = wanted
    yield from _contradictions(case, rows)
    yield from wheels_apart(case, rows)
    if untold is not None:
        raise untold_release(untold)


def _unresolvable(case: Case, wanted: Asked, why: str, *, fix: str = "", instead: str = "") -> Finding:
    fix = fix or reqs.install(case, instead)
    return Finding(
        f"{shown(wanted)} cannot be installed: {why}",
        effect="the installation fails",
        fix=fix,
        verify=(installers.dry(fix) if instead else None) or reqs.check(case),
        evidence=evidence(case, wanted, PYTHON, "machine.os"),
        location=wanted.location,
        likely=0.9,
        thing=wanted.name,
        change=_instead(case, wanted, instead),
    )


def _instead(case: Case, wanted: Asked, instead: str) -> Change | UnsetType:
    """The requirement in place of one that cannot be installed, with a version where something tells one."""
    requirement = reqs.parse(instead)
    if requirement is None:
        return UNSET
    name, specifier = canonicalize_name(requirement.name), str(requirement.specifier)
    full = instead if specifier else instead + pinned_or(case, row_of(case, wanted.location, wanted.name), name, "")
    return Change("requirement", wanted.name, full, "what can be installed instead")


def _gone(case: Case, wanted: Asked, python: str | None) -> Unresolvable | None:
    for row in unresolvable():
        if row.name != wanted.name or (row.extra is not None and row.extra not in wanted.extras):
            continue
        if row.python is not None and (python is None or not allows(row.python, python)):
            continue
        specifier = wanted.requirement.specifier
        stub = distribution(wanted.name)
        if stub is not None and stub.stub is not None:
            # pip takes the newest version that fits, and stops where its build fails.
            first_stub = next((c.version for c in SpecifierSet(stub.stub) if c.operator == ">="), None)
            pin = pinned(wanted)
            if (first_stub and specifier.contains(first_stub, prereleases=True)) or (pin and allows(row.versions, pin)):
                return row
            continue
        candidates = candidates_of(wanted)
        if candidates and all(allows(row.versions, v) for v in candidates):
            return row
    return None


def _pins_nothing(case: Case, wanted: Asked, python: str | None) -> tuple[str, str] | None:
    """An extra that pins, in every release asked for, a package that the index does not have; and what to ask for."""
    candidates = [r for v in candidates_of(wanted) if (r := tensorflow_release(v))]
    reasons = [unavailable_pin(r, wanted.extras, python) for r in candidates]
    if wanted.name != "tensorflow" or not reasons or None in reasons:
        return None
    platforms = reqs.platforms(case) or ("linux_x86_64",)
    later = [
        r
        for r in releases()
        if Version(r.version) > Version(candidates[-1].version)
        and wanted.extras <= set(r.extras)
        and unavailable_pin(r, wanted.extras, python) is None
        and (python is None or python in r.python.get(platforms[0], ()))
    ]
    extras = f"[{','.join(sorted(wanted.extras))}]"
    minor = Version(later[0].version).release[:2] if later else ()
    same = [r.version for r in later if Version(r.version).release[:2] == minor]
    return reasons[-1] or "", f"tensorflow{extras}=={same[-1]}" if same else _fitting(case, f"tensorflow{extras}")


def _no_such_extra(case: Case, wanted: Asked) -> tuple[str, str] | None:
    """``and-cuda`` of releases that have no such extra."""
    candidates = [r for v in candidates_of(wanted) if (r := tensorflow_release(v))]
    if wanted.name != "tensorflow" or "and-cuda" not in wanted.extras or not candidates:
        return None
    if any("and-cuda" in release.extras for release in candidates):
        return None
    first = next(release for release in releases() if "and-cuda" in release.extras)
    why, other = f"the extra and-cuda exists from {first.version} on", and_cuda_release(case)
    if other is not None:
        return why, reqs.install(case, *requirements_of(case, other))
    pythons = sorted(first.python["linux_x86_64"], key=numbers)
    return why, f"install CUDA and cuDNN beside it, or use Python {pythons[0]} or later"


def _extra_elsewhere(case: Case, wanted: Asked) -> tuple[str, str] | None:
    """``and-cuda`` where its wheels do not exist: Windows and macOS."""
    system = reqs.system(case)
    if wanted.name != "tensorflow" or "and-cuda" not in wanted.extras or system not in ("windows", "darwin"):
        return None
    candidates = [r for v in candidates_of(wanted) if (r := tensorflow_release(v))]
    if not candidates or not all("and-cuda" in r.extras for r in candidates[-1:]):
        return None
    plain = "tensorflow" + str(wanted.requirement.specifier)
    if system == "windows":
        return (
            "nvidia-nccl, which the and-cuda extra pins, has no wheel for Windows",
            f"install it inside WSL2: pip install '{shown(wanted)}'; on Windows itself: {reqs.install(case, plain)}",
        )
    return "the CUDA wheels of the and-cuda extra do not exist for macOS", reqs.install(case, plain)


def _fitting(case: Case, instead: str) -> str:
    """The replacement, where it has a wheel for this Python (and its extra can be had); else what comes next to it."""
    requirement = reqs.parse(instead)
    python, platforms = reqs.python_minor(case), reqs.platforms(case)
    if requirement is None or python is None:
        return instead
    pins = [s.version for s in requirement.specifier]
    if pins:
        here = python in pythons_for("tensorflow", pins[0], platforms)
        return instead if here else _fitting(case, instead.partition("==")[0])
    if "and-cuda" not in requirement.extras or platforms is None:
        return instead
    if platforms[0] == "linux_x86_64" and (other := and_cuda_release(case)) is not None:
        return instead if other is newest_release() else f"{instead}=={other.version}"
    # Windows has had CUDA up to 2.10, macOS never, and older Pythons only releases that take CUDA from elsewhere.
    last = [
        r.version
        for r in releases()
        if r.has_cuda(platforms[0]) and not r.yanked and python in pythons_for("tensorflow", r.version, platforms)
    ]
    return f"tensorflow=={last[-1]}" if last else "tensorflow"


# each is held against each: more lines of one file than people write are not compared
_MOST_COMPARED = 500


def _contradictions(case: Case, rows: tuple[Asked, ...]) -> Iterator[Finding]:
    """Two requests of one file (or command line) that no release meets together."""
    files: dict[str, dict[tuple[str, str, frozenset[str]], Asked]] = {}
    for row in rows:  # what is written a second time says nothing new
        files.setdefault(row.file, {}).setdefault((row.name, str(row.requirement.specifier), row.extras), row)
    for distinct in files.values():
        seen: set[tuple[str, str]] = set()  # of this file: each is edited by itself
        for first, second in itertools.combinations(list(distinct.values())[:_MOST_COMPARED], 2):
            if (first.name, second.name) in seen:
                continue
            why, declared = (
                (_same_package(first, second), None)
                if first.name == second.name
                else _tensorflow_forbids(case, first, second)
            )
            if why is None:
                continue
            other = second if first.name in _SAME_REQUIREMENTS else first
            seen.add((first.name, second.name))
            yield Finding(
                f"{shown(first)} and {shown(second)} contradict each other: {why}",
                effect="the resolver finds no solution",
                fix=f"leave one of them free, for example: {reqs.install(case, shown(first), second.name)}"
                if first.name != second.name
                else f"keep one of them: {reqs.install(case, shown(first))}",
                verify=installers.dry(reqs.install(case, shown(first), shown(second))) or reqs.check(case),
                evidence=evidence(case, first, second),
                location=(other if declared else second).location,
                likely=0.9,
                thing=f"{first.name},{second.name}",
                change=_bounded(case, other, declared) if declared else UNSET,
            )


def _same_package(first: Asked, second: Asked) -> str | None:
    pins = [p for p in (pinned(first), pinned(second)) if p]
    both = SpecifierSet(f"{first.requirement.specifier},{second.requirement.specifier}".strip(","))
    if pins and not any(both.contains(p, prereleases=True) for p in pins):
        return "no version meets both"
    if not pins and candidates_of(first) and candidates_of(second):
        return "no release meets both" if not set(candidates_of(first)) & set(candidates_of(second)) else None
    return None


# Add-ons whose METADATA requires TensorFlow outright; tensorflow-io and tensorflow-addons name it in an extra only.
_REQUIRING_TENSORFLOW = frozenset(
    {"tensorflow-text", "tensorflow-decision-forests", "tensorflow-compression", "tf-models-official"}
)
_SAME_REQUIREMENTS = ("tensorflow", "tensorflow-gpu", "tensorflow-cpu")


class _Declared(msgspec.Struct, frozen=True):
    """What a TensorFlow release (``of``) requires of another package."""

    of: str
    specifier: SpecifierSet


def _bounded(case: Case, other: Asked, declared: _Declared) -> Change:
    specifier = pinned_or(case, row_of(case, other.location, other.name), other.name, str(declared.specifier))
    return Change("requirement", other.name, specifier, f"what {declared.of} requires")


def _tensorflow_forbids(case: Case, first: Asked, second: Asked) -> tuple[str | None, _Declared | None]:
    """A TensorFlow request each of whose releases excludes what the other request asks for, or that excludes them.

    With what the one release that is asked for requires, where it is one.
    """
    tensorflow, other = (first, second) if first.name in _SAME_REQUIREMENTS else (second, first)
    releases_of = candidates_of(tensorflow) if tensorflow.name in _SAME_REQUIREMENTS else ()
    candidates = [r for v in releases_of if (r := tensorflow_release(v))]
    if not candidates or other.name in _SAME_REQUIREMENTS:
        return None, None
    if (needed := _declared_by(other)) is not None:
        fits = any(allows(needed, release.version) is not False for release in candidates)
        return None if fits else f"{shown(other)} requires tensorflow{needed}", None
    declared: list[str] = []
    found: _Declared | None = None
    for release in candidates:
        rows = [r for e in (None, *sorted(tensorflow.extras)) for r in reqs.release_requirements(case, release, e)]
        named = [r for r in rows if canonicalize_name(r.name) == other.name]
        if not named or any(meet(str(r.specifier), str(other.requirement.specifier)) for r in named):
            return None, None
        declared.append(f"tensorflow {release.version} requires {named[0]}")
        found = _Declared(f"TensorFlow {release.version}", named[0].specifier)
    return declared[-1], found if len(candidates) == 1 else None


def _declared_by(other: Asked) -> str | None:
    """The TensorFlow that a pinned add-on declares in its METADATA."""
    pin = pinned(other)
    row = tensorflow_for_addon(other.name, pin) if pin else None
    return row.tensorflow if row is not None and other.name in _REQUIRING_TENSORFLOW else None
