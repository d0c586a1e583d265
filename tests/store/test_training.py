"""Training logs as Keras and MLflow write them, and what is no such log."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctor.errors import DoctorError, TargetError, UsageError
from doctor.store.adding import Told, environment_of_digest, training_entry
from doctor.store.opening import Store
from doctor.store.reading import load_run
from doctor.store.training import (
    Training,
    choose_accuracy,
    choose_loss,
    file_hash,
    read_parameters,
    read_training,
)
from doctor.store.writing import write_entries
from tests.store import runs

CSV = "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.8,0.6,0.79,0.61\n1,0.9,0.3,0.88,0.35\n"


def log(folder: Path, text: str, name: str = "log.csv") -> Training:
    """The training in a file with this text."""
    path = folder / name
    path.write_text(text)
    return read_training(str(path))


def test_csvlogger_output_is_read(tmp_path: Path) -> None:
    """Metrics by epoch, in the order of the file; accuracy is what was measured on unseen data."""
    training = log(tmp_path, CSV)
    assert training.metrics["val_accuracy"] == (0.79, 0.88)
    assert choose_accuracy(training, None) == "val_accuracy"
    assert choose_loss(training) == "val_loss"
    assert [(m.epoch, m.value) for m in training.rows() if m.name == "loss"] == [(1, 0.6), (2, 0.3)]


def test_a_history_as_json_is_read_with_nan(tmp_path: Path) -> None:
    """As json.dump writes it; what is no number is none."""
    text = json.dumps({"loss": [0.5, float("nan")], "sparse_categorical_accuracy": [0.7, 0.8]})
    training = log(tmp_path, text, "history.json")
    assert [row.value for row in training.rows() if row.name == "loss"] == [0.5, None]
    assert choose_accuracy(training, None) == "sparse_categorical_accuracy"
    assert training.last("loss") is None


def test_a_whole_history_object_brings_its_parameters(tmp_path: Path) -> None:
    """{"history": …, "params": …}, as some save it."""
    text = json.dumps({"history": {"loss": [0.5]}, "params": {"epochs": 1}})
    assert log(tmp_path, text, "h.json").parameters == {"epochs": 1}


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_found(tmp_path: Path, separator: str) -> None:
    """CSVLogger(separator=…)."""
    assert log(tmp_path, CSV.replace(",", separator)).metrics["loss"] == (0.6, 0.3)


def test_of_trainings_appended_to_one_file_the_last_is_read(tmp_path: Path) -> None:
    """CSVLogger(append=True) counts anew; that there were more is said."""
    training = log(tmp_path, CSV + "0,0.5,1.0,0.5,1.0\n1,0.6,0.9,0.6,NA\n")
    assert training.metrics["accuracy"] == (0.5, 0.6)
    assert training.metrics["val_loss"] == (1.0, None)
    assert "2 trainings" in training.notes[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "epoch"),
        ("a,b\n1,2\n", "epoch"),
        ("epoch,loss\n", "epoch"),
        ("epoch,loss\n0,none\n", "no number"),
        ("[1, 2]", "History.history"),
        ('{"loss": 0.5}', "History.history"),
        ("{" * 20, "not JSON"),
        ('{"loss": [' + "[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_log_is_told_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    """With the file's name and what was expected; never a traceback."""
    with pytest.raises(UsageError) as caught:
        log(tmp_path, text)
    said = str(caught.value)
    assert words in said
    assert "log.csv" in said
    assert "\n" not in said


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Not there, not UTF-8."""
    with pytest.raises(TargetError, match="cannot be read"):
        read_training(str(tmp_path / "none.csv"))
    (tmp_path / "x.csv").write_bytes(b"epoch,loss\n0,\xff\n")
    with pytest.raises(UsageError, match="UTF-8"):
        read_training(str(tmp_path / "x.csv"))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_log_or_one_clear_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """No input of any kind ends in another exception."""
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(data)
    with contextlib.suppress(DoctorError):
        read_training(str(path))


def test_a_metric_can_be_named_and_must_be_there(tmp_path: Path) -> None:
    """--metric."""
    training = log(tmp_path, CSV)
    assert choose_accuracy(training, "accuracy") == "accuracy"
    with pytest.raises(UsageError, match="val_accuracy"):
        choose_accuracy(training, "auc")


def test_parameters_are_numbers_where_they_are() -> None:
    """So that a query can compare them."""
    words = ["lr=0.001", "batch=64", "shuffle=True", "note=a=b", "x=nan"]
    assert read_parameters(words) == {"lr": 0.001, "batch": 64, "shuffle": True, "note": "a=b", "x": "nan"}
    with pytest.raises(UsageError, match="NAME=VALUE"):
        read_parameters(["lr"])


def test_data_and_weights_are_hashed(tmp_path: Path) -> None:
    """A file by its bytes; a folder (SavedModel) by its files with their names."""
    file = tmp_path / "data.csv"
    file.write_bytes(b"1,2\n")
    assert file_hash(file) == "sha256:" + hashlib.sha256(b"1,2\n").hexdigest()
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"x")
    one = file_hash(folder)
    (folder / "saved_model.pb").rename(folder / "variables" / "saved_model.pb")
    assert file_hash(folder) != one
    with pytest.raises(UsageError, match="no such file"):
        file_hash(tmp_path / "none")


def test_a_training_is_recorded_with_all_that_was_said(store: Store, tmp_path: Path) -> None:
    """Model, optimizer, data, weights, hyperparameters, dates, and the environment."""
    weights = tmp_path / "model.weights.h5"
    weights.write_bytes(b"w")
    told = Told(
        model="ctr",
        optimizer="adam",
        data=weights,
        weights=weights,
        parameters={"lr": 0.001},
        ran_at=runs.at(3),
        deployed_at=runs.at(5),
        tags=("release",),
    )
    entry = training_entry(log(tmp_path, CSV), told, runs.environment())
    run = load_run(store, write_entries(store, [entry])[0])
    assert (run["model"], run["optimizer"], run["accuracy"], run["loss"]) == ("ctr", "adam", 0.88, 0.35)
    assert run["weights_path"] == str(weights)
    assert run["weights_sha256"] == run["data_sha256"] == file_hash(weights)
    assert (run["ran_at"], run["deployed_at"]) == (runs.at(3), runs.at(5))
    assert run["environment"]["keras"] == "2.15.0"
    assert len(run["epochs"]) == 8


def test_a_training_can_be_tied_to_an_image_by_its_digest(store: Store, tmp_path: Path) -> None:
    """To the environment that was recorded under it, else to the digest alone."""
    unknown = environment_of_digest(store, runs.DIGEST)
    assert unknown.software.image.digest == runs.DIGEST
    write_entries(store, [runs.training_entry(0, 0.9, environment=runs.image("1", keras="2.15.0"))])
    known = environment_of_digest(store, runs.DIGEST)
    entry = training_entry(log(tmp_path, CSV), Told(), known)
    run = load_run(store, write_entries(store, [entry])[0])
    assert run["environment_id"] == 1
    assert run["subject_kind"] == "image"


@pytest.mark.parametrize(
    ("text", "accuracy", "loss"),
    [
        ("epoch;accuracy;loss\n0;0,8;0,6\n1;0,9;0,3\n", 0.9, 0.3),  # a spreadsheet of a country with decimal commas
        ("epoch:accuracy:loss\n0:0.8:0.6\n1:0.9:0.3\n", 0.9, 0.3),
        ("epoch accuracy loss\n0 0.8 0.6\n1 0.9 0.3\n", 0.9, 0.3),
        ("epoch\taccuracy\tloss\r\n0\t0.8\t0.6\r\n1\t0.9\t0.3\r\n", 0.9, 0.3),
        ("epoch,accuracy,loss,val_accuracy\n0,0.8,0.6\n1,0.9,0.3\n", 0.9, 0.3),  # no validation after all
        ("epoch,accuracy,loss,val_accuracy\n0,0.8,0.6,NA\n1,0.9,0.5,0.7\n2,0.95,0.4,NA\n", 0.7, 0.4),
        ("epoch,accuracy,loss\n0,0.8,0.6\n1,nan,nan\n", None, None),  # it diverged: the epoch before is no result
        ("epoch,accuracy,loss\n0,0.5,0.9\n1,0.6,0.8\n0,0.8,0.6\n1,0.9,0.3\n", 0.9, 0.3),
        ("epoch,accuracy,loss\n0,0.8,0.6\n1,0.9", 0.9, 0.6),  # killed while it wrote
    ],
)
def test_logs_as_they_come(tmp_path: Path, text: str, accuracy: float | None, loss: float | None) -> None:
    """Separators, decimal commas, missing validation, epochs without one, divergence, two trainings, a cut line."""
    (tmp_path / "log.csv").write_text(text, newline="")
    training = read_training(str(tmp_path / "log.csv"))
    assert training.last(choose_accuracy(training, None)) == accuracy
    assert training.last(choose_loss(training)) == loss


def test_a_line_with_more_values_than_names_is_told(tmp_path: Path) -> None:
    """As when validation was added, and the log appended to."""
    (tmp_path / "log.csv").write_text("epoch,accuracy\n0,0.8\n1,0.9,0.7\n")
    training = read_training(str(tmp_path / "log.csv"))
    assert training.metrics == {"accuracy": (0.8, 0.9)}
    assert "more values" in training.notes[0]


def test_numbers_as_numpy_shows_them_are_numbers(tmp_path: Path) -> None:
    """A History written with default=str or default=repr."""
    shown = {"accuracy": ["np.float32(0.5)", "0.75"], "loss": ["array(0.5, dtype=float32)", "float64(0.25)"]}
    (tmp_path / "history.json").write_text(json.dumps(shown))
    assert read_training(str(tmp_path / "history.json")).metrics == {"accuracy": (0.5, 0.75), "loss": (0.5, 0.25)}


def test_a_history_printed_instead_of_dumped_says_how_to_dump_it(tmp_path: Path) -> None:
    """Python's own notation is no JSON."""
    (tmp_path / "history.json").write_text("{'accuracy': [0.5]}")
    with pytest.raises(UsageError, match=r"json\.dump"):
        read_training(str(tmp_path / "history.json"))


