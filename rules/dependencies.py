"""Packages beside TensorFlow: NumPy, protobuf, Keras, add-ons, and every other declared requirement."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from doctor.model.facts import Unknown, applies, known, need
from doctor.model.report import Change, Confidence
from doctor.model.snapshot import Package
from doctor.rule import Case, Finding, Severity, rule

from . import installers
from . import requirements as reqs
from .cuda import SNAPSHOT
from .harmony import together
from .neighbours import absent, compiled_for_numpy_1, fails_without, needs_numpy_1, off_pythonpath
from .proof import evidence
from .tables.packages import (
    SeenWorking,
    addon_fits,
    addon_names,
    addon_rows,
    broken_bounds,
    seen_working,
    tensorflow_for_addon,
)
from .tables.tensorflow import tensorflow_release
from .tables.versions import admits, allows

PACKAGES = "software.packages"
IMPORT = 'python -c "import tensorflow"'
_MOST = 20


def _installed(case: Case, name: str) -> tuple[Package, str] | None:
    """A package and its version; None where it is not installed.

    Raises:
        Inapplicable: TensorFlow is not installed.
        Unknown: TensorFlow's version, the packages, or this package's version are not known.
    """
    applies(known(case.software.tensorflow.present) is not False, "TensorFlow is not installed")
    packages = need(case.software.packages)
    if reqs.tensorflow_version(case) is None:
        if reqs.tensorflow_package(case) is None and not case.is_partial(PACKAGES):
            applies(bool(packages) and False, "TensorFlow is not installed")
        need(case.software.tensorflow.version)
    package = case.package(name)
    if package is None:
        case.complete(PACKAGES)
        return None
    return package, need(package.version)


def _incompatible(case: Case, name: str, shown: str, removed: str) -> Iterator[Finding]:
    """The finding on a package outside what TensorFlow declares, or is known to work with."""
    found = _installed(case, name)
    if found is None:
        yield from absent(case, name, shown, "the import of TensorFlow fails")
        return
    package, have = found
    text = reqs.tensorflow_version(case) or ""
    declared = reqs.requirement_of_tensorflow(case, name)
    unmet = declared is not None and admits(str(declared.specifier), have) is False
    broken = broken_bounds(text, name, have)
    if not unmet and not broken:
        return reqs.need_requirements_of_tensorflow(case, name)
    wanted = str(declared.specifier) if declared is not None else ""
    works = ",".join(row.works for row in broken)
    tensorflow = reqs.tensorflow_package(case)
    foreign = reqs.foreign(tensorflow)
    limit = reqs.bounds_of(wanted if unmet else works)
    seen = seen_working(text, name, have) if not broken else None
    yield Finding(
        f"{shown} {have} is outside what TensorFlow {text} declares, {limit}"
        if seen is not None
        else f"{shown} {have} does not work with TensorFlow {text}, which needs {limit}"
        + ("" if unmet else " though it does not say so"),
        severity=Severity.WARNING if foreign or seen is not None else None,
        confidence=_confidence(foreign, unmet or any(row.fatal for row in broken)),
        effect=_seen_effect(seen) if seen is not None else f"{broken[0].symptom}" if broken else removed,
        fix=off_pythonpath(case, package)
        + reqs.install(case, *together(case, name, reqs.joined(wanted, works)), package=package),
        verify=IMPORT,
        evidence=evidence(
            case,
            package,
            tensorflow if tensorflow is not None else "software.tensorflow.version",
        ),
        likely=0.9,
        thing=name,
        change=Change("bound", name, reqs.joined(wanted, works), f"what TensorFlow {text} works with", mends=False),
    )


def _seen_effect(seen: SeenWorking) -> str:
    return "training was seen to work with it, untested by TensorFlow" + (f"; {seen.but}" if seen.but else "")


def _confidence(foreign: bool, sure: bool) -> Confidence:
    """The bounds are those of the official wheels: who builds TensorFlow anew may build it against others."""
    if foreign:
        return Confidence.LOW
    return Confidence.HIGH if sure else Confidence.MEDIUM


@rule("KD305", "numpy-incompatible", Severity.ERROR, would_help=SNAPSHOT)
def numpy_incompatible(case: Case) -> Iterator[Finding]:
    """NumPy is outside what this TensorFlow works with, declared or not.

    TensorFlow up to 2.17 is compiled against NumPy 1 and cannot be imported with NumPy 2; many of these releases
    declare no upper bound, so pip installs NumPy 2 without a word. TensorFlow up to 2.6 uses names that NumPy 1.24
    removed. The same holds for what TensorFlow imports, or stands beside it: earlier wheels of h5py, pandas, OpenCV and
    others were compiled against NumPy 1.

    ## Why is this bad?
    The import fails ("_ARRAY_API not found", "module 'numpy' has no attribute 'object'"), or crashes later.

    ## How to fix
    Install a NumPy within the bounds, or a newer TensorFlow.

    ## References
    METADATA of the wheels; NumPy 2.0 migration guide; tensorflow/tensorflow issue 62832.
    """
    own = tuple(_incompatible(case, "numpy", "NumPy", "the import of TensorFlow fails or warns"))
    yield from own or compiled_for_numpy_1(case)


@rule("KD306", "protobuf-incompatible", Severity.ERROR, would_help=SNAPSHOT)
def protobuf_incompatible(case: Case) -> Iterator[Finding]:
    """protobuf is outside what this TensorFlow works with, declared or not.

    TensorFlow carries code that protobuf's compiler wrote. protobuf from 3.21 (4.21) on refuses code written before
    3.19; from 5 on it refuses code that is newer than itself, or older by more than one major version.

    ## Why is this bad?
    The import fails: "Descriptors cannot be created directly", or "Detected incompatible Protobuf Gencode/Runtime".

    ## How to fix
    Install a protobuf within the bounds that TensorFlow declares.

    ## References
    METADATA of the wheels; protobuf.dev, cross-version runtime guarantee; tensorflow/tensorflow issue 56266.
    """
    yield from _incompatible(case, "protobuf", "protobuf", "the import of TensorFlow fails or warns")


@rule("KD308", "addon-incompatible", Severity.ERROR, would_help=SNAPSHOT)
def addon_incompatible(case: Case) -> Iterator[Finding]:
    """An add-on is built for another TensorFlow than the one that is installed.

    tensorflow-text, tensorflow-io, tensorflow-addons, decision forests and others load compiled operators that fit one
    minor version of TensorFlow.

    ## Why is this bad?
    The import of the add-on fails with "undefined symbol", or it installs without error and crashes when used.

    ## How to fix
    Install the add-on of the same TensorFlow minor version, or remove it where it is no longer developed.

    ## References
    METADATA of the add-ons' wheels; compatibility tables of tensorflow/io and tensorflow/addons.
    """
    applies(known(case.software.tensorflow.present) is not False, "TensorFlow is not installed")
    packages = need(case.software.packages)
    addons = [p for p in packages if p.name in addon_names()]
    if not addons:
        case.complete(PACKAGES)
        applies(False, "no add-on is installed")
    text = reqs.tensorflow_version(case)
    if text is None:
        need(case.software.tensorflow.version)
        return
    untold: list[str] = []
    for addon in addons:
        have = known(addon.version)
        declared = _declared_tensorflow(case, addon)
        if declared is None and (have is None or addon_fits(addon.name, have, text) is None):
            untold.append(f"{addon.name} {have}" if have else addon.name)
            continue
        row = tensorflow_for_addon(addon.name, have) if have else None
        unmet = declared is not None and allows(str(declared.specifier), _whole(text)) is False
        unfit = have is not None and addon_fits(addon.name, have, text) is False
        if not unmet and not unfit:
            continue
        wanted = str(declared.specifier) if unmet and declared is not None else (row.tensorflow if row else "")
        symptom = row.symptom if row is not None else ""
        hard = unmet or bool(symptom) or (row is not None and row.abi)
        fix = _fitting_addon(case, addon, text, wanted)
        module = addon.name.replace("-", "_")
        used = f"; {module}.distributions" if addon.name == "tensorflow-probability" else ""  # it imports at first use
        importing = f'python -c "import {module}{used}"'
        yield Finding(
            f"{addon.name} {have or ''} is built for TensorFlow {wanted}, and {text} is installed".replace("  ", " "),
            severity=None if hard else Severity.WARNING,
            effect=symptom
            or ("its compiled operators do not load, or crash" if hard else "it was never tested with this TensorFlow"),
            fix=fix,
            verify="kdoctor scan --select KD308" if " uninstall" in fix or " remove " in fix else importing,
            evidence=evidence(case, addon, "software.tensorflow.version"),
            likely=0.8,
            thing=addon.name,
        )
    if untold:
        raise Unknown(PACKAGES, f"neither metadata nor tables tell which TensorFlow is for {', '.join(untold)}")


def _whole(text: str) -> str:
    """A version that is told by two numbers stands for the newest release of that minor."""
    release = tensorflow_release(text)
    return release.version if release is not None and text.count(".") < 2 else text


def _declared_tensorflow(case: Case, addon: Package) -> Requirement | None:
    """What an add-on's own METADATA says of TensorFlow."""
    for requirement in reqs.declared(case, addon):
        if reqs.canonical(requirement.name) == "tensorflow":
            return requirement
    return None


