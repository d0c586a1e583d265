"""Versions as they are: compared part by part, never as decimal numbers (12.10 is newer than 12.9)."""

from __future__ import annotations

import functools
import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

_LEADING = re.compile(r"\s*v?(\d+(?:\.\d+)*)")


@functools.lru_cache(maxsize=4096)
def version(text: object) -> Version | None:
    """A version, or None for what is none (`nightly`, `False`, a missing fact)."""
    if not isinstance(text, str):
        return None
    try:
        return Version(text.strip())
    except InvalidVersion:
        return None


@functools.lru_cache(maxsize=4096)
def numbers(text: object) -> tuple[int, ...]:
    """The leading numbers of a version, without trailing zeros: `12.5.0-1` → (12, 5); () where there are none."""
    found = _LEADING.match(text) if isinstance(text, str) else None
    parts = [int(part) for part in found.group(1).split(".")] if found else []
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def at_least(have: str, need: str) -> bool:
    """Whether `have` is `need` or newer, number by number; a part that is not given counts as zero."""
    return numbers(have) >= numbers(need)


def major(text: str) -> int | None:
    """The first number of a version."""
    found = _LEADING.match(text)
    return int(found.group(1).split(".")[0]) if found else None


@functools.lru_cache(maxsize=4096)
def major_minor(text: str) -> str | None:
    """`12.5` of `12.5.1`; None where the version has one number only or none."""
    found = _LEADING.match(text)
    parts = found.group(1).split(".") if found else []
    return ".".join(parts[:2]) if len(parts) > 1 else None


@functools.lru_cache(maxsize=1024)
def _specifier(text: str) -> SpecifierSet | None:
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        return None


@functools.lru_cache(maxsize=4096)
def allows(specifier: str, text: str) -> bool | None:
    """Whether a version lies within a specifier, pre-releases included; None where either cannot be read.

    A version that is told only in part (`2.15` of some `2.15.x`) is taken as its lowest member.
    """
    have, wanted = version(text), _specifier(specifier)
    return None if have is None or wanted is None else wanted.contains(have, prereleases=True)


def within(specifier: str, text: str) -> bool:
    """Whether a version is known to lie within a specifier."""
    return allows(specifier, text) is True


@functools.lru_cache(maxsize=4096)
def admits(specifier: str, text: str) -> bool | None:
    """Whether a specifier may hold for a version that is perhaps told in part: `6.31` may be any 6.31.x.

    For packages whose releases have three numbers; None where either cannot be read.
    """
    have, wanted = version(text), _specifier(specifier)
    if have is None or wanted is None:
        return None
    if wanted.contains(have, prereleases=True):
        return True
    if len(have.release) > 2 or str(have) != have.base_version:
        return False
    prefix = have.release
    named = (version(clause.version.removesuffix(".*")) for clause in wanted)
    inside = [Version(f"{have}.99999"), *(v for v in named if v is not None and v.release[: len(prefix)] == prefix)]
    return any(wanted.contains(v, prereleases=True) for v in inside)


@functools.lru_cache(maxsize=1024)
def meet(one: str, other: str) -> bool:
    """Whether some version may satisfy both: one of those that they name, the next one after it, or the very first.

    What cannot be read forbids nothing.
    """
    first, second = _specifier(one), _specifier(other)
    if first is None or second is None:
        return True
    named = {clause.version.removesuffix(".*") for clause in (*first, *second)}
    tried = [v for text in ("0", *named, *(f"{text}.0.1" for text in named)) if (v := version(text)) is not None]
    return any(first.contains(v, prereleases=True) and second.contains(v, prereleases=True) for v in tried)
