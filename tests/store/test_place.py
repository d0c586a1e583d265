"""Where the history is kept, and that nothing that is shown holds a password."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from doctor.errors import UsageError
from doctor.settings import Settings
from doctor.store.place import Place, find_place


def test_by_default_it_lies_in_the_users_data_folder() -> None:
    """XDG_DATA_HOME, else below HOME; without either it is asked for."""
    assert find_place(Settings(), {"XDG_DATA_HOME": "/data"}).path == Path("/data/kdoctor/history.db")
    assert find_place(Settings(), {"HOME": "/home/ann"}).path == Path("/home/ann/.local/share/kdoctor/history.db")
    with pytest.raises(UsageError, match="KDOCTOR_HISTORY"):
        find_place(Settings(), {})


def test_a_database_wins_over_a_file() -> None:
    """The user's address over the project's file; an empty one is none."""
    both = Settings(database="postgresql://ann@db/x", history="h.db")
    assert find_place(both, {}).url == "postgresql+psycopg://ann@db/x"
    assert find_place(Settings(database="", history="h.db"), {}).path == Path("h.db")
    assert find_place(Settings(database="sqlite:////data/h.db"), {}).path == Path("/data/h.db")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@db:5432/x",
        "postgres://ann:s3cret@db/x?sslmode=require",
        "postgresql+psycopg://ann:s3cret@db/x",
    ],
)
def test_an_address_is_shown_without_its_password(url: str) -> None:
    """Nor with the options behind it."""
    place = find_place(Settings(database=url), {})
    assert "s3cret" not in str(place)
    assert str(place).startswith("postgresql://ann@db")
    assert "s3cret" not in place.without_secrets(f"cannot connect to {place.url} with s3cret")


def test_an_escaped_password_is_taken_out_of_errors_in_both_forms() -> None:
    """As it was written, and as the server would name it."""
    place = Place(url="postgresql+psycopg://ann:a%2Fb%40c@db/x")
    assert place.without_secrets("a%2Fb%40c or a/b@c") == "… or …"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ann:s3cret@db/x",
        "s3cret",
        "postgresql://ann:s3cret@db:port/x",
        "postgresql://db/x?user=ann&password=s3cret",
        "sqlite://s3cret",
        "http://s3cret@db/x",
    ],
)
def test_other_addresses_are_refused_without_being_shown(url: str) -> None:
    """The variable is named, what would do is said; the address may hold a password and is not repeated."""
    with pytest.raises(UsageError) as caught:
        find_place(Settings(database=url, origins={"database": "KDOCTOR_DB_URL"}), {})
    assert "KDOCTOR_DB_URL" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("lacks", ["psycopg", "psycopg_binary"])
def test_a_driver_that_is_not_whole_is_named_with_what_installs_it(lacks: str) -> None:
    """Not installed, or without the client's library: one line, and no password."""
    program = (
        "import ctypes.util, sys\n"
        f"sys.modules[{lacks!r}] = None\n"
        "ctypes.util.find_library = lambda name: None  # no libpq of the system's either\n"
        "from doctor.store.opening import open_store\n"
        "from doctor.store.place import Place, StoreError\n"
        "try:\n"
        "    open_store(Place(url='postgresql+psycopg://ann:s3cret@127.0.0.1:1/x'))\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert "pip install 'keras-doctor[postgresql]'" in done.stdout, done.stderr
    assert "s3cret" not in done.stdout + done.stderr
