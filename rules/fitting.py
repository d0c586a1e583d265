"""Which CUDA a driver runs, which TensorFlow fits a driver and a GPU: what fixes are made of.

Nothing here registers a rule.
"""

from __future__ import annotations

from .tables.cuda import branch_for_cuda, cuda_reported_by, driver_minimum, toolkit
from .tables.gpus import parse_architecture
from .tables.tensorflow import Release, releases
from .tables.versions import at_least, major, numbers

CHECK_GPUS = "python -c \"import tensorflow as tf; print(tf.config.list_physical_devices('GPU'))\""


def driver_runs(driver: str, cuda: str, system: str = "linux") -> bool | None:
    """Whether a driver runs applications of a CUDA version, PTX aside; None where NVIDIA's tables do not tell.

    It does from the least driver of minor-version compatibility on; so does the driver that came with that very
    toolkit (CUDA 11.0 runs on its own 450.51, which is below the 450.80.02 of 11.1 and later).
    """
    least = driver_minimum(cuda, system)
    if least is None:
        native = cuda_reported_by(driver)
        need, have = major(cuda), major(native) if native else None
        return None if need is None or have is None else have >= need
    if _reaches(driver, least):
        return True
    own = toolkit(cuda)
    bundled = (own.windows if system == "windows" else own.linux) if own else None
    return bundled is not None and _reaches(driver, bundled)


def _reaches(driver: str, least: str) -> bool:
    """Whether a driver is at least as new; one told by its branch only (``470``) is given the benefit of the doubt."""
    short = len(driver.split("."))
    return numbers(driver) >= numbers(".".join(least.split(".")[:short]))


def least_driver(cuda: str, system: str = "linux") -> str:
    """The least driver for a CUDA version, in words (``525.60.13``; a branch where NVIDIA names no version)."""
    least = driver_minimum(cuda, system)
    branch = branch_for_cuda(cuda)
    return least or (f"of branch R{branch.branch}" if branch else f"for CUDA {cuda}")


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


def newest_release(
    *,
    driver: str | None = None,
    system: str = "linux",
    capability: str | None = None,
    python: str | None = None,
    machine_code_only: bool = False,
) -> Release | None:
    """The newest TensorFlow whose official Linux GPU wheel fits; what is not given does not restrict.

    ``machine_code_only``: only releases whose every kernel has machine code for ``capability``.
    """
    for release in reversed(releases()):
        if release.yanked or release.legacy or not release.has_cuda("linux_x86_64"):
            continue
        if driver is not None and not driver_runs(driver, release.cuda.version, system):
            continue
        if capability is not None and not _serves(release, capability, machine_code_only):
            continue
        if python is not None and ".".join(python.split(".")[:2]) not in release.python.get("linux_x86_64", ()):
            continue
        return release
    return None


def _serves(release: Release, capability: str, machine_code_only: bool) -> bool:
    listed = release.cuda.compute_capabilities
    if machine_code_only:
        listed = release.gpu_code.sass_full if release.gpu_code else None
    return listed is not None and Code(listed).native(capability)


def install(release: Release) -> str:
    """The command that installs a release with its CUDA, where pip brings it along."""
    extra = "[and-cuda]" if "and-cuda" in release.extras else ""
    note = "" if extra else f", with CUDA {release.cuda.version} and cuDNN {release.cuda.cudnn} installed beside it"
    return f"pip install 'tensorflow{extra}=={release.version}'{note}"
