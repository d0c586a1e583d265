"""What the builds of compose, bake and dev container files say of Dockerfiles: where they are, and names they may use.

A name that a build gives to a context of its own is no image: BuildKit looks for a named context before it looks for
an image of that name, so ``FROM base`` then is what the compose or bake file says it is.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from doctor.images import bake, compose, devcontainer, discover
from doctor.images.yaml_nodes import load

DOCKERFILE = "Dockerfile"


@dataclass(frozen=True)
class Build:
    """A Dockerfile, by its path in the project, and the names that it may use for something else than images."""

    dockerfile: str
    names: tuple[str, ...] = ()


def builds(text: str, path: str, kind: str) -> list[Build]:
    """The builds of a file; none for a file of another kind, or where it cannot be read."""
    readers: dict[str, Callable[[str, str], Iterator[tuple[str, str, list[str]]]]] = {
        discover.COMPOSE: _compose,
        discover.BAKE: _bake,
        discover.DEVCONTAINER: _devcontainer,
    }
    if kind not in readers or ("contexts" not in text and "dockerfile" not in text.lower()):
        return []
    folder = posixpath.dirname(path)
    found = []
    for context, dockerfile, names in readers[kind](text, path):
        if "$" not in context + dockerfile and "://" not in context:
            place = posixpath.normpath(posixpath.join(folder, context, dockerfile))
            found.append(Build(place, tuple(names)))
    return found


def _compose(text: str, _path: str) -> Iterator[tuple[str, str, list[str]]]:
    for document in load(text).documents:
        for service in compose.services_of(document).values():
            build = document.at(service, "build")
            contexts = document.at(build, "additional_contexts")
            listed = [document.text(node) or "" for node in document.sequence(contexts)]
            names = [*document.mapping(contexts), *(word.partition("=")[0] for word in listed)]
            context = document.text(document.at(build, "context"))
            yield context or ".", document.text(document.at(build, "dockerfile")) or DOCKERFILE, names


def _bake(text: str, path: str) -> Iterator[tuple[str, str, list[str]]]:
    for body in bake.targets(text, path):
        contexts = body.get("contexts")
        names = [bake.string(name) or "" for name in contexts] if isinstance(contexts, dict) else []
        yield bake.string(body.get("context")) or ".", bake.string(body.get("dockerfile")) or DOCKERFILE, names


def _devcontainer(text: str, _path: str) -> Iterator[tuple[str, str, list[str]]]:
    try:
        root = json.loads(devcontainer.without_comments(text).removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return
    build = root.get("build") if isinstance(root, dict) else None
    named = (
        build.get("dockerfile")
        if isinstance(build, dict)
        else root.get("dockerFile")
        if isinstance(root, dict)
        else None
    )
    if isinstance(named, str):
        yield ".", named, []  # relative to this file, whatever the context is
