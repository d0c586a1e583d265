"""A run of MLflow as a training, read through its own client."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import re
from collections.abc import Iterator
from typing import Any

from doctor.errors import TargetError, UsageError
from doctor.store.training import MAX_EPOCHS, MAX_METRICS, Training

_MAX_PARAMETERS = 500
_CREDENTIALS = re.compile(r"://[^\s/@]*(?::[^\s@]*)?@")


@contextlib.contextmanager
def mlflow_client(doing: str) -> Iterator[Any]:
    """A client of the tracking server (MLFLOW_TRACKING_URI); ``doing`` names in errors what it is asked for.

    Raises:
        TargetError: it is not installed, or the server cannot be reached or refuses.
    """
    try:
        errors = importlib.import_module("mlflow.exceptions")
        tracking = importlib.import_module("mlflow.tracking")
    except ImportError:
        raise TargetError("MLflow's client is not installed: pip install 'keras-doctor[mlflow]'") from None
    try:
        client = tracking.MlflowClient()
    except Exception as error:  # a tracking store in a database raises its library's errors
        raise TargetError(f"{doing}: {_words(error)}") from None
    try:
        yield client
    except errors.MlflowException as error:
        raise TargetError(f"{doing}: {_words(error)}") from None


def _words(error: Exception) -> str:
    """What MLflow says, without the credentials that an address may hold."""
    return _CREDENTIALS.sub("://", " ".join(str(error).split()))[:300]


def read_mlflow(run_id: str) -> Training:
    """The run with this identifier on the tracking server (MLFLOW_TRACKING_URI).

    Raises:
        TargetError: the client is not installed, or the server has no such run.
        UsageError: the run holds no metric.
    """
    with mlflow_client(f"MLflow run {run_id[:60]}") as client:
        run = client.get_run(run_id)
        names = sorted(run.data.metrics)[:MAX_METRICS]
        histories = {name: client.get_metric_history(run_id, name) for name in names}
    metrics: dict[str, tuple[float | None, ...]] = {
        name: tuple(float(one.value) for one in sorted(rows, key=lambda one: (one.step, one.timestamp))[:MAX_EPOCHS])
        for name, rows in histories.items()
    }
    if not metrics:
        raise UsageError(f"MLflow run {run_id[:60]}: holds no metric")
    info = run.info
    seconds = (info.end_time - info.start_time) / 1000 if info.end_time and info.start_time else None
    started = (
        datetime.datetime.fromtimestamp(info.start_time / 1000, datetime.timezone.utc) if info.start_time else None
    )
    return Training(
        metrics,
        parameters=dict(sorted(run.data.params.items())[:_MAX_PARAMETERS]),
        tags=(f"mlflow:{run_id}",),
        ran_at=started,
        seconds=seconds,
    )
