"""Evidence by names that stay (a package, a library, a request), not by places in lists. Registers no rule."""

from __future__ import annotations

from typing import Any

from doctor.case import Case
from doctor.model.facts import known
from doctor.model.report import Evidence
from doctor.model.snapshot import Library, Package, Toolkit

from .requirements import Asked

Thing = str | Package | Library | Asked | None


def evidence(case: Case, *things: Thing) -> tuple[Evidence, ...]:
    """What a finding rests on: dotted paths of single facts, packages, libraries and requests; None is left out.

    The facts of a finding enter its fingerprint: a package that is installed beside it must not change them.
    """
    rows: list[Evidence] = []
    for thing in things:
        if isinstance(thing, str):
            rows += [Evidence(row.fact, _plain(row.value), row.source) for row in case.evidence(thing)]
        elif thing is not None:
            rows.append(_named(case, thing))
    return tuple(dict.fromkeys(rows))


def _named(case: Case, thing: Package | Library | Asked) -> Evidence:
    if isinstance(thing, Package):
        version, build = known(thing.version) or "version not known", known(thing.build)
        return Evidence(
            f"software.packages.{thing.name}", f"{version} {build}" if build else version, _source(case, "packages")
        )
    if isinstance(thing, Library):
        words = [known(thing.version), known(thing.origin), known(thing.path)]
        text = " ".join(word for word in words if word) or "found"
        return Evidence(f"software.cuda.libraries.{thing.soname}", text, _source(case, "cuda.libraries"))
    return Evidence(f"software.requested.{thing.name}", thing.row.requirement, known(thing.row.where) or "snapshot")


def _source(case: Case, path: str) -> str:
    return "derived" if f"software.{path}" in case.snapshot.derived else "snapshot"


def _plain(value: Any) -> Any:
    """A value as text and numbers: toolkits by version and folder."""
    if isinstance(value, (tuple, list)):
        return tuple(_plain(item) for item in value)
    if isinstance(value, Toolkit):
        path = known(value.path)
        return f"{known(value.version) or 'version not known'}" + (f" {path}" if path else "")
    return value
