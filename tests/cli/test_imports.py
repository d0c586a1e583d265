"""What a command must not import: start-up has a budget, and the patient is never imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "tensorflow",
    "keras",
    "numpy",
    "docker",
    "requests",
    "pydantic",
    "sqlalchemy",
    "jinja2",
    "matplotlib",
    "pynvml",
}
PARSERS = {"ruamel", "hcl2", "lark", "docker_image"}
RUN = """
import json, sys
from doctor.cli import main
try:
    main(sys.argv[1:])
finally:
    print("modules:" + json.dumps(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def loaded(*arguments: str, cwd: Path) -> set[str]:
    """The top-level modules that are loaded when the command ends."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", RUN, *arguments]
    run = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    line = next(line for line in run.stderr.splitlines() if line.startswith("modules:"))
    return set(json.loads(line.removeprefix("modules:")))


@pytest.mark.parametrize(
    "arguments", [("--version",), ("--help",), ("scan", "--offline"), ("snapshot",), ("rule", "KD102")]
)
def test_nothing_heavy_is_imported(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """No command here needs a framework, the docker SDK without an engine, a database or a plotting library."""
    assert not loaded(*arguments, cwd=tmp_path) & (HEAVY | PARSERS)


def test_version_loads_neither_rules_nor_tables(tmp_path: Path) -> None:
    """--version is answered by the command line alone."""
    assert not loaded("--version", cwd=tmp_path) & {"msgspec", "packaging", "rich"}


def test_check_needs_nothing_but_the_model_and_the_rules(tmp_path: Path) -> None:
    """check does no I/O besides its files: no process, no network module."""
    (tmp_path / "a.json").write_text("{}")
    assert not loaded("check", "a.json", cwd=tmp_path) & (HEAVY | PARSERS | {"http", "ssl"})
