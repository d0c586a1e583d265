"""Builds that nobody looked into: conda's, a distribution's, a fork's, one of somebody's own, a nightly, an old one."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.model.report import Confidence
from tests.rules.machines import Drop, change, fix, host, image, message, outcome, reason
from tests.support import compute, diagnose

T4, RTX3090, RTX5080 = ("Tesla T4", "7.5"), ("GeForce RTX 3090", "8.6"), ("GeForce RTX 5080", "12.0")
A100 = ("NVIDIA A100-SXM4-80GB", "8.0")
CUDA_10_1 = ["libcudart.so.10.1", "libcublas.so.10", "libcufft.so.10", "libcusolver.so.10", "libcusparse.so.10"]


def build(
    tensorflow: dict[str, Any], packages: list[dict[str, Any]] | None = None, gpu: tuple[str, str] = T4
) -> dict[str, Any]:
    """A Linux machine with a GPU and a TensorFlow of which no more is told than this."""
    changes = {"software.tensorflow": {"present": True, **tensorflow}, "software.packages": packages or Drop}
    return change(host(gpu=gpu), changes)


def conda(*packages: tuple[str, str, str | None]) -> list[dict[str, Any]]:
    """Packages of conda: name, version, build string."""
    return [{"name": n, "version": v, "installer": "conda", **({"build": b} if b else {})} for n, v, b in packages]


def confidence(code: str, snapshot: dict[str, Any]) -> Confidence | None:
    """How sure the only finding of a rule is."""
    (finding,) = compute(code, snapshot).findings
    return finding.confidence


class TestConda:
    def test_its_builds_open_other_cuda_than_the_wheel(self) -> None:
        """conda's 2.4.1 is built for CUDA 10.1, the wheel for 11.0: what is not told is not taken from the wheel."""
        libraries = [{"soname": name, "origin": "conda", "loadable": True} for name in CUDA_10_1]
        snapshot = change(
            build({"version": "2.4.1"}, conda(("tensorflow-gpu", "2.4.1", None), ("cudatoolkit", "10.1.243", None))),
            {"software.cuda": {"libraries": libraries, "toolkits": [], "cudnn_version": "7.6.5"}},
        )
        assert outcome("KD202", snapshot) == outcome("KD203", snapshot) == "skipped"
        assert not [f for f in diagnose(snapshot).findings if f.severity and f.severity.value == "error"]

    def test_its_build_string_tells(self) -> None:
        """`mkl_` has no CUDA, `gpu_` has; a string that says neither decides nothing."""
        strings = {"mkl_py36h5a57954_0": "warning", "gpu_py36hf933387_0": "passed", "py36_0": "skipped"}
        for string, expected in strings.items():
            packages = conda(("tensorflow", "2.2.0", string))
            assert outcome("KD301", build({"version": "2.2.0"}, packages)) == expected, string

    def test_its_metapackage_asks_for_the_cuda_build(self) -> None:
        """`tensorflow` 1.14 of the index has no CUDA; conda's has with `tensorflow-gpu` beside it."""
        both = conda(("tensorflow", "1.14.0", None), ("tensorflow-gpu", "1.14.0", None))
        assert outcome("KD301", build({"version": "1.14.0"}, both)) == "passed"
        alone = conda(("tensorflow", "1.14.0", None))
        assert outcome("KD301", build({"version": "1.14.0"}, alone)) == "skipped"

    def test_of_two_wheels_in_one_folder_neither_is_taken_for_the_build(self) -> None:
        """Up to 2.0 `tensorflow` and `tensorflow-gpu` were two builds: KD303 says that both are there."""
        both = [{"name": name, "version": "1.14.0", "installer": "pip"} for name in ("tensorflow", "tensorflow-gpu")]
        assert outcome("KD301", build({"version": "1.14.0"}, both)) == "skipped"
        assert outcome("KD303", build({"version": "1.14.0"}, both)) == "error"


class TestBuildsOfOnesOwn:
    def test_other_gpu_code_is_another_build(self) -> None:
        """Its CUDA is not that of the wheel with the same version."""
        own = build({"version": "2.11.0", "cuda_build": True, "compute_capabilities": ["sm_89"]})
        there = change(own, {"software.cuda": {"toolkits": [{"version": "12.0"}], "cudnn_version": "8.8.0"}})
        assert outcome("KD202", there) == "skipped"
        told = change(there, {"software.tensorflow.cuda_version": "12.0"})
        assert outcome("KD202", told) != "error"

    def test_without_its_cudnn_none_is_called_wrong(self) -> None:
        """No sentence about "cuDNN None"."""
        own = build({"version": "2.12.0+nv23.05", "cuda_build": True, "cuda_version": "11.4"})
        assert outcome("KD203", change(own, {"software.cuda": {"cudnn_version": "8.6.0"}})) == "skipped"

    def test_a_fork_is_not_judged_by_the_wheels_tag(self) -> None:
        """The AMD build of 1.14 needs a newer glibc than the index's wheel of that version."""
        fork = build({"version": "1.14.0", "distribution": "tensorflow-rocm"})
        fork = change(fork, {"software.libc": {"name": "glibc", "version": "2.17"}})
        assert outcome("KD310", fork) == "skipped"
        assert "tensorflow-rocm" in reason("KD310", fork)
        assert outcome("KD310", change(fork, {"software.tensorflow.platform_tag": "manylinux_2_27_x86_64"})) == "error"


