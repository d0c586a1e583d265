"""``kdoctor init``: what it finds, what it writes, and that it never overwrites."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from doctor.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
NODE = {"schema": 1, "machine": {"name": "prod", "driver": {"present": True, "version": "535.104.05"}}}


def kdoctor(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doctor", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_policy_and_workflow_of_an_empty_folder(tmp_path: Path) -> None:
    """Both files are written and shown; the policy is valid and says what its keys are for."""
    run = kdoctor("init", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "kdoctor.toml: written" in run.stdout
    assert ".github/workflows/kdoctor.yml: written" in run.stdout
    settings = load_settings(tmp_path, {}, {})
    assert (settings.images, settings.machines, settings.reference) == ((), (), None)
    assert "deny = " in run.stdout


def test_what_the_project_holds_stands_in_the_policy(tmp_path: Path) -> None:
    """Saved machines and an accepted reference are used; deployed images and what is denied today are named."""
    (tmp_path / "nodes").mkdir()
    for name in ("a", "b"):
        (tmp_path / "nodes" / f"{name}.json").write_text(json.dumps(NODE))
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "kdoctor-reference.json").write_text("{}")
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    image: registry.example/app:1\n")
    assert kdoctor("init", "--ci", "none", cwd=tmp_path).returncode == 0
    settings = load_settings(tmp_path, {}, {})
    assert settings.machines == (str(tmp_path / "nodes/*.json"),)
    assert settings.reference == str(tmp_path / "kdoctor-reference.json")
    text = (tmp_path / "kdoctor.toml").read_text()
    assert "#   registry.example/app:1 (compose.yaml:3)" in text
    assert "#   compose.yaml:3: KD403" in text
    assert not (tmp_path / ".github").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A second run, a policy in pyproject.toml, a link that leads nowhere: all stay as they are."""
    (tmp_path / "pyproject.toml").write_text('[tool.kdoctor]\nfail-on = "warning"\n')
    workflow = tmp_path / ".github" / "workflows" / "kdoctor.yml"
    workflow.parent.mkdir(parents=True)
    workflow.symlink_to(tmp_path / "elsewhere")
    run = kdoctor("init", cwd=tmp_path)
    assert run.returncode == 0
    assert "pyproject.toml: not written" in run.stdout
    assert "kdoctor.yml: not written" in run.stdout
    assert not (tmp_path / "kdoctor.toml").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_gitlab_with_a_file_of_its_own(tmp_path: Path) -> None:
    """GitLab is recognised by its file, which stays; the job stands beside it, and how to include it is said."""
    (tmp_path / ".gitlab-ci.yml").write_text("build:\n  script: [make]\n")
    run = kdoctor("init", cwd=tmp_path)
    assert (tmp_path / ".gitlab-ci.yml").read_text() == "build:\n  script: [make]\n"
    assert ".gitlab/kdoctor.yml: written; add to .gitlab-ci.yml: include:" in run.stdout


@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_ci_files_are_yaml_and_run_the_gate_by_the_base_branch(service: str, tmp_path: Path) -> None:
    """The file parses, no placeholder is left in it, and the gate takes its policy from the target of the change."""
    (tmp_path / "requirements.txt").write_text("tensorflow==2.21.0\n")
    kdoctor("init", "--ci", service, cwd=tmp_path)
    place = {"github": ".github/workflows/kdoctor.yml", "gitlab": ".gitlab-ci.yml"}[service]
    text = (tmp_path / place).read_text()
    document = YAML(typ="safe").load(text)
    job = document["jobs"]["gate"] if service == "github" else document["kdoctor"]
    script = json.dumps(job["steps"] if service == "github" else [job["before_script"], job["script"]])
    assert "@" not in text.replace("actions/checkout@", "").replace("actions/setup-python@", "")
    assert "--policy" in script
    assert "-r requirements.txt" in script
    assert kdoctor("scan", "--offline", "--select", "KD4", "--fail-on", "warning", cwd=tmp_path).returncode == 0


