"""The image of a ``devcontainer.json``, which is JSON with comments and trailing commas.

Its features lie in registries too, but are no images: tools resolve ``feature:1`` by its version, and a lock file of
their own holds the digests. Its ``build.dockerfile`` is read as the Dockerfile that it is.
"""

from __future__ import annotations

import json
import re
from typing import Any

from doctor.images import placed
from doctor.images.use import ImageUse, Unreadable
from doctor.images.yaml_nodes import Scalar, load

USE = "devcontainer"
# what is never closed runs to the end, so that no part of the text is looked at twice
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"?|//[^\n]*|/\*.*?(?:\*/|\Z)|,(?=\s*[}\]])|\t', re.DOTALL)

_IMAGE = re.compile(r'"image"\s*:\s*"([^"\\\n]*)"')


def parse(text: str, path: str) -> tuple[list[ImageUse], list[Unreadable]]:
    """The image that a dev container is started from, and what could not be read."""
    plain = without_comments(text)
    try:
        root = json.loads(plain.removeprefix("\ufeff") or "{}")
    except json.JSONDecodeError as error:
        return [], [Unreadable(path, error.lineno, f"not JSON: {error.msg}")]
    except RecursionError:
        return [], [Unreadable(path, None, "nested too deep to be read")]
    if '"image"' not in plain:
        return [], []
    scalar = _image(plain) or _searched(plain, root)
    if scalar is None or not scalar.text.strip():
        return [], []
    use = placed.use_of(scalar, USE, path)
    return [placed.opened(use) if "${" in scalar.text else use], []


def _image(plain: str) -> Scalar | None:
    # JSON without tabs is YAML, and YAML's nodes know their places
    documents = load(plain).documents
    if not documents:
        return None
    return documents[0].scalar(documents[0].at(documents[0].root, "image"))


def _searched(plain: str, root: Any) -> Scalar | None:
    """The image where a line end before the colon makes the JSON no YAML: the first value that reads so."""
    name = root.get("image") if isinstance(root, dict) else None
    for match in _IMAGE.finditer(plain) if isinstance(name, str) and name else ():
        if match[1] == name:
            line = plain.count("\n", 0, match.start(1)) + 1
            return Scalar(name, line, match.start(1) - plain.rfind("\n", 0, match.start(1)), line, match.span(1))
    return None


def without_comments(text: str) -> str:
    """JSON without comments, trailing commas and tabs; blanks take their place, so that all else keeps its own."""
    text = _TOKEN.sub(_blank, text)
    # a comment may have stood between a comma and its bracket
    return _TOKEN.sub(_blank, text)


def _blank(match: re.Match[str]) -> str:
    token = match[0]
    return token if token.startswith('"') else re.sub(r"[^\r\n]", " ", token)