class TestOtherMakers:
    @pytest.mark.parametrize("name", ["AMD Radeon VII", "Radeon Instinct MI25", "Intel Arc A770", "Apple M2 Max"])
    def test_their_gpus_are_no_nvidia_hardware(self, name: str) -> None:
        """No rule of NVIDIA's driver or CUDA speaks on such a machine."""
        machine = {"os": "linux", "gpus": [{"name": name}]}
        snapshot = {"machine": machine, "software": {"tensorflow": {"version": "2.15.0", "cuda_build": True}}}
        assert outcome("KD101", snapshot) == outcome("KD207", snapshot) == "inapplicable"
        assert not [f for f in diagnose(snapshot).findings if f.severity and f.severity.value == "error"]

    def test_beside_one_of_nvidia_they_change_nothing(self) -> None:
        """A laptop with both."""
        both = change(host(), {"machine.pci_gpus": Drop})
        both["machine"]["gpus"].append({"name": "Intel UHD Graphics"})
        assert outcome("KD301", change(both, {"software.tensorflow.cuda_build": False})) == "warning"

    def test_a_build_for_amd_has_no_cuda(self) -> None:
        """`tensorflow-rocm` on a machine with an NVIDIA GPU uses the CPU."""
        packages = [{"name": "tensorflow-rocm", "version": "2.14.0", "installer": "pip"}]
        assert outcome("KD301", build({"version": "2.14.0"}, packages)) == "warning"

    def test_elsewhere_than_on_linux_it_may_be_the_system(self) -> None:
        """A build without CUDA on a system that nobody told may be native Windows, where no wheel has any."""
        unplaced = change(build({"version": "2.12.0", "cuda_build": False}), {"machine.os": Drop})
        assert confidence("KD301", unplaced) is Confidence.MEDIUM
        assert confidence("KD301", build({"version": "2.12.0", "cuda_build": False})) is Confidence.HIGH

    def test_nvidias_own_distribution_has_it(self) -> None:
        """`nvidia-tensorflow` 1.15.5 is a CUDA build; of a fork that the tables do not know nothing is said."""
        assert outcome("KD301", build({"version": "1.15.5", "distribution": "nvidia-tensorflow"})) == "passed"
        assert outcome("KD301", build({"version": "2.15.0", "distribution": "tensorflow-of-somebody"})) == "skipped"


class TestConfidence:
    def test_what_the_version_alone_tells_is_less_sure(self) -> None:
        """A build that was read makes it certain; else the finding says how to look."""
        there = {"software.cuda": {"toolkits": [{"version": "10.2"}], "libraries": [{"soname": "libcudart.so.10.2"}]}}
        untold = change(build({"version": "2.13.1"}), there)
        read = change(untold, {"software.tensorflow.cuda_build": True, "software.tensorflow.cuda_version": "11.8"})
        assert (confidence("KD202", untold), confidence("KD202", read)) == (Confidence.MEDIUM, Confidence.HIGH)
        assert "to be sure, run:" in fix("KD202", untold)
        assert "to be sure" not in fix("KD202", read)

    def test_the_name_is_one_that_is_not_there(self) -> None:
        """CUDA 11.0 and 11.8 share libcudart.so.11.0: what lacks is cuSOLVER's name."""
        snapshot = change(host("2.14.1"), {"software.cuda": {"toolkits": [{"version": "11.0"}]}})
        assert "libcusolver.so.11" in message("KD202", snapshot)

    def test_an_image_may_bring_what_lifts_the_limit(self) -> None:
        """Over a data-centre GPU: a warning while nobody looked for cuda-compat, an error where there is none."""
        old = image(tensorflow="2.15.1", gpu=A100, version="470.82.01")
        unseen = change(old, {"software.cuda.compat_driver": Drop})
        assert (outcome("KD102", old), outcome("KD102", unseen)) == ("error", "warning")
        assert "ls /usr/local/cuda/compat" in fix("KD102", unseen)
        assert (outcome("KD108", old), outcome("KD108", unseen)) == ("error", "warning")
        on_path = {"software.environment": {"LD_LIBRARY_PATH": "/usr/local/cuda/compat:/usr/lib"}}
        bare = change(unseen, {"subject": {"kind": "host", "name": "host"}})
        assert outcome("KD102", change(bare, on_path)) == "warning"
        unasked = change(old, {"software.cuda.compat_driver": "535.104.05", "software.environment": Drop})
        assert outcome("KD102", change(unasked, {"subject": {"kind": "host", "name": "host"}})) == "warning"
        consumer = change(unseen, {"machine.gpus": [{"name": RTX3090[0], "compute_capability": RTX3090[1]}]})
        assert outcome("KD102", consumer) == "error"
        assert outcome("KD102", bare) == "error"

    def test_a_tensorflow_of_unknown_version_may_be_a_shell(self) -> None:
        """`tensorflow` for Windows only required `tensorflow-intel` for years: no overlap without its version."""
        both = [{"name": "tensorflow"}, {"name": "tensorflow-intel", "version": "2.17.0"}]
        assert outcome("KD303", build({"version": "2.17.0"}, both)) == "skipped"
        two = [{"name": "tensorflow"}, {"name": "tensorflow-cpu", "version": "2.17.0"}]
        assert outcome("KD303", build({"version": "2.17.0"}, two)) == "error"


