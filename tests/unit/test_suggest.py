"""``kdoctor suggest``: what it offers passes the rules, and what it holds back says why."""

from __future__ import annotations

import pytest

from doctor.errors import UsageError
from doctor.model.snapshot import Snapshot
from doctor.model.wire import decode_snapshot
from doctor.suggest import suggest, text, wanted
from tests.support import diagnose

GPUS = [("Tesla T4", "7.5"), ("NVIDIA A100-SXM4-40GB", "8.0"), ("GeForce RTX 3080", "8.6"), ("NVIDIA H100 PCIe", "9.0")]
DRIVERS = [
    ("450.80.02", "11.0"),
    ("470.82.01", "11.4"),
    ("525.60.13", "12.0"),
    ("535.104.05", "12.2"),
    ("570.133.20", "12.8"),
]
GPU_RULES = {"KD102", "KD106", "KD107", "KD108", "KD111", "KD304"}


def ask(driver: str | None = None, *gpus: str, python: str = "3.11") -> str:
    """The answer in text, on a machine of which nothing else is known."""
    asked = wanted(Snapshot(), driver=driver, gpus=gpus, python=python)
    return text(asked, suggest(asked))


@pytest.mark.parametrize(("name", "capability"), GPUS)
@pytest.mark.parametrize(("driver", "cuda"), DRIVERS)
def test_rules_agree_with_every_suggestion(name: str, capability: str, driver: str, cuda: str) -> None:
    """On each driver and GPU: a release that is offered breaks no rule, one whose driver is too old breaks one."""
    asked = wanted(Snapshot(), driver=driver, gpus=(capability,), python="3.10")
    machine = {
        "os": "linux",
        "architecture": "x86_64",
        "driver": {"present": True, "version": driver, "cuda_version": cuda, "kernel_module_version": driver},
        "gpus": [{"name": name, "compute_capability": capability}],
    }
    for fit in suggest(asked):
        if "3.10" not in fit.pythons:
            continue
        software = {
            "python": {"version": "3.10.13"},
            "tensorflow": {
                "version": fit.version,
                "distribution": "tensorflow",
                "cuda_build": True,
                "cuda_version": fit.cuda,
            },
        }
        found = {f.code for f in diagnose({"machine": machine, "software": software}).findings if f.severity == "error"}
        if fit.fits:
            assert not found & GPU_RULES, (fit.version, found)
        elif any("needs driver" in why for why in fit.against):
            assert "KD102" in found, fit


def test_newest_release_that_fits_comes_first() -> None:
    """A T4 on a CUDA 11 driver gets the last CUDA 11 release; minor-version compatibility carries it."""
    assert "pip install 'tensorflow[and-cuda]==2.14.1'" in ask("470.82.01", "T4", python="3.9").splitlines()[2]


def test_kernels_that_are_ptx_only_hold_a_release_back() -> None:
    """An Ampere GPU on the same driver gets 2.11: later releases hold PTX that this driver cannot compile."""
    fits = {f.version: f for f in suggest(wanted(Snapshot(), driver="470.82.01", gpus=("RTX 3080",), python="3.9"))}
    assert fits["2.11.1"].fits
    assert "are PTX that needs a driver with CUDA 11.8" in " ".join(fits["2.12.1"].against)


def test_nothing_fits_says_why() -> None:
    """A Blackwell GPU has no wheel with code for it, and each release says so."""
    answer = ask("570.133.20", "RTX 5090")
    assert "No release fits" in answer
    assert "the GPU is 12.0" in answer


def test_other_python_is_offered_where_only_python_stands_in_the_way() -> None:
    """Python 3.8 keeps a newer release away that the driver would run."""
    assert "With Python 3.13, 2.21.0 would fit" in ask("570.133.20", "A100", python="3.8")


def test_no_gpu_gets_the_cpu_build() -> None:
    """Without a GPU the CPU build is offered."""
    assert "pip install 'tensorflow-cpu==" in ask()


@pytest.mark.parametrize("name", ["foo", "NVIDIA", ""])
def test_unknown_gpu_is_an_error_that_says_what_to_do(name: str) -> None:
    """A product that nobody has heard of is not guessed."""
    with pytest.raises(UsageError, match="compute capability"):
        ask("570.133.20", name)


