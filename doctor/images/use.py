"""What the readers of project files hand over: uses of images, and what could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from doctor.images import reference
from doctor.images.interpolate import Expansion


@dataclass(frozen=True)
class ImageUse:
    """One use of an image, as a row of ``project.images``.

    ``line``: the first line of the instruction; ``column``: of the image's text where it stands on that line, else of
    the instruction. ``text_line``, ``text_column``: of the image's text itself; ``span``: its offsets in the decoded
    file, None where it is not written in one piece. ``variables``: those it names; ``unset``: those without a value.
    ``raw_span``: the same of ``raw``, where that holds more than the reference. ``within``: the kind of use that
    ONBUILD stores; ``text``: the file's line, to be shown (none of a RUN, which may hold secrets). ``digest_at``: the
    offset at which a digest can be written, where the image is written in parts.
    """

    raw: str
    reference: str
    pinned: str
    use: str
    path: str
    line: int
    column: int
    end_line: int
    stage: str | None = None
    platform: str | None = None
    error: str | None = None
    within: str | None = None
    text_line: int = 0
    text_column: int = 0
    span: tuple[int, int] | None = None
    variables: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    text: str | None = None
    raw_span: tuple[int, int] | None = None
    digest_at: int | None = None

    def row(self) -> dict[str, Any]:
        """The use as plain data, in the contract's order."""
        row: dict[str, Any] = {
            "reference": clean(self.reference),
            "raw": clean(self.raw),
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "end_line": self.end_line,
            "use": self.use,
            "stage": self.stage and clean(self.stage),
            "platform": self.platform and clean(self.platform),
            "error": self.error and clean(self.error),
            "pinned": self.pinned,
        }
        if self.text is not None:
            row["text"] = clean(self.text)
        if self.within:
            row["within"] = self.within
        if self.text_line and self.text_line != self.line:
            row["text_line"] = self.text_line
        if self.variables:
            row["variables"] = list(self.variables)
        if self.unset:
            row["unset"] = list(self.unset)
        return row


@dataclass(frozen=True)
class Unreadable:
    """A file, or a part of one, that could not be read: a row of ``project.unreadable``."""

    path: str
    line: int | None
    why: str

    def row(self) -> dict[str, Any]:
        """The row as plain data."""
        return {"path": self.path, "line": self.line, "why": clean(self.why)}


@dataclass(frozen=True)
class Judged:
    """How a name that is not a stage reads: its class, and why it is no reference where it is none."""

    pinned: str
    error: str | None


def judge(text: str, expansion: Expansion | None = None) -> Judged:
    """The class of an image's name, with the variables that have no value named in the error."""
    try:
        return Judged(reference.parse(text).pinned, None)
    except reference.InvalidReference as error:
        missing = ", ".join(expansion.unset) if expansion else ""
        return Judged(reference.UNRESOLVED, f"{error}" + (f" (no value: {missing})" if missing else ""))


def clean(text: str) -> str:
    """Text that JSON can carry: bytes that were no UTF-8 become a replacement character."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