class TestOldReleases:
    @pytest.mark.parametrize(
        ("version", "gpu", "expected"),
        [
            ("1.0.0", ("GeForce 210", "1.2"), "warning"),
            ("1.8.0", ("Quadro K4200", "3.0"), "skipped"),
            ("1.12.0", ("Quadro K4200", "3.0"), "warning"),
            ("2.0.0", ("Quadro K4200", "3.0"), "warning"),
            ("2.0.0", ("Tesla K80", "3.7"), "skipped"),
        ],
    )
    def test_the_documented_least_capability(self, version: str, gpu: tuple[str, str], expected: str) -> None:
        """3.0 for everything, 3.5 for the binaries from 1.9 on; which of two builds it is nobody told: a warning."""
        assert outcome("KD106", build({"version": version}, gpu=gpu)) == expected

    def test_with_its_distribution_told_it_is_an_error(self) -> None:
        """`tensorflow-gpu` 2.0.0 is one build."""
        told = build({"version": "2.0.0", "distribution": "tensorflow-gpu"}, gpu=("Quadro K4200", "3.0"))
        assert outcome("KD106", told) == "error"

    def test_cuda_10_knows_no_ampere(self) -> None:
        """TensorFlow 1.15 and an RTX 3090: no machine code; NVIDIA's own build of 1.15 is another matter."""
        assert outcome("KD107", build({"version": "1.15.5"}, gpu=RTX3090)) == "warning"
        assert (
            outcome("KD107", build({"version": "1.15.5", "distribution": "nvidia-tensorflow"}, gpu=RTX3090))
            == "skipped"
        )
        assert outcome("KD107", build({"version": "1.15.5+nv22.12"}, gpu=RTX3090)) == "skipped"

    @pytest.mark.parametrize(("version", "expected"), [("2.4.0", "error"), ("2.4.1", "passed"), ("2.4", "passed")])
    def test_one_release_needs_avx2(self, version: str, expected: str) -> None:
        """2.4.0 was built with AVX2 by mistake, 2.4.1 took it back; the CPU has AVX."""
        ivy_bridge = {"model": "Intel(R) Core(TM) i5-3230M CPU @ 2.60GHz", "flags": ["sse4_2", "avx", "f16c"]}
        assert outcome("KD110", change(build({"version": version}), {"machine.cpu": ivy_bridge})) == expected


class TestNightlies:
    def test_between_two_releases_without_the_code(self) -> None:
        """Neither the release before nor the one after has code for the GPU: likely, not certain."""
        nightly = build({"version": "2.21.0.dev20250729", "distribution": "tf-nightly"}, gpu=RTX5080)
        assert outcome("KD107", nightly) == "warning"
        assert confidence("KD107", nightly) is Confidence.MEDIUM
        assert "to be sure, run:" in fix("KD107", nightly)

    def test_beyond_the_tables_nothing_is_said(self) -> None:
        """What a later nightly holds nobody knows."""
        later = build({"version": "2.99.0.dev20300101", "distribution": "tf-nightly"}, gpu=RTX5080)
        assert outcome("KD107", later) == "skipped"

    def test_on_a_gpu_that_both_releases_serve(self) -> None:
        """No finding, and no pass either."""
        assert outcome("KD107", build({"version": "2.20.0.dev20250101", "distribution": "tf-nightly"})) == "skipped"
