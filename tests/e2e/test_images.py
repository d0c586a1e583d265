"""What is inside real images: every way of looking gives the same facts, and nothing is left behind."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from doctor.io.containers import LABEL, Containers
from doctor.targets import image
from doctor.targets.inside_options import Inside
from doctor.targets.words import Target
from tests.e2e.engine import Daemon, Lacking, RegistryServer, pack

pytest_plugins = ["tests.e2e.engine"]
pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


def kdoctor(daemon: Daemon, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A run of the command with this engine."""
    env = {**daemon.environ, "PYTHONPATH": str(ROOT), **environ}
    command = [sys.executable, "-m", "doctor", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)


def snapshot(daemon: Daemon, *arguments: str, **environ: str) -> dict[str, Any]:
    """The snapshot that a run writes."""
    run = kdoctor(daemon, "snapshot", *arguments, "--no-cache", **environ)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def inside(found: dict[str, Any]) -> dict[str, Any]:
    """The software of a snapshot, without how its image is called."""
    software = dict(found["software"])
    kept = ("labels", "environment", "layers", "platform")
    software["image"] = {name: software["image"][name] for name in kept}
    return {"software": software, "partial": found["partial"], "derived": found["derived"]}


def left_behind(daemon: Daemon) -> list[str]:
    """The containers that carry kdoctor's label."""
    return [row["Id"] for row in daemon.client.api.containers(all=True, filters={"label": LABEL})]


@pytest.fixture(params=[0, 1], ids=["older", "newer"])
def tensorflow_image(request: pytest.FixtureRequest, tensorflow_images: dict[str, str]) -> str:
    """Each of two images with TensorFlow."""
    return sorted(tensorflow_images.values())[request.param]


@pytest.fixture
def engine(daemon: Daemon) -> Iterator[Containers]:
    """The engine as kdoctor talks to it."""
    found = Containers(daemon.environ)
    yield found
    found.close()


def test_every_way_of_looking_agrees(
    daemon: Daemon, registry: RegistryServer, tensorflow_image: str, tmp_path: Path
) -> None:
    """Layer folders, docker save, an OCI layout, a registry and the image's own Python tell the same facts."""
    looked = snapshot(daemon, f"image:{tensorflow_image}")
    facts = inside(looked)
    release = tensorflow_image.rpartition(":")[2]
    assert facts["software"]["tensorflow"]["version"].startswith(".".join(release.split(".")[:2]))
    packages = {row["name"] for row in facts["software"]["packages"]}
    assert "numpy" in packages
    assert "tensorboard" not in packages  # hidden by the uppermost layer
    assert looked["software"]["image"]["base"]["name"] == f"kdoctor-e2e/lower:{release}"

    ran = snapshot(daemon, f"image:{tensorflow_image}", "--run")
    assert ran["subject"]["collected"] == "run"
    assert inside(ran) == facts

    saved = tmp_path / "saved.tar"
    with saved.open("wb") as file:
        for piece in daemon.client.api.get_image(tensorflow_image):
            file.write(piece)
    assert inside(snapshot(daemon, f"archive:{saved}")) == facts

    remote = f"{registry.host}/app:{release}"
    # not pushed by the engine, which packs on one processor for a minute; another test does that with a small image
    copy = ["skopeo", "copy", "-q", "--dest-tls-verify=false", "--format=v2s2", "--dest-compress-level=1"]
    subprocess.run([*copy, f"docker-archive:{saved}", f"docker://{remote}"], check=True)
    digest = digest_in(remote)
    saved.unlink()
    fetched = snapshot(daemon, f"image:{remote}")
    assert inside(fetched) == facts
    assert fetched["software"]["image"]["digest"] == digest
    assert fetched["software"]["image"]["id"] == looked["software"]["image"]["id"]
    assert not left_behind(daemon)


def test_the_export_agrees_with_the_layer_folders(engine: Containers, tensorflow_image: str, daemon: Daemon) -> None:
    """An engine whose folders cannot be read exports a container that was never started, and that says the same."""
    source = image.find(tensorflow_image, None, "never", engine, None)
    assert isinstance(source, image.EngineImage)
    assert source.folders is not None
    by_folders = image.read(source, lambda _more: None)
    by_export = image.read(replace(source, folders=None), lambda _more: None)
    assert by_export == by_folders
    assert not left_behind(daemon)


def test_files_that_were_not_put_aside_are_asked_for(engine: Containers, base_image: str) -> None:
    """A file that nobody expected to be wanted is read from the engine by its path, in part too."""
    source = image.find(base_image, None, "never", engine, None)
    assert isinstance(source, image.EngineImage)
    with ExitStack() as stack:
        files = replace(source, folders=None).files(stack, lambda _more: None)
        by_folders = source.files(stack, lambda _more: None)
        for path in ("/etc/login.defs", "/usr/lib/python3.11/subprocess.py"):
            assert files.read(path, 100, 500) == by_folders.read(path, 100, 500) != b""


