"""What surrounds TensorFlow: C libraries of distributions, images, ptxas, switches of determinism."""

from __future__ import annotations

import functools
import re

from ._load import Row, Table, load
from .versions import at_least, major_minor, numbers, within


class DistributionLibc(Row, frozen=True, kw_only=True):
    """The C library of a release of a Linux distribution; `release` is its VERSION_ID, or the beginning of it."""

    distribution: str
    release: str
    libc: str
    version: str | None


class ManylinuxTag(Row, frozen=True, kw_only=True):
    """An old name of a manylinux tag and its glibc."""

    tag: str
    glibc: str


class PtxasTargets(Row, frozen=True, kw_only=True):
    """The GPU targets that the ptxas of a CUDA version accepts."""

    cuda: str
    targets: tuple[str, ...]


class PtxasFault(Row, frozen=True, kw_only=True):
    """ptxas versions (a specifier) that are too old or known to compile wrongly, and what XLA does then.

    `min_compute_capability`: only on GPUs from this one on; None: on all.
    """

    versions: str
    min_compute_capability: str | None
    fault: str


class Switch(Row, frozen=True, kw_only=True):
    """A switch that changes how reproducible numeric results are."""

    switch: str
    kind: str
    since: str | None
    default: str | None
    effect: str


class ImageVariable(Row, frozen=True, kw_only=True):
    """An environment variable of CUDA images and what it means."""

    name: str
    meaning: str


class SeenRequirement(Row, frozen=True, kw_only=True):
    """An NVIDIA_REQUIRE_CUDA as seen in an nvidia/cuda image of a CUDA version, in words."""

    cuda: str
    requires: str


class TensorflowImage(Row, frozen=True, kw_only=True):
    """What the `tensorflow/tensorflow:X-gpu` images of these TensorFlow versions hold; `broken`: no GPU can be used."""

    tensorflow: str
    cuda: str
    cudnn: str | None
    tensorrt: str | None
    broken: bool


class NgcImage(Row, frozen=True, kw_only=True):
    """NGC TensorFlow containers from tag `first` to `last` (YY.MM)."""

    first: str
    last: str
    tensorflow: str | None
    cuda: str | None
    cudnn: str | None
    driver: str | None


class Enforcement(Row, frozen=True, kw_only=True):
    """Whether the NVIDIA container toolkit enforces NVIDIA_REQUIRE_* in a mode."""

    mode: str
    enforced: bool


class Brand(Row, frozen=True, kw_only=True):
    """A brand that NVIDIA_REQUIRE_* can name."""

    brand: str


class _Glibc(Table, frozen=True, kw_only=True):
    distributions: tuple[DistributionLibc, ...]
    tags: tuple[ManylinuxTag, ...]


class _Ptxas(Table, frozen=True, kw_only=True):
    supported: tuple[PtxasTargets, ...]
    faults: tuple[PtxasFault, ...]


class _Determinism(Table, frozen=True, kw_only=True):
    switches: tuple[Switch, ...]


class _Images(Table, frozen=True, kw_only=True):
    environment: tuple[ImageVariable, ...]
    requirements_seen: tuple[SeenRequirement, ...]
    tensorflow_images: tuple[TensorflowImage, ...]
    ngc: tuple[NgcImage, ...]
    enforcement: tuple[Enforcement, ...]
    brands: tuple[Brand, ...]


@functools.lru_cache(maxsize=256)
def libc_of(distribution: str, release: str) -> DistributionLibc | None:
    """The C library of a distribution's release by ID and VERSION_ID of os-release (`rhel`, `9.4`); None if unknown."""
    rows = [row for row in load(_Glibc, "glibc").distributions if row.distribution == distribution.lower()]
    fitting = [
        row for row in rows if not row.release or release == row.release or release.startswith(row.release + ".")
    ]
    return max(fitting, key=lambda row: len(row.release), default=None)


def glibc_of(distribution: str, release: str) -> str | None:
    """The glibc version of a distribution's release; None where it is unknown, or has another C library."""
    row = libc_of(distribution, release)
    return row.version if row and row.libc == "glibc" else None


@functools.lru_cache(maxsize=256)
def glibc_for_tag(platform_tag: str) -> str | None:
    """The least glibc for a wheel's platform tag (`manylinux_2_27_x86_64` is 2.27); None for other tags.

    A tag of several parts joined by dots has the least of its parts.
    """
    found = [glibc for part in platform_tag.split(".") if (glibc := _glibc_for_one(part))]
    return min(found, key=numbers, default=None)


def _glibc_for_one(tag: str) -> str | None:
    if new := re.match(r"manylinux_(\d+)_(\d+)_", tag):
        return f"{new.group(1)}.{new.group(2)}"
    return next((row.glibc for row in load(_Glibc, "glibc").tags if tag.startswith(row.tag + "_")), None)


@functools.lru_cache(maxsize=256)
def ptxas_supports(ptxas: str, compute_capability: str) -> bool | None:
    """Whether a ptxas can compile for a GPU (or one of the same major version below it); None where that is unknown."""
    minor = major_minor(ptxas)
    row = next((row for row in load(_Ptxas, "ptxas").supported if row.cuda == minor), None)
    wanted = numbers(compute_capability)
    if row is None or not wanted:
        return None
    target = "sm_" + "".join(compute_capability.split("."))
    return target in row.targets


@functools.lru_cache(maxsize=256)
def ptxas_faults(ptxas: str, compute_capability: str | None = None) -> tuple[PtxasFault, ...]:
    """The known faults of a ptxas version; those of certain GPUs only where such a GPU is given."""
    return tuple(
        row
        for row in load(_Ptxas, "ptxas").faults
        if within(row.versions, ptxas)
        and (
            row.min_compute_capability is None
            or (compute_capability is not None and at_least(compute_capability, row.min_compute_capability))
        )
    )


def switches() -> tuple[Switch, ...]:
    """The switches of numeric reproducibility."""
    return load(_Determinism, "determinism").switches


@functools.lru_cache(maxsize=128)
def tensorflow_image(tensorflow: str) -> TensorflowImage | None:
    """What the official GPU image of a TensorFlow version holds."""
    return next((row for row in load(_Images, "images").tensorflow_images if within(row.tensorflow, tensorflow)), None)


def ngc_images(tag: str) -> tuple[NgcImage, ...]:
    """What is known of an NGC TensorFlow container by its tag (`22.10-tf2-py3`)."""
    number = numbers(tag)
    return tuple(row for row in load(_Images, "images").ngc if numbers(row.first) <= number <= numbers(row.last))


def brands() -> frozenset[str]:
    """The GPU brands that NVIDIA_REQUIRE_* can name."""
    return frozenset(row.brand for row in load(_Images, "images").brands)


def enforced(mode: str) -> bool | None:
    """Whether NVIDIA_REQUIRE_* is enforced in a mode of the container toolkit (`legacy`, `cdi`)."""
    return next((row.enforced for row in load(_Images, "images").enforcement if row.mode == mode), None)
