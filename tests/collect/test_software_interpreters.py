"""Run mode on every CPython from 3.6 that this machine has, each with a venv of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.collect.software_support import agree, dist_info, environment, normal_start, put, run, static

pytestmark = pytest.mark.interpreters


def interpreters() -> list[str]:
    """Pythons named in KDOCTOR_TEST_PYTHONS (separated by ":"), else pyenv's and those on PATH, one of each release."""
    named = [p for p in os.environ.get("KDOCTOR_TEST_PYTHONS", "").split(":") if p]
    if not named:
        roots = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))]
        if pyenv := shutil.which("pyenv"):
            said = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
            roots += [Path(said)] if said else []
        for root in roots:
            named += [str(path) for path in sorted(root.glob("versions/3.*/bin/python3"))]
        named += [path for minor in range(6, 15) if (path := shutil.which(f"python3.{minor}"))]
    found: dict[str, str] = {}
    for path in named:
        try:
            command = [path, "-IS", "-c", "import sys; print(sys.version)"]
            done = subprocess.run(command, capture_output=True, timeout=30, check=False)
        except OSError:
            continue
        match = re.match(rb"3\.(\d+)\.", done.stdout)
        if match and int(match.group(1)) >= 6:
            found.setdefault(match.group(1).decode(), path)
    return [found[minor] for minor in sorted(found, key=int)]


PYTHONS = interpreters() or [""]


@pytest.mark.parametrize("base", PYTHONS)
def test_every_python_runs_the_collector_and_agrees_with_it(base: str, tmp_path: Path) -> None:
    """What run mode and static mode find in a venv of that Python is what its normal start finds."""
    if not base:
        pytest.skip("no CPython found: set KDOCTOR_TEST_PYTHONS")
    command = [base, "-m", "venv", "--without-pip", str(tmp_path / "env")]
    made = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if made.returncode != 0:
        pytest.skip(f"{base} cannot make a venv: {made.stderr.decode(errors='replace')[-200:]}")
    python = tmp_path / "env/bin/python"
    site = next((tmp_path / "env/lib").glob("python*/site-packages"))
    put(site, dist_info(".", "Some.Thing", "1.2"))
    put(tmp_path / "extra", dist_info(".", "further", "5"))
    environ = environment(PYTHONPATH=str(tmp_path / "extra"))
    said = normal_start(python, environ)
    for document in (run(python, environ), static(python, environ)):
        agree(document, said)
        assert {p["name"] for p in document["software"]["packages"]} == {"some-thing", "further"}
        assert document["software"]["python"]["implementation"] == "cpython"
        assert document["software"]["python"]["bits"] == 64


@pytest.mark.parametrize("base", PYTHONS)
def test_a_base_interpreter_agrees_with_itself(base: str) -> None:
    """The same without a venv: the base's own site-packages, and its exact version from its files alone."""
    if not base:
        pytest.skip("no CPython found: set KDOCTOR_TEST_PYTHONS")
    said = normal_start(base)
    agree(run(base), said)
    agree(static(base, environment()), said)