def push(daemon: Daemon, name: str, remote: str, login: dict[str, str] | None = None) -> str:
    """Push an image under another name; the digest that it has there."""
    repository, _, tag = remote.rpartition(":")
    daemon.client.api.tag(name, repository, tag)
    for row in daemon.client.api.push(repository, tag, stream=True, decode=True, auth_config=login):
        assert "error" not in row, row
    return digest_in(remote, login)


def digest_in(remote: str, login: dict[str, str] | None = None) -> str:
    """The digest of a tag in a registry, as skopeo sees it."""
    words = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{remote}"]
    words += ["--creds", f"{login['username']}:{login['password']}"] if login else []
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def test_a_registry_that_wants_a_name(daemon: Daemon, locked_registry: RegistryServer, base_image: str) -> None:
    """Docker's own configuration is the login; without it the error says what to do."""
    assert locked_registry.user is not None
    assert locked_registry.password is not None
    remote = f"{locked_registry.host}/base:1"
    digest = push(daemon, base_image, remote, {"username": locked_registry.user, "password": locked_registry.password})
    daemon.client.api.remove_image(remote, noprune=True)
    refused = kdoctor(daemon, "snapshot", f"image:{remote}")
    assert refused.returncode == 3
    assert "docker login" in refused.stderr
    folder = Path(os.environ["HOME"], ".docker")
    folder.mkdir()
    word = base64.b64encode(f"{locked_registry.user}:{locked_registry.password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {locked_registry.host: {"auth": word}}}))
    assert snapshot(daemon, f"image:{remote}")["software"]["image"]["digest"] == digest


def test_a_second_look_comes_from_the_cache(daemon: Daemon, tensorflow_images: dict[str, str], tmp_path: Path) -> None:
    """The same digest is not read again: same facts, one file of this user's, in well under a second of work."""
    word = f"image:{sorted(tensorflow_images.values())[0]}"
    first = kdoctor(daemon, "snapshot", word, XDG_CACHE_HOME=str(tmp_path))
    [entry] = (tmp_path / "kdoctor/images").iterdir()
    assert entry.stat().st_mode & 0o777 == 0o600
    second = kdoctor(daemon, "snapshot", word, XDG_CACHE_HOME=str(tmp_path))
    assert inside(json.loads(first.stdout)) == inside(json.loads(second.stdout))


def test_a_container_as_it_is(daemon: Daemon, tensorflow_images: dict[str, str]) -> None:
    """What was changed in a stopped container is seen, its own variables count, and its request for GPUs is known."""
    name = sorted(tensorflow_images.values())[0]
    api = daemon.client.api
    request = docker_request()
    created = api.create_container(
        name, ["true"], environment={"CUDA_VISIBLE_DEVICES": "3"}, host_config=api.create_host_config(**request)
    )["Id"]
    try:
        info = "opt/venv/lib/python3.11/site-packages/added-1.5.dist-info/METADATA"
        assert api.put_archive(created, "/", pack({info: b"Name: added\nVersion: 1.5\n"}))
        found = snapshot(daemon, f"container:{created}")
    finally:
        api.remove_container(created, force=True, v=True)
    assert found["container"]["gpus_requested"] is True
    assert found["software"]["environment"]["CUDA_VISIBLE_DEVICES"] == "3"
    assert {"added": "1.5"}.items() <= {row["name"]: row["version"] for row in found["software"]["packages"]}.items()
    assert found["software"]["image"]["reference"] == name


def docker_request() -> dict[str, Any]:
    """The host configuration of ``--gpus all``."""
    from docker.types import DeviceRequest

    return {"device_requests": [DeviceRequest(count=-1, capabilities=[["gpu"]])]}


def test_layers_in_zstd(
    daemon: Daemon, registry: RegistryServer, base_image: str, tmp_path: Path, lacking: Lacking
) -> None:
    """What skopeo packs with zstd tells the same as the layer folders, out of a layout and out of a registry."""
    if importlib.util.find_spec("backports.zstd") is None:
        lacking("backports.zstd is not installed")
    facts = inside(snapshot(daemon, f"image:{base_image}"))
    saved = tmp_path / "saved.tar"
    with saved.open("wb") as file:
        for piece in daemon.client.api.get_image(base_image):
            file.write(piece)
    remote = f"{registry.host}/zstd:1"
    copy = ["skopeo", "copy", "-q", "--dest-tls-verify=false", "--format=oci"]
    copy += ["--dest-compress-format=zstd", "--dest-compress-level=1", f"docker-archive:{saved}"]
    for target in (f"oci:{tmp_path}/layout:1", f"docker://{remote}"):
        subprocess.run([*copy, target], check=True)
    layers = [one for one in (tmp_path / "layout/blobs/sha256").iterdir() if one.stat().st_size > 1 << 20]
    assert all(one.read_bytes()[:4] == b"\x28\xb5\x2f\xfd" for one in layers)
    assert inside(snapshot(daemon, f"archive:{tmp_path}/layout")) == facts
    found = snapshot(daemon, f"image:{remote}")
    assert inside(found) == facts
    assert found["software"]["image"]["digest"] == digest_in(remote)


@pytest.mark.parametrize(
    ("python", "words"), [("sleep 100", "did not answer"), ("echo hello", "something that is not")]
)
def test_a_python_that_is_none(daemon: Daemon, base_image: str, python: str, words: str) -> None:
    """An image whose python3 hangs or talks nonsense: one line, nothing left behind, and its files can be read."""
    files = pack({"usr/local/bin/python3": f"#!/bin/sh\n{python}\n".encode()})
    name = daemon.commit(base_image, "kdoctor-e2e/odd:1", ["ENV PATH=/usr/local/bin:/usr/bin:/bin"], files)
    ran = kdoctor(daemon, "snapshot", f"image:{name}", "--run", "--no-cache")
    assert ran.returncode == 3
    assert words in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not left_behind(daemon)


def test_an_image_for_another_architecture(daemon: Daemon, base_image: str) -> None:
    """Its Python does not run here: one line, nothing left behind; its files are read all the same."""
    arm = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00\x01\x00\x00\x00" + bytes(40)  # a header for aarch64
    files = pack({"usr/local/bin/python3": arm})
    name = daemon.commit(base_image, "kdoctor-e2e/arm:1", ["ENV PATH=/usr/local/bin:/usr/bin:/bin"], files)
    ran = kdoctor(daemon, "snapshot", f"image:{name}", "--run", "--no-cache")
    assert ran.returncode == 3
    assert ran.stderr.count("\n") == 1
    assert "Traceback" not in ran.stderr
    assert not left_behind(daemon)
    assert snapshot(daemon, f"image:{name}")["software"]["distribution"]["id"] == "debian"


def test_an_image_without_python(daemon: Daemon) -> None:
    """There is nothing to look at in it, and that is a snapshot; to run it is an error."""
    daemon.client.api.import_image_from_data(pack({"hello": b"x"}), repository="kdoctor-e2e/empty", tag="1")
    found = snapshot(daemon, "image:kdoctor-e2e/empty:1")
    assert "python" not in found["software"]
    ran = kdoctor(daemon, "snapshot", "image:kdoctor-e2e/empty:1", "--run", "--no-cache")
    assert ran.returncode == 3
    assert "no Python in it" in ran.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_nothing(daemon: Daemon, base_image: str, how: signal.Signals) -> None:
    """Ctrl-C and termination remove the sandbox at once; what a kill left is removed when the next one is made."""
    files = pack({"usr/local/bin/python3": b"#!/bin/sh\nsleep 100\n"})
    name = daemon.commit(base_image, "kdoctor-e2e/hangs:1", ["ENV PATH=/usr/local/bin:/usr/bin:/bin"], files)
    command = [sys.executable, "-m", "doctor", "snapshot", f"image:{name}", "--run", "--no-cache"]
    env = {**daemon.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(300):
        if any(row["State"] == "running" for row in daemon.client.api.containers(filters={"label": LABEL})):
            break
        time.sleep(0.1)
    process.send_signal(how)
    assert process.wait(30) == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[how]
    if how is signal.SIGKILL:
        assert left_behind(daemon)
        snapshot(daemon, f"image:{base_image}", "--run")
    assert not left_behind(daemon)


def test_the_canary_runs_in_an_image(daemon: Daemon, tensorflow_images: dict[str, str], tmp_path: Path) -> None:
    """The sandbox has all that real training needs, and its record names the image."""
    from doctor.canary.runs import runner_for
    from doctor.canary.start import run_canary

    release, name = min(tensorflow_images.items())
    runner = runner_for(Target("image", name), daemon.environ, tmp_path, inside=Inside(cache=False))
    record = run_canary(runner, seeds=2)
    assert str(record.environment.tensorflow).startswith(".".join(release.split(".")[:2]))
    assert record.environment.image_digest == daemon.client.api.inspect_image(name)["Id"]
    assert not left_behind(daemon)
