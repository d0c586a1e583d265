"""A cuda-compat library: whether it is the libcuda in use, and whether it suits GPU and driver. Registers no rule."""

from __future__ import annotations

import msgspec

from doctor.case import Case
from doctor.model.facts import known
from doctor.model.snapshot import Library

from .measure import IMAGE_VARIABLES, gpus_seen
from .shared import driver_system, nvidia_hardware, older, same_version
from .tables.cuda import branch_of, cuda_reported_by, forward_compat, forward_compatible_class
from .tables.gpus import dropped_by_driver
from .tables.versions import major, major_minor, numbers

LOOK_FOR_COMPAT = "to be sure, run: ls /usr/local/cuda/compat; echo $LD_LIBRARY_PATH"
_UNSUPPORTED_TARGETS = frozenset({"New Feature Branch", "evaluation/developer"})


class Compat(msgspec.Struct, frozen=True):
    """A cuda-compat libcuda in use: the CUDA it brings, its driver version where known, and the fact that shows it."""

    cuda: str
    version: str | None
    told_by: str


def driver_version(case: Case) -> str | None:
    """The version of the host's driver: that of its kernel module, else what NVML says."""
    driver = case.machine.driver
    told = (known(driver.kernel_module_version), known(driver.version))
    return next((version for version in told if version and numbers(version)), None)


def compat_in_use(case: Case) -> Compat | None:
    """The cuda-compat library that takes the place of the driver's libcuda; None where none is known to."""
    driver = driver_version(case)
    version = known(case.software.cuda.compat_driver)
    if isinstance(version, str):
        told_by = _chosen(case, version) or (_hooked(case, version, driver) if driver else None)
        cuda = cuda_reported_by(version)
        return Compat(cuda, version, told_by) if told_by and cuda else None
    reported, native = known(case.machine.driver.cuda_version), cuda_reported_by(driver) if driver else None
    linux = driver_system(case) == "linux"
    if version is None and case.in_container and linux and reported and native and numbers(reported) > numbers(native):
        return Compat(reported, None, "machine.driver.cuda_version")
    return None


def _chosen(case: Case, version: str) -> str | None:
    """The fact that shows that the loader takes it: the library loaded, the search path, the first one found."""
    loaded = known(case.machine.driver.libcuda_version)
    if loaded and case.in_container and same_version(loaded, version) and loaded != driver_version(case):
        return "machine.driver.libcuda_version"
    libraries = known(case.software.cuda.libraries) or ()
    folders = {path.rpartition("/")[0] for path in map(_compat_path, libraries) if path}
    for origin in ("software.environment", *((IMAGE_VARIABLES,) if case.in_container else ())):
        searched = case.value(f"{origin}.LD_LIBRARY_PATH")
        entries = [entry.rstrip("/") for entry in searched.split(":")] if isinstance(searched, str) else []
        # NVIDIA's own images name compat/lib, which their entrypoint makes only where it is needed.
        if any(entry in folders or (not folders and entry.endswith("/compat")) for entry in entries):
            return f"{origin}.LD_LIBRARY_PATH"
    for at, library in enumerate(libraries):
        if library.soname == "libcuda.so.1":
            return f"software.cuda.libraries.{at}.path" if _found_as_compat(library) else None
    return None


def _compat_path(library: Library) -> str | None:
    return known(library.path) if known(library.origin) == "compat" else None


def _found_as_compat(library: Library) -> bool:
    return known(library.origin) == "compat" and known(library.on_path) is True


def _hooked(case: Case, version: str, driver: str) -> str | None:
    """Whether the NVIDIA container toolkit would put the library of a container first.

    It does so for a newer library: where its ELF note names driver branches, only over those.
    """
    if not case.in_container or known(case.container.gpus_requested) is False:
        return None
    branches = known(case.software.cuda.compat_drivers)
    if branches:
        fits = major(driver) in branches and older(driver, version)
        return "software.cuda.compat_drivers" if fits else None
    return "software.cuda.compat_driver" if (major(driver) or 0) < (major(version) or 0) else None


