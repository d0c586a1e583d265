"""The files that a run of ``pin`` works on, and the images that each of them uses."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from doctor.errors import UsageError
from doctor.images import discover, dockerfile, dockerfile_lines
from doctor.images.discover import Candidate
from doctor.images.readers import IMAGE_KINDS, compose_variables, parse_values
from doctor.images.use import ImageUse, Unreadable

_FROM = re.compile(r"^[ \t]*FROM[ \t]+\S", re.IGNORECASE | re.MULTILINE)
_SERVICES = re.compile(r"^services[ \t]*:", re.MULTILINE)
_YAML = (".yml", ".yaml")
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class File:
    """A file as it was read. ``path``: as it is shown; ``place``: where it lies; ``variables``: those of ``.env``."""

    path: str
    place: Path
    kind: str
    text: str
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        """The bytes that were read."""
        return encode(self.text)


@dataclass(frozen=True)
class Uses:
    """What a reader found in a text: uses of images, what it could not read, and for a Dockerfile the rest of it."""

    images: Sequence[ImageUse]
    problems: Sequence[Unreadable]
    dockerfile: dockerfile.Dockerfile | None = None


@dataclass
class Files:
    """The files of a run, and those that could not be read."""

    files: list[File] = field(default_factory=list)
    problems: list[Unreadable] = field(default_factory=list)


def encode(text: str) -> bytes:
    """The bytes of a text that :func:`doctor.images.discover.decode` read, also where they are no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def uses_in(file: File, text: str, build_args: Mapping[str, str]) -> Uses:
    """The images that ``text`` would use, stood it in this file."""
    if file.kind == discover.DOCKERFILE:
        parsed = dockerfile.parse(text, file.path, build_args)
        return Uses(parsed.uses, parsed.problems, parsed)
    try:
        images, problems = parse_values(text, file.path, file.kind, file.variables)
    except RecursionError:
        return Uses([], [Unreadable(file.path, None, "nested too deep to be read")])
    return Uses(images, problems)


def find(names: Sequence[Path], folder: Path) -> Files:
    """The files that are named; without a name all of the project in ``folder``. A named folder stands for its files.

    Raises:
        UsageError: a name is no file, or no file that names images.
    """
    result = Files()
    seen: set[Path] = set()  # a link and what it names are one file
    for name in names or [folder]:
        if name.is_dir():
            _walk(name, folder, result, seen)
        else:
            _named(name, folder, result, seen)
    return result


def _walk(root: Path, folder: Path, result: Files, seen: set[Path]) -> None:
    for item in discover.walk(root):
        if isinstance(item, Unreadable):
            result.problems.append(item)
        elif item.kind in IMAGE_KINDS:
            text = discover.read(root, item)
            if isinstance(text, str):
                _add(root, item.path, item.kind, text, folder, result, seen)
            elif item.kind != discover.YAML:  # some YAML file, nobody knows that it matters
                result.problems.append(text)


def _named(name: Path, folder: Path, result: Files, seen: set[Path]) -> None:
    if not name.exists():
        raise UsageError(f"{name}: no such file; name the files to pin, or none for all of the project")
    if not name.is_file():
        raise UsageError(f"{name}: not a regular file")
    whole = name.absolute().as_posix()
    kind = discover.kind_beside(discover.kind_of(whole), whole, (name.parent / discover.CHART).is_file())
    text = discover.read(name.parent, Candidate(name.name, kind or discover.DOCKERFILE, name.stat().st_size))
    if isinstance(text, Unreadable):
        raise UsageError(f"{name}: {text.why}")
    if kind in (None, discover.YAML):
        kind = _by_content(name, text) or kind
    if kind not in IMAGE_KINDS:
        raise UsageError(
            f"{name}: no Dockerfile, compose file, manifest, kustomization, values of a chart, workflow, GitLab CI, "
            "dev container or bake file"
        )
    _add(name.parent, name.name, kind, text, folder, result, seen)


def _by_content(name: Path, text: str) -> str | None:
    """The kind of a named file whose name does not tell it."""
    if name.suffix.lower() in _YAML:
        return discover.COMPOSE if _SERVICES.search(text) and "apiVersion" not in text else discover.YAML
    return discover.DOCKERFILE if _FROM.search(text) and not _is_other_language(text) else None


def _is_other_language(text: str) -> bool:
    """Whether a line begins with what is no instruction: a program's ``import``, prose; a template's ``{`` may."""
    problems = (why for _, why in dockerfile_lines.read(text).problems)
    return any(why.startswith("unknown instruction") and "{" not in why for why in problems)


def _add(root: Path, path: str, kind: str, text: str, folder: Path, result: Files, seen: set[Path]) -> None:
    place = root / path
    real = place.resolve()
    if real in seen:
        return
    seen.add(real)
    shown = _shown(place, folder)
    with place.open("rb") as file:
        if file.read(2) in _BYTE_ORDER_MARKS:
            result.problems.append(Unreadable(shown, None, "UTF-16, which no builder reads: save it as UTF-8"))
            return
    variables: dict[str, str] = {}
    if kind == discover.COMPOSE and "$" in text:
        read = compose_variables(root, path)
        if isinstance(read, Unreadable):
            result.problems.append(read)
        else:
            variables = read
    result.files.append(File(shown, place, kind, text, variables))


def _shown(place: Path, folder: Path) -> str:
    """The path as it is shown, and as it stands in a diff: relative to the folder where that is shorter."""
    path = os.path.relpath(place, folder)
    return (str(place) if path.startswith("..") else path).replace(os.sep, "/")
