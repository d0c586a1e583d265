"""Which CUDA a driver runs, which TensorFlow fits a driver and a GPU: what fixes are made of.

Nothing here registers a rule.
"""

from __future__ import annotations

from doctor.case import Case

from . import requirements as reqs
from .compat import driver_version, effective_cuda
from .cudnn_gpus import capabilities_of, held_back
from .gpu_code import Code, release_serves
from .shared import driver_system
from .tables.cuda import branch_for_cuda, cuda_reported_by, driver_minimum, toolkit
from .tables.frameworks import unavailable
from .tables.gpus import architecture
from .tables.tensorflow import Release, releases
from .tables.versions import major, numbers

__all__ = [
    "CHECK_GPUS",
    "Code",
    "and_cuda_release",
    "cuda_beside",
    "driver_runs",
    "install",
    "installable_pythons",
    "least_driver",
    "mentioned",
    "newest_release",
    "reported_runs",
    "requirement_of",
    "requirements_of",
    "serves",
    "unavailable_pin",
]

_MINOR_VERSIONS_SINCE = 11  # the first CUDA major with minor-version compatibility
CHECK_GPUS = "python -c \"import tensorflow as tf; print(tf.config.list_physical_devices('GPU'))\""


def driver_runs(driver: str, cuda: str, system: str = "linux") -> bool | None:
    """Whether a driver runs applications of a CUDA version, PTX aside; None where NVIDIA's tables do not tell.

    It does from the least driver of minor-version compatibility on; so does the driver that came with that very
    toolkit (CUDA 11.0 runs on its own 450.51, which is below the 450.80.02 of 11.1 and later).
    """
    if major(driver) is None:
        return None
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


def reported_runs(reported: str, cuda: str) -> bool | None:
    """The same by the CUDA version that a driver reports, where its own version is not known."""
    have, wanted = major(reported), major(cuda)
    if have is None or wanted is None:
        return None
    return have >= wanted if wanted >= _MINOR_VERSIONS_SINCE else numbers(reported)[:2] >= numbers(cuda)[:2]


def _reaches(driver: str, least: str) -> bool:
    """Whether a driver is at least as new; one told by its branch only (``470``) is given the benefit of the doubt."""
    short = len(driver.split("."))
    return numbers(driver) >= numbers(".".join(least.split(".")[:short]))


def least_driver(cuda: str, system: str = "linux") -> str:
    """The least driver for a CUDA version, in words (``525.60.13``; a branch where NVIDIA names no version)."""
    least = driver_minimum(cuda, system)
    branch = branch_for_cuda(cuda)
    return least or (f"R{branch.branch}" if branch else f"one for CUDA {cuda}")


def newest_release(
    *,
    driver: str | None = None,
    driver_cuda: str | None = None,
    system: str = "linux",
    capability: str | None = None,
    python: str | None = None,
) -> Release | None:
    """The newest TensorFlow whose official Linux GPU wheel fits; what is not given does not restrict.

    ``driver_cuda``: the CUDA version that the libcuda in use reports, where that is not the driver's own.
    """
    reported = driver_cuda or (cuda_reported_by(driver) if driver else None)
    for release in reversed(releases()):
        if release.yanked or release.legacy or not release.has_cuda("linux_x86_64"):
            continue
        if driver is not None and not driver_runs(driver, release.cuda.version, system):
            continue
        if capability is not None and not release_serves(release, capability, reported):
            continue
        pythons = installable_pythons(release)
        if not pythons or (python is not None and ".".join(python.split(".")[:2]) not in pythons):
            continue
        return release
    return None


def serves(case: Case, release: Release) -> bool:
    """Whether the driver and the GPUs that are known run a release; what is not known does not restrict."""
    driver, reported = driver_version(case), effective_cuda(case)
    if driver is not None and driver_runs(driver, release.cuda.version, driver_system(case)) is False:
        return False
    return all(release_serves(release, capability, reported) for capability in capabilities_of(case))


