"""A registry without TLS that is not on this machine's loopback is asked only where the user says so."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.registry.server import Fake, serve


@pytest.fixture
def registry() -> Iterator[Fake]:
    """A registry on an address of this machine that is none of loopback, with one image, app:1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing: it only asks for the way
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    fake = Fake()
    fake.address = address
    with serve(fake):
        fake.add("app", "1")
        yield fake


def run(kdoctor: list[str], folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "*", **environ}
    return subprocess.run(
        [*kdoctor, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def outcomes(run: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What became of the rules that need the registry: finding, passed or skipped."""
    report = json.loads(run.stdout)
    found = {row["code"]: "finding" for row in report["findings"]}
    found |= {row["code"]: "skipped" for row in report["skipped"]}
    return found | {row["code"]: "passed" for row in report["passed"]}


def test_scan_asks_where_the_user_says_so(registry: Fake, kdoctor: list[str], tmp_path: Path) -> None:
    """By option, variable or the user's own file the image is seen to be gone; otherwise nobody was asked."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "Dockerfile").write_text(f"FROM {registry.host}/app:gone\n")
    scan = ("scan", "--format", "json", "--select", "KD410", "--target", "host")
    assert outcomes(run(kdoctor, project, *scan)) == {"KD410": "skipped"}
    assert not registry.seen
    assert outcomes(run(kdoctor, project, *scan, "--plain-http-registries", registry.host)) == {"KD410": "finding"}
    named = {"KDOCTOR_PLAIN_HTTP_REGISTRIES": f"other:5000,{registry.host}"}
    assert outcomes(run(kdoctor, project, *scan, **named)) == {"KD410": "finding"}
    own = tmp_path / "xdg/kdoctor/config.toml"
    own.parent.mkdir(parents=True)
    own.write_text(f'plain-http-registries = ["{registry.host}"]\n')
    there = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert outcomes(run(kdoctor, project, *scan, **there)) == {"KD410": "finding"}


def test_a_project_cannot_ask_for_it(registry: Fake, kdoctor: list[str], tmp_path: Path) -> None:
    """The scanned project's own configuration is refused with exit code 2, and nothing is sent."""
    (tmp_path / "Dockerfile").write_text(f"FROM {registry.host}/app:1\n")
    (tmp_path / "kdoctor.toml").write_text(f'plain-http-registries = ["{registry.host}"]\n')
    refused = run(kdoctor, tmp_path, "scan")
    assert refused.returncode == 2
    assert "never from the scanned project" in refused.stderr
    assert not registry.seen


def test_pin_and_snapshot_ask_too(registry: Fake, kdoctor: list[str], tmp_path: Path) -> None:
    """The setting reaches every command that asks a registry."""
    (tmp_path / "Dockerfile").write_text(f"FROM {registry.host}/app:1\n")
    digest = registry.add("app", "1")
    assert digest not in run(kdoctor, tmp_path, "pin").stdout
    named = {"KDOCTOR_PLAIN_HTTP_REGISTRIES": registry.host}
    assert f"+FROM {registry.host}/app:1@{digest}" in run(kdoctor, tmp_path, "pin", **named).stdout
    engine = {"DOCKER_HOST": f"unix://{tmp_path}/no-engine"}
    word = f"image:{registry.host}/app:gone"
    assert "if that is meant: --plain-http-registries" in run(kdoctor, tmp_path, "snapshot", word, **engine).stderr
    assert f"has no {registry.host}/app:gone" in run(kdoctor, tmp_path, "snapshot", word, **engine, **named).stderr
