"""``kdoctor pin`` as a user meets it: streams, exit codes, hostile names, and a kill at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pin.support import A

COMMAND = [sys.executable, "-m", "doctor", "pin"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
PINNED = f"FROM python:3.12@{A}\n"


def kdoctor(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own, from this folder."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env={**ENVIRONMENT, **env}, capture_output=True, timeout=120, check=False
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one image, and a map with its digest beside it."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "Dockerfile").write_text("FROM python:3.12\n")
    (tmp_path / "map.json").write_text(json.dumps({"python:3.12": A}))
    return root


def test_a_diff_by_default(project: Path) -> None:
    """The diff alone stands on stdout, exit 0, and nothing is written; it applies as it is."""
    run = kdoctor("--digests", "../map.json", cwd=project)
    assert run.returncode == 0
    assert (project / "Dockerfile").read_text() == "FROM python:3.12\n"
    assert b"1 image to pin, 0 that cannot be" in run.stderr
    subprocess.run(["git", "apply", "-"], input=run.stdout, cwd=project, check=True)
    assert (project / "Dockerfile").read_text() == PINNED


def test_check_then_write(project: Path) -> None:
    """--check ends with 1 while something would change; --write says so on stderr only; then there is nothing left."""
    assert kdoctor("--check", "--digests", "../map.json", cwd=project).returncode == 1
    run = kdoctor("--write", "--digests", "../map.json", cwd=project)
    assert (run.returncode, run.stdout) == (0, b"")
    assert (project / "Dockerfile").read_text() == PINNED
    run = kdoctor("--check", "--digests", "../map.json", cwd=project)
    assert (run.returncode, run.stdout) == (0, b"")


def test_a_lock_of_nothing_is_not_said_to_be_up_to_date(project: Path) -> None:
    """Where no tag could be looked up there is no file, and the last line says so."""
    run = kdoctor("--lock", "--offline", cwd=project)
    assert run.stderr.endswith(b"kdoctor.lock: not written: no tag could be looked up\n")
    assert not (project / "kdoctor.lock").exists()
    (project / "Dockerfile").write_text("FROM scratch\n")
    assert b"kdoctor.lock: not written: no image is used by tag\n" in kdoctor("--lock", "--offline", cwd=project).stderr


def test_what_cannot_be_pinned(project: Path) -> None:
    """--write ends with 1 and one line a reason, also under -q; a diff ends with 0 all the same."""
    (project / "Dockerfile").write_text("FROM python:3.12\nFROM nosuch:1\n")
    why = b"Dockerfile:2: nosuch:1: not pinned: nosuch:1 is not in ../map.json\n"
    assert kdoctor("--digests", "../map.json", cwd=project).returncode == 0
    run = kdoctor("-q", "--write", "--digests", "../map.json", "--offline", cwd=project)
    assert (run.returncode, run.stderr) == (1, why)


def test_offline_by_the_environment(project: Path) -> None:
    """KDOCTOR_OFFLINE holds here as everywhere; --check cannot tell then, exit 3."""
    run = kdoctor("--check", cwd=project, KDOCTOR_OFFLINE="1")
    assert run.returncode == 3
    assert b"was not asked about: --offline" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("none",), 2), (("--digests", "none"), 2), (("--write", "--check"), 2), (("--build-arg", "NOT_SET_ANYWHERE"), 2)],
)
def test_usage(project: Path, arguments: tuple[str, ...], code: int) -> None:
    """One line that names what is wrong, exit 2."""
    run = kdoctor(*arguments, cwd=project)
    assert run.returncode == code
    assert run.stderr.startswith(b"kdoctor: ")
    assert run.stderr.count(b"\n") == 1


def test_nothing_to_pin(tmp_path: Path) -> None:
    """A folder without images is fine."""
    run = kdoctor("--check", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, b"")


def test_hostile_text_does_not_reach_a_log(project: Path) -> None:
    """Names and context lines that would command a terminal or a CI runner are shown as escapes under --check."""
    hostile = "# \x1b[2J\n::error::x\n# ##[error]y\nFROM python:3.12\nFROM ::warning::\x1b[31m:1\n"
    (project / "Dockerfile").write_text(hostile)
    run = kdoctor("--check", "--digests", "../map.json", cwd=project)
    for stream in (run.stdout, run.stderr):
        assert b"\x1b" not in stream
        assert b"##[error]" not in stream
        assert not any(line.lstrip().startswith(b"::") for line in stream.splitlines())
    assert b"\\x1b" in run.stdout


def test_the_command_imports_no_more_than_it_needs(project: Path) -> None:
    """Neither the engine's SDK nor a framework; no HTTP library where nobody is asked."""
    code = "import sys, doctor.cli as c\ntry: c.main(sys.argv[1:])\nfinally: print(*sys.modules, file=sys.stderr)"
    run = subprocess.run(
        [sys.executable, "-c", code, "pin", "--offline"], cwd=project, env=ENVIRONMENT, capture_output=True, check=False
    )
    modules = set(run.stderr.decode().split())
    assert not modules & {"docker", "tensorflow", "numpy", "sqlalchemy", "requests", "rich", "ruamel.yaml"}


def test_an_anchor_that_is_used_again(project: Path) -> None:
    """YAML allows it, the later one counts, and no library's warning stands on stderr."""
    (project / "Dockerfile").unlink()
    text = "x: &a node:1\ny: &a python:3.12\nservices:\n  a:\n    image: *a\n"
    (project / "compose.yml").write_text(text)
    run = kdoctor("--write", "-q", "--digests", "../map.json", cwd=project)
    assert (run.returncode, run.stderr) == (0, b"")
    assert (project / "compose.yml").read_text() == text.replace("3.12", f"3.12@{A}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_while_it_writes(tmp_path: Path, number: signal.Signals) -> None:
    """Every file is the old or the new one, whole; after a signal that can be handled nothing else lies about."""
    root = tmp_path / "project"
    names = [f"d{i:03}/Dockerfile" for i in range(400)]
    for name in names:
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("FROM python:3.12\n")
    (tmp_path / "map.json").write_text(json.dumps({"python:3.12": A}))
    process = subprocess.Popen(
        [*COMMAND, "--write", "--digests", "../map.json"], cwd=root, env=ENVIRONMENT, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and (root / names[5]).stat().st_size < 30:
        time.sleep(0.001)
    process.send_signal(number)
    code = process.wait(60)
    texts = [(root / name).read_text() for name in names]
    assert set(texts) <= {"FROM python:3.12\n", PINNED}
    assert texts[0] == PINNED
    if code != 0:  # it may have been done before the signal came
        assert code == {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}[number]
    if number != signal.SIGKILL:
        assert not list(root.rglob(".Dockerfile*"))
