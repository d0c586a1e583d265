"""Judgement that several families of rules share: is a GPU meant, and which of two versions is older?

Versions are compared by their numeric components, never as floating-point numbers. Nothing here registers a rule.
"""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from doctor.case import Case
from doctor.model.facts import Inapplicable, Unknown, known

NVIDIA_VENDOR = "10de:"
NO_HARDWARE = "no NVIDIA hardware"
NO_HARDWARE_HERE = "no GPU here; give --machine"
CUDA_INSTALLED = "CUDA is installed"
NOT_MEANT = "nothing says that a GPU is meant to be used"

_GPU_DISTRIBUTIONS = frozenset({"tensorflow-gpu", "tf-nightly-gpu", "cudatoolkit", "cuda-toolkit"})
_CUDA_WHEEL = re.compile(r"^nvidia-.+-cu\d+$")
_GPU_IMAGE = re.compile(
    r"(?:^|[^a-z])(?:gpu|cuda|cudagl|cudnn)(?![a-z])|(?:^|[^a-z])cu\d{2,3}(?!\d)|^nvcr\.io/", re.IGNORECASE
)
_OTHER_MAKER = re.compile(r"\b(?:amd|radeon|firepro|intel|apple)\b", re.IGNORECASE)
_OURS = re.compile(r"nvidia|geforce|quadro|tesla|titan|\b[rg]tx\b", re.IGNORECASE)
_COMPLAINT = re.compile(
    r"could not find cuda drivers|failed call to cuinit|cuda_error_|libcuda\.so|cannot dlopen some gpu libraries"
    r"|nvidia-container-cli|nvidia-smi has failed|cuda driver version is insufficient|no cuda-capable device"
    r"|kernel driver does not appear|could not select device driver|failed to initialize nvml",
    re.IGNORECASE,
)


def older(version: str, than: str) -> bool:
    """Whether ``version`` is certainly older, by the parts that both give: ``470`` is not older than ``470.57``."""
    mine, other = _parts(version), _parts(than)
    length = min(len(mine), len(other))
    return mine[:length] < other[:length]


def same_version(one: str, other: str) -> bool:
    """Whether two driver versions are the same as far as both are told; TensorFlow's log adds a part (``384.90.0``)."""
    return not older(one, other) and not older(other, one)


def _parts(version: str) -> tuple[int, ...]:
    found = re.match(r"\s*v?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def nvidia_hardware(case: Case) -> bool | None:
    """Whether there is an NVIDIA GPU in the machine; None where nobody could tell.

    A list of PCI devices without one settles it, but not under WSL (the GPU is no PCI device there) nor on a Jetson,
    nor against a loaded driver that reports an error: NVIDIA's module does not load where there is no GPU of its own.
    """
    machine = case.machine
    pci = known(machine.pci_gpus)
    others = [_is_of_another_maker(known(gpu.name) or "") for gpu in known(machine.gpus) or ()]
    if not all(others) or any(d.lower().startswith(NVIDIA_VENDOR) for d in pci or ()):
        return True
    nodes = known(machine.devices) or ()
    if any(re.fullmatch(r"/dev/nvidia\d+", node) or node == "/dev/nvhost-gpu" for node in nodes):
        return True
    failing = known(machine.driver.present) is True and known(machine.driver.error) is not None
    settles = not known(machine.wsl) and "tegra" not in (known(machine.kernel) or "") and not failing
    if pci is not None and settles:
        return False
    driver = machine.driver
    if known(driver.present) or known(driver.kernel_module_version) or known(driver.version):
        return True
    return False if others else None


def _is_of_another_maker(gpu: str) -> bool:
    """Whether a person listed a GPU that is not NVIDIA's; NVML lists no such."""
    return bool(_OTHER_MAKER.search(gpu)) and not _OURS.search(gpu)


def gpu_wish(case: Case) -> str | None:
    """Why a GPU is meant to be used, as the environment shows it; None where nothing says so."""
    software, container = case.software, case.container
    if known(container.gpus_requested) or known(container.runtime) == "nvidia":
        return "GPUs are asked for the container"
    for row in known(software.requested) or ():
        if asks_for_cuda(row.requirement):
            return f"{row.requirement} is requested"
    packages = known(software.packages) or ()
    names = {p.name for p in packages}
    if names & _GPU_DISTRIBUTIONS or known(software.tensorflow.distribution) in _GPU_DISTRIBUTIONS:
        return "a GPU distribution is installed"
    if "torch" not in names and any(_CUDA_WHEEL.match(n) for n in names):
        return "CUDA wheels are installed"
    if known(software.cuda.toolkits) or any(
        lib.soname.startswith("libcudart.") and known(lib.origin) != "wheel"
        for lib in known(software.cuda.libraries) or ()
    ):
        return CUDA_INSTALLED
    if _GPU_IMAGE.search(known(software.image.reference) or ""):
        return "the image is a GPU image"
    if any(name.startswith("NVIDIA_REQUIRE_") for name in known(software.image.environment) or {}):
        return "the image requires CUDA"
    if any(_COMPLAINT.search(line) for line in known(case.snapshot.log) or ()):
        return "the log complains about the GPU"
    return None


def asks_for_cuda(requirement: str) -> bool:
    """Whether a requirement asks for CUDA: ``tensorflow[and-cuda]``, ``tensorflow-gpu``, ``jax[cuda12]``, a wheel."""
    try:
        wanted = Requirement(requirement)
    except InvalidRequirement:
        return False
    name = canonicalize_name(wanted.name)
    extras = {canonicalize_name(extra) for extra in wanted.extras}
    return (
        name in _GPU_DISTRIBUTIONS
        or bool(_CUDA_WHEEL.match(name))
        or "and-cuda" in extras
        or (name == "jax" and any(extra.startswith("cuda") for extra in extras))
    )


def gpu_expected(case: Case) -> bool:
    """Whether a GPU is meant to be used: said by the user, or concluded from hardware and environment.

    A machine known to have no NVIDIA hardware is not expected to use any, unless the user says so.
    """
    said = known(case.snapshot.expects.gpu)
    if said is not None:
        return said
    hardware = nvidia_hardware(case)
    return hardware if hardware is not None else gpu_wish(case) is not None


def need_gpu_case(case: Case) -> None:
    """Leave a rule about GPUs where no GPU is meant.

    Raises:
        Inapplicable: the user said that no GPU is meant, there is no NVIDIA hardware, or nothing asks for a GPU.
        Unknown: nobody looked for a GPU, and nothing says that one is meant.
    """
    said = known(case.snapshot.expects.gpu)
    if said is False:
        raise Inapplicable("no GPU is meant to be used (expects.gpu)")
    hardware = nvidia_hardware(case)
    if said or hardware:
        return
    if hardware is False:
        raise Inapplicable(NO_HARDWARE_HERE if case.in_container else NO_HARDWARE)
    if gpu_wish(case) is None:
        looked = known(case.machine.gpus) is not None or known(case.machine.driver.present) is not None
        if looked:
            raise Inapplicable(NOT_MEANT)
        raise Unknown("machine.gpus", f"not known, and {NOT_MEANT}")


def driver_system(case: Case) -> str:
    """Whose numbers the driver bears: under WSL it is the Windows driver."""
    wsl = known(case.machine.wsl)
    return "windows" if wsl or case.machine.system == "windows" else "linux"
