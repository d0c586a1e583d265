"""Wheels that do not exist for this Python, and wheels that need a newer C library."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from doctor.model.facts import Unknown, applies, known, need
from doctor.model.report import Confidence
from doctor.rule import Case, Finding, Severity, rule

from . import requirements as reqs
from .builds import tensorflow_facts
from .cuda import SNAPSHOT
from .proof import Thing, evidence
from .requested import (
    candidates_of,
    is_met,
    is_tensorflow,
    never_made,
    pythons_for,
    shown,
    untold_release,
    wanted_tensorflow,
)
from .requirements import Asked
from .tables.systems import glibc_for_tag, libc_of
from .tables.tensorflow import Release, releases, releases_for_python, tensorflow_release
from .tables.versions import major_minor, numbers

PYTHON = "software.python.version"


@rule("KD304", "python-unsupported", Severity.ERROR, would_help=SNAPSHOT)
def python_unsupported(case: Case) -> Iterator[Finding]:
    """No wheel of the requested or installed TensorFlow exists for this Python on this platform.

    Wheels are made for some Python versions only: 2.15 for 3.9 to 3.11, 2.16 to 2.19 for 3.9 to 3.12, 2.20 for 3.9 to
    3.13; for 64-bit CPython only. An installed TensorFlow whose wheels are for other Pythons is a warning: it was left
    behind by another Python (an upgrade, PYTHONPATH), or somebody built it for this one.

    ## Why is this bad?
    pip says "No matching distribution found" or "from versions: none", and names neither reason nor remedy.

    ## How to fix
    Use a Python for which the release has a wheel, or a release that has one for this Python.

    ## References
    Tags of the wheels on the package index; tensorflow.org/install/pip#system-requirements.
    """
    yield from _left_behind(case)
    need(case.software.requested)
    rows = wanted_tensorflow(case)
    python = reqs.python_minor(case)
    if python is None:
        need(case.software.python.version)
        return
    platforms = reqs.platforms(case)
    untold: Asked | None = None
    for wanted in rows:
        candidates = candidates_of(wanted)
        if not candidates:
            untold = None if never_made(wanted) else wanted
            continue
        special = unsupported_python(case)
        if special is None and any(python in pythons_for(wanted.name, v, platforms) for v in candidates):
            continue
        newer = _newer_than_tables(python)
        yield Finding(
            f"no wheel of {shown(wanted)} exists for {special or 'Python ' + python + _on(platforms)}",
            confidence=Confidence.MEDIUM if newer and not wanted.requirement.specifier else Confidence.HIGH,
            effect="pip finds no matching distribution",
            fix=_python_fix(case, wanted, candidates, python, platforms, special),
            verify=f"pip install --dry-run '{wanted.row.requirement}'",
            evidence=evidence(case, wanted, PYTHON, "software.python.bits", "machine.os", "machine.architecture"),
            location=wanted.location,
            likely=0.95,
            thing=wanted.name,
        )
    if untold is not None:
        raise untold_release(untold)


def _left_behind(case: Case) -> Iterator[Finding]:
    """An installed release, as the index has it, that has wheels for this platform, and none for this Python."""
    package, text, python = reqs.tensorflow_package(case), reqs.tensorflow_version(case), reqs.python_minor(case)
    if package is None or text is None or python is None or known(package.editable):
        return
    if reqs.foreign(package) or not tensorflow_facts(case).official or text not in {r.version for r in releases()}:
        return
    platforms = reqs.platforms(case)
    fitting = sorted(pythons_for(package.name, text, platforms), key=numbers) if platforms else []
    if not fitting or python in fitting or unsupported_python(case):
        return
    others = _releases_here(case, python, platforms)
    fix = f"use Python {fitting[0]} to {fitting[-1]}" if len(fitting) > 1 else f"use Python {fitting[0]}"
    yield Finding(
        f"{package.name} {text} is installed, whose wheels are for Python {', '.join(fitting)}, and this is {python}",
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        effect="the import fails: what is compiled for another Python does not load, unless it was built for this one",
        fix=f"{fix}, or install a release for {python}: {reqs.install(case, 'tensorflow==' + others[-1])}"
        if others
        else fix,
        verify='python -c "import tensorflow"',
        evidence=evidence(case, "software.tensorflow.version", package, PYTHON, "machine.os"),
        likely=0.65,
        thing=package.name,
    )


def unsupported_python(case: Case) -> str | None:
    """A Python for which no TensorFlow wheel was ever made, in words."""
    if known(case.software.python.bits) == 32:
        return "a 32-bit Python"
    implementation = known(case.software.python.implementation)
    return implementation if implementation not in (None, "cpython") else None


def _newer_than_tables(python: str) -> bool:
    return not any(releases_for_python(python, p) for p in ("linux_x86_64", "windows_amd64", "macos_arm64"))


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
    fitting = sorted(pythons_for(wanted.name, newest, platforms), key=numbers)
    if special:
        return "use a 64-bit CPython" + (f" {fitting[0]} to {fitting[-1]}" if fitting else "")
    others = _releases_here(case, python, platforms)
    instead = reqs.install(case, f"tensorflow=={others[-1]}") if others else ""
    if not fitting:
        none = f"{wanted.name} {newest} has no wheel for {_on(platforms)[4:] or 'this platform'}"
        return f"{none}: {instead or 'build from source or use a container'}"
    span = fitting[0] if len(fitting) == 1 else f"{fitting[0]} to {fitting[-1]}"
    tool = f"uv venv --python {fitting[-1]}" if reqs.installer(case) == "uv" else f"python{fitting[-1]} -m venv .venv"
    text = f"use Python {span} for {wanted.name} {newest} ({tool})"
    return f"{text}, or a release for Python {python}: {instead}" if instead else text


def _releases_here(case: Case, python: str, platforms: tuple[str, ...] | None) -> list[str]:
    """The releases with a wheel for this Python, platform and C library, as far as these are known."""
    found = [r for r in releases() if python in pythons_for("tensorflow", r.version, platforms)]
    with contextlib.suppress(Unknown):
        if platforms and platforms[0].startswith("linux"):
            have = c_library(case)[0]
            found = [r for r in found if _runs(have, r.min_glibc.get(platforms[0]))]
    return [r.version for r in found]


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
        applies(not reqs.without_tensorflow(case), "no TensorFlow is installed or requested")
        need(case.software.tensorflow.version)
    have, fact = c_library(case)
    untold = _untold_wheel(case)
    if not untold:
        yield from _installed_needs(case, have, fact)
    platforms = reqs.platforms(case) or ("linux_x86_64",)
    for wanted in (a for a in reqs.asked(case) if is_tensorflow(a.name) and not is_met(case, a)):
        fits = [r for v in candidates_of(wanted) if (r := tensorflow_release(v)) and _for_python(case, r, platforms)]
        needs = {r.version: r.min_glibc.get(platforms[0]) for r in fits}
        if not needs or any(_runs(have, n) for n in needs.values()):
            continue
        least = min((n for n in needs.values() if n), key=numbers)
        yield _glibc_finding(case, f"{shown(wanted)}", least, have, (wanted, fact))
    if untold and not known(case.software.requested):
        raise Unknown("software.tensorflow.platform_tag", f"not known, and the tables have no wheel of {untold}")


def _untold_wheel(case: Case) -> str | None:
    """An installed TensorFlow that is none of the tables' wheels, in words, where its tag is not told either."""
    text = reqs.tensorflow_version(case)
    tag = known(case.software.tensorflow.platform_tag)
    if text is None or tag is not None or reqs.foreign(reqs.tensorflow_package(case)):
        return None
    build = tensorflow_facts(case)
    return None if build.official else f"{build.distribution or 'TensorFlow'} {text}"


def _for_python(case: Case, release: Release, platforms: tuple[str, ...]) -> bool:
    python = reqs.python_minor(case)
    return python is None or python in release.python.get(platforms[0], ())


def c_library(case: Case) -> tuple[str | None, str]:
    """The glibc version (None: another C library) and where the snapshot tells it.

    Raises:
        Unknown: neither the C library nor a distribution that the tables know is told.
    """
    libc = case.software.libc
    name, text = known(libc.name), known(libc.version)
    if name not in (None, "glibc"):
        return None, "software.libc.name"
    if text and major_minor(text):
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


def _glibc_finding(case: Case, what: str, least: str, have: str | None, facts: tuple[Thing, ...]) -> Finding:
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
        evidence=evidence(case, *facts),
        likely=0.93,
        thing="glibc",
    )
