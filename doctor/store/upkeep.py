"""Keeping a history in order: forgetting old runs, and looking whether everything in it is whole."""

from __future__ import annotations

import datetime
import hashlib
import zlib
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from doctor.store import tables
from doctor.store.entry import content_hash
from doctor.store.opening import Store
from doctor.store.reading import unpacked

_BATCH = 500


class Pruned(msgspec.Struct, frozen=True):
    """What a pruning took away, and what it kept although it was old: accepted runs."""

    runs: int
    environments: int
    documents: int
    accepted: int


def prune(store: Store, *, keep: int | None = None, before: datetime.datetime | None = None, dry: bool) -> Pruned:
    """Forget runs: all but the newest ``keep``, or those before a moment; accepted ones are always kept.

    ``dry``: only count. Environments and documents that no run needs any more go with them.

    Raises:
        StoreError: the history cannot be written; then nothing was forgotten.
    """
    with store.reading() if dry else store.writing() as connection:
        old = _old(connection, keep, before)
        accepted = set(connection.execute(sa.select(tables.references.c.run_id)).scalars())
        gone = [run for run in old if run not in accepted]
        counts = _forget(connection, gone) if not dry else _orphans(connection, set(gone))
    if not dry and store.dialect == "sqlite":
        _shrink(store)
    return Pruned(len(gone), counts[0], counts[1], len(old) - len(gone))


def check(store: Store) -> list[str]:
    """What is wrong with a history: the file itself, dangling rows, contents that do not match their hashes.

    Raises:
        StoreError: it is too damaged to be read.
    """
    with store.reading() as connection:
        found = _file_faults(connection) if store.dialect == "sqlite" else []
        environments = sa.select(tables.environments.c.id, tables.environments.c.sha256, tables.environments.c.snapshot)
        for number, sha256, snapshot in connection.execute(environments.execution_options(yield_per=_BATCH)):
            if content_hash(snapshot) != sha256:
                found.append(f"environment {number}: its facts were changed after they were recorded")
        for sha256, body in connection.execute(
            sa.select(tables.documents.c.sha256, tables.documents.c.body).execution_options(yield_per=_BATCH)
        ):
            if not _sound(sha256, body):
                found.append(f"document {sha256[:16]}: cannot be read, or was changed after it was recorded")
        found += _dangling(connection)
    return found


def counts(store: Store) -> dict[str, Any]:
    """How much is in a history.

    Raises:
        StoreError: it cannot be read.
    """
    with store.reading() as connection:
        names = ("runs", "environments", "documents", "references")
        return {
            name: connection.execute(sa.select(sa.func.count()).select_from(getattr(tables, name))).scalar_one()
            for name in names
        }


def _old(connection: Connection, keep: int | None, before: datetime.datetime | None) -> list[int]:
    runs = tables.runs.c
    query = sa.select(runs.id).order_by(runs.ran_at.desc(), runs.id.desc())
    if before is not None:
        query = query.where(runs.ran_at < before)
    found = list(connection.execute(query).scalars())
    return found[keep:] if keep is not None else found


def _forget(connection: Connection, gone: list[int]) -> tuple[int, int]:
    for start in range(0, len(gone), _BATCH):
        some = gone[start : start + _BATCH]
        for table in (tables.metrics, tables.findings, tables.tags):
            connection.execute(sa.delete(table).where(table.c.run_id.in_(some)))
        connection.execute(sa.delete(tables.runs).where(tables.runs.c.id.in_(some)))
    environments, documents = _unused()
    return (
        connection.execute(sa.delete(tables.environments).where(environments)).rowcount,
        connection.execute(sa.delete(tables.documents).where(documents)).rowcount,
    )


def _orphans(connection: Connection, gone: set[int]) -> tuple[int, int]:
    """How many environments and documents would go with these runs."""
    runs = tables.runs.c
    rows = connection.execute(sa.select(runs.id, runs.environment_id, runs.compared_with_id, runs.document_sha256))
    environments: dict[int, bool] = {}
    documents: dict[str, bool] = {}
    for number, one, other, document in rows:
        for environment in {one, other} - {None}:
            environments[environment] = environments.get(environment, False) or number not in gone
        if document is not None:
            documents[document] = documents.get(document, False) or number not in gone
    return sum(not kept for kept in environments.values()), sum(not kept for kept in documents.values())


def _unused() -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    runs = tables.runs.c
    environments = sa.union_all(
        sa.select(runs.environment_id), sa.select(runs.compared_with_id).where(runs.compared_with_id.is_not(None))
    )
    documents = sa.select(runs.document_sha256).where(runs.document_sha256.is_not(None))
    return tables.environments.c.id.not_in(environments), tables.documents.c.sha256.not_in(documents)


def _shrink(store: Store) -> None:
    """Give the space back to the file system."""
    with store.plainly() as connection:
        connection.exec_driver_sql("VACUUM")


def _file_faults(connection: Connection) -> list[str]:
    rows = list(connection.exec_driver_sql("PRAGMA integrity_check(100)").scalars())
    return [f"file: {row}" for row in rows if row != "ok"]


def _dangling(connection: Connection) -> list[str]:
    found = []
    for table in (tables.metrics, tables.findings, tables.tags, tables.references):
        count = connection.execute(
            sa.select(sa.func.count()).select_from(table).where(table.c.run_id.not_in(sa.select(tables.runs.c.id)))
        ).scalar_one()
        if count:
            found.append(f"{table.name}: {count} rows of runs that are not there")
    known = sa.select(tables.environments.c.id)
    stray = sa.select(sa.func.count()).select_from(tables.runs).where(tables.runs.c.environment_id.not_in(known))
    lost = connection.execute(stray).scalar_one()
    return [*found, f"kdoctor_runs: {lost} runs without their environment"] if lost else found


def _sound(sha256: str, body: bytes) -> bool:
    try:
        unpacked(body)
    except (ValueError, zlib.error, RecursionError):
        return False
    return hashlib.sha256(body).hexdigest() == sha256
