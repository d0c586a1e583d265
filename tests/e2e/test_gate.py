"""The gate and compare with the canary in real TensorFlow environments: accepted, drifted, crashed, interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.e2e.canary_patches import write_patch

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
POLICY = 'reference = "kdoctor-reference.json"\nmachines = ["this"]\n'


@pytest.fixture(scope="module")
def python(tensorflow_environments: dict[str, Path], lacking: Callable[[str], NoReturn]) -> Path:
    """An interpreter with TensorFlow."""
    if not tensorflow_environments:
        lacking("no TensorFlow environment in KDOCTOR_TF_ENVS: .ci/environments builds them")
    return tensorflow_environments[sorted(tensorflow_environments)[0]]


@pytest.fixture(scope="module")
def accepted(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose reference was accepted by the gate itself."""
    folder = tmp_path_factory.mktemp("accepted")
    (folder / "kdoctor.toml").write_text(POLICY)
    run = kdoctor("gate", "--update-reference", "--reason", "first", "--by", "tester", "--python", python, cwd=folder)
    assert run.returncode == 0, run.stderr
    assert "accepted TensorFlow" in run.stdout
    document = json.loads((folder / "kdoctor-reference.json").read_text())
    assert (document["kind"], document["accepted_by"], document["reason"]) == ("kdoctor/reference", "tester", "first")
    assert document["record"]["kind"] == "kdoctor/canary"
    return folder


@pytest.fixture
def project(accepted: Path, tmp_path: Path) -> Path:
    """A copy of that project."""
    shutil.copytree(accepted, tmp_path / "project")
    return tmp_path / "project"


def environ(patch: Path | None = None, **more: str) -> dict[str, str]:
    """The environment of a run; ``patch``: a folder whose sitecustomize.py changes the canary's process."""
    paths = [str(ROOT), *([str(patch)] if patch is not None else [])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}


def kdoctor(*arguments: str | Path, cwd: Path, patch: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doctor", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environ(patch), capture_output=True, text=True, timeout=600, check=False
    )


def gate(project: Path, python: Path, patch: str | None = None) -> tuple[int, dict[str, Any]]:
    """Exit code and report of the gate, with the canary's environment patched."""
    folder = None
    if patch is not None:
        folder = project.parent / "patch"
        folder.mkdir()
        write_patch(folder, patch)
    run = kdoctor("gate", "--offline", "--python", python, "--format", "json", cwd=project, patch=folder)
    assert run.stdout, run.stderr
    return run.returncode, json.loads(run.stdout)


def test_the_accepted_environment_passes(project: Path, python: Path) -> None:
    """The same environment again: bit for bit, exit 0, and the record's class stands beside the verdict."""
    code, report = gate(project, python)
    assert (code, report["verdict"]) == (0, "pass"), report["notes"]
    assert [(row["verdict"], row["drift"], row["accuracy"]) for row in report["cases"]] == [
        ("pass", "bitwise", "equivalent")
    ]


def test_a_reference_is_accepted_before_the_policy_names_one(python: Path, tmp_path: Path) -> None:
    """The file gets the name that init proposes, beside the policy; what is left to do is said."""
    arguments = ("--update-reference", "--reason", "first", "--seeds", "2", "--python", python)
    run = kdoctor("gate", *arguments, cwd=tmp_path)
    assert (run.returncode, (tmp_path / "kdoctor-reference.json").is_file()) == (0, True), run.stderr
    assert 'add reference = "kdoctor-reference.json" to the policy' in run.stderr


def test_drift_fails_and_names_the_initializer(project: Path, python: Path) -> None:
    """Dense's default initializer is changed on purpose: exit 1 by KD802, which names it from and to."""
    code, report = gate(project, python, "initializer")
    assert (code, report["verdict"]) == (1, "fail")
    assert "KD802" in report["cases"][0]["against"]
    cause = next(cause for cause in report["drift"]["causes"] if cause["what"] == "initializer")
    assert "glorot_uniform" in cause["from"]
    assert "he_normal" in cause["to"]


def test_a_canary_that_crashes_leaves_the_gate_incomplete(project: Path, python: Path) -> None:
    """TensorFlow dies by a signal: no verdict on drift, exit 3, and the note says of what it died."""
    code, report = gate(project, python, "crash")
    assert (code, report["verdict"]) == (3, "incomplete")
    assert any(note["what"] == "canary" and "SIGILL" in note["why"] for note in report["notes"])


