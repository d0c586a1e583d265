"""A run of MLflow as a training, read through its own client."""

from __future__ import annotations

import datetime
import importlib
from typing import Any

from doctor.errors import TargetError, UsageError
from doctor.store.entry import number
from doctor.store.training import MAX_EPOCHS, MAX_METRICS, Training

_MAX_PARAMETERS = 500


def mlflow_client() -> tuple[Any, type[Exception]]:
    """A client of the tracking server, and the error that it raises.

    Raises:
        TargetError: it is not installed.
    """
    try:
        errors = importlib.import_module("mlflow.exceptions")
        tracking = importlib.import_module("mlflow.tracking")
    except ImportError:
        raise TargetError("MLflow's client is not installed: pip install 'keras-doctor[mlflow]'") from None
    return tracking.MlflowClient(), errors.MlflowException


def read_mlflow(run_id: str) -> Training:
    """The run with this identifier on the tracking server (MLFLOW_TRACKING_URI).

    Raises:
        TargetError: the client is not installed, or the server has no such run.
        UsageError: the run holds no metric.
    """
    client, errors = mlflow_client()
    try:
        run = client.get_run(run_id)
        names = sorted(run.data.metrics)[:MAX_METRICS]
        histories = {name: client.get_metric_history(run_id, name) for name in names}
    except errors as error:
        raise TargetError(f"MLflow run {run_id[:60]}: {str(error)[:200]}") from None
    metrics = {
        name: tuple(number(one.value) for one in sorted(rows, key=lambda one: (one.step, one.timestamp))[:MAX_EPOCHS])
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
