"""``--all-dependencies``: every package must be pinned, not the numeric ones alone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT


def unpinned(kdoctor: list[str], folder: Path, *arguments: str, **environ: str) -> list[str]:
    """The packages that KD601 names."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    command = [*kdoctor, "scan", "--offline", "--format", "json", "--select", "KD601", *arguments]
    run = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    return sorted(row["message"].split()[0] for row in json.loads(run.stdout)["findings"])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "requirements.txt").write_text("keras\nrequests>=2\npandas==2.2.0\nflask==3.0.0\n")
    return tmp_path


def test_the_option_widens_the_rule(kdoctor: list[str], project: Path) -> None:
    """Without it only TensorFlow, Keras and their kin count; with it whatever is not exact."""
    assert unpinned(kdoctor, project) == ["keras"]
    assert unpinned(kdoctor, project, "--all-dependencies") == ["keras", "requests"]


def test_variable_and_policy_do_so_too(kdoctor: list[str], project: Path) -> None:
    """KDOCTOR_ALL_DEPENDENCIES, and ``all-dependencies = true`` of the project."""
    assert unpinned(kdoctor, project, KDOCTOR_ALL_DEPENDENCIES="1") == ["keras", "requests"]
    (project / "kdoctor.toml").write_text("all-dependencies = true\n")
    assert unpinned(kdoctor, project) == ["keras", "requests"]
