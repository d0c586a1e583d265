"""Images of the services in a compose file, after interpolation with ``.env`` and defaults; those of builds, too:
Dockerfiles within the file, and contexts that are images.

What a service of the file builds is not pulled: neither its own ``image``, nor where another service names the same.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from doctor.images import inline, placed, reference
from doctor.images.interpolate import Expansion, ExpansionError, expand_compose
from doctor.images.use import ImageUse, Unreadable
from doctor.images.yaml_nodes import Document, Scalar, load

USE = "compose"
_MOST_EXTENDED = 20
# in a mapping the name of the context is its key; in a list it stands before the value
_CONTEXT = re.compile(rf"(?:[^=/]*=)?{inline.CONTEXT_SCHEME}")
# a line of an .env file with a colon in the sign's place
_COLON = re.compile(r"^([ \t]*(?:export[ \t]+)?[\w.-]+[ \t]*):", re.MULTILINE)
# names to which an .env file gives a value in single quotes, in which nothing is interpolated
_LITERAL = re.compile(r"^[ \t]*(?:export[ \t]+)?([\w.]+)[ \t]*=[ \t]*'", re.MULTILINE)


def parse(text: str, path: str, values: Mapping[str, str] | None = None) -> tuple[list[ImageUse], list[Unreadable]]:
    """The images that services use, and those that their builds name here; what could not be read.

    Args:
        text: the decoded file.
        path: as it is to stand in the rows.
        values: variables, as :func:`environment` reads them; those of the shell are not asked.
    """
    loaded = load(text)
    found: dict[tuple[int, int], ImageUse] = {}
    problems = [Unreadable(path, line, why) for line, why in loaded.problems]
    for document in loaded.documents:
        services = services_of(document)
        built: set[str | None] = set()
        pulled: list[ImageUse] = []
        for name in services:
            use = _image(document, services[name], path, values or {})
            if use is not None and _is_built(document, services, name):
                built.add(_full_name(use))
            elif use is not None:
                pulled.append(use)
        for use in pulled:
            full = _full_name(use)
            if full is None or full not in built:
                found.setdefault((use.line, use.column), use)
        for service in services.values():
            uses, faults = _build(document, document.at(service, "build"), path, text, values or {})
            found |= {(use.line, use.column): use for use in uses if (use.line, use.column) not in found}
            problems += [fault for fault in faults if fault not in problems]  # an anchor is read once for each alias
    return list(found.values()), problems


def _build(
    document: Document, build: Any, path: str, text: str, values: Mapping[str, str]
) -> tuple[list[ImageUse], list[Unreadable]]:
    """The images of a build: those of ``dockerfile_inline``, and its contexts that are ``docker-image://``."""
    lines = inline.of_node(document, document.at(build, "dockerfile_inline"))
    lines, open_ = inline.expanded(lines, lambda line: expand_compose(line, values))
    uses, problems = inline.read(lines, path, text, open_)
    contexts = document.at(build, "additional_contexts")
    for node in (*document.mapping(contexts).values(), *document.sequence(contexts)):
        scalar = document.scalar(node)
        scheme = _CONTEXT.match(scalar.text) if scalar is not None else None
        if scalar is None or scheme is None:
            continue
        expansion, error, unknown = expand(scalar, values)
        use = placed.use_of(scalar, USE, path, expansion=expansion, error=error, scheme=scheme[0])
        uses.append(placed.opened(use) if unknown else use)
    return uses, problems


def environment(text: str) -> dict[str, str]:
    """The variables of an ``.env`` file, which may name those above them; a line that is none is left out."""
    from dotenv import dotenv_values  # noqa: PLC0415 (only where a compose file has one)

    text = _COLON.sub(r"\1=", text)  # compose takes ``NAME: value`` too
    literal = set(_LITERAL.findall(text))
    values: dict[str, str] = {}
    for name, value in dotenv_values(stream=io.StringIO(text), interpolate=False).items():
        if value is None:
            continue
        try:
            values[name] = value if name in literal else expand_compose(value, values).text
        except ExpansionError:
            values[name] = value
    return values


def services_of(document: Document) -> dict[str, Any]:
    """The services of a compose file by their names."""
    root = document.mapping(document.root)
    if "services" in root:
        return document.mapping(root["services"])
    # files of the first version name the services at the top
    return {name: node for name, node in root.items() if {"image", "build"} & document.mapping(node).keys()}


def _is_built(document: Document, services: Mapping[str, Any], name: str) -> bool:
    """Whether a service has a ``build``, its own or that of a service of this file which it extends."""
    seen: set[str] = set()
    while name in services and name not in seen and len(seen) < _MOST_EXTENDED:
        seen.add(name)
        build = document.mapping(services[name]).get("build")
        if build is not None:
            return not _is_taken_back(build)
        extended = document.at(services[name], "extends")
        if document.at(extended, "file") is not None:
            return False
        name = document.text(extended) or document.text(document.at(extended, "service")) or ""
    return False


def _is_taken_back(node: Any) -> bool:
    """Whether a value is ``null`` or ``!reset …``, which takes back what another file says."""
    tag = str(getattr(node, "tag", None) or "")
    return tag.endswith((":null", "!reset"))


def _full_name(use: ImageUse) -> str | None:
    """The image's full name with its tag; None where it cannot be told."""
    try:
        found = reference.parse(use.reference)
    except reference.InvalidReference:
        return None
    return found.normalized if found.tag or found.digest else f"{found.normalized}:latest"


def _image(document: Document, service: Any, path: str, values: Mapping[str, str]) -> ImageUse | None:
    node = document.at(service, "image")
    scalar = document.scalar(node)
    if scalar is None or not scalar.text.strip() or _is_taken_back(node):
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
