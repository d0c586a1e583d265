"""kdoctor history where it was installed without the database library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BARE = "import sys; sys.modules['sqlalchemy'] = None; from doctor.cli import main; main(sys.argv[1:])"


def bare(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """One command of a kdoctor without SQLAlchemy."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(cwd)}
    command = [sys.executable, "-c", BARE, *words]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("show",),
        ("diff", "1", "2"),
        ("drift",),
        ("plot",),
        ("add", "log.csv"),
        ("accept", "1", "--reason", "seen"),
        ("export",),
        ("prune", "--keep", "1"),
        ("check",),
    ],
)
def test_each_command_says_what_to_install(tmp_path: Path, words: tuple[str, ...]) -> None:
    """In one line, as a fact that could not be had, never as an internal error."""
    done = bare("history", *words, cwd=tmp_path)
    assert done.stderr == "kdoctor: the history needs sqlalchemy: pip install 'keras-doctor[history]'\n"
    assert done.returncode == 3


def test_help_needs_no_library(tmp_path: Path) -> None:
    """What a command does can be read before anything is installed for it."""
    done = bare("history", "drift", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "--tolerance" in done.stdout
