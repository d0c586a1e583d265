"""Accepting a run: it becomes the one that others are held against, with who, when and why."""

from __future__ import annotations

import datetime
from pathlib import Path

import sqlalchemy as sa

from doctor.errors import UsageError
from doctor.reference import write_reference
from doctor.store import tables
from doctor.store.entry import short
from doctor.store.opening import Store
from doctor.store.reading import Row, load_record_of


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
    now = datetime.datetime.now(datetime.timezone.utc)
    written = file if record is not None and file is not None else None
    if record is not None and written is not None:
        write_reference(written, record, by=by, why=reason, today=now.date())
    with store.writing() as connection:
        connection.execute(
            sa.insert(tables.references).values(
                run_id=run["id"],
                accepted_at=now,
                accepted_by=short(by),
                reason=short(reason.strip()),
                file=short(str(written)) if written is not None else None,
            )
        )
    return written
