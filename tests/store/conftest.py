"""Every test of the history runs on SQLite and, where a server can be started, on PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from doctor.store.opening import Store, open_store
from doctor.store.place import Place
from tests.store import postgresql

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql_server(lacking: Callable[[str], NoReturn]) -> Iterator[str]:
    """The address of a server that the tests started."""
    programs = postgresql.binaries()
    if programs is None:
        lacking("PostgreSQL's programs are not installed (Debian: postgresql)")
    try:
        with postgresql.server(programs) as address:
            yield address
    except (RuntimeError, OSError, KeyError) as error:
        lacking(f"PostgreSQL cannot be started: {error}")


@pytest.fixture
def empty_database(postgresql_server: str) -> str:
    """The address of a new database."""
    import psycopg

    name = f"history{next(_NUMBERS)}"
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return postgresql_server.removesuffix("/postgres") + f"/{name}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a new history may be."""
    if request.param == "sqlite":
        return Place(path=tmp_path / "data" / "history.db")
    address: str = request.getfixturevalue("empty_database")
    return Place(url=address.replace("postgresql://", "postgresql+psycopg://"))


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """An open, empty history."""
    with open_store(place) as opened:
        yield opened
