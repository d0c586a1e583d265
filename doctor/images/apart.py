"""Images whose name, tag and digest stand apart: ``images`` of a kustomization, and the values of a Helm chart.

Only what both names an image and decides its tag is one: a new name without a tag, or a tag that the chart's own
version stands in for, is chosen elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from doctor.images import placed
from doctor.images.use import ImageUse, Unreadable
from doctor.images.yaml_nodes import Document, Scalar, load

KUSTOMIZE, HELM = "kustomize", "helm"
_IMAGES = re.compile(r"^[ \t]*[\"']?images[\"']?[ \t]*:", re.MULTILINE)
_KEY = re.compile(r"(?:.*[a-z\d_-])?image", re.IGNORECASE)  # image, initImage, metrics-image


def parse_kustomization(text: str, path: str) -> tuple[list[ImageUse], list[Unreadable]]:
    """The images to which a kustomization gives a tag or a digest, and what could not be read."""
    if not _IMAGES.search(text):
        return [], []
    loaded = load(text)
    uses = []
    for document in loaded.documents:
        for item in document.sequence(document.at(document.root, "images")):
            entry = document.mapping(item)
            name = document.text(entry.get("newName")) or document.text(entry.get("name"))
            tag, digest = document.scalar(entry.get("newTag")), document.scalar(entry.get("digest"))
            uses += list(_use(name, tag, digest, KUSTOMIZE, path))
    return uses, [Unreadable(path, line, why) for line, why in loaded.problems]


def parse_values(text: str, path: str) -> tuple[list[ImageUse], list[Unreadable]]:
    """The images that a chart's values name by ``repository`` and ``tag``, and what could not be read."""
    if "repository" not in text or "tag" not in text:
        return [], []
    loaded = load(text)
    uses = []
    for document in loaded.documents:
        for node in _images(document):
            entry = document.mapping(node)
            tag, digest = document.scalar(entry.get("tag")), document.scalar(entry.get("digest"))
            uses += list(_use(_repository(document, entry), tag, digest, HELM, path))
    unique = {(use.line, use.column): use for use in uses}
    return list(unique.values()), [Unreadable(path, line, why) for line, why in loaded.problems]


def _images(document: Document) -> Iterator[Any]:
    """The mappings under a key that speaks of an image."""
    for node in document.nodes():
        for key, value in document.mapping(node).items():
            if _KEY.fullmatch(key) and "repository" in document.mapping(value):
                yield value


def _repository(document: Document, entry: dict[str, Any]) -> str | None:
    repository, registry = document.text(entry.get("repository")), document.text(entry.get("registry"))
    if not repository:
        return None
    return f"{registry.rstrip('/')}/{repository}" if registry else repository


def _use(name: str | None, tag: Scalar | None, digest: Scalar | None, use: str, path: str) -> Iterator[ImageUse]:
    """The image, where a tag or a digest is given; at the place of what decides.

    A digest can be written behind the tag: kustomize and the templates of charts put both behind the name and a colon.
    """
    tagged = tag is not None and tag.text.strip() != ""
    pinned = digest is not None and digest.text.strip() != ""
    decides = digest if pinned else tag if tagged else None
    if not name or not name.strip() or decides is None:
        return
    text = name.strip() + (f":{tag.text.strip()}" if tag is not None and tagged else "")
    text += f"@{digest.text.strip()}" if digest is not None and pinned else ""
    yield placed.use_apart(text, decides, use, path)
