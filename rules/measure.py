"""What the rules about driver, GPU and containers have in common: the GPUs that are there. Registers no rule."""

from __future__ import annotations

import re

import msgspec

from doctor.case import Case
from doctor.model.facts import Unknown, applies, known, need
from doctor.model.report import Severity
from doctor.model.snapshot import Gpu

from .shared import NVIDIA_VENDOR
from .tables.gpus import chip_of_pci, compute_capability_of, compute_capability_of_pci

SNAPSHOT = "kdoctor snapshot, run on the machine itself, then kdoctor check --machine node.json"
ON_CPU = "TensorFlow says so in one log line and computes on the CPU"
IMAGE_VARIABLES = "software.image.environment"


def container_variables(case: Case) -> dict[str, str]:
    """The variables that the container runtime sees: the image's, and over them the container's own."""
    own = known(case.software.environment) or {} if case.in_container else {}
    return {**(known(case.software.image.environment) or {}), **own}


def start_and_look(case: Case) -> str:
    """The command that shows whether the image gets a GPU."""
    return f"docker run --rm --gpus all {known(case.software.image.reference) or 'IMAGE'} nvidia-smi"


def gpu_capability(gpu: Gpu) -> str | None:
    """The compute capability of a GPU: as NVML says, else (or where that is none) by its product name."""
    said = known(gpu.compute_capability)
    return said if said and re.fullmatch(r"\d{1,2}\.\d", said) else compute_capability_of(known(gpu.name))


class Seen(msgspec.Struct, frozen=True):
    """A GPU that is there: ``name`` for a person, ``capability`` like ``8.6``, ``fact`` its path in the snapshot."""

    name: str
    capability: str | None
    fact: str


def gpus_seen(case: Case) -> tuple[Seen, ...]:
    """The GPUs of the machine: as NVML lists them, else (no driver) the NVIDIA devices on the PCI bus.

    Raises:
        Unknown: neither list is known.
    """
    listed = known(case.machine.gpus)
    if listed:
        return tuple(
            Seen(known(gpu.name) or f"GPU {at}", gpu_capability(gpu), f"machine.gpus.{at}")
            for at, gpu in enumerate(listed)
        )
    pci = known(case.machine.pci_gpus)
    if pci is None:
        if listed is None:
            need(case.machine.gpus)
        return ()
    return tuple(
        Seen(_chip_name(device), compute_capability_of_pci(device), f"machine.pci_gpus.{at}")
        for at, device in enumerate(pci)
        if device.lower().startswith(NVIDIA_VENDOR)
    )


def _chip_name(device: str) -> str:
    chip = chip_of_pci(device)
    return f"NVIDIA {chip.chip} ({device})" if chip else f"NVIDIA device {device}"


# How different sources word what NVML's return codes mean.
_NVML_WORDS = (
    ("version mismatch", "NVML_ERROR_LIB_RM_VERSION_MISMATCH"),
    ("insufficient permissions", "NVML_ERROR_NO_PERMISSION"),
    ("gpu is lost", "NVML_ERROR_GPU_IS_LOST"),
    ("requires reset", "NVML_ERROR_RESET_REQUIRED"),
    ("unknown error", "NVML_ERROR_UNKNOWN"),
    ("driver not loaded", "NVML_ERROR_DRIVER_NOT_LOADED"),
    ("couldn't communicate with the nvidia driver", "NVML_ERROR_DRIVER_NOT_LOADED"),
)
_CONTAINERS = frozenset({"docker", "podman", "kubernetes", "containerd", "container", "apptainer"})


def nvml_error(case: Case) -> str | None:
    """NVML's error by the name of its return code, also where the snapshot has it in the words of nvidia-smi."""
    error = known(case.machine.driver.error)
    words = (error or "").lower()
    return next((name for part, name in _NVML_WORDS if part in words), error)


def driver_loaded(case: Case) -> bool | None:
    """Whether an NVIDIA driver is loaded: said, or told by its version, by NVML's error or by nouveau in its place."""
    driver = case.machine.driver
    said = known(driver.present)
    if said is not None:
        return said
    if nvml_error(case) in ("NVML_ERROR_DRIVER_NOT_LOADED", "NVML_ERROR_LIBRARY_NOT_FOUND"):
        return False
    if known(driver.kernel_module_version) or known(driver.version):
        return True
    return False if known(case.machine.nouveau) else None


def runs_in_container(case: Case) -> bool:
    """Whether the one who looked ran inside a container."""
    return known(case.machine.virtualization) in _CONTAINERS


def without_gpu_nodes(case: Case) -> bool:
    """Whether the one who looked ran in a container that holds no GPU device at all: it was started without one."""
    nodes = known(case.machine.devices)
    gpu = re.compile(r"/dev/(nvidia\d+|dxg)")
    return runs_in_container(case) and nodes is not None and not any(gpu.fullmatch(node) for node in nodes)


def own_driver(case: Case) -> None:
    """Leave a rule about the Linux (or Windows) driver as inapplicable under WSL, on macOS and on a Jetson."""
    applies("tegra" not in (known(case.machine.kernel) or ""), "a Jetson's driver is part of its system")
    applies(not _under_wsl(case), "WSL uses the driver of Windows (KD105)")
    applies(case.machine.system != "darwin", "there is no NVIDIA driver for macOS")


def _under_wsl(case: Case) -> bool:
    """Whether this is WSL: said, or told by its kernel or by the device that stands for the GPU there."""
    said = known(case.machine.wsl)
    if said is not None:
        return bool(said)
    kernel, nodes = known(case.machine.kernel) or "", known(case.machine.devices) or ()
    return "microsoft" in kernel.lower() or "/dev/dxg" in nodes


def measured(case: Case) -> list[tuple[Seen, str]]:
    """The GPUs with their compute capability.

    Raises:
        Unknown: of no GPU is it known.
    """
    seen = gpus_seen(case)
    out = [(gpu, gpu.capability) for gpu in seen if gpu.capability]
    if seen and not out:
        raise Unknown(f"{seen[0].fact}.compute_capability")
    return out


def which(gpus: list[tuple[Seen, str]]) -> str:
    """GPUs in words, each once."""
    return ", ".join(dict.fromkeys(f"{gpu.name} (compute capability {capability})" for gpu, capability in gpus))


def facts_of(gpus: list[tuple[Seen, str]], *more: str) -> tuple[str, ...]:
    """The paths of the facts that tell these GPUs, and ``more``."""
    paths = []
    for gpu, _ in gpus:
        listed = gpu.fact.startswith("machine.gpus")
        paths += [f"{gpu.fact}.name", f"{gpu.fact}.compute_capability"] if listed else [gpu.fact]
    return (*paths, *more)


def lowered(case: Case, bad: list[tuple[Seen, str]]) -> Severity | None:
    """A warning where another GPU of the machine serves: TensorFlow leaves the bad one out."""
    return Severity.WARNING if len(bad) < len(gpus_seen(case)) else None