@pytest.mark.parametrize(
    ("python", "release", "fits"),
    [("3.10", "2.15.0", False), ("3.11", "2.14.1", False), ("3.10", "2.14.1", True), ("3.11", "2.15.1", True)],
)
def test_no_extra_is_suggested_that_cannot_be_installed(python: str, release: str, fits: bool) -> None:
    """The and-cuda extra of 2.15.0 pins what the index has not, that of 2.14 what has no wheel for Python 3.11."""
    asked = wanted(Snapshot(), driver="535.104.05", gpus=("7.5",), python=python)
    (fit,) = (fit for fit in suggest(asked) if fit.version == release)
    assert fit.fits is fits
    assert fits or "and-cuda extra" in " ".join(fit.against)


@pytest.mark.parametrize("name", ["RTX4090", "rtx 4090", "GeForce RTX4090", "GTX1080Ti", "TeslaT4"])
def test_a_gpu_may_be_written_without_the_space(name: str) -> None:
    """What people type names the product as what the driver reports does."""
    assert "No release fits" not in ask("535.104.05", name)


@pytest.mark.parametrize("driver", ["abc", "5", "535.x", "535.104.05; rm", ""])
def test_a_driver_that_is_no_version_is_an_error(driver: str) -> None:
    """It is not passed over in silence."""
    with pytest.raises(UsageError, match="--driver"):
        ask(driver)


@pytest.mark.parametrize("python", ["three", "3", "3.11.x.y", ""])
def test_a_python_that_is_no_version_is_an_error(python: str) -> None:
    """It is not passed over in silence."""
    with pytest.raises(UsageError, match="--python"):
        ask(python=python)


def test_a_driver_alone_means_that_a_gpu_is_to_be_used() -> None:
    """The answer is held to the driver, for any GPU."""
    answer = ask("470.82.01", python="3.10")
    assert "any GPU, driver 470.82.01" in answer
    assert "tensorflow-cpu" not in answer
    assert "2.21.0    its CUDA 12.5.1 needs driver 525.60.13" in answer


def test_a_gpu_alone_gets_an_answer_that_names_the_driver() -> None:
    """Without a driver nothing is held back; what driver to install stands beside each release."""
    answer = ask(None, "RTX 3080")
    assert "needs an NVIDIA driver, 525.60.13 or newer" in answer
    assert "No release fits" not in answer


def test_a_gpu_that_is_newer_than_every_release_gets_a_way_out() -> None:
    """The same words as the finding on an installed release."""
    assert "Compute capability 12.0: no wheel on the package index has code for it yet: build" in ask(
        "570.1", "RTX 5090"
    )
    assert "no wheel on the package index" not in ask("390.157", "9.0")


@pytest.mark.parametrize(
    ("os", "architecture", "platform"),
    [
        ("Linux", "amd64", "linux_x86_64"),
        ("macos", "arm64", "macos_arm64"),
        ("Darwin", "x86_64", "macos_x86_64"),
        ("Windows", "AMD64", "windows_amd64"),
    ],
)
def test_the_system_is_known_however_it_is_spelled(os: str, architecture: str, platform: str) -> None:
    """A machine's snapshot may come from elsewhere: releases for another system are none."""
    machine = decode_snapshot({"schema": 1, "machine": {"os": os, "architecture": architecture}})
    assert wanted(machine, driver=None, gpus=(), python=None).platform == platform


def asked_of(machine: dict[str, object], python: dict[str, object] | None = None, **software: object) -> str:
    """The answer for a machine's snapshot, without anything named on the command line."""
    there = {"os": "linux", "architecture": "x86_64", **machine}
    document = {"schema": 1, "machine": there, "software": {"python": python or {"version": "3.12.1"}, **software}}
    asked = wanted(decode_snapshot(document), driver=None, gpus=(), python=None)
    return text(asked, suggest(asked))


