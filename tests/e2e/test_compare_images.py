"""The incident that kdoctor exists for: two digests of one image, and the second trains another model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from doctor.io.containers import LABEL
from tests.e2e.engine import PYTHON, Daemon, RegistryServer, pack

pytest_plugins = ["tests.e2e.engine"]
pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
DENSE = "keras/src/layers/core/dense.py"
DEFAULT = 'kernel_initializer="glorot_uniform"'


@pytest.fixture(scope="module")
def digests(
    daemon: Daemon,
    registry: RegistryServer,
    tensorflow_images: dict[str, str],
    tensorflow_environments: dict[str, Path],
) -> dict[str, str]:
    """Three images in one repository, by digest: as built, built again with the same files, and patched on purpose.

    The patch edits Keras' own file. No release of Keras is known to have this default.
    """
    name, before = sorted(tensorflow_images.items())[0]
    original = (tensorflow_environments[name].parent.parent / f"lib/{PYTHON}/site-packages" / DENSE).read_text()
    assert original.count(DEFAULT) == 1
    patched = original.replace(DEFAULT, DEFAULT.replace("glorot_uniform", "he_normal"))
    images = {
        "before": before,
        "again": daemon.commit(before, "kdoctor-e2e/again:1", ["LABEL org.example.build=2"]),
        "patched": daemon.commit(
            before,
            "kdoctor-e2e/patched:1",
            [],
            pack({f"opt/venv/lib/{PYTHON}/site-packages/{DENSE}": patched.encode()}),
        ),
    }
    remote = f"{registry.host}/team/trainer"
    return {name: f"{remote}@{_push(daemon, image, remote, name)}" for name, image in images.items()}


def _push(daemon: Daemon, image: str, remote: str, tag: str) -> str:
    daemon.client.api.tag(image, remote, tag)
    for line in daemon.client.api.push(remote, tag, stream=True, decode=True):
        assert "error" not in line, line
        if "Digest" in (line.get("aux") or {}):
            digest = str(line["aux"]["Digest"])
    return digest


def kdoctor(daemon: Daemon, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**daemon.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "doctor", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False)


def compare(daemon: Daemon, *arguments: str, cwd: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and report of a comparison."""
    run = kdoctor(daemon, "compare", *arguments, "--format", "json", cwd=cwd)
    assert run.stdout, run.stderr
    return run.returncode, json.loads(run.stdout)


def left_behind(daemon: Daemon) -> list[str]:
    return [row["Id"] for row in daemon.client.api.containers(all=True, filters={"label": LABEL})]


def test_the_patched_digest_is_told_from_the_other(daemon: Daemon, digests: dict[str, str], tmp_path: Path) -> None:
    """Exit 1; the finding names the initializer, from and to; no container is left."""
    code, report = compare(daemon, digests["before"], digests["patched"], cwd=tmp_path)
    assert (code, report["verdict"]) == (1, "fail"), report["notes"]
    found = next(finding for finding in report["findings"] if finding["code"] == "KD802")
    assert "glorot_uniform" in found["message"]
    assert "he_normal" in found["message"]
    cause = next(cause for cause in report["drift"]["causes"] if cause["what"] == "initializer")
    assert any("installed file" in suspect for suspect in cause["suspects"]), cause
    assert left_behind(daemon) == []


def test_two_identical_builds_are_bitwise(daemon: Daemon, digests: dict[str, str], tmp_path: Path) -> None:
    """Another digest with the same contents: exit 0, bit for bit."""
    code, report = compare(daemon, digests["before"], digests["again"], cwd=tmp_path)
    assert (code, report["drift"]["class"]) == (0, "bitwise"), report["notes"]


def test_static_compare_of_two_cached_digests(daemon: Daemon, digests: dict[str, str], tmp_path: Path) -> None:
    """--no-canary runs nothing: the packages are the same, and only the digest tells the images apart."""
    code, report = compare(daemon, digests["before"], digests["patched"], "--no-canary", cwd=tmp_path)
    assert (code, report["drift"]) == (0, None)
    assert "image.digest" in {row["name"] for row in report["changes"]}


def test_a_digest_that_nobody_has(daemon: Daemon, digests: dict[str, str], tmp_path: Path) -> None:
    """One line on stderr, exit 3."""
    missing = digests["before"].rpartition(":")[0] + ":" + "0" * 64
    run = kdoctor(daemon, "compare", digests["before"], missing, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr.count("\n") == 1


def test_the_gate_holds_an_image_against_the_reference(daemon: Daemon, digests: dict[str, str], tmp_path: Path) -> None:
    """Accepted from one digest; the gate passes on it and fails on the patched one."""
    policy = 'reference = "kdoctor-reference.json"\nimages = ["{}"]\n'
    (tmp_path / "kdoctor.toml").write_text(policy.format(digests["before"]))
    accepted = kdoctor(daemon, "gate", "--update-reference", "--reason", "first", "--by", "t", cwd=tmp_path)
    assert accepted.returncode == 0, accepted.stderr
    run = kdoctor(daemon, "gate", "--format", "json", cwd=tmp_path)
    assert run.returncode == 0, run.stdout
    (tmp_path / "kdoctor.toml").write_text(policy.format(digests["patched"]))
    run = kdoctor(daemon, "gate", "--format", "json", cwd=tmp_path)
    report = json.loads(run.stdout)
    assert run.returncode == 1
    row = next(row for row in report["cases"] if row["subject"] == digests["patched"])
    assert (row["verdict"], row["drift"]) == ("fail", "default-changed")


def test_an_interrupted_canary_leaves_no_container(daemon: Daemon, digests: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C while the container runs: exit 130, and it is gone."""
    command = [sys.executable, "-m", "doctor", "compare", digests["before"], digests["again"]]
    child = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**daemon.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 -- ignored in background jobs
    )
    deadline = time.monotonic() + 60
    while not any(row["State"] == "running" for row in daemon.client.api.containers(filters={"label": LABEL})):
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.1)
    os.kill(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert left_behind(daemon) == []
