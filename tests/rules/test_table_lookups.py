"""What the tables answer: the look-ups that rules use, case by case."""

from __future__ import annotations

import importlib

import pytest

from doctor import catalogue

catalogue.mount()
cuda = importlib.import_module("doctor.rules.tables.cuda")
gpus = importlib.import_module("doctor.rules.tables.gpus")
libraries = importlib.import_module("doctor.rules.tables.libraries")
packages = importlib.import_module("doctor.rules.tables.packages")
systems = importlib.import_module("doctor.rules.tables.systems")
tensorflow = importlib.import_module("doctor.rules.tables.tensorflow")
versions = importlib.import_module("doctor.rules.tables.versions")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.21.0", "2.21.0"),
        ("2.13", "2.13.1"),
        ("2.15", "2.15.1"),
        ("2.2.0rc4", "2.2.0"),
        ("2.8.0rc0", "2.8.0"),
        ("2.15.0.post1", "2.15.0.post1"),
        ("2.16.0", "2.16.2"),
        ("1.15", "1.15.5"),
        ("2.22.0.dev20260530", None),
        ("2.16-dev", None),
        ("nightly", None),
        ("2.15.0+nv24.3", None),
        ("2.99", None),
        ("2", None),
        (None, None),
    ],
)
def test_a_version_names_its_release(text: str | None, expected: str | None) -> None:
    """Partial versions stand for their newest release, candidates for the final one, the rest for none."""
    release = tensorflow.tensorflow_release(text)
    assert (release.version if release else None) == expected


@pytest.mark.parametrize(
    ("version", "cuda_version", "cudnn"),
    [
        ("1.4.1", "8.0", "6"),
        ("1.12.0", "9.0", "7"),
        ("1.15.0", "10.0", "7"),
        ("2.1.0", "10.1", "7"),
        ("2.4.1", "11.0", "8"),
        ("2.10.0", "11.2", "8"),
        ("2.15.0", "12.2", "8"),
        ("2.18.0", "12.5.1", "9"),
    ],
)
def test_cuda_of_a_release(version: str, cuda_version: str, cudnn: str) -> None:
    """CUDA and cuDNN of a release, the documented ones before 2.4."""
    build = tensorflow.tensorflow_release(version).cuda
    assert (build.version, build.cudnn) == (cuda_version, cudnn)


def test_where_the_cuda_build_is() -> None:
    """No CUDA on native Windows from 2.11 on, none on aarch64, and none in plain `tensorflow` before 1.15."""
    release = tensorflow.tensorflow_release
    assert release("2.10.1").has_cuda("windows_amd64")
    assert not release("2.11.0").has_cuda("windows_amd64")
    assert not release("2.21.0").has_cuda("linux_aarch64")
    assert not release("1.14.0").has_cuda("linux_x86_64")
    assert release("1.14.0").has_cuda("linux_x86_64", "tensorflow-gpu")
    assert not release("2.0.0").has_cuda("linux_x86_64")
    assert release("2.1.0").has_cuda("linux_x86_64")
    assert release("1.15.0").has_cuda("linux_x86_64")
    assert not release("1.15.5").has_cuda("linux_x86_64")


def test_glibc_of_a_wheel() -> None:
    """2.21 needs 2.27; the Python 3.7 wheels of 1.13 and 1.14 need 2.23, whatever their tag says."""
    release = tensorflow.tensorflow_release
    assert release("2.21.0").glibc_for() == "2.27"
    assert release("2.21.0").glibc_for("windows_amd64") is None
    assert release("1.14.0").glibc_for(python="3.7.4") == "2.23"
    assert release("1.14.0").glibc_for(python="3.6.8") == "2.17"


def test_avx_is_needed_since_1_6() -> None:
    """The prebuilt wheels use AVX from 1.6 on."""
    assert tensorflow.tensorflow_release("1.5.0").cpu_flags["x86_64"] == ()
    assert tensorflow.tensorflow_release("1.6.0").cpu_flags["x86_64"] == ("avx",)


def test_releases_for_a_python() -> None:
    """Python 3.13 has wheels since 2.20, Python 3.14 none."""
    assert next(r.version for r in tensorflow.releases_for_python("3.13.0")) == "2.20.0"
    assert tensorflow.releases_for_python("3.14") == ()


