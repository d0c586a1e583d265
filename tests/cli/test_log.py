"""``kdoctor log`` and ``kdoctor scan --log`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import HEALTHY, kdoctor

TEXT = "Unable to register cuFFT factory: x\nLoaded runtime CuDNN library: 8.4.1 but source was compiled with: 8.6.0.\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with a harmless line and a fault."""
    path = tmp_path / "train.log"
    path.write_text(TEXT)
    return path


def test_a_log_by_itself(log: Path) -> None:
    """The fault is a finding, the harmless line a remark, and nothing of this machine enters."""
    found = kdoctor("log", log, "--no-machine", "--format", "json")
    report = json.loads(found.stdout)
    assert found.returncode == 1, found.stderr
    assert [f["code"] for f in report["findings"]] == ["KD204"]
    assert [row["harmless"] for row in report["log"]] == [True]
    assert report["notes"] == []


def test_with_the_machine_of_a_snapshot(log: Path, tmp_path: Path) -> None:
    """A complaint about the GPU is no finding on a machine that has none, and the screen says so."""
    (tmp_path / "laptop.json").write_text(json.dumps(HEALTHY))
    log.write_text("Could not find cuda drivers on your machine, GPU will not be used.\n")
    found = kdoctor("log", log, "--machine", tmp_path / "laptop.json", cwd=tmp_path)
    assert found.returncode == 0, found.stdout
    assert "not borne out: no NVIDIA hardware" in " ".join(found.stdout.split())


def test_scan_reads_logs_the_same_way(log: Path, tmp_path: Path) -> None:
    """The same finding with ``scan --log``."""
    found = kdoctor("scan", tmp_path, "--log", log, "--offline", "--format", "json", "--machine", _machine(tmp_path))
    assert "KD204" in [f["code"] for f in json.loads(found.stdout)["findings"]]


def _machine(folder: Path) -> Path:
    """A snapshot of a machine with a GPU that is meant to be used."""
    path = folder / "node.json"
    path.write_text(
        json.dumps({"machine": {"os": "linux", "gpus": [{"name": "Tesla T4", "compute_capability": "7.5"}]}})
    )
    return path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("absent.log",), "absent.log: the log cannot be read"),
        (("x.log", "--no-machine", "--machine", "y.json"), "leave --machine and --python out"),
    ],
)
def test_what_cannot_be_asked(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """One line, no traceback."""
    found = kdoctor("log", *arguments, cwd=tmp_path)
    assert found.returncode in (2, 3)
    assert words in found.stderr
    assert len(found.stderr.splitlines()) == 1