def test_bad_input(tmp_path: Path) -> None:
    """No such folder, no such service, a folder that cannot be written to: one line each."""
    for arguments in (("no-such",), ("--ci", "jenkins")):
        run = kdoctor("init", *arguments, cwd=tmp_path)
        assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    (tmp_path / ".github").write_text("a file")
    run = kdoctor("init", "--ci", "github", cwd=tmp_path)
    assert run.returncode == 2
    assert "cannot be written" in run.stderr


def test_hostile_names_stay_in_their_comment(tmp_path: Path) -> None:
    """What comes out of the project's files cannot add a key to the policy or a command to the CI file."""
    (tmp_path / "Dockerfile").write_text("FROM a:1\n")
    (tmp_path / "compose.yaml").write_text('services:\n  w:\n    image: "x:1\\nignore = [\\"KD4\\"]"\n')
    assert kdoctor("init", cwd=tmp_path).returncode == 0
    assert load_settings(tmp_path, {}, {}).ignore == ()


@pytest.mark.parametrize(
    ("folder", "installed"),
    [("services/train", "-r services/train/requirements.txt"), ("a b;$(touch x)", "tensorflow"), ("-e", "tensorflow")],
    ids=["plain", "hostile", "an option"],
)
def test_a_part_of_the_repository_that_asks_for_tensorflow(folder: str, installed: str, tmp_path: Path) -> None:
    """Its requirements are what CI installs; a path that a shell could misread is not written into the CI file."""
    part = tmp_path / folder
    part.mkdir(parents=True)
    (part / "requirements.txt").write_text("tensorflow==2.15.0\n")
    assert kdoctor("init", cwd=tmp_path).returncode == 0
    text = (tmp_path / ".github/workflows/kdoctor.yml").read_text()
    assert f"install --quiet {installed}\n" in text
    assert "touch" not in text


COMPOSE = "services:\n  app:\n    image: registry.example/app:1\n"
KUBERNETES = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - {name: a, image: registry.example/app:latest}\n"
WORKFLOW = "on: push\njobs:\n  t:\n    runs-on: x\n    container: registry.example/ci:1\n    steps: []\n"
NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
PROJECTS: dict[str, tuple[dict[str, str], set[str]]] = {
    "compose": ({"compose.yaml": COMPOSE, "Dockerfile": "FROM registry.example/base:1\n"}, {"KD403"}),
    "workflow": ({".github/workflows/ci.yml": WORKFLOW}, {"KD403"}),
    "notebook": ({"train.ipynb": json.dumps(NOTEBOOK)}, set()),
    "monorepo": ({"a/Dockerfile": "FROM registry.example/a:1\n", "deploy/pod.yaml": KUBERNETES}, {"KD402", "KD403"}),
    "empty": ({}, set()),
}


@pytest.mark.parametrize("name", PROJECTS)
def test_the_gate_works_at_once(name: str, tmp_path: Path) -> None:
    """Its policy is understood, and the gate denies just what init said it would."""
    files, denied = PROJECTS[name]
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    assert kdoctor("init", cwd=tmp_path).returncode == 0
    policy = (tmp_path / "kdoctor.toml").read_text()
    assert {code for code in ("KD401", "KD402", "KD403", "KD601") if f": {code} " in policy} == denied
    run = kdoctor("gate", "--offline", "--target", "snapshot:image.json", "--format", "json", cwd=_with_image(tmp_path))
    report = json.loads(run.stdout)
    assert run.returncode == (1 if denied else 0), report["notes"]
    assert {finding["code"] for finding in report["findings"] if finding["code"] in report["denied"]} == denied
    assert not report["incomplete"]


def _with_image(folder: Path) -> Path:
    """Something to judge, so that the gate does not look for an interpreter of this machine."""
    software = {"tensorflow": {"version": "2.21.0", "cuda_build": False}, "python": {"version": "3.12.1"}}
    (folder / "image.json").write_text(json.dumps({"schema": 1, "subject": {"kind": "image"}, "software": software}))
    return folder
