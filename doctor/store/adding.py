"""Recording a training run of the user's own, tied to the environment that it ran in."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from doctor.model.snapshot import Snapshot
from doctor.model.wire import decode_snapshot
from doctor.store import tables
from doctor.store.entry import Entry
from doctor.store.opening import Store
from doctor.store.reading import load_snapshot_of
from doctor.store.training import Training, choose_accuracy, choose_loss, file_hash


class Told(msgspec.Struct, frozen=True):
    """What the user says of a training besides its log."""

    model: str | None = None
    optimizer: str | None = None
    data: Path | None = None
    weights: Path | None = None
    parameters: dict[str, Any] = {}
    metric: str | None = None
    tags: tuple[str, ...] = ()
    ran_at: datetime.datetime | None = None
    deployed_at: datetime.datetime | None = None


def training_entry(training: Training, told: Told, environment: Snapshot) -> Entry:
    """The entry of a training: accuracy and loss are the last epoch's.

    Raises:
        UsageError: a metric that the log does not have, or a file that cannot be read.
    """
    accuracy, loss = choose_accuracy(training, told.metric), choose_loss(training)
    optimizer = told.optimizer or _text(training.parameters, "optimizer_name", "optimizer")
    host = environment.machine.name
    return Entry(
        kind="training",
        subject=environment.subject.name,
        subject_kind=environment.subject.kind,
        ran_at=told.ran_at or training.ran_at or datetime.datetime.now(datetime.timezone.utc),
        deployed_at=told.deployed_at,
        environment=environment,
        host=host if isinstance(host, str) else socket.gethostname(),
        model=told.model or "model",
        optimizer=optimizer,
        parameters={**training.parameters, **told.parameters},
        accuracy_metric=accuracy,
        accuracy=training.last(accuracy),
        loss=training.last(loss),
        data_path=_place(told.data),
        data_sha256=file_hash(told.data) if told.data is not None else None,
        weights_path=_place(told.weights),
        weights_sha256=file_hash(told.weights) if told.weights is not None else None,
        seconds=training.seconds,
        metrics=training.rows(),
        tags=(*training.tags, *told.tags),
    )


def environment_of_digest(store: Store, digest: str) -> Snapshot:
    """The newest recorded environment of an image's digest; where none was, one of which only the digest is known.

    Raises:
        StoreError: the history cannot be read.
    """
    columns = tables.environments.c
    wanted = sa.select(columns.id).where(columns.image_digest == digest).order_by(columns.id.desc()).limit(1)
    with store.reading() as connection:
        found = connection.execute(wanted).scalar()
    subject = {"kind": "image", "name": f"image@{digest}"}
    if found is None:
        return decode_snapshot({"subject": subject, "software": {"image": {"digest": digest}}})
    return msgspec.structs.replace(
        load_snapshot_of(store, found), subject=decode_snapshot({"subject": subject}).subject
    )


def _place(path: Path | None) -> str | None:
    return str(path.resolve()) if path is not None else None


def _text(parameters: dict[str, Any], *names: str) -> str | None:
    values: Sequence[Any] = [parameters.get(name) for name in names]
    return next((value for value in values if isinstance(value, str) and value), None)
