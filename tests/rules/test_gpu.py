"""KD106 to KD110: code for the GPU, PTX, hidden GPUs, a CPU without AVX."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.rules.machines import Drop, change, fix, host, image, message, outcome, reason
from tests.support import diagnose

A100, H100, T4 = ("NVIDIA A100-SXM4-40GB", "8.0"), ("NVIDIA H100", "9.0"), ("Tesla T4", "7.5")
GTX980, P100, K80 = ("NVIDIA GeForce GTX 980", "5.2"), ("Tesla P100", "6.0"), ("Tesla K80", "3.7")
RTX3060, RTX4090, RTX5090 = ("GeForce RTX 3060", "8.6"), ("GeForce RTX 4090", "8.9"), ("GeForce RTX 5090", "12.0")
B200 = ("NVIDIA B200", "10.0")


def code(*listed: str, gpu: tuple[str, str]) -> dict[str, Any]:
    """A build of somebody's own, with this GPU code."""
    return change(host(gpu=gpu), {"software.tensorflow.compute_capabilities": list(listed)})


class TestGpuTooOld:
    @pytest.mark.parametrize(
        ("tensorflow", "gpu", "expected"),
        [
            ("2.17.1", GTX980, "error"),
            ("2.16.2", GTX980, "passed"),
            ("2.17.1", P100, "passed"),
            ("2.15.1", K80, "error"),
            ("2.14.1", K80, "passed"),
            ("2.21.0", RTX5090, "passed"),
        ],
    )
    def test_the_lowest_code_of_the_wheel_decides(self, tensorflow: str, gpu: tuple[str, str], expected: str) -> None:
        """Machine code of the same major and no later minor, or PTX of an earlier architecture."""
        assert outcome("KD106", host(tensorflow, gpu)) == expected

    def test_a_gap_counts(self) -> None:
        """5.2 machine code does not run on 5.0, and the PTX begins at 7.0: nothing runs although 3.5 is lower."""
        gap = code("sm_35", "sm_37", "sm_52", "sm_60", "sm_61", "sm_70", "compute_70", gpu=("GTX 750 Ti", "5.0"))
        assert outcome("KD106", gap) == "error"
        assert "nothing that runs on it" in message("KD106", gap)

    def test_code_for_one_architecture_only_does_not_run_on_its_sibling(self) -> None:
        """8.9 code does not run on 8.6; 8.6 code runs on 8.9."""
        assert outcome("KD106", code("sm_89", gpu=RTX3060)) == "error"
        assert outcome("KD106", code("sm_86", gpu=RTX4090)) == "passed"

    def test_the_advised_release_has_code_for_it(self) -> None:
        """2.16 is the last with code for Maxwell."""
        assert "tensorflow[and-cuda]==2.16.2" in fix("KD106", host("2.17.1", GTX980))

    def test_a_second_gpu_that_serves_makes_it_a_warning(self) -> None:
        """TensorFlow leaves the old one out and uses the other."""
        both = [
            {"name": "GeForce GTX 980", "compute_capability": "5.2"},
            {"name": "Tesla T4", "compute_capability": "7.5"},
        ]
        assert outcome("KD106", change(host(), {"machine.gpus": both})) == "warning"

    def test_the_name_of_the_gpu_suffices(self) -> None:
        """Without NVML's compute capability the product tells it; an unknown product does not."""
        assert outcome("KD106", change(host(), {"machine.gpus": [{"name": "GeForce GTX 980"}]})) == "error"
        assert outcome("KD106", change(host(), {"machine.gpus": [{"name": "GeForce"}]})) == "skipped"

    def test_the_tables_tell_the_code_of_an_official_wheel(self) -> None:
        """Without build_info the release says it, for the wheel of the package index on Linux, and no other."""
        unread = change(host("2.17.1", GTX980), {"software.tensorflow": {"version": "2.17.1"}})
        assert outcome("KD106", unread) == "error"
        assert outcome("KD106", change(unread, {"machine.os": "windows"})) == "inapplicable"
        conda = [{"name": "tensorflow", "version": "2.17.1", "build": "cuda120py311h5cbd639_0"}]
        assert outcome("KD106", change(unread, {"software.packages": conda})) == "skipped"

    def test_a_toolkit_that_no_longer_compiles_for_it_settles_it(self) -> None:
        """Without build_info: CUDA 12 has no code for Kepler, whatever the build holds; for Maxwell it may."""
        unread = {"software.tensorflow": {"version": "2.15.0.dev1", "cuda_build": True, "cuda_version": "12.2"}}
        assert outcome("KD106", change(host(gpu=K80), unread)) == "error"
        assert outcome("KD106", change(host(gpu=GTX980), unread)) == "skipped"

    def test_inapplicable(self) -> None:
        """No CUDA in the build, no TensorFlow, no GPU meant."""
        assert outcome("KD106", change(host(), {"software.tensorflow.cuda_build": False})) == "inapplicable"
        assert outcome("KD106", change(host(), {"software.tensorflow": {"present": False}})) == "inapplicable"
        assert outcome("KD106", change(host(), {"expects.gpu": False})) == "inapplicable"


