"""Requirements files of pip: includes, constraints, hashes, options, continuation lines, as pip reads them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from doctor.project import specs
from doctor.project.found import Found, SourceFile

_COMMENT = re.compile(r"(^|\s)#.*$")
_HASH = re.compile(r"--hash[= ]\s*([a-z0-9]+:[0-9a-fA-F]+)")
_OPTION = re.compile(r"\s(?=--?[A-Za-z])")
_INCLUDES = {"-r": "requirement", "--requirement": "requirement", "-c": "constraint", "--constraint": "constraint"}
_MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Include:
    """Another file that a requirements file names. ``kind``: requirement or constraint."""

    path: str
    kind: str
    line: int


@dataclass
class RequirementsFile:
    """A requirements file, and the files that it names."""

    found: Found = field(default_factory=Found)
    includes: list[Include] = field(default_factory=list)


def parse(file: SourceFile, kind: str = "requirement") -> RequirementsFile:
    """Read a requirements file. A line that cannot be read is a problem with its line, the rest is read.

    Args:
        file: the file.
        kind: ``constraint`` for a file that only limits what others ask for.
    """
    result = RequirementsFile()
    for number, line in _logical_lines(file.text):
        try:
            _read_line(result, file, kind, number, line)
        except specs.NotARequirement as error:
            if len(result.found.unreadable) < _MOST_PROBLEMS:
                result.found.fail(file.path, number, str(error))
    return result


def _read_line(result: RequirementsFile, file: SourceFile, kind: str, number: int, line: str) -> None:
    if line.startswith("-"):
        name, value = _option(line)
        if name in _INCLUDES and value:
            result.includes.append(Include(value, _INCLUDES[name], number))
        elif name in ("-e", "--editable") and "://" in value:
            requirement = specs.pip(value, file.path, number, kind=kind)
            if requirement:
                result.found.requirements.append(requirement)
        return
    text, *options = _OPTION.split(line, maxsplit=1)
    hashes = tuple(_HASH.findall(" " + options[0])) if options else ()
    requirement = specs.pip(text, file.path, number, hashes=hashes, kind=kind)
    if requirement is not None:
        result.found.requirements.append(requirement)


def _option(line: str) -> tuple[str, str]:
    """Name and value of an option alone on its line (``-r base.txt``, ``-rbase.txt``, ``--requirement=…``)."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    first = words[0]
    if first.startswith("--"):
        name, equals, value = first.partition("=")
        return name, value if equals else (words[1] if len(words) > 1 else "")
    if len(first) > 2:
        return first[:2], first[2:].removeprefix("=")
    return first, words[1] if len(words) > 1 else ""


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments and blank ones, continuations joined, with the number of their first line."""
    begun, parts = 0, list[str]()
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        comment = raw.lstrip().startswith("#")
        if not parts:
            begun = number
        if raw.endswith("\\") and not comment:
            parts.append(raw.rstrip("\\"))
            continue
        parts.append(" " + raw if comment else raw)
        line = _COMMENT.sub("", "".join(parts)).strip()
        parts = []
        if line:
            yield begun, line
    if parts:
        line = _COMMENT.sub("", "".join(parts)).strip()
        if line:
            yield begun, line
