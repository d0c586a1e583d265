"""Which TensorFlow fits a driver, a GPU and a Python: the answer of ``kdoctor suggest``. Registers no rule.

The same functions judge an installed TensorFlow (KD102, KD106 to KD108): what is suggested passes the rules.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .cudnn_gpus import held_back
from .fitting import Code, cuda_beside, driver_runs, installable_pythons, least_driver, requirement_of, unavailable_pin
from .gpu_code import release_ptx_cuda
from .tables.cuda import branch_for_cuda, cuda_reported_by
from .tables.gpus import dropped_by_driver, last_driver_branch
from .tables.packages import pythons_of
from .tables.tensorflow import Release, releases
from .tables.versions import at_least, major, numbers

NO_WHEEL_FOR = "no wheel for"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is there. None: not known, and so no reason against a release.

    ``gpu``: whether a GPU is to be used, with ``capabilities`` the compute capabilities that are known. ``driver``: the
    NVIDIA driver, with ``driver_cuda`` the CUDA that it reports. ``platform``: as in the tables (``linux_x86_64``).
    ``odd_python``: a Python that no wheel was ever made for, in words. ``libc``: the name of the C library, ``glibc``
    its version where it is that one.
    """

    gpu: bool = False

    driver: str | None = None
    driver_cuda: str | None = None
    capabilities: tuple[str, ...] = ()
    python: str | None = None
    odd_python: str | None = None
    platform: str = "linux_x86_64"
    system: str = "linux"
    libc: str | None = None
    glibc: str | None = None
    cpu_flags: tuple[str, ...] | None = None


class Fit(msgspec.Struct, frozen=True):
    """One release and whether it fits: ``against`` says why not, ``but`` what to know where it does."""

    version: str
    command: str
    cuda: str | None
    pythons: tuple[str, ...]
    against: tuple[str, ...] = ()
    but: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.against


def suggest(wanted: Wanted) -> tuple[Fit, ...]:
    """Every release that has not been withdrawn, the newest first."""
    found = [_judge(release, wanted) for release in reversed(releases()) if not (release.yanked or release.legacy)]
    return tuple(found)


def without_code(wanted: Wanted) -> str | None:
    """The compute capability for which no release has machine code, and which is newer than what they have."""
    codes = [Code(r.cuda.compute_capabilities) for r in releases() if r.cuda.compute_capabilities and not r.legacy]
    for capability in wanted.capabilities:
        newest = max(numbers(code.every[-1]) for code in codes)
        if numbers(capability) > newest and not any(code.native(capability) for code in codes):
            return capability
    return None


def _judge(release: Release, wanted: Wanted) -> Fit:
    name = "tensorflow" if wanted.gpu else _cpu_name(wanted)
    pythons = tuple(sorted(pythons_of(name, release.version, wanted.platform) or (), key=numbers))
    against = [*_software(release, wanted, pythons)]
    but: list[str] = []
    if wanted.gpu:
        against += _hardware(release, wanted)
        broken = unavailable_pin(release, frozenset({"and-cuda"}), wanted.python)
        usable = installable_pythons(release, wanted.platform)
        if broken or (pythons and not usable):
            against.append(broken or unavailable_pin(release, frozenset({"and-cuda"}), pythons[-1]) or "")
        elif wanted.python is None and len(usable) < len(pythons):
            but.append(f"its and-cuda extra can be installed on Python {' or '.join(usable)} only")
        if wanted.driver is None:
            but.append(f"needs an NVIDIA driver, {_driver_needed(release, wanted)}")
        if "and-cuda" not in release.extras:
            but.append(f"needs {cuda_beside(release)} installed beside it")
    asked: tuple[str, ...] = (f"{name}=={release.version}",)
    if wanted.gpu:
        asked = (requirement_of(release), *held_back(release, wanted.capabilities))
    command = " ".join(("pip install", *(f"'{requirement}'" for requirement in asked)))
    return Fit(
        release.version, command, release.cuda.version if wanted.gpu else None, pythons, tuple(against), tuple(but)
    )


def _driver_needed(release: Release, wanted: Wanted) -> str:
    """The drivers that run a release on these GPUs: those of its CUDA, of the PTX that it needs, and of the GPUs."""
    least = least_driver(release.cuda.version, wanted.system)
    for capability in wanted.capabilities:
        ptx = release_ptx_cuda(release, capability) if release.gpu_code is not None else None
        branch = branch_for_cuda(ptx) if ptx else None
        if branch is not None and branch.branch > (major(least.removeprefix("R")) or 0):
            least = f"R{branch.branch}"
    last = [number for capability in wanted.capabilities if (number := last_driver_branch(capability)) is not None]
    return f"{least} or newer" + (f", up to branch R{min(last)}" if last else "")


def _software(release: Release, wanted: Wanted, pythons: tuple[str, ...]) -> Iterator[str]:
    if not pythons:
        yield f"no wheel for {wanted.platform}"
    elif wanted.odd_python is not None:
        yield f"{NO_WHEEL_FOR} {wanted.odd_python} (it has 64-bit CPython {', '.join(pythons)})"
    elif wanted.python is not None and ".".join(wanted.python.split(".")[:2]) not in pythons:
        yield f"{NO_WHEEL_FOR} Python {wanted.python} (it has {', '.join(pythons)})"
    glibc = release.min_glibc.get(wanted.platform)
    if glibc and wanted.libc not in (None, "glibc"):
        yield f"its wheel needs glibc {glibc}, here is {wanted.libc}"
    if glibc and wanted.glibc and not at_least(wanted.glibc, glibc):
        yield f"its wheel needs glibc {glibc}, here is {wanted.glibc}"
    flags = release.cpu_flags.get(wanted.platform.split("_", 1)[-1], ())
    lacking = [flag for flag in flags if wanted.cpu_flags is not None and flag not in wanted.cpu_flags]
    if lacking:
        yield f"its wheel needs CPU instructions that are not there: {', '.join(lacking)}"


def _hardware(release: Release, wanted: Wanted) -> Iterator[str]:
    if not release.has_cuda(wanted.platform):
        yield f"its wheel for {wanted.platform} is built without CUDA"
        return
    if wanted.driver and driver_runs(wanted.driver, release.cuda.version, wanted.system) is False:
        least = least_driver(release.cuda.version, wanted.system)
        yield f"its CUDA {release.cuda.version} needs driver {least}, here is {wanted.driver}"
    for capability in wanted.capabilities:
        yield from _gpu(release, capability, wanted)


def _gpu(release: Release, capability: str, wanted: Wanted) -> Iterator[str]:
    if wanted.driver and dropped_by_driver(capability, wanted.driver):
        yield f"driver {wanted.driver} no longer runs GPUs of compute capability {capability}"
    listed = release.cuda.compute_capabilities
    if listed is None:
        return
    code = Code(listed)
    if not code.native(capability):
        yield f"its kernels are for {', '.join(code.every)}, the GPU is {capability}"
        return
    scanned = release.gpu_code
    cuda = wanted.driver_cuda or (cuda_reported_by(wanted.driver) if wanted.driver else None)
    if scanned is None or cuda is None or Code(scanned.sass_full).native(capability):
        return
    if not at_least(cuda, scanned.driver_cuda_for_ptx):
        yield (
            f"some of its kernels for {capability} are PTX that needs a driver with CUDA "
            f"{scanned.driver_cuda_for_ptx}, here is {cuda}"
        )


def _cpu_name(wanted: Wanted) -> str:
    return "tensorflow-cpu" if wanted.platform in ("linux_x86_64", "windows_amd64") else "tensorflow"
