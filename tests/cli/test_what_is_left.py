"""A target that cannot be looked at costs its own facts: one clear line, exit code 3, and the rest in the report."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_commands import kdoctor

SCRIPTS = {
    "garbage": "cat >/dev/null; head -c 300 /dev/urandom",
    "killed": "kill -SEGV $$",
    "liar": 'cat >/dev/null; printf -- "----- BEGIN KDOCTOR SOFTWARE -----\\n{\\"software\\": 5}\\n'
    '----- END KDOCTOR SOFTWARE -----\\n"',
    "colours": 'cat >/dev/null; printf "\\033[31mred\\033]0;title\\007\\n" >&2; exit 1',
}
SAID = {
    "garbage": "answered something that is not the collector's document",
    "killed": "died by SIGSEGV",
    "liar": "answered something that is not the collector's document",
    "colours": "ended with exit status 1",
    "gone": "no such interpreter",
    "text": "cannot be started",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with an image that nobody pinned, and programs that are no Python."""
    (tmp_path / "Dockerfile").write_text("FROM python:latest\n")
    for name, body in {**{name: f"#!/bin/sh\n{body}\n" for name, body in SCRIPTS.items()}, "text": "hello\n"}.items():
        (tmp_path / name).write_text(body)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def scan(project: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON report; nothing on stderr, and nothing that acts on a terminal."""
    run = kdoctor("scan", *arguments, "--offline", "--format", "json", cwd=project)
    assert (run.stderr, "\x1b" in run.stdout) == ("", False)
    return run.returncode, json.loads(run.stdout)


@pytest.mark.parametrize("name", list(SAID))
def test_a_bad_interpreter_leaves_machine_and_project(project: Path, name: str) -> None:
    """What it did is told once; the machine is known, the project's image is judged, rules on software are skips."""
    code, report = scan(project, "--python", os.path.join(project, name))
    assert code == 3
    (note,) = [note["why"] for note in report["notes"]]
    assert SAID[name] in note
    assert [finding["code"] for finding in report["findings"]] == ["KD402"]
    skipped = {row["code"]: row["reason"] for row in report["skipped"]}
    assert skipped["KD305"].endswith("it could not be looked at")
    assert "KD105" in {row["code"] for row in (*report["passed"], *report["inapplicable"])}
    assert (report["verdict"], report["incomplete"]) == ("incomplete", True)


def test_an_image_that_cannot_be_had_leaves_the_project(project: Path) -> None:
    """Judged without this machine: it says nothing of where the image would run."""
    code, report = scan(project, "--image", "nobody/has:this")
    assert code == 3
    assert report["subjects"][0]["kind"] == "image"
    assert [finding["code"] for finding in report["findings"]] == ["KD402"]


def test_an_error_of_the_project_wins_over_what_could_not_be_looked_at(project: Path) -> None:
    """1 before 3: what is proven bad stays bad."""
    (project / "Dockerfile").write_text("FROM python:${NOTHING}\n")
    code, report = scan(project, "--python", os.path.join(project, "killed"))
    assert (code, report["verdict"], report["incomplete"]) == (1, "fail", True)


def test_a_log_that_is_not_there_leaves_everything_else(project: Path) -> None:
    """Named, and not to be had."""
    code, report = scan(project, "--log", "no.log")
    assert code == 3
    assert "no.log: the log cannot be read" in " ".join(note["why"] for note in report["notes"])
    assert "KD402" in [finding["code"] for finding in report["findings"]]


def test_lists_of_a_wrong_type_in_an_interpreter_s_answer_cost_themselves(project: Path) -> None:
    """An answer that is a document, with numbers where lists belong, is read as far as it is one."""
    (project / "odd").write_text(
        '#!/bin/sh\ncat >/dev/null; printf -- "----- BEGIN KDOCTOR SOFTWARE -----\\n'
        '{\\"software\\": {\\"packages\\": []}, \\"partial\\": 5, \\"derived\\": {}, \\"gaps\\": [7, {}]}\\n'
        '----- END KDOCTOR SOFTWARE -----\\n"\n'
    )
    (project / "odd").chmod(0o755)
    assert scan(project, "--python", os.path.join(project, "odd"))[0] == 0


def test_a_shim_on_path_is_named_by_the_python_that_it_starts(tmp_path: Path) -> None:
    """The header says which environment was looked at, not where the script lies that leads to it."""
    shim = tmp_path / "shims" / "python3"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    shim.chmod(0o755)
    variables = {"PATH": f"{shim.parent}:{os.environ['PATH']}", "VIRTUAL_ENV": "", "CONDA_PREFIX": ""}
    run = kdoctor("scan", "--offline", cwd=tmp_path, **variables)
    head = " ".join(run.stdout.split("\n\n")[0].split())
    if "kdoctor's own environment" in head:
        pytest.skip("TensorFlow is installed beside kdoctor here: that comes before PATH")
    assert f"python {Path(sys.executable).parent.parent} (" in head
    assert "python3 on PATH" in head