class TestGpuTooNew:
    @pytest.mark.parametrize(
        ("tensorflow", "gpu", "expected"),
        [
            ("2.21.0", RTX5090, "error"),
            ("2.16.2", RTX5090, "error"),
            ("2.21.0", ("NVIDIA GB10", "12.1"), "error"),
            ("2.21.0", B200, "warning"),
            ("2.15.1", H100, "warning"),
            ("2.21.0", H100, "passed"),
            ("2.21.0", RTX4090, "passed"),
            ("2.10.1", RTX4090, "passed"),
            ("2.15.1", RTX3060, "passed"),
            ("2.17.1", GTX980, "passed"),
        ],
    )
    def test_wheels_and_generations(self, tensorflow: str, gpu: tuple[str, str], expected: str) -> None:
        """PTX carries a newer generation (warning), but not compute capability 12 (error)."""
        assert outcome("KD107", host(tensorflow, gpu, "580.95.05")) == expected

    def test_without_ptx_nothing_can_carry_it(self) -> None:
        """Machine code only, all of it for an older generation."""
        assert outcome("KD107", code("sm_70", "sm_80", gpu=H100)) == "error"

    def test_a_build_of_somebodys_own_is_only_warned_about(self) -> None:
        """That PTX fails on compute capability 12 is known of the index's wheels only."""
        own = change(code("sm_80", "compute_90", gpu=RTX5090), {"software.tensorflow.distribution": "my-tensorflow"})
        assert outcome("KD107", own) == "warning"

    def test_a_build_that_knows_the_architecture_passes(self) -> None:
        """A build from source for 12.0."""
        assert outcome("KD107", code("sm_80", "sm_120", "compute_120", gpu=RTX5090)) == "passed"

    def test_a_toolkit_older_than_the_gpu_settles_it(self) -> None:
        """CUDA 10.1 knows no Ampere: a build for it can only be carried by PTX there; Turing may be in it."""
        own = {"version": "2.3.1", "distribution": "my-tensorflow", "cuda_build": True, "cuda_version": "10.1"}
        legacy = {"software.tensorflow": own, "software.packages": []}
        assert outcome("KD107", change(host(gpu=RTX3060), legacy)) == "warning"
        assert "CUDA 10.1" in message("KD107", change(host(gpu=RTX3060), legacy))
        assert outcome("KD107", change(host(gpu=T4), legacy)) == "skipped"

    def test_skipped_and_inapplicable(self) -> None:
        """Unknown code or GPU: skipped. A CPU build: inapplicable."""
        assert outcome("KD107", change(host(), {"software.tensorflow": {"version": "2.22.0.dev20260101"}})) == "skipped"
        assert outcome("KD107", change(host(), {"machine.gpus": Drop, "machine.pci_gpus": Drop})) == "skipped"
        assert outcome("KD107", change(host(), {"software.tensorflow.cuda_build": False})) == "inapplicable"


