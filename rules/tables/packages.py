"""Packages around TensorFlow: Keras, add-ons, other distributions, and bounds that no metadata declares."""

from __future__ import annotations

import functools

import msgspec
from packaging.utils import canonicalize_name

from ._load import Row, Table, load
from .tensorflow import Release, tensorflow_release
from .versions import admits, major_minor, version, within


class Bound(Row, frozen=True, kw_only=True):
    """Versions of a package that a range of TensorFlow releases works with, though its metadata does not say so.

    `symptom`: what the user sees outside of `works`; `fatal`: TensorFlow cannot be imported then.
    """

    tensorflow: str
    package: str
    works: str
    symptom: str
    fatal: bool


class SeenWorking(Row, frozen=True, kw_only=True):
    """Versions of a package that were seen to work with TensorFlow releases whose metadata excludes them.

    `but`: the part that fails all the same.
    """

    tensorflow: str
    package: str
    versions: str
    but: str = ""


class Imports(Row, frozen=True, kw_only=True):
    """Packages that releases of `tensorflow` or `keras` import at once, and cannot do without.

    `python`: only there (setuptools stands in for distutils from 3.12 on).
    """

    owner: str
    versions: str
    packages: tuple[str, ...]
    python: str | None = None


class NumpyBuild(Row, frozen=True, kw_only=True):
    """The first release of a package whose wheels load under NumPy 2; earlier ones were compiled against NumPy 1.

    `fatal`: TensorFlow or its Keras imports the package, and fails with it.
    """

    package: str
    since: str
    fatal: bool


class Distribution(Row, frozen=True, kw_only=True):
    """A distribution that owns the `tensorflow` folder, or stands in for one that does.

    `cuda`: whether it is a CUDA build: `yes`, `no`, `rocm`, `metal` or `as tensorflow`; `versions`: those that can be
    installed; `stub`: versions that hold nothing, or fail on purpose; `owns_folder`: whether it installs `tensorflow/`.
    """

    name: str
    cuda: str
    owns_folder: bool
    stub: str | None = None
    versions: tuple[str, ...] = ()
    python: dict[str, dict[str, tuple[str, ...]]] = msgspec.field(default_factory=dict)


class AddonRelease(Row, frozen=True, kw_only=True):
    """Releases of an add-on and the TensorFlow that they were built for or declare. `abi`: compiled against it.

    `symptom`: how it fails with another TensorFlow, though not compiled against it.
    """

    addon: str
    versions: str
    tensorflow: str
    abi: bool
    symptom: str = ""


class KerasRelease(Row, frozen=True, kw_only=True):
    """A release of `keras` or `tf-keras`; `tested_with`: TensorFlow that its own requirement files name."""

    name: str
    version: str
    requires_python: str | None
    requires: tuple[str, ...]
    tested_with: str | None = None


class KerasPin(Row, frozen=True, kw_only=True):
    """The Keras that a TensorFlow release declares (`requires` None: part of TensorFlow itself)."""

    tensorflow: str
    major: int
    kind: str
    requires: str | None


class KerasWorks(Row, frozen=True, kw_only=True):
    """Keras versions known to work with TensorFlow releases although the metadata says otherwise."""

    tensorflow: str
    keras: str


class BehaviourChange(Row, frozen=True, kw_only=True):
    """A change of results or defaults between two versions of Keras or TensorFlow.

    `package`, `before` (last version with the old behaviour, minor), `after` (first with the new one);
    `affects_same_seed`: whether a seeded run differs; `cpu_flags`: only on CPUs with one of these features (empty: on
    all); `switch`: the environment variable that turns it on or off.
    """

    id: str
    package: str
    before: str
    after: str
    effect: str
    affects_same_seed: bool
    cpu_flags: tuple[str, ...] = ()
    switch: str | None = None


class Numeric(Row, frozen=True, kw_only=True):
    """Names of packages that decide numeric results (`*` matches any ending); `but`: names among them that do not."""

    pattern: str
    but: tuple[str, ...] = ()


class Unresolvable(Row, frozen=True, kw_only=True):
    """A requirement that can no longer be installed: versions of a distribution, the extra, the Pythons, and why."""

    name: str
    versions: str
    extra: str | None = None
    python: str | None = None
    why: str
    instead: str


class _Bounds(Table, frozen=True, kw_only=True):
    bounds: tuple[Bound, ...]
    works: tuple[SeenWorking, ...]
    imports: tuple[Imports, ...]
    numpy_builds: tuple[NumpyBuild, ...]


class _Distributions(Table, frozen=True, kw_only=True):
    distributions: tuple[Distribution, ...]
    unresolvable: tuple[Unresolvable, ...]


class _Addons(Table, frozen=True, kw_only=True):
    addons: tuple[AddonRelease, ...]


class _Keras(Table, frozen=True, kw_only=True):
    releases: tuple[KerasRelease, ...]
    pins: tuple[KerasPin, ...]
    works: tuple[KerasWorks, ...]
    changes: tuple[BehaviourChange, ...]


class _Numeric(Table, frozen=True, kw_only=True):
    packages: tuple[Numeric, ...]


@functools.lru_cache(maxsize=4096)
def bounds(tensorflow: str, package: str) -> tuple[Bound, ...]:
    """The undeclared bounds on a package for a TensorFlow release (any spelling that tensorflow_release knows)."""
    name = canonicalize_name(package)
    release = tensorflow_release(tensorflow)
    exact = release.version if release else tensorflow
    if major_minor(exact) is None:
        return ()
    return tuple(row for row in load(_Bounds, "bounds").bounds if row.package == name and within(row.tensorflow, exact))


