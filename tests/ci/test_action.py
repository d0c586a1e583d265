"""The GitHub Action as a runner runs it: what it decides, by whose policy, and that no input becomes a command."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.ci.runner import ACTION, EXPRESSION, Repository, Run, Runner

PINNED = "FROM registry.example/app:1@sha256:" + "1" * 64 + "\n"
LOOSE = "FROM registry.example/app:latest\n"
POLICY = 'fail-on = "error"\noffline = true\n'
OFF = 'fail-on = "never"\ndeny = []\nignore = ["KD"]\noffline = true\n'


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository whose main branch has a policy and a pinned image."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    made = Repository(folder)
    made.git("init", "--quiet")
    made.write(Dockerfile=PINNED, kdoctor__toml=POLICY)
    return made


@pytest.fixture
def runner(repository: Repository, tmp_path: Path) -> Runner:
    """A runner in that repository, with this checkout's kdoctor installed."""
    temp = tmp_path / "runner temp"
    temp.mkdir()
    made = Runner(repository.folder, temp)
    made.use_checkout()
    return made


def test_no_step_writes_an_expression_into_its_script() -> None:
    """Inputs and the event reach bash as variables only, and each input that there is reaches it."""
    steps = ACTION["runs"]["steps"]
    assert all("${{" not in step["run"] for step in steps)
    used = {word for step in steps for text in step["env"].values() for word in EXPRESSION.findall(text)}
    assert used == {f"inputs.{name}" for name in ACTION["inputs"]} | {"github.event.pull_request.base.sha"}


def test_it_passes_and_says_so(runner: Runner) -> None:
    """A push: exit 0, the gate's line in the log, the code as an output."""
    run = runner.run()
    assert (run.code, run.output) == (0, "exit-code=0\n"), run.log
    assert "Gate passed" in run.log


def test_it_fails_with_annotations(runner: Runner, repository: Repository) -> None:
    """A tag that the policy denies: exit 1, an error at its line, and the code stands in the output all the same."""
    repository.write(Dockerfile=LOOSE)
    run = runner.run()
    assert (run.code, run.output) == (1, "exit-code=1\n")
    assert "::error file=Dockerfile,line=1" in run.log


def test_a_report_for_another_step(runner: Runner) -> None:
    """The input sarif names a file of the workspace."""
    assert runner.run(sarif="kdoctor.sarif").code == 0
    assert json.loads((runner.workspace / "kdoctor.sarif").read_text())["version"] == "2.1.0"


