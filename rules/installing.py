"""Requests that cannot be met: no wheel for this Python, a C library too old, requirements that contradict."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from doctor.model.facts import applies, known, need
from doctor.model.report import Confidence
from doctor.rule import Case, Finding, Severity, rule

from . import requirements as reqs
from .cuda import SNAPSHOT
from .requirements import Asked
from .tables.packages import Distribution, Unresolvable, distribution, pythons_of, unresolvable
from .tables.systems import glibc_for_tag, libc_of
from .tables.tensorflow import Release, newest_release, releases, releases_for_python, tensorflow_release
from .tables.versions import allows, numbers, version

REQUESTED = "software.requested"
PYTHON = "software.python.version"


def _wanted(case: Case) -> tuple[Asked, ...]:
    """The requests for TensorFlow itself that the installed packages do not meet already.

    Raises:
        Inapplicable: none.
    """
    rows = tuple(a for a in reqs.asked(case) if _is_tensorflow(a.name))
    applies(bool(rows), "no TensorFlow is requested")
    open_ = tuple(a for a in rows if not _met(case, a))
    applies(bool(open_), "the requested TensorFlow is installed")
    return open_


def _is_tensorflow(name: str) -> bool:
    row = distribution(name)
    return row is not None and row.owns_folder and not name.startswith("tf-nightly")


def _met(case: Case, wanted: Asked) -> bool:
    package = case.package(wanted.name)
    have = known(package.version) if package else None
    return package is not None and (have is None or allows(str(wanted.requirement.specifier), have) is not False)


def _candidates(wanted: Asked) -> tuple[str, ...]:
    """The releases that a request admits, as far as the tables know them, oldest first."""
    row = distribution(wanted.name)
    if wanted.name == "tensorflow":
        known_versions = tuple(r.version for r in releases())
    else:
        known_versions = tuple(v for v in (row.versions if row else ()) if not (row and _is_stub(row, v)))
    specifier = wanted.requirement.specifier
    return tuple(v for v in known_versions if specifier.contains(v, prereleases=True))


def _is_stub(row: Distribution, text: str) -> bool:
    return row.stub is not None and bool(allows(row.stub, text))


def _pythons(name: str, text: str, platforms: tuple[str, ...] | None) -> set[str]:
    """The Pythons for which a release has a wheel, on one of these platforms (None: on any)."""
    release = tensorflow_release(text) if name == "tensorflow" else None
    every = platforms or (
        tuple(release.python)
        if release
        else ("linux_x86_64", "windows_amd64", "macos_x86_64", "macos_arm64", "linux_aarch64")
    )
    return {python for platform in every for python in pythons_of(name, text, platform) or ()}


@rule("KD304", "python-unsupported", Severity.ERROR, would_help=SNAPSHOT)
def python_unsupported(case: Case) -> Iterator[Finding]:
    """No wheel of the requested TensorFlow exists for this Python on this platform.

    Wheels are made for some Python versions only: 2.15 for 3.9 to 3.11, 2.16 to 2.19 for 3.9 to 3.12, 2.20 for 3.9 to
    3.13; for 64-bit CPython only.

    ## Why is this bad?
    pip says "No matching distribution found" or "from versions: none", and names neither reason nor remedy.

    ## How to fix
    Use a Python for which the release has a wheel, or a release that has one for this Python.

    ## References
    Tags of the wheels on the package index; tensorflow.org/install/pip#system-requirements.
    """
    need(case.software.requested)
    rows = _wanted(case)
    python = reqs.python_minor(case)
    if python is None:
        need(case.software.python.version)
        return
    platforms = reqs.platforms(case)
    for wanted in rows:
        candidates = _candidates(wanted)
        if not candidates:
            continue
        special = _no_wheel_at_all(case)
        if special is None and any(python in _pythons(wanted.name, v, platforms) for v in candidates):
            continue
        newer = _newer_than_tables(python)
        yield Finding(
            f"no wheel of {_shown(wanted)} exists for {special or 'Python ' + python + _on(platforms)}",
            confidence=Confidence.MEDIUM if newer and not wanted.requirement.specifier else Confidence.HIGH,
            effect="pip finds no matching distribution",
            fix=_python_fix(case, wanted, candidates, python, platforms, special),
            verify=f"pip install --dry-run '{wanted.row.requirement}'",
            evidence=case.evidence(wanted.fact, PYTHON, "software.python.bits", "machine.os", "machine.architecture"),
            likely=0.95,
            thing=wanted.name,
        )


def _no_wheel_at_all(case: Case) -> str | None:
    """A Python for which no TensorFlow wheel was ever made, in words."""
    if known(case.software.python.bits) == 32:
        return "a 32-bit Python"
    implementation = known(case.software.python.implementation)
    return implementation if implementation not in (None, "cpython") else None


def _newer_than_tables(python: str) -> bool:
    return not any(releases_for_python(python, p) for p in ("linux_x86_64", "windows_amd64", "macos_arm64"))


def _shown(wanted: Asked) -> str:
    return wanted.row.requirement.strip()


def _on(platforms: tuple[str, ...] | None) -> str:
    return f" on {platforms[0].replace('_', ' ', 1)}" if platforms and len(platforms) == 1 else ""


def _python_fix(
    case: Case,
    wanted: Asked,
    candidates: tuple[str, ...],
    python: str,
    platforms: tuple[str, ...] | None,
    special: str | None,
) -> str:
    newest = candidates[-1]
    fitting = sorted(_pythons(wanted.name, newest, platforms), key=numbers)
    if special:
        return "use a 64-bit CPython" + (f" {fitting[0]} to {fitting[-1]}" if fitting else "")
    if not fitting:
        return (
            f"no release has wheels for {_on(platforms)[4:] or 'this platform'}: build from source or use a container"
        )
    span = fitting[0] if len(fitting) == 1 else f"{fitting[0]} to {fitting[-1]}"
    tool = f"uv venv --python {fitting[-1]}" if reqs.installer(case) == "uv" else f"python{fitting[-1]} -m venv .venv"
    text = f"use Python {span} for {wanted.name} {newest} ({tool})"
    others = [r.version for r in releases() if python in _pythons("tensorflow", r.version, platforms)]
    return (
        f"{text}, or a release for Python {python}: {reqs.install(case, 'tensorflow==' + others[-1])}"
        if others
        else text
    )


@rule("KD310", "glibc-too-old", Severity.ERROR, would_help=SNAPSHOT)
def glibc_too_old(case: Case) -> Iterator[Finding]:
    """The TensorFlow wheel needs a newer C library than this system has.

    The manylinux tag of a wheel names the oldest glibc that it runs on: manylinux_2_27 needs glibc 2.27. Systems with
    musl (Alpine) run none of these wheels.

    ## Why is this bad?
    pip does not offer the wheel, or the import fails with "version `GLIBC_2.27' not found".

    ## How to fix
    Use a newer distribution or a container image, or a TensorFlow release whose wheel still runs here.

    ## References
    PEP 600; platform tags of the wheels on the package index.
    """
    system = reqs.system(case)
    if system is None:
        need(case.machine.os)
    applies(system == "linux", "wheels for this system do not depend on glibc")
    need_something = known(case.software.requested) or reqs.tensorflow_version(case)
    if not need_something:
        need(case.software.requested)
    applies(bool(need_something), "no TensorFlow is installed or requested")
    have, fact = _libc(case)
    yield from _installed_needs(case, have, fact)
    platforms = reqs.platforms(case) or ("linux_x86_64",)
    for wanted in (a for a in reqs.asked(case) if _is_tensorflow(a.name) and not _met(case, a)):
        fits = [r for v in _candidates(wanted) if (r := tensorflow_release(v)) and _for_python(case, r, platforms)]
        needs = {r.version: r.min_glibc.get(platforms[0]) for r in fits}
        if not needs or any(_runs(have, n) for n in needs.values()):
            continue
        least = min((n for n in needs.values() if n), key=numbers)
        yield _glibc_finding(case, f"{_shown(wanted)}", least, have, (wanted.fact, fact))


def _for_python(case: Case, release: Release, platforms: tuple[str, ...]) -> bool:
    python = reqs.python_minor(case)
    return python is None or python in release.python.get(platforms[0], ())


def _libc(case: Case) -> tuple[str | None, str]:
    """The glibc version (None: another C library) and where the snapshot tells it.

    Raises:
        Unknown: neither the C library nor a distribution that the tables know is told.
    """
    libc = case.software.libc
    name, text = known(libc.name), known(libc.version)
    if name not in (None, "glibc"):
        return None, "software.libc.name"
    if text:
        return text, "software.libc.version"
    system = case.software.distribution
    row = libc_of(known(system.id) or "", known(system.version) or "")
    if row is None:
        need(libc.version)
        return None, ""
    return (row.version if row.libc == "glibc" else None), "software.distribution"


def _runs(have: str | None, need_glibc: str | None) -> bool:
    if need_glibc is None:
        return True
    return have is not None and numbers(have) >= numbers(need_glibc)


def _installed_needs(case: Case, have: str | None, fact: str) -> Iterator[Finding]:
    """An installed wheel whose tag is newer than the system: put there by hand, or moved."""
    text = reqs.tensorflow_version(case)
    package = reqs.tensorflow_package(case)
    if text is None or (package is not None and known(package.installer) not in (None, "pip", "uv")):
        return
    tag = known(case.software.tensorflow.platform_tag)
    release = tensorflow_release(text)
    platforms = reqs.platforms(case) or ("linux_x86_64",)
    least = glibc_for_tag(tag) if tag else None
    if least is None and release is not None and release.version == text and tag is None:
        least = release.min_glibc.get(platforms[0])
    if least is not None and not _runs(have, least):
        facts = ("software.tensorflow.version", "software.tensorflow.platform_tag", fact)
        yield _glibc_finding(case, f"TensorFlow {text}", least, have, facts)


def _glibc_finding(case: Case, what: str, least: str, have: str | None, facts: tuple[str, ...]) -> Finding:
    python = reqs.python_minor(case)
    platforms = reqs.platforms(case) or ("linux_x86_64",)
    older = [
        r.version
        for r in releases()
        if _runs(have, r.min_glibc.get(platforms[0], "999")) and (python is None or _for_python(case, r, platforms))
    ]
    move = "use a distribution or a base image with a newer glibc (Debian 11, Ubuntu 20.04 and later have 2.31)"
    return Finding(
        f"{what} needs glibc {least}, and this system has {'glibc ' + have if have else 'no glibc (musl)'}",
        effect="the wheel cannot be installed, or fails at import",
        fix=f"{move}, or {reqs.install(case, 'tensorflow==' + older[-1])}" if have and older else move,
        verify="ldd --version",
        evidence=case.evidence(*facts),
        likely=0.93,
        thing="glibc",
    )


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
    for wanted in rows:
        if _met(case, wanted):
            continue
        row = _gone(case, wanted, python)
        if row is not None:
            yield _unresolvable(case, wanted, row.why, f"{reqs.install(case, _fitting(case, row.instead))}")
        elif (why := _never_existed(wanted)) is not None:
            yield _unresolvable(case, wanted, why[0], reqs.install(case, why[1]))
        elif (why := _extra_elsewhere(case, wanted)) is not None:
            yield _unresolvable(case, wanted, why[0], why[1])
    yield from _contradictions(case, rows)


def _unresolvable(case: Case, wanted: Asked, why: str, fix: str) -> Finding:
    return Finding(
        f"{_shown(wanted)} cannot be installed: {why}",
        effect="the installation fails",
        fix=fix,
        verify=f"pip install --dry-run {fix.split(' ', 2)[2]}" if fix.startswith("pip install") else "pip check",
        evidence=case.evidence(wanted.fact, PYTHON, "machine.os"),
        likely=0.9,
        thing=wanted.name,
    )


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
            newest = max(stub.versions, key=numbers, default=None)
            admitted = [v for v in (*stub.versions, "2.12.0") if specifier.contains(v, prereleases=True)]
            if newest and admitted and allows(row.versions, max(admitted, key=numbers)):
                return row
            if not admitted and _pinned(wanted) and allows(row.versions, _pinned(wanted) or ""):
                return row
            continue
        candidates = _candidates(wanted)
        if candidates and all(allows(row.versions, v) for v in candidates):
            return row
    return None


def _pinned(wanted: Asked) -> str | None:
    """The version of an exact pin."""
    exact = [s for s in wanted.requirement.specifier if s.operator in ("==", "===") and not s.version.endswith("*")]
    return exact[0].version if len(exact) == 1 else None


def _never_existed(wanted: Asked) -> tuple[str, str] | None:
    """A pin of a release that was never made, and the nearest that was."""
    pin = version(_pinned(wanted))
    if wanted.name != "tensorflow" or pin is None or pin.is_prerelease or pin.local or _candidates(wanted):
        return None
    if pin.release[:2] > Version(newest_release().version).release[:2]:
        return None
    near = [r.version for r in releases() if Version(r.version).release[:2] == pin.release[:2]]
    instead = near[-1] if near else newest_release().version
    extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
    return "that release was never made", f"tensorflow{extras}=={instead}"


def _extra_elsewhere(case: Case, wanted: Asked) -> tuple[str, str] | None:
    """``and-cuda`` where its wheels do not exist: Windows and macOS."""
    system = reqs.system(case)
    if wanted.name != "tensorflow" or "and-cuda" not in wanted.extras or system not in ("windows", "darwin"):
        return None
    candidates = [r for v in _candidates(wanted) if (r := tensorflow_release(v))]
    if not candidates or not all("and-cuda" in r.extras for r in candidates[-1:]):
        return None
    plain = "tensorflow" + str(wanted.requirement.specifier)
    if system == "windows":
        return (
            "nvidia-nccl, which the and-cuda extra pins, has no wheel for Windows",
            f"install it inside WSL2: pip install '{_shown(wanted)}'; on Windows itself: {reqs.install(case, plain)}",
        )
    return "the CUDA wheels of the and-cuda extra do not exist for macOS", reqs.install(case, plain)


def _fitting(case: Case, instead: str) -> str:
    """The replacement, where it has a wheel for this Python; else without its version."""
    requirement = reqs.parse(instead)
    python = reqs.python_minor(case)
    if requirement is None or python is None:
        return instead
    pins = [s.version for s in requirement.specifier]
    if pins and python not in _pythons("tensorflow", pins[0], reqs.platforms(case)):
        return instead.partition("==")[0]
    return instead


def _contradictions(case: Case, rows: tuple[Asked, ...]) -> Iterator[Finding]:
    """Two requests of one file (or command line) that no release meets together."""
    seen: set[tuple[str, str]] = set()
    for first in rows:
        for second in rows:
            if first.index >= second.index or first.file != second.file or (first.name, second.name) in seen:
                continue
            why = (
                _same_package(first, second) if first.name == second.name else _tensorflow_forbids(case, first, second)
            )
            if why is None:
                continue
            seen.add((first.name, second.name))
            yield Finding(
                f"{_shown(first)} and {_shown(second)} contradict each other: {why}",
                effect="the resolver finds no solution",
                fix=f"leave one of them free, for example: {reqs.install(case, _shown(first), second.name)}"
                if first.name != second.name
                else f"keep one of them: {reqs.install(case, _shown(first))}",
                verify=f"pip install --dry-run '{_shown(first)}' '{_shown(second)}'",
                evidence=case.evidence(first.fact, second.fact),
                likely=0.9,
                thing=f"{first.name},{second.name}",
            )


def _same_package(first: Asked, second: Asked) -> str | None:
    pins = [p for p in (_pinned(first), _pinned(second)) if p]
    both = SpecifierSet(f"{first.requirement.specifier},{second.requirement.specifier}".strip(","))
    if pins and not any(both.contains(p, prereleases=True) for p in pins):
        return "no version meets both"
    if not pins and _candidates(first) and _candidates(second):
        return "no release meets both" if not set(_candidates(first)) & set(_candidates(second)) else None
    return None


def _tensorflow_forbids(case: Case, first: Asked, second: Asked) -> str | None:
    """A TensorFlow request each of whose releases excludes the version that the other request pins."""
    tensorflow, other = (first, second) if first.name == "tensorflow" else (second, first)
    pin = _pinned(other)
    candidates = (
        [r for v in _candidates(tensorflow) if (r := tensorflow_release(v))] if tensorflow.name == "tensorflow" else []
    )
    if pin is None or not candidates or version(pin) is None:
        return None
    declared = []
    for release in candidates:
        rows = [r for e in (None, *sorted(tensorflow.extras)) for r in reqs.release_requirements(case, release, e)]
        named = [r for r in rows if canonicalize_name(r.name) == other.name]
        if not named or any(allows(str(r.specifier), pin) is not False for r in named):
            return None
        declared.append(f"tensorflow {release.version} requires {named[0]}")
    return declared[-1]
