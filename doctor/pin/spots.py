"""Where in a text a digest can be written for one use of an image: candidates, the best first. None is believed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from doctor.images.use import ImageUse
from doctor.pin.names import Names, mentioned

_LAST_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))\Z")
_LAST_DEFAULT = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*:?-[^{}]+\}\Z")
_MOST_PLACES = 20
IN_PIECES = "the name is not written in one piece here: write it on one line, without escapes"


@dataclass(frozen=True, order=True)
class Edit:
    """``text`` in place of what stands between two offsets; nothing stands between equal ones."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Spot:
    """A candidate. ``remark``: what the user should know where it is taken."""

    edit: Edit
    remark: str | None = None


@dataclass(frozen=True)
class NoSpot:
    """A digest must not be written here, and why."""

    why: str


def spots(names: Names, use: ImageUse, old: str | None, digest: str) -> Iterator[Spot | NoSpot]:
    """The places for ``digest`` in the file; in place of ``old`` where the use has one."""
    if old is not None:
        yield from _replacements(names, use, old, digest)
    else:
        yield from _insertions(names, use, digest)


def _insertions(names: Names, use: ImageUse, digest: str) -> Iterator[Spot | NoSpot]:
    text = names.file.text
    if use.digest_at is not None:
        yield _insertion(use.digest_at, digest)
        yield NoSpot(IN_PIECES)
        return
    span = use.raw_span or use.span
    if span is not None and (found := text.rfind(use.reference, *span)) >= 0:
        at = found + len(use.reference)
        if not text[at : span[1]].strip("}\"'"):  # else a variable follows, which may bring the rest of the tag
            yield _insertion(at, digest)
    if not mentioned(use.raw):
        for at in _places(text, use.reference):
            yield _insertion(at + len(use.reference), digest)
        yield NoSpot(IN_PIECES)
    elif span is None:
        yield NoSpot(IN_PIECES)
    else:
        yield from _behind_variables(names, use, span, digest)


def _behind_variables(names: Names, use: ImageUse, span: tuple[int, int], digest: str) -> Iterator[Spot | NoSpot]:
    """Behind a default in the word; in the ARG that ends it, where nothing else uses that; else behind the word."""
    text = names.file.text
    end = _before_quote(text, *span)
    if _LAST_DEFAULT.search(text[span[0] : end]):
        yield _insertion(_before_quote(text, span[0], end - 1), digest)
    if reason := names.given(use):
        yield NoSpot(reason)
    elif shared := names.shared(use):
        yield NoSpot(f"{shared} decides the tag of another image too: give each image an ARG of its own, or its tag")
    else:
        last = _LAST_VARIABLE.search(text[span[0] : end])
        argument = _in_argument(names, last[1] or last[2], use.reference, None) if last else None
        if argument is not None:
            yield _insertion(argument, digest)
        deciding = ", ".join(sorted(names.deciding(use)))
        remark = f"the digest decides from now on: another value of {deciding} changes nothing" if deciding else None
        yield _insertion(end, digest, remark)


def _insertion(at: int, digest: str, remark: str | None = None) -> Spot:
    return Spot(Edit(at, at, "@" + digest), remark)


def _in_argument(names: Names, name: str, reference: str, by: str | None) -> int | None:
    """The offset behind the end of the reference in the default of an ARG that nothing else uses."""
    definition = names.definition(name)
    if definition is None or definition.span is None or not names.is_free(name, by):
        return None
    value = definition.value
    if not value or not reference.endswith(value):
        return None
    start, end = definition.span
    literal = names.file.text[start:end].rfind(value)
    if literal >= 0:
        return start + literal + len(value)
    last = _LAST_VARIABLE.search(names.file.text[start : _before_quote(names.file.text, start, end)])
    return _in_argument(names, last[1] or last[2], reference, name) if last and by is None else None


def _replacements(names: Names, use: ImageUse, old: str, digest: str) -> Iterator[Spot | NoSpot]:
    text = names.file.text
    spans = [use.raw_span or use.span]
    spans += [a.span for n in sorted(names.behind(mentioned(use.raw))) if (a := names.definition(n)) is not None]
    for part, new in ((old, digest), (old.partition(":")[2], digest.partition(":")[2])):
        for span in spans:
            if span is not None and (at := text.rfind(part, *span)) >= 0:
                yield Spot(Edit(at, at + len(part), new))
    for at in _places(text, old):
        yield Spot(Edit(at, at + len(old), digest))
    yield NoSpot("the digest is not written in one piece here")


def _places(text: str, part: str) -> Iterator[int]:
    at = -1
    for _ in range(_MOST_PLACES):
        at = text.find(part, at + 1)
        if at < 0:
            return
        yield at


def _before_quote(text: str, start: int, end: int) -> int:
    """The end of a word, or the place before the quote that ends it."""
    return end - 1 if end - start > 1 and text[end - 1] in "\"'" else end
