"""What TensorFlow imports besides its own code: packages that are not there, or were compiled against another NumPy.

Nothing here registers a rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from doctor.case import Case
from doctor.model.facts import known
from doctor.model.report import Confidence, Finding, Severity
from doctor.model.snapshot import Package

from . import requirements as reqs
from .harmony import together
from .proof import evidence
from .tables.packages import NumpyBuild, imported_at_once, numpy_builds
from .tables.versions import admits, major

PACKAGES = "software.packages"


def absent(case: Case, name: str, shown: str, effect: str) -> Iterator[Finding]:
    """The finding on a package that the installed TensorFlow declares, and that a complete list does not have."""
    tensorflow = reqs.tensorflow_package(case)
    if tensorflow is None or reqs.foreign(tensorflow) or known(tensorflow.requires) is None:
        return
    declared = reqs.requirement_of_tensorflow(case, name)
    if declared is None or case.is_partial(PACKAGES):
        return
    yield Finding(
        f"{shown} is not installed, and TensorFlow {reqs.tensorflow_version(case)} needs {declared.specifier or 'it'}",
        effect=effect,
        fix=reqs.install(case, *together(case, name, str(declared.specifier))),
        verify='python -c "import tensorflow as tf; tf.keras.layers"',
        evidence=evidence(case, tensorflow),
        likely=0.9,
        thing=name,
    )


def compiled_for_numpy_1(case: Case) -> Iterator[Finding]:
    """The findings on packages whose wheels were compiled against NumPy 1 where NumPy 2 is installed."""
    numpy = case.package("numpy")
    for package in known(case.software.packages) or ():
        row = needs_numpy_1(case, package)
        if row is None or numpy is None:
            continue
        yield Finding(
            f"{package.name} {known(package.version)} was compiled against NumPy 1, and NumPy {known(numpy.version)} "
            "is installed",
            severity=None if row.fatal else Severity.WARNING,
            confidence=Confidence.HIGH,
            effect=("TensorFlow imports it and fails with it" if row.fatal else f"the import of {package.name} fails")
            + ": numpy.dtype size changed, or numpy.core.multiarray failed to import",
            fix=reqs.install(case, *together(case, package.name, f">={row.since}"), package=package),
            verify=f'python -c "import {_IMPORTED.get(package.name, package.name.replace("-", "_"))}"',
            evidence=evidence(case, package, numpy),
            likely=0.9 if row.fatal else 0.5,
            thing=package.name,
        )


def off_pythonpath(case: Case, package: Package) -> str:
    """What has to be done first where a package comes by PYTHONPATH: nothing installed elsewhere would be imported."""
    variables, location = known(case.software.environment) or {}, (known(package.location) or "").rstrip("/")
    folders = [folder.rstrip("/") for folder in variables.get("PYTHONPATH", "").split(":") if folder]
    return f"take {location} off PYTHONPATH, which brings this {package.name}; then: " if location in folders else ""


def fails_without(case: Case, owner: Package, name: str) -> str:
    """What fails at once where a package that TensorFlow or Keras declares is not installed; empty where nothing is."""
    tensorflow, python = reqs.tensorflow_package(case), reqs.python_minor(case)
    role = "tensorflow" if owner is tensorflow else owner.name
    if not imported_at_once(role, known(owner.version) or "", name, python):
        return ""
    return "the import of TensorFlow fails" if owner is tensorflow else "every use of keras and tf.keras fails"


_IMPORTED = {
    "opencv-python": "cv2",
    "opencv-python-headless": "cv2",
    "opencv-contrib-python": "cv2",
    "opencv-contrib-python-headless": "cv2",
    "scikit-learn": "sklearn",
    "scipy": "scipy.linalg",
    "scikit-image": "skimage",
    "pywavelets": "pywt",
    "netcdf4": "netCDF4",
}


def needs_numpy_1(case: Case, package: Package) -> NumpyBuild | None:
    """The row of a wheel that was compiled against NumPy 1 where NumPy 2 is installed; who builds anew may differ."""
    row = numpy_builds().get(package.name)
    if row is None:
        return None
    numpy, have = case.package("numpy"), known(package.version)
    version = known(numpy.version) if numpy is not None else None
    if have is None or version is None or (major(version) or 0) < 2 or reqs.foreign(package):
        return None
    return row if admits(f">={row.since}", have) is False else None
