"""What callers need of a registry, and the ways in which it may not answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from doctor.images.reference import Reference

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
MAX_ROWS = 1000
# All four, always: an index asked for without its own type is answered with 404.
ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))


class RegistryError(Exception):
    """A registry did not give what was asked; ``outcome`` is one of the contract's words, the text one line."""

    outcome = "no-network"


class NotFound(RegistryError):
    """The registry says that it has no such repository, tag, digest or blob."""

    outcome = "not-found"


class NoAccess(RegistryError):
    """The registry wants credentials that are not there, or refuses those that are."""

    outcome = "no-access"


class NoAnswer(RegistryError):
    """No network, no such host, too slow, too many requests, a server error."""


class Untrustworthy(RegistryError):
    """The answer contradicts itself: a wrong digest, a wrong length, a page in place of a manifest."""

    outcome = "untrustworthy"


@dataclass(frozen=True)
class Descriptor:
    """A manifest as the registry names it. ``media_type`` tells an index from a single platform's manifest."""

    digest: str
    media_type: str
    size: int | None = None

    @property
    def is_index(self) -> bool:
        """Whether it stands for several platforms."""
        return self.media_type in INDEX_TYPES


@dataclass(frozen=True)
class Manifest:
    """A manifest or index whose bytes were checked against its digest."""

    descriptor: Descriptor
    document: dict[str, Any] = field(repr=False)

    @property
    def platforms(self) -> tuple[str, ...]:
        """``os/architecture[/variant]`` of each image in an index; attestations are not platforms."""
        found = []
        for row in rows_of(self.document):
            platform = row.get("platform")
            if not isinstance(platform, dict) or platform.get("os") in (None, "unknown"):
                continue
            parts = (platform.get("os"), platform.get("architecture"), platform.get("variant"))
            found.append("/".join(str(part) for part in parts if part))
        return tuple(found)

    def of_platform(self, platform: str) -> str | None:
        """The digest of one platform's image in an index; without a variant any variant will do."""
        for row in rows_of(self.document):
            told = row.get("platform")
            if not isinstance(told, dict):
                continue
            short = f"{told.get('os')}/{told.get('architecture')}"
            if platform in (short, f"{short}/{told.get('variant')}") and isinstance(row.get("digest"), str):
                return str(row["digest"])
        return None


def rows_of(document: Any) -> list[dict[str, Any]]:
    """The rows of an index, at most :data:`MAX_ROWS`; what is no index has none, and what is no object is no row."""
    rows = document.get("manifests") if isinstance(document, dict) else None
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return found[:MAX_ROWS]


class Registry(Protocol):
    """Who can be asked about images. Each method raises a :class:`RegistryError` where there is no answer."""

    def describe(self, reference: Reference) -> Descriptor:
        """What the reference's tag (or digest, where it has one) names now; no body is fetched."""
        ...

    def manifest(self, reference: Reference) -> Manifest:
        """The manifest or index behind the reference, its bytes checked."""
        ...

    def blob(self, reference: Reference, digest: str, limit: int) -> bytes:
        """A small blob of the repository (an image's configuration), checked; at most ``limit`` bytes."""
        ...

    def stream(self, reference: Reference, digest: str) -> Iterator[bytes]:
        """A layer, piece by piece; a wrong digest is an error at the end, so nothing may be believed before."""
        ...
