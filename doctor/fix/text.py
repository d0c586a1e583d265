"""A file of the project that may be rewritten, byte for byte but for the edits."""

from __future__ import annotations

import bisect
import functools
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from doctor.model.report import Replacement
from doctor.pin.files import encode
from doctor.pin.spots import Edit

LARGEST = 4 * 1024 * 1024
_LINE_END = re.compile(r"\r\n|\r|\n")
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")

# What a placer answers: the edits, or why there are none.
Placed = tuple[Edit, ...] | str


@dataclass(frozen=True)
class Text:
    """A file as it was read. ``path``: relative to the project's folder; ``place``: where it lies."""

    path: str
    place: Path
    text: str

    @property
    def data(self) -> bytes:
        """The bytes that were read."""
        return encode(self.text)

    @property
    def newline(self) -> str:
        """The line end that the file uses first."""
        found = _LINE_END.search(self.text)
        return found[0] if found else "\n"

    def starts(self) -> list[int]:
        """The offset of each line."""
        return _starts(self.text)

    def offset(self, line: int, column: int) -> int:
        """The offset of a place; both count from 1."""
        return self.starts()[line - 1] + column - 1

    def replacements(self, edits: tuple[Edit, ...]) -> tuple[Replacement, ...]:
        """The edits by lines and columns."""
        starts = self.starts()

        def at(offset: int) -> tuple[int, int]:
            line = bisect.bisect_right(starts, offset)
            return line, offset - starts[line - 1] + 1

        return tuple(Replacement(*at(edit.start), *at(edit.end), edit.text) for edit in edits)


@functools.lru_cache(maxsize=8)
def _starts(text: str) -> list[int]:
    return [0, *(match.end() for match in _LINE_END.finditer(text))]


def load(folder: Path, path: str) -> Text | str:
    """A file of the project, or why it is none that may be rewritten: what lies elsewhere, links, other than text."""
    if unsafe := refusal(folder, path):
        return unsafe
    place = folder / path
    try:
        with place.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if len(data) > LARGEST:
        return "more than 4 MiB: not edited"
    if data[:2] in _BYTE_ORDER_MARKS or b"\0" in data:
        return "UTF-16 or binary data: not edited"
    return Text(path, place, data.decode("utf-8", "surrogateescape"))


def refusal(folder: Path, path: str) -> str | None:
    """Why a path must not be written to: it leads out of the folder, through a link, or to no regular file."""
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        return "outside the project's folder: not edited"
    place = folder
    try:
        for part in parts:
            place = place / part
            if place.is_symlink():
                return "a symbolic link: not edited"
        if not stat.S_ISREG(place.stat().st_mode):
            return "no regular file: not edited"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None


def single_edit(before: str, after: str) -> Iterator[Edit]:
    """The one edit between two texts; nothing where they are the same."""
    if before == after:
        return
    start, most = 0, min(len(before), len(after))
    while start < most and before[start] == after[start]:
        start += 1
    end = 0
    while end < most - start and before[-1 - end] == after[-1 - end]:
        end += 1
    yield Edit(start, len(before) - end, after[start : len(after) - end])
