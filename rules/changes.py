"""What changed between two environments: one rule a kind of thing, each a pure listing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from doctor.case import Comparison
from doctor.changes import Change
from doctor.changes import changes as all_changes
from doctor.model.facts import Missing, need
from doctor.model.report import Evidence
from doctor.rule import Finding, Severity, rule

from .numerics import effective_keras, known_changes
from .tables.packages import distribution, is_numeric

_MOST = 6
WOULD_HELP = "kdoctor snapshot TARGET -o FILE"


def _listing(
    pair: Comparison, what: str, effect: str, wanted: Callable[[str, str], bool], *facts: str
) -> Iterator[Finding]:
    """One finding for all changes that ``wanted(what, name)`` takes.

    Raises:
        Unknown: none of these ``facts`` is known of both sides, so that nothing was compared.
    """
    rows = [row for row in all_changes(pair.a, pair.b) if wanted(row["what"], row["name"])]
    if not rows:
        known = [p for p in facts if not any(isinstance(c.value(p), Missing) for c in (pair.a, pair.b))]
        for case in () if known else (pair.a, pair.b):
            need(case.value(facts[0]))
        return
    rows.sort(key=lambda row: row["what"] == "package" and not is_numeric(row["name"]))
    yield finding(what, rows, effect)


def finding(what: str, rows: list[Change], effect: str) -> Finding:
    """The finding on these changes: the first of them in its sentence, all of them in its evidence."""
    rest = len(rows) - _MOST
    shown = ", ".join(f"{row['name']} {_text(row['a'])} → {_text(row['b'])}" for row in rows[:_MOST])
    return Finding(
        f"{what}: {shown}" + (f" and {rest} more" if rest > 0 else ""),
        effect=effect,
        fix="none needed where the change is meant; else take the same versions on both sides",
        verify="kdoctor compare A B",
        evidence=tuple(Evidence(f"{side}.{row['name']}", row[side]) for row in rows for side in ("a", "b")),
        likely=0.3,
        thing=what,
    )


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(v) for v in value) or "(none)"
    return "(none)" if value is None else str(value)


def _of_results(known: int) -> str:
    """What is known between two versions of the results of a seeded run."""
    if not known:
        return "no change between the two is known to alter a seeded run"
    lies = "1 known change of results lies" if known == 1 else f"{known} known changes of results lie"
    return f"{lies} between the two (KD705)"


def _tensorflow(what: str, name: str) -> bool:
    row = distribution(name) if what == "package" else None
    return what == "tensorflow" or (row is not None and row.owns_folder)


def _keras(what: str, name: str) -> bool:
    return what == "keras" or (what == "package" and name in ("keras", "tf-keras"))


def _cuda(what: str, name: str) -> bool:
    if what == "package":  # not what only asks about GPUs, as nvidia-ml-py
        return name.startswith("nvidia-") and is_numeric(name)
    return what in ("cuda", "library") or name in ("driver.version", "driver.cuda_version")


def _other_package(what: str, name: str) -> bool:
    return what == "package" and not (_tensorflow(what, name) or _keras(what, name) or _cuda(what, name))


@rule("KD811", "tensorflow-changed", Severity.INFO, of=Comparison, would_help=WOULD_HELP)
def tensorflow_changed(pair: Comparison) -> Iterator[Finding]:
    """TensorFlow is another version, distribution or build.

    ## Why is this bad?
    It need not be. It is the first suspect where results or speed changed.

    ## How to fix
    Pin the version where the change was not meant.

    ## References
    TensorFlow release notes.
    """
    yield from _listing(
        pair,
        "TensorFlow changed",
        f"{_of_results(known_changes(pair, 'tensorflow'))}; speed and supported GPUs may differ",
        _tensorflow,
        "software.tensorflow.version",
        "software.packages",
    )


@rule("KD812", "keras-changed", Severity.INFO, of=Comparison, would_help=WOULD_HELP)
def keras_changed(pair: Comparison) -> Iterator[Finding]:
    """Keras is another version, backend or floating-point type.

    ## Why is this bad?
    Defaults of layers, losses and optimizers belong to Keras, and so do initial weights.

    ## How to fix
    Pin keras beside tensorflow: from TensorFlow 2.16 on its version is not fixed by TensorFlow's.

    ## References
    Keras release notes.
    """
    rows = [row for row in all_changes(pair.a, pair.b) if _keras(row["what"], row["name"])]
    a, b = effective_keras(pair.a), effective_keras(pair.b)
    effect = _of_results(known_changes(pair, "keras"))
    if not rows and a is not None and b is not None:
        if a != b:
            # Nothing names Keras itself: it is the one that comes with these TensorFlow versions.
            yield finding("Keras changed", [{"what": "keras", "name": "keras.version", "a": a, "b": b}], effect)
        return
    yield from _listing(pair, "Keras changed", effect, _keras, "software.keras.version", "software.packages")


@rule("KD813", "cuda-changed", Severity.INFO, of=Comparison, would_help=WOULD_HELP)
def cuda_changed(pair: Comparison) -> Iterator[Finding]:
    """CUDA or cuDNN is another version, or the driver is.

    ## Why is this bad?
    Other versions choose other kernels: results differ by rounding, speed may change.

    ## How to fix
    Pin the nvidia-* wheels or the base image.

    ## References
    cuDNN and cuBLAS documentation on reproducibility.
    """
    yield from _listing(
        pair,
        "CUDA changed",
        "other kernels: results may differ by rounding",
        _cuda,
        "software.cuda.cudnn_version",
        "software.tensorflow.cuda_version",
        "software.cuda.libraries",
        "software.packages",
        "machine.driver.version",
    )


@rule("KD814", "base-changed", Severity.INFO, of=Comparison, would_help=WOULD_HELP)
def base_changed(pair: Comparison) -> Iterator[Finding]:
    """The base differs: distribution, C library, or the image that it was built on.

    ## Why is this bad?
    The C library's mathematical functions and everything that is not a Python package come from there.

    ## How to fix
    Pin the base image by digest.

    ## References
    The public contract of kdoctor, section 2.
    """
    yield from _listing(
        pair,
        "the base changed",
        "system libraries may differ",
        lambda what, _: what == "base",
        "software.distribution.version",
        "software.libc.version",
        "software.image.base.digest",
    )


@rule("KD815", "package-changed", Severity.INFO, of=Comparison, would_help=WOULD_HELP)
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
    rows = [row for row in all_changes(pair.a, pair.b) if _other_package(row["what"], row["name"])]
    yield from _listing(
        pair, "packages changed", _bearing([row["name"] for row in rows]), _other_package, "software.packages"
    )


def _bearing(names: list[str]) -> str:
    """What a change of these packages can do to results."""
    computing = [name for name in names if is_numeric(name)]
    rest = len(names) - len(computing)
    if not computing:
        return "none of them takes part in computing: results should not depend on it"
    shown = ", ".join(computing[:_MOST]) + (f" and {len(computing) - _MOST} more" if len(computing) > _MOST else "")
    verb = "takes" if len(computing) == 1 else "take"
    return f"{shown} {verb} part in computing: results may differ" + (f"; the other {rest} do not" if rest else "")


@rule("KD816", "environment-changed", Severity.INFO, of=Comparison, would_help=WOULD_HELP)
def environment_changed(pair: Comparison) -> Iterator[Finding]:
    """An environment variable that TensorFlow, Keras, XLA, CUDA or OpenMP reads is another one.

    ## Why is this bad?
    Such a variable changes defaults for everything that runs in the environment, and stands in no lock file.

    ## How to fix
    Set it in the image or the job's definition, on both sides alike.

    ## References
    NVIDIA framework-reproducibility; TensorFlow, `core/util/port.cc`.
    """
    yield from _listing(
        pair,
        "the environment changed",
        "defaults may differ",
        lambda what, _: what == "environment",
        "software.environment",
    )


@rule("KD817", "python-changed", Severity.INFO, of=Comparison, would_help=WOULD_HELP)
def python_changed(pair: Comparison) -> Iterator[Finding]:
    """Python is another version, implementation or architecture.

    ## Why is this bad?
    Another Python brings other wheels of every compiled package.

    ## How to fix
    Pin the Python version (`.python-version`, the base image).

    ## References
    docs.python.org, What's New.
    """
    yield from _listing(
        pair,
        "Python changed",
        "compiled packages are other builds",
        lambda what, _: what == "python",
        "software.python.version",
        "software.python.implementation",
    )
