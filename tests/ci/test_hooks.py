"""The hook for pre-commit: its entry run in a repository, and the files that it wakes up for."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from doctor.images import discover

ROOT = Path(__file__).resolve().parents[2]
HOOK: dict[str, Any] = YAML(typ="safe").load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]


def hook(folder: Path) -> subprocess.CompletedProcess[str]:
    """The hook's entry as pre-commit starts it, with this checkout's kdoctor."""
    program, *arguments = shlex.split(HOOK["entry"])
    assert program == "kdoctor"
    assert not HOOK["pass_filenames"]
    command = [sys.executable, "-m", "doctor", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_loose_project_is_stopped_and_a_pinned_one_is_not(tmp_path: Path) -> None:
    """One line a finding, exit 1; the same project with digest and exact version passes."""
    (tmp_path / "Dockerfile").write_text("FROM registry.example/app:latest\n")
    (tmp_path / "requirements.txt").write_text("tensorflow\n")
    run = hook(tmp_path)
    assert run.returncode == 1
    assert run.stdout.splitlines()[0].startswith("Dockerfile:1:6: warning[KD402]")
    assert run.stdout.splitlines()[1].startswith("requirements.txt:1: warning[KD601]")
    (tmp_path / "Dockerfile").write_text("FROM registry.example/app@sha256:" + "1" * 64 + "\n")
    (tmp_path / "requirements.txt").write_text("tensorflow==2.15.0\n")
    assert hook(tmp_path).returncode == 0


@pytest.mark.parametrize(
    "path",
    [
        "Dockerfile",
        "docker/train.Dockerfile",
        "Containerfile",
        "requirements/gpu.txt",
        "requirements-dev.in",
        "pyproject.toml",
        "compose.yaml",
        "deploy/pod.yml",
        ".github/workflows/ci.yml",
        "docker-bake.hcl",
        ".devcontainer/devcontainer.json",
        "constraints.txt",
        "setup.cfg",
        "Pipfile",
        "pylock.gpu.toml",
        "uv.lock",
        "docker-bake.json",
        "base/kustomization.yaml",
    ],
)
def test_it_wakes_up_for_every_kind_of_file_that_it_reads(path: str) -> None:
    """Files that name images or ask for packages."""
    assert discover.kind_of(path) is not None
    assert re.search(HOOK["files"], path)


def test_it_wakes_up_for_the_policy() -> None:
    """A change of the policy, or of the lock of images, is judged too."""
    assert all(re.search(HOOK["files"], path) for path in ("kdoctor.toml", "ml/kdoctor.lock"))


@pytest.mark.parametrize("path", ["train.py", "README.md", "data/a.json"])
def test_it_sleeps_on_others(path: str) -> None:
    """A commit of code alone does not start it."""
    assert not re.search(HOOK["files"], path)
