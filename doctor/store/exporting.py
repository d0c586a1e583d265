"""Runs for other tools: JSON Lines, CSV, and MLflow through its own client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from doctor.store.mlflow_runs import mlflow_client
from doctor.store.opening import Store
from doctor.store.reading import Filter, Row, list_runs, load_run

_MLFLOW_COLUMNS = ("verdict", "host", "data_sha256", "weights_sha256", "weights_path", "drift_class", "drift_label")
_MLFLOW_ENVIRONMENT = ("python", "tensorflow", "keras", "numpy", "cuda", "cudnn", "driver", "image", "image_digest")


def whole_runs(store: Store, wanted: Filter) -> Iterator[Row]:
    """The runs with their environments' columns, metrics, findings and tags, the oldest first.

    Raises:
        StoreError: the history cannot be read.
    """
    for row in reversed(list_runs(store, wanted)):
        run = load_run(store, row["id"])
        environment = {key: value for key, value in run["environment"].items() if key != "snapshot"}
        own = {key: value for key, value in run.items() if key != "document_rest"}
        yield {**own, "environment": environment}


def to_mlflow(store: Store, wanted: Filter, experiment: str) -> list[str]:
    """Copy runs with an accuracy into MLflow's tracking server (MLFLOW_TRACKING_URI); those that it has are left out.

    The identifiers of the runs that were made there.

    Raises:
        TargetError: the client is not installed, or the server refuses.
    """
    with mlflow_client("MLflow") as client:
        found = client.get_experiment_by_name(experiment)
        place = found.experiment_id if found is not None else client.create_experiment(experiment)
        made = []
        for run in whole_runs(store, wanted):
            if run["accuracy"] is None:
                continue
            if client.search_runs([place], f"tags.`kdoctor.uid` = '{run['uid']}'", max_results=1):
                continue
            made.append(_copy(client, place, run))
    return made


def _copy(client: Any, experiment: str, run: Row) -> str:
    milliseconds = int(run["ran_at"].timestamp() * 1000)
    tags = {"kdoctor.uid": run["uid"], "kdoctor.kind": run["kind"], "kdoctor.subject": run["subject"]}
    tags |= {f"kdoctor.{name}": str(run[name]) for name in _MLFLOW_COLUMNS if run[name] is not None}
    tags |= {f"kdoctor.tag.{_safe(tag)}": "1" for tag in run["tags"]}
    name = f"{run['kind']} {run['model'] or run['subject']} {run['id']}"
    made = client.create_run(experiment, start_time=milliseconds, tags=tags, run_name=name)
    number = str(made.info.run_id)
    environment = run["environment"]
    parameters = {key: environment[key] for key in _MLFLOW_ENVIRONMENT if environment[key] is not None}
    parameters |= {key: run[key] for key in ("model", "optimizer", "device") if run[key] is not None}
    if run["kind"] == "training":
        parameters |= run["parameters"] or {}
    for key, value in parameters.items():
        client.log_param(number, _safe(str(key)), str(value)[:500])
    for row in _metrics(run):
        client.log_metric(number, _safe(row[0]), row[1], timestamp=milliseconds, step=row[2])
    client.set_terminated(number, "FINISHED", end_time=milliseconds + int(1000 * (run["seconds"] or 0)))
    return number


def _metrics(run: Row) -> Sequence[tuple[str, float, int]]:
    epochs = [(row["metric"], row["value"], row["epoch"]) for row in run["epochs"] if row["value"] is not None]
    last = max((row["epoch"] for row in run["epochs"]), default=0)
    final = [(f"final_{name}", run[name], last) for name in ("accuracy", "loss") if run[name] is not None]
    return [*epochs, *final]


def _safe(name: str) -> str:
    """A name as MLflow takes it: letters, digits and a few signs."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "_-. /") else "_" for char in name)[:240]
