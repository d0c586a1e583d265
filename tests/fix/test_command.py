"""``kdoctor scan --fix`` as a user and a CI job meet it: real processes, real files."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "import keras\nmean = keras.metrics.Mean()\nmean.reset_states()\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project whose script uses a name that the Keras beside it does not have, and pins that Keras."""
    here = tmp_path / "project"
    here.mkdir()
    (here / "requirements.txt").write_text("keras==3.3.3\n")
    (here / "train.py").write_text(SCRIPT)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    return here


def command(folder: Path, *arguments: str) -> list[str]:
    """The command line of a scan of the project with an empty environment."""
    python = str(folder.parent / "bare")
    return [sys.executable, "-m", "doctor", "scan", "--offline", "--python", python, "--select", "KD6,KD7", *arguments]


def environment(**more: str) -> dict[str, str]:
    """The environment of a child; nobody's CI."""
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def scan(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The finished command."""
    return subprocess.run(
        command(folder, *arguments), cwd=folder, env=environment(**more), capture_output=True, text=True, check=False
    )


def report(folder: Path, *arguments: str) -> dict[str, Any]:
    """The JSON report."""
    document: dict[str, Any] = json.loads(scan(folder, "--format", "json", *arguments).stdout)
    return document


def test_it_shows_and_changes_nothing(folder: Path) -> None:
    """Without --write: the diff is on the screen, the file as it was, the exit code that of the findings."""
    run = scan(folder, "--fix", "--fail-on", "warning")
    assert run.returncode == 1
    assert "  -mean.reset_states()\n  +mean.reset_state()\n" in run.stdout
    assert "1 file would change: the same command with --write changes it." in run.stdout
    assert (folder / "train.py").read_text() == SCRIPT


def test_write_leaves_a_clean_project(folder: Path) -> None:
    """--write: the report is of the files as they are then, and so is the exit code; a second run changes nothing."""
    run = scan(folder, "--fix", "--write", "--fail-on", "warning")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 file written." in run.stdout
    assert "KD715" not in run.stdout
    assert (folder / "train.py").read_text() == SCRIPT.replace("reset_states", "reset_state")
    assert report(folder, "--fix", "--write")["fixes"]["files"] == []


def test_json_has_the_fixes_and_fits_the_schema(folder: Path) -> None:
    """Rows with replacements, the diff by file; without --fix the key is absent."""
    document = report(folder, "--fix")
    jsonschema.validate(document, json.loads((ROOT / "schemas/report.json").read_text()))
    (row,) = [row for row in document["fixes"]["rows"] if row["code"] == "KD715"]
    assert (row["kind"], row["safety"], row["path"], row["line"], row["written"]) == (
        "edit",
        "safe",
        "train.py",
        3,
        False,
    )
    assert row["replacements"] == [{"line": 3, "column": 6, "end_line": 3, "end_column": 18, "text": "reset_state"}]
    assert row["fingerprint"] in {finding["fingerprint"] for finding in document["findings"]}
    assert document["fixes"]["files"][0]["diff"].startswith("--- a/train.py\n+++ b/train.py\n")
    plain = report(folder)
    assert "fixes" not in plain
    jsonschema.validate(plain, json.loads((ROOT / "schemas/report.json").read_text()))


def test_sarif_has_the_replacement(folder: Path) -> None:
    """Code scanning gets the region to delete and the text to insert; the log fits the standard's schema."""
    log = json.loads(scan(folder, "--fix", "--format", "sarif").stdout)
    jsonschema.validate(log, json.loads((ROOT / "tests/data/sarif-2.1.0-rtm.5.json").read_text()))
    (result,) = [r for r in log["runs"][0]["results"] if r["ruleId"] == "KD715"]
    (change,) = result["fixes"][0]["artifactChanges"]
    assert change["artifactLocation"] == {"uri": "train.py", "uriBaseId": "%SRCROOT%"}
    assert change["replacements"] == [
        {
            "deletedRegion": {"startLine": 3, "startColumn": 6, "endLine": 3, "endColumn": 18},
            "insertedContent": {"text": "reset_state"},
        }
    ]
    assert not [r for r in log["runs"][0]["results"] if r["ruleId"] != "KD715" and r.get("fixes")]


def test_what_could_not_be_written_ends_with_1(folder: Path) -> None:
    """A file that is read-only: the reason is told, and no exit code 0."""
    (folder / "train.py").chmod(0o444)
    run = scan(folder, "--fix", "--yes")
    assert run.returncode == 1
    assert "not written" in run.stdout
    assert "read-only" in run.stdout


def test_write_without_fix_is_refused(folder: Path) -> None:
    """One clear line, exit code 2."""
    run = scan(folder, "--write")
    assert run.returncode == 2
    assert "--write goes with --fix" in run.stderr


def test_a_suppressed_finding_is_not_mended(folder: Path) -> None:
    """What somebody chose to live with stays as it is."""
    text = SCRIPT.replace("mean.reset", "# kdoctor: ignore[KD715] on purpose\nmean.reset")
    (folder / "train.py").write_text(text)
    assert report(folder, "--fix", "--write")["fixes"]["files"] == []
    assert (folder / "train.py").read_text() == text


def on_terminal(folder: Path, answer: str, **more: str) -> str:
    """What a scan with --fix on a terminal shows, with this answer typed once it asks."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        line = command(folder, "--fix", "--no-progress")
        os.execve(line[0], line, environment(TERM="dumb", **more))
    shown, asked, ends = b"", False, time.monotonic() + 60
    while time.monotonic() < ends:
        if select.select([terminal], [], [], 1)[0]:
            try:
                part = os.read(terminal, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        if b"[y/N]" in shown and not asked:
            asked = True
            os.write(terminal, answer.encode() + b"\n")
    os.waitpid(child, 0)
    os.close(terminal)
    return shown.decode(errors="replace")


@pytest.mark.parametrize(("answer", "written"), [("y", True), ("n", False), ("", False)])
def test_a_person_is_asked(folder: Path, answer: str, written: bool) -> None:
    """On a terminal the diff comes first, then the question; only a yes writes."""
    shown = on_terminal(folder, answer)
    assert "Write this file?" in shown
    assert ((folder / "train.py").read_text() != SCRIPT) is written


def test_nobody_is_asked_in_ci(folder: Path) -> None:
    """CI=true: no question even where a terminal is there, and nothing is written."""
    assert "[y/N]" not in on_terminal(folder, "y", CI="true")
    assert (folder / "train.py").read_text() == SCRIPT
