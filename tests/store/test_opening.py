"""A history that cannot be used is told apart in clear words, and never written over."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import doctor.store.migrations
from doctor.store import tables
from doctor.store.entry import Metric
from doctor.store.migrating import migrate
from doctor.store.opening import Store, open_store
from doctor.store.place import Place, StoreError
from doctor.store.reading import Filter, list_runs, load_run
from doctor.store.upkeep import check
from doctor.store.writing import write_entries
from tests.store import runs

SCRIPTS = ScriptDirectory(str(Path(doctor.store.migrations.__file__).parent))
REVISIONS = [script.revision for script in reversed(list(SCRIPTS.walk_revisions()))]


def sqlite(path: Path) -> Place:
    """A place in a file, with one run in it."""
    place = Place(path=path)
    with open_store(place) as store:
        write_entries(store, [runs.training_entry(0, 0.9)])
    return place


def refused(place: Place, *, write: bool = True) -> str:
    """Why a history is refused."""
    with pytest.raises(StoreError) as caught, open_store(place, write=write) as store:
        write_entries(store, [runs.training_entry(0, 0.9)])
    return str(caught.value)


def at_revision(place: Place, revision: str) -> None:
    """Make a history as the kdoctor of this revision made it, with a run in it."""
    engine = sa.create_engine(place.url or f"sqlite:///{place.path}")
    if place.path is not None:
        place.path.parent.mkdir(parents=True, exist_ok=True)
    with engine.begin() as connection:
        migrate(connection, place, revision)
        connection.execute(
            sa.insert(tables.environments).values(sha256="e" * 64, keras="2.15.0", snapshot={"software": {}})
        )
        connection.execute(
            sa.text(
                "INSERT INTO kdoctor_runs (uid, kind, ran_at, recorded_at, subject, subject_kind, verdict,"
                " environment_id, accuracy, kdoctor) VALUES ('u1', 'training', '2026-01-01 02:10:00',"
                " '2026-01-01 02:10:00', 'host', 'interpreter', 'pass', 1, 0.9, '0.0')"
            )
        )
        connection.execute(sa.insert(tables.metrics).values(run_id=1, epoch=1, metric="accuracy", value=0.9))
    engine.dispose()


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_every_earlier_schema_is_brought_up_to_date_with_its_data(place: Place, revision: str) -> None:
    """The run that an earlier kdoctor recorded is there, new ones can be added, and the views answer."""
    at_revision(place, revision)
    with open_store(place) as store:
        write_entries(store, [runs.training_entry(1, 0.91)])
        assert [row["accuracy"] for row in list_runs(store, Filter())] == [0.91, 0.9]
        assert load_run(store, 1)["epochs"][0]["value"] == 0.9
        with store.reading() as connection:
            assert connection.execute(sa.text("SELECT count(*) FROM kdoctor_run_summary")).scalar() == 2


def test_migrations_make_the_tables_that_queries_expect(store: Store) -> None:
    """Column by column; and the newest revision is the one that the code names."""
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": tables.VERSION_TABLE})
        assert compare_metadata(context, tables.metadata) == []
    assert SCRIPTS.get_current_head() == tables.HEAD


def test_opening_twice_changes_nothing(place: Place) -> None:
    """The second opening finds the schema there."""
    for _ in range(2):
        with open_store(place) as store:
            write_entries(store, [runs.training_entry(0, 0.9)])
    with open_store(place, write=False) as store:
        assert len(list_runs(store, Filter())) == 2


def test_a_newer_schema_is_refused_for_reading_and_writing(place: Place) -> None:
    """What a newer kdoctor wrote is not touched."""
    with open_store(place) as store, store.writing() as connection:
        connection.execute(sa.text(f"UPDATE {tables.VERSION_TABLE} SET version_num = '9999'"))
    for write in (True, False):
        assert "newer kdoctor" in refused(place, write=write)


def test_a_file_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    """Another program's SQLite file, text, and a picture: refused, and not a byte changed."""
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    text = tmp_path / "notes.db"
    text.write_text("these are my notes, and there are many of them\n" * 40)
    for path, words in ((other, "another program"), (text, "not a history")):
        before = path.read_bytes()
        assert words in refused(Place(path=path))
        assert path.read_bytes() == before


