"""A Docker engine and registries of the tests' own: started on their own sockets, ports and folders, and taken away.

``pytest_plugins = ["tests.e2e.engine"]`` brings the fixtures. The base image's files are made once by debootstrap and
kept outside the clone (KDOCTOR_E2E_CACHE, or ~/.cache/kdoctor/e2e); everything else is made anew in each session.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import docker
import pytest

Lacking = Callable[[str], NoReturn]
SUITE = "bookworm"
PYTHON = "python3.11"  # the one that this suite has
CACHE = Path(os.environ.get("KDOCTOR_E2E_CACHE") or Path.home() / ".cache/kdoctor/e2e")
START_SECONDS = 60.0


@dataclass
class Daemon:
    """A running engine; ``images`` names what was built in it."""

    host: str
    client: Any
    images: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which kdoctor finds this engine and no other."""
        return {**os.environ, "DOCKER_HOST": self.host}

    def commit(self, base: str, name: str, changes: list[str], files: Iterator[bytes] | bytes | None = None) -> str:
        """An image on top of another: files from a tar put below /, and Dockerfile lines."""
        created = self.client.api.create_container(base, ["true"])["Id"]
        try:
            if files is not None:
                assert self.client.api.put_archive(created, "/", files)
            repository, _, tag = name.rpartition(":")
            self.client.api.commit(created, repository, tag, changes=changes)
        finally:
            self.client.api.remove_container(created, force=True, v=True)
        return name

    def run(self, base: str, name: str, command: str) -> str:
        """An image with what a shell command changed in another."""
        created = self.client.api.create_container(
            base, ["sh", "-c", command], host_config=self.client.api.create_host_config(network_mode="none")
        )["Id"]
        try:
            self.client.api.start(created)
            assert self.client.api.wait(created)["StatusCode"] == 0, command
            repository, _, tag = name.rpartition(":")
            self.client.api.commit(created, repository, tag)
        finally:
            self.client.api.remove_container(created, force=True, v=True)
        return name