@pytest.mark.parametrize(
    "machine",
    [
        {"driver": {"present": True, "version": "535.104.05"}, "gpus": [{"name": "NVIDIA GeForce RTX 4090"}]},
        {"driver": {"present": False}, "gpus": [], "pci_gpus": ["10de:2684"]},
    ],
)
def test_a_gpu_is_known_by_its_name_or_its_device(machine: dict[str, object]) -> None:
    """NVML need not have told the compute capability for a build with CUDA to be what is wanted."""
    said = asked_of(machine)
    assert "compute capability 8.9" in said
    assert "tensorflow[and-cuda]==2.21.0" in said


def test_a_gpu_that_is_not_meant_to_be_used_is_none() -> None:
    """The user's word counts for more than the hardware."""
    document = {"schema": 1, "machine": {"pci_gpus": ["10de:2684"]}, "expects": {"gpu": False}}
    assert not wanted(decode_snapshot(document), driver=None, gpus=(), python="3.12").gpu


def test_musl_runs_no_wheel() -> None:
    """KD310 refuses every wheel on Alpine: nothing is suggested there."""
    said = asked_of({}, libc={"name": "musl", "version": "1.2.4"})
    assert "No release fits." in said
    assert "needs glibc 2.27, here is musl" in said
    alpine = asked_of({}, distribution={"id": "alpine", "version": "3.20"})
    assert "here is musl" in alpine


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ({"version": "3.12.1", "implementation": "pypy"}, "pypy"),
        ({"version": "3.12.1", "implementation": "cpython", "bits": 32}, "a 32-bit Python"),
    ],
)
def test_a_python_that_has_no_wheel_at_all_gets_none(python: dict[str, object], words: str) -> None:
    """KD304 refuses it; another Python would do, and that is said."""
    said = asked_of({}, python)
    assert f"no wheel for {words} (it has 64-bit CPython 3.10, 3.11, 3.12, 3.13)" in said
    assert "With Python 3.13, 2.21.0 would fit" in said


def test_the_wheel_is_that_of_the_interpreter() -> None:
    """A Python for x86_64 on an Apple chip takes the wheels for x86_64."""
    document = {
        "schema": 1,
        "machine": {"os": "darwin", "architecture": "arm64"},
        "software": {"python": {"version": "3.12.1", "architecture": "x86_64"}},
    }
    assert wanted(decode_snapshot(document), driver=None, gpus=(), python=None).platform == "macos_x86_64"


@pytest.mark.parametrize(
    ("gpus", "driver"),
    [
        (("8.0",), "525.60.13 or newer"),
        (("9.0",), "R555 or newer"),
        (("7.0",), "525.60.13 or newer, up to branch R580"),
        (("7.0", "9.0"), "R555 or newer, up to branch R580"),
    ],
)
def test_the_driver_that_is_named_runs_the_gpu_too(gpus: tuple[str, ...], driver: str) -> None:
    """Kernels that are PTX only need a later driver than CUDA does, and later branches drop old GPUs."""
    asked = wanted(Snapshot(), driver=None, gpus=gpus, python="3.12")
    (newest,) = [fit for fit in suggest(asked) if fit.version == "2.21.0"]
    assert f"needs an NVIDIA driver, {driver}" in newest.but


def test_a_release_without_an_extra_names_the_cudnn_that_it_was_compiled_with() -> None:
    """Any cuDNN 8 would not do: KD204 refuses what is older than the one compiled against."""
    asked = wanted(Snapshot(), driver="535.104.05", gpus=("8.0",), python="3.8")
    (newest,) = [fit for fit in suggest(asked) if fit.version == "2.13.1"]
    assert "needs CUDA 11.8 and cuDNN 8.6 or a later 8.x installed beside it" in newest.but


@pytest.mark.parametrize("width", [60, 80])
def test_the_answer_fits_the_terminal(width: int) -> None:
    """Reasons and what to do wrap between words; each command stays on one line."""
    asked = wanted(Snapshot(), driver="550.54.15", gpus=("12.0",), python="3.12")
    lines = text(asked, suggest(asked), width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[-1] != ""
    asked = wanted(Snapshot(), driver="550.54.15", gpus=("8.0",), python="3.12")
    commands = [row for row in text(asked, suggest(asked), width=40).splitlines() if row.startswith("  pip ")]
    assert commands == [f"  {fit.command}" for fit in suggest(asked) if fit.fits][: len(commands)]
    assert commands