@pytest.mark.e2e
def test_tables_of_others_in_one_database_do_no_harm(empty_database: str) -> None:
    """MLflow's tables have the plainest names; ours stand beside them."""
    place = Place(url=empty_database.replace("postgresql://", "postgresql+psycopg://"))
    engine = sa.create_engine(str(place.url))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE runs (id int)"))
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num varchar(32))"))
    engine.dispose()
    with open_store(place) as store:
        write_entries(store, [runs.training_entry(0, 0.9)])
        assert len(list_runs(store, Filter())) == 1


def test_a_damaged_file_is_told_and_kept(tmp_path: Path) -> None:
    """Pages overwritten in the middle: `check` or the query says so, and nothing is made anew in its place."""
    place = sqlite(tmp_path / "history.db")
    path = tmp_path / "history.db"
    with open_store(place) as store:
        write_entries(store, [runs.canary_entry(runs.canary(day)) for day in range(20)])
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    said = ""
    try:
        with open_store(place, write=False) as store:
            said = " ".join(check(store))
    except StoreError as error:
        said = str(error)
    assert said
    assert "Traceback" not in said
    assert path.read_bytes() == bytes(data)


def test_an_empty_file_becomes_a_history(tmp_path: Path) -> None:
    """A file that a killed first run left empty is no damage."""
    path = tmp_path / "history.db"
    path.touch()
    sqlite(path)


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Hosts, paths and versions are nobody else's business, whatever the umask."""
    old = os.umask(0)
    try:
        sqlite(tmp_path / "deep" / "er" / "history.db")
    finally:
        os.umask(old)
    assert (tmp_path / "deep" / "er" / "history.db").stat().st_mode & 0o777 == 0o600


def test_a_folder_in_the_files_place_and_a_missing_file_are_told(tmp_path: Path) -> None:
    """Reading makes no file."""
    assert "is a folder" in refused(Place(path=tmp_path))
    missing = tmp_path / "no" / "history.db"
    assert "not there yet" in refused(Place(path=missing), write=False)
    assert not missing.parent.exists()


@pytest.fixture
def small_disk(tmp_path: Path, lacking: Callable[[str], NoReturn]) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        lacking("a small tmpfs cannot be mounted (needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=False)


@pytest.mark.e2e
def test_a_full_disk_loses_nothing_that_was_there(small_disk: Path) -> None:
    """Recording goes on until the disk is full; then it says so, and every run before is whole."""
    place = Place(path=small_disk / "history.db")
    metrics = tuple(Metric(epoch, "loss" * 20, 0.5) for epoch in range(60))
    kept, said = 0, ""
    with open_store(place) as store:
        while not said and kept < 400:
            try:
                write_entries(store, [runs.training_entry(kept, 0.9, metrics=metrics)])
                kept += 1
            except StoreError as error:
                said = str(error)
    assert "full" in said
    assert kept > 3
    with open_store(place, write=False) as store:
        assert len(list_runs(store, Filter())) == kept
        assert check(store) == []


@pytest.fixture
def read_only(tmp_path: Path, lacking: Callable[[str], NoReturn]) -> Iterator[Path]:
    """A folder on a file system that is mounted read-only; permissions alone do not stop root."""
    folder = tmp_path / "ro"
    folder.mkdir()
    sqlite(folder / "history.db")
    binds = ["mount", "--bind", str(folder), str(folder)], ["mount", "-o", "remount,ro,bind", str(folder)]
    if os.geteuid() != 0 or any(subprocess.run(one, capture_output=True, check=False).returncode for one in binds):
        subprocess.run(["umount", str(folder)], capture_output=True, check=False)
        lacking("a read-only bind mount cannot be made (needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=False)


@pytest.mark.e2e
def test_a_read_only_folder_can_be_read_and_refuses_to_record(read_only: Path) -> None:
    """What is there can be listed and checked; recording says that it is read-only."""
    place = Place(path=read_only / "history.db")
    with open_store(place, write=False) as store:
        assert len(list_runs(store, Filter())) == 1
        assert check(store) == []
    said = refused(place)
    assert "read-only" in said
    assert str(read_only) in said
    assert "Read-only file system" in refused(Place(path=read_only / "new" / "history.db"))


def test_a_hostile_file_runs_nothing(tmp_path: Path) -> None:
    """A view in a history that came with a project cannot call functions with side effects when it is read."""
    place = sqlite(tmp_path / "history.db")
    with open_store(place) as store, store.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA trusted_schema").scalar() == 0