@pytest.mark.parametrize(
    ("cuda_version", "system", "expected"),
    [
        ("12.5.1", "linux", "525.60.13"),
        ("12.3", "windows", "527.41"),
        ("11.0", "linux", "450.80.02"),
        ("11.8", "windows", "452.39"),
        ("13.0", "linux", "580.65.06"),
        ("13.0", "windows", None),
        ("10.1", "linux", "418.39"),
        ("9.0", "linux", "384.81"),
        ("8.0", "linux", "367.48"),
        ("7.5", "linux", None),
    ],
)
def test_least_driver(cuda_version: str, system: str, expected: str | None) -> None:
    """One minimum for a whole major version from CUDA 11 on, one for each toolkit before."""
    assert cuda.driver_minimum(cuda_version, system) == expected


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        ("535.104.05", "12.2"),
        ("537.13", "12.2"),
        ("551.78", "12.4"),
        ("581.29", "13.0"),
        ("475.06", "11.4"),
        ("390.138", "9.1"),
        ("388.73", "9.0"),
        ("375.26", "8.0"),
        ("450.51.06", "11.0"),
        ("615.31", "13.4"),
        ("352.63", None),
        ("640.10", None),
        ("", None),
    ],
)
def test_cuda_that_a_driver_reports(driver: str, expected: str | None) -> None:
    """Windows drivers are numbered between the branches; what is older or newer than the table is unknown."""
    assert cuda.cuda_reported_by(driver) == expected


def test_ptx() -> None:
    """PTX 8.5 needs CUDA 12.5, and PTX 8.6 came with a driver of CUDA 12.7 that had no toolkit."""
    assert cuda.cuda_for_ptx("8.5") == "12.5"
    assert cuda.cuda_for_ptx("8.6") == "12.7"
    assert cuda.ptx_of_cuda("12.6") == "8.5"
    assert cuda.cuda_for_ptx("99.0") is None


@pytest.mark.parametrize(
    ("compat", "driver", "expected"),
    [
        ("12.5", "535.183.06", "compatible"),
        ("12.5", "580.65.06", "not_compatible"),
        ("13.0", "580.65.06", "not_applicable"),
        ("13.4", "580.65.06", "compatible"),
        ("11.7", "470.82.01", "compatible"),
        ("11.7", "460.32.03", "not_compatible"),
        ("12.2", "470.82.01", None),
        ("12.5", "640.1", None),
    ],
)
def test_forward_compatibility(compat: str, driver: str, expected: str | None) -> None:
    """The matrix of cuda-compat packages, release notes for older ones, and None where all are silent."""
    assert cuda.forward_compat(compat, driver) == expected


def test_forward_compatibility_by_class_of_gpu() -> None:
    """GeForce cannot, data-centre GPUs can, and of professional ones the name does not tell."""
    assert cuda.forward_compatible_class("NVIDIA GeForce RTX 3090") is False
    assert cuda.forward_compatible_class("NVIDIA A100-SXM4-40GB") is True
    assert cuda.forward_compatible_class("Tesla T4") is True
    assert cuda.forward_compatible_class("NVIDIA RTX A6000") is None
    assert cuda.forward_compatible_class("something else") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA GeForce RTX 3080 Laptop GPU", "8.6"),
        ("GeForce GTX 1060 3GB", "6.1"),
        ("GeForce GTX 780 Ti", "3.5"),
        ("NVIDIA A100-SXM4-40GB", "8.0"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "8.0"),
        ("NVIDIA H100 80GB HBM3", "9.0"),
        ("Tesla V100-SXM2-16GB", "7.0"),
        ("Tesla P100-PCIE-16GB", "6.0"),
        ("Tesla K80", "3.7"),
        ("NVIDIA L40S", "8.9"),
        ("Quadro RTX 8000", "7.5"),
        ("NVIDIA RTX 6000 Ada Generation", "8.9"),
        ("NVIDIA GeForce RTX 5090", "12.0"),
        ("NVIDIA GeForce GTX 1650 with Max-Q Design", "7.5"),
        ("Jetson AGX Orin", "8.7"),
        ("NVIDIA GB10", "12.1"),
        ("GeForce GTX 750 Ti", "5.0"),
        ("RTX 3090", "8.6"),
        ("RTX 2080Ti", "7.5"),
        ("GRID T4-16Q", "7.5"),
        ("NVIDIA A40-48Q", "8.6"),
        ("NVIDIA B300 SXM6 AC", "10.3"),
        ("NVIDIA TITAN X (Pascal)", "6.1"),
        ("TITAN X", None),
        ("GeForce GT 730", None),
        ("NVIDIA RTX 6000", None),
        ("NVIDIA GeForce", None),
        ("NVIDIA Pascal", None),
        ("AMD Radeon RX 7900", None),
        ("", None),
        (None, None),
    ],
)
def test_compute_capability_by_name(name: str | None, expected: str | None) -> None:
    """A name that stands for one chip has its compute capability; ambiguous and unknown names have none."""
    assert gpus.compute_capability_of(name) == expected


