"""What an image's tag named when a run of it was recorded. Asks with the drivers alone: SQLAlchemy costs 200 ms.

The history may be the scanned project's own (``history = "…"``), which makes its file hostile input: it is opened for
reading only, what it answers is bounded, and so is the time that it takes.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from doctor.images import reference
from doctor.images.reference import InvalidReference, Reference
from doctor.store.place import Place, StoreError

SECONDS = 1.0  # for all questions; a scan asks registries for 2 s meanwhile
MOST_NAMES = 100
MAX_SNAPSHOT = 8 << 20
_STEPS = 10_000  # of SQLite's machine between two looks at the clock

# An environment counts from the last time that it was recorded; what an older kdoctor made has the same columns.
_NEWEST = (
    "SELECT e.id, e.image, MAX(r.ran_at) AS seen FROM kdoctor_environments e"
    " JOIN kdoctor_runs r ON r.environment_id = e.id WHERE e.image IN ({marks})"
    " GROUP BY e.id, e.image ORDER BY seen DESC LIMIT 400"
)
_SNAPSHOT = "SELECT CAST(snapshot AS TEXT) FROM kdoctor_environments WHERE id = {mark}"

Ask = Callable[[str, tuple[Any, ...]], Iterable[tuple[Any, ...]]]


def digests_of(place: Place, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Full names with tag (``docker.io/library/python:3.12``) → the digests under which a registry had the image when
    a run of it was last recorded; none for names that no run looked into.

    Raises:
        StoreError: the history cannot be asked.
    """
    wanted = list(dict.fromkeys(names))[:MOST_NAMES]
    spelled = {word: name for name in wanted for word in _spellings(reference.parse(name))}
    if not spelled or (place.path is not None and not place.path.is_file()):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    try:
        with _asking(place) as (ask, mark):
            query = _NEWEST.format(marks=", ".join([mark] * len(spelled)))
            for number, image, _ in list(ask(query, tuple(spelled))):
                name = spelled.get(image)
                if name is None or name in found:
                    continue
                rows = list(ask(_SNAPSHOT.format(mark=mark), (number,)))
                if digests := _digests(rows[0][0] if rows else None, name):
                    found[name] = digests
    except StoreError:
        raise
    except Exception as error:  # two drivers' own errors
        text = " ".join(place.without_secrets(str(error)).split())[:200]
        why = f"no answer within {SECONDS:g} s" if text == "interrupted" else f"cannot be asked: {text}"
        raise StoreError(f"history {place}: {why}") from None
    return found


def _asking(place: Place) -> AbstractContextManager[tuple[Ask, str]]:
    """Questions to a history, and how their parameters are marked."""
    return _sqlite(place.path) if place.path is not None else _postgresql(place)


def _spellings(found: Reference) -> set[str]:
    """How people write it: with and without the registry, and without the tag ``latest``."""
    names = {found.familiar, found.normalized, f"{found.domain}/{found.path}:{found.tag}"}
    return names | {name.removesuffix(":latest") for name in names}


def _digests(text: Any, name: str) -> tuple[str, ...]:
    """The registry's digests in a recorded snapshot; the engine's own id is none."""
    if not isinstance(text, str) or len(text) > MAX_SNAPSHOT:
        return ()
    try:
        image = json.loads(text)["software"]["image"]
        told = image.get("repo_digests")
        own, identifier = image.get("digest"), image.get("id")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()
    repository = name.rpartition(":")[0]
    pulled = [parsed for one in (told if isinstance(told, list) else ()) if (parsed := _parsed(one)) is not None]
    digests = [one.digest for one in pulled if one.name == repository and one.digest]
    if isinstance(own, str) and own.startswith("sha256:") and own != identifier:
        digests.insert(0, own)
    return tuple(dict.fromkeys(digests))


def _parsed(text: Any) -> Reference | None:
    try:
        return reference.parse(text) if isinstance(text, str) else None
    except InvalidReference:
        return None


@contextmanager
def _sqlite(path: Path) -> Iterator[tuple[Ask, str]]:
    immutable = "" if os.access(path.parent, os.W_OK) else "&immutable=1"  # no files can be made beside it
    deadline = time.monotonic() + SECONDS
    address = f"file:{quote(str(path.resolve()))}?mode=ro{immutable}"
    with closing(sqlite3.connect(address, uri=True, timeout=SECONDS)) as connection:
        connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS)
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        yield connection.execute, "?"


@contextmanager
def _postgresql(place: Place) -> Iterator[tuple[Ask, str]]:
    try:
        import psycopg  # noqa: PLC0415 -- 100 ms, and only for those whose history is there
    except ImportError:
        raise StoreError(f"history {place}: needs psycopg: pip install 'keras-doctor[postgresql]'") from None
    address = str(place.url).replace("postgresql+psycopg://", "postgresql://", 1)
    limit = f"-c statement_timeout={SECONDS * 1000:.0f} -c default_transaction_read_only=on"
    with psycopg.connect(address, connect_timeout=2, options=limit) as connection:
        yield connection.execute, "%s"
