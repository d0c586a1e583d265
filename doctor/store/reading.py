"""Asking the history: runs by filters, one run whole, the environments behind two runs."""

from __future__ import annotations

import datetime
import json
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from doctor.canary.record import Record
from doctor.canary.record_file import decode_record
from doctor.errors import DocumentError, UsageError
from doctor.model.snapshot import Snapshot
from doctor.model.wire import decode_snapshot
from doctor.store import tables
from doctor.store.opening import Store
from doctor.store.place import StoreError

MAX_DOCUMENT = 8 * 1024 * 1024
LATEST = "latest"
# A run's columns besides what may be large.
_LISTED = [column for column in tables.runs.c if column.name not in ("parameters", "seeds", "document_rest")]
_OF_ENVIRONMENT = [
    column for column in tables.environments.c if column.name not in ("id", "sha256", "snapshot", "gpus", "cpu")
]

Row = dict[str, Any]


class Filter(msgspec.Struct, frozen=True):
    """Which runs: every condition given must hold. ``image``: text in its reference; ``tag``: a label or image tag.

    ``limit``: the newest so many; None for all.
    """

    kind: str | None = None
    image: str | None = None
    digest: str | None = None
    host: str | None = None
    tag: str | None = None
    model: str | None = None
    subject: str | None = None
    verdict: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    limit: int | None = None


def list_runs(store: Store, wanted: Filter) -> list[Row]:
    """The runs, the newest first: their columns and those of their environment that are worth a line.

    Raises:
        StoreError: the history cannot be read.
    """
    query = (
        sa.select(*_LISTED, *_OF_ENVIRONMENT)
        .join(tables.environments, tables.environments.c.id == tables.runs.c.environment_id)
        .where(*conditions(wanted))
        .order_by(tables.runs.c.ran_at.desc(), tables.runs.c.id.desc())
    )
    if wanted.limit is not None:
        query = query.limit(wanted.limit)
    with store.reading() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def conditions(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    """The filter as conditions on runs and their environments."""
    runs, environments = tables.runs.c, tables.environments.c
    found: list[sa.ColumnElement[bool]] = []
    for column, value in (
        (runs.kind, wanted.kind),
        (runs.host, wanted.host),
        (runs.model, wanted.model),
        (runs.verdict, wanted.verdict),
        (runs.subject, wanted.subject),
    ):
        if value is not None:
            found.append(column == value)
    if wanted.image is not None:
        found.append(
            environments.image.contains(wanted.image, autoescape=True)
            | (
                runs.subject_kind.in_(("image", "container", "archive"))
                & runs.subject.contains(wanted.image, autoescape=True)
            )
        )
    if wanted.digest is not None:
        digest = wanted.digest if ":" in wanted.digest else f"sha256:{wanted.digest}"
        found.append(environments.image_digest.startswith(digest, autoescape=True))
    if wanted.tag is not None:
        labelled = sa.select(tables.tags.c.run_id).where(tables.tags.c.tag == wanted.tag)
        found.append(runs.id.in_(labelled) | environments.image.endswith(":" + wanted.tag, autoescape=True))
    if wanted.since is not None:
        found.append(runs.ran_at >= wanted.since)
    if wanted.until is not None:
        found.append(runs.ran_at < wanted.until)
    return found


def find_run(store: Store, word: str) -> int:
    """The number of the run that a word names: its number, the beginning of its uid, or ``latest``.

    Raises:
        UsageError: there is none, or more than one.
    """
    runs = tables.runs.c
    with store.reading() as connection:
        if word == LATEST:
            newest = sa.select(runs.id).order_by(runs.ran_at.desc(), runs.id.desc()).limit(1)
            found = list(connection.execute(newest).scalars())
        elif word.isdecimal() and len(word) < 19:
            found = list(connection.execute(sa.select(runs.id).where(runs.id == int(word))).scalars())
        else:
            beginning = runs.uid.startswith(word.lower(), autoescape=True)
            found = list(connection.execute(sa.select(runs.id).where(beginning).limit(2)).scalars()) if word else []
    if len(found) != 1:
        why = "more than one run begins so" if found else "there is no such run"
        raise UsageError(f"run {word[:60]!r}: {why} in {store.place}; kdoctor history list shows them")
    return int(found[0])


def load_run(store: Store, run_id: int) -> Row:
    """One run whole, as plain data: columns, environment, metrics, findings, tags, references.

    Raises:
        StoreError: the history cannot be read.
    """
    with store.reading() as connection:
        run = dict(_one(connection, tables.runs, run_id))
        environment = dict(_one(connection, tables.environments, run["environment_id"]))
        return {
            **run,
            "environment": environment,
            "tags": list(_of_run(connection, tables.tags, tables.tags.c.tag, run_id).scalars()),
            "epochs": _rows(connection, tables.metrics, run_id, tables.metrics.c.epoch, tables.metrics.c.metric),
            "findings": _rows(connection, tables.findings, run_id, tables.findings.c.position),
            "references": _rows(connection, tables.references, run_id, tables.references.c.accepted_at),
        }


def load_snapshot_of(store: Store, environment_id: int) -> Snapshot:
    """An environment as the snapshot that it was recorded from, without its name.

    Raises:
        StoreError: the history cannot be read, or this row of it.
    """
    with store.reading() as connection:
        document = _one(connection, tables.environments, environment_id)["snapshot"]
    try:
        return decode_snapshot({"subject": {"kind": "interpreter", "name": "recorded"}, **dict(document)})
    except (DocumentError, TypeError, ValueError):
        raise StoreError(f"history {store.place}: environment {environment_id} cannot be read") from None


def load_record_of(store: Store, run: Row) -> Record | None:
    """The canary record that a run was recorded with; None where there was none.

    Raises:
        StoreError: it is there, and cannot be read.
    """
    if run.get("document_sha256") is None:
        return None
    documents = tables.documents.c
    with store.reading() as connection:
        wanted = sa.select(documents.body).where(documents.sha256 == run["document_sha256"])
        body = connection.execute(wanted).scalar()
    try:
        return decode_record({**unpacked(body), **(run["document_rest"] or {})}, f"run {run['id']}")
    except (DocumentError, ValueError, TypeError, zlib.error) as error:
        raise StoreError(f"history {store.place}: the record of run {run['id']} cannot be read: {error}") from None


def unpacked(body: bytes | None) -> dict[str, Any]:
    """A stored document's shared part.

    Raises:
        ValueError: it is damaged, or larger than any document.
        zlib.error: it is damaged.
    """
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(body or b"", MAX_DOCUMENT)
    if not unpacker.eof:
        raise ValueError("cut short, or larger than any record")
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("not a document")
    return document


def _one(connection: Connection, table: sa.Table, key: int) -> RowMapping:
    row = connection.execute(sa.select(table).where(table.c.id == key)).mappings().first()
    if row is None:
        raise StoreError(f"{table.name} holds no row {key}: the history is damaged; kdoctor history check")
    return row


def _of_run(connection: Connection, table: sa.Table, column: sa.Column[Any], run_id: int) -> sa.Result[Any]:
    return connection.execute(sa.select(column).where(table.c.run_id == run_id).order_by(column))


def _rows(connection: Connection, table: sa.Table, run_id: int, *order: sa.Column[Any]) -> list[Row]:
    query: sa.Select[Any] = sa.select(table).where(table.c.run_id == run_id).order_by(*order)
    return [{k: v for k, v in row.items() if k != "run_id"} for row in connection.execute(query).mappings()]


def plain(value: Any) -> Any:
    """Rows as JSON: moments in ISO 8601, UTC."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(item) for item in value]
    return value
