"""What is known of the TensorFlow build, and how far: read from it, or concluded from its version and packages.

Nothing here registers a rule.
"""

from __future__ import annotations

import re

import msgspec
from packaging.version import Version

from doctor.case import Case
from doctor.model.facts import known
from doctor.model.report import Confidence
from doctor.model.snapshot import Package

from .requirements import foreign, tensorflow_package
from .shared import same_version
from .tables.packages import distribution as distribution_row
from .tables.tensorflow import CudaBuild, GpuCode, Release, tensorflow_release
from .tables.versions import version as parse_version

BUILD_INFO = 'python -c "import tensorflow as tf; print(tf.sysconfig.get_build_info())"'
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
    system = "linux" if case.in_container else case.machine.system
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
    linux = case.in_container or case.machine.system == "linux"
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
