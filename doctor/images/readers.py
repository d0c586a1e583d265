"""The reader for each kind of file in which an image is one value; Dockerfiles have one of their own."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from pathlib import Path

from doctor.images import discover
from doctor.images.discover import Candidate
from doctor.images.use import ImageUse, Unreadable

Read = tuple[list[ImageUse], list[Unreadable]]

# The kinds of files that name images; the others name requirements.
IMAGE_KINDS = frozenset(
    {
        discover.DOCKERFILE, discover.COMPOSE, discover.WORKFLOW, discover.ACTION, discover.GITLAB,
        discover.DEVCONTAINER, discover.BAKE, discover.YAML, discover.KUSTOMIZATION, discover.HELM_VALUES,
    }
)  # fmt: skip


def parse_values(text: str, path: str, kind: str, variables: Mapping[str, str] | None = None) -> Read:
    """The images that a file of this kind names, and what could not be read; nothing for a kind that names none.

    Args:
        text: the decoded file.
        path: as it is to stand in the rows.
        kind: as :mod:`doctor.images.discover` names it.
        variables: of the ``.env`` file beside a compose file.
    """
    from doctor.images import apart, bake, compose, devcontainer, gitlab, kubernetes, workflows  # noqa: PLC0415

    if kind == discover.COMPOSE:
        return compose.parse(text, path, variables)
    readers: dict[str, Callable[[str, str], Read]] = {
        discover.WORKFLOW: workflows.parse_workflow,
        discover.ACTION: workflows.parse_action,
        discover.GITLAB: gitlab.parse,
        discover.DEVCONTAINER: devcontainer.parse,
        discover.BAKE: bake.parse,
        discover.YAML: kubernetes.parse,
        discover.KUSTOMIZATION: apart.parse_kustomization,
        discover.HELM_VALUES: apart.parse_values,
    }
    return readers[kind](text, path) if kind in readers else ([], [])


def compose_variables(root: Path, path: str) -> dict[str, str] | Unreadable:
    """The variables of the ``.env`` file beside a compose file, which must lie inside ``root``."""
    from doctor.images import compose  # noqa: PLC0415 (only where such a file is met)

    beside = posixpath.join(posixpath.dirname(path), ".env")
    place = root / beside
    if not place.is_file() or not place.resolve().is_relative_to(root.resolve()):
        return {}
    text = discover.read(root, Candidate(beside, discover.COMPOSE, place.stat().st_size))
    return text if isinstance(text, Unreadable) else compose.environment(text)
