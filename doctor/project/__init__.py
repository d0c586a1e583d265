"""What a repository says: the images it names, its requirements, lock files and suppressions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["collect_project"]


def collect_project(
    folder: Path, build_args: Mapping[str, str] | None = None, texts: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The ``project`` section of a snapshot (contract, section 2), read from the files of a folder.

    Nothing is executed and no network is used. Besides ``images``, ``requirements`` and ``lock_files`` it holds
    ``unreadable`` ({path, line, why}), ``suppressions`` ({path, line, codes, reason, until}) and ``requested``, the
    rows of ``software.requested``, and ``environment`` ({name, value, path, line, end_line}: variables of TensorFlow
    and Keras that the files set). An image that is used by tag and stands in the folder's ``kdoctor.lock`` has what
    that tag named under ``recorded`` ({digest, date, source}). ``scripts``: see :mod:`doctor.project.scripts`.

    Args:
        folder: the project's folder. Paths in the result are relative to it.
        build_args: values of ``--build-arg`` for Dockerfiles.
        texts: what files of the folder would say, by path, in place of what they do.

    Raises:
        NotADirectoryError: there is no such folder.
    """
    from doctor.project.collect import collect  # noqa: PLC0415 (a package that is imported for its types stays light)
    from doctor.project.recorded import with_lock  # noqa: PLC0415

    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: not a folder")
    return with_lock(collect(folder, build_args, texts), folder)