def _fitting_addon(case: Case, addon: Package, text: str, wanted: str) -> str:
    for row in addon_rows(addon.name):
        # Old releases that name no newest TensorFlow were not made for this one.
        bounded = any(clause.operator in ("<", "<=", "==", "~=") for clause in SpecifierSet(row.tensorflow))
        if (bounded or row.symptom) and allows(row.tensorflow, _whole(text)):
            return reqs.install(case, f"{addon.name}{row.versions}", package=addon)
    remove = installers.uninstall(case, reqs.installer(case, addon), [addon.name])
    return f"{remove}  # no {addon.name} is made for TensorFlow {text}; or install tensorflow{wanted}"


@rule("KD309", "dependency-conflict", Severity.ERROR, follows=("KD208", "KD303"), would_help=SNAPSHOT)
def dependency_conflict(case: Case) -> Iterator[Finding]:
    """An installed package declares a requirement that is not met.

    This is what `pip check` looks at, judged for the Python and the system of the snapshot, and without an interpreter.
    What the rules on NumPy, protobuf, Keras, add-ons and nvidia-* wheels say is not said twice.

    ## Why is this bad?
    The package was never tested with what is installed; some such conflicts fail at import, some only at run time.
    An error where TensorFlow or Keras cannot be imported without a package that is not there; else a warning.

    ## How to fix
    Install versions that meet the requirement, or a newer release of the package that declares it.

    ## References
    PEP 508, PEP 345 (Requires-Dist); `pip check`.
    """
    need(case.software.packages)
    complete = not case.is_partial(PACKAGES)
    installed = case.installed
    count, unjudged = 0, not any(known(p.requires) is not None for p in installed.values())
    for owner in installed.values():
        for requirement in _declared(case, owner):
            name = reqs.canonical(requirement.name)
            target = installed.get(name)
            if _said_elsewhere(case, owner, name) or (name == "numpy" and needs_numpy_1(case, owner)):
                continue
            if target is None:
                told = known(owner.requires) is not None and known(owner.installer) != "conda"
                unjudged |= told
                if not complete or not told:
                    continue
                have = "is not installed"
            else:
                version = known(target.version)
                if version is None or allows(str(requirement.specifier), version) is not False:
                    continue
                have = f"{version} is installed"
            count += 1
            if count <= _MOST:
                yield _conflict(case, owner, requirement, target, have)
    for finding in _undeclared(case, installed):
        count += 1
        yield finding
    if count:
        return
    if unjudged:
        case.complete(PACKAGES)
    if any(_open(case, owner, installed) for owner in installed.values()):
        reqs.need_markers(case)