def may_be_lifted(case: Case, cuda: str) -> bool:
    """Whether a cuda-compat library, of which not enough is known, may run this CUDA over the driver.

    NVIDIA's images bring one; it serves data-centre GPUs over the driver branches that NVIDIA does not exclude.
    """
    driver = driver_version(case)
    if driver is None or not _may_have_compat(case):
        return False
    gpus = gpus_seen(case) if known(case.machine.gpus) else ()
    served = bool(gpus) and all(forward_compatible_class(gpu.name) for gpu in gpus)
    return served and forward_compat(cuda, driver) != "not_compatible"


def _may_have_compat(case: Case) -> bool:
    """Whether nobody looked for the library where there may be one, or it is there and its use is not known."""
    there, variables = known(case.software.cuda.compat_driver), known(case.software.environment)
    if there is None:
        entries = (variables or {}).get("LD_LIBRARY_PATH", "").split(":")
        return case.in_container or any(entry.rstrip("/").endswith("/compat") for entry in entries)
    return isinstance(there, str) and variables is None


class Judgement(msgspec.Struct, frozen=True):
    """Whether a compat library suits; ``why`` is a clause for a person, ``fact`` what it rests on."""

    suits: bool | None
    why: str
    fact: str


def judge(case: Case, compat: Compat) -> Judgement:
    """Whether the compat library in use suits this driver branch and these GPUs."""
    driver = driver_version(case)
    verdict = _by_branch(driver, compat, known(case.software.cuda.compat_drivers)) if driver else None
    if verdict is not None and verdict.suits is False:
        return verdict
    unsure: Judgement | None = None
    for gpu in gpus_seen(case) if nvidia_hardware(case) and known(case.machine.gpus) else ():
        if compat.version and gpu.capability and dropped_by_driver(gpu.capability, compat.version):
            return Judgement(False, f"its driver branch no longer supports {gpu.name}", gpu.fact)
        allowed = forward_compatible_class(gpu.name)
        if allowed is False and not _is_the_drivers_own(compat, driver, verdict):
            return Judgement(False, f"forward compatibility is not made for {gpu.name}", gpu.fact)
        if allowed is None:
            unsure = Judgement(None, f"whether forward compatibility is made for {gpu.name}", gpu.fact)
    return unsure or verdict or Judgement(None, "whether it suits this driver", "machine.driver.version")


def _is_the_drivers_own(compat: Compat, driver: str | None, verdict: Judgement | None) -> bool:
    """Whether it is of the driver's branch and, as far as is told, its very version: then nothing is forward of it."""
    same = compat.version is None or driver is None or same_version(compat.version, driver)
    return same and verdict is not None and "not needed" in verdict.why


def _by_branch(driver: str, compat: Compat, listed: tuple[int, ...] | None) -> Judgement | None:
    branch, fact = branch_of(driver), "machine.driver.version"
    if compat.version and older(compat.version, driver):
        return Judgement(False, "it is older than the driver itself", fact)
    if listed:
        fits = major(driver) in listed
        return Judgement(fits, "" if fits else f"it is not made to run over driver branch R{major(driver)}", fact)
    matrix = forward_compat(compat.cuda, driver)
    if matrix == "compatible":
        return Judgement(True, "", fact)
    if matrix == "not_applicable":
        return Judgement(True, "it is not needed", fact)
    if matrix == "not_compatible":
        return Judgement(False, f"it does not run over driver branch R{major(driver)}", fact)
    if branch is not None and branch.type in _UNSUPPORTED_TARGETS:
        return Judgement(False, f"it does not run over driver branch R{branch.branch}, a {branch.type} branch", fact)
    return None


def effective_cuda(case: Case) -> str | None:
    """The CUDA version that the libcuda in use reports: the driver's own, or that of a compat library that suits."""
    compat = compat_in_use(case)
    if compat is not None and judge(case, compat).suits is not False:
        return compat.cuda
    driver = driver_version(case)
    native = cuda_reported_by(driver) if driver else None
    return native if compat is not None else reported_cuda(case)


def reported_cuda(case: Case) -> str | None:
    """The CUDA version that the driver reports: as read, or by its branch where that was read in part or not at all."""
    said, driver = known(case.machine.driver.cuda_version), driver_version(case)
    if said and major_minor(said):
        return said
    return (cuda_reported_by(driver) if driver else None) or (said if said and numbers(said) else None)
