"""The canary on a real GPU, with a TensorFlow that uses it. Never run where this was written: no figure is claimed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from doctor.canary.record import Record
from doctor.canary.start import InterpreterRunner, run_canary
from doctor.canary.verdict import compare_records

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter that KDOCTOR_GPU_PYTHON names, whose TensorFlow sees a GPU; else a skip with the reason."""
    if not Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is None:
        pytest.skip("there is no NVIDIA GPU on this machine")
    named = os.environ.get("KDOCTOR_GPU_PYTHON")
    if not named:
        pytest.skip("KDOCTOR_GPU_PYTHON names no interpreter whose TensorFlow uses the GPU")
    return Path(named)


def run(python: Path, device: str = "gpu", deterministic: bool = True, **variables: str) -> Record:
    """One canary on this device."""
    runner = InterpreterRunner(python, {**os.environ, **variables})
    return run_canary(runner, device=device, deterministic=deterministic)


def test_gpu_against_cpu_is_no_other_default(python: Path) -> None:
    """Another device may round otherwise; it changes neither a default nor accuracy, and is named as the cause."""
    told = compare_records(run(python, "cpu"), run(python))
    assert told["class"] in ("bitwise", "rounding")
    assert told["accuracy"]["label"] != "drift"
    assert told["class"] == "bitwise" or told["causes"][0]["what"] == "hardware"


def test_two_deterministic_runs_are_identical(python: Path) -> None:
    """Op determinism holds on the GPU too."""
    assert compare_records(run(python), run(python))["class"] == "bitwise"


def test_determinism_off_is_rounding_at_most(python: Path) -> None:
    """Without op determinism the order of additions may differ, no more."""
    told = compare_records(run(python), run(python, deterministic=False))
    assert told["class"] in ("bitwise", "rounding")


def test_tf32_off_changes_no_default(python: Path) -> None:
    """TF32 rounds inputs of products to 10 bits: whatever the class is, accuracy does not drift."""
    told = compare_records(run(python), run(python, NVIDIA_TF32_OVERRIDE="0"))
    assert told["accuracy"]["label"] != "drift"
    assert told["class"] != "not-comparable"


def test_record_names_the_device(python: Path) -> None:
    """The environment of the record holds the GPU."""
    assert "GPU" in str(run(python).environment.device).upper()
    assert sys.executable  # the doctor's own interpreter never imported TensorFlow
    assert "tensorflow" not in sys.modules
