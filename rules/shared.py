"""Judgement that several families of rules share: is a GPU meant, and what does this TensorFlow build need?

Versions are compared by their numeric components, never as floating-point numbers. Nothing here registers a rule.
"""

from __future__ import annotations

import re

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from doctor.case import Case
from doctor.model.facts import Inapplicable, Unknown, known
from doctor.model.report import Confidence
from doctor.model.snapshot import Package

from .requirements import foreign, tensorflow_package
from .tables.packages import distribution as distribution_row
from .tables.tensorflow import CudaBuild, GpuCode, Release, tensorflow_release
from .tables.versions import version as parse_version

NVIDIA_VENDOR = "10de:"
NO_HARDWARE = "no NVIDIA hardware"
NO_HARDWARE_HERE = "no GPU here; give --machine"
CUDA_INSTALLED = "CUDA is installed"
BUILD_INFO = 'python -c "import tensorflow as tf; print(tf.sysconfig.get_build_info())"'
NOT_MEANT = "nothing says that a GPU is meant to be used"

CPU_DISTRIBUTIONS = frozenset(
    {
        "tensorflow-cpu",
        "tensorflow-intel",
        "tensorflow-macos",
        "tensorflow-cpu-aws",
        "intel-tensorflow",
        "tf-nightly-cpu",
    }
)
OFFICIAL_DISTRIBUTIONS = frozenset({"tensorflow", "tensorflow-gpu", "tensorflow-cpu", "tensorflow-intel"})
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

    A list of PCI devices without one settles it, but not under WSL (the GPU is no PCI device there) nor on a Jetson.
    """
    machine = case.machine
    pci = known(machine.pci_gpus)
    others = [_is_of_another_maker(known(gpu.name) or "") for gpu in known(machine.gpus) or ()]
    if not all(others) or any(d.lower().startswith(NVIDIA_VENDOR) for d in pci or ()):
        return True
    nodes = known(machine.devices) or ()
    if any(re.fullmatch(r"/dev/nvidia\d+", node) or node == "/dev/nvhost-gpu" for node in nodes):
        return True
    settles = not known(machine.wsl) and "tegra" not in (known(machine.kernel) or "")
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


class TensorFlowBuild(msgspec.Struct, frozen=True):
    """What is known of the TensorFlow build; None where it is not known.

    ``release``: the release in the tables that the version stands for (a release candidate for its final release);
    ``official``: nothing speaks against the wheel of the package index (a conda, NGC or nightly build is another);
    ``read``: whether it has CUDA, and which, was read, not concluded from its version.
    """

    version: Version | None = None
    distribution: str | None = None
    release: Release | None = None
    official: bool = False
    read: bool = False
    cuda_build: bool | None = None
    cuda_version: str | None = None
    cudnn_version: str | None = None
    cudnn_compiled: str | None = None
    compute_capabilities: tuple[str, ...] | None = None

    @property
    def confidence(self) -> Confidence:
        """High where the build was read; else it was taken for the index's wheel of that version."""
        return Confidence.HIGH if self.read else Confidence.MEDIUM

    def make_sure(self, fix: str) -> str:
        """The fix, and how to look into the build where nobody did."""
        return fix if self.read else f"{fix}; to be sure, run: {BUILD_INFO}"

    @property
    def gpu_code(self) -> GpuCode | None:
        """Which kernels the official wheel holds as machine code and which as PTX only, where it was scanned."""
        final = self.version is not None and not self.version.is_prerelease
        return self.release.gpu_code if self.release and self.official and final and self.cuda_build else None


def tensorflow_facts(case: Case) -> TensorFlowBuild:
    """What this TensorFlow was built for: from the snapshot, else from the tables for the official wheel."""
    facts = case.software.tensorflow
    package = tensorflow_package(case)
    distribution = known(facts.distribution) or (package.name if package else None)
    text = known(facts.version) or (known(package.version) if package else None)
    conda = known(package.build) if package else None
    version = parse_version(text)
    release = tensorflow_release(text)
    wheel = not foreign(package) and (distribution or "tensorflow") in OFFICIAL_DISTRIBUTIONS
    official = release is not None and wheel and not _built_otherwise(case, release)
    told = (facts.cuda_build, facts.cuda_version, facts.compute_capabilities)
    read = any(known(fact) is not None for fact in told) or _conda_version(conda) is not None
    cuda_build = _cuda_build(case, release, distribution, package)
    table = release.cuda if release and official and cuda_build else None
    return TensorFlowBuild(
        version=version,
        distribution=distribution,
        release=release,
        official=official,
        read=read,
        cuda_build=cuda_build,
        cuda_version=known(facts.cuda_version) or _conda_version(conda) or (table.version if table else None),
        cudnn_version=known(facts.cudnn_version) or (table.cudnn if table else None),
        cudnn_compiled=known(facts.cudnn_compiled_version) or (table.cudnn_compiled if table else None),
        compute_capabilities=known(facts.compute_capabilities) or _listed_capabilities(case, table, version),
    )


