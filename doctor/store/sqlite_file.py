"""A history in one SQLite file: its owner's alone, written ahead, and changed only once it is known as ours."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from doctor.store.faults import BUSY_SECONDS, told
from doctor.store.migrating import APPLICATION_ID
from doctor.store.place import Place, StoreError
from doctor.store.turns import queue_for

WRITES = {"kdoctor_writes": True}  # options of a connection: one that takes the file for writing when it begins,
PLAIN = {"kdoctor_plain": True}  # and one without transactions

T = TypeVar("T")


def sqlite_engine(path: Path, *, write: bool) -> Engine:
    """The connections to a file, which is made where it is to be written.

    Raises:
        StoreError: there is none to read, or it cannot be made.
    """
    with told(Place(path=path)):
        _make_file(path, write=write)

    def connect() -> sqlite3.Connection:
        return _connect(path, write=write)

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.QueuePool, pool_size=4, max_overflow=32)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("kdoctor_writes"):
            _take_file(connection)
        elif not options.get("kdoctor_plain"):
            connection.exec_driver_sql("BEGIN")

    return engine


@contextlib.contextmanager
def writing_turn(path: Path) -> Iterator[None]:
    """This thread's turn at writing to a file, among those of this process."""
    with queue_for(path).turn(BUSY_SECONDS) as queued:
        if queued:  # another process may wait, too: it looks at the file in this gap
            _pause()
        yield


def _take_file(connection: Connection) -> None:
    """Begin to write as soon as no other process does.

    SQLite's own waiting grows to 0.1 s between two looks: a process that comes again at once is not noticed to have
    paused, and among sixteen writers one was seen to wait half a minute.
    """
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        _until_free(lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}")


def _until_free(attempt: Callable[[], T]) -> T:
    """Attempt it until the file is not locked; after ``BUSY_SECONDS`` its error."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return attempt()
        except (sqlite3.OperationalError, sa.exc.OperationalError) as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        _pause()


def _pause() -> None:
    time.sleep(random.uniform(0.0, 0.002))  # noqa: S311 -- no secret


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
    _until_free(lambda: connection.execute("PRAGMA journal_mode=WAL").fetchone())
