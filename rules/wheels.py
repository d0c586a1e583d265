"""nvidia-* wheels that two frameworks in one environment pin apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from doctor.model.facts import applies, known, need
from doctor.model.report import Confidence
from doctor.model.snapshot import Package
from doctor.rule import Case, Finding, Severity, rule

from . import requirements as reqs
from .cuda import SNAPSHOT
from .proof import evidence
from .tables.frameworks import pins_of
from .tables.tensorflow import tensorflow_release
from .tables.versions import allows

PACKAGES = "software.packages"
_OTHERS = ("torch", "jax", "jax-cuda12-plugin", "jax-cuda13-plugin")


class Pins(msgspec.Struct, frozen=True):
    """What one framework requires of nvidia-* wheels; ``guessed``: its version is not known, so nor are its pins."""

    framework: Package
    wheels: dict[str, SpecifierSet]
    guessed: bool = False


@rule("KD208", "nvidia-wheel-conflict", Severity.WARNING, would_help=SNAPSHOT)
def nvidia_wheel_conflict(case: Case) -> Iterator[Finding]:
    """TensorFlow and another framework in one environment pin nvidia-* wheels to different versions.

    `tensorflow[and-cuda]` up to 2.19 and PyTorch both pin cuBLAS, cuDNN and others exactly, and never to the same
    versions. pip keeps what it installed last.

    ## Why is this bad?
    One of the two runs with libraries that it was not built for. Where cuDNN's major version differs, or it is older
    than TensorFlow's, TensorFlow loses the GPU; elsewhere results and speed may change without a word.

    ## How to fix
    Two environments; or TensorFlow 2.20 and later, which names ranges instead of versions; or the CPU build of the one
    that needs no GPU.

    ## References
    METADATA of the wheels of tensorflow (extra `and-cuda`), torch and jax; rocker-org/ml issue 34.
    """
    packages = need(case.software.packages)
    tensorflow = reqs.tensorflow_package(case)
    others = [p for name in _OTHERS if (p := case.package(name)) is not None]
    if tensorflow is None or not others:
        case.complete(PACKAGES)
        applies(False, "no second framework beside TensorFlow")
    assert tensorflow is not None
    mine = _tensorflow_pins(case, tensorflow)
    for theirs in (_other_pins(case, other) for other in others):
        if theirs is None or not mine.wheels:
            continue
        apart = _apart(mine, theirs, {name: known(p.version) for name, p in case.installed.items()})
        if apart and _extra_in_use(case, mine, theirs, packages):
            yield _finding(case, mine, theirs, apart)


def _finding(case: Case, mine: Pins, theirs: Pins, apart: tuple[str, ...]) -> Finding:
    name = apart[0]
    other = theirs.framework
    installed = case.package(name)
    say = "pins others in every release for CUDA 12" if theirs.guessed else f"{name}{theirs.wheels[name]}"
    rest = f" (and {len(apart) - 1} more)" if len(apart) > 1 else ""
    return Finding(
        f"TensorFlow requires {name}{mine.wheels[name]}{rest}, {other.name} {known(other.version) or ''} {say}".replace(
            "  ", " "
        ),
        confidence=Confidence.LOW if theirs.guessed else Confidence.HIGH,
        effect="one of the two runs with CUDA libraries that it was not built for",
        fix=f"put {other.name} and TensorFlow into two environments, or use ranges: "
        + reqs.install(case, "tensorflow[and-cuda]>=2.20"),
        verify=reqs.check(case),
        evidence=evidence(case, mine.framework, other, installed),
        likely=0.75,
        thing=f"{other.name}",
    )


def _nvidia(requirements: Iterable[Requirement]) -> dict[str, SpecifierSet]:
    out: dict[str, SpecifierSet] = {}
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        if name.startswith("nvidia-") and requirement.specifier:
            out[name] = requirement.specifier
    return out


def _tensorflow_pins(case: Case, tensorflow: Package) -> Pins:
    """The pins of the and-cuda extra: from the tables, and over them those of the METADATA."""
    told = _nvidia(reqs.declared(case, tensorflow, frozenset({"and-cuda"})))
    release = tensorflow_release(known(tensorflow.version))
    listed = (
        release.extras.get("and-cuda", ())
        if release is not None and release.version == known(tensorflow.version)
        else ()
    )
    return Pins(tensorflow, _nvidia(r for t in listed if (r := reqs.parse(t)) is not None) | told)


def _other_pins(case: Case, other: Package) -> Pins | None:
    told = _nvidia(reqs.declared(case, other, frozenset({"with-cuda", "with_cuda"})))
    if told:
        return Pins(other, told)
    if known(other.requires) is not None:
        return None
    version = known(other.version)
    if version is not None and "+cpu" in version:
        return None
    rows = pins_of(other.name, version)
    if version is not None:
        return Pins(other, _nvidia(r for t in rows[0].pins if (r := reqs.parse(t)) is not None)) if rows else None
    return Pins(other, {}, guessed=True) if rows else None


def _apart(mine: Pins, theirs: Pins, installed: dict[str, str | None]) -> tuple[str, ...]:
    """The wheels that no version satisfies for both, or that are installed in a version for one of them only."""
    if theirs.guessed:
        rows = [dict(_nvidia(r for t in row.pins if (r := reqs.parse(t)))) for row in pins_of(theirs.framework.name)]
        exact = [n for n, s in mine.wheels.items() if any(c.operator == "==" for c in s)]
        same = [row for row in rows if set(row) & set(exact)]
        return tuple(
            n for n in exact if same and all(n not in row or not _both(mine.wheels[n], row[n]) for row in same)
        )
    out = []
    for name in sorted(set(mine.wheels) & set(theirs.wheels)):
        have = installed.get(name)
        one, other = mine.wheels[name], theirs.wheels[name]
        one_only = have is not None and {allows(str(one), have), allows(str(other), have)} == {True, False}
        if one_only or not _both(one, other):
            out.append(name)
    return tuple(sorted(out, key=lambda n: ("cudnn" not in n, n)))


def _both(one: SpecifierSet, other: SpecifierSet) -> bool:
    """Whether some version may satisfy both; told apart only where one of them is an exact pin."""
    for pins, rest in ((one, other), (other, one)):
        for pin in pins:
            if pin.operator == "==" and not pin.version.endswith("*"):
                return rest.contains(pin.version, prereleases=True)
    return True


def _extra_in_use(case: Case, mine: Pins, theirs: Pins, packages: tuple[Package, ...]) -> bool:
    """Whether TensorFlow's CUDA wheels are meant at all: requested, or installed in versions that only it asks for."""
    if any(a.name == mine.framework.name and "and-cuda" in a.extras for a in reqs.asked(case)):
        return True
    for package in packages:
        have, own = known(package.version), mine.wheels.get(package.name)
        if have is None or own is None or not allows(str(own), have):
            continue
        exact = any(pin.operator == "==" for pin in own)
        foreign = theirs.wheels.get(package.name)
        if exact and (foreign is None or allows(str(foreign), have) is False):
            return True
    return False