class TestPtxNewerThanDriver:
    @pytest.mark.parametrize(
        ("tensorflow", "gpu", "version", "expected"),
        [
            ("2.21.0", H100, "535.104.05", "error"),
            ("2.21.0", H100, "555.42.02", "passed"),
            ("2.17.1", H100, "545.23.06", "passed"),
            ("2.17.1", H100, "535.104.05", "error"),
            ("2.16.2", H100, "530.30.02", "passed"),
            ("2.16.2", H100, "525.60.13", "error"),
            ("2.15.1", A100, "525.60.13", "error"),
            ("2.15.1", T4, "525.60.13", "passed"),
            ("2.21.0", A100, "535.104.05", "passed"),
            ("2.21.0", RTX4090, "535.104.05", "passed"),
            ("2.10.1", RTX3060, "450.80.02", "error"),
        ],
    )
    def test_kernels_that_exist_as_ptx_only(
        self, tensorflow: str, gpu: tuple[str, str], version: str, expected: str
    ) -> None:
        """The newest architecture of each wheel needs a driver that compiles its PTX; the others do not."""
        assert outcome("KD108", host(tensorflow, gpu, version)) == expected

    def test_cuda_compat_compiles_it_on_a_data_centre_gpu(self) -> None:
        """Forward compatibility brings its own compiler."""
        compat = {
            "software.cuda.compat_driver": "555.42.06",
            "software.environment": {"LD_LIBRARY_PATH": "/usr/local/cuda-12.5/compat"},
        }
        assert outcome("KD108", change(host("2.21.0", H100), compat)) == "passed"
        lying_about = {"software.cuda.compat_driver": "555.42.06"}
        assert outcome("KD108", change(host("2.21.0", H100), lying_about)) == "error"

    def test_a_driver_too_old_for_the_toolkit_comes_first(self) -> None:
        """What follows from KD102 names it and stands after it."""
        found = [f for f in diagnose(host("2.15.1", A100, "470.82.01")).findings if f.code in ("KD102", "KD108")]
        assert [f.code for f in found] == ["KD102", "KD108"]
        assert found[1].caused_by == ("KD102",)

    def test_an_unscanned_wheel_is_not_condemned(self) -> None:
        """2.9 was not looked into: an older driver is a skip, a driver as new as the toolkit passes."""
        unscanned = {
            "software.tensorflow.version": "2.9.1",
            "software.tensorflow.cuda_version": "11.2",
            "software.tensorflow.compute_capabilities": ["sm_35", "sm_50", "sm_60", "sm_70", "sm_75", "compute_80"],
        }
        assert outcome("KD108", change(host(gpu=A100, version="450.80.02"), unscanned)) == "skipped"
        assert outcome("KD108", change(host(gpu=A100, version="470.82.01"), unscanned)) == "passed"

    def test_the_drivers_cuda_is_known_by_its_version(self) -> None:
        """NVML's CUDA version missing, the driver's branch tells it."""
        untold = change(host("2.21.0", H100), {"machine.driver.cuda_version": Drop})
        assert outcome("KD108", untold) == "error"

    def test_skipped_and_inapplicable(self) -> None:
        """No driver known: skipped; none loaded: KD101's."""
        assert outcome("KD108", change(host("2.21.0", H100), {"machine.driver": Drop})) == "skipped"
        assert outcome("KD108", change(host("2.21.0", H100), {"machine.driver": {"present": False}})) == "inapplicable"


