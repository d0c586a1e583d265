"""A GitHub runner's part: the steps of ``action.yml`` run by bash, with inputs and event in their places."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = YAML(typ="safe").load((ROOT / "action.yml").read_text())
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass
class Run:
    """What a run of the action came to."""

    code: int
    log: str
    output: str


@dataclass
class Runner:
    """A runner with a workspace; ``temp`` is its RUNNER_TEMP."""

    workspace: Path
    temp: Path
    environ: dict[str, str] = field(default_factory=dict)

    def use_checkout(self) -> None:
        """Put a kdoctor in place that runs this checkout, so that nothing has to be installed."""
        program = self.temp / "kdoctor" / "bin" / "kdoctor"
        program.parent.mkdir(parents=True)
        lines = ["#!/bin/sh", f"export PYTHONPATH={shlex.quote(str(ROOT))}"]
        program.write_text("\n".join([*lines, f'exec {shlex.quote(sys.executable)} -m doctor "$@"\n']))
        program.chmod(0o755)

    def run(self, base: str = "", **inputs: str) -> Run:
        """Run the action with these inputs in a pull request against the commit ``base`` (a push without one)."""
        known = {f"inputs.{name}": str(one.get("default", "")) for name, one in ACTION["inputs"].items()}
        known |= {f"inputs.{name.replace('_', '-')}": value for name, value in inputs.items()}
        known["github.event.pull_request.base.sha"] = base
        output = self.temp / "output"
        output.write_text("")
        log, code = "", 0
        for step in ACTION["runs"]["steps"]:
            env = {name: EXPRESSION.sub(lambda m: known[m[1]], text) for name, text in step["env"].items()}
            env |= {"GITHUB_ACTION_PATH": str(ROOT), "RUNNER_TEMP": str(self.temp), "GITHUB_OUTPUT": str(output)}
            bash = [step["shell"], "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            done = subprocess.run(
                bash,
                cwd=self.workspace,
                env={**os.environ, "CI": "true", **self.environ, **env},
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            log += done.stdout + done.stderr
            code = done.returncode
            if code:
                break
        return Run(code, log, output.read_text())


@dataclass
class Repository:
    """A git repository of a test's own."""

    folder: Path

    def git(self, *arguments: str) -> str:
        """Run git in it and return what it says."""
        plain = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
        command = ["git", *who, "-C", str(self.folder), *arguments]
        return subprocess.run(command, env=plain, capture_output=True, text=True, check=True).stdout.strip()

    def write(self, **files: str | None) -> str:
        """Commit these files (None removes one; ``__`` stands for a dot, ``___`` for a slash): the commit."""
        for word, text in files.items():
            path = self.folder / word.replace("___", "/").replace("__", ".")
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a change")
        return self.git("rev-parse", "HEAD")
