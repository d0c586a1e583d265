"""Image references, as Docker reads them: ``node`` is ``docker.io/library/node``, and how firmly one is pinned.

The grammar is that of distribution/reference, by way of ``docker-image-py``; this module adds the familiar form, a
bound on what is parsed, and the classes that the rules speak of.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

# name 255, tag 128, digest 200: nothing valid is longer
_LONGEST = 1024

# A tag with one of these parts (``latest-gpu``, ``nightly-jupyter``) follows every build of that image.
MOVING_PARTS = frozenset({"latest", "nightly"})

# A tag that is nothing but a channel: the publisher points it at another image with each release.
CHANNELS = frozenset(
    {
        "beta", "canary", "current", "dev", "devel", "develop", "edge", "head", "lts", "main", "mainline", "master",
        "next", "oldstable", "rolling", "stable", "testing", "unstable",
    }
)  # fmt: skip

# How firmly a use of an image is pinned (``pinned`` in the rows of ``project.images``).
DIGEST = "digest"
TAG = "tag"
LATEST = "latest"
LATEST_IMPLICIT = "latest-implicit"
MOVING = "moving"
SCRATCH = "scratch"
STAGE = "stage"
UNRESOLVED = "unresolved"
OPEN = "open"  # chosen outside the file: by a variable or an expression that has no value in it


class InvalidReference(ValueError):
    """The text is not a reference to an image; the message says why, in the words of the builder."""


@dataclass(frozen=True)
class Reference:
    """A parsed reference. ``domain`` and ``path`` are the full ones (``docker.io``, ``library/node``).

    ``domain`` is blank where what stands in a host's place is none (``my_registry.io/app``): the grammar takes it for a
    part of the path.
    """

    domain: str
    path: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """Domain and path, without tag and digest."""
        return f"{self.domain}/{self.path}" if self.domain else self.path

    @property
    def normalized(self) -> str:
        """The full name with tag and digest, as far as they are given."""
        return self.name + self._suffix

    @property
    def familiar(self) -> str:
        """The short form that people write (``node:20``)."""
        name = self.name
        if self.domain == "docker.io":
            name = self.path.removeprefix("library/") if self.path.count("/") == 1 else self.path
        return name + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def pinned(self) -> str:
        """One of ``digest``, ``latest-implicit``, ``latest``, ``moving`` and ``tag``."""
        if self.digest:
            return DIGEST
        if not self.tag:
            return LATEST_IMPLICIT
        return LATEST if self.tag == "latest" else MOVING if is_moving(self.tag) else TAG


def is_moving(tag: str) -> bool:
    """Whether a tag says by its name that it follows the newest build (``nightly-gpu``) or a channel (``stable``)."""
    tag = tag.lower()
    return tag in CHANNELS or not MOVING_PARTS.isdisjoint(re.split(r"[-_.]", tag))


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Reference:
    """The reference that ``text`` is.

    Raises:
        InvalidReference: it is none: blank, uppercase in the repository, a malformed or unknown digest, …
    """
    if not text:
        raise InvalidReference("the name of the image is blank")
    if len(text) > _LONGEST or not text.isascii() or not text.isprintable():
        raise InvalidReference("invalid reference format")
    grammar = _grammar()
    try:
        found: Any = grammar.parse_normalized_named(text)
        path = found.path()
    except ValueError as error:  # a digest whose algorithm is known and whose length is wrong
        raise InvalidReference(str(error)) from None
    except Exception as error:
        if not type(error).__module__.startswith("docker_image"):
            raise
        raise InvalidReference(str(error) or "invalid reference format") from None
    return Reference(found.domain() or "", path, found["tag"] or None, found["digest"] or None)


@functools.cache
def _grammar() -> Any:
    from docker_image import reference  # noqa: PLC0415 (50 ms: only where an image is named)

    class Grammar(reference.Reference):  # type: ignore[misc]
        """The library's parser without its check of the host, which the Go original does not make (``my_reg.io/x``)."""

        @classmethod
        def try_validate(cls, text: str) -> None:
            return

    return Grammar


def is_reference(text: str) -> bool:
    """Whether ``text`` is a valid reference."""
    try:
        parse(text)
    except InvalidReference:
        return False
    return True