class TestGpuHidden:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("-1", "warning"),
            ("", "warning"),
            ("bash", "warning"),
            ("1", "warning"),
            ("NoDevFiles", "warning"),
            ("-1,0", "warning"),
            ("0", "passed"),
            ("0,7", "passed"),
            ("GPU-8932f937", "passed"),
            ("MIG-GPU-8932f937/1/0", "passed"),
        ],
    )
    def test_cuda_reads_up_to_the_first_entry_that_names_none(self, value: str, expected: str) -> None:
        """One GPU, number 0."""
        assert outcome("KD109", change(host(), {"software.environment": {"CUDA_VISIBLE_DEVICES": value}})) == expected

    def test_a_second_gpu_may_be_chosen(self) -> None:
        """Number 1 of two hides one, not all."""
        two = {"machine.gpus": [{"name": "Tesla T4"}] * 2, "software.environment": {"CUDA_VISIBLE_DEVICES": "1"}}
        assert outcome("KD109", change(host(), two)) == "passed"

    def test_an_image_may_hide_it(self) -> None:
        """Its own CUDA_VISIBLE_DEVICES, or NVIDIA_VISIBLE_DEVICES where nobody asks for GPUs."""
        assert outcome("KD109", image({"CUDA_VISIBLE_DEVICES": "-1"})) == "warning"
        assert outcome("KD109", image({"NVIDIA_VISIBLE_DEVICES": "void"})) == "passed"
        unasked = change(image({"NVIDIA_VISIBLE_DEVICES": "void"}), {"container": {"runtime": "nvidia"}})
        assert outcome("KD109", unasked) == "warning"
        assert (
            outcome("KD109", change(host(), {"software.environment": {"NVIDIA_VISIBLE_DEVICES": "void"}})) == "passed"
        )

    def test_skipped_and_inapplicable(self) -> None:
        """Unknown variables: skipped. No GPU there to hide, or no CUDA to use it: inapplicable."""
        assert outcome("KD109", change(host(), {"software.environment": Drop})) == "skipped"
        hidden = change(host(), {"software.environment": {"CUDA_VISIBLE_DEVICES": "-1"}})
        bare = change(hidden, {"machine.gpus": [], "machine.pci_gpus": [], "machine.devices": []})
        assert outcome("KD109", bare) == "inapplicable"
        assert outcome("KD109", change(hidden, {"software.tensorflow.cuda_build": False})) == "inapplicable"


class TestCpuWithoutAvx:
    def test_flags_decide(self) -> None:
        """Westmere has SSE 4.2 and no AVX."""
        old = {"model": "Intel Xeon X5675", "flags": ["sse4_2", "aes"]}
        assert outcome("KD110", change(host(), {"machine.cpu": old})) == "error"
        assert outcome("KD110", host()) == "passed"
        assert outcome("KD110", change(host(), {"machine.cpu": {"flags": ["AVX1.0", "AVX2"]}})) == "passed"

    @pytest.mark.parametrize(
        ("model", "expected"),
        [
            ("Intel(R) Xeon(R) CPU X5570 @ 2.93GHz", "error"),
            ("Intel(R) Core(TM)2 Duo CPU E8400", "error"),
            ("Intel(R) Core(TM) i7 CPU 920 @ 2.67GHz", "error"),
            ("Intel Celeron N4505", "error"),
            ("QEMU Virtual CPU version 2.5+", "error"),
            ("Intel(R) Core(TM) i7-2600 CPU @ 3.40GHz", "skipped"),
            ("Intel(R) Xeon(R) Gold 5218 CPU", "skipped"),
            ("Intel(R) Celeron(R) G6900", "skipped"),
            ("AMD EPYC 7763", "skipped"),
        ],
    )
    def test_without_flags_the_model_may_tell(self, model: str, expected: str) -> None:
        """Some processors are known to have no AVX; of the others the flags are needed."""
        assert outcome("KD110", change(host(), {"machine.cpu": {"model": model}})) == expected

    def test_a_gpu_does_not_help(self) -> None:
        """The import dies before any GPU is looked for: no GPU is needed for the rule to speak."""
        old = {"machine.cpu": {"flags": ["sse4_2"]}, "machine.gpus": [], "machine.pci_gpus": [], "expects.gpu": False}
        assert outcome("KD110", change(host(), old)) == "error"

    @pytest.mark.parametrize(("version", "expected"), [("1.5.0", "inapplicable"), ("1.6.0", "error")])
    def test_from_1_6_on(self, version: str, expected: str) -> None:
        """The first release whose wheels use AVX."""
        old = change(host(), {"machine.cpu": {"flags": ["sse4_2"]}, "software.packages": []})
        assert outcome("KD110", change(old, {"software.tensorflow": {"version": version}})) == expected

    def test_rosetta_has_none(self) -> None:
        """An Intel Python on Apple silicon, and what to do instead."""
        mac = change(
            host(),
            {
                "machine": {"os": "darwin", "architecture": "x86_64", "virtualization": "rosetta"},
                "software": {"tensorflow": {"version": "2.4.1"}},
            },
        )
        assert outcome("KD110", mac) == "error"
        assert "arm64 Python" in fix("KD110", mac)

    def test_an_x86_image_on_an_arm_machine_is_emulated(self) -> None:
        """Emulators have no AVX; an image for arm64 is no x86 wheel at all."""
        arm = {"machine.architecture": "aarch64", "machine.cpu": {"model": "Apple M2"}, "software.python": {}}
        assert outcome("KD110", change(image(), {**arm, "software.image.platform": "linux/amd64"})) == "error"
        assert outcome("KD110", change(image(), {**arm, "software.image.platform": "linux/arm64"})) == "inapplicable"

    def test_skipped_and_inapplicable(self) -> None:
        """Unknown flags, unknown or foreign TensorFlow: skipped. conda's builds and other chips: inapplicable."""
        assert outcome("KD110", change(host(), {"machine.cpu": {"model": "AMD EPYC"}})) == "skipped"
        assert outcome("KD110", change(host(), {"software.tensorflow": {"version": "2.15.0+nv24.3"}})) == "skipped"
        assert outcome("KD110", change(host(), {"software": {}})) == "skipped"
        assert outcome("KD110", change(host(), {"software.tensorflow": {"present": False}})) == "inapplicable"
        conda = [{"name": "tensorflow", "version": "2.17.1", "build": "cpu_py311h6ac8430_2"}]
        assert "conda" in reason("KD110", change(host(), {"software.packages": conda}))
        arm = {"machine.architecture": "aarch64", "software.python.architecture": "aarch64"}
        assert outcome("KD110", change(host(), arm)) == "inapplicable"


