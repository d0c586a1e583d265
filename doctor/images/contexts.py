"""Names that a build gives to contexts of its own: ``FROM base`` then is what the compose or bake file says it is.

BuildKit looks for a named context before it looks for an image of that name; so a Dockerfile's bare ``base`` is no
image without a tag where the build that uses this Dockerfile names a context so.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from doctor.images import bake, compose, discover
from doctor.images.yaml_nodes import load

Replaced = tuple[str, str]
"""A Dockerfile's path and the name that it may use for something else than an image of that name."""


def replaced(text: str, path: str, kind: str) -> set[Replaced]:
    """What the builds of a compose or bake file replace; nothing for files of another kind, or without contexts."""
    if "contexts" not in text:
        return set()
    folder = posixpath.dirname(path)
    builds = _compose(text) if kind == discover.COMPOSE else _bake(text, path) if kind == discover.BAKE else ()
    found = set()
    for context, dockerfile, names in builds:
        place = posixpath.normpath(posixpath.join(folder, context, dockerfile))
        found |= {(place, name) for name in names}
    return found


def _compose(text: str) -> Iterator[tuple[str, str, list[str]]]:
    for document in load(text).documents:
        for service in compose.services_of(document).values():
            build = document.at(service, "build")
            contexts = document.at(build, "additional_contexts")
            listed = [document.text(node) or "" for node in document.sequence(contexts)]
            names = [*document.mapping(contexts), *(word.partition("=")[0] for word in listed)]
            context = document.text(document.at(build, "context"))
            yield context or ".", document.text(document.at(build, "dockerfile")) or "Dockerfile", names


def _bake(text: str, path: str) -> Iterator[tuple[str, str, list[str]]]:
    for body in bake.targets(text, path):
        contexts: Any = body.get("contexts")
        names = [bake.string(name) or "" for name in contexts] if isinstance(contexts, dict) else []
        yield bake.string(body.get("context")) or ".", bake.string(body.get("dockerfile")) or "Dockerfile", names