def test_an_interpreter_without_tensorflow_leaves_the_gate_incomplete(project: Path) -> None:
    """There is nothing to run: exit 3, one clear note."""
    empty = project.parent / "empty"
    venv.create(empty)
    code, report = gate(project, empty / "bin" / "python")
    assert (code, report["verdict"]) == (3, "incomplete")
    assert [note["what"] for note in report["notes"]].count("canary") == 1


def test_a_reference_of_another_canary_is_not_comparable(project: Path, python: Path) -> None:
    """Its numbers would mean nothing: KD806, exit 3."""
    from doctor.canary.record_file import sealed

    file = project / "kdoctor-reference.json"
    document = json.loads(file.read_text())
    record = {**document["record"], "canary": {"version": 1, "sha256": "0" * 64}}
    del record["checksum"]
    file.write_text(json.dumps({**document, "record": sealed(record)}))
    code, report = gate(project, python)
    assert (code, report["verdict"]) == (3, "incomplete")
    assert "KD806" in {finding["code"] for finding in report["findings"]}


def patched_twin(python: Path, folder: Path, patch: str) -> Path:
    """A virtual environment with the packages of ``python`` and a patch of its own."""
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True, capture_output=True)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    own = next(folder.glob("lib/python3*/site-packages"))
    (own / "twin.pth").write_text(packages + "\n")
    write_patch(own, patch)
    return folder / "bin" / "python"


def test_compare_tells_the_patched_from_the_unpatched(python: Path, tmp_path: Path) -> None:
    """Two environments of the same packages, one patched on purpose: exit 1, and the initializer is named."""
    other = patched_twin(python, tmp_path / "patched", "initializer")
    run = kdoctor("compare", f"python:{python}", f"python:{other}", "--format", "json", cwd=tmp_path)
    report = json.loads(run.stdout)
    assert (run.returncode, report["verdict"]) == (1, "fail"), run.stderr
    found = next(finding for finding in report["findings"] if finding["code"] == "KD802")
    assert "glorot_uniform" in found["message"]
    assert "he_normal" in found["message"]
    assert report["drift"]["class"] == "default-changed"
    assert set(report["canary"]) == {"a", "b"}


def test_compare_of_two_saved_records_runs_nothing(accepted: Path, tmp_path: Path) -> None:
    """Records and references compare without an interpreter: the same one twice is bitwise."""
    record = accepted / "kdoctor-reference.json"
    shutil.copy(record, tmp_path / "b.json")
    started = time.monotonic()
    run = kdoctor("compare", record, tmp_path / "b.json", "--format", "json", cwd=tmp_path)
    report = json.loads(run.stdout)
    assert (run.returncode, report["drift"]["class"]) == (0, "bitwise")
    assert report["changes"] == []
    assert time.monotonic() - started < 5


def test_compare_with_one_side_that_crashes(python: Path, tmp_path: Path) -> None:
    """The facts are compared all the same; the drift could not be looked at: exit 3."""
    other = patched_twin(python, tmp_path / "patched", "crash")
    run = kdoctor("compare", f"python:{python}", f"python:{other}", "--format", "json", cwd=tmp_path)
    report = json.loads(run.stdout)
    assert (run.returncode, report["verdict"], report["drift"]) == (3, "incomplete", None)
    assert any("SIGILL" in note["why"] for note in report["notes"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_canaries_leave_nothing_behind(number: int, python: Path, tmp_path: Path) -> None:
    """Ctrl-C during the first side's canary: 130 (or 143), no report, no child process, no private folder."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    output = tmp_path / "report.json"
    command = [sys.executable, "-m", "doctor", "compare", f"python:{python}", f"python:{python}"]
    child = subprocess.Popen(
        [*command, "--format", f"json={output}"],
        env=environ(TMPDIR=str(scratch)),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 -- a background job has it ignored
    )
    for _ in range(1800):
        if list(scratch.glob("kdoctor-*")):
            break
        time.sleep(0.05)
    else:
        pytest.fail("the canary did not start")
    time.sleep(0.5)
    inside = _processes_of(scratch)
    child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert out == ""
    assert "Traceback" not in err
    assert inside
    time.sleep(0.5)
    assert not _processes_of(scratch)
    assert list(scratch.iterdir()) == []
    assert not output.exists()


def _processes_of(scratch: Path) -> list[int]:
    """The processes whose private folder lies in ``scratch``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                told = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"TMPDIR={scratch}/kdoctor-".encode() in told:
                found.append(int(entry.name))
    return found
