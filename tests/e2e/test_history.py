"""The history over real TensorFlow environments: a year of canaries with two drifts, and training runs of the user."""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from doctor.canary.record import Record
from doctor.canary.record_file import decode_record, sealed
from doctor.canary.runs import snapshot_of
from doctor.canary.start import InterpreterRunner, run_canary
from doctor.store.entry import Entry
from doctor.store.opening import open_store
from doctor.store.place import Place
from doctor.store.recording import canary_fields
from doctor.store.writing import write_entries

from .canary_patches import write_patch

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
NEW_YEAR = datetime.datetime(2026, 1, 1, 2, 10, tzinfo=datetime.timezone.utc)

FIT = """
import json, sys
import numpy as np
import tensorflow as tf
log, rate = sys.argv[1], float(sys.argv[2])
tf.keras.utils.set_random_seed(1)
numbers = np.random.RandomState(0)
x = numbers.uniform(-1, 1, (600, 8)).astype("float32")
y = (x.sum(axis=1) > 0).astype("int32")
layers = tf.keras.layers
model = tf.keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(2, activation="softmax")])
model.compile(tf.keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
done = model.fit(x[:500], y[:500], validation_data=(x[500:], y[500:]), epochs=4, verbose=0,
                 callbacks=[tf.keras.callbacks.CSVLogger(log + ".csv")])
json.dump({k: [float(v) for v in vs] for k, vs in done.history.items()}, open(log + ".json", "w"))
model.save_weights(log + ".weights.h5")
"""


@pytest.fixture(scope="module")
def two_pythons(tensorflow_environments: dict[str, Path], lacking: Callable[[str], NoReturn]) -> list[Path]:
    """The interpreters of an older and a newer TensorFlow with the same seeded draws (2.12 and later)."""
    releases = {name: [int(n) for n in re.findall(r"\d+", name)] for name in tensorflow_environments}
    usual = sorted((v, n) for n, v in releases.items() if re.fullmatch(r"\d+\.\d+(\.\d+)?", n) and v[:2] >= [2, 12])
    if len(usual) < 2:
        lacking("fewer than two TensorFlow environments in KDOCTOR_TF_ENVS: .ci/environments builds them")
    return [tensorflow_environments[usual[0][1]], tensorflow_environments[usual[-1][1]]]


