"""The canary in real TensorFlow environments: equal releases are equal, and every change made on purpose is named."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from doctor.canary.alone import run_alone
from doctor.canary.failure import CanaryError
from doctor.canary.record import Record
from doctor.canary.record_file import encode_record
from doctor.canary.start import InterpreterRunner, run_canary
from doctor.canary.verdict import compare_records

from .canary_patches import write_patch

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
CPU_FLAGS = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else []
RELEASE = re.compile(r"\d+\.\d+(\.\d+)?(-[\w.]+)?")


class Environments:
    """The environments found, and each one's record, made once."""

    def __init__(self, pythons: dict[str, Path]) -> None:
        self.pythons = dict(sorted(pythons.items(), key=lambda item: [int(n) for n in re.findall(r"\d+", item[0])]))
        self._records: dict[str, Record] = {}

    def record(self, name: str) -> Record:
        """The record of an environment as it is."""
        if name not in self._records:
            self._records[name] = self.run(name)
        return self._records[name]

    def run(self, name: str, folder: Path | None = None, patch: str | None = None, **variables: str) -> Record:
        """One run, with variables set, or a patch on the path."""
        environment = {**os.environ, **variables}
        if folder is not None and patch is not None:
            environment["PYTHONPATH"] = str(write_patch(folder, patch))
        return run_canary(InterpreterRunner(self.pythons[name], environment))

    @property
    def usual(self) -> list[str]:
        """The oldest and the newest release that draw the same numbers."""
        names = [name for name in self.pythons if expected(self.record(name)) == "bitwise"]
        return [names[0], names[-1]]


@pytest.fixture(scope="module")
def environments(tensorflow_environments: dict[str, Path], lacking: Callable[[str], NoReturn]) -> Environments:
    """At least two TensorFlow releases for CPUs, each in an environment of its own."""
    found = {name: python for name, python in tensorflow_environments.items() if RELEASE.fullmatch(name)}
    if len(found) < 2:
        lacking("fewer than two TensorFlow environments in KDOCTOR_TF_ENVS: .ci/environments builds them")
    return Environments(found)


def expected(record: Record) -> str:
    """The class against TensorFlow 2.12 and later with their usual Keras, as measured on one CPU."""
    keras = tuple(int(part) for part in re.findall(r"\d+", record.environment.keras or "")[:2])
    if keras < (2, 10):
        return "random-stream"
    return "rounding" if (3, 0) <= keras < (3, 7) else "bitwise"


def test_releases_are_bitwise_equal_or_differ_as_measured(environments: Environments) -> None:
    """From the data to the final weights: 2.12 to 2.21 bitwise; Keras 3.0 and 3.3 by rounding; 2.8 by its draws."""
    base = environments.record(environments.usual[-1])
    for name in environments.pythons:
        other = environments.record(name)
        told = compare_records(base, other)
        assert told["class"] == expected(other), (name, told)
        assert told["accuracy"]["label"] != "drift"


def test_repeats_are_identical(environments: Environments) -> None:
    """Three runs in one environment, every hash the same."""
    name = environments.usual[0]
    repeats = [environments.run(name) for _ in range(2)]
    assert run_alone(environments.record(name), repeats)["repeats"] == {"runs": 3, "differing": 0}


def test_sound_environments_are_near_the_reference(environments: Environments) -> None:
    """And no number is lost, no seed ignored, no accuracy far from 0.93."""
    for name in environments.pythons:
        record = environments.record(name)
        told = run_alone(record)
        assert not [row for row in told["deviations"] if row["exceeded"]], name
        assert record.probes.seed.honoured
        assert record.training["by"] == "stacked"
        assert 0.91 < sum(seed.accuracy for seed in record.seeds) / len(record.seeds) < 0.95


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN is on by default on x86-64 only")
def test_onednn_switched_off_is_rounding(environments: Environments) -> None:
    """With the variable as the suspect."""
    name = environments.usual[0]
    told = compare_records(environments.record(name), environments.run(name, TF_ENABLE_ONEDNN_OPTS="0"))
    assert told["class"] == "rounding"
    assert told["causes"][0]["suspects"] == ["TF_ENABLE_ONEDNN_OPTS unset → 0"]


@pytest.mark.skipif("avx512f" not in CPU_FLAGS, reason="a smaller instruction set is emulated on a CPU with AVX-512")
def test_a_smaller_instruction_set_emulated_is_rounding(environments: Environments) -> None:
    """oneDNN held to AVX2 (an emulation of another CPU, not one): rounding at most, the variable the suspect."""
    name = environments.usual[-1]
    told = compare_records(environments.record(name), environments.run(name, ONEDNN_MAX_CPU_ISA="AVX2"))
    assert told["class"] in ("bitwise", "rounding")
    assert told["accuracy"]["label"] == "equivalent"
    if told["class"] == "rounding":
        assert told["causes"][0]["suspects"] == ["ONEDNN_MAX_CPU_ISA unset → AVX2"]


