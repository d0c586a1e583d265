"""Digests from a real registry (Debian's docker-registry), with skopeo as an independent witness of each."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

pytestmark = pytest.mark.e2e

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@pytest.fixture(scope="module")
def registry(lacking: Callable[[str], NoReturn], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a registry of our own, which is stopped at the end."""
    program = shutil.which("docker-registry")
    if program is None or shutil.which("skopeo") is None:
        lacking("docker-registry and skopeo are not installed (Debian: apt-get install docker-registry skopeo)")
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    configuration = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": host},
    }
    (folder / "config.yml").write_text(json.dumps(configuration))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        _wait(host, process, folder / "log")
        yield host
    finally:
        process.terminate()
        process.wait(10)


def _wait(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(100):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://{host}/v2/", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the registry does not answer: {log.read_text()[-500:]}")


class Layout:
    """An OCI layout that skopeo pushes: one file in one layer, for each platform."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, media_type: str, data: bytes) -> dict[str, Any]:
        """A blob and its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs" / "sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def image(self, content: bytes, architecture: str) -> dict[str, Any]:
        """An image for one platform."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            member = tarfile.TarInfo("hello")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        layer = self.blob(LAYER, gzip.compress(buffer.getvalue(), mtime=0))
        root = {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest()]}
        config = self.blob(
            CONFIG, json.dumps({"architecture": architecture, "os": "linux", "rootfs": root, "config": {}}).encode()
        )
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
        return {
            **self.blob(MANIFEST, json.dumps(manifest).encode()),
            "platform": {"os": "linux", "architecture": architecture},
        }

    def name(self, row: dict[str, Any]) -> None:
        """Make this what the layout's tag ``x`` names."""
        index = {"schemaVersion": 2, "manifests": [{**row, "annotations": {"org.opencontainers.image.ref.name": "x"}}]}
        (self.folder / "index.json").write_text(json.dumps(index))


def push(folder: Path, image: str, content: str, architectures: tuple[str, ...] = ("amd64", "arm64")) -> str:
    """Push an index of images (one image alone without an index) under a tag; its digest, as skopeo sees it."""
    layout = Layout(folder / hashlib.sha256(f"{image}{content}".encode()).hexdigest())
    rows = [layout.image(content.encode(), architecture) for architecture in architectures]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}).encode()
    layout.name(layout.blob(INDEX, index) if len(rows) > 1 else rows[0])
    command = ["skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false", f"oci:{layout.folder}:x"]
    subprocess.run([*command, f"docker://{image}"], check=True, capture_output=True, timeout=60)
    return witness(image)


def witness(image: str) -> str:
    """The digest of what a tag names, as skopeo reads it."""
    raw = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}"],
        check=True,
        capture_output=True,
        timeout=60,
    ).stdout
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def kdoctor(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command line, in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "doctor", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)


