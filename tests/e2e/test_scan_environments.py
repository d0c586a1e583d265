"""Real TensorFlow environments: the scan names their state, and TensorFlow itself agrees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def environments(tensorflow_environments: dict[str, Path], lacking: Callable[[str], NoReturn]) -> dict[str, Path]:
    """At least two TensorFlow releases, each in an environment of its own."""
    if len(tensorflow_environments) < 2:
        lacking("fewer than two TensorFlow environments in KDOCTOR_TF_ENVS: .ci/environments builds them")
    return tensorflow_environments


def scan(*arguments: str, cwd: Path) -> dict[str, Any]:
    """The JSON report of a scan."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "doctor", *arguments]
    run = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert run.stdout, run.stderr
    document: dict[str, Any] = json.loads(run.stdout)
    return document


def test_snapshot_reads_what_tensorflow_says_of_itself(environments: dict[str, Path], tmp_path: Path) -> None:
    """Version, Keras, CUDA build and packages, read from files, are those that an import shows."""
    ask = (
        "import json, importlib.metadata as m, re;"
        "names = {re.sub('[-_.]+', '-', d.metadata['Name']).lower() for d in m.distributions()};"  # imports add paths
        "import tensorflow as tf, keras; print(json.dumps({'tf': tf.__version__, 'keras': keras.__version__,"
        "'cuda': tf.test.is_built_with_cuda(), 'packages': sorted(names)}))"
    )
    for release, python in environments.items():
        said = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True, cwd=tmp_path)
        truth = json.loads(said.stdout.splitlines()[-1])
        software = scan("snapshot", f"python:{python}", cwd=tmp_path)["software"]
        assert software["tensorflow"]["version"] == truth["tf"], release
        assert software["tensorflow"]["cuda_build"] == truth["cuda"]
        assert software["keras"]["version"] == truth["keras"]
        assert sorted({p["name"] for p in software["packages"]}) == truth["packages"]


def test_scan_finds_nothing_wrong_and_touches_nothing(environments: dict[str, Path], tmp_path: Path) -> None:
    """A sound CPU environment on a machine without a GPU has no error, and not one file of it changes."""
    for release, python in environments.items():
        before = _state(python.parent.parent)
        report = scan("scan", "--python", str(python), "--format", "json", cwd=tmp_path)
        assert [f for f in report["findings"] if f["severity"] == "error"] == [], release
        assert report["exit_code"] == 0
        assert _state(python.parent.parent) == before


def test_try_agrees_with_the_scan(environments: dict[str, Path], tmp_path: Path) -> None:
    """--try imports TensorFlow in a child; what it says is what the facts predict."""
    python = next(reversed(environments.values()))
    before = _state(python.parent.parent)
    report = scan("scan", "--python", str(python), "--try", "--format", "json", cwd=tmp_path)
    assert not [f for f in report["findings"] if f["name"] == "observation-contradicts"]
    assert "KD809" in {p["code"] for p in report["passed"]}
    assert _state(python.parent.parent) == before


def test_scan_runs_the_canary_too(environments: dict[str, Path], tmp_path: Path) -> None:
    """--canary adds the training canary's summary to the report of the facts; nothing of the environment changes."""
    python = next(iter(environments.values()))
    before = _state(python.parent.parent)
    report = scan("scan", "--python", str(python), "--canary", "--require", "canary", "--format", "json", cwd=tmp_path)
    assert report["canary"]["seeds"] == 16
    assert 0.9 < report["canary"]["accuracy"] < 0.96
    assert "KD805" in {row["code"] for row in report["passed"]}
    assert not report["incomplete"]
    assert _state(python.parent.parent) == before


def test_a_canary_that_cannot_run_leaves_the_scan_incomplete(tmp_path: Path) -> None:
    """An interpreter without TensorFlow: the facts are judged, and the run ends with 3."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    report = scan("scan", "--python", str(bare), "--canary", "--format", "json", cwd=tmp_path)
    assert (report["verdict"], report["exit_code"]) == ("incomplete", 3)
    assert any("not installed" in note["why"] for note in report["notes"])


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found