def test_compute_capability_by_pci_id() -> None:
    """10de:20b0 is an A100; other makers and unknown ids are nothing."""
    assert gpus.compute_capability_of_pci("10de:20b0") == "8.0"
    assert gpus.compute_capability_of_pci("10DE:1EB8") == "7.5"
    assert gpus.compute_capability_of_pci("1002:744c") is None
    assert gpus.compute_capability_of_pci("10de:0000") is None


def test_drivers_drop_architectures() -> None:
    """Kepler ends with branch 470, Maxwell to Volta with 580; nothing newer has been dropped."""
    assert gpus.dropped_by_driver("3.7", "470.82.01") is False
    assert gpus.dropped_by_driver("3.7", "475.06") is False
    assert gpus.dropped_by_driver("3.7", "515.43.04") is True
    assert gpus.dropped_by_driver("6.1", "581.29") is False
    assert gpus.dropped_by_driver("6.1", "590.48.01") is True
    assert gpus.dropped_by_driver("9.0", "615.31") is False
    assert gpus.dropped_by_driver("99.9", "615.31") is None


def test_sonames() -> None:
    """libcudart is 11.0 for all of CUDA 11, and cuSOLVER is 10 for 11.0 alone."""
    names = {
        v: [row.soname for row in libraries.sonames_for(v, required_only=True)] for v in ("2.4", "2.5", "2.21", "2.1")
    }
    assert "libcudart.so.11.0" in names["2.5"]
    assert "libcusolver.so.11" in names["2.5"]
    assert "libcusolver.so.10" in names["2.4"]
    assert {"libcudart.so.12", "libcudnn.so.9", "libcufft.so.11"} <= set(names["2.21"])
    assert {"libcudart.so.10.1", "libcublas.so.10", "libcudnn.so.7"} <= set(names["2.1"])
    assert "libnccl.so.2" not in names["2.21"]
    assert libraries.sonames_for("2.99") == ()
    assert libraries.library_of_soname("libcudart.so.13") == "cudart"
    assert libraries.library_of_soname("cudart64_110.dll") == "cudart"
    assert libraries.library_of_soname("libc.so.6") is None


def test_undeclared_bounds() -> None:
    """NumPy 2 breaks TensorFlow up to 2.17, protobuf 4 breaks it up to 2.11, protobuf 7 breaks 2.20."""
    assert packages.broken_bounds("2.14.0", "numpy", "2.1.3")
    assert not packages.broken_bounds("2.18.0", "numpy", "2.0.2")
    assert packages.broken_bounds("2.6.0", "numpy", "1.24.0")
    assert not packages.broken_bounds("2.7.0", "numpy", "1.24.0")
    assert packages.broken_bounds("2.7.1", "protobuf", "4.21.0")
    assert not packages.broken_bounds("2.7.1", "protobuf", "3.20.1")
    assert not packages.broken_bounds("2.12.0", "protobuf", "4.23.4")
    assert packages.broken_bounds("2.20.0", "protobuf", "7.35.1")
    assert not packages.broken_bounds("2.20.0", "protobuf", "6.31.1")
    assert [row.fatal for row in packages.broken_bounds("2.18.0", "setuptools", "82.0.1")] == [False]
    assert packages.broken_bounds("2.18.0", "setuptools", "unknown") == ()


def test_specifiers_take_pre_releases_and_unknown_versions() -> None:
    """A candidate lies within a range; what is no version is neither in nor out."""
    assert versions.allows(">=2.8", "2.9.0rc1") is True
    assert versions.allows(">=2.8", "nightly") is None
    assert versions.allows("no specifier", "2.9") is None
    assert versions.within("<2", "nightly") is False


@pytest.mark.parametrize(
    ("specifier", "version", "expected"),
    [
        (">=6.31.1,<8.0.0", "6", True),
        (">=6.31.1,<8.0.0", "6.31", True),
        (">=6.31.1,<8.0.0", "6.31.0", False),
        (">=6.31.1,<8.0.0", "5", False),
        ("==2.15.1", "2.15", True),
        ("<2.0.0", "2", False),
        ("<2.16,>=2.15.0", "2", True),
        (">=2", "unknown", None),
    ],
)
def test_a_version_told_in_part_may_be_any_of_them(specifier: str, version: str, expected: bool | None) -> None:
    """What a person wrote as 6.31 may be 6.31.1; only what no member satisfies is excluded."""
    assert versions.admits(specifier, version) is expected


