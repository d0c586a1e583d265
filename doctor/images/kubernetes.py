"""Images in Kubernetes manifests: containers of every kind in every kind of object, and image volumes.

The steps of Argo's workflows and of Tekton's tasks are containers too.
"""

from __future__ import annotations

import re

from doctor.images import placed
from doctor.images.use import ImageUse, Unreadable
from doctor.images.yaml_nodes import TEMPLATE, load

USE = "kubernetes"
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers", "sidecars", "steps")
# the one container of a step, as Argo and Tekton have it
_CONTAINER = ("container", "script", "stepTemplate")
# a document is parsed when it is an object of the API and gives an image a value on the same line
_OBJECT = re.compile(
    r"""\A(?=[\s\S]*?(?:^|[{,])[- \t"']*apiVersion["']?[ \t]*:)(?=[\s\S]*?(?:^|[{,])[- \t"']*kind["']?[ \t]*:)"""
    r"""[\s\S]*?\b(?:image|reference)["']?[ \t]*:[ \t]*[^\s#]""",
    re.MULTILINE,
)


def parse(text: str, path: str) -> tuple[list[ImageUse], list[Unreadable]]:
    """The images that the objects of a manifest use, and what could not be read; nothing for YAML of another kind."""
    if "image" not in text or "apiVersion" not in text:
        return [], []
    loaded = load(text, _OBJECT)
    uses: list[ImageUse] = []
    for document in loaded.documents:
        root = document.mapping(document.root)
        if "apiVersion" not in root or "kind" not in root:
            continue
        for node in document.nodes():
            if node.id != "mapping":
                continue
            entries = document.mapping(node)
            scalars = [
                document.scalar(document.at(item, "image"))
                for key in _CONTAINERS
                for item in document.sequence(entries.get(key))
            ]
            scalars += [document.scalar(document.at(entries.get(key), "image")) for key in _CONTAINER]
            scalars += [
                document.scalar(document.at(item, "image", "reference"))
                for item in document.sequence(entries.get("volumes"))
            ]
            uses += [placed.use_of(s, USE, path) for s in scalars if s is not None and s.text.strip()]
    unique = {(use.line, use.column): use for use in uses}
    problems = [Unreadable(path, line, why) for line, why in loaded.problems]
    return sorted(unique.values(), key=lambda u: (u.line, u.column)), _once(problems)


def _once(problems: list[Unreadable]) -> list[Unreadable]:
    """A template fails in each of its documents: one row is enough."""
    templates = [p for p in problems if p.why == TEMPLATE]
    return templates[:1] + [p for p in problems if p.why != TEMPLATE]
