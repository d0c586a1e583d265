"""KD106 of a GPU that cuDNN no longer holds code for, and what is installed so that it does."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.model.snapshot import Snapshot
from doctor.suggest import suggest, wanted
from tests.rules.environments import packages, plain, system, wheels
from tests.rules.machines import Drop, change, fix, message, outcome

V100 = {"index": 0, "name": "Tesla V100-SXM2-16GB", "compute_capability": "7.0"}
T4 = {"index": 1, "name": "Tesla T4", "compute_capability": "7.5"}
K80 = {"index": 0, "name": "Tesla K80", "compute_capability": "3.7"}


def with_cudnn(version: str, *gpus: dict[str, Any], tensorflow: str = "2.21.0") -> dict[str, Any]:
    """The wheels of the extra, but another cuDNN of the same major version, on these GPUs."""
    base = wheels(tensorflow)
    rows = [
        {**row, "version": version} if row["soname"].startswith("libcudnn.") else row
        for row in base["software"]["cuda"]["libraries"]
    ]
    installed = [
        {**row, "version": version} if row["name"] == "nvidia-cudnn-cu12" else row
        for row in base["software"]["packages"]
    ]
    code = {"compute_capabilities": ["sm_60", "sm_70", "sm_80", "sm_89", "compute_90"]}
    return change(
        base,
        {
            "machine.gpus": list(gpus) or [V100],
            "software.packages": installed,
            "software.cuda.libraries": rows,
            "software.cuda.cudnn_version": version.rpartition(".")[0],
            "software.tensorflow": {**base["software"]["tensorflow"], **code},
        },
    )


@pytest.mark.parametrize(
    ("version", "gpu", "expected"),
    [
        ("9.3.0.75", V100, "passed"),
        ("9.10.2.21", V100, "passed"),
        ("9.11.0.98", V100, "error"),
        ("9.28.0.42", V100, "error"),
        ("9.28.0.42", T4, "passed"),
    ],
)
def test_cudnn_dropped_the_gpus_before_turing(version: str, gpu: dict[str, Any], expected: str) -> None:
    """TensorFlow 2.21 still holds code for the V100, the cuDNN that its extra installs today does not."""
    assert outcome("KD106", with_cudnn(version, gpu)) == expected


def test_the_last_cudnn_for_the_gpu_mends_it() -> None:
    """Within what TensorFlow was compiled against and what its metadata admits."""
    snapshot = with_cudnn("9.28.0.42")
    assert message("KD106", snapshot) == (
        "cuDNN 9.28.0.42 holds no code for Tesla V100-SXM2-16GB (compute capability 7.0): "
        "from 9.11 on it is for compute capability 7.5 and later"
    )
    assert fix("KD106", snapshot) == "pip install 'nvidia-cudnn-cu12>=9.3,<9.11'"
    from_system = change(system("2.21.0", "12.8", "9.14.0"), {"machine.gpus": [V100]})
    assert fix("KD106", from_system) == "install a cuDNN >=9.3,<9.11 for CUDA 12.5.1 from NVIDIA's packages"


def test_another_gpu_that_serves_makes_it_a_warning() -> None:
    """TensorFlow can be kept on the GPU that cuDNN still knows."""
    assert outcome("KD106", with_cudnn("9.28.0.42", V100, T4)) == "warning"


def test_an_unknown_cudnn_clears_no_old_gpu() -> None:
    """Which cuDNN is there decides for a V100, not for a T4."""
    unknown = change(with_cudnn("9.28.0.42"), {"software.cuda": Drop})
    assert outcome("KD106", unknown) == "skipped"
    assert outcome("KD106", change(unknown, {"machine.gpus": [T4]})) == "passed"
    assert (
        outcome(
            "KD106",
            change(with_cudnn("9.28.0.42"), {"software.cuda.libraries": [], "software.cuda.cudnn_version": False}),
        )
        == "passed"
    )


def test_kepler_went_before() -> None:
    """cuDNN 8.9 begins with Maxwell; TensorFlow 2.12 has code for Kepler."""
    code = ["sm_35", "sm_50", "sm_60", "sm_70", "sm_75", "compute_80"]
    on_kepler = {"machine.gpus": [K80], "software.tensorflow.compute_capabilities": code}
    assert outcome("KD106", change(system("2.12.1", "11.8", "8.9.7"), on_kepler)) == "error"
    assert outcome("KD106", change(system("2.12.1", "11.8", "8.6.0"), on_kepler)) == "passed"


@pytest.mark.parametrize(
    ("capability", "release", "command"),
    [
        ("7.0", "2.21.0", "pip install 'tensorflow[and-cuda]==2.21.0' 'nvidia-cudnn-cu12<9.11'"),
        ("7.0", "2.19.1", "pip install 'tensorflow[and-cuda]==2.19.1'"),
        ("7.5", "2.21.0", "pip install 'tensorflow[and-cuda]==2.21.0'"),
    ],
)
def test_suggest_holds_cudnn_back_where_the_extra_does_not(capability: str, release: str, command: str) -> None:
    """2.18 and 2.19 pin cuDNN 9.3; 2.20 and later take the newest 9.x."""
    fits = suggest(wanted(Snapshot(), driver="570.124.06", gpus=(capability,), python="3.12"))
    assert next(fit.command for fit in fits if fit.version == release) == command


def test_fixes_hold_it_back_too() -> None:
    """What mends one finding must not bring the next."""
    nothing = change(plain("2.21.0"), {"machine.gpus": [V100]})
    assert fix("KD207", nothing) == "pip install 'tensorflow[and-cuda]==2.21.0' 'nvidia-cudnn-cu12<9.11'"
    cpu = change(
        plain("2.21.0"),
        {
            "machine.gpus": [V100],
            "software.packages": packages("tensorflow-cpu 2.21.0"),
            "software.tensorflow": {"version": "2.21.0", "distribution": "tensorflow-cpu", "cuda_build": False},
        },
    )
    assert fix("KD301", cpu).endswith("pip install 'tensorflow[and-cuda]==2.21.0' 'nvidia-cudnn-cu12<9.11'")
    major = change(system("2.21.0", "12.5", "8.9.7"), {"machine.gpus": [V100]})
    assert fix("KD203", major).startswith("pip install 'nvidia-cudnn-cu12<10.0,>=9.3.0.75,<9.11'")


def test_the_cuda_build_that_is_named_can_be_installed() -> None:
    """The extra of 2.15.0 pins what the index no longer has: the next release of that minor version is named."""
    cpu = change(
        plain("2.15.1"),
        {
            "software.packages": packages("tensorflow-cpu 2.15.0"),
            "software.tensorflow": {"version": "2.15.0", "distribution": "tensorflow-cpu", "cuda_build": False},
        },
    )
    assert "'tensorflow[and-cuda]==2.15.1'" in fix("KD301", cpu)