def test_addons() -> None:
    """An add-on fits the TensorFlow that it was built for, and is unknown where the table does not have it."""
    assert packages.addon_fits("tensorflow-text", "2.8.2", "2.9.1") is False
    assert packages.addon_fits("tensorflow_text", "2.13.0", "2.13.1") is True
    assert packages.addon_fits("tensorflow-addons", "0.20.0", "2.8.1") is False
    assert packages.addon_fits("tensorflow-addons", "0.20.0", "2.12") is True
    assert packages.addon_fits("tensorflow-addons", "99.0", "2.12") is None
    assert [packages.addon_fits("tensorflow-addons", "0.10.0", v) for v in ("2.1.0", "2.2.0")] == [False, True]


def test_keras() -> None:
    """TensorFlow 2.15 pins Keras 2.15, 2.16 and later take the newest Keras 3."""
    assert packages.keras_pin("2.15.0").requires == "<2.16,>=2.15.0"
    assert packages.keras_pin("2.17.0").major == 3
    assert packages.keras_known_to_work("2.15.0", "3.0.2")
    assert not packages.keras_known_to_work("2.13.0", "3.0.2")
    assert [c.id for c in packages.behaviour_changes("keras", "2.9.0", "2.10.0")] == ["initializers-stateless"]
    assert packages.behaviour_changes("keras", "2.10.0", "2.9.0") == packages.behaviour_changes(
        "keras", "2.9.0", "2.10.0"
    )
    assert packages.behaviour_changes("keras", "3.9.0", "3.10.0") == ()
    onednn, *more = packages.behaviour_changes("tensorflow", "2.8.4", "2.9.3")
    assert (onednn.id, onednn.switch, more) == ("onednn-default", "TF_ENABLE_ONEDNN_OPTS", [])
    assert "avx512_vnni" in onednn.cpu_flags


def test_numeric_dependencies() -> None:
    """TensorFlow, NumPy and the CUDA wheels decide results; a web framework and what only looks at GPUs do not."""
    assert packages.is_numeric("nvidia_cudnn_cu12")
    assert not packages.is_numeric("nvidia-ml-py")
    assert not packages.is_numeric("keras_doctor")
    assert packages.is_numeric("keras-cv")
    assert packages.is_numeric("NumPy")
    assert not packages.is_numeric("flask")


def test_glibc() -> None:
    """The glibc of a distribution and of a wheel's tag; Alpine has none."""
    assert systems.glibc_of("ubuntu", "22.04") == "2.35"
    assert systems.glibc_of("centos", "7") == "2.17"
    assert systems.glibc_of("rhel", "9.4") == "2.34"
    assert systems.glibc_of("alpine", "3.20.1") is None
    assert systems.libc_of("alpine", "3.20.1").libc == "musl"
    assert systems.glibc_of("nosuch", "1") is None
    assert systems.glibc_for_tag("manylinux_2_27_x86_64") == "2.27"
    assert systems.glibc_for_tag("manylinux_2_17_x86_64.manylinux2014_x86_64") == "2.17"
    assert systems.glibc_for_tag("win_amd64") is None


def test_ptxas() -> None:
    """The ptxas of CUDA 12.5 does not know Blackwell, and miscompiles on Hopper only."""
    assert systems.ptxas_supports("12.5.82", "9.0") is True
    assert systems.ptxas_supports("12.5.82", "12.0") is False
    assert systems.ptxas_supports("6.5", "9.0") is None
    assert systems.ptxas_faults("12.5.82", "9.0")
    assert not systems.ptxas_faults("12.5.82", "7.5")
    assert not systems.ptxas_faults("12.6.85", "9.0")
    assert systems.ptxas_faults("7.5.17")
    assert systems.ptxas_faults("9.1.121")
    assert not systems.ptxas_faults("11.8.89", "8.6")


def test_images() -> None:
    """The official GPU images from 2.18 on hold a cuDNN that their TensorFlow cannot use."""
    assert systems.tensorflow_image("2.18.0").broken
    assert not systems.tensorflow_image("2.17.0").broken
    assert systems.ngc_images("22.10-tf2-py3")[0].tensorflow == "2.10"
    assert systems.enforced("cdi") is False
    assert "geforcertx" in systems.brands()
