"""An engine that dies, lies or falls silent half-way through an export: one clear line, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from doctor.errors import TargetError
from doctor.io import containers
from doctor.targets import image
from tests.conftest import ROOT
from tests.targets.fake_engine import FakeEngine, serve
from tests.targets.tars import symlink, tar

SITE = "usr/lib/python3.11/site-packages"
EXPORT = tar(
    ("etc/os-release", b"ID=debian\nVERSION_ID=12\n"),
    ("usr/bin/python3.11", b"no ELF file"),
    symlink("usr/bin/python3", "python3.11"),
    ("usr/lib/python3.11/os.py", b""),
    (f"{SITE}/numpy-1.26.4.dist-info/METADATA", b"Name: numpy\nVersion: 1.26.4\n"),
    ("usr/share/large", os.urandom(900_000)),
    (f"{SITE}/keras-2.15.0.dist-info/METADATA", b"Name: keras\nVersion: 2.15.0\n"),
)
BOUNDARY = EXPORT.index(b"usr/share/large")  # between two members: what came until here is a tar without an end


def run_in(command: list[str], host: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "tmp").mkdir(exist_ok=True)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DOCKER_HOST": host, "TMPDIR": str(folder / "tmp")}
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_an_export_that_is_whole(kdoctor: list[str], tmp_path: Path) -> None:
    """The fake is a working engine: where nothing goes wrong, its image is read, and its container is removed."""
    engine = FakeEngine(EXPORT)
    with serve(engine, tmp_path / "socket") as host:
        run = run_in(kdoctor, host, tmp_path, "snapshot", "image:app:1")
    assert run.returncode == 0, run.stderr
    assert '"keras"' in run.stdout
    assert not engine.containers


@pytest.mark.parametrize(
    ("how", "cut", "words"),
    [
        ("drop", None, "broke off"),
        ("drop", BOUNDARY, "broke off"),
        ("short", None, "broke off"),
        ("short", BOUNDARY, "broke off"),
        ("clean", None, "without the mark of its end"),
        ("clean", BOUNDARY, "without the mark of its end"),
        ("clean", 0, "without the mark of its end"),
        ("garbage", None, "no tar header"),
        ("message", None, "without the mark of its end"),
        ("message", BOUNDARY, "ends in the middle"),
        ("refuse", None, "layer does not exist"),
        ("nothing", None, "broke off"),
    ],
)
def test_an_export_that_is_not(kdoctor: list[str], tmp_path: Path, how: str, cut: int | None, words: str) -> None:
    """Exit code 3, one line that says what happened to which image, no snapshot, no container, no temporary file."""
    engine = FakeEngine(EXPORT, how, cut)
    with serve(engine, tmp_path / "socket") as host:
        run = run_in(kdoctor, host, tmp_path, "snapshot", "image:app:1", "-o", "out.json")
    assert run.returncode == 3
    assert words in run.stderr
    assert "app:1" in run.stderr or "kdoctor-" in run.stderr
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "out.json").exists()
    assert not engine.containers
    assert not list((tmp_path / "tmp").iterdir())


def test_a_scan_goes_on_with_the_other_targets(kdoctor: list[str], tmp_path: Path) -> None:
    """The image is named as not looked at and the exit code is 3; the archive beside it is judged."""
    with serve(FakeEngine(EXPORT, "drop"), tmp_path / "socket") as host:
        words = ("scan", "--offline", "--image", "app:1", "--python", "python3", "--fail-on", "never")
        run = run_in(kdoctor, host, tmp_path, *words)
    assert run.returncode == 3
    assert "app:1" in run.stdout
    assert "broke off" in run.stdout
    assert "passed" in run.stdout


def test_an_export_that_is_cut_off_is_not_remembered(kdoctor: list[str], tmp_path: Path) -> None:
    """What was read until the engine died is not kept: the next look reads all of it."""
    engine = FakeEngine(EXPORT, "drop")
    with serve(engine, tmp_path / "socket") as host:
        assert run_in(kdoctor, host, tmp_path, "snapshot", "image:app:1").returncode == 3
        engine.how = "whole"
        run = run_in(kdoctor, host, tmp_path, "snapshot", "image:app:1")
    assert run.returncode == 0
    assert '"keras"' in run.stdout


def test_an_engine_that_falls_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pieces there is a limit of time; what is left behind is removed without waiting as long again."""
    monkeypatch.setattr(containers, "SECONDS", 1.0)
    engine = FakeEngine(EXPORT, "stall")
    with serve(engine, tmp_path / "socket") as host:
        connection = containers.Containers({"DOCKER_HOST": host})
        started = time.monotonic()
        source = image.find("app:1", None, "never", connection, None)
        with pytest.raises(TargetError, match="broke off: timed out"):
            image.read(source, lambda _more: None)
        connection.close()
    assert time.monotonic() - started < 10
    assert not engine.containers
