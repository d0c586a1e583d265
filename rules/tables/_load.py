"""Reading the table files: once each, when first asked for, from the folder that this file lies in."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TypeVar

import msgspec

FOLDER = Path(__file__).parent


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a table: `source` are keys of the file's `sources`, `seen` is the day on which they were read."""

    source: tuple[str, ...]
    seen: str
    note: str | None = None


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table file: its name, the day of its last change, what the keys of its rows' `source` mean, and its rows."""

    table: str
    seen: str
    sources: dict[str, str]

    def cite(self, row: Row) -> tuple[str, ...]:
        """The sources of a row, as a reader can look them up."""
        return tuple(self.sources[key] for key in row.source)


T = TypeVar("T", bound=Table)

_loaded: dict[str, Table] = {}


def load(kind: type[T], name: str) -> T:
    """The table `name` as `kind`.

    Raises:
        OSError: the file is not there: the installation is damaged.
        msgspec.ValidationError: the file does not hold what `kind` says.
    """
    table = _loaded.get(name)
    if not isinstance(table, kind):
        table = _loaded[name] = msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=kind)
    return table


def names() -> tuple[str, ...]:
    """The names of all table files."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


@functools.cache
def seen() -> str:
    """The day of the newest table: what reports give as the version of the tables."""
    return max(msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=_Dated).seen for name in names())


class _Dated(msgspec.Struct):
    seen: str
