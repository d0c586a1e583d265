"""Where reports go: outputs that cannot be written, disks that are full, readers that have gone away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from doctor.report import FORMATS

ROOT = Path(__file__).resolve().parents[2]
NODE = {
    "schema": 1,
    "subject": {"kind": "host", "name": "node"},
    "machine": {"driver": {"present": True, "version": "470.82.01", "cuda_version": "11.4"}},
    "software": {
        "tensorflow": {"version": "2.15.0", "cuda_build": True, "cuda_version": "12.2"},
        "cuda": {"compat_driver": False},
    },
    "expects": {"gpu": True},
}
FULL = Path("/dev/full")

needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A snapshot with an error in it: its driver is too old."""
    path = tmp_path / "node.json"
    path.write_text(json.dumps(NODE))
    return path


def check(node: Path, *arguments: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """``kdoctor check`` on it; GitHub's summary goes nowhere."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    return subprocess.run(
        [sys.executable, "-m", "doctor", "check", str(node), *arguments],
        cwd=node.parent,
        env={**env, "PYTHONPATH": str(ROOT)},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_run_whose_reports_go_to_files_says_how_it_ended(node: Path) -> None:
    """A job that fails does not end without a word: the gate's line and the files, on stderr; not under --quiet."""
    words = ("--format", "json=r.json", "--format", "junit=r.xml")
    run = check(node, *words)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("kdoctor: Gate failed: 1 finding at or above error")
    assert run.stderr.endswith("; written: r.json, r.xml\n")
    assert check(node, *words, "--quiet").stderr == ""
    assert check(node, *words, "--format", "concise").stderr == ""


@needs_full
@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_is_one_clear_line(name: str, node: Path) -> None:
    """Whatever the format, to a file or to standard output: exit 2 and what could not be written."""
    run = check(node, "--format", f"{name}={FULL}")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "kdoctor: /dev/full: cannot be written: No space left on device\n"
    with FULL.open("w") as full:
        run = check(node, "--format", name, stdout=full)
    assert run.returncode == 2
    assert run.stderr == "kdoctor: standard output: cannot be written: No space left on device\n"


@pytest.mark.parametrize("name", FORMATS)
def test_a_small_disk_keeps_the_report_that_was_there(name: str, node: Path, tmp_path: Path) -> None:
    """A file system without room for the new report: the old one stands, whole, and nothing lies beside it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no file system may be mounted here")
    try:
        report = disk / "report"
        report.write_text("the old one")
        (disk / "filler").write_bytes(b"x" * 4096)
        run = check(node, "--format", f"{name}={report}")
        assert run.returncode == 2, run.stdout
        assert run.stderr.count("\n") == 1
        assert "No space left on device" in run.stderr
        assert report.read_text() == "the old one"
        assert sorted(file.name for file in disk.iterdir()) == ["filler", "report"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("no/such/folder/r.json", "No such file or directory"),
        (".", "Is a directory"),
        ("node.json/r", "Not a directory"),
    ],
)
def test_a_place_that_is_none(place: str, why: str, node: Path) -> None:
    """Exit 2 and the reason; the other report, which was asked for first, is whole."""
    run = check(node, "--format", "json=first.json", "--format", f"sarif={place}")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"kdoctor: {place}: cannot be written: {why}\n"
    assert json.loads((node.parent / "first.json").read_text())["verdict"] == "fail"


def test_a_reader_that_goes_away_changes_no_exit_code(node: Path) -> None:
    """``kdoctor check | head -1`` in a shell with pipefail: a run that fails is never green."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        run = check(node, "--format", "json", stdout=writing)
    finally:
        os.close(writing)
    assert (run.returncode, run.stderr) == (1, "")
