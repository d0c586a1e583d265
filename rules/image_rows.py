"""The rows of ``project.images`` as rules read them. Nothing here registers a rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from doctor.images import reference
from doctor.images.reference import InvalidReference, Reference
from doctor.model.facts import applies, need
from doctor.model.report import Confidence, Evidence, Location, Severity
from doctor.rule import Case

INDEX_HELP = "kdoctor scan, with the network (without --offline)"


class Use(msgspec.Struct, frozen=True):
    """One use of an image. ``name``: the full name without tag and digest, or the text where it is no reference."""

    row: dict[str, Any]
    raw: str
    reference: str
    pinned: str
    kind: str
    parsed: Reference | None
    registry: dict[str, Any] | None

    @property
    def name(self) -> str:
        """What a finding concerns: the same under any tag and digest."""
        return self.parsed.name if self.parsed else self.raw.split("@", 1)[0]

    @property
    def short(self) -> str:
        """The reference as people write it."""
        return self.parsed.familiar if self.parsed else self.reference or self.raw

    @property
    def location(self) -> Location | None:
        """Where it stands."""
        path, line, column, end = (self.row.get(key) for key in ("path", "line", "column", "end_line"))
        if not isinstance(path, str) or not isinstance(line, int):
            return None
        text = self.row.get("text")
        return Location(
            path,
            line,
            column if isinstance(column, int) else None,
            end if isinstance(end, int) and end > line else None,
            text if isinstance(text, str) else None,
        )

    def severity(self, usual: Severity) -> Severity:
        """The rule's severity, but a note where the image is only the Dockerfile's syntax."""
        return Severity.INFO if self.kind == "syntax" else usual

    @property
    def confidence(self) -> Confidence:
        """Low for a bare name in ONBUILD, which may be a stage of the Dockerfile that builds on this image."""
        bare = self.kind == "onbuild" and not any(mark in self.raw for mark in "/:@")
        return Confidence.LOW if bare else Confidence.HIGH

    def evidence(self, **more: Any) -> tuple[Evidence, ...]:
        """The use itself, and what else a finding rests on."""
        value = {"reference": self.reference, "raw": self.raw} if self.raw != self.reference else self.reference
        return (Evidence("project.images", value, "file"), *(Evidence(f, v, "registry") for f, v in more.items() if v))


def uses(case: Case) -> list[Use]:
    """Every use of an image in the project's files.

    Raises:
        Unknown: nobody looked at the project's files.
        Inapplicable: no file of the project names an image.
    """
    rows = need(case.project.images)
    applies(bool(rows), "no file of the project names an image")
    return [use for row in rows if (use := _use(row)) is not None]


def chosen(case: Case, pinned: Iterable[str]) -> list[Use]:
    """The uses of one of these classes."""
    wanted = frozenset(pinned)
    return [use for use in uses(case) if use.pinned in wanted]


def _use(row: dict[str, Any]) -> Use | None:
    text = row.get("reference")
    raw = row.get("raw")
    if not isinstance(text, str):
        return None
    raw = raw if isinstance(raw, str) else text
    try:
        parsed = reference.parse(text)
    except InvalidReference:
        parsed = None
    pinned = row.get("pinned")
    if not isinstance(pinned, str):
        pinned = parsed.pinned if parsed and not row.get("error") else reference.UNRESOLVED
    kind, registry = row.get("use"), row.get("registry")
    return Use(
        row, raw, text, pinned, kind if isinstance(kind, str) else "", parsed,
        registry if isinstance(registry, dict) else None,
    )  # fmt: skip
