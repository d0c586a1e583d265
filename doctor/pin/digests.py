"""Where digests come from: a map that the user hands over, or the registries, many asked at once."""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from doctor.errors import UsageError
from doctor.images import reference
from doctor.images.reference import InvalidReference, Reference
from doctor.io.registry.interface import Manifest, NotFound, Registry, RegistryError

WORKERS = 8
MAX_MAP = 16 * 1024 * 1024
_MAX_CONFIG = 4 * 1024 * 1024
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True)
class Answer:
    """What a tag names, or ``why`` not. ``platforms``: None where nobody told; ``asked``: somebody did answer."""

    digest: str | None = None
    platforms: tuple[str, ...] | None = None
    why: str = ""
    asked: bool = True


def question(found: Reference) -> Reference:
    """The reference by which a digest is asked for: with its tag, without its digest."""
    return replace(found, tag=found.tag or "latest", digest=None)


class DigestMap:
    """A file of digests: reference, as it is written or normalised → digest. A ``kdoctor.lock`` is one as well."""

    def __init__(self, digests: Mapping[str, str], origin: str) -> None:
        self.origin = origin
        self._written = dict(digests)
        self._normalized: dict[str, str] = {}
        for text, digest in digests.items():
            if not _DIGEST.fullmatch(digest):
                raise UsageError(f"{origin}: {text!r}: {digest[:80]!r} is no digest (sha256: and 64 hex digits)")
            try:
                name = question(reference.parse(text)).normalized
            except InvalidReference:
                continue  # as written in some file, with a variable in it
            if self._normalized.setdefault(name, digest) != digest:
                raise UsageError(f"{origin}: two digests for {name}")

    @classmethod
    def read(cls, path: Path) -> DigestMap:
        """The map in a file.

        Raises:
            UsageError: unreadable, not JSON, or no map of references to digests.
        """
        try:
            with path.open("rb") as file:
                data = file.read(MAX_MAP + 1)
            document: Any = json.loads(data) if len(data) <= MAX_MAP else None
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}: not JSON: {str(error)[:120]}") from None
        if isinstance(document, dict) and document.get("kind") == "kdoctor/lock":
            from doctor.pin.lock import decode  # noqa: PLC0415 (only where a lock is handed over)

            return cls({name: row.digest for name, row in decode(document, str(path)).items()}, str(path))
        if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
            raise UsageError(f"{path}: expected a JSON object of at most 16 MiB: reference → digest")
        return cls(document, str(path))

    def answer(self, found: Reference, raw: str) -> Answer:
        """The digest for a reference that is written ``raw`` in its file."""
        asked = question(found)
        bare = replace(found, digest=None)
        for text in (bare.familiar, bare.normalized, raw.split("@", 1)[0]):
            if text in self._written:
                return Answer(self._written[text])
        digest = self._normalized.get(asked.normalized)
        return Answer(digest) if digest else Answer(why=f"{asked.familiar} is not in {self.origin}", asked=False)


def ask(registry: Registry, found: Reference, platform: str | None = None) -> Answer:
    """What a registry says of one reference: the digest of the index; of one platform only where that is asked for."""
    try:
        manifest = registry.manifest(found)
        if not manifest.descriptor.is_index:
            return _single(registry, found, manifest, platform)
        if platform is None:
            return Answer(manifest.descriptor.digest, tuple(dict.fromkeys(manifest.platforms)))
        digest = manifest.of_platform(platform)
    except RegistryError as error:
        return Answer(why=str(error)[:300], asked=isinstance(error, NotFound))
    if digest is None or not _DIGEST.fullmatch(digest):
        return Answer(why=f"{found.familiar} has no {platform}: it has {', '.join(manifest.platforms) or 'none'}")
    return Answer(digest, (platform,))


def _single(registry: Registry, found: Reference, manifest: Manifest, platform: str | None) -> Answer:
    """A tag with no index behind it: its one manifest, whose platform stands in the image's configuration."""
    digest = manifest.descriptor.digest
    config = manifest.document.get("config")
    blob = config.get("digest") if isinstance(config, dict) else None
    told: str | None = None
    if isinstance(blob, str):
        try:
            document = json.loads(registry.blob(found, blob, _MAX_CONFIG))
        except (RegistryError, ValueError, RecursionError):
            document = None  # the digest holds all the same
        if isinstance(document, dict):
            parts = [document.get(key) for key in ("os", "architecture", "variant")]
            told = "/".join(part for part in parts if isinstance(part, str) and part) or None
    if platform and told and not (told == platform or told.startswith(platform + "/")):
        return Answer(why=f"{found.familiar} is for {told}, not for {platform}")
    return Answer(digest, (told,) if told else None)


def ask_all(
    wanted: Iterable[Reference],
    connect: Callable[[], Registry],
    platform: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[Reference, Answer]:
    """An answer for each reference, asked by several threads. ``progress`` is told how many of how many are there.

    The client bounds the time of each question. The threads do not keep an interrupted process alive.
    """
    todo: queue.SimpleQueue[Reference] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Reference, Answer]] = queue.SimpleQueue()
    references = list(dict.fromkeys(wanted))
    for found in references:
        todo.put(found)

    def work() -> None:
        registry: Registry | None = None
        while True:
            try:
                found = todo.get_nowait()
            except queue.Empty:
                return
            try:
                registry = registry or connect()
                done.put((found, ask(registry, found, platform)))
            except Exception as error:  # one answer's fault costs one answer
                done.put((found, Answer(why=f"the look-up failed: {type(error).__name__}", asked=False)))

    for _ in range(min(WORKERS, len(references))):
        threading.Thread(target=work, daemon=True).start()
    answers: dict[Reference, Answer] = {}
    while len(answers) < len(references):
        found, answer = done.get()
        answers[found] = answer
        if progress is not None:
            progress(len(answers), len(references))
    return answers
