"""Requests for packages: another specifier, or another requirement, in the file that asks.

Every candidate is read again by the reader of its file: it stands only where exactly the meant requests have become
what was meant, and nothing else in the file reads differently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from doctor.fix.text import Placed, Text
from doctor.images import discover, dockerfile
from doctor.images.use import clean
from doctor.pin.plan import applied
from doctor.pin.spots import Edit
from doctor.project import installs, manifests, specs
from doctor.project.found import Found, Requirement, SourceFile
from doctor.project.requirements import parse as parse_requirements

_SHELL = re.compile(r"[<>\[\]!*;&|~]")
_CORE = re.compile(r"(?P<head>[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?)(?P<specifier>[^;]*)")
_CONDA_HEAD = re.compile(r"(?:[^\s:]+::)?[A-Za-z0-9_][A-Za-z0-9._-]*")
_CONDA = ("conda", "mamba", "micromamba")
_TABLES = ("poetry", "pipenv")
_BEFORE, _AFTER = r"(?<![A-Za-z0-9._/:@-])", r"(?![A-Za-z0-9._@<>=!~\[-])"
# Readings of the file for one finding; an ordinary one takes one or two.
MOST_TRIES = 40
NOT_LITERAL = "the request is not written in one piece here (a variable, several lines)"


def place(file: Text, rows: list[dict[str, Any]], value: str, build_args: Mapping[str, str]) -> Placed:
    """The edits after which the requests that are these rows of ``project.requirements`` read ``value``.

    ``value``: a specifier, or a whole requirement without marker. Markers stay as they are.
    """
    kind = discover.kind_of(file.path)
    reader = _reader(file, kind, build_args)
    if reader is None:
        return "no edits are made in files of this kind"
    before = reader(file.text)
    meant = [i for i, found in enumerate(before.requirements) if any(_is(found, row) for row in rows)]
    if not meant:
        return "changed since it was read"
    edits: list[Edit] = []
    tries = 0
    for i in meant:
        one = before.requirements[i]
        if one.hashes:
            return "hashes stand beside it: generate the file anew"
        if one.url:
            return "a URL: choose a commit or a hash"
        new = _rewritten(one, value)
        if new is None:
            return f"{value} cannot be written in files of this kind"
        found = None
        for edit in _candidates(file.text, one, *new):
            tries += 1
            if tries > MOST_TRIES:
                break
            if _proven(before, reader(applied(file.text, [edit])), edit, i):
                found = edit
                break
        if found is None:
            return NOT_LITERAL
        if found not in edits:
            edits.append(found)
    return tuple(edits)


def _reader(file: Text, kind: str | None, build_args: Mapping[str, str]) -> Callable[[str], Found] | None:
    def source(text: str) -> SourceFile:
        return SourceFile(file.path, text, file.place.parent)

    def read_dockerfile(text: str) -> Found:
        parsed = dockerfile.parse(text, file.path, build_args)
        return Found(parsed.uses, installs.parse(parsed, file.path), [], parsed.problems)

    if kind == discover.DOCKERFILE:
        return read_dockerfile
    if kind in (discover.REQUIREMENTS, discover.CONSTRAINTS) or (kind is None and file.path.endswith((".txt", ".in"))):
        return lambda text: parse_requirements(source(text)).found
    readers: dict[str | None, Callable[[SourceFile], Found]] = {
        discover.PYPROJECT: manifests.parse_pyproject,
        discover.SETUP_CFG: manifests.parse_setup_cfg,
        discover.PIPFILE: manifests.parse_pipfile,
        discover.CONDA: manifests.parse_conda,
    }
    read = readers.get(kind)
    return (lambda text: read(source(text))) if read else None


def _is(found: Requirement, row: dict[str, Any]) -> bool:
    return (clean(found.name), clean(found.specifier), found.line) == (
        row.get("name"),
        row.get("specifier"),
        row.get("line"),
    )


def _rewritten(one: Requirement, value: str) -> tuple[str, str] | None:
    """The request's text as it stands in the file, and as it is to stand; None where its syntax has no such thing."""
    whole = value[:1].isalnum()
    if one.installer in _TABLES:
        exact = value[2:] if value.startswith("==") and one.installer == "poetry" else value
        return None if whole else (one.specifier or "*", exact)
    if one.installer in _CONDA:
        head = _CONDA_HEAD.match(one.text)
        return None if whole or head is None else (one.text, head[0] + value)
    core = _CORE.match(one.text)
    if core is None:
        return None
    return core[0].rstrip(), value if whole else core["head"].rstrip() + value


def _candidates(text: str, one: Requirement, old: str, new: str) -> Iterator[Edit]:
    lines = text.split("\n")
    start = sum(len(line) + 1 for line in lines[: one.line - 1])
    end = start + sum(len(line) + 1 for line in lines[one.line - 1 : max(one.line, one.end_line)])
    if one.installer in _TABLES:
        for match in re.finditer(rf"[\"']{re.escape(old)}[\"']", text[start:end]):
            yield Edit(start + match.start() + 1, start + match.end() - 1, new)
        return
    for match in re.finditer(_BEFORE + re.escape(old) + _AFTER, text[start:end]):
        first, last = start + match.start(), start + match.end()
        if _SHELL.search(new) and one.kind == "install":
            yield Edit(first, last, f"'{new}'")
        yield Edit(first, last, new)
        if _SHELL.search(new) and one.kind == "install":
            yield Edit(first, last, f'"{new}"')


def _proven(before: Found, after: Found, edit: Edit, meant: int) -> bool:
    """Whether after this edit one request reads as meant and all others as before."""
    if len(before.requirements) != len(after.requirements) or len(before.unreadable) != len(after.unreadable):
        return False
    if [use.reference for use in before.images] != [use.reference for use in after.images]:
        return False
    for i, (old, new) in enumerate(zip(before.requirements, after.requirements, strict=True)):
        if i != meant:
            if _read(old) != _read(new):
                return False
        elif new.marker != old.marker or new.kind != old.kind or not _says(new, edit.text.strip("'\""), old):
            return False
    return True


def _read(one: Requirement) -> tuple[object, ...]:
    return one.name, one.specifier, one.extras, one.marker, one.url, one.line, one.installer, one.exact


def _says(new: Requirement, written: str, one: Requirement) -> bool:
    """Whether the request now reads what was written."""
    if one.installer in _TABLES:
        return new.name == one.name and new.specifier == written
    try:
        read = specs.conda if one.installer in _CONDA else specs.pip
        wanted = read(written, one.path, one.line, installer=one.installer)
    except specs.NotARequirement:
        return False
    if wanted is None or new.name != wanted.name or new.extras != wanted.extras:
        return False
    try:
        return SpecifierSet(new.specifier) == SpecifierSet(wanted.specifier)
    except InvalidSpecifier:
        return new.specifier == wanted.specifier
