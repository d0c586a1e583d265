"""Names of TensorFlow's and Keras's API that some release took away, and what to use instead."""

from __future__ import annotations

from ._load import Row, Table, load
from .versions import allows


class Gone(Row, frozen=True, kw_only=True):
    """A name that is gone: `gone` tells for `keras`, `tf.keras` and `tensorflow` from which version on.

    A name that begins with a dot is a method; `(lr)` behind a name an argument of it; `:file` the file it is given.
    For `tf.keras` the version is that of the Keras behind it, from TensorFlow 2.16 on the installed one.
    """

    name: str
    gone: dict[str, str]
    instead: str


class _Names(Table, frozen=True, kw_only=True):
    names: tuple[Gone, ...]


_by_name: dict[str, Gone] = {}


def names() -> tuple[Gone, ...]:
    """All rows."""
    return load(_Names, "keras_api").names


def gone(name: str, home: str, version: str) -> Gone | None:
    """The row of a name that `home` (keras, tf.keras, tensorflow) of this version no longer has."""
    if not _by_name:
        _by_name.update({row.name: row for row in names()})
    row = _by_name.get(name)
    bound = row.gone.get(home) if row is not None else None
    return row if bound is not None and allows(bound, version) else None
