"""The canary in a container as it is now: changed by hand, running on, and left as it was."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from doctor.io.containers import LABEL, Containers
from tests.e2e.engine import PYTHON, Daemon, pack

pytest_plugins = ["tests.e2e.engine"]
pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
DENSE = "keras/src/layers/core/dense.py"
DEFAULT = 'kernel_initializer="glorot_uniform"'
VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


@pytest.fixture
def patched(
    daemon: Daemon, tensorflow_images: dict[str, str], tensorflow_environments: dict[str, Path]
) -> Iterator[tuple[str, str]]:
    """An image, and a running container of it in which somebody edited Keras' own file and set a variable."""
    name, image = sorted(tensorflow_images.items())[0]
    original = (tensorflow_environments[name].parent.parent / f"lib/{PYTHON}/site-packages" / DENSE).read_text()
    assert original.count(DEFAULT) == 1
    edited = original.replace(DEFAULT, DEFAULT.replace("glorot_uniform", "he_normal"))
    api = daemon.client.api
    created = api.create_container(
        image,
        ["sh", "-c", "while :; do sleep 1; done"],
        environment={VARIABLE: "0"},
        host_config=api.create_host_config(network_mode="none"),
    )["Id"]
    try:
        api.start(created)
        assert api.put_archive(created, "/", pack({f"opt/venv/lib/{PYTHON}/site-packages/{DENSE}": edited.encode()}))
        yield image, created
    finally:
        api.remove_container(created, force=True, v=True)


def state(daemon: Daemon, container: str) -> tuple[Any, ...]:
    """What would differ if the container had been stopped, paused, entered or written to."""
    told = daemon.client.api.inspect_container(container)
    changed = sorted(row["Path"] for row in daemon.client.api.diff(container))
    return told["State"]["StartedAt"], told["State"]["Pid"], told["State"]["Paused"], told["ExecIDs"], changed


def labelled(daemon: Daemon) -> list[str]:
    """Containers and images of kdoctor's own."""
    api, chosen = daemon.client.api, {"label": LABEL}
    return [row["Id"] for row in (*api.containers(all=True, filters=chosen), *api.images(filters=chosen))]


def test_a_container_changed_by_hand_is_told_from_its_image(
    daemon: Daemon, patched: tuple[str, str], tmp_path: Path
) -> None:
    """Its files and variables count, the edited file is a suspect; it runs on as before, and nothing is left."""
    image, container = patched
    before = state(daemon, container)
    command = [sys.executable, "-m", "doctor", "compare", f"image:{image}", f"container:{container}"]
    env = {**daemon.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [*command, "--canary", "--format", "json"], cwd=tmp_path, env=env, capture_output=True, timeout=600, check=False
    )
    assert run.stdout, run.stderr
    report = json.loads(run.stdout)
    assert run.returncode == 1, report["notes"]
    causes = report["drift"]["causes"]
    assert [(cause["what"], cause["from"], cause["to"]) for cause in causes] == [
        ("initializer", "glorot_uniform", "he_normal")
    ]
    assert "the installed file of dense differs although the versions are the same" in causes[0]["suspects"]
    assert f"{VARIABLE} unset → 0" in causes[0]["suspects"]
    assert {finding["code"] for finding in report["findings"]} >= {"KD801", "KD802"}
    assert state(daemon, container) == before
    assert not labelled(daemon)


def test_a_container_without_python_and_one_that_is_not_there_are_told(
    daemon: Daemon, base_image: str, tmp_path: Path
) -> None:
    """One line each and exit code 3; no copy is left."""
    api = daemon.client.api
    bare = daemon.run(base_image, "kdoctor-e2e/bare:1", "rm -rf /usr/bin/python3* /usr/lib/python3*")
    created = api.create_container(bare, ["true"])["Id"]
    env = {**daemon.environ, "PYTHONPATH": str(ROOT)}
    try:
        for name, words in (
            (created, "no Python in it, or in what is mounted into it"),
            ("nobody", "none of that name"),
        ):
            run = subprocess.run(
                [sys.executable, "-m", "doctor", "canary", f"container:{name}", "-o", "record.json"],
                cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            assert (run.returncode, words in run.stdout + run.stderr) == (3, True), run.stdout + run.stderr
    finally:
        api.remove_container(created, force=True, v=True)
    assert not (tmp_path / "record.json").exists()
    assert not labelled(daemon)


def test_the_copy_of_a_killed_run_is_removed_by_the_next(daemon: Daemon, base_image: str) -> None:
    """By its label: a process that is gone left it; one that lives keeps its own."""
    api = daemon.client.api
    created = api.create_container(base_image, ["true"])["Id"]
    engine = Containers(daemon.environ)
    try:
        with subprocess.Popen(["true"]) as gone:
            pass
        mark = f"{socket.gethostname()}.{gone.pid}.1.dead"
        left = api.commit(created, conf={"Labels": {LABEL: mark}})["Id"]
        assert labelled(daemon) == [left]
        with engine.copied(created) as living:  # sweeps before it copies
            assert labelled(daemon) == [living]
            engine.sweep()
            assert labelled(daemon) == [living]
    finally:
        engine.close()
        api.remove_container(created, force=True, v=True)
    assert not labelled(daemon)
