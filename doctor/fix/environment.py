"""A variable more, where a file of the project sets variables of TensorFlow already: beside the last of them."""

from __future__ import annotations

import re
from typing import Any

from doctor.fix.text import Placed, Text
from doctor.images import discover
from doctor.model.report import Change
from doctor.pin.plan import applied
from doctor.pin.spots import Edit
from doctor.project.environment import DOTENV, parse

NOWHERE = "no file of the project sets variables of TensorFlow: set it where the program is started"
_COMPOSE_ITEM = re.compile(r"(?P<indent>[ \t]*-[ \t]*)(?P<quote>[\"']?)[A-Za-z_]\w*=.*")
_COMPOSE_ENTRY = re.compile(r"(?P<indent>[ \t]*)[\"']?[A-Za-z_]\w*[\"']?[ \t]*:[ \t]+\S.*")


def file_of(rows: tuple[dict[str, Any], ...]) -> str | None:
    """The file in which a variable is to be set: the first that sets others."""
    return next((str(row["path"]) for row in rows), None)


def place(file: Text, change: Change) -> Placed:
    """The edit after which the file sets the variable, once, and everything else as before."""
    kind = DOTENV if file.path.rsplit("/", 1)[-1] == DOTENV else discover.kind_of(file.path) or ""
    before = parse(file.text, file.path, kind)
    if any(row["name"] == change.name for row in before):
        return f"the file sets {change.name} already, to another value: decide which"
    if not before:
        return "changed since it was read"
    last = max(before, key=lambda row: int(row["end_line"]))
    starts = [*file.starts(), len(file.text)]
    number = int(last["end_line"])
    written = file.text[starts[number - 1] : starts[number]]
    new = _line(kind, written.rstrip("\r\n"), change)
    if new is None:
        return "the variables are not written one a line here"
    at = starts[number]
    text = new + file.newline if written.endswith(("\n", "\r")) else file.newline + new
    edit = Edit(at, at, text)
    after = parse(applied(file.text, [edit]), file.path, kind)
    added = [row for row in after if (row["name"], row["value"]) == (change.name, change.value)]
    same = [_said(row) for row in after if row["name"] != change.name] == [_said(row) for row in before]
    return (edit,) if len(added) == 1 and same else "the variables are not written one a line here"


def _line(kind: str, beside: str, change: Change) -> str | None:
    """The new line, written as the one beside it."""
    if kind == discover.DOCKERFILE:
        return f"ENV {change.name}={change.value}"
    if kind == DOTENV:
        return f"{change.name}={change.value}"
    if item := _COMPOSE_ITEM.fullmatch(beside):
        return f"{item['indent']}{item['quote']}{change.name}={change.value}{item['quote']}"
    if entry := _COMPOSE_ENTRY.fullmatch(beside):
        return f'{entry["indent"]}{change.name}: "{change.value}"'
    return None


def _said(row: dict[str, Any]) -> tuple[object, object]:
    return row["name"], row["value"]
