"""What a tag named when a run of it was recorded: the third word on whether it has moved."""

from __future__ import annotations

import datetime
import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from doctor.model.wire import decode_snapshot
from doctor.project.recorded import with_history
from doctor.store.entry import Entry
from doctor.store.opening import open_store
from doctor.store.place import Place, StoreError
from doctor.store.recalling import digests_of
from doctor.store.writing import write_entries
from tests.conftest import ROOT
from tests.registry.server import Fake, serve
from tests.store import runs

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
NAME = "registry.example/app:1"


def record(place: Place, *images: dict[str, Any]) -> None:
    """A run a day of each of these images, in this order."""
    entries = []
    for day, image in enumerate(images):
        snapshot = decode_snapshot({"subject": {"kind": "image", "name": "x"}, "software": {"image": image}})
        moment = runs.START + datetime.timedelta(days=day)
        entries.append(Entry("scan", "image:x", "image", moment, snapshot))
    with open_store(place) as store:
        write_entries(store, entries)


def test_the_newest_run_tells(place: Place) -> None:
    """Each tag has the digest of its newest run, under any spelling; another tag's and a digest's runs do not count."""
    record(
        place,
        {"reference": NAME, "digest": A},
        {"reference": NAME, "digest": B},
        {"reference": "registry.example/app:2", "digest": C},
        {"reference": f"registry.example/app:1@{C}", "digest": C},
        {"reference": "docker.io/library/python", "digest": C},
    )
    asked = [NAME, "docker.io/library/python:latest", "registry.example/app:3"]
    assert digests_of(place, asked) == {NAME: (B,), "docker.io/library/python:latest": (C,)}


def test_an_environment_that_came_back_is_the_newest_again(place: Place) -> None:
    """A tag that went to B and back to A named A last, although A was recorded first."""
    record(place, *({"reference": NAME, "digest": digest} for digest in (A, B, A)))
    assert digests_of(place, [NAME]) == {NAME: (A,)}


def test_an_engines_own_id_is_no_digest(place: Place) -> None:
    """What a registry never named says nothing of a tag; what the engine pulled it by does."""
    record(place, {"reference": NAME, "digest": A, "id": A})
    assert digests_of(place, [NAME]) == {}
    pulled = [f"registry.example/app@{B}", f"elsewhere.example/app@{C}", "<none>@<none>"]
    record(place, {"reference": NAME, "digest": A, "id": A, "repo_digests": pulled})
    assert digests_of(place, [NAME]) == {NAME: (B,)}


def row(reference: str = NAME, now: str = A, **more: Any) -> dict[str, Any]:
    return {"reference": reference, "pinned": "tag", "registry": {"tag_digest": now}, **more}


def test_lock_and_engine_come_first(tmp_path: Path) -> None:
    """The history is asked only about what neither of them has recorded, and only where the registry has answered."""
    place = Place(path=tmp_path / "history.db")
    record(place, {"reference": NAME, "digest": B})
    rows = [row(), row(recorded={"digest": C, "source": "kdoctor.lock"}), {**row(), "registry": {"missing": "late"}}]
    found = with_history(rows, lambda: place)
    assert found[0]["recorded"] == {"digest": B, "source": "the history"}
    assert found[1:] == rows[1:]


