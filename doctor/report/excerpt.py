"""The line of source that a finding speaks of, with carets under what is meant."""

from __future__ import annotations

import re

from doctor.model.report import Finding
from doctor.report import sanitize

_LABEL = 44
_WINDOW = 200


def lines(finding: Finding, width: int) -> tuple[list[str], bool]:
    """The excerpt's lines (none where no source is known), and whether the effect stands beside the carets."""
    place = finding.location
    if place is None or place.text is None or place.line is None:
        return [], False
    text = place.text.rstrip("\r\n")[: _WINDOW * 50]
    start = min(max((place.column or 1) - 1, 0), len(text))
    length = _length(text, start, finding.thing)
    gutter = len(str(place.line))
    room = width - gutter - 5
    before, meant, after = text[:start], text[start : start + length], text[start + length :]
    before, meant = sanitize.source(before), sanitize.source(meant)
    if len(before) + len(meant) > room and len(before) > room // 4:
        before = "…" + before[-(room // 4) :]
    shown = (before + meant + sanitize.source(after)).rstrip()
    if len(shown) > room:
        shown = shown[: room - 1] + "…"
    carets = "^" * max(1, min(len(meant), room - len(before)))
    blank = " " * gutter
    mark = f"  {blank} | {' ' * len(before)}{carets}"
    effect = sanitize.line(finding.effect)
    labelled = bool(effect) and len(effect) <= _LABEL and len(mark) + 1 + len(effect) <= width
    if place.column is None:
        return [f"  {blank} |", f"  {place.line} | {shown}"], False
    return [f"  {blank} |", f"  {place.line} | {shown}", mark + (f" {effect}" if labelled else "")], labelled


def _length(text: str, start: int, thing: str) -> int:
    """How many characters are meant: the thing that the finding names where it stands there, else one word."""
    if thing and text.startswith(thing, start):
        return len(thing)
    word = re.match(r"\S+", text[start:])
    return len(word[0]) if word else 1