def _open(case: Case, owner: Package, installed: dict[str, Package]) -> bool:
    """Whether a requirement is not met that may or may not hold here: a marker of it cannot be told."""
    for requirement in reqs.undecided(case, owner):
        target = installed.get(reqs.canonical(requirement.name))
        version = known(target.version) if target is not None else None
        if target is None or (version is not None and allows(str(requirement.specifier), version) is False):
            return True
    return False


def _undeclared(case: Case, installed: dict[str, Package]) -> Iterator[Finding]:
    """What TensorFlow is known not to work with, though nobody declares it, and no rule of its own says it."""
    text, tensorflow = reqs.tensorflow_version(case), reqs.tensorflow_package(case)
    if text is None or reqs.foreign(tensorflow):
        return
    for name, package in installed.items():
        have = known(package.version)
        rows = broken_bounds(text, name, have) if have and name not in ("numpy", "protobuf", "keras") else ()
        for row in rows[:1]:
            yield Finding(
                f"{'TensorFlow' if row.fatal else 'a part of TensorFlow'} {text} needs {name}{row.works}, "
                f"though it does not say so, and {have} is installed",
                severity=None if row.fatal else Severity.WARNING,
                confidence=Confidence.MEDIUM,
                effect=row.symptom,
                fix=reqs.install(case, *together(case, name, row.works), package=package),
                verify=IMPORT if row.fatal else "kdoctor scan --select KD309",
                evidence=evidence(case, tensorflow or "software.tensorflow.version", package),
                likely=0.6,
                thing=f"tensorflow,{name}",
                change=Change("bound", name, row.works, f"what TensorFlow {text} works with", mends=False),
            )


