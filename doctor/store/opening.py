"""Opening a history: made on first use, brought up to date, and refused with clear words where it cannot be used."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from doctor.store.faults import told
from doctor.store.migrating import migrate, revision_of
from doctor.store.place import Place, StoreError
from doctor.store.sqlite_file import PLAIN, WRITES, sqlite_engine, writing_turn
from doctor.store.tables import HEAD

_MIGRATION_LOCK = 0x6B646F63


class Store:
    """An open history. Safe to use from several threads; close it when done."""

    def __init__(self, place: Place, engine: Engine) -> None:
        self.place = place
        self._engine = engine

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to ask with; on SQLite it sees one state of the history.

        Raises:
            StoreError: the history cannot be read.
        """
        with told(self.place), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: all of it is kept, or nothing.

        Raises:
            StoreError: the history cannot be written.
        """
        path = self.place.path
        turn = writing_turn(path) if path is not None else contextlib.nullcontext()
        with told(self.place), turn, self._engine.connect() as plain:
            connection = plain.execution_options(**WRITES)
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def plainly(self) -> Iterator[Connection]:
        """A connection outside of any transaction, for SQLite's own upkeep.

        Raises:
            StoreError: the history cannot be written.
        """
        with told(self.place), self._engine.connect() as connection:
            yield connection.execution_options(**PLAIN)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        """The store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def exists(place: Place) -> bool:
    """Whether something is there to be read; a database is always asked."""
    return place.path is None or place.path.exists()


def open_store(place: Place, *, write: bool = True) -> Store:
    """The history at a place, made where there is none, and brought to this version's schema.

    Where only reading is wanted, one in a read-only folder will do.

    Raises:
        StoreError: it cannot be opened, is damaged, is another program's, or is of a newer kdoctor.
    """
    engine = _postgres(place) if place.path is None else sqlite_engine(place.path, write=write)
    store = Store(place, engine)
    try:
        with told(place):
            _bring_up_to_date(store, engine, write=write)
    except BaseException:
        store.close()
        raise
    return store


def _postgres(place: Place) -> Engine:
    try:
        return sa.create_engine(
            str(place.url), pool_size=4, max_overflow=32, pool_pre_ping=False, connect_args={"connect_timeout": 10}
        )
    except ImportError:  # not installed, or without the client's library that it needs
        raise StoreError(f"history {place}: needs psycopg: pip install 'keras-doctor[postgresql]'") from None
    except (sa.exc.ArgumentError, ValueError):
        raise StoreError(f"history {place}: not an address that can be used") from None


def _bring_up_to_date(store: Store, engine: Engine, *, write: bool) -> None:
    with store.reading() as connection:
        if revision_of(connection) == HEAD:
            return
    if engine.dialect.name == "sqlite" and not write and not os.access(_parent(store.place), os.W_OK):
        raise StoreError(f"history {store.place}: is of an older kdoctor and cannot be updated in a read-only folder")
    with store.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        migrate(connection, store.place)
    engine.dispose()  # the next connections know the file for ours, and use a write-ahead log


def _parent(place: Place) -> Path:
    return place.path.parent if place.path is not None else Path()