def test_without_a_history_nothing_is_loaded(tmp_path: Path) -> None:
    """Where no run was recorded no file is made and nothing of databases imported; else sqlite3, never SQLAlchemy."""
    code = """
import sys
from pathlib import Path
from doctor.project.recorded import with_history
from doctor.store.place import Place
rows = [{"reference": "app:1", "pinned": "tag", "registry": {"tag_digest": "x"}}]
with_history(rows, lambda: Place(path=Path(sys.argv[1])))
print(sorted({"sqlite3", "sqlalchemy", "alembic", "psycopg"} & set(sys.modules)))
"""
    absent, there = tmp_path / "absent.db", Place(path=tmp_path / "there.db")
    record(there, {"reference": NAME, "digest": B})
    for path, loaded in ((absent, "[]"), (there.path, "['sqlite3']")):
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        run = subprocess.run(
            [sys.executable, "-c", code, str(path)], env=env, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == loaded
    assert not absent.exists()


def test_a_history_that_cannot_be_asked_leaves_the_fact_missing(tmp_path: Path) -> None:
    """A file that is none, and a server that is not there: the reason stands in the row, without a password."""
    bad = tmp_path / "bad.db"
    bad.write_bytes(b"not a database" * 100)
    (found,) = with_history([row()], lambda: Place(path=bad))
    assert "bad.db" in found["recorded"]["missing"]
    away = Place(url="postgresql+psycopg://me:s3cret@127.0.0.1:9/db")
    (found,) = with_history([row()], lambda: away)
    assert "127.0.0.1:9" in found["recorded"]["missing"]
    assert "s3cret" not in found["recorded"]["missing"]


def test_a_file_made_to_take_for_ever_is_given_up(tmp_path: Path) -> None:
    """The history may be the scanned project's: views that never end are ended, and nothing in the file changes."""
    path = tmp_path / "history.db"
    with sqlite3.connect(path) as made:
        endless = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, '{NAME}' AS image,"
        made.execute(f"CREATE VIEW kdoctor_environments AS {endless} '{{}}' AS snapshot FROM n")
        made.execute("CREATE TABLE kdoctor_runs (id, environment_id, ran_at)")
        made.execute("INSERT INTO kdoctor_runs VALUES (1, -1, '2026-01-01')")
    made.close()
    before = path.read_bytes()
    started = time.monotonic()
    with pytest.raises(StoreError, match="no answer within 1 s"):
        digests_of(Place(path=path), [NAME])
    assert time.monotonic() - started < 5
    assert path.read_bytes() == before


@pytest.mark.parametrize("snapshot", ["", "[]", "[" * 100_000, '{"software": {"image": {"digest": 5}}}', None])
def test_rows_that_are_damaged_tell_nothing(tmp_path: Path, snapshot: str | None) -> None:
    """An environment that cannot be read is passed over."""
    place = Place(path=tmp_path / "history.db")
    record(place, {"reference": NAME, "digest": A})
    assert place.path is not None
    with sqlite3.connect(place.path) as changed:
        changed.execute("PRAGMA ignore_check_constraints=ON")
        changed.execute("UPDATE kdoctor_environments SET snapshot = ?", (snapshot or "",))
    changed.close()
    assert digests_of(place, [NAME]) == {}


def scan(folder: Path, data: Path, *arguments: str) -> dict[str, Any]:
    """The report of a scan of a folder, with the history of this data folder."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(data), "DOCKER_HOST": f"unix://{folder}/none"}
    command = [sys.executable, "-m", "doctor", "scan", "--format", "json", "--select", "KD407", *arguments]
    run = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    return msgspec.json.decode(run.stdout)  # type: ignore[no-any-return]


def test_a_scan_says_that_the_tag_has_moved_since_the_recorded_run(tmp_path: Path) -> None:
    """KD407 with the history as its witness; nothing where the tag still names what was recorded; else a skip."""
    project, data = tmp_path / "project", tmp_path / "data"
    project.mkdir()
    place = Place(path=data / "kdoctor" / "history.db")
    with serve(Fake()) as registry:
        now = registry.add("app", "1")
        (project / "Dockerfile").write_text(f"FROM {registry.host}/app:1\n")
        assert [one["code"] for one in scan(project, data)["inapplicable"]] == ["KD407"]
        record(place, {"reference": f"{registry.host}/app:1", "digest": now})
        assert [one["code"] for one in scan(project, data)["passed"]] == ["KD407"]
        record(place, *({"reference": f"{registry.host}/app:1", "digest": digest} for digest in (now, B)))
        (finding,) = scan(project, data)["findings"]
        assert finding["code"] == "KD407"
        assert {"fact": "project.images.recorded.digest", "value": B, "source": "the history"} in finding["evidence"]
        assert "the history recorded" in finding["message"]
        assert place.path is not None
        place.path.write_bytes(b"damaged")
        (skipped,) = scan(project, data)["skipped"]
        assert "history" in skipped["reason"]
        assert json.dumps(scan(project, data, "--offline")).count("history") == 0
