"""What the families of rules share: is a GPU meant, what is this TensorFlow built for, versions."""

from __future__ import annotations

from typing import Any

import pytest

from doctor import catalogue
from tests.rules.machines import Drop, change, host
from tests.support import case

catalogue.mount()
from doctor.rules.builds import tensorflow_facts  # noqa: E402
from doctor.rules.shared import gpu_expected, gpu_wish, nvidia_hardware, older, same_version  # noqa: E402

BARE = {
    "machine": {"os": "linux", "architecture": "x86_64", "wsl": False},
    "software": {"packages": [], "environment": {}},
}


def facts(**tensorflow: Any) -> Any:
    """The build facts of a bare Linux machine with this TensorFlow section."""
    return tensorflow_facts(case(change(BARE, {"software.tensorflow": tensorflow})))


class TestVersions:
    @pytest.mark.parametrize(
        ("version", "than", "expected"),
        [
            ("470.82.01", "525.60.13", True),
            ("470", "470.57.02", False),
            ("12.9", "12.10", True),
            ("12.5", "12.5.1", False),
            ("525.60.13", "525.60.13", False),
        ],
    )
    def test_older_is_only_what_is_certain(self, version: str, than: str, expected: bool) -> None:
        """Compared by the parts that both give, never as decimal numbers."""
        assert older(version, than) is expected

    def test_the_same_version_padded(self) -> None:
        """TensorFlow's log adds a part, leading zeros do not count."""
        assert same_version("384.90", "384.90.0")
        assert same_version("535.104.05", "535.104.5")
        assert not same_version("384.90", "384.111")


class TestHardware:
    @pytest.mark.parametrize(
        ("machine", "expected"),
        [
            ({"pci_gpus": ["10de:20b0"]}, True),
            ({"gpus": [{"name": "Tesla T4"}]}, True),
            ({"devices": ["/dev/nvidia0"]}, True),
            ({"driver": {"present": True}}, True),
            ({"pci_gpus": []}, False),
            ({"pci_gpus": [], "driver": {"present": True}}, False),
            ({"pci_gpus": [], "wsl": 2}, None),
            ({"pci_gpus": [], "kernel": "5.15.148-tegra"}, None),
            ({"gpus": [], "driver": {"present": False}}, None),
            ({}, None),
            (
                {"pci_gpus": [], "driver": {"present": True, "error": "NVML_ERROR_LIB_RM_VERSION_MISMATCH"}},
                True,
            ),
            ({"pci_gpus": [], "driver": {"present": True, "version": "535.104.05"}}, False),
            ({"pci_gpus": [], "driver": {"present": False, "error": "NVML_ERROR_DRIVER_NOT_LOADED"}}, False),
        ],
    )
    def test_what_settles_it(self, machine: dict[str, Any], expected: bool | None) -> None:
        """The PCI bus does, but not under WSL and not on a Jetson; no driver says nothing about hardware."""
        assert nvidia_hardware(case({"machine": machine})) is expected


class TestWish:
    @pytest.mark.parametrize(
        ("changes", "wished"),
        [
            ({"container": {"gpus_requested": True}}, True),
            ({"container": {"gpus_requested": False}}, False),
            ({"software.requested": [{"requirement": "tensorflow[and-cuda]==2.17.1"}]}, True),
            ({"software.requested": [{"requirement": "tensorflow==2.17.1"}]}, False),
            ({"software.requested": [{"requirement": "no requirement at all ("}]}, False),
            ({"software.image": {"reference": "tensorflow/tensorflow:2.17.0-gpu"}}, True),
            ({"software.image": {"reference": "nvcr.io/nvidia/tensorflow:24.03-tf2-py3"}}, True),
            ({"software.image": {"reference": "ufoym/deepo:tensorflow-py36-cu90"}}, True),
            ({"software.image": {"reference": "python:3.11-slim"}}, False),
            ({"software.image": {"reference": "registry.example/gputils:1"}}, False),
            ({"software.image": {"environment": {"NVIDIA_REQUIRE_CUDA": "cuda>=12.4"}}}, True),
            ({"software.packages": [{"name": "tensorflow-gpu"}]}, True),
            ({"software.cuda.libraries": [{"soname": "libcudart.so.12", "origin": "system"}]}, True),
            ({"log": ["harmless"]}, False),
            ({}, False),
        ],
    )
    def test_what_shows_that_a_gpu_is_meant(self, changes: dict[str, Any], wished: bool) -> None:
        """Requests, GPU images, CUDA that is installed, a log that complains."""
        assert (gpu_wish(case(change(BARE, changes))) is not None) is wished

    def test_the_user_has_the_last_word(self) -> None:
        """expects.gpu over hardware, hardware over wishes."""
        assert gpu_expected(case(host()))
        assert not gpu_expected(case(change(host(), {"expects.gpu": False})))
        assert gpu_expected(case(change(BARE, {"expects.gpu": True, "machine.pci_gpus": []})))
        wish = {"software.requested": [{"requirement": "tensorflow[and-cuda]"}]}
        assert gpu_expected(case(change(BARE, wish)))
        assert not gpu_expected(case(change(BARE, {**wish, "machine.pci_gpus": []})))