def test_threads_and_hash_seeds_change_nothing(environments: Environments) -> None:
    """OMP_NUM_THREADS and PYTHONHASHSEED are no suspects, because they have no effect."""
    name = environments.usual[-1]
    other = environments.run(name, OMP_NUM_THREADS="2", PYTHONHASHSEED="7")
    assert compare_records(environments.record(name), other)["class"] == "bitwise"


STREAMS = "NumPy, Python, TensorFlow and the initializer"
NAMED = [  # patch, class, cause, to, whether accuracy drifts
    ("initializer", "default-changed", "initializer", "he_normal", True),
    ("epsilon", "default-changed", "optimizer", "epsilon=1e-08", False),
    ("learning_rate", "default-changed", "optimizer", "learning_rate=0.002", True),
    ("amsgrad", "default-changed", "optimizer", "amsgrad=True", False),
    ("loss_sum", "default-changed", "loss", "reduction=sum", False),
    ("bfloat16", "default-changed", "precision", "mixed_bfloat16", False),
    ("seed_random", "seed-ignored", "seed", f"one seed gives different draws (of {STREAMS})", None),
    ("extra_activation", "default-changed", "layer", None, True),
]
BESIDE = "32, 32, 32, 32, 64, 64, 64, 64"  # scale, offset, mean and variance after each hidden layer
UNSEEN = [
    ("glorot_normal", "default-changed", "initializer", "glorot_normal", None),
    ("narrow_uniform_anew", "default-changed", "initializer", None, None),
    ("orthogonal", "default-changed", "initializer", "orthogonal(gain=1.0)", None),
    ("bias_ones", "default-changed", "initializer", "ones", True),
    ("beta_2", "default-changed", "optimizer", "beta_2=0.99", False),
    ("rate_one_percent", "default-changed", "optimizer", "learning_rate=0.00101", False),
    ("clipnorm", "default-changed", "optimizer", "clipnorm=1", False),
    ("weight_decay", "default-changed", "optimizer", "weight_decay=0.01", False),
    ("layer_one_percent", "default-changed", "layer", None, False),
    ("leaky_relu", "default-changed", "layer", None, True),
    ("default_activation", "default-changed", "layer", "activation=tanh", False),
    ("loss_two_percent", "default-changed", "loss", None, False),
    ("regularizer", "default-changed", "layer", "kernel_regularizer=l2(l2=0.01)", True),
    ("float16", "default-changed", "precision", "mixed_float16", False),
    ("floatx", "default-changed", "precision", "float16", True),
    ("seed_constant", "seed-ignored", "seed", "different seeds give the same draws", None),
    ("scaled_draws", "default-changed", "initializer", "glorot_uniform, 1.01 times as wide", False),
    ("no_bias", "default-changed", "layer", "use_bias=False", False),
    ("batch_normalization", "default-changed", "layer", f"a model of 14 weights, with {BESIDE} more", None),
    ("seed_without_tensorflow", "seed-ignored", "seed", "one seed gives different draws (of TensorFlow)", False),
]


def check(told: dict[str, Any], name: str, what: str, to: str | None, drifts: bool | None) -> None:
    """Class, one cause, what it became, and accuracy where it can be said."""
    assert told["class"] == name, told
    assert [cause["what"] for cause in told["causes"]] == [what], told["causes"]
    assert to is None or told["causes"][0]["to"] == to
    assert drifts is None or (told["accuracy"]["label"] == "drift") is drifts, told["accuracy"]


@pytest.mark.parametrize("which", [0, 1], ids=["oldest", "newest"])
@pytest.mark.parametrize(("patch", "name", "what", "to", "drifts"), NAMED, ids=[row[0] for row in NAMED])
def test_each_injected_change_is_named(
    environments: Environments,
    tmp_path: Path,
    which: int,
    patch: str,
    name: str,
    what: str,
    to: str | None,
    drifts: bool,
) -> None:
    """In Keras 2 and in Keras 3; a drift of accuracy exactly where it is there."""
    usual = environments.usual[which]
    told = compare_records(environments.record(usual), environments.run(usual, tmp_path, patch))
    check(told, name, what, to, drifts)


@pytest.mark.parametrize(("patch", "name", "what", "to", "drifts"), UNSEEN, ids=[row[0] for row in UNSEEN])
def test_changes_that_the_thresholds_were_not_set_on_are_named_too(
    environments: Environments, tmp_path: Path, patch: str, name: str, what: str, to: str | None, drifts: bool | None
) -> None:
    """In the newest release."""
    usual = environments.usual[-1]
    told = compare_records(environments.record(usual), environments.run(usual, tmp_path, patch))
    check(told, name, what, to, drifts)
    suspects = told["causes"][0]["suspects"]
    assert not suspects or "sitecustomize.py" in suspects[0]


def test_a_loss_that_is_no_number_is_a_finding_and_no_crash(environments: Environments, tmp_path: Path) -> None:
    """The record says where it began, and the reference rule has something to say."""
    usual = environments.usual[-1]
    record = environments.run(usual, tmp_path, "nan")
    assert record.non_finite[0].stage == "forward"
    assert json.loads(encode_record(record))["non_finite"]
    assert next(row["what"] for row in run_alone(record)["deviations"] if row["exceeded"]) == "forward"
    assert compare_records(environments.record(usual), record)["accuracy"]["label"] == "drift"


