"""The history works from an installed wheel: its migrations travel with it."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from doctor.model.wire import encode_snapshot
from tests.store import runs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the wheel in it; its libraries are those of the tests."""
    out, folder = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("venv") / "env"
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next((folder / "lib").glob("python*/site-packages"))
    with zipfile.ZipFile(next(out.glob("*.whl"))) as wheel:
        wheel.extractall(packages)
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()) + "\n")  # behind the wheel's own files
    return folder / "bin" / "python"


def test_a_run_is_recorded_and_listed_by_the_wheel(installed: Path, tmp_path: Path) -> None:
    """From an empty folder, with no checkout near: the tables are made, the run is there, and the history is whole."""
    (tmp_path / "node.json").write_bytes(encode_snapshot(runs.environment()))
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env = {**kept, "KDOCTOR_HISTORY": str(tmp_path / "history.db")}

    def kdoctor(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(installed), "-m", "doctor", *words]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    where = [str(installed), "-c", "import doctor.store.migrations as m; print(m.__file__)"]
    place = subprocess.run(where, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout
    assert Path(place.strip()).is_relative_to(installed.parents[1])
    done = kdoctor("check", "node.json", "--record", "--tag", "wheel")
    assert "recorded as run 1" in done.stderr
    listed = json.loads(kdoctor("history", "list", "--tag", "wheel", "--format", "json").stdout)["runs"]
    assert [(run["kind"], run["keras"]) for run in listed] == [("check", "2.15.0")]
    checked = kdoctor("history", "check")
    assert checked.returncode == 0, checked.stdout
    assert "1 run, 1 environment" in checked.stdout