def and_cuda_release(case: Case, *, any_python: bool = False) -> Release | None:
    """The newest TensorFlow whose and-cuda extra can be installed here, and which driver and GPUs run.

    ``any_python``: for an environment that is yet to be made.
    """
    python = None if any_python else reqs.python_minor(case)
    for release in reversed(releases()):
        if release.yanked or release.legacy or "and-cuda" not in release.extras or not serves(case, release):
            continue
        pythons = installable_pythons(release)
        if pythons and (python is None or python in pythons):
            return release
    return None


def unavailable_pin(release: Release, extras: frozenset[str], python: str | None) -> str | None:
    """Why an extra of a release cannot be installed on a Python: it pins a package that the index does not have.

    None where it can, or where that hangs on a Python that is not known.
    """
    for extra in sorted(extras):
        for requirement in filter(None, map(reqs.parse, release.extras.get(extra, ()))):
            for clause in requirement.specifier:
                row = unavailable(requirement.name, clause.version, python) if clause.operator == "==" else None
                if row is not None:
                    return f"the {extra} extra pins {row.name}=={row.version}, and {row.why}"
    return None


def installable_pythons(release: Release, platform: str = "linux_x86_64") -> tuple[str, ...]:
    """The Pythons for which a release has a wheel and, where it has one, an installable and-cuda extra."""
    extra = frozenset({"and-cuda"})
    return tuple(p for p in release.python.get(platform, ()) if unavailable_pin(release, extra, p) is None)


def requirement_of(release: Release) -> str:
    """What brings a release with its CUDA, as far as pip can bring that."""
    return f"tensorflow{'[and-cuda]' if 'and-cuda' in release.extras else ''}=={release.version}"


def cuda_beside(release: Release) -> str:
    """The CUDA and cuDNN that a release without an extra of its own needs from elsewhere, in words."""
    compiled, cudnn = release.cuda.cudnn_compiled, release.cuda.cudnn
    return f"CUDA {release.cuda.version} and cuDNN {f'{compiled} or a later {cudnn}.x' if compiled else cudnn}"


def install(case: Case, release: Release, *conditions: str) -> str:
    """The command that installs a release with its CUDA, behind what has to hold for it, if anything has to."""
    before = [*(["inside WSL2"] if _only_in_wsl(case, release) else []), *conditions, *_conditions(case, release)]
    command = reqs.install(case, *requirements_of(case, release))
    return f"{', '.join(before)}: {command}" if before else command


def mentioned(case: Case, release: Release) -> str:
    """The same for the middle of a sentence: the command, and then what has to hold for it."""
    where = ["inside WSL2"] if _only_in_wsl(case, release) else []
    return ", ".join((reqs.install(case, *requirements_of(case, release)), *where, *_conditions(case, release)))


def _only_in_wsl(case: Case, release: Release) -> bool:
    return reqs.system(case) == "windows" and not release.has_cuda("windows_amd64")


def requirements_of(case: Case, release: Release) -> tuple[str, ...]:
    """What brings a release with its CUDA for these GPUs, as far as pip can bring that."""
    return requirement_of(release), *held_back(release, capabilities_of(case))


def _conditions(case: Case, release: Release) -> list[str]:
    found = []
    if "and-cuda" not in release.extras:
        found.append(f"with {cuda_beside(release)} installed beside it")
    pythons, python = installable_pythons(release), reqs.python_minor(case)
    if len(pythons) < len(release.python.get("linux_x86_64", ())) and python not in pythons:
        found.append(f"on Python {' or '.join(pythons)}")
    elif python is not None and python not in pythons:
        found.append(f"on Python {pythons[-1]} or older")
    return found


def newer_build(capability: str) -> str:
    """What to do where no release has machine code for a GPU that is newer than all of them."""
    row = architecture(capability)
    toolkit = f" with CUDA {row.first_toolkit} or newer" if row else ""
    return (
        f"no wheel on the package index has code for it yet: build TensorFlow from source for compute capability "
        f"{capability}{toolkit}, or use a container of NVIDIA that names this GPU generation"
    )
