"""What to install for one unmet requirement so that TensorFlow and its neighbours fit afterwards too.

``pip install 'numpy<2'`` mends TensorFlow 2.15 and breaks a JAX that needs NumPy 2; ``numpy>=2`` then mends JAX and
breaks TensorFlow again. TensorFlow stays what it is; who cannot live with that is named without a version, so that the
resolver finds the release that can. Nothing here registers a rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import SpecifierSet

from doctor.case import Case
from doctor.model.facts import known
from doctor.model.snapshot import Package

from . import requirements as reqs
from .tables.packages import bounds, distribution
from .tables.versions import meet, version

_FIRST_TF_KERAS = (2, 14)  # tf-keras X.Y belongs to TensorFlow X.Y
_UPPER = ("<", "<=", "==", "~=", "===")


def together(case: Case, name: str, specifier: str, owner: Package | None = None) -> tuple[str, ...]:
    """The requirements to install for ``name`` within ``specifier``, which ``owner`` asks for (None: TensorFlow).

    One requirement where nobody minds; else TensorFlow as it is, the requirement, and the packages that have to move.
    """
    tensorflow = reqs.tensorflow_package(case)
    moving: list[str] = []
    needed = _of_tensorflow(case, name)
    target = specifier
    if meet(needed, specifier):
        target = reqs.joined(specifier, needed)
    elif owner is not None and owner is not tensorflow:
        target, moving = needed, [owner.name]
    for package, wanted in _neighbours(case, name):
        if package is owner or package is tensorflow or package.name in moving:
            continue
        if not meet(target, wanted):
            moving.append(package.name)
        elif any(clause.operator in _UPPER for clause in SpecifierSet(wanted)):
            target = reqs.joined(target, wanted)
    row = distribution(name)
    if not moving or (row is not None and row.owns_folder):
        return (f"{name}{specifier if moving else target}",)
    return (*_as_it_is(tensorflow), f"{name}{target}", *sorted(moving))


def _as_it_is(tensorflow: Package | None) -> tuple[str, ...]:
    """TensorFlow in its installed version: the resolver must not move it, and meets what it needs besides."""
    have = known(tensorflow.version) if tensorflow is not None else None
    if tensorflow is None or reqs.foreign(tensorflow) or version(have) is None or "dev" in (have or ""):
        return ()
    return (f"{tensorflow.name}=={have}",)


def _of_tensorflow(case: Case, name: str) -> str:
    """What TensorFlow needs of a package, declared or not."""
    if name == "tf-keras":
        have = version(reqs.tensorflow_version(case))
        return f"~={have.major}.{have.minor}.0" if have is not None and have.release >= _FIRST_TF_KERAS else ""
    declared = reqs.requirement_of_tensorflow(case, name)
    rows = bounds(reqs.tensorflow_version(case) or "", name)
    return reqs.joined(str(declared.specifier) if declared is not None else "", *(row.works for row in rows))


def _neighbours(case: Case, name: str) -> Iterator[tuple[Package, str]]:
    """The installed packages that declare something of ``name`` here, with what they declare."""
    for package in known(case.software.packages) or ():
        for requirement in reqs.declared(case, package, reqs.extras_of(case, package)):
            if reqs.canonical(requirement.name) == name and str(requirement.specifier):
                yield package, str(requirement.specifier)
