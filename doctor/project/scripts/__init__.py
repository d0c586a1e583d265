"""Training scripts and notebooks of a project, read as syntax trees and never executed (``project.scripts``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["collect_scripts"]


def collect_scripts(
    folder: Path, seconds: float = 20.0, texts: Mapping[str, str] | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of ``project.scripts``, of ``project.unreadable`` and of ``project.suppressions`` that scripts give.

    A row is a script or notebook that speaks of TensorFlow or Keras: ``path``, ``kind`` (script, notebook), ``trains``
    (how, or None), ``keras`` (the homes it is imported from), ``backend``, and ``facts``: each with ``what``, ``line``,
    ``column`` and ``text`` (of notebooks ``cell`` and ``cell_line`` too). A fact that ends in ``-unset`` stands at the
    first place that trains.

    Args:
        folder: the project's folder.
        seconds: after these no further file is opened.
        texts: what files of the folder would say, by path, in place of what they do.
    """
    from doctor.project.scripts.collect import collect  # noqa: PLC0415 (a package imported for its types stays light)

    return collect(folder, seconds, texts or {})