def test_a_keras_without_set_random_seed_is_seeded_by_hand(environments: Environments, tmp_path: Path) -> None:
    """The fall-back draws the same numbers, and the record says that it was used."""
    usual = environments.usual[-1]
    record = environments.run(usual, tmp_path, "no_set_random_seed")
    assert record.environment.seeding == "random, numpy and tensorflow"
    assert compare_records(environments.record(usual), record)["class"] == "bitwise"


def test_a_crash_at_import_and_a_missing_gpu_are_told(environments: Environments, tmp_path: Path) -> None:
    """SIGILL by name; a GPU that is not there by words."""
    usual = environments.usual[-1]
    with pytest.raises(CanaryError, match="SIGILL"):
        environments.run(usual, tmp_path, "crash")
    with pytest.raises(CanaryError, match="a GPU was asked for") as caught:
        run_canary(InterpreterRunner(environments.pythons[usual]), device="gpu")
    assert caught.value.code == "device-unavailable"


def test_the_users_keras_json_counts_and_a_projects_keras_py_does_not(
    environments: Environments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epsilon from keras.json is named with its origin; the current folder is not on the path."""
    usual = environments.usual[-1]
    (tmp_path / ".keras").mkdir()
    settings = {"floatx": "float32", "epsilon": 1e-3, "backend": "tensorflow", "image_data_format": "channels_last"}
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(settings))
    (tmp_path / "keras.py").write_text("raise RuntimeError('imported')")
    monkeypatch.chdir(tmp_path)
    record = environments.run(usual, HOME=str(tmp_path))
    told = compare_records(environments.record(usual), record)
    assert record.environment.keras_json is not None
    assert record.environment.keras_json["epsilon"] == "0.001"
    assert told["class"] == "default-changed"
    assert "loss" in {cause["what"] for cause in told["causes"]}
    assert any("keras.json epsilon" in suspect for suspect in told["causes"][0]["suspects"])


def test_thorough_stays_within_its_budget(environments: Environments) -> None:
    """All ways of training agree with the reference; time, memory and size as promised (twice the time for CI)."""
    record = run_canary(InterpreterRunner(environments.pythons[environments.usual[-1]]), thorough=True)
    assert record.thorough is not None
    assert set(record.thorough.ways) == {"sequential", "functional", "subclassed", "fit"}
    assert not [row for row in run_alone(record)["deviations"] if row["exceeded"]]
    assert record.training["by"] == "loop"
    assert [seed.accuracy for seed in record.seeds] == [
        seed.accuracy for seed in environments.record(environments.usual[-1]).seeds
    ]
    assert record.timings["beyond_import"] < 20
    assert record.document["peak_memory_bytes"] < 700e6
    assert len(encode_record(record)) < 250_000


def test_the_command_writes_a_record_and_holds_the_next_run_against_it(
    environments: Environments, kdoctor: list[str], tmp_path: Path
) -> None:
    """Text for people, JSON for programs, exit code by the findings."""
    first, last = (environments.pythons[name] for name in environments.usual)
    run = [*kdoctor, "canary", "--no-progress"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    saved = tmp_path / "record.json"
    made = subprocess.run(
        [*run, f"python:{first}", "-o", str(saved)], env=env, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    assert "Accuracy      0.9" in made.stdout
    held = subprocess.run(
        [*run, f"python:{last}", "--against", str(saved), "--format", "json"], env=env, capture_output=True, check=False
    )
    assert held.returncode == 0, held.stderr
    document = json.loads(held.stdout)
    assert document["drift"]["class"] == "bitwise"
    assert document["canary"]["seeds"] == 16
    assert {row["name"] for row in document["changes"]} >= {"keras"}
    patched = {**env, "PYTHONPATH": f"{write_patch(tmp_path, 'initializer')}{os.pathsep}{ROOT}"}
    bad = subprocess.run(
        [*run, f"python:{last}", "--against", str(saved), "--format", "json"],
        env=patched,
        capture_output=True,
        check=False,
    )
    assert bad.returncode == 1, bad.stderr
    assert [finding["code"] for finding in json.loads(bad.stdout)["findings"]] == ["KD802", "KD801"]


def test_a_command_killed_half_way_leaves_nothing(
    environments: Environments, kdoctor: list[str], tmp_path: Path
) -> None:
    """No half-written record, no private folder, no process."""
    place, scratch = tmp_path / "record.json", tmp_path / "scratch"
    scratch.mkdir()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}
    python = environments.pythons[environments.usual[-1]]
    command = [*kdoctor, "canary", f"python:{python}", "-o", str(place), "--no-progress"]
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        deadline = time.monotonic() + 60
        while not list(scratch.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.0)
        private = [str(folder) for folder in scratch.iterdir()]
        assert private
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 143
    assert not place.exists()
    assert list(scratch.iterdir()) == []
    if sys.platform == "linux":
        working = [os.readlink(entry) for entry in Path("/proc").glob("[0-9]*/cwd") if os.access(entry, os.R_OK)]
        assert not [folder for folder in working if folder.startswith(tuple(private))]