def kdoctor(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """One command in a folder whose history is its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "KDOCTOR_HISTORY": str(cwd / "history.db"), **variables}
    return subprocess.run(
        [sys.executable, "-m", "doctor", *words], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def canary(python: Path, folder: Path | None = None, patch: str | None = None) -> Record:
    """A real canary run, in an environment that may be patched."""
    environment = dict(os.environ)
    if folder is not None and patch is not None:
        folder.mkdir()
        environment["PYTHONPATH"] = str(write_patch(folder, patch))
    return run_canary(InterpreterRunner(python, environment))


def on_night(record: Record, night: int) -> Entry:
    """What a canary of that night would have recorded: its numbers are deterministic, only dates and times differ."""
    moment = NEW_YEAR + datetime.timedelta(days=night)
    body = {key: value for key, value in record.document.items() if key != "checksum"}
    dated = decode_record(sealed({**body, "created_at": moment.isoformat(), "timings": {"total": 8 + night / 100}}))
    return Entry(
        kind="canary",
        subject="nightly",
        subject_kind="interpreter",
        ran_at=moment,
        environment=snapshot_of(dated, "nightly"),
        host="ci",
        **canary_fields(dated),
    )


def test_a_year_of_real_canaries_gives_both_dates_and_both_causes(two_pythons: list[Path], tmp_path: Path) -> None:
    """From night 120 on somebody's image starts dense layers from he_normal; on night 240 comes a new TensorFlow."""
    older, newer = two_pythons
    parts = [
        (range(0, 120), canary(older)),
        (range(120, 240), canary(older, tmp_path / "initializer", "initializer")),
        (range(240, 365), canary(newer, tmp_path / "rate", "learning_rate")),
    ]
    with open_store(Place(path=tmp_path / "history.db")) as store:
        write_entries(store, [on_night(record, night) for nights, record in parts for night in nights])

    done = kdoctor("history", "drift", "--format", "json", cwd=tmp_path)
    found = json.loads(done.stdout)["drifts"]

    assert [one["first_beyond"]["ran_at"][:10] for one in found] == ["2026-05-01", "2026-08-29"]
    assert [one["before"]["ran_at"][:10] for one in found] == ["2026-04-30", "2026-08-28"]
    assert [one["drift"]["accuracy"]["label"] for one in found] == ["drift", "drift"]
    first = {cause["what"]: (cause["from"], cause["to"]) for cause in found[0]["drift"]["causes"]}
    assert first["initializer"] == ("glorot_uniform", "he_normal")
    second = {cause["what"]: cause["to"] for cause in found[1]["drift"]["causes"]}
    assert "optimizer" in second
    assert second["initializer"] == "glorot_uniform"
    assert "keras" not in {change["name"] for change in found[0]["changes"]}
    assert {"keras", "numpy"} <= {change["name"] for change in found[1]["changes"]}


def test_real_fits_in_two_environments_are_recorded_and_their_drift_explained(
    two_pythons: list[Path], tmp_path: Path
) -> None:
    """CSVLogger's and History's own output; the last run drifts, and its environment and learning rate are named."""
    older, newer = two_pythons
    fits = (("a", older, "0.01", "csv"), ("b", older, "0.01", "json"), ("c", newer, "0.000001", "csv"))
    for number, (name, python, rate, kind) in enumerate(fits, 1):
        subprocess.run(
            [str(python), "-", str(tmp_path / name), rate], input=FIT, text=True, check=True, capture_output=True
        )
        words = ["--model", "sums", "--optimizer", "Adam", "--param", f"learning_rate={rate}"]
        words += ["--weights", f"{name}.weights.h5", "--target", f"python:{python}", "--date", f"2026-11-{number:02}"]
        done = kdoctor("history", "add", f"{name}.{kind}", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "val_accuracy" in done.stdout
        assert "after 4 epochs" in done.stdout

    runs = json.loads(kdoctor("history", "list", "--format", "json", cwd=tmp_path).stdout)["runs"][::-1]
    assert runs[0]["accuracy"] == runs[1]["accuracy"]
    assert runs[0]["environment_id"] == runs[1]["environment_id"] != runs[2]["environment_id"]
    (found,) = json.loads(kdoctor("history", "drift", "--format", "json", cwd=tmp_path).stdout)["drifts"]
    assert found["first_beyond"]["run"] == 3
    changed = {(change["what"], change["name"]) for change in found["changes"]}
    assert {("tensorflow", "tensorflow.version"), ("package", "numpy"), ("parameter", "learning_rate")} <= changed


def test_scan_canary_compare_and_gate_record_their_canaries(two_pythons: list[Path], tmp_path: Path) -> None:
    """By --record and by the policy's key: one run each, with verdict, accuracy and record, one series a subject."""
    older, newer = two_pythons
    python, words = str(older), ("--record", "--tag", "nightly", "--format", "json")
    scanned = kdoctor("scan", "--python", python, "--canary", *words, cwd=tmp_path)
    alone = kdoctor("canary", f"python:{python}", "--record", "--seeds", "2", "-o", "own.json", cwd=tmp_path)
    compared = kdoctor("compare", f"python:{python}", f"python:{newer}", *words, cwd=tmp_path)
    (tmp_path / "kdoctor.toml").write_text('reference = "reference.json"\nrecord = true\n')
    gate = ("gate", "--python", python)
    accepted = kdoctor(*gate, "--update-reference", "--reason", "first", "--by", "ann", cwd=tmp_path)
    gated = kdoctor(*gate, "--format", "json", cwd=tmp_path)

    for number, done in enumerate((scanned, alone, compared, accepted, gated), 1):
        assert f"recorded as run {number} in" in done.stderr, done.stderr
    listed = json.loads(kdoctor("history", "list", "--format", "json", cwd=tmp_path).stdout)["runs"][::-1]
    assert [run["kind"] for run in listed] == ["scan", "canary", "compare", "canary", "gate"]
    documents = [json.loads(done.stdout) for done in (scanned, compared, gated)]
    assert [listed[n]["verdict"] for n in (0, 2, 4)] == [document["verdict"] for document in documents]
    assert [listed[n]["exit_code"] for n in (0, 2, 4)] == [done.returncode for done in (scanned, compared, gated)]
    assert listed[0]["accuracy"] == listed[3]["accuracy"] == listed[4]["accuracy"] == pytest.approx(0.93, abs=0.01)
    assert listed[2]["drift_label"] == documents[1]["drift"]["accuracy"]["label"]
    assert len({listed[n]["subject"] for n in (0, 1, 3, 4)}) == 1
    own = json.loads(kdoctor("history", "show", "2", "--record", cwd=tmp_path).stdout)
    assert own == json.loads((tmp_path / "own.json").read_text())
    reference = json.loads(kdoctor("history", "show", "4", "--format", "json", cwd=tmp_path).stdout)["run"][
        "references"
    ]
    assert [(one["accepted_by"], one["reason"]) for one in reference] == [("ann", "first")]
    difference = json.loads(kdoctor("history", "diff", "1", "4", "--format", "json", cwd=tmp_path).stdout)
    assert (difference["drift"]["class"], difference["changes"]) == ("bitwise", [])


@pytest.mark.parametrize("words", [("scan", "--canary", "--python"), ("gate", "--python"), ("canary",)])
def test_a_history_that_cannot_be_written_changes_no_verdict(
    two_pythons: list[Path], tmp_path: Path, words: tuple[str, ...]
) -> None:
    """The canary ran, the report and the exit code are there, and one line says why nothing was recorded."""
    command = (*words[:1], *words[1:], str(two_pythons[0]), "--record", "--format", "json")
    done = kdoctor(*command, cwd=tmp_path, KDOCTOR_HISTORY="/proc/none/history.db")
    assert json.loads(done.stdout)["kind"] == "kdoctor/report"
    assert done.returncode == json.loads(done.stdout)["exit_code"] == 0
    assert done.stderr.count("not recorded: history /proc/none/history.db: ") == 1
    assert "Traceback" not in done.stderr