def _built_otherwise(case: Case, release: Release) -> bool:
    """Whether the build tells another CUDA or other GPU code than the release's wheel: somebody built it."""
    facts, table = case.software.tensorflow, release.cuda
    cuda, code = known(facts.cuda_version), known(facts.compute_capabilities)
    listed = table.compute_capabilities
    other_cuda = cuda is not None and not same_version(cuda, table.version)
    return other_cuda or (bool(code) and listed is not None and set(code or ()) != set(listed))


def _cuda_build(case: Case, release: Release | None, distribution: str | None, package: Package | None) -> bool | None:
    """Whether this build has CUDA: as read; else as its own CUDA facts, its name or its platform tell."""
    facts = case.software.tensorflow
    said = known(facts.cuda_build)
    if said is not None:
        return said
    if known(facts.cuda_version) or known(facts.compute_capabilities):
        return True
    if distribution in CPU_DISTRIBUTIONS:
        return False
    if package is not None and foreign(package):
        return _foreign_cuda(case, package)
    both = case.package("tensorflow") is not None and case.package("tensorflow-gpu") is not None
    if both and known(facts.distribution) is None:
        distribution = None  # which of the two was written last is not told (KD303)
    system = "linux" if case.in_container else known(case.machine.os)
    if system == "darwin":
        return False
    if system is None:
        return None
    if distribution is not None and distribution not in OFFICIAL_DISTRIBUTIONS:
        row = distribution_row(distribution)
        return {"yes": True, "no": False, "rocm": False, "metal": False}.get(row.cuda) if row else None
    if release is None:
        return None
    platform = _platform(case, system)
    if distribution is None and "tensorflow" not in release.cuda.distributions and platform in release.cuda.platforms:
        return None  # up to 2.0 tensorflow and tensorflow-gpu were two builds: which of them is not told
    return release.has_cuda(platform, distribution or "tensorflow")


def _platform(case: Case, system: str) -> str:
    """The platform as the tables name it; x86_64 where the architecture is not known."""
    image = known(case.software.image.platform) or ""
    built = {"amd64": "x86_64", "arm64": "aarch64"}.get(image.removeprefix("linux/").partition("/")[0])
    chip = known(case.software.python.architecture) or built or known(case.machine.architecture) or "x86_64"
    if system == "linux":
        chip = {"arm64": "aarch64", "amd64": "x86_64"}.get(chip.lower(), chip)
    return "windows_amd64" if system == "windows" else f"{system}_{chip}"


def _listed_capabilities(case: Case, table: CudaBuild | None, version: Version | None) -> tuple[str, ...] | None:
    """The tables were read from final releases for Linux: other wheels may hold other code."""
    linux = case.in_container or known(case.machine.os) == "linux"
    listed = table is not None and linux and version and not version.is_prerelease
    return table.compute_capabilities if table and listed else None


def _foreign_cuda(case: Case, package: Package) -> bool | None:
    """Whether conda's (or a system's) package has CUDA: its build string tells, or its name, else conda's metapackage.

    Conda has CUDA builds and others under the one name `tensorflow`; `tensorflow-gpu` there asks for the former.
    """
    build = known(package.build)
    if build is not None and (told := _conda_cuda(build)) is not None:
        return told
    asked = case.package("tensorflow-gpu")
    return True if asked is not None and foreign(asked) else None


def _conda_cuda(build: str) -> bool | None:
    """What a conda build string tells: ``cuda112...`` and ``gpu_...`` are CUDA builds, ``cpu_...``, ``mkl_...`` not."""
    if re.match(r"(cuda|gpu)", build):
        return True
    return False if re.match(r"(cpu|mkl|eigen)", build) else None


def _conda_version(build: str | None) -> str | None:
    """The CUDA version in a conda build string: ``cuda112...`` is 11.2, ``cuda_126...`` is 12.6."""
    match = re.match(r"cuda_?(\d{2})(\d)", build or "")
    return f"{match[1]}.{match[2]}" if match else None


def driver_system(case: Case) -> str:
    """Whose numbers the driver bears: under WSL it is the Windows driver."""
    wsl = known(case.machine.wsl)
    return "windows" if wsl or known(case.machine.os) == "windows" else "linux"
