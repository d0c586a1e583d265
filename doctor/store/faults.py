"""Errors of the database as one clear line."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import sqlalchemy as sa

from doctor.store.place import Place, StoreError

BUSY_SECONDS = 30.0  # how long a run waits for its turn


@contextlib.contextmanager
def told(place: Place) -> Iterator[None]:
    """Errors of the database as one clear line.

    Raises:
        StoreError: instead of any error of SQLAlchemy or its drivers.
    """
    try:
        yield
    except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise StoreError(f"history {place}: {_words(place, error)}") from None


def _words(place: Place, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be opened: {error.strerror or error}; name another place with KDOCTOR_HISTORY"
    cause = getattr(error, "orig", None) or error
    text = place.without_secrets(" ".join(str(cause).split()))[:300]
    for sign, words in (
        ("disk is full", "the disk is full; nothing was recorded, what was there before is kept"),
        ("disk I/O error", "the disk cannot be read or written; nothing was recorded"),
        ("readonly database", "is read-only; name another place with KDOCTOR_HISTORY"),
        ("unable to open", "cannot be opened; is the folder there, and may you write to it?"),
        ("not a database", "is not a history (or a damaged one); it is left as it is: move it away, or name another"),
        ("malformed", "is damaged; it is left as it is: restore a copy, or move it away"),
        ("database is locked", f"is held by another process for more than {BUSY_SECONDS:.0f} s; try again"),
    ):
        if sign in text:
            return words
    return f"the database says: {text}"
