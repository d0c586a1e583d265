"""kdoctor's own image: built from the Dockerfile by a real engine, and used as nobody in particular."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import docker
import docker.errors
import pytest

from tests.e2e.engine import Daemon

pytest_plugins = ["tests.e2e.engine"]
pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
# What `python -m venv` needs beside the interpreter of the tests' base image; files only, nothing is set up.
DEBS = ("python3.11-venv", "python3-pip-whl", "python3-setuptools-whl")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@pytest.fixture(scope="module")
def python_base(daemon: Daemon, base_image: str, lacking: Callable[[str], NoReturn]) -> str:
    """The tests' base image as one that has ``python`` with venv, and the certificates that this machine trusts."""
    with tempfile.TemporaryDirectory() as folder:
        got = subprocess.run(["apt-get", "download", *DEBS], cwd=folder, capture_output=True, text=True, check=False)
        if got.returncode != 0:
            lacking(f"Debian's packages cannot be had: {got.stderr[-200:]}")
        root = Path(folder, "root")
        for deb in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(deb), str(root)], check=True)
        (root / "usr/bin").mkdir(parents=True, exist_ok=True)
        (root / "usr/bin/python").symlink_to("python3")
        if CERTIFICATES.is_file():
            (root / "etc/ssl/certs").mkdir(parents=True)
            shutil.copy(CERTIFICATES, root / "etc/ssl/certs/")
            (root / "etc/pip.conf").write_text(f"[global]\ncert = {CERTIFICATES}\ntimeout = 120\n")
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for part in sorted(root.iterdir()):
                tar.add(part, part.name)
        return daemon.commit(base_image, "kdoctor-e2e/python:1", [], data.getvalue())


@pytest.fixture(scope="module")
def image(daemon: Daemon, python_base: str) -> str:
    """The image that the Dockerfile makes."""
    name = "kdoctor-e2e/kdoctor:1"
    daemon.client.images.build(
        path=str(ROOT), buildargs={"BASE": python_base}, tag=name, network_mode="host", rm=True, forcerm=True
    )
    return name


@pytest.fixture
def project() -> Iterator[Path]:
    """A project that everybody may read."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        Path(folder, "Dockerfile").write_text("FROM registry.example/app:latest\n")
        yield Path(folder)


def run(daemon: Daemon, image: str, project: Path, *arguments: str) -> tuple[int, str]:
    """As the Dockerfile's comment says: without network, read-only, the project mounted to be read."""
    host: dict[str, Any] = daemon.client.api.create_host_config(
        network_mode="none", read_only=True, binds={str(project): {"bind": "/project", "mode": "ro"}}
    )
    made = daemon.client.api.create_container(image, list(arguments) or None, host_config=host)["Id"]
    try:
        daemon.client.api.start(made)
        code = daemon.client.api.wait(made, timeout=120)["StatusCode"]
        return code, daemon.client.api.logs(made, stdout=True, stderr=False).decode()
    finally:
        daemon.client.api.remove_container(made, force=True, v=True)


def test_it_scans_a_mounted_project(daemon: Daemon, image: str, project: Path) -> None:
    """The documented command: exit 1 where a warning is to fail it, one document, and the finding at its line."""
    code, out = run(daemon, image, project, "scan", "--offline", "--fail-on", "warning", "--format", "json")
    report = json.loads(out)
    assert code == 1, out
    assert {f["code"]: f["location"]["path"] for f in report["findings"]}["KD402"] == "Dockerfile"


def test_it_runs_as_nobody_and_its_default_is_a_scan(daemon: Daemon, image: str, project: Path) -> None:
    """Not root, no command needed, and nothing but kdoctor's environment on top of the base."""
    config = daemon.client.api.inspect_image(image)["Config"]
    assert config["User"] == "65532:65532"
    code, out = run(daemon, image, project)
    assert code == 0, out
    assert out.startswith("kdoctor ")
    assert "Traceback" not in out


def test_nothing_but_the_program_gets_into_the_image(daemon: Daemon, image: str) -> None:
    """The rules are there; the sources that it was built from are not."""
    site = "/opt/kdoctor/lib/python3.11/site-packages/doctor"
    made = daemon.client.api.create_container(image, ["--version"])["Id"]
    try:
        daemon.client.api.get_archive(made, f"{site}/rules/driver.py")
        for path in ("/source", f"{site}/tests", "/opt/kdoctor/.git"):
            with pytest.raises(docker.errors.NotFound):
                daemon.client.api.get_archive(made, path)
    finally:
        daemon.client.api.remove_container(made, force=True, v=True)
