"""What changed between two environments: one rule a kind of thing, each a pure listing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from packaging.utils import canonicalize_name

from doctor.case import Case, Comparison
from doctor.model.facts import Missing, known, need
from doctor.model.report import Evidence
from doctor.rule import Finding, Severity, rule

from . import requirements as reqs
from .numerics import effective_keras
from .tables.packages import distribution, is_numeric

_MOST = 6
_OWN_RULE = frozenset({"keras", "tf-keras"})
_CUDA_WHEEL = "nvidia-"


class Change(msgspec.Struct, frozen=True):
    """One thing that differs; None on the side where it is not there. ``fact``: its path in the snapshots."""

    name: str
    a: Any
    b: Any
    fact: str

    def __str__(self) -> str:
        return f"{self.name} {_shown(self.a)} → {_shown(self.b)}"


def _shown(value: Any) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, (tuple, list)):
        return ", ".join(str(v) for v in value) or "(none)"
    return str(value)


def _finding(what: str, changes: list[Change], effect: str) -> Iterator[Finding]:
    """One finding for all changes of a kind; none where there is none."""
    if not changes:
        return
    rest = len(changes) - _MOST
    evidence = []
    for change in changes:
        evidence += [Evidence(f"a.{change.fact}", change.a), Evidence(f"b.{change.fact}", change.b)]
    yield Finding(
        f"{what}: " + ", ".join(str(c) for c in changes[:_MOST]) + (f" and {rest} more" if rest > 0 else ""),
        effect=effect,
        fix="none needed where the change is meant; else take the same versions on both sides",
        verify="kdoctor compare A B",
        evidence=tuple(evidence),
        likely=0.3,
        thing=changes[0].fact.rpartition(".")[0],
    )


def _compare(pair: Comparison, *paths: str) -> list[Change]:
    """The facts at these paths that both sides know, and that differ."""
    out = []
    for path in paths:
        a, b = pair.a.value(path), pair.b.value(path)
        if not isinstance(a, Missing) and not isinstance(b, Missing) and a != b:
            out.append(Change(" ".join(path.split(".")[1:]).replace("_", " "), a, b, path))
    return out


def _ask(pair: Comparison, *paths: str) -> None:
    """Leave the rule as skipped where neither of these facts is known on both sides."""
    both = [p for p in paths if not any(isinstance(case.value(p), Missing) for case in (pair.a, pair.b))]
    if not both:
        for case in (pair.a, pair.b):
            need(case.value(paths[0]))


@rule("KD811", "tensorflow-changed", Severity.INFO, of=Comparison)
def tensorflow_changed(pair: Comparison) -> Iterator[Finding]:
    """TensorFlow is another version, distribution or build.

    ## Why is this bad?
    It need not be. It is the first suspect where results or speed changed.

    ## How to fix
    Pin the version where the change was not meant.

    ## References
    TensorFlow release notes.
    """
    a, b = reqs.tensorflow_version(pair.a), reqs.tensorflow_version(pair.b)
    changes = [] if a is None or b is None or a == b else [Change("TensorFlow", a, b, "software.tensorflow.version")]
    names = [_distribution(case) for case in (pair.a, pair.b)]
    if names[0] and names[1] and names[0] != names[1]:
        changes.append(Change("distribution", names[0], names[1], "software.tensorflow.distribution"))
    changes += _compare(
        pair,
        "software.tensorflow.present",
        "software.tensorflow.cuda_build",
        "software.tensorflow.cuda_version",
        "software.tensorflow.cudnn_version",
        "software.tensorflow.compute_capabilities",
    )
    if not changes and (a is None or b is None):
        _ask(pair, "software.tensorflow.version")
    yield from _finding("TensorFlow changed", changes, "results, speed and supported GPUs may differ")


def _distribution(case: Case) -> str | None:
    package = reqs.tensorflow_package(case)
    return known(case.software.tensorflow.distribution) or (package.name if package else None)


@rule("KD812", "keras-changed", Severity.INFO, of=Comparison)
def keras_changed(pair: Comparison) -> Iterator[Finding]:
    """Keras is another version, backend or floating-point type.

    ## Why is this bad?
    Defaults of layers, losses and optimizers belong to Keras, and so do initial weights.

    ## How to fix
    Pin keras beside tensorflow: from TensorFlow 2.16 on its version is not fixed by TensorFlow's.

    ## References
    Keras release notes.
    """
    a, b = effective_keras(pair.a), effective_keras(pair.b)
    changes = [] if a is None or b is None or a == b else [Change("Keras", a, b, "software.keras.version")]
    changes += _compare(pair, "software.keras.backend", "software.keras.floatx", "software.keras.legacy")
    if not changes and (a is None or b is None):
        _ask(pair, "software.keras.version")
    yield from _finding("Keras changed", changes, "defaults, initial weights and training may differ")


@rule("KD813", "cuda-changed", Severity.INFO, of=Comparison)
def cuda_changed(pair: Comparison) -> Iterator[Finding]:
    """CUDA or cuDNN is another version, or the driver is.

    ## Why is this bad?
    Other versions choose other kernels: results differ by rounding, speed may change.

    ## How to fix
    Pin the nvidia-* wheels or the base image.

    ## References
    cuDNN and cuBLAS documentation on reproducibility.
    """
    changes = _compare(
        pair,
        "software.cuda.cudnn_version",
        "software.cuda.ptxas_version",
        "software.cuda.compat_driver",
        "machine.driver.version",
    )
    toolkits = [_toolkits(case) for case in (pair.a, pair.b)]
    if toolkits[0] is not None and toolkits[1] is not None and toolkits[0] != toolkits[1]:
        changes.append(Change("toolkits", toolkits[0], toolkits[1], "software.cuda.toolkits"))
    changes += [c for c in _packages(pair) if c.name.startswith(_CUDA_WHEEL)]
    if not changes:
        _ask(pair, "software.cuda.cudnn_version", "software.cuda.toolkits", "software.packages")
    yield from _finding("CUDA changed", changes, "other kernels: results may differ by rounding")


def _toolkits(case: Case) -> tuple[str, ...] | None:
    rows = known(case.software.cuda.toolkits)
    return None if rows is None else tuple(sorted(v for t in rows if (v := known(t.version))))


@rule("KD814", "base-changed", Severity.INFO, of=Comparison)
def base_changed(pair: Comparison) -> Iterator[Finding]:
    """The base differs: distribution, C library, or the image that it was built on.

    ## Why is this bad?
    The C library's mathematical functions and everything that is not a Python package come from there.

    ## How to fix
    Pin the base image by digest.

    ## References
    The public contract of kdoctor, section 2.
    """
    paths = (
        "software.distribution.id",
        "software.distribution.version",
        "software.libc.name",
        "software.libc.version",
        "software.image.base.name",
        "software.image.base.digest",
        "software.image.platform",
    )
    changes = _compare(pair, *paths)
    if not changes:
        _ask(pair, *paths)
    yield from _finding("the base changed", changes, "system libraries differ")


@rule("KD815", "package-changed", Severity.INFO, of=Comparison)
def package_changed(pair: Comparison) -> Iterator[Finding]:
    """Packages were added, removed or are other versions.

    TensorFlow, Keras and nvidia-* wheels have rules of their own. Packages that decide numbers (NumPy, SciPy, h5py, …)
    are named first.

    ## Why is this bad?
    It need not be; it is the list to read where something changed and nobody knows what.

    ## How to fix
    Install from a lock file.

    ## References
    packaging.python.org, pylock.toml.
    """
    for case in (pair.a, pair.b):
        need(case.software.packages)
    rows = [c for c in _packages(pair) if not _has_own_rule(c.name)]
    rows.sort(key=lambda c: (not is_numeric(c.name), c.name))
    yield from _finding(f"{len(rows)} package{'s' if len(rows) != 1 else ''} changed", rows, "see the list")


def _has_own_rule(name: str) -> bool:
    row = distribution(name)
    return name in _OWN_RULE or name.startswith(_CUDA_WHEEL) or (row is not None and row.owns_folder)


def _packages(pair: Comparison) -> list[Change]:
    """The packages that differ; one that is missing on a side whose list is incomplete is no difference."""
    sides: list[dict[str, str]] = []
    for case in (pair.a, pair.b):
        rows = known(case.software.packages) or ()
        sides.append({canonicalize_name(p.name): known(p.version) or "(version not known)" for p in rows})
    a, b = sides
    whole = [not c.is_partial("software.packages") and known(c.software.packages) is not None for c in (pair.a, pair.b)]
    out = []
    for name in sorted({*a, *b}):
        gone = (name not in a and not whole[0]) or (name not in b and not whole[1])
        if a.get(name) != b.get(name) and not gone:
            out.append(Change(name, a.get(name), b.get(name), f"software.packages.{name}"))
    return out


@rule("KD816", "environment-changed", Severity.INFO, of=Comparison)
def environment_changed(pair: Comparison) -> Iterator[Finding]:
    """An environment variable that TensorFlow, Keras, XLA, CUDA or OpenMP reads is another one.

    ## Why is this bad?
    Such a variable changes defaults for everything that runs in the environment, and stands in no lock file.

    ## How to fix
    Set it in the image or the job's definition, on both sides alike.

    ## References
    NVIDIA framework-reproducibility; TensorFlow, `core/util/port.cc`.
    """
    a, b = need(pair.a.software.environment), need(pair.b.software.environment)
    changes = [
        Change(name, a.get(name), b.get(name), f"software.environment.{name}")
        for name in sorted({*a, *b})
        if a.get(name) != b.get(name)
    ]
    yield from _finding("the environment changed", changes, "defaults may differ")


@rule("KD817", "python-changed", Severity.INFO, of=Comparison)
def python_changed(pair: Comparison) -> Iterator[Finding]:
    """Python is another version, implementation or architecture.

    ## Why is this bad?
    Another Python brings other wheels of every compiled package.

    ## How to fix
    Pin the Python version (`.python-version`, the base image).

    ## References
    docs.python.org, What's New.
    """
    paths = tuple(
        f"software.python.{name}" for name in ("version", "implementation", "environment", "bits", "architecture")
    )
    changes = _compare(pair, *paths)
    if not changes:
        _ask(pair, *paths)
    yield from _finding("Python changed", changes, "compiled packages are other builds")


def changes(pair: Comparison) -> tuple[dict[str, Any], ...]:
    """Every change as the report lists them: ``{"what": "package", "name": "keras", "a": …, "b": …}``."""
    kinds: Iterable[tuple[str, Iterable[Change]]] = (
        ("tensorflow", _compare(pair, "software.tensorflow.version", "software.tensorflow.cuda_version")),
        ("keras", _compare(pair, "software.keras.version", "software.keras.backend", "software.keras.floatx")),
        ("cuda", _compare(pair, "software.cuda.cudnn_version", "machine.driver.version")),
        ("base", _compare(pair, "software.distribution.version", "software.libc.version")),
        ("package", _packages(pair)),
        ("python", _compare(pair, "software.python.version")),
    )
    rows = [{"what": what, "name": c.name, "a": c.a, "b": c.b} for what, found in kinds for c in found]
    environments = [known(case.software.environment) for case in (pair.a, pair.b)]
    if environments[0] is not None and environments[1] is not None:
        for name in sorted({*environments[0], *environments[1]}):
            a, b = environments[0].get(name), environments[1].get(name)
            if a != b:
                rows.append({"what": "environment", "name": name, "a": a, "b": b})
    return tuple(rows)
