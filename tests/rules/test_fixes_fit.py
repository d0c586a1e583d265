"""What a fix names can be installed here, and what it installs runs here: on this system, Python, driver and GPU."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.model.wire import decode_snapshot
from doctor.suggest import suggest
from doctor.suggest import wanted as wanted_of
from tests.rules.environments import asked, packages, plain
from tests.rules.machines import change, driver, fix, host, message, outcome, reason
from tests.support import compute

GTX_980 = {"index": 0, "name": "NVIDIA GeForce GTX 980", "compute_capability": "5.2"}
APPLE = {"os": "darwin", "architecture": "arm64"}
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


class TestRequestsThatCannotBeMet:
    @pytest.mark.parametrize(
        ("requirement", "python", "machine", "wanted"),
        [
            ("tensorflow-gpu", "3.11.4", {}, "pip install 'tensorflow[and-cuda]'"),
            ("tensorflow-gpu", "3.8.18", {}, "pip install 'tensorflow==2.13.1'"),
            ("tensorflow-gpu", "3.10.4", {"os": "windows"}, "pip install 'tensorflow==2.10.1'"),
            ("tensorflow-gpu", "3.11.4", {"os": "windows"}, "pip install 'tensorflow'"),
            ("tensorflow-gpu", "3.11.4", APPLE, "pip install 'tensorflow'"),
            ("tensorflow[and-cuda]==2.15.0", "3.11.4", {}, "pip install 'tensorflow[and-cuda]==2.15.1'"),
            ("tensorflow==2.16.0", "3.11.4", {}, "pip install 'tensorflow==2.16.2'"),
            ("tensorflow==2.16.0", "3.8.18", {}, "pip install 'tensorflow'"),
            ("tensorflow[and-cuda]==2.15.0", "3.8.18", {}, "pip install 'tensorflow==2.13.1'"),
            ("tensorflow-intel==2.18.1", "3.11.4", {"os": "windows"}, "pip install 'tensorflow==2.18.1'"),
            ("tensorflow-cpu==2.4.5", "3.8.18", {}, "pip install 'tensorflow-cpu==2.4.4'"),
            ("tensorflow-macos==2.17.0", "3.11.4", APPLE, "pip install 'tensorflow==2.17.0'"),
            ("tensorflow-macos==2.17.0", "3.11.4", {"os": "darwin"}, "pip install 'tensorflow'"),
        ],
    )
    def test_what_is_named_instead_is_there(
        self, requirement: str, python: str, machine: dict[str, Any], wanted: str
    ) -> None:
        """The extra exists for Linux and Python 3.9 on; Windows has had CUDA up to 2.10, macOS never."""
        found = compute("KD311", asked(requirement, python=python, **machine)).findings
        assert [finding.fix for finding in found] == [wanted]

    def test_a_wheel_of_another_platform_is_not_said_to_be_no_release(self) -> None:
        """The one that was asked for has no wheel here; TensorFlow itself has."""
        mac = asked("tensorflow-cpu==2.21.0", python="3.11.4", os="darwin", architecture="arm64")
        assert (
            fix("KD304", mac) == "tensorflow-cpu 2.21.0 has no wheel for macos arm64: pip install 'tensorflow==2.21.0'"
        )
        nothing = asked("tensorflow==2.21.0", python="3.11.4", architecture="riscv64")
        assert fix("KD304", nothing) == (
            "tensorflow 2.21.0 has no wheel for linux riscv64: build from source or use a container"
        )

    def test_the_release_for_this_python_runs_on_this_c_library(self) -> None:
        """A release that glibc refuses is no way out."""
        old_system = change(asked("tensorflow==2.4.0", python="3.12.4"), {"software.libc.version": "2.17"})
        assert fix("KD304", old_system).endswith("or a release for Python 3.12: pip install 'tensorflow==2.20.0'")
        older = change(old_system, {"software.libc.version": "2.12"})
        assert fix("KD304", older) == "use Python 3.6 to 3.8 for tensorflow 2.4.0 (python3.8 -m venv .venv)"

    def test_a_wheel_that_only_stands_for_another_needs_that_one(self) -> None:
        """2.13.1 for Windows installs tensorflow-intel 2.13.1, which has no wheel for Python 3.8."""
        assert outcome("KD304", asked("tensorflow==2.13.1", python="3.8.18", os="windows")) == "error"
        assert outcome("KD304", asked("tensorflow==2.13.1", python="3.9.18", os="windows")) == "passed"
        assert outcome("KD304", asked("tensorflow==2.13.1", python="3.8.18")) == "passed"

    def test_a_release_that_the_tables_do_not_know_is_not_judged(self) -> None:
        """Neither its Pythons nor its C library are known."""
        assert reason("KD304", asked("tensorflow==2.99.0")) == (
            "software.requested: the tables know no release of tensorflow that tensorflow==2.99.0 admits"
        )


def test_suggest_offers_the_wheels_of_the_cpu_build() -> None:
    """tensorflow-cpu 2.4.2 for Windows was made for Python 3.6 only."""
    machine = decode_snapshot({"schema": 1, "machine": {"os": "windows", "architecture": "x86_64"}})
    for python, expected in (("3.6", True), ("3.8", False)):
        fits = suggest(wanted_of(machine, driver=None, gpus=(), python=python, package="tensorflow-cpu"))
        assert next(fit.fits for fit in fits if fit.version == "2.4.2") is expected


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
