"""Images of the services in a compose file, after interpolation with ``.env`` and defaults."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from doctor.images import placed
from doctor.images.interpolate import Expansion, ExpansionError, expand_compose
from doctor.images.use import ImageUse, Unreadable
from doctor.images.yaml_nodes import Document, Scalar, load

USE = "compose"


def parse(text: str, path: str, values: Mapping[str, str] | None = None) -> tuple[list[ImageUse], list[Unreadable]]:
    """The images that services use without building them, and what could not be read.

    Args:
        text: the decoded file.
        path: as it is to stand in the rows.
        values: variables, as :func:`environment` reads them; those of the shell are not asked.
    """
    loaded = load(text)
    found: dict[tuple[int, int], ImageUse] = {}
    for document in loaded.documents:
        for service in _services(document):
            use = _image(document, service, path, values or {})
            if use is not None:
                found.setdefault((use.line, use.column), use)
    return list(found.values()), [Unreadable(path, line, why) for line, why in loaded.problems]


def environment(text: str) -> dict[str, str]:
    """The variables of an ``.env`` file; a line that is none is left out."""
    from dotenv import dotenv_values  # noqa: PLC0415 (only where a compose file has one)

    return {k: v for k, v in dotenv_values(stream=io.StringIO(text), interpolate=False).items() if v is not None}


def _services(document: Document) -> list[Any]:
    root = document.mapping(document.root)
    if "services" in root:
        return list(document.mapping(root["services"]).values())
    # files of the first version name the services at the top
    return [node for node in root.values() if {"image", "build"} & document.mapping(node).keys()]


def _image(document: Document, service: Any, path: str, values: Mapping[str, str]) -> ImageUse | None:
    if document.at(service, "build") is not None:
        return None
    scalar = document.scalar(document.at(service, "image"))
    if scalar is None or not scalar.text.strip():
        return None
    expansion, error, open_ = expand(scalar, values)
    platform = document.text(document.at(service, "platform"))
    use = placed.use_of(scalar, USE, path, expansion=expansion, error=error, platform=platform)
    return placed.opened(use) if open_ else use


def expand(scalar: Scalar, values: Mapping[str, str]) -> tuple[Expansion | None, str | None, bool]:
    """A value after interpolation, why that failed, and whether it failed for want of a value (``${X:?}``)."""
    try:
        return expand_compose(scalar.text, values), None, False
    except ExpansionError as error:
        if str(error).startswith("required variable"):
            return None, None, True
        return None, str(error), False