def _conflict(case: Case, owner: Package, requirement: Requirement, target: Package | None, have: str) -> Finding:
    name = reqs.canonical(requirement.name)
    version = known(owner.version) or ""
    fatal = "" if target is not None else fails_without(case, owner, name)
    fix = reqs.install(case, *together(case, name, str(requirement.specifier), owner), package=target or owner)
    return Finding(
        f"{owner.name} {version} requires {name}{requirement.specifier}, but {name} {have}".replace("  ", " "),
        severity=None if fatal else Severity.WARNING,
        effect=f"{owner.name} was not made for this {name}"
        if target
        else fatal or f"{owner.name} fails where it needs {name}",
        fix=fix,
        # tf-keras requires `tensorflow`, which tensorflow-cpu stands in for: a check of what is declared never passes
        verify=f'python -c "import {name.replace("-", "_")}"' if " --no-deps " in fix else reqs.check(case),
        evidence=evidence(case, owner, target),
        likely=0.9 if fatal else 0.5,
        thing=f"{owner.name},{name}",
        change=Change(
            "bound", name, str(requirement.specifier), f"what {owner.name} {version} requires".strip(), mends=False
        )
        if target is not None
        else UNSET,
    )


def _declared(case: Case, owner: Package) -> Iterator[Requirement]:
    """A package's requirements: its own METADATA, for TensorFlow without it the tables."""
    if known(owner.requires) is not None:
        yield from reqs.declared(case, owner, reqs.extras_of(case, owner))
        return
    tensorflow = reqs.tensorflow_package(case)
    release = tensorflow_release(known(owner.version))
    official = owner.name in ("tensorflow", "tensorflow-cpu", "tensorflow-gpu") and known(owner.installer) != "conda"
    if tensorflow is owner and official and release is not None and release.version == known(owner.version):
        yield from reqs.release_requirements(case, release)


_TENSORFLOW_SIDE = frozenset({"tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel", "tensorflow-macos"})


def _said_elsewhere(case: Case, owner: Package, name: str) -> bool:
    """Whether another rule names this pair: NumPy, protobuf and Keras of TensorFlow, add-ons, nvidia-* wheels."""
    if owner is reqs.tensorflow_package(case) and name in ("numpy", "protobuf", "keras"):
        return True
    if name.startswith("nvidia-"):
        return owner.name in ("torch", "jax") or owner.name.startswith("jax-cuda") or owner.name in _TENSORFLOW_SIDE
    return name in _TENSORFLOW_SIDE and (owner.name in addon_names() or owner.name == "tf-keras")
