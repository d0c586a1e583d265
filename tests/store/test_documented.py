"""What docs/history.md promises: its queries run on both databases, its tables and views are those that exist."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from doctor.cli.history import history
from doctor.store import tables
from doctor.store.accepting import accept_run
from doctor.store.entry import Metric
from doctor.store.opening import Store
from doctor.store.reading import load_run
from doctor.store.recording import report_entries
from doctor.store.writing import write_entries
from tests.store import runs

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "history.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def filled(store: Store) -> Store:
    """Two trainings of one model, deployed one after the other with another Keras and other data; two scans."""
    for day, (accuracy, keras) in enumerate([(0.9, "2.15.0"), (0.8, "3.15.1")]):
        entry = runs.training_entry(
            day,
            accuracy,
            environment=runs.environment(keras=keras),
            data_sha256=f"sha256:0{day}",
            weights_path=f"/models/{day}.h5",
            deployed_at=runs.at(day + 1),
            metrics=tuple(Metric(epoch, "val_loss", value) for epoch, value in enumerate((0.5, 0.3, 0.3, 0.4), 1)),
        )
        write_entries(store, [entry])
        report = runs.report("host", findings=(runs.finding(),))
        write_entries(store, report_entries("scan", report, [runs.environment()], {}))
    accept_run(store, load_run(store, 1), by="ann", reason="first", file=None)
    return store


def answers(store: Store, query: str) -> Sequence[dict[str, Any]]:
    """The rows of a query."""
    with store.reading() as connection:
        return [dict(row) for row in connection.execute(sa.text(query)).mappings()]


def test_there_are_five_queries() -> None:
    """The tests below name each by its place."""
    assert len(QUERIES) == 5


def test_the_largest_move_names_environment_and_data(filled: Store) -> None:
    """The first query."""
    (row,) = answers(filled, QUERIES[0])
    assert (row["id"], row["model"], bool(row["other_environment"]), bool(row["other_data"])) == (3, "ctr", True, True)
    assert row["difference"] == pytest.approx(-0.1)


def test_accuracy_by_versions(filled: Store) -> None:
    """The second query: the better one first."""
    rows = answers(filled, QUERIES[1])
    assert [(row["keras"], row["runs"], row["mean"]) for row in rows] == [("2.15.0", 1, 0.9), ("3.15.1", 1, 0.8)]


def test_what_is_deployed(filled: Store) -> None:
    """The third query: one row a model, the newest deployment."""
    (row,) = answers(filled, QUERIES[2])
    assert (row["model"], row["weights_path"], row["accuracy"]) == ("ctr", "/models/1.h5", 0.8)


def test_since_when_a_finding_is_there(filled: Store) -> None:
    """The fourth query: two scans, one finding."""
    (row,) = answers(filled, QUERIES[3])
    assert (row["code"], row["subject"], row["runs"]) == ("KD102", "host", 2)


def test_the_best_epoch(filled: Store) -> None:
    """The fifth query: the first of two equal ones."""
    assert [(row["run_id"], row["epoch"], row["val_loss"]) for row in answers(filled, QUERIES[4])] == [
        (1, 2, 0.3),
        (3, 2, 0.3),
    ]


def test_every_table_and_view_is_named(store: Store) -> None:
    """And no other."""
    named = set(re.findall(r"`(kdoctor_\w+)`", PAGE))
    with store.reading() as connection:
        inspector = sa.inspect(connection)
        there = {*inspector.get_table_names(), *inspector.get_view_names()}
    assert named - {"kdoctor_"} == there - {tables.VERSION_TABLE}


def test_the_commands_and_options_are_those_that_there_are() -> None:
    """Each command of the page's blocks is known, and so is each of its options."""
    lines = re.findall(r"^\$ kdoctor history (\w+)(.*)$", PAGE, re.MULTILINE)
    assert {command for command, _ in lines} >= {"add", "drift", "list", "show", "diff", "plot", "accept", "export"}
    for command, rest in lines:
        told = CliRunner().invoke(history, [command, "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"(?<= )--?[a-z]+", rest.split("#")[0]):
            assert option in told, (command, option)