HOSTILE = [
    "$(touch pwned)`touch pwned`${IFS}*",
    "\"; touch pwned; '; touch pwned; \\",
    "x\ntouch pwned\n::add-path::/tmp\nexit-code=0",
    "--fail-on=never",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", ["path", "policy", "python", "canary", "fail_on"])
def test_a_hostile_input_is_a_word_that_means_nothing(name: str, text: str, runner: Runner) -> None:
    """It is refused, never run, never taken for an option, and cannot write an output of its own."""
    run = runner.run(**{name: text})
    assert run.code in (2, 3), run.log
    assert run.output in ("", f"exit-code={run.code}\n")
    assert not list(runner.workspace.parent.rglob("pwned"))
    assert "\n::add-path" not in run.log
    assert "Traceback" not in run.log


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_file_name_is_a_file_name(text: str, runner: Runner) -> None:
    """The report's file is called like that, or cannot be written; nothing is run."""
    run = runner.run(sarif=text)
    assert run.code in (0, 2), run.log
    assert not list(runner.workspace.parent.rglob("pwned"))
    assert "\n::add-path" not in run.log


@pytest.mark.parametrize("base", ["$(touch pwned)", "main; touch pwned", "--upload-pack=touch pwned", "HEAD", "0" * 39])
def test_a_base_that_is_no_commit_is_refused(base: str, runner: Runner) -> None:
    """Only a full commit id is taken from the event."""
    run = runner.run(base=base)
    assert (run.code, run.output) == (2, "")
    assert "the base commit is no commit" in run.log
    assert not list(runner.workspace.parent.rglob("pwned"))


CHANGES: dict[str, dict[str, str | None]] = {
    "weakened": {"kdoctor__toml": OFF},
    "removed": {"kdoctor__toml": None},
    "moved": {"kdoctor__toml": None, "pyproject__toml": "[tool.kdoctor]\n" + OFF},
    "beside": {"pyproject__toml": "[tool.kdoctor]\n" + OFF},
    "broken": {"kdoctor__toml": "fail-on = ["},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("named", ["", "kdoctor.toml"])
def test_the_author_of_a_change_cannot_switch_the_gate_off(
    change: str, named: str, runner: Runner, repository: Repository
) -> None:
    """Whatever the change does to the policy, the base branch's decides: exit 1 for its image without a digest."""
    base = repository.git("rev-parse", "HEAD")
    repository.write(Dockerfile=LOOSE, **CHANGES[change])
    run = runner.run(base=base, policy=named)
    assert run.code == 1, run.log
    assert "KD402" in run.log
    assert "the base branch has no policy" not in run.log


def test_a_weaker_policy_in_a_push_does_decide(runner: Runner, repository: Repository) -> None:
    """The control: without a base the project's own policy counts, so the change above would have passed."""
    repository.write(Dockerfile=LOOSE, **CHANGES["weakened"])
    assert runner.run().code == 0


def test_machines_and_reference_come_from_the_base_too(runner: Runner, repository: Repository) -> None:
    """A node that the base's policy names is read from the base: the change cannot swap it for a better one."""
    base = repository.write(
        kdoctor__toml='machines = ["nodes/*.json"]\nimages = ["app.json"]\n' + POLICY,
        nodes___old__json=_node("470.82.01", "11.4"),
        app__json=_image(),
    )
    repository.write(nodes___old__json=_node("535.104.05", "12.2"))
    run = runner.run(base=base)
    assert run.code == 1, run.log
    assert "KD102" in run.log


def _node(driver: str, cuda: str) -> str:
    machine = {
        "name": "prod",
        "os": "linux",
        "architecture": "x86_64",
        "pci_gpus": ["10de:20b0"],
        "gpus": [{"index": 0, "name": "NVIDIA A100-SXM4-40GB", "compute_capability": "8.0"}],
        "driver": {"present": True, "version": driver, "cuda_version": cuda},
    }
    return json.dumps({"schema": 1, "subject": {"kind": "host", "name": "prod"}, "machine": machine})


def _image() -> str:
    tensorflow = {"version": "2.15.0", "distribution": "tensorflow", "cuda_build": True, "cuda_version": "12.2"}
    return json.dumps(
        {
            "schema": 1,
            "subject": {"kind": "image"},
            "software": {"tensorflow": tensorflow, "cuda": {"compat_driver": False}},
        }
    )


def test_a_base_without_a_policy_is_said(runner: Runner, repository: Repository) -> None:
    """The change that brings the first policy is judged by it, with a warning."""
    base = repository.write(kdoctor__toml=None)
    repository.write(kdoctor__toml=POLICY)
    run = runner.run(base=base)
    assert run.code == 0, run.log
    assert "::warning title=kdoctor::the base branch has no policy" in run.log


def test_a_project_in_a_folder_of_the_repository(runner: Runner, repository: Repository) -> None:
    """The input path: the base's policy is looked for in the same folder."""
    base = repository.write(ml___kdoctor__toml=POLICY, ml___Dockerfile=PINNED)
    repository.write(ml___kdoctor__toml=OFF, ml___Dockerfile=LOOSE)
    run = runner.run(base=base, path="ml")
    assert run.code == 1, run.log
    assert "KD402" in run.log


def _merged(repository: Repository) -> tuple[str, str]:
    """A change that weakens the policy, merged as GitHub merges it for a pull request: base and merge commit."""
    base = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "--quiet", "-b", "change")
    repository.write(Dockerfile=LOOSE, **CHANGES["weakened"])
    repository.git("checkout", "--quiet", "--detach", base)
    repository.git("merge", "--quiet", "--no-ff", "--message", "merge", "change")
    merge = repository.git("rev-parse", "HEAD")
    repository.git("branch", "--force", "main", merge)
    return base, merge


def _shallow(repository: Repository, runner: Runner, depth: int, *, origin: bool) -> Run:
    base, merge = _merged(repository)
    clone = repository.folder.parent / "shallow"
    repository.git("clone", "--quiet", f"--depth={depth}", "--branch=main", f"file://{repository.folder}", str(clone))
    if not origin:
        Repository(clone).git("remote", "set-url", "origin", "file:///nowhere")
    runner.workspace = clone
    runner.environ = {"GITHUB_REF": "refs/pull/7/merge", "GITHUB_SHA": merge}
    return runner.run(base=base)


@pytest.mark.parametrize(("depth", "origin"), [(2, False), (1, True)], ids=["merge commit", "fetched"])
def test_a_shallow_clone(depth: int, origin: bool, runner: Runner, repository: Repository) -> None:
    """As actions/checkout leaves it: by the merge commit's first parent without any credentials, or fetched."""
    run = _shallow(repository, runner, depth, origin=origin)
    assert run.code == 1, run.log
    assert "KD402" in run.log


def test_a_clone_without_its_base_is_never_green(runner: Runner, repository: Repository) -> None:
    """No base commit, no credentials to fetch it: exit 2 with what to do."""
    run = _shallow(repository, runner, 1, origin=False)
    assert (run.code, run.output) == (2, "")
    assert "fetch-depth: 2" in run.log


@pytest.mark.e2e
@pytest.mark.skipif(os.environ.get("KDOCTOR_E2E") != "1", reason="asks a package registry: only with KDOCTOR_E2E=1")
def test_it_installs_itself_from_the_commit_that_the_workflow_names(repository: Repository, tmp_path: Path) -> None:
    """Nothing is put in place: the action makes its own environment out of its own folder."""
    temp = tmp_path / "temp"
    temp.mkdir()
    run = Runner(repository.folder, temp).run()
    assert run.code == 0, run.log
    asked = subprocess.run([temp / "kdoctor/bin/kdoctor", "--version"], capture_output=True, text=True, check=True)
    assert asked.stdout.startswith("kdoctor ")