class TestTensorFlowFacts:
    def test_what_was_read_stands(self) -> None:
        """Facts of the snapshot are not replaced by the tables; a build of one's own has no facts of the wheel."""
        build = facts(version="2.17.1", cuda_build=True, cuda_version="12.9", compute_capabilities=["sm_120"])
        assert (build.cuda_version, build.compute_capabilities, build.cudnn_version) == ("12.9", ("sm_120",), None)
        assert not build.official

    @pytest.mark.parametrize(
        ("version", "cuda", "cudnn"),
        [("2.13", "11.8", "8"), ("2.2.0rc4", "10.1", "7"), ("2.15.0.post1", "12.2", "8"), ("2.21.0", "12.5.1", "9")],
    )
    def test_the_tables_fill_in_the_official_wheel(self, version: str, cuda: str, cudnn: str) -> None:
        """A short version is the newest patch, a candidate its final release."""
        build = facts(version=version)
        assert (build.cuda_build, build.cuda_version, build.cudnn_version) == (True, cuda, cudnn)

    @pytest.mark.parametrize("name", ["tensorflow-cpu", "tensorflow-intel", "tensorflow-macos", "intel-tensorflow"])
    def test_cpu_distributions_have_no_cuda(self, name: str) -> None:
        """Whatever the platform."""
        assert facts(version="2.15.0", distribution=name).cuda_build is False

    def test_up_to_2_0_the_distribution_decides(self) -> None:
        """tensorflow and tensorflow-gpu were two builds; without the name nothing is told."""
        assert facts(version="1.14.0", distribution="tensorflow").cuda_build is False
        assert facts(version="1.14.0", distribution="tensorflow-gpu").cuda_version == "10.0"
        assert facts(version="1.14.0").cuda_build is None

    @pytest.mark.parametrize(
        ("os", "version", "expected"),
        [
            ("windows", "2.10.1", True),
            ("windows", "2.11.0", False),
            ("darwin", "2.15.0", False),
            (Drop, "2.15.0", None),
        ],
    )
    def test_the_platform_decides(self, os: Any, version: str, expected: bool | None) -> None:
        """No CUDA for Windows from 2.11 on, never for macOS; an unknown system is unknown."""
        found = change(BARE, {"software.tensorflow": {"version": version}, "machine.os": os})
        assert tensorflow_facts(case(found)).cuda_build is expected

    @pytest.mark.parametrize(
        ("machine", "platform", "expected"),
        [
            ({"os": "darwin", "architecture": "arm64"}, "linux/amd64", True),
            ({"os": "windows", "architecture": "x86_64"}, "linux/amd64", True),
            ({"os": "linux", "architecture": "x86_64"}, "linux/arm64", False),
            ({"os": "darwin", "architecture": "arm64"}, Drop, False),
            ({}, Drop, True),
        ],
    )
    def test_an_image_is_linux_wherever_it_is_judged(self, machine: Any, platform: Any, expected: bool) -> None:
        """What its TensorFlow was built for is told by the image, not by the machine that looks at it."""
        changes = {
            "subject": {"kind": "image", "name": "image"},
            "machine": machine,
            "software.image": {"reference": "app:1"},
            "software.image.platform": platform,
            "software.tensorflow": {"version": "2.17.1"},
        }
        assert tensorflow_facts(case(change(BARE, changes))).cuda_build is expected

    @pytest.mark.parametrize(
        ("build", "expected", "cuda"),
        [
            ("cuda120py311h5cbd639_0", True, "12.0"),
            ("gpu_py37h7a4bb67_0", True, None),
            ("mkl_py39h43e0292_0", False, None),
            ("cpu_py311h6ac8430_2", False, None),
            ("py311h6ac8430_2", None, None),
        ],
    )
    def test_conda_builds_are_told_by_their_build_string(
        self, build: str, expected: bool | None, cuda: str | None
    ) -> None:
        """They are others than the index's wheels: the tables say nothing about them."""
        package = [{"name": "tensorflow", "version": "2.17.0", "build": build}]
        found = tensorflow_facts(case(change(BARE, {"software.packages": package})))
        assert (found.cuda_build, found.cuda_version, found.compute_capabilities) == (expected, cuda, None)
        assert found.gpu_code is None

    @pytest.mark.parametrize("version", ["2.15.0+nv24.3", "2.22.0.dev20260101", "nightly"])
    def test_foreign_builds_are_not_the_official_wheel(self, version: str) -> None:
        """NVIDIA's, nightly ones, and what is no version."""
        build = facts(version=version)
        assert build.release is None
        assert build.cuda_build is None

    def test_no_tensorflow(self) -> None:
        """Nothing is made up."""
        build = tensorflow_facts(case(BARE))
        assert build.version is None
        assert build.cuda_build is None
