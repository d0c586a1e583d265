"""Images in GitLab CI files: ``image`` and ``services`` of jobs, of ``default`` and at the top."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from doctor.images import placed
from doctor.images.interpolate import LONGEST, Expansion
from doctor.images.use import ImageUse, Unreadable
from doctor.images.yaml_nodes import Document, Scalar, load

USE = "gitlab"
_VARIABLE = re.compile(r"\$\$|\$\{(\w+)\}|\$(\w+)|%(\w+)%")
_MOST_PASSES = 5
_MOST_EXTENDED = 20  # the server allows 11 levels
# keys at the top that are neither jobs nor hold images
_NO_JOBS = frozenset({"variables", "include", "workflow", "stages", "spec", "cache"})


def parse(text: str, path: str) -> tuple[list[ImageUse], list[Unreadable]]:
    """The images of a GitLab CI file, and what could not be read.

    Variables are those that the file itself sets; what only the server knows leaves the image open.
    """
    loaded = load(text)
    found: dict[tuple[int, int], ImageUse] = {}
    for document in loaded.documents:
        jobs = {k: v for k, v in document.mapping(document.root).items() if k not in _NO_JOBS}
        top = _variables(document, document.root)
        for node in (document.root, *jobs.values()):
            values = {**top, **_inherited(document, jobs, node)}
            for scalar in _images(document, node):
                expansion = expand(scalar.text, values)
                use = placed.use_of(scalar, USE, path, expansion=expansion)
                if expansion.unset:
                    use = placed.opened(use)
                found.setdefault((use.line, use.column), use)
    return list(found.values()), [Unreadable(path, line, why) for line, why in loaded.problems]


def _images(document: Document, node: Any) -> list[Scalar]:
    entries = document.mapping(node)
    nodes = [entries.get("image"), *document.sequence(entries.get("services"))]
    scalars = [document.scalar(n) or document.scalar(document.at(n, "name")) for n in nodes]
    return [s for s in scalars if s is not None and s.text.strip()]


def _inherited(document: Document, jobs: Mapping[str, Any], node: Any) -> dict[str, str]:
    """The variables of a job, those of the jobs of this file that it extends included."""
    values: dict[str, str] = {}
    pending, seen = [node], 0
    while pending and seen < _MOST_EXTENDED:
        seen += 1
        job = pending.pop(0)
        values = {**_variables(document, job), **values}
        extended = document.at(job, "extends")
        names = [document.text(item) for item in document.sequence(extended) or [extended]]
        # of several, the last one wins
        pending += [jobs[name] for name in reversed(names) if name is not None and name in jobs]
    return values


def _variables(document: Document, node: Any) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, item in document.mapping(document.at(node, "variables")).items():
        text = document.text(item)
        if text is None:
            text = document.text(document.at(item, "value"))
        if text is not None:
            values[name] = text
    return values


def expand(text: str, values: Mapping[str, str]) -> Expansion:
    """A value after GitLab's variables (``$X``, ``${X}``, ``%X%``), which may name one another."""
    used: dict[str, None] = {}
    unset: dict[str, None] = {}

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3]
        if name is None:
            return "$$"
        used[name] = None
        if name not in values:
            unset[name] = None
            return match[0]
        return values[name][:LONGEST]

    for _ in range(_MOST_PASSES):
        expanded = _VARIABLE.sub(value, text)[:LONGEST]
        if expanded == text:
            break
        text = expanded
    return Expansion(text.replace("$$", "$"), tuple(used), tuple(unset))
