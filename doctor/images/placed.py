"""Uses of images in files where the image is one value (YAML, JSON, HCL), after their variables."""

from __future__ import annotations

import re
from dataclasses import replace

from doctor.images import reference
from doctor.images.interpolate import Expansion
from doctor.images.use import ImageUse, judge
from doctor.images.yaml_nodes import Scalar

DOCKER_SCHEME = "docker://"
# a name and a tag that are each one variable with a default, and nothing else
_ALL_DEFAULTS = re.compile(r"\$\{(\w+):?-[^{}]*\}:\$\{(\w+):?-[^{}]*\}")
# a template's expression: of GitHub, of GitLab's components, of Helm, Jinja and their like
_EXPRESSIONS = ("${{", "$[[", "{{", "{%", "<%")


def use_of(
    scalar: Scalar, use: str, path: str, *, expansion: Expansion | None = None, error: str | None = None,
    platform: str | None = None, scheme: str = "",
) -> ImageUse:  # fmt: skip
    """The use of the image that a value names.

    An image that a variable without a value or a template's expression decides, or whose name and tag are both left to
    variables, is chosen outside the file: its class is ``open``, and no rule judges it.

    Args:
        scalar: the value as written.
        use: the kind of use (``compose``, ``kubernetes``, …).
        path: the file.
        expansion: the value after interpolation.
        error: why interpolation failed.
        platform: as given beside the image.
        scheme: a prefix that is no part of the reference (``docker://``).
    """
    text = (expansion.text if expansion else scalar.text).removeprefix(scheme).strip()
    placed = ImageUse(
        raw=scalar.text,
        reference=text,
        pinned=reference.OPEN,
        use=use,
        path=path,
        line=scalar.line,
        column=scalar.column,
        end_line=scalar.end_line,
        platform=platform,
        error=error,
        text_line=scalar.line,
        text_column=scalar.column,
        span=_span(scalar, text),
        raw_span=scalar.span,
        variables=expansion.used if expansion else (),
        unset=expansion.unset if expansion else (),
    )
    if error is not None:
        return replace(placed, pinned=reference.UNRESOLVED)
    if any(mark in text for mark in _EXPRESSIONS) or (expansion and is_open(scalar.text, expansion)):
        return placed
    judged = judge(text, expansion)
    return replace(placed, pinned=judged.pinned, error=judged.error)


def use_apart(text: str, decides: Scalar, use: str, path: str) -> ImageUse:
    """The use of an image that is written in parts; it stands where the part that ``decides`` (tag or digest) does.

    ``text``: the parts as one reference; its digest may follow where that part ends.
    """
    found = use_of(replace(decides, text=text, span=None), use, path)
    found = replace(found, digest_at=decides.span[1] if decides.span else None)
    return opened(found) if "$" in text else found


def is_open(raw: str, expansion: Expansion) -> bool:
    """Whether the image is chosen outside the file: a variable has no value, or name and tag are mere defaults."""
    if expansion.blank:
        return True
    defaults = _ALL_DEFAULTS.fullmatch(raw)
    return defaults is not None and set(defaults.groups()) <= set(expansion.unset)


def _span(scalar: Scalar, text: str) -> tuple[int, int] | None:
    """Where the reference itself stands, if it stands in the value in one piece."""
    if scalar.span is None or not text or scalar.text.count(text) != 1:
        return None
    start = scalar.span[0] + scalar.text.index(text)
    return start, start + len(text)


def opened(use: ImageUse) -> ImageUse:
    """The same use, as one that is chosen outside the file."""
    return replace(use, pinned=reference.OPEN, error=None)
