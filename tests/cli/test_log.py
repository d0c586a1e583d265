"""``kdoctor log`` and ``kdoctor scan --log`` as a user meets them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_commands import HEALTHY, kdoctor

ROOT = Path(__file__).resolve().parents[2]
TEXT = "Unable to register cuFFT factory: x\nLoaded runtime CuDNN library: 8.4.1 but source was compiled with: 8.6.0.\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with a harmless line and a fault."""
    path = tmp_path / "train.log"
    path.write_text(TEXT)
    return path


def test_a_log_by_itself(log: Path) -> None:
    """The fault is a finding, the harmless line a remark, and nothing of this machine enters."""
    found = kdoctor("log", log, "--no-machine", "--format", "json")
    report = json.loads(found.stdout)
    assert found.returncode == 1, found.stderr
    assert [f["code"] for f in report["findings"]] == ["KD204"]
    assert [row["harmless"] for row in report["log"]] == [True]
    assert report["notes"] == []


def test_with_the_machine_of_a_snapshot(log: Path, tmp_path: Path) -> None:
    """A complaint about the GPU is no finding on a machine that has none, and the screen says so."""
    (tmp_path / "laptop.json").write_text(json.dumps(HEALTHY))
    log.write_text("Could not find cuda drivers on your machine, GPU will not be used.\n")
    found = kdoctor("log", log, "--machine", tmp_path / "laptop.json", cwd=tmp_path)
    assert found.returncode == 0, found.stdout
    assert "not borne out: no NVIDIA hardware" in " ".join(found.stdout.split())


def test_scan_reads_logs_the_same_way(log: Path, tmp_path: Path) -> None:
    """The same finding with ``scan --log``."""
    found = kdoctor("scan", tmp_path, "--log", log, "--offline", "--format", "json", "--machine", _machine(tmp_path))
    assert "KD204" in [f["code"] for f in json.loads(found.stdout)["findings"]]


def _machine(folder: Path) -> Path:
    """A snapshot of a machine with a GPU that is meant to be used."""
    path = folder / "node.json"
    path.write_text(
        json.dumps({"machine": {"os": "linux", "gpus": [{"name": "Tesla T4", "compute_capability": "7.5"}]}})
    )
    return path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("absent.log",), "absent.log: the log cannot be read"),
        (("x.log", "--no-machine", "--machine", "y.json"), "leave --machine and --python out"),
    ],
)
def test_what_cannot_be_asked(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """One line, no traceback."""
    found = kdoctor("log", *arguments, cwd=tmp_path)
    assert found.returncode in (2, 3)
    assert words in found.stderr
    assert len(found.stderr.splitlines()) == 1


def _through_a_pipe(*arguments: str, **more: Any) -> subprocess.Popen[bytes]:
    """``kdoctor log`` that reads a pipe."""
    command = [sys.executable, "-m", "doctor", "log", "--no-machine", "--format", "json", *arguments]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, **pipes)


def test_tee_passes_the_stream_on_unchanged() -> None:
    """Colours, progress bars, NULs and bytes of no encoding come out on stderr as they went in."""
    data = b"\x1b[31m1/10\r2/10\r\n\0\xff\xfe no end " + TEXT.encode() + b"last, without an end"
    with _through_a_pipe("--tee") as running:
        out, echoed = running.communicate(data, timeout=60)
    assert echoed == data
    assert [f["code"] for f in json.loads(out)["findings"]] == ["KD204"]
    assert running.returncode == 1


def test_tee_shows_a_line_when_it_comes() -> None:
    """Nobody waits for the end of the training to see its first epoch."""
    with _through_a_pipe("--tee") as running:
        assert running.stdin is not None
        assert running.stderr is not None
        running.stdin.write(b"Epoch 1/100\n")
        running.stdin.flush()
        ready, _, _ = select.select([running.stderr], [], [], 60)
        assert ready
        assert os.read(running.stderr.fileno(), 100) == b"Epoch 1/100\n"
        running.communicate(timeout=60)


def test_the_reader_of_the_echo_may_leave() -> None:
    """The report comes all the same."""
    read_end, write_end = os.pipe()
    with _through_a_pipe("--tee", stderr=write_end) as running:
        os.close(write_end)
        os.close(read_end)
        out, _ = running.communicate(TEXT.encode() * 1000, timeout=60)
    assert [f["code"] for f in json.loads(out)["findings"]] == ["KD204"]


def test_an_interrupt_ends_the_training_and_not_its_diagnosis() -> None:
    """Ctrl-C reaches both sides of the pipe: what the program says last is read, and judged."""
    with _through_a_pipe("--tee") as running:
        assert running.stdin is not None
        assert running.stderr is not None
        running.stdin.write(b"Epoch 1/100\n")
        running.stdin.flush()
        assert select.select([running.stderr], [], [], 60)[0]
        os.read(running.stderr.fileno(), 100)
        running.send_signal(signal.SIGINT)
        time.sleep(0.3)
        out, _ = running.communicate(TEXT.encode(), timeout=60)
    assert [f["code"] for f in json.loads(out)["findings"]] == ["KD204"]
    assert running.returncode == 1


def test_the_second_interrupt_ends_the_diagnosis() -> None:
    """A program that does not stop is no reason to go on."""
    with _through_a_pipe("--tee") as running:
        assert running.stdin is not None
        assert running.stderr is not None
        running.stdin.write(b"Epoch 1/100\n")
        running.stdin.flush()
        assert select.select([running.stderr], [], [], 60)[0]
        for _ in range(2):
            running.send_signal(signal.SIGINT)
            time.sleep(0.5)
        assert running.wait(timeout=60) == 130


def test_tee_is_for_pipes(log: Path) -> None:
    """A file is there already."""
    found = kdoctor("log", log, "--tee")
    assert found.returncode == 2
    assert "--tee: only what comes through stdin is passed on" in found.stderr
