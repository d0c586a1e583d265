"""Accepting a run: it becomes the one that others are held against, with who, when and why."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from doctor.canary.record import Record
from doctor.errors import UsageError
from doctor.model.snapshot import Snapshot
from doctor.reference import write_reference
from doctor.store import tables
from doctor.store.entry import short
from doctor.store.opening import Store, open_store
from doctor.store.place import Place
from doctor.store.reading import Row, load_record_of
from doctor.store.recording import canary_entry
from doctor.store.writing import write_entries


def accept_run(store: Store, run: Row, *, by: str, reason: str, file: Path | None) -> Path | None:
    """Make a run the reference: remembered here, and written to ``file`` where it holds a canary record.

    The file that was written; None for a training run, whose numbers no other command could hold a canary against.

    Raises:
        UsageError: no reason, nothing to hold others against, or the file cannot be written.
        StoreError: the history cannot be written; the file is.
    """
    if not reason.strip():
        raise UsageError("a reference is accepted for a reason: --reason 'TensorFlow 2.21 reviewed'")
    record = load_record_of(store, run)
    if record is None and run["accuracy"] is None:
        raise UsageError(f"run {run['id']}: a {run['kind']} without an accuracy; accept a canary or a training run")
    written = file if record is not None and file is not None else None
    if record is not None and written is not None:
        today = datetime.datetime.now(datetime.timezone.utc).date()
        write_reference(written, record, by=by, why=reason, today=today)
    _remember(store, run["id"], by, reason, written)
    return written


def record_accepted(
    place: Place, record: Record, snapshot: Snapshot, *, by: str, reason: str, file: Path, tags: Sequence[str] = ()
) -> int:
    """Record a canary that was accepted as the reference in ``file`` already; the run's number.

    Raises:
        StoreError: the history cannot be written.
    """
    with open_store(place) as store:
        (run_id,) = write_entries(store, [canary_entry(record, snapshot, tags)])
        _remember(store, run_id, by, reason, file)
    return run_id


def _remember(store: Store, run_id: int, by: str, reason: str, file: Path | None) -> None:
    with store.writing() as connection:
        connection.execute(
            sa.insert(tables.references).values(
                run_id=run_id,
                accepted_at=datetime.datetime.now(datetime.timezone.utc),
                accepted_by=short(by),
                reason=short(reason.strip()),
                file=short(str(file)) if file is not None else None,
            )
        )
