"""Where the history is kept: one SQLite file, or a PostgreSQL database. Imports no database library."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from doctor.errors import DoctorError, UsageError
from doctor.settings import Settings

VARIABLE = "KDOCTOR_DB_URL"
FILE = "history.db"
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")


class StoreError(DoctorError):
    """The history cannot be read or written: which one, why, and what to do."""


class Place(msgspec.Struct, frozen=True):
    """An SQLite file (``path``) or a database's address (``url``, with its password)."""

    path: Path | None = None
    url: str | None = None

    def __str__(self) -> str:
        """The place for a person to read: never the password."""
        if self.url is None:
            return str(self.path)
        parts = urlsplit(self.url)
        host = parts.hostname or "localhost"
        port = f":{parts.port}" if parts.port else ""
        user = f"{parts.username}@" if parts.username else ""
        return f"postgresql://{user}{host}{port}{parts.path}"

    def without_secrets(self, text: str) -> str:
        """``text`` (an error of the database's library) without the password, as written or decoded."""
        password = urlsplit(self.url).password if self.url else None
        for secret in {password, unquote(password)} if password else ():
            text = text.replace(secret, "…")
        return text.replace(self.url, str(self)) if self.url else text


def check_library() -> None:
    """Say what to install where the database library is not there.

    Raises:
        StoreError: it is not.
    """
    for name in ("sqlalchemy", "alembic"):
        if importlib.util.find_spec(name) is None:
            raise StoreError(f"the history needs {name}: pip install 'keras-doctor[history]'")


def find_place(settings: Settings, environ: Mapping[str, str]) -> Place:
    """The history of these settings: the user's database, the project's or user's file, or the user's data folder.

    Raises:
        UsageError: the address is not one of PostgreSQL or SQLite, or there is no home to keep a file in.
    """
    found = known_place(settings, environ)
    if found is None:
        raise UsageError("no place for the history: set HOME, XDG_DATA_HOME or KDOCTOR_HISTORY")
    return found


def known_place(settings: Settings, environ: Mapping[str, str]) -> Place | None:
    """The same; None where there is no home to keep a file in.

    Raises:
        UsageError: the address is not one of PostgreSQL or SQLite.
    """
    if settings.database:
        return _from_url(settings.database, settings.origin("database"))
    if settings.history:
        return Place(path=Path(settings.history))
    base = environ.get("XDG_DATA_HOME") or (f"{environ['HOME']}/.local/share" if environ.get("HOME") else "")
    return Place(path=Path(base) / "kdoctor" / FILE) if base else None


def _from_url(url: str, origin: str) -> Place:
    """A place from an address; what the address holds is never shown.

    Raises:
        UsageError: it is none of PostgreSQL or SQLite.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return Place(path=Path(rest[1:]))
    parts = _split(url)
    if not separator or scheme not in _POSTGRES or parts is None or "password" in parts.query.lower():
        raise UsageError(
            f"{origin}: not an address of a history; write postgresql://USER:PASSWORD@HOST:PORT/NAME or sqlite:///FILE"
        )
    return Place(url="postgresql+psycopg://" + rest)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # is only checked when it is asked for
    except ValueError:
        return None
    return parts
