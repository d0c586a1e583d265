"""The CI files that ``kdoctor init`` writes, their scripts run by a shell as the service would."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from doctor.starting import ci_text
from tests.ci.runner import Repository, Runner

PINNED = "FROM registry.example/app:1@sha256:" + "1" * 64 + "\n"
LOOSE = "FROM registry.example/app:latest\n"
POLICY = 'fail-on = "error"\noffline = true\n'
OFF = 'fail-on = "never"\ndeny = []\noffline = true\n'
SERVICES = ("github", "gitlab")


def document(service: str, policy: str = "kdoctor.toml") -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(ci_text(service, "-r requirements.txt", policy))
    return loaded


def scripts(service: str, policy: str = "kdoctor.toml") -> list[str]:
    """Every script of the file, in its order."""
    job = document(service, policy)
    if service == "github":
        return [step["run"] for step in job["jobs"]["gate"]["steps"] if "run" in step]
    return ["\n".join([*job["kdoctor"]["before_script"], *job["kdoctor"]["script"]])]


@pytest.mark.parametrize("service", SERVICES)
def test_a_shell_understands_every_script(service: str) -> None:
    """bash and sh parse each; no expression of the service stands inside one."""
    for script in scripts(service):
        assert "${{" not in script
        for shell in ("bash", "sh"):
            subprocess.run([shell, "-n", "-c", script], check=True)


def test_actions_are_named_by_commit_with_their_release() -> None:
    """A tag of somebody else's repository can move; the comment says which release the commit is."""
    text = ci_text("github", ".", "kdoctor.toml")
    assert re.findall(r"uses: (\S+?)@[0-9a-f]{40} # v\d+\.\d+\.\d+\n", text) == [
        "actions/checkout",
        "actions/setup-python",
    ]
    assert text.count("uses:") == 2


def test_gitlab_gets_its_reports_and_an_image_with_git() -> None:
    """The job writes what its artifacts name; slim images have no git, which the job needs."""
    job = document("gitlab")["kdoctor"]
    for kind, name in job["artifacts"]["reports"].items():
        assert f"={name}" in "\n".join(job["script"]), kind
    assert job["artifacts"]["when"] == "always"
    assert "slim" not in job["image"]
    assert "alpine" not in job["image"]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A clone of a repository whose main branch has a policy; a branch of it switches the gate off."""
    origin = Repository(tmp_path / "origin")
    origin.folder.mkdir()
    origin.git("init", "--quiet")
    origin.write(Dockerfile=PINNED, kdoctor__toml=POLICY)
    origin.git("checkout", "--quiet", "-b", "change")
    origin.write(Dockerfile=LOOSE, kdoctor__toml=OFF)
    origin.git("checkout", "--quiet", "-B", "merged", "main")
    origin.git("merge", "--quiet", "--no-ff", "--message", "merge", "change")
    return origin


def clone(origin: Repository, branch: str, depth: int) -> Repository:
    """What the service checks out."""
    folder = origin.folder.parent / "workspace"
    origin.git("clone", "--quiet", f"--depth={depth}", "--branch", branch, f"file://{origin.folder}", str(folder))
    return Repository(folder)


def run(service: str, workspace: Path, temp: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """The part of the file that decides, with this checkout's kdoctor where the file installs one."""
    Runner(workspace, temp).use_checkout()
    deciding = [script for script in scripts(service) if "pip" not in script]
    if service == "gitlab":
        deciding = [re.sub(r"/tmp(?=/)", str(temp), "\n".join(document(service)["kdoctor"]["script"]))]
    elif "PULL" not in environ:
        deciding = deciding[-1:]  # the step that takes the policy has a condition of its own
    store = temp / "environment-file"
    store.write_text("")
    log, code = "", 0
    for script in deciding:
        told = dict(line.split("=", 1) for line in store.read_text().splitlines())
        env = {**os.environ, "CI": "true", "RUNNER_TEMP": str(temp), "GITHUB_ENV": str(store), **environ, **told}
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=workspace,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        log, code = log + done.stdout + done.stderr, done.returncode
        if code:
            break
    return subprocess.CompletedProcess(service, code, log, "")


def test_github_takes_the_policy_from_the_base(repository: Repository, tmp_path: Path) -> None:
    """In a pull request the merge commit's first parent decides: exit 1, although the change switches the gate off."""
    workspace = clone(repository, "merged", 2)
    done = run("github", workspace.folder, tmp_path / "temp", PULL="1")
    assert done.returncode == 1, done.stdout
    assert "KD402" in done.stdout


def test_github_checks_out_what_that_takes(repository: Repository) -> None:
    """The first parent is there only from a depth of two on."""
    (step,) = [s for s in document("github")["jobs"]["gate"]["steps"] if "checkout" in s.get("uses", "")]
    assert step["with"]["fetch-depth"] == 2
    assert step["with"]["persist-credentials"] is False
    workspace = clone(repository, "merged", 2)
    assert workspace.git("rev-parse", "HEAD^1") == repository.git("rev-parse", "main")


def test_gitlab_takes_the_policy_from_the_target(repository: Repository, tmp_path: Path) -> None:
    """In a merge request the target branch decides, and both reports are written all the same."""
    workspace = clone(repository, "change", 1)
    done = run("gitlab", workspace.folder, tmp_path / "temp", CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main")
    assert done.returncode == 1, done.stdout
    assert "KD402" in {row["check_name"][:5] for row in _issues(workspace)}
    assert (workspace.folder / "kdoctor.xml").is_file()


def _issues(workspace: Repository) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((workspace.folder / "gl-code-quality-report.json").read_text())
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_push_is_judged_by_its_own_policy(service: str, repository: Repository, tmp_path: Path) -> None:
    """The control: the same change without a base passes by the policy that it brings."""
    workspace = clone(repository, "change", 1)
    done = run(service, workspace.folder, tmp_path / "temp")
    assert done.returncode == 0, done.stdout
