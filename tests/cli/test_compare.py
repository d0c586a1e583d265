"""``kdoctor compare`` of facts at rest: what differs, in which order, and what it means; nothing is started here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def environment(tensorflow: str, keras: str, **packages: str) -> dict[str, Any]:
    """A snapshot of an environment with these packages."""
    rows = {"tensorflow-cpu": tensorflow, "keras": keras, **packages}
    return {
        "schema": 1,
        "subject": {"kind": "interpreter", "name": "x"},
        "software": {
            "python": {"version": "3.11.7"},
            "packages": [{"name": name, "version": version} for name, version in rows.items()],
            "tensorflow": {"version": tensorflow, "distribution": "tensorflow-cpu", "cuda_build": False},
            "keras": {"version": keras, "backend": "tensorflow", "legacy": False},
        },
    }


OLD = environment("2.15.1", "2.15.0", numpy="1.26.4", rich="13.0.0")
NEW = environment("2.21.0", "3.15.1", numpy="2.4.6", rich="15.0.0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two saved environments."""
    for name, document in (("old", OLD), ("new", NEW)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    return tmp_path


def compare(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doctor", "compare", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_what_matters_comes_first(folder: Path) -> None:
    """TensorFlow, Keras, packages that compute; the others are last, and folded in text."""
    run = compare(folder, "old.json", "new.json", "--format", "json")
    names = [(row["what"], row["name"]) for row in json.loads(run.stdout)["changes"]]
    assert names == [
        ("tensorflow", "tensorflow.version"),
        ("keras", "keras.version"),
        ("package", "keras"),
        ("package", "numpy"),
        ("package", "tensorflow-cpu"),
        ("package", "rich"),
    ]
    text = compare(folder, "old.json", "new.json", "--no-canary").stdout
    assert "and 1 package that takes no part in computing (-v): rich" in text
    assert "rich" in compare(folder, "old.json", "new.json", "--no-canary", "-v").stdout


def test_the_known_changes_of_results_are_predicted(folder: Path) -> None:
    """Without a canary: which known changes lie between the two versions, each with its release."""
    run = compare(folder, "old.json", "new.json", "--no-canary")
    assert run.returncode == 0
    assert "Keras 2.15.0 → 3.15.1 crosses 6 changes known to alter a seeded run" in run.stdout
    assert "Keras 3.8 (tf-shuffle)" in run.stdout
    assert "6 known changes of results lie between the two (KD705)" in " ".join(run.stdout.split())


def test_rules_that_need_a_project_are_not_counted_as_skipped(folder: Path) -> None:
    """A comparison looks at no project: those rules do not apply, and are said to."""
    report = json.loads(compare(folder, "old.json", "new.json", "--no-canary", "--format", "json").stdout)
    assert not [row for row in report["skipped"] if row["reason"].startswith("project.")]
    assert "KD403" in {row["code"] for row in report["inapplicable"] if row["reason"] == "no project is looked at"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("old.json", "missing.json"), 3, "missing.json"),
        (("old.json", "python:/no/such/python"), 3, "/no/such/python"),
        (("old.json", "old.json", "--machine", "missing.json"), 3, "missing.json"),
        (("old.json",), 2, "Missing argument"),
        (("old.json", "new.json", "--device", "tpu"), 2, "--device tpu"),
    ],
)
def test_bad_input_is_one_clear_line(arguments: tuple[str, ...], code: int, words: str, folder: Path) -> None:
    """What cannot be looked at is exit 3, a wrong use exit 2; nothing on stdout."""
    run = compare(folder, *arguments)
    assert (run.returncode, run.stdout) == (code, ""), run.stderr
    assert words in run.stderr
    assert "Traceback" not in run.stderr


def test_a_canary_that_was_asked_for_and_cannot_be_is_not_green(folder: Path) -> None:
    """Facts at rest cannot be started: with --canary exit 3, without a remark."""
    run = compare(folder, "old.json", "new.json", "--canary", "--format", "json")
    assert (run.returncode, json.loads(run.stdout)["verdict"]) == (3, "incomplete")
    run = compare(folder, "old.json", "new.json", "--format", "json")
    report = json.loads(run.stdout)
    assert (run.returncode, report["verdict"]) == (0, "pass")
    assert "facts at rest" in report["notes"][0]["why"]
