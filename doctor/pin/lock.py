"""``kdoctor.lock``: which digest each tag named, and when; against it ``tag-moved`` is judged (a ``kdoctor/lock``)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from doctor.errors import DocumentError
from doctor.model.snapshot import SCHEMA
from doctor.model.wire import read_document

NAME = "kdoctor.lock"
KIND = "kdoctor/lock"


@dataclass(frozen=True)
class Locked:
    """What a tag named. ``date``: when that was first seen (ISO 8601, UTC); ``platforms``: None where nobody told."""

    digest: str
    date: str
    platforms: tuple[str, ...] | None = None


def read(path: Path) -> dict[str, Locked]:
    """The rows of a lock by full reference (``docker.io/library/python:3.12``).

    Raises:
        DocumentError: unreadable, of another kind, of a newer schema, or with a row that is none.
    """
    return decode(read_document(path, expected="lock"), str(path))


def decode(document: Mapping[str, Any], origin: str) -> dict[str, Locked]:
    """The rows of a document of kind ``kdoctor/lock``.

    Raises:
        DocumentError: a row is none.
    """
    rows = document.get("images")
    if not isinstance(rows, dict):
        raise DocumentError(f"{origin}: images: expected an object; write it anew with 'kdoctor pin --lock'")
    found = {}
    for name, row in rows.items():
        digest, date = (row.get("digest"), row.get("date", "")) if isinstance(row, dict) else (None, "")
        if not isinstance(digest, str) or not isinstance(date, str):
            raise DocumentError(f"{origin}: images: {name[:200]!r}: expected an object with digest and date")
        platforms = row.get("platforms")
        told = tuple(str(p) for p in platforms) if isinstance(platforms, list) else None
        found[name] = Locked(digest, date, told)
    return found


def encode(rows: Mapping[str, Locked]) -> bytes:
    """The rows as a document, in the order of their names."""
    images = {
        name: {
            "digest": row.digest,
            "date": row.date,
            "platforms": None if row.platforms is None else list(row.platforms),
        }
        for name, row in sorted(rows.items())
    }
    document = {"kind": KIND, "schema": SCHEMA, "images": images}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def renewed(
    before: Mapping[str, Locked], now: Mapping[str, Locked], named: frozenset[str], *, whole: bool
) -> dict[str, Locked]:
    """The lock after a run.

    A row whose digest is the same keeps its date. What could not be asked about keeps its row as long as a file names
    it.

    Args:
        before: the rows of the lock.
        now: what the run found out.
        named: the references that the files of the run name.
        whole: whether the run looked at the whole project; then rows that no file names any more are dropped.
    """
    kept = {name: row for name, row in before.items() if name in named or not whole}
    for name, row in now.items():
        old = before.get(name)
        if old is not None and old.digest == row.digest:
            platforms = old.platforms if row.platforms is None else row.platforms
            kept[name] = Locked(row.digest, old.date, platforms)
        else:
            kept[name] = row
    return kept


def today() -> str:
    """This moment as the lock writes it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
