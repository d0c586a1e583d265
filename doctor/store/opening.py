"""Opening a history: made on first use, brought up to date, and refused with clear words where it cannot be used."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from doctor.store.place import Place, StoreError
from doctor.store.tables import HEAD, VERSION_TABLE

BUSY_SECONDS = (
    120.0  # a run that waits is better than a run lost; seen: 30 s starved one of 16 writers on a busy machine
)
APPLICATION_ID = 0x6B646F63  # "kdoc", in the header of our SQLite files
_MIGRATION_LOCK = 0x6B646F63
_WRITES = {"kdoctor_writes": True}
_MIGRATING = threading.Lock()  # Alembic keeps the context of a migration in a global


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
        with told(self.place), self._engine.connect() as plain:
            connection = plain.execution_options(**_WRITES)
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def plainly(self) -> Iterator[Connection]:
        """A connection outside of any transaction, for SQLite's own upkeep.

        Raises:
            StoreError: the history cannot be written.
        """
        with told(self.place), self._engine.connect() as connection:
            yield connection.execution_options(kdoctor_plain=True)

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
    engine = _postgres(place) if place.path is None else _sqlite(place.path, write=write)
    store = Store(place, engine)
    try:
        with told(place):
            _bring_up_to_date(store, engine, write=write)
    except BaseException:
        store.close()
        raise
    return store


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


def _sqlite(path: Path, *, write: bool) -> Engine:
    with told(Place(path=path)):
        _make_file(path, write=write)

    def connect() -> sqlite3.Connection:
        return _connect(path, write=write)

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.QueuePool, pool_size=4, max_overflow=32)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("kdoctor_plain"):
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("kdoctor_writes") else "BEGIN")

    return engine


def _make_file(path: Path, *, write: bool) -> None:
    """The file and its folder, readable by their owner alone: a history names hosts, paths and versions."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder")
    if not write and not path.exists():
        raise StoreError(f"history {path}: is not there yet; record a run with --record")
    if write and path.exists() and not all(os.access(one, os.W_OK) for one in (path, path.parent)):
        raise PermissionError(errno.EROFS, "is read-only")
    if write and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _connect(path: Path, *, write: bool) -> sqlite3.Connection:
    if not write and not os.access(path.parent, os.W_OK):
        return _connect_read_only(path)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        # Nothing is changed in a file before it is known to be ours.
        ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        if ours and os.access(path, os.W_OK):
            _use_wal(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection to a file in a folder where nothing can be written: WAL needs files beside it, unless nobody writes.

    Raises:
        StoreError: another process left a log beside the file that only a writer could read.
    """
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise StoreError(f"history {path}: its folder is read-only and a write-ahead log lies there; copy both away")
    address = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
    return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Readers and a writer side by side. Switching wants the file for itself; SQLite does not wait for that."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _postgres(place: Place) -> Engine:
    try:
        return sa.create_engine(
            str(place.url), pool_size=4, max_overflow=32, pool_pre_ping=False, connect_args={"connect_timeout": 10}
        )
    except ModuleNotFoundError:
        raise StoreError(f"history {place}: needs psycopg: pip install 'keras-doctor[postgresql]'") from None
    except (sa.exc.ArgumentError, ValueError):
        raise StoreError(f"history {place}: not an address that can be used") from None


def _bring_up_to_date(store: Store, engine: Engine, *, write: bool) -> None:
    with store.reading() as connection:
        if _revision(connection) == HEAD:
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


def migrate(connection: Connection, place: Place, to: str = HEAD) -> None:
    """Bring the schema to a revision, inside the connection's transaction; several processes may try at once.

    Raises:
        StoreError: the database is another program's, or its schema is newer.
    """
    from alembic.config import Config  # noqa: PLC0415 -- 90 ms, only where there is something to do
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    found = _revision(connection)
    if found == to:
        return
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise StoreError(f"history {place}: was written by a newer kdoctor (schema {found[:40]}): update kdoctor")
    if found is None:
        _refuse_strangers(connection, place)

    def steps(revision: Any, _: Any) -> Any:
        return scripts._upgrade_revs(to, revision)

    with _MIGRATING, EnvironmentContext(config, scripts, fn=steps) as context:
        context.configure(connection=connection, version_table=VERSION_TABLE, transactional_ddl=True)
        context.run_migrations()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")


def _revision(connection: Connection) -> str | None:
    """The schema's revision; None where there is no schema of ours."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 -- a constant
    return str(found) if found is not None else None


def _refuse_strangers(connection: Connection, place: Place) -> None:
    """An SQLite file with tables of others was named by mistake; in a database ours stand beside others'."""
    names = [name for name in sa.inspect(connection).get_table_names() if name != VERSION_TABLE]
    ours = [name for name in names if name.startswith("kdoctor_")]
    if ours or (names and connection.dialect.name == "sqlite"):
        raise StoreError(
            f"history {place}: is a database of another program ({names[0][:40]}…); it is left as it is: name another"
        )
