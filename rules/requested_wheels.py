"""nvidia-* wheels that a requested TensorFlow and another requested framework pin apart. Registers no rule."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.utils import canonicalize_name

from doctor.case import Case
from doctor.model.report import Finding

from . import installers
from . import requirements as reqs
from .proof import evidence
from .requested import candidates_of, is_met, shown
from .requirements import Asked
from .tables.frameworks import pins_of
from .tables.tensorflow import Release, tensorflow_release
from .tables.versions import meet

_EXTRA = "and-cuda"


def wheels_apart(case: Case, rows: tuple[Asked, ...]) -> Iterator[Finding]:
    """Two requests of one file (or command line) whose nvidia-* wheels no release brings together.

    Only where TensorFlow is asked for with its CUDA wheels, the other framework is pinned to a version whose pins are
    known, and the wheels exist for this system. What is installed side by side already is KD208's.
    """
    if reqs.system(case) not in ("linux", None) or reqs.chip(case) not in ("x86_64", None):
        return
    for tensorflow in (row for row in rows if row.name == "tensorflow" and _EXTRA in row.extras):
        for other in (row for row in rows if row.file == tensorflow.file and row.name != "tensorflow"):
            if is_met(case, tensorflow) and is_met(case, other):
                continue
            if (why := _why(case, tensorflow, other)) is not None:
                yield _finding(case, tensorflow, other, why)


def _finding(case: Case, tensorflow: Asked, other: Asked, why: str) -> Finding:
    apart = "put them into two environments"
    ranges = reqs.install(case, "tensorflow[and-cuda]>=2.20", other.name)
    return Finding(
        f"{shown(tensorflow)} and {shown(other)} contradict each other: {why}",
        effect="the resolver finds no solution",
        fix=f"{apart}, or take a TensorFlow that names ranges: {ranges}",
        verify=installers.dry(reqs.install(case, shown(tensorflow), shown(other))) or reqs.check(case),
        evidence=evidence(case, tensorflow, other),
        location=other.location,
        likely=0.9,
        thing=f"{tensorflow.name},{other.name}",
    )


def _why(case: Case, tensorflow: Asked, other: Asked) -> str | None:
    """What every release that is asked for and the other framework pin apart: cuDNN before others."""
    theirs = _pins_of(other)
    releases = [r for v in candidates_of(tensorflow) if (r := tensorflow_release(v)) is not None]
    reasons = [_apart(case, release, theirs) for release in releases] if theirs else []
    name = reasons[-1] if reasons else None
    if name is None or None in reasons:
        return None
    mine = _wheels(case, releases[-1])
    return f"{shown(other)} requires {name}{theirs[name]}, tensorflow {releases[-1].version} {name}{mine[name]}"


def _pins_of(other: Asked) -> dict[str, str]:
    """What the other framework's pinned version requires of nvidia-* wheels."""
    exact = [s.version for s in other.requirement.specifier if s.operator in ("==", "===")]
    if len(exact) != 1 or exact[0].endswith("*") or "+" in exact[0]:
        return {}
    rows = pins_of(other.name, exact[0])
    texts = rows[0].pins if rows else ()
    return {canonicalize_name(r.name): str(r.specifier) for t in texts if (r := reqs.parse(t)) is not None}


def _wheels(case: Case, release: Release) -> dict[str, str]:
    wanted = reqs.release_requirements(case, release, _EXTRA)
    return {canonicalize_name(r.name): str(r.specifier) for r in wanted}


def _apart(case: Case, release: Release, theirs: dict[str, str]) -> str | None:
    """The wheel that no version satisfies for both."""
    mine = _wheels(case, release)
    apart = [name for name in theirs if name in mine and not meet(mine[name], theirs[name])]
    return min(apart, key=lambda name: ("cudnn" not in name, name)) if apart else None
