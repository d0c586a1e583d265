"""The commands that kdoctor prints, run word for word in an environment broken on purpose: it is well again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
UV = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))


@pytest.fixture
def copy(
    tensorflow_environments: dict[str, Path], tmp_path: Path, lacking: Callable[[str], NoReturn]
) -> Callable[[str], Path]:
    """Makes a copy of a release's environment, of hard links: an installer replaces files in the copy only."""

    def make(release: str) -> Path:
        found = [python for name, python in tensorflow_environments.items() if name.startswith(release)]
        if not found or UV is None:
            lacking(
                f"no uv, or no environment of TensorFlow {release} in KDOCTOR_TF_ENVS: .ci/environments builds them"
            )
        shutil.copytree(found[0].parent.parent, tmp_path / "env", symlinks=True, copy_function=linked)
        return tmp_path / "env/bin/python"

    return make


def linked(source: str, target: str) -> None:
    """A hard link, or a copy where the cache lies on another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def run(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command line in a shell, as it would be pasted, in a folder without an environment."""
    path = os.pathsep.join([str(Path(str(UV)).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(["bash", "-c", command], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def scan(python: Path, cwd: Path) -> dict[str, Any]:
    """The report with its fixes."""
    arguments = ["scan", "--offline", "--python", str(python), "--fix", "--format", "json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "doctor", *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize(
    ("release", "broken", "code"),
    [("2.15", "numpy>=2", "KD305"), ("2.15", "protobuf>=6", "KD306"), ("2.15", "keras>=3", "KD307"),
     ("2.15", "wrapt>=1.15", "KD309")],
)  # fmt: skip
def test_the_printed_command_mends_the_environment(
    release: str,
    broken: str,
    code: str,
    copy: Callable[[str], Path],
    tmp_path: Path,
    lacking: Callable[[str], NoReturn],
) -> None:
    """Broken, scanned, the command pasted, scanned again: the finding is gone, and TensorFlow can be imported."""
    python = copy(release)
    folder = tmp_path / "empty"
    folder.mkdir()
    before = run(f"uv pip install --python {python} '{broken}'", folder)
    if before.returncode:
        lacking(f"{broken} cannot be installed here: {before.stderr[-200:]}")
    report = scan(python, folder)
    assert code in {finding["code"] for finding in report["findings"]}
    commands = [row["command"] for row in report["fixes"]["rows"] if row["code"] == code and row["kind"] == "command"]
    assert commands
    for command in commands:
        done = run(command, folder)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    again = scan(python, folder)
    assert code not in {finding["code"] for finding in again["findings"]}
    imported = run(f"{python} -c 'import tensorflow as tf; tf.constant(1) + 1'", folder)
    assert imported.returncode == 0, imported.stderr
