"""The version that a request should be pinned to: one that was locked, asked for or installed, and that works.

Nothing here registers a rule.
"""

from __future__ import annotations

import re
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from doctor.case import Case
from doctor.model.facts import known
from doctor.model.report import Location

from . import requirements as reqs
from .tables.packages import broken_bounds, distribution
from .tables.versions import admits, version

# A release that the index has: no local build, no development version.
_RELEASE = re.compile(r"\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?(?:\.post\d+)?")


def version_to_pin(case: Case, row: dict[str, Any]) -> tuple[str | None, str]:
    """The version for a row of ``project.requirements``, with where it comes from; None where nothing tells one.

    With None stands why the installed version is not taken, where that needs saying.

    What an image installs is not what is installed here: for it count lock files and exact requests only.
    """
    name = str(row.get("name"))
    if not _holds(case, row):
        return None, ""
    for found, why in _candidates(case, row, name):
        if _RELEASE.fullmatch(found) and _allowed(row, found) and _works(case, name, found):
            return found, why
    lacking = None if row.get("kind") == "install" or case.package(name) is None else _lacking(case, row)
    return None, f"the one you tested: this environment lacks {lacking} of the same file" if lacking else ""


def row_of(case: Case, place: Location | None, name: str) -> dict[str, Any]:
    """The row of ``project.requirements`` for a package at a place; empty where there is none."""
    rows = known(case.project.requirements) or ()
    found = (row for row in rows if place and (row.get("path"), row.get("line")) == (place.path, place.line))
    return next((row for row in found if row.get("name") == name), {})


def pinned_or(case: Case, row: dict[str, Any], name: str, specifier: str) -> str:
    """The specifier, as narrow as it can be: one version, where something tells which."""
    found, _ = version_to_pin(case, {**row, "name": name, "specifier": specifier})
    return f"=={found}" if found else specifier


def _candidates(case: Case, row: dict[str, Any], name: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for lock in known(case.project.lock_files) or ():
        locked = (lock.get("packages") or {}).get(name)
        if isinstance(locked, str) and name not in (lock.get("variants") or {}):
            found.append((locked, f"the version in {lock.get('path')}"))
    if row.get("kind") != "install":
        package = case.package(name)
        installed = known(package.version) if package is not None and not known(package.editable) else None
        if installed and _lacking(case, row) is None:
            found.append((installed, "the version that is installed"))
        return found
    asked = {
        (version, str(other.get("path")))
        for other in known(case.project.requirements) or ()
        if other.get("name") == name and (version := _asked(case, other)) is not None
    }
    if len({text for text, _ in asked}) == 1:
        found += [(text, f"the version for {path}") for text, path in sorted(asked)[:1]]
    return found


def _lacking(case: Case, row: dict[str, Any]) -> str | None:
    """What the same file pins exactly and the environment lacks: it was not made from that file, and tells nothing.

    Its numpy may be one that a pinned neighbour, which nobody installed there, refuses. What TensorFlow itself works
    with stands in the tables and is judged apart.
    """
    if case.is_partial("software.packages"):
        return None
    for other in known(case.project.requirements) or ():
        name, asked = str(other.get("name")), str(other.get("specifier") or "")
        beside = other.get("path") == row.get("path") and name != row.get("name") and other.get("exact") is True
        if not beside or not asked or distribution(name) is not None or not _holds(case, other):
            continue
        package = case.package(name)
        if package is None or admits(asked, known(package.version) or "") is False:
            return f"{name}{asked}"
    return None


def _asked(case: Case, row: dict[str, Any]) -> str | None:
    """The version that another file of the project asks for, or is to ask for."""
    if row.get("exact") is True:
        text = str(row.get("specifier"))
        return text[2:].strip() if text.startswith("==") else None
    if row.get("kind") in ("install", "metadata") or str(row.get("path")).endswith(".in"):
        return None
    return version_to_pin(case, row)[0]


def _holds(case: Case, row: dict[str, Any]) -> bool:
    """Whether the request is one for this environment: what is installed says nothing of other systems."""
    marker = row.get("marker")
    if not marker:
        return True
    return reqs.applying(f"x; {marker}", reqs.marker_environment(case)) is not None


def _allowed(row: dict[str, Any], found: str) -> bool:
    """Whether the request itself allows the version."""
    asked = str(row.get("specifier") or "")
    if not asked:
        return True
    try:
        return SpecifierSet(_as_specifier(asked)).contains(found, prereleases=True)
    except InvalidSpecifier:
        return False


def _as_specifier(asked: str) -> str:
    """``^2.15`` of Poetry, ``=1.26`` and ``1.26.*`` of conda as a specifier; anything else as it is."""
    match = re.fullmatch(r"\s*(\^|~|=)?\s*(\d+(?:\.\d+)*)(?:\.\*)?", asked)
    if match is None:
        return asked
    sign, parts = match[1], match[2].split(".")
    if sign == "^":
        changing = next((i for i, part in enumerate(parts) if part != "0"), len(parts) - 1)
        above = [*parts[:changing], str(int(parts[changing]) + 1)]
        return f">={match[2]},<{'.'.join(above)}"
    return f"=={'.'.join(parts[:2] if sign == '~' else parts)}.*"


def _works(case: Case, name: str, found: str) -> bool:
    """Whether the version is one that the installed TensorFlow works with."""
    text = reqs.tensorflow_version(case)
    if text is None or version(found) is None:
        return version(found) is not None
    declared = reqs.requirement_of_tensorflow(case, name)
    if declared is not None and admits(str(declared.specifier), found) is False:
        return False
    return not broken_bounds(text, name, found)
