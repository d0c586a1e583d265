"""What is not certain is left to a person, with the reason."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.fix.support import INSTALLED, OLD, project, training

LEFT = {
    "no version known": ("KD601", "requirements.txt", "scipy\n"),
    "outside what is asked": ("KD601", "requirements.txt", "numpy>=2\n"),
    "another system's": ("KD601", "requirements.txt", 'numpy; sys_platform == "darwin"\n'),
    "what another file is made from": ("KD601", "requirements.in", "numpy\n"),
    "a library's own metadata": ("KD601", "pyproject.toml", '[project]\nname = "x"\ndependencies = ["numpy"]\n'),
    "a variable": ("KD601", "Dockerfile", "FROM scratch\nARG N=1.22\nRUN pip install numpy>=$N\n"),
    "several lines": ("KD601", "requirements.txt", "numpy \\\n  >=1.22\n"),
    "both arguments": ("KD715", "train.py", training(optimizer="keras.optimizers.Adam(lr=0.1, learning_rate=0.1)")),
    "arguments unpacked": ("KD715", "train.py", training(optimizer="keras.optimizers.Adam(lr=0.1, **more)")),
    "no metric for sure": (
        "KD715",
        "train.py",
        training() + "def clear(thing):\n    thing.reset_states()\nclear(keras.metrics.Mean())\n",
    ),
    "arguments that are gone": ("KD715", "train.py", training() + "model.fit_generator(rows, workers=4)\n"),
    "switched off on purpose": (
        "KD718",
        "train.py",
        training(callback="keras.callbacks.EarlyStopping(restore_best_weights=False)"),
    ),
    "imports and more on one line": (
        "KD701",
        "train.py",
        training(seed="").replace("from tensorflow import keras\n\n", "from tensorflow import keras; x = 1\n"),
    ),
}


@pytest.mark.parametrize(("code", "path", "text"), LEFT.values(), ids=LEFT)
def test_what_is_not_certain_is_left_alone(code: str, path: str, text: str, tmp_path: Path) -> None:
    """No edit at all: the finding stands, and where a change was thought of, the reason it was not made."""
    here = project(tmp_path / "p", {path: text})
    assert here.findings(code)
    made = here.plan(code)
    assert not made.files
    assert all(row.reason for row in made.rows)


def test_a_notebook_is_left_to_its_owner(tmp_path: Path) -> None:
    """Cells are not rewritten; the reason says so."""
    cell = {"cell_type": "code", "source": training(seed="").splitlines(keepends=True), "metadata": {}, "outputs": []}
    text = json.dumps({"cells": [cell], "nbformat": 4, "nbformat_minor": 5, "metadata": {}})
    here = project(tmp_path / "p", {"train.ipynb": text})
    assert [row.reason for row in here.refused("KD701")] == ["a notebook: change the cell by hand"]


def test_nothing_is_pinned_to_what_does_not_work(tmp_path: Path) -> None:
    """The NumPy that is installed is one that this TensorFlow cannot import: it is no version to pin."""
    here = project(tmp_path / "p", {"requirements.txt": "numpy\n"}, **OLD)
    assert [f.fix for f in here.findings("KD601")] == ["write numpy==VERSION"]


def test_a_nightly_or_local_build_is_no_pin(tmp_path: Path) -> None:
    """What no index has is not written into a requirements file."""
    packages = [*INSTALLED["packages"], {"name": "scipy", "version": "1.14.0+local", "installer": "pip"}]
    here = project(tmp_path / "p", {"requirements.txt": "scipy\n"}, packages=packages)
    assert not here.plan("KD601").files


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".env", "TF_XLA_FLAGS=a" + " " * 400_000 + "b\n"),
        (".env", " " * 400_000 + "TF_XLA_FLAGS\n"),
        ("Dockerfile", "FROM scratch\nENV TF_XLA_FLAGS=" + "\\\n" * 20_000 + "a\n"),
        ("requirements.txt", "numpy" + "[" * 4_000 + "\n" + "numpy ;" * 500 + "\nnumpy\n"),
    ],
)
def test_hostile_files_cost_little(path: str, text: str, tmp_path: Path) -> None:
    """Long lines take no longer than they must: a few seconds of processor time at the most."""
    here = project(tmp_path / "p", {path: text, "train.py": training()})
    begun = time.process_time()
    here.plan("KD601", "KD702")
    assert time.process_time() - begun < 10
