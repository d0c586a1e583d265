"""A real engine that is killed while it exports a container: one clear line, nothing kept, nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from doctor.errors import TargetError
from doctor.io.containers import LABEL, Containers
from doctor.targets.exported import exported
from tests.conftest import ROOT
from tests.e2e.engine import Lacking, pack, unmount

pytestmark = pytest.mark.e2e
START_SECONDS = 60.0
LARGE = 200 << 20  # bytes: the export takes long enough to be killed in the middle of it


@dataclass
class Mortal:
    """An engine of one test's own, on a socket and on a port of loopback, that can be killed and started again."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        """As DOCKER_HOST names it."""
        return f"unix://{self.folder}/docker.sock"

    @property
    def address(self) -> str:
        """The same over the network, where its layer folders are out of reach."""
        return f"tcp://127.0.0.1:{self.port}"

    def start(self) -> Any:
        """A client of the engine, once it answers; None where it does not start."""
        command = ["dockerd", "--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec"]
        command += ["--pidfile", f"{self.folder}/pid", "--bridge=none", "--iptables=false", "--ip6tables=false"]
        command += ["-H", self.socket, "-H", self.address, "--tls=false"]
        (self.folder / "pid").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                client = docker.DockerClient(base_url=self.socket, timeout=120, version="auto")
                client.ping()
                return client
            except Exception:
                time.sleep(0.3)
        return None

    def kill(self) -> None:
        """End it and the containerd that it started, at once."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        # containerd dies after its parent: an engine that still finds it alive waits for it, and gives up after 15 s
        pid = self.folder / "exec/containerd/containerd.pid"
        deadline = time.monotonic() + START_SECONDS
        while pid.exists() and _runs(pid.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        pid.unlink(missing_ok=True)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid.strip()}/comm").read_text() == "containerd\n"
    except OSError:
        return False


@pytest.fixture
def mortal(lacking: Lacking) -> Iterator[Mortal]:
    """The engine, not started yet; whatever becomes of it, it is gone afterwards."""
    if os.geteuid() != 0:
        lacking("dockerd must be started by root")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # a socket's path must be short, and the engine makes more of them further down
    engine = Mortal(Path(tempfile.mkdtemp(prefix="kdoctor-e2e-")), port)
    try:
        yield engine
    finally:
        engine.kill()
        unmount(engine.folder)
        shutil.rmtree(engine.folder, ignore_errors=True)


def started(engine: Mortal, lacking: Lacking) -> Any:
    """A client of the running engine with one large image, large:1."""
    try:
        client = engine.start()
    except FileNotFoundError:
        lacking("there is no dockerd (Debian: docker.io)")
    if client is None:
        lacking(f"dockerd does not start here: {(engine.folder / 'log').read_text()[-300:]}")
    if not client.images.list():
        files = pack({"etc/os-release": b"ID=debian\n", "large": os.urandom(1 << 20) * (LARGE >> 20), "z": b"last"})
        client.api.import_image_from_data(files, repository="large", tag="1")
    return client


def export_through_death(engine: Mortal, connection: Containers) -> None:
    """Have the image's files exported; the engine is killed when a few pieces have come."""
    whole = connection.export

    def dying(container: str) -> Iterator[bytes]:
        for number, piece in enumerate(whole(container)):
            if number == 5:
                engine.kill()
            yield piece

    connection.export = dying  # type: ignore[method-assign]
    with ExitStack() as stack:
        container = stack.enter_context(connection.created("large:1"))
        exported(connection, container, "large:1", stack)


@pytest.mark.parametrize("way", ["socket", "network"])
def test_an_engine_killed_in_the_middle_of_an_export(mortal: Mortal, lacking: Lacking, way: str) -> None:
    """However the engine is reached, what it sent until then is not taken for an image, and nobody waits for it."""
    started(mortal, lacking).close()
    with closing(Containers({"DOCKER_HOST": mortal.socket if way == "socket" else mortal.address})) as connection:
        begun = time.monotonic()
        with pytest.raises(TargetError, match=r"broke off|the container engine says") as caught:
            export_through_death(mortal, connection)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begun < 30


def test_the_command_ends_in_one_line_and_the_next_run_cleans_up(
    mortal: Mortal, lacking: Lacking, tmp_path: Path
) -> None:
    """Exit code 3 and one line; no snapshot, no temporary file; the container goes when the engine is back."""
    started(mortal, lacking).close()
    (tmp_path / "tmp").mkdir()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DOCKER_HOST": mortal.address, "TMPDIR": str(tmp_path / "tmp")}
    command = [sys.executable, "-m", "doctor", "snapshot", "image:large:1", "--no-cache"]
    run = subprocess.Popen(
        [*command, "-o", str(tmp_path / "out.json")], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    client = docker.DockerClient(base_url=mortal.socket, timeout=30, version="auto")
    for _ in range(1200):
        if client.api.containers(all=True, filters={"label": LABEL}):
            break
        time.sleep(0.01)
    else:
        pytest.fail("no export began")
    client.close()
    mortal.kill()
    out, error = run.communicate(timeout=120)
    assert run.returncode == 3, (out, error)
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert not (tmp_path / "out.json").exists()
    assert not list((tmp_path / "tmp").iterdir())
    unmount(mortal.folder)
    again = started(mortal, lacking)
    assert subprocess.run(command, env=env, capture_output=True, check=False, timeout=120).returncode == 0
    assert not again.api.containers(all=True, filters={"label": LABEL})
    again.close()
