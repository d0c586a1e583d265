"""TensorFlow releases: what each wheel needs, brings along and was built for."""

from __future__ import annotations

import functools

import msgspec
from packaging.version import Version

from ._load import Row, Table, load
from .versions import version


class CudaBuild(msgspec.Struct, frozen=True, kw_only=True):
    """What the GPU build of a release was compiled for.

    `version`: CUDA; `cudnn`: the major number that is opened; `cudnn_compiled`: the least major.minor that is accepted
    at run time, where known; `compute_capabilities`: as in build_info (`sm_80` binary, `compute_90` virtual);
    `distributions` and `platforms`: where that build is found.
    """

    version: str
    cudnn: str
    cudnn_compiled: str | None
    compute_capabilities: tuple[str, ...] | None
    distributions: tuple[str, ...]
    platforms: tuple[str, ...]


class GpuCode(msgspec.Struct, frozen=True, kw_only=True):
    """What a wheel's CUDA binaries really hold.

    `sass_full`: architectures with machine code for every kernel; `sass_partial`: for some kernels only;
    `ptx`: virtual architecture → newest PTX ISA; `driver_cuda_for_ptx`: the CUDA that a driver must report to compile
    all of it; `exact_version`: whether this very release was scanned, or a sibling of the same minor.
    """

    scanned_wheel: str
    exact_version: bool
    sass_full: tuple[str, ...]
    sass_partial: tuple[str, ...]
    ptx: dict[str, str]
    max_ptx_isa: str
    driver_cuda_for_ptx: str


class KerasBundle(msgspec.Struct, frozen=True, kw_only=True):
    """The Keras that `tf.keras` is: its major version, and whether it is part of TensorFlow or a package of its own."""

    major: int
    kind: str


class Release(Row, frozen=True, kw_only=True):
    """One release of `tensorflow`.

    `python`, `platform_tags`, `min_glibc` by platform (`linux_x86_64`, `linux_aarch64`, `macos_arm64`, `macos_x86_64`,
    `windows_amd64`); `requires` are the requirements of the Linux x86_64 wheel, `requires_elsewhere` those of platforms
    that differ; `extras`: extra → requirements; `cpu_flags`: architecture → CPU features that the wheel needs.
    """

    version: str
    python: dict[str, tuple[str, ...]]
    requires_python: str | None
    platform_tags: dict[str, tuple[str, ...]]
    min_glibc: dict[str, str]
    requires: tuple[str, ...]
    requires_elsewhere: dict[str, tuple[str, ...]]
    extras: dict[str, tuple[str, ...]]
    cuda: CudaBuild
    gpu_code: GpuCode | None
    keras: KerasBundle
    cpu_flags: dict[str, tuple[str, ...]]
    yanked: bool
    legacy: bool = False
    min_glibc_of_python: dict[str, str] = msgspec.field(default_factory=dict)

    def glibc_for(self, platform: str = "linux_x86_64", python: str | None = None) -> str | None:
        """The least glibc that the wheel for a platform needs; old wheels for Python 3.7 need a newer one."""
        short = ".".join((python or "").split(".")[:2])
        return self.min_glibc_of_python.get(short) or self.min_glibc.get(platform)

    def requirements(self, platform: str = "linux_x86_64") -> tuple[str, ...]:
        """The declared requirements of the wheel for a platform, extras left out."""
        return self.requires_elsewhere.get(platform, self.requires)

    def has_cuda(self, platform: str, distribution: str = "tensorflow") -> bool:
        """Whether the wheel of that distribution for that platform is a CUDA build."""
        return platform in self.cuda.platforms and distribution in self.cuda.distributions


class _Releases(Table, frozen=True, kw_only=True):
    releases: tuple[Release, ...]


def _table() -> _Releases:
    return load(_Releases, "tensorflow")


def releases() -> tuple[Release, ...]:
    """All final releases, oldest first."""
    return _table().releases


@functools.cache
def _by_version() -> dict[Version, Release]:
    return {Version(release.version): release for release in releases()}


@functools.lru_cache(maxsize=1024)
def tensorflow_release(text: object) -> Release | None:
    """The release that a version names, or stands for.

    `2.13` is the newest 2.13.x, a release candidate its final release, an unlisted patch its newest sibling.
    None for development versions (`2.22.0.dev…`, `2.16-dev`, `nightly`), for builds of others (`2.15.0+nv24.3`) and for
    releases that the table does not know.
    """
    wanted = version(text)
    if wanted is None or wanted.is_devrelease or wanted.local:
        return None
    table = _by_version()
    if len(wanted.release) > 2 and (found := table.get(wanted) or table.get(Version(wanted.base_version))):
        return found
    siblings = [v for v in table if v.release[:2] == wanted.release[:2]]
    if len(wanted.release) < 2 or not siblings:
        return None
    return table[max(siblings)]


def neighbours(version_: Version) -> tuple[Release, ...]:
    """The releases around a development version: the last of the minor before it, and the first of its own."""
    table = _by_version()
    before = [v for v in table if v.release[:2] < version_.release[:2]]
    own = [v for v in table if v.release[:2] == version_.release[:2]]
    return tuple(table[v] for v in (*([max(before)] if before else []), *([min(own)] if own else [])))


def newest_release() -> Release:
    """The newest release that the table knows."""
    return releases()[-1]


def is_newer_than_table(text: object) -> bool:
    """Whether a version is of a later minor than the newest release here: then these tables are outdated for it."""
    wanted = version(text)
    return wanted is not None and wanted.release[:2] > Version(newest_release().version).release[:2]


def releases_for_python(python: str, platform: str = "linux_x86_64") -> tuple[Release, ...]:
    """The releases that have a wheel for a Python (`3.12` or `3.12.1`) on a platform, oldest first."""
    short = ".".join(python.split(".")[:2])
    return tuple(release for release in releases() if short in release.python.get(platform, ()))


def cite(release: Release) -> tuple[str, ...]:
    """Where the facts of a release were read."""
    return _table().cite(release)
