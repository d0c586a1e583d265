"""The shared libraries that TensorFlow opens by name, cuDNN's rows and the wheels that bring them."""

from __future__ import annotations

import functools

from ._load import Row, Table, load
from .tensorflow import tensorflow_release
from .versions import major, major_minor, numbers


class Library(Row, frozen=True, kw_only=True):
    """One library of CUDA as one range of CUDA versions names it.

    `cuda`: the versions (`12` a major, `11.0` one minor; the most exact row wins); `library`: `cudart`, `cublas`, …;
    `soname` on Linux, `dll` on Windows; `required`: without it TensorFlow registers no GPU; `wheel`: the distribution
    that brings it, where there is one.
    """

    cuda: str
    library: str
    soname: str
    dll: str | None
    required: bool
    wheel: str | None = None


class Cudnn(Row, frozen=True, kw_only=True):
    """A cuDNN version with a CUDA major: drivers, CUDA minors and compute capabilities of NVIDIA's support matrix.

    `sass` and `ptx`: what its wheel holds, where it was scanned.
    """

    cudnn: str
    cuda_major: str
    cuda_minors: tuple[str, ...] | None = None
    min_driver_linux: str | None = None
    min_driver_windows: str | None = None
    compute_capabilities: tuple[str, ...] | None = None
    min_compute_capability: str | None = None
    driver: str | None = None
    sass: tuple[str, ...] | None = None
    ptx: dict[str, str] | None = None


class CudnnWheel(Row, frozen=True, kw_only=True):
    """The first and last version of a cuDNN wheel on the package index."""

    name: str
    first: str
    last: str


class CudnnDropped(Row, frozen=True, kw_only=True):
    """GPUs below a compute capability, for which cuDNN holds no code any more from a version on."""

    since: str
    below: str


class _Libraries(Table, frozen=True, kw_only=True):
    libraries: tuple[Library, ...]


class _Cudnn(Table, frozen=True, kw_only=True):
    rows: tuple[Cudnn, ...]
    dropped: tuple[CudnnDropped, ...]
    wheels: tuple[CudnnWheel, ...]


def libraries() -> tuple[Library, ...]:
    """All rows."""
    return load(_Libraries, "sonames").libraries


def cudnn_rows() -> tuple[Cudnn, ...]:
    """All rows of the cuDNN table, newest first."""
    return load(_Cudnn, "cudnn").rows


def cudnn_without(capability: str) -> CudnnDropped | None:
    """From which cuDNN on there is no code for a GPU: the first such version; None where every one holds some."""
    rows = [row for row in load(_Cudnn, "cudnn").dropped if numbers(capability) < numbers(row.below)]
    return min(rows, key=lambda row: numbers(row.since), default=None)


@functools.lru_cache(maxsize=128)
def sonames_for_cuda(cuda: str) -> tuple[Library, ...]:
    """The libraries of a CUDA version, cuDNN left out; empty for versions that the table does not know."""
    minor, number = major_minor(cuda), str(major(cuda))
    found: dict[str, Library] = {}
    for row in libraries():
        if row.library == "cudnn":
            continue
        if row.cuda == minor or (row.cuda == number and row.library not in found):
            found[row.library] = row
    return tuple(found.values())


@functools.lru_cache(maxsize=32)
def cudnn_soname(cudnn: str) -> Library | None:
    """The library that a cuDNN of this version is."""
    return next((row for row in libraries() if row.library == "cudnn" and row.cuda == f"cudnn{major(cudnn)}"), None)


@functools.lru_cache(maxsize=256)
def sonames_for(tensorflow: str, *, required_only: bool = False) -> tuple[Library, ...]:
    """The libraries that a TensorFlow release's CUDA build opens, cuDNN included; empty for unknown releases."""
    release = tensorflow_release(tensorflow)
    if release is None:
        return ()
    return sonames_of_build(release.cuda.version, release.cuda.cudnn, required_only=required_only)


@functools.lru_cache(maxsize=256)
def sonames_of_build(cuda: str, cudnn: str | None, *, required_only: bool = False) -> tuple[Library, ...]:
    """The libraries that a build for this CUDA and this cuDNN opens (its build_info tells both)."""
    rows = sonames_for_cuda(cuda)
    last = cudnn_soname(cudnn) if cudnn else None
    every = (*rows, last) if rows and last else rows
    return tuple(row for row in every if row.required or not required_only)


def library_of_soname(soname: str) -> str | None:
    """Which library a file name is of any version: `libcudart.so.12` and `cudart64_110.dll` are `cudart`."""
    stem = soname.lower().partition(".")[0]
    linux = {row.soname.partition(".")[0].lower(): row.library for row in libraries()}
    if stem in linux:
        return linux[stem]
    windows = {row.dll.partition("64")[0].lower(): row.library for row in libraries() if row.dll}
    return windows.get(stem.partition("64")[0]) if "64" in stem else None


def cuda_of_soname(soname: str) -> tuple[str, ...]:
    """The CUDA versions (`12`, `10.1`) that name a library so; empty where none does."""
    return tuple(row.cuda for row in libraries() if soname in (row.soname, row.dll) and row.library != "cudnn")
