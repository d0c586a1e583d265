"""CUDA toolkits and NVIDIA drivers: what runs on what, by NVIDIA's rules rather than by comparing two numbers."""

from __future__ import annotations

import functools

from ._load import Row, Table, load
from .versions import at_least, major, major_minor, numbers


class Toolkit(Row, frozen=True, kw_only=True):
    """A toolkit and the drivers that were packaged with it; `branch`: `R555`. Not the least driver: driver_minimum."""

    version: str
    label: str
    linux: str | None
    windows: str | None
    branch: str | None


class MinorVersion(Row, frozen=True, kw_only=True):
    """The least drivers that run every toolkit of a CUDA major version (minor-version compatibility, without PTX)."""

    major: str
    linux: str | None
    windows: str | None


class Ptx(Row, frozen=True, kw_only=True):
    """A PTX ISA version and the first CUDA whose driver compiles it."""

    isa: str
    cuda: str


class Branch(Row, frozen=True, kw_only=True):
    """A driver branch, the CUDA version that it reports, its kind and its end of life (year and month)."""

    branch: int
    reports_cuda: str
    type: str | None
    end_of_life: str | None


class Compat(Row, frozen=True, kw_only=True):
    """A cuda-compat package: driver branch → `compatible`, `not_compatible` or `not_applicable` (it is that branch)."""

    compat: str
    drivers: dict[str, str]


class CompatNote(Row, frozen=True, kw_only=True):
    """The driver branches that the ELF note of a shipped compat libcuda names."""

    compat: str
    libcuda: str
    drivers: tuple[int, ...]


class CompatHistory(Row, frozen=True, kw_only=True, rename={"not_": "not"}):
    """What the release notes of an NGC container said about older drivers under its cuda-compat package."""

    compat: str
    container: str
    ok_from: tuple[str, ...]
    not_: tuple[str, ...]


class GpuClass(Row, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A class of GPUs by the words that its product names begin with, and whether cuda-compat may be used with it."""

    class_: str
    prefixes: tuple[str, ...]
    forward_compatible: bool | None


class _Cuda(Table, frozen=True, kw_only=True):
    toolkits: tuple[Toolkit, ...]
    minor_version: tuple[MinorVersion, ...]
    ptx: tuple[Ptx, ...]


class _Driver(Table, frozen=True, kw_only=True):
    branches: tuple[Branch, ...]
    forward_compatibility: tuple[Compat, ...]
    forward_compatibility_notes: tuple[CompatNote, ...]
    forward_compatibility_history: tuple[CompatHistory, ...]
    gpu_classes: tuple[GpuClass, ...]


# How far past the newest branch's first number its own drivers go (Windows numbers 581 and 582 are of branch 580).
_NEWEST_BRANCH_SPAN = 5


def _cuda() -> _Cuda:
    return load(_Cuda, "cuda")


def _driver() -> _Driver:
    return load(_Driver, "driver")


def toolkits() -> tuple[Toolkit, ...]:
    """All toolkits, newest first."""
    return _cuda().toolkits


@functools.lru_cache(maxsize=256)
def toolkit(cuda: str) -> Toolkit | None:
    """The toolkit of a version; of `12.5` the first of that minor version."""
    same = [t for t in toolkits() if major_minor(t.version) == major_minor(cuda)]
    exact = [t for t in same if numbers(t.version) == numbers(cuda)]
    return exact[0] if exact else (same[-1] if same else None)


@functools.lru_cache(maxsize=256)
def driver_minimum(cuda: str, system: str = "linux") -> str | None:
    """The least driver version that runs applications of a CUDA version, PTX aside.

    From CUDA 11 on one minimum serves the whole major version; before, each toolkit has its own. `system` is `linux`
    (WSL counts as `windows`: the driver is the Windows one) or `windows`. None where NVIDIA names none.
    """
    number = major(cuda)
    for row in _cuda().minor_version:
        if row.major == str(number):
            return row.windows if system == "windows" else row.linux
    found = toolkit(cuda)
    if found is None:
        return None
    return found.windows if system == "windows" else found.linux


@functools.lru_cache(maxsize=256)
def branch_of(driver: str) -> Branch | None:
    """The branch of a driver version: the newest one that does not lie above it (Windows drivers are numbered between).

    None for drivers older than the table, and for those of a branch newer than it.
    """
    number = major(driver)
    if number is None:
        return None
    rows = sorted(_driver().branches, key=lambda row: row.branch)
    if number >= rows[-1].branch + _NEWEST_BRANCH_SPAN:
        return None
    below = [row for row in rows if row.branch <= number]
    return below[-1] if below else None


def cuda_reported_by(driver: str) -> str | None:
    """The CUDA version that a driver reports by itself (nvidia-smi shows more where a compat libcuda is in use)."""
    row = branch_of(driver)
    return row.reports_cuda if row else None


def branch_for_cuda(cuda: str) -> Branch | None:
    """The oldest branch that reports a CUDA version or a newer one."""
    rows = sorted(_driver().branches, key=lambda row: row.branch)
    return next((row for row in rows if at_least(row.reports_cuda, cuda)), None)


def cuda_for_ptx(isa: str) -> str | None:
    """The CUDA version that a driver must report to compile a PTX ISA version."""
    return next((row.cuda for row in _cuda().ptx if numbers(row.isa) == numbers(isa)), None)


def ptx_of_cuda(cuda: str) -> str | None:
    """The newest PTX ISA that a driver of a CUDA version compiles."""
    fitting = [row.isa for row in _cuda().ptx if at_least(cuda, row.cuda)]
    return max(fitting, key=numbers) if fitting else None


@functools.lru_cache(maxsize=256)
def forward_compat(compat_cuda: str, driver: str) -> str | None:
    """Whether a cuda-compat package may be used over a driver: `compatible`, `not_compatible`, `not_applicable`.

    `not_applicable`: the driver is of the package's own branch and needs none. None where NVIDIA's matrix is silent
    and no release note or ELF note speaks either.
    """
    row = branch_of(driver)
    if row is None:
        return None
    minor = major_minor(compat_cuda)
    if numbers(row.reports_cuda) > numbers(minor):
        return "not_compatible"
    for entry in _driver().forward_compatibility:
        if entry.compat == minor and str(row.branch) in entry.drivers:
            return entry.drivers[str(row.branch)]
    if numbers(row.reports_cuda) == numbers(minor):
        return "not_applicable"
    for note in _driver().forward_compatibility_notes:
        if note.compat == minor:
            return "compatible" if row.branch in note.drivers else "not_compatible"
    for history in _driver().forward_compatibility_history:
        if major_minor(history.compat) == minor:
            if f"R{row.branch}" in history.not_:
                return "not_compatible"
            if any(major(first) == row.branch and at_least(driver, first) for first in history.ok_from):
                return "compatible"
    return None


def forward_compatible_class(product: str) -> bool | None:
    """Whether forward compatibility (cuda-compat) is made for a GPU product; None where its name does not tell."""
    words = product.lower().replace("-", " ").split()
    words = [word for word in words if word != "nvidia"]
    if not words:
        return None
    for row in _driver().gpu_classes:
        if words[0] in row.prefixes:
            return row.forward_compatible
    return None
