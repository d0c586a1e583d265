"""Keras: the generation that TensorFlow, the legacy switch or the project's packages need."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import Version

from doctor.model.facts import applies, known, need
from doctor.model.report import Change, Confidence
from doctor.model.snapshot import Package
from doctor.rule import Case, Finding, Severity, rule

from . import requirements as reqs
from .cuda import SNAPSHOT
from .harmony import together
from .neighbours import absent
from .proof import evidence
from .tables.frameworks import keras_needs, packages_with_keras_needs
from .tables.packages import broken_bounds, keras_known_to_work, keras_pin
from .tables.tensorflow import tensorflow_release
from .tables.versions import admits
from .tables.versions import version as version_of

PACKAGES = "software.packages"
_SEPARATE_LEGACY = (2, 16)
CHECK = 'python -c "import tensorflow as tf; print(tf.keras.__version__)"'


@rule("KD307", "keras-incompatible", Severity.ERROR, would_help=SNAPSHOT)
def keras_incompatible(case: Case) -> Iterator[Finding]:
    """Keras is of another generation than TensorFlow, or what the project uses, needs.

    TensorFlow 2.6 to 2.15 need the Keras 2 of their own minor version, from 2.16 on Keras 3. Who wants Keras 2 with
    2.16 and later sets TF_USE_LEGACY_KERAS=1 and installs the tf-keras of the same minor version. Keras 3 computes with
    the backend that KERAS_BACKEND or ~/.keras/keras.json names, and with no other.

    ## Why is this bad?
    The import fails, or `keras` and `tf.keras` are two different libraries whose layers do not mix.

    ## How to fix
    Install the Keras (or tf-keras) that belongs to this TensorFlow.

    ## References
    METADATA of tensorflow, keras and tf-keras; TensorFlow 2.16.1 release notes; keras-team/keras issue 19069.
    """
    applies(known(case.software.tensorflow.present) is not False, "TensorFlow is not installed")
    text = reqs.tensorflow_version(case)
    keras, legacy = case.package("keras"), case.package("tf-keras")
    have = (known(keras.version) if keras else None) or (None if keras else _effective(case))
    if text is None:
        if reqs.tensorflow_package(case) is None and known(case.software.packages) is not None:
            case.complete(PACKAGES)
            applies(False, "TensorFlow is not installed")
        need(case.software.tensorflow.version)
        return
    found = False
    for finding in (
        *_against_tensorflow(case, text, have, keras),
        *_tf_keras(case, text, legacy),
        *_legacy_without(case, text, legacy),
        *_needed_by_others(case, text, have, legacy),
        *_backend_absent(case, have),
    ):
        found = True
        yield finding
    if not found:
        reqs.need_requirements_of_tensorflow(case, "keras")
    if not found and have is None:
        need(case.software.packages)
        case.complete(PACKAGES)
        if known(case.software.keras.present) is not True and not (legacy and known(case.software.keras.legacy)):
            yield from absent(case, "keras", "Keras", "every use of tf.keras fails")


def _effective(case: Case) -> str | None:
    """The Keras that tf.keras would be, where the packages do not tell and it is not tf-keras."""
    return known(case.software.keras.version) if not known(case.software.keras.legacy) else None


def _against_tensorflow(case: Case, text: str, have: str | None, keras: Package | None) -> Iterator[Finding]:
    if have is None or version_of(have) is None:
        return
    requirement = reqs.requirement_of_tensorflow(case, "keras")
    pin = keras_pin(text)
    specifier = str(requirement.specifier) if requirement is not None else (pin.requires if pin else None)
    bounds = broken_bounds(text, "keras", have)
    unmet = bool(specifier) and admits(specifier or "", have) is False
    if not unmet and not bounds:
        return
    works = keras_known_to_work(_exact(text), have)
    wanted = reqs.joined((specifier or "") if unmet else "", *(row.works for row in bounds))
    yield Finding(
        f"Keras {have} does not belong to TensorFlow {text}, which needs {reqs.bounds_of(wanted)}",
        severity=Severity.WARNING if works or not (unmet or any(row.fatal for row in bounds)) else None,
        confidence=Confidence.HIGH if unmet else Confidence.MEDIUM,
        effect="tf.keras is Keras 3 then: it works, but code and saved models written for Keras 2 may not"
        if works
        else (bounds[0].symptom if bounds else "the import fails, or keras and tf.keras are two different libraries"),
        fix=reqs.install(case, *together(case, "keras", wanted), package=keras),
        verify=CHECK,
        evidence=evidence(case, keras or "software.keras.version", "software.tensorflow.version"),
        likely=0.85,
        thing="keras",
        change=Change("bound", "keras", wanted, f"what TensorFlow {text} works with", mends=False),
    )


def _exact(text: str) -> str:
    release = tensorflow_release(text)
    return release.version if release else text


def _tf_keras(case: Case, text: str, legacy: Package | None) -> Iterator[Finding]:
    """tf-keras X.Y belongs to TensorFlow X.Y."""
    have = version_of(known(legacy.version)) if legacy is not None else None
    tensorflow = version_of(text)
    if legacy is None or have is None or tensorflow is None:
        return
    told = min(2, len(have.release), len(tensorflow.release))
    if have.release[:told] == tensorflow.release[:told]:
        return
    asked = bool(known(case.software.keras.legacy))
    old = tensorflow.release[:2] < _SEPARATE_LEGACY
    # 2.17 beside TensorFlow 2.16, 2.19 and 2.20 beside 2.18 were seen to train and save; earlier ones fail at once
    later = not old and have.release[:told] > tensorflow.release[:told]
    yield Finding(
        f"tf-keras {have} belongs to TensorFlow {_minor(have)}, and {text} is installed",
        severity=Severity.WARNING if later or (old and not asked) else None,
        effect="training was seen to work with a later tf-keras, untested by TensorFlow"
        if later
        else "the import of tf_keras fails, or it calls functions that are no longer there",
        fix=reqs.install(case, f"tf-keras~={_minor(tensorflow)}.0", package=legacy),
        verify='python -c "import tf_keras; print(tf_keras.__version__)"',
        evidence=evidence(case, legacy, "software.tensorflow.version", "software.keras.legacy"),
        likely=0.85,
        thing="tf-keras",
        change=Change(
            "bound",
            "tf-keras",
            f"~={_minor(tensorflow)}.0",
            f"the tf-keras of TensorFlow {_minor(tensorflow)}",
            mends=False,
        ),
    )


def _minor(version: Version) -> str:
    return ".".join(str(part) for part in version.release[:2])


def _legacy_without(case: Case, text: str, legacy: Package | None) -> Iterator[Finding]:
    """TF_USE_LEGACY_KERAS is set, and there is no tf-keras to switch to."""
    tensorflow = version_of(text)
    if not known(case.software.keras.legacy) or legacy is not None or tensorflow is None:
        return
    if tensorflow.release[:2] < _SEPARATE_LEGACY or not _all_packages(case):
        return
    yield Finding(
        f"TF_USE_LEGACY_KERAS asks for Keras 2, but tf-keras is not installed beside TensorFlow {text}",
        effect="every use of tf.keras fails with an ImportError",
        fix=reqs.install(case, f"tf-keras~={_minor(tensorflow)}.0") + "  # or unset TF_USE_LEGACY_KERAS",
        verify=CHECK,
        evidence=evidence(case, "software.keras.legacy", "software.tensorflow.version"),
        likely=0.9,
        thing="tf-keras",
    )


def _needed_by_others(case: Case, text: str, have: str | None, legacy: Package | None) -> Iterator[Finding]:
    """A package that needs tf-keras where Keras 3 is installed."""
    keras = version_of(have)
    if keras is None or legacy is not None or not _all_packages(case):
        return
    for name in packages_with_keras_needs():
        package = case.package(name)
        row = keras_needs(name, known(package.version) or "") if package is not None else None
        if package is None or row is None or keras.major != row.keras_major:
            continue
        tensorflow = version_of(text)
        pin = f"~={_minor(tensorflow)}.0" if tensorflow else ""
        yield Finding(
            f"{name} {known(package.version)} needs {row.needs} where Keras {keras.major} is installed",
            severity=None if row.whole else Severity.WARNING,
            confidence=Confidence.HIGH if row.whole else Confidence.MEDIUM,
            effect=f"the first use of {name} fails: No module named '{row.needs.replace('-', '_')}'"
            if row.whole
            else f"its TensorFlow classes fail at import; the rest of {name} works",
            fix=reqs.install(case, row.needs + pin),
            verify=f'python -c "import {row.needs.replace("-", "_")}"',
            evidence=evidence(case, package, "software.keras.version"),
            likely=0.5,
            thing=name,
        )


_BACKENDS = {"torch": "torch", "jax": "jax"}  # what Keras 3 calls them, and the distribution that it imports
_FIRST_WITH_BACKENDS = 3


def _backend_absent(case: Case, have: str | None) -> Iterator[Finding]:
    """Keras is told to compute with a framework that is not there."""
    keras, backend = version_of(have), known(case.software.keras.backend)
    package = _BACKENDS.get(backend or "")
    if keras is None or keras.major < _FIRST_WITH_BACKENDS or package is None or known(case.software.keras.legacy):
        return
    if case.package(package) is not None or not _all_packages(case) or reqs.foreign(case.package("keras")):
        return
    variables = known(case.software.environment)
    said = "KERAS_BACKEND" if "KERAS_BACKEND" in (variables or {}) else "keras.json"
    yield Finding(
        f"Keras is set to the backend {backend} ({said}), and {package} is not installed",
        effect="every use of keras and tf.keras fails",
        fix="unset KERAS_BACKEND" if said == "KERAS_BACKEND" else "export KERAS_BACKEND=tensorflow",
        verify='python -c "import keras; print(keras.backend.backend())"',
        evidence=evidence(case, "software.keras.backend", "software.keras.version"),
        likely=0.9,
        thing=f"keras,{package}",
    )


def _all_packages(case: Case) -> bool:
    return known(case.software.packages) is not None and not case.is_partial(PACKAGES)
