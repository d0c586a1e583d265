"""Where kdoctor is used: the Action, the pre-commit hook, its own image, shell completion."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.cli.test_gate import OLD_NODE, Project

ROOT = Path(__file__).resolve().parents[2]


def loaded(name: str) -> Any:
    return YAML(typ="safe").load((ROOT / name).read_text())


class Runner:
    """What GitHub gives the Action's step: a checkout with a base commit, variables, a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.temp = folder / "checkout", folder / "temp"
        self.checkout.mkdir()
        self.output = folder / "output"
        self.project = Project(self.checkout)
        program = self.temp / "kdoctor" / "bin" / "kdoctor"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {shlex.quote(sys.executable)} -m doctor "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.git("init", "--quiet")
        self.base = self.commit()

    def git(self, *arguments: str) -> str:
        """A git command in the checkout."""
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        run = subprocess.run(["git", *who, *arguments], cwd=self.checkout, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    def commit(self) -> str:
        """Everything in the checkout as a commit; its name."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "state")
        return self.git("rev-parse", "HEAD")

    def step(self, **inputs: str) -> subprocess.CompletedProcess[str]:
        """The Action's step with these inputs (PATH, POLICY, …)."""
        given = {f"KDOCTOR_ACTION_{name}": value for name, value in {"PATH": ".", **inputs}.items()}
        env = {
            **os.environ,
            **given,
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(self.output),
            "KDOCTOR_OFFLINE": "1",
        }
        command = ["bash", str(ROOT / "ci" / "action.sh")]
        return subprocess.run(
            command, cwd=self.checkout, env=env, capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A checkout whose gate passes."""
    return Runner(tmp_path)


def test_the_action_passes_and_fails_with_the_gate(runner: Runner) -> None:
    """Its exit code is the gate's, and stands in its output."""
    run = runner.step(BASE=runner.base)
    assert run.returncode == 0, run.stdout + run.stderr
    runner.project.write("Dockerfile", "FROM registry.example/app:1\n")
    runner.commit()
    run = runner.step(BASE=runner.base)
    assert run.returncode == 1
    assert "KD403" in run.stdout
    assert runner.output.read_text().splitlines() == ["exit-code=0", "exit-code=1"]


def test_a_change_cannot_switch_the_gate_off(runner: Runner) -> None:
    """In a pull request policy, machines and images are the base branch's, whatever the change makes of them."""
    runner.project.write("Dockerfile", "FROM registry.example/app:1\n")
    runner.project.write("kdoctor.toml", 'ignore = ["KD"]\ndeny = []\n')
    runner.commit()
    assert runner.step().returncode == 0
    run = runner.step(BASE=runner.base)
    assert run.returncode == 1
    assert "KD403" in run.stdout


def test_the_base_machines_count(runner: Runner) -> None:
    """A node that the base branch knows to be too old is not mended by the change."""
    runner.project.write("nodes/prod-02.json", OLD_NODE)
    base = runner.commit()
    (runner.checkout / "nodes" / "prod-02.json").unlink()
    runner.commit()
    assert runner.step(BASE=base).returncode == 1


def test_the_first_policy_is_its_own_judge(runner: Runner) -> None:
    """A base branch without a policy is said in a warning."""
    (runner.checkout / "kdoctor.toml").unlink()
    base = runner.commit()
    runner.project.write("kdoctor.toml", 'images = ["app.json"]\n')
    runner.commit()
    run = runner.step(BASE=base)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "::warning title=kdoctor::the base branch has no policy" in run.stdout


@pytest.mark.parametrize(
    "inputs",
    [
        {"PATH": "no such; touch injected"},
        {"POLICY": "../kdoctor.toml"},
        {"POLICY": "/etc/passwd"},
        {"POLICY": "$(touch injected)"},
        {"CANARY": "true; touch injected"},
        {"BASE": "HEAD; touch injected"},
        {"BASE": "--upload-pack=touch injected"},
        {"FAIL_ON": "$(touch injected)"},
        {"PYTHON": "`touch injected`"},
        {"SARIF": "x/y; touch injected"},
    ],
)
def test_inputs_are_words_and_never_commands(runner: Runner, inputs: dict[str, str]) -> None:
    """Whatever stands in an input ends in an error or in kdoctor's arguments; nothing of it is run."""
    run = runner.step(**inputs)
    assert run.returncode in (2, 3)
    assert not list(runner.checkout.rglob("injected*"))


def test_the_action_interpolates_nothing_into_its_script() -> None:
    """Expressions stand in ``env`` and ``outputs`` only; every input reaches the script as a variable."""
    action = loaded("action.yml")
    (step,) = action["runs"]["steps"]
    assert "${{" not in step["run"]
    passed = {value for value in step["env"].values() if "inputs." in value}
    assert passed == {f"${{{{ inputs.{name} }}}}" for name in action["inputs"]}
    read = set(re.findall(r"KDOCTOR_ACTION_\w+", (ROOT / "ci" / "action.sh").read_text())) - {"KDOCTOR_ACTION_"}
    assert read == set(step["env"])


def test_the_hook_judges_what_would_be_committed(tmp_path: Path) -> None:
    """The hook's own command line passes on pinned files, fails on others, and asks no network."""
    (hook,) = loaded(".pre-commit-hooks.yaml")
    assert not hook["pass_filenames"]
    command = [sys.executable, "-m", "doctor", *shlex.split(hook["entry"])[1:]]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    (tmp_path / "Dockerfile").write_text("FROM registry.example/app:1@sha256:" + "1" * 64 + "\n")
    assert subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=False).returncode == 0
    (tmp_path / "requirements.txt").write_text("tensorflow\n")
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "requirements.txt:1:" in run.stdout
    wanted = re.compile(hook["files"])
    assert all(map(wanted.search, ["Dockerfile", "docker/dev.Dockerfile", "requirements-dev.txt", "k8s/app.yaml"]))
    assert not wanted.search("train.py")


def test_the_own_image_is_not_root_and_pins_what_it_can(tmp_path: Path) -> None:
    """kdoctor's verdict on its own Dockerfile: nothing at warning level; a user without rights runs it."""
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER 65532:65532$", text, re.MULTILINE)
    (tmp_path / "Dockerfile").write_text(text)
    command = [sys.executable, "-m", "doctor", "scan", "--offline", "--select", "KD4", "--fail-on", "warning"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("shell", "line", "expected"),
    [
        ("bash", {"COMP_WORDS": "kdoctor ga", "COMP_CWORD": "1"}, "gate"),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "kdoctor gate --po"}, "--policy"),
        ("fish", {"_TYPER_COMPLETE_ARGS": "kdoctor in", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}, "init"),
    ],
)
def test_shell_completion(shell: str, line: dict[str, str], expected: str) -> None:
    """What the scripts of --show-completion ask for is answered: commands and options."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "_KDOCTOR_COMPLETE": f"complete_{shell}", **line}
    command = [sys.executable, "-m", "doctor"]
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, expected in run.stdout) == (0, True)
