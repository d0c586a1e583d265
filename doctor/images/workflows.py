"""Images in GitHub workflows and actions: job containers, services, and steps that use ``docker://``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from doctor.images import placed
from doctor.images.use import ImageUse, Unreadable
from doctor.images.yaml_nodes import Document, Documents, Scalar, load

USE = "workflow"


def parse_workflow(text: str, path: str) -> tuple[list[ImageUse], list[Unreadable]]:
    """The images of a workflow, and what could not be read."""
    loaded = load(text)
    scalars: list[Scalar | None] = []
    for document in loaded.documents:
        for job in document.mapping(document.at(document.root, "jobs")).values():
            scalars.append(_image(document, document.at(job, "container")))
            services = document.mapping(document.at(job, "services"))
            scalars += [_image(document, service) for service in services.values()]
            scalars += _steps(document, job)
    return _result(loaded, scalars, path)


def parse_action(text: str, path: str) -> tuple[list[ImageUse], list[Unreadable]]:
    """The images of an action (``action.yml``): ``runs.image``, and the steps of a composite action."""
    loaded = load(text)
    scalars: list[Scalar | None] = []
    for document in loaded.documents:
        runs = document.at(document.root, "runs")
        image = document.scalar(document.at(runs, "image"))
        if image is not None and image.text.startswith(placed.DOCKER_SCHEME):
            scalars.append(image)
        scalars += _steps(document, runs)
    return _result(loaded, scalars, path)


def _image(document: Document, node: Any) -> Scalar | None:
    """A container or service: its name, or a mapping that holds it."""
    return document.scalar(node) or document.scalar(document.at(node, "image"))


def _steps(document: Document, node: Any) -> Iterator[Scalar]:
    for step in document.sequence(document.at(node, "steps")):
        uses = document.scalar(document.at(step, "uses"))
        if uses is not None and uses.text.startswith(placed.DOCKER_SCHEME):
            yield uses


def _result(
    loaded: Documents, scalars: list[Scalar | None], path: str
) -> tuple[list[ImageUse], list[Unreadable]]:  # fmt: skip
    uses = [
        placed.use_of(scalar, USE, path, scheme=placed.DOCKER_SCHEME)
        for scalar in scalars
        if scalar is not None and scalar.text.strip()
    ]
    unique = {(use.line, use.column): use for use in uses}
    return list(unique.values()), [Unreadable(path, line, why) for line, why in loaded.problems]
