"""KD601–KD604 and KD902: requirements, lock files, and files that cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.model.report import Severity
from tests.support import compute


def asked(name: str, exact: bool = False, **more: Any) -> dict[str, Any]:
    row = {"name": name, "specifier": "==1" if exact else "", "exact": exact, "hashes": [], "installer": "pip"}
    return {**row, "path": "requirements.txt", "line": 1, "kind": "requirement", **more}


def lock(path: str = "uv.lock", hashed: bool = True, **packages: str) -> dict[str, Any]:
    return {"path": path, "format": "uv", "packages": packages, "hashed": hashed}


def project(*rows: dict[str, Any], locks: tuple[dict[str, Any], ...] = (), **software: Any) -> dict[str, Any]:
    return {"project": {"requirements": list(rows), "lock_files": list(locks)}, "software": software}


def test_a_numeric_dependency_without_an_exact_version() -> None:
    """It fires for TensorFlow and its kin only, and names the version that is installed."""
    snapshot = project(asked("keras"), asked("requests"), packages=[{"name": "keras", "version": "3.1.0"}])
    (finding,) = compute("KD601", snapshot).findings
    assert (finding.thing, finding.message) == ("keras", "keras is asked for without a version")
    assert "keras==3.1.0" in finding.fix
    assert compute("KD601", project(asked("keras", exact=True))).passed
    (finding,) = compute(
        "KD601", project(asked("keras", specifier=">=3", kind="install"), **snapshot["software"])
    ).findings
    assert (finding.message, finding.fix) == ("keras >=3 allows more than one version", "write keras==VERSION")
    (finding,) = compute("KD601", project(asked("keras", url="git+https://x.example/keras"))).findings
    assert finding.message == "keras comes from a URL without hash or commit"


def test_an_environment_that_was_not_made_from_the_file_names_no_version() -> None:
    """It lacks what the file pins, or has another version of it: its numpy may be one that pandas 2.1 refuses."""
    rows = asked("numpy"), asked("pandas", exact=True, specifier="==2.1.4", line=2)
    numpy, pandas = {"name": "numpy", "version": "2.4.6"}, {"name": "pandas", "version": "2.1.4"}
    why = "the one you tested: this environment lacks pandas==2.1.4 of the same file"
    unknown = f"write numpy==VERSION, {why}"
    for packages, fix in (
        ([numpy], unknown),
        ([numpy, {**pandas, "version": "3.0.1"}], unknown),
        ([numpy, pandas], "write numpy==2.4.6, the version that is installed"),
    ):
        (finding,) = compute("KD601", project(*rows, packages=packages)).findings
        assert finding.fix == fix
    elsewhere = project(rows[0], {**rows[1], "path": "docs/requirements.txt"}, packages=[numpy])
    assert compute("KD601", elsewhere).findings[0].fix.startswith("write numpy==2.4.6")
    foreign = project(rows[0], {**rows[1], "marker": "sys_platform == 'win32'"}, packages=[numpy])
    foreign["software"]["python"] = {"version": "3.11.7"}
    foreign["machine"] = {"os": "linux", "architecture": "x86_64"}
    assert compute("KD601", foreign).findings[0].fix.startswith("write numpy==2.4.6")


def test_with_all_dependencies_each_package_counts() -> None:
    """A row that was asked to count is judged whatever the package does."""
    assert [f.thing for f in compute("KD601", project(asked("requests", counts=True))).findings] == ["requests"]
    assert compute("KD601", project(asked("requests", exact=True, counts=True))).passed
    assert compute("KD601", project(asked("requests"))).inapplicable


def test_a_lock_file_pins_too_but_not_for_a_dockerfile() -> None:
    """Beside or above the file; an install line asks no lock file."""
    locked = (lock(keras="3.1.0"),)
    assert compute("KD601", project(asked("keras", path="app/requirements.txt"), locks=locked)).passed
    assert compute("KD601", project(asked("keras", kind="install", path="Dockerfile"), locks=locked)).findings
    elsewhere = (lock(path="other/uv.lock", keras="3.1.0"),)
    assert compute("KD601", project(asked("keras"), locks=elsewhere)).findings


def test_ranges_in_metadata_are_a_note() -> None:
    """And nothing where the project pins the package elsewhere; a constraint alone asks for nothing."""
    metadata = asked("keras", kind="metadata", path="pyproject.toml")
    assert [f.severity for f in compute("KD601", project(metadata)).findings] == [Severity.INFO]
    assert compute("KD601", project(metadata, asked("keras", exact=True))).passed
    assert compute("KD601", project(asked("keras", kind="constraint"))).passed


@pytest.mark.parametrize("code", ["KD601", "KD602", "KD603", "KD604"])
def test_nothing_asked_for_and_nobody_looked(code: str) -> None:
    """Inapplicable without packages, skipped where the files were not looked at."""
    assert compute(code, project()).inapplicable
    assert compute(code, {}).skipped


def test_hashes() -> None:
    """Once a file, for exact versions in requirements files, and for a lock file without hashes."""
    snapshot = project(asked("keras", exact=True), asked("numpy", exact=True))
    (finding,) = compute("KD602", snapshot).findings
    assert "keras, numpy in requirements.txt" in finding.message
    assert compute("KD602", project(asked("keras", exact=True, hashes=["sha256:a"]))).passed
    assert compute("KD602", project(asked("keras", exact=True, kind="install", path="Dockerfile"))).passed
    assert compute("KD602", project(locks=(lock(hashed=False, keras="3"),))).findings


def test_no_lock_file() -> None:
    """One finding for the project; a fully hashed requirements file is a lock."""
    assert compute("KD603", project(asked("keras"))).findings[0].severity == Severity.INFO
    assert compute("KD603", project(asked("keras"), locks=(lock(),))).passed
    assert compute("KD603", project(asked("keras", exact=True, hashes=["sha256:a"]))).passed


def test_drift_from_the_lock_file() -> None:
    """Versions that differ, numeric ones first; local parts of a build and locked variants are no difference."""
    packages = [{"name": "keras", "version": "3.1.0"}, {"name": "torch", "version": "2.1.0+cu121"}]
    packages += [{"name": "attrs", "version": "1"}, {"name": "numpy", "version": "2.0.0"}]
    locked = lock(keras="3.0.0", torch="2.1.0", attrs="2", numpy="1.26.4", absent="1")
    locked["variants"] = {"numpy": ["1.26.4", "2.0.0"]}
    (finding,) = compute("KD604", project(locks=(locked,), packages=packages)).findings
    assert finding.message.startswith("2 installed packages differ from uv.lock: keras 3.1.0 (locked 3.0.0), attrs 1")
    assert compute("KD604", project(locks=(lock(keras="3.1.0"),), packages=packages)).passed
    assert compute("KD604", project(locks=(lock(keras="3.1.0"),))).skipped[0].reason.startswith("software.packages")


def test_unreadable_files() -> None:
    """One finding each with its line; a template is a note; none at all is a pass."""
    rows = [
        {"path": "a.yml", "line": 3, "why": "not YAML"},
        {"path": "b.yml", "line": 1, "why": "a template, not YAML"},
    ]
    found = compute("KD902", {"project": {"unreadable": rows}}).findings
    assert [(f.location.line if f.location else None, f.severity) for f in found] == [
        (3, Severity.WARNING),
        (1, Severity.INFO),
    ]
    assert compute("KD902", {"project": {"unreadable": []}}).passed
    assert compute("KD902", {}).skipped
