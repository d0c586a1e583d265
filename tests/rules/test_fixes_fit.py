"""What a fix names can be installed here, and what it installs runs here: on this system, Python, driver and GPU."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rules.environments import asked, packages, plain
from tests.rules.machines import change, driver, fix, host, message

GTX_980 = {"index": 0, "name": "NVIDIA GeForce GTX 980", "compute_capability": "5.2"}
T4 = {"index": 0, "name": "Tesla T4", "compute_capability": "7.5"}


def old(tensorflow: str, python: str, gpu: dict[str, Any] = T4, version: str = "570.124.06") -> dict[str, Any]:
    """A TensorFlow without CUDA beside it, for this Python, GPU and driver."""
    changes = {"machine.gpus": [gpu], "machine.driver": {"present": True, "version": version}}
    return change(plain(tensorflow), {**changes, "software.python.version": python})


class TestMovingToTheExtra:
    def test_the_newest_that_fits_is_named(self) -> None:
        """Without a version pip would take what the GPU or the driver does not run."""
        assert fix("KD207", old("2.12.1", "3.11.4")).endswith("pip install 'tensorflow[and-cuda]==2.21.0'")
        assert fix("KD207", old("2.12.1", "3.11.4", GTX_980)).endswith("pip install 'tensorflow[and-cuda]==2.16.2'")
        assert fix("KD207", old("2.12.1", "3.10.4", T4, "470.82.01")).endswith(
            "pip install 'tensorflow[and-cuda]==2.14.1'"
        )

    @pytest.mark.parametrize("python", ["3.7.17", "3.8.18"])
    def test_a_python_without_such_a_release_is_not_sent_there(self, python: str) -> None:
        """pip would take a release without the extra, warn, and install no CUDA."""
        text = fix("KD207", old("2.11.0", python))
        assert "conda install" in text
        assert "and-cuda" not in text

    def test_a_broken_extra_is_replaced_by_what_the_driver_runs(self) -> None:
        """2.14's extra cannot be installed on Python 3.11, and 2.15 takes CUDA 12."""
        snapshot = change(
            old("2.12.1", "3.11.4", version="520.61.05"),
            {
                "software.packages": packages("tensorflow 2.14.1"),
                "software.tensorflow.version": "2.14.1",
            },
        )
        assert "and-cuda" not in fix("KD207", snapshot)
        newer = change(snapshot, {"machine.driver.version": "525.60.13"})
        assert fix("KD207", newer) == "pip install 'tensorflow[and-cuda]==2.15.1'"

    def test_a_request_for_an_extra_that_is_not_there(self) -> None:
        """The release with the extra is one for this Python; where none is, the Python is named."""
        assert fix("KD311", asked("tensorflow[and-cuda]==2.13.1", python="3.11.4")) == (
            "pip install 'tensorflow[and-cuda]==2.21.0'"
        )
        assert fix("KD311", asked("tensorflow[and-cuda]==2.13.1", python="3.8.18")) == (
            "install CUDA and cuDNN beside it, or use Python 3.9 or later"
        )


def test_a_cpu_build_is_replaced_by_a_release_that_the_gpu_runs() -> None:
    """TensorFlow 2.19 with CUDA has no code for a GTX 980: 2.16 has."""
    cpu = change(
        old("2.19.1", "3.11.4", GTX_980),
        {
            "software.packages": packages("tensorflow-cpu 2.19.1"),
            "software.tensorflow": {"version": "2.19.1", "distribution": "tensorflow-cpu", "cuda_build": False},
        },
    )
    assert fix("KD301", cpu).endswith("pip install 'tensorflow[and-cuda]==2.16.2'")


class TestWindows:
    def windows(self, tensorflow: str = "2.10.1", **changes: Any) -> dict[str, Any]:
        """Native Windows with a GPU."""
        return change(plain(tensorflow), {"machine.os": "windows", "software.libc": {}, **changes})

    def test_what_only_linux_has_is_installed_inside_wsl(self) -> None:
        """Newer releases have no CUDA on Windows: they are no remedy there."""
        new = {"machine.gpus": [{"name": "NVIDIA H100", "compute_capability": "9.0"}]}
        code = {"software.tensorflow.compute_capabilities": ["sm_75", "compute_80"]}
        assert fix("KD107", self.windows(**new, **code)).startswith("inside WSL2")

    @pytest.mark.parametrize(
        ("gpu", "wanted"),
        [
            (T4, "pip install 'tensorflow[and-cuda]' (or"),
            (GTX_980, "pip install 'tensorflow[and-cuda]==2.16.2' (or"),
            (
                {"name": "Tesla V100-SXM2-16GB", "compute_capability": "7.0"},
                "pip install 'tensorflow[and-cuda]==2.21.0' 'nvidia-cudnn-cu12<9.11' (or",
            ),
        ],
    )
    def test_what_is_installed_inside_wsl_runs_the_gpu(self, gpu: dict[str, Any], wanted: str) -> None:
        """The newest release, or the newest that the GPU runs."""
        snapshot = self.windows("2.17.1", **{"machine.gpus": [gpu]})
        assert wanted in fix("KD302", snapshot)

    def test_variables_are_set_as_windows_does(self) -> None:
        """`export` is no word of its shell."""
        toolkit = {"toolkits": [{"version": "11.2", "path": "C:/CUDA/v11.2"}], "libraries": [], "libdevice": False}
        text = fix("KD209", self.windows(**{"software.cuda": toolkit}))
        assert "set XLA_FLAGS=--xla_gpu_cuda_data_dir=C:/CUDA/v11.2" in text

    def test_a_driver_that_dropped_the_gpu_is_replaced_on_windows(self) -> None:
        """The packages of Ubuntu are no help there, nor inside WSL."""
        kepler = {"machine.gpus": [{"name": "Tesla K80", "compute_capability": "3.7"}]}
        wsl = change(host("2.10.1"), {**kepler, "machine.driver": driver("580.65.06"), "machine.wsl": 2})
        for snapshot in (self.windows(**kepler, **{"machine.driver": driver("580.65.06")}), wsl):
            assert "no longer supports Tesla K80" in message("KD111", snapshot)
            assert "R470" in fix("KD111", snapshot)
            assert "apt-get" not in fix("KD111", snapshot)
