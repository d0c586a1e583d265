"""Requests for TensorFlow: which releases they admit, and for which Pythons. Nothing here registers a rule."""

from __future__ import annotations

from packaging.version import Version

from doctor.case import Case
from doctor.model.facts import Unknown, applies, known

from . import requirements as reqs
from .requirements import Asked
from .tables.packages import Distribution, distribution, pythons_of
from .tables.tensorflow import newest_release, releases, tensorflow_release
from .tables.versions import allows, version


def wanted_tensorflow(case: Case) -> tuple[Asked, ...]:
    """The requests for TensorFlow itself that the installed packages do not meet already.

    Raises:
        Inapplicable: none.
    """
    rows = tuple(a for a in reqs.asked(case) if is_tensorflow(a.name))
    applies(bool(rows), "no TensorFlow is requested")
    open_ = tuple(a for a in rows if not is_met(case, a))
    applies(bool(open_), "the requested TensorFlow is installed")
    return open_


def is_tensorflow(name: str) -> bool:
    row = distribution(name)
    return row is not None and row.owns_folder and not name.startswith("tf-nightly")


def is_met(case: Case, wanted: Asked) -> bool:
    package = case.package(wanted.name)
    have = known(package.version) if package else None
    return package is not None and (have is None or allows(str(wanted.requirement.specifier), have) is not False)


def candidates_of(wanted: Asked) -> tuple[str, ...]:
    """The releases that a request admits, as far as the tables know them, oldest first."""
    row = distribution(wanted.name)
    if wanted.name == "tensorflow":
        known_versions = tuple(r.version for r in releases())
    else:
        known_versions = tuple(v for v in (row.versions if row else ()) if not (row and _is_stub(row, v)))
    specifier = wanted.requirement.specifier
    return tuple(v for v in known_versions if specifier.contains(v, prereleases=True))


def _is_stub(row: Distribution, text: str) -> bool:
    return row.stub is not None and bool(allows(row.stub, text))


def pythons_for(name: str, text: str, platforms: tuple[str, ...] | None) -> set[str]:
    """The Pythons for which a release has a wheel, on one of these platforms (None: on any)."""
    release = tensorflow_release(text) if name == "tensorflow" else None
    every = platforms or (
        tuple(release.python)
        if release
        else ("linux_x86_64", "windows_amd64", "macos_x86_64", "macos_arm64", "linux_aarch64")
    )
    return {python for platform in every for python in pythons_of(name, text, platform) or ()}


def pinned(wanted: Asked) -> str | None:
    """The version of an exact pin."""
    exact = [s for s in wanted.requirement.specifier if s.operator in ("==", "===") and not s.version.endswith("*")]
    return exact[0].version if len(exact) == 1 else None


def never_made(wanted: Asked) -> str | None:
    """What to ask for in place of a pin of a release that was never made; None where it was, or may yet be.

    The tables are of one day: a later patch of the two newest minor versions may have been released since.
    """
    pin, row = version(pinned(wanted)), distribution(wanted.name)
    every = [r.version for r in releases()] if wanted.name == "tensorflow" else list(row.versions if row else ())
    if pin is None or pin.is_prerelease or pin.local or not every or candidates_of(wanted):
        return None
    minors = sorted({Version(r.version).release[:2] for r in releases()})
    near = [text for text in every if Version(text).release[:2] == pin.release[:2]]
    if pin.release[:2] > minors[-1] or (pin.release[:2] in minors[-2:] and all(Version(text) < pin for text in near)):
        return None
    if wanted.name != "tensorflow" and str(pin) in {r.version for r in releases()}:
        return f"tensorflow=={pin}"
    if wanted.name != "tensorflow" and not near:
        return "tensorflow"
    extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
    return f"{wanted.name}{extras}=={near[-1] if near else newest_release().version}"


def untold_release(wanted: Asked) -> Unknown:
    """Why a request cannot be judged: no release that the tables know is admitted by it."""
    return Unknown("software.requested", f"the tables know no release of {wanted.name} that {shown(wanted)} admits")


def shown(wanted: Asked) -> str:
    return wanted.row.requirement.strip()