def found(root: Path) -> dict[str, dict[str, Any]]:
    """The findings of a scan about images, by code."""
    run = kdoctor("scan", "--select", "KD4", "--ignore", "KD409", "--format", "json", cwd=root)
    return {row["code"]: row for row in json.loads(run.stdout)["findings"]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's folder."""
    root = tmp_path / "project"
    root.mkdir()
    return root


def test_locked_then_moved_then_pinned(registry: str, project: Path, tmp_path: Path) -> None:
    """Locked, the tag moves and scan says so; pinned, scan is clean, and skopeo agrees with every digest."""
    image = f"{registry}/app:1"
    old = push(tmp_path, image, "one")
    (project / "Dockerfile").write_text(f"FROM {image} AS a\nFROM a\n")
    assert kdoctor("pin", "--lock", cwd=project).returncode == 0
    lock = json.loads((project / "kdoctor.lock").read_text())["images"]
    assert {name: (row["digest"], row["platforms"]) for name, row in lock.items()} == {
        image: (old, ["linux/amd64", "linux/arm64"])
    }
    assert set(found(project)) == {"KD403"}
    new = push(tmp_path, image, "two")
    assert new != old
    moved = found(project)["KD407"]
    assert "kdoctor.lock" in moved["message"]
    assert {"fact": "project.images.recorded.digest", "value": old, "source": "kdoctor.lock"} in moved["evidence"]
    assert kdoctor("pin", "--check", cwd=project).returncode == 1
    assert kdoctor("pin", "--write", cwd=project).returncode == 0
    assert (project / "Dockerfile").read_text() == f"FROM {image}@{new} AS a\nFROM a\n"
    assert kdoctor("pin", "--check", cwd=project).returncode == 0
    assert not found(project)


def test_every_kind_of_file_is_clean_after_pin(registry: str, project: Path, tmp_path: Path) -> None:
    """One run pins the whole project; what scan finds afterwards is nothing."""
    image = f"{registry}/all:1"
    digest = push(tmp_path, image, "all")
    texts = {
        "Dockerfile": f"ARG TAG=1\nFROM {registry}/all:${{TAG}}\nCOPY --from={image} /a /b\n",
        "compose.yaml": f"services:\n  a:\n    image: {image}\n",
        ".github/workflows/ci.yml": f"jobs:\n  t:\n    container: {image}\n",
        "pod.yaml": f"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {image}\n",
    }
    for path, text in texts.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    assert set(found(project)) == {"KD403"}
    assert kdoctor("pin", "--write", cwd=project).returncode == 0
    assert not found(project)
    assert sum((project / path).read_text().count(digest) for path in texts) == 5


def test_an_invented_digest_is_unknown(registry: str, project: Path, tmp_path: Path) -> None:
    """Nobody can pull it; --update writes what the tag names."""
    image = f"{registry}/invented:1"
    digest = push(tmp_path, image, "invented")
    (project / "Dockerfile").write_text(f"FROM {image}@sha256:{'0' * 64}\n")
    assert "KD405" in found(project)
    assert kdoctor("pin", "--update", "--write", cwd=project).returncode == 0
    assert (project / "Dockerfile").read_text() == f"FROM {image}@{digest}\n"
    assert not found(project)


def test_one_platform_is_told_from_a_moved_tag(registry: str, project: Path, tmp_path: Path) -> None:
    """The digest of one platform in the tag's index is KD406; the digest that the tag had before is KD404."""
    image = f"{registry}/platforms:1"
    old = push(tmp_path, image, "one")
    (project / "Dockerfile").write_text(f"FROM {image}\n")
    assert kdoctor("pin", "--write", "--platform", "linux/arm64", cwd=project).returncode == 0
    single = (project / "Dockerfile").read_text().split("@")[1].strip()
    assert single != old
    assert witness(f"{registry}/platforms@{single}") == single
    assert set(found(project)) == {"KD406"}
    (project / "Dockerfile").write_text(f"FROM {image}@{old}\n")
    assert not found(project)
    new = push(tmp_path, image, "two")
    assert set(found(project)) == {"KD404"}
    assert kdoctor("pin", "--update", "--write", cwd=project).returncode == 0
    assert (project / "Dockerfile").read_text() == f"FROM {image}@{new}\n"


def test_an_image_without_an_index(registry: str, project: Path, tmp_path: Path) -> None:
    """Its one manifest is pinned, which is nobody's fault."""
    image = f"{registry}/single:1"
    digest = push(tmp_path, image, "single", ("amd64",))
    (project / "Dockerfile").write_text(f"FROM {image}\n")
    assert kdoctor("pin", "--write", "--lock", cwd=project).returncode == 0
    assert (project / "Dockerfile").read_text() == f"FROM {image}@{digest}\n"
    assert json.loads((project / "kdoctor.lock").read_text())["images"][image]["platforms"] == ["linux/amd64"]
    assert not found(project)


def test_a_tag_that_is_not_there(registry: str, project: Path) -> None:
    """The file stays, the reason is one line, the exit code is 1."""
    (project / "Dockerfile").write_text(f"FROM {registry}/none:1\n")
    run = kdoctor("pin", "--write", cwd=project)
    assert run.returncode == 1
    assert f"Dockerfile:1: {registry}/none:1: not pinned: {registry} has no {registry}/none:1" in run.stderr
    assert (project / "Dockerfile").read_text() == f"FROM {registry}/none:1\n"
