"""What GPU code a TensorFlow build holds: machine code, and PTX that the driver compiles. Registers no rule."""

from __future__ import annotations

import msgspec

from doctor.model.facts import Unknown

from .builds import TensorFlowBuild
from .tables.cuda import cuda_for_ptx
from .tables.gpus import architectures, least_capability, parse_architecture
from .tables.tensorflow import GpuCode, Release, neighbours
from .tables.versions import at_least, major_minor, numbers


class Code:
    """The GPU code of a build, out of its list of architectures (``sm_80`` machine code, ``compute_90`` both kinds)."""

    def __init__(self, listed: tuple[str, ...]) -> None:
        parts = [found for found in map(parse_architecture, listed) if found]
        self.machine_code = tuple(capability for _, capability in parts)
        self.ptx = tuple(capability for kind, capability in parts if kind == "compute")
        self.every = tuple(sorted(set(self.machine_code), key=numbers))

    def native(self, capability: str) -> bool:
        """Whether machine code for this GPU is there: of the same major number, and not of a later minor one."""
        return any(covers(code, capability) for code in self.machine_code)

    def by_ptx(self, capability: str) -> bool:
        """Whether the driver can compile code for this GPU out of PTX of its own or an older architecture."""
        return any(at_least(capability, code) for code in self.ptx)


def covers(code: str, capability: str) -> bool:
    """Whether machine code for one compute capability runs on a GPU of another."""
    mine, other = _pair(code), _pair(capability)
    return mine[0] == other[0] and mine[1] <= other[1]


def _pair(capability: str) -> tuple[int, int]:
    first, _, second = capability.partition(".")
    return int(first), int(second or 0)


def most_that(cuda: str, least: str | None = None) -> Code:
    """The most that a build for this CUDA version can hold: code for every architecture that its toolkit compiles.

    ``least``: the compute capability that the build is documented to begin at.
    """
    short = major_minor(cuda) or cuda
    known = [
        row.compute_capability.replace(".", "")
        for row in architectures()
        if at_least(short, row.first_toolkit)
        and (row.last_toolkit is None or at_least(row.last_toolkit, short))
        and (least is None or at_least(row.compute_capability, least))
    ]
    return Code(tuple(f"compute_{name}" for name in known))


class Holdings(msgspec.Struct, frozen=True):
    """What GPU code a build holds: ``code``, who ``holds`` it (the subject of a sentence), and how far that is known.

    ``listed``: the build itself tells; else it is the most that it can hold. ``sure``: that it is this build.
    """

    code: Code
    holds: str
    listed: bool = False
    sure: bool = True


def holdings(build: TensorFlowBuild) -> Holdings | None:
    """What the build holds, as well as it is known; None where neither its code, its CUDA nor its release is."""
    if build.compute_capabilities:
        return Holdings(Code(build.compute_capabilities), "this TensorFlow holds", listed=True)
    release = build.release
    if build.cuda_version is None and build.cuda_build is None and build.official and release is not None:
        # Up to 2.0 there was a build with CUDA and one without: whatever the first cannot do, the other cannot either.
        return _documented(release, release.cuda.version, sure=False)
    if build.cuda_version is None:
        return _between_releases(build)
    if build.official and release is not None:
        return _documented(release, build.cuda_version, sure=True)
    return Holdings(most_that(build.cuda_version), _cuda_has(build.cuda_version))


def _documented(release: Release, cuda: str, *, sure: bool) -> Holdings:
    least = least_capability(release.version)
    holds = _cuda_has(cuda) if least is None else f"TensorFlow {release.version} (CUDA {cuda}) holds"
    return Holdings(most_that(cuda, least), holds, sure=sure)


def _cuda_has(cuda: str) -> str:
    return f"CUDA {cuda}, which this TensorFlow is built for, has"


def _between_releases(build: TensorFlowBuild) -> Holdings | None:
    """A nightly build holds no more than the releases before and after it, where both are known."""
    if build.distribution != "tf-nightly" or build.version is None or not build.version.is_devrelease:
        return None
    around = neighbours(build.version)
    listed = [release.cuda.compute_capabilities for release in around]
    if len(around) < 2 or not all(listed):
        return None
    every = sorted({name for names in listed for name in names or ()})
    names = " and ".join(release.version for release in around)
    return Holdings(Code(tuple(every)), f"a nightly build between TensorFlow {names} holds", sure=False)


class Ptx(msgspec.Struct, frozen=True):
    """The CUDA version that a driver must report to compile the PTX, and whether it was read from the very wheel."""

    cuda: str
    measured: bool


def all_machine_code(build: TensorFlowBuild, code: Code, capability: str) -> bool:
    """Whether every kernel has machine code for this GPU."""
    scanned = scanned_code(build)
    if scanned is None:
        return any(covers(c, capability) for c in code.machine_code if c not in code.ptx)
    return any(covers(c, capability) for c in Code(scanned.sass_full).machine_code)


def scanned_code(build: TensorFlowBuild) -> GpuCode | None:
    """What the wheel was found to hold, where this build is that wheel: it names the same architectures."""
    same = build.release is not None and build.compute_capabilities == build.release.cuda.compute_capabilities
    return build.gpu_code if same else None


def ptx_needs(build: TensorFlowBuild) -> Ptx:
    """What the build's PTX needs of a driver.

    Raises:
        Unknown: neither the wheel was looked into nor is its CUDA known.
    """
    scanned = scanned_code(build)
    if scanned is not None:
        return Ptx(scanned.driver_cuda_for_ptx or cuda_for_ptx(scanned.max_ptx_isa) or "", True)
    if build.cuda_version is None:
        raise Unknown("software.tensorflow.cuda_version")
    return Ptx(build.cuda_version, False)  # PTX is never newer than the toolkit that wrote it


def release_serves(release: Release, capability: str, driver_cuda: str | None) -> bool:
    """Whether the release's Linux wheel has code for a GPU that a driver of this CUDA version can use right away.

    Machine code for every kernel will do; where some are PTX only, the driver must compile that (None: it can).
    """
    listed = release.cuda.compute_capabilities
    if listed is None or not Code(listed).native(capability):
        return False
    wanted = release_ptx_cuda(release, capability)
    return driver_cuda is None or wanted is None or at_least(driver_cuda, wanted)


def release_ptx_cuda(release: Release, capability: str) -> str | None:
    """The CUDA version that a driver must report for the PTX which a GPU needs of this release; None: it needs none."""
    found = release.gpu_code
    if found is None:
        return release.cuda.version
    machine_code = Code(found.sass_full).machine_code
    return None if any(covers(code, capability) for code in machine_code) else found.driver_cuda_for_ptx
