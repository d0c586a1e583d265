"""Rows of ``project.scripts`` as the rules on training scripts read them. Nothing here registers a rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from doctor.model.facts import applies, known, need
from doctor.model.report import Confidence, Evidence, Location
from doctor.rule import Case, Finding

Row = dict[str, Any]
SCAN = "kdoctor scan ."


def scripts(case: Case) -> tuple[Row, ...]:
    """The scripts of the project.

    Raises:
        Unknown: nobody looked for scripts.
        Inapplicable: there are none.
    """
    rows = tuple(row for row in need(case.project.scripts) if isinstance(row.get("path"), str))
    applies(bool(rows), "the project has no script that uses TensorFlow or Keras")
    return rows


def training(case: Case) -> tuple[Row, ...]:
    """The scripts that train.

    Raises:
        Unknown: nobody looked for scripts.
        Inapplicable: none of them trains.
    """
    rows = tuple(row for row in scripts(case) if "trains" not in row or row["trains"])
    applies(bool(rows), "no script of the project trains")
    return rows


def on_tensorflow(case: Case, row: Row) -> bool:
    """Whether a script runs on TensorFlow, as far as anything says so: Keras 3 has other backends."""
    backend = row.get("backend")
    if not isinstance(backend, str) and "tf.keras" not in (row.get("keras") or ["tf.keras"]):
        backend = known(case.software.keras.backend)
    return backend in (None, "tensorflow")


def facts(row: Row, *what: str) -> Iterator[Row]:
    """The facts of a script of these kinds."""
    rows = row.get("facts")
    for fact in rows if isinstance(rows, (list, tuple)) else ():
        if isinstance(fact, dict) and fact.get("what") in what:
            yield fact


def first(row: Row, *what: str) -> Row | None:
    """The first fact of these kinds; None where there is none."""
    return next(facts(row, *what), None)


def location(row: Row, fact: Row) -> Location:
    """Where a fact stands; in a notebook the line of the file, where it is known."""
    line, column, text = fact.get("line"), fact.get("column"), fact.get("text")
    return Location(
        str(row["path"]),
        line if isinstance(line, int) else None,
        column if isinstance(column, int) and isinstance(line, int) else None,
        text=text if isinstance(text, str) and isinstance(line, int) else None,
    )


def where(row: Row, fact: Row) -> str:
    """The script, and of a notebook the cell."""
    cell = fact.get("cell")
    if isinstance(cell, int):
        return f"{row['path']}, cell {cell}, line {fact.get('cell_line')}"
    return str(row["path"])


def finding(row: Row, fact: Row, message: str, *, effect: str, fix: str, thing: str = "", **more: Any) -> Finding:
    """A finding at a fact's place."""
    shown = {key: fact[key] for key in ("what", "name", "loss", "activation", "call", "why") if fact.get(key)}
    return Finding(
        message,
        effect=effect,
        fix=fix,
        evidence=(Evidence("project.scripts", shown, "file"),),
        location=location(row, fact),
        thing=thing,
        **{"likely": 0.2, "confidence": Confidence.HIGH, **more},
    )


def more_places(rows: list[Row]) -> str:
    """`` (and 2 more places: lines 7, 9)`` for all but the first."""
    rest = rows[1:]
    if not rest:
        return ""
    lines = ", ".join(str(fact.get("line")) for fact in rest[:5] if fact.get("line"))
    return f" (and {len(rest)} more {'place' if len(rest) == 1 else 'places'}{': line ' + lines if lines else ''})"