GPUS = [A100, H100, T4, GTX980, P100, K80, RTX3060, RTX4090, ("Tesla V100", "7.0"), ("GeForce GTX 750 Ti", "5.0")]


@pytest.mark.parametrize("gpu", GPUS, ids=lambda gpu: gpu[1])
@pytest.mark.parametrize("version", ["450.80.02", "470.82.01", "525.60.13", "535.104.05", "580.95.05"])
@pytest.mark.parametrize("tensorflow", ["2.10.1", "2.14.1", "2.15.1", "2.16.2", "2.21.0"])
def test_the_advised_tensorflow_is_one_that_the_rules_accept(
    tensorflow: str, gpu: tuple[str, str], version: str
) -> None:
    """Whatever release a fix names, judged on the same machine nothing of KD102, KD106 to KD108 stands any more.

    Where it names a driver as well, with that.
    """
    codes = ("KD102", "KD106", "KD107", "KD108")
    for finding in diagnose(host(tensorflow, gpu, version)).findings:
        advised = re.search(r"tensorflow(?:\[and-cuda\])?==([\d.]+)", finding.fix)
        if finding.code not in codes or advised is None:
            continue
        branch = re.search(r"driver of branch R(\d+)", finding.fix)
        mended = host("2.21.0", gpu, f"{branch[1]}.99.99" if branch else version)
        mended["software"]["tensorflow"] = {"version": advised[1], "distribution": "tensorflow"}
        left = [f"{f.code}: {f.message}" for f in diagnose(mended).findings if f.code in codes]
        assert not left, f"{finding.code} advised {advised[1]}"


@pytest.mark.parametrize("reported", ["12", "unknown"])
def test_a_cuda_version_told_in_part_is_that_of_the_driver_branch(reported: str) -> None:
    """R555 reports 12.5, whatever somebody wrote of it: no PTX is too new for it."""
    h100 = host("2.21.0", ("NVIDIA H100 80GB HBM3", "9.0"), "555.42.02")
    assert outcome("KD108", change(h100, {"machine.driver.cuda_version": reported})) == "passed"


@pytest.mark.parametrize("told", [{"machine.devices": ["/dev/dxg"]}, {"machine.kernel": "5.15.90.1-microsoft-WSL2"}])
def test_wsl_shows_itself_where_nobody_said_so(told: dict[str, Any]) -> None:
    """Its kernel or its device tells it: no Linux device node is missing there."""
    snapshot = change(host(), {"machine.wsl": Drop, "machine.devices": [], **told})
    assert outcome("KD104", snapshot) == "inapplicable"