def broken_bounds(tensorflow: str, package: str, installed: str) -> tuple[Bound, ...]:
    """Those of the undeclared bounds that an installed version breaks."""
    known = version(installed) is not None
    return tuple(row for row in bounds(tensorflow, package) if known and not admits(row.works, installed))


def seen_working(tensorflow: str, package: str, installed: str) -> SeenWorking | None:
    """The row that says that an installed version was seen to work although the metadata excludes it."""
    release = tensorflow_release(tensorflow)
    exact = release.version if release else tensorflow
    rows = (row for row in load(_Bounds, "bounds").works if row.package == package)
    return next((row for row in rows if within(row.tensorflow, exact) and within(row.versions, installed)), None)


def imported_at_once(owner: str, text: str, package: str, python: str | None) -> bool:
    """Whether a release of `tensorflow` or `keras` is known to fail at import without a package."""
    return any(
        row.owner == owner
        and package in row.packages
        and within(row.versions, text)
        and (row.python is None or (python is not None and within(row.python, python)))
        for row in load(_Bounds, "bounds").imports
    )


@functools.cache
def numpy_builds() -> dict[str, NumpyBuild]:
    """For packages that are compiled against NumPy: the first release that loads under NumPy 2."""
    return {row.package: row for row in load(_Bounds, "bounds").numpy_builds}


def distributions() -> tuple[Distribution, ...]:
    """All distributions of TensorFlow."""
    return load(_Distributions, "distributions").distributions


@functools.lru_cache(maxsize=4096)
def distribution(name: str) -> Distribution | None:
    """The row of a distribution by its name in any spelling."""
    wanted = canonicalize_name(name)
    return next((row for row in distributions() if row.name == wanted), None)


def pythons_of(name: str, text: str, platform: str) -> tuple[str, ...] | None:
    """The Pythons that a version of a distribution has wheels for on a platform; None where that is not known."""
    if canonicalize_name(name) == "tensorflow":
        release = tensorflow_release(text)
        return _with_stand_in(release, platform) if release else None
    row = distribution(name)
    have = version(text)
    wheels = row.python.get(str(have)) if row and have else None
    return None if wheels is None else wheels.get(platform, wheels.get("any", ()))


def _with_stand_in(release: Release, platform: str) -> tuple[str, ...]:
    """The Pythons of a release, less those that what it only stands in for (`tensorflow-intel`) has no wheel for."""
    own, stands_for = release.python.get(platform, ()), f"tensorflow-intel=={release.version}"
    row = distribution("tensorflow-intel")
    if row is None or not any(text.startswith(stands_for) for text in release.requires_elsewhere.get(platform, ())):
        return own
    return tuple(python for python in own if python in row.python.get(release.version, {}).get(platform, own))


def unresolvable() -> tuple[Unresolvable, ...]:
    """Requirements that can no longer be installed."""
    return load(_Distributions, "distributions").unresolvable


def addon_rows(name: str) -> tuple[AddonRelease, ...]:
    """The rows of an add-on, newest first; empty where the table does not know it."""
    wanted = canonicalize_name(name)
    return tuple(row for row in load(_Addons, "addons").addons if row.addon == wanted)


@functools.cache
def addon_names() -> frozenset[str]:
    """The add-ons that the table knows."""
    return frozenset(row.addon for row in load(_Addons, "addons").addons)


def tensorflow_for_addon(name: str, text: str) -> AddonRelease | None:
    """The row that says which TensorFlow a release of an add-on was built for."""
    return next((row for row in addon_rows(name) if within(row.versions, text)), None)


def addon_fits(name: str, text: str, tensorflow: str) -> bool | None:
    """Whether an add-on's release was built for a TensorFlow version; None where the table does not say."""
    row = tensorflow_for_addon(name, text)
    release = tensorflow_release(tensorflow)
    have = release.version if release else tensorflow
    return None if row is None or version(have) is None else within(row.tensorflow, have)


def keras_releases(name: str = "keras") -> tuple[KerasRelease, ...]:
    """The releases of `keras` or `tf-keras`, oldest first."""
    return tuple(row for row in load(_Keras, "keras").releases if row.name == name)


def keras_pin(tensorflow: str) -> KerasPin | None:
    """The Keras that a TensorFlow release declares."""
    release = tensorflow_release(tensorflow)
    if release is None:
        return None
    return next((row for row in load(_Keras, "keras").pins if row.tensorflow == release.version), None)


def keras_known_to_work(tensorflow: str, keras: str) -> KerasWorks | None:
    """The row that says that these two work together although the metadata forbids it."""
    rows = load(_Keras, "keras").works
    return next((row for row in rows if within(row.tensorflow, tensorflow) and within(row.keras, keras)), None)


def behaviour_changes(package: str, a: str, b: str) -> tuple[BehaviourChange, ...]:
    """The changes that lie between two versions of `keras` or `tensorflow`, in either direction."""
    first, second = version(a), version(b)
    if first is None or second is None:
        return ()
    low, high = sorted((first, second))
    rows = load(_Keras, "keras").changes
    return tuple(
        row
        for row in rows
        if row.package == package
        and (after := version(row.after)) is not None
        and low.release[:2] < after.release[:2] <= high.release[:2]
    )


@functools.lru_cache(maxsize=2048)
def is_numeric(name: str) -> bool:
    """Whether a package decides numeric results."""
    wanted = canonicalize_name(name)
    for row in load(_Numeric, "numeric_dependencies").packages:
        stem = row.pattern.removesuffix("*")
        if wanted == row.pattern or (row.pattern.endswith("*") and wanted.startswith(stem)):
            return wanted not in row.but
    return False