@pytest.fixture(params=["database", "folder"])
def mlflow_server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: Callable[[str], NoReturn]
) -> Any:
    """MLflow's own client, at a tracking store of the test's own: a database, or a folder as older releases made."""
    try:
        import mlflow
    except ImportError:
        lacking("MLflow's client is not installed (pip install 'keras-doctor[mlflow]')")
    folder = tmp_path / "mlruns"
    address = f"sqlite:///{tmp_path / 'mlflow.db'}" if request.param == "database" else folder.as_uri()
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    mlflow.set_tracking_uri(address)
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri("")


@pytest.mark.e2e
def test_an_mlflow_run_is_read_and_runs_are_copied_there(store: Store, mlflow_server: Any) -> None:
    """Metrics, parameters and times come and go; what is there already is not copied again."""
    from doctor.store.exporting import to_mlflow
    from doctor.store.reading import Filter

    run = mlflow_server.create_run(mlflow_server.create_experiment("theirs"), start_time=1_780_000_000_000)
    for step, value in enumerate((0.7, 0.8)):
        mlflow_server.log_metric(run.info.run_id, "val_accuracy", value, step=step)
    mlflow_server.log_param(run.info.run_id, "optimizer_name", "Adam")
    mlflow_server.set_terminated(run.info.run_id, end_time=1_780_000_060_000)

    training = read_training(f"mlflow:{run.info.run_id}")
    assert training.metrics == {"val_accuracy": (0.7, 0.8)}
    assert training.seconds == 60
    assert training.ran_at == datetime.datetime(2026, 5, 28, 20, 26, 40, tzinfo=datetime.timezone.utc)
    entry = training_entry(training, Told(model="ctr"), runs.environment())
    assert entry.optimizer == "Adam"
    numbers = write_entries(store, [entry, runs.canary_entry(runs.canary())])
    made = to_mlflow(store, Filter(), "kdoctor")
    assert len(made) == 2
    assert to_mlflow(store, Filter(), "kdoctor") == []
    copies = {one.data.tags["kdoctor.uid"]: one for one in map(mlflow_server.get_run, made)}
    for number in numbers:
        ours = load_run(store, number)
        copy = copies[ours["uid"]]
        assert copy.data.metrics["final_accuracy"] == pytest.approx(ours["accuracy"])
        assert copy.data.params["keras"] == "2.15.0"
        assert copy.info.start_time == int(ours["ran_at"].timestamp() * 1000)
    again = mlflow_server.get_metric_history(copies[load_run(store, numbers[0])["uid"]].info.run_id, "val_accuracy")
    assert sorted((one.step, one.value) for one in again) == [(1, 0.7), (2, 0.8)]
    with pytest.raises(TargetError, match="MLflow run none"):
        read_training("mlflow:none")


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("sqlite:////proc/none/mlflow.db", "/proc/none"),
        ("http://ann:s3cret@127.0.0.1:9", "127.0.0.1:9"),
        ("nothing://ann:s3cret@here", "nothing"),
    ],
)
def test_a_tracking_server_that_cannot_be_reached_is_told_without_its_password(
    mlflow_server: Any, monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    """One clear line, whichever library below the client has failed."""
    import mlflow

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri(address)
    with pytest.raises(TargetError) as caught:
        read_training("mlflow:0123456789abcdef0123456789abcdef")
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)
