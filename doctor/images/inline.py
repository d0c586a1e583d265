"""Dockerfiles that stand within another file: ``dockerfile_inline`` of compose, ``dockerfile-inline`` of bake."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from doctor.images import dockerfile, placed
from doctor.images.interpolate import Expansion, ExpansionError
from doctor.images.use import ImageUse, Unreadable
from doctor.images.yaml_nodes import Document

CONTEXT_SCHEME = "docker-image://"


@dataclass(frozen=True)
class Line:
    """A line of such a Dockerfile: where it stands, and the offset in the file where its text does, if it does so."""

    text: str
    line: int
    column: int = 1
    offset: int | None = None


def of_node(document: Document, node: Any) -> list[Line]:
    """The lines of a YAML value; those of a literal block stand in the file as they read."""
    scalar = document.scalar(node)
    if scalar is None:
        return []
    texts = scalar.text.split("\n")
    places: Sequence[tuple[int, int | None, str]] | None = document.block(node)
    if places is None:
        return [Line(text, scalar.line, scalar.column) for text in texts]
    found: list[Line] = []
    for number, text in enumerate(texts):
        line, offset, written = places[number] if number < len(places) else (scalar.end_line, None, "")
        if offset is not None and written.endswith(text):
            indent = len(written) - len(text)
            found.append(Line(text, line, indent + 1, offset + indent))
        else:
            found.append(Line(text, line))
    return found


def of_raw(text: str, raw: str, at: int) -> list[Line]:
    """The lines of a text that stands in the file as it is, from the offset ``at``."""
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    found = []
    for number, part in enumerate(raw.split("\n")):
        found.append(Line(part, line + number, column if number == 0 else 1, at))
        at += len(part) + 1
    return found


def expanded(lines: Sequence[Line], expand: Callable[[str], Expansion]) -> tuple[list[Line], set[int]]:
    """The lines after the outer file's own variables; the numbers (from 0) of those that only others can know."""
    found, open_ = [], set()
    for number, one in enumerate(lines):
        try:
            result = expand(one.text) if "$" in one.text else None
        except ExpansionError:
            open_.add(number)
            result = None
        if result is not None and result.blank:
            open_.add(number)
        found.append(replace(one, text=result.text.replace("\n", " ")) if result is not None else one)
    return found, open_


def read(
    lines: Sequence[Line], path: str, text: str, open_: Collection[int] = ()
) -> tuple[list[ImageUse], list[Unreadable]]:
    """The images that a Dockerfile of these lines uses, with their places in the file whose text is ``text``."""
    if not any(one.text.strip() for one in lines):
        return [], []
    inner = "\n".join(one.text for one in lines)
    parsed = dockerfile.parse(inner, path)
    places = _Places(lines, inner, text)
    uses = []
    for use in parsed.uses:
        moved = places.moved(use)
        uses.append(placed.opened(moved) if use.line - 1 in open_ else moved)
    problems = [
        Unreadable(path, places.at(problem.line or 1).line, problem.why)
        for problem in parsed.problems
        if (problem.line or 1) - 1 not in open_
    ]
    return uses, problems


class _Places:
    """From places in the Dockerfile to places in the file around it."""

    def __init__(self, lines: Sequence[Line], inner: str, text: str) -> None:
        self._lines = lines
        self._inner = inner
        self._text = text
        self._starts = [0, *itertools.accumulate(len(one.text) + 1 for one in lines)]

    def at(self, number: int) -> Line:
        return self._lines[min(max(number, 1), len(self._lines)) - 1]

    def moved(self, use: ImageUse) -> ImageUse:
        first, text_line = self.at(use.line), self.at(use.text_line or use.line)
        return replace(
            use,
            line=first.line,
            column=first.column + use.column - 1,
            end_line=self.at(use.end_line).line,
            text_line=text_line.line,
            text_column=text_line.column + use.text_column - 1,
            span=self._span(use.span),
            raw_span=self._span(use.raw_span),
        )

    def _span(self, span: tuple[int, int] | None) -> tuple[int, int] | None:
        """The same text in the file around, if it stands there in one piece."""
        if span is None:
            return None
        number = bisect.bisect_right(self._starts, span[0]) - 1
        offset = self._lines[number].offset if number < len(self._lines) else None
        if offset is None:
            return None
        start = offset + span[0] - self._starts[number]
        end = start + span[1] - span[0]
        return (start, end) if self._text[start:end] == self._inner[span[0] : span[1]] else None
