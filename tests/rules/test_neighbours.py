"""What stands beside TensorFlow and is imported with it: not there, or compiled against NumPy 1."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rules.environments import plain, replaced, requiring, without
from tests.rules.machines import change, fix, message, outcome
from tests.support import compute, diagnose

NUMPY_2 = {"numpy": "2.0.2"}


@pytest.mark.parametrize(
    ("package", "version", "expected"),
    [
        ("h5py", "3.10.0", "error"),
        ("h5py", "3.11.0", "passed"),
        ("pandas", "2.2.1", "error"),
        ("pandas", "2.2.2", "passed"),
        ("opencv-python", "4.9.0.80", "warning"),
        ("opencv-python", "4.10.0.84", "passed"),
        ("matplotlib", "3.8.3", "warning"),
        ("requests", "2.0", "passed"),
    ],
)
def test_wheels_compiled_against_numpy_1(package: str, version: str, expected: str) -> None:
    """An error where TensorFlow imports it, a warning where only the package itself fails."""
    snapshot = replaced(plain("2.18.1"), **NUMPY_2, **{package: version})
    assert outcome("KD305", snapshot) == expected
    assert outcome("KD305", replaced(snapshot, numpy="1.26.4")) == "passed"


def test_the_package_is_updated_and_numpy_stays() -> None:
    """TensorFlow 2.18 works with NumPy 2: what has to move is the old wheel."""
    snapshot = replaced(plain("2.18.1"), **NUMPY_2, h5py="3.10.0")
    assert message("KD305", snapshot) == "h5py 3.10.0 was compiled against NumPy 1, and NumPy 2.0.2 is installed"
    assert fix("KD305", requiring(snapshot, "tensorflow", "h5py>=3.11.0")) == "pip install 'h5py>=3.11.0'"


def test_the_same_pair_is_not_said_twice() -> None:
    """A wheel that declares numpy<2 as well: KD309 leaves it to KD305."""
    snapshot = requiring(replaced(plain("2.18.1"), **NUMPY_2, pandas="2.2.1"), "pandas", "numpy<2,>=1.23.2")
    assert (outcome("KD305", snapshot), outcome("KD309", snapshot)) == ("error", "passed")


def test_where_tensorflow_itself_needs_numpy_1_that_mends_all() -> None:
    """One finding, whose fix is right for the others too."""
    snapshot = replaced(plain("2.17.1"), **NUMPY_2, h5py="3.10.0")
    assert [finding.thing for finding in compute("KD305", snapshot).findings] == ["numpy"]


def test_what_conda_builds_is_compiled_anew() -> None:
    """conda-forge rebuilt old releases against NumPy 2."""
    snapshot = replaced(plain("2.18.1"), **NUMPY_2, h5py="3.10.0")
    rows = [{**p, "installer": "conda"} if p["name"] == "h5py" else p for p in snapshot["software"]["packages"]]
    assert outcome("KD305", change(snapshot, {"software.packages": rows})) == "passed"


def _bare(name: str) -> dict[str, Any]:
    snapshot = without(plain("2.18.1"), name)
    snapshot = requiring(snapshot, "tensorflow", "numpy<2.1.0,>=1.26.0", "protobuf<6.0.0dev,>=3.20.3", "keras>=3.5.0")
    return change(snapshot, {"software.keras": {"present": False}}) if name == "keras" else snapshot


@pytest.mark.parametrize(
    ("code", "name", "command"),
    [
        ("KD305", "numpy", "pip install 'numpy>=1.26.0,<2.1.0'"),
        ("KD306", "protobuf", "pip install 'protobuf>=3.20.3,<6.0.0dev'"),
        ("KD307", "keras", "pip install 'keras>=3.5.0'"),
    ],
)
def test_one_that_is_not_installed(code: str, name: str, command: str) -> None:
    """TensorFlow cannot work without it: no pass for the package's own rule, which KD309 leaves it to."""
    assert outcome(code, _bare(name)) == "error"
    assert "is not installed" in message(code, _bare(name))
    assert fix(code, _bare(name)) == command


@pytest.mark.parametrize(("code", "name"), [("KD305", "numpy"), ("KD306", "protobuf"), ("KD307", "keras")])
def test_absence_that_proves_nothing(code: str, name: str) -> None:
    """An incomplete list is a skip; a snapshot that names few packages and no METADATA says nothing of the others."""
    assert outcome(code, change(_bare(name), {"partial": ["software.packages"]})) == "skipped"
    silent = change(without(plain("2.18.1"), name), {"software.keras": {}})
    assert outcome(code, silent) == "passed"


def test_bounds_that_were_seen_to_be_too_narrow_only_warn() -> None:
    """TensorFlow 2.15 declares protobuf<5 and trains with 6; its 4.21.2 is excluded for a bug, and stays an error."""
    snapshot = replaced(plain("2.15.1"), protobuf="6.33.0")
    assert outcome("KD306", snapshot) == "warning"
    assert (
        message("KD306", snapshot) == "protobuf 6.33.0 is outside what TensorFlow 2.15.1 declares, >=3.20.3,<5.0.0dev"
    )
    assert outcome("KD306", replaced(snapshot, protobuf="4.21.2")) == "error"
    assert outcome("KD306", replaced(snapshot, protobuf="3.19.6")) == "error"


@pytest.mark.parametrize(
    ("python", "missing", "effect"),
    [
        ("3.11.7", "absl-py", "the import of TensorFlow fails"),
        ("3.12.1", "setuptools", "the import of TensorFlow fails"),  # distutils went with Python 3.12
        ("3.11.7", "setuptools", "tensorflow fails where it needs setuptools"),
        ("3.11.7", "libclang", "tensorflow fails where it needs libclang"),
    ],
)
def test_what_fails_at_once_stands_first(python: str, missing: str, effect: str) -> None:
    """Of what is declared and not installed, TensorFlow imports some at once: these are said before the others."""
    snapshot = change(plain("2.18.1"), {"software.python.version": python})
    snapshot = requiring(snapshot, "tensorflow", "zzz", missing)
    found = diagnose(snapshot).findings
    conflicts = {finding.thing: finding for finding in found if finding.code == "KD309"}
    assert conflicts[f"tensorflow,{missing}"].effect == effect
    if "import" in effect:
        assert list(conflicts) == [f"tensorflow,{missing}", "tensorflow,zzz"]


def test_what_pythonpath_brings_no_installation_replaces() -> None:
    """Its folders come before site-packages: the folder has to go first."""
    snapshot = replaced(plain("2.15.1"), numpy="2.1.3")
    rows = [{**p, "location": "/w/lib"} if p["name"] == "numpy" else p for p in snapshot["software"]["packages"]]
    snapshot = change(snapshot, {"software.packages": rows, "software.environment": {"PYTHONPATH": "/x:/w/lib/"}})
    assert fix("KD305", snapshot).startswith("take /w/lib off PYTHONPATH, which brings this numpy; then: pip install")
    assert fix("KD305", change(snapshot, {"software.environment": {}})).startswith("pip install")
