"""Other frameworks beside TensorFlow: the nvidia-* wheels that they pin, and what they need of Keras."""

from __future__ import annotations

import functools

from packaging.utils import canonicalize_name

from ._load import Row, Table, load
from .versions import allows


class Pins(Row, frozen=True, kw_only=True):
    """The nvidia-* requirements of a framework's releases (Linux x86_64); `read`: the release that was read."""

    framework: str
    versions: str
    read: str
    pins: tuple[str, ...]


class SearchFault(Row, frozen=True, kw_only=True):
    """TensorFlow releases whose wheel does not find the nvidia-* wheels beside it."""

    tensorflow: str
    fault: str


class KerasNeed(Row, frozen=True, kw_only=True):
    """A package that needs another one (`needs`) beside a Keras of this major version.

    `whole`: nothing of it works without; else only its classes for TensorFlow fail.
    """

    package: str
    versions: str
    keras_major: int
    needs: str
    whole: bool = False


class Unavailable(Row, frozen=True, kw_only=True):
    """A version of a package that the index does not have (`python`: for these Pythons only; None: for none)."""

    name: str
    version: str
    python: str | None
    why: str


class _Frameworks(Table, frozen=True, kw_only=True):
    pins: tuple[Pins, ...]
    search_faults: tuple[SearchFault, ...]
    keras_needs: tuple[KerasNeed, ...]
    unavailable: tuple[Unavailable, ...]


def _table() -> _Frameworks:
    return load(_Frameworks, "frameworks")


@functools.lru_cache(maxsize=128)
def pins_of(framework: str, text: str | None = None) -> tuple[Pins, ...]:
    """The rows of a framework, newest first; with a version only the one that it belongs to."""
    name = canonicalize_name(framework)
    return tuple(row for row in _table().pins if row.framework == name and (text is None or allows(row.versions, text)))


def search_fault(tensorflow: str) -> SearchFault | None:
    """Why the wheel of a release does not find the nvidia-* wheels; None where it does, or nothing is known."""
    return next((row for row in _table().search_faults if allows(row.tensorflow, tensorflow)), None)


def keras_needs(package: str, text: str) -> KerasNeed | None:
    """What a release of a package needs beside Keras."""
    name = canonicalize_name(package)
    return next((row for row in _table().keras_needs if row.package == name and allows(row.versions, text)), None)


def packages_with_keras_needs() -> tuple[str, ...]:
    """The packages that the table knows."""
    return tuple(row.package for row in _table().keras_needs)


def unavailable(name: str, text: str, python: str | None) -> Unavailable | None:
    """Why a pinned version of a package cannot be installed on a Python; None where it can, or that is not known."""
    wanted = canonicalize_name(name)
    for row in _table().unavailable:
        here = row.python is None or (python is not None and allows(row.python, python))
        if here and (row.name, row.version) == (wanted, text):
            return row
    return None
