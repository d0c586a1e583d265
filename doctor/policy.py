"""The policy's own keys: what the gate looks at, what it denies, and where in the project its files may lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from doctor.configuration import ConfigFile
from doctor.errors import UsageError
from doctor.targets.words import parse

# What a deployment gate denies besides errors: images that can change under their name, and versions left open.
DENIED = ("KD401", "KD402", "KD403", "KD407", "KD601")
REFERENCE_FILE = "kdoctor-reference.json"  # where the policy names none
THIS_MACHINE = "this"
TOLERANCE = 0.01  # of accuracy, absolute; the canary's own default

_IN_FILES = ("archive", "snapshot")
_NEVER_RUN = ("host", "python")


def anchored(field: str, value: Any, file: ConfigFile, origin: str) -> Any:
    """A key's value with paths relative to the file that holds it.

    A policy that belongs to the scanned project stays in its own folder: it must neither name a file elsewhere that
    ``--update-reference`` would write, nor one that is read.

    Raises:
        UsageError: a path outside of the policy's folder, or an interpreter to run, named by a project's policy.
    """
    place = _placed(file, origin)
    if field == "baseline":
        return str(file.path.parent / value)
    if field in ("reference", "history"):
        return place(value)
    if field == "machines":
        return tuple(word if word == THIS_MACHINE else place(word) for word in value)
    if field == "images":
        return tuple(_image(word, file, origin, place) for word in value)
    return value


def _image(word: str, file: ConfigFile, origin: str, place: Callable[[str], str]) -> str:
    try:
        target = parse(word)
    except UsageError as error:
        raise UsageError(f"{origin}: images: {error}") from None
    if target.kind in _NEVER_RUN and not file.trusted:
        raise UsageError(
            f"{origin}: images: {word!r} is an interpreter to run; name it on the command line (--python), "
            "never in the scanned project"
        )
    return f"{target.kind}:{place(target.name)}" if target.kind in _IN_FILES else word


def _placed(file: ConfigFile, origin: str) -> Callable[[str], str]:
    folder = file.path.parent

    def place(name: str) -> str:
        path = folder / name
        try:
            outside = not path.resolve().is_relative_to(folder.resolve())
        except (OSError, RuntimeError, ValueError):
            outside = True
        if outside and not file.trusted:
            raise UsageError(
                f"{origin}: {name!r} lies outside of the policy's folder; a project names its own files only"
            )
        return str(path)

    return place