def pack(files: dict[str, bytes], mode: int = 0o755) -> bytes:
    """A tar of these files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


@pytest.fixture(scope="session")
def workplace() -> Iterator[Path]:
    """A folder with room for images, outside the tests' own; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="kdoctor-e2e-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def daemon(workplace: Path, lacking: Lacking) -> Iterator[Daemon]:
    """A Docker engine with its own folders and socket, and no bridge: nothing of the machine's network is touched."""
    if shutil.which("dockerd") is None:
        lacking("there is no dockerd (Debian: docker.io)")
    if os.geteuid() != 0:
        lacking("dockerd must be started by root")
    folder = workplace / "engine"
    folder.mkdir()
    host = f"unix://{folder}/docker.sock"
    command = ["dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "-H", host]
    command += ["--pidfile", f"{folder}/pid", "--bridge=none", "--iptables=false", "--ip6tables=false"]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            client = _answering(process, host)
            if client is None:
                lacking(f"dockerd does not start here: {log.read_text()[-300:]}")
            yield Daemon(host, client)
            client.close()
        finally:
            _stop(process)
            unmount(folder)


def _answering(process: subprocess.Popen[bytes], host: str) -> Any:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client = docker.DockerClient(base_url=host, timeout=300, version="auto")
            client.ping()
            return client
        except Exception:
            time.sleep(0.3)
    return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def unmount(folder: Path) -> None:
    """What an engine that was killed may have left mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines()[::-1]:
        place = line.split()[1]
        if place.startswith(str(folder)):
            subprocess.run(["umount", "-l", place], check=False, capture_output=True)


@pytest.fixture(scope="session")
def base_image(daemon: Daemon, lacking: Lacking) -> str:
    """A small Debian with its own Python."""
    archive = CACHE / f"{SUITE}-{PYTHON}.tar"
    if not archive.is_file():
        if shutil.which("debootstrap") is None:
            lacking("there is no debootstrap to make a base image with")
        _bootstrap(archive, lacking)
    daemon.client.api.import_image_from_file(str(archive), repository="kdoctor-e2e/base", tag="1")
    return "kdoctor-e2e/base:1"


def _bootstrap(archive: Path, lacking: Lacking) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kdoctor-root-") as folder:
        command = ["debootstrap", "--variant=minbase", "--include=python3", SUITE, folder]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            lacking(f"debootstrap makes no base image here: {made.stdout[-300:]}")
        shutil.rmtree(Path(folder, "var/cache/apt"), ignore_errors=True)
        shutil.rmtree(Path(folder, "var/lib/apt/lists"), ignore_errors=True)
        new = archive.with_suffix(f".{os.getpid()}")
        subprocess.run(["tar", "-C", folder, "-cf", str(new), "."], check=True)
        new.replace(archive)


@pytest.fixture(scope="session")
def tensorflow_images(
    daemon: Daemon, base_image: str, tensorflow_environments: dict[str, Path], lacking: Lacking
) -> dict[str, str]:
    """Two images with real TensorFlow releases in a virtual environment each, in three layers with whiteouts."""
    fitting = {name: path.parent.parent for name, path in tensorflow_environments.items()}
    fitting = {name: path for name, path in fitting.items() if (path / "lib" / PYTHON / "site-packages").is_dir()}
    chosen = [name for name in fitting if name.startswith(("2.15", "2.21"))] or list(fitting)
    if len(chosen) < 2:
        lacking(f"fewer than two TensorFlow environments of {PYTHON} in KDOCTOR_TF_ENVS: .ci/environments builds them")
    found = {}
    for name in (chosen[0], chosen[-1]):
        lower = daemon.commit(
            base_image,
            f"kdoctor-e2e/lower:{name}",
            ["ENV PATH=/opt/venv/bin:/usr/bin:/bin TF_CPP_MIN_LOG_LEVEL=1", "LABEL org.example.made-by=tests"],
            _venv(fitting[name]),
        )
        site = f"/opt/venv/lib/{PYTHON}/site-packages"
        command = f"rm -rf {site}/tensorboard* /usr/share/doc && ln {site}/six.py {site}/six_again.py && touch /opt/new"
        found[name] = daemon.run(lower, f"kdoctor-e2e/tensorflow:{name}", command)
    return found


def _venv(folder: Path) -> Iterator[bytes]:
    """A tar of /opt/venv, made while it is read: an environment's packages under Debian's own Python."""
    reading, writing = os.pipe()
    config = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON.removeprefix('python')}\n"

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uid = member.gid = 0
        return None if "__pycache__" in member.name else member

    def write() -> None:
        with open(writing, "wb") as file, tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            tar.add(folder / "lib" / PYTHON, f"opt/venv/lib/{PYTHON}", filter=plain)
            for name, target in (("python", "/usr/bin/python3"), ("python3", "python")):
                link = tarfile.TarInfo(f"opt/venv/bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, target
                tar.addfile(link)
            member = tarfile.TarInfo("opt/venv/pyvenv.cfg")
            member.size, member.mode = len(config), 0o644
            tar.addfile(member, io.BytesIO(config.encode()))

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    with open(reading, "rb") as file:
        while piece := file.read(1 << 20):
            yield piece
    writer.join()


@dataclass(frozen=True)
class RegistryServer:
    """A running registry on loopback; ``user`` and ``password`` where it wants them."""

    host: str
    user: str | None = None
    password: str | None = None


@pytest.fixture(scope="session")
def registry(workplace: Path, lacking: Lacking) -> Iterator[RegistryServer]:
    """A registry that asks for no name."""
    with _registry(workplace / "registry", lacking) as server:
        yield server


@pytest.fixture(scope="session")
def locked_registry(workplace: Path, lacking: Lacking) -> Iterator[RegistryServer]:
    """A registry that wants a name and a password."""
    with _registry(workplace / "locked", lacking, ("reader", "a-password-of-the-tests")) as server:
        yield server


@contextlib.contextmanager
def _registry(folder: Path, lacking: Lacking, login: tuple[str, str] | None = None) -> Iterator[RegistryServer]:
    for program in ("docker-registry", *(("htpasswd",) if login else ())):
        if shutil.which(program) is None:
            lacking(f"there is no {program} (Debian: docker-registry, apache2-utils)")
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = ["version: 0.1", "log: {level: error}", f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}"]
    lines += [f"http: {{addr: '127.0.0.1:{port}'}}"]
    if login:
        words = ["htpasswd", "-Bbn", *login]
        (folder / "users").write_bytes(subprocess.run(words, check=True, capture_output=True).stdout)
        lines += [f"auth: {{htpasswd: {{realm: tests, path: {folder}/users}}}}"]
    (folder / "config.yml").write_text("\n".join(lines))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log)
        try:
            if not _listens(process, port):
                lacking(f"docker-registry does not start here: {(folder / 'log').read_text()[-300:]}")
            yield RegistryServer(f"127.0.0.1:{port}", *(login or ()))
        finally:
            process.terminate()
            process.wait()


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.1)
    return False
