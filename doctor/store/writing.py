"""Entries as rows: one transaction a call, environments and documents by content, so that equal ones are kept once."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from doctor import __version__
from doctor.model.snapshot import Snapshot
from doctor.store import tables
from doctor.store.entry import Entry, content_hash, environment_columns, environment_document, short, storable
from doctor.store.opening import Store


def write_entries(store: Store, entries: Sequence[Entry]) -> list[int]:
    """Record these runs, all or none; their numbers.

    Raises:
        StoreError: nothing was recorded.
    """
    prepared = [(entry, _environment(entry.environment), _other(entry)) for entry in entries]
    with store.writing() as connection:
        return [_write(connection, entry, row, other) for entry, row, other in prepared]


def _write(connection: Connection, entry: Entry, environment: dict[str, Any], other: dict[str, Any] | None) -> int:
    run = {
        **_run(entry),
        "environment_id": _environment_id(connection, environment),
        "compared_with_id": _environment_id(connection, other) if other is not None else None,
    }
    if entry.document is not None:
        document = {"sha256": entry.document.sha256, "kind": entry.document.kind, "body": entry.document.body}
        _insert_new(connection, tables.documents, document)
        run |= {"document_sha256": document["sha256"], "document_rest": storable(entry.document.rest)}
    number = connection.execute(sa.insert(tables.runs).values(run)).inserted_primary_key
    run_id = int(number[0]) if number is not None else 0
    rows = [{"run_id": run_id, "epoch": m.epoch, "metric": short(m.name), "value": m.value} for m in entry.metrics]
    if rows:
        connection.execute(sa.insert(tables.metrics), rows)
    if entry.findings:
        connection.execute(sa.insert(tables.findings), _findings(run_id, entry))
    labels = [{"run_id": run_id, "tag": tag} for tag in dict.fromkeys(short(tag) for tag in entry.tags)]
    if labels:
        connection.execute(sa.insert(tables.tags), labels)
    return run_id


def _run(entry: Entry) -> dict[str, Any]:
    columns = (
        *("kind", "subject", "subject_kind", "ran_at", "deployed_at", "host", "verdict", "exit_code", "model"),
        *("optimizer", "device", "accuracy_metric", "accuracy", "accuracy_sd", "loss", "data_path", "data_sha256"),
        *("weights_path", "weights_sha256", "seconds"),
    )
    row = {name: getattr(entry, name) for name in columns}
    row = {name: short(value) if isinstance(value, str) else value for name, value in row.items()}
    return {
        **row,
        "uid": uuid.uuid4().hex,
        "recorded_at": datetime.datetime.now(datetime.timezone.utc),
        "parameters": storable(entry.parameters),
        "seeds": storable(entry.seeds),
        "drift_class": entry.drift.mechanism,
        "drift_label": entry.drift.label,
        "drift_difference": entry.drift.difference,
        "kdoctor": __version__,
    }


def _findings(run_id: int, entry: Entry) -> list[dict[str, Any]]:
    return [
        {
            "run_id": run_id,
            "position": position,
            "code": finding.code,
            "name": finding.name,
            "severity": finding.severity.value if finding.severity is not None else "info",
            "machine": short(finding.machine),
            "message": short(finding.message),
            "path": short(finding.location.path) if finding.location is not None else None,
            "line": finding.location.line if finding.location is not None else None,
            "fingerprint": finding.fingerprint or finding.identity(),
        }
        for position, finding in enumerate(entry.findings, 1)
    ]


def _environment(snapshot: Snapshot) -> dict[str, Any]:
    document = environment_document(snapshot)
    return {"sha256": content_hash(document), "snapshot": document, **environment_columns(snapshot)}


def _other(entry: Entry) -> dict[str, Any] | None:
    return _environment(entry.compared_with) if entry.compared_with is not None else None


def _environment_id(connection: Connection, row: dict[str, Any]) -> int:
    wanted = sa.select(tables.environments.c.id).where(tables.environments.c.sha256 == row["sha256"])
    found = connection.execute(wanted).scalar()
    if found is None:
        _insert_new(connection, tables.environments, row)
        found = connection.execute(wanted).scalar_one()
    return int(found)


def _insert_new(connection: Connection, table: sa.Table, row: dict[str, Any]) -> None:
    """Insert a row that is named by its content, unless somebody did already."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415 -- 50 ms that SQLite can do without

        connection.execute(insert(table).values(row).on_conflict_do_nothing(index_elements=["sha256"]))
    else:
        from sqlalchemy.dialects.sqlite import insert as insert_or_ignore  # noqa: PLC0415 -- as above

        connection.execute(insert_or_ignore(table).values(row).on_conflict_do_nothing(index_elements=["sha256"]))
