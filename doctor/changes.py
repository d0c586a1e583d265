"""What differs between the software, and the machines, of two snapshots: facts side by side, the weightiest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from doctor import catalogue
from doctor.case import Case
from doctor.model.facts import Missing, known
from doctor.model.snapshot import Package

Change = dict[str, Any]

# what, dotted paths of single facts; in the order in which a person would ask
_FACTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "tensorflow",
        ("software.tensorflow.version", "software.tensorflow.distribution", "software.tensorflow.cuda_build"),
    ),
    ("keras", ("software.keras.version", "software.keras.backend", "software.keras.floatx", "software.keras.legacy")),
    ("cuda", ("software.tensorflow.cuda_version", "software.cuda.cudnn_version", "software.cuda.ptxas_version")),
    ("python", ("software.python.version", "software.python.implementation")),
    (
        "base",
        (
            "software.image.base.name",
            "software.image.base.digest",
            "software.distribution.id",
            "software.distribution.version",
            "software.libc.name",
            "software.libc.version",
        ),
    ),
    (
        "machine",
        (
            "machine.driver.version",
            "machine.driver.cuda_version",
            "machine.cpu.model",
            "machine.architecture",
            "machine.kernel",
        ),
    ),
)


def changes(a: Case, b: Case) -> tuple[Change, ...]:
    """Every difference of which both sides are known; what only one side knows is no difference."""
    return (
        *_facts(a, b),
        *_image(a, b),
        *_gpus(a, b),
        *_cpu_flags(a, b),
        *_packages(a, b),
        *_libraries(a, b),
        *_environment(a, b),
    )


def _facts(a: Case, b: Case) -> Iterator[Change]:
    for what, paths in _FACTS:
        for path in paths:
            left, right = a.value(path), b.value(path)
            if isinstance(left, Missing) or isinstance(right, Missing) or left == right:
                continue
            yield {"what": what, "name": path.removeprefix("software.").removeprefix("machine."), "a": left, "b": right}


def _image(a: Case, b: Case) -> Iterator[Change]:
    """The two images: digest and platform, the layers that they share, and the labels."""
    for path in ("software.image.platform", "software.image.digest"):
        one, other = a.value(path), b.value(path)
        if not isinstance(one, Missing) and not isinstance(other, Missing) and one != other:
            yield {"what": "image", "name": path.removeprefix("software."), "a": one, "b": other}
    left, right = known(a.software.image.layers), known(b.software.image.layers)
    if left is not None and right is not None and left != right:
        pairs = enumerate(zip(left, right, strict=False))
        shared = next((number for number, (one, other) in pairs if one != other), min(len(left), len(right)))
        texts = [
            f"{len(side)}, the first {shared} shared" if shared else f"{len(side)}, none shared"
            for side in (left, right)
        ]
        yield {"what": "image", "name": "image.layers", "a": texts[0], "b": texts[1]}
    labels = known(a.software.image.labels), known(b.software.image.labels)
    if labels[0] is not None and labels[1] is not None:
        for name in sorted(labels[0].keys() | labels[1].keys()):
            one, other = labels[0].get(name), labels[1].get(name)
            if one != other:
                yield {"what": "image", "name": f"label {name}", "a": one, "b": other}


def ranked(rows: Iterable[Change]) -> list[Change]:
    """The changes with what takes part in computing first; other packages stand last, marked ``computes: false``."""
    marked = [
        {**row, "computes": False} if row["what"] == "package" and not catalogue.computes(row["name"]) else row
        for row in rows
    ]
    return sorted(marked, key=lambda row: "computes" in row)


def _gpus(a: Case, b: Case) -> Iterator[Change]:
    left, right = known(a.machine.gpus), known(b.machine.gpus)
    if left is None or right is None:
        return
    names = [
        [f"{known(g.name) or 'GPU'} ({known(g.compute_capability) or '?'})" for g in side] for side in (left, right)
    ]
    if names[0] != names[1]:
        yield {"what": "machine", "name": "gpus", "a": names[0], "b": names[1]}


def _cpu_flags(a: Case, b: Case) -> Iterator[Change]:
    left, right = known(a.machine.cpu.flags), known(b.machine.cpu.flags)
    if left is None or right is None or set(left) == set(right):
        return
    yield {
        "what": "machine",
        "name": "cpu.flags",
        "a": sorted(set(left) - set(right)),
        "b": sorted(set(right) - set(left)),
    }


def _packages(a: Case, b: Case) -> Iterator[Change]:
    left, right = _by_name(a), _by_name(b)
    if left is None or right is None:
        return
    partial = [side.is_partial("software.packages") for side in (a, b)]
    for name in sorted(left.keys() | right.keys()):
        one, other = left.get(name), right.get(name)
        if (one is None and partial[0]) or (other is None and partial[1]) or one == other:
            continue
        yield {"what": "package", "name": name, "a": one, "b": other}


def _by_name(case: Case) -> dict[str, str] | None:
    packages = known(case.software.packages)
    if packages is None:
        return None
    found: dict[str, str] = {}
    for package in packages:
        found.setdefault(package.name, _told(package))
    return found


def _told(package: Package) -> str:
    version, build = known(package.version) or "?", known(package.build)
    return f"{version} ({build})" if build else version


def _libraries(a: Case, b: Case) -> Iterator[Change]:
    left, right = known(a.software.cuda.libraries), known(b.software.cuda.libraries)
    if (
        left is None
        or right is None
        or a.is_partial("software.cuda.libraries")
        or b.is_partial("software.cuda.libraries")
    ):
        return
    sides: list[dict[str, str]] = []
    for libraries in (left, right):
        first: dict[str, str] = {}
        for library in libraries:
            first.setdefault(library.soname, known(library.version) or "?")
        sides.append(first)
    for soname in sorted(sides[0].keys() | sides[1].keys()):
        one, other = sides[0].get(soname), sides[1].get(soname)
        if one != other:
            yield {"what": "library", "name": soname, "a": one, "b": other}


def _environment(a: Case, b: Case) -> Iterator[Change]:
    left, right = known(a.software.environment), known(b.software.environment)
    if left is None or right is None:
        return
    partial = [side.is_partial("software.environment") for side in (a, b)]
    for name in sorted(left.keys() | right.keys()):
        one, other = left.get(name), right.get(name)
        if (one is None and partial[0]) or (other is None and partial[1]) or one == other:
            continue
        yield {"what": "environment", "name": name, "a": one, "b": other}
